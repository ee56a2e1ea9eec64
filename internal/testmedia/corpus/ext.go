package corpus

import (
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"sallyport/internal/testmedia"
	"sallyport/internal/testtool"
)

// extFamily is ext2, ext3 and ext4 without a partition table. Besides the tree
// there is always PIECES.BIN, of which every second kilobyte is a hole.
func extFamily() *Family {
	return &Family{
		Name: "ext",
		Bases: map[string]func(t testing.TB, o *Options) Base{
			"ext2": func(t testing.TB, o *Options) Base { return extBase(t, o, "ext2") },
			"ext3": func(t testing.TB, o *Options) Base { return extBase(t, o, "ext3") },
			"ext4": func(t testing.TB, o *Options) Base { return extBase(t, o, "ext4") },
		},
		Survey: func(img *Image) any { return surveyExt(img) },
		Places: map[string]Place{
			"super":        {At: func(*Image, string) int64 { return 1024 }},
			"backup":       {At: func(img *Image, _ string) int64 { return ext(img).block * (ext(img).first + ext(img).perGroup) }},
			"desc":         {Arg: true, At: func(img *Image, g string) int64 { return ext(img).desc(img.number(g)) }},
			"block-bitmap": {At: func(img *Image, _ string) int64 { return ext(img).pointer(img, 0) }},
			"inode-bitmap": {At: func(img *Image, _ string) int64 { return ext(img).pointer(img, 4) }},
			"inode-table":  {At: func(img *Image, _ string) int64 { return ext(img).pointer(img, 8) }},
			"inode":        {Arg: true, At: func(img *Image, file string) int64 { return ext(img).inode(img, ext(img).number(img, file)) }},
			"entry":        {Arg: true, At: func(img *Image, file string) int64 { return ext(img).find(img, file).entry }},
			// data is the first block of a file or folder, tree the first one of its
			// extent tree below the inode, or of its indirect blocks.
			"data": {Arg: true, At: func(img *Image, file string) int64 {
				data, _ := ext(img).blocks(img, ext(img).number(img, file))
				return data[0]
			}},
			"tree": {Arg: true, At: func(img *Image, file string) int64 {
				_, tree := ext(img).blocks(img, ext(img).number(img, file))
				if tree == 0 {
					img.Fatalf("the map of %s is all in its inode", file)
				}
				return tree
			}},
		},
		Fields:  extFields(),
		Damages: extDamages(),
		Seals: map[string]Seal{
			// sums makes every checksum good.
			"sums": {Do: func(img *Image, _ string) {
				all := img.Read(0, int(img.Size()))
				testmedia.SealExt(all)
				img.Write(0, all...)
			}},
		},
	}
}

// extBase makes an image; crowd=N adds a file CROWD of N bytes, deep=N folders D
// below each other; many=N puts N files into a folder MANY with a hash
// tree, special=yes makes one of everything that is no plain file (as root).
func extBase(t testing.TB, o *Options, kind string) Base {
	t.Helper()
	tree := o.Tree()
	pieces := noise(9, 23*1024)
	for i := 1; i < 23; i += 2 {
		clear(pieces[i*1024 : i*1024+1024])
	}
	tree["PIECES.BIN"] = pieces
	if n := o.Number("crowd", "0"); n > 0 {
		tree["CROWD"] = noise(10, int(n))
	}
	if n := int(o.Number("deep", "0")); n > 0 {
		tree[strings.Repeat("D/", n)+"END"] = []byte{}
	}
	many, special := o.Number("many", "0"), o.Word("special", "no")
	for i := range many {
		tree[fmt.Sprintf("MANY/a file with the number %04d", i)] = []byte{}
	}
	dir := testmedia.Folder(t, tree)
	if special == "yes" {
		testmedia.Specials(t, dir, "C.BIN")
	}
	img := testmedia.ExtFrom(t, testmedia.ExtOptions{
		Type: kind, SizeKiB: int(o.Number("size", "10M") >> 10), Block: int(o.Number("block", "1K")), Inode: int(o.Number("inode", "256")),
		Inodes: int(o.Number("inodes", "512")), Features: o.Word("features", ""), Label: o.Word("label", ""),
	}, dir)
	if many > 0 {
		// It ends with 1 because it has changed something.
		if out, err := exec.Command(testtool.Need(t, "e2fsck"), "-fyD", img).CombinedOutput(); err != nil && !strings.Contains(string(out), "MODIFIED") {
			t.Fatalf("e2fsck: %v\n%s", err, out)
		}
	}
	return Base{img, []testmedia.Files{tree}}
}

