package dialect

import (
	"fmt"
	"io/fs"
	"regexp"
	"strconv"
	"strings"
)

// The columns of an ES&S list of ballots.
const essListColumns = "|Cast Vote Record|Batch|Ballot Status|Original Ballot Exception|Remaining Ballot Exception|Write-in Type|" +
	"Results Report|Reporting Group|Tabulator CVR|Precinct ID|Machine|Audit Number|Election ID|"

// A scanner's identifier of a ballot: its number and the ballot's, or a random
// one that is also printed on the paper.
var (
	essSerial = regexp.MustCompile(`^(\d{4})\d{6}$`)
	essRandom = regexp.MustCompile(`^[0-9A-Fa-f]{16}$`)
)

// essScan reads a Tabulator CVR.
func essScan(s string) (device, imprint string) {
	if m := essSerial.FindStringSubmatch(s); m != nil {
		return m[1], ""
	}
	return "", s
}

// essList holds what the lists say about each ballot, packed: numbers instead
// of repeated texts.
type essList struct {
	rows  map[uint32]essRow
	texts []string
	index map[string]uint32
	seen  int
}

type essRow struct {
	batch, device, method uint32 // of texts
	imprint               uint64
	printed               bool
	seen                  bool
}

func newEssList() *essList {
	return &essList{rows: map[uint32]essRow{}, texts: []string{""}, index: map[string]uint32{"": 0}}
}

func (l *essList) read(fsys fs.FS, file string, n *notes) error {
	t, err := openTable(fsys, file, n)
	if err != nil {
		return err
	}
	defer t.close()
	head, err := t.must("its header")
	if err != nil {
		return err
	}
	// Some lists begin with a title, the election, the county and the date.
	if strings.TrimSpace(head[0]) == "Ballots" {
		for i := 0; strings.TrimSpace(head[0]) != essRecord; i++ {
			if i == 8 {
				return t.broken(0, ruleHeader, "there is no line that begins with %q below the title", essRecord)
			}
			if head, err = t.must("its header"); err != nil {
				return err
			}
		}
	}
	cols, err := newColumns(t, head, essListColumns)
	if err != nil {
		return err
	}
	if err := cols.need(essRecord, "Batch", "Tabulator CVR"); err != nil {
		return err
	}
	return l.body(t, cols, len(head))
}

func (l *essList) body(t *table, cols *columns, width int) error {
	for {
		cells, err := t.record()
		if err != nil {
			return ended(err)
		}
		if blank(cells) || strings.HasPrefix(cells[0], "Total") {
			continue
		}
		if cells, err = t.width(cells, width); err != nil {
			return err
		}
		if err := l.row(t, cols, cells); err != nil {
			return err
		}
	}
}

func blank(cells []string) bool { return strings.TrimSpace(strings.Join(cells, "")) == "" }

func (l *essList) row(t *table, cols *columns, cells []string) error {
	id, err := cols.required(cells, essRecord)
	if err != nil {
		return err
	}
	key, ok := essKey(id)
	if !ok {
		return t.broken(cols.at[essRecord]+1, ruleRecordID, "%s must be a number", essRecord)
	}
	if _, ok := l.rows[key]; ok {
		return t.broken(cols.at[essRecord]+1, ruleListed, "this ballot was listed before")
	}
	if len(l.rows) == maxListed {
		return over(t.where(0), "more than %d ballots in lists", maxListed)
	}
	var batch, device, method, scan string
	err = cols.texts(cells, into{"Batch", &batch}, into{"Machine", &device}, into{"Reporting Group", &method}, into{"Tabulator CVR", &scan})
	if err != nil {
		return err
	}
	row := essRow{}
	switch {
	case essSerial.MatchString(scan):
		if device == "" {
			device, _ = essScan(scan)
		}
	case essRandom.MatchString(scan):
		row.imprint, _ = strconv.ParseUint(scan, 16, 64)
		row.printed = true
	default:
		return t.broken(cols.at["Tabulator CVR"]+1, ruleCell, "Tabulator CVR must be ten digits or sixteen hexadecimal digits; a spreadsheet may have changed it")
	}
	for _, x := range []struct {
		text string
		to   *uint32
	}{{batch, &row.batch}, {device, &row.device}, {method, &row.method}} {
		if *x.to, err = l.intern(x.text, t); err != nil {
			return err
		}
	}
	l.rows[key] = row
	return nil
}

func (l *essList) intern(s string, t *table) (uint32, error) {
	if i, ok := l.index[s]; ok {
		return i, nil
	}
	if len(l.texts) >= maxLabels {
		return 0, over(t.where(0), "more than %d different batches, machines and reporting groups", maxLabels)
	}
	i := uint32(len(l.texts))
	l.texts = append(l.texts, s)
	l.index[s] = i
	return i, nil
}

func essKey(id string) (uint32, bool) {
	n, ok := number(id, 1<<30)
	return uint32(n), ok && strconv.Itoa(n) == id
}

// restart forgets which ballots were met.
func (l *essList) restart() {
	if l.seen == 0 {
		return
	}
	for k, r := range l.rows {
		r.seen = false
		l.rows[k] = r
	}
	l.seen = 0
}

// complement adds what the lists say to a record.
func (l *essList) complement(b *Ballot, t *table) error {
	key, ok := essKey(b.ID)
	row, listed := l.rows[key]
	if !ok || !listed {
		return t.broken(0, ruleListed, "no list of ballots has this %s: the files do not belong together, or one is missing", essRecord)
	}
	if row.seen {
		return t.broken(0, ruleListed, "a second record has this %s", essRecord)
	}
	row.seen = true
	l.rows[key] = row
	l.seen++
	b.Batch, b.Method.Name = l.texts[row.batch], l.texts[row.method]
	if d := l.texts[row.device]; d != "" {
		b.Device = d
	}
	if row.printed {
		b.ImprintedID = fmt.Sprintf("%016X", row.imprint)
	}
	return nil
}

// complete refuses lists with ballots that no file has.
func (l *essList) complete(where string) error {
	if n := len(l.rows) - l.seen; n > 0 {
		return broken(where, ruleListed, "%d listed ballots have no cast vote record: a file is missing or cut off", n)
	}
	return nil
}
