package usb

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// Sysfs reads what the kernel shows of USB devices below one folder, "/sys" on
// a station. The kernel's own texts are trusted; those that it repeats from a
// device (names, serial number, descriptors) are not, and all are bounded.
type Sysfs struct{ root *os.Root }

// OpenSysfs opens the folder.
func OpenSysfs(dir string) (*Sysfs, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("cannot read sysfs: %w", err)
	}
	return &Sysfs{root}, nil
}

// Close lets go of the folder.
func (s *Sysfs) Close() error { return s.root.Close() }

// maxText bounds a text of sysfs, in bytes; a page is the most it ever is.
const maxText = 4096

// devicePath is the name of a device that is neither a root hub nor an
// interface: BUS-PORT[.PORT…] (Documentation/ABI/testing/sysfs-bus-usb).
var devicePath = regexp.MustCompile(`^[1-9][0-9]{0,2}-[1-9][0-9]{0,2}(\.[1-9][0-9]{0,2}){0,6}$`)

// busPath is the name of a root hub.
var busPath = regexp.MustCompile(`^usb[1-9][0-9]{0,2}$`)

const usbDevices = "bus/usb/devices"

// Present returns the places of all devices but root hubs, sorted so that a hub
// stands before what is behind it.
func (s *Sysfs) Present() ([]string, error) { return s.names(devicePath) }

// names returns what of the USB devices matches, shorter names first.
func (s *Sysfs) names(match *regexp.Regexp) ([]string, error) {
	names, err := (&folder{s.root}).names(usbDevices, match)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil // a machine without USB
	}
	if err != nil {
		return nil, fmt.Errorf("cannot list the USB devices: %w", err)
	}
	return names, nil
}

// device opens the folder of the device at a place: names in it are one step
// away, and all are of the same device, whatever comes to the place meanwhile.
func (s *Sysfs) device(place string) (*folder, error) {
	if !devicePath.MatchString(place) {
		return nil, fmt.Errorf("%q is not the place of a USB device", place)
	}
	root, err := s.root.OpenRoot(path.Join(usbDevices, place))
	if err != nil {
		return nil, err
	}
	return &folder{root}, nil
}

// folder is one folder of sysfs.
type folder struct{ *os.Root }

// Facts reads what the device at a place says of itself. A device that has gone
// is an error of fs.ErrNotExist; descriptors that cannot be parsed are nil in
// the facts, with the reason as second result.
func (s *Sysfs) Facts(place string) (f *Facts, odd error, err error) {
	dir, err := s.device(place)
	if err != nil {
		return nil, nil, fmt.Errorf("cannot read the device at port %s: %w", place, err)
	}
	defer dir.Close()
	f = &Facts{Path: place}
	if f.Insertion, err = dir.insertion(place); err != nil {
		return nil, nil, fmt.Errorf("cannot read the device at port %s: %w", place, err)
	}
	for _, field := range []struct {
		name     string
		to       *string
		required bool
	}{
		{"idVendor", &f.Vendor, true}, {"idProduct", &f.Product, true}, {"speed", &f.Speed, false},
		{"serial", &f.Serial, false}, {"manufacturer", &f.Manufacturer, false}, {"product", &f.Name, false},
	} {
		text, err := dir.text(field.name)
		if err != nil && (field.required || !errors.Is(err, fs.ErrNotExist)) {
			return nil, nil, fmt.Errorf("cannot read the device at port %s: %w", place, err)
		}
		*field.to = text
	}
	raw, err := dir.read("descriptors", maxDescriptors)
	if err != nil {
		return nil, nil, fmt.Errorf("cannot read the device at port %s: %w", place, err)
	}
	f.Descriptors, odd = ParseDescriptors(raw)
	if odd == nil && (fmt.Sprintf("%04x", f.Descriptors.Vendor) != f.Vendor || fmt.Sprintf("%04x", f.Descriptors.Product) != f.Product) {
		f.Descriptors, odd = nil, errors.New("the kernel's identifiers are not those of the descriptors")
	}
	return f, odd, nil
}

