package volume_test

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"unicode/utf16"
)

// Images built in code: small enough for a fuzzer, or too large for mkfs in a
// test. They keep to the specifications; the real formatters' images are in
// real_test.go.

// node is a file of size bytes, or a folder when kids is not nil.
type node struct {
	short string // 11 bytes
	long  string
	size  int
	kids  []node
}

var smallTree = []node{
	{short: "A       TXT", size: 700},
	{short: "LONGNA~1JSO", long: "long name, in three parts and more.json", size: 1500},
	{short: "EMPTY      ", size: 0},
	{short: "DIR        ", kids: []node{{short: "INNER   BIN", size: 512}, {short: "DEEPER     ", long: "deeper", kids: []node{{short: "X          ", size: 1}}}}},
}

const sector = 512

// fatBuilder lays clusters of one sector out; folders come before files, so
// that the image can end behind the last folder.
type fatBuilder struct {
	bits   int
	table  []uint32
	heap   []byte
	placed []placed
}

// placed is a file record that gets its clusters at the end.
type placed struct {
	rec  []byte // in heap or in the root
	size int
}

func (b *fatBuilder) alloc(bytes int) uint32 {
	first := uint32(len(b.table))
	for n := (bytes + sector - 1) / sector; n > 0; n-- {
		next := uint32(len(b.table) + 1)
		if n == 1 {
			next = 0x0FFFFFFF
		}
		b.table = append(b.table, next)
	}
	return first
}

func records(nodes []node) (n int) {
	for _, k := range nodes {
		n += 1 + (len(utf16.Encode([]rune(k.long)))+12)/13
	}
	return n
}

func (b *fatBuilder) fill(p []byte, nodes []node, self uint32) {
	for _, k := range nodes {
		if k.long != "" {
			p = p[copy(p, longRecords(k)):]
		}
		rec := p[:32]
		p = p[32:]
		copy(rec, k.short)
		binary.LittleEndian.PutUint16(rec[24:], 46<<9|11<<5|3)
		if k.kids == nil {
			b.placed = append(b.placed, placed{rec, k.size})
			continue
		}
		rec[11] = 0x10
		bytes := (records(k.kids) + 3) * 32
		first := b.alloc(bytes)
		setFirst(rec, first)
		at := int(first-2) * sector
		dir := b.heap[at : at+(bytes+sector-1)/sector*sector]
		copy(dir, ".          \x10")
		copy(dir[32:], "..         \x10")
		setFirst(dir, first)
		setFirst(dir[32:], self)
		b.fill(dir[64:], k.kids, first)
	}
}

func setFirst(rec []byte, first uint32) {
	binary.LittleEndian.PutUint16(rec[26:], uint16(first))
	binary.LittleEndian.PutUint16(rec[20:], uint16(first>>16))
}

func longRecords(k node) []byte {
	units := utf16.Encode([]rune(k.long))
	sum := byte(0)
	for i := range 11 {
		sum = sum>>1 + sum<<7 + k.short[i]
	}
	parts := (len(units) + 12) / 13
	var out []byte
	for n := parts; n > 0; n-- {
		rec := make([]byte, 32)
		rec[0], rec[11], rec[13] = byte(n), 0x0F, sum
		if n == parts {
			rec[0] |= 0x40
		}
		for i := range 13 {
			u := uint16(0xFFFF)
			switch at := (n-1)*13 + i; {
			case at < len(units):
				u = units[at]
			case at == len(units):
				u = 0
			}
			binary.LittleEndian.PutUint16(rec[[]int{1, 3, 5, 7, 9, 14, 16, 18, 20, 22, 24, 28, 30}[i]:], u)
		}
		out = append(out, rec...)
	}
	return out
}

