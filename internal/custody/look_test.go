package custody_test

import (
	"slices"
	"strings"
	"testing"

	"sallyport/internal/custody"
	"sallyport/internal/durable"
	"sallyport/internal/verdict"
)

// usb is a device with a file system.
func usb(serial string, ids ...string) custody.Seen {
	return custody.Seen{Device: true, Vendor: "0781", Product: "5581", Serial: serial, FSIDs: ids}
}

func reasons(f custody.Found) (out []verdict.Reason) {
	for _, x := range f.Against {
		out = append(out, x.Reason)
	}
	return out
}

func TestWhichMediumIsMeant(t *testing.T) {
	d := newDesk(t)
	receive := custody.Change{Act: custody.Receive, From: ann, To: bob}
	enter := func(x custody.Description) string {
		x.Direction = custody.In
		id := d.add(x)
		d.do(id, receive)
		return id
	}
	both := enter(custody.Description{Label: "both", Vendor: "0781", Product: "5581", Serial: "4C53-A", FSID: "AAAA-0001"})
	serial := enter(custody.Description{Label: "serial", Serial: "4C53-B"})
	system := enter(custody.Description{Label: "system", FSID: "CCCC-0003"})
	twin1 := enter(custody.Description{Label: "twin 1", Serial: "4C53-D1", FSID: "DDDD-0004"})
	enter(custody.Description{Label: "twin 2", Serial: "4C53-D2", FSID: "DDDD-0004"})
	image := func(ids ...string) custody.Seen { return custody.Seen{FSIDs: ids} }
	for _, c := range []struct {
		name string
		seen custody.Seen
		id   string
		why  verdict.Reason
		says string
	}{
		{"serial and file system", usb("4C53-A", "aaaa-0001"), both, "", ""},
		{"with another volume beside it", usb("4C53-A", "1111-2222", "AAAA-0001"), both, "", ""},
		{"serial alone", usb("4C53-B", "1111-2222"), serial, "", ""},
		{"serial alone, nothing readable", usb("4C53-B"), serial, "", ""},
		{"both, nothing readable", usb("4C53-A"), both, "", ""},
		{"file system alone", usb("", "CCCC-0003"), system, "", ""},
		{"file system alone, a shared serial", usb("000000000001", "CCCC-0003"), system, "", ""},
		{"file system of an image", image("CCCC-0003"), system, "", ""},
		{"file system of an image, serial not seen", image("AAAA-0001"), both, "", ""},
		{"a twin by its serial", usb("4C53-D1", "DDDD-0004"), twin1, "", ""},

		{"nobody knows it", usb("4C53-X", "1111-2222"), "", verdict.MediumUnknown, "4C53-X"},
		{"nothing tells it", custody.Seen{}, "", verdict.MediumUnknown, "no file-system id"},
		{"an empty id", image("0000-0000"), "", verdict.MediumUnknown, ""},
		{"another maker's device", custody.Seen{Device: true, Vendor: "0951", Product: "1666", Serial: "4C53-A", FSIDs: []string{"1111-2222"}}, "", verdict.MediumUnknown, ""},

		{"formatted since", usb("4C53-A", "1111-2222"), "", verdict.CustodyBroken, "formatted or replaced"},
		{"serial of one, file system of another", usb("4C53-A", "CCCC-0003"), "", verdict.CustodyBroken, `"system"`},
		{"serial without file system, file system of another", usb("4C53-B", "CCCC-0003"), "", verdict.CustodyBroken, `"system"`},
		{"a copy on another stick", usb("4C53-X", "AAAA-0001"), "", verdict.CustodyBroken, "4C53-A"},
		{"a copy on a stick without a serial", usb("", "AAAA-0001"), "", verdict.CustodyBroken, "shows no serial number"},
		{"a copy on another maker's stick", custody.Seen{Device: true, Vendor: "0951", Product: "1666", Serial: "4C53-A", FSIDs: []string{"AAAA-0001"}}, "", verdict.CustodyBroken, ""},
		{"a twin by its file system", image("DDDD-0004"), "", verdict.CustodyBroken, "which one it is"},
		{"file systems of two media", image("AAAA-0001", "CCCC-0003"), "", verdict.CustodyBroken, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := d.r.Look(c.seen, d.policy)
			if got.ID != c.id || c.why == "" && len(got.Against) > 0 || c.why != "" && !slices.Equal(reasons(got), []verdict.Reason{c.why}) {
				t.Fatalf("%+v, want %q and %q", got, c.id, c.why)
			}
			if c.why != "" && !strings.Contains(got.Against[0].Error(), c.says) {
				t.Errorf("%q does not say %q", got.Against[0].Error(), c.says)
			}
			// "known" differs in what nobody knows, and in nothing else.
			known := d.r.Look(c.seen, custody.Policy{Mode: custody.Known})
			if c.why == verdict.MediumUnknown {
				if len(known.Against) > 0 {
					t.Errorf("known: %+v", known)
				}
			} else if !slices.Equal(reasons(known), reasons(got)) {
				t.Errorf("known: %+v", known)
			}
		})
	}
}

