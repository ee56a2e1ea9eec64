package signer_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"filippo.io/age"
	"filippo.io/age/armor"
	"golang.org/x/sys/unix"

	"sallyport/internal/dsse"
	"sallyport/internal/durable"
	"sallyport/internal/signer"
	"sallyport/internal/testtool"
)

const (
	passphrase = "correct horse battery staple"
	lightWork  = 4 // scrypt is not what most tests are about
)

// signs fails the test unless s signs what we and openssl verify with its public key.
func signs(t *testing.T, s signer.Signer) {
	t.Helper()
	digest := sha256.Sum256([]byte("what the authority signs"))
	der, err := s.Sign(t.Context(), digest)
	if err != nil {
		t.Fatal(err)
	}
	if id, err := dsse.KeyID(s.Public()); err != nil || id != s.KeyID() {
		t.Fatalf("the key id is %s, want %s (%v)", s.KeyID(), id, err)
	}
	if err := dsse.VerifyP256(s.Public(), digest, der); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	spki, err := x509.MarshalPKIXPublicKey(s.Public())
	if err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string][]byte{"pub": spki, "digest": digest[:], "sig": der} {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	testtool.Run(t, "openssl", "pkeyutl", "-verify", "-pubin", "-keyform", "DER", "-inkey", filepath.Join(dir, "pub"),
		"-in", filepath.Join(dir, "digest"), "-sigfile", filepath.Join(dir, "sig"))
}

// keyFile writes a key file of any content to any recipients, as age does.
func keyFile(t testing.TB, plain []byte, to ...age.Recipient) []byte {
	t.Helper()
	var out bytes.Buffer
	text := armor.NewWriter(&out)
	w, err := age.Encrypt(text, to...)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(plain); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(w.Close(), text.Close()); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func underPassphrase(t testing.TB, work int) *age.ScryptRecipient {
	t.Helper()
	r, err := age.NewScryptRecipient(passphrase)
	if err != nil {
		t.Fatal(err)
	}
	r.SetWorkFactor(work)
	return r
}

// pkcs8 returns the encoding of the P-256 key whose private scalar is n.
func pkcs8(t testing.TB, n byte) []byte {
	t.Helper()
	raw := make([]byte, 32)
	raw[31] = n
	k, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), raw)
	if err != nil {
		t.Fatal(err)
	}
	return marshal(t, k)
}

func marshal(t testing.TB, key any) []byte {
	t.Helper()
	b, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func write(t testing.TB, data []byte, mode os.FileMode) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "root.key")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestANewKeyFileOpensAndSigns(t *testing.T) {
	path := filepath.Join(t.TempDir(), "root.key")
	made, err := signer.Create(path, passphrase)
	if err != nil {
		t.Fatal(err)
	}
	signs(t, made)
	again, err := signer.Open(path, passphrase)
	if err != nil {
		t.Fatal(err)
	}
	signs(t, again)
	if made.KeyID() != again.KeyID() || again.Custody() != signer.CustodyFile {
		t.Errorf("made %s, opened %s in custody %q", made.KeyID(), again.KeyID(), again.Custody())
	}
	st, err := os.Stat(path)
	if err != nil || st.Mode() != 0o600 {
		t.Errorf("the mode is %v (%v), want 0600", st.Mode(), err)
	}
	data, err := os.ReadFile(path)
	if err != nil || !bytes.HasPrefix(data, []byte(armor.Header+"\n")) || !bytes.Contains(data, []byte("\n")) {
		t.Errorf("the file is not armored text: %q (%v)", data, err)
	}
	if left, _ := filepath.Glob(filepath.Dir(path) + "/*"); len(left) != 1 {
		t.Errorf("beside the key file there are %v", left)
	}
}

func TestAgeAndOpenSSLOpenOurKeyFiles(t *testing.T) {
	path := filepath.Join(t.TempDir(), "root.key")
	made, err := signer.CreateWith(durable.FS{}, path, passphrase, lightWork)
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	id, err := age.NewScryptIdentity(passphrase)
	if err != nil {
		t.Fatal(err)
	}
	r, err := age.Decrypt(armor.NewReader(bytes.NewReader(data)), id)
	if err != nil {
		t.Fatal(err)
	}
	plain, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	public := testtool.Run(t, "openssl", "pkey", "-inform", "DER", "-in", write(t, plain, 0o600), "-pubout", "-outform", "DER")
	if want, _ := x509.MarshalPKIXPublicKey(made.Public()); !bytes.Equal(public, want) {
		t.Errorf("openssl reads the public key %x, want %x", public, want)
	}
}

