package sandbox

import (
	"fmt"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Answers of the filter (seccomp(2)).
const (
	retAllow = unix.SECCOMP_RET_ALLOW
	retKill  = unix.SECCOMP_RET_KILL_PROCESS
	retPerm  = unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM)
	retInval = unix.SECCOMP_RET_ERRNO | uint32(unix.EINVAL)
)

// Offsets in struct seccomp_data.
const (
	offNr   = 0
	offArch = 4
	offArgs = 16 // six of 64 bits
)

// filter returns the program that lets the process pid do what the Go runtime
// and a reader of descriptors need. Everything that is not named ends the
// process; the calls in [denied] fail, so that the proof can try them.
func filter(pid int) []unix.SockFilter {
	var f assembler
	f.load(offArch)
	f.jump(unix.BPF_JEQ, auditArch, 1, 0)
	f.ret(retKill)
	f.load(offNr)
	f.jump(unix.BPF_JGE, foreignBit, 0, 1)
	f.ret(retKill)
	for _, nr := range allowed() {
		f.rule(nr, retAllow)
	}
	f.rule(unix.SYS_TGKILL, retKill, cond{arg: 0, op: unix.BPF_JEQ, k: uint32(pid), then: retAllow})
	f.rule(unix.SYS_MMAP, retAllow,
		cond{arg: 2, op: unix.BPF_JSET, k: unix.PROT_EXEC, then: retKill},
		cond{arg: 3, op: unix.BPF_JSET, k: unix.MAP_ANONYMOUS, otherwise: retKill},
		// Memory of these two kinds does not count against RLIMIT_DATA.
		cond{arg: 3, op: unix.BPF_JSET, k: unix.MAP_SHARED | unix.MAP_GROWSDOWN, then: retKill})
	f.rule(unix.SYS_MPROTECT, retAllow, cond{arg: 2, op: unix.BPF_JSET, k: unix.PROT_EXEC, then: retKill})
	f.rule(unix.SYS_CLONE, retAllow,
		cond{arg: 0, op: unix.BPF_JEQ, k: goThread, otherwise: retKill},
		cond{arg: 0, high: true, op: unix.BPF_JEQ, k: 0, otherwise: retKill})
	f.rule(unix.SYS_PRCTL, retKill,
		cond{arg: 0, op: unix.BPF_JEQ, k: unix.PR_GET_SECCOMP, then: retAllow},
		cond{arg: 0, op: unix.BPF_JEQ, k: unix.PR_GET_NO_NEW_PRIVS, then: retAllow},
		// The runtime names its mappings unless the kernel says it cannot.
		cond{arg: 0, op: unix.BPF_JEQ, k: unix.PR_SET_VMA, then: retInval})
	for _, d := range denied() {
		f.rule(d.nr, retPerm)
	}
	f.ret(retKill)
	return f.code
}

// allowed lists the calls that need no look at their arguments, the frequent
// ones first. Reading, writing and closing work on descriptors that exist, and
// none can be made anew.
func allowed() []uintptr {
	return []uintptr{
		unix.SYS_PREAD64, unix.SYS_WRITE, unix.SYS_READ, unix.SYS_FUTEX, unix.SYS_CLOSE,
		// The Go runtime: scheduler, timers, poller, signals, memory, exit.
		unix.SYS_NANOSLEEP, unix.SYS_CLOCK_NANOSLEEP, unix.SYS_CLOCK_GETTIME, unix.SYS_SCHED_YIELD,
		unix.SYS_SCHED_GETAFFINITY, unix.SYS_RESTART_SYSCALL, unix.SYS_GETPID, unix.SYS_GETTID,
		unix.SYS_EPOLL_CREATE1, unix.SYS_EPOLL_CTL, unix.SYS_EPOLL_PWAIT, unix.SYS_EVENTFD2,
		unix.SYS_RT_SIGACTION, unix.SYS_RT_SIGPROCMASK, unix.SYS_RT_SIGRETURN, unix.SYS_SIGALTSTACK,
		unix.SYS_MUNMAP, unix.SYS_MADVISE, unix.SYS_GETRANDOM,
		unix.SYS_EXIT, unix.SYS_EXIT_GROUP,
	}
}

// cond compares 32 bits of one argument; a zero answer means to go on.
type cond struct {
	arg       uint32
	high      bool // the upper half of the 64 bits
	op        uint16
	k         uint32
	then      uint32
	otherwise uint32
}

// assembler appends classic BPF instructions.
type assembler struct{ code []unix.SockFilter }

func (a *assembler) load(off uint32) {
	a.code = append(a.code, unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: off})
}

func (a *assembler) ret(answer uint32) {
	a.code = append(a.code, unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: answer})
}

// jump skips jt instructions when the comparison holds, jf otherwise.
func (a *assembler) jump(op uint16, k uint32, jt, jf uint8) {
	a.code = append(a.code, unix.SockFilter{Code: unix.BPF_JMP | op | unix.BPF_K, Jt: jt, Jf: jf, K: k})
}

// rule answers the call nr: by the first condition that decides, or last.
func (a *assembler) rule(nr uintptr, last uint32, conds ...cond) {
	var body assembler
	for _, c := range conds {
		off := offArgs + 8*c.arg // the low half comes first on a little-endian processor
		if c.high {
			off += 4
		}
		body.load(off)
		if c.then != 0 {
			body.jump(c.op, c.k, 0, 1)
			body.ret(c.then)
		} else {
			body.jump(c.op, c.k, 1, 0)
			body.ret(c.otherwise)
		}
	}
	body.ret(last)
	a.jump(unix.BPF_JEQ, uint32(nr), 0, uint8(len(body.code)))
	a.code = append(a.code, body.code...)
}

// installFilter puts the program on every thread. The call reports a thread
// that it could not reach in its result, not as an error (seccomp(2)).
func installFilter(code []unix.SockFilter) error {
	prog := unix.SockFprog{Len: uint16(len(code)), Filter: &code[0]}
	r, _, e := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&prog)))
	if e != 0 {
		return fmt.Errorf("cannot install the seccomp filter: %w", e)
	}
	if r != 0 {
		return fmt.Errorf("cannot install the seccomp filter: thread %d did not take it", r)
	}
	return nil
}

// setNoCapabilities empties the effective, permitted and inheritable sets of
// every thread (capset(2), version 3: two words a set).
func setNoCapabilities() error {
	hdr := &unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	none := new([2]unix.CapUserData)
	_, _, e := syscall.AllThreadsSyscall(unix.SYS_CAPSET, uintptr(unsafe.Pointer(hdr)), uintptr(unsafe.Pointer(none)), 0)
	if e != 0 {
		return e
	}
	return nil
}
