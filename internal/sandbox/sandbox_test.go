package sandbox_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"sallyport/internal/sandbox"
)

// This test binary is its own child: called under the name "confined-NAME" it
// locks itself down and does what deeds lists under NAME.
const prefix = "confined-"

func TestMain(m *testing.M) {
	if name, ok := strings.CutPrefix(filepath.Base(os.Args[0]), prefix); ok {
		os.Exit(confined(name))
	}
	os.Exit(m.Run())
}

// confined locks down, says so with the proof in a line on standard output,
// waits for the parent's look, and does the deed.
func confined(name string) int {
	threads(8)
	if name == "descriptors" {
		fd, _ := unix.Open("/", unix.O_RDONLY, 0)
		if unix.Dup3(fd, 9, 0) != nil {
			return 4
		}
	}
	proof, err := sandbox.Lockdown()
	if err != nil {
		fmt.Println(err)
		return 3
	}
	line, _ := json.Marshal(proof)
	fmt.Printf("%s\n", line)
	_, _ = unix.Read(0, make([]byte, 1))
	if err := deeds()[name](); err != nil {
		fmt.Println(err)
		return 5
	}
	return 0
}

// threads makes n more threads of the operating system before the lockdown.
func threads(n int) {
	var up sync.WaitGroup
	for range n {
		up.Add(1)
		go func() {
			runtime.LockOSThread()
			up.Done()
			select {}
		}()
	}
	up.Wait()
}

func raw(nr uintptr, args ...uintptr) func() error {
	var a [6]uintptr
	copy(a[:], args)
	return func() error {
		if _, _, e := unix.RawSyscall6(nr, a[0], a[1], a[2], a[3], a[4], a[5]); e != 0 {
			return e
		}
		return nil
	}
}

func deeds() map[string]func() error {
	path := append([]byte("/dev/null"), 0)
	at := ^uintptr(99)
	p := uintptr(unsafe.Pointer(&path[0]))
	return map[string]func() error{
		"work": work,
		"descriptors": func() error {
			if _, err := unix.Pread(9, make([]byte, 1), 0); err != unix.EBADF {
				return fmt.Errorf("descriptor 9 is still there: %v", err)
			}
			return nil
		},
		"too much memory": func() error {
			taken := uintptr(0)
			for ; taken <= 1<<30; taken += 64 << 20 {
				if err := raw(unix.SYS_MMAP, 0, 64<<20, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANONYMOUS|unix.MAP_PRIVATE, ^uintptr(0))(); err != nil {
					return nil
				}
			}
			return fmt.Errorf("it has %d MiB", taken>>20)
		},
		"open": func() error {
			_, err := os.Open("/dev/null")
			if errors.Is(err, fs.ErrPermission) {
				return nil
			}
			return fmt.Errorf("got %v", err)
		},
		"io_uring":         raw(unix.SYS_IO_URING_SETUP, 1, 0),
		"fork":             raw(unix.SYS_CLONE, uintptr(unix.SIGCHLD)),
		"clone3":           raw(unix.SYS_CLONE3, 0, 0),
		"map-executable":   raw(unix.SYS_MMAP, 0, 4096, unix.PROT_READ|unix.PROT_EXEC, unix.MAP_ANONYMOUS|unix.MAP_PRIVATE, ^uintptr(0)),
		"map-shared":       raw(unix.SYS_MMAP, 0, 64<<20, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANONYMOUS|unix.MAP_SHARED, ^uintptr(0)),
		"map-growing-down": raw(unix.SYS_MMAP, 0, 64<<20, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANONYMOUS|unix.MAP_PRIVATE|unix.MAP_GROWSDOWN, ^uintptr(0)),
		"make-executable":  raw(unix.SYS_MPROTECT, p&^4095, 4096, unix.PROT_READ|unix.PROT_WRITE|unix.PROT_EXEC),
		"kill":             raw(unix.SYS_KILL, 0, 0),
		"signal-init":      raw(unix.SYS_TGKILL, 0, 0, 0),
		"dumpable":         raw(unix.SYS_PRCTL, unix.PR_SET_DUMPABLE, 1),
		"connect":          raw(unix.SYS_CONNECT, 3, 0, 0),
		"receive":          raw(unix.SYS_RECVMSG, 3, 0, 0),
		"ioctl":            raw(unix.SYS_IOCTL, 4, 0, 0),
		"stat":             raw(unix.SYS_NEWFSTATAT, at, p, 0, 0),
		"unlink":           raw(unix.SYS_UNLINKAT, at, p, 0),
		"memfd":            raw(unix.SYS_MEMFD_CREATE, p, 0),
		"unshare":          raw(unix.SYS_UNSHARE, unix.CLONE_NEWUSER),
		"x32":              raw(0x40000000|unix.SYS_GETPID, 0),
		"process_vm_readv": raw(unix.SYS_PROCESS_VM_READV, 1, 0, 0, 0, 0),
	}
}

