package dialect

import (
	"archive/zip"
	"cmp"
	"compress/flate"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"unicode/utf8"
)

// ended turns the end of a file into success.
func ended(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// readDir returns the entries of a folder, sorted by name, or refuses a folder
// with too many before they fill the memory.
func readDir(fsys fs.FS, dir string) ([]fs.DirEntry, error) {
	f, err := fsys.Open(dir)
	if err != nil {
		return nil, fmt.Errorf("cannot open %q: %w", dir, err)
	}
	defer f.Close()
	d, ok := f.(fs.ReadDirFile)
	if st, err := f.Stat(); err != nil || !st.IsDir() || !ok {
		return nil, broken(dir, ruleFolder, "this must be a folder")
	}
	var all []fs.DirEntry
	for {
		some, err := d.ReadDir(1024)
		all = append(all, some...)
		if len(all) > maxEntries {
			return nil, over(dir, "more than %d files in one folder", maxEntries)
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("cannot list %q: %w", dir, err)
		}
	}
	slices.SortFunc(all, func(a, b fs.DirEntry) int { return cmp.Compare(a.Name(), b.Name()) })
	return all, nil
}

// bundle is a folder's files, or a zip's entries.
type bundle struct {
	fsys  fs.FS
	path  string
	names []string // sorted
	zip   map[string]*zip.File
	file  fs.File
	left  int64 // bytes that may still be inflated
}

func openBundle(fsys fs.FS, p string) (*bundle, error) {
	st, err := fs.Stat(fsys, p)
	if err != nil {
		return nil, fmt.Errorf("cannot open %q: %w", p, err)
	}
	if st.IsDir() {
		return openFolder(fsys, p)
	}
	return openZip(fsys, p)
}

func openFolder(fsys fs.FS, p string) (*bundle, error) {
	entries, err := readDir(fsys, p)
	if err != nil {
		return nil, err
	}
	b := &bundle{fsys: fsys, path: p}
	for _, d := range entries {
		if !d.IsDir() {
			b.names = append(b.names, d.Name())
		}
	}
	return b, nil
}

func openZip(fsys fs.FS, p string) (*bundle, error) {
	f, err := fsys.Open(p)
	if err != nil {
		return nil, fmt.Errorf("cannot open %q: %w", p, err)
	}
	b := &bundle{path: p, file: f, zip: map[string]*zip.File{}}
	if err := b.directory(f); err != nil {
		f.Close()
		return nil, err
	}
	return b, nil
}

// directory reads a zip's directory, which may be as large as the file.
func (b *bundle) directory(f fs.File) error {
	at, ok := f.(io.ReaderAt)
	if !ok {
		return fmt.Errorf("cannot read %q: a zip must be on something that can be read at any place", b.path)
	}
	st, err := f.Stat()
	if err != nil {
		return fmt.Errorf("cannot read %q: %w", b.path, err)
	}
	m := &meter{at: io.NewSectionReader(at, 0, st.Size()), left: maxDirectory, where: b.path}
	r, err := zip.NewReader(m, st.Size())
	if err != nil {
		return b.failed(b.path, err)
	}
	m.left = -1
	if len(r.File) > maxEntries {
		return over(b.path, "more than %d entries in one zip", maxEntries)
	}
	for _, e := range r.File {
		if err := b.entry(e); err != nil {
			return err
		}
	}
	slices.Sort(b.names)
	return nil
}

func (b *bundle) entry(e *zip.File) error {
	where := b.path + "!" + e.Name
	switch {
	case len(e.Name) > maxName || !utf8.ValidString(e.Name):
		return broken(b.path, ruleZip, "an entry's name is not UTF-8, or longer than %d bytes", maxName)
	case strings.HasSuffix(e.Name, "/"):
		return nil
	case e.Flags&1 != 0:
		return broken(where, ruleZipEncrypted, "the entry is encrypted: export without a password")
	case strings.EqualFold(path.Ext(e.Name), ".zip"):
		return broken(where, ruleZipNested, "a zip in a zip is not read: unpack the outer one into a folder")
	case b.zip[e.Name] != nil:
		return broken(where, ruleZip, "two entries have this name")
	}
	b.zip[e.Name] = e
	b.names = append(b.names, e.Name)
	return nil
}

// restart gives a new reading its budget.
func (b *bundle) restart() { b.left = maxInflated }

func (b *bundle) where(name string) string {
	if b.zip != nil {
		return b.path + "!" + name
	}
	return path.Join(b.path, name)
}

// find returns the one file with that base name, in any folder of a zip.
func (b *bundle) find(base string) string {
	for _, n := range b.names {
		if path.Base(n) == base {
			return n
		}
	}
	return ""
}

func (b *bundle) open(name string) (io.ReadCloser, error) {
	if b.zip == nil {
		f, err := b.fsys.Open(path.Join(b.path, name))
		if err != nil {
			return nil, fmt.Errorf("cannot open %q: %w", b.where(name), err)
		}
		return f, nil
	}
	r, err := b.zip[name].Open()
	if err != nil {
		return nil, b.failed(b.where(name), err)
	}
	return &inflating{b, b.where(name), r}, nil
}

func (b *bundle) close() error {
	if b.file == nil {
		return nil
	}
	return b.file.Close()
}

// failed turns what a zip's reader says into a finding.
func (b *bundle) failed(where string, err error) error {
	var corrupt flate.CorruptInputError
	switch {
	case passes(err):
		return err
	case errors.Is(err, zip.ErrFormat), errors.Is(err, zip.ErrChecksum), errors.Is(err, zip.ErrAlgorithm),
		errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF), errors.As(err, &corrupt), errors.Is(err, zip.ErrInsecurePath):
		return broken(where, ruleZip, "this is not a sound zip file: %v", err)
	}
	return fmt.Errorf("cannot read %q: %w", where, err)
}

// inflating is an entry that is being read, within its zip's budget.
type inflating struct {
	b     *bundle
	where string
	r     io.ReadCloser
}

func (i *inflating) Read(p []byte) (int, error) {
	if i.b.left <= 0 {
		return 0, over(i.where, "the zip unpacks to more than %d GiB", maxInflated>>30)
	}
	if int64(len(p)) > i.b.left {
		p = p[:i.b.left]
	}
	n, err := i.r.Read(p)
	i.b.left -= int64(n)
	if err != nil && err != io.EOF {
		err = i.b.failed(i.where, err)
	}
	return n, err
}

func (i *inflating) Close() error { return i.r.Close() }

// meter bounds what is read while a zip's directory is taken into memory.
type meter struct {
	at    io.ReaderAt
	left  int64 // negative: no bound
	where string
}

func (m *meter) ReadAt(p []byte, off int64) (int, error) {
	if m.left < 0 {
		return m.at.ReadAt(p, off)
	}
	if int64(len(p)) > m.left {
		return 0, over(m.where, "the zip's directory has more than %d MiB", maxDirectory>>20)
	}
	n, err := m.at.ReadAt(p, off)
	m.left -= int64(n)
	return n, err
}

// read returns a whole small file.
func (b *bundle) read(name string, most int) ([]byte, error) {
	r, err := b.open(name)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return readSmall(r, b.where(name), most)
}

func readSmall(r io.Reader, where string, most int) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, int64(most)+1))
	if err != nil {
		if passes(err) {
			return nil, err
		}
		return nil, fmt.Errorf("cannot read %q: %w", where, err)
	}
	if len(data) > most {
		return nil, over(where, "the file has more than %d KiB", most>>10)
	}
	return data, nil
}
