package define

import (
	"cmp"
	"slices"
	"strings"

	"sallyport/internal/ems/election"
)

// loadElection turns the rows of key and value into one row of an object, and
// keeps the line of each key.
func (s *set) loadElection(c *class, data []byte) {
	t := readTable(s.problems, c.file, data, []string{"key", "value"}, []string{"key", "value"})
	if t == nil {
		return
	}
	known := append(c.names()[1:], settingKeys()...)
	one := row{line: 1, cells: map[string]string{"id": electionClass}}
	for _, r := range t.rows {
		key := r.cells["key"]
		_, twice := s.at[electionClass+" "+key]
		switch {
		case !slices.Contains(known, key):
			s.problems.add(c.file, r.line, "key", "key-unknown", "the election has no such key; it has: "+strings.Join(known, ", "))
		case twice:
			s.problems.add(c.file, r.line, "key", "key-repeated", "the key stands there already")
		default:
			s.at[electionClass+" "+key] = origin{c.file, r.line}
			one.cells[key] = r.cells["value"]
		}
	}
	s.tables[c.file] = &table{file: c.file, rows: []row{one}}
}

// settingKeys are the keys of election.csv that are not of the definition.
func settingKeys() []string { return []string{"languages", "rotation_rule", "alphabet"} }

// settle reads the settings, of which the first language is needed for all texts.
func (s *set) settle() {
	t := s.tables["election.csv"]
	if t == nil {
		return
	}
	cells := t.rows[0].cells
	s.settings.languages = []string{"en"}
	if v := cells["languages"]; v != "" {
		list, err := languages(nil, v)
		if err != nil {
			s.bad(electionClass, electionClass, "languages", err)
		} else {
			s.settings.languages = list
		}
	}
	s.base = s.settings.languages[0]
	s.settings.rotation = Rotation(cells["rotation_rule"])
	s.settings.alphabet = cells["alphabet"]
	if err := s.settings.rotation.check(); err != nil {
		s.bad(electionClass, electionClass, "rotation_rule", err)
	}
	if err := checkAlphabet(s.settings.alphabet); err != nil {
		s.bad(electionClass, electionClass, "alphabet", err)
	}
}

// electionOrigin is the line of a key; without one, the file.
func (s *set) electionOrigin(key string) origin {
	if o, ok := s.at[electionClass+" "+key]; ok {
		return o
	}
	return origin{"election.csv", 0}
}

// defaults fills in what the clerk need not write.
func (s *set) defaults() {
	e, def := s.election(), s.def
	e.EndDate = cmp.Or(e.EndDate, e.StartDate)
	def.IssuerAbbreviation = cmp.Or(def.IssuerAbbreviation, def.Issuer)
	def.VendorApplicationID = cmp.Or(def.VendorApplicationID, "sallyport")
	if def.GeneratedDate == "" && e.StartDate != "" {
		def.GeneratedDate = e.StartDate + "T00:00:00Z"
	}
	for _, c := range e.Contests {
		s.nameContest(c.Base())
		if len(c.Base().Options) == 0 {
			s.defaultOptions(c)
		}
	}
}

// nameContest names a contest by its title where it has no name of its own.
func (d *draft) nameContest(b *election.ContestBase) {
	if b.Name == "" {
		b.Name, _ = b.BallotTitle.In(d.base)
	}
}

// defaultOptions gives a question Yes and No, in English only, and a choice of
// party all parties.
func (s *set) defaultOptions(c election.Contest) {
	id := c.Base().ID
	switch kindOf(c) {
	case measureKind, retentionKind:
		if s.base != "en" {
			return
		}
		for _, word := range []string{"Yes", "No"} {
			o := &election.BallotMeasureOption{Selection: election.English(word)}
			o.ID = id + "-" + strings.ToLower(word)
			s.defaultOption(id, o)
		}
	case partyKind, straightKind, preferenceKind:
		for i := range s.def.Parties {
			o := &election.PartyOption{Parties: []ID{s.def.Parties[i].ID}}
			o.ID = id + "-" + s.def.Parties[i].ID
			s.defaultOption(id, o)
		}
	}
}

func (s *set) defaultOption(contest ID, o election.Option) {
	if err := s.addOption(contest, o); err != nil {
		s.bad(contestClass, contest, "", err)
	}
}
