package translog_test

import (
	"html"
	"strings"
	"testing"

	"sallyport/internal/strictjson"
	"sallyport/internal/translog"
)

// noteOf is a signed note of the form that stations write.
func noteOf(origin string) string {
	return origin + "\n22\n2RVl2tWqId0jg1xt+9XKJ+iWuZYceL4EYSmK0UdckbE=\n\n\u2014 " + origin + " yhrP6jBFAiBX8FRmqCRoyPvk9sIRXf3zlo5LvKiW3/C8KGhxzvJ+dQ==\n"
}

// A note comes back from whatever it was printed in; of two in a text it is the last.
func TestFindNote(t *testing.T) {
	note := noteOf("sallyport/us/maple-county/ems-1")
	doc, err := strictjson.Encode(map[string]string{"a": "b", "checkpoint": note})
	if err != nil {
		t.Fatal(err)
	}
	for name, in := range map[string]string{
		"alone":          note,
		"no line at end": strings.TrimSuffix(note, "\n"),
		"Windows":        "\ufeff" + strings.ReplaceAll(note, "\n", "\r\n"),
		"between others": "Slip\n  7\n\n  " + strings.ReplaceAll(note, "\n", "\n  ") + "\nKeep this\n",
		"folded":         strings.Replace(strings.Replace(note, "BFAi", "\n  > BFAi", 1), " yhr", "\n  >  yhr", 1),
		"an older one":   noteOf("sallyport/us/other") + "\n" + note,
		"a page":         "<!DOCTYPE html>\n<p>1</p><pre>" + strings.ReplaceAll(html.EscapeString(note), "+", "&#43;") + "</pre><p>2",
		"JSON":           string(doc),
	} {
		if got, err := translog.FindNote([]byte(in)); err != nil || string(got) != note {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	for name, in := range map[string]string{
		"nothing": "", "a word": "checkpoint", "no signature": note[:strings.Index(note, "\u2014")], "no JSON": "{", "none in JSON": "{}",
		"no size": strings.Replace(note, "\n22\n", "\nx\n", 1), "no root": strings.Replace(note, "2RVl", "2RV", 1), "no origin": "\n22" + note[strings.Index(note, "\n2RV"):],
	} {
		if got, err := translog.FindNote([]byte(in)); err == nil {
			t.Errorf("%s: %q", name, got)
		}
	}
}

func FuzzFindNote(f *testing.F) {
	note := noteOf("sallyport/us/maple-county/ems-1")
	f.Add([]byte(note))
	f.Add([]byte("{\"checkpoint\":\"x\"}"))
	f.Add([]byte("<pre>" + note + "</pre>"))
	f.Add([]byte("a\n> b\n"))
	f.Fuzz(func(t *testing.T, in []byte) {
		got, err := translog.FindNote(in)
		if err == nil && len(got) > 0 && !strings.HasPrefix(strings.TrimLeft(string(in), "\ufeff \t\r\n\v\f\u0085\u00a0"), "{") {
			if again, err := translog.FindNote(got); err != nil || string(again) != string(got) {
				t.Errorf("%q, and of that %q, %v", got, again, err)
			}
		}
		// Whatever stands before it, the note at the end is the one.
		if behind := string(in) + "\n\n" + note; !strings.Contains(behind, "<pre>") && !strings.HasPrefix(strings.TrimSpace(strings.TrimPrefix(behind, "\ufeff")), "{") {
			if got, err := translog.FindNote([]byte(behind)); err != nil || string(got) != note {
				t.Errorf("%q, %v", got, err)
			}
		}
	})
}
