// Package iso9660 reads ISO 9660 (ECMA-119) from an untrusted volume: volume
// descriptors, path tables, folders and the extents of each file, with the
// names of Rock Ridge (SUSP 1.12, RRIP 1.12), Joliet (UCS-2 levels 1 to 3) and
// ISO 9660:1999. It reads no content.
//
// A volume may have several trees: the primary one, which Rock Ridge gives
// other names and another shape, and one for each supplementary descriptor.
// Linux shows the primary tree with Rock Ridge, Windows the Joliet tree. Listed
// is Rock Ridge where it is present, else Joliet, else ISO 9660:1999, else the
// plain names without ";1" and the dot at the end. All the others are read as
// well and compared with it: as many folders, files with the same extents and
// sizes, and what has the same path in both has the same content. What is not a
// plain file in Rock Ridge (a symbolic link, a device) may be missing in the
// others or be an empty file there.
//
// Damage of the volume (its files may not be used): trees that differ; a
// descriptor sequence without its end or with two primary descriptors that
// differ; path tables that name other folders than the tree (Windows opens
// folders by them); numbers of a folder or a descriptor whose two byte orders
// disagree; a folder off the volume, shared with another, without "." or "..";
// directory records that cross a sector or have no room for their fields; Rock
// Ridge fields that cannot be read (they hide a name), that contradict the
// record, or stand there unannounced; relocated folders that nothing links to;
// files that overlap without being the same; two entries of one name. Damage of
// one file: its extents are off the volume, its numbers disagree, its name
// cannot be shown.
//
// Relocated folders of Rock Ridge are listed where they belong; the folder that
// holds them for systems without Rock Ridge (RR_MOVED) is listed as the empty
// folder that Linux shows. A second name of the same extents and size is a hard
// link, because nothing on the medium tells it from one. Associated files are
// listed as streams. Not read, and named so: sparse and zisofs files,
// interleaved files, files on another volume of a set.
//
// No damage: what stands in the system area (boot code, other tables) and behind
// the volume, boot records, descriptors of types that nobody knows, file flags
// "hidden" and "protected", unused bytes of a directory sector (no system looks
// there). Not seen: later sessions of a multi-session disc. Their descriptors
// stand where only the drive can tell; read are the ones at sector 16, so who
// opens a disc has to ask the drive for the number of sessions.
package iso9660

import (
	"encoding/binary"
	"hash/maphash"

	"sallyport/internal/verdict"
	"sallyport/internal/volume/layout"
)

const (
	// sectorBytes is the size of a logical sector (ECMA-119 section 6.1.2).
	// Descriptors fill one; no directory record crosses one.
	sectorBytes = 2048
	// firstSector is that of the first volume descriptor (section 6.2.1).
	firstSector = 16
	identifier  = "CD001"
)

var (
	le = binary.LittleEndian
	be = binary.BigEndian
)

// volume is one walk over all trees of a volume.
type volume struct {
	w    *layout.Walker
	seed maphash.Seed // of sums and comparisons; nobody outside can aim at them
	win  window
	more continuation
	rock rock // fields of the record at hand
	time timeCache

	item    item
	name    []byte
	units   []uint16
	runs    []run
	extents []layout.Extent
	// owners finds the first file with a given first extent; nil until two
	// files share one.
	owners map[int64]int32
	known  int // entries that owners knows of

	peek     []byte   // the first sector of a relocated folder
	extentOf []uint32 // of the folders of a path table
}

// Recognise says whether one of the first sectors that may hold a volume
// descriptor does.
func Recognise(p *layout.Probe) bool {
	for sector := int64(firstSector); sector < 2*firstSector; sector++ {
		if string(p.At(sector*sectorBytes+1, len(identifier))) == identifier {
			return true
		}
	}
	return false
}

// Walk reads the volume that w.Vol describes. Its error is the finding that
// ended the walk.
func Walk(w *layout.Walker) error {
	w.Vol.FS = "iso9660"
	v := &volume{w: w, seed: maphash.MakeSeed()}
	v.win.dev, v.more.dev = w.Dev, w.Dev
	w.Names.Reset()
	list, err := v.descriptors()
	if err != nil {
		return err
	}
	trees, err := v.trees(list)
	if err != nil {
		return err
	}
	for i, t := range trees {
		// Only where there are two trees is there something to compare.
		t.compared = len(trees) > 1
		if err := t.walk(); err != nil {
			return err
		}
		if err := t.checkTables(t.d); err != nil {
			return err
		}
		for _, d := range t.same {
			if err := t.checkTables(d); err != nil {
				return err
			}
		}
		if i > 0 {
			if err := trees[0].compare(t); err != nil {
				return err
			}
		}
	}
	return nil
}

// trees decides which of the volume's trees is listed, which comes first, and
// which descriptors describe the same one.
func (v *volume) trees(list []*descriptor) ([]*tree, error) {
	var all []*tree
	most := uint32(0)
	for _, d := range list {
		most = max(most, d.space)
		shared := false
		for _, t := range all {
			if t.d.root.extent == d.root.extent && t.d.root.xar == d.root.xar && t.d.root.size == d.root.size &&
				(t.d.kind == joliet) == (d.kind == joliet) {
				t.same = append(t.same, d)
				shared = true
			}
		}
		if !shared {
			all = append(all, &tree{volume: v, d: d})
		}
	}
	if err := v.w.Clusters(most); err != nil {
		return nil, err
	}
	best := 0
	for i, t := range all {
		if t.d.kind == primary {
			if err := t.findRock(); err != nil {
				return nil, err
			}
		}
		if t.rank() > all[best].rank() {
			best = i
		}
	}
	all[0], all[best] = all[best], all[0]
	all[0].listed = true
	v.w.Vol.Label = all[0].d.label
	return all, nil
}

func inconsistent(where layout.Place, detail string, args ...any) *verdict.Finding {
	return verdict.New(verdict.FilesystemInconsistent, where.String(), detail, args...)
}

func unsupported(where layout.Place, detail string, args ...any) *verdict.Finding {
	return verdict.New(verdict.FilesystemUnsupported, where.String(), detail, args...)
}
