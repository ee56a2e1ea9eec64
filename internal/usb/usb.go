// Package usb decides about USB devices before any driver binds to them: it
// reads what a device says it is from sysfs while the device is unauthorised,
// holds that against the station's policy, and gives the device a role or a
// reason for its refusal. Everything is denied by default; a device that could
// be read in two ways is refused. It opens no device and changes nothing in
// sysfs: that is the privileged process's task.
//
// What a device says (identifiers, names, serial number) proves nothing, since
// whoever builds a device can say anything. The policy keeps a storage port
// from becoming a keyboard; whether a medium may be believed is decided by
// signatures alone.
package usb

import (
	"encoding/hex"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"sallyport/internal/verdict"
)

// Role is what a port is for.
type Role string

// The roles. A port without one takes nothing.
const (
	In          Role = "in"           // media that come in
	Out         Role = "out"          // media that are written
	Keyboard    Role = "keyboard"     // one boot keyboard
	SecurityKey Role = "security-key" // a smart card reader or FIDO token
	Hub         Role = "hub"          // between a configured port and the root; given by policy alone
)

// Port gives the device at a stable place its role. Path is the kernel's name
// of the place, "BUS-PORT[.PORT…]", as in /sys/bus/usb/devices.
type Port struct {
	Path string `json:"path"`
	Role Role   `json:"role"`
}

// Rule allows storage devices. Every field that is set has to match.
type Rule struct {
	Vendor, Product string // four hexadecimal digits, lower case; "" for any
	Serial          string // exact; "" for any
	SHA256          string // of the descriptors, 64 hexadecimal digits; "" for any
}

// IsPlace says whether s is the name of a place that a device can have.
func IsPlace(s string) bool { return devicePath.MatchString(s) }

var (
	identifier  = regexp.MustCompile(`^(\*|[0-9a-f]{4})$`)
	fingerprint = regexp.MustCompile(`^[0-9a-f]{64}$`)
)

// ParseRule reads a rule as people write it: "VENDOR:PRODUCT",
// "VENDOR:PRODUCT:SERIAL" or "sha256:DESCRIPTORS", where vendor and product are
// four hexadecimal digits in lower case, or * for any.
func ParseRule(s string) (Rule, error) {
	bad := fmt.Errorf("%q is no rule for devices; use \"0781:5581\", \"0781:*\", \"0781:5581:SERIAL\" or \"sha256:\" and 64 hexadecimal digits, in lower case", s)
	vendor, rest, _ := strings.Cut(s, ":")
	if vendor == "sha256" {
		if !fingerprint.MatchString(rest) {
			return Rule{}, bad
		}
		return Rule{SHA256: rest}, nil
	}
	product, serial, named := strings.Cut(rest, ":")
	if !identifier.MatchString(vendor) || !identifier.MatchString(product) || named && serial == "" {
		return Rule{}, bad
	}
	unless := func(s string) string {
		if s == "*" {
			return ""
		}
		return s
	}
	return Rule{Vendor: unless(vendor), Product: unless(product), Serial: serial}, nil
}

// Policy is what a station allows. Its zero value allows nothing.
type Policy struct {
	Ports []Port
	// Rules for storage; without any, every storage device is allowed at a
	// storage port.
	Rules []Rule
	// MinBytes and MaxBytes bound the capacity; MaxBytes 0 allows no device.
	MinBytes, MaxBytes int64
	// SectorBytes are the logical sector sizes that are allowed.
	SectorBytes []int64
}

// Facts are what is known of a device; texts are foreign.
type Facts struct {
	Path         string // the place, as in [Port]
	Insertion    string // tells this insertion from every other of this boot
	Vendor       string // four hexadecimal digits
	Product      string
	Serial       string
	Manufacturer string
	Name         string // the product's name
	Speed        string // Mbit/s
	Descriptors  *Descriptors
}

