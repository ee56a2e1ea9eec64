package station

import (
	"sallyport/internal/audit"
	"sallyport/internal/evidence"
	"sallyport/internal/gossip"
	"sallyport/internal/hotplug"
	"sallyport/internal/intake"
	"sallyport/internal/manifest"
	"sallyport/internal/translog"
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
	OpLogShow        = "log.show"        // LogArgs, Log
	OpLogProve       = "log.prove"       // ProveArgs, Proof
	OpTrustShow      = "trust.show"      // NoArgs, Trust
	OpTrustInstall   = "trust.install"   // InstallArgs, Trust
	OpTrustDelivery  = "trust.delivery"  // NoArgs, trust.Delivery: what is installed, to hand it on
	OpTrustRoot      = "trust.root"      // NoArgs, Document: the present root
	OpTrustIdentity  = "trust.identity"  // NoArgs, Document: the TPM identity
	OpLogExported    = "log.exported"    // ExportedArgs, NoArgs: records an export
	OpLogPeers       = "log.peers"       // NoArgs, Peers
	OpLogBundle      = "log.bundle"      // BundleArgs, updates of BundlePart up to the one with the End
	OpLogAttest      = "log.attest"      // AttestArgs, Document: the answer
	OpTrustKey       = "trust.key"       // KeyArgs, Document: a public key in PEM

	OpEnrolRequest  = "enrol.request"  // NoArgs, Requested
	OpEnrolActivate = "enrol.activate" // ActivateArgs, Document: the answer
	OpEnrolHandover = "enrol.handover" // HandoverArgs, HandedOver
	OpBootMeasure   = "boot.measure"   // NoArgs, Measured

	OpAuthorityKey       = "authority.key"       // NoArgs, Document: the signer record
	OpAuthorityFound     = "authority.found"     // FoundArgs, Document: the root
	OpAuthorityAdopt     = "authority.adopt"     // AdoptArgs, Document: the root
	OpAuthorityChallenge = "authority.challenge" // ChallengeArgs, Challenged
	OpAuthorityDraft     = "authority.draft"     // DraftArgs, Draft: the next bundle
	OpAuthorityRotate    = "authority.rotate"    // FoundArgs, Draft: the next root
	OpAuthoritySign      = "authority.sign"      // SignArgs, Draft
	OpAuthorityDiscard   = "authority.discard"   // NoArgs, NoArgs: forgets the last draft
	OpAuthorityStatus    = "authority.status"    // NoArgs, authority.Status

	OpMediaList     = "media.list"     // MediaArgs, Media
	OpMediaShow     = "media.show"     // MediumArgs, custody.Medium
	OpMediaRegister = "media.register" // custody.Description, custody.Medium
	OpMediaChange   = "media.change"   // MediaChangeArgs, custody.Medium
	OpMediaImport   = "media.import"   // MediaImportArgs, MediaImported

	OpElections   = "ems.elections"  // NoArgs, Elections
	OpTally       = "ems.tally"      // TallyArgs, ems.Tally
	OpBreakdown   = "ems.breakdown"  // BreakdownArgs, Breakdown
	OpEMSStatus   = "ems.status"     // ElectionArgs, ems.Standing
	OpWriteIns    = "ems.writeins"   // WriteInsArgs, WriteIns
	OpClosePolls  = "ems.polls"      // Decides, NoArgs
	OpSetStatus   = "ems.setstatus"  // SetStatusArgs, ems.StatusChange
	OpAdjudicate  = "ems.adjudicate" // AdjudicateArgs, NoArgs
	OpManualTally = "ems.manual"     // ManualArgs, NoArgs
	OpSetRules    = "ems.rules"      // RulesArgs, NoArgs
	OpResults     = "ems.results"    // ResultsArgs, results.Results: they are given out
)

// NoArgs are the arguments of operations that take none.
type NoArgs struct{}

// What the keys of [KeyArgs] sign.
const (
	KeyForLog      = "log"      // the checkpoints of the audit log
	KeyForPackages = "packages" // packages and, at an authority, trust bundles
)

// ExportedArgs say what was exported.
type ExportedArgs struct {
	Format     string `json:"format"`
	Entries    int64  `json:"entries"`
	LogEntries int64  `json:"log_entries"`
}

