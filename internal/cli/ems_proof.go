package cli

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"sallyport/internal/control"
	"sallyport/internal/ems"
	"sallyport/internal/ems/define"
	"sallyport/internal/ems/election"
	"sallyport/internal/ems/page"
	"sallyport/internal/ems/proof"
	"sallyport/internal/verdict"
)

// proofForm are the flags that say how ballots are proofed.
type proofForm struct {
	Language []string `help:"Languages of the proofs, the first one first; default: those of each style." placeholder:"TAG"`
	Font     []string `help:"TrueType fonts for characters that the built-in one does not have." placeholder:"FILE"`
	NoPDF    bool     `name:"no-pdf" help:"Pages (HTML) and text alone: a browser has fonts for every script."`
	Paper    string   `help:"letter, legal or a4." enum:"letter,legal,a4" default:"letter"`
}

type emsProofCmd struct {
	theElection
	Out   string   `required:"" help:"Folder to make; it must not exist." placeholder:"DIR"`
	Style []string `help:"Only these ballot styles, by their codes." placeholder:"CODE"`
	proofForm
}

// proofList is what 'ems proof' prints.
type proofList struct {
	Election       string     `json:"election"`
	SHA256         string     `json:"sha256"`
	BallotHash     string     `json:"ballot_hash"`
	BallotHashCode string     `json:"ballot_hash_code"`
	Folder         string     `json:"folder"`
	Proofs         []proofRow `json:"proofs"`
}

type proofRow struct {
	Style     string   `json:"style"`
	HashCode  string   `json:"hash_code"`
	Precincts []string `json:"precincts"`
	Languages []string `json:"languages"`
	Files     []string `json:"files"`
}

func (c *emsProofCmd) Run(a *app) error {
	if err := checkNew(c.Out); err != nil {
		return err
	}
	list, err := withDesk(a, reading, func(k *ems.Core) (*proofList, error) {
		f, err := a.latest(k, c.Election)
		if err != nil {
			return nil, err
		}
		if f.Valid == nil {
			return nil, a.refuse(fromCheck(f.Problems), "there are no proofs: the definition has %s", count(len(f.Problems), "error"))
		}
		list, files, err := c.make(f.Valid, c.Style, "")
		if err != nil {
			return nil, err
		}
		list.Election, list.SHA256, list.Folder = c.Election, f.SHA256, c.Out
		return list, writeFolder(c.Out, files)
	})
	if err != nil {
		return err
	}
	return a.print(list, func(w io.Writer) {
		fmt.Fprintf(w, "wrote %s of election %s, ballot hash %s, to %s\n", count(len(list.Proofs), "proof"), verdict.Escape(list.Election), list.BallotHashCode, verdict.Escape(list.Folder))
		fmt.Fprintln(w, "Begin with index.html. Whoever proofs compares the ballot hash with that of the definition.")
	})
}

// make lays out proofs below a folder, with an index.
func (p *proofForm) make(v *election.Valid, styles []string, below string) (*proofList, []outFile, error) {
	sizes := map[string]page.Size{"letter": page.Letter, "legal": page.Legal, "a4": page.A4}
	proofs, err := proof.Make(v, proof.Options{Styles: styles, Languages: p.Language, Size: sizes[p.Paper]})
	if err != nil {
		return nil, nil, control.Failf(control.CodeUsage, "%v", err)
	}
	hash, err := define.BallotHash(v)
	if err != nil {
		return nil, nil, err
	}
	fonts, err := p.fonts()
	if err != nil {
		return nil, nil, err
	}
	list := &proofList{BallotHash: hash.String(), BallotHashCode: hash.Code(), Proofs: []proofRow{}}
	var files []outFile
	used := map[string]bool{}
	for i := range proofs {
		x := &proofs[i]
		name := "style-" + fileWord(used, x.Style)
		made, err := p.files(x, below+name, fonts)
		if err != nil {
			return nil, nil, err
		}
		row := proofRow{Style: x.Style, HashCode: x.Hash.Code(), Precincts: x.Precincts, Languages: x.Languages}
		for _, f := range made {
			row.Files = append(row.Files, strings.TrimPrefix(f.Path, below))
		}
		files, list.Proofs = append(files, made...), append(list.Proofs, row)
	}
	index, err := asHTML(proofIndex(v, list))
	if err != nil {
		return nil, nil, unprintable(err)
	}
	return list, append(files, outFile{below + "index.html", index}), nil
}

// files are the forms of one proof.
func (p *proofForm) files(x *proof.Proof, name string, fonts page.Fonts) ([]outFile, error) {
	html, err := asHTML(x.Document)
	if err != nil {
		return nil, unprintable(err)
	}
	files := []outFile{{name + ".html", html}, {name + ".txt", []byte(x.Text())}}
	if p.NoPDF {
		return files, nil
	}
	pdf, err := asPDF(x.Document, fonts)
	if err != nil {
		return nil, unprintable(fmt.Errorf("ballot style %s: %w", x.Style, err))
	}
	return append(files, outFile{name + ".pdf", pdf}), nil
}

// unprintable says what to do about a text that cannot be printed.
func unprintable(err error) error {
	var t *page.TextError
	if errors.As(err, &t) {
		return control.Failf(codeFailed, "%v\ngive a font that has it with --font FILE, choose languages with --language TAG, or make pages alone with --no-pdf", err)
	}
	return err
}

// fonts reads the fonts that were given.
func (p *proofForm) fonts() (f page.Fonts, err error) {
	for _, name := range p.Font {
		file, st, err := openPlain(name, 0)
		if err != nil {
			return f, control.Failf(control.CodeUsage, "cannot read the font: %v", err)
		}
		var data []byte
		if st.Size() > page.MaxFont {
			err = fmt.Errorf("%s has more than %d bytes", verdict.Escape(name), page.MaxFont)
		} else {
			data, err = io.ReadAll(io.LimitReader(file, page.MaxFont+1))
		}
		if err = errors.Join(err, file.Close()); err != nil {
			return f, control.Failf(control.CodeUsage, "cannot read the font: %v", err)
		}
		f.Fallback = append(f.Fallback, page.Font{Name: filepath.Base(name), Data: data})
	}
	return f, nil
}

// proofIndex lists the proofs.
func proofIndex(v *election.Valid, l *proofList) *page.Document {
	e := v.Election()
	t := &page.Table{Caption: "Ballot styles", HeaderColumns: 1, Columns: []page.Column{{Header: "Style"}, {Header: "Hash"}, {Header: "Precincts"}, {Header: "Languages"}, {Header: "Files"}, {Header: "Proofed by, date"}}}
	for _, p := range l.Proofs {
		t.Rows = append(t.Rows, page.Row{Cells: []string{p.Style, p.HashCode, strings.Join(p.Precincts, ", "), strings.Join(p.Languages, " "), strings.Join(p.Files, " "), ""}})
	}
	return &page.Document{Title: "Ballot proofs, " + e.Name.String(), Lang: "en", Notice: proof.Notice, Blocks: []page.Block{
		page.KeyValues{Pairs: []page.Pair{{Key: "Election", Value: e.ExternalIDs[0].Value + ", " + e.StartDate}, {Key: "Ballot hash", Value: l.BallotHashCode}, {Key: "In full", Value: l.BallotHash}}},
		page.Paragraph{Text: "A ballot whose style shows another hash is another ballot. Proof each style against the lists that were certified, then sign beside it."},
		t,
	}}
}
