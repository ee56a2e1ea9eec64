package translog_test

import (
	"crypto/ecdsa"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/tlog"

	"sallyport/internal/translog"
)

const (
	headerSize = 64
	frameSize  = 16 // of the frame header
)

// frameOf is the test's own encoder of a frame (FORMAT.md, "Frame").
func frameOf(index int64, data []byte) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(len(data)))
	b = binary.BigEndian.AppendUint32(b, 0)
	b = binary.BigEndian.AppendUint64(b, uint64(index))
	b = append(b, data...)
	table := crc32.MakeTable(crc32.Castagnoli)
	binary.BigEndian.PutUint32(b[4:], crc32.Update(crc32.Checksum(b[:4], table), table, b[8:]))
	return b
}

// sample is a log on disk: 40 entries in several segments, checkpoints over
// 10, 25 and 35 of them, 5 not sealed.
type sample struct {
	t     *testing.T
	dir   string
	key   softKey
	notes [][]byte
	at    []translog.Entry // where each entry stands
}

const (
	sampleSize   = 40
	sampleSealed = 35
)

func newSample(t *testing.T) *sample {
	t.Helper()
	opt := translog.Options{SegmentBytes: 700}
	s := &sample{t: t, dir: mustCreate(t, opt), key: newSoftKey(t)}
	l := mustOpen(t, s.dir, opt)
	for _, n := range []int{10, 15, 10} {
		mustAppend(t, l, n)
		note, err := l.Checkpoint(t.Context(), s.key)
		if err != nil {
			t.Fatal(err)
		}
		s.notes = append(s.notes, note)
	}
	mustAppend(t, l, sampleSize-sampleSealed)
	for e, err := range l.Entries(0) {
		if err != nil {
			t.Fatal(err)
		}
		s.at = append(s.at, e)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *sample) path(name string) string { return filepath.Join(s.dir, name) }

func (s *sample) read(name string) []byte {
	s.t.Helper()
	b, err := os.ReadFile(s.path(name))
	if err != nil {
		s.t.Fatal(err)
	}
	return b
}

func (s *sample) write(name string, b []byte) {
	s.t.Helper()
	if err := os.WriteFile(s.path(name), b, 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// replace puts other bytes where the whole frames of the entries i ≤ k < j stand.
func (s *sample) replace(i, j int64, with []byte) {
	s.t.Helper()
	file := s.at[i].File
	b := s.read(file)
	last := s.at[j-1]
	s.write(file, slices.Concat(b[:s.at[i].Offset], with, b[last.Offset+frameSize+int64(len(last.Data)):]))
}

func (s *sample) flip(file string, off int64) {
	s.t.Helper()
	b := s.read(file)
	b[off] ^= 0x20
	s.write(file, b)
}

func (s *sample) verify(witness ...[]byte) *translog.Report {
	s.t.Helper()
	r, err := translog.Verify(s.t.Context(), s.dir, translog.VerifyOptions{Keys: []*ecdsa.PublicKey{s.key.Public()}, Witness: witness})
	if err != nil {
		s.t.Fatal(err)
	}
	return r
}

// sameSegment returns an entry from lo on whose successor stands in the same
// segment, after at least one other.
func (s *sample) sameSegment(lo int64) int64 {
	for i := lo; ; i++ {
		if s.at[i].File == s.at[i+1].File && s.at[i].Offset > headerSize {
			return i
		}
	}
}

// reseal replaces every checkpoint by one of another key over the entries as
// they now stand, as an attacker with the disk but not the TPM would.
func (s *sample) reseal(key softKey) {
	s.t.Helper()
	other := filepath.Join(s.t.TempDir(), "log")
	if err := translog.Create(other, origin, translog.Options{SegmentBytes: 700}); err != nil {
		s.t.Fatal(err)
	}
	l, err := translog.Open(other, translog.Options{SegmentBytes: 700})
	if err != nil {
		s.t.Fatal(err)
	}
	for i := range s.at {
		data := s.at[i].Data
		if i == 3 {
			data = []byte(`{"entry":3,"forged":true}`)
		}
		if _, err := l.Append(data); err != nil {
			s.t.Fatal(err)
		}
	}
	if _, err := l.Checkpoint(s.t.Context(), key); err != nil {
		s.t.Fatal(err)
	}
	l.Close()
	if err := os.RemoveAll(s.dir); err != nil {
		s.t.Fatal(err)
	}
	if err := os.Rename(other, s.dir); err != nil {
		s.t.Fatal(err)
	}
}

func TestTamperingIsFoundAndNamed(t *testing.T) {
	// found is the entry (or -1 for a checkpoint) that Verify must name first.
	// open says what Open must do: "refuse", or "miss" where only a full check
	// can see it.
	for name, c := range map[string]struct {
		do    func(s *sample) (found int64)
		until int64 // 0: found+1
		open  string
		// openAt is what Open names where it sees less than Verify.
		openAt *int64
	}{
		"flip a byte of an entry": {do: func(s *sample) int64 { s.flip(s.at[3].File, s.at[3].Offset+frameSize+4); return 3 }, open: "miss"},
		"flip a length":           {do: func(s *sample) int64 { s.flip(s.at[7].File, s.at[7].Offset+3); return 7 }, open: "miss"},
		"flip an index":           {do: func(s *sample) int64 { s.flip(s.at[7].File, s.at[7].Offset+15); return 7 }, open: "miss"},
		"flip near the last checkpoint": {do: func(s *sample) int64 {
			s.flip(s.at[34].File, s.at[34].Offset+frameSize)
			return 34
		}, open: "refuse"},
		"change an entry and its checksum": {do: func(s *sample) int64 {
			s.replace(4, 5, frameOf(4, []byte(strings.Replace(string(s.at[4].Data), "entry", "Entry", 1))))
			return 4
		}, open: "miss"},
		"change a sealed entry of the last segment and its checksum": {do: func(s *sample) int64 {
			s.replace(34, 35, frameOf(34, []byte(strings.Replace(string(s.at[34].Data), "entry", "Entry", 1))))
			return 34
		}, open: "refuse"},
		"cut an entry out": {do: func(s *sample) int64 {
			i := s.sameSegment(11)
			s.replace(i, i+1, nil)
			return i
		}, open: "refuse"},
		"swap two entries": {do: func(s *sample) int64 {
			i := s.sameSegment(11)
			s.replace(i, i+2, slices.Concat(frameOf(i+1, s.at[i+1].Data), frameOf(i, s.at[i].Data)))
			return i
		}, open: "miss"},
		"swap two entries and renumber them": {do: func(s *sample) int64 {
			i := s.sameSegment(11)
			s.replace(i, i+2, slices.Concat(frameOf(i, s.at[i+1].Data), frameOf(i+1, s.at[i].Data)))
			return i
		}, open: "miss"},
		"insert an entry": {do: func(s *sample) int64 {
			i := s.sameSegment(11)
			s.replace(i, i+1, slices.Concat(frameOf(i, []byte("inserted")), frameOf(i, s.at[i].Data)))
			return i
		}, open: "refuse", openAt: new(int64(12))},
		"cut the log below its checkpoint": {do: func(s *sample) int64 {
			b := s.read(s.at[33].File)
			s.write(s.at[33].File, b[:s.at[33].Offset])
			for _, e := range s.at[33:] {
				if e.File != s.at[33].File {
					os.Remove(s.path(e.File))
				}
			}
			return 33
		}, until: sampleSealed, open: "refuse"},
		"remove a segment": {do: func(s *sample) int64 {
			first := slices.IndexFunc(s.at, func(e translog.Entry) bool { return e.File != s.at[0].File })
			if err := os.Remove(s.path(s.at[first].File)); err != nil {
				s.t.Fatal(err)
			}
			return int64(first)
		}, until: -1, open: "refuse"},
		"remove the first segment": {do: func(s *sample) int64 {
			if err := os.Remove(s.path(s.at[0].File)); err != nil {
				s.t.Fatal(err)
			}
			return 0
		}, until: -1, open: "refuse"},
		"flip the header of a segment": {do: func(s *sample) int64 {
			s.flip(s.at[20].File, 20)
			return int64(slices.IndexFunc(s.at, func(e translog.Entry) bool { return e.File == s.at[20].File }))
		}, open: "refuse"},
		"flip a checkpoint": {do: func(s *sample) int64 { s.flip("checkpoints", headerSize+frameSize+60); return -1 }, until: -1, open: "refuse"},
		"remove the checkpoints": {do: func(s *sample) int64 {
			if err := os.Remove(s.path("checkpoints")); err != nil {
				s.t.Fatal(err)
			}
			return -1
		}, until: -1, open: "refuse"},
		"change an entry and sign everything with another key": {do: func(s *sample) int64 { s.reseal(newSoftKey(s.t)); return -1 }, until: -1, open: "miss"},
		"change an entry, its checksum and all stored hashes": {do: func(s *sample) int64 {
			data := slices.Clone(s.at[12].Data)
			data[0] = 'x'
			s.replace(12, 13, frameOf(12, data))
			s.rehash(12, data)
			return 10 // no hash is left to tell which of the entries 10 to 24 it is
		}, until: 25, open: "refuse", openAt: new(int64(0))},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSample(t)
			found := c.do(s)
			r := s.verify()
			if len(r.Damage) == 0 || r.OK() {
				t.Fatalf("not found: %+v", r)
			}
			d := r.Damage[0]
			until := c.until
			if until == 0 {
				until = found + 1
			}
			if d.Entry != found || until > 0 && d.Until != until && d.Until != found {
				t.Errorf("found %v, want entry %d until %d", &d, found, until)
			}
			if d.File == "" || found >= 0 && !strings.HasSuffix(d.File, ".seg") {
				t.Errorf("no file is named: %+v", d)
			}
			if c.openAt != nil {
				found = *c.openAt
			}
			checkOpenOfDamaged(t, s, c.open, found)
		})
	}
}

// rehash makes the stored hashes fit a changed entry.
func (s *sample) rehash(i int64, data []byte) {
	var all []tlog.Hash
	reader := tlog.HashReaderFunc(func(ix []int64) ([]tlog.Hash, error) {
		out := make([]tlog.Hash, len(ix))
		for k, n := range ix {
			out[k] = all[n]
		}
		return out, nil
	})
	var file []byte
	for n, e := range s.at {
		d := e.Data
		if int64(n) == i {
			d = data
		}
		hs, err := tlog.StoredHashes(int64(n), d, reader)
		if err != nil {
			s.t.Fatal(err)
		}
		all = append(all, hs...)
	}
	for _, h := range all {
		file = append(file, h[:]...)
	}
	s.write("hashes", file)
}

// checkOpenOfDamaged checks what a station may still do with a damaged log.
func checkOpenOfDamaged(t *testing.T, s *sample, open string, found int64) {
	t.Helper()
	before := s.files()
	l, err := translog.Open(s.dir, translog.Options{SegmentBytes: 700})
	switch open {
	case "miss":
		if err != nil {
			t.Fatalf("Open sees more than FORMAT.md promises: %v", err)
		}
		l.Close()
	case "refuse":
		var d *translog.Damage
		if !errors.As(err, &d) || !errors.Is(err, translog.ErrTampered) || l == nil {
			t.Fatalf("Open = %v, %v; want a read-only log and ErrTampered", l, err)
		}
		if d.Entry != found {
			t.Errorf("Open names %v, want entry %d", d, found)
		}
		if _, err := l.Append([]byte("x")); !errors.Is(err, translog.ErrTampered) {
			t.Errorf("append to a damaged log: %v", err)
		}
		if _, err := l.Checkpoint(t.Context(), s.key); !errors.Is(err, translog.ErrTampered) {
			t.Errorf("checkpoint of a damaged log: %v", err)
		}
		intact := 0
		for e, err := range l.Entries(0) {
			if err == nil {
				intact++
			} else if !errors.Is(err, translog.ErrTampered) {
				t.Errorf("entry %d: %v", e.Index, err)
			}
		}
		if intact == 0 {
			t.Error("nothing of the damaged log can be read")
		}
		l.Close()
		if after := s.files(); after != before {
			t.Errorf("opening a damaged log changed it:\n%s\n%s", before, after)
		}
	}
}

// files sums up the folder, but for the lock.
func (s *sample) files() string {
	var b strings.Builder
	err := filepath.WalkDir(s.dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || d.Name() == ".lock" {
			return err
		}
		fmt.Fprintf(&b, "%s %s\n", d.Name(), tlog.RecordHash(s.read(d.Name())))
		return nil
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return b.String()
}

func TestOneDamagedEntryDoesNotCloudTheOthers(t *testing.T) {
	s := newSample(t)
	s.flip(s.at[3].File, s.at[3].Offset+frameSize)
	s.flip(s.at[28].File, s.at[28].Offset+frameSize)
	r := s.verify()
	if len(r.Damage) != 2 || r.Damage[0].Entry != 3 || r.Damage[1].Entry != 28 {
		t.Fatalf("damage %+v, want exactly the entries 3 and 28", r.Damage)
	}
	if r.Entries != sampleSize-2 || r.Sealed != sampleSealed || r.Checkpoints != 3 {
		t.Errorf("the rest was not proven intact: %+v", r)
	}
}

func TestOnlyAWitnessSeesALogCutBackWithItsCheckpoints(t *testing.T) {
	s := newSample(t)
	// Back to the state of the second checkpoint, cleanly.
	ck := s.read("checkpoints")
	s.write("checkpoints", ck[:headerSize+2*frameSize+len(s.notes[0])+len(s.notes[1])])
	b := s.read(s.at[25].File)
	s.write(s.at[25].File, b[:s.at[25].Offset])
	for _, e := range s.at[25:] {
		if e.File != s.at[25].File {
			os.Remove(s.path(e.File))
		}
	}
	if r := s.verify(); !r.OK() || r.Sealed != 25 || r.Unsealed != 0 {
		t.Fatalf("the rest of the log is not consistent in itself: %+v", r)
	}
	if r := s.verify(s.notes[0], s.notes[1]); !r.OK() {
		t.Errorf("witnesses that agree were refused: %+v", r.Damage)
	}
	r := s.verify(s.notes[0], s.notes[2])
	if len(r.Damage) != 1 || r.Damage[0].Entry != 25 || r.Damage[0].Until != sampleSealed {
		t.Errorf("the witness did not help: %+v", r.Damage)
	}
	if _, err := translog.Verify(t.Context(), s.dir, translog.VerifyOptions{Keys: []*ecdsa.PublicKey{s.key.Public()}, Witness: [][]byte{[]byte("paper")}}); err == nil {
		t.Error("a witness that is no checkpoint was ignored")
	}
}

func TestAForkShowsInItsCheckpoints(t *testing.T) {
	s := newSample(t)
	other := newSample(t)
	other.key = s.key
	// A second log of the same station, with other entries, under its last checkpoint.
	l := mustOpen(t, other.dir, translog.Options{SegmentBytes: 700})
	if _, err := l.Append([]byte("fork")); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Checkpoint(t.Context(), s.key); err != nil {
		t.Fatal(err)
	}
	_, fork, _ := l.LastCheckpoint()
	s.write("checkpoints", append(s.read("checkpoints"), frameOf(3, fork)...))
	r := s.verify()
	if len(r.Damage) == 0 || r.Sealed != sampleSealed {
		t.Errorf("the fork was not found: %+v", r)
	}
	s = newSample(t)
	s.write("checkpoints", append(s.read("checkpoints"), frameOf(3, s.notes[0])...))
	if r := s.verify(); len(r.Damage) != 1 || !strings.Contains(r.Damage[0].Detail, "forked") {
		t.Errorf("a checkpoint that goes back was taken: %+v", r.Damage)
	}
}

func TestWrongStoredHashesAreNoDamageAndAreRebuilt(t *testing.T) {
	for name, spoil := range map[string]func(s *sample){
		"flipped":   func(s *sample) { s.flip("hashes", 5*32) },
		"cut":       func(s *sample) { s.write("hashes", s.read("hashes")[:500]) },
		"cut oddly": func(s *sample) { s.write("hashes", s.read("hashes")[:1111]) },
		"removed":   func(s *sample) { os.Remove(s.path("hashes")) },
		"emptied":   func(s *sample) { s.write("hashes", nil) },
		"zeroed":    func(s *sample) { s.write("hashes", make([]byte, 77*32)) },
		"a subtree of the last checkpoint flipped": func(s *sample) {
			s.flip("hashes", 32*tlog.StoredHashIndex(5, 0))
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSample(t)
			spoil(s)
			if r := s.verify(); !r.OK() || r.Sealed != sampleSealed {
				t.Errorf("verify: %+v", r)
			}
			l := mustOpen(t, s.dir, translog.Options{SegmentBytes: 700})
			mustAppend(t, l, 1)
			if root, err := l.Root(); err != nil || root != wantRoot(0, sampleSize+1) {
				t.Errorf("root after the repair: %v, %v", root, err)
			}
		})
	}
}
