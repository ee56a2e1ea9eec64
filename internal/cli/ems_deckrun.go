package cli

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"sallyport/internal/control"
	"sallyport/internal/ems"
	"sallyport/internal/ems/deck"
	"sallyport/internal/verdict"
)

type deckRunCmd struct {
	theElection
	Dir    string `arg:"" help:"The deck's folder, which 'ems deck make' made."`
	TestDB string `required:"" name:"test-db" help:"Database of the test core to make; it must not exist." placeholder:"FILE"`
}

// deckRun is what 'ems deck run' prints.
type deckRun struct {
	Election string `json:"election"`
	TestDB   string `json:"test_db"`
	Ballots  int64  `json:"ballots"`
}

func (c *deckRunCmd) Run(a *app) (err error) {
	if err := checkNew(c.TestDB); err != nil {
		return err
	}
	if err := ems.CreateDesk(c.TestDB); err != nil {
		return control.Failf(codeFailed, "%v", err)
	}
	k, err := ems.Open(c.TestDB)
	if err != nil {
		return err
	}
	n, err := c.load(a.ctx, k)
	if err = errors.Join(err, k.Close()); err != nil {
		return errors.Join(err, removeDatabase(c.TestDB))
	}
	return a.print(deckRun{c.Election, c.TestDB, n}, func(w io.Writer) {
		fmt.Fprintf(w, "the test core %s counted %s; compare them with\n  sallyport ems --db %s deck compare %s %s --test-db %s\n", verdict.Escape(c.TestDB), count(int(n), "test ballot"), verdict.Escape(orDash(a.cmd.EMS.DB)), verdict.Escape(c.Election), verdict.Escape(c.Dir), verdict.Escape(c.TestDB))
	})
}

// removeDatabase takes away what was made for nothing.
func removeDatabase(path string) error {
	var all []error
	for _, end := range []string{"", "-wal", "-shm"} {
		if err := os.Remove(path + end); err != nil && !errors.Is(err, os.ErrNotExist) {
			all = append(all, err)
		}
	}
	return errors.Join(all...)
}

// load imports the test definition and the records of the deck.
func (c *deckRunCmd) load(ctx context.Context, k *ems.Core) (int64, error) {
	definition, err := filePackage(c.Dir, deckTestFile, ems.KindDefinition, c.Election, "")
	if err != nil {
		return 0, err
	}
	if _, err := k.Import(ctx, definition); err != nil {
		return 0, err
	}
	records, err := filePackage(c.Dir, deckRecordFile, ems.KindCVRs, c.Election, definition.Files[0].SHA256)
	if err != nil {
		return 0, err
	}
	r, err := k.Import(ctx, records)
	return r.Ballots, err
}

// filePackage makes one file of this machine into what a core imports; its
// digest is that of the file.
func filePackage(dir, name, kind, electionID, definition string) (p ems.Package, err error) {
	f, st, err := openPlain(filepath.Join(dir, name), 0)
	if err != nil {
		return p, control.Failf(control.CodeUsage, "%s is not the folder of a test deck: %v", verdict.Escape(dir), err)
	}
	h := sha256.New()
	_, err = io.Copy(h, f)
	if err = errors.Join(err, f.Close()); err != nil {
		return p, err
	}
	p = ems.Package{Digest: [32]byte(h.Sum(nil)), ID: "file " + name, Kind: kind, ElectionID: electionID, ElectionSHA256: definition, FS: os.DirFS(dir)}
	p.Files = []ems.File{{Path: name, Size: st.Size(), SHA256: hex.EncodeToString(p.Digest[:]), MediaType: "application/json"}}
	return p, nil
}

// tests are the arguments of commands that compare.
type tests struct {
	theElection
	Dir    string `arg:"" help:"The deck's folder, which 'ems deck make' made."`
	TestDB string `required:"" name:"test-db" help:"Database of the core that counted the deck's ballots." placeholder:"FILE"`
	Totals bool   `help:"Compare totals alone: scanners gave the ballots identifiers of their own."`
}

