package usb

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
)

// Descriptor types (USB 2.0 specification, table 9-5; USB 3.2 table 9-6).
const (
	typeDevice    = 1
	typeConfig    = 2
	typeInterface = 4

	deviceBytes    = 18
	configBytes    = 9
	interfaceBytes = 9
	// maxDescriptors is more than any real device has; the kernel gives out
	// what the device said, up to 64 KiB a configuration.
	maxDescriptors = 256 << 10
	maxInterfaces  = 64
)

// Class is the class, subclass and protocol of an interface
// (USB-IF "Defined Class Codes").
type Class struct{ Class, Subclass, Protocol byte }

func (c Class) String() string { return fmt.Sprintf("%02x/%02x/%02x", c.Class, c.Subclass, c.Protocol) }

// The classes that policy knows.
var (
	bulkOnly     = Class{0x08, 0x06, 0x50} // SCSI over bulk-only transport
	attachedSCSI = Class{0x08, 0x06, 0x62} // USB attached SCSI
	bootKeyboard = Class{0x03, 0x01, 0x01}
)

const (
	classHID  = 0x03
	classCCID = 0x0B
	classHub  = 0x09
)

// Interface is one alternate setting of one interface.
type Interface struct {
	Config, Number, Alternate byte
	Class                     Class
}

// Descriptors are what a device says it is, before anything is bound to it.
type Descriptors struct {
	Vendor, Product uint16
	Release         uint16 // bcdDevice
	Class           Class  // of the device itself; 00/00/00 leaves it to the interfaces
	Configurations  int    // as the device descriptor claims
	Interfaces      []Interface
	SHA256          [32]byte // of all the bytes
}

// ParseDescriptors reads the bytes of sysfs's file "descriptors": the device
// descriptor and, one behind the other, the whole configurations (USB 2.0
// specification, section 9.6). The bytes are the device's own and hostile. A
// configuration that is cut, lies about its length, or does not hold what the
// device descriptor claims is an error: what cannot be read in one way is not
// a device to be authorised.
func ParseDescriptors(b []byte) (*Descriptors, error) {
	if len(b) > maxDescriptors {
		return nil, fmt.Errorf("%d bytes of descriptors, at most %d are read", len(b), maxDescriptors)
	}
	if len(b) < deviceBytes || b[0] != deviceBytes || b[1] != typeDevice {
		return nil, errors.New("they do not begin with a device descriptor")
	}
	d := &Descriptors{
		Class:  Class{b[4], b[5], b[6]},
		Vendor: binary.LittleEndian.Uint16(b[8:]), Product: binary.LittleEndian.Uint16(b[10:]), Release: binary.LittleEndian.Uint16(b[12:]),
		Configurations: int(b[17]), SHA256: sha256.Sum256(b),
	}
	rest := b[deviceBytes:]
	configs := 0
	for len(rest) > 0 {
		n, err := d.configuration(rest)
		if err != nil {
			return nil, fmt.Errorf("configuration %d: %w", configs+1, err)
		}
		rest = rest[n:]
		configs++
	}
	if configs != d.Configurations || configs == 0 {
		return nil, fmt.Errorf("there are %d configurations, the device descriptor says %d", configs, d.Configurations)
	}
	return d, nil
}

// configuration reads one configuration with all that belongs to it, and
// returns its length.
func (d *Descriptors) configuration(b []byte) (int, error) {
	if len(b) < configBytes || b[0] != configBytes || b[1] != typeConfig {
		return 0, errors.New("it does not begin with a configuration descriptor")
	}
	total := int(binary.LittleEndian.Uint16(b[2:]))
	if total < configBytes || total > len(b) {
		return 0, fmt.Errorf("it claims %d bytes, %d are there", total, len(b))
	}
	numbers := map[byte]bool{}
	for rest := b[configBytes:total]; len(rest) > 0; {
		n := int(rest[0])
		if n < 2 || n > len(rest) {
			return 0, fmt.Errorf("a descriptor of %d bytes, %d are left", n, len(rest))
		}
		switch rest[1] {
		case typeDevice, typeConfig:
			return 0, fmt.Errorf("a descriptor of type %d inside it", rest[1])
		case typeInterface:
			if n < interfaceBytes {
				return 0, fmt.Errorf("an interface descriptor of %d bytes", n)
			}
			if len(d.Interfaces) >= maxInterfaces {
				return 0, fmt.Errorf("more than %d interfaces", maxInterfaces)
			}
			d.Interfaces = append(d.Interfaces, Interface{Config: b[5], Number: rest[2], Alternate: rest[3], Class: Class{rest[5], rest[6], rest[7]}})
			numbers[rest[2]] = true
		}
		rest = rest[n:]
	}
	if len(numbers) != int(b[4]) {
		return 0, fmt.Errorf("it has %d interfaces and claims %d", len(numbers), b[4])
	}
	return total, nil
}

// storage says whether there is exactly one interface and all of its alternate
// settings are mass storage of the two transports that are allowed.
func (d *Descriptors) storage() bool {
	return d.only(func(c Class) bool { return c == bulkOnly || c == attachedSCSI })
}

// only says whether all interfaces are one interface of the classes that match.
func (d *Descriptors) only(match func(Class) bool) bool {
	if len(d.Interfaces) == 0 || d.Configurations != 1 {
		return false
	}
	for _, i := range d.Interfaces {
		if i.Number != d.Interfaces[0].Number || !match(i.Class) {
			return false
		}
	}
	return true
}

// any says whether at least one interface matches.
func (d *Descriptors) any(match func(Class) bool) bool {
	for _, i := range d.Interfaces {
		if match(i.Class) {
			return true
		}
	}
	return false
}
