package cli

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"sallyport/internal/control"
	"sallyport/internal/ems"
	"sallyport/internal/ems/define"
	"sallyport/internal/ems/election"
	"sallyport/internal/ems/page"
	"sallyport/internal/verdict"
)

type emsStylesCmd struct {
	theElection
	Build bool `help:"Make the ballot styles from districts, precincts and parties, and keep them as a new draft; needs --who and --why."`
	styleRules
	Matrix bool   `help:"Print which contests voters get in each precinct."`
	CSV    string `name:"csv" help:"Write that table as CSV." placeholder:"FILE"`
	HTML   string `name:"html" help:"Write that table as a page." placeholder:"FILE"`
	PDF    string `name:"pdf" help:"Write that table as PDF." placeholder:"FILE"`
	Diff   int    `help:"Say what is different from this draft, styles and matrix alone." placeholder:"REVISION"`
	Who    string `help:"With --build: who decides this." placeholder:"NAME"`
	Why    string `help:"With --build: why." placeholder:"TEXT"`
}

// styleList is what 'ems styles' prints.
type styleList struct {
	Election       string         `json:"election"`
	SHA256         string         `json:"sha256"` // of the definition
	Revision       int            `json:"revision"`
	BallotHash     string         `json:"ballot_hash"`
	BallotHashCode string         `json:"ballot_hash_code"`
	Styles         []styleRow     `json:"styles"`
	Matrix         *styleMatrix   `json:"matrix,omitzero"`
	Files          []string       `json:"files"`
	Built          *savedDraft    `json:"built,omitzero"`
	Changes        define.Changes `json:"changes,omitzero"`
	v              *election.Valid
}

type styleRow struct {
	Code      string   `json:"code"`
	Precincts []string `json:"precincts"` // names
	Parties   []string `json:"parties"`
	Languages []string `json:"languages"`
	Contests  []string `json:"contests"` // ids
	Hash      string   `json:"hash"`
	HashCode  string   `json:"hash_code"`
}

type styleMatrix struct {
	Header []string   `json:"header"`
	Rows   [][]string `json:"rows"`
}

func (c *emsStylesCmd) Run(a *app) error {
	use := reading
	switch {
	case c.Build:
		use = changing
		if c.Who == "" || c.Why == "" {
			return control.Failf(control.CodeUsage, "--build keeps a new draft: say who decides it and why, with --who and --why")
		}
	case c.given():
		return control.Failf(control.CodeUsage, "--rotation, --alphabet and --language say how --build makes the styles")
	}
	for _, file := range []string{c.CSV, c.HTML, c.PDF} {
		if file != "" {
			if err := checkNew(file); err != nil {
				return err
			}
		}
	}
	list, err := withDesk(a, use, func(k *ems.Core) (*styleList, error) { return c.list(a, k) })
	if err != nil {
		return err
	}
	if err := c.write(list); err != nil {
		return err
	}
	return a.print(list, func(w io.Writer) { c.show(w, list) })
}

func (c *emsStylesCmd) list(a *app, k *ems.Core) (*styleList, error) {
	var built *savedDraft
	if c.Build {
		former, err := a.lastDraft(k, c.Election, 0)
		if err != nil {
			return nil, err
		}
		d, bad := define.BuildStyles(former.Definition, c.of(former.Definition))
		if d == nil {
			return nil, a.refuse(bad, "the ballot styles cannot be made: %s", count(len(bad), "problem"))
		}
		if built, err = a.keep(k, d, ems.By{Who: c.Who, Why: c.Why}, former, stylesMade); err != nil {
			return nil, err
		}
	}
	f, err := a.latest(k, c.Election)
	if err != nil {
		return nil, err
	}
	if f.Valid == nil {
		return nil, a.refuse(fromCheck(f.Problems), "the ballot styles cannot be listed: the definition has %s", count(len(f.Problems), "error"))
	}
	list, err := listStyles(f.Valid)
	if err != nil {
		return nil, err
	}
	list.Election, list.SHA256, list.Revision, list.Built = c.Election, f.SHA256, f.Revision, built
	if c.Matrix {
		m := define.Matrix(f.Valid)
		list.Matrix = &styleMatrix{m.Header(), m.Rows()}
	}
	return list, c.differ(a, k, list)
}

// differ lists what is different from an earlier draft in styles and matrix.
func (c *emsStylesCmd) differ(a *app, k *ems.Core, list *styleList) error {
	if c.Diff == 0 {
		return nil
	}
	was, err := a.lastDraft(k, c.Election, c.Diff)
	if err != nil {
		return err
	}
	d, err := a.compare(fmt.Sprintf("draft %d", c.Diff), was.Definition, "now", list.v.Definition())
	if err != nil {
		return err
	}
	list.Changes = define.Changes{}
	for _, x := range d.Changes {
		if x.Class == "style" || x.Class == "precinct" {
			list.Changes = append(list.Changes, x)
		}
	}
	return nil
}

