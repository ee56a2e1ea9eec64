package rla

import "math/big"

// The error bounds of Arlo are decimal numbers of 28 significant digits: each
// result of an operation is rounded to that, half to even. Bounds decide the
// draw through their last digits, so they are rounded here in the same way.
const decimalDigits = 28

// round28 rounds a number that is not negative to 28 significant digits.
func round28(x *big.Rat) *big.Rat {
	if x.Sign() == 0 {
		return x
	}
	// scale is such that x × 10^scale has 28 digits before the point.
	scale := decimalDigits - digitsOf(x)
	scaled := new(big.Rat).Mul(x, pow10(scale))
	n := halfEven(scaled)
	return new(big.Rat).Mul(new(big.Rat).SetInt(n), pow10(-scale))
}

// digitsOf is the number d with 10^(d-1) <= x < 10^d.
func digitsOf(x *big.Rat) int {
	d := len(x.Num().String()) - len(x.Denom().String())
	for x.Cmp(pow10(d)) >= 0 {
		d++
	}
	for x.Cmp(pow10(d-1)) < 0 {
		d--
	}
	return d
}

func pow10(n int) *big.Rat {
	p := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(max(n, -n))), nil)
	if n < 0 {
		return new(big.Rat).SetFrac(big.NewInt(1), p)
	}
	return new(big.Rat).SetInt(p)
}

func halfEven(x *big.Rat) *big.Int {
	q, r := new(big.Int).QuoRem(x.Num(), x.Denom(), new(big.Int))
	switch r.Lsh(r, 1).Cmp(x.Denom()) {
	case 1:
		q.Add(q, big.NewInt(1))
	case 0:
		q.Add(q, big.NewInt(int64(q.Bit(0))))
	}
	return q
}
