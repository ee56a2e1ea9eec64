package station_test

import (
	"context"
	"crypto/rand"
	"errors"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"sallyport/internal/audit"
	"sallyport/internal/control"
	"sallyport/internal/durable"
	"sallyport/internal/intake"
	"sallyport/internal/manifest"
	"sallyport/internal/station"
	"sallyport/internal/testmedia"
	"sallyport/internal/testtool"
	"sallyport/internal/translog"
	"sallyport/internal/verdict"
)

// daemon runs sallyportd's Run until stop, which returns what it returned.
func (n *node) daemon(fs durable.FS) (stop func() error, ended <-chan error) {
	n.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ready, done := make(chan struct{}), make(chan error, 1)
	go func() { done <- station.Run(ctx, n.cfg, options(fs), host(func() { close(ready) })) }()
	select {
	case <-ready:
	case err := <-done:
		cancel()
		n.t.Fatalf("the daemon does not start: %v", err)
	}
	return func() error {
		cancel()
		select {
		case err := <-done:
			return err
		case <-time.After(30 * time.Second):
			n.t.Fatal("the daemon does not stop")
			return nil
		}
	}, done
}

// host is what starts a daemon in tests.
func host(ready func()) station.Host {
	return station.Host{Ready: func(string) { ready() }, Watch: func(context.Context, func(context.Context) error) error { return nil }}
}

// call asks the running daemon over its socket.
func call[R any](n *node, op string, args any, medium *os.File, progress func(control.Progress)) (R, error) {
	var result R
	c, err := control.Dial(n.cfg.Control.Socket)
	if err != nil {
		return result, err
	}
	return result, control.Do(c, op, args, medium, progress, &result)
}

func (n *node) key(t *testing.T) translog.VerifyOptions {
	t.Helper()
	var opt translog.VerifyOptions
	n.with(func(s *station.Station) { opt.Keys = publicKeys(t, s, station.KeyForLog) })
	return opt
}

// openFiles counts this process's descriptors.
func openFiles(t *testing.T) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

// settles waits until count is back to before.
func settles(t *testing.T, what string, before int, count func() int) {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Second); count() > before; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Errorf("%d %s were open before, %d are now", before, what, count())
			return
		}
	}
}

func TestTheDaemonStartsAndStops(t *testing.T) {
	n := newNode(t, "authority", "authority")
	n.init(nil)
	keys := n.key(t)
	routines, files := runtime.NumGoroutine(), openFiles(t)
	for range 3 {
		stop, _ := n.daemon(durable.FS{})
		st, err := call[station.Status](n, station.OpStatus, station.NoArgs{}, nil, nil)
		if err != nil || !st.Daemon || st.Station != "authority" {
			t.Errorf("status %+v, %v", st, err)
		}
		if err := station.Run(t.Context(), n.cfg, options(durable.FS{}), host(func() {})); !errors.Is(err, durable.ErrLocked) {
			t.Errorf("a second daemon ends with %v", err)
		}
		n.must(stop())
		if _, err := control.Dial(n.cfg.Control.Socket); !errors.Is(err, control.ErrNoDaemon) {
			t.Errorf("after the stop the socket says %v", err)
		}
	}
	settles(t, "goroutines", routines, runtime.NumGoroutine)
	settles(t, "descriptors", files, func() int { return openFiles(t) })
	n.checkLog(keys) // all of it sealed
	n.with(func(s *station.Station) {
		if got := len(entries(t, s, string(audit.StationStop))); got != 4 {
			t.Errorf("%d stops are logged, want 4", got)
		}
	})
}

// largeMedium is a package that is still being read when progress comes.
func (o *office) largeMedium(t *testing.T) string {
	t.Helper()
	data := make([]byte, 40<<20)
	rand.Read(data)
	files, contents := testmedia.Files{}, map[string][]byte{"large.bin": data}
	o.source.with(func(s *station.Station) {
		onMedium(files, asked[station.Sealed](t, s, station.OpSeal, request(t, manifest.MediaSet, contents)), contents)
	})
	return testmedia.FAT(t, testmedia.Options{Bits: 16, SizeMiB: 60}, files)
}

