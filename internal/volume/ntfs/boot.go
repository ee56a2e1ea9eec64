package ntfs

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/bits"

	"sallyport/internal/verdict"
	"sallyport/internal/volume/layout"
)

var le = binary.LittleEndian

const (
	bootBytes = 512
	magic     = "NTFS    "
	// strideBytes are protected by one word of an update sequence, whatever
	// the size of a sector is.
	strideBytes = 512
	// most of each size that formatters offer (mkntfs(8), format.com).
	maxCluster     = 2 << 20
	maxRecord      = 4096
	maxIndexBlock  = 64 << 10
	maxClusters    = 1<<32 - 1
	mirrored       = 4 // records that $MFTMirr repeats
	maxVolumeBytes = 1 << 60
)

// boot is the geometry of a volume (ntfs-3g layout.h, NTFS_BOOT_SECTOR). All
// lengths are in bytes and powers of two; newBoot has checked that every
// cluster of the volume has an offset below 2⁶⁰.
type boot struct {
	off         int64 // of the volume on the device
	sectorBytes int64
	cluster     int64
	clusters    int64
	present     int64 // clusters that begin on the medium
	record      int64 // of the master file table
	indexBlock  int64
	mft, mirror int64 // first clusters
	total       int64 // bytes without the backup boot sector
	serial      uint64
}

// Recognise says whether a volume claims to be NTFS.
func Recognise(p *layout.Probe) bool { return string(p.At(0, bootBytes)[3:11]) == magic }

func bad(what, detail string, args ...any) error {
	return verdict.New(verdict.FilesystemInconsistent, "boot sector, "+what, detail, args...)
}

// power reads a size that is a count of clusters when positive and the
// exponent of two of a size in bytes when negative. It returns 0 for nonsense.
func power(c byte, cluster int64) int64 {
	n := int64(int8(c))
	if n >= 0 {
		return n * cluster
	}
	if -n > 31 {
		return 0
	}
	return 1 << -n
}

func isPower(n int64) bool { return n > 0 && bits.OnesCount64(uint64(n)) == 1 }

func newBoot(b []byte, off int64) (*boot, error) {
	sector, spc := int64(le.Uint16(b[11:])), int64(b[13])
	if spc > 0x80 { // an exponent of two, as format.com writes clusters beyond 64 KiB
		if spc = power(b[13], 0); spc > maxCluster/512 {
			spc = 0
		}
	}
	v := &boot{off: off, sectorBytes: sector, cluster: sector * spc, serial: le.Uint64(b[72:])}
	switch {
	case b[510] != 0x55 || b[511] != 0xAA:
		return nil, bad("signature", "it does not end with 55 AA")
	case !isPower(sector) || sector < 512 || sector > 4096:
		return nil, bad("bytes per sector", "%d is not 512, 1024, 2048 or 4096", sector)
	case !isPower(spc) || v.cluster > maxCluster:
		return nil, bad("sectors per cluster", "the byte %#02x is no power of two, or makes clusters of more than 2 MiB", b[13])
	case len(bytes.TrimLeft(b[14:21], "\x00")) != 0 || len(bytes.TrimLeft(b[22:24], "\x00")) != 0 || le.Uint32(b[32:]) != 0:
		return nil, bad("bytes 14 to 35", "fields of FAT that must be zero in NTFS are not")
	}
	sectors, mft, mirror := le.Uint64(b[40:]), le.Uint64(b[48:]), le.Uint64(b[56:])
	if sectors == 0 || sectors > maxVolumeBytes/uint64(sector) {
		return nil, bad("total sectors", "%d sectors of %d bytes do not exist", sectors, sector)
	}
	v.total = int64(sectors) * sector
	v.clusters = int64(sectors) / spc
	v.record, v.indexBlock = power(b[64], v.cluster), power(b[68], v.cluster)
	switch {
	case v.clusters > maxClusters:
		return nil, verdict.New(verdict.FilesystemUnsupported, "boot sector, total sectors", "NTFS with %d clusters; there are at most 2³² in any version", v.clusters)
	case !isPower(v.record) || v.record < 512 || v.record > maxRecord:
		return nil, bad("size of file records", "the byte %#02x does not give 512 to 4096", b[64])
	case !isPower(v.indexBlock) || v.indexBlock < 512 || v.indexBlock > maxIndexBlock:
		return nil, bad("size of index blocks", "the byte %#02x does not give 512 to 65536", b[68])
	case mft >= uint64(v.clusters):
		return nil, bad("place of the master file table", "cluster %d does not exist; there are %d", mft, v.clusters)
	case mirror >= uint64(v.clusters) || mirror == mft:
		return nil, bad("place of the mirror", "cluster %d does not exist or holds the master file table itself; there are %d", mirror, v.clusters)
	}
	v.mft, v.mirror = int64(mft), int64(mirror)
	return v, nil
}

func (v *boot) id() string { return fmt.Sprintf("%016X", v.serial) }

// checkBackup compares the boot sector with its copy in the sector behind the
// last one that the file system counts, where the partition has that sector.
// An older copy in the middle of the volume (NT 3.51) is not looked for.
func (v *volume) checkBackup(first []byte) error {
	vol, end := v.w.Vol, v.off+v.total
	switch {
	case end > v.w.Dev.Size():
		return v.w.Problem(verdict.New(verdict.Truncated, "boot sector, total sectors",
			"the file system ends at byte %d and the medium at byte %d", end, v.w.Dev.Size()))
	case v.total > vol.Size:
		return v.w.Inconsistent("boot sector, total sectors", "the file system claims %d bytes and its partition has %d", v.total, vol.Size)
	case v.total+v.sectorBytes > vol.Size || end+v.sectorBytes > v.w.Dev.Size():
		return nil
	}
	const backup = "backup boot sector"
	second := make([]byte, bootBytes)
	if err := v.w.Dev.Read(second, end, backup); err != nil {
		return err
	}
	if !bytes.Equal(first, second) {
		return v.w.Inconsistent(layout.At(backup, end), "it differs from the boot sector at the beginning of the volume")
	}
	return nil
}
