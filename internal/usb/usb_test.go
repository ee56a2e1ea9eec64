package usb

import (
	"encoding/binary"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"sallyport/internal/verdict"
)

// device builds descriptors: each configuration is a list of alternate
// settings {number, alternate, class, subclass, protocol}.
func device(class byte, configs ...[][5]byte) []byte {
	b := []byte{18, 1, 0x00, 0x02, class, 0, 0, 64, 0x81, 0x07, 0x81, 0x55, 0x00, 0x01, 1, 2, 3, byte(len(configs))}
	for i, c := range configs {
		body := []byte{}
		numbers := map[byte]bool{}
		for _, s := range c {
			numbers[s[0]] = true
			body = append(body, 9, 4, s[0], s[1], 2, s[2], s[3], s[4], 0)
			body = append(body, 7, 5, 0x81, 2, 0x00, 0x02, 0, 7, 5, 0x02, 2, 0x00, 0x02, 0)
		}
		head := []byte{9, 2, 0, 0, byte(len(numbers)), byte(i + 1), 0, 0x80, 50}
		binary.LittleEndian.PutUint16(head[2:], uint16(len(head)+len(body)))
		b = append(append(b, head...), body...)
	}
	return b
}

var (
	stick    = device(0, [][5]byte{{0, 0, 8, 6, 0x50}})
	uas      = device(0, [][5]byte{{0, 0, 8, 6, 0x50}, {0, 1, 8, 6, 0x62}})
	keyboard = device(0, [][5]byte{{0, 0, 3, 1, 1}})
	mouse    = device(0, [][5]byte{{0, 0, 3, 1, 2}})
	plainHub = device(9, [][5]byte{{0, 0, 9, 0, 0}})
	token    = device(0, [][5]byte{{0, 0, 3, 0, 0}, {1, 0, 0x0B, 0, 0}})
)

func station() *Policy {
	return &Policy{
		Ports:    []Port{{"1-1", In}, {"1-2.4", Out}, {"1-3", Keyboard}, {"1-4", SecurityKey}},
		MinBytes: 1 << 20, MaxBytes: 1 << 40, SectorBytes: []int64{512, 4096},
	}
}

func facts(t *testing.T, place string, raw []byte) *Facts {
	t.Helper()
	d, err := ParseDescriptors(raw)
	if err != nil {
		t.Fatal(err)
	}
	return &Facts{Path: place, Vendor: "0781", Product: "5581", Serial: "4C53", Descriptors: d}
}

