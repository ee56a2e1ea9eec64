package define

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"sallyport/internal/ems/election"
)

// column is one word of the vocabulary that tables, edits and differences
// share: a named value of an object.
type column struct {
	name   string
	member string // the member of the class in SP 1500-20, or two of them; empty where there is none
	need   bool   // must not be empty
	fixed  bool   // is given when the object is added, and never set
	refs   string // the class whose identifiers stand in it
	get    func(d *draft, id ID) string
	set    func(d *draft, id ID, value string) error
	text   func(d *draft, id ID) *election.Text // nil where it is not translated
}

// of says whether the column holds a member of the standard.
func (c *column) of(member string) bool { return slices.Contains(strings.Fields(c.member), member) }

// needed returns the column as one that must not be empty.
func (c column) needed() column {
	c.need = true
	return c
}

// put sets a value, or says why not.
func (c *column) put(d *draft, id ID, value string) error {
	if value == "" && c.need {
		return faultf("cell-missing", "%s must not be empty", c.name)
	}
	return c.set(d, id, value)
}

// place is where a value is; it returns nil for objects without one.
type place[T any] func(d *draft, id ID) *T

// valueColumn is a column of one value that parse reads and format writes.
func valueColumn[T any](name, member string, p place[T], parse func(d *draft, value string) (T, error), format func(T) string) column {
	return column{
		name: name, member: member,
		get: func(d *draft, id ID) string {
			if v := p(d, id); v != nil {
				return format(*v)
			}
			return ""
		},
		set: func(d *draft, id ID, value string) error {
			v := p(d, id)
			if v == nil {
				if value == "" {
					return nil
				}
				return faultf("column-kind", "an object of this type has no %s: leave it empty", name)
			}
			var zero T
			if value == "" {
				*v = zero
				return nil
			}
			x, err := parse(d, value)
			if err == nil {
				*v = x
			}
			return err
		},
	}
}

func stringColumn[T ~string](name, member string, p place[T]) column {
	return valueColumn(name, member, p, func(_ *draft, v string) (T, error) { return T(v), nil }, func(v T) string { return string(v) })
}

// wordColumn takes one of a list of words.
func wordColumn[T ~string](name, member string, p place[T], words ...string) column {
	return valueColumn(name, member, p, func(_ *draft, v string) (T, error) {
		if !slices.Contains(words, v) {
			return "", faultf("value", "%q is none of: %s", v, strings.Join(words, ", "))
		}
		return T(v), nil
	}, func(v T) string { return string(v) })
}

func dateColumn(name, member string, p place[string]) column {
	return valueColumn(name, member, p, func(_ *draft, v string) (string, error) {
		if _, err := time.Parse(time.DateOnly, v); err != nil {
			return "", faultf("value", "%q is no date such as 2026-11-03", v)
		}
		return v, nil
	}, func(v string) string { return v })
}

func boolColumn(name, member string, p place[bool]) column {
	return valueColumn(name, member, p, func(_ *draft, v string) (bool, error) {
		if v != "yes" && v != "no" {
			return false, faultf("value", "%q is neither yes nor no", v)
		}
		return v == "yes", nil
	}, func(v bool) string {
		if v {
			return "yes"
		}
		return ""
	})
}

// whole reads a number of at most nine digits, written in one way only.
func whole(v string) (int64, error) {
	n, err := strconv.ParseInt(v, 10, 64)
	if err != nil || n < 0 || len(v) > 9 || strconv.FormatInt(n, 10) != v {
		return 0, faultf("value", "%q is no whole number from 0 to 999999999", v)
	}
	return n, nil
}

func numberColumn(name, member string, p place[*int64]) column {
	return valueColumn(name, member, p, func(_ *draft, v string) (*int64, error) {
		n, err := whole(v)
		return &n, err
	}, func(n *int64) string {
		if n == nil {
			return ""
		}
		return strconv.FormatInt(*n, 10)
	})
}

// countColumn is a number that is never absent.
func countColumn(name, member string, p place[int64]) column {
	return valueColumn(name, member, p, func(_ *draft, v string) (int64, error) { return whole(v) },
		func(n int64) string { return strconv.FormatInt(n, 10) })
}

// refColumn names one object of a class.
func refColumn(name, member, class string, p place[ID]) column {
	c := valueColumn(name, member, p, func(d *draft, v string) (ID, error) { return v, d.known(class, v) }, func(v ID) string { return v })
	c.refs = class
	return c
}