// work keeps every part of the Go runtime busy: memory, collector, threads,
// timers, poller, preemption.
func work() error {
	var wg sync.WaitGroup
	for range 8 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			runtime.LockOSThread() // and ends with it, so that threads come and go
			for end := time.Now().Add(300 * time.Millisecond); time.Now().Before(end); {
				_ = make([]byte, 1<<20)
				for i := range 100_000 {
					_ = i * i
				}
				time.Sleep(time.Microsecond)
			}
		}()
	}
	wg.Wait()
	runtime.GC()
	return nil
}

// reachable is a folder that every user can reach, with a copy of this binary.
func reachable(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "sandbox-test")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	self, err := os.ReadFile("/proc/self/exe")
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "self"), self, 0o755)
	}
	if err == nil {
		err = os.Chmod(dir, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

type child struct {
	*exec.Cmd
	t     *testing.T
	out   *os.File
	stdin *os.File
}

// start runs the deed and returns its proof.
func start(t *testing.T, dir, name string, attr *syscall.SysProcAttr) (*child, sandbox.Proof, error) {
	t.Helper()
	link := filepath.Join(dir, prefix+name)
	if err := os.Symlink("self", link); err != nil && !errors.Is(err, fs.ErrExist) {
		t.Fatal(err)
	}
	out, outW, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	in, inW, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	c := &child{Cmd: exec.Command(link), t: t, out: out, stdin: inW}
	c.Stdin, c.Stdout, c.Stderr, c.SysProcAttr = in, outW, os.Stderr, attr
	c.Env = []string{"GODEBUG=containermaxprocs=0,updatemaxprocs=0"}
	err = c.Start()
	in.Close()
	outW.Close()
	if err != nil {
		out.Close()
		inW.Close()
		return nil, sandbox.Proof{}, err
	}
	var p sandbox.Proof
	buf := make([]byte, 4096)
	n, err := out.Read(buf)
	if err == nil {
		err = json.Unmarshal(buf[:n], &p)
	}
	if err != nil {
		c.end()
		t.Fatalf("%s: no proof: %v: %s", name, err, buf[:n])
	}
	return c, p, nil
}

// end lets the child do its deed and returns how it ended and what it said.
func (c *child) end() (*os.ProcessState, string) {
	c.stdin.Close()
	buf := make([]byte, 4096)
	n, _ := c.out.Read(buf)
	_ = c.Wait() // the state tells
	c.out.Close()
	return c.ProcessState, string(buf[:n])
}

func TestLockdownHoldsOnEveryThreadAndIsProven(t *testing.T) {
	dir := reachable(t)
	c, proof, err := start(t, dir, "work", nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := proof.Complete(); err != nil {
		t.Error(err)
	}
	tasks, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", c.Process.Pid))
	if err != nil || len(tasks) < 9 {
		t.Errorf("the child has %d threads (%v), the test wants 9 or more", len(tasks), err)
	}
	if err := sandbox.Check(c.Process.Pid); err != nil {
		t.Error(err)
	}
	if st, said := c.end(); !st.Success() {
		t.Errorf("the runtime does not work in the sandbox: %v %s", st, said)
	}
}

func TestForbiddenDeedsFailOrKill(t *testing.T) {
	dir := reachable(t)
	for name := range deeds() {
		t.Run(name, func(t *testing.T) {
			c, _, err := start(t, dir, name, nil)
			if err != nil {
				t.Fatal(err)
			}
			st, said := c.end()
			ws := st.Sys().(syscall.WaitStatus)
			switch name {
			case "work", "descriptors", "open", "too much memory":
				if !st.Success() {
					t.Errorf("%v %s", st, said)
				}
			default:
				if !ws.Signaled() || ws.Signal() != unix.SIGSYS {
					t.Errorf("it ended with %v (%s), and not by SIGSYS", st, said)
				}
			}
		})
	}
}

func TestEveryAttemptThatStartsConfines(t *testing.T) {
	dir := reachable(t)
	file := map[string]string{"mount": "mnt"}
	for i, a := range sandbox.Attempts() {
		t.Run(strconv.Itoa(i)+"-"+strings.Join(a.Namespaces, "-"), func(t *testing.T) {
			c, proof, err := start(t, dir, "work", a.Attr)
			if sandbox.Refused(err) {
				t.Skipf("this kernel does not allow it here: %v", err)
			}
			if err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(proof.Complete(), sandbox.Check(c.Process.Pid)); err != nil {
				t.Error(err)
			}
			for _, ns := range []string{"user", "net", "pid", "mount", "ipc", "uts"} {
				link := ns
				if f, ok := file[ns]; ok {
					link = f
				}
				mine, err := os.Readlink("/proc/self/ns/" + link)
				if err != nil {
					t.Fatal(err)
				}
				its, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/%s", c.Process.Pid, link))
				if err != nil && os.Geteuid() != 0 {
					continue // not ours to see: the child is not dumpable
				}
				if want := slices.Contains(a.Namespaces, ns); err != nil || (mine != its) != want {
					t.Errorf("namespace %s: parent %s, child %s (%v), of its own: want %v", ns, mine, its, err, want)
				}
			}
			if st, said := c.end(); !st.Success() {
				t.Errorf("%v %s", st, said)
			}
		})
	}
}

func TestCheckSeesWhatIsMissing(t *testing.T) {
	if err := sandbox.Check(os.Getpid()); err == nil {
		t.Error("a process without any lockdown passed")
	}
	c, _, err := start(t, reachable(t), "work", nil)
	if err != nil {
		t.Fatal(err)
	}
	pid := c.Process.Pid
	if st, _ := c.end(); !st.Success() {
		t.Fatal(st)
	}
	if err := sandbox.Check(pid); err == nil {
		t.Error("a process that is gone passed")
	}
}

func TestProofIsCompleteOnlyAsAWhole(t *testing.T) {
	whole := func() sandbox.Proof {
		return sandbox.Proof{Landlock: 2, Seccomp: true, NoNewPrivs: true,
			Denied: []string{"openat", "openat2", "socket", "execve", "execveat", "ptrace", "open"}}
	}
	if err := whole().Complete(); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(*sandbox.Proof){
		"Landlock":            func(p *sandbox.Proof) { p.Landlock = 0 },
		"seccomp":             func(p *sandbox.Proof) { p.Seccomp = false },
		"no_new_privs":        func(p *sandbox.Proof) { p.NoNewPrivs = false },
		"denial of openat":    func(p *sandbox.Proof) { p.Denied = p.Denied[1:] },
		"denial of socket":    func(p *sandbox.Proof) { p.Denied[2] = "openat" },
		"denial of execve":    func(p *sandbox.Proof) { p.Denied[3] = "" },
		"denial of ptrace":    func(p *sandbox.Proof) { p.Denied = slices.Delete(p.Denied, 5, 6) },
		"without denial of o": func(p *sandbox.Proof) { p.Denied = nil },
	} {
		p := whole()
		spoil(&p)
		if err := p.Complete(); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("without %s: %v", name, err)
		}
	}
}
