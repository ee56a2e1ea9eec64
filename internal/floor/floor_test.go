package floor

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"sallyport/internal/durable"
)

// counter is a TPM's counter that objects to being counted before the record
// is durable.
type counter struct {
	t     *testing.T
	path  string
	n     uint64
	fail  error
	after bool // it counts and fails
}

func (c *counter) CounterRead(context.Context) (uint64, error) { return c.n, nil }

func (c *counter) CounterIncrement(context.Context) (uint64, error) {
	if body, err := os.ReadFile(c.path); err != nil || !strings.Contains(string(body), `"n":`+strconv.FormatUint(c.n+1, 10)+",") {
		c.t.Errorf("counted to %d with the record %s (%v)", c.n+1, body, err)
	}
	if c.fail != nil && !c.after {
		return 0, c.fail
	}
	c.n++
	return c.n, c.fail
}

var root = strings.Repeat("ab", 32)

func at(size, trust, admitted int64) Heights {
	return Heights{LogSize: size, LogRoot: root, Root: 1, Trust: trust, Admitted: admitted}
}

func create(t *testing.T) *counter {
	t.Helper()
	c := &counter{t: t, path: filepath.Join(t.TempDir(), "floor.json"), n: 7}
	if err := Create(c.path, durable.FS{}, 7, at(1, 0, 0)); err != nil {
		t.Fatal(err)
	}
	return c
}

