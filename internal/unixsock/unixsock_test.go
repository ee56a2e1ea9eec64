package unixsock

import (
	"errors"
	"io"
	"net"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"sallyport/internal/testtool"
)

// send puts the rights of each element beside one message, one header each.
func send(t *testing.T, c *net.UnixConn, groups ...[]int) {
	t.Helper()
	var oob []byte
	for _, fds := range groups {
		oob = append(oob, unix.UnixRights(fds...)...)
	}
	if _, _, err := c.WriteMsgUnix([]byte("x"), oob, nil); err != nil {
		t.Fatal(err)
	}
}

func take(t *testing.T, c *net.UnixConn) (*os.File, error) {
	t.Helper()
	oob := Space()
	_, n, flags, _, err := c.ReadMsgUnix(make([]byte, 8), oob)
	if err != nil {
		t.Fatal(err)
	}
	return TakeFile(oob[:n], flags)
}

func TestPeerIsWhoConnected(t *testing.T) {
	a, b := testtool.Sockets(t)
	for _, c := range []*net.UnixConn{a, b} {
		who, err := Peer(c)
		if err != nil || who.Pid != int32(os.Getpid()) || who.Uid != uint32(os.Geteuid()) || who.Gid != uint32(os.Getegid()) {
			t.Errorf("the other end is %+v, %v", who, err)
		}
	}
	a.Close()
	if who, err := Peer(a); err == nil {
		t.Errorf("a closed socket has %+v at its other end", who)
	}
	if who, err := Peer(b); err != nil || who.Pid != int32(os.Getpid()) {
		t.Errorf("who connected is forgotten when he leaves: %+v, %v", who, err)
	}
}

func TestControlPassesErrorsOn(t *testing.T) {
	a, _ := testtool.Sockets(t)
	mine := errors.New("mine")
	if err := Control(a, func(int) error { return mine }); !errors.Is(err, mine) {
		t.Errorf("%v", err)
	}
	if err := Control(a, func(fd int) error { return unix.Fstat(fd, new(unix.Stat_t)) }); err != nil {
		t.Errorf("the descriptor is not the socket's: %v", err)
	}
	a.Close()
	if err := Control(a, func(int) error { t.Error("called with a closed socket"); return nil }); err == nil {
		t.Error("a closed socket is no error")
	}
}

func TestAFileComesBesideAMessage(t *testing.T) {
	a, b := testtool.Sockets(t)
	if Rights(nil) != nil {
		t.Error("no file has rights")
	}
	if _, _, err := a.WriteMsgUnix([]byte("x"), Rights(nil), nil); err != nil {
		t.Fatal(err)
	}
	if f, err := take(t, b); f != nil || err != nil {
		t.Errorf("with nothing beside a message: %v, %v", f, err)
	}
	if _, _, err := a.WriteMsgUnix([]byte("x"), Rights(testtool.File(t, "what is on it")), nil); err != nil {
		t.Fatal(err)
	}
	f, err := take(t, b)
	if err != nil || f == nil {
		t.Fatal(f, err)
	}
	defer f.Close()
	if text, err := io.ReadAll(f); err != nil || string(text) != "what is on it" {
		t.Errorf("it holds %q, %v", text, err)
	}
	if flags, err := unix.FcntlInt(f.Fd(), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
		t.Errorf("children inherit it: %#x, %v", flags, err)
	}
}

// Whoever sends more than one gets none of them in, and leaves none behind.
func TestTooManyFilesAreAllClosed(t *testing.T) {
	fd := int(testtool.File(t, "").Fd())
	many := func(n int) []int {
		list := make([]int, n)
		for i := range list {
			list[i] = fd
		}
		return list
	}
	for name, groups := range map[string][][]int{
		"two": {many(2)}, "as many as there is room for": {many(4)}, "one more": {many(5)}, "as many as the kernel allows": {many(253)},
		"one and one": {many(1), many(1)}, "one and more than there is room for": {many(1), many(20)},
	} {
		a, b := testtool.Sockets(t)
		before := testtool.Descriptors(t)
		send(t, a, groups...)
		if f, err := take(t, b); err == nil || f != nil {
			t.Errorf("%s: %v, %v", name, f, err)
		}
		if now := testtool.Descriptors(t); now != before {
			t.Errorf("%s: %d descriptors are open, %d were before", name, now, before)
		}
	}
}

// What is cut is not what was sent, even if one file of it came.
func TestWhatIsCutIsClosed(t *testing.T) {
	f := testtool.File(t, "")
	before := testtool.Descriptors(t)
	fd, err := unix.Dup(int(f.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := TakeFile(unix.UnixRights(fd), unix.MSG_CTRUNC); err == nil || got != nil {
		t.Errorf("%v, %v", got, err)
	}
	if now := testtool.Descriptors(t); now != before {
		t.Errorf("%d descriptors are open, %d were before", now, before)
	}
	for name, oob := range map[string][]byte{
		"too short": {1, 2, 3}, "a length of zero": make([]byte, 32), "a length beyond the end": {200, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0},
		"none in it": unix.UnixRights(), "credentials": unix.UnixCredentials(&unix.Ucred{}),
	} {
		if got, err := TakeFile(oob, 0); err == nil || got != nil {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
}

// A process with no descriptor to spare gets the message without its file, and
// must not take that for a message that came without one.
func TestAFileThatDoesNotFitIsAnError(t *testing.T) {
	a, b := testtool.Sockets(t)
	f := testtool.File(t, "")
	send(t, a, []int{int(f.Fd())})
	oob, body := Space(), make([]byte, 8)
	var n, flags int
	var rerr error
	err := Control(b, func(fd int) error {
		free, err := unix.Dup(fd) // the lowest that is free
		if err != nil {
			return err
		}
		unix.Close(free)
		var was unix.Rlimit
		if err := unix.Prlimit(0, unix.RLIMIT_NOFILE, nil, &was); err != nil {
			return err
		}
		if err := unix.Prlimit(0, unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: uint64(free), Max: was.Max}, nil); err != nil {
			return err
		}
		_, n, flags, _, rerr = unix.Recvmsg(fd, body, oob, unix.MSG_CMSG_CLOEXEC)
		return unix.Prlimit(0, unix.RLIMIT_NOFILE, &was, nil)
	})
	if err := errors.Join(err, rerr); err != nil {
		t.Fatal(err)
	}
	if flags&unix.MSG_CTRUNC == 0 {
		t.Fatalf("the kernel found room (flags %#x), so nothing was shown", flags)
	}
	if got, err := TakeFile(oob[:n], flags); err == nil {
		t.Errorf("the file that was lost is told as %v, without an error", got)
	}
}