// findings runs the whole test: the deck against the definition in force, the
// counts of the test core against what is expected, record by record as well.
func (c *tests) findings(a *app, k *ems.Core) (f *ems.InForce, out *deck.Findings, err error) {
	d, err := deckIn(c.Dir)
	if err != nil {
		return nil, nil, err
	}
	if f, err = k.InForce(a.ctx, c.Election); err != nil {
		return nil, nil, err
	}
	if _, err := a.usable(f, c.Election); err != nil {
		return nil, nil, err
	}
	if d.DefinitionSHA256 != f.SHA256 {
		return nil, nil, control.Failf(codeFailed, "the deck is of another definition (%s…) than the one in force (%s…): make it anew with 'sallyport ems deck make'", d.DefinitionSHA256[:16], f.SHA256[:16])
	}
	test, err := a.openDatabase(c.TestDB, reading)
	if err != nil {
		return nil, nil, err
	}
	defer func() { err = errors.Join(err, test.Close()) }()
	t := test.(databaseCore).Core
	run, err := t.TestRun(a.ctx, c.Election, f.Valid)
	if err != nil {
		return nil, nil, err
	}
	records := t.TestBallots(a.ctx, c.Election)
	if c.Totals {
		records = nil
	}
	out, err = deck.Test(f.Valid, d, run, records)
	return f, out, err
}

type deckCompareCmd struct {
	tests
	Report string `help:"Write the findings (canonical JSON, whose SHA-256 a sign-off names)." placeholder:"FILE"`
}

// compared is what 'ems deck compare' prints: the findings themselves, and the
// error when the test was not passed.
type compared struct {
	Error    *problem           `json:"error,omitzero"`
	Passed   bool               `json:"passed"`
	SHA256   string             `json:"report_sha256"`
	Coverage *deck.Coverage     `json:"coverage"`
	Totals   *deck.Report       `json:"totals"`
	Records  *deck.BallotReport `json:"records"`
}

func (c *deckCompareCmd) Run(a *app) error {
	if c.Report != "" {
		if err := checkNew(c.Report); err != nil {
			return err
		}
	}
	f, err := withDesk(a, reading, func(k *ems.Core) (*deck.Findings, error) {
		_, f, err := c.findings(a, k)
		return f, err
	})
	if err != nil {
		return err
	}
	doc, err := f.JSON()
	if err != nil {
		return err
	}
	if c.Report != "" {
		if err := writeFile(c.Report, doc); err != nil {
			return err
		}
	}
	return a.showFindings(f, doc)
}

// showFindings prints findings, and ends the command when they are bad.
func (a *app) showFindings(f *deck.Findings, doc []byte) error {
	out := compared{Passed: f.Passed() == nil, SHA256: digest(doc), Coverage: f.Coverage(), Totals: f.Report(), Records: f.Ballots()}
	if err := f.Passed(); err != nil {
		out.Error = &problem{Code: codeFailed, Message: err.Error()}
	}
	var written error
	err := a.print(out, func(w io.Writer) {
		written = errors.Join(f.Coverage().WriteText(w), f.Report().WriteText(w))
		if f.Ballots() != nil {
			written = errors.Join(written, f.Ballots().WriteText(w))
		}
		if out.Passed {
			fmt.Fprintln(w, "PASSED: 'sallyport ems deck sign' signs it off")
		} else {
			fmt.Fprintf(w, "NOT PASSED: %s\n", printable(out.Error.Message))
		}
	})
	if err = errors.Join(err, written); err == nil && !out.Passed {
		return exit{ExitFailed}
	}
	return err
}

type deckSignCmd struct {
	tests
	Who        string `required:"" help:"The first person who answers for the test." placeholder:"NAME"`
	Second     string `required:"" help:"The second person, another one." placeholder:"NAME"`
	Role       string `help:"The first person's role." default:"test conductor" placeholder:"TEXT"`
	SecondRole string `help:"The second person's role." default:"witness" placeholder:"TEXT"`
	Why        string `help:"Why, for those who read it later." default:"logic and accuracy test" placeholder:"TEXT"`
}

