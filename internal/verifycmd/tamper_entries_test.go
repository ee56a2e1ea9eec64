package verifycmd_test

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"sallyport/internal/translog"
)

const badChecksum = "the checksum of the frame does not match"

// bitTampering are single bits.
func bitTampering() []tampering {
	const checksum = ": " + badChecksum
	return []tampering{
		{"flip a bit of an entry", func(p *tape) []string {
			p.flip(p.at[5].File, p.at[5].Offset+frameHeader+9)
			return []string{p.place(5) + checksum}
		}, ""},
		{"flip a bit of a length", func(p *tape) []string {
			p.flip(p.at[5].File, p.at[5].Offset+3)
			return []string{p.place(5) + checksum}
		}, ""},
		{"flip a high bit of a length", func(p *tape) []string {
			p.flip(p.at[5].File, p.at[5].Offset)
			return []string{p.place(5) + ": the frame claims 5368"}
		}, ""},
		{"flip a bit of a checksum", func(p *tape) []string {
			p.flip(p.at[5].File, p.at[5].Offset+6)
			return []string{p.place(5) + checksum}
		}, ""},
		{"flip a bit of an index", func(p *tape) []string {
			p.flip(p.at[5].File, p.at[5].Offset+15)
			return []string{p.place(5) + checksum}
		}, ""},
		{"flip a bit of the last sealed entry", func(p *tape) []string {
			p.flip(p.at[37].File, p.at[37].Offset+frameHeader)
			return []string{p.place(37) + checksum}
		}, same},
		{"flip a bit of an entry that is not sealed", func(p *tape) []string {
			p.flip(p.at[40].File, p.at[40].Offset+frameHeader)
			return []string{p.place(40) + checksum}
		}, ""}, // may be torn: it is cut off, kept and recorded
		{"flip bits in three entries", func(p *tape) []string {
			for _, i := range []int64{3, 20, 36} {
				p.flip(p.at[i].File, p.at[i].Offset+frameHeader)
			}
			return []string{p.place(3) + checksum, p.place(20) + checksum, p.place(36) + checksum}
		}, "entry 36 ("},
	}
}

// changedTampering are entries that were changed by somebody who knows the format.
func changedTampering() []tampering {
	return []tampering{
		{"change an entry and its checksum", func(p *tape) []string {
			p.put(5, 6, frameOf(5, p.other(5)))
			return []string{p.place(5) + ": the entry is not the one sealed by the checkpoint over 14 entries"}
		}, ""},
		{"change an entry near the last checkpoint and its checksum", func(p *tape) []string {
			p.put(36, 37, frameOf(36, p.other(36)))
			return []string{p.place(36) + ": the entry is not the one sealed by the checkpoint over 38 entries"}
		}, same},
		{"change an entry into nonsense, and its checksum", func(p *tape) []string {
			p.put(5, 6, frameOf(5, []byte(`{"seq":5}`)))
			return []string{p.place(5) + ": the entry is not the one sealed", p.place(5) + ": not a valid audit entry", p.resized(5)}
		}, "before entry 9 ("},
		{"change an entry, its checksum and its stored hash", func(p *tape) []string {
			p.put(5, 6, frameOf(5, p.other(5)))
			p.at[5].Data = p.other(5)
			p.leaf(5)
			return []string{p.span(1, 13) + ": the entries do not have the root " + fmt.Sprint(sealedRoot(p.notes[1]))}
		}, ""},
		{"change an entry, its checksum and all stored hashes", func(p *tape) []string {
			p.put(22, 23, frameOf(22, p.other(22)))
			p.at[22].Data = p.other(22)
			p.rehash()
			return []string{p.span(14, 26) + ": the entries do not have the root " + fmt.Sprint(sealedRoot(p.notes[2]))}
		}, "one or more of the entries 0 to 37"},
		{"change the length of an entry and rebuild everything", func(p *tape) []string {
			p.at[22].Data = p.replaced(22, `"size":"1022"`, `"size":"10220"`)
			p.rebuild()
			p.rehash()
			return []string{p.span(14, 26) + ": the entries do not have the root " + fmt.Sprint(sealedRoot(p.notes[2]))}
		}, "one or more of the entries 0 to 37"},
		{"take an entry out and rebuild everything", func(p *tape) []string {
			p.renumber(slices.Delete(p.at, 22, 23))
			return []string{p.span(14, 26) + ": the entries do not have the root", more}
		}, "one or more of the entries 0 to 37"},
		{"insert an entry and rebuild everything", func(p *tape) []string {
			p.renumber(slices.Insert(p.at, 22, translog.Entry{File: p.at[22].File, Data: p.other(22)}))
			return []string{p.span(14, 26) + ": the entries do not have the root", more}
		}, "one or more of the entries 0 to 37"},
		{"number an entry twice, with its checksum", func(p *tape) []string {
			p.put(5, 6, frameOf(6, p.at[5].Data))
			return []string{p.place(5) + ": entry 6 stands where entry 5 belongs"}
		}, ""},
		{"give an entry a huge index, with its checksum", func(p *tape) []string {
			p.put(5, 6, frameOf(1<<52, p.at[5].Data))
			return []string{p.place(5) + ": entry 4503599627370496 stands where entry 5 belongs"}
		}, ""},
	}
}

