// Package page prints documents: reports of results, statements of votes,
// proofs of ballots. One small model of a document is written as HTML (one
// static file: no script, nothing from elsewhere) and as tagged PDF (ISO
// 32000-1, section 14.8: real text in reading order, embedded subset fonts,
// headings, tables and figures that assistive technology finds). The same
// document gives the same bytes: no clock, no chance, whole numbers throughout.
//
// It is not a word processor and no template language: whoever builds the
// blocks decides what is on the page, and in which language. It knows nothing
// of elections but how a ballot is laid out, reads no file, and shapes no
// script: right-to-left scripts and those whose letters join or stack are
// refused in PDF by name (a browser can set them, so HTML takes them).
//
// The text is foreign: it comes from elections that others wrote. No text is
// markup, in neither format. A character that cannot be seen (controls, marks
// of direction, zero-width characters, private use, U+FFFD) is refused and
// never passed on or dropped: what is read on paper is what was put in.
// [CheckText] lets a caller find that out when a definition comes in, not on
// election night. The blocks themselves, the fonts and the words around the
// text are our own or an administrator's.
package page

import "time"

// Document is what is printed. Title and Lang are required.
type Document struct {
	Title  string // shown as the first heading, and in every page's header
	Lang   string // language of the document and of text without its own, BCP 47 ("en-US")
	Author string // metadata alone; may be empty
	// Date is metadata alone, and absent when zero: a date that is to be read is
	// text, since its form is a matter of language.
	Date time.Time
	// Notice stands on top of every page, such as "TEST — NOT RESULTS".
	Notice    string
	Size      Size
	Landscape bool
	Blocks    []Block
	Footer    []string // lines at the foot of every page
	Words     Words
}

// Size is a size of paper.
type Size uint8

// The values of [Size].
const (
	Letter Size = iota // 8.5 × 11 inches
	Legal              // 8.5 × 14 inches
	A4                 // 210 × 297 mm, ISO 216
)

// Words are the few words that the layout itself prints, in the language of the
// document. An empty one is the English default.
type Words struct {
	PageOf    string // "Page {n} of {m}"
	PartOf    string // "part {n} of {m}": a table whose columns go over several pages
	Continued string // "continued": a table or contest on its next page or column
	WriteIn   string // "Write-in": an option without a name
	VoteFor   string // "Vote for {n}": a contest without instructions
	BallotQR  string // "QR code of this ballot style"
	Wide      string // "This table is wider than paper: print the PDF instead." (HTML, when printed)
}

// Block is one part of a document: [Heading], [Paragraph], [List], [KeyValues],
// [Table], [BarChart], [StackedBars], [BallotPage] or [PageBreak].
type Block interface {
	// check walks the texts and counts of a block before anything is written.
	check(c *checker) error
	html(h *htmlWriter)
	pdf(l *layout)
}

// Heading begins a section. Level 1 is below the title, 5 is the deepest; a
// level may not be skipped (ISO 14289-1, section 7.4.2).
type Heading struct {
	Level int
	Text  string
	Lang  string // when it is not the document's
}

// Paragraph is text; a line feed in it begins a new line.
type Paragraph struct {
	Text   string
	Lang   string
	Strong bool
	Small  bool
}

// List is a list with bullets, or with numbers.
type List struct {
	Ordered bool
	Items   []Line
}

// Line is a text in a language; an empty Lang is the document's.
type Line struct {
	Lang string
	Text string
}

// KeyValues is a block of names and what they stand for, such as "Precincts
// counted: 12 of 12".
type KeyValues struct {
	Pairs []Pair
}

// Pair is one line of [KeyValues].
type Pair struct {
	Key   string
	Value string
}

// PageBreak begins a new page.
type PageBreak struct{}

// Align is the alignment of a column.
type Align uint8

// The values of [Align].
const (
	Left Align = iota
	Right
	Center
)

// Table is a table. What is too wide for a page is split by columns over
// several pages, groups of columns kept together where one fits a page, with
// the header columns repeated.
type Table struct {
	Caption string // required: it names the table for whoever cannot see it
	Columns []Column
	// Groups, when there are any, stand above the columns: together they cover
	// all columns in order.
	Groups []Group
	// HeaderColumns is the number of leading columns that name the row.
	HeaderColumns int
	Rows          []Row
	Landscape     bool // on landscape pages of its own
}

// Column is the header of a column. Its cells are aligned as it says.
type Column struct {
	Header string
	Align  Align
}

// Group is a title above adjacent columns, such as a contest above its options.
type Group struct {
	Title   string
	Columns int
}

// Row has one cell for each column. A total is set in bold below a rule.
type Row struct {
	Cells []string
	Total bool
}

// BarChart is a chart of horizontal bars, from zero to the greatest value.
type BarChart struct {
	Caption string // required
	Bars    []Bar
}

// Bar is one bar. Shown is its value as text, such as "1,234 (45.6 %)"; the
// value itself, not below zero, gives the length alone.
type Bar struct {
	Label string
	Value int64
	Shown string
}

// StackedBars is a chart of bars that are each divided into the same series, at
// most [MaxSeries].
type StackedBars struct {
	Caption string // required
	Series  []string
	Bars    []StackedBar
}

// StackedBar has one part for each series.
type StackedBar struct {
	Label string
	Parts []Part
}

// Part is a part of a bar; Shown is its value as text.
type Part struct {
	Value int64
	Shown string
}
