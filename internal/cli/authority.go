package cli

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"

	"sallyport/internal/authority"
	"sallyport/internal/manifest"
	"sallyport/internal/station"
	"sallyport/internal/trust"
	"sallyport/internal/verdict"
)

// authorityCmd is the work at the desk of an election authority.
type authorityCmd struct {
	Init      authorityInitCmd      `cmd:"" help:"Found the authority: make its root from the keys of its holders."`
	Adopt     authorityAdoptCmd     `cmd:"" help:"At a further authority station: take over the root that was made elsewhere."`
	Key       authorityKeyCmd       `cmd:"" help:"Write a holder's signer record, from which a root is made."`
	NewKey    authorityNewKeyCmd    `cmd:"" help:"Make a signing key in an encrypted file, for a holder without a TPM."`
	Challenge authorityChallengeCmd `cmd:"" help:"Check a station's enrolment request and challenge its TPM."`
	Admit     authorityAdmitCmd     `cmd:"" help:"Enrol the stations whose TPMs answered: draft the next trust bundle."`
	Revoke    authorityRevokeCmd    `cmd:"" help:"End a key or a station: draft the next trust bundle."`
	Change    authorityChangeCmd    `cmd:"" help:"Change what a station may do: draft the next trust bundle."`
	Approve   authorityApproveCmd   `cmd:"" help:"Approve a boot state, after an update: draft the next trust bundle."`
	Hybrid    authorityHybridCmd    `cmd:"" help:"Say which kinds need an ML-DSA-65 signature too: draft the next trust bundle."`
	Reissue   authorityReissueCmd   `cmd:"" help:"Draft the bundle as it is with the next version, such as under a new root."`
	Rotate    authorityRotateCmd    `cmd:"" help:"Draft the next root, with other holders or another threshold."`
	Show      authorityShowCmd      `cmd:"" help:"Show what a draft says and who signed it, before signing."`
	Sign      authoritySignCmd      `cmd:"" help:"Add a holder's signature to a draft."`
	Discard   authorityDiscardCmd   `cmd:"" help:"Forget the last draft, which the other holders do not sign."`
	Status    authorityStatusCmd    `cmd:"" help:"The root and its holders, the bundle, drafts and enrolments under way."`
	Publish   authorityPublishCmd   `cmd:"" help:"Seal the installed trust bundle as a package for all stations."`
}

// makesRoot are the flags of the commands that make a root.
type makesRoot struct {
	Signers    []string `arg:"" optional:"" help:"Signer records of the other holders ('authority key')." placeholder:"RECORD"`
	Threshold  int      `help:"How many holders must sign." default:"1" placeholder:"N"`
	BootHolder string   `help:"Which authority station approves boot states; default: this one, or of a rotation whoever does so far. 'none' binds no station's key to its boot state." placeholder:"HOLDER"`
	source
	output
}

func (c *makesRoot) args(a *app) (station.FoundArgs, error) {
	args := station.FoundArgs{Threshold: c.Threshold, BootHolder: c.BootHolder}
	for _, name := range c.Signers {
		record, err := c.read(a, "signer record", name)
		if err != nil {
			return args, err
		}
		args.Signers = append(args.Signers, record)
	}
	return args, nil
}

type authorityInitCmd struct{ makesRoot }

func (c *authorityInitCmd) Run(a *app) error {
	if err := c.as(rootName); err != nil {
		return err
	}
	args, err := c.args(a)
	if err != nil {
		return err
	}
	var d station.Document
	if err := a.do(station.OpAuthorityFound, args, nil, &d); err != nil {
		return err
	}
	return c.write(a, d, nil, func(w io.Writer) {
		if root, err := trust.ParseRoot(d.Body); err == nil {
			showRoot(w, root)
		}
		fmt.Fprintln(w, "Next: every station is initialised with this document ('sallyport init --root'), after people have compared the fingerprint.")
	})
}

type authorityAdoptCmd struct {
	Root string `arg:"" help:"The root document."`
	source
}

