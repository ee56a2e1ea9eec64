package tally

import (
	"fmt"
	"slices"

	"sallyport/internal/ems/model"
)

// Tally returns the result after it was checked: the identity of [Tally.Check]
// in every precinct with every method, in every style and every batch, and that
// the three countings agree. The caller fills in whose tally it is.
func (s *Subtotals) Tally() (*Tally, error) {
	all := total(s.cells, s.width)
	methods := s.Methods()
	t := &Tally{Ballots: all[0], Batches: int64(len(s.Batches())), Methods: methods, Precincts: []Precinct{}, Contests: []Contest{}}
	if len(t.Methods) == 1 && t.Methods[0] == "" || t.Methods == nil {
		t.Methods = []string{}
	}
	for i, p := range s.def.Precincts {
		x := Precinct{ID: p.ID, Name: p.Name, Methods: []MethodBallots{}}
		if p.Of != p.ID {
			x.SplitOf = p.Of
		}
		for _, m := range methods {
			if r := s.cells[Cell{i, m}]; r != nil {
				x.Ballots += r[0]
				if len(t.Methods) > 0 {
					x.Methods = append(x.Methods, MethodBallots{m, r[0]})
				}
			}
		}
		t.Precincts = append(t.Precincts, x)
	}
	for n := range s.def.Contests {
		t.Contests = append(t.Contests, s.contest(n, all, t.Methods))
	}
	if err := s.check(all); err != nil {
		return nil, err
	}
	return t, t.Check()
}

func (s *Subtotals) contest(n int, sum []int64, methods []string) Contest {
	d := &s.def.Contests[n]
	c := Contest{ID: d.ID, Title: d.Name, VotesAllowed: int64(d.VotesAllowed), Elected: d.Elected, Ranked: d.Ranks > 0,
		Precincts: []PrecinctCounts{}, Methods: []MethodCounts{}, Total: s.counts(n, sum)}
	all := s.Methods()
	for _, o := range d.Options {
		c.Options = append(c.Options, Option{ID: o.ID, Name: o.Name, WriteIn: o.WriteIn})
	}
	for _, m := range methods {
		var rows [][]int64
		for u := range s.def.Precincts {
			rows = append(rows, s.cells[Cell{u, m}])
		}
		c.Methods = append(c.Methods, MethodCounts{m, s.sum(n, rows)})
	}
	for u := range s.def.Precincts {
		if !bears(s.def, u, n) {
			continue
		}
		p := PrecinctCounts{ID: s.def.Precincts[u].ID, Methods: []MethodCounts{}}
		var rows [][]int64
		for _, m := range all {
			r := s.cells[Cell{u, m}]
			if r == nil {
				continue
			}
			rows = append(rows, r)
			if len(methods) > 0 {
				p.Methods = append(p.Methods, MethodCounts{m, s.counts(n, r)})
			}
		}
		p.Counts = s.sum(n, rows)
		c.Precincts = append(c.Precincts, p)
	}
	return c
}

// sum adds contest n's numbers of rows up; rows may be nil.
func (s *Subtotals) sum(n int, rows [][]int64) Counts {
	sum := make([]int64, slotVotes+len(s.def.Contests[n].Options))
	for _, r := range rows {
		if r != nil {
			plus(sum, r[s.block[n]:s.block[n]+len(sum)])
		}
	}
	return countsOf(sum)
}

// counts takes contest n's numbers out of a row.
func (s *Subtotals) counts(n int, r []int64) Counts {
	return countsOf(r[s.block[n] : s.block[n]+slotVotes+len(s.def.Contests[n].Options)])
}

func countsOf(b []int64) Counts {
	return Counts{Ballots: b[slotBallots], Overvotes: b[slotOver], Undervotes: b[slotUnder],
		WriteIns: b[slotWriteIns], Unresolved: b[slotUnresolved], Votes: slices.Clone(b[slotVotes:])}
}

// bears says whether some ballot style of a precinct has the contest.
func bears(d *model.Definition, precinct, contest int) bool {
	for i := range d.Styles {
		if slices.Contains(d.Styles[i].Precincts, precinct) && slices.Contains(d.Styles[i].Contests, contest) {
			return true
		}
	}
	return false
}

