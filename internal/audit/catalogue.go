package audit

import (
	"fmt"
	"slices"
)

// EventID names one kind of event of the catalogue.
type EventID string

// The events. The catalogue below says what each one means and may carry.
const (
	LogOpened    EventID = "log.opened"
	LogRecovered EventID = "log.recovered"
	LogPeer      EventID = "log.peer"
	LogExported  EventID = "log.exported"

	StationInit   EventID = "station.init"
	StationStart  EventID = "station.start"
	StationStop   EventID = "station.stop"
	ConfigLoaded  EventID = "config.loaded"
	TPMReady      EventID = "tpm.ready"
	TrustInstall  EventID = "trust.install"
	ControlDenied EventID = "control.denied"

	EnrolRequest  EventID = "enrol.request"
	EnrolActivate EventID = "enrol.activate"
	EnrolHandover EventID = "enrol.handover"
	BootMeasure   EventID = "boot.measure"

	AuthorityRoot      EventID = "authority.root"
	AuthorityChallenge EventID = "authority.challenge"
	AuthorityDraft     EventID = "authority.draft"
	AuthorityRotate    EventID = "authority.rotate"
	AuthoritySign      EventID = "authority.sign"
	AuthorityDiscard   EventID = "authority.discard"
	ErrorFatal         EventID = "error.fatal"

	USBGuard        EventID = "usb.guard"
	DeviceAttached  EventID = "device.attached"
	DeviceRefused   EventID = "device.refused"
	DeviceChanged   EventID = "device.changed"
	DeviceAuthorise EventID = "device.authorise"
	DeviceRelease   EventID = "device.release"
	DeviceRemoved   EventID = "device.removed"

	MediaRegister EventID = "media.register"
	MediaImport   EventID = "media.import"
	MediaPrepare  EventID = "media.prepare"
	MediaSeal     EventID = "media.seal"
	MediaHandOver EventID = "media.handover"
	MediaReceive  EventID = "media.receive"
	MediaSanitise EventID = "media.sanitise"
	MediaRetire   EventID = "media.retire"
	MediaCheck    EventID = "media.check"
	MediaConsume  EventID = "media.consume"

	MediumInserted EventID = "medium.inserted"
	MediumRead     EventID = "medium.read"
	MediumVerdict  EventID = "medium.verdict"

	PackageVerify    EventID = "package.verify"
	PackageStage     EventID = "package.stage"
	PackageAdmit     EventID = "package.admit"
	PackageHold      EventID = "package.hold"
	PackageRecovered EventID = "package.recovered"
	PackageSeal      EventID = "package.seal"

	EMSImport     EventID = "ems.import"
	EMSPolls      EventID = "ems.polls"
	EMSStatus     EventID = "ems.status"
	EMSAdjudicate EventID = "ems.adjudicate"
	EMSManual     EventID = "ems.manual"
	EMSRules      EventID = "ems.rules"
	EMSResults    EventID = "ems.results"
)

// Severity is the weight of an event; NIST SP 1500-101 leaves the words open.
type Severity string

// The severities, lightest first.
const (
	Info     Severity = "info"
	Notice   Severity = "notice"
	Warning  Severity = "warning"
	Critical Severity = "critical"
)

// Outcome is how something ended.
type Outcome string

// The outcomes. There is no other; an event that only states a fact has none.
const (
	Success     Outcome = "success"
	Failure     Outcome = "failure"
	Accepted    Outcome = "accepted"    // a verdict
	Held        Outcome = "held"        // a verdict
	Refused     Outcome = "refused"     // a verdict, or a request that was not granted
	Interrupted Outcome = "interrupted" // the station stopped before the action ended
)

// Outcomes lists all of them.
func Outcomes() []Outcome {
	return []Outcome{Success, Failure, Accepted, Held, Refused, Interrupted}
}

// Valid says whether o is in the closed list.
func (o Outcome) Valid() bool { return slices.Contains(Outcomes(), o) }

// Disposition is the word of NIST SP 1500-101, EventDispositionType, for o.
func (o Outcome) Disposition() string {
	switch o {
	case Success, Accepted:
		return "success"
	case Failure, Interrupted:
		return "failure"
	case Held, Refused:
		return "other"
	}
	return "na"
}

// Definition is one line of the catalogue.
type Definition struct {
	ID       EventID
	Severity Severity
	// Action events come in pairs, an intent before the action and an outcome
	// after it; the others are single facts.
	Action  bool
	Meaning string
	// Fields are the names that its entries may carry besides the common ones.
	Fields []string
}

