package signer_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"sallyport/internal/dsse"
	"sallyport/internal/signer"
	"sallyport/internal/testtool"
)

const (
	tokenLabel = "county root"
	pin        = "59-Zq%83 41"
)

// softToken is a SoftHSM2 token in a folder of the test.
type softToken struct {
	module, tool string
}

func newToken(t *testing.T) *softToken {
	t.Helper()
	s := &softToken{tool: testtool.Need(t, "pkcs11-tool")}
	util := testtool.Need(t, "softhsm2-util")
	for _, pattern := range []string{"/usr/lib/softhsm/libsofthsm2.so", "/usr/lib/*/softhsm/libsofthsm2.so"} {
		if found, _ := filepath.Glob(pattern); len(found) > 0 {
			s.module = found[0]
			break
		}
	}
	if s.module == "" {
		testtool.Unmet(t, "libsofthsm2.so is not installed ('make deps' installs what the tests need)")
	}
	dir := t.TempDir()
	conf := filepath.Join(dir, "softhsm2.conf")
	if err := os.WriteFile(conf, []byte("directories.tokendir = "+dir+"\nlog.level = ERROR\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("SOFTHSM2_CONF", conf)
	testtool.Run(t, util, "--init-token", "--free", "--label", tokenLabel, "--so-pin", "12345678", "--pin", pin)
	return s
}

// add makes a key in the token; no id is given when id is empty.
func (s *softToken) add(t *testing.T, kind, label, id string) {
	t.Helper()
	args := []string{"--module", s.module, "--token-label", tokenLabel, "--login", "--pin", pin, "--keypairgen", "--key-type", kind, "--label=" + label}
	if id != "" {
		args = append(args, "--id", id)
	}
	testtool.Run(t, s.tool, args...)
}

func (s *softToken) config() signer.Config {
	return signer.Config{Module: s.module, Token: tokenLabel, PIN: pin, Env: []string{"SOFTHSM2_CONF"}}
}

func (s *softToken) byLabel(label string) signer.Config {
	c := s.config()
	c.Key = label
	return c
}

func (s *softToken) byID(id string) signer.Config {
	c := s.config()
	c.ID = id
	return c
}

// wrapper writes a shell script that stands where the tool is: it runs script,
// and then the real tool with the arguments it got.
func (s *softToken) wrapper(t *testing.T, script string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "tool")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+script+"\nexec "+s.tool+" \"$@\"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestKeysOfATokenSign(t *testing.T) {
	s := newToken(t)
	long := strings.Repeat("0badc0de", 5) // as long as the SHA-1 that other programs use
	keys := []struct{ label, id string }{{"first", "01"}, {"second", "0203"}, {"-Zweiter Schlüssel; =x", "abcdef0102"}, {"long", long}}
	for _, k := range keys {
		s.add(t, "EC:prime256v1", k.label, k.id)
	}
	seen := map[string]bool{}
	for _, k := range keys {
		one, err := signer.OpenPKCS11(t.Context(), s.byLabel(k.label))
		if err != nil {
			t.Fatal(err)
		}
		signs(t, one)
		two, err := signer.OpenPKCS11(t.Context(), s.byID(k.id))
		if err != nil {
			t.Fatal(err)
		}
		signs(t, two)
		if one.KeyID() != two.KeyID() || seen[one.KeyID()] || one.Custody() != signer.CustodyPKCS11 {
			t.Errorf("the key %q is %s by its label and %s by its id (another had it: %v), custody %q", k.label, one.KeyID(), two.KeyID(), seen[one.KeyID()], one.Custody())
		}
		seen[one.KeyID()] = true
	}
}

func TestFileAndTokenSignOneEnvelope(t *testing.T) {
	s := newToken(t)
	s.add(t, "EC:prime256v1", "root", "01")
	token, err := signer.OpenPKCS11(t.Context(), s.byLabel("root"))
	if err != nil {
		t.Fatal(err)
	}
	file, err := signer.ParsePlain(pkcs8(t, 1))
	if err != nil {
		t.Fatal(err)
	}
	const payloadType = "application/vnd.sallyport.test.v1+json"
	e := &dsse.Envelope{Payload: []byte("{}"), PayloadType: payloadType}
	if err := e.Sign(t.Context(), token, file); err != nil {
		t.Fatal(err)
	}
	data, err := e.Encode()
	if err != nil {
		t.Fatal(err)
	}
	got, err := dsse.Parse(data, payloadType, 1<<16)
	if err != nil {
		t.Fatal(err)
	}
	for i, k := range []signer.Signer{token, file} {
		if sig := got.Signatures[i]; sig.KeyID != k.KeyID() || dsse.VerifyP256(k.Public(), got.Digest(), sig.Sig) != nil {
			t.Errorf("signature %d is not of %v", i, k)
		}
	}
}

func TestAWrongPINIsSaidSoAndNeverShown(t *testing.T) {
	s := newToken(t)
	s.add(t, "EC:prime256v1", "root", "01")
	tries := filepath.Join(t.TempDir(), "tries")
	tool := s.wrapper(t, "echo >> "+tries)
	cfg := s.byLabel("root")
	cfg.PIN = "31415926"
	_, err := signer.OpenWith(t.Context(), cfg, tool)
	if !errors.Is(err, signer.ErrPIN) || strings.Contains(err.Error(), cfg.PIN) {
		t.Errorf("got %v, want ErrPIN without the PIN", err)
	}
	if b, _ := os.ReadFile(tries); len(b) != 1 {
		t.Errorf("a wrong PIN was tried %d times, want once: tokens lock themselves", len(b))
	}
}

func TestKeysThatCannotBeUsed(t *testing.T) {
	s := newToken(t)
	s.add(t, "EC:prime256v1", "root", "01")
	s.add(t, "EC:secp384r1", "p384", "02")
	s.add(t, "rsa:2048", "rsa", "03")
	s.add(t, "EC:edwards25519", "ed", "04")
	s.add(t, "EC:prime256v1", "no id", "")
	s.add(t, "EC:prime256v1", "twins", "05")
	s.add(t, "EC:prime256v1", "twins", "06")
	s.add(t, "EC:prime256v1", "one of two", "07")
	s.add(t, "EC:prime256v1", "two of two", "07")
	for _, c := range []struct {
		name string
		cfg  signer.Config
		want []string
	}{
		{"no such label", s.byLabel("other"), []string{"no such public key", "(id 0", "and 1 more"}},
		{"a part of a label", s.byLabel("roo"), []string{"no such public key"}},
		{"no such id", s.byID("99"), []string{"no such public key"}},
		{"P-384", s.byLabel("p384"), []string{"must be ECDSA P-256", "384 bits"}},
		{"RSA", s.byLabel("rsa"), []string{"must be ECDSA P-256", "RSA 2048 bits", "*rsa.PublicKey"}},
		{"Ed25519", s.byLabel("ed"), []string{"must be ECDSA P-256", "EC_EDWARDS"}},
		{"no id", s.byLabel("no id"), []string{"has no id"}},
		{"two keys of a label", s.byLabel("twins"), []string{"2 such public keys"}},
		{"two keys of an id", s.byLabel("one of two"), []string{"belongs to several"}},
		{"two keys of an id, by it", s.byID("07"), []string{"2 such public keys"}},
	} {
		k, err := signer.OpenPKCS11(t.Context(), c.cfg)
		if err == nil || k != nil {
			t.Errorf("%s: got %v, %v", c.name, k, err)
			continue
		}
		for _, want := range append(c.want, "cannot open the key", tokenLabel) {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v does not say %q", c.name, err, want)
			}
		}
	}
}

