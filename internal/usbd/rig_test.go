package usbd

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/sys/unix"

	"sallyport/internal/testtool"
	"sallyport/internal/uevent"
	"sallyport/internal/usb/link"
	"sallyport/internal/verdict"
)

// rig is a daemon on a machine, with a clock that the test moves.
type rig struct {
	*machine
	d      *Daemon
	calls  chan *link.Conn
	log    safeBuffer
	alive  atomic.Int64
	clock  atomic.Int64 // nanoseconds
	status safeBuffer
	stop   context.CancelFunc
	ended  chan error
	closed chan struct{}
}

type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safeBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// newRig makes a machine with two buses and a daemon that does not run yet.
func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{machine: newMachine(t, "usb1", "usb2"), calls: make(chan *link.Conn), ended: make(chan error, 1), closed: make(chan struct{})}
	r.clock.Store(time.Date(2026, 11, 3, 20, 0, 0, 0, time.UTC).UnixNano())
	r.d = &Daemon{
		sys: r.sys, kernel: r.machine, policy: r.policy, events: r.events, calls: r.calls, log: zerolog.New(&r.log),
		now:      func() time.Time { return time.Unix(0, r.clock.Load()) },
		interval: 5 * time.Millisecond, alive: func() { r.alive.Add(1) },
		status: func(s string) { io.WriteString(&r.status, s+"\n") },
	}
	return r
}

// later moves the clock by more than a person needs for changing a device.
func (r *rig) later() { r.clock.Add(int64(time.Minute)) }

// run starts the daemon. When the test ends it is stopped, if it was not yet,
// and must leave no medium authorised, no disk open, and no goroutine.
func (r *rig) run() {
	before := runtime.NumGoroutine()
	ctx, cancel := context.WithCancel(context.Background())
	r.stop = cancel
	go func() {
		r.ended <- r.d.run(ctx)
		close(r.closed)
	}()
	r.t.Cleanup(func() {
		r.t.Helper()
		cancel()
		select {
		case <-r.closed:
		case <-time.After(20 * time.Second):
			r.t.Fatalf("the daemon does not end; its log:\n%s", r.log.String())
		}
		if n := r.openFiles(); n != 0 {
			r.t.Errorf("%d disks are still open", n)
		}
		for _, port := range r.policy.Ports {
			if port.Role == "in" && !r.isLost(port.Path) && r.isAuthorised(port.Path) {
				r.t.Errorf("the medium at port %s is still authorised", port.Path)
			}
		}
		until(r.t, "all goroutines end", func() bool { return runtime.NumGoroutine() <= before })
		if r.t.Failed() {
			r.t.Logf("usbd did %q and logged:\n%s", r.did(), r.log.String())
		}
	})
}

// start is a rig that runs, with devices.
func start(t *testing.T, plugs ...*plug) *rig {
	t.Helper()
	r := newRig(t)
	r.run()
	r.settle()
	for _, p := range plugs {
		r.plug(p)
		r.settle() // so that they are numbered in this order
	}
	return r
}

// settle waits until the loop has dealt with all events: it takes one more.
func (r *rig) settle() {
	r.t.Helper()
	r.events.send(uevent.Batch{})
	until(r.t, "the events are taken", r.events.taken)
}

// lost says that the medium at a place stays authorised, as the test wants it.
func (r *rig) lost(place string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stubborn[place] = os.ErrInvalid
}

func (r *rig) isLost(place string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.stubborn[place] != nil
}

// finish ends the daemon as systemd does.
func (r *rig) finish() error {
	r.t.Helper()
	r.stop()
	return r.wait()
}

// wait waits for the daemon's end.
func (r *rig) wait() error {
	r.t.Helper()
	select {
	case err := <-r.ended:
		return err
	case <-time.After(15 * time.Second):
		r.t.Fatal("the daemon does not end")
		return nil
	}
}

// client is sallyportd, driven by the test.
type client struct {
	t       *testing.T
	rig     *rig
	conn    *link.Conn
	raw     *net.UnixConn
	reports chan report
}

type report struct {
	link.Report
	file *os.File
	err  error // the end
}