// Now returns which insertion is at a place, and the SHA-256 of its descriptors:
// what of [Sysfs.Facts] must not change while a device is used.
func (s *Sysfs) Now(place string) (insertion, fingerprint string, err error) {
	dir, err := s.device(place)
	if err != nil {
		return "", "", err
	}
	defer dir.Close()
	if insertion, err = dir.insertion(place); err != nil {
		return "", "", err
	}
	raw, err := dir.read("descriptors", maxDescriptors)
	if err != nil {
		return "", "", err
	}
	sum := sha256.Sum256(raw)
	return insertion, hex.EncodeToString(sum[:]), nil
}

// Buses returns the root hubs, such as "usb1", sorted.
func (s *Sysfs) Buses() ([]string, error) { return s.names(busPath) }

// Root is what the kernel shows of a root hub.
type Root struct {
	// Made tells this bus from every other that had its name.
	Made string
	// Node is its interface, empty while the kernel has not made it. The hub is
	// the kernel's own, but its interface is born unauthorised on a bus that
	// denies them by default.
	Node       string
	Authorised bool // a driver may have the interface
}

// Root reads a root hub.
func (s *Sysfs) Root(bus string) (Root, error) {
	if !busPath.MatchString(bus) {
		return Root{}, fmt.Errorf("%q is not a bus", bus)
	}
	root, err := s.root.OpenRoot(path.Join(usbDevices, bus))
	if err != nil {
		return Root{}, err
	}
	dir := &folder{root}
	defer dir.Close()
	r := Root{Node: strings.TrimPrefix(bus, "usb") + "-0:1.0"}
	if r.Made, err = dir.insertion(bus); err != nil {
		return Root{}, err
	}
	text, err := dir.text(path.Join(r.Node, "authorized"))
	if errors.Is(err, fs.ErrNotExist) {
		r.Node, err = "", nil
	}
	r.Authorised = text != "0"
	return r, err
}

// Node is an interface as the kernel shows it, of the alternate setting that is
// chosen.
type Node struct {
	Name  string // below /sys/bus/usb/devices, such as "1-1:1.0"
	Class Class
}

// Nodes returns the interfaces that the kernel has made of the device at a
// place, sorted by name; none while the device is unauthorised.
func (s *Sysfs) Nodes(place string) ([]Node, error) {
	dir, err := s.device(place)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	names, err := dir.names(".", regexp.MustCompile("^"+regexp.QuoteMeta(place)+`:[0-9]{1,3}\.[0-9]{1,3}$`))
	if err != nil {
		return nil, err
	}
	nodes := make([]Node, len(names))
	for i, name := range names {
		nodes[i].Name = name
		c := &nodes[i].Class
		for _, field := range []struct {
			name string
			to   *byte
		}{{"bInterfaceClass", &c.Class}, {"bInterfaceSubClass", &c.Subclass}, {"bInterfaceProtocol", &c.Protocol}} {
			text, err := dir.text(path.Join(name, field.name))
			if err != nil {
				return nil, fmt.Errorf("cannot read the interface %s: %w", name, err)
			}
			n, err := strconv.ParseUint(text, 16, 8)
			if err != nil {
				return nil, fmt.Errorf("cannot read the interface %s: %s is %q", name, field.name, text)
			}
			*field.to = byte(n)
		}
	}
	return nodes, nil
}

// Insertion tells the device that is now at a place from every other that was
// or will be there, until the machine starts again: the kernel never gives out
// the number of a sysfs folder twice.
func (s *Sysfs) Insertion(place string) (string, error) {
	dir, err := s.device(place)
	if err != nil {
		return "", err
	}
	defer dir.Close()
	return dir.insertion(place)
}

func (d *folder) insertion(place string) (string, error) { return InsertionOf(d.Root, place) }

// InsertionOf is [Sysfs.Insertion] of the open folder of a device, or of a bus.
func InsertionOf(dir *os.Root, place string) (string, error) {
	st, err := dir.Stat(".")
	if err != nil {
		return "", err
	}
	sys, ok := st.Sys().(*syscall.Stat_t)
	if !ok {
		return "", fmt.Errorf("the folder of %s has no number", place)
	}
	return place + "#" + strconv.FormatUint(sys.Ino, 10), nil
}