func (c *authorityAdoptCmd) Run(a *app) error {
	body, err := c.read(a, "root document", c.Root)
	if err != nil {
		return err
	}
	var d station.Document
	if err := a.do(station.OpAuthorityAdopt, station.AdoptArgs{Root: body}, nil, &d); err != nil {
		return err
	}
	return a.print(writtenFile{c.Root, d.Fingerprint}, func(w io.Writer) {
		if root, err := trust.ParseRoot(d.Body); err == nil {
			showRoot(w, root)
		}
		fmt.Fprintf(w, "fingerprint, to be compared by people: %s\n", d.Fingerprint)
	})
}

func showRoot(w io.Writer, r *trust.Root) {
	fmt.Fprintf(w, "root version %d: %d of %d holders must sign\n", r.Version, r.Threshold, len(r.Keys))
	for i := range r.Keys {
		k := &r.Keys[i]
		boot := ""
		if k.ID == r.BootKey {
			boot = "; approves boot states"
		}
		fmt.Fprintf(w, "  %s  key %.16s…, %s%s\n", k.Holder, k.ID, custody(k), boot)
	}
}

type authorityChallengeCmd struct {
	Request  string `arg:"" help:"The station's enrolment request."`
	EKCA     string `name:"ek-ca" help:"Folder with the certificates of the TPM makers that you trust (PEM or DER)." placeholder:"DIR"`
	EKSHA256 string `name:"ek-sha256" help:"Digest of the endorsement key, from the machine's printed page, for a TPM without a maker's certificate." placeholder:"HEX"`
	source
	output
}

func (c *authorityChallengeCmd) Run(a *app) error {
	if err := c.as(challengeName); err != nil {
		return err
	}
	if (c.EKCA == "") == (c.EKSHA256 == "") {
		return usage("say how you know the TPM: --ek-ca DIR with its maker's certificates, or --ek-sha256 HEX with the digest that people compared")
	}
	body, err := c.read(a, "enrolment request", c.Request)
	if err != nil {
		return err
	}
	args := station.ChallengeArgs{Request: body, EKSHA256: c.EKSHA256}
	if c.EKCA != "" {
		if args.Vendors, err = readCertificates(c.EKCA); err != nil {
			return err
		}
	}
	var r station.Challenged
	if err := a.do(station.OpAuthorityChallenge, args, nil, &r); err != nil {
		return err
	}
	document := r.Document
	r.Body = nil
	return c.write(a, document, r, func(w io.Writer) {
		tw := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
		known := "its maker's certificate"
		if r.Proof == string(trust.ByComparison) {
			known = "the digest that people compared"
		}
		maker := r.Maker
		if r.SoftwareTPM {
			maker += " (SOFTWARE: not for production)"
		}
		fmt.Fprintf(tw, "station\t%s (%s)\nwants to be\t%s of %s\nsigning key\t%s\nendorsement key\t%s\n\tknown by %s\nTPM\t%s\n", r.StationID, verdict.Escape(r.Name), r.Role, r.Jurisdiction, r.KeyID, r.EKSHA256, known, verdict.Escape(maker))
		tw.Flush()
		fmt.Fprintln(w, "Compare the signing key with the station's screen. Next: 'sallyport station activate' there.")
	})
}

// readCertificates reads the certificates of TPM makers from a folder, one or
// more to a file, as DER or PEM.
func readCertificates(dir string) ([][]byte, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, usage("cannot read the certificates of TPM makers: %v", err)
	}
	var out [][]byte
	for _, e := range entries {
		if e.IsDir() {
			continue
		}
		data, err := readDocument("certificate", filepath.Join(dir, e.Name()))
		if err != nil {
			return nil, err
		}
		for rest := data; ; {
			block, after := pem.Decode(rest)
			if block == nil {
				break
			}
			if block.Type == "CERTIFICATE" {
				out = append(out, block.Bytes)
			}
			rest, data = after, nil
		}
		if data != nil {
			if _, err := x509.ParseCertificate(data); err != nil {
				return nil, usage("%s holds no certificate: %v", verdict.Escape(filepath.Join(dir, e.Name())), err)
			}
			out = append(out, data)
		}
	}
	if len(out) == 0 {
		return nil, usage("%s holds no certificate of a TPM maker", verdict.Escape(dir))
	}
	return out, nil
}

