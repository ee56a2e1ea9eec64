package logexport_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"sallyport/internal/audit"
	"sallyport/internal/logexport"
	"sallyport/internal/testtool"
	"sallyport/internal/translog"
)

func TestEveryEventComesBackFromEveryFormat(t *testing.T) {
	want := samples()
	for _, format := range logexport.Formats() {
		got := read(t, format, write(t, format, about(), want, nil))
		if len(got.entries) != len(want) || got.damaged != nil || format != logexport.JSONLines && len(got.hashes) != len(want) {
			t.Fatalf("%s: %d entries of %d, damaged %v", format, len(got.entries), len(want), got.damaged)
		}
		for i := range want {
			if !reflect.DeepEqual(got.entries[i], want[i]) {
				t.Errorf("%s: %+v\ncame back as %+v", format, want[i], got.entries[i])
			}
		}
	}
}

// kept is every entry outside of 12 to 19, and 9.
func kept(all []audit.Entry) []audit.Entry {
	return slices.DeleteFunc(slices.Clone(all), func(e audit.Entry) bool { return e.Seq == 9 || e.Seq >= 12 && e.Seq < 20 })
}

func TestDamagedPlacesAreNamedWhereTheyAre(t *testing.T) {
	entries := kept(samples())[:20]
	for _, format := range logexport.Formats() {
		doc := write(t, format, about(), entries, places())
		got := read(t, format, doc)
		want := []string{"none", "before 4", "9", "12-19"}
		if format == logexport.JSONLines {
			want = []string{"-1", "4", "9", "12"}
		}
		if !slices.Equal(got.damaged, want) || len(got.entries) != 20 {
			t.Errorf("%s: damaged %q, %d entries", format, got.damaged, len(got.entries))
		}
		if at, before, behind := bytes.Index(doc, []byte("checksum is wrong")), bytes.Index(doc, []byte(entries[8].Wall)), bytes.Index(doc, []byte(entries[9].Wall)); at < before || at > behind {
			t.Errorf("%s: the damage at 9 stands at byte %d, entry 8 at %d, entry 10 at %d", format, at, before, behind)
		}
		visible(t, format, doc)
	}
}

// visible fails when a document holds what a terminal would obey or hide.
func visible(t testing.TB, format logexport.Format, doc []byte) {
	t.Helper()
	if !utf8.Valid(doc) {
		t.Errorf("%s: not UTF-8: %.500q", format, doc)
	}
	for _, r := range string(doc) {
		if r != '\n' && r != '\r' && !strconv.IsGraphic(r) {
			t.Fatalf("%s holds %q: %.2000q", format, r, doc)
		}
	}
}

func TestEntriesOutOfOrderAreRefused(t *testing.T) {
	x, err := logexport.New(io.Discard, logexport.CSV, about())
	if err != nil {
		t.Fatal(err)
	}
	all := samples()
	if err := x.Page(all[3:5], nil); err != nil {
		t.Fatal(err)
	}
	if err := x.Entry(&all[4]); err == nil || !strings.Contains(err.Error(), "entry 4") {
		t.Errorf("an entry twice: %v", err)
	}
}

// What the catalogue does not allow does not get out, whoever sends it.
func TestOtherFieldsStayInside(t *testing.T) {
	const marker = "MARKER4711"
	good := samples()[1]
	forge := func(do func(*audit.Entry)) audit.Entry {
		e := good
		e.Fields = map[string]string{"detail": "x"}
		do(&e)
		return e
	}
	for name, e := range map[string]audit.Entry{
		"a field outside the catalogue": forge(func(e *audit.Entry) { e.Fields["votes"] = marker }),
		"control characters":            forge(func(e *audit.Entry) { e.Fields["detail"] = marker + "\x1b[31m" }),
		"bidirectional override":        forge(func(e *audit.Entry) { e.Subject.Person = marker + "\u202e" }),
		"no UTF-8":                      forge(func(e *audit.Entry) { e.Subject.Medium = marker + "\xff" }),
		"too long":                      forge(func(e *audit.Entry) { e.Fields["detail"] = strings.Repeat(marker, 300) }),
		"beside a phase that is none":   forge(func(e *audit.Entry) { e.Phase = "done"; e.Fields["detail"] = marker }),
		"beside an event that is none":  forge(func(e *audit.Entry) { e.Event = "vote.cast"; e.Fields["detail"] = marker }),
		"beside a boot that is none":    forge(func(e *audit.Entry) { e.Boot = "x\x00"; e.Fields["detail"] = marker }),
	} {
		for _, format := range logexport.Formats() {
			doc := write(t, format, about(), []audit.Entry{e}, nil)
			if bytes.Contains(doc, []byte(marker)) {
				t.Errorf("%s, %s: got out:\n%s", name, format, doc)
			}
			if got := read(t, format, doc); len(got.damaged) != 1 || got.damaged[0] != "1" || len(got.entries) != 0 {
				t.Errorf("%s, %s: the entry is not named as damaged:\n%s", name, format, doc)
			}
			visible(t, format, doc)
		}
	}
}

