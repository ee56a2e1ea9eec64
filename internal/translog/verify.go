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
	// Visit, when set, is called with each intact entry, in order and from another
	// goroutine than Verify's; Data is valid during the call. Its error is reported
	// as damage of the entry. All calls have ended when Verify returns.
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
	// stored leaf hashes, once they differ. Where only the second has a
	// checkpoint's root, the entries whose leaves differ are proven to be the
	// damaged ones.
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
	prevCk   Checkpoint
	visits   *visitor // nil without Visit
}

// Verify checks a log from its files and public keys alone, by the numbered
// steps of FORMAT.md, and re-hashes everything. What is wrong with the log is
// in the report; an error means that it could not be checked to the end.
func Verify(ctx context.Context, dir string, opt VerifyOptions) (*Report, error) {
	v := &verifier{ctx: ctx, opt: opt, rep: &Report{}}
	if len(opt.Keys) == 0 {
		return nil, errors.New("cannot verify the log: no public key was given")
	}
	if opt.Visit != nil {
		v.visits = newVisitor(opt.Visit)
	}
	err := v.note(v.run(dir))
	if v.visits != nil {
		v.visits.end(v.rep)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot verify the log in %s: %w", dir, err)
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
	segs, damage, err := openSegments(dir, m.Origin, false)
	defer func() {
		for _, s := range segs {
			if s.file != nil {
				s.file.Close()
			}
		}
	}()
	if err != nil {
		return err
	}
	for _, d := range damage {
		v.rep.add(d)
	}
	if f, err := openFile(filepath.Join(dir, fileHashes), false); err == nil {
		defer f.Close()
		v.leaves.file, v.haveStored = f, true
	} else {
		v.rep.Notes = append(v.rep.Notes, "the stored hashes are missing; they are rebuilt when the log is opened")
	}
	if err := v.nextCheckpoint(); err != nil {
		return err
	}
	for i := range segs {
		if err := v.segment(segs, i); err != nil {
			return err
		}
	}
	if err := v.finish(segs); err != nil {
		return err
	}
	return v.verifyAnchors(dir, m.Origin)
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

// nextFrame reads on to the next intact frame of a file beside the segments, and
// reports what is none on the way; ok is false at the end. torn says that the file
// ended in an unfinished write.
func (r *Report) nextFrame(name string, fs *frames) (fr frame, ok, torn bool, err error) {
	for {
		fr, err = fs.read()
		if err == nil || errors.Is(err, io.EOF) {
			return fr, err == nil, false, nil
		}
		var fe *frameError
		if !errors.As(err, &fe) {
			return fr, false, false, fmt.Errorf("cannot read %s: %w", name, err)
		}
		bad := fs.next
		found, err := fs.resync(bad, fs.limit())
		if err != nil {
			return fr, false, false, fmt.Errorf("cannot read %s: %w", name, err)
		}
		if !found && fe.cut && fs.size-fe.off <= maxCut {
			r.Torn = append(r.Torn, Cut{File: name, Offset: fe.off, Bytes: fs.size - fe.off, Entry: bad, Detail: fe.detail})
			return fr, false, true, nil
		}
		r.add(Damage{File: name, Offset: fe.off, Entry: -1, Until: -1, Detail: fmt.Sprintf("%s %d: %s", fs.what, bad, fe.detail)})
		if !found {
			return fr, false, false, nil
		}
	}
}

// nextCheckpoint reads on to the next checkpoint with a valid signature.
func (v *verifier) nextCheckpoint() error {
	v.next = nil
	for v.ckFrames != nil {
		fr, ok, _, err := v.rep.nextFrame(fileCheckpoints, v.ckFrames)
		if err != nil || !ok {
			v.ckFrames = nil // nothing is reported twice
			return err
		}
		c, err := v.keys.Open(fr.data)
		if err == nil && v.rep.Checkpoints > 0 {
			err = v.prevCk.before(c)
		}
		if err != nil {
			v.rep.add(Damage{File: fileCheckpoints, Offset: fr.off, Entry: -1, Until: -1, Detail: fmt.Sprintf("checkpoint %d: %v", fr.index, err)})
			continue
		}
		v.next, v.prevCk = &c, c
		v.rep.Checkpoints++
		return nil
	}
	return nil
}

// before says why c cannot follow p in one log.
func (p Checkpoint) before(c Checkpoint) error {
	switch {
	case c.Size > p.Size:
		return nil
	case c == p:
		return fmt.Errorf("it seals the %d entries that the one before it sealed: no station writes that twice", c.Size)
	}
	return fmt.Errorf("it seals %d entries with root %s, the one before it %d entries with root %s: the log was forked, or an old checkpoint written again", c.Size, c.Root, p.Size, p.Root)
}

// segment checks one segment frame by frame.
func (v *verifier) segment(segs []*segment, i int) error {
	s, last := segs[i], i == len(segs)-1
	v.rep.Segments++
	v.rep.Bytes += s.size
	if n := v.computed.n; n < s.first {
		d := &Damage{File: s.name, Entry: n, Until: s.first}
		if i > 0 { // of the first one, that it is missing was said
			d.File, d.Offset = segs[i-1].name, segs[i-1].size
			d.Detail = fmt.Sprintf("the segment ends before entry %d, the next one begins with entry %d", n, s.first)
			v.rep.add(*d)
		}
		if err := v.skip(d); err != nil {
			return err
		}
	}
	fs := newFrames(s.file, headerSize, s.size, s.first)
	next := fs.limit() // of the last one, nothing says where it ends
	if !last {
		next = segs[i+1].first
	}
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
		if done, err := v.badFrame(s, fs, next, last, err); done || err != nil {
			return err
		}
	}
}

// badFrame reports a place in a segment that is no frame and moves on to the
// next one; done means that none follows. The next segment begins with entry next.
func (v *verifier) badFrame(s *segment, fs *frames, next int64, last bool, why error) (done bool, err error) {
	var fe *frameError
	if !errors.As(why, &fe) {
		return true, fmt.Errorf("cannot read %s: %w", s.name, why)
	}
	d := &Damage{File: s.name, Offset: fe.off, Entry: fs.next, Until: fs.next + 1, Detail: fe.detail}
	found, err := fs.resync(fs.next, min(next, fs.limit()))
	switch {
	case err != nil:
		return true, fmt.Errorf("cannot read %s: %w", s.name, err)
	case found:
		d.Until = fs.next
	case !last:
		d.Until = max(d.Entry, next)
	case fe.cut && v.next == nil && s.size-fe.off <= maxCut:
		v.rep.Torn = append(v.rep.Torn, Cut{File: s.name, Offset: fe.off, Bytes: s.size - fe.off, Entry: d.Entry, Detail: fe.detail})
		return true, nil
	default:
		v.rep.add(*d)
		return true, nil
	}
	v.rep.add(*d)
	return !found, v.skip(d)
}

// skip puts the stored leaf hashes of entries that cannot be read in their place:
// where the next checkpoint's root then holds, everything else is proven intact.
func (v *verifier) skip(d *Damage) error {
	for v.computed.n < d.Until {
		leaf, ok, err := v.storedLeaf(v.computed.n)
		if err != nil {
			return err
		}
		if !ok {
			v.lost = true
			v.computed.n = d.Until
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
	if v.visits != nil {
		v.visits.add(e)
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
	want, ok, err := v.storedLeaf(e.Index)
	if err != nil {
		return err
	}
	if !ok {
		v.haveStored = false
	}
	if v.haveStored {
		if want != leaf {
			if len(v.differ) == 0 { // up to here the two trees are one
				v.stored.setTo(&v.computed)
			}
			if len(v.differ) < maxDamage {
				v.differ = append(v.differ, e)
			} else {
				v.moreDiffer++
			}
		}
		if len(v.differ) > 0 {
			v.stored.add(want)
		}
	}
	v.computed.add(leaf)
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
			v.rep.add(Damage{File: segmentName(0), Offset: headerSize, Until: w.Size, Detail: fmt.Sprintf("the log is not the one of which the witness saw %d entries with root %s", w.Size, w.Root)})
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
		v.haveStored = v.leaves.file != nil
	case v.haveStored && len(v.differ) > 0 && v.stored.root() == c.Root:
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
