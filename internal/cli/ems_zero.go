package cli

import (
	"bytes"
	"fmt"
	"io"

	"sallyport/internal/control"
	"sallyport/internal/ems"
	"sallyport/internal/ems/deck"
	"sallyport/internal/verdict"
)

type emsZeroCmd struct {
	theElection
	Out string `help:"Write the whole report, every number of it, as CSV." placeholder:"FILE"`
}

// zeroReport is what 'ems zero' prints.
type zeroReport struct {
	Election string `json:"election"`
	Test     bool   `json:"test"`
	SHA256   string `json:"definition_sha256"`
	Numbers  int    `json:"numbers"` // that were counted anew, all 0
	Zero     bool   `json:"zero"`
	File     string `json:"file,omitzero"`
}

func (c *emsZeroCmd) Run(a *app) error {
	if c.Out != "" {
		if err := checkNew(c.Out); err != nil {
			return err
		}
	}
	z, err := withDesk(a, reading, func(k *ems.Core) (*zeroReport, error) { return c.report(a, k) })
	if err != nil {
		return err
	}
	return a.print(z, func(w io.Writer) {
		fmt.Fprintf(w, "ZERO: election %s has no ballot, no manual tally and no decision about a ballot; %d numbers were counted anew, and all are 0\n  definition   %s\n", verdict.Escape(z.Election), z.Numbers, z.SHA256)
		if z.Test {
			fmt.Fprintln(w, "  THIS IS A TEST CORE")
		}
	})
}

func (c *emsZeroCmd) report(a *app, k *ems.Core) (*zeroReport, error) {
	run, v, err := k.Zero(a.ctx, c.Election)
	if err != nil {
		return nil, err
	}
	r, err := deck.CheckZero(v, run)
	if err != nil {
		return nil, err
	}
	if !r.Same() {
		return nil, control.Failf(codeFailed, "the core of the election %s does not count to zero: %s", verdict.Escape(c.Election), r.Differences[0])
	}
	f, err := k.InForce(a.ctx, c.Election)
	if err != nil {
		return nil, err
	}
	z := &zeroReport{Election: c.Election, Test: v.Definition().IsTest, SHA256: f.SHA256, Numbers: r.Numbers, Zero: true, File: c.Out}
	if c.Out == "" {
		return z, nil
	}
	zero, err := deck.Zero(v)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	if err := zero.WriteCSV(&b); err != nil {
		return nil, err
	}
	return z, writeFile(c.Out, b.Bytes())
}
