package define

import (
	"bytes"
	"encoding/csv"
	"errors"
	"io"
	"slices"
	"strings"
	"unicode/utf8"
)

// The budgets of a CSV set.
const (
	// MaxFile is the most bytes of one table.
	MaxFile = 4 << 20
	// MaxRows is the most rows of one table.
	MaxRows = 50_000
	// maxCell is the most bytes of one cell: the text of a long measure.
	maxCell = 256 << 10
)

// table is one file of a CSV set.
type table struct {
	file    string
	columns []string
	rows    []row
}

// row is one row, with the line where it begins.
type row struct {
	line  int
	cells map[string]string // by column; empty cells are not there
}

// problems collects what is wrong with a set.
type problems struct {
	list []Problem
	// lost are the classes whose tables could not be read, and lostIDs objects
	// whose rows could not be: that nothing is found there is no second problem.
	lost    map[string]bool
	lostIDs map[ID]bool
}

func newProblems() *problems { return &problems{lost: map[string]bool{}, lostIDs: map[ID]bool{}} }

func (p *problems) add(file string, line int, column, rule, text string) {
	if len(p.list) < maxProblems {
		p.list = append(p.list, Problem{Severity: Error, File: file, Line: line, Column: column, Rule: rule, Text: text})
	}
}

// fault adds an error as a problem.
func (p *problems) fault(file string, line int, column string, err error) {
	rule := "value"
	if f := (*fault)(nil); errors.As(err, &f) {
		rule = f.rule
		if rule == "reference" && (p.lost[f.class] || p.lostIDs[f.id] || f.class == "object" && len(p.lost) > 0) {
			return
		}
	}
	p.add(file, line, column, rule, err.Error())
}

// readTable reads a table whose columns are known; need are those that must be there.
func readTable(p *problems, file string, data []byte, known, need []string) *table {
	data, ok := plain(p, file, data)
	if !ok {
		return nil
	}
	r := csv.NewReader(bytes.NewReader(data))
	r.FieldsPerRecord = -1
	head, err := r.Read()
	if err != nil {
		if errors.Is(err, io.EOF) {
			p.add(file, 0, "", "csv-empty", "the file is empty: its first line must name the columns")
		} else {
			p.csv(file, err)
		}
		return nil
	}
	t := &table{file: file, columns: head}
	if !p.header(t, known, need) {
		return nil
	}
	t.read(p, r)
	return t
}

// plain checks the encoding. A byte order mark is accepted: spreadsheets write one.
func plain(p *problems, file string, data []byte) ([]byte, bool) {
	switch {
	case len(data) > MaxFile:
		p.add(file, 0, "", "over-limit", "a table may have 4 MiB")
		return nil, false
	case bytes.HasPrefix(data, []byte("\xff\xfe")) || bytes.HasPrefix(data, []byte("\xfe\xff")):
		p.add(file, 1, "", "csv-encoding", "the file is UTF-16: save it as \"CSV UTF-8\"")
		return nil, false
	case bytes.HasPrefix(data, []byte("PK\x03\x04")):
		p.add(file, 1, "", "csv-encoding", "the file is a workbook: save its sheet as \"CSV UTF-8\"")
		return nil, false
	}
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	n, bad := 0, 0
	for line := range bytes.Lines(data) {
		n++
		if !utf8.Valid(line) || bytes.IndexByte(line, 0) >= 0 {
			p.add(file, n, "", "csv-encoding", "the line is not UTF-8 text: save the file as \"CSV UTF-8\"")
			if bad++; bad == 10 {
				break
			}
		}
	}
	return data, bad == 0
}

// header checks the names of the columns.
func (p *problems) header(t *table, known, need []string) bool {
	before := len(p.list)
	if len(t.columns) == 1 && strings.ContainsAny(t.columns[0], ";\t") {
		p.add(t.file, 1, "", "csv-separator", "the columns are not separated by commas: save the file as \"CSV UTF-8 (comma delimited)\"")
		return false
	}
	seen := map[string]bool{}
	for _, name := range t.columns {
		switch {
		case name == "":
			p.add(t.file, 1, "", "column-unnamed", "a column has no name: name it, or delete it in the spreadsheet")
		case !slices.Contains(known, name):
			p.add(t.file, 1, name, "column-unknown", "this table has no such column; it has: "+strings.Join(known, ", "))
		case seen[name]:
			p.add(t.file, 1, name, "column-repeated", "the column stands there twice")
		}
		seen[name] = true
	}
	for _, name := range need {
		if !seen[name] {
			p.add(t.file, 1, name, "column-missing", "the table needs this column")
		}
	}
	return len(p.list) == before
}

// read reads the rows; a row whose cells are all empty is none.
func (t *table) read(p *problems, r *csv.Reader) {
	for {
		cells, err := r.Read()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			p.csv(t.file, err)
			return // where the next row begins is not known
		}
		line, _ := r.FieldPos(0)
		if !slices.ContainsFunc(cells, func(s string) bool { return s != "" }) {
			continue
		}
		if len(t.rows) == MaxRows {
			p.add(t.file, line, "", "over-limit", "a table may have 50000 rows")
			return
		}
		if len(cells) != len(t.columns) {
			p.add(t.file, line, "", "csv-cells", "the row has more or fewer cells than the header: a comma or a quotation mark too many or too few")
			continue
		}
		t.row(p, line, cells)
	}
}

func (t *table) row(p *problems, line int, cells []string) {
	out := row{line: line, cells: map[string]string{}}
	for i, v := range cells {
		if v == "" {
			continue
		}
		if err := checkCell(v); err != nil {
			p.fault(t.file, line, t.columns[i], err)
			continue
		}
		out.cells[t.columns[i]] = v
	}
	t.rows = append(t.rows, out)
}

func checkCell(v string) error {
	switch {
	case len(v) > maxCell:
		return faultf("over-limit", "a cell may have 256 KiB")
	case !utf8.ValidString(v):
		return faultf("csv-encoding", "the text is not UTF-8")
	case strings.TrimSpace(v) != v:
		return faultf("cell-space", "there is white space before or after the text: take it out")
	case strings.ContainsFunc(v, func(r rune) bool { return r < ' ' && r != '\n' && r != '\t' || r == 0x7f }):
		return faultf("cell-control", "there is a control character in the cell: take it out")
	}
	return formula(v)
}

func (p *problems) csv(file string, err error) {
	if e := (*csv.ParseError)(nil); errors.As(err, &e) {
		p.add(file, e.StartLine, "", "csv-quotes", "a quotation mark stands where it must not, or one is missing: text with commas or quotation marks stands between two, and those within are doubled")
		return
	}
	p.add(file, 0, "", "csv-quotes", err.Error())
}

// format writes the table as it is read: comma, CRLF (RFC 4180), no byte order mark.
func (t *table) format() ([]byte, error) {
	var b bytes.Buffer
	w := csv.NewWriter(&b)
	w.UseCRLF = true
	lines := [][]string{t.columns}
	for _, r := range t.rows {
		cells := make([]string, len(t.columns))
		for i, c := range t.columns {
			cells[i] = r.cells[c]
		}
		lines = append(lines, cells)
	}
	err := w.WriteAll(lines)
	return b.Bytes(), err
}
