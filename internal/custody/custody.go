// Package custody is the register of a station's media: which there are, who had
// each one when and under which seal, and what may happen to it next. It answers
// the intake, which asks about each medium before a package of it is admitted.
// It is not the audit log, which has an entry before and after each change here,
// and it reads no medium. What it is told is the word of people (names, numbers
// of seals) and of devices (serial numbers, file-system ids): it compares both
// with what was said before, and proves nothing. Its own disk is checked for
// being well formed, not for being the newest (FORMAT.md, What it does not show).
package custody

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"sallyport/internal/verdict"
)

// State is where a medium is on its way.
type State string

// The states. There is no other.
const (
	Registered State = "registered" // known, and nothing else
	Prepared   State = "prepared"   // empty, ready to be written
	Sealed     State = "sealed"     // a numbered seal is on it
	InTransit  State = "in-transit" // handed over, on its way
	Received   State = "received"   // arrived, the seal is off
	Consumed   State = "consumed"   // read by this station
	Sanitised  State = "sanitised"  // erased
	Retired    State = "retired"    // out of use, for good
)

// States lists all of them in their order.
func States() []State {
	return []State{Registered, Prepared, Sealed, InTransit, Received, Consumed, Sanitised, Retired}
}

// Act is what is done with a medium.
type Act string

// The acts. There is no other.
const (
	Add      Act = "register"
	Prepare  Act = "prepare"
	Seal     Act = "seal"
	HandOver Act = "handover"
	Receive  Act = "receive"
	Consume  Act = "consume" // by the intake alone
	Sanitise Act = "sanitise"
	Retire   Act = "retire"
)

// Acts lists all of them.
func Acts() []Act {
	return []Act{Add, Prepare, Seal, HandOver, Receive, Consume, Sanitise, Retire}
}

// way says from which states an act leads to which one.
type way struct {
	from []State
	to   State
}

// table is every transition that there is; FORMAT.md shows it to people.
//
//   - What is sealed has to be received, and so its seal looked at, before
//     anything else is done with it; or it is sanitised.
//   - A list of seals may name media that others have sealed: they come into the
//     register as sealed and are received without a hand-over seen here.
//   - What was read is empty again only after it was sanitised.
var table = map[Act]way{
	Add:      {[]State{""}, Registered},
	Prepare:  {[]State{Registered, Received, Sanitised}, Prepared},
	Seal:     {[]State{Registered, Prepared, Received}, Sealed},
	HandOver: {[]State{Registered, Prepared, Sealed, InTransit, Received, Consumed, Sanitised}, InTransit},
	Receive:  {[]State{Registered, Sealed, InTransit}, Received},
	Consume:  {[]State{Registered, Prepared, Received}, Consumed},
	Sanitise: {[]State{Registered, Prepared, Sealed, Received, Consumed}, Sanitised},
	Retire:   {[]State{Registered, Prepared, Sealed, InTransit, Received, Consumed, Sanitised}, Retired},
}

// Leads returns the state that an act leads to; ok is false when it is not
// possible from there.
func (a Act) Leads(from State) (to State, ok bool) {
	w := table[a]
	return w.to, slices.Contains(w.from, from)
}

// Next lists what can be done with a medium in this state.
func (s State) Next() []Act {
	var out []Act
	for _, a := range Acts() {
		if _, ok := a.Leads(s); ok {
			out = append(out, a)
		}
	}
	return out
}

// Direction is the way that data may take on a medium, seen from this station.
type Direction string

// The directions. There is no other.
const (
	In   Direction = "in"   // it is read here and never written here
	Out  Direction = "out"  // it is written here and never read here
	Both Direction = "both" // either
)

// Valid says whether d is in the list.
func (d Direction) Valid() bool { return d == In || d == Out || d == Both }

// Mode says how far the intake goes by the register.
type Mode string

// The modes.
const (
	Off      Mode = "off"      // the register is kept, the intake does not ask it
	Known    Mode = "known"    // what is registered has to be as the register says
	Required Mode = "required" // and what is not registered, or was not received, is held
)

// Policy is what a station demands of its media.
type Policy struct {
	Mode Mode
	// SingleUse lets every medium be read once, whatever the register says of it.
	SingleUse bool
	// TwoCustodians wants two different people on either side of a hand-over.
	TwoCustodians bool
}

// Refusal is what the register does not do, for people to put right. Every other
// error of a change means that the register cannot be relied on any more.
type Refusal struct{ problem string }

func (r *Refusal) Error() string { return r.problem }

func refusef(format string, args ...any) error { return &Refusal{fmt.Sprintf(format, args...)} }

// Bounds of what people write, in bytes.
const (
	maxLabel  = 64
	maxSeal   = 64
	maxSerial = 128
	maxFSID   = 128
	maxName   = 100 // of a person
	maxNote   = 512 // also: a place
	maxScope  = 128
	maxPeople = 4 // on either side of a hand-over
)

// plain says why s is no text of at most most bytes that people can read and
// compare; "" when it is one.
func plain(s string, most int) string {
	if len(s) > most {
		return fmt.Sprintf("has %d bytes, at most %d are allowed", len(s), most)
	}
	if !utf8.ValidString(s) {
		return "is not valid UTF-8"
	}
	if s != strings.TrimSpace(s) {
		return "begins or ends with a space"
	}
	for _, r := range s {
		if !strconv.IsPrint(r) {
			return fmt.Sprintf("has the character %U, which cannot be seen", r)
		}
	}
	return ""
}

// word is one text of a request or of a record.
type word struct {
	what, text string
	most       int
	needed     bool
}

// checkWords says which text is not as it has to be; nil when all are.
func checkWords(words ...word) error {
	for _, w := range words {
		if w.needed && w.text == "" {
			return refusef("%s is missing", w.what)
		}
		if why := plain(w.text, w.most); why != "" {
			return refusef("%s %q %s", w.what, verdict.Escape(w.text), why)
		}
	}
	return nil
}

// fold makes texts comparable that people copy by hand.
func fold(s string) string { return strings.ToUpper(s) }

// samePerson compares names as people write them.
func samePerson(a, b string) bool {
	return strings.EqualFold(strings.Join(strings.Fields(a), " "), strings.Join(strings.Fields(b), " "))
}

// samePeople says whether two lists name the same people, in any order.
func samePeople(a, b []string) bool {
	has := func(list []string, name string) bool {
		return slices.ContainsFunc(list, func(s string) bool { return samePerson(s, name) })
	}
	for _, n := range a {
		if !has(b, n) {
			return false
		}
	}
	return len(a) == len(b)
}

// checkPeople holds one side of a hand-over against the rules.
func checkPeople(side string, names []string, two bool) error {
	if len(names) == 0 {
		return refusef("say %s the medium is handed over: name the person", side)
	}
	if len(names) > maxPeople {
		return refusef("%d people are named %s the medium is handed over, at most %d are allowed", len(names), side, maxPeople)
	}
	for i, n := range names {
		if err := checkWords(word{"the name", n, maxName, true}); err != nil {
			return err
		}
		if slices.ContainsFunc(names[:i], func(s string) bool { return samePerson(s, n) }) {
			return refusef("%q is named twice %s the medium is handed over", n, side)
		}
	}
	if two && len(names) < 2 {
		return refusef("this station wants two custodians: name two different people %s the medium is handed over", side)
	}
	return nil
}