func TestEverythingIsDeniedButPlainStorage(t *testing.T) {
	for _, c := range []struct {
		name, place string
		raw         []byte
		role        Role
		reason      verdict.Reason
		says        string
	}{
		{"a stick", "1-1", stick, In, "", ""},
		{"a stick with two transports", "1-1", uas, In, "", ""},
		{"a stick at the port for writing", "1-2.4", stick, Out, "", ""},
		{"a hub before a configured port", "1-2", plainHub, Hub, "", ""},
		{"a hub where nothing is configured behind it", "1-1", plainHub, "", verdict.PortNotAllowed, "no configured port"},
		{"a hub with a keyboard in it", "1-2", device(9, [][5]byte{{0, 0, 9, 0, 0}, {1, 0, 3, 1, 1}}), "", verdict.CompositeDevice, "keyboard"},
		{"a keyboard at its port", "1-3", keyboard, Keyboard, "", ""},
		{"a stick at the keyboard's port", "1-3", stick, "", verdict.PortNotAllowed, "storage 08/06/50"},
		{"a mouse at the keyboard's port", "1-3", mouse, "", verdict.PortNotAllowed, "keyboard, mouse"},
		{"a keyboard with storage at its port", "1-3", device(0, [][5]byte{{0, 0, 3, 1, 1}, {1, 0, 8, 6, 0x50}}), "", verdict.PortNotAllowed, "storage"},
		{"a keyboard at a media port", "1-1", keyboard, "", verdict.NotStorage, "keyboard"},
		{"a stick at no port of ours", "1-9", stick, "", verdict.PortNotAllowed, "nothing is configured"},
		{"a security key", "1-4", token, SecurityKey, "", ""},
		{"a keyboard at the security key's port", "1-4", keyboard, "", verdict.PortNotAllowed, "keyboard"},
		{"storage and keyboard", "1-1", device(0, [][5]byte{{0, 0, 8, 6, 0x50}, {1, 0, 3, 1, 1}}), "", verdict.CompositeDevice, "keyboard"},
		{"storage that turns into a keyboard", "1-1", device(0, [][5]byte{{0, 0, 8, 6, 0x50}, {0, 1, 3, 1, 1}}), "", verdict.CompositeDevice, "keyboard"},
		{"two storage interfaces", "1-1", device(0, [][5]byte{{0, 0, 8, 6, 0x50}, {1, 0, 8, 6, 0x50}}), "", verdict.NotStorage, "another kind"},
		{"a second configuration", "1-1", device(0, [][5]byte{{0, 0, 8, 6, 0x50}}, [][5]byte{{0, 0, 3, 1, 1}}), "", verdict.CompositeDevice, "2 different devices"},
		{"a floppy drive (UFI)", "1-1", device(0, [][5]byte{{0, 0, 8, 4, 0}}), "", verdict.NotStorage, "08/04/00"},
		{"an ATAPI drive", "1-1", device(0, [][5]byte{{0, 0, 8, 2, 0x50}}), "", verdict.NotStorage, "08/02/50"},
		{"a phone", "1-1", device(0, [][5]byte{{0, 0, 6, 1, 1}}), "", verdict.NotStorage, "camera or phone"},
		{"a network card", "1-1", device(2, [][5]byte{{0, 0, 2, 6, 0}, {1, 0, 10, 0, 0}}), "", verdict.NotStorage, "network"},
		{"a vendor's own class", "1-1", device(0xFF, [][5]byte{{0, 0, 0xFF, 0, 0}}), "", verdict.NotStorage, "vendor"},
		{"storage in a device of another class", "1-1", device(0xEF, [][5]byte{{0, 0, 8, 6, 0x50}}), "", verdict.CompositeDevice, "as a whole"},
		{"no interface at all", "1-1", device(0, [][5]byte{}), "", verdict.NotStorage, "without interfaces"},
	} {
		role, f := station().Decide(facts(t, c.place, c.raw))
		switch {
		case c.reason == "" && (f != nil || role != c.role):
			t.Errorf("%s: role %q, %v", c.name, role, f)
		case c.reason != "" && (f == nil || role != "" || f.Reason != c.reason || !strings.Contains(f.Detail, c.says)):
			t.Errorf("%s: role %q, %v; want %s with %q", c.name, role, f, c.reason, c.says)
		}
	}
	if role, f := new(Policy).Decide(facts(t, "1-1", stick)); role != "" || f == nil {
		t.Error("the zero policy allows a stick")
	}
	if role, f := station().Decide(&Facts{Path: "1-1"}); role != "" || f == nil {
		t.Error("a device whose descriptors cannot be read is allowed")
	}
}

func TestRulesForStorage(t *testing.T) {
	f := facts(t, "1-1", stick)
	for name, c := range map[string]struct {
		rule Rule
		ok   bool
	}{
		"any": {Rule{}, true}, "vendor": {Rule{Vendor: "0781"}, true}, "other vendor": {Rule{Vendor: "0951"}, false},
		"all": {Rule{"0781", "5581", "4C53", f.Fingerprint()}, true}, "other serial": {Rule{"0781", "5581", "4c53", ""}, false},
		"other descriptors": {Rule{SHA256: strings.Repeat("0", 64)}, false},
	} {
		p := station()
		p.Rules = []Rule{{Vendor: "ffff"}, c.rule}
		if role, f := p.Decide(f); (f == nil) != c.ok || f != nil && (f.Reason != verdict.DeviceNotAllowed || role != "") {
			t.Errorf("%s: %q, %v", name, role, f)
		}
	}
}