// orderTampering are entries that were taken out, put in and moved.
func orderTampering() []tampering {
	return []tampering{
		{"cut an entry out", func(p *tape) []string {
			i := p.inside(21)
			p.put(i, i+1)
			return []string{fmt.Sprintf("%s: entry %d stands where entry %d belongs", p.place(i), i+1, i), p.resized(i)}
		}, same},
		{"cut entries out of the last segment", func(p *tape) []string {
			p.put(36, 39)
			return []string{p.span(36, 38) + ": entry 39 stands where entry 36 belongs"}
		}, "entry 36 ("},
		{"swap two entries", func(p *tape) []string {
			i := p.inside(21)
			p.put(i, i+2, p.frame(i+1), p.frame(i))
			return []string{fmt.Sprintf("before entry %d (%s, byte %d): entry %d stands where entry %d belongs", i, p.at[i].File, p.at[i].Offset, i+1, i),
				fmt.Sprintf("entry %d (%s, byte %d): entry %d stands where entry %d belongs", i+1, p.at[i].File, p.end(i+1), i+2, i+1)}
		}, ""},
		{"swap two entries and number them anew", func(p *tape) []string {
			i := p.inside(21)
			p.put(i, i+2, frameOf(i, p.at[i+1].Data), frameOf(i+1, p.at[i].Data))
			const not = ": the entry is not the one sealed by the checkpoint over 27 entries"
			second := fmt.Sprintf("entry %d (%s, byte %d)", i+1, p.at[i].File, p.at[i].Offset+frameHeader+int64(len(p.at[i+1].Data)))
			return []string{p.place(i) + not, fmt.Sprintf("%s: the entry calls itself %d", p.place(i), i+1), second + not, second + fmt.Sprintf(": the entry calls itself %d", i)}
		}, ""},
		{"insert an entry", func(p *tape) []string {
			i := p.inside(21)
			p.put(i, i+1, frameOf(i, p.other(i)), p.frame(i))
			return []string{p.place(i) + ": the entry is not the one sealed by the checkpoint over 27 entries",
				fmt.Sprintf("before entry %d (%s, byte %d): entry %d stands where entry %d belongs", i+1, p.at[i].File, p.end(i), i, i+1), p.resized(i)}
		}, "before entry 22 ("},
		{"insert a copy of an entry", func(p *tape) []string {
			i := p.inside(21)
			p.put(i, i+1, p.frame(i), p.frame(i))
			return []string{fmt.Sprintf("before entry %d (%s, byte %d): entry %d stands where entry %d belongs", i+1, p.at[i].File, p.end(i), i, i+1), p.resized(i)}
		}, same},
		{"insert bytes that are no entry", func(p *tape) []string {
			i := p.inside(21)
			p.put(i, i+1, []byte(strings.Repeat("junk", 25)), p.frame(i))
			return []string{fmt.Sprintf("before entry %d (%s, byte %d): the frame claims", i, p.at[i].File, p.at[i].Offset), p.resized(i)}
		}, same},
		{"put another station's entry in an entry's place", func(p *tape) []string {
			p.put(5, 6, frameOf(5, p.foreign.at[5].Data))
			return []string{p.place(5) + ": the entry is not the one sealed by the checkpoint over 14 entries"}
		}, ""},
	}
}

