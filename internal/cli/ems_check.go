package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"sallyport/internal/control"
	"sallyport/internal/ems"
	"sallyport/internal/ems/cdf"
	"sallyport/internal/ems/define"
	"sallyport/internal/ems/dialect"
	"sallyport/internal/ems/model"
	"sallyport/internal/verdict"
)

type emsCheckCmd struct {
	File       string `arg:"" optional:"" help:"A file or folder: a document of NIST SP 1500-20, 1500-100 or 1500-103 (JSON or XML), a CSV set, or cast vote records of a vendor." xor:"what"`
	Draft      string `help:"Check the newest draft of this election instead (of --db)." placeholder:"ELECTION" xor:"what"`
	Definition string `help:"Read cast vote records of SP 1500-103 against this definition, of any length." placeholder:"FILE"`
	Lenient    bool   `help:"Read documents near the standard too, and list where they depart from it."`
}

// checked is what 'ems check' prints.
type checked struct {
	Error *problem `json:"error,omitzero"`
	Of    string   `json:"of"`
	// Is says what it is; empty when that was not found out.
	Is         string           `json:"is"`
	Ballots    int64            `json:"ballots,omitzero"` // records that were read
	Problems   []define.Problem `json:"problems"`
	Deviations []deviation      `json:"deviations"`
}

// deviation is a liberty that was taken in reading.
type deviation struct {
	Where       string `json:"where"`
	Rule        string `json:"rule"`
	Consequence string `json:"consequence"`
	Count       int    `json:"count"`
}

func (c *emsCheckCmd) Run(a *app) error {
	r := &checked{Of: c.File + c.Draft, Problems: []define.Problem{}, Deviations: []deviation{}}
	if err := c.check(a, r); err != nil {
		p, ok := fromFinding(err)
		if !ok {
			return err
		}
		if p.Rule == string(verdict.OverLimit) && c.Definition == "" {
			p.Text += " (cast vote records of any length are read with --definition)"
		}
		r.Problems = append(r.Problems, p)
	}
	bad := errorsOf(r.Problems)
	if len(bad) > 0 {
		r.Error = &problem{Code: codeContent, Message: fmt.Sprintf("%s has %s", verdict.Escape(r.Of), count(len(bad), "error"))}
	}
	if err := a.print(r, r.show); err != nil {
		return err
	}
	if r.Error != nil {
		return exit{r.Error.status()}
	}
	return nil
}

func (r *checked) show(w io.Writer) {
	is := r.Is
	if is == "" {
		is = "not known here"
	}
	fmt.Fprintf(w, "%s: %s\n", verdict.Escape(r.Of), printable(is))
	if r.Ballots > 0 {
		fmt.Fprintf(w, "  %s\n", count(int(r.Ballots), "record"))
	}
	showProblems(w, r.Problems)
	for _, d := range r.Deviations {
		fmt.Fprintf(w, "  deviation %s: %s, %d times; %s\n", d.Rule, printable(d.Where), d.Count, printable(d.Consequence))
	}
	warnings := len(r.Problems) - len(errorsOf(r.Problems))
	fmt.Fprintf(w, "%s, %s, %s\n", count(len(r.Problems)-warnings, "error"), count(warnings, "warning"), count(len(r.Deviations), "deviation"))
}

func (c *emsCheckCmd) check(a *app, r *checked) error {
	switch {
	case c.Draft != "":
		d, err := withDesk(a, reading, func(k *ems.Core) (*ems.Draft, error) { return a.lastDraft(k, c.Draft, 0) })
		if err != nil {
			return err
		}
		r.Is = fmt.Sprintf("draft %d of a ballot definition, SHA-256 %s", d.Revision, d.SHA256)
		_, r.Problems = reviewed(d.Definition)
		return nil
	case c.File == "":
		return control.Failf(control.CodeUsage, "name a file or folder, or an election with --draft")
	}
	st, err := os.Stat(c.File)
	if err != nil {
		return control.Failf(control.CodeUsage, "cannot check %s: %v", verdict.Escape(c.File), err)
	}
	if st.IsDir() {
		if _, err := os.Stat(filepath.Join(c.File, "election.csv")); err == nil {
			return c.set(a, r)
		}
		return c.vendor(a, r)
	}
	first, err := firstByte(c.File)
	if err != nil {
		return control.Failf(control.CodeUsage, "cannot read %s: %v", verdict.Escape(c.File), err)
	}
	if first == '{' || first == '<' {
		return c.standard(a, r)
	}
	return c.vendor(a, r)
}

