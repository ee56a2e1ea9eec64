package ems_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"sallyport/internal/ems"
	"sallyport/internal/testelection"
	"sallyport/internal/verdict"
)

const small = "../../testdata/elections/small/"

// core returns a fresh core and the path of its database.
func core(t testing.TB) (*ems.Core, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "ems.db")
	if err := ems.Create(path); err != nil {
		t.Fatal(err)
	}
	c, err := ems.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c, path
}

// pack makes a package of files; its digest stands for the content.
func pack(kind, definitionSHA string, files ...testelection.File) ems.Package {
	p := ems.Package{ID: "test", Kind: kind, ElectionID: testelection.ID, ElectionSHA256: definitionSHA}
	fsys := fstest.MapFS{}
	h := sha256.New()
	for _, f := range files {
		fsys[f.Name] = &fstest.MapFile{Data: f.Data}
		p.Files = append(p.Files, ems.File{Path: f.Name, Size: int64(len(f.Data)), SHA256: f.SHA256(), MediaType: "application/json"})
		fmt.Fprintf(h, "%s %s\n", f.Name, f.SHA256())
	}
	fmt.Fprint(h, kind, definitionSHA)
	p.FS, p.Digest = fsys, [32]byte(h.Sum(nil))
	return p
}

func read(t testing.TB, name string) testelection.File {
	t.Helper()
	data, err := os.ReadFile(small + name)
	if err != nil {
		t.Fatal(err)
	}
	return testelection.File{Name: name, Data: data}
}

func definition(t testing.TB) ems.Package {
	return pack(ems.KindDefinition, "", read(t, "definition.json"))
}

func records(t testing.TB, files ...testelection.File) ems.Package {
	return pack(ems.KindCVRs, read(t, "definition.json").SHA256(), files...)
}

