package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func fresh(t *testing.T) (*Store, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "store.db")
	if err := Create(path, AtStation); err != nil {
		t.Fatal(err)
	}
	s, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	e := Election{ID: "e", SHA256: [32]byte{1}, Definition: []byte("{}")}
	if _, err := s.AddDefinition(context.Background(), Package{Digest: [32]byte{1}, Kind: "d", ElectionID: "e"}, e); err != nil {
		t.Fatal(err)
	}
	return s, path
}

// counting counts nothing.
type counting struct{}

func (counting) Same(a, b []byte) bool { return bytes.Equal(a, b) }
func (counting) Known(Row) error       { return nil }
func (counting) Rows([]Subtotal, func(int64) int64) ([]Subtotal, error) {
	return nil, nil
}

func add(t *testing.T, s *Store, digest byte, limit int, ids ...string) (Package, error) {
	t.Helper()
	l := s.NewLoad()
	defer l.Close()
	l.limit = limit
	for _, id := range ids {
		if err := l.Add(Row{ID: []byte(id), Batch: l.Batch(Batch{Device: "device", ID: id[:1]}), Content: []byte("content of " + id)}); err != nil {
			t.Fatal(err)
		}
	}
	return s.AddBallots(context.Background(), Package{Digest: [32]byte{digest}, ID: fmt.Sprint(digest), Kind: "c", ElectionID: "e"}, l, counting{})
}

func ids(t *testing.T, s *Store) (list []string, err error) {
	t.Helper()
	err = s.Ballots(context.Background(), "e", func(r Row) error {
		if !bytes.Equal(r.Content, []byte("content of "+string(r.ID))) {
			t.Errorf("ballot %q has the content %q", r.ID, r.Content)
		}
		list = append(list, string(r.ID))
		return nil
	})
	return list, err
}

func TestBallotsComeBackSortedWhateverTheOrderAndSize(t *testing.T) {
	var want []string
	for i := range 3000 {
		want = append(want, fmt.Sprintf("%04d", i))
	}
	shuffled := append([]string{}, want...)
	rand.New(rand.NewPCG(1, 2)).Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
	var states [][32]byte
	for _, limit := range []int{1 << 20, 4000, 500} {
		s, path := fresh(t)
		p, err := add(t, s, 2, limit, shuffled...)
		if err != nil || p.Ballots != 3000 || p.Known != 0 {
			t.Fatalf("%+v %v", p, err)
		}
		states = append(states, p.State)
		have, err := ids(t, s)
		if err != nil || strings.Join(have, " ") != strings.Join(want, " ") {
			t.Errorf("limit %d: %d ballots, %v", limit, len(have), err)
		}
		left, err := os.ReadDir(filepath.Dir(path))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range left {
			if strings.HasPrefix(f.Name(), loadPrefix) {
				t.Errorf("%s was left", f.Name())
			}
		}
	}
	if states[0] != states[1] || states[1] != states[2] {
		t.Error("the state depends on how the ballots were sorted")
	}
}

// Two stores that got the same ballots in different orders must not differ in
// one byte: otherwise the file tells in which order they came.
func TestTheFileDoesNotTellTheOrder(t *testing.T) {
	list := make([]string, 2000)
	for i := range list {
		list[i] = fmt.Sprintf("%c%05d", 'a'+(i*7)%5, (i*7919)%2000)
	}
	var files [][]byte
	for range 2 {
		s, path := fresh(t)
		if _, err := add(t, s, 2, 4000, list...); err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, data)
		for i, j := 0, len(list)-1; i < j; i, j = i+1, j-1 {
			list[i], list[j] = list[j], list[i]
		}
	}
	if !bytes.Equal(files[0], files[1]) {
		t.Error("the files differ")
	}
}

