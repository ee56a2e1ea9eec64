package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"sallyport/internal/control"
	"sallyport/internal/durable"
	"sallyport/internal/verdict"
)

// target is the image or the disk that a package is written to; it is the
// medium of a fat32.Writer.
type target struct {
	f      *os.File
	sector int64 // bytes
	size   int64 // bytes
	block  bool  // a device
	// direct means that nothing goes through the page cache: what is read back
	// comes from the device. It wants memory that begins at a page.
	direct bool
	buf    []byte
}

const targetBuf = 1 << 20

// newTarget takes an open file over. The kernel keeps files of an image in
// memory, and Flush lets go of them.
func newTarget(f *os.File, sector int64) (*target, error) {
	t := &target{f: f, sector: sector}
	st, err := f.Stat()
	if err == nil {
		t.size, err = f.Seek(0, io.SeekEnd)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot get the size of %s: %w", verdict.Escape(f.Name()), err)
	}
	if t.block = !st.Mode().IsRegular(); !t.block {
		return t, nil
	}
	if t.buf, err = unix.Mmap(-1, 0, targetBuf, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON); err != nil {
		return nil, fmt.Errorf("cannot get memory: %w", err)
	}
	flags, err := unix.FcntlInt(f.Fd(), unix.F_GETFL, 0)
	if err == nil {
		_, err = unix.FcntlInt(f.Fd(), unix.F_SETFL, flags|unix.O_DIRECT)
	}
	t.direct = err == nil // else as with an image
	return t, nil
}

func (t *target) close() error {
	if t.buf != nil {
		_ = unix.Munmap(t.buf) // the arguments are Mmap's
		t.buf = nil
	}
	return t.f.Close()
}

// WriteAt implements fat32.Medium.
func (t *target) WriteAt(p []byte, off int64) (n int, err error) {
	if !t.direct {
		n, err = t.f.WriteAt(p, off)
		return n, t.cause(err)
	}
	for n < len(p) && err == nil {
		part := t.buf[:copy(t.buf, p[n:])]
		var m int
		m, err = t.f.WriteAt(part, off+int64(n))
		n += m
	}
	return n, t.cause(err)
}

// ReadAt implements fat32.Medium.
func (t *target) ReadAt(p []byte, off int64) (n int, err error) {
	if !t.direct {
		n, err = t.f.ReadAt(p, off)
		return n, t.cause(err)
	}
	for n < len(p) && err == nil {
		part := t.buf[:min(len(t.buf), len(p)-n)]
		var m int
		m, err = t.f.ReadAt(part, off+int64(n))
		n += copy(p[n:], part[:m])
	}
	return n, t.cause(err)
}

// Flush implements fat32.Medium.
func (t *target) Flush() error {
	if err := t.f.Sync(); err != nil {
		return t.cause(err)
	}
	// Everything is durable, so its pages can go; where the kernel keeps them all
	// the same, what is read back is compared with memory, and no worse than before.
	switch {
	case !t.block:
		_ = unix.Fadvise(int(t.f.Fd()), 0, 0, unix.FADV_DONTNEED)
	case !t.direct:
		_ = unix.IoctlSetInt(int(t.f.Fd()), unix.BLKFLSBUF, 0)
	}
	return nil
}

// mediumError is an error of the medium, rather than of what should go there.
type mediumError struct{ error }

func (e mediumError) Unwrap() error { return e.error }

// cause leaves the path out, which the sentence around it names.
func (t *target) cause(err error) error {
	var p *os.PathError
	switch {
	case err == nil:
		return nil
	case errors.Is(err, io.EOF):
		err = errors.New("the medium ends there")
	case errors.As(err, &p):
		err = p.Err
	}
	return mediumError{err}
}

// createImage makes a new file of so many bytes, which are holes.
func createImage(path string, bytes int64) (*target, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o644)
	if err != nil {
		return nil, control.Failf(control.CodeUsage, "cannot write the image: %v", err)
	}
	err = f.Truncate(bytes)
	if err == nil {
		var t *target
		if t, err = newTarget(f, 512); err == nil {
			return t, nil
		}
	}
	f.Close()
	return nil, errors.Join(control.Failf(codeFailed, "cannot write the image: %v", err), os.Remove(path))
}

// keep takes room for a part of an image, so that it is not missing later. Where
// a file system does not know how, that shows later.
func (t *target) keep(off, n int64) error {
	err := unix.Fallocate(int(t.f.Fd()), 0, off, n)
	if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENOSYS) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("cannot keep room for %d bytes: %w", n, t.cause(err))
	}
	return nil
}

// settle makes the name of a new image durable.
func settle(path string) error { return (durable.FS{}).SyncDir("cli.image", filepath.Dir(path)) }
