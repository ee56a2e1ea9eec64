// Package translog is an append-only Merkle log (RFC 6962) in a folder: entries
// in CRC-framed segment files, the hashes of the tree beside them, and C2SP
// checkpoints signed by whoever owns the log. It knows nothing of what an entry
// means. Everything it reads from the folder is untrusted until a checkpoint's
// signature covers it: [Verify] re-hashes all of it with nothing but public
// keys; [Open] checks what the next append builds on. FORMAT.md describes the
// files.
package translog

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"golang.org/x/mod/sumdb/tlog"
	"golang.org/x/sys/unix"

	"sallyport/internal/durable"
	"sallyport/internal/strictjson"
)

const (
	fileMeta        = "log.json"
	fileHashes      = "hashes"
	fileCheckpoints = "checkpoints"
	fileAnchors     = "anchors"
	formatName      = "sallyport.translog"

	// DefaultSegmentBytes is the size at which a new segment is begun.
	DefaultSegmentBytes = 32 << 20
)

// Options of Create and Open. The zero value is what production uses.
type Options struct {
	FS           durable.FS
	SegmentBytes int64 // 0: DefaultSegmentBytes
	// ReadOnly opens without the lock and without repairing anything, beside
	// a running writer if need be. Appends are refused.
	ReadOnly bool
	// Anchor ties each checkpoint to something outside the folder; nil leaves
	// checkpoints untied.
	Anchor Anchorer
}

// ErrReadOnly is returned by whatever would change a log opened read-only.
var ErrReadOnly = errors.New("the log is open for reading only")

// Recovery says what [Open] found and did.
type Recovery struct {
	// Cuts are torn tails: those cut by this Open, and those cut by an earlier
	// one and not acknowledged yet (AcknowledgeRecovery).
	Cuts []Cut
	// HashesRebuilt is set when the stored hashes did not lead to the last
	// checkpoint's root, but the entries did.
	HashesRebuilt bool
	// Hashed counts the entries that Open hashed again.
	Hashed int64
}

// meta is log.json.
type meta struct {
	Format string `json:"format"`
	V      int64  `json:"v"`
	Origin string `json:"origin"`
}

// Log is an open log. It is safe for concurrent use.
type Log struct {
	dir    string
	origin string
	opt    Options
	lock   *durable.Lock

	sealing sync.Mutex // one Checkpoint at a time; taken before mu

	mu       sync.Mutex
	failed   error // set by the first failed write; refuses all later ones
	damage   *Damage
	recovery Recovery
	size     int64
	segs     []*segment
	hashes   hashStore
	ckFile   *os.File
	ckSize   int64 // bytes
	ckCount  int64
	anchors  anchors
	last     Checkpoint
	lastNote []byte
}

// Create makes an empty log in dir, which must not exist while its parent must.
// A crash leaves either no log or a whole one (and at most dir.tmp, which the
// next Create removes).
//
//	mkdir(dir.tmp), each file: temp, fsync, rename, fsync(dir.tmp); rename(dir.tmp, dir), fsync(parent)
func Create(dir, origin string, opt Options) error {
	if err := CheckOrigin(origin); err != nil {
		return fmt.Errorf("cannot create the log: %w", err)
	}
	if _, err := os.Lstat(dir); err == nil {
		return fmt.Errorf("cannot create the log: %w", &os.PathError{Op: "create", Path: dir, Err: os.ErrExist})
	}
	tmp := dir + ".tmp"
	if err := opt.FS.RemoveAll("translog.create.sweep", tmp); err != nil {
		return fmt.Errorf("cannot create the log: %w", err)
	}
	if err := opt.FS.Mkdir("translog.create", tmp, 0o700); err != nil {
		return fmt.Errorf("cannot create the log: %w", err)
	}
	about, err := strictjson.Encode(meta{formatName, formatVersion, origin})
	if err != nil {
		return fmt.Errorf("cannot create the log: %w", err)
	}
	oh := originHash(origin)
	for _, f := range []struct {
		name string
		data []byte
		perm os.FileMode
	}{
		{fileMeta, about, 0o400},
		{segmentName(0), header{magic: magicSegment, origin: oh}.encode(), 0o600},
		{fileCheckpoints, header{magic: magicCheckpoints, origin: oh}.encode(), 0o600},
		{fileAnchors, header{magic: magicAnchors, origin: oh}.encode(), 0o600},
		{fileHashes, nil, 0o600},
	} {
		if err := opt.FS.CreateFile("translog.create", filepath.Join(tmp, f.name), f.data, f.perm); err != nil {
			return fmt.Errorf("cannot create the log: %w", err)
		}
	}
	if err := opt.FS.Rename("translog.create", tmp, dir); err != nil {
		return fmt.Errorf("cannot create the log: %w", err)
	}
	return nil
}

