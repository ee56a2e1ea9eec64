package verifycmd_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"sallyport/internal/audit"
	"sallyport/internal/tpm/attest"
	"sallyport/internal/tpm/tpmtest"
	"sallyport/internal/translog"
)

const (
	headerSize  = 64
	frameHeader = 16
	bootID      = "11111111-2222-3333-4444-555555555555"

	// The log under test: entries in all, under the last checkpoint, and where the
	// station was started again: entry 26 is log.opened.
	tapeSize    = 42
	tapeSealed  = 38
	tapeRestart = 26
)

// tapeSeals are the sizes at which the checkpoints stand.
func tapeSeals() []int64 { return []int64{1, 14, tapeRestart + 1, tapeSealed} }

// softTPM has the keys of a TPM in memory, and what a station makes of them: a
// signer of checkpoints and their anchors.
type softTPM struct {
	t       testing.TB
	soft    *tpmtest.Soft
	counter uint64
}

func newSoftTPM(t testing.TB) *softTPM { return &softTPM{t: t, soft: tpmtest.NewSoft(t), counter: 7} }

func (s *softTPM) KeyID() string            { return "" }
func (s *softTPM) Public() *ecdsa.PublicKey { return &s.soft.Log.PublicKey }
func (s *softTPM) Sign(_ context.Context, digest [32]byte) ([]byte, error) {
	return s.soft.Log.Sign(nil, digest[:], crypto.SHA256)
}

// anchor is what the TPM says of its counter for a note.
func (s *softTPM) anchor(counter uint64, note []byte) []byte {
	a := attest.Anchor{V: 1}
	a.Counter, a.CounterSig = s.soft.Attest(s.t, s.soft.CounterStatement(counter, sha256.Sum256(note)))
	b, err := a.Encode()
	if err != nil {
		s.t.Fatal(err)
	}
	return b
}

func (s *softTPM) Anchor(_ context.Context, note [32]byte) ([]byte, error) {
	s.counter++
	a := attest.Anchor{V: 1}
	a.Counter, a.CounterSig = s.soft.Attest(s.t, s.soft.CounterStatement(s.counter, note))
	return a.Encode()
}

func (s *softTPM) identity(file string) string {
	s.t.Helper()
	b, err := s.soft.Identity.Encode()
	if err == nil {
		err = os.WriteFile(file, b, 0o600)
	}
	if err != nil {
		s.t.Fatal(err)
	}
	return file
}

// tape is the log of one station: what it recorded, and where it stands.
type tape struct {
	t       testing.TB
	tpm     *softTPM
	dir     string // of the log
	id      string // file of the TPM identity
	origin  string
	at      []translog.Entry // every entry in its place
	notes   [][]byte         // checkpoints
	anchors [][]byte
	// twin is another log of the same station, foreign one of another station that
	// claims the same origin, stranger one of another station.
	twin, foreign, stranger *tape
}

// record lets a recorder write a day of a station. What it says of each medium is
// different for each tape.
func record(t testing.TB, tpm *softTPM, origin, serial string) *tape {
	t.Helper()
	dir := t.TempDir()
	p := &tape{t: t, tpm: tpm, dir: filepath.Join(dir, "log"), origin: origin, id: tpm.identity(filepath.Join(dir, "identity"))}
	p.must(translog.Create(p.dir, origin, translog.Options{}))
	wall, mono := time.Date(2026, 11, 3, 7, 0, 0, 0, time.UTC), time.Hour
	clock := func() audit.Reading {
		wall, mono = wall.Add(time.Second), mono+time.Second
		return audit.Reading{Wall: wall, Mono: mono, Trusted: true}
	}
	for _, until := range []int64{tapeRestart, tapeSize} {
		l, err := translog.Open(p.dir, p.options())
		p.must(err)
		r, err := audit.Open(t.Context(), l, tpm, audit.Options{Boot: bootID, Clock: clock})
		p.must(err)
		for i := l.Size(); i < until; i = l.Size() {
			if slices.Contains(tapeSeals(), i) {
				p.must(r.Checkpoint(t.Context()))
			}
			p.day(r, i, serial)
		}
		if until == tapeSize {
			for e, err := range l.Entries(0) {
				p.must(err)
				p.at = append(p.at, e)
			}
		}
		p.must(l.Close())
	}
	p.notes, p.anchors = p.frames("checkpoints"), p.frames("anchors")
	if len(p.notes) != len(tapeSeals()) || len(p.anchors) != len(p.notes) || p.segment(tapeSize-1) < 4 {
		t.Fatalf("the tape has %d checkpoints, %d anchors and ends in segment %d", len(p.notes), len(p.anchors), p.segment(tapeSize-1))
	}
	return p
}

