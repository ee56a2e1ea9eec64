package ems

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"sallyport/internal/ems/model"
	"sallyport/internal/ems/store"
	"sallyport/internal/ems/tally"
	"sallyport/internal/verdict"
)

// TestWhatCannotBeCountedIsTheContentsFault: the reading of the records refuses
// every way to get here that is known.
func TestWhatCannotBeCountedIsTheContentsFault(t *testing.T) {
	for _, err := range []error{
		fmt.Errorf("%w: contest %q: 5 votes allowed on 77 ballots make 385, counted were 386", tally.ErrUnbalanced, "c"),
		fmt.Errorf("cannot count ballot %q: %w", "b", model.ErrRepeatedVote),
		fmt.Errorf("cannot count ballot %q: %w", "b", model.ErrNotOvervoted),
	} {
		f, ok := verdict.Find(uncountable("a.json", err))
		if !ok || f.Reason != verdict.ContentInvalid || f.Where != "a.json" || !strings.Contains(f.Detail, "rule records-uncountable") {
			t.Errorf("%v became %v", err, f)
		}
		if strings.ContainsAny(f.Detail, "0123456789") {
			t.Errorf("numbers of votes are told: %s", f.Detail)
		}
	}
}

// TestADamagedStoreIsNotThePackagesFault: a stored definition that cannot be
// read any more stops the core and says nothing about the next package.
func TestADamagedStoreIsNotThePackagesFault(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ems.db")
	if err := Create(path); err != nil {
		t.Fatal(err)
	}
	c, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	bad := []byte(`{"@type":"no definition"}`)
	e := store.Election{ID: "e", SHA256: sha256.Sum256(bad), Definition: bad}
	if _, err := c.store.AddDefinition(context.Background(), store.Package{Digest: [32]byte{1}, ID: "p", Kind: KindDefinition, ElectionID: "e"}, e); err != nil {
		t.Fatal(err)
	}
	_, err = c.Import(context.Background(), Package{Digest: [32]byte{2}, ID: "q", Kind: KindCVRs, ElectionID: "e",
		ElectionSHA256: fmt.Sprintf("%x", e.SHA256), Files: []File{{Path: "a.json"}}, FS: fstest.MapFS{}})
	if _, finding := verdict.Find(err); err == nil || finding || errors.Is(err, ErrNotForCore) {
		t.Errorf("got %v", err)
	}
}
