package station_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"sallyport/internal/audit"
	"sallyport/internal/config"
	"sallyport/internal/durable"
	"sallyport/internal/ems"
	"sallyport/internal/intake"
	"sallyport/internal/manifest"
	"sallyport/internal/station"
	"sallyport/internal/testelection"
	"sallyport/internal/testmedia"
	"sallyport/internal/testtool"
	"sallyport/internal/translog"
	"sallyport/internal/vault"
	"sallyport/internal/verdict"
)

// crashOrder is the environment variable that makes the test binary a station
// that takes one medium and is killed at one step.
const crashOrder = "SALLYPORT_CRASH_ORDER"

// order is its value, as JSON.
type order struct {
	Config *config.Config
	Image  string
	Step   int
}

// saboteur counts durable steps while it is armed, and does something at one.
type saboteur struct {
	mu    sync.Mutex
	armed bool
	at    int // from 1
	after bool
	do    func() error
	steps []string
}

func (s *saboteur) hook(step string, done bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.armed {
		return nil
	}
	if !done {
		s.steps = append(s.steps, step)
	}
	if len(s.steps) == s.at && done == s.after && s.do != nil {
		return s.do()
	}
	return nil
}

func (s *saboteur) arm(on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.armed = on
}

// crash is the process that dies.
func crash(text string) int {
	var o order
	if err := json.Unmarshal([]byte(text), &o); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	sab := &saboteur{at: o.Step, do: func() error { return syscall.Kill(os.Getpid(), syscall.SIGKILL) }}
	s, err := station.Open(context.Background(), o.Config, options(durable.FS{Hook: sab.hook}))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	sab.arm(true)
	if _, err := insert(s, o.Image); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	return 0 // there is no such step
}

func insert(s *station.Station, image string) (*intake.Report, error) {
	f, err := os.Open(image)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return ask[*intake.Report](s, station.OpIntake, station.IntakeArgs{Name: filepath.Base(image)}, f)
}

// scene is an EMS station that has an election and the ballots of two
// precincts, and a medium with those of the third (good) and a package of which
// a byte was changed (bad).
type scene struct {
	*office
	image     string
	good, bad string
	before    string // copy of the state folder
	tpm       string // copy of the TPM's state
	keys      []*ecdsa.PublicKey
	expected  testelection.Expected
}

func newScene(t *testing.T) *scene {
	t.Helper()
	sc := &scene{office: newOffice(t)}
	sc.before, sc.tpm = filepath.Join(memory(t), "before"), filepath.Join(memory(t), "tpm")
	if err := json.Unmarshal(small(t, "expected-tally.json"), &sc.expected); err != nil {
		t.Fatal(err)
	}
	cvrs := func(precincts ...string) map[string][]byte {
		out := map[string][]byte{}
		for _, p := range precincts {
			out["cvr-precinct-"+p+".json"] = small(t, "cvr-precinct-"+p+".json")
		}
		return out
	}
	first, second := testmedia.Files{}, testmedia.Files{}
	sc.source.with(func(s *station.Station) {
		put := func(files testmedia.Files, kind manifest.Kind, contents map[string][]byte) string {
			sealed := asked[station.Sealed](t, s, station.OpSeal, request(t, kind, contents))
			onMedium(files, sealed, contents)
			return sealed.PackageID
		}
		put(first, manifest.ElectionDefinition, map[string][]byte{"definition.json": small(t, "definition.json")})
		sc.bad = put(second, manifest.MediaSet, map[string][]byte{"note.txt": []byte("signed")})
		earlier := testmedia.Files{}
		put(earlier, manifest.CVRExport, cvrs("1", "2"))
		sc.good = put(second, manifest.CVRExport, cvrs("3"))
		sc.ems.with(func(s *station.Station) {
			for _, files := range []testmedia.Files{first, earlier} {
				rep, err := insert(s, testmedia.FAT(t, testmedia.Options{Bits: 16, SizeMiB: 12}, files))
				sc.ems.must(err)
				if rep.Verdict != verdict.Accepted {
					t.Fatalf("the scene cannot be set: %+v", rep)
				}
			}
			sc.keys = publicKeys(t, s, station.KeyForLog)
		})
	})
	second["SALLYPORT/"+sc.bad+"/data/note.txt"] = []byte("changed")[:6]
	sc.image = testmedia.FAT(t, testmedia.Options{Bits: 16, SizeMiB: 12}, second)
	testtool.Run(t, "cp", "-a", sc.ems.cfg.StateDir, sc.before)
	sc.ems.swtpm.Save(sc.tpm)
	return sc
}

