package custody

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"sallyport/internal/naming"
	"sallyport/internal/strictjson"
	"sallyport/internal/verdict"
)

// MaxSteps is the most changes of one medium that people can record. What ends
// its use (read, sanitised, retired) is recorded beyond it.
const MaxSteps = 1000

const (
	lastSteps = 8       // beyond MaxSteps
	maxFile   = 8 << 20 // bytes of one record: MaxSteps of the longest texts
	version   = 1
	timeForm  = time.RFC3339
)

// Description is what is said of a medium when it is registered.
type Description struct {
	Label string `json:"label"` // on the medium, for people; unique
	// Vendor, Product and Serial are those of its USB device, as far as known.
	// The first two have four hexadecimal digits and stand together.
	Vendor  string `json:"vendor,omitzero"`
	Product string `json:"product,omitzero"`
	Serial  string `json:"serial,omitzero"`
	FSID    string `json:"fs_id,omitzero"` // of its file system, as 'sallyport inspect' shows it
	Seal    string `json:"seal,omitzero"`  // number of the seal that is on it already
	// Direction and SingleUse are the policy for this medium.
	Direction    Direction `json:"direction"`
	SingleUse    bool      `json:"single_use"`
	Jurisdiction string    `json:"jurisdiction,omitzero"`
	Election     string    `json:"election,omitzero"`
	Note         string    `json:"note,omitzero"`
}

// Change is what somebody does with a registered medium.
type Change struct {
	Act Act `json:"act"`
	// From and To are the people of a hand-over. Without From it is whoever has
	// the medium by the register.
	From  []string `json:"from,omitempty"`
	To    []string `json:"to,omitempty"`
	Place string   `json:"place,omitzero"`
	// Seal is the number of the seal that is put on, or that was looked at.
	Seal string `json:"seal,omitzero"`
	// SealBroken says that the seal is broken, missing or another one.
	SealBroken bool   `json:"seal_broken,omitzero"`
	FSID       string `json:"fs_id,omitzero"`   // of the file system that is on it now
	Package    string `json:"package,omitzero"` // id of what was written on it
	Note       string `json:"note,omitzero"`    // how it was sanitised, why it is retired
}

// By says who changes something, when, and under which intent of the audit log.
type By struct {
	Seq int64
	At  time.Time
	UID int64 // of whoever asked; [Station] for the station itself
}

// Station is the UID of what no person asked for.
const Station = -1

// What happened to the seal in a step.
const (
	SealOn      = "on"      // it was put on
	SealChecked = "checked" // it was looked at, and stays
	SealOff     = "off"     // it was taken off
)

// Step is one entry of a medium's history.
type Step struct {
	Seq        int64    `json:"seq"` // entry of the audit log that announced it
	At         string   `json:"at"`  // RFC 3339, UTC
	UID        int64    `json:"uid"`
	Act        Act      `json:"act"`
	State      State    `json:"state"` // afterwards
	From       []string `json:"from,omitempty"`
	To         []string `json:"to,omitempty"`
	Place      string   `json:"place,omitzero"`
	Seal       string   `json:"seal,omitzero"`
	SealDone   string   `json:"seal_done,omitzero"`
	SealBroken bool     `json:"seal_broken,omitzero"`
	FSID       string   `json:"fs_id,omitzero"`
	Package    string   `json:"package,omitzero"`
	Note       string   `json:"note,omitzero"`
}

// Reading is one reading of a medium by this station that came to its end.
type Reading struct {
	Seq     int64           `json:"seq"` // entry of the audit log that announced it
	At      string          `json:"at"`
	Medium  string          `json:"medium"` // the intake's id of the insertion
	Verdict verdict.Verdict `json:"verdict"`
	Entry   int64           `json:"entry"` // of the verdict in the audit log
}

// Medium is one record. Identity, policy and note are as they were registered;
// the rest is what its history makes of it.
type Medium struct {
	V            int       `json:"v"`
	ID           string    `json:"id"`
	Seq          int64     `json:"seq"` // of the last change
	State        State     `json:"state"`
	Label        string    `json:"label"`
	Vendor       string    `json:"vendor,omitzero"`
	Product      string    `json:"product,omitzero"`
	Serial       string    `json:"serial,omitzero"`
	FSID         string    `json:"fs_id,omitzero"`
	Seal         string    `json:"seal,omitzero"` // on it now
	Direction    Direction `json:"direction"`
	SingleUse    bool      `json:"single_use"`
	Jurisdiction string    `json:"jurisdiction,omitzero"`
	Election     string    `json:"election,omitzero"`
	Note         string    `json:"note,omitzero"`
	Package      string    `json:"package,omitzero"` // written on it here
	Holders      []string  `json:"holders"`          // who has it; empty while nobody was named
	// Broken says that a seal was not as it had to be; the medium is of no use
	// until it is sanitised.
	Broken   bool     `json:"broken,omitzero"`
	Readings int64    `json:"readings,omitzero"`
	Last     *Reading `json:"last,omitzero"`
	History  []Step   `json:"history"`
}

