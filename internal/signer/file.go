package signer

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode"
	"unicode/utf8"

	"filippo.io/age"
	"filippo.io/age/armor"
	"golang.org/x/sys/unix"

	"sallyport/internal/dsse"
	"sallyport/internal/durable"
	"sallyport/internal/verdict"
)

const (
	// MinPassphrase is the length of the shortest passphrase of a new key file,
	// in characters.
	MinPassphrase = 12
	// maxPassphrase is that of the longest, in bytes.
	maxPassphrase = 1024
	// maxKeyFile bounds a key file in bytes; ours have about 600.
	maxKeyFile = 8 << 10
	// maxPlain bounds what is encrypted in it, in bytes; ours have 138.
	maxPlain = 4 << 10
	// newWork is scrypt's work for a new file, as a power of two: the default of
	// age, which is 256 MiB and about a second.
	newWork = 18
	// maxWork is the most that a file may demand: 1 GiB and some seconds. Other
	// programs than age choose more than newWork on fast machines.
	maxWork = 20
)

// FileKey is the key of a key file (FORMAT.md). It is safe for concurrent use.
//
// The private key, the passphrase and what was computed with them stay in the
// memory of the process, and may be swapped to disk, until that memory is used
// for something else or the process ends. Nothing is wiped: the libraries make
// copies that nobody can reach, so wiping ours would only look safe. Open key
// files on a machine that is offline and has no swap, in a process that ends
// soon.
type FileKey struct {
	key *ecdsa.PrivateKey
	id  string
}

// Create makes a new key and writes it to path, under the passphrase and with
// the mode 0600. It replaces nothing (os.ErrExist). What it returns was read
// back from the file and decrypted. A file that an error leaves behind holds no
// key that anybody has seen, and can be removed.
func Create(path, passphrase string) (*FileKey, error) {
	return create(durable.FS{}, path, passphrase, newWork)
}

func create(fs durable.FS, path, passphrase string, work int) (*FileKey, error) {
	name := verdict.Escape(path)
	if err := checkNewPassphrase(passphrase); err != nil {
		return nil, fmt.Errorf("cannot make the key file %s: %w", name, err)
	}
	// The second is the temporary file of package durable, which replaces what
	// has its name.
	for _, p := range []string{path, path + ".tmp"} {
		if _, err := os.Lstat(p); err == nil {
			return nil, fmt.Errorf("cannot make the key file %s: %s is there: %w; choose another name, or move that file away",
				name, verdict.Escape(p), os.ErrExist)
		}
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("cannot make a key: %w", err)
	}
	data, err := encrypt(key, passphrase, work)
	if err != nil {
		return nil, fmt.Errorf("cannot encrypt the new key: %w", err)
	}
	if err := fs.CreateFile("signer.key", path, data, 0o600); err != nil {
		if !errors.Is(err, os.ErrExist) {
			err = fmt.Errorf("%w; remove what may be left of it: nobody has seen the key", err)
		}
		return nil, fmt.Errorf("cannot make the key file: %w", err)
	}
	again, err := reopen(path, passphrase)
	if err == nil && !again.key.Equal(key) {
		err = errors.New("another key came back")
	}
	if err != nil {
		return nil, fmt.Errorf("the key file %s was written and cannot be used: %w; remove it, and try again elsewhere", name, err)
	}
	return again, nil
}

func reopen(path, passphrase string) (*FileKey, error) {
	data, err := readKeyFile(path)
	if err != nil {
		return nil, err
	}
	return decrypt(data, passphrase, maxWork)
}

// Open opens the key file at path. A passphrase that does not open it is an
// [ErrPassphrase]. A file whose mode is wider than 0600 is refused: others may
// have copied it. It takes about a second, of a foreign file up to some seconds
// and 1 GiB of memory, which nothing interrupts.
func Open(path, passphrase string) (*FileKey, error) {
	k, err := reopen(path, passphrase)
	if err != nil {
		return nil, fmt.Errorf("cannot open the key file %s: %w", verdict.Escape(path), err)
	}
	return k, nil
}

// KeyID returns [dsse.KeyID] of the public key.
func (k *FileKey) KeyID() string { return k.id }

// Public returns the public key.
func (k *FileKey) Public() *ecdsa.PublicKey { return &k.key.PublicKey }

// Custody returns [CustodyFile].
func (k *FileKey) Custody() Custody { return CustodyFile }

// String names the key, so that it cannot be printed by accident.
func (k *FileKey) String() string { return "key " + k.id + " of a file" }

// GoString is [FileKey.String].
func (k *FileKey) GoString() string { return k.String() }

// Sign returns an ASN.1 DER signature that was verified, so that a fault of the
// machine does not give away the key.
func (k *FileKey) Sign(ctx context.Context, digest [32]byte) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("cannot sign: %w", err)
	}
	der, err := ecdsa.SignASN1(rand.Reader, k.key, digest[:])
	if err == nil {
		err = dsse.VerifyP256(&k.key.PublicKey, digest, der)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot sign with the key file: %w", err)
	}
	return der, nil
}