// Peers are the logs of other stations, as far as they have shown themselves here.
type Peers struct {
	Peers []gossip.Peer `json:"peers"`
}

// AttestArgs carry a live challenge: 16 to 64 bytes in hexadecimal digits.
type AttestArgs struct {
	Nonce string `json:"nonce"`
}

// BundleArgs name a medium by its id, an unambiguous beginning of it, or the id of
// an item that came from it.
type BundleArgs struct {
	Medium string `json:"medium"`
}

// BundlePart is a part of a file of evidence.
type BundlePart struct {
	Data []byte     `json:"data"`
	End  *BundleEnd `json:"end,omitzero"` // with the last part
}

// BundleEnd says what was handed out.
type BundleEnd struct {
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256"`
	// Report is what the check of it says under this station's own root, with its own
	// TPM identity.
	Report *evidence.Report `json:"report"`
}

// KeyArgs ask for one of the station's two keys.
type KeyArgs struct {
	For string `json:"for"`
}

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
	// ClockNote says that the clock went back; packages are judged by counters.
	ClockNote string `json:"clock_note,omitzero"`
	// CanSeal is false while nothing can be sealed: in a boot state that is not
	// approved, with a revoked key, after a hand-over, or without trust bundle or
	// TPM. SealNote says why.
	CanSeal      bool   `json:"can_seal"`
	SealNote     string `json:"seal_note,omitzero"`
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
	PackageID      string        `json:"package_id"`
	Kind           manifest.Kind `json:"kind"`
	ElectionID     string        `json:"election_id,omitzero"`
	ElectionSHA256 string        `json:"election_sha256,omitzero"`
	Audience       string        `json:"audience"`
	Stream         string        `json:"stream,omitzero"` // empty: one per kind and audience
	// Supersedes is the id of this station's last package of the stream, whose
	// place this one takes.
	Supersedes string          `json:"supersedes,omitzero"`
	Files      []manifest.File `json:"files"`
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
	Evidence  []byte `json:"evidence"` // evidence.json, to stand beside it
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

// LogArgs select entries of the audit log.
type LogArgs struct {
	audit.Filter
	// Export asks for what a reader of the whole needs: damaged places are named
	// instead of ending it, the last checkpoint stands beside the entries, and an answer
	// ends early when its entries are long.
	Export bool `json:"export,omitzero"`
}

// Log is a stretch of the audit log.
type Log struct {
	Size    int64         `json:"size"` // entries in the whole log
	Entries []audit.Entry `json:"entries"`
	// These are only in the answer to [LogArgs.Export].
	Damage     []translog.Damage `json:"damage,omitempty"`
	Next       int64             `json:"next,omitzero"`       // where to go on; 0: at the end
	Checkpoint string            `json:"checkpoint,omitzero"` // signed note over at most Size entries
}

// ProveArgs name an entry of the audit log.
type ProveArgs struct {
	Entry int64 `json:"entry"`
}

// Proof shows that an entry is in the tree that a checkpoint signs.
type Proof struct {
	// Checkpoint is the signed note of the first one that seals the entry; empty
	// when none does yet, and then there are no hashes.
	Checkpoint string `json:"checkpoint"`
	// Hashes are the audit path of RFC 6962, section 2.1.1, from the leaf up.
	Hashes [][]byte `json:"hashes"`
}

// Trust shows the installed bundle.
type Trust struct {
	Version     int64           `json:"version"`
	RootVersion int64           `json:"root_version"` // of the root that signed the bundle
	Issued      string          `json:"issued"`
	Hybrid      []manifest.Kind `json:"hybrid"`
	Stations    []trust.Station `json:"stations"`
	Root        *trust.Root     `json:"root"` // the present one
}

// Document is something to be written to a file.
type Document struct {
	Body []byte `json:"body,omitzero"`
	// Fingerprint is for people to compare; empty where there is none.
	Fingerprint string `json:"fingerprint,omitzero"`
}

// Requested is an enrolment request and what people compare.
type Requested struct {
	Document
	KeyID    string `json:"key_id"`
	EKSHA256 string `json:"ek_sha256"`
	// EKCertificate says whether the TPM holds its maker's certificate; without
	// one the authority needs the digest.
	EKCertificate bool `json:"ek_certificate"`
}

// ActivateArgs carry the authority's challenge.
type ActivateArgs struct {
	Challenge []byte `json:"challenge"`
}

