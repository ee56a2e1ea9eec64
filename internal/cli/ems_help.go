package cli

// Help implements kong.HelpProvider.
func (electionsCmd) Help() string {
	return `    sallyport ems elections
    sallyport ems --db desk.db elections

Exit status: 0 done, 1 failed, 2 usage, 5 the station is not ready.`
}

// Help implements kong.HelpProvider.
func (tallyCmd) Help() string {
	return `Counts every ballot anew and checks the count against the conservation identity (in each contest votes, overvotes and undervotes add up to the ballots) and against the subtotals that were made when the ballots came in. Nothing is told before the polls are closed.

    sallyport ems tally
    sallyport --json ems tally county-2026
    sallyport ems tally --quick          (only adds up the subtotals)
    sallyport ems tally --by style       (or precinct, split, batch, device, method, party)

Exit status: 0 done, 1 failed (also: the polls are open), 2 usage or no such election, 5 the station is not ready.`
}

// Help implements kong.HelpProvider.
func (emsStatusCmd) Help() string {
	return `Shows how far the results are, which steps they have taken, what was counted, which marks wait for a decision, the manual tallies, and what is missing to certify. It shows no votes.

    sallyport ems status
    sallyport --json ems status county-2026

Exit status: 0 done, 1 failed, 2 usage or no such election, 5 the station is not ready.`
}

// Help implements kong.HelpProvider.
func (closePollsCmd) Help() string {
	return `Before the polls are closed nobody is told any total. They are taken to be closed a day and a half after the election's last day; this says it earlier. Nothing opens them again.

    sallyport ems close-polls county-2026 --who 'county clerk' \
        --why 'all precincts reported closed'

Exit status: 0 done, 1 failed, 2 usage or no such election, 5 the station is not ready.`
}

// Help implements kong.HelpProvider.
func (setStatusCmd) Help() string {
	return `The steps are those of the standard (NIST SP 1500-100): unofficial-partial and unofficial-complete, then certified, and from there only correction or recount. Everything is counted anew first, and the step is bound to what was counted. The last three need a second person; certified also that no mark waits for a decision and each ranked contest has rules.

    sallyport ems set-status county-2026 unofficial-complete --who 'county clerk' \
        --why 'all precincts are in'
    sallyport ems set-status county-2026 certified --who clerk --approver chair \
        --why 'canvass of November 9'

Exit status: 0 done, 1 failed (code transition: this step cannot be taken now; two-people; polls-open), 2 usage or no such election, 5 the station is not ready.`
}

// Help implements kong.HelpProvider.
func (writeInsCmd) Help() string {
	return `Lists each name that a voter wrote, with its ballot, contest and position, as 'sallyport ems adjudicate' takes them.

    sallyport --json ems write-ins county-2026 --open

Exit status: 0 done, 1 failed, 2 usage or no such election, 5 the station is not ready.`
}

// Help implements kong.HelpProvider.
func (adjudicateCmd) Help() string {
	return `The file is a JSON list. Each decision names ballot, contest and position, as 'sallyport ems write-ins' lists them, and exactly one of: the option of a candidate, a write-in candidate's name, or that it is no vote.

    [{"ballot": "B1", "contest": "mayor", "position": 2, "candidate": "mayor-1"},
     {"ballot": "B2", "contest": "mayor", "position": 2, "name": "Write-in Candidate 1"},
     {"ballot": "B3", "contest": "mayor", "position": 2, "reject": true}]

    sallyport ems adjudicate county-2026 decisions.json --who 'canvass board' \
        --why 'canvass of November 9'

All of them take effect, or none. What the scanner read stays; a later decision takes the place of an earlier one. The audit log says how many there were, and never which.

Exit status: 0 done, 1 failed, 2 usage, no such election or a decision that does not fit, 5 the station is not ready.`
}

// Help implements kong.HelpProvider.
func (manualCmd) Help() string {
	return `For ballots that were counted by hand, apart from the cast vote records. The tally is added to the results, which show it by itself. One of the same name takes the place of the one before. On each line the votes, overvotes and undervotes add up to the votes allowed on its ballots.

    {"name": "unreadable ballots", "contests": [{"contest": "mayor", "lines": [
      {"precinct": "p1", "ballots": 3, "votes": {"mayor-1": 2}, "overvotes": 0, "undervotes": 1}]}]}

    sallyport ems manual county-2026 tally.json --who 'canvass board' --why 'three torn ballots'

Exit status: 0 done, 1 failed, 2 usage, no such election or a tally that does not balance, 5 the station is not ready.`
}

