package ems

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"slices"

	"sallyport/internal/ems/cdf"
	"sallyport/internal/ems/model"
	"sallyport/internal/ems/store"
	"sallyport/internal/ems/vendor"
	"sallyport/internal/verdict"
)

// ErrStation means that a station's core was asked to take files by hand: it
// takes only what came in by a medium and was verified.
var ErrStation = errors.New("this core belongs to a station: what goes into it comes by a medium")

// LenientReport is a report of cast vote records (SP 1500-103) of a system that
// is near the standard and not on it.
type LenientReport struct {
	Name       string // of the file, for messages
	ElectionID string
	Open       func() (io.ReadCloser, error)
	// RandomIDs gives every ballot a random identifier. It is needed where
	// records have no UniqueId: what stands for it may count ballots as they
	// were cast.
	RandomIDs bool
}

// ImportLenient takes such a report whole or not at all, into a desk's core
// alone, and returns every deviation that was accepted.
func (c *Core) ImportLenient(ctx context.Context, x LenientReport) (Receipt, []cdf.Deviation, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	place, err := c.store.Place(ctx)
	if err != nil {
		return Receipt{}, nil, err
	}
	if place != store.AtDesk {
		return Receipt{}, nil, ErrStation
	}
	row, deviations, err := c.importLenient(ctx, x)
	if err != nil {
		if f, ok := verdict.Find(err); ok {
			return Receipt{}, deviations, f
		}
		return Receipt{}, deviations, fmt.Errorf("cannot import: %w", err)
	}
	return receipt(row), deviations, nil
}

func (c *Core) importLenient(ctx context.Context, x LenientReport) (row store.Package, deviations []cdf.Deviation, err error) {
	row = store.Package{ID: x.Name, Kind: KindCVRs, ElectionID: x.ElectionID}
	_, v, err := c.must(ctx, x.ElectionID)
	if err != nil {
		return row, nil, err
	}
	d := v.Compiled()
	f, err := x.Open()
	if err != nil {
		return row, nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	h := sha256.New()
	row, err = c.takeAs(ctx, d, func() store.Package {
		row.Digest = [32]byte(h.Sum(nil))
		return row
	}, func(add func(*model.Ballot, string) error) error {
		var err error
		deviations, err = c.docs.ReadRecords(ctx, x.Name, io.TeeReader(f, h), cdf.Want{Definition: d, ElectionID: x.ElectionID}, cdf.ReadOptions{Lenient: true}, func(b *model.Ballot) error {
			if x.RandomIDs {
				b.ID = vendor.NewID()
			}
			return add(b, x.Name)
		})
		if err != nil {
			return err
		}
		if !x.RandomIDs && slices.ContainsFunc(deviations, func(d cdf.Deviation) bool { return d.Rule == "unique-id-missing" }) {
			return ErrOrder
		}
		_, err = io.Copy(h, f) // the reader may stop at the document's end
		return err
	})
	return row, deviations, err
}
