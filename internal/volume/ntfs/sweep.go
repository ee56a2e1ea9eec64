package ntfs

import (
	"fmt"

	"sallyport/internal/limit"
	"sallyport/internal/volume/layout"
)

// sweep goes through the MFT from its beginning to its end and compares what
// the records say of themselves with what the folders led to.
func (v *volume) sweep() error {
	r := &v.n.rec
	names := int64(0)
	for number := int64(0); number < v.records; number++ {
		used, err := v.used.get(number)
		if err != nil {
			return err
		}
		why, err := v.load(r, number, true)
		if err != nil {
			return err
		}
		fresh, err := v.unseen(number)
		if err != nil {
			return err
		}
		switch {
		case why != "" && used && fresh:
			v.broken.add(v.recordAt(number), "the record is damaged and marked as in use: "+why)
		case why != "":
		case !r.inUse():
			if r.base == 0 && number >= firstUser {
				err = v.deleted(r)
			}
		default:
			k := v.sweepUsed(r, used, fresh)
			if number >= firstUser && (r.base == 0 || r.base.number() >= firstUser) {
				names += k
			}
		}
		if err != nil {
			return err
		}
	}
	for _, t := range []*tally{&v.broken, &v.freeUsed, &v.orphans} {
		if err := t.report(v); err != nil {
			return err
		}
	}
	if names != v.named && !v.unsure && len(v.w.Vol.Problems) == 0 {
		return v.w.Inconsistent(mftName, "the file records hold %d names and the folders %d: systems would show different files", names, v.named)
	}
	return nil
}

// unseen says whether no folder led to a record.
func (v *volume) unseen(number int64) (bool, error) {
	return v.mark(v.seen, number)
}

// sweepUsed looks at a record in use and returns how many names it has.
func (v *volume) sweepUsed(r *record, used, fresh bool) (names int64) {
	where := func() string { return v.recordAt(r.number) }
	if !used {
		v.freeUsed.add(where(), "the record is in use, and the bitmap of the master file table says that it is free")
	}
	var a attribute
	shown := ""
	for pos := r.first; ; {
		next, done, _ := r.next(pos, &a)
		if done || a.kind > attrFileName {
			break
		}
		pos = next
		if a.kind != attrFileName || !a.resident {
			continue
		}
		if names++; fresh && shown == "" {
			if f, why := parseName(a.value); why == "" {
				shown = v.text16(f.name)
			}
		}
	}
	switch {
	case !fresh, r.base != 0 && v.hurt[r.base.number()]:
	case r.base != 0:
		v.orphans.add(where(), fmt.Sprintf("it continues file record %d, which does not list it", r.base.number()))
	case names > 0:
		v.orphans.add(where(), fmt.Sprintf("no folder leads to the file %q, so that some systems show it and others do not", shown))
	}
	return names
}

func (v *volume) text16(p []byte) string {
	v.units = units(v.units[:0], p)
	v.name, _ = layout.AppendName(v.name[:0], v.units)
	return string(v.name)
}

// deleted counts a record that is no longer in use and still has a name.
func (v *volume) deleted(r *record) error {
	var a attribute
	for pos := r.first; ; {
		next, done, _ := r.next(pos, &a)
		if done || a.kind > attrFileName {
			return nil
		}
		pos = next
		if a.kind != attrFileName || !a.resident {
			continue
		}
		f, why := parseName(a.value)
		if why != "" || f.space == spaceDOS {
			continue
		}
		v.text16(f.name)
		return v.w.Deleted(v.folderOf(f.parent), v.name)
	}
}

// folderOf returns the path of a folder for the name of a deleted file, or ""
// when it is the root, is gone itself, or nobody will see the answer.
func (v *volume) folderOf(parent ref) string {
	if len(v.w.Vol.DeletedNames) < limit.DeletedNames {
		for i := range v.pending {
			if v.pending[i].ref == parent {
				return v.pending[i].path
			}
		}
	}
	return ""
}
