package e2e

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// ImageOptions say what comes onto the base.
type ImageOptions struct {
	Overlay string   // folder laid over the root, as `make install DESTDIR=…` leaves it; empty for none
	Enable  []string // units of the overlay to enable, as `systemctl enable` would
	MiB     int      // size of the disk, sparse; 0 means 1024
}

// Image is the root disk of a guest. It is never written to: a guest works on an
// overlay of its own. Close lets the cache remove it.
type Image struct {
	Base Base
	Path string
	held *os.File // shared lock against removal
}

// keptImages is how many images stay in the cache that nobody uses.
const keptImages = 3

// NewImage makes the root disk, or takes it from the cache when nothing that goes
// into it has changed.
func NewImage(ctx context.Context, base Base, o ImageOptions) (*Image, error) {
	if o.MiB == 0 {
		o.MiB = 1024
	}
	images := filepath.Join(base.cache, "images")
	if err := os.MkdirAll(images, 0o755); err != nil {
		return nil, fmt.Errorf("cannot make the folder of images: %w", err)
	}
	making, err := lock(filepath.Join(images, "lock"), syscall.LOCK_EX)
	if err != nil {
		return nil, err
	}
	defer making.Close()
	if err := prune(images); err != nil {
		return nil, fmt.Errorf("cannot tidy the images: %w", err)
	}

	work, err := os.MkdirTemp(images, "part.")
	if err != nil {
		return nil, fmt.Errorf("cannot make an image: %w", err)
	}
	defer os.RemoveAll(work)
	agent := filepath.Join(work, "agent")
	if _, err := run(ctx, base.checkout, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o", agent, "./internal/e2e/agent"); err != nil {
		return nil, fmt.Errorf("cannot build the agent: %w", err)
	}
	stamp, err := stampOf(base, agent, o)
	if err != nil {
		return nil, err
	}
	image := &Image{Base: base, Path: filepath.Join(images, stamp+".ext4")}
	if _, err := os.Stat(image.Path); errors.Is(err, os.ErrNotExist) {
		if err := makeImage(ctx, image.Path, work, agent, base, o); err != nil {
			return nil, fmt.Errorf("cannot make an image: %w", err)
		}
	}
	// Its time is that of its last use, by which old ones are removed.
	now := time.Now()
	if err := os.Chtimes(image.Path, now, now); err != nil {
		return nil, err
	}
	if image.held, err = lock(image.Path, syscall.LOCK_SH); err != nil {
		return nil, err
	}
	return image, nil
}

// Close says that the image is no longer used.
func (i *Image) Close() error { return i.held.Close() }

func stampOf(base Base, agent string, o ImageOptions) (string, error) {
	s := newStamp()
	s.text(filepath.Base(base.Dir), agentUnit, strconv.Itoa(o.MiB))
	s.text(o.Enable...)
	err := s.tree(agent)
	if err == nil && o.Overlay != "" {
		err = s.tree(o.Overlay)
	}
	if err != nil {
		return "", fmt.Errorf("cannot stamp the image: %w", err)
	}
	return hex.EncodeToString(s.sum.Sum(nil)[:8]), nil
}

// agentUnit starts the agent as soon as there are files and keeps it until the
// end, so that a test can also look at a boot or a shutdown that hangs.
const agentUnit = `[Unit]
Description=Agent of the end-to-end tests
DefaultDependencies=no
After=local-fs.target
[Service]
ExecStart=/usr/local/bin/e2e-agent
Environment=PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin HOME=/root LC_ALL=C SYSTEMD_PAGER=cat SYSTEMD_COLORS=0
KillMode=process
Restart=always
RestartSec=100ms
OOMScoreAdjust=-900
[Install]
WantedBy=sysinit.target
`

// makeImage lays base, overlay and agent together and makes a file system of them.
// The base is taken by hard links: it is never written to, since whatever replaces
// one of its files removes the link first.
func makeImage(ctx context.Context, path, work, agent string, base Base, o ImageOptions) error {
	root := filepath.Join(work, "root")
	if _, err := run(ctx, "", "cp", "-al", filepath.Join(base.Dir, "root"), root); err != nil {
		return err
	}
	if o.Overlay != "" {
		if err := lay(ctx, work, o.Overlay, root); err != nil {
			return err
		}
	}
	if _, err := run(ctx, "", "install", "-D", agent, filepath.Join(root, "usr/local/bin/e2e-agent")); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(root, "etc/systemd/system/e2e-agent.service"), []byte(agentUnit), 0o644); err != nil {
		return err
	}
	if _, err := run(ctx, "", "chroot", append([]string{root, "systemctl", "enable", "e2e-agent.service"}, o.Enable...)...); err != nil {
		return err
	}
	// The journal is for power cuts: without one the file system itself could break,
	// and a test would blame the product. Inode tables are written here so that the
	// guest does not spend its first minutes with that.
	part := filepath.Join(work, "ext4")
	if _, err := run(ctx, "", "mkfs.ext4", "-q", "-F", "-J", "size=8", "-N", "30000", "-m", "0", "-E", "lazy_itable_init=0,lazy_journal_init=1,nodiscard", "-d", root, part, strconv.Itoa(o.MiB)+"M"); err != nil {
		return err
	}
	return os.Rename(part, path)
}

// lay puts a folder over the tree as root's files. Folders that the tree has keep
// their modes (that of the overlay itself is often private), and a link to a folder
// stays one, as /lib is.
func lay(ctx context.Context, work, overlay, root string) error {
	archive := filepath.Join(work, "overlay.tar")
	if _, err := run(ctx, "", "tar", "-C", overlay, "--owner=0", "--group=0", "--numeric-owner", "-cf", archive, "."); err != nil {
		return err
	}
	_, err := run(ctx, "", "tar", "-C", root, "--keep-directory-symlink", "--no-overwrite-dir", "-xf", archive)
	return err
}

// prune removes images that nobody holds but the newest ones, and what killed
// runs have left. The caller has the lock of the folder.
func prune(images string) error {
	paths, err := filepath.Glob(filepath.Join(images, "*.ext4"))
	if err != nil {
		return err
	}
	byAge(paths)
	for _, path := range paths[min(len(paths), keptImages):] {
		f, err := lock(path, syscall.LOCK_EX|syscall.LOCK_NB)
		if err != nil {
			continue // in use
		}
		err = errors.Join(os.Remove(path), f.Close())
		if err != nil {
			return err
		}
	}
	left, err := filepath.Glob(filepath.Join(images, "part.*"))
	if err != nil {
		return err
	}
	for _, path := range left {
		if err := os.RemoveAll(path); err != nil {
			return err
		}
	}
	return nil
}
