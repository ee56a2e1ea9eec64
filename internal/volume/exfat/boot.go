package exfat

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"sallyport/internal/verdict"
	"sallyport/internal/volume/layout"
)

var le = binary.LittleEndian

const (
	magic = "EXFAT   "
	// regionSectors of each of the two boot regions: boot sector, eight
	// extended ones, parameters, one reserved, checksum (section 3).
	regionSectors = 12
	bootBytes     = 512
)

// boot is the geometry of a volume. Offsets are absolute on the device, lengths
// in bytes; newBoot has checked that nothing overflows and that the regions
// follow each other inside total.
type boot struct {
	sectorBytes int64
	heap        layout.Clusters
	tableOff    int64
	tableBytes  int64
	root        uint32
	total       int64
	id          string
}

// Recognise says whether a sector of 512 bytes claims to be the boot sector of
// an exFAT volume.
func Recognise(b []byte) bool {
	return len(b) >= bootBytes && string(b[3:11]) == magic
}

func bad(what, detail string, args ...any) error {
	return verdict.New(verdict.FilesystemInconsistent, "boot sector, "+what, detail, args...)
}

func newBoot(b []byte, off int64) (*boot, error) {
	sectorShift, clusterShift := uint(b[108]), uint(b[109])
	switch {
	case b[0] != 0xEB || b[1] != 0x76 || b[2] != 0x90:
		return nil, bad("jump", "it does not begin with EB 76 90")
	case b[510] != 0x55 || b[511] != 0xAA:
		return nil, bad("signature", "it does not end with 55 AA")
	case len(bytes.TrimLeft(b[11:64], "\x00")) != 0:
		return nil, bad("bytes 11 to 63", "they must be zero in exFAT")
	case sectorShift < 9 || sectorShift > 12:
		return nil, bad("bytes per sector", "2 to the power of %d is not 512 to 4096", sectorShift)
	case clusterShift > 25-sectorShift:
		return nil, bad("sectors per cluster", "2 to the power of %d makes clusters of more than 32 MiB", clusterShift)
	case b[105] != 1:
		return nil, verdict.New(verdict.FilesystemUnsupported, "boot sector, revision", "exFAT revision %d.%d; this station reads revision 1", b[105], b[104])
	case b[110] == 2:
		return nil, verdict.New(verdict.FilesystemUnsupported, "boot sector, number of FATs", "this is TexFAT, exFAT with two file allocation tables for transactions; exFAT with one table can be read")
	case b[110] != 1:
		return nil, bad("number of FATs", "%d is not 1", b[110])
	case b[106]&1 != 0:
		return nil, bad("active FAT", "the second, and there is one")
	}
	// All fields but the first have 32 bits, so the sums below fit into 64.
	length, sector := le.Uint64(b[72:]), int64(1)<<sectorShift
	tableAt, tableLen := int64(le.Uint32(b[80:])), int64(le.Uint32(b[84:]))
	dataAt, clusters := int64(le.Uint32(b[88:])), int64(le.Uint32(b[92:]))
	v := &boot{
		sectorBytes: sector, root: le.Uint32(b[96:]),
		tableOff: off + tableAt*sector, tableBytes: tableLen * sector,
		heap: layout.Clusters{Off: off + dataAt*sector, Bytes: sector << clusterShift, Count: uint32(clusters)},
	}
	id := le.Uint32(b[100:])
	v.id = fmt.Sprintf("%04X-%04X", id>>16, id&0xFFFF)
	const mostClusters = 1<<32 - 11
	switch {
	case length > 1<<50:
		return nil, bad("volume length", "%d sectors do not exist", length)
	case clusters == 0 || clusters > mostClusters:
		return nil, bad("cluster count", "%d", clusters)
	case tableAt < 2*regionSectors || tableAt+tableLen > dataAt:
		return nil, bad("FAT offset and length", "sectors %d to %d overlap the boot regions or the clusters", tableAt, tableAt+tableLen)
	case (clusters+2)*4 > v.tableBytes:
		return nil, bad("FAT length", "%d bytes do not hold the entries of %d clusters", v.tableBytes, clusters)
	case uint64(dataAt+clusters<<clusterShift) > length:
		return nil, bad("cluster count", "%d clusters end behind the volume of %d sectors", clusters, length)
	case !v.heap.Exists(v.root):
		return nil, bad("root cluster", "%d does not exist; there are %d clusters", v.root, clusters)
	}
	v.total = int64(length) * sector
	return v, nil
}

// checkRegions checks the checksum of both boot regions and compares them. A
// bad main region ends the walk: nothing else can be located by it.
func checkRegions(w *layout.Walker, sectorBytes int64) error {
	n := regionSectors * sectorBytes
	first, second := make([]byte, n), make([]byte, n)
	if err := w.Dev.Read(first, w.Vol.Offset, "boot region"); err != nil {
		return err
	}
	if why := checkRegion(first, sectorBytes); why != "" {
		return bad("checksum", "%s", why)
	}
	const backup = "backup boot region"
	if err := w.Dev.Read(second, w.Vol.Offset+n, backup); err != nil {
		return err
	}
	where := layout.At(backup, w.Vol.Offset+n)
	if why := checkRegion(second, sectorBytes); why != "" {
		return w.Inconsistent(where, "%s", why)
	}
	for _, p := range [][]byte{first, second} {
		clearUnstable(p)
	}
	if !bytes.Equal(first, second) {
		return w.Inconsistent(where, "it differs from the first one")
	}
	return nil
}

// clearUnstable clears the flags and the percentage in use, which change while
// the volume is used and are outside the checksum (section 3.4).
func clearUnstable(region []byte) { region[106], region[107], region[112] = 0, 0, 0 }

func checkRegion(region []byte, sectorBytes int64) string {
	body, tail := region[:11*sectorBytes], region[11*sectorBytes:]
	var sum uint32
	for i, c := range body {
		if i == 106 || i == 107 || i == 112 {
			continue
		}
		sum = (sum<<31 | sum>>1) + uint32(c)
	}
	for ; len(tail) > 0; tail = tail[4:] {
		if got := le.Uint32(tail); got != sum {
			return fmt.Sprintf("the checksum of the boot region is %08x and should be %08x", sum, got)
		}
	}
	return ""
}
