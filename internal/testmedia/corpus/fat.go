package corpus

import (
	"encoding/binary"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf16"

	"sallyport/internal/testmedia"
)

// fatFamily is FAT12, FAT16 and FAT32 without a partition table.
func fatFamily() *Family {
	return &Family{
		Name: "fat",
		Bases: map[string]func(t testing.TB, o *Options) Base{
			"fat12": func(t testing.TB, o *Options) Base { return fatBase(t, o, 12, "2M", 1) },
			"fat16": func(t testing.TB, o *Options) Base { return fatBase(t, o, 16, "5M", 2) },
			"fat32": func(t testing.TB, o *Options) Base { return fatBase(t, o, 32, "34M", 1) },
		},
		Survey:  func(img *Image) any { return surveyFAT(img) },
		Places:  fatPlaces(),
		Fields:  fatFields(),
		Damages: fatDamages(),
		Seals: map[string]Seal{
			// backup makes the second boot sector of a FAT32 equal to the first.
			"backup": {Do: func(img *Image, _ string) { img.Write(6*plan(img).sector, img.Read(0, 512)...) }},
			// fat2 makes the second FAT equal to the first.
			"fat2": {Do: func(img *Image, _ string) {
				p := plan(img)
				img.Write(p.table+p.tableBytes, img.Read(p.table, int(p.tableBytes))...)
			}},
			// long gives the parts of a long name the checksum of its short one.
			"long": {Arg: true, Do: func(img *Image, file string) {
				r := plan(img).find(img, file)
				sum := byte(0)
				for _, c := range img.Read(r.off, 11) {
					sum = sum>>1 | sum<<7
					sum += c
				}
				for at := r.long; at < r.off; at += 32 {
					img.Write(at+13, sum)
				}
			}},
		},
	}
}

func fatBase(t testing.TB, o *Options, bits int, size string, cluster int64) Base {
	t.Helper()
	tree := o.Tree()
	opt := testmedia.Options{
		Bits: bits, SizeMiB: int(o.Number("size", size) >> 20), Label: o.Word("label", ""),
		SectorBytes: int(o.Number("sector", "512")), ClusterSectors: int(o.Number("cluster", strconv.FormatInt(cluster, 10))),
	}
	return Base{testmedia.FAT(t, opt, tree), []testmedia.Files{tree}}
}

// fatPlan is where things are on an undamaged FAT.
type fatPlan struct {
	bits                    int
	sector, table           int64
	tableBytes              int64
	copies                  int
	root, rootBytes         int64 // FAT12 and FAT16
	data, cluster, clusters int64
	rootCluster             uint32
	records                 map[string]fatRecord // by path, in capitals
}

// fatRecord is the record of a file or folder.
type fatRecord struct {
	long, off int64 // of the first part of the long name, and of the record
	chain     []uint32
}

func plan(img *Image) *fatPlan { return img.Plan.(*fatPlan) }

func surveyFAT(img *Image) *fatPlan {
	p := &fatPlan{sector: int64(img.Number(11, 2)), copies: int(img.Number(16, 1)), records: map[string]fatRecord{}}
	p.table, p.cluster = int64(img.Number(14, 2))*p.sector, int64(img.Number(13, 1))*p.sector
	fatSectors, total := img.Number(22, 2), img.Number(19, 2)
	if p.bits = 16; fatSectors == 0 {
		p.bits, fatSectors, p.rootCluster = 32, img.Number(36, 4), uint32(img.Number(44, 4))
	}
	if total == 0 {
		total = img.Number(32, 4)
	}
	p.tableBytes = int64(fatSectors) * p.sector
	p.root, p.rootBytes = p.table+int64(p.copies)*p.tableBytes, int64(img.Number(17, 2))*32
	p.data = p.root + p.rootBytes
	if p.clusters = (int64(total)*p.sector - p.data) / p.cluster; p.bits == 16 && p.clusters < 4085 {
		p.bits = 12
	}
	root := img.Read(p.root, int(p.rootBytes))
	at := []int64{p.root}
	if p.bits == 32 {
		root, at = p.read(img, p.chain(img, p.rootCluster))
	}
	p.walk(img, "", root, at)
	return p
}

// read returns a chain's bytes and the offset of each cluster.
func (p *fatPlan) read(img *Image, chain []uint32) (all []byte, at []int64) {
	for _, c := range chain {
		at = append(at, p.offset(c))
		all = append(all, img.Read(p.offset(c), int(p.cluster))...)
	}
	return all, at
}

func (p *fatPlan) offset(cluster uint32) int64 { return p.data + int64(cluster-2)*p.cluster }