// Help implements kong.HelpProvider.
func (rulesCmd) Help() string {
	return `Takes the rules of a contest configuration of RCTab; its candidates must be those of the contest. The newest rules hold.

    sallyport ems rules county-2026 mayor config.json --who 'county clerk' \
        --why 'city charter, section 4'

Exit status: 0 done, 1 failed, 2 usage, no such election or rules that do not fit, 5 the station is not ready.`
}

// Help implements kong.HelpProvider.
func (emsCreateCmd) Help() string {
	return `A database apart from any station, for work with files that did not come by a verified medium: its results say so. No station, TPM or audit log is needed.

    sallyport ems create desk.db
    sallyport ems --db desk.db elections

Exit status: 0 done, 1 failed, 2 usage.`
}

// Help implements kong.HelpProvider.
func (importCmd) Help() string {
	return `What it is, is recognised: a ballot definition (NIST SP 1500-20) or cast vote records (SP 1500-103), JSON or XML, or an export of Dominion, ES&S, Hart, ClearBallot or VotingWorks. A document is taken whole or not at all; what was imported before is known by its content and not counted again.

    sallyport ems --db desk.db import definition.xml
    sallyport ems --db desk.db import --lenient --random-ids report.json
    sallyport ems --db desk.db import --infer --election county-2026 --date 2026-11-03 \
        --random-ids cvrs.csv
    sallyport ems --db desk.db import --signature export.vxsig --authority vx.pem export/

This is for a desk. What goes into a station's core comes by a medium: 'sallyport intake'.

Exit status: 0 done, 1 failed (also: the content breaks the rules of its format), 2 usage, 5 over a limit.`
}

// Help implements kong.HelpProvider.
func (exportCmd) Help() string {
	return `Records are written in the order of their random identifiers, which says nothing of the order in which they were cast, and only when the polls are closed.

    sallyport ems --db desk.db export --form records --out cvr.json
    sallyport ems --db desk.db export --form manifest --out manifest.csv
    sallyport ems --db desk.db export --form totals --contest mayor --out totals.csv

Exit status: 0 done, 1 failed (also: the polls are open), 2 usage or no such election.`
}

// Help implements kong.HelpProvider.
func (sampleCmd) Help() string {
	return `Draws ballots for a risk-limiting audit. With the same manifest, jurisdiction and seed anybody draws the same ones.

    sallyport ems sample manifest.csv --jurisdiction 'Maple County' \
        --seed 93686630803205229070 --take 60 --out retrieve.csv --record draw.json

Exit status: 0 done, 1 failed, 2 usage.`
}

// Help implements kong.HelpProvider.
func (reportCmd) Help() string {
	return `Counts everything anew, with every check, and writes a folder: a summary with charts, the statement of votes cast, a canvass of each precinct, turnout, the rounds of ranked contests, as pages, PDF and CSV, and the results report of NIST SP 1500-100 as JSON and XML. Every page says which status, sequence and state of the votes it is of. Nothing is given out before the polls are closed, and on a station the log says that it was.

    sallyport ems report --out results
    sallyport ems report county-2026 --form statement --out statement.pdf
    sallyport ems report --suppress 10 --out public     (small counts are withheld)
    sallyport seal --kind results-report --election county-2026 --definition definition.json \
        --audience web-team --out sealed public

Exit status: 0 done, 1 failed (also: the polls are open), 2 usage or no such election, 5 the station is not ready.`
}

// Help implements kong.HelpProvider.
func (rollupCmd) Help() string {
	return `Puts the reports of several counties together. No vote is counted twice: a unit may come from one report alone. Contests and options are matched by identifiers, never by likeness; what does not match is an error unless it is allowed. The whole is as complete as its least complete part.

    sallyport ems rollup maple=maple/results.json cedar=cedar/results.xml \
        --election state-2026 --name 'State General Election' --scope state \
        --scope-name 'Example State' --issuer 'State Board' --expect maple --expect cedar \
        --out whole

Exit status: 0 done, 1 failed (also: votes would be counted twice), 2 usage.`
}
