package vault_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"sallyport/internal/durable"
	"sallyport/internal/vault"
	"sallyport/internal/verdict"
)

// The crash table: every scenario is cut off at every durable step, in three
// ways: the step fails, the step takes effect and is reported as failed, the
// process is killed there. Then the vault is opened again and judged from what
// the scenario had been promised until then.

var errInjected = errors.New("injected")

// cut makes FS act at one step: before its effect or after.
type cut struct {
	step  int
	after bool
	act   func() error

	mu   sync.Mutex
	seen []string
}

func (c *cut) fs() durable.FS {
	return durable.FS{Hook: func(step string, done bool) error {
		c.mu.Lock()
		defer c.mu.Unlock()
		if !done {
			c.seen = append(c.seen, step)
		}
		if len(c.seen)-1 == c.step && done == c.after {
			return c.act()
		}
		return nil
	}}
}

// promise is how far a scenario came, by what the vault returned without error.
type promise int

const (
	nothing   promise = iota
	staged            // Stage returned: facts are safe
	committed         // Commit returned: the contents are safe
	decided           // Admit or Hold returned
	abandoned
)

type scenario struct {
	prepare func(t *testing.T, dir string)
	run     func(dir string, fs durable.FS) (promise, error)
	judge   func(t *testing.T, dir string, p promise)
	steps   []string // every durable step, in order
}

const crashID = "crash"

// crashFiles span several writes of the pack.
var crashFiles = []content{{"small", random(1, 100)}, {"large", random(2, 4<<20)}, {"tail", random(3, 5000)}}

func crashBytes() []byte {
	var all []byte
	for _, f := range crashFiles {
		all = append(all, f.data...)
	}
	return all
}

var crashReasons = []verdict.Finding{{Reason: verdict.FileAltered, Where: "large"}}

// crashStage stages and commits, going on after failed writes as intake does.
func crashStage(v *vault.Vault) (st *vault.Staged, p promise, err error) {
	s, err := v.Stage(crashID, total(crashFiles), []byte(facts))
	if err != nil {
		return nil, nothing, err
	}
	for _, f := range crashFiles {
		if _, err := s.AddFile(f.name, bytes.NewReader(f.data)); err != nil {
			break // the writes of a pack fail late: Commit tells
		}
	}
	if st, err = s.Commit(vault.Record{Data: []byte("rec")}); err != nil {
		return nil, staged, err
	}
	return st, committed, nil
}

func crashDecide(decide func(*vault.Vault, *vault.Staged) error) func(string, durable.FS) (promise, error) {
	return func(dir string, fs durable.FS) (p promise, err error) {
		v, err := vault.Open(dir, vault.Options{FS: fs})
		if err != nil {
			return nothing, err
		}
		defer func() { err = errors.Join(err, v.Close()) }()
		st, p, err := crashStage(v)
		if err != nil {
			return p, err
		}
		problem := st.Problem()
		if err = decide(v, st); errors.Is(err, vault.ErrPartial) {
			_, err = v.Hold(st, crashReasons, []byte("out"))
		}
		if err != nil {
			return p, err
		}
		return decided, problem
	}
}

func crashHold(v *vault.Vault, st *vault.Staged) error {
	_, err := v.Hold(st, crashReasons, []byte("out"))
	return err
}

func crashAdmit(v *vault.Vault, st *vault.Staged) error {
	_, err := v.Admit(st, []byte("out"))
	return err
}

func crashAbandon(dir string, fs durable.FS) (p promise, err error) {
	v, err := vault.Open(dir, vault.Options{FS: fs})
	if err != nil {
		return nothing, err
	}
	defer func() { err = errors.Join(err, v.Close()) }()
	s, err := v.Stage(crashID, 100, []byte(facts))
	if err != nil {
		return nothing, err
	}
	if err := s.Abandon(); err != nil {
		return nothing, err
	}
	return abandoned, nil
}

