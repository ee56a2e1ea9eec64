package ntfs

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strings"

	"sallyport/internal/verdict"
	"sallyport/internal/volume/layout"
)

const (
	// Index entries that are worked off together, in the order of their records.
	batchItems = 32 << 10
	batchText  = 2 << 20
	itemBytes  = 24
)

// item is one index entry.
type item struct {
	ref    ref
	at     int64  // on the device
	name   uint32 // in v.text
	length uint16
	space  uint8
	folder bool
}

// readFolder lists one folder and puts its folders on the list of those to read.
func (v *volume) readFolder(dir folder) error {
	where := layout.Folder(dir.path)
	v.w.Names.Reset()
	n := &v.dir
	// It was checked when its name was found, or with the system.
	why, err := v.load(&n.rec, dir.ref.number(), true)
	if err != nil {
		return err
	}
	if why == "" && (!n.rec.inUse() || n.rec.ref() != dir.ref) {
		why = "its record is no longer what it was"
	}
	at := int64(-1)
	if why == "" {
		v.claiming = false
		err := v.gather(n)
		v.claiming = true
		if err != nil {
			return err
		}
		if n.problem != nil {
			why = n.problem.Detail
		}
	}
	if why == "" {
		why, at, err = v.walkIndex(&dir, where)
		if err != nil {
			return err
		}
	}
	if why != "" {
		v.unsure = true
		if err := v.w.Inconsistent(layout.Place{What: where, Off: at}.String(), "%s", why); err != nil {
			return err
		}
	}
	if err := v.flush(&dir); err != nil {
		return err
	}
	if a, b, twice := v.w.Names.Twice(); twice {
		return v.w.Inconsistent(layout.At(where, a), "the entries there and at byte %d have the same name", b)
	}
	return nil
}

// room makes room in the batch for one more item with a name of n bytes.
func (v *volume) room(n int) error {
	cost := 0
	if len(v.batch) == cap(v.batch) {
		more := max(256, cap(v.batch))
		v.batch, cost = slices.Grow(v.batch, more), more*itemBytes
	}
	if cap(v.text)-len(v.text) < n {
		more := max(16<<10, cap(v.text))
		v.text, cost = slices.Grow(v.text, more), cost+more
	}
	if cost == 0 {
		return nil
	}
	return v.w.Memory("the names of a folder", int64(cost))
}

// flush works off the batch.
func (v *volume) flush(dir *folder) error {
	// Short names come behind the long ones of the same record.
	slices.SortFunc(v.batch, func(a, b item) int {
		return cmp.Or(cmp.Compare(a.ref.number(), b.ref.number()), cmp.Compare(short(a), short(b)), cmp.Compare(a.at, b.at))
	})
	last := int64(-1)
	for i := range v.batch {
		it := &v.batch[i]
		number := it.ref.number()
		if number != last {
			near := i+1 < len(v.batch) && (v.batch[i+1].ref.number()*v.record)>>windowBits == (number*v.record)>>windowBits
			why, err := v.enter(it, near)
			if err != nil {
				return err
			}
			if last = number; why != "" {
				last = -1
				v.unsure = true
				if err := v.w.Inconsistent(v.entryAt(dir, it), "the name %q leads to file record %d: %s", v.itemName(it), number, why); err != nil {
					return err
				}
				continue
			}
		}
		if err := v.listName(dir, it); err != nil {
			return err
		}
	}
	v.batch, v.text = v.batch[:0], v.text[:0]
	return nil
}

func short(it item) int {
	if it.space == spaceDOS {
		return 1
	}
	return 0
}

func (v *volume) entryAt(dir *folder, it *item) string {
	return layout.At(layout.Folder(dir.path), it.at)
}

// itemName puts the name of an index entry into v.name.
func (v *volume) itemName(it *item) string {
	v.units = units(v.units[:0], v.text[it.name:][:it.length])
	v.name, _ = layout.AppendName(v.name[:0], v.units)
	return string(v.name)
}

