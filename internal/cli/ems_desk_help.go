package cli

import (
	"strings"

	"sallyport/internal/ems/define"
)

// Help implements kong.HelpProvider.
func (emsNewCmd) Help() string {
	return `A definition is worked on as drafts, each of which stays. It begins with the tables of an office (a CSV set, internal/ems/define/FORMAT.md), with a document of NIST SP 1500-20, or with an empty definition that 'sallyport ems edit' fills.

    sallyport ems create desk.db
    sallyport ems --db desk.db new --from-set tables/ --who 'county clerk' --why 'first draft'
    sallyport ems --db desk.db new --from definition.xml --who 'county clerk' --why 'from the state'
    sallyport ems --db desk.db new --id town-2027 --name 'Town Election' --date 2027-03-02 \
        --jurisdiction 'Lake Town' --who 'county clerk' --why 'first draft'

A set or document that breaks a rule of its format is refused with every problem, its file, line and column. A draft may still lack contests or ballot styles; it is not given out before it has no errors.

Exit status: 0 kept, 1 refused, 2 usage (also: there is a draft of this election).`
}

// Help implements kong.HelpProvider.
func (emsEditCmd) Help() string {
	return `An edit is ` + "\n\n    " + strings.Join(define.EditUsage(), "\n    ") + `

CLASS is unit, party, office, header, contest, candidate or option; columns and keys are those of the tables of a CSV set (internal/ems/define/FORMAT.md). An empty value clears. All edits are made, or none.

    sallyport ems --db desk.db edit ID contest set clerk votes_allowed=2 --who clerk --why law
    sallyport ems --db desk.db edit ID 'candidate remove c-7' 'contest set mayor rotation=yes' \
        --who 'county clerk' --why 'withdrawn; by lot'

Words are one edit; arguments of several words each are several. Ballot styles that were made by a rule are made anew by the same rule when the edit can change them, and it is said; with --rotation, --alphabet or --language by a new one; styles made by hand stay. Then every change is shown. With --base REVISION nothing is changed when there is a newer draft than the one that you looked at.

Exit status: 0 kept, 1 refused (also code stale: somebody else changed it), 2 usage or no such election.`
}

// Help implements kong.HelpProvider.
func (emsSetCmd) Help() string {
	return `Replaces the draft by the tables of a folder, as a new draft, and shows what is different.

    sallyport ems --db desk.db set ID tables/ --who 'county clerk' --why 'list of candidates'

Exit status: 0 kept, 1 refused, with every problem of the set, 2 usage or no such election.`
}

// Help implements kong.HelpProvider.
func (emsDraftsCmd) Help() string {
	return `Shows who made which draft when and why, its SHA-256, and whether it has errors.

    sallyport ems --db desk.db drafts
    sallyport --json ems --db desk.db drafts ID

Exit status: 0 done, 1 failed, 2 usage or no such election.`
}

// Help implements kong.HelpProvider.
func (emsDiffCmd) Help() string {
	return `Compares two drafts (the newest with the one before it, unless --from and --to say otherwise), or two files; also which contests each precinct gets.

    sallyport ems --db desk.db diff ID --from 1 --to 4
    sallyport ems diff definition.json tables/

Exit status: 0 done, 1 one of them has errors, 2 usage or no such draft.`
}

// Help implements kong.HelpProvider.
func (emsCheckCmd) Help() string {
	return `Says what a file or folder is and everything that is wrong with it: a ballot definition, a results report or cast vote records in the formats of NIST (JSON or XML), a CSV set, or cast vote records in a vendor's format. Definitions are reviewed too: contests that a precinct lacks, ballots of the wrong party, names that stand twice, translations that are missing. Nothing is imported, and no vote is shown.

    sallyport ems check definition.xml
    sallyport ems check cvr.json --definition definition.json --lenient
    sallyport ems --db desk.db check --draft ID

Exit status: 0 no errors (warnings and deviations are listed), 1 there are errors, 2 usage.`
}

// Help implements kong.HelpProvider.
func (emsStylesCmd) Help() string {
	return `Lists the ballot styles with the code of each one's hash, and with --matrix the table by which people proof a definition. With --build they are made anew, as few as there can be, and kept as a draft.

    sallyport ems --db desk.db styles ID --matrix --pdf matrix.pdf
    sallyport ems --db desk.db styles ID --build --rotation by-precinct --who clerk --why law
    sallyport ems --db desk.db styles ID --diff 3

Exit status: 0 done, 1 the definition has errors, 2 usage or no such election.`
}

