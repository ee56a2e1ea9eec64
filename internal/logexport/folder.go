package logexport

import (
	"errors"
	"fmt"
	"strings"

	"sallyport/internal/audit"
	"sallyport/internal/translog"
)

// Folder is an audit log that is read where it lies, without the station: a
// copy, or a log so damaged that its station does not open. Nothing of it is
// trusted, and nothing in it is changed.
type Folder struct {
	log *translog.Log
	// damage is what opening found; a page that does not meet it would hide it.
	damage *translog.Damage
	named  bool
}

// OpenFolder opens the log in dir for reading, whatever its state.
func OpenFolder(dir string) (*Folder, error) {
	log, err := translog.Open(dir, translog.Options{ReadOnly: true})
	f := &Folder{log: log}
	if err != nil && (log == nil || !errors.As(err, &f.damage)) {
		return nil, fmt.Errorf("cannot export the audit log: %w", err)
	}
	return f, nil
}

// Close closes the log.
func (f *Folder) Close() error { return f.log.Close() }

// About says what the folder tells of its station: the parts of the log's
// origin, "sallyport/JURISDICTION/STATION", or the origin as it is.
func (f *Folder) About() About {
	_, signed, _ := f.log.LastCheckpoint()
	a := About{Station: f.log.Origin(), Entries: f.log.Size(), Checkpoint: string(signed)}
	if rest, ok := strings.CutPrefix(a.Station, "sallyport/"); ok {
		if i := strings.LastIndexByte(rest, '/'); i > 0 {
			a.Jurisdiction, a.Station = rest[:i], rest[i+1:]
		}
	}
	return a
}

// Page returns a page of what the filter selects. The last one names what
// opening the log found wrong, when no page did.
func (f *Folder) Page(filter audit.Filter, most, maxBytes int) (audit.Page, error) {
	p, err := audit.ReadPage(f.log, filter, most, maxBytes)
	if err != nil || f.damage == nil {
		return p, err
	}
	for _, d := range p.Damage {
		f.named = f.named || d.File == f.damage.File && d.Entry == f.damage.Entry
	}
	if p.Next == 0 && !f.named {
		p.Damage = append(p.Damage, *f.damage)
	}
	return p, nil
}
