package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// workPrefix begins the names of the folders of guests. They lie in the system's
// temporary folder, since the path of a unix socket has at most 107 bytes.
const workPrefix = "sallyport-e2e-"

// newWork makes a folder for one guest. Its lock says that it is in use: folders
// whose test process was killed have none, and are removed here.
func newWork() (dir string, held *os.File, err error) {
	left, err := filepath.Glob(filepath.Join(os.TempDir(), workPrefix+"*"))
	if err != nil {
		return "", nil, err
	}
	for _, dir := range left {
		// Without its lock file a folder is just being made.
		if _, err := os.Stat(filepath.Join(dir, "lock")); err != nil {
			continue
		}
		if f, err := lock(filepath.Join(dir, "lock"), syscall.LOCK_EX|syscall.LOCK_NB); err == nil {
			os.RemoveAll(dir)
			f.Close()
		}
	}
	dir, err = os.MkdirTemp("", workPrefix)
	if err != nil {
		return "", nil, fmt.Errorf("cannot make the folder of a guest: %w", err)
	}
	// Made and locked under another name, so that nobody sees it unlocked.
	held, err = lock(filepath.Join(dir, "lock.new"), syscall.LOCK_EX)
	if err == nil {
		err = os.Rename(held.Name(), filepath.Join(dir, "lock"))
	}
	if err != nil {
		os.RemoveAll(dir)
		return "", nil, fmt.Errorf("cannot lock the folder of a guest: %w", err)
	}
	return dir, held, nil
}
