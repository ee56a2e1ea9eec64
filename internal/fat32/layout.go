package fat32

import (
	"fmt"
	"strings"
	"time"
)

// Options of [Plan].
type Options struct {
	Sector int64     // bytes of a logical sector of the medium: 512 or 4096
	Bytes  int64     // of the medium; 0 means as few as are needed
	Serial uint32    // number of the volume
	Time   time.Time // when its files were made
}

// File is one file of the volume.
type File struct {
	Path string // names of letters, digits and . _ -, joined by '/'
	Size int64  // bytes
	// Late files get their content after all others, and are left out when they
	// get none. Size is the most that they may have.
	Late bool
}

// Layout is where everything stands on one medium.
type Layout struct {
	geometry
	serial  uint32
	stamp   [2]uint16 // DOS date and time
	files   []*node   // as they were given
	late    int       // the first late one of them
	folders []*node   // the root first
	next    int64     // first cluster that nothing has
}

// node is a file or a folder.
type node struct {
	path   string
	name   string
	alias  [11]byte
	long   bool // the alias does not say the name
	folder bool
	parent *node
	nodes  []*node
	first  int64 // cluster; 0 for none
	count  int64 // clusters that are kept for it
	size   int64 // bytes; of a folder that of its records
	absent bool  // a late file without content
}

// Plan lays out a volume with the files, late ones last, and with the folders
// that they stand in. Its errors are about the files or the medium; they are
// [ErrCannotHold], [ErrNoRoom], or say which name cannot be used.
func Plan(o Options, files []File) (*Layout, error) {
	if o.Sector != 512 && o.Sector != 4096 {
		return nil, fmt.Errorf("a medium with sectors of %d bytes: %w; they must have 512 or 4096", o.Sector, ErrCannotHold)
	}
	l := &Layout{serial: o.Serial, stamp: dosTime(o.Time), late: len(files)}
	if err := l.grow(files); err != nil {
		return nil, err
	}
	for _, f := range l.folders {
		if err := f.alias83(); err != nil {
			return nil, err
		}
	}
	var err error
	if l.geometry, err = l.choose(o.Sector, o.Bytes); err != nil {
		return nil, err
	}
	l.next = first
	for _, list := range [][]*node{l.folders, l.files} {
		for _, n := range list {
			if n.count = (n.size + l.cluster - 1) / l.cluster; n.count > 0 {
				n.first = l.next
				l.next += n.count
			}
		}
	}
	return l, nil
}

// grow makes the tree of folders and files.
func (l *Layout) grow(files []File) error {
	root := &node{folder: true}
	l.folders = []*node{root}
	known := map[string]*node{"": root}
	taken := map[string]string{}
	add := func(n *node, whole string) error {
		folded := strings.ToLower(n.path)
		if other, twice := taken[folded]; twice {
			return fmt.Errorf("%s and %s would be one on FAT32, which does not tell capital letters from small ones", other, n.path)
		}
		taken[folded] = n.path
		n.parent.nodes = append(n.parent.nodes, n)
		return checkName(n.name, whole)
	}
	for i, f := range files {
		if f.Size < 0 || f.Size > MaxFile {
			return fmt.Errorf("%s has %d bytes: %w, only files below 4 GiB", f.Path, f.Size, ErrCannotHold)
		}
		if f.Late {
			l.late = min(l.late, i)
		} else if l.late < i {
			return fmt.Errorf("the late file %s stands before %s", files[l.late].Path, f.Path)
		}
		at := root
		for rest := f.Path; ; {
			name, below, deeper := strings.Cut(rest, "/")
			path := strings.TrimSuffix(f.Path[:len(f.Path)-len(below)], "/")
			if !deeper {
				n := &node{path: path, name: name, parent: at, size: f.Size, absent: f.Late}
				if err := add(n, f.Path); err != nil {
					return err
				}
				l.files = append(l.files, n)
				break
			}
			folder := known[path]
			if folder == nil {
				folder = &node{path: path, name: name, parent: at, folder: true}
				if err := add(folder, f.Path); err != nil {
					return err
				}
				known[path] = folder
				l.folders = append(l.folders, folder)
			}
			at, rest = folder, below
		}
	}
	return nil
}

// Bytes of the medium, beginning with its partition table.
func (l *Layout) Bytes() int64 { return l.medium }

// Work returns how many bytes are written for each part of the volume: by
// [Writer.Erase], by all [Writer.Copy], and by [Writer.Finish] at most. The
// first two are read by [Writer.Check], and all of them by [Writer.CheckAll].
func (l *Layout) Work() (erase, files, rest int64) {
	for _, s := range l.erased() {
		erase += s.n
	}
	from, to := l.data()
	return erase, to - from, from - l.tableOff + l.at(l.next) - to
}

