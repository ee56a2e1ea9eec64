package define

import (
	"cmp"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"

	"sallyport/internal/ems/election"
)

// The tables that hold no objects of their own.
const (
	styleContestsFile = "style_contests.csv"
	translationsFile  = "translations.csv"
)

// ReadSet reads a CSV set, the folder fsys, into a definition that passes
// [election.Definition.Check]. Where the set has no styles.csv the ballot styles
// are made, as election.csv says ([BuildStyles]). It returns all problems that
// were found, in the order of the files, and then no definition.
func ReadSet(fsys fs.FS) (*election.Definition, []Problem) {
	p := newProblems()
	files := loadSet(p, fsys)
	d := readFiles(p, files)
	if len(p.list) > 0 {
		sortProblems(p.list)
		return nil, p.list
	}
	return d, nil
}

// loadSet reads the files of a set; other files than tables may lie beside them.
func loadSet(p *problems, fsys fs.FS) map[string][]byte {
	entries, err := fs.ReadDir(fsys, ".")
	if err != nil {
		p.add(".", 0, "", "file", "cannot list the folder: "+err.Error())
		return nil
	}
	known := setFiles()
	out := map[string][]byte{}
	for _, e := range entries {
		name := e.Name()
		switch {
		case slices.Contains(known, name) && !e.Type().IsRegular():
			p.add(name, 0, "", "file", "this is no regular file: copy the table itself into the folder")
		case slices.Contains(known, name):
			if data, ok := readFile(p, fsys, name); ok {
				out[name] = data
			}
		case strings.EqualFold(path.Ext(name), ".csv"):
			p.add(name, 0, "", "file-unknown", "a CSV set has no such table; it has: "+strings.Join(known, ", "))
		}
	}
	return out
}

func readFile(p *problems, fsys fs.FS, name string) ([]byte, bool) {
	f, err := fsys.Open(name)
	if err != nil {
		p.add(name, 0, "", "file", "cannot open the file: "+err.Error())
		return nil, false
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, MaxFile+1))
	if err != nil {
		p.add(name, 0, "", "file", "cannot read the file: "+err.Error())
		return nil, false
	}
	return data, true
}

// setFiles are the names of all tables, in the order in which they are read.
func setFiles() (out []string) {
	for _, c := range classes() {
		out = append(out, c.file)
	}
	return append(out, styleContestsFile, translationsFile)
}

// set is a CSV set that is being read.
type set struct {
	*problems
	*draft
	tables  map[string]*table
	at      map[string]origin // by class and identifier
	damaged bool              // an object is missing: references to it say nothing
}

// origin is where an object stands.
type origin struct {
	file string
	line int
}

func readFiles(p *problems, files map[string][]byte) *election.Definition {
	def := &election.Definition{Version: "1.0.0", SequenceStart: 1, SequenceEnd: 1, Elections: []election.Election{{}}}
	d, err := newDraft(def)
	if err != nil {
		p.fault("election.csv", 0, "", err)
		return nil
	}
	s := &set{problems: p, draft: d, tables: map[string]*table{}, at: map[string]origin{}}
	s.load(files)
	s.settle()
	list := s.classes
	for _, c := range list {
		s.create(c)
	}
	for _, c := range list {
		s.link(c)
	}
	for _, c := range list {
		s.fill(c)
	}
	s.content()
	s.defaults()
	s.translate()
	s.arrange()
	return s.check()
}

// load reads the tables that are there and says which are missing.
func (s *set) load(files map[string][]byte) {
	for _, c := range s.classes {
		data, ok := files[c.file]
		switch {
		case !ok && c.must:
			s.problems.add(c.file, 0, "", "file-missing", "a CSV set needs this table")
			s.lost[c.name] = true
		case ok && c.name == electionClass:
			s.loadElection(c, data)
		case ok:
			before := len(s.list)
			s.keep(readTable(s.problems, c.file, data, c.names(), needed(c)))
			if len(s.list) > before && !readable(s.list[before:]) {
				s.lost[c.name] = true
			}
		}
	}
	if data, ok := files[styleContestsFile]; ok {
		s.keep(readTable(s.problems, styleContestsFile, data, styleContestsColumns(), []string{"style", "contest"}))
	}
	if data, ok := files[translationsFile]; ok {
		s.keep(readTable(s.problems, translationsFile, data, translationsColumns(), translationsColumns()))
	}
	s.damaged = len(s.list) > 0
}

// readable says whether all rows of a table were read: only cells are wrong.
func readable(list []Problem) bool {
	return !slices.ContainsFunc(list, func(p Problem) bool { return p.Line <= 1 || p.Column == "" })
}

func (s *set) keep(t *table) {
	if t != nil {
		s.tables[t.file] = t
	}
}

