package corpus

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// parseNumber reads a number that is not negative: decimal, hexadecimal with
// 0x, a power of two as 2^N, either with "-1" behind; decimal ones also with
// K, M, G or T, and with s for sectors of 512 bytes.
func parseNumber(s string) (int64, error) {
	n, err := parseUnsigned(s)
	if err != nil || n > math.MaxInt64 {
		return 0, fmt.Errorf("%q is not a number", s)
	}
	return int64(n), nil
}

func parseUnsigned(s string) (uint64, error) {
	bad := fmt.Errorf("%q is not a number", s)
	if power, ok := strings.CutPrefix(s, "2^"); ok {
		power, less := strings.CutSuffix(power, "-1")
		n, err := strconv.ParseUint(power, 10, 8)
		if err != nil || n > 64 || n == 64 && !less {
			return 0, bad
		}
		if less {
			return 1<<n - 1, nil
		}
		return 1 << n, nil
	}
	if digits, ok := strings.CutPrefix(s, "0x"); ok {
		n, err := strconv.ParseUint(digits, 16, 64)
		if err != nil {
			return 0, bad
		}
		return n, nil
	}
	shift := suffixShift(s)
	if shift != 0 {
		s = s[:len(s)-1]
	}
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil || n<<shift>>shift != n {
		return 0, bad
	}
	return n << shift, nil
}

// value is what a field is set to.
type value struct {
	n        uint64
	max      bool // all bits
	negative bool // two's complement of n
	old      int  // +1 or -1: the field's own value plus or minus n
}

func parseValue(s string) (v value, err error) {
	switch {
	case s == "":
		return v, fmt.Errorf("no value")
	case s == "max":
		v.max = true
		return v, nil
	case strings.HasPrefix(s, "old+"):
		v.old, s = 1, s[4:]
	case strings.HasPrefix(s, "old-"):
		v.old, s = -1, s[4:]
	case s[0] == '-':
		v.negative, s = true, s[1:]
	}
	if s == "" {
		return v, fmt.Errorf("no value")
	}
	v.n, err = parseUnsigned(s)
	return v, err
}

// of returns the value for a field of width bytes that holds old.
func (v value) of(width int, old uint64) (uint64, error) {
	most := uint64(math.MaxUint64) >> (64 - 8*width)
	n := v.n
	switch {
	case v.max:
		return most, nil
	case v.old > 0:
		n = old + v.n
	case v.old < 0:
		n = old - v.n
	case v.negative:
		return -v.n & most, nil
	}
	if n > most {
		return 0, fmt.Errorf("%d does not fit into %d bytes", n, width)
	}
	return n, nil
}

// suffixShift returns the power of two that the letter behind a number means.
func suffixShift(s string) uint {
	if s == "" {
		return 0
	}
	return map[byte]uint{'s': 9, 'K': 10, 'M': 20, 'G': 30, 'T': 40}[s[len(s)-1]]
}