func TestConflictsChangeNothing(t *testing.T) {
	s, _ := fresh(t)
	if _, err := add(t, s, 2, 1<<20, "a1", "b1"); err != nil {
		t.Fatal(err)
	}
	before, err := s.State(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	var c *Conflict
	if _, err := add(t, s, 3, 1<<20, "a2", "a3", "a2"); !errors.As(err, &c) || !c.Within || c.ID != "a2" {
		t.Errorf("twice in one package: %v", err)
	}
	l := s.NewLoad()
	defer l.Close()
	for _, r := range []Row{{ID: []byte("a2"), Content: []byte("x")}, {ID: []byte("a1"), Content: []byte("other")}} {
		r.Batch = l.Batch(Batch{Device: "device", ID: "a"})
		if err := l.Add(r); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.AddBallots(context.Background(), Package{Digest: [32]byte{4}, Kind: "c", ElectionID: "e"}, l, counting{}); !errors.As(err, &c) || c.Within || c.ID != "a1" {
		t.Errorf("with other content: %v", err)
	}
	if after, err := s.State(context.Background()); err != nil || after != before {
		t.Errorf("the state changed: %v", err)
	}
	if list, err := ids(t, s); err != nil || len(list) != 2 {
		t.Errorf("%q %v", list, err)
	}
	p, err := add(t, s, 5, 1<<20, "a1", "c1")
	if err != nil || p.Ballots != 2 || p.Known != 1 {
		t.Errorf("%+v %v", p, err)
	}
}

func TestAChangedBallotIsFoundWhenItIsRead(t *testing.T) {
	for name, change := range map[string]string{
		"content":    "UPDATE ballot SET content = X'00' WHERE id = 'a1'",
		"identifier": "UPDATE ballot SET id = 'a9' WHERE id = 'a1'",
		"removed":    "DELETE FROM ballot WHERE id = 'a1'",
		"added":      "INSERT INTO ballot SELECT election, 'a7', batch, content FROM ballot WHERE id = 'a1'",
		"batch":      "UPDATE ballot SET batch = (SELECT max(no) FROM batch) WHERE id = 'a1'",
		"batch name": "UPDATE batch SET id = 'z' WHERE id = 'a'",
	} {
		t.Run(name, func(t *testing.T) {
			s, _ := fresh(t)
			if _, err := add(t, s, 2, 1<<20, "a1", "b1"); err != nil {
				t.Fatal(err)
			}
			if _, err := s.db.Exec(change); err != nil {
				t.Fatal(err)
			}
			err := s.Ballots(context.Background(), "e", func(Row) error { return nil })
			if !errors.Is(err, ErrDamaged) {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestAFullDiskStoresNothing(t *testing.T) {
	s, _ := fresh(t)
	var pages int
	if err := s.db.QueryRow("PRAGMA page_count").Scan(&pages); err != nil {
		t.Fatal(err)
	}
	if _, err := s.db.Exec(fmt.Sprintf("PRAGMA max_page_count = %d", pages+3)); err != nil {
		t.Fatal(err)
	}
	before, err := s.State(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	var many []string
	for i := range 5000 {
		many = append(many, fmt.Sprintf("a%d", i))
	}
	if _, err := add(t, s, 2, 1<<20, many...); !errors.Is(err, ErrFull) {
		t.Errorf("%v", err)
	}
	if after, err := s.State(context.Background()); err != nil || after != before {
		t.Errorf("the state changed: %v", err)
	}
	if p, err := add(t, s, 3, 1<<20, "a1"); err != nil || p.Ballots != 1 {
		t.Errorf("a small package afterwards: %+v %v", p, err)
	}
}

func TestOpenRemovesWhatACrashLeft(t *testing.T) {
	_, path := fresh(t)
	left := filepath.Join(filepath.Dir(path), loadPrefix+"123")
	if err := os.WriteFile(left, []byte("ballots"), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := os.Stat(left); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the temporary file is still there: %v", err)
	}
}

func TestANewerStoreIsNotOpened(t *testing.T) {
	s, path := fresh(t)
	if _, err := s.db.Exec("PRAGMA user_version = 99"); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(path); err == nil || !strings.Contains(err.Error(), "newer") {
		t.Errorf("%v", err)
	}
}

func TestTheDatabaseRefusesRowsThatBelongToNothing(t *testing.T) {
	s, _ := fresh(t)
	for _, q := range []string{
		"INSERT INTO ballot VALUES (1, 'x', 77, X'00')",
		"INSERT INTO ballot VALUES (77, 'x', 1, X'00')",
		"INSERT INTO batch (package, device, id) VALUES (77, '', '')",
		"INSERT INTO ballot VALUES ('one', 'x', 1, X'00')",
	} {
		if _, err := s.db.Exec(q); err == nil {
			t.Errorf("%s: accepted", q)
		}
	}
}

// Facts are bound to each other: one that was changed, removed or put in
// another's place is noticed.
func TestFactsCannotBeChanged(t *testing.T) {
	ctx := context.Background()
	for name, change := range map[string]string{
		"nothing":     "",
		"document":    "UPDATE fact SET document = x'00' WHERE no = 2",
		"person":      "UPDATE fact SET who = 'x' WHERE no = 3",
		"time":        "UPDATE fact SET at = '2026-01-01T00:00:00Z' WHERE no = 1",
		"one removed": "DELETE FROM fact WHERE no = 2",
		"renumbered":  "UPDATE fact SET no = 9 WHERE no = 3",
		"chain":       "UPDATE fact SET chain = zeroblob(32) WHERE no = 3",
	} {
		t.Run(name, func(t *testing.T) {
			s, _ := fresh(t)
			before, err := s.State(ctx)
			if err != nil {
				t.Fatal(err)
			}
			for i := range 3 {
				f, err := s.AddFact(ctx, Fact{Election: "e", Kind: "draft", Key: fmt.Sprint(i % 2), Document: []byte{byte(i)}, Who: "a", Why: "b", At: "2026-11-03T00:00:00Z"}, -1)
				if err != nil || f.No != int64(i+1) {
					t.Fatal(f, err)
				}
			}
			after, err := s.State(ctx)
			if err != nil || after == before {
				t.Errorf("the state does not depend on the facts: %v", err)
			}
			if _, err := s.db.Exec(change); err != nil {
				t.Fatal(err)
			}
			n := 0
			err = s.Facts(ctx, "e", "draft", func(Fact) error { n++; return nil })
			if change == "" && (err != nil || n != 3) || change != "" && !errors.Is(err, ErrDamaged) {
				t.Errorf("%d facts, %v", n, err)
			}
		})
	}
}

// Who changes something on the ground of what is not the newest is told so.
func TestAFactOnOldGroundIsRefused(t *testing.T) {
	ctx := context.Background()
	s, _ := fresh(t)
	first, err := s.AddFact(ctx, Fact{Election: "e", Kind: "draft", Key: "d", Document: []byte("{}")}, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.AddFact(ctx, Fact{Election: "e", Kind: "draft", Key: "d", Document: []byte("{}")}, first.No); err != nil {
		t.Fatal(err)
	}
	if _, err := s.AddFact(ctx, Fact{Election: "e", Kind: "draft", Key: "d", Document: []byte("{}")}, first.No); !errors.Is(err, ErrStale) {
		t.Errorf("%v", err)
	}
	if f, err := s.AddFact(ctx, Fact{Election: "e", Kind: "draft", Key: "other", Document: []byte("{}")}, 0); err != nil || f.No != 3 {
		t.Errorf("%+v %v", f, err)
	}
}

// known counts the ballots that it is told of.
type known struct {
	counting
	ids map[string]bool
}

func (k known) Known(r Row) error { k.ids[string(r.ID)] = true; return nil }

// Of a superset that mixes ballots that are held with new ones, the new ones are
// stored and the others are told, each once, whatever runs they come in.
func TestASupersetBringsWhatIsNew(t *testing.T) {
	s, _ := fresh(t)
	var all, some []string
	for i := range 500 {
		id := fmt.Sprintf("%04d", i)
		all = append(all, id)
		if i%3 == 0 || i > 200 && i < 300 {
			some = append(some, id)
		}
	}
	if _, err := add(t, s, 2, 1<<20, some...); err != nil {
		t.Fatal(err)
	}
	l := s.NewLoad()
	defer l.Close()
	for _, id := range all {
		if err := l.Add(Row{ID: []byte(id), Batch: l.Batch(Batch{Device: "device", ID: id[:1]}), Content: []byte("content of " + id)}); err != nil {
			t.Fatal(err)
		}
	}
	k := known{ids: map[string]bool{}}
	p, err := s.AddBallots(context.Background(), Package{Digest: [32]byte{3}, ID: "3", Kind: "c", ElectionID: "e"}, l, k)
	if err != nil || p.Ballots != int64(len(all)) || p.Known != int64(len(some)) || len(k.ids) != len(some) {
		t.Fatalf("%+v, %d told, %d were held: %v", p, len(k.ids), len(some), err)
	}
	for _, id := range some {
		if !k.ids[id] {
			t.Errorf("%s was held, and is not told", id)
		}
	}
	have, err := ids(t, s) // every package's digest is compared
	if err != nil || !slices.Equal(have, all) {
		t.Errorf("%d ballots, %v", len(have), err)
	}
}
