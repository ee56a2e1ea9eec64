package reader

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"

	"github.com/rs/zerolog"
	"golang.org/x/sys/unix"

	"sallyport/internal/reader/wire"
	"sallyport/internal/verdict"
)

// source is the device or image that a session reads.
type source struct {
	dev   *os.File
	size  int64 // bytes
	align int64 // see wire.Request
	block bool  // a block device, which can be pulled

	sysfs string // where the kernel lists it, "" when it does not
	seq   string // the kernel's number for this insertion of this medium
	gone  bool   // it was pulled; stays
}

// sysfsDevices is where the kernel lists block devices by their numbers.
const sysfsDevices = "/sys/dev/block"

// newSource checks that dev is what a child may be given, and prepares it. A
// block device is read past the page cache, so that what comes is what the
// medium gives now, and in its own blocks; the kernel keeps an image file in
// memory ahead of the child.
func newSource(dev *os.File, log zerolog.Logger) (*source, error) {
	flags, err := unix.FcntlInt(dev.Fd(), unix.F_GETFL, 0)
	if err != nil {
		return nil, fmt.Errorf("cannot read %s: %w", dev.Name(), err)
	}
	if flags&unix.O_ACCMODE != unix.O_RDONLY {
		return nil, fmt.Errorf("cannot read %s: it is open for writing, and the reader must not be able to write", dev.Name())
	}
	st, err := dev.Stat()
	if err != nil {
		return nil, fmt.Errorf("cannot read %s: %w", dev.Name(), err)
	}
	s := &source{dev: dev, align: 1, block: st.Mode().Type() == os.ModeDevice}
	if !s.block && !st.Mode().IsRegular() {
		return nil, fmt.Errorf("cannot read %s: it is neither a block device nor a regular file", dev.Name())
	}
	// Seeking to the end gives the size of either kind.
	if s.size, err = dev.Seek(0, io.SeekEnd); err != nil {
		return nil, verdict.New(verdict.Unreadable, dev.Name(), "its size cannot be had: %s", err.Error())
	}
	if !s.block {
		// A hint; without it all is the same, but a cold file is read in smaller steps.
		_ = unix.Fadvise(int(dev.Fd()), 0, 0, unix.FADV_SEQUENTIAL)
		return s, s.cached(flags)
	}
	if sys, ok := st.Sys().(*syscall.Stat_t); ok {
		s.sysfs = filepath.Join(sysfsDevices, fmt.Sprintf("%d:%d", unix.Major(sys.Rdev), unix.Minor(sys.Rdev)))
		s.seq = s.sequence()
	}
	if err := s.direct(flags); err != nil {
		log.Debug().Str("medium", verdict.Escape(dev.Name())).Err(err).Msg("medium is read through the page cache")
		return s, s.cached(flags)
	}
	return s, nil
}

// cached makes sure that any bytes can be read, whatever the file was opened with.
func (s *source) cached(flags int) error {
	if flags&unix.O_DIRECT == 0 {
		return nil
	}
	if _, err := unix.FcntlInt(s.dev.Fd(), unix.F_SETFL, flags&^unix.O_DIRECT); err != nil {
		return fmt.Errorf("cannot read %s through the page cache: %w", s.dev.Name(), err)
	}
	return nil
}

// direct turns the page cache off for a block device and notes its blocks.
// Where that cannot be had, the kernel reads through the cache and nothing has
// to be aligned.
func (s *source) direct(flags int) error {
	fd := s.dev.Fd()
	sector, err := unix.IoctlGetInt(int(fd), unix.BLKSSZGET)
	if err != nil {
		return fmt.Errorf("cannot get the size of its sectors: %w", err)
	}
	n := int64(sector)
	if n < 1 || n > wire.MaxAlign || n&(n-1) != 0 || s.size%n != 0 {
		return fmt.Errorf("it has sectors of %d bytes and %d bytes in all", n, s.size)
	}
	if _, err := unix.FcntlInt(fd, unix.F_SETFL, flags|unix.O_DIRECT); err != nil {
		return fmt.Errorf("the kernel refuses direct reading: %w", err)
	}
	s.align = n
	return nil
}

// sequence returns the number by which the kernel tells one insertion of a
// medium from the next (diskseq), or "" when it does not list the device.
func (s *source) sequence() string {
	for _, name := range []string{"diskseq", "../diskseq"} { // a partition stands below its disk
		if b, err := os.ReadFile(s.sysfs + "/" + name); err == nil {
			return string(b)
		}
	}
	return ""
}

// pulled says whether the device is no longer the one that was opened. A pulled
// medium ends in errors of several kinds, or in a clean end of file; but its
// capacity becomes zero, and the kernel no longer lists it or lists another.
func (s *source) pulled() bool {
	if s.gone || !s.block {
		return s.gone
	}
	size, err := s.dev.Seek(0, io.SeekEnd)
	if errors.Is(err, os.ErrClosed) {
		return false // by our caller, who is about to end the session
	}
	s.gone = err != nil || size != s.size || s.seq != "" && s.sequence() != s.seq
	return s.gone
}
