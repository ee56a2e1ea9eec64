package cdf

import "slices"

// mend takes those deviations out of a document that was read leniently which
// need the whole document to be told.
func (d *Document) mend(lenient *deviations) {
	if d.Format == CVR {
		d.mendShared(lenient)
	}
	ids := d.Index()
	_ = d.Root.Walk(func(o *Object) error {
		switch o.class.name {
		case "CVRContestSelection":
			d.mendSelection(o, ids, lenient)
		case "Candidate":
			d.mendPerson(o, ids, lenient)
		}
		return nil
	})
}

// mendShared tells options apart that share an identifier with a candidate or
// with an option of another contest: every option of the document gets that of
// its contest before its own.
func (d *Document) mendShared(lenient *deviations) {
	seen := map[string]bool{}
	var shared *Object
	for _, e := range d.Root.List("Election") {
		for _, o := range sharers(e) {
			if seen[o.ID()] && shared == nil {
				shared = o
			}
			seen[o.ID()] = true
		}
	}
	if shared == nil {
		return
	}
	lenient.addAt(d.file, shared.Pointer()+"/@id", "id-shared", idShared)
	_ = d.Root.Walk(func(o *Object) error {
		switch {
		case sharesID(o.class) && o.class.name != "Candidate" && o.Has("@id"):
			o.Set("@id", o.Parent().ID()+"/"+o.ID())
		case o.class.name == "CVRContestSelection" && o.Has("ContestSelectionId"):
			o.Set("ContestSelectionId", o.Parent().Str("ContestId")+"/"+o.Str("ContestSelectionId"))
		}
		return nil
	})
}

// sharers returns the candidates of an election and the options of its contests.
func sharers(e *Object) []*Object {
	list := e.List("Candidate")
	for _, c := range e.List("Contest") {
		list = append(list, c.List("ContestSelection")...)
	}
	return list
}

// mendSelection replaces a reference to a candidate by one to the only option
// of the contest that stands for this candidate alone.
func (d *Document) mendSelection(o *Object, ids map[string]*Object, lenient *deviations) {
	candidate := ids[o.Str("ContestSelectionId")]
	if candidate.Class() != "Candidate" {
		return
	}
	var option *Object
	for _, s := range ids[o.Parent().Str("ContestId")].List("ContestSelection") {
		if !slices.Equal(s.Refs("CandidateIds"), []string{candidate.ID()}) {
			continue
		}
		if option != nil {
			return
		}
		option = s
	}
	if option != nil {
		o.Set("ContestSelectionId", option.ID())
		lenient.addAt(d.file, o.Pointer()+"/ContestSelectionId", "selection-candidate", "the reference names a candidate; read as the only option of the contest that stands for this candidate alone")
	}
}

// mendPerson leaves out a candidate's reference to a person who is not there.
func (d *Document) mendPerson(o *Object, ids map[string]*Object, lenient *deviations) {
	if id := o.Str("PersonId"); id != "" && ids[id] == nil {
		o.Set("PersonId", nil)
		lenient.addAt(d.file, o.Pointer()+"/PersonId", "person-missing", "the reference to a person who is not in the document was left out")
	}
}
