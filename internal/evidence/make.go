package evidence

import (
	"crypto/ecdsa"
	"crypto/sha256"
	"errors"
	"fmt"

	"sallyport/internal/audit"
	"sallyport/internal/limit"
	"sallyport/internal/strictjson"
	"sallyport/internal/tpm/attest"
	"sallyport/internal/translog"
	"sallyport/internal/trust"
	"sallyport/internal/verdict"
)

// Source is what a station knows of one medium.
type Source struct {
	Medium string // its id
	// Root is the root that the station began with, Delivery the rotations since and
	// the trust bundle, nil when it had none.
	Root     []byte
	Delivery trust.Delivery
	Identity []byte // the station's TPM identity
	// Checkpoint seals all entries, Anchor is its anchor.
	Checkpoint, Anchor []byte
	Entries            []Entry // see [Select]
	Items              []Item
}

// Item is one item of the station's store.
type Item struct {
	ID       string
	Facts    []byte
	Listing  Listing
	Findings []verdict.Finding
	// Manifest and Evidence are what was stored under these names, nil when that was
	// not whole. What is no manifest is not handed on.
	Manifest, Evidence []byte
}

// Make writes the evidence about a medium. It says why there is none when the
// entries do not tell its story to the end. The caller holds it against [Check]:
// what a station cannot prove it should not hand out unseen.
func Make(src *Source) ([]byte, error) {
	c := &content{root: src.Root, listings: map[string]*Listing{}, facts: map[string]*facts{}}
	s, err := c.read(src)
	if err != nil {
		return nil, fmt.Errorf("cannot make evidence about medium %s: %w", verdict.Escape(src.Medium), err)
	}
	members, err := c.gather(src, s)
	if err == nil {
		members, err = c.finish(members)
	}
	if err == nil {
		err = limit.Check("bytes of a file of evidence", int64(zipSize(members)), MaxFile)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot make evidence about medium %s: %w", verdict.Escape(src.Medium), err)
	}
	return writeZIP(members), nil
}

// read decodes what is signed and begins the document.
func (c *content) read(src *Source) (*story, error) {
	if err := limit.Check("entries about a medium", int64(len(src.Entries)), MaxEntries); err != nil {
		return nil, err
	}
	for _, e := range src.Entries {
		parsed, err := audit.Parse(e.Entry)
		if err != nil {
			return nil, fmt.Errorf("entry %d: %w", e.Index, err)
		}
		c.entries = append(c.entries, *parsed)
	}
	s, err := tell(c.entries, src.Medium)
	if err != nil {
		return nil, err
	}
	if err := limit.Check("packages of a medium", int64(len(s.Packages)), MaxPackages); err != nil {
		return nil, err
	}
	id, err := attest.DecodeIdentity(src.Identity)
	if err != nil {
		return nil, err
	}
	key, err := id.LogKey()
	if err != nil {
		return nil, err
	}
	if c.sealed, err = openNote(&s.Station, src.Checkpoint, key); err != nil {
		return nil, err
	}
	if c.counter, err = id.CheckAnchor(sha256.Sum256(src.Checkpoint), src.Anchor); err != nil {
		return nil, err
	}
	c.doc = &Document{V: Version, Station: s.Station, Medium: s.Medium, Verdict: s.Verdict, Packages: s.Packages,
		Checkpoint: string(src.Checkpoint), Anchor: src.Anchor, Entries: src.Entries}
	return s, nil
}

// openNote verifies a checkpoint of a station's log, whose origin names it.
func openNote(s *Station, note []byte, key *ecdsa.PublicKey) (translog.Checkpoint, error) {
	keys, err := translog.NewKeys("sallyport/"+s.Jurisdiction+"/"+s.ID, key)
	if err != nil {
		return translog.Checkpoint{}, err
	}
	return keys.Open(note)
}

// gather collects the members but for the page and bundle.json.
func (c *content) gather(src *Source, s *story) ([]member, error) {
	members := []member{{rootName, src.Root}, {identityName, src.Identity}}
	for _, r := range src.Delivery.Rotations {
		members = append(members, member{trustFolder + trust.RotationName(r.Version), r.Envelope})
	}
	if src.Delivery.Bundle != nil {
		first, err := trust.ParseRoot(src.Root)
		if err != nil {
			return nil, err
		}
		_, t, err := trust.Follow(first, src.Delivery)
		if err != nil {
			return nil, err
		}
		c.doc.Trust = t.Version()
		members = append(members, member{trustFolder + trust.BundleName, src.Delivery.Bundle})
	}
	items := map[string]*Item{}
	for i := range src.Items {
		items[src.Items[i].ID] = &src.Items[i]
	}
	for i := range s.Packages {
		p := &s.Packages[i]
		if p.Digest == "" {
			continue
		}
		it := items[p.Item]
		if it == nil {
			return nil, fmt.Errorf("the item %s, which the log names, is missing", p.Item)
		}
		more, err := c.item(p, it)
		if err != nil {
			return nil, err
		}
		members = append(members, more...)
	}
	return members, nil
}

