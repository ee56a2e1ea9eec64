package rla

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/csv"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"
)

// column is what a form knows of one of its columns.
type column struct {
	name     string
	kind     kind
	required bool // the file must have the column
	optional bool // its cells may be empty
	key      bool // its value, with the other keys of the row, is unique
}

// form is one kind of file.
type form struct {
	columns []column
	rest    *column // the shape of columns with headers of their own; nil refuses them
}

// table reads one file of a form, row by row.
type table struct {
	form     form
	file     string
	csv      *csv.Reader
	in       *budget
	heads    []column // in the order of the file
	trailing int      // columns without header at the end, which must be empty
	seen     map[string]int
	totals   []runningTotal
	rows     int
	line     int
}

// runningTotal watches for a last row that is the sum of the others.
type runningTotal struct{ before, last, count int }

// row is one row that has kept the rules.
type row struct {
	t     *table
	cells []cell
}

type cell struct {
	text   string
	number int
	yes    bool
}

// readTable calls each for every row, and returns the SHA-256 of the file's
// bytes in hexadecimal.
func readTable(file string, r io.Reader, f form, each func(*row) error) (string, error) {
	hash := sha256.New()
	in := &budget{file: file, r: io.TeeReader(r, hash)}
	head := bufio.NewReader(in)
	if err := skipMark(file, head); err != nil {
		return "", err
	}
	t := &table{form: f, file: file, csv: csv.NewReader(head), in: in, seen: map[string]int{}}
	t.csv.FieldsPerRecord = -1
	if err := t.readHeaders(); err != nil {
		return "", err
	}
	for {
		row, err := t.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return "", err
		}
		if row == nil {
			continue
		}
		if err := each(row); err != nil {
			return "", err
		}
	}
	if err := t.end(); err != nil {
		return "", err
	}
	return hex.EncodeToString(hash.Sum(nil)), nil
}

// skipMark passes over the byte order mark that Excel writes before UTF-8.
func skipMark(file string, r *bufio.Reader) error {
	first, err := r.Peek(3)
	switch {
	case bytes.Equal(first, []byte("\xef\xbb\xbf")):
		_, err = r.Discard(3)
		return err
	case bytes.HasPrefix(first, []byte("\xff\xfe")), bytes.HasPrefix(first, []byte("\xfe\xff")):
		return &Problem{File: file, Line: 1, Column: 1, Rule: RuleUTF8, Detail: "the file is UTF-16"}
	case len(first) == 0 && errors.Is(err, io.EOF):
		return &Problem{File: file, Rule: RuleNoRows, Detail: "the file is empty"}
	case err != nil && !errors.Is(err, io.EOF):
		return readFailed(file, err)
	}
	return nil
}

func readFailed(file string, err error) error {
	var p *Problem
	if errors.As(err, &p) {
		return p
	}
	return fmt.Errorf("cannot read %s: %w", file, err)
}

// record reads the cells of one row, without surrounding white space.
func (t *table) record() ([]string, error) {
	t.in.allow()
	rec, err := t.csv.Read()
	if err != nil {
		return nil, t.csvError(err)
	}
	t.line, _ = t.csv.FieldPos(0)
	for i, s := range rec {
		if !utf8.ValidString(s) {
			return nil, t.at(i, RuleUTF8, "the cell is not UTF-8")
		}
		rec[i] = strings.TrimSpace(s)
	}
	return rec, nil
}

func (t *table) csvError(err error) error {
	var parse *csv.ParseError
	switch {
	case errors.Is(err, io.EOF):
		return io.EOF
	case errors.As(err, &parse):
		return &Problem{File: t.file, Line: parse.Line, Column: parse.Column, Rule: RuleQuotes, Detail: parse.Err.Error()}
	}
	return readFailed(t.file, err)
}

// at makes a problem of the cell i of the row that was read last.
func (t *table) at(i int, rule Rule, detail string, args ...any) *Problem {
	p := t.atRow(rule, detail, args...)
	_, p.Column = t.csv.FieldPos(i)
	if i < len(t.heads) {
		p.Field = t.heads[i].name
	}
	return p
}

func (t *table) atRow(rule Rule, detail string, args ...any) *Problem {
	return &Problem{File: t.file, Line: t.line, Rule: rule, Detail: fmt.Sprintf(detail, args...)}
}

func (t *table) readHeaders() error {
	rec, err := t.record()
	if errors.Is(err, io.EOF) {
		return &Problem{File: t.file, Rule: RuleNoRows, Detail: "the file has no headers"}
	}
	if err != nil {
		return err
	}
	if len(rec) > maxColumns {
		return t.atRow(RuleLimit, "%d columns, the limit is %d", len(rec), maxColumns)
	}
	for len(rec) > 0 && rec[len(rec)-1] == "" {
		rec, t.trailing = rec[:len(rec)-1], t.trailing+1
	}
	if len(rec) == 1 && strings.ContainsAny(rec[0], ";\t|") {
		return t.at(0, RuleDelimiter, "the headers are not separated by commas")
	}
	for i, name := range rec {
		if err := t.header(i, name); err != nil {
			return err
		}
	}
	t.totals = make([]runningTotal, len(t.heads))
	return t.haveAll()
}

