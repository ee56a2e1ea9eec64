package ntfs

import (
	"bytes"
	"fmt"

	"sallyport/internal/verdict"
	"sallyport/internal/volume/layout"
)

const (
	// maxListBytes is the largest attribute list that NTFS allows.
	maxListBytes = 256 << 10
	// maxAgain bounds how much of attribute lists is gone through a second time,
	// for the further names of files and for folders. With 200,000 names of
	// files with the longest lists it would be 1.6 thousand million entries.
	maxAgain = 32 << 20
)

// Namespaces of a name.
const (
	spacePOSIX = iota
	spaceWin32
	spaceDOS
	spaceBoth
)

// fileName is one name that a file gives itself.
type fileName struct {
	parent ref
	space  uint8
	name   []byte // UTF-16
}

// node is a file or folder: what its record and the records that extend it say.
// One is used again and again.
type node struct {
	rec         record
	modified    uint64
	hasStandard bool
	attrs       uint32 // DOS attributes
	names       []fileName
	text        []byte // room for names
	data        content
	hasData     bool
	streams     []altStream
	reparse     bool
	tag         uint32
	root        []byte // value of the index root
	rootAt      int64  // where it stands in the master file table
	hasRoot     bool
	blocks      content // of the index
	bitmap      content // of the index, or of the master file table
	inBitmap    []byte  // the bitmap when it is in the record
	hasBitmap   bool
	other       content // whatever else is in clusters
	current     *content
	// problem is the first damage met.
	problem *verdict.Finding
}

// altStream is one alternate data stream.
type altStream struct {
	name    []byte // UTF-16
	size    int64
	flags   uint16
	problem *verdict.Finding
}

func (n *node) reset() {
	for _, c := range []*content{&n.data, &n.blocks, &n.bitmap, &n.other} {
		*c = content{ext: c.ext[:0]}
	}
	*n = node{rec: n.rec, names: n.names[:0], text: n.text[:0], streams: n.streams[:0], root: n.root[:0], inBitmap: n.inBitmap[:0],
		data: n.data, blocks: n.blocks, bitmap: n.bitmap, other: n.other}
}

func (n *node) keep(p []byte) []byte {
	at := len(n.text)
	n.text = append(n.text, p...)
	return n.text[at:len(n.text):len(n.text)]
}

func (n *node) damaged(v *volume, detail string, args ...any) {
	if n.problem == nil {
		n.problem = verdict.New(verdict.FilesystemInconsistent, v.recordAt(n.rec.number), detail, args...)
	}
}

// recordAt names a file record for a finding.
func (v *volume) recordAt(number int64) string {
	what := fmt.Sprintf("file record %d", number)
	if at := number * v.record; at >= 0 && at < v.mft.size {
		off, _ := v.mft.place(at)
		return layout.At(what, off)
	}
	return what
}

// gather reads all attributes of the file whose record is in n.rec. With
// v.claiming its clusters become its own. Damage is in n.problem and ends the
// gathering; the error is a limit or the device.
func (v *volume) gather(n *node) error {
	n.reset()
	v.at = n.rec.number
	var a attribute
	for pos := n.rec.first; ; {
		next, done, why := n.rec.next(pos, &a)
		if why != "" {
			n.damaged(v, "%s", why)
		}
		if done {
			break
		}
		if pos = next; a.kind == attrList {
			if err := v.readList(n, &a); err != nil || n.problem != nil {
				return err
			}
			if err := v.takeListed(n); err != nil || n.problem != nil {
				return err
			}
			return v.finish(n)
		}
	}
	if n.problem != nil {
		return nil
	}
	a = attribute{}
	for pos := n.rec.first; ; {
		next, done, _ := n.rec.next(pos, &a)
		if done {
			return v.finish(n)
		}
		pos = next
		if err := v.take(n, &n.rec, &a); err != nil || n.problem != nil {
			return err
		}
	}
}

// readList puts the value of the attribute list into v.list.
func (v *volume) readList(n *node, a *attribute) error {
	if a.resident {
		v.list = append(v.list[:0], a.value...)
		return nil
	}
	n.other = content{ext: n.other.ext[:0]}
	if a.lowest != 0 || a.size > maxListBytes || a.initialised != a.size || a.flags != 0 {
		n.damaged(v, "its attribute list claims %d bytes, %d of them written", a.size, a.initialised)
		return nil
	}
	why, err := v.pieces(&n.other, a)
	if err != nil {
		return err
	}
	if why == "" && ((a.highest+1)*v.cluster < a.size || n.other.holes) {
		why = fmt.Sprintf("%d clusters do not hold %d bytes", a.highest+1, a.size)
	}
	if why != "" {
		n.damaged(v, "its attribute list: %s", why)
		return nil
	}
	v.list = append(v.list[:0], make([]byte, a.size)...)
	rest := v.list
	for _, x := range n.other.ext {
		k := min(x.Len, int64(len(rest)))
		if err := v.w.Dev.Read(rest[:k], x.Off, "attribute list"); err != nil {
			return err
		}
		rest = rest[k:]
	}
	return nil
}

