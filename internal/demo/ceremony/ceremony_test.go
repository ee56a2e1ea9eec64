package main

import (
	"bytes"
	"os"
	"slices"
	"strings"
	"testing"

	"sallyport/internal/testoffice"
	"sallyport/internal/testtool"
)

// TestCeremony runs the whole demo and reads what a newcomer reads.
func TestCeremony(t *testing.T) {
	for _, tool := range []string{"swtpm", "swtpm_setup", "swtpm_localca", "mkfs.vfat", "mcopy", "mdel", "softhsm2-util", "pkcs11-tool"} {
		testtool.Need(t, tool)
	}
	bin, remove, err := testoffice.Programs()
	if err != nil {
		t.Fatal(err)
	}
	defer remove()
	if st, err := os.Stat("/dev/shm"); err == nil && st.IsDir() {
		t.Setenv("TMPDIR", "/dev/shm")
	}
	keep := t.TempDir() + "/office"
	var out bytes.Buffer
	ran, err := run(&out, bin, keep)
	if err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	playsTheGuide(t, ran)
	for line := range strings.Lines(out.String()) {
		if n := len([]rune(strings.TrimRight(line, " \n"))); n > 100 && !strings.Contains(line, "/") { // paths are as long as they are
			t.Errorf("a line of %d characters: %s", n, line)
		}
	}
	_, table, _ := strings.Cut(out.String(), "== All steps\n")
	table, _, _ = strings.Cut(table, "\n\n")
	rows := strings.Split(table, "\n")[1:]
	if len(rows) != 55 {
		t.Errorf("%d steps, want 55", len(rows))
	}
	for _, row := range rows {
		if !strings.HasSuffix(row, "  yes") {
			t.Error(row)
		}
	}
	// What the demo is for must not quietly drop out of it.
	for step, ends := range map[string]string{
		"another station's EK certificate": "refused: signer-unknown",
		"an answer that was made up":       "refused: signature-invalid",
		"sealing in an unapproved state":   "refused: boot-state-mismatch",
		"a package with one signature":     "held: signer-not-permitted",
		"what the thief sealed":            "held: signer-revoked",
		"its bundle, by hand":              "refused: superseded",
	} {
		found := false
		for _, row := range rows {
			found = found || strings.HasPrefix(row, step+"  ") && strings.Count(row, ends) == 2
		}
		if !found {
			t.Errorf("no step %q that ends as %q in\n%s", step, ends, table)
		}
	}
	if strings.Contains(out.String(), keep+"/sticks") {
		t.Error("a stick is shown with its whole path")
	}
	// The kept office lives again.
	testtool.Run(t, keep+"/start")
	defer testtool.Run(t, keep+"/stop")
	if said := string(testtool.Run(t, bin+"/sallyport", "--config", keep+"/authority/sallyport.toml", "authority", "status")); !strings.Contains(said, "root version 2: 2 of 3") {
		t.Error(said)
	}
}

// playsTheGuide: what the guide for people says to type was typed here too, with
// the same flags, so that it works and does not only parse.
func playsTheGuide(t *testing.T, ran [][]string) {
	t.Helper()
	done := map[string]bool{}
	for _, args := range ran {
		done[shape(args)] = true
	}
	for _, other := range []string{ // and what is tested elsewhere
		"authority init --out",                      // every other office of the tests
		"authority change --elections --image",      // as --kinds
		"authority revoke --after --image --key",    // as without --key
		"authority approve --drop --image --medium", // as without --drop
	} {
		done[other] = true
	}
	guide, err := os.ReadFile("../../trust/CEREMONY.md")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for line := range strings.Lines(string(guide)) {
		if args := strings.Fields(line); len(args) > 1 && args[0] == "sallyport" {
			n++
			if s := shape(args[1:]); !done[s] {
				t.Errorf("the guide has a command that the demo does not run (%s): %s", s, line)
			}
		}
	}
	if n < 40 {
		t.Errorf("%d commands in the guide", n)
	}
}

// shape is a command and its flags, without what changes nothing in kind.
func shape(args []string) string {
	args = slices.DeleteFunc(slices.Clone(args), func(a string) bool { return a == "--json" })
	words := 1
	if slices.Contains([]string{"station", "authority", "trust"}, args[0]) {
		words = 2
	}
	var flags []string
	for _, a := range args[words:] {
		switch a {
		case "--label", "--attested", "--elections", "--secret-file", "--erase":
			if a == "--elections" && args[1] == "change" {
				flags = append(flags, a)
			}
		case "--device":
			flags = append(flags, "--image") // a disk instead of its image
		default:
			if strings.HasPrefix(a, "--") {
				flags = append(flags, a)
			}
		}
	}
	slices.Sort(flags)
	return strings.Join(append(args[:words:words], slices.Compact(flags)...), " ")
}

// TestTableTellsWhatIsWrong: a step that ends otherwise is counted and marked.
func TestTableTellsWhatIsWrong(t *testing.T) {
	var out bytes.Buffer
	c := &ceremony{out: &out}
	c.expect("as it should", "accepted", "accepted")
	c.expect("as it should not", "held: replayed", "accepted")
	wrong, err := c.table()
	if err != nil || wrong != 1 || !strings.Contains(out.String(), "BUT EXPECTED: held: replayed") || !strings.Contains(out.String(), "  NO\n") {
		t.Errorf("%d wrong, %v\n%s", wrong, err, out.String())
	}
}
