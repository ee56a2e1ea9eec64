package cdf

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/go-json-experiment/json/jsontext"

	"sallyport/internal/verdict"
)

// MaxDocument is the most bytes of a document that is read whole.
const MaxDocument = 128 << 20

// ReadOptions says what [Reader.ReadDocument] is given. The zero value finds
// out format and encoding, and is strict.
type ReadOptions struct {
	Format   Format   // refused when the document is of another; 0: any
	Encoding Encoding // 0: XML when the first character is '<', otherwise JSON
	Lenient  bool     // accept the deviations on the closed list of FORMAT.md
}

// ReadDocument reads a document whole and checks it: schema, references and
// rules. file is what findings call it. A lenient reader returns the deviations
// that it accepted, and the document without them. Faults are findings:
// content-invalid, or over-limit; the first one ends the reading.
func (r *Reader) ReadDocument(ctx context.Context, file string, doc io.Reader, opt ReadOptions) (*Document, []Deviation, error) {
	var lenient *deviations
	if opt.Lenient {
		lenient = &deviations{}
	}
	data, err := io.ReadAll(&budget{file: file, r: doc, limit: MaxDocument, whole: true})
	if err != nil {
		if _, ok := verdict.Find(err); ok {
			return nil, nil, err
		}
		return nil, nil, fmt.Errorf("cannot read %q: %w", file, err)
	}
	enc, src := detect(file, bytes.NewReader(data), opt.Encoding, lenient)
	s, err := r.schemaOf(file, data, enc, opt)
	if err != nil {
		return nil, nil, err
	}
	c := newChecker(file, s, &budget{whole: true})
	c.lenient, c.tree = lenient, &builder{ctx: ctx, file: file}
	if enc == XML {
		err = newXMLWalker(c, src).document()
	} else {
		err = newWalker(c, src).document()
	}
	if err != nil {
		return nil, nil, err
	}
	d := &Document{Format: s.format, Root: c.tree.root, schema: s, file: file}
	if lenient != nil {
		d.mend(lenient)
	}
	if err := d.check(); err != nil {
		return nil, nil, err
	}
	return d, lenient.found(), nil
}

// detect finds out the encoding, and takes away a byte order mark where it may
// stand: in XML, which allows it, and in JSON for a lenient reader.
func detect(file string, doc io.Reader, enc Encoding, lenient *deviations) (Encoding, io.Reader) {
	head := make([]byte, 512)
	n, err := io.ReadFull(doc, head)
	head = head[:n]
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		doc = io.MultiReader(failing{err}, doc)
	}
	rest := bytes.TrimPrefix(head, []byte(bom))
	if enc == 0 {
		enc = JSON
		if bytes.HasPrefix(bytes.TrimLeft(rest, " \t\r\n"), []byte("<")) {
			enc = XML
		}
	}
	if len(rest) < len(head) && (enc == XML || lenient != nil) {
		head = rest
		if enc == JSON {
			lenient.addAt(file, "", "bom", "the byte order mark was skipped")
		}
	}
	return enc, io.MultiReader(bytes.NewReader(head), doc)
}

const bom = "\xef\xbb\xbf"

// failing is a reader that gives the error which stopped an earlier read.
type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// schemaOf finds out the format of a document.
func (r *Reader) schemaOf(file string, data []byte, enc Encoding, opt ReadOptions) (*schema, error) {
	name, names, err := r.rootOf(file, data, enc, opt.Lenient)
	if err != nil && opt.Format != 0 {
		return r.schemas[opt.Format], nil
	}
	if err != nil {
		return nil, err
	}
	var found []*schema
	for _, s := range []*schema{r.schemas[BD], r.schemas[ERR], r.schemas[CVR]} {
		known := name == s.root.typeName || (opt.Lenient || enc == XML) && name == s.root.name
		if known || opt.Lenient && enc == JSON && !names["@type"] && s.root.fits(names) {
			found = append(found, s)
		}
	}
	switch {
	case opt.Format != 0 && (len(found) == 0 || slices.Contains(found, r.schemas[opt.Format])):
		return r.schemas[opt.Format], nil // the walker says what is wrong
	case opt.Format != 0:
		return nil, broken(file, "", 0, "format", "the document is of %s, wanted is %s", found[0].name, opt.Format)
	case len(found) == 1:
		return found[0], nil
	}
	return nil, broken(file, "", 0, "format", "the document must be a BallotDefinition, an ElectionReport or a CastVoteRecordReport")
}

// rootOf returns what the root of a document is called, and its JSON members.
func (r *Reader) rootOf(file string, data []byte, enc Encoding, lenient bool) (string, map[string]bool, error) {
	c := newChecker(file, r.bd, nil)
	if enc == XML {
		x := newXMLWalker(c, bytes.NewReader(bytes.TrimPrefix(data, []byte(bom))))
		start, err := x.rootElement()
		return start.Name.Local, nil, err
	}
	if lenient {
		data = bytes.TrimPrefix(data, []byte(bom))
	}
	w := &walker{checker: c, dec: jsontext.NewDecoder(bytes.NewReader(data))}
	c.at = w
	if k := w.dec.PeekKind(); k != '{' && k != 0 {
		return "", nil, w.broken("type", "this must be an object")
	}
	name, names, err := shapeOf(data)
	if err != nil {
		return "", nil, w.failed(err)
	}
	return name, names, nil
}
