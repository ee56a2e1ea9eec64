package cli_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"sallyport/internal/testmedia"
	"sallyport/internal/testoffice"
	"sallyport/internal/testtool"
)

// The tests of this package drive the built programs from outside, in one
// office that they share.
var shared struct {
	bin  string
	once sync.Once
	o    *testoffice.Office
	err  error
}

func TestMain(m *testing.M) {
	bin, remove, err := testoffice.Programs()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	shared.bin = bin
	// Nothing here is about durability, and a station syncs often.
	if st, err := os.Stat("/dev/shm"); err == nil && st.IsDir() && os.Getenv("TMPDIR") == "" {
		os.Setenv("TMPDIR", "/dev/shm")
	}
	status := m.Run()
	if shared.o != nil {
		if err := shared.o.Close(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			status = 1
		}
	}
	remove()
	os.Exit(status)
}

// office is the shared office; no daemon runs in it when a test begins or ends.
func office(t *testing.T) *testoffice.Office {
	t.Helper()
	for _, tool := range []string{"swtpm", "mkfs.vfat", "mkfs.exfat", "mcopy", "sfdisk"} {
		testtool.Need(t, tool)
	}
	shared.once.Do(func() {
		if shared.o, shared.err = testoffice.Open(shared.bin, ""); shared.err == nil {
			_, shared.err = shared.o.Found()
		}
	})
	if shared.err != nil {
		t.Fatal(shared.err)
	}
	return shared.o
}

// daemon starts sallyportd on the EMS station until the test ends.
func daemon(t *testing.T, s *testoffice.Station) {
	t.Helper()
	if err := s.StartDaemon(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.StopDaemon(); err != nil {
			t.Errorf("sallyportd did not end well: %v", err)
		}
	})
}

// result is what one call of a program printed and returned.
type result struct {
	out, err string
	status   int
}

// call runs the command line without any station unless args name one.
func call(t *testing.T, args ...string) result {
	t.Helper()
	return finish(t, command(args...))
}

func command(args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(shared.bin, "sallyport"), args...)
	cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "SALLYPORT_CONFIG=") })
	return cmd
}

// finish runs a command that must end by itself, soon.
func finish(t *testing.T, cmd *exec.Cmd) result {
	t.Helper()
	var out, errOut bytes.Buffer
	if cmd.Stdout == nil {
		cmd.Stdout = &out
	}
	if cmd.Stderr == nil {
		cmd.Stderr = &errOut
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return result{status: wait(t, cmd), out: out.String(), err: errOut.String()}
}

// wait returns the exit status of a started command, and fails the test when
// it hangs or dies of a signal.
func wait(t *testing.T, cmd *exec.Cmd) int {
	t.Helper()
	cmd.WaitDelay = 5 * time.Second // a grandchild may hold the output open
	timer := time.AfterFunc(30*time.Second, func() { cmd.Process.Kill() })
	err := cmd.Wait()
	if !timer.Stop() {
		t.Fatalf("%q did not end within 30 s", cmd.Args)
	}
	var ended *exec.ExitError
	if errors.As(err, &ended) && !ended.Exited() || err != nil && !errors.As(err, &ended) {
		t.Fatalf("%q: %v", cmd.Args, err)
	}
	return cmd.ProcessState.ExitCode()
}

// at runs the command line at a station.
func at(t *testing.T, s *testoffice.Station, args ...string) result {
	t.Helper()
	return call(t, append([]string{"--config", s.File("sallyport.toml")}, args...)...)
}

// must runs the command line at a station; it has to succeed.
func must(t *testing.T, s *testoffice.Station, args ...string) string {
	t.Helper()
	r := at(t, s, args...)
	if r.status != 0 {
		t.Fatalf("sallyport %q: exit status %d\n%s%s", args, r.status, r.out, r.err)
	}
	return r.out
}

// document decodes the one JSON document that an output must be.
func document(t *testing.T, out string) map[string]any {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(out))
	var v map[string]any
	if err := d.Decode(&v); err != nil {
		t.Fatalf("no JSON document: %v\n%s", err, out)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		t.Fatalf("more than one JSON document:\n%s", out)
	}
	return v
}

// definition seals the small election's definition and writes it to a FAT32 image.
func definition(t *testing.T, o *testoffice.Office, args ...string) string {
	t.Helper()
	p, err := o.Source.Seal(append([]string{"--kind", "election-definition", "--election", testoffice.ElectionID, o.Small("definition.json")}, args...)...)
	if err != nil {
		t.Fatal(err)
	}
	return testmedia.FATFrom(t, testmedia.Options{}, p.Dir)
}

// unknown is an image without any sealed package.
func unknown(t *testing.T) string {
	t.Helper()
	return testmedia.FAT(t, testmedia.Options{}, testmedia.Files{"notes.txt": []byte("hello\n")})
}

func write(t *testing.T, path string, data []byte) string {
	t.Helper()
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// fatOf writes a sealed package to a FAT32 image.
func fatOf(t *testing.T, p testoffice.Sealed) string {
	t.Helper()
	return testmedia.FATFrom(t, testmedia.Options{}, p.Dir)
}
