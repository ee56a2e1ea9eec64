package report

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"html"
	"io"
	"slices"
	"strings"

	"sallyport/internal/ems/cdf"
	"sallyport/internal/ems/page"
	"sallyport/internal/ems/results"
)

// PublicOptions say how a folder of results for the public is made.
type PublicOptions struct {
	Options
	// Minimum withholds counts from fewer ballots ([results.Suppress]); 0
	// withholds nothing.
	Minimum int64
}

// File is one file of a folder.
type File struct {
	Path   string // segments of letters, digits, '.', '_' and '-', separated by '/'
	Size   int64
	SHA256 string // hexadecimal
}

// WritePublic writes a folder of static files, of which the first to open is
// index.html: HTML pages without script that link to each other relatively, PDF
// and CSV files, the results report of SP 1500-100 as JSON and XML, README.txt
// and SHA256SUMS. create opens a file for writing by its path; paths are within
// the grammar of paths in packages. Files come in the order of the returned
// list. The same results give the same bytes. After an error the folder is not
// complete and must not be published.
func WritePublic(create func(path string) (io.WriteCloser, error), r *results.Results, opt PublicOptions) ([]File, error) {
	if opt.Minimum > 0 {
		var err error
		if r, err = results.Suppress(r, opt.Minimum); err != nil {
			return nil, err
		}
	}
	v, err := look(r, opt.Options)
	if err != nil {
		return nil, err
	}
	p := &publisher{create: create, v: v, minimum: opt.Minimum}
	for _, step := range []func() error{p.reports, p.canvass, p.index, p.contests, p.precincts, p.standard, p.readme, p.digests} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	return p.files, nil
}

// publisher writes the files of a folder.
type publisher struct {
	create  func(string) (io.WriteCloser, error)
	v       *view
	minimum int64
	files   []File
	summary *Report
	links   []link // to reports
	lines   []map[int]*precinctLines
}

// link is a line of a page's navigation.
type link struct{ path, title string }

// write writes one file and remembers it.
func (p *publisher) write(path string, make func(io.Writer) error) error {
	w, err := p.create(path)
	if err != nil {
		return fmt.Errorf("cannot write %s: %w", path, err)
	}
	sum := &summing{w: w, h: sha256.New()}
	err = make(sum)
	if err = errors.Join(err, w.Close()); err != nil {
		return fmt.Errorf("cannot write %s: %w", path, err)
	}
	p.files = append(p.files, File{path, sum.n, hex.EncodeToString(sum.h.Sum(nil))})
	return nil
}

// summing counts and hashes what is written.
type summing struct {
	w io.Writer
	h interface {
		io.Writer
		Sum([]byte) []byte
	}
	n int64
}

func (s *summing) Write(b []byte) (int, error) {
	n, err := s.w.Write(b)
	s.n += int64(n)
	_, _ = s.h.Write(b[:n]) // never fails
	return n, err
}

// fewLinks is how many links may stand in front of a page's content: results come
// first.
const fewLinks = 3

// page writes a report as HTML with links in front of its content, if they are
// few, and others behind it.
func (p *publisher) page(path string, d *page.Document, front []link, behind ...link) error {
	var b bytes.Buffer
	if err := d.WriteHTML(&b); err != nil {
		return err
	}
	head, body, ok := bytes.Cut(b.Bytes(), []byte("<main>\n"))
	body, foot, end := bytes.Cut(body, []byte("</main>\n"))
	if !ok || !end {
		return fmt.Errorf("cannot write %s: the page has no place for its links", path)
	}
	before, after := navigation("Files", front), []byte(nil)
	if len(front) > fewLinks {
		before, after = after, before
	}
	return p.write(path, func(w io.Writer) error {
		_, err := w.Write(slices.Concat(head, before, []byte("<main>\n"), body, []byte("</main>\n"), after, navigation("Contests and precincts", behind), foot))
		return err
	})
}

// navigation is a list of links; label and paths are ours, titles are text.
func navigation(label string, links []link) []byte {
	if len(links) == 0 {
		return nil
	}
	var b strings.Builder
	b.WriteString("<nav aria-label=\"" + label + "\">\n<ul>\n")
	for _, l := range links {
		fmt.Fprintf(&b, "<li><a href=\"%s\">%s</a></li>\n", l.path, html.EscapeString(l.title))
	}
	b.WriteString("</ul>\n</nav>\n")
	return []byte(b.String())
}

// reports writes the reports that are of the whole election. The summary's page
// is the index, which comes later.
func (p *publisher) reports() error {
	r, opt := p.v.r, p.v.opt
	type maker = func(*results.Results, Options) (*Report, error)
	makers := []maker{Summary, StatementOfVotes, ByMethod, Turnout}
	if slices.ContainsFunc(r.Contests, func(c results.Contest) bool { return c.Ranked || len(c.Rounds) > 0 }) {
		makers = append(makers, RankedRounds)
	}
	if slices.ContainsFunc(r.Contests, func(c results.Contest) bool {
		return slices.ContainsFunc(c.Options, func(o results.Option) bool { return o.WriteIn })
	}) {
		makers = append(makers, WriteIns)
	}
	for _, make := range makers {
		rep, err := make(r, opt)
		if err != nil {
			return err
		}
		if p.summary == nil {
			p.summary = rep
		} else {
			p.links = append(p.links, link{rep.Name + ".html", rep.About[0][1]})
			if err := p.page(rep.Name+".html", rep.Document, []link{{"index.html", "Summary"}, {rep.Name + ".pdf", "PDF"}, {rep.Name + ".csv", "CSV"}}); err != nil {
				return err
			}
		}
		if err := p.file(rep.Name+".pdf", rep.About[0][1]+" (PDF)", rep.WritePDF); err != nil {
			return err
		}
		if err := p.file(rep.Name+".csv", rep.About[0][1]+" (CSV)", rep.WriteCSV); err != nil {
			return err
		}
	}
	return nil
}