func TestWhatIsMissingIsNamed(t *testing.T) {
	s := newToken(t)
	s.add(t, "EC:prime256v1", "root", "01")
	with := func(change func(*signer.Config)) signer.Config {
		c := s.byLabel("root")
		change(&c)
		return c
	}
	library := filepath.Join(t.TempDir(), "library.so")
	if err := os.WriteFile(library, []byte("no library"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		cfg  signer.Config
		want string
	}{
		{"no token of that label", with(func(c *signer.Config) { c.Token = "other" }), "no such token"},
		{"no key of that label", with(func(c *signer.Config) { c.Key = "other" }), `it shows "root" (id 01)`},
		{"no module there", with(func(c *signer.Config) { c.Module = "/nowhere/module.so" }), "no such file"},
		{"a module that is a folder", with(func(c *signer.Config) { c.Module = "/usr/lib" }), "not a plain file"},
		{"a module that is no library", with(func(c *signer.Config) { c.Module = library }), "not one for PKCS#11"},
		{"a relative module", with(func(c *signer.Config) { c.Module = "module.so" }), "absolute path"},
		{"no token", with(func(c *signer.Config) { c.Token = "" }), "token's label"},
		{"token's label too long", with(func(c *signer.Config) { c.Token = strings.Repeat("x", 33) }), "1 to 32 bytes"},
		{"a label that a terminal obeys", with(func(c *signer.Config) { c.Key = "\x1b[2J" }), `\x1b`},
		{"neither label nor id", with(func(c *signer.Config) { c.Key = "" }), "not by both"},
		{"label and id", with(func(c *signer.Config) { c.ID = "01" }), "not by both"},
		{"an id in upper case", with(func(c *signer.Config) { c.Key, c.ID = "", "0A" }), "lower-case"},
		{"half a byte of an id", with(func(c *signer.Config) { c.Key, c.ID = "", "0" }), "lower-case"},
		{"no PIN", with(func(c *signer.Config) { c.PIN = "" }), "the PIN has 0 bytes"},
		{"a PIN with a line end", with(func(c *signer.Config) { c.PIN = "1234\n" }), "control character"},
		{"a variable that is not set", with(func(c *signer.Config) { c.Env = []string{"SALLYPORT_NOT_SET"} }), "is not set"},
		{"a variable that is ours", with(func(c *signer.Config) { c.Env = []string{signer.PinVariable} }), "already"},
		{"a variable twice", with(func(c *signer.Config) { c.Env = []string{"A", "A"} }), "already"},
		{"no name of a variable", with(func(c *signer.Config) { c.Env = []string{"A=B"} }), "not the name"},
	} {
		if _, err := signer.OpenPKCS11(t.Context(), c.cfg); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		} else if strings.ContainsRune(err.Error(), '\x1b') {
			t.Errorf("%s: the error holds an escape sequence: %q", c.name, err)
		}
	}
	if _, err := signer.OpenWith(t.Context(), s.byLabel("root"), "/nowhere/pkcs11-tool"); err == nil || !strings.Contains(err.Error(), "package opensc") {
		t.Errorf("without the tool: %v", err)
	}
}

