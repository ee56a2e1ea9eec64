package trust_test

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sallyport/internal/trust"
	"sallyport/internal/verdict"
)

var update = flag.Bool("update", false, "write testdata/vectors again, with fresh keys, from the table in cases_test.go")

const (
	vectorDir   = "testdata/vectors"
	vectorCount = 55
)

// vector is one file: a header of "name: value" lines, an empty line, and the
// bytes. FORMAT.md describes it for other implementations.
type vector struct {
	comment string
	format  string // "bundle", "record" or "root"
	expect  string // "accepted" or a reason
	says    string // part of the error's text
	root    string // encoded root, for bundles
	version string // of an accepted bundle
	body    []byte
}

func (v *vector) fields() []struct {
	name  string
	value *string
} {
	return []struct {
		name  string
		value *string
	}{
		{"comment", &v.comment}, {"format", &v.format}, {"expect", &v.expect},
		{"says", &v.says}, {"root", &v.root}, {"version", &v.version},
	}
}

func (v *vector) encode() []byte {
	var b bytes.Buffer
	for _, f := range v.fields() {
		if *f.value != "" {
			fmt.Fprintf(&b, "%s: %s\n", f.name, *f.value)
		}
	}
	b.WriteByte('\n')
	b.Write(v.body)
	return b.Bytes()
}

func readVector(data []byte) (*vector, error) {
	head, body, ok := bytes.Cut(data, []byte("\n\n"))
	if !ok {
		return nil, fmt.Errorf("no empty line after the header")
	}
	v := &vector{body: body}
lines:
	for line := range strings.Lines(string(head)) {
		name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
		for _, f := range v.fields() {
			if f.name == name && *f.value == "" && value != "" {
				*f.value = value
				continue lines
			}
		}
		return nil, fmt.Errorf("bad header line %q", line)
	}
	accepted := v.expect == "accepted"
	switch {
	case v.comment == "":
		return nil, fmt.Errorf("comment is required")
	case !accepted && !verdict.Reason(v.expect).Valid():
		return nil, fmt.Errorf("%q is no reason", v.expect)
	case (v.format == "bundle") != (v.root != ""):
		return nil, fmt.Errorf("root belongs to bundles")
	case (accepted && v.format == "bundle") != (v.version != ""), accepted && v.says != "":
		return nil, fmt.Errorf("version belongs to accepted bundles, says to reasons")
	}
	return v, nil
}

// judge returns what this implementation says of a vector.
func (v *vector) judge() error {
	switch v.format {
	case "bundle":
		root, err := trust.ParseRoot([]byte(v.root))
		if err != nil {
			return fmt.Errorf("the vector's own root: %v", err)
		}
		t, err := trust.Open(v.body, root)
		if err != nil {
			return err
		}
		if got := fmt.Sprint(t.Version()); got != v.version || !t.Valid() {
			return fmt.Errorf("version %s, want %s", got, v.version)
		}
		return nil
	case "record":
		_, err := trust.DecodeRecord(v.body)
		return err
	case "root":
		_, err := trust.ParseRoot(v.body)
		return err
	}
	return fmt.Errorf("unknown format %q", v.format)
}

func TestVectors(t *testing.T) {
	if *update {
		if err := os.RemoveAll(vectorDir); err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(vectorDir, 0o755); err != nil {
			t.Fatal(err)
		}
		for name, v := range cases(t) {
			if err := os.WriteFile(filepath.Join(vectorDir, name), v.encode(), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	vectors := load(t)
	if len(vectors) != vectorCount {
		t.Errorf("%d vectors, want %d", len(vectors), vectorCount)
	}
	for name, v := range vectors {
		t.Run(name, func(t *testing.T) {
			err := v.judge()
			if v.expect == "accepted" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			wantFinding(t, err, verdict.Reason(v.expect), v.says)
		})
	}
}

// The table makes the vectors that are committed, but for its fresh keys.
func TestVectorsAreThoseOfTheTable(t *testing.T) {
	committed := load(t)
	for name, v := range cases(t) {
		c := committed[name]
		if c == nil {
			t.Errorf("the vector %s is not committed: run the tests with -update", name)
			continue
		}
		if c.comment != v.comment || c.expect != v.expect || c.says != v.says || c.format != v.format {
			t.Errorf("the header of %s is not that of the table", name)
		}
		delete(committed, name)
	}
	for name := range committed {
		t.Errorf("the vector %s is in no table", name)
	}
}

func load(t testing.TB) map[string]*vector {
	t.Helper()
	entries, err := os.ReadDir(vectorDir)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]*vector{}
	for _, e := range entries {
		data, err := os.ReadFile(filepath.Join(vectorDir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		if out[e.Name()], err = readVector(data); err != nil {
			t.Fatalf("%s: %v", e.Name(), err)
		}
	}
	return out
}
