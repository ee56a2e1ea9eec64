package cli

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"text/tabwriter"

	"sallyport/internal/control"
	"sallyport/internal/eventlog"
	"sallyport/internal/station"
	"sallyport/internal/trust"
	"sallyport/internal/verdict"
)

// stationCmd is what a station does for its own enrolment; the authority's side
// is authorityCmd.
type stationCmd struct {
	Request  requestCmd  `cmd:"" help:"Ask to be enrolled: write what this station's TPM says of its keys."`
	Activate activateCmd `cmd:"" help:"Answer the authority's challenge."`
	Handover handoverCmd `cmd:"" help:"Hand over to this station's new key, and seal nothing from then on."`
	Measure  measureCmd  `cmd:"" help:"Show and explain the state in which this station was started."`
}

// Names of the documents on a medium.
const (
	requestName   = "request.json"
	challengeName = "challenge.json"
	answerName    = "answer.json"
	handoverName  = "handover.dsse.json"
	measureName   = "measurement.json"
	signerSuffix  = ".dsse.json" // after the holder's name
	rootName      = "root.json"
	draftName     = "draft.dsse.json"
)

type requestCmd struct {
	output
}

func (c *requestCmd) Run(a *app) error {
	if err := c.as(requestName); err != nil {
		return err
	}
	var r station.Requested
	if err := a.do(station.OpEnrolRequest, station.NoArgs{}, nil, &r); err != nil {
		return err
	}
	body := r.Document
	r.Body = nil // it is in the file
	return c.write(a, body, r, func(w io.Writer) {
		fmt.Fprintf(w, "signing key      %s\nendorsement key  %s\n", r.KeyID, r.EKSHA256)
		if !r.EKCertificate {
			fmt.Fprintln(w, "The TPM holds no certificate of its maker: print this page; the authority needs the endorsement key's digest from paper.")
		}
		fmt.Fprintln(w, "Next: carry it to the authority, which answers with a challenge ('sallyport authority challenge').")
	})
}

type activateCmd struct {
	Challenge string `arg:"" help:"The authority's challenge."`
	source
	output
}

func (c *activateCmd) Run(a *app) error {
	if err := c.as(answerName); err != nil {
		return err
	}
	body, err := c.read(a, "challenge", c.Challenge)
	if err != nil {
		return err
	}
	var d station.Document
	if err := a.do(station.OpEnrolActivate, station.ActivateArgs{Challenge: body}, nil, &d); err != nil {
		return err
	}
	return c.write(a, d, nil, func(w io.Writer) {
		fmt.Fprintln(w, "Next: carry it to the authority, which enrols this station with its next trust bundle ('sallyport authority admit').")
	})
}

type handoverCmd struct {
	Request string `arg:"" help:"The enrolment request of the new key of this station."`
	source
	output
}

func (c *handoverCmd) Run(a *app) error {
	if err := c.as(handoverName); err != nil {
		return err
	}
	body, err := c.read(a, "enrolment request", c.Request)
	if err != nil {
		return err
	}
	var h station.HandedOver
	if err := a.do(station.OpEnrolHandover, station.HandoverArgs{Request: body}, nil, &h); err != nil {
		return err
	}
	document := h.Document
	h.Body = nil
	return c.write(a, document, h, func(w io.Writer) {
		fmt.Fprintf(w, "this station seals nothing any more; its last sequence number is %d\nnew key  %s\n", h.LastSeq, h.NewKey)
		fmt.Fprintln(w, "Next: carry it to the authority with the new key's answer ('sallyport authority admit --handover').")
	})
}

// eventLogPath is where Linux shows the firmware's event log, to root alone.
const eventLogPath = "/sys/kernel/security/tpm0/binary_bios_measurements"

type measureCmd struct {
	output          // optional here: the signed measurement, for the authority to approve
	EventLog string `help:"The firmware's event log." default:"${eventlog}" placeholder:"FILE"`
	Events   bool   `help:"List every event."`
}

// measured is what 'station measure' prints.
type measured struct {
	Policy   string             `json:"policy"`
	Bound    bool               `json:"bound"`
	Approved []string           `json:"approved"`
	PCRs     []measuredRegister `json:"pcrs"`
	// Log says in how far the event log explains the registers.
	Log    string          `json:"event_log"`
	Events []measuredEvent `json:"events,omitzero"`
	File   string          `json:"file,omitzero"`
}

type measuredRegister struct {
	PCR      int    `json:"pcr"`
	SHA256   string `json:"sha256"`
	Holds    string `json:"holds"`
	Replayed string `json:"replayed,omitzero"` // "equal", "differs"; empty without a log
	// Phases are those of the start that systemd has measured since the log ended,
	// into PCR 11.
	Phases []string `json:"phases,omitempty"`
}