// check checks the identity in every row, and that the countings agree.
func (s *Subtotals) check(all []int64) error {
	for c, r := range s.cells {
		if err := balanced(s, r, "precinct %q, voting method %q", s.def.Precincts[c.Precinct].ID, c.Method); err != nil {
			return err
		}
	}
	for n, r := range s.styles {
		if err := balanced(s, r, "ballot style %d", n); err != nil {
			return err
		}
	}
	for no, r := range s.batches {
		if err := balanced(s, r, "batch %d", no); err != nil {
			return err
		}
	}
	if !slices.Equal(all, total(s.styles, s.width)) {
		return fmt.Errorf("%w: the ballot styles do not add up to the precincts", ErrUnbalanced)
	}
	if !slices.Equal(all, total(s.batches, s.width)) {
		return fmt.Errorf("%w: the batches do not add up to the precincts", ErrUnbalanced)
	}
	return nil
}

func balanced[N int32 | int64](s *Subtotals, r []N, where string, args ...any) error {
	for n := range s.def.Contests {
		d := &s.def.Contests[n]
		b := r[s.block[n]:]
		sum := int64(b[slotOver]) + int64(b[slotUnder])
		for i := range d.Options {
			v := int64(b[slotVotes+i])
			if v < 0 {
				return fmt.Errorf("%w: contest %q, %s: a negative count", ErrUnbalanced, d.ID, fmt.Sprintf(where, args...))
			}
			sum += v
		}
		if b[slotBallots] < 0 || b[slotBallots] > r[0] || int64(d.VotesAllowed)*int64(b[slotBallots]) != sum {
			return fmt.Errorf("%w: contest %q, %s", ErrUnbalanced, d.ID, fmt.Sprintf(where, args...))
		}
	}
	return nil
}

// Row is the count of one contest in one row of a breakdown.
type Row struct {
	Contest int // number of the contest in the definition
	Counts
}

// Breakdown returns the counts of all contests that have ballots, by keys that
// of gives for a batch ("" leaves it out): by device, by batch, by counting place.
func (s *Subtotals) Breakdown(of func(batch int64) string) map[string][]Row {
	sums := map[string][]int64{}
	for no, r := range s.batches {
		if k := of(no); k != "" {
			sum := row(sums, k, s.width)
			for i, v := range r {
				sum[i] += int64(v)
			}
		}
	}
	return s.rows(sums)
}

// ByStyle returns the counts by keys that of gives for a ballot style: by style,
// by the party whose ballot it is.
func (s *Subtotals) ByStyle(of func(style int) string) map[string][]Row {
	sums := map[string][]int64{}
	for n, r := range s.styles {
		if k := of(n); k != "" {
			plus(row(sums, k, s.width), r)
		}
	}
	return s.rows(sums)
}

// ByPrecinct returns the counts by keys that of gives for a precinct and method:
// by precinct with its splits together, by method, by county.
func (s *Subtotals) ByPrecinct(of func(Cell) string) map[string][]Row {
	sums := map[string][]int64{}
	for c, r := range s.cells {
		if k := of(c); k != "" {
			plus(row(sums, k, s.width), r)
		}
	}
	return s.rows(sums)
}

func (s *Subtotals) rows(sums map[string][]int64) map[string][]Row {
	out := map[string][]Row{}
	for k, r := range sums {
		out[k] = []Row{}
		for n := range s.def.Contests {
			if r[s.block[n]] > 0 {
				out[k] = append(out[k], Row{n, s.counts(n, r)})
			}
		}
	}
	return out
}

// Ballots returns how many ballots each key of a breakdown has, by the same kind of key.
func (s *Subtotals) Ballots(of func(batch int64) string) map[string]int64 {
	out := map[string]int64{}
	for no, r := range s.batches {
		if k := of(no); k != "" {
			out[k] += int64(r[0])
		}
	}
	return out
}

// Cast returns how many ballots a precinct has of one voting method.
func (s *Subtotals) Cast(c Cell) int64 {
	if r := s.cells[c]; r != nil {
		return r[0]
	}
	return 0
}

// CastByPrecinct returns how many ballots each key of [Subtotals.ByPrecinct] has.
func (s *Subtotals) CastByPrecinct(of func(Cell) string) map[string]int64 {
	out := map[string]int64{}
	for c, r := range s.cells {
		if k := of(c); k != "" {
			out[k] += r[0]
		}
	}
	return out
}

// CastByStyle returns how many ballots each key of [Subtotals.ByStyle] has.
func (s *Subtotals) CastByStyle(of func(style int) string) map[string]int64 {
	out := map[string]int64{}
	for n, r := range s.styles {
		if k := of(n); k != "" {
			out[k] += r[0]
		}
	}
	return out
}
