package iso9660

import (
	"cmp"
	"encoding/binary"
	"hash/maphash"
	"slices"

	"sallyport/internal/verdict"
	"sallyport/internal/volume/layout"
)

// fileRef is one file of a tree that is compared with another. Hashes are keyed,
// so that two that differ are equal with a chance of 2⁻⁶⁴ that nobody outside
// can aim at.
type fileRef struct {
	content uint64 // of extents and size, or one of the two below
	path    uint64
	at      int64 // of its record, on the device
}

const (
	emptyContent   = 0
	specialContent = 1 // a link, a device: missing in other trees, or empty there

	fileRefBytes = 24
)

// remember keeps the file at hand for the comparison.
func (t *tree) remember(f *folder, name uint64, plain bool) error {
	if !t.compared {
		return nil
	}
	if len(t.files) == cap(t.files) {
		more := min(max(1024, cap(t.files)/4), 16<<10) // little room to spare: it is paid for
		if err := t.w.Memory("the comparison of the trees", int64(more)*fileRefBytes); err != nil {
			return err
		}
		t.files = append(make([]fileRef, 0, len(t.files)+more), t.files...)
	}
	r := fileRef{path: t.below(f, name), at: t.item.place.Off}
	switch {
	case !plain:
		r.content = specialContent
	case t.item.e.Size > 0:
		var h maphash.Hash
		h.SetSeed(t.seed)
		var b [9]byte
		for _, x := range t.runs {
			binary.LittleEndian.PutUint32(b[:], x.extent)
			binary.LittleEndian.PutUint32(b[4:], x.size)
			b[8] = x.xar
			h.Write(b[:])
		}
		r.content = max(h.Sum64(), specialContent+1)
	}
	t.files = append(t.files, r)
	return nil
}

// named says whether people see the names of the tree as their writer chose
// them: then equal paths are meant to be one file.
func (t *tree) named() bool { return t.rocky || t.d.kind == joliet }

// compare checks that the listed tree a and another one show the same.
func (a *tree) compare(b *tree) error {
	if a.broken || b.broken {
		return nil // they will differ, and why is known
	}
	// genisoimage shows the folder that holds relocated ones in Rock Ridge and
	// not in Joliet, xorriso in Joliet and not in Rock Ridge.
	if b.folders > a.folders+a.hidden || b.folders < a.folders-a.holders {
		return a.w.Problem(inconsistent(b.d.place("root folder"),
			"the %s has %d folders and the %s %d: systems would see different contents", a, a.folders, b, b.folders))
	}
	if a.named() && b.named() {
		if f := samePaths(a, b); f != nil {
			return a.w.Problem(f)
		}
	}
	only, other, r := differ(a, b)
	if r == nil {
		return nil
	}
	return a.w.Problem(inconsistent(layout.Place{What: "record of a file", Off: r.at},
		"%s is in the %s and not in the %s: systems would see different contents", a.example(r), only, other))
}

// samePaths finds what has one path in both trees and another content.
func samePaths(a, b *tree) *verdict.Finding {
	for _, t := range []*tree{a, b} {
		slices.SortFunc(t.files, func(x, y fileRef) int {
			return cmp.Or(cmp.Compare(x.path, y.path), cmp.Compare(x.at, y.at))
		})
	}
	x := a.files
	for i := range b.files {
		r := &b.files[i]
		where := layout.Place{What: "record of a file", Off: r.at}
		if i > 0 && b.files[i-1].path == r.path {
			return inconsistent(where, "the record there and the one at byte %d have the same name in the %s", b.files[i-1].at, b)
		}
		for len(x) > 0 && x[0].path < r.path {
			x = x[1:]
		}
		if len(x) == 0 || x[0].path != r.path || x[0].content == r.content {
			continue
		}
		if x[0].content == specialContent && r.content == emptyContent {
			continue
		}
		return inconsistent(where, "%s has another content in the %s than in the %s: systems would see different contents", a.example(r), b, a)
	}
	return nil
}

// differ finds a file of the one tree whose content the other does not have as
// often.
func differ(a, b *tree) (only, other *tree, r *fileRef) {
	for _, t := range []*tree{a, b} {
		slices.SortFunc(t.files, func(x, y fileRef) int {
			return cmp.Or(cmp.Compare(x.content, y.content), cmp.Compare(x.at, y.at))
		})
	}
	x, specials := skipSmall(a.files)
	y, _ := skipSmall(b.files)
	emptyA, emptyB := len(a.files)-len(x)-specials, len(b.files)-len(y)
	switch {
	case emptyB < emptyA:
		return a, b, &a.files[0]
	case emptyB > emptyA+specials:
		return b, a, &b.files[0]
	}
	for len(x) > 0 || len(y) > 0 {
		switch {
		case len(y) == 0 || len(x) > 0 && x[0].content < y[0].content:
			return a, b, &x[0]
		case len(x) == 0 || x[0].content > y[0].content:
			return b, a, &y[0]
		}
		x, y = x[1:], y[1:]
	}
	return nil, nil, nil
}

// skipSmall returns the files with content of a sorted list, and how many of
// the others are special.
func skipSmall(list []fileRef) (rest []fileRef, specials int) {
	for len(list) > 0 && list[0].content <= specialContent {
		if list[0].content == specialContent {
			specials++
		}
		list = list[1:]
	}
	return list, specials
}

// example names the file of a record as far as the record does.
func (v *volume) example(r *fileRef) string {
	const unnamed = "a file"
	var b [255]byte
	n := min(int64(len(b)), v.w.Dev.Size()-r.at)
	if n <= recordHead || v.w.Dev.Read(b[:n], r.at, "record of a file") != nil || int64(b[0]) > n {
		return unnamed
	}
	rec, why := parseRecord(b[:b[0]], r.at)
	if why != "" {
		return unnamed
	}
	id := rec.id
	if len(id) >= 2 && id[0] == 0 && v.decode(plainName(id, true)) {
		name, _ := layout.AppendName(nil, v.units)
		return string(name)
	}
	name, _ := layout.AppendText(nil, plainName(id, false))
	return string(name)
}
