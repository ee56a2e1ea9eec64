package logexport

import (
	"bufio"
	"strconv"
	"unicode/utf8"

	"sallyport/internal/translog"
)

const (
	xmlHead  = `<?xml version="1.0" encoding="UTF-8"?>` + "\n"
	xmlSpace = "http://itl.nist.gov/ns/voting/1500-101/v1"
)

// cdfXML writes ElectionEventLog as XML: NIST SP 1500-101, XML schema of
// version 1, whose order of elements puts the device's facts behind its events.
type cdfXML struct{ about About }

func (x *cdfXML) begin(w *bufio.Writer, about *About) error {
	x.about = *about
	text, err := about.logText()
	if err != nil {
		return err
	}
	dev, err := about.deviceText()
	if err != nil {
		return err
	}
	w.WriteString(xmlHead + `<ElectionEventLog xmlns="` + xmlSpace + `">` + "\n")
	element(w, "Details", text)
	w.WriteString("\n<Device>\n")
	element(w, "Details", dev)
	return w.WriteByte('\n')
}

func (x *cdfXML) entry(w *bufio.Writer, in *input) error {
	ev, err := toEvent(in)
	if err != nil {
		return err
	}
	return x.event(w, &ev)
}

func (x *cdfXML) damage(w *bufio.Writer, d *translog.Damage) error {
	ev, err := damageEvent(d, x.about.generated())
	if err != nil {
		return err
	}
	return x.event(w, &ev)
}

func (x *cdfXML) event(w *bufio.Writer, ev *event) error {
	w.WriteString("<Event>")
	optional(w, "Description", ev.Description)
	optional(w, "Details", ev.Details)
	element(w, "Disposition", ev.Disposition)
	optional(w, "OtherDisposition", ev.OtherDisposition)
	optional(w, "Hash", ev.Hash)
	element(w, "Id", ev.ID)
	element(w, "Sequence", ev.Sequence)
	optional(w, "Severity", ev.Severity)
	element(w, "TimeStamp", ev.TimeStamp)
	element(w, "Type", ev.Type)
	optional(w, "UserId", ev.UserID)
	_, err := w.WriteString("</Event>\n")
	return err
}

func (x *cdfXML) end(w *bufio.Writer) error {
	kind, other := x.about.deviceType()
	element(w, "HashType", "sha-256")
	element(w, "Id", x.about.Station)
	element(w, "Manufacturer", maker)
	element(w, "Model", model)
	optional(w, "Type", kind)
	optional(w, "OtherType", other)
	optional(w, "Version", x.about.Version)
	w.WriteString("\n</Device>\n")
	element(w, "GeneratedTime", x.about.generated())
	_, err := w.WriteString("\n</ElectionEventLog>\n")
	return err
}

// optional writes an element unless it is empty.
func optional(w *bufio.Writer, name, text string) {
	if text != "" {
		element(w, name, text)
	}
}

// element writes one element; errors stick to w.
func element(w *bufio.Writer, name, text string) {
	w.WriteByte('<')
	w.WriteString(name)
	w.WriteByte('>')
	characters(w, text)
	w.WriteString("</")
	w.WriteString(name)
	w.WriteByte('>')
}

// characters writes character data. What XML 1.0 cannot hold (section 2.2,
// Char), not even as a reference, becomes a Go escape; so does invalid UTF-8.
func characters(w *bufio.Writer, s string) {
	last := 0
	for i := 0; i < len(s); {
		r, size := rune(s[i]), 1
		if r >= utf8.RuneSelf {
			r, size = utf8.DecodeRuneInString(s[i:])
		}
		var with string
		switch {
		case r == '<':
			with = "&lt;"
		case r == '>':
			with = "&gt;"
		case r == '&':
			with = "&amp;"
		case r == '\t' || r == '\n' || r == '\r':
			with = "&#" + strconv.Itoa(int(r)) + ";"
		case r < ' ' || r == utf8.RuneError && size == 1 || r == 0xFFFE || r == 0xFFFF:
			q := strconv.Quote(s[i : i+size])
			with = q[1 : len(q)-1]
		default:
			i += size
			continue
		}
		w.WriteString(s[last:i])
		w.WriteString(with)
		i += size
		last = i
	}
	w.WriteString(s[last:])
}