// buildFAT returns an image and the size that its volume claims: everything
// behind the image is zeros.
func buildFAT(bits, heapSectors, spare int, root []node) ([]byte, int64) {
	b := &fatBuilder{bits: bits, table: []uint32{0x0FFFFFF8, 0x0FFFFFFF}, heap: make([]byte, heapSectors*sector)}
	rootDir := make([]byte, 64*32)
	if bits == 32 {
		first := b.alloc((records(root) + 1) * 32)
		rootDir = b.heap[:(len(b.table)-int(first))*sector]
	}
	b.fill(rootDir, root, 0)
	meta := (len(b.table) - 2) * sector
	for _, p := range b.placed {
		binary.LittleEndian.PutUint32(p.rec[28:], uint32(p.size))
		if p.size > 0 {
			setFirst(p.rec, b.alloc(p.size))
		}
	}
	clusters := len(b.table) - 2 + spare
	table := make([]byte, ((clusters+2)*bits/8+sector)/sector*sector)
	for i, v := range b.table {
		switch bits {
		case 32:
			binary.LittleEndian.PutUint32(table[4*i:], v)
		case 16:
			binary.LittleEndian.PutUint16(table[2*i:], uint16(v))
		case 12:
			at := i * 3 / 2
			if i&1 == 0 {
				table[at], table[at+1] = byte(v), table[at+1]|byte(v>>8)&0xF
			} else {
				table[at], table[at+1] = table[at]|byte(v)<<4, byte(v>>4)
			}
		}
	}
	boot := make([]byte, sector)
	copy(boot, "\xEB\x58\x90SALLYPRT\x00\x02\x01\x01\x00\x02")
	reserved := 1
	le := binary.LittleEndian
	boot[21] = 0xF8
	if bits == 32 {
		reserved = 2
		le.PutUint32(boot[36:], uint32(len(table)/sector))
		le.PutUint32(boot[44:], 2)
		rootDir = nil
	} else {
		le.PutUint16(boot[17:], 64)
		le.PutUint16(boot[22:], uint16(len(table)/sector))
	}
	le.PutUint16(boot[14:], uint16(reserved))
	total := reserved + 2*len(table)/sector + len(rootDir)/sector + clusters
	le.PutUint32(boot[32:], uint32(total))
	boot[510], boot[511] = 0x55, 0xAA
	img := append(boot, make([]byte, (reserved-1)*sector)...)
	img = append(append(append(img, table...), table...), rootDir...)
	return append(img, b.heap[:meta]...), int64(total) * sector
}

// buildExFAT returns an image with a few files and a folder.
func buildExFAT() []byte {
	const clusters, heapAt = 60, 26
	img := make([]byte, (heapAt+clusters)*sector)
	le := binary.LittleEndian
	copy(img, "\xEB\x76\x90EXFAT   ")
	le.PutUint64(img[72:], heapAt+clusters)
	for i, v := range []uint32{24, 1, heapAt, clusters, 4, 0x12345678} {
		le.PutUint32(img[80+4*i:], v)
	}
	copy(img[104:], "\x00\x01\x00\x00\x09\x00\x01\x80")
	img[510], img[511] = 0x55, 0xAA
	copy(img[12*sector:24*sector], img[:12*sector])
	table := img[24*sector:]
	chain := func(from uint32, links ...uint32) {
		for _, n := range links {
			le.PutUint32(table[4*from:], n)
			from = n
		}
		le.PutUint32(table[4*from:], 0xFFFFFFFF)
	}
	le.PutUint32(table, 0xFFFFFFF8)
	le.PutUint32(table[4:], 0xFFFFFFFF)
	chain(2)     // bitmap
	chain(3)     // up-case table
	chain(4, 8)  // root
	chain(9, 11) // a fragmented file; 5 is a folder, 6 and 7 a plain file, 10 another
	at := func(cluster int) []byte { return img[(heapAt+cluster-2)*sector:][:sector] }
	for c := 2; c <= 11; c++ {
		at(2)[(c-2)/8] |= 1 << ((c - 2) % 8)
	}
	upcase := le.AppendUint16(at(3)[:0], 0xFFFF) // of ASCII letters only
	upcase = le.AppendUint16(upcase, 'a')
	for c := uint16('A'); c <= 'Z'; c++ {
		upcase = le.AppendUint16(upcase, c)
	}
	upcase = le.AppendUint16(le.AppendUint16(upcase, 0xFFFF), 1<<16-1-'z')
	sum := uint32(0)
	for _, c := range upcase {
		sum = sum<<31 + sum>>1 + uint32(c)
	}
	root := at(4)
	root[0] = 0x81
	le.PutUint32(root[20:], 2)
	le.PutUint64(root[24:], (clusters+7)/8)
	root[32] = 0x82
	le.PutUint32(root[32+4:], sum)
	le.PutUint32(root[32+20:], 3)
	le.PutUint64(root[32+24:], uint64(len(upcase)))
	copy(root[64:], "\x83\x04c\x00a\x00r\x00d\x00")
	n := 96
	n += copy(root[n:], exfatSet("folder", true, 5, sector, true))
	n += copy(root[n:], exfatSet("plain file.bin", false, 6, 1000, true))
	n += copy(root[n:], exfatSet("empty", false, 0, 0, false))
	n += copy(root[n:], exfatSet("empty as well", false, 0, 0, false))
	copy(root[n:], exfatSet("pieces", false, 9, 600, false)[:sector-n])
	copy(at(8), exfatSet("pieces", false, 9, 600, false)[sector-n:])
	copy(at(5), exfatSet("a name that takes two entries", false, 10, 3, true))
	sealRegions(img)
	return img
}

