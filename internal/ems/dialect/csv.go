package dialect

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"unicode/utf8"
)

// table reads a workbook's sheet, or comma-separated values as vendors write
// them: RFC 4180 with either line end, and cells written ="…" for spreadsheets. The standard
// library's reader cannot: it has no budget for a record, and reads such cells
// only in a mode that accepts much else.
type table struct {
	file  string
	in    *bufio.Reader
	close func() error
	notes *notes
	sheet *workbook // instead of in

	line  int // of the record that was read last, from 1
	next  int // line after it
	buf   []byte
	ends  []int // where each cell of buf ends
	cells []string
}

func openTable(fsys fs.FS, path string, n *notes) (*table, error) {
	if isWorkbook(path) {
		return openWorkbook(fsys, path, n)
	}
	f, err := fsys.Open(path)
	if err != nil {
		return nil, fmt.Errorf("cannot open %q: %w", path, err)
	}
	t := newTable(path, f, n)
	t.close = f.Close
	if err := t.begin(); err != nil {
		f.Close()
		return nil, err
	}
	return t, nil
}

func newTable(file string, r io.Reader, n *notes) *table {
	return &table{file: file, in: bufio.NewReaderSize(r, 64<<10), notes: n, next: 1, close: func() error { return nil }}
}

// begin skips a byte order mark.
func (t *table) begin() error {
	head, err := t.in.Peek(3)
	if err != nil && !errors.Is(err, io.EOF) {
		return t.failed(err)
	}
	switch s := string(head); {
	case s == "\xef\xbb\xbf":
		t.notes.add(t.file, ByteOrderMark)
		_, err := t.in.Discard(3)
		return err
	case strings.HasPrefix(s, "\xff\xfe"), strings.HasPrefix(s, "\xfe\xff"):
		return broken(t.file, ruleEncoding, "this is UTF-16 text: save the export as UTF-8")
	}
	return nil
}

// read returns the cells of the next record that is not blank, or io.EOF. The
// slice is valid until the next call, the strings for good.
func (t *table) read() ([]string, error) {
	for {
		cells, err := t.record()
		if err != nil {
			return nil, err
		}
		if cells[0] == "" && (len(cells) == 1 || t.sheet != nil && blank(cells)) {
			t.note(0, BlankLine)
			continue
		}
		return cells, nil
	}
}

func (t *table) record() ([]string, error) {
	if t.sheet != nil {
		return t.sheet.record(t)
	}
	t.buf, t.ends, t.line = t.buf[:0], t.ends[:0], t.next
	if _, err := t.in.Peek(1); err != nil {
		return nil, t.failed(err) // io.EOF: this is the end
	}
	for more := true; more; {
		if len(t.ends) == maxColumns {
			return nil, over(t.where(0), "more than %d cells in one record", maxColumns)
		}
		var err error
		if more, err = t.cell(); err != nil {
			return nil, err
		}
		t.ends = append(t.ends, len(t.buf))
	}
	text := string(t.buf)
	if !utf8.ValidString(text) || strings.IndexByte(text, 0) >= 0 {
		return nil, t.broken(0, ruleEncoding, "this is not UTF-8 text: save the export as UTF-8")
	}
	t.cells = t.cells[:0]
	from := 0
	for _, to := range t.ends {
		t.cells = append(t.cells, text[from:to])
		from = to
	}
	return t.cells, nil
}

// cell reads one cell into buf, and says whether another one follows.
func (t *table) cell() (more bool, err error) {
	c, err := t.byte()
	switch {
	case err != nil:
		return false, t.end(err)
	case c == '"':
		if err := t.quoted(); err != nil {
			return false, err
		}
		t.unwrap()
		return t.delimiter()
	case c == '=':
		if next, _ := t.in.Peek(1); len(next) == 1 && next[0] == '"' {
			_, _ = t.in.Discard(1)
			t.note(len(t.ends)+1, ExcelCell)
			if err := t.quoted(); err != nil {
				return false, err
			}
			return t.delimiter()
		}
	}
	return t.bare(c)
}

