package cli

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"sallyport/internal/control"
	"sallyport/internal/ems"
	"sallyport/internal/ems/cdf"
	"sallyport/internal/ems/define"
	"sallyport/internal/ems/election"
	"sallyport/internal/verdict"
)

// savedDraft is what commands print that keep a draft.
type savedDraft struct {
	Election string `json:"election"`
	Revision int    `json:"revision"`
	SHA256   string `json:"sha256"`
	// Styles says what became of the ballot styles.
	Styles string `json:"styles"`
	// Changes are those to the draft before; null where one of the two has errors.
	Changes  define.Changes   `json:"changes"`
	Problems []define.Problem `json:"problems"`
}

// Values of savedDraft.Styles, as texts say them.
const (
	stylesMade    = "made"       // by this command
	stylesKept    = "kept"       // as they were
	stylesNone    = "none"       // the draft has none
	stylesPending = "to-be-made" // they were not made by a rule that is known
)

func (d *savedDraft) show(w io.Writer) {
	fmt.Fprintf(w, "election %s: draft %d, SHA-256 %s\n", verdict.Escape(d.Election), d.Revision, d.SHA256)
	switch d.Styles {
	case stylesMade:
		fmt.Fprintln(w, "the ballot styles were made anew")
	case stylesNone:
		fmt.Fprintf(w, "there are no ballot styles yet: 'sallyport ems styles %s --build' makes them\n", verdict.Escape(d.Election))
	case stylesPending:
		fmt.Fprintf(w, "the ballot styles are as they were: look at them, or make them with 'sallyport ems styles %s --build'\n", verdict.Escape(d.Election))
	}
	if d.Changes != nil {
		fmt.Fprintf(w, "%s to the draft before\n", count(len(d.Changes), "change"))
		fmt.Fprint(w, printable(d.Changes.Text()))
	}
	fmt.Fprintf(w, "%s, %s\n", count(len(errorsOf(d.Problems)), "error"), count(len(d.Problems)-len(errorsOf(d.Problems)), "warning"))
	showSome(w, d.Problems, d.Election)
}

// keep saves a definition as the next draft after former, which is nil for the
// first one.
func (a *app) keep(c *ems.Core, d *election.Definition, by ems.By, former *ems.Draft, styles string) (*savedDraft, error) {
	var base int64
	if former != nil {
		base = former.No
		if was, is := former.Definition.Elections[0].ExternalIDs[0].Value, firstID(d); was != is {
			return nil, control.Failf(control.CodeUsage, "the election %s would get the id %s: drafts are kept by the id, so begin a new one with 'sallyport ems new'", verdict.Escape(was), verdict.Escape(is))
		}
	}
	now, list := reviewed(d)
	s := &savedDraft{Styles: styles, Problems: list}
	if len(d.Elections) == 1 && len(d.Elections[0].Styles) == 0 {
		s.Styles = stylesNone
	}
	if former != nil && now != nil {
		if was, _ := former.Definition.Check(); was != nil {
			changes, err := define.Diff(was, now)
			if err != nil {
				return nil, err
			}
			s.Changes = append(define.Changes{}, changes...)
		}
	}
	draft, err := c.SaveDraft(a.ctx, d, by, base)
	if err != nil {
		return nil, err
	}
	s.Election, s.Revision, s.SHA256 = d.Elections[0].ExternalIDs[0].Value, draft.Revision, draft.SHA256
	return s, nil
}

// lastDraft returns the newest draft, or the one that a person looked at: then
// nothing newer is overwritten.
func (a *app) lastDraft(c *ems.Core, electionID string, revision int) (*ems.Draft, error) {
	list, err := c.Drafts(a.ctx, electionID)
	if err != nil {
		return nil, err
	}
	if revision == 0 {
		return &list[len(list)-1], nil
	}
	return revisionOf(list, electionID, revision)
}

// firstID is the identifier by which an election is known here.
func firstID(d *election.Definition) string {
	if len(d.Elections) != 1 || len(d.Elections[0].ExternalIDs) == 0 {
		return ""
	}
	return d.Elections[0].ExternalIDs[0].Value
}

func revisionOf(list []ems.Draft, electionID string, revision int) (*ems.Draft, error) {
	if revision < 1 || revision > len(list) {
		return nil, control.Failf(control.CodeNotFound, "the election %s has no draft %d: it has 1 to %d", verdict.Escape(electionID), revision, len(list))
	}
	return &list[revision-1], nil
}

type emsNewCmd struct {
	FromSet string `help:"Take the tables of this folder (a CSV set)." placeholder:"DIR" xor:"from"`
	From    string `help:"Take a ballot definition of NIST SP 1500-20, JSON or XML." placeholder:"FILE" xor:"from"`

	ID           string `name:"id" help:"Begin with an empty definition: the election's id." placeholder:"ID" xor:"from"`
	Name         string `help:"With --id: the election's name." placeholder:"TEXT"`
	Date         string `help:"With --id: its day, YYYY-MM-DD." placeholder:"DATE"`
	Jurisdiction string `help:"With --id: the name of the county, city or district that holds it." placeholder:"TEXT"`
	Type         string `help:"With --id: general, primary, partisan-primary-open, partisan-primary-closed, runoff, special or other." default:"general" enum:"general,primary,partisan-primary-open,partisan-primary-closed,runoff,special,other"`
	UnitType     string `help:"With --id: the type of the jurisdiction (ReportingUnitType)." default:"county" placeholder:"TYPE"`
	Test         bool   `help:"Mark the definition as a test: its votes are never results."`
	decides
}

