package tpm

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"time"

	"github.com/google/go-tpm/tpm2"
	"golang.org/x/sys/unix"
)

const (
	// maxMessage is the largest command or response of a TPM in bytes.
	maxMessage = 4096
	headerLen  = 10 // tag (2), length (4), code (4)
	// commandLimit bounds a command whose caller set no deadline. The longest
	// one here makes a P-256 key: some seconds on slow chips.
	commandLimit = 60 * time.Second
)

// channel carries one command and its response. It is used by the owner
// goroutine only.
type channel interface {
	// Send gives up when ctx ends, as far as the operating system lets it.
	Send(ctx context.Context, command []byte) ([]byte, error)
	Close() error
}

// dial returns the channel for an address and connects to nothing yet.
func dial(addr string) (channel, error) {
	kind, path, ok := strings.Cut(addr, ":")
	if ok && path != "" {
		switch kind {
		case "device":
			return &device{path: path}, nil
		case "swtpm":
			return socket{path}, nil
		}
	}
	return nil, fmt.Errorf("cannot use the TPM address %q: want device:/dev/tpmrm0 or swtpm:/path/to/socket", addr)
}

// link is a channel bound to one call's context: the one-method transport that
// go-tpm asks for.
type link struct {
	ctx context.Context
	ch  channel
}

// Send sends the command again, with growing pauses, while the TPM answers
// that it is busy (TPM_RC_RETRY and its like, Part 2, 6.6.3). It has not begun
// the command then, nor changed its session, so both may be repeated as they are.
func (l *link) Send(command []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(l.ctx, commandLimit)
	defer cancel()
	for pause := 2 * time.Millisecond; ; pause = min(2*pause, time.Second) {
		if err := ctx.Err(); err != nil {
			return nil, context.Cause(ctx)
		}
		rsp, err := l.ch.Send(ctx, command)
		if err != nil {
			return nil, err
		}
		if len(rsp) < headerLen || int64(binary.BigEndian.Uint32(rsp[2:])) != int64(len(rsp)) {
			return nil, fmt.Errorf("the TPM's answer of %d bytes is malformed", len(rsp))
		}
		switch tpm2.TPMRC(binary.BigEndian.Uint32(rsp[6:])) {
		case tpm2.TPMRCRetry, tpm2.TPMRCYielded, tpm2.TPMRCTesting, tpm2.TPMRCNVRate:
			select {
			case <-time.After(pause):
			case <-ctx.Done():
				return nil, fmt.Errorf("the TPM stays busy: %w", context.Cause(ctx))
			}
		default:
			return rsp, nil
		}
	}
}

// socket is swtpm behind its unix socket. go-tpm's own transport for it
// (linuxudstpm) knows no deadline; this one can always be interrupted. Each
// command has its own connection, as there: swtpm serves one at a time, so the
// daemon and the command line take turns, and a restarted swtpm is found again.
type socket struct{ path string }

func (s socket) Send(ctx context.Context, command []byte) ([]byte, error) {
	var d net.Dialer
	c, err := d.DialContext(ctx, "unix", s.path)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	// A deadline in the past ends a Read or Write that waits for a TPM that has
	// stopped.
	stop := context.AfterFunc(ctx, func() { c.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	rsp, err := exchange(c, command)
	if err != nil && ctx.Err() != nil {
		return nil, fmt.Errorf("no answer in time: %w", context.Cause(ctx))
	}
	return rsp, err
}

// exchange writes a command and reads the whole response. A TPM device gives
// it in one read and may drop what is not read, so the first read has room for
// the largest.
func exchange(rw io.ReadWriter, command []byte) ([]byte, error) {
	if _, err := rw.Write(command); err != nil {
		return nil, err
	}
	rsp := make([]byte, maxMessage)
	n, err := io.ReadAtLeast(rw, rsp, headerLen)
	if err != nil {
		return nil, fmt.Errorf("cannot read the TPM's answer: %w", err)
	}
	size := binary.BigEndian.Uint32(rsp[2:])
	if size < headerLen || size > maxMessage || uint32(n) > size {
		return nil, fmt.Errorf("the TPM announces an answer of %d bytes and gives %d", size, n)
	}
	if _, err := io.ReadFull(rw, rsp[n:size]); err != nil {
		return nil, fmt.Errorf("cannot read the TPM's answer: %w", err)
	}
	return rsp[:size], nil
}

func (socket) Close() error { return nil }

// device is a character device of the kernel's TPM driver. It is opened in
// blocking mode: write(2) returns when the TPM has answered. (In non-blocking mode a read before the answer looks
// like an end of file, and poll(2) waits on the driver's lock all the same.)
// The driver has its own timeouts; until they pass, a dead TPM keeps the owner
// goroutine, and only that.
type device struct {
	path string
	fd   *os.File
}

func (d *device) Send(_ context.Context, command []byte) ([]byte, error) {
	if d.fd == nil {
		fd, err := unix.Open(d.path, unix.O_RDWR|unix.O_CLOEXEC, 0)
		if err != nil {
			if errors.Is(err, unix.EBUSY) {
				err = fmt.Errorf("%w (another program holds it; /dev/tpmrm0 can be shared)", err)
			}
			return nil, &os.PathError{Op: "open", Path: d.path, Err: err}
		}
		d.fd = os.NewFile(uintptr(fd), d.path)
	}
	rsp, err := exchange(d.fd, command)
	if err != nil {
		// Never read a late answer as that of the next command.
		return nil, errors.Join(err, d.Close())
	}
	return rsp, nil
}

func (d *device) Close() error {
	if d.fd == nil {
		return nil
	}
	err := d.fd.Close()
	d.fd = nil
	return err
}
