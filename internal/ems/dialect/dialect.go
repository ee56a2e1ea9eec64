// Package dialect reads cast vote records in the formats of voting systems'
// vendors, each into one neutral stream: a catalogue of contests and choices,
// and ballots with all their versions. It is the lenient reader beside the
// strict one (package cdf), and lenient only in ways that have a name: each
// liberty is reported as a deviation from a closed list, everything else that
// is not the dialect is refused (FORMAT.md lists both). It does not interpret:
// whether a mark is a vote, and which contest of an election definition is
// meant, is decided by whoever reads the stream. All input is foreign: memory is
// bounded by budgets whatever its size, and no finding says how a ballot was
// marked.
package dialect

import (
	"context"
	"io/fs"

	"sallyport/internal/verdict"
)

// Kind is one dialect.
type Kind string

// The dialects.
const (
	DominionCSV  Kind = "dominion-csv"
	DominionJSON Kind = "dominion-json"
	ESS          Kind = "ess"
	Hart         Kind = "hart"
	ClearBallot  Kind = "clearballot"
	VotingWorks  Kind = "votingworks"
)

// Kinds returns all dialects.
func Kinds() []Kind {
	return []Kind{DominionCSV, DominionJSON, ESS, Hart, ClearBallot, VotingWorks}
}

// reader is one dialect's reader of one export. Both methods may be called
// more than once.
type reader interface {
	// catalogue reads what the export says about its election; where that is
	// only known at the end, it reads everything.
	catalogue(ctx context.Context) (*Catalogue, error)
	// ballots passes each record, in any order, and stops at emit's first
	// error. It is called after catalogue, whose numbers it uses.
	ballots(ctx context.Context, emit func(*Ballot) error) error
	close() error
}

// Source is one export that is being read. It is not safe for concurrent use.
type Source struct {
	kind  Kind
	path  string
	r     reader
	notes *notes
	cat   *Catalogue
}

// Open opens the export at a slash-separated path in fsys: a file, or a folder
// for [DominionJSON], [ESS], [Hart] and [VotingWorks]. Nothing but headers and
// lists is read before [Source.Catalogue]. The caller closes the source.
//
// A VotingWorks export opened here is not verified, which is reported as a
// deviation; see [VerifyVotingWorks].
func Open(kind Kind, fsys fs.FS, path string) (*Source, error) {
	n := newNotes()
	r, err := open(kind, fsys, path, n)
	if err != nil {
		return nil, err
	}
	return &Source{kind: kind, path: path, r: r, notes: n}, nil
}

func open(kind Kind, fsys fs.FS, path string, n *notes) (reader, error) {
	switch kind {
	case DominionCSV:
		return openDominionCSV(fsys, path, n)
	case DominionJSON:
		return openDominionJSON(fsys, path, n)
	case ESS:
		return openESS(fsys, path, n)
	case Hart:
		return openHart(fsys, path, n)
	case ClearBallot:
		return openClearBallot(fsys, path, n)
	case VotingWorks:
		n.add(path, NotVerified)
		return openVotingWorks(fsys, path, n, nil)
	}
	return nil, broken(path, ruleDialect, "there is no dialect of this name; one of %v is meant", Kinds())
}

// Kind returns the dialect.
func (s *Source) Kind() Kind { return s.kind }

// Close releases the export.
func (s *Source) Close() error { return s.r.close() }

// Deviations returns what was read although the dialect does not have it, one
// entry a rule, sorted by rule. It is complete after [Source.Ballots].
func (s *Source) Deviations() []Deviation { return s.notes.list() }

// Catalogue returns what the export says about its election. The dialects in
// which that is spread over the records (ES&S, Hart and, for precincts and
// styles, every CSV) are read whole for it; the result is kept.
func (s *Source) Catalogue(ctx context.Context) (*Catalogue, error) {
	if s.cat != nil {
		return s.cat, nil
	}
	s.notes.pass()
	cat, err := s.r.catalogue(ctx)
	if err != nil {
		return nil, err
	}
	if len(cat.Contests) == 0 {
		return nil, broken(s.path, ruleContestNone, "the export names no contest")
	}
	s.cat = cat
	return cat, nil
}

// Ballots passes each record to visit, which may keep it. The order is that of
// the export and means nothing that may be kept. The first fault ends it with a
// finding; the ballots passed until then are to be thrown away.
func (s *Source) Ballots(ctx context.Context, visit func(*Ballot) error) error {
	cat, err := s.Catalogue(ctx)
	if err != nil {
		return err
	}
	s.notes.pass()
	n := 0
	return s.r.ballots(ctx, func(b *Ballot) error {
		if n++; n > maxBallots {
			return verdict.New(verdict.OverLimit, s.path, "more than %d records: split the export", maxBallots)
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := b.settle(cat); err != nil {
			return err
		}
		return visit(b)
	})
}
