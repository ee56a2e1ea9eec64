package rcv

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"sallyport/internal/strictjson"
)

// MaxConfig is the largest configuration that is read, in bytes.
const MaxConfig = 4 << 20

// Config is a contest configuration of RCTab.
type Config struct {
	TabulatorVersion string // of RCTab, that wrote it
	Contest          Contest
	RulesDescription string
	Rules            Rules
	// Candidates are those of the document; [UndeclaredWriteIns] stands last
	// when one of the sources has them.
	Candidates []Candidate
	Sources    []Source
	// GenerateCDF says that RCTab is to write the ballots as NIST cast vote
	// records too. It has no part in the tabulation.
	GenerateCDF bool

	numbers map[string]int // of names and aliases
}

// Source says where RCTab finds cast vote records. None of it has been opened.
type Source struct {
	FilePath, Provider, ContestID            string
	FirstVoteColumn, FirstVoteRow            int // from 1; 0 when not given
	IDColumn, BatchColumn, PrecinctColumn    int // as above
	OvervoteDelimiter, OvervoteLabel         string
	SkippedRankLabel, UndeclaredWriteInLabel string
	TreatBlankAsUndeclaredWriteIn            bool
}

// Candidate returns the number of the candidate with a name or alias.
func (c *Config) Candidate(nameOrAlias string) (int, bool) {
	i, ok := c.numbers[nameOrAlias]
	return i, ok
}

// ConfigError says what in a configuration is not possible and where.
type ConfigError struct {
	Pointer string // JSON pointer (RFC 6901)
	Problem string
}

func (e *ConfigError) Error() string { return fmt.Sprintf("%s: %s", e.Pointer, e.Problem) }

func configError(pointer, format string, args ...any) error {
	return &ConfigError{pointer, fmt.Sprintf(format, args...)}
}

type rawConfig struct {
	Version    string         `json:"tabulatorVersion"`
	Output     rawOutput      `json:"outputSettings"`
	Sources    []rawSource    `json:"cvrFileSources"`
	Candidates []rawCandidate `json:"candidates"`
	Rules      rawRules       `json:"rules"`
}

type rawOutput struct {
	ContestName         string `json:"contestName"`
	OutputDirectory     string `json:"outputDirectory"`
	ContestDate         string `json:"contestDate"`
	ContestJurisdiction string `json:"contestJurisdiction"`
	ContestOffice       string `json:"contestOffice"`
	TabulateByBatch     bool   `json:"tabulateByBatch"`
	TabulateByPrecinct  bool   `json:"tabulateByPrecinct"`
	GenerateCDFJSON     bool   `json:"generateCdfJson"`
}

type rawSource struct {
	FilePath                      string  `json:"filePath"`
	Provider                      string  `json:"provider"`
	ContestID                     string  `json:"contestId"`
	FirstVoteColumnIndex          numeral `json:"firstVoteColumnIndex"`
	FirstVoteRowIndex             numeral `json:"firstVoteRowIndex"`
	IDColumnIndex                 numeral `json:"idColumnIndex"`
	BatchColumnIndex              numeral `json:"batchColumnIndex"`
	PrecinctColumnIndex           numeral `json:"precinctColumnIndex"`
	OvervoteDelimiter             string  `json:"overvoteDelimiter"`
	OvervoteLabel                 string  `json:"overvoteLabel"`
	SkippedRankLabel              string  `json:"skippedRankLabel"`
	UndervoteLabel                string  `json:"undervoteLabel"` // older name of the above
	UndeclaredWriteInLabel        string  `json:"undeclaredWriteInLabel"`
	TreatBlankAsUndeclaredWriteIn bool    `json:"treatBlankAsUndeclaredWriteIn"`
}

// numeral is a number that RCTab writes as a string and reads as either.
type numeral string

// UnmarshalJSON takes a string or an integer.
func (n *numeral) UnmarshalJSON(data []byte) error {
	v := jsontext.Value(data)
	switch v.Kind() {
	case '0':
		*n = numeral(data)
		return nil
	case '"':
		text, err := jsontext.AppendUnquote(nil, data)
		*n = numeral(text)
		return err
	}
	return errors.New("want a number or a string")
}

