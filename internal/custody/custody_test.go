package custody_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"sallyport/internal/custody"
	"sallyport/internal/durable"
	"sallyport/internal/verdict"
)

var (
	ann, bob = []string{"Ann Bell"}, []string{"Bob Cole"}
	noon     = time.Date(2026, 11, 3, 12, 0, 0, 0, time.UTC)
)

// desk is a register with the numbers of a log that does not exist.
type desk struct {
	t      *testing.T
	dir    string
	r      *custody.Register
	policy custody.Policy
	seq    int64
}

// memory is a temporary folder in memory where there is one: what a disk adds to
// these tests is only time.
func memory(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "custody")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func newDesk(t *testing.T) *desk {
	t.Helper()
	d := &desk{t: t, dir: filepath.Join(memory(t), "media"), policy: custody.Policy{Mode: custody.Required}}
	d.must(custody.Create(d.dir, durable.FS{}))
	d.open(durable.FS{})
	return d
}

func (d *desk) open(fs durable.FS) {
	d.t.Helper()
	var err error
	d.r, err = custody.Open(d.dir, fs)
	d.must(err)
}

func (d *desk) must(err error) {
	d.t.Helper()
	if err != nil {
		d.t.Fatal(err)
	}
}

func (d *desk) by() custody.By {
	d.seq++
	return custody.By{Seq: d.seq, At: noon.Add(time.Duration(d.seq) * time.Minute), UID: 1000}
}

func (d *desk) add(x custody.Description) string {
	d.t.Helper()
	id := custody.NewID()
	_, err := d.r.Add(id, x, d.by())
	d.must(err)
	return id
}

// stick is a medium that is told by its serial number.
func (d *desk) stick(label string) string {
	return d.add(custody.Description{Label: label, Serial: "SERIAL-" + label, Direction: custody.Both})
}

func (d *desk) try(id string, c custody.Change) error {
	_, err := d.r.Change(id, c, d.by(), d.policy)
	return err
}

func (d *desk) do(id string, changes ...custody.Change) {
	d.t.Helper()
	for _, c := range changes {
		if err := d.try(id, c); err != nil {
			d.t.Fatalf("%s: %v", c.Act, err)
		}
	}
}

func (d *desk) use(id string) {
	d.t.Helper()
	_, err := d.r.Use(id, custody.Reading{Medium: "7c2e2bfb0936", Verdict: verdict.Accepted, Entry: 7}, d.by())
	d.must(err)
}

func (d *desk) get(id string) *custody.Medium {
	d.t.Helper()
	m, err := d.r.Get(id)
	d.must(err)
	return m
}

// refuses checks that an error is for people and says something.
func refuses(t *testing.T, err error, says ...string) {
	t.Helper()
	var no *custody.Refusal
	if !errors.As(err, &no) {
		t.Errorf("error %v, want a refusal that says %q", err, says)
		return
	}
	for _, s := range says {
		if !strings.Contains(no.Error(), s) {
			t.Errorf("%q does not say %q", no, s)
		}
	}
}

// paths lead a new medium into each state, by what people and the intake do.
func paths(d *desk) map[custody.State]func(id string) {
	seal := func(id string) {
		d.do(id, custody.Change{Act: custody.Seal, Seal: "S" + id[:8]})
	}
	receive := func(id string) { d.do(id, custody.Change{Act: custody.Receive, From: ann, To: bob}) }
	return map[custody.State]func(id string){
		custody.Registered: func(string) {},
		custody.Prepared:   func(id string) { d.do(id, custody.Change{Act: custody.Prepare}) },
		custody.Sealed:     seal,
		custody.InTransit:  func(id string) { d.do(id, custody.Change{Act: custody.HandOver, From: ann, To: bob}) },
		custody.Received:   receive,
		custody.Consumed:   func(id string) { receive(id); d.use(id) },
		custody.Sanitised:  func(id string) { d.do(id, custody.Change{Act: custody.Sanitise, Note: "overwritten"}) },
		custody.Retired:    func(id string) { d.do(id, custody.Change{Act: custody.Retire, Note: "destroyed"}) },
	}
}

