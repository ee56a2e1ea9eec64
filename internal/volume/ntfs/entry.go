package ntfs

import (
	"fmt"
	"time"

	"sallyport/internal/medium"
	"sallyport/internal/verdict"
	"sallyport/internal/volume/layout"
)

const (
	dosHidden = 0x2
	dosSystem = 0x4

	// surrogate marks reparse points that stand for something else; systems go
	// into folders with others.
	surrogate = 0x20000000
)

// reparseType says what a reparse point is, by its tag (MS-FSCC section
// 2.1.2.1). name is empty where the type says it all.
func reparseType(tag uint32) (t medium.Type, name string) {
	switch tag {
	case 0xA000000C, 0xA0000003, 0xA000001D: // symbolic link, mount point or junction, WSL's link
		return medium.Symlink, ""
	case 0x80000023:
		return medium.Socket, ""
	case 0x80000024:
		return medium.FIFO, ""
	case 0x80000025:
		return medium.CharDevice, ""
	case 0x80000026:
		return medium.BlockDevice, ""
	case 0x80000017:
		return medium.File, "content compressed by the Windows overlay filter (WOF)"
	case 0x80000013:
		return medium.Other, "a deduplicated file"
	case 0x80000021:
		return medium.Other, "a file of OneDrive"
	case 0x8000001B:
		return medium.Other, "an execution alias of an app"
	}
	const cloud, cloudMask = 0x9000001A, 0xFFFF0FFF
	switch {
	case tag&cloudMask == cloud:
		return medium.Other, "a file whose content is in a cloud store"
	case tag&surrogate != 0:
		return medium.Symlink, "a link of an unknown kind"
	}
	return medium.Other, "a reparse point of an unknown kind"
}

// enters says whether systems list what is below n.
func (v *volume) enters(n *node) bool {
	return n.rec.folder() && !(n.reparse && n.tag&surrogate != 0)
}

// describe fills type, size, content and problem of an entry.
func (v *volume) describe(e *layout.Entry, n *node, again bool) error {
	e.Problem = n.problem
	kind, name := medium.File, ""
	if n.reparse {
		kind, name = reparseType(n.tag)
	}
	switch {
	case n.problem != nil && n.rec.folder() || v.enters(n):
		e.Type = medium.Folder
	case kind == medium.File && again:
		e.Type, e.Size = medium.HardLink, n.data.size
	default:
		e.Type = kind
	}
	if name != "" && e.Problem == nil {
		e.Problem = verdict.New(verdict.FilesystemUnsupported, v.recordAt(n.rec.number), "%s (reparse tag %08X)", name, n.tag)
	}
	if e.Type != medium.File {
		return nil
	}
	c := &n.data
	if e.Size = c.size; name != "" {
		e.Traits = medium.Compressed
		return nil
	}
	if !n.hasData && e.Problem == nil {
		e.Problem = verdict.New(verdict.FilesystemInconsistent, v.recordAt(n.rec.number), "the file has no content, not even an empty one")
	}
	if n.attrs&dosSystem != 0 && e.Problem == nil {
		special, err := v.interix(n)
		if err != nil {
			return err
		}
		if special != medium.File {
			e.Type, e.Size = special, 0
			return nil
		}
	}
	return v.content(e, n)
}

// content gives the extents of a file, or says why there are none.
func (v *volume) content(e *layout.Entry, n *node) error {
	c := &n.data
	e.Traits = traits(c.flags, c.inside, c.holes)
	what := ""
	switch {
	case c.encrypted():
		what = "its content is encrypted (EFS)"
	case c.problem != nil && e.Problem == nil:
		e.Problem = c.problem
		return nil
	case c.compressed() && c.size > 0:
		what = "its content is compressed (LZNT1)"
	case n.problem != nil:
		// What stands before the damage; nothing is known of the rest.
		c.size = min(c.size, c.initialised)
		c.initialised = c.size
		err := v.cut(c)
		e.Extents = c.ext
		return err
	default:
		e.Extents = c.ext
		return nil
	}
	if e.Problem == nil {
		e.Problem = verdict.New(verdict.FilesystemUnsupported, v.recordAt(n.rec.number), "%s", what)
	}
	return nil
}

