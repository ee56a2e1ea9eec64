package page

import (
	"bytes"
	"crypto/sha256"
	"encoding/xml"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode/utf16"
)

// producer is what wrote the file, in its metadata.
const producer = "Sallyport"

// WritePDF writes the document as tagged PDF 1.7, set in the given fonts; the
// zero Fonts is the Go fonts. It fails with a [TextError], or an error that names
// the place in the document or the font, before it writes anything; and with the
// writer's error. The whole file is in memory until it is written.
//
// The file follows ISO 14289-1 (PDF/UA-1) as far as a program can, but does not
// claim to be PDF/UA: whether headings and alternatives make sense is for people.
func (d *Document) WritePDF(w io.Writer, fonts Fonts) error {
	set, err := fonts.open()
	if err != nil {
		return err
	}
	c := checker{print: set.check}
	if err := c.document(d); err != nil {
		return err
	}
	l := &layout{doc: d, words: d.Words.filled(), fonts: set, tags: &tags{}}
	if err := set.check("0123456789.-();: "); err != nil { // what the layout adds
		return err
	}
	if err := l.run(); err != nil {
		return err
	}
	out, err := l.file()
	if err != nil {
		return err
	}
	if _, err := w.Write(out); err != nil {
		return fmt.Errorf("cannot write a document as PDF: %w", err)
	}
	return nil
}

// file puts the file together from pages, structure and fonts.
func (l *layout) file() ([]byte, error) {
	f := newPDFFile()
	catalog, tree := f.reserve(1), f.reserve(1)
	first := f.reserve(len(l.pages))
	resources := f.reserve(1)
	var kids strings.Builder
	for i, p := range l.pages {
		content := f.reserve(1)
		f.stream(content, "", p.out)
		p.out = nil
		f.object(first+i, fmt.Sprintf("<</Type/Page/Parent %s/MediaBox[0 0 %s %s]/Resources %s/Contents %s/StructParents %d/Tabs/S>>",
			ref(tree), appendUnit(nil, p.width), appendUnit(nil, p.height), ref(resources), ref(content), i))
		kids.WriteString(ref(first+i) + " ")
	}
	f.object(tree, fmt.Sprintf("<</Type/Pages/Count %d/Kids[%s]>>", len(l.pages), kids.String()))
	var names string
	for _, face := range l.fonts.faces {
		if len(face.used) == 0 {
			continue
		}
		n, err := face.write(f)
		if err != nil {
			return nil, err
		}
		names += "/F" + strconv.Itoa(face.number) + " " + ref(n)
	}
	f.object(resources, "<</Font<<"+names+">>>>")
	root := l.tags.write(f, l.pages, first)
	outline := writeOutline(f, l.bookmarks, first)
	meta := f.reserve(1)
	f.plain(meta, "/Type/Metadata/Subtype/XML", l.doc.xmp())
	f.object(catalog, fmt.Sprintf("<</Type/Catalog/Pages %s/StructTreeRoot %s/MarkInfo<</Marked true>>/Lang(%s)/ViewerPreferences<</DisplayDocTitle true>>/Metadata %s%s>>",
		ref(tree), ref(root), l.doc.Lang, ref(meta), outline))
	return f.finish(catalog, f.add(l.doc.info())), nil
}

// info is the document information dictionary (ISO 32000-1, section 14.3.3).
func (d *Document) info() string {
	s := "<</Title " + pdfText(d.Title) + "/Producer(" + producer + ")"
	if d.Author != "" {
		s += "/Author " + pdfText(d.Author)
	}
	if !d.Date.IsZero() {
		s += "/CreationDate(D:" + d.Date.UTC().Format("20060102150405") + "Z)"
	}
	return s + ">>"
}

