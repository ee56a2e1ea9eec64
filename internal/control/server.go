package control

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/rs/zerolog"

	"sallyport/internal/unixsock"
)

// Peer is who stands at the other end, as the kernel says.
type Peer struct {
	UID, GID uint32
	PID      int32
	// Denials is the number of calls that a report to [Server.Denied] stands
	// for; this one was the last. Zero elsewhere.
	Denials int
}

// Call is one request on its way through a [Handler].
type Call struct {
	Op   string
	Args jsontext.Value
	// Medium is the open medium that came with the request, or nil. It belongs
	// to the server, which closes it when the handler returns.
	Medium *os.File
	Peer   Peer
	// Progress reports to the caller. A caller that has gone away or does not read
	// is ignored: the operation ends on its own terms. For one goroutine.
	Progress func(Progress)
	// Update sends the caller the next value of a sequence. Its error means that
	// the caller has gone, or that what it was sent did not fit.
	Update func(v any) error
}

// Handler carries out requests. The result is sent as JSON. An error that is
// not a [*Failure] reaches the caller only as "internal error".
type Handler interface {
	Handle(ctx context.Context, c *Call) (any, error)
}

// Access says who may use the socket.
type Access struct {
	UIDs, GIDs []uint32
}

// allows: root and the daemon's own user always may; others by uid or by the
// primary or a supplementary group at the time of connecting.
func (a Access) allows(p Peer, groups []uint32) bool {
	if p.UID == 0 || p.UID == uint32(os.Geteuid()) || slices.Contains(a.UIDs, p.UID) || slices.Contains(a.GIDs, p.GID) {
		return true
	}
	return slices.ContainsFunc(groups, func(g uint32) bool { return slices.Contains(a.GIDs, g) })
}

// Server answers on one listener.
type Server struct {
	Handler Handler
	Access  Access
	// Denied is told of callers that were turned away: of each user's first call
	// at once, of further ones at most once a minute with their number. Nothing
	// is lost: what is left is told before Serve returns. Calls do not overlap.
	Denied func(Peer)
	Log    zerolog.Logger

	denials denials
}

// maxCallers bounds the connections that are served at once.
const maxCallers = 32

// requestTime bounds the wait for a caller's request.
const requestTime = 10 * time.Second

// Listen makes the socket with mode 0660. A stale socket that nobody answers is
// removed; one that answers is an error.
func Listen(path string) (*net.UnixListener, error) {
	if c, err := net.Dial("unix", path); err == nil {
		c.Close()
		return nil, fmt.Errorf("cannot listen on %s: another sallyportd answers there; stop it first", path)
	}
	if st, err := os.Lstat(path); err == nil && st.Mode()&os.ModeSocket != 0 {
		if err := os.Remove(path); err != nil {
			return nil, fmt.Errorf("cannot remove the stale socket: %w", err)
		}
	}
	old := unix.Umask(0o117)
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	unix.Umask(old)
	if err != nil {
		return nil, fmt.Errorf("cannot listen on %s: %w", path, err)
	}
	return l, nil
}

// Serve answers callers until ctx ends, then waits for the calls under way.
func (s *Server) Serve(ctx context.Context, l *net.UnixListener) error {
	stop := context.AfterFunc(ctx, func() { l.Close() })
	defer stop()
	if s.Denied != nil {
		defer s.denials.flush(s.Denied)
	}
	var calls sync.WaitGroup
	defer calls.Wait()
	room := make(chan struct{}, maxCallers)
	for {
		c, err := l.AcceptUnix()
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			if errors.Is(err, net.ErrClosed) {
				return fmt.Errorf("cannot accept callers: %w", err)
			}
			s.Log.Warn().Err(err).Msg("accept failed")
			select { // too many open files and the like: give others time to finish
			case <-time.After(100 * time.Millisecond):
			case <-ctx.Done():
			}
			continue
		}
		room <- struct{}{}
		calls.Go(func() {
			defer func() { <-room }()
			s.ServeConn(ctx, c)
		})
	}
}

