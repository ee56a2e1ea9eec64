package dialect_test

import (
	"context"
	"crypto/x509"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"sallyport/internal/ems/dialect"
	"sallyport/internal/testtool"
	"sallyport/internal/verdict"
)

// export is the published export of a two-party primary, in memory.
type export struct {
	files fstest.MapFS
	sig   []byte
	trust dialect.Trust
}

func published(t testing.TB) export {
	t.Helper()
	dir := testtool.Shared(t, "votingworks")
	records := filepath.Join(dir, "two-party-primary", "castVoteRecords")
	e := export{files: fstest.MapFS{}, sig: read(t, filepath.Join(records, "generated.vxsig"))}
	src := os.DirFS(records)
	err := fs.WalkDir(src, "generated", func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := fs.ReadFile(src, p)
		e.files[p] = &fstest.MapFile{Data: data}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	e.trust.Roots = x509.NewCertPool()
	if !e.trust.Roots.AppendCertsFromPEM(read(t, filepath.Join(dir, "vx-cert-authority-cert.pem"))) {
		t.Fatal("the vendor's certificate cannot be read")
	}
	e.trust.Now = time.Date(2026, 11, 4, 0, 0, 0, 0, time.UTC)
	return e
}

func read(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func (e export) verify() (*dialect.Verified, error) {
	return dialect.VerifyVotingWorks(context.Background(), e.files, "generated", e.sig, e.trust)
}

func (e export) clone() export {
	e.files, e.sig = maps.Clone(e.files), slices.Clone(e.sig)
	return e
}

// change flips the lowest bit of one byte of a file.
func (e export) change(name string, at int) {
	data := slices.Clone(e.files[name].Data)
	data[at] ^= 1
	e.files[name] = &fstest.MapFile{Data: data}
}

func (e export) reports() []string {
	var out []string
	for name := range e.files {
		if strings.HasSuffix(name, "/cast-vote-record-report.json") {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

func TestPublishedExportIsVerified(t *testing.T) {
	e := published(t)
	v, err := e.verify()
	if err != nil {
		t.Fatal(err)
	}
	if v.Records() != 112 || v.Machine().Component != "scan" || !v.PollsClosed() || v.Root() != "3c75b07d28bbb73a7a9fbe41006aaa573a82596163d09f985abf9efc67492eb5" {
		t.Errorf("%d records, %+v", v.Records(), v.Machine())
	}
	if want := time.Date(2023, 12, 19, 22, 6, 52, 857e6, time.UTC); !v.Generated().Equal(want) {
		t.Errorf("generated %v", v.Generated())
	}
}

// The vendor states these totals.
func TestPublishedExportGivesItsTotals(t *testing.T) {
	v, err := published(t).verify()
	if err != nil {
		t.Fatal(err)
	}
	src, err := v.Open()
	if err != nil {
		t.Fatal(err)
	}
	cat, ballots := drain(t, src)
	if len(ballots) != 112 || !cat.Test || cat.Election.Name != "Example Primary Election" {
		t.Errorf("%d ballots, %+v", len(ballots), cat.Election)
	}
	total := count(cat, ballots)
	want := map[string]int{"fox": 36, "horse": 4, "otter": 4, "best-animal-mammal over": 8, "best-animal-mammal under": 4,
		"salmon": 44, "seahorse": 4, "best-animal-fish over": 4, "best-animal-fish under": 4}
	got := map[string]int{}
	for k := range want {
		got[k] = total[k]
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	groups := map[string]int{}
	for _, b := range ballots {
		groups[b.Precinct.ID+" "+b.Method.Name]++
	}
	if diff := cmp.Diff(map[string]int{"precinct-1 precinct": 28, "precinct-1 absentee": 28, "precinct-2 precinct": 28, "precinct-2 absentee": 28}, groups); diff != "" {
		t.Error(diff)
	}
	if d := src.Deviations(); len(d) != 0 {
		t.Errorf("deviations: %+v", d)
	}
}

// Contests of two parties have one name: the identifier tells them apart.
func TestPublishedContestsKeepTheirIdentifiers(t *testing.T) {
	v, err := published(t).verify()
	if err != nil {
		t.Fatal(err)
	}
	src, err := v.Open()
	if err != nil {
		t.Fatal(err)
	}
	cat, _ := drain(t, src)
	var got []string
	for _, c := range cat.Contests[:2] {
		got = append(got, c.Name+"|"+c.ID+"|"+c.Party)
	}
	if diff := cmp.Diff([]string{"Best Animal|best-animal-mammal|Mammal Party", "Best Animal|best-animal-fish|Fish Party"}, got); diff != "" {
		t.Error(diff)
	}
	if c := cat.Contests[2].Choices[4]; !c.WriteIn || c.ID != "write-in-0" {
		t.Errorf("%+v", c)
	}
}

func reason(t *testing.T, err error, want verdict.Reason, where string) {
	t.Helper()
	f, ok := verdict.Find(err)
	if !ok || f.Reason != want || !strings.Contains(f.Where, where) {
		t.Errorf("got %v, want %s at %s", err, want, where)
	}
}

func TestOneChangedByteIsRefused(t *testing.T) {
	e := published(t)
	reports := e.reports()
	for i := 0; i < len(reports); i += 11 {
		x := e.clone()
		x.change(reports[i], (i*631)%len(x.files[reports[i]].Data))
		_, err := x.verify()
		reason(t, err, verdict.FileAltered, "metadata.json#/castVoteRecordRootHash")
	}
	meta := "generated/metadata.json"
	for at := 0; at < len(e.files[meta].Data); at += 97 {
		x := e.clone()
		x.change(meta, at)
		_, err := x.verify()
		reason(t, err, verdict.SignatureInvalid, "generated.vxsig")
	}
	for at := range e.sig {
		x := e.clone()
		x.sig[at] ^= 1
		_, err := x.verify()
		if f, ok := verdict.Find(err); !ok || f.Reason != verdict.SignatureInvalid && f.Reason != verdict.SignerUnknown && f.Reason != verdict.SignerNotPermitted {
			t.Errorf("byte %d of the signature file: %v", at, err)
		}
	}
}

func TestMissingAndAdditionalFilesAreRefused(t *testing.T) {
	e := published(t)
	first := e.reports()[0]
	folder := path.Dir(first)
	other := "generated/ffffffff-0000-4000-8000-000000000000/cast-vote-record-report.json"
	for name, c := range map[string]struct {
		edit  func(export)
		want  verdict.Reason
		where string
	}{
		"record removed":         {func(x export) { delete(x.files, first) }, verdict.FileMissing, "metadata.json"},
		"record added":           {func(x export) { x.files[other] = x.files[first] }, verdict.FileExtra, "metadata.json"},
		"record renamed":         {func(x export) { x.files[other] = x.files[first]; delete(x.files, first) }, verdict.FileAltered, "metadata.json"},
		"file added to a record": {func(x export) { x.files[folder+"/front.jpg"] = &fstest.MapFile{} }, verdict.FileAltered, "metadata.json"},
		"name outside the rule":  {func(x export) { x.files[folder+"/Front.jpg"] = &fstest.MapFile{} }, verdict.FileExtra, "Front.jpg"},
		"report missing":         {func(x export) { x.files[folder+"/front.jpg"] = &fstest.MapFile{}; delete(x.files, first) }, verdict.FileMissing, first},
		"file beside":            {func(x export) { x.files["generated/notes.txt"] = &fstest.MapFile{} }, verdict.FileExtra, "notes.txt"},
		"folder beside":          {func(x export) { x.files["generated/rejected-1/a.jpg"] = &fstest.MapFile{} }, verdict.FileExtra, "rejected-1"},
		"metadata missing":       {func(x export) { delete(x.files, "generated/metadata.json") }, verdict.FileMissing, "metadata.json"},
	} {
		t.Run(name, func(t *testing.T) {
			x := e.clone()
			c.edit(x)
			_, err := x.verify()
			reason(t, err, c.want, c.where)
		})
	}
}

func TestCertificatesAreJudged(t *testing.T) {
	e := published(t)
	x := e.clone()
	x.trust.Roots = x509.NewCertPool()
	_, err := x.verify()
	reason(t, err, verdict.SignerUnknown, "generated.vxsig")

	x = e.clone()
	x.trust.Now = time.Date(2124, 1, 1, 0, 0, 0, 0, time.UTC)
	_, err = x.verify()
	reason(t, err, verdict.SignerUnknown, "generated.vxsig")
	x.trust.AtExport = true
	if _, err := x.verify(); err != nil {
		t.Errorf("at the export's own time: %v", err)
	}

	x = e.clone()
	x.trust.Now = time.Time{}
	if _, err := x.verify(); err == nil {
		t.Error("verified without a time")
	}
}

// What is read is what was verified, not what stands there by then.
func TestChangeAfterVerificationIsRefused(t *testing.T) {
	e := published(t)
	v, err := e.verify()
	if err != nil {
		t.Fatal(err)
	}
	name := e.reports()[50]
	e.change(name, 700)
	src, err := v.Open()
	if err != nil {
		t.Fatal(err)
	}
	err = src.Ballots(context.Background(), func(*dialect.Ballot) error { return nil })
	reason(t, err, verdict.FileAltered, name)
}

func TestZeroVerifiedOpensNothing(t *testing.T) {
	if _, err := new(dialect.Verified).Open(); err == nil {
		t.Error("an export was read that nobody verified")
	}
}

func TestUnverifiedExportSaysSo(t *testing.T) {
	src, err := dialect.Open(dialect.VotingWorks, published(t).files, "generated")
	if err != nil {
		t.Fatal(err)
	}
	if _, ballots := drain(t, src); len(ballots) != 112 {
		t.Errorf("%d ballots", len(ballots))
	}
	if d := src.Deviations(); len(d) != 1 || d[0].Rule != dialect.NotVerified {
		t.Errorf("%+v", d)
	}
}
