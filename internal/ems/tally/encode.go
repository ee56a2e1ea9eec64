package tally

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// ErrEncoded means that stored subtotals are damaged or of another definition.
var ErrEncoded = errors.New("stored subtotals are damaged")

// Each calls put for every row, in a fixed order, with what it is the row of
// and its encoded counts (FORMAT.md of internal/ems); the bytes are put's.
func (s *Subtotals) Each(cell func(Cell, []byte) error, style func(int, []byte) error, batch func(int64, []byte) error) error {
	for _, c := range s.Cells() {
		if err := cell(c, encodeRow(s, s.cells[c])); err != nil {
			return err
		}
	}
	for _, n := range s.Styles() {
		if err := style(n, encodeRow(s, s.styles[n])); err != nil {
			return err
		}
	}
	for _, no := range s.Batches() {
		if err := batch(no, encodeRow(s, s.batches[no])); err != nil {
			return err
		}
	}
	return nil
}

// encodeRow writes the number of ballots, then for each contest that has any:
// how many contests were left out, and its numbers.
func encodeRow[N int32 | int64](s *Subtotals, r []N) []byte {
	dst := binary.AppendUvarint(nil, uint64(r[0]))
	skip := 0
	for n := range s.def.Contests {
		slots := r[s.block[n] : s.block[n]+slotVotes+len(s.def.Contests[n].Options)]
		if zero(slots) {
			skip++
			continue
		}
		dst = binary.AppendUvarint(dst, uint64(skip))
		for _, v := range slots {
			dst = binary.AppendUvarint(dst, uint64(v))
		}
		skip = 0
	}
	return dst
}

// AddCell adds an encoded row of a precinct and method.
func (s *Subtotals) AddCell(c Cell, data []byte) error {
	if c.Precinct < 0 || c.Precinct >= len(s.def.Precincts) {
		return fmt.Errorf("%w: precinct %d", ErrEncoded, c.Precinct)
	}
	return decodeRow(s, row(s.cells, c, s.width), data)
}

// AddStyle adds an encoded row of a ballot style.
func (s *Subtotals) AddStyle(n int, data []byte) error {
	if n < 0 || n >= len(s.def.Styles) {
		return fmt.Errorf("%w: style %d", ErrEncoded, n)
	}
	return decodeRow(s, row(s.styles, n, s.width), data)
}

// AddBatch adds an encoded row of a batch.
func (s *Subtotals) AddBatch(no int64, data []byte) error {
	return decodeRow(s, row(s.batches, no, s.width), data)
}

func decodeRow[N int32 | int64](s *Subtotals, into []N, data []byte) error {
	next := func() (uint64, error) {
		v, n := binary.Uvarint(data)
		if n <= 0 || v > 1<<31-1 && int64(N(v)) != int64(v) {
			return 0, ErrEncoded
		}
		data = data[n:]
		return v, nil
	}
	v, err := next()
	if err != nil {
		return err
	}
	into[0] += N(v)
	for c := 0; len(data) > 0; c++ {
		skip, err := next()
		if err != nil || skip >= uint64(len(s.def.Contests)-c) {
			return ErrEncoded
		}
		c += int(skip)
		for i := range slotVotes + len(s.def.Contests[c].Options) {
			v, err := next()
			if err != nil {
				return err
			}
			into[s.block[c]+i] += N(v)
		}
	}
	return nil
}