// cutTampering are entries and segments that were cut off or removed.
func cutTampering() []tampering {
	return []tampering{
		{"overwrite entries with zeros", func(p *tape) []string {
			i := p.inside(21)
			p.put(i, i+2, make([]byte, p.end(i+1)-p.at[i].Offset))
			return []string{fmt.Sprintf("one or more of the entries %d to %d (from %s, byte %d): the frame claims 0 bytes", i, i+1, p.at[i].File, p.at[i].Offset)}
		}, ""},
		{"overwrite the end of the log with zeros", func(p *tape) []string {
			b := p.read(p.at[36].File)
			clear(b[p.at[36].Offset:])
			p.write(p.at[36].File, b)
			return []string{p.place(36) + ": the last ", p.ends(36, 38, p.end(tapeSize-1))}
		}, same},
		{"cut the log inside a sealed entry", func(p *tape) []string {
			p.cut(p.at[36].File, p.at[36].Offset+40)
			return []string{p.place(36) + ": the file ends after 40 of the frame's", p.ends(36, 38, p.at[36].Offset+40)}
		}, same},
		{"cut the log before a sealed entry", func(p *tape) []string {
			p.back(36)
			return []string{p.ends(36, 38, p.at[36].Offset)}
		}, same},
		{"cut a segment in the middle of the log between entries", func(p *tape) []string {
			next := p.first(2)
			p.cut(p.at[next-2].File, p.at[next-2].Offset)
			return []string{fmt.Sprintf("one or more of the entries %d to %d (from %s, byte %d): the segment ends before entry %d, the next one begins with entry %d", next-2, next-1, p.at[next-2].File, p.at[next-2].Offset, next-2, next),
				p.resized(next - 2)}
		}, same},
		{"cut a segment in the middle of the log inside an entry", func(p *tape) []string {
			next := p.first(2)
			p.cut(p.at[next-1].File, p.at[next-1].Offset+5)
			return []string{p.place(next-1) + ": the file ends after 5 bytes of a frame header", p.resized(next - 1)}
		}, same},
		{"empty a segment", func(p *tape) []string {
			i, next := p.first(1), p.first(2)
			p.cut(p.at[i].File, 0)
			return []string{fmt.Sprintf("before entry %d (%s, byte 0): the file header is cut short after 0 of 64 bytes", i, p.at[i].File),
				fmt.Sprintf("one or more of the entries %d to %d (from %s, byte 0): the segment ends before entry %d", i, next-1, p.at[i].File, i), p.resized(i)}
		}, same},
		{"remove the first segment", func(p *tape) []string {
			p.remove(p.segments()[0])
			return []string{fmt.Sprintf("one or more of the entries 0 to %d (from %s, byte 0): the first segment is missing", p.first(1)-1, p.segments()[0])}
		}, same},
		{"remove a segment in the middle", func(p *tape) []string {
			i, next := p.first(2), p.first(3)
			p.remove(p.segments()[2])
			return []string{fmt.Sprintf("one or more of the entries %d to %d (from %s, byte %d): the segment ends before entry %d, the next one begins with entry %d", i, next-1, p.at[i-1].File, p.end(i-1), i, next),
				p.resized(i)}
		}, same},
		{"remove the last segment", func(p *tape) []string {
			i := p.first(len(p.segments()) - 1)
			p.remove(p.at[tapeSize-1].File)
			return []string{p.ends(i, 38, p.end(i-1))}
		}, same},
		{"remove all segments", func(p *tape) []string {
			for _, s := range p.segments() {
				p.remove(s)
			}
			return []string{"entry 0 (00000000000000000000.seg, byte 0): the first segment is missing", "one or more of the entries 0 to 37 (from 00000000000000000000.seg, byte 64): the log ends after 0 entries, its checkpoints seal 38"}
		}, same},
	}
}

