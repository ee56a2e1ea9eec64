package iso9660

import (
	"fmt"
	"hash/maphash"

	"sallyport/internal/volume/layout"
)

// tree is the walk over one of the volume's trees.
type tree struct {
	*volume
	d    *descriptor
	same []*descriptor // further descriptors of the same tree

	rocky    bool // with Rock Ridge
	skip     int  // bytes before the fields in each system use area
	listed   bool
	compared bool
	warned   bool // of Rock Ridge fields that nothing announces
	broken   bool // a problem was found, from which others would follow

	pending []folder
	folders int // that a system shows, without the root
	holders int // of folders, those that only hold relocated ones
	hidden  int // holders that are not shown
	files   []fileRef
	tables  tableSum
	moved   []relocation // folders that stand elsewhere than they belong
	linked  []relocation // links to them
}

// folder is one that was found and is still to be read.
type folder struct {
	path   string // of a listed tree
	hash   uint64 // of the path
	extent uint32
	size   uint32
	parent uint32 // the extent that ".." has to give
	xar    uint8
	link   int32 // one plus its place in linked; then parent is in its PL field
	holder bool  // holds relocated folders and is hidden itself
}

// folderKept is the memory in bytes of a folder of a tree that is not listed.
const folderKept = 64

// rank orders the trees: the highest is listed.
func (t *tree) rank() int {
	if t.rocky {
		return 4
	}
	return map[kind]int{joliet: 3, enhanced: 2, primary: 1, supplementary: 0}[t.d.kind]
}

func (t *tree) String() string {
	if t.rocky {
		return "primary tree with Rock Ridge"
	}
	return t.d.kind.String() + " tree"
}

// where names a folder.
func (t *tree) where(f *folder) string {
	switch {
	case f.holder:
		return fmt.Sprintf("folder in block %d, which holds relocated ones", f.extent)
	case t.listed:
		return layout.Folder(f.path)
	}
	return fmt.Sprintf("%s, folder in block %d", t, f.extent)
}

// walk reads all folders, the upper ones first.
func (t *tree) walk() error {
	before := len(t.w.Vol.Problems)
	root := &t.d.root
	t.pending = append(t.pending, folder{extent: root.extent, size: root.size, parent: root.extent, xar: root.xar})
	t.tables.add(t.seed, root.extent, root.xar, root.extent, []byte{0})
	for i := 0; i < len(t.pending); i++ {
		if err := t.readFolder(i); err != nil {
			return err
		}
	}
	err := t.settle()
	t.broken = len(t.w.Vol.Problems) > before
	return err
}

// begin returns where the records of f are on the device.
func (t *tree) begin(f *folder) int64 {
	return t.w.Vol.Offset + t.d.offset(f.extent) + int64(f.xar)*t.d.block
}

// until returns the end of the run of folders that begins with pending folder
// i: they will be read next and are read in one go.
func (t *tree) until(i int) int64 {
	begin := t.begin(&t.pending[i])
	own := begin + int64(t.pending[i].size)
	end := own
	for i++; i < len(t.pending) && end-begin < windowBytes && t.begin(&t.pending[i]) == end; i++ {
		end += int64(t.pending[i].size)
	}
	if end > t.w.Dev.Size() {
		return own
	}
	return end
}

// readFolder lists one folder and puts its folders on the list of those to read.
func (t *tree) readFolder(i int) error {
	f := t.pending[i]
	where := t.where(&f)
	if fresh, err := t.claim(int64(f.extent), int64(f.xar)+t.d.blocks(f.size)); err != nil {
		return err
	} else if !fresh {
		return t.w.Inconsistent(where, "it stands in blocks of another file or folder")
	}
	t.w.Names.Reset()
	c := contents{folder: &f, where: where}
	begin, until := t.begin(&f), t.until(i)
	gap := false
	for at := begin; at < begin+int64(f.size); at += sectorBytes {
		sector, err := t.win.sector(at, max(until, at+sectorBytes), where)
		if err != nil {
			return err
		}
		if at == begin && !(sector[0] > recordHead && sector[32] == 1 && sector[33] == 0) {
			return t.w.Inconsistent(layout.At(where, at), `it does not begin with ".": what stands there is no folder`)
		}
		if sector[0] != 0 && gap {
			gap = false
			if err := t.w.Inconsistent(layout.At(where, at), "there are records behind an empty sector: some systems show them and others do not"); err != nil {
				return err
			}
		}
		gap = gap || sector[0] == 0
		if err := t.readSector(&c, sector, at); err != nil {
			return err
		}
	}
	if err := t.brokenOff(&c); err != nil {
		return err
	}
	if c.records < 2 {
		return t.w.Inconsistent(where, `it has no ".."`)
	}
	if c.moved > 0 && c.others == 0 && f.extent != t.d.root.extent && !f.holder {
		t.holders++
	}
	if a, b, twice := t.w.Names.Twice(); twice {
		return t.w.Inconsistent(layout.At(where, a), "the records there and at byte %d have the same name", b)
	}
	return nil
}

