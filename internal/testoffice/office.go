// Package testoffice sets up whole election offices for the demo, the benchmark
// and tests: stations with a software TPM each (swtpm), trust between them, and
// the built programs driven from outside. Test code only.
package testoffice

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sallyport/internal/tpm/tpmtest"
)

// ElectionID is that of testdata/elections/small. OtherElection is one for which
// the source may sign and which the EMS station does not take.
const (
	ElectionID    = "maple-county-general-2026-11-03"
	OtherElection = "maple-county-municipal-2025-11-04"
	Jurisdiction  = "us/maple-county"
)

// Office is a few stations and a folder for everything they need.
type Office struct {
	Checkout string // the project's folder
	Bin      string // of the built programs
	Dir      string
	TB       *TB
	// The stations. Stranger is enrolled by another authority, Elsewhere, which
	// the others know nothing of.
	Authority, Source, EMS, Elsewhere, Stranger *Station

	keep     bool
	stations []*Station
	env      []string // what the programs find in their environment besides
}

// Open makes an office without stations. It stands in the new folder keep, or
// in a temporary one that Close removes.
func Open(bin, keep string) (o *Office, err error) {
	o = &Office{Dir: keep, keep: keep != ""}
	if o.Checkout, err = Checkout(); err != nil {
		return nil, err
	}
	if o.Bin, err = filepath.Abs(bin); err != nil {
		return nil, err
	}
	if o.keep {
		err = os.Mkdir(keep, 0o700)
	} else {
		o.Dir, err = os.MkdirTemp("", "sallyport-")
	}
	if err == nil {
		o.Dir, err = filepath.Abs(o.Dir)
	}
	o.TB = &TB{dir: filepath.Join(o.Dir, "media")}
	return o, err
}

// Close stops all daemons and TPMs and removes the folder.
func (o *Office) Close() error {
	var errs []error
	for _, s := range o.stations {
		errs = append(errs, s.StopDaemon())
		s.KillTPM()
	}
	if !o.keep {
		errs = append(errs, os.RemoveAll(o.Dir))
	}
	return errors.Join(errs...)
}

// Found makes the stations and the trust between them, and returns what the
// EMS station shows of it.
func (o *Office) Found() (trust string, err error) {
	for _, s := range []struct {
		to                  **Station
		id, role, elections string
	}{
		{&o.Authority, "authority", "authority", ""},
		{&o.Source, "polling-place-7", "source", ""},
		{&o.EMS, "ems-1", "ems", ElectionID},
		{&o.Elsewhere, "elsewhere", "authority", ""},
		{&o.Stranger, "stranger", "source", ""},
	} {
		if *s.to, err = o.NewStation(s.id, s.role, s.elections); err != nil {
			return "", err
		}
	}
	if _, err := o.enrol(o.Elsewhere, o.rootFile()+".elsewhere", o.bundleFile()+".elsewhere", map[*Station]string{o.Stranger: sourceKinds}); err != nil {
		return "", err
	}
	return o.enrol(o.Authority, o.rootFile(), o.bundleFile(), map[*Station]string{o.Source: sourceKinds, o.EMS: "results-report,log-export"})
}

const sourceKinds = "election-definition,ballot-package,cvr-export,media-set"

// enrol founds an authority, has it enrol the stations for the kinds of package
// and installs its bundle in each. It returns what the last one shows of it.
func (o *Office) enrol(authority *Station, root, bundle string, stations map[*Station]string) (shown string, err error) {
	if _, err := authority.Sallyport("init"); err != nil {
		return "", err
	}
	if _, err := authority.Sallyport("authority", "init", "--out", root); err != nil {
		return "", err
	}
	admit := []string{"authority", "admit", "--out", bundle, "--elections", ElectionID + "," + OtherElection}
	for s, kinds := range stations {
		if _, err := s.Sallyport("init", "--root", root); err != nil {
			return "", err
		}
		answer, err := o.Answer(authority, s)
		if err != nil {
			return "", err
		}
		admit = append(admit, answer+"="+kinds)
	}
	if _, err := authority.Sallyport(admit...); err != nil {
		return "", err
	}
	for s := range stations {
		if shown, err = s.Sallyport("trust", "install", bundle); err != nil {
			return "", err
		}
	}
	return shown, nil
}

