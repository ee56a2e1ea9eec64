// Package verdict is the closed vocabulary of Sallyport's answers: the
// verdicts, the reasons behind them, the family each reason belongs to and the
// operator's next step. It decides nothing and imports nothing of the project;
// every other package uses it to say why something was not accepted. Text put
// into a [Finding] may quote foreign bytes: [Finding.Error] escapes it.
package verdict

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Verdict is the outcome of one package, or of one medium.
type Verdict string

// The three verdicts. There is no fourth and no empty one.
const (
	// Accepted means that every listed file was verified, stored and is durable.
	Accepted Verdict = "accepted"
	// Held means that bytes were read and are kept in quarantine.
	Held Verdict = "held"
	// Refused means that the medium was never read.
	Refused Verdict = "refused"
)

// Family groups the reasons by what they mean to whoever holds the medium.
type Family string

// The families of reasons.
const (
	NotTrusted Family = "not trusted"
	Damaged    Family = "damaged"
	Unchecked  Family = "could not be checked"
	Policy     Family = "refused"
)

// Reason is one entry of the closed list of reasons.
type Reason string

// Reasons of the family [NotTrusted].
const (
	NoManifest         Reason = "no-manifest"
	ManifestMalformed  Reason = "manifest-malformed"
	SignatureInvalid   Reason = "signature-invalid"
	SignerUnknown      Reason = "signer-unknown"
	SignerRevoked      Reason = "signer-revoked"
	SignerNotPermitted Reason = "signer-not-permitted"
	BootStateMismatch  Reason = "boot-state-mismatch"
	WrongJurisdiction  Reason = "wrong-jurisdiction"
	WrongElection      Reason = "wrong-election"
	WrongAudience      Reason = "wrong-audience"
	Replayed           Reason = "replayed"
	SequenceGap        Reason = "sequence-gap"
	Fork               Reason = "fork"
	Superseded         Reason = "superseded"
	TrustOutdated      Reason = "trust-outdated"
	FileExtra          Reason = "file-extra"
	FileAltered        Reason = "file-altered"
	FileMissing        Reason = "file-missing"
	MalwareFound       Reason = "malware-found"
	ContentInvalid     Reason = "content-invalid"
	MediumReused       Reason = "medium-reused"
	// MediumUnknown and CustodyBroken are given by the register of media, where
	// the station has one that counts.
	MediumUnknown Reason = "medium-unknown"
	CustodyBroken Reason = "custody-broken"
)

// Reasons of the family [Damaged].
const (
	Unreadable             Reason = "unreadable"
	Truncated              Reason = "truncated"
	FilesystemInconsistent Reason = "filesystem-inconsistent"
	RemovedDuringRead      Reason = "removed-during-read"
)

// Reasons of the family [Unchecked].
const (
	FilesystemUnsupported Reason = "filesystem-unsupported"
	OverLimit             Reason = "over-limit"
	ScannerUnavailable    Reason = "scanner-unavailable"
	StoreFull             Reason = "store-full"
	TPMUnavailable        Reason = "tpm-unavailable"
	ClockUnusable         Reason = "clock-unusable"
	SandboxUnavailable    Reason = "sandbox-unavailable"
	// Interrupted is given to a medium whose check was cut off by a stop or a
	// power failure of the station itself.
	Interrupted Reason = "interrupted"
	// TrustMissing is given while a station has no trust bundle installed.
	TrustMissing Reason = "trust-missing"
)

// Reasons of the family [Policy]: the device was never read.
const (
	NotStorage         Reason = "not-storage"
	CompositeDevice    Reason = "composite-device"
	PortNotAllowed     Reason = "port-not-allowed"
	DeviceNotAllowed   Reason = "device-not-allowed"
	CapacityOutOfRange Reason = "capacity-out-of-range"
	// DeviceChanged is given to a device that shows itself as another one than
	// it was a moment ago, or than its serial number was before.
	DeviceChanged Reason = "device-changed"
)

type info struct {
	family  Family
	meaning string
	next    string
}

