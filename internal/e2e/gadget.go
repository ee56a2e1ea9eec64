package e2e

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strconv"
	"strings"
)

// Gadget is a USB device that the guest plugs into itself through dummy_hcd: QEMU
// has no device with two functions, and none that comes back as another one.
type Gadget struct {
	Name     string // of the gadget in the guest; unique
	Vendor   uint16
	Product  uint16
	Maker    string // texts of the device, which may hold anything but NUL
	Model    string
	Serial   string
	Disk     string // file of the guest behind the mass storage function; empty for none
	Keyboard bool   // with a keyboard function
}

// keyboardReport is the report descriptor of a keyboard as the kernel's own
// example has it.
const keyboardReport = `\x05\x01\x09\x06\xa1\x01\x05\x07\x19\xe0\x29\xe7\x15\x00\x25\x01\x75\x01\x95\x08\x81\x02\x95\x01\x75\x08\x81\x03\x95\x05\x75\x01\x05\x08\x19\x01\x29\x05\x91\x02\x95\x01\x75\x03\x91\x03\x95\x06\x75\x08\x15\x00\x25\x65\x05\x07\x19\x00\x29\x65\x81\x00\xc0`

const gadgets = "/sys/kernel/config/usb_gadget"

// gadgetControllers is how many gadgets can be plugged at a time.
const gadgetControllers = 2

// PlugGadget makes the gadget, plugs it and returns its name in
// /sys/bus/usb/devices. Its file must be there (MakeDisk).
func (g *Guest) PlugGadget(ctx context.Context, d Gadget) (device string, err error) {
	if err := g.makeGadget(ctx, d); err != nil {
		return "", err
	}
	// A controller that nobody uses names no driver; a gadget that takes the name of
	// a controller is plugged into it.
	number, err := g.Shell(ctx, `for udc in /sys/class/udc/dummy_udc.*; do [ -n "$(cat "$udc/function")" ] || break; done
		basename "$udc" >`+path.Join(gadgets, d.Name, "UDC")+`; echo "${udc##*.}"`)
	if err != nil {
		return "", fmt.Errorf("cannot plug the gadget %s: %w", d.Name, err)
	}
	return g.gadgetDevice(ctx, d.Name, number, "")
}

// Reappear plugs d into the place of the gadget old at the very moment that this
// is unplugged, as a device does that changes what it is. The device keeps its
// name in /sys/bus/usb/devices and gets another devnum.
func (g *Guest) Reappear(ctx context.Context, old string, d Gadget) (device string, err error) {
	if err := g.makeGadget(ctx, d); err != nil {
		return "", err
	}
	out, err := g.Shell(ctx, strings.Join([]string{
		"cd " + gadgets,
		"udc=$(cat " + old + "/UDC)",
		`echo "${udc##*.}" $(cat /sys/devices/platform/dummy_hcd.${udc##*.}/usb*/*-1/devnum)`,
		"echo >" + old + "/UDC; echo $udc >" + d.Name + "/UDC",
	}, "\n"))
	if err != nil {
		return "", fmt.Errorf("cannot replace the gadget %s: %w", old, err)
	}
	number, devnum, _ := strings.Cut(out, " ")
	device, err = g.gadgetDevice(ctx, d.Name, number, devnum)
	if err != nil {
		return "", err
	}
	return device, g.removeGadget(ctx, old)
}

// gadgetDevice waits for the device in the only port of a dummy controller, if it
// is another one than that with the devnum of before.
func (g *Guest) gadgetDevice(ctx context.Context, name, number, before string) (string, error) {
	out, err := g.Until(ctx, `cd /sys/devices/platform/dummy_hcd.`+number+`/usb*/*-1; devnum=$(cat devnum); [ "$devnum" != "`+before+`" ]; basename "$PWD"`)
	if err != nil {
		return "", fmt.Errorf("the gadget %s did not appear: %w", name, err)
	}
	return out, nil
}

// UnplugGadget unplugs and removes a gadget and waits until its device is gone.
func (g *Guest) UnplugGadget(ctx context.Context, name string) error {
	number, err := g.Shell(ctx, "cd "+path.Join(gadgets, name)+"; udc=$(cat UDC); echo >UDC; echo ${udc##*.}")
	if err == nil {
		_, err = g.Until(ctx, "! ls -d /sys/devices/platform/dummy_hcd."+number+"/usb*/*-1")
	}
	if err != nil {
		return fmt.Errorf("cannot unplug the gadget %s: %w", name, err)
	}
	return g.removeGadget(ctx, name)
}

