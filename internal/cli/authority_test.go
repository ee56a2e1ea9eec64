package cli_test

import (
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sallyport/internal/testoffice"
	"sallyport/internal/testtool"
	"sallyport/internal/tpm/tpmtest"
)

// root is the file of an authority that was founded for a test.
func found(t *testing.T, a *testoffice.Station, args ...string) (root, shown string) {
	t.Helper()
	root = filepath.Join(t.TempDir(), "root.json")
	shown = must(t, a, append([]string{"authority", "init", "--out", root}, args...)...)
	return root, shown
}

// answered takes a new source station through the challenge of an authority.
func answered(t *testing.T, o *testoffice.Office, a *testoffice.Station, root, id string) (s *testoffice.Station, answer string) {
	t.Helper()
	s = newStation(t, o, id, "source")
	must(t, s, "init", "--root", root)
	answer, err := o.Answer(a, s)
	if err != nil {
		t.Fatal(err)
	}
	return s, answer
}

// TestThreeHolders: an authority whose root is held by its own TPM, an encrypted
// file and a PKCS#11 token, two of which must sign.
func TestThreeHolders(t *testing.T) {
	o := office(t)
	a := newStation(t, o, "board", "authority")
	must(t, a, "init")
	dir := t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	passphrase := write(t, file("passphrase"), []byte("correct horse battery staple\r\nnot this line\n"))

	// A holder's machine has no station and no configuration.
	made := call(t, "authority", "new-key", "--out", file("clerk.key"), "--secret-file", passphrase)
	if made.status != 0 || !strings.Contains(made.out, "wrote "+file("clerk.key")) || !strings.Contains(made.out, "can sign; a key in a TPM cannot be copied") {
		t.Fatalf("exit status %d: %s%s", made.status, made.out, made.err)
	}
	clerk := []string{"--key", "file:" + file("clerk.key"), "--secret-file", passphrase}
	wrote := call(t, append([]string{"authority", "key", "--holder", "clerk", "--out", file("clerk.signer")}, clerk...)...)
	_, id, _ := strings.Cut(made.out, "\nkey  ")
	id, _, _ = strings.Cut(id, "\n")
	if wrote.status != 0 || len(id) != 64 || !strings.Contains(wrote.out, "fingerprint, to be compared by people: "+id) {
		t.Fatalf("exit status %d: %s%s", wrote.status, wrote.out, wrote.err)
	}
	token := newToken(t)
	if r := call(t, append([]string{"authority", "key", "--holder", "judge", "--out", file("judge.signer")}, token...)...); r.status != 0 {
		t.Fatalf("exit status %d: %s%s", r.status, r.out, r.err)
	}

	root, shown := found(t, a, file("clerk.signer"), file("judge.signer"), "--threshold", "2")
	for _, says := range []string{"root version 1: 2 of 3 holders must sign", "board  key", "in a TPM; approves boot states", "clerk  key " + id[:16] + "…, in an encrypted FILE, by its holder's account\n", "in a PKCS#11 token, by its holder's account", "fingerprint, to be compared", "sallyport init --root"} {
		if !strings.Contains(shown, says) {
			t.Errorf("%q is not in %s", says, shown)
		}
	}
	s, answer := answered(t, o, a, root, "three-holders")
	shown = must(t, a, "authority", "admit", answer+"=media-set", "--out", file("draft"))
	if !strings.Contains(shown, "needs more signatures") || !strings.Contains(shown, "sallyport authority sign") {
		t.Error(shown)
	}
	if r := at(t, s, "trust", "install", file("draft")); r.status != 1 || !strings.Contains(r.err, "1 of the authority's keys signed, 2 must") {
		t.Errorf("a draft is installed: exit status %d: %s", r.status, r.err)
	}
	if r := at(t, a, "authority", "publish", "--out", dir); r.status != 5 || !strings.Contains(r.err, "trust-missing") {
		t.Errorf("a draft is published: exit status %d: %s", r.status, r.err)
	}
	shown = must(t, a, "authority", "status")
	for _, says := range []string{"no trust bundle is installed here", "draft of version 1", "signed by board; 1 signature missing"} {
		if !strings.Contains(shown, says) {
			t.Errorf("%q is not in %s", says, shown)
		}
	}
	for name, key := range map[string][]string{"clerk": clerk, "judge": token} {
		r := call(t, append([]string{"--json", "authority", "sign", file("draft"), "--root", root, "--out", file(name + ".bundle")}, key...)...)
		if r.status != 0 || document(t, r.out)["complete"] != true {
			t.Errorf("%s: exit status %d: %s%s", name, r.status, r.out, r.err)
		}
	}
	must(t, s, "trust", "install", file("judge.bundle"))
	must(t, s, "trust", "install", file("clerk.bundle")) // the same bundle, by other holders
	must(t, a, "trust", "install", file("clerk.bundle"))
	shown = must(t, s, "trust", "show")
	for _, says := range []string{"trust bundle version 1, 1 station", "2 of 3 holders must sign", "in an encrypted FILE", "in a PKCS#11 token", "in a TPM; approves boot states", "whose endorsement key people compared (SOFTWARE"} {
		if !strings.Contains(shown, says) {
			t.Errorf("%q is not in %s", says, shown)
		}
	}
	t.Run("mistakes", func(t *testing.T) { wrongSignatures(t, a, file("draft"), root, clerk, passphrase) })
}

