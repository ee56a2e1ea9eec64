package rcv

import "fmt"

// Mode is RCTab's winnerElectionMode.
type Mode string

// The modes. All that RCTab has are here.
const (
	SingleWinnerMajority              Mode = "singleWinnerMajority"
	MultiWinnerOnePerRound            Mode = "multiWinnerAllowOnlyOneWinnerPerRound"
	MultiWinnerMultiplePerRound       Mode = "multiWinnerAllowMultipleWinnersPerRound"
	BottomsUp                         Mode = "bottomsUp"
	BottomsUpUsingPercentageThreshold Mode = "bottomsUpUsingPercentageThreshold"
	MultiPassIRV                      Mode = "multiPassIrv"
)

// OvervoteRule is RCTab's overvoteRule.
type OvervoteRule string

// The overvote rules.
const (
	ExhaustImmediately          OvervoteRule = "exhaustImmediately"
	AlwaysSkipToNextRank        OvervoteRule = "alwaysSkipToNextRank"
	ExhaustIfMultipleContinuing OvervoteRule = "exhaustIfMultipleContinuing"
)

// TiebreakMode is RCTab's tiebreakMode.
type TiebreakMode string

// The tiebreak modes.
const (
	Random                        TiebreakMode = "random"
	StopCountingAndAsk            TiebreakMode = "stopCountingAndAsk"
	PreviousRoundCountsThenRandom TiebreakMode = "previousRoundCountsThenRandom"
	PreviousRoundCountsThenAsk    TiebreakMode = "previousRoundCountsThenAsk"
	UseCandidateOrder             TiebreakMode = "useCandidateOrder"
	GeneratePermutation           TiebreakMode = "generatePermutation"
)

// Unlimited is the MaxSkippedRanks without a limit.
const Unlimited = -1

// MaxSeed is the largest absolute value of a seed that RCTab takes.
const MaxSeed = 1<<47 - 1

// Rules says how a contest is tabulated. Each field is one of RCTab's rules.
type Rules struct {
	Mode Mode
	// Winners is the number of seats; 0 for BottomsUpUsingPercentageThreshold
	// alone, 1 for SingleWinnerMajority alone.
	Winners  int
	Overvote OvervoteRule
	// MaxSkippedRanks is how many ranks in a row may be skipped before a ballot
	// is inactive; Unlimited for any number.
	MaxSkippedRanks int
	// MaxRanks is the last rank that may have a mark; 0 is no limit. A
	// ballot with a mark beyond it is refused.
	MaxRanks int
	// ExhaustOnDuplicate makes a ballot inactive where it ranks a candidate
	// again, instead of passing over that rank.
	ExhaustOnDuplicate bool
	// Decimals is the number of decimal places of vote arithmetic, 1 to 20.
	Decimals int
	// MinimumVotes eliminates, before anybody else, every candidate with fewer
	// votes in the first round; 0 for nobody.
	MinimumVotes int64
	// ContinueUntilTwo goes on after the winner is found until two candidates
	// remain.
	ContinueUntilTwo bool
	// BatchElimination eliminates at once all who cannot win any more.
	BatchElimination bool
	// CutoffElimination eliminates at once all below the threshold; only with
	// BottomsUpUsingPercentageThreshold.
	CutoffElimination bool
	// StopAfterRound ends the tabulation after that round; 0 for never.
	StopAfterRound int
	// NonIntegerThreshold computes the Droop quota with Decimals places.
	NonIntegerThreshold bool
	// HareQuota computes the threshold as ballots / seats, rounded up.
	HareQuota bool
	// FirstRoundThreshold keeps the first round's threshold.
	FirstRoundThreshold bool
	// Percentage is the threshold in percent, 1 to 100; only with
	// BottomsUpUsingPercentageThreshold.
	Percentage Decimal
	Tiebreak   TiebreakMode
	// Seed of the tiebreak modes with chance, within ±MaxSeed.
	Seed int64
	// Lots are the answers for the tiebreak modes that ask, one for each tie.
	// When one is missing, Tabulate returns a *TieError that says what is tied.
	Lots []Lot
}

// Lot is a decision made outside, by lot or as the law says.
type Lot struct {
	Seat     int    // the pass of MultiPassIRV, from 1; else 1
	Round    int    // from 1
	Selected string // the name of the tied candidate who wins, or loses
}

// RuleError says which rule is not possible and why.
type RuleError struct {
	Rule    string // RCTab's name of the rule
	Problem string
}

func (e *RuleError) Error() string { return fmt.Sprintf("the rule %s %s", e.Rule, e.Problem) }

func ruleError(rule, format string, args ...any) error {
	return &RuleError{rule, fmt.Sprintf(format, args...)}
}

