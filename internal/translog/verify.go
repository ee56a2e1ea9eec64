package translog

import (
	"cmp"
	"context"
	"crypto/ecdsa"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/mod/sumdb/tlog"
)

// VerifyOptions say what a log is checked against.
type VerifyOptions struct {
	// Keys are the public keys whose checkpoints count; at least one.
	Keys []*ecdsa.PublicKey
	// Origin, when set, is the origin that the log must have.
	Origin string
	// Witness are checkpoints of this log that were kept elsewhere (receipts,
	// slips, exports): the log must contain what each of them seals. Only they
	// can show that a log was cut back together with its own checkpoints.
	Witness [][]byte
	// Anchor, when set, says whether data anchors the checkpoint with this SHA-256
	// of its note, and at which value of the counter; without it anchors are
	// counted and not checked.
	Anchor func(note [32]byte, data []byte) (counter uint64, err error)
	// Visit, when set, is called with each intact entry, in order; Data is
	// valid during the call. Its error is reported as damage of the entry.
	Visit func(Entry) error
}

// maxDamage bounds the damaged places a report lists; the rest is counted.
const maxDamage = 100

// Report is the result of [Verify].
type Report struct {
	Origin      string `json:"origin"`
	Entries     int64  `json:"entries"`     // intact frames
	Bytes       int64  `json:"bytes"`       // of all segments
	Segments    int64  `json:"segments"`    //
	Checkpoints int64  `json:"checkpoints"` // with a valid signature
	// Anchored is the number of checkpoints that have an anchor; Counter is the
	// counter's value at the last one, when anchors were checked.
	Anchored int64  `json:"anchored"`
	Counter  uint64 `json:"counter,omitzero"`
	// Sealed is the number of entries under the last checkpoint that holds;
	// Root is its root in base64, as it stands in the checkpoint.
	Sealed int64  `json:"sealed"`
	Root   string `json:"root,omitzero"`
	// Unsealed counts the intact entries after the last valid checkpoint:
	// nothing but the checksums speaks for them yet.
	Unsealed int64 `json:"unsealed"`
	// Torn are unfinished writes at the end of a file, as a power failure (or
	// a writer at work) leaves them. They are no damage.
	Torn []Cut `json:"torn,omitempty"`
	// Damage lists the damaged places found, by entry and those without entry
	// last; MoreDamage counts those beyond the first hundred.
	Damage     []Damage `json:"damage,omitempty"`
	MoreDamage int64    `json:"more_damage,omitzero"`
	// Notes are sentences about what is odd but proves no damage.
	Notes []string `json:"notes,omitempty"`
}

// OK says that no damage was found and that a checkpoint speaks for the log:
// an empty folder of the right form proves nothing.
func (r *Report) OK() bool { return len(r.Damage) == 0 && r.Checkpoints > 0 }

func (r *Report) add(d Damage) {
	if len(r.Damage) >= maxDamage {
		r.MoreDamage++
		return
	}
	r.Damage = append(r.Damage, d)
}

// verifier is the state of one Verify: one pass, memory independent of the
// number of entries.
type verifier struct {
	ctx  context.Context
	opt  VerifyOptions
	rep  *Report
	keys *Keys

	// computed is the tree over the entries as read, stored the one over the
	// stored leaf hashes. Where only the second has a checkpoint's root, the
	// entries whose leaves differ are proven to be the damaged ones.
	computed, stored frontier
	leaves           leafReader
	haveStored       bool
	differ           []Entry // since the last root that held; no data
	moreDiffer       int64
	since            Entry // first entry after the last root that held
	held             int64 // size of the last root that held
	lost             bool  // roots cannot be compared any more
	stale            int64 // stored hashes found wrong
	witness          []Checkpoint

	ckFrames *frames
	next     *Checkpoint // verified, not reached yet
	nextOff  int64
	prevCk   Checkpoint
}

// Verify checks a log from its files and public keys alone, by the numbered
// steps of FORMAT.md, and re-hashes everything. What is wrong with the log is
// in the report; an error means that it could not be checked to the end.
func Verify(ctx context.Context, dir string, opt VerifyOptions) (*Report, error) {
	v := &verifier{ctx: ctx, opt: opt, rep: &Report{}}
	if len(opt.Keys) == 0 {
		return nil, errors.New("cannot verify the log: no public key was given")
	}
	if err := v.run(dir); err != nil {
		var d *Damage
		if !errors.As(err, &d) {
			return nil, fmt.Errorf("cannot verify the log in %s: %w", dir, err)
		}
		v.rep.add(*d)
	}
	slices.SortStableFunc(v.rep.Damage, func(a, b Damage) int {
		return cmp.Compare(uint64(a.Entry), uint64(b.Entry)) // -1 becomes the largest
	})
	return v.rep, nil
}

