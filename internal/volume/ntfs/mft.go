package ntfs

import (
	"bytes"

	"sallyport/internal/verdict"
	"sallyport/internal/volume/layout"
)

// bitmap is one of records or of index blocks, in memory or in clusters.
type bitmap struct {
	mem []byte
	in  *stream // nil when it is in mem
}

// get returns bit i; what is not there is clear.
func (b *bitmap) get(i int64) (bool, error) {
	p := b.mem
	at := i / 8
	if b.in != nil {
		if at >= b.in.size {
			return false, nil
		}
		var err error
		if p, err = b.in.from(at); err != nil {
			return false, err
		}
		at = 0
	}
	return at < int64(len(p)) && p[at]&(1<<(i%8)) != 0, nil
}

// bits returns how many there are, at most.
func (b *bitmap) bits() int64 {
	if b.in != nil {
		return b.in.size * 8
	}
	return int64(len(b.mem)) * 8
}

// set takes over the bitmap that was gathered for a file. s is where one in
// clusters is read.
func (b *bitmap) set(v *volume, n *node, what string, s *stream) {
	*b = bitmap{mem: append(b.mem[:0], n.inBitmap...)}
	if n.bitmap.kind != 0 {
		s.reset(v.w, what, n.bitmap.ext, n.bitmap.initialised)
		b.in = s
	}
}

// load reads a record, which must exist, into r. near says that others of its
// window will be asked for. why says what is wrong with it.
func (v *volume) load(r *record, number int64, near bool) (why string, err error) {
	if int64(len(r.buf)) != v.record {
		r.buf = make([]byte, v.record)
	}
	r.number = number
	off := number * v.record
	if near || v.mft.holds(off) {
		p, err := v.mft.from(off)
		if err != nil {
			return "", err
		}
		copy(r.buf, p)
	} else if err := v.mft.read(r.buf, off); err != nil {
		return "", err
	}
	return r.parse(), nil
}

// setMFT makes what was gathered of the MFT's clusters the MFT.
func (v *volume) setMFT(c *content) {
	v.mft.reset(v.w, mftName, c.ext, c.initialised)
	v.records = v.mft.size / v.record
}

// openMFT reads record 0, which says where the MFT is. The records that extend
// it must stand in what was found of the MFT before them.
func (v *volume) openMFT() error {
	start := v.off + v.boot.mft*v.cluster
	whole := (v.record + v.cluster - 1) / v.cluster * v.cluster
	v.mft.reset(v.w, mftName, []layout.Extent{{Off: start, Len: whole}}, v.record)
	v.records = 1
	n := &v.n
	fail := func(why string) error {
		return verdict.New(verdict.FilesystemInconsistent, layout.At("file record 0", start), "the master file table cannot be read: %s", why)
	}
	why, err := v.load(&n.rec, recordMFT, false)
	if err != nil {
		return err
	}
	if why == "" && (!n.rec.inUse() || n.rec.base != 0) {
		why = "its record is not in use"
	}
	if why != "" {
		return fail(why)
	}
	if why, err = v.firstPiece(n); err != nil {
		return err
	}
	if why != "" {
		return fail(why)
	}
	v.booting = true
	err = v.gather(n)
	v.booting = false
	c := &n.data
	switch {
	case err != nil:
		return err
	case n.problem != nil:
		return fail(n.problem.Detail)
	case c.flags != 0 || !c.plain() || !n.bitmap.plain():
		return fail("it or its bitmap has holes, or is compressed or encrypted")
	case v.mft.size != c.initialised || v.records <= recordExtend || v.records > maxClusters:
		return fail("its size makes no sense")
	}
	v.used.set(v, n, "bitmap of the master file table", new(stream))
	if v.used.in == nil && len(v.used.mem) == 0 {
		return fail("it has no bitmap")
	}
	for _, c := range []**layout.Claims{&v.seen, &v.listed} {
		if *c, err = v.w.NewClaims("the map of file records", uint32(v.records)); err != nil {
			return err
		}
	}
	return nil
}

// firstPiece finds the first clusters of the MFT in its own record.
func (v *volume) firstPiece(n *node) (why string, err error) {
	var a attribute
	for pos := n.rec.first; ; {
		next, done, why := n.rec.next(pos, &a)
		if why != "" {
			return why, nil
		}
		if done {
			return "it has no content", nil
		}
		if pos = next; a.kind != attrData || len(a.name) > 0 || a.resident || a.lowest != 0 {
			continue
		}
		c := content{initialised: a.initialised}
		if why, err = v.pieces(&c, &a); why != "" || err != nil {
			return why, err
		}
		if len(c.ext) == 0 || c.ext[0].Off != v.off+v.boot.mft*v.cluster || c.holes {
			return "it does not begin where the boot sector says", nil
		}
		v.setMFT(&c)
		return "", nil
	}
}

// checkMirror compares the first records with $MFTMirr. ntfs-3g refuses a
// volume where they differ.
func (v *volume) checkMirror() error {
	var first, second record
	at := v.off + v.mirror*v.cluster
	for i := int64(0); i < mirrored; i++ {
		why, err := v.load(&first, i, false)
		if err != nil {
			return err
		}
		if why != "" {
			return v.w.Inconsistent(v.recordAt(i), "%s", why)
		}
		second = record{number: i, buf: append(second.buf[:0], first.buf...)}
		where := layout.At("mirror of the master file table", at+i*v.record)
		if err := v.w.Dev.Read(second.buf, at+i*v.record, "mirror of the master file table"); err != nil {
			return err
		}
		if why := second.parse(); why != "" {
			return v.w.Inconsistent(where, "%s", why)
		}
		// The two copies may have been written under different update numbers.
		words := 2 * (len(first.buf)/strideBytes + 1)
		clear(first.buf[first.fixups : first.fixups+words])
		clear(second.buf[second.fixups : second.fixups+words])
		if first.used != second.used || !bytes.Equal(first.buf[:first.used], second.buf[:second.used]) {
			return v.w.Inconsistent(where, "it differs from file record %d, which it should repeat", i)
		}
	}
	return nil
}
