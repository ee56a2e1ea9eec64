package page

import (
	"bytes"
	"compress/zlib"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"strconv"
	"unicode/utf16"
)

// perStream is how many objects go into one object stream: enough to compress
// well, few enough that a reader unpacks little to find one.
const perStream = 400

// pdfFile collects the objects of a PDF (ISO 32000-1, section 7.5): streams as
// they are, everything else in compressed object streams, found through a
// cross-reference stream.
type pdfFile struct {
	out    []byte
	where  []place // by object number
	open   []byte  // bodies of the object stream that is being filled
	inOpen []int   // its objects' numbers
	starts []int   // and where each begins in it
	zip    *zlib.Writer
	zipped bytes.Buffer
}

// place is where an object is: at an offset of the file, or as the nth object in
// an object stream.
type place struct {
	kind     byte // 1 offset, 2 in a stream, as in the cross-reference stream
	at, more uint32
}

func newPDFFile() *pdfFile {
	f := &pdfFile{out: []byte("%PDF-1.7\n%\xe2\xe3\xcf\xd3\n"), where: make([]place, 1)}
	f.zip, _ = zlib.NewWriterLevel(&f.zipped, zlib.BestSpeed) // the level is valid
	return f
}

// reserve takes the numbers of n objects and returns the first.
func (f *pdfFile) reserve(n int) int {
	first := len(f.where)
	f.where = append(f.where, make([]place, n)...)
	return first
}

// object writes an object that is not a stream.
func (f *pdfFile) object(n int, body string) {
	f.begin(n)
	f.open = append(append(f.open, body...), '\n')
}

// begin makes an object of what is appended to f.open until the next one.
func (f *pdfFile) begin(n int) {
	if len(f.inOpen) == perStream {
		f.flush()
	}
	f.inOpen = append(f.inOpen, n)
	f.starts = append(f.starts, len(f.open))
}

// add writes an object under a new number.
func (f *pdfFile) add(body string) int {
	n := f.reserve(1)
	f.object(n, body)
	return n
}

// stream writes a compressed stream; entries are those of its dictionary
// besides its length and filter.
func (f *pdfFile) stream(n int, entries string, data ...[]byte) {
	f.zipped.Reset()
	f.zip.Reset(&f.zipped)
	for _, d := range data {
		f.zip.Write(d) // into memory: it does not fail
	}
	f.zip.Close()
	f.where[n] = place{1, uint32(len(f.out)), 0}
	f.out = append(f.out, fmt.Sprintf("%d 0 obj\n<<%s/Filter/FlateDecode/Length %d>>\nstream\n", n, entries, f.zipped.Len())...)
	f.out = append(f.out, f.zipped.Bytes()...)
	f.out = append(f.out, "\nendstream\nendobj\n"...)
}

// plain writes a stream that is not compressed.
func (f *pdfFile) plain(n int, entries, data string) {
	f.where[n] = place{1, uint32(len(f.out)), 0}
	f.out = append(f.out, fmt.Sprintf("%d 0 obj\n<<%s/Length %d>>\nstream\n%s\nendstream\nendobj\n", n, entries, len(data), data)...)
}

// flush writes the object stream that is being filled (section 7.5.7).
func (f *pdfFile) flush() {
	if len(f.inOpen) == 0 {
		return
	}
	n := f.reserve(1)
	var index []byte
	for i, object := range f.inOpen {
		index = strconv.AppendInt(index, int64(object), 10)
		index = append(index, ' ')
		index = strconv.AppendInt(index, int64(f.starts[i]), 10)
		index = append(index, ' ')
		f.where[object] = place{2, uint32(n), uint32(i)}
	}
	f.stream(n, fmt.Sprintf("/Type/ObjStm/N %d/First %d", len(f.inOpen), len(index)), index, f.open)
	f.open, f.inOpen, f.starts = f.open[:0], f.inOpen[:0], f.starts[:0]
}

// finish writes the cross-reference stream (section 7.5.8) and returns the file.
// Its identifier is the hash of what stands before.
func (f *pdfFile) finish(catalog, info int) []byte {
	f.flush()
	n := f.reserve(1)
	start := len(f.out)
	f.where[n] = place{1, uint32(start), 0}
	var table []byte
	for _, p := range f.where {
		table = append(table, p.kind)
		table = binary.BigEndian.AppendUint32(table, p.at)
		table = binary.BigEndian.AppendUint16(table, uint16(p.more))
	}
	binary.BigEndian.PutUint16(table[5:], 0xffff) // object 0 is the head of the free ones
	id := sha256.Sum256(f.out)
	f.stream(n, fmt.Sprintf("/Type/XRef/Size %d/W[1 4 2]/Root %d 0 R/Info %d 0 R/ID[<%x><%x>]", len(f.where), catalog, info, id[:16], id[:16]), table)
	return append(f.out, fmt.Sprintf("startxref\n%d\n%%%%EOF\n", start)...)
}

// ref is a reference to an object.
func ref(n int) string { return strconv.Itoa(n) + " 0 R" }

// pdfText is a text string (section 7.9.2.2): UTF-16 with a byte order mark, in
// hexadecimal, so that nothing in it needs escaping.
func pdfText(s string) string {
	b := []byte{0xfe, 0xff}
	for _, u := range utf16.Encode([]rune(s)) {
		b = binary.BigEndian.AppendUint16(b, u)
	}
	return fmt.Sprintf("<%x>", b)
}
