package vault

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"
)

// The index: a head of fixed size and the entries, see FORMAT.md.
const (
	indexMagic   = "sallyport-index\n"
	indexVersion = 1
	headSize     = 304
	entryFixed   = 8 + 1 + sha256.Size + 2 // size, flags, SHA-256, length of the name

	// MaxFiles is the most files of one item; limit.Default allows as many
	// directory entries on a medium.
	MaxFiles = 200_000
	// MaxName is in bytes of UTF-8: a path on a medium, of which limit.Default
	// allows 4096, behind the name of the volume that it lies on.
	MaxName = 4096 + 64
	// maxEntries is the most bytes of all entries of one index.
	maxEntries = 64 << 20

	flagCut     = 1 << 0 // head: the stage ended before its source did
	flagPartial = 1 << 0 // entry: only the first Size bytes are stored
)

// Stored is one file in a pack.
type Stored struct {
	Name    string
	Off     int64 // bytes from the start of the pack
	Size    int64 // bytes stored
	SHA256  [sha256.Size]byte
	Partial bool // the source failed or the store was full: these are the first Size bytes
}

// head is the fixed part of an index. sum, over all of it before sum, is the
// item's digest: it fixes id, facts, record, and through entries and their
// SHA-256 each byte of the pack.
type head struct {
	id                     string
	cut                    bool
	pack                   int64 // bytes of the pack file
	count                  int64
	entriesLen             int64
	entries, facts, record [sha256.Size]byte
	sum                    [sha256.Size]byte
}

// encode sets h.sum and returns the head's bytes.
func (h *head) encode() []byte {
	le := binary.LittleEndian
	b := make([]byte, 0, headSize)
	b = append(b, indexMagic...)
	b = le.AppendUint32(b, indexVersion)
	flags := uint32(0)
	if h.cut {
		flags |= flagCut
	}
	b = le.AppendUint32(b, flags)
	b = le.AppendUint64(b, uint64(h.pack))
	b = le.AppendUint64(b, uint64(h.count))
	b = le.AppendUint64(b, uint64(h.entriesLen))
	b = append(b, h.entries[:]...)
	b = append(b, h.facts[:]...)
	b = append(b, h.record[:]...)
	b = append(b, h.id...)
	b = append(b, make([]byte, maxID-len(h.id))...)
	h.sum = sha256.Sum256(b)
	return append(b, h.sum[:]...)
}

// offError is a problem at a byte offset of a record.
type offError struct {
	off     int64
	problem string
}

func (e *offError) Error() string { return fmt.Sprintf("byte %d: %s", e.off, e.problem) }

func badAt(off int64, format string, args ...any) error {
	return &offError{off, fmt.Sprintf(format, args...)}
}

func decodeHead(b []byte) (head, error) {
	var h head
	if len(b) != headSize {
		return h, badAt(int64(len(b)), "the index ends within its head of %d bytes", headSize)
	}
	if string(b[:16]) != indexMagic {
		return h, badAt(0, "not an index")
	}
	if sha256.Sum256(b[:headSize-sha256.Size]) != [sha256.Size]byte(b[headSize-sha256.Size:]) {
		return h, badAt(headSize-sha256.Size, "the head does not match its SHA-256")
	}
	le := binary.LittleEndian
	if v := le.Uint32(b[16:]); v != indexVersion {
		return h, badAt(16, "version %d, want %d", v, indexVersion)
	}
	flags := le.Uint32(b[20:])
	if flags&^flagCut != 0 {
		return h, badAt(20, "unknown flags %#x", flags)
	}
	h.cut = flags&flagCut != 0
	pack, count, length := le.Uint64(b[24:]), le.Uint64(b[32:]), le.Uint64(b[40:])
	switch {
	case pack < blockSize || pack > maxPack:
		return h, badAt(24, "a pack of %d bytes", pack)
	case count > MaxFiles:
		return h, badAt(32, "%d files, at most %d are allowed", count, MaxFiles)
	case length > maxEntries || length < count*entryFixed:
		return h, badAt(40, "%d bytes of entries for %d files", length, count)
	}
	h.pack, h.count, h.entriesLen = int64(pack), int64(count), int64(length)
	copy(h.entries[:], b[48:])
	copy(h.facts[:], b[80:])
	copy(h.record[:], b[112:])
	id := bytes.TrimRight(b[144:144+maxID], "\x00")
	if err := CheckID(string(id)); err != nil {
		return h, badAt(144, "%v", err)
	}
	h.id = string(id)
	copy(h.sum[:], b[headSize-sha256.Size:])
	return h, nil
}

