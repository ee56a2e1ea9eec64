package wire

import (
	"encoding/binary"
	"strings"
	"unicode/utf8"

	"sallyport/internal/limit"
	"sallyport/internal/medium"
	"sallyport/internal/sandbox"
	"sallyport/internal/verdict"
)

// The longest texts in bytes.
const (
	MaxText    = 4096 // a path
	MaxFinding = 512  // the place or the detail of a finding; longer ones are cut
)

// Each message has one encoding. Integers are little-endian and unsigned,
// texts are UTF-8 after their length in one byte (short) or two.

// AppendHello encodes the proof of a lockdown, with the protocol's version.
func AppendHello(b []byte, p sandbox.Proof) []byte {
	flags := byte(0)
	if p.Seccomp {
		flags |= 1
	}
	if p.NoNewPrivs {
		flags |= 2
	}
	b = append(b, Version, byte(min(p.Landlock, 255)), flags, byte(len(p.Denied)))
	for _, d := range p.Denied {
		b = appendShort(b, d)
	}
	return b
}

// ParseHello decodes a hello.
func ParseHello(b []byte) (sandbox.Proof, error) {
	c := cursor{rest: string(b)}
	if v := c.u8(); c.err == nil && v != Version {
		return sandbox.Proof{}, malformed("the reader speaks version %d of the protocol, this program version %d", v, Version)
	}
	p := sandbox.Proof{Landlock: int(c.u8())}
	flags := c.u8()
	if flags > 3 {
		c.fail("unknown flags in a hello")
	}
	p.Seccomp, p.NoNewPrivs = flags&1 != 0, flags&2 != 0
	for n := int(c.u8()); n > 0 && c.err == nil; n-- {
		p.Denied = append(p.Denied, c.short())
	}
	return p, c.end()
}

// Request is what the parent asks to be listed.
type Request struct {
	Size int64 // bytes of the device
	// Align is the block, in bytes, in which the device can be read: offset,
	// length and memory. A power of two, at most [MaxAlign]; 1 for any bytes.
	Align  int64
	Limits limit.Limits
}

// MaxAlign is the largest logical block that Linux knows, in bytes.
const MaxAlign = 64 << 10

// AppendList encodes a list request; the limits of time stay with the parent.
func AppendList(b []byte, q Request) []byte {
	l := q.Limits
	for _, v := range []int64{q.Size, q.Align, l.Entries, l.FileBytes, l.Bytes, int64(l.Depth), int64(l.NameBytes), int64(l.PathBytes), l.MetaBytes} {
		b = binary.LittleEndian.AppendUint64(b, uint64(v))
	}
	return b
}

// ParseList decodes a list request.
func ParseList(b []byte) (Request, error) {
	c := cursor{rest: string(b)}
	var q Request
	l := &q.Limits
	q.Size, q.Align, l.Entries, l.FileBytes, l.Bytes = c.i64(), c.i64(), c.i64(), c.i64(), c.i64()
	if q.Align < 1 || q.Align > MaxAlign || q.Align&(q.Align-1) != 0 {
		c.fail("an alignment that is none")
	}
	l.Depth, l.NameBytes, l.PathBytes, l.MetaBytes = int(c.i64()), int(c.i64()), int(c.i64()), c.i64()
	return q, c.end()
}

// Medium opens a listing.
type Medium struct {
	Size  int64
	Table string
}

// AppendMedium encodes m.
func AppendMedium(b []byte, m Medium) []byte {
	return appendShort(binary.LittleEndian.AppendUint64(b, uint64(m.Size)), m.Table)
}

// ParseMedium decodes a medium.
func ParseMedium(b []byte) (Medium, error) {
	c := cursor{rest: string(b)}
	m := Medium{Size: c.i64(), Table: c.short()}
	return m, c.end()
}

// Volume is one volume of the medium.
type Volume struct {
	Index        uint32
	Offset, Size int64
	FS           string
	Label, ID    string
	Deleted      int64 // deleted entries that were seen
}

