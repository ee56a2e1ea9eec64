package deck

import (
	"fmt"
	"io"
	"iter"
	"slices"
	"strconv"
	"strings"

	"sallyport/internal/ems/election"
	"sallyport/internal/ems/model"
	"sallyport/internal/strictjson"
	"sallyport/internal/verdict"
)

// TestDevice is the device that test ballots name, so that they cannot be taken
// for cast ones.
const TestDevice = "TEST DECK"

// Ballots returns the deck as ballots of the definition's compiled form, for a
// run without paper: one original snapshot each, marks as a reader sees them,
// the device [TestDevice]. They are in the order of the deck; nothing here is a
// voter's.
func (d *Deck) Ballots(v *election.Valid) ([]model.Ballot, error) {
	_, sheets, err := d.read(v)
	if err != nil {
		return nil, err
	}
	n := newNumbers(v.Compiled())
	out := make([]model.Ballot, 0, len(d.Sheets))
	for _, s := range sheets {
		b := model.Ballot{ID: d.ID(s.Number), Device: TestDevice, Batch: "TEST", Style: n.styles[s.Style], Precinct: n.precincts[s.Precinct]}
		snap := b.AddSnapshot(model.Original)
		for id, marks := range s.Marks {
			c := n.contests[id]
			m := snap.AddMarks(c)
			for _, x := range marks {
				m.Positions = append(m.Positions, model.Position{Option: n.options[c][x.Option], Indicated: model.Yes, Allocable: model.Yes,
					Votes: x.Votes, Rank: x.Rank, WriteIn: x.WriteIn != "", Text: x.WriteIn})
			}
		}
		slices.SortFunc(snap.Contests, func(a, b model.Marks) int { return a.Contest - b.Contest })
		out = append(out, b)
	}
	return out, nil
}

// numbers are the numbers that the compiled form gives to objects.
type numbers struct {
	contests, styles, precincts map[string]int
	options                     []map[string]int
}

func newNumbers(d *model.Definition) *numbers {
	n := &numbers{contests: map[string]int{}, styles: map[string]int{}, precincts: map[string]int{}}
	for i := range d.Contests {
		n.contests[d.Contests[i].ID] = i
		m := map[string]int{}
		for j := range d.Contests[i].Options {
			m[d.Contests[i].Options[j].ID] = j
		}
		n.options = append(n.options, m)
	}
	for i := range d.Styles {
		for _, id := range d.Styles[i].IDs {
			n.styles[id] = i
		}
	}
	for i := range d.Precincts {
		n.precincts[d.Precincts[i].ID] = i
	}
	return n
}

// MostUnknown is how many records that are not of the deck, and how many that
// come again, a [BallotReport] names one by one.
const MostUnknown = 100

// BallotReport is the comparison of records with the deck, ballot by ballot.
type BallotReport struct {
	Sheets      int                `json:"sheets"`   // in the deck
	Records     int                `json:"records"`  // that were compared
	Unknown     int                `json:"unknown"`  // records that are not of the deck
	Repeated    int                `json:"repeated"` // records of a sheet that had one
	Differences []BallotDifference `json:"differences"`
}

// BallotDifference is one record, or one contest of it, that is not what the
// deck says.
type BallotDifference struct {
	Sheet   int    `json:"sheet"` // 0 for a record that is not of the deck
	ID      string `json:"id"`
	Contest string `json:"contest"` // @id; empty when the whole record differs
	// Item is "missing", "repeated", "unknown", "style", "precinct" or "marks".
	Item     string `json:"item"`
	Expected string `json:"expected"`
	Got      string `json:"got"`
}

// Same says whether there is no difference.
func (r *BallotReport) Same() bool { return len(r.Differences) == 0 }

// CompareBallots compares records with the deck where their identifiers are
// those of [Deck.ID]. It compares what was marked, in the snapshot that counts;
// votes that a rule generated are not marks. Records that are not of the deck
// are named and counted, and never described: they may be a voter's. An error
// of the iterator ends it.
func CompareBallots(v *election.Valid, d *Deck, records iter.Seq2[*model.Ballot, error]) (*BallotReport, error) {
	book, _, err := d.read(v)
	if err != nil {
		return nil, err
	}
	c := &ballotComparer{book: book, def: v.Compiled(), report: &BallotReport{Sheets: len(d.Sheets), Differences: []BallotDifference{}}}
	left := make(map[string]int, len(d.Sheets)) // place in the deck, or -1 when it was seen
	for i := range d.Sheets {
		left[d.ID(d.Sheets[i].Number)] = i
	}
	for b, err := range records {
		if err != nil {
			return nil, fmt.Errorf("cannot compare the records with the test deck: %w", err)
		}
		c.report.Records++
		i, ok := left[b.ID]
		switch {
		case !ok:
			c.surplus(&c.report.Unknown, b.ID, "unknown")
		case i < 0:
			c.surplus(&c.report.Repeated, b.ID, "repeated")
		default:
			left[b.ID] = -1
			if err := c.record(&d.Sheets[i], b); err != nil {
				return nil, err
			}
		}
	}
	for i := range d.Sheets {
		s := &d.Sheets[i]
		if id := d.ID(s.Number); left[id] >= 0 {
			c.add(s.Number, id, "", "missing", "", "")
		}
	}
	return c.report, nil
}

