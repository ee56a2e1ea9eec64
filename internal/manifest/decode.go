package manifest

import (
	"strconv"
	"strings"

	"sallyport/internal/strictjson"
)

// A manifest is a short head and a list of up to 100,000 files, every one with
// the same four members. A general decoder takes 3.5 µs and 1.4 kB of memory
// for each, and a second pass to prove that the encoding is canonical; reading
// the only text that is canonical takes a tenth of both. Lists that are not
// written in it go to the general decoder, which accepts or explains; a fuzz
// target holds the two against each other.
const listStart = `,"files":[`

// decode decodes the one canonical encoding of a payload with n files. It does
// not check values. The members of the files are parts of text.
func decode(text string, n int) (*Payload, error) {
	if at := strings.Index(text, listStart); at > 0 {
		p := &Payload{}
		if strictjson.DecodeCanonical([]byte(text[:at]+listStart+"]}"), p, MaxEnvelope) == nil {
			c := cursor{rest: text[at+len(listStart):]}
			if p.Files = c.files(n); p.Files != nil {
				return p, nil
			}
		}
	}
	p := &Payload{}
	if err := strictjson.DecodeCanonical([]byte(text), p, MaxEnvelope); err != nil {
		return nil, malformed("payload", "%v", err)
	}
	return p, nil
}

// cursor reads canonical text from left to right. After it has failed it reads
// nothing more.
type cursor struct {
	rest   string
	failed bool
}

// files reads n files and the end of the payload; nil means that the text is
// something else.
func (c *cursor) files(n int) []File {
	files := make([]File, 0, n)
	for range n {
		if len(files) > 0 {
			c.literal(`,`)
		}
		var f File
		c.literal(`{"path":`)
		f.Path = c.text()
		c.literal(`,"size":`)
		f.Size = c.number()
		c.literal(`,"sha256":`)
		f.SHA256 = c.text()
		c.literal(`,"media_type":`)
		f.MediaType = c.text()
		c.literal(`}`)
		if c.failed {
			return nil
		}
		files = append(files, f)
	}
	if c.literal(`]}`); c.failed || c.rest != "" {
		return nil
	}
	return files
}

func (c *cursor) literal(s string) {
	rest, ok := strings.CutPrefix(c.rest, s)
	if !ok {
		c.failed = true
	}
	c.rest = rest
}

// text reads a string of printable ASCII without an escape: more is not allowed
// in any member of a file.
func (c *cursor) text() string {
	c.literal(`"`)
	for i := range len(c.rest) {
		switch b := c.rest[i]; {
		case b == '"':
			s := c.rest[:i]
			c.rest = c.rest[i+1:]
			return s
		case b < ' ' || b > '~' || b == '\\':
			c.failed = true
			return ""
		}
	}
	c.failed = true
	return ""
}

// number reads an integer from 0 to 2^53-1 without a needless zero.
func (c *cursor) number() int64 {
	i := 0
	for i < len(c.rest) && c.rest[i] >= '0' && c.rest[i] <= '9' {
		i++
	}
	n, err := strconv.ParseInt(c.rest[:i], 10, 64)
	if err != nil || n > 1<<53-1 || c.rest[0] == '0' && i > 1 {
		c.failed = true
		return 0
	}
	c.rest = c.rest[i:]
	return n
}
