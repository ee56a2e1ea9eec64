package corpus

import (
	"encoding/binary"
	"strconv"
	"strings"
	"unicode/utf16"
)

// ntfsPlan is where things are on an undamaged NTFS.
type ntfsPlan struct {
	cluster, record, table, mirror int64
	pieces                         []int64          // the clusters of the master file table
	numbers                        map[string]int64 // file records by path
	keys                           map[string]int64 // index entries by path
}

func ntfsPlanOf(img *Image) *ntfsPlan { return img.Plan.(*ntfsPlan) }

func surveyNTFS(img *Image) *ntfsPlan {
	img.Helper()
	p := &ntfsPlan{cluster: int64(img.Number(11, 2) * img.Number(13, 1)), numbers: map[string]int64{}, keys: map[string]int64{}}
	p.record = p.cluster * int64(img.Number(64, 1))
	if size := int8(img.Number(64, 1)); size < 0 {
		p.record = 1 << -size
	}
	p.table, p.mirror = int64(img.Number(48, 8))*p.cluster, int64(img.Number(56, 8))*p.cluster
	for number, name := range []string{"$MFT", "$MFTMirr", "$LogFile", "$Volume", "$AttrDef", "/", "$Bitmap", "$Boot", "$BadClus", "$Secure", "$UpCase", "$Extend"} {
		p.numbers[name] = int64(number)
	}
	p.pieces = []int64{p.table / p.cluster, p.table/p.cluster + 1}
	p.pieces = p.clusters(img, p.attribute(img, 0, 0x80, ""))
	p.walk(img, "", 5)
	return p
}

// offset returns the place of a record; 1024 bytes may be two clusters.
func (p *ntfsPlan) offset(number int64) int64 {
	at := number * p.record
	return p.pieces[at/p.cluster]*p.cluster + at%p.cluster
}

// number returns the record of a path, of a file of the system, or a number.
func (p *ntfsPlan) number(img *Image, file string) int64 {
	img.Helper()
	if n, ok := p.numbers[file]; ok {
		return n
	}
	n, err := parseNumber(file)
	if err != nil {
		img.Fatalf("there is no file %q, only %q", file, names(p.numbers))
	}
	return n
}

// attribute returns the place of an attribute by its type, and of a named one
// by its name; -1 when there is none.
func (p *ntfsPlan) attribute(img *Image, number int64, kind uint64, name string) int64 {
	img.Helper()
	rec := p.offset(number)
	for at := rec + int64(img.Number(rec+20, 2)); at < rec+p.record-4; at += int64(img.Number(at+4, 4)) {
		got := img.Number(at, 4)
		if got == 0xFFFFFFFF || img.Number(at+4, 4) == 0 {
			return -1
		}
		text := ntfsName(img.Read(at+int64(img.Number(at+10, 2)), 2*int(img.Number(at+9, 1))))
		if got == kind && text == name {
			return at
		}
	}
	return -1
}

func ntfsName(p []byte) string {
	var units []uint16
	for ; len(p) >= 2; p = p[2:] {
		units = append(units, binary.LittleEndian.Uint16(p))
	}
	return string(utf16.Decode(units))
}

// findAttribute reads FILE:TYPE or FILE:TYPE:NAME; the type is hexadecimal.
func (p *ntfsPlan) findAttribute(img *Image, arg string) int64 {
	img.Helper()
	part := strings.Split(arg, ":")
	if len(part) == 2 {
		part = append(part, "")
	}
	kind, err := strconv.ParseUint(part[1], 16, 32)
	if err != nil || len(part) != 3 {
		img.Fatalf("%q is not FILE:TYPE:NAME", arg)
	}
	at := p.attribute(img, p.number(img, part[0]), kind, part[2])
	if at < 0 {
		img.Fatalf("there is no attribute %q", arg)
	}
	return at
}

// value returns the place of an attribute's value, in the record or not.
func (p *ntfsPlan) value(img *Image, at int64) int64 {
	img.Helper()
	if img.Number(at+8, 1) == 0 {
		return at + int64(img.Number(at+20, 2))
	}
	return p.first(img, at) * p.cluster
}

// pairs returns the place of the list of clusters of an attribute.
func (p *ntfsPlan) pairs(img *Image, at int64) int64 { return at + int64(img.Number(at+32, 2)) }

