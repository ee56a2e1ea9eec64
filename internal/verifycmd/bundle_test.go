package verifycmd_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestBundleExitCodesAndWords judges evidence that a real office handed out.
func TestBundleExitCodesAndWords(t *testing.T) {
	office := filepath.Join("..", "evidence", "testdata", "office")
	of := func(name string) string { return filepath.Join(office, name) }
	held, err := os.ReadFile(of("unknown.zip"))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	made := func(name string, data []byte) string {
		path := filepath.Join(dir, name)
		write(t, path, data)
		return path
	}
	changed := bytes.Clone(held)
	changed[200] ^= 1
	for name, c := range map[string]struct {
		args []string
		code int
		says []string
	}{
		"intact":              {[]string{of("accepted.zip"), "--root", of("root.json")}, 0, []string{"Verdict         accepted", "election-definition from polling-place-7", "10 page         ok: ", "Result: INTACT: station ems-1, whose TPM the authority has enrolled, recorded that it accepted medium"}},
		"held and intact":     {[]string{of("unknown.zip"), "--root", of("root.json")}, 0, []string{"Verdict         held (signer-unknown)", "held (signer-unknown), 3 files, ", "Note            the station's TPM is a software TPM"}},
		"after a rotation":    {[]string{of("rotated.zip"), "--root", of("root-2.json")}, 0, []string{"Result: INTACT"}},
		"an identity":         {[]string{of("visitor.zip"), "--root", of("root.json"), "--identity", of("visitor-identity.json")}, 0, []string{"with the TPM identity that you gave"}},
		"changed":             {[]string{made("changed.zip", changed), "--root", of("root.json")}, 3, []string{" 1 file         WRONG: ", "Result: DAMAGED: the file: "}},
		"not a ZIP":           {[]string{made("page.html", []byte("<html>\x1b[31m")), "--root", of("root.json")}, 3, []string{"DAMAGED"}},
		"another root":        {[]string{of("accepted.zip"), "--root", of("elsewhere-root.json")}, 3, []string{" 3 root         WRONG: ", "Result: DAMAGED: the root: "}},
		"another identity":    {[]string{of("accepted.zip"), "--root", of("root.json"), "--identity", of("visitor-identity.json")}, 3, []string{"not the one that you gave"}},
		"not enrolled":        {[]string{of("visitor.zip"), "--root", of("root.json")}, 5, []string{" 5 station      not checked: ", "Result: NOT CHECKED: "}},
		"another bundle":      {[]string{of("revoked.zip"), "--root", of("root.json")}, 5, []string{" 9 packages     not checked: ", "signer-revoked"}},
		"no root":             {[]string{of("accepted.zip")}, 2, []string{"--root"}},
		"a root that isn't":   {[]string{of("accepted.zip"), "--root", of("accepted.zip")}, 2, []string{"cannot use the root document"}},
		"no such file":        {[]string{of("none.zip"), "--root", of("root.json")}, 2, nil},
		"identity that isn't": {[]string{of("accepted.zip"), "--root", of("root.json"), "--identity", of("root.json")}, 2, []string{"cannot use the TPM identity"}},
		"help":                {[]string{"--help"}, 0, []string{"Exit status: 0 intact", "sallyport-verify bundle evidence.zip --root root.json"}},
	} {
		t.Run(name, func(t *testing.T) {
			code, stdout, stderr := run(t, append([]string{"bundle"}, c.args...)...)
			all := stdout + stderr
			if code != c.code || strings.Contains(all, "\x1b") {
				t.Errorf("exit %d, want %d:\n%q", code, c.code, all)
			}
			for _, s := range c.says {
				if !strings.Contains(all, s) {
					t.Errorf("does not say %q:\n%s", s, all)
				}
			}
		})
	}
}

func TestBundleJSON(t *testing.T) {
	office := filepath.Join("..", "evidence", "testdata", "office")
	for file, want := range map[string]struct {
		code   int
		result string
	}{"two.zip": {0, "intact"}, "visitor.zip": {5, "unchecked"}, "root.json": {3, "damaged"}} {
		code, stdout, _ := run(t, "bundle", filepath.Join(office, file), "--root", filepath.Join(office, "root.json"), "--json")
		var a struct {
			Result, Why, Medium, Verdict string
			Counter, Log                 int64
			Packages                     []struct{ Item, Verdict string }
			Steps                        []struct{ Name, Result, Says string }
		}
		if err := json.Unmarshal([]byte(stdout), &a); err != nil || code != want.code || a.Result != want.result || a.Why == "" || len(a.Steps) == 0 {
			t.Errorf("%s: exit %d, %v: %s", file, code, err, stdout)
		}
		if file == "two.zip" && (len(a.Packages) != 2 || a.Verdict != "accepted" || len(a.Steps) != 10 || a.Counter == 0 || a.Log == 0 || a.Medium == "") {
			t.Errorf("%s", stdout)
		}
	}
}
