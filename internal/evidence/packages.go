package evidence

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"sallyport/internal/limit"
	"sallyport/internal/manifest"
	"sallyport/internal/trust"
	"sallyport/internal/verdict"
)

// dataFolder is where the listed files of a package stand.
const dataFolder = "data/"

// checkPackages judges each package once more, as the station did, and finds
// members that belong to nothing.
func (c *checker) checkPackages() (string, error) {
	c.policy = c.trusted.Policy(c.roots[len(c.roots)-1], c.self())
	var open error
	for i := range c.doc.Packages {
		p := &c.doc.Packages[i]
		err := c.checkPackage(p)
		if err != nil && !errors.Is(err, errUnchecked) {
			return "", fmt.Errorf("%s: %w", p.Item, err)
		}
		if err != nil && open == nil {
			open = unchecked("%s: %v", p.Item, err)
		}
	}
	for _, m := range c.list {
		if !c.claimed[m.name] {
			return "", fmt.Errorf("the member %s belongs to nothing that the log knows", m.name)
		}
	}
	if c.other() && open == nil {
		c.rep.Notes = append(c.rep.Notes, fmt.Sprintf("the station judged the manifests by trust bundle %d, which it does not have any more; by bundle %d, in this file, the result is the same", c.story.trust, c.doc.Trust))
	}
	return c.judgement(), open
}

// self is the receiver, as far as the log says what it takes: an election that it
// has verified a package of is one that it was set to take.
func (c *checker) self() trust.Self {
	self := trust.Self{StationID: c.doc.Station.ID, Jurisdiction: c.doc.Station.Jurisdiction}
	for i := range c.doc.Packages {
		if e := c.doc.Packages[i].ElectionID; e != "" {
			self.Elections = append(self.Elections, e)
		}
	}
	return self
}

// judgement says in words what was found of the packages.
func (c *checker) judgement() string {
	accepted, held := 0, 0
	for i := range c.doc.Packages {
		if c.doc.Packages[i].Verdict == verdict.Accepted {
			accepted++
		} else {
			held++
		}
	}
	if accepted+held == 0 {
		return "none was read"
	}
	return fmt.Sprintf("%d accepted, %d held; what was stored of them is what the log says", accepted, held)
}

func (c *checker) checkPackage(p *Package) error {
	r := PackageReport{Item: p.Item, Package: p.Package, Kind: p.Kind, Sender: p.Sender, Verdict: p.Verdict, Reasons: p.Reasons}
	if p.Digest == "" { // nothing of it was stored
		c.rep.Packages = append(c.rep.Packages, r)
		return c.checkFindings(p)
	}
	l, err := c.checkStored(p)
	if err != nil {
		return err
	}
	r.Files, r.Bytes = len(l.Files), l.bytes()
	c.rep.Packages = append(c.rep.Packages, r)
	if err := c.checkFindings(p); err != nil {
		return err
	}
	envelope, err := c.copyOf(p, l, manifestName, manifest.MaxEnvelope)
	if err != nil {
		return err
	}
	if p.Manifest == "" {
		return c.checkRefused(p, envelope)
	}
	// Evidence is read only with a manifest that verifies.
	evidence, err := c.copyOf(p, l, evidenceName, limit.EvidenceBytes)
	if err != nil {
		return err
	}
	return c.checkVerified(p, l, envelope, evidence)
}

// checkStored holds facts and listing against the digest in the log.
func (c *checker) checkStored(p *Package) (*Listing, error) {
	var parts [2][]byte
	for i, file := range []string{factsName, listingName} {
		name := inItem(p.Item, file)
		if parts[i] = c.members[name]; parts[i] == nil {
			return nil, fmt.Errorf("the member %s is missing", name)
		}
		c.claimed[name] = true
	}
	l, err := decodeListing(parts[1])
	if err != nil {
		return nil, fmt.Errorf("cannot read %s: %w", listingName, err)
	}
	digest, err := l.digest(p.Item, parts[0])
	if err != nil {
		return nil, fmt.Errorf("cannot use %s: %w", listingName, err)
	}
	if digest != p.Digest {
		return nil, fmt.Errorf("%s and %s are not those of which the log has the digest", listingName, factsName)
	}
	f, err := decodeFacts(parts[0])
	if err != nil {
		return nil, err
	}
	if f.Medium.ID != c.doc.Medium.ID || f.Package != p.Package || f.Digest != p.Manifest {
		return nil, fmt.Errorf("%s is that of another package", factsName)
	}
	c.listings[p.Item], c.facts[p.Item] = l, f
	return l, nil
}

// copyOf returns the copy of a stored file that stands in the evidence, nil when
// there is none.
func (c *checker) copyOf(p *Package, l *Listing, file string, most int64) ([]byte, error) {
	name := inItem(p.Item, file)
	data := c.members[name]
	if data == nil {
		return nil, nil
	}
	c.claimed[name] = true
	f := l.find(file, most)
	if p.Package == "" || f == nil || f.Size != int64(len(data)) || f.SHA256 != hashOf(data) {
		return nil, fmt.Errorf("%s is not the one that the station stored", file)
	}
	return data, nil
}

// checkFindings compares the findings with what the log has of them: the reasons,
// and the first one in words.
func (c *checker) checkFindings(p *Package) error {
	reasons := []verdict.Reason{}
	for _, f := range p.Findings {
		reasons = append(reasons, f.Reason)
	}
	slices.Sort(reasons)
	switch {
	case p.Digest == "" && len(reasons) > 0:
		return fmt.Errorf("%s has findings about what was not stored", documentName)
	case p.Digest != "" && !slices.Equal(slices.Compact(reasons), p.Reasons):
		return fmt.Errorf("the findings in %s are not those of the reasons in the log", documentName)
	case len(reasons) > 0 && !sameDetail(&p.Findings[0], c.story.details[p.Item]):
		return fmt.Errorf("the first finding in %s is not the one in the log", documentName)
	}
	return nil
}

