package eventlog

import (
	"crypto/sha256"
	"slices"
)

// Change is what differs between the events of one PCR in two logs, which is
// why its values differ.
type Change struct {
	PCR  int
	Gone []Event // those of the old log alone, in its order
	New  []Event // those of the new log alone, in its order
	// Moved says that both have the same events in another order.
	Moved bool
}

// same is what makes two events the same: what was measured, and as what. The
// text beside it does not count, since addresses and the like change with each
// start. Only of the event that says where the TPM was started from it is all there
// is.
type same struct {
	pcr     int
	typ     Type
	digest  [sha256.Size]byte
	starter string
}

// Diff compares two logs event by event, and returns the PCRs whose values
// cannot be the same, sorted. It is as true as the logs are.
func Diff(old, now *Log) []Change {
	before, after := old.byPCR(), now.byPCR()
	var changes []Change
	for pcr := range pcrs {
		c := Change{PCR: pcr, Gone: without(before[pcr], after[pcr]), New: without(after[pcr], before[pcr])}
		c.Moved = len(c.Gone)+len(c.New) == 0 && !slices.EqualFunc(before[pcr], after[pcr], func(a, b Event) bool { return a.same() == b.same() })
		if c.Moved || len(c.Gone)+len(c.New) > 0 {
			changes = append(changes, c)
		}
	}
	return changes
}

func (e Event) same() same {
	s := same{e.PCR, e.Type, e.Digest, ""}
	if e.starts {
		s.starter = e.Summary
	}
	return s
}

// byPCR are the events that make the values.
func (l *Log) byPCR() [pcrs][]Event {
	var by [pcrs][]Event
	for _, e := range l.Events {
		if e.Type != noAction || e.starts {
			by[e.PCR] = append(by[e.PCR], e)
		}
	}
	return by
}

// without returns the events of a that are not in b, each as often as it is
// there more often.
func without(a, b []Event) []Event {
	left := map[same]int{}
	for _, e := range b {
		left[e.same()]++
	}
	var only []Event
	for _, e := range a {
		if left[e.same()] == 0 {
			only = append(only, e)
			continue
		}
		left[e.same()]--
	}
	return only
}
