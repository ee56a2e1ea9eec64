package vault

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"sallyport/internal/durable"
)

// The pack: one block of head, then the contents back to back.
const (
	packFile    = "pack"
	packMagic   = "sallyport-pack\n\x00"
	packVersion = 1
	// blockSize is the head's size and the unit of writing; O_DIRECT asks for
	// multiples of the device's logical block, which is 512 or 4096 bytes.
	blockSize = 4096
	// maxPack is in bytes: far over what limit.Default lets through, and far
	// under what could overflow.
	maxPack = 1 << 52
	// Room that is allocated behind the contents and given back just before the
	// index is written, so that a disk which has filled up since can take it.
	slackBase, slackMax = 1 << 20, maxEntries
)

// packHead returns the first block of id's pack. It keeps contents away from
// offset 0, where other programs look for a magic number.
func packHead(id string) []byte {
	b := make([]byte, blockSize)
	copy(b, packMagic)
	binary.LittleEndian.PutUint32(b[16:], packVersion)
	binary.LittleEndian.PutUint32(b[20:], blockSize)
	copy(b[24:], id)
	sum := sha256.Sum256(b[:blockSize-sha256.Size])
	copy(b[blockSize-sha256.Size:], sum[:])
	return b
}

// pack is a pack being written, in order, by one goroutine.
type pack struct {
	f         *os.File
	fs        durable.FS
	allocated bool         // the file system has set the declared room aside
	written   atomic.Int64 // bytes from the start that a write has taken
}

// createPack makes dir/pack and sets size bytes aside where the file system can.
//
//	openat(O_CREAT|O_EXCL|O_DIRECT) fallocate(FALLOC_FL_KEEP_SIZE) fsync(dir)
//
// The size is kept so that after a crash the file's length is what was written.
func createPack(fs durable.FS, dir string, size int64) (*pack, error) {
	path := filepath.Join(dir, packFile)
	p := &pack{fs: fs}
	err := fs.Step("vault.pack.create", func() (err error) {
		const flags = os.O_CREATE | os.O_EXCL | os.O_RDWR | unix.O_NOFOLLOW
		p.f, err = os.OpenFile(path, flags|unix.O_DIRECT, 0o600)
		if errors.Is(err, unix.EINVAL) { // the file system has no O_DIRECT; the file may be there by now
			p.f, err = os.OpenFile(path, flags&^os.O_EXCL, 0o600)
		}
		return err
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("cannot create the pack: %w", err), p.close())
	}
	err = fs.Step("vault.pack.allocate", func() error {
		return unix.Fallocate(int(p.f.Fd()), unix.FALLOC_FL_KEEP_SIZE, 0, size)
	})
	switch {
	case err == nil:
		p.allocated = true
	case errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.ENOSYS):
		// Then the room is only counted: see Vault.room.
	default:
		return nil, errors.Join(fmt.Errorf("cannot set %d bytes aside for the pack: %w", size, err), p.close())
	}
	if err := fs.SyncDir("vault.pack", dir); err != nil {
		return nil, errors.Join(err, p.close())
	}
	return p, nil
}

// write appends b, whole blocks in aligned memory, of which the first n bytes
// count.
func (p *pack) write(b []byte, n int) error {
	off := p.written.Load()
	done := 0
	err := p.fs.Step("vault.pack.write", func() error {
		m, err := p.f.WriteAt(b, off)
		if errors.Is(err, unix.EINVAL) {
			// Refused only now: some file systems take the flag and not the write.
			if err = p.buffered(); err == nil {
				var more int
				more, err = p.f.WriteAt(b[m:], off+int64(m))
				m += more
			}
		}
		done = m
		return err
	})
	p.written.Add(int64(min(done, n)))
	if err != nil {
		return fmt.Errorf("cannot write the pack at byte %d: %w", off+int64(done), err)
	}
	return nil
}

// buffered takes O_DIRECT away.
func (p *pack) buffered() error {
	fd := int(p.f.Fd())
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
	if err != nil {
		return err
	}
	if flags&unix.O_DIRECT == 0 {
		return unix.EINVAL
	}
	_, err = unix.FcntlInt(uintptr(fd), unix.F_SETFL, flags&^unix.O_DIRECT)
	return err
}

// seal cuts the pack to its true length, which also gives back the room that
// was set aside, makes it read-only and durable, and closes it.
//
//	ftruncate fchmod(0400) fsync close
func (p *pack) seal(length int64) error {
	err := p.fs.Step("vault.pack.truncate", func() error {
		return errors.Join(p.f.Truncate(length), p.f.Chmod(0o400))
	})
	if err == nil {
		err = p.fs.Step("vault.pack.fsync", p.f.Sync)
	}
	if err = errors.Join(err, p.close()); err != nil {
		return fmt.Errorf("cannot finish the pack: %w", err)
	}
	return nil
}

func (p *pack) close() error {
	if p.f == nil {
		return nil
	}
	err := p.f.Close()
	p.f = nil
	return err
}
