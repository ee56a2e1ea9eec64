package intake

import (
	"strings"

	"sallyport/internal/ems"
	"sallyport/internal/medium"
	"sallyport/internal/reader"
	"sallyport/internal/verdict"
)

// Report is the answer to one medium, as the operator gets it.
type Report struct {
	Medium   Facts             `json:"medium"`
	Verdict  verdict.Verdict   `json:"verdict"`
	Findings []verdict.Finding `json:"findings"` // of the medium as a whole
	Packages []PackageReport   `json:"packages"`
	// Litter names what operating systems left at the root; it was not read.
	Litter []string `json:"litter"`
	Files  int64    `json:"files"` // files stored
	Bytes  int64    `json:"bytes"` // bytes stored
	// Entry is the sequence number of the verdict in the audit log.
	Entry int64 `json:"entry"`
	// Sealed says whether a checkpoint signed by the TPM covers that entry.
	Sealed bool `json:"sealed"`
	// Checkpoint is the signed note that does (C2SP tlog-checkpoint), so that a
	// copy of this report is a witness of the log; empty when none does.
	Checkpoint string `json:"checkpoint,omitzero"`
	// Removable says that the device of an inserted medium is denied again, so
	// that it may be taken out.
	Removable bool `json:"removable,omitzero"`
}

// PackageReport is the answer to one package, or to the files of a medium that
// belong to none (Package is empty then).
type PackageReport struct {
	Package  string            `json:"package"`
	Kind     string            `json:"kind,omitzero"`   // only when the manifest was verified
	Signer   string            `json:"signer,omitzero"` // station id, likewise
	Verdict  verdict.Verdict   `json:"verdict"`
	Findings []verdict.Finding `json:"findings"`
	// Item is the vault's item that keeps the bytes; empty when nothing could be kept.
	Item    string       `json:"item,omitzero"`
	Files   int64        `json:"files"`
	Bytes   int64        `json:"bytes"`
	Receipt *ems.Receipt `json:"receipt,omitzero"`
}

// Facts is what is known of a medium from outside its file systems and from
// their headers. It is kept with every item of the medium.
type Facts struct {
	ID       string       `json:"id"`     // given by this station, random
	Source   string       `json:"source"` // "image", "device" or "usb"
	Name     string       `json:"name"`   // as the caller calls it
	Inserted string       `json:"inserted"`
	Caller   int64        `json:"caller"` // uid, or -1 for an inserted medium
	Device   *Device      `json:"device,omitzero"`
	Size     int64        `json:"size"` // bytes
	Table    string       `json:"table,omitzero"`
	Volumes  []VolumeFact `json:"volumes"`
	// Registered is the medium's id in the register of media.
	Registered string `json:"registered,omitzero"`
}

// VolumeFact describes one volume.
type VolumeFact struct {
	FS    string `json:"fs,omitzero"`
	Label string `json:"label,omitzero"`
	ID    string `json:"id,omitzero"`
	Size  int64  `json:"size"`
	// Holds counts the entries by the words of package medium: types, and
	// traits of files.
	Holds map[string]int64 `json:"holds,omitzero"`
	// Deleted entries that its folders still show.
	Deleted int64 `json:"deleted,omitzero"`
	// Notable names, escaped, what is neither a plain file nor a folder, is not
	// stored as it reads, or was deleted; the first [maxNotable] of each volume.
	Notable []Notable `json:"notable,omitzero"`
}

// Notable is one thing of a volume that deserves a look.
type Notable struct {
	Kind string `json:"kind"` // words of package medium, or "deleted"
	Path string `json:"path"` // escaped
}

// maxNotable things of a volume are named in the facts; all are counted.
const maxNotable = 64

// volumeFacts describes the volumes of a listing.
func volumeFacts(l *reader.Listing) []VolumeFact {
	out := make([]VolumeFact, len(l.Volumes))
	for i, v := range l.Volumes {
		out[i] = VolumeFact{
			FS: v.FS, Label: verdict.Escape(v.Label), ID: verdict.Escape(v.ID), Size: v.Size,
			Holds: map[string]int64{}, Deleted: v.Deleted,
		}
	}
	for i := range l.Entries {
		e := &l.Entries[i]
		v := &out[e.Volume]
		kinds := e.Traits.Words()
		for _, word := range kinds {
			v.Holds[word]++
		}
		v.Holds[e.Type.Word()]++
		if e.Type != medium.File && e.Type != medium.Folder {
			kinds = append(kinds, e.Type.Word())
		}
		if len(kinds) > 0 {
			v.note(strings.Join(kinds, " "), e.Path)
		}
	}
	for i, v := range l.Volumes {
		for _, path := range v.DeletedNames {
			out[i].note("deleted", path)
		}
	}
	return out
}

func (v *VolumeFact) note(kind, path string) {
	if len(v.Notable) < maxNotable {
		v.Notable = append(v.Notable, Notable{kind, verdict.Escape(path)})
	}
}

// ItemFacts is what the vault keeps as the facts of an item.
type ItemFacts struct {
	Medium  Facts  `json:"medium"`
	Package string `json:"package,omitzero"` // folder name on the medium
	// The following are set only after the manifest was verified.
	Digest  string `json:"digest,omitzero"` // SHA-256 of the payload
	Kind    string `json:"kind,omitzero"`
	Station string `json:"station,omitzero"`
	KeyID   string `json:"key_id,omitzero"`
	Stream  string `json:"stream,omitzero"`
	Seq     int64  `json:"seq,omitzero"`
}

// Outcome is what the vault keeps as the outcome of an item.
type Outcome struct {
	Verdict   verdict.Verdict `json:"verdict"`
	PackageID string          `json:"package_id,omitzero"`
	Digest    string          `json:"digest,omitzero"`
	Kind      string          `json:"kind,omitzero"`
	Station   string          `json:"station,omitzero"`
	KeyID     string          `json:"key_id,omitzero"`
	Stream    string          `json:"stream,omitzero"`
	Seq       int64           `json:"seq,omitzero"`
	// Supersedes is the digest of the package that this one replaces.
	Supersedes string       `json:"supersedes,omitzero"`
	Intent     int64        `json:"intent"` // audit entry of the intent
	Receipt    *ems.Receipt `json:"receipt,omitzero"`
	Recovered  bool         `json:"recovered,omitzero"`
}

// reasons are those of the medium and of all its packages.
func (r *Report) reasons() map[verdict.Reason]bool {
	set := map[verdict.Reason]bool{}
	for _, f := range r.Findings {
		set[f.Reason] = true
	}
	for _, p := range r.Packages {
		for _, f := range p.Findings {
			set[f.Reason] = true
		}
	}
	return set
}

// ExitCode maps a report to the command line's exit status: 0 accepted,
// 3 held, 4 refused by device policy, 5 could not be checked. A verdict that
// the TPM could not seal is 5 as well.
func (r *Report) ExitCode() int {
	all := append([]verdict.Finding{}, r.Findings...)
	for _, p := range r.Packages {
		all = append(all, p.Findings...)
	}
	if r.Verdict == verdict.Accepted {
		if r.Sealed {
			return 0
		}
		return 5
	}
	unchecked := len(all) > 0
	for _, f := range all {
		switch f.Reason.Family() {
		case verdict.Policy:
			return 4
		case verdict.Unchecked:
		default:
			unchecked = false
		}
	}
	if unchecked {
		return 5
	}
	return 3
}
