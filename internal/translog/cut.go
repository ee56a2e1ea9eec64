package translog

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"sallyport/internal/strictjson"
)

// Bytes that are cut off are kept as NAME.bytes, described by NAME.pending,
// which becomes NAME.json when the owner of the log has recorded the loss.
const (
	cutPrefix  = "cut-"
	cutBytes   = ".bytes"
	cutPending = ".pending"
	cutDone    = ".json"

	// maxCut is more than one write can be, in bytes: what is longer is no torn
	// tail, and is not taken into memory.
	maxCut = 2 * DefaultSegmentBytes
)

// tornTail describes what follows the last intact frame of a file.
func tornTail(name string, fs *frames, why error) (*Cut, error) {
	var fe *frameError
	if !errors.As(why, &fe) {
		return nil, fmt.Errorf("cannot read %s: %w", name, why)
	}
	c := &Cut{File: name, Offset: fe.off, Bytes: fs.size - fe.off, Entry: fs.next, Detail: fe.detail}
	for {
		found, err := fs.resync(fs.next, maxIndex)
		if err != nil {
			return nil, fmt.Errorf("cannot read %s: %w", name, err)
		}
		if !found {
			return c, nil
		}
		for {
			if _, err = fs.read(); err != nil {
				break
			}
			c.Intact++
		}
		if errors.Is(err, io.EOF) {
			return c, nil
		}
		if !errors.As(err, &fe) {
			return nil, fmt.Errorf("cannot read %s: %w", name, err)
		}
	}
}

// cutTail keeps the bytes of a torn tail and cuts them off. Interrupted at any
// step it is done again by the next Open, under the same names.
//
//	CreateFile(NAME.bytes) CreateFile(NAME.pending) ftruncate(file) fsync(file)
func (l *Log) cutTail(c *Cut) error {
	file := l.segs[len(l.segs)-1].file
	switch c.File {
	case fileCheckpoints:
		file = l.ckFile
	case fileAnchors:
		file = l.anchors.file
	}
	data := make([]byte, c.Bytes)
	if _, err := file.ReadAt(data, c.Offset); err != nil {
		return fmt.Errorf("cannot read the torn tail of %s: %w", c.File, err)
	}
	if err := l.keep(c, data); err != nil {
		return fmt.Errorf("cannot keep the torn tail of %s: %w", c.File, err)
	}
	err := l.opt.FS.Step("translog.cut.truncate", func() error { return file.Truncate(c.Offset) })
	if err == nil {
		err = l.opt.FS.Step("translog.cut.sync", func() error { return unix.Fsync(int(file.Fd())) })
	}
	if err != nil {
		return fmt.Errorf("cannot cut the torn tail of %s: %w", c.File, err)
	}
	return nil
}

// keep writes the two evidence files, or finds that an interrupted Open did.
func (l *Log) keep(c *Cut, data []byte) error {
	for n := 0; ; n++ {
		name := fmt.Sprintf("%s%s-%d-%d", cutPrefix, c.File, c.Offset, n)
		path := filepath.Join(l.dir, name)
		if _, err := os.Lstat(path + cutDone); err == nil {
			continue
		}
		old, err := os.ReadFile(path + cutBytes)
		if errors.Is(err, os.ErrNotExist) {
			err = l.opt.FS.CreateFile("translog.cut.bytes", path+cutBytes, data, 0o400)
		} else if err == nil && !bytes.Equal(old, data) {
			continue
		}
		if err != nil {
			return err
		}
		c.Kept = name + cutBytes
		about, err := strictjson.Encode(c)
		if err != nil {
			return err
		}
		err = l.opt.FS.CreateFile("translog.cut.pending", path+cutPending, about, 0o400)
		if errors.Is(err, os.ErrExist) {
			err = nil
		}
		return err
	}
}

// pendingCuts lists the cuts that nobody has acknowledged.
func pendingCuts(dir string) ([]Cut, error) {
	paths, err := filepath.Glob(filepath.Join(dir, cutPrefix+"*"+cutPending))
	if err != nil {
		return nil, err
	}
	slices.Sort(paths)
	var cuts []Cut
	for _, p := range paths {
		b, err := readBounded(p, 4096)
		if err != nil {
			return nil, err
		}
		var c Cut
		if err := strictjson.DecodeCanonical(b, &c, 4096); err != nil {
			return nil, fmt.Errorf("cannot read %s: %w", filepath.Base(p), err)
		}
		if c.Kept != strings.TrimSuffix(filepath.Base(p), cutPending)+cutBytes {
			return nil, fmt.Errorf("cannot read %s: it describes %q", filepath.Base(p), c.Kept)
		}
		cuts = append(cuts, c)
	}
	return cuts, nil
}

// AcknowledgeRecovery is called when the cuts that [Log.Recovery] reports are
// recorded durably (by the audit log, in this log); until then every Open
// reports them again.
func (l *Log) AcknowledgeRecovery() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.writable(); err != nil {
		return fmt.Errorf("cannot acknowledge the recovery: %w", err)
	}
	for _, c := range l.recovery.Cuts {
		path := filepath.Join(l.dir, strings.TrimSuffix(c.Kept, cutBytes))
		if err := l.opt.FS.Rename("translog.cut.done", path+cutPending, path+cutDone); err != nil {
			return fmt.Errorf("cannot acknowledge the recovery: %w", err)
		}
	}
	l.recovery.Cuts = nil
	return nil
}
