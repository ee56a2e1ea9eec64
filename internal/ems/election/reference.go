package election

// references checks that what refers to another object outside of contests and
// styles leads to one of the right class.
func (c *checker) references() {
	e := &c.def.Elections[0]
	c.ref(c.ix.units, e.ScopeID, "/Election/0/ElectionScopeId")
	for i := range c.def.Parties {
		p, at := &c.def.Parties[i], pointer("/Party", i)
		c.refs(c.ix.persons, p.Leaders, at+"/LeaderPersonIds")
		c.refs(c.ix.units, p.Scope, at+"/PartyScopeGpUnitIds")
		c.refs(c.ix.parties, p.Members, at+"/PartyIds")
		c.refs(c.ix.contests, p.Contests, at+"/ContestIds")
	}
	for i := range c.def.Persons {
		c.optional(c.ix.parties, c.def.Persons[i].PartyID, pointer("/Person", i)+"/PartyId")
	}
	for i := range c.def.Offices {
		o, at := &c.def.Offices[i], pointer("/Office", i)
		c.optional(c.ix.units, o.DistrictID, at+"/ElectionDistrictId")
		c.refs(c.ix.persons, o.Holders, at+"/OfficeHolderPersonIds")
	}
	for i := range e.Candidates {
		x, at := &e.Candidates[i], pointer("/Election/0/Candidate", i)
		c.optional(c.ix.parties, x.PartyID, at+"/PartyId")
		c.optional(c.ix.persons, x.PersonID, at+"/PersonId")
		if x.BallotName.IsZero() {
			c.bad(at+"/BallotName", "member-missing", "the candidate needs a name for the ballot")
		}
	}
	for i := range c.def.Units {
		u, at := &c.def.Units[i], pointer("/GpUnit", i)
		c.refs(c.ix.persons, u.AuthorityIDs, at+"/AuthorityIds")
		if u.VotersRegistered != nil && *u.VotersRegistered < 0 {
			c.bad(at+"/VotersRegistered", "value", "a number of voters is not negative")
		}
		for j := range u.Registration {
			c.ref(c.ix.parties, u.Registration[j].PartyID, pointer(at+"/PartyRegistration", j)+"/PartyId")
		}
	}
	c.groups(c.def.Groups, "/OfficeGroup")
}

func (c *checker) groups(list []OfficeGroup, at string) {
	for i := range list {
		here := pointer(at, i)
		c.refs(c.ix.offices, list[i].Offices, here+"/OfficeIds")
		c.groups(list[i].Groups, here+"/SubOfficeGroup")
	}
}

// ref checks a reference that must be there.
func (c *checker) ref(index map[ID]int, id ID, at string) bool {
	if _, ok := index[id]; ok {
		return true
	}
	c.bad(at, "reference", "this refers to an object that is not in the document, or not of the class that may stand here")
	return false
}

func (c *checker) optional(index map[ID]int, id ID, at string) {
	if id != "" {
		c.ref(index, id, at)
	}
}

func (c *checker) refs(index map[ID]int, ids []ID, at string) {
	for i, id := range ids {
		c.ref(index, id, pointer(at, i))
	}
}
