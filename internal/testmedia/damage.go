package testmedia

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"
	"unicode/utf16"

	"sallyport/internal/limit"
	"sallyport/internal/volume"
)

// The damage functions change the image file in place; copy it first with
// [Copy] where the good one is needed as well. They take images that have one
// volume and were good before.

// Copy returns a copy of the image in a new temporary folder.
func Copy(t testing.TB, img string) string {
	t.Helper()
	st, err := os.Stat(img)
	must(t, err)
	to := filepath.Join(t.TempDir(), filepath.Base(img))
	must(t, os.WriteFile(to, nil, 0o644))
	must(t, os.Truncate(to, st.Size()))
	paste(t, to, 0, img)
	return to
}

// Bytes reads n bytes of the image.
func Bytes(t testing.TB, img string, off int64, n int) []byte {
	t.Helper()
	f, err := os.Open(img)
	must(t, err)
	defer f.Close()
	p := make([]byte, n)
	_, err = f.ReadAt(p, off)
	must(t, err)
	return p
}

// Poke overwrites bytes of the image.
func Poke(t testing.TB, img string, off int64, p ...byte) {
	t.Helper()
	f, err := os.OpenFile(img, os.O_WRONLY, 0)
	must(t, err)
	_, err = f.WriteAt(p, off)
	must(t, err)
	must(t, f.Close())
}

// Find returns the entry of one file as package volume reads it.
func Find(t testing.TB, img, file string) volume.Entry {
	t.Helper()
	f, err := os.Open(img)
	must(t, err)
	defer f.Close()
	st, err := f.Stat()
	must(t, err)
	m, err := volume.Open(f, st.Size(), volume.Options{Limits: limit.Default()})
	must(t, err)
	for _, v := range m.Volumes {
		for _, e := range v.Entries {
			if e.Path == file {
				return e
			}
		}
	}
	t.Fatalf("%s is not on %s: %+v", file, filepath.Base(img), m.Problems)
	return volume.Entry{}
}

// Where returns the byte offset on the image of byte at of the file.
func Where(t testing.TB, img, file string, at int64) int64 {
	t.Helper()
	for _, x := range Find(t, img, file).Extents {
		if at < x.Len {
			return x.Off + at
		}
		at -= x.Len
	}
	t.Fatalf("%s is shorter", file)
	return 0
}

// Alter flips one bit of the file's content.
func Alter(t testing.TB, img, file string, at int64) {
	t.Helper()
	off := Where(t, img, file, at)
	Poke(t, img, off, Bytes(t, img, off, 1)[0]^1)
}

// CutInside ends the image in the middle of the file's content.
func CutInside(t testing.TB, img, file string) {
	t.Helper()
	must(t, os.Truncate(img, Where(t, img, file, Find(t, img, file).Size/2)))
}

// fat is the geometry of a FAT image without partition table.
type fat struct {
	bits              int
	reserved, fatSize int64 // bytes
	copies            int
	data, cluster     int64 // bytes
}

func geometry(t testing.TB, img string) fat {
	t.Helper()
	b := Bytes(t, img, 0, 512)
	le := binary.LittleEndian
	bps := int64(le.Uint16(b[11:]))
	g := fat{reserved: int64(le.Uint16(b[14:])) * bps, copies: int(b[16]), cluster: int64(b[13]) * bps}
	sectors, total := int64(le.Uint16(b[22:])), int64(le.Uint16(b[19:]))
	if total == 0 {
		total = int64(le.Uint32(b[32:]))
	}
	g.bits = 32
	if sectors == 0 {
		sectors = int64(le.Uint32(b[36:]))
	} else {
		g.bits = 16
	}
	g.fatSize = sectors * bps
	root := (int64(le.Uint16(b[17:]))*32 + bps - 1) / bps * bps
	g.data = g.reserved + int64(g.copies)*g.fatSize + root
	if g.bits == 16 && (total*bps-g.data)/g.cluster < 4085 {
		g.bits = 12
	}
	return g
}

