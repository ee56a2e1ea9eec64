package signer

import (
	"context"
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"io"
	"math/big"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"unicode/utf8"

	"sallyport/internal/dsse"
	"sallyport/internal/verdict"
)

// maxPublic bounds the file that the tool writes of a public key, in bytes; one
// of P-256 has 91.
const maxPublic = 4 << 10

// Config says where a key of a token is. It never prints the PIN.
type Config struct {
	Module string   // absolute path of the PKCS#11 module, a shared library
	Token  string   // label of the token, 1 to 32 bytes
	Key    string   // label of the key; empty when ID is given
	ID     string   // CKA_ID of the key in lower-case hexadecimal; empty when Key is given
	Env    []string // names of variables of our environment that the module needs
	PIN    string   // of the user, 1 to 255 bytes; not part of a [Spec]
}

// TokenKey is a key of a PKCS#11 token. Our programs are static and cannot load
// a module, so each signature is one run of pkcs11-tool. It is safe for
// concurrent use as far as the token is.
//
// The PIN stays in the memory of this process and, while the tool runs, in the
// tool's environment, which root and the same user can read (proc(5)). It is in
// no argument, file or error.
type TokenKey struct {
	cfg    Config
	tool   string // path of pkcs11-tool
	key    string // CKA_ID in hexadecimal, by which alone the tool finds keys
	public *ecdsa.PublicKey
	id     string
}

// OpenPKCS11 logs in to the token, finds the key, and reads its public key,
// which must be ECDSA P-256. A PIN that the token refuses is an [ErrPIN]: it was
// tried once. The context ends the tool.
func OpenPKCS11(ctx context.Context, cfg Config) (*TokenKey, error) {
	return openToken(ctx, cfg, toolPath)
}

