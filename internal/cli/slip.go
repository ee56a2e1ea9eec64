package cli

import (
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/term"

	"sallyport/internal/audit"
	"sallyport/internal/control"
	"sallyport/internal/slip"
	"sallyport/internal/station"
	"sallyport/internal/verdict"
)

type slipCmd struct {
	Medium string `arg:"" optional:"" help:"The medium's id, an unambiguous beginning of it, or one of its items. Without it: the last medium that had its verdict." placeholder:"MEDIUM"`
	HTML   string `name:"html" help:"Write the slip as an HTML page to this file, which must not exist." placeholder:"FILE"`
}

// Help implements kong.HelpProvider.
func (slipCmd) Help() string {
	return `A slip says what became of a medium: verdict, packages, reasons and what to do, the entry of the audit log; and it carries the last checkpoint that this station's TPM signed over that log, as text and as a QR code. Give one to whoever brought the medium and keep one away from the station: nobody can change or cut back the log later without being contradicted by it.

    sallyport slip                       (of the last medium)
    sallyport slip 7c2e2bfb0936 | lp     (a printer with 80 columns)
    sallyport slip 7c2e --html slip.html (a page for A6 or a receipt printer, without scripts)

Whoever has a slip checks a copy of the log, on any machine: scan the code and save its text as a file, or take the file of the slip itself, and run

    sallyport-verify witness slip.txt --dir LOG --key ems-1.pem

The report that 'sallyport --json intake' prints and the evidence.json of a sealed package are witnesses as well.

Exit status: 0 printed, 3 printed, but the audit log is damaged, 5 printed, but the TPM has not sealed the verdict (also: no verdict yet, the station is not ready), 1 failed, 2 usage or no such medium.`
}

// slipFile is a slip and the file it was written to.
type slipFile struct {
	slip.Slip
	File string `json:"file,omitzero"`
}

func (c *slipCmd) Run(a *app) error {
	if c.HTML != "" {
		if err := checkNew(c.HTML); err != nil {
			return err
		}
	}
	s, err := a.connect()
	if err != nil {
		return err
	}
	made, err := s.slip(c.Medium)
	if err = errors.Join(err, s.close()); err != nil {
		return err
	}
	if err := c.print(a, made); err != nil {
		return err
	}
	switch {
	case made.Checkpoint == "":
		return exit{ExitUnchecked}
	case len(made.Damage) > 0:
		return exit{ExitHeld}
	}
	return nil
}

// print shows the slip, and writes it to a file when one is named.
func (c *slipCmd) print(a *app, made *slip.Slip) error {
	if c.HTML != "" {
		page, err := made.HTML()
		if err == nil {
			err = newFile(c.HTML, func(w io.Writer) error {
				_, err := w.Write(page)
				return err
			})
		}
		if err != nil {
			return err
		}
		return a.print(slipFile{*made, c.HTML}, func(w io.Writer) {
			fmt.Fprintf(w, "wrote the slip of medium %s (%s) to %s\n", made.Medium, made.Verdict, verdict.Escape(c.HTML))
		})
	}
	f, ok := a.out.(*os.File)
	text, err := made.Text(ok && term.IsTerminal(int(f.Fd())))
	if err != nil {
		return err
	}
	return a.print(slipFile{Slip: *made}, func(w io.Writer) { io.WriteString(w, text) })
}

// slip makes the slip of a medium from the log.
func (s *session) slip(start string) (*slip.Slip, error) {
	id, err := s.findMedium(start)
	if err != nil {
		return nil, err
	}
	st, err := s.story(id)
	if err != nil {
		return nil, err
	}
	var status station.Status
	if err := s.do(station.OpStatus, station.NoArgs{}, nil, &status); err != nil {
		return nil, err
	}
	v := st.verdict()
	if v == nil {
		return nil, control.Failf(control.CodeUnavailable, "medium %s has no verdict that can be read", id)
	}
	judged := step{at: v}
	out := &slip.Slip{
		Station: status.Station, StationName: verdict.Visible(status.Name), Jurisdiction: status.Jurisdiction, Medium: id,
		Verdict: verdict.Verdict(v.Outcome), Entry: v.Seq, Time: v.Time().Local(), ClockTrusted: v.WallTrusted,
		Reasons: append([]verdict.Reason{}, judged.reasons()...), Detail: judged.field("detail"), Packages: st.packages(),
	}
	if in := st.find(audit.MediumInserted); in != nil {
		out.About = aboutMedium(in)
	}
	for i := range st.damage {
		out.Damage = append(out.Damage, verdict.Visible(st.damage[i].Error()))
	}
	if st.checkpoint == "" {
		return out, nil
	}
	sealed, err := s.openNote(st.checkpoint)
	if err != nil {
		return nil, fmt.Errorf("cannot make a slip: the last checkpoint of the log is not this station's: %w", err)
	}
	if sealed.Size > v.Seq {
		out.Checkpoint, out.Sealed = st.checkpoint, sealed.Size
	}
	return out, nil
}
