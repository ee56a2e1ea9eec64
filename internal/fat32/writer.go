package fat32

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
)

// Medium is what a [Writer] writes to. Each offset and length is a multiple of
// the layout's sectors.
type Medium interface {
	io.ReaderAt
	io.WriterAt
	// Flush returns when everything that was written is on the medium, so that
	// the next read comes from there.
	Flush() error
}

// blockBytes is what a Writer writes or reads at once.
const blockBytes = mib

// Writer writes one layout to one medium:
//
//	Erase, Copy of each file in order, Flush, Check, Late, Finish, CheckAll
//
// A new image, which has nothing but zeros, need not be erased.
//
// After an error nothing but Spoil may be called.
type Writer struct {
	l    *Layout
	m    Medium
	step func(n int) error

	buf  []byte // what is not written yet; its capacity is a block
	at   int64  // of buf on the medium
	done int    // files that were copied
	sums [][sha256.Size]byte
	late [][]byte
}

// NewWriter returns a Writer. step is told of all bytes that are written or read
// and may end the work with an error.
func NewWriter(l *Layout, m Medium, step func(n int) error) *Writer {
	w := &Writer{l: l, m: m, step: step, buf: make([]byte, 0, blockBytes), late: make([][]byte, len(l.files)-l.late)}
	w.at, _ = l.data()
	return w
}

// Erase takes the partition table, the boot sectors and the marks of whatever
// was on the medium away, and returns when they are gone.
func (w *Writer) Erase() error {
	zeros := make([]byte, blockBytes)
	for _, s := range w.l.erased() {
		if err := s.blocks(zeros, w.put); err != nil {
			return err
		}
	}
	return w.Flush()
}

// Spoil takes partition table and boot sectors away once more, after an error,
// so that nobody takes the medium for a good one. step is not told.
func (w *Writer) Spoil() error {
	zeros := make([]byte, bootSectors*w.l.sector)
	_, err := w.m.WriteAt(zeros[:w.l.sector], 0)
	_, berr := w.m.WriteAt(zeros, partAt)
	return errors.Join(err, berr, w.m.Flush())
}

// blocks calls do with the stretch in pieces of at most the size of buf.
func (s span) blocks(buf []byte, do func(off int64, p []byte) error) error {
	for done := int64(0); done < s.n; {
		p := buf[:min(int64(len(buf)), s.n-done)]
		if err := do(s.off+done, p); err != nil {
			return err
		}
		done += int64(len(p))
	}
	return nil
}

func (w *Writer) put(off int64, p []byte) error {
	if _, err := w.m.WriteAt(p, off); err != nil {
		return fmt.Errorf("cannot write to byte %d of the medium: %w", off, err)
	}
	return w.step(len(p))
}

func (w *Writer) get(off int64, p []byte) error {
	if _, err := w.m.ReadAt(p, off); err != nil {
		return fmt.Errorf("cannot read back byte %d of the medium: %w", off, err)
	}
	return w.step(len(p))
}

// Flush returns when everything that was written is on the medium.
func (w *Writer) Flush() error {
	if err := w.m.Flush(); err != nil {
		return fmt.Errorf("the medium did not take what was written: %w", err)
	}
	return nil
}

// Copy writes the next file, which is not a late one, and returns the SHA-256 of
// what it wrote. A source of another size than the layout's is an error. The
// last block of all is written by the Copy of the last file.
func (w *Writer) Copy(src io.Reader) (sum [sha256.Size]byte, err error) {
	if w.done == w.l.late {
		return sum, errors.New("all files are written")
	}
	n := w.l.files[w.done]
	h, had := sha256.New(), int64(0)
	err = w.fill(n.size, func(p []byte) error {
		got, err := io.ReadFull(src, p)
		had += int64(got)
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return fmt.Errorf("it changed: it had %d bytes, and has %d now", n.size, had)
		}
		h.Write(p)
		return err
	})
	if err != nil {
		return sum, err
	}
	var more [1]byte
	if got, err := io.ReadFull(src, more[:]); got > 0 {
		return sum, fmt.Errorf("it changed: it had %d bytes, and has more now", n.size)
	} else if !errors.Is(err, io.EOF) {
		return sum, err
	}
	err = w.fill(n.count*w.l.cluster-n.size, func(p []byte) error {
		clear(p)
		return nil
	})
	if err != nil {
		return sum, err
	}
	h.Sum(sum[:0])
	w.sums = append(w.sums, sum)
	if w.done++; w.done == w.l.late && len(w.buf) > 0 {
		return sum, w.write()
	}
	return sum, nil
}

// fill has the next n bytes made and writes every block that is full.
func (w *Writer) fill(n int64, with func(p []byte) error) error {
	for n > 0 {
		p := w.buf[len(w.buf):min(int64(cap(w.buf)), int64(len(w.buf))+n)]
		if err := with(p); err != nil {
			return err
		}
		w.buf, n = w.buf[:len(w.buf)+len(p)], n-int64(len(p))
		if len(w.buf) < cap(w.buf) {
			continue
		}
		if err := w.write(); err != nil {
			return err
		}
	}
	return nil
}

func (w *Writer) write() error {
	if err := w.put(w.at, w.buf); err != nil {
		return err
	}
	w.at += int64(len(w.buf))
	w.buf = w.buf[:0]
	return nil
}

