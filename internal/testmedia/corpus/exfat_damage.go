package corpus

import "fmt"

func exfatPlaces() map[string]Place {
	fixed := func(at func(p *exfatPlan) int64) Place {
		return Place{At: func(img *Image, _ string) int64 { return at(exfat(img)) }}
	}
	of := func(off int64) Place {
		return Place{true, func(img *Image, file string) int64 { return exfat(img).find(img, file).off + off }}
	}
	return map[string]Place{
		"boot":         fixed(func(*exfatPlan) int64 { return 0 }),
		"checksum":     fixed(func(p *exfatPlan) int64 { return 11 * p.sector }),
		"backup-boot":  fixed(func(p *exfatPlan) int64 { return 12 * p.sector }),
		"fat":          fixed(func(p *exfatPlan) int64 { return p.table }),
		"heap":         fixed(func(p *exfatPlan) int64 { return p.heap }),
		"root":         fixed(func(p *exfatPlan) int64 { return p.offset(p.root) }),
		"bitmap":       fixed(func(p *exfatPlan) int64 { return p.bitmapAt }),
		"upcase":       fixed(func(p *exfatPlan) int64 { return p.upcaseAt }),
		"bitmap-entry": fixed(func(p *exfatPlan) int64 { return p.bitmap }),
		"upcase-entry": fixed(func(p *exfatPlan) int64 { return p.upcase }),
		"label-entry":  fixed(func(p *exfatPlan) int64 { return p.label }),
		// entry, stream and name are the first three entries of a file's set.
		"entry": of(0), "stream": of(32), "name": of(64),
		"content": {true, func(img *Image, file string) int64 { return exfat(img).offset(exfat(img).nth(img, file, "0")) }},
		// free:DIR is the first unused entry of a folder, "/" for the root.
		"free": {true, func(img *Image, dir string) int64 { return exfat(img).end(img, dir) }},
	}
}

func exfatFields() []Field {
	return []Field{
		{Name: "partition-offset", Place: "boot", Off: 64, Width: 8}, {Name: "volume-length", Place: "boot", Off: 72, Width: 8},
		{Name: "fat-offset", Place: "boot", Off: 80, Width: 4}, {Name: "fat-length", Place: "boot", Off: 84, Width: 4},
		{Name: "heap-offset", Place: "boot", Off: 88, Width: 4}, {Name: "cluster-count", Place: "boot", Off: 92, Width: 4},
		{Name: "root-cluster", Place: "boot", Off: 96, Width: 4}, {Name: "serial", Place: "boot", Off: 100, Width: 4},
		{Name: "revision", Place: "boot", Off: 104, Width: 2}, {Name: "flags", Place: "boot", Off: 106, Width: 2},
		{Name: "sector-shift", Place: "boot", Off: 108, Width: 1}, {Name: "cluster-shift", Place: "boot", Off: 109, Width: 1},
		{Name: "number-of-fats", Place: "boot", Off: 110, Width: 1}, {Name: "drive", Place: "boot", Off: 111, Width: 1},
		{Name: "percent", Place: "boot", Off: 112, Width: 1}, {Name: "boot-signature", Place: "boot", Off: 510, Width: 2},
		{Name: "extended-signature", Place: "boot", Off: 1020, Width: 4},

		{Name: "bitmap-flags", Place: "bitmap-entry", Off: 1, Width: 1}, {Name: "bitmap-first", Place: "bitmap-entry", Off: 20, Width: 4},
		{Name: "bitmap-size", Place: "bitmap-entry", Off: 24, Width: 8},
		{Name: "upcase-checksum", Place: "upcase-entry", Off: 4, Width: 4}, {Name: "upcase-first", Place: "upcase-entry", Off: 20, Width: 4},
		{Name: "upcase-size", Place: "upcase-entry", Off: 24, Width: 8},
		{Name: "label-length", Place: "label-entry", Off: 1, Width: 1},

		{Name: "secondary-count", Place: "entry", Off: 1, Width: 1}, {Name: "set-checksum", Place: "entry", Off: 2, Width: 2},
		{Name: "attributes", Place: "entry", Off: 4, Width: 2}, {Name: "modified", Place: "entry", Off: 12, Width: 4},
		{Name: "modified-10ms", Place: "entry", Off: 21, Width: 1},
		{Name: "stream-flags", Place: "stream", Off: 1, Width: 1}, {Name: "name-length", Place: "stream", Off: 3, Width: 1},
		{Name: "name-hash", Place: "stream", Off: 4, Width: 2}, {Name: "valid-length", Place: "stream", Off: 8, Width: 8},
		{Name: "first-cluster", Place: "stream", Off: 20, Width: 4}, {Name: "size", Place: "stream", Off: 24, Width: 8},
		{Name: "name-type", Place: "name", Off: 0, Width: 1},
	}
}

