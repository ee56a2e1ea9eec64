package ntfs

import (
	"bytes"

	"sallyport/internal/verdict"
	"sallyport/internal/volume/layout"
)

// systemNames of the records 0 to 11.
func systemNames() [firstUser]string {
	return [firstUser]string{"$MFT", "$MFTMirr", "$LogFile", "$Volume", "$AttrDef", ".", "$Bitmap", "$Boot", "$BadClus", "$Secure", "$UpCase", "$Extend"}
}

// system gathers a record of the system into v.n; ok is false when it is
// damaged, which is written down.
func (v *volume) system(number int64) (ok bool, err error) {
	n := &v.n
	why, err := v.load(&n.rec, number, true)
	if err != nil {
		return false, err
	}
	if why == "" && (!n.rec.inUse() || n.rec.base != 0) {
		why = "it is not in use"
	}
	if why != "" {
		return false, v.w.Inconsistent(v.recordAt(number), "%s: %s", systemNames()[number], why)
	}
	if err := v.gather(n); err != nil {
		return false, err
	}
	if n.problem != nil {
		return false, v.w.Inconsistent(n.problem.Where, "%s: %s", systemNames()[number], n.problem.Detail)
	}
	return true, nil
}

// checkVersion reads label and version, which decide whether the rest is known.
func (v *volume) checkVersion() error {
	if ok, err := v.system(recordVolume); err != nil || !ok {
		return err
	}
	if v.major != 3 || v.minor > 1 {
		return verdict.New(verdict.FilesystemUnsupported, v.recordAt(recordVolume), "NTFS version %d.%d; this station reads 3.0 and 3.1", v.major, v.minor)
	}
	if v.units = units(v.units[:0], v.label); len(v.units) > 0 {
		v.name, _ = layout.AppendName(v.name[:0], v.units)
		v.w.Vol.Label = string(v.name)
	}
	return nil
}

// openBitmap finds the bitmap of clusters, against which all others are checked.
func (v *volume) openBitmap() error {
	ok, err := v.system(recordBitmap)
	if err != nil {
		return err
	}
	c := &v.n.data
	v.bitmap.reset(v.w, "allocation bitmap", c.ext, c.initialised)
	if !ok || !c.plain() || v.bitmap.size < (v.clusters+7)/8 {
		return verdict.New(verdict.FilesystemInconsistent, v.recordAt(recordBitmap), "the allocation bitmap has %d bytes for %d clusters", v.bitmap.size, v.clusters)
	}
	return nil
}

// checkSystem takes the clusters of the system's files and checks those that
// others depend on. The root folder is put on the list.
func (v *volume) checkSystem() error {
	v.claiming = true
	for number := int64(recordMFT); number <= recordExtend; number++ {
		if _, err := v.mark(v.seen, number); err != nil {
			return err
		}
		ok, err := v.system(number)
		if err != nil {
			return err
		}
		if !ok {
			continue
		}
		n, begins := &v.n, int64(-1)
		if len(n.data.ext) > 0 {
			begins = n.data.ext[0].Off
		}
		switch {
		case number == recordMirror && begins != v.off+v.mirror*v.cluster:
			err = v.w.Inconsistent(v.recordAt(number), "$MFTMirr does not begin where the boot sector says")
		case number == recordBoot && begins != v.off:
			err = v.w.Inconsistent(v.recordAt(number), "$Boot does not begin with the volume")
		case number == recordLog:
			err = v.checkLog(&n.data)
		case number == recordUpcase:
			err = v.readUpcase(&n.data)
		case number == recordRoot && !n.rec.folder():
			err = v.w.Inconsistent(v.recordAt(number), "the root is no folder")
		case number == recordRoot:
			v.pending = append(v.pending, folder{ref: n.rec.ref()})
			err = v.addStreams("", nil, n)
		}
		if err != nil {
			return err
		}
	}
	if v.upcase == nil { // written down; no folder can be read without it
		v.pending = nil
	}
	return nil
}

// readUpcase reads the table by which names of this volume are ordered.
func (v *volume) readUpcase(c *content) error {
	const entries = 1 << 16
	v.index.reset(v.w, "up-case table", c.ext, c.initialised)
	if v.index.size != entries*2 || !c.plain() {
		return v.w.Inconsistent(v.recordAt(recordUpcase), "an up-case table of %d bytes", v.index.size)
	}
	if err := v.w.Memory("the up-case table", entries*2); err != nil {
		return err
	}
	v.upcase = make([]uint16, entries)
	for i := 0; i < entries; {
		p, err := v.index.from(int64(i) * 2)
		if err != nil {
			return err
		}
		for ; len(p) >= 2; i, p = i+1, p[2:] {
			v.upcase[i] = le.Uint16(p)
		}
	}
	return nil
}

// collate compares two UTF-16 names by the volume's up-case table.
func (v *volume) collate(a, b []byte) int {
	n := min(len(a), len(b))
	for i := 0; i+1 < n; i += 2 {
		x, y := v.upcase[le.Uint16(a[i:])], v.upcase[le.Uint16(b[i:])]
		if x != y {
			return int(x) - int(y)
		}
	}
	return len(a) - len(b)
}

// restartBytes is the smallest page of the log; its head is all that is read.
const restartBytes = 4096

// checkLog looks at the two restart pages of $LogFile, as ntfs-3g's logfile.c
// does. An empty log is filled with FF: both pages, for one alone is damage. The
// younger page decides: the log is closed when it has no client, or says that
// the volume is clean.
func (v *volume) checkLog(c *content) error {
	v.index.reset(v.w, "log", c.ext, c.initialised)
	where := v.recordAt(recordLog)
	if !c.plain() || v.index.size < 2*restartBytes {
		return v.w.Inconsistent(where, "$LogFile has %d bytes", v.index.size)
	}
	var youngest uint64
	found, clean, empty := false, false, 0
	second := int64(restartBytes)
	for i := range 2 {
		at := int64(i) * second
		page := make([]byte, restartBytes)
		if at > v.index.size-restartBytes {
			break
		}
		if err := v.index.read(page, at); err != nil {
			return err
		}
		if len(bytes.TrimLeft(page, "\xFF")) == 0 {
			empty++
			continue
		}
		lsn, closed, size, ok := restartPage(page)
		if !ok {
			continue
		}
		if i == 0 {
			second = size
		}
		if !found || lsn > youngest {
			where, youngest, clean = v.index.where(at), lsn, closed
		}
		found = true
	}
	switch {
	case empty == 2:
		return nil
	case !found:
		return v.w.Inconsistent(where, "$LogFile has no page to restart from")
	case !clean:
		return v.w.Inconsistent(where, "the log was not closed: the medium was pulled while a computer was writing. "+
			"Insert it into that computer once more, eject it there, and bring it again")
	}
	return nil
}

// restartPage reads the head of a restart page (RESTART_PAGE_HEADER and
// RESTART_AREA in ntfs-3g's logfile.h). size is that of a page.
func restartPage(p []byte) (lsn uint64, closed bool, size int64, ok bool) {
	const noClient, volumeClean = 0xFFFF, 2
	if m := string(p[:4]); m != "RSTR" && m != "CHKD" {
		return 0, false, 0, false
	}
	size, area := int64(le.Uint32(p[16:])), int(le.Uint16(p[24:]))
	if !isPower(size) || size < strideBytes || size > 64<<10 || area < 30 || area > strideBytes-2-48 {
		return 0, false, 0, false
	}
	p = p[area:]
	closed = le.Uint16(p[12:]) == noClient || le.Uint16(p[14:])&volumeClean != 0
	return le.Uint64(p), closed, size, true
}
