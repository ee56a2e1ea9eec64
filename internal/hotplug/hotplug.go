// Package hotplug is sallyportd's side of live USB: it listens to
// sallyport-usbd, has each device written into the audit log, brings the media
// to the intake, one after the other, and keeps a view of the ports for people
// who watch. It decides nothing: devices are decided by sallyport-usbd's policy,
// media by the intake. What sallyport-usbd says is trusted; what it repeats of
// devices is foreign, and escaped already.
//
// Without sallyport-usbd no medium comes; a medium that is being read when
// sallyport-usbd goes away is interrupted, since nobody could say any more that
// it is still the same.
package hotplug

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"sallyport/internal/intake"
	"sallyport/internal/usb"
	"sallyport/internal/usb/link"
	"sallyport/internal/verdict"
)

// Intake is what takes media and writes the log; an error of it is fatal.
type Intake interface {
	Attached(ctx context.Context, d *intake.Device, role string, refusal *verdict.Finding) error
	Removed(ctx context.Context, d *intake.Device) error
	Guard(ctx context.Context, problems []string) error
	Decided(insertion string) (bool, error)
	Run(ctx context.Context, m intake.Medium) (*intake.Report, error)
}

// Manager connects sallyport-usbd with the intake.
type Manager struct {
	Socket string // of sallyport-usbd
	Intake Intake
	Log    zerolog.Logger

	board board
}

const (
	// retryPause is the pause before sallyport-usbd is called again.
	retryPause = time.Second
	// rootUser is the user of sallyport-usbd.
	rootUser = 0
)

// errGuard means that sallyport-usbd cannot be reached any more.
var errGuard = errors.New("sallyport-usbd does not answer")

// Run serves until ctx ends. Its error is one of the intake: the station must
// not go on.
func (m *Manager) Run(ctx context.Context) error {
	said := ""
	for {
		conn, err := m.connect()
		if err == nil {
			said = ""
			err = m.talk(ctx, conn)
			var fatal *fatalError
			if errors.As(err, &fatal) {
				return fatal.err
			}
		}
		if ctx.Err() != nil {
			return nil
		}
		if text := err.Error(); text != said {
			said = text
			m.Log.Warn().Err(err).Msg("USB devices are not guarded")
			m.board.lost(text)
			if err := m.Intake.Guard(ctx, []string{text}); err != nil {
				return err
			}
		}
		select {
		case <-time.After(retryPause):
		case <-ctx.Done():
			return nil
		}
	}
}

// fatalError is an error of the intake.
type fatalError struct{ err error }

func (e *fatalError) Error() string { return e.err.Error() }
func (e *fatalError) Unwrap() error { return e.err }

func fatal(err error) error {
	if err == nil {
		return nil
	}
	return &fatalError{err}
}

func (m *Manager) connect() (*link.Conn, error) {
	conn, err := link.Dial(m.Socket)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errGuard, err)
	}
	uid, err := conn.PeerUID()
	if err == nil && uid != rootUser && uid != uint32(os.Geteuid()) {
		err = fmt.Errorf("%s belongs to uid %d, not to root", m.Socket, uid)
	}
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return conn, nil
}

// session is one conversation with sallyport-usbd.
type session struct {
	*Manager
	conn  *link.Conn
	queue chan *device // media in the order of their coming
	ended chan struct{}

	guarded bool      // devices are denied by default
	waiting []*device // for that; both belong to the listener

	mu      sync.Mutex
	devices map[int64]*device // those that are there, and the one that is taken
}

// maxQueue is more than there are sockets.
const maxQueue = 1024

// talk serves one conversation to its end.
func (m *Manager) talk(ctx context.Context, conn *link.Conn) error {
	s := &session{Manager: m, conn: conn, devices: map[int64]*device{}, queue: make(chan *device, maxQueue), ended: make(chan struct{})}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	working := make(chan error, 1)
	go func() {
		working <- s.work(ctx)
		conn.Close() // not before: a medium that is interrupted is still released
	}()
	err := s.listen(ctx)
	close(s.ended)
	cancel(err)
	if werr := <-working; werr != nil {
		return werr
	}
	return err
}

// listen takes what sallyport-usbd says, until it ends.
func (s *session) listen(ctx context.Context) error {
	for {
		var r link.Report
		file, err := s.conn.Receive(&r)
		if err == nil {
			err = s.report(ctx, r, file)
		} else if errors.Is(err, io.EOF) {
			err = fmt.Errorf("%w: it has ended", errGuard)
		} else {
			err = fmt.Errorf("%w: %w", errGuard, err)
		}
		if err != nil {
			return err
		}
	}
}

