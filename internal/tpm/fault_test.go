package tpm

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"sallyport/internal/tpm/tpmtest"
	"sallyport/internal/verdict"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"
	"golang.org/x/sys/unix"
)

// faulty is a TPM channel on which a test can fail one command.
type faulty struct {
	channel
	mu    sync.Mutex
	n     int
	fault func(n int, command []byte, send func() ([]byte, error)) ([]byte, error)
}

func (f *faulty) Send(ctx context.Context, command []byte) ([]byte, error) {
	f.mu.Lock()
	n, fault := f.n, f.fault
	f.n++
	f.mu.Unlock()
	send := func() ([]byte, error) { return f.channel.Send(ctx, command) }
	if fault == nil {
		return send()
	}
	return fault(n, command, send)
}

// set installs a fault and counts commands from 0 again.
func (f *faulty) set(fault func(n int, command []byte, send func() ([]byte, error)) ([]byte, error)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.n, f.fault = 0, fault
}

func (f *faulty) sent() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.n
}

// rig is a TPM over a real swtpm with a channel that can be made to fail.
func rig(t *testing.T) (*TPM, *faulty, *tpmtest.Process) {
	t.Helper()
	p := tpmtest.New(t)
	ch, err := dial(p.Addr)
	if err != nil {
		t.Fatal(err)
	}
	f := &faulty{channel: ch}
	tp := start(p.Addr, f)
	t.Cleanup(func() {
		if err := tp.Close(); err != nil {
			t.Error(err)
		}
	})
	return tp, f, p
}

func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

