// Package testcore fills election cores with elections that do not exist, for
// tests of what stands on a core: the small election with all its ballots, and
// one whose polls are open and in which a contest is ranked. What is in them was
// never on a medium.
package testcore

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"testing"
	"testing/fstest"

	"sallyport/internal/ems"
	"sallyport/internal/testelection"
)

// The elections.
const (
	// Closed is the small election of package testelection, whose day is over.
	Closed = testelection.ID
	// Open is the same in the year 2099, without ballots. Its contest-clerk is
	// ranked.
	Open = "maple-county-general-2099-11-03"
)

// Rules are those of the ranked contest of [Open], as RCTab has them.
const Rules = `{"outputSettings": {"contestName": "Clerk"},
 "candidates": [{"name": "Candidate 5 (Oak Party)"}, {"name": "Candidate 6 (Elm Party)"}],
 "rules": {"tiebreakMode": "useCandidateOrder", "overvoteRule": "exhaustImmediately", "winnerElectionMode": "singleWinnerMajority",
  "numberOfWinners": "1", "decimalPlacesForVoteArithmetic": "1", "maxSkippedRanksAllowed": "0", "maxRankingsAllowed": "2"}}
`

// Fill puts both elections into the database of a core.
func Fill(t testing.TB, path string) {
	t.Helper()
	e, err := testelection.Small()
	if err != nil {
		t.Fatal(err)
	}
	c, err := ems.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	put := func(election, kind, definition string, files ...testelection.File) {
		if _, err := c.Import(context.Background(), pack(election, kind, definition, files)); err != nil {
			t.Fatal(err)
		}
	}
	put(Closed, ems.KindDefinition, "", e.Definition)
	put(Closed, ems.KindCVRs, e.Definition.SHA256(), e.Records...)
	later := testelection.File{Name: "definition.json", Data: ranked(t, bytes.ReplaceAll(e.Definition.Data, []byte("2026-11-03"), []byte("2099-11-03")))}
	put(Open, ems.KindDefinition, "", later)
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
}

// ranked makes the first contest for one vote a ranked one.
func ranked(t testing.TB, definition []byte) []byte {
	t.Helper()
	plain := []byte(`"VoteVariation": "plurality"`)
	if !bytes.Contains(definition, plain) {
		t.Fatal("the definition has no contest by plurality")
	}
	return bytes.Replace(definition, plain, []byte(`"RanksAllowed": 2, "VoteVariation": "rcv"`), 1)
}

// pack makes a package of files; its digest stands for the content.
func pack(election, kind, definition string, files []testelection.File) ems.Package {
	p := ems.Package{ID: "test", Kind: kind, ElectionID: election, ElectionSHA256: definition}
	fsys := fstest.MapFS{}
	h := sha256.New()
	for _, f := range files {
		fsys[f.Name] = &fstest.MapFile{Data: f.Data}
		p.Files = append(p.Files, ems.File{Path: f.Name, Size: int64(len(f.Data)), SHA256: f.SHA256(), MediaType: "application/json"})
		fmt.Fprintf(h, "%s %s %s\n", kind, f.Name, f.SHA256())
	}
	p.FS, p.Digest = fsys, [32]byte(h.Sum(nil))
	return p
}
