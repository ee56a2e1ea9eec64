// Package signer holds the signing keys of election authorities that are not in
// a TPM: a key file under a passphrase, and a key of a PKCS#11 token (a smart
// card, an HSM), which the program pkcs11-tool reaches for us. It makes
// signatures and says whose they are; who is trusted, and how many must sign, is
// for package trust. Only the command line uses it: a station signs with its TPM.
// A key file is untrusted until its passphrase opened it, and what the tool
// answers always: a signature is returned only after it was verified here.
package signer

import (
	"crypto/ecdsa"
	"errors"

	"sallyport/internal/dsse"
)

// Custody says where a private key is kept.
type Custody string

const (
	// CustodyTPM is a key that never leaves its TPM (package tpm).
	CustodyTPM Custody = "tpm"
	// CustodyPKCS11 is a key in a token behind a PKCS#11 module ([TokenKey]).
	CustodyPKCS11 Custody = "pkcs11"
	// CustodyFile is a key in a file under a passphrase ([FileKey]).
	CustodyFile Custody = "file"
)

// Signer is a [dsse.DigestSigner] that shows its public key. Its signatures were
// verified with that key before they are returned.
type Signer interface {
	dsse.DigestSigner
	// Public returns the public key, whose curve is P-256.
	Public() *ecdsa.PublicKey
	// Custody says where the private key is.
	Custody() Custody
}

var (
	// ErrPassphrase means that a key file does not open with the passphrase.
	// Somebody may have typed it wrong: it is worth another try.
	ErrPassphrase = errors.New("the passphrase is wrong, or the file was altered")
	// ErrPIN means that a token refused the PIN. It is worth another try with
	// care: a token locks itself after a few.
	ErrPIN = errors.New("the token refused the PIN (it locks itself after a few wrong ones)")
)
