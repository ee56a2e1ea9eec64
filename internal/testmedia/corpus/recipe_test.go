package corpus

import (
	"strings"
	"testing"
)

func TestRecipesAreReadStrictly(t *testing.T) {
	const good = "case one\n  make fat16\n  damage field size@A.TXT max\n  expect file A.TXT filesystem-inconsistent \"size\"\n"
	if list, err := Parse(fatFamily(), "x", good+"\n# comment\ncase two\n  make fat12 size=3M\n  expect clean\n"); err != nil || len(list) != 2 {
		t.Fatalf("%d cases, %v", len(list), err)
	}
	for name, text := range map[string]string{
		"no image":                     "case a\n  expect clean\n",
		"no expectation":               "case a\n  make fat16\n",
		"a case twice":                 good + good,
		"a case without name":          "case\n  make fat16\n  expect clean\n",
		"a name in capitals":           strings.Replace(good, "one", "One", 1),
		"a line before the first case": "  make fat16\n" + good,
		"a case that is indented":      " " + good,
		"a line that is not indented":  strings.Replace(good, "  make", "make", 1),
		"an unknown word":              strings.Replace(good, "  make", "  bake", 1),
		"an unknown base":              strings.Replace(good, "make fat16", "make fat17", 1),
		"two images":                   strings.Replace(good, "  make fat16\n", "  make fat16\n  make fat16\n", 1),
		"an unknown damage":            strings.Replace(good, "damage field", "damage meadow", 1),
		"a damage without arguments":   strings.Replace(good, " size@A.TXT max", "", 1),
		"an argument too many":         strings.Replace(good, "max", "max 7", 1),
		"an unknown field":             strings.Replace(good, "size@", "sighs@", 1),
		"a field without its file":     strings.Replace(good, "size@A.TXT", "size", 1),
		"a field with a file too many": strings.Replace(good, "size@A.TXT", "heads@A.TXT", 1),
		"a value that is none":         strings.Replace(good, "max", "huge", 1),
		"2^64":                         strings.Replace(good, "max", "2^64", 1),
		"an unknown place":             strings.Replace(good, "field size@A.TXT max", "bytes nowhere 00", 1),
		"half a byte":                  strings.Replace(good, "field size@A.TXT max", "bytes boot 0", 1),
		"a negative number":            strings.Replace(good, "field size@A.TXT max", "fill boot -1 00", 1),
		"an unknown seal":              strings.Replace(good, "field size@A.TXT max", "seal navy", 1),
		"a damage behind expectations": good + "  damage loop A.TXT\n",
		"an unknown expectation":       strings.Replace(good, "expect file", "expect pile", 1),
		"an unknown reason":            strings.Replace(good, "filesystem-inconsistent", "bad", 1),
		"a reader that dies":           strings.Replace(good, "filesystem-inconsistent", "sandbox-unavailable", 1),
		"an empty text":                strings.Replace(good, `"size"`, `""`, 1),
		"a file without path":          strings.Replace(good, "A.TXT filesystem", "filesystem", 1),
		"an open quotation":            strings.Replace(good, `"size"`, `"size`, 1),
		"clean and damaged":            good + "  expect clean\n",
		"an expectation twice":         good + "  expect deleted 1\n  expect deleted 1\n",
		"an unknown type":              good + "  expect holds dragon 1\n",
		"a number that is none":        good + "  expect deleted some\n",
	} {
		if _, err := Parse(fatFamily(), "x", text); err == nil {
			t.Errorf("%s: accepted", name)
		} else if !strings.HasPrefix(err.Error(), "x:") {
			t.Errorf("%s: the error does not name its place: %v", name, err)
		}
	}
}

func TestValues(t *testing.T) {
	for _, c := range []struct {
		text  string
		width int
		old   uint64
		want  uint64
	}{
		{"0", 1, 9, 0}, {"max", 2, 0, 0xFFFF}, {"-1", 4, 0, 0xFFFFFFFF}, {"-2", 8, 0, 1<<64 - 2}, {"0x1F", 1, 0, 31},
		{"2^63", 8, 0, 1 << 63}, {"2^32-1", 8, 0, 1<<32 - 1}, {"2^64-1", 8, 0, 1<<64 - 1}, {"2M", 4, 0, 2 << 20}, {"3s", 4, 0, 1536},
		{"old+3", 1, 4, 7}, {"old-1", 2, 5, 4},
	} {
		v, err := parseValue(c.text)
		if err != nil {
			t.Errorf("%s: %v", c.text, err)
			continue
		}
		if got, err := v.of(c.width, c.old); err != nil || got != c.want {
			t.Errorf("%s: %d, %v; want %d", c.text, got, err, c.want)
		}
	}
	for _, s := range []string{"", "old+", "-", "1.5", "0x", "2^65", "99999999999T"} {
		if _, err := parseValue(s); err == nil {
			t.Errorf("%q is a value", s)
		}
	}
	if v, _ := parseValue("256"); true {
		if _, err := v.of(1, 0); err == nil {
			t.Error("256 fits into a byte")
		}
	}
}

func TestPlaces(t *testing.T) {
	f := fatFamily()
	for text, want := range map[string]int64{"boot+11": 11, "end-512": -512, "entry:A.TXT+11": 11, "4K": 4096, "boot": 0, "link:A.TXT:2": 0} {
		p, err := f.parsePlace(text)
		if err != nil || p.delta != want {
			t.Errorf("%s: %+v, %v", text, p, err)
		}
	}
	for _, text := range []string{"", "boot:", "entry", "+5", "end:1", "nowhere+1"} {
		if _, err := f.parsePlace(text); err == nil {
			t.Errorf("%q is a place", text)
		}
	}
}
