package fat32_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"sallyport/internal/fat32"
)

// memory is a medium that can fail.
type memory struct {
	bytes  []byte
	writes int
	reads  int
	// log is everything that was written, with an entry without bytes for each flush.
	log []write

	failWrite, failRead int  // the one that fails, from 1
	failFlush           bool // all of them
	change              func(off int64, p []byte) []byte
	room                int64 // that the medium really has: what is behind goes to its beginning
}

type write struct {
	off int64
	p   []byte
}

var errMedium = errors.New("input/output error")

func (m *memory) WriteAt(p []byte, off int64) (int, error) {
	if m.writes++; m.writes == m.failWrite {
		return 0, errMedium
	}
	if m.change != nil {
		p = m.change(off, p)
	}
	m.log = append(m.log, write{off, bytes.Clone(p)})
	m.apply(write{off, p})
	return len(p), nil
}

func (m *memory) apply(w write) {
	if m.room > 0 {
		for at := 0; at < len(w.p); at += 512 {
			copy(m.bytes[(w.off+int64(at))%m.room:], w.p[at:at+512])
		}
		return
	}
	copy(m.bytes[w.off:], w.p)
}

func (m *memory) ReadAt(p []byte, off int64) (int, error) {
	if m.reads++; m.reads == m.failRead {
		return 0, errMedium
	}
	if m.room > 0 {
		for at := 0; at < len(p); at += 512 {
			copy(p[at:at+512], m.bytes[(off+int64(at))%m.room:])
		}
		return len(p), nil
	}
	return copy(p, m.bytes[off:]), nil
}

func (m *memory) Flush() error {
	m.log = append(m.log, write{})
	if m.failFlush {
		return errMedium
	}
	return nil
}

// parcel is a small package.
func parcel(seed byte) []content {
	id := fmt.Sprintf("SALLYPORT/%032x/", seed)
	return []content{
		{path: id + "data/a.bin", data: noise(seed, 2_000_000)}, {path: id + "data/folder/b.bin", data: noise(seed+1, 1_500_001)},
		{path: id + "manifest.dsse.json", data: noise(seed+2, 3000), late: 1 << 20},
	}
}

// At every step, and whichever of the writes since the last flush came through,
// the medium is what it was before, what it should become, or nothing that
// anybody could take for a file system.
func TestPowerFailsAtEveryStep(t *testing.T) {
	before, after := parcel(1), parcel(7)
	m := &memory{}
	old := layoutOf(t, fat32.Options{Sector: 512}, before)
	m.bytes = make([]byte, old.Bytes())
	if err := burn(old, m, before); err != nil {
		t.Fatal(err)
	}
	start := bytes.Clone(m.bytes)
	m.log = nil
	if err := burn(layoutOf(t, fat32.Options{Sector: 512, Bytes: old.Bytes(), Serial: 9}, after), m, after); err != nil {
		t.Fatal(err)
	}
	n, none, was, is := 0, 0, 0, 0
	look := func(step string, b []byte, erased, last bool) {
		n++
		got, err := read(bytes.NewReader(b), int64(len(b)))
		switch {
		case err != nil:
			none++
		case !erased && same(got, before) == nil:
			was++
		case last && same(got, after) == nil:
			is++
		default:
			t.Errorf("%s: a file system with %d files", step, len(got))
		}
	}
	// groups are the writes between two flushes.
	var groups [][]write
	groups = append(groups, nil)
	for _, w := range m.log {
		if w.p == nil {
			groups = append(groups, nil)
			continue
		}
		groups[len(groups)-1] = append(groups[len(groups)-1], w)
	}
	groups = slices.DeleteFunc(groups, func(g []write) bool { return len(g) == 0 })
	if len(groups) < 4 {
		t.Fatalf("only %d flushes", len(groups))
	}
	at := memory{bytes: start}
	for i, g := range groups {
		erased, last := i > 0, i == len(groups)-1
		sofar := bytes.Clone(at.bytes)
		for j, w := range g {
			look(fmt.Sprintf("before write %d of group %d", j, i), at.bytes, erased || j > 1, false)
			for _, k := range []int{0, len(g) - 1, j} { // only this one and another
				one := memory{bytes: bytes.Clone(sofar)}
				one.apply(g[k])
				one.apply(w)
				look(fmt.Sprintf("writes %d and %d of group %d", j, k, i), one.bytes, erased, last)
			}
			for cut := 512; cut < len(w.p); cut *= 8 { // half of a write
				half := memory{bytes: bytes.Clone(at.bytes)}
				half.apply(write{w.off, w.p[:cut]})
				look(fmt.Sprintf("%d bytes of write %d of group %d", cut, j, i), half.bytes, erased, last)
			}
			at.apply(w)
		}
	}
	look("the end", at.bytes, true, true)
	if was == 0 || is == 0 || none < n/2 {
		t.Errorf("of %d states, %d are the old file system, %d the new one and %d none", n, was, is, none)
	}
}