// Fingerprint is the SHA-256 of the descriptors in hexadecimal, "" without them.
func (f *Facts) Fingerprint() string {
	if f.Descriptors == nil {
		return ""
	}
	return hex.EncodeToString(f.Descriptors.SHA256[:])
}

// Decide gives a device its role, or says why it is refused.
func (p *Policy) Decide(f *Facts) (Role, *verdict.Finding) {
	d := f.Descriptors
	if d == nil {
		return "", verdict.New(verdict.NotStorage, f.where(), "its descriptors cannot be read")
	}
	role := p.role(f.Path)
	switch {
	case d.any(func(c Class) bool { return c.Class == classHub }) || d.Class.Class == classHub:
		return p.decideHub(f)
	case role == "":
		return "", verdict.New(verdict.PortNotAllowed, f.where(), "nothing is configured for this port")
	case role == Keyboard:
		if d.Configurations != 1 || !d.any(func(c Class) bool { return c == bootKeyboard }) || d.any(func(c Class) bool { return c.Class != classHID }) {
			return "", verdict.New(verdict.PortNotAllowed, f.where(), "this port is for a keyboard, and the device is %s", d.Shape())
		}
		return role, nil
	case role == SecurityKey:
		token := func(c Class) bool { return c.Class == classCCID || c == (Class{classHID, 0, 0}) }
		if d.Configurations != 1 || len(d.Interfaces) == 0 || d.any(func(c Class) bool { return !token(c) }) {
			return "", verdict.New(verdict.PortNotAllowed, f.where(), "this port is for a security key, and the device is %s", d.Shape())
		}
		return role, nil
	}
	return p.decideStorage(f, role)
}

func (p *Policy) decideStorage(f *Facts, role Role) (Role, *verdict.Finding) {
	d := f.Descriptors
	storage := func(c Class) bool { return c.Class == bulkOnly.Class }
	switch {
	case !d.any(storage):
		return "", verdict.New(verdict.NotStorage, f.where(), "it is %s", d.Shape())
	case d.Configurations != 1:
		return "", verdict.New(verdict.CompositeDevice, f.where(), "it can become %d different devices", d.Configurations)
	case d.any(func(c Class) bool { return !storage(c) }):
		return "", verdict.New(verdict.CompositeDevice, f.where(), "it is %s", d.Shape())
	case !d.storage():
		return "", verdict.New(verdict.NotStorage, f.where(), "it is storage of another kind than disks: %s", d.Shape())
	case d.Class.Class != 0 && d.Class.Class != bulkOnly.Class:
		return "", verdict.New(verdict.CompositeDevice, f.where(), "as a whole it claims the class %s, its interface is storage", d.Class)
	}
	if len(p.Rules) == 0 || slices.ContainsFunc(p.Rules, func(r Rule) bool { return r.match(f) }) {
		return role, nil
	}
	return "", verdict.New(verdict.DeviceNotAllowed, f.where(), "no rule allows %s:%s with the serial number %q", f.Vendor, f.Product, f.Serial)
}

// decideHub allows a plain hub between the root and a configured port.
func (p *Policy) decideHub(f *Facts) (Role, *verdict.Finding) {
	if !f.Descriptors.only(func(c Class) bool { return c.Class == classHub }) {
		return "", verdict.New(verdict.CompositeDevice, f.where(), "it is %s", f.Descriptors.Shape())
	}
	for _, port := range p.Ports {
		if strings.HasPrefix(port.Path, f.Path+".") {
			return Hub, nil
		}
	}
	return "", verdict.New(verdict.PortNotAllowed, f.where(), "no configured port is behind this hub")
}

func (p *Policy) role(path string) Role {
	for _, port := range p.Ports {
		if port.Path == path {
			return port.Role
		}
	}
	return ""
}

func (r Rule) match(f *Facts) bool {
	return (r.Vendor == "" || r.Vendor == f.Vendor) && (r.Product == "" || r.Product == f.Product) &&
		(r.Serial == "" || r.Serial == f.Serial) && (r.SHA256 == "" || r.SHA256 == f.Fingerprint())
}