// takeListed takes the attributes in the order of the list in v.list, from the
// record that each stands in.
func (v *volume) takeListed(n *node) error {
	const headBytes = 26
	v.ext.number = -1
	listed, there := 0, count(&n.rec)-1 // the list does not list itself
	before, named := uint32(0), false
	for p := v.list; len(p) > 0; {
		length := 0
		if len(p) >= headBytes {
			length = int(le.Uint16(p[4:]))
		}
		nameLen, nameAt := 0, 0
		if length >= headBytes {
			nameLen, nameAt = 2*int(p[6]), int(p[7])
		}
		if length < headBytes || length%8 != 0 || length > len(p) || nameAt+nameLen > length {
			n.damaged(v, "its attribute list is damaged %d bytes before its end", len(p))
			return nil
		}
		if !v.claiming {
			if v.again++; v.again > maxAgain {
				return verdict.New(verdict.OverLimit, v.recordAt(n.rec.number), "the volume has too many links to files with long attribute lists")
			}
		}
		kind, lowest, in, instance := le.Uint32(p), int64(le.Uint64(p[8:])), ref(le.Uint64(p[16:])), le.Uint16(p[24:])
		name := p[nameAt : nameAt+nameLen]
		p = p[length:]
		if kind < before || kind == before && named && nameLen == 0 {
			n.damaged(v, "its attribute list is not in the order of types and names: systems would find different attributes")
			return nil
		}
		before, named = kind, nameLen > 0
		r := &n.rec
		if in != n.rec.ref() {
			fresh, err := v.extension(n, in)
			if err != nil || n.problem != nil {
				return err
			}
			if r = &v.ext; fresh {
				there += count(r)
			}
		}
		var a attribute
		if !find(r, instance, &a) || a.kind != kind || !bytes.Equal(a.name, name) || a.lowest != lowest || kind == attrList {
			n.damaged(v, "its attribute list names an attribute of type %#x in record %d, and there is none like it", kind, in.number())
			return nil
		}
		listed++
		if err := v.take(n, r, &a); err != nil || n.problem != nil {
			return err
		}
	}
	if v.claiming && listed != there {
		n.damaged(v, "its attribute list names %d attributes and its records hold %d", listed, there)
	}
	return nil
}

// extension loads the record that extends n into v.ext and says whether n comes
// to it for the first time.
func (v *volume) extension(n *node, in ref) (fresh bool, err error) {
	if v.ext.number == in.number() {
		return false, nil
	}
	v.ext.number = -1
	if in.number() >= v.records {
		n.damaged(v, "its attribute list leads to file record %d; there are %d", in.number(), v.records)
		return false, nil
	}
	why, err := v.load(&v.ext, in.number(), true)
	if err != nil {
		return false, err
	}
	if why != "" && v.claiming && v.seen != nil {
		// It is damaged: this file has the loss, and nobody else is to be told.
		if _, err := v.mark(v.seen, in.number()); err != nil {
			return false, err
		}
	}
	if why == "" {
		switch r := &v.ext; {
		case !r.inUse():
			why = "it is not in use"
		case r.seq != in.seq() || r.base != n.rec.ref():
			why = "it belongs to another file"
		}
	}
	if why != "" {
		v.ext.number = -1
		n.damaged(v, "it is continued in file record %d: %s", in.number(), why)
		return false, nil
	}
	if v.claiming && v.seen != nil {
		return v.mark(v.seen, in.number())
	}
	return false, nil
}

// count returns the number of attributes of a record.
func count(r *record) (n int) {
	var a attribute
	for pos := r.first; ; n++ {
		next, done, _ := r.next(pos, &a)
		if done {
			return n
		}
		pos = next
	}
}

func find(r *record, instance uint16, a *attribute) bool {
	for pos := r.first; ; {
		next, done, _ := r.next(pos, a)
		if done {
			return false
		}
		if a.instance == instance {
			return true
		}
		pos = next
	}
}
