package cli_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sallyport/internal/testoffice"
)

// TestLogsHoldNoVotes plants a marker where votes, write-ins and file contents
// stand, in records that are good and in records that break the rules, and
// looks for it in everything that is a log.
func TestLogsHoldNoVotes(t *testing.T) {
	o := office(t)
	const marker = "MARKER4711"
	s, err := o.Join("silent", "ems", testoffice.ElectionID)
	if err != nil {
		t.Fatal(err)
	}
	daemon(t, s)
	cvr, err := os.ReadFile(o.Small("cvr-precinct-3.json"))
	if err != nil {
		t.Fatal(err)
	}
	take := func(kind, file string, content []byte, want string) {
		t.Helper()
		args := []string{"--audience", "*", "--kind", kind, "--stream", "marked"}
		if kind != "media-set" {
			args = append(args, "--election", testoffice.ElectionID, "--definition", o.Small("definition.json"))
		}
		p, err := o.Source.Seal(append(args, write(t, filepath.Join(t.TempDir(), file), content))...)
		if err != nil {
			t.Fatal(err)
		}
		if r := at(t, s, "--json", "intake", fatOf(t, p)); document(t, r.out)["verdict"] != want {
			t.Errorf("%s %s: want %s\n%s", kind, file, want, r.out)
		}
	}
	definition, err := os.ReadFile(o.Small("definition.json"))
	if err != nil {
		t.Fatal(err)
	}
	take("election-definition", "definition.json", definition, "accepted")
	take("media-set", "notes.txt", []byte(marker), "accepted")
	// Broken in several places where the text of a vote stands.
	broken := 0
	for _, member := range []string{"ContestSelectionId", "NumberVotes", "ContestId", "HasIndication"} {
		at := bytes.Index(cvr, fmt.Appendf(nil, "%q:", member))
		if at < 0 {
			continue
		}
		broken++
		start := at + len(member) + 3
		end := start + bytes.IndexAny(cvr[start:], ",}")
		bad := bytes.Join([][]byte{cvr[:start], []byte(`"` + marker + `"`), cvr[end:]}, nil)
		take("cvr-export", "cvr.json", bad, "held")
	}
	if broken < 3 {
		t.Errorf("only %d places were tried", broken)
	}
	take("cvr-export", "cvr.json", []byte(marker+"{"), "held")
	scan := func(path string) {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if at := bytes.Index(b, []byte(marker)); at >= 0 {
			t.Errorf("%s holds the marker: …%q…", filepath.Base(path), b[max(0, at-150):min(len(b), at+50)])
		}
	}
	n := 0
	err = filepath.WalkDir(s.File("state/log"), func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			n++
			scan(path)
		}
		return err
	})
	if err != nil || n < 3 {
		t.Errorf("%d files of the log, %v", n, err)
	}
	scan(s.File("daemon.log"))
	shown := must(t, s, "--json", "log", "show")
	if strings.Contains(shown, marker) || !strings.Contains(shown, "content-invalid") {
		t.Error("'log show' holds the marker, or the broken records were not refused for their content")
	}
}

// TestSecretsStayWhereTheyAre goes through an enrolment under two holders with the
// daemons running, and looks for the passphrase, the PIN and the challenge's
// secret in all that was printed, logged or kept.
func TestSecretsStayWhereTheyAre(t *testing.T) {
	o := office(t)
	a, s := newStation(t, o, "discreet", "authority"), newStation(t, o, "discreet-1", "source")
	dir := t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	const phrase = "PASSPHRASE4711 of the clerk"
	clerk := []string{"--key", "file:" + file("clerk.key"), "--secret-file", write(t, file("phrase"), []byte(phrase+"\n"))}
	judge := newToken(t)
	var heard strings.Builder
	run := func(at *testoffice.Station, args ...string) {
		t.Helper()
		for _, asJSON := range []bool{true, false} { // the second finds its file there, mostly, and says so
			with := args
			if asJSON {
				with = append([]string{"--json"}, args...)
			}
			if at != nil {
				with = append([]string{"--config", at.File("sallyport.toml")}, with...)
			}
			r := call(t, with...)
			fmt.Fprintf(&heard, "%q\n%s\n%s\n", with, r.out, r.err)
			if r.status != 0 && asJSON {
				t.Fatalf("%q: exit status %d: %s", args, r.status, r.out)
			}
		}
	}
	run(nil, "authority", "new-key", "--out", file("clerk.key"), clerk[2], clerk[3])
	run(nil, append([]string{"authority", "key", "--holder", "clerk", "--out", file("clerk.signer")}, clerk...)...)
	run(nil, append([]string{"authority", "key", "--holder", "judge", "--out", file("judge.signer")}, judge...)...)
	run(a, "init")
	daemon(t, a)
	run(a, "authority", "init", file("clerk.signer"), file("judge.signer"), "--threshold", "3", "--out", file("root"))
	run(s, "init", "--root", file("root"))
	daemon(t, s)
	run(s, "station", "request", "--out", file("request"))
	digest := testoffice.EndorsementKey(must(t, s, "station", "request", "--out", file("again")))
	run(a, "authority", "challenge", file("request"), "--ek-sha256", digest, "--out", file("challenge"))
	run(s, "station", "activate", file("challenge"), "--out", file("answer"))
	run(a, "authority", "admit", file("answer")+"=media-set", "--out", file("draft"))
	run(nil, append([]string{"authority", "sign", file("draft"), "--root", file("root"), "--out", file("draft-2")}, clerk...)...)
	run(nil, append([]string{"authority", "sign", file("draft-2"), "--root", file("root"), "--out", file("draft-3")}, judge...)...)
	run(s, "trust", "install", file("draft-3"))
	for _, at := range []*testoffice.Station{a, s} {
		run(at, "log", "show")
	}
	var answer struct{ Secret []byte }
	body, err := os.ReadFile(file("answer"))
	if err == nil {
		err = json.Unmarshal(body, &answer)
	}
	if err != nil || len(answer.Secret) != 32 {
		t.Fatalf("the answer is %s, %v", body, err)
	}
	secrets := map[string]string{"the passphrase": phrase, "the PIN": tokenPIN, "the challenge's secret": string(answer.Secret),
		"the challenge's secret in base64": base64.StdEncoding.EncodeToString(answer.Secret), "the challenge's secret in hex": hex.EncodeToString(answer.Secret)}
	texts := map[string]string{"the output": heard.String()}
	for _, at := range []*testoffice.Station{a, s} {
		everythingIn(t, at.File("state"), texts)
		everythingIn(t, at.File("daemon.log"), texts)
	}
	for _, name := range []string{"clerk.signer", "judge.signer", "root", "request", "challenge", "draft-3", "clerk.key"} {
		everythingIn(t, file(name), texts)
	}
	for where, text := range texts {
		for what, secret := range secrets {
			if strings.Contains(text, secret) {
				t.Errorf("%s holds %s", where, what)
			}
		}
	}
	if len(texts) < 30 || heard.Len() < 10_000 {
		t.Errorf("only %d files and %d bytes of output were searched", len(texts), heard.Len())
	}
}

// everythingIn adds the content of a file, or of all files below a folder.
func everythingIn(t *testing.T, path string, to map[string]string) {
	t.Helper()
	err := filepath.WalkDir(path, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		data, err := os.ReadFile(path)
		to[path] = string(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
