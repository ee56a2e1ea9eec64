package evidence

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"sallyport/internal/audit"
	"sallyport/internal/verdict"
)

// story is what entries of the log tell about one medium.
type story struct {
	Station  Station
	Medium   Medium
	Verdict  Verdict
	Packages []Package
	// judged is set when a manifest was verified, trust is the version of the trust
	// bundle that was asked then.
	judged bool
	trust  int64
	// refused says, by item, for what the station refused its manifest or evidence.
	refused map[string][]verdict.Reason
	// details are, by item, the first finding as the log has it.
	details map[string]string
	// end is the entry with which the medium was done with: up to it no entry since
	// the insertion is missing.
	end int64
}

// teller reads a story. It believes no order and no completeness: each rule of
// FORMAT.md, "The story", is held by one of its methods.
type teller struct {
	story
	medium    string
	insertion string
	boot      string // of the insertion
	last      *audit.Entry
	start     *audit.Entry
	attached  *audit.Entry
	inserted  *audit.Entry
	told      bool
	intents   map[int64]*audit.Entry
	open      map[int64]bool // intents about the medium without outcome
	verified  *audit.Entry   // package.verify that waits for its package
	admitted  map[string]bool
	held      map[string]int64          // by item, the intent
	failed    map[string]verdict.Reason // why nothing was stored
}

// tell reads the story of a medium. The entries are in the order of the log; that
// they are in the log is for the caller to prove.
func tell(entries []audit.Entry, medium string) (*story, error) {
	t := &teller{medium: medium, intents: map[int64]*audit.Entry{}, open: map[int64]bool{},
		admitted: map[string]bool{}, held: map[string]int64{}, failed: map[string]verdict.Reason{}}
	t.Packages, t.refused, t.details = []Package{}, map[string][]verdict.Reason{}, map[string]string{}
	for i := range entries {
		if err := t.take(&entries[i]); err != nil {
			return nil, fmt.Errorf("entry %d (%s): %w", entries[i].Seq, entries[i].Event, err)
		}
	}
	if err := t.conclude(); err != nil {
		return nil, err
	}
	return &t.story, nil
}

// ended says whether the medium was done with.
func (t *teller) ended() bool { return t.told && len(t.open) == 0 }

// about says whether an entry is about the medium.
func (t *teller) about(e *audit.Entry) bool {
	return e.Subject.Medium == t.medium || t.insertion != "" && e.Boot == t.boot && e.Fields["insertion"] == t.insertion
}

func (t *teller) take(e *audit.Entry) error {
	if err := t.order(e); err != nil {
		return err
	}
	done := t.ended()
	switch {
	case t.inserted == nil:
		if err := t.before(e); err != nil {
			return err
		}
	case !done && e.Seq != t.last.Seq+1:
		return fmt.Errorf("the entry before it, %d, is missing: nothing may be left out between the insertion and the end", e.Seq-1)
	case done && !t.about(e):
		return errors.New("it says nothing of this medium")
	}
	t.last = e
	if err := t.pair(e); err != nil {
		return err
	}
	if t.inserted != nil && t.about(e) {
		if err := t.apply(e); err != nil {
			return err
		}
	}
	if !done && t.ended() && t.end == 0 {
		t.end = e.Seq
	}
	return nil
}

// order compares an entry's place and clock with those of the one before.
func (t *teller) order(e *audit.Entry) error {
	switch {
	case t.last == nil:
	case e.Seq <= t.last.Seq:
		return fmt.Errorf("it stands behind entry %d", t.last.Seq)
	case e.Boot == t.last.Boot && e.MonoUS < t.last.MonoUS:
		return fmt.Errorf("mono_us goes back from %d to %d within one boot", t.last.MonoUS, e.MonoUS)
	}
	return nil
}

// before takes what stands before the insertion: who the station is, and the
// device as it was seen when it came.
func (t *teller) before(e *audit.Entry) error {
	switch {
	case e.Event == audit.StationStart && t.start == nil && t.attached == nil:
		t.start = e
		f := e.Fields
		t.Station = Station{ID: f["station_id"], Role: f["role"], Jurisdiction: f["jurisdiction"], KeyID: f["key_id"], Software: f["version"]}
		return nil
	case e.Event == audit.DeviceAttached && t.attached == nil:
		t.attached = e
		return nil
	case e.Event == audit.MediumInserted && e.Subject.Medium == t.medium && t.start != nil:
		t.inserted, t.insertion, t.boot = e, e.Fields["insertion"], e.Boot
		return nil
	case t.start == nil:
		return fmt.Errorf("it stands where the last %s before the medium belongs", audit.StationStart)
	}
	return errors.New("it does not belong before the insertion of this medium")
}

