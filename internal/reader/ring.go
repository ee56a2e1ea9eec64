package reader

import (
	"errors"
	"fmt"
	"os"
	"sync"

	"golang.org/x/sys/unix"

	"sallyport/internal/reader/wire"
)

// ring is the memory that the child writes the content of files into. The
// child can change it at any time: its bytes are copied out once, and only the
// copy is used. The mapping is for reading, and its size is sealed, so that
// the child cannot take the memory away under the parent.
type ring struct {
	mu  sync.Mutex // a session may be closed while its stream is read
	mem []byte     // nil when closed
}

// newRing makes the memory and returns the descriptor for the child.
func newRing() (*ring, *os.File, error) {
	fd, err := unix.MemfdCreate("sallyport-reader", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING|unix.MFD_NOEXEC_SEAL)
	if errors.Is(err, unix.EINVAL) { // Linux before 6.3 knows no executable memory files apart
		fd, err = unix.MemfdCreate("sallyport-reader", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("cannot make shared memory: %w", err)
	}
	f := os.NewFile(uintptr(fd), "memory shared with the reader")
	if err := unix.Ftruncate(fd, wire.RingBytes); err != nil {
		f.Close()
		return nil, nil, fmt.Errorf("cannot make shared memory: %w", err)
	}
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, unix.F_SEAL_SHRINK|unix.F_SEAL_GROW|unix.F_SEAL_SEAL); err != nil {
		f.Close()
		return nil, nil, fmt.Errorf("cannot seal shared memory: %w", err)
	}
	// Populated, so that no page can be missing later for want of memory.
	mem, err := unix.Mmap(fd, 0, wire.RingBytes, unix.PROT_READ, unix.MAP_SHARED|unix.MAP_POPULATE)
	if err != nil {
		f.Close()
		return nil, nil, fmt.Errorf("cannot map shared memory: %w", err)
	}
	return &ring{mem: mem}, f, nil
}

// copy copies bytes of a slot to p.
func (r *ring) copy(p []byte, slot int, c wire.Chunk) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.mem == nil {
		return 0, fmt.Errorf("cannot go on reading the medium: the session is closed: %w", os.ErrClosed)
	}
	return copy(p, r.mem[slot*wire.SlotBytes+int(c.Off):][:c.Len]), nil
}

// close gives the memory back.
func (r *ring) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.mem != nil {
		_ = unix.Munmap(r.mem) // the arguments are Mmap's
		r.mem = nil
	}
}
