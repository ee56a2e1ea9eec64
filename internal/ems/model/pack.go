package model

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
)

// The first byte of a packed ballot. Ballots of the first form are read for
// ever and not written any more.
const (
	packFirst  = 1
	packSecond = 2
)

// MaxVotes is the most votes that one position can carry and the most that a
// contest can allow: far over any real ballot, far under any overflow.
const MaxVotes = 1000

// MaxRanks is the most ranks that a contest can have.
const MaxRanks = 100

// How the positions of a contest are written, in the two lowest bits of its header.
const (
	formOne    = iota // one vote, for one option
	formPlain         // one vote each, for the options that follow
	formRanked        // one vote each, options with their ranks
	formFull          // everything that a position can say
)

// Pack appends the packed form of b to dst: FORMAT.md of internal/ems describes
// it. Identifier, device, batch and method are not part of it. Contests are
// sorted by number and positions by option and rank, so that records which say
// the same pack the same; b is sorted in place.
func (b *Ballot) Pack(dst []byte) []byte {
	dst = append(dst, packSecond)
	dst = binary.AppendUvarint(dst, uint64(b.Style))
	dst = binary.AppendUvarint(dst, uint64(b.Precinct))
	dst = appendText(dst, b.Sheet)
	dst = binary.AppendUvarint(dst, uint64(b.Current))
	dst = binary.AppendUvarint(dst, uint64(len(b.Snapshots)))
	for i := range b.Snapshots {
		dst = b.Snapshots[i].pack(dst)
	}
	return dst
}

// pack appends one snapshot.
func (s *Snapshot) pack(dst []byte) []byte {
	slices.SortStableFunc(s.Contests, func(x, y Marks) int { return x.Contest - y.Contest })
	dst = append(dst, byte(s.Type))
	dst = binary.AppendUvarint(dst, uint64(len(s.Contests)))
	next := 0
	for j := range s.Contests {
		dst = s.Contests[j].pack(dst, next)
		next = s.Contests[j].Contest + 1
	}
	return dst
}

// pack appends the marks of a contest; next is the lowest number that it can have.
func (m *Marks) pack(dst []byte, next int) []byte {
	slices.SortStableFunc(m.Positions, func(x, y Position) int {
		if x.Option != y.Option {
			return x.Option - y.Option
		}
		return x.Rank - y.Rank
	})
	form, over := m.form(), uint64(0)
	if m.Overvoted {
		over = 1
	}
	dst = binary.AppendUvarint(dst, uint64(m.Contest-next)<<3|over<<2|uint64(form))
	if form != formOne {
		dst = binary.AppendUvarint(dst, uint64(len(m.Positions)))
	}
	for i := range m.Positions {
		p := &m.Positions[i]
		dst = binary.AppendUvarint(dst, uint64(p.Option))
		switch form {
		case formRanked:
			dst = binary.AppendUvarint(dst, uint64(p.Rank))
		case formFull:
			dst = p.pack(dst)
		}
	}
	return dst
}

func (m *Marks) form() int {
	ranked := 0
	for i := range m.Positions {
		p := &m.Positions[i]
		if p.Indicated != Yes || p.Allocable != Yes || p.Votes != 1 || p.Generated || p.WriteIn {
			return formFull
		}
		if p.Rank > 0 {
			ranked++
		}
	}
	switch {
	case ranked > 0 && ranked == len(m.Positions):
		return formRanked
	case ranked > 0:
		return formFull
	case len(m.Positions) == 1:
		return formOne
	}
	return formPlain
}

// The flags of a position in the full form, above two for each answer.
const (
	flagWriteIn   = 1 << 4
	flagGenerated = 1 << 5
	flagAll       = 1<<6 - 1
)

// pack appends what follows the option in the full form.
func (p *Position) pack(dst []byte) []byte {
	flags := byte(p.Indicated) | byte(p.Allocable)<<2
	if p.WriteIn {
		flags |= flagWriteIn
	}
	if p.Generated {
		flags |= flagGenerated
	}
	dst = append(dst, flags)
	dst = binary.AppendUvarint(dst, uint64(p.Votes))
	dst = binary.AppendUvarint(dst, uint64(p.Rank))
	if p.WriteIn {
		dst = appendText(dst, p.Text)
	}
	return dst
}

func appendText(dst []byte, s string) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(s)))
	return append(dst, s...)
}

// ErrPacked means that a packed ballot does not belong to the definition or
// was damaged.
var ErrPacked = errors.New("a stored ballot is damaged")