func (f *Facts) where() string { return "port " + f.Path }

// Shape lists the classes for people who look after the station.
func (d *Descriptors) Shape() string {
	if d == nil {
		return "a device whose descriptors cannot be read"
	}
	names := map[byte]string{
		0x01: "audio", 0x02: "communication (modem, network)", classHID: "keyboard, mouse or other input", 0x05: "physical input", 0x06: "camera or phone (PTP)",
		0x07: "printer", 0x08: "storage", classHub: "hub", 0x0A: "communication data", classCCID: "smart card reader", 0x0D: "content security", 0x0E: "video",
		0x0F: "health device", 0x10: "audio and video", 0x11: "billboard", 0xDC: "diagnostics", 0xE0: "wireless controller", 0xEF: "miscellaneous", 0xFE: "application (firmware update)", 0xFF: "vendor-specific",
	}
	var parts []string
	for _, i := range d.Interfaces {
		name := names[i.Class.Class]
		if name == "" {
			name = "a class that does not exist"
		}
		if part := name + " " + i.Class.String(); !slices.Contains(parts, part) {
			parts = append(parts, part)
		}
	}
	if len(parts) == 0 {
		return "a device without interfaces"
	}
	return strings.Join(parts, " and ")
}

// Disk is what the kernel shows of a storage device once its driver is bound.
type Disk struct {
	Name        string `json:"name"`         // below /dev, such as "sda"
	Seq         uint64 `json:"diskseq"`      // this very insertion
	Bytes       int64  `json:"bytes"`        // capacity
	SectorBytes int64  `json:"sector_bytes"` // logical
	ReadOnly    bool   `json:"read_only"`
	Kind        int    `json:"kind"`  // SCSI peripheral device type: 0 disk, 5 CD, …
	Units       int    `json:"units"` // logical units of the device
}

// DecideNodes checks that what the kernel made of an authorised device is what
// its descriptors said, and no more.
func (p *Policy) DecideNodes(f *Facts, role Role, nodes []Node) *verdict.Finding {
	var classes []string
	for _, n := range nodes {
		classes = append(classes, n.Class.String())
		known := slices.ContainsFunc(f.Descriptors.Interfaces, func(i Interface) bool { return i.Class == n.Class })
		storage := n.Class == bulkOnly || n.Class == attachedSCSI
		if !known || (role == In || role == Out) && !storage {
			return verdict.New(verdict.CompositeDevice, f.where(), "the kernel shows the interface %s of class %s", n.Name, n.Class)
		}
	}
	if len(nodes) == 0 || (role == In || role == Out) && len(nodes) != 1 {
		return verdict.New(verdict.CompositeDevice, f.where(), "the kernel shows %d interfaces: %s", len(nodes), strings.Join(classes, ", "))
	}
	return nil
}

// DecideDisk checks the disk that an allowed device turned out to have.
func (p *Policy) DecideDisk(f *Facts, d Disk) *verdict.Finding {
	switch {
	case d.Units != 1:
		return verdict.New(verdict.CompositeDevice, f.where(), "it has %d logical units, and only devices with one are read", d.Units)
	case d.Kind != 0:
		return verdict.New(verdict.NotStorage, f.where(), "it is not a disk (SCSI device type %d)", d.Kind)
	case !slices.Contains(p.SectorBytes, d.SectorBytes):
		return verdict.New(verdict.CapacityOutOfRange, f.where(), "it has sectors of %d bytes", d.SectorBytes)
	case d.Bytes < p.MinBytes || d.Bytes > p.MaxBytes:
		return verdict.New(verdict.CapacityOutOfRange, f.where(), "it has %d bytes, allowed are %d to %d", d.Bytes, p.MinBytes, p.MaxBytes)
	}
	return nil
}