// xmp is the same as XMP (ISO 16684-1).
func (d *Document) xmp() string {
	var b bytes.Buffer
	b.WriteString("<?xpacket begin=\"\ufeff\" id=\"W5M0MpCehiHzreSzNTczkc9d\"?>\n" +
		`<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">` +
		`<rdf:Description rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmlns:pdf="http://ns.adobe.com/pdf/1.3/">` +
		`<dc:title><rdf:Alt><rdf:li xml:lang="x-default">`)
	xml.EscapeText(&b, []byte(d.Title)) // into memory: it does not fail
	b.WriteString("</rdf:li></rdf:Alt></dc:title><dc:language><rdf:Bag><rdf:li>" + d.Lang + "</rdf:li></rdf:Bag></dc:language>")
	if d.Author != "" {
		b.WriteString("<dc:creator><rdf:Seq><rdf:li>")
		xml.EscapeText(&b, []byte(d.Author))
		b.WriteString("</rdf:li></rdf:Seq></dc:creator>")
	}
	if !d.Date.IsZero() {
		b.WriteString("<xmp:CreateDate>" + d.Date.UTC().Format(time.RFC3339) + "</xmp:CreateDate>")
	}
	b.WriteString("<pdf:Producer>" + producer + "</pdf:Producer></rdf:Description></rdf:RDF></x:xmpmeta>\n<?xpacket end=\"r\"?>")
	return b.String()
}

// write writes a font with the glyphs that the document uses (ISO 32000-1,
// section 9.7): numbers of two bytes that are the glyphs' own, and the
// characters they stand for.
func (f *face) write(file *pdfFile) (int, error) {
	data, err := f.subset()
	if err != nil {
		return 0, err
	}
	sum := sha256.Sum256(data)
	name := make([]byte, 0, 32)
	for _, v := range sum[:6] {
		name = append(name, 'A'+v%26)
	}
	name = fmt.Appendf(name, "+Font%d", f.number)
	program := file.reserve(1)
	file.stream(program, fmt.Sprintf("/Length1 %d", len(data)), data)
	toUnicode := file.reserve(1)
	file.stream(toUnicode, "", f.toUnicode())
	em := func(v int) int { return v * 1000 / f.upem }
	flags := 32 // nonsymbolic: what the characters are is said by ToUnicode
	descriptor := file.add(fmt.Sprintf("<</Type/FontDescriptor/FontName/%s/Flags %d/FontBBox[%d %d %d %d]/ItalicAngle 0/Ascent %d/Descent %d/CapHeight %d/StemV 80/FontFile2 %s>>",
		name, flags, em(f.box[0]), em(f.box[1]), em(f.box[2]), em(f.box[3]), em(f.ascent), em(f.descent), em(f.caps), ref(program)))
	widths := []byte("[1[")
	for _, u := range f.used {
		widths = append(strconv.AppendInt(widths, int64(u.width)*1000/int64(f.upem), 10), ' ')
	}
	cid := file.add(fmt.Sprintf("<</Type/Font/Subtype/CIDFontType2/BaseFont/%s/CIDSystemInfo<</Registry(Adobe)/Ordering(Identity)/Supplement 0>>/FontDescriptor %s/DW 0/W %s]]/CIDToGIDMap/Identity>>",
		name, ref(descriptor), widths))
	return file.add(fmt.Sprintf("<</Type/Font/Subtype/Type0/BaseFont/%s/Encoding/Identity-H/DescendantFonts[%s]/ToUnicode %s>>", name, ref(cid), ref(toUnicode))), nil
}

// toUnicode is the CMap from numbers to characters (section 9.10.3).
func (f *face) toUnicode() []byte {
	b := []byte("/CIDInit/ProcSet findresource begin\n12 dict begin\nbegincmap\n/CIDSystemInfo<</Registry(Adobe)/Ordering(UCS)/Supplement 0>>def\n" +
		"/CMapName/Adobe-Identity-UCS def\n/CMapType 2 def\n1 begincodespacerange\n<0000><ffff>\nendcodespacerange\n")
	const block = 100 // at most this many in a block
	for from := 0; from < len(f.used); from += block {
		part := f.used[from:min(from+block, len(f.used))]
		b = fmt.Appendf(b, "%d beginbfchar\n", len(part))
		for i, u := range part {
			b = fmt.Appendf(b, "<%04x><", from+i+1)
			for _, v := range utf16.AppendRune(nil, u.r) {
				b = fmt.Appendf(b, "%04x", v)
			}
			b = append(b, ">\n"...)
		}
		b = append(b, "endbfchar\n"...)
	}
	return append(b, "endcmap\nCMapName currentdict/CMap defineresource pop\nend\nend\n"...)
}
