package control_test

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"sallyport/internal/control"
	"sallyport/internal/testtool"
)

type handler func(ctx context.Context, c *control.Call) (any, error)

func (h handler) Handle(ctx context.Context, c *control.Call) (any, error) { return h(ctx, c) }

type reply struct {
	Text string `json:"text"`
	UID  int64  `json:"uid"`
}

// serve runs a server until the test ends and returns its socket.
func serve(t *testing.T, s *control.Server) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "s")
	l, err := control.Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return path
}

func TestRequestCarriesMediumPeerAndProgress(t *testing.T) {
	file := filepath.Join(t.TempDir(), "image")
	if err := os.WriteFile(file, []byte("content"), 0o600); err != nil {
		t.Fatal(err)
	}
	path := serve(t, &control.Server{Log: zerolog.Nop(), Handler: handler(func(_ context.Context, c *control.Call) (any, error) {
		b, err := io.ReadAll(c.Medium)
		c.Progress(control.Progress{Phase: "reading", Done: 3, Total: 7})
		return reply{Text: string(b), UID: int64(c.Peer.UID)}, err
	})})
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	c, err := control.Dial(path)
	if err != nil {
		t.Fatal(err)
	}
	var got reply
	var seen []control.Progress
	if err := control.Do(c, "x", struct{}{}, f, func(p control.Progress) { seen = append(seen, p) }, &got); err != nil {
		t.Fatal(err)
	}
	if got.Text != "content" || got.UID != int64(os.Getuid()) || len(seen) != 1 || seen[0].Done != 3 {
		t.Errorf("got %+v, progress %v", got, seen)
	}
}

func TestFailuresReachTheCallerAndInternalTextDoesNot(t *testing.T) {
	path := serve(t, &control.Server{Log: zerolog.Nop(), Handler: handler(func(_ context.Context, c *control.Call) (any, error) {
		if c.Op == "known" {
			return nil, control.Failf(control.CodeNotFound, "no item 7")
		}
		return nil, errors.New("secret path /var/x")
	})})
	for op, want := range map[string]string{"known": "no item 7", "other": "internal error"} {
		c, err := control.Dial(path)
		if err != nil {
			t.Fatal(err)
		}
		err = control.Do(c, op, struct{}{}, nil, nil, nil)
		var f *control.Failure
		if !errors.As(err, &f) || !strings.Contains(f.Message, want) || strings.Contains(f.Message, "secret") {
			t.Errorf("%s: %v", op, err)
		}
	}
}

// TestACallerThatDoesNotReadHoldsTheWorkOnce: and when it reads again, every
// frame is whole and the answer is there.
func TestACallerThatDoesNotReadHoldsTheWorkOnce(t *testing.T) {
	server, client, err := control.Pair()
	if err != nil {
		t.Fatal(err)
	}
	worked := make(chan time.Duration, 1)
	s := &control.Server{Log: zerolog.Nop(), Handler: handler(func(_ context.Context, c *control.Call) (any, error) {
		began := time.Now()
		for range 100_000 { // far more than the socket holds
			c.Progress(control.Progress{Phase: "reading", Done: 1 << 33, Total: 1 << 34})
		}
		worked <- time.Since(began)
		return reply{Text: "done"}, nil
	})}
	go s.ServeConn(t.Context(), server)
	body := `{"op":"x","args":{}}`
	if _, err := client.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(body))), body...)); err != nil {
		t.Fatal(err)
	}
	if d := <-worked; d > 5*time.Second {
		t.Errorf("the work was held up for %s", d)
	}
	all, err := io.ReadAll(client)
	if err != nil {
		t.Fatal(err)
	}
	last := ""
	for len(all) > 0 {
		n := binary.BigEndian.Uint32(all)
		if int(n)+4 > len(all) {
			t.Fatalf("a frame of %d bytes, %d are left", n, len(all)-4)
		}
		last, all = string(all[4:4+n]), all[4+n:]
		if !strings.HasPrefix(last, `{"progress":`) && len(all) > 0 {
			t.Fatalf("in the middle: %.200q", last)
		}
	}
	if !strings.Contains(last, `"result":{"text":"done"`) {
		t.Errorf("the last frame is %.200q", last)
	}
}

func TestAnAnswerThatIsTooLargeIsAFailure(t *testing.T) {
	path := serve(t, &control.Server{Log: zerolog.Nop(), Handler: handler(func(_ context.Context, c *control.Call) (any, error) {
		text := strings.Repeat("x", control.MaxFrame)
		if c.Op == "fails" {
			return nil, control.Failf(control.CodeUsage, "%s", text)
		}
		return reply{Text: text}, nil
	})})
	for _, op := range []string{"works", "fails"} {
		c, err := control.Dial(path)
		if err != nil {
			t.Fatal(err)
		}
		err = control.Do(c, op, struct{}{}, nil, nil, nil)
		var f *control.Failure
		if !errors.As(err, &f) || f.Code != control.CodeOverLimit || !strings.Contains(f.Message, "at most 67108864") {
			t.Errorf("%s: %v", op, err)
		}
	}
}

