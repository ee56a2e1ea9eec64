package define

import (
	"slices"
	"strings"

	"sallyport/internal/ems/election"
)

// class is one class of objects with its table.
type class struct {
	name    string
	file    string
	key     string // the column of the identifier
	must    bool   // a CSV set needs the table
	columns []column
	ids     func(d *draft) []ID
	// create adds an object; columns that are fixed are read there, or in link,
	// which runs when all objects of a table exist.
	create func(d *draft, id ID, cells map[string]string) error
	link   func(d *draft, id ID, cells map[string]string) error
	remove func(d *draft, id ID)
}

// classes is the vocabulary, in the order in which tables are read: what is
// created from other objects comes after them.
func classes() []*class {
	return []*class{electionTable(), unitTable(), partyTable(), officeTable(), headerTable(), contestTable(), candidateTable(), optionTable(), styleTable()}
}

func classNamed(name string) *class { return find(classes(), name) }

// class returns a class of the vocabulary that the draft keeps at hand.
func (d *draft) class(name string) *class { return find(d.classes, name) }

func find(list []*class, name string) *class {
	for _, c := range list {
		if c.name == name {
			return c
		}
	}
	return nil
}

func (c *class) column(name string) *column {
	i := slices.IndexFunc(c.columns, func(x column) bool { return x.name == name })
	if i < 0 {
		return nil
	}
	return &c.columns[i]
}

// names returns the names of all columns, the identifier's first.
func (c *class) names() []string {
	out := []string{c.key}
	for _, col := range c.columns {
		out = append(out, col.name)
	}
	return out
}

func electionTable() *class {
	root := func(p func(*election.Definition) *string) place[string] {
		return func(d *draft, _ ID) *string { return p(d.def) }
	}
	of := func(p func(*election.Election) *string) place[string] {
		return func(d *draft, _ ID) *string { return p(d.election()) }
	}
	c := &class{name: electionClass, file: "election.csv", key: "id", must: true,
		ids:    func(*draft) []ID { return []ID{electionClass} },
		create: func(*draft, ID, map[string]string) error { return nil },
		columns: []column{
			textColumn("name", "Name", func(d *draft, _ ID) *election.Text { return &d.election().Name }).needed(),
			wordColumn("type", "Type", func(d *draft, _ ID) *election.ElectionType { return &d.election().Type },
				"general", "primary", "partisan-primary-open", "partisan-primary-closed", "runoff", "special", "other").needed(),
			stringColumn("other_type", "OtherType", of(func(e *election.Election) *string { return &e.OtherType })),
			dateColumn("date", "StartDate", of(func(e *election.Election) *string { return &e.StartDate })).needed(),
			dateColumn("end_date", "EndDate", of(func(e *election.Election) *string { return &e.EndDate })),
			refColumn("jurisdiction", "ElectionScopeId", unitClass, of(func(e *election.Election) *string { return &e.ScopeID })).needed(),
			stringColumn("issuer", "Issuer", root(func(d *election.Definition) *string { return &d.Issuer })).needed(),
			stringColumn("issuer_abbreviation", "IssuerAbbreviation", root(func(d *election.Definition) *string { return &d.IssuerAbbreviation })),
			stringColumn("vendor_application", "VendorApplicationId", root(func(d *election.Definition) *string { return &d.VendorApplicationID })),
			timeColumn("generated", "GeneratedDate", root(func(d *election.Definition) *string { return &d.GeneratedDate })),
			boolColumn("test", "IsTest", func(d *draft, _ ID) *bool { return &d.def.IsTest }),
			stringColumn("test_type", "TestType", root(func(d *election.Definition) *string { return &d.TestType })),
			stringColumn("notes", "Notes", root(func(d *election.Definition) *string { return &d.Notes })),
		}}
	c.columns = append(c.columns, identifierColumns(func(d *draft, _ ID) *[]election.ExternalID { return &d.election().ExternalIDs })...)
	return c
}

func unitTable() *class {
	c := &class{name: unitClass, file: "units.csv", key: "id", must: true,
		ids: func(d *draft) []ID { return idsOf(d.def.Units, func(u *election.Unit) ID { return u.ID }) },
		create: func(d *draft, id ID, _ map[string]string) error {
			d.def.Units = append(d.def.Units, election.Unit{ID: id})
			return nil
		},
		remove: func(d *draft, id ID) {
			d.setParents(id, nil)
			d.def.Units = without(d.def.Units, func(u *election.Unit) bool { return u.ID == id })
		},
		columns: []column{
			wordColumn("type", "Type", unitPart(func(u *election.Unit) *election.UnitType { return &u.Type }), unitTypes()...).needed(),
			stringColumn("other_type", "OtherType", unitPart(func(u *election.Unit) *string { return &u.OtherType })),
			textColumn("name", "Name", unitPart(func(u *election.Unit) *election.Text { return &u.Name })),
			stringColumn("number", "Number", unitPart(func(u *election.Unit) *string { return &u.Number })),
			parentsColumn(),
			boolColumn("districted", "IsDistricted", unitPart(func(u *election.Unit) *bool { return &u.Districted })),
			boolColumn("mail_only", "IsMailOnly", unitPart(func(u *election.Unit) *bool { return &u.MailOnly })),
			numberColumn("registered", "VotersRegistered", unitPart(func(u *election.Unit) **int64 { return &u.VotersRegistered })),
		}}
	c.columns = append(c.columns, identifierColumns(unitPart(func(u *election.Unit) *[]election.ExternalID { return &u.ExternalIDs }))...)
	return c
}