var (
	idForm      = regexp.MustCompile(`^[0-9a-f]{16}$`)
	packageForm = regexp.MustCompile(`^[0-9a-f]{32}$`)
	usbForm     = regexp.MustCompile(`^[0-9a-f]{4}$`)
)

// NewID makes the id of a new medium.
func NewID() string {
	b := make([]byte, 8)
	rand.Read(b) // never fails (crypto/rand)
	return hex.EncodeToString(b)
}

// check says what is wrong with a description.
func (d *Description) check() error {
	if err := checkWords(
		word{"the label", d.Label, maxLabel, true}, word{"the serial number", d.Serial, maxSerial, false},
		word{"the file-system id", d.FSID, maxFSID, false}, word{"the seal number", d.Seal, maxSeal, false},
		word{"the note", d.Note, maxNote, false},
	); err != nil {
		return err
	}
	switch {
	case !d.Direction.Valid():
		return refusef("the direction is %q; use in, out or both", verdict.Escape(string(d.Direction)))
	case d.Serial == "" && d.FSID == "":
		return refusef("nothing would tell the medium from others: give its serial number, its file-system id or both")
	case d.Serial != "" && !plausible(d.Serial):
		return refusef("the serial number %q is one that many devices share: leave it out, and give the file-system id", d.Serial)
	case d.FSID != "" && !telling(d.FSID):
		return refusef("the file-system id %q tells nothing", d.FSID)
	case (d.Vendor == "") != (d.Product == "") || d.Vendor != "" && (!usbForm.MatchString(d.Vendor) || !usbForm.MatchString(d.Product) || d.Serial == ""):
		return refusef("vendor and product are %q and %q; they have four hexadecimal digits in lower case each, and stand before a serial number", verdict.Escape(d.Vendor), verdict.Escape(d.Product))
	case d.Jurisdiction != "" && !naming.IsScope(d.Jurisdiction):
		return refusef("the jurisdiction is %q", verdict.Escape(d.Jurisdiction))
	case d.Election != "" && !naming.IsScope(d.Election):
		return refusef("the election is %q", verdict.Escape(d.Election))
	}
	return nil
}

// newRecord makes the record of a medium that is registered; a seal that is on it
// already is a step of its own.
func newRecord(id string, d *Description, by By) (*Medium, error) {
	if err := d.check(); err != nil {
		return nil, err
	}
	m := &Medium{V: version, ID: id, Label: d.Label, Vendor: d.Vendor, Product: d.Product, Serial: d.Serial, Direction: d.Direction, SingleUse: d.SingleUse,
		Jurisdiction: d.Jurisdiction, Election: d.Election, Note: d.Note, Holders: []string{}, History: []Step{}}
	if err := m.apply(by.step(Add, Step{FSID: d.FSID})); err != nil {
		return nil, err
	}
	if d.Seal == "" {
		return m, nil
	}
	return m, m.apply(by.step(Seal, Step{Seal: d.Seal, SealDone: SealOn}))
}

// step completes a step.
func (by By) step(a Act, s Step) Step {
	s.Seq, s.At, s.UID, s.Act, s.State = by.Seq, by.At.UTC().Format(timeForm), by.UID, a, table[a].to
	return s
}

// apply carries out a step. It is the one place where a record changes, for new
// steps and for those that are read back.
func (m *Medium) apply(s Step) error {
	to, ok := s.Act.Leads(m.State)
	if !ok {
		return m.impossible(s.Act)
	}
	if err := s.check(m); err != nil {
		return err
	}
	switch s.Act {
	case Add:
		m.FSID = s.FSID
	case Prepare:
		m.FSID, m.Package = s.FSID, ""
	case Seal:
		m.Seal, m.Package = s.Seal, s.Package
		if s.FSID != "" {
			m.FSID = s.FSID
		}
	case HandOver, Receive:
		m.Holders = s.To
		if s.FSID != "" {
			m.FSID = s.FSID
		}
		if s.SealDone == SealOff {
			m.Seal = ""
		}
		m.Broken = m.Broken || s.SealBroken
	case Consume:
		m.Readings++
	case Sanitise:
		m.FSID, m.Package, m.Seal, m.Broken = s.FSID, "", "", false
	}
	m.State, m.Seq = to, s.Seq
	m.History = append(m.History, s)
	return nil
}

