package results

import (
	"math/big"
	"slices"
	"strings"
)

// Turnout is how many of the registered voters cast a ballot.
type Turnout struct {
	Ballots    int64
	Registered int64 // 0 where nobody said it
	Suppressed bool  // the ballots are withheld
}

// Ratio is ballots to voters, exactly; nil where either is not known.
func (t Turnout) Ratio() *big.Rat {
	if t.Registered == 0 || t.Suppressed {
		return nil
	}
	return big.NewRat(t.Ballots, t.Registered)
}

// Percent is part of all in percent with so many decimal places, rounded half
// to even; it is for display alone. It is empty when there is nothing to share.
func Percent(part, all int64, places int) string {
	if all <= 0 || part < 0 {
		return ""
	}
	scale := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(places+2)), nil)
	den := big.NewInt(all)
	n, rest := new(big.Int).QuoRem(scale.Mul(scale, big.NewInt(part)), den, new(big.Int))
	if c := rest.Lsh(rest, 1).Cmp(den); c > 0 || c == 0 && n.Bit(0) == 1 {
		n.Add(n, big.NewInt(1))
	}
	digits := n.String()
	if places == 0 {
		return digits
	}
	if missing := places + 1 - len(digits); missing > 0 {
		digits = strings.Repeat("0", missing) + digits
	}
	return digits[:len(digits)-places] + "." + digits[len(digits)-places:]
}

// Total is the ballots of a unit in all ways of voting.
func (u *Unit) Total() Ballots { return total(u.Ballots) }

func total(list []Ballots) Ballots {
	t := Ballots{Type: Total}
	for _, b := range list {
		if b.Type == Total {
			return b
		}
		t.Count += b.Count
		t.Suppressed = t.Suppressed || b.Suppressed
	}
	return t
}

// Ballots are the ballots of all units by way of voting, and of type total in
// all; the given sums where there are any.
func (r *Results) Ballots() map[string]Ballots {
	sums := map[string]Ballots{}
	add := func(kind string, b Ballots) {
		s := sums[kind]
		sums[kind] = Ballots{kind, s.Count + b.Count, s.Suppressed || b.Suppressed}
	}
	for i := range r.Units {
		for _, b := range r.Units[i].Ballots {
			if b.Type != Total {
				add(b.Type, b)
			}
		}
		if len(r.Units[i].Ballots) > 0 {
			add(Total, r.Units[i].Total())
		}
	}
	for _, b := range r.BallotSums {
		sums[b.Type] = b
	}
	return sums
}

// Turnout is the turnout of some units together. Voters of a unit that is
// within another one of them are counted once.
func (r *Results) Turnout(units []string) Turnout {
	var t Turnout
	in, known := make(map[string]bool, len(units)), map[string]bool{}
	for _, id := range units {
		in[id] = true
	}
	for i := range r.Units {
		known[r.Units[i].ID] = in[r.Units[i].ID] && r.Units[i].Registered != nil
	}
	for i := range r.Units {
		u := &r.Units[i]
		if !in[u.ID] {
			continue
		}
		b := u.Total()
		t.Ballots += b.Count
		t.Suppressed = t.Suppressed || b.Suppressed
		within := slices.ContainsFunc(u.Within, func(id string) bool { return known[id] })
		if u.Registered != nil && !within {
			t.Registered += *u.Registered
		}
	}
	return t
}

// Whole is the turnout of the election. The voters are those of the units in
// which votes are cast, or of the election's own unit where these have none.
func (r *Results) Whole() Turnout {
	var ids []string
	var whole int64
	for i := range r.Units {
		u := &r.Units[i]
		if u.ID == r.ScopeID && u.Registered != nil {
			whole = *u.Registered
		}
	}
	for _, g := range r.Precincts() {
		ids = append(ids, append([]string{g.ID}, g.Units...)...)
	}
	t := r.Turnout(ids)
	if b, ok := r.Ballots()[Total]; ok {
		t.Ballots, t.Suppressed = b.Count, b.Suppressed
	}
	if whole > 0 {
		t.Registered = whole
	}
	return t
}
