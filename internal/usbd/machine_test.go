package usbd

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"sallyport/internal/uevent"
	"sallyport/internal/usb"
)

// machine is a sysfs in a temporary folder that changes as the kernel changes
// the real one, and the kernel above it. It objects, by failing the test, to
// whatever usbd must never do: to let a driver have anything before every bus
// is denied by default, or a device that policy refuses, or to open a disk that
// is not of an authorised medium, or twice.
type machine struct {
	t      *testing.T
	root   string
	sys    *usb.Sysfs
	policy *usb.Policy
	events *announcer

	mu       sync.Mutex
	denied   map[string]bool // root hubs
	plugs    map[string]*plug
	done     []string // what usbd did, in order
	files    []*os.File
	opened   map[string]*os.File // by disk
	names    int                 // of folders that are no longer there
	seq      uint64
	stubborn map[string]error // root hubs that cannot be denied
	refuse   func(step string) error
	after    func(step string)
}

// plug is one device, as it is made and as it behaves.
type plug struct {
	place   string
	raw     []byte
	serial  string
	name    string
	refused bool // by policy; the test says so, and the machine objects
	disks   []unit
	slow    bool   // disks come when the test says so
	deaf    bool   // authorising it has no effect
	extra   []byte // class of a second interface that the kernel makes of it

	authorised bool
	bound      map[string]bool
}

// unit is one logical unit.
type unit struct {
	name    string
	kind    int
	bytes   int64
	sectors int64 // logical
	content string
	nothing bool // it has no block device
}

func stick(place, name string) *plug {
	return &plug{place: place, raw: storage, disks: []unit{{name: name, bytes: 1 << 30, sectors: 512, content: "what is on " + name}}}
}

// descriptors builds descriptors of one configuration: interfaces by number and
// class, as package usb's own tests do.
func descriptors(class byte, settings ...[5]byte) []byte {
	b := []byte{18, 1, 0x00, 0x02, class, 0, 0, 64, 0x81, 0x07, 0x81, 0x55, 0x00, 0x01, 1, 2, 3, 1}
	body, numbers := []byte{}, map[byte]bool{}
	for _, s := range settings {
		numbers[s[0]] = true
		body = append(body, 9, 4, s[0], s[1], 0, s[2], s[3], s[4], 0)
	}
	head := []byte{9, 2, 0, 0, byte(len(numbers)), 1, 0, 0x80, 50}
	binary.LittleEndian.PutUint16(head[2:], uint16(len(head)+len(body)))
	return append(append(b, head...), body...)
}

var (
	storage  = descriptors(0, [5]byte{0, 0, 8, 6, 0x50})
	keyboard = descriptors(0, [5]byte{0, 0, 3, 1, 1})
	badUSB   = descriptors(0, [5]byte{0, 0, 8, 6, 0x50}, [5]byte{1, 0, 3, 1, 1})
	token    = descriptors(0, [5]byte{0, 0, 0x0B, 0, 0})
	plainHub = descriptors(9, [5]byte{0, 0, 9, 0, 0})
)

func station() *usb.Policy {
	return &usb.Policy{
		Ports:    []usb.Port{{Path: "1-1", Role: usb.In}, {Path: "1-2.4", Role: usb.In}, {Path: "1-3", Role: usb.Keyboard}, {Path: "1-4", Role: usb.SecurityKey}, {Path: "1-5", Role: usb.Out}, {Path: "1-6", Role: usb.In}},
		MinBytes: 1 << 20, MaxBytes: 1 << 40, SectorBytes: []int64{512, 4096},
	}
}

const tree = "devices/pci0000:00"

func newMachine(t *testing.T, buses ...string) *machine {
	t.Helper()
	m := &machine{t: t, root: t.TempDir(), policy: station(), events: newEvents(), denied: map[string]bool{}, plugs: map[string]*plug{}, opened: map[string]*os.File{}, stubborn: map[string]error{}, seq: 16}
	m.refuse, m.after = func(string) error { return nil }, func(string) {}
	for _, dir := range []string{"bus/usb/devices", tree, "gone", "dev"} {
		m.must(os.MkdirAll(filepath.Join(m.root, dir), 0o755))
	}
	var err error
	m.sys, err = usb.OpenSysfs(m.root)
	m.must(err)
	t.Cleanup(func() {
		m.sys.Close()
		for _, f := range m.files {
			f.Close()
		}
	})
	for _, bus := range buses {
		m.addBus(bus)
	}
	return m
}

