package rla

import (
	"encoding/hex"
	"math/big"
	"math/bits"
)

// pcg64 is the generator behind NumPy's default_rng: PCG XSL RR 128/64
// (O'Neill, 2014), seeded through SeedSequence. It is here because Arlo draws
// batches with it; nothing secret comes from it.
type pcg64 struct{ hi, lo, incHi, incLo uint64 }

// The multiplier of the 128-bit generator.
const (
	pcgMulHi = 2549297995355413924
	pcgMulLo = 4865540595714422341
)

// newPCG64 seeds the generator with a whole number that is not negative.
func newPCG64(seed *big.Int) *pcg64 {
	s := seedSequence(words32(seed))
	g := &pcg64{}
	g.incHi, g.incLo = s[2]<<1|s[3]>>63, s[3]<<1|1
	g.step()
	var carry uint64
	g.lo, carry = bits.Add64(g.lo, s[1], 0)
	g.hi, _ = bits.Add64(g.hi, s[0], carry)
	g.step()
	return g
}

func (g *pcg64) step() {
	hi, lo := bits.Mul64(g.lo, pcgMulLo)
	hi += g.hi*pcgMulLo + g.lo*pcgMulHi
	var carry uint64
	g.lo, carry = bits.Add64(lo, g.incLo, 0)
	g.hi, _ = bits.Add64(hi, g.incHi, carry)
}

func (g *pcg64) uint64() uint64 {
	g.step()
	return bits.RotateLeft64(g.hi^g.lo, -int(g.hi>>58))
}

// float64 returns one of the 2^53 multiples of 2^-53 below 1.
func (g *pcg64) float64() float64 { return float64(g.uint64()>>11) / (1 << 53) }

// words32 splits a number into 32-bit words, the lowest first; 0 is one word.
func words32(n *big.Int) []uint32 {
	words := []uint32{}
	mask := new(big.Int).SetUint64(1<<32 - 1)
	for n = new(big.Int).Set(n); n.Sign() > 0; n.Rsh(n, 32) {
		words = append(words, uint32(new(big.Int).And(n, mask).Uint64()))
	}
	if len(words) == 0 {
		return []uint32{0}
	}
	return words
}

// hasher is the running constant of SeedSequence.
type hasher struct{ c, mul uint32 }

func (h *hasher) hash(v uint32) uint32 {
	v ^= h.c
	h.c *= h.mul
	v *= h.c
	return v ^ v>>16
}

func mix(x, y uint32) uint32 {
	v := 0xca01f9dd*x - 0x4973f715*y
	return v ^ v>>16
}

// seedSequence spreads entropy over four 64-bit words.
func seedSequence(entropy []uint32) [4]uint64 {
	var pool [4]uint32
	in := &hasher{0x43b0d7e5, 0x931e8875}
	for i := range pool {
		word := uint32(0)
		if i < len(entropy) {
			word = entropy[i]
		}
		pool[i] = in.hash(word)
	}
	for from := range pool {
		for to := range pool {
			if from != to {
				pool[to] = mix(pool[to], in.hash(pool[from]))
			}
		}
	}
	for i := len(pool); i < len(entropy); i++ {
		for to := range pool {
			pool[to] = mix(pool[to], in.hash(entropy[i]))
		}
	}
	var state [4]uint64
	out := &hasher{0x8b51f9dd, 0x58f38ded}
	for i := range state {
		low := out.hash(pool[2*i%4])
		state[i] = uint64(low) | uint64(out.hash(pool[(2*i+1)%4]))<<32
	}
	return state
}

// seedNumber is SHA-256 of the seed as a number.
func seedNumber(seed Seed) *big.Int {
	raw, _ := hex.DecodeString(hexSum(seed.text))
	return new(big.Int).SetBytes(raw)
}