// refsColumn names objects of a class, separated by spaces.
func refsColumn(name, member, class string, p place[[]ID]) column {
	c := valueColumn(name, member, p, func(d *draft, v string) ([]ID, error) {
		ids, err := words(v)
		if err != nil {
			return nil, err
		}
		for _, id := range ids {
			if err := d.known(class, id); err != nil {
				return nil, err
			}
		}
		return ids, nil
	}, func(ids []ID) string { return strings.Join(ids, " ") })
	c.refs = class
	return c
}

func (d *draft) known(class string, id ID) error {
	if !d.is(class, id) {
		return missing(class, id)
	}
	return nil
}

// words splits a list at its spaces.
func words(v string) ([]string, error) {
	list, seen := strings.Split(v, " "), map[string]bool{}
	for _, w := range list {
		switch {
		case w == "" || strings.ContainsFunc(w, odd):
			return nil, faultf("list", "a list has one space between its elements, and nothing else")
		case seen[w]:
			return nil, faultf("list-repeated", "%q stands in the list twice", w)
		}
		seen[w] = true
	}
	return list, nil
}

var languageTag = regexp.MustCompile(`^[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*$`)

func languages(_ *draft, v string) ([]string, error) {
	list, err := words(v)
	for _, l := range list {
		if !languageTag.MatchString(l) {
			return nil, faultf("language", "%q is no language tag such as en, es or zh-Hans (BCP 47)", l)
		}
	}
	return list, err
}

// textColumn holds the text in the language of the tables.
func textColumn(name, member string, p place[election.Text]) column {
	return column{
		name: name, member: member, text: p,
		get: func(d *draft, id ID) string {
			if t := p(d, id); t != nil {
				s, _ := t.In(d.base)
				return s
			}
			return ""
		},
		set: func(d *draft, id ID, value string) error {
			t := p(d, id)
			if t == nil {
				if value == "" {
					return nil
				}
				return faultf("column-kind", "an object of this type has no %s: leave it empty", name)
			}
			setText(t, d.base, value, true)
			return nil
		},
	}
}

// setText sets the text in a language; an empty one takes it out. A new text
// in the language of the tables stands first.
func setText(t *election.Text, language, value string, first bool) {
	i := slices.IndexFunc(t.Text, func(s election.LanguageString) bool { return s.Language == language })
	switch {
	case value == "" && i >= 0:
		t.Text = slices.Delete(slices.Clone(t.Text), i, i+1)
		if len(t.Text) == 0 {
			t.Text = nil
		}
	case value == "":
	case i < 0 && first:
		t.Text = slices.Insert(slices.Clone(t.Text), 0, election.LanguageString{Language: language, Content: value})
	default:
		*t = t.With(language, value)
	}
}

// The external identifiers that have columns, in the order in which they are
// written: the first is the one that people use.
func identifierColumns(p place[[]election.ExternalID]) (out []column) {
	for rank, x := range []struct{ column, kind string }{
		{"local_id", "local-level"}, {"state_id", "state-level"}, {"national_id", "national-level"}, {"ocd_id", "ocd-id"}, {"fips", "fips"},
	} {
		out = append(out, column{
			name: x.column, member: "ExternalIdentifier",
			get: func(d *draft, id ID) string {
				if l := p(d, id); l != nil {
					if i := identifier(*l, x.kind); i >= 0 {
						return (*l)[i].Value
					}
				}
				return ""
			},
			set: func(d *draft, id ID, value string) error {
				setIdentifier(p(d, id), x.kind, rank, value)
				return nil
			},
		})
	}
	return out
}

func identifier(list []election.ExternalID, kind string) int {
	return slices.IndexFunc(list, func(x election.ExternalID) bool { return x.Type == kind })
}

func setIdentifier(list *[]election.ExternalID, kind string, rank int, value string) {
	if list == nil {
		return
	}
	l := slices.Clone(*list)
	i := identifier(l, kind)
	switch {
	case i >= 0 && value == "":
		l = slices.Delete(l, i, i+1)
	case i >= 0:
		l[i].Value = value
	case value != "":
		n := slices.IndexFunc(l, func(x election.ExternalID) bool { return identifierRank(x.Type) > rank })
		if n < 0 {
			n = len(l)
		}
		l = slices.Insert(l, n, election.ExternalID{Type: kind, Value: value})
	}
	if len(l) == 0 {
		l = nil
	}
	*list = l
}

func identifierRank(kind string) int {
	return slices.Index([]string{"local-level", "state-level", "national-level", "ocd-id", "fips", "other"}, kind)
}
