package dialect

import (
	"cmp"
	"context"
	"io/fs"
	"path"
	"slices"
	"strings"
)

const hartNamespace = "http://tempuri.org/CVRDesign.xsd"

// hart is one export: zips, or a folder, of one XML document for each sheet.
type hart struct {
	fsys  fs.FS
	path  string
	notes *notes
	// sets are folders or zips; device is the zip's name when there are several.
	sets []hartSet

	cat      *Catalogue
	contests map[string]int // by identifier, or by name where there is none
	choices  []map[string]int
	digits   []int // of a mark's Value, by contest
	count    int
}

type hartSet struct{ path, device string }

func openHart(fsys fs.FS, p string, n *notes) (reader, error) {
	h := &hart{fsys: fsys, path: p, notes: n}
	b, err := openBundle(fsys, p)
	if err != nil {
		return nil, err
	}
	defer b.close()
	if b.zip == nil {
		h.zips(b)
	}
	if len(h.sets) == 0 {
		h.sets = []hartSet{{path: p}}
	}
	return h, nil
}

// zips finds the zips of a folder; with several, each is one device's.
func (h *hart) zips(b *bundle) {
	var all []string
	for _, name := range b.names {
		if strings.EqualFold(path.Ext(name), ".zip") {
			all = append(all, name)
		}
	}
	for _, name := range all {
		s := hartSet{path: path.Join(b.path, name)}
		if len(all) > 1 {
			s.device = name[:len(name)-len(".zip")]
		}
		h.sets = append(h.sets, s)
	}
	for _, name := range b.names {
		if len(all) > 0 && !slices.Contains(all, name) {
			h.notes.add(b.where(name), FileIgnored)
		}
	}
}

func (h *hart) close() error { return nil }

// each passes every sheet.
func (h *hart) each(ctx context.Context, visit func(hartSet, *hartSheet) error) error {
	for _, set := range h.sets {
		if err := h.set(ctx, set, visit); err != nil {
			return err
		}
	}
	return nil
}

func (h *hart) set(ctx context.Context, set hartSet, visit func(hartSet, *hartSheet) error) error {
	b, err := openBundle(h.fsys, set.path)
	if err != nil {
		return err
	}
	defer b.close()
	b.restart()
	found := false
	for _, name := range b.names {
		if err := ctx.Err(); err != nil {
			return err
		}
		if skip := hartIgnores(name); skip != "" {
			h.notes.add(b.where(name), skip)
			continue
		}
		found = true
		data, err := b.read(name, maxXML)
		if err != nil {
			return err
		}
		s, err := readHartSheet(b.where(name), data, h.notes)
		if err != nil {
			return err
		}
		if err := visit(set, s); err != nil {
			return err
		}
	}
	if !found {
		return broken(set.path, ruleFileMissing, "there is no XML document of a sheet in it")
	}
	return nil
}

// hartIgnores says why a file is not a sheet, or "". Signatures of sheets stand
// beside them; the vendor does not publish how to check them.
func hartIgnores(name string) Rule {
	lower := strings.ToLower(name)
	switch {
	case strings.HasSuffix(lower, ".sig.xml"):
		return NotVerified
	case strings.HasSuffix(lower, ".xml"):
		return ""
	}
	return FileIgnored
}

// catalogue reads everything: a sheet names its contests, and of the choices
// only those that were chosen.
func (h *hart) catalogue(ctx context.Context) (*Catalogue, error) {
	h.cat, h.contests, h.choices, h.digits, h.count = &Catalogue{}, map[string]int{}, nil, nil, 0
	sv := newSurvey()
	err := h.each(ctx, func(_ hartSet, s *hartSheet) error {
		if err := sv.add(&Ballot{Precinct: s.precinct, Party: s.party}, s.where); err != nil {
			return err
		}
		return h.learn(s)
	})
	if err != nil {
		return nil, err
	}
	h.number()
	sv.into(h.cat)
	return h.cat, nil
}