// clusterOf returns the cluster that holds byte at of the file.
func (g fat) clusterOf(t testing.TB, img, file string, at int64) uint32 {
	return uint32((Where(t, img, file, at)-g.data)/g.cluster) + 2
}

// set writes the FAT entry of a cluster in the FATs [from, to).
func (g fat) set(t testing.TB, img string, cluster, value uint32, from, to int) {
	t.Helper()
	for i := from; i < to; i++ {
		off := g.reserved + int64(i)*g.fatSize
		switch g.bits {
		case 32:
			Poke(t, img, off+int64(cluster)*4, binary.LittleEndian.AppendUint32(nil, value&0x0FFFFFFF)...)
		case 16:
			Poke(t, img, off+int64(cluster)*2, binary.LittleEndian.AppendUint16(nil, uint16(value))...)
		case 12:
			off += int64(cluster) * 3 / 2
			v := binary.LittleEndian.Uint16(Bytes(t, img, off, 2))
			if cluster&1 == 0 {
				v = v&0xF000 | uint16(value)&0xFFF
			} else {
				v = v&0xF | uint16(value)<<4
			}
			Poke(t, img, off, binary.LittleEndian.AppendUint16(nil, v)...)
		}
	}
}

const endOfChain = 0x0FFFFFFF

// LoopChain makes the last cluster of the file point at its first.
func LoopChain(t testing.TB, img, file string) {
	t.Helper()
	g, size := geometry(t, img), Find(t, img, file).Size
	g.set(t, img, g.clusterOf(t, img, file, size-1), g.clusterOf(t, img, file, 0), 0, g.copies)
}

// CrossLink makes file b go on in the second cluster of file a. Both need two
// clusters or more.
func CrossLink(t testing.TB, img, a, b string) {
	t.Helper()
	g := geometry(t, img)
	g.set(t, img, g.clusterOf(t, img, b, 0), g.clusterOf(t, img, a, g.cluster), 0, g.copies)
}

// ShortenChain ends the chain of the file after its first cluster.
func ShortenChain(t testing.TB, img, file string) {
	t.Helper()
	g := geometry(t, img)
	g.set(t, img, g.clusterOf(t, img, file, 0), endOfChain, 0, g.copies)
}

// LengthenChain adds the cluster behind the file's last one, which must be
// free, to its chain.
func LengthenChain(t testing.TB, img, file string) {
	t.Helper()
	g := geometry(t, img)
	last := g.clusterOf(t, img, file, Find(t, img, file).Size-1)
	g.set(t, img, last, last+1, 0, g.copies)
	g.set(t, img, last+1, endOfChain, 0, g.copies)
}

// DifferFATs changes the first cluster of the file in the second FAT only.
func DifferFATs(t testing.TB, img, file string) {
	t.Helper()
	g := geometry(t, img)
	g.set(t, img, g.clusterOf(t, img, file, 0), 0, 1, 2)
}

// BreakEntrySet changes an attribute of the file in its exFAT directory entry
// set without changing the checksum. The name needs to be unique on the image.
func BreakEntrySet(t testing.TB, img, file string) {
	t.Helper()
	off := EntrySet(t, img, file)
	Poke(t, img, off+4, Bytes(t, img, off+4, 1)[0]^1)
}

// EntrySet returns the byte offset of the file's exFAT entry set.
func EntrySet(t testing.TB, img, file string) int64 {
	t.Helper()
	all, err := os.ReadFile(img)
	must(t, err)
	name := utf16.Encode([]rune(filepath.Base(file)))
	want := []byte{0xC1, 0}
	for _, u := range name[:min(15, len(name))] {
		want = binary.LittleEndian.AppendUint16(want, u)
	}
	at := bytes.Index(all, want)
	if at < 64 || all[at-64] != 0x85 {
		t.Fatalf("no entry set of %s", file)
	}
	return int64(at - 64)
}
