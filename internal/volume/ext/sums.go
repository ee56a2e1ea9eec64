package ext

import "hash/crc32"

// castagnoli is read only; crc32.MakeTable returns the table with hardware help.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// crc32c goes on with a CRC-32C without the complement at the end, as ext4
// keeps it (checksums.rst).
func crc32c(sum uint32, p []byte) uint32 { return ^crc32.Update(^sum, castagnoli, p) }

// crc32cNumber goes on with a number in little-endian order.
func crc32cNumber(sum, n uint32) uint32 {
	var b [4]byte
	le.PutUint32(b[:], n)
	return crc32c(sum, b[:])
}

// crc16 goes on with a CRC-16 (polynomial 0x8005, reflected), which volumes
// with the feature gdt_csum have over their descriptors.
func crc16(sum uint16, p []byte) uint16 {
	for _, c := range p {
		sum ^= uint16(c)
		for range 8 {
			if sum&1 != 0 {
				sum = sum>>1 ^ 0xA001
			} else {
				sum >>= 1
			}
		}
	}
	return sum
}

// noSum stands for a checksum field while its own checksum is computed.
var noSum = []byte{0, 0, 0, 0}

// descSum is the checksum of a group's descriptor (checksums.rst).
func (s *super) descSum(g uint32, d []byte) uint16 {
	if s.metaSum() {
		sum := crc32cNumber(s.sumSeed, g)
		sum = crc32c(sum, d[:atDescSum])
		sum = crc32c(sum, noSum[:2])
		return uint16(crc32c(sum, d[atDescSum+2:]))
	}
	var number [4]byte
	le.PutUint32(number[:], g)
	sum := crc16(^uint16(0), s.uuid)
	sum = crc16(sum, number[:])
	sum = crc16(sum, d[:atDescSum])
	return crc16(sum, d[atDescSum+2:])
}

// inodeSum is the checksum of an inode, and seed that of what belongs to it:
// its extent blocks and, for a folder, its entries (checksums.rst). wide says
// that all 32 bits are recorded.
func (s *super) inodeSum(ino uint32, raw []byte) (sum, seed uint32, wide bool) {
	seed = crc32c(crc32cNumber(s.sumSeed, ino), raw[atGeneration:atGeneration+4])
	sum = crc32c(seed, raw[:atInodeSumLow])
	sum = crc32c(sum, noSum[:2])
	sum = crc32c(sum, raw[atInodeSumLow+2:oldInodeBytes])
	if len(raw) > oldInodeBytes {
		rest := raw[oldInodeBytes:]
		wide = le.Uint16(rest) >= atInodeSumHigh+2-oldInodeBytes
		sum = crc32c(sum, rest[:atInodeSumHigh-oldInodeBytes])
		rest = rest[atInodeSumHigh-oldInodeBytes:]
		if wide {
			sum, rest = crc32c(sum, noSum[:2]), rest[2:]
		}
		sum = crc32c(sum, rest)
	}
	return sum, seed, wide
}
