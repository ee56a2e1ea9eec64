package strictjson_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"sallyport/internal/strictjson"
)

type doc struct {
	V     int64    `json:"v"`
	Name  string   `json:"name"`
	Note  string   `json:"note,omitzero"`
	Items []item   `json:"items"`
	Tags  []string `json:"tags,omitempty"`
}

type item struct {
	Path string `json:"path"`
	Size int64  `json:"size"`
}

const good = `{"v":1,"name":"ä/<b>","items":[{"path":"a","size":9007199254740991}]}`

func TestRefusesWhatGeneralDecodersAccept(t *testing.T) {
	var d doc
	if err := strictjson.DecodeCanonical([]byte(good), &d, 1000); err != nil || d.Items[0].Size != 1<<53-1 {
		t.Fatalf("good document refused: %v", err)
	}
	for name, in := range map[string]string{
		"duplicate member":        `{"v":1,"v":2,"name":"","items":[]}`,
		"duplicate escaped":       `{"v":1,"\u0076":2,"name":"","items":[]}`,
		"unknown member":          `{"v":1,"name":"","items":[],"x":1}`,
		"unknown nested":          `{"v":1,"name":"","items":[{"path":"a","size":1,"mode":7}]}`,
		"wrong case":              `{"V":1,"name":"","items":[]}`,
		"null":                    `{"v":1,"name":null,"items":[]}`,
		"null for a slice":        `{"v":1,"name":"","items":null}`,
		"fraction":                `{"v":1.5,"name":"","items":[]}`,
		"fraction of zero":        `{"v":1.0,"name":"","items":[]}`,
		"exponent":                `{"v":1e2,"name":"","items":[]}`,
		"negative zero":           `{"v":-0,"name":"","items":[]}`,
		"integer over 2^53-1":     `{"v":9007199254740992,"name":"","items":[]}`,
		"number as a string":      `{"v":"1","name":"","items":[]}`,
		"trailing value":          good + `{}`,
		"trailing garbage":        good + "x",
		"truncated":               good[:len(good)-1],
		"invalid UTF-8":           "{\"v\":1,\"name\":\"\xff\",\"items\":[]}",
		"lone surrogate":          `{"v":1,"name":"\ud800","items":[]}`,
		"deep":                    strings.Repeat("[", 5000) + strings.Repeat("]", 5000),
		"empty":                   "",
		"too large":               `{"v":1,"name":"` + strings.Repeat("a", 1000) + `","items":[]}`,
		"byte order mark":         "\ufeff" + good,
		"array instead of object": `[]`,
	} {
		var d doc
		err := strictjson.Decode([]byte(in), &d, 1000)
		var e *strictjson.Error
		if !errors.As(err, &e) {
			t.Errorf("%s: error %v (%T), want a *strictjson.Error", name, err, err)
		}
	}
}

func TestCanonicalFormIsUnique(t *testing.T) {
	for name, in := range map[string]string{
		"white space":     strings.Replace(good, ":", ": ", 1),
		"newline at end":  good + "\n",
		"missing member":  `{"v":1,"items":[]}`,
		"other order":     `{"name":"","v":1,"items":[]}`,
		"needless escape": strings.Replace(good, "ä", `\u00e4`, 1),
		"empty optional":  `{"v":1,"name":"","note":"","items":[]}`,
	} {
		var d doc
		if err := strictjson.Decode([]byte(in), &d, 1000); err != nil {
			t.Errorf("%s: the lenient of the two refused it too: %v", name, err)
		}
		if err := strictjson.DecodeCanonical([]byte(in), &d, 1000); err == nil {
			t.Errorf("%s: accepted as canonical", name)
		}
	}
}

func FuzzDecodeCanonical(f *testing.F) {
	f.Add([]byte(good))
	f.Add([]byte(`{"v":1,"name":"","items":[]}`))
	f.Add([]byte(`{"v":1,"v":2,"name":"","items":[],"tags":[""]}`))
	f.Fuzz(func(t *testing.T, in []byte) {
		var d doc
		if strictjson.DecodeCanonical(in, &d, 1<<16) != nil {
			return
		}
		out, err := strictjson.Encode(&d)
		if err != nil || !bytes.Equal(in, out) {
			t.Fatalf("accepted %q but encodes as %q (%v)", in, out, err)
		}
	})
}
