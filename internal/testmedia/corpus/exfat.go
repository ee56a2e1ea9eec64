package corpus

import (
	"encoding/binary"
	"strconv"
	"strings"
	"testing"
	"unicode/utf16"

	"sallyport/internal/testmedia"
)

// exfatFamily is exFAT without a partition table.
func exfatFamily() *Family {
	return &Family{
		Name: "exfat",
		Bases: map[string]func(t testing.TB, o *Options) Base{
			"exfat": func(t testing.TB, o *Options) Base {
				tree := o.Tree()
				opt := testmedia.Options{
					SizeMiB: int(o.Number("size", "8M") >> 20), Label: o.Word("label", ""),
					ClusterSectors: int(o.Number("cluster", "2")),
				}
				img := testmedia.EmptyExFAT(t, opt)
				if len(tree) > 0 {
					testmedia.MountedExFAT(t, img, func(mnt string) { fill(t, mnt, tree) })
				}
				return Base{img, []testmedia.Files{tree}}
			},
		},
		Survey:  func(img *Image) any { return surveyExFAT(img) },
		Places:  exfatPlaces(),
		Fields:  exfatFields(),
		Damages: exfatDamages(),
		Seals: map[string]Seal{
			// boot and backup-boot make the checksum of one boot region good.
			"boot":        {Do: func(img *Image, _ string) { sealRegion(img, 0) }},
			"backup-boot": {Do: func(img *Image, _ string) { sealRegion(img, 12*exfat(img).sector) }},
			// regions makes the second boot region equal to the first, and both good.
			"regions": {Do: func(img *Image, _ string) {
				sealRegion(img, 0)
				n := 12 * exfat(img).sector
				img.Write(n, img.Read(0, int(n))...)
			}},
			// upcase makes the checksum of the up-case table good.
			"upcase": {Do: func(img *Image, _ string) {
				p := exfat(img)
				sum := uint32(0)
				for _, c := range img.Read(p.upcaseAt, int(img.Number(p.upcase+24, 8))) {
					sum = sum<<31 + sum>>1 + uint32(c)
				}
				img.SetNumber(p.upcase+4, 4, uint64(sum))
			}},
			// name makes the hash of a file's name good, and the checksum of its set.
			"name": {Arg: true, Do: func(img *Image, file string) {
				off := exfat(img).find(img, file).off
				set := img.Read(off, 32*(1+int(img.Number(off+1, 1))))
				hashName(set)
				sealEntrySet(set)
				img.Write(off, set...)
			}},
			// set makes the checksum of a file's entry set good.
			"set": {Arg: true, Do: func(img *Image, file string) {
				off := exfat(img).find(img, file).off
				set := img.Read(off, 32*(1+int(img.Number(off+1, 1))))
				sealEntrySet(set)
				img.Write(off, set...)
			}},
		},
	}
}

// exfatPlan is where things are on an undamaged exFAT.
type exfatPlan struct {
	sector, cluster    int64
	table, heap        int64
	clusters           int64
	root               uint32
	bitmap, upcase     int64 // of their entries in the root folder
	label              int64
	bitmapAt, upcaseAt int64 // of their content
	sets               map[string]exfatSet
	folders            map[string][]uint32
}

// exfatSet is the entry set of a file or folder.
type exfatSet struct {
	off   int64
	chain []uint32
}

func exfat(img *Image) *exfatPlan { return img.Plan.(*exfatPlan) }

func surveyExFAT(img *Image) *exfatPlan {
	p := &exfatPlan{sector: 1 << img.Number(108, 1), sets: map[string]exfatSet{}, folders: map[string][]uint32{}}
	p.cluster = p.sector << img.Number(109, 1)
	p.table, p.heap = int64(img.Number(80, 4))*p.sector, int64(img.Number(88, 4))*p.sector
	p.clusters, p.root = int64(img.Number(92, 4)), uint32(img.Number(96, 4))
	p.walk(img, "", p.follow(img, p.root))
	return p
}