func exfatSet(name string, dir bool, first uint32, size int, plain bool) []byte {
	units := utf16.Encode([]rune(name))
	set := make([]byte, 64+(len(units)+14)/15*32)
	set[0], set[1], set[32], set[33], set[32+3] = 0x85, byte(len(set)/32-1), 0xC0, 1, byte(len(units))
	if dir {
		set[4] = 0x10
	}
	if plain {
		set[33] |= 2
	}
	le := binary.LittleEndian
	le.PutUint64(set[32+8:], uint64(size))
	le.PutUint32(set[32+20:], first)
	le.PutUint64(set[32+24:], uint64(size))
	hash := uint16(0)
	for i, u := range units {
		p := set[64+i/15*32:]
		p[0] = 0xC1
		le.PutUint16(p[2+i%15*2:], u)
		if 'a' <= u && u <= 'z' {
			u -= 'a' - 'A'
		}
		for _, c := range []uint16{u & 0xFF, u >> 8} {
			hash = hash<<15 + hash>>1 + c
		}
	}
	le.PutUint16(set[32+4:], hash)
	sealSet(set)
	return set
}

// sealRegions makes the checksums of both boot regions good.
func sealRegions(img []byte) {
	for _, at := range []int{0, 12 * sector} {
		if len(img) < at+12*sector {
			return
		}
		region, sum := img[at:at+12*sector], uint32(0)
		for i, c := range region[:11*sector] {
			if i != 106 && i != 107 && i != 112 {
				sum = sum<<31 + sum>>1 + uint32(c)
			}
		}
		for i := 11 * sector; i < 12*sector; i += 4 {
			binary.LittleEndian.PutUint32(region[i:], sum)
		}
	}
}

// sealSets makes the checksums of all entry sets in one piece good.
func sealSets(img []byte) {
	for i := 24 * sector; i+32 <= len(img); i += 32 {
		if n := 32 * (1 + int(img[i+1])); img[i] == 0x85 && i+n <= len(img) {
			sealSet(img[i : i+n])
		}
	}
}

