package volume_test

import (
	"bytes"
	"encoding/binary"
	"maps"
	"slices"
	"testing"

	"sallyport/internal/testmedia"
	"sallyport/internal/volume"
)

// udfSeeds are small media of every kind.
func udfSeeds() map[string][]byte {
	tree := odd()
	for i := range tree {
		tree[i].Data = tree[i].Data[:min(len(tree[i].Data), 1024)]
	}
	old := slices.Clone(tree)
	old[8].Streams = nil
	return map[string][]byte{
		"udf":           testmedia.UDFImage(testmedia.UDFShape{}, tree),
		"udf-old":       testmedia.UDFImage(testmedia.UDFShape{Revision: 0x102, LongADs: true, ReadOnly: true}, old),
		"udf-virtual":   testmedia.UDFImage(testmedia.UDFShape{Kind: "vat"}, tree),
		"udf-virtual15": testmedia.UDFImage(testmedia.UDFShape{Revision: 0x150, Kind: "vat"}, old),
		"udf-sparable":  testmedia.UDFImage(testmedia.UDFShape{Kind: "sparable"}, tree),
		"udf-metadata":  testmedia.UDFImage(testmedia.UDFShape{Revision: 0x250, Kind: "metadata"}, tree),
		"udf-duplicate": testmedia.UDFImage(testmedia.UDFShape{Revision: 0x260, Kind: "duplicate", Embed: true}, tree),
	}
}

func TestUDFSeedsAreGoodMedia(t *testing.T) {
	for name, img := range udfSeeds() {
		m, err := volume.Open(bytes.NewReader(img), int64(len(img)), options)
		if err != nil {
			t.Fatal(err)
		}
		mustBeClean(t, m)
		if v := m.Volumes[0]; len(v.Entries) < 18 || v.FS != "udf" || len(img) > 300<<10 {
			t.Errorf("%s: %q, %d entries, %d bytes", name, v.FS, len(v.Entries), len(img))
		}
		resealed := bytes.Clone(img)
		sealUDF(resealed)
		if !bytes.Equal(resealed, img) {
			t.Errorf("%s: sealing a good medium changes it", name)
		}
	}
}

// sealUDF makes the checksums of whatever looks like a descriptor good again.
func sealUDF(img []byte) {
	le := binary.LittleEndian
	ids := []uint16{0, 1, 2, 3, 4, 5, 6, 7, 8, 256, 257, 258, 261, 266}
	for at := 0; at+512 <= len(img); at += 4 {
		d := img[at:]
		// Nearly all of a medium is something else.
		if d[2] != 3 || d[3] != 0 || d[5] != 0 || !slices.Contains(ids, le.Uint16(d)) {
			continue
		}
		if at%512 == 0 || le.Uint16(d) == 257 {
			testmedia.ResealUDFTag(d[:min(len(d), 4096)])
		}
	}
}

// used lists the sectors of a medium that are not empty.
func used(img []byte) (sectors []int) {
	for at := 0; at+512 <= len(img); at += 512 {
		if len(bytes.Trim(img[at:at+512], "\x00")) > 0 {
			sectors = append(sectors, at)
		}
	}
	return sectors
}

// FuzzUDF is given the sectors that are used on one of the seeds, by its number,
// and puts them back into their places: most of a small medium is empty.
func FuzzUDF(f *testing.F) {
	seeds := udfSeeds()
	names := slices.Sorted(maps.Keys(seeds))
	var places [][]int
	for i, name := range names {
		places = append(places, used(seeds[name]))
		var data []byte
		for _, at := range places[i] {
			data = append(data, seeds[name][at:at+512]...)
		}
		f.Add(uint8(i), data, uint32(0), true)
		f.Add(uint8(i), data, uint32(4096), false)
	}
	f.Fuzz(func(t *testing.T, kind uint8, data []byte, pad uint32, seal bool) {
		i := int(kind) % len(names)
		img := bytes.Clone(seeds[names[i]])
		for _, at := range places[i] {
			n := copy(img[at:at+512], data)
			data = data[n:]
		}
		img = append(img, data...)
		if seal {
			sealUDF(img)
		}
		hostile(t, img, pad)
	})
}
