package cli

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"sallyport/internal/station"
	"sallyport/internal/translog"
	"sallyport/internal/verdict"
)

type quarantineCmd struct {
	List quarantineListCmd `cmd:"" help:"List what is held, newest first."`
	Show quarantineShowCmd `cmd:"" help:"Tell the story of a held item: what came, when, and why it is held."`
}

type quarantineListCmd struct{}

// Help implements kong.HelpProvider.
func (quarantineListCmd) Help() string {
	return `    sallyport quarantine list
    sallyport quarantine show ITEM

Exit status: 0 done, 1 failed, 2 usage, 5 the station is not ready.`
}

func (quarantineListCmd) Run(a *app) error {
	var q station.Quarantine
	if err := a.do(station.OpQuarantineList, station.NoArgs{}, nil, &q); err != nil {
		return err
	}
	return a.print(q, func(w io.Writer) {
		tw := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
		fmt.Fprintln(tw, "ITEM\tINSERTED\tMEDIUM\tFILES\tSIZE\tREASONS")
		for _, h := range q.Items {
			reasons := strings.Join(h.Reasons, ", ")
			if h.Problem != "" {
				reasons += " [this item is damaged: " + verdict.Escape(h.Problem) + "]"
			}
			fmt.Fprintf(tw, "%s\t%s\t%s\t%d\t%s\t%s\n", h.Item, h.Inserted, clip(h.Medium), h.Files, size(h.Bytes), reasons)
		}
		tw.Flush()
		if len(q.Items) == 0 {
			fmt.Fprintln(w, "nothing is held")
		}
	})
}

type quarantineShowCmd struct {
	Item   string `arg:"" help:"The item's id, or an unambiguous beginning of it."`
	Verify bool   `help:"Read all stored bytes again and compare their hashes."`
}

// Help implements kong.HelpProvider.
func (quarantineShowCmd) Help() string {
	return `Tells from the audit log what happened to the medium, in order and with times: the device, its authorisation, what was read, what became of each package, the verdict with its reasons and what to do, the release, and all that came later. Then the item as it is kept: what its manifest says as far as it was verified, and the stored files. The numbers are those of the entries: 'sallyport log explain N' says more of each. Held bytes are kept as they came.

    sallyport quarantine show 7c2e
    sallyport quarantine show --verify 7c2e2bfb0936-1
    sallyport --json quarantine show 7c2e      (every fact, for machines)

Exit status: 0 done, 3 shown, but the audit log is damaged, 1 failed (also: --verify found stored bytes altered), 2 usage or no such item, 5 the station is not ready.`
}

// heldStory is a held item and how it came to be held.
type heldStory struct {
	station.Held
	Story []told `json:"story"`
	// Damage names places of the log that could not be read: the story may lack
	// something.
	Damage []translog.Damage `json:"damage,omitempty"`
}

func (c *quarantineShowCmd) Run(a *app) error {
	s, err := a.connect()
	if err != nil {
		return err
	}
	h, err := c.ask(s)
	st := &story{}
	if err == nil {
		st, err = s.story(h.Facts.Medium.ID)
	}
	if err = errors.Join(err, s.close()); err != nil {
		return err
	}
	if err := a.print(heldStory{h, st.told(), st.damage}, func(w io.Writer) { showHeld(w, &h, st) }); err != nil {
		return err
	}
	switch {
	case h.Intact != "" && h.Intact != "yes":
		return exit{ExitFailed}
	case len(st.damage) > 0:
		return exit{ExitHeld}
	}
	return nil
}

// ask collects the answer, whose files come in parts.
func (c *quarantineShowCmd) ask(s *session) (h station.Held, err error) {
	if err := s.do(station.OpQuarantineShow, station.ItemArgs{Item: c.Item, Verify: c.Verify}, nil, &h); err != nil {
		return h, err
	}
	for len(h.Files) < h.Count {
		var part station.Held
		if err := s.do(station.OpQuarantineShow, station.ItemArgs{Item: h.Item, From: len(h.Files)}, nil, &part); err != nil {
			return h, err
		}
		if len(part.Files) == 0 {
			return h, fmt.Errorf("the station shows %d of %d files", len(h.Files), h.Count)
		}
		h.Files = append(h.Files, part.Files...)
	}
	return h, nil
}

func showHeld(w io.Writer, h *station.Held, st *story) {
	m := h.Facts.Medium
	fmt.Fprintf(w, "item %s, of medium %s: %s %s, %s\n\n", h.Item, m.ID, m.Source, verdict.Escape(m.Name), size(m.Size))
	st.show(w, h)
	if st.verdict() == nil { // the log says nothing of why: the item does
		showFindings(w, "  ", h.Findings)
	}
	fmt.Fprintf(w, "\nheld now as item %s: %s\n", h.Item, count(h.Count, "file"))
	for _, p := range st.packages() {
		if p.Item != "" && p.Item != h.Item {
			fmt.Fprintf(w, "  of the same medium: item %s, %s\n", p.Item, p.Verdict)
		}
	}
	if d := m.Device; d != nil {
		fmt.Fprintf(w, "  device at port %s: %s, %s:%s, %s, descriptors %s\n", d.Port, deviceName(d), d.Vendor, d.Product, d.Shape, d.SHA256)
	}
	for _, v := range m.Volumes {
		fmt.Fprintf(w, "  volume: %s, %s, label %s, id %s\n", v.FS, size(v.Size), quoted(v.Label), v.ID)
		if len(v.Holds) > 0 {
			fmt.Fprintf(w, "    holds %s\n", holds(v.Holds, v.Deleted))
		}
		for _, n := range v.Notable {
			fmt.Fprintf(w, "    %s: %s\n", n.Kind, n.Path)
		}
	}
	if h.Facts.Package != "" {
		fmt.Fprintf(w, "  package %s", h.Facts.Package)
		if h.Facts.Station != "" {
			fmt.Fprintf(w, ": %s from station %s, stream %s, sequence %d", h.Facts.Kind, h.Facts.Station, h.Facts.Stream, h.Facts.Seq)
		}
		fmt.Fprintln(w)
	}
	tw := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	for _, f := range h.Files {
		note := ""
		if f.Partial {
			note = "not whole"
		}
		fmt.Fprintf(tw, "  %d\t%s\t%s\t%s\n", f.Size, f.SHA256, f.Name, note)
	}
	tw.Flush()
	if h.Intact != "" {
		fmt.Fprintf(w, "  stored bytes intact: %s\n", verdict.Escape(h.Intact))
	}
}