// drafts is a command that makes the next bundle.
type drafts struct {
	source
	output
}

func (c *drafts) draft(a *app, args station.DraftArgs) error {
	var d station.Draft
	if err := a.do(station.OpAuthorityDraft, args, nil, &d); err != nil {
		return err
	}
	return writeDraft(a, &c.output, d)
}

// writeDraft writes the draft of a bundle, or of a root, whose name says so.
func writeDraft(a *app, t *output, d station.Draft) error {
	return t.write(a, d.Document, struct {
		Complete bool `json:"complete"`
	}{d.Complete}, func(w io.Writer) {
		switch {
		case !d.Complete:
			fmt.Fprintln(w, "It needs more signatures. Next: carry it to the other holders ('sallyport authority sign').")
		case isRotation(t.name):
			fmt.Fprintf(w, "It has all the signatures that it needs. Next: 'sallyport trust install' at the authority's stations, as %s, then 'sallyport authority reissue' and 'sallyport authority publish'.\n", t.name)
		default:
			fmt.Fprintln(w, "It has all the signatures that it needs. Next: 'sallyport trust install' at the authority, where that is still to be done; then 'sallyport authority publish' takes it to the stations.")
		}
	})
}

type authorityAdmitCmd struct {
	Answers     []string `arg:"" help:"The stations' answers with the kinds of package that each may seal: ANSWER=KIND,KIND (or ANSWER=none)." placeholder:"ANSWER=KINDS"`
	Elections   []string `help:"Elections for which these stations may seal." placeholder:"ID"`
	Attested    bool     `help:"Demand evidence of an approved boot state with each package of these stations."`
	PCR         []uint   `name:"pcr" help:"Registers that the evidence must show as they were in the request, besides 7 and 11." placeholder:"N"`
	Label       string   `help:"What to call the boot state of the requests." placeholder:"TEXT"`
	Handover    string   `help:"The old station's hand-over, when the station has a new key." placeholder:"FILE"`
	Replace     bool     `help:"The station is enrolled already, and is lost: revoke its keys."`
	RevokeAfter int64    `help:"With --replace: the last sequence number of the old keys that counts." placeholder:"SEQ"`
	drafts
}

func (c *authorityAdmitCmd) Run(a *app) error {
	if err := c.as(draftName); err != nil { // an issued bundle that is lost costs a version
		return err
	}
	if (c.Handover != "" || c.Replace) && len(c.Answers) != 1 {
		return usage("--handover and --replace are about one station: give one answer")
	}
	if c.RevokeAfter != 0 && !c.Replace {
		return usage("--revoke-after belongs to --replace")
	}
	var args station.DraftArgs
	for _, s := range c.Answers {
		at := strings.LastIndexByte(s, '=') // in no kind, but perhaps in a path
		if at < 0 {
			return usage("%q does not say what the station may seal: write ANSWER=KIND,KIND (or ANSWER=none)", verdict.Escape(s))
		}
		file, kinds := s[:at], s[at+1:]
		answer, err := c.read(a, "answer", file)
		if err != nil {
			return err
		}
		in := station.AdmitArgs{Answer: answer, Attested: c.Attested, Replace: c.Replace, RevokeAfter: c.RevokeAfter, Label: c.Label, PCRs: c.PCR}
		if kinds != "none" {
			in.Kinds, in.Elections = strings.Split(kinds, ","), c.Elections
		}
		if c.Handover != "" {
			if in.Handover, err = c.read(a, "hand-over", c.Handover); err != nil {
				return err
			}
		}
		args.Admit = append(args.Admit, in)
	}
	return c.draft(a, args)
}

type authorityRevokeCmd struct {
	Station string `arg:"" help:"The station."`
	Key     string `help:"Only this key (its id or the beginning of it); all of the station's without." placeholder:"ID"`
	After   int64  `required:"" help:"The last sequence number that still counts; 0 refuses everything the key ever signed." placeholder:"SEQ"`
	drafts
}

func (c *authorityRevokeCmd) Run(a *app) error {
	if err := c.as(draftName); err != nil {
		return err
	}
	return c.draft(a, station.DraftArgs{Revoke: []station.RevokeArgs{{Station: c.Station, Key: c.Key, After: c.After}}})
}

