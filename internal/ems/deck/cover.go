package deck

import (
	"fmt"
	"io"
	"strings"

	"sallyport/internal/ems/election"
	"sallyport/internal/strictjson"
	"sallyport/internal/verdict"
)

// Item is one thing that a deck must exercise.
type Item struct {
	Rule     string `json:"rule"` // FORMAT.md lists them
	Style    string `json:"style"`
	Precinct string `json:"precinct"` // empty where one precinct of the style is enough
	Contest  string `json:"contest"`  // @id
	Option   string `json:"option"`   // @id
	Position int    `json:"position"` // on the style; 0 where it does not matter
	Rank     int    `json:"rank"`
}

// MostUncovered is how many items a [Coverage] names one by one.
const MostUncovered = 1000

// Coverage says what a deck exercised.
type Coverage struct {
	Size     Size `json:"size"`
	Required int  `json:"required"` // items
	Covered  int  `json:"covered"`
	// Uncovered are the items that were not exercised, at most MostUncovered.
	Uncovered []Item `json:"uncovered"`
}

// Complete says whether everything was exercised.
func (c *Coverage) Complete() bool { return c.Covered == c.Required && c.Required > 0 }

// Err is nil when everything was exercised, and otherwise wraps [ErrNotPassed]
// and names the first item.
func (c *Coverage) Err() error {
	if c.Complete() {
		return nil
	}
	err := fmt.Errorf("%w: %d of %d items were not exercised", ErrNotPassed, c.Required-c.Covered, c.Required)
	if len(c.Uncovered) > 0 {
		err = fmt.Errorf("%w, the first: %s", err, c.Uncovered[0])
	}
	return err
}

// Cover says what of a definition a deck exercises: every style, precinct,
// contest, option in its position, and rule that can apply. What can apply is
// worked out from the definition, and what was exercised from the sheets alone,
// whoever made them. It fails with [ErrDeck].
func Cover(v *election.Valid, d *Deck) (*Coverage, error) {
	b, sheets, err := d.read(v)
	if err != nil {
		return nil, err
	}
	of := map[Key][]*Sheet{}
	for p, s := range sheets {
		k := Key{Precinct: s.Precinct, Style: p.code}
		of[k] = append(of[k], s)
	}
	c := &Coverage{Size: d.Size, Uncovered: []Item{}}
	for _, p := range b.pages {
		whole := &tracker{page: p, done: map[Item]bool{}}
		for _, id := range p.precincts {
			t := &tracker{page: p, done: map[Item]bool{}, have: map[*race][]int{}}
			for _, s := range of[Key{Precinct: id, Style: p.code}] {
				t.sheet(s)
			}
			t.distinct()
			c.judge(p.perPrecinct(), t.done, id)
			if d.Size == Complete {
				c.judge(p.perStyle(), t.done, id)
			}
			for i := range t.done {
				whole.done[i] = true
			}
		}
		if d.Size != Complete {
			c.judge(p.perStyle(), whole.done, "")
		}
	}
	return c, nil
}

// judge compares what was required with what was done.
func (c *Coverage) judge(required []Item, done map[Item]bool, precinct string) {
	for _, i := range required {
		c.Required++
		if done[i] {
			c.Covered++
			continue
		}
		i.Precinct = precinct
		if len(c.Uncovered) < MostUncovered {
			c.Uncovered = append(c.Uncovered, i)
		}
	}
}

// JSON is the canonical form of the report.
func (c *Coverage) JSON() ([]byte, error) { return strictjson.Encode(c) }

// WriteText writes the report for people.
func (c *Coverage) WriteText(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "TEST: %d of %d items exercised (%s deck)\n", c.Covered, c.Required, c.Size)
	for _, i := range c.Uncovered {
		b.WriteString("  not exercised: " + i.String() + "\n")
	}
	if more := c.Required - c.Covered - len(c.Uncovered); more > 0 {
		fmt.Fprintf(&b, "  and %d more\n", more)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// String says the item in words.
func (i Item) String() string {
	s := i.Rule
	for _, part := range []struct{ name, id string }{{"style", i.Style}, {"precinct", i.Precinct}, {"contest", i.Contest}, {"option", i.Option}} {
		if part.id != "" {
			s += ", " + part.name + " " + verdict.Escape(part.id)
		}
	}
	if i.Position > 0 {
		s += fmt.Sprintf(", position %d", i.Position)
	}
	if i.Rank > 0 {
		s += fmt.Sprintf(", rank %d", i.Rank)
	}
	return s
}
