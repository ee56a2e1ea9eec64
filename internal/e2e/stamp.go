package e2e

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
)

// stamp is a hash over everything that goes into an image.
type stamp struct {
	sum hash.Hash
}

func newStamp() *stamp { return &stamp{sum: sha256.New()} }

// text adds strings, each with its length so that no two lists look the same.
func (s *stamp) text(texts ...string) {
	fmt.Fprintf(s.sum, "%d\n", len(texts))
	for _, t := range texts {
		fmt.Fprintf(s.sum, "%d %s\n", len(t), t)
	}
}

// tree adds names, modes, owners and contents below a folder, not times: a
// product that was installed again unchanged has the same stamp.
func (s *stamp) tree(root string) error {
	return filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := os.Lstat(path)
		if err != nil {
			return err
		}
		name, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		owner := info.Sys().(*syscall.Stat_t)
		s.text(name, info.Mode().String(), fmt.Sprint(owner.Uid, owner.Gid))
		switch {
		case info.Mode()&fs.ModeSymlink != 0:
			target, err := os.Readlink(path)
			if err != nil {
				return err
			}
			s.text(target)
		case info.Mode().IsRegular():
			return s.file(path)
		}
		return nil
	})
}

func (s *stamp) file(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	content := sha256.New()
	if _, err := io.Copy(content, f); err != nil {
		return err
	}
	s.sum.Write(content.Sum(nil))
	return nil
}

// byAge sorts files, the newest first; one that is gone counts as oldest.
func byAge(paths []string) {
	age := func(path string) int64 {
		info, err := os.Stat(path)
		if err != nil {
			return 0
		}
		return info.ModTime().UnixNano()
	}
	slices.SortFunc(paths, func(a, b string) int { return cmp.Compare(age(b), age(a)) })
}
