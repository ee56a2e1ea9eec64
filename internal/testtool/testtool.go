// Package testtool finds the real programs that tests drive (mkfs, mtools,
// swtpm, openssl). Test code only. A missing program skips the test visibly at
// home and is fatal where a ring was asked for (SALLYPORT_RING=host or e2e),
// so that a ring that did not run is never called green.
package testtool

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// Need returns the path of an installed program.
func Need(t testing.TB, name string) string {
	t.Helper()
	if p, err := exec.LookPath(name); err == nil {
		return p
	}
	for _, dir := range []string{"/usr/sbin", "/sbin", "/usr/local/sbin"} {
		p := filepath.Join(dir, name)
		if st, err := os.Stat(p); err == nil && st.Mode()&0o111 != 0 {
			return p
		}
	}
	Unmet(t, "the program "+name+" is not installed ('make deps' installs what the tests need)")
	return ""
}

// Root stops tests that need the privileges of root (mounts).
func Root(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		Unmet(t, "this test needs root")
	}
}

// Run runs a program and fails the test, with its output, when it fails.
func Run(t testing.TB, name string, args ...string) []byte {
	t.Helper()
	out, err := exec.Command(Need(t, name), args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %q: %v\n%s", name, args, err, out)
	}
	return out
}

// Shared returns the path of a file or folder below the folder "shared" that
// stands beside the checkout, or skips the test: those documents are test
// inputs that are never part of the project.
func Shared(t testing.TB, elem ...string) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for ; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			break
		}
		if dir == filepath.Dir(dir) {
			t.Fatal("no go.mod above the test's folder")
		}
	}
	p := filepath.Join(append([]string{filepath.Dir(dir), "shared", "data"}, elem...)...)
	if _, err := os.Stat(p); err != nil {
		t.Skipf("%s is not beside the checkout: this comparison did not run", filepath.Join(append([]string{"shared", "data"}, elem...)...))
	}
	return p
}

// Unmet skips, or fails where a ring was asked for.
func Unmet(t testing.TB, why string) {
	t.Helper()
	if ring := os.Getenv("SALLYPORT_RING"); ring == "host" || ring == "e2e" {
		t.Fatal(why)
	}
	t.Skip(why)
}
