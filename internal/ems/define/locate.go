package define

import (
	"slices"
	"strconv"
	"strings"

	"sallyport/internal/ems/election"
)

// locate finds the row that a problem of the definition came from: the JSON
// pointer leads to an object, the object to its row, and the rest of the
// pointer to a column.
func (s *set) locate(p Problem) Problem {
	class, id, rest := target(s.def, p.Pointer)
	p.Object = id
	c := classNamed(class)
	if c == nil {
		p.File = "election.csv"
		return p
	}
	p.File = c.file
	if i := slices.IndexFunc(c.columns, func(x column) bool { return x.of(rest) }); i >= 0 {
		p.Column = c.columns[i].name
	}
	if class == electionClass {
		p.Line = s.electionOrigin(p.Column).line
		return p
	}
	if o, ok := s.origin(class, id); ok {
		p.File, p.Line = o.file, o.line
	}
	return p
}

// origin finds the row of an object; options of candidates stand in the
// candidate's row, places to write a name in the contest's.
func (s *set) origin(class string, id ID) (origin, bool) {
	if o, ok := s.rowOf(class, id); ok || class != optionClass {
		return o, ok
	}
	if o, ok := s.draft.at[id].option.(*election.CandidateOption); ok && len(o.Candidates) > 0 {
		return s.rowOf(candidateClass, o.Candidates[0])
	}
	return s.rowOf(contestClass, s.draft.at[id].contest)
}

func (s *set) rowOf(class string, id ID) (origin, bool) {
	o, ok := s.at[class+" "+id]
	return o, ok
}

// target returns the object to which a JSON pointer of a definition leads, and
// the member of it that comes next. Places in no object belong to the election.
func target(def *election.Definition, pointer string) (class string, id ID, member string) {
	seg := strings.Split(strings.TrimPrefix(pointer, "/"), "/")
	if seg[0] == "Election" && len(seg) > 1 {
		seg = seg[2:]
		if len(def.Elections) == 1 {
			if class, id, rest := inElection(&def.Elections[0], seg); class != "" {
				return class, id, rest
			}
		}
		return electionClass, electionClass, first(seg)
	}
	n, rest := number(seg)
	switch seg[0] {
	case "GpUnit":
		return unitClass, idAt(def.Units, n, func(u *election.Unit) ID { return u.ID }), rest
	case "Party":
		return partyClass, idAt(def.Parties, n, func(p *election.Party) ID { return p.ID }), rest
	case "Office":
		return officeClass, idAt(def.Offices, n, func(o *election.Office) ID { return o.ID }), rest
	case "Header":
		return headerClass, idAt(def.Headers, n, func(h *election.Header) ID { return h.ID }), rest
	}
	return electionClass, electionClass, seg[0]
}

func inElection(e *election.Election, seg []string) (class string, id ID, member string) {
	n, rest := number(seg)
	switch first(seg) {
	case "Candidate":
		return candidateClass, idAt(e.Candidates, n, func(c *election.Candidate) ID { return c.ID }), rest
	case "BallotStyle":
		return styleClass, idAt(e.Styles, n, func(s *election.Style) ID { return s.Code() }), rest
	case "Contest":
		id := idAt(e.Contests, n, func(c *election.Contest) ID { return (*c).Base().ID })
		if id == "" || rest != "ContestOption" {
			return contestClass, id, rest
		}
		k, member := number(seg[2:])
		if o := idAt(e.Contests[n].Base().Options, k, func(o *election.Option) ID { return (*o).Base().ID }); o != "" {
			return optionClass, o, member
		}
		return contestClass, id, rest
	}
	return "", "", ""
}

func first(seg []string) string {
	if len(seg) == 0 {
		return ""
	}
	return seg[0]
}

// number reads the index after a list's name, and the member after that.
func number(seg []string) (n int, rest string) {
	if len(seg) < 2 {
		return -1, ""
	}
	n, err := strconv.Atoi(seg[1])
	if err != nil {
		return -1, ""
	}
	return n, first(seg[2:])
}

func idAt[T any](list []T, n int, id func(*T) ID) ID {
	if n < 0 || n >= len(list) {
		return ""
	}
	return id(&list[n])
}