// Help implements kong.HelpProvider.
func (emsProofCmd) Help() string {
	return `Lays out each ballot style as PDF (tagged, for screen readers), as a page, and as plain text in reading order, with the code of its hash and the words PROOF - NOT A BALLOT on every page. No scanner reads a proof. Candidates that rotate by precinct make a ballot style for each order, so there is one proof for each.

    sallyport ems --db desk.db proof ID --out proofs
    sallyport ems --db desk.db proof ID --out proofs --style 2 --language es --language en
    sallyport ems --db desk.db proof ID --out proofs --font NotoSansSC.ttf

Exit status: 0 written, 1 failed (also: no font has a character), 2 usage or no such election.`
}

// Help implements kong.HelpProvider.
func (emsDefinitionCmd) Help() string {
	return `Writes the newest draft, which must have no errors, as the BallotDefinition document (NIST SP 1500-20) to be sealed, and prints its SHA-256, which every later package and report names, and its ballot hash, which changes only with what voters see or what is counted by.

    sallyport ems --db desk.db definition ID --out definition.json

Exit status: 0 written, 1 the draft has errors, 2 usage or no such election.`
}

// Help implements kong.HelpProvider.
func (emsProgrammingCmd) Help() string {
	return `Makes one folder with all that devices are programmed and checked by: the definition (JSON, XML), styles, matrix, proofs, a sheet for each device, and a list of hashes. The folder is sealed as a package of the kind ballot-package by the command that is printed.

    sallyport ems --db desk.db programming ID --out programming --device DS-1 --device DS-2

Exit status: 0 written, 1 the draft has errors, 2 usage or no such election.`
}

// Help implements kong.HelpProvider.
func (deckMakeCmd) Help() string {
	return `Makes marked test ballots that exercise every ballot style, precinct, contest, option and rule of the definition in force: the imported one, or else the newest draft. In the folder are the deck, the guide by which people mark it on paper, what it must count to (CSV, JSON), and for a run without paper its cast vote records with test-definition.json, a copy of the definition that is marked as a test. What must be counted is worked out without the code that counts.

    sallyport ems --db desk.db deck make ID --out deck
    sallyport ems --db desk.db deck make ID --out deck-2 --size complete --seed 2

Test ballots never mix with votes: records that are marked as a test are refused under the definition itself, a core counts under one definition alone, and everything counted under the copy says that it is a test.

Exit status: 0 written, 1 the definition has errors, 2 usage or no such election.`
}

// Help implements kong.HelpProvider.
func (deckRunCmd) Help() string {
	return `Makes a database for the test alone, takes the test definition and the deck's own records into it, and counts them: the core's part of the test, before or beside that of the scanners.

    sallyport ems --db desk.db deck run ID deck --test-db test.db

Exit status: 0 counted, 1 failed, 2 usage.`
}

// Help implements kong.HelpProvider.
func (deckCompareCmd) Help() string {
	return `Compares every number that the test core counted, and every record, with the deck. Where paper ballots were scanned, the scanners gave them identifiers of their own: compare the totals alone, with --totals. The test core must hold the test copy of the very definition in force, and nothing but ballots of the deck.

    sallyport ems --db desk.db deck compare ID deck --test-db test.db --report findings.json

Exit status: 0 no difference, 1 there are differences or the test core is none, 2 usage.`
}

// Help implements kong.HelpProvider.
func (deckSignCmd) Help() string {
	return `Runs the comparison once more and, when there is no difference, keeps the sign-off of two people in the database of the desk. It is bound to the SHA-256 of the definition in force, not of the test copy: whatever is changed in the definition afterwards makes it void.

    sallyport ems --db desk.db deck sign ID deck --test-db test.db \
        --who 'county clerk' --second 'deputy clerk'

Exit status: 0 kept, 1 not passed, 2 usage (also: the two are one).`
}

// Help implements kong.HelpProvider.
func (deckStatusCmd) Help() string {
	return `    sallyport ems --db desk.db deck status ID

Exit status: 0 shown, 1 failed, 2 usage or no such election.`
}

// Help implements kong.HelpProvider.
func (emsZeroCmd) Help() string {
	return `Counts the core anew and proves that it has nothing of the election: no package of records, no ballot, no manual tally, no decision; every contest, option and precinct is 0. It works before the polls are closed, also on a copy of a station's database. As soon as there is anything it is refused, and tells no number. After a test, delete the test core and let this show that nothing of it came into the core of results.

    sallyport ems --db core.db zero ID --out zero.csv

Exit status: 0 it is zero, 1 it is not, 2 usage or no such election.`
}
