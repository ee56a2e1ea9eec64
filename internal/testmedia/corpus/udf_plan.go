package corpus

import (
	"encoding/binary"
	"unicode/utf16"
)

// udfPlan is where things are on an undamaged UDF medium.
type udfPlan struct {
	block         int64
	main, reserve int64            // sectors
	mains         map[string]int64 // volume descriptors by name
	reserves      map[string]int64
	last          int64 // offset of the last anchor
	maps          []int64
	start         int64 // of the partition, in sectors
	fileSet       int64
	vat, vatData  int64
	sparing       int64
	metadata      int64
	mirror        int64
	files         map[string]udfFile

	kinds   []string // of the partition maps
	virtual []byte
	packet  int64
	spared  [][2]int64
	meta    int64 // sector of the metadata file's content
}

// udfFile is one file or folder, by path; "/" is the root folder.
type udfFile struct {
	icb, head, ads int64 // of the file entry, what follows its fixed part, and its allocation descriptors
	name           int64 // of the file identifier
	more           int64 // of the first block of further allocation descriptors
	block          uint32
	ref            uint16
}

func udfPlanOf(img *Image) *udfPlan { return img.Plan.(*udfPlan) }

func (p *udfPlan) find(img *Image, file string) udfFile {
	img.Helper()
	f, ok := p.files[file]
	if !ok {
		img.Fatalf("there is no %q on the image", file)
	}
	return f
}

// sector returns where a block is.
func (p *udfPlan) sector(block uint32, ref uint16) int64 {
	n := int64(block)
	switch p.kinds[ref] {
	case "*UDF Virtual Partition":
		n = int64(binary.LittleEndian.Uint32(p.virtual[4*n:]))
	case "*UDF Metadata Partition":
		return p.meta + n
	}
	for _, s := range p.spared {
		if n >= s[0] && n < s[0]+p.packet {
			return s[1] + n - s[0]
		}
	}
	return p.start + n
}

// surveyUDF follows an image that is good.
func surveyUDF(img *Image) *udfPlan {
	p := &udfPlan{files: map[string]udfFile{}}
	for p.block = 512; img.Number(256*p.block, 2) != 2 || img.Number(256*p.block+12, 4) != 256; p.block *= 2 {
	}
	num := func(off int64, width int) int64 { return int64(img.Number(off, width)) }
	p.main, p.reserve = num(256*p.block+20, 4), num(256*p.block+28, 4)
	p.last = img.Size() - p.block
	names := []string{"", "primary", "", "", "", "partition", "logical", "unallocated", "terminating"}
	p.mains, p.reserves = map[string]int64{}, map[string]int64{}
	for n := range int64(16) {
		for first, list := range map[int64]map[string]int64{p.main: p.mains, p.reserve: p.reserves} {
			d := (first + n) * p.block
			list[names[num(d, 2)]] = d
		}
	}
	logical := p.mains["logical"]
	p.start = num(p.mains["partition"]+188, 4)
	at := logical + 440
	for range num(logical+268, 4) {
		p.maps = append(p.maps, at)
		kind := ""
		if num(at, 1) == 2 {
			for _, c := range img.Read(at+5, 23) {
				if c != 0 {
					kind += string(rune(c))
				}
			}
		}
		p.kinds = append(p.kinds, kind)
		at += num(at+1, 1)
	}
	for i, kind := range p.kinds {
		switch kind {
		case "*UDF Sparable Partition":
			p.packet, p.sparing = num(p.maps[i]+40, 2), num(p.maps[i]+48, 4)*p.block
			for e := range num(p.sparing+48, 2) {
				if block := num(p.sparing+56+8*e, 4); block < 0xFFFFFFF0 {
					p.spared = append(p.spared, [2]int64{block, num(p.sparing+60+8*e, 4)})
				}
			}
		case "*UDF Metadata Partition":
			p.metadata = (p.start + num(p.maps[i]+40, 4)) * p.block
			p.mirror = (p.start + num(p.maps[i]+44, 4)) * p.block
			p.meta = p.start + num(p.metadata+220, 4)
		case "*UDF Virtual Partition":
			for p.vat = img.Size() - p.block; num(p.vat, 2) != 261 && num(p.vat, 2) != 266; p.vat -= p.block {
			}
			p.loadVirtual(img)
		}
	}
	p.fileSet = p.sector(uint32(num(logical+252, 4)), uint16(num(logical+256, 2))) * p.block
	p.walk(img, "/", 0, uint32(num(p.fileSet+404, 4)), uint16(num(p.fileSet+408, 2)))
	return p
}

