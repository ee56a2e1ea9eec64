package evidence

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"golang.org/x/mod/sumdb/tlog"

	"sallyport/internal/audit"
	"sallyport/internal/strictjson"
	"sallyport/internal/tpm/attest"
	"sallyport/internal/translog"
	"sallyport/internal/trust"
	"sallyport/internal/verdict"
)

// Result is how a check ended.
type Result string

// The results. Only Intact means that everything was checked and is right.
const (
	Intact    Result = "intact"
	Damaged   Result = "damaged"   // changed, forged, or not what was asked for
	Unchecked Result = "unchecked" // something could not be checked
)

// Step is one step of a check; FORMAT.md numbers them.
type Step struct {
	Name   string `json:"name"`
	Result Result `json:"result"`
	Says   string `json:"says"` // what was found, or what is wrong
}

// Report is the result of [Check]. Its texts are escaped. What stands in it besides
// Result, Why and Steps is only filled in as far as it was proven.
type Report struct {
	Result  Result           `json:"result"`
	Why     string           `json:"why"`
	Station string           `json:"station,omitzero"`
	Medium  string           `json:"medium,omitzero"`
	Verdict verdict.Verdict  `json:"verdict,omitzero"`
	Reasons []verdict.Reason `json:"reasons,omitempty"`
	// Log is the number of entries that the checkpoint seals, Root its root and
	// Counter the TPM's counter then.
	Log      int64           `json:"log,omitzero"`
	Root     string          `json:"root,omitzero"`
	Counter  uint64          `json:"counter,omitzero"`
	Entries  int             `json:"entries,omitzero"` // about the medium
	Packages []PackageReport `json:"packages,omitempty"`
	Steps    []Step          `json:"steps"`
	Notes    []string        `json:"notes,omitempty"`
	whose    string          // the station, and who vouches for it
}

// PackageReport is one package of the medium.
type PackageReport struct {
	Item    string           `json:"item"`
	Package string           `json:"package,omitzero"`
	Kind    string           `json:"kind,omitzero"`
	Sender  string           `json:"sender,omitzero"`
	Verdict verdict.Verdict  `json:"verdict"`
	Reasons []verdict.Reason `json:"reasons"`
	Files   int              `json:"files"`
	Bytes   int64            `json:"bytes"`
}

// Options say whom the user of a check believes.
type Options struct {
	// Root is the authority's root, any of those that the station followed.
	Root *trust.Root
	// Identity is the station's TPM identity, or nil: then the authority has to have
	// enrolled it.
	Identity *attest.Identity
}

// content is what stands in a file of evidence, decoded.
type content struct {
	doc      *Document
	entries  []audit.Entry
	listings map[string]*Listing // by item
	facts    map[string]*facts
	root     []byte
	sealed   translog.Checkpoint
	counter  uint64
}

// checker is one check on its way.
type checker struct {
	content
	opt     Options
	rep     *Report
	members map[string][]byte
	list    []member
	claimed map[string]bool // members that the document accounts for
	roots   []*trust.Root   // from the file's root to the last rotation
	trusted *trust.Trusted  // nil: the file has no trust bundle
	id      *attest.Identity
	story   *story
	policy  trust.Policy
	note    []byte
}

// errUnchecked marks what could not be checked, which is no damage.
var errUnchecked = errors.New("not checked")

// unchecked makes such an error; the text stands for itself.
func unchecked(format string, args ...any) error {
	return &uncheckedError{fmt.Sprintf(format, args...)}
}

type uncheckedError struct{ text string }

func (e *uncheckedError) Error() string        { return e.text }
func (e *uncheckedError) Is(target error) bool { return target == errUnchecked }

// Check judges a file of evidence with public keys alone. It never fails: what is
// wrong stands in the report.
func Check(data []byte, opt Options) *Report {
	c := &checker{opt: opt, rep: &Report{Result: Intact, Steps: []Step{}}, members: map[string][]byte{}, claimed: map[string]bool{}}
	c.listings, c.facts = map[string]*Listing{}, map[string]*facts{}
	c.run(data)
	c.rep.sum()
	return c.rep
}

// run takes the steps in their order. After one that finds damage nothing later is
// believed; what could not be checked does not stop the others.
func (c *checker) run(data []byte) {
	for _, s := range []struct {
		name string
		do   func() (string, error)
	}{
		{"file", func() (string, error) { return c.file(data) }},
		{"members", c.checkMembers},
		{"root", c.checkRoot},
		{"trust", c.checkTrust},
		{"station", c.checkStation},
		{"checkpoint", c.checkCheckpoint},
		{"entries", c.checkEntries},
		{"story", c.checkStory},
		{"packages", c.checkPackages},
		{"page", c.checkPage},
	} {
		says, err := s.do()
		step := Step{s.name, Intact, says}
		switch {
		case errors.Is(err, errUnchecked):
			step.Result, step.Says = Unchecked, err.Error()
		case err != nil:
			step.Result, step.Says = Damaged, err.Error()
		}
		step.Says = verdict.Escape(step.Says)
		if s.name == "station" {
			c.rep.whose = step.Says + ","
		}
		c.rep.Steps = append(c.rep.Steps, step)
		if step.Result == Damaged || c.doc == nil {
			return
		}
	}
}

