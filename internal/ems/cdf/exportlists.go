package cdf

import (
	"context"
	"errors"
	"strings"
)

// newExport makes all of a report but its records, from the definition.
func (r *Reader) newExport(ctx context.Context, h RecordsHeader) (*export, error) {
	if h.Source == nil || h.Source.Format != BD || h.Definition == nil {
		return nil, errors.New("cannot write records without the ballot definition")
	}
	elections := h.Source.Root.List("Election")
	if len(elections) != 1 {
		return nil, errors.New("cannot write records: the definition must have one election")
	}
	taken := h.Source.Index()
	x := &export{ctx: ctx, doc: r.NewDocument(CVR), def: h.Definition, used: map[string]bool{},
		elect: free(taken, "election", false), prefix: free(taken, "snapshot", true)}
	root := x.doc.Root
	for _, u := range h.Source.Root.List("GpUnit") {
		root.Append("GpUnit", x.unit(u))
	}
	for _, p := range h.Source.Root.List("Party") {
		root.Append("Party", x.doc.New("Party").Set("@id", p.ID()).Set("Name", text1(p.Text("Name"))))
	}
	root.Append("Election", x.election(elections[0]))
	device := x.doc.New("ReportingDevice").Set("@id", h.DeviceID)
	for name, v := range map[string]string{"Application": h.Application, "Manufacturer": h.Manufacturer, "Model": h.DeviceModel, "SerialNumber": h.SerialNumber} {
		device.Set(name, text1(v))
	}
	root.Append("ReportingDevice", device).Append("ReportGeneratingDeviceIds", h.DeviceID).
		Set("GeneratedDate", h.Generated).Set("Notes", text1(h.Notes)).
		Set("ReportType", h.Types).Set("OtherReportType", text1(h.OtherType)).Set("Version", "1.0.0")
	if err := x.doc.Validate(); err != nil {
		return nil, err
	}
	x.ids = x.doc.Index()
	return x, nil
}

// text1 leaves an empty text absent.
func text1(s string) any {
	if s == "" {
		return nil
	}
	return s
}

// free returns an identifier, or the beginning of identifiers, that no object
// of the definition has.
func free(taken map[string]*Object, id string, beginning bool) string {
	for {
		clash := taken[id] != nil
		if beginning {
			for other := range taken {
				clash = clash || strings.HasPrefix(other, id+".")
			}
		}
		switch {
		case clash:
			id += "-"
		case beginning:
			return id + "."
		default:
			return id
		}
	}
}

func (x *export) unit(u *Object) *Object {
	o := x.doc.New("GpUnit").Set("@id", u.ID()).Set("Name", text1(u.Text("Name")))
	switch kind := u.Str("Type"); kind {
	case "combined-precinct", "polling-place", "precinct", "split-precinct", "vote-center":
		o.Set("Type", kind)
	case "other":
		o.Set("Type", kind).Set("OtherType", text1(u.Str("OtherType")))
	default: // SP 1500-103 has fewer types of unit than SP 1500-20
		o.Set("Type", "other").Set("OtherType", kind)
	}
	return o
}

func (x *export) election(e *Object) *Object {
	o := x.doc.New("Election").Set("@id", x.elect).Set("ElectionScopeId", e.Str("ElectionScopeId")).Set("Name", text1(e.Text("Name")))
	for _, id := range e.List("ExternalIdentifier") {
		o.Append("Code", x.code(id))
	}
	for _, c := range e.List("Candidate") {
		o.Append("Candidate", x.doc.New("Candidate").Set("@id", c.ID()).Set("Name", text1(c.Text("BallotName"))).Set("PartyId", c.Str("PartyId")))
	}
	for _, c := range e.List("Contest") {
		o.Append("Contest", x.contest(c))
	}
	return o
}

func (x *export) code(id *Object) *Object {
	c := x.doc.New("Code")
	for _, name := range []string{"Label", "Type", "OtherType", "Value"} {
		if id.Has(name) {
			c.Set(name, id.Str(name))
		}
	}
	return c
}

// contest restates a contest of the definition. SP 1500-103 has no classes for
// contests that control others: they are told by their options.
func (x *export) contest(c *Object) *Object {
	class := c.Class()
	switch class {
	case "StraightPartyContest", "PartyPreferenceContest":
		class = "PartyContest"
	case "ActivationContest":
		class = "BallotMeasureContest"
	}
	o := x.doc.New(class).Set("@id", c.ID())
	for _, name := range []string{"Abbreviation", "Name", "VoteVariation", "OtherVoteVariation"} {
		o.Set(name, text1(c.Str(name)))
	}
	switch class {
	case "CandidateContest":
		o.Set("VotesAllowed", text1(c.Str("VotesAllowed"))).Set("NumberElected", text1(c.Str("NumberElected")))
		if parties := c.Refs("PrimaryPartyIds"); len(parties) == 1 {
			o.Set("PrimaryPartyId", parties[0])
		}
	case "RetentionContest":
		o.Set("CandidateId", c.Str("CandidateId"))
	}
	for _, id := range c.List("ExternalIdentifier") {
		o.Append("Code", x.code(id))
	}
	for _, option := range c.List("ContestOption") {
		o.Append("ContestSelection", x.option(option))
	}
	return o
}

func (x *export) option(o *Object) *Object {
	switch o.Class() {
	case "CandidateOption":
		s := x.doc.New("CandidateSelection").Set("@id", o.ID()).Set("CandidateIds", o.Refs("CandidateIds"))
		if writeIn, ok := o.Bool("IsWriteIn"); ok {
			s.Set("IsWriteIn", writeIn)
		}
		return s
	case "PartyOption":
		return x.doc.New("PartySelection").Set("@id", o.ID()).Set("PartyIds", o.Refs("PartyIds"))
	}
	return x.doc.New("BallotMeasureSelection").Set("@id", o.ID()).Set("Selection", o.Text("Selection"))
}
