package reader

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/sys/unix"

	"sallyport/internal/reader/wire"
	"sallyport/internal/sandbox"
	"sallyport/internal/verdict"
)

// process is the running child with the parent's end of its socket.
type process struct {
	proc *os.Process
	conn *os.File
	ring *ring
	log  zerolog.Logger
	// patience is the wait for the end after SIGKILL. A child that sleeps in the
	// kernel for a broken device dies when the device answers, or never; the
	// answer about the medium does not wait for that.
	patience time.Duration
	ending   sync.Once
	lost     sync.Once
	closed   atomic.Bool   // by the parent's own will
	exited   chan struct{} // closed when the child is reaped and its output read
	state    *os.ProcessState
	waitErr  error
}

// environment keeps the child's runtime within its memory and away from files:
// with these settings it reads no control-group files and names no mappings. The
// limit of the runtime is a soft one: GOGC bounds how far the heap grows beyond
// what is in use when the collector gets too little of a busy processor.
func environment() []string {
	return []string{
		"GOMEMLIMIT=48MiB",
		"GOGC=40",
		"GOMAXPROCS=2",
		"GODEBUG=containermaxprocs=0,updatemaxprocs=0,decoratemappings=0",
	}
}

// spawn starts the child in the most confined way that the kernel allows here
// and returns the namespaces it stands in. It waits for its device.
func spawn(binary string, log zerolog.Logger) (*process, []string, error) {
	ours, theirs, err := socketPair()
	if err != nil {
		return nil, nil, err
	}
	defer theirs.Close()
	outRead, outWrite, err := os.Pipe()
	if err != nil {
		ours.Close()
		return nil, nil, err
	}
	defer outWrite.Close()
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		ours.Close()
		outRead.Close()
		return nil, nil, err
	}
	defer null.Close()
	shared, memory, err := newRing()
	if err != nil {
		ours.Close()
		outRead.Close()
		return nil, nil, err
	}
	defer memory.Close()

	p := &process{conn: ours, ring: shared, log: log, patience: 5 * time.Second, exited: make(chan struct{})}
	var namespaces []string
	for _, a := range sandbox.Attempts() {
		namespaces = a.Namespaces
		p.proc, err = os.StartProcess(binary, []string{binary}, &os.ProcAttr{
			Dir:   "/",
			Env:   environment(),
			Files: []*os.File{null, null, outWrite, theirs, null, memory}, // the device takes the place of the third null
			Sys:   a.Attr,
		})
		if err == nil || !sandbox.Refused(err) {
			break
		}
		log.Debug().Strs("namespaces", namespaces).Err(err).Msg("reader cannot be started this way")
	}
	if err != nil {
		ours.Close()
		outRead.Close()
		shared.close()
		return nil, nil, err
	}
	go p.reap(outRead)
	return p, namespaces, nil
}

// socketPair makes the connection: our end with deadlines, theirs blocking.
func socketPair() (ours, theirs *os.File, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("cannot make a socket: %w", err)
	}
	theirs = os.NewFile(uintptr(fds[1]), "reader's socket")
	err = unix.SetNonblock(fds[0], true)
	ours = os.NewFile(uintptr(fds[0]), "socket of the reader")
	if err != nil {
		ours.Close()
		theirs.Close()
		return nil, nil, fmt.Errorf("cannot set up a socket: %w", err)
	}
	return ours, theirs, nil
}

// give passes the device to the child.
func (p *process) give(dev *os.File) error {
	raw, err := p.conn.SyscallConn()
	if err != nil {
		return err
	}
	var sent error
	if err := raw.Write(func(fd uintptr) bool {
		sent = wire.SendDevice(int(fd), int(dev.Fd()))
		return sent != unix.EAGAIN
	}); err != nil {
		return err
	}
	return sent
}

func (p *process) pid() int { return p.proc.Pid }

// kill is SIGKILL: nothing in the child is worth a goodbye.
func (p *process) kill() { _ = p.proc.Kill() } // the only error is that it is gone

