package manifest_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sallyport/internal/manifest"
	"sallyport/internal/strictjson"
	"sallyport/internal/verdict"
)

// smallVectors are the bodies of the vectors: the seeds of the fuzz targets.
func smallVectors(f *testing.F) [][]byte {
	names, err := filepath.Glob(vectorDir + "/*")
	if err != nil || len(names) != vectorCount {
		f.Fatalf("%d vectors (%v), want %d: the fuzz target would start without seeds", len(names), err, vectorCount)
	}
	var all [][]byte
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		v, err := readVector(data)
		if err != nil {
			f.Fatal(err)
		}
		if v.recipe == "" {
			all = append(all, v.body)
		}
	}
	return all
}

// isFinding fails the test when foreign bytes give an error that is not one.
func isFinding(t *testing.T, err error) {
	t.Helper()
	if _, ok := verdict.Find(err); !ok {
		t.Fatalf("the error is no finding: %v", err)
	}
}

// FuzzEnvelope: what is accepted encodes to the same bytes, and nothing that the
// fuzzer makes verifies, unless it is the payload of a vector.
func FuzzEnvelope(f *testing.F) {
	signed := map[[32]byte]bool{}
	for _, seed := range smallVectors(f) {
		f.Add(seed)
		if v, err := manifest.Verify(seed, packageID, newPolicy(f)); err == nil {
			signed[v.Digest()] = true
		}
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		e, err := manifest.ParseEnvelope(in)
		if err != nil {
			isFinding(t, err)
			return
		}
		if out, err := e.Encode(); err != nil || !bytes.Equal(in, out) {
			t.Fatalf("accepted %q but encodes as %q (%v)", in, out, err)
		}
		v, err := manifest.Verify(in, packageID, newPolicy(t))
		if err != nil {
			isFinding(t, err)
		} else if !signed[v.Digest()] {
			t.Fatalf("a payload verifies that nobody signed: %q", e.Payload)
		}
	})
}

// FuzzPayload signs whatever the fuzzer makes, as a hostile enrolled station
// could. What is accepted has one encoding and keeps the rules that receivers
// rely on.
func FuzzPayload(f *testing.F) {
	for _, seed := range smallVectors(f) {
		if e, err := manifest.ParseEnvelope(seed); err == nil {
			f.Add(e.Payload)
		}
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		var general manifest.Payload
		generalErr := strictjson.DecodeCanonical(in, &general, 1<<20)
		v, err := manifest.Verify(enclose(t, in, keyPrecinct), packageID, newPolicy(t))
		if err != nil {
			isFinding(t, err)
			// The text of a value that both read is refused for its value alone.
			if generalErr == nil && strings.Contains(err.Error(), "invalid JSON") {
				t.Fatalf("%q is canonical but was refused: %v", in, err)
			}
			return
		}
		if d := cmp.Diff(&general, v.Payload()); generalErr != nil || d != "" {
			t.Fatalf("the general decoder reads something else (%v):\n%s", generalErr, d)
		}
		p := v.Payload()
		if out, err := strictjson.Encode(p); err != nil || !bytes.Equal(in, out) {
			t.Fatalf("accepted %q but encodes as %q (%v)", in, out, err)
		}
		var total int64
		seen := map[string]bool{}
		for _, file := range p.Files {
			if manifest.CheckPath(file.Path) != nil || seen[strings.ToLower(file.Path)] || file.Size < 0 {
				t.Fatalf("accepted the file %+v", file)
			}
			seen[strings.ToLower(file.Path)] = true
			total += file.Size
		}
		for path := range seen {
			for i := range path {
				if path[i] == '/' && seen[path[:i]] {
					t.Fatalf("accepted %s as a file and as a folder", path[:i])
				}
			}
		}
		if total != p.Totals.Bytes || total > manifest.MaxBytes || len(p.Files) < 1 {
			t.Fatalf("accepted totals %+v for %d bytes", p.Totals, total)
		}
	})
}

// FuzzPath: an accepted path stays below its folder, is the same on every
// system and needs no escaping anywhere.
func FuzzPath(f *testing.F) {
	for _, seed := range []string{"a", "a/b.json", "../a", "a/..", "/a", "a//b", "NUL", "com1.txt", "a.", "a\x00", "a\\b", "c:a", "ä", strings.Repeat("a/", 7), strings.Repeat("a", 65)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, path string) {
		if err := manifest.CheckPath(path); err != nil {
			isFinding(t, err)
			return
		}
		if !filepath.IsLocal(path) || filepath.Clean(path) != path || len(path) > 200 || strings.Count(path, "/") > 5 {
			t.Fatalf("accepted %q", path)
		}
		if verdict.Escape(path) != path || strings.ContainsAny(path, " '\"`$&|;<>*?()[]{}!#~:\\%") {
			t.Fatalf("accepted %q, which needs escaping", path)
		}
		for _, segment := range strings.Split(path, "/") {
			base, _, _ := strings.Cut(strings.ToUpper(segment), ".")
			switch strings.TrimRight(base, "123456789") {
			case "CON", "PRN", "AUX", "NUL":
				if len(base) == 3 {
					t.Fatalf("accepted the DOS device %q", path)
				}
			case "COM", "LPT":
				if len(base) == 4 {
					t.Fatalf("accepted the DOS device %q", path)
				}
			}
		}
	})
}
