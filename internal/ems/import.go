package ems

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"

	"sallyport/internal/ems/cdf"
	"sallyport/internal/ems/model"
	"sallyport/internal/ems/store"
	"sallyport/internal/ems/tally"
	"sallyport/internal/verdict"
)

// Import takes one package whole or not at all, in one transaction. A package
// whose digest was imported before is not read: its first receipt is returned.
//
// Errors: [ErrNotForCore] for another kind of package; a finding when the
// package is at fault (content-invalid, wrong-election, over-limit,
// file-altered, file-missing) or the disk is full (store-full); any other error means that the core could not
// do its work, and says nothing about the package. In every case of error the
// core is as it was.
func (c *Core) Import(ctx context.Context, p Package) (Receipt, error) {
	if p.Kind != KindDefinition && p.Kind != KindCVRs {
		return Receipt{}, fmt.Errorf("%w: %q", ErrNotForCore, p.Kind)
	}
	if p.Digest == [32]byte{} {
		return Receipt{}, errors.New("cannot import: the package has no digest")
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	have, ok, err := c.store.Package(ctx, p.Digest)
	if err != nil {
		return Receipt{}, fmt.Errorf("cannot import: %w", err)
	}
	if ok {
		return receipt(have), nil
	}
	if p.ElectionID == "" {
		return Receipt{}, verdict.New(verdict.WrongElection, "manifest election_id", "the package names no election")
	}
	row := store.Package{Digest: p.Digest, ID: p.ID, Kind: p.Kind, ElectionID: p.ElectionID}
	if p.Kind == KindDefinition {
		row, err = c.importDefinition(ctx, p, row)
	} else {
		row, err = c.importRecords(ctx, p, row)
	}
	if err != nil {
		if f, ok := verdict.Find(err); ok {
			return Receipt{}, f
		}
		if errors.Is(err, store.ErrFull) {
			return Receipt{}, verdict.New(verdict.StoreFull, "election store", "the package was not imported")
		}
		return Receipt{}, fmt.Errorf("cannot import: %w", err)
	}
	return receipt(row), nil
}

func (c *Core) importDefinition(ctx context.Context, p Package, row store.Package) (store.Package, error) {
	if len(p.Files) != 1 {
		return row, verdict.New(verdict.ContentInvalid, "manifest files", "an election definition is exactly one ballot definition document, found %d files (rule one-definition)", len(p.Files))
	}
	f := p.Files[0]
	if p.ElectionSHA256 != "" && p.ElectionSHA256 != f.SHA256 {
		return row, verdict.New(verdict.WrongElection, "manifest election_sha256", "the definition has another digest than the package says it belongs to")
	}
	if f.Size > cdf.MaxDefinition {
		return row, verdict.New(verdict.OverLimit, f.Path, "a ballot definition may have %d MiB", cdf.MaxDefinition>>20)
	}
	src, err := openFile(p.FS, f)
	if err != nil {
		return row, err
	}
	data, err := io.ReadAll(io.LimitReader(src, cdf.MaxDefinition+1))
	if err := errors.Join(err, src.Close()); err != nil {
		return row, err
	}
	d, err := c.docs.Definition(f.Path, data)
	if err != nil {
		return row, err
	}
	if !slices.Contains(d.IDs, p.ElectionID) {
		return row, verdict.New(verdict.WrongElection, f.Path+"#/Election/0/ExternalIdentifier", "the definition is not that of the election %q, which the package names", p.ElectionID)
	}
	e := store.Election{ID: p.ElectionID, SHA256: sha256.Sum256(data), Definition: data}
	have, ok, err := c.store.Election(ctx, p.ElectionID)
	if err != nil {
		return row, err
	}
	if ok && have.SHA256 != e.SHA256 {
		return row, verdict.New(verdict.WrongElection, f.Path, "this station holds another definition of the election %q; its ballots were cast under that one", p.ElectionID)
	}
	row.Contests = int64(len(d.Contests))
	return c.store.AddDefinition(ctx, row, e)
}

func (c *Core) importRecords(ctx context.Context, p Package, row store.Package) (store.Package, error) {
	e, v, ok, err := c.definition(ctx, p.ElectionID)
	if err != nil {
		return row, err
	}
	if !ok {
		return row, verdict.New(verdict.WrongElection, "manifest election_id", "this station has no definition of the election %q: bring the package with the election definition first", p.ElectionID)
	}
	if p.ElectionSHA256 != hex.EncodeToString(e.SHA256[:]) {
		return row, verdict.New(verdict.WrongElection, "manifest election_sha256", "the records were made under another definition of the election %q than this station holds", p.ElectionID)
	}
	if len(p.Files) == 0 {
		return row, verdict.New(verdict.ContentInvalid, "manifest files", "an export of cast vote records has at least one document (rule records-none)")
	}
	d := v.Compiled()
	want := cdf.Want{Definition: d, ElectionID: p.ElectionID}
	return c.take(ctx, d, row, func(add func(*model.Ballot, string) error) error {
		for _, f := range p.Files {
			if err := c.records(ctx, p, f, want, func(b *model.Ballot) error { return add(b, f.Path) }); err != nil {
				return err
			}
		}
		return nil
	})
}

// take stores the ballots that each gives, with their counts: all or none.
func (c *Core) take(ctx context.Context, d *model.Definition, row store.Package, each func(add func(b *model.Ballot, from string) error) error) (store.Package, error) {
	return c.takeAs(ctx, d, func() store.Package { return row }, each)
}

// takeAs is take for a package that is known only when its ballots were read.
func (c *Core) takeAs(ctx context.Context, d *model.Definition, as func() store.Package, each func(add func(b *model.Ballot, from string) error) error) (row store.Package, err error) {
	row = as()
	if err := c.complete(ctx, row.ElectionID, d); err != nil {
		return row, err
	}
	load := c.store.NewLoad()
	defer func() { err = errors.Join(err, load.Close()) }()
	in := &intake{def: d, counter: tally.NewCounter(d), load: load}
	err = each(func(b *model.Ballot, from string) error {
		if err := in.add(b); err != nil {
			return uncountable(from, err)
		}
		return nil
	})
	if err != nil {
		return row, err
	}
	if _, err := in.counter.Result(); err != nil {
		return row, uncountable("manifest files", err)
	}
	row = as()
	if have, ok, err := c.store.Package(ctx, row.Digest); err != nil || ok {
		return have, err
	}
	row.Contests = int64(len(d.Contests))
	row, err = c.store.AddBallots(ctx, row, load, in)
	var conflict *store.Conflict
	if errors.As(err, &conflict) {
		return row, verdict.New(verdict.ContentInvalid, "UniqueId "+conflict.ID, "%v (rule record-repeated)", conflict)
	}
	return row, err
}

// uncountable is the finding about records that each kept the rules and cannot
// be counted all the same: no fault of the station, whose work goes on. What
// does not balance is told without its numbers, which are votes.
func uncountable(where string, err error) error {
	if errors.Is(err, store.ErrFull) {
		return err
	}
	if errors.Is(err, tally.ErrUnbalanced) {
		err = tally.ErrUnbalanced
	}
	return verdict.New(verdict.ContentInvalid, where, "%v (rule records-uncountable)", err)
}

// records reads one document of cast vote records.
func (c *Core) records(ctx context.Context, p Package, f File, want cdf.Want, each func(*model.Ballot) error) error {
	src, err := openFile(p.FS, f)
	if err != nil {
		return err
	}
	err = c.docs.Records(ctx, f.Path, src, want, each)
	return errors.Join(err, src.Close())
}
