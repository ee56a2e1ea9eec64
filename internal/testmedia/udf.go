package testmedia

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf16"

	"sallyport/internal/testtool"
)

// UDFOptions of a file system made by mkudffs and filled by udfclient. The zero
// value is that of a USB stick with sectors of 512 bytes.
type UDFOptions struct {
	Media    string // hd when empty; dvdrw and cdrw are sparable
	Revision string // 2.01 when empty
	Block    int    // 512 when zero
	Blocks   int    // 3,000,000 when zero: udfclient wants a good many to be free, and they are holes
}

// UDFFrom makes a UDF image without a partition table that holds what is in
// dir. udfclient wants names in ASCII.
func UDFFrom(t testing.TB, o UDFOptions, dir string) string {
	t.Helper()
	block := max(o.Block, 512)
	img := EmptyUDF(t, o)
	list, err := os.ReadDir(dir)
	must(t, err)
	script := fmt.Sprintf("lcd %s\ncd /%s:P:L:F\n", dir, udfSet)
	for _, e := range list {
		script += fmt.Sprintf("put \"%s\"\n", e.Name())
	}
	UDFClient(t, img, block, true, script)
	return img
}

const udfSet = "0123456789abcdefSET"

// EmptyUDF makes a UDF image without a partition table and without files.
func EmptyUDF(t testing.TB, o UDFOptions) string {
	t.Helper()
	media, revision, block, blocks := o.Media, o.Revision, max(o.Block, 512), o.Blocks
	if media == "" {
		media = "hd"
	}
	if revision == "" {
		revision = "2.01"
	}
	if blocks == 0 {
		blocks = 3_000_000
	}
	img := filepath.Join(t.TempDir(), "udf.img")
	testtool.Run(t, "mkudffs", "--new-file", "--media-type="+media, "--udfrev="+revision, "--blocksize="+strconv.Itoa(block),
		"--fullvsid="+udfSet, "--vid=P", "--lvid=L", "--fsid=F", img, strconv.Itoa(blocks))
	return img
}

// UDFCopy copies what is on a UDF image, made by [UDFFrom] or [EmptyUDF], with
// udfclient into a new folder.
func UDFCopy(t testing.TB, img string, block int, names ...string) string {
	t.Helper()
	dir := t.TempDir()
	script := fmt.Sprintf("lcd %s\ncd /%s:P:L:F\n", dir, udfSet)
	for _, n := range names {
		script += fmt.Sprintf("get \"%s\"\n", n)
	}
	UDFClient(t, img, block, false, script)
	return dir
}

// UDFClient runs commands of udfclient on an image.
func UDFClient(t testing.TB, img string, block int, write bool, script string) []byte {
	t.Helper()
	args := []string{"-b", strconv.Itoa(block), img}
	if write {
		args = append([]string{"-W"}, args...)
	}
	cmd := exec.Command(testtool.Need(t, "udfclient"), args...)
	cmd.Stdin = strings.NewReader(script + "quit\n")
	out, err := cmd.CombinedOutput()
	if err != nil || bytes.Contains(out, []byte("full ?")) || bytes.Contains(out, []byte("No space left")) {
		t.Fatalf("udfclient: %v\n%s", err, out)
	}
	return out
}

// UDFNode is one file, folder or other thing of [UDFImage].
type UDFNode struct {
	Name string
	// Type is the file type of ECMA-167 section 4/14.6.6; 0 stands for 5, a
	// file, and for 4, a folder, where there are Kids or Folder is set.
	Type   uint8
	Folder bool
	Kids   []UDFNode
	Data   []byte
	// Hole bytes that are not allocated follow Data, and Unwritten bytes that
	// are allocated and not recorded follow them.
	Hole, Unwritten int64
	// Link names, by its position from the root ("0/3/1"), the node of which
	// this is a further name. It comes later in the tree.
	Link    string
	Streams []UDFNode
	Deleted bool
	Hidden  bool
	// Pieces cuts Data into extents of so many blocks, one block apart.
	Pieces int
}

// UDFShape says how [UDFImage] writes an image.
type UDFShape struct {
	Block    int    // 512 when zero
	Revision uint16 // 0x0201 when zero
	// Kind is "" for a plain partition, "vat" for a virtual one, "sparable",
	// "metadata" for one of metadata with its mirror in the same blocks, and
	// "duplicate" with a copy of them.
	Kind string
	// LongADs instead of short ones, Embed content of files that fits into the
	// file entry, Plain file entries instead of extended ones.
	LongADs, Embed, Plain bool
	ReadOnly              bool
	// Spare is the number of blocks behind the last one that is used.
	Spare int
}