// segmentTampering are segments that were moved, and their headers.
func segmentTampering() []tampering {
	return []tampering{
		{"swap two segments", func(p *tape) []string {
			a, b := p.segments()[1], p.segments()[2]
			x, y := p.read(a), p.read(b)
			p.write(a, y)
			p.write(b, x)
			return []string{fmt.Sprintf("before entry %d (%s, byte 0): the file header says that the first entry is %d instead of %d", p.first(1), a, p.first(2), p.first(1)), more}
		}, same},
		{"put a segment of the same station's other log in place", func(p *tape) []string {
			i := p.first(1)
			p.write(p.at[i].File, p.twin.read(p.at[i].File))
			return []string{p.place(i) + ": the entry is not the one sealed by the checkpoint over 14 entries", more}
		}, ""},
		{"mix the segments of two logs of one station", func(p *tape) []string {
			for _, s := range p.segments()[2:] {
				p.write(s, p.twin.read(s))
			}
			return []string{p.place(p.first(2)) + ": the entry is not the one sealed by the checkpoint over 27 entries", more}
		}, "is not the one that the last checkpoint seals"},
		{"rename a segment", func(p *tape) []string {
			i := p.first(1)
			to := fmt.Sprintf("%020d.seg", i+1)
			p.write(to, p.read(p.at[i].File))
			p.remove(p.at[i].File)
			return []string{fmt.Sprintf("entry %d (%s, byte %d): the segment ends before entry %d, the next one begins with entry %d", i, p.at[i-1].File, p.end(i-1), i, i+1),
				fmt.Sprintf("before entry %d (%s, byte 0): the file header says that the first entry is %d instead of %d", i+1, to, i, i+1), fmt.Sprintf("before entry %d (%s, byte 64): entry %d stands where entry %d belongs", i+1, to, i, i+1),
				more}
		}, same},
		{"add a file that looks like a segment", func(p *tape) []string {
			p.write("7.seg", p.read(p.segments()[0]))
			return []string{"7.seg, byte 0: the name is not that of a segment"}
		}, same},
		{"add a segment far behind the end", func(p *tape) []string {
			p.write("00000000000000000099.seg", append(headerOf("SPLOGSEG", 99, p.end(tapeSize-1), p.origin), frameOf(99, p.other(5))...))
			return []string{fmt.Sprintf("one or more of the entries 42 to 98 (from %s, byte %d): the segment ends before entry 42, the next one begins with entry 99", p.at[41].File, p.end(41)),
				"entry 99 (00000000000000000099.seg, byte 64): the entry calls itself 5"}
		}, same},
		{"flip a bit of a segment's header", func(p *tape) []string {
			p.flip(p.segments()[1], 20)
			return []string{fmt.Sprintf("before entry %d (%s, byte 0): the checksum of the file header does not match", p.first(1), p.segments()[1])}
		}, same},
		{"give a segment another version", func(p *tape) []string {
			p.header(1, func(h []byte) { h[11] = 2 })
			return []string{fmt.Sprintf("before entry %d (%s, byte 0): the file has format version 2, this program knows 1", p.first(1), p.segments()[1])}
		}, same},
		{"give a segment another origin", func(p *tape) []string {
			p.header(1, func(h []byte) { h[30] ^= 1 })
			return []string{fmt.Sprintf("before entry %d (%s, byte 0): the file belongs to a log of another origin", p.first(1), p.segments()[1])}
		}, same},
		{"give a segment another file's beginning", func(p *tape) []string {
			p.header(1, func(h []byte) { copy(h, "SPLOGCHK") })
			return []string{fmt.Sprintf(`before entry %d (%s, byte 0): the file starts with "SPLOGCHK" instead of "SPLOGSEG"`, p.first(1), p.segments()[1])}
		}, same},
		{"give the file before a segment another size", func(p *tape) []string {
			p.header(2, func(h []byte) { binary.BigEndian.PutUint64(h[20:], 1234) })
			return []string{fmt.Sprintf("before entry %d (%s, byte 0): the file before this one had 1234 bytes when it was closed, now it has %d", p.first(2), p.segments()[2], p.end(p.first(2)-1))}
		}, same},
		{"remove log.json", func(p *tape) []string {
			p.remove("log.json")
			return []string{unchecked, "log.json: no such file"}
		}, "log.json: no such file"},
		{"change the origin in log.json", func(p *tape) []string {
			p.write("log.json", []byte(`{"format":"sallyport.translog","v":1,"origin":"sallyport/us/maple-county/ems-2"}`))
			return []string{"before entry 0 (00000000000000000000.seg, byte 0): the file belongs to a log of another origin", more}
		}, same},
		{"put another log's log.json in place", func(p *tape) []string {
			p.write("log.json", []byte(`{"format":"sallyport.translog","origin":"x","v":1}`))
			return []string{"log.json, byte 0: cannot read log.json"}
		}, "log.json"},
	}
}