// item makes the members of one package.
func (c *content) item(p *Package, it *Item) ([]member, error) {
	it.Listing.V = Version
	listing, err := strictjson.Encode(&it.Listing)
	if err != nil {
		return nil, err
	}
	f, err := decodeFacts(it.Facts)
	if err != nil {
		return nil, err
	}
	c.listings[p.Item], c.facts[p.Item] = &it.Listing, f
	if it.Findings != nil {
		p.Findings = it.Findings
	}
	members := []member{{inItem(p.Item, factsName), it.Facts}, {inItem(p.Item, listingName), listing}}
	if it.Manifest != nil && p.Package != "" && (p.Manifest != "" || isManifest(it.Manifest)) {
		members = append(members, member{inItem(p.Item, manifestName), it.Manifest})
	}
	if it.Evidence != nil && p.Manifest != "" {
		members = append(members, member{inItem(p.Item, evidenceName), it.Evidence})
	}
	return members, nil
}

// finish adds the page and bundle.json.
func (c *content) finish(members []member) ([]member, error) {
	page, err := c.page()
	if err != nil {
		return nil, err
	}
	members = append(members, member{pageName, page})
	sortMembers(members)
	c.doc.Files = []File{}
	for _, m := range members {
		c.doc.Files = append(c.doc.Files, File{m.name, int64(len(m.data)), hashOf(m.data)})
	}
	doc, err := strictjson.Encode(c.doc)
	if err != nil {
		return nil, err
	}
	members = append(members, member{documentName, doc})
	sortMembers(members)
	for _, m := range members {
		most, err := mostOf(m.name)
		if err == nil {
			err = limit.Check("bytes of "+m.name, int64(len(m.data)), int64(most))
		}
		if err != nil {
			return nil, err
		}
	}
	return members, nil
}

// Selector picks the entries about a medium out of a log that is read in its order,
// as [Make] wants them.
type Selector struct {
	medium   string
	inserted *audit.Entry
	open     map[int64]bool
	told     bool
	start    int64
	attached map[string]int64 // by insertion
	picked   []int64
}

// NewSelector returns a Selector for one medium, named by its id.
func NewSelector(medium string) *Selector {
	return &Selector{medium: medium, open: map[int64]bool{}, start: -1, attached: map[string]int64{}}
}

// Take looks at the next entry.
func (s *Selector) Take(e *audit.Entry) error {
	if s.inserted == nil {
		s.before(e)
		return nil
	}
	insertion := s.inserted.Fields["insertion"]
	about := e.Subject.Medium == s.medium || insertion != "" && e.Boot == s.inserted.Boot && e.Fields["insertion"] == insertion
	ended := s.told && len(s.open) == 0
	if ended && !about {
		return nil
	}
	if len(s.picked) == MaxEntries {
		return limit.Check("entries about a medium", MaxEntries+1, MaxEntries)
	}
	s.picked = append(s.picked, e.Seq)
	if e.Subject.Medium != s.medium {
		return nil
	}
	switch {
	case e.Phase == audit.PhaseIntent:
		s.open[e.Seq] = true
	case e.Phase == audit.PhaseOutcome:
		delete(s.open, e.Ref)
	case e.Event == audit.MediumVerdict:
		s.told = true
	}
	return nil
}

// before keeps what may belong to the medium once it comes.
func (s *Selector) before(e *audit.Entry) {
	switch e.Event {
	case audit.StationStart:
		s.start = e.Seq
		clear(s.attached)
	case audit.DeviceAttached:
		s.attached[e.Fields["insertion"]] = e.Seq
	case audit.DeviceRemoved:
		delete(s.attached, e.Fields["insertion"])
	case audit.MediumInserted:
		if e.Subject.Medium != s.medium {
			return
		}
		kept := *e
		s.inserted = &kept
		if s.start >= 0 {
			s.picked = append(s.picked, s.start)
		}
		if at, ok := s.attached[e.Fields["insertion"]]; ok && e.Fields["insertion"] != "" {
			s.picked = append(s.picked, at)
		}
		s.picked = append(s.picked, e.Seq)
	}
}

// ErrNoMedium means that the log knows no medium of this id.
var ErrNoMedium = errors.New("the log knows no such medium")

// Picked returns the places of the entries, or says that the medium is not in the
// log or not done with yet.
func (s *Selector) Picked() ([]int64, error) {
	switch {
	case s.inserted == nil:
		return nil, ErrNoMedium
	case !s.told || len(s.open) > 0:
		return nil, errors.New("the medium has no verdict yet, or is still being released: ask again in a moment")
	}
	return s.picked, nil
}
