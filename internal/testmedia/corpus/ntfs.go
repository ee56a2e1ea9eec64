package corpus

import (
	"encoding/binary"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"

	"sallyport/internal/testmedia"
)

// ntfsFamily is NTFS without a partition table, written by ntfs-3g in a fixed
// order. The option many=N adds a folder MANY of N files, things=1 streams,
// links, holes and a deleted file.
func ntfsFamily() *Family {
	return &Family{
		Name:    "ntfs",
		Bases:   map[string]func(t testing.TB, o *Options) Base{"ntfs": ntfsBase},
		Survey:  func(img *Image) any { return surveyNTFS(img) },
		Places:  ntfsPlaces(),
		Fields:  ntfsFields(),
		Damages: ntfsDamages(),
		Seals: map[string]Seal{
			// mirror makes $MFTMirr equal to the first records.
			"mirror": {Do: func(img *Image, _ string) {
				p := ntfsPlanOf(img)
				img.Write(p.mirror, img.Read(p.table, int(4*p.record))...)
			}},
			// backup makes the backup boot sector equal to the first one.
			"backup": {Do: func(img *Image, _ string) { img.Write(img.Size()-512, img.Read(0, 512)...) }},
		},
	}
}

func ntfsBase(t testing.TB, o *Options) Base {
	t.Helper()
	tree := o.Tree()
	many, things := o.Number("many", "0"), o.Number("things", "0")
	opt := testmedia.Options{
		SizeMiB: int(o.Number("size", "8M") >> 20), Label: o.Word("label", ""),
		SectorBytes: int(o.Number("sector", "512")), ClusterSectors: int(o.Number("cluster", "0")),
	}
	for i := range many {
		tree[fmt.Sprintf("MANY/file number %05d of many", i)] = noise(uint32(i), int(i%5))
	}
	img := testmedia.EmptyNTFS(t, opt)
	testmedia.MountedNTFS(t, img, "", func(mnt string) {
		for _, name := range names(tree) {
			file := filepath.Join(mnt, name)
			check(t, os.MkdirAll(filepath.Dir(file), 0o755))
			check(t, os.WriteFile(file, tree[name], 0o644))
		}
		if things > 0 {
			ntfsThings(t, mnt)
		}
	})
	return Base{img, []testmedia.Files{tree}}
}