// UDFTree turns files into nodes.
func UDFTree(files Files) []UDFNode {
	root := &UDFNode{}
	for _, p := range slices.Sorted(maps.Keys(files)) {
		at := root
		parts := strings.Split(strings.TrimSuffix(p, "/"), "/")
		for i, name := range parts {
			k := slices.IndexFunc(at.Kids, func(n UDFNode) bool { return n.Name == name })
			if k < 0 {
				at.Kids = append(at.Kids, UDFNode{Name: name})
				k = len(at.Kids) - 1
			}
			at = &at.Kids[k]
			if at.Folder = at.Folder || i < len(parts)-1 || strings.HasSuffix(p, "/"); !at.Folder {
				at.Data = files[p]
			}
		}
	}
	return root.Kids
}

const (
	udfMain, udfReserve, udfSparing, udfAnchor = 100, 116, 140, 256
	udfPacket                                  = 8
)

type udfAddr struct {
	block uint32
	ref   uint16
}

// udfWriter makes one image, front to back.
type udfWriter struct {
	o     UDFShape
	bs    int
	img   []byte
	start int // of the partition
	next  int // free block of the partition
	vat   []uint32
	meta  [][]byte // blocks of the partition of metadata
	nodes map[string]udfAddr
	// moved is the packet that a sparable partition has elsewhere.
	moved int
}

// UDFImage writes a UDF file system of its own, in all the shapes that no tool
// at hand can fill: it is meant to be good, and gives the same bytes each time.
func UDFImage(o UDFShape, root []UDFNode) []byte {
	w := &udfWriter{o: o, bs: max(o.Block, 512), start: udfAnchor + 1, nodes: map[string]udfAddr{}, moved: -1}
	if w.o.Revision == 0 {
		w.o.Revision = 0x0201
	}
	switch o.Kind {
	case "sparable":
		w.start, w.moved = 272, 8
	case "metadata", "duplicate":
		w.next = 2 // the entries of the file and its mirror
	}
	set := w.structure()
	icb := w.structure()
	w.node(&UDFNode{Folder: true, Kids: root}, icb, icb, "")
	w.fileSet(set, icb)
	if len(w.meta) > 0 {
		w.metadata()
	}
	if o.Kind == "vat" {
		w.table()
	}
	w.next += o.Spare
	length := w.next
	w.volume(set, length)
	return w.img
}

// at returns the room of n bytes at a sector.
func (w *udfWriter) at(sector, n int) []byte {
	off := sector * w.bs
	if need := off + (n+w.bs-1)/w.bs*w.bs; need > len(w.img) {
		w.img = append(w.img, make([]byte, need-len(w.img))...)
	}
	return w.img[off : off+n]
}

// sector returns where a block of the partition is.
func (w *udfWriter) sector(block int) int {
	if w.moved >= 0 && block >= w.moved && block < w.moved+udfPacket {
		return 200 + block - w.moved
	}
	return w.start + block
}

// blocks takes n blocks for content.
func (w *udfWriter) blocks(n int) (first int) {
	first = w.next
	w.next += n
	return first
}

// structure takes a block for a descriptor.
func (w *udfWriter) structure() udfAddr {
	switch w.o.Kind {
	case "vat":
		w.vat = append(w.vat, uint32(w.blocks(1)))
		return udfAddr{uint32(len(w.vat) - 1), 1}
	case "metadata", "duplicate":
		w.meta = append(w.meta, make([]byte, w.bs))
		return udfAddr{uint32(len(w.meta) - 1), 1}
	}
	return udfAddr{uint32(w.blocks(1)), 0}
}

// room returns the bytes of a structure's block.
func (w *udfWriter) room(a udfAddr) []byte {
	switch {
	case a.ref == 0:
		return w.at(w.sector(int(a.block)), w.bs)
	case w.o.Kind == "vat":
		return w.at(w.sector(int(w.vat[a.block])), w.bs)
	}
	return w.meta[a.block]
}

// SealUDFTag writes the tag of the descriptor d and its checksums.
func SealUDFTag(d []byte, id uint16, location uint32, covers int) {
	le := binary.LittleEndian
	le.PutUint16(d, id)
	le.PutUint16(d[2:], 3)
	le.PutUint16(d[10:], uint16(covers))
	le.PutUint32(d[12:], location)
	ResealUDFTag(d)
}

