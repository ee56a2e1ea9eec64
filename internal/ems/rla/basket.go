package rla

import (
	"container/heap"
	"strings"
)

// drawn is one ticket: what it is for, and how often that was drawn before.
type drawn struct {
	ticket     string
	item       item
	generation int
}

// item is a ballot: a batch of a pool and the position in it.
type item struct{ pool, batch, position int }

func (a drawn) compare(b drawn) int { return strings.Compare(a.ticket, b.ticket) }

// smallest keeps the n smallest tickets it is shown, the largest on top.
type smallest struct {
	n    int
	held []drawn
}

func (s *smallest) Len() int           { return len(s.held) }
func (s *smallest) Less(i, j int) bool { return s.held[i].compare(s.held[j]) > 0 }
func (s *smallest) Swap(i, j int)      { s.held[i], s.held[j] = s.held[j], s.held[i] }
func (s *smallest) Push(x any)         { s.held = append(s.held, x.(drawn)) }
func (s *smallest) Pop() any {
	last := s.held[len(s.held)-1]
	s.held = s.held[:len(s.held)-1]
	return last
}

// offer keeps a ticket when it is among the n smallest so far.
func (s *smallest) offer(d drawn) {
	if len(s.held) < s.n {
		heap.Push(s, d)
	} else if s.n > 0 && d.compare(s.held[0]) < 0 {
		s.held[0] = d
		heap.Fix(s, 0)
	}
}

// basket gives tickets out, the smallest first.
type basket []drawn

func (b basket) Len() int           { return len(b) }
func (b basket) Less(i, j int) bool { return b[i].compare(b[j]) < 0 }
func (b basket) Swap(i, j int)      { b[i], b[j] = b[j], b[i] }
func (b *basket) Push(x any)        { *b = append(*b, x.(drawn)) }
func (b *basket) Pop() any {
	last := (*b)[len(*b)-1]
	*b = (*b)[:len(*b)-1]
	return last
}

// take draws n tickets; with replacement, what was drawn gets its next ticket
// and is put back. It draws fewer only when the basket is empty.
func (b *basket) take(n int, replace bool) []drawn {
	heap.Init(b)
	var out []drawn
	for len(out) < n && b.Len() > 0 {
		d := heap.Pop(b).(drawn)
		out = append(out, d)
		if replace {
			heap.Push(b, drawn{next(d.ticket), d.item, d.generation + 1})
		}
	}
	return out
}