var common = [...]string{"detail", "reason", "where"}

// CommonFields may stand in every entry: why, where and what exactly.
func CommonFields() []string { return slices.Clone(common[:]) }

// catalogue is the closed list of events: one that is not here does not exist.
var catalogue = map[EventID]Definition{
	LogOpened:    {Severity: Info, Meaning: "The audit log was opened for writing. Carries what a later start must know, so that it need not read further back: the intents without outcome and the latest trusted time.", Fields: []string{"entries", "sealed", "open_intents", "wall_floor", "hashes_rebuilt"}},
	LogRecovered: {Severity: Warning, Meaning: "An interrupted write was found at the end of the log and cut off; the bytes are kept in the named file.", Fields: []string{"file", "offset", "bytes", "entry", "intact", "kept"}},

	LogExported: {Severity: Notice, Meaning: "The log, or a part of it, was written to a file for others.", Fields: []string{"format", "entries", "log_entries"}},
	LogPeer:     {Severity: Critical, Meaning: "The audit log of another station contradicts what it showed here before: it was forked or put back. Both checkpoints are signed with its key.", Fields: []string{"origin", "key_id", "entries", "root", "kept_entries", "kept_root"}},

	StationInit:   {Severity: Notice, Meaning: "The station was set up and got its keys.", Fields: []string{"station_id", "name", "role", "jurisdiction", "key_id", "counter", "origin", "software_tpm", "version"}},
	StationStart:  {Severity: Info, Meaning: "The station's daemon started.", Fields: []string{"station_id", "role", "jurisdiction", "key_id", "version", "production", "trust_version", "root_version", "program_sha256", "pid"}},
	StationStop:   {Severity: Info, Meaning: "The station's daemon stopped in order.", Fields: []string{"uptime_s"}},
	ConfigLoaded:  {Severity: Info, Meaning: "The configuration was read and found valid.", Fields: []string{"path", "sha256", "production"}},
	TPMReady:      {Severity: Info, Meaning: "The TPM answered and holds the keys and the counter of this station.", Fields: []string{"manufacturer", "vendor", "firmware", "software", "key_id", "counter", "counter_value", "clock", "resets", "restarts", "safe"}},
	TrustInstall:  {Severity: Notice, Action: true, Meaning: "A trust bundle is verified and installed: success, or refused with the reason.", Fields: []string{"version", "previous", "sha256", "stations", "root_version"}},
	ControlDenied: {Severity: Warning, Meaning: "A request on the control socket was denied.", Fields: []string{"uid", "gid", "pid", "count"}},
	ErrorFatal:    {Severity: Critical, Meaning: "The daemon stops because of an error that threatens the log or the store.", Fields: []string{"error"}},

	EnrolRequest:  {Severity: Notice, Action: true, Meaning: "This station asks to be enrolled: its TPM signs the request.", Fields: []string{"sha256"}},
	EnrolActivate: {Severity: Notice, Action: true, Meaning: "This station's TPM answers the authority's challenge.", Fields: []string{"request"}},
	EnrolHandover: {Severity: Warning, Action: true, Meaning: "This station hands over to another key and seals nothing from then on.", Fields: []string{"request", "new_key", "last_seq"}},
	BootMeasure:   {Severity: Info, Action: true, Meaning: "This station's TPM signs the state in which it was started.", Fields: []string{"policy"}},

	AuthorityRoot:      {Severity: Warning, Action: true, Meaning: "The root of this authority is made or taken over: whom all its stations believe.", Fields: []string{"sha256", "threshold", "keys"}},
	AuthorityChallenge: {Severity: Notice, Action: true, Meaning: "A station that asks to be enrolled is challenged.", Fields: []string{"station_id", "key_id", "request", "proof"}},
	AuthorityDraft:     {Severity: Notice, Action: true, Meaning: "The next trust bundle is drafted and signed with this authority's key.", Fields: []string{"version", "sha256", "admitted", "revoked", "altered", "approved", "complete"}},
	AuthorityRotate:    {Severity: Warning, Action: true, Meaning: "The next root is drafted and signed with this authority's key.", Fields: []string{"version", "sha256", "threshold", "keys", "complete"}},
	AuthorityDiscard:   {Severity: Warning, Action: true, Meaning: "The last draft is forgotten; the next one builds upon the installed bundle.", Fields: nil},
	AuthoritySign:      {Severity: Notice, Action: true, Meaning: "This authority's key signs a draft that was made elsewhere.", Fields: []string{"sha256", "complete"}},

	USBGuard:        {Severity: Warning, Meaning: "Whether USB devices are denied by default: success, or failure with the reasons. While it is a failure no medium is taken from a USB port.", Fields: nil},
	DeviceAttached:  {Severity: Info, Meaning: "A USB device came and the policy gives it a role. Whoever builds a device decides what it says of itself.", Fields: deviceFields("role")},
	DeviceRefused:   {Severity: Warning, Meaning: "A USB device came and was refused before any driver had it.", Fields: deviceFields()},
	DeviceChanged:   {Severity: Critical, Meaning: "A USB device came back as another one than it was, and was refused: it may be an attack.", Fields: deviceFields()},
	DeviceAuthorise: {Severity: Notice, Action: true, Meaning: "The kernel is allowed to use a medium's device, and its disk is opened for reading alone.", Fields: []string{"port", "insertion", "disk", "diskseq", "bytes", "sector_bytes", "own_ms", "kernel_ms"}},
	DeviceRelease:   {Severity: Info, Action: true, Meaning: "A medium's device is denied again; on success it may be taken out.", Fields: []string{"port", "insertion"}},
	DeviceRemoved:   {Severity: Info, Meaning: "A USB device has gone from its port.", Fields: []string{"port", "insertion"}},

	MediaRegister: {Severity: Notice, Action: true, Meaning: "A medium is entered into the register of media.", Fields: mediaFields("serial", "direction", "single_use")},
	MediaImport:   {Severity: Notice, Action: true, Meaning: "A list of media is entered into the register, all of it or nothing.", Fields: []string{"sha256", "count"}},
	MediaPrepare:  {Severity: Info, Action: true, Meaning: "A registered medium is made ready to be written.", Fields: mediaFields()},
	MediaSeal:     {Severity: Notice, Action: true, Meaning: "A numbered seal is put on a registered medium.", Fields: mediaFields("package")},
	MediaHandOver: {Severity: Notice, Action: true, Meaning: "A registered medium is handed over; a seal that is on it was looked at.", Fields: mediaFields("from", "to", "place")},
	MediaReceive:  {Severity: Notice, Action: true, Meaning: "A registered medium arrived and its seal was taken off.", Fields: mediaFields("from", "to", "place")},
	MediaSanitise: {Severity: Notice, Action: true, Meaning: "A registered medium was erased.", Fields: mediaFields()},
	MediaRetire:   {Severity: Notice, Action: true, Meaning: "A registered medium is out of use.", Fields: mediaFields()},
	MediaCheck:    {Severity: Notice, Meaning: "The register was asked about an inserted medium: success, or refused with the reason.", Fields: []string{"reading", "label", "state", "serial", "fs_ids"}},
	MediaConsume:  {Severity: Notice, Action: true, Meaning: "A registered medium is read: success when that came to its end and counts.", Fields: []string{"reading", "label", "state", "verdict", "entry"}},

	MediumInserted: {Severity: Info, Meaning: "A medium came in.", Fields: []string{"source", "path", "size", "port", "insertion", "vendor", "product", "serial"}},
	MediumRead:     {Severity: Info, Action: true, Meaning: "A medium is read in the confined reader.", Fields: []string{"own_ms", "size", "table", "volumes", "filesystems", "entries", "files", "bytes", "packages", "landlock", "seccomp", "namespaces", "problems", "duration_ms"}},
	MediumVerdict:  {Severity: Notice, Meaning: "The verdict over a medium: accepted, held or refused.", Fields: []string{"reasons", "packages", "accepted", "held", "duplicates", "bytes", "duration_ms"}},

	PackageVerify:    {Severity: Notice, Meaning: "The manifest of a package was checked against the trust bundle: success or failure.", Fields: []string{"kind", "jurisdiction", "election_id", "audience", "stream", "package_seq", "files", "bytes", "key_ids", "role", "trust_version", "envelope_sha256", "after_ms"}},
	PackageStage:     {Severity: Info, Action: true, Meaning: "The files of a package are copied into the store and hashed.", Fields: []string{"item", "kind", "files", "bytes", "digest", "problems", "duration_ms"}},
	PackageAdmit:     {Severity: Notice, Action: true, Meaning: "A staged package is admitted.", Fields: []string{"item", "kind", "files", "bytes", "receipt"}},
	PackageHold:      {Severity: Warning, Action: true, Meaning: "A package, or what was read of it, goes into quarantine.", Fields: []string{"item", "kind", "files", "bytes", "reasons"}},
	PackageRecovered: {Severity: Warning, Meaning: "A package that a stop of the station left half-way was found at start.", Fields: []string{"item", "state", "complete", "action", "bytes", "digest"}},
	PackageSeal:      {Severity: Notice, Action: true, Meaning: "This station seals a package.", Fields: []string{"kind", "jurisdiction", "election_id", "audience", "stream", "package_seq", "files", "bytes", "key_ids", "path", "manifest_sha256"}},

	EMSImport:     {Severity: Notice, Action: true, Meaning: "An admitted package is imported into the EMS core.", Fields: []string{"kind", "election_id", "contests", "ballots", "state_digest", "duplicate", "duration_ms"}},
	EMSPolls:      {Severity: Notice, Action: true, Meaning: "Somebody says that the polls of an election are closed: from then on totals are given.", Fields: emsFields()},
	EMSStatus:     {Severity: Notice, Action: true, Meaning: "The results of an election take the next step, such as to be certified; a second person approves what is official.", Fields: emsFields("status", "sequence", "approver", "counted_digest")},
	EMSAdjudicate: {Severity: Notice, Action: true, Meaning: "People decide about names that voters wrote: how many, and never which.", Fields: emsFields("decisions", "ballots", "contests")},
	EMSManual:     {Severity: Notice, Action: true, Meaning: "A tally that was made by hand is recorded beside the counts.", Fields: emsFields("name", "contests", "ballots")},
	EMSRules:      {Severity: Notice, Action: true, Meaning: "The rules are set by which a ranked contest is tabulated.", Fields: emsFields("contest", "sha256")},
	EMSResults:    {Severity: Notice, Action: true, Meaning: "The results of an election are given out, in the named form.", Fields: []string{"election_id", "form", "status", "sequence", "state_digest"}},
}

