package cli

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"sallyport/internal/audit"
	"sallyport/internal/control"
	"sallyport/internal/slip"
	"sallyport/internal/station"
	"sallyport/internal/translog"
	"sallyport/internal/verdict"
)

// story is what the log holds of one medium, from its insertion on.
type story struct {
	medium  string
	entries []audit.Entry // about it, and about the device it is in
	damage  []translog.Damage
	// checkpoint is the last one of the log.
	checkpoint string
}

// story collects what the log has of a medium. Entries about its device before
// and after are found by the number of the insertion.
func (s *session) story(medium string) (*story, error) {
	st := &story{medium: medium}
	_, err := s.logPages(audit.Filter{Subject: audit.Subject{Medium: medium}}, func(p *station.Log) error {
		st.entries, st.damage, st.checkpoint = append(st.entries, p.Entries...), append(st.damage, p.Damage...), p.Checkpoint
		return nil
	})
	if err != nil {
		return st, err
	}
	related := func(family string, match func(*audit.Entry) bool) error {
		_, err := s.logPages(audit.Filter{Event: family}, func(p *station.Log) error {
			for _, e := range p.Entries {
				if e.Subject.Medium != medium && match(&e) {
					st.entries = append(st.entries, e)
				}
			}
			return nil
		})
		return err
	}
	// What the register of media did for this reading.
	if err := related("media", func(e *audit.Entry) bool { return e.Fields["reading"] == medium }); err != nil {
		return st, err
	}
	if in := st.find(audit.MediumInserted); in != nil && in.Fields["insertion"] != "" {
		boot, insertion := in.Boot, in.Fields["insertion"]
		if err := related("device", func(e *audit.Entry) bool {
			return e.Subject.Medium == "" && e.Boot == boot && e.Fields["insertion"] == insertion
		}); err != nil {
			return st, err
		}
	}
	slices.SortFunc(st.entries, func(a, b audit.Entry) int { return int(a.Seq - b.Seq) })
	return st, nil
}

// verdict is the entry that judges the medium, nil while there is none.
func (st *story) verdict() (v *audit.Entry) {
	for i := range st.entries {
		if st.entries[i].Event == audit.MediumVerdict {
			v = &st.entries[i]
		}
	}
	return v
}

// find is the first entry of an event, nil without one.
func (st *story) find(id audit.EventID) *audit.Entry {
	for i := range st.entries {
		if st.entries[i].Event == id {
			return &st.entries[i]
		}
	}
	return nil
}

// steps are the entries with each intent and its outcome as one, in the order in
// which they began.
func (st *story) steps() []step {
	var out []step
	begun := map[int64]int{}
	for i := range st.entries {
		e := &st.entries[i]
		if at, ok := begun[e.Ref]; ok && e.Phase == audit.PhaseOutcome {
			out[at].end = e
			continue
		}
		if e.Phase == audit.PhaseIntent {
			begun[e.Seq] = len(out)
		}
		out = append(out, step{at: e})
	}
	return out
}

// packages is what became of each package of the medium.
func (st *story) packages() []slip.Package {
	out := []slip.Package{}
	byItem := map[string]int{}
	current := func(id string) *slip.Package { // the one that was verified last, and has no item yet
		if n := len(out) - 1; n >= 0 && out[n].ID == id && out[n].Item == "" {
			return &out[n]
		}
		out = append(out, slip.Package{ID: id, Verdict: verdict.Held, Reasons: []verdict.Reason{}})
		return &out[len(out)-1]
	}
	for _, s := range st.steps() {
		id, item := verdict.Visible(s.at.Subject.Package), s.field("item")
		switch s.at.Event {
		case audit.PackageVerify:
			p := current(id)
			p.Kind, p.Signer = s.field("kind"), verdict.Visible(s.at.Subject.Station)
		case audit.PackageStage, audit.PackageAdmit, audit.PackageHold, audit.PackageRecovered:
			at, known := byItem[item]
			if !known {
				current(id)
				at = len(out) - 1
			}
			p := &out[at]
			if s.at.Event == audit.PackageStage && s.outcome() == audit.Success || s.at.Event == audit.PackageRecovered {
				p.Bytes, _ = strconv.ParseInt(s.field("bytes"), 10, 64)
				p.Files, _ = strconv.ParseInt(s.field("files"), 10, 64)
			}
			if s.outcome() != audit.Failure {
				p.Item, byItem[item] = item, at
			}
			if s.outcome() == audit.Accepted {
				p.Verdict = verdict.Accepted
			}
			for _, r := range s.reasons() {
				if !slices.Contains(p.Reasons, r) {
					p.Reasons = append(p.Reasons, r)
				}
			}
		}
	}
	return out
}

