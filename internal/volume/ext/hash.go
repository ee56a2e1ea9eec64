package ext

import "math/bits"

// The hashes of names (directory.rst, "hash versions"). The superblock says
// whether their characters have a sign.
const (
	hashLegacy = iota
	hashHalfMD4
	hashTEA
	hashes
)

// nameHash returns the hash of a name, of which the lowest bit is 0.
func (v *volume) nameHash(version byte, name []byte) uint32 {
	state := [4]uint32{0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476}
	if v.hashSeed != [4]uint32{} {
		state = v.hashSeed
	}
	h := uint32(0)
	switch version {
	case hashLegacy:
		h = legacyHash(name, v.hashSigned)
	case hashHalfMD4:
		var in [8]uint32
		for ; len(name) > 0; name = name[min(len(name), 32):] {
			pack(in[:], name, v.hashSigned)
			halfMD4(&state, &in)
		}
		h = state[1]
	case hashTEA:
		var in [4]uint32
		for ; len(name) > 0; name = name[min(len(name), 16):] {
			pack(in[:], name, v.hashSigned)
			tea(&state, &in)
		}
		h = state[0]
	}
	if h &^= 1; h == mostHash { // the end of a listing
		h -= 2
	}
	return h
}

// extend widens a character as C does, with its sign or without.
func extend(c byte, signed bool) uint32 {
	if signed {
		return uint32(int32(int8(c)))
	}
	return uint32(c)
}

// pack puts as much of a name as fits into whole numbers, filled with its length.
func pack(to []uint32, name []byte, signed bool) {
	fill := uint32(len(name)) & 0xFF
	fill |= fill << 8
	fill |= fill << 16
	name = name[:min(len(name), 4*len(to))]
	for i := range to {
		part := name[min(len(name), 4*i):min(len(name), 4*i+4)]
		to[i] = fill
		for _, c := range part {
			to[i] = extend(c, signed) + to[i]<<8
		}
	}
}

func legacyHash(name []byte, signed bool) uint32 {
	h0, h1 := uint32(0x12A3FE2D), uint32(0x37ABE8F9)
	for _, c := range name {
		h := h1 + (h0 ^ extend(c, signed)*7152373)
		if h&0x80000000 != 0 {
			h -= 0x7FFFFFFF
		}
		h0, h1 = h, h0
	}
	return h0 << 1
}

// halfMD4 mixes eight numbers into the state.
func halfMD4(state *[4]uint32, in *[8]uint32) {
	a, b, c, d := state[0], state[1], state[2], state[3]
	choose := func(x, y, z uint32) uint32 { return z ^ x&(y^z) }
	most := func(x, y, z uint32) uint32 { return x&y + (x^y)&z }
	parity := func(x, y, z uint32) uint32 { return x ^ y ^ z }
	round := func(f func(x, y, z uint32) uint32, k uint32, order [8]int, turns [4]int) {
		for i, at := range order {
			a = bits.RotateLeft32(a+f(b, c, d)+in[at]+k, turns[i%4])
			a, b, c, d = d, a, b, c
		}
	}
	round(choose, 0, [8]int{0, 1, 2, 3, 4, 5, 6, 7}, [4]int{3, 7, 11, 19})
	round(most, 0x5A827999, [8]int{1, 3, 5, 7, 0, 2, 4, 6}, [4]int{3, 5, 9, 13})
	round(parity, 0x6ED9EBA1, [8]int{3, 7, 2, 6, 1, 5, 0, 4}, [4]int{3, 9, 11, 15})
	state[0], state[1], state[2], state[3] = state[0]+a, state[1]+b, state[2]+c, state[3]+d
}

// tea mixes four numbers into the state.
func tea(state *[4]uint32, in *[4]uint32) {
	const delta = 0x9E3779B9
	b0, b1, sum := state[0], state[1], uint32(0)
	for range 16 {
		sum += delta
		b0 += (b1<<4 + in[0]) ^ (b1 + sum) ^ (b1>>5 + in[1])
		b1 += (b0<<4 + in[2]) ^ (b0 + sum) ^ (b0>>5 + in[3])
	}
	state[0], state[1] = state[0]+b0, state[1]+b1
}
