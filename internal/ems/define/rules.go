package define

import (
	"slices"
	"strings"

	"sallyport/internal/ems/election"
)

// Primary says how the contests of parties stand on ballots.
type Primary string

// The values of [Primary].
const (
	// NoPrimary: all contests stand on one ballot, whatever party they are of.
	NoPrimary Primary = ""
	// Closed: one ballot for each party, for its own voters.
	Closed Primary = "closed"
	// Open: one ballot for each party, of which every voter may take any. The
	// ballots are those of a closed primary: who may take which is not said by
	// a ballot.
	Open Primary = "open"
	// Preference: one ballot for all, on which a party-preference contest says
	// whose contests count.
	Preference Primary = "party-preference"
)

// Rotation says how the order of candidates differs between ballots, in
// contests that rotate (HasRotation). Places to write a name stay last.
type Rotation string

// The values of [Rotation].
const (
	NoRotation Rotation = ""
	// ByStyle: by one position from each ballot style that has the contest to the next.
	ByStyle Rotation = "by-style"
	// ByPrecinct: by one position from each precinct that has the contest to the
	// next, in the order of their numbers; splits follow their precinct.
	ByPrecinct Rotation = "by-precinct"
)

func (r Rotation) check() error {
	if !slices.Contains([]Rotation{NoRotation, ByStyle, ByPrecinct}, r) {
		return faultf("rotation", "the rotation %q is none of: %s, %s", string(r), ByStyle, ByPrecinct)
	}
	return nil
}

// Rules say how ballot styles are made.
type Rules struct {
	Primary  Primary
	Rotation Rotation
	// Alphabet is the order of letters by which candidates are sorted before
	// they rotate, all 26 each once, such as a lottery draws it; empty for the
	// order of the contests.
	Alphabet string
	// Languages are those of the ballots, the first one first.
	Languages []string
	// Headers put contests under headings, in this order, before all others;
	// empty for none.
	Headers []HeaderGroup
}

// HeaderGroup is a heading with the contests below it.
type HeaderGroup struct {
	Header   ID
	Contests []ID
}

// DefaultRules are those that the type of the election asks for, without
// rotation, in the languages of its texts.
func DefaultRules(def *election.Definition) Rules {
	r := Rules{Languages: Languages(def)}
	if len(def.Elections) != 1 {
		return r
	}
	e := &def.Elections[0]
	preference := slices.ContainsFunc(e.Contests, func(c election.Contest) bool { return kindOf(c) == preferenceKind })
	switch {
	case preference:
		r.Primary = Preference
	case e.Type == election.PartisanPrimaryClosed:
		r.Primary = Closed
	case e.Type == election.PartisanPrimaryOpen:
		r.Primary = Open
	case e.Type == election.Primary && slices.ContainsFunc(e.Contests, func(c election.Contest) bool { return len(primaryOf(c)) > 0 }):
		r.Primary = Closed
	}
	return r
}

// primaryOf returns the parties whose primary a contest is.
func primaryOf(c election.Contest) []ID {
	if c, ok := c.(*election.CandidateContest); ok {
		return c.PrimaryParties
	}
	return nil
}

const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

// checkAlphabet wants each letter once: spaces and commas between them are
// allowed, as such lotteries are published.
func checkAlphabet(s string) error {
	s = bareAlphabet(s)
	for _, l := range letters {
		if s != "" && (len(s) != len(letters) || strings.Count(s, string(l)) != 1) {
			return faultf("alphabet", "the alphabet must name each of the letters A to Z once")
		}
	}
	return nil
}

func bareAlphabet(s string) string {
	return strings.ToUpper(strings.NewReplacer(" ", "", ",", "").Replace(s))
}

// problems says what is wrong with rules for a definition.
func (r *Rules) problems(d *draft) (out []Problem) {
	bad := func(err error) {
		if f, ok := err.(*fault); ok {
			out = append(out, Problem{Severity: Error, Rule: f.rule, Text: f.text})
		}
	}
	if !slices.Contains([]Primary{NoPrimary, Closed, Open, Preference}, r.Primary) {
		bad(faultf("primary", "the kind of primary %q is none of: %s, %s, %s", string(r.Primary), Closed, Open, Preference))
	}
	bad(r.Rotation.check())
	bad(checkAlphabet(r.Alphabet))
	seen := map[ID]bool{}
	for _, h := range r.Headers {
		bad(d.known(headerClass, h.Header))
		for _, id := range h.Contests {
			bad(d.known(contestClass, id))
			if seen[id] {
				bad(faultf("header-contest", "the contest %q stands under two headings", id))
			}
			seen[id] = true
		}
	}
	return out
}
