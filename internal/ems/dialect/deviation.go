package dialect

import (
	"cmp"
	"maps"
	"slices"
)

// Rule is the name of a liberty that is taken.
type Rule string

// The closed list of liberties.
const (
	ByteOrderMark  Rule = "byte-order-mark"
	BlankLine      Rule = "blank-line"
	ExcelCell      Rule = "excel-cell"
	TrailingCells  Rule = "trailing-cells"
	ColumnIgnored  Rule = "column-ignored"
	ColumnMissing  Rule = "column-missing"
	HeadingEmpty   Rule = "heading-empty"
	LineBreak      Rule = "line-break-in-name"
	WordCase       Rule = "word-case"
	WriteInColumns Rule = "write-in-columns"
	ListMissing    Rule = "list-missing"
	FileIgnored    Rule = "file-ignored"
	MemberIgnored  Rule = "member-ignored"
	StatusIgnored  Rule = "status-ignored"
	SheetCount     Rule = "sheet-count"
	MethodMissing  Rule = "method-missing"
	OrderInID      Rule = "order-in-id"
	IDMissing      Rule = "id-missing"
	NotVerified    Rule = "not-verified"
)

// consequences says what follows from each liberty.
func consequences() map[Rule]string {
	return map[Rule]string{
		ByteOrderMark:  "a byte order mark at the beginning of a file was skipped",
		BlankLine:      "a line without content was skipped",
		ExcelCell:      `a cell written as ="…" was read as the text between the quotes`,
		TrailingCells:  "empty cells after the last column were dropped",
		ColumnIgnored:  "a column that this reader does not know was not read",
		ColumnMissing:  "a column that the dialect has is not there: what it would say is unknown",
		HeadingEmpty:   "a column without heading was read as one more of the contest at its left, whose votes allowed are then unknown",
		LineBreak:      "a line break in a name was read as one space",
		WordCase:       "a word of the dialect was accepted in other letter case",
		WriteInColumns: "several columns for write-ins of one contest were read as one choice",
		ListMissing:    "a list that usually goes with the records is not there: batches, devices and counting groups are unknown",
		FileIgnored:    "a file that this reader does not use was not read",
		MemberIgnored:  "a member or element beside the votes that this reader does not know was not read",
		StatusIgnored:  "the status of a record was not judged: the record is passed on whatever it is",
		SheetCount:     "the number of records is not the number of sheets that the export states",
		MethodMissing:  "a record does not say how the ballot was cast",
		OrderInID:      "the records' identifiers may reveal the order of casting: replace them by random ones before they are kept",
		IDMissing:      "the export hides the records' identifiers: random ones are needed, and a second import cannot be recognised",
		NotVerified:    "a signature of the export, or of its records, was not verified",
	}
}

// Deviation is one liberty that was taken in reading an export.
type Deviation struct {
	// Where is the first place: file, and line and column or JSON pointer.
	Where       string
	Rule        Rule
	Consequence string
	// Count says how often, in one reading of the export.
	Count int
}

// notes gathers deviations: those of lists and headers read once, and those of
// the reading that is under way.
type notes struct{ once, now map[Rule]*Deviation }

func newNotes() *notes { return &notes{once: map[Rule]*Deviation{}} }

// pass begins a new reading. Before the first one, everything is read once.
func (n *notes) pass() { n.now = map[Rule]*Deviation{} }

func (n *notes) add(where string, r Rule) {
	m := n.now
	if m == nil {
		m = n.once
	}
	d := m[r]
	if d == nil {
		d = &Deviation{Where: where, Rule: r, Consequence: consequences()[r]}
		m[r] = d
	}
	d.Count++
}

// again counts a liberty that was taken before, and says whether it was: its
// place, which costs more to tell than a record to read, is not needed then.
func (n *notes) again(r Rule) bool {
	d := n.now[r]
	if d != nil {
		d.Count++
	}
	return d != nil
}

func (n *notes) list() []Deviation {
	sum := map[Rule]Deviation{}
	for _, m := range []map[Rule]*Deviation{n.once, n.now} {
		for r, d := range m {
			if have, ok := sum[r]; ok {
				have.Count += d.Count
				sum[r] = have
			} else {
				sum[r] = *d
			}
		}
	}
	return slices.SortedFunc(maps.Values(sum), func(a, b Deviation) int { return cmp.Compare(a.Rule, b.Rule) })
}