// station makes and loads an identity.
func station(t *testing.T, tp *TPM) Identity {
	t.Helper()
	ctx := within(t, time.Minute)
	id, err := tp.CreateIdentity(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := tp.LoadIdentity(ctx, id); err != nil {
		t.Fatal(err)
	}
	return id
}

func wantUnavailable(t *testing.T, err error) {
	t.Helper()
	if f, ok := verdict.Find(err); !ok || f.Reason != verdict.TPMUnavailable {
		t.Fatalf("error %v, want a tpm-unavailable finding", err)
	}
}

var errFault = errors.New("injected fault")

// Each command of an initialisation is failed once before and once after it
// took effect: the TPM must be empty afterwards, with all its slots free, so
// that the next init works.
func TestInitFailedAtAnyCommandLeavesNothing(t *testing.T) {
	tp, f, _ := rig(t)
	ctx := within(t, time.Minute)
	f.set(nil)
	if _, err := tp.CreateIdentity(ctx, nil); err != nil {
		t.Fatal(err)
	}
	commands := f.sent()
	if err := tp.RemoveIdentity(ctx); err != nil {
		t.Fatal(err)
	}
	for at := range commands {
		for _, tookEffect := range []bool{false, true} {
			f.set(func(n int, _ []byte, send func() ([]byte, error)) ([]byte, error) {
				if n != at {
					return send()
				}
				if tookEffect {
					if _, err := send(); err != nil {
						return nil, err
					}
				}
				return nil, errFault
			})
			_, err := tp.CreateIdentity(ctx, nil)
			if !errors.Is(err, errFault) {
				t.Fatalf("command %d, took effect %v: CreateIdentity = %v", at, tookEffect, err)
			}
			wantUnavailable(t, err)
			f.set(nil)
			left, err := call(ctx, tp, "look", ours)
			if err != nil || len(left) != 0 {
				t.Fatalf("command %d, took effect %v: left behind %d objects, %v", at, tookEffect, len(left), err)
			}
			nothingLoaded(t, tp)
		}
	}
	station(t, tp)
}

// nothingLoaded fails when an object or a session is left in the TPM's memory.
func nothingLoaded(t *testing.T, tp *TPM) {
	t.Helper()
	_, err := call(within(t, time.Minute), tp, "look", func(tr transport.TPM) (struct{}, error) {
		for _, kind := range []uint32{0x80000000, 0x02000000, 0x03000000} {
			rsp, err := tpm2.GetCapability{Capability: tpm2.TPMCapHandles, Property: kind, PropertyCount: 32}.Execute(tr)
			if err != nil {
				return struct{}{}, err
			}
			left, err := rsp.CapabilityData.Data.Handles()
			if err != nil {
				return struct{}{}, err
			}
			for _, h := range left.Handle {
				if h>>24 == tpm2.TPMHandle(kind>>24) || kind == 0x02000000 {
					return struct{}{}, fmt.Errorf("%#08x is still loaded", uint32(h))
				}
			}
		}
		return struct{}{}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// A power failure in the middle of an initialisation can leave objects;
// the next init says so and RemoveIdentity clears them.
func TestInitKilledHalfWayCanBeCleared(t *testing.T) {
	tp, f, p := rig(t)
	ctx := within(t, time.Minute)
	f.set(func(n int, command []byte, send func() ([]byte, error)) ([]byte, error) {
		if tpm2.TPMCC(binary.BigEndian.Uint32(command[6:])) == tpm2.TPMCCNVDefineSpace {
			p.Kill()
		}
		return send()
	})
	_, err := tp.CreateIdentity(ctx, nil)
	wantUnavailable(t, err)
	f.set(nil)
	p.Restart()
	if _, err := tp.CreateIdentity(ctx, nil); !errors.Is(err, ErrExists) {
		t.Fatalf("init over a half-made identity: %v", err)
	}
	if err := tp.RemoveIdentity(ctx); err != nil {
		t.Fatal(err)
	}
	station(t, tp)
}

func TestBusyTPMIsAskedAgain(t *testing.T) {
	tp, f, _ := rig(t)
	station(t, tp)
	busy := func(rc tpm2.TPMRC) []byte {
		return binary.BigEndian.AppendUint32([]byte{0x80, 0x01, 0, 0, 0, 10}, uint32(rc))
	}
	f.set(func(n int, _ []byte, send func() ([]byte, error)) ([]byte, error) {
		switch n {
		case 0:
			return busy(tpm2.TPMRCRetry), nil
		case 1:
			return busy(tpm2.TPMRCNVRate), nil
		}
		return send()
	})
	if _, err := tp.Sign(within(t, time.Minute), [32]byte{1}); err != nil {
		t.Fatal(err)
	}
	if n := f.sent(); n != 3 {
		t.Errorf("sent %d commands, want 3", n)
	}
	f.set(func(int, []byte, func() ([]byte, error)) ([]byte, error) { return busy(tpm2.TPMRCRetry), nil })
	_, err := tp.Sign(within(t, 50*time.Millisecond), [32]byte{1})
	wantUnavailable(t, err)
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v does not say that the deadline passed", err)
	}
}

func TestAnswersThatCannotBeTrusted(t *testing.T) {
	tp, f, _ := rig(t)
	station(t, tp)
	digest := [32]byte{7, 7, 7, 7, 7, 7, 7, 7}
	for name, spoil := range map[string]func(command []byte, send func() ([]byte, error)) ([]byte, error){
		"nothing": func([]byte, func() ([]byte, error)) ([]byte, error) { return nil, nil },
		"header only": func([]byte, func() ([]byte, error)) ([]byte, error) {
			return []byte{0x80, 0x02, 0, 0, 0, 10, 0, 0, 0, 0}, nil
		},
		"cut": func(_ []byte, send func() ([]byte, error)) ([]byte, error) {
			b, err := send()
			return b[:len(b)-7], err
		},
		"cut, with a length to match": func(_ []byte, send func() ([]byte, error)) ([]byte, error) {
			b, err := send()
			b = b[:len(b)-40]
			binary.BigEndian.PutUint32(b[2:], uint32(len(b)))
			return b, err
		},
		"one bit of the signature": func(_ []byte, send func() ([]byte, error)) ([]byte, error) {
			b, err := send()
			b[len(b)-10] ^= 1
			return b, err
		},
		"another scheme": func(_ []byte, send func() ([]byte, error)) ([]byte, error) {
			b, err := send()
			b[15] = 0x14 // RSASSA
			return b, err
		},
		"signature of something else": func(command []byte, send func() ([]byte, error)) ([]byte, error) {
			command[bytes.Index(command, digest[:])] ^= 1
			return send()
		},
	} {
		t.Run(name, func(t *testing.T) {
			f.set(func(_ int, command []byte, send func() ([]byte, error)) ([]byte, error) { return spoil(command, send) })
			sig, err := tp.Sign(within(t, time.Minute), digest)
			wantUnavailable(t, err)
			if sig != nil {
				t.Error("a signature came with the error")
			}
		})
	}
	f.set(nil)
	if _, err := tp.Sign(within(t, time.Minute), digest); err != nil {
		t.Errorf("a good answer after the bad ones: %v", err)
	}
}

// A TPM that stops in the middle of a command, or is killed there, costs the
// call and nothing else.
func TestTPMThatStopsInTheMiddle(t *testing.T) {
	tp, f, p := rig(t)
	station(t, tp)
	p.Pause()
	begun := time.Now()
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
			defer cancel()
			_, err := tp.Sign(ctx, [32]byte{1})
			if fi, ok := verdict.Find(err); !ok || fi.Reason != verdict.TPMUnavailable {
				t.Errorf("Sign on a stopped TPM: %v", err)
			}
		})
	}
	all.Wait()
	if d := time.Since(begun); d > 5*time.Second {
		t.Errorf("eight calls with deadlines of 100 ms took %v", d)
	}
	p.Resume()
	if _, err := tp.Sign(within(t, time.Minute), [32]byte{1}); err != nil {
		t.Errorf("after the TPM went on: %v", err)
	}

	// Killed while a command without any deadline is on its way.
	sent := make(chan struct{}, 1)
	f.set(func(_ int, _ []byte, send func() ([]byte, error)) ([]byte, error) {
		p.Pause()
		sent <- struct{}{}
		return send()
	})
	failed := make(chan error, 1)
	go func() {
		_, err := tp.CounterIncrement(context.Background())
		failed <- err
	}()
	<-sent
	p.Kill()
	wantUnavailable(t, <-failed)
	f.set(nil)
	p.Restart()
	if _, err := tp.Sign(within(t, time.Minute), [32]byte{1}); err != nil {
		t.Errorf("after the TPM came back: %v", err)
	}
}

