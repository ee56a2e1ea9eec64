package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"sallyport/internal/ems"
	"sallyport/internal/intake"
)

const (
	jurisdiction  = "us/maple-county"
	otherElection = "maple-county-municipal-2025-11-04"
)

// office is everything the demo works with: stations, TPMs and a folder.
type office struct {
	root, bin, dir string
	keep           bool
	tb             *tb
	authority      *station
	source         *station
	ems            *station
	stranger       *station
	tpms           []*exec.Cmd
	daemon         *exec.Cmd
}

// station is one station's configuration file and how to call its programs.
type station struct {
	office *office
	id     string
	config string
	dir    string
}

// sealed is one sealed package in a folder of its own.
type sealed struct {
	PackageID string `json:"package_id"`
	dir       string
}

func openOffice(bin, keep string) (*office, error) {
	o := &office{keep: keep != "", dir: keep}
	var err error
	if o.root, err = root(); err != nil {
		return nil, err
	}
	if o.bin, err = filepath.Abs(bin); err != nil {
		return nil, err
	}
	if o.keep {
		err = os.Mkdir(keep, 0o700)
	} else {
		o.dir, err = os.MkdirTemp("", "sallyport-demo-")
	}
	if err != nil {
		return nil, err
	}
	if o.dir, err = filepath.Abs(o.dir); err != nil {
		return nil, err
	}
	o.tb = &tb{dir: filepath.Join(o.dir, "media")}
	return o, nil
}

// close stops the daemon and the TPMs and removes the folder.
func (o *office) close() error {
	var errs []error
	if o.daemon != nil {
		errs = append(errs, o.daemon.Process.Signal(syscall.SIGTERM), o.daemon.Wait())
	}
	for _, t := range o.tpms {
		_ = t.Process.Kill() // it may have ended by itself
		_ = t.Wait()         // says only that it was killed
	}
	if o.keep {
		fmt.Println("everything is left in", o.dir)
		return errors.Join(errs...)
	}
	return errors.Join(append(errs, os.RemoveAll(o.dir))...)
}

// found makes the stations and the trust between them.
func (o *office) found() (err error) {
	for _, s := range []struct {
		to        **station
		id, role  string
		elections string
	}{
		{&o.authority, "authority", "authority", ""},
		{&o.source, "polling-place-7", "source", ""},
		{&o.ems, "ems-1", "ems", `"` + electionID + `"`},
		{&o.stranger, "stranger", "source", ""},
	} {
		if *s.to, err = o.newStation(s.id, s.role, s.elections); err != nil {
			return err
		}
	}
	rootFile := filepath.Join(o.dir, "root.json")
	steps := [][]string{{"init"}, {"trust", "root", "--out", rootFile}}
	for _, args := range steps {
		if _, err := o.authority.sallyport(args...); err != nil {
			return err
		}
	}
	for _, s := range []*station{o.source, o.ems, o.stranger} {
		if _, err := s.sallyport("init", "--root", rootFile); err != nil {
			return err
		}
		if _, err := s.sallyport("trust", "export", "--out", s.file("record.json")); err != nil {
			return err
		}
	}
	bundle := filepath.Join(o.dir, "trust.dsse.json")
	if _, err := o.authority.sallyport("trust", "issue", "--out", bundle, "--elections", electionID+","+otherElection,
		o.source.file("record.json")+"=election-definition,cvr-export", o.ems.file("record.json")+"=results-report"); err != nil {
		return err
	}
	for _, s := range []*station{o.source, o.ems, o.stranger} {
		out, err := s.sallyport("trust", "install", bundle)
		if err != nil {
			return err
		}
		if s == o.ems {
			fmt.Print(out)
		}
	}
	return nil
}

// newStation starts a fresh TPM and writes a configuration.
func (o *office) newStation(id, role, elections string) (*station, error) {
	s := &station{office: o, id: id, dir: filepath.Join(o.dir, id)}
	s.config = s.file("sallyport.toml")
	state := s.file("tpm")
	if err := os.MkdirAll(state, 0o700); err != nil {
		return nil, err
	}
	socket := s.file("tpm.sock")
	tpm := exec.Command("swtpm", "socket", "--tpm2", "--tpmstate", "dir="+state, "--server", "type=unixio,path="+socket, "--flags", "not-need-init,startup-clear")
	if err := tpm.Start(); err != nil {
		return nil, fmt.Errorf("cannot start swtpm ('make deps' installs it): %w", err)
	}
	o.tpms = append(o.tpms, tpm)
	if err := waitFor(5*time.Second, func() bool { _, err := os.Stat(socket); return err == nil }); err != nil {
		return nil, fmt.Errorf("swtpm does not start: %w", err)
	}
	return s, os.WriteFile(s.config, fmt.Appendf(nil, `state_dir = "state"
tpm = "swtpm:tpm.sock"
production = false
reader = %q

[station]
id = %q
name = %q
role = %q
jurisdiction = %q
elections = [%s]

[control]
socket = "control.sock"

[limits]
reserve_bytes = 67108864
`, filepath.Join(o.bin, "sallyport-reader"), id, "Demo "+id, role, jurisdiction, elections), 0o600)
}

