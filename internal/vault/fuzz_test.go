package vault

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"testing"

	"sallyport/internal/verdict"
)

func seedFiles(n int) []Stored {
	files := make([]Stored, n)
	off := int64(blockSize)
	for i := range files {
		files[i] = Stored{Name: fmt.Sprintf("dir/f%d", i), Off: off, Size: int64(i * 1000), SHA256: sha256.Sum256([]byte{byte(i)}), Partial: i%2 == 1}
		off += files[i].Size
	}
	return files
}

// resum makes the two sums of an index right again, so that mutated fields
// reach the checks behind them.
func resum(b []byte) []byte {
	if len(b) < headSize {
		return b
	}
	b = bytes.Clone(b)
	sum := sha256.Sum256(b[headSize:])
	copy(b[48:], sum[:])
	sum = sha256.Sum256(b[:headSize-sha256.Size])
	copy(b[headSize-sha256.Size:], sum[:])
	return b
}

// An index that is accepted encodes to the same bytes, and its files follow
// each other through the whole pack.
func FuzzIndex(f *testing.F) {
	for _, n := range []int{0, 1, 3, 40} {
		h := head{id: "seed-1", cut: n == 1}
		b := encodeIndex(&h, seedFiles(n))
		f.Add(b, true)
		f.Add(b, false)
		f.Add(b[:len(b)-1], true)
		f.Add(append(bytes.Clone(b), 0), true)
	}
	f.Fuzz(func(t *testing.T, b []byte, repair bool) {
		if repair {
			b = resum(b)
		}
		h, err := decodeHead(b[:min(len(b), headSize)])
		if err != nil {
			return
		}
		files, err := decodeEntries(h, bytes.NewReader(b[headSize:]))
		if err != nil {
			return
		}
		off := int64(blockSize)
		for _, s := range files {
			if s.Off != off || s.Size < 0 || len(s.Name) > MaxName {
				t.Fatalf("accepted %+v at %d", s, off)
			}
			off += s.Size
		}
		if off != h.pack {
			t.Fatalf("the files end at %d, the pack at %d", off, h.pack)
		}
		again := head{id: h.id, cut: h.cut, facts: h.facts, record: h.record}
		if got := encodeIndex(&again, files); !bytes.Equal(got, b) || again.sum != h.sum {
			t.Fatalf("encodes to other bytes:\n%x\n%x", got, b)
		}
	})
}

// A decision that is accepted encodes to the same bytes and has reasons of the
// closed list exactly when it is held.
func FuzzDecision(f *testing.F) {
	for _, d := range []decision{
		{V: 1, ID: "a", State: Admitted, Reasons: []verdict.Finding{}},
		{V: 1, ID: "b", State: Held, Item: "00", Outcome: "11", Reasons: []verdict.Finding{{Reason: verdict.Replayed, Where: "ä\n", Detail: "d"}}},
		{V: 1, ID: "b", State: Held},
		{V: 2, ID: "b", State: Admitted},
		{V: 1, State: Held, Reasons: []verdict.Finding{{Reason: "none"}}},
	} {
		b, err := d.encode()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add([]byte(`{"v":1,"id":"a","state":"admitted","item_sha256":"","outcome_sha256":"","reasons":[]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		d, err := decodeDecision(b)
		if err != nil {
			return
		}
		if got, err := d.encode(); err != nil || !bytes.Equal(got, b) {
			t.Fatalf("encodes to %s (%v)", got, err)
		}
		if (d.State == Held) == (len(d.Reasons) == 0) || d.State != Held && d.State != Admitted {
			t.Fatalf("accepted %s", b)
		}
	})
}

// Every single-bit change of an index is refused; this is what the sums are for.
func TestIndexRefusesEveryBitFlip(t *testing.T) {
	h := head{id: "x"}
	b := encodeIndex(&h, seedFiles(3))
	for i := range len(b) * 8 {
		c := bytes.Clone(b)
		c[i/8] ^= 1 << (i % 8)
		h, err := decodeHead(c[:headSize])
		if err == nil {
			_, err = decodeEntries(h, bytes.NewReader(c[headSize:]))
		}
		if err == nil {
			t.Fatalf("bit %d of byte %d can change", i%8, i/8)
		}
	}
}
