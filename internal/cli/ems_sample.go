package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"sallyport/internal/control"
	"sallyport/internal/ems/rla"
	"sallyport/internal/verdict"
)

type sampleCmd struct {
	Manifest     string `arg:"" help:"Ballot manifest (CSV), such as 'sallyport ems export --form manifest' writes."`
	Jurisdiction string `required:"" help:"The jurisdiction whose ballots these are; its name is part of the draw." placeholder:"NAME"`
	Seed         string `required:"" help:"The public seed: the digits of the dice that were rolled." placeholder:"DIGITS"`
	Take         int    `required:"" help:"How many ballots to draw." placeholder:"N"`
	Drop         int    `help:"How many draws earlier rounds have taken." placeholder:"N"`
	Algorithm    string `enum:"consistent-sampler,sha256-seed-number" default:"consistent-sampler" help:"consistent-sampler (Rivest; what Arlo does) or sha256-seed-number (Stark)."`
	Out          string `required:"" help:"Retrieval list to write (CSV)." placeholder:"FILE"`
	Record       string `help:"Record of the draw to write (JSON), with which anybody can repeat it." placeholder:"FILE"`
}

// sampled is what 'ems sample' prints.
type sampled struct {
	Algorithm  string `json:"algorithm"`
	Seed       string `json:"seed"`
	Population int    `json:"population"` // ballots
	Draws      int    `json:"draws"`
	Manifest   string `json:"manifest_sha256"`
	Out        string `json:"out"`
	Record     string `json:"record,omitempty"`
}

func (c *sampleCmd) Run(a *app) error {
	for _, path := range []string{c.Out, c.Record} {
		if path == "" {
			continue
		}
		if err := checkNew(path); err != nil {
			return err
		}
	}
	s, sha, err := c.draw(a.ctx)
	if err != nil {
		return err
	}
	if err := newFile(c.Out, func(w io.Writer) error { return s.WriteRetrievalList(w, c.Jurisdiction) }); err != nil {
		return err
	}
	if c.Record != "" {
		if err := newFile(c.Record, s.WriteRecord); err != nil {
			return err
		}
	}
	out := sampled{string(s.Algorithm), c.Seed, s.Population, len(s.Draws), sha, c.Out, c.Record}
	return a.print(out, func(w io.Writer) {
		fmt.Fprintf(w, "drew %d of %d ballots by %s with the seed %s; %s says where they lie\n", out.Draws, out.Population, out.Algorithm, verdict.Escape(c.Seed), verdict.Escape(c.Out))
	})
}

func (c *sampleCmd) draw(ctx context.Context) (*rla.Sample, string, error) {
	seed, err := rla.ParseSeed(c.Seed)
	if err != nil {
		return nil, "", control.Failf(control.CodeUsage, "%v", err)
	}
	f, err := os.Open(c.Manifest)
	if err != nil {
		return nil, "", control.Failf(control.CodeUsage, "cannot read the manifest: %v", err)
	}
	defer f.Close()
	m, err := rla.ReadManifest(filepath.Base(c.Manifest), f, rla.BallotComparison)
	if err != nil {
		return nil, "", err
	}
	s, err := rla.DrawBallots(ctx, rla.BallotRequest{Algorithm: rla.Algorithm(c.Algorithm), Seed: seed, Take: c.Take, Drop: c.Drop,
		Pools: []rla.Pool{{Jurisdiction: c.Jurisdiction, Manifest: m}}})
	if err != nil {
		return nil, "", control.Failf(control.CodeUsage, "%v", err)
	}
	return s, m.SHA256, nil
}
