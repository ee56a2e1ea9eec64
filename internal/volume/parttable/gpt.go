package parttable

import (
	"bytes"
	"fmt"
	"hash/crc32"

	"sallyport/internal/volume/layout"
)

// GPT: UEFI specification section 5.3. The header stands in sector 1 and,
// as a backup, at the sector that it names; both point at arrays of entries
// that must be equal.

const (
	gptMagic      = "EFI PART"
	gptHeaderSize = 92
	maxEntryBytes = 4096
	// maxTableBytes is the room of the entries that are read.
	maxTableBytes = 1 << 20
)

// microsoftReserved marks room that Windows sets aside on each GPT disk and
// that never holds a file system (E3C9E316-0B5C-4DB8-817D-F92DF00215AE).
var microsoftReserved = []byte{0x16, 0xE3, 0xC9, 0xE3, 0x5C, 0x0B, 0xB8, 0x4D, 0x81, 0x7D, 0xF9, 0x2D, 0xF0, 0x02, 0x15, 0xAE}

// primaryGPT looks for a header in sector 1 for both sizes of sector.
func (r *reader) primaryGPT() (sector []byte, sectorBytes int64, err error) {
	for _, size := range []int64{512, 4096} {
		if r.dev.Size() < 2*size {
			break
		}
		sector = make([]byte, size)
		if err := r.dev.Read(sector, size, "GPT header"); err != nil {
			return nil, 0, err
		}
		if bytes.HasPrefix(sector, []byte(gptMagic)) {
			return sector, size, nil
		}
	}
	return nil, 0, nil
}

type gptHeader struct {
	self, other   uint64 // sectors of this header and of the other one
	first, last   uint64 // usable sectors
	disk          [16]byte
	entries       uint64 // sector of the array
	count, size   uint32
	entriesCRC    uint32
	entriesSector []byte // the array, once read
}

// parseHeader checks a header that stands in sector at; why is "" when it is good.
func parseHeader(sector []byte, at uint64) (h gptHeader, why string) {
	n := le.Uint32(sector[12:])
	if !bytes.HasPrefix(sector, []byte(gptMagic)) {
		return h, "no GPT header"
	}
	if n < gptHeaderSize || int64(n) > int64(len(sector)) {
		return h, fmt.Sprintf("a header of %d bytes", n)
	}
	sum := crc32.NewIEEE()
	sum.Write(sector[:16])
	sum.Write(make([]byte, 4)) // the checksum's own place counts as zeros
	sum.Write(sector[20:n])
	if got, want := sum.Sum32(), le.Uint32(sector[16:]); got != want {
		return h, fmt.Sprintf("the header's checksum is %08x and should be %08x", got, want)
	}
	h = gptHeader{
		self: le.Uint64(sector[24:]), other: le.Uint64(sector[32:]),
		first: le.Uint64(sector[40:]), last: le.Uint64(sector[48:]), disk: [16]byte(sector[56:72]),
		entries: le.Uint64(sector[72:]), count: le.Uint32(sector[80:]), size: le.Uint32(sector[84:]),
		entriesCRC: le.Uint32(sector[88:]),
	}
	switch {
	case h.self != at:
		return h, fmt.Sprintf("the header says it stands in sector %d", h.self)
	case h.size < 128 || h.size > maxEntryBytes || h.size&(h.size-1) != 0:
		return h, fmt.Sprintf("entries of %d bytes", h.size)
	case h.count == 0 || uint64(h.count)*uint64(h.size) > maxTableBytes:
		return h, fmt.Sprintf("%d entries", h.count)
	case h.first > h.last:
		return h, "no usable sectors"
	}
	return h, ""
}

