package link

import (
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"sallyport/internal/strictjson"
	"sallyport/internal/testtool"
)

func TestTheOtherEndsEnd(t *testing.T) {
	usbd, sallyportd := pair(t)
	if err := usbd.Send(Report{Kind: Detached, ID: 1}, nil); err != nil {
		t.Fatal(err)
	}
	usbd.Close()
	var r Report
	if _, err := sallyportd.Receive(&r); err != nil || r.ID != 1 {
		t.Fatalf("what was said before the end is lost: %+v, %v", r, err)
	}
	for range 2 {
		if f, err := sallyportd.Receive(&r); !errors.Is(err, io.EOF) || f != nil {
			t.Errorf("the end is %v, %v", f, err)
		}
	}
	if err := sallyportd.Send(Order{Kind: Open, ID: 1}, nil); err == nil {
		t.Error("an order went to nobody")
	}
}

func TestCloseWakesReceive(t *testing.T) {
	_, sallyportd := pair(t)
	ended := make(chan error, 1)
	go func() {
		_, err := sallyportd.Receive(&Report{})
		ended <- err
	}()
	sallyportd.Close()
	select {
	case err := <-ended:
		if !errors.Is(err, net.ErrClosed) {
			t.Errorf("ended with %v", err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("Receive does not end")
	}
}

// A message without a byte looks like the end; a descriptor beside it must not
// stay open for that. Go's own functions cannot send one.
func TestAFileBesideNothingDoesNotStayOpen(t *testing.T) {
	usbd, sallyportd := pair(t)
	f := testtool.File(t, "")
	rights := unix.UnixRights(int(f.Fd()))
	before := testtool.Descriptors(t)
	rc, err := sallyportd.c.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var errno unix.Errno
	err = rc.Control(func(fd uintptr) {
		msg := unix.Msghdr{Control: &rights[0], Controllen: uint64(len(rights))}
		_, _, errno = unix.Syscall(unix.SYS_SENDMSG, fd, uintptr(unsafe.Pointer(&msg)), unix.MSG_NOSIGNAL)
	})
	if err != nil || errno != 0 {
		t.Fatal(err, errno)
	}
	if file, err := usbd.Receive(&Order{}); err == nil || file != nil {
		t.Errorf("nothing was taken for an order: %v, %v", file, err)
	}
	if now := testtool.Descriptors(t); now != before {
		t.Errorf("%d descriptors are open, %d were before", now, before)
	}
}

func TestDialAndWhoIsThere(t *testing.T) {
	name := filepath.Join(t.TempDir(), "usbd.sock")
	if _, err := Dial(name); err == nil {
		t.Fatal("a socket that is not there was reached")
	}
	stream, err := net.ListenUnix("unix", &net.UnixAddr{Name: name, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	if c, err := Dial(name); err == nil {
		t.Errorf("a socket that mixes messages was reached: %v", c)
	}
	stream.Close()
	l, err := net.ListenUnix("unixpacket", &net.UnixAddr{Name: name, Net: "unixpacket"})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	client, err := Dial(name)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	c, err := l.AcceptUnix()
	if err != nil {
		t.Fatal(err)
	}
	server := New(c)
	defer server.Close()
	for _, end := range []*Conn{client, server} {
		if uid, err := end.PeerUID(); err != nil || uid != uint32(os.Geteuid()) {
			t.Errorf("the other end is uid %d, %v", uid, err)
		}
	}
	if err := client.Send(Order{Kind: Open, ID: 4}, nil); err != nil {
		t.Fatal(err)
	}
	var o Order
	if _, err := server.Receive(&o); err != nil || o != (Order{Kind: Open, ID: 4}) {
		t.Errorf("%+v, %v", o, err)
	}
	server.Close()
	if uid, err := server.PeerUID(); err == nil {
		t.Errorf("a closed connection has uid %d at its other end", uid)
	}
}

// Whatever is understood has one meaning: it can be said again and is
// understood as the same.
func FuzzMessages(f *testing.F) {
	for _, r := range reports() {
		b, err := strictjson.Encode(r)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	for _, o := range orders() {
		b, err := strictjson.Encode(o)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	for _, s := range []string{
		`{}`, `{"kind":"state","ports":[],"not_ready":[]}`, `{"ports":[{},{}]}`, `{"device":{"refusal":{}}}`, ` {"id" : -1 , "kind":"\u0000\ud83d\uddf3"}`,
		`{"kind":"open","id":1}{}`, `{"disk":{"diskseq":9007199254740991}}`, `{"id":1,"id":1}`, `[[[[`, "\xff",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, v := range []struct{ first, second any }{{new(Report), new(Report)}, {new(Order), new(Order)}} {
			if decode(body, v.first) != nil {
				continue
			}
			again, err := strictjson.Encode(v.first)
			if err != nil {
				t.Fatalf("%+v cannot be said again: %v", v.first, err)
			}
			// Members that were left out make it longer, not different.
			if err := strictjson.Decode(again, v.second, 16*MaxMessage); err != nil {
				t.Fatalf("%q is not understood again: %v", again, err)
			}
			if !reflect.DeepEqual(v.first, v.second) {
				t.Errorf("%q was understood as %+v, then as %+v", body, v.first, v.second)
			}
		}
	})
}
