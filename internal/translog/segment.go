package translog

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/tlog"
	"golang.org/x/sys/unix"
)

const segmentSuffix = ".seg"

// segmentName is the file of the segment that begins with entry first.
func segmentName(first int64) string { return fmt.Sprintf("%020d%s", first, segmentSuffix) }

// segment is one segment file.
type segment struct {
	name  string
	first int64
	size  int64 // bytes that belong to the log
	file  *os.File

	// offs are the offsets of the first len(offs) entries, found when they
	// are first asked for; end is the offset after them.
	offs []int64
	end  int64
}

// openFile opens a file of the log, never through a link.
func openFile(path string, write bool) (*os.File, error) {
	flag := os.O_RDONLY
	if write {
		flag = os.O_RDWR
	}
	return os.OpenFile(path, flag|unix.O_NOFOLLOW, 0)
}

// listSegments returns the segments of a folder by their names, in order. A
// name that only looks like a segment's is damage: it could hide entries.
func listSegments(dir string) (segs []*segment, damage []Damage, err error) {
	names, err := os.ReadDir(dir)
	if err != nil {
		return nil, nil, err
	}
	for _, e := range names {
		digits, ok := strings.CutSuffix(e.Name(), segmentSuffix)
		if !ok {
			continue
		}
		first, err := strconv.ParseInt(digits, 10, 64)
		if err != nil || first < 0 || segmentName(first) != e.Name() {
			damage = append(damage, Damage{File: e.Name(), Entry: -1, Until: -1, Detail: "the name is not that of a segment"})
			continue
		}
		segs = append(segs, &segment{name: e.Name(), first: first})
	}
	slices.SortFunc(segs, func(a, b *segment) int { return cmp.Compare(a.first, b.first) })
	if len(segs) == 0 || segs[0].first != 0 {
		d := Damage{File: segmentName(0), Entry: 0, Until: 1, Detail: "the first segment is missing"}
		if len(segs) > 0 {
			d.Until = segs[0].first
		}
		damage = append(damage, d)
	}
	return segs, damage, nil
}

// openSegments opens the segments and checks that their names and headers make
// one chain from entry 0. Nothing below the headers is read. On an error it
// returns the segments found so far as well.
func openSegments(dir string, origin string, write bool) (segs []*segment, damage []Damage, err error) {
	segs, damage, err = listSegments(dir)
	if err != nil {
		return nil, nil, err
	}
	prev := int64(0)
	for i, s := range segs {
		s.file, err = openFile(filepath.Join(dir, s.name), write && i == len(segs)-1)
		if err != nil {
			return segs, nil, err
		}
		st, err := s.file.Stat()
		if err != nil {
			return segs, nil, err
		}
		s.size, s.end = st.Size(), headerSize
		head := make([]byte, headerSize)
		n, err := s.file.ReadAt(head, 0)
		if err != nil && !errors.Is(err, io.EOF) {
			return segs, nil, err
		}
		want := header{magic: magicSegment, first: s.first, prev: prev, origin: originHash(origin)}
		if i == 0 && s.first > 0 && n == headerSize {
			want.prev = int64(binary.BigEndian.Uint64(head[20:])) // of the one that is missing
		}
		if err := want.check(head[:n]); err != nil {
			damage = append(damage, Damage{File: s.name, Entry: s.first, Until: s.first, Detail: err.Error()})
		}
		prev = s.size
	}
	return segs, damage, nil
}

// segmentOf returns the place of the segment that holds entry i.
func segmentOf(segs []*segment, i int64) int {
	n, found := slices.BinarySearchFunc(segs, i, func(s *segment, i int64) int { return cmp.Compare(s.first, i) })
	if !found {
		n--
	}
	return max(0, n)
}

// toDamage turns what frames.read returned into the damage of a segment.
func toDamage(name string, next int64, err error) error {
	var fe *frameError
	if errors.As(err, &fe) {
		return &Damage{File: name, Offset: fe.off, Entry: next, Until: next + 1, Detail: fe.detail}
	}
	return fmt.Errorf("cannot read %s: %w", name, err)
}

// Entry is one entry of the log.
type Entry struct {
	Index  int64
	File   string // segment
	Offset int64  // of the frame in File
	Data   []byte
}