// sameDetail compares a finding with its text in the log, which was cut when it was
// long. The store has no invalid UTF-8, so what held some is compared no further.
func sameDetail(f *verdict.Finding, logged string) bool {
	text := f.Error()
	head, cut := strings.CutSuffix(logged, "…")
	return logged == "" || text == logged || cut && strings.HasPrefix(text, head) ||
		strings.ContainsRune(f.Where+f.Detail, '\uFFFD') && strings.HasPrefix(text, string(f.Reason)+": ")
}

// other says that the station asked another trust bundle than the one in the file.
func (c *checker) other() bool { return c.story.judged && c.story.trust != c.doc.Trust }

// differs is the error when a package is judged otherwise here than by the station.
func (c *checker) differs(format string, args ...any) error {
	err := fmt.Errorf(format, args...)
	if c.other() {
		return unchecked("the station judged it by trust bundle %d, which it does not have any more; by bundle %d, in this file, %v", c.story.trust, c.doc.Trust, err)
	}
	return err
}

// checkVerified judges a package whose manifest the station has verified.
func (c *checker) checkVerified(p *Package, l *Listing, envelope, evidence []byte) error {
	if envelope == nil {
		if p.Verdict != verdict.Accepted && l.find(manifestName, manifest.MaxEnvelope) == nil {
			return nil // a stop of the station left it without one
		}
		return fmt.Errorf("its %s is missing", manifestName)
	}
	v, err := manifest.Verify(envelope, p.Package, c.policy)
	if err != nil {
		return c.differs("its manifest does not verify: %v", err)
	}
	digest := v.Digest()
	m := v.Payload()
	said := []any{p.Manifest, p.Kind, p.Sender, p.ElectionID, p.Audience, p.Stream, p.Seq, p.KeyIDs}
	signed := []any{hex.EncodeToString(digest[:]), string(m.Kind), m.Signer.StationID, m.ElectionID, m.Audience, m.Stream, m.Seq, strings.Join(v.KeyIDs(), ",")}
	if !slices.Equal(said, signed) {
		return errors.New("its manifest is not the one that the log names")
	}
	if err := c.checkEvidence(p, l, v, evidence); err != nil {
		return err
	}
	if p.Verdict != verdict.Accepted {
		return nil
	}
	return l.holds(m)
}

// checkEvidence judges what the sender's TPM said, as the station did.
func (c *checker) checkEvidence(p *Package, l *Listing, v *manifest.Verified, data []byte) error {
	stored := slices.IndexFunc(l.Files, func(f Stored) bool { return f.Name == evidenceName })
	if data == nil && stored >= 0 {
		if p.Verdict == verdict.Accepted {
			return fmt.Errorf("its %s is missing", evidenceName)
		}
		return nil // not read whole, too large, or left out: the log has the reason
	}
	_, err := c.policy.Evidence(v, data)
	if f, ok := verdict.Find(err); ok && slices.Contains(c.story.refused[p.Item], f.Reason) {
		return nil
	}
	if err != nil {
		return c.differs("its evidence does not hold: %v", err)
	}
	return nil
}

// holds says why the listing is not exactly what a manifest lists.
func (l *Listing) holds(m *manifest.Payload) error {
	listed := make(map[string]*manifest.File, len(m.Files))
	for i := range m.Files {
		listed[m.Files[i].Path] = &m.Files[i]
	}
	seen := map[string]bool{}
	for i := range l.Files {
		f := &l.Files[i]
		path, isData := strings.CutPrefix(f.Name, dataFolder)
		want := listed[path]
		switch {
		case f.Partial || seen[f.Name]:
			return fmt.Errorf("it was accepted, and the file %s is not whole, or stands there twice", f.Name)
		case isData && (want == nil || want.Size != f.Size || want.SHA256 != f.SHA256):
			return fmt.Errorf("it was accepted, and the file %s is not the one that its manifest lists", f.Name)
		case !isData && f.Name != manifestName && f.Name != evidenceName:
			return fmt.Errorf("it was accepted, and the file %s is not one of a package", f.Name)
		}
		seen[f.Name] = true
		if isData {
			delete(listed, path)
		}
	}
	if len(listed) > 0 || l.Cut {
		return fmt.Errorf("it was accepted, and %d files are missing that its manifest lists", len(listed))
	}
	return nil
}

// checkRefused judges a manifest that the station refused: it has to be refused
// here, for the same reason. Which elections the station takes is not in the log,
// so one that was refused for its audience may be refused here for its election.
func (c *checker) checkRefused(p *Package, envelope []byte) error {
	if envelope == nil {
		return nil
	}
	reasons := c.story.refused[p.Item]
	_, err := manifest.Verify(envelope, p.Package, c.policy)
	if err == nil {
		return c.differs("its manifest verifies, and the log says that it does not")
	}
	f, ok := verdict.Find(err)
	if !ok {
		return fmt.Errorf("cannot judge its manifest: %w", err)
	}
	if slices.Contains(reasons, f.Reason) || f.Reason == verdict.WrongElection && slices.Contains(reasons, verdict.WrongAudience) {
		return nil
	}
	return c.differs("its manifest is refused for %s, and the log does not name this reason", f.Reason)
}

// isManifest says whether an envelope holds nothing but a manifest. Only then a
// copy of it may be handed out: whatever else a medium calls a manifest may be
// anything, votes included.
func isManifest(envelope []byte) bool {
	e, err := manifest.ParseEnvelope(envelope)
	if err != nil {
		return false
	}
	_, err = manifest.Recall(envelope, sha256.Sum256(e.Payload))
	return err == nil
}