// signedOff is one sign-off, as commands print it.
type signedOff struct {
	Definition string `json:"definition_sha256"`
	BallotHash string `json:"ballot_hash"`
	Deck       string `json:"deck_sha256"`
	Report     string `json:"report_sha256"`
	By         string `json:"by"`
	At         string `json:"at"`
	Valid      bool   `json:"valid"` // for the definition in force
}

func (c *deckSignCmd) Run(a *app) error {
	s, err := withDesk(a, changing, func(k *ems.Core) (*deck.SignOff, error) { return c.sign(a, k) })
	if err != nil {
		return err
	}
	return a.print(tellSignOff(s, nil), func(w io.Writer) {
		fmt.Fprintf(w, "signed off by %s (%s) and %s (%s)\n  definition   %s\n  report       %s\nAny change of the definition makes it void.\n", verdict.Escape(s.By[0].Name), verdict.Escape(s.By[0].Role), verdict.Escape(s.By[1].Name), verdict.Escape(s.By[1].Role), s.DefinitionSHA256, s.ReportSHA256)
	})
}

func (c *deckSignCmd) sign(a *app, k *ems.Core) (*deck.SignOff, error) {
	f, findings, err := c.findings(a, k)
	if err != nil {
		return nil, err
	}
	list, err := listStyles(f.Valid)
	if err != nil {
		return nil, err
	}
	s, err := findings.SignOff(list.BallotHash, [2]deck.Signer{{Name: c.Who, Role: c.Role}, {Name: c.Second, Role: c.SecondRole}}, time.Now())
	switch {
	case errors.Is(err, deck.ErrPeople):
		return nil, control.Failf(control.CodeUsage, "%v: --who and --second", err)
	case errors.Is(err, deck.ErrNotPassed):
		return nil, control.Failf(codeFailed, "%v ('sallyport ems deck compare' shows every difference)", err)
	case err != nil:
		return nil, err
	}
	return s, k.SaveSignOff(a.ctx, c.Election, s, ems.By{Who: c.Who + ", " + c.Second, Why: c.Why})
}

func tellSignOff(s *deck.SignOff, void error) signedOff {
	return signedOff{s.DefinitionSHA256, s.BallotHash, s.DeckSHA256, s.ReportSHA256, s.By[0].Name + " (" + s.By[0].Role + "), " + s.By[1].Name + " (" + s.By[1].Role + ")", s.At, void == nil}
}

type deckStatusCmd struct{ theElection }

// signOffs is what 'ems deck status' prints.
type signOffs struct {
	Election string      `json:"election"`
	SHA256   string      `json:"definition_sha256"` // in force
	Imported bool        `json:"imported"`
	Tested   bool        `json:"tested"`
	SignOffs []signedOff `json:"sign_offs"`
	// NewerDraft is as of 'ems deck make'.
	NewerDraft int `json:"newer_draft"`
}

func (c *deckStatusCmd) Run(a *app) error {
	s, err := withDesk(a, reading, func(k *ems.Core) (*signOffs, error) {
		f, err := k.InForce(a.ctx, c.Election)
		if err != nil {
			return nil, err
		}
		list, err := k.SignOffs(a.ctx, c.Election)
		if err != nil {
			return nil, err
		}
		s := &signOffs{Election: c.Election, SHA256: f.SHA256, Imported: f.Imported, SignOffs: []signedOff{}}
		for _, x := range list {
			s.Tested = s.Tested || x.Void == nil
			s.SignOffs = append(s.SignOffs, tellSignOff(x.SignOff, x.Void))
		}
		s.NewerDraft, err = newerDraft(a, k, c.Election, f)
		return s, err
	})
	if err != nil {
		return err
	}
	return a.print(s, func(w io.Writer) {
		fmt.Fprintf(w, "election %s, definition in force %s\n", verdict.Escape(s.Election), s.SHA256)
		for _, x := range s.SignOffs {
			state := "VALID"
			if !x.Valid {
				state = "VOID: the definition has changed since"
			}
			fmt.Fprintf(w, "  %s  by %s: %s (%s…)\n", x.At, verdict.Escape(x.By), state, x.Definition[:16])
		}
		warnOfDraft(w, s.NewerDraft)
		if !s.Tested {
			fmt.Fprintln(w, "the definition in force is not signed off")
		}
	})
}
