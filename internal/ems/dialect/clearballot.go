package dialect

import (
	"context"
	"io/fs"
	"strings"
)

const clearBallotColumns = "|RowNumber|BoxID|BoxPosition|BallotID|PrecinctID|BallotStyleID|PrecinctStyleName|ScanComputerName|Status|Remade|"

type clearBallot struct {
	fsys  fs.FS
	path  string
	notes *notes
}

func openClearBallot(fsys fs.FS, path string, n *notes) (reader, error) {
	return &clearBallot{fsys, path, n}, nil
}

func (c *clearBallot) close() error { return nil }

type clearBallotSheet struct {
	*grid
	cols  *columns
	width int
}

func (c *clearBallot) open() (*clearBallotSheet, error) {
	t, err := openTable(c.fsys, c.path, c.notes)
	if err != nil {
		return nil, err
	}
	s, err := clearBallotHeader(t)
	if err != nil {
		t.close()
		return nil, err
	}
	return s, nil
}

func clearBallotHeader(t *table) (*clearBallotSheet, error) {
	head, err := t.must("its header")
	if err != nil {
		return nil, err
	}
	s := &clearBallotSheet{grid: &grid{table: t}, width: len(head)}
	for s.width > 0 && strings.TrimSpace(head[s.width-1]) == "" {
		s.width--
	}
	for s.first < s.width && !strings.HasPrefix(head[s.first], "Choice_") {
		s.first++
	}
	if s.cols, err = newColumns(t, head[:s.first], clearBallotColumns); err != nil {
		return nil, err
	}
	if err := s.cols.need("BallotID"); err != nil {
		return nil, err
	}
	s.cols.miss("BoxID", "PrecinctID", "BallotStyleID", "ScanComputerName")
	for i := s.first; i < s.width; i++ {
		contest, choice, err := clearBallotChoice(t, i, head[i])
		if err != nil {
			return nil, err
		}
		k, err := s.contest(i, contest)
		if err != nil {
			return nil, err
		}
		if err := s.choice(i, k, choice); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// clearBallotChoice reads a heading "Choice_id:Contest:Vote For N:Choice:Party".
// Contests and choices may contain colons; the words "Vote For" tell them apart.
func clearBallotChoice(t *table, column int, heading string) (Contest, Choice, error) {
	bad := t.broken(column+1, ruleContestHeader, "a choice's heading must be Choice_id:Contest:Vote For N:Choice:Party")
	heading, err := t.name(column+1, heading)
	if err != nil {
		return Contest{}, Choice{}, err
	}
	id, rest, ok := strings.Cut(heading, ":")
	contest, tail, ok2 := strings.Cut(rest, ":Vote For ")
	votes, tail, ok3 := strings.Cut(tail, ":")
	last := strings.LastIndexByte(tail, ':')
	if !ok || !ok2 || !ok3 || last < 0 || !strings.HasPrefix(id, "Choice_") || strings.Contains(tail, ":Vote For ") {
		return Contest{}, Choice{}, bad
	}
	n, ok := number(votes, maxVotes)
	if !ok || n == 0 {
		return Contest{}, Choice{}, t.broken(column+1, ruleVotesAllowed, "the votes allowed must be 1 to %d", maxVotes)
	}
	choice := Choice{Name: strings.TrimSpace(tail[:last]), ID: id, Party: strings.TrimSpace(tail[last+1:])}
	choice.WriteIn = isWriteIn(choice.Name)
	if contest = strings.TrimSpace(contest); contest == "" || choice.Name == "" {
		return Contest{}, Choice{}, bad
	}
	return Contest{Name: contest, VotesAllowed: n}, choice, nil
}

func (c *clearBallot) catalogue(ctx context.Context) (*Catalogue, error) {
	sv := newSurvey()
	cat := &Catalogue{}
	err := c.each(ctx, func(s *clearBallotSheet) { cat.Contests = s.contests },
		func(b *Ballot) error { return sv.add(b, c.path) })
	if err != nil {
		return nil, err
	}
	sv.into(cat)
	return cat, nil
}

func (c *clearBallot) ballots(ctx context.Context, emit func(*Ballot) error) error {
	return c.each(ctx, func(*clearBallotSheet) {}, emit)
}

func (c *clearBallot) each(ctx context.Context, head func(*clearBallotSheet), emit func(*Ballot) error) error {
	s, err := c.open()
	if err != nil {
		return err
	}
	defer s.table.close()
	head(s)
	return s.table.rows(ctx, s.width, func(cells []string) error {
		b, err := s.ballot(cells)
		if err != nil {
			return err
		}
		return emit(b)
	})
}

func (s *clearBallotSheet) ballot(cells []string) (*Ballot, error) {
	b := &Ballot{}
	var err error
	if b.ID, err = s.cols.required(cells, "BallotID"); err != nil {
		return nil, err
	}
	var status, remade string
	err = s.cols.texts(cells, into{"BoxID", &b.Batch}, into{"PrecinctID", &b.Precinct.Name}, into{"BallotStyleID", &b.Style.Name}, into{"ScanComputerName", &b.Device}, into{"Status", &status}, into{"Remade", &remade})
	if err != nil {
		return nil, err
	}
	b.ImprintedID = b.ID
	s.table.note(0, OrderInID)
	if status != "" || remade != "" {
		s.table.note(0, StatusIgnored)
	}
	marks, err := s.marks(cells)
	b.Versions = []Version{{Kind: Original, Current: true, Contests: marks}}
	return b, err
}