// table is the closed list: a reason that is not here does not exist.
var table = map[Reason]info{
	NoManifest:         {NotTrusted, "the medium carries no sealed package", "Ask the sender for a sealed package; this medium stays in quarantine for review."},
	ManifestMalformed:  {NotTrusted, "the manifest is not a valid Sallyport manifest", "Do not use the medium. Ask the sender to seal the package again and report this to the administrator."},
	SignatureInvalid:   {NotTrusted, "the signature does not match the manifest", "Do not use the medium. Somebody changed the manifest after it was signed; report this."},
	SignerUnknown:      {NotTrusted, "the manifest is signed by a key that is not enrolled", "Check which station made the medium; only enrolled stations are accepted. Report this."},
	SignerRevoked:      {NotTrusted, "the signing key was revoked", "Do not use the medium. Report this to the administrator."},
	SignerNotPermitted: {NotTrusted, "the signing station may not send this kind of package", "Ask the administrator which station should have sealed this package."},
	BootStateMismatch:  {NotTrusted, "the sending station was not in its approved boot state", "Do not use the medium. Ask the administrator to examine the sending station."},
	WrongJurisdiction:  {NotTrusted, "the package belongs to another jurisdiction", "Return the medium to the jurisdiction it belongs to."},
	WrongElection:      {NotTrusted, "the package belongs to another election, or to another version of its definition", "Check the label of the medium and ask the sender for the package of this election."},
	WrongAudience:      {NotTrusted, "the package is addressed to another station", "Carry the medium to the station it is addressed to."},
	Replayed:           {NotTrusted, "this package, or a later one of its stream, was accepted before", "Nothing is lost: it was counted once. Find out why the old medium came again."},
	SequenceGap:        {NotTrusted, "an earlier package of this stream is missing", "Bring the missing medium first, then this one again."},
	Fork:               {NotTrusted, "the sender signed two different packages in the same place of its stream", "Do not use the medium. Report this at once: the sending station may have been copied or restored."},
	Superseded:         {NotTrusted, "the sender has replaced this package by a later one", "Use the later package."},
	TrustOutdated:      {NotTrusted, "the package was sealed under a newer trust bundle than this station has", "Install the current trust bundle on this station, then insert the medium again."},
	FileExtra:          {NotTrusted, "the medium carries a file that the manifest does not list", "Do not use the medium. Ask the sender to seal the package on an empty medium."},
	FileAltered:        {NotTrusted, "a file differs from what was signed", "Do not use the medium. Ask the sender for a fresh copy and report this."},
	FileMissing:        {NotTrusted, "a file that the manifest lists is not on the medium", "Ask the sender for a complete copy."},
	MalwareFound:       {NotTrusted, "the scanner found malware", "Do not use the medium in any computer. Report this."},
	ContentInvalid:     {NotTrusted, "the package is authentic but its content breaks the rules of its format", "Give the named file and place to the sender; nothing was imported."},
	MediumReused:       {NotTrusted, "the medium was used before and may be used only once", "Use a new medium."},
	MediumUnknown:      {NotTrusted, "the medium is not in this station's register of media", "Find out where the medium comes from. Only media that were registered and received are read here."},
	CustodyBroken:      {NotTrusted, "the medium is not what or where this station's register of media says", "Do not use the medium. Compare its label, seal and serial number with the register, and report what does not fit."},

	Unreadable:             {Damaged, "the medium could not be read", "Try the medium once more in another port; if it fails again, ask for a fresh copy on a new medium."},
	Truncated:              {Damaged, "the medium ends before its file system or a file does", "Ask the sender for a fresh copy; the writing or the carrying of this one was cut short."},
	FilesystemInconsistent: {Damaged, "the file system contradicts itself", "Do not repair the medium. Ask the sender for a fresh copy on a newly formatted medium."},
	RemovedDuringRead:      {Damaged, "the medium was pulled before it was read to the end", "Insert the medium again and wait for the verdict."},

	FilesystemUnsupported: {Unchecked, "the file system is not one this station reads", "Ask the sender to use FAT32 or exFAT, or a write-once disc."},
	OverLimit:             {Unchecked, "the medium is over a limit of this station", "Ask the sender to split the package, or the administrator about the limit."},
	ScannerUnavailable:    {Unchecked, "the malware scanner is not ready", "Call the administrator; then insert the medium again."},
	StoreFull:             {Unchecked, "this station's store has no room for it", "Ask the administrator to make room; then insert the medium again."},
	TPMUnavailable:        {Unchecked, "this station's TPM does not answer", "Do not use this station. Call the administrator; the medium can be checked again afterwards."},
	ClockUnusable:         {Unchecked, "this station's clock is unusable", "Call the administrator to set the clock; then insert the medium again."},
	SandboxUnavailable:    {Unchecked, "the confined reader did not start, or stopped while reading", "Insert the medium once more; if it happens again, keep the medium and call the administrator."},
	Interrupted:           {Unchecked, "this station stopped while the medium was being checked", "Insert the medium again."},
	TrustMissing:          {Unchecked, "this station has no trust bundle installed", "Insert the authority's medium with the trust bundle, then this one again."},

	NotStorage:         {Policy, "the device is not plain storage", "Remove the device. Only storage media may be inserted here."},
	CompositeDevice:    {Policy, "the device claims to be storage and something else", "Remove the device and hand it to the administrator: it may be an attack."},
	PortNotAllowed:     {Policy, "this port does not take media", "Use the port marked for media."},
	DeviceNotAllowed:   {Policy, "the device is not on this station's list", "Use a medium that was issued for this station."},
	DeviceChanged:      {Policy, "the device came back as another one", "Remove the device and hand it to the administrator: it may be an attack. To use another medium in this port, leave the port empty for some seconds first."},
	CapacityOutOfRange: {Policy, "the device's capacity is outside the allowed range", "Use a medium of the size your office issues."},
}