func (v *verifier) run(dir string) error {
	m, err := readMeta(dir)
	if err != nil {
		var pe *os.PathError
		if errors.As(err, &pe) {
			return err
		}
		return &Damage{File: fileMeta, Entry: -1, Until: -1, Detail: err.Error()}
	}
	v.rep.Origin = m.Origin
	if v.opt.Origin != "" && v.opt.Origin != m.Origin {
		return &Damage{File: fileMeta, Entry: -1, Until: -1, Detail: fmt.Sprintf("this is the log of %q, not of %q", m.Origin, v.opt.Origin)}
	}
	if v.keys, err = NewKeys(m.Origin, v.opt.Keys...); err != nil {
		return err
	}
	if err := v.openWitness(); err != nil {
		return err
	}
	// Checkpoints first: see Log.open.
	ck, fs, err := checkpointFrames(dir, m.Origin, false)
	if ck != nil {
		defer ck.Close()
	}
	v.ckFrames = fs
	if err := v.note(err); err != nil {
		return err
	}
	segs, err := openSegments(dir, m.Origin, false)
	defer func() {
		for _, s := range segs {
			if s.file != nil {
				s.file.Close()
			}
		}
	}()
	if err := v.note(err); err != nil {
		return err
	}
	if f, err := openFile(filepath.Join(dir, fileHashes), false); err == nil {
		defer f.Close()
		v.leaves.file, v.haveStored = f, true
	} else {
		v.rep.Notes = append(v.rep.Notes, "the stored hashes are missing; they are rebuilt when the log is opened")
	}
	if err := v.verifyAnchors(dir, m.Origin); err != nil {
		return err
	}
	if err := v.nextCheckpoint(); err != nil {
		return err
	}
	for i, s := range segs {
		if err := v.segment(s, i == len(segs)-1); err != nil {
			return err
		}
	}
	return v.finish(segs)
}

// note takes damage into the report and returns every other error.
func (v *verifier) note(err error) error {
	var d *Damage
	if errors.As(err, &d) {
		v.rep.add(*d)
		return nil
	}
	return err
}

func (v *verifier) openWitness() error {
	for i, w := range v.opt.Witness {
		c, err := v.keys.Open(w)
		if err != nil {
			return fmt.Errorf("cannot use witness %d: %w", i+1, err)
		}
		v.witness = append(v.witness, c)
	}
	slices.SortStableFunc(v.witness, func(a, b Checkpoint) int { return cmp.Compare(a.Size, b.Size) })
	return nil
}

// nextCheckpoint reads on to the next checkpoint with a valid signature.
func (v *verifier) nextCheckpoint() error {
	v.next = nil
	for v.ckFrames != nil {
		fr, err := v.ckFrames.read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			if done, err := v.badCheckpointFrame(err); done || err != nil {
				return err
			}
			continue
		}
		c, err := v.keys.Open(fr.data)
		if err == nil && (c.Size < v.prevCk.Size || c.Size == v.prevCk.Size && v.rep.Checkpoints > 0 && c.Root != v.prevCk.Root) {
			err = fmt.Errorf("it seals %d entries with root %s, the one before it %d entries with root %s: the log was forked", c.Size, c.Root, v.prevCk.Size, v.prevCk.Root)
		}
		if err != nil {
			v.rep.add(Damage{File: fileCheckpoints, Offset: fr.off, Entry: -1, Until: -1, Detail: fmt.Sprintf("checkpoint %d: %v", fr.index, err)})
			continue
		}
		v.next, v.nextOff, v.prevCk = &c, fr.off, c
		v.rep.Checkpoints++
		return nil
	}
	return nil
}

// badCheckpointFrame reports a place that is no frame; done means that none follows.
func (v *verifier) badCheckpointFrame(why error) (done bool, err error) {
	cut, err := tornTail(fileCheckpoints, v.ckFrames.clone(), why)
	if err != nil {
		return true, err
	}
	var fe *frameError
	if errors.As(why, &fe) && fe.cut && cut.Intact == 0 {
		v.rep.Torn = append(v.rep.Torn, *cut)
		return true, nil
	}
	v.rep.add(Damage{File: fileCheckpoints, Offset: cut.Offset, Entry: -1, Until: -1, Detail: fmt.Sprintf("checkpoint %d: %s", cut.Entry, cut.Detail)})
	found, err := v.ckFrames.resync(v.ckFrames.next, maxIndex)
	return !found, err
}