// AppendVolume encodes v.
func AppendVolume(b []byte, v Volume) []byte {
	b = binary.LittleEndian.AppendUint32(b, v.Index)
	b = binary.LittleEndian.AppendUint64(b, uint64(v.Offset))
	b = binary.LittleEndian.AppendUint64(b, uint64(v.Size))
	b = appendShort(appendShort(appendShort(b, v.FS), v.Label), v.ID)
	return binary.LittleEndian.AppendUint64(b, uint64(v.Deleted))
}

// ParseVolume decodes a volume.
func ParseVolume(b []byte) (Volume, error) {
	c := cursor{rest: string(b)}
	v := Volume{Index: c.u32(), Offset: c.i64(), Size: c.i64(), FS: c.short(), Label: c.short(), ID: c.short(), Deleted: c.i64()}
	return v, c.end()
}

// AppendFinding encodes f; longer texts than [MaxFinding] are cut.
func AppendFinding(b []byte, f *verdict.Finding) []byte {
	return appendLong(appendLong(appendShort(b, string(f.Reason)), f.Where, MaxFinding), f.Detail, MaxFinding)
}

// ParseFinding decodes a finding. Whether its reason exists, and may come from
// the sender, is for the receiver to check.
func ParseFinding(b []byte) (*verdict.Finding, error) {
	c := cursor{rest: string(b)}
	f := c.finding()
	return f, c.end()
}

// AppendDeleted encodes the path of a deleted entry.
func AppendDeleted(b []byte, path string) []byte { return appendLong(b, path, MaxText) }

// ParseDeleted decodes the path of a deleted entry.
func ParseDeleted(b []byte) (string, error) {
	c := cursor{rest: string(b)}
	path := c.long(MaxText)
	return path, c.end()
}

// Entry is what has a name on the last volume.
type Entry struct {
	Path     string
	Type     medium.Type
	Traits   medium.Traits
	Size     int64
	Modified string
	Problem  *verdict.Finding
}

const flagProblem = 1

// AppendEntry encodes e behind others of the same frame.
func AppendEntry(b []byte, e Entry) []byte {
	flags := byte(0)
	if e.Problem != nil {
		flags |= flagProblem
	}
	b = binary.LittleEndian.AppendUint64(append(b, byte(e.Type), byte(e.Traits), flags), uint64(e.Size))
	b = appendShort(appendLong(b, e.Path, MaxText), e.Modified)
	if e.Problem != nil {
		b = AppendFinding(b, e.Problem)
	}
	return b
}

// ParseEntries decodes the entries of a frame, of which there is at least one,
// and hands each to take, whose error ends it. Their texts share one string.
func ParseEntries(b []byte, take func(Entry) error) error {
	c := cursor{rest: string(b)}
	for {
		e := Entry{Type: medium.Type(c.u8()), Traits: medium.Traits(c.u8())}
		flags := c.u8()
		if flags > flagProblem || !e.Type.Valid() || !e.Traits.Valid() {
			c.fail("an unknown type, trait or flag of an entry")
		}
		e.Size, e.Path, e.Modified = c.i64(), c.long(MaxText), c.short()
		if flags&flagProblem != 0 {
			e.Problem = c.finding()
		}
		if c.err != nil {
			return c.err
		}
		if err := take(e); err != nil {
			return err
		}
		if c.rest == "" {
			return nil
		}
	}
}

// AppendNumber encodes the payload of progress.
func AppendNumber(b []byte, n int64) []byte { return binary.LittleEndian.AppendUint64(b, uint64(n)) }

// ParseNumber decodes the payload of progress.
func ParseNumber(b []byte) (int64, error) {
	c := cursor{rest: string(b)}
	n := c.i64()
	return n, c.end()
}

// PutID writes the number of an entry into four bytes of b: the payload of
// file, and one of those of ask.
func PutID(b []byte, id uint32) { binary.LittleEndian.PutUint32(b, id) }

