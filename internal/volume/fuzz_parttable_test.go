package volume_test

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"math"
	"testing"

	"sallyport/internal/volume"
)

// saneTable checks what must hold for any table: few partitions, whose ranges
// do not wrap, which are on the medium unless their volume says otherwise, and
// apart unless the medium does.
func saneTable(t *testing.T, m *volume.Medium) {
	t.Helper()
	if len(m.Volumes) > 128 {
		t.Errorf("%d volumes", len(m.Volumes))
	}
	if len(m.Problems) > 70 {
		t.Errorf("%d problems of the medium", len(m.Problems))
	}
	for i, v := range m.Volumes {
		if v.Index != i || v.Offset < 0 || v.Size < 0 || v.Size > math.MaxInt64-v.Offset {
			t.Errorf("volume %d is number %d, with %d bytes at %d", i, v.Index, v.Size, v.Offset)
		}
		if len(v.Problems) == 0 && (v.Size == 0 || v.Offset+v.Size > m.Size) {
			t.Errorf("volume %d has %d bytes at %d of %d and no problem", i, v.Size, v.Offset, m.Size)
		}
	}
	if len(m.Problems) > 0 || len(m.Volumes) == 0 {
		return
	}
	list := ranges(m)
	for i, r := range list[1:] {
		if list[i].Off+list[i].Size > r.Off && r.Size > 0 {
			t.Errorf("two volumes share byte %d and the medium has no problem", r.Off)
		}
	}
}

// sealGPTOf is sealGPT for any size of sectors.
func sealGPTOf(img []byte, size int) {
	le := binary.LittleEndian
	for _, at := range []int{size, len(img)/size*size - size} {
		if at < size || len(img) < at+size {
			continue
		}
		h := img[at : at+size]
		from, n := le.Uint64(h[72:]), uint64(le.Uint32(h[80:]))*uint64(le.Uint32(h[84:]))
		if from < uint64(len(img)/size) && n <= uint64(len(img))-from*uint64(size) {
			le.PutUint32(h[88:], crc32.ChecksumIEEE(img[from*uint64(size):][:n]))
		}
		le.PutUint32(h[16:], 0)
		if n := le.Uint32(h[12:]); n >= 92 && int64(n) <= int64(size) {
			le.PutUint32(h[16:], crc32.ChecksumIEEE(h[:n]))
		}
	}
}

// large are tables for sectors of 4096 bytes, with the volume in each partition.
func large(part []byte) map[string][]byte {
	const size = 4096
	part = append(bytes.Clone(part), make([]byte, -len(part)&(size-1))...)
	n := uint32(len(part) / size)
	le := binary.LittleEndian

	mbr := make(disk, size)
	mbr.entry(0, 0, 0, 6, 1, n)
	mbr.entry(0, 1, 0, 5, 1+n, 2+2*n)
	box := make(disk, size)
	box.entry(0, 0, 0, 6, 1, n)
	box.entry(0, 1, 0, 5, 1+n, 1+n)
	last := make(disk, size)
	last.entry(0, 0, 0, 6, 1, n)

	gpt := make(disk, 3*size)
	gpt.entry(0, 0, 0, 0xEE, 1, 4+n)
	copy(gpt[2*size:], "a type of a parta partition's id")
	le.PutUint64(gpt[2*size+32:], 3)
	le.PutUint64(gpt[2*size+40:], uint64(2+n))
	gpt = append(append(append(gpt, part...), gpt[2*size:3*size]...), make([]byte, size)...)
	for i, h := range []disk{gpt[size:], gpt[len(gpt)-size:]} {
		copy(h, "EFI PART\x00\x00\x01\x00\x5C\x00\x00\x00")
		self, other, entries := uint64(1), uint64(4+n), uint64(2)
		if i == 1 {
			self, other, entries = other, self, uint64(3+n)
		}
		for j, v := range []uint64{self, other, 3, uint64(2 + n)} {
			le.PutUint64(h[24+8*j:], v)
		}
		le.PutUint64(h[72:], entries)
		le.PutUint32(h[80:], 8)
		le.PutUint32(h[84:], 128)
	}
	sealGPTOf(gpt, size)
	return map[string][]byte{"mbr": bytes.Join([][]byte{mbr, part, box, part, last, part}, nil), "gpt": gpt}
}

func TestLargeTablesAreGoodSeeds(t *testing.T) {
	for kind, img := range large(tinyImages()["fat12"]) {
		m := disk(img).open(t)
		mustBeClean(t, m)
		if want := map[string]int{"mbr": 3, "gpt": 1}[kind]; m.Table != kind || len(m.Volumes) != want || len(m.Volumes[0].Entries) < 5 {
			t.Errorf("%s: table %q, %d volumes", kind, m.Table, len(m.Volumes))
		}
	}
}

func FuzzPartitionTable(f *testing.F) {
	tiny := tinyImages()
	f.Add(tiny["mbr"], uint32(0), uint16(0))
	f.Add(tiny["gpt"], uint32(0), uint16(512))
	f.Add(tiny["gpt"], uint32(4096), uint16(0))
	for _, img := range large(tiny["fat12"]) {
		f.Add(img, uint32(0), uint16(4096))
	}
	// Tables alone are small, so that the fuzzer comes further with them.
	bare := make(disk, 16*sector)
	bare.entry(0, 0, 0, 6, 2, 1)
	bare.entry(0, 3, 0, 15, 4, 10)
	bare.entry(4, 0, 0, 6, 1, 1)
	bare.entry(4, 1, 0, 5, 4, 4)
	bare.entry(8, 0, 0, 6, 1, 1)
	f.Add([]byte(bare), uint32(1<<20), uint16(0))
	f.Add([]byte(asGPT(80*sector, [2]uint64{34, 40}, [2]uint64{41, 44})), uint32(0), uint16(512))
	for _, marks := range [][]mark{
		{{0, "ER\x02\x00"}, {512, "PM\x00\x00"}}, {{512, "\x57\x45\x56\x82"}, {644, "\x57\x45\x56\x82"}}, {{0, "\xDA\xBE"}, {508, "\xDA\xBE"}},
		{{0, "RDSK"}}, {{0x1C6, "\x01GEM\x00\x00\x00\x02\x00\x00\x00\x04"}},
	} {
		f.Add([]byte(make(disk, 8*sector).put(marks...)), uint32(1<<20), uint16(0))
	}
	f.Fuzz(func(t *testing.T, data []byte, pad uint32, seal uint16) {
		if seal == 512 || seal == 4096 {
			data = bytes.Clone(data)
			sealGPTOf(data, int(seal))
		}
		hostile(t, data, pad)
	})
}
