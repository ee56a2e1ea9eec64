package custody

import (
	"slices"
	"strings"

	"sallyport/internal/verdict"
)

// Seen is what an inserted medium shows of itself.
type Seen struct {
	// Device says that the next three come from a USB device; an image or a block
	// device that somebody names shows none of them.
	Device                  bool
	Vendor, Product, Serial string
	FSIDs                   []string // of all its volumes
}

// Found is what the register says of an inserted medium.
type Found struct {
	ID    string // "" when it is not registered, or not to be told from others
	Label string
	State State
	// Against says why it may not be taken; empty when it may.
	Against []verdict.Finding
}

// plausible says whether a serial number can tell one device from another. USB
// asks for at least twelve characters that are unique (Mass Storage Bulk-Only
// 1.0, section 4.1.1), which many devices do not keep; what is refused here is
// what makers leave in when they give no number at all. A number that comes back
// with other descriptors does not get this far (usb.History).
func plausible(serial string) bool {
	const digits, hex = "0123456789", "0123456789ABCDEF"
	s := fold(serial)
	return len(s) >= 4 && strings.Trim(s, s[:1]) != "" &&
		!strings.Contains(strings.Repeat(digits, 1+len(s)/len(digits)+1), s) && !strings.Contains(strings.Repeat(hex, 1+len(s)/len(hex)+1), s)
}

// telling says whether a file-system id can tell one medium from another.
func telling(id string) bool { return strings.Trim(id, "0-{} ") != "" }

// Look finds an inserted medium and says what the register has against it.
//
//  1. A plausible serial number finds the medium. Its file system has to be the
//     one that the register has for it, if it has one, and no other medium's.
//  2. Without one the file-system id finds it; but a device that shows another
//     serial number than the register has, or none, is not that medium.
//  3. What was found has to be where and what the register says.
func (r *Register) Look(s Seen, p Policy) Found {
	r.mu.Lock()
	defer r.mu.Unlock()
	e, against := r.identify(s)
	if against != nil {
		return Found{Against: []verdict.Finding{*against}}
	}
	if e == nil {
		var f Found
		if p.Mode == Required {
			f.Against = []verdict.Finding{*verdict.New(verdict.MediumUnknown, "register of media", "%s", s.words())}
		}
		return f
	}
	return Found{ID: e.ID, Label: e.Label, State: e.State, Against: e.against(p)}
}

// words says what a medium shows, for people who look for it.
func (s *Seen) words() string {
	words := "it has no serial number that can be seen here"
	if s.Device && s.Serial != "" {
		words = "its serial number is " + s.Serial
		if !plausible(s.Serial) {
			words += ", which many devices share"
		}
	}
	if len(s.FSIDs) == 0 {
		return words + ", and no file-system id"
	}
	return words + ", its file-system id " + strings.Join(s.FSIDs, ", ")
}

// identify finds the one medium that is meant, nil when there is none.
func (r *Register) identify(s Seen) (*entry, *verdict.Finding) {
	serial := ""
	if s.Device && plausible(s.Serial) {
		serial = s.Serial
	}
	ids, byFS := tellingIDs(s.FSIDs), []*entry{}
	for _, id := range ids {
		byFS = append(byFS, r.byFS[id]...)
	}
	var bySerial []*entry
	if serial != "" {
		for _, e := range r.bySerial[serial] {
			if e.Vendor == "" || e.Vendor == s.Vendor && e.Product == s.Product {
				bySerial = append(bySerial, e)
			}
		}
	}
	if len(bySerial) == 0 {
		return r.identifyByFS(s, serial, byFS)
	}
	if len(bySerial) > 1 { // a list of another station, or a register that was put together
		return nil, broken(bySerial[0], "%d registered media have the serial number %s", len(bySerial), serial)
	}
	e := bySerial[0]
	if len(ids) == 0 || slices.Contains(byFS, e) {
		return e, nil
	}
	if len(byFS) > 0 {
		return nil, broken(e, "it has the serial number of this medium and the file-system id of medium %s", byFS[0].Name())
	}
	if e.FSID != "" {
		return nil, broken(e, "the register has the file-system id %s for it, and it has %s: it was formatted or replaced", e.FSID, strings.Join(s.FSIDs, ", "))
	}
	return e, nil
}

// identifyByFS finds a medium whose serial number tells nothing here.
func (r *Register) identifyByFS(s Seen, serial string, byFS []*entry) (*entry, *verdict.Finding) {
	switch {
	case len(byFS) == 0:
		return nil, nil
	case len(byFS) > 1:
		return nil, broken(byFS[0], "medium %s has the same file-system id, and no serial number tells which one it is", byFS[1].Name())
	}
	e := byFS[0]
	switch {
	case !s.Device || e.Serial == "":
		return e, nil
	case serial != "":
		return nil, broken(e, "it has the file-system id of this medium, whose serial number is %s, and the serial number %s", e.Serial, serial)
	}
	return nil, broken(e, "it has the file-system id of this medium, whose serial number is %s, and shows no serial number that tells anything", e.Serial)
}

// tellingIDs keeps the ids that tell something, comparable and each once.
func tellingIDs(ids []string) []string {
	var out []string
	for _, id := range ids {
		if telling(id) && !slices.Contains(out, fold(id)) {
			out = append(out, fold(id))
		}
	}
	return out
}

func broken(e *entry, detail string, args ...any) *verdict.Finding {
	return verdict.New(verdict.CustodyBroken, "medium "+e.Name(), detail, args...)
}

// against says why a medium that was found may not be taken.
func (e *entry) against(p Policy) []verdict.Finding {
	var out []verdict.Finding
	add := func(f *verdict.Finding) { out = append(out, *f) }
	if (e.SingleUse || p.SingleUse) && e.Readings > 0 {
		add(verdict.New(verdict.MediumReused, "medium "+e.Name(), "it was read here before"))
	}
	if e.Direction == Out {
		add(broken(e, "it is for data that goes out, and is not read here"))
	}
	if e.Broken {
		add(broken(e, "a seal of it was broken, missing or another one when it changed hands"))
	}
	switch e.State {
	case Received, Consumed:
	case Registered, Prepared:
		if p.Mode == Required {
			add(broken(e, "it is %s by the register: nobody received it here ('sallyport media receive')", e.State))
		}
	case Sealed, InTransit:
		add(broken(e, "it is %s by the register: nobody received it here and looked at its seal ('sallyport media receive')", e.State))
	default:
		add(broken(e, "it is %s by the register, and nothing is read from it", e.State))
	}
	return out
}

// again are the reasons with which people are told to bring the same medium once
// more. Whatever else is found against it, it has not had its one reading then.
var again = []verdict.Reason{
	verdict.Unreadable, verdict.RemovedDuringRead, verdict.SequenceGap, verdict.TrustOutdated, verdict.TrustMissing,
	verdict.ScannerUnavailable, verdict.StoreFull, verdict.TPMUnavailable, verdict.ClockUnusable, verdict.SandboxUnavailable, verdict.Interrupted,
}

// Final says whether a verdict for these reasons ends the reading of a medium, so
// that it counts as one.
func Final(reasons []verdict.Reason) bool {
	return !slices.ContainsFunc(reasons, func(r verdict.Reason) bool { return slices.Contains(again, r) })
}
