// Package proof lays out ballots for people to proof, from a definition that
// keeps all rules: each ballot style as one document with the texts of its
// contests in one or several languages, the code of the style, and the code of
// its hash. It is no ballot printer: what it makes has no timing marks, says on
// every page that it is no ballot, and no scanner reads it.
//
// It decides nothing about an election and reads and writes no file. The texts
// are those of the definition, which is foreign: package page refuses what
// cannot be printed as what it is.
package proof

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"sallyport/internal/ems/define"
	"sallyport/internal/ems/election"
	"sallyport/internal/ems/page"
)

// Notice stands on every page of a proof.
const Notice = "PROOF — NOT A BALLOT"

// Proof is one ballot style, laid out.
type Proof struct {
	Style     string // code
	Hash      define.Hash
	Precincts []string // names of the units that use it
	Languages []string
	Document  *page.Document
}

// Options say which proofs are made.
type Options struct {
	Styles    []string // codes; none means all
	Languages []string // none means those of each style
	Size      page.Size
}

// Make lays out the ballot styles of a definition, in its order. A style whose
// candidates rotate by precinct is another style in each place (FORMAT.md of
// package define, 3), so there is one order on each.
func Make(v *election.Valid, o Options) ([]Proof, error) {
	all, err := define.StyleHashes(v)
	if err != nil {
		return nil, err
	}
	hashes := map[string]define.Hash{}
	for _, h := range all {
		hashes[h.Style] = h.Hash
	}
	for _, code := range o.Styles {
		if _, ok := hashes[code]; !ok {
			return nil, fmt.Errorf("the definition has no ballot style %q", code)
		}
	}
	known := define.Languages(v.Definition())
	for _, l := range o.Languages {
		if !slices.Contains(known, l) {
			return nil, fmt.Errorf("the definition has no texts in %q; it has: %s", l, strings.Join(known, " "))
		}
	}
	var out []Proof
	for i := range v.Election().Styles {
		s := &v.Election().Styles[i]
		if len(o.Styles) > 0 && !slices.Contains(o.Styles, s.Code()) {
			continue
		}
		w := &writer{v: v, languages: o.Languages}
		if len(w.languages) == 0 {
			w.languages = s.Languages
		}
		if len(w.languages) == 0 {
			w.languages = known
		}
		out = append(out, w.proof(s, hashes[s.Code()], o.Size))
	}
	return out, nil
}

// writer lays out one style.
type writer struct {
	v         *election.Valid
	languages []string
}

func (w *writer) proof(s *election.Style, h define.Hash, size page.Size) Proof {
	e := w.v.Election()
	p := Proof{Style: s.Code(), Hash: h, Languages: w.languages}
	for _, id := range s.Units {
		p.Precincts = append(p.Precincts, w.unit(id))
	}
	b := &page.BallotPage{Title: w.lines(e.Name), Code: fmt.Sprintf("Style %s · %s", s.Code(), h.Code()),
		QR: qr(e, s, h), Columns: 3, Instructions: w.words(fillOval())}
	b.About = append(b.About, page.Line{Text: w.unit(e.ScopeID) + ", " + e.StartDate})
	b.About = append(b.About, page.Line{Text: "Used in: " + list(p.Precincts, 12)})
	for _, id := range s.Parties {
		b.About = append(b.About, w.lines(w.v.Party(id).Name)...)
	}
	w.content(b, s.Content, nil)
	p.Document = &page.Document{Title: fmt.Sprintf("Ballot proof, %s, style %s", e.Name, s.Code()), Lang: w.languages[0],
		Author: w.v.Definition().Issuer, Notice: Notice, Size: size, Blocks: []page.Block{b},
		Footer: []string{"Ballot style hash " + h.String()}}
	return p
}

// qr is what the code beside the title says, in at most [page.MaxQR] bytes: it
// lets people find the proof of the ballot that they hold.
func qr(e *election.Election, s *election.Style, h define.Hash) string {
	text := "sallyport-proof:" + e.ExternalIDs[0].Value + ":" + s.Code() + ":" + h.String()
	if len(text) > page.MaxQR {
		return "sallyport-proof:" + h.String()
	}
	return text
}

// list joins names, and counts those beyond most.
func list(names []string, most int) string {
	if len(names) > most {
		return strings.Join(names[:most], ", ") + " and " + strconv.Itoa(len(names)-most) + " more"
	}
	return strings.Join(names, ", ")
}

func (w *writer) unit(id election.ID) string {
	u := w.v.Unit(id)
	if u == nil {
		return id
	}
	if name := u.Name.String(); name != "" {
		return name
	}
	return id
}

// lines are the texts in the languages of the proof, the first one first. Where
// none of them is there, what there is stands, so that nothing is left out.
func (w *writer) lines(t election.Text) (out []page.Line) {
	for _, l := range w.languages {
		if s, ok := t.In(l); ok && strings.TrimSpace(s) != "" {
			out = append(out, page.Line{Lang: l, Text: s})
		}
	}
	if len(out) == 0 {
		if s := t.String(); strings.TrimSpace(s) != "" {
			out = append(out, page.Line{Text: s})
		}
	}
	return out
}