// before sets what is asked before every step, without the lock; its error is the
// kernel's. It may wait, and change the machine.
func (m *machine) before(do func(step string) error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.refuse = do
}

// fail makes the kernel fail at one step.
func (m *machine) fail(at string, err error) {
	m.before(func(step string) error {
		if step == at {
			return err
		}
		return nil
	})
}

// hold makes the kernel take long for one step: waiting is told when it has come
// to that, and it goes on when the gate is closed.
func (m *machine) hold(at string) (waiting, gate chan struct{}) {
	waiting, gate = make(chan struct{}, 16), make(chan struct{})
	m.before(func(step string) error {
		if step == at {
			waiting <- struct{}{}
			<-gate
		}
		return nil
	})
	return waiting, gate
}

// afterwards sets what is called after every step that was done.
func (m *machine) afterwards(do func(step string)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.after = do
}

func (m *machine) must(err error) {
	m.t.Helper()
	if err != nil {
		m.t.Error(err) // not Fatal: it may be a goroutine of usbd
	}
}

// put writes a file at once, as the kernel's files are.
func (m *machine) put(dir, name, text string) {
	m.t.Helper()
	p := filepath.Join(m.root, dir, name)
	m.must(os.MkdirAll(filepath.Dir(p), 0o755))
	m.names++
	tmp := filepath.Join(m.root, "gone", fmt.Sprint(m.names))
	m.must(os.WriteFile(tmp, []byte(text), 0o644))
	m.must(os.Rename(tmp, p))
}

// remove takes a folder away at once. It is kept elsewhere, since the kernel
// never gives out a folder's number twice.
func (m *machine) remove(dir string) {
	m.t.Helper()
	m.names++
	m.must(os.Rename(filepath.Join(m.root, dir), filepath.Join(m.root, "gone", fmt.Sprint(m.names))))
}

// show moves a finished folder to its place and links to it.
func (m *machine) show(made, dir string) {
	m.t.Helper()
	m.must(os.Rename(filepath.Join(m.root, made), filepath.Join(m.root, dir)))
	m.must(os.Symlink("../../../"+dir, filepath.Join(m.root, "bus/usb/devices", filepath.Base(dir))))
}

func (m *machine) hide(dir string) {
	m.t.Helper()
	m.must(os.Remove(filepath.Join(m.root, "bus/usb/devices", filepath.Base(dir))))
	m.remove(dir)
}

func busOf(place string) string {
	n, _, _ := strings.Cut(place, "-")
	return "usb" + n
}

func (m *machine) dir(place string) string { return filepath.Join(tree, busOf(place), place) }

// addBus and removeBus are root hubs that come and go; devices that come while
// a bus is not denied are authorised, as the kernel does it.
func (m *machine) addBus(bus string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.bareBus(bus)
	m.root0(bus, "1\n")
}

// bareBus is a root hub of which the kernel has not made the interface yet.
func (m *machine) bareBus(bus string) {
	m.denied[bus] = false
	m.put("gone/made", "authorized_default", "1\n")
	m.put("gone/made", "interface_authorized_default", "1\n")
	m.show("gone/made", filepath.Join(tree, bus))
}

// root0 makes the interface of a root hub.
func (m *machine) root0(bus, authorised string) {
	m.put("gone/made", "authorized", authorised)
	m.show("gone/made", filepath.Join(tree, bus, rootNode(bus)))
}

func rootNode(bus string) string { return strings.TrimPrefix(bus, "usb") + "-0:1.0" }

func (m *machine) removeBus(bus string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.denied, bus)
	m.hide(filepath.Join(tree, bus, rootNode(bus)))
	m.hide(filepath.Join(tree, bus))
}

// insert makes a device appear; nobody is told before announce.
func (m *machine) insert(p *plug) {
	m.mu.Lock()
	defer m.mu.Unlock()
	made := "gone/made"
	m.put(made, "idVendor", "0781\n")
	m.put(made, "idProduct", "5581\n")
	m.put(made, "speed", "480\n")
	for name, text := range map[string]string{"serial": p.serial, "product": p.name} {
		if text != "" {
			m.put(made, name, text+"\n")
		}
	}
	m.put(made, "authorized", "0\n")
	m.put(made, "descriptors", string(p.raw))
	m.show(made, m.dir(p.place))
	p.bound, p.authorised = map[string]bool{}, false
	m.plugs[p.place] = p
	if denied, known := m.denied[busOf(p.place)]; known && !denied {
		m.authorised(p, true)
		for _, n := range m.nodes(p) {
			m.bound(p, n)
		}
	}
}

