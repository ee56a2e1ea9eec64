package define

import (
	"errors"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"sallyport/internal/ems/election"
)

// The classes of objects that have tables and edits.
const (
	electionClass  = "election"
	unitClass      = "unit"
	partyClass     = "party"
	officeClass    = "office"
	headerClass    = "header"
	contestClass   = "contest"
	candidateClass = "candidate"
	optionClass    = "option"
	styleClass     = "style"
)

// draft is a definition that is being worked on, with its objects by
// identifier. It need not be valid.
type draft struct {
	def      *election.Definition
	base     string // the language of the tables; other languages are translations
	at       map[ID]slot
	above    map[ID][]ID    // the units directly above a unit
	styles   map[string]int // by code
	standing map[ID]stand   // the option by which a candidate stands
	touched  map[ID]bool    // contests whose options have to be put in order
	settings settings
	classes  []*class
}

// settings are what a CSV set says besides the definition.
type settings struct {
	languages []string
	rotation  Rotation
	alphabet  string
}

// slot is where an object is.
type slot struct {
	class   string
	n       int
	option  election.Option // of class option
	contest ID
}

type stand struct {
	contest ID
	option  *election.CandidateOption
}

// errElections is a definition that cannot be worked on here.
var errElections = errors.New("the definition must hold exactly one election")

// newDraft indexes def, which it changes from then on.
func newDraft(def *election.Definition) (*draft, error) {
	if len(def.Elections) != 1 {
		return nil, errElections
	}
	d := &draft{def: def, base: baseLanguage(def), touched: map[ID]bool{}, classes: classes()}
	return d, d.index()
}

func (d *draft) election() *election.Election { return &d.def.Elections[0] }

// index finds all objects anew.
func (d *draft) index() error {
	d.at, d.styles, d.standing, d.above = map[ID]slot{}, map[string]int{}, map[ID]stand{}, map[ID][]ID{}
	var errs []error
	put := func(id ID, s slot) { errs = append(errs, d.put(id, s)) }
	for i := range d.def.Units {
		put(d.def.Units[i].ID, slot{class: unitClass, n: i})
		for _, child := range d.def.Units[i].Composing {
			d.above[child] = append(d.above[child], d.def.Units[i].ID)
		}
	}
	for i := range d.def.Parties {
		put(d.def.Parties[i].ID, slot{class: partyClass, n: i})
	}
	for i := range d.def.Offices {
		put(d.def.Offices[i].ID, slot{class: officeClass, n: i})
	}
	for i := range d.def.Headers {
		put(d.def.Headers[i].ID, slot{class: headerClass, n: i})
	}
	for i := range d.election().Candidates {
		put(d.election().Candidates[i].ID, slot{class: candidateClass, n: i})
	}
	for i, c := range d.election().Contests {
		put(c.Base().ID, slot{class: contestClass, n: i})
		for _, o := range c.Base().Options {
			put(o.Base().ID, slot{class: optionClass, option: o, contest: c.Base().ID})
			d.stands(c.Base().ID, o)
		}
	}
	for i := range d.election().Styles {
		d.styles[d.election().Styles[i].Code()] = i
	}
	return errors.Join(errs...)
}

func (d *draft) put(id ID, s slot) error {
	if other, ok := d.at[id]; ok {
		return faultf("id-repeated", "%q stands for another object (%s) already: give each object its own id", id, other.class)
	}
	d.at[id] = s
	return nil
}

// add makes an object of a class.
func (d *draft) add(c *class, id ID, cells map[string]string) error {
	if err := checkID(id); err != nil {
		return err
	}
	if c.name == styleClass || c.name == optionClass {
		return c.create(d, id, cells) // styles have no @id; options are indexed with their contest
	}
	n := map[string]int{unitClass: len(d.def.Units), partyClass: len(d.def.Parties), officeClass: len(d.def.Offices), headerClass: len(d.def.Headers),
		contestClass: len(d.election().Contests), candidateClass: len(d.election().Candidates)}[c.name]
	if err := d.put(id, slot{class: c.name, n: n}); err != nil {
		return err
	}
	err := c.create(d, id, cells)
	if err != nil {
		delete(d.at, id)
	}
	return err
}