// wrongSignatures are the ways in which a holder gets it wrong; nothing is
// written then.
func wrongSignatures(t *testing.T, a *testoffice.Station, draft, root string, clerk []string, passphrase string) {
	dir := t.TempDir()
	wrong, short := write(t, filepath.Join(dir, "wrong"), []byte("incorrect horse")), write(t, filepath.Join(dir, "short"), []byte("horse\n"))
	key := clerk[:2]
	out := filepath.Join(dir, "out")
	sign := []string{"authority", "sign", draft, "--out", out}
	with := func(args ...[]string) []string {
		all := append([]string{}, sign...)
		for _, more := range args {
			all = append(all, more...)
		}
		return all
	}
	open := filepath.Join(dir, "open.key")
	data, err := os.ReadFile(strings.TrimPrefix(key[1], "file:"))
	if err != nil {
		t.Fatal(err)
	}
	write(t, open, data) // which everybody can read
	for _, c := range []struct {
		name   string
		args   []string
		status int
		says   string
	}{
		{"without the root", with(clerk), 2, "--root FILE ('sallyport trust root' writes it)"},
		{"with another root", with(clerk, []string{"--root", draft}), 1, "trust root"},
		{"with a wrong passphrase", with(key, []string{"--secret-file", wrong, "--root", root}), 2, "the passphrase is wrong"},
		{"without a terminal", with(key, []string{"--root", root}), 2, "--secret-file"},
		{"with no such file", with(key, []string{"--secret-file", dir + "/none", "--root", root}), 2, "passphrase"},
		{"with no such key", with([]string{"--key", "file:" + dir + "/none", "--root", root}, []string{"--secret-file", passphrase}), 2, "no such file"},
		{"with a key of what kind", with([]string{"--key", "clerk.key", "--root", root}), 2, "'file:PATH' or 'pkcs11:module="},
		{"with a PIN in the open", with([]string{"--key", "pkcs11:module=/x;token=t;key=k;pin=1234", "--root", root}), 2, "a PIN must not be written here"},
		{"with a key that all can read", with([]string{"--key", "file:" + open, "--secret-file", passphrase, "--root", root}), 2, "chmod"},
		{"of nobody", []string{"authority", "key", "--key", key[1], "--secret-file", passphrase, "--out", out}, 2, "--holder NAME"},
		{"under a short passphrase", []string{"authority", "new-key", "--out", out, "--secret-file", short}, 2, "12"},
		{"over a file", []string{"authority", "new-key", "--out", draft, "--secret-file", passphrase}, 2, "exists already"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := call(t, c.args...)
			if r.status != c.status || !strings.Contains(r.err, c.says) {
				t.Errorf("exit status %d, want %d and %q: %s", r.status, c.status, c.says, r.err)
			}
			if strings.Contains(r.err, "1234") || strings.Contains(r.err, "horse") {
				t.Errorf("a secret is shown: %s", r.err)
			}
			if _, err := os.Lstat(out); err == nil {
				t.Error("something was written")
			}
		})
	}
	if r := at(t, a, "authority", "sign", draft, "--out", out); r.status != 1 || !strings.Contains(r.err, "is installed here") {
		t.Errorf("signing what is installed: exit status %d: %s", r.status, r.err)
	}
	next := dir + "/next.dsse.json"
	must(t, a, "authority", "reissue", "--out", next)
	if r := at(t, a, "authority", "sign", next, "--out", out); r.status != 2 || !strings.Contains(r.err, "has signed it already") {
		t.Errorf("signing twice: exit status %d: %s", r.status, r.err)
	}
}