// reap reads what the child writes on standard error, of which the first
// kilobytes go to the log (a crash of the runtime speaks there), and waits for
// its end.
func (p *process) reap(stderr *os.File) {
	const most = 8 << 10
	head := make([]byte, most)
	n, _ := io.ReadFull(stderr, head)
	_, _ = io.Copy(io.Discard, stderr)
	stderr.Close()
	p.state, p.waitErr = p.proc.Wait()
	if n > 0 {
		p.log.Warn().Str("stderr", verdict.Escape(string(head[:n]))).Msg("reader wrote on standard error")
	}
	close(p.exited)
}

// end kills the child, waits for its end, and frees what the parent used for it.
func (p *process) end() {
	p.ending.Do(func() {
		p.closed.Store(true)
		p.kill()
		p.gone()
		p.conn.Close()
		p.ring.close()
	})
}

// gone waits until a killed child is reaped. One that is not within the time is
// left to the goroutine that reaps it.
func (p *process) gone() {
	select {
	case <-p.exited:
	case <-time.After(p.patience):
		p.lost.Do(func() {
			p.log.Error().Int("pid", p.pid()).Msg("the reader does not end after SIGKILL: the kernel waits for the medium; unplug it")
		})
	}
}

// farewell says how a child ended whose socket has ended; one that closed the
// socket and lives on is killed.
func (p *process) farewell() string {
	select {
	case <-p.exited:
	case <-time.After(2 * time.Second):
		p.kill()
		p.gone()
		return "it closed its connection and went on"
	}
	if p.waitErr != nil {
		return p.waitErr.Error()
	}
	if ws, ok := p.state.Sys().(syscall.WaitStatus); ok && ws.Signaled() && ws.Signal() == unix.SIGSYS {
		return "the kernel ended it at a forbidden system call"
	}
	return "it ended with " + p.state.String()
}

// deadlined is the parent's end of the socket under the limits of time. Its
// errors are findings.
type deadlined struct {
	conn interface {
		io.ReadWriter
		SetReadDeadline(time.Time) error
		SetWriteDeadline(time.Time) error
	}
	stall  time.Duration
	end    time.Time
	pace   *pace
	pulled func() bool // says whether the device is gone
	child  *process
	ctx    context.Context
}

func (d *deadlined) Read(p []byte) (int, error) {
	began := time.Now()
	err := d.conn.SetReadDeadline(d.next())
	if err == nil {
		err = d.ctx.Err() // see stop
	}
	if err != nil {
		return 0, d.explain(err)
	}
	n, err := d.conn.Read(p)
	if err != nil && n == 0 {
		return 0, d.explain(err)
	}
	if slow := d.pace.wait(time.Since(began)); slow != nil {
		return 0, slow
	}
	return n, err
}

func (d *deadlined) Write(p []byte) (int, error) {
	err := d.conn.SetWriteDeadline(d.next())
	if err == nil {
		err = d.ctx.Err()
	}
	if err != nil {
		return 0, d.explain(err)
	}
	n, err := d.conn.Write(p)
	if err != nil {
		err = d.explain(err)
	}
	return n, err
}

// stop ends what waits for the child, when the context has ended: a child that
// the kernel holds keeps its end of the socket.
func (d *deadlined) stop() {
	d.child.kill()
	_ = d.conn.SetReadDeadline(time.Unix(1, 0)) // the only error is that it is closed
	_ = d.conn.SetWriteDeadline(time.Unix(1, 0))
}

func (d *deadlined) next() time.Time {
	t := time.Now().Add(d.stall)
	if d.end.Before(t) {
		return d.end
	}
	return t
}

// explain turns the end of the conversation into its reason.
func (d *deadlined) explain(err error) error {
	if cause := context.Cause(d.ctx); cause != nil {
		return fmt.Errorf("cannot go on reading the medium: %w", cause)
	}
	switch {
	case d.child.closed.Load():
		return fmt.Errorf("cannot go on reading the medium: the session is closed: %w", os.ErrClosed)
	case errors.Is(err, os.ErrDeadlineExceeded) && d.pulled():
		return verdict.New(verdict.RemovedDuringRead, "the medium", "the device is gone")
	case errors.Is(err, os.ErrDeadlineExceeded) && time.Now().Before(d.end):
		return verdict.New(verdict.Unreadable, "the medium", "it gave no byte for %s", d.stall)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return verdict.New(verdict.OverLimit, "the medium", "reading it took longer than the limit of time allows")
	}
	return verdict.New(verdict.SandboxUnavailable, "the reader", "%s", d.child.farewell())
}