// file writes a file that the index links to.
func (p *publisher) file(path, title string, make func(io.Writer) error) error {
	p.links = append(p.links, link{path, title})
	return p.write(path, make)
}

// volume is how many precincts one PDF of the canvass has at most: documents of
// a few thousand pages are of no use to anybody.
const volume = 200

// canvass writes the canvass by precinct: PDF in volumes, and CSV. Its pages as
// HTML are one for each precinct.
func (p *publisher) canvass() error {
	const name, title = "precinct-canvass", "Precinct Canvass"
	v := p.v
	p.lines = v.linesBy(v.precincts)
	for from := 0; from < len(v.precincts); from += volume {
		to := min(from+volume, len(v.precincts))
		file, heading := name, title
		if len(v.precincts) > volume {
			file = fmt.Sprintf("%s-%d", name, from/volume+1)
			heading = fmt.Sprintf("%s, volume %d", title, from/volume+1)
		}
		rep := v.canvass(file, heading, v.precincts[from:to], p.lines[from:to])
		if err := p.file(file+".pdf", heading+" (PDF)", rep.WritePDF); err != nil {
			return err
		}
	}
	return p.file(name+".csv", title+" (CSV)", v.canvass(name, title, v.precincts, p.lines).WriteCSV)
}

// index writes the summary with links to everything else.
func (p *publisher) index() error {
	var pages []link
	for i := range p.v.r.Contests {
		pages = append(pages, link{contestPath(i), "Contest: " + p.v.title(&p.v.r.Contests[i])})
	}
	for i, g := range p.v.precincts {
		pages = append(pages, link{precinctPath(i), "Precinct: " + g.Name})
	}
	links := append(slices.Clone(p.links), link{"results.json", "Results for programs (NIST SP 1500-100, JSON)"}, link{"results.xml", "Results for programs (NIST SP 1500-100, XML)"}, link{"README.txt", "About these files"}, link{"SHA256SUMS", "Digests of all files"})
	return p.page("index.html", p.summary.Document, links, pages...)
}

func contestPath(i int) string { return fmt.Sprintf("contests/contest-%04d.html", i+1) }

func precinctPath(i int) string { return fmt.Sprintf("precincts/precinct-%05d.html", i+1) }

// contests writes a page for each contest.
func (p *publisher) contests() error {
	v := p.v
	for i := range v.r.Contests {
		c := &v.r.Contests[i]
		rep := v.report("contest", v.title(c))
		rep.add(page.Heading{Level: 1, Text: "Result"})
		v.summarise(rep, c)
		rep.add(page.Heading{Level: 1, Text: "By voting method"}, v.byMethod(rep, c), page.Heading{Level: 1, Text: "By precinct"}, v.statement(c))
		if len(c.Rounds) > 0 {
			rep.add(page.Heading{Level: 1, Text: "Rounds"})
			v.rounds(rep, c)
		}
		if err := p.page(contestPath(i), rep.Document, []link{{"../index.html", "Summary"}}); err != nil {
			return err
		}
	}
	return nil
}

// precincts writes a page for each precinct.
func (p *publisher) precincts() error {
	v := p.v
	for i, g := range v.precincts {
		rep := v.canvass("precinct", "Precinct Canvass: "+g.Name, []results.Group{g}, p.lines[i:i+1])
		if err := p.page(precinctPath(i), rep.Document, []link{{"../index.html", "Summary"}}); err != nil {
			return err
		}
	}
	return nil
}

// standard writes the results report of SP 1500-100 in both encodings.
func (p *publisher) standard() error {
	d, err := ERR(p.v.r, p.v.opt)
	if err != nil {
		return err
	}
	for _, x := range []struct {
		path  string
		write func(*cdf.Document, io.Writer) error
	}{{"results.json", (*cdf.Document).WriteJSON}, {"results.xml", (*cdf.Document).WriteXML}} {
		if err := p.write(x.path, func(w io.Writer) error { return x.write(d, w) }); err != nil {
			return err
		}
	}
	return nil
}

// readme writes what the files are.
func (p *publisher) readme() error {
	return p.write("README.txt", func(w io.Writer) error {
		var b strings.Builder
		for _, a := range p.v.head {
			fmt.Fprintf(&b, "%s: %s\n", a[0], strings.Join(strings.Fields(a[1]), " "))
		}
		b.WriteString(readmeText)
		if p.minimum > 0 {
			fmt.Fprintf(&b, "\nTo keep votes secret, counts that come from fewer than %d ballots are withheld,\nand so are others from which they could be computed. Totals of contests are complete.\n", p.minimum)
		}
		_, err := io.WriteString(w, b.String())
		return err
	})
}

const readmeText = `
Open index.html first. No file needs a network or runs a program.

index.html                     summary of results
*.html, *.pdf, *.csv           the same reports for browsers, for print and for programs
contests/                      one page for each contest
precincts/                     one page for each precinct
results.json, results.xml      NIST SP 1500-100 version 2, Election Results Reporting
SHA256SUMS                     digests; check with: sha256sum -c SHA256SUMS
`

// digests writes the list of all files before it.
func (p *publisher) digests() error {
	list := slices.Clone(p.files)
	slices.SortFunc(list, func(a, b File) int { return cmp.Compare(a.Path, b.Path) })
	return p.write("SHA256SUMS", func(w io.Writer) error {
		for _, f := range list {
			if _, err := fmt.Fprintf(w, "%s  %s\n", f.SHA256, f.Path); err != nil {
				return err
			}
		}
		return nil
	})
}
