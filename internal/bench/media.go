package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"sallyport/internal/bench/fatimage"
	"sallyport/internal/limit"
	"sallyport/internal/medium"
	"sallyport/internal/reader"
)

// image is a medium in the page cache, and the peers that read it as well.
type image struct {
	what string
	path string
	sum  []byte // SHA-256 over the files in the order in which they begin
	// wanted is how fast reading has to be in comparison with dd, or listing in
	// files a second.
	wanted float64
	peers  []peer
}

// peer is another program that lists the image.
type peer struct {
	name string
	run  func() (time.Duration, error)
}

const (
	wantedSpeed  = 0.85 // of dd, for a file in one piece
	wantedPieces = 0.3  // of dd, for files in pieces of 4 KiB
	wantedRate   = 200_000
)

// media measures the confined reader by itself over each file system: content
// against dd, listings against the tools of the format. What fails does not
// keep the rest from being measured.
func (b *bench) media(mib, files int) error {
	dir := b.office.TB.TempDir()
	defer os.RemoveAll(dir)
	var errs []error
	if mib > 0 {
		src, err := newSource(dir, int64(mib)<<20)
		if err != nil {
			return err
		}
		for _, prepare := range []func() (image, error){src.fat32, src.exfat, src.iso, src.ext4, src.pieces} {
			errs = append(errs, b.content(mib, prepare))
		}
		os.RemoveAll(src.folder)
	}
	if files > 0 {
		for _, prepare := range []func(string, int) (image, error){manyFAT32, manyExFAT, manyExt4} {
			errs = append(errs, b.listing(dir, files, prepare))
		}
	}
	return errors.Join(errs...)
}

// content compares a confined read with dd, both hashed by this process.
func (b *bench) content(mib int, prepare func() (image, error)) error {
	im, err := prepare()
	if im.path != "" {
		defer os.Remove(im.path)
	}
	if err != nil {
		return err
	}
	if _, err := rawHash(im.path); err != nil { // warms the cache
		return err
	}
	ours, theirs, err := b.both(im.what, b.rounds, func() (time.Duration, error) { return b.confined(im) }, func() (time.Duration, error) { return ddHash(im.path, mib) })
	if err != nil {
		return err
	}
	b.rows = append(b.rows, row{what: im.what, ours: ours, peer: "dd bs=1M | SHA-256", theirs: theirs, amount: float64(mib) * 1.048576e-3, unit: "GB/s", wantedAt: im.wanted})
	return nil
}

// listing compares a confined listing with each peer's.
func (b *bench) listing(dir string, files int, prepare func(string, int) (image, error)) error {
	im, err := prepare(dir, files)
	if im.path != "" {
		defer os.Remove(im.path)
	}
	if err != nil {
		return err
	}
	for _, p := range im.peers {
		if _, err := p.run(); err != nil { // warms the cache
			return fmt.Errorf("%s: %w", p.name, err)
		}
		ours, theirs, err := b.both(im.what+", "+p.name, b.rounds, func() (time.Duration, error) { return b.list(im.path, files) }, p.run)
		if err != nil {
			return err
		}
		b.rows = append(b.rows, row{what: im.what, ours: ours, peer: p.name, theirs: theirs, amount: float64(files), unit: "files/s", wantedRate: im.wanted})
	}
	return nil
}

// start runs a confined reader over an image.
func (b *bench) start(path string) (*reader.Session, func(), error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, err
	}
	limits := limit.Default()
	s, err := reader.Start(context.Background(), reader.Config{Binary: filepath.Join(b.office.Bin, "sallyport-reader"), Limits: limits, Log: zerolog.Nop()}, f)
	if err != nil {
		f.Close()
		return nil, nil, err
	}
	return s, func() { s.Close(); f.Close() }, nil
}

// list measures a session from its start to the end of its listing.
func (b *bench) list(path string, files int) (time.Duration, error) {
	started := time.Now()
	s, end, err := b.start(path)
	if err != nil {
		return 0, err
	}
	defer end()
	list, err := s.List()
	spent := time.Since(started)
	b.noteReaders(os.Getpid())
	if err != nil {
		return 0, err
	}
	n := 0
	for _, e := range list.Entries {
		if e.Type == medium.File {
			n++
		}
	}
	return spent, errors.Join(good(list), count(n, files))
}

func count(n, want int) error {
	if n != want {
		return fmt.Errorf("%d files are listed, there are %d", n, want)
	}
	return nil
}

// good returns the first problem of a listing.
func good(list *reader.Listing) error {
	for _, v := range list.Volumes {
		if len(v.Problems) > 0 {
			return &v.Problems[0]
		}
	}
	if len(list.Problems) > 0 {
		return &list.Problems[0]
	}
	return nil
}

