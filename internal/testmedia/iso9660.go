package testmedia

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"

	"sallyport/internal/testtool"
)

// Genisoimage makes an ISO 9660 image of what is in dir. Names are UTF-8.
func Genisoimage(t testing.TB, dir string, args ...string) string {
	t.Helper()
	img := filepath.Join(t.TempDir(), "genisoimage.iso")
	testtool.Run(t, "genisoimage", append(append([]string{"-quiet", "-input-charset", "utf-8"}, args...), "-o", img, dir)...)
	return img
}

// Xorriso makes an ISO 9660 image of what is in dir with the other writer that
// is common, called as mkisofs.
func Xorriso(t testing.TB, dir string, args ...string) string {
	t.Helper()
	img := filepath.Join(t.TempDir(), "xorriso.iso")
	testtool.Run(t, "xorriso", append(append([]string{"-as", "mkisofs", "-quiet", "-input-charset", "utf-8"}, args...), "-o", img, dir)...)
	return img
}

// SmallBlocks turns an ISO 9660 image with logical blocks of 2048 bytes into one
// with smaller ones, which no common writer makes: each number of a block in
// descriptors, path tables and folders is multiplied. Rock Ridge is not known to
// it.
func SmallBlocks(t testing.TB, img string, block int) {
	t.Helper()
	p, err := os.ReadFile(img)
	must(t, err)
	le, be := binary.LittleEndian, binary.BigEndian
	k := uint32(2048 / block)
	both := func(b []byte) {
		n := le.Uint32(b) * k
		le.PutUint32(b, n)
		be.PutUint32(b[4:], n)
	}
	var folder func(at, size uint32)
	folder = func(at, size uint32) {
		for n := uint32(0); n < size/2048; n++ {
			sector := p[at*2048+n*2048:][:2048]
			for pos := 0; pos < 2048 && sector[pos] != 0; pos += int(sector[pos]) {
				r := sector[pos:]
				if r[25]&2 != 0 && !(r[32] == 1 && r[33] < 2) {
					folder(le.Uint32(r[2:]), le.Uint32(r[10:]))
				}
				both(r[2:])
			}
		}
	}
	for at := 16 * 2048; p[at] != 255; at += 2048 {
		d := p[at:][:2048]
		if d[0] != 1 && d[0] != 2 {
			continue
		}
		for i, order := range []binary.ByteOrder{le, be} {
			n := order.Uint32(d[140+8*i:])
			table := p[n*2048:][:le.Uint32(d[132:])]
			for pos := 0; pos < len(table); pos += 8 + int(table[pos]+table[pos]&1) {
				order.PutUint32(table[pos+2:], order.Uint32(table[pos+2:])*k)
			}
			order.PutUint32(d[140+8*i:], n*k)
		}
		folder(le.Uint32(d[158:]), le.Uint32(d[166:]))
		both(d[158:])
		both(d[80:])
		le.PutUint16(d[128:], uint16(block))
		be.PutUint16(d[130:], uint16(block))
	}
	must(t, os.WriteFile(img, p, 0o644))
}

// ISORecord returns the byte offset of the directory record with the recorded
// name id, such as "A.TXT;1", whose tree is the nth in which it occurs.
func ISORecord(t testing.TB, img, id string, nth int) int64 {
	t.Helper()
	p, err := os.ReadFile(img)
	must(t, err)
	for at := 18 * 2048; ; {
		i := bytes.Index(p[at:], append([]byte{byte(len(id))}, id...))
		if i < 0 {
			t.Fatalf("no record of %q", id)
		}
		at += i
		// The numbers before a name are recorded in both byte orders.
		if r := p[at-32:]; binary.LittleEndian.Uint32(r[2:]) == binary.BigEndian.Uint32(r[6:]) && binary.LittleEndian.Uint32(r[10:]) == binary.BigEndian.Uint32(r[14:]) {
			if nth--; nth < 0 {
				return int64(at - 32)
			}
		}
		at++
	}
}