// readEntries reads the array that h points at.
func (r *reader) readEntries(h *gptHeader, sectorBytes int64) (why string, err error) {
	n := int64(h.count) * int64(h.size)
	if h.entries > uint64(r.dev.Size()/sectorBytes) || n > r.dev.Size()-int64(h.entries)*sectorBytes {
		return fmt.Sprintf("the entries in sector %d are not on the medium", h.entries), nil
	}
	h.entriesSector = make([]byte, n)
	if err := r.dev.Read(h.entriesSector, int64(h.entries)*sectorBytes, "GPT entries"); err != nil {
		return "", err
	}
	if got := crc32.ChecksumIEEE(h.entriesSector); got != h.entriesCRC {
		return fmt.Sprintf("the checksum of the entries is %08x and should be %08x", got, h.entriesCRC), nil
	}
	return "", nil
}

// header reads and checks one header and its entries.
func (r *reader) header(at uint64, sectorBytes int64) (h gptHeader, why string, err error) {
	sector := make([]byte, sectorBytes)
	if at >= uint64(r.dev.Size()/sectorBytes) {
		return h, "it is not on the medium", nil
	}
	if err := r.dev.Read(sector, int64(at)*sectorBytes, "GPT header"); err != nil {
		return h, "", err
	}
	if h, why = parseHeader(sector, at); why != "" {
		return h, why, nil
	}
	why, err = r.readEntries(&h, sectorBytes)
	return h, why, err
}

func (r *reader) gpt(m mbr, found []byte, sectorBytes int64) error {
	r.Kind = "gpt"
	if m.used() > 1 {
		r.problem("first sector", "a hybrid of MBR and GPT: systems would see different partitions")
	}
	if found == nil {
		sectorBytes = 512
	}
	where := layout.At("GPT header", sectorBytes)
	h, why, err := r.header(1, sectorBytes)
	if err != nil {
		return err
	}
	last := uint64(r.dev.Size()/sectorBytes) - 1
	if why != "" {
		r.problem(where, "%s", why)
		// The backup only serves to show what is on the medium.
		if h, why, err = r.header(last, sectorBytes); err != nil || why != "" {
			return err
		}
	} else if err := r.backup(h, last, sectorBytes); err != nil {
		return err
	}
	r.gptPartitions(h, sectorBytes)
	return nil
}

// backup compares the second header with the first. An image written to a
// larger medium has it before the end, which is fine as long as no other
// header stands at the end.
func (r *reader) backup(h gptHeader, last uint64, sectorBytes int64) error {
	other, why, err := r.header(h.other, sectorBytes)
	if err != nil {
		return err
	}
	const where = "backup GPT header"
	switch {
	case why != "":
		r.problem(where, "%s", why)
	case other.disk != h.disk || other.first != h.first || other.last != h.last || !bytes.Equal(other.entriesSector, h.entriesSector):
		r.problem(where, "it differs from the first one")
	}
	if h.other == last {
		return nil
	}
	sector := make([]byte, len(gptMagic))
	if err := r.dev.Read(sector, int64(last)*sectorBytes, where); err != nil {
		return err
	}
	if string(sector) == gptMagic {
		r.problem(where, "another GPT header stands at the end of the medium")
	}
	return nil
}

func (r *reader) gptPartitions(h gptHeader, sectorBytes int64) {
	for i := range h.count {
		e := h.entriesSector[i*h.size:][:h.size]
		if isZero(e[:16]) || bytes.Equal(e[:16], microsoftReserved) {
			continue
		}
		where := fmt.Sprintf("GPT entry %d", i+1)
		if len(r.Partitions) >= maxPartitions {
			r.problem(where, "there are more than %d partitions", maxPartitions)
			return
		}
		first, last := le.Uint64(e[32:]), le.Uint64(e[40:])
		if first > last {
			r.problem(where, "it ends in sector %d, before its first sector %d", last, first)
			continue
		}
		if first < h.first || last > h.last {
			r.problem(where, "it lies outside the sectors %d to %d that the table allows", h.first, h.last)
		}
		r.add(where, first, last-first+1, sectorBytes)
	}
}