// A medium that fails or lies is told, with the place and without success.
func TestBadMedia(t *testing.T) {
	files := parcel(1)
	l := layoutOf(t, fat32.Options{Sector: 512}, files)
	good := &memory{bytes: make([]byte, l.Bytes())}
	if err := burn(l, good, files); err != nil {
		t.Fatal(err)
	}
	attempt := func(m *memory) error {
		m.bytes = make([]byte, l.Bytes())
		return burn(layoutOf(t, fat32.Options{Sector: 512}, files), m, files)
	}
	for i := range good.writes {
		if err := attempt(&memory{failWrite: i + 1}); !errors.Is(err, errMedium) || !strings.Contains(err.Error(), "cannot write to byte") {
			t.Errorf("write %d fails: %v", i, err)
		}
	}
	for i := range good.reads {
		if err := attempt(&memory{failRead: i + 1}); !errors.Is(err, errMedium) || !strings.Contains(err.Error(), "cannot read back byte") {
			t.Errorf("read %d fails: %v", i, err)
		}
	}
	if err := attempt(&memory{failFlush: true}); !errors.Is(err, errMedium) || !strings.Contains(err.Error(), "did not take what was written") {
		t.Errorf("a flush fails: %v", err)
	}
	// Each write in turn is lost, keeps a wrong bit at its beginning, its middle or
	// its end, or goes elsewhere.
	n := 0
	for i := range good.writes {
		for name, change := range map[string]func(p []byte) []byte{
			"lost":          func(p []byte) []byte { return nil },
			"a first bit":   func(p []byte) []byte { p[0] ^= 1; return p },
			"a last bit":    func(p []byte) []byte { p[len(p)-1] ^= 0x80; return p },
			"a bit between": func(p []byte) []byte { p[len(p)/2] ^= 4; return p },
		} {
			count := 0
			err := attempt(&memory{change: func(_ int64, p []byte) []byte {
				if count++; count == i+1 {
					return change(bytes.Clone(p))
				}
				return p
			}})
			rewritten := i == 0 || i == 1 // of these, a part is written again at the end
			written := good.log[slices.IndexFunc(good.log, nth(i))].p
			zeros := bytes.Equal(written, make([]byte, len(written)))
			switch {
			case errors.Is(err, fat32.ErrDiffers):
				n++
			case err != nil, name == "lost" && !zeros, name != "lost" && !rewritten:
				t.Errorf("write %d, %s: %v", i, name, err)
			}
		}
	}
	if n < good.writes*3 {
		t.Errorf("%d of %d changes were found", n, 4*good.writes)
	}
	// Less room than the medium claims.
	for _, room := range []int64{1 << 20, 3 << 20, 8 << 20, 10 << 20, 11 << 20} {
		if err := attempt(&memory{room: room}); !errors.Is(err, fat32.ErrDiffers) {
			t.Errorf("a medium of %d bytes: %v", room, err)
		}
	}
}

// nth finds the nth write of a log.
func nth(n int) func(write) bool {
	return func(w write) bool {
		if w.p != nil {
			n--
		}
		return w.p != nil && n < 0
	}
}

// After an error nobody takes the medium for a good one.
func TestSpoil(t *testing.T) {
	files := parcel(1)
	l := layoutOf(t, fat32.Options{Sector: 512}, files)
	m := &memory{bytes: make([]byte, l.Bytes())}
	if err := burn(l, m, files); err != nil {
		t.Fatal(err)
	}
	if _, err := read(bytes.NewReader(m.bytes), l.Bytes()); err != nil {
		t.Fatal(err)
	}
	if err := fat32.NewWriter(l, m, nil).Spoil(); err != nil {
		t.Fatal(err)
	}
	if got, err := read(bytes.NewReader(m.bytes), l.Bytes()); err == nil {
		t.Errorf("%d files can still be read", len(got))
	}
}

// Sources that change while they are read, and callers that end the work.
func TestSources(t *testing.T) {
	files := []content{{path: "a.bin", data: noise(1, 3000)}, {path: "b.bin", data: noise(2, 2_000_000)}}
	l := layoutOf(t, fat32.Options{Sector: 512}, files)
	never := func(int) error { return nil }
	for name, c := range map[string]struct {
		src  io.Reader
		says string
	}{
		"shorter":  {bytes.NewReader(files[0].data[:2999]), "it had 3000 bytes, and has 2999 now"},
		"empty":    {bytes.NewReader(nil), "it had 3000 bytes, and has 0 now"},
		"longer":   {bytes.NewReader(append(bytes.Clone(files[0].data), 0)), "it had 3000 bytes, and has more now"},
		"failing":  {io.MultiReader(bytes.NewReader(files[0].data[:100]), bad{}), errMedium.Error()},
		"then bad": {io.MultiReader(bytes.NewReader(files[0].data), bad{}), errMedium.Error()},
	} {
		w := fat32.NewWriter(l, &memory{bytes: make([]byte, l.Bytes())}, never)
		if _, err := w.Copy(c.src); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
	stop := errors.New("stop")
	w := fat32.NewWriter(l, &memory{bytes: make([]byte, l.Bytes())}, func(int) error { return stop })
	if err := w.Erase(); !errors.Is(err, stop) {
		t.Errorf("a caller that wants to stop: %v", err)
	}
	w = fat32.NewWriter(l, &memory{bytes: make([]byte, l.Bytes())}, never)
	for _, f := range files {
		if sum, err := w.Copy(bytes.NewReader(f.data)); err != nil || sum != sha256.Sum256(f.data) {
			t.Fatal(err)
		}
	}
	if _, err := w.Copy(bytes.NewReader(nil)); err == nil {
		t.Error("one file too many was copied")
	}
	if err := w.Late("manifest.dsse.json", nil); err == nil {
		t.Error("a late file that nobody planned was taken")
	}
	late := layoutOf(t, fat32.Options{Sector: 512}, []content{{path: "m", late: 512}})
	if err := fat32.NewWriter(late, &memory{}, never).Late("m", make([]byte, 513)); err == nil || !strings.Contains(err.Error(), "room was kept for 512") {
		t.Errorf("a late file that is too large: %v", err)
	}
}

type bad struct{}

func (bad) Read([]byte) (int, error) { return 0, errMedium }
