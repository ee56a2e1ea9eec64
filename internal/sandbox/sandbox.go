// Package sandbox locks the calling process down for good and proves it, and
// gives the parent of such a process the means to start it in namespaces of
// its own and to check from outside what the kernel says of it. It knows
// nothing of media or protocols, and is for single-purpose Go programs built
// without cgo: it changes every thread.
//
// What remains after [Lockdown]: reading and writing the descriptors 0 to 4,
// private memory that is never executable, threads, clocks. No path can be opened, no
// socket made, no program run, no other process traced or signalled. Whatever
// else is tried ends the process.
//
// Nothing foreign is read here. The [Proof] a child sends is a report of its
// start, made before it reads anything foreign; [Check] does not depend on it.
package sandbox

import (
	"errors"
	"fmt"
	"math"
	"os"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// firstClosed is the first descriptor that does not survive: standard input,
// output and error, the socket to the parent and the device are kept.
const firstClosed = 5

// Proof says which measures hold in a locked-down process. The child fills it
// in after it has tried what must fail; the parent adds the namespaces, which
// it knows from the kernel's answer to its own clone call.
type Proof struct {
	Landlock   int      `json:"landlock"`     // ABI version whose file-system rules are in force, at least 1
	Seccomp    bool     `json:"seccomp"`      // the filter is in force on every thread
	NoNewPrivs bool     `json:"no_new_privs"` // on every thread
	Denied     []string `json:"denied"`       // system calls that were tried and failed as they must
	Namespaces []string `json:"namespaces"`   // of "user", "net", "pid", "mount", "ipc", "uts": those obtained
}

// Complete returns an error that names what is missing, or nil when every
// measure that a process must have is in p. Namespaces are welcome, not
// required: a hardened parent may be forbidden to make them.
func (p Proof) Complete() error {
	var missing []string
	if p.Landlock < 1 {
		missing = append(missing, "Landlock")
	}
	if !p.Seccomp {
		missing = append(missing, "seccomp filter")
	}
	if !p.NoNewPrivs {
		missing = append(missing, "no_new_privs")
	}
	have := map[string]bool{}
	for _, d := range p.Denied {
		have[d] = true
	}
	for _, d := range denied() {
		if !have[d.name] {
			missing = append(missing, "denial of "+d.name)
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("the lockdown is incomplete: without %s", strings.Join(missing, ", "))
	}
	return nil
}

// Lockdown takes from the calling process everything but the descriptors 0 to
// 4, and proves it. It must run before anything foreign is read. After an
// error the process must exit: the measures taken so far cannot be undone.
//
// The order matters: what needs a privilege comes before the privilege is
// dropped, and the seccomp filter, which forbids all of these calls, last.
func Lockdown() (Proof, error) {
	var p Proof
	if err := unix.CloseRange(firstClosed, math.MaxUint32, 0); err != nil {
		return p, fmt.Errorf("cannot close inherited descriptors: %w", err)
	}
	if err := limitResources(ownUserNamespace()); err != nil {
		return p, err
	}
	if err := dropCapabilities(); err != nil {
		return p, err
	}
	if err := allThreads("set no_new_privs", unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1); err != nil {
		return p, err
	}
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return p, fmt.Errorf("cannot become undumpable: %w", err)
	}
	abi, err := restrictFiles()
	if err != nil {
		return p, err
	}
	p.Landlock = abi
	if err := installFilter(filter(os.Getpid())); err != nil {
		return p, err
	}
	return p, prove(&p)
}

// limitResources sets ceilings that hold even where the filter is passed.
func limitResources(ownNamespace bool) error {
	limits := []struct {
		name string
		what int
		most uint64
	}{
		{"CORE", unix.RLIMIT_CORE, 0},
		{"FSIZE", unix.RLIMIT_FSIZE, 0},
		{"MEMLOCK", unix.RLIMIT_MEMLOCK, 0},
		{"MSGQUEUE", unix.RLIMIT_MSGQUEUE, 0},
		{"NOFILE", unix.RLIMIT_NOFILE, 16}, // 0 to 4 and the Go runtime's poller
		// Go maps its heap in arenas of 64 MiB; the memory in use is bounded
		// far below this by GOMEMLIMIT and the parser's own limits.
		{"DATA", unix.RLIMIT_DATA, 512 << 20},
	}
	if ownNamespace {
		// The kernel counts this one per user: outside a user namespace of our
		// own it would count the parent's threads too.
		limits = append(limits, struct {
			name string
			what int
			most uint64
		}{"NPROC", unix.RLIMIT_NPROC, 64})
	}
	for _, l := range limits {
		if err := unix.Setrlimit(l.what, &unix.Rlimit{Cur: l.most, Max: l.most}); err != nil {
			return fmt.Errorf("cannot set the limit %s: %w", l.name, err)
		}
	}
	return nil
}

// ownUserNamespace says whether this process stands in a user namespace that
// was made for it alone, which maps exactly one id (user_namespaces(7)).
func ownUserNamespace() bool {
	b, err := os.ReadFile("/proc/self/uid_map")
	if err != nil {
		return false
	}
	f := strings.Fields(string(b))
	return len(f) == 3 && f[2] == "1"
}

// dropCapabilities empties every capability set of every thread.
func dropCapabilities() error {
	if err := allThreads("clear ambient capabilities", unix.SYS_PRCTL, unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL); err != nil {
		return err
	}
	for c := uintptr(0); ; c++ {
		_, _, e := syscall.AllThreadsSyscall6(unix.SYS_PRCTL, unix.PR_CAPBSET_DROP, c, 0, 0, 0, 0)
		if e == unix.EINVAL || e == unix.EPERM {
			break // past the last capability, or without the right to: no_new_privs makes the bounding set moot
		}
		if e != 0 {
			return fmt.Errorf("cannot drop capability %d: %w", c, e)
		}
	}
	if err := setNoCapabilities(); err != nil {
		return fmt.Errorf("cannot drop capabilities: %w", err)
	}
	return nil
}

// prove tries on this thread what the filter must refuse, and asks every
// thread for its mode. A thread whose answer differs makes the runtime end the
// process (see [syscall.AllThreadsSyscall]), which is a refusal as well.
func prove(p *Proof) error {
	mode, _, e := syscall.AllThreadsSyscall6(unix.SYS_PRCTL, unix.PR_GET_SECCOMP, 0, 0, 0, 0, 0)
	if e != 0 || mode != unix.SECCOMP_MODE_FILTER {
		return fmt.Errorf("no seccomp filter in force (mode %d, %v)", mode, e)
	}
	p.Seccomp = true
	nnp, _, e := syscall.AllThreadsSyscall6(unix.SYS_PRCTL, unix.PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0, 0)
	if e != 0 || nnp != 1 {
		return fmt.Errorf("no_new_privs is not in force (%d, %v)", nnp, e)
	}
	p.NoNewPrivs = true
	for _, d := range denied() {
		if err := d.try(); !errors.Is(err, unix.EPERM) {
			return fmt.Errorf("the system call %s was not refused: %v", d.name, err)
		}
		p.Denied = append(p.Denied, d.name)
	}
	return nil
}

// allThreads makes one system call on every thread of the process. When one
// thread's result differs from the first's, the runtime ends the process.
func allThreads(what string, trap, a1, a2 uintptr) error {
	if _, _, e := syscall.AllThreadsSyscall6(trap, a1, a2, 0, 0, 0, 0); e != 0 {
		return fmt.Errorf("cannot %s: %w", what, e)
	}
	return nil
}
