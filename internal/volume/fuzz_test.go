package volume_test

import (
	"bytes"
	"io"
	"testing"

	"sallyport/internal/limit"
	"sallyport/internal/verdict"
	"sallyport/internal/volume"
)

// padded is a device that goes on with zeros, and counts what is read of it.
type padded struct {
	data []byte
	size int64
	read int64
}

func (d *padded) ReadAt(p []byte, off int64) (int, error) {
	if off >= d.size {
		return 0, io.EOF
	}
	n := int(min(int64(len(p)), d.size-off))
	clear(p[:n])
	if off < int64(len(d.data)) {
		copy(p[:n], d.data[off:])
	}
	d.read += int64(n)
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// hostile opens what a fuzzer made: it has to end within its budgets, with
// findings only, and what it lists has to be on the device.
func hostile(t *testing.T, data []byte, pad uint32) {
	limits := limit.Default()
	limits.MetaBytes, limits.Entries, limits.Depth = 4<<20, 3000, 8
	dev := &padded{data: data, size: int64(len(data)) + int64(pad)}
	m, err := volume.Open(dev, dev.size, volume.Options{Limits: limits})
	if dev.read > limits.MetaBytes {
		t.Errorf("%d bytes were read with a budget of %d", dev.read, limits.MetaBytes)
	}
	if err != nil {
		if _, ok := verdict.Find(err); !ok {
			t.Errorf("not a finding: %v", err)
		}
		return
	}
	sane(t, m)
	entries := 0
	for _, v := range m.Volumes {
		entries += len(v.Entries)
		if len(v.Problems) > 70 {
			t.Errorf("%d problems", len(v.Problems))
		}
	}
	if int64(entries) > limits.Entries {
		t.Errorf("%d entries with a budget of %d", entries, limits.Entries)
	}
}

// A seed that were damaged already would leave the fuzzer at the door.
func TestSeedsAreGoodMedia(t *testing.T) {
	tiny := tinyImages()
	for _, c := range []struct {
		name, table string
		volumes     int
	}{{"fat12", "none", 1}, {"fat32", "none", 1}, {"exfat", "none", 1}, {"mbr", "mbr", 5}, {"gpt", "gpt", 2}} {
		m, err := volume.Open(bytes.NewReader(tiny[c.name]), int64(len(tiny[c.name])), volume.Options{Limits: limit.Default()})
		if err != nil {
			t.Fatal(err)
		}
		mustBeClean(t, m)
		if m.Table != c.table || len(m.Volumes) != c.volumes || len(m.Volumes[0].Entries) < 5 {
			t.Errorf("%s: table %q, %d volumes, %d entries in the first", c.name, m.Table, len(m.Volumes), len(m.Volumes[0].Entries))
		}
	}
}

func FuzzFAT(f *testing.F) {
	tiny := tinyImages()
	f.Add(tiny["fat12"], uint32(0))
	f.Add(tiny["fat32"], uint32(0))
	img, size := buildFAT(16, 64, 5000, smallTree)
	f.Add(img, uint32(size)-uint32(len(img)))
	f.Fuzz(hostile)
}

func FuzzExFAT(f *testing.F) {
	f.Add(buildExFAT(), uint32(0), true)
	f.Add(buildExFAT(), uint32(512), false)
	f.Fuzz(func(t *testing.T, data []byte, pad uint32, seal bool) {
		if seal {
			data = bytes.Clone(data)
			sealRegions(data)
			sealSets(data)
		}
		hostile(t, data, pad)
	})
}
