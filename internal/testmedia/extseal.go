package testmedia

import (
	"encoding/binary"
	"hash/crc32"
)

// SealExt makes every checksum of an ext4 in img good again, as far as the
// structures that lead there can be followed; it changes nothing in an image
// without checksums. It takes any bytes, so that a fuzzer can use it.
func SealExt(img []byte) {
	s := sealer{img: img}
	super := s.slice(1024, 1024)
	le := binary.LittleEndian
	if super == nil || le.Uint16(super[56:]) != 0xEF53 || le.Uint32(super[24:]) > 6 {
		return
	}
	features := le.Uint32(super[100:])
	s.meta = features&0x400 != 0
	if !s.meta && features&0x10 == 0 {
		return
	}
	s.block, s.inode, s.desc = 1024<<le.Uint32(super[24:]), int64(le.Uint16(super[88:])), 32
	if le.Uint32(super[96:])&0x80 != 0 {
		s.desc = int64(le.Uint16(super[254:]))
	}
	s.uuid, s.seed = super[104:120], rawCRC(^uint32(0), super[104:120])
	if le.Uint32(super[96:])&0x2000 != 0 {
		s.seed = le.Uint32(super[0x270:])
	}
	first, total := int64(le.Uint32(super[20:])), int64(le.Uint32(super[4:]))
	s.perGroup, s.inodes = int64(le.Uint32(super[32:])), int64(le.Uint32(super[40:]))
	if s.inode < 128 || s.inode > s.block || s.inode&(s.inode-1) != 0 || s.desc < 32 || s.desc > 1024 || s.desc&(s.desc-1) != 0 || s.perGroup == 0 || s.inodes == 0 {
		return
	}
	for g := int64(0); g < min(64, (total-first+s.perGroup-1)/s.perGroup); g++ {
		if d := s.slice((first+1)*s.block+g*s.desc, s.desc); d != nil {
			s.group(uint32(g), d)
		}
	}
	if s.meta {
		le.PutUint32(super[1020:], rawCRC(^uint32(0), super[:1020]))
	}
}

// sealer is one run of SealExt.
type sealer struct {
	img                []byte
	block, inode, desc int64
	perGroup, inodes   int64
	uuid               []byte
	seed               uint32
	meta               bool // metadata_csum and not only uninit_bg
	nodes              int  // of extent trees, so that no circle is followed for ever
}

func rawCRC(sum uint32, parts ...[]byte) uint32 {
	table := crc32.MakeTable(crc32.Castagnoli)
	for _, p := range parts {
		sum = ^crc32.Update(^sum, table, p)
	}
	return sum
}

func number(n uint32) []byte { return binary.LittleEndian.AppendUint32(nil, n) }

// slice returns n bytes of the image, or nil when it has not got them.
func (s *sealer) slice(off, n int64) []byte {
	if off < 0 || n < 0 || off > int64(len(s.img))-n {
		return nil
	}
	return s.img[off:][:n:n]
}

func (s *sealer) group(g uint32, d []byte) {
	le := binary.LittleEndian
	if !s.meta {
		sum := ^uint16(0)
		for _, p := range [][]byte{s.uuid, number(g), d[:30], d[32:]} {
			for _, c := range p {
				sum ^= uint16(c)
				for range 8 {
					sum = sum>>1 ^ 0xA001*(sum&1)
				}
			}
		}
		le.PutUint16(d[30:], sum)
		return
	}
	for _, c := range []struct {
		at, sum, high int
		bits          int64
	}{{0, 24, 56, s.perGroup}, {4, 26, 58, s.inodes}} {
		if p := s.slice(int64(le.Uint32(d[c.at:]))*s.block, c.bits/8); p != nil {
			sum := rawCRC(s.seed, p)
			le.PutUint16(d[c.sum:], uint16(sum))
			if len(d) > 32 {
				le.PutUint16(d[c.high:], uint16(sum>>16))
			}
		}
	}
	for i := range min(s.inodes, 1<<16) {
		if raw := s.slice(int64(le.Uint32(d[8:]))*s.block+i*s.inode, s.inode); raw != nil && le.Uint16(raw) != 0 {
			s.sealInode(g*uint32(s.inodes)+uint32(i)+1, raw)
		}
	}
	le.PutUint16(d[30:], uint16(rawCRC(s.seed, number(g), d[:30], []byte{0, 0}, d[32:])))
}

func (s *sealer) sealInode(ino uint32, raw []byte) {
	le := binary.LittleEndian
	seed := rawCRC(s.seed, number(ino), raw[100:104])
	flags, folder := le.Uint32(raw[32:]), le.Uint16(raw)>>12 == 4
	switch {
	case flags&0x10000000 != 0: // data inside
	case flags&0x80000 != 0:
		s.tree(raw[40:100], seed, folder, flags&0x1000 != 0, 6)
	case folder:
		for i := range 12 {
			s.folderBlock(int64(le.Uint32(raw[40+4*i:])), seed, i == 0, flags&0x1000 != 0)
		}
	}
	zero := []byte{0, 0}
	sum := rawCRC(seed, raw[:124], zero, raw[126:128])
	if len(raw) > 128 {
		if le.Uint16(raw[128:]) >= 4 {
			sum = rawCRC(sum, raw[128:130], zero, raw[132:])
			le.PutUint16(raw[130:], uint16(sum>>16))
		} else {
			sum = rawCRC(sum, raw[128:])
		}
	}
	le.PutUint16(raw[124:], uint16(sum))
}

// tree seals the nodes below one of an extent tree, and a folder's blocks.
func (s *sealer) tree(node []byte, seed uint32, folder, indexed bool, levels int) {
	le := binary.LittleEndian
	if s.nodes++; s.nodes > 10_000 || levels == 0 {
		return
	}
	n, depth := int(le.Uint16(node[2:])), le.Uint16(node[6:])
	for e := node[12:]; n > 0 && len(e) >= 12; n, e = n-1, e[12:] {
		if depth == 0 {
			for i := int64(0); folder && i < min(64, int64(le.Uint16(e[4:]))); i++ {
				s.folderBlock(int64(le.Uint32(e[8:]))+i, seed, i == 0 && le.Uint32(e) == 0, indexed)
			}
			continue
		}
		child := s.slice(int64(le.Uint32(e[4:]))*s.block, s.block)
		if child == nil {
			continue
		}
		s.tree(child, seed, folder, indexed, levels-1)
		if end := 12 + 12*int(le.Uint16(child[4:])); end+4 <= len(child) {
			le.PutUint32(child[end:], rawCRC(seed, child[:end]))
		}
	}
}

// folderBlock seals a block of entries or a node of a hash tree.
func (s *sealer) folderBlock(at int64, seed uint32, first, indexed bool) {
	le := binary.LittleEndian
	p := s.slice(at*s.block, s.block)
	if p == nil || at == 0 {
		return
	}
	from := 0
	switch {
	case indexed && first:
		from = 32
	case indexed && le.Uint32(p) == 0 && (int64(le.Uint16(p[4:])) == s.block || s.block == 65536 && le.Uint16(p[4:]) == 0):
		from = 8
	}
	if from == 0 {
		if tail := p[len(p)-12:]; tail[7] == 0xDE {
			le.PutUint32(tail[8:], rawCRC(seed, p[:len(p)-12]))
		}
		return
	}
	end, tail := from+8*int(le.Uint16(p[from+2:])), from+8*int(le.Uint16(p[from:]))
	if end <= len(p) && tail+8 <= len(p) {
		le.PutUint32(p[tail+4:], rawCRC(seed, p[:end], p[tail:tail+4], []byte{0, 0, 0, 0}))
	}
}