// Late gives the late file with that path its content, which must not change
// until the Writer is done with.
func (w *Writer) Late(path string, content []byte) error {
	for i, n := range w.l.files[w.l.late:] {
		if n.path != path {
			continue
		}
		if most := n.count * w.l.cluster; int64(len(content)) > most {
			return fmt.Errorf("%s has %d bytes, and room was kept for %d", path, len(content), most)
		}
		n.size, n.absent = int64(len(content)), false
		if n.size == 0 {
			n.first = 0
		}
		w.late[i] = content
		return nil
	}
	return fmt.Errorf("the layout has no late file %s", path)
}

// Finish writes the late files, folders and tables, and at last, when all that
// is on the medium, the boot sector.
func (w *Writer) Finish() error {
	put := func(_ string, off int64, p []byte) error { return w.put(off, p) }
	if err := w.lates(put); err != nil {
		return err
	}
	if err := w.l.structures(w.buf[:cap(w.buf)], put); err != nil {
		return err
	}
	for _, h := range w.l.heads() {
		if err := w.put(h.off, h.p); err != nil {
			return err
		}
	}
	if err := w.Flush(); err != nil {
		return err
	}
	boot := w.l.boot()
	if err := w.put(boot.off, boot.p); err != nil {
		return err
	}
	return w.Flush()
}

// lates calls put with the content of every late file, in whole clusters.
func (w *Writer) lates(put func(what string, off int64, p []byte) error) error {
	for i, n := range w.l.files[w.l.late:] {
		whole := span{w.l.at(n.first), w.l.used(n) * w.l.cluster}
		err := whole.blocks(w.buf[:cap(w.buf)], func(off int64, p []byte) error {
			done := min(off-whole.off, n.size)
			clear(p[copy(p, w.late[i][done:]):])
			return put(n.path, off, p)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// Check reads back and compares what is on the medium before [Writer.Finish]:
// the files that are not late, and the places that hold nothing, for a medium
// with less room than it claims may have put files there. The medium must have
// been flushed. The error is [ErrDiffers] when something is not the same.
func (w *Writer) Check() error {
	if err := w.files(); err != nil {
		return err
	}
	return w.erased(nil)
}

// files reads back the files that are not late.
func (w *Writer) files() error {
	from, to := w.l.data()
	r := &reader{w: w, at: from, end: to}
	h := sha256.New()
	for i, n := range w.l.files[:w.l.late] {
		h.Reset()
		sum, padded, err := r.file(h, n.size, n.count*w.l.cluster)
		if err != nil {
			return fmt.Errorf("%s: %w", n.path, err)
		}
		if sum != w.sums[i] || !padded {
			return fmt.Errorf("%w: %s has the SHA-256 %x and not %x", ErrDiffers, n.path, sum, w.sums[i])
		}
	}
	return nil
}

// erased reads back what was erased, and the sectors in it that are not empty.
func (w *Writer) erased(heads []piece) error {
	for _, s := range w.l.erased() {
		err := s.blocks(w.buf[:cap(w.buf)], func(off int64, p []byte) error {
			clear(p)
			for _, h := range heads {
				if at := h.off - off; at >= 0 && at < int64(len(p)) {
					copy(p[at:], h.p)
				}
			}
			return w.compare("partition table, boot sectors and what is kept empty", off, p)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// compare reads back what should be p.
func (w *Writer) compare(what string, off int64, p []byte) error {
	have := make([]byte, min(len(p), blockBytes))
	for ; len(p) > 0; off, p = off+int64(len(have)), p[len(have):] {
		have = have[:min(len(have), len(p))]
		if err := w.get(off, have); err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		if !bytes.Equal(have, p[:len(have)]) {
			return fmt.Errorf("%w: %s, in the %d bytes from byte %d of the medium on", ErrDiffers, what, len(have), off)
		}
	}
	return nil
}

// reader reads one stretch of the medium, block after block.
type reader struct {
	w       *Writer
	block   []byte // what was not asked for yet
	at, end int64
}

// file takes the next clusters: a file of size bytes, and zeros.
func (r *reader) file(h hash.Hash, size, clusters int64) (sum [sha256.Size]byte, padded bool, err error) {
	padded = true
	for done := int64(0); done < clusters; {
		if len(r.block) == 0 {
			r.block = r.w.buf[:min(int64(cap(r.w.buf)), r.end-r.at)]
			if err := r.w.get(r.at, r.block); err != nil {
				return sum, false, err
			}
			r.at += int64(len(r.block))
		}
		p := r.block[:min(int64(len(r.block)), clusters-done)]
		content := p[:max(0, min(int64(len(p)), size-done))]
		h.Write(content)
		padded = padded && zero(p[len(content):])
		done, r.block = done+int64(len(p)), r.block[len(p):]
	}
	h.Sum(sum[:0])
	return sum, padded, nil
}

func zero(p []byte) bool { return len(bytes.TrimLeft(p, "\x00")) == 0 }

// CheckAll reads back and compares everything that is on the medium after
// [Writer.Finish]. The error is [ErrDiffers] when something is not the same.
func (w *Writer) CheckAll() error {
	if err := w.files(); err != nil {
		return err
	}
	if err := w.lates(w.compare); err != nil {
		return err
	}
	if err := w.l.structures(w.buf[:cap(w.buf)], w.compare); err != nil {
		return err
	}
	return w.erased(append(w.l.heads(), w.l.boot()))
}