// segment checks one segment frame by frame.
func (v *verifier) segment(s *segment, last bool) error {
	v.rep.Segments++
	v.rep.Bytes += s.size
	if n := v.computed.n; n < s.first {
		if err := v.skip(&Damage{File: s.name, Entry: n, Until: s.first, Detail: fmt.Sprintf("the segment begins with entry %d, the ones before it end at %d", s.first, n)}); err != nil {
			return err
		}
	}
	fs := newFrames(s.file, headerSize, s.size, s.first)
	for {
		fr, err := fs.read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			if err := v.entry(s, fr); err != nil {
				return err
			}
			continue
		}
		if done, err := v.badFrame(s, fs, last, err); done || err != nil {
			return err
		}
	}
}

// badFrame reports a place in a segment that is no frame and moves on to the
// next one; done means that none follows.
func (v *verifier) badFrame(s *segment, fs *frames, last bool, why error) (done bool, err error) {
	var fe *frameError
	if !errors.As(why, &fe) {
		return true, fmt.Errorf("cannot read %s: %w", s.name, why)
	}
	d := &Damage{File: s.name, Offset: fe.off, Entry: fs.next, Until: fs.next + 1, Detail: fe.detail}
	if last && fe.cut && v.next == nil {
		cut, err := tornTail(s.name, fs.clone(), why)
		if err != nil {
			return true, err
		}
		if cut.Intact == 0 {
			v.rep.Torn = append(v.rep.Torn, *cut)
			return true, nil
		}
	}
	found, err := fs.resync(fs.next, maxIndex)
	if err != nil {
		return true, fmt.Errorf("cannot read %s: %w", s.name, err)
	}
	if !found {
		v.rep.add(*d)
		return true, nil
	}
	d.Until = fs.next
	return false, v.skip(d)
}

// skip reports entries that cannot be read and puts their stored leaf hashes
// in their place: where the next checkpoint's root then holds, everything else
// is proven intact.
func (v *verifier) skip(d *Damage) error {
	v.rep.add(*d)
	for v.computed.n < d.Until {
		leaf, ok, err := v.storedLeaf(v.computed.n)
		if err != nil {
			return err
		}
		if !ok {
			v.lost = true
			v.computed.n, v.stored.n = d.Until, d.Until
			for v.next != nil && v.next.Size < d.Until {
				if err := v.nextCheckpoint(); err != nil {
					return err
				}
			}
			return v.reached(Entry{Index: d.Until, File: d.File, Offset: d.Offset})
		}
		if err := v.leaf(Entry{Index: v.computed.n, File: d.File, Offset: d.Offset}, leaf); err != nil {
			return err
		}
	}
	return nil
}

// entry takes in one intact frame.
func (v *verifier) entry(s *segment, fr frame) error {
	if fr.index%1024 == 0 && v.ctx.Err() != nil {
		return v.ctx.Err()
	}
	e := Entry{Index: fr.index, File: s.name, Offset: fr.off, Data: fr.data}
	if fr.index != v.computed.n { // a segment that begins before the last one ended
		v.rep.add(Damage{File: s.name, Offset: fr.off, Entry: fr.index, Until: fr.index + 1, Detail: fmt.Sprintf("entry %d stands where entry %d belongs", fr.index, v.computed.n)})
		return nil
	}
	v.rep.Entries++
	if v.opt.Visit != nil {
		if err := v.opt.Visit(e); err != nil {
			v.rep.add(Damage{File: e.File, Offset: e.Offset, Entry: e.Index, Until: e.Index + 1, Detail: err.Error()})
		}
	}
	return v.leaf(e, tlog.RecordHash(fr.data))
}

// leaf adds one leaf to both trees and compares the roots of the checkpoints
// that end there.
func (v *verifier) leaf(e Entry, leaf tlog.Hash) error {
	e.Data = nil
	if v.computed.n == 0 {
		if err := v.reached(e); err != nil {
			return err
		}
	}
	if v.lost {
		v.computed.n++
		return v.reached(e)
	}
	if v.computed.n == v.held {
		v.since = e
	}
	v.computed.add(leaf)
	want, ok, err := v.storedLeaf(e.Index)
	if err != nil {
		return err
	}
	if !ok {
		v.haveStored = false
	}
	if v.haveStored {
		v.stored.add(want)
		if want != leaf {
			if len(v.differ) < maxDamage {
				v.differ = append(v.differ, e)
			} else {
				v.moreDiffer++
			}
		}
	}
	return v.reached(e)
}

