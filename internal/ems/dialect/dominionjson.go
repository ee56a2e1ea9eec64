package dialect

import (
	"context"
	"io/fs"
	"path"
	"strconv"
	"strings"
)

// The manifests of a Dominion JSON export that are read, and those that are not
// needed.
const (
	contestManifest   = "ContestManifest.json"
	candidateManifest = "CandidateManifest.json"
	portionManifest   = "PrecinctPortionManifest.json"
	typeManifest      = "BallotTypeManifest.json"
	groupManifest     = "CountingGroupManifest.json"
	partyManifest     = "PartyManifest.json"
	eventManifest     = "ElectionEventManifest.json"

	unusedManifests = "|BallotTypeContestManifest.json|Configuration.json|DistrictManifest.json|DistrictPrecinctPortionManifest.json|" +
		"DistrictTypeManifest.json|OutstackConditionManifest.json|PrecinctManifest.json|TabulatorManifest.json|"
)

// dominionJSON is one export: its manifests are in memory.
type dominionJSON struct {
	files   *bundle
	notes   *notes
	cat     *Catalogue
	exports []string

	contests map[int]int    // vendor's number to Catalogue.Contests
	choices  map[int][2]int // vendor's number to contest and choice
	portions map[int]Label
	types    map[int]Label
	groups   map[int]Label
}

// manifestItem is one entry of any manifest.
type manifestItem struct {
	where                       string
	id, contest, voteFor, ranks int
	description, kind           string
	hasID, hasContest, hasVotes bool
}

func openDominionJSON(fsys fs.FS, p string, n *notes) (reader, error) {
	files, err := openBundle(fsys, p)
	if err != nil {
		return nil, err
	}
	files.restart()
	d := &dominionJSON{files: files, notes: n, cat: &Catalogue{}}
	if err := d.manifests(); err != nil {
		files.close()
		return nil, err
	}
	return d, nil
}

func (d *dominionJSON) close() error { return d.files.close() }

func (d *dominionJSON) catalogue(context.Context) (*Catalogue, error) { return d.cat, nil }

func (d *dominionJSON) manifests() error {
	d.sortOut()
	if len(d.exports) == 0 {
		return broken(d.files.path, ruleFileMissing, "there is no CvrExport.json and no CvrExport_1.json")
	}
	if err := d.readContests(); err != nil {
		return err
	}
	if err := d.readCandidates(); err != nil {
		return err
	}
	var err error
	for _, m := range []struct {
		name string
		to   *map[int]Label
		all  *[]Label
	}{{portionManifest, &d.portions, &d.cat.Precincts}, {typeManifest, &d.types, &d.cat.Styles}, {groupManifest, &d.groups, &d.cat.Methods}} {
		if *m.to, *m.all, err = d.labels(m.name, true); err != nil {
			return err
		}
	}
	if _, d.cat.Parties, err = d.labels(partyManifest, false); err != nil {
		return err
	}
	_, events, err := d.labels(eventManifest, false)
	if len(events) > 0 {
		d.cat.Election = events[0]
	}
	return err
}

// sortOut tells the files of records from manifests and the rest.
func (d *dominionJSON) sortOut() {
	used := "|" + strings.Join([]string{contestManifest, candidateManifest, portionManifest, typeManifest, groupManifest, partyManifest, eventManifest}, "|") + "|"
	for _, name := range d.files.names {
		base := path.Base(name)
		switch {
		case isCvrExport(base):
			d.exports = append(d.exports, name)
		case !strings.Contains(used+unusedManifests, "|"+base+"|"):
			d.notes.add(d.files.where(name), FileIgnored)
		}
	}
}

func isCvrExport(base string) bool {
	if base == "CvrExport.json" {
		return true
	}
	n, ok := strings.CutPrefix(base, "CvrExport_")
	n, ok2 := strings.CutSuffix(n, ".json")
	_, ok3 := number(n, 1<<30)
	return ok && ok2 && ok3
}

// manifest passes each entry of a manifest's list.
func (d *dominionJSON) manifest(base string, required bool, visit func(manifestItem) error) error {
	name := d.files.find(base)
	if name == "" {
		if required {
			return broken(d.files.path, ruleFileMissing, "there is no %s", base)
		}
		return nil
	}
	r, err := d.files.open(name)
	if err != nil {
		return err
	}
	defer r.Close()
	doc, err := newDocument(r, d.files.where(name), d.notes)
	if err != nil {
		return err
	}
	listed := false
	err = doc.object(func(member string) error {
		switch member {
		case "List":
			listed = true
			return doc.list(func() error { return doc.manifestItem(visit) })
		case "Version":
			return doc.skip()
		}
		return doc.ignore()
	})
	if err == nil && !listed {
		err = doc.broken(ruleMemberMissing, "a manifest must have the member List")
	}
	if err != nil {
		return err
	}
	return doc.end()
}