// impossible says why an act cannot follow, and what can.
func (m *Medium) impossible(a Act) error {
	var can []string
	for _, n := range m.State.Next() {
		if n != Consume {
			can = append(can, string(n))
		}
	}
	if len(can) == 0 {
		return refusef("medium %s is %s, and nothing can be done with it any more", m.Name(), m.State)
	}
	return refusef("medium %s is %s, so '%s' is not possible now; possible are %s", m.Name(), m.State, a, strings.Join(can, ", "))
}

// Name is how people find a medium: its label and the beginning of its id.
func (m *Medium) Name() string { return fmt.Sprintf("%q (%.8s)", m.Label, m.ID) }

// check holds a step against the record before it.
func (s *Step) check(m *Medium) error {
	if err := checkWords(
		word{"the place", s.Place, maxNote, false}, word{"the seal number", s.Seal, maxSeal, false},
		word{"the file-system id", s.FSID, maxFSID, false}, word{"the note", s.Note, maxNote, false},
	); err != nil {
		return err
	}
	if s.moves() {
		if err := checkPeople("by whom", s.From, false); err != nil {
			return err
		}
		if err := checkPeople("to whom", s.To, false); err != nil {
			return err
		}
	}
	switch {
	case !s.moves() && len(s.From)+len(s.To) > 0:
		return refusef("'%s' names no people", s.Act)
	case s.Place != "" && !s.moves():
		return refusef("'%s' has no place", s.Act)
	case s.moves() && len(m.Holders) > 0 && !samePeople(s.From, m.Holders):
		return refusef("by the register %s has medium %s, and not %s: record the hand-over between them first", people(m.Holders), m.Name(), people(s.From))
	case s.moves() && samePeople(s.From, s.To):
		return refusef("%s cannot hand the medium over to the same people", people(s.From))
	case s.FSID != "" && s.Act != Add && s.Act != Prepare && s.Act != Seal && s.Act != Receive && s.Act != Sanitise:
		return refusef("'%s' says nothing of a file system", s.Act)
	case s.FSID != "" && !telling(s.FSID):
		return refusef("the file-system id %q tells nothing", s.FSID)
	case s.Package != "" && s.Act != Seal:
		return refusef("'%s' concerns no package", s.Act)
	case s.Package != "" && !packageForm.MatchString(s.Package):
		return refusef("%q is no package id: it has 32 hexadecimal digits", verdict.Escape(s.Package))
	case s.Package != "" && m.Direction == In:
		return refusef("medium %s is for data that comes in: this station writes no package on it", m.Name())
	case m.Broken && (s.Act == Prepare || s.Act == Seal):
		return refusef("a seal of medium %s was broken: sanitise it first", m.Name())
	}
	return s.checkSeal(m)
}

// moves says whether a step takes a medium from people to people.
func (s *Step) moves() bool { return s.Act == HandOver || s.Act == Receive }

// checkSeal demands that each seal that is on a medium is looked at whenever it
// changes hands, and accounted for.
func (s *Step) checkSeal(m *Medium) error {
	want := ""
	switch {
	case s.Act == Seal:
		want = SealOn
	case s.moves() && m.Seal != "" && (s.SealBroken || s.Act == Receive):
		want = SealOff
	case s.moves() && m.Seal != "":
		want = SealChecked
	}
	switch {
	case s.SealDone != want:
		return refusef("the seal is said to be %q, it has to be %q", s.SealDone, want)
	case want == "" && (s.Seal != "" || s.SealBroken):
		return refusef("by the register no seal is on medium %s; 'seal' puts one on", m.Name())
	case want == SealOn && (s.Seal == "" || s.SealBroken):
		return refusef("give the number of the seal")
	case want == SealOn || want == "" || s.SealBroken:
	case s.Seal == "":
		return refusef("the seal %s is on medium %s: look at it and give its number; when it is broken, missing or another one, say so", m.Seal, m.Name())
	case fold(s.Seal) != fold(m.Seal):
		return refusef("the seal on medium %s is %s by the register, and not %s: look again; when it is broken, missing or another one, say so", m.Name(), m.Seal, s.Seal)
	}
	return nil
}

func people(names []string) string {
	if len(names) == 0 {
		return "nobody"
	}
	return strings.Join(names, " and ")
}

