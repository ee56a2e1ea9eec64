package testtool

import (
	"image"
	"image/color"
	"image/png"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// dots of a printed module, each way.
const dots = 4

// QR prints modules black on white and has zbarimg read the QR code that they
// make: a decoder that has nothing to do with what encoded it.
func QR(t testing.TB, width, height int, dark func(x, y int) bool) string {
	t.Helper()
	im := image.NewGray(image.Rect(0, 0, width*dots, height*dots))
	for y := range height * dots {
		for x := range width * dots {
			if !dark(x/dots, y/dots) {
				im.SetGray(x, y, color.Gray{Y: 255})
			}
		}
	}
	name := filepath.Join(t.TempDir(), "code.png")
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := png.Encode(f, im); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(Need(t, "zbarimg"), "--quiet", "--nodbus", "--raw", "-Sbinary", name).Output()
	if err != nil {
		t.Fatalf("zbarimg: %v", err)
	}
	return string(out)
}

// HalfBlocks returns the lines of a QR code in a page of text: two modules, one
// above the other, in each character.
func HalfBlocks(text string) (lines [][]rune) {
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		if runes := []rune(line); len(runes) > 40 && strings.Trim(line, " █▀▄") == "" {
			lines = append(lines, runes)
		}
	}
	return lines
}

// QRInText reads the QR code in a page of text.
func QRInText(t testing.TB, text string) string {
	t.Helper()
	lines := HalfBlocks(text)
	if len(lines) == 0 {
		t.Fatalf("no QR code in:\n%s", text)
	}
	return QR(t, len(lines[0]), 2*len(lines), func(x, y int) bool {
		r := lines[y/2][x]
		return r == '█' || r == '▀' && y%2 == 0 || r == '▄' && y%2 == 1
	})
}