// encodeIndex returns the whole index; h.entries, count and so on are set from
// the files, whose offsets must follow each other without gaps.
func encodeIndex(h *head, files []Stored) []byte {
	n := 0
	for i := range files {
		n += entryFixed + len(files[i].Name)
	}
	le := binary.LittleEndian
	b := make([]byte, headSize, headSize+n)
	h.pack = blockSize
	for i := range files {
		f := &files[i]
		b = le.AppendUint64(b, uint64(f.Size))
		flags := byte(0)
		if f.Partial {
			flags |= flagPartial
		}
		b = append(b, flags)
		b = append(b, f.SHA256[:]...)
		b = le.AppendUint16(b, uint16(len(f.Name)))
		b = append(b, f.Name...)
		h.pack += f.Size
	}
	h.count, h.entriesLen = int64(len(files)), int64(n)
	h.entries = sha256.Sum256(b[headSize:])
	copy(b, h.encode())
	return b
}

// decodeEntries reads the entries that h promises; r must end after them. The
// memory it takes is bounded by what r really gives.
func decodeEntries(h head, r io.Reader) ([]Stored, error) {
	sum := sha256.New()
	br := bufio.NewReaderSize(io.TeeReader(io.LimitReader(r, h.entriesLen+1), sum), 1<<16)
	var (
		fixed [entryFixed]byte
		name  [MaxName]byte
		files = make([]Stored, 0, min(h.count, 1<<12))
		pos   = int64(headSize)
		off   = int64(blockSize)
	)
	short := func(err error) error {
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return badAt(pos, "the index ends within entry %d of %d", len(files), h.count)
		}
		return err
	}
	for int64(len(files)) < h.count {
		if _, err := io.ReadFull(br, fixed[:]); err != nil {
			return nil, short(err)
		}
		size := binary.LittleEndian.Uint64(fixed[:])
		length := int(binary.LittleEndian.Uint16(fixed[entryFixed-2:]))
		switch {
		case size > uint64(h.pack-off):
			return nil, badAt(pos, "entry %d of %d bytes ends after the pack", len(files), size)
		case fixed[8]&^flagPartial != 0:
			return nil, badAt(pos+8, "entry %d has unknown flags %#x", len(files), fixed[8])
		case length > MaxName:
			return nil, badAt(pos+entryFixed-2, "entry %d has a name of %d bytes, at most %d are allowed", len(files), length, MaxName)
		}
		if _, err := io.ReadFull(br, name[:length]); err != nil {
			return nil, short(err)
		}
		if !utf8.Valid(name[:length]) {
			return nil, badAt(pos+entryFixed, "the name of entry %d is not UTF-8", len(files))
		}
		files = append(files, Stored{
			Name: string(name[:length]), Off: off, Size: int64(size),
			SHA256: [sha256.Size]byte(fixed[9:]), Partial: fixed[8]&flagPartial != 0,
		})
		off += int64(size)
		pos += int64(entryFixed + length)
	}
	if _, err := br.ReadByte(); !errors.Is(err, io.EOF) || pos != headSize+h.entriesLen {
		return nil, badAt(pos, "the entries do not end where the index says")
	}
	if off != h.pack {
		return nil, badAt(pos, "the entries cover %d bytes of a pack of %d", off, h.pack)
	}
	if [sha256.Size]byte(sum.Sum(nil)) != h.entries {
		return nil, badAt(headSize, "the entries do not match their SHA-256")
	}
	return files, nil
}
