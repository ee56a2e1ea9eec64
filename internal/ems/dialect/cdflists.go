package dialect

import "strings"

// cdfLists are the lists of a report by SP 1500-103: what its records refer to.
type cdfLists struct {
	file                string
	test                bool
	election            Label
	parties, units      map[string]string // names by identifier
	candidates          map[string]string
	contests            []cdfContest
	contestAt           map[string]int
	selections, objects int
}

type cdfContest struct {
	Contest
	partyID    string
	selections []cdfSelection
	at         map[string]int // selection's identifier to Contest.Choices
}

type cdfSelection struct {
	id, text   string
	candidates []string
	writeIn    bool
}

func newCDFLists() *cdfLists {
	return &cdfLists{parties: map[string]string{}, units: map[string]string{}, candidates: map[string]string{}, contestAt: map[string]int{}}
}

// named reads an object of which only identifier and name matter, into a list.
func (l *cdfLists) named(d *document, to map[string]string) error {
	var id, name string
	if l.objects++; l.objects > maxChoices {
		return over(d.where(), "more than %d objects in the report's lists", maxChoices)
	}
	err := d.object(func(member string) error {
		switch member {
		case "@id":
			return d.text(&id)
		case "Name":
			return d.name(&name)
		}
		return d.skip()
	})
	if err != nil {
		return err
	}
	if _, ok := to[id]; ok || id == "" {
		return d.broken(ruleIDRepeated, "an @id is empty or stands for two objects")
	}
	to[id] = name
	return nil
}

func (l *cdfLists) readElection(d *document) error {
	if l.election != (Label{}) {
		return d.broken(ruleIDRepeated, "the report has more than one election")
	}
	err := d.object(func(member string) error {
		switch member {
		case "@id":
			return d.text(&l.election.ID)
		case "Name":
			return d.name(&l.election.Name)
		case "Candidate":
			return d.list(func() error { return l.named(d, l.candidates) })
		case "Contest":
			return d.list(func() error { return l.readContest(d) })
		case "@type", "ElectionScopeId", "Code":
			return d.skip()
		}
		return d.ignore()
	})
	if err == nil && l.election.ID == "" {
		err = d.broken(ruleMemberMissing, "the election must have an @id")
	}
	return err
}

func (l *cdfLists) readContest(d *document) error {
	if len(l.contests) == maxContests {
		return over(d.where(), "more than %d contests", maxContests)
	}
	c := cdfContest{at: map[string]int{}}
	class := ""
	err := d.object(func(member string) error {
		switch member {
		case "@id":
			return d.text(&c.ID)
		case "@type":
			return d.text(&class)
		case "Name":
			return d.name(&c.Name)
		case "VotesAllowed":
			return d.integer(&c.VotesAllowed)
		case "PrimaryPartyId":
			return d.text(&c.partyID)
		case "ContestSelection":
			return d.list(func() error { return l.readSelection(d, &c) })
		case "Abbreviation", "VoteVariation", "NumberElected", "Code":
			return d.skip()
		}
		return d.ignore()
	})
	if err != nil {
		return err
	}
	if _, ok := l.contestAt[c.ID]; ok || c.ID == "" {
		return d.broken(ruleIDRepeated, "a contest's @id is empty or stands for two contests")
	}
	if class == "CVR.BallotMeasureContest" && c.VotesAllowed == 0 {
		c.VotesAllowed = 1 // the class has no such member
	}
	if c.VotesAllowed < 0 || c.VotesAllowed > maxVotes {
		return d.broken(ruleVotesAllowed, "VotesAllowed must be 1 to %d", maxVotes)
	}
	l.contestAt[c.ID] = len(l.contests)
	l.contests = append(l.contests, c)
	return nil
}

func (l *cdfLists) readSelection(d *document, c *cdfContest) error {
	if l.selections++; l.selections > maxChoices {
		return over(d.where(), "more than %d choices", maxChoices)
	}
	s := cdfSelection{}
	err := d.object(func(member string) error {
		switch member {
		case "@id":
			return d.text(&s.id)
		case "Selection":
			return d.name(&s.text)
		case "IsWriteIn":
			return d.boolean(&s.writeIn)
		case "CandidateIds":
			return d.list(func() error {
				id := ""
				err := d.text(&id)
				s.candidates = append(s.candidates, id)
				return err
			})
		case "@type", "Code":
			return d.skip()
		}
		return d.ignore()
	})
	if err != nil {
		return err
	}
	if _, ok := c.at[s.id]; ok || s.id == "" {
		return d.broken(ruleIDRepeated, "a selection's @id is empty or stands for two selections of the contest")
	}
	c.at[s.id] = len(c.selections)
	c.selections = append(c.selections, s)
	return nil
}

// catalogue resolves what the lists say of each other.
func (l *cdfLists) catalogue() (*Catalogue, error) {
	cat := &Catalogue{Election: l.election, Test: l.test}
	for i, c := range l.contests {
		if c.partyID != "" {
			name, ok := l.parties[c.partyID]
			if !ok {
				return nil, broken(l.file, ruleReference, "PrimaryPartyId of the contest %q is no party of the report", c.ID)
			}
			l.contests[i].Party = name
		}
		choices, err := l.choices(c)
		if err != nil {
			return nil, err
		}
		l.contests[i].Choices = choices
		cat.Contests = append(cat.Contests, l.contests[i].Contest)
	}
	cat.Precincts, cat.Parties = labelsOf(l.units), labelsOf(l.parties)
	return cat, nil
}

func (l *cdfLists) choices(c cdfContest) ([]Choice, error) {
	out := make([]Choice, 0, len(c.selections))
	for _, s := range c.selections {
		var names []string
		if s.text != "" {
			names = append(names, s.text)
		}
		for _, id := range s.candidates {
			name, ok := l.candidates[id]
			if !ok {
				return nil, broken(l.file, ruleReference, "CandidateIds of the contest %q name no candidate of the report", c.ID)
			}
			names = append(names, name)
		}
		out = append(out, Choice{Name: strings.Join(names, " / "), ID: s.id, WriteIn: s.writeIn})
	}
	return out, nil
}

func labelsOf(m map[string]string) []Label {
	set := labels{}
	for id, name := range m {
		set[Label{Name: name, ID: id}] = struct{}{}
	}
	return set.sorted()
}
