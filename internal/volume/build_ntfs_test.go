package volume_test

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"slices"
	"unicode/utf16"
)

// An NTFS built in code, small enough for a fuzzer: clusters and index blocks
// of 512 bytes, file records of 1024, and an up-case table of zeros behind all
// that a fuzzer has to keep. By that table all names of one length are equal.
const (
	ntfsMFT     = 2  // clusters
	ntfsRecords = 44 // file records
	ntfsMirror  = ntfsMFT + 2*ntfsRecords
	ntfsFree    = ntfsMirror + 8 // the first cluster that the builder gives away
	ntfsSize    = 1024           // clusters of the volume
	ntfsUpcase  = ntfsSize - 256
)

type ntfsRun struct{ at, n int } // at is negative for a hole

type ntfsBuilder struct {
	img  []byte
	next int
	used []byte
}

// take gives n clusters away.
func (b *ntfsBuilder) take(n int) ntfsRun {
	r := ntfsRun{b.next, n}
	b.next += n
	b.mark(r)
	return r
}

func (b *ntfsBuilder) mark(r ntfsRun) {
	for i := r.at; i < r.at+r.n; i++ {
		b.used[i/8] |= 1 << (i % 8)
	}
}

func (b *ntfsBuilder) put(r ntfsRun, p []byte) { copy(b.img[r.at*sector:], p) }

func ntfsText(s string) (p []byte) {
	for _, u := range utf16.Encode([]rune(s)) {
		p = binary.LittleEndian.AppendUint16(p, u)
	}
	return p
}

func ntfsRef(number int) uint64 { return uint64(number) | ntfsSeq(number)<<48 }

func ntfsSeq(number int) uint64 { return uint64(max(1, number)) }

func pad8(p []byte) []byte { return append(p, make([]byte, -len(p)&7)...) }

// ntfsHead is what all attributes begin with; the name follows at byte 64 of
// one in clusters and at byte 24 of one in the record.
func ntfsHead(kind uint32, outside byte, name string, nameAt int) []byte {
	le := binary.LittleEndian
	p := make([]byte, nameAt, 128)
	le.PutUint32(p, kind)
	p[8], p[9] = outside, byte(len(name))
	le.PutUint16(p[10:], uint16(nameAt))
	return pad8(append(p, ntfsText(name)...))
}

func ntfsInside(kind uint32, name string, value []byte) []byte {
	le := binary.LittleEndian
	p := ntfsHead(kind, 0, name, 24)
	le.PutUint32(p[16:], uint32(len(value)))
	le.PutUint16(p[20:], uint16(len(p)))
	p = pad8(append(p, value...))
	le.PutUint32(p[4:], uint32(len(p)))
	return p
}

// ntfsOutside is an attribute in clusters, from the virtual cluster lowest on.
func ntfsOutside(kind uint32, name string, lowest, size, flags int, runs ...ntfsRun) []byte {
	le := binary.LittleEndian
	p := ntfsHead(kind, 1, name, 64)
	le.PutUint16(p[12:], uint16(flags))
	le.PutUint16(p[32:], uint16(len(p)))
	clusters, before := 0, 0
	for _, r := range runs {
		clusters += r.n
		if r.at < 0 {
			p = append(p, 0x02, byte(r.n), byte(r.n>>8))
			continue
		}
		d := r.at - before
		before = r.at
		p = append(p, 0x32, byte(r.n), byte(r.n>>8), byte(d), byte(d>>8), byte(d>>16))
	}
	p = pad8(append(p, 0))
	le.PutUint32(p[4:], uint32(len(p)))
	le.PutUint64(p[16:], uint64(lowest))
	le.PutUint64(p[24:], uint64(lowest+clusters-1))
	if lowest == 0 {
		allocated := max(clusters, (size+sector-1)/sector) * sector
		le.PutUint64(p[40:], uint64(allocated))
		le.PutUint64(p[48:], uint64(size))
		le.PutUint64(p[56:], uint64(size))
	}
	return p
}

// ntfsKey is a name attribute's value.
func ntfsKey(parent int, space byte, name string, folder bool) []byte {
	p := make([]byte, 66)
	binary.LittleEndian.PutUint64(p, ntfsRef(parent))
	if folder {
		p[59] = 0x10
	}
	text := ntfsText(name)
	p[64], p[65] = byte(len(text)/2), space
	return append(p, text...)
}