func TestDisksThatAreAllowed(t *testing.T) {
	good := Disk{Name: "sda", Seq: 9, Bytes: 1 << 30, SectorBytes: 512, Units: 1}
	for name, c := range map[string]struct {
		change func(*Disk)
		reason verdict.Reason
	}{
		"good":        {func(*Disk) {}, ""},
		"4 KiB":       {func(d *Disk) { d.SectorBytes = 4096 }, ""},
		"odd sectors": {func(d *Disk) { d.SectorBytes = 520 }, verdict.CapacityOutOfRange},
		"a CD":        {func(d *Disk) { d.Kind = 5 }, verdict.NotStorage},
		"two units":   {func(d *Disk) { d.Units = 2 }, verdict.CompositeDevice},
		"no units":    {func(d *Disk) { d.Units = 0 }, verdict.CompositeDevice},
		"empty":       {func(d *Disk) { d.Bytes = 0 }, verdict.CapacityOutOfRange},
		"too large":   {func(d *Disk) { d.Bytes = 1<<40 + 512 }, verdict.CapacityOutOfRange},
	} {
		d := good
		c.change(&d)
		f := station().DecideDisk(&Facts{Path: "1-1"}, d)
		if (f == nil) != (c.reason == "") || f != nil && f.Reason != c.reason {
			t.Errorf("%s: %v, want %q", name, f, c.reason)
		}
	}
}

func TestDescriptorsThatLie(t *testing.T) {
	change := func(raw []byte, at int, b ...byte) []byte {
		raw = append([]byte(nil), raw...)
		copy(raw[at:], b)
		return raw
	}
	for name, raw := range map[string][]byte{
		"nothing": nil, "half a device": stick[:10], "no configuration": stick[:18],
		"a short device descriptor": change(stick, 0, 17), "another type first": change(stick, 1, 2),
		"more configurations claimed": change(stick, 17, 2), "none claimed": change(stick, 17, 0),
		"a configuration that is cut": stick[:len(stick)-1], "a total that is too large": change(stick, 20, 0xFF, 0xFF),
		"a total that is too small": change(stick, 20, 4, 0), "bytes behind the configuration": append(append([]byte(nil), stick...), 9, 2),
		"a descriptor without length": change(stick, 27, 0), "a descriptor of one byte": change(stick, 27, 1), "a descriptor that is too long": change(stick, 27, 200),
		"an interface that is too short": change(stick, 27, 8), "a configuration inside": change(stick, 28, 2), "more interfaces claimed": change(stick, 22, 2),
		"too many interfaces": device(0, make([][5]byte, 70)), "endless": make([]byte, maxDescriptors+1),
	} {
		if d, err := ParseDescriptors(raw); err == nil {
			t.Errorf("%s: %+v", name, d)
		}
	}
}