// Rest calls keep with every stretch of the medium that is written when the
// data files are there, so that room for it can be kept.
func (l *Layout) Rest(keep func(off, n int64) error) error {
	data, end := l.data()
	for _, s := range []span{{0, l.sector}, {partAt, bootSectors * l.sector}, {l.tableOff, data - l.tableOff}, {end, l.at(l.next) - end}} {
		if s.n == 0 {
			continue
		}
		if err := keep(s.off, s.n); err != nil {
			return err
		}
	}
	return nil
}

// span is a stretch of the medium.
type span struct{ off, n int64 }

// erased are the stretches that hold nothing but the partition table and the
// boot sectors.
func (l *Layout) erased() [2]span {
	tail := l.end - tailOf
	return [2]span{{0, l.tableOff}, {tail, l.medium - tail}}
}

// at returns where a cluster is on the medium.
func (l *Layout) at(cluster int64) int64 { return l.heap + (cluster-first)*l.cluster }

// data returns where the files that are not late begin and end.
func (l *Layout) data() (from, to int64) {
	clusters, start := int64(0), int64(first)
	for _, f := range l.folders {
		start += f.count
	}
	for _, f := range l.files[:l.late] {
		clusters += f.count
	}
	return l.at(start), l.at(start + clusters)
}

// geometry is the shape of a volume on its medium. Offsets and sizes are in
// bytes, and offsets those on the medium.
type geometry struct {
	sector, cluster int64
	medium          int64
	end             int64 // of the partition
	table, tableOff int64 // one FAT, of two
	heap            int64 // where the clusters begin
	clusters        int64
	usable          int64 // clusters that lie before the part that is kept empty
}

func newGeometry(sector, cluster, medium int64) geometry {
	g := geometry{sector: sector, cluster: cluster, medium: medium, end: medium / mib * mib}
	g.table = up((max(0, g.end-partAt)/cluster+first)*4, sector)
	g.heap = up(headOf(sector)+2*g.table, mib)
	g.tableOff = g.heap - 2*g.table
	g.clusters = max(0, g.end-g.heap) / cluster
	g.usable = max(0, g.end-g.heap-tailOf) / cluster
	return g
}

// holds says whether the volume is a FAT32 with room for so many clusters.
func (g geometry) holds(need int64) bool {
	return g.clusters >= leastClusters && g.clusters <= mostClusters && g.usable >= need
}

// need returns how many clusters of a size everything takes.
func (l *Layout) need(cluster int64) (n int64) {
	for _, list := range [][]*node{l.folders, l.files} {
		for _, f := range list {
			n += (f.size + cluster - 1) / cluster
		}
	}
	return n
}

// choose finds the size of clusters: for a medium of any size the one that makes
// it smallest; for one of so many bytes the smallest that leaves tables of at
// most 8 MiB, or a smaller one where that is needed to hold everything.
func (l *Layout) choose(sector, medium int64) (geometry, error) {
	var best geometry
	for c := int64(mostCluster); c >= sector; c /= 2 {
		if g := l.smallest(sector, c); best.medium == 0 || g.medium < best.medium {
			best = g
		}
	}
	if max(medium, best.medium)/sector > mostSectors {
		return best, fmt.Errorf("a medium of %d bytes with sectors of %d: %w, it has at most %d sectors", max(medium, best.medium), sector, ErrCannotHold, int64(mostSectors))
	}
	if medium == 0 {
		return best, nil
	}
	c := sector
	for c < mostCluster && newGeometry(sector, c, medium).clusters > 2*mib {
		c *= 2
	}
	for ; c >= sector; c /= 2 {
		if g := newGeometry(sector, c, medium); g.holds(l.need(c)) {
			return g, nil
		}
	}
	return best, fmt.Errorf("the medium has %d bytes, and a FAT32 file system with these files needs %d: %w", medium, best.medium, ErrNoRoom)
}

// smallest returns the smallest medium with clusters of a size.
func (l *Layout) smallest(sector, cluster int64) geometry {
	need := l.need(cluster)
	wanted := max(need+tailOf/cluster, leastClusters)
	medium := up(headOf(sector)+2*4*(wanted+first), mib) + up(wanted*cluster, mib)
	for {
		g := newGeometry(sector, cluster, medium)
		// With more than the most there are clusters enough, and the size is refused.
		if g.clusters >= leastClusters && g.usable >= need {
			return g
		}
		medium += mib
	}
}

// dosTime returns date and time as a record has them (FAT specification section
// 6.3): from 1980 to 2107, in steps of two seconds.
func dosTime(t time.Time) [2]uint16 {
	if t.Year() < 1980 || t.Year() > 2107 {
		return [2]uint16{1<<5 | 1, 0}
	}
	return [2]uint16{
		uint16(t.Year()-1980)<<9 | uint16(t.Month())<<5 | uint16(t.Day()),
		uint16(t.Hour())<<11 | uint16(t.Minute())<<5 | uint16(t.Second()/2),
	}
}