type rawCandidate struct {
	Name     string   `json:"name"`
	Code     string   `json:"code"` // older versions had this one alias
	Excluded bool     `json:"excluded"`
	Aliases  []string `json:"aliases"`
}

type rawRules struct {
	TiebreakMode          string  `json:"tiebreakMode"`
	OvervoteRule          string  `json:"overvoteRule"`
	WinnerElectionMode    string  `json:"winnerElectionMode"`
	RandomSeed            numeral `json:"randomSeed"`
	NumberOfWinners       numeral `json:"numberOfWinners"`
	PercentageThreshold   numeral `json:"multiSeatBottomsUpPercentageThreshold"`
	Decimals              numeral `json:"decimalPlacesForVoteArithmetic"`
	MinimumVoteThreshold  numeral `json:"minimumVoteThreshold"`
	MaxSkippedRanks       numeral `json:"maxSkippedRanksAllowed"`
	MaxRankings           numeral `json:"maxRankingsAllowed"`
	NonIntegerThreshold   bool    `json:"nonIntegerWinningThreshold"`
	FirstRoundThreshold   bool    `json:"doesFirstRoundDetermineThreshold"`
	HareQuota             bool    `json:"hareQuota"`
	BatchElimination      bool    `json:"batchElimination"`
	CutoffElimination     bool    `json:"cutoffElimination"`
	ContinueUntilTwo      bool    `json:"continueUntilTwoCandidatesRemain"`
	StopAfterRound        numeral `json:"stopTabulationEarlyAfterRound"`
	ExhaustOnDuplicate    bool    `json:"exhaustOnDuplicateCandidate"`
	RulesDescription      string  `json:"rulesDescription"`
	TreatBlankAsWriteIn   bool    `json:"treatBlankAsUndeclaredWriteIn"` // this and the following: moved to the sources
	OvervoteLabel         string  `json:"overvoteLabel"`
	UndervoteLabel        string  `json:"undervoteLabel"`
	UndeclaredWriteInName string  `json:"undeclaredWriteInLabel"`
}

// ReadConfig reads a contest configuration of RCTab, at most MaxConfig bytes.
// Members it does not know, members that stand twice, values of another type
// and what is not supported are refused with their place. The rules are
// validated.
func ReadConfig(r io.Reader) (Config, error) {
	data, err := io.ReadAll(io.LimitReader(r, MaxConfig+1))
	if err != nil {
		return Config{}, fmt.Errorf("cannot read the configuration: %w", err)
	}
	var raw rawConfig
	if err := strictjson.Decode(data, &raw, MaxConfig); err != nil {
		return Config{}, fmt.Errorf("cannot read the configuration: %w", err)
	}
	c, err := raw.config()
	if err != nil {
		return Config{}, fmt.Errorf("cannot use the configuration: %w", err)
	}
	return c, nil
}

func (raw *rawConfig) config() (Config, error) {
	c := Config{TabulatorVersion: raw.Version, RulesDescription: raw.Rules.RulesDescription, GenerateCDF: raw.Output.GenerateCDFJSON,
		Contest: Contest{Name: raw.Output.ContestName, Jurisdiction: raw.Output.ContestJurisdiction, Office: raw.Output.ContestOffice, Date: raw.Output.ContestDate}}
	if err := raw.Output.check(); err != nil {
		return c, err
	}
	for i := range raw.Sources {
		s, err := raw.Sources[i].source("/cvrFileSources/" + strconv.Itoa(i))
		if err != nil {
			return c, err
		}
		c.Sources = append(c.Sources, s)
	}
	if err := c.addCandidates(raw.Candidates); err != nil {
		return c, err
	}
	var err error
	if c.Rules, err = raw.Rules.rules(); err != nil {
		return c, err
	}
	for i, s := range c.Sources {
		if s.OvervoteLabel != "" && c.Rules.Overvote == ExhaustIfMultipleContinuing {
			return c, configError(fmt.Sprintf("/cvrFileSources/%d/overvoteLabel", i), "the overvoteRule %q needs the names of overvoted candidates, which records with a label do not have", c.Rules.Overvote)
		}
	}
	return c, nil
}

