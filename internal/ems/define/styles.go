package define

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"sallyport/internal/ems/election"
)

// BuildStyles returns a copy of def with the ballot styles that its districts,
// precincts, splits and parties ask for, in the place of those it has. Ballots
// with the same content are one style, so there are as few as there can be; the
// same input gives the same styles with the same codes. It returns problems,
// and no definition, when def is not valid (styles aside) or r is not for it.
func BuildStyles(def *election.Definition, r Rules) (*election.Definition, []Problem) {
	out, err := def.Clone()
	if err != nil {
		return nil, []Problem{{Severity: Error, Rule: "json", Text: err.Error()}}
	}
	if len(out.Elections) == 1 {
		out.Elections[0].Styles = nil
	}
	if bad := tooLarge(out); len(bad) > 0 {
		return nil, bad
	}
	var bad []Problem
	_, found := out.Check()
	for _, p := range found {
		if p.Rule != "style-none" {
			bad = append(bad, fromCheck(p))
		}
	}
	if len(bad) > 0 {
		return nil, bad
	}
	d, err := newDraft(out)
	if err == nil {
		bad = r.problems(d)
	}
	if err != nil || len(bad) > 0 {
		return nil, bad
	}
	b := newBuilder(out, r)
	out.Elections[0].Styles = b.styles()
	_, found = out.Check()
	for _, p := range found {
		bad = append(bad, fromCheck(p))
	}
	if len(bad) > 0 {
		return nil, bad
	}
	return out, nil
}

// builder makes ballot styles.
type builder struct {
	rules    Rules
	e        *election.Election
	parties  []election.Party
	geo      *geography
	contests []election.Contest // in ballot order
	header   map[ID]ID          // the heading of a contest
	turn     map[ID]map[ID]int  // by contest and precinct: how far it is rotated there
}

func newBuilder(def *election.Definition, r Rules) *builder {
	b := &builder{rules: r, e: &def.Elections[0], parties: def.Parties, geo: newGeography(def), header: map[ID]ID{}, turn: map[ID]map[ID]int{}}
	b.contests = ballotOrder(b.e.Contests, b.geo, r.Headers)
	for _, h := range r.Headers {
		for _, id := range h.Contests {
			b.header[id] = h.Header
		}
	}
	for _, l := range b.geo.leaves {
		for _, c := range b.contests {
			id := c.Base().ID
			if b.turn[id] == nil {
				b.turn[id] = map[ID]int{}
			}
			if _, ok := b.turn[id][l.precinct]; !ok && b.geo.within(l.unit, c.Base().DistrictID) {
				b.turn[id][l.precinct] = len(b.turn[id])
			}
		}
	}
	return b
}

// ballot is one style that is being made.
type ballot struct {
	party    ID // "" for none
	contests []election.Contest
	turns    []int // how far each contest's candidates are rotated
	units    []ID
}

// styles makes the styles: those of one party after another, each in the order
// of the first precinct that uses it.
func (b *builder) styles() (out []election.Style) {
	for n, party := range b.ballotParties() {
		var list []*ballot
		byKey := map[string]*ballot{}
		for _, l := range b.geo.leaves {
			x := b.ballot(l, party)
			if len(x.contests) == 0 {
				continue
			}
			key := x.key()
			if byKey[key] == nil {
				byKey[key] = x
				list = append(list, x)
			}
			byKey[key].units = append(byKey[key].units, l.unit)
		}
		for k, x := range list {
			out = append(out, b.style(x, b.code(k, n, party)))
		}
	}
	b.rotateByStyle(out)
	return out
}

// ballotParties are the parties that have ballots of their own; "" is the
// ballot that is no party's.
func (b *builder) ballotParties() []ID {
	if b.rules.Primary != Closed && b.rules.Primary != Open {
		return []ID{""}
	}
	var out []ID
	for i := range b.parties {
		id := b.parties[i].ID
		if slices.ContainsFunc(b.contests, func(c election.Contest) bool { return slices.Contains(primaryOf(c), id) }) {
			out = append(out, id)
		}
	}
	return append(out, "")
}

