package station

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"time"

	"sallyport/internal/control"
	"sallyport/internal/hotplug"
)

const (
	// heartbeat is the longest silence towards a watcher: it shows him that the
	// daemon lives, and the daemon that he does.
	heartbeat = 5 * time.Second
	// pace is the shortest time between two updates; what changes in between is
	// in the next one.
	pace = 100 * time.Millisecond
)

// liveUSB says whether inserted media are taken here.
func (s *Station) liveUSB() bool { return s.opt.Daemon && s.cfg.USB.Live() && s.locked == nil }

// watch sends the view of the ports, at once and whenever it changes, until the
// caller or the station goes.
func (s *Station) watch(ctx context.Context, c *control.Call) error {
	if !s.opt.Daemon {
		return control.Failf(control.CodeUnavailable, "no sallyportd runs, so no port is watched; start it with 'systemctl start sallyportd'")
	}
	if !s.cfg.USB.Live() {
		return control.Failf(control.CodeUsage, "no USB socket has a role in this station's configuration ([usb] in %s)", s.cfg.File)
	}
	for ctx.Err() == nil {
		view, changed := s.usb.View()
		if err := c.Update(Watch{Station: s.identity.ID, Name: s.cfg.Station.Name, Time: s.opt.Now().UTC().Format(time.RFC3339), View: view}); err != nil {
			return nil // he has gone
		}
		wait(ctx, time.After(pace), nil)
		wait(ctx, time.After(heartbeat-pace), changed)
	}
	return control.Failf(control.CodeUnavailable, "sallyportd is stopping")
}

func wait(ctx context.Context, late <-chan time.Time, changed <-chan struct{}) {
	select {
	case <-ctx.Done():
	case <-late:
	case <-changed:
	}
}

// Watch is one update for people who watch.
type Watch struct {
	Station string `json:"station"`
	Name    string `json:"name"`
	Time    string `json:"time"`
	hotplug.View
}

// Process is what the station's process uses.
type Process struct {
	Goroutines int   `json:"goroutines"`
	Files      int   `json:"files"`          // open descriptors
	Resident   int64 `json:"resident_bytes"` // of its memory
}

func thisProcess() (Process, error) {
	p := Process{Goroutines: runtime.NumGoroutine()}
	files, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return p, fmt.Errorf("cannot count this process's files: %w", err)
	}
	p.Files = len(files) - 1 // one is the folder itself
	statm, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return p, fmt.Errorf("cannot measure this process's memory: %w", err)
	}
	if f := bytes.Fields(statm); len(f) > 1 {
		pages, err := strconv.ParseInt(string(f[1]), 10, 64)
		if err != nil {
			return p, fmt.Errorf("cannot measure this process's memory: %w", err)
		}
		p.Resident = pages * int64(os.Getpagesize())
	}
	return p, nil
}
