package sandbox

import (
	"errors"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// nobody is the user that owns nothing (Debian's nobody, the kernel's overflow id).
const nobody = 65534

// Attempt is one way to start a child, and the namespaces it gives.
type Attempt struct {
	Attr       *syscall.SysProcAttr
	Namespaces []string
}

// Attempts lists the ways to start a child, the most confined first. Try the
// next one while [Refused] says so of the error. In each the child dies with
// the thread that started it and stands in a session of its own, so that a
// terminal's signals do not reach it.
func Attempts() []Attempt {
	uid, gid := os.Geteuid(), os.Getegid()
	var list []Attempt
	if uid == 0 {
		// As root the child becomes a user that owns nothing, where it can:
		// the program's file must be within that user's reach.
		list = append(list, inNamespaces(nobody, nobody, true))
	}
	list = append(list, inNamespaces(uid, gid, false))
	if uid == 0 {
		list = append(list, Attempt{
			Attr:       &syscall.SysProcAttr{Setsid: true, Pdeathsig: unix.SIGKILL, Cloneflags: others},
			Namespaces: names()[1:],
		})
	}
	return append(list, Attempt{Attr: &syscall.SysProcAttr{Setsid: true, Pdeathsig: unix.SIGKILL}})
}

// others are the namespaces that need a privilege, or a user namespace.
const others = unix.CLONE_NEWNET | unix.CLONE_NEWPID | unix.CLONE_NEWNS | unix.CLONE_NEWIPC | unix.CLONE_NEWUTS

func names() []string { return []string{"user", "net", "pid", "mount", "ipc", "uts"} }

// inNamespaces maps one user and group of the host to nobody inside, so that
// running the program gives it no capability even there.
func inNamespaces(uid, gid int, setgroups bool) Attempt {
	return Attempt{
		Attr: &syscall.SysProcAttr{
			Setsid:                     true,
			Pdeathsig:                  unix.SIGKILL,
			Cloneflags:                 unix.CLONE_NEWUSER | others,
			UidMappings:                []syscall.SysProcIDMap{{ContainerID: nobody, HostID: uid, Size: 1}},
			GidMappings:                []syscall.SysProcIDMap{{ContainerID: nobody, HostID: gid, Size: 1}},
			GidMappingsEnableSetgroups: setgroups,
			Credential:                 &syscall.Credential{Uid: nobody, Gid: nobody, NoSetGroups: !setgroups},
		},
		Namespaces: names(),
	}
}

// Refused says whether an error of starting a child means that this attempt is
// not allowed here, and a less confined one may be.
func Refused(err error) bool {
	for _, e := range []error{unix.EPERM, unix.EACCES, unix.ENOSPC, unix.EUSERS, unix.EINVAL, unix.ENOSYS} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}
