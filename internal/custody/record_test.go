package custody

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"sallyport/internal/durable"
	"sallyport/internal/strictjson"
)

// FuzzRecord: a record that is taken has one encoding, and every further change
// of it makes one that is taken too.
func FuzzRecord(f *testing.F) {
	dir := filepath.Join(f.TempDir(), "media")
	if err := Create(dir, durable.FS{}); err != nil {
		f.Fatal(err)
	}
	r, err := Open(dir, durable.FS{})
	if err != nil {
		f.Fatal(err)
	}
	by := By{Seq: 7, At: time.Date(2026, 11, 3, 12, 0, 0, 0, time.UTC), UID: 1000}
	id := NewID()
	if _, err := r.Add(id, Description{Label: "A", Serial: "4C53", FSID: "1A2B-3C4D", Direction: In, Seal: "4711"}, by); err != nil {
		f.Fatal(err)
	}
	seed := func() {
		data, err := os.ReadFile(r.path(id))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	seed()
	changes := []Change{
		{Act: HandOver, From: []string{"Ann"}, To: []string{"Bob"}, Seal: "4711"},
		{Act: Receive, To: []string{"Eve"}, SealBroken: true},
		{Act: Sanitise, Note: "x"}, {Act: Prepare}, {Act: Seal, Seal: "4712"}, {Act: Retire, Note: "x"},
	}
	for _, c := range changes {
		if _, err := r.Change(id, c, by, Policy{}); err != nil {
			f.Fatal(err)
		}
		seed()
	}
	if _, err := r.Use(id, Reading{Medium: "7c2e", Verdict: "held", Entry: 1}, by); err != nil {
		f.Fatal(err)
	}
	seed()
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := parse(data)
		if err != nil {
			return
		}
		if again, err := strictjson.Encode(m); err != nil || !bytes.Equal(again, data) {
			t.Fatalf("%s is encoded as %s, %v", data, again, err)
		}
		for _, c := range changes {
			if m.do(c, by, Policy{}) != nil {
				continue
			}
			data, err := strictjson.Encode(m)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := parse(data); err != nil {
				t.Fatalf("after '%s' the record is refused: %v\n%s", c.Act, err, data)
			}
		}
	})
}
