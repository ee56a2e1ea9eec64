package corpus

import (
	"encoding/binary"
	"strconv"
	"strings"
	"testing"
	"unicode/utf16"

	"sallyport/internal/testmedia"
)

// isoFamily is ISO 9660 without a partition table. Its bases:
//
//	iso          genisoimage, Rock Ridge and Joliet
//	iso-rock     genisoimage, Rock Ridge
//	iso-joliet   genisoimage, Joliet
//	iso-plain    genisoimage, neither; names of 8 and 3 characters alone
//	iso-xorriso  xorriso, Rock Ridge, Joliet and ISO 9660:1999
//	iso-deep     genisoimage, Rock Ridge and Joliet, with a relocated folder;
//	             levels=9 folders below each other
//
// The option block makes the logical blocks of iso-plain and iso-joliet smaller.
func isoFamily() *Family {
	return &Family{
		Name: "iso9660",
		Bases: map[string]func(t testing.TB, o *Options) Base{
			"iso":        func(t testing.TB, o *Options) Base { return isoBase(t, o, testmedia.Genisoimage, "-R", "-J") },
			"iso-rock":   func(t testing.TB, o *Options) Base { return isoBase(t, o, testmedia.Genisoimage, "-R") },
			"iso-joliet": func(t testing.TB, o *Options) Base { return isoBase(t, o, testmedia.Genisoimage, "-J") },
			"iso-plain":  func(t testing.TB, o *Options) Base { return isoBase(t, o, testmedia.Genisoimage) },
			"iso-xorriso": func(t testing.TB, o *Options) Base {
				return isoBase(t, o, testmedia.Xorriso, "-R", "-J", "-iso-level", "4")
			},
			"iso-deep": func(t testing.TB, o *Options) Base {
				tree := o.Tree()
				path := ""
				for i := range o.Number("levels", "9") {
					path += strconv.FormatInt(i+1, 10) + "/"
				}
				tree[path+"far.txt"] = noise(7, 2500)
				return Base{testmedia.Genisoimage(t, testmedia.Folder(t, tree), "-no-pad", "-R", "-J"), []testmedia.Files{tree}}
			},
		},
		Survey: func(img *Image) any { return surveyISO(img) },
		Places: isoPlaces(),
		Fields: isoFields(),
		Damages: map[string]Damage{
			// both sets a number and the copy of it in the other byte order.
			"both": {[]Kind{FieldK, ValueK}, func(img *Image, a []Arg) {
				f := a[0].field
				img.setField(f, a[1].value)
				f.where.delta += int64(f.Width)
				f.Big = true
				img.setField(f, a[1].value)
			}},
		},
	}
}

func isoBase(t testing.TB, o *Options, make func(t testing.TB, dir string, args ...string) string, args ...string) Base {
	t.Helper()
	tree := o.Tree()
	plain := len(args) == 0
	if plain {
		delete(tree, "a long name of a file.txt")
	}
	img := make(t, testmedia.Folder(t, tree), append(args, "-no-pad")...)
	if block := o.Number("block", "2048"); block != 2048 {
		testmedia.SmallBlocks(t, img, int(block))
	}
	return Base{img, []testmedia.Files{tree}}
}

const isoSector = 2048

// isoPlan is where things are on an undamaged ISO 9660 image.
type isoPlan struct {
	block                          int64
	primary, joliet, enhanced, end int64            // descriptors, 0 for none
	records                        map[string]int64 // of the primary tree, by path
	wide                           map[string]int64 // of the Joliet tree
	relaxed                        map[string]int64 // of the tree of ISO 9660:1999
}

func iso(img *Image) *isoPlan { return img.Plan.(*isoPlan) }

func surveyISO(img *Image) *isoPlan {
	p := &isoPlan{}
	for at := int64(16 * isoSector); p.end == 0; at += isoSector {
		switch kind := img.Read(at, 7); {
		case string(kind[1:6]) != "CD001":
			img.Fatalf("no descriptor at byte %d", at)
		case kind[0] == 1:
			p.primary = at
		case kind[0] == 2 && kind[6] == 2:
			p.enhanced = at
		case kind[0] == 2:
			p.joliet = at
		case kind[0] == 255:
			p.end = at
		}
	}
	p.block = int64(img.Number(p.primary+128, 2))
	p.records = p.walk(img, p.primary)
	if p.joliet != 0 {
		p.wide = p.walk(img, p.joliet)
	}
	if p.enhanced != 0 {
		p.relaxed = p.walk(img, p.enhanced)
	}
	return p
}

