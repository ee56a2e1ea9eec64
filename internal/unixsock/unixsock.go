// Package unixsock is what unix sockets carry besides bytes: who stands at the
// other end, as the kernel noted it, and open files. It opens and parses
// nothing; what arrives beside a message is taken or closed, never left open.
package unixsock

import (
	"fmt"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// Peer returns the process at the other end as it was when it connected
// (SO_PEERCRED, unix(7)).
func Peer(c *net.UnixConn) (*unix.Ucred, error) {
	var cred *unix.Ucred
	err := Control(c, func(fd int) (err error) {
		cred, err = unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("cannot ask who is at the other end: %w", err)
	}
	return cred, nil
}

// Control calls do with the socket's descriptor and returns its error.
func Control(c *net.UnixConn, do func(fd int) error) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	var got error
	if err := raw.Control(func(fd uintptr) { got = do(int(fd)) }); err != nil {
		return err
	}
	return got
}

// Rights is what goes beside a message so that file arrives with it; nil for nil.
func Rights(file *os.File) []byte {
	if file == nil {
		return nil
	}
	return unix.UnixRights(int(file.Fd()))
}

// Space is room for what may arrive beside a message, with some to spare, so
// that too much is seen and closed.
func Space() []byte { return make([]byte, unix.CmsgSpace(4*4)) }

// TakeFile returns the one file in oob, nil when nothing is there, and closes
// all when there is more; flags are those of the received message.
func TakeFile(oob []byte, flags int) (*os.File, error) {
	if len(oob) == 0 && flags&unix.MSG_CTRUNC == 0 {
		return nil, nil
	}
	msgs, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return nil, fmt.Errorf("cannot read what is beside a message: %w", err)
	}
	var fds []int
	for i := range msgs {
		if got, err := unix.ParseUnixRights(&msgs[i]); err == nil {
			fds = append(fds, got...)
		}
	}
	if len(fds) != 1 || flags&unix.MSG_CTRUNC != 0 {
		for _, fd := range fds {
			unix.Close(fd)
		}
		return nil, fmt.Errorf("cannot accept %d open files beside a message: send one", len(fds))
	}
	unix.CloseOnExec(fds[0])
	return os.NewFile(uintptr(fds[0]), "medium"), nil
}
