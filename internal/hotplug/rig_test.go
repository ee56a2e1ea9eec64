package hotplug

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/sys/unix"

	"sallyport/internal/intake"
	"sallyport/internal/testtool"
	"sallyport/internal/usb"
	"sallyport/internal/usb/link"
	"sallyport/internal/verdict"
)

// wait is more than anything here takes.
const wait = 10 * time.Second

// until waits for a condition.
func until(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for end := time.Now().Add(wait); !cond(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("it never came about that %s", what)
		}
	}
}

// soon takes what has to come at once.
func soon[T any](t *testing.T, c <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-c:
	case <-time.After(wait):
		t.Fatal("what was awaited does not come")
	}
	return v
}

// desk is an intake that records what it is told, and takes media as the test
// says. It objects to two media at once, to a medium whose device was not
// recorded, was refused or has had its verdict, and to one that has no door.
type desk struct {
	t    *testing.T
	runs chan *visit
	over chan struct{} // closed at the end of the test

	mu      sync.Mutex
	said    []string
	roles   map[string]string // by insertion
	decided map[string]bool
	fails   map[string]error // by what would be recorded
	running bool
}

// visit is one call of Run.
type visit struct {
	intake.Medium
	ctx  context.Context
	ends chan outcome
}

type outcome struct {
	report *intake.Report
	err    error
}

// record notes what happened and returns the error that the test wants.
func (d *desk) record(parts ...string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	text := strings.Join(parts, " ")
	d.said = append(d.said, text)
	for prefix, err := range d.fails {
		if strings.HasPrefix(text, prefix) {
			return err
		}
	}
	return nil
}

func (d *desk) Attached(_ context.Context, dev *intake.Device, role string, refusal *verdict.Finding) error {
	d.mu.Lock()
	d.roles[dev.Insertion] = role
	d.mu.Unlock()
	if refusal != nil {
		return d.record("refused", dev.Insertion, string(refusal.Reason))
	}
	return d.record("attached", dev.Insertion, role)
}

func (d *desk) Removed(_ context.Context, dev *intake.Device) error {
	return d.record("removed", dev.Insertion)
}

func (d *desk) Guard(_ context.Context, problems []string) error {
	return d.record(append([]string{"guard"}, problems...)...)
}

func (d *desk) Decided(insertion string) (bool, error) {
	d.mu.Lock()
	done := d.decided[insertion]
	d.mu.Unlock()
	return done, d.record("decided", insertion)
}

func (d *desk) Run(ctx context.Context, m intake.Medium) (*intake.Report, error) {
	v := &visit{Medium: m, ctx: ctx, ends: make(chan outcome, 1)}
	d.mu.Lock()
	switch role := d.roles[m.Device.Insertion]; {
	case d.running:
		d.t.Errorf("%s is taken while another is", m.Device.Insertion)
	case role != string(usb.In):
		d.t.Errorf("%s is taken although it has the role %q", m.Device.Insertion, role)
	case d.decided[m.Device.Insertion]:
		d.t.Errorf("%s is taken twice", m.Device.Insertion)
	case m.Door == nil || m.File != nil || m.Source != "usb" || m.Caller != intake.Nobody || m.Progress == nil:
		d.t.Errorf("the medium is %+v", m)
	}
	d.running = true
	d.mu.Unlock()
	defer func() {
		d.mu.Lock()
		d.running = false
		d.mu.Unlock()
	}()
	if err := d.record("run", m.Device.Insertion); err != nil {
		return nil, err
	}
	select {
	case d.runs <- v:
	case <-d.over:
		return nil, errors.New("the test is over")
	}
	select {
	case o := <-v.ends:
		return o.report, o.err
	case <-d.over:
		return nil, errors.New("the test is over")
	}
}

// done is what was recorded so far, and which of it begins with a prefix.
func (d *desk) done(prefix string) (list []string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, s := range d.said {
		if strings.HasPrefix(s, prefix) {
			list = append(list, s)
		}
	}
	return list
}

// failing makes the intake fail at what is recorded with that beginning.
func (d *desk) failing(prefix string, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fails[prefix] = err
}

func (d *desk) hadVerdict(insertion string, yes bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.decided[insertion] = yes
}

// visitor is the next medium that is taken.
func (d *desk) visitor() *visit {
	d.t.Helper()
	select {
	case v := <-d.runs:
		return v
	case <-time.After(wait):
		d.t.Fatalf("no medium is taken; recorded are %q", d.done(""))
		return nil
	}
}