// HandoverArgs carry the enrolment request of the key that takes over.
type HandoverArgs struct {
	Request []byte `json:"request"`
}

// HandedOver is a signed hand-over.
type HandedOver struct {
	Document
	NewKey  string `json:"new_key"`
	LastSeq int64  `json:"last_seq"`
}

// Measured is a signed measurement, and what it says.
type Measured struct {
	Document
	PCRs   []trust.PCR `json:"pcrs"`
	Policy string      `json:"policy"` // digest over PCRs 7 and 11: the name of the boot state
	// Bound says whether the signing key can be used in approved states alone.
	Bound    bool     `json:"bound"`
	Approved []string `json:"approved"` // labels of the approved states that match
}

// NoBootKey as BootHolder makes a root without a boot key.
const NoBootKey = "none"

// FoundArgs say what the first or the next root of an authority is made of.
type FoundArgs struct {
	Threshold  int      `json:"threshold"`
	Signers    [][]byte `json:"signers"`              // signer records of the others
	BootHolder string   `json:"boot_holder,omitzero"` // who approves boot states; empty: this station, or whoever does so far
	Leave      bool     `json:"leave,omitzero"`       // the next root is without this station's key
}

// AdoptArgs carry a root that was made at another authority.
type AdoptArgs struct {
	Root []byte `json:"root"`
}

// ChallengeArgs carry an enrolment request, and how the authority knows the TPM.
type ChallengeArgs struct {
	Request  []byte   `json:"request"`
	Vendors  [][]byte `json:"vendors"`            // certificates of TPM makers, DER
	EKSHA256 string   `json:"ek_sha256,omitzero"` // instead of them: what people compared
}

// Challenged is a challenge, and whom it is for.
type Challenged struct {
	Document
	StationID    string `json:"station_id"`
	Name         string `json:"name"`
	Role         string `json:"role"`
	Jurisdiction string `json:"jurisdiction"`
	KeyID        string `json:"key_id"`
	EKSHA256     string `json:"ek_sha256"`
	Maker        string `json:"maker"`
	SoftwareTPM  bool   `json:"software_tpm"`
	Proof        string `json:"proof"`
}

// DraftArgs say what the next trust bundle changes.
type DraftArgs struct {
	Admit   []AdmitArgs   `json:"admit"`
	Revoke  []RevokeArgs  `json:"revoke"`
	Alter   []AlterArgs   `json:"alter"`
	Approve []ApproveArgs `json:"approve"`
	Hybrid  *[]string     `json:"hybrid,omitzero"`
}

// AdmitArgs enrol one station: see authority.Admission.
type AdmitArgs struct {
	Answer      []byte   `json:"answer"`
	Kinds       []string `json:"kinds"`
	Elections   []string `json:"elections"`
	Attested    bool     `json:"attested,omitzero"`
	Handover    []byte   `json:"handover,omitzero"`
	Replace     bool     `json:"replace,omitzero"`
	RevokeAfter int64    `json:"revoke_after,omitzero"`
	Label       string   `json:"label,omitzero"`
	PCRs        []uint   `json:"pcrs,omitzero"`
}

// RevokeArgs end a key: see authority.Revocation.
type RevokeArgs struct {
	Station string `json:"station"`
	Key     string `json:"key,omitzero"`
	After   int64  `json:"after"`
}

// AlterArgs change an enrolment: see authority.Alteration.
type AlterArgs struct {
	Station   string    `json:"station"`
	Kinds     *[]string `json:"kinds,omitzero"`
	Elections *[]string `json:"elections,omitzero"`
	Attested  *bool     `json:"attested,omitzero"`
}

// ApproveArgs approve a boot state: see authority.BootApproval.
type ApproveArgs struct {
	Measurement []byte   `json:"measurement"`
	Label       string   `json:"label,omitzero"`
	PCRs        []uint   `json:"pcrs,omitzero"`
	Drop        []string `json:"drop,omitzero"`
}

// SignArgs carry a draft of a bundle or of a root.
type SignArgs struct {
	Draft []byte `json:"draft"`
	Root  []byte `json:"root,omitzero"` // the present one, for a station that has none yet
}

// Draft is a signed document that may still lack signatures.
type Draft struct {
	Document
	Complete bool `json:"complete"`
}