type authorityChangeCmd struct {
	Station   string   `arg:"" help:"The station."`
	Kinds     []string `help:"The kinds that it may seal from now on; 'none' for none." placeholder:"KIND"`
	Elections []string `help:"The elections for which it may seal from now on; 'none' for none." placeholder:"ID"`
	Attested  string   `help:"Whether its packages need evidence of an approved boot state." enum:"yes,no," default:"" placeholder:"yes|no"`
	drafts
}

func (c *authorityChangeCmd) Run(a *app) error {
	if err := c.as(draftName); err != nil {
		return err
	}
	change := station.AlterArgs{Station: c.Station}
	list := func(given []string) *[]string {
		if len(given) == 0 {
			return nil
		}
		if slices.Equal(given, []string{"none"}) {
			given = []string{}
		}
		return &given
	}
	change.Kinds, change.Elections = list(c.Kinds), list(c.Elections)
	if c.Attested != "" {
		yes := c.Attested == "yes"
		change.Attested = &yes
	}
	if change.Kinds == nil && change.Elections == nil && change.Attested == nil {
		return usage("say what changes: --kinds, --elections or --attested")
	}
	return c.draft(a, station.DraftArgs{Alter: []station.AlterArgs{change}})
}

type authorityApproveCmd struct {
	Measurement string   `arg:"" help:"The station's measurement ('sallyport station measure --out')."`
	Label       string   `help:"What to call the boot state, such as the release." placeholder:"TEXT"`
	PCR         []uint   `name:"pcr" help:"Registers that evidence must show as they are, besides 7 and 11." placeholder:"N"`
	Drop        []string `help:"Boot state that is approved no longer, by label; once more for others." sep:"none" placeholder:"LABEL"`
	drafts
}

func (c *authorityApproveCmd) Run(a *app) error {
	if err := c.as(draftName); err != nil {
		return err
	}
	body, err := c.read(a, "measurement", c.Measurement)
	if err != nil {
		return err
	}
	return c.draft(a, station.DraftArgs{Approve: []station.ApproveArgs{{Measurement: body, Label: c.Label, PCRs: c.PCR, Drop: c.Drop}}})
}

type authorityHybridCmd struct {
	Kinds []string `arg:"" help:"The kinds, or 'none'." placeholder:"KIND"`
	drafts
}

func (c *authorityHybridCmd) Run(a *app) error {
	if err := c.as(draftName); err != nil {
		return err
	}
	kinds := c.Kinds
	if slices.Equal(kinds, []string{"none"}) {
		kinds = []string{}
	}
	return c.draft(a, station.DraftArgs{Hybrid: &kinds})
}

type authorityRotateCmd struct {
	Leave bool `help:"The next root is without this station's own key."`
	makesRoot
}

func (c *authorityRotateCmd) Run(a *app) error {
	var s authority.Status
	if err := a.do(station.OpAuthorityStatus, station.NoArgs{}, nil, &s); err != nil {
		return err
	}
	if s.Root == nil {
		return usage("this authority has no root yet: 'sallyport authority init' makes it")
	}
	if err := c.as(trust.RotationName(s.Root.Version + 1)); err != nil {
		return err
	}
	args, err := c.args(a)
	if err != nil {
		return err
	}
	args.Leave = c.Leave
	var d station.Draft
	if err := a.do(station.OpAuthorityRotate, args, nil, &d); err != nil {
		return err
	}
	return writeDraft(a, &c.output, d)
}

type authorityDiscardCmd struct{}

func (authorityDiscardCmd) Run(a *app) error {
	var none station.NoArgs
	if err := a.do(station.OpAuthorityDiscard, station.NoArgs{}, nil, &none); err != nil {
		return err
	}
	return a.print(none, func(w io.Writer) {
		fmt.Fprintln(w, "the draft is forgotten; stations that it admitted have to answer a challenge again")
	})
}

type authorityStatusCmd struct{}