// Answer takes a station through the authority's challenge and returns the file
// of its answer. What people would compare on paper is taken from the screen.
func (o *Office) Answer(authority, s *Station) (file string, err error) {
	for _, name := range []string{"request.json", "challenge.json", "answer.json"} {
		if err := os.RemoveAll(s.File(name)); err != nil {
			return "", err
		}
	}
	shown, err := s.Sallyport("station", "request", "--out", s.File("request.json"))
	if err != nil {
		return "", err
	}
	if _, err := authority.Sallyport("authority", "challenge", s.File("request.json"), "--ek-sha256", EndorsementKey(shown), "--out", s.File("challenge.json")); err != nil {
		return "", err
	}
	_, err = s.Sallyport("station", "activate", s.File("challenge.json"), "--out", s.File("answer.json"))
	return s.File("answer.json"), err
}

// EndorsementKey finds the digest of the endorsement key in what 'station
// request' shows.
func EndorsementKey(shown string) string {
	for line := range strings.Lines(shown) {
		if digest, ok := strings.CutPrefix(line, "endorsement key"); ok {
			return strings.TrimSpace(digest)
		}
	}
	return ""
}

// Join initialises one more station and gives it the trust bundle of Found.
func (o *Office) Join(id, role, elections string) (*Station, error) {
	s, err := o.NewStation(id, role, elections)
	if err == nil {
		_, err = s.Sallyport("init", "--root", o.rootFile())
	}
	if err == nil {
		_, err = s.Sallyport("trust", "install", o.bundleFile())
	}
	return s, err
}

func (o *Office) rootFile() string   { return filepath.Join(o.Dir, "root.json") }
func (o *Office) bundleFile() string { return filepath.Join(o.Dir, "trust.dsse.json") }

// Small returns the path of a file of testdata/elections/small.
func (o *Office) Small(name string) string {
	return filepath.Join(o.Checkout, "testdata", "elections", "small", name)
}

// NewStation starts a fresh TPM and writes a configuration; the station is not
// initialised.
func (o *Office) NewStation(id, role, elections string) (*Station, error) {
	return o.NewStationBy(nil, id, role, elections)
}

// NewStationBy is NewStation with a TPM for which its maker vouches.
func (o *Office) NewStationBy(maker *tpmtest.Maker, id, role, elections string) (s *Station, err error) {
	defer o.TB.Catch(&err)
	dir := filepath.Join(o.Dir, id)
	err = os.Mkdir(dir, 0o700)
	for n := 2; errors.Is(err, os.ErrExist); n++ { // another machine of that id
		dir = filepath.Join(o.Dir, fmt.Sprintf("%s-%d", id, n))
		err = os.Mkdir(dir, 0o700)
	}
	if err != nil {
		return nil, err
	}
	s = &Station{ID: id, Dir: dir, office: o}
	o.stations = append(o.stations, s)
	if maker != nil {
		if err := os.Mkdir(s.File("tpm"), 0o700); err != nil {
			return nil, err
		}
		maker.Manufacture(s.File("tpm"))
	}
	if err := s.StartTPM(); err != nil {
		return nil, err
	}
	if elections != "" {
		elections = fmt.Sprintf("%q", elections)
	}
	return s, os.WriteFile(s.File("sallyport.toml"), fmt.Appendf(nil, `state_dir = "state"
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
`, filepath.Join(o.Bin, "sallyport-reader"), id, "Demo "+id, role, Jurisdiction, elections), 0o600)
}

// StartTPM starts the station's TPM with the state it has.
func (s *Station) StartTPM() error {
	if err := os.MkdirAll(s.File("tpm"), 0o700); err != nil {
		return err
	}
	if err := os.RemoveAll(s.File("tpm.sock")); err != nil {
		return err
	}
	s.tpm = exec.Command("swtpm", "socket", "--tpm2", "--tpmstate", "dir="+s.File("tpm"), "--server", "type=unixio,path="+s.File("tpm.sock"), "--flags", "not-need-init,startup-clear")
	if err := s.tpm.Start(); err != nil {
		return fmt.Errorf("cannot start swtpm ('make deps' installs it): %w", err)
	}
	return waitFor(5*time.Second, "swtpm's socket", func() bool { _, err := os.Stat(s.File("tpm.sock")); return err == nil })
}

