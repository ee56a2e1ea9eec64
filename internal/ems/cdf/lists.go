package cdf

import (
	"slices"
	"strconv"
	"strings"

	"sallyport/internal/ems/model"
	"sallyport/internal/verdict"
)

// maxNames bounds the different batches, devices, parties and the like that
// the records of one report may name.
const maxNames = 1 << 17

// lists is what a report declares beside its records. It must agree with the
// definition: the same identifiers mean the same contests and options.
type lists struct {
	elections int
	id        string
	codes     []string
	contests  []listed
	inCode    bool
	test      bool
}

type listed struct {
	id      string
	allowed int64 // -1: not said
	options []listedOption
}

type listedOption struct {
	id      string
	writeIn bool
}

func (l *lists) enter(at slot) {
	switch at {
	case electionOpen:
		l.elections++
	case electionCode:
		l.inCode = true
	case listContest:
		l.contests = append(l.contests, listed{allowed: -1})
	case listOption:
		c := &l.contests[len(l.contests)-1]
		c.options = append(c.options, listedOption{})
	}
}

func (l *lists) value(at slot, text []byte) {
	last := len(l.contests) - 1
	switch at {
	case electionID:
		l.id = string(text)
	case codeValue:
		if l.inCode {
			l.codes = append(l.codes, string(text))
		}
	case listContestID:
		l.contests[last].id = string(text)
	case listAllowed:
		l.contests[last].allowed = integer(text)
	case listOptionID:
		l.contests[last].options[len(l.contests[last].options)-1].id = string(text)
	case listWriteIn:
		l.contests[last].options[len(l.contests[last].options)-1].writeIn = string(text) == "true"
	case reportOtherType:
		l.test = strings.EqualFold(string(text), "test")
	}
}

func (l *lists) leave(at slot, s *records) error {
	switch at {
	case electionCode:
		l.inCode = false
	case electionOpen:
		return l.election(s)
	}
	return nil
}

// election checks the report's election against the definition. It runs when
// the election was read to its end, so that a report of another election is
// called that, and not a report with unknown contests.
func (l *lists) election(s *records) error {
	if l.elections > 1 {
		return s.c.brokenAt("/Election", "election-count", "the report must be about one election")
	}
	if l.id != s.want.ElectionID && !slices.Contains(l.codes, s.want.ElectionID) {
		return verdict.New(verdict.WrongElection, s.c.file+"#/Election/0", "the report is about the election %q, the package about %q", l.id, s.want.ElectionID)
	}
	for i := range l.contests {
		c := &l.contests[i]
		at := "/Election/0/Contest/" + strconv.Itoa(i)
		n, ok := s.contests[c.id]
		if !ok {
			return s.c.brokenAt(at, "list-contest", "the definition has no such contest")
		}
		d := &s.want.Definition.Contests[n]
		if c.allowed >= 0 && c.allowed != int64(d.VotesAllowed) || c.allowed < -1 {
			return s.c.brokenAt(at+"/VotesAllowed", "list-votes-allowed", "the definition allows %d", d.VotesAllowed)
		}
		for j, o := range c.options {
			k, ok := s.options[n][o.id]
			if !ok {
				return s.c.brokenAt(at+"/ContestSelection/"+strconv.Itoa(j), "list-option", "the definition has no such option in this contest")
			}
			if o.writeIn != d.Options[k].WriteIn {
				return s.c.brokenAt(at+"/ContestSelection/"+strconv.Itoa(j), "list-write-in", "the definition says otherwise whether this is a write-in")
			}
		}
	}
	return nil
}

// usage remembers what the records referred to, with the place of the first
// use, until the report's own lists are known.
type usage struct {
	elections, devices, units, parties map[string]string
	contests                           []bool
	options                            [][]bool
	names                              map[string]string // one copy of each name
}

func newUsage(d *model.Definition) usage {
	u := usage{elections: map[string]string{}, devices: map[string]string{}, units: map[string]string{}, parties: map[string]string{},
		contests: make([]bool, len(d.Contests)), options: make([][]bool, len(d.Contests)), names: map[string]string{}}
	for i := range d.Contests {
		u.options[i] = make([]bool, len(d.Contests[i].Options))
	}
	return u
}

// intern returns b as a string that records share.
func (u *usage) intern(b []byte) string {
	if s, ok := u.names[string(b)]; ok {
		return s
	}
	if len(u.names) >= maxNames {
		return string(b)
	}
	s := string(b)
	u.names[s] = s
	return s
}

func (u *usage) record(s *records, b *model.Ballot) error {
	r := &s.rec
	if err := s.use(u.elections, r.election.b, "/ElectionId"); err != nil {
		return err
	}
	if !s.unitSupplied {
		if err := s.use(u.units, r.unit.b, "/BallotStyleUnitId"); err != nil {
			return err
		}
	}
	if len(r.device.b) > 0 {
		if err := s.use(u.devices, r.device.b, "/CreatingDeviceId"); err != nil {
			return err
		}
	}
	for _, p := range r.parties {
		if err := s.use(u.parties, []byte(p), "/PartyIds"); err != nil {
			return err
		}
	}
	for i := range b.Snapshots {
		for j := range b.Snapshots[i].Contests {
			m := &b.Snapshots[i].Contests[j]
			u.contests[m.Contest] = true
			for k := range m.Positions {
				u.options[m.Contest][m.Positions[k].Option] = true
			}
		}
	}
	return nil
}

func (s *records) use(names map[string]string, id []byte, pointer string) error {
	if _, ok := names[string(id)]; ok {
		return nil
	}
	if len(names) >= maxNames {
		return verdict.New(verdict.OverLimit, s.c.file, "the records name more than %d different devices, parties or the like", maxNames)
	}
	names[string(id)] = "/CVR/" + strconv.Itoa(s.count) + pointer
	return nil
}

// finish checks the references from records to the report's own lists.
func (s *records) finish() error {
	if s.list.test && !s.want.Definition.Test {
		return s.c.brokenAt("/OtherReportType", "test-votes", "the report is marked as a test, the election's definition is not")
	}
	for id, pointer := range s.used.elections {
		if id != s.list.id {
			return verdict.New(verdict.WrongElection, s.c.file+"#"+pointer, "the record belongs to an election that the report is not about")
		}
	}
	for _, set := range []struct {
		names map[string]string
		class string
	}{{s.used.devices, "ReportingDevice"}, {s.used.units, "GpUnit"}, {s.used.parties, "Party"}} {
		for id, pointer := range set.names {
			if !s.c.ids[id].is(func(c *class) bool { return c.name == set.class }) {
				return s.c.brokenAt(pointer, "reference", "this must refer to a %s of the report", set.class)
			}
		}
	}
	for n, used := range s.used.contests {
		c := &s.want.Definition.Contests[n]
		if used && !s.listed(c.ID, "Contest") {
			return s.c.brokenAt("/Election/0/Contest", "reference", "the records use the contest %q, which the report does not list", c.ID)
		}
		for k, used := range s.used.options[n] {
			if used && !s.listed(c.Options[k].ID, "Selection") {
				return s.c.brokenAt("/Election/0/Contest", "reference", "the records use an option of contest %q that the report does not list", c.ID)
			}
		}
	}
	return nil
}

func (s *records) listed(id, suffix string) bool {
	return s.c.ids[id].is(func(c *class) bool { return strings.HasSuffix(c.name, suffix) })
}
