package dialect_test

import (
	"cmp"
	"context"
	"testing"

	"sallyport/internal/ems/dialect"
)

// drain reads a whole source.
func drain(t testing.TB, src *dialect.Source) (*dialect.Catalogue, []*dialect.Ballot) {
	t.Helper()
	cat, err := src.Catalogue(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	var all []*dialect.Ballot
	if err := src.Ballots(context.Background(), func(b *dialect.Ballot) error { all = append(all, b); return nil }); err != nil {
		t.Fatal(err)
	}
	if err := src.Close(); err != nil {
		t.Fatal(err)
	}
	return cat, all
}

// current is the version of a ballot that counts.
func current(b *dialect.Ballot) dialect.Version {
	for _, v := range b.Versions {
		if v.Current {
			return v
		}
	}
	return dialect.Version{}
}

// count adds up votes by choice, and ballots that are over- and undervoted by
// contest; by identifier where there is one, else by name.
func count(cat *dialect.Catalogue, ballots []*dialect.Ballot) map[string]int {
	sum := map[string]int{}
	for _, b := range ballots {
		for _, m := range current(b).Contests {
			c := cat.Contests[m.Contest]
			id := cmp.Or(c.ID, c.Name)
			sum[id+" ballots"]++
			switch {
			case m.Overvoted:
				sum[id+" over"]++
				continue
			case m.Undervoted:
				sum[id+" under"]++
			}
			for _, k := range m.Marks {
				if !k.NotCounted {
					sum[cmp.Or(c.Choices[k.Choice].ID, id+"/"+c.Choices[k.Choice].Name)] += k.Votes
				}
			}
		}
	}
	return sum
}
