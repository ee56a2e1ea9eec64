package usb

import (
	"slices"
	"time"

	"sallyport/internal/verdict"
)

const (
	// settle is how long a place must have been empty before another device is
	// believed to be another device. A device that becomes another one does so
	// in a fraction of this; people take longer, or are told to.
	settle = 3 * time.Second
	// maxKnown bounds what is remembered of devices that said who they are.
	maxKnown = 256
)

// History tells devices that come back as something else: a stick that turns
// into a keyboard first shows itself as a stick. Its zero value is ready. It is
// for one goroutine and lasts as long as its process.
type History struct {
	left  map[string]departure // by place
	known []known              // oldest first
}

type departure struct {
	at          time.Time
	fingerprint string
	name        string
}

// known is a device by what it says of itself. The same device has other
// descriptors at another speed (USB 3.2 specification, section 9.6).
type known struct{ vendor, product, serial, speed, fingerprint string }

// Left notes that a device has gone from its place.
func (h *History) Left(f *Facts, at time.Time) {
	if h.left == nil {
		h.left = map[string]departure{}
	}
	h.left[f.Path] = departure{at, f.Fingerprint(), f.Vendor + ":" + f.Product}
}

// Changed says why a device that has just come is not what it was: with other
// descriptors at the place that a device left a moment ago, or with other
// descriptors under the serial number of one that was here before.
func (h *History) Changed(f *Facts, at time.Time) *verdict.Finding {
	print := f.Fingerprint()
	d, ok := h.left[f.Path]
	delete(h.left, f.Path)
	if ok && at.Sub(d.at) < settle && d.fingerprint != print {
		return verdict.New(verdict.DeviceChanged, f.where(), "%s left this port %d ms before %s:%s came with other descriptors; to use another device, leave the port empty for %.0f seconds",
			d.name, at.Sub(d.at).Milliseconds(), f.Vendor, f.Product, settle.Seconds())
	}
	if f.Serial == "" || print == "" {
		return nil
	}
	now := known{f.Vendor, f.Product, f.Serial, f.Speed, print}
	i := slices.IndexFunc(h.known, func(k known) bool { k.fingerprint = print; return k == now })
	switch {
	case i < 0:
		if len(h.known) == maxKnown {
			h.known = slices.Delete(h.known, 0, 1)
		}
		h.known = append(h.known, now)
	case h.known[i].fingerprint != print:
		return verdict.New(verdict.DeviceChanged, f.where(), "%s:%s with the serial number %q was here before with other descriptors", f.Vendor, f.Product, f.Serial)
	}
	return nil
}
