package slip

import (
	"fmt"
	"strconv"
	"strings"

	"rsc.io/qr"
)

// quiet is the white border that a reader needs, in modules (ISO/IEC 18004,
// section 9.1).
const quiet = 4

// code is the QR code of a text: with the error correction of level M, or of
// level L when only that keeps it within the columns of a page.
func code(text string) (*qr.Code, error) {
	c, err := qr.Encode(text, qr.M)
	if err != nil || c.Size+2*quiet > Columns {
		c, err = qr.Encode(text, qr.L)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot make a QR code of %d bytes: %w", len(text), err)
	}
	return c, nil
}

// halfBlocks draws a code with two modules one above the other in a character.
func halfBlocks(c *qr.Code) []string {
	var lines []string
	for y := -quiet; y < c.Size+quiet; y += 2 {
		var b strings.Builder
		for x := -quiet; x < c.Size+quiet; x++ {
			switch upper, lower := c.Black(x, y), c.Black(x, y+1); {
			case upper && lower:
				b.WriteRune('█')
			case upper:
				b.WriteRune('▀')
			case lower:
				b.WriteRune('▄')
			default:
				b.WriteByte(' ')
			}
		}
		lines = append(lines, b.String())
	}
	return lines
}

// path draws the black modules as the data of an SVG path, a rectangle for each
// run of a row; the quiet zone is part of the coordinates.
func path(c *qr.Code) string {
	var b []byte
	for y := range c.Size {
		for x := 0; x < c.Size; x++ {
			n := 0
			for c.Black(x+n, y) {
				n++
			}
			if n == 0 {
				continue
			}
			b = append(b, 'M')
			b = strconv.AppendInt(b, int64(x+quiet), 10)
			b = append(b, ' ')
			b = strconv.AppendInt(b, int64(y+quiet), 10)
			b = append(b, 'h')
			b = strconv.AppendInt(b, int64(n), 10)
			b = append(b, "v1h-"...)
			b = strconv.AppendInt(b, int64(n), 10)
			b = append(b, 'z')
			x += n
		}
	}
	return string(b)
}