// Which states a medium may be inserted in, for each mode.
func TestWhereAMediumHasToBe(t *testing.T) {
	d := newDesk(t)
	for _, state := range custody.States() {
		id := d.stick(string(state))
		paths(d)[state](id)
		for _, mode := range []custody.Mode{custody.Known, custody.Required} {
			fine := state == custody.Received || state == custody.Consumed || mode == custody.Known && (state == custody.Registered || state == custody.Prepared)
			got := d.r.Look(usb("SERIAL-"+string(state)), custody.Policy{Mode: mode})
			if got.ID != id || got.State != state || (len(got.Against) == 0) != fine || !fine && got.Against[0].Reason != verdict.CustodyBroken {
				t.Errorf("%s, %s: %+v", state, mode, got)
			}
		}
	}
}

func TestSingleUseAndDirection(t *testing.T) {
	d := newDesk(t)
	receive := custody.Change{Act: custody.Receive, From: ann, To: bob}
	once := d.add(custody.Description{Label: "once", Serial: "ONCE", Direction: custody.In, SingleUse: true})
	often := d.add(custody.Description{Label: "often", Serial: "OFTEN", Direction: custody.In})
	out := d.add(custody.Description{Label: "out", Serial: "OUT-", Direction: custody.Out})
	for _, id := range []string{once, often, out} {
		d.do(id, receive)
	}
	look := func(serial string, single bool, want ...verdict.Reason) {
		t.Helper()
		if got := reasons(d.r.Look(usb(serial), custody.Policy{Mode: custody.Required, SingleUse: single})); !slices.Equal(got, want) {
			t.Errorf("%s, single use %v: %v, want %v", serial, single, got, want)
		}
	}
	look("ONCE", false)
	look("OFTEN", true)
	look("OUT-", false, verdict.CustodyBroken)
	d.use(once)
	d.use(often)
	d.use(often)
	d.open(durable.FS{})
	look("ONCE", false, verdict.MediumReused)
	look("OFTEN", false)
	look("OFTEN", true, verdict.MediumReused)
	if m := d.get(often); m.Readings != 2 || len(m.History) != 3 {
		t.Errorf("%+v", m)
	}
	// Neither erasing nor carrying it round makes it fresh.
	d.do(once, custody.Change{Act: custody.HandOver, To: ann}, custody.Change{Act: custody.Receive, To: bob})
	look("ONCE", false, verdict.MediumReused)
}

// A medium that is retired while it is read stays retired.
func TestAReadingThatComesLate(t *testing.T) {
	d := newDesk(t)
	id := d.stick("A")
	d.do(id, custody.Change{Act: custody.Receive, From: ann, To: bob}, custody.Change{Act: custody.Retire, Note: "lost"})
	d.use(id)
	d.open(durable.FS{})
	if m := d.get(id); m.State != custody.Retired || m.Readings != 1 {
		t.Errorf("%+v", m)
	}
	if held, err := d.r.Holds(id, d.seq); err != nil || !held {
		t.Errorf("the reading is not in the record: %v", err)
	}
}

// A medium has had its reading unless its people are told to bring it once more:
// the words for people and the rule must not fall apart.
func TestFinal(t *testing.T) {
	n := 0
	for _, r := range verdict.All() {
		next := r.NextStep()
		told := false
		for _, words := range []string{"nsert the medium again", "nsert the medium once more", "this one again", "the medium once more", "can be checked again"} {
			told = told || strings.Contains(next, words)
		}
		if custody.Final([]verdict.Reason{verdict.FileAltered, r}) == told {
			t.Errorf("%s is final: %t, and people are told: %s", r, !told, next)
		}
		if told {
			n++
		}
	}
	if n < 10 || !custody.Final(nil) {
		t.Errorf("%d reasons are not final", n)
	}
}
