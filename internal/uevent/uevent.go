// Package uevent listens to the kernel's announcements of devices (netlink
// family NETLINK_KOBJECT_UEVENT, the kernel's own group 1, never udev's). An
// event is a hint that sysfs has changed, and no more: whoever waits here looks
// at sysfs again and decides by what stands there. That is why nothing is lost
// when events are: a full socket, a message that is cut or cannot be parsed,
// and one that go-udev refuses all end in a [Batch] that says "look at all of
// it again".
//
// Messages are taken only from the kernel: sent by netlink port 0 to the group,
// with the credentials of process 0 and user 0 that the kernel itself attaches.
// Everything else is counted and dropped. Values may quote what a device says
// of itself (names, serials): they are foreign text.
//
// go-udev opens and binds the socket and parses; receiving is ours, because its
// monitor accepts any sender, ends for ever on the first full socket and cannot
// be stopped, and its parser panics on some messages.
package uevent

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/pilebones/go-udev/netlink"
	"golang.org/x/sys/unix"
)

const (
	// messageBytes is more than the kernel ever sends (UEVENT_BUFFER_SIZE is
	// 2,048 bytes and the header a path).
	messageBytes = 16 << 10
	// queueBytes is asked for the socket's queue: some ten thousand events.
	queueBytes = 16 << 20
	// batchEvents is the most that one [Batch] holds.
	batchEvents = 1024
)

// Event is one announcement. Its texts are foreign.
type Event struct {
	Action    string // "add", "remove", "change", "bind", …
	DevPath   string // below /sys, with a leading slash
	Subsystem string // "usb", "block", …
	DevType   string // "usb_device", "usb_interface", "disk", "partition", or ""
	DevName   string // below /dev, or ""
	DiskSeq   uint64 // of a block device; 0 for none
}

// Batch is what was waiting on the socket.
type Batch struct {
	Events []Event
	// Lost says that events may be missing: everything has to be looked at.
	Lost bool
	// Foreign is the number of messages that did not come from the kernel.
	Foreign int
}

// Listener is a subscription. It is for one goroutine; it has none of its own.
type Listener struct {
	file *os.File
	raw  syscall.RawConn
	buf  []byte
	oob  []byte
}

// Listen subscribes. Subscribe first, then look at sysfs, then wait: what
// changes in between is announced.
func Listen() (*Listener, error) {
	var conn netlink.UEventConn
	if err := conn.Connect(netlink.KernelEvent); err != nil {
		return nil, fmt.Errorf("cannot subscribe to the kernel's events: %w", err)
	}
	l, err := newListener(conn.Fd)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("cannot subscribe to the kernel's events: %w", err), conn.Close())
	}
	return l, nil
}

// newListener takes over a bound socket, unless it returns an error.
func newListener(fd int) (*Listener, error) {
	unix.CloseOnExec(fd)
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PASSCRED, 1); err != nil {
		return nil, fmt.Errorf("cannot ask for the senders' credentials: %w", err)
	}
	// Beyond the system's ceiling only with CAP_NET_ADMIN; up to it without.
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, queueBytes) != nil {
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, queueBytes); err != nil {
			return nil, fmt.Errorf("cannot enlarge the queue: %w", err)
		}
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		return nil, err
	}
	file := os.NewFile(uintptr(fd), "kernel events")
	raw, err := file.SyscallConn()
	if err != nil {
		return nil, err
	}
	return &Listener{file: file, raw: raw, buf: make([]byte, messageBytes), oob: make([]byte, unix.CmsgSpace(unix.SizeofUcred))}, nil
}

// Close ends the subscription; a Wait in another goroutine returns an error.
func (l *Listener) Close() error { return l.file.Close() }