// ntfsThings puts what is no plain file below THINGS.
func ntfsThings(t testing.TB, mnt string) {
	t.Helper()
	dir := filepath.Join(mnt, "THINGS")
	in := func(name string) string { return filepath.Join(dir, name) }
	for _, do := range []func() error{
		func() error { return os.Mkdir(dir, 0o755) },
		func() error { return os.WriteFile(in("first"), noise(21, 5000), 0o644) },
		func() error { return os.Link(in("first"), in("second")) },
		func() error { return os.Symlink("first", in("soft")) },
		func() error { return unix.Mkfifo(in("fifo"), 0o644) },
		func() error { return os.WriteFile(in("short"), noise(22, 50), 0o644) },
		func() error { return unix.Setxattr(in("short"), "user.Zone.Identifier", noise(23, 40), 0) },
		func() error { return unix.Setxattr(in("short"), "user.large", noise(24, 20_000), 0) },
		func() error { return os.WriteFile(in("a long name.json"), noise(25, 2000), 0o644) },
		func() error {
			return unix.Setxattr(in("a long name.json"), "system.ntfs_dos_name", []byte("ALONGN~1.JSO"), 0)
		},
		func() error { return os.WriteFile(in("gone"), noise(26, 300), 0o644) },
		func() error { return os.Remove(in("gone")) },
		func() error { return os.WriteFile(in("holes"), noise(27, 9000), 0o644) },
		func() error { return os.Truncate(in("holes"), 20<<20) },
		func() error { return os.WriteFile(in("reparse"), noise(28, 40), 0o644) },
		func() error { return os.WriteFile(in("listed"), noise(29, 3000), 0o644) },
	} {
		check(t, do())
	}
	// So many streams need further records, and a list of them.
	for i := range 40 {
		check(t, unix.Setxattr(in("listed"), fmt.Sprintf("user.stream %02d", i), noise(uint32(i), 60), 0))
	}
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func ntfsPlaces() map[string]Place {
	fixed := func(at func(img *Image, p *ntfsPlan) int64) Place {
		return Place{At: func(img *Image, _ string) int64 { return at(img, ntfsPlanOf(img)) }}
	}
	of := func(at func(img *Image, p *ntfsPlan, arg string) int64) Place {
		return Place{Arg: true, At: func(img *Image, arg string) int64 { return at(img, ntfsPlanOf(img), arg) }}
	}
	return map[string]Place{
		"boot":        fixed(func(*Image, *ntfsPlan) int64 { return 0 }),
		"backup-boot": fixed(func(img *Image, _ *ntfsPlan) int64 { return img.Size() - 512 }),
		"mft":         fixed(func(_ *Image, p *ntfsPlan) int64 { return p.table }),
		"mirror":      fixed(func(_ *Image, p *ntfsPlan) int64 { return p.mirror }),
		// record:FILE, where FILE is a path, "/" for the root, or a number.
		"record": of(func(img *Image, p *ntfsPlan, file string) int64 { return p.offset(p.number(img, file)) }),
		// attr:FILE:TYPE or attr:FILE:TYPE:NAME is an attribute, value: its value,
		// pairs: its list of clusters.
		"attr":  of(func(img *Image, p *ntfsPlan, arg string) int64 { return p.findAttribute(img, arg) }),
		"value": of(func(img *Image, p *ntfsPlan, arg string) int64 { return p.value(img, p.findAttribute(img, arg)) }),
		"pairs": of(func(img *Image, p *ntfsPlan, arg string) int64 { return p.pairs(img, p.findAttribute(img, arg)) }),
		// data:FILE is the attribute of its content, content:FILE the content.
		"data": of(func(img *Image, p *ntfsPlan, file string) int64 { return p.findAttribute(img, file+":80") }),
		"content": of(func(img *Image, p *ntfsPlan, file string) int64 {
			return p.value(img, p.findAttribute(img, file+":80"))
		}),
		"name": of(func(img *Image, p *ntfsPlan, file string) int64 {
			return p.value(img, p.findAttribute(img, file+":30"))
		}),
		// key:FILE is its entry in the index of its folder.
		"key": of(func(img *Image, p *ntfsPlan, file string) int64 { return p.key(img, file) }),
		"index": of(func(img *Image, p *ntfsPlan, dir string) int64 {
			return p.value(img, p.findAttribute(img, dir+":90:$I30"))
		}),
		// list:FILE:N is an entry of its attribute list, extension:FILE the first
		// record that extends its own.
		"list": of(func(img *Image, p *ntfsPlan, arg string) int64 {
			file, n, _ := cutLast(arg, ":")
			entries := p.listed(img, file)
			i, err := strconv.Atoi(n)
			if err != nil || i < 0 || i >= len(entries) {
				img.Fatalf("the attribute list of %s has %d entries, not %q", file, len(entries), n)
			}
			return entries[i]
		}),
		"extension": of(func(img *Image, p *ntfsPlan, file string) int64 {
			for _, at := range p.listed(img, file) {
				if n := int64(img.Number(at+16, 6)); n != p.number(img, file) {
					return p.offset(n)
				}
			}
			img.Fatalf("nothing extends the record of %s", file)
			return 0
		}),
		// block:DIR:N is a block of the index of a folder.
		"block": of(func(img *Image, p *ntfsPlan, arg string) int64 { return p.block(img, arg) }),
	}
}

func ntfsFields() (list []Field) {
	add := func(place string, fields ...Field) {
		for _, f := range fields {
			f.Place = place
			list = append(list, f)
		}
	}
	add("boot",
		Field{Name: "bytes-per-sector", Off: 11, Width: 2}, Field{Name: "sectors-per-cluster", Off: 13, Width: 1},
		Field{Name: "reserved-sectors", Off: 14, Width: 2}, Field{Name: "sectors-16", Off: 19, Width: 2}, Field{Name: "sectors-32", Off: 32, Width: 4},
		Field{Name: "media-byte", Off: 21, Width: 1}, Field{Name: "hidden-sectors", Off: 28, Width: 4},
		Field{Name: "total-sectors", Off: 40, Width: 8}, Field{Name: "mft-cluster", Off: 48, Width: 8}, Field{Name: "mirror-cluster", Off: 56, Width: 8},
		Field{Name: "record-size", Off: 64, Width: 1}, Field{Name: "index-size", Off: 68, Width: 1}, Field{Name: "serial", Off: 72, Width: 8},
		Field{Name: "boot-signature", Off: 510, Width: 2})
	add("record",
		Field{Name: "update-offset", Off: 4, Width: 2}, Field{Name: "update-count", Off: 6, Width: 2}, Field{Name: "log-number", Off: 8, Width: 8},
		Field{Name: "sequence", Off: 16, Width: 2}, Field{Name: "links", Off: 18, Width: 2}, Field{Name: "first-attribute", Off: 20, Width: 2},
		Field{Name: "record-flags", Off: 22, Width: 2}, Field{Name: "used", Off: 24, Width: 4}, Field{Name: "allocated", Off: 28, Width: 4},
		Field{Name: "base", Off: 32, Width: 8}, Field{Name: "record-number", Off: 44, Width: 4})
	for _, place := range []string{"attr", "data"} {
		add(place,
			Field{Name: place + "-type", Off: 0, Width: 4}, Field{Name: place + "-length", Off: 4, Width: 4}, Field{Name: place + "-outside", Off: 8, Width: 1},
			Field{Name: place + "-name-length", Off: 9, Width: 1}, Field{Name: place + "-name-offset", Off: 10, Width: 2}, Field{Name: place + "-flags", Off: 12, Width: 2},
			Field{Name: place + "-value-length", Off: 16, Width: 4}, Field{Name: place + "-value-offset", Off: 20, Width: 2},
			Field{Name: place + "-lowest", Off: 16, Width: 8}, Field{Name: place + "-highest", Off: 24, Width: 8}, Field{Name: place + "-pairs-offset", Off: 32, Width: 2},
			Field{Name: place + "-unit", Off: 34, Width: 1}, Field{Name: place + "-allocated", Off: 40, Width: 8},
			Field{Name: place + "-size", Off: 48, Width: 8}, Field{Name: place + "-initialised", Off: 56, Width: 8})
	}
	add("name",
		Field{Name: "name-parent", Off: 0, Width: 8}, Field{Name: "name-length", Off: 64, Width: 1}, Field{Name: "name-space", Off: 65, Width: 1})
	add("key",
		Field{Name: "key-record", Off: 0, Width: 4}, Field{Name: "key-sequence", Off: 6, Width: 2}, Field{Name: "entry-length", Off: 8, Width: 2}, Field{Name: "key-length", Off: 10, Width: 2},
		Field{Name: "entry-flags", Off: 12, Width: 2}, Field{Name: "key-parent", Off: 16, Width: 8}, Field{Name: "key-size", Off: 16 + 48, Width: 8},
		Field{Name: "key-attributes", Off: 16 + 56, Width: 4}, Field{Name: "key-name-length", Off: 16 + 64, Width: 1}, Field{Name: "key-space", Off: 16 + 65, Width: 1})
	add("list",
		Field{Name: "list-type", Off: 0, Width: 4}, Field{Name: "list-length", Off: 4, Width: 2}, Field{Name: "list-name-length", Off: 6, Width: 1},
		Field{Name: "list-name-offset", Off: 7, Width: 1}, Field{Name: "list-lowest", Off: 8, Width: 8}, Field{Name: "list-record", Off: 16, Width: 4},
		Field{Name: "list-sequence", Off: 22, Width: 2}, Field{Name: "list-instance", Off: 24, Width: 2})
	add("extension",
		Field{Name: "extension-sequence", Off: 16, Width: 2}, Field{Name: "extension-flags", Off: 22, Width: 2}, Field{Name: "extension-base", Off: 32, Width: 8})
	add("index",
		Field{Name: "index-type", Off: 0, Width: 4}, Field{Name: "collation", Off: 4, Width: 4}, Field{Name: "block-size", Off: 8, Width: 4},
		Field{Name: "root-entries", Off: 16, Width: 4}, Field{Name: "root-used", Off: 20, Width: 4}, Field{Name: "root-allocated", Off: 24, Width: 4}, Field{Name: "root-flags", Off: 28, Width: 1})
	add("block",
		Field{Name: "block-update-offset", Off: 4, Width: 2}, Field{Name: "block-update-count", Off: 6, Width: 2}, Field{Name: "block-vcn", Off: 16, Width: 8},
		Field{Name: "block-entries", Off: 24, Width: 4}, Field{Name: "block-used", Off: 28, Width: 4}, Field{Name: "block-allocated", Off: 32, Width: 4}, Field{Name: "block-flags", Off: 36, Width: 1})
	return list
}

func ntfsDamages() map[string]Damage {
	list := map[string]Damage{
		// bit PLACE N VALUE sets one bit of a bitmap.
		"bit": {[]Kind{PlaceK, Number, Number}, func(img *Image, a []Arg) { ntfsBit(img, img.At(a[0]), a[1].N, a[2].N != 0) }},
		// free FILE N marks the Nth cluster of its content as free.
		"free": {[]Kind{Word, Number}, func(img *Image, a []Arg) {
			p := ntfsPlanOf(img)
			at := p.findAttribute(img, a[0].Text+":80")
			ntfsBit(img, p.value(img, p.findAttribute(img, "$Bitmap:80")), p.first(img, at)+a[1].N, false)
		}},
		// free-record FILE marks its record as free.
		"free-record": {[]Kind{Word}, func(img *Image, a []Arg) {
			p := ntfsPlanOf(img)
			ntfsBit(img, p.value(img, p.findAttribute(img, "$MFT:b0")), p.number(img, a[0].Text), false)
		}},
		// crosslink A B gives A the clusters that B begins with.
		"crosslink": {[]Kind{Word, Word}, func(img *Image, a []Arg) {
			p := ntfsPlanOf(img)
			from, to := p.findAttribute(img, a[1].Text+":80"), p.findAttribute(img, a[0].Text+":80")
			img.Write(p.pairs(img, to), ntfsRuns(int64(img.Number(to+24, 8))+1, p.first(img, from))...)
		}},
		// cut-runs FILE N leaves N clusters in its list.
		"cut-runs": {[]Kind{Word, Number}, func(img *Image, a []Arg) {
			p := ntfsPlanOf(img)
			at := p.findAttribute(img, a[0].Text+":80")
			img.Write(p.pairs(img, at), ntfsRuns(a[1].N, p.first(img, at))...)
		}},
		// overlap FILE gives it all of its clusters but one, and the first again.
		"overlap": {[]Kind{Word}, func(img *Image, a []Arg) {
			p := ntfsPlanOf(img)
			at := p.findAttribute(img, a[0].Text+":80")
			n := int64(img.Number(at+24, 8))
			first := p.first(img, at)
			img.Write(p.pairs(img, at), 0x21, byte(n), byte(first), byte(first>>8), 0x11, 1, 0, 0)
		}},
		// runs PLACE HEX writes a list of clusters and its end.
		"runs": {[]Kind{PlaceK, Hex}, func(img *Image, a []Arg) { img.Write(img.At(a[0]), append(slices.Clone(a[1].Bytes), 0)...) }},
		// rename PLACE TEXT writes a name of the same length over one, in UTF-16.
		"rename": {[]Kind{PlaceK, Word}, func(img *Image, a []Arg) {
			at := img.At(a[0])
			for i, c := range a[1].Text {
				img.SetNumber(at+2*int64(i), 2, uint64(c))
			}
		}},
	}
	maps.Copy(list, ntfsOtherDamages())
	return list
}

// ntfsOtherDamages are those of indexes, the log and reparse points.
func ntfsOtherDamages() map[string]Damage {
	return map[string]Damage{
		// chain DIR N makes each N blocks of the index a circle: each block has
		// nothing but the way to the next.
		"chain": {[]Kind{Word, Number}, func(img *Image, a []Arg) {
			p := ntfsPlanOf(img)
			list := p.blocks(img, p.number(img, a[0].Text))
			list = slices.DeleteFunc(list, func(at int64) bool { return string(img.Read(at, 4)) != "INDX" })
			for i, at := range list {
				first := i - i%int(a[1].N)
				group := list[first:min(first+int(a[1].N), len(list))]
				next := group[(i-first+1)%len(group)]
				node := make([]byte, 64)
				node[0], node[4], node[9], node[12] = 40, 64, 0x0F, 1
				node[40+8], node[40+12] = 24, 3
				binary.LittleEndian.PutUint64(node[40+16:], img.Number(next+16, 8))
				img.Write(at+24, node[:16]...)
				img.Write(at+64, node[40:]...)
			}
		}},
		// open-log CLEAN writes two restart pages; CLEAN is 0 for a log in use.
		"open-log": {[]Kind{Number}, func(img *Image, a []Arg) {
			p := ntfsPlanOf(img)
			at := p.value(img, p.findAttribute(img, "$LogFile:80"))
			for i := range int64(2) {
				page := make([]byte, 4096)
				copy(page, "RSTR\x1e\x00\x09\x00")
				page[17], page[21], page[24] = 0x10, 0x10, 0x30
				page[0x30+14] = byte(a[0].N) << 1
				page[0x30] = byte(i)
				img.Write(at+4096*i, page...)
			}
		}},
		// to-reparse FILE TAG turns its content, which has to be in the record, into
		// a reparse point and leaves no content.
		"to-reparse": {[]Kind{Word, Number}, func(img *Image, a []Arg) {
			p := ntfsPlanOf(img)
			at := p.findAttribute(img, a[0].Text+":80")
			if img.Number(at+8, 1) != 0 || img.Number(at+16, 4) < 8 {
				img.Fatalf("the content of %s cannot become a reparse point", a[0].Text)
			}
			img.SetNumber(p.value(img, at), 4, uint64(a[1].N))
			img.SetNumber(at, 4, 0xC0)
		}},
	}
}

func ntfsBit(img *Image, at, n int64, set bool) {
	b := img.Read(at+n/8, 1)[0] &^ (1 << (n % 8))
	if set {
		b |= 1 << (n % 8)
	}
	img.Write(at+n/8, b)
}

// ntfsRuns is a list of one run.
func ntfsRuns(n, at int64) []byte {
	return []byte{0x22, byte(n), byte(n >> 8), byte(at), byte(at >> 8), 0}
}