func (d *document) manifestItem(visit func(manifestItem) error) error {
	m := manifestItem{}
	err := d.object(func(member string) error {
		switch member {
		case "Id":
			m.hasID = true
			return d.integer(&m.id)
		case "Description":
			return d.name(&m.description)
		case "Type":
			return d.text(&m.kind)
		case "ContestId":
			m.hasContest = true
			return d.integer(&m.contest)
		case "VoteFor":
			m.hasVotes = true
			return d.integer(&m.voteFor)
		case "NumOfRanks":
			return d.integer(&m.ranks)
		case "Affiliations", "Disabled", "DistrictId", "ElectionDate", "ElectionSignature", "ExternalId", "Jurisdiction", "NumOfWriteins", "PrecinctId":
			return d.skip()
		}
		return d.ignore()
	})
	if err != nil {
		return err
	}
	m.where = d.where()
	return visit(m)
}

func (d *dominionJSON) readContests() error {
	d.contests = map[int]int{}
	return d.manifest(contestManifest, true, func(m manifestItem) error {
		if len(d.cat.Contests) == maxContests {
			return over(m.where, "more than %d contests", maxContests)
		}
		if !m.hasID || m.description == "" || !m.hasVotes {
			return broken(m.where, ruleMemberMissing, "a contest must have Id, Description and VoteFor")
		}
		if m.voteFor < 1 || m.voteFor > maxVotes || m.ranks < 0 || m.ranks > maxVotes {
			return broken(m.where, ruleVotesAllowed, "VoteFor must be 1 to %d, and NumOfRanks 0 to %d", maxVotes, maxVotes)
		}
		if _, ok := d.contests[m.id]; ok {
			return broken(m.where, ruleIDRepeated, "another contest has this Id")
		}
		d.contests[m.id] = len(d.cat.Contests)
		d.cat.Contests = append(d.cat.Contests, Contest{Name: m.description, ID: strconv.Itoa(m.id), VotesAllowed: m.voteFor, Ranks: m.ranks})
		return nil
	})
}

func (d *dominionJSON) readCandidates() error {
	d.choices = map[int][2]int{}
	return d.manifest(candidateManifest, true, func(m manifestItem) error {
		if len(d.choices) == maxChoices {
			return over(m.where, "more than %d candidates", maxChoices)
		}
		if !m.hasID || !m.hasContest || m.description == "" {
			return broken(m.where, ruleMemberMissing, "a candidate must have Id, ContestId and Description")
		}
		k, ok := d.contests[m.contest]
		if !ok {
			return broken(m.where, ruleReference, "ContestId is no contest of %s", contestManifest)
		}
		if _, ok := d.choices[m.id]; ok {
			return broken(m.where, ruleIDRepeated, "another candidate has this Id")
		}
		c := &d.cat.Contests[k]
		d.choices[m.id] = [2]int{k, len(c.Choices)}
		c.Choices = append(c.Choices, Choice{Name: m.description, ID: strconv.Itoa(m.id), WriteIn: m.kind == "WriteIn" || (m.kind == "" && isWriteIn(m.description))})
		return nil
	})
}

// labels reads a manifest of names.
func (d *dominionJSON) labels(base string, required bool) (map[int]Label, []Label, error) {
	all := map[int]Label{}
	set := labels{}
	err := d.manifest(base, required, func(m manifestItem) error {
		if _, ok := all[m.id]; ok && m.hasID {
			return broken(m.where, ruleIDRepeated, "another entry has this Id")
		}
		x := Label{Name: m.description}
		if m.hasID {
			x.ID = strconv.Itoa(m.id)
			all[m.id] = x
		}
		return set.add(x, m.where)
	})
	return all, set.sorted(), err
}

func (d *dominionJSON) ballots(ctx context.Context, emit func(*Ballot) error) error {
	d.files.restart()
	for _, name := range d.exports {
		if err := d.export(ctx, name, emit); err != nil {
			return err
		}
	}
	return nil
}

func (d *dominionJSON) export(ctx context.Context, name string, emit func(*Ballot) error) error {
	r, err := d.files.open(name)
	if err != nil {
		return err
	}
	defer r.Close()
	doc, err := newDocument(r, d.files.where(name), d.notes)
	if err != nil {
		return err
	}
	found := false
	err = doc.object(func(member string) error {
		switch member {
		case "Sessions":
			found = true
			return doc.list(func() error {
				doc.allow(maxSession)
				s := &session{d: d, doc: doc}
				b, err := s.read()
				if err != nil {
					return err
				}
				if err := ctx.Err(); err != nil {
					return err
				}
				return emit(b)
			})
		case "Version", "ElectionId":
			return doc.skip()
		}
		return doc.ignore()
	})
	if err == nil && !found {
		err = doc.broken(ruleMemberMissing, "the document must have the member Sessions")
	}
	if err != nil {
		return err
	}
	return doc.end()
}