// Origin is the origin line of the log's checkpoints.
func (l *Log) Origin() string { return l.origin }

// Recovery says what Open found and did.
func (l *Log) Recovery() Recovery {
	l.mu.Lock()
	defer l.mu.Unlock()
	r := l.recovery
	r.Cuts = append([]Cut(nil), r.Cuts...)
	return r
}

// Size is the number of entries. Of a damaged log it is one more than the
// index of the last intact entry.
func (l *Log) Size() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.size
}

// Root is the tree hash over all entries.
func (l *Log) Root() (tlog.Hash, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.rootLocked(l.size)
}

// RootAt is the tree hash over the first n entries.
func (l *Log) RootAt(n int64) (tlog.Hash, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if n < 0 || n > l.size {
		return tlog.Hash{}, fmt.Errorf("cannot hash %d entries of a log that has %d", n, l.size)
	}
	return l.rootLocked(n)
}

func (l *Log) rootLocked(n int64) (tlog.Hash, error) {
	if l.damage != nil {
		return tlog.Hash{}, l.damage
	}
	return tlog.TreeHash(n, &l.hashes)
}

// LastCheckpoint returns the last checkpoint and the signed note it stands in;
// ok is false as long as there is none. Its signature is not checked here.
func (l *Log) LastCheckpoint() (c Checkpoint, signed []byte, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.last, append([]byte(nil), l.lastNote...), l.lastNote != nil
}

// writable returns why nothing may be appended, or nil.
func (l *Log) writable() error {
	switch {
	case l.damage != nil:
		return l.damage
	case l.opt.ReadOnly:
		return ErrReadOnly
	case l.failed != nil:
		return fmt.Errorf("the log stopped at an earlier failure: %w", l.failed)
	}
	return nil
}

// Append adds the entries in order and returns the index of the first. When it
// returns without error all of them are durable, after one fdatasync. After a
// failure the log refuses every further change: what is on disk is decided by
// the next Open, which finds all of the entries, some of the first ones, or none.
//
//	pwrite(segment) fdatasync(segment) pwrite(hashes)
func (l *Log) Append(entries ...[]byte) (first int64, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.writable(); err != nil {
		return 0, fmt.Errorf("cannot append to the log: %w", err)
	}
	first = l.size
	var buf []byte
	for i, e := range entries {
		if len(e) < 1 || len(e) > MaxEntry {
			return 0, fmt.Errorf("cannot append to the log: an entry has %d bytes, 1 to %d are allowed", len(e), MaxEntry)
		}
		buf = appendFrame(buf, first+int64(i), e)
	}
	if len(entries) == 0 {
		return first, nil
	}
	if len(buf) > maxCut {
		return 0, fmt.Errorf("cannot append to the log: the entries have %d bytes together, at most %d are allowed", len(buf), maxCut)
	}
	if err := l.appendLocked(buf, entries); err != nil {
		l.failed = err
		return 0, fmt.Errorf("cannot append to the log: %w", err)
	}
	return first, nil
}

func (l *Log) appendLocked(buf []byte, entries [][]byte) error {
	s := l.segs[len(l.segs)-1]
	if s.first < l.size && s.size+int64(len(buf)) > l.opt.SegmentBytes {
		var err error
		if s, err = l.rotate(s); err != nil {
			return err
		}
	}
	for _, e := range entries {
		l.hashes.add(tlog.RecordHash(e))
	}
	err := l.opt.FS.Step("translog.segment.write", func() error {
		_, err := s.file.WriteAt(buf, s.size)
		return err
	})
	if err == nil {
		err = l.opt.FS.Step("translog.segment.sync", func() error { return unix.Fdatasync(int(s.file.Fd())) })
	}
	if err != nil {
		return fmt.Errorf("cannot write %s: %w", s.name, err)
	}
	if err := l.hashes.flush(); err != nil {
		return err
	}
	s.size += int64(len(buf))
	l.size += int64(len(entries))
	return nil
}

