// Package report makes what an election office publishes of results: the
// NIST election results report (SP 1500-100 version 2), and the reports that
// VVSG 2.0 section 1.1.9 asks for as HTML, PDF and CSV, one by one or as a folder
// of static files. It also reads others' results reports, and puts the reports
// of several counties together to one.
//
// It counts nothing: what it is given is checked ([results.Results.Check]) and
// shown. It knows no ballots, no store and no device, and has no clock: the same
// results give the same bytes. Documents of others that it reads were checked by
// package cdf or clarity as to their form; what they say is foreign, and is
// refused where it contradicts itself. Names in them are text and never markup,
// path or formula.
package report

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"strings"

	"sallyport/internal/ems/page"
	"sallyport/internal/ems/results"
)

// Options say how reports are printed. The zero value is good.
type Options struct {
	Size  page.Size
	Fonts page.Fonts // of PDF files
	// Application made the report: SP 1500-100's VendorApplicationId.
	Application string
	// Language of texts, BCP 47; empty: "en-US".
	Language string
}

func (o Options) language() string {
	if o.Language == "" {
		return "en-US"
	}
	return o.Language
}

// Report is one report in a form that can be written as HTML, PDF or CSV.
type Report struct {
	Name     string // of files, such as "summary"
	Document *page.Document
	// Table is the report for programs: a header, then rows of the same length.
	// Counts are digits; a count that is withheld is the word "withheld", and
	// one that the source does not have is empty.
	Table [][]string
	// About says in pairs of name and value what the report is of.
	About [][2]string

	fonts page.Fonts
}

// WriteHTML writes the report as one static HTML file.
func (p *Report) WriteHTML(w io.Writer) error { return p.Document.WriteHTML(w) }

// WritePDF writes the report as tagged PDF.
func (p *Report) WritePDF(w io.Writer) error { return p.Document.WritePDF(w, p.fonts) }

// WriteCSV writes the report as CSV (RFC 4180, UTF-8): the lines of About, an
// empty line, then Table. A text that a spreadsheet would take for a formula
// begins with an apostrophe.
func (p *Report) WriteCSV(w io.Writer) error {
	var b bytes.Buffer
	out := csv.NewWriter(&b)
	out.UseCRLF = true
	for _, pair := range p.About {
		if err := out.Write([]string{pair[0], inert(pair[1])}); err != nil {
			return fmt.Errorf("cannot write a report as CSV: %w", err)
		}
	}
	out.Flush()
	b.WriteString("\r\n")
	line := make([]string, 0, 16)
	for _, row := range p.Table {
		line = line[:0]
		for _, cell := range row {
			line = append(line, inert(cell))
		}
		if err := out.Write(line); err != nil {
			return fmt.Errorf("cannot write a report as CSV: %w", err)
		}
	}
	out.Flush()
	if _, err := w.Write(b.Bytes()); err != nil {
		return fmt.Errorf("cannot write a report as CSV: %w", err)
	}
	return nil
}

// inert is a text that no spreadsheet evaluates.
func inert(s string) string {
	if s != "" && strings.IndexByte("=+-@\t\r", s[0]) >= 0 {
		return "'" + s
	}
	return s
}

// view is results with what several reports need of them.
type view struct {
	r         *results.Results
	opt       Options
	precincts []results.Group
	methods   []string
	units     map[string]*results.Unit
	parties   map[string]string
	reported  []bool      // by precinct
	head      [][2]string // what every report says
}

// ErrPollsOpen means that votes would be shown before the polls close (VVSG 2.0,
// 1.1.9-K).
var ErrPollsOpen = errors.New("no votes are shown before the polls close")

// look checks results before anything of them is shown.
func look(r *results.Results, opt Options) (*view, error) {
	if err := presentable(r); err != nil {
		return nil, err
	}
	v := &view{r: r, opt: opt, precincts: r.Precincts(), methods: r.Methods(), units: map[string]*results.Unit{}, parties: map[string]string{}}
	for i := range r.Units {
		v.units[r.Units[i].ID] = &r.Units[i]
	}
	for _, p := range r.Parties {
		v.parties[p.ID] = first(p.Abbreviation, p.Name, p.ID)
	}
	v.reported = r.Reported(v.precincts)
	v.head = v.about()
	return v, nil
}

// presentable checks that results may be shown.
func presentable(r *results.Results) error {
	if err := r.Check(); err != nil {
		return err
	}
	if r.Status != results.PreElection {
		return nil
	}
	for i := range r.Contests {
		if t := r.Contests[i].Total(); t.Suppressed || t.Cast()+t.Overvotes > 0 {
			return fmt.Errorf("cannot make a report: %w, and the results are of status %s", ErrPollsOpen, r.Status)
		}
	}
	return nil
}

func first(texts ...string) string {
	for _, s := range texts {
		if s != "" {
			return s
		}
	}
	return ""
}
