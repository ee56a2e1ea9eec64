package logexport

import (
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/tlog"

	"sallyport/internal/audit"
	"sallyport/internal/strictjson"
	"sallyport/internal/translog"
)

const (
	// damagedID and damagedType name a damaged place among the events. They are
	// of the export alone: the catalogue has no such event.
	damagedID   = "export.damaged"
	damagedType = "export"

	maker = "Sallyport"
	model = "Sallyport station"

	// hashNote says what stands in Hash.
	hashNote = "SHA-256 over a zero byte and the entry as it was logged (RFC 6962, 2.1)"
	// exportVersion counts changes of what this package puts into Details.
	exportVersion = 1
)

// event is Event of NIST SP 1500-101, section 3, with the members in the order
// of its XML schema.
type event struct {
	Class            string `json:"@type"`
	Description      string `json:"Description,omitzero"`
	Details          string `json:"Details,omitzero"`
	Disposition      string `json:"Disposition"`
	OtherDisposition string `json:"OtherDisposition,omitzero"`
	Hash             string `json:"Hash,omitzero"`
	ID               string `json:"Id"`
	Sequence         string `json:"Sequence"`
	Severity         string `json:"Severity,omitzero"`
	TimeStamp        string `json:"TimeStamp"`
	Type             string `json:"Type"`
	UserID           string `json:"UserId,omitzero"`
}

// details is what an entry has besides, as canonical JSON in Details. Together
// with the other members of the event it is the whole entry.
type details struct {
	Boot        string            `json:"boot"`
	MonoUS      int64             `json:"mono_us"`
	WallTrusted bool              `json:"wall_trusted"`
	Phase       audit.Phase       `json:"phase"`
	Ref         int64             `json:"ref,omitzero"`
	Subject     audit.Subject     `json:"subject,omitzero"` // the person is UserId
	Outcome     audit.Outcome     `json:"outcome,omitzero"`
	Fields      map[string]string `json:"fields,omitempty"`
}

// damaged is Details of a damaged place, and a line of its own in JSON lines.
type damaged struct {
	Damaged *translog.Damage `json:"damaged"`
}

// logDetails is Details of the whole log.
type logDetails struct {
	Format     string       `json:"format"`
	V          int64        `json:"v"`
	Entries    int64        `json:"entries"` // of the whole log
	Filter     filterDetail `json:"filter,omitzero"`
	Checkpoint string       `json:"checkpoint,omitzero"`
}

// filterDetail is the filter of the export; times are RFC 3339.
type filterDetail struct {
	From    int64         `json:"from,omitzero"`
	To      int64         `json:"to,omitzero"` // first that was not asked for
	Event   string        `json:"event,omitzero"`
	About   string        `json:"about,omitzero"`
	Subject audit.Subject `json:"subject,omitzero"`
	Outcome audit.Outcome `json:"outcome,omitzero"`
	Since   string        `json:"since,omitzero"`
	Until   string        `json:"until,omitzero"`
}

// deviceDetails is Details of the device.
type deviceDetails struct {
	Name         string `json:"name,omitzero"`
	Role         string `json:"role,omitzero"`
	Jurisdiction string `json:"jurisdiction,omitzero"`
	Hash         string `json:"hash"`
}

// leafHash is the hash of an entry in the log's tree, in hex.
func leafHash(logged []byte) string {
	h := tlog.RecordHash(logged)
	return hex.EncodeToString(h[:])
}

// family is the part of an event's id before the dot.
func family(id audit.EventID) string {
	f, _, _ := strings.Cut(string(id), ".")
	return f
}

// toEvent maps an entry.
func toEvent(in *input) (event, error) {
	e := in.Entry
	rest := details{e.Boot, e.MonoUS, e.WallTrusted, e.Phase, e.Ref, e.Subject, e.Outcome, e.Fields}
	rest.Subject.Person = ""
	text, err := strictjson.Encode(rest)
	if err != nil {
		return event{}, err
	}
	ev := event{
		Class: "EventLogging.Event", Description: describe(in.def.Meaning, e), Details: string(text),
		Disposition: e.Outcome.Disposition(), Hash: leafHash(in.logged), ID: string(e.Event),
		Sequence: strconv.FormatInt(e.Seq, 10), Severity: string(in.def.Severity), TimeStamp: e.Wall,
		Type: family(e.Event), UserID: e.Subject.Person,
	}
	if ev.Disposition == "other" {
		ev.OtherDisposition = string(e.Outcome)
	}
	return ev, nil
}

// describe is the catalogue's meaning, and what a reader must not overlook.
func describe(meaning string, e *audit.Entry) string {
	switch e.Phase {
	case audit.PhaseIntent:
		meaning = "Begins: " + meaning
	case audit.PhaseOutcome:
		meaning = fmt.Sprintf("Ended, begun in entry %d: %s", e.Ref, meaning)
	}
	if !e.WallTrusted {
		meaning += " The time is NOT TRUSTED: the station did not vouch for its clock."
	}
	return meaning
}

// damageEvent maps a damaged place. Nobody knows when its entries were made, but
// the schema demands a time: it is that of the export.
func damageEvent(d *translog.Damage, generated string) (event, error) {
	text, err := strictjson.Encode(damaged{d})
	if err != nil {
		return event{}, err
	}
	return event{
		Class: "EventLogging.Event", Description: damagedMeaning, Details: string(text), Disposition: "failure",
		ID: damagedID, Sequence: place(d), Severity: string(audit.Critical), TimeStamp: generated, Type: damagedType,
	}, nil
}

// place names the entries of a damaged place, unlike any entry's number where
// an entry of that number may stand beside it.
func place(d *translog.Damage) string {
	switch {
	case d.Entry < 0:
		return "none"
	case d.Until <= d.Entry:
		return fmt.Sprintf("before %d", d.Entry)
	case d.Until == d.Entry+1:
		return strconv.FormatInt(d.Entry, 10)
	}
	return fmt.Sprintf("%d-%d", d.Entry, d.Until-1)
}

// logText is Details of the whole log.
func (a *About) logText() (string, error) {
	f := filterDetail{From: a.Filter.From, To: a.Filter.To, Event: a.Filter.Event, About: a.Filter.About, Subject: a.Filter.Subject, Outcome: a.Filter.Outcome}
	const form = "2006-01-02T15:04:05.999999999Z"
	if !a.Filter.Since.IsZero() {
		f.Since = a.Filter.Since.UTC().Format(form)
	}
	if !a.Filter.Until.IsZero() {
		f.Until = a.Filter.Until.UTC().Format(form)
	}
	text, err := strictjson.Encode(logDetails{"sallyport.log-export", exportVersion, a.Entries, f, a.Checkpoint})
	return string(text), err
}

// deviceText is Details of the device.
func (a *About) deviceText() (string, error) {
	text, err := strictjson.Encode(deviceDetails{a.Name, a.Role, a.Jurisdiction, hashNote})
	return string(text), err
}

// deviceType is DeviceType and OtherType of NIST SP 1500-101 for the station's
// role; both are empty when the role is not known.
func (a *About) deviceType() (kind, other string) {
	switch a.Role {
	case "":
		return "", ""
	case "ems":
		return "ems", ""
	}
	return "other", a.Role
}

// generated is the time of the export as xsd:dateTime.
func (a *About) generated() string { return a.Generated.Format("2006-01-02T15:04:05Z") }
