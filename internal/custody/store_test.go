package custody_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sallyport/internal/custody"
	"sallyport/internal/durable"
)

var errDisk = errors.New("the disk failed")

// saboteur fails one durable step, before or after its effect.
type saboteur struct {
	at    int // from 1; 0 counts only
	after bool
	steps []string
}

func (s *saboteur) hook(step string, done bool) error {
	if !done {
		s.steps = append(s.steps, step)
	}
	if len(s.steps) == s.at && done == s.after {
		return errDisk
	}
	return nil
}

// content is every file of the register.
func (d *desk) content() map[string]string {
	d.t.Helper()
	out := map[string]string{}
	files, err := os.ReadDir(d.dir)
	d.must(err)
	for _, f := range files {
		data, err := os.ReadFile(filepath.Join(d.dir, f.Name()))
		d.must(err)
		out[f.Name()] = string(data)
	}
	return out
}

// TestCutOffAtEachStep fails each durable step of each change, before and after
// its effect. The register says so and changes nothing more; opened again, it has
// the change or not, says which, and works on.
func TestCutOffAtEachStep(t *testing.T) {
	list := []byte("label,serial,fs_id,seal,direction,single_use,note\nL1,LIST-1,,S1,in,,\nL2,LIST-2,,,in,,\nL3,LIST-3,,,in,,\n")
	rows, err := custody.ParseList(list)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name  string
		steps int
		do    func(d *desk, id string) error
	}{
		{"add", 3, func(d *desk, id string) error {
			_, err := d.r.Add("0123456789abcdef", custody.Description{Label: "B", Serial: "4C54", Direction: custody.In}, d.by())
			return err
		}},
		{"change", 3, func(d *desk, id string) error {
			return d.try(id, custody.Change{Act: custody.Receive, From: ann, To: bob})
		}},
		{"reading", 3, func(d *desk, id string) error {
			_, err := d.r.Use(id, custody.Reading{Medium: "7c2e2bfb0936", Verdict: "held", Entry: 3}, d.by())
			return err
		}},
		{"list", 9, func(d *desk, id string) error { return d.r.Import(rows, d.by()) }},
	} {
		for at := 0; at <= c.steps; at++ {
			for _, after := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s-%d-%v", c.name, at, after), func(t *testing.T) {
					d := newDesk(t)
					id := d.stick("A")
					sab := &saboteur{at: at, after: after}
					d.open(durable.FS{Hook: sab.hook})
					sab.steps = nil
					err := c.do(d, id)
					seq := d.seq
					if at == 0 {
						d.must(err)
						if len(sab.steps) != c.steps {
							t.Fatalf("%d durable steps: %v", len(sab.steps), sab.steps)
						}
					} else {
						if !errors.Is(err, errDisk) {
							t.Fatalf("the error is %v", err)
						}
						err := d.try(id, custody.Change{Act: custody.Retire, Note: "x"})
						var no *custody.Refusal
						if err == nil || errors.As(err, &no) {
							t.Errorf("after a failure: %v", err)
						}
					}
					d.open(durable.FS{})
					done := d.r.HoldsImport(seq)
					want := map[bool]int{true: 4, false: 1}[done]
					switch c.name {
					case "add":
						done, err = d.r.Holds("0123456789abcdef", seq)
						d.must(err)
						want = map[bool]int{true: 2, false: 1}[done]
					case "change", "reading":
						done, err = d.r.Holds(id, seq)
						d.must(err)
						want = 1
					}
					// From the rename of the first file on it is there.
					if visible := at == 0 || at > 2 || at == 2 && after; done != visible || d.r.Len() != want {
						t.Errorf("cut off at %s (after its effect: %v): done %v with %d media, want %v", append(sab.steps, "nothing")[max(0, at-1)], after, done, d.r.Len(), visible)
					}
					for name := range d.content() {
						if !strings.HasSuffix(name, ".json") || name == "import.json" {
							t.Errorf("%s is left", name)
						}
					}
					d.do(id, custody.Change{Act: custody.Retire, Note: "x"})
					if !done {
						d.must(c.do(d, d.stick("C")))
					}
				})
			}
		}
	}
}

// A stop in the middle of finishing a list is finished by the start after it.
func TestAListIsFinishedByWhicheverStart(t *testing.T) {
	d := newDesk(t)
	rows, err := custody.ParseList([]byte("label,serial,fs_id,seal,direction,single_use,note\nL1,LIST-1,,S1,in,,\nL2,LIST-2,,,in,,\n"))
	d.must(err)
	sab := &saboteur{at: 4}
	d.open(durable.FS{Hook: sab.hook})
	if err := d.r.Import(rows, d.by()); !errors.Is(err, errDisk) {
		t.Fatal(err)
	}
	for at := 1; ; at++ {
		sab := &saboteur{at: at}
		r, err := custody.Open(d.dir, durable.FS{Hook: sab.hook})
		if err == nil {
			if r.Len() != 2 || at < 4 {
				t.Errorf("%d media after %d starts", r.Len(), at)
			}
			return
		}
		if !errors.Is(err, errDisk) {
			t.Fatal(err)
		}
		// What was cut in the middle of a write is written again.
		if _, err := os.Stat(filepath.Join(d.dir, "import.json")); err != nil {
			continue
		}
		if files, _ := filepath.Glob(filepath.Join(d.dir, "????????????????.json")); len(files) > 0 {
			d.must(os.Truncate(files[0], 10))
		}
	}
}

