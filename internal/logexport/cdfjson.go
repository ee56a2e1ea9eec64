package logexport

import (
	"bufio"
	"errors"

	"sallyport/internal/strictjson"
	"sallyport/internal/translog"
)

// cdfJSON writes ElectionEventLog as JSON: NIST SP 1500-101, JSON schema of
// version 1. One event is one line.
type cdfJSON struct {
	generated string
	any       bool
}

// device is Device of the schema without its events, which follow in the same
// object.
type device struct {
	Class         string `json:"@type"`
	ID            string `json:"Id"`
	Type          string `json:"Type,omitzero"`
	OtherType     string `json:"OtherType,omitzero"`
	Manufacturer  string `json:"Manufacturer"`
	Model         string `json:"Model"`
	Version       string `json:"Version,omitzero"`
	HashType      string `json:"HashType"`
	OtherHashType string `json:"OtherHashType,omitzero"`
	Details       string `json:"Details"`
}

// head is ElectionEventLog of the schema without its devices.
type head struct {
	Class         string `json:"@type"`
	GeneratedTime string `json:"GeneratedTime"`
	Details       string `json:"Details"`
}

// device describes the station.
func (a *About) device() (device, error) {
	text, err := a.deviceText()
	kind, other := a.deviceType()
	return device{Class: "EventLogging.Device", ID: a.Station, Type: kind, OtherType: other,
		Manufacturer: maker, Model: model, Version: a.Version, HashType: "sha-256", Details: text}, err
}

func (j *cdfJSON) begin(w *bufio.Writer, about *About) error {
	j.generated = about.generated()
	text, err1 := about.logText()
	dev, err2 := about.device()
	doc, err3 := strictjson.Encode(head{"EventLogging.ElectionEventLog", j.generated, text})
	dev1, err4 := strictjson.Encode(dev)
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		return err
	}
	// Both objects stay open for what follows.
	w.Write(doc[:len(doc)-1])
	w.WriteString(`,"Device":[` + "\n")
	w.Write(dev1[:len(dev1)-1])
	_, err := w.WriteString(`,"Event":[`)
	return err
}

func (j *cdfJSON) entry(w *bufio.Writer, in *input) error {
	ev, err := toEvent(in)
	if err != nil {
		return err
	}
	return j.event(w, &ev)
}

func (j *cdfJSON) damage(w *bufio.Writer, d *translog.Damage) error {
	ev, err := damageEvent(d, j.generated)
	if err != nil {
		return err
	}
	return j.event(w, &ev)
}

func (j *cdfJSON) event(w *bufio.Writer, ev *event) error {
	b, err := strictjson.Encode(ev)
	if err != nil {
		return err
	}
	if j.any {
		w.WriteByte(',')
	}
	j.any = true
	w.WriteByte('\n')
	_, err = w.Write(b)
	return err
}

func (j *cdfJSON) end(w *bufio.Writer) error {
	_, err := w.WriteString("\n]}\n]}\n")
	return err
}