// What the kernel shows of each run is recorded by a script in the tool's place.
func TestThePINIsInTheEnvironmentAloneAndNothingElseOfOursIs(t *testing.T) {
	s := newToken(t)
	s.add(t, "EC:prime256v1", "root", "01")
	t.Setenv("SALLYPORT_LEAK", "leak")
	t.Setenv("LD_PRELOAD", "")
	dir := t.TempDir()
	tmp := filepath.Join(dir, "tmp")
	if err := os.Mkdir(tmp, 0o777); err != nil {
		t.Fatal(err)
	}
	t.Setenv("TMPDIR", tmp)
	tool := s.wrapper(t, fmt.Sprintf("cat /proc/$$/cmdline >> %[1]s/argv; tr '\\0' '\\n' < /proc/$$/environ >> %[1]s/env; readlink /proc/$$/fd/0 /proc/$$/cwd >> %[1]s/in; stat -c '%%a' %[2]s/* >> %[1]s/modes; set -- $(cat /proc/$$/stat) \"$@\"; [ $1 = $6 ] && echo own >> %[1]s/session; while [ \"$1\" != --module=%[3]s ]; do shift; done", dir, tmp, s.module))
	k, err := signer.OpenWith(t.Context(), s.byLabel("root"), tool)
	if err != nil {
		t.Fatal(err)
	}
	signs(t, k)
	read := func(name string) string {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	argv := read("argv")
	if strings.Contains(argv, pin) || strings.Count(argv, "--pin=env:"+signer.PinVariable) != 3 {
		t.Errorf("the arguments of three runs are %q", argv)
	}
	var names []string
	env := read("env")
	for _, line := range strings.Split(strings.TrimSpace(env), "\n") {
		name, _, _ := strings.Cut(line, "=")
		names = append(names, name)
	}
	slices.Sort(names)
	want := []string{"LANG", "LC_ALL", "PATH", signer.PinVariable, "SOFTHSM2_CONF"}
	if os.Getenv("HOME") != "" {
		want = append([]string{"HOME"}, want...)
	}
	if names = slices.Compact(names); !slices.Equal(names, want) {
		t.Errorf("the tool's environment holds %q, want %q", names, want)
	}
	if strings.Count(env, signer.PinVariable+"="+pin+"\n") != 3 || !strings.Contains(env, "PATH=/usr/bin:/bin\n") {
		t.Errorf("the environment of three runs is %q", env)
	}
	if in := read("in"); strings.Count(in, "/dev/null\n/\n") != 3 {
		t.Errorf("standard input and folder of three runs are %q", in)
	}
	if session := read("session"); session != "own\nown\nown\n" {
		t.Error("the tool runs in our session, and can ask at our terminal")
	}
	// The list needs no files; the other two runs have a folder each.
	if modes := read("modes"); modes != "700\n700\n" {
		t.Errorf("the modes of the folders are %q", modes)
	}
	if left, _ := filepath.Glob(tmp + "/*"); len(left) != 0 {
		t.Errorf("files are left: %v", left)
	}
	// The real tool is started in the same way.
	cmd, err := signer.Command(t.Context(), s.byLabel("root"), "--sign")
	if err != nil || cmd.Path != "/usr/bin/pkcs11-tool" || strings.Contains(strings.Join(cmd.Args, " "), pin) {
		t.Errorf("the command is %v (%v)", cmd, err)
	}
}

func TestATokenThatSignsOtherwiseIsFoundOut(t *testing.T) {
	s := newToken(t)
	s.add(t, "EC:prime256v1", "root", "01")
	s.add(t, "EC:prime256v1", "other", "02")
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	digest := sha256.Sum256(nil)
	for name, c := range map[string]struct{ script, want string }{
		"with another key":     {`shift 7; exec ` + s.tool + ` --module=` + s.module + ` --token-label='` + tokenLabel + `' --login --pin=env:` + signer.PinVariable + ` --sign --mechanism=ECDSA --id=02 "$@"`, "does not verify"},
		"zeros":                {`head -c 64 /dev/zero > "$out"; exit 0`, "outside 1 to n-1"},
		"the largest numbers":  {`head -c 64 /dev/zero | tr '\0' '\377' > "$out"; exit 0`, "outside 1 to n-1"},
		"a byte less":          {`head -c 63 /dev/urandom > "$out"; exit 0`, "of 63 bytes"},
		"too much":             {`head -c 65 /dev/urandom > "$out"; exit 0`, "more than 64 bytes"},
		"nothing":              {`: > "$out"; exit 0`, "of 0 bytes"},
		"without a file":       {`exit 0`, "wrote nothing"},
		"a link to elsewhere":  {`ln -s /nowhere "$out"; exit 0`, "wrote nothing"},
		"with an error":        {`printf 'error: \033[2Jbad\nAborting.\n' >&2; exit 3`, `pkcs11-tool says: error: \x1b[2Jbad (exit status 3)`},
		"with an error silent": {`exit 3`, "it wrote nothing (exit status 3)"},
		"and shows the PIN":    {`echo "no login with '$SALLYPORT_TOKEN_PIN'" >&2; exit 1`, "no login with '[PIN]'"},
		"and dies":             {`kill -SEGV $$`, "signal: segmentation fault"},
		"and talks on":         {`exec yes`, "wrote more than 1048576 bytes"},
		"and complains on":     {`exec yes >&2`, "wrote more than 1048576 bytes"},
		"and locks itself":     {`echo 'error: PKCS11 function C_Login failed: rv = CKR_PIN_LOCKED (0xa4)' >&2; exit 1`, "is locked"},
	} {
		tool := s.wrapper(t, `case "$*" in *--sign*) out=${*##*--output-file=}`+"\n"+c.script+"\n;; esac")
		k, err := signer.OpenWith(t.Context(), s.byLabel("root"), tool)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		der, err := k.Sign(t.Context(), digest)
		if err == nil || der != nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), pin) {
			t.Errorf("a token that signs %s: %x, %v; want %q", name, der, err, c.want)
		}
	}
	if left, _ := filepath.Glob(tmp + "/*"); len(left) != 0 {
		t.Errorf("files are left: %v", left)
	}
}

