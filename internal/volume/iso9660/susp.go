package iso9660

import (
	"fmt"

	"sallyport/internal/medium"
)

// Fields of the System Use Sharing Protocol (SUSP 1.12 section 5) and of Rock
// Ridge (RRIP 1.12 section 4), by the two letters of their names.
const (
	fieldCE = 'C'<<8 | 'E' // continuation area
	fieldER = 'E'<<8 | 'R' // announces an extension
	fieldSP = 'S'<<8 | 'P' // announces the protocol
	fieldST = 'S'<<8 | 'T' // ends an area
	fieldCL = 'C'<<8 | 'L' // where a relocated folder stands
	fieldNM = 'N'<<8 | 'M' // name
	fieldPL = 'P'<<8 | 'L' // where a relocated folder belongs
	fieldPX = 'P'<<8 | 'X' // mode
	fieldRE = 'R'<<8 | 'E' // stands here only because it was relocated
	fieldRR = 'R'<<8 | 'R' // announces the others, in RRIP 1.09
	fieldSF = 'S'<<8 | 'F' // sparse file
	fieldSL = 'S'<<8 | 'L' // target of a symbolic link
	fieldTF = 'T'<<8 | 'F' // times
	fieldZF = 'Z'<<8 | 'F' // zisofs, an extension of its own

	// maxAreas of one record are read, as Linux does.
	maxAreas = 32
	// maxNameBytes are collected of a name; the limit of the walk is lower.
	maxNameBytes = 4096
	// xaBytes of CD-ROM XA may stand before the first field.
	xaBytes = 14
)

// rock is what the fields of one record say.
type rock struct {
	name      []byte
	named     bool
	unusable  bool // a name that stands for another one (".", "..", the host)
	goesOn    bool
	mode      uint32
	hasMode   bool
	link      bool
	child     uint32
	hasChild  bool
	parent    uint32
	hasParent bool
	moved     bool
	sparse    bool
	zisofs    bool
	modified  []byte // 7 or 17 bytes, or nil; valid as long as the record
	stamp     [17]byte
	announced bool // ER names Rock Ridge
	shared    bool // SP was seen
	skip      int
	marks     byte // of RR
	marked    bool
}

// area is a continuation area that is still to be read.
type area struct {
	block, offset, length uint32
	due                   bool
}

// readUse reads the fields of a system use area into t.rock. The sentence why
// says what is wrong with them.
func (t *tree) readUse(use []byte) (why string, err error) {
	t.rock = rock{name: t.rock.name[:0]}
	for n := 0; ; n++ {
		var next area
		if why = t.rock.readArea(use, &next); why != "" {
			return why, nil
		}
		if !next.due {
			break
		}
		switch {
		case n == maxAreas:
			return fmt.Sprintf("its fields go on in more than %d continuation areas", maxAreas), nil
		case next.block >= t.d.space:
			return fmt.Sprintf("its fields go on in block %d, outside the volume", next.block), nil
		case int64(next.offset)+int64(next.length) > t.d.block:
			return fmt.Sprintf("its fields go on in bytes %d to %d of a block of %d", next.offset, int64(next.offset)+int64(next.length), t.d.block), nil
		}
		p, err := t.more.block(t.w.Vol.Offset+t.d.offset(next.block), t.d.block)
		if err != nil {
			return "", err
		}
		use = p[next.offset:][:next.length]
	}
	if t.rock.goesOn {
		return "its name goes on in a field that is not there", nil
	}
	if !t.rock.announcesItself() {
		return "its field RR does not announce its other fields: some systems would use them and others not", nil
	}
	return "", nil
}

// announcesItself says whether RR, if it is there, announces enough for systems
// that go by it (Linux) to see what the others see.
func (k *rock) announcesItself() bool {
	const (
		mode, link, name, child, times = 0x01, 0x04, 0x08, 0x10, 0x80

		any = mode | link | child | times
	)
	return !k.marked || (k.marks&name != 0 || !k.named && !k.moved) &&
		(k.marks&any != 0 || !k.hasMode && !k.link && !k.hasChild && !k.zisofs)
}

// readArea reads the fields of one area.
func (k *rock) readArea(use []byte, next *area) (why string) {
	for len(use) >= 4 {
		n := int(use[2])
		if n < 4 || n > len(use) {
			if blank(use) {
				return ""
			}
			return fmt.Sprintf("a field %q of %d bytes in an area with %d left", use[:2], n, len(use))
		}
		if use[0] == 'S' && use[1] == 'T' {
			if !blank(use[n:]) {
				return "there are fields behind the end mark of an area: some systems read them and others do not"
			}
			return ""
		}
		if why := k.field(use[:n], next); why != "" {
			return why
		}
		use = use[n:]
	}
	return ""
}

func blank(p []byte) bool {
	for _, c := range p {
		if c != 0 {
			return false
		}
	}
	return true
}

