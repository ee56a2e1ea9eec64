package cli_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sallyport/internal/testoffice"
	"sallyport/internal/testtool"
)

// The programming folder holds what it says and is one that can be sealed.
func TestProgramming(t *testing.T) {
	d := begun(t, "maple-primary-csv")
	out := d.file("programming")
	p := d.do("programming", primary, "--out", out, "--device", "DS-1", "--device", "DS-2")
	data, err := os.ReadFile(filepath.Join(out, "hashes.json"))
	if err != nil {
		t.Fatal(err)
	}
	listed := document(t, string(data))
	n := 0
	for _, f := range listed["files"].([]any) {
		x := f.(map[string]any)
		if sum(t, filepath.Join(out, x["path"].(string))) != x["sha256"] {
			t.Errorf("%v", x)
		}
		n++
	}
	if n < 40 || len(listed["styles"].([]any)) != 11 || listed["definition_sha256"] != sum(t, filepath.Join(out, "definition.json")) || listed["ballot_hash"] != p["ballot_hash"] {
		t.Errorf("%d files: %v", n, listed)
	}
	sheet, err := os.ReadFile(filepath.Join(out, "devices/DS-2.txt"))
	if err != nil || !strings.Contains(string(sheet), p["ballot_hash_code"].(string)) {
		t.Errorf("%v: %s", err, sheet)
	}
}

// The folder is sealed by the command that is printed, and an EMS station takes it.
func TestProgrammingIsSealedAndTaken(t *testing.T) {
	o := office(t)
	s, err := o.Join("takes-programming", "ems", testoffice.ElectionID)
	if err != nil {
		t.Fatal(err)
	}
	db := filepath.Join(t.TempDir(), "desk.db")
	if r := call(t, "ems", "create", db); r.status != 0 {
		t.Fatalf("%+v", r)
	}
	desk := func(args ...string) map[string]any {
		r := call(t, append([]string{"--json", "ems", "--db", db}, args...)...)
		if r.status != 0 {
			t.Fatalf("%v: %+v", args, r)
		}
		return document(t, r.out)
	}
	desk("new", "--from", o.Small("definition.json"), "--who", "clerk", "--why", "from the county")
	p := desk("programming", testoffice.ElectionID, "--out", filepath.Join(t.TempDir(), "programming"), "--device", "DS-1")
	args := strings.Fields(strings.TrimPrefix(p["seal"].(string), "sallyport "))
	image := filepath.Join(t.TempDir(), "programming.img")
	args[slices.Index(args, "STATION")] = "*"
	args[slices.Index(args, "programming.img")] = image
	if r := at(t, o.Source, append(args, "--stream", "programming")...); r.status != 0 {
		t.Fatalf("%v: %+v", args, r)
	}
	r := at(t, s, "--json", "intake", image)
	if r.status != 0 || document(t, r.out)["verdict"] != "accepted" {
		t.Errorf("%+v", r)
	}
}

// A proof holds every text of its style, and can be printed and seen.
func TestProofs(t *testing.T) {
	d := begun(t, "maple-general-csv")
	if out := d.say(1, "proof", general, "--out", d.file("p")); !strings.Contains(out, "zh-Hans") || !strings.Contains(out, "--font") {
		t.Errorf("a character that no font has: %s", out)
	}
	d.do("proof", general, "--out", d.file("p"), "--language", "es", "--language", "en", "--style", "1", "--style", "4")
	text := string(testtool.Run(t, "pdftotext", filepath.Join(d.file("p"), "style-4.pdf"), "-"))
	for _, want := range []string{"PROOF — NOT A BALLOT", "Style 4", "Harbor B", "Elección general del condado de Maple", "Candidate 1 / Candidate 2", "Partido del Roble", "Vote por uno", "Measure A: School Bonds", "Candidato por escrito"} {
		if !strings.Contains(text, want) {
			t.Errorf("the proof does not say %q:\n%s", want, text)
		}
	}
	if strings.Contains(text, "Representative, District 1") {
		t.Error("a contest of another district stands on the proof")
	}
	for _, name := range []string{"style-4.html", "style-4.txt", "index.html"} {
		data, err := os.ReadFile(filepath.Join(d.file("p"), name))
		if err != nil || !strings.Contains(string(data), "NOT A BALLOT") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := os.Stat(filepath.Join(d.file("p"), "style-2.html")); err == nil {
		t.Error("a style that was not asked for")
	}
}
