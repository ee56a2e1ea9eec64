package dialect

import (
	"cmp"
	"slices"
)

// Label names something in the vendor's words. ID is the vendor's identifier
// where the dialect has one, and Name may then be empty. The zero Label means
// that the export does not say.
type Label struct{ Name, ID string }

// Catalogue is what an export says about its election.
type Catalogue struct {
	Election Label
	// Test says that the export itself is marked as a test.
	Test     bool
	Contests []Contest
	// These are empty where the dialect does not say; sorted by name and ID.
	Precincts, Styles, Methods, Parties []Label
}

// Contest is one contest of the export.
type Contest struct {
	Name, ID string
	// Party is the party's name in a primary, where the export says it.
	Party string
	// VotesAllowed is 0 where the export does not say.
	VotesAllowed int
	// Ranks is how many choices may be ranked; 0 when the contest is not ranked.
	Ranks   int
	Choices []Choice
}

// Choice is one choice of a contest. In ES&S and Hart only choices that
// somebody marked are known.
type Choice struct {
	Name, ID, Party string
	WriteIn         bool
}

// Ballot is one record: a ballot, or one sheet of one.
type Ballot struct {
	// ID is the vendor's unique identifier of the record; empty where the
	// export hides it (deviation [IDMissing]). Uniqueness is not checked here.
	ID string
	// ImprintedID is what the scanner prints on the paper, if anything.
	ImprintedID   string
	Device, Batch string
	Precinct      Label
	Style         Label
	// Method is the counting group, such as election day or mail.
	Method Label
	Party  Label
	// Sheet is the number of the sheet, where the record says that it is one.
	Sheet string
	// Versions has exactly one that is Current. Originals come first, then
	// interpreted ones, then modified ones.
	Versions []Version
}

// VersionKind is how a version came to be, in the words of SP 1500-103.
type VersionKind string

// The kinds of versions.
const (
	Original    VersionKind = "original"
	Interpreted VersionKind = "interpreted"
	Modified    VersionKind = "modified"
)

// Version is one reading of the ballot.
type Version struct {
	Kind    VersionKind
	Current bool
	// Contests are those on the ballot, marked or not, by Contest ascending.
	// What is not here was not on the ballot.
	Contests []Marks
}

// Marks is what a version says about one contest.
type Marks struct {
	Contest int // into Catalogue.Contests
	// Overvoted and Undervoted: the record says so, or its counted marks do
	// where the votes allowed are known and the dialect has no such field.
	Overvoted, Undervoted bool
	Marks                 []Mark // by Choice, then Rank
}

// Mark is one mark.
type Mark struct {
	Choice int // into Contest.Choices
	// Rank is 1 for the first choice; 0 when the contest is not ranked.
	Rank  int
	Votes int
	// Ambiguous: the system leaves open whether this is a vote.
	Ambiguous bool
	// NotCounted: the system did not count it.
	NotCounted bool
	// WriteIn is the name that was written, where the record has it as text.
	WriteIn string
}

// settle puts a ballot into its one form and checks what every reader owes.
func (b *Ballot) settle(cat *Catalogue) error {
	order := []VersionKind{Original, Interpreted, Modified}
	slices.SortStableFunc(b.Versions, func(x, y Version) int {
		return cmp.Compare(slices.Index(order, x.Kind), slices.Index(order, y.Kind))
	})
	current := 0
	for i := range b.Versions {
		if b.Versions[i].Current {
			current++
		}
		if err := b.Versions[i].settle(cat); err != nil {
			return err
		}
	}
	if current != 1 {
		return broken(b.where(), ruleCurrent, "%d versions are current, and it must be one", current)
	}
	return nil
}

func (v *Version) settle(cat *Catalogue) error {
	slices.SortStableFunc(v.Contests, func(a, b Marks) int { return cmp.Compare(a.Contest, b.Contest) })
	for i, c := range v.Contests {
		if i > 0 && c.Contest == v.Contests[i-1].Contest {
			return broken("contest "+cat.Contests[c.Contest].Name, ruleContestRepeated, "a record has the contest twice in one version")
		}
		slices.SortStableFunc(c.Marks, func(a, b Mark) int {
			return cmp.Or(cmp.Compare(a.Choice, b.Choice), cmp.Compare(a.Rank, b.Rank))
		})
	}
	return nil
}

func (b *Ballot) where() string { return "record " + b.ID }

// judge derives over- and undervotes from the counted marks, for dialects that
// have no field for them. A ranked contest is overvoted when one rank is, and
// undervoted when nothing is ranked.
func (m *Marks) judge(c Contest) {
	if c.VotesAllowed == 0 {
		return
	}
	votes := make(map[int]int, 1) // by rank
	for _, k := range m.Marks {
		if !k.NotCounted {
			votes[k.Rank] += k.Votes
		}
	}
	most := 0
	for _, n := range votes {
		most = max(most, n)
	}
	wanted := c.VotesAllowed
	if c.Ranks > 0 {
		wanted = 1
	}
	m.Overvoted = m.Overvoted || most > c.VotesAllowed
	m.Undervoted = m.Undervoted || !m.Overvoted && most < wanted
}

// labels is a bounded set of labels.
type labels map[Label]struct{}

func (l labels) add(x Label, where string) error {
	if x == (Label{}) {
		return nil
	}
	if _, ok := l[x]; !ok && len(l) >= maxLabels {
		return over(where, "more than %d different precincts, styles, batches or devices", maxLabels)
	}
	l[x] = struct{}{}
	return nil
}

func (l labels) sorted() []Label {
	out := make([]Label, 0, len(l))
	for x := range l {
		out = append(out, x)
	}
	slices.SortFunc(out, func(a, b Label) int { return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.ID, b.ID)) })
	return out
}

// survey gathers what only the records say.
type survey struct{ precincts, styles, methods, parties labels }

func newSurvey() *survey { return &survey{labels{}, labels{}, labels{}, labels{}} }

func (s *survey) add(b *Ballot, where string) error {
	return cmp.Or(s.precincts.add(b.Precinct, where), s.styles.add(b.Style, where),
		s.methods.add(b.Method, where), s.parties.add(b.Party, where))
}

func (s *survey) into(c *Catalogue) {
	c.Precincts, c.Styles, c.Methods, c.Parties = s.precincts.sorted(), s.styles.sorted(), s.methods.sorted(), s.parties.sorted()
}
