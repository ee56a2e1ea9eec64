package dialect

import (
	"io/fs"
	"regexp"
	"strings"
)

const clearBallotColumns = "|RowNumber|BoxID|BoxPosition|BallotID|PrecinctID|BallotStyleID|PrecinctStyleName|ScanComputerName|Status|Remade|"

func openClearBallot(fsys fs.FS, path string, n *notes) (reader, error) {
	return &csvReader{fsys, path, n, func(t *table) (csvSheet, error) { return clearBallotHeader(t) }}, nil
}

type clearBallotSheet struct {
	*grid
	cols  *columns
	width int
}

func (s *clearBallotSheet) cells() int { return s.width }

func (s *clearBallotSheet) describe(c *Catalogue) { c.Contests = s.contests }

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
		if err := s.column(i, head[i]); err != nil {
			return nil, err
		}
	}
	return s, s.ranks()
}

// column reads the heading of one choice, at one rank in a ranked contest.
func (s *clearBallotSheet) column(i int, heading string) error {
	h, err := clearBallotChoice(s.table, i, heading)
	if err != nil {
		return err
	}
	k, err := s.contest(i, h.contest)
	if err != nil {
		return err
	}
	s.contests[k].Ranks = max(s.contests[k].Ranks, h.contest.Ranks)
	return s.choice(i, k, h.choice, h.contest.Ranks)
}

// ranks makes sure that a ranked contest has each rank from the first one.
func (s *clearBallotSheet) ranks() error {
	for k, c := range s.contests {
		has := map[int]bool{}
		for _, x := range s.columns[k] {
			has[x.rank] = true
		}
		if c.Ranks > 0 && len(has) != c.Ranks {
			return s.table.broken(s.columns[k][0].column+1, ruleRanked, "the ranked contest %q lacks a rank below its last", c.Name)
		}
	}
	return nil
}

// clearBallotHeading matches Choice_id:Contest:Vote For N:Choice:Party and, in
// ranked contests, Choice_id:Contest:Rank:Vote For N:Choice:Party, where newer
// exports say Number of Winners N. Contests and choices may contain colons.
var clearBallotHeading = regexp.MustCompile(`^(Choice_[^:]*):(.+?)(?::(\d+))?:(Vote For|Number of Winners) (\d+):(.+):([^:]*)$`)

// clearBallotColumn is a heading. contest.Ranks is the column's rank.
type clearBallotColumn struct {
	contest Contest
	choice  Choice
}

func clearBallotChoice(t *table, column int, heading string) (clearBallotColumn, error) {
	h := clearBallotColumn{}
	heading, err := t.name(column+1, heading)
	if err != nil {
		return h, err
	}
	m := clearBallotHeading.FindStringSubmatch(heading)
	if m == nil {
		return h, t.broken(column+1, ruleContestHeader, "a choice's heading must be Choice_id:Contest:Vote For N:Choice:Party")
	}
	h.contest.Name = strings.TrimSpace(m[2])
	n, ok := number(m[5], maxVotes)
	if !ok || n == 0 {
		return h, t.broken(column+1, ruleVotesAllowed, "the votes allowed must be 1 to %d", maxVotes)
	}
	h.contest.VotesAllowed = n
	if m[3] != "" {
		if h.contest.Ranks, ok = number(m[3], maxVotes); !ok || h.contest.Ranks == 0 {
			return h, t.broken(column+1, ruleRanked, "a rank must be 1 to %d", maxVotes)
		}
		h.contest.VotesAllowed = 1 // at each rank, however many win
	} else if m[4] != "Vote For" {
		return h, t.broken(column+1, ruleContestHeader, "a contest that says how many win must have a rank")
	}
	h.choice = Choice{Name: strings.TrimSpace(m[6]), ID: m[1], Party: strings.TrimSpace(m[7])}
	h.choice.WriteIn = isWriteIn(h.choice.Name)
	if h.contest.Name == "" || h.choice.Name == "" {
		return h, t.broken(column+1, ruleContestHeader, "a contest or choice has no name")
	}
	return h, nil
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
	if strings.Trim(status+remade, "0") != "" {
		s.table.note(0, StatusIgnored)
	}
	marks, err := s.marks(cells)
	b.Versions = []Version{{Kind: Original, Current: true, Contests: marks}}
	return b, err
}
