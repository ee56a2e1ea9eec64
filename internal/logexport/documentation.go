package logexport

import (
	"bufio"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"sallyport/internal/strictjson"
	"sallyport/internal/verdict"
)

// documentation is ElectionEventLogDocumentation of NIST SP 1500-101, with the
// members in the order of its XML schema.
type documentation struct {
	Class              string            `json:"@type"`
	DeviceID           string            `json:"DeviceId,omitzero"`
	DeviceManufacturer string            `json:"DeviceManufacturer"`
	DeviceModel        string            `json:"DeviceModel"`
	DeviceVersion      string            `json:"DeviceVersion,omitzero"`
	Events             []idDescription   `json:"EventIdDescription"`
	Types              []typeDescription `json:"EventTypeDescription"`
	GeneratedDate      string            `json:"GeneratedDate"`
}

type idDescription struct {
	Class       string `json:"@type"`
	Description string `json:"Description"`
	ID          string `json:"Id"`
}

type typeDescription struct {
	Class       string `json:"@type"`
	Description string `json:"Description"`
	Type        string `json:"Type"`
}

// document collects the catalogue. What the schema has no place for (severity,
// form, fields) follows the meaning in words.
func document(about *About) documentation {
	doc := documentation{Class: "EventLogging.ElectionEventLogDocumentation", DeviceID: about.Station, DeviceManufacturer: maker,
		DeviceModel: model, DeviceVersion: about.Version, GeneratedDate: about.Generated.Format("2006-01-02")}
	all := Catalogue()
	for _, e := range all.Events {
		text := e.Meaning + " Severity: " + string(e.Severity) + "."
		if e.Form != "fact" {
			text += " Logged twice: before the action and after it."
		}
		text += " Details may carry: " + strings.Join(slices.Concat(e.Fields, all.CommonFields), ", ") + "."
		doc.Events = append(doc.Events, idDescription{"EventLogging.EventIdDescription", text, string(e.ID)})
	}
	doc.Events = append(doc.Events, idDescription{"EventLogging.EventIdDescription", damagedMeaning + " Severity: critical.", damagedID})
	for _, name := range slices.Sorted(maps.Keys(families)) {
		doc.Types = append(doc.Types, typeDescription{"EventLogging.EventTypeDescription", families[name], name})
	}
	return doc
}

// WriteDocumentation writes what the events mean: ElectionEventLogDocumentation
// of NIST SP 1500-101, in the format [CDFJSON] or [CDFXML].
func WriteDocumentation(out io.Writer, format Format, about About) error {
	about = about.escaped()
	doc := document(&about)
	w := bufio.NewWriter(out)
	switch format {
	case CDFJSON:
		b, err := strictjson.Encode(doc)
		if err != nil {
			return failed(err)
		}
		w.Write(b)
		w.WriteByte('\n')
	case CDFXML:
		doc.writeXML(w)
	default:
		return fmt.Errorf("cannot write the documentation of events: it has no form in the format %q, only in %s and %s", verdict.Escape(string(format)), CDFJSON, CDFXML)
	}
	return failed(w.Flush())
}

// writeXML writes the document; errors stick to w.
func (d *documentation) writeXML(w *bufio.Writer) {
	w.WriteString(xmlHead + `<ElectionEventLogDocumentation xmlns="` + xmlSpace + `">` + "\n")
	optional(w, "DeviceId", d.DeviceID)
	element(w, "DeviceManufacturer", d.DeviceManufacturer)
	element(w, "DeviceModel", d.DeviceModel)
	optional(w, "DeviceVersion", d.DeviceVersion)
	for _, e := range d.Events {
		w.WriteString("\n<EventIdDescription>")
		element(w, "Description", e.Description)
		element(w, "Id", e.ID)
		w.WriteString("</EventIdDescription>")
	}
	for _, t := range d.Types {
		w.WriteString("\n<EventTypeDescription>")
		element(w, "Description", t.Description)
		element(w, "Type", t.Type)
		w.WriteString("</EventTypeDescription>")
	}
	w.WriteByte('\n')
	element(w, "GeneratedDate", d.GeneratedDate)
	w.WriteString("\n</ElectionEventLogDocumentation>\n")
}
