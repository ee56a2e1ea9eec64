package rcv

import (
	"cmp"
	"encoding/csv"
	"fmt"
	"io"
	"math/big"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Contest is what stands at the head of a report.
type Contest struct {
	Name, Jurisdiction, Office, Date string
	GeneratedBy                      string // the program, and its version
}

// jsonReport has the members of RCTab's detailed report, format version 1.
type jsonReport struct {
	Config  jsonConfig  `json:"config"`
	Version string      `json:"jsonFormatVersion"`
	Results []jsonRound `json:"results"`
	Summary jsonSummary `json:"summary"`
}

type jsonConfig struct {
	Contest      string `json:"contest"`
	Date         string `json:"date"`
	GeneratedBy  string `json:"generatedBy"`
	Jurisdiction string `json:"jurisdiction"`
	Office       string `json:"office"`
}

type jsonRound struct {
	Inactive  map[string]string `json:"inactiveBallots"`
	Round     int               `json:"round"`
	Tally     map[string]string `json:"tally"`
	Results   []jsonDecision    `json:"tallyResults"`
	Threshold string            `json:"threshold"`
}

type jsonDecision struct {
	Elected    string            `json:"elected,omitzero"`
	Eliminated string            `json:"eliminated,omitzero"`
	Transfers  map[string]string `json:"transfers"`
}

type jsonSummary struct {
	FinalThreshold string `json:"finalThreshold"`
	Candidates     int    `json:"numCandidates"`
	Winners        int    `json:"numWinners"`
	Ballots        string `json:"totalNumBallots"`
	Undervotes     int64  `json:"undervotes"`
}

// WriteJSON writes pass number seat (from 1) in the shape of RCTab's
// "…_detailed_report.json".
func (res *Result) WriteJSON(w io.Writer, c Contest, seat int) error {
	p, err := res.pass(seat)
	if err != nil {
		return err
	}
	report := jsonReport{Config: jsonConfig(c.json()), Version: "1", Summary: jsonSummary{
		FinalThreshold: p.last().Threshold.String(), Candidates: len(res.Candidates), Winners: p.Seats,
		Ballots: strconv.FormatInt(p.Ballots, 10), Undervotes: p.Undervotes}}
	for i := range p.Rounds {
		r := p.Rounds[i].json()
		if res.Rules.stv() && i+1 == len(p.Rounds) {
			r.Inactive["finalRoundSurplus"] = p.Rounds[i].FinalRoundSurplus.String()
		}
		report.Results = append(report.Results, r)
	}
	if err := json.MarshalWrite(w, &report, json.Deterministic(true), jsontext.WithIndent("  ")); err != nil {
		return fmt.Errorf("cannot write the report: %w", err)
	}
	return nil
}

func (c Contest) json() jsonConfig {
	return jsonConfig{Contest: c.Name, Date: c.Date, GeneratedBy: c.GeneratedBy, Jurisdiction: c.Jurisdiction, Office: c.Office}
}

func (res *Result) pass(seat int) (*Pass, error) {
	if seat < 1 || seat > len(res.Passes) {
		return nil, fmt.Errorf("cannot report on seat %d: there are %d tabulations", seat, len(res.Passes))
	}
	return &res.Passes[seat-1], nil
}

func (p *Pass) last() *Round { return &p.Rounds[len(p.Rounds)-1] }

func (r *Round) json() jsonRound {
	j := jsonRound{Round: r.Number, Threshold: r.Threshold.String(), Tally: map[string]string{}, Results: []jsonDecision{}, Inactive: map[string]string{
		"exhaustedChoices": r.Inactive.ExhaustedChoices.String(), "overvotes": r.Inactive.Overvotes.String(),
		"repeatedRankings": r.Inactive.RepeatedRankings.String(), "skippedRankings": r.Inactive.SkippedRankings.String()}}
	for _, c := range r.Tally {
		j.Tally[c.Candidate] = c.Votes.String()
	}
	for _, d := range r.Elected {
		j.Results = append(j.Results, jsonDecision{Elected: d.Candidate, Transfers: d.json()})
	}
	for _, d := range r.Eliminated {
		j.Results = append(j.Results, jsonDecision{Eliminated: d.Candidate, Transfers: d.json()})
	}
	return j
}

func (d *Decision) json() map[string]string {
	m := map[string]string{}
	for _, t := range d.Transfers {
		m[t.To] = t.Votes.String()
	}
	return m
}

// WriteCSV writes pass number seat (from 1) in the shape of RCTab's
// "…_detailed_report.csv": a line for each candidate, most votes in the first
// round first, and three columns for each round.
func (res *Result) WriteCSV(w io.Writer, c Contest, seat int) error {
	p, err := res.pass(seat)
	if err != nil {
		return err
	}
	out := csv.NewWriter(w)
	s := sheet{res, p, out}
	s.head(c)
	s.decisions()
	for _, name := range p.order(res.Candidates) {
		s.candidate(name)
	}
	s.foot()
	out.Flush()
	if err := out.Error(); err != nil {
		return fmt.Errorf("cannot write the report: %w", err)
	}
	return nil
}

// order is the candidates by their votes in the first round; write-ins last.
func (p *Pass) order(candidates []Candidate) []string {
	var names []string
	writeIn := map[string]int{}
	for _, c := range candidates {
		if c.UndeclaredWriteIn {
			writeIn[c.Name] = 1
		}
	}
	first := &p.Rounds[0]
	for _, c := range first.Tally {
		names = append(names, c.Candidate)
	}
	slices.SortStableFunc(names, func(a, b string) int {
		x, _ := first.votes(a)
		y, _ := first.votes(b)
		return cmp.Or(writeIn[a]-writeIn[b], y.Cmp(x))
	})
	return names
}

// sheet writes the parts of the CSV form. The writer keeps its first error.
type sheet struct {
	res  *Result
	pass *Pass
	out  *csv.Writer
}

func (s sheet) line(cells ...string) { _ = s.out.Write(cells) }

// gap is an empty line, which the form has between its parts.
func (s sheet) gap() { s.line("") }

func (s sheet) head(c Contest) {
	kind, elect := "Multi-Winner", strconv.Itoa(s.pass.Seats)
	switch s.res.Rules.Mode {
	case SingleWinnerMajority:
		kind = "Single-Winner"
	case BottomsUpUsingPercentageThreshold:
		elect = "All candidates over the " + s.res.Rules.Percentage.String() + "% threshold"
	}
	s.line("Contest Information")
	s.line("Generated By", c.GeneratedBy)
	s.line("CSV Format Version", "1")
	s.line("Type of Election", kind)
	s.line("Contest", c.Name)
	s.line("Jurisdiction", c.Jurisdiction)
	s.line("Office", c.Office)
	s.line("Date", c.Date)
	s.line("Winner(s)", strings.Join(s.pass.winners(), ", "))
	s.line("Final Threshold", s.pass.last().Threshold.String())
	s.gap()
	s.line("Contest Summary")
	s.line("Number to be Elected", elect)
	s.line("Number of Candidates", strconv.Itoa(s.pass.Candidates))
	s.line("Total Number of Ballots", strconv.FormatInt(s.pass.Ballots, 10))
	s.line("Number of Undervotes (No Rankings)", strconv.FormatInt(s.pass.Undervotes, 10))
	s.gap()
}

// row writes a line with three cells for each round.
func (s sheet) row(title string, cells func(i int) [3]string) {
	line := []string{title}
	for i := range s.pass.Rounds {
		c := cells(i)
		line = append(line, c[:]...)
	}
	s.line(line...)
}

func (s sheet) decisions() {
	s.row("Rounds", func(i int) [3]string {
		return [3]string{fmt.Sprintf("Round %d Votes", i+1), "% of vote", "transfer"}
	})
	join := func(list []Decision) [3]string {
		var names []string
		for _, d := range list {
			if d.ByTie {
				d.Candidate += "*"
			}
			names = append(names, d.Candidate)
		}
		return [3]string{strings.Join(names, "; ")}
	}
	s.row("Eliminated", func(i int) [3]string { return join(s.pass.Rounds[i].Eliminated) })
	s.row("Elected", func(i int) [3]string { return join(s.pass.Rounds[i].Elected) })
}

func (s sheet) candidate(name string) {
	s.row(name, func(i int) [3]string {
		votes, _ := s.pass.Rounds[i].votes(name)
		return [3]string{votes.String(), percent(votes, s.base(i)), s.change(i, func(r *Round) Decimal { v, _ := r.votes(name); return v })}
	})
}

// change is what a value gains into the next round.
func (s sheet) change(i int, value func(*Round) Decimal) string {
	if i+1 == len(s.pass.Rounds) {
		return "0"
	}
	return value(&s.pass.Rounds[i+1]).Sub(value(&s.pass.Rounds[i])).String()
}

// base is what percentages of a round refer to.
func (s sheet) base(i int) Decimal {
	ownRound := s.res.Rules.Mode == SingleWinnerMajority || s.res.Rules.Mode == BottomsUpUsingPercentageThreshold
	if !ownRound || s.res.Rules.FirstRoundThreshold {
		i = 0
	}
	return s.pass.Rounds[i].Active()
}

func (s sheet) foot() {
	rounds := s.pass.Rounds
	s.row("Active Ballots", func(i int) [3]string { return [3]string{rounds[i].Active().String()} })
	s.row("Current Round Threshold", func(i int) [3]string { return [3]string{rounds[i].Threshold.String()} })
	for _, x := range []struct {
		title string
		value func(*Round) Decimal
	}{
		{"Inactive Ballots by Overvotes", func(r *Round) Decimal { return r.Inactive.Overvotes }},
		{"Inactive Ballots by Skipped Rankings", func(r *Round) Decimal { return r.Inactive.SkippedRankings }},
		{"Inactive Ballots by Exhausted Choices", func(r *Round) Decimal { return r.Inactive.ExhaustedChoices }},
		{"Inactive Ballots by Repeated Rankings", func(r *Round) Decimal { return r.Inactive.RepeatedRankings }},
		{"Inactive Ballots Total", func(r *Round) Decimal { return r.Inactive.Sum() }},
	} {
		s.row(x.title, func(i int) [3]string { return [3]string{x.value(&rounds[i]).String(), "", s.change(i, x.value)} })
	}
	if s.pass.last().ResidualSurplus.Sign() > 0 {
		s.row("Residual surplus", func(i int) [3]string { return [3]string{rounds[i].ResidualSurplus.String()} })
	}
	if s.res.Rules.stv() {
		s.row("Final Round Surplus", func(i int) [3]string {
			if d := rounds[i].FinalRoundSurplus; d.Sign() != 0 || d.scale != 0 {
				return [3]string{d.String()}
			}
			return [3]string{}
		})
	}
	if slices.ContainsFunc(rounds, func(r Round) bool { return r.Tie != nil }) {
		s.gap()
		s.line("*Tie resolved in accordance with election law")
	}
}

// percent is a share as RCTab prints it: rounded to seven significant digits,
// half to even, then cut after two decimal places of a percent. Empty when
// there is nothing to share.
func percent(part, all Decimal) string {
	if all.Sign() == 0 {
		return ""
	}
	share := new(big.Rat).Quo(part.Rat(), all.Rat())
	// Shares below 10^-20 print as 0.0 however they are rounded.
	places := 6
	for places < 30 && new(big.Rat).Mul(share, new(big.Rat).SetInt(pow10(places))).Cmp(big.NewRat(1_000_000, 1)) < 0 {
		places++
	}
	n := roundEven(new(big.Rat).Mul(share, new(big.Rat).SetInt(pow10(places))))
	hundredths := n.Quo(n, pow10(places-4)).Int64()
	digits := strings.TrimSuffix(fmt.Sprintf("%02d", hundredths%100), "0")
	return fmt.Sprintf("%d.%s%%", hundredths/100, digits)
}

// roundEven rounds a number that is not negative to an integer.
func roundEven(x *big.Rat) *big.Int {
	n, rest := new(big.Int).QuoRem(x.Num(), x.Denom(), new(big.Int))
	half := rest.Lsh(rest, 1).Cmp(x.Denom())
	if half > 0 || half == 0 && n.Bit(0) == 1 {
		n.Add(n, big.NewInt(1))
	}
	return n
}
