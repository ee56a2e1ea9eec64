package translog

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/mod/sumdb/tlog"

	"sallyport/internal/durable"
	"sallyport/internal/strictjson"
)

// Open opens a log for appending, alone (folder lock), or for reading.
//
// It checks the chain of segment headers, the last checkpoint's root against
// the stored hashes, and every entry from the start of the segment in which
// that checkpoint ends. A torn tail after the last checkpoint is cut, its bytes
// are kept in a file, and [Log.Recovery] reports it. Where anything else is
// damaged, Open returns the log *and* an error that is a [Damage]
// (errors.Is(err, ErrTampered)): the log can be read and exported, and refuses
// appends for ever. Any other error comes with a nil log. Signatures and the
// older segments are checked by [Verify].
func Open(dir string, opt Options) (*Log, error) {
	if opt.SegmentBytes == 0 {
		opt.SegmentBytes = DefaultSegmentBytes
	}
	l := &Log{dir: dir, opt: opt}
	err := l.open()
	var d *Damage
	if errors.As(err, &d) {
		l.damage = d
		if size, serr := l.readableSize(); serr == nil {
			l.size = size
			return l, fmt.Errorf("cannot open the log for appending: %w", d)
		}
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("cannot open the log in %s: %w", dir, err), l.Close())
	}
	return l, nil
}

func (l *Log) open() error {
	m, err := readMeta(l.dir)
	if err != nil {
		return err
	}
	l.origin = m.Origin
	write := !l.opt.ReadOnly
	if write {
		if l.lock, err = durable.LockDir(l.dir); err != nil {
			return err
		}
		if err := l.opt.FS.Sweep("translog.sweep", l.dir); err != nil {
			return err
		}
	}
	// Anchors first, then checkpoints: what they speak of is in the files that are
	// read after them, even while another process appends.
	anCut, anErr := l.openAnchors(write)
	ckCut, ckErr := l.openCheckpoints(write)
	var damage []Damage
	if l.segs, damage, err = openSegments(l.dir, l.origin, write); err != nil {
		return err
	}
	if len(damage) > 0 {
		return l.nearest(&damage[0])
	}
	if ckErr != nil {
		return ckErr
	}
	if anErr == nil {
		anErr = l.surplus()
	}
	if anErr != nil {
		return anErr
	}
	if err := l.openHashes(write); err != nil {
		return err
	}
	cut, err := l.scan()
	if err != nil {
		return err
	}
	for _, c := range []*Cut{cut, ckCut, anCut} {
		if c == nil {
			continue
		}
		if !write {
			l.recovery.Cuts = append(l.recovery.Cuts, *c)
			continue
		}
		if c.Bytes > maxCut {
			return &Damage{File: c.File, Offset: c.Offset, Entry: -1, Until: -1,
				Detail: fmt.Sprintf("%d bytes are no entries, an interrupted write leaves at most %d", c.Bytes, maxCut)}
		}
		if err := l.cutTail(c); err != nil {
			return err
		}
	}
	if !write {
		return nil
	}
	if err := l.hashes.flush(); err != nil {
		return err
	}
	l.recovery.Cuts, err = pendingCuts(l.dir)
	return err
}

// nearest looks for the entry behind a broken chain of segments: a segment
// that is longer or shorter than the header after it says has most often been
// damaged itself.
func (l *Log) nearest(d *Damage) *Damage {
	if d.Entry < 1 {
		return d
	}
	i := segmentOf(l.segs, d.Entry-1)
	if i+1 >= len(l.segs) {
		return d
	}
	walkSegment(l.segs[i], l.segs[i].size, l.segs[i+1].first, 0, func(_ Entry, err error) bool {
		var found *Damage
		if errors.As(err, &found) {
			d = found
			return false
		}
		return err == nil
	})
	return d
}

// readMeta reads log.json. Its loss is damage: nothing else says whose log it is.
func readMeta(dir string) (meta, error) {
	var m meta
	b, err := readBounded(filepath.Join(dir, fileMeta), 4096)
	if err != nil {
		return m, err
	}
	if err := strictjson.DecodeCanonical(b, &m, 4096); err != nil {
		return m, fmt.Errorf("cannot read %s: %w", fileMeta, err)
	}
	if m.Format != formatName || m.V != formatVersion {
		return m, fmt.Errorf("cannot read %s: it describes %q version %d, this program knows %q version %d", fileMeta, m.Format, m.V, formatName, formatVersion)
	}
	if err := CheckOrigin(m.Origin); err != nil {
		return m, fmt.Errorf("cannot read %s: %w", fileMeta, err)
	}
	return m, nil
}

// readBounded reads a small file, never through a link.
func readBounded(path string, most int64) ([]byte, error) {
	f, err := openFile(path, false)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, most+1))
	if err == nil && int64(len(b)) > most {
		err = fmt.Errorf("%s has more than %d bytes", path, most)
	}
	return b, err
}

// checkpointFrames opens the checkpoints file and checks its header.
func checkpointFrames(dir, origin string, write bool) (*os.File, *frames, error) {
	return framedFile(dir, fileCheckpoints, magicCheckpoints, origin, write)
}

