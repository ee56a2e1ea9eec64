package cdf

import (
	"bytes"

	"sallyport/internal/ems/election"
	"sallyport/internal/ems/model"
	"sallyport/internal/verdict"
)

// MaxDefinition is the most bytes of a ballot definition.
const MaxDefinition = 16 << 20

// Election reads a BallotDefinition document of one election (JSON): its shape
// against the standard's schema, then the profile. The first fault is the
// finding: content-invalid, or over-limit.
func (r *Reader) Election(file string, data []byte) (*election.Valid, error) {
	if len(data) > MaxDefinition {
		return nil, verdict.New(verdict.OverLimit, file, "a ballot definition may have %d MiB", MaxDefinition>>20)
	}
	b := newBudget(file, bytes.NewReader(data))
	w := newWalker(newChecker(file, r.bd, b), b)
	if err := w.document(); err != nil {
		return nil, err
	}
	d, err := election.Read(data)
	if err != nil {
		return nil, w.failed(err)
	}
	v, problems := d.Check()
	if len(problems) > 0 {
		p := problems[0]
		return nil, broken(file, p.Pointer, 0, p.Rule, "%s", p.Text)
	}
	return v, nil
}

// Definition reads a BallotDefinition document as [Reader.Election] does, and
// returns it as the core counts with it.
func (r *Reader) Definition(file string, data []byte) (*model.Definition, error) {
	v, err := r.Election(file, data)
	if err != nil {
		return nil, err
	}
	return v.Compiled(), nil
}
