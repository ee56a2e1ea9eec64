package iso9660

import (
	"bytes"

	"sallyport/internal/medium"
	"sallyport/internal/verdict"
	"sallyport/internal/volume/layout"
)

// maxSections of one file are read, as Linux does; with 4 GiB in each that is
// more than any file may have here.
const maxSections = 100

// item is the file at hand; its sections are the extents of one record each
// (ECMA-119 section 6.5.1).
type item struct {
	open  bool // the record before says that the file goes on
	id    []byte
	flags byte
	place layout.Place
	e     layout.Entry
	// count of sections, and what is wrong with one of them.
	count int
	bad   *verdict.Finding
}

// run is one section as recorded.
type run struct {
	extent, size uint32
	xar          uint8
}

// readName decodes the name of r into t.name, with the fields of Rock Ridge,
// and says whether it can be used. Fields that cannot be read may hide another
// name, which is a problem of the volume.
func (t *tree) readName(r *record, place layout.Place) (good bool, err error) {
	t.name, t.rock.modified = t.name[:0], nil
	switch {
	case t.rocky:
		why, err := t.readUse(r.use[min(t.skip, len(r.use)):])
		if err != nil {
			return false, err
		}
		k := &t.rock
		if why == "" && k.shared {
			why = "it has the field SP, which stands in the root folder alone: some systems would read all further fields in another place"
		}
		if why != "" {
			if err := t.w.Inconsistent(place.String(), "%s", why); err != nil {
				return false, err
			}
		}
		if k.named {
			t.name, good = layout.AppendText(t.name, k.name)
			return good && !k.unusable && why == "", nil
		}
	case t.d.kind == joliet:
		whole := t.decode(plainName(r.id, true))
		t.name, good = layout.AppendName(t.name, t.units)
		return good && whole, nil
	case t.d.kind == primary && !t.warned && unannounced(r.use):
		t.warned = true
		if err := t.w.Inconsistent(place.String(), "there are Rock Ridge fields and nothing that announces them: some systems would use them and others not"); err != nil {
			return false, err
		}
	}
	t.name, good = layout.AppendText(t.name, plainName(r.id, false))
	return good, nil
}

// plainName cuts the version number 1 and then dots at the end off a recorded
// identifier (section 7.5.1), as Linux and Windows do.
func plainName(id []byte, wide bool) []byte {
	step := 1
	if wide {
		step = 2
	}
	is := func(at int, c byte) bool { return id[at+step-1] == c && (!wide || id[at] == 0) }
	if n := len(id); n > 2*step && is(n-2*step, ';') && is(n-step, '1') {
		id = id[:n-2*step]
	}
	for n := len(id); n > step && is(n-step, '.'); n -= step {
		id = id[:n-step]
	}
	return id
}

// decode turns big-endian UCS-2 into t.units and says whether it is that.
func (v *volume) decode(p []byte) bool {
	v.units = v.units[:0]
	for ; len(p) >= 2; p = p[2:] {
		v.units = append(v.units, be.Uint16(p))
	}
	return len(p) == 0
}

const badName = "the name has characters that cannot be shown or may not be used, or fields that cannot be read"

// modified returns the time of the record at hand.
func (t *tree) modified(r *record) string {
	if k := &t.rock; t.rocky && k.modified != nil {
		return t.time.text(k.modified)
	}
	return t.time.text(r.b[18:25])
}

// goesOnIn says whether r is the next section of the file at hand.
func (it *item) goesOnIn(r *record) bool {
	return bytes.Equal(it.id, r.id) && (it.flags^r.flags)&^flagMulti == 0
}

// takeFile takes the first record of what is not a folder.
func (t *tree) takeFile(c *contents, r *record, place layout.Place, good bool) error {
	it := &t.item
	*it = item{id: append(it.id[:0], r.id...), flags: r.flags, place: place}
	t.runs, t.extents = t.runs[:0], t.extents[:0]
	it.e = layout.Entry{Modified: t.modified(r)}
	k := &t.rock
	if t.rocky {
		it.e.Type = k.kind()
	}
	if it.e.Type == medium.Folder {
		it.e.Type = medium.Other
		if err := t.w.Inconsistent(place.String(), "Rock Ridge calls it a folder and the record a file: systems would see different contents"); err != nil {
			return err
		}
	}
	if r.flags&flagAssociated != 0 {
		t.name = append(t.name, ":associated"...)
		it.e.Type = medium.Stream
	}
	if !good {
		it.e.Problem = inconsistent(place, "%s", badName)
	}
	if t.rocky && k.sparse {
		it.e.Traits |= medium.Sparse
		it.e.Problem = unsupported(place, "a sparse file of Rock Ridge")
	}
	if t.rocky && k.zisofs {
		it.e.Traits |= medium.Compressed
		it.e.Problem = unsupported(place, "a file compressed by zisofs")
	}
	t.section(r)
	return t.finish(c)
}

