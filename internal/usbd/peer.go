package usbd

import (
	"context"
	"errors"
	"io"
	"os"
	"slices"
	"strings"

	"sallyport/internal/usb"
	"sallyport/internal/usb/link"
	"sallyport/internal/verdict"
)

// peer is sallyportd as long as it is connected.
type peer struct {
	conn   *link.Conn
	orders chan message
	ended  chan struct{} // closed when nobody listens to it any more
}

// message is one order, or the end of the conversation.
type message struct {
	from  *peer
	order link.Order
	err   error
}

// messages is nil, which gives nothing, without a peer.
func (p *peer) messages() <-chan message {
	if p == nil {
		return nil
	}
	return p.orders
}

// take begins a conversation. There is one at a time; a second caller is sent
// away.
func (d *Daemon) take(c *link.Conn) {
	if d.peer != nil {
		d.log.Warn().Msg("a second sallyportd was sent away")
		c.Close()
		return
	}
	p := &peer{c, make(chan message), make(chan struct{})}
	d.peer, d.told = p, ""
	for _, dev := range d.devices {
		dev.old = true
	}
	d.log.Info().Msg("sallyportd is here")
	go func() {
		for {
			var o link.Order
			file, err := c.Receive(&o)
			if file != nil {
				file.Close()
				err = errors.Join(err, errors.New("an open file came with an order"))
			}
			select {
			case p.orders <- message{p, o, err}:
			case <-p.ended:
				return
			}
			if err != nil {
				return
			}
		}
	}()
}

// hangUp ends the conversation and denies what was given in it.
func (d *Daemon) hangUp(why string) {
	if d.peer == nil {
		return
	}
	d.peer.conn.Close()
	close(d.peer.ended)
	d.peer = nil
	d.log.Warn().Str("why", why).Msg("sallyportd has gone; its media are denied")
	for _, dev := range d.devices {
		dev.told = false
	}
	d.dropMedia()
}

// tell sends a report. A peer that cannot be told is no peer.
func (d *Daemon) tell(r link.Report, file *os.File) {
	if d.peer == nil {
		return
	}
	if err := d.peer.conn.Send(r, file); err != nil {
		d.log.Error().Err(err).Msg("sallyportd cannot be told")
		d.hangUp("it could not be told")
	}
}

// answer tells whoever asked, if it is still there.
func (d *Daemon) answer(to *peer, r link.Report) {
	if to != nil && to == d.peer {
		d.tell(r, nil)
	}
}

// announce tells what sallyportd does not know yet: the state, and each device
// that no task is at work on.
func (d *Daemon) announce() {
	problems := d.notReady()
	text := strings.Join(problems, "\n") + "\n"
	if text != d.shown {
		d.shown = text
		d.status(statusText(problems))
	}
	if d.peer != nil && text != d.told {
		d.told = text
		d.tell(link.Report{Kind: link.State, Ports: d.policy.Ports, NotReady: problems}, nil)
	}
	for _, dev := range d.inOrder() {
		if d.peer == nil {
			return
		}
		if dev.told || dev.phase == busy || dev.role == usb.Hub {
			continue
		}
		dev.told = true
		d.tell(link.Report{Kind: link.Attached, ID: dev.id, Device: dev.describe(), OwnMicros: dev.own.Microseconds()}, nil)
	}
}

func (d *Daemon) inOrder() []*device {
	list := make([]*device, 0, len(d.devices))
	for _, dev := range d.devices {
		list = append(list, dev)
	}
	slices.SortFunc(list, func(a, b *device) int { return int(a.id - b.id) })
	return list
}

// notReady says why no medium may be taken: something is not denied.
func (d *Daemon) notReady() []string {
	var out []string
	not := func(place string, err error) {
		out = append(out, "USB is not denied by default at "+place+": "+verdict.Escape(err.Error()))
	}
	for name, b := range d.buses {
		if b.problem != nil && !errors.Is(b.problem, errNoRoot) { // a bus without its hub has no device
			not(name, b.problem)
		}
	}
	for place, err := range d.odd {
		not(place, err)
	}
	slices.Sort(out)
	return out
}

func statusText(problems []string) string {
	if len(problems) > 0 {
		return "NOT ready: " + problems[0]
	}
	return "USB devices are denied by default"
}

