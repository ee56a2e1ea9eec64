package e2e

import (
	"context"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"sallyport/internal/e2e/wire"
)

// Result is what a command in the guest did.
type Result struct {
	Exit     int // 128 + signal when it was killed
	Stdout   string
	Stderr   string
	TimedOut bool
	Cut      bool // it printed more than is kept
}

// Run runs a command in the guest as root, with the folder / and no input. Its
// error is one of the way to the guest, or a program that cannot be started; what
// the command itself says is in Result.Exit.
func (g *Guest) Run(ctx context.Context, argv ...string) (Result, error) {
	return g.Input(ctx, nil, argv...)
}

// Input is Run with bytes for standard input.
func (g *Guest) Input(ctx context.Context, stdin []byte, argv ...string) (Result, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	end, _ := ctx.Deadline()
	// The agent's time is a bit shorter, so that what was printed until then arrives.
	left := time.Until(end)
	left -= min(left/10, 2*time.Second)
	a, err := g.call(ctx, wire.Request{Op: wire.Run, Argv: argv, Stdin: stdin, TimeoutMS: max(1, left.Milliseconds())})
	r := Result{Exit: a.Exit, Stdout: string(a.Stdout), Stderr: string(a.Stderr), TimedOut: a.TimedOut, Cut: a.Cut}
	if err != nil {
		return r, fmt.Errorf("cannot run %q in the guest: %w", argv, err)
	}
	return r, nil
}

// Shell runs a script with bash -e and returns its standard output without the
// last line ends. Another exit status than 0 is an error with both outputs.
func (g *Guest) Shell(ctx context.Context, script string) (string, error) {
	r, err := g.Run(ctx, "bash", "-euo", "pipefail", "-c", script)
	if err == nil && (r.Exit != 0 || r.TimedOut) {
		err = fmt.Errorf("the script %q failed in the guest: exit %d, timed out %v\n%s%s", script, r.Exit, r.TimedOut, r.Stdout, r.Stderr)
	}
	return strings.TrimRight(r.Stdout, "\n"), err
}

// ReadFile returns a file of the guest, of sysfs too. A missing one is fs.ErrNotExist.
func (g *Guest) ReadFile(ctx context.Context, path string) ([]byte, error) {
	a, err := g.call(ctx, wire.Request{Op: wire.Read, Path: path})
	if err != nil {
		return nil, fmt.Errorf("cannot read in the guest: %w", err)
	}
	return a.Data, nil
}

// ReadEnd returns the last bytes of a file of the guest, at most so many.
func (g *Guest) ReadEnd(ctx context.Context, path string, most int64) ([]byte, error) {
	a, err := g.call(ctx, wire.Request{Op: wire.Read, Path: path, Last: most})
	if err != nil {
		return nil, fmt.Errorf("cannot read in the guest: %w", err)
	}
	return a.Data, nil
}

// WriteFile writes a file of the guest in place. Mode 0 keeps that of an existing
// file.
func (g *Guest) WriteFile(ctx context.Context, path string, data []byte, mode fs.FileMode) error {
	if _, err := g.call(ctx, wire.Request{Op: wire.Write, Path: path, Data: data, Mode: uint32(mode)}); err != nil {
		return fmt.Errorf("cannot write in the guest: %w", err)
	}
	return nil
}

// List returns the entries of a folder of the guest, sorted by name.
func (g *Guest) List(ctx context.Context, path string) ([]wire.Entry, error) {
	a, err := g.call(ctx, wire.Request{Op: wire.List, Path: path})
	if err != nil {
		return nil, fmt.Errorf("cannot list in the guest: %w", err)
	}
	return a.Entries, nil
}

// Until runs a script every 50 ms until it succeeds and returns its output. The
// bound is that of the context, or two minutes.
func (g *Guest) Until(ctx context.Context, script string) (string, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	for {
		out, err := g.Shell(ctx, script)
		if err == nil {
			return out, nil
		}
		select {
		case <-ctx.Done():
			return out, fmt.Errorf("the condition did not come: %w", err)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// WaitBooted waits until systemd has started everything and returns the units
// that failed. systemd does not wait for drivers, so this waits for udev as well:
// then the USB controller is there.
func (g *Guest) WaitBooted(ctx context.Context) (failed []string, err error) {
	r, err := g.Run(ctx, "systemctl", "is-system-running", "--wait")
	if err != nil {
		return nil, err
	}
	if _, err := g.Shell(ctx, "udevadm settle"); err != nil {
		return nil, err
	}
	state := strings.TrimSpace(r.Stdout)
	if state == "running" {
		return nil, nil
	}
	out, err := g.Shell(ctx, "systemctl list-units --state=failed --plain --no-legend | cut -d ' ' -f 1")
	if err == nil && state != "degraded" {
		err = fmt.Errorf("systemd is %q: %s", state, r.Stderr)
	}
	return strings.Fields(out), err
}

// Journal returns the last lines of the guest's journal.
func (g *Guest) Journal(ctx context.Context, lines int) (string, error) {
	return g.Shell(ctx, fmt.Sprintf("journalctl --boot --no-hostname --output=short-monotonic --lines=%d", lines))
}