// section adds the extent of r to the file at hand.
func (t *tree) section(r *record) {
	it := &t.item
	it.count++
	it.open = r.flags&flagMulti != 0
	place := layout.Place{What: it.place.What, Off: r.at}
	switch f := t.misplaced(t.d, r, place); {
	case it.bad != nil:
	case it.count > maxSections:
		it.bad = verdict.New(verdict.OverLimit, place.String(), "a file of more than %d sections", maxSections)
	case f != nil:
		it.bad = f
	case r.unit|r.gap != 0:
		it.bad = unsupported(place, "an interleaved file, %d blocks and a gap of %d", r.unit, r.gap)
	case r.flags&flagReserved != 0:
		it.bad = inconsistent(place, "it has flags that nobody knows, %#02x", r.flags)
	case it.open && int64(r.size)%t.d.block != 0:
		it.bad = inconsistent(place, "a section of %d bytes ends inside a block and the file goes on", r.size)
	}
	it.e.Size += int64(r.size)
	if it.count > maxSections || r.size == 0 {
		return
	}
	t.runs = append(t.runs, run{r.extent, r.size, r.xar})
	if it.bad != nil {
		return
	}
	x := layout.Extent{Off: t.w.Vol.Offset + t.d.offset(r.extent) + int64(r.xar)*t.d.block, Len: int64(r.size)}
	if n := len(t.extents); n > 0 && t.extents[n-1].Off+t.extents[n-1].Len == x.Off {
		t.extents[n-1].Len += x.Len
		return
	}
	t.extents = append(t.extents, x)
}

// brokenOff notes a file whose last section is missing. Systems take the next
// record for it, whatever its name is.
func (t *tree) brokenOff(c *contents) error {
	if !t.item.open {
		return nil
	}
	t.item.open = false
	return t.w.Inconsistent(t.item.place.String(), "the file goes on in a record that is not there: systems would see different contents")
}

// finish lists the file at hand once its last section is there.
func (t *tree) finish(c *contents) error {
	it := &t.item
	if it.open {
		return nil
	}
	e := &it.e
	plain := e.Type == medium.File || e.Type == medium.Stream
	if e.Extents = t.extents; it.bad != nil {
		e.Extents = nil
		if e.Problem == nil {
			e.Problem = it.bad
		}
	}
	if !plain && e.Size > 0 {
		err := t.w.Inconsistent(it.place.String(), "Rock Ridge calls it %s and the record a file of %d bytes: systems would see different contents", e.Type, e.Size)
		if err != nil {
			return err
		}
	}
	hash := t.w.Names.Hash(t.name)
	if err := t.remember(c.folder, hash, plain); err != nil {
		return err
	}
	if !t.listed {
		return nil
	}
	t.w.Names.Add(hash, it.place.Off)
	if !plain {
		e.Size = 0
	} else if e.Traits != 0 {
		e.Extents = nil // they hold the content in another form
	} else if len(e.Extents) > 0 {
		if err := t.own(e); err != nil {
			return err
		}
	}
	_, err := t.w.Add(c.path, t.name, *e)
	return err
}

// own takes the blocks of the file at hand, or finds the file that has them.
func (t *tree) own(e *layout.Entry) error {
	for i, x := range t.runs {
		first := int64(x.extent)
		for b := first; b < first+int64(x.xar)+t.d.blocks(x.size); b++ {
			fresh, err := t.w.Claim(uint32(b))
			if err != nil {
				return err
			}
			if fresh {
				continue
			}
			if i == 0 && b == first && e.Type == medium.File {
				same, err := t.isKnown(e)
				if err != nil {
					return err
				}
				if same {
					e.Type = medium.HardLink
					return nil
				}
			}
			e.Extents = nil
			f := inconsistent(t.item.place, "its block %d belongs to another file or folder as well", b)
			if e.Problem == nil {
				e.Problem = f
			}
			return t.w.Problem(f)
		}
	}
	return nil
}

// isKnown says whether a file with the same extents is listed.
func (t *tree) isKnown(e *layout.Entry) (bool, error) {
	all := t.w.Vol.Entries
	const cost = 24
	if err := t.w.Memory("the list of files with several names", int64(len(all)-t.known)*cost); err != nil {
		return false, err
	}
	if t.owners == nil {
		t.owners = make(map[int64]int32)
	}
	for ; t.known < len(all); t.known++ {
		if o := &all[t.known]; o.Type == medium.File && len(o.Extents) > 0 {
			t.owners[o.Extents[0].Off] = int32(t.known)
		}
	}
	i, ok := t.owners[e.Extents[0].Off]
	if !ok {
		return false, nil
	}
	o := &all[i]
	if o.Size != e.Size || o.Traits != e.Traits || len(o.Extents) != len(e.Extents) {
		return false, nil
	}
	for i, x := range o.Extents {
		if x != e.Extents[i] {
			return false, nil
		}
	}
	return true, nil
}