// step is a fact of the log, or an action: its intent and its outcome.
type step struct {
	at, end *audit.Entry // end is nil for a fact, and for an action that has none
}

// field is a text of the outcome, or else of the intent.
func (s step) field(name string) string {
	if s.end != nil && s.end.Fields[name] != "" {
		return verdict.Visible(s.end.Fields[name])
	}
	return verdict.Visible(s.at.Fields[name])
}

func (s step) outcome() audit.Outcome {
	if s.end != nil {
		return s.end.Outcome
	}
	return s.at.Outcome
}

// open says that how an action ended is not known.
func (s step) open() bool { return s.at.Phase == audit.PhaseIntent && s.end == nil }

// bytes is a field that counts bytes.
func (s step) bytes(name string) string {
	n, err := strconv.ParseInt(s.field(name), 10, 64)
	if err != nil {
		return "an unknown size"
	}
	return size(n)
}

// count is a field that counts things.
func (s step) count(name, noun string) string {
	n, err := strconv.Atoi(s.field(name))
	if err != nil {
		return "an unknown number of " + noun + "s"
	}
	return count(n, noun)
}

// reasons are all that the step gives and that exist, in their order.
func (s step) reasons() (out []verdict.Reason) {
	for _, name := range []string{"reason", "reasons"} {
		for _, word := range strings.Split(s.field(name), ",") {
			if r := verdict.Reason(word); r.Valid() && !slices.Contains(out, r) {
				out = append(out, r)
			}
		}
	}
	return out
}

// why are the lines that say why: the reasons, and the detail of the first.
func (s step) why() (lines []string) {
	detail := s.field("detail")
	for _, r := range s.reasons() {
		line := fmt.Sprintf("%s: %s: %s", r.Family(), r, r.Meaning())
		if strings.HasPrefix(detail, string(r)+": ") {
			line, detail = fmt.Sprintf("%s: %s", r.Family(), detail), ""
		}
		lines = append(lines, line)
	}
	if detail != "" {
		lines = append(lines, detail)
	}
	return lines
}

// tell is the step in a sentence or two.
func (s step) tell() string {
	family, _, _ := strings.Cut(string(s.at.Event), ".")
	text := ""
	switch family {
	case "medium":
		text = s.tellMedium()
	case "device":
		text = s.tellDevice()
	case "package":
		text = s.tellPackage()
	case "ems":
		if text = s.tellPackage(); text == "" {
			text = s.tellElection()
		}
	}
	if text == "" {
		definition, _ := audit.Define(s.at.Event)
		text = definition.Meaning
		if o := s.outcome(); o != "" {
			text += " " + outcomeWords(o)
		}
	}
	return text
}

// told is the step in a story, which says when the end of an action is missing.
func (s step) told() string {
	if s.open() {
		return s.tell() + " How it ended is not in the log."
	}
	return s.tell()
}

// outcomeWords say how an action ended of which nothing better is known.
func outcomeWords(o audit.Outcome) string {
	switch o {
	case audit.Success:
		return "It was done."
	case audit.Failure:
		return "It was not done."
	case audit.Interrupted:
		return "The station stopped before the end."
	}
	return "It was " + string(o) + "."
}

