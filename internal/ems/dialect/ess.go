package dialect

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"
)

// The columns before the contests of an ES&S file of cast vote records.
const essColumns = "|Election ID|Audit Number|Tabulator CVR|Cast Vote Record|Batch|Ballot Status|Precinct|Ballot Style|Machine|Reporting Group|"

const essRecord = "Cast Vote Record"

// essRanked is how a column for one rank of a ranked contest is headed. An
// overvote there would be one of a rank, which the neutral stream cannot say.
var essRanked = regexp.MustCompile(`(?i)\b(1st|2nd|3rd|\d+th) choice\b|\bchoice \d+\b`)

// ess is one export: files of cast vote records, and lists of ballots that say
// in which batch and by which machine each was read.
type ess struct {
	fsys    fs.FS
	path    string
	notes   *notes
	records []string // files
	listed  *essList // nil without lists

	contests []Contest
	index    map[string]int // contest's name
	known    []map[string]int
	choices  int
}

func openESS(fsys fs.FS, p string, n *notes) (reader, error) {
	files, err := csvFiles(fsys, p, n)
	if err != nil {
		return nil, err
	}
	e := &ess{fsys: fsys, path: p, notes: n}
	var lists []string
	for _, f := range files {
		list, err := isEssList(fsys, f)
		if err != nil {
			return nil, err
		}
		if list {
			lists = append(lists, f)
		} else {
			e.records = append(e.records, f)
		}
	}
	if len(e.records) == 0 {
		return nil, broken(p, ruleFileMissing, "there is no file of cast vote records, only lists of ballots")
	}
	if len(lists) == 0 {
		n.add(p, ListMissing)
		return e, nil
	}
	e.listed = newEssList()
	for _, f := range lists {
		if err := e.listed.read(fsys, f, n); err != nil {
			return nil, err
		}
	}
	return e, nil
}

func (e *ess) close() error { return nil }

// csvFiles returns a file, or the tables of a folder.
func csvFiles(fsys fs.FS, p string, n *notes) ([]string, error) {
	st, err := fs.Stat(fsys, p)
	if err != nil {
		return nil, fmt.Errorf("cannot open %q: %w", p, err)
	}
	if !st.IsDir() {
		return []string{p}, refuseSpreadsheet(p)
	}
	entries, err := readDir(fsys, p)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, d := range entries {
		name := path.Join(p, d.Name())
		if err := refuseSpreadsheet(name); err != nil {
			return nil, err
		}
		if d.IsDir() || !strings.EqualFold(path.Ext(name), ".csv") && !isWorkbook(name) {
			n.add(name, FileIgnored)
			continue
		}
		out = append(out, name)
	}
	if len(out) == 0 {
		return nil, broken(p, ruleFileMissing, "the folder has no CSV and no .xlsx file")
	}
	return out, nil
}

// refuseSpreadsheet refuses the forms of spreadsheets that are not read.
func refuseSpreadsheet(name string) error {
	switch strings.ToLower(path.Ext(name)) {
	case ".xls", ".xlsm", ".xlsb", ".ods":
		return broken(name, ruleXLSX, "this form of spreadsheet is not read: save it as .xlsx or CSV")
	}
	return nil
}

// essSheet is a file of cast vote records whose header was read.
type essSheet struct {
	table *table
	cols  *columns
	first int
	// contest of each column from first on; neighbours may have the same.
	contest []int
}

func (e *ess) open(file string) (*essSheet, error) {
	t, err := openTable(e.fsys, file, e.notes)
	if err != nil {
		return nil, err
	}
	s, err := e.header(t)
	if err != nil {
		t.close()
		return nil, err
	}
	return s, nil
}

func (e *ess) header(t *table) (*essSheet, error) {
	head, err := t.must("its header")
	if err != nil {
		return nil, err
	}
	s := &essSheet{table: t}
	for i, h := range head {
		if strings.Contains(essColumns, "|"+strings.TrimSpace(h)+"|") {
			s.first = i + 1
		}
	}
	if s.cols, err = newColumns(t, head[:s.first], essColumns); err != nil {
		return nil, err
	}
	if err := s.cols.need(essRecord); err != nil {
		return nil, err
	}
	s.cols.miss("Precinct", "Ballot Style")
	return s, e.headings(s, head[s.first:])
}