func TestAStopInTheMiddleOfAnIntake(t *testing.T) {
	o := newOffice(t)
	n := o.ems
	image, err := os.Open(o.largeMedium(t))
	n.must(err)
	defer image.Close()
	keys := n.key(t)
	stop, _ := n.daemon(durable.FS{})
	stopped := make(chan error, 1)
	asked := false
	rep, err := call[*intake.Report](n, station.OpIntake, station.IntakeArgs{Name: "large"}, image, func(p control.Progress) {
		if !asked && p.Phase == intake.Reading {
			asked = true
			go func() { stopped <- stop() }()
		}
	})
	n.must(err)
	n.must(<-stopped)
	// The stop races with the reading; either way the verdict is whole.
	var why []verdict.Reason
	for _, p := range rep.Packages {
		for _, f := range p.Findings {
			why = append(why, f.Reason)
		}
	}
	switch {
	case rep.Verdict == verdict.Accepted && rep.ExitCode() == 0:
	case rep.Verdict == verdict.Held && len(why) == 1 && why[0] == verdict.Interrupted && rep.ExitCode() == 5:
	default:
		t.Errorf("the medium is %s for %v", rep.Verdict, why)
	}
	if !rep.Sealed {
		t.Error("the verdict is not sealed")
	}
	n.checkLog(keys)
}

func TestTheDaemonEndsWhenItsLogFails(t *testing.T) {
	o := newOffice(t)
	n := o.ems
	sab := &saboteur{at: 1, do: func() error { return errDisk }}
	_, ended := n.daemon(durable.FS{Hook: sab.hook})
	sab.arm(true)
	empty, err := os.Open(testmedia.EmptyFAT(t, testmedia.Options{Bits: 16, SizeMiB: 12}))
	n.must(err)
	defer empty.Close()
	if _, err := call[*intake.Report](n, station.OpIntake, station.IntakeArgs{Name: "empty"}, empty, nil); failure(t, err).Code != "internal" {
		t.Errorf("the caller is told %v", err)
	}
	select {
	case err := <-ended:
		if !errors.Is(err, errDisk) {
			t.Errorf("the daemon ends with %v", err)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("the daemon works on without a log")
	}
	n.with(func(*station.Station) {})
}

// dialAs connects as another user. Only the calling thread changes its user;
// it is never given back to the scheduler.
func dialAs(t *testing.T, uid int, socket string) (*net.UnixConn, error) {
	t.Helper()
	type result struct {
		c   *net.UnixConn
		err error
	}
	done := make(chan result)
	go func() {
		runtime.LockOSThread()
		var r result
		if _, _, errno := syscall.RawSyscall(syscall.SYS_SETRESUID, ^uintptr(0), uintptr(uid), ^uintptr(0)); errno != 0 {
			r.err = errno
		} else {
			r.c, r.err = control.Dial(socket)
		}
		done <- r
	}()
	r := <-done
	return r.c, r.err
}

func TestDeniedCallersAreLogged(t *testing.T) {
	testtool.Root(t)
	n := newNode(t, "authority", "authority")
	n.init(nil)
	// Whoever opens the socket's permissions by mistake has opened nothing.
	n.must(os.Chmod(filepath.Dir(n.cfg.Control.Socket), 0o755))
	n.cfg.Control.OperatorUIDs = []uint32{4242}
	stop, _ := n.daemon(durable.FS{})
	n.must(os.Chmod(n.cfg.Control.Socket, 0o666))
	status := func(uid int) error {
		c, err := dialAs(t, uid, n.cfg.Control.Socket)
		n.must(err)
		var st station.Status
		return control.Do(c, station.OpStatus, station.NoArgs{}, nil, nil, &st)
	}
	if err := status(4242); err != nil {
		t.Errorf("an operator is told %v", err)
	}
	err := status(65534)
	if f := failure(t, err); f.Code != "denied" || !strings.Contains(f.Message, "65534") {
		t.Errorf("a stranger is told %+v", f)
	}
	n.must(stop())
	n.with(func(s *station.Station) {
		denied := entries(t, s, string(audit.ControlDenied))
		if len(denied) != 1 || denied[0].Fields["uid"] != "65534" || denied[0].Outcome != audit.Refused {
			t.Errorf("the log says %+v", denied)
		}
	})
}