// order carries out what sallyportd asks for.
func (d *Daemon) order(ctx context.Context, m message) {
	if m.from != d.peer {
		return
	}
	if m.err != nil {
		why := "it went away"
		if !errors.Is(m.err, io.EOF) {
			why = m.err.Error()
		}
		d.hangUp(why)
		return
	}
	dev := d.find(m.order.ID)
	if dev == nil {
		d.answerGone(m.order)
		return
	}
	switch k := m.order.Kind; {
	case k == link.Open && dev.phase == denied && dev.role == usb.In && dev.refusal == nil && len(d.notReady()) == 0:
		d.startOpen(ctx, dev)
	case k == link.Check && dev.phase == open:
		d.startCheck(ctx, dev, m.order.Suspect)
	case k == link.Release && (dev.phase == open || dev.phase == denied):
		from := d.peer
		d.startRelease(dev, func(r result) {
			d.answer(from, link.Report{Kind: link.Released, ID: dev.id, Finding: sendable(r.finding), OwnMicros: r.own.Microseconds(), KernelMicros: r.kernel.Microseconds()})
		})
	case k == link.Open:
		f := dev.refusal
		if f == nil {
			f = verdict.New(verdict.PortNotAllowed, "port "+dev.facts.Path, "the device is not for reading, or the station is not ready")
		}
		d.tell(link.Report{Kind: link.Failed, ID: dev.id, Finding: sendable(f)}, nil)
	default:
		d.hangUp("it asked for " + verdict.Escape(k) + " out of turn")
	}
}

func (d *Daemon) find(id int64) *device {
	for _, dev := range d.devices {
		if dev.id == id {
			return dev
		}
	}
	return nil
}

// answerGone answers an order about a device that has left meanwhile.
func (d *Daemon) answerGone(o link.Order) {
	gone := verdict.New(verdict.RemovedDuringRead, "", "the device has gone")
	switch o.Kind {
	case link.Open:
		d.tell(link.Report{Kind: link.Failed, ID: o.ID, Finding: gone}, nil)
	case link.Check:
		d.tell(link.Report{Kind: link.Checked, ID: o.ID, Finding: gone}, nil)
	case link.Release:
		d.tell(link.Report{Kind: link.Released, ID: o.ID}, nil)
	default:
		d.hangUp("it asked for " + verdict.Escape(o.Kind))
	}
}

func (d *Daemon) startOpen(ctx context.Context, dev *device) {
	ctx, dev.stop = context.WithCancel(ctx)
	from := d.peer
	d.start(dev, func(t *task) result { return t.open(ctx) }, func(dev *device, r result) {
		dev.stop()
		dev.disk, dev.file = r.disk, r.file
		times := link.Report{ID: dev.id, OwnMicros: r.own.Microseconds(), KernelMicros: r.kernel.Microseconds()}
		if r.disk.Name != "" {
			times.Disk = &r.disk
		}
		if r.finding != nil {
			dev.phase = denied
			times.Kind, times.Finding = link.Failed, sendable(r.finding)
			d.noteDenial(dev, r.stuck)
			d.answer(from, times)
			return
		}
		dev.phase = open
		if dev.left() { // and its going was told
			dev.close()
			times.Kind, times.Finding = link.Failed, verdict.New(verdict.RemovedDuringRead, "", "the device has gone")
			d.answer(from, times)
			return
		}
		if dev.deny || d.peer != from || from == nil {
			d.startRelease(dev, nil)
			return
		}
		times.Kind = link.Opened
		d.tell(times, dev.file)
		d.log.Info().Str("port", dev.facts.Path).Str("disk", r.disk.Name).Uint64("diskseq", r.disk.Seq).Int64("bytes", r.disk.Bytes).
			Dur("own", r.own).Dur("kernel", r.kernel).Msg("medium is open")
	})
}

func (d *Daemon) startCheck(ctx context.Context, dev *device, suspect bool) {
	ctx, dev.stop = context.WithCancel(ctx)
	from := d.peer
	d.start(dev, func(t *task) result { return t.check(ctx, suspect) }, func(dev *device, r result) {
		dev.stop()
		dev.phase = open
		d.answer(from, link.Report{Kind: link.Checked, ID: dev.id, Finding: sendable(r.finding), OwnMicros: r.own.Microseconds()})
		if dev.deny || d.peer != from {
			d.startRelease(dev, nil)
		}
	})
}

// startRelease denies a medium; then is told the result, unless it is nil.
func (d *Daemon) startRelease(dev *device, then func(result)) {
	if dev.left() {
		return
	}
	d.start(dev, (*task).release, func(dev *device, r result) {
		dev.phase, dev.file, dev.deny = denied, nil, false
		d.noteDenial(dev, r.finding)
		d.log.Info().Str("port", dev.facts.Path).Bool("denied", r.finding == nil).Msg("medium is released")
		if then != nil {
			then(r)
		}
	})
}