// headings finds the contests of a file's columns. A contest of which several
// can be chosen has as many columns, side by side, with the same heading or,
// after the first, without one.
func (e *ess) headings(s *essSheet, head []string) error {
	count := map[int]int{}
	open := map[int]bool{} // contests with columns without heading
	for i, h := range head {
		column := s.first + i + 1
		name, err := s.table.name(column, h)
		if err != nil {
			return err
		}
		k := -1
		if name != "" {
			k, err = e.heading(s, column, name, count)
		} else if i > 0 {
			k = s.contest[i-1]
			open[k] = true
			s.table.note(column, HeadingEmpty)
		} else {
			err = s.table.broken(column, ruleContestHeader, "the column has no heading")
		}
		if err != nil {
			return err
		}
		s.contest = append(s.contest, k)
		count[k]++
	}
	return e.seats(s, count, open)
}

// heading returns the contest that a column's heading names.
func (e *ess) heading(s *essSheet, column int, name string, count map[int]int) (int, error) {
	if essRanked.MatchString(name) {
		return 0, s.table.broken(column, ruleRanked, "ranked contests are not read from this format")
	}
	k, err := e.contestNamed(name, s.table.where(column))
	if err != nil {
		return 0, err
	}
	if n := len(s.contest); count[k] > 0 && s.contest[n-1] != k {
		return 0, s.table.broken(column, ruleHeaderRepeated, "two columns that are not neighbours have the same heading")
	}
	return k, nil
}

// seats sets the votes allowed of contests with several headed columns;
// otherwise the file does not say.
func (e *ess) seats(s *essSheet, count map[int]int, open map[int]bool) error {
	for k, n := range count {
		c := &e.contests[k]
		if n > maxVotes {
			return s.table.broken(0, ruleVotesAllowed, "a contest has more than %d columns", maxVotes)
		}
		if n == 1 || open[k] {
			continue
		}
		if c.VotesAllowed != 0 && c.VotesAllowed != n {
			return s.table.broken(0, ruleVotesAllowed, "the contest %q has another number of columns in an earlier file", c.Name)
		}
		c.VotesAllowed = n
	}
	return nil
}

func (e *ess) contestNamed(name, where string) (int, error) {
	if k, ok := e.index[name]; ok {
		return k, nil
	}
	if len(e.contests) == maxContests {
		return 0, over(where, "more than %d contests", maxContests)
	}
	e.index[name] = len(e.contests)
	e.contests = append(e.contests, Contest{Name: name})
	e.known = append(e.known, map[string]int{})
	return e.index[name], nil
}

// catalogue reads everything: the choices are those that somebody chose.
func (e *ess) catalogue(ctx context.Context) (*Catalogue, error) {
	e.contests, e.index, e.known, e.choices = nil, map[string]int{}, nil, 0
	sv := newSurvey()
	err := e.each(ctx, func(s *essSheet, cells []string) error {
		b, err := e.labels(s, cells)
		if err != nil {
			return err
		}
		if err := sv.add(b, e.path); err != nil {
			return err
		}
		return e.learn(s, cells)
	})
	if err != nil {
		return nil, err
	}
	e.number()
	cat := &Catalogue{Contests: e.contests}
	sv.into(cat)
	return cat, nil
}

// learn adds the choices of one record.
func (e *ess) learn(s *essSheet, cells []string) error {
	for i, k := range s.contest {
		column := s.first + i + 1
		name, err := s.table.name(column, cells[column-1])
		if err != nil {
			return err
		}
		if name == "" || s.word(column, name) != "" {
			continue
		}
		if _, ok := e.known[k][name]; ok {
			continue
		}
		if e.choices++; e.choices > maxChoices {
			return over(s.table.where(column), "more than %d choices", maxChoices)
		}
		e.known[k][name] = 0
	}
	return nil
}

// number orders each contest's choices by name, which no record can influence.
func (e *ess) number() {
	for k := range e.contests {
		c := &e.contests[k]
		for name := range e.known[k] {
			c.Choices = append(c.Choices, Choice{Name: name, WriteIn: isWriteIn(name)})
		}
		slices.SortFunc(c.Choices, func(a, b Choice) int { return cmp.Compare(a.Name, b.Name) })
		for i, x := range c.Choices {
			e.known[k][x.Name] = i
		}
	}
}

