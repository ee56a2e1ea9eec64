package wire

import (
	"errors"
	"fmt"
	"io"

	"golang.org/x/sys/unix"
)

// SendDevice passes the open device over the socket to a child that waits for
// it: the first and only message that is no frame.
func SendDevice(socket, device int) error {
	for {
		err := unix.Sendmsg(socket, []byte{0}, unix.UnixRights(device), nil, 0)
		if !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

// TakeDevice waits in a child for the device, and gives it the descriptor at.
// io.EOF means that the parent has no medium for it.
func TakeDevice(socket, at int) error {
	var one [1]byte
	oob := make([]byte, unix.CmsgSpace(4))
	for {
		n, oobn, flags, _, err := unix.Recvmsg(socket, one[:], oob, 0)
		switch {
		case err == unix.EINTR:
			continue
		case err != nil:
			return fmt.Errorf("cannot wait for the device: %w", err)
		case n == 0:
			return io.EOF
		}
		msgs, err := unix.ParseSocketControlMessage(oob[:oobn])
		if err != nil || len(msgs) != 1 || flags&unix.MSG_CTRUNC != 0 {
			return fmt.Errorf("cannot take the device: %d messages beside the first byte: %w", len(msgs), err)
		}
		fds, err := unix.ParseUnixRights(&msgs[0])
		if err != nil || len(fds) != 1 {
			return fmt.Errorf("cannot take the device: %d descriptors came: %w", len(fds), err)
		}
		if err := unix.Dup2(fds[0], at); err != nil {
			return fmt.Errorf("cannot take the device: %w", err)
		}
		return unix.Close(fds[0])
	}
}