// KillTPM stops the TPM at once; its state stays.
func (s *Station) KillTPM() {
	if s.tpm != nil {
		_ = s.tpm.Process.Kill() // it may have ended by itself
		_ = s.tpm.Wait()         // says only that it was killed
		s.tpm = nil
	}
}

// ExtendPCR extends one register of the station's TPM, as another system that is
// started would. No daemon may run: swtpm has one client at a time.
func (s *Station) ExtendPCR(n uint) (err error) {
	defer s.office.TB.Catch(&err)
	tpmtest.Extend(s.office.TB, s.File("tpm.sock"), n)
	return nil
}

// SignalTPM sends the TPM's process a signal, such as SIGSTOP for a TPM that hangs.
func (s *Station) SignalTPM(t testing.TB, sig os.Signal) {
	t.Helper()
	if err := s.tpm.Process.Signal(sig); err != nil {
		t.Fatal(err)
	}
}

// waitFor asks again and again until ok, at most for d.
func waitFor(d time.Duration, what string, ok func() bool) error {
	for deadline := time.Now().Add(d); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			return fmt.Errorf("%s: not there within %s", what, d)
		}
	}
	return nil
}

// startScript and stopScript bring a kept office back to life and end it again.
const (
	startScript = `#!/bin/sh -e
# Starts the software TPMs of this office, and sallyportd at the EMS station.
cd "$(dirname "$0")"
for dir in */; do
	test -f "$dir/sallyport.toml" || continue
	rm -f "$dir/tpm.sock"
	swtpm socket --tpm2 --tpmstate dir="$PWD/$dir/tpm" --server type=unixio,path="$PWD/$dir/tpm.sock" \
		--flags not-need-init,startup-clear --daemon --pid file="$PWD/$dir/tpm.pid"
done
%s --config ems-1/sallyport.toml >> ems-1/daemon.log 2>&1 &
echo $! > ems-1/daemon.pid
until test -S ems-1/control.sock; do kill -0 $!; sleep 0.1; done
`
	stopScript = `#!/bin/sh
# Stops what 'start' started.
cd "$(dirname "$0")"
kill "$(cat ems-1/daemon.pid)"
while test -S ems-1/control.sock; do sleep 0.1; done
for pid in */tpm.pid; do kill "$(cat "$pid")"; done
`
)

// Keep writes the programs DIR/start and DIR/stop, for an office that was
// opened to be kept.
func (o *Office) Keep() error {
	start := fmt.Sprintf(startScript, shellQuote(filepath.Join(o.Bin, "sallyportd")))
	return errors.Join(
		os.WriteFile(filepath.Join(o.Dir, "start"), []byte(start), 0o755),
		os.WriteFile(filepath.Join(o.Dir, "stop"), []byte(stopScript), 0o755))
}

func shellQuote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// Programs returns the folder of the built programs for tests: SALLYPORT_BIN,
// or a new temporary folder into which it builds them. The caller calls remove
// at the end.
func Programs() (bin string, remove func(), err error) {
	if bin := os.Getenv("SALLYPORT_BIN"); bin != "" {
		return bin, func() {}, nil
	}
	checkout, err := Checkout()
	if err != nil {
		return "", nil, err
	}
	bin, err = os.MkdirTemp("", "sallyport-bin-")
	if err != nil {
		return "", nil, err
	}
	remove = func() { os.RemoveAll(bin) }
	if err := os.Chmod(bin, 0o755); err != nil { // the reader runs as another user
		remove()
		return "", nil, err
	}
	cmd := exec.Command("go", "build", "-o", bin+"/", "./cmd/sallyport", "./cmd/sallyportd", "./cmd/sallyport-reader", "./cmd/sallyport-verify")
	cmd.Dir = checkout
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		remove()
		return "", nil, fmt.Errorf("cannot build the programs: %w\n%s", err, out)
	}
	return bin, remove, nil
}

// Checkout finds the project's folder above the working folder.
func Checkout() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for ; dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
	}
	return "", errors.New("run this inside the checkout")
}