// withdraw makes a device disappear; nobody is told before announce.
func (m *machine) withdraw(place string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	p := m.plugs[place]
	if p == nil {
		m.t.Errorf("nothing is at port %s", place)
		return
	}
	m.authorised(p, false)
	delete(m.plugs, place)
	m.hide(m.dir(place))
}

func (m *machine) plug(p *plug)      { m.insert(p); m.announce() }
func (m *machine) pull(place string) { m.withdraw(place); m.announce() }
func (m *machine) announce() {
	m.events.send(uevent.Batch{Events: []uevent.Event{{Action: "change", Subsystem: "usb"}}})
}

// change replaces one text that a device shows.
func (m *machine) change(place, name, text string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.put(m.dir(place), name, text)
}

func (m *machine) nodes(p *plug) []string {
	list := []string{p.place + ":1.0"}
	if p.extra != nil {
		list = append(list, p.place+":1.1")
	}
	return list
}

// authorised is what the kernel makes of a device that it may use, or no longer.
func (m *machine) authorised(p *plug, yes bool) {
	if p.authorised == yes {
		return
	}
	p.authorised = yes
	text := "0\n"
	if yes {
		text = "1\n"
	}
	m.put(m.dir(p.place), "authorized", text)
	for i, n := range m.nodes(p) {
		dir := filepath.Join(m.dir(p.place), n)
		if !yes {
			m.hide(dir)
			p.bound = map[string]bool{}
			continue
		}
		d, err := usb.ParseDescriptors(p.raw)
		m.must(err)
		c := d.Interfaces[0].Class
		class := []byte{c.Class, c.Subclass, c.Protocol}
		if i > 0 {
			class = p.extra
		}
		for j, name := range []string{"bInterfaceClass", "bInterfaceSubClass", "bInterfaceProtocol"} {
			m.put("gone/made", name, fmt.Sprintf("%02x\n", class[j]))
		}
		m.put("gone/made", "authorized", "0\n")
		m.show("gone/made", dir)
	}
}

func (m *machine) bound(p *plug, node string) {
	p.bound[node] = true
	m.put(filepath.Join(m.dir(p.place), node), "authorized", "1\n")
	if !p.slow {
		for i, u := range p.disks {
			m.unit(p, i, u)
		}
	}
}

// unit makes a logical unit appear, as the drivers do.
func (m *machine) unit(p *plug, i int, u unit) {
	m.seq++
	dir := fmt.Sprintf("gone/made%d", i)
	m.put(dir, "type", fmt.Sprintf("%d\n", u.kind))
	if !u.nothing {
		block := filepath.Join(dir, "block", u.name)
		m.put(block, "size", fmt.Sprintf("%d\n", u.bytes/512))
		m.put(block, "ro", "0\n")
		m.put(block, "diskseq", fmt.Sprintf("%d\n", m.seq))
		m.put(block, "queue/logical_block_size", fmt.Sprintf("%d\n", u.sectors))
		m.put("dev", u.name, u.content)
	}
	target := filepath.Join(m.dir(p.place), p.place+":1.0/host3/target3:0:0")
	m.must(os.MkdirAll(filepath.Join(m.root, target), 0o755))
	m.must(os.Rename(filepath.Join(m.root, dir), filepath.Join(m.root, target, fmt.Sprintf("3:0:0:%d", i))))
}

// addUnit makes one more logical unit appear.
func (m *machine) addUnit(place string, i int, u unit) {
	m.mu.Lock()
	m.unit(m.plugs[place], i, u)
	m.mu.Unlock()
	m.announce()
}

// removeUnits takes the disks of a device away, as the kernel does first when
// it is pulled.
func (m *machine) removeUnits(place string) {
	m.mu.Lock()
	m.remove(filepath.Join(m.dir(place), place+":1.0/host3"))
	m.mu.Unlock()
	m.announce()
}