func needed(c *class) []string {
	out := []string{c.key}
	for _, col := range c.columns {
		if col.need {
			out = append(out, col.name)
		}
	}
	return out
}

// bad adds a problem with the place of an object.
func (s *set) bad(class string, id ID, column string, err error) {
	o := s.at[class+" "+id]
	if class == electionClass {
		o = s.electionOrigin(column)
	}
	s.fault(o.file, o.line, cmp.Or(column, "id"), err)
}

// create makes the objects of a table, so that any may refer to any.
func (s *set) create(c *class) {
	t := s.tables[c.file]
	if t == nil || c.name == electionClass {
		return
	}
	kept := t.rows[:0]
	for _, r := range t.rows {
		id := r.cells[c.key]
		if err := s.draft.add(c, id, r.cells); err != nil {
			s.fault(t.file, r.line, cmp.Or(columnOf(c, err), c.key), err)
			s.damaged, s.lostIDs[id] = true, true
			continue
		}
		s.at[c.name+" "+id] = origin{t.file, r.line}
		kept = append(kept, r)
	}
	t.rows = kept
}

// columnOf names the column of an error of creation: only contests and options
// read other columns than their identifier's.
func columnOf(c *class, err error) string {
	f, ok := err.(*fault)
	switch {
	case !ok || strings.HasPrefix(f.rule, "id-") || f.rule == "style-id" || f.rule == "formula":
		return c.key
	case f.rule == "reference":
		return "contest"
	case c.name == optionClass:
		return "kind"
	}
	return "type"
}

// link gives candidates their options, the first of each ticket before the others.
func (s *set) link(c *class) {
	t := s.tables[c.file]
	if t == nil || c.link == nil {
		return
	}
	for _, later := range []bool{false, true} {
		for _, r := range t.rows {
			if (r.cells["ticket_with"] != "") != later {
				continue
			}
			if err := c.link(s.draft, r.cells[c.key], r.cells); err != nil {
				s.fault(t.file, r.line, "contest", err)
				s.damaged = true
			}
		}
	}
}

// fill sets the values of a table's objects.
func (s *set) fill(c *class) {
	t := s.tables[c.file]
	if t == nil {
		return
	}
	for _, r := range t.rows {
		id := r.cells[c.key]
		for i := range c.columns {
			col := &c.columns[i]
			value := r.cells[col.name]
			if value == "" && !col.need && col.name != "votes_allowed" {
				continue
			}
			if err := col.put(s.draft, id, value); err != nil {
				s.bad(c.name, id, col.name, err)
			}
		}
	}
}

// check judges the definition. When tables could not be read in full only
// problems of lines that have none yet are told, and none that what is missing
// may have caused.
func (s *set) check() *election.Definition {
	if s.damaged {
		return nil
	}
	if large := tooLarge(s.def); len(large) > 0 {
		s.list = append(s.list, s.locate(large[0]))
		return nil
	}
	if s.tables["styles.csv"] == nil && len(s.list) == 0 {
		return s.build()
	}
	had, files := map[origin]bool{}, map[string]bool{}
	for _, p := range s.list {
		had[origin{p.File, p.Line}], files[p.File] = true, true
	}
	for _, p := range checkDefinition(s.def) {
		o := s.locate(p)
		follows := o.File == "election.csv" && o.Line == 0 && files[o.File] || o.Rule == "option-empty" && files["parties.csv"]
		if !had[origin{o.File, o.Line}] && !follows {
			s.list = append(s.list, o)
		}
	}
	return s.def
}

// told says whether something is wrong with an object's row already.
func (s *set) told(id ID) bool {
	o, ok := s.origin(s.draft.at[id].class, id)
	return ok && slices.ContainsFunc(s.list, func(p Problem) bool { return p.File == o.file && p.Line == o.line })
}

func checkDefinition(def *election.Definition) (out []Problem) {
	_, bad := def.Check()
	for _, p := range bad {
		if p.Rule == "style-none" && len(def.Elections[0].Styles) == 0 {
			continue // they were not made because something else is wrong
		}
		out = append(out, fromCheck(p))
	}
	return out
}

// build makes the ballot styles of a set that brings none.
func (s *set) build() *election.Definition {
	r := DefaultRules(s.def)
	r.Rotation, r.Alphabet, r.Languages = s.settings.rotation, s.settings.alphabet, s.settings.languages
	built, bad := BuildStyles(s.def, r)
	for _, p := range bad {
		s.list = append(s.list, s.locate(p))
	}
	return built
}

// sortProblems sorts by file, in reading order, then line.
func sortProblems(list []Problem) {
	order := setFiles()
	slices.SortStableFunc(list, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(slices.Index(order, a.File), slices.Index(order, b.File)), cmp.Compare(a.Line, b.Line))
	})
}
