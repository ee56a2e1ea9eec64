package audit_test

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"sallyport/internal/audit"
	"sallyport/internal/translog"
)

// pages reads everything that the filter selects, and the first index of each
// damaged place.
func pages(t *testing.T, l *translog.Log, f audit.Filter, most, maxBytes int) (seqs, damaged []int64, n int) {
	t.Helper()
	for n = 1; n < 100; n++ {
		p, err := audit.ReadPage(l, f, most, maxBytes)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range p.Entries {
			seqs = append(seqs, e.Seq)
		}
		for _, d := range p.Damage {
			damaged = append(damaged, d.Entry)
		}
		if len(p.Entries)+len(p.Damage) > most {
			t.Errorf("a page of %d entries and %d damaged places, at most %d were asked for", len(p.Entries), len(p.Damage), most)
		}
		if p.Next == 0 {
			return seqs, damaged, n
		}
		if p.Next <= f.From {
			t.Fatalf("after the page from %d comes one from %d", f.From, p.Next)
		}
		f.From = p.Next
	}
	t.Fatal("the pages do not end")
	return nil, nil, 0
}

func TestPagesMeetWithoutGapAndOverlap(t *testing.T) {
	s := day(t)
	all := []int64{0, 1, 2, 3, 4, 5, 6}
	for most := 1; most <= 8; most++ {
		got, damaged, n := pages(t, s.log, audit.Filter{}, most, 0)
		if !slices.Equal(got, all) || damaged != nil || n < 7/most {
			t.Errorf("pages of %d: %v in %d pages, damaged %v", most, got, n, damaged)
		}
	}
	if got, _, n := pages(t, s.log, audit.Filter{}, 99, 1); !slices.Equal(got, all) || n < 7 {
		t.Errorf("pages of one byte: %v in %d pages", got, n)
	}
	if got, _, _ := pages(t, s.log, audit.Filter{From: 1, To: 5, Event: "package"}, 2, 0); !slices.Equal(got, []int64{2, 3, 4}) {
		t.Errorf("filtered: %v", got)
	}
}

// What a damaged place held is unknown: no filter but its bounds may hide it.
func TestPagesNameDamageWhateverTheFilter(t *testing.T) {
	s := day(t)
	s.log.Close()
	path := filepath.Join(s.dir, "00000000000000000000.seg")
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	data[bytes.Index(data, []byte(`{"seq":3,`))] ^= 1
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := translog.Open(s.dir, translog.Options{ReadOnly: true})
	if l == nil {
		t.Fatal(err)
	}
	defer l.Close()
	for name, c := range map[string]struct {
		f       audit.Filter
		want    []int64
		damaged []int64
	}{
		"all":        {audit.Filter{}, []int64{0, 1, 2, 4, 5, 6}, []int64{3}},
		"event":      {audit.Filter{Event: "station"}, []int64{1, 6}, []int64{3}},
		"until":      {audit.Filter{To: 4}, []int64{0, 1, 2}, []int64{3}},
		"before it":  {audit.Filter{To: 3}, []int64{0, 1, 2}, nil},
		"from it on": {audit.Filter{From: 3}, []int64{4, 5, 6}, []int64{3}},
		"behind it":  {audit.Filter{From: 4}, []int64{4, 5, 6}, nil},
	} {
		for most := 1; most < 9; most++ {
			if got, damaged, _ := pages(t, l, c.f, most, 0); !slices.Equal(got, c.want) || !slices.Equal(damaged, c.damaged) {
				t.Errorf("%s, pages of %d: %v and damaged %v", name, most, got, damaged)
			}
		}
	}
}