func ntfsStandard() []byte {
	p := make([]byte, 72)
	binary.LittleEndian.PutUint64(p[8:], 134_000_000_000_000_000)
	return ntfsInside(0x10, "", p)
}

// record writes a file record. flags are 1 for in use and 2 for a folder.
func (b *ntfsBuilder) record(number, flags int, base uint64, attributes ...[]byte) {
	le := binary.LittleEndian
	p := make([]byte, 56, 1024)
	copy(p, "FILE0\x00\x03\x00")
	le.PutUint16(p[16:], uint16(ntfsSeq(number)))
	le.PutUint16(p[20:], 56)
	le.PutUint16(p[22:], uint16(flags))
	le.PutUint32(p[28:], 1024)
	le.PutUint64(p[32:], base)
	le.PutUint32(p[44:], uint32(number))
	for i, a := range attributes {
		le.PutUint16(a[14:], uint16(i))
		p = append(p, a...)
	}
	p = append(p, 0xFF, 0xFF, 0xFF, 0xFF, 0, 0, 0, 0)
	le.PutUint32(p[24:], uint32(len(p)))
	p = p[:1024]
	ntfsStamp(p, 48)
	copy(b.img[(ntfsMFT+2*number)*sector:], p)
}

// ntfsStamp puts the update sequence of a block at byte at of it.
func ntfsStamp(p []byte, at int) {
	le := binary.LittleEndian
	le.PutUint16(p[4:], uint16(at))
	le.PutUint16(p[6:], uint16(len(p)/sector+1))
	le.PutUint16(p[at:], 7)
	for i := range len(p) / sector {
		end := p[(i+1)*sector-2:][:2]
		copy(p[at+2+2*i:], end)
		le.PutUint16(end, 7)
	}
}

// ntfsEntry is one of an index; below is the block below it, or -1.
func ntfsEntry(number int, key []byte, below int) []byte {
	le := binary.LittleEndian
	p := make([]byte, 16)
	le.PutUint64(p, ntfsRef(number))
	le.PutUint16(p[10:], uint16(len(key)))
	flags := 0
	if key == nil {
		le.PutUint64(p, 0)
		flags = 2
	}
	p = pad8(append(p, key...))
	if below >= 0 {
		flags |= 1
		p = le.AppendUint64(p, uint64(below))
	}
	le.PutUint16(p[12:], uint16(flags))
	le.PutUint16(p[8:], uint16(len(p)))
	return p
}

// ntfsNode is an index header with its entries.
func ntfsNode(first, room int, inner bool, entries ...[]byte) []byte {
	le := binary.LittleEndian
	p := make([]byte, first)
	p = append(p, bytes.Join(entries, nil)...)
	le.PutUint32(p, uint32(first))
	le.PutUint32(p[4:], uint32(len(p)))
	le.PutUint32(p[8:], uint32(max(room, len(p))))
	if inner {
		p[12] = 1
	}
	return p
}

func ntfsRoot(inner bool, entries ...[]byte) []byte {
	head := []byte{0x30, 0, 0, 0, 1, 0, 0, 0, 0, 2, 0, 0, 1, 0, 0, 0}
	return ntfsInside(0x90, "$I30", append(head, ntfsNode(16, 0, inner, entries...)...))
}

// block is one of an index allocation.
func (b *ntfsBuilder) block(in ntfsRun, vcn int, inner bool, entries ...[]byte) {
	p := make([]byte, 24, sector)
	copy(p, "INDX")
	binary.LittleEndian.PutUint64(p[16:], uint64(vcn))
	p = append(p, ntfsNode(24, sector-24, inner, entries...)...)[:sector]
	ntfsStamp(p, 40)
	copy(b.img[(in.at+vcn)*sector:], p)
}

