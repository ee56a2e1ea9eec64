package e2e

import (
	"context"
	"fmt"
)

// DriveOptions say how an image file behaves as a medium.
type DriveOptions struct {
	ReadOnly bool
	// Device says that the path is a block device of the host, whose every read
	// is the guest's.
	Device bool
	// Throttle is the most bytes a second, 0 for no limit.
	Throttle int64
	// BadSectors are sectors of 512 bytes; each read that touches one fails with EIO.
	BadSectors []int64
}

// AddDrive makes an image file of the host available under a name, for PlugStorage.
// What the test writes into the file later is what the guest reads then, as far as
// it does not read from its own page cache.
func (g *Guest) AddDrive(ctx context.Context, name, path string, o DriveOptions) error {
	node := map[string]any{"driver": "file", "filename": path, "read-only": o.ReadOnly}
	if o.Device {
		node["driver"], node["cache"] = "host_device", map[string]any{"direct": true}
	}
	if len(o.BadSectors) > 0 {
		var bad []map[string]any
		for _, sector := range o.BadSectors {
			// A raw image has no other event than "none", which is always.
			bad = append(bad, map[string]any{"event": "none", "iotype": "read", "errno": 5, "sector": sector, "once": false, "immediately": false})
		}
		node = map[string]any{"driver": "blkdebug", "image": node, "inject-error": bad, "read-only": o.ReadOnly}
	}
	if o.Throttle > 0 {
		group := throttleGroup(name)
		if _, err := g.QMP(ctx, "object-add", map[string]any{"qom-type": "throttle-group", "id": group, "limits": map[string]any{"bps-total": o.Throttle}}); err != nil {
			return fmt.Errorf("cannot add the drive %s: %w", name, err)
		}
		node = map[string]any{"driver": "throttle", "throttle-group": group, "file": node, "read-only": o.ReadOnly}
	}
	node = map[string]any{"driver": "raw", "node-name": name, "file": node, "read-only": o.ReadOnly}
	if _, err := g.QMP(ctx, "blockdev-add", node); err != nil {
		return fmt.Errorf("cannot add the drive %s: %w", name, err)
	}
	return nil
}

// DropDrive takes a drive away after its device was unplugged. QEMU refuses that
// until the guest has let go of the device, so it is tried again.
func (g *Guest) DropDrive(ctx context.Context, name string) error {
	ctx, cancel := bounded(ctx)
	defer cancel()
	err := poll(ctx, func() (again bool, err error) {
		_, err = g.QMP(ctx, "blockdev-del", map[string]any{"node-name": name})
		return isQMP(err), err
	})
	if err != nil {
		return fmt.Errorf("cannot drop the drive %s: %w", name, err)
	}
	if _, err := g.QMP(ctx, "object-del", map[string]any{"id": throttleGroup(name)}); err != nil && !isQMP(err) {
		return err // one that QEMU does not know is a drive without a limit
	}
	return nil
}

func throttleGroup(drive string) string { return drive + "-throttle" }
