package volume

import (
	"cmp"
	"encoding/binary"
	"hash/maphash"
	"slices"
	"strings"

	"sallyport/internal/medium"
	"sallyport/internal/volume/iso9660"
	"sallyport/internal/volume/layout"
	"sallyport/internal/volume/udf"
)

// Names of [drivers]; the last two one volume may have at once.
const (
	extName = "ext2, ext3 or ext4"
	isoName = "ISO 9660"
	udfName = "UDF"
)

// bridged replaces ISO 9660 and UDF in a list, where a volume claims to be both,
// by the one driver that reads both: discs with the two trees over the same
// files are common, and which of them a system shows depends on the system.
func bridged(list []driver) []driver {
	has := func(name string) bool {
		return slices.ContainsFunc(list, func(d driver) bool { return d.name == name })
	}
	if !has(isoName) || !has(udfName) {
		return list
	}
	list = slices.DeleteFunc(list, func(d driver) bool { return d.name == isoName || d.name == udfName })
	return append(list, driver{name: "ISO 9660 with UDF", walk: walkBridge})
}

// walkBridge lists the UDF tree and compares it with the ISO 9660 tree, of which
// nothing is kept but two numbers an entry. Problems of either are the volume's.
func walkBridge(w *layout.Walker) error {
	t, err := readOther(w)
	if err != nil {
		return err
	}
	if err := udf.Walk(w); err != nil {
		return err
	}
	if len(w.Vol.Problems) > 0 {
		return nil // it may be incomplete; the medium is held anyway
	}
	return t.compare(w)
}

// twin is an entry of the ISO 9660 tree: hashes of its path, and of its size
// and extents.
type twin struct {
	path, content uint64
	kind          medium.Type
}

// twins is the ISO 9660 tree of a volume.
type twins struct {
	names layout.Names
	seed  maphash.Seed
	list  []twin // by path
}

const twinBytes = 24

// readOther walks the ISO 9660 tree.
func readOther(w *layout.Walker) (*twins, error) {
	iso := Volume{Index: w.Vol.Index, Offset: w.Vol.Offset, Size: w.Vol.Size}
	err := iso9660.Walk(w.Aside(&iso))
	for i := range iso.Problems {
		if err := w.Problem(&iso.Problems[i]); err != nil {
			return nil, err
		}
	}
	if err != nil {
		w.Vol.FS = iso.FS
		return nil, err
	}
	if err := w.Memory("the ISO 9660 tree", int64(len(iso.Entries))*twinBytes); err != nil {
		return nil, err
	}
	t := &twins{seed: maphash.MakeSeed(), list: make([]twin, 0, len(iso.Entries))}
	t.names.Reset()
	for i := range iso.Entries {
		t.list = append(t.list, t.of(&iso.Entries[i]))
	}
	slices.SortFunc(t.list, func(a, b twin) int { return cmp.Compare(a.path, b.path) })
	return t, nil
}

func (t *twins) of(e *Entry) twin {
	x := twin{path: t.names.Hash([]byte(e.Path)), kind: e.Type}
	if e.Type != medium.File || len(e.Extents) == 0 {
		return x
	}
	var h maphash.Hash
	h.SetSeed(t.seed)
	var p [16]byte
	put := func(a, b int64) {
		binary.LittleEndian.PutUint64(p[:], uint64(a))
		binary.LittleEndian.PutUint64(p[8:], uint64(b))
		h.Write(p[:])
	}
	put(e.Size, 0)
	for _, extent := range e.Extents {
		put(extent.Off, extent.Len)
	}
	x.content = h.Sum64()
	return x
}

// find returns the entry of this path.
func (t *twins) find(path uint64) (twin, bool) {
	i, ok := slices.BinarySearchFunc(t.list, path, func(x twin, path uint64) int { return cmp.Compare(x.path, path) })
	if !ok {
		return twin{}, false
	}
	return t.list[i], true
}

// compare holds the UDF tree, which is listed, against the ISO 9660 tree: files
// of the same path have the same bytes, and both trees have the same files,
// under whatever names. A name may be in one of them only where ISO 9660 cannot
// carry it, or where a thing that is no file is not carried over.
func (t *twins) compare(w *layout.Walker) error {
	const where = "ISO 9660 and UDF"
	left := map[uint64]int32{} // files of the ISO 9660 tree, by content
	files := int64(0)
	for _, x := range t.list {
		if x.content != 0 {
			files++
		}
	}
	const mapBytes = 32
	if err := w.Memory("the ISO 9660 tree", files*mapBytes); err != nil {
		return err
	}
	for _, x := range t.list {
		if x.content != 0 {
			left[x.content]++
		}
	}
	for i := range w.Vol.Entries {
		e := &w.Vol.Entries[i]
		here := t.of(e)
		there, ok := t.find(here.path)
		switch {
		case ok && !alike(here, there):
			return w.Inconsistent(where, "%s is %s in UDF and another one, or something else, in ISO 9660: systems would see different contents", e.Path, e.Type)
		case !ok && e.Type == medium.File && portable(e.Path):
			return w.Inconsistent(where, "%s is in UDF and not in ISO 9660: systems would see different contents", e.Path)
		}
		if here.content == 0 {
			continue
		}
		if left[here.content]--; left[here.content] < 0 {
			return w.Inconsistent(where, "the content of %s in UDF is no file in ISO 9660: systems would see different contents", e.Path)
		}
	}
	for _, n := range left {
		if n > 0 {
			return w.Inconsistent(where, "ISO 9660 has files that are not in UDF: systems would see different contents")
		}
	}
	return nil
}

// alike says whether two entries of one path can be the same. Which of several
// names of a file is listed as the file depends on the order of the folders, and
// genisoimage writes links and devices into UDF as files without bytes.
func alike(udf, iso twin) bool {
	if (udf.kind == medium.Folder) != (iso.kind == medium.Folder) {
		return false
	}
	if udf.kind == medium.HardLink || iso.kind == medium.HardLink || iso.kind != medium.File {
		return udf.content == 0 || iso.kind == medium.HardLink
	}
	return udf.content == iso.content
}

// portable says whether a path can be carried by ISO 9660 without any extension,
// in capitals (ECMA-119 section 7.5, interchange level 1).
func portable(path string) bool {
	parts := strings.Split(path, "/")
	if len(parts) > 7 {
		return false
	}
	for _, p := range parts {
		name, ext, _ := strings.Cut(p, ".")
		if len(name) == 0 || len(name) > 8 || len(ext) > 3 {
			return false
		}
		for _, c := range []byte(name + ext) {
			if (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '_' {
				return false
			}
		}
	}
	return true
}
