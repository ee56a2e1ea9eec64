// Package durable is the only package that makes file-system changes that must
// survive a power failure. Each operation is a fixed sequence of system calls,
// stated at the function, and calls [FS.Step] around each one that changes the
// disk, so that a test can fail it, let it happen and report failure, or kill
// the process there. It knows nothing of what it writes.
package durable

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// FS makes durable changes. The zero value is what production uses.
type FS struct {
	// Hook, when set, is called before (done=false) and after (done=true) each
	// step. An error before means that the step fails without effect, an error
	// after that it took effect and is reported as failed. Test seam only.
	Hook func(step string, done bool) error
}

// Step runs one system call that changes the disk under a name such as
// "vault.pack.fsync". Packages that write by themselves (the pack, the log)
// use it for their own calls.
func (fs FS) Step(step string, do func() error) error {
	if fs.Hook == nil {
		return do()
	}
	if err := fs.Hook(step, false); err != nil {
		return err
	}
	if err := do(); err != nil {
		return err
	}
	return fs.Hook(step, true)
}

// tempSuffix marks files that a crash may leave behind; readers ignore them and
// [FS.Sweep] removes them.
const tempSuffix = ".tmp"

// WriteFile replaces path by data, or leaves it as it was.
//
//	openat(path.tmp, O_CREAT|O_TRUNC|O_WRONLY|O_NOFOLLOW) write fsync close
//	rename(path.tmp, path) open(dir) fsync(dir)
func (fs FS) WriteFile(label, path string, data []byte, perm os.FileMode) error {
	return fs.write(label, path, data, perm, 0)
}

// CreateFile is [FS.WriteFile] for a path that must not exist: it fails with
// os.ErrExist rather than replace anything (renameat2 RENAME_NOREPLACE).
func (fs FS) CreateFile(label, path string, data []byte, perm os.FileMode) error {
	return fs.write(label, path, data, perm, unix.RENAME_NOREPLACE)
}

func (fs FS) write(label, path string, data []byte, perm os.FileMode, flags uint) error {
	tmp := path + tempSuffix
	if err := fs.Step(label+".write", func() error { return writeSynced(tmp, data, perm) }); err != nil {
		return fmt.Errorf("cannot write %s: %w", path, err)
	}
	if err := fs.Step(label+".rename", func() error { return rename(tmp, path, flags) }); err != nil {
		return fmt.Errorf("cannot put %s in place: %w", path, err)
	}
	return fs.SyncDir(label, filepath.Dir(path))
}

func writeSynced(path string, data []byte, perm os.FileMode) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY|unix.O_NOFOLLOW, perm)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

func rename(from, to string, flags uint) error {
	if err := unix.Renameat2(unix.AT_FDCWD, from, unix.AT_FDCWD, to, flags); err != nil {
		return &os.LinkError{Op: "rename", Old: from, New: to, Err: err}
	}
	return nil
}

// Rename moves a file or folder on one file system to a path that must not
// exist, and makes both folders durable.
//
//	renameat2(from, to, RENAME_NOREPLACE) fsync(dir of to) fsync(dir of from)
func (fs FS) Rename(label, from, to string) error {
	if err := fs.Step(label+".rename", func() error { return rename(from, to, unix.RENAME_NOREPLACE) }); err != nil {
		return fmt.Errorf("cannot move %s to %s: %w", from, to, err)
	}
	if err := fs.SyncDir(label, filepath.Dir(to)); err != nil {
		return err
	}
	return fs.SyncDir(label+".from", filepath.Dir(from))
}

// Mkdir makes a folder that must not exist: mkdir, fsync(parent).
func (fs FS) Mkdir(label, path string, perm os.FileMode) error {
	if err := fs.Step(label+".mkdir", func() error { return os.Mkdir(path, perm) }); err != nil {
		return fmt.Errorf("cannot make the folder %s: %w", path, err)
	}
	return fs.SyncDir(label, filepath.Dir(path))
}

// RemoveAll removes a file or folder tree and syncs its parent.
func (fs FS) RemoveAll(label, path string) error {
	if err := fs.Step(label+".remove", func() error { return os.RemoveAll(path) }); err != nil {
		return fmt.Errorf("cannot remove %s: %w", path, err)
	}
	return fs.SyncDir(label, filepath.Dir(path))
}

// SyncDir makes a folder's entries durable.
func (fs FS) SyncDir(label, dir string) error {
	err := fs.Step(label+".syncdir", func() error {
		d, err := os.Open(dir)
		if err != nil {
			return err
		}
		return errors.Join(d.Sync(), d.Close())
	})
	if err != nil {
		return fmt.Errorf("cannot make the folder %s durable: %w", dir, err)
	}
	return nil
}

// Sweep removes the temporary files that a crash left in dir (not below it).
func (fs FS) Sweep(label, dir string) error {
	left, err := filepath.Glob(filepath.Join(dir, "*"+tempSuffix))
	if err != nil {
		return err
	}
	for _, f := range left {
		if err := fs.RemoveAll(label, f); err != nil {
			return err
		}
	}
	return nil
}

// Free returns the bytes that an unprivileged process may still write to the
// file system of path.
func Free(path string) (int64, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(path, &st); err != nil {
		return 0, fmt.Errorf("cannot ask for free space: %w", &os.PathError{Op: "statfs", Path: path, Err: err})
	}
	return int64(st.Bavail) * st.Bsize, nil
}

// Lock is an exclusive lock on a folder, held until Close or the end of the process.
type Lock struct{ f *os.File }

// ErrLocked means that another process holds the lock.
var ErrLocked = errors.New("in use by another process")

// LockDir takes the exclusive lock of dir (flock on dir/.lock), without waiting.
func LockDir(dir string) (*Lock, error) {
	path := filepath.Join(dir, ".lock")
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, fmt.Errorf("cannot lock %s: %w", dir, err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			err = ErrLocked
		}
		return nil, fmt.Errorf("cannot lock %s: %w", dir, err)
	}
	return &Lock{f}, nil
}

// Close releases the lock.
func (l *Lock) Close() error { return l.f.Close() }
