package dialect

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"
)

// document reads one JSON document token by token, within a budget: between
// two calls of allow, no more than that many bytes.
type document struct {
	file  string
	notes *notes
	dec   *jsontext.Decoder
	in    *bounded
}

// readAhead is what the decoder may have read beyond what was asked for.
const readAhead = 1 << 20

type bounded struct {
	r           io.Reader
	file        string
	read, limit int64
}

func (b *bounded) Read(p []byte) (int, error) {
	if b.read >= b.limit {
		return 0, over(b.file, "one part of the document is too large: a record may have %d MiB, any other document %d MiB", maxSession>>20, maxManifest>>20)
	}
	if most := b.limit - b.read; int64(len(p)) > most {
		p = p[:most]
	}
	n, err := b.r.Read(p)
	b.read += int64(n)
	return n, err
}

func newDocument(r io.Reader, file string, n *notes) (*document, error) {
	br := bufio.NewReader(r)
	if head, _ := br.Peek(3); string(head) == "\xef\xbb\xbf" {
		n.add(file, ByteOrderMark)
		_, _ = br.Discard(3)
	}
	in := &bounded{r: br, file: file, limit: maxManifest + readAhead}
	return &document{file: file, notes: n, dec: jsontext.NewDecoder(in), in: in}, nil
}

// allow gives the next part of the document its own budget.
func (d *document) allow(most int64) { d.in.limit = d.dec.InputOffset() + most + readAhead }

// object reads an object: member reads the value of each.
func (d *document) object(member func(name string) error) error {
	if err := d.open('{', "an object"); err != nil {
		return err
	}
	for d.dec.PeekKind() != '}' {
		t, err := d.dec.ReadToken()
		if err != nil {
			return d.failed(err)
		}
		if err := member(t.String()); err != nil {
			return err
		}
	}
	_, err := d.dec.ReadToken()
	return d.failed(err)
}

// list reads an array: element reads each of its values.
func (d *document) list(element func() error) error {
	if err := d.open('[', "a list"); err != nil {
		return err
	}
	for d.dec.PeekKind() != ']' {
		if err := element(); err != nil {
			return err
		}
	}
	_, err := d.dec.ReadToken()
	return d.failed(err)
}

func (d *document) open(k jsontext.Kind, what string) error {
	if have := d.dec.PeekKind(); have != k && have != 0 {
		return d.broken(ruleType, "this must be %s", what)
	}
	_, err := d.dec.ReadToken()
	return d.failed(err)
}

// null reads a null, if it is one.
func (d *document) null() bool {
	if d.dec.PeekKind() != 'n' {
		return false
	}
	_, err := d.dec.ReadToken()
	return err == nil
}

func (d *document) text(to *string) error {
	if k := d.dec.PeekKind(); k != '"' && k != 0 {
		return d.broken(ruleType, "this must be a string")
	}
	t, err := d.dec.ReadToken()
	if err != nil {
		return d.failed(err)
	}
	*to = t.String()
	if len(*to) > maxName {
		return over(d.where(), "a text has more than %d bytes", maxName)
	}
	return nil
}

// name is [document.text] for a name.
func (d *document) name(to *string) error {
	s := ""
	if err := d.text(&s); err != nil {
		return err
	}
	var err error
	*to, err = d.notes.name(d.where(), s)
	return err
}

func (d *document) integer(to *int) error {
	if k := d.dec.PeekKind(); k != '0' && k != 0 {
		return d.broken(ruleType, "this must be an integer")
	}
	v, err := d.dec.ReadValue()
	if err != nil {
		return d.failed(err)
	}
	n, err := strconv.ParseInt(string(v), 10, 32)
	if err != nil {
		return d.broken(ruleType, "this must be an integer without fraction or exponent, within 32 bits")
	}
	*to = int(n)
	return nil
}

func (d *document) boolean(to *bool) error {
	k := d.dec.PeekKind()
	if k != 't' && k != 'f' && k != 0 {
		return d.broken(ruleType, "this must be true or false")
	}
	if _, err := d.dec.ReadToken(); err != nil {
		return d.failed(err)
	}
	*to = k == 't'
	return nil
}

// id reads an identifier that is a string or an integer.
func (d *document) id(to *string) error {
	if d.dec.PeekKind() == '"' {
		if err := d.text(to); err != nil {
			return err
		}
		if len(*to) > maxID {
			return over(d.where(), "an identifier has more than %d bytes", maxID)
		}
		return nil
	}
	var n int
	err := d.integer(&n)
	*to = strconv.Itoa(n)
	return err
}

func (d *document) skip() error { return d.failed(d.dec.SkipValue()) }

// ignore skips a member beside the votes that this reader does not know.
func (d *document) ignore() error {
	d.notes.add(d.where(), MemberIgnored)
	return d.skip()
}

// unknown refuses a member among the votes that this reader does not know: it
// might change one.
func (d *document) unknown() error {
	return d.broken(ruleMemberUnknown, "this reader does not know the member, which might change a vote")
}

// end makes sure that nothing follows.
func (d *document) end() error {
	if _, err := d.dec.ReadToken(); !errors.Is(err, io.EOF) {
		if err == nil {
			return d.broken(ruleJSON, "there is more after the end of the document")
		}
		return d.failed(err)
	}
	return nil
}

func (d *document) where() string { return d.file + "#" + string(d.dec.StackPointer()) }

func (d *document) broken(rule, format string, args ...any) error {
	return broken(d.where(), rule, format, args...)
}

func (d *document) failed(err error) error {
	if err == nil || passes(err) {
		return err
	}
	var syn *jsontext.SyntacticError
	if errors.As(err, &syn) {
		return broken(d.file+"#"+string(syn.JSONPointer), ruleJSON, "at byte %d: %v", syn.ByteOffset, syn.Err)
	}
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		return d.broken(ruleJSON, "the document ends too early")
	}
	return fmt.Errorf("cannot read %q: %w", d.file, err)
}
