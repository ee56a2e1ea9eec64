package ems

import (
	"context"
	"errors"
	"fmt"

	"sallyport/internal/ems/dialect"
	"sallyport/internal/ems/model"
	"sallyport/internal/ems/store"
	"sallyport/internal/ems/vendor"
	"sallyport/internal/verdict"
)

// VendorExport is an export of cast vote records of a vendor's system.
type VendorExport struct {
	Digest     [32]byte // of all its files: the key of idempotency
	ID         string   // for messages
	ElectionID string
	Source     *dialect.Source
	Mapping    vendor.Mapping
	// RandomIDs gives every ballot a random identifier in place of the
	// vendor's. It is needed where those reveal the order of casting; the
	// ballots cannot be recognised in a later export then.
	RandomIDs bool
}

// ErrUnmatched means that an export does not fit the definition; the problems
// are [vendor.Problem] values in the same error.
var ErrUnmatched = errors.New("the export does not fit the election's definition")

// ErrOrder means that an export's identifiers reveal the order of casting.
var ErrOrder = errors.New("the export's identifiers may reveal the order of casting: import it with random identifiers")

// ImportVendor takes a vendor's export whole or not at all, as [Core.Import]
// does, and returns what liberties its reader took. The election's definition
// has to be there.
func (c *Core) ImportVendor(ctx context.Context, x VendorExport) (Receipt, []dialect.Deviation, error) {
	if x.Digest == [32]byte{} {
		return Receipt{}, nil, errors.New("cannot import: the export has no digest")
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	have, ok, err := c.store.Package(ctx, x.Digest)
	if err != nil {
		return Receipt{}, nil, fmt.Errorf("cannot import: %w", err)
	}
	if ok {
		return receipt(have), nil, nil
	}
	row, err := c.importVendor(ctx, x)
	if err != nil {
		if f, ok := verdict.Find(err); ok {
			return Receipt{}, nil, f
		}
		if errors.Is(err, store.ErrFull) {
			return Receipt{}, nil, verdict.New(verdict.StoreFull, "election store", "the export was not imported")
		}
		return Receipt{}, nil, fmt.Errorf("cannot import: %w", err)
	}
	return receipt(row), x.Source.Deviations(), nil
}

func (c *Core) importVendor(ctx context.Context, x VendorExport) (store.Package, error) {
	row := store.Package{Digest: x.Digest, ID: x.ID, Kind: KindCVRs, ElectionID: x.ElectionID}
	_, v, err := c.must(ctx, x.ElectionID)
	if err != nil {
		return row, err
	}
	d := v.Compiled()
	cat, err := x.Source.Catalogue(ctx)
	if err != nil {
		return row, err
	}
	if cat.Test && !d.Test {
		return row, verdict.New(verdict.ContentInvalid, x.ID, "the export is marked as a test, the election's definition is not (rule test-votes)")
	}
	m, problems := vendor.Match(v, cat, x.Mapping, x.RandomIDs)
	if len(problems) > 0 {
		errs := []error{ErrUnmatched}
		for _, p := range problems {
			errs = append(errs, p)
		}
		return row, errors.Join(errs...)
	}
	return c.take(ctx, d, row, func(add func(*model.Ballot, string) error) error {
		var b model.Ballot
		err := x.Source.Ballots(ctx, func(from *dialect.Ballot) error {
			if err := m.Ballot(from, &b); err != nil {
				return verdict.New(verdict.ContentInvalid, x.ID, "%v (rule record-vendor)", err)
			}
			return add(&b, x.ID)
		})
		if err != nil {
			return err
		}
		for _, note := range x.Source.Deviations() {
			if note.Rule == dialect.OrderInID && !x.RandomIDs {
				return fmt.Errorf("%w (%s)", ErrOrder, note.Where)
			}
		}
		return nil
	})
}
