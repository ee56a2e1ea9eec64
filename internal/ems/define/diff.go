package define

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"sallyport/internal/ems/election"
)

// Change is one difference between two versions of a definition.
type Change struct {
	// Class is that of the object: election, unit, party, office, header,
	// contest, candidate, option, style, precinct (of the matrix) or
	// definition (what no table has).
	Class string `json:"class"`
	ID    ID     `json:"id"`
	// Field is a column of the CSV set, with a language in brackets for a
	// translation; "object" when the object itself came or went; "options" or
	// "content" for what is in it and in which order; "contest" in the matrix;
	// or a member of SP 1500-20 that no table has.
	Field  string `json:"field"`
	Before string `json:"before"` // empty: was not there
	After  string `json:"after"`  // empty: is not there any more
}

// Changes are all differences, sorted by class, object and field.
type Changes []Change

// Text returns the changes for people, one a line.
func (l Changes) Text() string {
	var b strings.Builder
	for _, c := range l {
		fmt.Fprintf(&b, "%s %s: %s: ", c.Class, c.ID, c.Field)
		switch {
		case c.Before == "":
			fmt.Fprintf(&b, "added %q\n", c.After)
		case c.After == "":
			fmt.Fprintf(&b, "removed %q\n", c.Before)
		default:
			fmt.Fprintf(&b, "%q became %q\n", c.Before, c.After)
		}
	}
	return b.String()
}

// JSON returns the changes as a list of objects; [] when there are none.
func (l Changes) JSON() ([]byte, error) {
	data, err := json.Marshal([]Change(l), jsontext.WithIndent("  "))
	if err != nil {
		return nil, fmt.Errorf("cannot write the changes: %w", err)
	}
	return append(data, '\n'), nil
}

// Diff returns what changed from a to b. It is empty for definitions that say
// the same; the order of units within units, which means nothing, is no change.
func Diff(a, b *election.Valid) (Changes, error) {
	x, err := newDraft(a.Definition())
	if err != nil {
		return nil, err
	}
	y, err := newDraft(b.Definition())
	if err != nil {
		return nil, err
	}
	x.base = y.base // so that texts of one language are compared
	c := &comparison{a: x, b: y}
	for _, class := range y.classes {
		c.class(class)
	}
	c.matrix(Matrix(a), Matrix(b))
	c.rest()
	return c.sorted(), c.err
}

type comparison struct {
	a, b *draft
	list Changes
	err  error
}

func (c *comparison) add(class string, id ID, field, before, after string) {
	if before != after {
		c.list = append(c.list, Change{class, id, field, before, after})
	}
}

// class compares all objects of one class.
func (c *comparison) class(of *class) {
	old, now := of.ids(c.a), of.ids(c.b)
	was, is := idSet(old), idSet(now)
	for _, id := range old {
		if !is[id] {
			c.add(of.name, id, "object", c.title(of, c.a, id), "")
		}
	}
	for _, id := range now {
		if !was[id] {
			c.add(of.name, id, "object", "", c.title(of, c.b, id))
			continue
		}
		c.object(of, id)
	}
	keep := func(list []ID, in map[ID]bool) string {
		return joinWords(without(list, func(id *ID) bool { return !in[*id] }))
	}
	if of.name != optionClass { // options are ordered in their contest
		c.add(electionClass, electionClass, "order of "+of.name+"s", keep(old, is), keep(now, was))
	}
}

func idSet(ids []ID) map[ID]bool {
	out := map[ID]bool{}
	for _, id := range ids {
		out[id] = true
	}
	return out
}

// title is what people call an object; never empty.
func (c *comparison) title(of *class, d *draft, id ID) string {
	for _, name := range []string{"title", "name", "text", "kind", "units"} {
		if col := of.column(name); col != nil {
			if v := col.get(d, id); v != "" {
				return v
			}
		}
	}
	return id
}

// object compares one object that is in both.
func (c *comparison) object(of *class, id ID) {
	members := map[string]bool{"@id": true, "ComposingGpUnitIds": true, "BallotStyle": true, "Candidate": true, "Contest": true}
	for i := range of.columns {
		col := &of.columns[i]
		before := len(c.list)
		c.add(of.name, id, col.name, col.get(c.a, id), col.get(c.b, id))
		c.languages(of.name, id, col)
		if len(c.list) > before {
			for _, m := range strings.Fields(col.member) {
				members[m] = true
			}
		}
	}
	switch of.name {
	case contestClass:
		c.add(of.name, id, "options", optionList(c.a.contest(id)), optionList(c.b.contest(id)))
		members["ContestOption"] = true
		c.options(id)
	case styleClass:
		c.add(of.name, id, "content", contentText(c.a.style(id).Content), contentText(c.b.style(id).Content))
		members["OrderedContent"] = len(c.list) > 0 && c.list[len(c.list)-1].Field == "content"
	}
	c.members(of.name, id, c.a.raw(of.name, id), c.b.raw(of.name, id), members)
}

// languages compares the translations of a text.
func (c *comparison) languages(class string, id ID, col *column) {
	if col.text == nil {
		return
	}
	x, y := col.text(c.a, id), col.text(c.b, id)
	if x == nil || y == nil {
		return
	}
	var all []string
	for _, s := range slices.Concat(x.Text, y.Text) {
		all = append(all, s.Language)
	}
	for _, l := range unique(all) {
		if l != c.b.base {
			old, _ := x.In(l)
			now, _ := y.In(l)
			c.add(class, id, col.name+"["+l+"]", old, now)
		}
	}
}

