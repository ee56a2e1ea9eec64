package define

import (
	"cmp"
	"math"
	"slices"
	"strconv"

	"sallyport/internal/ems/election"
)

// addOption adds an option to a contest; where it stands is settled when all is known.
func (d *draft) addOption(contest ID, o election.Option) error {
	if err := checkID(o.Base().ID); err != nil {
		return err
	}
	if err := d.put(o.Base().ID, slot{class: optionClass, option: o, contest: contest}); err != nil {
		return err
	}
	b := d.contest(contest).Base()
	b.Options = append(b.Options, o)
	d.stands(contest, o)
	d.touched[contest] = true
	return nil
}

func (d *draft) dropOption(contest, id ID) {
	b := d.contest(contest).Base()
	b.Options = without(b.Options, func(o *election.Option) bool { return (*o).Base().ID == id })
	delete(d.at, id)
	d.touched[contest] = true
}

// touching is a column that changes where an option stands.
func touching(c column) column {
	set := c.set
	c.set = func(d *draft, id ID, value string) error {
		d.touched[d.at[id].contest] = true
		d.touched[d.standing[id].contest] = true
		return set(d, id, value)
	}
	return c
}

// optionTable holds the options that are no candidates: answers, parties, and
// write-in places with an id of their own.
func optionTable() *class {
	return &class{name: optionClass, file: "options.csv", key: "id",
		ids:    optionIDs,
		create: func(d *draft, id ID, cells map[string]string) error { return d.createOption(id, cells) },
		remove: func(d *draft, id ID) { d.dropOption(d.at[id].contest, id) },
		columns: []column{
			{name: "contest", fixed: true, need: true, refs: contestClass, set: func(*draft, ID, string) error { return nil },
				get: func(d *draft, id ID) string { return d.at[id].contest }},
			{name: "kind", member: "@type", fixed: true, need: true, set: func(*draft, ID, string) error { return nil }, get: optionKind},
			textColumn("text", "Selection", answerText),
			refsColumn("parties", "PartyIds", partyClass, optionPart(func(o *election.PartyOption) *[]ID { return &o.Parties })),
			boolColumn("activates", "CausesActivation", optionPart(func(o *election.ActivationOption) *bool { return &o.Activates })),
			touching(numberColumn("order", "SequenceOrder", anyOption)),
		}}
}

// optionIDs are the options that have rows here: not those of candidates, and
// not the write-in places that a number in contests.csv makes.
func optionIDs(d *draft) (out []ID) {
	for _, c := range d.election().Contests {
		slots := writeIns(c.Base())
		for _, o := range c.Base().Options {
			if x, ok := o.(*election.CandidateOption); ok && (len(x.Candidates) > 0 || slices.Contains(slots, x.ID)) {
				continue
			}
			out = append(out, o.Base().ID)
		}
	}
	return out
}

// The words for the classes of options.
const (
	answerOption     = "answer"
	partyOption      = "party"
	activationOption = "activation"
	writeInOption    = "write-in"
)

func optionKind(d *draft, id ID) string {
	switch d.at[id].option.(type) {
	case *election.BallotMeasureOption:
		return answerOption
	case *election.PartyOption:
		return partyOption
	case *election.ActivationOption:
		return activationOption
	case *election.CandidateOption:
		return writeInOption
	}
	return ""
}

func (d *draft) createOption(id ID, cells map[string]string) error {
	if err := d.known(contestClass, cells["contest"]); err != nil {
		return err
	}
	var o election.Option
	switch cells["kind"] {
	case answerOption:
		o = &election.BallotMeasureOption{}
	case partyOption:
		o = &election.PartyOption{}
	case activationOption:
		o = &election.ActivationOption{}
	case writeInOption:
		o = &election.CandidateOption{WriteIn: true}
	default:
		return faultf("value", "the kind %q of an option is none of: answer, party, activation, write-in (candidates stand in candidates.csv)", cells["kind"])
	}
	o.Base().ID = id
	return d.addOption(cells["contest"], o)
}

func optionPart[O election.Option, T any](p func(O) *T) place[T] {
	return func(d *draft, id ID) *T {
		if o, ok := d.at[id].option.(O); ok {
			return p(o)
		}
		return nil
	}
}

func anyOption(d *draft, id ID) **int64 {
	if o := d.at[id].option; o != nil {
		return &o.Base().SequenceOrder
	}
	return nil
}

func answerText(d *draft, id ID) *election.Text {
	switch o := d.at[id].option.(type) {
	case *election.BallotMeasureOption:
		return &o.Selection
	case *election.ActivationOption:
		return &o.Selection
	}
	return nil
}

// maxWriteIns is the most places to write a name that a number can make.
const maxWriteIns = 100

func writeInID(contest ID, n int) ID { return contest + "-write-in-" + strconv.Itoa(n) }

// writeIns are the places to write a name at the end of a contest that have the
// identifiers which the column write_ins gives.
func writeIns(b *election.ContestBase) (out []ID) {
	for n := 1; n <= maxWriteIns; n++ {
		i := slices.IndexFunc(b.Options, func(o election.Option) bool { return o.Base().ID == writeInID(b.ID, n) })
		if i < 0 {
			return out
		}
		o, ok := b.Options[i].(*election.CandidateOption)
		if !ok || !o.WriteIn || len(o.Candidates) > 0 {
			return out
		}
		out = append(out, o.ID)
	}
	return out
}

func writeInsColumn() column {
	return column{name: "write_ins",
		get: func(d *draft, id ID) string {
			if n := len(writeIns(d.contest(id).Base())); n > 0 {
				return strconv.Itoa(n)
			}
			return ""
		},
		set: func(d *draft, id ID, value string) error {
			n, err := whole(cmp.Or(value, "0"))
			if err != nil {
				return err
			}
			if n > maxWriteIns {
				return faultf("value", "a contest has at most %d places to write a name", maxWriteIns)
			}
			return d.setWriteIns(id, int(n))
		}}
}

func (d *draft) setWriteIns(contest ID, n int) error {
	have := writeIns(d.contest(contest).Base())
	for len(have) > n {
		d.dropOption(contest, have[len(have)-1])
		have = have[:len(have)-1]
	}
	for k := len(have) + 1; k <= n; k++ {
		o := &election.CandidateOption{WriteIn: true}
		o.ID = writeInID(contest, k)
		if err := d.addOption(contest, o); err != nil {
			return err
		}
	}
	return nil
}

// isWriteIn says whether an option is a place to write a name.
func isWriteIn(o election.Option) bool {
	x, ok := o.(*election.CandidateOption)
	return ok && x.WriteIn && len(x.Candidates) == 0
}

// arrange puts the options of the contests that were touched in order:
// numbered ones first, then candidates, then answers; places to write a name
// last, always.
func (d *draft) arrange() {
	type place struct {
		writeIn, order int64
		answer         int
	}
	of := func(o election.Option) (p place) {
		p.order = math.MaxInt64
		if n := o.Base().SequenceOrder; n != nil {
			p.order = *n
		}
		if isWriteIn(o) {
			p.writeIn = 1
		}
		if _, ok := o.(*election.CandidateOption); !ok {
			p.answer = 1
		}
		return p
	}
	for id := range d.touched {
		c := d.contest(id)
		if c == nil {
			continue
		}
		slices.SortStableFunc(c.Base().Options, func(a, b election.Option) int {
			x, y := of(a), of(b)
			return cmp.Or(cmp.Compare(x.writeIn, y.writeIn), cmp.Compare(x.order, y.order), cmp.Compare(x.answer, y.answer))
		})
	}
}