func exfatDamages() map[string]Damage {
	return map[string]Damage{
		// chain FILE writes a file's clusters into the table and says so in its
		// entry set; by itself it is no damage.
		"chain": {[]Kind{Word}, func(img *Image, a []Arg) { exfat(img).chained(img, a[0].Text) }},
		// link FILE N TARGET sets the table's entry of a file's Nth cluster.
		"link": {[]Kind{Word, Word, Word}, func(img *Image, a []Arg) {
			p := exfat(img)
			p.link(img, p.nth(img, a[0].Text, a[1].Text), p.target(img, a[2].Text))
		}},
		// table-entry CLUSTER VALUE sets an entry of the table by its number.
		"table-entry": {[]Kind{Word, Word}, func(img *Image, a []Arg) {
			p := exfat(img)
			p.link(img, p.target(img, a[0].Text), p.target(img, a[1].Text))
		}},
		// loop FILE makes its last cluster point at its first.
		"loop": {[]Kind{Word}, func(img *Image, a []Arg) {
			p := exfat(img)
			p.chained(img, a[0].Text)
			p.link(img, p.nth(img, a[0].Text, "-1"), p.nth(img, a[0].Text, "0"))
		}},
		// crosslink A B makes A go on in the second cluster of B.
		"crosslink": {[]Kind{Word, Word}, func(img *Image, a []Arg) {
			p := exfat(img)
			p.chained(img, a[0].Text)
			p.link(img, p.nth(img, a[0].Text, "0"), p.nth(img, a[1].Text, "1"))
		}},
		// first FILE TARGET makes the file or folder start at another cluster.
		"first": {[]Kind{Word, Word}, func(img *Image, a []Arg) {
			p := exfat(img)
			img.SetNumber(p.find(img, a[0].Text).off+32+20, 4, uint64(p.target(img, a[1].Text)))
			img.family.Seals["set"].Do(img, a[0].Text)
		}},
		// mark-free FILE N takes a cluster of a file out of the bitmap.
		"mark-free": {[]Kind{Word, Word}, func(img *Image, a []Arg) {
			p := exfat(img)
			p.mark(img, false, p.nth(img, a[0].Text, a[1].Text))
		}},
		// set PLACE NAME ATTRIBUTES TARGET SIZE writes an entry set.
		"set": {[]Kind{PlaceK, Word, Number, Word, Number}, func(img *Image, a []Arg) {
			img.Write(img.At(a[0]), entrySet(a[1].Text, byte(a[2].N), exfat(img).target(img, a[3].Text), a[4].N)...)
		}},
		// depth N NAME puts folders of one name into each other, from the root.
		"depth": {[]Kind{Number, Word}, func(img *Image, a []Arg) {
			p := exfat(img)
			first := p.free(img, a[0].N)
			at := p.end(img, "/")
			for c := first; c < first+uint32(a[0].N); c++ {
				p.mark(img, true, c)
				img.Write(at, entrySet(a[1].Text, 0x10, c, p.cluster)...)
				at = p.offset(c)
			}
		}},
		// many N NAME puts N empty files, NAME0000000 and so on, into the folder
		// "many" of the root.
		"many": {[]Kind{Number, Word}, func(img *Image, a []Arg) {
			p := exfat(img)
			var sets []byte
			for i := range a[0].N {
				sets = append(sets, entrySet(fmt.Sprintf("%s%07d", a[1].Text, i), 0x20, 0, 0)...)
			}
			n := (int64(len(sets)) + p.cluster - 1) / p.cluster
			first := p.free(img, n)
			for i := range uint32(n) {
				p.mark(img, true, first+i)
			}
			img.Write(p.end(img, "/"), entrySet("many", 0x10, first, n*p.cluster)...)
			img.Write(p.offset(first), sets...)
		}},
	}
}

func (p *exfatPlan) link(img *Image, cluster, value uint32) {
	img.Helper()
	img.SetNumber(p.table+4*int64(cluster), 4, uint64(value))
}

// chained writes a file's clusters into the table.
func (p *exfatPlan) chained(img *Image, file string) {
	img.Helper()
	s := p.find(img, file)
	for i, c := range s.chain {
		next := uint32(0xFFFFFFFF)
		if i+1 < len(s.chain) {
			next = s.chain[i+1]
		}
		p.link(img, c, next)
	}
	img.SetNumber(s.off+33, 1, img.Number(s.off+33, 1)&^2)
	img.family.Seals["set"].Do(img, file)
}
