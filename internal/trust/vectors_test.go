package trust_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"sallyport/internal/manifest"
	"sallyport/internal/strictjson"
	"sallyport/internal/trust"
	"sallyport/internal/verdict"
)

var update = flag.Bool("update", false, "write testdata/vectors again, with fresh keys, from the tables in cases_test.go")

const (
	vectorDir   = "testdata/vectors"
	vectorCount = 185
)

// vector is one file: a header of "name: value" lines, an empty line, and the
// bytes. FORMAT.md describes it for other implementations.
type vector struct {
	comment string
	format  string // a key of formats
	expect  string // "accepted" or a reason
	says    string // part of the error's text
	version string // of an accepted bundle or rotation
	// What the bytes are judged with; formats says which of them.
	root    string // encoded root
	bundle  string // envelope of a bundle
	pkg     string // envelope of a manifest
	station string // a bundle's entry, or the id of one
	request string // encoded request
	spaces  string // how many blanks the bytes are, when they are too many to keep
	body    []byte
}

// formats says which headers a format needs.
var formats = map[string][]string{
	"bundle": {"root"}, "root": nil, "rotation": {"root"}, "signer": nil,
	"request": nil, "challenge": nil, "answer": nil, "pending": nil,
	"handover": {"station", "request"}, "measurement": {"station"}, "evidence": {"root", "bundle", "package"},
}

type header struct {
	name  string
	value *string
}

func (v *vector) fields() []header {
	return []header{
		{"comment", &v.comment}, {"format", &v.format}, {"expect", &v.expect}, {"says", &v.says}, {"version", &v.version}, {"spaces", &v.spaces},
		{"root", &v.root}, {"bundle", &v.bundle}, {"package", &v.pkg}, {"station", &v.station}, {"request", &v.request},
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
	if v.spaces == "" {
		b.Write(v.body)
	}
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
	needs, known := formats[v.format]
	accepted := v.expect == "accepted"
	versioned := accepted && (v.format == "bundle" || v.format == "rotation")
	switch {
	case v.comment == "" || !known:
		return nil, fmt.Errorf("comment and a known format are required")
	case !accepted && !verdict.Reason(v.expect).Valid():
		return nil, fmt.Errorf("%q is no reason", v.expect)
	case versioned != (v.version != ""), accepted && v.says != "":
		return nil, fmt.Errorf("version belongs to accepted bundles and rotations, says to reasons")
	}
	if v.spaces != "" {
		n, err := strconv.Atoi(v.spaces)
		if err != nil || n > 1<<20 || len(body) > 0 {
			return nil, fmt.Errorf("spaces stands for up to 2^20 bytes and beside none")
		}
		v.body = bytes.Repeat([]byte(" "), n)
	}
	for _, f := range v.fields()[6:] {
		if slices.Contains(needs, f.name) != (*f.value != "") {
			return nil, fmt.Errorf("a vector of the format %s needs the headers %v", v.format, needs)
		}
	}
	return v, nil
}

// judge returns what this implementation says of a vector.
func (v *vector) judge(t testing.TB) error {
	t.Helper()
	var err error
	version := int64(0)
	switch v.format {
	case "bundle":
		var tr *trust.Trusted
		if tr, err = trust.Open(v.body, v.openRoot(t)); tr.Valid() != (err == nil) {
			t.Errorf("error %v with a bundle that is valid: %v", err, tr.Valid())
		}
		version = tr.Version()
	case "root":
		_, err = trust.ParseRoot(v.body)
	case "rotation":
		var r *trust.Root
		if r, err = trust.OpenRotation(v.body, v.openRoot(t)); err == nil {
			version = r.Version
		}
	case "signer":
		_, err = trust.DecodeSignerRecord(v.body)
	case "request":
		_, err = trust.DecodeRequest(v.body)
	case "challenge":
		_, err = trust.DecodeChallenge(v.body)
	case "answer":
		_, err = trust.DecodeAnswer(v.body)
	case "pending":
		_, err = trust.DecodePending(v.body)
	case "handover":
		r, rerr := trust.DecodeRequest([]byte(v.request))
		if rerr != nil {
			t.Fatalf("the vector's own request: %v", rerr)
		}
		_, err = v.entry(t).Accept(v.body, r, nil)
	case "measurement":
		s := v.entry(t)
		_, err = s.Measured(v.body)
	case "evidence":
		pol, verified := v.verified(t)
		err = judged(pol, verified, v.body)
	}
	if err == nil && v.version != "" && fmt.Sprint(version) != v.version {
		return fmt.Errorf("version %d, want %s", version, v.version)
	}
	return err
}

func (v *vector) openRoot(t testing.TB) *trust.Root {
	t.Helper()
	root, err := trust.ParseRoot([]byte(v.root))
	if err != nil {
		t.Fatalf("the vector's own root: %v", err)
	}
	return root
}

func (v *vector) entry(t testing.TB) trust.Station {
	t.Helper()
	var s trust.Station
	if err := strictjson.DecodeCanonical([]byte(v.station), &s, trust.MaxEnvelope); err != nil {
		t.Fatalf("the vector's own station: %v", err)
	}
	return s
}

func (v *vector) verified(t testing.TB) (trust.Policy, *manifest.Verified) {
	t.Helper()
	tr, err := trust.Open([]byte(v.bundle), v.openRoot(t))
	if err != nil {
		t.Fatalf("the vector's own bundle: %v", err)
	}
	pol := tr.Policy(nil, ems())
	m, err := manifest.Verify([]byte(v.pkg), folder, pol)
	if err != nil {
		t.Fatalf("the vector's own package: %v", err)
	}
	return pol, m
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
	good := map[string]bool{}
	for name, v := range vectors {
		good[v.format] = good[v.format] || v.expect == "accepted"
		t.Run(name, func(t *testing.T) {
			err := v.judge(t)
			if v.expect == "accepted" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			wantFinding(t, err, verdict.Reason(v.expect), v.says)
		})
	}
	for format := range formats {
		if !good[format] {
			t.Errorf("no vector of the format %s is accepted", format)
		}
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

// What other implementations read with a general decoder is what was written.
func TestAcceptedVectorsAreOrdinaryJSON(t *testing.T) {
	for name, v := range load(t) {
		if v.expect != "accepted" {
			continue
		}
		var any map[string]any
		if err := json.Unmarshal(v.body, &any); err != nil {
			t.Errorf("%s: %v", name, err)
		}
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