// walk finds the records of a tree. The two dots of a folder are there as well.
func (p *isoPlan) walk(img *Image, descriptor int64) map[string]int64 {
	found := map[string]int64{}
	type folder struct {
		path     string
		at, size int64
	}
	list := []folder{{"", int64(img.Number(descriptor+158, 4)) * p.block, int64(img.Number(descriptor+166, 4))}}
	for len(list) > 0 {
		f := list[0]
		list = list[1:]
		for at := f.at; at < f.at+f.size; {
			n := int64(img.Number(at, 1))
			if n == 0 {
				at += isoSector - at%isoSector
				continue
			}
			r := img.Read(at, int(n))
			path := f.path + p.name(r, descriptor)
			found[path] = at
			if r[25]&2 != 0 && !strings.HasSuffix("/"+path, "/.") && !strings.HasSuffix("/"+path, "/..") {
				list = append(list, folder{path + "/", int64(binary.LittleEndian.Uint32(r[2:])) * p.block, int64(binary.LittleEndian.Uint32(r[10:]))})
			}
			at += n
		}
	}
	return found
}

func (p *isoPlan) name(r []byte, descriptor int64) string {
	id := r[33 : 33+int(r[32])]
	if len(id) == 1 && id[0] < 2 {
		return [2]string{".", ".."}[id[0]]
	}
	if use := isoUse(r); descriptor == p.primary {
		for ; len(use) >= 5; use = use[use[2]:] {
			if string(use[:2]) == "NM" {
				return string(use[5:use[2]])
			}
		}
	}
	if descriptor == p.joliet {
		var units []uint16
		for ; len(id) >= 2; id = id[2:] {
			units = append(units, binary.BigEndian.Uint16(id))
		}
		id = []byte(string(utf16.Decode(units)))
	}
	return strings.TrimRight(strings.TrimSuffix(string(id), ";1"), ".")
}

// isoUse returns the system use area of a record.
func isoUse(r []byte) []byte {
	n := 33 + int(r[32])
	return r[min(len(r), n+n&1):]
}

func (p *isoPlan) find(img *Image, tree map[string]int64, path string) int64 {
	at, ok := tree[path]
	if !ok {
		img.Fatalf("no record of %q", path)
	}
	return at
}

// rock returns where a field of Rock Ridge stands: its name, a colon, the path.
func (p *isoPlan) rock(img *Image, arg string) int64 {
	name, path, _ := strings.Cut(arg, ":")
	at := p.find(img, p.records, path)
	r := img.Read(at, int(img.Number(at, 1)))
	use := isoUse(r)
	for off := at + int64(len(r)-len(use)); len(use) >= 4 && use[2] >= 4; {
		if string(use[:2]) == name {
			return off
		}
		off += int64(use[2])
		use = use[use[2]:]
	}
	img.Fatalf("%q has no field %s", path, name)
	return 0
}