// ResealUDFTag makes the two checksums of a descriptor good again.
func ResealUDFTag(d []byte) {
	le := binary.LittleEndian
	n := min(int(le.Uint16(d[10:])), len(d)-16)
	crc := uint16(0)
	for _, b := range d[16 : 16+n] {
		for bit := 7; bit >= 0; bit-- {
			top := crc>>15 ^ uint16(b>>bit)&1
			if crc <<= 1; top != 0 {
				crc ^= 0x1021
			}
		}
	}
	le.PutUint16(d[8:], crc)
	sum := byte(0)
	for i, b := range d[:16] {
		if i != 4 {
			sum += b
		}
	}
	d[4] = sum
}

func udfText(s string) []byte {
	if s == "" {
		return nil
	}
	out, wide := []byte{8}, false
	for _, u := range utf16.Encode([]rune(s)) {
		wide = wide || u > 255
	}
	if wide {
		out[0] = 16
	}
	for _, u := range utf16.Encode([]rune(s)) {
		if wide {
			out = append(out, byte(u>>8))
		}
		out = append(out, byte(u))
	}
	return out
}

func putDstring(field []byte, s string) {
	field[len(field)-1] = byte(copy(field[:len(field)-1], udfText(s)))
}

func putEntity(d []byte, name string, suffix ...byte) {
	copy(d[1:24], name)
	copy(d[24:32], suffix)
}

func putTime(d []byte) {
	copy(d, []byte{0, 0x10, 0xEA, 0x07, 11, 22, 9, 30, 15, 0, 0, 0})
}

func putLong(d []byte, n int64, kind uint32, a udfAddr) {
	binary.LittleEndian.PutUint32(d, uint32(n)|kind<<30)
	binary.LittleEndian.PutUint32(d[4:], a.block)
	binary.LittleEndian.PutUint16(d[8:], a.ref)
}

// udfExtent is a run of content in the partition with the map number ref.
type udfExtent struct {
	n    int64
	kind uint32
	at   udfAddr
}

// node writes a node whose file entry stands at icb.
func (w *udfWriter) node(n *UDFNode, icb, parent udfAddr, place string) {
	w.nodes[place] = icb
	kind, data := n.Type, n.Data
	if kind == 0 {
		kind = 5
	}
	if n.Folder || len(n.Kids) > 0 {
		kind, data = 4, w.folder(n.Kids, icb, parent, place)
	}
	var streams udfAddr
	if len(n.Streams) > 0 {
		streams = w.structure()
		names := w.folder(n.Streams, streams, icb, place+"/streams")
		w.entry(streams, 13, names, &UDFNode{}, udfAddr{})
	}
	w.entry(icb, kind, data, n, streams)
}

// folder writes what is in a folder and returns its identifiers.
func (w *udfWriter) folder(kids []UDFNode, icb, parent udfAddr, place string) []byte {
	out := w.identifier(&UDFNode{}, 0x08, parent, icb)
	for i := range kids {
		k := &kids[i]
		flags := byte(0)
		if k.Folder || len(k.Kids) > 0 {
			flags = 0x02
		}
		if k.Hidden {
			flags |= 0x01
		}
		if k.Deleted {
			out = append(out, w.identifier(k, flags|0x04, udfAddr{}, icb)...)
			continue
		}
		at, linked := w.nodes[k.Link]
		if k.Link == "" || !linked {
			at = w.structure()
			w.node(k, at, icb, strings.TrimPrefix(fmt.Sprintf("%s/%d", place, i), "/"))
		}
		out = append(out, w.identifier(k, flags, at, icb)...)
	}
	return out
}

func (w *udfWriter) identifier(n *UDFNode, flags byte, to, dir udfAddr) []byte {
	name := udfText(n.Name)
	d := make([]byte, (38+len(name)+3)&^3)
	binary.LittleEndian.PutUint16(d[16:], 1)
	d[18], d[19] = flags, byte(len(name))
	if flags&0x04 == 0 {
		putLong(d[20:], int64(w.bs), 0, to)
	}
	copy(d[38:], name)
	SealUDFTag(d, 257, dir.block, len(d)-16)
	return d
}

