package logexport_test

import (
	"bytes"
	"encoding/csv"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"sallyport/internal/audit"
	"sallyport/internal/logexport"
	"sallyport/internal/translog"
)

// The readers of this file know the formats from FORMAT.md alone. They are what
// an auditor would write.

// cdfEvent is Event of NIST SP 1500-101 for both of its forms.
type cdfEvent struct {
	Description, Details, Disposition, OtherDisposition, Hash string
	ID                                                        string `json:"Id" xml:"Id"`
	Sequence, Severity, TimeStamp, Type                       string
	UserID                                                    string `json:"UserId" xml:"UserId"`
}

type cdfLog struct {
	Details, GeneratedTime string
	Device                 []struct {
		Details, HashType, Manufacturer, Model, Type, OtherType, Version string
		ID                                                               string `json:"Id" xml:"Id"`
		Event                                                            []cdfEvent
	}
}

// found is what a reader gets out of an export.
type found struct {
	entries []audit.Entry
	hashes  []string
	damaged []string // how each damaged place is called
	log     cdfLog   // of cdf-json and cdf-xml
}

func read(t testing.TB, format logexport.Format, doc []byte) found {
	t.Helper()
	var f found
	var err error
	switch format {
	case logexport.CDFJSON:
		if err = json.Unmarshal(doc, &f.log); err == nil {
			err = f.readCDF()
		}
	case logexport.CDFXML:
		if err = wellFormed(doc); err == nil {
			err = xml.Unmarshal(doc, &f.log)
		}
		if err == nil {
			err = f.readCDF()
		}
	case logexport.JSONLines:
		err = f.readLines(doc)
	case logexport.CSV:
		err = f.readCSV(doc)
	}
	if err != nil {
		t.Fatalf("%s: %v\n%.2000s", format, err, doc)
	}
	for i := range f.entries {
		logged, err := f.entries[i].Encode()
		if err != nil {
			t.Fatalf("%s: %v\n%.2000s", format, err, doc)
		}
		h := tlog.RecordHash(logged)
		if i < len(f.hashes) && f.hashes[i] != hex.EncodeToString(h[:]) {
			t.Errorf("%s: entry %d has not the hash of what it says", format, f.entries[i].Seq)
		}
	}
	return f
}

// wellFormed walks an XML document to its end.
func wellFormed(doc []byte) error {
	d := xml.NewDecoder(bytes.NewReader(doc))
	for {
		if _, err := d.Token(); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
	}
}

func (f *found) readCDF() error {
	for _, ev := range f.log.Device[0].Event {
		if ev.ID == "export.damaged" {
			f.damaged = append(f.damaged, ev.Sequence)
			if ev.Hash != "" || ev.Disposition != "failure" || ev.TimeStamp != f.log.GeneratedTime {
				return fmt.Errorf("a damaged place: %+v", ev)
			}
			continue
		}
		var d struct {
			Boot        string
			MonoUS      int64 `json:"mono_us"`
			WallTrusted bool  `json:"wall_trusted"`
			Phase       audit.Phase
			Ref         int64
			Subject     audit.Subject
			Outcome     audit.Outcome
			Fields      map[string]string
		}
		dec := json.NewDecoder(strings.NewReader(ev.Details))
		dec.DisallowUnknownFields()
		if err := dec.Decode(&d); err != nil {
			return err
		}
		seq, err := strconv.ParseInt(ev.Sequence, 10, 64)
		if err != nil {
			return err
		}
		d.Subject.Person = ev.UserID
		e := audit.Entry{Seq: seq, Boot: d.Boot, MonoUS: d.MonoUS, Wall: ev.TimeStamp, WallTrusted: d.WallTrusted, Event: audit.EventID(ev.ID),
			Phase: d.Phase, Ref: d.Ref, Subject: d.Subject, Outcome: d.Outcome, Fields: d.Fields}
		def, _ := audit.Define(e.Event)
		other := ""
		if ev.Disposition == "other" {
			other = string(e.Outcome)
		}
		family, _, _ := strings.Cut(ev.ID, ".")
		if ev.Disposition != e.Outcome.Disposition() || ev.OtherDisposition != other || ev.Severity != string(def.Severity) || ev.Type != family ||
			!strings.Contains(ev.Description, def.Meaning) || strings.Contains(ev.Description, "NOT TRUSTED") == e.WallTrusted {
			return fmt.Errorf("the event %+v contradicts its entry", ev)
		}
		f.entries, f.hashes = append(f.entries, e), append(f.hashes, ev.Hash)
	}
	return nil
}

func (f *found) readLines(doc []byte) error {
	for line := range bytes.Lines(doc) {
		line, ok := bytes.CutSuffix(line, []byte("\n"))
		if !ok || !json.Valid(line) {
			return fmt.Errorf("no whole line: %q", line)
		}
		if bytes.HasPrefix(line, []byte(`{"damaged":`)) {
			var d struct{ Damaged translog.Damage }
			if err := json.Unmarshal(line, &d); err != nil {
				return err
			}
			f.damaged = append(f.damaged, strconv.FormatInt(d.Damaged.Entry, 10))
			continue
		}
		e, err := audit.Parse(line) // byte for byte what was logged
		if err != nil {
			return err
		}
		f.entries = append(f.entries, *e)
	}
	return nil
}

