package testoffice

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"sallyport/internal/intake"
)

// Station is one station: its folder, its configuration and how to call its
// programs.
type Station struct {
	ID     string
	Dir    string
	office *Office
	tpm    *exec.Cmd
	daemon *exec.Cmd
}

// Sealed is one sealed package in a folder of its own, as it would lie on a
// medium.
type Sealed struct {
	PackageID string `json:"package_id"`
	Dir       string `json:"-"`
}

// File returns the path of a file in the station's folder.
func (s *Station) File(name string) string { return filepath.Join(s.Dir, name) }

// Sallyport runs one command of the command line and returns what it prints.
func (s *Station) Sallyport(args ...string) (string, error) {
	out, errOut, status, err := s.Run(args...)
	if err == nil && status != 0 {
		err = fmt.Errorf("exit status %d", status)
	}
	if err != nil {
		return "", fmt.Errorf("sallyport %s: %w\n%s", strings.Join(args, " "), err, errOut)
	}
	return out, nil
}

// Run runs one command and returns both outputs and the exit status.
func (s *Station) Run(args ...string) (out, errOut string, status int, err error) {
	return s.office.Run(append([]string{"--config", s.File("sallyport.toml")}, args...)...)
}

// Run is [Station.Run] on a machine that is no station, such as that of a holder
// of a key.
func (o *Office) Run(args ...string) (out, errOut string, status int, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(o.Bin, "sallyport"), args...)
	cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "SALLYPORT_CONFIG=") })
	cmd.Env = append(cmd.Env, o.env...)
	var outBuf, errBuf bytes.Buffer
	cmd.Stdout, cmd.Stderr = &outBuf, &errBuf
	err = cmd.Run()
	var ended *exec.ExitError
	if errors.As(err, &ended) && ended.Exited() {
		return outBuf.String(), errBuf.String(), ended.ExitCode(), nil
	}
	return outBuf.String(), errBuf.String(), 0, err
}

// Seal seals files for the EMS station into a new folder.
func (s *Station) Seal(args ...string) (Sealed, error) {
	p := Sealed{Dir: s.office.TB.TempDir()}
	out, err := s.Sallyport(append([]string{"--json", "seal", "--audience", s.office.EMS.ID, "--out", p.Dir}, args...)...)
	if err != nil {
		return p, err
	}
	if err := json.Unmarshal([]byte(out), &p); err != nil {
		return p, fmt.Errorf("sallyport seal --json: %w", err)
	}
	return p, nil
}

// Intake inserts one image and returns the report and the exit status.
func (s *Station) Intake(image string) (*intake.Report, int, error) {
	out, errOut, status, err := s.Run("--json", "intake", image)
	if err != nil {
		return nil, 0, err
	}
	r := &intake.Report{}
	if err := json.Unmarshal([]byte(out), r); err != nil {
		return nil, status, fmt.Errorf("exit status %d and no report (%w): %s", status, err, errOut)
	}
	return r, status, nil
}

// StartDaemon starts sallyportd and waits until it answers.
func (s *Station) StartDaemon() error {
	logFile, err := os.Create(s.File("daemon.log"))
	if err != nil {
		return err
	}
	defer logFile.Close()
	cmd := exec.Command(filepath.Join(s.office.Bin, "sallyportd"), "--config", s.File("sallyport.toml"))
	cmd.Stdout, cmd.Stderr = logFile, logFile
	if err := cmd.Start(); err != nil {
		return err
	}
	s.daemon = cmd
	if err := waitFor(10*time.Second, "sallyportd's socket", func() bool { _, err := os.Stat(s.File("control.sock")); return err == nil }); err != nil {
		said, _ := os.ReadFile(s.File("daemon.log"))
		return fmt.Errorf("%w\n%s", err, said)
	}
	return nil
}

// DaemonPID is the process id of the running daemon, 0 without one.
func (s *Station) DaemonPID() int {
	if s.daemon == nil {
		return 0
	}
	return s.daemon.Process.Pid
}

// StopDaemon stops the daemon in order and says when it did not end well.
func (s *Station) StopDaemon() error {
	if s.daemon == nil {
		return nil
	}
	daemon := s.daemon
	s.daemon = nil
	return errors.Join(daemon.Process.Signal(syscall.SIGTERM), daemon.Wait())
}

// CheckLog has sallyport-verify check the station's log and returns what it
// prints.
func (s *Station) CheckLog() (string, error) {
	key := s.File("key.pem")
	if _, err := os.Stat(key); err != nil {
		if _, err := s.Sallyport("trust", "key", "--out", key); err != nil {
			return "", err
		}
	}
	out, err := exec.Command(filepath.Join(s.office.Bin, "sallyport-verify"), "log", s.File("state/log"), "--key", key).CombinedOutput()
	if err != nil {
		err = fmt.Errorf("sallyport-verify log: %w", err)
	}
	return string(out), err
}