// word recognises the two words that stand for no choice.
func (s *essSheet) word(column int, cell string) string {
	for _, w := range []string{"undervote", "overvote"} {
		if cell == w {
			return w
		}
		if strings.EqualFold(cell, w) {
			s.table.note(column, WordCase)
			return w
		}
	}
	return ""
}

func (e *ess) each(ctx context.Context, visit func(*essSheet, []string) error) error {
	if e.listed != nil {
		e.listed.restart()
	}
	for _, file := range e.records {
		if err := e.file(ctx, file, visit); err != nil {
			return err
		}
	}
	if e.listed != nil {
		return e.listed.complete(e.path)
	}
	return nil
}

func (e *ess) file(ctx context.Context, file string, visit func(*essSheet, []string) error) error {
	s, err := e.open(file)
	if err != nil {
		return err
	}
	defer s.table.close()
	return s.table.rows(ctx, s.first+len(s.contest), func(cells []string) error { return visit(s, cells) })
}

func (e *ess) ballots(ctx context.Context, emit func(*Ballot) error) error {
	return e.each(ctx, func(s *essSheet, cells []string) error {
		b, err := e.labels(s, cells)
		if err != nil {
			return err
		}
		v := Version{Kind: Original, Current: true}
		if v.Contests, err = e.marks(s, cells); err != nil {
			return err
		}
		b.Versions = []Version{v}
		return emit(b)
	})
}

// labels reads what stands before the contests, and the ballot's place in the
// lists.
func (e *ess) labels(s *essSheet, cells []string) (*Ballot, error) {
	b := &Ballot{}
	var err error
	if b.ID, err = s.cols.required(cells, essRecord); err != nil {
		return nil, err
	}
	var status, scan string
	err = s.cols.texts(cells, into{"Precinct", &b.Precinct.Name}, into{"Ballot Style", &b.Style.Name}, into{"Batch", &b.Batch},
		into{"Machine", &b.Device}, into{"Reporting Group", &b.Method.Name}, into{"Ballot Status", &status}, into{"Tabulator CVR", &scan})
	if err != nil {
		return nil, err
	}
	s.table.note(0, OrderInID)
	if status != "" {
		s.table.note(0, StatusIgnored)
	}
	if device, imprint := essScan(scan); scan != "" {
		b.ImprintedID = imprint
		b.Device = cmp.Or(b.Device, device)
	}
	if e.listed != nil {
		err = e.listed.complement(b, s.table)
	}
	return b, err
}

// marks reads the contests of one record.
func (e *ess) marks(s *essSheet, cells []string) ([]Marks, error) {
	var out []Marks
	for i := 0; i < len(s.contest); {
		k := s.contest[i]
		m := Marks{Contest: k}
		on := false
		for ; i < len(s.contest) && s.contest[i] == k; i++ {
			some, err := e.mark(&m, s, s.first+i+1, cells[s.first+i])
			if err != nil {
				return nil, err
			}
			on = on || some
		}
		if on {
			m.judge(e.contests[k])
			out = append(out, m)
		}
	}
	return out, nil
}

// mark reads one cell, and says whether there was anything in it.
func (e *ess) mark(m *Marks, s *essSheet, column int, cell string) (bool, error) {
	name, err := s.table.name(column, cell)
	if err != nil || name == "" {
		return false, err
	}
	switch s.word(column, name) {
	case "undervote":
		m.Undervoted = true
		return true, nil
	case "overvote":
		m.Overvoted = true
		return true, nil
	}
	choice, ok := e.known[m.Contest][name]
	if !ok {
		return false, errors.New("the file was changed while it was read")
	}
	m.Marks = append(m.Marks, Mark{Choice: choice, Votes: 1})
	return true, nil
}

// isEssList tells a list of ballots from a file of cast vote records by its
// first record.
func isEssList(fsys fs.FS, file string) (bool, error) {
	t, err := openTable(fsys, file, newNotes())
	if err != nil {
		return false, err
	}
	defer t.close()
	head, err := t.read()
	if errors.Is(err, io.EOF) {
		return false, broken(file, ruleHeader, "the file is empty")
	}
	if err != nil {
		return false, err
	}
	if strings.TrimSpace(head[0]) == "Ballots" {
		return true, nil
	}
	return slices.ContainsFunc(head, func(h string) bool {
		return strings.TrimSpace(h) == "Results Report" || strings.TrimSpace(h) == "Original Ballot Exception"
	}), nil
}
