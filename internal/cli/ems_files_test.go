package cli_test

import (
	"encoding/csv"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"sallyport/internal/ems/dialect"
	"sallyport/internal/testelection"
	"sallyport/internal/testtool"
)

const smallElection = "../../testdata/elections/small/"

// atDesk is an empty database, and what runs commands on it.
func atDesk(t *testing.T) func(args ...string) result {
	t.Helper()
	db := filepath.Join(t.TempDir(), "desk.db")
	if r := call(t, "ems", "create", db); r.status != 0 {
		t.Fatalf("%+v", r)
	}
	return func(args ...string) result {
		return call(t, append([]string{"--config", "/none", "ems", "--db", db}, args...)...)
	}
}

func fine(t *testing.T, r result) string {
	t.Helper()
	if r.status != 0 {
		t.Fatalf("exit status %d\n%s%s", r.status, r.out, r.err)
	}
	return r.out
}

// smallDesk holds the small election.
func smallDesk(t *testing.T) func(args ...string) result {
	t.Helper()
	run := atDesk(t)
	fine(t, run("import", smallElection+"definition.json"))
	for _, n := range []string{"1", "2", "3"} {
		fine(t, run("import", smallElection+"cvr-precinct-"+n+".json"))
	}
	return run
}

// What a desk imports and exports, another desk imports again, in the other
// encoding too; what is known is not counted twice.
func TestDesksExchangeFiles(t *testing.T) {
	run := smallDesk(t)
	dir := t.TempDir()
	want := fine(t, run("tally"))
	if out := fine(t, run("import", smallElection+"cvr-precinct-1.json")); !strings.Contains(out, "imported 121 ballots") {
		t.Error(out)
	}
	fine(t, run("export", "--form", "definition", "--xml", "--out", filepath.Join(dir, "d.xml")))
	fine(t, run("export", "--form", "records", "--xml", "--out", filepath.Join(dir, "r.xml")))
	other := atDesk(t)
	fine(t, other("import", filepath.Join(dir, "d.xml")))
	fine(t, other("import", filepath.Join(dir, "r.xml")))
	// The definition has another digest in the other encoding; the counts agree.
	counts := func(s string) string { return s[:strings.Index(s, "\ndefinition ")] }
	if got := fine(t, other("tally")); counts(got) != counts(want) {
		t.Errorf("%s\nis not\n%s", got, want)
	}
	if r := run("export", "--form", "records", "--out", filepath.Join(dir, "r.xml")); r.status != 2 {
		t.Errorf("a file was overwritten: %+v", r)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "*.part")); len(left) > 0 {
		t.Errorf("%v was left", left)
	}
}

