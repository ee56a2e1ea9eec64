package layout

// Probe looks at a volume before anybody knows what it is. What lies outside
// the volume or the medium reads as zeros, which are no signature of anything;
// after an error everything does, and Err says so.
type Probe struct {
	dev  *Device
	vol  *Volume
	buf  [4096]byte
	err  error
	ends int64 // bytes of the volume that are on the medium
}

// NewProbe returns a Probe of vol, whose beginning is read at once; its end is
// when somebody asks for a byte of it.
func NewProbe(dev *Device, vol *Volume) *Probe {
	dev.Head(vol.Offset, vol.Size)
	return &Probe{dev: dev, vol: vol, ends: max(0, min(vol.Size, dev.Size()-vol.Offset))}
}

// At returns n bytes, at most 4096, at off from the volume's beginning. They
// are valid until the next call.
func (p *Probe) At(off int64, n int) []byte {
	out := p.buf[:n]
	if p.err == nil && off >= 0 && off <= p.ends-int64(n) {
		if off >= p.ends-endBytes {
			p.dev.Tail(p.vol.Offset, p.vol.Size)
		}
		if p.err = p.dev.Read(out, p.vol.Offset+off, "signature of a file system"); p.err == nil {
			return out
		}
	}
	clear(out)
	return out
}

// Size returns how many bytes of the volume are on the medium.
func (p *Probe) Size() int64 { return p.ends }

// Err returns the first error of the device.
func (p *Probe) Err() error { return p.err }
