// Package rla makes and reads the inputs of risk-limiting audits in the forms
// of Arlo: ballot manifests, candidate totals by batch, standardized contests,
// lists of jurisdictions and cast vote records; and it draws the sample, which
// anybody can draw again from the public seed and the manifests (FORMAT.md).
// It computes no risk and no sample size, keeps nothing, and does not know
// where ballots and totals come from. Every file is foreign: it is read within
// a budget, nothing in it is repaired or guessed, and each fault is a [Problem]
// with line, column, rule and what to do. No error quotes what is on a ballot.
package rla

// Audit is the kind of audit that a manifest is for. It decides which columns
// a manifest has and what identifies a batch.
type Audit string

// The kinds of audit that Arlo runs.
const (
	BallotPolling    Audit = "ballot-polling"
	BatchComparison  Audit = "batch-comparison"
	BallotComparison Audit = "ballot-comparison"
	Hybrid           Audit = "hybrid"
)

func (a Audit) valid() bool {
	return a == BallotPolling || a == BatchComparison || a == BallotComparison || a == Hybrid
}

// byTabulator says that a batch is identified by its tabulator and its name,
// and not by its name alone.
func (a Audit) byTabulator() bool { return a == BallotComparison || a == Hybrid }

// The most that one file, and one audit, may hold.
const (
	maxFile    = 64 << 20 // bytes of one file
	maxRecord  = 1 << 20  // bytes of one row
	maxCell    = 1 << 10  // bytes of one cell, except lists
	maxList    = 1 << 18  // bytes of a cell that is a list
	maxColumns = 1024
	maxRows    = 200_000
	maxNumber  = 999_999_999
	maxBallots = 1 << 27 // in all manifests of a sample
	maxDraws   = 1 << 21 // of one sample, with the draws of earlier rounds
)