// call connects; what comes is taken by expect, in order.
func (r *rig) call() *client {
	r.t.Helper()
	mine, its := testtool.Sockets(r.t)
	c := &client{t: r.t, rig: r, conn: link.New(mine), raw: mine, reports: make(chan report, 1<<14)}
	go func() {
		for {
			var got report
			got.file, got.err = c.conn.Receive(&got.Report)
			c.reports <- got
			if got.err != nil {
				return
			}
		}
	}()
	r.t.Cleanup(func() {
		c.conn.Close()
		for {
			select {
			case got := <-c.reports:
				if got.file != nil {
					got.file.Close()
				}
			default:
				return
			}
		}
	})
	select {
	case r.calls <- link.New(its):
	case <-time.After(10 * time.Second):
		r.t.Fatal("nobody answers the call")
	}
	return c
}

func (c *client) next() report {
	c.t.Helper()
	select {
	case got := <-c.reports:
		return got
	case <-time.After(10 * time.Second):
		c.t.Fatalf("nothing is reported; usbd did %q and logged:\n%s", c.rig.did(), c.rig.log.String())
		return report{}
	}
}

// expect takes the next report, which has to be of the kind.
func (c *client) expect(kind string) report {
	c.t.Helper()
	got := c.next()
	if got.err != nil || got.Kind != kind {
		c.t.Fatalf("%q was expected, there came %+v (finding %v, device %+v)", kind, got, got.Finding, got.Device)
	}
	if (got.file != nil) != (kind == link.Opened) {
		c.t.Fatalf("%q came with a file: %t", kind, got.file != nil)
	}
	if got.file != nil {
		c.t.Cleanup(func() { got.file.Close() })
	}
	return got
}

// hello takes the state and n devices.
func (c *client) hello(n int) (list []report) {
	c.t.Helper()
	if s := c.expect(link.State); len(s.NotReady) > 0 {
		c.t.Fatalf("usbd is not ready: %q", s.NotReady)
	}
	for range n {
		list = append(list, c.expect(link.Attached))
	}
	return list
}

func (c *client) send(kind string, id int64) {
	c.t.Helper()
	if err := c.conn.Send(link.Order{Kind: kind, ID: id}, nil); err != nil {
		c.t.Fatal(err)
	}
}

// quiet says that nothing was reported that was not expected: the answer to a
// question about a device that never was is the next to come.
func (c *client) quiet() {
	c.t.Helper()
	c.rig.settle()
	const never = 1 << 40
	c.send(link.Check, never)
	if got := c.expect(link.Checked); got.ID != never {
		c.t.Fatalf("unexpected: %+v", got)
	}
}

// gone takes the end of the conversation.
func (c *client) gone() {
	c.t.Helper()
	for {
		if got := c.next(); got.err != nil {
			if !errors.Is(got.err, io.EOF) && !errors.Is(got.err, unix.ECONNRESET) {
				c.t.Errorf("the conversation ended with %v", got.err)
			}
			return
		}
	}
}

// open has the device opened.
func (c *client) open(id int64) report {
	c.t.Helper()
	c.send(link.Open, id)
	got := c.expect(link.Opened)
	if got.ID != id {
		c.t.Fatalf("device %d is open, %d was asked for", got.ID, id)
	}
	return got
}

// refused has an order answered by a finding of the reason, "" for none.
func (c *client) refused(order string, id int64, answer string, want verdict.Reason) *verdict.Finding {
	c.t.Helper()
	c.send(order, id)
	got := c.expect(answer)
	if got.ID != id || reason(got.Finding) != want {
		c.t.Fatalf("%s of device %d gave %+v, %v; want %q", order, id, got.Report, got.Finding, want)
	}
	return got.Finding
}

func reason(f *verdict.Finding) verdict.Reason {
	if f == nil {
		return ""
	}
	return f.Reason
}

// index is where one of usbd's steps stands, -1 for nowhere.
func (r *rig) index(step string) int { return slices.Index(r.did(), step) }

// times counts one of usbd's steps.
func (r *rig) times(step string) (n int) {
	for _, s := range r.did() {
		if s == step {
			n++
		}
	}
	return n
}
