package cli_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"sallyport/internal/testmedia"
	"sallyport/internal/testoffice"
)

// verifier is a folder with nothing in it but the checker, the evidence and the
// authority's root, as somebody gets it who has no station.
func verifier(t *testing.T, o *testoffice.Office, file string) (check func(args ...string) result) {
	t.Helper()
	dir := t.TempDir()
	for from, to := range map[string]string{filepath.Join(shared.bin, "sallyport-verify"): "sallyport-verify", file: "evidence.zip", filepath.Join(o.Dir, "root.json"): "root.json"} {
		data, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, to), data, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return func(args ...string) result {
		t.Helper()
		cmd := exec.Command("./sallyport-verify", append([]string{"bundle", "evidence.zip"}, args...)...)
		cmd.Dir, cmd.Env = dir, []string{}
		return finish(t, cmd)
	}
}

// TestLogBundle: the station hands out evidence about media of all kinds, alone and
// with a daemon, and the checker judges it anywhere.
func TestLogBundle(t *testing.T) {
	o := office(t)
	s, err := o.Join("witness", "ems", testoffice.ElectionID)
	if err != nil {
		t.Fatal(err)
	}
	must(t, s, "trust", "identity", "--out", s.File("identity.json"))
	identity, err := os.ReadFile(s.File("identity.json"))
	if err != nil {
		t.Fatal(err)
	}
	taken := func(img string) (medium string, doc map[string]any) {
		doc = document(t, at(t, s, "--json", "intake", img).out)
		return doc["medium"].(map[string]any)["id"].(string), doc
	}
	good, _ := taken(definition(t, o, "--audience", "*", "--stream", "bundles"))
	stray, held := taken(unknown(t))
	item := held["packages"].([]any)[0].(map[string]any)["item"].(string)
	each := func(t *testing.T) {
		for medium, says := range map[string][]string{
			good:  {"accepted; 1 package", "election-definition"},
			stray: {"held (no-manifest); 1 package", "no-manifest"},
		} {
			file := filepath.Join(t.TempDir(), "evidence.zip")
			out := must(t, s, "log", "bundle", medium, "--out", file)
			if !strings.Contains(out, "medium "+medium+": "+says[0]) || !strings.Contains(out, "SHA-256 of the file") || strings.Contains(out, "NOTE: not all") {
				t.Error(out)
			}
			check := verifier(t, o, file)
			// The authority has not enrolled this station: somebody has to say whose log it is.
			if r := check("--root", "root.json"); r.status != 5 || !strings.Contains(r.out, "NOT CHECKED") || !strings.Contains(r.out, "--identity") && !strings.Contains(r.out, "give its TPM identity") {
				t.Errorf("exit status %d: %s%s", r.status, r.out, r.err)
			}
			id := write(t, filepath.Join(t.TempDir(), "identity.json"), identity)
			r := check("--root", "root.json", "--identity", id)
			if r.status != 0 || r.err != "" || !strings.Contains(r.out, "Result: INTACT: station witness") || !strings.Contains(r.out, says[1]) {
				t.Errorf("exit status %d: %s%s", r.status, r.out, r.err)
			}
			r = check("--root", "root.json", "--identity", id, "--json")
			if doc := document(t, r.out); r.status != 0 || doc["result"] != "intact" || doc["medium"] != medium || len(doc["steps"].([]any)) != 10 {
				t.Errorf("exit status %d: %s", r.status, r.out)
			}
		}
		// An item names its medium, and so does the beginning of an id.
		for _, name := range []string{item, stray[:7]} {
			doc := document(t, must(t, s, "--json", "log", "bundle", name, "--out", filepath.Join(t.TempDir(), "x")))
			if report := doc["report"].(map[string]any); report["medium"] != stray || report["verdict"] != "held" || len(doc["sha256"].(string)) != 64 {
				t.Errorf("%s: %v", name, doc)
			}
		}
	}
	t.Run("alone", each)
	t.Run("with a daemon", func(t *testing.T) {
		daemon(t, s)
		each(t)
	})
}

// TestBundleOfAnEnrolledStation needs the authority's root alone, and every change
// of the file is found.
func TestBundleOfAnEnrolledStation(t *testing.T) {
	o := office(t)
	doc := document(t, at(t, o.EMS, "--json", "intake", definition(t, o, "--stream", "bundled")).out)
	medium := doc["medium"].(map[string]any)["id"].(string)
	file := filepath.Join(t.TempDir(), "evidence.zip")
	must(t, o.EMS, "log", "bundle", medium, "--out", file)
	if r := verifier(t, o, file)("--root", "root.json"); r.status != 0 || !strings.Contains(r.out, "whose TPM the authority has enrolled") {
		t.Errorf("exit status %d: %s%s", r.status, r.out, r.err)
	}
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for at := 0; at < len(data); at += len(data)/100 + 1 {
		changed := bytes.Clone(data)
		changed[at] ^= 0x20
		r := verifier(t, o, write(t, filepath.Join(t.TempDir(), "changed.zip"), changed))("--root", "root.json")
		if r.status != 3 || !strings.Contains(r.out, "Result: DAMAGED") {
			t.Errorf("byte %d changed: exit status %d: %s%s", at, r.status, r.out, r.err)
		}
	}
	for name, c := range map[string]struct {
		root   string
		status int
	}{
		"another authority's root": {o.Dir + "/root.json.elsewhere", 3},
		"no root":                  {o.Dir + "/none.json", 2},
		"a root that is none":      {file, 2},
	} {
		if r := verifier(t, o, file)("--root", c.root); r.status != c.status {
			t.Errorf("%s: exit status %d: %s%s", name, r.status, r.out, r.err)
		}
	}
}