// sum turns the steps into the result.
func (r *Report) sum() {
	for _, s := range r.Steps {
		switch {
		case s.Result == Damaged:
			r.Result, r.Why = Damaged, "the "+s.Name+": "+s.Says
			return
		case s.Result == Unchecked && r.Result == Intact:
			r.Result, r.Why = Unchecked, "the "+s.Name+": "+s.Says
		}
	}
	if r.Result == Intact {
		r.Why = fmt.Sprintf("station %s recorded that it %s medium %s; nothing of this evidence was changed since.", r.whose, r.Verdict, r.Medium)
	}
}

// file reads the ZIP and bundle.json.
func (c *checker) file(data []byte) (string, error) {
	var err error
	if c.list, err = readZIP(data); err != nil {
		return "", err
	}
	for _, m := range c.list {
		c.members[m.name] = m.data
	}
	for _, name := range []string{pageName, documentName, identityName, rootName} {
		if c.members[name] == nil {
			return "", fmt.Errorf("the member %s is missing", name)
		}
		c.claimed[name] = true
	}
	body := c.members[documentName]
	var about struct {
		V int `json:"v"`
	}
	if err := json.Unmarshal(body, &about); err == nil && about.V > Version {
		return "", unchecked("%s has version %d, this program knows %d: use a newer one", documentName, about.V, Version)
	}
	var doc Document
	if err := strictjson.DecodeCanonical(body, &doc, maxDocument); err != nil {
		return "", fmt.Errorf("cannot read %s: %w", documentName, err)
	}
	switch {
	case doc.V != Version:
		return "", fmt.Errorf("%s has version %d, this program knows %d", documentName, doc.V, Version)
	case len(doc.Entries) == 0 || len(doc.Entries) > MaxEntries:
		return "", fmt.Errorf("%s has %d entries, 1 to %d are allowed", documentName, len(doc.Entries), MaxEntries)
	case len(doc.Packages) > MaxPackages:
		return "", fmt.Errorf("%s has %d packages, at most %d are allowed", documentName, len(doc.Packages), MaxPackages)
	}
	c.doc = &doc
	return fmt.Sprintf("%d members, nothing between or behind them", len(c.list)), nil
}

// checkMembers holds the members against the list of them.
func (c *checker) checkMembers() (string, error) {
	var rest []member
	for _, m := range c.list {
		if m.name != documentName {
			rest = append(rest, m)
		}
	}
	for i, m := range rest {
		if i >= len(c.doc.Files) || order(c.doc.Files[i].Name, m.name) > 0 {
			return "", fmt.Errorf("%s lists no member %s", documentName, m.name)
		}
		f := c.doc.Files[i]
		if f.Name != m.name {
			return "", fmt.Errorf("the member %s, which %s lists, is missing", f.Name, documentName)
		}
		if f.Size != int64(len(m.data)) || f.SHA256 != hashOf(m.data) {
			return "", fmt.Errorf("the member %s is not the one that %s lists", m.name, documentName)
		}
	}
	if n := len(rest); n < len(c.doc.Files) {
		return "", fmt.Errorf("the member %s, which %s lists, is missing", c.doc.Files[n].Name, documentName)
	}
	return "all as listed, by their SHA-256", nil
}

// delivery is what the file has of the authority's documents.
func (c *checker) delivery() trust.Delivery {
	d := trust.Delivery{Rotations: []trust.Rotation{}}
	for _, m := range c.list {
		name, ok := strings.CutPrefix(m.name, trustFolder)
		if !ok {
			continue
		}
		c.claimed[m.name] = true
		if name == trust.BundleName {
			d.Bundle = m.data
		} else if version, ok := trust.RotationVersion(name); ok {
			d.Rotations = append(d.Rotations, trust.Rotation{Version: version, Envelope: m.data})
		}
	}
	slices.SortFunc(d.Rotations, trust.ByVersion)
	return d
}

