package vault

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// A stage's memory: the source reads straight into a buffer, and the same
// memory is then hashed and written at the same time. 2 MiB is where the disk
// of the development machine stops getting faster; eight keep all three busy.
const (
	bufferSize = 2 << 20
	buffers    = 8
	arenaSize  = buffers * bufferSize
)

// arenas keeps one arena between stages: mapping and faulting in 16 MiB takes
// longer than storing a small package. Mapped memory is page-aligned, as
// O_DIRECT wants it, and out of the garbage collector's sight.
type arenas struct {
	mu    sync.Mutex
	spare []byte
}

func (a *arenas) get() ([]byte, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if m := a.spare; m != nil {
		a.spare = nil
		return m, nil
	}
	m, err := unix.Mmap(-1, 0, arenaSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		return nil, fmt.Errorf("cannot map %d bytes of memory: %w", arenaSize, err)
	}
	// Huge pages only save time; a kernel without them is as good.
	_ = unix.Madvise(m, unix.MADV_HUGEPAGE)
	return m, nil
}

func (a *arenas) put(m []byte) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.spare == nil {
		a.spare = m
		return nil
	}
	return unix.Munmap(m)
}

func (a *arenas) close() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.spare == nil {
		return nil
	}
	m := a.spare
	a.spare = nil
	return unix.Munmap(m)
}

// buffer is a stretch of the pack on its way.
type buffer struct {
	mem   []byte
	n     int          // bytes filled
	parts []part       // what the bytes belong to, in order
	users atomic.Int32 // hasher and writer, until each is done with it
}

// part is a stretch of a buffer that belongs to one file.
type part struct {
	from, to int32
	last     bool // the file ends here
}

// pipeline hashes and writes filled buffers in their order. All channels hold
// every buffer there is, so a worker never waits to hand one on.
type pipeline struct {
	pack    *pack
	free    chan *buffer
	hashing chan *buffer
	writing chan *buffer
	workers sync.WaitGroup
	failed  atomic.Pointer[error] // the first failed write; what follows is dropped
	sums    [][sha256.Size]byte   // of each file that ended, in order; the hasher's until wait
}

func newPipeline(p *pack, arena []byte) *pipeline {
	pl := &pipeline{
		pack:    p,
		free:    make(chan *buffer, buffers),
		hashing: make(chan *buffer, buffers),
		writing: make(chan *buffer, buffers),
	}
	for i := range buffers {
		pl.free <- &buffer{mem: arena[i*bufferSize : (i+1)*bufferSize : (i+1)*bufferSize]}
	}
	pl.workers.Go(pl.hash)
	pl.workers.Go(pl.write)
	return pl
}

// send hands a buffer to both workers.
func (pl *pipeline) send(b *buffer) {
	b.users.Store(2)
	pl.hashing <- b
	pl.writing <- b
}

func (pl *pipeline) release(b *buffer) {
	if b.users.Add(-1) == 0 {
		b.n, b.parts = 0, b.parts[:0]
		pl.free <- b
	}
}

func (pl *pipeline) hash() {
	h := sha256.New()
	for b := range pl.hashing {
		for _, p := range b.parts {
			h.Write(b.mem[p.from:p.to])
			if p.last {
				pl.sums = append(pl.sums, [sha256.Size]byte{})
				h.Sum(pl.sums[len(pl.sums)-1][:0])
				h.Reset()
			}
		}
		pl.release(b)
	}
}

func (pl *pipeline) write() {
	for b := range pl.writing {
		if pl.err() == nil && b.n > 0 {
			whole := (b.n + blockSize - 1) &^ (blockSize - 1)
			clear(b.mem[b.n:whole]) // never older bytes of another file
			if err := pl.pack.write(b.mem[:whole], b.n); err != nil {
				pl.drop(full(err))
			}
		}
		pl.release(b)
	}
}

// err returns the write error that ended the pack, if one did.
func (pl *pipeline) err() error {
	if p := pl.failed.Load(); p != nil {
		return *p
	}
	return nil
}

// drop makes the writer pass over whatever it has not written yet.
func (pl *pipeline) drop(why error) { pl.failed.Store(&why) }

// wait lets the workers finish what was sent.
func (pl *pipeline) wait() {
	close(pl.hashing)
	close(pl.writing)
	pl.workers.Wait()
}

var (
	errNoProgress = errors.New("the source gives neither bytes nor an end")
	errAbandoned  = errors.New("the stage was abandoned")
)