// reset brings the EMS station back to where it was before the medium, with its
// TPM, which otherwise would not have it.
func (sc *scene) reset() {
	sc.ems.swtpm.Rewind(sc.tpm)
	sc.ems.must(os.RemoveAll(sc.ems.cfg.StateDir))
	testtool.Run(sc.ems.t, "cp", "-a", sc.before, sc.ems.cfg.StateDir)
}

// ballots is how many cast vote records the EMS core has.
func ballots(t testing.TB, s *station.Station) int64 {
	t.Helper()
	list := asked[station.Elections](t, s, station.OpElections, station.NoArgs{}).Elections
	if len(list) != 1 {
		t.Fatalf("the core holds %d elections", len(list))
	}
	return list[0].Ballots
}

// kept is one decided item as it lies on the disk.
type kept struct {
	state    vault.State
	facts    intake.ItemFacts
	outcome  intake.Outcome
	decision struct{ Reasons []verdict.Finding }
}

func (sc *scene) kept(t testing.TB, packageID string) (all []kept) {
	t.Helper()
	dir := filepath.Join(sc.ems.cfg.StateDir, "vault")
	left, err := os.ReadDir(filepath.Join(dir, "staged"))
	sc.ems.must(err)
	if len(left) > 0 {
		t.Errorf("undecided items are left: %v", left)
	}
	for _, state := range []vault.State{vault.Held, vault.Admitted} {
		items, err := filepath.Glob(filepath.Join(dir, string(state), "*"))
		sc.ems.must(err)
		for _, item := range items {
			k := kept{state: state}
			for name, to := range map[string]any{"facts.json": &k.facts, "outcome.json": &k.outcome, "decision.json": &k.decision} {
				data, err := os.ReadFile(filepath.Join(item, name))
				if err == nil {
					err = json.Unmarshal(data, to)
				}
				sc.ems.must(err)
			}
			if k.facts.Package == packageID {
				all = append(all, k)
			}
		}
	}
	return all
}

// recovered opens the station after whatever happened, and checks everything
// that must hold; it ends with the medium inserted once more.
func (sc *scene) recovered(t *testing.T) {
	t.Helper()
	s := sc.ems.open(durable.FS{})
	staged := sc.verdicts(t, s)
	good, bad := sc.kept(t, sc.good), sc.kept(t, sc.bad)
	if len(good) > 1 || len(bad) > 1 {
		t.Fatalf("a package has two items: %+v, %+v", good, bad)
	}
	for id, list := range map[string][]kept{sc.good: good, sc.bad: bad} {
		if staged[id] && len(list) == 0 {
			t.Errorf("package %s was staged and is lost", id)
		}
	}
	if len(bad) == 1 && bad[0].state != vault.Held {
		t.Error("the altered package is admitted")
	}
	admitted := len(good) == 1 && good[0].state == vault.Admitted
	have, all := ballots(t, s), sc.expected.Ballots
	switch {
	case admitted && (have != all || good[0].outcome.Receipt == nil || good[0].outcome.Verdict != verdict.Accepted):
		t.Errorf("the package is admitted: the core has %d of %d ballots, the outcome is %+v", have, all, good[0].outcome)
	case !admitted && have >= all:
		t.Errorf("the package is not admitted, and the core has all %d ballots", have)
	case !admitted && len(good) == 1 && (len(good[0].decision.Reasons) != 1 || good[0].decision.Reasons[0].Reason != verdict.Interrupted):
		t.Errorf("the package is held for %+v, want interrupted", good[0].decision.Reasons)
	}
	rep, err := insert(s, sc.image)
	sc.ems.must(err)
	sc.again(t, rep, admitted)
	sc.tally(t, s)
	sc.verdicts(t, s)
	provable(t, s)
	sc.ems.must(s.Close(context.Background()))
	sc.ems.checkLog(translog.VerifyOptions{Keys: sc.keys, Origin: "sallyport/" + county + "/ems-1"})
	sc.wholeItems(t)
}