// All returns every reason of the closed list, sorted.
func All() []Reason { return slices.Sorted(maps.Keys(table)) }

// Valid says whether r is in the closed list.
func (r Reason) Valid() bool { _, ok := table[r]; return ok }

// Family returns the family of r, or "" when r is not in the list.
func (r Reason) Family() Family { return table[r].family }

// Meaning returns one clause, without a full stop, that a county clerk understands.
func (r Reason) Meaning() string { return table[r].meaning }

// NextStep returns what the operator should do now.
func (r Reason) NextStep() string { return table[r].next }

// Finding is one reason with its place: why something was not accepted. It is
// an error; packages return it (wrapped or not) and only intake turns it into
// a verdict.
type Finding struct {
	Reason Reason `json:"reason"`
	// Where names the file, field, structure or byte offset; may be empty.
	Where string `json:"where,omitempty"`
	// Detail says what was expected and what was found; may be empty. Never a
	// secret and never a vote.
	Detail string `json:"detail,omitempty"`
}

// New makes a finding; detail is formatted as by fmt.Sprintf.
func New(r Reason, where, detail string, args ...any) *Finding {
	if len(args) > 0 {
		detail = fmt.Sprintf(detail, args...)
	}
	return &Finding{Reason: r, Where: where, Detail: detail}
}

// Error renders "reason: meaning: where: detail" with foreign characters escaped.
func (f *Finding) Error() string {
	parts := []string{string(f.Reason)}
	if m := f.Reason.Meaning(); m != "" {
		parts = append(parts, m)
	}
	if f.Where != "" {
		parts = append(parts, Escape(f.Where))
	}
	if f.Detail != "" {
		parts = append(parts, Escape(f.Detail))
	}
	return strings.Join(parts, ": ")
}

// Find returns the first finding in err's chain.
func Find(err error) (*Finding, bool) {
	var f *Finding
	ok := errors.As(err, &f)
	return f, ok
}

// Escape makes foreign text safe for a terminal, a log and a page: everything
// that cannot be seen as what it is becomes a Go escape sequence (control
// characters, bidirectional overrides, invisible characters, spaces other than
// U+0020 and those at the beginning or the end of a path segment, invalid
// UTF-8), and text over 512 bytes is cut with "…".
func Escape(s string) string {
	const most = 512
	cut := ""
	if s == "" {
		return ""
	}
	if len(s) > most {
		s, cut = s[:most], "…"
	}
	q := strconv.Quote(s)
	q = q[1 : len(q)-1]
	// Undo the two escapes that only quoting needs.
	if strings.ContainsRune(s, '"') {
		q = strings.ReplaceAll(q, `\"`, `"`)
	}
	if s[0] == ' ' || s[len(s)-1] == ' ' || strings.Contains(s, " /") || strings.Contains(s, "/ ") {
		q = edges(q)
	}
	return q + cut
}

// Visible is [Escape] for text that may be escaped already, such as that of an
// audit entry, and is whole: what cannot be seen as what it is becomes an escape
// sequence, and what is one stays one.
func Visible(s string) string {
	var b strings.Builder
	for i, r := range s {
		switch {
		case r == utf8.RuneError && !strings.HasPrefix(s[i:], string(utf8.RuneError)):
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case strconv.IsPrint(r):
			b.WriteRune(r)
		default:
			q := strconv.QuoteRune(r)
			b.WriteString(q[1 : len(q)-1])
		}
	}
	return b.String()
}

// edges makes spaces at the edges of segments visible.
func edges(q string) string {
	segments := strings.Split(q, "/")
	for i, seg := range segments {
		inner := strings.Trim(seg, " ")
		lead := len(seg) - len(strings.TrimLeft(seg, " "))
		segments[i] = strings.Repeat(`\x20`, lead) + inner + strings.Repeat(`\x20`, len(seg)-lead-len(inner))
	}
	return strings.Join(segments, "/")
}