func (c *emsNewCmd) Run(a *app) error {
	d, err := c.definition(a)
	if err != nil {
		return err
	}
	if c.Test {
		d.IsTest = true
	}
	saved, err := withDesk(a, changing, func(k *ems.Core) (*savedDraft, error) {
		s, err := a.keep(k, d, c.by(), nil, stylesKept)
		return s, alreadyThere(err)
	})
	if err != nil {
		return err
	}
	return a.print(saved, saved.show)
}

// definition reads or makes what the draft begins with.
func (c *emsNewCmd) definition(a *app) (*election.Definition, error) {
	switch {
	case c.FromSet != "":
		return a.readSet(c.FromSet)
	case c.From != "":
		return a.readDefinition(c.From)
	case c.ID == "" || c.Name == "" || c.Date == "" || c.Jurisdiction == "":
		return nil, control.Failf(control.CodeUsage, "say what the definition begins with: --from-set DIR, --from FILE, or --id, --name, --date and --jurisdiction")
	}
	unit := election.Unit{ID: "jurisdiction", Type: election.UnitType(c.UnitType), Name: election.English(c.Jurisdiction)}
	e := election.Election{Name: election.English(c.Name), Type: election.ElectionType(c.Type), StartDate: c.Date, EndDate: c.Date,
		ScopeID: unit.ID, ExternalIDs: []election.ExternalID{{Type: "local-level", Value: c.ID}}}
	return &election.Definition{Version: "1.0.0", GeneratedDate: c.Date + "T00:00:00Z", Issuer: c.Jurisdiction, IssuerAbbreviation: c.Jurisdiction,
		VendorApplicationID: "sallyport", SequenceStart: 1, SequenceEnd: 1, Elections: []election.Election{e}, Units: []election.Unit{unit}}, nil
}

// alreadyThere says what a newer draft means to whoever begins one.
func alreadyThere(err error) error {
	if isStale(err) {
		return control.Failf(control.CodeUsage, "there is a draft of this election already: change it with 'sallyport ems edit' or 'sallyport ems set'")
	}
	return err
}

// readSet reads a CSV set, or shows all its problems.
func (a *app) readSet(dir string) (*election.Definition, error) {
	fsys, err := tables(dir)
	if err != nil {
		return nil, err
	}
	d, bad := define.ReadSet(fsys)
	if d == nil {
		return nil, a.refuse(bad, "%s cannot be taken: %s", verdict.Escape(dir), count(len(bad), "problem"))
	}
	return d, nil
}

func tables(dir string) (fs.FS, error) {
	if st, err := os.Stat(dir); err != nil || !st.IsDir() {
		return nil, control.Failf(control.CodeUsage, "there is no folder %s", verdict.Escape(dir))
	}
	return os.DirFS(dir), nil
}

// readDefinition reads a ballot definition, or shows all its problems. It need
// not have ballot styles; everything else that is wrong is refused.
func (a *app) readDefinition(file string) (*election.Definition, error) {
	d, list, err := parseDefinition(a, file)
	if err != nil {
		return nil, err
	}
	if d == nil {
		return nil, a.refuse(list, "%s cannot be taken: %s", verdict.Escape(file), count(len(list), "problem"))
	}
	return d, nil
}

// parseDefinition reads a document of the right shape; d is nil when it is none.
func parseDefinition(a *app, file string) (*election.Definition, []define.Problem, error) {
	f, _, err := openPlain(file, 0)
	if err != nil {
		return nil, nil, control.Failf(control.CodeUsage, "cannot read the definition: %v", err)
	}
	defer f.Close()
	docs, err := cdf.New()
	if err != nil {
		return nil, nil, err
	}
	doc, _, err := docs.ReadDocument(a.ctx, filepath.Base(file), f, cdf.ReadOptions{Format: cdf.BD})
	if err != nil {
		if p, ok := fromFinding(err); ok {
			return nil, []define.Problem{p}, nil
		}
		return nil, nil, err
	}
	d, err := definitionOf(doc)
	return d, nil, err
}

// definitionOf takes a definition over from its document.
func definitionOf(doc *cdf.Document) (*election.Definition, error) {
	var b strings.Builder
	if err := doc.WriteJSON(&b); err != nil {
		return nil, err
	}
	return election.Read([]byte(b.String()))
}

type emsSetCmd struct {
	theElection
	Dir  string `arg:"" help:"The CSV set: a folder of tables."`
	Base int    `help:"The draft that the tables were made from; when there is a newer one, nothing is changed." placeholder:"REVISION"`
	decides
}

func (c *emsSetCmd) Run(a *app) error {
	d, err := a.readSet(c.Dir)
	if err != nil {
		return err
	}
	if id := firstID(d); id != c.Election {
		return control.Failf(control.CodeUsage, "%s defines the election %s, not %s", verdict.Escape(c.Dir), verdict.Escape(id), verdict.Escape(c.Election))
	}
	saved, err := withDesk(a, changing, func(k *ems.Core) (*savedDraft, error) {
		former, err := a.lastDraft(k, c.Election, c.Base)
		if err != nil {
			return nil, err
		}
		styles := stylesMade
		if _, err := os.Stat(filepath.Join(c.Dir, "styles.csv")); err == nil {
			styles = stylesKept
		}
		return a.keep(k, d, c.by(), former, styles)
	})
	if err != nil {
		return err
	}
	return a.print(saved, saved.show)
}
