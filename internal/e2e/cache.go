package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// Base is the guest without any file of the product: what the script
// testdata/scripts/guest makes from Debian packages.
type Base struct {
	Dir      string // vmlinux, initrd.cpio, root/
	cache    string
	checkout string
}

// NewBase returns the base, which it makes when this script and this state of
// Debian have none yet: that takes about a quarter of a minute and the net.
func NewBase(ctx context.Context) (Base, error) {
	checkout, err := findCheckout()
	if err != nil {
		return Base{}, err
	}
	cache := os.Getenv("SALLYPORT_E2E_CACHE")
	if cache == "" {
		cache = filepath.Join(checkout, ".cache", "e2e")
	}
	cache, err = filepath.Abs(cache)
	if err != nil {
		return Base{}, fmt.Errorf("cannot find the cache: %w", err)
	}
	out, err := run(ctx, checkout, filepath.Join(checkout, "testdata", "scripts", "guest"), cache)
	if err != nil {
		return Base{}, fmt.Errorf("cannot make the base of the guest: %w", err)
	}
	return Base{Dir: strings.TrimSpace(string(out)), cache: cache, checkout: checkout}, nil
}

func findCheckout() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("cannot find the checkout: %w", err)
	}
	for ; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", errors.New("cannot find the checkout: no go.mod above the working folder")
		}
	}
}

// lock opens a file and locks it (syscall.LOCK_SH or LOCK_EX, with LOCK_NB to get
// an error rather than to wait). Closing the file, or the end of the process, lets
// it go.
func lock(path string, how int) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	for {
		err = syscall.Flock(int(f.Fd()), how)
		if !errors.Is(err, syscall.EINTR) {
			break
		}
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("cannot lock %s: %w", path, err)
	}
	return f, nil
}
