package reader

import (
	"time"

	"sallyport/internal/limit"
	"sallyport/internal/verdict"
)

const (
	// window is the least time over which the rate of a medium is measured:
	// long enough for a drive that starts up, or looks for its place.
	window = time.Minute
	// fileWorth is what each file counts, in bytes, besides its content: a
	// small file costs a medium as much time as a block.
	fileWorth = 4 << 10
)

// pace measures how fast a medium is. What counts is the time that the parent
// waits for the child: how long it takes itself to store what came is no fault
// of the medium. Silence is not its business but that of the limit Stall, which
// fits twice into its window.
type pace struct {
	rate   int64 // bytes a second, at least
	window time.Duration
	waited time.Duration // of the window at hand
	got    int64         // bytes in it
}

func newPace(l limit.Limits) *pace {
	return &pace{rate: l.MinRate, window: max(window, 2*l.Stall)}
}

// add notes that n bytes came.
func (p *pace) add(n int64) { p.got += n }

// wait notes that the parent waited for so long. At the end of each window its
// error is the finding that the medium was too slow.
func (p *pace) wait(d time.Duration) error {
	if p.waited += d; p.waited < p.window {
		return nil
	}
	got, waited := p.got, p.waited
	p.got, p.waited = 0, 0
	if float64(got) >= float64(p.rate)*waited.Seconds() {
		return nil
	}
	return verdict.New(verdict.Unreadable, "the medium", "it is slower than %d bytes a second: %d bytes in %.0f s", p.rate, got, waited.Seconds())
}
