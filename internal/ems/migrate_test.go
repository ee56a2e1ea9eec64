package ems_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"database/sql"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sallyport/internal/ems"
	"sallyport/internal/testelection"
)

// stored unpacks a store that an earlier version made: testdata/store-N.db.gz
// was made by the program of form N from the small election's definition and
// its first precinct, store-N.tally.json is that program's tally.
func stored(t *testing.T, name string) *ems.Core {
	t.Helper()
	f, err := os.Open("testdata/" + name + ".db.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "ems.db")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := ems.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// A store of an earlier form is brought to the newest, tallies as it did then,
// knows the packages it had, and takes new ones.
func TestAStoreOfEveryEarlierFormGoesOn(t *testing.T) {
	for _, name := range []string{"store-1"} {
		t.Run(name, func(t *testing.T) {
			c := stored(t, name)
			data, err := os.ReadFile("testdata/" + name + ".tally.json")
			if err != nil {
				t.Fatal(err)
			}
			var want map[string]any
			if err := json.Unmarshal(data, &want); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, known(t, count(t, c), want)); diff != "" {
				t.Error(diff)
			}
			if r, ok, err := c.Receipt(records(t, read(t, "cvr-precinct-1.json")).Digest); err != nil || !ok || r.Ballots != 121 {
				t.Errorf("%+v %v %v", r, ok, err)
			}
			// A superset: what the store has in its first packing is known.
			r := must(t, c, records(t, read(t, "cvr-precinct-1.json"), read(t, "cvr-precinct-2.json"), read(t, "cvr-precinct-3.json")))
			if r.Known != 121 || r.Ballots == r.Known {
				t.Errorf("%+v", r)
			}
			if diff := cmp.Diff(expected(t), asExpected(count(t, c))); diff != "" {
				t.Error(diff)
			}
			quick, err := c.Totals(context.Background(), testelection.ID)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(count(t, c), quick); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// known is a tally with no more members than an earlier version's had.
func known(t *testing.T, tl *ems.Tally, want map[string]any) map[string]any {
	t.Helper()
	data, err := json.Marshal(tl)
	if err != nil {
		t.Fatal(err)
	}
	var have map[string]any
	if err := json.NewDecoder(bytes.NewReader(data)).Decode(&have); err != nil {
		t.Fatal(err)
	}
	prune(have, want)
	return have
}

func prune(have, want any) {
	switch have := have.(type) {
	case map[string]any:
		w, _ := want.(map[string]any)
		for k, v := range have {
			if _, ok := w[k]; !ok {
				delete(have, k)
				continue
			}
			prune(v, w[k])
		}
	case []any:
		w, _ := want.([]any)
		for i := range have {
			if i < len(w) {
				prune(have[i], w[i])
			}
		}
	}
}

// What was counted when ballots came in is what they come to: a stored subtotal
// that was changed makes the tally fail.
func TestAChangedSubtotalIsNoticed(t *testing.T) {
	c, path := core(t)
	must(t, c, definition(t))
	must(t, c, records(t, read(t, "cvr-precinct-2.json")))
	count(t, c)
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	for _, kind := range []string{"precinct", "style", "batch"} {
		t.Run(kind, func(t *testing.T) {
			copied := filepath.Join(t.TempDir(), "copy.db")
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(copied, data, 0o600); err != nil {
				t.Fatal(err)
			}
			// The first number of a row is its ballots.
			change(t, copied, "UPDATE subtotal SET counts = CAST(x'01' || substr(counts, 2) AS BLOB) WHERE kind = '"+kind+"'")
			c, err := ems.Open(copied)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			if tl, err := c.Tally(context.Background(), testelection.ID); err == nil {
				t.Errorf("a tally of %d ballots", tl.Ballots)
			}
		})
	}
}

func change(t *testing.T, path, statement string) {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	res, err := db.Exec(statement)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := res.RowsAffected(); err != nil || n == 0 {
		t.Fatalf("nothing was changed: %v", err)
	}
}
