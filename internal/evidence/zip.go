package evidence

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"slices"
	"strings"

	"sallyport/internal/verdict"
)

// The ZIP of a file of evidence has one form: members stored as they are, in one
// order, without times, comments and extra fields, so that nothing can hide
// between them and nothing can unfold. Every program that reads ZIP reads it
// (PKWARE APPNOTE 6.3, sections 4.3.7, 4.3.12 and 4.3.16).

const (
	localSize   = 30
	centralSize = 46
	endSize     = 22

	zipVersion = 20         // 2.0: folders in names
	madeBy     = 3<<8 | 20  // Unix
	zipDate    = 1<<5 | 1   // 1 January 1980, the first day that there is
	fileMode   = 0o100644   // of a plain file
	maxName    = 200        // bytes
	localMark  = 0x04034b50 // little-endian, as all numbers
	centreMark = 0x02014b50
	endMark    = 0x06054b50
)

// member is one file in the ZIP.
type member struct {
	name string
	data []byte
}

// order is that of the members: the page first, for people, then bundle.json,
// then the others by name.
func order(a, b string) int {
	rank := func(name string) int { return slices.Index([]string{documentName, pageName}, name) }
	if c := rank(b) - rank(a); c != 0 {
		return c
	}
	return strings.Compare(a, b)
}

// common are the fields that the header of a member has in both places.
func (m *member) common(b []byte) []byte {
	le := binary.LittleEndian
	b = le.AppendUint16(b, zipVersion)
	b = le.AppendUint16(b, 0) // flags
	b = le.AppendUint16(b, 0) // stored
	b = le.AppendUint16(b, 0) // time
	b = le.AppendUint16(b, zipDate)
	b = le.AppendUint32(b, crc32.ChecksumIEEE(m.data))
	b = le.AppendUint32(b, uint32(len(m.data)))
	b = le.AppendUint32(b, uint32(len(m.data)))
	b = le.AppendUint16(b, uint16(len(m.name)))
	return le.AppendUint16(b, 0) // extra
}

func (m *member) local(b []byte) []byte {
	b = m.common(binary.LittleEndian.AppendUint32(b, localMark))
	return append(b, m.name...)
}

// directory is the end of a ZIP whose members end at the given offset.
func directory(members []member, end int) []byte {
	le := binary.LittleEndian
	var b []byte
	off := 0
	for i := range members {
		m := &members[i]
		b = le.AppendUint32(b, centreMark)
		b = le.AppendUint16(b, madeBy)
		b = m.common(b)
		b = append(b, make([]byte, 6)...) // comment, disk, internal attributes
		b = le.AppendUint32(b, fileMode<<16)
		b = le.AppendUint32(b, uint32(off))
		b = append(b, m.name...)
		off += localSize + len(m.name) + len(m.data)
	}
	size := len(b)
	b = le.AppendUint32(b, endMark)
	b = append(b, make([]byte, 4)...) // disks
	b = le.AppendUint16(b, uint16(len(members)))
	b = le.AppendUint16(b, uint16(len(members)))
	b = le.AppendUint32(b, uint32(size))
	b = le.AppendUint32(b, uint32(end))
	return le.AppendUint16(b, 0) // comment
}

// zipSize is the size of the ZIP with these members, in bytes.
func zipSize(members []member) int {
	n := endSize
	for i := range members {
		n += localSize + centralSize + 2*len(members[i].name) + len(members[i].data)
	}
	return n
}

func sortMembers(members []member) {
	slices.SortFunc(members, func(a, b member) int { return order(a.name, b.name) })
}

// writeZIP is the one encoding of the members, which it sorts.
func writeZIP(members []member) []byte {
	sortMembers(members)
	b := make([]byte, 0, zipSize(members))
	for i := range members {
		b = append(members[i].local(b), members[i].data...)
	}
	return append(b, directory(members, len(b))...)
}

// readZIP reads what writeZIP wrote and nothing else. The members' data are parts
// of data, so it takes no memory for them, whatever the headers say.
func readZIP(data []byte) ([]member, error) {
	if len(data) > MaxFile {
		return nil, fmt.Errorf("the file has %d bytes, at most %d are allowed", len(data), MaxFile)
	}
	var members []member
	off := 0
	for bytes.HasPrefix(data[off:], binary.LittleEndian.AppendUint32(nil, localMark)) {
		if len(members) == maxMembers {
			return nil, fmt.Errorf("the ZIP has more than %d members", maxMembers)
		}
		m, err := readMember(data, off)
		if err != nil {
			return nil, err
		}
		if n := len(members); n > 0 && order(members[n-1].name, m.name) >= 0 {
			return nil, fmt.Errorf("the member %s stands at byte %d, behind %s: there it is twice, or out of order", m.name, off, members[n-1].name)
		}
		off += localSize + len(m.name) + len(m.data)
		members = append(members, m)
	}
	if len(members) == 0 {
		return nil, fmt.Errorf("the file is no ZIP with a member at its beginning")
	}
	if !bytes.Equal(data[off:], directory(members, off)) {
		return nil, fmt.Errorf("the ZIP's directory, from byte %d on, is not the one that belongs to its %d members: something was added, cut off or packed anew", off, len(members))
	}
	return members, nil
}

// readMember reads the member at off.
func readMember(data []byte, off int) (m member, err error) {
	if len(data)-off < localSize {
		return m, fmt.Errorf("the ZIP ends within the header at byte %d", off)
	}
	le := binary.LittleEndian
	head := data[off : off+localSize]
	size, length := int64(le.Uint32(head[18:])), int(le.Uint16(head[26:]))
	if length > maxName || length > len(data)-off-localSize {
		return m, fmt.Errorf("the member at byte %d has a name of %d bytes", off, length)
	}
	start := off + localSize + length
	m.name = string(data[off+localSize : start])
	most, err := mostOf(m.name)
	if err != nil {
		return m, fmt.Errorf("at byte %d: %w", off, err)
	}
	switch {
	case size > int64(most):
		return m, fmt.Errorf("the member %s has %d bytes, at most %d are allowed", m.name, size, most)
	case size > int64(len(data)-start):
		return m, fmt.Errorf("the ZIP ends within the member %s", verdict.Escape(m.name))
	}
	m.data = data[start : start+int(size) : start+int(size)]
	if want := m.local(nil); !bytes.Equal(data[off:start], want) {
		if crc := crc32.ChecksumIEEE(m.data); crc != le.Uint32(head[14:]) {
			return m, fmt.Errorf("the checksum of the member %s is %08x, its header says %08x", m.name, crc, le.Uint32(head[14:]))
		}
		return m, fmt.Errorf("the member %s is not stored as this format demands: evidence that was unpacked and packed anew is to be had once more from the station", m.name)
	}
	return m, nil
}