// extPlan is where things are on an undamaged ext.
type extPlan struct {
	block, first, perGroup int64
	inodeBytes, inodes     int64 // inodes of a group
	descBytes              int64
	extents                bool
	tables                 []int64 // of inodes, by group
	entries                map[string]extEntry
}

// extEntry is where a folder has a name, and the inode it leads to.
type extEntry struct {
	entry int64
	inode int64
}

func ext(img *Image) *extPlan { return img.Plan.(*extPlan) }

func (m *Image) number(s string) int64 {
	n, err := parseNumber(s)
	if err != nil {
		m.Fatal(err)
	}
	return n
}

func surveyExt(img *Image) *extPlan {
	at := func(off int64, width int) int64 { return int64(img.Number(1024+off, width)) }
	p := &extPlan{
		block: 1024 << at(24, 4), first: at(20, 4), perGroup: at(32, 4), inodes: at(40, 4), inodeBytes: at(88, 2), descBytes: 32,
		entries: map[string]extEntry{"": {inode: 2}},
	}
	if at(96, 4)&0x80 != 0 {
		p.descBytes = at(254, 2)
	}
	p.extents = at(96, 4)&0x40 != 0
	for g := int64(0); g < (at(4, 4)-p.first+p.perGroup-1)/p.perGroup; g++ {
		p.tables = append(p.tables, int64(img.Number(p.desc(g)+8, 4))*p.block)
	}
	p.walk(img, "", 2)
	return p
}

func (p *extPlan) desc(group int64) int64 { return (p.first+1)*p.block + group*p.descBytes }

// pointer returns where the first descriptor points at.
func (p *extPlan) pointer(img *Image, at int64) int64 {
	return int64(img.Number(p.desc(0)+at, 4)) * p.block
}

func (p *extPlan) inode(img *Image, ino int64) int64 {
	if ino < 1 || ino > p.inodes*int64(len(p.tables)) {
		img.Fatalf("there is no inode %d", ino)
	}
	return p.tables[(ino-1)/p.inodes] + (ino-1)%p.inodes*p.inodeBytes
}

func (p *extPlan) find(img *Image, file string) extEntry {
	img.Helper()
	e, ok := p.entries[strings.TrimPrefix(file, "/")]
	if !ok {
		img.Fatalf("%s is not on the image", file)
	}
	return e
}

// number returns the inode of a path, or of "#N".
func (p *extPlan) number(img *Image, file string) int64 {
	img.Helper()
	if n, is := strings.CutPrefix(file, "#"); is {
		return img.number(n)
	}
	return p.find(img, file).inode
}

// blocks returns the offsets of an inode's blocks, as far as one level of its
// tree or map leads, and of the first block of that level.
func (p *extPlan) blocks(img *Image, ino int64) (data []int64, tree int64) {
	body := p.inode(img, ino) + 40
	if img.Number(body-8, 4)&0x10000000 != 0 { // the data are in the inode
		return nil, 0
	}
	if img.Number(body, 2) != 0xF30A {
		for i := range int64(13) {
			if at := int64(img.Number(body+4*i, 4)) * p.block; at != 0 && i < 12 {
				data = append(data, at)
			} else if at != 0 {
				tree = at
			}
		}
		return data, tree
	}
	node := body
	if img.Number(body+6, 2) > 0 {
		tree = int64(img.Number(body+16, 4)) * p.block
		node = tree
	}
	for i := range int64(img.Number(node+2, 2)) {
		e := node + 12 + 12*i
		for n := range int64(img.Number(e+4, 2)) {
			data = append(data, (int64(img.Number(e+8, 4))+n)*p.block)
		}
	}
	return data, tree
}

