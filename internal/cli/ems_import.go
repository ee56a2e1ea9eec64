package cli

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"sallyport/internal/control"
	"sallyport/internal/ems"
	"sallyport/internal/ems/cdf"
	"sallyport/internal/ems/dialect"
	"sallyport/internal/ems/election"
	"sallyport/internal/ems/vendor"
	"sallyport/internal/strictjson"
	"sallyport/internal/verdict"
)

type importCmd struct {
	Path      string   `arg:"" help:"A ballot definition, a report of cast vote records (NIST, JSON or XML), or a vendor's export: a file or a folder."`
	Election  string   `help:"The election that the records belong to; not needed when the database holds only one." placeholder:"ID"`
	Dialect   string   `help:"The vendor's format, when it is not recognised: dominion-csv, dominion-json, ess, hart, clearballot or votingworks." placeholder:"NAME"`
	Lenient   bool     `help:"Accept reports that are near the NIST standard, in ways that have a name, and list each."`
	Mapping   string   `help:"JSON file that says which contests, choices, precincts and styles an export means." placeholder:"FILE"`
	RandomIDs bool     `name:"random-ids" help:"Give every ballot a random identifier: needed where the export's own reveal the order of casting."`
	Infer     bool     `help:"Make the definition of what the export shows, when there is none; needs --election and --date."`
	Date      string   `help:"The election's day, for --infer: YYYY-MM-DD." placeholder:"DATE"`
	VoteFor   []string `name:"vote-for" help:"For --infer, where the export does not say it: CONTEST=N." placeholder:"CONTEST=N"`
	Signature string   `help:"Detached signature of a VotingWorks export." placeholder:"FILE"`
	Authority string   `help:"Certificate (PEM) of the authority that VotingWorks' machines are certified by." placeholder:"FILE"`
}

// imported is what 'ems import' prints.
type imported struct {
	Receipt    ems.Receipt `json:"receipt"`
	Format     string      `json:"format"`
	Definition string      `json:"definition,omitempty"` // SHA-256 of the one that was made of the export
	Deviations []deviation `json:"deviations"`
	Signed     *signedBy   `json:"signed,omitempty"`
}

type signedBy struct {
	Component    string `json:"component"`
	Jurisdiction string `json:"jurisdiction,omitempty"`
	Machine      string `json:"machine,omitempty"`
	Certificate  string `json:"certificate"` // SHA-256
	Root         string `json:"root"`
}

func (c *importCmd) Run(a *app) error {
	r, err := withDesk(a, changing, func(k *ems.Core) (*imported, error) { return c.run(a.ctx, k) })
	if err != nil {
		return err
	}
	return a.print(r, func(w io.Writer) {
		switch r.Receipt.Kind {
		case ems.KindDefinition:
			fmt.Fprintf(w, "imported the definition of %s: %d contests\n", verdict.Escape(r.Receipt.ElectionID), r.Receipt.Contests)
		default:
			fmt.Fprintf(w, "imported %d ballots of %s (%s), %d of them known before\n", r.Receipt.Ballots, verdict.Escape(r.Receipt.ElectionID), r.Format, r.Receipt.Known)
		}
		if r.Signed != nil {
			fmt.Fprintf(w, "signed by %s %s of %s, root %s\n", verdict.Escape(r.Signed.Component), verdict.Escape(r.Signed.Machine), orDash(verdict.Escape(r.Signed.Jurisdiction)), r.Signed.Root)
		}
		for _, d := range r.Deviations {
			fmt.Fprintf(w, "  %s (%d times, first at %s): %s\n", d.Rule, d.Count, verdict.Escape(d.Where), d.Consequence)
		}
		fmt.Fprintf(w, "state %s\n", r.Receipt.StateDigest)
	})
}

func (c *importCmd) run(ctx context.Context, k *ems.Core) (*imported, error) {
	st, err := os.Stat(c.Path)
	if err != nil {
		return nil, control.Failf(control.CodeUsage, "cannot read it: %v", err)
	}
	if c.Dialect == "" && !st.IsDir() {
		kind, data, err := nistDocument(ctx, c.Path)
		if err != nil {
			return nil, err
		}
		switch kind {
		case cdf.BD:
			return c.definition(ctx, k, data)
		case cdf.CVR:
			return c.records(ctx, k)
		case cdf.ERR:
			return nil, control.Failf(control.CodeUsage, "%s is an election report, not records: 'sallyport ems rollup' puts reports together", verdict.Escape(c.Path))
		}
	}
	return c.export(ctx, k)
}

// nistDocument says which NIST document a file is; data is the whole of a
// definition. The zero kind is none of them.
func nistDocument(ctx context.Context, path string) (kind cdf.Format, data []byte, err error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, nil, control.Failf(control.CodeUsage, "cannot read it: %v", err)
	}
	defer f.Close()
	head := make([]byte, 64<<10)
	n, err := io.ReadFull(f, head)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		return 0, nil, err
	}
	kind = cdf.Sniff(head[:n])
	if kind != cdf.BD {
		return kind, nil, nil
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return 0, nil, err
	}
	data, err = io.ReadAll(io.LimitReader(f, cdf.MaxDefinition+1))
	return kind, data, err
}

