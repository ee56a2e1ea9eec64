package logexport

import (
	"bufio"
	"encoding/csv"
	"maps"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"sallyport/internal/audit"
	"sallyport/internal/strictjson"
	"sallyport/internal/translog"
)

// columns are the header of every CSV export. New ones come at the end; none
// goes and none moves.
var columns = [...]string{
	"seq", "event", "severity", "phase", "ref", "outcome", "wall", "wall_trusted", "boot", "mono_us",
	"medium", "package", "manifest", "station", "person", "reason", "where", "detail", "fields", "hash",
}

// table writes CSV (RFC 4180): a header, CRLF, quotes where they are needed.
type table struct {
	csv    *csv.Writer
	common []string // fields with a column of their own
}

func (t *table) begin(w *bufio.Writer, _ *About) error {
	t.csv = csv.NewWriter(w) // which takes w as it is: it is a bufio.Writer of enough size
	t.csv.UseCRLF = true
	t.common = audit.CommonFields()
	return t.csv.Write(columns[:])
}

func (t *table) end(*bufio.Writer) error {
	t.csv.Flush()
	return t.csv.Error()
}

func (t *table) entry(_ *bufio.Writer, in *input) error {
	e := in.Entry
	more := maps.Clone(e.Fields)
	for _, name := range t.common {
		if more[name] != "" {
			delete(more, name)
		}
	}
	fields := ""
	if len(more) > 0 {
		b, err := strictjson.Encode(more)
		if err != nil {
			return err
		}
		fields = string(b)
	}
	ref := ""
	if e.Ref != 0 {
		ref = strconv.FormatInt(e.Ref, 10)
	}
	s := e.Subject
	return t.row(strconv.FormatInt(e.Seq, 10), string(e.Event), string(in.def.Severity), string(e.Phase), ref, string(e.Outcome),
		e.Wall, strconv.FormatBool(e.WallTrusted), e.Boot, strconv.FormatInt(e.MonoUS, 10),
		s.Medium, s.Package, s.Manifest, s.Station, s.Person,
		e.Fields["reason"], e.Fields["where"], e.Fields["detail"], fields, leafHash(in.logged))
}

func (t *table) damage(_ *bufio.Writer, d *translog.Damage) error {
	where := d.File
	if where != "" {
		where += ", byte " + strconv.FormatInt(d.Offset, 10)
	}
	return t.row(place(d), damagedID, string(audit.Critical), "", "", "", "", "", "", "", "", "", "", "", "", "", where, d.Detail, "", "")
}

func (t *table) row(cells ...string) error {
	for i := range cells {
		cells[i] = guard(cells[i])
	}
	return t.csv.Write(cells)
}

// guard keeps a spreadsheet from taking a cell, or a part of it that the
// spreadsheet cuts off at its own separator (a semicolon in half of Europe, a
// tab), for a formula: an apostrophe goes before whatever would begin one. One
// also goes before an apostrophe that stands there, so that removing one at
// each of these places gives the text back.
func guard(s string) string {
	if !formula(s) && !strings.ContainsAny(s, separators) {
		return s
	}
	var b strings.Builder
	begins := true
	for i, r := range s {
		if begins && formula(s[i:]) {
			b.WriteByte('\'')
		}
		b.WriteRune(r)
		begins = strings.ContainsRune(separators, r)
	}
	return b.String()
}

// separators end a cell in some spreadsheet, whatever RFC 4180 says.
const separators = ";\t\r\n"

// formula says whether a spreadsheet may compute s, or whether it is guarded
// already. The wide forms of the signs work as well in some of them.
func formula(s string) bool {
	if strings.HasPrefix(s, "'") {
		return true
	}
	r, _ := utf8.DecodeRuneInString(strings.TrimLeftFunc(s, unicode.IsSpace))
	switch r {
	case '=', '+', '-', '@', '＝', '＋', '－', '＠':
		return true
	}
	return false
}
