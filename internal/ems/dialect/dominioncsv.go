package dialect

import (
	"io/fs"
	"regexp"
	"strings"
)

// The columns before the contests of a Dominion CSV.
const (
	dominionColumns = "|CvrNumber|TabulatorNum|BatchId|RecordId|ImprintedId|UniqueVotingIdentifier|CountingGroup|PrecinctPortion|BallotType|"
	dominionHead    = 4 // records of the header
)

// voteFor is how Dominion writes the votes allowed into a contest's heading.
var voteFor = regexp.MustCompile(`^(.+?)\s*\(Vote For=(\d+)\)$`)

func openDominionCSV(fsys fs.FS, path string, n *notes) (reader, error) {
	return &csvReader{fsys, path, n, func(t *table) (csvSheet, error) { return dominionHeader(t) }}, nil
}

// dominionSheet is a file whose header was read.
type dominionSheet struct {
	*grid
	election Label
	cols     *columns
	width    int
	lines    [dominionHead]int // where the header's records begin
}

func (s *dominionSheet) cells() int { return s.width }

func (s *dominionSheet) describe(c *Catalogue) { c.Election, c.Contests = s.election, s.contests }

func dominionHeader(t *table) (*dominionSheet, error) {
	s := &dominionSheet{grid: &grid{table: t}}
	var head [dominionHead][]string
	var err error
	for i := range head {
		cells, err := t.must("the four lines of its header")
		if err != nil {
			return nil, err
		}
		head[i] = append([]string(nil), cells...)
		s.lines[i] = t.line
	}
	if s.election.Name, err = t.notes.name(t.file, head[0][0]); err != nil {
		return nil, err
	}
	if err := s.contestsFrom(head[1], head[2], head[3]); err != nil {
		return nil, err
	}
	t.line = s.lines[3]
	if s.cols, err = newColumns(t, head[3][:s.first], dominionColumns); err != nil {
		return nil, err
	}
	s.cols.miss("CvrNumber", "ImprintedId", "CountingGroup", "PrecinctPortion", "BallotType")
	return s, s.cols.need("TabulatorNum", "BatchId", "RecordId")
}

// contestsFrom reads the contests' headings, the choices below them, and the
// parties below those.
func (s *dominionSheet) contestsFrom(contests, choices, parties []string) error {
	t := s.table
	for s.first < len(contests) && strings.TrimSpace(contests[s.first]) == "" {
		s.first++
	}
	s.width = len(contests)
	for s.width > s.first && strings.TrimSpace(contests[s.width-1]) == "" {
		s.width--
	}
	if len(choices) < s.width || len(parties) < s.first {
		return t.broken(0, ruleColumns, "the lines of the header are of different width")
	}
	for i := s.first; i < s.width; i++ {
		party := ""
		if i < len(parties) {
			party = parties[i]
		}
		if err := s.column(i, contests[i], choices[i], party); err != nil {
			return err
		}
	}
	return nil
}

// column reads the headings of one choice.
func (s *dominionSheet) column(i int, heading, choice, party string) error {
	t := s.table
	t.line = s.lines[1]
	contest, err := dominionContest(t, i, heading)
	if err != nil {
		return err
	}
	k, err := s.contest(i, contest)
	if err != nil {
		return err
	}
	t.line = s.lines[3]
	c := Choice{}
	if c.Party, err = t.name(i+1, party); err != nil {
		return err
	}
	t.line = s.lines[2]
	if c.Name, err = t.name(i+1, choice); err != nil {
		return err
	}
	if c.Name == "" {
		return t.broken(i+1, ruleHeader, "a choice has no name")
	}
	c.WriteIn = isWriteIn(c.Name)
	return s.choice(i, k, c, 0)
}

func dominionContest(t *table, column int, heading string) (Contest, error) {
	name, err := t.name(column+1, heading)
	if err != nil {
		return Contest{}, err
	}
	m := voteFor.FindStringSubmatch(name)
	if m == nil {
		if strings.Contains(name, "Number of ranks=") {
			return Contest{}, t.broken(column+1, ruleRanked, "ranked contests are not read from this CSV: use the vendor's JSON export")
		}
		return Contest{}, t.broken(column+1, ruleContestHeader, "a contest's heading must end with (Vote For=N)")
	}
	n, ok := number(m[2], maxVotes)
	if !ok || n == 0 {
		return Contest{}, t.broken(column+1, ruleVotesAllowed, "the votes allowed must be 1 to %d", maxVotes)
	}
	return Contest{Name: m[1], VotesAllowed: n}, nil
}

func (s *dominionSheet) ballot(cells []string) (*Ballot, error) {
	b := &Ballot{}
	var err error
	if b.Device, err = s.cols.required(cells, "TabulatorNum"); err != nil {
		return nil, err
	}
	if b.Batch, err = s.cols.required(cells, "BatchId"); err != nil {
		return nil, err
	}
	record, err := s.cols.required(cells, "RecordId")
	if err != nil {
		return nil, err
	}
	unique := ""
	err = s.cols.texts(cells, into{"ImprintedId", &b.ImprintedID}, into{"UniqueVotingIdentifier", &unique}, into{"CountingGroup", &b.Method.Name}, into{"PrecinctPortion", &b.Precinct.Name}, into{"BallotType", &b.Style.Name})
	if err != nil {
		return nil, err
	}
	if b.ImprintedID == "" {
		b.ImprintedID = unique
	}
	var rule Rule
	b.ID, rule = dominionID(b.Device, b.Batch, record)
	s.table.note(0, rule)
	marks, err := s.marks(cells)
	b.Versions = []Version{{Kind: Original, Current: true, Contests: marks}}
	return b, err
}

// dominionID makes a record's identifier, and says what is to be reported about
// it. "X" is how an export hides it.
func dominionID(device, batch, record string) (string, Rule) {
	if strings.Trim(record, "Xx*") == "" {
		return "", IDMissing
	}
	return device + "-" + batch + "-" + record, OrderInID
}
