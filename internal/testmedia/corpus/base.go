// Package corpus is the corpus of hostile media: it reads the text recipes of
// testdata/media, makes each image with the formatters and tools that people
// use, damages it by name, and knows what is on it; its test hands every image
// to the real confined reader and holds what is said of it against the recipe.
// Test code only; recipes are trusted as code is, but read strictly, so that a
// typing error is no silent pass.
//
// A format joins with one function that returns its [Family], one line in the
// function families, a file testdata/media/NAME.recipes, and one line in the
// table of counts in corpus_test.go. The README in testdata/media shows how.
package corpus

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sallyport/internal/testmedia"
)

// Base is an image without damage.
type Base struct {
	Path string
	// Volumes holds, for each volume in the order of the reader's list, what is
	// on it. Paths that end in '/' are folders.
	Volumes []testmedia.Files
}

// Options are the words "key=value" behind the name of a base image.
type Options struct {
	t    testing.TB
	word map[string]string
}

// makeBase makes the image of a "make" line.
func makeBase(t testing.TB, line string) Base {
	t.Helper()
	words := strings.Fields(line)
	o := &Options{t, map[string]string{}}
	for _, w := range words[1:] {
		key, val, ok := strings.Cut(w, "=")
		if _, twice := o.word[key]; !ok || twice {
			t.Fatalf("make %s: %q is not a key and a value, or is there twice", line, w)
		}
		o.word[key] = val
	}
	b := bases()[words[0]](t, o)
	if len(o.word) > 0 {
		t.Fatalf("make %s: nobody knows %s", line, names(o.word))
	}
	return b
}

func names[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// Word takes an option; it is usual where the line does not have it.
func (o *Options) Word(key, usual string) string {
	if v, ok := o.word[key]; ok {
		delete(o.word, key)
		return v
	}
	return usual
}

// Number takes an option that is a number, with K, M or G.
func (o *Options) Number(key, usual string) int64 {
	o.t.Helper()
	n, err := parseNumber(o.Word(key, usual))
	if err != nil {
		o.t.Fatalf("make: %s: %v", key, err)
	}
	return n
}

// Tree takes the option "tree" and returns what the image has to hold.
func (o *Options) Tree() testmedia.Files {
	o.t.Helper()
	name := o.Word("tree", "small")
	switch name {
	case "none":
		return testmedia.Files{}
	case "small":
		return testmedia.Files{
			"A.TXT": noise(1, 700), "B.BIN": noise(2, 30_000), "C.BIN": noise(3, 20_000), "EMPTY.DAT": {},
			"a long name of a file.txt": noise(4, 3000),
			"DIR/INNER.TXT":             noise(5, 1000), "DIR/SUB/DEEP.BIN": noise(6, 9000),
		}
	}
	o.t.Fatalf("make: there is no tree %q", name)
	return nil
}

// fill writes files below dir in the order of their paths, so that the image
// is the same on each run: where a damage hits it depends on that.
func fill(t testing.TB, dir string, files testmedia.Files) {
	t.Helper()
	for _, name := range names(files) {
		path := filepath.Join(dir, filepath.FromSlash(name))
		folder := filepath.Dir(path)
		if strings.HasSuffix(name, "/") {
			folder = path
		}
		if err := os.MkdirAll(folder, 0o755); err != nil {
			t.Fatal(err)
		}
		if folder == path {
			continue
		}
		if err := os.WriteFile(path, files[name], 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// noise is n bytes that repeat nowhere at a block's distance.
func noise(seed uint32, n int) []byte {
	b := make([]byte, n)
	x := seed*2654435761 + 1
	for i := range b {
		x = x*1664525 + 1013904223
		b[i] = byte(x >> 24)
	}
	return b
}
