package cli

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/rs/zerolog"

	"sallyport/internal/control"
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