// pair holds an outcome against its intent.
func (t *teller) pair(e *audit.Entry) error {
	switch e.Phase {
	case audit.PhaseIntent:
		t.intents[e.Seq] = e
		if e.Subject.Medium == t.medium {
			t.open[e.Seq] = true
		}
	case audit.PhaseOutcome:
		in := t.intents[e.Ref]
		if in == nil {
			if e.Subject.Medium == t.medium {
				return fmt.Errorf("its intent, entry %d, is missing, or has an outcome already", e.Ref)
			}
			return nil
		}
		if in.Event != e.Event || in.Subject != e.Subject {
			return fmt.Errorf("it differs from its intent, entry %d, in event or subject", e.Ref)
		}
		if e.Subject.Medium != t.medium {
			delete(t.intents, e.Ref)
		}
		delete(t.open, e.Ref)
	}
	return nil
}

// apply takes in what an entry says of the medium.
func (t *teller) apply(e *audit.Entry) error {
	in := e
	if e.Phase == audit.PhaseOutcome && e.Subject.Medium == t.medium {
		in = t.intents[e.Ref]
		delete(t.intents, e.Ref)
	}
	switch e.Event {
	case audit.MediumInserted:
		if e != t.inserted {
			return errors.New("the medium was inserted before")
		}
		t.facts(e)
	case audit.MediumRead:
		t.read(e)
	case audit.MediumVerdict:
		return t.decide(e)
	case audit.PackageVerify:
		return t.verify(e)
	case audit.PackageStage:
		return t.stage(e, in)
	case audit.PackageRecovered:
		return t.recovered(e)
	case audit.PackageAdmit, audit.PackageHold:
		return t.settle(e, in)
	}
	return nil
}

// facts takes the medium from its insertion, and its device from there and from
// when it came.
func (t *teller) facts(e *audit.Entry) {
	f := e.Fields
	t.Medium = Medium{ID: t.medium, Inserted: e.Wall, Source: f["source"], Name: f["path"], Person: e.Subject.Person}
	if t.insertion == "" {
		return
	}
	d := &Device{Port: f["port"], Vendor: f["vendor"], Product: f["product"], Serial: f["serial"]}
	if t.attached != nil {
		a := t.attached.Fields
		d.Manufacturer, d.Name, d.Speed, d.Shape, d.Descriptors = a["manufacturer"], a["name"], a["speed"], a["shape"], a["sha256"]
	}
	t.Medium.Device = d
}

// read takes what the end of the reading says.
func (t *teller) read(e *audit.Entry) {
	if e.Phase == audit.PhaseOutcome && e.Outcome == audit.Success {
		n, err := strconv.ParseInt(e.Fields["size"], 10, 64)
		if err == nil && n > 0 {
			t.Medium.Bytes = n
		}
		t.Medium.Table, t.Medium.Filesystems = e.Fields["table"], e.Fields["filesystems"]
	}
}

func (t *teller) decide(e *audit.Entry) error {
	if t.told {
		return errors.New("the medium had its verdict before")
	}
	t.told = true
	v := verdict.Verdict(e.Outcome)
	if v != verdict.Accepted && v != verdict.Held && v != verdict.Refused {
		return fmt.Errorf("%q is no verdict", e.Outcome)
	}
	reasons, err := splitReasons(e.Fields["reasons"])
	t.Verdict = Verdict{Verdict: v, Reasons: reasons, Entry: e.Seq, Time: e.Wall}
	return err
}

func splitReasons(list string) ([]verdict.Reason, error) {
	out := []verdict.Reason{}
	if list == "" {
		return out, nil
	}
	for text := range strings.SplitSeq(list, ",") {
		r := verdict.Reason(text)
		if !r.Valid() {
			return nil, fmt.Errorf("%q is no reason", verdict.Escape(text))
		}
		out = append(out, r)
	}
	return out, nil
}

// verify takes the judgement over a manifest; the package that it is about is
// stored next.
func (t *teller) verify(e *audit.Entry) error {
	n, err := strconv.ParseInt(e.Fields["trust_version"], 10, 64)
	switch {
	case err != nil || n < 0:
		return errors.New("it does not say which trust bundle was asked")
	case t.judged && n != t.trust:
		return fmt.Errorf("trust bundle %d was asked, for an earlier package of the medium %d", n, t.trust)
	}
	t.judged, t.trust, t.verified = true, n, e
	return nil
}

func (t *teller) item(id string) *Package {
	i := slices.IndexFunc(t.Packages, func(p Package) bool { return p.Item == id })
	if i < 0 {
		return nil
	}
	return &t.Packages[i]
}