// Close ends calls that wait for a TPM that has stopped, and leaves no goroutine.
func TestCloseUnblocks(t *testing.T) {
	p := tpmtest.New(t)
	ch, err := dial(p.Addr)
	if err != nil {
		t.Fatal(err)
	}
	sent := make(chan struct{}, 1)
	f := &faulty{channel: ch, fault: func(_ int, _ []byte, send func() ([]byte, error)) ([]byte, error) {
		sent <- struct{}{}
		return send()
	}}
	tp := start(p.Addr, f)
	p.Pause()
	failed := make(chan error, 1)
	go func() {
		_, err := tp.Clock(context.Background())
		failed <- err
	}()
	<-sent
	if err := tp.Close(); err != nil {
		t.Fatal(err)
	}
	wantUnavailable(t, <-failed)
	_, err = tp.Clock(context.Background())
	wantUnavailable(t, err)
	if err := tp.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		all := make([]byte, 1<<20)
		s := string(all[:runtime.Stack(all, true)])
		if !strings.Contains(s, "(*TPM).own") && !strings.Contains(s, "socket.Send") {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("a goroutine is left after Close:\n%s", s)
		}
	}
}

// hung is a driver that does not give a command back.
type hung struct{ free chan struct{} }

func (h hung) Send(context.Context, []byte) ([]byte, error) { <-h.free; return nil, errFault }
func (hung) Close() error                                   { return nil }

// Even when the operating system cannot be interrupted, callers are let go.
func TestDriverThatNeverReturns(t *testing.T) {
	h := hung{make(chan struct{})}
	tp := start("device:test", h)
	for range 3 {
		_, err := tp.Clock(within(t, 20*time.Millisecond))
		wantUnavailable(t, err)
	}
	failed := make(chan error, 1)
	go func() {
		_, err := tp.Clock(context.Background())
		failed <- err
	}()
	if err := tp.Close(); err == nil {
		t.Error("Close reported success while the driver holds a command")
	}
	wantUnavailable(t, <-failed)
	close(h.free)
	<-tp.gone
}

// The device path is used as it is on hardware, over a pseudo-terminal in raw
// mode behind which swtpm answers.
func TestDevicePath(t *testing.T) {
	p := tpmtest.New(t)
	master, name := pty(t)
	ch, err := dial(p.Addr)
	if err != nil {
		t.Fatal(err)
	}
	go func() { // the driver's part; ends when the test closes the master
		for {
			command := make([]byte, headerLen)
			if _, err := io.ReadFull(master, command); err != nil {
				return
			}
			command = append(command, make([]byte, binary.BigEndian.Uint32(command[2:])-headerLen)...)
			if _, err := io.ReadFull(master, command[headerLen:]); err != nil {
				return
			}
			rsp, err := ch.Send(context.Background(), command)
			if err != nil {
				return
			}
			if _, err := master.Write(rsp); err != nil {
				return
			}
		}
	}()
	tp, err := Open(within(t, time.Minute), "device:"+name)
	if err != nil {
		t.Fatal(err)
	}
	station(t, tp)
	if _, err := tp.Sign(within(t, time.Minute), [32]byte{9}); err != nil {
		t.Error(err)
	}
	if err := tp.Close(); err != nil {
		t.Error(err)
	}
}

func pty(t *testing.T) (master *os.File, name string) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { master.Close() })
	conn, err := master.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var slave *os.File
	if err := errors.Join(conn.Control(func(fd uintptr) {
		if err = unix.IoctlSetPointerInt(int(fd), unix.TIOCSPTLCK, 0); err != nil {
			return
		}
		var n int
		if n, err = unix.IoctlGetInt(int(fd), unix.TIOCGPTN); err != nil {
			return
		}
		name = fmt.Sprintf("/dev/pts/%d", n)
		if slave, err = os.OpenFile(name, os.O_RDWR|unix.O_NOCTTY, 0); err != nil {
			return
		}
		var term *unix.Termios
		if term, err = unix.IoctlGetTermios(int(slave.Fd()), unix.TCGETS); err != nil {
			return
		}
		term.Iflag, term.Oflag, term.Lflag = 0, 0, 0
		term.Cc[unix.VMIN], term.Cc[unix.VTIME] = 1, 0
		err = unix.IoctlSetTermios(int(slave.Fd()), unix.TCSETS, term)
	}), err); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { slave.Close() }) // keeps the mode until then
	return master, name
}

func TestAddressesAndMissingTPMs(t *testing.T) {
	for _, addr := range []string{"", "swtpm:", "/dev/tpm0", "tcp:localhost:2321", "device"} {
		if _, err := Open(within(t, time.Minute), addr); err == nil || !strings.Contains(err.Error(), "want device:") {
			t.Errorf("Open(%q) = %v", addr, err)
		}
	}
	dir := t.TempDir()
	for _, addr := range []string{"swtpm:" + dir + "/none", "device:" + dir + "/none", "device:" + dir} {
		_, err := Open(within(t, time.Minute), addr)
		wantUnavailable(t, err)
	}
}