func TestAKeyOfOpenSSLUnderAgeOpensHere(t *testing.T) {
	dir := t.TempDir()
	pem, der := filepath.Join(dir, "key.pem"), filepath.Join(dir, "key.der")
	testtool.Run(t, "openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", pem)
	testtool.Run(t, "openssl", "pkcs8", "-topk8", "-nocrypt", "-outform", "DER", "-in", pem, "-out", der)
	plain, err := os.ReadFile(der)
	if err != nil {
		t.Fatal(err)
	}
	k, err := signer.Open(write(t, keyFile(t, plain, underPassphrase(t, lightWork)), 0o400), passphrase)
	if err != nil {
		t.Fatal(err)
	}
	signs(t, k)
	public := testtool.Run(t, "openssl", "pkey", "-in", pem, "-pubout", "-outform", "DER")
	if got, _ := x509.MarshalPKIXPublicKey(k.Public()); !bytes.Equal(public, got) {
		t.Errorf("the public key is %x, openssl says %x", got, public)
	}
}

func TestANewKeyFileReplacesNothing(t *testing.T) {
	for _, there := range []string{"root.key", "root.key.tmp"} {
		path := filepath.Join(t.TempDir(), "root.key")
		other := filepath.Join(filepath.Dir(path), there)
		if err := os.WriteFile(other, []byte("other"), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := signer.CreateWith(durable.FS{}, path, passphrase, lightWork); !errors.Is(err, os.ErrExist) {
			t.Errorf("with %s: %v, want ErrExist", there, err)
		}
		if b, err := os.ReadFile(other); string(b) != "other" {
			t.Errorf("%s holds %q now (%v)", there, b, err)
		}
	}
}

func TestPoorPassphrasesMakeNoKeyFile(t *testing.T) {
	for p, want := range map[string]string{
		"":                        "is empty",
		"elevenchars":             "has 11 characters",
		"äöüäöüäöüäö":             "has 11 characters",
		strings.Repeat("x", 1025): "1025 bytes",
		"with a line end\n":       "control character",
		"not UTF-8 \xff\xfe\xfd":  "not UTF-8",
	} {
		path := filepath.Join(t.TempDir(), "root.key")
		if _, err := signer.Create(path, p); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("passphrase %q: %v, want %q", p, err, want)
		} else if p != "" && strings.Contains(err.Error(), p) {
			t.Errorf("the error holds the passphrase: %v", err)
		}
		if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("passphrase %q made a file (%v)", p, err)
		}
	}
}

// bare hides that a recipient must be the only one.
type bare struct{ age.Recipient }

// costly asks for more work than anybody should do, without doing it.
type costly struct{ work string }

func (c costly) Wrap([]byte) ([]*age.Stanza, error) {
	return []*age.Stanza{{Type: "scrypt", Args: []string{strings.Repeat("A", 22), c.work}, Body: make([]byte, 32)}}, nil
}

