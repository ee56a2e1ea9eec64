package evidence

import (
	"crypto/sha256"
	"testing"

	"sallyport/internal/audit"
	"sallyport/internal/strictjson"
	"sallyport/internal/tpm/attest"
)

// Names of members, for forgers.
const (
	PageName     = pageName
	DocumentName = documentName
	IdentityName = identityName
	RootName     = rootName
)

// InItem is the name of a package's member.
func InItem(item, file string) string { return inItem(item, file) }

// Forger takes evidence apart and puts it together again, with a page and a list of
// members that fit what it has become: all that needs no key.
type Forger struct {
	T       testing.TB
	Doc     *Document
	Members map[string][]byte
	// KeepPage and KeepList leave the page, or the list of members, as they were.
	KeepPage, KeepList bool
}

// NewForger takes evidence apart.
func NewForger(t testing.TB, data []byte) *Forger {
	t.Helper()
	members, err := readZIP(data)
	if err != nil {
		t.Fatal(err)
	}
	f := &Forger{T: t, Doc: &Document{}, Members: map[string][]byte{}}
	for _, m := range members {
		f.Members[m.name] = append([]byte{}, m.data...)
	}
	if err := strictjson.DecodeCanonical(f.Members[documentName], f.Doc, maxDocument); err != nil {
		t.Fatal(err)
	}
	delete(f.Members, documentName)
	return f
}

// File puts it together.
func (f *Forger) File() []byte {
	f.T.Helper()
	if !f.KeepPage {
		f.page()
	}
	var members []member
	for name, data := range f.Members {
		members = append(members, member{name, data})
	}
	sortMembers(members)
	if !f.KeepList {
		f.Doc.Files = []File{}
		for _, m := range members {
			f.Doc.Files = append(f.Doc.Files, File{m.name, int64(len(m.data)), hashOf(m.data)})
		}
	}
	doc, err := strictjson.Encode(f.Doc)
	if err != nil {
		f.T.Fatal(err)
	}
	return writeZIP(append(members, member{documentName, doc}))
}

// page makes the page of what there is; what is not to be read stays out.
func (f *Forger) page() {
	c := &content{doc: f.Doc, listings: map[string]*Listing{}, facts: map[string]*facts{}, root: f.Members[rootName]}
	for _, e := range f.Doc.Entries {
		if parsed, err := audit.Parse(e.Entry); err == nil {
			c.entries = append(c.entries, *parsed)
		}
	}
	for _, p := range f.Doc.Packages {
		if l, err := decodeListing(f.Members[inItem(p.Item, listingName)]); err == nil {
			c.listings[p.Item] = l
		}
		if x, err := decodeFacts(f.Members[inItem(p.Item, factsName)]); err == nil {
			c.facts[p.Item] = x
		}
	}
	if id, err := attest.DecodeIdentity(f.Members[identityName]); err == nil {
		if key, err := id.LogKey(); err == nil {
			c.sealed, _ = openNote(&f.Doc.Station, []byte(f.Doc.Checkpoint), key)
		}
		c.counter, _ = id.CheckAnchor(sha256.Sum256([]byte(f.Doc.Checkpoint)), f.Doc.Anchor)
	}
	page, err := c.page()
	if err != nil {
		f.T.Fatal(err)
	}
	f.Members[pageName] = page
}

// Tell reads a story and says what it makes of the packages and of the verdict.
func Tell(entries []audit.Entry, medium string) (Medium, Verdict, []Package, error) {
	s, err := tell(entries, medium)
	if err != nil {
		return Medium{}, Verdict{}, nil, err
	}
	return s.Medium, s.Verdict, s.Packages, nil
}

// ReadZIP returns the members of a ZIP in its one form, by name and in their order.
func ReadZIP(data []byte) (names []string, contents [][]byte, err error) {
	members, err := readZIP(data)
	for _, m := range members {
		names, contents = append(names, m.name), append(contents, m.data)
	}
	return names, contents, err
}

// WriteZIP is its inverse.
func WriteZIP(names []string, contents [][]byte) []byte {
	var members []member
	for i := range names {
		members = append(members, member{names[i], contents[i]})
	}
	return writeZIP(members)
}

// Digest is the digest of an item.
func (l *Listing) Digest(item string, facts []byte) (string, error) { return l.digest(item, facts) }