// confined measures a session from its start to the hash of the last byte of
// all files.
func (b *bench) confined(im image) (time.Duration, error) {
	started := time.Now()
	s, end, err := b.start(im.path)
	if err != nil {
		return 0, err
	}
	defer end()
	list, err := s.List()
	if err == nil {
		err = good(list)
	}
	if err != nil {
		return 0, err
	}
	var ids []uint32
	for _, e := range list.Entries {
		if e.Type == medium.File {
			ids = append(ids, e.ID)
		}
	}
	stream, err := s.Read(ids)
	if err != nil {
		return 0, err
	}
	sum, buf := sha256.New(), make([]byte, 1<<20)
	for {
		_, _, err := stream.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err == nil {
			err = drain(sum, stream, buf)
		}
		if err != nil {
			return 0, err
		}
	}
	spent := time.Since(started)
	b.noteReaders(os.Getpid())
	if !bytes.Equal(sum.Sum(nil), im.sum) {
		return 0, fmt.Errorf("%s: what was read is not what was written", im.what)
	}
	return spent, nil
}

// drain is io.CopyBuffer without its other ways.
func drain(sum hash.Hash, r io.Reader, buf []byte) error {
	for {
		n, err := r.Read(buf)
		sum.Write(buf[:n])
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// ddHash measures dd over the first part of a file, in a pipe as a shell makes
// it, hashed as ours is. What a read without a pipe can do is in another row.
func ddHash(path string, mib int) (time.Duration, error) {
	started := time.Now()
	cmd := exec.Command("dd", "if="+path, "bs=1M", fmt.Sprintf("count=%d", mib), "status=none")
	out, err := cmd.StdoutPipe()
	if err != nil {
		return 0, err
	}
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	err = drain(sha256.New(), out, make([]byte, 1<<20))
	err = errors.Join(err, cmd.Wait())
	return time.Since(started), err
}

// source is the content of all large images.
type source struct {
	dir    string // for images
	folder string // that holds one file and nothing else
	file   string
	size   int64
	sum    []byte
}

func newSource(dir string, size int64) (*source, error) {
	s := &source{dir: dir, folder: filepath.Join(dir, "source"), size: size}
	s.file = filepath.Join(s.folder, "large.bin")
	if err := os.Mkdir(s.folder, 0o755); err != nil {
		return nil, err
	}
	f, err := os.Create(s.file)
	if err != nil {
		return nil, err
	}
	sum := sha256.New()
	_, err = io.CopyN(io.MultiWriter(f, sum), rand.NewChaCha8([32]byte{'m', 'e', 'd', 'i', 'a'}), size)
	s.sum = sum.Sum(nil)
	return s, errors.Join(err, f.Close())
}

// write makes an image of the content by package fatimage.
func (s *source) write(im image, m fatimage.Image, to func(*fatimage.Image, string) error) (image, error) {
	f, err := os.Open(s.file)
	if err != nil {
		return im, err
	}
	defer f.Close()
	m.Content = f
	return im, to(&m, im.path)
}

func tool(name string, args ...string) error {
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %.500s", name, err, out)
	}
	return nil
}

// timed measures a program that lists an image; its output is thrown away.
func timed(stdin, name string, args ...string) func() (time.Duration, error) {
	return func() (time.Duration, error) {
		cmd := exec.Command(name, args...)
		cmd.Stdin = strings.NewReader(stdin)
		cmd.Env = append(os.Environ(), "MTOOLS_SKIP_CHECK=1", "LC_ALL=C.UTF-8")
		var said bytes.Buffer
		cmd.Stderr = &said
		started := time.Now()
		if err := cmd.Run(); err != nil {
			return 0, fmt.Errorf("%s: %w: %.500s", name, err, said.String())
		}
		return time.Since(started), nil
	}
}

func (s *source) fat32() (image, error) {
	im := image{what: "read + SHA-256, FAT32", path: filepath.Join(s.dir, "fat32"), sum: s.sum, wanted: wantedSpeed}
	return s.write(im, s.whole(), (*fatimage.Image).WriteFAT32)
}

func (s *source) exfat() (image, error) {
	im := image{what: "read + SHA-256, exFAT", path: filepath.Join(s.dir, "exfat"), sum: s.sum, wanted: wantedSpeed}
	return s.write(im, s.whole(), (*fatimage.Image).WriteExFAT)
}

func (s *source) whole() fatimage.Image {
	return fatimage.Image{Cluster: 32 << 10, Files: []fatimage.File{{Name: "large.bin", Size: s.size}}}
}

func (s *source) iso() (image, error) {
	im := image{what: "read + SHA-256, ISO 9660", path: filepath.Join(s.dir, "iso"), sum: s.sum, wanted: wantedSpeed}
	return im, tool("genisoimage", "-quiet", "-J", "-R", "-o", im.path, s.folder)
}

func (s *source) ext4() (image, error) {
	im := image{what: "read + SHA-256, ext4", path: filepath.Join(s.dir, "ext4"), sum: s.sum, wanted: wantedSpeed}
	return im, tool("mke2fs", "-q", "-t", "ext4", "-d", s.folder, im.path, fmt.Sprintf("%dM", s.size>>20+s.size>>25+32))
}

// pieces is a FAT32 with two files whose clusters of 4 KiB take turns.
func (s *source) pieces() (image, error) {
	const cluster = 4096
	im := image{what: "read + SHA-256, FAT32 in pieces of 4 KiB", path: filepath.Join(s.dir, "pieces"), wanted: wantedPieces}
	f, err := os.Open(s.file)
	if err != nil {
		return im, err
	}
	defer f.Close()
	sum, p := sha256.New(), make([]byte, cluster)
	for at := int64(0); at < 2*s.size; at += 2 * cluster {
		off := at
		if at >= s.size { // the second file
			off = at - s.size + cluster
		}
		if _, err := f.ReadAt(p, off); err != nil {
			return im, err
		}
		sum.Write(p)
	}
	im.sum = sum.Sum(nil)
	return s.write(im, fatimage.Image{
		Cluster: cluster, Interleaved: true, Files: []fatimage.File{{Name: "even.bin", Size: s.size / 2}, {Name: "odd.bin", Size: s.size / 2}},
	}, (*fatimage.Image).WriteFAT32)
}

const folderFiles = 1000

// many is an image of n files in folders of a thousand.
func many(n int) fatimage.Image {
	m := fatimage.Image{Cluster: 4096}
	for i := range n {
		if i%folderFiles == 0 {
			m.Folders = append(m.Folders, fatimage.Folder{Name: fmt.Sprintf("batch-%03d", i/folderFiles)})
		}
		d := &m.Folders[len(m.Folders)-1]
		d.Files = append(d.Files, fatimage.File{Name: fmt.Sprintf("ballot-%03d-%06d.json", i/folderFiles, i), Size: int64(i % 4096)})
	}
	return m
}

func manyFAT32(dir string, n int) (image, error) {
	im := image{what: fmt.Sprintf("listing %d files, FAT32", n), path: filepath.Join(dir, "many-fat32"), wanted: wantedRate}
	im.peers = []peer{
		{"mdir -/ -b", timed("", "mdir", "-/", "-b", "-i", im.path, "::")},
		{"7z l", timed("", "7z", "l", im.path)},
	}
	m := many(n)
	return im, m.WriteFAT32(im.path)
}

func manyExFAT(dir string, n int) (image, error) {
	im := image{what: fmt.Sprintf("listing %d files, exFAT", n), path: filepath.Join(dir, "many-exfat"), wanted: wantedRate}
	im.peers = []peer{{"exfat-fuse + find -ls", func() (time.Duration, error) { return fuseFind(im.path) }}}
	if os.Geteuid() != 0 {
		im.peers = []peer{{"none without root", func() (time.Duration, error) { return 0, nil }}}
	}
	m := many(n)
	return im, m.WriteExFAT(im.path)
}

// fuseFind measures a mount by exfat-fuse with a listing and the end of it.
func fuseFind(path string) (spent time.Duration, err error) {
	mnt, err := os.MkdirTemp("", "sallyport-mnt-")
	if err != nil {
		return 0, err
	}
	defer os.Remove(mnt)
	script := `set -e; loop=$(losetup --read-only --find --show "$1"); trap 'umount "$2" || true; losetup -d "$loop"' EXIT; mount.exfat-fuse -o ro "$loop" "$2" >&2; find "$2" -ls >/dev/null`
	return timed("", "bash", "-c", script, "peer", path, mnt)()
}

// manyExt4 has empty files: debugfs shows their inodes all the same.
func manyExt4(dir string, n int) (im image, err error) {
	im = image{what: fmt.Sprintf("listing %d files, ext4", n), path: filepath.Join(dir, "many-ext4")}
	source, err := os.MkdirTemp(dir, "source-")
	if err != nil {
		return im, err
	}
	defer os.RemoveAll(source)
	var script strings.Builder
	for _, d := range many(n).Folders {
		if err := os.Mkdir(filepath.Join(source, d.Name), 0o755); err != nil {
			return im, err
		}
		for _, f := range d.Files {
			if err := os.WriteFile(filepath.Join(source, d.Name, f.Name), nil, 0o644); err != nil {
				return im, err
			}
		}
		fmt.Fprintf(&script, "ls -l /%s\n", d.Name)
	}
	im.peers = []peer{{"debugfs, ls -l of each folder", timed(script.String(), "debugfs", "-f", "-", im.path)}}
	return im, tool("mke2fs", "-q", "-t", "ext4", "-N", fmt.Sprint(n*11/10+1000), "-d", source, im.path, fmt.Sprintf("%dM", n/1000+64))
}