// deviceFields are the facts of a USB device, and more.
func deviceFields(more ...string) []string {
	return append([]string{"port", "insertion", "vendor", "product", "serial", "manufacturer", "name", "speed", "shape", "sha256"}, more...)
}

// mediaFields are what is recorded of every change in the register of media.
func mediaFields(more ...string) []string {
	return append([]string{"label", "state", "seal", "seal_broken", "fs_id", "note"}, more...)
}

// emsFields are what is recorded of every decision about an election: which, who
// decides it, and how far the core had come before and has come after it.
func emsFields(more ...string) []string {
	return append([]string{"election_id", "who", "facts", "state_digest"}, more...)
}

// Catalogue returns every definition, sorted by id.
func Catalogue() []Definition {
	var all []Definition
	for id := range catalogue {
		d, _ := Define(id)
		all = append(all, d)
	}
	slices.SortFunc(all, func(a, b Definition) int {
		if a.ID < b.ID {
			return -1
		}
		return 1
	})
	return all
}

// Define returns the definition of an event; ok is false when there is none.
func Define(id EventID) (Definition, bool) {
	d, ok := catalogue[id]
	d.ID = id
	d.Fields = append(slices.Clone(d.Fields), CommonFields()...)
	slices.Sort(d.Fields)
	return d, ok
}

// allows says whether the event may be written in this form.
func (id EventID) allows(phase Phase, outcome Outcome, fields map[string]string) error {
	d, ok := catalogue[id] // not Define, which copies: this runs for each entry read
	if !ok {
		return fmt.Errorf("the event %q is not in the catalogue", id)
	}
	if d.Action == (phase == PhaseEvent) {
		return fmt.Errorf("the event %s cannot have the phase %q", id, phase)
	}
	switch {
	case phase == PhaseIntent && outcome != "":
		return fmt.Errorf("the intent of %s has an outcome already", id)
	case phase == PhaseOutcome && !outcome.Valid(), outcome != "" && !outcome.Valid():
		return fmt.Errorf("%q is no outcome for %s", outcome, id)
	}
	for name := range fields {
		if !slices.Contains(d.Fields, name) && !slices.Contains(common[:], name) {
			return fmt.Errorf("the event %s has no field %q", id, name)
		}
	}
	return nil
}
