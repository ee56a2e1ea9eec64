package evidence_test

import (
	"archive/zip"
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"sallyport/internal/durable"
	"sallyport/internal/evidence"
	"sallyport/internal/testtool"
	"sallyport/internal/vault"
	"sallyport/internal/verdict"
)

// page is the page of a file, as a browser gets it: its text, and its elements.
func page(t *testing.T, data []byte) (source, text string, elements map[string]int) {
	t.Helper()
	source = string(evidence.NewForger(t, data).Members[evidence.PageName])
	elements = map[string]int{}
	d := xml.NewDecoder(strings.NewReader(source))
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return source, text, elements
		}
		if err != nil {
			t.Fatalf("the page is not well-formed: %v", err)
		}
		switch v := token.(type) {
		case xml.StartElement:
			elements[v.Name.Local]++
			for _, a := range v.Attr {
				switch a.Name.Local {
				case "lang", "charset", "http-equiv", "content", "name", "class", "scope":
				default:
					t.Errorf("the element %s has the attribute %s=%q", v.Name.Local, a.Name.Local, a.Value)
				}
			}
		case xml.CharData:
			text += string(v)
		}
	}
}

// Every page is well-formed, holds nothing that acts or loads, and says what a
// clerk has to know.
func TestThePage(t *testing.T) {
	o := committed(t)
	common := []string{"Evidence of station ems-1 (ems, us/maple-county)", "Came in on", "What happened", "What proves it", "sallyport-verify bundle FILE --root root.json", "Handed out by", "UTC"}
	for file, says := range map[string][]string{
		accepted: {"ACCEPTED", "election-definition", "polling-place-7", "maple-county-general-2026-11-03", "data/definition.json", "called PRECINCT 7", "fat32", "no votes and no voters"},
		two:      {"ACCEPTED", "data/notes-one.txt", "data/notes-two.txt"},
		unknown:  {"HELD", "signer-unknown", "the manifest is signed by a key that is not enrolled", "data/notes.txt"},
		altered:  {"HELD", "file-altered", "a file differs from what was signed", "data/results.txt: its SHA-256 is"},
		plain:    {"HELD", "Files that belong to no package"},
		torn:     {"HELD", "truncated"},
	} {
		source, text, elements := page(t, o[file])
		for _, words := range append(common, says...) {
			if !strings.Contains(text, words) {
				t.Errorf("%s does not say %q", file, words)
			}
		}
		for _, name := range []string{"script", "img", "link", "iframe", "object", "embed", "form", "input", "a", "svg", "base"} {
			if elements[name] > 0 {
				t.Errorf("%s has %d elements %s", file, elements[name], name)
			}
		}
		for _, words := range []string{"http:", "https:", "url(", "@import", "javascript:"} {
			if strings.Contains(source, words) {
				t.Errorf("%s holds %q", file, words)
			}
		}
		if !strings.Contains(source, "default-src 'none'") || elements["h1"] != 1 || elements["title"] != 1 {
			t.Errorf("%s: %v", file, elements)
		}
	}
}

// Names from a medium are text, and are seen as what they are.
func TestHostileNamesAreText(t *testing.T) {
	source, text, elements := page(t, committed(t)[plain])
	if elements["b"] != strings.Count(source, "<b>") || strings.Contains(source, "<script") {
		t.Error("a name has become an element")
	}
	for _, words := range []string{`<script>alert(1)<∕script>.txt`, `a&b'c"d.txt`, `votes <b>bold<∕b> ]]> --> .html`, `\u202efdp.exe`, "line\uFFFDbreak \uFFFD[31m.txt", `called <b>&"x`} {
		if !strings.Contains(text, words) {
			t.Errorf("the page does not show %q", words)
		}
	}
	for _, r := range source {
		if r < ' ' && r != '\n' || r == '\u202e' {
			t.Errorf("the page holds the character %U", r)
		}
	}
}

// A package of a hundred thousand files makes a page that can still be printed.
func TestThePageOfManyFilesStaysShort(t *testing.T) {
	l := newLiar(t)
	read := l.insert()
	p := l.seal(l.source, nil)
	p.subject.Manifest, p.subject.Station = "", ""
	l.verify(p, "file-extra")
	l.store(p, func(x *evidence.Listing) {
		for i := range 100_000 {
			x.Files = append(x.Files, evidence.Stored{Name: fmt.Sprintf("data/b%06d.json", i), Size: 3, SHA256: hashOf(fmt.Sprint(i))})
		}
	})
	l.hold(p, verdict.FileExtra)
	l.conclude(read, verdict.Held, "file-extra")
	data, err := l.make()
	must(t, err)
	source, text, _ := page(t, data)
	if len(source) > 1<<20 || !strings.Contains(text, "99002 more files stand in") {
		t.Errorf("the page has %d bytes", len(source))
	}
}

// Every program that reads ZIP reads the file.
func TestOthersReadTheFile(t *testing.T) {
	o := committed(t)
	r, err := zip.NewReader(bytes.NewReader(o[two]), int64(len(o[two])))
	must(t, err)
	names, contents, err := evidence.ReadZIP(o[two])
	must(t, err)
	for i, f := range r.File {
		in, err := f.Open()
		must(t, err)
		data, err := io.ReadAll(in)
		must(t, err)
		if f.Name != names[i] || !bytes.Equal(data, contents[i]) || f.Mode() != 0o644 {
			t.Errorf("archive/zip reads %s (%v)", f.Name, f.Mode())
		}
	}
	if len(r.File) != 13 || names[0] != evidence.PageName || names[1] != evidence.DocumentName {
		t.Errorf("%d members: %v", len(r.File), names)
	}
	path := filepath.Join(t.TempDir(), two)
	must(t, os.WriteFile(path, o[two], 0o600))
	testtool.Run(t, "7z", "t", path)
	dir := t.TempDir()
	testtool.Run(t, "7z", "x", "-o"+dir, path)
	if out, err := exec.Command(testtool.Need(t, "xmllint"), "--noout", "--nonet", filepath.Join(dir, evidence.PageName)).CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("xmllint: %v\n%s", err, out)
	}
}

// The digest of an item is written out here once more; it is that of the vault.
func TestTheDigestIsTheVaults(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "vault")
	must(t, vault.Create(dir, durable.FS{}))
	v, err := vault.Open(dir, vault.Options{})
	must(t, err)
	defer v.Close()
	const id = "7c2e2bfb0936-1"
	facts := []byte(`{"medium":{}}`)
	stage, err := v.Stage(id, 1<<20, facts)
	must(t, err)
	_, err = stage.AddFile("manifest.dsse.json", strings.NewReader("{}"))
	must(t, err)
	_, err = stage.AddFile("data/ä \x01 b", io.MultiReader(strings.NewReader("half"), failing{}))
	if err == nil {
		t.Error("a file that breaks off was stored whole")
	}
	st, err := stage.Commit(vault.Record{Data: []byte("{}")})
	must(t, err)
	defer st.Close()
	files, err := st.Files()
	must(t, err)
	l := evidence.Listing{V: 1, Cut: st.Cut(), Record: hashOf("{}")}
	for _, f := range files {
		l.Files = append(l.Files, evidence.Stored{Name: f.Name, Size: f.Size, SHA256: fmt.Sprintf("%x", f.SHA256), Partial: f.Partial})
	}
	got, err := l.Digest(id, facts)
	must(t, err)
	if want := fmt.Sprintf("%x", st.Digest()); got != want || len(files) != 2 || !files[1].Partial {
		t.Errorf("%s, the vault has %s: %+v", got, want, files)
	}
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errors.New("I/O error") }
