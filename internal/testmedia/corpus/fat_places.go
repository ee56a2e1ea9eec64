package corpus

func fatPlaces() map[string]Place {
	fixed := func(at func(p *fatPlan) int64) Place {
		return Place{At: func(img *Image, _ string) int64 { return at(plan(img)) }}
	}
	return map[string]Place{
		"boot":        fixed(func(*fatPlan) int64 { return 0 }),
		"fsinfo":      fixed(func(p *fatPlan) int64 { return p.sector }),
		"backup-boot": fixed(func(p *fatPlan) int64 { return 6 * p.sector }),
		"fat1":        fixed(func(p *fatPlan) int64 { return p.table }),
		"fat2":        fixed(func(p *fatPlan) int64 { return p.table + p.tableBytes }),
		"data":        fixed(func(p *fatPlan) int64 { return p.data }),
		"root": fixed(func(p *fatPlan) int64 {
			if p.bits == 32 {
				return p.offset(p.rootCluster)
			}
			return p.root
		}),
		// free:DIR is the first free record of a folder, "/" for the root.
		"free":    {true, func(img *Image, dir string) int64 { return plan(img).end(img, dir) }},
		"entry":   {true, func(img *Image, file string) int64 { return plan(img).find(img, file).off }},
		"long":    {true, func(img *Image, file string) int64 { return plan(img).find(img, file).long }},
		"content": {true, func(img *Image, file string) int64 { return plan(img).offset(plan(img).nth(img, file, "0")) }},
		// link:FILE:N is the place of the entry of a file's Nth cluster in FAT 1.
		"link": {true, func(img *Image, arg string) int64 {
			p := plan(img)
			file, n, _ := cutLast(arg, ":")
			return p.table + int64(p.nth(img, file, n))*int64(p.bits)/8
		}},
	}
}

func fatFields() []Field {
	var list []Field
	add := func(place string, fields ...Field) {
		for _, f := range fields {
			f.Place = place
			list = append(list, f)
		}
	}
	boot := []Field{
		{Name: "bytes-per-sector", Off: 11, Width: 2}, {Name: "sectors-per-cluster", Off: 13, Width: 1},
		{Name: "reserved-sectors", Off: 14, Width: 2}, {Name: "number-of-fats", Off: 16, Width: 1},
		{Name: "root-entries", Off: 17, Width: 2}, {Name: "total-sectors-16", Off: 19, Width: 2},
		{Name: "media-byte", Off: 21, Width: 1}, {Name: "fat-sectors-16", Off: 22, Width: 2},
		{Name: "sectors-per-track", Off: 24, Width: 2}, {Name: "heads", Off: 26, Width: 2},
		{Name: "hidden-sectors", Off: 28, Width: 4}, {Name: "total-sectors-32", Off: 32, Width: 4},
		{Name: "boot-signature", Off: 510, Width: 2},
	}
	add("boot", boot...)
	add("boot",
		Field{Name: "drive-16", Off: 36, Width: 1}, Field{Name: "dirty-16", Off: 37, Width: 1},
		Field{Name: "extended-signature-16", Off: 38, Width: 1}, Field{Name: "serial-16", Off: 39, Width: 4},
		Field{Name: "fat-sectors-32", Off: 36, Width: 4}, Field{Name: "flags-32", Off: 40, Width: 2},
		Field{Name: "version-32", Off: 42, Width: 2}, Field{Name: "root-cluster", Off: 44, Width: 4},
		Field{Name: "fsinfo-sector", Off: 48, Width: 2}, Field{Name: "backup-sector", Off: 50, Width: 2},
		Field{Name: "dirty-32", Off: 65, Width: 1}, Field{Name: "extended-signature-32", Off: 66, Width: 1},
		Field{Name: "serial-32", Off: 67, Width: 4})
	add("fsinfo",
		Field{Name: "fsinfo-signature", Off: 0, Width: 4}, Field{Name: "free-clusters", Off: 488, Width: 4},
		Field{Name: "next-free", Off: 492, Width: 4})
	add("entry",
		Field{Name: "attributes", Off: 11, Width: 1}, Field{Name: "case-flags", Off: 12, Width: 1},
		Field{Name: "first-cluster-high", Off: 20, Width: 2}, Field{Name: "write-time", Off: 22, Width: 2},
		Field{Name: "write-date", Off: 24, Width: 2}, Field{Name: "first-cluster", Off: 26, Width: 2},
		Field{Name: "size", Off: 28, Width: 4})
	add("long",
		Field{Name: "long-number", Off: 0, Width: 1}, Field{Name: "long-type", Off: 12, Width: 1},
		Field{Name: "long-checksum", Off: 13, Width: 1}, Field{Name: "long-cluster", Off: 26, Width: 2})
	return list
}