// system writes the records that each volume has, but for the root and bitmap.
func (b *ntfsBuilder) system() {
	name := func(s string) []byte { return ntfsInside(0x30, "", ntfsKey(5, 3, s, s == "$Extend")) }
	plain := func(number int, file string, more ...[]byte) {
		b.record(number, 1, 0, append([][]byte{ntfsStandard(), name(file)}, more...)...)
	}
	mftBits := b.take(1)
	for i := range ntfsRecords {
		if i > 11 && i < 16 || i == 24 || i > 37 {
			continue
		}
		b.img[mftBits.at*sector+i/8] |= 1 << (i % 8)
	}
	data := func(size int, runs ...ntfsRun) []byte { return ntfsOutside(0x80, "", 0, size, 0, runs...) }
	plain(0, "$MFT", data(ntfsRecords*1024, ntfsRun{ntfsMFT, 2 * ntfsRecords}), ntfsOutside(0xB0, "", 0, 8, 0, mftBits))
	plain(1, "$MFTMirr", data(4096, ntfsRun{ntfsMirror, 8}))
	log := b.take(16)
	for i := range 2 {
		page := make([]byte, 4096)
		le := binary.LittleEndian
		copy(page, "RSTR")
		le.PutUint32(page[16:], 4096)
		le.PutUint16(page[24:], 64)
		page[64] = byte(i)
		le.PutUint16(page[64+12:], 0xFFFF)
		ntfsStamp(page, 30)
		copy(b.img[log.at*sector+4096*i:], page)
	}
	plain(2, "$LogFile", data(8192, log))
	plain(3, "$Volume", ntfsInside(0x60, "", ntfsText("tiny")), ntfsInside(0x70, "", []byte{0, 0, 0, 0, 0, 0, 0, 0, 3, 1, 0, 0}))
	plain(4, "$AttrDef", ntfsInside(0x80, "", nil))
	plain(7, "$Boot", data(2*sector, ntfsRun{0, 2}))
	plain(8, "$BadClus", ntfsInside(0x80, "", nil), ntfsOutside(0x80, "$Bad", 0, 0, 0, ntfsRun{-1, ntfsSize}))
	plain(9, "$Secure", ntfsInside(0x80, "$SDS", nil))
	plain(10, "$UpCase", data(256*sector, ntfsRun{ntfsUpcase, 256}))
	b.record(11, 3, 0, ntfsStandard(), name("$Extend"), ntfsRoot(false, ntfsEntry(0, nil, -1)))
	for _, r := range []ntfsRun{{0, 2}, {ntfsMFT, 2 * ntfsRecords}, {ntfsMirror, 8}, {ntfsUpcase, 256}} {
		b.mark(r)
	}
}

// ntfsSorted returns index entries in the order of the up-case table of zeros.
func ntfsSorted(parent int, names map[string]int, folders ...int) (list [][]byte) {
	var keys []string
	for k := range names {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b string) int { return cmp.Or(cmp.Compare(len(a), len(b)), cmp.Compare(a, b)) })
	for _, k := range keys {
		space := byte(1)
		if k == "SHORT~1" {
			space = 2
		}
		if names[k] < 16 {
			space = 3
		}
		list = append(list, ntfsEntry(names[k], ntfsKey(parent, space, k, slices.Contains(folders, names[k])), -1))
	}
	return append(list, ntfsEntry(0, nil, -1))
}