func TestTheContextEndsTheTool(t *testing.T) {
	s := newToken(t)
	s.add(t, "EC:prime256v1", "root", "01")
	dir := t.TempDir()
	started := filepath.Join(dir, "started")
	if err := unix.Mkfifo(started, 0o600); err != nil {
		t.Fatal(err)
	}
	tool := s.wrapper(t, `case "$*" in *--sign*) echo $$ > `+started+`; exec sleep 600;; esac`)
	k, err := signer.OpenWith(t.Context(), s.byLabel("root"), tool)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	failed := make(chan error, 1)
	go func() {
		_, err := k.Sign(ctx, [32]byte{1})
		failed <- err
	}()
	pid, err := os.ReadFile(started) // waits for the tool
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := <-failed; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want the context's error", err)
	}
	if _, err := os.Stat("/proc/" + strings.TrimSpace(string(pid))); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the tool still runs (%v)", err)
	}
	if _, err := signer.OpenPKCS11(ctx, s.byLabel("root")); !errors.Is(err, context.Canceled) {
		t.Errorf("opened after the end: %v", err)
	}
}

func TestPINAndKeyAreNotPrinted(t *testing.T) {
	c := signer.Config{Module: "/m.so", Token: "t", Key: "k", PIN: pin}
	s := signer.Spec{Custody: signer.CustodyPKCS11, Token: c}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
		for _, v := range []any{c, &c, s, &s, []any{c}} {
			if out := fmt.Sprintf(verb, v); strings.Contains(out, pin) {
				t.Errorf("%s of a %T prints %s", verb, v, out)
			}
		}
	}
}