// contents is what is known of the folder at hand.
type contents struct {
	*folder
	where         string
	records       int
	moved, others int
}

// readSector takes the records of one sector of a folder.
func (t *tree) readSector(c *contents, sector []byte, at int64) error {
	for pos := 0; pos < len(sector) && sector[pos] != 0; {
		n, here := int(sector[pos]), at+int64(pos)
		if n > len(sector)-pos {
			return t.w.Inconsistent(layout.At(c.where, here), "a record of %d bytes goes over the end of its sector", n)
		}
		r, why := parseRecord(sector[pos:pos+n], here)
		var err error
		if why != "" {
			err = t.w.Inconsistent(layout.At(c.where, here), "%s", why)
		} else {
			err = t.take(c, &r)
		}
		if err != nil {
			return err
		}
		c.records++
		pos += n
	}
	return nil
}

// take takes one record.
func (t *tree) take(c *contents, r *record) error {
	place := layout.Place{What: c.where, Off: r.at}
	if c.records < 2 {
		return t.takeDot(c, r, place)
	}
	if t.item.open {
		if t.item.goesOnIn(r) {
			t.section(r)
			return t.finish(c)
		}
		if err := t.brokenOff(c); err != nil {
			return err
		}
	}
	if r.dot() || r.dotDot() {
		return t.w.Inconsistent(place.String(), `a record "." or ".." stands where none belongs`)
	}
	good, err := t.readName(r, place)
	if err != nil {
		return err
	}
	k := &t.rock
	switch {
	case t.rocky && (r.folder() && k.hasChild || !r.folder() && k.moved):
		return t.w.Inconsistent(place.String(), "it carries a mark of a relocated folder that does not fit it: Linux would hide it or show another folder there")
	case r.folder() && t.rocky && k.moved:
		c.moved++
	case c.holder:
		return t.w.Inconsistent(place.String(), "it stands in a folder that is hidden from systems with Rock Ridge and belongs to no other folder: systems would see different contents")
	default:
		c.others++
	}
	switch {
	case r.folder():
		return t.takeFolder(c, r, place, good)
	case t.rocky && k.hasChild:
		return t.takeLink(c, r, place, good)
	}
	return t.takeFile(c, r, place, good)
}

// takeDot checks the two records that each folder begins with. Linux takes
// place and size of a folder from its ".".
func (t *tree) takeDot(c *contents, r *record, place layout.Place) error {
	if c.records == 0 {
		if !r.dot() || !r.folder() || r.torn != "" || r.extent != c.extent || r.size != c.size || r.xar != c.xar {
			return t.w.Inconsistent(place.String(), `the first record is not a "." that points at the folder itself`)
		}
		return nil
	}
	const wrong = `the second record is not a ".." that points at the folder above`
	if !r.dotDot() || !r.folder() || r.torn != "" {
		return t.w.Inconsistent(place.String(), wrong)
	}
	if c.link == 0 {
		// In supplementary trees, libisofs (xorriso) lets each ".." point at its
		// own folder; systems go by the folders they came from.
		if r.extent != c.parent && (t.d.kind == primary || r.extent != c.extent) {
			return t.w.Inconsistent(place.String(), wrong)
		}
		return nil
	}
	t.linked[c.link-1].parent = r.extent
	why, err := t.readUse(r.use[min(t.skip, len(r.use)):])
	if err != nil {
		return err
	}
	if k := &t.rock; why == "" && (!k.hasParent || k.parent != c.parent) {
		why = "a relocated folder does not point back at the folder it belongs to"
	}
	if why != "" {
		return t.w.Inconsistent(place.String(), "%s", why)
	}
	return nil
}

// claim takes blocks and says whether all of them were free.
func (t *tree) claim(first, n int64) (bool, error) {
	for b := first; b < first+n; b++ {
		if fresh, err := t.w.Claim(uint32(b)); err != nil || !fresh {
			return false, err
		}
	}
	return true, nil
}

// below returns the hash of the path of a child of f.
func (v *volume) below(f *folder, name uint64) uint64 {
	return maphash.Comparable(v.seed, [2]uint64{f.hash, name})
}