// openCheckpoints finds the last checkpoint, and the torn tail if there is one.
// A damaged checkpoint with an intact one after it is no torn tail.
func (l *Log) openCheckpoints(write bool) (*Cut, error) {
	f, fs, err := checkpointFrames(l.dir, l.origin, write)
	l.ckFile = f
	if err != nil {
		return nil, err
	}
	cut, err := lastFrame(fileCheckpoints, fs, func(fr frame) {
		l.lastNote = append(l.lastNote[:0], fr.data...)
		l.ckCount++
		l.ckSize = fr.off
	})
	if err != nil {
		return nil, err
	}
	if l.lastNote == nil {
		l.ckSize = headerSize
		return cut, nil
	}
	if l.last, err = peek(l.lastNote); err == nil && l.last.Origin != l.origin {
		err = fmt.Errorf("the checkpoint is of the log %q, not of %q", l.last.Origin, l.origin)
	}
	if err != nil {
		return nil, &Damage{File: fileCheckpoints, Offset: l.ckSize, Entry: -1, Until: -1, Detail: err.Error()}
	}
	l.ckSize += frameHeaderSize + int64(len(l.lastNote))
	return cut, nil
}

// openHashes opens the stored hashes and drops them when they do not lead to
// the last checkpoint's root.
func (l *Log) openHashes(write bool) error {
	path := filepath.Join(l.dir, fileHashes)
	f, err := openFile(path, write)
	if errors.Is(err, os.ErrNotExist) && write {
		f, err = os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	}
	if errors.Is(err, os.ErrNotExist) {
		f, err = os.Open(os.DevNull)
	}
	if err != nil {
		return err
	}
	l.hashes = hashStore{fs: l.opt.FS, file: f, read: leafReader{file: f}}
	st, err := f.Stat()
	if err != nil {
		return err
	}
	// What lies beyond the checkpoint was never made durable: scan redoes it.
	if st.Size()/tlog.HashSize >= tlog.StoredHashCount(l.last.Size) {
		if err := l.hashes.begin(l.last.Size); err != nil {
			return err
		}
		if l.lastNote == nil || l.hashes.tree.root() == l.last.Root {
			return nil
		}
	}
	l.recovery.HashesRebuilt = true
	return l.hashes.begin(0)
}

// scan reads the entries that Open answers for, adds the hashes that are not
// stored, and sets the size. It returns the torn tail, if there is one.
func (l *Log) scan() (*Cut, error) {
	start := 0
	if !l.recovery.HashesRebuilt {
		start = segmentOf(l.segs, l.last.Size)
	}
	l.size = l.segs[start].first
	for i := start; i < len(l.segs); i++ {
		s := l.segs[i]
		if s.first != l.size {
			prev := l.segs[i-1]
			return nil, &Damage{File: prev.name, Offset: prev.size, Entry: l.size, Until: s.first,
				Detail: fmt.Sprintf("the segment ends at entry %d, the next one begins with %d", l.size, s.first)}
		}
		fs := newFrames(s.file, headerSize, s.size, s.first)
		for {
			fr, err := fs.read()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				if l.size < l.last.Size || i+1 < len(l.segs) {
					return nil, toDamage(s.name, l.size, err)
				}
				cut, err := tornTail(s.name, fs, err)
				if err == nil {
					s.size = cut.Offset
				}
				return cut, err
			}
			if err := l.scanned(s, fr); err != nil {
				if errors.Is(err, errHashesWrong) {
					if err := l.hashes.begin(0); err != nil {
						return nil, err
					}
					l.recovery = Recovery{HashesRebuilt: true}
					return l.scan()
				}
				return nil, err
			}
		}
	}
	if l.size < l.last.Size {
		s := l.segs[len(l.segs)-1]
		return nil, &Damage{File: s.name, Offset: s.size, Entry: l.size, Until: l.last.Size,
			Detail: fmt.Sprintf("the log ends after %d entries, its last checkpoint seals %d", l.size, l.last.Size)}
	}
	return nil, nil
}

// errHashesWrong asks scan to begin again without the stored hashes.
var errHashesWrong = errors.New("the stored hashes contradict the last checkpoint")

// scanned takes in one entry that scan read.
func (l *Log) scanned(s *segment, fr frame) error {
	leaf := tlog.RecordHash(fr.data)
	l.recovery.Hashed++
	l.size++
	if fr.index < l.hashes.tree.n {
		stored, ok, err := l.hashes.read.leaf(fr.index)
		if err != nil || ok && stored == leaf {
			return err
		}
		// Either the entry or its stored hash is wrong; the checkpoint decides.
		proof, err := tlog.ProveRecord(l.last.Size, fr.index, &l.hashes)
		if err != nil || tlog.CheckRecord(proof, l.last.Size, l.last.Root, fr.index, stored) != nil {
			return errHashesWrong
		}
		return &Damage{File: s.name, Offset: fr.off, Entry: fr.index, Until: fr.index + 1, Detail: "the entry is not the one that the last checkpoint seals"}
	}
	if err := l.hashes.keep(leaf); err != nil {
		return err
	}
	if l.size == l.last.Size && l.recovery.HashesRebuilt && l.hashes.tree.root() != l.last.Root {
		return &Damage{File: l.segs[0].name, Offset: headerSize, Entry: 0, Until: l.size, Detail: "the entries do not have the root that the last checkpoint seals"}
	}
	if !l.opt.ReadOnly && len(l.hashes.mem) > 1<<16 {
		return l.hashes.flush()
	}
	return nil
}

// readableSize is the size of a damaged log: one more than the index of its
// last intact entry.
func (l *Log) readableSize() (int64, error) {
	if len(l.segs) == 0 {
		return 0, nil
	}
	s := l.segs[len(l.segs)-1]
	if s.file == nil {
		return 0, nil
	}
	size := s.first
	for e, err := range func(yield func(Entry, error) bool) { walkSegment(s, s.size, maxIndex, s.first, yield) } {
		if err == nil {
			size = e.Index + 1
		} else if !errors.Is(err, ErrTampered) {
			return 0, err
		}
	}
	return size, nil
}
