package control

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// peerGroups returns the caller's supplementary groups (SO_PEERGROUPS,
// socket(7)), or none when the kernel does not say: access then rests on uid
// and primary group alone. The library's string form of getsockopt stops at the
// first zero byte, so the call is made here.
func peerGroups(fd int) []uint32 {
	var groups [256]uint32
	size := uint32(unsafe.Sizeof(groups))
	_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.SOL_SOCKET, unix.SO_PEERGROUPS,
		uintptr(unsafe.Pointer(&groups)), uintptr(unsafe.Pointer(&size)), 0)
	if errno != 0 {
		return nil
	}
	return groups[:size/4]
}