// crashLeft makes a vault with a whole item, and a leftover whose Commit
// failed after all content was written.
func crashLeft(t *testing.T, dir string) {
	crashVault(t, dir)
	v, err := vault.Open(dir, vault.Options{FS: durable.FS{Hook: failStep("vault.record.write", errInjected)}})
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	if _, _, err := crashStage(v); !errors.Is(err, errInjected) {
		t.Fatal(err)
	}
}

// failStep makes one step fail, always and without effect.
func failStep(label string, err error) func(string, bool) error {
	return func(step string, done bool) error {
		if step == label && !done {
			return err
		}
		return nil
	}
}

// crashDamaged makes a committed leftover with a damaged index.
func crashDamaged(t *testing.T, dir string) {
	crashVault(t, dir)
	v, err := vault.Open(dir, vault.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	if _, _, err := crashStage(v); err != nil {
		t.Fatal(err)
	}
	flip(t, filepath.Join(dir, "staged", crashID, "index"), 310)
}

func crashRecover(dir string, fs durable.FS) (p promise, err error) {
	v, err := vault.Open(dir, vault.Options{FS: fs})
	if err != nil {
		return staged, err
	}
	defer func() { err = errors.Join(err, v.Close()) }()
	st, err := v.Recover(crashID, vault.Record{Data: []byte("recovered")})
	if err != nil {
		return staged, err
	}
	if err := crashHold(v, st); err != nil {
		return staged, err
	}
	return decided, nil
}

// crashVault makes a vault that holds one admitted item.
func crashVault(t *testing.T, dir string) {
	t.Helper()
	if err := vault.Create(dir, durable.FS{}); err != nil {
		t.Fatal(err)
	}
	v, err := vault.Open(dir, vault.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	if _, err := v.Admit(stage(t, v, "before", content{"a", []byte("abc")}), nil); err != nil {
		t.Fatal(err)
	}
}

// judge opens the vault after the cut and checks all promises.
func judge(t *testing.T, dir string, p promise) {
	v, err := vault.Open(dir, vault.Options{})
	if err != nil {
		t.Fatalf("the vault does not open: %v", err)
	}
	defer v.Close()
	if it, err := v.Get("before"); err != nil || it.Verify() != nil {
		t.Fatalf("an older item suffered: %v", err)
	}
	left, err := v.Leftovers()
	if err != nil {
		t.Fatal(err)
	}
	if len(left) > 0 {
		if p == decided || len(left) > 1 || left[0].ID != crashID {
			t.Fatalf("leftovers after promise %d: %+v", p, left)
		}
		if p == committed && (!left[0].Complete || left[0].Bytes != total(crashFiles)) {
			t.Errorf("committed, but left as %+v", left[0])
		}
		st, err := v.Recover(crashID, vault.Record{Data: []byte("late")})
		if err != nil {
			t.Fatalf("the leftover cannot be recovered: %v", err)
		}
		if left[0].Complete != (st.Problem() == nil) {
			t.Errorf("complete=%v, problem %v", left[0].Complete, st.Problem())
		}
		if err := crashHold(v, st); err != nil {
			t.Fatalf("the leftover cannot be held: %v", err)
		}
	}
	judgeItem(t, v, p)
	if litter, _ := filepath.Glob(filepath.Join(dir, "*", "*", "*.tmp")); p != abandoned && len(litter) > 0 {
		t.Errorf("litter: %v", litter)
	}
	if now, err := os.ReadDir(filepath.Join(dir, "staged")); err != nil || len(now) > 0 {
		t.Errorf("still in staged/: %v, %v", now, err)
	}
}

func judgeItem(t *testing.T, v *vault.Vault, p promise) {
	it, err := v.Get(crashID)
	if errors.Is(err, vault.ErrNotFound) && (p == nothing || p == abandoned) {
		return
	}
	if err != nil {
		t.Fatalf("lost after promise %d: %v", p, err)
	}
	defer it.Close()
	if err := it.Verify(); err != nil {
		t.Error(err)
	}
	if got, err := it.Facts(); err != nil || string(got) != facts {
		t.Errorf("facts %q, %v", got, err)
	}
	if got, err := it.Outcome(); err != nil || string(got) != "out" {
		t.Errorf("outcome %q, %v", got, err)
	}
	if it.State() == vault.Held && !slices.Equal(it.Reasons(), crashReasons) {
		t.Errorf("reasons %v", it.Reasons())
	}
	var got []byte
	for i := range it.Count() {
		f, err := it.OpenEntry(i)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(f)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, b...)
	}
	want := crashBytes()
	if it.State() == vault.Admitted || p >= committed && len(got) == len(want) {
		if !bytes.Equal(got, want) {
			t.Errorf("%s with other bytes", it.State())
		}
		return
	}
	if bytes.HasPrefix(want, got) {
		return
	}
	if extra := len(got) - len(want); extra <= 0 || extra >= 4096 || !bytes.Equal(got, append(want, make([]byte, extra)...)) {
		t.Errorf("what is held (%d bytes) is not the beginning of what was read", len(got))
	}
}

func judgeCreate(t *testing.T, dir string, p promise) {
	if err := vault.Create(dir, durable.FS{}); err != nil && !errors.Is(err, os.ErrExist) {
		t.Fatalf("Create cannot be repeated: %v", err)
	}
	v, err := vault.Open(dir, vault.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	if _, err := v.Admit(stage(t, v, "x", content{"a", nil}), nil); err != nil {
		t.Error(err)
	}
}

func written(label string) []string {
	return []string{label + ".write", label + ".rename", label + ".syncdir"}
}

func made(label string) []string { return []string{label + ".mkdir", label + ".syncdir"} }

func moved(label string) []string {
	return []string{label + ".rename", label + ".syncdir", label + ".from.syncdir"}
}

var (
	openSteps   = []string{"vault.open.syncdir", "vault.open.syncdir", "vault.open.syncdir"}
	stageSteps  = slices.Concat(made("vault.stage"), written("vault.facts"), []string{"vault.pack.create", "vault.pack.allocate", "vault.pack.syncdir"}, moved("vault.stage"))
	indexSteps  = slices.Concat([]string{"vault.pack.truncate", "vault.pack.fsync"}, written("vault.record"), written("vault.index"))
	decideSteps = slices.Concat(written("vault.outcome"), written("vault.decision"))
	writes3     = []string{"vault.pack.write", "vault.pack.write", "vault.pack.write"}
)

func scenarios() map[string]scenario {
	recovered := slices.Concat([]string{"vault.pack.write"}, indexSteps, decideSteps, moved("vault.hold"))
	return map[string]scenario{
		"admit":   {crashVault, crashDecide(crashAdmit), judge, slices.Concat(openSteps, stageSteps, writes3, indexSteps, decideSteps, moved("vault.admit"))},
		"hold":    {crashVault, crashDecide(crashHold), judge, slices.Concat(openSteps, stageSteps, writes3, indexSteps, decideSteps, moved("vault.hold"))},
		"abandon": {crashVault, crashAbandon, judge, slices.Concat(openSteps, stageSteps, moved("vault.abandon"), []string{"vault.abandon.remove", "vault.abandon.syncdir"})},
		"recover": {crashLeft, crashRecover, judge, slices.Concat(openSteps, recovered)},
		"damaged": {crashDamaged, crashRecover, judge, slices.Concat(openSteps, moved("vault.recover.aside"), recovered)},
		"create": {func(*testing.T, string) {}, func(dir string, fs durable.FS) (promise, error) { return nothing, vault.Create(dir, fs) }, judgeCreate,
			slices.Concat(made("vault.create"), made("vault.create"), made("vault.create"), made("vault.create"), written("vault.marker"))},
	}
}

func TestCrashTable(t *testing.T) {
	for name, sc := range scenarios() {
		t.Run(name, func(t *testing.T) {
			c := &cut{step: -1}
			prepared := filepath.Join(t.TempDir(), "v")
			sc.prepare(t, prepared)
			dir := again(t, prepared)
			p, err := sc.run(dir, c.fs())
			if err != nil {
				t.Fatalf("uncut: %v", err)
			}
			if !slices.Equal(c.seen, sc.steps) {
				t.Fatalf("the durable steps are now\n%q, want\n%q", c.seen, sc.steps)
			}
			sc.judge(t, dir, p)
			for step, label := range sc.steps {
				for _, after := range []bool{false, true} {
					t.Run(fmt.Sprintf("%02d-%s-%v", step, label, after), func(t *testing.T) {
						failed(t, sc, again(t, prepared), step, after)
						if after { // killed before a step is killed after the one before it
							killed(t, name, sc, again(t, prepared), step)
						}
					})
				}
			}
		})
	}
}

// again copies a prepared vault.
func again(t *testing.T, prepared string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "v")
	if _, err := os.Stat(prepared); err != nil {
		return dir
	}
	if err := os.CopyFS(dir, os.DirFS(prepared)); err != nil {
		t.Fatal(err)
	}
	return dir
}

// failed cuts in this process.
func failed(t *testing.T, sc scenario, dir string, step int, after bool) {
	// ENOSPC is the failure that has a meaning of its own: it must stay visible.
	c := &cut{step: step, after: after, act: func() error { return fmt.Errorf("%w: %w", errInjected, syscall.ENOSPC) }}
	p, err := sc.run(dir, c.fs())
	if !errors.Is(err, errInjected) {
		t.Fatalf("the failure was not reported: %v", err)
	}
	if step >= len(openSteps) && sc.steps[0] == openSteps[0] {
		if f, ok := verdict.Find(err); !ok || f.Reason != verdict.StoreFull {
			t.Errorf("a full disk is reported as %v", err)
		}
	}
	sc.judge(t, dir, p)
}

const childEnv = "SALLYPORT_VAULT_CRASH"

// killed cuts in a child, which says on its output what it was promised.
func killed(t *testing.T, name string, sc scenario, dir string, step int) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%s,%d,%s", childEnv, name, step, dir))
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		t.Fatalf("the child was not killed: %v\n%s", err, out)
	}
	// A child that is killed cannot tell what Stage and Commit returned; the
	// step says it: what comes after them was begun.
	p := nothing
	labels := sc.steps[:step+1]
	switch {
	case sc.steps[0] != openSteps[0]:
	case name == "recover" || name == "damaged":
		p = staged
	case slices.Contains(labels, "vault.outcome.write"):
		p = committed
	case slices.Contains(labels, "vault.pack.write"):
		p = staged
	}
	sc.judge(t, dir, p)
}

func TestMain(m *testing.M) {
	if arg := os.Getenv(childEnv); arg != "" {
		crashChild(strings.SplitN(arg, ",", 3))
	}
	os.Exit(m.Run())
}

func crashChild(arg []string) {
	step, err := strconv.Atoi(arg[1])
	if err != nil {
		panic(err)
	}
	c := &cut{step: step, after: true, act: func() error {
		syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	}}
	p, err := scenarios()[arg[0]].run(arg[2], c.fs())
	fmt.Println("not killed:", p, err)
	os.Exit(1)
}

// flip inverts one byte of a file.
func flip(t testing.TB, path string, off int64) {
	t.Helper()
	if err := os.Chmod(path, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var b [1]byte
	if _, err := f.ReadAt(b[:], off); err != nil {
		t.Fatal(err)
	}
	b[0] ^= 0xff
	if _, err := f.WriteAt(b[:], off); err != nil {
		t.Fatal(err)
	}
}