// rotate begins the next segment; its header seals the length of the last one.
func (l *Log) rotate(s *segment) (*segment, error) {
	h := header{magic: magicSegment, first: l.size, prev: s.size, origin: originHash(l.origin)}
	next := &segment{name: segmentName(l.size), first: l.size, size: headerSize, end: headerSize}
	path := filepath.Join(l.dir, next.name)
	if err := l.opt.FS.CreateFile("translog.rotate", path, h.encode(), 0o600); err != nil {
		return nil, err
	}
	f, err := openFile(path, true)
	if err != nil {
		return nil, err
	}
	next.file = f
	l.segs = append(l.segs, next)
	return next, nil
}

// Checkpoint signs the current state and returns the signed note, which is
// durable in the log before it is returned. When the last checkpoint already
// covers every entry that one is returned again. Appends go on while the
// signer works. A checkpoint that could not be anchored is in the log all the
// same; the error says so, and the next call anchors it first.
//
//	fdatasync(hashes) sign pwrite(checkpoints) fdatasync(checkpoints) anchor
func (l *Log) Checkpoint(ctx context.Context, s Signer) ([]byte, error) {
	l.sealing.Lock()
	defer l.sealing.Unlock()
	if err := l.anchor(ctx); err != nil { // the one before, when it was interrupted
		return nil, err
	}
	c, done, err := l.toSeal()
	if err != nil {
		return nil, fmt.Errorf("cannot make a checkpoint: %w", err)
	}
	if done != nil {
		return done, nil
	}
	signed, err := seal(ctx, c, s)
	if err != nil {
		return nil, err
	}
	if err := l.write(c, signed); err != nil {
		return nil, err
	}
	return append([]byte(nil), signed...), l.anchor(ctx)
}

// write makes a checkpoint durable.
func (l *Log) write(c Checkpoint, signed []byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.writable(); err != nil {
		return fmt.Errorf("cannot make a checkpoint: %w", err)
	}
	buf := appendFrame(nil, l.ckCount, signed)
	err := l.opt.FS.Step("translog.checkpoint.write", func() error {
		_, err := l.ckFile.WriteAt(buf, l.ckSize)
		return err
	})
	if err == nil {
		err = l.opt.FS.Step("translog.checkpoint.sync", func() error { return unix.Fdatasync(int(l.ckFile.Fd())) })
	}
	if err != nil {
		l.failed = fmt.Errorf("cannot write the checkpoint: %w", err)
		return l.failed
	}
	l.ckSize += int64(len(buf))
	l.ckCount++
	l.last, l.lastNote = c, signed
	return nil
}

// toSeal returns what the next checkpoint says, or the last note when there is
// nothing new to seal.
func (l *Log) toSeal() (Checkpoint, []byte, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.writable(); err != nil {
		return Checkpoint{}, nil, err
	}
	if l.lastNote != nil && l.last.Size == l.size {
		return Checkpoint{}, append([]byte(nil), l.lastNote...), nil
	}
	if err := l.hashes.sync(); err != nil {
		l.failed = err
		return Checkpoint{}, nil, err
	}
	root, err := l.rootLocked(l.size)
	return Checkpoint{Origin: l.origin, Size: l.size, Root: root}, nil, err
}

// Close releases the files and the lock. It writes nothing: whatever Append
// and Checkpoint acknowledged is durable already.
func (l *Log) Close() error {
	l.sealing.Lock()
	defer l.sealing.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.failed = os.ErrClosed
	var errs []error
	for _, s := range l.segs {
		if s.file != nil {
			errs = append(errs, s.file.Close())
		}
	}
	for _, f := range []*os.File{l.hashes.file, l.ckFile, l.anchors.file} {
		if f != nil {
			errs = append(errs, f.Close())
		}
	}
	if l.lock != nil {
		errs = append(errs, l.lock.Close())
	}
	l.segs, l.hashes.file, l.ckFile, l.anchors.file, l.lock, l.size = nil, nil, nil, nil, nil, 0
	return errors.Join(errs...)
}
