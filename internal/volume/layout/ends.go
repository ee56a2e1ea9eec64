package layout

// Many small structures stand at the two ends of a medium and of each of its
// volumes. A stick answers one read of 128 KiB about as fast as one of 512
// bytes, so the ends are read once and looked at in memory; and what a volume
// is taken for and what is then read of it are the same bytes, whatever the
// medium would say when it is asked again.

// endBytes of each end reach over every structure that is looked for there: at
// a beginning the last are in the recognition sequence of UDF, before byte 98304,
// and at an end the first is the superblock of Linux RAID 0.90.
const endBytes = 128 << 10

// ends are the parts of a medium that were read last.
type ends struct {
	parts [4]struct {
		off, asked int64
		data       []byte // what could be read of the bytes asked for
	}
	next int
}

// fill fills p from a part that has all of it.
func (e *ends) fill(p []byte, off int64) bool {
	for i := range e.parts {
		part := &e.parts[i]
		if at := off - part.off; at >= 0 && at <= int64(len(part.data)-len(p)) {
			copy(p, part.data[at:])
			return true
		}
	}
	return false
}

// Head reads the beginning of a volume, as far as it is on the medium, for the
// calls of [Device.Read] to come. A failure is not told here: whoever needs a
// byte asks for it, and it is that byte which is then reported.
func (d *Device) Head(off, size int64) {
	if size = min(size, d.size-off); off >= 0 && size > 0 {
		d.part(off, min(size, endBytes))
	}
}

// Tail is Head for the end, without what Head reads.
func (d *Device) Tail(off, size int64) {
	if size = min(size, d.size-off); off >= 0 && size > endBytes {
		tail := off + max(endBytes, size-endBytes)
		d.part(tail, off+size-tail)
	}
}

// part reads n bytes that are on the medium in the place of those that were
// read the longest time ago.
func (d *Device) part(off, n int64) {
	for i := range d.ends.parts {
		if p := &d.ends.parts[i]; off >= p.off && off-p.off <= p.asked-n {
			return
		}
	}
	if d.meta.Take(n) != nil {
		return
	}
	p := &d.ends.parts[d.ends.next%len(d.ends.parts)]
	d.ends.next++
	if p.data == nil {
		p.data = make([]byte, endBytes)
	}
	p.off, p.asked = off, n
	got, _ := d.r.ReadAt(p.data[:n], off) // see Head on the error
	p.data = p.data[:max(0, min(got, int(n)))]
}
