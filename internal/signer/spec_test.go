package signer_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sallyport/internal/signer"
)

func TestSpecsOfFilesAndTokens(t *testing.T) {
	for in, want := range map[string]signer.Spec{
		"file:/etc/root.key": {Custody: signer.CustodyFile, Path: "/etc/root.key"},
		"file:a:b;c=d e":     {Custody: signer.CustodyFile, Path: "a:b;c=d e"},
		"pkcs11:module=/usr/lib/softhsm/libsofthsm2.so;token=county root;key=root=1": {Custody: signer.CustodyPKCS11,
			Token: signer.Config{Module: "/usr/lib/softhsm/libsofthsm2.so", Token: "county root", Key: "root=1"}},
		"pkcs11:module=/m.so;token=t;id=0a0b;env=SOFTHSM2_CONF,B": {Custody: signer.CustodyPKCS11,
			Token: signer.Config{Module: "/m.so", Token: "t", ID: "0a0b", Env: []string{"SOFTHSM2_CONF", "B"}}},
	} {
		got, err := signer.Parse(in)
		if err != nil || !cmp.Equal(got, want) {
			t.Errorf("%s: %v: %s", in, err, cmp.Diff(want, got))
		}
		if got.String() != in {
			t.Errorf("%s comes back as %s", in, got)
		}
	}
	a, err := signer.Parse("pkcs11:env=A;key=k;token=t;module=/m.so")
	if err != nil || a.String() != "pkcs11:module=/m.so;token=t;key=k;env=A" {
		t.Errorf("another order: %s, %v", a, err)
	}
}

func TestWrongSpecsAreExplained(t *testing.T) {
	for in, want := range map[string]string{
		"":                                              "does not say what kind",
		"/etc/root.key":                                 "does not say what kind",
		"tpm:x":                                         `"tpm" is no kind of key`,
		"FILE:x":                                        `"FILE" is no kind of key`,
		"file:":                                         "the path is empty",
		"file:\x1b[2J":                                  "cannot be seen",
		"file:" + strings.Repeat("x", 5000):             "too long",
		"file:" + strings.Repeat("x", 10000):            "at most 8192",
		"pkcs11:":                                       "has no value",
		"pkcs11:module=/m.so;token=t":                   "by its label or by its id",
		"pkcs11:module=/m.so;key=k":                     "token's label",
		"pkcs11:token=t;key=k":                          "absolute path",
		"pkcs11:module=m.so;token=t;key=k":              "absolute path",
		"pkcs11:module=/a/../m.so;token=t;key=k":        "absolute path",
		"pkcs11:module=/m.so;token=t;key=k;":            "has no value",
		"pkcs11:module=/m.so;token=t;key=":              `"key" has no value`,
		"pkcs11:module=/m.so;token=t;key=k;key=l":       "given twice",
		"pkcs11:module=/m.so;token=t;key=k;id=01":       "not by both",
		"pkcs11:module=/m.so;token=t;id=0x01":           "hexadecimal",
		"pkcs11:module=/m.so;token=t;object=k":          `no part "object"`,
		"pkcs11:module=/m.so;token=t;key=k;env=A,,B":    "not the name of a variable",
		"pkcs11:module=/m.so;token=t;key=k;env=PATH":    "already",
		"pkcs11:module=/m.so;token=t;key=k;pin=1234567": "PIN must not be written here",
		"pkcs11:module=/m.so;token=t ;key=k":            "all of them visible",
	} {
		got, err := signer.Parse(in)
		if err == nil || !cmp.Equal(got, signer.Spec{}) || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "file:PATH") || strings.Contains(err.Error(), "1234567") {
			t.Errorf("%.60q: %v, %v; want %q and how it is written", in, got, err, want)
		}
	}
}

func TestASpecOpensItsKeyWithTheSecretThatIsAskedFor(t *testing.T) {
	s := newToken(t)
	s.add(t, "EC:prime256v1", "root", "01")
	file := write(t, keyFile(t, pkcs8(t, 1), underPassphrase(t, lightWork)), 0o600)
	for spec, c := range map[string]struct{ secret, asks string }{
		"file:" + file: {passphrase, "Passphrase of the key file " + file},
		"pkcs11:module=" + s.module + ";token=" + tokenLabel + ";key=root;env=SOFTHSM2_CONF": {pin, "PIN for the key root of the token " + tokenLabel},
	} {
		parsed, err := signer.Parse(spec)
		if err != nil {
			t.Fatal(err)
		}
		var asked []string
		k, err := parsed.Open(t.Context(), func(q string) (string, error) {
			asked = append(asked, q)
			return c.secret, nil
		})
		if err != nil {
			t.Fatal(err)
		}
		signs(t, k)
		if len(asked) != 1 || asked[0] != c.asks {
			t.Errorf("asked %q, want once %q", asked, c.asks)
		}
		k, err = parsed.Open(t.Context(), func(string) (string, error) { return "31415926", nil })
		if k != nil || !errors.Is(err, signer.ErrPassphrase) && !errors.Is(err, signer.ErrPIN) {
			t.Errorf("with a wrong secret: %v, %v", k, err)
		}
		silent := errors.New("no terminal")
		if k, err = parsed.Open(t.Context(), func(string) (string, error) { return "", silent }); k != nil || !errors.Is(err, silent) {
			t.Errorf("without an answer: %v, %v", k, err)
		}
	}
}

func TestNobodyIsAskedForTheSecretOfWhatIsNotThere(t *testing.T) {
	never := func(q string) (string, error) {
		t.Errorf("asked %q", q)
		return "", nil
	}
	for _, s := range []signer.Spec{
		{},
		{Custody: signer.CustodyTPM},
		{Custody: signer.CustodyFile, Path: filepath.Join(t.TempDir(), "none")},
		{Custody: signer.CustodyFile, Path: write(t, nil, 0o644)},
		{Custody: signer.CustodyPKCS11, Token: signer.Config{Module: "/nowhere/m.so", Token: "t", Key: "k"}},
		{Custody: signer.CustodyPKCS11, Token: signer.Config{Module: os.DevNull, Token: "t", Key: "k"}},
		{Custody: signer.CustodyPKCS11},
	} {
		if k, err := s.Open(t.Context(), never); err == nil || k != nil {
			t.Errorf("%s: %v, %v", s, k, err)
		}
	}
}

// FuzzParse: what is accepted is written back as a spec of the same key, and
// holds nothing that cannot be seen.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{"", "file:", "file:/etc/root.key", "pkcs11:module=/m.so;token=t;key=k", "pkcs11:env=A,B;id=0a;token=t;module=/m.so", "pkcs11:module=/m.so;token=t;key=k;pin=1", "pkcs11:;;=", "tpm:"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, in string) {
		s, err := signer.Parse(in)
		if err != nil {
			if strings.ContainsFunc(err.Error(), func(r rune) bool { return r < ' ' || r == 0x7f }) {
				t.Fatalf("the error holds control characters: %q", err)
			}
			return
		}
		again, err := signer.Parse(s.String())
		if err != nil || !cmp.Equal(s, again) {
			t.Fatalf("%q became %q: %v", in, s, err)
		}
		if strings.ContainsFunc(s.String(), func(r rune) bool { return r < ' ' || r == 0x7f }) {
			t.Fatalf("accepted %q", in)
		}
		if s.Token.PIN != "" {
			t.Fatal("a PIN came out of a spec")
		}
	})
}