// newToken makes a SoftHSM2 token with a key, and returns the flags that name it.
func newToken(t *testing.T) []string {
	t.Helper()
	util := testtool.Need(t, "softhsm2-util")
	var module string
	for _, pattern := range []string{"/usr/lib/softhsm/libsofthsm2.so", "/usr/lib/*/softhsm/libsofthsm2.so"} {
		if found, _ := filepath.Glob(pattern); len(found) > 0 {
			module = found[0]
		}
	}
	if module == "" {
		testtool.Unmet(t, "libsofthsm2.so is not installed ('make deps' installs what the tests need)")
	}
	dir := t.TempDir()
	conf := write(t, filepath.Join(dir, "softhsm2.conf"), []byte("directories.tokendir = "+dir+"\nlog.level = ERROR\n"))
	t.Setenv("SOFTHSM2_CONF", conf)
	testtool.Run(t, util, "--init-token", "--free", "--label", "judge", "--so-pin", "12345678", "--pin", tokenPIN)
	testtool.Run(t, "pkcs11-tool", "--module", module, "--token-label", "judge", "--login", "--pin", tokenPIN, "--keypairgen", "--key-type", "EC:prime256v1", "--label=root", "--id", "01")
	return []string{"--key", "pkcs11:module=" + module + ";token=judge;key=root;env=SOFTHSM2_CONF", "--secret-file", write(t, filepath.Join(dir, "pin"), []byte(tokenPIN+"\n"))}
}

const tokenPIN = "59-Zq%83 41"

// TestChallengeNeedsToKnowTheTPM: what is wrong with how the authority says that
// it knows the TPM is told, and a folder with the makers' certificates is read as
// people keep it.
func TestChallengeNeedsToKnowTheTPM(t *testing.T) {
	o := office(t)
	dir := t.TempDir()
	maker := tpmtest.NewMaker(t)
	s := newStation(t, o, "by-certificate", "source")
	useTPM(t, s, maker.NewTPM())
	must(t, s, "init", "--root", o.Dir+"/root.json")
	request := filepath.Join(dir, "request.json")
	if shown := must(t, s, "station", "request", "--out", request); strings.Contains(shown, "print this page") {
		t.Errorf("a TPM with a certificate: %s", shown)
	}
	folder := func(files map[string][]byte) string {
		d := t.TempDir()
		for name, data := range files {
			write(t, filepath.Join(d, name), data)
		}
		return d
	}
	var both, der []byte
	for _, c := range maker.Authorities() {
		both = append(both, "A certificate of a maker:\n"...)
		both = append(both, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})...)
		der = c.Raw
	}
	var others []byte
	stranger := tpmtest.NewMaker(t)
	stranger.NewTPM()
	for _, c := range stranger.Authorities() {
		others = append(others, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})...)
	}
	withFolder := folder(map[string][]byte{"maker.pem": both})
	if err := os.Mkdir(filepath.Join(withFolder, "old"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name   string
		args   []string
		status int
		says   string
	}{
		{"not said", nil, 2, "say how you know the TPM"},
		{"said twice", []string{"--ek-ca", withFolder, "--ek-sha256", "00"}, 2, "say how you know the TPM"},
		{"no folder", []string{"--ek-ca", dir + "/none"}, 2, "no such file"},
		{"a file", []string{"--ek-ca", request}, 2, "cannot read the certificates"},
		{"an empty folder", []string{"--ek-ca", folder(nil)}, 2, "holds no certificate of a TPM maker"},
		{"not a certificate", []string{"--ek-ca", folder(map[string][]byte{"a.der": []byte("x")})}, 2, "a.der holds no certificate"},
		{"a key", []string{"--ek-ca", folder(map[string][]byte{"key.pem": pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: []byte{1}})})}, 2, "holds no certificate of a TPM maker"},
		{"a damaged certificate", []string{"--ek-ca", folder(map[string][]byte{"a.pem": pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte{1}})})}, 2, "cannot be read"},
		{"the issuer alone", []string{"--ek-ca", folder(map[string][]byte{"a.der": der})}, 1, "signer-unknown"},
		{"another maker", []string{"--ek-ca", folder(map[string][]byte{"a.pem": others})}, 1, "signer-unknown"},
		{"not a digest", []string{"--ek-sha256", "none"}, 1, "given as none"},
		{"the maker, several to a file", []string{"--ek-ca", withFolder}, 0, "its maker's certificate"},
	} {
		t.Run(c.name, func(t *testing.T) {
			out := filepath.Join(t.TempDir(), "challenge.json")
			r := at(t, o.Authority, append([]string{"authority", "challenge", request, "--out", out}, c.args...)...)
			if r.status != c.status || !strings.Contains(r.out+r.err, c.says) {
				t.Errorf("exit status %d, want %d and %q: %s%s", r.status, c.status, c.says, r.out, r.err)
			}
			if _, err := os.Lstat(out); (err == nil) != (c.status == 0) {
				t.Errorf("a challenge was written: %v", err == nil)
			}
		})
	}
}