func open(t *testing.T, c *counter, fs durable.FS) *Floor {
	t.Helper()
	f, err := Open(t.Context(), c.path, fs, c)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestRaise(t *testing.T) {
	c := create(t)
	f := open(t, c, durable.FS{})
	for want := uint64(8); want < 11; want++ {
		if n, err := f.Raise(t.Context(), at(int64(want), 1, 2)); n != want || err != nil {
			t.Errorf("raised to %d, %v; want %d", n, err, want)
		}
	}
	if h := open(t, c, durable.FS{}).Heights(); h != at(10, 1, 2) {
		t.Errorf("the heights are %+v", h)
	}
	late := Heights{LogSize: 4, LogRoot: strings.Repeat("cd", 32), Trust: 2, Admitted: 1} // looked before the last raise
	if _, err := f.Raise(t.Context(), late); err != nil || f.Heights() != at(10, 2, 2) {
		t.Errorf("after one who came late the heights are %+v, %v", f.Heights(), err)
	}
	c.n += 2 // another program with the same TPM
	if _, err := f.Raise(t.Context(), at(11, 1, 2)); !errors.Is(err, ErrWentBack) {
		t.Errorf("a counter that somebody else used: %v", err)
	}
}

// An older copy of the record, or an older TPM, is found; so is a record that is
// not there, and one that is not whole.
func TestOlderCopies(t *testing.T) {
	c := create(t)
	f := open(t, c, durable.FS{})
	var copies [][]byte
	for i := range int64(4) {
		body, err := os.ReadFile(c.path)
		if err != nil {
			t.Fatal(err)
		}
		copies = append(copies, body)
		if _, err := f.Raise(t.Context(), at(2+i, i, i)); err != nil {
			t.Fatal(err)
		}
	}
	for i, body := range copies {
		if err := os.WriteFile(c.path, body, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(t.Context(), c.path, durable.FS{}, c); !errors.Is(err, ErrWentBack) || !strings.Contains(err.Error(), "older copy") {
			t.Errorf("copy %d: %v", i, err)
		}
	}
	if _, err := Open(t.Context(), c.path, durable.FS{}, &counter{t: t, path: c.path, n: 3}); !errors.Is(err, ErrWentBack) || !strings.Contains(err.Error(), "TPM") {
		t.Errorf("an older TPM: %v", err)
	}
	for name, body := range map[string]string{
		"empty": "", "another version": `{"v":2,"n":8,"log_size":1,"log_root":"` + root + `","trust_version":0,"admitted":0}`,
		"cut": `{"v":1,"n":8`, "negative": `{"v":1,"n":-8,"log_size":1,"log_root":"` + root + `","trust_version":0,"admitted":0}`,
		"no hash": `{"v":1,"n":8,"log_size":1,"log_root":"","trust_version":0,"admitted":0}`,
	} {
		if err := os.WriteFile(c.path, []byte(body), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(t.Context(), c.path, durable.FS{}, c); err == nil {
			t.Errorf("%s: opened", name)
		}
	}
	if err := os.Remove(c.path); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), c.path, durable.FS{}, c); !errors.Is(err, ErrWentBack) {
		t.Errorf("without a record: %v", err)
	}
}

func TestHeightsAreHeldAgainstTheRecord(t *testing.T) {
	c := create(t)
	f := open(t, c, durable.FS{})
	if _, err := f.Raise(t.Context(), at(10, 3, 4)); err != nil {
		t.Fatal(err)
	}
	same := func(int64) (string, error) { return root, nil }
	other := func(int64) (string, error) { return strings.Repeat("cd", 32), nil }
	for name, c := range map[string]struct {
		now    Heights
		rootAt func(int64) (string, error)
		ok     bool
	}{
		"the same": {at(10, 3, 4), same, true}, "more": {at(99, 5, 9), same, true},
		"a shorter log": {at(9, 3, 4), same, false}, "another log": {at(99, 3, 4), other, false},
		"an older root": {Heights{LogSize: 10, LogRoot: root, Trust: 3, Admitted: 4}, same, false}, "an older bundle": {at(10, 2, 4), same, false}, "a package less": {at(10, 3, 3), same, false},
	} {
		if err := f.Check(c.now, c.rootAt); (err == nil) != c.ok || err != nil && !errors.Is(err, ErrWentBack) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Power may fail at every step, also when what failed is there all the same.
func TestPowerFails(t *testing.T) {
	cut := errors.New("power")
	for _, after := range []bool{false, true} {
		for step := 1; ; step++ {
			c := create(t)
			n := 0
			f := open(t, c, durable.FS{Hook: func(_ string, done bool) error {
				if !done {
					n++
				}
				if n == step && done == after {
					return cut
				}
				return nil
			}})
			_, err := f.Raise(t.Context(), at(5, 1, 1))
			if err == nil {
				if step == 1 {
					t.Fatal("no step was cut")
				}
				break
			}
			again := open(t, c, durable.FS{})
			if h := again.Heights(); h != at(1, 0, 0) && h != at(5, 1, 1) {
				t.Errorf("step %d, after %t: %+v", step, after, h)
			}
			if _, err := again.Raise(t.Context(), at(6, 1, 1)); err != nil {
				t.Errorf("step %d, after %t: %v", step, after, err)
			}
		}
	}
	for _, counted := range []bool{false, true} { // the TPM does not answer
		c := create(t)
		f := open(t, c, durable.FS{})
		c.fail, c.after = cut, counted
		if _, err := f.Raise(t.Context(), at(5, 1, 1)); !errors.Is(err, cut) {
			t.Errorf("a TPM that fails: %v", err)
		}
		c.fail = nil
		if n, err := f.Raise(t.Context(), at(6, 1, 1)); err != nil || n != c.n {
			t.Errorf("afterwards: %d, %v", n, err)
		}
		if h := open(t, c, durable.FS{}).Heights(); h != at(6, 1, 1) {
			t.Errorf("%+v", h)
		}
	}
}

func FuzzRecord(f *testing.F) {
	f.Add([]byte(`{"v":1,"n":8,"log_size":1,"log_root":"` + root + `","trust_version":0,"admitted":0}`))
	f.Add([]byte(`{"v":1,"n":9007199254740991,"log_size":0,"log_root":"","trust_version":0,"admitted":-1}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		path := filepath.Join(t.TempDir(), "floor.json")
		if err := os.WriteFile(path, body, 0o600); err != nil {
			t.Fatal(err)
		}
		fl, err := Open(t.Context(), path, durable.FS{}, &counter{t: t, path: path, n: 8})
		if err == nil && (fl.last.N < 8 || fl.last.N > 9 || fl.last.check() != nil) {
			t.Errorf("%s was opened as %+v", body, fl.last)
		}
	})
}