func (p *exfatPlan) offset(cluster uint32) int64 { return p.heap + int64(cluster-2)*p.cluster }

func (p *exfatPlan) follow(img *Image, first uint32) (list []uint32) {
	for c := first; c >= 2 && int64(c) < p.clusters+2; c = uint32(img.Number(p.table+4*int64(c), 4)) {
		list = append(list, c)
	}
	return list
}

// walk notes the entry sets of a folder. Names are in ASCII.
func (p *exfatPlan) walk(img *Image, dir string, chain []uint32) {
	p.folders[strings.ToUpper(strings.TrimSuffix(dir, "/"))] = chain
	var recs []byte
	for _, c := range chain {
		recs = append(recs, img.Read(p.offset(c), int(p.cluster))...)
	}
	at := func(i int) int64 { return p.offset(chain[int64(i)/p.cluster]) + int64(i)%p.cluster }
	for i := 0; i+32 <= len(recs) && recs[i] != 0; i += 32 {
		first := binary.LittleEndian.Uint32(recs[i+20:])
		switch recs[i] {
		case 0x81:
			p.bitmap, p.bitmapAt = at(i), p.offset(first)
		case 0x82:
			p.upcase, p.upcaseAt = at(i), p.offset(first)
		case 0x83:
			p.label = at(i)
		case 0x85:
			p.set(img, dir, recs[i:i+32*(1+int(recs[i+1]))], at(i))
		}
	}
}

// set notes one entry set.
func (p *exfatPlan) set(img *Image, dir string, set []byte, off int64) {
	stream := set[32:]
	var units []uint16
	for part := set[64:]; len(part) > 0; part = part[32:] {
		for i := 2; i < 32 && len(units) < int(stream[3]); i += 2 {
			units = append(units, binary.LittleEndian.Uint16(part[i:]))
		}
	}
	first, size := binary.LittleEndian.Uint32(stream[20:]), int64(binary.LittleEndian.Uint64(stream[24:]))
	s := exfatSet{off: off}
	if stream[1]&2 == 0 {
		s.chain = p.follow(img, first)
	} else {
		for n := int64(0); n*p.cluster < size; n++ {
			s.chain = append(s.chain, first+uint32(n))
		}
	}
	name := dir + string(utf16.Decode(units))
	p.sets[strings.ToUpper(name)] = s
	if set[4]&0x10 != 0 {
		p.walk(img, name+"/", s.chain)
	}
}

func (p *exfatPlan) find(img *Image, file string) exfatSet {
	img.Helper()
	s, ok := p.sets[strings.ToUpper(file)]
	if !ok {
		img.Fatalf("there is no file %q, only %q", file, names(p.sets))
	}
	return s
}

// nth returns the cluster with number n, counted from 0, of a file; negative
// numbers count from its end.
func (p *exfatPlan) nth(img *Image, file, n string) uint32 {
	img.Helper()
	i, err := strconv.Atoi(n)
	chain := p.find(img, file).chain
	if i < 0 {
		i += len(chain)
	}
	if err != nil || i < 0 || i >= len(chain) {
		img.Fatalf("%s has no cluster %s, it has %d", file, n, len(chain))
	}
	return chain[i]
}

// target reads what an entry of the table is set to: "free", "bad", "end",
// FILE:N for the Nth cluster of a file, or a number.
func (p *exfatPlan) target(img *Image, s string) uint32 {
	img.Helper()
	switch s {
	case "free":
		return 0
	case "bad":
		return 0xFFFFFFF7
	case "end":
		return 0xFFFFFFFF
	case "root":
		return p.root
	}
	if file, n, ok := cutLast(s, ":"); ok {
		return p.nth(img, file, n)
	}
	n, err := parseNumber(s)
	if err != nil {
		img.Fatal(err)
	}
	return uint32(n)
}