// Validate checks that every rule is known and that they can go together. The
// error is a *RuleError.
func (r *Rules) Validate() error {
	for _, check := range []func() error{r.checkWords, r.checkNumbers, r.checkWinners, r.checkTogether, r.checkThreshold} {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

func (r *Rules) checkWords() error {
	switch r.Mode {
	case SingleWinnerMajority, MultiWinnerOnePerRound, MultiWinnerMultiplePerRound, BottomsUp, BottomsUpUsingPercentageThreshold, MultiPassIRV:
	default:
		return ruleError("winnerElectionMode", "has the value %q, which is not supported", string(r.Mode))
	}
	switch r.Overvote {
	case ExhaustImmediately, AlwaysSkipToNextRank, ExhaustIfMultipleContinuing:
	default:
		return ruleError("overvoteRule", "has the value %q, which is not supported", string(r.Overvote))
	}
	switch r.Tiebreak {
	case Random, StopCountingAndAsk, PreviousRoundCountsThenRandom, PreviousRoundCountsThenAsk, UseCandidateOrder, GeneratePermutation:
	default:
		return ruleError("tiebreakMode", "has the value %q, which is not supported", string(r.Tiebreak))
	}
	return nil
}

func (r *Rules) checkNumbers() error {
	switch {
	case r.MaxSkippedRanks < Unlimited:
		return ruleError("maxSkippedRanksAllowed", "is %d; it must not be negative", r.MaxSkippedRanks)
	case r.MaxRanks < 0:
		return ruleError("maxRankingsAllowed", "is %d; it must not be negative", r.MaxRanks)
	case r.Decimals < 1 || r.Decimals > 20:
		return ruleError("decimalPlacesForVoteArithmetic", "is %d; it must be 1 to 20", r.Decimals)
	case r.MinimumVotes < 0 || r.MinimumVotes > MaxBallots:
		return ruleError("minimumVoteThreshold", "is %d; it must be 0 to %d", r.MinimumVotes, int64(MaxBallots))
	case r.StopAfterRound < 0:
		return ruleError("stopTabulationEarlyAfterRound", "is %d; it must not be negative", r.StopAfterRound)
	case r.Seed < -MaxSeed-1 || r.Seed > MaxSeed:
		return ruleError("randomSeed", "is %d; it must be within ±%d", r.Seed, int64(MaxSeed))
	case len(r.Lots) > 0 && r.Tiebreak != StopCountingAndAsk && r.Tiebreak != PreviousRoundCountsThenAsk:
		return ruleError("tiebreakMode", "is %q, which takes no lots, and %d are given", r.Tiebreak, len(r.Lots))
	}
	return nil
}

func (r *Rules) checkWinners() error {
	ok, want := r.Winners > 1 && r.Winners <= MaxCandidates, fmt.Sprintf("2 to %d", MaxCandidates)
	switch r.Mode {
	case SingleWinnerMajority:
		ok, want = r.Winners == 1, "1"
	case BottomsUpUsingPercentageThreshold:
		ok, want = r.Winners == 0, "0"
	}
	if !ok {
		return ruleError("numberOfWinners", "is %d; with the winnerElectionMode %q it must be %s", r.Winners, r.Mode, want)
	}
	return nil
}

func (r *Rules) checkTogether() error {
	single := r.Mode == SingleWinnerMajority
	passes := single || r.Mode == MultiPassIRV
	percentage := r.Mode == BottomsUpUsingPercentageThreshold
	for _, c := range []struct {
		set, allowed bool
		rule         string
	}{
		{r.ContinueUntilTwo, passes, "continueUntilTwoCandidatesRemain"},
		{r.BatchElimination, passes, "batchElimination"},
		{r.CutoffElimination, percentage, "cutoffElimination"},
		{r.FirstRoundThreshold, single || percentage, "doesFirstRoundDetermineThreshold"},
		{r.NonIntegerThreshold, r.stv(), "nonIntegerWinningThreshold"},
		{r.HareQuota, r.stv(), "hareQuota"},
		{r.Percentage.Sign() != 0, percentage, "multiSeatBottomsUpPercentageThreshold"},
	} {
		if c.set && !c.allowed {
			return ruleError(c.rule, "cannot be used with the winnerElectionMode %q", r.Mode)
		}
	}
	return nil
}

func (r *Rules) checkThreshold() error {
	if r.NonIntegerThreshold && r.HareQuota {
		return ruleError("hareQuota", "cannot be used with nonIntegerWinningThreshold")
	}
	if r.Mode != BottomsUpUsingPercentageThreshold {
		return nil
	}
	if p := r.Percentage; p.Cmp(whole(1)) < 0 || p.Cmp(whole(100)) > 0 {
		return ruleError("multiSeatBottomsUpPercentageThreshold", "is %v; it must be 1 to 100", p)
	}
	return nil
}

// stv says whether surpluses are transferred.
func (r *Rules) stv() bool {
	return r.Mode == MultiWinnerOnePerRound || r.Mode == MultiWinnerMultiplePerRound
}
