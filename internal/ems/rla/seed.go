package rla

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxSeed is the most bytes a seed may have.
const maxSeed = 256

// Seed is the public randomness of an audit, usually 20 decimal digits from
// dice that were rolled in public after the manifests were fixed. Only
// [ParseSeed] makes one; the zero value is refused wherever a seed is used.
type Seed struct{ text string }

// ParseSeed takes any printable text of 1 to 256 bytes without white space
// around it, as it was announced: "0" and "00" are two seeds.
func ParseSeed(s string) (Seed, error) {
	bad := func(r rune) bool { return !unicode.IsPrint(r) }
	switch {
	case s == "" || len(s) > maxSeed:
		return Seed{}, fmt.Errorf("cannot use a seed of %d bytes: it has 1 to %d", len(s), maxSeed)
	case !utf8.ValidString(s) || strings.ContainsFunc(s, bad):
		return Seed{}, fmt.Errorf("cannot use the seed: it has characters that cannot be printed")
	case strings.TrimSpace(s) != s:
		return Seed{}, fmt.Errorf("cannot use the seed: there is white space around it")
	}
	return Seed{s}, nil
}

// String returns the seed as it was given.
func (s Seed) String() string { return s.text }

// Dice says whether the seed is 20 decimal digits, as audits roll it.
func (s Seed) Dice() bool { return len(s.text) == 20 && isDigits(s.text) }