func (s step) tellMedium() string {
	switch s.at.Event {
	case audit.MediumInserted:
		if s.field("port") != "" {
			return fmt.Sprintf("Medium %s was inserted: %s.", verdict.Visible(s.at.Subject.Medium), aboutMedium(s.at))
		}
		by := ""
		if s.at.Subject.Person != "" {
			by = ", handed over by " + verdict.Visible(s.at.Subject.Person)
		}
		return fmt.Sprintf("Medium %s came in: %s%s.", verdict.Visible(s.at.Subject.Medium), aboutMedium(s.at), by)
	case audit.MediumRead:
		switch s.outcome() {
		case audit.Success:
			fs := s.field("filesystems")
			if fs == "" {
				fs = "no file system that could be listed"
			}
			return fmt.Sprintf("It was listed and read in the confined reader (%s): %s, %s stored.", fs, s.count("files", "file"), s.bytes("bytes"))
		case audit.Interrupted:
			return "It was being read in the confined reader when the station stopped."
		case "":
			return "The confined reader begins to read it."
		}
		return "The confined reader could not read it."
	case audit.MediumVerdict:
		return fmt.Sprintf("VERDICT: %s. %s, %s stored.", strings.ToUpper(string(s.outcome())), s.count("packages", "package"), s.bytes("bytes"))
	}
	return ""
}

// aboutMedium is what a medium is, by the entry of its insertion.
func aboutMedium(e *audit.Entry) string {
	s := step{at: e}
	if s.field("port") == "" {
		about := fmt.Sprintf("%s \"%s\"", s.field("source"), s.field("path"))
		if s.field("size") != "" {
			about += " of " + s.bytes("size")
		}
		return about
	}
	about := fmt.Sprintf("USB device %s:%s", s.field("vendor"), s.field("product"))
	if serial := s.field("serial"); serial != "" {
		about += ", serial number " + serial
	}
	return about + ", in port " + s.field("port")
}

func (s step) tellDevice() string {
	name := strings.TrimSpace(s.field("manufacturer") + " " + s.field("name"))
	if name == "" {
		name = "which gives no name"
	}
	device := fmt.Sprintf("%s:%s (%s, %s)", s.field("vendor"), s.field("product"), name, s.field("shape"))
	done := s.outcome() == audit.Success
	switch s.at.Event {
	case audit.DeviceAttached:
		return fmt.Sprintf("USB device %s came to port %s, which is for: %s.", device, s.field("port"), s.field("role"))
	case audit.DeviceRefused:
		return fmt.Sprintf("USB device %s came to port %s and was REFUSED before any driver had it.", device, s.field("port"))
	case audit.DeviceChanged:
		return fmt.Sprintf("USB device %s came to port %s as another one than it was, and was REFUSED: it may be an attack.", device, s.field("port"))
	case audit.DeviceRemoved:
		return fmt.Sprintf("The device was taken out of port %s.", s.field("port"))
	case audit.DeviceAuthorise:
		switch {
		case done:
			return fmt.Sprintf("Its device was allowed, and the disk %s of %s was opened for reading alone.", s.field("disk"), s.bytes("bytes"))
		case s.open():
			return "Its device is to be allowed and its disk opened."
		}
		return "Its disk could not be opened."
	case audit.DeviceRelease:
		switch {
		case done:
			return "Its device was denied again: from here on it was safe to remove."
		case s.open():
			return "Its device is to be denied again."
		}
		return "Its device could NOT be denied again."
	}
	return ""
}

// packageName is what a package is called in a sentence.
func (s step) packageName() string {
	if s.at.Subject.Package == "" {
		return "What is outside sealed packages"
	}
	return "Package " + verdict.Visible(s.at.Subject.Package)
}

