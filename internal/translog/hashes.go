package translog

import (
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/mod/sumdb/tlog"
	"golang.org/x/sys/unix"

	"sallyport/internal/durable"
)

// hashStore holds the hashes of the tree in the order of tlog.StoredHashIndex.
// The file is derived data: it is only believed where it leads to the root of
// a checkpoint, and is rebuilt from the segments otherwise.
type hashStore struct {
	fs   durable.FS
	file *os.File
	base int64       // hashes that stand in the file
	mem  []tlog.Hash // hashes after them, not written yet
	tree frontier    // over the entries whose hashes are stored
	read leafReader  // of what an earlier run left in the file
}

// ReadHashes implements tlog.HashReader.
func (s *hashStore) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	out := make([]tlog.Hash, len(indexes))
	for i, ix := range indexes {
		if ix >= s.base {
			if ix-s.base >= int64(len(s.mem)) {
				return nil, fmt.Errorf("cannot read hash %d of the tree: only %d are stored", ix, s.base+int64(len(s.mem)))
			}
			out[i] = s.mem[ix-s.base]
			continue
		}
		if _, err := s.file.ReadAt(out[i][:], ix*tlog.HashSize); err != nil {
			return nil, fmt.Errorf("cannot read hash %d of the tree: %w", ix, err)
		}
	}
	return out, nil
}

// begin starts behind the hashes of the first n entries, which stand in the file.
func (s *hashStore) begin(n int64) error {
	s.base, s.mem, s.tree, s.read.file = tlog.StoredHashCount(n), nil, frontier{n: n}, s.file
	for level := 62; level >= 0; level-- {
		if n>>level&1 == 0 {
			continue
		}
		h, err := s.ReadHashes([]int64{tlog.StoredHashIndex(level, n>>level-1)})
		if err != nil {
			return err
		}
		s.tree.nodes = append(s.tree.nodes, h...)
	}
	return nil
}

// add appends the hashes that the next entry, with this leaf hash, completes.
func (s *hashStore) add(leaf tlog.Hash) { s.mem = s.tree.grow(s.mem, leaf) }

// keep is add for an entry that was read back: where an earlier run left the same
// hashes in the file, nothing has to be held or written.
func (s *hashStore) keep(leaf tlog.Hash) error {
	before := len(s.mem)
	s.add(leaf)
	if before > 0 {
		return nil
	}
	for i, h := range s.mem {
		stored, ok, err := s.read.at(s.base + int64(i))
		if err != nil {
			return fmt.Errorf("cannot read the stored hashes: %w", err)
		}
		if !ok || stored != h {
			return nil
		}
	}
	s.base += int64(len(s.mem))
	s.mem = s.mem[:0]
	return nil
}

// flush writes the hashes held in memory; nothing is made durable.
func (s *hashStore) flush() error {
	if len(s.mem) == 0 {
		return nil
	}
	buf := make([]byte, 0, len(s.mem)*tlog.HashSize)
	for _, h := range s.mem {
		buf = append(buf, h[:]...)
	}
	err := s.fs.Step("translog.hashes.write", func() error {
		_, err := s.file.WriteAt(buf, s.base*tlog.HashSize)
		return err
	})
	if err != nil {
		return fmt.Errorf("cannot write the hashes of the tree: %w", err)
	}
	s.base += int64(len(s.mem))
	s.mem = s.mem[:0]
	return nil
}

func (s *hashStore) sync() error {
	err := s.fs.Step("translog.hashes.sync", func() error { return unix.Fdatasync(int(s.file.Fd())) })
	if err != nil {
		return fmt.Errorf("cannot make the hashes of the tree durable: %w", err)
	}
	return nil
}

// frontier is the compact form of a tree: the roots of its complete subtrees,
// at most 63. It grows by one leaf at a time and needs no file.
type frontier struct {
	n     int64
	nodes []tlog.Hash // largest subtree first; one for each bit set in n
}

func (f *frontier) add(leaf tlog.Hash) {
	for bit := f.n; bit&1 == 1; bit >>= 1 {
		leaf = tlog.NodeHash(f.nodes[len(f.nodes)-1], leaf)
		f.nodes = f.nodes[:len(f.nodes)-1]
	}
	f.nodes = append(f.nodes, leaf)
	f.n++
}

// grow is add, and appends to out what is stored for the leaf: its hash and those
// of the subtrees that it completes, smallest first.
func (f *frontier) grow(out []tlog.Hash, leaf tlog.Hash) []tlog.Hash {
	out = append(out, leaf)
	for bit := f.n; bit&1 == 1; bit >>= 1 {
		leaf = tlog.NodeHash(f.nodes[len(f.nodes)-1], leaf)
		f.nodes = f.nodes[:len(f.nodes)-1]
		out = append(out, leaf)
	}
	f.nodes = append(f.nodes, leaf)
	f.n++
	return out
}

// root is the tree hash of RFC 6962, section 2.1.
func (f *frontier) root() tlog.Hash {
	if len(f.nodes) == 0 {
		return emptyRoot()
	}
	h := f.nodes[len(f.nodes)-1]
	for i := len(f.nodes) - 2; i >= 0; i-- {
		h = tlog.NodeHash(f.nodes[i], h)
	}
	return h
}

// setTo makes f a copy of g that shares no memory with it.
func (f *frontier) setTo(g *frontier) {
	f.n = g.n
	f.nodes = append(f.nodes[:0], g.nodes...)
}

func emptyRoot() tlog.Hash { return tlog.Hash(originHash("")) }

// leafReader reads stored hashes in order, for comparison only.
type leafReader struct {
	file io.ReaderAt
	buf  []byte
	base int64 // stored index of buf[0]
}

// leaf returns the stored hash of entry i, or false where there is none.
func (r *leafReader) leaf(i int64) (tlog.Hash, bool, error) { return r.at(tlog.StoredHashIndex(0, i)) }

// at returns the stored hash at index ix, or false where there is none.
func (r *leafReader) at(ix int64) (h tlog.Hash, ok bool, err error) {
	at := (ix - r.base) * tlog.HashSize
	if at < 0 || at+tlog.HashSize > int64(len(r.buf)) {
		if r.buf == nil {
			r.buf = make([]byte, 2048*tlog.HashSize)
		}
		n, err := r.file.ReadAt(r.buf[:cap(r.buf)], ix*tlog.HashSize)
		if err != nil && !errors.Is(err, io.EOF) {
			return h, false, err
		}
		r.buf, r.base, at = r.buf[:n], ix, 0
		if n < tlog.HashSize {
			return h, false, nil
		}
	}
	return tlog.Hash(r.buf[at : at+tlog.HashSize]), true, nil
}
