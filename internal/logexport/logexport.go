// Package logexport writes the audit log for others: as NIST SP 1500-101
// election event logs (JSON and XML) with their documentation, as JSON lines
// and as CSV; FORMAT.md has the mapping. It writes entry by entry and keeps
// none, so that a log of any length fits, and it verifies nothing: each entry
// carries its hash, so that whoever reads the export can. It is not a backup
// and no reader of these formats. Entries are foreign text as far as they come
// from a log: one that the catalogue does not allow is named as damaged, its
// content is left out, and every text is escaped for the format it stands in.
package logexport

import (
	"bufio"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"sallyport/internal/audit"
	"sallyport/internal/translog"
	"sallyport/internal/verdict"
)

// Format is how an export is written.
type Format string

// The formats.
const (
	CDFJSON   Format = "cdf-json" // NIST SP 1500-101 version 1
	CDFXML    Format = "cdf-xml"  // the same in XML
	JSONLines Format = "jsonl"    // the entries as they were logged, one a line
	CSV       Format = "csv"      // RFC 4180
)

// Formats lists all of them.
func Formats() []Format { return []Format{CDFJSON, CDFXML, JSONLines, CSV} }

// About is what an export says of the log that it was made of. All of it is
// for people and decides nothing; members that are not known stay empty.
type About struct {
	Station      string // its id
	Name         string
	Role         string
	Jurisdiction string
	Version      string // of the software
	// Entries counts those of the whole log when the export began.
	Entries int64
	// Checkpoint is the last signed note over the log (C2SP tlog-checkpoint).
	Checkpoint string
	// Filter says which entries were asked for.
	Filter    audit.Filter
	Generated time.Time
}

// escaped makes the texts fit to be shown. A checkpoint keeps its line ends, for
// its signature is over its bytes; one that holds anything else which cannot be
// seen is none.
func (a About) escaped() About {
	for _, s := range []*string{&a.Station, &a.Name, &a.Role, &a.Jurisdiction, &a.Version, &a.Filter.Event, &a.Filter.About,
		&a.Filter.Subject.Medium, &a.Filter.Subject.Package, &a.Filter.Subject.Manifest, &a.Filter.Subject.Station, &a.Filter.Subject.Person} {
		*s = verdict.Escape(*s)
	}
	a.Filter.Outcome = audit.Outcome(verdict.Escape(string(a.Filter.Outcome)))
	hidden := func(r rune) bool { return r != '\n' && !strconv.IsGraphic(r) || r == utf8.RuneError }
	if strings.ContainsFunc(a.Checkpoint, hidden) {
		a.Checkpoint = verdict.Escape(a.Checkpoint)
	}
	a.Generated = a.Generated.UTC()
	return a
}

// encoder is one format. It sees only entries that the catalogue allows, and
// damage whose texts are escaped. Errors of writing stick to w.
type encoder interface {
	begin(w *bufio.Writer, about *About) error
	entry(w *bufio.Writer, in *input) error
	damage(w *bufio.Writer, d *translog.Damage) error
	end(w *bufio.Writer) error
}

// input is one entry with what the catalogue says of its event.
type input struct {
	*audit.Entry
	def    audit.Definition
	logged []byte // the entry's bytes in the log
}

// maxPlaces bounds the damaged places that a summary names.
const maxPlaces = 20

// Summary says what an export holds.
type Summary struct {
	Entries int64
	// Damaged counts damaged places, which the export names where they were
	// found; Places are the first twenty of them.
	Damaged int64
	Places  []string
}

// Writer writes one export. Entries and damage come in the order of the log.
type Writer struct {
	w    *bufio.Writer
	enc  encoder
	defs map[audit.EventID]audit.Definition // audit.Define would copy for each entry
	next int64                              // lowest seq that may come
	sum  Summary
}

// New begins an export on w in one of the formats.
func New(w io.Writer, format Format, about About) (*Writer, error) {
	x := &Writer{w: bufio.NewWriterSize(w, 64<<10), defs: map[audit.EventID]audit.Definition{}}
	for _, d := range audit.Catalogue() {
		x.defs[d.ID] = d
	}
	switch format {
	case CDFJSON:
		x.enc = &cdfJSON{}
	case CDFXML:
		x.enc = &cdfXML{}
	case JSONLines:
		x.enc = lines{}
	case CSV:
		x.enc = &table{}
	default:
		return nil, fmt.Errorf("cannot export the audit log: there is no format %q; there are %v", verdict.Escape(string(format)), Formats())
	}
	about = about.escaped()
	return x, failed(x.enc.begin(x.w, &about))
}

// Entry writes one entry. One that the catalogue does not allow is named as
// damaged instead, and what it carries does not get out.
func (x *Writer) Entry(e *audit.Entry) error {
	logged, err := e.Encode()
	if err != nil {
		return x.Damage(&translog.Damage{Entry: e.Seq, Until: e.Seq + 1, Detail: "not a valid audit entry: " + err.Error()})
	}
	if e.Seq < x.next {
		return failed(fmt.Errorf("entry %d came where %d or a later one was due", e.Seq, x.next))
	}
	x.next = e.Seq + 1
	x.sum.Entries++
	return failed(x.enc.entry(x.w, &input{e, x.defs[e.Event], logged}))
}

// Damage names a damaged place.
func (x *Writer) Damage(d *translog.Damage) error {
	shown := *d
	shown.File, shown.Detail = verdict.Escape(d.File), verdict.Escape(d.Detail)
	x.sum.Damaged++
	if len(x.sum.Places) < maxPlaces {
		x.sum.Places = append(x.sum.Places, shown.Error())
	}
	return failed(x.enc.damage(x.w, &shown))
}

// Page writes a page, entries and damage in the order of the log.
func (x *Writer) Page(entries []audit.Entry, damage []translog.Damage) error {
	for i := range entries {
		for len(damage) > 0 && damage[0].Entry <= entries[i].Seq {
			if err := x.Damage(&damage[0]); err != nil {
				return err
			}
			damage = damage[1:]
		}
		if err := x.Entry(&entries[i]); err != nil {
			return err
		}
	}
	for i := range damage {
		if err := x.Damage(&damage[i]); err != nil {
			return err
		}
	}
	return nil
}

// Close ends the export; without it the document is not whole. It does not
// close what New was given.
func (x *Writer) Close() error {
	if err := x.enc.end(x.w); err != nil {
		return failed(err)
	}
	return failed(x.w.Flush())
}

// Summary is what was written so far.
func (x *Writer) Summary() Summary {
	s := x.sum
	s.Places = slices.Clone(s.Places)
	return s
}

func failed(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("cannot write the export of the audit log: %w", err)
}
