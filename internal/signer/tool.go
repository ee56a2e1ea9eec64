package signer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"sallyport/internal/verdict"
)

const (
	// toolPath is where pkcs11-tool has to be: a PATH of somebody else's could
	// name a program that keeps the PIN.
	toolPath = "/usr/bin/pkcs11-tool"
	// pinVariable carries the PIN to the tool.
	pinVariable = "SALLYPORT_TOKEN_PIN"
	// maxOutput ends a tool that does not stop talking, in bytes.
	maxOutput = 1 << 20
	// maxTail is what is kept of its standard error, in bytes.
	maxTail = 4 << 10
	// patience is the wait for the pipes of a tool that has ended or was killed.
	patience = 5 * time.Second
)

// errTalk is the cause of ending a tool.
var errTalk = fmt.Errorf("it wrote more than %d bytes", maxOutput)

// ownVariables are the names in the tool's environment that are ours.
func ownVariables() []string { return []string{"PATH", "HOME", "LANG", "LC_ALL", pinVariable} }

// command builds one run of the tool. The whole environment of the tool is
// here: what the caller's holds besides could steer the module or its loader.
func (t *TokenKey) command(ctx context.Context, args ...string) (*exec.Cmd, error) {
	all := append([]string{"--module=" + t.cfg.Module, "--token-label=" + t.cfg.Token, "--login", "--pin=env:" + pinVariable}, args...)
	cmd := exec.CommandContext(ctx, t.tool, all...)
	cmd.Dir = "/"
	cmd.Env = []string{"PATH=/usr/bin:/bin", "LANG=C", "LC_ALL=C", pinVariable + "=" + t.cfg.PIN}
	if home := os.Getenv("HOME"); home != "" {
		cmd.Env = append(cmd.Env, "HOME="+home)
	}
	for _, name := range t.cfg.Env {
		value, ok := os.LookupEnv(name)
		if !ok {
			return nil, fmt.Errorf("the module is to be given the variable %s, which is not set", name)
		}
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	cmd.WaitDelay = patience
	// Without a terminal the tool fails instead of asking behind our back.
	cmd.SysProcAttr = &unix.SysProcAttr{Setsid: true}
	return cmd, nil
}

// run runs the tool once and returns what it wrote on standard output.
func (t *TokenKey) run(ctx context.Context, args ...string) ([]byte, error) {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	cmd, err := t.command(ctx, args...)
	if err != nil {
		return nil, err
	}
	stdout := &output{most: maxOutput, keep: maxOutput, stop: stop}
	stderr := &output{most: maxOutput, keep: maxTail, stop: stop}
	cmd.Stdout, cmd.Stderr = stdout, stderr
	switch err := cmd.Run(); {
	case context.Cause(ctx) != nil: // also when the tool ended before it was killed
		return nil, fmt.Errorf("pkcs11-tool was ended: %w", context.Cause(ctx))
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("cannot start pkcs11-tool: %w; install the Debian package opensc", err)
	case err != nil:
		return nil, complaint(stderr.lines(), t.cfg.PIN, err)
	}
	return stdout.tail, nil
}

// complaint makes an error of what the tool wrote on standard error.
func complaint(lines []string, pin string, failed error) error {
	last := "it wrote nothing"
	for _, line := range lines {
		if line = strings.TrimSpace(line); line != "" && line != "Aborting." {
			last = line
		}
	}
	raw := last
	says := func(code string) bool { return strings.Contains(raw, code) }
	// The tool does not write the PIN; a module might. Escaping is after that,
	// since it changes and cuts; that it makes a PIN out of something else is
	// chance, and prevented all the same.
	last = verdict.Escape(strings.ReplaceAll(last, pin, "[PIN]"))
	last = strings.ReplaceAll(last, pin, "[PIN]")
	switch {
	case says("CKR_PIN_INCORRECT"), says("CKR_PIN_INVALID"), says("CKR_PIN_LEN_RANGE"):
		return fmt.Errorf("%w: pkcs11-tool says: %s", ErrPIN, last)
	case says("CKR_PIN_LOCKED"):
		return fmt.Errorf("the token is locked after too many wrong PINs: unlock it with its own tools (pkcs11-tool says: %s)", last)
	case says("No slot with token named"):
		return fmt.Errorf("there is no such token: is it plugged in, and is the label right? 'pkcs11-tool --module … --list-token-slots' shows them (pkcs11-tool says: %s)", last)
	case says("Failed to load pkcs11 module"):
		return fmt.Errorf("the module is not one for PKCS#11 on this machine (pkcs11-tool says: %s)", last)
	}
	return fmt.Errorf("pkcs11-tool says: %s (%w)", last, failed)
}

// output keeps the last bytes of a stream, and stops the tool when there are
// too many in all.
type output struct {
	most, keep int
	stop       context.CancelCauseFunc
	n          int
	tail       []byte
}

func (o *output) Write(p []byte) (int, error) {
	o.n += len(p)
	if o.n > o.most {
		o.stop(errTalk)
		return 0, errTalk
	}
	o.tail = append(o.tail, p...)
	if over := len(o.tail) - o.keep; over > 0 {
		o.tail = append(o.tail[:0], o.tail[over:]...)
	}
	return len(p), nil
}

// lines returns the lines that were kept whole: a line that lost its beginning
// could hold a part of what must not be shown.
func (o *output) lines() []string {
	kept := o.tail
	if o.n > len(kept) {
		_, kept, _ = bytes.Cut(kept, []byte("\n"))
	}
	return strings.Split(string(kept), "\n")
}