// again checks the report of the second insertion.
func (sc *scene) again(t *testing.T, rep *intake.Report, admitted bool) {
	t.Helper()
	if rep.Verdict != verdict.Held || len(rep.Packages) != 2 {
		t.Errorf("inserted again, the medium is %s with %d packages", rep.Verdict, len(rep.Packages))
	}
	for _, p := range rep.Packages {
		var why []verdict.Reason
		for _, f := range p.Findings {
			why = append(why, f.Reason)
		}
		switch {
		case p.Package == sc.bad && slices.Equal(why, []verdict.Reason{verdict.FileAltered}):
		case p.Package == sc.good && admitted && slices.Equal(why, []verdict.Reason{verdict.Replayed}):
		case p.Package == sc.good && !admitted && p.Verdict == verdict.Accepted:
		default:
			t.Errorf("inserted again, package %s (admitted before: %v) is %s for %v", p.Package, admitted, p.Verdict, why)
		}
	}
	n := 0
	for _, k := range sc.kept(t, sc.good) {
		if k.state == vault.Admitted {
			n++
		}
	}
	if n != 1 {
		t.Errorf("in the end the package is admitted %d times", n)
	}
}

// verdicts checks that each medium has exactly one, and returns which packages
// the log calls staged.
func (sc *scene) verdicts(t *testing.T, s *station.Station) (staged map[string]bool) {
	t.Helper()
	media := map[string]int{}
	for _, e := range entries(t, s, "medium") {
		switch e.Event {
		case audit.MediumInserted:
			media[e.Subject.Medium] += 1000
		case audit.MediumVerdict:
			media[e.Subject.Medium]++
		}
	}
	for id, n := range media {
		if n != 1001 {
			t.Errorf("medium %s: %d insertions and %d verdicts", id, n/1000, n%1000)
		}
	}
	staged = map[string]bool{}
	for _, e := range entries(t, s, string(audit.PackageStage)) {
		if e.Phase == audit.PhaseOutcome && e.Outcome == audit.Success {
			staged[e.Subject.Package] = true
		}
	}
	return staged
}

// tally compares the count with the generator's own.
func (sc *scene) tally(t *testing.T, s *station.Station) {
	t.Helper()
	got := asked[ems.Tally](t, s, station.OpTally, station.TallyArgs{})
	if got.Ballots != sc.expected.Ballots || len(got.Contests) != len(sc.expected.Contests) {
		t.Errorf("%d ballots in %d contests, want %d in %d", got.Ballots, len(got.Contests), sc.expected.Ballots, len(sc.expected.Contests))
	}
	for _, c := range got.Contests {
		i := slices.IndexFunc(sc.expected.Contests, func(w testelection.ExpectedResult) bool { return w.ID == c.ID })
		if i < 0 {
			t.Errorf("contest %s was not expected", c.ID)
			continue
		}
		for k, o := range c.Options {
			if c.Total.Votes[k] != sc.expected.Contests[i].Total.Votes[o.ID] {
				t.Errorf("%s has %d votes, want %d", o.ID, c.Total.Votes[k], sc.expected.Contests[i].Total.Votes[o.ID])
			}
		}
	}
}

func (sc *scene) wholeItems(t *testing.T) {
	t.Helper()
	v, err := vault.Open(filepath.Join(sc.ems.cfg.StateDir, "vault"), vault.Options{})
	sc.ems.must(err)
	defer v.Close()
	for _, state := range []vault.State{vault.Held, vault.Admitted} {
		ids, err := v.List(state)
		sc.ems.must(err)
		for _, id := range ids {
			item, err := v.Get(id)
			sc.ems.must(err)
			if err := errors.Join(item.Verify(), item.Close()); err != nil {
				t.Error(err)
			}
		}
	}
}