func (o *rawOutput) check() error {
	switch {
	case o.TabulateByBatch:
		return configError("/outputSettings/tabulateByBatch", "reports by batch are not supported; set it to false")
	case o.TabulateByPrecinct:
		return configError("/outputSettings/tabulateByPrecinct", "reports by precinct are not supported; set it to false")
	}
	if strings.TrimSpace(o.ContestName) == "" {
		return configError("/outputSettings/contestName", "the contest must have a name")
	}
	return nil
}

func (raw *rawSource) source(at string) (Source, error) {
	s := Source{FilePath: raw.FilePath, Provider: raw.Provider, ContestID: raw.ContestID, OvervoteDelimiter: raw.OvervoteDelimiter,
		OvervoteLabel: raw.OvervoteLabel, SkippedRankLabel: raw.SkippedRankLabel, UndeclaredWriteInLabel: raw.UndeclaredWriteInLabel,
		TreatBlankAsUndeclaredWriteIn: raw.TreatBlankAsUndeclaredWriteIn}
	switch raw.Provider {
	case "cdf", "clearBallot", "dominion", "ess", "hart", "genericCsv":
	default:
		return s, configError(at+"/provider", "the value %q is not supported", raw.Provider)
	}
	if raw.UndervoteLabel != "" {
		if s.SkippedRankLabel != "" {
			return s, configError(at+"/undervoteLabel", "this is the older name of skippedRankLabel, which is given too")
		}
		s.SkippedRankLabel = raw.UndervoteLabel
	}
	for _, x := range []struct {
		name  string
		value numeral
		to    *int
	}{
		{"firstVoteColumnIndex", raw.FirstVoteColumnIndex, &s.FirstVoteColumn},
		{"firstVoteRowIndex", raw.FirstVoteRowIndex, &s.FirstVoteRow},
		{"idColumnIndex", raw.IDColumnIndex, &s.IDColumn},
		{"batchColumnIndex", raw.BatchColumnIndex, &s.BatchColumn},
		{"precinctColumnIndex", raw.PrecinctColumnIndex, &s.PrecinctColumn},
	} {
		if x.value == "" {
			continue
		}
		n, err := number(at+"/"+x.name, x.value, 1, 100_000)
		if err != nil {
			return s, err
		}
		*x.to = int(n)
	}
	return s, nil
}

// addCandidates takes over the candidates and what they may be called.
func (c *Config) addCandidates(raw []rawCandidate) error {
	c.numbers = map[string]int{}
	for i, x := range raw {
		at := "/candidates/" + strconv.Itoa(i)
		if err := checkName(x.Name); err != nil {
			return configError(at+"/name", "%v", err)
		}
		aliases := x.Aliases
		if x.Code != "" {
			aliases = append(aliases, x.Code)
		}
		for _, name := range append([]string{x.Name}, aliases...) {
			if _, taken := c.numbers[name]; taken || checkName(name) != nil || name == UndeclaredWriteIns {
				return configError(at, "the name or alias %.100q is empty, too long, or taken by another name, alias or word of the report", name)
			}
			c.numbers[name] = i
		}
		c.Candidates = append(c.Candidates, Candidate{Name: x.Name, Excluded: x.Excluded})
	}
	for _, s := range c.Sources {
		if _, done := c.numbers[UndeclaredWriteIns]; !done && (s.UndeclaredWriteInLabel != "" || s.TreatBlankAsUndeclaredWriteIn) {
			c.numbers[UndeclaredWriteIns] = len(c.Candidates)
			c.Candidates = append(c.Candidates, Candidate{Name: UndeclaredWriteIns, UndeclaredWriteIn: true})
		}
	}
	if err := checkCandidates(c.Candidates); err != nil {
		return configError("/candidates", "%v", err)
	}
	return nil
}