// useTPM gives a station that is not initialised another TPM.
func useTPM(t *testing.T, s *testoffice.Station, p *tpmtest.Process) {
	t.Helper()
	cfg, err := os.ReadFile(s.File("sallyport.toml"))
	if err != nil {
		t.Fatal(err)
	}
	write(t, s.File("sallyport.toml"), []byte(strings.Replace(string(cfg), `"swtpm:tpm.sock"`, `"`+p.Addr+`"`, 1)))
}

// TestDeskUsage: mistakes at the desk are told before anything is done.
func TestDeskUsage(t *testing.T) {
	o := office(t)
	bare := newStation(t, o, "no-root", "authority")
	must(t, bare, "init")
	dir := t.TempDir()
	out := filepath.Join(dir, "out")
	request := filepath.Join(dir, "request.json")
	must(t, o.Source, "station", "request", "--out", request)
	answer := write(t, filepath.Join(dir, "a=b"), []byte("{}"))
	for _, c := range []struct {
		name   string
		at     *testoffice.Station
		args   []string
		status int
		says   []string
	}{
		{"a draft without a root", bare, []string{"reissue", "--out", out}, 2, []string{"no root yet", "authority init", "authority adopt"}},
		{"a rotation without a root", bare, []string{"rotate", "--out", out}, 2, []string{"no root yet"}},
		{"a signature without a root", bare, []string{"sign", o.Dir + "/trust.dsse.json", "--out", out}, 2, []string{"no root yet"}},
		{"a challenge without a root", bare, []string{"challenge", request, "--ek-sha256", "00", "--out", out}, 2, []string{"no root yet"}},
		{"publishing without a bundle", bare, []string{"publish", "--out", out}, 5, []string{"trust-missing"}},
		{"a second root", o.Authority, []string{"init", "--out", out}, 2, []string{"this station has one", "authority rotate"}},
		{"another root", o.Authority, []string{"adopt", o.Dir + "/root.json.elsewhere"}, 2, []string{"none of its keys"}},
		{"what is no root", o.Authority, []string{"adopt", request}, 1, []string{"trust root"}},
		{"too high a threshold", bare, []string{"init", "--threshold", "2", "--out", out}, 2, []string{"threshold: is 2, must be 1 to 1"}},
		{"an answer in a folder with a =", o.Authority, []string{"admit", answer + "=media-set", "--out", out}, 1, []string{"enrolment answer"}},
		{"two stations that take over", o.Authority, []string{"admit", "x=none", "y=none", "--replace", "--out", out}, 2, []string{"give one answer"}},
		{"a number for nothing", o.Authority, []string{"admit", "x=none", "--revoke-after", "3", "--out", out}, 2, []string{"--replace"}},
		{"no change", o.Authority, []string{"change", "ems-1", "--out", out}, 2, []string{"say what changes"}},
		{"no number", o.Authority, []string{"revoke", "ems-1", "--out", out}, 2, []string{"--after"}},
		{"nobody", o.Authority, []string{"revoke", "nobody", "--after", "0", "--out", out}, 2, []string{`"nobody" is not enrolled`}},
		{"a kind that the role never seals", o.Authority, []string{"change", "ems-1", "--kinds", "media-set", "--out", out}, 2, []string{"ems-1", "never seals"}},
		{"an election that is none", o.Authority, []string{"change", "ems-1", "--elections", "*", "--out", out}, 2, []string{"no wildcard"}},
		{"a kind that is none", o.Authority, []string{"hybrid", "votes", "--out", out}, 2, []string{"votes", "cvr-export"}},
		{"what is no measurement", o.Authority, []string{"approve", request, "--out", out}, 1, []string{"measurement"}},
		{"the boot key of nobody", o.Authority, []string{"rotate", "--boot-holder", "nobody", "--out", out}, 2, []string{"nobody"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := at(t, c.at, append([]string{"authority"}, c.args...)...)
			if r.status != c.status || r.out != "" || !strings.HasPrefix(r.err, "sallyport: ") {
				t.Errorf("exit status %d, want %d: %s%s", r.status, c.status, r.out, r.err)
			}
			for _, words := range c.says {
				if !strings.Contains(r.err, words) {
					t.Errorf("%q is not in %q", words, r.err)
				}
			}
			if strings.Contains(r.err, "Ask the sender to seal the package again") && c.status == 2 {
				t.Errorf("the advice is about something else: %s", r.err)
			}
			if _, err := os.Lstat(out); err == nil {
				t.Error("something was written")
			}
		})
	}
	if shown := must(t, bare, "authority", "status"); !strings.Contains(shown, "no root yet") {
		t.Error(shown)
	}
}

