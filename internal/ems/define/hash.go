package define

import (
	"cmp"
	"crypto/sha256"
	"encoding/base32"
	"fmt"
	"slices"

	"github.com/go-json-experiment/json/jsontext"

	"sallyport/internal/ems/election"
)

// Hash is the SHA-256 by which ballots are known; FORMAT.md says over what.
type Hash [sha256.Size]byte

// Code is the beginning of the hash for people to compare: ten letters and
// digits of base32 (RFC 4648) in two groups, 50 bits.
func (h Hash) Code() string {
	s := base32.StdEncoding.EncodeToString(h[:])
	return s[:5] + "-" + s[5:10]
}

// String returns the hash in hexadecimal.
func (h Hash) String() string { return fmt.Sprintf("%x", h[:]) }

// The first lines of what is hashed.
const (
	ballotDomain = "sallyport ballot v1\n"
	styleDomain  = "sallyport ballot style v1\n"
)

// BallotHash is the hash of everything that a voter sees or a tabulator counts
// by. Who issued the document and when, offices, people, addresses, numbers of
// voters, and the order of lists that are no order on a ballot, do not change it.
func BallotHash(v *election.Valid) (Hash, error) {
	def, err := v.Definition().Clone()
	if err != nil {
		return Hash{}, fmt.Errorf("cannot copy the definition: %w", err)
	}
	return hashOf(ballotDomain, def)
}

// StyleHash is the hash of one ballot style, named by its code.
type StyleHash struct {
	Style string
	Hash  Hash
}

// StyleHashes returns the hash of each ballot style, sorted by code: that of a
// definition with this one style and what is on it.
func StyleHashes(v *election.Valid) ([]StyleHash, error) {
	var out []StyleHash
	for i := range v.Election().Styles {
		def, err := only(v.Definition(), i)
		if err != nil {
			return nil, err
		}
		h, err := hashOf(styleDomain, def)
		if err != nil {
			return nil, err
		}
		out = append(out, StyleHash{def.Elections[0].Styles[0].Code(), h})
	}
	slices.SortFunc(out, func(a, b StyleHash) int { return natural(a.Style, b.Style) })
	return out, nil
}

// only returns a copy with one ballot style, its contests, and of what they
// control those that stand on it too. Units and candidates that are not needed
// are left out before the copy is made: there may be many styles.
func only(from *election.Definition, style int) (*election.Definition, error) {
	def, e := *from, from.Elections[0]
	e.Styles = e.Styles[style : style+1]
	on, units, people := map[ID]bool{}, map[ID]bool{}, map[ID]bool{}
	mark(units, e.Styles[0].Units...)
	e.Styles[0].Contests(func(o *election.OrderedContest, _ string) { on[o.Contest] = true })
	e.Contests = without(e.Contests, func(c *election.Contest) bool { return !on[(*c).Base().ID] })
	for _, c := range e.Contests {
		n := &names{units: units, parties: map[ID]bool{}, candidates: people}
		n.contest(c)
	}
	e.Candidates = without(e.Candidates, func(c *election.Candidate) bool { return !people[c.ID] })
	def.Units = without(def.Units, func(u *election.Unit) bool { return !units[u.ID] })
	def.Elections = []election.Election{e}
	out, err := def.Clone()
	if err != nil {
		return nil, fmt.Errorf("cannot copy the definition: %w", err)
	}
	for _, c := range out.Elections[0].Contests {
		if list := controlledBy(c); list != nil {
			*list = without(*list, func(id *ID) bool { return !on[*id] })
		}
	}
	return out, nil
}

func hashOf(domain string, def *election.Definition) (Hash, error) {
	reduce(def)
	data, err := def.JSON()
	if err != nil {
		return Hash{}, fmt.Errorf("cannot write the definition: %w", err)
	}
	doc := jsontext.Value(data)
	if err := doc.Canonicalize(); err != nil { // RFC 8785
		return Hash{}, fmt.Errorf("cannot write the definition in its canonical form: %w", err)
	}
	return sha256.Sum256(append([]byte(domain), doc...)), nil
}

// reduce takes out of a definition what no voter sees and no tabulator counts
// by, and sorts what is in no order.
func reduce(def *election.Definition) {
	e := &def.Elections[0]
	*def = election.Definition{Version: def.Version, IsTest: def.IsTest, Elections: def.Elections, Units: def.Units,
		Parties: def.Parties, Headers: def.Headers, Formats: def.Formats, Shapes: def.Shapes}
	e.ScopeID, e.Contact = "", nil
	named := &names{units: map[ID]bool{}, parties: map[ID]bool{}, candidates: map[ID]bool{}, headers: map[ID]bool{}}
	for _, c := range e.Contests {
		reduceContest(c, named)
	}
	for i := range e.Styles {
		reduceStyle(e, &e.Styles[i], named)
	}
	reduceCandidates(e, named)
	reduceUnits(def, named)
	sortTexts(def)
	sortLists(def)
}

// names collects what the contests and styles that are kept refer to.
type names struct{ units, parties, candidates, headers map[ID]bool }

func mark(set map[ID]bool, ids ...ID) {
	for _, id := range ids {
		set[id] = true
	}
}