// finish ends a visit with a verdict.
func (v *visit) finish(word verdict.Verdict, findings ...verdict.Finding) {
	v.ends <- outcome{report: &intake.Report{
		Medium: intake.Facts{ID: "m-" + v.Device.Insertion, Device: v.Device}, Verdict: word, Findings: findings, Sealed: true, Removable: true,
	}}
}

// rig is a manager whose sallyport-usbd and intake are the test's.
type rig struct {
	*desk
	m      *Manager
	l      *net.UnixListener
	path   string
	cancel context.CancelFunc
	ended  chan error
	closed chan struct{}
}

// newRig listens as sallyport-usbd does, and runs the manager. At the end no
// goroutine is left.
func newRig(t *testing.T) *rig {
	t.Helper()
	r := prepare(t)
	r.listen()
	r.run()
	return r
}

func prepare(t *testing.T) *rig {
	t.Helper()
	dir, err := os.MkdirTemp("", "hotplug") // t.TempDir is too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	r := &rig{
		desk: &desk{t: t, runs: make(chan *visit), over: make(chan struct{}), roles: map[string]string{}, decided: map[string]bool{}, fails: map[string]error{}},
		path: filepath.Join(dir, "usbd.sock"),
	}
	r.m = &Manager{Socket: r.path, Intake: r.desk, Log: zerolog.Nop()}
	return r
}

func (r *rig) listen() {
	r.t.Helper()
	l, err := net.ListenUnix("unixpacket", &net.UnixAddr{Name: r.path, Net: "unixpacket"})
	if err != nil {
		r.t.Fatal(err)
	}
	r.l = l
	r.t.Cleanup(func() { l.Close() })
}

func (r *rig) run() {
	before := runtime.NumGoroutine()
	var ctx context.Context
	ctx, r.cancel = context.WithCancel(context.Background())
	r.ended, r.closed = make(chan error, 1), make(chan struct{})
	ended, closed := r.ended, r.closed
	go func() {
		ended <- r.m.Run(ctx)
		close(closed)
	}()
	r.t.Cleanup(func() {
		r.t.Helper()
		r.cancel()
		select {
		case <-r.over:
		default:
			close(r.over)
		}
		select {
		case <-closed:
		case <-time.After(wait):
			r.t.Fatal("the manager does not end")
		}
		until(r.t, "all goroutines end", func() bool { return runtime.NumGoroutine() <= before })
	})
}

// stop ends the manager in order and returns what it said.
func (r *rig) stop() error {
	r.t.Helper()
	r.cancel()
	return r.end()
}

func (r *rig) end() error {
	r.t.Helper()
	select {
	case err := <-r.ended:
		return err
	case <-time.After(wait):
		r.t.Fatal("the manager does not end")
		return nil
	}
}

// see waits until the view is as it should be; it looks when it is told of a
// change, and not otherwise.
func (r *rig) see(what string, ok func(View) bool) View {
	r.t.Helper()
	late := time.After(wait)
	for {
		v, changed := r.m.View()
		if ok(v) {
			return v
		}
		select {
		case <-changed:
		case <-late:
			r.t.Fatalf("%s is never shown; recorded are %q, the view is %+v", what, r.done(""), v)
		}
	}
}

// port waits until a port is in a phase, and returns it.
func (r *rig) port(path, phase string) Port {
	r.t.Helper()
	var p Port
	r.see(path+" "+phase, func(v View) bool {
		i := slices.IndexFunc(v.Ports, func(p Port) bool { return p.Path == path && p.Phase == phase })
		if i >= 0 {
			p = v.Ports[i]
		}
		return i >= 0
	})
	return p
}

// guard is one conversation as sallyport-usbd has it.
type guard struct {
	t      *testing.T
	conn   *link.Conn
	raw    *net.UnixConn
	orders chan link.Order
	ended  chan error
}

// accept takes the manager's call.
func (r *rig) accept() *guard {
	r.t.Helper()
	r.l.SetDeadline(time.Now().Add(wait))
	c, err := r.l.AcceptUnix()
	if err != nil {
		r.t.Fatal("the manager does not call: ", err)
	}
	g := &guard{t: r.t, conn: link.New(c), raw: c, orders: make(chan link.Order, 64), ended: make(chan error, 1)}
	go func() {
		for {
			var o link.Order
			file, err := g.conn.Receive(&o)
			if file != nil {
				file.Close()
				err = errors.New("a file came with an order")
			}
			if err != nil {
				g.ended <- err
				return
			}
			g.orders <- o
		}
	}()
	r.t.Cleanup(func() { g.conn.Close() })
	return g
}

