package volume_test

import (
	"bytes"
	"testing"

	"sallyport/internal/limit"
	"sallyport/internal/medium"
	"sallyport/internal/volume"
)

// The built volume has to be good and to hold what it is meant to, or the
// fuzzer stays at the door.
func TestTheSmallNTFSIsGood(t *testing.T) {
	img, keep := buildNTFS()
	if len(bytes.TrimLeft(img[keep:], "\x00")) > 0 || keep > 100<<10 {
		t.Errorf("a fuzzer has to keep %d bytes", keep)
	}
	m, err := volume.Open(bytes.NewReader(img), int64(len(img)), volume.Options{Limits: limit.Default()})
	if err != nil {
		t.Fatal(err)
	}
	sane(t, m)
	mustBeClean(t, m)
	v := m.Volumes[0]
	types, traits := typesAndTraits(v)
	if v.Label != "tiny" || v.ID != "0123456789ABCDEF" || v.Deleted != 1 || v.DeletedNames[0] != "dir/deleted" ||
		types[medium.File] != 17 || types[medium.Folder] != 2 || types[medium.HardLink] != 1 || types[medium.Symlink] != 1 ||
		types[medium.Stream] != 1 || traits["with holes"] != "sparse" {
		t.Errorf("label %q, %d deleted %q, types %v, traits %v", v.Label, v.Deleted, v.DeletedNames, types, traits)
	}
	want := map[string][]byte{"in its record": noise(1, 600), "in two records": append(noise(2, 3*sector), noise(3, 2*sector)...)[:5*sector-100], "tree/l-file": noise(11, 110)}
	for _, e := range v.Entries {
		if data, ok := want[e.Path]; ok {
			if delete(want, e.Path); !bytes.Equal(content(t, bytes.NewReader(img), e), data) {
				t.Errorf("%s has another content", e.Path)
			}
		}
	}
	if len(want) > 0 {
		t.Errorf("not listed: %v", want)
	}
}

// The master file table may be in pieces that its own first record cannot list.
func TestNTFSWhoseFileTableIsInPieces(t *testing.T) {
	img, keep := buildNTFS()
	whole, err := volume.Open(bytes.NewReader(img), int64(len(img)), options)
	if err != nil {
		t.Fatal(err)
	}
	scatterMFT(img, keep)
	m, err := volume.Open(bytes.NewReader(img), int64(len(img)), options)
	if err != nil {
		t.Fatal(err)
	}
	sane(t, m)
	mustBeClean(t, m)
	v, w := m.Volumes[0], whole.Volumes[0]
	if len(v.Entries) != len(w.Entries) {
		t.Fatalf("%d entries, and %d when it is in one piece", len(v.Entries), len(w.Entries))
	}
	for i := range v.Entries {
		if v.Entries[i].Path != w.Entries[i].Path || v.Entries[i].Size != w.Entries[i].Size {
			t.Errorf("%+v, and %+v when it is in one piece", v.Entries[i], w.Entries[i])
		}
	}
}

func FuzzNTFS(f *testing.F) {
	img, keep := buildNTFS()
	f.Add(img[:keep], uint32(len(img)-keep), true)
	f.Add(img[:keep], uint32(len(img)-keep), false)
	pieces := bytes.Clone(img)
	scatterMFT(pieces, keep)
	keep += 30 << 10
	f.Add(pieces[:keep], uint32(len(img)-keep), true)
	f.Fuzz(func(t *testing.T, data []byte, pad uint32, seal bool) {
		if seal {
			data = bytes.Clone(data)
			sealNTFS(data)
		}
		hostile(t, data, pad)
	})
}