// header finds the column that a header names; case does not matter.
func (t *table) header(i int, name string) error {
	if rule, detail := badText(name, maxCell); rule != "" {
		return t.at(i, rule, "%s", detail)
	}
	known := slices.IndexFunc(t.form.columns, func(c column) bool { return strings.EqualFold(c.name, name) })
	var col column
	switch {
	case known >= 0:
		col = t.form.columns[known]
	case t.form.rest != nil:
		col = *t.form.rest
		col.name = name
	default:
		return t.at(i, RuleUnexpected, "%s is no column of this form; it has %s", quote(name), t.form.names())
	}
	if slices.ContainsFunc(t.heads, func(c column) bool { return c.name == col.name }) {
		return t.at(i, RuleHeader, "the header %s stands twice", quote(col.name))
	}
	t.heads = append(t.heads, col)
	return nil
}

func (t *table) haveAll() error {
	for _, c := range t.form.columns {
		if c.required && !t.has(c.name) {
			return t.atRow(RuleMissing, "the column %s is missing", quote(c.name))
		}
	}
	return nil
}

func (f form) names() string {
	var names []string
	for _, c := range f.columns {
		names = append(names, c.name)
	}
	return strings.Join(names, ", ")
}

func (t *table) has(name string) bool { return t.index(name) >= 0 }

func (t *table) index(name string) int {
	return slices.IndexFunc(t.heads, func(c column) bool { return c.name == name })
}

// next returns the next row, nil for one that is empty, or io.EOF.
func (t *table) next() (*row, error) {
	rec, err := t.record()
	if err != nil {
		return nil, err
	}
	if want := len(t.heads) + t.trailing; len(rec) != want {
		return nil, t.atRow(RuleCellCount, "%d cells below %d headers", len(rec), want)
	}
	if !slices.ContainsFunc(rec, func(s string) bool { return s != "" }) {
		return nil, nil
	}
	if t.rows++; t.rows > maxRows {
		return nil, t.atRow(RuleLimit, "more than %d rows", maxRows)
	}
	for i, s := range rec[len(t.heads):] {
		if s != "" {
			return nil, t.at(len(t.heads)+i, RuleTrailing, "a value below no header")
		}
	}
	row := &row{t: t, cells: make([]cell, len(t.heads))}
	for i := range t.heads {
		if err := t.fill(row, i, rec[i]); err != nil {
			return nil, err
		}
	}
	return row, t.unique(row)
}

// fill checks one cell and keeps its value.
func (t *table) fill(r *row, i int, s string) error {
	col := t.heads[i]
	if s == "" {
		if !col.optional {
			return t.at(i, RuleEmpty, "the cell is empty")
		}
		return nil
	}
	if isTotal(s) {
		return t.at(i, RuleTotalRow, "the row looks like a total")
	}
	c, rule, detail := col.kind.parse(s)
	if rule != "" {
		return t.at(i, rule, "%s", detail)
	}
	r.cells[i] = c
	if col.kind == number {
		sum := &t.totals[i]
		*sum = runningTotal{before: sum.before + sum.last, last: c.number, count: sum.count + 1}
	}
	return nil
}

// unique refuses a second row with the same key.
func (t *table) unique(r *row) error {
	var key strings.Builder
	for i, c := range t.heads {
		if c.key {
			key.WriteString(r.cells[i].text)
			key.WriteByte(0)
		}
	}
	if key.Len() == 0 {
		return nil
	}
	if line, ok := t.seen[key.String()]; ok {
		return t.atRow(RuleDuplicate, "the row has the names of line %d: %s", line, quote(strings.ReplaceAll(strings.TrimSuffix(key.String(), "\x00"), "\x00", ", ")))
	}
	t.seen[key.String()] = t.line
	return nil
}

// end holds what can be judged only when all rows are known.
func (t *table) end() error {
	if t.rows == 0 {
		return &Problem{File: t.file, Rule: RuleNoRows, Detail: "there are no rows below the headers"}
	}
	numbers, sums := 0, 0
	for _, sum := range t.totals {
		if sum.count > 0 {
			numbers++
		}
		if sum.count > 0 && sum.last != 0 && sum.before == sum.last {
			sums++
		}
	}
	if t.rows > 2 && numbers > 0 && sums == numbers {
		return t.atRow(RuleTotalRow, "the last row is the sum of all others")
	}
	return nil
}

// text returns the text of a column, "" when the file does not have it.
func (r *row) text(name string) string { return r.cell(name).text }

func (r *row) number(name string) int { return r.cell(name).number }

func (r *row) yes(name string) bool { return r.cell(name).yes }

func (r *row) cell(name string) cell {
	if i := r.t.index(name); i >= 0 {
		return r.cells[i]
	}
	return cell{}
}

// problem makes a problem of a cell of this row.
func (r *row) problem(name string, rule Rule, detail string, args ...any) *Problem {
	return r.t.at(r.t.index(name), rule, detail, args...)
}
