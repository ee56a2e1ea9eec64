package parttable

import (
	"bytes"
	"fmt"
	"hash/crc32"

	"sallyport/internal/verdict"
	"sallyport/internal/volume/layout"
)

// GPT: UEFI specification section 5.3. The header stands in sector 1 and,
// as a backup, at the sector that it names; both point at arrays of entries
// that must be equal.

const (
	gptMagic       = "EFI PART"
	gptRevision    = 0x00010000
	gptHeaderSize  = 92
	protectiveType = 0xEE
	maxEntryBytes  = 4096
	// maxTableBytes is the room of the entries that are read.
	maxTableBytes = 1 << 20
)

// microsoftReserved marks room that Windows sets aside on each GPT disk and
// shows to nobody (E3C9E316-0B5C-4DB8-817D-F92DF00215AE).
var microsoftReserved = []byte{0x16, 0xE3, 0xC9, 0xE3, 0x5C, 0x0B, 0xB8, 0x4D, 0x81, 0x7D, 0xF9, 0x2D, 0xF0, 0x02, 0x15, 0xAE}

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
		return h, "there is no GPT header"
	}
	if n < gptHeaderSize || int64(n) > int64(len(sector)) {
		return h, fmt.Sprintf("a header of %d bytes", n)
	}
	sum := crc32.NewIEEE()
	sum.Write(sector[:16])
	sum.Write(make([]byte, 4)) // the checksum's own place counts as zeros
	sum.Write(sector[20:n])
	if got, want := le.Uint32(sector[16:]), sum.Sum32(); got != want {
		return h, fmt.Sprintf("the header's checksum is %08x and should be %08x", got, want)
	}
	h = gptHeader{
		self: le.Uint64(sector[24:]), other: le.Uint64(sector[32:]),
		first: le.Uint64(sector[40:]), last: le.Uint64(sector[48:]), disk: [16]byte(sector[56:72]),
		entries: le.Uint64(sector[72:]), count: le.Uint32(sector[80:]), size: le.Uint32(sector[84:]),
		entriesCRC: le.Uint32(sector[88:]),
	}
	switch revision := le.Uint32(sector[8:]); {
	case revision != gptRevision:
		return h, fmt.Sprintf("the header's revision is %08x and should be %08x", revision, uint32(gptRevision))
	case h.self != at:
		return h, fmt.Sprintf("the header stands in sector %d and says it stands in sector %d", at, h.self)
	case h.size < 128 || h.size > maxEntryBytes || h.size&(h.size-1) != 0:
		return h, fmt.Sprintf("entries of %d bytes", h.size)
	case h.count == 0 || uint64(h.count)*uint64(h.size) > maxTableBytes:
		return h, fmt.Sprintf("%d entries of %d bytes", h.count, h.size)
	case h.first > h.last:
		return h, fmt.Sprintf("partitions may reach from sector %d to sector %d, which is none", h.first, h.last)
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
		return h, fmt.Sprintf("it should be in sector %d, and the medium ends at byte %d", at, r.dev.Size()), nil
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

// protection checks the entry that announces the GPT (section 5.2.3). Linux
// wants it to begin in sector 1, Windows to be the first and the only one.
func (r *reader) protection(m mbr) {
	const where = "protective MBR"
	if n := m.used(); n > 1 {
		r.problem(where, "a hybrid of MBR and GPT, with %d entries beside the protective one: systems would see different partitions", n-1)
		return
	}
	for i, e := range m.entries {
		switch {
		case e.kind != protectiveType:
		case i != 0:
			r.problem(where, "the protective entry is entry %d and should be entry 1: some systems use this GPT and others do not", i+1)
		case e.start != 1:
			r.problem(where, "the protective entry begins in sector %d and should begin in sector 1: some systems use this GPT and others do not", e.start)
		}
	}
}

// gpt reads the table for the sizes of sectors for which a header stands in
// sector 1.
func (r *reader) gpt(sizes []int64) error {
	r.Kind = "gpt"
	r.dev.Tail(0, r.dev.Size()) // where the backup is
	r.span("the protective MBR", 0, sector512, false)
	if len(sizes) == 0 {
		r.problem("protective MBR", "it announces a GPT, and there is no GPT header in sector 1")
		return r.fromBackup()
	}
	if len(sizes) > 1 {
		r.problem(layout.At("GPT header", sizes[1]), "there is one for sectors of 512 bytes and one for sectors of 4096 bytes: systems would see different partitions; if one is left over from an earlier use, erase the medium (wipefs --all) and format it again")
	}
	sectorBytes := sizes[0]
	h, why, err := r.header(1, sectorBytes)
	if err != nil {
		return err
	}
	if why != "" {
		r.problem(layout.At("GPT header", sectorBytes), "%s", why)
		return r.fromBackup()
	}
	if err := r.backup(h, sectorBytes); err != nil {
		return err
	}
	r.disputed(h, sectorBytes)
	r.gptPartitions("GPT", h, sectorBytes)
	return nil
}

// disputed notes what the specification allows, or leaves open, and Linux
// refuses.
func (r *reader) disputed(h gptHeader, sectorBytes int64) {
	where := layout.At("GPT header", sectorBytes)
	if h.size != 128 {
		r.problem(where, "its entries have %d bytes: some systems use only a GPT whose entries have 128", h.size)
	}
	if last := uint64(r.dev.Size()/sectorBytes) - 1; h.last > last && h.other <= last {
		r.problem(where, "partitions may reach to sector %d, and the medium ends with sector %d: some systems use this GPT and others do not", h.last, last)
	}
}

// fromBackup lists what the backup at the end knows, only to show what is on
// the medium: a problem is already noted.
func (r *reader) fromBackup() error {
	for _, size := range []int64{sector512, sector4096} {
		sectors := uint64(r.dev.Size() / size)
		if sectors < 3 {
			return nil
		}
		h, why, err := r.header(sectors-1, size)
		if err != nil {
			return err
		}
		if why == "" {
			r.gptPartitions("backup GPT", h, size)
			return nil
		}
	}
	return nil
}

// backup compares the second header with the first. An image written to a
// larger medium has it before the end, which is fine as long as no other
// header stands at the end.
func (r *reader) backup(h gptHeader, sectorBytes int64) error {
	const where = "backup GPT header"
	last := uint64(r.dev.Size()/sectorBytes) - 1
	if h.other > last {
		r.finding(verdict.New(verdict.Truncated, where, "it should be in sector %d, and the medium ends at byte %d", h.other, r.dev.Size()))
		return nil
	}
	other, why, err := r.header(h.other, sectorBytes)
	if err != nil {
		return err
	}
	place := layout.At(where, int64(h.other)*sectorBytes)
	switch {
	case h.other == h.self:
		r.problem(place, "the first header is its own backup")
	case why != "":
		r.problem(place, "%s", why)
	case other.other != h.self || other.disk != h.disk || other.first != h.first || other.last != h.last ||
		other.size != h.size || !bytes.Equal(other.entriesSector, h.entriesSector):
		r.problem(place, "it differs from the first one")
	default:
		r.structures("the backup GPT", other, sectorBytes)
	}
	if h.other == last {
		return nil
	}
	var magic [len(gptMagic)]byte
	if err := r.dev.Read(magic[:], int64(last)*sectorBytes, where); err != nil {
		return err
	}
	if string(magic[:]) == gptMagic {
		r.problem(layout.At(where, int64(last)*sectorBytes), "another GPT header stands at the end of the medium")
	}
	return nil
}

// structures notes where a good header and its entries are.
func (r *reader) structures(what string, h gptHeader, sectorBytes int64) {
	r.span("the header of "+what, int64(h.self)*sectorBytes, sectorBytes, false)
	r.span("the entries of "+what, int64(h.entries)*sectorBytes, int64(len(h.entriesSector)), false)
}

func (r *reader) gptPartitions(what string, h gptHeader, sectorBytes int64) {
	r.structures("the "+what, h, sectorBytes)
	for i := range h.count {
		e := h.entriesSector[i*h.size:][:h.size]
		if isZero(e[:16]) {
			continue
		}
		where := fmt.Sprintf("%s, entry %d", what, i+1)
		first, last := le.Uint64(e[32:]), le.Uint64(e[40:])
		if first > last {
			r.problem(where, "it ends in sector %d, before its first sector %d", last, first)
			continue
		}
		if first < h.first || last > h.last {
			r.problem(where, "it lies outside the sectors %d to %d that the table allows", h.first, h.last)
		}
		if bytes.Equal(e[:16], microsoftReserved) && r.reserved(first, sectorBytes) {
			continue
		}
		if !r.add(where, first, last-first+1, sectorBytes, false) {
			return
		}
	}
}

// reserved says whether the reserved partition of Windows that begins in a
// sector is as empty as it has to be. One that holds something is a partition
// like others: Linux would show it.
func (r *reader) reserved(first uint64, sectorBytes int64) bool {
	if first >= uint64(r.dev.Size()/sectorBytes) {
		return false
	}
	yes, err := r.holds(int64(first) * sectorBytes)
	return !yes && err == nil
}
