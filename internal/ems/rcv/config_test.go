package rcv_test

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"sallyport/internal/ems/rcv"
)

// goodConfig has every member that is read.
const goodConfig = `{
  "tabulatorVersion": "2.0.0",
  "outputSettings": {"contestName": "Mayor", "outputDirectory": "out", "contestDate": "2026-11-03", "contestJurisdiction": "J", "contestOffice": "O",
    "tabulateByBatch": false, "tabulateByPrecinct": false, "generateCdfJson": true},
  "cvrFileSources": [{"provider": "ess", "filePath": "a.xlsx", "contestId": "c1", "firstVoteColumnIndex": 4, "firstVoteRowIndex": "2", "idColumnIndex": "1",
    "batchColumnIndex": "", "precinctColumnIndex": "3", "overvoteDelimiter": "", "overvoteLabel": "overvote", "skippedRankLabel": "", "undervoteLabel": "undervote",
    "undeclaredWriteInLabel": "UWI", "treatBlankAsUndeclaredWriteIn": true}],
  "candidates": [{"name": "Ann", "code": "001", "excluded": false, "aliases": ["A.", "Annie"]}, {"name": "Bob", "excluded": true, "aliases": []}],
  "rules": {"tiebreakMode": "random", "overvoteRule": "alwaysSkipToNextRank", "winnerElectionMode": "multiWinnerAllowOnlyOneWinnerPerRound", "randomSeed": "-12",
    "numberOfWinners": "2", "multiSeatBottomsUpPercentageThreshold": "", "decimalPlacesForVoteArithmetic": "4", "minimumVoteThreshold": "1",
    "maxSkippedRanksAllowed": "unlimited", "maxRankingsAllowed": "max", "nonIntegerWinningThreshold": true, "doesFirstRoundDetermineThreshold": false, "hareQuota": false,
    "batchElimination": false, "cutoffElimination": false, "continueUntilTwoCandidatesRemain": false, "stopTabulationEarlyAfterRound": "9",
    "exhaustOnDuplicateCandidate": true, "rulesDescription": "ours", "treatBlankAsUndeclaredWriteIn": false, "overvoteLabel": "", "undervoteLabel": "", "undeclaredWriteInLabel": ""}
}`

func TestReadConfig(t *testing.T) {
	c, err := rcv.ReadConfig(strings.NewReader(goodConfig))
	if err != nil {
		t.Fatal(err)
	}
	want := rcv.Rules{Mode: rcv.MultiWinnerOnePerRound, Winners: 2, Overvote: rcv.AlwaysSkipToNextRank, MaxSkippedRanks: rcv.Unlimited, ExhaustOnDuplicate: true,
		Decimals: 4, MinimumVotes: 1, StopAfterRound: 9, NonIntegerThreshold: true, Tiebreak: rcv.Random, Seed: -12}
	if d := cmp.Diff(want, c.Rules); d != "" {
		t.Errorf("rules (-want +have):\n%s", d)
	}
	if d := cmp.Diff([]rcv.Candidate{{Name: "Ann"}, {Name: "Bob", Excluded: true}, {Name: rcv.UndeclaredWriteIns, UndeclaredWriteIn: true}}, c.Candidates); d != "" {
		t.Errorf("candidates (-want +have):\n%s", d)
	}
	for name, number := range map[string]int{"Ann": 0, "001": 0, "Annie": 0, "Bob": 1, rcv.UndeclaredWriteIns: 2} {
		if n, ok := c.Candidate(name); !ok || n != number {
			t.Errorf("%s is candidate %d, %t, want %d", name, n, ok, number)
		}
	}
	if _, ok := c.Candidate("ann"); ok {
		t.Error("a name in other case was found")
	}
	source := []rcv.Source{{FilePath: "a.xlsx", Provider: "ess", ContestID: "c1", FirstVoteColumn: 4, FirstVoteRow: 2, IDColumn: 1, PrecinctColumn: 3,
		OvervoteLabel: "overvote", SkippedRankLabel: "undervote", UndeclaredWriteInLabel: "UWI", TreatBlankAsUndeclaredWriteIn: true}}
	if d := cmp.Diff(source, c.Sources); d != "" {
		t.Errorf("sources (-want +have):\n%s", d)
	}
	if d := cmp.Diff(rcv.Contest{Name: "Mayor", Jurisdiction: "J", Office: "O", Date: "2026-11-03"}, c.Contest); d != "" || !c.GenerateCDF {
		t.Errorf("contest (-want +have):\n%s", d)
	}
}

