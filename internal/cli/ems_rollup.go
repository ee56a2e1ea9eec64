package cli

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"sallyport/internal/control"
	"sallyport/internal/ems/cdf"
	"sallyport/internal/ems/clarity"
	"sallyport/internal/ems/report"
	"sallyport/internal/ems/results"
	"sallyport/internal/strictjson"
	"sallyport/internal/verdict"
)

type rollupCmd struct {
	Reports        []string `arg:"" help:"Reports of the parts: NIST SP 1500-100 (JSON or XML) or Clarity XML, each FILE or NAME=FILE. A later one of the same name takes the older one's place."`
	Out            string   `required:"" help:"Folder to make." placeholder:"DIR"`
	Election       string   `required:"" help:"The election's id." placeholder:"ID"`
	Also           []string `help:"Other ids by which the parts call this election." placeholder:"ID"`
	Name           string   `help:"The election's name; without it, that of the first report." placeholder:"TEXT"`
	Scope          string   `required:"" help:"The unit that the whole is held in: id of a unit of the reports, or a new one." placeholder:"ID"`
	ScopeName      string   `help:"Its name, when it is new: 'State of …'." placeholder:"TEXT"`
	Issuer         string   `help:"Who puts the reports together; without it, that of the first report." placeholder:"TEXT"`
	Sequence       int64    `default:"1" help:"Number of this report, from 1." placeholder:"N"`
	Expect         []string `help:"Names of all parts; while one is missing the whole is partial." placeholder:"NAME"`
	Mapping        string   `help:"JSON file that says which contests and options mean the same: {\"contests\": {NAME: {ID: ID}}, \"choices\": …}." placeholder:"FILE"`
	AllowUnmatched bool     `help:"Let contests that only one part has stand alone, as local ones do."`
	printing
}

func (c *rollupCmd) Run(a *app) error {
	opt, err := c.options()
	if err != nil {
		return err
	}
	if err := checkNew(c.Out); err != nil {
		return err
	}
	r, rec, err := c.whole(a.ctx)
	if err != nil {
		return err
	}
	out, err := writeReport(c.Out, "all", r, opt)
	if err != nil {
		return err
	}
	out.Notes = reconciled(rec)
	return a.print(out, func(w io.Writer) { showReported(w, out) })
}

// reconciled says what went into the whole.
func reconciled(rec *report.Reconciliation) (notes []string) {
	for _, p := range rec.Parts {
		notes = append(notes, fmt.Sprintf("%s: report %d, %s", p.Source, p.Sequence, report.StatusWords(p.Status)))
	}
	for _, x := range rec.Replaced {
		notes = append(notes, fmt.Sprintf("%s: report %d was replaced by report %d", x.Source, x.Sequence, x.NewerBy))
	}
	for _, m := range rec.Missing {
		notes = append(notes, m+" is missing")
	}
	for _, m := range rec.Unmatched {
		notes = append(notes, fmt.Sprintf("%s: only this part has %s", m.Source, m.ID))
	}
	return notes
}

func (c *rollupCmd) whole(ctx context.Context) (*results.Results, *report.Reconciliation, error) {
	opt := report.RollUpOptions{Expected: c.Expect, AllowUnmatched: c.AllowUnmatched}
	if c.Mapping != "" {
		data, err := readDocument("mapping", c.Mapping)
		if err != nil {
			return nil, nil, err
		}
		var m struct {
			Contests map[string]map[string]string `json:"contests"`
			Choices  map[string]map[string]string `json:"choices"`
		}
		if err := strictjson.Decode(data, &m, maxDocument); err != nil {
			return nil, nil, control.Failf(control.CodeUsage, "%s is no mapping: %v", verdict.Escape(c.Mapping), err)
		}
		opt.Contests, opt.Choices = m.Contests, m.Choices
	}
	var sources []report.Source
	for _, x := range c.Reports {
		name, path, ok := strings.Cut(x, "=")
		if !ok {
			name, path = strings.TrimSuffix(filepath.Base(x), filepath.Ext(x)), x
		}
		r, err := readResults(ctx, path)
		if err != nil {
			return nil, nil, err
		}
		if r.ElectionID == "" || slices.Contains(c.Also, r.ElectionID) {
			r.ElectionID = c.Election
		}
		sources = append(sources, report.Source{Name: name, Results: r})
	}
	first := sources[0].Results
	opt.Whole = results.Results{ElectionID: c.Election, Name: cmp.Or(c.Name, first.Name), Type: first.Type, Date: first.Date, EndDate: first.EndDate, Issuer: cmp.Or(c.Issuer, first.Issuer), IssuerAbbreviation: cmp.Or(c.Issuer, first.IssuerAbbreviation),
		Test: first.Test, Sequence: c.Sequence, GeneratedAt: time.Now().UTC().Truncate(time.Second), ScopeID: c.Scope, Provenance: "put together of the reports of " + fmt.Sprint(len(sources)) + " parts"}
	if c.ScopeName != "" {
		opt.Whole.Units = []results.Unit{{ID: c.Scope, Name: c.ScopeName, Type: "state"}}
	}
	r, rec, err := report.RollUp(sources, opt)
	return r, rec, err
}

// readResults reads a report of results, of NIST's or Clarity's form.
func readResults(ctx context.Context, path string) (*results.Results, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, control.Failf(control.CodeUsage, "cannot read it: %v", err)
	}
	name := filepath.Base(path)
	if cdf.Sniff(data[:min(len(data), 64<<10)]) == cdf.ERR {
		docs, err := cdf.New()
		if err != nil {
			return nil, err
		}
		doc, _, err := docs.ReadDocument(ctx, name, bytes.NewReader(data), cdf.ReadOptions{Format: cdf.ERR})
		if err != nil {
			return nil, err
		}
		r, _, err := report.FromERR(doc)
		return r, err
	}
	rep, problems, err := clarity.ReadWithProblems(name, bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	r, _, err := report.FromClarity(rep, problems)
	return r, err
}
