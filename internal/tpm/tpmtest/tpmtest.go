// Package tpmtest starts real software TPMs for tests. Test code only: nothing
// of it may be linked into a program.
package tpmtest

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"

	"sallyport/internal/testtool"
)

// Start starts swtpm with fresh state in a temporary folder and returns its
// address for tpm.Open. stop ends it; the test's end does so too.
func Start(t testing.TB) (addr string, stop func()) {
	t.Helper()
	p := New(t)
	return p.Addr, p.Kill
}

// Process is a running swtpm that a test can stop and kill.
type Process struct {
	Addr   string // for tpm.Open
	Socket string // path of the unix socket
	dir    string
	t      testing.TB

	mu     sync.Mutex
	cmd    *exec.Cmd     // nil while killed
	exited chan struct{} // closed when cmd has ended
}

// New starts swtpm with fresh state.
func New(t testing.TB) *Process {
	t.Helper()
	p := newProcess(t)
	p.Restart()
	return p
}

func newProcess(t testing.TB) *Process {
	t.Helper()
	// The path of a unix socket may have 107 bytes; test folders can be longer.
	dir, err := os.MkdirTemp("", "tpm")
	if err != nil {
		t.Fatal(err)
	}
	p := &Process{dir: dir, t: t, Socket: filepath.Join(dir, "s")}
	p.Addr = "swtpm:" + p.Socket
	t.Cleanup(func() {
		p.Kill()
		os.RemoveAll(dir)
	})
	return p
}

// Restart starts swtpm again, with the state it had: a power cycle of the TPM.
func (p *Process) Restart() {
	p.t.Helper()
	swtpm := testtool.Need(p.t, "swtpm")
	p.Kill()
	os.Remove(p.Socket)
	cmd := exec.Command(swtpm, "socket", "--tpm2", "--tpmstate", "dir="+p.dir,
		"--server", "type=unixio,path="+p.Socket, "--flags", "not-need-init,startup-clear")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	// A test process that is killed takes swtpm with it. The signal comes when
	// the starting thread ends, so that thread is kept until swtpm has ended.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	started, exited := make(chan error), make(chan struct{})
	go func() {
		runtime.LockOSThread()
		defer close(exited)
		err := cmd.Start()
		started <- err
		if err == nil {
			cmd.Wait()
		}
	}()
	if err := <-started; err != nil {
		p.t.Fatal(err)
	}
	p.mu.Lock()
	p.cmd, p.exited = cmd, exited
	p.mu.Unlock()
	if err := wait(p.Socket); err != nil {
		p.Kill()
		p.t.Fatalf("swtpm did not start: %v\n%s", err, out.String())
	}
}

// Kill ends swtpm at once, as a power failure would.
func (p *Process) Kill() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd == nil {
		return
	}
	p.cmd.Process.Kill()
	<-p.exited
	p.cmd = nil
}

// Save copies the state of the TPM, which a TPM of hardware does not give away;
// dir must not exist. Rewind starts the TPM again with such a copy.
func (p *Process) Save(dir string) {
	p.t.Helper()
	if out, err := exec.Command("cp", "-a", p.dir, dir).CombinedOutput(); err != nil {
		p.t.Fatalf("cannot copy the TPM's state: %v\n%s", err, out)
	}
}

// Rewind puts the TPM back to a state that Save copied.
func (p *Process) Rewind(dir string) {
	p.t.Helper()
	p.Kill()
	if err := os.RemoveAll(p.dir); err != nil {
		p.t.Fatal(err)
	}
	if out, err := exec.Command("cp", "-a", dir, p.dir).CombinedOutput(); err != nil {
		p.t.Fatalf("cannot put the TPM's state back: %v\n%s", err, out)
	}
	p.Restart()
}

// Pause stops swtpm without ending it: connections are taken and never answered.
func (p *Process) Pause() { p.signal(syscall.SIGSTOP) }

// Resume lets a paused swtpm go on.
func (p *Process) Resume() { p.signal(syscall.SIGCONT) }

func (p *Process) signal(s os.Signal) {
	p.t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd == nil {
		p.t.Fatal("swtpm is not running")
	}
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatal(err)
	}
}

// wait waits until the socket takes a connection.
func wait(path string) error {
	deadline := time.Now().Add(10 * time.Second)
	for {
		c, err := net.Dial("unix", path)
		if err == nil {
			return c.Close()
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("no connection after 10 s: %w", err)
		}
		time.Sleep(2 * time.Millisecond)
	}
}