func (p *udfPlan) loadVirtual(img *Image) {
	f := p.file(img, p.vat)
	data := p.content(img, f, p.vat, 0)
	skip := 0
	if img.Number(p.vat+27, 1) == 248 {
		skip = int(binary.LittleEndian.Uint16(data[0].bytes))
	}
	for _, piece := range data {
		p.virtual = append(p.virtual, piece.bytes...)
	}
	p.virtual, p.vatData = p.virtual[skip:], data[0].off+int64(skip)
}

// file finds the parts of a file entry.
func (p *udfPlan) file(img *Image, icb int64) udfFile {
	f := udfFile{icb: icb, head: icb + 176}
	if img.Number(icb, 2) == 266 {
		f.head = icb + 216
	}
	f.ads = f.head + int64(img.Number(f.head-8, 4))
	return f
}

type udfPiece struct {
	off   int64
	bytes []byte
}

// content reads what a file entry points at; its short descriptors are for ref.
func (p *udfPlan) content(img *Image, f udfFile, icb int64, ref uint16) (list []udfPiece) {
	left := int64(img.Number(icb+56, 8))
	kind := img.Number(icb+34, 2) & 7
	if kind == 3 {
		return []udfPiece{{f.ads, img.Read(f.ads, int(left))}}
	}
	for at := f.ads; left > 0; {
		n, block := int64(img.Number(at, 4)), uint32(img.Number(at+4, 4))
		if at += 8; kind == 1 {
			ref = uint16(img.Number(at, 2))
			at += 8
		}
		for n = min(n, left); n > 0; block++ {
			step := min(n, p.block)
			off := p.sector(block, ref) * p.block
			list = append(list, udfPiece{off, img.Read(off, int(step))})
			n, left = n-step, left-step
		}
	}
	return list
}

// walk finds everything below the file entry at block.
func (p *udfPlan) walk(img *Image, path string, name int64, block uint32, ref uint16) {
	icb := p.sector(block, ref) * p.block
	f := p.file(img, icb)
	f.name, f.block, f.ref = name, block, ref
	if kind := img.Number(icb+34, 2) & 7; kind < 2 {
		size := int64(8 + 8*kind)
		if last := f.ads + int64(img.Number(f.head-4, 4)) - size; last >= f.ads && img.Number(last, 4)>>30 == 3 {
			f.more = p.sector(uint32(img.Number(last+4, 4)), ref) * p.block
		}
	}
	if p.files[path] = f; img.Number(icb+27, 1) != 4 {
		return
	}
	var data []byte
	var offs []int64
	for _, piece := range p.content(img, f, icb, ref) {
		for i := range piece.bytes {
			offs = append(offs, piece.off+int64(i))
		}
		data = append(data, piece.bytes...)
	}
	le := binary.LittleEndian
	for at := 0; at < len(data); {
		d := data[at:]
		use := 38 + int(le.Uint16(d[36:]))
		size := (use + int(d[19]) + 3) &^ 3
		if d[18]&0x0C == 0 {
			sub := udfName(d[use : use+int(d[19])])
			if path != "/" {
				sub = path + "/" + sub
			}
			p.walk(img, sub, offs[at], le.Uint32(d[24:]), le.Uint16(d[28:]))
		}
		at += size
	}
}

func udfName(d []byte) string {
	var units []uint16
	for i := 1; i < len(d); i++ {
		if d[0] == 16 {
			units = append(units, binary.BigEndian.Uint16(d[i:]))
			i++
		} else {
			units = append(units, uint16(d[i]))
		}
	}
	return string(utf16.Decode(units))
}
