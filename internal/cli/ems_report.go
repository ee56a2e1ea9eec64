package cli

import (
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"text/tabwriter"

	"sallyport/internal/control"
	"sallyport/internal/ems/page"
	"sallyport/internal/ems/report"
	"sallyport/internal/ems/results"
	"sallyport/internal/station"
	"sallyport/internal/verdict"
)

// printing are the flags of commands that print reports.
type printing struct {
	Size     string   `enum:"letter,legal,a4" default:"letter" help:"Paper of PDF files: letter, legal or a4."`
	Font     []string `help:"Font file (TrueType) for scripts that the built-in ones lack." placeholder:"FILE"`
	Suppress int64    `help:"Withhold counts of fewer ballots than this, and as many others as it takes that they cannot be worked out." placeholder:"N"`
}

func (p *printing) options() (report.PublicOptions, error) {
	o := report.PublicOptions{Minimum: p.Suppress}
	o.Application = "Sallyport " + station.Version()
	o.Size = map[string]page.Size{"letter": page.Letter, "legal": page.Legal, "a4": page.A4}[p.Size]
	for _, path := range p.Font {
		data, err := readDocument("font", path)
		if err != nil {
			return o, err
		}
		o.Fonts.Fallback = append(o.Fonts.Fallback, page.Font{Name: filepath.Base(path), Data: data})
	}
	return o, nil
}

type reportCmd struct {
	anElection
	Out  string `required:"" help:"Folder to make: pages, PDF and CSV files and the NIST report. With --form, a file: .html, .pdf, .csv, .json or .xml." placeholder:"PATH"`
	Form string `enum:"all,summary,statement,canvass,turnout,methods,rounds,write-ins,zero,nist" default:"all" help:"One report alone: summary, statement (of votes cast), canvass (by precinct), turnout, methods, rounds (ranked), write-ins, zero, nist (SP 1500-100)."`
	printing
}

// reported is what 'ems report' and 'ems rollup' print.
type reported struct {
	Election string            `json:"election"`
	Status   results.Status    `json:"status"`
	Sequence int64             `json:"sequence"`
	State    string            `json:"state_digest,omitempty"`
	Out      string            `json:"out"`
	Files    []report.File     `json:"files,omitempty"`
	Contests []reportedContest `json:"contests"`
	Notes    []string          `json:"notes,omitempty"`
}

type reportedContest struct {
	ID    string `json:"id"`
	Title string `json:"title"`
	State string `json:"state"`
	// TooEarly: the state is only what would come of the votes counted so far.
	TooEarly bool     `json:"too_early"`
	Winners  []string `json:"winners"`
}

func (c *reportCmd) Run(a *app) error {
	opt, err := c.options()
	if err != nil {
		return err
	}
	if err := checkNew(c.Out); err != nil {
		return err
	}
	r, err := aboutElection(a, c.Election, func(k core, id string) (*results.Results, error) { return k.GiveOut(a.ctx, id, c.Form) })
	if err != nil {
		return err
	}
	if r.Status == results.PreElection && c.Form != "zero" {
		return control.Failf(codeFailed, "the results have no status yet: say that they are partial or complete with 'sallyport ems set-status %s unofficial-partial' (or unofficial-complete) first", verdict.Escape(r.ElectionID))
	}
	out, err := writeReport(c.Out, c.Form, r, opt)
	if err != nil {
		return err
	}
	return a.print(out, func(w io.Writer) { showReported(w, out) })
}

// writeReport writes the folder, or one file.
func writeReport(path, form string, r *results.Results, opt report.PublicOptions) (*reported, error) {
	out := outcomes(r)
	out.Out = path
	if form == "all" {
		err := newFolder(path, func(create func(string) (io.WriteCloser, error)) (err error) {
			out.Files, err = report.WritePublic(create, r, opt)
			return err
		})
		return out, err
	}
	if opt.Minimum > 0 {
		var err error
		if r, err = results.Suppress(r, opt.Minimum); err != nil {
			return nil, err
		}
	}
	return out, newFile(path, func(w io.Writer) error { return writeForm(w, filepath.Ext(path), form, r, opt.Options) })
}

func writeForm(w io.Writer, ext, form string, r *results.Results, opt report.Options) error {
	if form == "nist" {
		doc, err := report.ERR(r, opt)
		if err != nil {
			return err
		}
		switch ext {
		case ".json":
			return doc.WriteJSON(w)
		case ".xml":
			return doc.WriteXML(w)
		}
		return control.Failf(control.CodeUsage, "the NIST report is a .json or a .xml file")
	}
	forms := map[string]func(*results.Results, report.Options) (*report.Report, error){
		"summary": report.Summary, "statement": report.StatementOfVotes, "canvass": report.PrecinctCanvass, "turnout": report.Turnout,
		"methods": report.ByMethod, "rounds": report.RankedRounds, "write-ins": report.WriteIns, "zero": report.ZeroReport}
	p, err := forms[form](r, opt)
	if err != nil {
		return err
	}
	switch ext {
	case ".html":
		return p.WriteHTML(w)
	case ".pdf":
		return p.WritePDF(w)
	case ".csv":
		return p.WriteCSV(w)
	}
	return control.Failf(control.CodeUsage, "a report is a .html, a .pdf or a .csv file")
}

// outcomes says who won, as far as that can be said.
func outcomes(r *results.Results) *reported {
	out := &reported{Election: r.ElectionID, Status: r.Status, Sequence: r.Sequence, State: r.StateDigest, Contests: []reportedContest{}}
	for i := range r.Contests {
		o := r.Outcome(&r.Contests[i])
		x := reportedContest{ID: r.Contests[i].ID, Title: r.Contests[i].Title, State: string(o.State), TooEarly: o.TooEarly, Winners: []string{}}
		for _, w := range o.Winners {
			x.Winners = append(x.Winners, w.Name)
		}
		out.Contests = append(out.Contests, x)
	}
	return out
}

func showReported(w io.Writer, r *reported) {
	fmt.Fprintf(w, "%s, %s, report %d\n", verdict.Escape(r.Election), report.StatusWords(r.Status), r.Sequence)
	tw := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	for _, c := range r.Contests {
		state := c.State
		if c.TooEarly {
			state = "so far: " + state
		}
		fmt.Fprintf(tw, "  %s\t%s\t%s\n", verdict.Escape(c.Title), state, verdict.Escape(strings.Join(c.Winners, "; ")))
	}
	tw.Flush()
	for _, n := range r.Notes {
		fmt.Fprintln(w, "  note:", verdict.Escape(n))
	}
	if len(r.Files) > 0 {
		fmt.Fprintf(w, "wrote %d files to %s; open index.html there\n", len(r.Files), verdict.Escape(r.Out))
		return
	}
	fmt.Fprintln(w, "wrote", verdict.Escape(r.Out))
}