func TestOtherFilesAreRefused(t *testing.T) {
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	big, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	_, edwards, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	curve, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	good := pkcs8(t, 1)
	swapped := append(bytes.Clone(good[:len(good)-65]), pkcs8(t, 2)[len(good)-65:]...)
	under := underPassphrase(t, lightWork)
	whole := keyFile(t, good, under)
	binary, err := io.ReadAll(armor.NewReader(bytes.NewReader(whole)))
	if err != nil {
		t.Fatal(err)
	}
	var altered bytes.Buffer
	w := armor.NewWriter(&altered)
	last := len(binary) - 1
	if _, err := w.Write(append(bytes.Clone(binary[:last]), binary[last]^1)); err != nil || w.Close() != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		data []byte
		want string
	}{
		{"good", whole, ""},
		{"white space around", []byte("\n\n" + string(whole) + "\n"), ""},
		{"empty", nil, "cut short"},
		{"no age file", []byte("hello\n"), "not an age file"},
		{"what a terminal would obey", []byte("\x1b[2Jhello\n"), "not an age file"},
		{"binary age file", binary, "'age --armor'"},
		{"a second file after it", append(bytes.Clone(whole), whole...), "trailing data"},
		{"larger than a key file", append(bytes.Clone(whole), bytes.Repeat([]byte(" "), 8<<10)...), "more than 8192 bytes"},
		{"altered", altered.Bytes(), "was altered"},
		{"to a public key", keyFile(t, good, curve.Recipient()), "not with a passphrase"},
		{"to a public key and a passphrase", keyFile(t, good, bare{curve.Recipient()}, bare{under}), "only one"},
		{"under two passphrases", keyFile(t, good, bare{under}, bare{underPassphrase(t, lightWork)}), "only one"},
		{"work of 2^21", keyFile(t, good, costly{"21"}), "work factor too large"},
		{"work of 2^63", keyFile(t, good, costly{"63"}), "work factor too large"},
		{"nothing in it", keyFile(t, nil, under), "exactly one private key"},
		{"PEM", keyFile(t, []byte("-----BEGIN PRIVATE KEY-----\n"), under), "as DER"},
		{"a byte after the key", keyFile(t, append(bytes.Clone(good), 0), under), "one encoding"},
		{"two keys", keyFile(t, append(bytes.Clone(good), good...), under), "one encoding"},
		{"much after the key", keyFile(t, append(bytes.Clone(good), make([]byte, 4<<10)...), under), "more than 4096 bytes"},
		{"a public key of another", keyFile(t, swapped, under), "one encoding"},
		{"P-384", keyFile(t, marshal(t, p384), under), "P-256"},
		{"RSA", keyFile(t, marshal(t, big), under), "rsa.PrivateKey, not ECDSA P-256"},
		{"Ed25519", keyFile(t, marshal(t, edwards), under), "ed25519.PrivateKey, not ECDSA P-256"},
	} {
		k, err := signer.Open(write(t, c.data, 0o600), passphrase)
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%s: %v", c.name, err)
		case c.want != "" && (err == nil || k != nil || !strings.Contains(err.Error(), c.want) || errors.Is(err, signer.ErrPassphrase)):
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		case err != nil && strings.ContainsRune(err.Error(), '\x1b'):
			t.Errorf("%s: the error holds an escape sequence: %q", c.name, err)
		}
	}
}

func TestAWrongPassphraseIsSaidSo(t *testing.T) {
	path := write(t, keyFile(t, pkcs8(t, 1), underPassphrase(t, lightWork)), 0o600)
	for _, p := range []string{"", "x", passphrase + " ", strings.ToUpper(passphrase)} {
		if _, err := signer.Open(path, p); !errors.Is(err, signer.ErrPassphrase) {
			t.Errorf("passphrase %q: %v, want ErrPassphrase", p, err)
		}
	}
}

func TestATruncatedKeyFileNeverOpens(t *testing.T) {
	whole := keyFile(t, pkcs8(t, 1), underPassphrase(t, lightWork))
	for n := range len(whole) - 1 { // the last byte is a line end, which may be missing
		if _, err := signer.Decrypt(whole[:n], passphrase, lightWork); err == nil || errors.Is(err, signer.ErrPassphrase) {
			t.Fatalf("the first %d of %d bytes: %v", n, len(whole), err)
		}
	}
}

func TestAKeyFileThatOthersCouldReadIsRefused(t *testing.T) {
	data := keyFile(t, pkcs8(t, 1), underPassphrase(t, lightWork))
	for _, mode := range []os.FileMode{0o644, 0o640, 0o604, 0o602, 0o700, 0o601} {
		if _, err := signer.Open(write(t, data, mode), passphrase); err == nil || !strings.Contains(err.Error(), "chmod 600") {
			t.Errorf("mode %04o: %v", mode, err)
		}
	}
}