// Authorised says whether the kernel may use the device.
func (s *Sysfs) Authorised(place string) (bool, error) {
	dir, err := s.device(place)
	if err != nil {
		return false, err
	}
	defer dir.Close()
	text, err := dir.text("authorized")
	if err != nil {
		return false, err
	}
	return text != "0", nil
}

// Disks returns the disks of the storage device at a place, sorted by name;
// none while the driver is still binding.
func (s *Sysfs) Disks(place string) ([]Disk, error) {
	dir, err := s.device(place)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	units := []string{"."}
	for _, level := range []*regexp.Regexp{interfaceName, hostName, targetName, unitName} {
		if units, err = dir.below(units, level); err != nil {
			return nil, err
		}
	}
	var disks []Disk
	for _, unit := range units {
		d := Disk{Units: len(units)}
		kind, err := dir.number(path.Join(unit, "type"))
		if err != nil {
			return nil, err
		}
		d.Kind = int(kind)
		blocks, err := dir.names(path.Join(unit, "block"), anyName)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		if len(blocks) > 1 {
			return nil, fmt.Errorf("one logical unit at port %s has %d block devices", place, len(blocks))
		}
		if len(blocks) == 1 {
			if err := dir.disk(path.Join(unit, "block", blocks[0]), &d); err != nil {
				return nil, err
			}
		}
		disks = append(disks, d)
	}
	slices.SortFunc(disks, func(a, b Disk) int { return strings.Compare(a.Name, b.Name) })
	return disks, nil
}

// The folders between a device and its disks.
var (
	interfaceName = regexp.MustCompile(`^[0-9.-]+:[0-9]+\.[0-9]+$`)
	hostName      = regexp.MustCompile(`^host[0-9]+$`)
	targetName    = regexp.MustCompile(`^target[0-9:]+$`)
	unitName      = regexp.MustCompile(`^[0-9]+:[0-9]+:[0-9]+:[0-9]+$`)
	anyName       = regexp.MustCompile(``)
)

// below returns the folders of one level further down.
func (d *folder) below(dirs []string, match *regexp.Regexp) (found []string, err error) {
	for _, dir := range dirs {
		names, err := d.names(dir, match)
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			found = append(found, path.Join(dir, name))
		}
	}
	return found, nil
}

// disk reads a block device's attributes (Documentation/ABI/stable/sysfs-block).
func (d *folder) disk(dir string, to *Disk) error {
	to.Name = path.Base(dir)
	var readOnly, sectors, seq int64
	for _, field := range []struct {
		name string
		to   *int64
	}{{"size", &sectors}, {"queue/logical_block_size", &to.SectorBytes}, {"ro", &readOnly}, {"diskseq", &seq}} {
		n, err := d.number(path.Join(dir, field.name))
		if err != nil {
			return fmt.Errorf("cannot read the disk %s: %w", to.Name, err)
		}
		*field.to = n
	}
	const sector = 512 // the unit of "size", whatever the device's sectors are
	if sectors < 0 || sectors > 1<<53 {
		return fmt.Errorf("cannot read the disk %s: it claims %d sectors", to.Name, sectors)
	}
	to.Bytes, to.ReadOnly, to.Seq = sectors*sector, readOnly != 0, uint64(seq)
	return nil
}

// names returns what in a folder matches, shorter names first.
func (d *folder) names(dir string, match *regexp.Regexp) ([]string, error) {
	f, err := d.Open(dir)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	names, err := f.Readdirnames(-1)
	if err != nil {
		return nil, err
	}
	names = slices.DeleteFunc(names, func(n string) bool { return !match.MatchString(n) })
	slices.SortFunc(names, func(a, b string) int { return cmp.Or(len(a)-len(b), strings.Compare(a, b)) })
	return names, nil
}

func (d *folder) number(name string) (int64, error) {
	text, err := d.text(name)
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%s: %q is not a number", name, text)
	}
	return n, nil
}

func (d *folder) text(name string) (string, error) {
	b, err := d.read(name, maxText)
	return strings.TrimSuffix(string(b), "\n"), err
}

// read returns a whole file of at most most bytes.
func (d *folder) read(name string, most int64) ([]byte, error) {
	f, err := d.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, most+1))
	if err == nil && int64(len(b)) > most {
		err = fmt.Errorf("%s has more than %d bytes", name, most)
	}
	return b, err
}