// contest notes what a contest refers to.
func (n *names) contest(c election.Contest) {
	mark(n.units, c.Base().DistrictID)
	mark(n.parties, primaryOf(c)...)
	for _, o := range c.Base().Options {
		switch o := o.(type) {
		case *election.CandidateOption:
			mark(n.candidates, o.Candidates...)
			mark(n.parties, o.Endorsements...)
		case *election.PartyOption:
			mark(n.parties, o.Parties...)
		}
	}
	if id := subjectOf(c); id != nil {
		mark(n.candidates, *id)
	}
}

func reduceContest(c election.Contest, n *names) {
	n.contest(c)
	b := c.Base()
	b.HasRotation, b.SequenceOrder, b.TotalSubUnits, b.ExternalIDs = false, nil, nil, nil
	for _, o := range b.Options {
		o.Base().SequenceOrder, o.Base().ExternalIDs = nil, nil
	}
	if m := measureOf(c); m != nil {
		m.InfoURI = nil
	}
	if list := controlledBy(c); list != nil {
		sortIDs(*list)
	}
	switch c := c.(type) {
	case *election.CandidateContest:
		c.Offices = nil
		sortIDs(c.PrimaryParties)
	case *election.RetentionContest:
		c.OfficeID = ""
	}
}

// reduceStyle writes the order of options out where the style leaves it to the contest.
func reduceStyle(e *election.Election, s *election.Style, n *names) {
	s.Image = nil
	sortIDs(s.Units)
	sortIDs(s.Parties)
	mark(n.units, s.Units...)
	mark(n.parties, s.Parties...)
	s.Contests(func(o *election.OrderedContest, _ string) {
		i := slices.IndexFunc(e.Contests, func(c election.Contest) bool { return c.Base().ID == o.Contest })
		o.Options = orderOn(o, e.Contests[i])
	})
	markHeaders(s.Content, n)
}

func markHeaders(list election.Content, n *names) {
	for _, item := range list {
		if h, ok := item.(*election.OrderedHeader); ok {
			mark(n.headers, h.Header)
			markHeaders(h.Content, n)
		}
	}
}

func reduceCandidates(e *election.Election, n *names) {
	e.Candidates = without(e.Candidates, func(c *election.Candidate) bool { return !n.candidates[c.ID] })
	for i := range e.Candidates {
		c := &e.Candidates[i]
		mark(n.parties, c.PartyID)
		e.Candidates[i] = election.Candidate{ID: c.ID, BallotName: c.BallotName, ReadName: c.ReadName, PartyID: c.PartyID,
			Incumbent: c.Incumbent, TopTicket: c.TopTicket, CampaignSlogan: c.CampaignSlogan}
	}
}

func reduceUnits(def *election.Definition, n *names) {
	for i := range def.Parties {
		mark(n.parties, def.Parties[i].Members...)
	}
	def.Units = without(def.Units, func(u *election.Unit) bool { return !n.units[u.ID] })
	for i := range def.Units {
		u := &def.Units[i]
		def.Units[i] = election.Unit{ID: u.ID, Type: u.Type, OtherType: u.OtherType, Name: u.Name, Number: u.Number}
	}
	def.Parties = without(def.Parties, func(p *election.Party) bool { return !n.parties[p.ID] })
	for i := range def.Parties {
		p := &def.Parties[i]
		out := election.Party{ID: p.ID, Name: p.Name, Abbreviation: p.Abbreviation, Slogan: p.Slogan, Members: p.Members}
		out.Class.Coalition = p.Class.Coalition
		sortIDs(out.Members)
		def.Parties[i] = out
	}
	def.Headers = without(def.Headers, func(h *election.Header) bool { return !n.headers[h.ID] })
	for i := range def.Headers {
		def.Headers[i].ExternalIDs = nil
	}
}

// sortTexts sorts each text by language.
func sortTexts(def *election.Definition) {
	d, err := newDraft(def)
	if err != nil {
		return // two objects with one identifier: Check refuses that
	}
	d.texts(func(_ *class, _ ID, _ column, t *election.Text) {
		t.Label = ""
		slices.SortFunc(t.Text, func(a, b election.LanguageString) int { return cmp.Compare(a.Language, b.Language) })
	})
}

func sortLists(def *election.Definition) {
	e := &def.Elections[0]
	sortBy(def.Units, func(u *election.Unit) ID { return u.ID })
	sortBy(def.Parties, func(p *election.Party) ID { return p.ID })
	sortBy(def.Headers, func(h *election.Header) ID { return h.ID })
	sortBy(def.Formats, func(f *election.BallotFormat) ID { return f.ID })
	sortBy(def.Shapes, func(s *election.Shape) ID { return s.ID })
	sortBy(e.Candidates, func(c *election.Candidate) ID { return c.ID })
	sortBy(e.Contests, func(c *election.Contest) ID { return (*c).Base().ID })
	sortBy(e.Styles, func(s *election.Style) ID { return s.Code() })
	slices.SortFunc(e.ExternalIDs, func(a, b election.ExternalID) int {
		return cmp.Or(cmp.Compare(a.Type, b.Type), cmp.Compare(a.Value, b.Value))
	})
}

// sortBy sorts by identifier, by code point.
func sortBy[T any](list []T, id func(*T) ID) {
	slices.SortFunc(list, func(a, b T) int { return cmp.Compare(id(&a), id(&b)) })
}

// digest is the code of a text, to tell two long ones apart.
func digest(s string) string { return Hash(sha256.Sum256([]byte(s))).Code() }
