package cli

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/rs/zerolog"

	"sallyport/internal/audit"
	"sallyport/internal/control"
	"sallyport/internal/ems"
	"sallyport/internal/hotplug"
	"sallyport/internal/station"
	"sallyport/internal/trust"
	"sallyport/internal/verdict"
)

type initCmd struct {
	Root string `help:"Root document of the election authority; every station but the authority itself needs it." placeholder:"FILE"`
}

func (c *initCmd) Run(a *app) error {
	cfg, err := a.config()
	if err != nil {
		return err
	}
	authority := cfg.Station.Role == "authority"
	switch {
	case authority && c.Root != "":
		return control.Failf(control.CodeUsage, "an authority makes its own root: leave --root out")
	case !authority && c.Root == "":
		return control.Failf(control.CodeUsage, "a station of the role %s needs the root document of its authority: --root FILE ('sallyport trust root' writes it there)", cfg.Station.Role)
	}
	var root []byte
	if c.Root != "" {
		if root, err = readDocument("root document", c.Root); err != nil {
			return err
		}
	}
	id, err := station.Init(a.ctx, cfg, station.Options{Log: zerolog.Nop(), Now: time.Now}, root)
	if err != nil {
		return err
	}
	return a.print(id, func(w io.Writer) {
		fmt.Fprintf(w, "station %s is initialised; its signing key is\n  %s\n", cfg.Station.ID, id.KeyID)
		if authority {
			fmt.Fprintln(w, "Next: 'sallyport authority init' founds the authority; a further station of one that exists gives its key to it ('sallyport authority key') and takes its root ('sallyport authority adopt').")
		} else {
			fmt.Fprintln(w, "Next: 'sallyport station request' writes what the authority needs to enrol this station.")
		}
	})
}

type statusCmd struct{}

func (statusCmd) Run(a *app) error {
	var s station.Status
	if err := a.do(station.OpStatus, station.NoArgs{}, nil, &s); err != nil {
		return err
	}
	if err := a.print(s, func(w io.Writer) { showStatus(w, &s) }); err != nil {
		return err
	}
	if len(s.NotReady) > 0 {
		return exit{ExitUnchecked}
	}
	return nil
}

func showStatus(w io.Writer, s *station.Status) {
	tw := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	tpm := s.TPM
	if s.SoftwareTPM {
		tpm += " (software: not for production)"
	}
	runs := "no daemon; this command opened the station itself"
	if s.Daemon {
		runs = "sallyportd answers"
	}
	trust := "none installed"
	if s.TrustVersion > 0 {
		trust = fmt.Sprintf("version %d", s.TrustVersion)
	}
	for _, row := range [][2]string{
		{"station", fmt.Sprintf("%s (%s), role %s, jurisdiction %s", s.Station, verdict.Escape(s.Name), s.Role, s.Jurisdiction)},
		{"daemon", runs}, {"signing key", s.KeyID}, {"TPM", tpm}, {"trust bundle", trust},
		{"audit log", fmt.Sprintf("%d entries", s.LogEntries)},
		{"store", fmt.Sprintf("%d admitted, %d held, %s free", s.Admitted, s.Held, size(s.FreeBytes))},
	} {
		fmt.Fprintf(tw, "%s\t%s\n", row[0], row[1])
	}
	if s.USB != nil {
		fmt.Fprintf(tw, "USB ports\t%s\n", usbSummary(s.USB))
	}
	tw.Flush()
	if s.ClockNote != "" {
		fmt.Fprintln(w, "WARNING:", s.ClockNote)
	}
	if s.SealNote != "" {
		fmt.Fprintln(w, "cannot seal:", verdict.Escape(s.SealNote))
	}
	if len(s.NotReady) == 0 {
		fmt.Fprintln(w, "ready to take media")
	}
	for _, why := range s.NotReady {
		fmt.Fprintln(w, "NOT ready:", why)
	}
}

// usbSummary says in one line what the ports are for.
func usbSummary(v *hotplug.View) string {
	var parts []string
	for _, p := range v.Ports {
		if p.Role != "" {
			parts = append(parts, fmt.Sprintf("%s (%s): %s", p.Path, p.Role, p.Phase))
		}
	}
	if len(parts) == 0 {
		return "not known; is sallyport-usbd running?"
	}
	return strings.Join(parts, ", ")
}