// Entry returns entry i. Its bytes are checked against the frame's checksum
// and the stored hash; a difference is a [Damage].
func (l *Log) Entry(i int64) (Entry, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if i < 0 || i >= l.size {
		return Entry{}, fmt.Errorf("cannot read entry %d: the log has %d entries", i, l.size)
	}
	s := l.segs[segmentOf(l.segs, i)]
	for s.first+int64(len(s.offs)) <= i {
		if err := s.index(i); err != nil {
			return Entry{}, err
		}
	}
	off := s.offs[i-s.first]
	fr, err := frameAt(s.file, off, s.size, i)
	if err != nil {
		return Entry{}, toDamage(s.name, i, err)
	}
	if l.damage == nil {
		hs, err := l.hashes.ReadHashes([]int64{tlog.StoredHashIndex(0, i)})
		if err != nil {
			return Entry{}, err
		}
		if hs[0] != tlog.RecordHash(fr.data) {
			return Entry{}, &Damage{File: s.name, Offset: off, Entry: i, Until: i + 1, Detail: "the entry does not have the hash that was stored for it"}
		}
	}
	return Entry{Index: i, File: s.name, Offset: off, Data: fr.data}, nil
}

// index finds the offsets of the segment's entries up to i.
func (s *segment) index(i int64) error {
	next := s.first + int64(len(s.offs))
	fs := newFrames(s.file, s.end, s.size, next)
	for next <= i {
		fr, err := fs.read()
		if err != nil {
			if errors.Is(err, io.EOF) {
				err = &frameError{off: fs.off, detail: "the segment ends before the entry"}
			}
			return toDamage(s.name, next, err)
		}
		s.offs = append(s.offs, fr.off)
		s.end = fs.off
		next++
	}
	return nil
}

// Entries walks the entries from index from to the size at the time of the
// call. Of a damaged log it gives every intact entry, and an error that is a
// [Damage] for each damaged place between them; the walk goes on after those
// and ends after any other error.
func (l *Log) Entries(from int64) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		l.mu.Lock()
		segs := slices.Clone(l.segs)
		sizes := make([]int64, len(segs))
		for i, s := range segs {
			sizes[i] = s.size
		}
		limit := l.size
		l.mu.Unlock()
		if from >= limit || len(segs) == 0 {
			return
		}
		at := max(from, 0)
		for i := segmentOf(segs, at); i < len(segs); i++ {
			s, last := segs[i], limit
			if i+1 < len(segs) {
				last = segs[i+1].first
			}
			if !walkSegment(s, sizes[i], last, at, yield) {
				return
			}
			at = last
		}
	}
}

// walkSegment yields the entries from ≤ index < limit of one segment, and the
// damage in between; false means that the walk is over.
func walkSegment(s *segment, size, limit, from int64, yield func(Entry, error) bool) bool {
	fs := newFrames(s.file, headerSize, size, s.first)
	for fs.next < limit {
		fr, err := fs.read()
		if errors.Is(err, io.EOF) {
			err = &frameError{off: fs.off, detail: "the segment ends before the entry"}
		}
		if err == nil {
			if fr.index >= from && !yield(Entry{fr.index, s.name, fr.off, append([]byte(nil), fr.data...)}, nil) {
				return false
			}
			continue
		}
		bad := fs.next
		err = toDamage(s.name, bad, err)
		var d *Damage
		if !errors.As(err, &d) {
			yield(Entry{}, err)
			return false
		}
		found, rerr := fs.resync(bad, limit)
		if rerr != nil {
			yield(Entry{}, fmt.Errorf("cannot read %s: %w", s.name, rerr))
			return false
		}
		d.Until = limit
		if found {
			d.Until = fs.next
		}
		if d.Until > from && !yield(Entry{Index: bad}, d) {
			return false
		}
		if !found {
			return true
		}
	}
	return true
}

// ProveEntry returns the proof that entry i is in the tree of the first size
// entries (RFC 6962, section 2.1.1), checked against that tree's root.
func (l *Log) ProveEntry(size, i int64) (tlog.RecordProof, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if i < 0 || size > l.size || i >= size {
		return nil, fmt.Errorf("cannot prove entry %d in a tree of %d entries: the log has %d", i, size, l.size)
	}
	root, err := l.rootLocked(size)
	if err != nil {
		return nil, err
	}
	proof, err := tlog.ProveRecord(size, i, &l.hashes)
	if err != nil {
		return nil, fmt.Errorf("cannot prove entry %d: %w", i, err)
	}
	leaf, err := l.hashes.ReadHashes([]int64{tlog.StoredHashIndex(0, i)})
	if err != nil {
		return nil, err
	}
	if err := tlog.CheckRecord(proof, size, root, i, leaf[0]); err != nil {
		return nil, fmt.Errorf("cannot prove entry %d: the stored hashes contradict each other; open the log again to rebuild them: %w", i, err)
	}
	return proof, nil
}
