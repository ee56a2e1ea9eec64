package e2e

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestHarnessProgramsEndWithTheTest(t *testing.T) {
	if dir := os.Getenv("SALLYPORT_E2E_SPAWN"); dir != "" {
		p, err := spawn(filepath.Join(dir, "log"), "sleep", "1234")
		if err != nil {
			t.Fatal(err)
		}
		fmt.Printf("pid %d\n", p.cmd.Process.Pid)
		<-p.exited
		return
	}
	test := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$")
	test.Env = append(test.Environ(), "SALLYPORT_E2E_SPAWN="+t.TempDir())
	out, err := test.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := test.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(strings.TrimPrefix(line, "pid ")))
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, 0); err != nil {
		t.Fatalf("the program does not run: %v", err)
	}
	test.Process.Kill()
	test.Wait()
	for deadline := time.Now().Add(10 * time.Second); !gone(pid); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the program outlived the test process")
		}
	}
}

// gone says whether a process has ended, reaped or not.
func gone(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err != nil || strings.Contains(string(stat), ") Z ")
}

func TestHarnessRemovesFoldersOfKilledTests(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	left, heldLeft, err := newWork()
	if err != nil {
		t.Fatal(err)
	}
	used, heldUsed, err := newWork()
	if err != nil {
		t.Fatal(err)
	}
	defer heldUsed.Close()
	heldLeft.Close() // as the end of its process does
	_, held, err := newWork()
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	if _, err := os.Stat(left); !os.IsNotExist(err) {
		t.Errorf("the folder that nobody uses is there: %v", err)
	}
	if _, err := os.Stat(used); err != nil {
		t.Errorf("the folder in use is gone: %v", err)
	}
}

func TestHarnessMakesAnImageOnce(t *testing.T) {
	Ring(t)
	ctx := t.Context()
	start := time.Now()
	base, err := NewBase(ctx)
	ok(t, err)
	t.Logf("base after %v", time.Since(start))
	before, err := os.ReadFile(filepath.Join(base.Dir, "root/etc/hostname"))
	ok(t, err)

	overlay := product(t)
	ok(t, os.WriteFile(filepath.Join(overlay, "unique"), []byte(t.TempDir()), 0o600))
	paths := map[string]bool{}
	for range 2 {
		start := time.Now()
		image, err := NewImage(ctx, base, ImageOptions{Overlay: overlay})
		ok(t, err)
		t.Logf("image after %v", time.Since(start))
		paths[image.Path] = true
		ok(t, image.Close())
	}
	if len(paths) != 1 {
		t.Errorf("the same input made %d images", len(paths))
	}
	ok(t, os.WriteFile(filepath.Join(overlay, "unique"), []byte("other"), 0o600))
	image, err := NewImage(ctx, base, ImageOptions{Overlay: overlay})
	ok(t, err)
	if paths[image.Path] {
		t.Error("other input made no other image")
	}
	for path := range paths {
		ok(t, os.Remove(path))
	}
	ok(t, os.Remove(image.Path))
	ok(t, image.Close())
	if after, err := os.ReadFile(filepath.Join(base.Dir, "root/etc/hostname")); err != nil || string(after) != string(before) {
		t.Errorf("the base was changed: %q, %v", after, err)
	}
}