// day records what happens at entry i.
func (p *tape) day(r *audit.Recorder, i int64, serial string) {
	p.t.Helper()
	medium := audit.Subject{Medium: fmt.Sprintf("%s-%d", serial, i)}
	if i%13 == 6 {
		in, err := r.Intent(p.t.Context(), audit.Event{ID: audit.PackageStage, Subject: medium})
		p.must(err)
		p.must(in.Outcome(p.t.Context(), audit.Success, map[string]string{"files": "3"}))
		return
	}
	p.must(r.Event(p.t.Context(), audit.Event{ID: audit.MediumInserted, Subject: medium, Fields: map[string]string{"serial": serial, "size": fmt.Sprint(1000 + i)}}))
}

func (p *tape) options() translog.Options {
	return translog.Options{SegmentBytes: 2400, Anchor: p.tpm}
}

func (p *tape) must(err error) {
	p.t.Helper()
	if err != nil {
		p.t.Fatal(err)
	}
}

func (p *tape) path(name string) string { return filepath.Join(p.dir, name) }

func (p *tape) read(name string) []byte {
	p.t.Helper()
	b, err := os.ReadFile(p.path(name))
	p.must(err)
	return b
}

func (p *tape) write(name string, b []byte) {
	p.t.Helper()
	os.Chmod(p.path(name), 0o600) // log.json cannot be written by mistake
	p.must(os.WriteFile(p.path(name), b, 0o600))
}

func (p *tape) remove(name string) {
	p.t.Helper()
	p.must(os.Remove(p.path(name)))
}

// frames are the data of the frames of checkpoints or anchors.
func (p *tape) frames(name string) (all [][]byte) {
	p.t.Helper()
	for b := p.read(name)[headerSize:]; len(b) > 0; {
		n := frameHeader + int(binary.BigEndian.Uint32(b))
		all, b = append(all, b[frameHeader:n]), b[n:]
	}
	return all
}

// copyTo is the same log in another folder, to be tampered with.
func (p *tape) copyTo(t testing.TB) *tape {
	t.Helper()
	c := *p
	c.t, c.dir = t, filepath.Join(t.TempDir(), "log")
	p.must(os.CopyFS(c.dir, os.DirFS(p.dir)))
	c.at = slices.Clone(p.at)
	return &c
}

// frameOf is a frame as an attacker writes it, who knows FORMAT.md.
func frameOf(index int64, data []byte) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(len(data)))
	b = binary.BigEndian.AppendUint32(b, 0)
	b = binary.BigEndian.AppendUint64(b, uint64(index))
	b = append(b, data...)
	table := crc32.MakeTable(crc32.Castagnoli)
	binary.BigEndian.PutUint32(b[4:], crc32.Update(crc32.Checksum(b[:4], table), table, b[8:]))
	return b
}

// headerOf is a file header as an attacker writes it.
func headerOf(magic string, first, prev int64, origin string) []byte {
	b := binary.BigEndian.AppendUint32([]byte(magic), 1)
	b = binary.BigEndian.AppendUint64(b, uint64(first))
	b = binary.BigEndian.AppendUint64(b, uint64(prev))
	sum := sha256.Sum256([]byte(origin))
	b = append(b, sum[:]...)
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)))
}

// flip changes one bit of a file.
func (p *tape) flip(name string, off int64) {
	p.t.Helper()
	b := p.read(name)
	b[off] ^= 0x20
	p.write(name, b)
}

// cut ends a file at an offset.
func (p *tape) cut(name string, off int64) {
	p.t.Helper()
	p.must(os.Truncate(p.path(name), off))
}

// end is where the frame of entry i ends.
func (p *tape) end(i int64) int64 { return p.at[i].Offset + frameHeader + int64(len(p.at[i].Data)) }

// put replaces the whole frames of the entries i ≤ k < j, in one segment.
func (p *tape) put(i, j int64, with ...[]byte) {
	p.t.Helper()
	b := p.read(p.at[i].File)
	p.write(p.at[i].File, slices.Concat(b[:p.at[i].Offset], slices.Concat(with...), b[p.end(j-1):]))
}

// frame is the frame of entry i.
func (p *tape) frame(i int64) []byte { return frameOf(i, p.at[i].Data) }

// other is entry i with other content of the same length: still canonical JSON,
// still in the catalogue.
func (p *tape) other(i int64) []byte {
	p.t.Helper()
	return p.replaced(i, `"medium":"s`, `"medium":"x`)
}

func (p *tape) replaced(i int64, old, new string) []byte {
	p.t.Helper()
	b := bytes.Replace(p.at[i].Data, []byte(old), []byte(new), 1)
	if bytes.Equal(b, p.at[i].Data) {
		p.t.Fatalf("entry %d has no %s: %s", i, old, b)
	}
	return b
}

// segments are the names of the segments.
func (p *tape) segments() (names []string) {
	for _, e := range p.at {
		if !slices.Contains(names, e.File) {
			names = append(names, e.File)
		}
	}
	return names
}