// options compares the options of a contest that have no row in options.csv;
// their usual values are columns of the candidate or the contest.
func (c *comparison) options(contest ID) {
	for _, o := range c.b.contest(contest).Base().Options {
		id := o.Base().ID
		y, ok := o.(*election.CandidateOption)
		x, was := c.a.at[id].option.(*election.CandidateOption)
		if !ok || !was || c.a.at[id].contest != contest {
			continue
		}
		but := map[string]bool{"@id": true}
		if len(x.Candidates) > 0 && len(y.Candidates) > 0 && x.Candidates[0] == y.Candidates[0] && c.a.standing[x.Candidates[0]].option == x {
			but = map[string]bool{"@id": true, "SequenceOrder": true, "EndorsementPartyIds": true, "IsWriteIn": true}
		}
		c.members(optionClass, id, x, y, but)
	}
}

func optionList(c election.Contest) string {
	return joinWords(idsOf(c.Base().Options, func(o *election.Option) ID { return (*o).Base().ID }))
}

// contentText is what stands on a ballot, in one line.
func contentText(list election.Content) string {
	var out []string
	for _, item := range list {
		switch item := item.(type) {
		case *election.OrderedContest:
			s := item.Contest
			if len(item.Options) > 0 {
				s += " (" + joinWords(item.Options) + ")"
			}
			out = append(out, s)
		case *election.OrderedHeader:
			out = append(out, item.Header+" {"+contentText(item.Content)+"}")
		}
	}
	return strings.Join(out, "; ")
}

// raw is the object itself, to compare what no column has.
func (d *draft) raw(class string, id ID) any {
	switch class {
	case electionClass:
		e := *d.election()
		e.Candidates, e.Contests, e.Styles = nil, nil, nil
		return &e
	case unitClass:
		return d.unit(id)
	case partyClass:
		return d.party(id)
	case officeClass:
		return d.office(id)
	case headerClass:
		return d.header(id)
	case contestClass:
		return d.contest(id)
	case candidateClass:
		return d.candidate(id)
	case styleClass:
		return d.style(id)
	}
	return d.at[id].option
}

// members compares the members of two objects, but for those that a change
// tells of already.
func (c *comparison) members(class string, id ID, x, y any, but map[string]bool) {
	a, b := c.membersOf(x), c.membersOf(y)
	names := make([]string, 0, len(a)+len(b))
	for name := range a {
		names = append(names, name)
	}
	for name := range b {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		if !but[name] {
			c.add(class, id, name, shorten(string(a[name])), shorten(string(b[name])))
		}
	}
}

func (c *comparison) membersOf(x any) map[string]jsontext.Value {
	out := map[string]jsontext.Value{}
	data, err := json.Marshal(x, json.Deterministic(true))
	if err == nil {
		err = json.Unmarshal(data, &out)
	}
	if err != nil && c.err == nil {
		c.err = fmt.Errorf("cannot compare the definitions: %w", err)
	}
	return out
}

// maxShown is the most bytes of a member that are told.
const maxShown = 400

// shorten keeps a member readable; what differs after that is told by its hash.
func shorten(s string) string {
	if len(s) <= maxShown {
		return s
	}
	return strings.ToValidUTF8(s[:maxShown], "") + "… (" + digest(s) + ")"
}

// matrix compares which precinct gets which contest.
func (c *comparison) matrix(a, b *PrecinctContests) {
	type place struct{ precinct, contest ID }
	gets := func(m *PrecinctContests) map[place]bool {
		out := map[place]bool{}
		for _, p := range m.Precincts {
			for _, id := range m.Of(p.ID) {
				out[place{p.ID, id}] = true
			}
		}
		return out
	}
	was, is := gets(a), gets(b)
	for x := range was {
		if !is[x] {
			c.add("precinct", x.precinct, "contest", x.contest, "")
		}
	}
	for x := range is {
		if !was[x] {
			c.add("precinct", x.precinct, "contest", "", x.contest)
		}
	}
}

// rest compares what stands beside the election and its tables.
func (c *comparison) rest() {
	bare := func(d *draft) *election.Definition {
		def := *d.def
		def.Elections, def.Units, def.Parties, def.Offices, def.Headers = nil, nil, nil, nil, nil
		return &def
	}
	but := map[string]bool{}
	for _, ch := range c.list {
		if ch.Class == electionClass {
			if col := electionTable().column(ch.Field); col != nil {
				but[col.member] = true
			}
		}
	}
	c.members("definition", "definition", bare(c.a), bare(c.b), but)
}

func (c *comparison) sorted() Changes {
	order := map[string]int{"precinct": 100, "definition": 101}
	for i, of := range c.b.classes {
		order[of.name] = i
	}
	slices.SortStableFunc(c.list, func(x, y Change) int {
		return cmp.Or(cmp.Compare(order[x.Class], order[y.Class]), natural(x.ID, y.ID), cmp.Compare(x.Field, y.Field),
			cmp.Compare(x.Before, y.Before), cmp.Compare(x.After, y.After))
	})
	return c.list
}
