package sandbox

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// denial is one system call that fails with EPERM, so that it can be tried.
type denial struct {
	name string
	nr   uintptr
	args [5]uintptr
}

var slash = [2]byte{'/', 0}

// denied lists what a locked-down process tries in order to prove that it
// cannot. The arguments are such that without the filter each call would give
// another answer than EPERM and do no harm: a path that exists, a program that
// has no name, a process that does not exist.
func denied() []denial {
	root := uintptr(unsafe.Pointer(&slash[0])) // a global does not move
	at := ^uintptr(99)                         // AT_FDCWD, -100
	const dir = unix.O_RDONLY | unix.O_DIRECTORY | unix.O_CLOEXEC
	list := []denial{
		{"openat", unix.SYS_OPENAT, [5]uintptr{at, root, dir}},
		{"openat2", unix.SYS_OPENAT2, [5]uintptr{at, root}},
		{"socket", unix.SYS_SOCKET, [5]uintptr{unix.AF_UNIX, unix.SOCK_STREAM}},
		{"execve", unix.SYS_EXECVE, [5]uintptr{}},
		{"execveat", unix.SYS_EXECVEAT, [5]uintptr{at}},
		{"ptrace", unix.SYS_PTRACE, [5]uintptr{unix.PTRACE_ATTACH}},
	}
	return append(list, deniedHere(root)...)
}

// try makes the call and returns its error; an error that says so when it succeeds.
func (d denial) try() error {
	_, _, e := unix.Syscall6(d.nr, d.args[0], d.args[1], d.args[2], d.args[3], d.args[4], 0)
	if e == 0 {
		return fmt.Errorf("it succeeded")
	}
	return e
}
