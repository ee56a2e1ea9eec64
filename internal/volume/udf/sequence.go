package udf

import (
	"bytes"

	"sallyport/internal/verdict"
	"sallyport/internal/volume/layout"
)

const (
	// maxSequence is the number of sectors of one volume descriptor sequence
	// that are read; formatters make room for 16.
	maxSequence = 256
	// maxPartitions of a volume; UDF allows two.
	maxPartitions = 16
)

// sequence holds the prevailing volume descriptors of one sequence.
type sequence struct {
	primary, logical []byte
	partitions       [][]byte
}

// readSequences reads the main and the reserve sequence, which have to agree.
func (v *volume) readSequences(a anchor) (*sequence, error) {
	const one, two = "volume descriptor sequence", "reserve volume descriptor sequence"
	set, err := v.readSequence(a.main, one)
	if err != nil {
		return nil, err
	}
	switch {
	case set.primary == nil:
		return nil, verdict.New(verdict.FilesystemInconsistent, one, "it has no primary volume descriptor")
	case set.logical == nil:
		return nil, verdict.New(verdict.FilesystemInconsistent, one, "it has no logical volume descriptor")
	case len(set.partitions) == 0:
		return nil, verdict.New(verdict.FilesystemInconsistent, one, "it has no partition descriptor")
	}
	v.w.Vol.Label = dstring(set.logical[84:212])
	// Its first 16 characters are meant to be unique (UDF 2.60 section 2.2.2.5).
	if id := []rune(dstring(set.primary[72:200])); len(id) >= 16 {
		v.w.Vol.ID = string(id[:16])
	}
	if a.reserve.bytes == 0 {
		return set, nil // the standard allows that there is none
	}
	reserve, err := v.readSequence(a.reserve, two)
	if err != nil {
		return nil, err
	}
	if !set.equal(reserve) {
		return set, v.w.Inconsistent(layout.At(two, v.offset(int64(a.reserve.sector))), "it describes another volume than the main sequence")
	}
	return set, nil
}

// equal compares what the descriptors say; their tags hold their places. The
// identifier of the volume set, bytes 72 to 199 of the primary descriptor, is
// left out: genisoimage derives it from the time twice.
func (s *sequence) equal(o *sequence) bool {
	if len(s.partitions) != len(o.partitions) || o.primary == nil || o.logical == nil {
		return false
	}
	same := bytes.Equal(s.primary[tagBytes:72], o.primary[tagBytes:72]) && bytes.Equal(s.primary[200:], o.primary[200:]) && bytes.Equal(s.logical[tagBytes:], o.logical[tagBytes:])
	for _, p := range s.partitions {
		q := o.partition(le.Uint16(p[22:]))
		same = same && q != nil && bytes.Equal(p[tagBytes:], q[tagBytes:])
	}
	return same
}

// partition returns the partition descriptor of this number, or nil.
func (s *sequence) partition(number uint16) []byte {
	for _, p := range s.partitions {
		if le.Uint16(p[22:]) == number {
			return p
		}
	}
	return nil
}

// readSequence reads one sequence (ECMA-167 section 3/8.4) and the sequences it
// points on to. It ends at a terminating descriptor or at a sector without any.
func (v *volume) readSequence(x extent, what string) (*sequence, error) {
	s := new(sequence)
	sector, left := int64(x.sector), int64(x.bytes)/v.sector
	for n := 0; left > 0; n++ {
		place := layout.At(what, v.offset(sector))
		if n == maxSequence {
			return nil, verdict.New(verdict.OverLimit, place, "it has more than %d sectors", maxSequence)
		}
		d := make([]byte, v.sector)
		if err := v.readSector(d, sector, what); err != nil {
			return nil, err
		}
		if blank(d) {
			return s, nil
		}
		if why := checkTag(d, tagID(d), uint32(sector)); why != "" {
			return s, v.w.Inconsistent(place, "%s", why)
		}
		taken, err := v.claim(sector, 1)
		if err != nil {
			return nil, err
		}
		if taken >= 0 {
			return nil, verdict.New(verdict.FilesystemInconsistent, place, "the sequence runs in a circle or into the other one")
		}
		sector, left = sector+1, left-1
		switch tagID(d) {
		case tagTerminating:
			return s, nil
		case tagPointer:
			next := extentAt(d[20:])
			sector, left = int64(next.sector), int64(next.bytes)/v.sector
		case tagImplUse, tagUnallocated:
		default:
			if f := s.add(d, place); f != nil {
				return nil, f
			}
		}
	}
	return s, nil
}

// add keeps a descriptor if it has the highest sequence number of its kind.
func (s *sequence) add(d []byte, place string) error {
	slot := (*[]byte)(nil)
	switch tagID(d) {
	case tagPrimary:
		slot = &s.primary
	case tagLogical:
		if slot = &s.logical; s.logical != nil && !bytes.Equal(s.logical[20:212], d[20:212]) {
			return verdict.New(verdict.FilesystemUnsupported, place, "UDF with several logical volumes")
		}
	case tagPartition:
		for i := range s.partitions {
			if le.Uint16(s.partitions[i][22:]) == le.Uint16(d[22:]) {
				slot = &s.partitions[i]
			}
		}
		if slot == nil {
			if len(s.partitions) == maxPartitions {
				return verdict.New(verdict.OverLimit, place, "the volume has more than %d partitions", maxPartitions)
			}
			s.partitions = append(s.partitions, d)
			return nil
		}
	default:
		return verdict.New(verdict.FilesystemInconsistent, place, "a descriptor of type %d has no place there", tagID(d))
	}
	switch have := *slot; {
	case have == nil || le.Uint32(d[16:]) > le.Uint32(have[16:]):
		*slot = d
	case le.Uint32(d[16:]) == le.Uint32(have[16:]) && !bytes.Equal(d[tagBytes:], have[tagBytes:]):
		return verdict.New(verdict.FilesystemInconsistent, place, "two descriptors of type %d have the same sequence number and differ: systems would see different contents", tagID(d))
	}
	return nil
}