func (v *verifier) storedLeaf(i int64) (tlog.Hash, bool, error) {
	if !v.haveStored {
		return tlog.Hash{}, false, nil
	}
	h, ok, err := v.leaves.leaf(i)
	if err != nil {
		err = fmt.Errorf("cannot read the stored hashes: %w", err)
	}
	return h, ok, err
}

// reached compares every checkpoint and witness that seals exactly the entries
// seen so far.
func (v *verifier) reached(e Entry) error {
	for v.next != nil && v.next.Size == v.computed.n {
		v.compare(*v.next, Damage{File: e.File, Offset: e.Offset})
		if err := v.nextCheckpoint(); err != nil {
			return err
		}
	}
	for len(v.witness) > 0 && v.witness[0].Size <= v.computed.n {
		w := v.witness[0]
		v.witness = v.witness[1:]
		if !v.lost && v.computed.n == w.Size && v.computed.root() != w.Root {
			v.rep.add(Damage{File: fileCheckpoints, Entry: -1, Until: -1, Detail: fmt.Sprintf("the log is not the one of which the witness saw %d entries with root %s", w.Size, w.Root)})
		}
	}
	return nil
}

func (v *verifier) compare(c Checkpoint, at Damage) {
	switch {
	case v.lost:
		return
	case v.computed.root() == c.Root:
		v.stale += int64(len(v.differ)) + v.moreDiffer
		v.stored.setTo(&v.computed)
		v.haveStored = v.leaves.file != nil
	case v.haveStored && v.stored.root() == c.Root:
		for _, e := range v.differ {
			v.rep.add(Damage{File: e.File, Offset: e.Offset, Entry: e.Index, Until: e.Index + 1,
				Detail: fmt.Sprintf("the entry is not the one sealed by the checkpoint over %d entries", c.Size)})
		}
		v.rep.MoreDamage += v.moreDiffer
		v.computed.setTo(&v.stored)
	default:
		if v.since.File != "" {
			at.File, at.Offset = v.since.File, v.since.Offset
		}
		at.Entry, at.Until = v.held, c.Size
		at.Detail = fmt.Sprintf("the entries do not have the root %s of the checkpoint over %d entries", c.Root, c.Size)
		v.rep.add(at)
		v.lost = true
		return
	}
	v.differ, v.moreDiffer = nil, 0
	v.held = c.Size
	v.rep.Sealed, v.rep.Root = c.Size, c.Root.String()
}

// finish reports what the files do not hold any more.
func (v *verifier) finish(segs []*segment) error {
	if v.computed.n == 0 {
		if err := v.reached(Entry{File: segmentName(0), Offset: headerSize}); err != nil {
			return err
		}
	}
	lastSize := v.prevCk.Size
	for v.next != nil {
		lastSize = v.next.Size
		if err := v.nextCheckpoint(); err != nil {
			return err
		}
	}
	end := Damage{File: segmentName(0), Offset: headerSize, Entry: v.computed.n}
	if len(segs) > 0 {
		s := segs[len(segs)-1]
		end.File, end.Offset = s.name, s.size
	}
	if lastSize > v.computed.n {
		end.Until = lastSize
		end.Detail = fmt.Sprintf("the log ends after %d entries, its checkpoints seal %d", v.computed.n, lastSize)
		v.rep.add(end)
	}
	for _, w := range v.witness {
		end.Until = w.Size
		end.Detail = fmt.Sprintf("the log ends after %d entries, the witness saw %d", v.computed.n, w.Size)
		v.rep.add(end)
	}
	v.rep.Unsealed = max(0, v.computed.n-lastSize)
	if v.stale > 0 {
		v.rep.Notes = append(v.rep.Notes, fmt.Sprintf("the stored hashes of %d entries are wrong, the entries are right; the hashes are rebuilt when the log is opened", v.stale))
	}
	if v.lost {
		v.rep.Notes = append(v.rep.Notes, fmt.Sprintf("after entry %d no root could be compared", v.held))
	}
	if v.rep.Checkpoints == 0 {
		v.rep.Notes = append(v.rep.Notes, "there is no valid checkpoint: nothing is sealed")
	}
	return nil
}
