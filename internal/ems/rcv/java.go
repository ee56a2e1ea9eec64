package rcv

import (
	"slices"
	"unicode/utf16"
)

// javaRandom is the generator of java.util.Random, as its documentation gives
// it: a linear congruential generator of 48 bits. It is public and repeatable,
// and no secret.
type javaRandom struct{ state uint64 }

const (
	javaMultiplier = 0x5DEECE66D
	javaMask       = 1<<48 - 1
)

func newJavaRandom(seed int64) *javaRandom {
	return &javaRandom{(uint64(seed) ^ javaMultiplier) & javaMask}
}

// next returns the given number of random bits, at most 32, as a signed number.
func (r *javaRandom) next(bits uint) int32 {
	r.state = (r.state*javaMultiplier + 0xB) & javaMask
	return int32(r.state >> (48 - bits))
}

// index is floor(nextDouble() × n), computed as RCTab does, rounding of the
// product included.
func (r *javaRandom) index(n int) int {
	high := int64(r.next(26))
	low := int64(r.next(27))
	return min(int(float64(high<<27+low)/(1<<53)*float64(n)), n-1)
}

// nextInt returns a number from 0 to n-1.
func (r *javaRandom) nextInt(n int32) int32 {
	if n&-n == n {
		return int32(int64(n) * int64(r.next(31)) >> 31)
	}
	for {
		bits := r.next(31)
		if value := bits % n; bits-value+(n-1) >= 0 { // else it overflowed
			return value
		}
	}
}

// shuffle is java.util.Collections.shuffle.
func (r *javaRandom) shuffle(list []int) {
	for i := len(list); i > 1; i-- {
		k := int(r.nextInt(int32(i)))
		list[i-1], list[k] = list[k], list[i-1]
	}
}

// javaCompare orders strings by their UTF-16 code units.
func javaCompare(a, b string) int {
	return slices.Compare(utf16.Encode([]rune(a)), utf16.Encode([]rune(b)))
}

// javaHash is java.lang.String.hashCode.
func javaHash(s string) int32 {
	var h int32
	for _, u := range utf16.Encode([]rune(s)) {
		h = 31*h + int32(u)
	}
	return h
}
