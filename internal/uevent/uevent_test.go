package uevent

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"sallyport/internal/testtool"
)

// null is a device that every kernel has; writing an action to this file makes
// the kernel announce it.
const null = "/sys/devices/virtual/mem/null/uevent"

func announce(t testing.TB, n int) {
	t.Helper()
	f, err := os.OpenFile(null, os.O_WRONLY, 0)
	if err != nil {
		testtool.Root(t)
		t.Fatal(err)
	}
	defer f.Close()
	for range n {
		if _, err := f.WriteString("change"); err != nil {
			t.Fatal(err)
		}
	}
}

func listen(t testing.TB) *Listener {
	t.Helper()
	l, err := Listen()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// soon is a context for what has to happen at once.
func soon(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// wait returns the first batch that holds an event of the null device, with
// all that came before it.
func wait(t testing.TB, l *Listener) (sum Batch) {
	t.Helper()
	ctx := soon(t)
	for {
		b, err := l.Wait(ctx)
		if err != nil {
			t.Fatal(err)
		}
		sum.Events, sum.Lost, sum.Foreign = append(sum.Events, b.Events...), sum.Lost || b.Lost, sum.Foreign+b.Foreign
		for _, e := range b.Events {
			if e.DevName == "null" {
				return sum
			}
		}
	}
}

func TestTheKernelIsHeard(t *testing.T) {
	l := listen(t)
	announce(t, 1)
	b := wait(t, l)
	want := Event{Action: "change", DevPath: "/devices/virtual/mem/null", Subsystem: "mem", DevName: "null"}
	if e := b.Events[len(b.Events)-1]; e != want || b.Lost {
		t.Errorf("heard %+v, lost %t", e, b.Lost)
	}
}

// A process can send to the same group, and to our port alone, whatever it
// likes, and root can do so in the name of the kernel's user. It is not heard.
func TestOnlyTheKernelIsHeard(t *testing.T) {
	testtool.Root(t)
	l := listen(t)
	var port uint32
	if err := l.raw.Control(func(fd uintptr) {
		sa, err := unix.Getsockname(int(fd))
		if err != nil {
			t.Error(err)
			return
		}
		port = sa.(*unix.SockaddrNetlink).Pid
	}); err != nil {
		t.Fatal(err)
	}
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_KOBJECT_UEVENT)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	forged := []byte("add@/devices/forged\x00ACTION=add\x00DEVPATH=/devices/forged\x00SUBSYSTEM=block\x00DEVNAME=sda\x00")
	sent := 0
	for _, to := range []*unix.SockaddrNetlink{{Family: unix.AF_NETLINK, Pid: port}, {Family: unix.AF_NETLINK, Groups: 1}} {
		if err := unix.Sendto(fd, forged, 0, to); err != nil {
			t.Logf("the kernel itself refuses %+v: %v", to, err)
			continue
		}
		sent++
	}
	if sent == 0 {
		t.Fatal("nothing could be forged, so nothing was shown")
	}
	announce(t, 1)
	b := wait(t, l)
	if b.Foreign != sent {
		t.Errorf("%d messages were recognised as forged, %d were sent", b.Foreign, sent)
	}
	for _, e := range b.Events {
		if strings.Contains(e.DevPath, "forged") {
			t.Errorf("a forged event was believed: %+v", e)
		}
	}
}

// Whatever does not fit into the queue is answered by "look at all of it", and
// the subscription goes on.
func TestFloodIsNeverSilent(t *testing.T) {
	for _, queue := range []int{4 << 10, queueBytes} {
		t.Run(fmt.Sprint(queue), func(t *testing.T) {
			l := listen(t)
			if queue != queueBytes {
				if err := l.raw.Control(func(fd uintptr) {
					if err := unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, queue); err != nil {
						t.Error(err)
					}
				}); err != nil {
					t.Fatal(err)
				}
			}
			const flood = 10_000
			announce(t, flood)
			events, lost := 0, false
			ctx := soon(t)
			for events < flood && !lost {
				b, err := l.Wait(ctx)
				if err != nil {
					t.Fatalf("after %d events: %v", events, err)
				}
				if len(b.Events) > batchEvents {
					t.Fatalf("a batch of %d events", len(b.Events))
				}
				events, lost = events+len(b.Events), lost || b.Lost
			}
			if queue == 4<<10 && !lost {
				t.Error("a small queue was not overrun, so nothing was shown")
			}
			for { // drain
				ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
				_, err := l.Wait(ctx)
				cancel()
				if err != nil {
					break
				}
			}
			announce(t, 1)
			wait(t, l)
		})
	}
}