// mark sets or clears the bits of clusters in the allocation bitmap.
func (p *exfatPlan) mark(img *Image, used bool, list ...uint32) {
	img.Helper()
	for _, c := range list {
		at := p.bitmapAt + int64(c-2)/8
		bits, bit := img.Read(at, 1)[0], byte(1)<<((c-2)%8)
		if bits &^= bit; used {
			bits |= bit
		}
		img.Write(at, bits)
	}
}

// free returns the first of n clusters in a row that nobody has, at the end of
// the volume.
func (p *exfatPlan) free(img *Image, n int64) uint32 {
	img.Helper()
	run := int64(0)
	for c := p.clusters + 1; c >= 2; c-- {
		if run++; img.Read(p.bitmapAt+(c-2)/8, 1)[0]&(1<<((c-2)%8)) != 0 {
			run = 0
		}
		if run == n {
			return uint32(c)
		}
	}
	img.Fatalf("there are no %d free clusters in a row", n)
	return 0
}

// end returns the place behind the last entry of a folder, "/" for the root.
func (p *exfatPlan) end(img *Image, dir string) int64 {
	img.Helper()
	chain, ok := p.folders[strings.ToUpper(strings.Trim(dir, "/"))]
	if !ok {
		img.Fatalf("there is no folder %q", dir)
	}
	for _, c := range chain {
		for at := p.offset(c); at < p.offset(c)+p.cluster; at += 32 {
			if img.Read(at, 1)[0] == 0 {
				return at
			}
		}
	}
	img.Fatalf("the folder %s is full", dir)
	return 0
}

// sealRegion makes the checksum of a boot region good (section 3.4).
func sealRegion(img *Image, at int64) {
	img.Helper()
	n := exfat(img).sector
	sum := uint32(0)
	for i, c := range img.Read(at, int(11*n)) {
		if i != 106 && i != 107 && i != 112 {
			sum = sum<<31 + sum>>1 + uint32(c)
		}
	}
	var tail []byte
	for int64(len(tail)) < n {
		tail = binary.LittleEndian.AppendUint32(tail, sum)
	}
	img.Write(at+11*n, tail...)
}

// sealEntrySet makes the checksum of an entry set good (section 6.3.3).
func sealEntrySet(set []byte) {
	sum := uint16(0)
	for i, c := range set {
		if i != 2 && i != 3 {
			sum = sum<<15 + sum>>1 + uint16(c)
		}
	}
	binary.LittleEndian.PutUint16(set[2:], sum)
}

// entrySet makes an entry set; a folder and a plain file have their clusters
// in a row.
func entrySet(name string, attributes byte, first uint32, size int64) []byte {
	units := utf16.Encode([]rune(name))
	parts := (len(units) + 14) / 15
	set := make([]byte, 64+32*parts)
	le := binary.LittleEndian
	set[0], set[1], set[4] = 0x85, byte(1+parts), attributes
	le.PutUint32(set[12:], (46<<9|11<<5|3)<<16) // the third of November 2026
	stream := set[32:]
	stream[0], stream[1], stream[3] = 0xC0, 1, byte(len(units))
	if size > 0 {
		stream[1] |= 2
	}
	le.PutUint64(stream[8:], uint64(size))
	le.PutUint32(stream[20:], first)
	le.PutUint64(stream[24:], uint64(size))
	for i, u := range units {
		part := set[64+i/15*32:]
		part[0] = 0xC1
		le.PutUint16(part[2+2*(i%15):], u)
	}
	hashName(set)
	sealEntrySet(set)
	return set
}

// hashName makes the hash of the name in an entry set good (section 7.6.4).
// Letters beyond ASCII count as capitals.
func hashName(set []byte) {
	hash := uint16(0)
	for i := range int(set[32+3]) {
		u := binary.LittleEndian.Uint16(set[64+i/15*32+2+2*(i%15):])
		if 'a' <= u && u <= 'z' {
			u -= 'a' - 'A'
		}
		for _, c := range []byte{byte(u), byte(u >> 8)} {
			hash = hash<<15 + hash>>1 + uint16(c)
		}
	}
	binary.LittleEndian.PutUint16(set[32+4:], hash)
}
