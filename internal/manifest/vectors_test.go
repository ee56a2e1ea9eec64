package manifest_test

import (
	"bytes"
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"sallyport/internal/manifest"
	"sallyport/internal/verdict"
)

var update = flag.Bool("update", false, "write testdata/vectors again from the table in cases_test.go")

const vectorDir = "testdata/vectors"

// vector is one file: a header of "name: value" lines, an empty line, and the
// bytes of the envelope. FORMAT.md describes it for other implementations.
type vector struct {
	comment string
	expect  string // "accepted" or a reason
	says    string // part of the error's text; required unless accepted
	folder  string // package folder on the medium
	digest  string // SHA-256 of the payload; required when accepted
	recipe  string // how to make an envelope that is too large to keep
	body    []byte
}

func (v *vector) encode() []byte {
	var b bytes.Buffer
	for _, h := range [][2]string{{"comment", v.comment}, {"expect", v.expect}, {"says", v.says}, {"folder", v.folder}, {"payload_sha256", v.digest}, {"recipe", v.recipe}} {
		if h[1] != "" {
			fmt.Fprintf(&b, "%s: %s\n", h[0], h[1])
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
	for line := range strings.Lines(string(head)) {
		name, value, ok := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
		field, known := map[string]*string{
			"comment": &v.comment, "expect": &v.expect, "says": &v.says, "folder": &v.folder,
			"payload_sha256": &v.digest, "recipe": &v.recipe,
		}[name]
		if !ok || !known || *field != "" || value == "" {
			return nil, fmt.Errorf("bad header line %q", line)
		}
		*field = value
	}
	switch accepted := v.expect == "accepted"; {
	case v.comment == "", v.folder == "":
		return nil, fmt.Errorf("comment and folder are required")
	case !accepted && !verdict.Reason(v.expect).Valid():
		return nil, fmt.Errorf("%q is no reason", v.expect)
	case accepted != (v.says == ""), accepted != (v.digest != ""):
		return nil, fmt.Errorf("payload_sha256 belongs to accepted, says to a reason")
	case v.recipe != "" && len(v.body) > 0:
		return nil, fmt.Errorf("a recipe and a body")
	}
	return v, nil
}

// envelope returns the body, or what the recipe makes.
func (v *vector) envelope(tb testing.TB) []byte {
	if v.recipe == "" {
		return v.body
	}
	word, number, _ := strings.Cut(v.recipe, " ")
	n, err := strconv.Atoi(number)
	if err != nil {
		tb.Fatalf("bad recipe %q", v.recipe)
	}
	switch word {
	case "files": // the common payload with n files
		return enclose(tb, encode(tb, base(numbered(n))), keyPrecinct)
	case "objects": // n empty objects in the place of the files
		p := replace(tb, encode(tb, base(paths())), `"files":[]`, `"files":[{}`+strings.Repeat(`,{}`, n-1)+`]`)
		return enclose(tb, p, keyPrecinct)
	case "spaces": // n bytes that are no envelope
		return bytes.Repeat([]byte{' '}, n)
	}
	tb.Fatalf("unknown recipe %q", v.recipe)
	return nil
}

func TestVectors(t *testing.T) {
	names, err := filepath.Glob(vectorDir + "/*")
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		for _, name := range names {
			if err := os.Remove(name); err != nil {
				t.Fatal(err)
			}
		}
		for name, v := range cases(t) {
			if err := os.WriteFile(filepath.Join(vectorDir, name), v.encode(), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		names, _ = filepath.Glob(vectorDir + "/*")
	}
	if len(names) != vectorCount {
		t.Errorf("%d vectors, want %d", len(names), vectorCount)
	}
	for _, name := range names {
		t.Run(filepath.Base(name), func(t *testing.T) {
			data, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			v, err := readVector(data)
			if err != nil {
				t.Fatal(err)
			}
			v.run(t)
		})
	}
}

func (v *vector) run(t *testing.T) {
	pol := newPolicy(t)
	got, err := manifest.Verify(v.envelope(t), v.folder, pol)
	if v.expect == "accepted" {
		if err != nil {
			t.Fatalf("refused: %v", err)
		}
		if d := got.Digest(); !got.Valid() || hex.EncodeToString(d[:]) != v.digest {
			t.Fatalf("payload digest %x", d)
		}
		if pol.permit != 1 {
			t.Fatal("accepted without asking the policy")
		}
		return
	}
	f, ok := verdict.Find(err)
	if !ok || got != nil {
		t.Fatalf("got %v, %v; want the finding %s", got, err, v.expect)
	}
	if string(f.Reason) != v.expect || !strings.Contains(err.Error(), v.says) {
		t.Fatalf("got %q, want %s and the words %q", err, v.expect, v.says)
	}
	if pol.permit != 0 && f.Reason != verdict.WrongJurisdiction {
		t.Fatal("the policy was asked about a manifest that is not valid")
	}
}

func TestVectorsAreThoseOfTheTable(t *testing.T) {
	for name, v := range cases(t) {
		got, err := os.ReadFile(filepath.Join(vectorDir, name))
		if err != nil || !bytes.Equal(got, v.encode()) {
			t.Errorf("%s differs from cases_test.go (%v); run the tests with -update and look at the difference", name, err)
		}
	}
}

func TestVectorFilesAreStrict(t *testing.T) {
	good := "comment: c\nexpect: accepted\nfolder: f\npayload_sha256: 00\n\nx"
	if _, err := readVector([]byte(good)); err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{
		strings.Replace(good, "comment", "remark", 1),
		strings.Replace(good, "accepted", "perhaps", 1),
		strings.Replace(good, "expect: accepted\n", "", 1),
		strings.Replace(good, "payload_sha256: 00\n", "", 1),
		strings.Replace(good, "\n\n", "\n", 1),
		strings.Replace(good, "folder: f\n", "folder: f\nfolder: f\n", 1),
	} {
		if _, err := readVector([]byte(bad)); err == nil {
			t.Errorf("accepted the vector %q", bad)
		}
	}
}