// Recorded from version 0.23, and made from the source of the coming one.
const (
	listing23 = `Public Key Object; EC  EC_POINT 256 bits
  EC_POINT:   04410482e763dcffe8be1b2b9baf7a52b96176d7204455dfe01146c332867596b803e57ba18c48e3406b07df3660085b5f56ed247fd535e79be7eba937abd48849efbd
  EC_PARAMS:  06082a8648ce3d030107
  label:      k1
  ID:         0304
  Usage:      encrypt, verify, wrap, derive
  Access:     local
Public Key Object; RSA 2048 bits
  label:      no id: none
  Usage:      encrypt, verify, wrap
  Access:     local
Private Key Object; EC
  label:      private
  ID:         09
Public Key Object; EC  EC_POINT 384 bits
  ID:         0badc0de0badc0de0badc0de0badc0de0badc0de
`
	listingNew = `Public Key Object; EC  EC_POINT 256 bits
  EC_POINT:   04:41:04:82:e7:63:dc:ff:e8:be:1b:2b:9b:af:7a:52
              b9:61:76:d7
  EC_PARAMS:  06:08:2a:86:48:ce:3d:03:01:07 (OID 1.2.840.10045.3.1.7)
  label:      k1
  ID:         772 (0x03:04)
  Usage:      encrypt, verify, wrap, derive
  Access:     local
  uri:        pkcs11:model=x;id=%03%04;object=k1;type=public
Public Key Object; RSA 2048 bits
  label:      no id: none
  Usage:      encrypt, verify, wrap
Public Key Object; EC  EC_POINT 384 bits
  ID:         0b:ad:c0:de:0b:ad:c0:de:0b:ad:c0:de:0b:ad:c0:de
              0b:ad:c0:de
  Usage:      verify
`
)