func (authorityStatusCmd) Run(a *app) error {
	var s authority.Status
	if err := a.do(station.OpAuthorityStatus, station.NoArgs{}, nil, &s); err != nil {
		return err
	}
	return a.print(s, func(w io.Writer) {
		if s.Root == nil {
			fmt.Fprintln(w, "no root yet: 'sallyport authority init' makes it, 'sallyport authority adopt' takes one that was made elsewhere")
		} else {
			showRoot(w, s.Root)
			fmt.Fprintf(w, "  fingerprint %s\n", s.Fingerprint)
		}
		switch {
		case s.Installed == 0:
			fmt.Fprintln(w, "no trust bundle is installed here")
		default:
			fmt.Fprintf(w, "trust bundle version %d is installed here\n", s.Installed)
		}
		if d := s.Draft; d != nil {
			fmt.Fprintf(w, "draft of version %d (%s): signed by %s; %s missing in the copy kept here\n", d.Version, d.Issued, strings.Join(d.Signed, ", "), count(d.Missing, "signature"))
		}
		for _, p := range s.Pending {
			if p.Problem != "" {
				fmt.Fprintf(w, "enrolment %.16s… cannot be read: %s\n", p.Request, verdict.Escape(p.Problem))
				continue
			}
			fmt.Fprintf(w, "waiting for the answer of %s (%s), request %.16s…\n", p.StationID, p.Role, p.Request)
		}
	})
}

type authorityReissueCmd struct {
	drafts
}

func (c *authorityReissueCmd) Run(a *app) error {
	if err := c.as(draftName); err != nil {
		return err
	}
	return c.draft(a, station.DraftArgs{})
}

// readDelivery collects what 'trust install' is given: a bundle, and rotations
// of the root, which are called root-VERSION.dsse.json, in any order.
func readDelivery(a *app, s *source, names []string) (trust.Delivery, error) {
	d := trust.Delivery{Rotations: []trust.Rotation{}}
	for _, name := range names {
		body, err := s.read(a, "trust document", name)
		if err != nil {
			return d, err
		}
		version, isRoot := trust.RotationVersion(filepath.Base(name))
		if !isRoot && bytes.Contains(body, []byte(trust.RootType)) { // the payload itself is in base64
			return d, usage("%s is a rotation of the root: give it its name, such as %s for version 2", verdict.Escape(name), trust.RotationName(2))
		}
		switch {
		case isRoot:
			d.Rotations = append(d.Rotations, trust.Rotation{Version: version, Envelope: body})
		case d.Bundle == nil:
			d.Bundle = body
		default:
			return d, usage("give one trust bundle; rotations of the root beside it are called %s and so on", trust.RotationName(2))
		}
	}
	slices.SortFunc(d.Rotations, trust.ByVersion)
	return d, nil
}

type authorityPublishCmd struct {
	destination
}

// Run seals what is installed here. The documents are this station's own and
// were verified when it was opened; the folder is gone when the command ends.
func (c *authorityPublishCmd) Run(a *app) (err error) {
	s, err := a.connect()
	if err != nil {
		return err
	}
	var shown station.Trust
	var d trust.Delivery
	err = s.do(station.OpTrustShow, station.NoArgs{}, nil, &shown)
	if err == nil {
		err = s.do(station.OpTrustDelivery, station.NoArgs{}, nil, &d)
	}
	if err = errors.Join(err, s.close()); err != nil {
		return err
	}
	if shown.RootVersion != shown.Root.Version {
		return usage("the root was rotated to version %d since this bundle was signed: no station would take it; draft one under the new root first ('sallyport authority reissue')", shown.Root.Version)
	}
	dir, err := os.MkdirTemp("", "sallyport-publish-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	files := map[string][]byte{trust.BundleName: d.Bundle}
	for _, r := range d.Rotations {
		files[trust.RotationName(r.Version)] = r.Envelope
	}
	seal := &sealCmd{Kind: string(manifest.TrustBundle), Audience: manifest.AudienceAll, destination: c.destination}
	for name, body := range files {
		if err := os.WriteFile(filepath.Join(dir, name), body, 0o600); err != nil {
			return err
		}
		seal.Files = append(seal.Files, filepath.Join(dir, name))
	}
	return seal.Run(a)
}
