package testoffice

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TB lets the test packages' image builders work outside 'go test'. A fatal
// problem becomes a panic that [TB.Catch] turns into an error.
type TB struct {
	testing.TB // for its unexported method; every method that is used is below
	dir        string
	n          int
}

type fatal struct{ error }

// Helper does nothing.
func (t *TB) Helper() {}

// Fatal panics with a problem that Catch knows.
func (t *TB) Fatal(args ...any) { panic(fatal{errors.New(strings.TrimSpace(fmt.Sprintln(args...)))}) }

// Fatalf is Fatal with a format.
func (t *TB) Fatalf(f string, a ...any) { panic(fatal{fmt.Errorf(f, a...)}) }

// Skip is fatal: outside tests nothing may be left out.
func (t *TB) Skip(args ...any) { t.Fatal(args...) }

// Logf does nothing.
func (t *TB) Logf(string, ...any) {}

// TempDir makes a new folder in the office.
func (t *TB) TempDir() string {
	t.n++
	dir := filepath.Join(t.dir, fmt.Sprintf("%03d", t.n))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// Catch is deferred; it turns a fatal problem into *err.
func (t *TB) Catch(err *error) {
	switch p := recover().(type) {
	case nil:
	case fatal:
		*err = p.error
	default:
		panic(p)
	}
}
