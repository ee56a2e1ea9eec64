package define

import (
	"cmp"
	"fmt"

	"sallyport/internal/ems/election"
)

// candidateTable has a row for each candidate, with the option by which the
// candidate stands.
func candidateTable() *class {
	c := &class{name: candidateClass, file: "candidates.csv", key: "id",
		ids: func(d *draft) []ID {
			return idsOf(d.election().Candidates, func(c *election.Candidate) ID { return c.ID })
		},
		create: func(d *draft, id ID, _ map[string]string) error {
			d.election().Candidates = append(d.election().Candidates, election.Candidate{ID: id})
			return nil
		},
		link:   func(d *draft, id ID, cells map[string]string) error { return d.link(id, cells) },
		remove: func(d *draft, id ID) { d.withdraw(id) },
		columns: []column{
			{name: "contest", fixed: true, refs: contestClass, set: func(*draft, ID, string) error { return nil },
				get: func(d *draft, id ID) string { return d.standing[id].contest }},
			{name: "ticket_with", fixed: true, refs: candidateClass, set: func(*draft, ID, string) error { return nil }, get: ticketWith},
			{name: "option", fixed: true, set: func(*draft, ID, string) error { return nil }, get: optionID},
			textColumn("name", "BallotName", candidatePart(func(c *election.Candidate) *election.Text { return &c.BallotName })).needed(),
			refColumn("party", "PartyId", partyClass, candidatePart(func(c *election.Candidate) *ID { return &c.PartyID })),
			refsColumn("endorsements", "EndorsementPartyIds", partyClass, firstOnTicket(func(o *election.CandidateOption) *[]ID { return &o.Endorsements })),
			touching(numberColumn("order", "SequenceOrder", firstOnTicket(func(o *election.CandidateOption) **int64 { return &o.SequenceOrder }))),
			boolColumn("write_in", "IsWriteIn", firstOnTicket(func(o *election.CandidateOption) *bool { return &o.WriteIn })),
			boolColumn("incumbent", "IsIncumbent", candidatePart(func(c *election.Candidate) *bool { return &c.Incumbent })),
			boolColumn("top_ticket", "IsTopTicket", candidatePart(func(c *election.Candidate) *bool { return &c.TopTicket })),
			stringColumn("read_name", "ReadName", candidatePart(func(c *election.Candidate) *string { return &c.ReadName })),
			wordColumn("status", "PreElectionStatus", candidatePart(func(c *election.Candidate) *string { return &c.PreElectionStatus }), "filed", "qualified", "withdrawn"),
			dateColumn("file_date", "FileDate", candidatePart(func(c *election.Candidate) *string { return &c.FileDate })),
			textColumn("slogan", "CampaignSlogan", candidatePart(func(c *election.Candidate) *election.Text { return &c.CampaignSlogan })),
		}}
	c.columns = append(c.columns, identifierColumns(candidatePart(func(c *election.Candidate) *[]election.ExternalID { return &c.ExternalIDs }))...)
	return c
}

func candidatePart[T any](p func(*election.Candidate) *T) place[T] {
	return func(d *draft, id ID) *T {
		if c := d.candidate(id); c != nil {
			return p(c)
		}
		return nil
	}
}

// firstOnTicket is a value of the option, in the row of its first candidate.
func firstOnTicket[T any](p func(*election.CandidateOption) *T) place[T] {
	return func(d *draft, id ID) *T {
		if s, ok := d.standing[id]; ok && s.option.Candidates[0] == id {
			return p(s.option)
		}
		return nil
	}
}

func ticketWith(d *draft, id ID) string {
	if s, ok := d.standing[id]; ok && s.option.Candidates[0] != id {
		return s.option.Candidates[0]
	}
	return ""
}

func optionID(d *draft, id ID) string {
	if s, ok := d.standing[id]; ok && s.option.Candidates[0] == id && s.option.ID != defaultOption(id) {
		return s.option.ID
	}
	return ""
}

func defaultOption(candidate ID) ID { return "option-" + candidate }

// link gives a candidate its option: a new one, or a place on a ticket.
func (d *draft) link(id ID, cells map[string]string) error {
	contest, first := cells["contest"], cells["ticket_with"]
	if first != "" {
		return d.joinTicket(id, first, cells)
	}
	if contest == "" {
		if cells["option"] != "" {
			return faultf("column-kind", "a candidate who stands in no contest has no option: leave it empty")
		}
		return nil
	}
	if err := d.known(contestClass, contest); err != nil {
		return err
	}
	o := &election.CandidateOption{Candidates: []ID{id}}
	o.ID = cmp.Or(cells["option"], defaultOption(id))
	return d.addOption(contest, o)
}

func (d *draft) joinTicket(id, first ID, cells map[string]string) error {
	s, ok := d.standing[first]
	switch {
	case !ok:
		return &fault{rule: "reference", text: fmt.Sprintf("ticket_with: no candidate %q stands in a contest", first), class: candidateClass, id: first}
	case s.option.Candidates[0] != first:
		return faultf("ticket", "ticket_with must name the first candidate of the ticket, %q", s.option.Candidates[0])
	case cells["contest"] != "" && cells["contest"] != s.contest:
		return faultf("ticket", "the ticket stands in the contest %q", s.contest)
	case cells["option"] != "":
		return faultf("ticket", "the option of a ticket stands in the row of its first candidate")
	}
	s.option.Candidates = append(s.option.Candidates, id)
	d.standing[id] = s
	return nil
}

// withdraw takes a candidate out of the election and off the ballot.
func (d *draft) withdraw(id ID) {
	if s, ok := d.standing[id]; ok {
		s.option.Candidates = without(s.option.Candidates, func(x *ID) bool { return *x == id })
		if len(s.option.Candidates) == 0 {
			d.dropOption(s.contest, s.option.ID)
		}
	}
	d.election().Candidates = without(d.election().Candidates, func(c *election.Candidate) bool { return c.ID == id })
}