func (h *hart) learn(s *hartSheet) error {
	for _, c := range s.contests {
		k, ok := h.contests[c.key()]
		if !ok {
			if k = len(h.cat.Contests); k == maxContests {
				return over(s.where, "more than %d contests", maxContests)
			}
			h.contests[c.key()] = k
			h.cat.Contests = append(h.cat.Contests, Contest{Name: c.name, ID: c.id})
			h.choices = append(h.choices, map[string]int{})
			h.digits = append(h.digits, 0)
		}
		if h.cat.Contests[k].Name != c.name {
			return broken(s.where, ruleIDRepeated, "two contests of different names have the identifier of %q", c.name)
		}
		for _, o := range c.options {
			if err := h.learnRanks(k, o, s.where); err != nil {
				return err
			}
			if err := h.learnChoice(k, o, s.where); err != nil {
				return err
			}
		}
	}
	return nil
}

// learnRanks learns how many ranks a contest has: all its marks have as many
// digits.
func (h *hart) learnRanks(contest int, o hartOption, where string) error {
	if h.digits[contest] == 0 {
		h.digits[contest] = len(o.value)
		if len(o.value) > 1 {
			h.cat.Contests[contest].Ranks = len(o.value)
		}
	}
	if h.digits[contest] != len(o.value) {
		return broken(where, ruleRanked, "the marks of the contest %q have different numbers of ranks", h.cat.Contests[contest].Name)
	}
	return nil
}

func (h *hart) learnChoice(contest int, o hartOption, where string) error {
	c := &h.cat.Contests[contest]
	i, ok := h.choices[contest][o.key()]
	if ok {
		if x := c.Choices[i]; x.Name != o.name || x.WriteIn != o.writeIn {
			return broken(where, ruleIDRepeated, "two choices of different names have one identifier")
		}
		return nil
	}
	if h.count++; h.count > maxChoices {
		return over(where, "more than %d choices", maxChoices)
	}
	h.choices[contest][o.key()] = len(c.Choices)
	c.Choices = append(c.Choices, Choice{Name: o.name, ID: o.id, WriteIn: o.writeIn})
	return nil
}

// number orders contests and choices by name, which the order of the sheets
// cannot influence.
func (h *hart) number() {
	for k := range h.cat.Contests {
		c := &h.cat.Contests[k]
		slices.SortFunc(c.Choices, func(a, b Choice) int { return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.ID, b.ID)) })
	}
	slices.SortFunc(h.cat.Contests, func(a, b Contest) int { return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.ID, b.ID)) })
	h.choices = make([]map[string]int, len(h.cat.Contests))
	for k, c := range h.cat.Contests {
		h.contests[cmp.Or(c.ID, "name:"+c.Name)] = k
		h.choices[k] = map[string]int{}
		for i, x := range c.Choices {
			h.choices[k][cmp.Or(x.ID, "name:"+x.Name)] = i
		}
	}
}

func (h *hart) ballots(ctx context.Context, emit func(*Ballot) error) error {
	return h.each(ctx, func(set hartSet, s *hartSheet) error {
		b := &Ballot{ID: s.guid, Device: set.device, Batch: s.batch, Precinct: s.precinct, Party: s.party, Sheet: s.sheet}
		v := Version{Kind: Original, Current: true}
		for _, c := range s.contests {
			m, err := h.marks(c, s.where)
			if err != nil {
				return err
			}
			v.Contests = append(v.Contests, m)
		}
		b.Versions = []Version{v}
		return emit(b)
	})
}

func (h *hart) marks(c hartContest, where string) (Marks, error) {
	k, ok := h.contests[c.key()]
	if !ok {
		return Marks{}, broken(where, ruleReference, "the export was changed while it was read")
	}
	m := Marks{Contest: k, Overvoted: c.overvoted, Undervoted: c.undervotes > 0}
	for _, o := range c.options {
		i, ok := h.choices[k][o.key()]
		if !ok {
			return Marks{}, broken(where, ruleReference, "the export was changed while it was read")
		}
		for rank, digit := range o.value {
			if digit == '0' {
				continue
			}
			k := Mark{Choice: i, Votes: 1, WriteIn: o.written, Ambiguous: o.unresolved}
			if len(o.value) > 1 {
				k.Rank = rank + 1
			}
			m.Marks = append(m.Marks, k)
		}
	}
	return m, nil
}
