package evidence

import (
	"fmt"
	"html"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"sallyport/internal/audit"
	"sallyport/internal/trust"
	"sallyport/internal/verdict"
)

// maxRows bounds the files and the entries that the page shows; files.json and
// bundle.json have all of them.
const maxRows = 1000

const pageHead = `<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8"/>
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'"/>
<meta name="viewport" content="width=device-width, initial-scale=1"/>
<title>%s</title>
<style>
body { font: 11pt/1.45 "Liberation Sans", Arial, sans-serif; color: #111; background: #fff; max-width: 54em; margin: 2em auto; padding: 0 1.5em; }
h1 { font-size: 1.7em; margin: 0 0 .2em; }
h2 { font-size: 1.2em; margin: 1.8em 0 .5em; border-bottom: 1px solid #999; }
h3 { font-size: 1em; margin: 1.4em 0 .4em; }
table { border-collapse: collapse; width: 100%%; margin: .4em 0; }
th, td { text-align: left; vertical-align: top; padding: .25em .7em .25em 0; border-bottom: 1px solid #ddd; overflow-wrap: anywhere; }
th { font-weight: 600; }
table.facts th { width: 11em; }
td.n { text-align: right; white-space: nowrap; }
td.t { white-space: nowrap; }
code { font: .85em "Liberation Mono", Consolas, monospace; overflow-wrap: anywhere; }
pre { font: .85em "Liberation Mono", Consolas, monospace; background: #f3f3f3; padding: .6em; white-space: pre-wrap; }
.verdict { font-size: 1.3em; font-weight: 700; border: 3px solid; padding: .4em .7em; display: inline-block; margin: .6em 0; }
.small { font-size: .88em; color: #444; }
.sign td { border: 0; padding-top: 2.6em; }
.sign span { display: block; border-top: 1px solid #111; padding-top: .2em; }
@media print { body { margin: 0; padding: 0; max-width: none; font-size: 9.5pt; } tr, .verdict { break-inside: avoid; } thead { display: table-header-group; } h2, h3 { break-after: avoid; } pre { border: 1px solid #999; } }
</style>
</head>
<body>
`

// paper is the page while it is written.
type paper struct{ strings.Builder }

// text escapes foreign text twice: what cannot be seen becomes visible, what means
// something to a browser becomes text.
func text(s string) string { return html.EscapeString(verdict.Escape(s)) }

// seen escapes text that the station has made visible already.
func seen(s string) string {
	for _, r := range s {
		if r == utf8.RuneError || !strconv.IsGraphic(r) {
			return text(s)
		}
	}
	return html.EscapeString(s)
}

func (p *paper) add(format string, args ...any) { fmt.Fprintf(p, format, args...) }

// row is a line of a table of facts; an empty fact is left out.
func (p *paper) row(name, value string) {
	if value != "" {
		p.add("<tr><th scope=\"row\">%s</th><td>%s</td></tr>\n", name, text(value))
	}
}

// logged is row for text that the log has made visible already.
func (p *paper) logged(name, value string) {
	if value != "" {
		p.add("<tr><th scope=\"row\">%s</th><td>%s</td></tr>\n", name, seen(value))
	}
}

func (p *paper) code(name, value string) {
	if value != "" {
		p.add("<tr><th scope=\"row\">%s</th><td><code>%s</code></td></tr>\n", name, text(value))
	}
}

const (
	beginFacts = "<table class=\"facts\"><tbody>\n"
	endTable   = "</tbody></table>\n"
)

// page makes README.html. It is made of the same data that are checked, so a check
// makes it once more and compares.
func (c *content) page() ([]byte, error) {
	d := c.doc
	p := &paper{}
	title := fmt.Sprintf("Medium %s at station %s: %s", text(d.Medium.ID), text(d.Station.ID), text(string(d.Verdict.Verdict)))
	p.add(pageHead, title)
	p.add("<h1>Medium %s</h1>\n<p>Evidence of station %s (%s, %s) of Sallyport, the controlled door of an election office.</p>\n",
		text(d.Medium.ID), text(d.Station.ID), text(d.Station.Role), text(d.Station.Jurisdiction))
	p.verdict(&d.Verdict)
	c.pageMedium(p)
	rows := maxRows
	if len(d.Packages) > 0 {
		p.add("<h2>What was on it</h2>\n<p class=\"small\">Names, sizes and SHA-256 hashes as the station stored them. No content of any file is in this evidence: no votes and no voters.</p>\n")
	}
	for i := range d.Packages {
		rows = c.pagePackage(p, &d.Packages[i], rows)
	}
	c.pageEntries(p)
	c.pageProof(p)
	p.add("</body>\n</html>\n")
	return []byte(p.String()), nil
}