func (s *station) file(name string) string { return filepath.Join(s.dir, name) }

// sallyport runs one command and returns what it prints.
func (s *station) sallyport(args ...string) (string, error) {
	out, errOut, err := s.run(args...)
	if err != nil {
		return "", fmt.Errorf("sallyport %s: %w\n%s", strings.Join(args, " "), err, errOut)
	}
	return out, nil
}

func (s *station) run(args ...string) (out, errOut string, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(s.office.bin, "sallyport"), append([]string{"--config", s.config}, args...)...)
	var o, e bytes.Buffer
	cmd.Stdout, cmd.Stderr = &o, &e
	err = cmd.Run()
	return o.String(), e.String(), err
}

// seal seals files for the EMS station into a new folder.
func (s *station) seal(args ...string) (sealed, error) {
	p := sealed{dir: s.office.tb.TempDir()}
	out, err := s.sallyport(append([]string{"--json", "seal", "--audience", s.office.ems.id, "--out", p.dir}, args...)...)
	if err != nil {
		return p, err
	}
	if err := json.Unmarshal([]byte(out), &p); err != nil {
		return p, fmt.Errorf("sallyport seal --json: %w", err)
	}
	fmt.Printf("%s sealed package %s\n", s.id, p.PackageID)
	return p, nil
}

// intake inserts one image and returns the report and the exit status.
func (s *station) intake(image string) (*intake.Report, int, error) {
	out, errOut, err := s.run("--json", "intake", image)
	var status *exec.ExitError
	if err != nil && !errors.As(err, &status) {
		return nil, 0, err
	}
	r := &intake.Report{}
	if jerr := json.Unmarshal([]byte(out), r); jerr != nil {
		return nil, 0, fmt.Errorf("no report (%w): %s", errors.Join(err, jerr), errOut)
	}
	if status != nil {
		return r, status.ExitCode(), nil
	}
	return r, 0, nil
}

// startDaemon starts sallyportd and waits until it answers.
func (s *station) startDaemon() error {
	logFile, err := os.Create(s.file("daemon.log"))
	if err != nil {
		return err
	}
	defer logFile.Close()
	cmd := exec.Command(filepath.Join(s.office.bin, "sallyportd"), "--config", s.config)
	cmd.Stdout, cmd.Stderr = logFile, logFile
	if err := cmd.Start(); err != nil {
		return err
	}
	s.office.daemon = cmd
	if err := waitFor(10*time.Second, func() bool { _, err := os.Stat(s.file("control.sock")); return err == nil }); err != nil {
		said, _ := os.ReadFile(s.file("daemon.log"))
		return fmt.Errorf("sallyportd does not start: %w\n%s", err, said)
	}
	return nil
}

// checkLog has sallyport-verify check the log of the running EMS station.
func (o *office) checkLog() error {
	key := filepath.Join(o.dir, "ems-1.pem")
	if _, err := o.ems.sallyport("trust", "key", "--out", key); err != nil {
		return err
	}
	out, err := exec.Command(filepath.Join(o.bin, "sallyport-verify"), "log", o.ems.file("state/log"), "--key", key).CombinedOutput()
	fmt.Print(string(out))
	if err != nil {
		return fmt.Errorf("sallyport-verify log: %w", err)
	}
	return nil
}

// checkTally compares the tally with the generator's own count, which shares no
// code with the EMS core.
func (o *office) checkTally() error {
	out, err := o.ems.sallyport("--json", "ems", "tally")
	if err != nil {
		return err
	}
	var got ems.Tally
	if err := json.Unmarshal([]byte(out), &got); err != nil {
		return err
	}
	expected, err := os.ReadFile(filepath.Join(o.root, "testdata", "elections", "small", "expected-tally.json"))
	if err != nil {
		return err
	}
	return compareTally(&got, expected)
}

// waitFor asks again and again until ok, at most for d.
func waitFor(d time.Duration, ok func() bool) error {
	for deadline := time.Now().Add(d); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			return fmt.Errorf("not within %s", d)
		}
	}
	return nil
}