// change is an act with all that it needs for a medium in any state.
func change(d *desk, id string, a custody.Act) custody.Change {
	m := d.get(id)
	c := custody.Change{Act: a}
	switch a {
	case custody.Seal:
		c.Seal = "NEW-" + id[:8]
	case custody.HandOver, custody.Receive:
		c.From, c.To, c.Seal = m.Holders, []string{"Zoe"}, m.Seal
		if len(m.Holders) == 0 {
			c.From = ann
		}
	case custody.Sanitise, custody.Retire:
		c.Note = "why and how"
	}
	return c
}

// want is the table of transitions once more, as people read it.
var want = map[custody.State]string{
	custody.Registered: "prepare>prepared seal>sealed handover>in-transit receive>received consume>consumed sanitise>sanitised retire>retired",
	custody.Prepared:   "seal>sealed handover>in-transit consume>consumed sanitise>sanitised retire>retired",
	custody.Sealed:     "handover>in-transit receive>received sanitise>sanitised retire>retired",
	custody.InTransit:  "handover>in-transit receive>received retire>retired",
	custody.Received:   "prepare>prepared seal>sealed handover>in-transit consume>consumed sanitise>sanitised retire>retired",
	custody.Consumed:   "handover>in-transit sanitise>sanitised retire>retired",
	custody.Sanitised:  "prepare>prepared handover>in-transit retire>retired",
	custody.Retired:    "",
}

// TestEveryTransition tries every act in every state, on the register itself.
func TestEveryTransition(t *testing.T) {
	d := newDesk(t)
	n := 0
	for _, from := range custody.States() {
		for _, act := range custody.Acts() {
			to := ""
			for _, w := range strings.Fields(want[from]) {
				if a, s, _ := strings.Cut(w, ">"); a == string(act) {
					to = s
				}
			}
			if s, ok := act.Leads(from); ok != (to != "") || ok && string(s) != to {
				t.Errorf("%s from %s leads to %q, %v; want %q", act, from, s, ok, to)
			}
			if act == custody.Add || act == custody.Consume { // not people's
				continue
			}
			n++
			id := d.stick(fmt.Sprintf("%s-%s", from, act))
			paths(d)[from](id)
			before := d.get(id)
			err := d.try(id, change(d, id, act))
			if to == "" {
				refuses(t, err)
				if after := d.get(id); after.State != from || len(after.History) != len(before.History) {
					t.Errorf("%s from %s is refused and changes the record", act, from)
				}
			} else if err != nil || string(d.get(id).State) != to {
				t.Errorf("%s from %s: %v, state %s", act, from, err, d.get(id).State)
			}
		}
	}
	if n != 8*6 {
		t.Errorf("%d transitions were tried", n)
	}
	d.open(durable.FS{}) // and every record is one that is read back
	if d.r.Len() != n {
		t.Errorf("%d of %d media are read back", d.r.Len(), n)
	}
}