// TestForeignTextIsEscaped plants text wherever a stranger can put some, through
// the real recorder into a real log.
func TestForeignTextIsEscaped(t *testing.T) {
	const evil = "\x1b[31m\u202e\x00=cmd|' /C calc'!A0\r\n<script>]]>\u009b\ufeff\xff"
	s := newStation(t)
	var events []audit.Event
	for _, d := range audit.Catalogue() {
		if d.Action || d.ID == audit.LogOpened { // the recorder's own
			continue
		}
		ev := audit.Event{ID: d.ID, Fields: map[string]string{}, Subject: audit.Subject{Medium: evil, Package: evil, Manifest: evil, Station: evil, Person: evil}}
		for _, f := range d.Fields {
			ev.Fields[f] = f + evil
		}
		events = append(events, ev)
	}
	for _, ev := range events {
		if err := s.rec.Event(t.Context(), ev); err != nil {
			t.Fatal(err)
		}
	}
	whose := about()
	for _, p := range []*string{&whose.Station, &whose.Name, &whose.Role, &whose.Jurisdiction, &whose.Version, &whose.Checkpoint, &whose.Filter.About, &whose.Filter.Event,
		&whose.Filter.Subject.Medium, &whose.Filter.Subject.Package, &whose.Filter.Subject.Manifest, &whose.Filter.Subject.Station, &whose.Filter.Subject.Person} {
		*p = evil
	}
	whose.Filter.Outcome = audit.Outcome(evil)
	for _, format := range logexport.Formats() {
		doc := write(t, format, whose, s.entries(), nil)
		visible(t, format, doc)
		got := read(t, format, doc)
		if len(got.damaged) > 0 || len(got.entries) != len(events)+1 {
			t.Errorf("%s: %d entries, damaged %v", format, len(got.entries), got.damaged)
		}
		if want := s.entries(); !reflect.DeepEqual(got.entries, want) {
			t.Errorf("%s: the entries differ from the log's", format)
		}
	}
	for _, format := range []logexport.Format{logexport.CDFJSON, logexport.CDFXML} {
		var out bytes.Buffer
		if err := logexport.WriteDocumentation(&out, format, whose); err != nil {
			t.Fatal(err)
		}
		visible(t, format, out.Bytes())
	}
}