// walk notes the entries of a folder and of those below.
func (p *extPlan) walk(img *Image, dir string, ino int64) {
	data, _ := p.blocks(img, ino)
	for _, block := range data {
		for at := block; at < block+p.block; {
			to, size, n, kind := int64(img.Number(at, 4)), int64(img.Number(at+4, 2)), int(img.Number(at+6, 1)), img.Number(at+7, 1)
			name := string(img.Read(at+8, n))
			if to != 0 && name != "." && name != ".." {
				p.entries[dir+name] = extEntry{at, to}
				if kind == 2 {
					p.walk(img, dir+name+"/", to)
				}
			}
			if size < 8 {
				img.Fatalf("an entry of %d bytes at byte %d", size, at)
			}
			at += size
		}
	}
}

// extFields are those of the superblock, the descriptors, the inodes, the
// extents in an inode, the entries and the journal.
func extFields() (list []Field) {
	for _, c := range []struct{ place, fields string }{
		{"super", "inodes:0:4 blocks:4:4 first-block:20:4 log-block:24:4 log-cluster:28:4 blocks-per-group:32:4 clusters-per-group:36:4 " +
			"inodes-per-group:40:4 magic:56:2 state:58:2 errors:60:2 creator:72:4 revision:76:4 first-inode:84:4 inode-size:88:2 group:90:2 " +
			"compat:92:4 incompat:96:4 read-only:100:4 reserved-gdt:206:2 journal-inode:224:4 hash-version:252:1 descriptor-size:254:2 " +
			"first-meta:260:4 blocks-high:336:4 flags:352:4 sum-type:373:1 super-sum:1020:4 free-blocks:12:4 free-inodes:16:4"},
		{"backup", "backup-magic:56:2 backup-blocks:4:4 backup-inode-size:88:2"},
		{"desc", "block-bitmap:0:4 inode-bitmap:4:4 inode-table:8:4 group-flags:18:2 block-bitmap-sum:24:2 inode-bitmap-sum:26:2 unused-inodes:28:2 " +
			"desc-sum:30:2 inode-table-high:40:4"},
		{"inode", "mode:0:2 size:4:4 modified:16:4 deleted:20:4 links:26:2 inode-flags:32:4 pointer0:40:4 pointer1:44:4 indirect:88:4 double:92:4 " +
			"triple:96:4 generation:100:4 size-high:108:4 inode-sum:124:2 extra:128:2 tree-magic:40:2 tree-entries:42:2 tree-max:44:2 tree-depth:46:2 " +
			"extent-block:52:4 extent-length:56:2 extent-start-high:58:2 extent-start:60:4 index-child:56:4 extent2-block:64:4"},
		{"tree", "node-magic:0:2 node-entries:2:2 node-max:4:2 node-depth:6:2 node-extent-block:12:4 node-extent-length:16:2 node-extent-start:20:4 " +
			"node-extent2-block:24:4 link0:0:4 link1:4:4"},
		{"entry", "entry-inode:0:4 entry-size:4:2 name-length:6:1 entry-type:7:1"},
		{"data", "dot-inode:0:4 dot-size:4:2 dotdot-inode:12:4 index-version:28:1 index-info:29:1 index-levels:30:1 index-limit:32:2 index-count:34:2 " +
			"index-block:36:4 index-hash1:40:4 index-block1:44:4"},
	} {
		for _, f := range strings.Fields(c.fields) {
			w := strings.Split(f, ":")
			off, err := strconv.ParseInt(w[1], 10, 64)
			if err != nil {
				panic(err)
			}
			list = append(list, Field{Name: w[0], Place: c.place, Off: off, Width: int(w[2][0] - '0')})
		}
	}
	for _, f := range []Field{{Name: "journal-magic", Off: 0}, {Name: "journal-type", Off: 4}, {Name: "journal-start", Off: 28}} {
		f.Place, f.Width, f.Big = "data", 4, true
		list = append(list, f)
	}
	return list
}

