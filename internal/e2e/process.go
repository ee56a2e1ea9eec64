package e2e

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"time"
)

// process is a program that runs beside the test and does not outlive it.
type process struct {
	name   string
	cmd    *exec.Cmd
	log    string        // file with what it printed
	exited chan struct{} // closed when it has ended
}

// spawn starts a program whose output goes to a file.
func spawn(log, name string, args ...string) (*process, error) {
	path, err := program(name)
	if err != nil {
		return nil, err
	}
	out, err := os.OpenFile(log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("cannot make the log of %s: %w", name, err)
	}
	defer out.Close()
	p := &process{name: name, cmd: exec.Command(path, args...), log: log, exited: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = out, out
	// A test process that is killed takes the program with it. The signal comes when
	// the starting thread ends, so that thread is kept until the program has ended.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer close(p.exited)
		err := p.cmd.Start()
		started <- err
		if err == nil {
			p.cmd.Wait()
		}
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("cannot start %s: %w", name, err)
	}
	return p, nil
}

// kill ends the program at once. It may have ended before, or never been started.
func (p *process) kill() {
	if p == nil {
		return
	}
	p.cmd.Process.Kill()
	<-p.exited
}

func (p *process) alive() bool {
	if p == nil {
		return false
	}
	select {
	case <-p.exited:
		return false
	default:
		return true
	}
}

// dial connects to a unix socket that the program is about to make.
func (p *process) dial(ctx context.Context, socket string) (net.Conn, error) {
	for {
		c, err := net.Dial("unix", socket)
		if err == nil {
			return c, nil
		}
		select {
		case <-p.exited:
			return nil, fmt.Errorf("%s has ended: %s", p.name, tail(p.log, 4<<10))
		case <-ctx.Done():
			return nil, fmt.Errorf("cannot connect to %s: %w (%w)", p.name, err, ctx.Err())
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// program returns the path of an installed program; those of administrators are
// not in everybody's PATH.
func program(name string) (string, error) {
	path, err := exec.LookPath(name)
	if err == nil {
		return path, nil
	}
	for _, dir := range []string{"/usr/sbin", "/sbin"} {
		p := filepath.Join(dir, name)
		if st, err := os.Stat(p); err == nil && st.Mode()&0o111 != 0 {
			return p, nil
		}
	}
	return "", fmt.Errorf("the program %s is not installed: %w", name, err)
}

// run runs a program of the host to its end and returns its standard output.
func run(ctx context.Context, dir, name string, args ...string) ([]byte, error) {
	path, err := program(name)
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Dir = dir
	cmd.Env = append(cmd.Environ(), "CGO_ENABLED=0", "LC_ALL=C")
	out, err := cmd.Output()
	if exit, ok := err.(*exec.ExitError); ok {
		return out, fmt.Errorf("%s %q: %w: %s", name, args, err, exit.Stderr)
	}
	if err != nil {
		return out, fmt.Errorf("cannot run %s: %w", name, err)
	}
	return out, nil
}

// tail returns the last bytes of a file, or why there are none.
func tail(path string, n int64) string {
	data, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	return string(data[max(0, int64(len(data))-n):])
}
