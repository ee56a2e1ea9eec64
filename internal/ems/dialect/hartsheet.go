package dialect

import (
	"cmp"
	"strings"
)

// hartSheet is one document.
type hartSheet struct {
	where              string
	guid, batch, sheet string
	precinct, party    Label
	contests           []hartContest
}

type hartContest struct {
	name, id   string
	undervotes int
	overvoted  bool
	options    []hartOption
}

type hartOption struct {
	name, id, written   string
	value               string // digits 0 and 1: one, or one for each rank
	writeIn, unresolved bool
}

func (c hartContest) key() string { return cmp.Or(c.id, "name:"+c.name) }
func (o hartOption) key() string  { return cmp.Or(o.id, "name:"+o.name) }

// writeInName stands for a write-in choice that has no name.
const writeInName = "Write-in"

func readHartSheet(where string, data []byte, n *notes) (*hartSheet, error) {
	root, err := parseXML(where, data, hartNamespace, n)
	if err != nil {
		return nil, err
	}
	if root.name != "Cvr" {
		return nil, root.broken(ruleElementUnknown, "the document must be a Cvr")
	}
	s := &hartSheet{where: where}
	for _, e := range root.children {
		if err := s.element(e, n); err != nil {
			return nil, err
		}
	}
	if s.guid == "" {
		return nil, root.broken(ruleRecordID, "there is no CvrGuid")
	}
	return s, root.once("Contests", "CvrGuid", "BatchNumber", "SheetNumber", "PrecinctSplit", "Party")
}

func (s *hartSheet) element(e *element, n *notes) (err error) {
	switch e.name {
	case "CvrGuid":
		s.guid, err = e.value(n, maxID)
	case "BatchNumber":
		s.batch, err = e.value(n, maxID)
	case "SheetNumber":
		s.sheet, err = e.value(n, maxID)
	case "PrecinctSplit":
		s.precinct, err = e.label(n)
	case "Party":
		s.party, err = e.label(n)
	case "Contests":
		for _, c := range e.children {
			if c.name != "Contest" {
				return c.unknown()
			}
			x, err := readHartContest(c, n)
			if err != nil {
				return err
			}
			s.contests = append(s.contests, x)
		}
	case "BatchSequence", "IsBlank":
	default:
		n.add(e.where(), MemberIgnored)
	}
	return err
}

func (e *element) label(n *notes) (l Label, err error) {
	for _, c := range e.children {
		switch c.name {
		case "Name":
			l.Name, err = c.value(n, maxName)
		case "Id":
			l.ID, err = c.value(n, maxID)
		default:
			n.add(c.where(), MemberIgnored)
		}
		if err != nil {
			return l, err
		}
	}
	return l, e.once("Name", "Id")
}

func readHartContest(e *element, n *notes) (c hartContest, err error) {
	for _, x := range e.children {
		switch x.name {
		case "Name":
			c.name, err = x.value(n, maxName)
		case "Id":
			c.id, err = x.value(n, maxID)
		case "Undervotes":
			c.undervotes, err = x.count(n)
		case "Overvoted":
			c.overvoted, err = x.flag(n)
		case "Options":
			c.options, err = readHartOptions(x, n)
		case "InvalidStraightPartyVote":
			err = x.straightParty()
		default:
			err = x.unknown()
		}
		if err != nil {
			return c, err
		}
	}
	if c.name == "" {
		return c, e.broken(ruleElementMissing, "a contest must have a Name")
	}
	return c, e.once("Name", "Id", "Undervotes", "Overvoted", "Options")
}

// straightParty refuses what comes from a vote for a whole party: the format
// does not say what the system made of it.
func (e *element) straightParty() error {
	return e.broken(ruleStraightParty, "votes for a whole party are not read from this format")
}

// flag reads an element that says something by being there, or by its text.
func (e *element) flag(n *notes) (bool, error) {
	s, err := e.value(n, maxID)
	switch {
	case err != nil:
		return false, err
	case s == "", strings.EqualFold(s, "true"), s == "1":
		return true, nil
	case strings.EqualFold(s, "false"), s == "0":
		return false, nil
	}
	return false, e.broken(ruleType, "this must be empty, true or false")
}

// count reads a number of votes.
func (e *element) count(n *notes) (int, error) {
	s, err := e.value(n, maxID)
	if err != nil {
		return 0, err
	}
	k, ok := number(s, maxVotes)
	if !ok {
		return 0, e.broken(ruleType, "this must be a number up to %d", maxVotes)
	}
	return k, nil
}

func readHartOptions(e *element, n *notes) ([]hartOption, error) {
	var out []hartOption
	for _, x := range e.children {
		if x.name != "Option" {
			return nil, x.unknown()
		}
		o, err := readHartOption(x, n)
		if err != nil {
			return nil, err
		}
		out = append(out, o)
	}
	return out, nil
}

func readHartOption(e *element, n *notes) (o hartOption, err error) {
	for _, x := range e.children {
		switch x.name {
		case "Name":
			o.name, err = x.value(n, maxName)
		case "Id":
			o.id, err = x.value(n, maxID)
		case "Value":
			o.value, err = x.hartValue(n)
		case "WriteInData":
			o.writeIn = true
			err = o.writeInData(x, n)
		case "Rules":
			err = x.straightParty()
		default:
			err = x.unknown()
		}
		if err != nil {
			return o, err
		}
	}
	if o.writeIn {
		// Once a write-in was judged, its name is that of the candidate.
		o.written = cmp.Or(o.written, o.name)
		o.name = writeInName
	}
	if o.name == "" || e.first("Value") == nil {
		return o, e.broken(ruleElementMissing, "an option must have a Name, or WriteInData, and a Value")
	}
	o.writeIn = o.writeIn || isWriteIn(o.name)
	return o, e.once("Name", "Id", "Value", "WriteInData")
}

// hartValue reads a mark: 0 or 1, or in a ranked contest a digit for each rank.
func (e *element) hartValue(n *notes) (string, error) {
	s, err := e.value(n, maxID)
	if err == nil && (s == "" || strings.Trim(s, "01") != "") {
		err = e.broken(ruleType, "a Value must be of digits 0 and 1")
	}
	return s, err
}

// writeInData reads what was written, where somebody has typed it in.
func (o *hartOption) writeInData(e *element, n *notes) error {
	var text, original string
	var err error
	for _, x := range e.children {
		switch x.name {
		case "Text":
			text, err = x.value(n, maxName)
		case "OriginalText":
			original, err = x.value(n, maxName)
		case "WriteInDataStatus":
			var s string
			s, err = x.value(n, maxID)
			o.unresolved = strings.EqualFold(s, "Unresolved")
		case "ImageId":
		default:
			n.add(x.where(), MemberIgnored)
		}
		if err != nil {
			return err
		}
	}
	o.written = cmp.Or(text, original)
	return e.once("Text", "OriginalText", "WriteInDataStatus")
}