// ready is a conversation that has begun: two ports, all denied.
func (r *rig) ready() *guard {
	r.t.Helper()
	g := r.accept()
	g.say(link.Report{Kind: link.State, Ports: []usb.Port{{Path: "1-1", Role: usb.In}, {Path: "1-3", Role: usb.Keyboard}, {Path: "1-5", Role: usb.Out}, {Path: "1-6", Role: usb.In}}})
	r.see("a guarded station", func(v View) bool { return v.Guarded })
	return g
}

func (g *guard) say(r link.Report) {
	g.t.Helper()
	if err := g.conn.Send(r, nil); err != nil {
		g.t.Fatal(err)
	}
}

// stick is an allowed medium.
func stick(id int64, place, insertion string) link.Report {
	return link.Report{Kind: link.Attached, ID: id, OwnMicros: 1500, Device: &link.Device{
		Place: place, Insertion: place + "#" + insertion, Vendor: "0781", Product: "5581", Name: "Ultra", Serial: "4C53", Shape: "storage 08/06/50", Role: usb.In,
	}}
}

// gone is the report that a device has.
func gone(id int64) link.Report { return link.Report{Kind: link.Detached, ID: id} }

// order takes the manager's next order.
func (g *guard) order(kind string, id int64) link.Order {
	g.t.Helper()
	select {
	case o := <-g.orders:
		if o.Kind != kind || o.ID != id {
			g.t.Fatalf("%+v was asked for, %s of %d was expected", o, kind, id)
		}
		return o
	case err := <-g.ended:
		g.t.Fatalf("the conversation ended with %v, %s of %d was expected", err, kind, id)
	case <-time.After(wait):
		g.t.Fatalf("nothing is asked for, %s of %d was expected", kind, id)
	}
	return link.Order{}
}

// hungUp waits until the manager has ended the conversation.
func (g *guard) hungUp() {
	g.t.Helper()
	select {
	case err := <-g.ended:
		if !errors.Is(err, io.EOF) && !errors.Is(err, unix.ECONNRESET) {
			g.t.Errorf("the conversation ended with %v", err)
		}
	case <-time.After(wait):
		g.t.Fatal("the conversation goes on")
	}
}

// asked calls one function of the door, and answers the order that comes.
func asked[T any](g *guard, do func() T, kind string, id int64, answer func()) T {
	g.t.Helper()
	got := make(chan T, 1)
	go func() { got <- do() }()
	g.order(kind, id)
	answer()
	select {
	case v := <-got:
		return v
	case <-time.After(wait):
		g.t.Fatalf("%s of %d was answered, and nothing comes of it", kind, id)
		panic("unreachable")
	}
}

type opening struct {
	intake.Opened
	err error
}

// open lets the visitor open its disk, which holds the text.
func (g *guard) open(v *visit, id int64, text string) opening {
	g.t.Helper()
	o := asked(g, func() opening { o, err := v.Door.Open(v.ctx); return opening{o, err} }, link.Open, id, func() {
		f := testtool.File(g.t, text)
		defer f.Close()
		if err := g.conn.Send(link.Report{Kind: link.Opened, ID: id, OwnMicros: 250, KernelMicros: 7_000, Disk: &usb.Disk{Name: "sda", Seq: 17, Bytes: 1 << 30, SectorBytes: 512, Units: 1}}, f); err != nil {
			g.t.Fatal(err)
		}
	})
	if o.File != nil {
		g.t.Cleanup(func() { o.File.Close() })
	}
	return o
}

func (g *guard) check(v *visit, id int64, suspect bool, f *verdict.Finding) error {
	g.t.Helper()
	return asked(g, func() error { return v.Door.Check(v.ctx, suspect) }, link.Check, id, func() { g.say(link.Report{Kind: link.Checked, ID: id, Finding: f}) })
}

func (g *guard) release(v *visit, id int64, f *verdict.Finding) error {
	g.t.Helper()
	return asked(g, func() error { return v.Door.Release(context.WithoutCancel(v.ctx)) }, link.Release, id, func() { g.say(link.Report{Kind: link.Released, ID: id, Finding: f}) })
}