func (p *paper) verdict(v *Verdict) {
	p.add("<p class=\"verdict\">%s</p>\n", text(strings.ToUpper(string(v.Verdict))))
	switch v.Verdict {
	case verdict.Accepted:
		p.add("<p>Every package on the medium was verified, stored and admitted.</p>\n")
	case verdict.Held:
		p.add("<p>The medium was read, and what was not admitted is kept in quarantine. The reasons:</p>\n")
	case verdict.Refused:
		p.add("<p>The medium was not read. The reason:</p>\n")
	}
	p.reasons(v.Reasons)
	p.add("<p class=\"small\">Decided on %s, entry %d of the station's log.</p>\n", clock(v.Time), v.Entry)
}

func (p *paper) reasons(list []verdict.Reason) {
	if len(list) == 0 {
		return
	}
	p.add("<ul>\n")
	for _, r := range list {
		p.add("<li><b>%s</b>: %s</li>\n", text(string(r)), text(meaning(r)))
	}
	p.add("</ul>\n")
}

// clock shows a time of the log to the second.
func clock(wall string) string {
	date, rest, _ := strings.Cut(wall, "T")
	time, _, _ := strings.Cut(rest, ".")
	return text(date + " " + time + " UTC")
}

func (c *content) pageMedium(p *paper) {
	m := &c.doc.Medium
	how := map[string]string{"image": "an image file was handed over", "device": "a block device was handed over", "usb": "it was inserted into a USB port"}[m.Source]
	p.add("<h2>The medium</h2>\n%s", beginFacts)
	p.row("Came in on", clock(m.Inserted))
	if how == "" {
		how = m.Source
	}
	p.row("How", how)
	p.row("By", m.Person)
	p.logged("Called", m.Name)
	if m.Bytes > 0 {
		p.row("Size", strconv.FormatInt(m.Bytes, 10)+" bytes")
	}
	p.row("Partition table", m.Table)
	p.row("File systems", m.Filesystems)
	for i := range c.doc.Packages { // each item has them; the first is as good as the others
		if f := c.facts[c.doc.Packages[i].Item]; f != nil {
			for _, v := range f.Medium.Volumes {
				label := ""
				if v.Label != "" {
					label = "called " + v.Label + ", "
				}
				p.logged("Volume", fmt.Sprintf("%s, %sid %s, %d bytes", v.FS, label, v.ID, v.Size))
			}
			break
		}
	}
	if d := m.Device; d != nil {
		p.row("Port", d.Port)
		p.logged("Device", strings.TrimSpace(d.Manufacturer+" "+d.Name))
		p.row("Vendor and product", d.Vendor+":"+d.Product)
		p.logged("Serial number", d.Serial)
		p.row("Interfaces", d.Shape)
		p.code("SHA-256 of its descriptors", d.Descriptors)
	}
	p.add(endTable)
	if m.Device != nil {
		p.add("<p class=\"small\">What a device says of itself is its maker's word, and proves nothing.</p>\n")
	}
}

// pagePackage shows one package and at most so many of its files; it returns how
// many may still be shown.
func (c *content) pagePackage(p *paper, k *Package, rows int) int {
	name := "Package " + k.Package
	if k.Package == "" {
		name = "Files that belong to no package"
	}
	p.add("<h3>%s: %s</h3>\n", text(name), text(string(k.Verdict)))
	p.reasons(k.Reasons)
	p.add(beginFacts)
	p.row("Kind", k.Kind)
	p.row("Sealed by station", k.Sender)
	p.row("Election", k.ElectionID)
	p.row("Addressed to", k.Audience)
	if k.Manifest != "" {
		p.row("Place in its stream", fmt.Sprintf("%s, sequence %d", k.Stream, k.Seq))
		p.code("SHA-256 of its manifest", k.Manifest)
		p.code("Signed by key", k.KeyIDs)
	}
	p.row("Item of the store", k.Item)
	p.code("SHA-256 of what was stored", k.Digest)
	p.add(endTable)
	if len(k.Findings) > 0 {
		p.add("<p class=\"small\">Where, by the station's account:</p>\n<ul class=\"small\">\n")
		for i := range k.Findings {
			f := &k.Findings[i]
			parts := []string{text(string(f.Reason))}
			for _, s := range []string{f.Where, f.Detail} {
				if s != "" {
					parts = append(parts, text(s))
				}
			}
			p.add("<li>%s</li>\n", strings.Join(parts, ": "))
		}
		p.add("</ul>\n")
	}
	l := c.listings[k.Item]
	if l == nil {
		p.add("<p>Nothing of it could be stored.</p>\n")
		return rows
	}
	return p.listing(k, l, rows)
}

