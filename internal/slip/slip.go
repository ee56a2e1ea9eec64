// Package slip makes what a person carries away after a medium was judged: a
// page of text, or of HTML for a small printer, with the verdict and the
// checkpoint of the audit log that seals it, as text and as a QR code. Kept away
// from the station it is a witness: whoever cuts the log back later is
// contradicted by it. The package decides nothing, reads nothing and verifies
// nothing; the checkpoint is the caller's to check. Names of media and packages
// are foreign: all text is escaped here, for the terminal and for HTML.
package slip

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"sallyport/internal/verdict"
)

// Slip is what stands on one. Its JSON form is a witness as well, by its member
// "checkpoint".
type Slip struct {
	Station      string `json:"station"`
	StationName  string `json:"station_name"`
	Jurisdiction string `json:"jurisdiction"`
	Medium       string `json:"medium"` // its id in the audit log
	About        string `json:"about"`  // what it is, in words
	// Verdict is that of the medium, and Entry where it stands in the audit log.
	Verdict verdict.Verdict `json:"verdict"`
	Entry   int64           `json:"entry"`
	// Time is that of the verdict by the station's clock, which is vouched for when
	// ClockTrusted.
	Time         time.Time `json:"time"`
	ClockTrusted bool      `json:"clock_trusted"`
	// Reasons are all that were given, and Detail is the first finding in full.
	Reasons  []verdict.Reason `json:"reasons"`
	Detail   string           `json:"detail,omitzero"`
	Packages []Package        `json:"packages"`
	// Damage names places of the log that could not be read, so that something may
	// be missing here.
	Damage []string `json:"damage,omitempty"`
	// Checkpoint is a signed note (C2SP tlog-checkpoint) over the first Sealed
	// entries of the log, the verdict's among them. Both are empty when the verdict
	// is not sealed.
	Checkpoint string `json:"checkpoint"`
	Sealed     int64  `json:"sealed"`
}

// Package is one package of the medium.
type Package struct {
	ID string `json:"package"` // empty: files outside sealed packages
	// Kind and Signer are known only when the manifest was verified.
	Kind    string           `json:"kind,omitzero"`
	Signer  string           `json:"signer,omitzero"`
	Verdict verdict.Verdict  `json:"verdict"`
	Item    string           `json:"item,omitzero"` // of the store; empty when nothing was kept
	Files   int64            `json:"files"`
	Bytes   int64            `json:"bytes"`
	Reasons []verdict.Reason `json:"reasons"`
}

// check refuses a checkpoint that would not come back from paper as it was: a
// note has printable text and line ends alone.
func (s *Slip) check() error {
	for _, r := range s.Checkpoint {
		if r != '\n' && !strconv.IsPrint(r) || r == '\ufffd' {
			return errors.New("cannot make a slip: the checkpoint holds a character that cannot be printed")
		}
	}
	return nil
}

// name is what the package is called.
func (p *Package) name() string {
	if p.ID == "" {
		return "files outside sealed packages"
	}
	return verdict.Visible(p.ID)
}

// more is what is known of the package besides its name.
func (p *Package) more() string {
	var parts []string
	if p.Kind != "" {
		parts = append(parts, verdict.Visible(p.Kind)+" from "+verdict.Visible(p.Signer))
	}
	if p.Item == "" {
		parts = append(parts, "nothing was kept of it")
	} else {
		parts = append(parts, fmt.Sprintf("files: %d, bytes: %d, kept as item %s", p.Files, p.Bytes, verdict.Visible(p.Item)))
	}
	for _, r := range p.Reasons {
		parts = append(parts, verdict.Visible(string(r)))
	}
	return strings.Join(parts, "; ")
}

// word is a verdict in capitals.
func word(v verdict.Verdict) string {
	if v == "" {
		return "NOT DECIDED"
	}
	return strings.ToUpper(verdict.Visible(string(v)))
}

func (s *Slip) station() string {
	return fmt.Sprintf("%s (%s), %s", verdict.Visible(s.Station), verdict.Visible(s.StationName), verdict.Visible(s.Jurisdiction))
}

// when is the time with its distance from UTC, so that it can be compared with
// the log's.
func (s *Slip) when() string {
	at := s.Time.Format("2006-01-02 15:04:05 -07:00")
	if !s.ClockTrusted {
		at += " (the clock was NOT trusted)"
	}
	return at
}

// Words of both forms.
const (
	notSealed = "NOT sealed: the TPM has signed no checkpoint over this verdict yet. This slip proves nothing; make another one later."
	keep      = "Keep this slip away from the station. It shows later whether the verdict is still in the station's audit log as it was."
	scan      = "To check it: scan the code, save its text as a file, and run"
	run       = "sallyport-verify witness FILE --dir LOG --key KEY.pem"
	where     = "LOG is a copy of the station's log folder, KEY.pem its public log key ('sallyport trust key')."
	likewise  = "The text above does the same as the code."
	folded    = "The text above does the same as the code, typed as it stands."
)

func (s *Slip) seals() string {
	return fmt.Sprintf("Checkpoint: this station's TPM has signed the first %d entries of its audit log, entry %d among them.", s.Sealed, s.Entry)
}
