package audits_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"sallyport/internal/ems"
	"sallyport/internal/ems/audits"
	"sallyport/internal/ems/dialect"
	"sallyport/internal/ems/rla"
	"sallyport/internal/testelection"
)

const small = "../../../testdata/elections/small/"

// core holds the small election.
func core(t *testing.T) *ems.Core {
	t.Helper()
	path := filepath.Join(t.TempDir(), "ems.db")
	if err := ems.CreateDesk(path); err != nil {
		t.Fatal(err)
	}
	c, err := ems.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	var definition string
	for _, name := range []string{"definition.json", "cvr-precinct-1.json", "cvr-precinct-2.json", "cvr-precinct-3.json"} {
		data, err := os.ReadFile(small + name)
		if err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256(data)
		p := ems.Package{Digest: sum, ID: name, Kind: ems.KindCVRs, ElectionID: testelection.ID, ElectionSHA256: definition, FS: os.DirFS(small),
			Files: []ems.File{{Path: name, Size: int64(len(data)), SHA256: hex.EncodeToString(sum[:])}}}
		if definition == "" {
			p.Kind, definition = ems.KindDefinition, hex.EncodeToString(sum[:])
		}
		if _, err := c.Import(context.Background(), p); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

func batches(t *testing.T, c *ems.Core) []ems.BatchCount {
	t.Helper()
	list, err := c.Batches(context.Background(), testelection.ID)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// The manifest and the totals by batch are what Arlo's readers take, fit each
// other, and come to the tally.
func TestManifestAndTotalsFitTheTally(t *testing.T) {
	c := core(t)
	var manifest, totals bytes.Buffer
	if err := rla.WriteManifest(&manifest, audits.Manifest(batches(t, c), rla.BallotComparison)); err != nil {
		t.Fatal(err)
	}
	m, err := rla.ReadManifest("manifest.csv", &manifest, rla.BallotComparison)
	if err != nil {
		t.Fatal(err)
	}
	tl, err := c.Tally(context.Background(), testelection.ID)
	if err != nil {
		t.Fatal(err)
	}
	sum := 0
	for _, b := range m.Batches {
		sum += b.Ballots
	}
	if int64(sum) != tl.Ballots {
		t.Errorf("%d ballots in the manifest, %d counted", sum, tl.Ballots)
	}
	doc, err := c.Document(context.Background(), testelection.ID)
	if err != nil {
		t.Fatal(err)
	}
	x, err := audits.Totals(definition(t, doc), batches(t, c), []string{"contest-clerk"})
	if err != nil {
		t.Fatal(err)
	}
	if err := rla.WriteBatchTotals(&totals, x); err != nil {
		t.Fatal(err)
	}
	y, err := rla.ReadBatchTotals("totals.csv", &totals)
	if err != nil {
		t.Fatal(err)
	}
	got := make([]int64, len(y.Columns))
	for _, r := range y.Rows {
		for i, v := range r.Votes {
			got[i] += int64(v)
		}
	}
	if diff := cmp.Diff(tl.Contests[1].Total.Votes, got); diff != "" {
		t.Error(diff)
	}
	if _, err := audits.Totals(definition(t, doc), nil, []string{"x"}); !errors.Is(err, audits.ErrContest) {
		t.Errorf("%v", err)
	}
}

// Exported in Dominion's form, the ballots are read by the reader of that form and
// come to the same votes.
func TestExportedRecordsAreReadAgain(t *testing.T) {
	ctx := context.Background()
	c := core(t)
	tl, err := c.Tally(ctx, testelection.ID)
	if err != nil {
		t.Fatal(err)
	}
	for form, kind := range map[audits.Form]dialect.Kind{audits.Dominion: dialect.DominionCSV} {
		t.Run(string(form), func(t *testing.T) {
			var w bytes.Buffer
			if err := audits.WriteCVRs(ctx, &w, form, c, testelection.ID); err != nil {
				t.Fatal(err)
			}
			s, err := dialect.Open(kind, fstest.MapFS{"cvr.csv": {Data: w.Bytes()}}, "cvr.csv")
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			cat, err := s.Catalogue(ctx)
			if err != nil {
				t.Fatal(err)
			}
			votes := map[string]int64{}
			ballots := int64(0)
			err = s.Ballots(ctx, func(b *dialect.Ballot) error {
				ballots++
				for _, v := range b.Versions {
					for _, m := range v.Contests {
						if !v.Current || m.Overvoted {
							continue
						}
						for _, k := range m.Marks {
							votes[cat.Contests[m.Contest].Name+"/"+cat.Contests[m.Contest].Choices[k.Choice].Name] += int64(k.Votes)
						}
					}
				}
				return nil
			})
			if err != nil || ballots != tl.Ballots {
				t.Fatalf("%d ballots, %v", ballots, err)
			}
			for _, x := range tl.Contests {
				for i, o := range x.Options {
					if o.WriteIn { // the forms have one choice for all names
						continue
					}
					if got := votes[x.Title+"/"+o.Name]; got != x.Total.Votes[i] {
						t.Errorf("%s, %s: %d, tally %d", x.Title, o.Name, got, x.Total.Votes[i])
					}
				}
			}
			if strings.Contains(w.String(), "\x00") {
				t.Error("a zero byte")
			}
		})
	}
	// What a form cannot say is refused: the measure's name has a colon.
	var p *rla.Problem
	if err := audits.WriteCVRs(ctx, &bytes.Buffer{}, audits.ClearBallot, c, testelection.ID); !errors.As(err, &p) || !strings.Contains(p.Error(), "Measure A") {
		t.Errorf("%v", err)
	}
	none := func(string) (io.WriteCloser, error) { return os.Create(filepath.Join(t.TempDir(), "x")) }
	for _, form := range []audits.Form{audits.ESS, audits.Hart} { // a contest for two
		if err := audits.WriteFolder(ctx, none, form, c, testelection.ID); !errors.As(err, &p) || !strings.Contains(p.Error(), "Commissioner") {
			t.Errorf("%s: %v", form, err)
		}
	}
	if audits.WriteCVRs(ctx, &bytes.Buffer{}, "x", c, testelection.ID) == nil || audits.WriteFolder(ctx, none, "x", c, testelection.ID) == nil {
		t.Error("an unknown form was written")
	}
}
