package rla

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"math/bits"
	"strconv"
	"strings"
)

// shownDigits is how many digits of a ticket number are shown after its
// leading nines, as Arlo does.
const shownDigits = 18

// tickets gives ticket numbers: decimal fractions "0.ddd…" that follow from
// the seed and the name of what may be drawn (Rivest, "Consistent sampling
// with replacement", arXiv:1808.10016, and the program consistent_sampler).
type tickets struct{ seedHash string }

func newTickets(seed string) tickets { return tickets{hexSum(seed)} }

func hexSum(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}

// first returns the first ticket number of an id.
func (t tickets) first(id string) string { return "0." + uniform(t.seedHash+id) }

// next returns the ticket number that follows x: between x and 1, and a
// function of x alone.
func next(x string) string {
	// One more zero, in case that x is nines alone.
	x0 := x + "0"
	nines := x0[:firstOther(x0)]
	for i := 1; ; i++ {
		if y := nines + uniform(x+":"+strconv.Itoa(i)); y > x0 {
			return y
		}
	}
}

// firstOther is where the digits of x stop being nines.
func firstOther(x string) int {
	return 2 + len(x[2:]) - len(strings.TrimLeft(x[2:], "9"))
}

// trim cuts a ticket number for display, never rounding.
func trim(x string, digits int) string {
	return x[:min(len(x), firstOther(x+"0")+digits)]
}

// uniform returns the digits of SHA-256 of s as a decimal number, the lowest
// first: the low digits of the number are evenly distributed, the highest are
// not. There are as many as the number has, and at least 64.
func uniform(s string) string {
	const chunk = 19 // digits that fit into 64 bits
	sum := sha256.Sum256([]byte(s))
	var n [4]uint64
	for i := range n {
		n[i] = binary.BigEndian.Uint64(sum[8*i:])
	}
	digits := make([]byte, 0, 5*chunk)
	for n != [4]uint64{} {
		rest := uint64(0)
		for i := range n {
			n[i], rest = bits.Div64(rest, n[i], 1e19)
		}
		for range chunk {
			digits = append(digits, byte('0'+rest%10))
			rest /= 10
		}
	}
	for len(digits) < 64 {
		digits = append(digits, '0')
	}
	for len(digits) > 64 && digits[len(digits)-1] == '0' {
		digits = digits[:len(digits)-1]
	}
	return string(digits)
}

// The ids that tickets are for are written as the tuples of Python, because
// Arlo hashes those: ('Jx 1', 'pct 8'), and (('Jx', None, '1'), 3).

func batchID(jurisdiction, batch string) string {
	return "(" + python(jurisdiction) + ", " + python(batch) + ")"
}

// ballotPrefix is the id of a ballot as far as its position.
func ballotPrefix(jurisdiction string, m *Manifest, b Batch) string {
	tabulator := "None"
	if m.Tabulators {
		tabulator = python(b.Tabulator)
	}
	return "((" + python(jurisdiction) + ", " + tabulator + ", " + python(b.Name) + "), "
}

// python quotes printable text as Python's repr does.
func python(s string) string {
	s = strings.ReplaceAll(s, `\`, `\\`)
	switch {
	case !strings.Contains(s, "'"):
		return "'" + s + "'"
	case !strings.Contains(s, `"`):
		return `"` + s + `"`
	}
	return "'" + strings.ReplaceAll(s, "'", `\'`) + "'"
}
