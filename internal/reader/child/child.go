// Package child is the confined side of the reader: it locks the process down,
// then lists one medium and streams its files over one socket. It opens
// nothing: the socket is descriptor 3, the memory shared with the parent
// descriptor 5, which is mapped and closed, and the device becomes descriptor 4:
// it comes over the socket before the lockdown, so that the child can be started
// while the device is still being made ready. What it
// reads from the device is foreign and hostile, which is why it runs confined;
// what it says is checked by package reader. Package volume does the parsing.
package child

import (
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"

	"sallyport/internal/reader/wire"
	"sallyport/internal/sandbox"
	"sallyport/internal/verdict"
)

// The descriptors that the parent passes.
const (
	socketFD = 3
	deviceFD = 4
	ringFD   = 5
)

// Main waits for the device, locks the process down, serves the parent and
// returns the exit status: 0 when the parent closed the connection, 1 otherwise.
func Main() int {
	conn := descriptor(socketFD)
	// Mapping and receiving are forbidden afterwards.
	ring, err := unix.Mmap(ringFD, 0, wire.RingBytes, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	var proof sandbox.Proof
	if err == nil {
		err = wire.TakeDevice(socketFD, deviceFD)
	}
	if errors.Is(err, io.EOF) {
		return 0 // there is no medium for it
	}
	if err == nil {
		proof, err = sandbox.Lockdown()
	}
	if err != nil {
		f := verdict.New(verdict.SandboxUnavailable, "start of the reader", "%s", err.Error())
		w := newWriter(conn)
		w.message(wire.TypeRefuse, wire.AppendFinding(nil, f))
		err = errors.Join(err, w.flush())
	} else {
		err = Serve(conn, descriptor(deviceFD), ring, proof)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "sallyport-reader:", err)
		return 1
	}
	return 0
}

// descriptor reads and writes without the runtime's poller: the calls block,
// and fewer kinds of them are needed.
type descriptor int

func (d descriptor) Read(p []byte) (int, error) {
	for {
		n, err := unix.Read(int(d), p)
		switch {
		case err == unix.EINTR:
		case err != nil:
			return 0, err
		case n == 0:
			return 0, io.EOF
		default:
			return n, nil
		}
	}
}

func (d descriptor) Write(p []byte) (int, error) {
	done := 0
	for done < len(p) {
		n, err := unix.Write(int(d), p[done:])
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return done, err
		}
		done += n
	}
	return done, nil
}

func (d descriptor) ReadAt(p []byte, off int64) (int, error) {
	done := 0
	for done < len(p) {
		n, err := unix.Pread(int(d), p[done:], off+int64(done))
		switch {
		case err == unix.EINTR:
		case err != nil:
			return done, err
		case n == 0:
			return done, io.EOF
		default:
			done += n
		}
	}
	return done, nil
}