// GadgetComposite plugs one device that is a stick and a keyboard, with the
// identity of a well-known stick.
func (g *Guest) GadgetComposite(ctx context.Context, name, disk string) (device string, err error) {
	d := stick(name, disk)
	d.Keyboard = true
	return g.PlugGadget(ctx, d)
}

// GadgetStorage plugs a stick, of which Reappear can make another device.
func (g *Guest) GadgetStorage(ctx context.Context, name, disk string) (device string, err error) {
	return g.PlugGadget(ctx, stick(name, disk))
}

func stick(name, disk string) Gadget {
	return Gadget{Name: name, Vendor: 0x0781, Product: 0x5581, Maker: "SanDisk", Model: "Ultra", Serial: "4C530001", Disk: disk}
}

// makeGadget makes a gadget that is not plugged yet.
func (g *Guest) makeGadget(ctx context.Context, d Gadget) error {
	if d.Disk == "" && !d.Keyboard {
		return fmt.Errorf("the gadget %s has no function", d.Name)
	}
	script := []string{
		"modprobe dummy_hcd num=" + strconv.Itoa(gadgetControllers),
		"modprobe libcomposite",
		"mountpoint -q /sys/kernel/config || mount -t configfs none /sys/kernel/config",
		"mkdir " + path.Join(gadgets, d.Name) + "; cd " + path.Join(gadgets, d.Name),
		"mkdir strings/0x409 configs/c.1",
		fmt.Sprintf("echo %#04x >idVendor; echo %#04x >idProduct", d.Vendor, d.Product),
		"printf %s " + quote(d.Maker) + " >strings/0x409/manufacturer",
		"printf %s " + quote(d.Model) + " >strings/0x409/product",
		"printf %s " + quote(d.Serial) + " >strings/0x409/serialnumber",
	}
	if d.Disk != "" {
		script = append(script,
			"mkdir functions/mass_storage.0; echo 1 >functions/mass_storage.0/lun.0/removable",
			"printf %s "+quote(d.Disk)+" >functions/mass_storage.0/lun.0/file",
			"ln -s functions/mass_storage.0 configs/c.1/")
	}
	if d.Keyboard {
		script = append(script,
			"mkdir functions/hid.0; cd functions/hid.0; echo 1 >protocol; echo 1 >subclass; echo 8 >report_length",
			"printf '"+keyboardReport+"' >report_desc; cd ../..",
			"ln -s functions/hid.0 configs/c.1/")
	}
	if _, err := g.Shell(ctx, strings.Join(script, "\n")); err != nil {
		return fmt.Errorf("cannot make the gadget %s: %w", d.Name, err)
	}
	return nil
}

func (g *Guest) removeGadget(ctx context.Context, name string) error {
	_, err := g.Shell(ctx, strings.Join([]string{
		"cd " + path.Join(gadgets, name),
		"rm -f configs/c.1/mass_storage.0 configs/c.1/hid.0",
		"for part in functions/* configs/c.1 strings/0x409; do rmdir $part; done",
		"cd ..; rmdir " + name,
	}, "\n"))
	if err != nil {
		return fmt.Errorf("cannot remove the gadget %s: %w", name, err)
	}
	return nil
}

// MakeDisk makes a file of zeros in the guest for a gadget.
func (g *Guest) MakeDisk(ctx context.Context, path string, mib int) error {
	_, err := g.Shell(ctx, fmt.Sprintf("truncate -s %dM -- %s", mib, quote(path)))
	return err
}

// Type presses and releases a key of the only plugged gadget keyboard by its HID
// usage, 4 for "a". It waits until a driver of the guest takes that: with a keyboard
// that no driver has, it ends with the context.
func (g *Guest) Type(ctx context.Context, usage byte) error {
	if usage == 0 {
		return errors.New("usage 0 is no key")
	}
	_, err := g.Shell(ctx, fmt.Sprintf(`exec 3>/dev/hidg0; printf '\0\0\x%02x\0\0\0\0\0' >&3; printf '\0\0\0\0\0\0\0\0' >&3`, usage))
	return err
}

// quote makes one word of the shell of any text.
func quote(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }
