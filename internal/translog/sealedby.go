package translog

import (
	"bytes"
	"errors"
	"io"
)

// SealedBy returns the first checkpoint that seals entry i, and the signed note
// it stands in; ok is false as long as none does. It reads the checkpoints from
// the first on. Their signatures are not checked here.
func (l *Log) SealedBy(i int64) (c Checkpoint, signed []byte, ok bool, err error) {
	l.mu.Lock()
	file, size, last := l.ckFile, l.ckSize, l.last
	l.mu.Unlock()
	if file == nil || i < 0 || i >= last.Size {
		return Checkpoint{}, nil, false, nil
	}
	for fs := newFrames(file, headerSize, size, 0); ; {
		fr, err := fs.read()
		if errors.Is(err, io.EOF) {
			return Checkpoint{}, nil, false, nil
		}
		if err == nil {
			c, err = peek(fr.data)
		}
		if err != nil {
			return Checkpoint{}, nil, false, &Damage{File: fileCheckpoints, Offset: fs.off, Entry: -1, Until: -1, Detail: err.Error()}
		}
		if c.Size > i {
			return c, bytes.Clone(fr.data), true, nil
		}
	}
}
