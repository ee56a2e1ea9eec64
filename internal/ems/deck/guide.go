package deck

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	"sallyport/internal/ems/election"
)

// WriteGuide writes what people need to mark the deck on paper (CSV, RFC 4180):
// one row for each mark, and one for each contest that stays blank, in the order
// of the ballots and their contests. FORMAT.md describes the columns.
func (d *Deck) WriteGuide(v *election.Valid, w io.Writer) error {
	_, sheets, err := d.read(v)
	if err != nil {
		return err
	}
	t := newTable(w, "ballot", "id", "style", "precinct", "party", "contest", "title", "option", "name", "position", "rank", "votes", "write_in", "instruction", "purpose")
	for p, s := range sheets {
		for _, r := range p.races {
			t.contest(d.ID(s.Number), s, r)
		}
	}
	return t.end()
}

// contest writes the rows of one contest on one ballot.
func (t *table) contest(id string, s *Sheet, r *race) {
	row := func(option, name, position, rank, votes, writeIn, instruction string) {
		n := strconv.Itoa(s.Number)
		instruction = "ballot " + n + ", style " + s.Style + ", precinct " + s.Precinct + ": " + instruction + " in " + r.title
		t.row(n, id, s.Style, s.Precinct, strings.Join(s.Party, " "), r.id, r.title, option, name, position, rank, votes, writeIn, instruction, s.Purpose)
	}
	marks := s.Marks[r.id]
	if len(marks) == 0 {
		row("", "", "", "", "", "", "mark nothing")
	}
	for _, m := range marks {
		rank := ""
		if m.Rank > 0 {
			rank = strconv.Itoa(m.Rank)
		}
		row(m.Option, r.options[r.at[m.Option]].name, strconv.Itoa(m.Position), rank, strconv.Itoa(m.Votes), m.WriteIn, r.instruction(m))
	}
}

// instruction says how to make one mark.
func (r *race) instruction(m Mark) string {
	s := "mark the " + ordinal(m.Position) + " oval"
	if m.Rank > 0 {
		s = "mark rank " + strconv.Itoa(m.Rank) + " of the " + ordinal(m.Position) + " option"
	}
	if r.cumulative {
		s = fmt.Sprintf("give %d of %d votes to the %s option", m.Votes, r.allowed, ordinal(m.Position))
	}
	if r.options[r.at[m.Option]].writeIn {
		if m.WriteIn == "" {
			return s + " and write no name"
		}
		return s + " and write " + m.WriteIn
	}
	return s
}

// ordinal is 1st, 2nd, 3rd, 4th.
func ordinal(n int) string {
	s := strconv.Itoa(n)
	switch {
	case n%100 >= 11 && n%100 <= 13:
	case n%10 == 1:
		return s + "st"
	case n%10 == 2:
		return s + "nd"
	case n%10 == 3:
		return s + "rd"
	}
	return s + "th"
}
