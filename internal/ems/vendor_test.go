package ems_test

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"sallyport/internal/ems"
	"sallyport/internal/ems/dialect"
	"sallyport/internal/ems/vendor"
	"sallyport/internal/testtool"
)

// inferred opens an export, and makes a desk's core with the definition that it
// shows.
func inferred(t *testing.T, s *dialect.Source, in vendor.Infer) *ems.Core {
	t.Helper()
	path := filepath.Join(t.TempDir(), "desk.db")
	if err := ems.CreateDesk(path); err != nil {
		t.Fatal(err)
	}
	c, err := ems.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	in.Generated = "2026-11-29T12:00:00Z"
	d, problems, err := in.Definition(context.Background(), s)
	if err != nil || len(problems) > 0 {
		t.Fatal(problems, err)
	}
	doc, err := d.JSON()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "definition.json"), doc, 0o600); err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(doc)
	must(t, c, ems.Package{Digest: sum, ID: "definition", Kind: ems.KindDefinition, ElectionID: in.ID, FS: os.DirFS(dir),
		Files: []ems.File{{Path: "definition.json", Size: int64(len(doc)), SHA256: hex.EncodeToString(sum[:]), MediaType: "application/json"}}})
	return c
}

func importVendor(t *testing.T, c *ems.Core, id string, s *dialect.Source, random bool) ems.Receipt {
	t.Helper()
	r, _, err := c.ImportVendor(context.Background(), ems.VendorExport{Digest: sha256.Sum256([]byte(s.Kind())), ID: string(s.Kind()), ElectionID: id, Source: s, RandomIDs: random})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// votesOf returns the votes of a contest by option name, and its total.
func votesOf(t *testing.T, c *ems.Core, id, contest string) (map[string]int64, ems.Tally) {
	t.Helper()
	tl, err := c.Tally(context.Background(), id)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]int64{}
	for _, x := range tl.Contests {
		if x.ID != contest && x.Title != contest {
			continue
		}
		for i, o := range x.Options {
			out[o.Name] += x.Total.Votes[i]
		}
		out["overvotes"], out["undervotes"], out["ballots"] = x.Total.Overvotes, x.Total.Undervotes, x.Total.Ballots
	}
	return out, *tl
}

// The export of a two-party primary: its signature and root are verified, it is
// imported, and the totals are those that its origin states.
func TestVotingWorksPrimary(t *testing.T) {
	dir := testtool.Shared(t, "votingworks", "two-party-primary", "castVoteRecords")
	sig, err := os.ReadFile(filepath.Join(dir, "generated.vxsig"))
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(testtool.Shared(t, "votingworks", "vx-cert-authority-cert.pem"))
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(data)
	root, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	trust := dialect.Trust{Roots: x509.NewCertPool(), Now: time.Now(), AtExport: true}
	trust.Roots.AddCert(root)
	verified, err := dialect.VerifyVotingWorks(context.Background(), os.DirFS(dir), "generated", sig, trust)
	if err != nil {
		t.Fatal(err)
	}
	s, err := verified.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	const id = "two-party-primary"
	c := inferred(t, s, vendor.Infer{ID: id, Date: "2023-12-19", Jurisdiction: "Sample County"})
	if r := importVendor(t, c, id, s, false); r.Ballots != 112 {
		t.Errorf("%+v", r)
	}
	for contest, want := range map[string]map[string]int64{
		"best-animal-mammal": {"Fox": 36, "Horse": 4, "Otter": 4, "overvotes": 8, "undervotes": 4},
		"best-animal-fish":   {"Salmon": 44, "Seahorse": 4, "overvotes": 4, "undervotes": 4},
	} {
		got, tl := votesOf(t, c, id, contest)
		for name, n := range want {
			if got[name] != n {
				t.Errorf("%s, %s: %d, expected %d", contest, name, got[name], n)
			}
		}
		if len(tl.Methods) != 2 || len(tl.Precincts) != 2 {
			t.Fatalf("%v %+v", tl.Methods, tl.Precincts)
		}
		for _, p := range tl.Precincts {
			for _, m := range p.Methods {
				if m.Ballots != 28 {
					t.Errorf("precinct %s, %s: %d ballots", p.ID, m.Method, m.Ballots)
				}
			}
		}
	}
}

// The five counties of Arlo's small election come to what its specification says.
func TestArloSmallElection(t *testing.T) {
	dir := testtool.Shared(t, "arlo", "small-election")
	data, err := os.ReadFile(filepath.Join(dir, "small-election.spec.json"))
	if err != nil {
		t.Fatal(err)
	}
	var spec struct {
		Contests []struct {
			Name  string
			Tally map[string]int64
		}
	}
	if err := json.Unmarshal(data, &spec); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(dir, "* - cvrs.csv"))
	if err != nil || len(files) != 5 {
		t.Fatal(files, err)
	}
	sums := map[string]map[string]int64{}
	for _, f := range files {
		s, err := dialect.Open(dialect.DominionCSV, os.DirFS(dir), filepath.Base(f))
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		id := strings.TrimSuffix(filepath.Base(f), " - cvrs.csv")
		c := inferred(t, s, vendor.Infer{ID: id, Date: "2020-11-03"})
		_, _, err = c.ImportVendor(context.Background(), ems.VendorExport{Digest: [32]byte{1}, ID: id, ElectionID: id, Source: s})
		if !errors.Is(err, ems.ErrOrder) {
			t.Errorf("identifiers in the order of the scanner are kept: %v", err)
		}
		importVendor(t, c, id, s, true)
		for _, x := range spec.Contests {
			got, _ := votesOf(t, c, id, x.Name)
			for name := range x.Tally {
				if sums[x.Name] == nil {
					sums[x.Name] = map[string]int64{}
				}
				for have, n := range got {
					if strings.EqualFold(have, name) {
						sums[x.Name][name] += n
					}
				}
			}
		}
	}
	for _, x := range spec.Contests {
		for name, n := range x.Tally {
			if sums[x.Name][name] != n {
				t.Errorf("%s, %s: %d, expected %d", x.Name, name, sums[x.Name][name], n)
			}
		}
	}
}

func fsOf(name string, data []byte) fs.FS { return fstest.MapFS{name: {Data: data}} }
