package cli_test

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"sallyport/internal/testmedia"
	"sallyport/internal/testoffice"
	"sallyport/internal/testtool"
)

// A reader that goes away (head) ends nothing badly: the command neither hangs
// nor dies of a signal, and its exit status stays that of its result.
func TestOutputClosedEarly(t *testing.T) {
	dir := t.TempDir()
	for i := range 4000 { // in small folders: mtools searches each name anew
		d := filepath.Join(dir, fmt.Sprintf("FOLDER%02d", i/200))
		if err := os.MkdirAll(d, 0o755); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(d, fmt.Sprintf("F%05d.DAT", i)), []byte{1})
	}
	many := testmedia.FATFrom(t, testmedia.Options{SizeMiB: 64, ClusterSectors: 1}, dir)
	whole := call(t, "inspect", many)
	if whole.status != 0 || strings.Count(whole.out, "\n") != 4003 {
		t.Fatalf("exit status %d, %d lines", whole.status, strings.Count(whole.out, "\n"))
	}
	cut := testmedia.Copy(t, many)
	if err := os.Truncate(cut, testmedia.Where(t, many, "FOLDER19/F03999.DAT", 0)); err != nil {
		t.Fatal(err)
	}
	for img, status := range map[string]int{many: 0, cut: 3} {
		for _, args := range [][]string{{"inspect", img}, {"--json", "inspect", img}} {
			cmd := command(args...)
			r, w, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			cmd.Stdout = w
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			w.Close()
			if _, err := bufio.NewReaderSize(r, 16).ReadString('\n'); err != nil {
				t.Fatal(err)
			}
			r.Close()
			if got := wait(t, cmd); got != status {
				t.Errorf("%v: exit status %d, want %d", args, got, status)
			}
		}
	}
}

// Output that is lost for another reason is a failure.
func TestOutputToAFullDisk(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		testtool.Unmet(t, err.Error())
	}
	defer full.Close()
	cmd := command("inspect", unknown(t))
	cmd.Stdout = full
	if r := finish(t, cmd); r.status != 1 || !strings.Contains(r.err, "cannot write the result") {
		t.Errorf("exit status %d: %s", r.status, r.err)
	}
}

// Progress is for people at a terminal only.
func TestProgressOnATerminalOnly(t *testing.T) {
	o := office(t)
	daemon(t, o.EMS)
	img := testmedia.FAT(t, testmedia.Options{}, testmedia.Files{"big.bin": noise(1, 8<<20)})
	args := []string{filepath.Join(shared.bin, "sallyport"), "--config", o.EMS.File("sallyport.toml"), "intake", img}
	script := exec.Command(testtool.Need(t, "script"), "--quiet", "--return", "--command", strings.Join(args, " "), "/dev/null")
	script.Stdin = strings.NewReader("")
	onTerminal := finish(t, script)
	if !strings.Contains(onTerminal.out, "reading ") || !strings.Contains(onTerminal.out, " of 8.0 MiB") || !strings.Contains(onTerminal.out, "HELD") {
		t.Errorf("on a terminal: %q", onTerminal.out)
	}
	if r := at(t, o.EMS, "intake", img); r.status != 3 || r.err != "" || strings.Contains(r.out, "reading") {
		t.Errorf("through a pipe: exit status %d: %q %q", r.status, r.out, r.err)
	}
}

// Ctrl-C ends the command at once; the daemon goes on and the medium gets its
// verdict. The TPM is stopped for a while, so that the medium takes long.
func TestInterruptedClient(t *testing.T) {
	o := office(t)
	s, err := o.Join("interrupted", "ems", "")
	if err != nil {
		t.Fatal(err)
	}
	daemon(t, s)
	img := unknown(t)
	must(t, s, "status")
	before := verdicts(t, s)
	s.SignalTPM(t, syscall.SIGSTOP)
	cmd := command("--json", "--config", s.File("sallyport.toml"), "intake", img)
	var out bytes.Buffer
	cmd.Stdout = &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	until(t, "the daemon to take the medium", func() bool { return holdsOpen(s.DaemonPID(), img) })
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	started := time.Now()
	status := wait(t, cmd)
	if took := time.Since(started); took > 5*time.Second {
		t.Errorf("the command took %s to end", took)
	}
	s.SignalTPM(t, syscall.SIGCONT)
	e, _ := document(t, out.String())["error"].(map[string]any)
	if status != 5 || e["code"] != "interrupted" || !strings.Contains(fmt.Sprint(e["message"]), "goes on") {
		t.Errorf("exit status %d: %s", status, out.String())
	}
	until(t, "the verdict", func() bool { return verdicts(t, s) == before+1 })
}

func verdicts(t *testing.T, s *testoffice.Station) int {
	t.Helper()
	return len(document(t, must(t, s, "--json", "log", "show", "--event", "medium.verdict"))["entries"].([]any))
}

// Without a daemon Ctrl-C ends the reading in order: the medium is held, and
// the answer says why. The reader is stopped, so that reading never ends by itself.
func TestInterruptedWithoutDaemon(t *testing.T) {
	o := office(t)
	s, err := o.Join("alone", "ems", "")
	if err != nil {
		t.Fatal(err)
	}
	img := testmedia.FAT(t, testmedia.Options{SizeMiB: 300}, testmedia.Files{"big.bin": make([]byte, 256<<20)})
	cmd := command("--config", s.File("sallyport.toml"), "--json", "intake", img)
	var out bytes.Buffer
	cmd.Stdout = &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	reader := 0
	until(t, "the reader", func() bool { // not before it runs its own program: the parent waits for that
		reader = childOf(cmd.Process.Pid)
		exe, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", reader))
		return err == nil && filepath.Base(exe) == "sallyport-reader"
	})
	if err := syscall.Kill(reader, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	status := wait(t, cmd)
	doc := document(t, out.String())
	// The stop races with the listing: when that was done, its reason stands as well.
	want := 5
	if strings.Contains(out.String(), `"no-manifest"`) {
		want = 3
	}
	if status != want || doc["verdict"] == "accepted" || !strings.Contains(out.String(), `"interrupted"`) {
		t.Errorf("exit status %d: %s", status, out.String())
	}
	if r := at(t, s, "status"); r.status != 0 {
		t.Errorf("afterwards: exit status %d: %s%s", r.status, r.out, r.err)
	}
}

func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// holdsOpen says whether a process has a file open.
func holdsOpen(pid int, path string) bool {
	fds, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	for _, fd := range fds {
		if to, err := os.Readlink(fd); err == nil && to == path {
			return true
		}
	}
	return false
}

// childOf is a child process of pid, 0 when there is none.
func childOf(pid int) int {
	lists, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, l := range lists {
		b, _ := os.ReadFile(l)
		if first, _, ok := strings.Cut(string(b), " "); ok {
			n, _ := strconv.Atoi(first)
			return n
		}
	}
	return 0
}