func (f *found) readCSV(doc []byte) error {
	r := csv.NewReader(bytes.NewReader(doc))
	rows, err := r.ReadAll()
	if err != nil {
		return err
	}
	if n := bytes.Count(doc, []byte("\n")); n != len(rows) || bytes.Count(doc, []byte("\r\n")) != n {
		return fmt.Errorf("%d rows in %d lines, which should end in CR LF", len(rows), n)
	}
	for _, row := range rows[1:] {
		c := map[string]string{}
		for i, name := range rows[0] {
			if runs(row[i]) {
				return fmt.Errorf("a spreadsheet would compute %q", row[i])
			}
			c[name] = plain(row[i])
		}
		if c["event"] == "export.damaged" {
			f.damaged = append(f.damaged, c["seq"])
			continue
		}
		num := func(name string) (n int64) {
			if c[name] != "" {
				var nerr error
				if n, nerr = strconv.ParseInt(c[name], 10, 64); nerr != nil {
					err = nerr
				}
			}
			return n
		}
		e := audit.Entry{Seq: num("seq"), Boot: c["boot"], MonoUS: num("mono_us"), Wall: c["wall"], WallTrusted: c["wall_trusted"] == "true",
			Event: audit.EventID(c["event"]), Phase: audit.Phase(c["phase"]), Ref: num("ref"), Outcome: audit.Outcome(c["outcome"]),
			Subject: audit.Subject{Medium: c["medium"], Package: c["package"], Manifest: c["manifest"], Station: c["station"], Person: c["person"]}}
		if c["fields"] != "" {
			err = json.Unmarshal([]byte(c["fields"]), &e.Fields)
		}
		for _, name := range []string{"reason", "where", "detail"} {
			if c[name] != "" {
				if e.Fields == nil {
					e.Fields = map[string]string{}
				}
				e.Fields[name] = c[name]
			}
		}
		if err != nil {
			return err
		}
		f.entries, f.hashes = append(f.entries, e), append(f.hashes, c["hash"])
	}
	return nil
}

// plain takes the guards out of a cell, as FORMAT.md says: one apostrophe where
// the cell begins, and behind each separator of other countries.
func plain(cell string) string {
	var b strings.Builder
	begins := true
	for _, r := range cell {
		if begins && r == '\'' {
			begins = false
			continue
		}
		begins = strings.ContainsRune(";\t\r\n", r)
		b.WriteRune(r)
	}
	return b.String()
}

// runs says whether a spreadsheet takes a cell, or what it cuts off at its own
// separator, for a formula.
func runs(cell string) bool {
	for _, part := range strings.FieldsFunc(cell, func(r rune) bool { return strings.ContainsRune(";\t\r\n", r) }) {
		part = strings.TrimSpace(part)
		if part != "" && strings.ContainsRune("=+-@＝＋－＠", []rune(part)[0]) {
			return true
		}
	}
	return false
}

// write makes an export of entries and damage.
func write(t testing.TB, format logexport.Format, about logexport.About, entries []audit.Entry, damage []translog.Damage) []byte {
	t.Helper()
	var out bytes.Buffer
	x, err := logexport.New(&out, format, about)
	if err == nil {
		err = x.Page(entries, damage)
	}
	if err == nil {
		err = x.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

const boot = "11111111-2222-3333-4444-555555555555"

func about() logexport.About {
	return logexport.About{Station: "ems-1", Name: "Maple County <EMS>", Role: "ems", Jurisdiction: "us/maple-county", Version: "v1.2.3",
		Generated: time.Date(2026, 11, 4, 1, 2, 3, 0, time.UTC)}
}

// hostile is text that an entry can carry and that every format must tame.
const hostile = `=HYPERLINK("x";=1+1);'-2+3; @SUM(1), <b>&amp;]]></Event> "q" \u0041 \ ＝1 ä 日本 🗳`

// samples are entries of every event in every form that it can have, half of
// them full of hostile text.
func samples() []audit.Entry {
	var out []audit.Entry
	add := func(e audit.Entry) {
		e.Seq, e.Boot, e.MonoUS = int64(len(out)), boot, int64(len(out))*1000
		e.Wall = time.Date(2026, 11, 3, 7, 0, 0, len(out)*1000, time.UTC).Format("2006-01-02T15:04:05.000000Z")
		e.WallTrusted = len(out)%3 > 0
		if len(out)%2 > 0 {
			def, _ := audit.Define(e.Event)
			e.Fields = map[string]string{}
			for _, f := range def.Fields {
				e.Fields[f] = hostile
			}
			e.Subject = audit.Subject{Medium: hostile, Package: "-1", Manifest: "@x", Station: "+", Person: "=uid 7"}
		}
		out = append(out, e)
	}
	for _, d := range audit.Catalogue() {
		for _, o := range append([]audit.Outcome{""}, audit.Outcomes()...) {
			switch {
			case !d.Action:
				add(audit.Entry{Event: d.ID, Phase: audit.PhaseEvent, Outcome: o})
			case o == "":
				add(audit.Entry{Event: d.ID, Phase: audit.PhaseIntent})
				add(audit.Entry{Event: d.ID, Phase: audit.PhaseIntent})
			default:
				add(audit.Entry{Event: d.ID, Phase: audit.PhaseOutcome, Ref: max(1, int64(len(out)-1)), Outcome: o})
			}
		}
	}
	return out
}

// places are damaged places of every kind.
func places() []translog.Damage {
	return []translog.Damage{
		{File: "checkpoints", Entry: -1, Until: -1, Detail: "the last checkpoint: \x1b[31m"},
		{File: "a.seg", Offset: 17, Entry: 4, Until: 4, Detail: "=foreign; bytes\x00\xff"},
		{File: "a.seg", Offset: 99, Entry: 9, Until: 10, Detail: "the checksum is wrong"},
		{File: "a.seg", Offset: 500, Entry: 12, Until: 20, Detail: "\u202e]]>"},
	}
}