type ballotComparer struct {
	book   *book
	def    *model.Definition
	report *BallotReport
}

func (c *ballotComparer) add(sheet int, id, contest, item, want, got string) {
	c.report.Differences = append(c.report.Differences, BallotDifference{sheet, id, contest, item, want, got})
}

// surplus counts a record that the deck has no sheet for.
func (c *ballotComparer) surplus(n *int, id, item string) {
	if *n++; *n <= MostUnknown {
		c.add(0, id, "", item, "", "")
	}
}

// record compares one record with its sheet.
func (c *ballotComparer) record(s *Sheet, b *model.Ballot) error {
	if b.Style < 0 || b.Style >= len(c.def.Styles) || b.Precinct < 0 || b.Precinct >= len(c.def.Precincts) || b.Current < 0 || b.Current >= len(b.Snapshots) {
		return fmt.Errorf("%w: record %q is of another definition", ErrDeck, b.ID)
	}
	if got := c.def.Styles[b.Style].IDs; !slices.Contains(got, s.Style) {
		c.add(s.Number, b.ID, "", "style", s.Style, got[0])
	}
	if got := c.def.Precincts[b.Precinct].ID; got != s.Precinct {
		c.add(s.Number, b.ID, "", "precinct", s.Precinct, got)
	}
	got := map[int][]model.Position{}
	for _, m := range b.Snapshots[b.Current].Contests {
		if m.Contest < 0 || m.Contest >= len(c.def.Contests) {
			return fmt.Errorf("%w: record %q is of another definition", ErrDeck, b.ID)
		}
		got[m.Contest] = append(got[m.Contest], m.Positions...)
	}
	for i, r := range c.book.races { // both are in the definition's order
		want, have := wanted(s.Marks[r.id]), found(r, got[i])
		if want != have {
			c.add(s.Number, b.ID, r.id, "marks", want, have)
		}
	}
	return nil
}

// spot is one marked option at one rank.
type spot struct {
	option string
	rank   int
}

// wanted and found tell marks in the same words, so that they can be compared.
func wanted(marks []Mark) string {
	votes := map[spot]int{}
	for _, m := range marks {
		votes[spot{m.Option, m.Rank}] += m.Votes
	}
	return tell(votes)
}

func found(r *race, positions []model.Position) string {
	votes := map[spot]int{}
	for _, p := range positions {
		if p.Indicated == model.Yes && !p.Generated {
			o := "number " + strconv.Itoa(p.Option) // which the definition does not have
			if p.Option >= 0 && p.Option < len(r.options) {
				o = r.options[p.Option].id
			}
			votes[spot{o, p.Rank}] += p.Votes
		}
	}
	return tell(votes)
}

// tell writes marks down: "blank", or options with rank and number of votes.
func tell(votes map[spot]int) string {
	var list []string
	for s, n := range votes {
		t := strconv.Quote(s.option)
		if s.rank > 0 {
			t += " rank " + strconv.Itoa(s.rank)
		}
		if n != 1 {
			t += " × " + strconv.Itoa(n)
		}
		list = append(list, t)
	}
	if len(list) == 0 {
		return "blank"
	}
	slices.Sort(list)
	return strings.Join(list, ", ")
}

// JSON is the canonical form of the report.
func (r *BallotReport) JSON() ([]byte, error) { return strictjson.Encode(r) }

// WriteCSV writes one row for each difference (RFC 4180).
func (r *BallotReport) WriteCSV(w io.Writer) error {
	t := newTable(w, "ballot", "id", "contest", "item", "expected", "got")
	for _, d := range r.Differences {
		t.row(strconv.Itoa(d.Sheet), d.ID, d.Contest, d.Item, d.Expected, d.Got)
	}
	return t.end()
}

// WriteText writes the report for people.
func (r *BallotReport) WriteText(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "TEST: %d ballots in the deck, %d records, %d of them not of the deck, %d repeated\n", r.Sheets, r.Records, r.Unknown, r.Repeated)
	for _, d := range r.Differences {
		fmt.Fprintf(&b, "  ballot %d (%s)", d.Sheet, verdict.Escape(d.ID))
		if d.Contest != "" {
			fmt.Fprintf(&b, ", contest %s", verdict.Escape(d.Contest))
		}
		fmt.Fprintf(&b, ": %s", d.Item)
		if d.Expected != d.Got {
			fmt.Fprintf(&b, ": expected %s, got %s", verdict.Visible(d.Expected), verdict.Visible(d.Got))
		}
		b.WriteByte('\n')
	}
	if r.Same() {
		b.WriteString("no difference\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}
