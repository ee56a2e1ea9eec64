package child

import (
	"bytes"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"sallyport/internal/limit"
	"sallyport/internal/medium"
	"sallyport/internal/reader/wire"
	"sallyport/internal/sandbox"
	"sallyport/internal/testmedia"
)

// slow is a device of a constant rate, in time that stands still meanwhile.
type slow struct {
	*watched
	rate int64 // bytes a second
}

func (s *slow) ReadAt(p []byte, off int64) (int, error) {
	time.Sleep(time.Duration(len(p)) * time.Second / time.Duration(s.rate))
	return s.watched.ReadAt(p, off)
}

// TestSlowDeviceIsHeardOf: at the least rate that is allowed the parent never
// waits as long for a frame as for a dead medium.
func TestSlowDeviceIsHeardOf(t *testing.T) {
	files := testmedia.Files{"large": content(3, 3<<20+99)}
	for i := range 100 {
		files[string(rune('a'+i%26))+string(rune('a'+i/26))] = content(i, 5000)
	}
	img := load(t, testmedia.FAT(t, testmedia.Options{Bits: 12, SizeMiB: 8}, files))
	limits := limit.Default()
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		ring := make([]byte, wire.RingBytes)
		go func() {
			_ = Serve(theirs, &slow{img, limits.MinRate}, ring, sandbox.Proof{Landlock: 1})
			theirs.Close()
		}()
		p := &parent{t: t, in: wire.NewReader(ours)}
		// A pipe has no room, and the child says more before it listens.
		requests := make(chan []byte, 100)
		defer close(requests)
		go func() {
			for b := range requests {
				_, _ = ours.Write(b) // the child's end is noticed where it is read
			}
		}()
		send := func(ty wire.Type, payload []byte) {
			b := make([]byte, wire.HeaderBytes)
			wire.PutHeader(b, ty, len(payload))
			requests <- append(b, payload...)
		}
		p.want(wire.TypeHello)
		send(wire.TypeList, wire.AppendList(nil, wire.Request{Size: int64(len(img.data)), Align: 1, Limits: limits}))
		heard, longest, slot := time.Now(), time.Duration(0), 0
		var ids []byte
		var list []wire.Entry
		got := map[string][]byte{}
		name := ""
		for done := false; !done; {
			ty, payload, err := p.in.Next()
			if err != nil {
				t.Fatal(err)
			}
			longest, heard = max(longest, time.Since(heard)), time.Now()
			switch ty {
			case wire.TypeEntries:
				err = wire.ParseEntries(payload, func(e wire.Entry) error {
					if e.Type == medium.File {
						ids = append(ids, 0, 0, 0, 0)
						wire.PutID(ids[len(ids)-4:], uint32(len(list)))
					}
					list = append(list, e)
					return nil
				})
			case wire.TypeListed:
				send(wire.TypeAsk, ids)
				send(wire.TypeSend, nil)
			case wire.TypeFile:
				err = wire.ParseIDs(payload, func(id uint32) error { name = list[id].Path; return nil })
			case wire.TypeData:
				c, cerr := wire.ParseChunk(payload)
				err = cerr
				got[name] = append(got[name], ring[slot*wire.SlotBytes+int(c.Off):][:c.Len]...)
			case wire.TypeTurn:
				slot = (slot + 1) % wire.Slots
				send(wire.TypeFree, nil)
			case wire.TypeDone:
				done = true
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		ours.Close()
		for path, want := range files {
			if !bytes.Equal(got[path], want) {
				t.Errorf("%s differs", path)
			}
		}
		if longest > limits.Stall*2/3 {
			t.Errorf("the parent heard nothing for %s", longest)
		}
	})
}