// TestTheHashesLeadToTheCheckpoint does what FORMAT.md says under Verification,
// with nothing but the export and the station's public key.
func TestTheHashesLeadToTheCheckpoint(t *testing.T) {
	s := newStation(t)
	for i := range 20 {
		if err := s.rec.Event(t.Context(), audit.Event{ID: audit.ConfigLoaded, Fields: map[string]string{"path": strconv.Itoa(i)}}); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.rec.Checkpoint(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.rec.Event(t.Context(), audit.Event{ID: audit.StationStop}); err != nil { // behind the checkpoint
		t.Fatal(err)
	}
	whose := about()
	whose.Entries, whose.Checkpoint = s.log.Size(), string(s.rec.LastCheckpoint())
	for _, format := range []logexport.Format{logexport.CDFJSON, logexport.CDFXML} {
		got := read(t, format, write(t, format, whose, s.entries(), nil))
		if err := s.check(got); err != nil {
			t.Errorf("%s: %v", format, err)
		}
		got.entries[7].Fields["path"] = "x"
		if err := s.check(got); err == nil {
			t.Errorf("%s: an altered entry leads to the same checkpoint", format)
		}
	}
}

func TestDocumentsAreValidAgainstThePublishedSchemas(t *testing.T) {
	schema, err := jsonschema.NewCompiler().Compile(testtool.Shared(t, "nist", "1500-101", "NIST_V1_election_event_logging.json"))
	if err != nil {
		t.Fatal(err)
	}
	valid := func(doc []byte) error {
		v, err := jsonschema.UnmarshalJSON(bytes.NewReader(doc))
		if err != nil {
			return err
		}
		return schema.Validate(v)
	}
	docs := documents(t, logexport.CDFJSON)
	for name, doc := range docs {
		if err := valid(doc); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, cut := range []string{`"Severity":`, `"TimeStamp":"`, `"Disposition":"`} {
		if err := valid(bytes.ReplaceAll(docs["all"], []byte(cut), []byte(`"X`+cut[1:]))); err == nil {
			t.Errorf("the schema is not looked at: a document without %s is valid", cut)
		}
	}
}

func TestXMLIsValidAgainstThePublishedSchema(t *testing.T) {
	schema := testtool.Shared(t, "nist", "1500-101", "NIST_V1_election_event_logging.xsd")
	testtool.Need(t, "xmllint")
	for name, doc := range documents(t, logexport.CDFXML) {
		file := filepath.Join(t.TempDir(), "doc.xml")
		if err := os.WriteFile(file, doc, 0o600); err != nil {
			t.Fatal(err)
		}
		if out := testtool.Run(t, "xmllint", "--nonet", "--noout", "--schema", schema, file); !bytes.Contains(out, []byte("validates")) {
			t.Errorf("%s: %s", name, out)
		}
	}
}

// documents are exports of every shape, and documentation.
func documents(t *testing.T, format logexport.Format) map[string][]byte {
	t.Helper()
	full := about()
	full.Filter = audit.Filter{From: 3, To: 999, Event: "package", About: "<x>", Subject: audit.Subject{Medium: "m", Person: "<y>"}, Outcome: audit.Held, Since: full.Generated, Until: full.Generated.AddDate(0, 0, 1)}
	full.Entries, full.Checkpoint = 1000, "sallyport/us/maple-county/ems-1\n1000\nAAAA\n\n— sallyport BBBB\n"
	docs := map[string][]byte{
		"all":     write(t, format, about(), samples(), nil),
		"filter":  write(t, format, full, samples()[:3], nil),
		"damaged": write(t, format, about(), kept(samples()), places()),
		"empty":   write(t, format, about(), nil, nil),
	}
	for _, role := range []string{"", "source", "kiosk", "authority"} {
		a := logexport.About{Station: "s", Role: role, Generated: full.Generated}
		docs["role "+role] = write(t, format, a, samples()[:2], nil)
	}
	for name, a := range map[string]logexport.About{"documentation": full, "documentation of a folder": {Station: "s", Generated: full.Generated}} {
		var out bytes.Buffer
		if err := logexport.WriteDocumentation(&out, format, a); err != nil {
			t.Fatal(err)
		}
		docs[name] = out.Bytes()
	}
	return docs
}

func TestTheDocumentationNamesEveryEventAndType(t *testing.T) {
	var out bytes.Buffer
	if err := logexport.WriteDocumentation(&out, logexport.CDFJSON, about()); err != nil {
		t.Fatal(err)
	}
	var types []string
	for _, d := range append(audit.Catalogue(), audit.Definition{ID: "export.damaged"}) {
		if !strings.Contains(out.String(), fmt.Sprintf(`"Id":%q`, d.ID)) || !strings.Contains(out.String(), d.Meaning) {
			t.Errorf("the documentation lacks %s", d.ID)
		}
		family, _, _ := strings.Cut(string(d.ID), ".")
		types = append(types, family)
	}
	slices.Sort(types)
	types = slices.Compact(types)
	for _, f := range types {
		if !strings.Contains(out.String(), fmt.Sprintf(`"Type":%q`, f)) {
			t.Errorf("the documentation lacks the type %s: describe it in families", f)
		}
	}
	if n := strings.Count(out.String(), `"Type":"`); n != len(types) {
		t.Errorf("%d types are described, the catalogue has %d", n, len(types))
	}
	for _, format := range []logexport.Format{logexport.JSONLines, logexport.CSV, "x"} {
		if err := logexport.WriteDocumentation(io.Discard, format, about()); err == nil {
			t.Errorf("documentation as %s", format)
		}
	}
	if _, err := logexport.New(io.Discard, "pdf", about()); err == nil || !strings.Contains(err.Error(), "cdf-xml") {
		t.Errorf("an unknown format: %v", err)
	}
}

// A folder whose log its station refuses to open is exported all the same, and
// what is wrong with it is named.
func TestAFolderIsReadWhateverItsState(t *testing.T) {
	for name, c := range map[string]struct {
		harm    func(dir string, seg []byte) []byte
		entries int
		damaged int64
	}{
		"nothing":          {func(_ string, seg []byte) []byte { return seg }, 7, 0},
		"one entry":        {func(_ string, seg []byte) []byte { seg[bytes.Index(seg, []byte(`{"seq":3,`))] ^= 1; return seg }, 6, 1},
		"the last entries": {func(_ string, seg []byte) []byte { return seg[:bytes.Index(seg, []byte(`{"seq":5,`))] }, 5, 1},
		"the header":       {func(_ string, seg []byte) []byte { seg[9] ^= 1; return seg }, 7, 1},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStation(t)
			for range 6 {
				if err := s.rec.Event(t.Context(), audit.Event{ID: audit.StationStart}); err != nil {
					t.Fatal(err)
				}
			}
			if err := s.rec.Checkpoint(t.Context()); err != nil {
				t.Fatal(err)
			}
			s.log.Close()
			path := filepath.Join(s.dir, "00000000000000000000.seg")
			seg, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, c.harm(s.dir, seg), 0o600); err != nil {
				t.Fatal(err)
			}
			f, err := logexport.OpenFolder(s.dir)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			if a := f.About(); a.Station != "ems-1" || a.Jurisdiction != "us/maple-county" || a.Checkpoint == "" {
				t.Errorf("%+v", a)
			}
			x, err := logexport.New(io.Discard, logexport.CSV, f.About())
			if err != nil {
				t.Fatal(err)
			}
			for filter := (audit.Filter{}); ; {
				p, err := f.Page(filter, 2, 0)
				if err == nil {
					err = x.Page(p.Entries, p.Damage)
				}
				if err != nil {
					t.Fatal(err)
				}
				if filter.From = p.Next; p.Next == 0 {
					break
				}
			}
			if sum := x.Summary(); sum.Entries != int64(c.entries) || sum.Damaged != c.damaged || len(sum.Places) != int(c.damaged) {
				t.Errorf("%+v", sum)
			}
		})
	}
	if _, err := logexport.OpenFolder(t.TempDir()); err == nil {
		t.Error("an empty folder was opened")
	}
}

