package volume_test

import (
	"bytes"
	"encoding/binary"
	"testing"

	"sallyport/internal/volume"
)

// What systems would read in two ways: attributes in another order than that
// of their types and names, and those of which a file has only one.
func TestAttributesOfNTFSThatCanBeReadInTwoWays(t *testing.T) {
	name := ntfsInside(0x30, "", ntfsKey(5, 1, "in its record", false))
	for what, attributes := range map[string][][]byte{
		"named content before the unnamed": {ntfsStandard(), name, ntfsInside(0x80, "ads", []byte("one")), ntfsInside(0x80, "", []byte("two"))},
		"content twice":                    {ntfsStandard(), name, ntfsInside(0x80, "", []byte("one")), ntfsInside(0x80, "", []byte("two"))},
		"standard information twice":       {ntfsStandard(), ntfsStandard(), name, ntfsInside(0x80, "", []byte("one"))},
		"two reparse points": {ntfsStandard(), name, ntfsInside(0x80, "", nil),
			ntfsInside(0xC0, "", []byte{0x0C, 0, 0, 0xA0, 0, 0, 0, 0}), ntfsInside(0xC0, "", []byte{0x17, 0, 0, 0x80, 0, 0, 0, 0})},
	} {
		img, _ := buildNTFS()
		b := &ntfsBuilder{img: img}
		b.record(16, 1, 0, attributes...)
		sealNTFS(img)
		m, err := volume.Open(bytes.NewReader(img), int64(len(img)), options)
		if err != nil {
			t.Fatal(err)
		}
		sane(t, m)
		if _, vols, entries := problems(m); len(vols) > 0 || len(entries) != 1 {
			t.Errorf("%s: problems %q of the volume and %q of files", what, vols, entries)
		}
	}
	img, _ := buildNTFS()
	b := &ntfsBuilder{img: img}
	dir := ntfsInside(0x30, "", ntfsKey(5, 1, "dir", true))
	hidden := ntfsRoot(false, ntfsEntry(0, nil, -1))
	shown := ntfsRoot(false, ntfsSorted(19, map[string]int{"link": 21, "second name": 20})...)
	b.record(19, 3, 0, ntfsStandard(), dir, hidden, shown)
	sealNTFS(img)
	m, err := volume.Open(bytes.NewReader(img), int64(len(img)), options)
	if err != nil {
		t.Fatal(err)
	}
	wantProblem(t, m, "volume", "twice")
	// An attribute list in another order than that of the types.
	img, _ = buildNTFS()
	list := img[(ntfsMFT+2*17)*sector:][:1024]
	for at := range list {
		if binary.LittleEndian.Uint32(list[at:]) == 0x20 && at%8 == 0 {
			e := list[at+24:]
			third := bytes.Clone(e[64:96])
			copy(e[64:96], e[32:64])
			copy(e[32:64], third)
			break
		}
	}
	sealNTFS(img)
	if m, err = volume.Open(bytes.NewReader(img), int64(len(img)), options); err != nil {
		t.Fatal(err)
	}
	wantProblem(t, m, "entry", "in the order")
}

// A log whose first page is empty and whose second one is in use.
func TestLogOfNTFSWithOnePage(t *testing.T) {
	img, _ := buildNTFS()
	log := bytes.Index(img, []byte("RSTR"))
	copy(img[log:], bytes.Repeat([]byte{0xFF}, 4096))
	img[log+4096+64+12], img[log+4096+64+13] = 0, 0
	m, err := volume.Open(bytes.NewReader(img), int64(len(img)), options)
	if err != nil {
		t.Fatal(err)
	}
	wantProblem(t, m, "volume", "the log was not closed")
}