func (c *importCmd) definition(ctx context.Context, k *ems.Core, data []byte) (*imported, error) {
	docs, err := cdf.New()
	if err != nil {
		return nil, err
	}
	v, err := docs.Election(filepath.Base(c.Path), data)
	if err != nil {
		return nil, err
	}
	id := c.Election
	if id == "" {
		id = v.Compiled().IDs[0]
	}
	r, err := k.Import(ctx, localPackage(ems.KindDefinition, id, "", filepath.Base(c.Path), data))
	if err != nil {
		return nil, err
	}
	return &imported{Receipt: r, Format: "NIST SP 1500-20", Deviations: []deviation{}}, nil
}

// localPackage is one file in memory, as a package.
func localPackage(kind, electionID, definition, name string, data []byte) ems.Package {
	sum := sha256.Sum256(data)
	return ems.Package{Digest: sum, ID: name, Kind: kind, ElectionID: electionID, ElectionSHA256: definition, FS: memory{name, data},
		Files: []ems.File{{Path: name, Size: int64(len(data)), SHA256: hex.EncodeToString(sum[:]), MediaType: "application/json"}}}
}

// election names the election that records belong to, and its definition.
func (c *importCmd) election(ctx context.Context, k *ems.Core) (id, definition string, err error) {
	list, err := k.Elections(ctx)
	if err != nil {
		return "", "", err
	}
	if id, err = ems.Only(list, c.Election); err != nil {
		return "", "", err
	}
	for _, e := range list {
		if e.ID == id {
			definition = e.DefinitionSHA256
		}
	}
	return id, definition, nil
}

func (c *importCmd) records(ctx context.Context, k *ems.Core) (*imported, error) {
	id, definition, err := c.election(ctx, k)
	if err != nil {
		return nil, err
	}
	if c.Lenient || c.RandomIDs {
		r, list, err := k.ImportLenient(ctx, ems.LenientReport{Name: filepath.Base(c.Path), ElectionID: id, RandomIDs: c.RandomIDs,
			Open: func() (io.ReadCloser, error) { return os.Open(c.Path) }})
		if err != nil {
			return nil, err
		}
		out := &imported{Receipt: r, Format: "NIST SP 1500-103, lenient", Deviations: []deviation{}}
		for _, d := range list {
			out.Deviations = append(out.Deviations, deviation{d.Where, d.Rule, d.Consequence, d.Count})
		}
		return out, nil
	}
	sum, size, err := sumFile(c.Path)
	if err != nil {
		return nil, err
	}
	name := filepath.Base(c.Path)
	r, err := k.Import(ctx, ems.Package{Digest: sum, ID: name, Kind: ems.KindCVRs, ElectionID: id, ElectionSHA256: definition, FS: os.DirFS(filepath.Dir(c.Path)),
		Files: []ems.File{{Path: name, Size: size, SHA256: hex.EncodeToString(sum[:])}}})
	if err != nil {
		return nil, err
	}
	return &imported{Receipt: r, Format: "NIST SP 1500-103", Deviations: []deviation{}}, nil
}

// export imports a vendor's export.
func (c *importCmd) export(ctx context.Context, k *ems.Core) (*imported, error) {
	dir, name := filepath.Split(filepath.Clean(c.Path))
	fsys := os.DirFS(cleanDir(dir))
	out := &imported{Deviations: []deviation{}}
	src, err := c.source(ctx, fsys, name, out)
	if err != nil {
		return nil, err
	}
	defer src.Close()
	mapping, err := c.mapping()
	if err != nil {
		return nil, err
	}
	digest, err := sumTree(fsys, name)
	if err != nil {
		return nil, err
	}
	if c.Infer {
		if out.Definition, err = c.infer(ctx, k, src); err != nil {
			return nil, err
		}
	}
	id, _, err := c.election(ctx, k)
	if err != nil {
		return nil, err
	}
	r, list, err := k.ImportVendor(ctx, ems.VendorExport{Digest: digest, ID: name, ElectionID: id, Source: src, Mapping: mapping, RandomIDs: c.RandomIDs})
	if err != nil {
		return nil, err
	}
	out.Receipt, out.Format = r, string(src.Kind())
	for _, d := range list {
		out.Deviations = append(out.Deviations, deviation{d.Where, string(d.Rule), d.Consequence, d.Count})
	}
	return out, nil
}

func cleanDir(dir string) string {
	if dir == "" {
		return "."
	}
	return dir
}