// segment is the number of the segment that holds entry i.
func (p *tape) segment(i int64) int { return slices.Index(p.segments(), p.at[i].File) }

// first is the first entry of a segment.
func (p *tape) first(segment int) int64 {
	return int64(slices.IndexFunc(p.at, func(e translog.Entry) bool { return e.File == p.segments()[segment] }))
}

// inside is the first entry from lo on that has neighbours in its segment.
func (p *tape) inside(lo int64) int64 {
	for i := max(lo, 1); ; i++ {
		if p.at[i-1].File == p.at[i].File && p.at[i].File == p.at[i+2].File {
			return i
		}
	}
}

// place is how an entry is named.
func (p *tape) place(i int64) string {
	return fmt.Sprintf("entry %d (%s, byte %d)", i, p.at[i].File, p.at[i].Offset)
}

// span is how entries are named of which one or more are damaged.
func (p *tape) span(first, last int64) string {
	return fmt.Sprintf("one or more of the entries %d to %d (from %s, byte %d)", first, last, p.at[first].File, p.at[first].Offset)
}

// ends is the line of a log that ends below its last checkpoint, in a segment of
// that size.
func (p *tape) ends(n, sealed, size int64) string {
	return fmt.Sprintf("one or more of the entries %d to %d (from %s, byte %d): the log ends after %d entries, its checkpoints seal %d", n, sealed-1, p.at[n-1].File, size, n, sealed)
}

// resized is the line of a segment that has another size than when it was closed,
// where entry i is or was in it: the header after it says so.
func (p *tape) resized(i int64) string {
	next := p.first(p.segment(i) + 1)
	return fmt.Sprintf("before entry %d (%s, byte 0): the file before this one had %d bytes when it was closed, now it has ", next, p.at[next].File, p.end(next-1))
}

// sealedRoot is the root in a checkpoint, as it stands there.
func sealedRoot(note []byte) string { return strings.Split(string(note), "\n")[2] }

// frameAt is where a frame of a file beside the segments begins.
func frameAt(frames [][]byte, n int) int64 {
	off := int64(headerSize)
	for _, f := range frames[:n] {
		off += frameHeader + int64(len(f))
	}
	return off
}

func (p *tape) noteAt(n int) string {
	return fmt.Sprintf("checkpoints, byte %d: checkpoint %d: ", frameAt(p.notes, n), n)
}

func (p *tape) anchorAt(n int) string {
	return fmt.Sprintf("anchors, byte %d: anchor %d: ", frameAt(p.anchors, n), n)
}

// sealWith writes checkpoints or anchors anew, numbered from 0.
func (p *tape) sealWith(name string, all ...[]byte) {
	p.t.Helper()
	b := p.read(name)[:headerSize]
	for i, data := range all {
		b = append(b, frameOf(int64(i), data)...)
	}
	p.write(name, b)
}

// rehash makes the stored hashes fit the entries as they stand in p.at, whose
// data may have been changed, as an attacker would.
func (p *tape) rehash() {
	p.t.Helper()
	var all []tlog.Hash
	reader := tlog.HashReaderFunc(func(ix []int64) (out []tlog.Hash, err error) {
		for _, n := range ix {
			out = append(out, all[n])
		}
		return out, nil
	})
	var file []byte
	for n, e := range p.at {
		hs, err := tlog.StoredHashes(int64(n), e.Data, reader)
		p.must(err)
		all = append(all, hs...)
		for _, h := range hs {
			file = append(file, h[:]...)
		}
	}
	p.write("hashes", file)
}

// leaf makes the stored hash of entry i alone fit.
func (p *tape) leaf(i int64) {
	p.t.Helper()
	b, h := p.read("hashes"), tlog.RecordHash(p.at[i].Data)
	copy(b[32*tlog.StoredHashIndex(0, i):], h[:])
	p.write("hashes", b)
}

// renumber makes a log of other entries, in which every length, index, checksum,
// header and stored hash is right.
func (p *tape) renumber(entries []translog.Entry) {
	p.t.Helper()
	p.at = entries
	p.rebuild()
	p.rehash()
}

// header changes the header of a segment, and its checksum.
func (p *tape) header(segment int, change func(h []byte)) {
	p.t.Helper()
	b := p.read(p.segments()[segment])
	change(b)
	binary.BigEndian.PutUint32(b[60:], crc32.Checksum(b[:60], crc32.MakeTable(crc32.Castagnoli)))
	p.write(p.segments()[segment], b)
}

// root is the tree hash over the first n entries.
func (p *tape) root(n int64) tlog.Hash {
	var leaves []tlog.Hash
	for _, e := range p.at[:n] {
		leaves = append(leaves, tlog.RecordHash(e.Data))
	}
	return rootOver(leaves)
}