// unitTypes is the enumeration ReportingUnitType.
func unitTypes() []string {
	return strings.Fields(`ballot-batch ballot-style-area borough city city-council combined-precinct congressional country county
		county-council drop-box judicial municipality other polling-place precinct school special split-precinct state state-house
		state-senate town township utility village vote-center ward water`)
}

func unitPart[T any](p func(*election.Unit) *T) place[T] {
	return func(d *draft, id ID) *T {
		if u := d.unit(id); u != nil {
			return p(u)
		}
		return nil
	}
}

// parentsColumn names the units that a unit is directly part of. The standard
// keeps that in the units above, as ComposingGpUnitIds.
func parentsColumn() column {
	return column{name: "part_of", member: "ComposingGpUnitIds", refs: unitClass,
		get: func(d *draft, id ID) string { return strings.Join(d.parents(id), " ") },
		set: func(d *draft, id ID, value string) error {
			if value == "" {
				d.setParents(id, nil)
				return nil
			}
			ids, err := words(value)
			if err != nil {
				return err
			}
			for _, p := range ids {
				if err := d.known(unitClass, p); err != nil {
					return err
				}
				if p == id {
					return faultf("unit-cycle", "a unit is not part of itself")
				}
			}
			d.setParents(id, ids)
			return nil
		}}
}

// parents are the units directly above.
func (d *draft) parents(id ID) []ID { return d.above[id] }

func (d *draft) setParents(id ID, parents []ID) {
	for _, p := range d.above[id] {
		if u := d.unit(p); u != nil && !slices.Contains(parents, p) {
			u.Composing = without(u.Composing, func(x *ID) bool { return *x == id })
		}
	}
	for _, p := range parents {
		if u := d.unit(p); u != nil && !slices.Contains(d.above[id], p) {
			u.Composing = append(u.Composing, id)
		}
	}
	d.above[id] = parents
}

func partyTable() *class {
	c := &class{name: partyClass, file: "parties.csv", key: "id",
		ids: func(d *draft) []ID { return idsOf(d.def.Parties, func(p *election.Party) ID { return p.ID }) },
		create: func(d *draft, id ID, _ map[string]string) error {
			d.def.Parties = append(d.def.Parties, election.Party{ID: id})
			return nil
		},
		remove: func(d *draft, id ID) {
			d.def.Parties = without(d.def.Parties, func(p *election.Party) bool { return p.ID == id })
		},
		columns: []column{
			textColumn("name", "Name", partyPart(func(p *election.Party) *election.Text { return &p.Name })).needed(),
			textColumn("abbreviation", "Abbreviation", partyPart(func(p *election.Party) *election.Text { return &p.Abbreviation })),
			boolColumn("coalition", "@type", partyPart(func(p *election.Party) *bool { return &p.Class.Coalition })),
			refsColumn("members", "PartyIds", partyClass, partyPart(func(p *election.Party) *[]ID { return &p.Members })),
			refsColumn("contests", "ContestIds", contestClass, partyPart(func(p *election.Party) *[]ID { return &p.Contests })),
			stringColumn("color", "Color", partyPart(func(p *election.Party) *string { return &p.Color })),
			textColumn("slogan", "Slogan", partyPart(func(p *election.Party) *election.Text { return &p.Slogan })),
			boolColumn("recognized", "IsRecognizedParty", partyPart(func(p *election.Party) *bool { return &p.Recognized })),
			refsColumn("scope", "PartyScopeGpUnitIds", unitClass, partyPart(func(p *election.Party) *[]ID { return &p.Scope })),
		}}
	c.columns = append(c.columns, identifierColumns(partyPart(func(p *election.Party) *[]election.ExternalID { return &p.ExternalIDs }))...)
	return c
}

func partyPart[T any](p func(*election.Party) *T) place[T] {
	return func(d *draft, id ID) *T {
		if x := d.party(id); x != nil {
			return p(x)
		}
		return nil
	}
}

func idsOf[T any](list []T, id func(*T) ID) []ID {
	out := make([]ID, 0, len(list))
	for i := range list {
		out = append(out, id(&list[i]))
	}
	return out
}

// without returns a list without the elements of which gone is true; nil when
// none is left, as in a document that was read.
func without[T any](list []T, gone func(*T) bool) []T {
	var out []T
	for i := range list {
		if !gone(&list[i]) {
			out = append(out, list[i])
		}
	}
	return out
}

// Table describes one table of a CSV set.
type Table struct {
	File    string
	Class   string // in edits
	Needed  bool   // a set without it is refused
	Columns []Column
}

// Column describes one column, which is a word of edits too.
type Column struct {
	Name       string
	Needed     bool
	Fixed      bool   // is given when an object is added, and not set afterwards
	RefersTo   string // the class whose identifiers stand in it
	Translated bool   // translations.csv can hold it in other languages
}

// Tables describes the tables that hold objects, in reading order, for help
// and documents. In election.csv the columns are keys.
func Tables() (out []Table) {
	for _, c := range classes() {
		t := Table{File: c.file, Class: c.name, Needed: c.must}
		if c.name != electionClass {
			t.Columns = append(t.Columns, Column{Name: c.key, Needed: true, Fixed: true})
		}
		for _, col := range c.columns {
			t.Columns = append(t.Columns, Column{col.name, col.need, col.fixed, col.refs, col.text != nil})
		}
		out = append(out, t)
	}
	return out
}
