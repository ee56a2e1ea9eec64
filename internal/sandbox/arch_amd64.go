package sandbox

import "golang.org/x/sys/unix"

// What differs between processors. A processor without such a file does not
// build: a filter made for another one would not confine anything.
const (
	auditArch = unix.AUDIT_ARCH_X86_64
	// foreignBit marks the x32 system calls, a second way to most calls.
	foreignBit = 0x40000000
	// goThread is what the Go runtime, and nothing else here, passes to clone.
	goThread = unix.CLONE_VM | unix.CLONE_FS | unix.CLONE_FILES | unix.CLONE_SIGHAND |
		unix.CLONE_SYSVSEM | unix.CLONE_THREAD | unix.CLONE_SETTLS
)

// deniedHere lists older forms of the calls in [denied].
func deniedHere(path uintptr) []denial {
	return []denial{{"open", unix.SYS_OPEN, [5]uintptr{path, unix.O_RDONLY}}}
}
