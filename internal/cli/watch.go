package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"golang.org/x/term"

	"sallyport/internal/control"
	"sallyport/internal/hotplug"
	"sallyport/internal/intake"
	"sallyport/internal/station"
	"sallyport/internal/verdict"
)

type watchCmd struct {
	Once bool `help:"Show the ports as they are now, and end."`
}

// errSeen ends a watch that has shown enough.
var errSeen = errors.New("seen")

func (c *watchCmd) Run(a *app) error {
	err := c.follow(a)
	var e exit
	if err == nil || !a.cmd.JSON || errors.As(err, &e) {
		return err
	}
	// The last line of many: a document on one line, as the others.
	p := explain(err)
	if err := written(a.jsonLine(failure{p})); err != nil {
		return err
	}
	return exit{p.status()}
}

func (a *app) jsonLine(v any) error {
	b, err := json.Marshal(v, json.Deterministic(true))
	if err == nil {
		_, err = fmt.Fprintf(a.out, "%s\n", b)
	}
	return err
}

func (c *watchCmd) follow(a *app) error {
	cfg, err := a.config()
	if err != nil {
		return err
	}
	conn, err := control.Dial(cfg.Control.Socket)
	if err != nil {
		return control.Failf(control.CodeUnavailable, "%v; start it with 'systemctl start sallyportd'", err)
	}
	stop := context.AfterFunc(a.ctx, func() { conn.Close() })
	defer stop()
	var w station.Watch
	show, leave := a.watcher(c.Once)
	defer leave()
	err = control.Follow(conn, station.OpWatch, station.NoArgs{}, &w, func() error {
		if err := show(&w); err != nil {
			return err
		}
		now := w
		w = station.Watch{} // the next one is decoded into a fresh value
		if c.Once {
			return seen(&now)
		}
		return nil
	})
	var f *control.Failure
	var e exit
	switch {
	case errors.Is(err, errSeen), errors.Is(err, syscall.EPIPE), a.ctx.Err() != nil:
		return nil // Ctrl-C, or leaving a pager, is how people leave
	case errors.As(err, &f), errors.As(err, &e), errors.Is(err, errWritten):
		return err
	}
	return control.Failf(control.CodeUnavailable, "%v", err)
}

// seen is the end of 'watch --once': the exit status says whether media can be
// taken.
func seen(w *station.Watch) error {
	if !w.Guarded {
		return exit{ExitUnchecked}
	}
	return errSeen
}

// errWritten marks an error of the output.
var errWritten = errors.New("cannot show the ports")

// The terminal's second screen without a cursor, which leaves what was there
// before as it was.
const (
	enterScreen = "\x1b[?1049h\x1b[?25l"
	leaveScreen = "\x1b[?25h\x1b[?1049l"
)

// watcher returns what shows an update: a screen on a terminal, a line for each
// change otherwise, or one JSON document for each update. leave is called at the
// end.
func (a *app) watcher(once bool) (show func(*station.Watch) error, leave func()) {
	leave = func() {}
	wrap := func(err error) error {
		if err == nil {
			return nil
		}
		return fmt.Errorf("%w: %w", errWritten, err)
	}
	if a.cmd.JSON {
		return func(w *station.Watch) error { return wrap(a.jsonLine(w)) }, leave
	}
	if f, ok := a.out.(*os.File); ok && term.IsTerminal(int(f.Fd())) && !once {
		entered := false
		leave = func() {
			if entered {
				_, _ = io.WriteString(f, leaveScreen) // a terminal that has gone needs nothing
			}
		}
		return func(w *station.Watch) error {
			width, height, err := term.GetSize(int(f.Fd()))
			if err != nil || width < 20 || height < 5 {
				width, height = 80, 24
			}
			var b strings.Builder
			if !entered {
				entered = true
				b.WriteString(enterScreen)
			}
			// Home, each line to its end, and nothing below: without flicker.
			b.WriteString("\x1b[H")
			for i, line := range fill(screen(w, width), height) {
				if i > 0 {
					b.WriteString("\r\n")
				}
				b.WriteString(line + "\x1b[K")
			}
			b.WriteString("\x1b[J")
			_, err = io.WriteString(f, b.String())
			return wrap(err)
		}, leave
	}
	if once {
		return func(w *station.Watch) error {
			_, err := fmt.Fprintln(a.out, strings.Join(screen(w, 200), "\n"))
			return wrap(err)
		}, leave
	}
	was := map[string]string{}
	return func(w *station.Watch) error {
		for _, line := range changes(was, w) {
			if _, err := fmt.Fprintf(a.out, "%s %s\n", w.Time, line); err != nil {
				return wrap(err)
			}
		}
		return nil
	}, leave
}

// fill cuts a screen at the height of the terminal.
func fill(lines []string, height int) []string {
	if len(lines) <= height {
		return lines
	}
	return append(lines[:height-1:height-1], fmt.Sprintf("… and %d lines more: make the window larger", len(lines)-height+1))
}

