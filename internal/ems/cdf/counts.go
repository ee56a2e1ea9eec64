package cdf

import (
	"errors"
	"fmt"
	"math/big"
	"strings"
)

// The errors of [VoteTotal].
var (
	ErrSuppressed = errors.New("a count is suppressed for privacy")
	ErrNoCount    = errors.New("there is no count for this reporting unit and round")
)

// VoteTotal returns the votes that a list of VoteCounts (SP 1500-100) has for
// one reporting unit and round, 0 where no round is given, and counts none
// twice: the count of type total where there is one, otherwise the sum of the
// ways of voting, of which absentee stands for its kinds (by mail, in person,
// FWAB, UOCAVA). Counts by class of device are added up only where no count is
// for all of them. Counts of the types seats and write-in say something else,
// and are left out.
func VoteTotal(counts []*Object, unit string, round int64) (*big.Rat, error) {
	return total(counts, "Count", unit, round)
}

// BallotTotal is [VoteTotal] for the ballots cast of a list of BallotCounts.
func BallotTotal(counts []*Object, unit string, round int64) (*big.Rat, error) {
	return total(counts, "BallotsCast", unit, round)
}

func total(counts []*Object, member, unit string, round int64) (*big.Rat, error) {
	groups, _, err := group(counts, member)
	if err != nil {
		return nil, err
	}
	sum, found := new(big.Rat), false
	for key, g := range groups {
		if key.unit != unit || key.round != round {
			continue
		}
		_, all := groups[countKey{unit, round, ""}]
		if key.device != "" && all {
			continue
		}
		n, hidden := g.value()
		if n == nil {
			continue
		}
		if hidden {
			return nil, ErrSuppressed
		}
		sum.Add(sum, n)
		found = true
	}
	if !found {
		return nil, ErrNoCount
	}
	return sum, nil
}

// countKey is what counts that add up have in common.
type countKey struct {
	unit   string
	round  int64
	device string
}

// countGroup holds the counts of one key.
type countGroup struct {
	total, absentee, kinds, others *big.Rat // nil: not said
	hiddenTotal, hiddenPart        bool     // suppressed for privacy
	types                          map[string]bool
	first                          *Object
}

// group puts together what adds up, and returns the groups in the order of the
// list too.
func group(counts []*Object, member string) (groups map[countKey]*countGroup, order []*countGroup, err error) {
	groups = map[countKey]*countGroup{}
	for _, c := range counts {
		if !c.Has(member) {
			continue
		}
		n, err := countOf(c, member)
		if err != nil {
			return nil, nil, err
		}
		key := countKey{unit: c.Str("GpUnitId"), device: deviceKey(c.Object("DeviceClass"))}
		key.round, _ = c.Int("Round")
		g := groups[key]
		if g == nil {
			g = &countGroup{types: map[string]bool{}, first: c}
			groups[key] = g
			order = append(order, g)
		}
		if !g.add(c, n) {
			return nil, nil, &countError{c, "count-repeated", "another count is for the same reporting unit, type, round and class of device"}
		}
	}
	return groups, order, nil
}

// countError is a fault of one count.
type countError struct {
	at         *Object
	rule, text string
}

func (e *countError) Error() string {
	return fmt.Sprintf("cannot add up %s: %s (rule %s)", e.at.Pointer(), e.text, e.rule)
}

// countOf returns a count, exactly. Counts beyond any election are refused
// before a power of ten could fill the memory.
func countOf(c *Object, member string) (*big.Rat, error) {
	s := c.Str(member)
	n, ok := new(big.Rat), len(s) <= 40 && !strings.ContainsAny(s, "eE")
	if ok {
		_, ok = n.SetString(s)
	}
	if !ok {
		return nil, &countError{c, "count-value", "a count must be a decimal number of at most 40 characters, without exponent"}
	}
	if n.Sign() < 0 {
		return nil, &countError{c, "count-negative", "a count must not be negative"}
	}
	return n, nil
}

func deviceKey(d *Object) string {
	if d == nil {
		return ""
	}
	return strings.Join([]string{"device", d.Str("Type"), d.Str("OtherType"), d.Str("Manufacturer"), d.Str("Model")}, "\x00")
}

// add adds one count, unless the group has one of its type.
func (g *countGroup) add(c *Object, n *big.Rat) bool {
	kind := c.Str("Type")
	key := kind + "\x00" + c.Str("OtherType")
	if g.types[key] {
		return false
	}
	g.types[key] = true
	hidden, _ := c.Bool("IsSuppressedForPrivacy")
	if kind == "total" {
		g.hiddenTotal = hidden
	} else {
		g.hiddenPart = g.hiddenPart || hidden
	}
	switch kind {
	case "total":
		g.total = n
	case "absentee":
		g.absentee = n
	case "absentee-fwab", "absentee-in-person", "absentee-mail", "uocava":
		g.kinds = plus(g.kinds, n)
	case "seats", "write-in":
	default:
		g.others = plus(g.others, n)
	}
	return true
}

func plus(a, b *big.Rat) *big.Rat {
	if a == nil {
		return b
	}
	return new(big.Rat).Add(a, b)
}

// parts is the sum of the ways of voting, nil when none is given.
func (g *countGroup) parts() *big.Rat {
	absentee := g.absentee
	if absentee == nil {
		absentee = g.kinds
	}
	switch {
	case absentee == nil:
		return g.others
	case g.others == nil:
		return absentee
	}
	return plus(absentee, g.others)
}

// value is what the group comes to, nil when it says nothing, and whether that
// is suppressed.
func (g *countGroup) value() (n *big.Rat, hidden bool) {
	if g.total != nil {
		return g.total, g.hiddenTotal
	}
	return g.parts(), g.hiddenPart
}

// problem is what makes the group contradict itself, or "".
func (g *countGroup) problem() string {
	if g.hiddenTotal || g.hiddenPart {
		return ""
	}
	if g.absentee != nil && g.kinds != nil && g.kinds.Cmp(g.absentee) > 0 {
		return "the kinds of absentee ballots are more than absentee"
	}
	if parts := g.parts(); g.total != nil && parts != nil && parts.Cmp(g.total) != 0 {
		return "the count of type total is not the sum of the others"
	}
	return ""
}

// counts checks the counts that stand in one object of a report.
func (d *Document) counts(o *Object) error {
	for _, list := range []struct{ name, member string }{
		{"VoteCounts", "Count"}, {"BallotCounts", "BallotsCast"}, {"BallotCounts", "BallotsOutstanding"}, {"BallotCounts", "BallotsRejected"},
	} {
		_, order, err := group(o.List(list.name), list.member)
		var fault *countError
		if errors.As(err, &fault) {
			return d.bad(fault.at, "", fault.rule, "%s", fault.text)
		}
		for _, g := range order {
			if text := g.problem(); text != "" {
				return d.bad(g.first, "", "count-total", "%s", text)
			}
		}
	}
	for _, c := range o.List("OtherCounts") {
		for _, member := range []string{"Overvotes", "Undervotes", "WriteIns"} {
			if strings.HasPrefix(c.Str(member), "-") {
				return d.bad(c, member, "count-negative", "a count must not be negative")
			}
		}
	}
	for _, member := range []string{"VotersRegistered", "VotersParticipated", "SubUnitsReported", "TotalSubUnits"} {
		if n, ok := o.Int(member); ok && n < 0 {
			return d.bad(o, member, "count-negative", "%s must not be negative", member)
		}
	}
	return nil
}