func extDamages() map[string]Damage {
	return map[string]Damage{
		// debugfs runs a command of that program, which keeps checksums good.
		"debugfs": {[]Kind{Word}, func(img *Image, a []Arg) { testmedia.DebugFS(img, img.Path, true, a[0].Text) }},
		// cross-link gives a file the first block or extent of another one.
		"cross-link": {[]Kind{Word, Word}, func(img *Image, a []Arg) {
			p := ext(img)
			from, to := p.inode(img, p.number(img, a[0].Text)), p.inode(img, p.number(img, a[1].Text))
			at := int64(40)
			if p.extents {
				at = 60
			}
			img.Write(to+at, img.Read(from+at, 4)...)
		}},
		// crowd makes a folder of the file CROWD on an ext2: it is filled with
		// entries of 20 bytes for the first four files.
		"crowd": {nil, func(img *Image, _ []Arg) { extCrowd(img) }},
		// pull is what a medium is like that was pulled: its journal has changes
		// and has to be replayed.
		"pull": {nil, func(img *Image, _ []Arg) { extPull(img) }},
	}
}

// extPull mounts the image, writes, and keeps the state of that moment.
func extPull(img *Image) {
	copied := ""
	testmedia.MountedExt(img, img.Path, func(mnt string) {
		if err := os.WriteFile(mnt+"/NEW.TXT", []byte("new"), 0o644); err != nil {
			img.Fatal(err)
		}
		testtool.Run(img, "sync")
		copied = testmedia.Copy(img, img.Path)
	})
	data, err := os.ReadFile(copied)
	if err != nil {
		img.Fatal(err)
	}
	img.Write(0, data...)
}

// extCrowd fills CROWD with entries. Each file can have 65,535 names.
func extCrowd(img *Image) {
	p := ext(img)
	self, le := p.number(img, "CROWD"), binary.LittleEndian
	var files []int64
	for _, name := range []string{"A.TXT", "B.BIN", "C.BIN", "EMPTY.DAT"} {
		files = append(files, p.number(img, name))
		img.SetNumber(p.inode(img, files[len(files)-1])+26, 2, 65535)
	}
	data := p.allBlocks(img, self)
	img.SetNumber(p.inode(img, self), 2, 0x41ED)
	img.SetNumber(p.inode(img, self)+26, 2, 2)
	img.SetNumber(p.inode(img, self)+4, 4, uint64(int64(len(data))*p.block))
	n := 0
	for i, at := range data {
		block := make([]byte, p.block)
		rest := block
		put := func(ino int64, kind byte, size int, name string) {
			le.PutUint32(rest, uint32(ino))
			le.PutUint16(rest[4:], uint16(size))
			rest[6], rest[7] = byte(len(name)), kind
			copy(rest[8:], name)
			rest = rest[size:]
		}
		if i == 0 {
			put(self, 2, 12, ".")
			put(2, 2, 12, "..")
		}
		for ; len(rest) >= 40; n++ {
			put(files[n/60_000%4], 1, 20, fmt.Sprintf("vote-%07d", n))
		}
		put(files[n/60_000%4], 1, len(rest), fmt.Sprintf("vote-%07d", n))
		n++
		img.Write(at, block...)
	}
	img.SetNumber(p.find(img, "CROWD").entry+7, 1, 2)
}

// allBlocks returns the offsets of all blocks of a file on an ext2, up to the
// second level of its map.
func (p *extPlan) allBlocks(img *Image, ino int64) (data []int64) {
	body := p.inode(img, ino) + 40
	var follow func(at int64, level int)
	follow = func(at int64, level int) {
		block := int64(img.Number(at, 4)) * p.block
		if block == 0 {
			return
		}
		if level == 0 {
			data = append(data, block)
			return
		}
		for i := range p.block / 4 {
			follow(block+4*i, level-1)
		}
	}
	for i := range int64(14) {
		follow(body+4*i, int(max(0, i-11)))
	}
	return data
}
