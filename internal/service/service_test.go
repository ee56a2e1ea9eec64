package service

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// systemd listens like systemd and returns what it is told.
func systemd(t *testing.T) *net.UnixConn {
	t.Helper()
	path := filepath.Join(t.TempDir(), "notify")
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	t.Setenv("NOTIFY_SOCKET", path)
	return c
}

func heard(t *testing.T, c *net.UnixConn) string {
	t.Helper()
	b := make([]byte, 1024)
	c.SetReadDeadline(time.Now().Add(10 * time.Second))
	n, err := c.Read(b)
	if err != nil {
		t.Fatal(err)
	}
	return string(b[:n])
}

func TestWhatSystemdHears(t *testing.T) {
	c := systemd(t)
	for _, s := range []struct {
		say  func() error
		want string
	}{
		{func() error { return Ready("2 ports") }, "READY=1\nSTATUS=2 ports"},
		{func() error { return Status("3 ports") }, "STATUS=3 ports"},
		{Stopping, "STOPPING=1"},
	} {
		if err := s.say(); err != nil {
			t.Fatal(err)
		}
		if got := heard(t, c); got != s.want {
			t.Errorf("systemd heard %q, want %q", got, s.want)
		}
	}
}

func TestWatchdogHearsOnlyWhoIsWell(t *testing.T) {
	c := systemd(t)
	t.Setenv("WATCHDOG_USEC", "2000")
	ctx, stop := context.WithCancel(t.Context())
	asked := 0
	ended := make(chan error, 1)
	go func() {
		ended <- Watch(ctx, func(context.Context) error {
			if asked++; asked < 3 {
				return errors.New("not yet")
			}
			return nil
		})
	}()
	if got := heard(t, c); got != "WATCHDOG=1" {
		t.Errorf("heard %q", got)
	}
	stop()
	if err := <-ended; err != nil || asked < 3 {
		t.Errorf("asked %d times, %v", asked, err)
	}
}

func TestWithoutSystemd(t *testing.T) {
	for _, name := range []string{"NOTIFY_SOCKET", "WATCHDOG_USEC", "LISTEN_PID", "LISTEN_FDS"} {
		t.Setenv(name, "")
	}
	l, err := Listener()
	if err := errors.Join(err, Ready(""), Watch(t.Context(), nil)); err != nil || l != nil {
		t.Errorf("%v, %v", l, err)
	}
}

// The socket that systemd passes is descriptor 3 of a fresh process: this test
// starts itself.
func TestListenerOfSystemd(t *testing.T) {
	if os.Getenv("SALLYPORT_TEST_LISTEN") != "" {
		os.Setenv("LISTEN_PID", fmt.Sprint(os.Getpid()))
		l, err := Listener()
		if err != nil {
			fmt.Println("refused:", err)
			os.Exit(0)
		}
		c, err := l.AcceptUnix()
		if err == nil {
			_, err = fmt.Fprint(c, "served")
		}
		if err := errors.Join(err, c.Close(), l.Close()); err != nil {
			t.Fatal(err)
		}
		os.Exit(0)
	}
	for _, network := range []string{"unix", "unixpacket"} {
		path := filepath.Join(t.TempDir(), "s")
		l, err := net.ListenUnix(network, &net.UnixAddr{Name: path, Net: network})
		if err != nil {
			t.Fatal(err)
		}
		f, err := l.File()
		if err != nil {
			t.Fatal(err)
		}
		child := exec.Command(os.Args[0], "-test.run", "TestListenerOfSystemd")
		child.Env = append(os.Environ(), "SALLYPORT_TEST_LISTEN=1", "LISTEN_FDS=1")
		child.ExtraFiles = []*os.File{f}
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		c, err := net.Dial(network, path)
		if err != nil {
			t.Fatal(err)
		}
		b := make([]byte, 16)
		c.SetReadDeadline(time.Now().Add(20 * time.Second))
		n, err := c.Read(b)
		if string(b[:n]) != "served" {
			t.Errorf("%s: %q, %v", network, b[:n], err)
		}
		if err := child.Wait(); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(path); err != nil {
			t.Errorf("the program removed the socket of systemd: %v", err)
		}
		l.Close()
	}
	child := exec.Command(os.Args[0], "-test.run", "TestListenerOfSystemd")
	child.Env = append(os.Environ(), "SALLYPORT_TEST_LISTEN=1", "LISTEN_FDS=2")
	if out, err := child.CombinedOutput(); err != nil || !strings.Contains(string(out), "cannot take 2 sockets") {
		t.Errorf("%v: %s", err, out)
	}
}