func TestWhatIsNoPlainFileIsRefused(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := unix.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{pipe, t.TempDir(), os.DevNull} {
		if _, err := signer.Open(path, passphrase); err == nil || !strings.Contains(err.Error(), "not a plain file") {
			t.Errorf("%s: %v", path, err)
		}
	}
	if _, err := signer.Open(pipe+"-not-there", passphrase); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a missing file: %v", err)
	}
}

var errInjected = errors.New("injected")

func TestAnInterruptedCreateLeavesNothingOrAKeyFile(t *testing.T) {
	const steps = 3 // write, rename, syncdir
	for n := range steps + 1 {
		for _, after := range []bool{false, true} {
			seen := 0
			fs := durable.FS{Hook: func(_ string, done bool) error {
				if !done {
					seen++
				}
				if seen-1 == n && done == after {
					return errInjected
				}
				return nil
			}}
			path := filepath.Join(t.TempDir(), "root.key")
			k, err := signer.CreateWith(fs, path, passphrase, lightWork)
			if n == steps {
				if err != nil || seen != steps {
					t.Fatalf("%d steps, %v; want %d without a failure", seen, err, steps)
				}
				continue
			}
			if !errors.Is(err, errInjected) || k != nil {
				t.Fatalf("step %d after=%v: %v", n, after, err)
			}
			if _, err := signer.Open(path, passphrase); err != nil && !errors.Is(err, os.ErrNotExist) {
				t.Errorf("step %d after=%v left a file that does not open: %v", n, after, err)
			}
		}
	}
}

func TestAKeyIsNotPrinted(t *testing.T) {
	plain := pkcs8(t, 1)
	k, err := signer.ParsePlain(plain)
	if err != nil {
		t.Fatal(err)
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
		if out := fmt.Sprintf(verb, k); !strings.Contains(out, k.KeyID()) || len(out) > 100 {
			t.Errorf("%s prints %s", verb, out)
		}
	}
}

func TestAnEndedContextSignsNothing(t *testing.T) {
	k, err := signer.ParsePlain(pkcs8(t, 1))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if der, err := k.Sign(ctx, [32]byte{}); !errors.Is(err, context.Canceled) || der != nil {
		t.Errorf("got %x, %v", der, err)
	}
}

// FuzzPlain: what a key file may hold encrypted is the one encoding of its key.
func FuzzPlain(f *testing.F) {
	f.Add([]byte{})
	f.Add(pkcs8(f, 1))
	f.Add(append(pkcs8(f, 1), 0))
	f.Add(marshal(f, ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))))
	if k, err := ecdsa.ParseRawPrivateKey(elliptic.P384(), append(make([]byte, 47), 1)); err == nil {
		f.Add(marshal(f, k))
	}
	f.Fuzz(func(t *testing.T, plain []byte) {
		k, err := signer.ParsePlain(plain)
		if err != nil {
			if k != nil {
				t.Fatalf("a key with the error %v", err)
			}
			return
		}
		if !bytes.Equal(marshal(t, k.Private()), plain) {
			t.Fatal("accepted another encoding of the key")
		}
		if err := dsse.CheckP256(k.Public()); err != nil {
			t.Fatal(err)
		}
		if _, err := k.Sign(t.Context(), sha256.Sum256(plain)); err != nil {
			t.Fatal(err)
		}
	})
}

// FuzzKeyFile: only what was made with the passphrase opens, within its work.
func FuzzKeyFile(f *testing.F) {
	good := keyFile(f, pkcs8(f, 1), underPassphrase(f, 1))
	f.Add(good)
	f.Add([]byte("\n" + string(good) + " \n"))
	f.Add(good[:len(good)/2])
	f.Add(keyFile(f, pkcs8(f, 1), bare{underPassphrase(f, 1)}, bare{underPassphrase(f, 1)}))
	f.Add(keyFile(f, pkcs8(f, 1), costly{"2"}))
	want, err := signer.ParsePlain(pkcs8(f, 1))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		k, err := signer.Decrypt(data, passphrase, 1)
		if (err == nil) != (k != nil) {
			t.Fatalf("got %v and %v", k, err)
		}
		if k != nil && k.KeyID() != want.KeyID() {
			t.Fatalf("a forged file opens with the key %s", k.KeyID())
		}
	})
}
