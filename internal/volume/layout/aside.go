package layout

// Aside returns a walker for a second listing of w's volume, into vol. It may
// take what is left of w's budget without taking it from w: the listing has to
// be dropped before w goes on.
func (w *Walker) Aside(vol *Volume) *Walker {
	entries, bytes, memory := *w.budget.entries, *w.budget.bytes, *w.budget.memory
	return NewWalker(w.Dev, vol, &Budget{
		limits: w.budget.limits, entries: &entries, bytes: &bytes, memory: &memory,
	})
}
