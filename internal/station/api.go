package station

import (
	"sallyport/internal/audit"
	"sallyport/internal/ems"
	"sallyport/internal/hotplug"
	"sallyport/internal/intake"
	"sallyport/internal/manifest"
	"sallyport/internal/trust"
	"sallyport/internal/verdict"
)

// The operations of the control socket: name, arguments, result.
const (
	OpStatus         = "status"          // NoArgs, Status
	OpWatch          = "watch"           // NoArgs, updates of Watch without an end
	OpIntake         = "intake"          // IntakeArgs and an open medium, intake.Report
	OpSeal           = "seal"            // SealArgs, Sealed
	OpSealAgain      = "seal.again"      // SealAgainArgs, Sealed
	OpQuarantineList = "quarantine.list" // NoArgs, Quarantine
	OpQuarantineShow = "quarantine.show" // ItemArgs, Held
	OpLogShow        = "log.show"        // audit.Filter, Log
	OpTrustShow      = "trust.show"      // NoArgs, Trust
	OpTrustInstall   = "trust.install"   // InstallArgs, Trust
	OpTrustExport    = "trust.export"    // NoArgs, Document: the station record
	OpTrustRoot      = "trust.root"      // NoArgs, Document: the pinned root
	OpTrustKey       = "trust.key"       // NoArgs, Document: the public key in PEM
	OpTrustIssue     = "trust.issue"     // IssueArgs, Document: the signed bundle
	OpElections      = "ems.elections"   // NoArgs, Elections
	OpTally          = "ems.tally"       // TallyArgs, ems.Tally
)

// NoArgs are the arguments of operations that take none.
type NoArgs struct{}

// Status is what 'sallyport status' shows.
type Status struct {
	Station      string `json:"station"`
	Name         string `json:"name"`
	Role         string `json:"role"`
	Jurisdiction string `json:"jurisdiction"`
	Daemon       bool   `json:"daemon"` // false: the command line opened the station itself
	Production   bool   `json:"production"`
	KeyID        string `json:"key_id"`
	TPM          string `json:"tpm"`
	SoftwareTPM  bool   `json:"software_tpm"`
	TPMReady     bool   `json:"tpm_ready"`
	TrustVersion int64  `json:"trust_version"` // 0: none installed
	LogEntries   int64  `json:"log_entries"`
	Held         int    `json:"held"`
	Admitted     int    `json:"admitted"`
	FreeBytes    int64  `json:"free_bytes"`
	// Process is the daemon, or the command that opened the station itself.
	Process Process `json:"process"`
	// USB is there when a daemon takes inserted media.
	USB *hotplug.View `json:"usb,omitzero"`
	// NotReady says in one sentence each why media would be refused now.
	NotReady []string `json:"not_ready"`
}

// IntakeArgs come with the medium's descriptor.
type IntakeArgs struct {
	Name string `json:"name"`
}

// SealArgs ask for a signature over a list of files that the caller has read
// and hashed from this machine.
type SealArgs struct {
	PackageID      string          `json:"package_id"`
	Kind           manifest.Kind   `json:"kind"`
	ElectionID     string          `json:"election_id,omitzero"`
	ElectionSHA256 string          `json:"election_sha256,omitzero"`
	Audience       string          `json:"audience"`
	Stream         string          `json:"stream,omitzero"` // empty: one per kind and audience
	Files          []manifest.File `json:"files"`
}

// SealAgainArgs name a package that this station has sealed before, to get its
// envelope once more: nothing is signed.
type SealAgainArgs struct {
	PackageID string `json:"package_id"`
}

// Sealed is a signed envelope, ready to be written beside its files.
type Sealed struct {
	PackageID string `json:"package_id"`
	Envelope  []byte `json:"envelope"`
	Digest    string `json:"digest"`
	Stream    string `json:"stream"`
	Seq       int64  `json:"seq"`
	// Before is the latest package that said the same, where one of the last
	// thousand of this station did.
	Before *SealedBefore `json:"before,omitzero"`
}

// SealedBefore is an earlier package of this station.
type SealedBefore struct {
	PackageID string `json:"package_id"`
	Seq       int64  `json:"seq"`
}

// Quarantine lists what is held, newest first.
type Quarantine struct {
	Items []HeldSummary `json:"items"`
}

// HeldSummary is one line of the quarantine list.
type HeldSummary struct {
	Item     string   `json:"item"`
	Inserted string   `json:"inserted"`
	Medium   string   `json:"medium"` // as the caller called it
	Package  string   `json:"package"`
	Bytes    int64    `json:"bytes"`
	Files    int      `json:"files"`
	Reasons  []string `json:"reasons"`
	Problem  string   `json:"problem,omitzero"` // why the item itself cannot be read
}

// ItemArgs name an item by its id or an unambiguous beginning of it.
type ItemArgs struct {
	Item string `json:"item"`
	// Verify reads all stored bytes again and compares their hashes.
	Verify bool `json:"verify"`
	// From is the first file of the answer, which has at most MaxFilesAnswer.
	From int `json:"from,omitzero"`
}

// Held is everything known of one held item.
type Held struct {
	Item     string            `json:"item"`
	Facts    intake.ItemFacts  `json:"facts"`
	Findings []verdict.Finding `json:"findings"`
	Count    int               `json:"count"`           // files stored
	Files    []HeldFile        `json:"files"`           // those from ItemArgs.From on
	Intact   string            `json:"intact,omitzero"` // "yes", or what is wrong; only after Verify
}

// HeldFile is one stored file of a held item.
type HeldFile struct {
	Name    string `json:"name"` // escaped for display
	Size    int64  `json:"size"`
	SHA256  string `json:"sha256"`
	Partial bool   `json:"partial,omitzero"`
}

// Log is a stretch of the audit log.
type Log struct {
	Size    int64         `json:"size"` // entries in the whole log
	Entries []audit.Entry `json:"entries"`
}

// Trust shows the installed bundle.
type Trust struct {
	Version  int64           `json:"version"`
	Stations []trust.Station `json:"stations"`
}

// InstallArgs carry a signed trust bundle.
type InstallArgs struct {
	Bundle []byte `json:"bundle"`
}

// IssueArgs ask an authority for the next trust bundle: the stations of the
// installed one, changed and added to by these.
type IssueArgs struct {
	Stations []IssueStation `json:"stations"`
}

// IssueStation admits one station.
type IssueStation struct {
	Record    []byte   `json:"record"` // what 'trust export' wrote there
	Kinds     []string `json:"kinds"`
	Elections []string `json:"elections"`
}

// Document is something to be written to a file.
type Document struct {
	Body []byte `json:"body"`
	// Fingerprint is for people to compare; empty where there is none.
	Fingerprint string `json:"fingerprint,omitzero"`
}

// Elections lists what the EMS core holds.
type Elections struct {
	Elections []ems.Election `json:"elections"`
}

// TallyArgs name the election; empty means the only one.
type TallyArgs struct {
	ElectionID string `json:"election_id"`
}