// source opens the export, after its signature was verified where it has one.
func (c *importCmd) source(ctx context.Context, fsys fs.FS, name string, out *imported) (*dialect.Source, error) {
	kind := dialect.Kind(c.Dialect)
	if kind == "" {
		var err error
		if kind, _, err = dialect.Detect(fsys, name); err != nil {
			return nil, err
		}
	}
	if kind != dialect.VotingWorks || c.Signature == "" && c.Authority == "" {
		return dialect.Open(kind, fsys, name)
	}
	sig, err := os.ReadFile(c.Signature)
	if err != nil {
		return nil, control.Failf(control.CodeUsage, "cannot read the signature: %v", err)
	}
	pem, err := os.ReadFile(c.Authority)
	if err != nil {
		return nil, control.Failf(control.CodeUsage, "cannot read the authority's certificate: %v", err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, control.Failf(control.CodeUsage, "%s is no certificate in PEM", verdict.Escape(c.Authority))
	}
	v, err := dialect.VerifyVotingWorks(ctx, fsys, name, sig, dialect.Trust{Roots: roots, Now: time.Now(), AtExport: true})
	if err != nil {
		return nil, err
	}
	m := v.Machine()
	out.Signed = &signedBy{Component: m.Component, Jurisdiction: m.Jurisdiction, Machine: m.ID, Certificate: m.Fingerprint, Root: v.Root()}
	return v.Open()
}

func (c *importCmd) mapping() (m vendor.Mapping, err error) {
	if c.Mapping == "" {
		return m, nil
	}
	data, err := readDocument("mapping", c.Mapping)
	if err != nil {
		return m, err
	}
	if err := strictjson.Decode(data, &m, maxDocument); err != nil {
		return m, control.Failf(control.CodeUsage, "%s is no mapping: %v", verdict.Escape(c.Mapping), err)
	}
	return m, nil
}

// infer makes and imports the definition that the export shows.
func (c *importCmd) infer(ctx context.Context, k *ems.Core, src *dialect.Source) (string, error) {
	if c.Election == "" || c.Date == "" {
		return "", control.Failf(control.CodeUsage, "--infer needs --election and --date")
	}
	in := vendor.Infer{ID: c.Election, Date: c.Date, Generated: time.Now().UTC().Format(time.RFC3339), VotesAllowed: map[string]int{}}
	for _, x := range c.VoteFor {
		contest, n, ok := strings.Cut(x, "=")
		var votes int
		if _, err := fmt.Sscanf(n, "%d", &votes); !ok || err != nil || votes < 1 {
			return "", control.Failf(control.CodeUsage, "--vote-for wants CONTEST=N, not %q", x)
		}
		in.VotesAllowed[contest] = votes
	}
	d, problems, err := in.Definition(ctx, src)
	if err != nil {
		return "", err
	}
	if len(problems) > 0 {
		var list []string
		for _, p := range problems {
			list = append(list, p.Error())
		}
		return "", control.Failf(control.CodeUsage, "no definition can be made of the export:\n  %s", strings.Join(list, "\n  "))
	}
	return importMade(ctx, k, c.Election, d)
}

// importMade imports a definition that was made here.
func importMade(ctx context.Context, k *ems.Core, id string, d *election.Definition) (string, error) {
	doc, err := d.JSON()
	if err != nil {
		return "", err
	}
	p := localPackage(ems.KindDefinition, id, "", "definition.json", doc)
	_, err = k.Import(ctx, p)
	return p.Files[0].SHA256, err
}

// memory is a file system of one file.
type memory struct {
	name string
	data []byte
}

func (m memory) Open(name string) (fs.File, error) {
	if name != m.name {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return &memoryFile{bytes.NewReader(m.data), m}, nil
}

type memoryFile struct {
	*bytes.Reader
	m memory
}

func (f *memoryFile) Close() error               { return nil }
func (f *memoryFile) Stat() (fs.FileInfo, error) { return memoryInfo{f.m}, nil }

type memoryInfo struct{ m memory }

func (i memoryInfo) Name() string       { return i.m.name }
func (i memoryInfo) Size() int64        { return int64(len(i.m.data)) }
func (i memoryInfo) Mode() fs.FileMode  { return 0o400 }
func (i memoryInfo) ModTime() time.Time { return time.Time{} }
func (i memoryInfo) IsDir() bool        { return false }
func (i memoryInfo) Sys() any           { return nil }

func sumFile(path string) (sum [32]byte, size int64, err error) {
	f, err := os.Open(path)
	if err != nil {
		return sum, 0, control.Failf(control.CodeUsage, "cannot read it: %v", err)
	}
	defer f.Close()
	h := sha256.New()
	size, err = io.Copy(h, f)
	return [32]byte(h.Sum(nil)), size, err
}

// sumTree is the digest of a file, or of all files of a folder with their names.
func sumTree(fsys fs.FS, root string) (sum [32]byte, err error) {
	all := sha256.New()
	err = fs.WalkDir(fsys, root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		f, err := fsys.Open(path)
		if err != nil {
			return err
		}
		h := sha256.New()
		_, err = io.Copy(h, f)
		fmt.Fprintf(all, "%x  %s\n", h.Sum(nil), strings.TrimPrefix(path, root))
		return errors.Join(err, f.Close())
	})
	return [32]byte(all.Sum(nil)), err
}