func (p *paper) listing(k *Package, l *Listing, rows int) int {
	n := min(rows, len(l.Files))
	noun := "files"
	if len(l.Files) == 1 {
		noun = "file"
	}
	p.add("<p>%d %s, %d bytes.</p>\n", len(l.Files), noun, l.bytes())
	if n > 0 {
		p.add("<table><thead><tr><th>Name</th><th>Bytes</th><th>SHA-256</th></tr></thead><tbody>\n")
		for i := range l.Files[:n] {
			f := &l.Files[i]
			note := ""
			if f.Partial {
				note = " (not whole)"
			}
			p.add("<tr><td>%s%s</td><td class=\"n\">%d</td><td><code>%s</code></td></tr>\n", text(f.Name), note, f.Size, text(f.SHA256))
		}
		p.add(endTable)
	}
	if more := len(l.Files) - n; more > 0 {
		p.add("<p class=\"small\">%d more files stand in <code>%s</code>.</p>\n", more, text(inItem(k.Item, listingName)))
	}
	return rows - n
}

func (c *content) pageEntries(p *paper) {
	p.add("<h2>What happened</h2>\n<p class=\"small\">The entries of the station's log about this medium. From the insertion to the end of the reading none is left out. The times are those of the station's clock.</p>\n")
	p.add("<table><thead><tr><th>Entry</th><th>Time (UTC)</th><th>What</th><th>How it ended</th><th>Details</th></tr></thead><tbody>\n")
	n := min(maxRows, len(c.entries))
	for i := range c.entries[:n] {
		e := &c.entries[i]
		note := ""
		if !e.WallTrusted {
			note = "<br/>clock not trusted"
		}
		date, rest, _ := strings.Cut(e.Wall, "T")
		time, _, _ := strings.Cut(rest, ".")
		p.add("<tr><td class=\"n\">%d</td><td class=\"t\">%s<br/>%s%s</td><td>%s</td><td>%s</td><td class=\"small\">%s</td></tr>\n",
			e.Seq, text(date), text(time), note, text(happened(e)), text(string(e.Outcome)), details(e))
	}
	p.add(endTable)
	if more := len(c.entries) - n; more > 0 {
		p.add("<p class=\"small\">%d more entries stand in <code>%s</code>.</p>\n", more, documentName)
	}
}

// details are an entry's fields. Their texts are printable already.
func details(e *audit.Entry) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(e.Fields)) {
		if v := e.Fields[name]; v != "" {
			parts = append(parts, seen(name)+": "+seen(v))
		}
	}
	return strings.Join(parts, "; ")
}

func (c *content) pageProof(p *paper) {
	d := c.doc
	p.add("<h2>What proves it</h2>\n%s", beginFacts)
	p.code("Authority's root", trust.Fingerprint(c.root))
	bundle := "none"
	if d.Trust > 0 {
		bundle = "version " + strconv.FormatInt(d.Trust, 10)
	}
	p.row("Trust bundle", bundle)
	p.code("Station's key", d.Station.KeyID)
	p.row("Software", d.Station.Software)
	p.row("Sealed log", fmt.Sprintf("%d entries", c.sealed.Size))
	p.code("Root of the log", c.sealed.Root.String())
	p.row("Counter of the TPM", strconv.FormatUint(c.counter, 10))
	p.add(endTable)
	p.add(`<p>Do not believe this page because it looks right. Check the file that it came in, on a machine that you trust, with the authority's root document, whose fingerprint you have compared with the one that the authority gives out:</p>
<pre>sallyport-verify bundle FILE --root root.json</pre>
<p>It needs no network, no TPM and no station. When it says INTACT, this page is the one that belongs to the evidence; the entries above are in the log that the station's TPM has sealed; and each manifest was judged once more with the same result.</p>
<p class="small">Not proven: what the station recorded after this evidence was made, and what nobody recorded. What stands under "Where, by the station's account" is in the log only as far as the reasons and the first finding go.</p>
<table class="sign"><tbody><tr><td><span>Handed out by</span></td><td><span>Received by</span></td><td><span>Date and time</span></td></tr></tbody></table>
`)
}