// bare reads a cell without quotes, whose first byte is c.
func (t *table) bare(c byte) (more bool, err error) {
	for {
		switch c {
		case ',':
			return true, nil
		case '\n':
			t.next++
			return false, nil
		case '\r':
			return false, t.lineFeed()
		case '"':
			return false, t.broken(len(t.ends)+1, ruleQuote, "a quotation mark stands inside a cell without quotes")
		}
		if err := t.put(c); err != nil {
			return false, err
		}
		if c, err = t.byte(); err != nil {
			return false, t.end(err)
		}
	}
}

// quoted reads up to the closing quotation mark.
func (t *table) quoted() error {
	for {
		c, err := t.byte()
		if err != nil {
			return t.broken(len(t.ends)+1, ruleQuote, "the file ends inside a quoted cell")
		}
		if c == '"' {
			if next, _ := t.in.Peek(1); len(next) == 0 || next[0] != '"' {
				return nil
			}
			_, _ = t.in.Discard(1)
		}
		if c == '\n' {
			t.next++
		}
		if err := t.put(c); err != nil {
			return err
		}
	}
}

// unwrap takes the text out of a quoted cell ="…".
func (t *table) unwrap() {
	from := 0
	if n := len(t.ends); n > 0 {
		from = t.ends[n-1]
	}
	if s := t.buf[from:]; len(s) >= 3 && s[0] == '=' && s[1] == '"' && s[len(s)-1] == '"' {
		t.note(len(t.ends)+1, ExcelCell)
		t.buf = append(t.buf[:from], s[2:len(s)-1]...)
	}
}

// delimiter reads what must follow a closing quotation mark.
func (t *table) delimiter() (more bool, err error) {
	c, err := t.byte()
	switch {
	case err != nil:
		return false, t.end(err)
	case c == ',':
		return true, nil
	case c == '\n':
		t.next++
		return false, nil
	case c == '\r':
		return false, t.lineFeed()
	}
	return false, t.broken(len(t.ends)+1, ruleQuote, "something stands between a closing quotation mark and the next comma")
}

func (t *table) lineFeed() error {
	if c, err := t.byte(); err != nil || c != '\n' {
		return t.broken(len(t.ends)+1, ruleQuote, "a carriage return without line feed stands outside quotes")
	}
	t.next++
	return nil
}

func (t *table) byte() (byte, error) { return t.in.ReadByte() }

// end is a file that ends without a line end, which is fine, or an error.
func (t *table) end(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return t.failed(err)
}

func (t *table) put(c byte) error {
	if len(t.buf) >= maxRow {
		return over(t.where(0), "one record has more than %d bytes; is a quotation mark missing?", maxRow)
	}
	t.buf = append(t.buf, c)
	return nil
}

func (t *table) failed(err error) error {
	if errors.Is(err, io.EOF) || passes(err) {
		return err
	}
	return fmt.Errorf("cannot read %q: %w", t.file, err)
}

// where names the current record, and a cell of it when column is not 0.
func (t *table) where(column int) string {
	if column == 0 {
		return fmt.Sprintf("%s line %d", t.file, t.line)
	}
	return fmt.Sprintf("%s line %d column %d", t.file, t.line, column)
}

// note reports a liberty taken in a cell.
func (t *table) note(column int, r Rule) {
	if !t.notes.again(r) {
		t.notes.add(t.where(column), r)
	}
}

// name is [notes.name] of a cell's text.
func (t *table) name(column int, s string) (string, error) {
	if s = strings.TrimSpace(s); len(s) <= maxName && !strings.ContainsAny(s, "\r\n") {
		return s, nil
	}
	return t.notes.name(t.where(column), s)
}

func (t *table) broken(column int, rule, format string, args ...any) error {
	return broken(t.where(column), rule, format, args...)
}
