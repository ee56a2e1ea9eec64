package sandbox

import (
	"errors"
	"fmt"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// restrictFiles takes every file-system right, and TCP where the kernel knows
// that, from every thread, and tries that a folder can no longer be opened. It
// returns the kernel's Landlock ABI version (landlock(7)).
func restrictFiles() (abi int, err error) {
	r, _, e := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, unix.LANDLOCK_CREATE_RULESET_VERSION)
	if e != 0 {
		return 0, fmt.Errorf("this kernel has no Landlock (it must be compiled in and listed in the kernel parameter lsm=): %w", e)
	}
	abi = int(r)
	if err := openRoot(); err != nil {
		return 0, fmt.Errorf("cannot try Landlock: the root folder cannot be opened even without it: %w", err)
	}
	attr := ruleset(abi)
	fd, _, e := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, uintptr(unsafe.Pointer(&attr)), unsafe.Sizeof(attr), 0)
	if e != 0 {
		return 0, fmt.Errorf("cannot make a Landlock ruleset: %w", e)
	}
	defer unix.Close(int(fd))
	// The call restricts one thread; without rules nothing remains allowed.
	if _, _, e := syscall.AllThreadsSyscall(unix.SYS_LANDLOCK_RESTRICT_SELF, fd, 0, 0); e != 0 {
		return 0, fmt.Errorf("cannot enter the Landlock domain: %w", e)
	}
	if err := openRoot(); !errors.Is(err, unix.EACCES) {
		return 0, fmt.Errorf("no effect of Landlock: opening the root folder gave %v", err)
	}
	return abi, nil
}

// ruleset lists the rights to take, those that version abi knows: an older
// kernel refuses a ruleset with rights it does not know. Scopes are left out:
// seccomp forbids sockets and foreign signals, and on kernels before 6.15 the
// signal scope also stops signals between threads, which Go needs.
func ruleset(abi int) unix.LandlockRulesetAttr {
	a := unix.LandlockRulesetAttr{Handled_access_fs: unix.LANDLOCK_ACCESS_FS_MAKE_SYM<<1 - 1} // version 1: bits 0 to 12
	if abi >= 2 {
		a.Handled_access_fs |= unix.LANDLOCK_ACCESS_FS_REFER
	}
	if abi >= 3 {
		a.Handled_access_fs |= unix.LANDLOCK_ACCESS_FS_TRUNCATE
	}
	if abi >= 4 {
		a.Handled_access_net = unix.LANDLOCK_ACCESS_NET_BIND_TCP | unix.LANDLOCK_ACCESS_NET_CONNECT_TCP
	}
	if abi >= 5 {
		a.Handled_access_fs |= unix.LANDLOCK_ACCESS_FS_IOCTL_DEV
	}
	return a
}

func openRoot() error {
	fd, err := unix.Open("/", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	return unix.Close(fd)
}
