// Package evidence is what a station hands out about one medium: one file that
// holds what was on it (names, sizes and hashes), what the station decided and
// why, the entries of the audit log about it with proofs that they are in the log
// which the TPM sealed, and the documents of trust behind it. [Check] judges such
// a file with nothing but the authority's root, on any machine; [Make] writes it.
// FORMAT.md beside this file is the specification.
//
// No content of a package is ever in it, so no votes and no voters. The package
// opens no file, no TPM and no store; it works on bytes, which are hostile until
// Check has returned a [Report] without problems. It proves what a station
// recorded and that nobody changed it since; whether the station itself was honest
// is for those who trust its TPM.
package evidence

import (
	"fmt"
	"regexp"
	"strings"

	"sallyport/internal/limit"
	"sallyport/internal/manifest"
	"sallyport/internal/tpm/attest"
	"sallyport/internal/trust"
	"sallyport/internal/verdict"
)

// Version is that of the format; the page of a version never changes.
const Version = 1

// Limits of a file of evidence. Each is the highest value allowed.
const (
	MaxFile     = 128 << 20 // bytes of the whole
	MaxEntries  = 10_000    // of the log
	MaxPackages = 1_000     // of one medium
	maxMembers  = 4 + 1 + trust.MaxRotations + 4*MaxPackages
	maxDocument = 32 << 20 // bytes of bundle.json
	maxListing  = 64 << 20 // bytes of files.json
	maxListed   = 200_000  // files of one package, as the vault has them
	maxFacts    = 1 << 20
	maxPage     = 16 << 20
)

// The members of the file. Those of a package stand below packages/, its item and
// a slash.
const (
	pageName     = "README.html"
	documentName = "bundle.json"
	identityName = "identity.json"
	rootName     = "root.json"
	trustFolder  = "trust/"
	itemFolder   = "packages/"

	factsName    = "facts.json"
	listingName  = "files.json"
	manifestName = "manifest.dsse.json"
	evidenceName = "evidence.json"
)

// itemID is what the intake calls an item: the medium's id and a number.
var itemID = regexp.MustCompile(`^[0-9a-f]{12}-[1-9][0-9]{0,5}$`)

// mostOf is the most bytes of a member, or says that there is no such member.
func mostOf(name string) (int, error) {
	switch name {
	case pageName:
		return maxPage, nil
	case documentName:
		return maxDocument, nil
	case identityName:
		return attest.MaxIdentity, nil
	case rootName:
		return trust.MaxRoot, nil
	case trustFolder + trust.BundleName:
		return trust.MaxEnvelope, nil
	}
	if rotation, ok := strings.CutPrefix(name, trustFolder); ok {
		if _, ok := trust.RotationVersion(rotation); ok {
			return trust.MaxRotation, nil
		}
	}
	if rest, ok := strings.CutPrefix(name, itemFolder); ok {
		item, file, _ := strings.Cut(rest, "/")
		if itemID.MatchString(item) {
			switch file {
			case factsName:
				return maxFacts, nil
			case listingName:
				return maxListing, nil
			case manifestName:
				return manifest.MaxEnvelope, nil
			case evidenceName:
				return limit.EvidenceBytes, nil
			}
		}
	}
	return 0, fmt.Errorf("no file of evidence has a member %q", verdict.Escape(name))
}

func inItem(item, file string) string { return itemFolder + item + "/" + file }

// Document is bundle.json. All of it but Findings follows from the entries, whose
// place in the sealed log is proven; it stands here for those who read no entries.
type Document struct {
	V        int       `json:"v"` // Version
	Station  Station   `json:"station"`
	Medium   Medium    `json:"medium"`
	Verdict  Verdict   `json:"verdict"`
	Packages []Package `json:"packages"` // in the order in which they were read
	// Trust is the version of the trust bundle in this file, 0 when there is none.
	Trust      int64   `json:"trust"`
	Checkpoint string  `json:"checkpoint"` // signed note
	Anchor     []byte  `json:"anchor"`     // [attest.Anchor] of the note
	Entries    []Entry `json:"entries"`    // in the order of the log
	// Files are the other members, in their order.
	Files []File `json:"files"`
}

// Station is who took the medium.
type Station struct {
	ID           string `json:"id"`
	Role         string `json:"role"`
	Jurisdiction string `json:"jurisdiction"`
	KeyID        string `json:"key_id"`
	Software     string `json:"software"` // version of Sallyport
}

// Medium is what the log knows of a medium.
type Medium struct {
	ID       string `json:"id"`
	Inserted string `json:"inserted"` // by the station's clock, UTC
	Source   string `json:"source"`   // "image", "device" or "usb"
	Name     string `json:"name"`     // as the caller called it
	Person   string `json:"person,omitzero"`
	// These are left out when the medium was not read to its end.
	Bytes       int64  `json:"bytes,omitzero"`
	Table       string `json:"table,omitzero"`
	Filesystems string `json:"filesystems,omitzero"`
	// Device is that of an inserted medium, by the device's own account.
	Device *Device `json:"device,omitzero"`
}

// Device is what a USB device says of itself.
type Device struct {
	Port         string `json:"port"`
	Vendor       string `json:"vendor"`
	Product      string `json:"product"`
	Serial       string `json:"serial,omitzero"`
	Manufacturer string `json:"manufacturer,omitzero"`
	Name         string `json:"name,omitzero"`
	Speed        string `json:"speed,omitzero"` // Mbit/s
	Shape        string `json:"shape,omitzero"`
	Descriptors  string `json:"descriptors,omitzero"` // their SHA-256
}

// Verdict is the decision about the medium.
type Verdict struct {
	Verdict verdict.Verdict  `json:"verdict"`
	Reasons []verdict.Reason `json:"reasons"`
	Entry   int64            `json:"entry"` // of the log
	Time    string           `json:"time"`  // by the station's clock, UTC
}

// Package is one package, or what belonged to none (Package is empty then).
type Package struct {
	Item    string           `json:"item"` // of the station's store
	Package string           `json:"package,omitzero"`
	Verdict verdict.Verdict  `json:"verdict"`
	Reasons []verdict.Reason `json:"reasons"`
	// Findings are the reasons with their places, by the station's account: the log
	// has the reasons and the first finding alone.
	Findings []verdict.Finding `json:"findings"`
	// Digest fixes what was stored, empty when nothing was: see FORMAT.md.
	Digest string `json:"digest,omitzero"`
	// The following are there when the manifest was verified.
	Manifest   string `json:"manifest,omitzero"` // SHA-256 of the payload
	Kind       string `json:"kind,omitzero"`
	Sender     string `json:"sender,omitzero"` // station that sealed it
	ElectionID string `json:"election_id,omitzero"`
	Audience   string `json:"audience,omitzero"`
	Stream     string `json:"stream,omitzero"`
	Seq        int64  `json:"seq,omitzero"`
	KeyIDs     string `json:"key_ids,omitzero"`
}

// Entry is an entry of the log, its bytes and its proof: the hashes of RFC 6962,
// section 2.1.1, one behind the other.
type Entry struct {
	Index int64  `json:"index"`
	Entry []byte `json:"entry"`
	Proof []byte `json:"proof"`
}

// File is a member of the file.
type File struct {
	Name   string `json:"name"`
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
}