// checkRoot follows the rotations from the file's root and finds the one that the
// user gave among those that were passed.
func (c *checker) checkRoot() (string, error) {
	c.root = c.members[rootName]
	first, err := trust.ParseRoot(c.root)
	if err != nil {
		return "", err
	}
	d := c.delivery()
	d.Bundle = nil
	if c.roots, _, err = trust.Follow(first, d); err != nil {
		return "", err
	}
	if len(c.roots) != len(d.Rotations)+1 {
		return "", fmt.Errorf("the rotations in the file do not begin with the one to version %d", first.Version+1)
	}
	want, err := c.opt.Root.Encode()
	if err != nil {
		return "", err
	}
	for i, r := range c.roots {
		if have, err := r.Encode(); err == nil && bytes.Equal(have, want) {
			c.roots = c.roots[i:]
			return fmt.Sprintf("version %d, the one that you gave: %s", r.Version, trust.Fingerprint(want)), nil
		}
	}
	return "", fmt.Errorf("the file stands under the root %s, you gave %s", trust.Fingerprint(c.root), trust.Fingerprint(want))
}

// checkTrust opens the trust bundle under the roots from the user's on.
func (c *checker) checkTrust() (string, error) {
	d := c.delivery()
	d.Rotations = slices.DeleteFunc(d.Rotations, func(r trust.Rotation) bool { return r.Version <= c.roots[0].Version })
	var err error
	var older error
	if _, c.trusted, err = trust.Follow(c.roots[0], d); err != nil {
		first, perr := trust.ParseRoot(c.root)
		if perr != nil {
			return "", perr
		}
		var ferr error
		if _, c.trusted, ferr = trust.Follow(first, c.delivery()); ferr != nil {
			return "", err
		}
		older = unchecked("trust bundle %d was signed under root %d, which is older than the one that you gave: give that one", c.trusted.Version(), c.trusted.RootVersion())
	}
	if v := c.trusted.Version(); v != c.doc.Trust {
		return "", fmt.Errorf("the file holds trust bundle %d, %s says %d", v, documentName, c.doc.Trust)
	}
	if c.trusted == nil {
		return "the station had no trust bundle", nil
	}
	if older != nil {
		return "", older
	}
	return fmt.Sprintf("bundle %d with %d stations, signed under root %d", c.trusted.Version(), len(c.trusted.Stations()), c.trusted.RootVersion()), nil
}

// checkStation finds whose log it is: the station that the user named, or that the
// authority enrolled under this id.
func (c *checker) checkStation() (string, error) {
	data := c.members[identityName]
	var err error
	if c.id, err = attest.DecodeIdentity(data); err != nil {
		return "", err
	}
	id := c.doc.Station.ID
	known, says := c.enrolled(id, data)
	if c.opt.Identity != nil {
		given, err := c.opt.Identity.Encode()
		if err != nil {
			return "", err
		}
		if !bytes.Equal(given, data) {
			return "", errors.New("the TPM identity in the file is not the one that you gave")
		}
		if says == "" {
			says = id + ", with the TPM identity that you gave"
		}
		return says, nil
	}
	switch {
	case says != "":
		return says, nil
	case known:
		return "", fmt.Errorf("the authority enrolled another TPM as station %s than the one in the file", id)
	}
	return "", unchecked("the authority has not enrolled the station %s in this trust bundle, so only the file itself says whose log this is: give its TPM identity", id)
}

// enrolled says whether the authority knows a station of this id, and, when it is
// the one with this TPM identity, as what.
func (c *checker) enrolled(id string, identity []byte) (known bool, says string) {
	same := func(other attest.Identity) bool {
		b, err := strictjson.Encode(&other)
		return err == nil && bytes.Equal(b, identity)
	}
	for _, s := range c.trusted.Stations() {
		if s.ID != id {
			continue
		}
		known = true
		for _, k := range s.Keys {
			if len(k.TPM.AKPublic) == 0 || !same(k.TPM) {
				continue
			}
			if k.SoftwareTPM {
				c.rep.Notes = append(c.rep.Notes, "the station's TPM is a software TPM, which can be copied and put back: this proves nothing outside a test")
			}
			if r := k.RevokedAfterSeq; r != nil {
				c.rep.Notes = append(c.rep.Notes, fmt.Sprintf("the authority has revoked the station's key for sealing after sequence %d; ask it why", *r))
			}
			return true, id + ", whose TPM the authority has enrolled"
		}
	}
	for _, k := range c.roots[len(c.roots)-1].Keys {
		if k.Holder == id && k.Custody == trust.InTPM && same(k.TPM) {
			return true, id + ", whose TPM holds a key of the authority itself"
		}
	}
	return known, ""
}

// checkCheckpoint verifies the checkpoint by the station's log key, and its anchor.
func (c *checker) checkCheckpoint() (string, error) {
	key, err := c.id.LogKey()
	if err != nil {
		return "", err
	}
	c.note = []byte(c.doc.Checkpoint)
	if c.sealed, err = openNote(&c.doc.Station, c.note, key); err != nil {
		return "", err
	}
	if c.counter, err = c.id.CheckAnchor(sha256.Sum256(c.note), c.doc.Anchor); err != nil {
		return "", fmt.Errorf("the anchor does not belong to the checkpoint: %w", err)
	}
	c.rep.Log, c.rep.Root, c.rep.Counter = c.sealed.Size, c.sealed.Root.String(), c.counter
	return fmt.Sprintf("seals %d entries of the log, with the TPM's counter at %d", c.sealed.Size, c.counter), nil
}

