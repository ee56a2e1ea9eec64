package hotplug

import (
	"maps"
	"slices"
	"sync"
	"time"

	"sallyport/internal/intake"
	"sallyport/internal/usb"
	"sallyport/internal/verdict"
)

// Phases of a port, beside those of a medium (package intake).
const (
	Empty   = "empty"
	Refused = "refused" // the device was refused; nothing has used it
	Waiting = "waiting" // for its turn, or for the station
	Decided = "decided" // the verdict is there and the device is denied again
	Earlier = "earlier" // it was decided before sallyportd started
	Idle    = "idle"    // a medium to be written, which nobody has asked for
	InUse   = "in-use"  // a keyboard or security key
)

// View is what people see of the ports.
type View struct {
	// Guarded says that sallyport-usbd is there and denies devices by default.
	Guarded bool `json:"guarded"`
	// Problems say in one sentence each why no medium is taken from a port.
	Problems []string `json:"problems"`
	Ports    []Port   `json:"ports"`
}

// Port is one socket, or a device at a place that is none of the station's.
type Port struct {
	Path  string `json:"path"`
	Role  string `json:"role,omitzero"` // as configured; empty for another place
	Phase string `json:"phase"`
	Since string `json:"since"` // of the phase, UTC
	// Device is the one that is there, or was there last.
	Device *intake.Device `json:"device,omitzero"`
	Medium string         `json:"medium,omitzero"` // the intake's id
	Done   int64          `json:"done,omitzero"`   // bytes
	Total  int64          `json:"total,omitzero"`  // bytes
	// Verdict and Findings are those of the medium, or of the device when it was
	// refused. Of a port that is empty they are the last ones.
	Verdict  verdict.Verdict   `json:"verdict,omitzero"`
	Findings []verdict.Finding `json:"findings,omitzero"`
	Packages int               `json:"packages,omitzero"`
	Accepted int               `json:"accepted,omitzero"` // of them
	Sealed   bool              `json:"sealed,omitzero"`   // the verdict, by the TPM
	// Removable says that the device may be taken out.
	Removable bool `json:"removable,omitzero"`
	// Before is the medium that was pulled from here before this one came, and
	// got its verdict afterwards.
	Before *Past `json:"before,omitzero"`
}

// Past is the verdict over a medium whose place was taken by another.
type Past struct {
	Medium   string            `json:"medium"`
	Verdict  verdict.Verdict   `json:"verdict"`
	Findings []verdict.Finding `json:"findings"`
}

// board is the view, kept by the manager and read by watchers.
type board struct {
	mu       sync.Mutex
	ports    map[string]*Port
	guarded  bool
	problems []string
	changed  chan struct{} // closed at the next change
}

// change lets do change the view and wakes the watchers.
func (b *board) change(do func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ports == nil {
		b.ports = map[string]*Port{}
	}
	do()
	if b.changed != nil {
		close(b.changed)
		b.changed = nil
	}
}

// View returns the view and a channel that is closed when it is no longer true.
func (m *Manager) View() (View, <-chan struct{}) {
	b := &m.board
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.changed == nil {
		b.changed = make(chan struct{})
	}
	v := View{Guarded: b.guarded, Problems: append([]string{}, b.problems...), Ports: []Port{}}
	if !v.Guarded && len(v.Problems) == 0 { // systemd holds its socket, and it has not spoken
		v.Problems = append(v.Problems, "sallyport-usbd has not answered yet")
	}
	for _, path := range slices.Sorted(maps.Keys(b.ports)) {
		v.Ports = append(v.Ports, *b.ports[path])
	}
	return v, b.changed
}

// at returns the port of a place.
func (b *board) at(path string) *Port {
	p := b.ports[path]
	if p == nil {
		p = &Port{Path: path, Phase: Empty, Since: now()}
		b.ports[path] = p
	}
	return p
}

func (p *Port) enter(phase string) {
	if p.Phase != phase {
		p.Phase, p.Since = phase, now()
	}
}

func now() string { return time.Now().UTC().Format(time.RFC3339) }

func (b *board) state(ports []usb.Port, problems []string) {
	b.change(func() {
		b.guarded, b.problems = len(problems) == 0, problems
		for _, p := range ports {
			b.at(p.Path).Role = string(p.Role)
		}
	})
}

// lost forgets the devices: nobody can say what is plugged in.
func (b *board) lost(why string) {
	b.change(func() {
		b.guarded, b.problems = false, []string{why}
		for path, p := range b.ports {
			if p.Role == "" {
				delete(b.ports, path)
				continue
			}
			b.ports[path] = &Port{Path: path, Role: p.Role, Phase: Empty, Since: now()}
		}
	})
}

func (b *board) attached(d *intake.Device, role usb.Role, phase string, refusal *verdict.Finding) {
	b.change(func() {
		p := b.at(d.Port)
		facts := *d
		var before *Past
		if slices.ContainsFunc(p.Findings, func(f verdict.Finding) bool { return f.Reason == verdict.RemovedDuringRead }) {
			before = &Past{p.Medium, p.Verdict, p.Findings} // nobody may have read it yet
		}
		*p = Port{Path: p.Path, Role: p.Role, Phase: phase, Since: now(), Device: &facts, Before: before}
		if refusal != nil {
			p.Verdict, p.Findings = verdict.Refused, []verdict.Finding{*refusal}
		}
		p.Removable = refusal != nil || role == usb.Out || phase == Earlier
	})
}

func (b *board) detached(d *intake.Device) {
	b.change(func() {
		p := b.at(d.Port)
		if !p.holds(d) {
			return
		}
		p.enter(Empty)
		p.Removable = false
		if p.Role == "" {
			delete(b.ports, d.Port)
		}
	})
}

// holds says whether the port shows this very insertion.
func (p *Port) holds(d *intake.Device) bool {
	return p.Device != nil && p.Device.Insertion == d.Insertion
}

func (b *board) phase(d *intake.Device, phase string, done, total int64) {
	b.change(func() {
		p := b.at(d.Port)
		if !p.holds(d) {
			return
		}
		if p.Phase != Empty { // else it was pulled, and its verdict is still to come
			p.enter(phase)
		}
		p.Done, p.Total = done, total
	})
}

func (b *board) verdict(d *intake.Device, r *intake.Report) {
	found := append([]verdict.Finding{}, r.Findings...)
	packages, accepted := 0, 0
	for _, k := range r.Packages {
		found = append(found, k.Findings...)
		if k.Package != "" {
			packages++
		}
		if k.Verdict == verdict.Accepted {
			accepted++
		}
	}
	found = distinct(found)
	b.change(func() {
		p := b.at(d.Port)
		if !p.holds(d) {
			p.Before = &Past{r.Medium.ID, r.Verdict, found}
			return
		}
		if p.Phase != Empty {
			p.enter(Decided)
			p.Removable = r.Removable
		}
		p.Medium, p.Verdict, p.Findings, p.Sealed, p.Device = r.Medium.ID, r.Verdict, found, r.Sealed, r.Medium.Device
		p.Packages, p.Accepted = packages, accepted
	})
}

// distinct drops repetitions: each package repeats what is wrong with its medium.
func distinct(list []verdict.Finding) []verdict.Finding {
	out := []verdict.Finding{}
	for _, f := range list {
		if !slices.Contains(out, f) {
			out = append(out, f)
		}
	}
	return out
}
