package iso9660

import (
	"cmp"
	"slices"

	"sallyport/internal/medium"
	"sallyport/internal/verdict"
	"sallyport/internal/volume/layout"
)

// relocation is a folder that stands elsewhere than it belongs (RRIP section
// 4.1.5): a folder record with the field RE in the one place, a record with the
// field CL in the other.
type relocation struct {
	extent, size uint32
	parent       uint32 // extent of the folder where it stands
	xar          uint8
	at           int64 // of the record, on the device
}

const relocationCost = 24

// takeFolder takes the record of a folder.
func (t *tree) takeFolder(c *contents, r *record, place layout.Place, good bool) error {
	k := &t.rock
	f := t.misplaced(t.d, r, place)
	switch {
	case f != nil:
	case r.flags&(flagMulti|flagAssociated|flagReserved) != 0:
		f = inconsistent(place, "a folder with the flags %#02x", r.flags)
	case r.unit|r.gap != 0:
		f = unsupported(place, "an interleaved folder")
	case t.rocky && k.hasMode && k.kind() != medium.Folder:
		f = inconsistent(place, "Rock Ridge calls it %s and the record a folder: systems would see different contents", k.kind())
	}
	if f != nil {
		return t.w.Problem(f)
	}
	t.tables.add(t.seed, r.extent, r.xar, c.extent, r.id)
	if t.rocky && k.moved {
		if err := t.w.Memory("the list of relocated folders", relocationCost); err != nil {
			return err
		}
		t.moved = append(t.moved, relocation{r.extent, r.size, c.extent, r.xar, r.at})
		return nil
	}
	return t.addFolder(c, place, good, t.modified(r), folder{extent: r.extent, size: r.size, xar: r.xar, parent: c.extent})
}

// addFolder lists a folder of the folder at hand and puts it on the list of
// those to read.
func (t *tree) addFolder(c *contents, place layout.Place, good bool, modified string, f folder) error {
	t.folders++
	hash := t.w.Names.Hash(t.name)
	f.hash = t.below(c.folder, hash)
	if !t.listed {
		if err := t.w.Memory("the folders of a further tree", folderKept); err != nil {
			return err
		}
		t.pending = append(t.pending, f)
		return nil
	}
	t.w.Names.Add(hash, place.Off)
	e := layout.Entry{Type: medium.Folder, Modified: modified}
	if !good {
		e.Problem = inconsistent(place, "%s", badName)
	}
	var err error
	f.path, err = t.w.Add(c.path, t.name, e)
	t.pending = append(t.pending, f)
	return err
}

// takeLink takes a record that stands for a relocated folder.
func (t *tree) takeLink(c *contents, r *record, place layout.Place, good bool) error {
	child := t.rock.child
	modified := t.modified(r)
	if int64(child)+t.d.blocks(sectorBytes) > int64(t.d.space) {
		return t.w.Problem(inconsistent(place, "it stands for a folder in block %d, outside the volume", child))
	}
	// Only the folder itself says how large it is.
	if t.peek == nil {
		t.peek = make([]byte, sectorBytes)
	}
	at := t.w.Vol.Offset + t.d.offset(child)
	if err := t.w.Dev.Read(t.peek, at, "relocated folder"); err != nil {
		return err
	}
	dot, why := parseRecord(t.peek[:t.peek[0]], at)
	if why == "" && (!dot.dot() || !dot.folder() || dot.extent != child) {
		why = `it does not begin with a "." that points at the folder itself`
	}
	if why != "" {
		return t.w.Inconsistent(layout.At("relocated folder", at), "%s", why)
	}
	if f := t.misplaced(t.d, &dot, layout.Place{What: "relocated folder", Off: at}); f != nil {
		return t.w.Problem(f)
	}
	if err := t.w.Memory("the list of relocated folders", relocationCost); err != nil {
		return err
	}
	t.linked = append(t.linked, relocation{dot.extent, dot.size, 0, dot.xar, r.at})
	return t.addFolder(c, place, good, modified,
		folder{extent: child, size: dot.size, xar: dot.xar, parent: c.extent, link: int32(len(t.linked))})
}

// settle checks that the links and the relocated folders belong together, so
// that systems with and without Rock Ridge find the same.
func (t *tree) settle() error {
	order := func(a, b relocation) int { return cmp.Compare(a.extent, b.extent) }
	find := func(list []relocation, extent uint32) (int, bool) {
		return slices.BinarySearchFunc(list, extent, func(r relocation, x uint32) int { return cmp.Compare(r.extent, x) })
	}
	slices.SortFunc(t.linked, order)
	// What no link leads to may be a folder that holds relocated ones.
	for i := 0; i < len(t.moved); i++ {
		m := t.moved[i]
		if _, ok := find(t.linked, m.extent); ok {
			continue
		}
		t.hidden++
		t.pending = append(t.pending, folder{extent: m.extent, size: m.size, parent: m.parent, xar: m.xar, holder: true})
		if err := t.readFolder(len(t.pending) - 1); err != nil {
			return err
		}
	}
	if len(t.moved)-t.hidden != len(t.linked) {
		if err := t.w.Inconsistent(t.String(), "%d folders are relocated and %d links lead to such folders: systems would see different contents",
			len(t.moved)-t.hidden, len(t.linked)); err != nil {
			return err
		}
	}
	slices.SortFunc(t.moved, order)
	for _, l := range t.linked {
		i, ok := find(t.moved, l.extent)
		var f *verdict.Finding
		switch place := (layout.Place{What: "link to a relocated folder", Off: l.at}); {
		case !ok:
			f = inconsistent(place, "the folder in block %d, to which it leads, is not among the relocated ones", l.extent)
		case t.moved[i].parent != l.parent || t.moved[i].size != l.size:
			f = inconsistent(place, `the folder in block %d, to which it leads, stands elsewhere than its ".." says, or has another size there`, l.extent)
		default:
			continue
		}
		if err := t.w.Problem(f); err != nil {
			return err
		}
	}
	return nil
}
