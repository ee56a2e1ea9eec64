package corpus

import (
	"encoding/binary"
	"fmt"
	"unicode/utf16"
)

func fatDamages() map[string]Damage {
	return map[string]Damage{
		// link FILE N TARGET sets the entry of the file's Nth cluster in all FATs.
		"link": {[]Kind{Word, Word, Word}, func(img *Image, a []Arg) {
			p := plan(img)
			p.set(img, p.nth(img, a[0].Text, a[1].Text), p.target(img, a[2].Text), 0, p.copies)
		}},
		// first FILE TARGET makes the file or folder start at another cluster.
		"first": {[]Kind{Word, Word}, func(img *Image, a []Arg) {
			p := plan(img)
			off, to := p.find(img, a[0].Text).off, p.target(img, a[1].Text)
			img.SetNumber(off+26, 2, uint64(to&0xFFFF))
			img.SetNumber(off+20, 2, uint64(to>>16))
		}},
		// loop FILE makes its last cluster point at its first.
		"loop": {[]Kind{Word}, func(img *Image, a []Arg) {
			p := plan(img)
			p.set(img, p.nth(img, a[0].Text, "-1"), p.nth(img, a[0].Text, "0"), 0, p.copies)
		}},
		// crosslink A B makes A go on in the second cluster of B.
		"crosslink": {[]Kind{Word, Word}, func(img *Image, a []Arg) {
			p := plan(img)
			p.set(img, p.nth(img, a[0].Text, "0"), p.nth(img, a[1].Text, "1"), 0, p.copies)
		}},
		// entry-of-fat CLUSTER VALUE sets an entry by its number, in all FATs.
		"fat-entry": {[]Kind{Number, Word}, func(img *Image, a []Arg) {
			p := plan(img)
			p.set(img, uint32(a[0].N), p.target(img, a[1].Text), 0, p.copies)
		}},
		// record PLACE NAME ATTRIBUTES TARGET SIZE writes the record of a file; the
		// name has 11 characters.
		"record": {[]Kind{PlaceK, Word, Number, Word, Number}, func(img *Image, a []Arg) {
			img.Write(img.At(a[0]), shortRecord(a[1].Text, byte(a[2].N), plan(img).target(img, a[3].Text), uint32(a[4].N))...)
		}},
		// long PLACE SHORT LONG writes a long name and the record of an empty file.
		"long": {[]Kind{PlaceK, Word, Word}, func(img *Image, a []Arg) {
			img.Write(img.At(a[0]), append(longRecords(a[1].Text, a[2].Text), shortRecord(a[1].Text, 0x20, 0, 0)...)...)
		}},
		// depth N puts folders into each other, from the root.
		"depth": {[]Kind{Number}, func(img *Image, a []Arg) {
			p := plan(img)
			list := p.free(img, a[0].N)
			at := p.end(img, "/")
			for i, c := range list {
				img.Write(at, shortRecord("DEEPER     ", 0x10, c, 0)...)
				p.link(img, []uint32{c})
				at = p.offset(c)
				img.Write(at, shortRecord(".          ", 0x10, c, 0)...)
				up := uint32(0)
				if i > 0 {
					up = list[i-1]
				}
				img.Write(at+32, shortRecord("..         ", 0x10, up, 0)...)
				at += 64
			}
		}},
		// many N puts N empty files into one folder of the root.
		"many": {[]Kind{Number}, func(img *Image, a []Arg) {
			p := plan(img)
			list := p.free(img, ((a[0].N+2)*32+p.cluster-1)/p.cluster)
			p.link(img, list)
			img.Write(p.end(img, "/"), shortRecord("MANY       ", 0x10, list[0], 0)...)
			recs := append(shortRecord(".          ", 0x10, list[0], 0), shortRecord("..         ", 0x10, 0, 0)...)
			for i := range a[0].N {
				recs = append(recs, shortRecord(fmt.Sprintf("F%07d   ", i), 0x20, 0, 0)...)
			}
			// The clusters stand in a row, so that one write does.
			img.Write(p.offset(list[0]), recs...)
		}},
	}
}

// shortRecord is the record of a file or folder (FAT specification section 6).
func shortRecord(name string, attributes byte, first, size uint32) []byte {
	rec := make([]byte, 32)
	copy(rec, name)
	rec[11] = attributes
	le := binary.LittleEndian
	le.PutUint16(rec[24:], 46<<9|11<<5|3) // the third of November 2026
	le.PutUint16(rec[20:], uint16(first>>16))
	le.PutUint16(rec[26:], uint16(first))
	le.PutUint32(rec[28:], size)
	return rec
}

// longRecords are the records of a long name (FAT specification section 7).
func longRecords(short, long string) (recs []byte) {
	sum := byte(0)
	for i := range 11 {
		sum = sum>>1 | sum<<7
		sum += short[i]
	}
	units := utf16.Encode([]rune(long))
	parts := (len(units) + 12) / 13
	if len(units)%13 != 0 {
		units = append(units, 0)
	}
	for len(units) < parts*13 {
		units = append(units, 0xFFFF)
	}
	for n := parts; n > 0; n-- {
		rec := make([]byte, 32)
		if rec[0] = byte(n); n == parts {
			rec[0] |= 0x40
		}
		rec[11], rec[13] = 0x0F, sum
		for i, u := range units[(n-1)*13 : n*13] {
			at := 1 + 2*i
			switch {
			case i >= 11:
				at = 28 + 2*(i-11)
			case i >= 5:
				at = 14 + 2*(i-5)
			}
			binary.LittleEndian.PutUint16(rec[at:], u)
		}
		recs = append(recs, rec...)
	}
	return recs
}