// rootOver is RFC 6962, section 2.1, as it is written there.
func rootOver(leaves []tlog.Hash) tlog.Hash {
	if len(leaves) == 1 {
		return leaves[0]
	}
	k := 1
	for 2*k < len(leaves) {
		k *= 2
	}
	return tlog.NodeHash(rootOver(leaves[:k]), rootOver(leaves[k:]))
}

// rebuild writes all segments anew from p.at: every name, length, checksum, index
// and header is right.
func (p *tape) rebuild() {
	p.t.Helper()
	was := slices.Clone(p.at)
	for _, s := range p.segments() {
		p.remove(s)
	}
	var file []byte
	for i := range p.at {
		e := &p.at[i]
		if i == 0 || was[i].File != was[i-1].File {
			file = headerOf("SPLOGSEG", int64(i), int64(len(file)), p.origin)
			e.File = fmt.Sprintf("%020d.seg", i)
		} else {
			e.File = p.at[i-1].File
		}
		e.Offset, file = int64(len(file)), append(file, frameOf(int64(i), e.Data)...)
		p.write(e.File, file)
	}
}

// back cuts the log back to its first n entries.
func (p *tape) back(n int64) {
	p.t.Helper()
	last := p.at[n-1].File
	for _, s := range p.segments() {
		if s > last {
			p.remove(s)
		}
	}
	p.cut(last, p.end(n-1))
}

// signed is a checkpoint over n entries of any content, signed by the key that s
// has.
func signed(t testing.TB, s *softTPM, origin string, n int64, root tlog.Hash) []byte {
	t.Helper()
	text := translog.Checkpoint{Origin: origin, Size: n, Root: root}.Text()
	sig, err := s.Sign(t.Context(), sha256.Sum256([]byte(text)))
	if err != nil {
		t.Fatal(err)
	}
	hash, err := translog.KeyHash(s.Public())
	if err != nil {
		t.Fatal(err)
	}
	return noteOf(text, origin, hash, sig)
}

// noteOf is a C2SP signed note with one signature.
func noteOf(text, name string, hash uint32, sig []byte) []byte {
	blob := append(binary.BigEndian.AppendUint32(nil, hash), sig...)
	return []byte(text + "\n— " + name + " " + base64.StdEncoding.EncodeToString(blob) + "\n")
}

// damageLines are what sallyport-verify calls damaged.
func damageLines(stdout string) (lines []string) {
	for line := range strings.Lines(stdout) {
		if d, ok := strings.CutPrefix(line, "DAMAGE"); ok {
			lines = append(lines, strings.TrimSpace(d))
		}
	}
	return lines
}

// start says what the station's start says of the log: nothing, or the damage. A
// damaged log is left as it is, can be read, and takes nothing more.
func (p *tape) start() string {
	p.t.Helper()
	before := p.sum()
	l, err := translog.Open(p.dir, p.options())
	if l == nil {
		return err.Error()
	}
	defer l.Close()
	if err == nil {
		if _, err = audit.Open(p.t.Context(), l, p.tpm, audit.Options{}); err == nil {
			return ""
		}
	} else {
		if _, err := l.Append([]byte("x")); !errors.Is(err, translog.ErrTampered) {
			p.t.Errorf("append to a damaged log: %v", err)
		}
		if _, err := l.Checkpoint(p.t.Context(), p.tpm); !errors.Is(err, translog.ErrTampered) {
			p.t.Errorf("checkpoint of a damaged log: %v", err)
		}
		intact := 0
		for e, err := range l.Entries(0) {
			if err == nil {
				intact++
			} else if !errors.Is(err, translog.ErrTampered) {
				p.t.Errorf("entry %d: %v", e.Index, err)
			}
		}
		if left, _ := filepath.Glob(p.path("*.seg")); intact == 0 && len(left) > 0 {
			p.t.Error("nothing of the damaged log can be read")
		}
		if after := p.sum(); after != before {
			p.t.Errorf("opening a damaged log changed it:\n%s\n%s", before, after)
		}
	}
	if !errors.Is(err, translog.ErrTampered) {
		p.t.Errorf("the start says %v, which is no damage", err)
	}
	_, place, _ := strings.Cut(err.Error(), translog.ErrTampered.Error()+": ")
	return place
}

// sum sums up the folder, but for the lock.
func (p *tape) sum() string {
	p.t.Helper()
	names, err := os.ReadDir(p.dir)
	p.must(err)
	var b strings.Builder
	for _, n := range names {
		if n.Name() != ".lock" {
			fmt.Fprintf(&b, "%s %x\n", n.Name(), sha256.Sum256(p.read(n.Name())))
		}
	}
	return b.String()
}

func anchorOf(t testing.TB, b []byte) (a attest.Anchor) {
	t.Helper()
	if err := json.Unmarshal(b, &a); err != nil {
		t.Fatal(err)
	}
	return a
}