// buildMBR puts volumes behind a table; logical ones beyond the third.
func buildMBR(parts ...[]byte) []byte {
	img := make([]byte, sector)
	le := binary.LittleEndian
	entry := func(p []byte, kind byte, start, count int) {
		p[4] = kind
		le.PutUint32(p[8:], uint32(start))
		le.PutUint32(p[12:], uint32(count))
	}
	img[510], img[511] = 0x55, 0xAA
	for i, p := range parts {
		start := len(img) / sector
		if i < 3 {
			entry(img[446+16*i:], 0x0C, start, len(p)/sector)
			img = append(img, p...)
			continue
		}
		if i == 3 {
			rest := 0
			for _, q := range parts[3:] {
				rest += 1 + len(q)/sector
			}
			entry(img[446+16*3:], 0x05, start, rest)
		}
		box := int(le.Uint32(img[446+16*3+8:]))
		img = append(img, make([]byte, sector)...)
		ebr := img[start*sector:]
		ebr[510], ebr[511] = 0x55, 0xAA
		entry(ebr[446:], 0x0C, 1, len(p)/sector)
		if i+1 < len(parts) {
			entry(ebr[446+16:], 0x05, start+1+len(p)/sector-box, 1+len(parts[i+1])/sector)
		}
		img = append(img, p...)
	}
	return img
}

// buildGPT puts volumes behind a GPT of four entries.
func buildGPT(parts ...[]byte) []byte {
	le := binary.LittleEndian
	img := make([]byte, 3*sector)
	for i, p := range parts {
		e := img[2*sector+128*i:]
		copy(e, fmt.Sprintf("type of part %d  id of part %d", i, i))
		le.PutUint64(e[32:], uint64(len(img)/sector))
		le.PutUint64(e[40:], uint64((len(img)+len(p))/sector-1))
		img = append(img, p...)
	}
	last := len(img)/sector + 1
	img = append(img, make([]byte, 2*sector)...)
	copy(img[446:], "\x00\x00\x02\x00\xEE\xFF\xFF\xFF\x01\x00\x00\x00\xFF\xFF\xFF\xFF")
	img[510], img[511] = 0x55, 0xAA
	for i, h := range [][]byte{img[sector:], img[last*sector:]} {
		copy(h, "EFI PART\x00\x00\x01\x00\x5C\x00\x00\x00")
		self, other, entries := 1, last, 2
		if i == 1 {
			self, other, entries = last, 1, last-1
		}
		for j, v := range []int{self, other, 3, last - 2} {
			le.PutUint64(h[24+8*j:], uint64(v))
		}
		copy(h[56:], "disk of the test")
		le.PutUint64(h[72:], uint64(entries))
		le.PutUint32(h[80:], 4)
		le.PutUint32(h[84:], 128)
	}
	copy(img[(last-1)*sector:], img[2*sector:3*sector])
	sealGPT(img)
	return img
}

// sealGPT makes the checksums of the headers in sector 1 and at the end good.
func sealGPT(img []byte) {
	le := binary.LittleEndian
	for _, at := range []int{sector, len(img)/sector*sector - sector} {
		if at < sector || len(img) < at+sector {
			continue
		}
		h := img[at : at+sector]
		from, n := le.Uint64(h[72:]), uint64(le.Uint32(h[80:]))*uint64(le.Uint32(h[84:]))
		if from < uint64(len(img)/sector) && n <= uint64(len(img))-from*sector {
			le.PutUint32(h[88:], crc32.ChecksumIEEE(img[from*sector:][:n]))
		}
		le.PutUint32(h[16:], 0)
		if size := le.Uint32(h[12:]); size >= 92 && size <= sector {
			le.PutUint32(h[16:], crc32.ChecksumIEEE(h[:size]))
		}
	}
}

// tinyImages are good media of a few KiB, one of each kind, without padding.
func tinyImages() map[string][]byte {
	whole := func(bits int) []byte {
		img, size := buildFAT(bits, 64, 20, smallTree)
		return append(img, make([]byte, size-int64(len(img)))...)
	}
	fat12, fat32, ex := whole(12), whole(32), buildExFAT()
	return map[string][]byte{
		"fat12": fat12, "fat32": fat32, "exfat": ex,
		"mbr": buildMBR(fat12, ex, fat32, fat12, ex), "gpt": buildGPT(fat32, ex),
	}
}
