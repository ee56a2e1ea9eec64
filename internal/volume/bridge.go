package volume

import (
	"cmp"
	"encoding/binary"
	"fmt"
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
// nothing is kept but a few numbers an entry. Problems of either are the
// volume's.
func walkBridge(w *layout.Walker) error {
	t, err := readOther(w)
	if err != nil {
		return err
	}
	w.Seen = t.hold
	if err := udf.Walk(w); err != nil {
		return err
	}
	if len(w.Vol.Problems) > 0 {
		return nil // it may be incomplete; the medium is held anyway
	}
	if why := t.verdict(); why != "" {
		return w.Inconsistent("ISO 9660 and UDF", "%s: systems would see different contents", why)
	}
	return nil
}

// twin is an entry of the ISO 9660 tree: hashes of its path, and of its size
// and extents.
type twin struct {
	path, content uint64
	kind          medium.Type
}

// tally counts what one of the trees has.
type tally struct {
	folders int64
	full    int64  // names of files that have bytes
	sum     uint64 // of their contents
	empty   int64  // names of files that have none
	special int64  // what is neither file nor folder
}

// twins is the ISO 9660 tree of a volume, and what came of holding the UDF tree
// against it.
type twins struct {
	names    layout.Names
	seed     maphash.Seed
	list     []twin   // by path
	contents []uint64 // of files that have bytes, in order
	iso, udf tally
	why      string // the first difference
}

// twinBytes are those of a twin and of its content.
const twinBytes = 24 + 8

// readOther walks the ISO 9660 tree.
func readOther(w *layout.Walker) (*twins, error) {
	iso := Volume{Index: w.Vol.Index, Offset: w.Vol.Offset, Size: w.Vol.Size}
	t := &twins{seed: maphash.MakeSeed()}
	t.names.Reset()
	aside := w.Aside(&iso)
	var over error
	aside.Seen = func(e Entry) {
		const step = 4096
		if len(t.list) == cap(t.list) && over == nil {
			// While that tree is read both of them are there.
			const what = "the ISO 9660 tree"
			if over = cmp.Or(w.Memory(what, step*twinBytes), aside.Memory(what, step*twinBytes)); over == nil {
				t.list = append(make([]twin, 0, len(t.list)+step), t.list...)
			}
		}
		if over == nil {
			t.list = append(t.list, t.of(&e, &t.iso))
		}
	}
	err := iso9660.Walk(aside)
	for i := range iso.Problems {
		if err := w.Problem(&iso.Problems[i]); err != nil {
			return nil, err
		}
	}
	if err = cmp.Or(err, over); err != nil {
		w.Vol.FS = iso.FS
		return nil, err
	}
	slices.SortFunc(t.list, func(a, b twin) int { return cmp.Compare(a.path, b.path) })
	t.contents = make([]uint64, 0, t.iso.full)
	for _, x := range t.list {
		if x.content != 0 {
			t.contents = append(t.contents, x.content)
		}
	}
	slices.Sort(t.contents)
	return t, nil
}

// of takes an entry apart and counts it in n.
func (t *twins) of(e *Entry, n *tally) twin {
	x := twin{path: t.names.Hash([]byte(e.Path)), kind: e.Type}
	switch {
	case e.Type == medium.Folder:
		// genisoimage shows the folder of relocated folders in one of the trees.
		if name := strings.TrimPrefix(e.Path, "."); !strings.EqualFold(name, "rr_moved") {
			n.folders++
		}
		return x
	case e.Type != medium.File && e.Type != medium.HardLink:
		n.special++
		return x
	case e.Size == 0:
		n.empty++
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
	x.content = max(h.Sum64(), 1)
	n.full, n.sum = n.full+1, n.sum+x.content
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

// hold holds an entry of the UDF tree, which is listed, against the ISO 9660
// tree: names of the same path have the same bytes. A name may be in one of them
// only where ISO 9660 cannot carry it, or where a thing that is no file is not
// carried over.
func (t *twins) hold(e Entry) {
	here := t.of(&e, &t.udf)
	if t.why != "" {
		return
	}
	there, ok := t.find(here.path)
	switch {
	case ok && !alike(here, there):
		t.why = fmt.Sprintf("%s is %s in UDF and another one, or something else, in ISO 9660", e.Path, e.Type)
		return
	case !ok && e.Type == medium.File && portable(e.Path):
		t.why = fmt.Sprintf("%s is in UDF and not in ISO 9660", e.Path)
		return
	}
	if _, ok := slices.BinarySearch(t.contents, here.content); !ok && here.content != 0 {
		t.why = fmt.Sprintf("the content of %s in UDF is no file in ISO 9660", e.Path)
	}
}

// verdict says how the trees differ, or "". Both have as many names of each
// content, as many empty files and as many folders, whatever their names are;
// genisoimage writes links and devices into UDF as files without bytes.
func (t *twins) verdict() string {
	a, b := &t.iso, &t.udf
	switch {
	case t.why != "":
		return t.why
	case a.full > b.full, a.empty > b.empty:
		return fmt.Sprintf("ISO 9660 has files that are not in UDF (%d names of files, and %d)", a.full+a.empty, b.full+b.empty)
	case a.full < b.full, a.empty+a.special < b.empty+b.special:
		return fmt.Sprintf("UDF has files that are not in ISO 9660 (%d names of files, and %d)", b.full+b.empty, a.full+a.empty)
	case a.sum != b.sum:
		return "a content has more names in ISO 9660 or in UDF than in the other"
	case a.folders != b.folders:
		return fmt.Sprintf("ISO 9660 has %d folders and UDF %d", a.folders, b.folders)
	}
	return ""
}

// alike says whether two entries of one path can be the same. Which of several
// names of a file is listed as the file depends on the order of the folders.
func alike(udf, iso twin) bool {
	return (udf.kind == medium.Folder) == (iso.kind == medium.Folder) && udf.content == iso.content
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