// checkEntries proves each entry.
func (c *checker) checkEntries() (string, error) {
	var err error
	if c.entries, err = provenEntries(c.doc.Entries, c.sealed); err != nil {
		return "", err
	}
	c.rep.Entries = len(c.entries)
	return fmt.Sprintf("%d, each with its proof that it is in the log", len(c.entries)), nil
}

// provenEntries decodes the entries and proves each to be in the tree.
func provenEntries(entries []Entry, sealed translog.Checkpoint) ([]audit.Entry, error) {
	out := make([]audit.Entry, 0, len(entries))
	for i := range entries {
		raw := &entries[i]
		e, err := audit.Parse(raw.Entry)
		if err == nil && e.Seq != raw.Index {
			err = fmt.Errorf("it calls itself entry %d", e.Seq)
		}
		var proof tlog.RecordProof
		if err == nil {
			proof, err = decodeProof(raw.Proof)
		}
		if err == nil && raw.Index >= sealed.Size {
			err = fmt.Errorf("the checkpoint seals %d entries alone", sealed.Size)
		}
		if err == nil && tlog.CheckRecord(proof, sealed.Size, sealed.Root, raw.Index, tlog.RecordHash(raw.Entry)) != nil {
			err = errors.New("its proof does not lead to the checkpoint: it is not this entry of the log")
		}
		if err != nil {
			return nil, fmt.Errorf("entry %d: %w", raw.Index, err)
		}
		out = append(out, *e)
	}
	return out, nil
}

func decodeProof(b []byte) (tlog.RecordProof, error) {
	const most = 64 // hashes: a tree of 2^64 leaves
	if len(b)%tlog.HashSize != 0 || len(b) > most*tlog.HashSize {
		return nil, fmt.Errorf("its proof has %d bytes, want hashes of %d", len(b), tlog.HashSize)
	}
	proof := make(tlog.RecordProof, 0, len(b)/tlog.HashSize)
	for h := range slices.Chunk(b, tlog.HashSize) {
		proof = append(proof, tlog.Hash(h))
	}
	return proof, nil
}

// checkStory reads what the entries tell, and compares the document with it.
func (c *checker) checkStory() (string, error) {
	s, err := tell(c.entries, c.doc.Medium.ID)
	if err != nil {
		return "", err
	}
	if err := s.compare(c.doc); err != nil {
		return "", err
	}
	if c.id.KeyID != s.Station.KeyID {
		return "", fmt.Errorf("the station started with the key %.16s…, the file's TPM identity is that of %.16s…", s.Station.KeyID, c.id.KeyID)
	}
	c.story = s
	r := c.rep
	r.Station, r.Medium, r.Verdict, r.Reasons = s.Station.ID, s.Medium.ID, s.Verdict.Verdict, s.Verdict.Reasons
	return fmt.Sprintf("from the insertion, entry %d, to the end, entry %d, nothing is left out; the verdict is entry %d", c.first(), s.end, s.Verdict.Entry), nil
}

// first is the entry of the insertion.
func (c *checker) first() int64 {
	i := slices.IndexFunc(c.entries, func(e audit.Entry) bool { return e.Event == audit.MediumInserted })
	return c.entries[i].Seq
}

// compare holds the document against the story.
func (s *story) compare(doc *Document) error {
	told := []Package{}
	for _, p := range doc.Packages {
		p.Findings = []verdict.Finding{}
		told = append(told, p)
	}
	for _, part := range []struct {
		name      string
		log, said any
	}{
		{"station", &s.Station, &doc.Station}, {"medium", &s.Medium, &doc.Medium}, {"verdict", &s.Verdict, &doc.Verdict}, {"packages", &s.Packages, &told},
	} {
		log, err := strictjson.Encode(part.log)
		if err != nil {
			return err
		}
		said, err := strictjson.Encode(part.said)
		if err != nil {
			return err
		}
		if !bytes.Equal(log, said) {
			return fmt.Errorf("what %s says of the %s is not what the log says", documentName, part.name)
		}
	}
	return nil
}

// checkPage makes the page once more.
func (c *checker) checkPage() (string, error) {
	want, err := c.page()
	if err != nil {
		return "", err
	}
	if !bytes.Equal(want, c.members[pageName]) {
		return "", fmt.Errorf("%s is not the page that belongs to this evidence: do not believe it", pageName)
	}
	return pageName + " says what the evidence says", nil
}