// A record that is not what its history makes of it does not come in, and a
// register that has one is not opened.
func TestADamagedRegisterIsNotOpened(t *testing.T) {
	d := newDesk(t)
	id := d.add(custody.Description{Label: "A", Serial: "4C53", FSID: "1A2B-3C4D", Direction: custody.Both, SingleUse: true})
	d.do(id, custody.Change{Act: custody.Seal, Seal: "4711"},
		custody.Change{Act: custody.HandOver, From: ann, To: bob, Seal: "4711"}, custody.Change{Act: custody.Receive, To: ann, Seal: "4711"})
	d.use(id)
	other := d.stick("B")
	name := id + ".json"
	good := d.content()
	for _, c := range []struct{ what, from, to string }{
		{"not JSON", "{", "["},
		{"another encoding", `{"v":1`, `{ "v":1`},
		{"another version", `"v":1`, `"v":2`},
		{"another id", `"id":"` + id, `"id":"` + other},
		{"a used medium made fresh", `"state":"consumed","label"`, `"state":"received","label"`},
		{"a reading left out", `"readings":1,`, ``},
		{"more readings than one", `"readings":1`, `"readings":0`},
		{"another person", `"holders":["Ann Bell"]`, `"holders":["Eve"]`},
		{"a seal made whole", `"seal":"4711","seal_done":"checked"`, `"seal":"4712","seal_done":"checked"`},
		{"a seal that was not looked at", `"seal":"4711","seal_done":"checked"`, `"seal":"4711","seal_done":"on"`},
		{"a hand-over that was not there", `"from":["Bob Cole"]`, `"from":["Eve"]`},
		{"a state that does not follow", `"act":"receive","state":"received"`, `"act":"receive","state":"prepared"`},
		{"an act that does not exist", `"act":"receive"`, `"act":"bless"`},
		{"an unknown time", `"at":"2026-11-03T12:02:00Z"`, `"at":"yesterday"`},
		{"another last entry", `"seq":5,"state"`, `"seq":9,"state"`},
		{"another verdict", `"verdict":"accepted"`, `"verdict":"splendid"`},
		{"a serial number that tells nothing", `"serial":"4C53"`, `"serial":"0000"`},
		{"the label of another", `"label":"A"`, `"label":"B"`},
		{"no history", good[name][strings.Index(good[name], `"history"`):], `"history":[]}`},
	} {
		bad := strings.Replace(good[name], c.from, c.to, 1)
		if bad == good[name] {
			t.Fatalf("%s: the record has no %s\n%s", c.what, c.from, bad)
		}
		d.must(os.WriteFile(filepath.Join(d.dir, name), []byte(bad), 0o600))
		if _, err := custody.Open(d.dir, durable.FS{}); err == nil || !strings.Contains(err.Error(), "cannot open the register of media") {
			t.Errorf("%s: %v", c.what, err)
		}
	}
	d.must(os.WriteFile(filepath.Join(d.dir, name), []byte(good[name]), 0o600))
	for _, foreign := range []string{"thesis.doc", "0123.json", strings.ToUpper(id) + ".json"} {
		path := filepath.Join(d.dir, foreign)
		d.must(os.WriteFile(path, []byte(good[name]), 0o600))
		if _, err := custody.Open(d.dir, durable.FS{}); err == nil || !strings.Contains(err.Error(), "does not belong there") {
			t.Errorf("%s: %v", foreign, err)
		}
		d.must(os.Remove(path))
	}
	d.open(durable.FS{})
	if _, err := custody.Open(d.dir+"-none", durable.FS{}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no register at all: %v", err)
	}
}

// The largest register is entered, opened and searched in a time that people wait.
func TestAHundredThousandMedia(t *testing.T) {
	d := newDesk(t)
	var list strings.Builder
	list.WriteString("label,serial,fs_id,seal,direction,single_use,note\n")
	for i := range custody.MaxMedia {
		fmt.Fprintf(&list, "M-%d,SER%07d,%04X-%04X,S%d,in,yes,\n", i, i, i>>16+1, i&0xffff, i)
	}
	rows, err := custody.ParseList([]byte(list.String()))
	d.must(err)
	began := time.Now()
	d.must(d.r.Import(rows, d.by()))
	entered := time.Since(began)
	began = time.Now()
	d.open(durable.FS{})
	opened := time.Since(began)
	began = time.Now()
	found := d.r.Look(usb("SER0099999", "0002-869F"), d.policy)
	if found.Label != "M-99999" || d.r.Len() != custody.MaxMedia {
		t.Errorf("%d media, found %+v", d.r.Len(), found)
	}
	t.Logf("%d media: entered in %.1f s, opened in %.1f s, one found in %v", d.r.Len(), entered.Seconds(), opened.Seconds(), time.Since(began))
	if opened > time.Minute {
		t.Errorf("opening took %s", opened)
	}
	refuses(t, d.r.Import(rows[:1], d.by()), "no room for 1 more")
	_, err = d.r.Add(custody.NewID(), custody.Description{Label: "one more", Serial: "4C53", Direction: custody.In}, d.by())
	refuses(t, err, "no room for more")
}