func must(t testing.TB, c *ems.Core, p ems.Package) ems.Receipt {
	t.Helper()
	r, err := c.Import(context.Background(), p)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func expected(t testing.TB) testelection.Expected {
	t.Helper()
	var e testelection.Expected
	if err := json.Unmarshal(read(t, "expected-tally.json").Data, &e); err != nil {
		t.Fatal(err)
	}
	return e
}

// asExpected brings a tally into the form of the expected result.
func asExpected(tl *ems.Tally) testelection.Expected {
	e := testelection.Expected{ElectionID: tl.ElectionID, Ballots: tl.Ballots, Precincts: map[string]int64{}}
	for _, p := range tl.Precincts {
		e.Precincts[p.ID] = p.Ballots
	}
	for _, c := range tl.Contests {
		line := func(votes []int64, x testelection.ExpectedCounts) testelection.ExpectedCounts {
			x.Votes = map[string]int64{}
			for i, o := range c.Options {
				x.Votes[o.ID] = votes[i]
			}
			return x
		}
		r := testelection.ExpectedResult{ID: c.ID, VotesAllowed: c.VotesAllowed, Precincts: map[string]*testelection.ExpectedCounts{}}
		n := c.Total
		r.Total = line(n.Votes, testelection.ExpectedCounts{Ballots: n.Ballots, WriteIns: n.WriteIns, Overvotes: n.Overvotes, Undervotes: n.Undervotes, Unresolved: n.Unresolved})
		for _, p := range c.Precincts {
			x := line(p.Votes, testelection.ExpectedCounts{Ballots: p.Ballots, WriteIns: p.WriteIns, Overvotes: p.Overvotes, Undervotes: p.Undervotes, Unresolved: p.Unresolved})
			r.Precincts[p.ID] = &x
		}
		e.Contests = append(e.Contests, r)
	}
	return e
}

func count(t testing.TB, c *ems.Core) *ems.Tally {
	t.Helper()
	tl, err := c.Tally(context.Background(), testelection.ID)
	if err != nil {
		t.Fatal(err)
	}
	return tl
}

func TestSmallElectionGivesTheExpectedTally(t *testing.T) {
	c, path := core(t)
	if r := must(t, c, definition(t)); r.Contests != 4 || r.Ballots != 0 || r.Kind != ems.KindDefinition {
		t.Errorf("receipt %+v", r)
	}
	for i := 1; i <= 3; i++ {
		r := must(t, c, records(t, read(t, fmt.Sprintf("cvr-precinct-%d.json", i))))
		if r.Ballots == 0 || r.Known != 0 || r.ElectionID != testelection.ID || len(r.StateDigest) != 64 {
			t.Errorf("receipt %+v", r)
		}
	}
	first := count(t, c)
	if diff := cmp.Diff(expected(t), asExpected(first)); diff != "" {
		t.Error(diff)
	}
	// The same after the program was started again.
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := ems.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if diff := cmp.Diff(first, count(t, again)); diff != "" {
		t.Error(diff)
	}
	list, err := again.Elections(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	want := []ems.Election{{ID: testelection.ID, Name: "Maple County General Election", Date: "2026-11-03",
		DefinitionSHA256: read(t, "definition.json").SHA256(), Contests: 4, Precincts: 3, Packages: 4, Ballots: 320}}
	if diff := cmp.Diff(want, list); diff != "" {
		t.Error(diff)
	}
}

func TestStateDoesNotDependOnTheOrderOfImports(t *testing.T) {
	states := map[string]bool{}
	for _, order := range [][]int{{1, 2, 3}, {3, 1, 2}} {
		c, _ := core(t)
		r := must(t, c, definition(t))
		for _, i := range order {
			before := r.StateDigest
			if r = must(t, c, records(t, read(t, fmt.Sprintf("cvr-precinct-%d.json", i)))); r.StateDigest == before {
				t.Error("an import left the state digest as it was")
			}
		}
		if got := count(t, c).StateDigest; got != r.StateDigest {
			t.Errorf("the tally's state is %s, the last receipt's %s", got, r.StateDigest)
		}
		states[r.StateDigest] = true
	}
	if len(states) != 1 {
		t.Errorf("the same content has the states %v", states)
	}
}

func TestSecondImportReturnsTheFirstReceipt(t *testing.T) {
	c, _ := core(t)
	must(t, c, definition(t))
	p := records(t, read(t, "cvr-precinct-1.json"))
	first := must(t, c, p)
	must(t, c, records(t, read(t, "cvr-precinct-2.json")))
	p.FS = fstest.MapFS{} // it is not read again
	if again := must(t, c, p); again != first {
		t.Errorf("first %+v, then %+v", first, again)
	}
	got, ok, err := c.Receipt(p.Digest)
	if err != nil || !ok || got != first {
		t.Errorf("%+v %v %v", got, ok, err)
	}
	if _, ok, err := c.Receipt([32]byte{1}); ok || err != nil {
		t.Errorf("a receipt for a package that never came: %v %v", ok, err)
	}
}

func TestBallotsOfAnEarlierPackageCountOnce(t *testing.T) {
	c, _ := core(t)
	must(t, c, definition(t))
	must(t, c, records(t, read(t, "cvr-precinct-1.json")))
	before := count(t, c)
	both := must(t, c, records(t, read(t, "cvr-precinct-1.json"), read(t, "cvr-precinct-2.json")))
	if both.Ballots != 215 || both.Known != 121 {
		t.Errorf("receipt %+v", both)
	}
	if after := count(t, c); before.Ballots != 121 || after.Ballots != 215 {
		t.Errorf("%d ballots, then %d", before.Ballots, after.Ballots)
	}
}

func TestOtherKindsAreNotForTheCore(t *testing.T) {
	c, _ := core(t)
	for _, kind := range []string{"media-set", "ballot-package", "log-export", ""} {
		p := definition(t)
		p.Kind = kind
		if _, err := c.Import(context.Background(), p); !errors.Is(err, ems.ErrNotForCore) {
			t.Errorf("%q: %v", kind, err)
		}
	}
}

func TestCreateAndOpenAreDifferentActs(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ems.db")
	if _, err := ems.Open(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("open before create: %v", err)
	}
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Error("open created a database")
	}
	if err := ems.Create(path); err != nil {
		t.Fatal(err)
	}
	if err := ems.Create(path); !errors.Is(err, os.ErrExist) {
		t.Errorf("second create: %v", err)
	}
	if err := os.WriteFile(path, bytes.Repeat([]byte("no database "), 1000), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := ems.Open(path); err == nil {
		t.Error("a file that is no database was opened")
	}
}

func TestTallyOfAnUnknownElection(t *testing.T) {
	c, _ := core(t)
	if _, err := c.Tally(context.Background(), "nothing"); !errors.Is(err, ems.ErrNoElection) {
		t.Error(err)
	}
}

// find demands a finding with a reason and returns its text.
func find(t *testing.T, err error, reason verdict.Reason) string {
	t.Helper()
	f, ok := verdict.Find(err)
	if !ok {
		t.Fatalf("not a finding: %v", err)
	}
	if f.Reason != reason {
		t.Fatalf("reason %s, want %s: %v", f.Reason, reason, err)
	}
	return f.Where + ": " + f.Detail
}

// digest is that of the database's files and of the state they hold.
func digest(t *testing.T, c *ems.Core, path string) string {
	t.Helper()
	h := sha256.New()
	for _, name := range []string{path, path + "-wal"} {
		data, err := os.ReadFile(name)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
		fmt.Fprintf(h, "%s %d %x\n", name, len(data), sha256.Sum256(data))
	}
	left, err := filepath.Glob(filepath.Join(filepath.Dir(path), ".ems-load*"))
	if err != nil || len(left) > 0 {
		t.Errorf("temporary files were left: %v %v", left, err)
	}
	fmt.Fprint(h, count(t, c))
	return hex.EncodeToString(h.Sum(nil))
}

func TestOneBadRecordRefusesThePackageAndChangesNothing(t *testing.T) {
	c, path := core(t)
	must(t, c, definition(t))
	must(t, c, records(t, read(t, "cvr-precinct-1.json")))
	before := digest(t, c, path)
	good := read(t, "cvr-precinct-2.json")
	last := read(t, "cvr-precinct-3.json")
	at := bytes.LastIndex(last.Data, []byte(`"NumberVotes": 1`))
	last.Data = append(append(bytes.Clone(last.Data[:at]), `"NumberVotes": -1`...), last.Data[at+len(`"NumberVotes": 1`):]...)
	_, err := c.Import(context.Background(), records(t, good, last))
	got := find(t, err, verdict.ContentInvalid)
	for _, want := range []string{"cvr-precinct-3.json#/CVR/104/CVRSnapshot/", "/NumberVotes", "rule record-votes"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is not in %q", want, got)
		}
	}
	if after := digest(t, c, path); after != before {
		t.Error("the refused package changed the database")
	}
	// A conflict shows only when the ballots meet those that are stored.
	changed := read(t, "cvr-precinct-1.json")
	changed.Data = bytes.Replace(changed.Data, []byte(`"batch-1-1"`), []byte(`"batch-1-7"`), 1)
	_, err = c.Import(context.Background(), records(t, good, changed))
	if got := find(t, err, verdict.ContentInvalid); !strings.Contains(got, "rule record-repeated") {
		t.Error(got)
	}
	if after := digest(t, c, path); after != before {
		t.Error("the conflict changed the database")
	}
	must(t, c, records(t, good))
}

func TestWrongElection(t *testing.T) {
	def := read(t, "definition.json")
	other := testelection.File{Name: "definition.json", Data: bytes.Replace(def.Data, []byte("Library Levy"), []byte("Library Levi"), 1)}
	cvr := read(t, "cvr-precinct-1.json")
	elsewhere := testelection.File{Name: cvr.Name, Data: bytes.Replace(cvr.Data, []byte(testelection.ID), []byte("oak-county-general-2026-11-03"), 1)}
	stranger := testelection.File{Name: cvr.Name, Data: bytes.Replace(cvr.Data, []byte(`"ElectionId": "election"`), []byte(`"ElectionId": "another"`), 1)}
	wrongID := pack(ems.KindDefinition, "", def)
	wrongID.ElectionID = "oak-county-general-2026-11-03"
	unknown := records(t, cvr)
	unknown.ElectionID = "oak-county-general-2026-11-03"
	for name, p := range map[string]ems.Package{
		"another definition of the same election":  pack(ems.KindDefinition, "", other),
		"definition with another digest than said": pack(ems.KindDefinition, other.SHA256(), def),
		"definition of an election it is not":      wrongID,
		"records under another definition":         pack(ems.KindCVRs, other.SHA256(), cvr),
		"records without a definition's digest":    pack(ems.KindCVRs, "", cvr),
		"records of an election that is not held":  unknown,
		"report about another election":            records(t, elsewhere),
		"record of another election":               records(t, stranger),
	} {
		t.Run(name, func(t *testing.T) {
			c, path := core(t)
			must(t, c, definition(t))
			before := digest(t, c, path)
			p.Digest[0]++
			_, err := c.Import(context.Background(), p)
			find(t, err, verdict.WrongElection)
			if digest(t, c, path) != before {
				t.Error("the refused package changed the database")
			}
		})
	}
}

func TestFilesThatAreNotWhatWasSigned(t *testing.T) {
	c, _ := core(t)
	must(t, c, definition(t))
	cvr := read(t, "cvr-precinct-1.json")
	p := records(t, cvr)
	p.FS = fstest.MapFS{cvr.Name: &fstest.MapFile{Data: bytes.Replace(cvr.Data, []byte("option-clerk-1"), []byte("option-clerk-2"), 1)}}
	_, err := c.Import(context.Background(), p)
	if f, ok := verdict.Find(err); !ok || f.Reason != verdict.FileAltered && f.Reason != verdict.ContentInvalid {
		t.Errorf("altered: %v", err)
	}
	p.FS = fstest.MapFS{cvr.Name: &fstest.MapFile{Data: append(bytes.Clone(cvr.Data), ' ')}}
	_, err = c.Import(context.Background(), p)
	find(t, err, verdict.FileAltered)
	p.FS = fstest.MapFS{cvr.Name: &fstest.MapFile{Data: cvr.Data[:len(cvr.Data)-1]}}
	_, err = c.Import(context.Background(), p)
	find(t, err, verdict.FileAltered)
	p.FS = fstest.MapFS{}
	_, err = c.Import(context.Background(), p)
	find(t, err, verdict.FileMissing)
}

func TestACancelledImportChangesNothing(t *testing.T) {
	c, path := core(t)
	must(t, c, definition(t))
	before := digest(t, c, path)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err := c.Import(ctx, records(t, read(t, "cvr-precinct-1.json")))
	if !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	if _, ok := verdict.Find(err); ok {
		t.Error("a cancelled import blames the package")
	}
	if digest(t, c, path) != before {
		t.Error("the cancelled import changed the database")
	}
}

func TestTableShowsEveryNumber(t *testing.T) {
	c, _ := core(t)
	must(t, c, definition(t))
	for i := 1; i <= 3; i++ {
		must(t, c, records(t, read(t, fmt.Sprintf("cvr-precinct-%d.json", i))))
	}
	var b strings.Builder
	if err := count(t, c).WriteTable(&b); err != nil {
		t.Fatal(err)
	}
	t.Log("\n" + b.String())
	e := expected(t)
	for _, want := range []string{"Maple County General Election, 2026-11-03", "320 ballots in 3 precincts and 6 batches",
		"County Commissioner (vote for 2)", "Precinct 3 (Harbor)", "overvotes", "undervotes", "Write-in", "Candidate 7",
		fmt.Sprint(e.Contests[0].Total.Undervotes), fmt.Sprint(e.Contests[3].Total.Votes["option-measure-a-yes"])} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("%q is not in the table", want)
		}
	}
}
