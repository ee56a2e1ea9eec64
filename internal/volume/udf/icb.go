package udf

import (
	"fmt"

	"sallyport/internal/medium"
	"sallyport/internal/verdict"
	"sallyport/internal/volume/layout"
)

// File types (ECMA-167 section 4/14.6.6, UDF 2.60 section 2.3.5.2).
const (
	typeNone     = 0 // and the virtual allocation table of UDF 1.50
	typeFolder   = 4
	typeFile     = 5
	typeBlock    = 6
	typeChar     = 7
	typeFIFO     = 9
	typeSocket   = 10
	typeSymlink  = 12
	typeStreams  = 13
	typeVAT      = 248
	typeRealTime = 249
	typeMetadata = 250
	typeMirror   = 251
)

// node is a file entry or an extended file entry (ECMA-167 sections 4/14.9 and
// 4/14.17). Its allocation descriptors are in v.icb until the next is read.
type node struct {
	addr
	sector   int64
	where    layout.Place
	fileType uint8
	adKind   uint8
	size     int64
	ads      []byte // allocation descriptors, or the content itself
	adsOff   int64  // of ads on the medium
	links    uint16
	modified string
	streams  longAD // the folder of its named streams
}

func inconsistent(where layout.Place, detail string, args ...any) *verdict.Finding {
	return verdict.New(verdict.FilesystemInconsistent, where.String(), detail, args...)
}

// takeICB claims the sector of a file entry for good; whether it was free.
func (v *volume) takeICB(sector int64) (bool, error) {
	if fresh, err := v.icbs.Claim(uint32(sector)); err != nil {
		return false, verdict.New(verdict.OverLimit, "the map of file entries", "%s", err.Error())
	} else if !fresh {
		return false, nil
	}
	taken, err := v.claim(sector, 1)
	return taken < 0, err
}

// readICB reads the file entry at a. The finding says why it cannot be used.
func (v *volume) readICB(a addr, what string) (*node, *verdict.Finding, error) {
	sector, _, why := v.locate(a)
	if why != "" {
		return nil, verdict.New(verdict.FilesystemInconsistent, what, "its file entry cannot be: %s", why), nil
	}
	if err := v.readSector(v.icb, sector, what); err != nil {
		return nil, nil, err
	}
	n, f := v.parseICB(a, sector, layout.Place{What: what, Off: v.offset(sector)})
	return n, f, nil
}

// parseICB takes the file entry in v.icb apart.
func (v *volume) parseICB(a addr, sector int64, where layout.Place) (*node, *verdict.Finding) {
	const indirect = 259 // an indirect entry of the strategy 4096
	d := v.icb
	head := 176
	switch tagID(d) {
	case tagExtFile:
		head = 216
	case indirect:
		return nil, verdict.New(verdict.FilesystemUnsupported, where.String(), "a file entry of the strategy 4096")
	case tagFile:
	default:
		if blank(d) {
			return nil, inconsistent(where, "there is no file entry")
		}
		return nil, inconsistent(where, "there is a descriptor of type %d in place of a file entry", tagID(d))
	}
	if why := checkTag(d, tagID(d), a.block); why != "" {
		return nil, inconsistent(where, "%s", why)
	}
	switch strategy := le.Uint16(d[20:]); strategy {
	case 4:
	case 4096:
		return nil, verdict.New(verdict.FilesystemUnsupported, where.String(), "a file entry of the strategy 4096")
	default:
		return nil, inconsistent(where, "a file entry of the strategy %d", strategy)
	}
	n := &v.node
	*n = node{
		addr: a, sector: sector, where: where,
		fileType: d[27], adKind: uint8(le.Uint16(d[34:]) & 7), links: le.Uint16(d[48:]),
	}
	size := le.Uint64(d[56:])
	attributes, ads := le.Uint32(d[head-8:]), le.Uint32(d[head-4:])
	if head == 176 {
		n.modified = v.time(d[84:])
	} else {
		n.modified = v.time(d[92:])
		n.streams = longAt(d[152:])
	}
	room := v.sector - int64(head)
	switch {
	case int64(attributes)+int64(ads) > room:
		return nil, inconsistent(where, "%d bytes of attributes and %d of allocation descriptors do not fit into its block", attributes, ads)
	case size > 1<<62:
		return nil, inconsistent(where, "a size of %d bytes", size)
	}
	start := head + int(attributes)
	n.size, n.ads, n.adsOff = int64(size), d[start:start+int(ads)], v.offset(sector)+int64(start)
	return n, nil
}

