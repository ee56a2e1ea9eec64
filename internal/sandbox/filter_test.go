package sandbox

import (
	"encoding/binary"
	"testing"

	"golang.org/x/sys/unix"
)

const testPID = 4242

// call is struct seccomp_data as the kernel gives it to the filter.
type call struct {
	nr   uint32
	arch uint32
	args [6]uint64
}

// answer runs the program as the kernel would: classic BPF over one call.
func answer(t *testing.T, prog []unix.SockFilter, c call) uint32 {
	t.Helper()
	data := make([]byte, 64)
	binary.LittleEndian.PutUint32(data[0:], c.nr)
	binary.LittleEndian.PutUint32(data[4:], c.arch)
	for i, a := range c.args {
		binary.LittleEndian.PutUint64(data[16+8*i:], a)
	}
	var acc uint32
	for pc := 0; pc < len(prog); pc++ {
		in := prog[pc]
		jump := func(holds bool) {
			if holds {
				pc += int(in.Jt)
			} else {
				pc += int(in.Jf)
			}
		}
		switch in.Code {
		case unix.BPF_LD | unix.BPF_W | unix.BPF_ABS:
			acc = binary.LittleEndian.Uint32(data[in.K:])
		case unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K:
			jump(acc == in.K)
		case unix.BPF_JMP | unix.BPF_JGE | unix.BPF_K:
			jump(acc >= in.K)
		case unix.BPF_JMP | unix.BPF_JSET | unix.BPF_K:
			jump(acc&in.K != 0)
		case unix.BPF_RET | unix.BPF_K:
			return in.K
		default:
			t.Fatalf("instruction %d has the code %#x, which the filter does not use", pc, in.Code)
		}
	}
	t.Fatal("the program runs over its end")
	return 0
}

func TestFilterAllowsOnlyWhatIsNamed(t *testing.T) {
	prog := filter(testPID)
	args := func(a ...uint64) (out [6]uint64) { copy(out[:], a); return out }
	const anon = unix.MAP_ANONYMOUS | unix.MAP_PRIVATE
	for _, tc := range []struct {
		name string
		c    call
		want uint32
	}{
		{"read", call{nr: unix.SYS_READ}, retAllow},
		{"pread64", call{nr: unix.SYS_PREAD64}, retAllow},
		{"write", call{nr: unix.SYS_WRITE}, retAllow},
		{"read of the 32-bit system", call{nr: 3, arch: unix.AUDIT_ARCH_I386}, retKill},
		{"read of x32", call{nr: foreignBit | unix.SYS_READ}, retKill},
		{"number -1", call{nr: 0xffffffff}, retKill},
		{"a call of the future", call{nr: 2000}, retKill},
		{"openat", call{nr: unix.SYS_OPENAT}, retPerm},
		{"open", call{nr: unix.SYS_OPEN}, retPerm},
		{"openat2", call{nr: unix.SYS_OPENAT2}, retPerm},
		{"socket", call{nr: unix.SYS_SOCKET}, retPerm},
		{"execve", call{nr: unix.SYS_EXECVE}, retPerm},
		{"execveat", call{nr: unix.SYS_EXECVEAT}, retPerm},
		{"ptrace", call{nr: unix.SYS_PTRACE}, retPerm},
		{"mmap", call{nr: unix.SYS_MMAP, args: args(0, 4096, unix.PROT_READ|unix.PROT_WRITE, anon)}, retAllow},
		{"mmap executable", call{nr: unix.SYS_MMAP, args: args(0, 4096, unix.PROT_READ|unix.PROT_EXEC, anon)}, retKill},
		{"mmap of a descriptor", call{nr: unix.SYS_MMAP, args: args(0, 4096, unix.PROT_READ, unix.MAP_SHARED, 4)}, retKill},
		{"mmap of a file, private", call{nr: unix.SYS_MMAP, args: args(0, 4096, unix.PROT_READ, unix.MAP_PRIVATE, 4)}, retKill},
		{"mmap shared", call{nr: unix.SYS_MMAP, args: args(0, 4096, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANONYMOUS|unix.MAP_SHARED)}, retKill},
		{"mmap shared, validated", call{nr: unix.SYS_MMAP, args: args(0, 4096, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANONYMOUS|unix.MAP_SHARED_VALIDATE)}, retKill},
		{"mmap that grows down", call{nr: unix.SYS_MMAP, args: args(0, 4096, unix.PROT_READ|unix.PROT_WRITE, anon|unix.MAP_GROWSDOWN)}, retKill},
		{"mmap as the runtime reserves and takes memory", call{nr: unix.SYS_MMAP, args: args(0, 64<<20, unix.PROT_NONE, anon|unix.MAP_FIXED|unix.MAP_NORESERVE)}, retAllow},
		{"mprotect", call{nr: unix.SYS_MPROTECT, args: args(0, 4096, unix.PROT_READ)}, retAllow},
		{"mprotect executable", call{nr: unix.SYS_MPROTECT, args: args(0, 4096, unix.PROT_EXEC)}, retKill},
		{"pkey_mprotect", call{nr: unix.SYS_PKEY_MPROTECT}, retKill},
		{"clone of a thread", call{nr: unix.SYS_CLONE, args: args(goThread)}, retAllow},
		{"clone of a process", call{nr: unix.SYS_CLONE, args: args(uint64(unix.SIGCHLD))}, retKill},
		{"clone of a thread in a new namespace", call{nr: unix.SYS_CLONE, args: args(goThread | unix.CLONE_NEWUSER)}, retKill},
		{"clone with a high flag", call{nr: unix.SYS_CLONE, args: args(goThread | 1<<32)}, retKill},
		{"clone3", call{nr: unix.SYS_CLONE3}, retKill},
		{"fork", call{nr: unix.SYS_FORK}, retKill},
		{"tgkill to itself", call{nr: unix.SYS_TGKILL, args: args(testPID, testPID+1, 23)}, retAllow},
		{"tgkill to another", call{nr: unix.SYS_TGKILL, args: args(1, 1, 9)}, retKill},
		{"kill", call{nr: unix.SYS_KILL, args: args(testPID, 9)}, retKill},
		{"prctl seccomp?", call{nr: unix.SYS_PRCTL, args: args(unix.PR_GET_SECCOMP)}, retAllow},
		{"prctl no_new_privs?", call{nr: unix.SYS_PRCTL, args: args(unix.PR_GET_NO_NEW_PRIVS)}, retAllow},
		{"prctl name a mapping", call{nr: unix.SYS_PRCTL, args: args(unix.PR_SET_VMA)}, retInval},
		{"prctl dumpable", call{nr: unix.SYS_PRCTL, args: args(unix.PR_SET_DUMPABLE, 1)}, retKill},
		{"io_uring_setup", call{nr: unix.SYS_IO_URING_SETUP}, retKill},
		{"io_uring_enter", call{nr: unix.SYS_IO_URING_ENTER}, retKill},
		{"ioctl", call{nr: unix.SYS_IOCTL}, retKill},
		{"fcntl", call{nr: unix.SYS_FCNTL}, retKill},
		{"dup", call{nr: unix.SYS_DUP}, retKill},
		{"recvmsg, which could bring a descriptor in", call{nr: unix.SYS_RECVMSG}, retKill},
		{"sendmsg, which could take one out", call{nr: unix.SYS_SENDMSG}, retKill},
		{"process_vm_readv", call{nr: unix.SYS_PROCESS_VM_READV}, retKill},
		{"pidfd_open", call{nr: unix.SYS_PIDFD_OPEN}, retKill},
		{"unshare", call{nr: unix.SYS_UNSHARE}, retKill},
		{"mount", call{nr: unix.SYS_MOUNT}, retKill},
		{"bpf", call{nr: unix.SYS_BPF}, retKill},
		{"seccomp", call{nr: unix.SYS_SECCOMP}, retKill},
		{"splice", call{nr: unix.SYS_SPLICE}, retKill},
	} {
		if tc.c.arch == 0 {
			tc.c.arch = auditArch
		}
		if got := answer(t, prog, tc.c); got != tc.want {
			t.Errorf("%s: answer %#x, want %#x", tc.name, got, tc.want)
		}
	}
}