func TestWaitEndsWhenToldTo(t *testing.T) {
	before := runtime.NumGoroutine()
	l := listen(t)
	for range 3 { // again and again with the same listener
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() {
			for {
				if _, err := l.Wait(ctx); err != nil {
					ended <- err
					return
				}
			}
		}()
		cancel()
		select {
		case err := <-ended:
			if !errors.Is(err, context.Canceled) {
				t.Errorf("ended with %v", err)
			}
		case <-soon(t).Done():
			t.Fatal("Wait does not end")
		}
	}
	announce(t, 1)
	wait(t, l) // it is still of use
	ended := make(chan error, 1)
	go func() {
		for {
			if _, err := l.Wait(context.Background()); err != nil {
				ended <- err
				return
			}
		}
	}()
	l.Close()
	select {
	case <-ended:
	case <-soon(t).Done():
		t.Fatal("Wait does not end when the listener is closed")
	}
	for end := time.Now().Add(10 * time.Second); runtime.NumGoroutine() > before+4; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d goroutines, %d before", runtime.NumGoroutine(), before)
		}
	}
}

func TestParse(t *testing.T) {
	good := "add@/devices/pci0000:00/usb1/1-1\x00ACTION=add\x00DEVPATH=/devices/pci0000:00/usb1/1-1\x00SUBSYSTEM=usb\x00DEVTYPE=usb_device\x00DEVNAME=bus/usb/001/002\x00"
	e, ok := Parse([]byte(good))
	if !ok || e.Action != "add" || e.Subsystem != "usb" || e.DevType != "usb_device" || e.DevPath != "/devices/pci0000:00/usb1/1-1" {
		t.Errorf("%+v, %t", e, ok)
	}
	disk, ok := Parse([]byte("change@/devices/x/block/sda\x00DISKSEQ=17\x00SUBSYSTEM=block\x00"))
	if !ok || disk.DiskSeq != 17 {
		t.Errorf("%+v, %t", disk, ok)
	}
	for _, bad := range []string{
		"", "\x00", "add", "add@x", "add@/x", "@\x00", "add@\x00", "add@@/x\x00", "add@x\x00", "burn@/x\x00", "add@/x\x00NOVALUE\x00",
		"add@/x\x00A=B", "add@/x\x00DISKSEQ=-1\x00", "libudev\x00" + strings.Repeat("\x00", 60), good[:len(good)-1],
	} {
		if e, ok := Parse([]byte(bad)); ok {
			t.Errorf("%q was taken for %+v", bad, e)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("add@/devices/x\x00ACTION=add\x00DEVPATH=/devices/x\x00SUBSYSTEM=block\x00DEVNAME=sda\x00DISKSEQ=3\x00"))
	f.Add([]byte("remove@/devices/y\x00A=\x00"))
	f.Add(append([]byte("libudev\x00\xfe\xed\xca\xfe\x28\x00\x00\x00\x28\x00\x00\x00"), make([]byte, 40)...))
	f.Add([]byte("add@x"))
	f.Fuzz(func(t *testing.T, msg []byte) {
		e, ok := Parse(msg)
		if !ok {
			if e != (Event{}) {
				t.Errorf("refused and yet %+v", e)
			}
			return
		}
		if e.Action == "" || !strings.HasPrefix(e.DevPath, "/") || strings.ContainsRune(e.DevPath+e.DevName+e.Subsystem, 0) {
			t.Errorf("%q was taken for %+v", msg, e)
		}
	})
}
