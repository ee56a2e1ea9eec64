package cli

import (
	"fmt"
	"io"

	"sallyport/internal/control"
	"sallyport/internal/ems"
	"sallyport/internal/verdict"
)

// emsCmd are the commands of the election core. Each works on a station, or with
// --db on a database that is no station's.
type emsCmd struct {
	DB string `name:"db" help:"Work on this database instead of the station's ('sallyport ems create' makes one); it needs no station and no TPM, and writes no audit log." placeholder:"FILE"`

	Elections  electionsCmd  `cmd:"" help:"List the elections in the core."`
	Status     emsStatusCmd  `cmd:"" help:"Say where an election stands, and what is missing to certify it."`
	Tally      tallyCmd      `cmd:"" help:"Count an election from its ballots and print the result."`
	ClosePolls closePollsCmd `cmd:"" help:"Say that the polls are closed: from then on totals are given."`
	SetStatus  setStatusCmd  `cmd:"" help:"Take the next step with the results, such as to certify them."`
	WriteIns   writeInsCmd   `cmd:"" help:"List the names that voters wrote."`
	Adjudicate adjudicateCmd `cmd:"" help:"Decide about written names."`
	Manual     manualCmd     `cmd:"" help:"Record a tally that was made by hand."`
	Rules      rulesCmd      `cmd:"" help:"Set the rules by which a ranked contest is tabulated."`
	Create     emsCreateCmd  `cmd:"" help:"Make a database for --db, apart from any station."`
	Import     importCmd     `cmd:"" help:"Take a definition, cast vote records or a vendor's export into a desk's database."`
	Export     exportCmd     `cmd:"" help:"Write definition, cast vote records, or the inputs of an audit."`
	Report     reportCmd     `cmd:"" help:"Give out the results: pages, PDF, CSV, and the NIST report."`
	Rollup     rollupCmd     `cmd:"" help:"Put the reports of several counties together."`
	Sample     sampleCmd     `cmd:"" help:"Draw the ballots of an audit from a public seed."`

	New         emsNewCmd         `cmd:"" help:"Begin the definition of an election: a draft in a database."`
	Edit        emsEditCmd        `cmd:"" help:"Change a draft by named edits."`
	Set         emsSetCmd         `cmd:"" help:"Replace a draft by the tables of a CSV set."`
	Drafts      emsDraftsCmd      `cmd:"" help:"List the versions of a definition."`
	Diff        emsDiffCmd        `cmd:"" help:"Say what differs between two versions of a definition."`
	Check       emsCheckCmd       `cmd:"" help:"Say what a file is and everything that is wrong with it."`
	Styles      emsStylesCmd      `cmd:"" help:"List or make ballot styles, and which contests each precinct gets."`
	Proof       emsProofCmd       `cmd:"" help:"Lay out every ballot style to be proofed."`
	Definition  emsDefinitionCmd  `cmd:"" help:"Write the definition document that is sealed and counted under."`
	Programming emsProgrammingCmd `cmd:"" help:"Make the folder from which devices are programmed."`
	Deck        emsDeckCmd        `cmd:"" help:"Tests of logic and accuracy: test decks, their comparison and sign-off."`
	Zero        emsZeroCmd        `cmd:"" help:"Prove that a core counts to zero."`
}

// anElection is the argument of commands that only look.
type anElection struct {
	Election string `arg:"" optional:"" help:"The election's id; not needed when the core holds only one."`
}

// theElection is the argument of commands that change something.
type theElection struct {
	Election string `arg:"" help:"The election's id."`
}

// decides says who decides something, and why.
type decides struct {
	Who string `required:"" help:"Who decides this: a person or a board." placeholder:"NAME"`
	Why string `required:"" help:"Why, for those who read it later." placeholder:"TEXT"`
}

func (d *decides) by() ems.By { return ems.By{Who: d.Who, Why: d.Why} }

// decide carries out a decision and shows where the election stands then.
func (a *app) decide(electionID string, do func(core) error) error {
	s, err := withCore(a, changing, func(c core) (*ems.Standing, error) {
		if err := do(c); err != nil {
			return nil, err
		}
		s, err := c.Standing(a.ctx, electionID)
		if err != nil {
			p := explain(err)
			err = control.Failf(p.Code, "it was done, but what holds now cannot be shown: %s", p.Message)
		}
		return s, err
	})
	if err != nil {
		return err
	}
	return a.print(s, func(w io.Writer) { showStanding(w, s) })
}

type emsCreateCmd struct {
	File string `arg:"" help:"Database to make; it must not exist."`
}

func (c *emsCreateCmd) Run(a *app) error {
	if a.cmd.EMS.DB != "" {
		return control.Failf(control.CodeUsage, "the database to make is the argument: leave --db out")
	}
	if err := checkNew(c.File); err != nil {
		return err
	}
	if err := ems.CreateDesk(c.File); err != nil {
		return control.Failf(codeFailed, "%v", err)
	}
	return a.print(writtenFile{File: c.File}, func(w io.Writer) {
		fmt.Fprintf(w, "made %s; give it to other commands with 'sallyport ems --db'\n", verdict.Escape(c.File))
	})
}