func TestTheListsOfOldAndNewToolsAreUnderstood(t *testing.T) {
	want := [][3]string{
		{"k1", "0304", "EC  EC_POINT 256 bits"},
		{"no id: none", "", "RSA 2048 bits"},
		{"", strings.Repeat("0badc0de", 5), "EC  EC_POINT 384 bits"},
	}
	for name, list := range map[string]string{"0.23": listing23, "new": listingNew, "new, CRLF": strings.ReplaceAll(listingNew, "\n", "\r\n")} {
		if got := signer.Listing([]byte(list)); !slices.Equal(got, want) {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
}

// FuzzListing: whatever a token's labels make of the list, an id is one that can
// be given to the tool as an argument.
func FuzzListing(f *testing.F) {
	f.Add([]byte(listing23))
	f.Add([]byte(listingNew))
	f.Add([]byte("Public Key Object; x\n  label:      a\n  ID:         01\n  ID:         02\n              03\n"))
	f.Fuzz(func(t *testing.T, out []byte) {
		for _, k := range signer.Listing(out) {
			id := k[1]
			if strings.Trim(id, "0123456789abcdef") != "" || len(id)%2 != 0 || len(id) > 128 {
				t.Fatalf("the id %q of %q", id, k[0])
			}
			if id == "" {
				continue
			}
			if _, err := signer.Parse("pkcs11:module=/m;token=t;id=" + id); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// FuzzSignature: 64 bytes become the DER of the same two numbers, and nothing
// else becomes anything.
func FuzzSignature(f *testing.F) {
	f.Add(make([]byte, 64))
	f.Add(bytes.Repeat([]byte{0xff}, 64))
	f.Add(append(make([]byte, 63), 0x80))
	f.Add([]byte{1})
	f.Fuzz(func(t *testing.T, raw []byte) {
		der, err := signer.EncodeSignature(raw)
		if (err == nil) != (len(raw) == 64) {
			t.Fatalf("%d bytes: %v", len(raw), err)
		}
		if err != nil {
			return
		}
		var sig struct{ R, S *big.Int }
		rest, err := asn1.Unmarshal(der, &sig)
		if err != nil || len(rest) != 0 {
			t.Fatalf("%x is not one DER value: %v", der, err)
		}
		got := append(sig.R.FillBytes(make([]byte, 32)), sig.S.FillBytes(make([]byte, 32))...)
		if !bytes.Equal(got, raw) {
			t.Fatalf("%x became %x", raw, got)
		}
	})
}

// FuzzComplaint: whatever a tool and its module write, in whatever pieces, the
// error does not hold the PIN, is short and can be shown.
func FuzzComplaint(f *testing.F) {
	f.Add([]byte("error: PKCS11 function C_Login failed: rv = CKR_PIN_INCORRECT (0xa0)\nAborting.\n"), 7)
	f.Add([]byte("login with "+pin+"\n"), 3)
	f.Add([]byte(strings.Repeat("x", 5000)+pin), 100)
	f.Add([]byte(strings.Repeat(pin, 1000)), 4096)
	f.Add([]byte("\x1b[2J\n"), 1)
	f.Add([]byte("\xb5"+pin[1:]+"\n"), 1) // escaping makes a PIN of it
	f.Fuzz(func(t *testing.T, out []byte, size int) {
		if size < 1 {
			size = 1
		}
		err := signer.Complaint(slices.Collect(slices.Chunk(out, size)), pin)
		text := err.Error()
		if strings.Contains(text, pin) || len(text) > 4*512+500 {
			t.Fatalf("the error is %q", text)
		}
		if strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f }) {
			t.Fatalf("the error holds control characters: %q", text)
		}
	})
}