// walk notes the records of a folder. Names are in ASCII; test trees have others
// only where no recipe names them.
func (p *fatPlan) walk(img *Image, dir string, recs []byte, at []int64) {
	long, name := int64(-1), ""
	for i := 0; i+32 <= len(recs) && recs[i] != 0; i += 32 {
		rec := recs[i : i+32]
		off := at[0] + int64(i)
		if len(at) > 1 || p.bits == 32 || dir != "" {
			off = at[int64(i)/p.cluster] + int64(i)%p.cluster
		}
		switch {
		case rec[0] == 0xE5 || rec[0] == '.' || rec[11]&0x3F == 8:
			long, name = -1, ""
			continue
		case rec[11] == 0x0F:
			if long < 0 {
				long = off
			}
			name = longPart(rec) + name
			continue
		case long < 0:
			long = off
			name = strings.TrimRight(string(rec[:8]), " ")
			if ext := strings.TrimRight(string(rec[8:11]), " "); ext != "" {
				name += "." + ext
			}
		}
		first := uint32(binary.LittleEndian.Uint16(rec[26:])) | uint32(binary.LittleEndian.Uint16(rec[20:]))<<16
		r := fatRecord{long: long, off: off}
		if first != 0 {
			r.chain = p.chain(img, first)
		}
		p.records[strings.ToUpper(dir+name)] = r
		if rec[11]&0x10 != 0 {
			sub, at := p.read(img, r.chain)
			p.walk(img, dir+name+"/", sub, at)
		}
		long, name = -1, ""
	}
}

// longPart returns the characters of one record of a long name.
func longPart(rec []byte) string {
	var units []uint16
	for _, part := range [][]byte{rec[1:11], rec[14:26], rec[28:32]} {
		for ; len(part) > 0; part = part[2:] {
			u := binary.LittleEndian.Uint16(part)
			if u == 0 {
				return string(utf16.Decode(units))
			}
			units = append(units, u)
		}
	}
	return string(utf16.Decode(units))
}

func (p *fatPlan) find(img *Image, file string) fatRecord {
	img.Helper()
	r, ok := p.records[strings.ToUpper(file)]
	if !ok {
		img.Fatalf("there is no file %q, only %q", file, names(p.records))
	}
	return r
}

func (p *fatPlan) chain(img *Image, first uint32) (list []uint32) {
	for c := first; c >= 2 && int64(c) < p.clusters+2; c = p.get(img, c) {
		list = append(list, c)
	}
	return list
}

func (p *fatPlan) get(img *Image, cluster uint32) uint32 {
	switch p.bits {
	case 32:
		return uint32(img.Number(p.table+int64(cluster)*4, 4)) & 0x0FFFFFFF
	case 16:
		return uint32(img.Number(p.table+int64(cluster)*2, 2))
	}
	n := uint32(img.Number(p.table+int64(cluster)*3/2, 2))
	if cluster&1 != 0 {
		n >>= 4
	}
	return n & 0xFFF
}

// set writes an entry in the FATs from to to-1.
func (p *fatPlan) set(img *Image, cluster, value uint32, from, to int) {
	img.Helper()
	for i := from; i < to; i++ {
		table := p.table + int64(i)*p.tableBytes
		switch p.bits {
		case 32:
			img.SetNumber(table+int64(cluster)*4, 4, uint64(value))
		case 16:
			img.SetNumber(table+int64(cluster)*2, 2, uint64(value&0xFFFF))
		default:
			off := table + int64(cluster)*3/2
			old := uint32(img.Number(off, 2))
			if cluster&1 == 0 {
				old = old&0xF000 | value&0xFFF
			} else {
				old = old&0xF | value&0xFFF<<4
			}
			img.SetNumber(off, 2, uint64(old))
		}
	}
}

// target reads what an entry of a FAT is set to: "free", "bad", "end",
// FILE:N for the Nth cluster of a file, or a number.
func (p *fatPlan) target(img *Image, s string) uint32 {
	img.Helper()
	switch s {
	case "free":
		return 0
	case "bad":
		return 0x0FFFFFF7
	case "end":
		return 0x0FFFFFFF
	case "root":
		return p.rootCluster
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

// nth returns the cluster with number n, counted from 0, of a file; negative
// numbers count from its end.
func (p *fatPlan) nth(img *Image, file, n string) uint32 {
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

// free returns n clusters that no file has, from the end of the volume.
func (p *fatPlan) free(img *Image, n int64) (list []uint32) {
	img.Helper()
	for c := uint32(p.clusters + 1); int64(len(list)) < n; c-- {
		if c < 2 {
			img.Fatalf("there are no %d free clusters", n)
		}
		if p.get(img, c) == 0 {
			list = append(list, c)
		}
	}
	slices.Reverse(list)
	return list
}

// link makes one chain of the clusters, in all FATs.
func (p *fatPlan) link(img *Image, list []uint32) {
	img.Helper()
	for i, c := range list {
		next := uint32(0x0FFFFFFF)
		if i+1 < len(list) {
			next = list[i+1]
		}
		p.set(img, c, next, 0, p.copies)
	}
}

// end returns the place of the end mark of a folder, "/" for the root.
func (p *fatPlan) end(img *Image, dir string) int64 {
	img.Helper()
	at, n := p.root, p.rootBytes
	switch {
	case dir != "/":
		at, n = p.offset(p.nth(img, dir, "0")), p.cluster
	case p.bits == 32:
		at, n = p.offset(p.rootCluster), p.cluster
	}
	for i := int64(0); i < n; i += 32 {
		if img.Read(at+i, 1)[0] == 0 {
			return at + i
		}
	}
	img.Fatalf("the folder %s is full", dir)
	return 0
}

func cutLast(s, sep string) (before, after string, ok bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+1:], true
}
