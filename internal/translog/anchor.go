package translog

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// Anchorer ties a checkpoint to something outside the folder that counts, such
// as a TPM's counter: who puts an older copy of the folder in its place cannot
// put that back.
type Anchorer interface {
	// Anchor returns what is kept beside the checkpoint with this SHA-256 of its
	// signed note: 1 to 65,536 bytes that [VerifyOptions.Anchor] understands.
	Anchor(ctx context.Context, note [32]byte) ([]byte, error)
}

// anchors are the file of them, one for each checkpoint, in their order. The
// last one may be missing: an interrupted write.
type anchors struct {
	file  *os.File
	size  int64 // bytes
	count int64
}

// openAnchors finds the last anchor, and the torn tail if there is one.
func (l *Log) openAnchors(write bool) (*Cut, error) {
	f, fs, err := framedFile(l.dir, fileAnchors, magicAnchors, l.origin, write)
	l.anchors.file = f
	if err != nil {
		return nil, err
	}
	cut, err := lastFrame(fileAnchors, fs, func(fr frame) {
		l.anchors.count++
		l.anchors.size = fr.off + frameHeaderSize + int64(len(fr.data))
	})
	if err != nil {
		return nil, err
	}
	l.anchors.size = max(l.anchors.size, headerSize)
	return cut, nil
}

// surplus is the damage of a log with more anchors than checkpoints, or with fewer
// than an interrupted write leaves.
func (l *Log) surplus() error {
	d := &Damage{File: fileAnchors, Offset: l.anchors.size, Entry: -1, Until: -1}
	missing := l.ckCount - l.anchors.count
	switch {
	case missing < 0:
		d.Detail = fmt.Sprintf("there are %d anchors and %d checkpoints", l.anchors.count, l.ckCount)
	case missing > 1 && l.opt.Anchor != nil:
		d.Detail = unanchored(missing)
	default:
		return nil
	}
	return d
}

func unanchored(missing int64) string {
	return fmt.Sprintf("the last %d checkpoints have no anchor; an interrupted write leaves at most one without", missing)
}

// lastFrame reads all frames of a file and returns its torn tail, nil when it
// has none. A damaged frame with an intact one after it is no torn tail.
func lastFrame(name string, fs *frames, each func(frame)) (*Cut, error) {
	for {
		fr, err := fs.read()
		if errors.Is(err, io.EOF) {
			return nil, nil
		}
		if err == nil {
			each(fr)
			continue
		}
		cut, err := tornTail(name, fs, err)
		if err != nil {
			return nil, err
		}
		if cut.Intact > 0 {
			return nil, &Damage{File: name, Offset: cut.Offset, Entry: -1, Until: -1, Detail: cut.Detail}
		}
		return cut, nil
	}
}

