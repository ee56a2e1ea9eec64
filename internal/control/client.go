package control

import (
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"golang.org/x/sys/unix"
)

// ErrNoDaemon means that nothing answers on the socket.
var ErrNoDaemon = errors.New("no sallyportd answers")

// Dial connects to a daemon's socket; the error wraps [ErrNoDaemon] when none runs.
func Dial(path string) (*net.UnixConn, error) {
	c, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: path, Net: "unix"})
	if errors.Is(err, syscall.ENOENT) || errors.Is(err, syscall.ECONNREFUSED) {
		return nil, fmt.Errorf("%w on %s", ErrNoDaemon, path)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot reach sallyportd: %w", err)
	}
	return c, nil
}

// Pair returns a connected pair of sockets, so that the command line can be
// its own daemon through the very same path.
func Pair() (server, client *net.UnixConn, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("cannot make a pair of sockets: %w", err)
	}
	conns := [2]*net.UnixConn{}
	for i, fd := range fds {
		f := os.NewFile(uintptr(fd), "control")
		c, err := net.FileConn(f)
		f.Close()
		if err != nil {
			return nil, nil, fmt.Errorf("cannot make a pair of sockets: %w", err)
		}
		conns[i] = c.(*net.UnixConn)
	}
	return conns[0], conns[1], nil
}

// Do sends one request over c, passes on progress, decodes the result into
// result (a pointer, or nil) and closes c. A refusal by the daemon is a
// [*Failure].
func Do(c *net.UnixConn, op string, args any, medium *os.File, progress func(Progress), result any) error {
	return do(c, op, args, medium, func(a answer) error {
		if a.Progress != nil && progress != nil {
			progress(*a.Progress)
		}
		return nil
	}, result)
}

// Follow sends a request whose answer is a sequence of updates without an end,
// decodes each into the value that next points to, and calls seen, whose error
// ends it. It closes c.
func Follow(c *net.UnixConn, op string, args, next any, seen func() error) error {
	return do(c, op, args, nil, func(a answer) error {
		if a.Update == nil {
			return nil
		}
		if err := strictDecode(a.Update, next); err != nil {
			return err
		}
		return seen()
	}, nil)
}

func do(c *net.UnixConn, op string, args any, medium *os.File, on func(answer) error, result any) error {
	defer c.Close()
	raw, err := json.Marshal(args, json.Deterministic(true))
	if err != nil {
		return fmt.Errorf("cannot encode the request: %w", err)
	}
	// A daemon that turns a caller away answers before it has read the request:
	// a failed write is reported only when no answer stands behind it.
	sent := writeFrame(c, request{Op: op, Args: jsontext.Value(raw)}, medium)
	for {
		var a answer
		f, err := readFrame(c, &a)
		if f != nil {
			f.Close()
		}
		switch {
		case err != nil && sent != nil:
			return sent
		case err != nil:
			return fmt.Errorf("sallyportd went away before it answered (%w): look at its log, then run 'sallyport status'", err)
		case a.Failure != nil:
			return a.Failure
		case a.Result != nil && result != nil:
			return strictDecode(a.Result, result)
		case a.Progress == nil && a.Update == nil:
			return nil
		default:
			if err := on(a); err != nil {
				return err
			}
		}
	}
}