func (s step) tellPackage() string {
	name, o := s.packageName(), s.outcome()
	switch s.at.Event {
	case audit.PackageVerify:
		from := ""
		if s.field("kind") != "" {
			from = fmt.Sprintf(" (%s from station %s, stream %s, number %s)", s.field("kind"), verdict.Visible(s.at.Subject.Station), s.field("stream"), s.field("package_seq"))
		}
		if o == audit.Success {
			return name + from + ": the manifest was verified."
		}
		return name + from + ": the manifest did NOT pass."
	case audit.PackageStage:
		switch o {
		case audit.Success:
			return fmt.Sprintf("%s: %s, %s, stored and hashed as item %s.", name, s.count("files", "file"), s.bytes("bytes"), s.field("item"))
		case "":
			return fmt.Sprintf("%s: its files are to be stored and hashed as item %s.", name, s.field("item"))
		}
		return name + ": its files could not be stored whole."
	case audit.PackageAdmit:
		switch o {
		case audit.Accepted:
			return fmt.Sprintf("%s was ADMITTED as item %s.", name, s.field("item"))
		case "":
			return name + " is to be admitted."
		}
		return name + " was NOT admitted."
	case audit.PackageHold:
		switch o {
		case audit.Held:
			return fmt.Sprintf("%s went into QUARANTINE as item %s.", name, s.field("item"))
		case "":
			return name + " is to go into quarantine."
		}
		return name + ": its way into quarantine was interrupted."
	case audit.PackageRecovered:
		return fmt.Sprintf("%s was found half-way, as item %s, when the station started again.", name, s.field("item"))
	case audit.EMSImport:
		switch {
		case o == audit.Success && s.field("state_digest") != "":
			return fmt.Sprintf("%s was imported into the EMS core: %s.", name, s.count("ballots", "ballot"))
		case o == audit.Success:
			return name + " was given to the EMS core, which imports nothing of this kind."
		case s.open():
			return name + " is to be imported into the EMS core."
		case o == audit.Interrupted:
			return name + ": its import into the EMS core was interrupted."
		}
		return name + ": the EMS core REFUSED its content."
	}
	return ""
}

// told is one step as it is shown.
type told struct {
	Entry        int64  `json:"entry"`
	Time         string `json:"time"`
	ClockTrusted bool   `json:"clock_trusted"`
	Text         string `json:"text"`
	// Outcome is the entry that says how the action ended.
	Outcome int64    `json:"outcome_entry,omitzero"`
	Why     []string `json:"why,omitempty"`
}

func (st *story) told() []told {
	out := []told{}
	for _, s := range st.steps() {
		t := told{Entry: s.at.Seq, Time: verdict.Visible(s.at.Wall), ClockTrusted: s.at.WallTrusted, Text: s.told(), Why: s.why()}
		if s.end != nil {
			t.Outcome = s.end.Seq
		}
		out = append(out, t)
	}
	return out
}

// show tells the story line by line. Each reason is followed by what to do where
// the medium is judged. The findings of an item that is known better than from
// the log take the place of what the log says.
func (st *story) show(w io.Writer, h *station.Held) {
	for _, s := range st.steps() {
		fmt.Fprintf(w, "%6d  %s  %s\n", s.at.Seq, when(s.at), s.told())
		why := s.why()
		if s.at.Event == audit.PackageHold && s.field("item") == h.Item {
			why = nil
			for _, f := range h.Findings {
				why = append(why, fmt.Sprintf("%s: %s", f.Reason.Family(), f.Error()))
			}
		}
		if s.at.Event == audit.MediumVerdict {
			for _, r := range s.reasons() {
				why = append(why, "→ "+r.NextStep())
			}
		}
		for _, line := range why {
			fmt.Fprintf(w, "            %s\n", line)
		}
	}
	for i := range st.damage {
		fmt.Fprintln(w, damageLine(&st.damage[i]))
	}
	if len(st.damage) > 0 {
		fmt.Fprintln(w, "What stood there is missing above.")
	}
}

// findMedium completes a medium's id from a beginning of it or from one of its
// items; without, it is the last medium that had its verdict.
func (s *session) findMedium(start string) (string, error) {
	start, _, _ = strings.Cut(start, "-")
	found := map[string]bool{}
	last := ""
	_, err := s.logPages(audit.Filter{Event: string(audit.MediumVerdict)}, func(p *station.Log) error {
		for i := range p.Entries {
			if id := p.Entries[i].Subject.Medium; strings.HasPrefix(id, start) {
				found[id], last = true, id
			}
		}
		return nil
	})
	switch {
	case err != nil:
		return "", err
	case last == "" && start == "":
		return "", control.Failf(control.CodeNotFound, "no medium has had its verdict here yet")
	case last == "":
		return "", control.Failf(control.CodeNotFound, "no medium that had its verdict begins with %q; 'sallyport log show --event medium.verdict' shows them", verdict.Escape(start))
	case found[start]:
		return start, nil
	case start != "" && len(found) > 1:
		return "", control.Failf(control.CodeUsage, "%d media begin with %q: give more of the id", len(found), verdict.Escape(start))
	}
	return last, nil
}