// TestTheDocumentHasTheTable keeps FORMAT.md and the table in code equal.
func TestTheDocumentHasTheTable(t *testing.T) {
	b, err := os.ReadFile("FORMAT.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(b), "<!-- transitions: begin -->\n")
	have, _, ok2 := strings.Cut(rest, "<!-- transitions: end -->")
	if !ok || !ok2 {
		t.Fatal("FORMAT.md has no place for the table")
	}
	table := "| Act | From | To |\n|---|---|---|\n"
	for _, a := range custody.Acts() {
		var from []string
		var to custody.State
		for _, s := range custody.States() {
			if next, ok := a.Leads(s); ok {
				from, to = append(from, "`"+string(s)+"`"), next
			}
		}
		if next, ok := a.Leads(""); ok {
			from, to = []string{"(none)"}, next
		}
		table += fmt.Sprintf("| `%s` | %s | `%s` |\n", a, strings.Join(from, " "), to)
	}
	if have != table {
		t.Errorf("FORMAT.md has\n%s\nthe code\n%s", have, table)
	}
}

// The way of a medium from a polling place to the desk, with all that is said of
// it on the way.
func TestTheStoryOfAMedium(t *testing.T) {
	d := newDesk(t)
	id := d.add(custody.Description{Label: "P-12", Serial: "4C531001", FSID: "1A2B-3C4D", Direction: custody.In, SingleUse: true, Election: "county-2026"})
	d.do(id,
		custody.Change{Act: custody.Prepare},
		custody.Change{Act: custody.Seal, Seal: "004711"},
		custody.Change{Act: custody.HandOver, From: ann, To: bob, Seal: "004711", Place: "Town hall"},
		custody.Change{Act: custody.Receive, To: []string{"Ida Jones"}, Seal: "004711", FSID: "5E6F-7A8B"},
	)
	d.use(id)
	d.open(durable.FS{})
	m := d.get(id)
	if m.State != custody.Consumed || m.Seal != "" || m.FSID != "5E6F-7A8B" || !slices.Equal(m.Holders, []string{"Ida Jones"}) || m.Readings != 1 || m.Last.Entry != 7 || m.Seq != d.seq || len(m.History) != 6 {
		t.Errorf("in the end: %+v", m)
	}
	if s := m.History[3]; s.SealDone != custody.SealChecked || s.Place != "Town hall" || s.UID != 1000 || !slices.Equal(s.From, ann) || !slices.Equal(s.To, bob) || s.At != "2026-11-03T12:04:00Z" {
		t.Errorf("the hand-over is %+v", s)
	}
	if s := m.History[4]; s.SealDone != custody.SealOff || !slices.Equal(s.From, bob) {
		t.Errorf("the receipt is %+v", s)
	}
	// It was for one use, so it is never written again.
	d.do(id, custody.Change{Act: custody.Sanitise, Note: "overwritten"})
	refuses(t, d.try(id, custody.Change{Act: custody.Prepare}), "for one use", "retire")
	d.do(id, custody.Change{Act: custody.Retire, Note: "destroyed"})
}

func TestPeopleOfAHandOver(t *testing.T) {
	d := newDesk(t)
	hand := func(from, to []string) custody.Change {
		return custody.Change{Act: custody.HandOver, From: from, To: to}
	}
	id := d.stick("A")
	refuses(t, d.try(id, hand(nil, bob)), "by whom")
	refuses(t, d.try(id, hand(ann, nil)), "to whom")
	refuses(t, d.try(id, hand(ann, []string{" ann  bell"})), "space")
	refuses(t, d.try(id, hand(ann, []string{"ANN  BELL"})), "same people")
	refuses(t, d.try(id, hand(ann, []string{"Bob", "bob"})), "twice")
	refuses(t, d.try(id, hand(ann, []string{"Bob\u202ecole"})), "cannot be seen")
	refuses(t, d.try(id, hand(ann, []string{"1", "2", "3", "4", "5"})), "at most 4")
	refuses(t, d.try(id, hand(ann, []string{strings.Repeat("x", 101)})), "at most 100")
	d.do(id, hand(ann, bob))
	// The chain has no gap: who gives it is who has it.
	refuses(t, d.try(id, hand(ann, []string{"Eve"})), "Bob Cole has medium", "not Ann Bell")
	d.do(id, hand([]string{"bob cole"}, []string{"Eve"}), hand(nil, []string{"Guy"}))
	if m := d.get(id); !slices.Equal(m.Holders, []string{"Guy"}) || !slices.Equal(m.History[3].From, []string{"Eve"}) {
		t.Errorf("it is with %v, who got it from %v", m.Holders, m.History[3].From)
	}
}

func TestTwoCustodians(t *testing.T) {
	d := newDesk(t)
	d.policy.TwoCustodians = true
	pair, other := []string{"Ann Bell", "Bob Cole"}, []string{"Eve Fox", "Guy Hill"}
	id := d.stick("A")
	for _, act := range []custody.Act{custody.HandOver, custody.Receive} {
		refuses(t, d.try(id, custody.Change{Act: act, From: ann, To: pair}), "two different people by whom")
		refuses(t, d.try(id, custody.Change{Act: act, From: pair, To: ann}), "two different people to whom")
		refuses(t, d.try(id, custody.Change{Act: act, From: pair, To: []string{"Eve Fox", "eve  FOX"}}), "twice")
		refuses(t, d.try(id, custody.Change{Act: act, From: pair, To: []string{"Bob Cole", "Ann Bell"}}), "same people")
	}
	d.do(id, custody.Change{Act: custody.HandOver, From: pair, To: other}, custody.Change{Act: custody.Receive, To: pair})
	// What one person got under other rules is not stuck with him.
	id = d.stick("B")
	d.policy.TwoCustodians = false
	d.do(id, custody.Change{Act: custody.HandOver, From: ann, To: bob})
	d.policy.TwoCustodians = true
	d.do(id, custody.Change{Act: custody.Receive, To: other})
}

func TestSeals(t *testing.T) {
	d := newDesk(t)
	id := d.stick("A")
	seal := func(n string) custody.Change { return custody.Change{Act: custody.Seal, Seal: n} }
	hand := func(n string, broken bool) custody.Change {
		return custody.Change{Act: custody.HandOver, From: ann, To: bob, Seal: n, SealBroken: broken}
	}
	refuses(t, d.try(id, seal("")), "number of the seal")
	refuses(t, d.try(id, hand("4711", false)), "no seal is on medium")
	d.do(id, seal("ab-4711"))
	refuses(t, d.try(id, hand("", false)), "ab-4711 is on", "look at it")
	refuses(t, d.try(id, hand("ab-4712", false)), "not ab-4712", "look again")
	d.do(id, hand("AB-4711", false)) // people copy it by hand
	// A number is used once, also on the same medium, also after a restart.
	d.do(id, custody.Change{Act: custody.Receive, To: ann, Seal: "ab-4711"})
	d.open(durable.FS{})
	refuses(t, d.try(id, seal("AB-4711")), "used once")
	second := d.stick("B")
	refuses(t, d.try(second, seal("ab-4711")), "used once", `"A"`)
	_, err := d.r.Add(custody.NewID(), custody.Description{Label: "C", Serial: "CCCD", Seal: "ab-4711", Direction: custody.In}, d.by())
	refuses(t, err, "used once")
	// A broken seal is recorded as it was seen, and ends the medium's use.
	d.do(second, seal("4712"), hand("4713", true))
	if m := d.get(second); !m.Broken || m.Seal != "" || m.History[2].Seal != "4713" || m.History[2].SealDone != custody.SealOff {
		t.Errorf("after a broken seal: %+v", m)
	}
	d.do(second, custody.Change{Act: custody.Receive, To: ann})
	refuses(t, d.try(second, seal("4714")), "was broken", "sanitise")
	refuses(t, d.try(second, custody.Change{Act: custody.Prepare}), "was broken")
	d.do(second, custody.Change{Act: custody.Sanitise, Note: "overwritten"}, custody.Change{Act: custody.Prepare}, seal("4714"))
}

func TestOneDirection(t *testing.T) {
	d := newDesk(t)
	in := d.add(custody.Description{Label: "in", Serial: "IN-1", Direction: custody.In})
	pack := strings.Repeat("ab", 16)
	refuses(t, d.try(in, custody.Change{Act: custody.Seal, Seal: "1", Package: pack}), "comes in")
	out := d.add(custody.Description{Label: "out", Serial: "OUT-1", Direction: custody.Out})
	refuses(t, d.try(out, custody.Change{Act: custody.Seal, Seal: "1", Package: "x"}), "no package id")
	d.do(out, custody.Change{Act: custody.Seal, Seal: "1", Package: pack})
	if m := d.get(out); m.Package != pack {
		t.Errorf("%+v", m)
	}
}

func TestDescriptionsThatAreRefused(t *testing.T) {
	d := newDesk(t)
	d.add(custody.Description{Label: "first", Vendor: "0781", Product: "5581", Serial: "4C53", FSID: "1A2B-3C4D", Direction: custody.In})
	d.add(custody.Description{Label: "no serial", FSID: "9999-9999", Direction: custody.In})
	for _, c := range []struct {
		x    custody.Description
		says string
	}{
		{custody.Description{Serial: "4C54", Direction: custody.In}, "label is missing"},
		{custody.Description{Label: "FIRST", Serial: "4C54", Direction: custody.In}, "belongs to medium"},
		{custody.Description{Label: "x", Direction: custody.In}, "nothing would tell"},
		{custody.Description{Label: "x", Serial: "4C54"}, "in, out or both"},
		{custody.Description{Label: "x", Serial: "000000000000", Direction: custody.In}, "many devices share"},
		{custody.Description{Label: "x", Serial: "0123456789ABCDEF", Direction: custody.In}, "many devices share"},
		{custody.Description{Label: "x", Serial: "123456789012", Direction: custody.In}, "many devices share"},
		{custody.Description{Label: "x", FSID: "0000-0000", Direction: custody.In}, "tells nothing"},
		{custody.Description{Label: "x", Serial: "4C53", Direction: custody.In}, "file-system ids alone"},
		{custody.Description{Label: "x", Vendor: "0781", Serial: "4C54", Direction: custody.In}, "vendor and product"},
		{custody.Description{Label: "x", FSID: "1a2b-3c4d", Direction: custody.In}, "tells the two apart"},
		{custody.Description{Label: "x", Serial: "4C54", FSID: "9999-9999", Direction: custody.In}, "tells the two apart"},
		{custody.Description{Label: "x", Serial: "4C54", Election: "a b", Direction: custody.In}, "election"},
		{custody.Description{Label: "x\ty", Serial: "4C54", Direction: custody.In}, "U+0009"},
		{custody.Description{Label: "x\xff", Serial: "4C54", Direction: custody.In}, "UTF-8"},
	} {
		_, err := d.r.Add(custody.NewID(), c.x, d.by())
		refuses(t, err, c.says)
	}
	// What is only alike is taken.
	d.add(custody.Description{Label: "other maker", Vendor: "0951", Product: "1666", Serial: "4C53", FSID: "1A2B-3C4D", Direction: custody.In})
	if d.r.Len() != 3 {
		t.Errorf("the register has %d media", d.r.Len())
	}
}

func TestARecordHasAnEnd(t *testing.T) {
	d := newDesk(t)
	id := d.stick("A")
	d.do(id, custody.Change{Act: custody.HandOver, From: ann, To: bob})
	people := [][]string{ann, bob}
	for i := 2; i < custody.MaxSteps-1; i++ {
		d.do(id, custody.Change{Act: custody.HandOver, To: people[i%2]})
	}
	d.do(id, custody.Change{Act: custody.Receive, To: people[(custody.MaxSteps-1)%2]})
	refuses(t, d.try(id, custody.Change{Act: custody.HandOver, To: ann}), "no room for more")
	for range 20 { // reading it is still recorded, and ends somewhere
		d.use(id)
	}
	d.do(id, custody.Change{Act: custody.Sanitise, Note: "x"}, custody.Change{Act: custody.Retire, Note: "x"})
	d.open(durable.FS{})
	if m := d.get(id); m.State != custody.Retired || m.Readings != 20 || len(m.History) != custody.MaxSteps+3 {
		t.Errorf("%s, read %d times, %d steps", m.State, m.Readings, len(m.History))
	}
}

func TestFindAndList(t *testing.T) {
	d := newDesk(t)
	a, b := d.stick("P-1"), d.stick("P-2")
	for _, name := range []string{a, a[:15], "P-1", "p-1"} {
		if id, err := d.r.Find(name); err != nil || id != a {
			t.Errorf("%q is %s, %v", name, id, err)
		}
	}
	for _, name := range []string{"", "P-", "zz"} {
		if _, err := d.r.Find(name); !errors.Is(err, custody.ErrUnknown) {
			t.Errorf("%q: %v", name, err)
		}
	}
	// A label that is the beginning of another medium's id names neither.
	d.add(custody.Description{Label: b[:6], Serial: "XYZ1", Direction: custody.In})
	_, err := d.r.Find(b[:6])
	refuses(t, err, "give more of the id")
	list := d.r.List(func(s *custody.Summary) bool { return strings.HasPrefix(s.Label, "P-") }, 10)
	if len(list) != 2 || list[0].ID != a || list[1].ID != b || list[0].State != custody.Registered || list[0].Since != "2026-11-03T12:01:00Z" {
		t.Errorf("the list is %+v", list)
	}
	if list := d.r.List(func(s *custody.Summary) bool { return custody.After(s.Label, "p-1") }, 1); len(list) != 1 {
		t.Errorf("behind the first: %+v", list)
	}
}
