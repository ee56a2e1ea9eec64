package cdf

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sallyport/internal/verdict"
)

// parts splits the report of results: each part has the counts of one precinct.
func parts(t testing.TB) []*Document {
	t.Helper()
	var out []*Document
	for i, keep := range []string{"p1", "p2"} {
		d := results(t)
		d.Root.Set("SequenceStart", i+1).Set("SequenceEnd", 2)
		_ = d.Root.Walk(func(o *Object) error {
			for _, name := range []string{"VoteCounts", "OtherCounts", "BallotCounts"} {
				var mine []*Object
				for _, c := range o.List(name) {
					if c.Str("GpUnitId") == keep {
						mine = append(mine, c.copyOf())
					}
				}
				if o.Has(name) {
					o.Set(name, mine)
				}
			}
			return nil
		})
		out = append(out, d)
	}
	return out
}

func TestPartsMakeTheReport(t *testing.T) {
	want := results(t)
	p := parts(t)
	got, err := Assemble([]*Document{p[1], p[0]}) // in whatever order
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(written(t, want, JSON)), string(written(t, got, JSON))); diff != "" {
		t.Error(diff)
	}
	if n, _ := p[0].Root.Int("SequenceEnd"); n != 2 {
		t.Error("a part was changed")
	}
	one, err := Assemble([]*Document{want})
	if err != nil || !bytes.Equal(written(t, one, JSON), written(t, want, JSON)) {
		t.Error(err)
	}
	if _, err := Assemble(nil); err == nil {
		t.Error("nothing was assembled")
	}
}

func TestPartsThatAreNotOneReportAreRefused(t *testing.T) {
	for name, c := range map[string]struct {
		change func(p []*Document) []*Document
		rule   string
	}{
		"a part is missing": {func(p []*Document) []*Document { return p[:1] }, "sequence"},
		"a part twice":      {func(p []*Document) []*Document { return []*Document{p[0], p[0]} }, "sequence"},
		"another end":       {func(p []*Document) []*Document { p[1].Root.Set("SequenceEnd", 3); return p }, "sequence"},
		"another issuer":    {func(p []*Document) []*Document { p[1].Root.Set("Issuer", "x"); return p }, "sequence-conflict"},
		"another status":    {func(p []*Document) []*Document { p[1].Root.Set("Status", "certified"); return p }, "sequence-conflict"},
		"another issue":     {func(p []*Document) []*Document { p[1].Root.Set("GeneratedDate", "2026-11-05T00:00:00Z"); return p }, "sequence-conflict"},
		"a test":            {func(p []*Document) []*Document { p[1].Root.Set("IsTest", true); return p }, "sequence-conflict"},
		"another unit":      {func(p []*Document) []*Document { p[1].Root.List("GpUnit")[1].Set("Type", "ward"); return p }, "sequence-conflict"},
		"another contest":   {func(p []*Document) []*Document { electionOf(p[1]).List("Contest")[0].Set("VotesAllowed", 2); return p }, "sequence-conflict"},
		"another candidate": {func(p []*Document) []*Document {
			electionOf(p[1]).List("Candidate")[0].Set("IsIncumbent", true)
			return p
		}, "sequence-conflict"},
		"a count differently": {func(p []*Document) []*Document { option(p[1]).Append("VoteCounts", count(p[1], 11)); return p }, "count-repeated"},
	} {
		_, err := Assemble(c.change(parts(t)))
		if err == nil {
			t.Errorf("%s: accepted", name)
			continue
		}
		wantFinding(t, err, verdict.ContentInvalid, "(rule "+c.rule+")")
	}
	p := parts(t)
	same := option(p[0]).List("VoteCounts")[0].copyOf()
	option(p[1]).Append("VoteCounts", same) // the same count in both parts is one
	if _, err := Assemble(p); err != nil {
		t.Error(err)
	}
	_, err := Assemble([]*Document{tinyCVR(t), tinyCVR(t)})
	wantFinding(t, err, verdict.ContentInvalid, "(rule sequence)")
}

func electionOf(d *Document) *Object { return d.Root.List("Election")[0] }

func option(d *Document) *Object {
	return electionOf(d).List("Contest")[0].List("ContestSelection")[0]
}

func count(d *Document, n int) *Object {
	return d.New("VoteCounts").Set("GpUnitId", "p1").Set("Type", "election-day").Set("Count", n)
}