// TestRotationAtTheDesk: the next root is drafted, signed, installed and
// published by the words that the commands themselves print.
func TestRotationAtTheDesk(t *testing.T) {
	o := office(t)
	a, second := newStation(t, o, "rotating", "authority"), newStation(t, o, "rotating-2", "authority")
	must(t, a, "init")
	must(t, second, "init")
	root, _ := found(t, a)
	s, answer := answered(t, o, a, root, "rotated")
	dir := t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	must(t, a, "authority", "admit", answer+"=media-set", "--out", file("bundle-1"))
	must(t, s, "trust", "install", file("bundle-1"))
	must(t, second, "authority", "key", "--out", file("second.signer"))
	shown := must(t, a, "authority", "rotate", file("second.signer"), "--threshold", "2", "--image", file("rotation.img"))
	if !strings.Contains(shown, "a medium with the file root-2.dsse.json") || !strings.Contains(shown, "needs more signatures") {
		t.Error(shown)
	}
	// The second station has no root yet: it is given the present one.
	if r := at(t, second, "authority", "sign", "--medium", file("rotation.img"), "root-2.dsse.json", "--image", file("signed.img")); r.status != 2 || !strings.Contains(r.err, "no root yet") {
		t.Errorf("exit status %d: %s%s", r.status, r.out, r.err)
	}
	shown = must(t, second, "authority", "sign", "--medium", file("rotation.img"), "root-2.dsse.json", "--root", root, "--image", file("signed.img"))
	for _, says := range []string{"a medium with the file root-2.dsse.json", "all the signatures", "trust install", "authority reissue"} {
		if !strings.Contains(shown, says) {
			t.Errorf("%q is not in %s", says, shown)
		}
	}
	// The file has to keep its name.
	renamed := write(t, file("next-root"), onlyFile(t, file("signed.img"), "root-2.dsse.json"))
	if r := at(t, a, "trust", "install", renamed); r.status != 2 || !strings.Contains(r.err, "is a rotation of the root: give it its name, such as root-2.dsse.json") {
		t.Errorf("exit status %d: %s", r.status, r.err)
	}
	must(t, a, "trust", "install", "--medium", file("signed.img"), "root-2.dsse.json")
	if r := at(t, a, "authority", "publish", "--out", dir); r.status != 2 || !strings.Contains(r.err, "authority reissue") {
		t.Errorf("published under the old root: exit status %d: %s", r.status, r.err)
	}
	must(t, a, "trust", "root", "--out", file("root-2.json"))
	must(t, second, "authority", "adopt", file("root-2.json"))
	must(t, a, "authority", "reissue", "--out", file("bundle-2"))
	must(t, second, "authority", "sign", file("bundle-2"), "--out", file("bundle-2-signed"))
	must(t, a, "trust", "install", file("bundle-2-signed"))
	must(t, a, "authority", "publish", "--image", file("published.img"))
	if shown := must(t, s, "intake", file("published.img")); !strings.Contains(shown, "ACCEPTED") {
		t.Error(shown)
	}
	if shown := must(t, s, "trust", "show"); !strings.Contains(shown, "trust bundle version 2") || !strings.Contains(shown, "root version 2: 2 of 2 holders") {
		t.Error(shown)
	}
}
