package usbd

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/rs/zerolog"
	"golang.org/x/sys/unix"

	"sallyport/internal/testtool"
	"sallyport/internal/usb"
	"sallyport/internal/usb/link"
)

// files is a folder that stands for /sys: its files take what is written, but
// keep a longer rest, which the kernel's do not.
func files(t *testing.T, list map[string]string) (*sysfs, func(name string) string) {
	t.Helper()
	root := t.TempDir()
	for name, text := range list {
		p := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	k, err := openKernel(root, filepath.Join(root, "dev"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { k.root.Close() })
	return k, func(name string) string {
		b, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Error(err)
		}
		return string(b)
	}
}

// The kernel's answer is the file, not the write.
func TestSetReadsBack(t *testing.T) {
	k, _ := files(t, map[string]string{"taken": "1", "line": "1\n", "kept": "1 kept", "empty": ""})
	for name, ok := range map[string]bool{"taken": true, "line": true, "empty": true, "kept": false, "absent": false, "../taken": false, ".": false} {
		if err := set(k.root, name, "0"); (err == nil) != ok {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Skip(err)
	}
	full, err := openKernel("/dev", "/dev")
	if err != nil {
		t.Fatal(err)
	}
	defer full.root.Close()
	for _, name := range []string{"full", "null"} { // one refuses, one forgets
		if err := set(full.root, name, "0"); err == nil {
			t.Errorf("%s took it", name)
		}
	}
	if _, err := openKernel(filepath.Join(t.TempDir(), "none"), "/dev"); err == nil {
		t.Error("a folder that is not there was opened")
	}
}

func TestDenyAuthoriseBind(t *testing.T) {
	const d = "bus/usb/devices/"
	k, read := files(t, map[string]string{
		d + "usb1/authorized_default": "1", d + "usb1/interface_authorized_default": "1", d + "usb2/authorized_default": "1",
		d + "1-1/authorized": "0\n", d + "1-1:1.0/authorized": "0\n", "bus/usb/drivers_probe": "",
	})
	if err := k.deny("usb1"); err != nil {
		t.Error(err)
	}
	if a, b := read(d+"usb1/authorized_default"), read(d+"usb1/interface_authorized_default"); a != "0" || b != "0" {
		t.Errorf("%q and %q", a, b)
	}
	if err := k.deny("usb2"); err == nil || !strings.Contains(err.Error(), "usb2") {
		t.Errorf("a kernel that cannot deny interfaces: %v", err)
	}
	dir, err := k.root.OpenRoot(d + "1-1")
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	insertion, err := usb.InsertionOf(dir, "1-1")
	if err != nil {
		t.Fatal(err)
	}
	if err := k.authorise("1-1", "1-1#1", true); !errors.Is(err, fs.ErrNotExist) || strings.TrimSpace(read(d+"1-1/authorized")) != "0" {
		t.Errorf("another insertion than the one that was decided on: %v, %q", err, read(d+"1-1/authorized"))
	}
	if err := k.authorise("1-1", insertion, true); err != nil || strings.TrimSpace(read(d+"1-1/authorized")) != "1" {
		t.Errorf("%q, %v", read(d+"1-1/authorized"), err)
	}
	if err := k.bind("1-1:1.0"); err != nil || strings.TrimSpace(read(d+"1-1:1.0/authorized")) != "1" || read("bus/usb/drivers_probe") != "1-1:1.0" {
		t.Errorf("%q, %q, %v", read(d+"1-1:1.0/authorized"), read("bus/usb/drivers_probe"), err)
	}
	if err := k.authorise("1-1", insertion, false); err != nil || strings.TrimSpace(read(d+"1-1/authorized")) != "0" {
		t.Errorf("%q, %v", read(d+"1-1/authorized"), err)
	}
	for name, err := range map[string]error{"authorise": k.authorise("1-2", "1-2#1", true), "deny": k.authorise("1-2", "1-2#1", false), "bind": k.bind("1-2:1.0")} {
		if err == nil || !strings.Contains(err.Error(), "1-2") {
			t.Errorf("%s of what is not there: %v", name, err)
		}
	}
}

func TestNumberOfADisk(t *testing.T) {
	k, _ := files(t, map[string]string{"class/block/sda/dev": "8:0\n", "class/block/sdb/dev": "8:16"})
	for name, want := range map[string]string{"sda": "8:0", "sdb": "8:16"} {
		if got, err := k.number(name); got != want || err != nil {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	if got, err := k.number("sdc"); err == nil {
		t.Errorf("a disk that is not there has the number %q", got)
	}
}

func TestUserOfSallyportd(t *testing.T) {
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	if id, err := userID(me.Username); err != nil || strconv.FormatUint(uint64(id), 10) != me.Uid {
		t.Errorf("%d, %v", id, err)
	}
	if id, err := userID("nobody-by-this-name"); err == nil || !strings.Contains(err.Error(), "usb.user") {
		t.Errorf("%d, %v", id, err)
	}
}

// socket listens as the program does when systemd passed no socket.
func socket(t *testing.T, uid uint32) (*net.UnixListener, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "usbd.sock")
	if err := os.WriteFile(path, []byte("left by another run"), 0o644); err != nil {
		t.Fatal(err)
	}
	l, err := listen(path, uid)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l, path
}

func TestTheSocketIsForOneUser(t *testing.T) {
	_, path := socket(t, uint32(os.Geteuid()))
	st, err := os.Stat(path)
	if err != nil || st.Mode().Perm() != 0o600 || st.Mode().Type() != os.ModeSocket {
		t.Errorf("%v, %v", st.Mode(), err)
	}
	if l, err := listen(filepath.Join(t.TempDir(), "none", "usbd.sock"), 0); err == nil {
		l.Close()
		t.Error("a socket in no folder")
	}
}

func TestAcceptPassesCallersOn(t *testing.T) {
	before := runtime.NumGoroutine()
	l, path := socket(t, uint32(os.Geteuid()))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	calls := accept(ctx, l, uint32(os.Geteuid()), zerolog.Nop())
	for range 2 {
		c, err := link.Dial(path)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		got := soon(t, calls)
		if err := got.Send(link.Report{Kind: link.State}, nil); err != nil {
			t.Error(err)
		}
		var r link.Report
		if _, err := c.Receive(&r); err != nil || r.Kind != link.State {
			t.Errorf("%+v, %v", r, err)
		}
		got.Close()
	}
	waiting, err := link.Dial(path) // whom nobody takes
	if err != nil {
		t.Fatal(err)
	}
	defer waiting.Close()
	cancel()
	l.Close()
	until(t, "all goroutines end", func() bool { return runtime.NumGoroutine() <= before })
}

// Root may call, and the one user; everybody else is sent away, though the
// socket's own rights should have kept him out already.
func TestAcceptSendsOthersAway(t *testing.T) {
	testtool.Root(t)
	const other, wanted = 65534, 65533
	l, path := socket(t, wanted)
	for _, p := range []string{path, filepath.Dir(path), filepath.Dir(filepath.Dir(path))} {
		if err := os.Chmod(p, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var log safeBuffer
	calls := accept(ctx, l, wanted, zerolog.New(&log))
	dial := func(uid uintptr) *link.Conn {
		made := make(chan *link.Conn)
		go func() {
			runtime.LockOSThread() // for ever: the thread ends with this goroutine
			const keep = ^uintptr(0)
			var c *link.Conn
			_, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, keep, uid, keep)
			var err error
			if errno == 0 {
				c, err = link.Dial(path)
			}
			if errno != 0 || err != nil {
				t.Error(errno, err)
			}
			made <- c
		}()
		c := <-made
		if c == nil {
			t.FailNow()
		}
		t.Cleanup(func() { c.Close() })
		return c
	}
	stranger, heard := dial(other), make(chan error, 1)
	go func() {
		_, err := stranger.Receive(&link.Report{})
		heard <- err
	}()
	if err := soon(t, heard); !errors.Is(err, io.EOF) {
		t.Errorf("the stranger hears %v", err)
	}
	if s := log.String(); !strings.Contains(s, `"uid":65534`) {
		t.Errorf("the log holds %q", s)
	}
	for _, uid := range []uintptr{0, wanted} {
		dial(uid)
		c := soon(t, calls)
		if who, err := c.PeerUID(); err != nil || who != uint32(uid) {
			t.Errorf("uid %d is passed on as %d, %v", uid, who, err)
		}
		c.Close()
	}
}