// Wait returns what has happened since the last call: it waits for the first
// message and takes with it all that are there. It ends with ctx's error when
// ctx does. Any other error means that the subscription is of no more use.
func (l *Listener) Wait(ctx context.Context) (Batch, error) {
	if err := l.file.SetReadDeadline(time.Time{}); err != nil {
		return Batch{}, fmt.Errorf("cannot wait for the kernel's events: %w", err)
	}
	// Setting a deadline in the past wakes the read.
	stop := context.AfterFunc(ctx, func() { l.file.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	var b Batch
	for {
		again, err := l.receive(&b)
		switch {
		case ctx.Err() != nil:
			return Batch{}, ctx.Err()
		case errors.Is(err, os.ErrDeadlineExceeded): // of a call that was over by then
			if err := l.file.SetReadDeadline(time.Time{}); err != nil {
				return Batch{}, fmt.Errorf("cannot wait for the kernel's events: %w", err)
			}
		case err != nil:
			return Batch{}, fmt.Errorf("cannot read the kernel's events: %w", err)
		case !again:
			return b, nil
		}
	}
}

// receive takes one message, waiting for it only while b is empty. It says
// whether there may be more.
func (l *Listener) receive(b *Batch) (again bool, err error) {
	empty := len(b.Events) == 0 && !b.Lost && b.Foreign == 0
	var n, oobn, flags int
	var from unix.Sockaddr
	var got error
	err = l.raw.Read(func(fd uintptr) bool {
		n, oobn, flags, from, got = unix.Recvmsg(int(fd), l.buf, l.oob, 0)
		return got != unix.EAGAIN && got != unix.EINTR || !empty
	})
	switch {
	case err != nil:
		return false, err
	case got == unix.EAGAIN:
		return false, nil
	case got == unix.EINTR:
		return true, nil
	case got == unix.ENOBUFS: // the queue was full and events were dropped
		b.Lost = true
		return true, nil
	case got != nil:
		return false, got
	case !fromKernel(from, l.oob[:oobn]):
		b.Foreign++
		return len(b.Events)+b.Foreign < batchEvents, nil
	}
	e, ok := Parse(l.buf[:n])
	if !ok || flags&(unix.MSG_TRUNC|unix.MSG_CTRUNC) != 0 {
		b.Lost = true
		return true, nil
	}
	b.Events = append(b.Events, e)
	return len(b.Events)+b.Foreign < batchEvents, nil
}

// fromKernel checks the sender as the kernel attests it.
func fromKernel(from unix.Sockaddr, oob []byte) bool {
	addr, ok := from.(*unix.SockaddrNetlink)
	if !ok || addr.Pid != 0 || addr.Groups != uint32(netlink.KernelEvent) {
		return false
	}
	list, err := unix.ParseSocketControlMessage(oob)
	if err != nil || len(list) != 1 {
		return false
	}
	cred, err := unix.ParseUnixCredentials(&list[0])
	return err == nil && cred.Pid == 0 && cred.Uid == 0 && cred.Gid == 0
}

// Parse reads one message of the kernel: "ACTION@DEVPATH", then "KEY=VALUE"
// texts, each ended by NUL (lib/kobject_uevent.c). It says whether the message
// is of that form.
func Parse(msg []byte) (e Event, ok bool) {
	head, _, found := bytes.Cut(msg, []byte{0})
	if !found || msg[len(msg)-1] != 0 || len(bytes.Split(head, []byte("@"))) != 2 {
		return Event{}, false
	}
	defer func() { // the library's parser is not ours
		if recover() != nil {
			e, ok = Event{}, false
		}
	}()
	parsed, err := netlink.ParseUEvent(msg)
	if err != nil || !strings.HasPrefix(parsed.KObj, "/") {
		return Event{}, false
	}
	seq, err := strconv.ParseUint(parsed.Env["DISKSEQ"], 10, 64)
	if err != nil && parsed.Env["DISKSEQ"] != "" {
		return Event{}, false
	}
	return Event{
		Action: parsed.Action.String(), DevPath: parsed.KObj, Subsystem: parsed.Env["SUBSYSTEM"],
		DevType: parsed.Env["DEVTYPE"], DevName: parsed.Env["DEVNAME"], DiskSeq: seq,
	}, true
}
