package translog_test

import (
	"crypto/ecdsa"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"os"
	"path/filepath"
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
// 10, 25 and 35 of them, 5 not sealed. What is said of each way to tamper with a
// log is in the tests of package verifycmd; here are what Open repairs, and what
// stands around damage.
type sample struct {
	t   *testing.T
	dir string
	key softKey
	at  []translog.Entry // where each entry stands
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
		if _, err := l.Checkpoint(t.Context(), s.key); err != nil {
			t.Fatal(err)
		}
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

func (s *sample) flip(file string, off int64) {
	s.t.Helper()
	b := s.read(file)
	b[off] ^= 0x20
	s.write(file, b)
}

func (s *sample) verify() *translog.Report {
	s.t.Helper()
	r, err := translog.Verify(s.t.Context(), s.dir, translog.VerifyOptions{Keys: []*ecdsa.PublicKey{s.key.Public()}})
	if err != nil {
		s.t.Fatal(err)
	}
	return r
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

// No interrupted write leaves more than a batch: the rest of a disk in a segment is
// not taken into memory as a torn tail.
func TestATailLongerThanAnyWriteIsDamage(t *testing.T) {
	s := newSample(t)
	last := s.at[sampleSize-1].File
	if err := os.Truncate(s.path(last), 96<<20); err != nil { // takes no space
		t.Fatal(err)
	}
	l, err := translog.Open(s.dir, translog.Options{})
	var d *translog.Damage
	if !errors.As(err, &d) || d.File != last || l == nil {
		t.Fatalf("Open = %v, want damage of %s", err, last)
	}
	if l.Size() != sampleSize {
		t.Errorf("%d entries can be read", l.Size())
	}
	l.Close()
	if r := s.verify(); len(r.Damage) != 1 || r.Damage[0].File != last || r.Sealed != sampleSealed {
		t.Errorf("verify: %+v", r)
	}
	big := make([][]byte, 1100)
	for i := range big {
		big[i] = make([]byte, translog.MaxEntry)
	}
	l = mustOpen(t, mustCreate(t, translog.Options{}), translog.Options{})
	if _, err := l.Append(big...); err == nil || l.Size() != 0 {
		t.Errorf("a batch of 68 MiB: %v", err)
	}
	if _, err := l.Append(big[:4]...); err != nil {
		t.Errorf("a refused batch stopped the log: %v", err)
	}
}