// buildNTFS returns a small volume and how much of it a fuzzer has to keep: the
// rest is zeros. It has content in records and in clusters, a file that needs
// two records, streams, links, holes, a short name, a deleted file and a folder
// whose index is a tree.
func buildNTFS() (img []byte, keep int) {
	b := &ntfsBuilder{img: make([]byte, ntfsSize*sector), next: ntfsFree, used: make([]byte, ntfsSize/8)}
	b.system()
	name := func(parent int, s string) []byte { return ntfsInside(0x30, "", ntfsKey(parent, 1, s, false)) }
	folder := func(parent int, s string) []byte { return ntfsInside(0x30, "", ntfsKey(parent, 1, s, true)) }
	b.record(16, 1, 0, ntfsStandard(), name(5, "in its record"), ntfsInside(0x80, "", noise(1, 600)))
	first, second := b.take(3), b.take(2)
	b.put(first, noise(2, 3*sector))
	b.put(second, noise(3, 2*sector))
	pieces := []byte{}
	for _, a := range []struct {
		kind                     uint32
		lowest, record, instance int
	}{{0x10, 0, 17, 0}, {0x30, 0, 17, 2}, {0x80, 0, 17, 3}, {0x80, 3, 18, 0}} {
		p := make([]byte, 32)
		binary.LittleEndian.PutUint32(p, a.kind)
		p[4], p[7] = 32, 26
		p[8] = byte(a.lowest)
		binary.LittleEndian.PutUint64(p[16:], ntfsRef(a.record))
		p[24] = byte(a.instance)
		pieces = append(pieces, p...)
	}
	whole := ntfsOutside(0x80, "", 0, 5*sector-100, 0, first)
	b.record(17, 1, 0, ntfsStandard(), ntfsInside(0x20, "", pieces), name(5, "in two records"), whole)
	b.record(18, 1, ntfsRef(17), ntfsOutside(0x80, "", 3, 0, 0, second))
	b.record(19, 3, 0, ntfsStandard(), folder(5, "dir"), ntfsRoot(false, ntfsSorted(19, map[string]int{"link": 21, "second name": 20})...))
	b.record(20, 1, 0, ntfsStandard(), name(5, "first name"), name(19, "second name"), ntfsInside(0x80, "", []byte("shared")), ntfsInside(0x80, "ads", []byte("stream")))
	b.record(21, 1, 0, ntfsStandard(), name(19, "link"), ntfsInside(0x80, "", nil), ntfsInside(0xC0, "", []byte{0x0C, 0, 0, 0xA0, 4, 0, 0, 0, 0, 0, 0, 0}))
	b.record(22, 1, 0, ntfsStandard(), name(5, "with holes"), ntfsOutside(0x80, "", 0, 20*sector, 0x8000, ntfsRun{-1, 9}, b.take(2), ntfsRun{-1, 9}))
	b.record(23, 1, 0, ntfsStandard(), name(5, "a long name"), ntfsInside(0x30, "", ntfsKey(5, 2, "SHORT~1", false)), ntfsInside(0x80, "", nil))
	b.record(24, 0, 0, ntfsStandard(), name(19, "deleted"), ntfsInside(0x80, "", []byte("gone")))
	b.treeFolder(25)
	root := ntfsSorted(5, map[string]int{
		"$MFT": 0, "$MFTMirr": 1, "$LogFile": 2, "$Volume": 3, "$AttrDef": 4, ".": 5, "$Bitmap": 6, "$Boot": 7, "$BadClus": 8,
		"$Secure": 9, "$UpCase": 10, "$Extend": 11, "in its record": 16, "in two records": 17, "dir": 19, "first name": 20,
		"with holes": 22, "a long name": 23, "SHORT~1": 23, "tree": 25,
	}, 5, 11, 19, 25)
	// The root's index: three entries to a block, and one above between two.
	blocks := b.take((len(root) + 3) / 4)
	var top [][]byte
	for vcn := range blocks.n {
		list := root[4*vcn:]
		if vcn < blocks.n-1 {
			top = append(top, ntfsBelow(list[3], vcn))
			list = append(slices.Clone(list[:3]), ntfsEntry(0, nil, -1))
		}
		b.block(blocks, vcn, false, list...)
	}
	inUse := make([]byte, 8)
	binary.LittleEndian.PutUint64(inUse, 1<<blocks.n-1)
	b.record(5, 3, 0, ntfsStandard(), ntfsInside(0x30, "", ntfsKey(5, 3, ".", true)),
		ntfsRoot(true, append(top, ntfsEntry(0, nil, blocks.n-1))...),
		ntfsOutside(0xA0, "$I30", 0, blocks.n*sector, 0, blocks), ntfsInside(0xB0, "$I30", inUse))
	bits := b.take(1)
	b.put(bits, b.used)
	b.record(6, 1, 0, ntfsStandard(), ntfsInside(0x30, "", ntfsKey(5, 3, "$Bitmap", false)), ntfsOutside(0x80, "", 0, ntfsSize/8, 0, bits))
	b.boot()
	sealNTFS(b.img)
	return b.img, b.next * sector
}

// ntfsBelow hangs a block below an entry.
func ntfsBelow(e []byte, vcn int) []byte {
	e = binary.LittleEndian.AppendUint64(e, uint64(vcn))
	e[12] |= 1
	binary.LittleEndian.PutUint16(e[8:], uint16(len(e)))
	return e
}

