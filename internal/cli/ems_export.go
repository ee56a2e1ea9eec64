package cli

import (
	"context"
	"fmt"
	"io"
	"strings"

	"sallyport/internal/control"
	"sallyport/internal/ems"
	"sallyport/internal/ems/audits"
	"sallyport/internal/ems/cdf"
	"sallyport/internal/ems/rla"
	"sallyport/internal/verdict"
)

type exportCmd struct {
	anElection
	Form    string   `required:"" enum:"definition,records,manifest,totals,dominion,clearballot,ess,hart" help:"What to write: definition (SP 1500-20), records (SP 1500-103), manifest or totals (ballots or votes by batch, for Arlo), dominion or clearballot (records in those forms), ess or hart (a folder of two files)."`
	Out     string   `required:"" help:"File, or folder for ess and hart, to write; it must not exist." placeholder:"FILE"`
	XML     bool     `help:"Definition or records as XML, not JSON."`
	Contest []string `help:"The contests whose votes are in the totals." placeholder:"ID"`
}

func (c *exportCmd) Run(a *app) error {
	if err := checkNew(c.Out); err != nil {
		return err
	}
	_, err := withDesk(a, reading, func(k *ems.Core) (none struct{}, err error) {
		list, err := k.Elections(a.ctx)
		if err != nil {
			return none, err
		}
		id, err := ems.Only(list, c.Election)
		if err != nil {
			return none, err
		}
		if f := audits.Form(c.Form); f == audits.ESS || f == audits.Hart {
			return none, newFolder(c.Out, func(create func(string) (io.WriteCloser, error)) error {
				return audits.WriteFolder(a.ctx, create, f, k, id)
			})
		}
		return none, newFile(c.Out, func(w io.Writer) error { return c.write(a.ctx, w, k, id) })
	})
	if err != nil {
		return err
	}
	return a.print(writtenFile{File: c.Out}, func(w io.Writer) { fmt.Fprintln(w, "wrote", verdict.Escape(c.Out)) })
}

func (c *exportCmd) write(ctx context.Context, w io.Writer, k *ems.Core, id string) error {
	enc := cdf.JSON
	if c.XML {
		enc = cdf.XML
	}
	switch c.Form {
	case "definition":
		return writeDefinition(ctx, w, k, id, enc)
	case "records":
		return k.WriteRecords(ctx, id, w, enc)
	case "manifest", "totals":
		list, err := k.Batches(ctx, id)
		if err != nil {
			return err
		}
		if c.Form == "manifest" {
			return rla.WriteManifest(w, audits.Manifest(list, rla.BallotComparison))
		}
		if len(c.Contest) == 0 {
			return control.Failf(control.CodeUsage, "say whose totals: --contest ID")
		}
		d, err := k.Compiled(ctx, id)
		if err != nil {
			return err
		}
		t, err := audits.Totals(d, list, c.Contest)
		if err != nil {
			return control.Failf(control.CodeUsage, "%v", err)
		}
		return rla.WriteBatchTotals(w, t)
	}
	return audits.WriteCVRs(ctx, w, audits.Form(c.Form), k, id)
}

// writeDefinition writes the definition: as it was imported, or in the other
// encoding.
func writeDefinition(ctx context.Context, w io.Writer, k *ems.Core, id string, enc cdf.Encoding) error {
	data, err := k.Document(ctx, id)
	if err != nil {
		return err
	}
	docs, err := cdf.New()
	if err != nil {
		return err
	}
	if isXML := strings.HasPrefix(strings.TrimSpace(string(data[:min(len(data), 64)])), "<"); isXML == (enc == cdf.XML) {
		_, err := w.Write(data)
		return err
	}
	doc, _, err := docs.ReadDocument(ctx, "definition", strings.NewReader(string(data)), cdf.ReadOptions{Format: cdf.BD})
	if err != nil {
		return err
	}
	if enc == cdf.XML {
		return doc.WriteXML(w)
	}
	return doc.WriteJSON(w)
}
