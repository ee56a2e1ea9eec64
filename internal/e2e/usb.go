package e2e

import (
	"context"
	"fmt"
	"maps"
	"strconv"
	"strings"
)

// Kind is the protocol of a USB storage device.
type Kind string

// The kinds of storage.
const (
	BulkOnly Kind = "usb-storage" // one drive, interface 08/06/50
	MultiLUN Kind = "usb-bot"     // several drives, interface 08/06/50
	UAS      Kind = "usb-uas"     // several drives, interface 08/06/62
)

// LUN is one unit of a storage device.
type LUN struct {
	Drive string // as AddDrive named it
	CD    bool   // a CD drive rather than a disk
	// SectorBytes are the disk's logical sectors; 0 means 512.
	SectorBytes int
}

// PlugDevice plugs any device of QEMU into a port of the only USB controller:
// "1" to "8", or "2.3" for the third port of a hub in port 2.
func (g *Guest) PlugDevice(ctx context.Context, driver, name, port string, properties map[string]any) error {
	args := map[string]any{"driver": driver, "id": name, "bus": "xhci.0", "port": port}
	maps.Copy(args, properties)
	if _, err := g.QMP(ctx, "device_add", args); err != nil {
		return fmt.Errorf("cannot plug %s: %w", name, err)
	}
	return nil
}

// PlugStorage plugs a stick with one drive. The device has the drive's name.
func (g *Guest) PlugStorage(ctx context.Context, drive, port string, kind Kind, serial string) error {
	if kind != BulkOnly {
		return g.PlugUnits(ctx, drive, port, kind, serial, LUN{Drive: drive})
	}
	return g.PlugDevice(ctx, string(kind), drive, port, map[string]any{"drive": drive, "serial": serial, "removable": true})
}

// PlugUnits plugs a device with several drives, of a kind MultiLUN or UAS.
func (g *Guest) PlugUnits(ctx context.Context, name, port string, kind Kind, serial string, units ...LUN) error {
	if err := g.PlugDevice(ctx, string(kind), name, port, map[string]any{"serial": serial}); err != nil {
		return err
	}
	for i, u := range units {
		args := map[string]any{"driver": "scsi-hd", "id": name + "-" + strconv.Itoa(i), "bus": name + ".0", "scsi-id": 0, "lun": i, "drive": u.Drive}
		if u.CD {
			args["driver"] = "scsi-cd"
		} else {
			args["removable"] = true
			if u.SectorBytes != 0 {
				args["logical_block_size"], args["physical_block_size"] = u.SectorBytes, u.SectorBytes
			}
		}
		if _, err := g.QMP(ctx, "device_add", args); err != nil {
			return fmt.Errorf("cannot plug unit %d of %s: %w", i, name, err)
		}
	}
	// Such a device stays unattached, invisible to the guest, until it has its units.
	if _, err := g.QMP(ctx, "qom-set", map[string]any{"path": "/machine/peripheral/" + name, "property": "attached", "value": true}); err != nil {
		return fmt.Errorf("cannot attach %s: %w", name, err)
	}
	return nil
}

// PlugKeyboard plugs a keyboard.
func (g *Guest) PlugKeyboard(ctx context.Context, name, port string) error {
	return g.PlugDevice(ctx, "usb-kbd", name, port, nil)
}

// PlugHub plugs a hub with eight ports of full speed.
func (g *Guest) PlugHub(ctx context.Context, name, port string) error {
	return g.PlugDevice(ctx, "usb-hub", name, port, nil)
}

// Unplug pulls a device and waits until QEMU has taken it away. Its drives stay;
// DropDrive is for them.
func (g *Guest) Unplug(ctx context.Context, name string) error {
	ctx, cancel := bounded(ctx)
	defer cancel()
	b, err := g.running()
	if err != nil {
		return fmt.Errorf("cannot unplug %s: %w", name, err)
	}
	mark := b.monitor.mark()
	_, err = b.monitor.do(ctx, "device_del", map[string]any{"id": name})
	if err == nil {
		_, err = b.monitor.wait(ctx, mark, func(e Event) bool {
			return e.Name == "DEVICE_DELETED" && e.Data["device"] == name
		})
	}
	if err != nil {
		return fmt.Errorf("cannot unplug %s: %w", name, err)
	}
	return nil
}

// USBDevices returns the names below /sys/bus/usb/devices of what is plugged:
// neither the controllers' own hubs nor interfaces.
func (g *Guest) USBDevices(ctx context.Context) ([]string, error) {
	entries, err := g.List(ctx, "/sys/bus/usb/devices")
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if !strings.HasPrefix(e.Name, "usb") && !strings.Contains(e.Name, ":") {
			names = append(names, e.Name)
		}
	}
	return names, nil
}

// BlockDevices waits until a USB device has as many disks and returns their names,
// such as sda.
func (g *Guest) BlockDevices(ctx context.Context, device string, count int) ([]string, error) {
	out, err := g.Until(ctx, fmt.Sprintf(`found=$(ls -d /sys/bus/usb/devices/%s/*/host*/target*/*/block/*); [ "$(wc -l <<<"$found")" -eq %d ]; xargs -n 1 basename <<<"$found"`, device, count))
	if err != nil {
		return nil, fmt.Errorf("the USB device %s has not %d disks: %w", device, count, err)
	}
	return strings.Fields(out), nil
}
