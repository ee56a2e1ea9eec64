// Command badreader is a reader that misbehaves, for tests. The name under
// which it is called says how.
package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"sallyport/internal/reader/wire"
	"sallyport/internal/sandbox"
	"sallyport/internal/verdict"
)

func main() {
	how := filepath.Base(os.Args[0])
	if err := wire.TakeDevice(3, 4); err != nil {
		os.Exit(0)
	}
	before(how)
	proof, err := sandbox.Lockdown()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(9)
	}
	switch how {
	case "no-landlock":
		proof.Landlock = 0
	case "no-denials":
		proof.Denied = nil
	}
	send(wire.TypeHello, wire.AppendHello(nil, proof))
	request()
	listing(how)
	request()
	content(how)
	hang()
}

// before does what happens without a lockdown.
func before(how string) {
	whole := sandbox.Proof{Landlock: 2, Seccomp: true, NoNewPrivs: true,
		Denied: []string{"openat", "openat2", "socket", "execve", "execveat", "ptrace", "open"}}
	switch how {
	case "no-filter":
		_ = unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
		fallthrough
	case "unconfined":
		send(wire.TypeHello, wire.AppendHello(nil, whole))
		hang()
	case "says-nothing-and-ends":
		os.Exit(0)
	case "crash-at-start":
		panic("crash at start")
	case "refuse":
		send(wire.TypeRefuse, wire.AppendFinding(nil, verdict.New(verdict.SandboxUnavailable, "kernel", "no Landlock")))
		os.Exit(1)
	}
}

func listing(how string) {
	size := int64(16 << 20)
	if how == "another-size" {
		size = 1
	}
	send(wire.TypeMedium, wire.AppendMedium(nil, wire.Medium{Size: size, Table: "none"}))
	send(wire.TypeVolume, wire.AppendVolume(nil, wire.Volume{FS: "fat16"}))
	switch how {
	case "ends-in-listing":
		os.Exit(0)
	case "hangs-in-listing":
		hang()
	case "endless-entries":
		e := bytes.Repeat(wire.AppendEntry(nil, wire.Entry{Path: "x"}), 3000)
		for {
			send(wire.TypeEntries, e)
		}
	case "huge-frame":
		write([]byte{0xff, 0xff, 0xff, 0x7f, byte(wire.TypeEntries), 0, 0, 0})
		hang()
	case "crash":
		panic("crash")
	case "forbidden":
		_, _, _ = unix.RawSyscall(unix.SYS_IO_URING_SETUP, 1, 0, 0)
	case "closes-and-lives":
		_ = unix.Close(3)
		hang()
	case "floods-stderr":
		for {
			_, _ = unix.Write(2, bytes.Repeat([]byte("flood\x1b[2J\n"), 1000))
		}
	case "reason-not-a-readers":
		send(wire.TypeProblem, wire.AppendFinding(nil, verdict.New(verdict.SignatureInvalid, "", "")))
	}
	send(wire.TypeEntries, wire.AppendEntry(wire.AppendEntry(nil, wire.Entry{Path: "a", Size: 3 << 20}), wire.Entry{Path: "b", Size: 5}))
	send(wire.TypeListed, nil)
}

func content(how string) {
	id := []byte{0, 0, 0, 0}
	if how == "unknown-file" {
		id[0] = 77
	}
	send(wire.TypeFile, id)
	data(wire.SlotBytes)
	switch how {
	case "ends-in-file":
		os.Exit(0)
	case "hangs-in-file":
		hang()
	case "too-much":
		for {
			data(wire.SlotBytes)
		}
	case "dribbles-for-ever":
		for {
			data(1)
			time.Sleep(10 * time.Millisecond)
		}
	}
}

// data offers n bytes of the ring.
func data(n int) {
	var b [8]byte
	wire.PutChunk(b[:], wire.Chunk{Len: uint32(n)})
	send(wire.TypeData, b[:])
}

// request waits for one request, or a part of it.
func request() {
	if n, err := unix.Read(3, make([]byte, 4096)); n <= 0 || err != nil {
		os.Exit(0)
	}
}

func send(t wire.Type, payload []byte) {
	b := make([]byte, wire.HeaderBytes, wire.HeaderBytes+len(payload))
	wire.PutHeader(b, t, len(payload))
	write(append(b, payload...))
}

func write(b []byte) {
	for len(b) > 0 {
		n, err := unix.Write(3, b)
		if err != nil {
			os.Exit(0)
		}
		b = b[n:]
	}
}

func hang() {
	for {
		time.Sleep(time.Hour)
	}
}
