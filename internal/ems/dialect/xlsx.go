package dialect

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strconv"
	"strings"
)

// The parts of a workbook that are read.
const (
	sheetFolder   = "xl/worksheets/"
	sharedStrings = "xl/sharedStrings.xml"
)

// workbook reads the one sheet of a spreadsheet (ECMA-376, Office Open XML) as
// a table of texts. Numbers are taken as they are written in the file, which is
// not how a program shows them; formulas, dates and everything else that is
// computed are not recognised, or refused.
type workbook struct {
	files   *bundle
	in      io.ReadCloser
	bound   *bounded
	dec     *xml.Decoder
	strings []string
	width   int // of the first row: later ones leave out empty cells
}

func isWorkbook(name string) bool { return strings.EqualFold(path.Ext(name), ".xlsx") }

func openWorkbook(fsys fs.FS, p string, n *notes) (*table, error) {
	files, err := openZip(fsys, p)
	if err != nil {
		return nil, err
	}
	files.restart()
	w := &workbook{files: files}
	t := newTable(p, strings.NewReader(""), n)
	t.sheet, t.close = w, w.close
	if err := w.open(p); err != nil {
		w.close()
		return nil, err
	}
	return t, nil
}

func (w *workbook) close() error {
	if w.in != nil {
		w.in.Close()
	}
	return w.files.close()
}

// open reads the shared strings, and goes to the first row of the one sheet.
func (w *workbook) open(p string) error {
	sheet := ""
	for _, name := range w.files.names {
		if path.Dir(name)+"/" != sheetFolder || path.Ext(name) != ".xml" {
			continue
		}
		if sheet != "" {
			return broken(p, ruleXLSX, "the workbook has more than one sheet: save the one with the records alone")
		}
		sheet = name
	}
	if sheet == "" {
		return broken(p, ruleXLSX, "this is no workbook with a sheet")
	}
	if w.files.zip[sharedStrings] != nil {
		if err := w.readStrings(); err != nil {
			return err
		}
	}
	if err := w.start(sheet); err != nil {
		return err
	}
	return w.until("sheetData")
}

// start begins to read a part.
func (w *workbook) start(name string) error {
	in, err := w.files.open(name)
	if err != nil {
		return err
	}
	w.in = in
	w.bound = &bounded{r: in, file: w.files.where(name), limit: maxManifest}
	w.dec = xml.NewDecoder(w.bound)
	return nil
}

// token returns the next token, or io.EOF. Formulas are refused: what they
// would give is not in the file, or old.
func (w *workbook) token() (xml.Token, error) {
	t, err := w.dec.Token()
	if err != nil {
		return nil, w.failed(err)
	}
	switch e := t.(type) {
	case xml.Directive:
		return nil, broken(w.where(), ruleXML, "document types are not read")
	case xml.StartElement:
		if e.Name.Local == "f" {
			return nil, broken(w.where(), ruleXLSX, "a cell holds a formula: save the sheet with values alone")
		}
	}
	return t, nil
}

func (w *workbook) failed(err error) error {
	var syn *xml.SyntaxError
	switch {
	case errors.Is(err, io.EOF), passes(err):
		return err
	case errors.As(err, &syn):
		return broken(w.where(), ruleXML, "this is not well-formed XML")
	case strings.HasPrefix(err.Error(), "xml: "): // another version, or encoding
		return broken(w.where(), ruleXML, "this is not XML 1.0 in UTF-8")
	}
	return w.files.failed(w.where(), err)
}

// early is an end where something must follow, or another error.
func (w *workbook) early(err error) error {
	if errors.Is(err, io.EOF) {
		return broken(w.where(), ruleXML, "the part ends too early")
	}
	return w.failed(err)
}

func (w *workbook) where() string {
	line, column := w.dec.InputPos()
	return fmt.Sprintf("%s line %d column %d", w.bound.file, line, column)
}

// until skips to the beginning of an element.
func (w *workbook) until(name string) error {
	for {
		t, err := w.token()
		if errors.Is(err, io.EOF) {
			return broken(w.where(), ruleXLSX, "the part has no element %s", name)
		}
		if err != nil {
			return err
		}
		if s, ok := t.(xml.StartElement); ok && s.Name.Local == name {
			return nil
		}
	}
}

// readStrings keeps the texts that cells refer to.
func (w *workbook) readStrings() error {
	if err := w.start(sharedStrings); err != nil {
		return err
	}
	defer w.in.Close()
	total := 0
	for {
		t, err := w.token()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if s, ok := t.(xml.StartElement); !ok || s.Name.Local != "si" {
			continue
		}
		w.bound.limit = w.dec.InputOffset() + maxRow + readAhead
		text, err := w.text("si")
		if err != nil {
			return err
		}
		if total += len(text) + 16; total > maxStrings {
			return over(w.bound.file, "the workbook's texts take more than %d MiB: export as CSV", maxStrings>>20)
		}
		w.strings = append(w.strings, text)
	}
}