func openToken(ctx context.Context, cfg Config, tool string) (*TokenKey, error) {
	err := cfg.check()
	if err == nil {
		err = checkPIN(cfg.PIN)
	}
	if err == nil {
		err = checkModule(cfg.Module)
	}
	t := &TokenKey{cfg: cfg, tool: tool}
	if err == nil {
		err = t.load(ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot open %s: %w", cfg.name(), err)
	}
	return t, nil
}

// load fills in what the token knows of the key.
func (t *TokenKey) load(ctx context.Context) error {
	out, err := t.run(ctx, "--list-objects", "--type=pubkey")
	if err != nil {
		return fmt.Errorf("cannot list the public keys of the token: %w", err)
	}
	// The label is looked up here: pkcs11-tool 0.23 ignores it when it
	// signs, and takes the first key of the token (seen).
	found, err := choose(parseListing(out), &t.cfg)
	if err != nil {
		return err
	}
	t.key = found.id
	err = private(func(dir string) error {
		file := filepath.Join(dir, "public.der")
		if _, err := t.run(ctx, "--read-object", "--type=pubkey", "--id="+t.key, "--output-file="+file); err != nil {
			return err
		}
		der, err := readAnswer(file, maxPublic)
		if err != nil {
			return err
		}
		t.public, t.id, err = parsePublic(der)
		return err
	})
	if err != nil {
		return fmt.Errorf("cannot use its public key, which must be ECDSA P-256 (the token calls it %q): %w", verdict.Escape(found.kind), err)
	}
	return nil
}

// KeyID returns [dsse.KeyID] of the public key.
func (t *TokenKey) KeyID() string { return t.id }

// Public returns the public key.
func (t *TokenKey) Public() *ecdsa.PublicKey { return t.public }

// Custody returns [CustodyPKCS11].
func (t *TokenKey) Custody() Custody { return CustodyPKCS11 }

// String names the key, so that the PIN cannot be printed by accident.
func (t *TokenKey) String() string { return "key " + t.id + " of a token" }

// GoString is [TokenKey.String].
func (t *TokenKey) GoString() string { return t.String() }

// Sign lets the token sign the digest (CKM_ECDSA, PKCS#11 v3.0 section 2.3.12)
// and returns the signature as ASN.1 DER after it was verified with the public
// key that [OpenPKCS11] read.
func (t *TokenKey) Sign(ctx context.Context, digest [32]byte) (der []byte, err error) {
	err = private(func(dir string) error {
		in, out := filepath.Join(dir, "digest"), filepath.Join(dir, "signature")
		if err := os.WriteFile(in, digest[:], 0o600); err != nil {
			return err
		}
		// "rs" is what the token gave, untouched by the tool.
		if _, err := t.run(ctx, "--sign", "--mechanism=ECDSA", "--id="+t.key, "--signature-format=rs", "--input-file="+in, "--output-file="+out); err != nil {
			return err
		}
		raw, err := readAnswer(out, rawSignature)
		if err != nil {
			return err
		}
		if der, err = encodeSignature(raw); err != nil {
			return err
		}
		if err := dsse.VerifyP256(t.public, digest, der); err != nil {
			return fmt.Errorf("the signature does not verify with the public key of that id: is there another private key with it? (%w)", err)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("cannot sign with %s: %w", t.cfg.name(), err)
	}
	return der, nil
}

// private gives do a folder that nobody else can enter, and removes it.
func private(do func(dir string) error) error {
	dir, err := os.MkdirTemp("", "sallyport-token-*") // mode 0700
	if err != nil {
		return fmt.Errorf("cannot make a folder for the token's files: %w", err)
	}
	return errors.Join(do(dir), os.RemoveAll(dir))
}

// readAnswer reads a file that the tool wrote, of at most most bytes.
func readAnswer(path string, most int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("pkcs11-tool ended well and wrote nothing: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, most+1))
	if err == nil && int64(len(b)) > most {
		err = fmt.Errorf("pkcs11-tool wrote more than %d bytes", most)
	}
	return b, err
}

// parsePublic reads a SubjectPublicKeyInfo (RFC 5480), which must be of P-256.
func parsePublic(der []byte) (*ecdsa.PublicKey, string, error) {
	parsed, err := x509.ParsePKIXPublicKey(der)
	if err != nil {
		return nil, "", fmt.Errorf("pkcs11-tool wrote no public key: %w", foreign(err))
	}
	key, ok := parsed.(*ecdsa.PublicKey)
	if !ok {
		return nil, "", fmt.Errorf("it is a key of the kind %T", parsed)
	}
	id, err := dsse.KeyID(key)
	if err != nil {
		return nil, "", err
	}
	return key, id, nil
}

// rawSignature is the length of r and s of P-256 in bytes.
const rawSignature = 64

// encodeSignature makes the ASN.1 DER of a signature as a token gives it: r and
// s, 32 bytes each, the most significant first (PKCS#11 v3.0 section 2.3.1).
func encodeSignature(raw []byte) ([]byte, error) {
	if len(raw) != rawSignature {
		return nil, fmt.Errorf("the token gave a signature of %d bytes, one of P-256 has %d", len(raw), rawSignature)
	}
	r, s := new(big.Int).SetBytes(raw[:32]), new(big.Int).SetBytes(raw[32:])
	return asn1.Marshal(struct{ R, S *big.Int }{r, s})
}

// check refuses what cannot be given to the tool, or not unmistakably.
func (c *Config) check() error {
	switch {
	case !filepath.IsAbs(c.Module) || filepath.Clean(c.Module) != c.Module || !isText(c.Module, 1024):
		return fmt.Errorf("the module %q must be an absolute path, such as /usr/lib/softhsm/libsofthsm2.so", verdict.Escape(c.Module))
	case !isText(c.Token, 32):
		return fmt.Errorf("the token's label %q must have 1 to 32 bytes, all of them visible", verdict.Escape(c.Token))
	case (c.Key == "") == (c.ID == ""):
		return errors.New("the key must be named by its label or by its id, and not by both")
	case c.Key != "" && !isText(c.Key, 255):
		return fmt.Errorf("the key's label %q must have 1 to 255 bytes, all of them visible", verdict.Escape(c.Key))
	case c.ID != "" && !isID(c.ID):
		return fmt.Errorf("the key's id %q must be 1 to %d bytes in lower-case hexadecimal digits", verdict.Escape(c.ID), maxID)
	case len(c.Env) > 16:
		return fmt.Errorf("%d variables are to be passed to the module, at most 16 can be", len(c.Env))
	}
	for i, name := range c.Env {
		if !isVariable(name) {
			return fmt.Errorf("%q is not the name of a variable", verdict.Escape(name))
		}
		for _, taken := range append(ownVariables(), c.Env[:i]...) {
			if name == taken {
				return fmt.Errorf("the variable %s is given to the module already", name)
			}
		}
	}
	return nil
}

// String returns the [Spec] of the key, without the PIN.
func (c Config) String() string { return Spec{Custody: CustodyPKCS11, Token: c}.String() }

// GoString is [Config.String].
func (c Config) GoString() string { return c.String() }

// name is for errors and questions.
func (c *Config) name() string {
	key := "the key " + verdict.Escape(c.Key)
	if c.ID != "" {
		key = "the key with the id " + verdict.Escape(c.ID)
	}
	return key + " of the token " + verdict.Escape(c.Token)
}

func checkPIN(pin string) error {
	if len(pin) < 1 || len(pin) > 255 {
		return fmt.Errorf("the PIN has %d bytes, must have 1 to 255", len(pin))
	}
	if strings.ContainsFunc(pin, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return errors.New("the PIN holds a control character, such as a line end")
	}
	return nil
}

// checkModule says that a module is missing more clearly than the tool does.
func checkModule(path string) error {
	st, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("cannot use the PKCS#11 module: %w; install the software of the token, and give the path of its library", err)
	}
	if !st.Mode().IsRegular() {
		return fmt.Errorf("cannot use the PKCS#11 module: %s is not a plain file", verdict.Escape(path))
	}
	return nil
}

// isText says that s has 1 to most bytes and looks like what it is.
func isText(s string, most int) bool {
	return s != "" && len(s) <= most && utf8.ValidString(s) && s == strings.TrimSpace(s) &&
		!strings.ContainsFunc(s, func(r rune) bool { return !strconv.IsPrint(r) })
}

// maxID is the longest CKA_ID that the tool takes, in bytes, with room to spare.
const maxID = 64

func isID(s string) bool {
	if len(s) < 2 || len(s) > 2*maxID || len(s)%2 != 0 {
		return false
	}
	return strings.Trim(s, "0123456789abcdef") == ""
}

func isVariable(s string) bool {
	if s == "" || len(s) > 64 || s[0] >= '0' && s[0] <= '9' {
		return false
	}
	for _, c := range []byte(s) {
		if (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '_' {
			return false
		}
	}
	return true
}
