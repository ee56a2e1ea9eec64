package verifycmd_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"sallyport/internal/audit"
	"sallyport/internal/translog"
	"sallyport/internal/verifycmd"
)

const origin = "sallyport.example/ems-1"

type softKey struct{ key *ecdsa.PrivateKey }

func (s softKey) KeyID() string            { return "" }
func (s softKey) Public() *ecdsa.PublicKey { return &s.key.PublicKey }
func (s softKey) Sign(_ context.Context, digest [32]byte) ([]byte, error) {
	return s.key.Sign(nil, digest[:], crypto.SHA256)
}

func newKey(t *testing.T, file string) softKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	writeKey(t, file, &k.PublicKey)
	return softKey{k}
}

func writeKey(t *testing.T, file string, pub any) {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(pub)
	if err != nil {
		t.Fatal(err)
	}
	write(t, file, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}

func write(t *testing.T, file string, b []byte) {
	t.Helper()
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// fixture is a folder with a log, the key that sealed it and another key.
type fixture struct {
	dir, log, key, other, witness string
}

func newFixture(t *testing.T) fixture {
	t.Helper()
	dir := t.TempDir()
	f := fixture{dir, filepath.Join(dir, "log"), filepath.Join(dir, "key.pem"), filepath.Join(dir, "other.pem"), filepath.Join(dir, "witness")}
	key := newKey(t, f.key)
	newKey(t, f.other)
	if err := translog.Create(f.log, origin, translog.Options{}); err != nil {
		t.Fatal(err)
	}
	l, err := translog.Open(f.log, translog.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	r, err := audit.Open(t.Context(), l, key, audit.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for range 5 {
		if err := r.Event(t.Context(), audit.Event{ID: audit.StationStart, Fields: map[string]string{"version": "\x1b[31mred"}}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := r.Intent(t.Context(), audit.Event{ID: audit.PackageAdmit, Subject: audit.Subject{Package: "p1"}}); err != nil {
		t.Fatal(err)
	}
	if err := r.Checkpoint(t.Context()); err != nil {
		t.Fatal(err)
	}
	write(t, f.witness, r.LastCheckpoint())
	if err := r.Event(t.Context(), audit.Event{ID: audit.StationStop}); err != nil {
		t.Fatal(err)
	}
	return f
}

func run(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var o, e bytes.Buffer
	code = verifycmd.Main(t.Context(), args, &o, &e)
	return code, o.String(), e.String()
}

// flip changes one byte of entry 3.
func (f fixture) flip(t *testing.T) {
	t.Helper()
	seg := filepath.Join(f.log, "00000000000000000000.seg")
	b, err := os.ReadFile(seg)
	if err != nil {
		t.Fatal(err)
	}
	at := bytes.Index(b, []byte(`{"seq":3`))
	b[at+2] ^= 1
	write(t, seg, b)
}

func TestExitCodesAndWords(t *testing.T) {
	for name, c := range map[string]struct {
		prepare func(t *testing.T, f fixture)
		args    func(f fixture) []string
		code    int
		says    []string
	}{
		"intact":           {code: 0, says: []string{"INTACT", "Not yet sealed  1", "entry 6: package.admit has no outcome (package p1)"}},
		"with its witness": {args: func(f fixture) []string { return []string{"log", f.log, "--key", f.key, "--witness", f.witness} }, code: 0},
		"two keys":         {args: func(f fixture) []string { return []string{"log", f.log, "--key", f.other, "--key", f.key} }, code: 0},
		"damaged":          {prepare: func(t *testing.T, f fixture) { f.flip(t) }, code: 3, says: []string{"DAMAGED", "entry 3 (00000000000000000000.seg, byte "}},
		"another key":      {args: func(f fixture) []string { return []string{"log", f.log, "--key", f.other} }, code: 3, says: []string{"not by a key that was given"}},
		"another origin":   {args: func(f fixture) []string { return []string{"log", f.log, "--key", f.key, "--origin", "else"} }, code: 3, says: []string{`not of "else"`}},
		"cut back": {prepare: func(t *testing.T, f fixture) {
			if err := os.RemoveAll(f.log); err != nil {
				t.Fatal(err)
			}
			if err := translog.Create(f.log, origin, translog.Options{}); err != nil {
				t.Fatal(err)
			}
		}, args: func(f fixture) []string { return []string{"log", f.log, "--key", f.key, "--witness", f.witness} }, code: 3, says: []string{"the witness saw 7"}},
		"nothing sealed": {prepare: func(t *testing.T, f fixture) {
			if err := os.Truncate(filepath.Join(f.log, "checkpoints"), 64); err != nil {
				t.Fatal(err)
			}
		}, code: 5, says: []string{"NOT CHECKED"}},
		"replaced by an empty log": {prepare: func(t *testing.T, f fixture) {
			if err := os.RemoveAll(f.log); err != nil {
				t.Fatal(err)
			}
			if err := translog.Create(f.log, origin, translog.Options{}); err != nil {
				t.Fatal(err)
			}
		}, code: 5, says: []string{"NOT CHECKED"}},
		"no such log":          {args: func(f fixture) []string { return []string{"log", f.dir, "--key", f.key} }, code: 5, says: []string{"NOT CHECKED", "log.json"}},
		"no key":               {args: func(f fixture) []string { return []string{"log", f.log} }, code: 2, says: []string{"--key"}},
		"key file missing":     {args: func(f fixture) []string { return []string{"log", f.log, "--key", f.dir + "/none"} }, code: 2},
		"key file is no key":   {args: func(f fixture) []string { return []string{"log", f.log, "--key", f.witness} }, code: 2, says: []string{"PUBLIC KEY"}},
		"witness is no note":   {args: func(f fixture) []string { return []string{"log", f.log, "--key", f.key, "--witness", f.key} }, code: 5, says: []string{"witness 1"}},
		"no command":           {args: func(fixture) []string { return nil }, code: 2},
		"unknown flag":         {args: func(f fixture) []string { return []string{"log", f.log, "--key", f.key, "--fix"} }, code: 2},
		"help":                 {args: func(fixture) []string { return []string{"log", "--help"} }, code: 0, says: []string{"--witness"}},
		"key of another curve": {prepare: func(t *testing.T, f fixture) { p384(t, f.key) }, code: 2, says: []string{"P-256"}},
		"private key": {prepare: func(t *testing.T, f fixture) {
			write(t, f.key, pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: []byte("x")}))
		}, code: 2, says: []string{"PUBLIC KEY"}},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			if c.prepare != nil {
				c.prepare(t, f)
			}
			args := []string{"log", f.log, "--key", f.key}
			if c.args != nil {
				args = c.args(f)
			}
			code, stdout, stderr := run(t, args...)
			all := stdout + stderr
			if code != c.code {
				t.Errorf("exit %d, want %d:\n%s", code, c.code, all)
			}
			for _, s := range c.says {
				if !strings.Contains(all, s) {
					t.Errorf("does not say %q:\n%s", s, all)
				}
			}
			if strings.Contains(all, "\x1b") {
				t.Errorf("raw foreign text:\n%q", all)
			}
		})
	}
}

func p384(t *testing.T, file string) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	writeKey(t, file, &k.PublicKey)
}

func TestJSON(t *testing.T) {
	f := newFixture(t)
	type answer struct {
		Result string
		Why    string
		Report struct {
			Origin   string
			Entries  int64
			Sealed   int64
			Unsealed int64
			Open     []struct{ Seq int64 } `json:"open_intents"`
			Damage   []struct {
				File   string
				Offset int64
				Entry  int64
			}
		}
	}
	ask := func(want int) (a answer) {
		t.Helper()
		code, stdout, _ := run(t, "log", f.log, "--key", f.key, "--json")
		if err := json.Unmarshal([]byte(stdout), &a); err != nil || code != want {
			t.Fatalf("exit %d, %v: %s", code, err, stdout)
		}
		return a
	}
	if a := ask(0); a.Result != "intact" || a.Report.Origin != origin || a.Report.Entries != 8 || a.Report.Sealed != 7 || a.Report.Unsealed != 1 || len(a.Report.Open) != 1 || a.Report.Open[0].Seq != 6 {
		t.Errorf("%+v", a)
	}
	f.flip(t)
	if a := ask(3); a.Result != "damaged" || len(a.Report.Damage) != 1 || a.Report.Damage[0].Entry != 3 || a.Report.Damage[0].Offset == 0 || a.Report.Damage[0].File == "" {
		t.Errorf("%+v", a)
	}
	if err := os.RemoveAll(f.log); err != nil {
		t.Fatal(err)
	}
	if a := ask(5); a.Result != "unchecked" || a.Why == "" {
		t.Errorf("%+v", a)
	}
}

// TestTheCheckerSharesOnlyTheFormats: an independent checker must not carry
// the station it checks, nor anything that reaches out.
func TestTheCheckerSharesOnlyTheFormats(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", "-f", "{{.ImportPath}}", "sallyport/cmd/sallyport-verify").Output()
	if err != nil {
		t.Fatal(err)
	}
	allowed := map[string]bool{}
	for _, p := range []string{"cmd/sallyport-verify", "internal/verifycmd", "internal/audit", "internal/translog",
		"internal/strictjson", "internal/verdict", "internal/durable", "internal/dsse", "internal/limit", "internal/tpm/attest",
		// Evidence about a medium: manifests are judged once more, by the authority's
		// trust bundle, and names have a grammar.
		"internal/evidence", "internal/manifest", "internal/trust", "internal/naming"} {
		allowed["sallyport/"+p] = true
	}
	deps := strings.Fields(string(out))
	if len(deps) < 20 {
		t.Fatalf("go list names only %v", deps)
	}
	for _, p := range deps {
		if strings.HasPrefix(p, "sallyport/") && !allowed[p] {
			t.Errorf("imports %s, which is no format", p)
		}
		switch p {
		case "net/http", "os/exec", "database/sql", "plugin": // net itself comes with crypto/x509
			t.Errorf("imports %s", p)
		}
		// The structures of a TPM's statements, and no way to a TPM.
		if strings.HasPrefix(p, "github.com/google/go-tpm/tpm2/transport/") {
			t.Errorf("imports %s: the checker works without a TPM", p)
		}
	}
}
