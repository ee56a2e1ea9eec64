package fat32

import (
	"fmt"
	"strconv"
	"strings"
)

// checkName refuses names that would need an escape, another code page or a
// repair.
func checkName(name, path string) error {
	if name == "" || len(name) > maxName || name[0] == '.' || name[len(name)-1] == '.' {
		return fmt.Errorf("%q cannot be written to a FAT32: a name has 1 to %d characters and no dot at its ends", path, maxName)
	}
	for i := range len(name) {
		if c := name[i]; !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '.' || c == '_' || c == '-') {
			return fmt.Errorf("%q cannot be written to a FAT32: names have letters, digits and . _ -", path)
		}
	}
	return nil
}

// alias83 gives each name in the folder its short one and counts the bytes of
// the folder's records. A name that is a short one but for its case is its own
// alias; all others end in ~ and a number, which no name of ours has, so that no
// two are equal.
func (n *node) alias83() error {
	records, number := 0, 0
	if n.parent != nil {
		records = 2 // "." and ".."
	}
	for _, c := range n.nodes {
		base, ext, plain := short(c.name)
		if !plain {
			number++
			tail := "~" + strconv.Itoa(number)
			base = base[:min(len(base), 8-len(tail))] + tail
		}
		copy(c.alias[:], fmt.Sprintf("%-8s%-3s", base, ext))
		if c.long = !plain || strings.ToUpper(c.name) != c.name; c.long {
			records += (len(c.name) + longUnits - 1) / longUnits
		}
		records++
	}
	if n.size = int64(records) * record; n.size > maxDir {
		return fmt.Errorf("the folder %s has %d files and folders: %w, its records would take %d bytes and may take %d", n.path, len(n.nodes), ErrCannotHold, n.size, maxDir)
	}
	if n.parent == nil {
		n.size = max(n.size, 1) // a root always has a cluster
	}
	return nil
}

// short returns the parts of a short name. plain says that they are the whole
// name, in capital letters.
func short(name string) (base, ext string, plain bool) {
	base = strings.ToUpper(name)
	if dot := strings.LastIndexByte(base, '.'); dot >= 0 {
		base, ext = base[:dot], base[dot+1:]
	}
	plain = len(base) <= 8 && len(ext) <= 3 && !strings.Contains(base, ".")
	return strings.ReplaceAll(base, ".", ""), ext[:min(len(ext), 3)], plain
}

const longUnits = 13 // UTF-16 units of a long name in one record

// appendRecords appends the records of one name: the parts of its long name,
// last part first (FAT specification section 7), then its own.
func (l *Layout) appendRecords(dir []byte, n *node) []byte {
	if n.long {
		sum := byte(0)
		for _, c := range n.alias {
			sum = sum>>1 + sum<<7 + c
		}
		for part := (len(n.name) + longUnits - 1) / longUnits; part > 0; part-- {
			dir = appendLong(dir, n.name, part, sum)
		}
	}
	attr, size := byte(0x20), n.size
	if n.folder {
		attr, size = 0x10, 0
	}
	return l.appendShort(dir, n.alias, attr, n.first, size)
}

func appendLong(dir []byte, name string, part int, sum byte) []byte {
	at := (part - 1) * longUnits
	rest := name[at:]
	var r [record]byte
	r[0], r[11], r[13] = byte(part), 0x0F, sum
	if len(rest) <= longUnits {
		r[0] |= 0x40
	}
	for i := range longUnits {
		to := 1 + 2*i
		switch {
		case i >= 11:
			to = 28 + 2*(i-11)
		case i >= 5:
			to = 14 + 2*(i-5)
		}
		unit := uint16(0xFFFF)
		switch {
		case i < len(rest):
			unit = uint16(rest[i])
		case i == len(rest):
			unit = 0
		}
		le.PutUint16(r[to:], unit)
	}
	return append(dir, r[:]...)
}

func (l *Layout) appendShort(dir []byte, alias [11]byte, attr byte, cluster, size int64) []byte {
	var r [record]byte
	copy(r[:], alias[:])
	r[11] = attr
	le.PutUint16(r[14:], l.stamp[1]) // made
	le.PutUint16(r[16:], l.stamp[0])
	le.PutUint16(r[18:], l.stamp[0]) // last read
	le.PutUint16(r[20:], uint16(cluster>>16))
	le.PutUint16(r[22:], l.stamp[1]) // last written
	le.PutUint16(r[24:], l.stamp[0])
	le.PutUint16(r[26:], uint16(cluster))
	le.PutUint32(r[28:], uint32(size))
	return append(dir, r[:]...)
}