// steps runs the intake undisturbed and returns its durable steps.
func (sc *scene) steps(t *testing.T) []string {
	t.Helper()
	sc.reset()
	sab := &saboteur{}
	s := sc.ems.open(durable.FS{Hook: sab.hook})
	sab.arm(true)
	rep, err := insert(s, sc.image)
	sc.ems.must(err)
	sab.arm(false)
	sc.again(t, rep, false)
	sc.ems.must(s.Close(context.Background()))
	return sab.steps
}

// fewestSteps keeps the tables below from shrinking unseen.
const fewestSteps = 60

func TestKilledAtEachDurableStepOfAnIntake(t *testing.T) {
	sc := newScene(t)
	steps := sc.steps(t)
	if len(steps) < fewestSteps {
		t.Fatalf("an intake has only %d durable steps: %v", len(steps), steps)
	}
	self, err := os.Executable()
	sc.ems.must(err)
	began := time.Now()
	for i, step := range steps {
		// Killed before step i+1 is the same as killed after step i: what was
		// written without fsync outlives a process, and the tables of vault and
		// translog cut the bytes themselves.
		t.Run(fmt.Sprintf("%03d-%s", i+1, step), func(t *testing.T) {
			sc.reset()
			text, err := json.Marshal(order{sc.ems.cfg, sc.image, i + 1})
			sc.ems.must(err)
			cmd := exec.Command(self)
			cmd.Env = append(os.Environ(), crashOrder+"="+string(text))
			var said bytes.Buffer
			cmd.Stdout, cmd.Stderr = &said, &said
			err = cmd.Run()
			var ended *exec.ExitError
			if !errors.As(err, &ended) || ended.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
				t.Fatalf("the station was not killed: %v\n%s", err, said.String())
			}
			sc.recovered(t)
		})
	}
	t.Logf("%d steps in %.1f s", len(steps), time.Since(began).Seconds())
}

var errDisk = errors.New("the disk failed")

// TestDurableStepsOfAnIntakeFail lets steps fail, and take effect and be
// reported as failed. The station must say so and take nothing more. What is on
// the disk then is what a kill before or after the step leaves, which the table
// above tries for every step; so here it is the first and the last step of each
// name.
func TestDurableStepsOfAnIntakeFail(t *testing.T) {
	sc := newScene(t)
	steps := sc.steps(t)
	if len(steps) < fewestSteps {
		t.Fatalf("an intake has only %d durable steps: %v", len(steps), steps)
	}
	tried := 0
	for i, step := range steps {
		if i != slices.Index(steps, step) && slices.Contains(steps[i+1:], step) {
			continue
		}
		for _, after := range []bool{false, true} {
			t.Run(fmt.Sprintf("%03d-%s-%s", i+1, step, map[bool]string{false: "fails", true: "fails-in-effect"}[after]), func(t *testing.T) {
				tried++
				sc.reset()
				sab := &saboteur{at: i + 1, after: after, do: func() error { return errDisk }}
				s := sc.ems.open(durable.FS{Hook: sab.hook})
				sab.arm(true)
				_, err := insert(s, sc.image)
				sab.arm(false)
				if failure(t, err).Code != "internal" {
					t.Errorf("the caller is told %v", err)
				}
				select {
				case cause := <-s.Fatal():
					if !errors.Is(cause, errDisk) || !strings.Contains(cause.Error(), "cannot finish medium") {
						t.Errorf("the station stops because of %v", cause)
					}
				default:
					t.Error("the station works on")
				}
				if _, err := insert(s, sc.image); err == nil {
					t.Error("the next medium was taken")
				}
				_ = s.Close(context.Background()) // it may not be able to log its end
				sc.recovered(t)
			})
		}
	}
	if tried < fewestSteps {
		t.Errorf("only %d failures were tried", tried)
	}
	t.Logf("%d failures", tried)
}