// listStyles describes the ballot styles of a definition.
func listStyles(v *election.Valid) (*styleList, error) {
	whole, err := define.BallotHash(v)
	if err != nil {
		return nil, err
	}
	hashes, err := define.StyleHashes(v)
	if err != nil {
		return nil, err
	}
	byCode := map[string]define.Hash{}
	for _, h := range hashes {
		byCode[h.Style] = h.Hash
	}
	list := &styleList{BallotHash: whole.String(), BallotHashCode: whole.Code(), Styles: []styleRow{}, Files: []string{}, v: v}
	for i := range v.Election().Styles {
		s := &v.Election().Styles[i]
		h := byCode[s.Code()]
		row := styleRow{Code: s.Code(), Precincts: []string{}, Parties: []string{}, Languages: append([]string{}, s.Languages...), Contests: contestsOf(s), Hash: h.String(), HashCode: h.Code()}
		for _, id := range s.Units {
			name := v.Unit(id).Name.String()
			if name == "" {
				name = id
			}
			row.Precincts = append(row.Precincts, name)
		}
		for _, id := range s.Parties {
			row.Parties = append(row.Parties, v.Party(id).Name.String())
		}
		list.Styles = append(list.Styles, row)
	}
	return list, nil
}

func (c *emsStylesCmd) show(w io.Writer, l *styleList) {
	if l.Built != nil {
		l.Built.show(w)
	}
	fmt.Fprintf(w, "election %s, ballot hash %s\n", verdict.Escape(l.Election), l.BallotHashCode)
	tw := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	fmt.Fprintln(tw, "STYLE\tHASH\tPARTY\tPRECINCTS\tCONTESTS")
	for _, s := range l.Styles {
		fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%s\n", verdict.Escape(s.Code), s.HashCode, orDash(verdict.Escape(strings.Join(s.Parties, ", "))), verdict.Escape(strings.Join(s.Precincts, ", ")), verdict.Escape(strings.Join(s.Contests, " ")))
	}
	tw.Flush()
	if l.Matrix != nil {
		fmt.Fprintf(w, "\n%s", printable(define.Matrix(l.v).Text()))
	}
	if l.Changes != nil {
		fmt.Fprintf(w, "\n%s of styles and precincts to draft %d\n%s", count(len(l.Changes), "change"), c.Diff, printable(l.Changes.Text()))
	}
	for _, f := range l.Files {
		fmt.Fprintf(w, "wrote %s\n", verdict.Escape(f))
	}
}

// write writes the matrix in the forms that are asked for.
func (c *emsStylesCmd) write(l *styleList) error {
	forms := []struct {
		file string
		make func() ([]byte, error)
	}{
		{c.CSV, func() ([]byte, error) { return define.Matrix(l.v).CSV() }},
		{c.HTML, func() ([]byte, error) { return asHTML(matrixPage(l.v, l.BallotHashCode)) }},
		{c.PDF, func() ([]byte, error) { return asPDF(matrixPage(l.v, l.BallotHashCode), page.Fonts{}) }},
	}
	for _, f := range forms {
		if f.file == "" {
			continue
		}
		data, err := f.make()
		if err != nil {
			return err
		}
		if err := writeFile(f.file, data); err != nil {
			return err
		}
		l.Files = append(l.Files, f.file)
	}
	return nil
}

// matrixPage is the matrix to print.
func matrixPage(v *election.Valid, code string) *page.Document {
	m := define.Matrix(v)
	t := &page.Table{Caption: "Contests in each precinct", HeaderColumns: 2}
	for _, h := range m.Header() {
		t.Columns = append(t.Columns, page.Column{Header: h})
	}
	for i := 3; i < len(t.Columns); i++ {
		t.Columns[i].Align = page.Center
	}
	for _, r := range m.Rows() {
		t.Rows = append(t.Rows, page.Row{Cells: r})
	}
	e := v.Election()
	return &page.Document{Title: "Precincts and contests, " + e.Name.String(), Lang: "en", Notice: "FOR PROOFING", Landscape: true,
		Blocks: []page.Block{
			page.KeyValues{Pairs: []page.Pair{{Key: "Election", Value: e.ExternalIDs[0].Value + ", " + e.StartDate}, {Key: "Ballot hash", Value: code}}},
			t,
		}, Footer: []string{"X: on the one ballot style there; otherwise the codes of the styles"}}
}

func asHTML(d *page.Document) ([]byte, error) {
	var b bytes.Buffer
	err := d.WriteHTML(&b)
	return b.Bytes(), err
}

func asPDF(d *page.Document, fonts page.Fonts) ([]byte, error) {
	var b bytes.Buffer
	err := d.WritePDF(&b, fonts)
	return b.Bytes(), err
}

// styleCSV is the list of styles as a table.
func (l *styleList) styleCSV() ([]byte, error) {
	var b bytes.Buffer
	w := csv.NewWriter(&b)
	w.UseCRLF = true
	rows := [][]string{{"style", "hash_code", "parties", "languages", "precincts", "contests", "hash"}}
	for _, s := range l.Styles {
		rows = append(rows, []string{plainCell(s.Code), s.HashCode, plainCell(strings.Join(s.Parties, "; ")), strings.Join(s.Languages, " "),
			plainCell(strings.Join(s.Precincts, "; ")), plainCell(strings.Join(s.Contests, " ")), s.Hash})
	}
	err := w.WriteAll(rows)
	return b.Bytes(), err
}

// plainCell keeps a text from being taken for a formula by a spreadsheet.
func plainCell(s string) string {
	if s != "" && strings.ContainsRune("=+-@\t\r", rune(s[0])) {
		return "'" + s
	}
	return s
}
