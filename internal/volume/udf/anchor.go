package udf

import (
	"cmp"

	"sallyport/internal/verdict"
	"sallyport/internal/volume/layout"
)

const (
	// recognition is where the volume recognition sequence begins, and
	// recognitionStep how far its descriptors are apart, at least (ECMA-167
	// section 2/8.3).
	recognition      = 32 << 10
	recognitionStep  = 2 << 10
	recognitionSteps = 32

	anchorBytes = 512
)

// Recognise says whether a volume claims to be UDF: one of the descriptors NSR02
// and NSR03 is in its recognition sequence.
func Recognise(p *layout.Probe) bool {
	for off := int64(recognition); off < recognition+recognitionSteps*recognitionStep; off += 2 * recognitionStep {
		b := p.At(off, 2*recognitionStep)
		if isNSR(b) || isNSR(b[recognitionStep:]) {
			return true
		}
	}
	return false
}

func isNSR(b []byte) bool { return string(b[1:5]) == "NSR0" && (b[5] == '2' || b[5] == '3') }

// checkRecognition goes through the recognition sequence again: systems differ
// in how much of it they ask for.
func (v *volume) checkRecognition() error {
	const what = "volume recognition sequence"
	begun, found := false, ""
	p := make([]byte, recognitionStep)
	for n := range int64(recognitionSteps) {
		off := recognition + n*recognitionStep
		if off+recognitionStep > v.w.Vol.Size {
			break
		}
		off += v.w.Vol.Offset
		if err := v.w.Dev.Read(p, off, what); err != nil {
			return err
		}
		switch id := string(p[1:6]); {
		case id == "BEA01":
			begun = true
		case id == "TEA01":
			begun = false
		case !isNSR(p):
		case found != "" && found != id:
			return v.w.Inconsistent(layout.At(what, off), "it names %s and %s at once", found, id)
		case !begun:
			found = id
			return v.w.Inconsistent(layout.At(what, off), "%s does not stand behind BEA01: some systems would not take this for UDF", id)
		default:
			found = id
		}
	}
	return nil
}

// anchor points at the two volume descriptor sequences (ECMA-167 section 3/10.2).
type anchor struct{ main, reserve extent }

// findAnchors finds the sector size by the anchors, and has all of them agree.
// They stand in sector 256, the last one, and 256 before it; in sector 512 of a
// disc that is still open (UDF 2.60 section 2.2.3). Those at the end may be
// unreadable where sector 256 has one, which is what systems go by: the last two
// sectors of a CD that was written track at once are run-out blocks.
func (v *volume) findAnchors() (anchor, error) {
	var first anchor
	var unread error
	early := false // sector 256 has one
	ends := max(0, min(v.w.Vol.Size, v.w.Dev.Size()-v.w.Vol.Offset))
	p := make([]byte, anchorBytes)
	for size := int64(512); size <= 32<<10; size *= 2 {
		last := ends/size - 1
		for i, sector := range []int64{256, 512, last - 256, last} {
			if sector < 256 || sector > last || i > 1 && sector == 256 {
				continue
			}
			off := v.w.Vol.Offset + sector*size
			place := layout.At("anchor", off)
			if err := v.w.Dev.Read(p, off, "anchor"); i > 1 && err != nil {
				unread = cmp.Or(unread, err)
				continue
			} else if err != nil {
				return first, err
			}
			if why := checkTag(p, tagAnchor, uint32(sector)); why != "" {
				// The wrong sector size, unless it was found to be the right one.
				if v.sector == size && tagID(p) == tagAnchor && checkSum(p, tagAnchor) == "" {
					return first, verdict.New(verdict.FilesystemInconsistent, place, "%s", why)
				}
				continue
			}
			here := anchor{extentAt(p[16:]), extentAt(p[24:])}
			switch {
			case v.sector == 0:
				v.sector, first, early = size, here, i == 0
			case v.sector != size:
				return first, verdict.New(verdict.FilesystemInconsistent, place,
					"there are anchors for sectors of %d and of %d bytes: systems would see different contents", v.sector, size)
			case here != first:
				return first, verdict.New(verdict.FilesystemInconsistent, place,
					"it points at other volume descriptors than the first anchor: systems would see different contents")
			}
		}
	}
	switch {
	case unread != nil && !early:
		return first, unread
	case v.sector == 0:
		return first, verdict.New(verdict.FilesystemInconsistent, layout.At("volume", v.w.Vol.Offset),
			"it claims to be UDF and has no anchor in the places for one")
	case v.sector > 4096:
		return first, verdict.New(verdict.FilesystemUnsupported, layout.At("volume", v.w.Vol.Offset), "UDF with sectors of %d bytes", v.sector)
	}
	v.sectors = ends / v.sector
	v.cache = layout.NewCache(v.w.Dev, "UDF structures", v.w.Vol.Offset, v.sectors*v.sector)
	return first, v.checkFirstAnchor(p)
}

// checkFirstAnchor looks at sector 256, the place that every system knows. It
// may be used for something else, but not hold a damaged anchor.
func (v *volume) checkFirstAnchor(p []byte) error {
	if err := v.readSector(p, 256, "anchor"); err != nil {
		return err
	}
	if why := checkTag(p, tagAnchor, 256); why != "" && tagID(p) == tagAnchor {
		return v.w.Inconsistent(layout.At("anchor", v.offset(256)), "%s", why)
	}
	return nil
}