// TestBundleSaysNo: what cannot be had leaves no file behind, and nothing is
// overwritten.
func TestBundleSaysNo(t *testing.T) {
	o := office(t)
	dir := t.TempDir()
	there := write(t, filepath.Join(dir, "there"), []byte("kept"))
	for name, c := range map[string]struct {
		args []string
		says string
	}{
		"no such medium":      {[]string{"zzzz", "--out", filepath.Join(dir, "a")}, "no medium begins with"},
		"no medium":           {[]string{"", "--out", filepath.Join(dir, "a")}, "no medium begins with"},
		"a file that exists":  {[]string{"zzzz", "--out", there}, "exists already"},
		"no file":             {[]string{"zzzz"}, "--out"},
		"a folder that isn't": {[]string{"zzzz", "--out", filepath.Join(dir, "no", "file")}, "no folder"},
	} {
		if r := at(t, o.EMS, append([]string{"log", "bundle"}, c.args...)...); r.status != 2 || !strings.Contains(r.err, c.says) {
			t.Errorf("%s: exit status %d: %s%s", name, r.status, r.out, r.err)
		}
	}
	left, err := os.ReadDir(dir)
	if b, _ := os.ReadFile(there); err != nil || len(left) != 1 || string(b) != "kept" {
		t.Errorf("%v, %v", left, err)
	}
}

// TestBundleOfManyFiles comes in several parts, and whole.
func TestBundleOfManyFiles(t *testing.T) {
	o := office(t)
	dir := t.TempDir()
	for i := range 20_000 {
		write(t, filepath.Join(dir, fmt.Sprintf("b%06d.json", i)), []byte("{}\n"))
	}
	img := filepath.Join(t.TempDir(), "stick.img")
	must(t, o.Source, "seal", "--kind", "media-set", "--audience", "ems-1", "--stream", "many-proven", "--image", img, dir)
	doc := document(t, at(t, o.EMS, "--json", "intake", img).out)
	for _, how := range []string{"alone", "with a daemon"} {
		t.Run(how, func(t *testing.T) {
			if how != "alone" {
				daemon(t, o.EMS)
			}
			file := filepath.Join(t.TempDir(), "evidence.zip")
			must(t, o.EMS, "log", "bundle", doc["medium"].(map[string]any)["id"].(string), "--out", file)
			if st, err := os.Stat(file); err != nil || st.Size() < 5<<20 {
				t.Errorf("%v, %v: that is one part", st.Size(), err)
			}
			if r := verifier(t, o, file)("--root", "root.json"); r.status != 0 || !strings.Contains(r.out, "20002 files") {
				t.Errorf("exit status %d: %s%s", r.status, r.out, r.err)
			}
		})
	}
}

// TestBundlesHoldNoVotes: a marker that stands where votes do is in no evidence,
// whatever became of the medium and wherever on it the votes were.
func TestBundlesHoldNoVotes(t *testing.T) {
	o := office(t)
	const marker = "MARKER4712"
	cvr := []byte(`{"vote":"` + marker + `"}`)
	sealed, err := o.Source.Seal("--kind", "media-set", "--stream", "marked-votes", write(t, filepath.Join(t.TempDir(), "cvr.json"), cvr))
	if err != nil {
		t.Fatal(err)
	}
	id := strings.Repeat("a", 32)
	for name, img := range map[string]string{
		"accepted":   fatOf(t, sealed),
		"no package": testmedia.FAT(t, testmedia.Options{}, testmedia.Files{"cvr.json": cvr}),
		"called a manifest": testmedia.FAT(t, testmedia.Options{}, testmedia.Files{
			"SALLYPORT/" + id + "/manifest.dsse.json": cvr, "SALLYPORT/" + id + "/evidence.json": cvr, "SALLYPORT/" + id + "/data/cvr.json": cvr}),
		"in an envelope": testmedia.FAT(t, testmedia.Options{}, testmedia.Files{
			"SALLYPORT/" + id + "/manifest.dsse.json": fmt.Appendf(nil, `{"payload":"TUFSS0VSNDcxMg==","payloadType":"application/vnd.sallyport.manifest.v1+json","signatures":[{"keyid":"%s","sig":"MAYCAQECAQE="}]}`, strings.Repeat("a", 64))}),
	} {
		t.Run(name, func(t *testing.T) {
			doc := document(t, at(t, o.EMS, "--json", "intake", img).out)
			file := filepath.Join(t.TempDir(), "evidence.zip")
			must(t, o.EMS, "log", "bundle", doc["medium"].(map[string]any)["id"].(string), "--out", file)
			data, err := os.ReadFile(file)
			if err != nil || bytes.Contains(data, []byte(marker)) || bytes.Contains(data, []byte("TUFSS0VSNDcxMg")) {
				t.Errorf("the evidence holds the marker (%v)", err)
			}
			if r := verifier(t, o, file)("--root", "root.json"); r.status != 0 {
				t.Errorf("exit status %d: %s%s", r.status, r.out, r.err)
			}
		})
	}
}
