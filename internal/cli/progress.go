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
	w       io.Writer
	started time.Time
	shown   bool
}

func newBar(w io.Writer) *bar {
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		w = nil
	}
	return &bar{w: w, started: time.Now()}
}

func (b *bar) show(p control.Progress) {
	if b.w == nil {
		return
	}
	b.shown = true
	fmt.Fprintf(b.w, "\r\x1b[K%s", progressLine(p, time.Since(b.started)))
}

func (b *bar) end() {
	if b.shown {
		fmt.Fprint(b.w, "\r\x1b[K")
	}
}

// progressLine says how far, how fast and how long still.
func progressLine(p control.Progress, spent time.Duration) string {
	line := fmt.Sprintf("%s %s of %s", p.Phase, size(p.Done), size(p.Total))
	if seconds := spent.Seconds(); seconds > 0 && p.Done > 0 {
		rate := float64(p.Done) / seconds
		line += fmt.Sprintf(", %s/s", size(int64(rate)))
		if left := p.Total - p.Done; left > 0 {
			line += fmt.Sprintf(", %s left", (time.Duration(float64(left)/rate*float64(time.Second)) + time.Second/2).Truncate(time.Second))
		}
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