func isoPlaces() map[string]Place {
	fixed := func(at func(img *Image, p *isoPlan) int64) Place {
		return Place{At: func(img *Image, _ string) int64 {
			off := at(img, iso(img))
			if off == 0 {
				img.Fatalf("the image has no such place")
			}
			return off
		}}
	}
	table := func(of func(p *isoPlan) int64, m bool) Place {
		return fixed(func(img *Image, p *isoPlan) int64 {
			b := img.Read(of(p)+140, 16)
			if m {
				return int64(binary.BigEndian.Uint32(b[8:])) * p.block
			}
			return int64(binary.LittleEndian.Uint32(b)) * p.block
		})
	}
	primary := func(p *isoPlan) int64 { return p.primary }
	joliet := func(p *isoPlan) int64 { return p.joliet }
	record := func(tree func(p *isoPlan) map[string]int64) Place {
		return Place{true, func(img *Image, path string) int64 { return iso(img).find(img, tree(iso(img)), path) }}
	}
	return map[string]Place{
		"primary":  fixed(func(_ *Image, p *isoPlan) int64 { return p.primary }),
		"joliet":   fixed(func(_ *Image, p *isoPlan) int64 { return p.joliet }),
		"enhanced": fixed(func(_ *Image, p *isoPlan) int64 { return p.enhanced }),
		"end-mark": fixed(func(_ *Image, p *isoPlan) int64 { return p.end }),
		"table-l":  table(primary, false), "table-m": table(primary, true),
		"joliet-table-l": table(joliet, false), "joliet-table-m": table(joliet, true),
		// record:PATH is the directory record of a file or folder; record:DIR/. and
		// record:DIR/.. are the first two of a folder.
		"record":          record(func(p *isoPlan) map[string]int64 { return p.records }),
		"joliet-record":   record(func(p *isoPlan) map[string]int64 { return p.wide }),
		"enhanced-record": record(func(p *isoPlan) map[string]int64 { return p.relaxed }),
		// rock:NM:PATH is a field of Rock Ridge in that record.
		"rock": {true, func(img *Image, arg string) int64 { return iso(img).rock(img, arg) }},
		// more:PATH is the continuation area of that record.
		"more": {true, func(img *Image, path string) int64 {
			at := iso(img).rock(img, "CE:"+path)
			return int64(img.Number(at+4, 4))*iso(img).block + int64(img.Number(at+12, 4))
		}},
		"content": {true, func(img *Image, path string) int64 {
			p := iso(img)
			return int64(img.Number(p.find(img, p.records, path)+2, 4)) * p.block
		}},
	}
}

func isoFields() []Field {
	var list []Field
	add := func(place, prefix string, fields ...Field) {
		for _, f := range fields {
			f.Place, f.Name = place, prefix+f.Name
			list = append(list, f)
		}
	}
	descriptor := []Field{
		{Name: "type", Off: 0, Width: 1}, {Name: "version", Off: 6, Width: 1},
		{Name: "space", Off: 80, Width: 4}, {Name: "set-size", Off: 120, Width: 2}, {Name: "sequence", Off: 124, Width: 2},
		{Name: "block-size", Off: 128, Width: 2}, {Name: "table-size", Off: 132, Width: 4},
		{Name: "table-l", Off: 140, Width: 4}, {Name: "optional-table-l", Off: 144, Width: 4},
		{Name: "table-m", Off: 148, Width: 4, Big: true}, {Name: "optional-table-m", Off: 152, Width: 4, Big: true},
		{Name: "root-length", Off: 156, Width: 1}, {Name: "root-attributes", Off: 157, Width: 1},
		{Name: "root-extent", Off: 158, Width: 4}, {Name: "root-size", Off: 166, Width: 4},
		{Name: "root-flags", Off: 181, Width: 1}, {Name: "root-unit", Off: 182, Width: 1},
		{Name: "structure-version", Off: 881, Width: 1},
	}
	record := []Field{
		{Name: "length", Off: 0, Width: 1}, {Name: "attributes", Off: 1, Width: 1},
		{Name: "extent", Off: 2, Width: 4}, {Name: "size", Off: 10, Width: 4}, {Name: "year", Off: 18, Width: 1},
		{Name: "month", Off: 19, Width: 1}, {Name: "flags", Off: 25, Width: 1}, {Name: "unit", Off: 26, Width: 1},
		{Name: "gap", Off: 27, Width: 1}, {Name: "volume", Off: 28, Width: 2}, {Name: "name-length", Off: 32, Width: 1},
	}
	add("primary", "", descriptor...)
	add("joliet", "joliet-", descriptor...)
	add("enhanced", "enhanced-", descriptor...)
	add("record", "", record...)
	add("joliet-record", "joliet-record-", record...)
	add("rock", "", Field{Name: "mode", Off: 4, Width: 4}, Field{Name: "name-flags", Off: 4, Width: 1},
		Field{Name: "field-length", Off: 2, Width: 1}, Field{Name: "more-block", Off: 4, Width: 4},
		Field{Name: "more-offset", Off: 12, Width: 4}, Field{Name: "more-length", Off: 20, Width: 4},
		Field{Name: "place", Off: 4, Width: 4}, Field{Name: "skip", Off: 6, Width: 1})
	return list
}