type quarantineCmd struct {
	List quarantineListCmd `cmd:"" help:"List what is held, newest first."`
	Show quarantineShowCmd `cmd:"" help:"Everything known of one held item."`
}

type quarantineListCmd struct{}

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

func (c *quarantineShowCmd) Run(a *app) error {
	s, err := a.connect()
	if err != nil {
		return err
	}
	h, err := c.ask(s)
	if err = errors.Join(err, s.close()); err != nil {
		return err
	}
	if err := a.print(h, func(w io.Writer) { showHeld(w, &h) }); err != nil {
		return err
	}
	if h.Intact != "" && h.Intact != "yes" {
		return exit{ExitFailed}
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

func showHeld(w io.Writer, h *station.Held) {
	m := h.Facts.Medium
	fmt.Fprintf(w, "item %s\n  medium %s: %s %s, %s, inserted %s", h.Item, m.ID, m.Source, verdict.Escape(m.Name), size(m.Size), m.Inserted)
	if d := m.Device; d != nil {
		fmt.Fprintf(w, "\n  device at port %s: %s, %s:%s, %s, descriptors %s", d.Port, deviceName(d), d.Vendor, d.Product, d.Shape, d.SHA256)
	} else {
		fmt.Fprintf(w, " by uid %d", m.Caller)
	}
	fmt.Fprintln(w)
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
	showFindings(w, "  ", h.Findings)
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

type logCmd struct {
	Show   logShowCmd   `cmd:"" help:"Print entries of the audit log."`
	Export logExportCmd `cmd:"" help:"Write the audit log, or a part of it, to a file for others."`
	Bundle logBundleCmd `cmd:"" help:"Write the evidence about one medium to a file that others can check."`
	Events logEventsCmd `cmd:"" help:"Print the catalogue of events."`
	Attest logAttestCmd `cmd:"" help:"Answer a live challenge: the last checkpoint, and the TPM's counter now."`
}

type logShowCmd struct {
	From    int64     `help:"First entry."`
	Event   string    `help:"Only this event, or this family of events (such as package)." placeholder:"EVENT"`
	About   string    `help:"Only entries about this medium, package, manifest digest, station or person." placeholder:"ID"`
	Outcome string    `help:"Only entries with this outcome." placeholder:"OUTCOME"`
	Since   time.Time `help:"Only entries since this time (RFC 3339)." placeholder:"TIME"`
}

func (c *logShowCmd) Run(a *app) error {
	if err := c.check(); err != nil {
		return err
	}
	filter := audit.Filter{From: c.From, Event: c.Event, About: c.About, Outcome: audit.Outcome(c.Outcome), Since: c.Since}
	s, err := a.connect()
	if err != nil {
		return err
	}
	all, err := s.logEntries(filter)
	if err = errors.Join(err, s.close()); err != nil {
		return err
	}
	return a.print(all, func(w io.Writer) {
		for i := range all.Entries {
			fmt.Fprintln(w, logLine(&all.Entries[i]))
		}
		if len(all.Entries) == 0 {
			fmt.Fprintf(w, "none of the %d entries matches\n", all.Size)
		}
	})
}

// check refuses a filter that can match nothing.
func (c *logShowCmd) check() error {
	if c.Outcome != "" && !audit.Outcome(c.Outcome).Valid() {
		return control.Failf(control.CodeUsage, "there is no outcome %q; there are %v", verdict.Escape(c.Outcome), audit.Outcomes())
	}
	var ids []string
	for _, d := range audit.Catalogue() {
		id := string(d.ID)
		if c.Event == "" || id == c.Event || strings.HasPrefix(id, c.Event+".") {
			return nil
		}
		ids = append(ids, id)
	}
	return control.Failf(control.CodeUsage, "there is no event %q; there are %s", verdict.Escape(c.Event), strings.Join(ids, ", "))
}

// logEntries asks until the station has no more.
func (s *session) logEntries(filter audit.Filter) (station.Log, error) {
	all := station.Log{Entries: []audit.Entry{}}
	for {
		var part station.Log
		if err := s.do(station.OpLogShow, filter, nil, &part); err != nil {
			return all, err
		}
		all.Size = part.Size
		all.Entries = append(all.Entries, part.Entries...)
		if len(part.Entries) < station.MaxLogAnswer {
			return all, nil
		}
		filter.From = part.Entries[len(part.Entries)-1].Seq + 1
	}
}

// logLine is one entry on one line.
func logLine(e *audit.Entry) string {
	line := fmt.Sprintf("%6d  %s  %-17s %-7s", e.Seq, e.Wall, e.Event, e.Phase)
	if !e.WallTrusted {
		line += " (clock not trusted)"
	}
	if e.Phase == audit.PhaseOutcome {
		line += fmt.Sprintf(" of %d", e.Ref)
	}
	if e.Outcome != "" {
		line += " " + strings.ToUpper(string(e.Outcome))
	}
	if e.Subject.Medium != "" {
		line += " medium=" + e.Subject.Medium
	}
	if e.Subject.Package != "" {
		line += " package=" + e.Subject.Package
	}
	definition, _ := audit.Define(e.Event)
	for _, name := range slices.Concat(definition.Fields, audit.CommonFields()) {
		if v := e.Fields[name]; v != "" {
			line += fmt.Sprintf(" %s=%q", name, v)
		}
	}
	return line
}

type emsCmd struct {
	Tally     tallyCmd     `cmd:"" help:"Count an election from its ballots and print the result."`
	Elections electionsCmd `cmd:"" help:"List the elections in the core."`
}

type electionsCmd struct{}

func (electionsCmd) Run(a *app) error {
	var e station.Elections
	if err := a.do(station.OpElections, station.NoArgs{}, nil, &e); err != nil {
		return err
	}
	return a.print(e, func(w io.Writer) {
		tw := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
		fmt.Fprintln(tw, "ELECTION\tDATE\tCONTESTS\tPRECINCTS\tBALLOTS\tNAME")
		for _, x := range e.Elections {
			fmt.Fprintf(tw, "%s\t%s\t%d\t%d\t%d\t%s\n", verdict.Escape(x.ID), x.Date, x.Contests, x.Precincts, x.Ballots, verdict.Escape(x.Name))
		}
		tw.Flush()
	})
}

type tallyCmd struct {
	Election string `arg:"" optional:"" help:"The election's id; not needed when the core holds only one."`
}

func (c *tallyCmd) Run(a *app) error {
	var t ems.Tally
	if err := a.do(station.OpTally, station.TallyArgs{ElectionID: c.Election}, nil, &t); err != nil {
		return err
	}
	return a.print(t, func(w io.Writer) {
		if err := t.WriteTable(w); err != nil {
			fmt.Fprintln(a.err, "sallyport:", err)
		}
	})
}

type trustCmd struct {
	Show     trustShowCmd     `cmd:"" help:"Show the installed trust bundle."`
	Root     trustRootCmd     `cmd:"" help:"Write the root document that this station trusts."`
	Key      trustKeyCmd      `cmd:"" help:"Write one of this station's public keys in PEM, for sallyport-verify and openssl."`
	Identity trustIdentityCmd `cmd:"" help:"Write this station's TPM identity, for sallyport-verify."`
	Install  trustInstallCmd  `cmd:"" help:"Verify and install a trust bundle."`
}

type trustShowCmd struct{}

func (trustShowCmd) Run(a *app) error {
	var t station.Trust
	if err := a.do(station.OpTrustShow, station.NoArgs{}, nil, &t); err != nil {
		return err
	}
	return a.print(t, func(w io.Writer) { showTrust(w, &t) })
}

func showTrust(w io.Writer, t *station.Trust) {
	fmt.Fprintf(w, "trust bundle version %d, %s\n", t.Version, count(len(t.Stations), "station"))
	tw := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	for _, s := range t.Stations {
		var kinds []string
		for _, k := range s.Kinds {
			kinds = append(kinds, string(k))
		}
		fmt.Fprintf(tw, "%s\t%s of %s\n", s.ID, s.Role, s.Jurisdiction)
		fmt.Fprintf(tw, "\tmay seal %s\n", orNone(strings.Join(kinds, ", ")))
		for _, e := range s.Elections {
			fmt.Fprintf(tw, "\tfor %s\n", e)
		}
		for i := range s.Keys {
			fmt.Fprintf(tw, "\twith key %s\n\t  %s\n", s.Keys[i].ID, worth(&s.Keys[i]))
		}
		for _, b := range s.Boot {
			fmt.Fprintf(tw, "\tstarted as %s\n", verdict.Escape(b.Label))
		}
		if s.Attested {
			fmt.Fprintf(tw, "\tshows its boot state with each package\n")
		}
	}
	tw.Flush()
	if len(t.Hybrid) > 0 {
		fmt.Fprintf(w, "signed with ML-DSA-65 too: %v\n", t.Hybrid)
	}
	if t.Root != nil {
		showRoot(w, t.Root)
	}
}

// worth says in a few words what stands behind a key.
func worth(k *trust.Key) string {
	words := "outside a TPM"
	switch {
	case k.Beside != "":
		words = "ML-DSA-65, beside " + k.Beside[:16] + "…"
	case k.Proof == trust.ByCertificate:
		words = "in a TPM, which its maker's certificate names"
	case k.Proof == trust.ByComparison:
		words = "in a TPM, whose endorsement key people compared"
	case len(k.TPM.AKPublic) > 0:
		words = "in a TPM by the station's word alone"
	}
	if k.SoftwareTPM {
		words += " (SOFTWARE: not for production)"
	}
	if k.ValidFromSeq > 0 {
		words += fmt.Sprintf("; from sequence %d on", k.ValidFromSeq)
	}
	if k.RevokedAfterSeq != nil {
		words += fmt.Sprintf("; REVOKED after sequence %d", *k.RevokedAfterSeq)
	}
	return words
}

func orNone(s string) string {
	if s == "" {
		return "nothing"
	}
	return s
}

type trustRootCmd struct{ documentCmd }

func (c *trustRootCmd) Run(a *app) error { return c.write(a, station.OpTrustRoot, station.NoArgs{}) }

type trustIdentityCmd struct{ documentCmd }

func (c *trustIdentityCmd) Run(a *app) error {
	return c.write(a, station.OpTrustIdentity, station.NoArgs{})
}

type logAttestCmd struct {
	documentCmd
	Nonce string `required:"" help:"The challenge: 16 to 64 bytes in hexadecimal digits, which the asker made up." placeholder:"HEX"`
}

func (c *logAttestCmd) Run(a *app) error {
	return c.write(a, station.OpLogAttest, station.AttestArgs{Nonce: strings.ToLower(c.Nonce)})
}

type trustKeyCmd struct {
	documentCmd
	For string `enum:"log,packages" default:"log" help:"What the key signs: log (for sallyport-verify) or packages." placeholder:"WHAT"`
}

func (c *trustKeyCmd) Run(a *app) error {
	return c.write(a, station.OpTrustKey, station.KeyArgs{For: c.For})
}

// documentCmd writes a document of the station to a file.
type documentCmd struct {
	Out string `required:"" help:"File to write; it must not exist." placeholder:"FILE"`
}

func (c *documentCmd) write(a *app, op string, args any) error {
	if err := checkNew(c.Out); err != nil {
		return err
	}
	var d station.Document
	if err := a.do(op, args, nil, &d); err != nil {
		return err
	}
	return a.writeNew(c.Out, d)
}

type trustInstallCmd struct {
	Documents []string `arg:"" help:"The signed trust bundle, and rotations of the root (root-2.dsse.json) that this station has not followed yet."`
	source
}

func (c *trustInstallCmd) Run(a *app) error {
	d, err := readDelivery(a, &c.source, c.Documents)
	if err != nil {
		return err
	}
	var t station.Trust
	if err := a.do(station.OpTrustInstall, d, nil, &t); err != nil {
		return err
	}
	return a.print(t, func(w io.Writer) { showTrust(w, &t) })
}
