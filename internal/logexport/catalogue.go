package logexport

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"sallyport/internal/audit"
)

// damagedMeaning describes [damagedID].
const damagedMeaning = "Here the log is damaged: what stood there could not be read and is left out. The time is that of the export."

// families says what the events of each family are about. The part of an
// event's id before the dot is its family, and Type in NIST SP 1500-101.
var families = map[string]string{
	"authority": "The desk of the election authority: roots, challenges and drafts of trust bundles.",
	"boot":      "The state in which the station was started.",
	"config":    "The station's configuration.",
	"control":   "Requests of local users to the station.",
	"device":    "USB devices: what came, how it was judged, what became of it.",
	"ems":       "The election core: what admitted packages brought, what people decided, and which results were given out.",
	"enrol":     "The station's enrolment with the election authority.",
	"error":     "Errors because of which the station stops.",
	"export":    "Places of the log that an export could not read; they are not in the log itself.",
	"log":       "The audit log itself.",
	"media":     "The register of media: who had which one, under which seal, and what was done with it.",
	"medium":    "Media: inserted, read, judged.",
	"package":   "Sealed packages: verified, stored, admitted or held, and sealed here.",
	"station":   "The station: set up, started, stopped.",
	"tpm":       "The station's TPM.",
	"trust":     "The trust bundle: who may seal what.",
	"usb":       "Whether USB devices are denied by default.",
}

// Event is one line of the catalogue as it is shown.
type Event struct {
	ID       audit.EventID  `json:"id"`
	Severity audit.Severity `json:"severity"`
	// Form is "fact", or "intent, outcome" for a pair around an action.
	Form    string `json:"form"`
	Meaning string `json:"meaning"`
	// Fields are those of this event alone.
	Fields []string `json:"fields"`
}

// Events is the whole catalogue, sorted by id.
type Events struct {
	Events []Event `json:"events"`
	// CommonFields may stand in every entry.
	CommonFields []string `json:"common_fields"`
}

// Catalogue returns the catalogue as it is shown.
func Catalogue() Events {
	all := Events{CommonFields: audit.CommonFields()}
	for _, d := range audit.Catalogue() {
		ev := Event{d.ID, d.Severity, "fact", d.Meaning, []string{}}
		if d.Action {
			ev.Form = "intent, outcome"
		}
		for _, f := range d.Fields {
			if !slices.Contains(all.CommonFields, f) {
				ev.Fields = append(ev.Fields, f)
			}
		}
		all.Events = append(all.Events, ev)
	}
	return all
}

// Markdown is the table that stands in EVENTS.md of package audit.
func (c Events) Markdown() string {
	var b strings.Builder
	b.WriteString("| Event | Severity | Form | Meaning | Fields |\n|---|---|---|---|---|\n")
	for _, e := range c.Events {
		fields := ""
		if len(e.Fields) > 0 {
			fields = "`" + strings.Join(e.Fields, "` `") + "`"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s |\n", e.ID, e.Severity, e.Form, e.Meaning, fields)
	}
	return b.String()
}

// WriteTable writes the catalogue for a terminal.
func (c Events) WriteTable(w io.Writer) error {
	tw := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	fmt.Fprintln(tw, "EVENT\tSEVERITY\tFORM\tMEANING")
	for _, e := range c.Events {
		fmt.Fprintf(tw, "%s\t%s\t%s\t%s\n", e.ID, e.Severity, e.Form, e.Meaning)
	}
	return tw.Flush()
}
