package authority

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"sallyport/internal/dsse"
	"sallyport/internal/strictjson"
	"sallyport/internal/trust"
)

// Status is what stands on the desk.
type Status struct {
	// Root is absent before the authority is founded.
	Root        *trust.Root `json:"root,omitzero"`
	Fingerprint string      `json:"fingerprint,omitzero"`
	Installed   int64       `json:"installed"` // version of the bundle; 0: none
	// Draft is the last draft that was made here, when it is newer than the
	// installed bundle.
	Draft *DraftStatus `json:"draft,omitzero"`
	// Pending are the stations that were challenged and have not answered.
	Pending []PendingStatus `json:"pending"`
}

// DraftStatus is a draft's place on its way. Copies of it elsewhere may carry
// more signatures.
type DraftStatus struct {
	Version int64    `json:"version"`
	Issued  string   `json:"issued"`
	Signed  []string `json:"signed"`  // holders
	Missing int      `json:"missing"` // signatures
}

// PendingStatus is one enrolment under way.
type PendingStatus struct {
	Request   string      `json:"request_sha256"`
	StationID string      `json:"station_id"`
	Role      trust.Role  `json:"role"`
	Proof     trust.Proof `json:"proof"`
	Problem   string      `json:"problem,omitzero"`
}

// Status reads the desk.
func (d *Desk) Status() (*Status, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := &Status{Root: d.store.Root(), Pending: []PendingStatus{}}
	if t, err := d.store.Current(); err == nil {
		s.Installed = t.Version()
	}
	var err error
	if s.Root != nil {
		if s.Fingerprint, err = s.Root.Fingerprint(); err != nil {
			return nil, err
		}
		if s.Draft, err = d.draftStatus(s); err != nil {
			return nil, err
		}
	}
	names, err := d.pendingNames()
	if err != nil {
		return nil, err
	}
	slices.Sort(names)
	for _, name := range names {
		s.Pending = append(s.Pending, d.pendingStatus(name))
	}
	return s, nil
}

func (d *Desk) draftStatus(s *Status) (*DraftStatus, error) {
	data, err := os.ReadFile(filepath.Join(d.dir, draftFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read the last draft: %w", err)
	}
	draft, err := trust.OpenDraft(data, s.Root)
	if err != nil || draft.Bundle.Version <= s.Installed {
		return nil, nil // of an earlier root, or done
	}
	out := &DraftStatus{Version: draft.Bundle.Version, Issued: draft.Bundle.Issued, Missing: max(0, s.Root.Threshold-len(draft.Signed))}
	for _, id := range draft.Signed {
		out.Signed = append(out.Signed, holder(s.Root, id))
	}
	return out, nil
}

func (d *Desk) pendingStatus(name string) PendingStatus {
	out := PendingStatus{Request: name}
	data, err := os.ReadFile(d.pendingPath(name))
	if err == nil {
		var p *trust.Pending
		if p, err = trust.DecodePending(data); err == nil {
			out.Proof = p.Proof
			var r *trust.Request
			if r, err = trust.DecodeRequest(p.Request); err == nil {
				out.StationID, out.Role = r.ID, r.Role
			}
		}
	}
	if err != nil {
		out.Problem = err.Error()
	}
	return out
}

// Shown is what a draft says: a bundle or a root.
type Shown struct {
	Bundle *trust.Bundle `json:"bundle,omitzero"`
	Root   *trust.Root   `json:"root,omitzero"`
	Signed []string      `json:"signed"` // holders
	// Missing are the signatures that it lacks; of a root those of holders of the
	// present one, and of itself, whichever are more.
	Missing int `json:"missing"`
	// Fingerprint is of what is signed, whoever has signed it: holders compare it.
	Fingerprint string `json:"fingerprint"`
}

// Show reads a draft of a bundle or of the root that follows root, for a holder
// to look at before he signs. Errors are findings.
func Show(envelope []byte, root *trust.Root) (*Shown, error) {
	s := &Shown{}
	var ids []string
	var body []byte
	if _, notRoot := dsse.Scan(envelope, trust.RootType, trust.MaxRotation); notRoot == nil {
		next, signed, err := trust.OpenRotationDraft(envelope, root)
		if err != nil {
			return nil, err
		}
		if body, err = next.Encode(); err != nil {
			return nil, err
		}
		s.Root, ids = next, signed
		s.Missing = max(missing(next, ids), missing(root, ids))
	} else {
		draft, err := trust.OpenDraft(envelope, root)
		if err != nil {
			return nil, err
		}
		if body, err = strictjson.Encode(&draft.Bundle); err != nil {
			return nil, err
		}
		s.Bundle, ids = &draft.Bundle, draft.Signed
		s.Missing = missing(root, ids)
	}
	for _, id := range ids {
		if k, ok := root.Key(id); ok {
			s.Signed = append(s.Signed, k.Holder)
		} else {
			s.Signed = append(s.Signed, holder(s.Root, id))
		}
	}
	s.Fingerprint = trust.Fingerprint(body)
	return s, nil
}

// missing counts the signatures that a root still asks for.
func missing(r *trust.Root, signed []string) int {
	n := r.Threshold
	for _, id := range signed {
		if _, ok := r.Key(id); ok {
			n--
		}
	}
	return max(0, n)
}