// entry writes a file entry with its content.
func (w *udfWriter) entry(icb udfAddr, kind uint8, data []byte, n *UDFNode, streams udfAddr) {
	le := binary.LittleEndian
	head, id, modified, unique := 216, uint16(266), 92, 200
	if w.o.Plain || w.o.Revision < 0x0200 {
		head, id, modified, unique = 176, 261, 84, 160
	}
	size := int64(len(data)) + n.Hole + n.Unwritten
	tail := []byte(data)
	embed := n.Hole+n.Unwritten == 0 && len(data) <= w.bs-head && (w.o.Embed || kind != 5)
	flags := uint16(3)
	if !embed {
		flags, tail = w.descriptors(kind, data, n, w.bs-head)
	}
	d := w.room(icb)
	le.PutUint16(d[20:], 4)
	le.PutUint16(d[24:], 1)
	d[27] = kind
	le.PutUint16(d[34:], flags)
	le.PutUint32(d[44:], 0x14A5)
	le.PutUint16(d[48:], 1)
	le.PutUint64(d[56:], uint64(size))
	if head == 216 {
		le.PutUint64(d[64:], uint64(size))
		if len(n.Streams) > 0 {
			putLong(d[152:], int64(w.bs), 0, streams)
		}
	}
	putTime(d[modified:])
	le.PutUint64(d[unique:], uint64(len(w.nodes)+15))
	le.PutUint32(d[head-4:], uint32(len(tail)))
	copy(d[head:], tail)
	SealUDFTag(d, id, icb.block, head-16+len(tail))
}

// descriptors writes content and returns its allocation descriptors, with their
// type; those that do not fit into room go into blocks of their own.
func (w *udfWriter) descriptors(kind uint8, data []byte, n *UDFNode, room int) (flags uint16, ads []byte) {
	var list []udfExtent
	const most = 1<<30 - 4096
	if inside := kind != 5 && w.o.Kind != "vat" && len(w.meta) > 0; inside {
		first := udfAddr{uint32(len(w.meta)), 1}
		for at := 0; at < len(data); at += w.bs {
			copy(w.room(w.structure()), data[at:])
		}
		list = append(list, udfExtent{int64(len(data)), 0, first})
	} else {
		list = w.content(data, n.Pieces)
	}
	for kind, left := range map[uint32]int64{2: n.Hole, 1: n.Unwritten} {
		for ; left > 0; left -= min(left, most) {
			x := udfExtent{min(left, most), kind, udfAddr{}}
			if kind == 1 {
				x.at.block = uint32(w.blocks(int(x.n+int64(w.bs)-1) / w.bs))
			}
			list = append(list, x)
		}
	}
	order := [3]int{0, 2, 1}
	slices.SortStableFunc(list, func(a, b udfExtent) int { return order[a.kind] - order[b.kind] })
	size := 8
	if w.o.LongADs || len(w.vat) > 0 || len(w.meta) > 0 {
		flags, size = 1, 16
	}
	return flags, w.pack(list, size, room)
}

// content writes data in pieces of so many blocks.
func (w *udfWriter) content(data []byte, pieces int) (list []udfExtent) {
	step := len(data)
	if pieces > 0 {
		step = pieces * w.bs
	}
	for len(data) > 0 {
		n := min(step, len(data), 1<<30-4096)
		blocks := (n + w.bs - 1) / w.bs
		first := w.blocks(blocks)
		for i := range blocks {
			copy(w.at(w.sector(first+i), w.bs), data[i*w.bs:n])
		}
		list = append(list, udfExtent{int64(n), 0, udfAddr{uint32(first), 0}})
		if data = data[n:]; pieces > 0 {
			w.blocks(1)
		}
	}
	return list
}

func (w *udfWriter) pack(list []udfExtent, size, room int) []byte {
	le := binary.LittleEndian
	put := func(d []byte, x udfExtent) {
		if size == 16 {
			putLong(d, x.n, x.kind, x.at)
			return
		}
		le.PutUint32(d, uint32(x.n)|x.kind<<30)
		le.PutUint32(d[4:], x.at.block)
	}
	var first []byte
	fill := func(room int) (out []byte, more udfAddr) {
		room -= room % size
		if len(list)*size <= room {
			room = len(list) * size
		}
		for len(out) < room {
			out = append(out, make([]byte, size)...)
			if d := out[len(out)-size:]; len(out) == room && len(list) > 1 {
				more = udfAddr{uint32(w.blocks(1)), 0}
				put(d, udfExtent{int64(w.bs), 3, more})
			} else {
				put(d, list[0])
				list = list[1:]
			}
		}
		return out, more
	}
	first, more := fill(room)
	for len(list) > 0 {
		at := more
		var ads []byte
		ads, more = fill(w.bs - 24)
		d := w.at(w.sector(int(at.block)), w.bs)
		le.PutUint32(d[20:], uint32(len(ads)))
		copy(d[24:], ads)
		SealUDFTag(d, 258, at.block, 8+len(ads))
	}
	return first
}