// checkNewPassphrase refuses what is too short to protect a file that others
// may get hold of, and what people would not be able to type again.
func checkNewPassphrase(p string) error {
	n := utf8.RuneCountInString(p)
	switch {
	case n == 0:
		return errors.New("the passphrase is empty")
	case n < MinPassphrase:
		return fmt.Errorf("the passphrase has %d characters, at least %d are needed: take five or more random words", n, MinPassphrase)
	case len(p) > maxPassphrase:
		return fmt.Errorf("the passphrase has %d bytes, at most %d are allowed", len(p), maxPassphrase)
	case !utf8.ValidString(p):
		return errors.New("the passphrase is not UTF-8")
	case strings.ContainsFunc(p, unicode.IsControl):
		return errors.New("the passphrase holds a control character, such as a line end, which cannot be typed")
	}
	return nil
}

// readKeyFile returns the bytes of a key file that nobody else may read.
func readKeyFile(path string) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0) // a pipe must not block
	if err != nil {
		return nil, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !st.Mode().IsRegular() {
		return nil, errors.New("it is not a plain file")
	}
	if perm := st.Mode().Perm(); perm&^0o600 != 0 {
		return nil, fmt.Errorf("its mode is %04o, and must not be wider than 0600: others may have read it; run 'chmod 600' on it (a FAT file system keeps no modes: mount it with 'fmask=0177')", perm)
	}
	// What was written just now is to come from the disk, where the kernel can.
	_ = unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED)
	data, err := io.ReadAll(io.LimitReader(f, maxKeyFile+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxKeyFile {
		return nil, fmt.Errorf("it has more than %d bytes, which no key file has", maxKeyFile)
	}
	return data, nil
}

// encrypt returns the bytes of a key file.
func encrypt(key *ecdsa.PrivateKey, passphrase string, work int) ([]byte, error) {
	plain, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	to, err := age.NewScryptRecipient(passphrase)
	if err != nil {
		return nil, err
	}
	to.SetWorkFactor(work)
	var out bytes.Buffer
	text := armor.NewWriter(&out)
	w, err := age.Encrypt(text, to)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(plain); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	if err := text.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// decrypt opens the bytes of a key file that demands no more work than most.
func decrypt(data []byte, passphrase string, most int) (*FileKey, error) {
	if bytes.HasPrefix(data, []byte("age-encryption.org/")) {
		return nil, errors.New("it is an age file, but not as text: 'age --armor' writes that")
	}
	if passphrase == "" {
		return nil, ErrPassphrase // age would call it another kind of error
	}
	raw, err := io.ReadAll(armor.NewReader(bytes.NewReader(data)))
	if err != nil {
		return nil, fmt.Errorf("it is not an age file as text, or it is cut short: %w", foreign(err))
	}
	id, err := age.NewScryptIdentity(passphrase)
	if err != nil {
		return nil, err
	}
	id.SetMaxWorkFactor(most)
	r, err := age.Decrypt(bytes.NewReader(raw), id)
	var no *age.NoIdentityMatchError
	switch {
	case errors.As(err, &no) && len(no.StanzaTypes) == 1 && no.StanzaTypes[0] == "scrypt":
		return nil, ErrPassphrase
	case errors.As(err, &no):
		return nil, errors.New("it is encrypted to recipients, not with a passphrase")
	case err != nil:
		return nil, fmt.Errorf("it cannot be decrypted: %w", foreign(err))
	}
	plain, err := io.ReadAll(io.LimitReader(r, maxPlain+1))
	if err != nil {
		return nil, fmt.Errorf("it was altered or is cut short: %w", foreign(err))
	}
	return parsePlain(plain)
}

// parsePlain reads what is encrypted in a key file: the one DER encoding of
// PKCS#8 (RFC 5958 without attributes, RFC 5915) that crypto/x509 and OpenSSL
// write of a P-256 key. Encoding again also tells a public key in it that is
// not of the private one.
func parsePlain(plain []byte) (*FileKey, error) {
	if len(plain) > maxPlain {
		return nil, fmt.Errorf("it holds more than %d bytes, which no key of P-256 has", maxPlain)
	}
	if bytes.HasPrefix(plain, []byte("-----BEGIN")) {
		return nil, errors.New("it holds a key as text (PEM): it must be PKCS#8 as DER, which 'openssl pkcs8 -topk8 -nocrypt -outform DER' writes")
	}
	parsed, err := x509.ParsePKCS8PrivateKey(plain)
	if err != nil {
		return nil, fmt.Errorf("it does not hold exactly one private key as PKCS#8: %w", foreign(err))
	}
	key, ok := parsed.(*ecdsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("it holds a key of the kind %T, not ECDSA P-256", parsed)
	}
	id, err := dsse.KeyID(&key.PublicKey)
	if err != nil {
		return nil, err
	}
	again, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(again, plain) {
		return nil, errors.New("it does not hold the one encoding of an ECDSA P-256 key as PKCS#8, with its public key and nothing else")
	}
	return &FileKey{key, id}, nil
}

// foreign makes the text of an error that may quote the file fit to be shown.
func foreign(err error) error { return errors.New(verdict.Escape(err.Error())) }