// changes returns a line for each port whose line is another one now; bytes
// alone are no change.
func changes(was map[string]string, w *station.Watch) (lines []string) {
	note := func(key, line string) {
		if was[key] != line {
			was[key] = line
			lines = append(lines, line)
		}
	}
	guard := "USB devices are denied by default"
	if !w.Guarded {
		guard = "NOT ready: " + strings.Join(w.Problems, "; ")
	}
	note("", guard)
	here := map[string]bool{"": true}
	for i := range w.Ports {
		p := &w.Ports[i]
		here[p.Path] = true
		quiet := *p
		quiet.Done, quiet.Total = 0, 0
		note(p.Path, strings.Join(append([]string{portLine(&quiet)}, portMore(&quiet)...), " | "))
	}
	for key := range was {
		if !here[key] {
			delete(was, key)
		}
	}
	return lines
}

// screen is the whole view, one string for each line, none wider than width.
func screen(w *station.Watch, width int) []string {
	lines := []string{fmt.Sprintf("%s (%s)   %s", w.Station, verdict.Escape(w.Name), clock(w.Time)), ""}
	if !w.Guarded {
		for _, why := range w.Problems {
			lines = append(lines, "NOT ready: "+printable(why))
		}
		lines = append(lines, "Insert nothing. Call the administrator.", "")
	}
	for i := range w.Ports {
		p := &w.Ports[i]
		lines = append(lines, portLine(p))
		for _, more := range portMore(p) {
			lines = append(lines, "    "+more)
		}
	}
	for i, line := range lines {
		lines[i] = fit(line, width)
	}
	return lines
}

// fit cuts a line at the width of the terminal.
func fit(line string, width int) string {
	if utf8.RuneCountInString(line) <= width {
		return line
	}
	return string([]rune(line)[:width-1]) + "…"
}

// clock is the local time of day of a station's time.
func clock(rfc string) string {
	t, err := time.Parse(time.RFC3339, rfc)
	if err != nil {
		return verdict.Escape(rfc)
	}
	return t.Local().Format("15:04:05")
}

// states say for each phase what the operator sees.
var states = map[string]string{
	hotplug.Empty:    "empty",
	hotplug.Refused:  "REFUSED",
	hotplug.Waiting:  "waiting for its turn",
	hotplug.Earlier:  "had its verdict before sallyportd started; see 'sallyport log show'",
	hotplug.Idle:     "a medium to be written; nobody has asked for it",
	hotplug.InUse:    "in use",
	intake.Opening:   "opening the device",
	intake.Listing:   "reading the file system",
	intake.Reading:   "reading",
	intake.Deciding:  "deciding",
	intake.Releasing: "letting go of the device: do not pull it yet",
}

// portLine is the one line of a port: where, what, how far.
func portLine(p *hotplug.Port) string {
	role := p.Role
	if role == "" {
		role = "no port of this station"
	}
	state := states[p.Phase]
	switch {
	case state == "" && p.Verdict != "": // decided
		state = strings.ToUpper(string(p.Verdict))
	case p.Phase == intake.Reading && p.Total > 0:
		state = fmt.Sprintf("reading %s of %s (%d %%)", size(p.Done), size(p.Total), p.Done*100/p.Total)
	case p.Phase == hotplug.Empty && p.Verdict != "":
		state = "empty; the last was " + strings.ToUpper(string(p.Verdict))
	}
	line := fmt.Sprintf("%-8s %-12s %s", p.Path, role, state)
	if p.Device != nil && p.Phase != hotplug.Empty {
		line += ": " + deviceName(p.Device)
	}
	return line
}

// deviceName is what a device says it is; its texts are escaped already.
func deviceName(d *intake.Device) string {
	name := strings.TrimSpace(d.Manufacturer + " " + d.Name)
	if name == "" {
		name = d.Vendor + ":" + d.Product
	}
	if d.Serial != "" {
		name += ", serial number " + d.Serial
	}
	if d.Bytes > 0 {
		name += ", " + size(d.Bytes)
	}
	return name
}

// portMore says why and what to do, below the line of a port.
func portMore(p *hotplug.Port) (lines []string) {
	if p.Before != nil {
		lines = append(lines, fmt.Sprintf("the medium before, %s, was %s%s", p.Before.Medium, strings.ToUpper(string(p.Before.Verdict)), first(p.Before.Findings)))
	}
	if p.Verdict == verdict.Accepted {
		lines = append(lines, fmt.Sprintf("%s accepted; medium %s", count(p.Accepted, "package"), p.Medium))
	}
	said := map[verdict.Reason]bool{}
	for _, f := range p.Findings {
		if !said[f.Reason] {
			said[f.Reason] = true
			lines = append(lines, fmt.Sprintf("%s: %s", f.Reason.Family(), f.Error()), "→ "+f.Reason.NextStep())
		}
	}
	if p.Phase == hotplug.Decided && !p.Sealed {
		lines = append(lines, "NOT yet sealed by the TPM: call the administrator")
	}
	switch {
	case p.Phase == hotplug.Empty:
	case p.Removable && p.Role != "keyboard" && p.Role != "security-key":
		lines = append(lines, "SAFE TO REMOVE")
	case p.Phase == hotplug.Decided:
		lines = append(lines, "could NOT be released: call the administrator before you pull it")
	}
	return lines
}

func first(list []verdict.Finding) string {
	if len(list) == 0 {
		return ""
	}
	return ": " + list[0].Error()
}