// Unpack reads a packed ballot of definition d into b, whose memory is reused.
// Every number is checked against d, so that a ballot that was read can be
// counted without further checks.
func (d *Definition) Unpack(b *Ballot, data []byte) error {
	b.Reset()
	u := unpacker{data: data}
	version := u.byte()
	if version != packFirst && version != packSecond {
		return fmt.Errorf("%w: unknown version", ErrPacked)
	}
	b.Style = u.number(len(d.Styles))
	b.Precinct = u.number(len(d.Precincts))
	b.Sheet = u.text()
	b.Current = u.number(len(data))
	n := u.number(len(data))
	for range n {
		s := b.AddSnapshot(SnapshotType(u.byte()))
		if s.Type > Modified {
			u.bad = true
		}
		if version == packFirst {
			u.firstContests(d, s)
		} else {
			u.contests(d, s)
		}
		if u.bad {
			return ErrPacked
		}
	}
	if u.bad || len(u.data) != 0 || b.Current >= len(b.Snapshots) {
		return ErrPacked
	}
	return nil
}

func (u *unpacker) contests(d *Definition, s *Snapshot) {
	next := 0
	for range u.number(len(d.Contests) + 1) {
		head := u.number(len(d.Contests) << 3)
		c := next + head>>3
		if u.bad || c >= len(d.Contests) {
			u.bad = true
			return
		}
		next = c + 1
		m := s.AddMarks(c)
		m.Overvoted = head&4 != 0
		u.positions(m, &d.Contests[c], head&3)
		if u.bad {
			return
		}
	}
}

// positions reads the positions of one contest. A form that is not the one
// which Pack would have chosen is damage: each ballot has one packed form.
func (u *unpacker) positions(m *Marks, c *Contest, form int) {
	n := 1
	if form != formOne {
		n = u.number(len(u.data) + 1)
	}
	for range n {
		p := Position{Option: u.number(len(c.Options)), Indicated: Yes, Allocable: Yes, Votes: 1}
		switch form {
		case formRanked:
			p.Rank = u.number(MaxRanks + 1)
		case formFull:
			u.full(&p)
		}
		if u.bad {
			return
		}
		if k := len(m.Positions) - 1; k >= 0 && (m.Positions[k].Option > p.Option || m.Positions[k].Option == p.Option && m.Positions[k].Rank > p.Rank) {
			u.bad = true
			return
		}
		m.Positions = append(m.Positions, p)
	}
	if form != formOne && m.form() != form {
		u.bad = true
	}
}

func (u *unpacker) full(p *Position) {
	flags := u.byte()
	p.Indicated, p.Allocable = Answer(flags&3), Answer(flags>>2&3)
	p.WriteIn, p.Generated = flags&flagWriteIn != 0, flags&flagGenerated != 0
	if flags > flagAll || p.Indicated > Unknown || p.Allocable > Unknown {
		u.bad = true
	}
	p.Votes = u.number(MaxVotes + 1)
	p.Rank = u.number(MaxRanks + 1)
	if p.WriteIn {
		p.Text = u.text()
	}
}

// firstContests reads the contests of a ballot of the first form.
func (u *unpacker) firstContests(d *Definition, s *Snapshot) {
	last := -1
	for range u.number(len(d.Contests) + 1) {
		c := u.number(len(d.Contests))
		if u.bad || c <= last {
			u.bad = true
			return
		}
		last = c
		u.firstMarks(s.AddMarks(c), &d.Contests[c])
	}
}

func (u *unpacker) firstMarks(m *Marks, c *Contest) {
	n := u.number(2 * (len(u.data) + 1))
	m.Overvoted = n&1 == 1
	for range n >> 1 {
		p := Position{Option: u.number(len(c.Options))}
		flags := u.byte()
		p.Indicated, p.Allocable, p.WriteIn = Answer(flags&3), Answer(flags>>2&3), flags&flagWriteIn != 0
		if flags > 31 || p.Indicated > Unknown || p.Allocable > Unknown {
			u.bad = true
		}
		p.Votes = u.number(MaxVotes + 1)
		if p.WriteIn {
			p.Text = u.text()
		}
		if u.bad {
			return
		}
		m.Positions = append(m.Positions, p)
	}
}

// unpacker reads until something is wrong; bad stays set from then on and every
// read gives zero.
type unpacker struct {
	data []byte
	bad  bool
}

func (u *unpacker) byte() byte {
	if u.bad || len(u.data) == 0 {
		u.bad = true
		return 0
	}
	b := u.data[0]
	u.data = u.data[1:]
	return b
}

// number reads a number that must be below limit, in its shortest form.
func (u *unpacker) number(limit int) int {
	if len(u.data) > 0 && u.data[0] < 0x80 && int(u.data[0]) < limit && !u.bad {
		v := int(u.data[0])
		u.data = u.data[1:]
		return v
	}
	v, n := binary.Uvarint(u.data)
	if u.bad || n <= 0 || v >= uint64(max(limit, 0)) || n > 1 && u.data[n-1] == 0 {
		u.bad = true
		return 0
	}
	u.data = u.data[n:]
	return int(v)
}

func (u *unpacker) text() string {
	n := u.number(len(u.data) + 1)
	if u.bad || n > len(u.data) {
		u.bad = true
		return ""
	}
	s := string(u.data[:n])
	u.data = u.data[n:]
	return s
}