// anchor ties the last checkpoint, unless it is tied already. The caller holds
// sealing and not mu: appends go on meanwhile.
//
//	pwrite(anchors) fdatasync(anchors)
func (l *Log) anchor(ctx context.Context) error {
	l.mu.Lock()
	note, missing, err := l.lastNote, l.ckCount-l.anchors.count, l.writable()
	l.mu.Unlock()
	if err != nil || l.opt.Anchor == nil || missing == 0 {
		return err
	}
	data, err := l.opt.Anchor.Anchor(ctx, sha256.Sum256(note))
	if err == nil && (len(data) < 1 || len(data) > MaxEntry) {
		err = fmt.Errorf("an anchor has %d bytes, 1 to %d are allowed", len(data), MaxEntry)
	}
	if err != nil {
		return fmt.Errorf("cannot anchor the checkpoint: %w", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	buf := appendFrame(nil, l.anchors.count, data)
	err = l.opt.FS.Step("translog.anchor.write", func() error {
		_, err := l.anchors.file.WriteAt(buf, l.anchors.size)
		return err
	})
	if err == nil {
		err = l.opt.FS.Step("translog.anchor.sync", func() error { return unix.Fdatasync(int(l.anchors.file.Fd())) })
	}
	if err != nil {
		l.failed = fmt.Errorf("cannot write the anchor: %w", err)
		return l.failed
	}
	l.anchors.size += int64(len(buf))
	l.anchors.count++
	return nil
}

// LastAnchor returns the anchor of the last checkpoint; ok is false when it has
// none.
func (l *Log) LastAnchor() (data []byte, ok bool, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.anchors.count == 0 || l.anchors.count < l.ckCount {
		return nil, false, nil
	}
	fs := newFrames(l.anchors.file, headerSize, l.anchors.size, 0)
	_, err = lastFrame(fileAnchors, fs, func(fr frame) { data = append(data[:0], fr.data...) })
	return data, err == nil, err
}

// verifyAnchors holds each anchor against its checkpoint. What is wrong with the
// checkpoints is reported elsewhere.
func (v *verifier) verifyAnchors(dir, origin string) error {
	f, fs, err := framedFile(dir, fileAnchors, magicAnchors, origin, false)
	if f != nil {
		defer f.Close()
	}
	if err != nil {
		return v.note(err)
	}
	ck, notes, err := checkpointFrames(dir, origin, false)
	if ck != nil {
		defer ck.Close()
	}
	if err != nil {
		var d *Damage
		if errors.As(err, &d) {
			return nil
		}
		return err
	}
	// While a station is at work, anchors up to here must have their checkpoints
	// there, and all but the last of those checkpoints their anchors by now.
	early := fs.size
	st, err := f.Stat()
	if err != nil {
		return err
	}
	fs.size = st.Size()
	fs.seek(headerSize, 0)
	known, quiet := frame{index: -1}, &Report{}
	for {
		fr, ok, torn, err := v.rep.nextFrame(fileAnchors, fs)
		if err != nil {
			return err
		}
		if !ok {
			return v.unanchored(quiet, notes, fs, torn)
		}
		for more := true; more && known.index < fr.index; {
			next, ok, _, err := quiet.nextFrame(fileCheckpoints, notes)
			if err != nil {
				return err
			}
			if more = ok; ok {
				known = next
			}
		}
		switch {
		case known.index == fr.index:
			v.checkAnchor(fr, sha256.Sum256(known.data))
		case known.index < fr.index && fr.off < early:
			v.anchorDamage(fr.off, "anchor %d: there is no checkpoint %d", fr.index, fr.index)
		}
	}
}

func (v *verifier) anchorDamage(off int64, format string, args ...any) {
	v.rep.add(Damage{File: fileAnchors, Offset: off, Entry: -1, Until: -1, Detail: fmt.Sprintf(format, args...)})
}

// checkAnchor holds an anchor against the SHA-256 of its checkpoint's note.
func (v *verifier) checkAnchor(fr frame, note [32]byte) {
	v.rep.Anchored++
	if v.opt.Anchor == nil {
		return
	}
	n, err := v.opt.Anchor(note, fr.data)
	switch {
	case err != nil:
		v.anchorDamage(fr.off, "anchor %d: %v", fr.index, err)
	case n <= v.rep.Counter:
		v.anchorDamage(fr.off, "anchor %d: the counter stands at %d, at the anchor before it stood at %d", fr.index, n, v.rep.Counter)
	default:
		v.rep.Counter = n
	}
}

// unanchored looks at the checkpoints behind the last anchor. An interrupted write
// leaves one; a damaged anchor, which was reported, another.
func (v *verifier) unanchored(quiet *Report, notes, fs *frames, torn bool) error {
	missing := int64(0)
	for {
		fr, ok, _, err := quiet.nextFrame(fileCheckpoints, notes)
		if err != nil {
			return err
		}
		if !ok {
			break
		}
		if missing == 0 && !torn && fs.off < fs.size && fr.index == fs.next {
			continue
		}
		missing++
	}
	switch {
	case v.opt.Anchor == nil && v.rep.Anchored > 0:
		v.rep.Notes = append(v.rep.Notes, fmt.Sprintf("%d anchors were not checked: give the station's TPM identity", v.rep.Anchored))
	case v.opt.Anchor == nil:
	case missing > 1:
		v.anchorDamage(fs.off, "%s", unanchored(missing))
	case missing > 0:
		v.rep.Notes = append(v.rep.Notes, "the last checkpoint has no anchor: the station was interrupted, or is at work")
	}
	return nil
}

// framedFile opens a file of frames beside the segments and checks its header.
func framedFile(dir, name, magic, origin string, write bool) (*os.File, *frames, error) {
	f, err := openFile(filepath.Join(dir, name), write)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil, &Damage{File: name, Entry: -1, Until: -1, Detail: "the file is missing"}
	}
	if err != nil {
		return nil, nil, err
	}
	st, err := f.Stat()
	if err != nil {
		return f, nil, err
	}
	head := make([]byte, headerSize)
	n, err := f.ReadAt(head, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return f, nil, err
	}
	want := header{magic: magic, origin: originHash(origin)}
	if err := want.check(head[:n]); err != nil {
		return f, nil, &Damage{File: name, Entry: -1, Until: -1, Detail: err.Error()}
	}
	fs := newFrames(f, headerSize, st.Size(), 0)
	fs.what = strings.TrimSuffix(name, "s")
	return f, fs, nil
}