// do makes the step of a change and applies it, when the policy allows that.
func (m *Medium) do(c Change, by By, p Policy) error {
	if c.Act == Add || c.Act == Consume || !slices.Contains(Acts(), c.Act) {
		return refusef("'%s' is nothing that people do with a registered medium", verdict.Escape(string(c.Act)))
	}
	if _, ok := c.Act.Leads(m.State); !ok {
		return m.impossible(c.Act)
	}
	if len(m.History) >= MaxSteps && c.Act != Sanitise && c.Act != Retire {
		return refusef("medium %s has %d entries, and a record has no room for more: retire it", m.Name(), len(m.History))
	}
	s := by.step(c.Act, Step{From: c.From, To: c.To, Place: c.Place, Seal: c.Seal, SealBroken: c.SealBroken, FSID: c.FSID, Package: c.Package, Note: c.Note})
	switch {
	case c.Act == Seal:
		s.SealDone = SealOn
	case s.moves():
		if len(s.From) == 0 {
			s.From = m.Holders
		}
		// The people who have it were named under the rules of their time.
		if err := checkPeople("by whom", s.From, p.TwoCustodians && len(m.Holders) == 0); err != nil {
			return err
		}
		if err := checkPeople("to whom", s.To, p.TwoCustodians); err != nil {
			return err
		}
		if m.Seal != "" {
			s.SealDone = SealChecked
			if c.SealBroken || c.Act == Receive {
				s.SealDone = SealOff
			}
		}
	case c.Act == Prepare && m.Readings > 0 && (p.SingleUse || m.SingleUse):
		return refusef("medium %s was read once and is for one use: retire it", m.Name())
	case (c.Act == Sanitise || c.Act == Retire) && c.Note == "":
		return refusef("say how the medium was sanitised, or why it is retired")
	}
	return m.apply(s)
}

// use records a reading. One of a medium that is somewhere else by now changes
// its state no more.
func (m *Medium) use(r Reading, by By) error {
	r.Seq, r.At = by.Seq, by.At.UTC().Format(timeForm)
	if _, ok := Consume.Leads(m.State); ok && len(m.History) < MaxSteps+lastSteps {
		if err := m.apply(by.step(Consume, Step{})); err != nil {
			return err
		}
	} else {
		m.Readings++
	}
	m.Seq, m.Last = by.Seq, &r
	return nil
}

// holds says whether the record has the change that an intent announced.
func (m *Medium) holds(seq int64) bool {
	return m.Last != nil && m.Last.Seq == seq || slices.ContainsFunc(m.History, func(s Step) bool { return s.Seq == seq })
}

// parse reads a record and goes its whole way again: what the history does not
// make of it is not believed.
func parse(data []byte) (*Medium, error) {
	m := &Medium{}
	if err := strictjson.DecodeCanonical(data, m, maxFile); err != nil {
		return nil, err
	}
	if m.V != version || !idForm.MatchString(m.ID) {
		return nil, fmt.Errorf("it has the version %d and the id %q", m.V, verdict.Escape(m.ID))
	}
	if len(m.History) == 0 || len(m.History) > MaxSteps+lastSteps {
		return nil, fmt.Errorf("it has %d steps", len(m.History))
	}
	d := Description{Label: m.Label, Vendor: m.Vendor, Product: m.Product, Serial: m.Serial, FSID: m.History[0].FSID, Direction: m.Direction, SingleUse: m.SingleUse,
		Jurisdiction: m.Jurisdiction, Election: m.Election, Note: m.Note}
	if err := d.check(); err != nil {
		return nil, err
	}
	again := &Medium{ID: m.ID, Label: m.Label, Direction: m.Direction, Holders: []string{}, History: make([]Step, 0, len(m.History))}
	for i, s := range m.History {
		if _, err := time.Parse(timeForm, s.At); err != nil || s.Seq < 0 || s.UID < Station {
			return nil, fmt.Errorf("step %d has no valid time, entry or user", i+1)
		}
		if i > 0 && s.Act == Consume && m.Last == nil {
			return nil, fmt.Errorf("step %d is a reading that the record does not have", i+1)
		}
		if err := again.apply(s); err != nil {
			return nil, fmt.Errorf("step %d: %w", i+1, err)
		}
		if s.State != again.State {
			return nil, fmt.Errorf("step %d leads to %q, the record says %q", i+1, again.State, verdict.Escape(string(s.State)))
		}
	}
	if l := m.Last; l != nil {
		if _, err := time.Parse(timeForm, l.At); err != nil || l.Seq < 0 || l.Entry < 0 || l.Medium == "" || plain(l.Medium, maxName) != "" || l.Verdict != verdict.Accepted && l.Verdict != verdict.Held {
			return nil, errors.New("its last reading is not well formed")
		}
	}
	last := m.Seq == again.Seq || m.Last != nil && m.Seq == m.Last.Seq
	if m.State != again.State || m.FSID != again.FSID || m.Seal != again.Seal || m.Package != again.Package || m.Broken != again.Broken ||
		!slices.Equal(m.Holders, again.Holders) || m.Readings < again.Readings || (m.Readings > 0) != (m.Last != nil) || !last {
		return nil, errors.New("it does not say what its history makes of it")
	}
	return m, nil
}