// kind returns what a file entry is for a listing.
func (n *node) kind() medium.Type {
	switch n.fileType {
	case typeNone, typeFile, typeRealTime:
		return medium.File
	case typeFolder:
		return medium.Folder
	case typeBlock:
		return medium.BlockDevice
	case typeChar:
		return medium.CharDevice
	case typeFIFO:
		return medium.FIFO
	case typeSocket:
		return medium.Socket
	case typeSymlink:
		return medium.Symlink
	}
	return medium.Other
}

// Types of allocation descriptors (ECMA-167 section 4/14.6.8) and of extents
// (section 4/14.14.1.1).
const (
	shortADs = iota
	longADs
	extendedADs
	embedded
)

const (
	recorded = iota
	notRecorded
	notAllocated
	moreADs

	lengthMask = 1<<30 - 1
)

// chain goes through the allocation descriptors of a file entry.
type chain struct {
	v    *volume
	n    *node
	left []byte
}

// next returns the next extent. It is one without bytes behind the last one.
func (c *chain) next() (longAD, *verdict.Finding, error) {
	for {
		x, f := c.parse()
		if f != nil || x.bytes == 0 || x.kind != moreADs {
			return x, f, nil
		}
		if f, err := c.follow(x); f != nil || err != nil {
			return longAD{}, f, err
		}
	}
}

func (c *chain) parse() (x longAD, f *verdict.Finding) {
	size := [...]int{shortADs: 8, longADs: longBytes, extendedADs: 20}[c.n.adKind]
	if len(c.left) < size {
		return longAD{}, nil
	}
	d := c.left[:size]
	c.left = c.left[size:]
	switch c.n.adKind {
	case shortADs:
		n := le.Uint32(d)
		x = longAD{n & lengthMask, uint8(n >> 30), addr{le.Uint32(d[4:]), c.n.ref}}
	case longADs:
		x = longAt(d)
	case extendedADs:
		n := le.Uint32(d)
		x = longAD{n & lengthMask, uint8(n >> 30), addr{le.Uint32(d[12:]), le.Uint16(d[16:])}}
		if used := le.Uint32(d[4:]) & lengthMask; x.kind == recorded && (used != x.bytes || le.Uint32(d[8:]) != x.bytes) {
			return x, verdict.New(verdict.FilesystemUnsupported, c.n.where.String(), "content that is stored in another form")
		}
	}
	return x, nil
}

// follow goes on in a block of further descriptors (ECMA-167 section 4/14.5).
// It claims the block, so that no chain of them runs in a circle.
func (c *chain) follow(x longAD) (*verdict.Finding, error) {
	v := c.v
	const head = 24
	sector, _, why := v.locate(x.addr)
	if why == "" && int64(x.bytes) > v.sector {
		why = fmt.Sprintf("%d bytes are more than a block", x.bytes)
	}
	if why != "" {
		return inconsistent(c.n.where, "its allocation descriptors cannot go on: %s", why), nil
	}
	if taken, err := v.claim(sector, 1); err != nil {
		return nil, err
	} else if taken >= 0 {
		return v.shared(c.n, taken)
	}
	if err := v.readSector(v.more, sector, "allocation descriptors"); err != nil {
		return nil, err
	}
	why = checkTag(v.more, tagMoreADs, x.block)
	n := int64(le.Uint32(v.more[20:]))
	if why == "" && n > v.sector-head {
		why = fmt.Sprintf("%d bytes do not fit into a block", n)
	}
	if why != "" {
		return inconsistent(layout.Place{What: "allocation descriptors of " + c.n.where.What, Off: v.offset(sector)}, "%s", why), nil
	}
	c.left = v.more[head : head+n]
	return nil, nil
}

// shared says that a sector has two owners, which is a problem of the volume.
func (v *volume) shared(n *node, sector int64) (*verdict.Finding, error) {
	f := inconsistent(n.where, "it uses the block at byte %d, which belongs to another file or folder, or to itself in another place", v.offset(sector))
	return f, v.w.Problem(f)
}