func TestMalformedFramesAreRefusedAndTheServerLivesOn(t *testing.T) {
	path := serve(t, &control.Server{Log: zerolog.Nop(), Handler: handler(func(context.Context, *control.Call) (any, error) {
		return reply{Text: "alive"}, nil
	})})
	frame := func(body string) string {
		return string(binary.BigEndian.AppendUint32(nil, uint32(len(body)))) + body
	}
	for name, bytes := range map[string]string{
		"huge length":    "\xff\xff\xff\xff{}",
		"not JSON":       frame("hello"),
		"duplicate":      frame(`{"op":"a","op":"b","args":{}}`),
		"unknown member": frame(`{"op":"a","args":{},"x":1}`),
		"cut short":      frame(`{"op":"a","args":{}}`)[:9],
	} {
		c, err := control.Dial(path)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Write([]byte(bytes)); err != nil {
			t.Fatal(err)
		}
		c.CloseWrite()
		answer, _ := io.ReadAll(c)
		c.Close()
		if !strings.Contains(string(answer), `"usage"`) {
			t.Errorf("%s: answer %q", name, answer)
		}
	}
	c, err := control.Dial(path)
	if err != nil {
		t.Fatal(err)
	}
	var got reply
	if err := control.Do(c, "x", struct{}{}, nil, nil, &got); err != nil || got.Text != "alive" {
		t.Errorf("after malformed frames: %v %v", got, err)
	}
}

// TestOtherUsersAreTurnedAway connects as nobody (uid 65534) through a helper
// process; the kernel, not the client, says who it is.
func TestOtherUsersAreTurnedAway(t *testing.T) {
	if path := os.Getenv("CONTROL_TEST_DIAL"); path != "" {
		c, err := control.Dial(path)
		if err == nil {
			err = control.Do(c, "x", struct{}{}, nil, nil, nil)
		}
		if err != nil {
			os.Stdout.WriteString("answer: " + err.Error())
		}
		return
	}
	testtool.Root(t) // to become another user
	for _, tc := range []struct {
		access control.Access
		denied bool
	}{{control.Access{}, true}, {control.Access{UIDs: []uint32{65534}}, false}, {control.Access{GIDs: []uint32{4242}}, false}, {control.Access{GIDs: []uint32{4343}}, true}} {
		dir, err := os.MkdirTemp("", "control")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { os.RemoveAll(dir) })
		denied := make(chan control.Peer, 1)
		s := &control.Server{Log: zerolog.Nop(), Access: tc.access, Denied: func(p control.Peer) { denied <- p },
			Handler: handler(func(context.Context, *control.Call) (any, error) { return reply{}, nil })}
		path := filepath.Join(dir, "s")
		l, err := control.Listen(path)
		if err != nil {
			t.Fatal(err)
		}
		exe := filepath.Join(dir, "helper")
		if b, err := os.ReadFile("/proc/self/exe"); err != nil || os.WriteFile(exe, b, 0o755) != nil {
			t.Fatal("cannot copy the test binary")
		}
		os.Chmod(dir, 0o755)
		os.Chmod(path, 0o666) // let the file mode pass; the daemon's own check is under test
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- s.Serve(ctx, l) }()
		cmd := exec.Command(exe, "-test.run=^TestOtherUsersAreTurnedAway$")
		cmd.Env = append(os.Environ(), "CONTROL_TEST_DIAL="+path)
		cmd.Dir = "/"
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534, Groups: []uint32{4242}}}
		out, err := cmd.CombinedOutput()
		cancel()
		<-done
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		if got := strings.Contains(string(out), "uid 65534"); got != tc.denied || (len(denied) == 1) != tc.denied {
			t.Errorf("%+v: denied=%v, told %d, output %q", tc.access, got, len(denied), out)
		}
	}
}

func TestStaleSocketIsReplacedAndALiveOneIsNot(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := control.Listen(path); err == nil {
		t.Error("took over a live socket")
	}
	l.SetUnlinkOnClose(false)
	l.Close()
	l2, err := control.Listen(path)
	if err != nil {
		t.Fatalf("stale socket: %v", err)
	}
	l2.Close()
	if _, err := control.Dial(path); !errors.Is(err, control.ErrNoDaemon) {
		t.Errorf("Dial without a daemon: %v", err)
	}
}
