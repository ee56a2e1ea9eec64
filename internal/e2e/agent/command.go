package main

import (
	"bytes"
	"context"
	"errors"
	"os/exec"
	"syscall"
	"time"

	"sallyport/internal/e2e/wire"
)

// run runs one command to its end, its time or its cancellation.
func (a *agent) run(r wire.Request) (wire.Answer, error) {
	if len(r.Argv) == 0 {
		return wire.Answer{}, errors.New("no command")
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Duration(r.TimeoutMS)*time.Millisecond)
	defer cancel()
	a.mu.Lock()
	a.running[r.ID] = cancel
	a.mu.Unlock()
	defer func() {
		a.mu.Lock()
		delete(a.running, r.ID)
		a.mu.Unlock()
	}()

	var stdout, stderr bounded
	cmd := exec.CommandContext(ctx, r.Argv[0], r.Argv[1:]...)
	cmd.Dir = "/"
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(r.Stdin), &stdout, &stderr
	// The whole group is killed: a shell that dies alone leaves its children.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	// A daemon that a command leaves behind keeps its pipes open; it is not waited for.
	cmd.WaitDelay = 500 * time.Millisecond
	err := cmd.Run()

	w := wire.Answer{
		Stdout: stdout.kept.Bytes(), Stderr: stderr.kept.Bytes(), Cut: stdout.cut || stderr.cut,
		TimedOut: errors.Is(ctx.Err(), context.DeadlineExceeded),
	}
	if cmd.ProcessState == nil {
		return w, err
	}
	status := cmd.ProcessState.Sys().(syscall.WaitStatus)
	w.Exit = status.ExitStatus()
	if status.Signaled() {
		w.Exit = 128 + int(status.Signal())
	}
	return w, nil
}

func (a *agent) cancel(id uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if kill, ok := a.running[id]; ok {
		kill()
	}
}

// bounded keeps the first MaxOutput bytes and takes the rest without keeping it.
// The buffer is not embedded: its ReadFrom would go around the bound.
type bounded struct {
	kept bytes.Buffer
	cut  bool
}

func (b *bounded) Write(p []byte) (int, error) {
	keep := min(len(p), wire.MaxOutput-b.kept.Len())
	b.cut = b.cut || keep < len(p)
	b.kept.Write(p[:keep])
	return len(p), nil
}