func (raw *rawRules) rules() (Rules, error) {
	r := Rules{Mode: Mode(raw.WinnerElectionMode), Overvote: OvervoteRule(raw.OvervoteRule), Tiebreak: TiebreakMode(raw.TiebreakMode),
		ExhaustOnDuplicate: raw.ExhaustOnDuplicate, ContinueUntilTwo: raw.ContinueUntilTwo, BatchElimination: raw.BatchElimination,
		CutoffElimination: raw.CutoffElimination, NonIntegerThreshold: raw.NonIntegerThreshold, HareQuota: raw.HareQuota,
		FirstRoundThreshold: raw.FirstRoundThreshold}
	if err := raw.moved(); err != nil {
		return r, err
	}
	if err := raw.integers(&r); err != nil {
		return r, err
	}
	if raw.PercentageThreshold != "" {
		var err error
		if r.Percentage, err = ParseDecimal(string(raw.PercentageThreshold)); err != nil {
			return r, configError("/rules/multiSeatBottomsUpPercentageThreshold", "the value %.50q is %v", raw.PercentageThreshold, err)
		}
	}
	var bad *RuleError
	if err := r.Validate(); errors.As(err, &bad) {
		return r, configError("/rules/"+bad.Rule, "it %s", bad.Problem)
	}
	return r, nil
}

// moved refuses members that older versions had here and that say something.
func (raw *rawRules) moved() error {
	for _, x := range []struct {
		name string
		set  bool
	}{
		{"treatBlankAsUndeclaredWriteIn", raw.TreatBlankAsWriteIn},
		{"overvoteLabel", raw.OvervoteLabel != ""},
		{"undervoteLabel", raw.UndervoteLabel != ""},
		{"undeclaredWriteInLabel", raw.UndeclaredWriteInName != ""},
	} {
		if x.set {
			return configError("/rules/"+x.name, "this belongs to each of the cvrFileSources; older versions had it here")
		}
	}
	return nil
}

// integers reads the rules that are numbers, which RCTab writes as strings.
func (raw *rawRules) integers(r *Rules) error {
	blank := map[numeral]int64{"": 0}
	seed := blank
	switch r.Tiebreak {
	case Random, PreviousRoundCountsThenRandom, GeneratePermutation:
		seed = nil // it has to be given
	}
	for _, x := range []struct {
		name      string
		value     numeral
		words     map[numeral]int64 // what may stand in place of a number
		low, high int64
		to        func(int64)
	}{
		{"randomSeed", raw.RandomSeed, seed, -MaxSeed - 1, MaxSeed, func(n int64) { r.Seed = n }},
		{"numberOfWinners", raw.NumberOfWinners, nil, 0, MaxCandidates, func(n int64) { r.Winners = int(n) }},
		{"decimalPlacesForVoteArithmetic", raw.Decimals, nil, 1, 20, func(n int64) { r.Decimals = int(n) }},
		{"minimumVoteThreshold", raw.MinimumVoteThreshold, blank, 0, 1_000_000, func(n int64) { r.MinimumVotes = n }},
		{"maxSkippedRanksAllowed", raw.MaxSkippedRanks, map[numeral]int64{"unlimited": Unlimited}, 0, 1_000_000, func(n int64) { r.MaxSkippedRanks = int(n) }},
		{"maxRankingsAllowed", raw.MaxRankings, map[numeral]int64{"max": 0}, 1, 1_000_000, func(n int64) { r.MaxRanks = int(n) }},
		{"stopTabulationEarlyAfterRound", raw.StopAfterRound, blank, 1, 1_000_000, func(n int64) { r.StopAfterRound = int(n) }},
	} {
		if n, ok := x.words[x.value]; ok {
			x.to(n)
			continue
		}
		n, err := number("/rules/"+x.name, x.value, x.low, x.high)
		if err != nil {
			return err
		}
		x.to(n)
	}
	return nil
}

// number reads a string of digits, with a minus sign where low is negative.
func number(at string, s numeral, low, high int64) (int64, error) {
	n, err := strconv.ParseInt(string(s), 10, 64)
	if err != nil || n < low || n > high || strconv.FormatInt(n, 10) != string(s) {
		return 0, configError(at, "the value %.50q must be an integer from %d to %d", s, low, high)
	}
	return n, nil
}
