package attacks

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sallyport/internal/verdict"
)

const (
	suite     = "../../testdata/attacks"
	officeDir = suite + "/office" // the documents that cases are judged with
	mediaDir  = suite + "/media"  // whole media, each a folder
	caseDir   = suite + "/cases"
)

// Expectations that are no reasons of a verdict.
const (
	accepted     = "accepted"
	doesNotStart = "does-not-start" // the station itself refuses to work
	tpmRefuses   = "tpm-refuses"    // the TPM does not do what it is asked
)

// attack is one file of the suite: a header of "name: value" lines, an empty
// line, and the bytes that a door is given. README.md beside the files describes
// it for other implementations.
type attack struct {
	comment string
	via     string // the door: a key of doors
	expect  string // a reason, or one of the above
	says    string // part of the error's text
	like    string // the accepted case from which this one is made
	// What the bytes are judged with: files of the office, but for the ids.
	bundle, rotations, installed, pkg, evidence, request, pending string
	folder, receiver, station, version, ek                        string
	insert                                                        string // media, one after another, divided by " | "
	recipe                                                        string // how to make what cannot be kept
	body                                                          []byte
}

// door says which headers its cases may have, besides those of all.
type door struct {
	headers string
	judge   func(t *testing.T, a *attack) error
}

// doors is the closed list.
func doors() map[string]door {
	return map[string]door{
		"package":     {"bundle evidence folder receiver recipe", judgePackage},
		"evidence":    {"bundle package recipe", judgeEvidence},
		"bundle":      {"rotations installed", judgeBundle},
		"rotation":    {"rotations version", judgeRotation},
		"root":        {"", judgeRoot},
		"signer":      {"", judgeSigner},
		"request":     {"ek recipe", judgeRequest},
		"answer":      {"pending", judgeAnswer},
		"challenge":   {"recipe", nil},
		"handover":    {"bundle station request", judgeHandover},
		"measurement": {"bundle station", judgeMeasurement},
		"intake":      {"insert", judgeIntake},
		"station":     {"recipe", nil},
	}
}

type header struct {
	name  string
	value *string
}

func (a *attack) headers() []header {
	return []header{
		{"comment", &a.comment}, {"via", &a.via}, {"expect", &a.expect}, {"says", &a.says}, {"like", &a.like},
		{"bundle", &a.bundle}, {"rotations", &a.rotations}, {"installed", &a.installed}, {"package", &a.pkg}, {"evidence", &a.evidence},
		{"request", &a.request}, {"pending", &a.pending}, {"folder", &a.folder}, {"receiver", &a.receiver}, {"station", &a.station},
		{"version", &a.version}, {"ek", &a.ek}, {"insert", &a.insert}, {"recipe", &a.recipe},
	}
}

// ofAll are the headers that the cases of every door have.
const ofAll = 5

func (a *attack) encode() []byte {
	var b bytes.Buffer
	for _, h := range a.headers() {
		if *h.value != "" {
			fmt.Fprintf(&b, "%s: %s\n", h.name, *h.value)
		}
	}
	b.WriteByte('\n')
	b.Write(a.body)
	return b.Bytes()
}

func readAttack(data []byte) (*attack, error) {
	head, body, ok := bytes.Cut(data, []byte("\n\n"))
	if !ok {
		return nil, fmt.Errorf("no empty line after the header")
	}
	a := &attack{body: body}
lines:
	for line := range strings.Lines(string(head)) {
		name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
		for _, h := range a.headers() {
			if h.name == name && *h.value == "" && value != "" {
				*h.value = value
				continue lines
			}
		}
		return nil, fmt.Errorf("bad header line %q", line)
	}
	return a, a.check()
}

func (a *attack) check() error {
	d, known := doors()[a.via]
	if !known || a.comment == "" {
		return fmt.Errorf("comment and a known door are required")
	}
	may := strings.Fields(d.headers)
	for _, h := range a.headers()[ofAll:] {
		if *h.value != "" && !slices.Contains(may, h.name) {
			return fmt.Errorf("the door %s has no header %s", a.via, h.name)
		}
	}
	plain := a.recipe == "" && a.insert == ""
	switch {
	case a.expect != accepted && a.expect != doesNotStart && a.expect != tpmRefuses && !verdict.Reason(a.expect).Valid():
		return fmt.Errorf("%q is no reason", a.expect)
	case (a.expect == accepted) != (a.says == ""):
		return fmt.Errorf("says belongs to what is refused")
	case (a.expect != accepted && a.recipe == "") != (a.like != ""):
		return fmt.Errorf("like belongs to what is refused and has no recipe")
	case !plain && len(a.body) > 0:
		return fmt.Errorf("bytes beside a recipe or media")
	case plain && d.judge == nil:
		return fmt.Errorf("the door %s needs a recipe", a.via)
	}
	return nil
}

// cases reads the suite.
func cases(t testing.TB) map[string]*attack {
	t.Helper()
	entries, err := os.ReadDir(caseDir)
	must(t, err)
	out := map[string]*attack{}
	for _, e := range entries {
		data, err := os.ReadFile(filepath.Join(caseDir, e.Name()))
		must(t, err)
		if out[e.Name()], err = readAttack(data); err != nil {
			t.Fatalf("%s: %v", e.Name(), err)
		}
	}
	return out
}

// document reads a document of the office.
func document(t testing.TB, name string) []byte {
	t.Helper()
	if name != filepath.Base(name) {
		t.Fatalf("%q is no document of the office", name)
	}
	data, err := os.ReadFile(filepath.Join(officeDir, name))
	must(t, err)
	return data
}
