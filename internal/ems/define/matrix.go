package define

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"sallyport/internal/ems/election"
)

// PrecinctContests is the table that people proof a definition by: which
// contests voters get in each precinct or split, and on which ballot styles.
type PrecinctContests struct {
	Precincts []MatrixPrecinct // sorted by number
	Contests  []MatrixContest  // in the order of ballots
	used      [][]int          // by precinct: numbers of styles
	styles    []matrixStyle
}

type matrixStyle struct {
	code string
	has  map[int]bool // by number of contest
}

// MatrixPrecinct is a row: a precinct without splits, or a split.
type MatrixPrecinct struct {
	ID     ID
	Name   string
	Number string
	Styles []string // codes of all styles that are used there
}

// MatrixContest is a column.
type MatrixContest struct {
	ID    ID
	Title string
}

// Matrix makes the table of a definition. Units that have a ballot style and
// are no precincts are rows as well.
func Matrix(v *election.Valid) *PrecinctContests {
	g := newGeography(v.Definition())
	m := &PrecinctContests{}
	rows, columns := map[ID]int{}, map[ID]int{}
	add := func(id ID) {
		if _, ok := rows[id]; !ok {
			rows[id] = len(m.Precincts)
			m.Precincts = append(m.Precincts, MatrixPrecinct{ID: id, Name: g.name(id), Number: g.units[id].Number})
		}
	}
	for _, l := range g.leaves {
		add(l.unit)
	}
	for i := range v.Election().Styles {
		for _, id := range v.Election().Styles[i].Units {
			add(id)
		}
	}
	for _, c := range ballotOrder(v.Election().Contests, g, nil) {
		columns[c.Base().ID] = len(m.Contests)
		m.Contests = append(m.Contests, MatrixContest{c.Base().ID, c.Base().Title().String()})
	}
	m.used = make([][]int, len(m.Precincts))
	for i := range v.Election().Styles {
		s := &v.Election().Styles[i]
		x := matrixStyle{s.Code(), map[int]bool{}}
		s.Contests(func(o *election.OrderedContest, _ string) { x.has[columns[o.Contest]] = true })
		m.styles = append(m.styles, x)
		for _, id := range s.Units {
			r := rows[id]
			m.used[r] = append(m.used[r], i)
			m.Precincts[r].Styles = append(m.Precincts[r].Styles, x.code)
		}
	}
	return m
}

// Styles returns the codes of the ballot styles on which voters of a precinct
// get a contest; none when they do not get it. Both are numbers in the lists.
func (m *PrecinctContests) Styles(precinct, contest int) (out []string) {
	for _, i := range m.used[precinct] {
		if m.styles[i].has[contest] {
			out = append(out, m.styles[i].code)
		}
	}
	return out
}

// Of returns the contests that voters of a unit get, in the order of ballots.
func (m *PrecinctContests) Of(unit ID) (out []ID) {
	r := slices.IndexFunc(m.Precincts, func(p MatrixPrecinct) bool { return p.ID == unit })
	if r < 0 {
		return nil
	}
	for c := range m.Contests {
		if len(m.Styles(r, c)) > 0 {
			out = append(out, m.Contests[c].ID)
		}
	}
	return out
}

// Header returns the names of the columns of [PrecinctContests.Rows].
func (m *PrecinctContests) Header() []string {
	out := []string{"Number", "Precinct", "Ballot styles"}
	for _, c := range m.Contests {
		out = append(out, c.Title)
	}
	return out
}

// Rows returns the table without its header: for each contest X where one
// style is all there is, otherwise the codes of the styles.
func (m *PrecinctContests) Rows() [][]string {
	out := make([][]string, 0, len(m.Precincts))
	for r, p := range m.Precincts {
		line := []string{p.Number, p.Name, strings.Join(p.Styles, " ")}
		for c := range m.Contests {
			cell := ""
			if styles := m.Styles(r, c); len(styles) > 0 {
				cell = "X"
				if len(styles) < len(p.Styles) {
					cell = strings.Join(styles, " ")
				}
			}
			line = append(line, cell)
		}
		out = append(out, line)
	}
	return out
}

// CSV returns the table for spreadsheets; cells that one would take for a
// formula begin with an apostrophe.
func (m *PrecinctContests) CSV() ([]byte, error) {
	var b bytes.Buffer
	w := csv.NewWriter(&b)
	w.UseCRLF = true
	for _, line := range append([][]string{m.Header()}, m.Rows()...) {
		for i, cell := range line {
			if formula(cell) != nil {
				line[i] = "'" + cell
			}
		}
		if err := w.Write(line); err != nil {
			return nil, err
		}
	}
	w.Flush()
	return b.Bytes(), w.Error()
}

// Text returns the table for a fixed-width font: contests are numbered, and
// named below it.
func (m *PrecinctContests) Text() string {
	head := m.Header()
	for c := range m.Contests {
		head[3+c] = fmt.Sprint(c + 1)
	}
	lines := append([][]string{head}, m.Rows()...)
	width := make([]int, len(head))
	for _, line := range lines {
		for i, cell := range line {
			width[i] = max(width[i], utf8.RuneCountInString(plainText(cell)))
		}
	}
	var b strings.Builder
	for _, line := range lines {
		var row strings.Builder
		for i, cell := range line {
			cell = plainText(cell)
			row.WriteString(cell + strings.Repeat(" ", width[i]-utf8.RuneCountInString(cell)+2))
		}
		b.WriteString(strings.TrimRight(row.String(), " ") + "\n")
	}
	b.WriteString("\n")
	for c, x := range m.Contests {
		fmt.Fprintf(&b, "%*d  %s\n", len(fmt.Sprint(len(m.Contests))), c+1, plainText(x.Title))
	}
	return b.String()
}

// plainText keeps foreign text in its line.
func plainText(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || 0x80 <= r && r < 0xa0 || r == 0x2028 || r == 0x2029 {
			return ' '
		}
		return r
	}, s)
}