// compare says whether the event log explains the register. One that the log
// does not mention is all zeros when the log tells everything.
func (r *measuredRegister) compare(log *eventlog.Log) bool {
	start, known := log.Replay()[r.PCR], false
	r.Replayed = "differs"
	now, err := hex.DecodeString(r.SHA256)
	switch {
	case err != nil || len(now) != len(start):
	case r.PCR == phasesPCR:
		r.Phases, known = eventlog.Phases(start, [len(start)]byte(now))
	default:
		known = start == [len(start)]byte(now)
	}
	if known {
		r.Replayed = "equal"
	}
	return known
}

// phasesPCR is the register that systemd extends after the log has ended.
const phasesPCR = 11

type measuredEvent struct {
	PCR     int    `json:"pcr"`
	Type    string `json:"type"`
	SHA256  string `json:"sha256"`
	Summary string `json:"summary"`
}

func (c *measureCmd) Run(a *app) error {
	wanted := c.Out != "" || c.Image != ""
	if wanted {
		if err := c.as(measureName); err != nil {
			return err
		}
	}
	var m station.Measured
	if err := a.do(station.OpBootMeasure, station.NoArgs{}, nil, &m); err != nil {
		return err
	}
	out := &measured{Policy: m.Policy, Bound: m.Bound, Approved: m.Approved}
	log, why := c.eventLog()
	out.Log = why
	explained := 0
	for _, p := range m.PCRs {
		r := measuredRegister{PCR: p.PCR, SHA256: p.SHA256, Holds: eventlog.Explain(p.PCR)}
		if log != nil && r.compare(log) {
			explained++
		}
		out.PCRs = append(out.PCRs, r)
	}
	if log != nil {
		out.Log = fmt.Sprintf("%d events, which explain %d of these %d registers", len(log.Events), explained, len(m.PCRs))
		if c.Events {
			for _, e := range log.Events {
				out.Events = append(out.Events, measuredEvent{e.PCR, e.Type.String(), fmt.Sprintf("%x", e.Digest), e.Summary})
			}
		}
	}
	if wanted {
		var err error
		if out.File, err = c.put(m.Body); err != nil {
			return err
		}
	}
	if err := a.print(out, out.show); err != nil {
		return err
	}
	if m.Bound && len(m.Approved) == 0 {
		return exit{ExitUnchecked}
	}
	return nil
}

// eventLog reads the firmware's log, or says why there is none.
func (c *measureCmd) eventLog() (*eventlog.Log, string) {
	var data []byte
	f, _, err := openPlain(c.EventLog, 0)
	if err == nil {
		defer f.Close()
		data, err = io.ReadAll(io.LimitReader(f, eventlog.MaxBytes+1))
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, "none: this system's firmware gives no event log (" + c.EventLog + ")"
	case errors.Is(err, fs.ErrPermission):
		return nil, "not read: run this command as root to have the registers explained"
	case err != nil:
		return nil, "not read: " + err.Error()
	}
	log, err := eventlog.Parse(data)
	if err != nil {
		return nil, "not understood: " + err.Error()
	}
	return log, ""
}

func (m *measured) show(w io.Writer) {
	tw := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	for _, r := range m.PCRs {
		note := ""
		switch r.Replayed {
		case "equal":
			note = " (the event log explains it)"
			if len(r.Phases) > 0 {
				note = " (the event log explains it, with systemd's " + strings.Join(r.Phases, ", ") + ")"
			}
		case "differs":
			note = " (THE EVENT LOG SAYS SOMETHING ELSE)"
		}
		fmt.Fprintf(tw, "PCR %d\t%s%s\n\t%s\n", r.PCR, r.SHA256, note, r.Holds)
	}
	tw.Flush()
	fmt.Fprintf(w, "event log: %s\nboot state %s\n", verdict.Escape(m.Log), m.Policy)
	for _, e := range m.Events {
		fmt.Fprintf(w, "%3d  %-32s %.16s…  %s\n", e.PCR, e.Type, e.SHA256, verdict.Escape(e.Summary))
	}
	switch {
	case len(m.Approved) > 0:
		fmt.Fprintf(w, "approved by the authority as %s\n", verdict.Escape(strings.Join(m.Approved, ", ")))
	case m.Bound:
		fmt.Fprintln(w, "NOT APPROVED: this station cannot seal in this state. If an update was made, carry a measurement (--out or --image) to the authority ('sallyport authority approve').")
	default:
		fmt.Fprintln(w, "not approved, and the signing key is not bound to a boot state")
	}
	if m.File != "" {
		fmt.Fprintf(w, "wrote %s\n", verdict.Escape(m.File))
	}
}

// custody says where a key of the authority lies.
func custody(k *trust.RootKey) string {
	switch k.Custody {
	case trust.InTPM:
		return "in a TPM"
	case trust.InPKCS11:
		return "in a PKCS#11 token, by its holder's account"
	case trust.InFile:
		return "in an encrypted FILE, by its holder's account"
	}
	return "nobody knows where"
}

// usage is a mistake on the command line.
func usage(format string, args ...any) error {
	return control.Failf(control.CodeUsage, format, args...)
}