// Each case is the good configuration with one text in it replaced.
func TestReadConfigRefusals(t *testing.T) {
	for name, c := range map[string]struct{ old, new, pointer, problem string }{
		"unknown member":        {`"hareQuota"`, `"hareQuote"`, "/rules/hareQuote", "unknown member"},
		"wrong case":            {`"provider"`, `"Provider"`, "/cvrFileSources/0/Provider", "unknown member"},
		"member twice":          {`"contestDate"`, `"contestName"`, "/outputSettings/contestName", "duplicate"},
		"null":                  {`"randomSeed": "-12"`, `"randomSeed": null`, "/rules/randomSeed", "null"},
		"bool in quotes":        {`"hareQuota": false`, `"hareQuota": "false"`, "/rules/hareQuota", "want bool"},
		"number for a word":     {`"random",`, `7,`, "/rules/tiebreakMode", "want string"},
		"bool for a number":     {`"numberOfWinners": "2"`, `"numberOfWinners": true`, "/rules/numberOfWinners", "number"},
		"more after the end":    {"\"\"}\n}", "\"\"}\n}{", "", "bytes after the end"},
		"by precinct":           {`"tabulateByPrecinct": false`, `"tabulateByPrecinct": true`, "/outputSettings/tabulateByPrecinct", "not supported"},
		"by batch":              {`"tabulateByBatch": false`, `"tabulateByBatch": true`, "/outputSettings/tabulateByBatch", "not supported"},
		"no contest name":       {`"Mayor"`, `" "`, "/outputSettings/contestName", "name"},
		"provider":              {`"ess"`, `"acme"`, "/cvrFileSources/0/provider", `"acme" is not supported`},
		"column":                {`"firstVoteColumnIndex": 4`, `"firstVoteColumnIndex": "0"`, "/cvrFileSources/0/firstVoteColumnIndex", "1 to 100000"},
		"two labels":            {`"skippedRankLabel": ""`, `"skippedRankLabel": "s"`, "/cvrFileSources/0/undervoteLabel", "skippedRankLabel"},
		"overvotes by label":    {`"alwaysSkipToNextRank"`, `"exhaustIfMultipleContinuing"`, "/cvrFileSources/0/overvoteLabel", "exhaustIfMultipleContinuing"},
		"empty name":            {`"name": "Bob"`, `"name": ""`, "/candidates/1/name", "empty"},
		"name is an alias":      {`"name": "Bob"`, `"name": "Annie"`, "/candidates/1", "taken"},
		"name is a report word": {`"name": "Bob"`, `"name": "uncounted"`, "/candidates", "candidate 2"},
		"all excluded":          {`"excluded": false`, `"excluded": true`, "/candidates", "not excluded"},
		"mode":                  {`"multiWinnerAllowOnlyOneWinnerPerRound"`, `"condorcet"`, "/rules/winnerElectionMode", `has the value "condorcet"`},
		"rules do not fit":      {`"batchElimination": false`, `"batchElimination": true`, "/rules/batchElimination", "cannot be used"},
		"seed missing":          {`"-12"`, `""`, "/rules/randomSeed", "integer"},
		"seed not canonical":    {`"-12"`, `"-012"`, "/rules/randomSeed", "integer"},
		"seats":                 {`"numberOfWinners": "2"`, `"numberOfWinners": "two"`, "/rules/numberOfWinners", `"two"`},
		"decimals":              {`"decimalPlacesForVoteArithmetic": "4"`, `"decimalPlacesForVoteArithmetic": "21"`, "/rules/decimalPlacesForVoteArithmetic", "1 to 20"},
		"percentage":            {`"multiSeatBottomsUpPercentageThreshold": ""`, `"multiSeatBottomsUpPercentageThreshold": "1e1"`, "/rules/multiSeatBottomsUpPercentageThreshold", "decimal number"},
		"stop after round 0":    {`"stopTabulationEarlyAfterRound": "9"`, `"stopTabulationEarlyAfterRound": "0"`, "/rules/stopTabulationEarlyAfterRound", "1 to"},
		"a label of old":        {`"overvoteLabel": "",`, `"overvoteLabel": "x",`, "/rules/overvoteLabel", "cvrFileSources"},
	} {
		t.Run(name, func(t *testing.T) {
			i := strings.LastIndex(goodConfig, c.old)
			if i < 0 {
				t.Fatalf("the text %q is not in the good configuration", c.old)
			}
			_, err := rcv.ReadConfig(strings.NewReader(goodConfig[:i] + c.new + goodConfig[i+len(c.old):]))
			wantError(t, err, c.pointer, c.problem)
		})
	}
}

func TestReadConfigReadsNoMoreThanItsLimit(t *testing.T) {
	_, err := rcv.ReadConfig(io.MultiReader(strings.NewReader(goodConfig), endless{}))
	wantError(t, err, "at most")
	broken := errors.New("the disk is gone")
	if _, err := rcv.ReadConfig(iotest.ErrReader(broken)); !errors.Is(err, broken) {
		t.Errorf("the error does not say why nothing was read: %v", err)
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	return len(p), nil
}

// Whatever is accepted has rules that validate and candidates who can be
// counted, and every name stands for one of them.
func FuzzReadConfig(f *testing.F) {
	f.Add([]byte(goodConfig))
	f.Add([]byte(strings.Replace(goodConfig, `"numberOfWinners": "2"`, `"numberOfWinners": 2`, 1)))
	f.Add([]byte(`{"outputSettings":{"contestName":"x"},"candidates":[{"name":"A"}],"rules":{"tiebreakMode":"useCandidateOrder","overvoteRule":"exhaustImmediately","winnerElectionMode":"singleWinnerMajority","numberOfWinners":1,"decimalPlacesForVoteArithmetic":"1","maxSkippedRanksAllowed":"0","maxRankingsAllowed":"1"}}`))
	f.Add([]byte(`{"rules":{"numberOfWinners":[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := rcv.ReadConfig(strings.NewReader(string(data)))
		if err != nil {
			return
		}
		for i, x := range c.Candidates {
			if n, ok := c.Candidate(x.Name); !ok || n != i {
				t.Fatalf("candidate %d is not found by name", i)
			}
		}
		col, err := rcv.NewCollector(len(c.Candidates), rcv.Budget{})
		if err != nil {
			t.Fatal(err)
		}
		if len(c.Candidates) > 20 {
			return
		}
		var tie *rcv.TieError
		if _, err := rcv.Tabulate(c.Rules, c.Candidates, col.Collection()); err != nil && !errors.As(err, &tie) && !errors.Is(err, rcv.ErrNoWinner) {
			t.Fatalf("an accepted configuration cannot be tabulated: %v", err)
		}
	})
}