// tree is a sysfs as the kernel lays it out: devices below devices/, links to
// them below bus/.
func tree(t *testing.T, place string, raw []byte, serial string) (*Sysfs, string) {
	t.Helper()
	root := t.TempDir()
	dir := filepath.Join(root, "devices/pci0000:00/usb1", place)
	put(t, dir, "idVendor", "0781\n")
	put(t, dir, "idProduct", "5581\n")
	put(t, dir, "serial", serial+"\n")
	put(t, dir, "speed", "480\n")
	put(t, dir, "authorized", "0\n")
	put(t, dir, "descriptors", string(raw))
	bus := filepath.Join(root, usbDevices)
	if err := os.MkdirAll(bus, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{place, "usb1", place + ":1.0"} {
		if err := os.Symlink("../../../devices/pci0000:00/usb1/"+name, filepath.Join(bus, name)); err != nil {
			t.Fatal(err)
		}
	}
	s, err := OpenSysfs(root)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s, dir
}

func put(t *testing.T, dir, name, text string) {
	t.Helper()
	p := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(p, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// disk adds a logical unit with a block device, as the drivers do.
func disk(t *testing.T, dir, place, name string, unit int, sectors string) {
	at := filepath.Join(dir, place+":1.0/host3/target3:0:0/3:0:0:"+strconv.Itoa(unit))
	put(t, at, "type", "0\n")
	put(t, at, "block/"+name+"/size", sectors+"\n")
	put(t, at, "block/"+name+"/ro", "1\n")
	put(t, at, "block/"+name+"/diskseq", "17\n")
	put(t, at, "block/"+name+"/queue/logical_block_size", "512\n")
}

func TestSysfsShowsADevice(t *testing.T) {
	s, dir := tree(t, "1-1.2", stick, "A\x1b[31m=B\nC")
	places, err := s.Present()
	if err != nil || len(places) != 1 || places[0] != "1-1.2" {
		t.Fatalf("present are %q, %v", places, err)
	}
	f, odd, err := s.Facts("1-1.2")
	if err != nil || odd != nil || f.Vendor != "0781" || f.Serial != "A\x1b[31m=B\nC" || f.Speed != "480" || !f.Descriptors.storage() {
		t.Fatalf("%+v, %v, %v", f, odd, err)
	}
	if ok, err := s.Authorised("1-1.2"); ok || err != nil {
		t.Errorf("authorised: %t, %v", ok, err)
	}
	if d, err := s.Disks("1-1.2"); len(d) != 0 || err != nil {
		t.Errorf("disks before the driver is bound: %+v, %v", d, err)
	}
	disk(t, dir, "1-1.2", "sda", 0, "2048")
	want := Disk{Name: "sda", Seq: 17, Bytes: 1 << 20, SectorBytes: 512, ReadOnly: true, Units: 1}
	if d, err := s.Disks("1-1.2"); err != nil || len(d) != 1 || d[0] != want {
		t.Errorf("disks: %+v, %v", d, err)
	}
	disk(t, dir, "1-1.2", "sdb", 1, "2048")
	d, err := s.Disks("1-1.2")
	if err != nil || len(d) != 2 || d[0].Units != 2 || station().DecideDisk(f, d[0]) == nil {
		t.Errorf("two units: %+v, %v", d, err)
	}
}

func TestSysfsThatDoesNotAgree(t *testing.T) {
	s, dir := tree(t, "1-1", stick, "X")
	if _, _, err := s.Facts("1-2"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a device that is not there: %v", err)
	}
	for _, place := range []string{"", "usb1", "1-1:1.0", "../../../etc", "1-1/..", "0-1", "1-1.1.1.1.1.1.1.1", "1-1\n"} {
		if _, _, err := s.Facts(place); err == nil || errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%q was looked for: %v", place, err)
		}
	}
	put(t, dir, "idVendor", "1234\n")
	if f, odd, err := s.Facts("1-1"); err != nil || odd == nil || f.Descriptors != nil {
		t.Errorf("identifiers that differ: %+v, %v, %v", f, odd, err)
	}
	put(t, dir, "idVendor", "0781\n")
	put(t, dir, "descriptors", string(stick[:20]))
	if f, odd, err := s.Facts("1-1"); err != nil || odd == nil || f.Descriptors != nil {
		t.Errorf("descriptors that are cut: %+v, %v, %v", f, odd, err)
	}
	put(t, dir, "serial", strings.Repeat("x", maxText+1))
	if _, _, err := s.Facts("1-1"); err == nil {
		t.Error("an endless serial number was read")
	}
	disk(t, dir, "1-1", "sda", 0, "-1")
	if d, err := s.Disks("1-1"); err == nil {
		t.Errorf("a disk of -1 sectors: %+v", d)
	}
	if err := os.RemoveAll(filepath.Join(dir, "idProduct")); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.Facts("1-1"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a device that vanished while it was read: %v", err)
	}
}

func FuzzDescriptors(f *testing.F) {
	for _, raw := range [][]byte{stick, uas, keyboard, plainHub, token, device(0, [][5]byte{{0, 0, 8, 6, 0x50}}, [][5]byte{{0, 0, 3, 1, 1}})} {
		f.Add(raw)
	}
	p := station()
	f.Fuzz(func(t *testing.T, raw []byte) {
		d, err := ParseDescriptors(raw)
		if err != nil {
			return
		}
		if len(d.Interfaces) > maxInterfaces {
			t.Errorf("%d interfaces", len(d.Interfaces))
		}
		role, finding := p.Decide(&Facts{Path: "1-1", Descriptors: d})
		if (role == "") == (finding == nil) {
			t.Errorf("role %q with %v", role, finding)
		}
		if role == In {
			for _, i := range d.Interfaces {
				if i.Class.Class != 8 || i.Class.Subclass != 6 {
					t.Errorf("%s passed as storage", i.Class)
				}
			}
		}
	})
}