// ballot is what voters of a party get in a unit. A party without a contest of
// its own there has no ballot there: its voters get the one that is no party's.
func (b *builder) ballot(l leaf, party ID) *ballot {
	x := &ballot{party: party}
	own := party == ""
	split := b.rules.Primary == Closed || b.rules.Primary == Open
	for _, c := range b.contests {
		of := primaryOf(c)
		if !b.geo.within(l.unit, c.Base().DistrictID) || split && len(of) > 0 && !slices.Contains(of, party) {
			continue
		}
		own = own || slices.Contains(of, party)
		turn := 0
		if b.rules.Rotation == ByPrecinct {
			turn = b.turns(c, b.turn[c.Base().ID][l.precinct])
		}
		x.contests, x.turns = append(x.contests, c), append(x.turns, turn)
	}
	if !own {
		x.contests = nil
	}
	return x
}

// turns is how far a contest is rotated at place n: less than it has candidates.
func (b *builder) turns(c election.Contest, n int) int {
	if moving := rotating(c); moving > 1 {
		return n % moving
	}
	return 0
}

// key is the same for ballots with the same content.
func (x *ballot) key() string {
	var s strings.Builder
	for i, c := range x.contests {
		fmt.Fprintf(&s, "%q %d ", c.Base().ID, x.turns[i])
	}
	return s.String()
}

// code numbers the styles of a party from 1 and adds the party: "2-OAK".
func (b *builder) code(n, party int, id ID) string {
	number := strconv.Itoa(n + 1)
	if len(b.ballotParties()) == 1 {
		return number
	}
	return number + "-" + b.suffixes()[party]
}

// suffixes are short words for the parties that have ballots, each another one.
func (b *builder) suffixes() []string {
	var out []string
	used := map[string]bool{"NP": true}
	for _, id := range b.ballotParties() {
		if id == "" {
			out = append(out, "NP") // no party
			continue
		}
		i := slices.IndexFunc(b.parties, func(p election.Party) bool { return p.ID == id })
		p := &b.parties[i]
		word := cmp.Or(short(p.Abbreviation.String()), short(p.Name.String()), short(id), "P")
		for n, base := 2, word; used[word]; n++ {
			word = base + strconv.Itoa(n)
		}
		used[word] = true
		out = append(out, word)
	}
	return out
}

// short is the first six letters and digits of a text.
func short(s string) string {
	var out []byte
	for _, r := range strings.ToUpper(s) {
		if ('A' <= r && r <= 'Z' || '0' <= r && r <= '9') && len(out) < 6 {
			out = append(out, byte(r))
		}
	}
	return string(out)
}

func (b *builder) style(x *ballot, code string) election.Style {
	s := election.Style{Units: x.units, Languages: slices.Clone(b.rules.Languages),
		ExternalIDs: []election.ExternalID{{Type: "local-level", Value: code}}}
	if x.party != "" {
		s.Parties = []ID{x.party}
	}
	into := &s.Content
	for i, c := range x.contests {
		id := c.Base().ID
		list := into
		if h := b.header[id]; h != "" {
			list = under(into, h, false)
		}
		*list = append(*list, &election.OrderedContest{Contest: id, Options: b.options(c, x.turns[i])})
	}
	return s
}

// rotateByStyle rotates each contest by one position from each style that has
// it to the next.
func (b *builder) rotateByStyle(styles []election.Style) {
	if b.rules.Rotation != ByStyle {
		return
	}
	seen := map[ID]int{}
	for i := range styles {
		styles[i].Contests(func(o *election.OrderedContest, _ string) {
			n := slices.IndexFunc(b.contests, func(c election.Contest) bool { return c.Base().ID == o.Contest })
			o.Options = b.options(b.contests[n], b.turns(b.contests[n], seen[o.Contest]))
			seen[o.Contest]++
		})
	}
}