// firstByte is the first byte of a file that is neither white space nor a byte
// order mark; 0 when there is none among the first few.
func firstByte(file string) (byte, error) {
	f, _, err := openPlain(file, 0)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	head := make([]byte, 512)
	n, err := io.ReadFull(f, head)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return 0, err
	}
	text := strings.TrimLeft(strings.TrimPrefix(string(head[:n]), "\ufeff"), " \t\r\n")
	if text == "" {
		return 0, nil
	}
	return text[0], nil
}

// set checks a CSV set.
func (c *emsCheckCmd) set(_ *app, r *checked) error {
	r.Is = "a CSV set"
	fsys, err := tables(c.File)
	if err != nil {
		return err
	}
	d, bad := define.ReadSet(fsys)
	if d == nil {
		r.Problems = bad
		return nil
	}
	_, r.Problems = reviewed(d)
	return nil
}

// standard checks a document of a common data format.
func (c *emsCheckCmd) standard(a *app, r *checked) error {
	docs, err := cdf.New()
	if err != nil {
		return err
	}
	f, _, err := openPlain(c.File, 0)
	if err != nil {
		return control.Failf(control.CodeUsage, "cannot read %s: %v", verdict.Escape(c.File), err)
	}
	defer f.Close()
	r.Is = "a document of a common data format of NIST"
	in := bufio.NewReaderSize(f, 256<<10)
	if c.Definition != "" {
		return c.records(a.ctx, docs, in, r)
	}
	doc, deviations, err := docs.ReadDocument(a.ctx, filepath.Base(c.File), in, cdf.ReadOptions{Lenient: c.Lenient})
	r.deviate(deviations)
	if err != nil {
		return err
	}
	names := map[cdf.Format]string{cdf.BD: "ballot definition", cdf.ERR: "election results report", cdf.CVR: "cast vote records"}
	r.Is = fmt.Sprintf("%s (NIST %s)", names[doc.Format], doc.Format)
	switch doc.Format {
	case cdf.CVR:
		r.Ballots = int64(len(doc.Root.List("CVR")))
	case cdf.BD:
		d, err := definitionOf(doc)
		if err != nil {
			return err
		}
		_, r.Problems = reviewed(d)
	}
	return nil
}

// records reads cast vote records against a definition.
func (c *emsCheckCmd) records(ctx context.Context, docs *cdf.Reader, in io.Reader, r *checked) error {
	r.Is = "cast vote records (NIST SP 1500-103)"
	data, err := readDefinitionFile(c.Definition)
	if err != nil {
		return err
	}
	v, err := docs.Election(filepath.Base(c.Definition), data)
	if err != nil {
		return err
	}
	want := cdf.Want{Definition: v.Compiled(), ElectionID: firstID(v.Definition())}
	deviations, err := docs.ReadRecords(ctx, filepath.Base(c.File), in, want, cdf.ReadOptions{Lenient: c.Lenient}, func(*model.Ballot) error {
		r.Ballots++
		return nil
	})
	r.deviate(deviations)
	return err
}

// readDefinitionFile reads the bytes of a definition, within their budget.
func readDefinitionFile(file string) ([]byte, error) {
	f, _, err := openPlain(file, 0)
	if err != nil {
		return nil, control.Failf(control.CodeUsage, "cannot read the definition: %v", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, cdf.MaxDefinition+1))
	if err != nil {
		return nil, control.Failf(codeFailed, "cannot read the definition: %v", err)
	}
	return data, nil
}

func (r *checked) deviate(list []cdf.Deviation) {
	for _, d := range list {
		r.Deviations = append(r.Deviations, deviation{d.Where, d.Rule, d.Consequence, d.Count})
	}
}

// vendor checks an export of cast vote records in a vendor's format.
func (c *emsCheckCmd) vendor(a *app, r *checked) error {
	path := filepath.Clean(c.File)
	fsys, name := os.DirFS(filepath.Dir(path)), filepath.Base(path)
	kind, why, err := dialect.Detect(fsys, name)
	if err != nil {
		return err
	}
	r.Is = fmt.Sprintf("cast vote records in the dialect %s (%s)", kind, why)
	src, err := dialect.Open(kind, fsys, name)
	if err != nil {
		return err
	}
	err = src.Ballots(a.ctx, func(*dialect.Ballot) error {
		r.Ballots++
		return nil
	})
	for _, d := range src.Deviations() {
		r.Deviations = append(r.Deviations, deviation{d.Where, string(d.Rule), d.Consequence, d.Count})
	}
	return errors.Join(err, src.Close())
}