// A full disk is an error, at the latest when the export is closed.
func TestWhatCannotBeWrittenIsAnError(t *testing.T) {
	all := samples()
	for _, format := range logexport.Formats() {
		for room := range 3 {
			x, err := logexport.New(&full{room: room * 70_000}, format, about())
			if err == nil {
				err = x.Page(all, nil)
			}
			if err == nil {
				err = x.Close()
			}
			if !errors.Is(err, errFull) {
				t.Errorf("%s, %d bytes: %v", format, room*70_000, err)
			}
		}
	}
}

var errFull = errors.New("full")

type full struct{ room int }

func (f *full) Write(p []byte) (int, error) {
	if f.room -= len(p); f.room < 0 {
		return 0, errFull
	}
	return len(p), nil
}

// No format keeps what it has written: the memory of a long log is that of a
// short one.
func TestMemoryDoesNotGrowWithTheLog(t *testing.T) {
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	e := samples()[1]
	for _, format := range logexport.Formats() {
		x, err := logexport.New(io.Discard, format, about())
		if err != nil {
			t.Fatal(err)
		}
		before := heap()
		for i := range int64(10_000) {
			e.Seq = i
			if err := x.Entry(&e); err != nil {
				t.Fatal(err)
			}
			if err := x.Damage(&translog.Damage{Entry: i, Until: i}); err != nil {
				t.Fatal(err)
			}
		}
		if grown := int64(heap()) - int64(before); grown > 1<<20 {
			t.Errorf("%s: %d bytes are kept after 10,000 entries", format, grown)
		}
		runtime.KeepAlive(x)
	}
}
