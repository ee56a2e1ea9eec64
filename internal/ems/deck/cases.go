package deck

import (
	"fmt"
	"slices"

	"sallyport/internal/ems/model"
)

// fill is how one contest is marked on one sheet.
type fill struct {
	marks []dot
	why   string
	// off: to be used on a sheet on which the contest does not count.
	off bool
}

// dot is a mark without its position on a style.
type dot struct {
	option, rank, votes int
	name                string
}

// cases are the fills that exercise each rule once. They favour the last
// options, which get the most votes anyhow. The one that is off is the last.
func (r *race) cases(gated bool) []fill {
	list := []fill{{why: "blank"}}
	switch {
	case r.ranks > 0:
		list = append(list, r.rankedCases()...)
	case r.cumulative:
		list = append(list, r.cumulativeCases()...)
	default:
		list = append(list, r.markedCases()...)
	}
	for i := range r.options {
		if r.options[i].writeIn {
			d := r.dot(i)
			list = append(list, fill{marks: []dot{d}, why: "write-in without a name"})
			d.name = fmt.Sprintf("Test Name %d", i+1)
			list = append(list, fill{marks: []dot{d}, why: "write-in with a name"})
		}
	}
	if gated {
		list = append(list, fill{marks: []dot{r.dot(r.last(0))}, why: "marked where it does not count", off: true})
	}
	return list
}

// last is the option n places before the last one.
func (r *race) last(n int) int { return len(r.options) - 1 - n }

// dot is one vote for an option, at the first rank where there are ranks.
func (r *race) dot(option int) dot {
	d := dot{option: option, votes: 1}
	if r.ranks > 0 {
		d.rank = 1
	}
	return d
}

// tail is one vote for each of the last n options.
func (r *race) tail(n int) (out []dot) {
	for i := range n {
		out = append(out, r.dot(r.last(n-1-i)))
	}
	return out
}

func (r *race) markedCases() []fill {
	m, k := len(r.options), r.allowed
	list := []fill{{marks: r.tail(min(m, k)), why: "as many as allowed"}}
	if k > 1 && m > 1 {
		list = append(list, fill{marks: r.tail(1), why: "fewer than allowed"})
	}
	if r.canOvervote() {
		list = append(list, fill{marks: r.tail(k + 1), why: "overvote"})
	}
	return list
}

// canOvervote says whether a voter can choose more than is allowed.
func (r *race) canOvervote() bool {
	if r.cumulative {
		return len(r.options) > 1 || r.allowed < model.MaxVotes
	}
	return len(r.options) > r.allowed
}

func (r *race) cumulativeCases() []fill {
	k := r.allowed
	last := dot{option: r.last(0), votes: k}
	list := []fill{{marks: []dot{last}, why: "all votes for one option"}}
	if k > 1 {
		list = append(list, fill{marks: r.tail(1), why: "fewer than allowed"})
	}
	switch {
	case len(r.options) > 1:
		before := r.dot(r.last(1))
		list = append(list, fill{marks: []dot{before, last}, why: "overvote"})
		if k > 1 {
			last.votes = k - 1
			list = append(list, fill{marks: []dot{before, last}, why: "votes for several options"})
		}
	case k < model.MaxVotes:
		last.votes = k + 1
		list = append(list, fill{marks: []dot{last}, why: "overvote"})
	}
	return list
}

// rankedCases put each option at each rank, in turn, and then the faults of
// rankings.
func (r *race) rankedCases() []fill {
	m := len(r.options)
	var list []fill
	for from := 1; from <= r.ranks; from += m {
		for turn := range m {
			f := fill{why: "every option at every rank"}
			for n := 0; n < m && from+n <= r.ranks; n++ {
				f.marks = append(f.marks, dot{option: (turn + n) % m, rank: from + n, votes: 1})
			}
			list = append(list, f)
		}
	}
	at := func(back, rank int) dot { return dot{option: r.last(back), rank: rank, votes: 1} }
	if m > 1 {
		list = append(list, fill{marks: []dot{at(1, 1), at(0, 1)}, why: "two options at the first rank"})
	}
	if r.ranks > 1 {
		list = append(list, fill{marks: []dot{at(0, 2)}, why: "first rank skipped"},
			fill{marks: []dot{at(0, 1), at(0, 2)}, why: "one option at two ranks"})
	}
	if r.ranks > 1 && m > 2 {
		list = append(list, fill{marks: []dot{at(0, 1), at(2, 2), at(1, 2)}, why: "two options at the second rank"})
	}
	return list
}

// wants is how many more votes each option needs. In a strict pattern each gets
// more than the one before it, within runs of [Run]. In any, each gets a mark of
// its own: votes that another contest gave show nothing about its position.
func wants(have []int, marked []bool, strict bool) (want []int, sum int) {
	want = make([]int, len(have))
	before := 0
	for i, n := range have {
		least := n
		if !marked[i] {
			least = n + 1
		}
		if strict && i%Run > 0 {
			least = max(least, before+1)
		}
		before = max(n, least)
		want[i] = before - n
		sum += want[i]
	}
	return want, sum
}

// ordinary makes fills that give each option the votes that it wants, on as few
// ballots as the contest's rule allows.
func (r *race) ordinary(want []int, sum int) []fill {
	switch {
	case r.cumulative:
		return r.heaps(want)
	case r.ranks > 0:
		return r.spread(want, sum)
	}
	ballots := max((sum+r.allowed-1)/r.allowed, slices.Max(want))
	return r.spread(want, ballots)
}

// spread deals the votes to a number of ballots in turn, option by option: no
// ballot gets one option twice, or more votes than allowed, when there are at
// least as many ballots as one option wants and as the votes fill.
func (r *race) spread(want []int, ballots int) []fill {
	list := make([]fill, ballots)
	turn := 0
	for i, n := range want {
		for range n {
			f := &list[turn%ballots]
			f.why = "votes"
			f.marks = append(f.marks, r.dot(i))
			turn++
		}
	}
	return list
}

// heaps gives one option at a time as many votes as one ballot can.
func (r *race) heaps(want []int) (list []fill) {
	for i, n := range want {
		for n > 0 {
			d := r.dot(i)
			d.votes = min(n, r.allowed)
			n -= d.votes
			list = append(list, fill{marks: []dot{d}, why: "votes"})
		}
	}
	return list
}