// text gathers the elements t up to the end of an element; phonetic hints are
// not part of a text.
func (w *workbook) text(end string) (string, error) {
	var b strings.Builder
	in := false
	for {
		t, err := w.token()
		if err != nil {
			return "", w.early(err)
		}
		switch t := t.(type) {
		case xml.StartElement:
			if t.Name.Local == "rPh" {
				if err := w.dec.Skip(); err != nil {
					return "", w.early(err)
				}
				continue
			}
			in = t.Name.Local == "t" || t.Name.Local == "v"
		case xml.EndElement:
			if t.Name.Local == end {
				return b.String(), nil
			}
			in = false
		case xml.CharData:
			if in {
				b.Write(t)
			}
		}
	}
}

// record returns the cells of the next row that is there, or io.EOF.
func (w *workbook) record(t *table) ([]string, error) {
	for {
		tok, err := w.token()
		if err != nil {
			return nil, w.early(err)
		}
		switch e := tok.(type) {
		case xml.EndElement:
			if e.Name.Local == "sheetData" {
				return nil, io.EOF
			}
		case xml.StartElement:
			if e.Name.Local != "row" {
				return nil, broken(w.where(), ruleXLSX, "only rows may stand in a sheet's data")
			}
			return w.row(t, e)
		}
	}
}

func (w *workbook) row(t *table, e xml.StartElement) ([]string, error) {
	w.bound.limit = w.dec.InputOffset() + 4*maxRow + readAhead
	t.line = t.next
	if r := attribute(e, "r"); r != "" {
		n, ok := number(r, 1<<24)
		if !ok || n < t.next {
			return nil, broken(w.where(), ruleXLSX, "a row's number is not above that of the row before")
		}
		t.line = n
	}
	t.next = t.line + 1
	t.cells = t.cells[:0]
	for {
		tok, err := w.token()
		if err != nil {
			return nil, w.early(err)
		}
		switch e := tok.(type) {
		case xml.EndElement:
			return w.pad(t), nil
		case xml.StartElement:
			if err := w.cell(t, e); err != nil {
				return nil, err
			}
		}
	}
}

// pad gives a row the width of the first one.
func (w *workbook) pad(t *table) []string {
	if w.width == 0 {
		w.width = len(t.cells)
	}
	for len(t.cells) < max(w.width, 1) {
		t.cells = append(t.cells, "")
	}
	return t.cells
}

// cell reads a cell to its place; those before it that are left out are empty.
func (w *workbook) cell(t *table, e xml.StartElement) error {
	if e.Name.Local != "c" {
		return t.broken(0, ruleXLSX, "only cells may stand in a row")
	}
	column := len(t.cells) + 1
	if r := attribute(e, "r"); r != "" {
		n, ok := columnNumber(strings.TrimRight(r, "0123456789"))
		if !ok || n < column {
			return t.broken(column, ruleXLSX, "a cell's column is not to the right of the cell before")
		}
		column = n
	}
	if column > maxColumns {
		return over(t.where(0), "more than %d cells in one record", maxColumns)
	}
	for len(t.cells) < column-1 {
		t.cells = append(t.cells, "")
	}
	raw, err := w.text("c")
	if err != nil {
		return err
	}
	text, err := w.value(t, column, attribute(e, "t"), raw)
	t.cells = append(t.cells, text)
	return err
}

// value is the text of a cell of a type.
func (w *workbook) value(t *table, column int, kind, raw string) (string, error) {
	switch kind {
	case "s":
		i, err := strconv.Atoi(raw)
		if err != nil || i < 0 || i >= len(w.strings) {
			return "", t.broken(column, ruleXLSX, "the cell refers to a text that is not in the workbook")
		}
		return w.strings[i], nil
	case "", "n", "inlineStr", "str":
		return raw, nil
	}
	return "", t.broken(column, ruleXLSX, "the cell holds neither a text nor a number")
}

func attribute(e xml.StartElement, name string) string {
	for _, a := range e.Attr {
		if a.Name.Local == name && a.Name.Space == "" {
			return a.Value
		}
	}
	return ""
}

// columnNumber reads the letters of a cell's place: A is 1, AA is 27.
func columnNumber(s string) (int, bool) {
	n := 0
	for i := range len(s) {
		if s[i] < 'A' || s[i] > 'Z' || i > 3 {
			return 0, false
		}
		n = 26*n + int(s[i]-'A') + 1
	}
	return n, n > 0
}
