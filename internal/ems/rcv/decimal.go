package rcv

import (
	"errors"
	"math/big"
	"strings"
)

// Decimal is an exact decimal number, an integer divided by a power of ten.
// The number of its decimal places is kept through additions, as RCTab prints
// it: 7 + 0.0000 is 7.0000. The zero value is 0. A Decimal never changes.
type Decimal struct {
	n     *big.Int // nil is 0
	scale int
}

// whole returns n as a Decimal without decimal places.
func whole(n int64) Decimal { return Decimal{n: big.NewInt(n)} }

// ParseDecimal reads digits with at most one decimal point between them, at
// most 40 bytes, without sign or exponent.
func ParseDecimal(s string) (Decimal, error) {
	bad := errors.New("not a decimal number such as 12.5")
	before, after, point := strings.Cut(s, ".")
	digits := before + after
	if len(s) > 40 || before == "" || point && after == "" || strings.Trim(digits, "0123456789") != "" {
		return Decimal{}, bad
	}
	n, ok := new(big.Int).SetString(digits, 10)
	if !ok {
		return Decimal{}, bad
	}
	return Decimal{n, len(after)}, nil
}

func (d Decimal) int() *big.Int {
	if d.n == nil {
		return new(big.Int)
	}
	return d.n
}

// at returns the integer that d is at the given scale, which must not be
// smaller than its own.
func (d Decimal) at(scale int) *big.Int {
	return new(big.Int).Mul(d.int(), pow10(scale-d.scale))
}

// String returns d with all its decimal places and without an exponent.
func (d Decimal) String() string {
	s := d.int().String()
	if d.scale == 0 {
		return s
	}
	sign := ""
	if s[0] == '-' {
		sign, s = "-", s[1:]
	}
	if len(s) <= d.scale {
		s = strings.Repeat("0", d.scale+1-len(s)) + s
	}
	return sign + s[:len(s)-d.scale] + "." + s[len(s)-d.scale:]
}

// MarshalText returns [Decimal.String]: in JSON a Decimal is a string.
func (d Decimal) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// Cmp compares values: 7 and 7.00 are equal.
func (d Decimal) Cmp(e Decimal) int {
	scale := max(d.scale, e.scale)
	return d.at(scale).Cmp(e.at(scale))
}

// Equal says whether d and e have the same value.
func (d Decimal) Equal(e Decimal) bool { return d.Cmp(e) == 0 }

// Sign is -1, 0 or 1.
func (d Decimal) Sign() int { return d.int().Sign() }

// Rat returns d as a rational number.
func (d Decimal) Rat() *big.Rat { return new(big.Rat).SetFrac(d.int(), pow10(d.scale)) }

// Add returns d + e.
func (d Decimal) Add(e Decimal) Decimal {
	scale := max(d.scale, e.scale)
	n := d.at(scale)
	return Decimal{n.Add(n, e.at(scale)), scale}
}

// Sub returns d - e.
func (d Decimal) Sub(e Decimal) Decimal {
	scale := max(d.scale, e.scale)
	n := d.at(scale)
	return Decimal{n.Sub(n, e.at(scale)), scale}
}

// mul returns d × e with all decimal places.
func (d Decimal) mul(e Decimal) Decimal {
	return Decimal{new(big.Int).Mul(d.int(), e.int()), d.scale + e.scale}
}

// quo returns d / e with scale decimal places, rounded towards zero or, if up,
// away from it. Both must not be negative.
func (d Decimal) quo(e Decimal, scale int, up bool) Decimal {
	num := new(big.Int).Mul(d.int(), pow10(scale+e.scale))
	den := new(big.Int).Mul(e.int(), pow10(d.scale))
	q, rest := new(big.Int).QuoRem(num, den, new(big.Int))
	if up && rest.Sign() != 0 {
		q.Add(q, big.NewInt(1))
	}
	return Decimal{q, scale}
}

func pow10(n int) *big.Int { return new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(n)), nil) }

// sum adds the values of ballots: those of one vote, which are nearly all, as
// integers. value is at the scale of the rules; nil is one vote.
type sum struct {
	ones  int64
	parts *big.Int // at the scale of the rules; nil while there were none
	x, y  big.Int  // scratch
}

func (s *sum) add(count int64, value *big.Int) {
	if value == nil {
		s.ones += count
		return
	}
	if s.parts == nil {
		s.parts = new(big.Int)
	}
	s.parts.Add(s.parts, s.y.Mul(s.x.SetInt64(count), value))
}

func (s *sum) decimal(scale int) Decimal {
	d := whole(s.ones)
	if s.parts == nil {
		return d
	}
	return d.Add(Decimal{s.parts, scale})
}