// enter gathers the file that an index entry leads to into v.n.
func (v *volume) enter(it *item, near bool) (why string, err error) {
	number := it.ref.number()
	if number >= v.records {
		return fmt.Sprintf("there are only %d", v.records), nil
	}
	n := &v.n
	if why, err = v.load(&n.rec, number, near); err != nil {
		return "", err
	}
	fresh, err := v.mark(v.seen, number)
	if err != nil {
		return "", err
	}
	if why != "" {
		// Its name is all that is known of it.
		n.reset()
		n.rec.base, n.rec.flags, n.rec.seq = 0, recordInUse, it.ref.seq()
		if it.folder {
			n.rec.flags |= recordFolder
		}
		n.damaged(v, "%s", why)
		return "", v.isHurt(number)
	}
	switch {
	case !n.rec.inUse():
		return "it is not in use", nil
	case n.rec.base != 0:
		return "it is the continuation of another one", nil
	case n.rec.seq != it.ref.seq():
		return fmt.Sprintf("it was used again since: its sequence number is %d and not %d", n.rec.seq, it.ref.seq()), nil
	}
	v.claiming = fresh
	err = v.gather(n)
	v.claiming = true
	if err == nil && n.problem != nil {
		err = v.isHurt(number)
	}
	return "", err
}

// isHurt remembers that the file with a record is damaged: what it no longer
// lists is no news.
func (v *volume) isHurt(number int64) error {
	v.unsure = true
	if v.hurt[number] {
		return nil
	}
	if v.hurt == nil {
		v.hurt = map[int64]bool{}
	}
	v.hurt[number] = true
	return v.w.Memory("the list of damaged files", 64)
}

// listName lists one name of the file in v.n.
func (v *volume) listName(dir *folder, it *item) error {
	n := &v.n
	v.named++
	name := v.text[it.name:][:it.length]
	if n.problem == nil {
		if why := v.agree(dir, it, name); why != "" {
			v.unsure = true
			return v.w.Inconsistent(v.entryAt(dir, it), "the name %q leads to file record %d: %s", v.itemName(it), it.ref.number(), why)
		}
	}
	v.units = units(v.units[:0], name)
	var good bool
	v.name, good = layout.AppendName(v.name[:0], v.units)
	hash := v.w.Names.Hash(v.name)
	if it.space == spaceDOS {
		v.alias(dir, it, hash)
		return nil
	}
	v.w.Names.Add(hash, it.at)
	again, err := v.mark(v.listed, it.ref.number())
	if err != nil {
		return err
	}
	return v.addEntry(dir, it, good, !again)
}

// alias notes a short name, which must not be the name of another file.
func (v *volume) alias(dir *folder, it *item, hash uint64) {
	for _, f := range v.n.names {
		if f.parent == dir.ref && f.space == spaceWin32 {
			v.units = units(v.units[:0], f.name)
			if v.name, _ = layout.AppendName(v.name[:0], v.units); v.w.Names.Hash(v.name) == hash {
				return
			}
		}
	}
	v.w.Names.Add(hash, it.at)
}

// agree compares an index entry with what the file says of itself.
func (v *volume) agree(dir *folder, it *item, name []byte) (why string) {
	found, long := false, it.space != spaceDOS
	for _, f := range v.n.names {
		if f.parent == dir.ref {
			found = found || f.space == it.space && bytes.Equal(f.name, name)
			long = long || f.space == spaceWin32
		}
	}
	switch {
	case !found:
		return "it does not give itself that name in this folder"
	case !long:
		return "it has a short name there and no long one"
	case it.folder != v.n.rec.folder():
		return "one of them says that it is a folder and the other that it is a file"
	}
	return ""
}

// addEntry lists what v.name names. again is set when the record has been
// listed under another name.
func (v *volume) addEntry(dir *folder, it *item, good, again bool) error {
	n := &v.n
	e := layout.Entry{Modified: v.time(n.modified)}
	if err := v.describe(&e, n, again); err != nil {
		return err
	}
	if !good && e.Problem == nil {
		e.Problem = verdict.New(verdict.FilesystemInconsistent, v.entryAt(dir, it), "the name has characters that cannot be shown or may not be used")
	}
	if n.rec.folder() && n.problem != nil {
		if err := v.w.Inconsistent(n.problem.Where, "the folder %q: %s", v.name, n.problem.Detail); err != nil {
			return err
		}
	}
	path := ""
	if dir.hidden {
		if !strings.HasPrefix(string(v.name), "$") {
			return v.w.Inconsistent(v.entryAt(dir, it), "the name %q is hidden among the files of the system", v.name)
		}
		path = dir.path + "/" + string(v.name)
	} else {
		var err error
		if path, err = v.w.Add(dir.path, v.name, e); err != nil {
			return err
		}
		if !again {
			if err := v.addStreams(dir.path, v.name, n); err != nil {
				return err
			}
		}
	}
	switch {
	case !v.enters(n) || n.problem != nil:
		return nil
	case again:
		return v.w.Inconsistent(v.entryAt(dir, it), "the folder %q was met before under another name", v.name)
	}
	v.pending = append(v.pending, folder{path: path, ref: it.ref, hidden: dir.hidden})
	return nil
}
