package layout

import (
	"bytes"
	"strings"
	"testing"

	"sallyport/internal/limit"
	"sallyport/internal/verdict"
)

// TestProblemsTakeTheirMemory: the place of a problem names a folder, which may
// be as long as a path.
func TestProblemsTakeTheirMemory(t *testing.T) {
	l := limit.Default()
	dev := NewDevice(bytes.NewReader(make([]byte, 512)), 512, l.MetaBytes)
	vol := &Volume{}
	w := NewWalker(dev, vol, NewBudget(l))
	parent := strings.Repeat(strings.Repeat("n", 1000)+"/", 4)[:4000]
	used := 0
	for {
		f := verdict.New(verdict.FilesystemInconsistent, At(Folder(parent), 512), "a size of %d bytes", len(vol.Entries))
		if _, err := w.Add(parent, []byte("file"), Entry{Problem: f}); err != nil {
			break
		}
		used += len(f.Where) + len(f.Detail) + len(parent) + entryCost
	}
	if used > limit.ListingBytes || used < limit.ListingBytes*9/10 {
		t.Errorf("%d entries take %d bytes of %d", len(vol.Entries), used, limit.ListingBytes)
	}
}

// TestChainsHaveRoomForOneMore: whoever puts one extent behind a chain takes no
// memory that nobody counted.
func TestChainsHaveRoomForOneMore(t *testing.T) {
	const pieces = 5000
	l := limit.Default()
	w := NewWalker(NewDevice(bytes.NewReader(make([]byte, 512)), 512, l.MetaBytes), &Volume{}, NewBudget(l))
	if err := w.Clusters(2 * pieces); err != nil {
		t.Fatal(err)
	}
	c := Clusters{Bytes: 512, Count: 2 * pieces}
	for i := range uint32(pieces) {
		if f, err := c.Follow(w, FirstCluster+2*i, Place{"file", -1}); f != nil || err != nil {
			t.Fatal(f, err)
		}
		if len(c.Chain) == cap(c.Chain) {
			t.Fatalf("%d pieces and no room", len(c.Chain))
		}
	}
}