// A manifest, its totals, and a draw that anybody repeats.
func TestAuditInputs(t *testing.T) {
	run := smallDesk(t)
	dir := t.TempDir()
	manifest, totals := filepath.Join(dir, "m.csv"), filepath.Join(dir, "t.csv")
	fine(t, run("export", "--form", "manifest", "--out", manifest))
	fine(t, run("export", "--form", "totals", "--contest", "contest-clerk", "--out", totals))
	if r := run("export", "--form", "totals", "--out", filepath.Join(dir, "x")); r.status != 2 || !strings.Contains(r.err, "--contest") {
		t.Errorf("%+v", r)
	}
	f, err := os.Open(manifest)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil || len(rows) != 7 {
		t.Fatal(rows, err)
	}
	size := map[string]int{}
	for _, r := range rows[1:] {
		if size[r[0]+r[1]], err = strconv.Atoi(r[2]); err != nil {
			t.Fatal(err)
		}
	}
	draw := func(name string) string {
		out := filepath.Join(dir, name)
		fine(t, run("sample", manifest, "--jurisdiction", "Maple County", "--seed", "93686630803205229070", "--take", "20", "--out", out, "--record", out+".json"))
		data, err := os.ReadFile(out)
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	first := draw("a.csv")
	if again := draw("b.csv"); again != first {
		t.Errorf("the same seed draws\n%s\nand\n%s", first, again)
	}
	list, err := csv.NewReader(strings.NewReader(first)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range list[1:] {
		if n, err := strconv.Atoi(r[2]); err != nil || n < 1 || n > size[r[0]+r[1]] {
			t.Errorf("there is no ballot %v: %v", r, err)
		}
	}
}

// A vendor's export goes in with its signature, or with random identifiers where
// its own tell the order of casting.
func TestVendorsExports(t *testing.T) {
	dir := testtool.Shared(t, "votingworks", "two-party-primary", "castVoteRecords")
	authority := testtool.Shared(t, "votingworks", "vx-cert-authority-cert.pem")
	run := atDesk(t)
	args := []string{"import", "--infer", "--election", "primary", "--date", "2023-12-19", "--signature", filepath.Join(dir, "generated.vxsig"), "--authority", authority, filepath.Join(dir, "generated")}
	if out := fine(t, run(args...)); !strings.Contains(out, "imported 112 ballots") || !strings.Contains(out, "signed by") {
		t.Error(out)
	}
	arlo := testtool.Shared(t, "arlo", "small-election")
	run = atDesk(t)
	args = []string{"import", "--infer", "--election", "waurika", "--date", "2020-11-03", filepath.Join(arlo, "Waurika - cvrs.csv")}
	if r := run(args...); r.status != 1 || !strings.Contains(r.err, "order of casting") {
		t.Errorf("%+v", r)
	}
	if out := fine(t, run(append(args, "--random-ids")...)); !strings.Contains(out, "order-in-id") {
		t.Error(out)
	}
	if r := run("import", filepath.Join(arlo, "small-election.spec.json")); r.status == 0 {
		t.Errorf("%+v", r)
	}
}

// Work for a desk is refused without one, and on the database of a station.
func TestDeskWorkNeedsADesk(t *testing.T) {
	for _, args := range [][]string{{"import", smallElection + "definition.json"}, {"export", "--form", "records", "--out", filepath.Join(t.TempDir(), "x")}} {
		if r := call(t, append([]string{"--config", "/none", "ems"}, args...)...); r.status != 2 || !strings.Contains(r.err, "--db") {
			t.Errorf("%v: %+v", args, r)
		}
	}
	o := office(t)
	s, _ := stationCounter(t, o, "desk-work")
	if r := call(t, "ems", "--db", s.File("state/ems.db"), "import", smallElection+"definition.json"); r.status != 1 || !strings.Contains(r.err, "station") {
		t.Errorf("%+v", r)
	}
}

// Results are given out as a folder, one report alone, and a whole of several
// counties; before a status was set there is only the zero report's form.
func TestReportsAreGivenOut(t *testing.T) {
	run := smallDesk(t)
	dir := t.TempDir()
	id := testelection.ID
	if r := run("report", "--out", filepath.Join(dir, "early")); r.status != 1 || !strings.Contains(r.err, "set-status") {
		t.Errorf("%+v", r)
	}
	fine(t, run("set-status", id, "unofficial-complete", "--who", "clerk", "--why", "all precincts are in"))
	if out := fine(t, run("report", "--out", filepath.Join(dir, "all"))); !strings.Contains(out, "so far: elected") || !strings.Contains(out, "UNOFFICIAL") {
		t.Error(out)
	}
	for _, f := range []string{"index.html", "results.json", "results.xml", "summary.csv", "statement-of-votes-cast.pdf", "SHA256SUMS"} {
		if st, err := os.Stat(filepath.Join(dir, "all", f)); err != nil || st.Size() == 0 {
			t.Errorf("%s: %v", f, err)
		}
	}
	for _, f := range []string{"statement.pdf", "summary.html", "nist.xml", "nist.json", "turnout.csv"} {
		form, _, _ := strings.Cut(f, ".")
		fine(t, run("report", "--form", form, "--out", filepath.Join(dir, f)))
	}
	if r := run("report", "--form", "summary", "--out", filepath.Join(dir, "summary.doc")); r.status != 2 {
		t.Errorf("%+v", r)
	}
	if r := run("report", "--out", filepath.Join(dir, "all")); r.status != 2 {
		t.Errorf("a folder was overwritten: %+v", r)
	}
	whole := []string{"--also", id, "--election", "state", "--name", "State", "--scope", "state-example", "--issuer", "State Board"}
	if out := fine(t, run(append([]string{"rollup", "maple=" + filepath.Join(dir, "nist.json"), "--out", filepath.Join(dir, "whole")}, whole...)...)); !strings.Contains(out, "maple") {
		t.Error(out)
	}
	// The same county under two names is counted once, or not at all.
	if r := run(append([]string{"rollup", "maple=" + filepath.Join(dir, "nist.json"), "cedar=" + filepath.Join(dir, "nist.xml"), "--out", filepath.Join(dir, "twice")}, whole...)...); r.status != 1 || !strings.Contains(r.err, "twice") {
		t.Errorf("%+v", r)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "*.part")); len(left) > 0 {
		t.Errorf("%v was left", left)
	}
}

// The help of 'import' names every dialect.
func TestEveryDialectIsNamed(t *testing.T) {
	help := strings.Join(strings.Fields(call(t, "ems", "import", "--help").out), " ")
	for _, k := range dialect.Kinds() {
		if !strings.Contains(help, string(k)) {
			t.Errorf("%s is not named", k)
		}
	}
}