func traits(flags uint16, inside, holes bool) (t medium.Traits) {
	if flags&flagEncrypted != 0 {
		t |= medium.Encrypted
	}
	if inside {
		return t
	}
	if flags&flagCompressed != 0 {
		t |= medium.Compressed
	} else if holes {
		t |= medium.Sparse
	}
	return t
}

// interix recognises the special files of Interix, which ntfs-3g makes and
// shows as what they mean and Windows as small system files (ntfs-3g dir.c,
// ntfs_interix_types). What is special to one of them is not read.
func (v *volume) interix(n *node) (medium.Type, error) {
	const headBytes, deviceBytes, mostLink = 8, 24, 8 + 2*4096
	c := &n.data
	switch {
	case c.compressed() || c.encrypted():
		return medium.File, nil
	case c.size == 0 && n.attrs&dosHidden == 0:
		return medium.FIFO, nil
	case c.size == 1 && n.attrs&dosHidden == 0:
		return medium.Socket, nil
	case c.size <= headBytes || c.size > mostLink:
		return medium.File, nil
	}
	if !c.inside {
		if len(c.ext) == 0 || c.ext[0].Off == layout.Zeros || c.ext[0].Len < headBytes {
			return medium.File, nil
		}
		if err := v.w.Dev.Read(c.head[:], c.ext[0].Off, "system file"); err != nil {
			return medium.File, err
		}
	}
	switch string(c.head[:]) {
	case "IntxLNK\x01":
		return medium.Symlink, nil
	case "IntxCHR\x00":
		if c.size == deviceBytes {
			return medium.CharDevice, nil
		}
	case "IntxBLK\x00":
		if c.size == deviceBytes {
			return medium.BlockDevice, nil
		}
	}
	return medium.File, nil
}

// addStreams lists the alternate data streams of n, whose name is file.
func (v *volume) addStreams(parent string, file []byte, n *node) error {
	if len(n.streams) == 0 {
		return nil
	}
	base := append([]byte(nil), file...)
	for i := range n.streams {
		s := &n.streams[i]
		e := layout.Entry{Type: medium.Stream, Size: s.size, Traits: traits(s.flags, false, s.flags&flagSparse != 0), Problem: s.problem}
		v.units = units(v.units[:0], s.name)
		name := append(append(make([]byte, 0, len(base)+3*len(v.units)+1), base...), ':')
		name, good := layout.AppendName(name, v.units)
		if !good && e.Problem == nil {
			e.Problem = verdict.New(verdict.FilesystemInconsistent, v.recordAt(n.rec.number), "the name of the stream has characters that cannot be shown or may not be used")
		}
		if _, err := v.w.Add(parent, name, e); err != nil {
			return err
		}
	}
	return nil
}

// timeText is a time that was rendered before.
type timeText struct {
	second uint64
	text   string
}

// time renders a number of 100 nanoseconds since 1601 in UTC to the second, or
// "" when it is no time of the years up to 9999.
func (v *volume) time(t uint64) string {
	const second, toUnix, most = 10_000_000, 11_644_473_600, 265_046_774_400
	t /= second
	slot := &v.times[t*0x9E3779B97F4A7C15>>58]
	if slot.text == "" || slot.second != t {
		if t == 0 || t >= most {
			return ""
		}
		*slot = timeText{t, time.Unix(int64(t)-toUnix, 0).UTC().Format("2006-01-02T15:04:05")}
	}
	return slot.text
}

// tally keeps the first of many and how many there were.
type tally struct {
	first  string
	where  string
	number int64
}

func (t *tally) add(where, what string) {
	if t.number++; t.number == 1 {
		t.where, t.first = where, what
	}
}

func (t *tally) report(v *volume) error {
	switch t.number {
	case 0:
		return nil
	case 1:
		return v.w.Inconsistent(t.where, "%s", t.first)
	}
	return v.w.Inconsistent(t.where, "%s", fmt.Sprintf("%s; the same goes for %d more", t.first, t.number-1))
}
