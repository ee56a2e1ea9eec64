package model

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
)

// packVersion is the first byte of a packed ballot.
const packVersion = 1

// MaxVotes is the most votes that one position can carry and the most that a
// contest can allow: far over any real ballot, far under any overflow.
const MaxVotes = 1000

// Pack appends the packed form of b to dst: FORMAT.md of internal/ems describes
// it. Identifier, device and batch are not part of it. Contests are sorted by
// number and positions by option, so that records which say the same pack the
// same; b is sorted in place.
func (b *Ballot) Pack(dst []byte) []byte {
	dst = append(dst, packVersion)
	dst = binary.AppendUvarint(dst, uint64(b.Style))
	dst = binary.AppendUvarint(dst, uint64(b.Precinct))
	dst = appendText(dst, b.Sheet)
	dst = binary.AppendUvarint(dst, uint64(b.Current))
	dst = binary.AppendUvarint(dst, uint64(len(b.Snapshots)))
	for i := range b.Snapshots {
		s := &b.Snapshots[i]
		slices.SortStableFunc(s.Contests, func(x, y Marks) int { return x.Contest - y.Contest })
		dst = append(dst, byte(s.Type))
		dst = binary.AppendUvarint(dst, uint64(len(s.Contests)))
		for j := range s.Contests {
			dst = s.Contests[j].pack(dst)
		}
	}
	return dst
}

func (m *Marks) pack(dst []byte) []byte {
	slices.SortStableFunc(m.Positions, func(x, y Position) int { return x.Option - y.Option })
	over := uint64(0)
	if m.Overvoted {
		over = 1
	}
	dst = binary.AppendUvarint(dst, uint64(m.Contest))
	dst = binary.AppendUvarint(dst, uint64(len(m.Positions))<<1|over)
	for i := range m.Positions {
		p := &m.Positions[i]
		flags := byte(p.Indicated) | byte(p.Allocable)<<2
		if p.WriteIn {
			flags |= 1 << 4
		}
		dst = binary.AppendUvarint(dst, uint64(p.Option))
		dst = append(dst, flags)
		dst = binary.AppendUvarint(dst, uint64(p.Votes))
		if p.WriteIn {
			dst = appendText(dst, p.Text)
		}
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
	if u.byte() != packVersion {
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
		last := -1
		for range u.number(len(d.Contests) + 1) {
			c := u.number(len(d.Contests))
			if u.bad || c <= last {
				return ErrPacked
			}
			last = c
			u.marks(s.AddMarks(c), &d.Contests[c])
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

func (u *unpacker) marks(m *Marks, c *Contest) {
	n := u.number(2 * (len(u.data) + 1))
	m.Overvoted = n&1 == 1
	for range n >> 1 {
		p := Position{Option: u.number(len(c.Options))}
		flags := u.byte()
		p.Indicated, p.Allocable, p.WriteIn = Answer(flags&3), Answer(flags>>2&3), flags&16 != 0
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
	v, n := binary.Uvarint(u.data)
	if u.bad || n <= 0 || v >= uint64(limit) || n > 1 && u.data[n-1] == 0 {
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
