package vault

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"time"

	"sallyport/internal/verdict"
)

// File is an open file of an item. It implements fs.File, io.ReaderAt and
// io.Seeker over the item's pack; Close has nothing to do.
type File struct {
	*io.SectionReader
	info info
}

// Stat returns name (the last element), size and mode 0444.
func (f *File) Stat() (fs.FileInfo, error) { return f.info, nil }

// Close does nothing; Item.Close closes the pack.
func (f *File) Close() error { return nil }

// OpenEntry opens file number i of Files, whatever its name and even when it
// is partial.
func (it *Item) OpenEntry(i int) (*File, error) {
	files, err := it.Files()
	if err != nil {
		return nil, err
	}
	if i < 0 || i >= len(files) {
		return nil, fmt.Errorf("cannot open file %d of item %s: it has %d", i, it.id, len(files))
	}
	pack, err := it.content()
	if err != nil {
		return nil, err
	}
	f := &files[i]
	return &File{io.NewSectionReader(pack, f.Off, f.Size), info{path.Base(f.Name), f.Size, false}}, nil
}

// packFS serves an item's files by name. Folders exist only as parts of names.
type packFS struct {
	it    *Item
	files map[string]int32
	dirs  map[string][]child
}

type child struct {
	name string
	file int32 // index into Files, -1 for a folder
}

// FS serves the item's files by name, as fs.ReadDirFS and fs.StatFS. It fails
// for items with contents missing (ErrPartial) and for items whose names are
// not all valid (fs.ValidPath), unique, and free of a file standing where
// another has a folder; OpenEntry reads those.
func (it *Item) FS() (fs.FS, error) {
	files, err := it.Files()
	if err != nil {
		return nil, err
	}
	if it.head.cut {
		return nil, fmt.Errorf("cannot serve item %s: %w", it.id, ErrPartial)
	}
	f := &packFS{it, make(map[string]int32, len(files)), map[string][]child{".": nil}}
	for i := range files {
		name := files[i].Name
		if files[i].Partial {
			return nil, fmt.Errorf("cannot serve item %s: %w: file %d, %s", it.id, ErrPartial, i, verdict.Escape(name))
		}
		if !fs.ValidPath(name) || name == "." {
			return nil, fmt.Errorf("cannot serve item %s: file %d, %s, has no valid path", it.id, i, verdict.Escape(name))
		}
		if _, twice := f.files[name]; twice {
			return nil, fmt.Errorf("cannot serve item %s: file %d, %s, is there twice", it.id, i, verdict.Escape(name))
		}
		f.files[name] = int32(i)
		f.add(name, int32(i))
	}
	for dir, children := range f.dirs {
		if _, both := f.files[dir]; both {
			return nil, fmt.Errorf("cannot serve item %s: %s is a file and a folder", it.id, verdict.Escape(dir))
		}
		slices.SortFunc(children, func(a, b child) int { return cmp.Compare(a.name, b.name) })
	}
	return f, nil
}

// add enters name into its folder, and the folder into its own if it is new.
func (f *packFS) add(name string, file int32) {
	for {
		dir, base := path.Dir(name), path.Base(name)
		children, known := f.dirs[dir]
		f.dirs[dir] = append(children, child{base, file})
		if known {
			return
		}
		name, file = dir, -1
	}
}

// Open opens a file (a *File) or a folder.
func (f *packFS) Open(name string) (fs.File, error) {
	if !fs.ValidPath(name) {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrInvalid}
	}
	if i, ok := f.files[name]; ok {
		file, err := f.it.OpenEntry(int(i))
		if err != nil {
			return nil, &fs.PathError{Op: "open", Path: name, Err: err}
		}
		return file, nil
	}
	if children, ok := f.dirs[name]; ok {
		return &dirFile{fs: f, name: name, left: children}, nil
	}
	return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
}

// Stat describes a file or folder.
func (f *packFS) Stat(name string) (fs.FileInfo, error) {
	file, err := f.Open(name)
	if err != nil {
		return nil, err
	}
	return file.Stat()
}

// ReadDir lists a folder, sorted by name.
func (f *packFS) ReadDir(name string) ([]fs.DirEntry, error) {
	file, err := f.Open(name)
	if err != nil {
		return nil, err
	}
	dir, ok := file.(*dirFile)
	if !ok {
		return nil, &fs.PathError{Op: "readdir", Path: name, Err: errors.New("not a folder")}
	}
	return dir.ReadDir(-1)
}

func (f *packFS) entries(children []child) ([]fs.DirEntry, error) {
	files, err := f.it.Files()
	if err != nil {
		return nil, err
	}
	list := make([]fs.DirEntry, len(children))
	for i, c := range children {
		size := int64(0)
		if c.file >= 0 {
			size = files[c.file].Size
		}
		list[i] = fs.FileInfoToDirEntry(info{c.name, size, c.file < 0})
	}
	return list, nil
}

// dirFile is an open folder.
type dirFile struct {
	fs   *packFS
	name string
	left []child
}

func (d *dirFile) Stat() (fs.FileInfo, error) { return info{path.Base(d.name), 0, true}, nil }
func (d *dirFile) Close() error               { return nil }
func (d *dirFile) Read([]byte) (int, error) {
	return 0, &fs.PathError{Op: "read", Path: d.name, Err: errors.New("is a folder")}
}

func (d *dirFile) ReadDir(n int) ([]fs.DirEntry, error) {
	if n <= 0 || n > len(d.left) {
		if n > 0 && len(d.left) == 0 {
			return nil, io.EOF
		}
		n = len(d.left)
	}
	list, err := d.fs.entries(d.left[:n])
	d.left = d.left[n:]
	return list, err
}

// info describes a file or folder of a pack. There are no times: the medium's
// are in the facts, this disk's mean nothing.
type info struct {
	name string
	size int64
	dir  bool
}

func (i info) Name() string       { return i.name }
func (i info) Size() int64        { return i.size }
func (i info) IsDir() bool        { return i.dir }
func (i info) Sys() any           { return nil }
func (i info) ModTime() time.Time { return time.Time{} }
func (i info) Mode() fs.FileMode {
	if i.dir {
		return fs.ModeDir | 0o555
	}
	return 0o444
}