// stands notes by which option candidates stand.
func (d *draft) stands(contest ID, o election.Option) {
	if o, ok := o.(*election.CandidateOption); ok {
		for _, id := range o.Candidates {
			if _, ok := d.standing[id]; !ok {
				d.standing[id] = stand{contest, o}
			}
		}
	}
}

// is says whether an object of a class has the identifier.
func (d *draft) is(class string, id ID) bool {
	s, ok := d.at[id]
	return ok && s.class == class
}

func object[T any](d *draft, class string, id ID, list []T) *T {
	if s, ok := d.at[id]; ok && s.class == class {
		return &list[s.n]
	}
	return nil
}

func (d *draft) unit(id ID) *election.Unit     { return object(d, unitClass, id, d.def.Units) }
func (d *draft) party(id ID) *election.Party   { return object(d, partyClass, id, d.def.Parties) }
func (d *draft) office(id ID) *election.Office { return object(d, officeClass, id, d.def.Offices) }
func (d *draft) header(id ID) *election.Header { return object(d, headerClass, id, d.def.Headers) }
func (d *draft) candidate(id ID) *election.Candidate {
	return object(d, candidateClass, id, d.election().Candidates)
}

func (d *draft) contest(id ID) election.Contest {
	if c := object(d, contestClass, id, d.election().Contests); c != nil {
		return *c
	}
	return nil
}

func (d *draft) style(code string) *election.Style {
	if n, ok := d.styles[code]; ok {
		return &d.election().Styles[n]
	}
	return nil
}

// checkID says whether an identifier can stand in a table.
func checkID(id ID) error {
	switch {
	case id == "":
		return faultf("id-empty", "an object needs an id")
	case id == electionClass:
		return faultf("id-reserved", "%q is the election itself: choose another id", id)
	case len(id) > 256:
		return faultf("id-long", "an id may have 256 bytes")
	case !utf8.ValidString(id) || strings.ContainsFunc(id, odd):
		return faultf("id-grammar", "an id has no white space and no control characters")
	}
	return formula(id)
}

func odd(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }

// formula refuses text that a spreadsheet would compute.
func formula(s string) error {
	if s != "" && strings.ContainsRune("=+-@", rune(s[0])) {
		return faultf("formula", "a cell must not begin with = + - or @: a spreadsheet would take it for a formula")
	}
	return nil
}

// baseLanguage is the language in which the election is named first.
func baseLanguage(def *election.Definition) string {
	if len(def.Elections) == 1 && len(def.Elections[0].Name.Text) > 0 {
		return def.Elections[0].Name.Text[0].Language
	}
	return "en"
}

// Languages returns the languages of a definition: the one in which the
// election is named first, then those of its ballot styles, or where it has
// none, of all its texts.
func Languages(def *election.Definition) []string {
	d, err := newDraft(def)
	if err != nil {
		return nil
	}
	out := []string{d.base}
	add := func(l string) {
		if !slices.Contains(out, l) {
			out = append(out, l)
		}
	}
	for i := range d.election().Styles {
		for _, l := range d.election().Styles[i].Languages {
			add(l)
		}
	}
	if len(d.election().Styles) == 0 {
		d.texts(func(_ *class, _ ID, _ column, t *election.Text) {
			for _, s := range t.Text {
				add(s.Language)
			}
		})
	}
	return out
}

// texts calls each for every text of the definition that the tables know.
func (d *draft) texts(each func(*class, ID, column, *election.Text)) {
	for _, c := range d.classes {
		for _, id := range c.ids(d) {
			for _, col := range c.columns {
				if col.text == nil {
					continue
				}
				if t := col.text(d, id); t != nil {
					each(c, id, col, t)
				}
			}
		}
	}
}