// ServeConn answers the one request of a connection and closes it.
func (s *Server) ServeConn(ctx context.Context, c *net.UnixConn) {
	defer c.Close()
	peer, groups, err := peerOf(c)
	if err != nil {
		s.Log.Warn().Err(err).Msg("caller without credentials")
		return
	}
	if !s.Access.allows(peer, groups) {
		if s.Denied != nil {
			s.denials.add(peer, s.Denied)
		}
		s.send(&line{c: c}, answer{Failure: Failf(CodeDenied, "your user (uid %d) may not use this station; ask the administrator to add it to control.operator_uids", peer.UID)})
		return
	}
	c.SetReadDeadline(time.Now().Add(requestTime))
	var req request
	medium, err := readFrame(c, &req)
	if err != nil {
		if !errors.Is(err, io.EOF) {
			s.send(&line{c: c}, answer{Failure: Failf(CodeUsage, "the request is malformed: %v", err)})
		}
		return
	}
	if medium != nil {
		defer medium.Close()
	}
	l := &line{c: c}
	call := &Call{Op: req.Op, Args: req.Args, Medium: medium, Peer: peer, Progress: l.progress, Update: l.update}
	s.send(l, s.outcome(s.Handler.Handle(ctx, call)))
}

// line is the way back to one caller.
type line struct {
	c     *net.UnixConn
	stuck bool   // the caller does not take what it is sent
	rest  []byte // of the frame that the caller took a part of
}

// progressTime bounds the one wait for a caller that does not read.
const progressTime = time.Second

// progress sends p, unless the caller has failed to take an earlier one: the
// work must not wait for it again.
func (l *line) progress(p Progress) {
	if l.stuck {
		return
	}
	head, body, err := frame(answer{Progress: &p})
	if err != nil {
		return // of no use to anybody
	}
	l.c.SetWriteDeadline(time.Now().Add(progressTime))
	b := append(head, body...)
	n, err := l.c.Write(b)
	if err != nil {
		l.stuck, l.rest = true, b[n:]
	}
}

// update sends v, for which the caller has all the time of a request.
func (l *line) update(v any) error {
	raw, err := json.Marshal(v, json.Deterministic(true))
	if err != nil {
		return fmt.Errorf("cannot encode an update: %w", err)
	}
	return l.finish(answer{Update: raw})
}

// finish sends a frame whole, behind what is left of an earlier one, so that
// a caller that reads again understands it.
func (l *line) finish(a answer) error {
	head, body, err := frame(a)
	if err != nil {
		return err
	}
	l.c.SetWriteDeadline(time.Now().Add(requestTime))
	for _, b := range [][]byte{l.rest, head, body} {
		if _, err := l.c.Write(b); err != nil {
			return fmt.Errorf("cannot send a control message: %w", err)
		}
	}
	l.rest = nil
	return nil
}

func (s *Server) outcome(v any, err error) answer {
	var raw jsontext.Value
	if err == nil {
		raw, err = json.Marshal(v, json.Deterministic(true))
	}
	if err == nil {
		return answer{Result: raw}
	}
	var f *Failure
	if !errors.As(err, &f) {
		s.Log.Error().Err(err).Msg("request failed")
		f = Failf(CodeInternal, "internal error; the station's log of operation says more")
	}
	return answer{Failure: f}
}

func (s *Server) send(l *line, a answer) {
	err := l.finish(a)
	var large *tooLarge
	if errors.As(err, &large) {
		s.Log.Warn().Err(err).Msg("an answer is too large for its caller")
		err = l.finish(answer{Failure: Failf(CodeOverLimit, "the answer has %d bytes, and at most %d can be sent; this concerns the answer, not the work", large.size, MaxFrame)})
	}
	if err != nil {
		s.Log.Debug().Err(err).Msg("the caller left before its answer")
	}
}

func peerOf(c *net.UnixConn) (Peer, []uint32, error) {
	cred, err := unixsock.Peer(c)
	if err != nil {
		return Peer{}, nil, err
	}
	var groups []uint32
	if err := unixsock.Control(c, func(fd int) error { groups = peerGroups(fd); return nil }); err != nil {
		return Peer{}, nil, err
	}
	return Peer{UID: cred.Uid, GID: cred.Gid, PID: cred.Pid}, groups, nil
}
