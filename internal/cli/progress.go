package cli

import (
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/term"

	"sallyport/internal/control"
)

// bar is one line of progress on a terminal: bytes, rate and time left. It is
// silent where no terminal is.
type bar struct {
	w     io.Writer // nil: silent
	since time.Time // of the first show
	last  time.Time // of the latest
	from  int64     // bytes that were done then
	phase string    // that began then
}

func newBar(w io.Writer) *bar {
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		w = nil
	}
	return &bar{w: w}
}

func (b *bar) show(p control.Progress) {
	if b.w == nil {
		return
	}
	if p.Phase == b.phase && time.Since(b.last) < 100*time.Millisecond {
		return
	}
	b.last = time.Now()
	if p.Phase != b.phase || b.since.IsZero() { // the wait before the first byte is not part of the rate
		b.since, b.from, b.phase = time.Now(), p.Done, p.Phase
	}
	fmt.Fprintf(b.w, "\r\x1b[K%s", progressLine(p, p.Done-b.from, time.Since(b.since)))
}

func (b *bar) end() {
	if !b.since.IsZero() {
		fmt.Fprint(b.w, "\r\x1b[K")
	}
}

// longest is the longest time left that is worth a number.
const longest = 100 * time.Hour

// progressLine says how far, how fast and how long still; got bytes came in
// the time spent.
func progressLine(p control.Progress, got int64, spent time.Duration) string {
	if p.Done == 0 && p.Total == 0 {
		return p.Phase
	}
	line := fmt.Sprintf("%s %s of %s", p.Phase, size(p.Done), size(p.Total))
	rate := float64(got) / max(spent.Seconds(), 1e-9)
	if got <= 0 || spent <= 0 || rate < 1 {
		return line
	}
	line += fmt.Sprintf(", %s/s", size(int64(rate)))
	if left := float64(p.Total-p.Done) / rate; left > 0 && left < longest.Seconds() {
		line += fmt.Sprintf(", %s left", time.Duration(left*float64(time.Second)).Round(time.Second))
	}
	return line
}

// size prints bytes in binary units.
func size(n int64) string {
	units := []string{"B", "KiB", "MiB", "GiB", "TiB"}
	v, u := float64(n), 0
	for v >= 1024 && u < len(units)-1 {
		v, u = v/1024, u+1
	}
	if u == 0 {
		return fmt.Sprintf("%d B", n)
	}
	return fmt.Sprintf("%.1f %s", v, units[u])
}

// count is a number with its noun.
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// clip shortens text that was escaped already for a column of a table.
func clip(s string) string {
	const most = 32
	if r := []rune(s); len(r) > most {
		return string(r[:most-1]) + "…"
	}
	return s
}