// stage takes the storing of a package.
func (t *teller) stage(e, in *audit.Entry) error {
	id := in.Fields["item"]
	p := t.item(id)
	if e.Phase == audit.PhaseOutcome {
		switch e.Outcome {
		case audit.Success:
			p.Digest = e.Fields["digest"]
			if _, err := hash(p.Digest); err != nil {
				return err
			}
		case audit.Interrupted:
			t.failed[id] = verdict.Interrupted
		default:
			t.failed[id] = verdict.Reason(e.Fields["reason"])
		}
		return nil
	}
	switch {
	case p != nil:
		return fmt.Errorf("the item %s was stored before", id)
	case !itemID.MatchString(id) || !strings.HasPrefix(id, t.medium+"-"):
		return fmt.Errorf("%q is no item of this medium", verdict.Escape(id))
	}
	s := e.Subject
	next := Package{Item: id, Package: s.Package, Manifest: s.Manifest, Reasons: []verdict.Reason{}, Findings: []verdict.Finding{}}
	if v := t.verified; v != nil {
		reasons, err := splitReasons(v.Fields["reason"])
		if err != nil {
			return err
		}
		t.refused[id] = reasons
		if v.Subject != s {
			return fmt.Errorf("the manifest that was verified before, entry %d, is that of another package", v.Seq)
		}
		if s.Manifest != "" {
			f := v.Fields
			next.Kind, next.Sender, next.ElectionID, next.Audience, next.Stream, next.KeyIDs = f["kind"], s.Station, f["election_id"], f["audience"], f["stream"], f["key_ids"]
			n, err := strconv.ParseInt(f["package_seq"], 10, 64)
			if err != nil {
				return fmt.Errorf("the sequence number in entry %d is no number", v.Seq)
			}
			next.Seq = n
		}
	} else if s.Manifest != "" {
		return errors.New("no entry says that its manifest was verified")
	}
	t.verified = nil
	t.Packages = append(t.Packages, next)
	return nil
}

// recovered takes what a start found that a stop had left half-way.
func (t *teller) recovered(e *audit.Entry) error {
	p := t.item(e.Fields["item"])
	if p == nil {
		return errors.New("no entry says that this item was stored")
	}
	if _, err := hash(e.Fields["digest"]); err != nil {
		return err
	}
	p.Digest = e.Fields["digest"]
	return nil
}

// settle takes the decision over a package.
func (t *teller) settle(e, in *audit.Entry) error {
	id := in.Fields["item"]
	p := t.item(id)
	if p == nil {
		return fmt.Errorf("no entry says that the item %q was stored", verdict.Escape(id))
	}
	s := in.Subject
	if s.Package != p.Package || s.Manifest != p.Manifest {
		return fmt.Errorf("the item %s was stored as another package", id)
	}
	if e.Phase != audit.PhaseOutcome {
		return nil
	}
	switch {
	case e.Event == audit.PackageAdmit && e.Outcome == audit.Accepted:
		t.admitted[id] = true
	case e.Event == audit.PackageHold && e.Outcome == audit.Held:
		reasons, err := splitReasons(in.Fields["reasons"])
		if err != nil {
			return err
		}
		if len(reasons) == 0 {
			return errors.New("the item was held without a reason")
		}
		// After a stop the next start holds the item anew, and then ends what the stop
		// left open: the last intent is the one that was carried out.
		if in.Seq > t.held[id] {
			t.held[id] = in.Seq
			p.Reasons, t.details[id] = reasons, in.Fields["detail"]
		}
	}
	return nil
}

// conclude compares the parts of the story with each other.
func (t *teller) conclude() error {
	switch {
	case t.inserted == nil:
		return fmt.Errorf("no entry says that the medium %s was inserted", verdict.Escape(t.medium))
	case !t.ended():
		return errors.New("the entries end before the medium was done with")
	}
	if a := t.attached; a != nil && (t.insertion == "" || a.Boot != t.boot || a.Fields["insertion"] != t.insertion) {
		return fmt.Errorf("entry %d is about another device than the medium's", a.Seq)
	}
	for i := range t.Packages {
		p := &t.Packages[i]
		admitted, held := t.admitted[p.Item], t.held[p.Item] > 0
		switch {
		case admitted && held, p.Digest != "" && !admitted && !held, p.Digest == "" && (admitted || held):
			return fmt.Errorf("the entries do not agree on what became of the item %s", p.Item)
		case admitted:
			p.Verdict = verdict.Accepted
		case held:
			p.Verdict = verdict.Held
		default:
			p.Verdict = verdict.Held
			if r := t.failed[p.Item]; r.Valid() {
				p.Reasons = []verdict.Reason{r}
			}
		}
		if admitted && p.Manifest == "" {
			return fmt.Errorf("the item %s was admitted without a manifest", p.Item)
		}
	}
	return t.agree()
}

// agree holds the verdict over the medium against those over its packages. A
// medium that the station could not finish is held as interrupted, whatever was
// decided before.
func (t *teller) agree() error {
	v := t.Verdict
	accepted := v.Verdict == verdict.Accepted
	if accepted != (len(v.Reasons) == 0) {
		return fmt.Errorf("the verdict is %s with %d reasons", v.Verdict, len(v.Reasons))
	}
	if accepted && len(t.Packages) == 0 {
		return errors.New("the medium was accepted without a package")
	}
	if v.Verdict == verdict.Refused && len(t.Packages) > 0 {
		return errors.New("packages were read from a medium that was refused")
	}
	if slices.Equal(v.Reasons, []verdict.Reason{verdict.Interrupted}) {
		return nil
	}
	for _, p := range t.Packages {
		if accepted && p.Verdict != verdict.Accepted {
			return fmt.Errorf("the medium was accepted, the item %s was not", p.Item)
		}
		for _, r := range p.Reasons {
			if !slices.Contains(v.Reasons, r) {
				return fmt.Errorf("the item %s was held for %s, which the verdict does not name", p.Item, r)
			}
		}
	}
	return nil
}