// field takes one field of at least 4 bytes. Those of other extensions are
// skipped, as SUSP demands.
func (k *rock) field(p []byte, next *area) (why string) {
	name := uint16(p[0])<<8 | uint16(p[1])
	least := 0
	switch name {
	case fieldCE:
		least = 28
	case fieldPX:
		least = 20
	case fieldCL, fieldPL:
		least = 12
	case fieldSP:
		least = 7
	case fieldER:
		least = 8
	case fieldNM, fieldTF, fieldSL, fieldRR:
		least = 5
	}
	if len(p) < least {
		return fmt.Sprintf("a field %q of %d bytes, which needs %d", p[:2], len(p), least)
	}
	switch name {
	case fieldCE:
		return k.continues(p, next)
	case fieldNM:
		return k.addName(p)
	case fieldPX:
		if k.hasMode {
			return "it has two modes: systems would see different contents"
		}
		k.hasMode = true
		var ok bool
		if k.mode, ok = both(p[4:]); !ok {
			return "its mode is another number in each of its two byte orders"
		}
	case fieldCL, fieldPL:
		return k.relocated(p, name == fieldCL)
	case fieldRE:
		k.moved = true
	case fieldRR:
		k.marked, k.marks = true, p[4]
	case fieldSL:
		k.link = true
	case fieldSF:
		k.sparse = true
	case fieldZF:
		k.zisofs = true
	case fieldTF:
		k.times(p)
	case fieldSP:
		k.shared, k.skip = p[4] == 0xBE && p[5] == 0xEF, int(p[6])
	case fieldER:
		switch id := p[8:]; string(id[:min(int(p[4]), len(id))]) {
		case "RRIP_1991A", "IEEE_P1282", "IEEE_1282":
			k.announced = true
		}
	}
	return ""
}

func (k *rock) continues(p []byte, next *area) (why string) {
	if next.due {
		return "its fields go on in two places at once"
	}
	var ok [3]bool
	next.block, ok[0] = both(p[4:])
	next.offset, ok[1] = both(p[12:])
	next.length, ok[2] = both(p[20:])
	if next.due = true; ok != [3]bool{true, true, true} {
		return "the place of its continuation area is another number in each of its two byte orders"
	}
	return ""
}

// addName takes a part of the name (RRIP section 4.1.4).
func (k *rock) addName(p []byte) (why string) {
	const more, special = 0x01, 0xFE
	if k.named && !k.goesOn {
		return "it has two names: systems would see different contents"
	}
	if len(k.name)+len(p) > maxNameBytes {
		return fmt.Sprintf("a name of more than %d bytes", maxNameBytes)
	}
	k.named, k.goesOn = true, p[4]&more != 0
	k.unusable = k.unusable || p[4]&special != 0
	k.name = append(k.name, p[5:]...)
	return ""
}

func (k *rock) relocated(p []byte, child bool) (why string) {
	n, ok := both(p[4:])
	switch {
	case !ok:
		return "the place of a relocated folder is another number in each of its two byte orders"
	case child && k.hasChild || !child && k.hasParent:
		return "it has two places of a relocated folder"
	case child:
		k.child, k.hasChild = n, true
	default:
		k.parent, k.hasParent = n, true
	}
	return ""
}

// times takes the time of the last change (RRIP section 4.1.6).
func (k *rock) times(p []byte) {
	const creation, modify, long = 0x01, 0x02, 0x80
	n := 7
	if p[4]&long != 0 {
		n = 17
	}
	at := 5
	if p[4]&creation != 0 {
		at += n
	}
	if p[4]&modify != 0 && at+n <= len(p) {
		// The field may stand in a continuation area, whose buffer is used again.
		k.modified = k.stamp[:copy(k.stamp[:], p[at:at+n])]
	}
}

// kind returns the type that a mode names (POSIX file type bits).
func (k *rock) kind() medium.Type {
	if !k.hasMode {
		if k.link {
			return medium.Symlink
		}
		return medium.File
	}
	switch k.mode & 0o170000 {
	case 0o100000:
		return medium.File
	case 0o040000:
		return medium.Folder
	case 0o120000:
		return medium.Symlink
	case 0o020000:
		return medium.CharDevice
	case 0o060000:
		return medium.BlockDevice
	case 0o010000:
		return medium.FIFO
	case 0o140000:
		return medium.Socket
	}
	return medium.Other
}

// unannounced says whether a system use area that should have no fields has one
// that changes what is seen: some systems read it all the same.
func unannounced(use []byte) bool {
	for len(use) >= 5 && use[2] >= 4 && int(use[2]) <= len(use) {
		switch uint16(use[0])<<8 | uint16(use[1]) {
		case fieldRR, fieldNM, fieldPX, fieldCL, fieldRE, fieldSL, fieldCE, fieldZF:
			return true
		}
		use = use[use[2]:]
	}
	return false
}

// findRock looks into the first record of the root folder for the field that
// announces Rock Ridge (SUSP section 5.3).
func (t *tree) findRock() error {
	root := &t.d.root
	at := t.w.Vol.Offset + t.d.offset(root.extent) + int64(root.xar)*t.d.block
	sector, err := t.win.sector(at, at+sectorBytes, "root folder")
	if err != nil {
		return err
	}
	n := int(sector[0])
	if n > sectorBytes {
		return nil
	}
	r, why := parseRecord(sector[:n], at)
	if why != "" {
		return nil // the walk will say so
	}
	for _, skip := range []int{0, xaBytes} {
		if len(r.use) < skip+7 || string(r.use[skip:skip+2]) != "SP" {
			continue
		}
		why, err := t.readUse(r.use[skip:])
		k := &t.rock
		if err != nil || why == "" && !k.shared {
			return err
		}
		switch place := t.d.place("root folder"); {
		case why != "":
			return t.w.Problem(inconsistent(place, "%s", why))
		case k.announced:
			t.rocky, t.skip = true, k.skip
		case k.hasMode || k.named:
			t.rocky, t.skip = true, k.skip
			return t.w.Problem(inconsistent(place, "there are Rock Ridge fields and nothing that announces them: some systems would use them and others not"))
		}
		return nil
	}
	return nil
}