// report takes one report. file belongs to it.
func (s *session) report(ctx context.Context, r link.Report, file *os.File) error {
	if file != nil && r.Kind != link.Opened {
		file.Close()
		return fmt.Errorf("%w: an open file came with %q", errGuard, r.Kind)
	}
	switch r.Kind {
	case link.State:
		s.board.state(r.Ports, r.NotReady)
		if err := s.Intake.Guard(ctx, r.NotReady); err != nil {
			return fatal(err)
		}
		s.guarded = len(r.NotReady) == 0
		return s.enqueue()
	case link.Attached:
		if r.Device == nil {
			return fmt.Errorf("%w: a device came without its facts", errGuard)
		}
		return s.attached(ctx, r, time.Now())
	}
	switch r.Kind {
	case link.Detached, link.Opened, link.Failed, link.Checked, link.Released:
	default:
		return fmt.Errorf("%w: it said %q", errGuard, r.Kind)
	}
	a := answer{r, file}
	s.mu.Lock()
	d := s.devices[r.ID]
	unknown := d == nil || d.left() && r.Kind == link.Detached
	if !unknown && r.Kind == link.Detached {
		close(d.gone)
		if !d.taken {
			delete(s.devices, r.ID)
		}
	}
	s.mu.Unlock()
	if unknown {
		a.close()
		return fmt.Errorf("%w: %q is about the unknown device %d", errGuard, r.Kind, r.ID)
	}
	if r.Kind == link.Detached {
		s.board.detached(d.facts)
		return fatal(s.Intake.Removed(ctx, d.facts))
	}
	select {
	case d.answers <- a:
		return nil
	default:
		a.close()
		return fmt.Errorf("%w: %q came unasked", errGuard, r.Kind)
	}
}

// claim says whether the worker may take the device, which it then does.
func (s *session) claim(d *device) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	d.taken = !d.left()
	return d.taken
}

// done ends the worker's claim.
func (s *session) done(d *device) {
	s.mu.Lock()
	defer s.mu.Unlock()
	d.taken = false
	if d.left() {
		delete(s.devices, d.id)
	}
	d.forget()
}

func (s *session) attached(ctx context.Context, r link.Report, began time.Time) error {
	g := r.Device
	d := &device{session: s, id: r.ID, answers: make(chan answer, maxAnswers), gone: make(chan struct{}), facts: &intake.Device{
		Port: g.Place, Insertion: g.Insertion, Vendor: g.Vendor, Product: g.Product, Serial: g.Serial, Manufacturer: g.Manufacturer,
		Name: g.Name, Speed: g.Speed, Shape: g.Shape, SHA256: g.SHA256,
	}}
	s.mu.Lock()
	s.devices[r.ID] = d
	s.mu.Unlock()
	if err := s.Intake.Attached(ctx, d.facts, string(g.Role), g.Refusal); err != nil {
		return fatal(err)
	}
	phase := Refused
	switch {
	case g.Refusal != nil:
	case g.Role == usb.In:
		phase = Waiting
	case g.Role == usb.Out:
		phase = Idle
	default:
		phase = InUse
	}
	if phase == Waiting && g.Old {
		done, err := s.Intake.Decided(g.Insertion)
		if err != nil {
			return fatal(err)
		}
		if done {
			phase = Earlier
		}
	}
	s.board.attached(d.facts, g.Role, phase, g.Refusal)
	if phase != Waiting {
		return nil
	}
	d.own = time.Duration(r.OwnMicros)*time.Microsecond + time.Since(began)
	s.waiting = append(s.waiting, d)
	return s.enqueue()
}

// enqueue gives what waits to the worker, once devices are denied by default.
func (s *session) enqueue() error {
	if !s.guarded {
		return nil
	}
	for _, d := range s.waiting {
		select {
		case s.queue <- d:
		default:
			return fmt.Errorf("%w: more than %d media wait", errGuard, maxQueue)
		}
	}
	s.waiting = nil
	return nil
}

// work takes one medium after the other.
func (s *session) work(ctx context.Context) error {
	for {
		select {
		case d := <-s.queue:
			if err := s.take(ctx, d); err != nil {
				return fatal(err)
			}
		case <-ctx.Done():
			return nil
		}
	}
}

// take brings a medium to its verdict, unless it has gone while it waited.
func (s *session) take(ctx context.Context, d *device) error {
	if ctx.Err() != nil || !s.claim(d) {
		return nil
	}
	defer s.done(d)
	facts := *d.facts // which the run completes
	s.board.phase(&facts, intake.Opening, 0, 0)
	report, err := s.Intake.Run(ctx, intake.Medium{Source: "usb", Name: label(&facts), Caller: intake.Nobody, Device: &facts, Door: d, Own: d.own,
		Progress: func(phase string, done, total int64) { s.board.phase(&facts, phase, done, total) }})
	if err != nil {
		return err
	}
	s.board.verdict(&facts, report)
	return nil
}

// label is how people call a medium: what it says it is.
func label(d *intake.Device) string {
	name := d.Name
	if name == "" {
		name = d.Vendor + ":" + d.Product
	}
	return name + " at port " + d.Port
}