// first returns the first cluster of an attribute.
func (p *ntfsPlan) first(img *Image, at int64) int64 {
	img.Helper()
	run := p.pairs(img, at)
	head := img.Number(run, 1)
	n, m := int64(head&15), int(head>>4)
	if n == 0 || m == 0 {
		img.Fatalf("the attribute at byte %d begins with no cluster", at)
	}
	return int64(img.Number(run+1+n, m))
}

// blocks returns the places of the index blocks of a folder.
func (p *ntfsPlan) blocks(img *Image, number int64) (list []int64) {
	img.Helper()
	at := p.attribute(img, number, 0xA0, "$I30")
	if at < 0 {
		return nil
	}
	size := int64(img.Number(p.attribute(img, number, 0x90, "$I30")+32+8, 4))
	all := p.clusters(img, at)
	for off := int64(0); off+size <= int64(len(all))*p.cluster; off += size {
		list = append(list, all[off/p.cluster]*p.cluster+off%p.cluster)
	}
	return list
}

// clusters returns the clusters of an attribute.
func (p *ntfsPlan) clusters(img *Image, at int64) (list []int64) {
	img.Helper()
	run, lcn := p.pairs(img, at), int64(0)
	for img.Number(run, 1) != 0 {
		head := img.Number(run, 1)
		n, m := int64(head&15), int64(head>>4)
		delta := int64(img.Number(run+1+n, int(m)))
		lcn += delta << (64 - 8*m) >> (64 - 8*m) // it has a sign
		for i := range int64(img.Number(run+1, int(n))) {
			list = append(list, lcn+i)
		}
		run += 1 + n + m
	}
	return list
}

// walk notes the entries of a folder, in its root and in all of its blocks.
func (p *ntfsPlan) walk(img *Image, dir string, number int64) {
	img.Helper()
	root := p.attribute(img, number, 0x90, "$I30")
	p.node(img, dir, p.value(img, root)+16)
	for _, block := range p.blocks(img, number) {
		if string(img.Read(block, 4)) == "INDX" {
			p.node(img, dir, block+24)
		}
	}
}

func (p *ntfsPlan) node(img *Image, dir string, head int64) {
	img.Helper()
	end := head + int64(img.Number(head+4, 4))
	for at := head + int64(img.Number(head, 4)); at < end; at += int64(img.Number(at+8, 2)) {
		flags := img.Number(at+12, 2)
		if flags&2 == 0 {
			name := ntfsName(img.Read(at+16+66, 2*int(img.Number(at+16+64, 1))))
			path := dir + name
			if dir == "" && name == "." {
				path = "/"
			}
			// The last two bytes of 512 may be those of the update sequence; names
			// of the test trees do not lie there where a recipe asks for them.
			p.keys[path] = at
			if n := int64(img.Number(at, 6)); n >= 16 && p.numbers[path] == 0 {
				if p.numbers[path] = n; img.Number(p.offset(n)+22, 2)&2 != 0 {
					p.walk(img, path+"/", n)
				}
			}
		}
		if flags&2 != 0 {
			return
		}
	}
}

func (p *ntfsPlan) key(img *Image, file string) int64 {
	img.Helper()
	at, ok := p.keys[file]
	if !ok {
		img.Fatalf("there is no index entry of %q, only %q", file, names(p.keys))
	}
	return at
}

// block returns the place of a block: DIR:N.
func (p *ntfsPlan) block(img *Image, arg string) int64 {
	img.Helper()
	dir, n, _ := cutLast(arg, ":")
	i, err := strconv.Atoi(n)
	list := p.blocks(img, p.number(img, dir))
	if err != nil || i < 0 || i >= len(list) {
		img.Fatalf("the index of %s has %d blocks, not %q", dir, len(list), n)
	}
	return list[i]
}

// listed returns the places of the entries of a file's attribute list.
func (p *ntfsPlan) listed(img *Image, file string) (list []int64) {
	img.Helper()
	head := p.findAttribute(img, file+":20")
	at, n := p.value(img, head), int64(img.Number(head+16, 4))
	if img.Number(head+8, 1) != 0 {
		n = int64(img.Number(head+48, 8))
	}
	for end := at + n; at < end; at += int64(img.Number(at+4, 2)) {
		list = append(list, at)
	}
	return list
}
