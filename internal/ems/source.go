package ems

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"sallyport/internal/verdict"
)

// The buffers between the goroutine that reads and hashes a file and the one
// that parses it.
const (
	blockSize = 256 << 10
	blocks    = 4
)

// source is an open file of a package. It is read ahead and hashed in a
// goroutine of its own, because parsing takes all of another; its end is an
// io.EOF only when size and SHA-256 are those of the manifest.
type source struct {
	full  chan block // closed by the reader after its last block
	free  chan []byte
	quit  chan struct{}
	now   block
	off   int
	close func() error
}

type block struct {
	data []byte
	err  error // after data
}

// openFile starts reading one file of a package.
func openFile(fsys fs.FS, f File) (*source, error) {
	want, err := hex.DecodeString(f.SHA256)
	if err != nil || len(want) != sha256.Size {
		return nil, fmt.Errorf("cannot read %q: its SHA-256 is not one", f.Path)
	}
	file, err := fsys.Open(f.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, verdict.New(verdict.FileMissing, f.Path, "")
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read a file of the package: %w", err)
	}
	s := &source{full: make(chan block, blocks), free: make(chan []byte, blocks), quit: make(chan struct{}), close: file.Close}
	// A package may have very many small files: one byte more than the file
	// has is enough to see its end.
	size := int(min(max(f.Size, 0)+1, blockSize))
	for range blocks {
		s.free <- make([]byte, size)
		if size < blockSize {
			break
		}
	}
	go s.fill(file, f, want)
	return s, nil
}

// fill reads, hashes and hands on until the end, an error or Close.
func (s *source) fill(file io.Reader, f File, want []byte) {
	defer close(s.full)
	h := sha256.New()
	var size int64
	for {
		var buf []byte
		select {
		case buf = <-s.free:
		case <-s.quit:
			return
		}
		n, err := io.ReadFull(file, buf)
		if err == io.ErrUnexpectedEOF {
			err = io.EOF
		}
		size += int64(n)
		h.Write(buf[:n])
		if err == nil && size > f.Size {
			err = io.EOF // longer than listed: told below
		}
		if err == io.EOF && (size != f.Size || !bytes.Equal(h.Sum(nil), want)) {
			err = verdict.New(verdict.FileAltered, f.Path, "the stored file is not the one that was signed")
		}
		select {
		case s.full <- block{buf[:n], err}:
		case <-s.quit:
			return
		}
		if err != nil {
			return
		}
	}
}

// Read implements io.Reader.
func (s *source) Read(p []byte) (int, error) {
	for s.off == len(s.now.data) {
		if s.now.err != nil {
			return 0, s.now.err
		}
		if s.now.data != nil {
			s.free <- s.now.data[:cap(s.now.data)]
		}
		var ok bool
		if s.now, ok = <-s.full; !ok {
			s.now.err = fs.ErrClosed
		}
		s.off = 0
	}
	n := copy(p, s.now.data[s.off:])
	s.off += n
	return n, nil
}

// Close stops the reading and closes the file.
func (s *source) Close() error {
	close(s.quit)
	for range s.full { // until fill has left the file alone
	}
	return s.close()
}