// ParseIDs decodes the payload of file (one number) or ask (one or more).
func ParseIDs(b []byte, take func(id uint32) error) error {
	if len(b) == 0 || len(b)%4 != 0 {
		return malformed("%d bytes are not a list of entries", len(b))
	}
	for ; len(b) > 0; b = b[4:] {
		if err := take(binary.LittleEndian.Uint32(b)); err != nil {
			return err
		}
	}
	return nil
}

// Chunk is a run of bytes in the current slot.
type Chunk struct{ Off, Len uint32 }

// PutChunk writes the payload of data into eight bytes of b.
func PutChunk(b []byte, c Chunk) {
	binary.LittleEndian.PutUint32(b, c.Off)
	binary.LittleEndian.PutUint32(b[4:], c.Len)
}

// ParseChunk decodes the payload of data. The chunk is not empty and lies
// within a slot.
func ParseChunk(b []byte) (Chunk, error) {
	if len(b) != 8 {
		return Chunk{}, malformed("a chunk of %d bytes", len(b))
	}
	c := Chunk{Off: binary.LittleEndian.Uint32(b), Len: binary.LittleEndian.Uint32(b[4:])}
	if c.Len == 0 || uint64(c.Off)+uint64(c.Len) > SlotBytes {
		return Chunk{}, malformed("a chunk of %d bytes at %d of a slot", c.Len, c.Off)
	}
	return c, nil
}

// ParseEmpty checks the payload of a frame that has none.
func ParseEmpty(b []byte) error {
	if len(b) != 0 {
		return malformed("%d bytes in a frame that carries none", len(b))
	}
	return nil
}

// cut makes s valid and shortens it to at most n bytes without cutting a character.
func cut(s string, n int) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

func appendShort(b []byte, s string) []byte {
	s = cut(s, 255)
	return append(append(b, byte(len(s))), s...)
}

func appendLong(b []byte, s string, most int) []byte {
	s = cut(s, most)
	return append(binary.LittleEndian.AppendUint16(b, uint16(len(s))), s...)
}

// cursor decodes values one after another; after the first error all are zero.
// It works on a string, so that the texts taken from it need no copies.
type cursor struct {
	rest string
	err  error
}

func (c *cursor) fail(problem string) {
	if c.err == nil {
		c.err = &Malformed{Problem: problem}
	}
	c.rest = ""
}

// take returns the next n bytes, or n zeros after an error.
func (c *cursor) take(n int) string {
	if len(c.rest) < n {
		c.fail("a message that ends too early")
		return string(make([]byte, n))
	}
	s := c.rest[:n]
	c.rest = c.rest[n:]
	return s
}

func (c *cursor) u8() byte { return c.take(1)[0] }

func (c *cursor) u16() int {
	s := c.take(2)
	return int(s[0]) | int(s[1])<<8
}

func (c *cursor) u32() uint32 {
	s := c.take(4)
	return uint32(s[0]) | uint32(s[1])<<8 | uint32(s[2])<<16 | uint32(s[3])<<24
}

// i64 is an unsigned 64-bit number that fits a signed one.
func (c *cursor) i64() int64 {
	lo := c.u32()
	v := int64(c.u32())<<32 | int64(lo)
	if v < 0 {
		c.fail("a number over 2^63-1")
		return 0
	}
	return v
}

func (c *cursor) text(n, most int) string {
	if n > most {
		c.fail("a text that is too long")
		return ""
	}
	if c.err != nil {
		return ""
	}
	s := c.take(n)
	if c.err != nil || !utf8.ValidString(s) {
		c.fail("a text that is not UTF-8")
		return ""
	}
	return s
}

func (c *cursor) short() string        { return c.text(int(c.u8()), 255) }
func (c *cursor) long(most int) string { return c.text(c.u16(), most) }

func (c *cursor) finding() *verdict.Finding {
	return &verdict.Finding{Reason: verdict.Reason(c.short()), Where: c.long(MaxFinding), Detail: c.long(MaxFinding)}
}

// end returns the first error, or one when bytes are left.
func (c *cursor) end() error {
	if c.err == nil && c.rest != "" {
		c.fail("bytes behind the end of a message")
	}
	return c.err
}