// treeFolder writes a folder of twelve files with an index of three levels.
func (b *ntfsBuilder) treeFolder(number int) {
	blocks := b.take(7)
	var e [][]byte
	for i := range 12 {
		name := string(rune('a'+i)) + "-file"
		b.record(number+1+i, 1, 0, ntfsStandard(), ntfsInside(0x30, "", ntfsKey(number, 1, name, false)), ntfsInside(0x80, "", noise(uint64(i), 10*i)))
		e = append(e, ntfsEntry(number+1+i, ntfsKey(number, 1, name, false), -1))
	}
	last := func(below int) []byte { return ntfsEntry(0, nil, below) }
	b.block(blocks, 0, false, e[0], e[1], last(-1))
	b.block(blocks, 1, false, e[3], e[4], last(-1))
	b.block(blocks, 2, true, ntfsBelow(e[2], 0), last(1))
	b.block(blocks, 3, false, e[6], last(-1))
	b.block(blocks, 4, false, e[8], e[9], e[10], last(-1))
	b.block(blocks, 5, true, ntfsBelow(e[7], 3), last(4))
	b.block(blocks, 6, false, last(-1))
	b.record(number, 3, 0, ntfsStandard(), ntfsInside(0x30, "", ntfsKey(5, 1, "tree", true)),
		ntfsRoot(true, ntfsBelow(e[5], 2), ntfsBelow(e[11], 5), last(6)),
		ntfsOutside(0xA0, "$I30", 0, 7*sector, 0, blocks), ntfsInside(0xB0, "$I30", []byte{0x7F, 0, 0, 0, 0, 0, 0, 0}))
}

func (b *ntfsBuilder) boot() {
	le := binary.LittleEndian
	p := b.img[:sector]
	copy(p, "\xEB\x52\x90NTFS    ")
	le.PutUint16(p[11:], sector)
	p[13], p[21], p[64], p[68] = 1, 0xF8, 2, 1
	le.PutUint32(p[36:], 0x00800080)
	le.PutUint64(p[40:], ntfsSize)
	le.PutUint64(p[48:], ntfsMFT)
	le.PutUint64(p[56:], ntfsMirror)
	le.PutUint64(p[72:], 0x0123456789ABCDEF)
	p[510], p[511] = 0x55, 0xAA
}

// sealNTFS makes the update sequences of all records and index blocks good, and
// the mirror equal to what it mirrors.
func sealNTFS(img []byte) {
	for at := 0; at+sector <= len(img); at += sector {
		p, first := img[at:], 0
		switch string(p[:4]) {
		case "FILE":
			p, first = p[:min(1024, len(p))], 48
		case "INDX":
			p, first = p[:sector], 40
		default:
			continue
		}
		number := p[first : first+2]
		for end := sector; end <= len(p); end += sector {
			copy(p[end-2:end], number)
		}
	}
	if len(img) >= ntfsFree*sector {
		copy(img[ntfsMirror*sector:ntfsFree*sector], img[ntfsMFT*sector:])
	}
}

// scatterMFT puts the end of the master file table of a built volume elsewhere,
// and says so in a record that extends the first one, as systems do when there
// are too many pieces.
func scatterMFT(img []byte, keep int) {
	const whole = 30 // records that stay
	b := &ntfsBuilder{img: img, next: keep / sector, used: make([]byte, ntfsSize/8)}
	tail := b.take(2 * (ntfsRecords - whole))
	from := (ntfsMFT + 2*whole) * sector
	copy(img[tail.at*sector:], img[from:ntfsMirror*sector])
	clear(img[from : ntfsMirror*sector])
	le := binary.LittleEndian
	list := []byte{}
	for _, a := range []struct{ kind, lowest, record, instance int }{
		{0x10, 0, 0, 0}, {0x30, 0, 0, 2}, {0x80, 0, 0, 3}, {0x80, 2 * whole, 15, 0}, {0xB0, 0, 0, 4},
	} {
		p := make([]byte, 32)
		le.PutUint32(p, uint32(a.kind))
		p[4], p[7], p[24] = 32, 26, byte(a.instance)
		le.PutUint64(p[8:], uint64(a.lowest))
		le.PutUint64(p[16:], ntfsRef(a.record))
		list = append(list, p...)
	}
	data := ntfsOutside(0x80, "", 0, ntfsRecords*1024, 0, ntfsRun{ntfsMFT, 2 * whole})
	le.PutUint64(data[40:], ntfsRecords*1024)
	b.record(0, 1, 0, ntfsStandard(), ntfsInside(0x20, "", list), ntfsInside(0x30, "", ntfsKey(5, 3, "$MFT", false)), data,
		ntfsOutside(0xB0, "", 0, 8, 0, ntfsRun{ntfsFree, 1}))
	b.record(15, 1, ntfsRef(0), ntfsOutside(0x80, "", 2*whole, 0, 0, tail))
	img[ntfsFree*sector+1] |= 1 << 7 // record 15 in the bitmap
	bits := img[(keep/sector-1)*sector:]
	for i := tail.at; i < tail.at+tail.n; i++ {
		bits[i/8] |= 1 << (i % 8)
	}
	sealNTFS(img)
}
