package define

import (
	"cmp"
	"slices"
	"strings"

	"sallyport/internal/ems/election"
)

// rotating is how many options of a contest change places: its candidates, if
// it rotates.
func rotating(c election.Contest) int {
	if !c.Base().HasRotation || kindOf(c) != candidateKind {
		return 0
	}
	n := 0
	for _, o := range c.Base().Options {
		if moves(o) {
			n++
		}
	}
	return n
}

// moves says whether an option is one that is sorted and rotated.
func moves(o election.Option) bool {
	x, ok := o.(*election.CandidateOption)
	return ok && !isWriteIn(x)
}

// options is the order of a contest's options, candidates rotated by turn.
// What does not move keeps its place, except that places to write a name are
// always last.
func (b *builder) options(c election.Contest, turn int) []ID {
	base := c.Base()
	var candidates []election.Option
	for _, o := range base.Options {
		if moves(o) {
			candidates = append(candidates, o)
		}
	}
	if kindOf(c) == candidateKind && b.rules.Alphabet != "" {
		b.sortByAlphabet(candidates)
	}
	var out, writeIn []ID
	n := 0
	for _, o := range base.Options {
		switch {
		case isWriteIn(o):
			writeIn = append(writeIn, o.Base().ID)
		case moves(o):
			out = append(out, candidates[(n+turn)%len(candidates)].Base().ID)
			n++
		default:
			out = append(out, o.Base().ID)
		}
	}
	return append(out, writeIn...)
}

// sortByAlphabet sorts by last name, then by the whole name, letters in the
// order that was drawn; whatever is no letter from A to Z comes after them.
func (b *builder) sortByAlphabet(list []election.Option) {
	rank := map[rune]int{}
	for i, r := range bareAlphabet(b.rules.Alphabet) {
		rank[r] = i
	}
	slices.SortStableFunc(list, func(x, y election.Option) int {
		a, c := b.sortName(x), b.sortName(y)
		return compareBy(rank, a, c)
	})
}

// sortName is the last name and the whole name of the first candidate.
func (b *builder) sortName(o election.Option) string {
	x := o.(*election.CandidateOption)
	i := slices.IndexFunc(b.e.Candidates, func(c election.Candidate) bool { return c.ID == x.Candidates[0] })
	if i < 0 {
		return ""
	}
	c := &b.e.Candidates[i]
	last := ""
	if n := slices.IndexFunc(b.geo.def.Persons, func(p election.Person) bool { return p.ID == c.PersonID && c.PersonID != "" }); n >= 0 {
		last = b.geo.def.Persons[n].LastName
	}
	whole := c.BallotName.String()
	return strings.ToUpper(cmp.Or(last, lastName(whole)) + " " + whole)
}

// lastName is the last word of a name that is no suffix.
func lastName(name string) string {
	w := strings.Fields(name)
	for n := len(w) - 1; n > 0; n-- {
		if s := strings.ToUpper(strings.Trim(w[n], ".,")); slices.Contains([]string{"JR", "SR", "II", "III", "IV", "V"}, s) {
			continue
		}
		return w[n]
	}
	if len(w) > 0 {
		return w[0]
	}
	return ""
}

// compareBy compares text with a space before all letters, and whatever is no
// letter from A to Z after them.
func compareBy(rank map[rune]int, a, b string) int {
	key := func(r rune) int {
		if n, ok := rank[r]; ok {
			return n + 1
		}
		if r == ' ' {
			return 0
		}
		return len(rank) + 1 + int(r)
	}
	return slices.CompareFunc([]rune(a), []rune(b), func(x, y rune) int { return key(x) - key(y) })
}

// RotationReport says in which places the candidates of one contest stand.
type RotationReport struct {
	Contest ID
	Options []ID // the candidates, in the order of the contest
	// ByStyle and ByPrecinct count, for each candidate and each position from
	// the top, the ballot styles and the precincts in which it stands there.
	// A precinct whose styles differ in the order counts once for each order.
	ByStyle    [][]int
	ByPrecinct [][]int
}

// Spread is the difference between how often the candidates who are first most
// and least often are first, by styles and by precincts.
func (r *RotationReport) Spread() (styles, precincts int) {
	return spread(r.ByStyle), spread(r.ByPrecinct)
}

func spread(counts [][]int) int {
	low, high := counts[0][0], counts[0][0]
	for _, c := range counts {
		low, high = min(low, c[0]), max(high, c[0])
	}
	return high - low
}

// Rotations reports the contests that rotate, have two candidates or more and
// stand on a ballot, in the order of the definition. A rotation by style is
// balanced when the first spread is at most 1, one by precinct when the second is.
func Rotations(v *election.Valid) (out []RotationReport) {
	g := newGeography(v.Definition())
	precinct := map[ID]ID{}
	for _, l := range g.leaves {
		precinct[l.unit] = l.precinct
	}
	for _, c := range v.Election().Contests {
		if rotating(c) < 2 {
			continue
		}
		r := RotationReport{Contest: c.Base().ID}
		place := map[ID]int{}
		for _, o := range c.Base().Options {
			if moves(o) {
				place[o.Base().ID] = len(r.Options)
				r.Options = append(r.Options, o.Base().ID)
			}
		}
		r.ByStyle, r.ByPrecinct = square(len(place)), square(len(place))
		if r.count(v, c, place, precinct) {
			out = append(out, r)
		}
	}
	return out
}

func square(n int) [][]int {
	out := make([][]int, n)
	for i := range out {
		out[i] = make([]int, n)
	}
	return out
}

// count counts positions and says whether the contest stands on any ballot.
func (r *RotationReport) count(v *election.Valid, c election.Contest, place map[ID]int, precinct map[ID]ID) bool {
	any, seen := false, map[string]bool{}
	for i := range v.Election().Styles {
		s := &v.Election().Styles[i]
		s.Contests(func(o *election.OrderedContest, _ string) {
			if o.Contest != r.Contest {
				return
			}
			any = true
			order := orderOn(o, c)
			r.tally(r.ByStyle, order, place)
			for _, u := range s.Units {
				key := cmp.Or(precinct[u], u) + " " + strings.Join(order, " ")
				if !seen[key] {
					seen[key] = true
					r.tally(r.ByPrecinct, order, place)
				}
			}
		})
	}
	return any
}

func (r *RotationReport) tally(counts [][]int, order []ID, place map[ID]int) {
	position := 0
	for _, id := range order {
		if n, ok := place[id]; ok {
			counts[n][position]++
			position++
		}
	}
}

// orderOn is the order of a contest's options on a ballot.
func orderOn(o *election.OrderedContest, c election.Contest) []ID {
	if len(o.Options) > 0 {
		return o.Options
	}
	return idsOf(c.Base().Options, func(o *election.Option) ID { return (*o).Base().ID })
}
