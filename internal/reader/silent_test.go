package reader_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/sys/unix"

	"sallyport/internal/reader"
	"sallyport/internal/testmedia"
	"sallyport/internal/verdict"
)

// TestPulledMedium: however the kernel tells it.
func TestPulledMedium(t *testing.T) {
	img := testmedia.FAT(t, testmedia.Options{Bits: 32}, testmedia.Files{"large": pattern(5, 3<<20), "small": pattern(6, 10)})
	for name, tc := range map[string]struct {
		sized bool // the device has no bytes any more
		plan  testmedia.Plan
	}{
		"no such device":                      {false, testmedia.Bad(0, 1<<40, unix.ENODEV)},
		"a clean end of the device":           {true, nil},
		"input/output error, and it is empty": {true, testmedia.Bad(0, 1<<40, unix.EIO)},
	} {
		t.Run(name, func(t *testing.T) {
			d := testmedia.NewDevice(t, img, testmedia.DeviceOptions{})
			pull := func() {
				d.Set(tc.plan)
				if tc.sized {
					d.Shrink(t, 0)
				}
			}
			o := examine(t, quiet(t), d.Path, pull)
			for _, path := range []string{"large", "small"} {
				if f := o.failed[path]; f == nil || f.Reason != verdict.RemovedDuringRead {
					t.Errorf("%s: %v", path, f)
				}
			}
		})
	}
	t.Run("while it is listed", func(t *testing.T) {
		root := testmedia.Where(t, img, "small", 0) // far behind the root folder, which begins the data
		for _, at := range []int64{0, 16 << 10, 64 << 10, root / 2} {
			d := testmedia.NewDevice(t, img, testmedia.DeviceOptions{})
			gone := false
			d.Set(func(r testmedia.Read, p []byte) (int, error) {
				if gone = gone || r.Off >= at; gone {
					return 0, syscall.ENODEV
				}
				return len(p), nil
			})
			o := examine(t, quiet(t), d.Path, nil)
			if len(o.all()) == 0 {
				t.Errorf("pulled at byte %d: no finding", at)
			}
			for _, f := range o.all() {
				if f.Reason != verdict.RemovedDuringRead {
					t.Errorf("pulled at byte %d: %v", at, f)
				}
			}
		}
	})
}

// TestDeadDevice never answers, so that the kernel holds its reader: the
// session ends in time, and the child when the device does.
func TestDeadDevice(t *testing.T) {
	img := testmedia.FAT(t, testmedia.Options{Bits: 32}, testmedia.Files{"large": pattern(5, 3<<20)})
	for name, listed := range map[string]bool{"from the first byte": false, "in a file": true} {
		t.Run(name, func(t *testing.T) {
			d := testmedia.NewDevice(t, img, testmedia.DeviceOptions{})
			noLeaks(t)
			var log bytes.Buffer
			cfg := config(t, "sallyport-reader")
			cfg.Log = zerolog.New(&log)
			cfg.Limits.Stall = 300 * time.Millisecond
			if !listed {
				d.Set(testmedia.Dead())
			}
			dev := device(t, d.Path)
			s, err := reader.Start(t.Context(), cfg, dev)
			if err != nil {
				t.Fatal(err)
			}
			reader.Hurry(s, 50*time.Millisecond)
			list, err := s.List()
			if listed {
				if err != nil {
					t.Fatal(err)
				}
				d.Set(testmedia.Dead())
				st, rerr := s.Read([]uint32{list.Entries[0].ID})
				if rerr == nil {
					_, _, rerr = st.Next()
				}
				err = rerr
				if err == nil {
					err = drain(st)
				}
			}
			wantReason(t, err, verdict.Unreadable)
			if err != nil && !strings.Contains(err.Error(), "no byte for 300ms") {
				t.Errorf("the error does not name the time: %v", err)
			}
			if state := stateOf(t, reader.PID(s)); !strings.HasPrefix(state, "D") {
				t.Logf("the child's state is %s, the kernel does not hold it", state)
			}
			s.Close()
			if !strings.Contains(log.String(), "unplug it") {
				t.Errorf("the log says nothing of a reader that does not end: %s", log.String())
			}
			d.Release()
			dev.Close()
		})
	}
}

// TestCancelledOverADeadDevice: whoever stops does not wait for the medium.
func TestCancelledOverADeadDevice(t *testing.T) {
	d := testmedia.NewDevice(t, testmedia.FAT(t, testmedia.Options{Bits: 12, SizeMiB: 2}, someFiles()), testmedia.DeviceOptions{})
	noLeaks(t)
	asked := make(chan struct{}, 1000)
	d.Set(func(r testmedia.Read, p []byte) (int, error) {
		asked <- struct{}{}
		<-r.Gate
		return 0, syscall.EIO
	})
	cfg := config(t, "sallyport-reader")
	cfg.Limits.Stall = time.Hour
	ctx, cancel := context.WithCancel(t.Context())
	dev := device(t, d.Path)
	s, err := reader.Start(ctx, cfg, dev)
	if err != nil {
		t.Fatal(err)
	}
	reader.Hurry(s, 50*time.Millisecond)
	go func() {
		<-asked
		cancel()
	}()
	if _, err := s.List(); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	s.Close()
	d.Release()
	dev.Close()
}

// stateOf returns the state of a process.
func stateOf(t *testing.T, pid int) string {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(b), "State:\t")
	state, _, _ := strings.Cut(rest, "\n")
	return state
}

// TestSlowAndHaltingDevice: what comes late or in bits comes whole.
func TestSlowAndHaltingDevice(t *testing.T) {
	img := testmedia.FAT(t, testmedia.Options{Bits: 12, SizeMiB: 2}, someFiles())
	for name, plan := range map[string]testmedia.Plan{
		"late":    testmedia.Slow(5 * time.Millisecond),
		"in bits": testmedia.Short(3 * testmedia.SectorBytes),
	} {
		t.Run(name, func(t *testing.T) {
			d := testmedia.NewDevice(t, img, testmedia.DeviceOptions{})
			d.Set(plan)
			o := examine(t, quiet(t), d.Path, nil)
			if list := o.all(); len(list) > 0 {
				t.Errorf("findings: %v", list)
			}
			same(t, o.whole, someFiles())
		})
	}
}
