package cli

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"sallyport/internal/control"
	"sallyport/internal/ems"
	"sallyport/internal/ems/cdf"
	"sallyport/internal/ems/define"
	"sallyport/internal/ems/election"
	"sallyport/internal/ems/page"
	"sallyport/internal/manifest"
	"sallyport/internal/verdict"
)

type emsDefinitionCmd struct {
	theElection
	Out string `required:"" help:"File to make." placeholder:"FILE"`
	XML bool   `name:"xml" help:"Write it as XML, for other systems; what is sealed, tested and counted under is the JSON."`
}

// exported is what 'ems definition' prints.
type exported struct {
	Election string `json:"election"`
	File     string `json:"file"`
	Revision int    `json:"revision"`
	// SHA256 is of the definition's JSON: decks, sign-offs and sealed packages
	// name it. FileSHA256 is of the file; it differs for XML alone.
	SHA256         string           `json:"sha256"`
	FileSHA256     string           `json:"file_sha256"`
	BallotHash     string           `json:"ballot_hash"`
	BallotHashCode string           `json:"ballot_hash_code"`
	Tested         bool             `json:"tested"` // signed off after a test of logic and accuracy
	Problems       []define.Problem `json:"problems"`
}

func (c *emsDefinitionCmd) Run(a *app) error {
	if err := checkNew(c.Out); err != nil {
		return err
	}
	x, err := withDesk(a, reading, func(k *ems.Core) (*exported, error) {
		f, err := a.latest(k, c.Election)
		if err != nil {
			return nil, err
		}
		warnings, err := a.usable(f, c.Election)
		if err != nil {
			return nil, err
		}
		data, err := documents(a.ctx, f)
		if err != nil {
			return nil, err
		}
		x := &exported{Election: c.Election, File: c.Out, Revision: f.Revision, SHA256: digest(data.json), Problems: warnings}
		if err := x.hashed(f.Valid); err != nil {
			return nil, err
		}
		if x.Tested, err = tested(a, k, c.Election, x.SHA256); err != nil {
			return nil, err
		}
		out := data.json
		if c.XML {
			out = data.xml
		}
		x.FileSHA256 = digest(out)
		return x, writeFile(c.Out, out)
	})
	if err != nil {
		return err
	}
	return a.print(x, func(w io.Writer) { x.show(w, c.XML) })
}

func (x *exported) show(w io.Writer, xml bool) {
	fmt.Fprintf(w, "wrote %s, draft %d\n  SHA-256      %s\n", verdict.Escape(x.File), x.Revision, x.SHA256)
	if xml {
		fmt.Fprintf(w, "  of this file %s\n", x.FileSHA256)
	}
	fmt.Fprintf(w, "  ballot hash  %s  %s\n", x.BallotHashCode, x.BallotHash)
	showSome(w, x.Problems, x.Election)
	if !x.Tested {
		fmt.Fprintf(w, "logic and accuracy: not signed off; 'sallyport ems deck make %s' begins the test\n", verdict.Escape(x.Election))
	} else {
		fmt.Fprintln(w, "logic and accuracy: signed off")
	}
	if !xml {
		fmt.Fprintf(w, "seal it with\n  sallyport seal --kind election-definition --election %s --audience STATION --image definition.img %s\n", verdict.Escape(x.Election), verdict.Escape(x.File))
	}
}

func (x *exported) hashed(v *election.Valid) error {
	h, err := define.BallotHash(v)
	x.BallotHash, x.BallotHashCode = h.String(), h.Code()
	return err
}

// tested says whether there is a sign-off for a definition that counts.
func tested(a *app, k *ems.Core, electionID, sha string) (bool, error) {
	list, err := k.SignOffs(a.ctx, electionID)
	return slices.ContainsFunc(list, func(s ems.SignedOff) bool { return s.SignOff.Valid(sha) == nil }), err
}

// encodings are both forms of a definition.
type encodings struct{ json, xml []byte }

// documents are both encodings of a definition. It is read as any core will
// read it: what is not taken there is not written.
func documents(ctx context.Context, f *ems.InForce) (*encodings, error) {
	data := f.Document
	if f.Imported && bytes.HasPrefix(bytes.TrimSpace(data), []byte("<")) {
		return nil, control.Failf(codeFailed, "the core counts under a definition in XML: give out that document as it came, or make a draft of it with 'sallyport ems new --from'")
	}
	docs, err := cdf.New()
	if err != nil {
		return nil, err
	}
	if _, err := docs.Election("definition.json", data); err != nil {
		return nil, err
	}
	doc, _, err := docs.ReadDocument(ctx, "definition.json", bytes.NewReader(data), cdf.ReadOptions{Format: cdf.BD})
	if err != nil {
		return nil, err
	}
	var x bytes.Buffer
	if err := doc.WriteXML(&x); err != nil {
		return nil, err
	}
	return &encodings{data, x.Bytes()}, nil
}

func digest(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

type emsProgrammingCmd struct {
	theElection
	Out    string   `required:"" help:"Folder to make; it must not exist." placeholder:"DIR"`
	Device []string `help:"A sheet for each of these devices, to be signed by who programs it." placeholder:"ID"`
	proofForm
}

// programming is what 'ems programming' prints, and what hashes.json holds.
type programming struct {
	Type           string      `json:"type"`
	Election       string      `json:"election"`
	SHA256         string      `json:"definition_sha256"`
	BallotHash     string      `json:"ballot_hash"`
	BallotHashCode string      `json:"ballot_hash_code"`
	Tested         bool        `json:"tested"`
	Devices        []string    `json:"devices"`
	Styles         []hashedAs  `json:"styles"`
	Files          []namedFile `json:"files"` // without hashes.json itself
}

type hashedAs struct {
	Style    string `json:"style"`
	Hash     string `json:"hash"`
	HashCode string `json:"hash_code"`
}

type namedFile struct {
	Path   string `json:"path"`
	Size   int    `json:"size"`
	SHA256 string `json:"sha256"`
}

// programmed is what 'ems programming' prints.
type programmed struct {
	programming
	Folder   string           `json:"folder"`
	Seal     string           `json:"seal"` // the command that seals the folder
	Problems []define.Problem `json:"problems"`
}

func (c *emsProgrammingCmd) Run(a *app) error {
	if err := checkNew(c.Out); err != nil {
		return err
	}
	for i, id := range c.Device {
		if err := manifest.CheckPath("devices/" + id + ".txt"); err != nil || slices.Contains(c.Device[:i], id) {
			return control.Failf(control.CodeUsage, "%q cannot name a device's sheet: an id has letters, digits and . _ -, and stands once", verdict.Escape(id))
		}
	}
	p, err := withDesk(a, reading, func(k *ems.Core) (*programmed, error) { return c.make(a, k) })
	if err != nil {
		return err
	}
	return a.print(p, func(w io.Writer) {
		fmt.Fprintf(w, "wrote %s in %s\n  definition   %s\n  ballot hash  %s  %s\n", count(len(p.Files)+1, "file"), verdict.Escape(p.Folder), p.SHA256, p.BallotHashCode, p.BallotHash)
		showSome(w, p.Problems, p.Election)
		if !p.Tested {
			fmt.Fprintln(w, "WARNING: logic and accuracy of this definition are not signed off")
		}
		fmt.Fprintf(w, "seal it with\n  %s\n", verdict.Escape(p.Seal))
	})
}

func (c *emsProgrammingCmd) make(a *app, k *ems.Core) (*programmed, error) {
	f, err := a.latest(k, c.Election)
	if err != nil {
		return nil, err
	}
	warnings, err := a.usable(f, c.Election)
	if err != nil {
		return nil, err
	}
	data, err := documents(a.ctx, f)
	if err != nil {
		return nil, err
	}
	p := &programmed{Folder: c.Out, Problems: warnings}
	p.Type, p.Election, p.SHA256, p.Devices = "sallyport-programming-v1", c.Election, digest(data.json), append([]string{}, c.Device...)
	if p.Tested, err = tested(a, k, c.Election, p.SHA256); err != nil {
		return nil, err
	}
	files, err := c.files(f.Valid, data, p)
	if err != nil {
		return nil, err
	}
	for _, x := range files {
		if err := manifest.CheckPath(x.Path); err != nil {
			return nil, err
		}
	}
	p.Seal = fmt.Sprintf("sallyport seal --kind ballot-package --election %s --definition %s --audience STATION --image programming.img %s", c.Election, filepath.Join(c.Out, "definition.json"), c.Out)
	return p, writeFolder(c.Out, files)
}

// files are those of the package, hashes.json last.
func (c *emsProgrammingCmd) files(v *election.Valid, data *encodings, p *programmed) ([]outFile, error) {
	list, err := listStyles(v)
	if err != nil {
		return nil, err
	}
	p.BallotHash, p.BallotHashCode = list.BallotHash, list.BallotHashCode
	for _, s := range list.Styles {
		p.Styles = append(p.Styles, hashedAs{s.Code, s.Hash, s.HashCode})
	}
	files := []outFile{{"definition.json", data.json}, {"definition.xml", data.xml}}
	for _, x := range []struct {
		name string
		make func() ([]byte, error)
	}{
		{"styles.csv", list.styleCSV},
		{"matrix.csv", define.Matrix(v).CSV},
		{"matrix.html", func() ([]byte, error) { return asHTML(matrixPage(v, list.BallotHashCode)) }},
		{"matrix.pdf", func() ([]byte, error) { return asPDF(matrixPage(v, list.BallotHashCode), page.Fonts{}) }},
	} {
		body, err := x.make()
		if err != nil {
			return nil, unprintable(err)
		}
		files = append(files, outFile{x.name, body})
	}
	_, proofs, err := c.proofForm.make(v, nil, "proofs/")
	if err != nil {
		return nil, err
	}
	files = append(files, proofs...)
	for _, id := range c.Device {
		files = append(files, outFile{"devices/" + id + ".txt", []byte(p.sheet(v, id))})
	}
	files = append(files, outFile{"README.txt", []byte(p.readme(v))})
	for _, f := range files {
		p.Files = append(p.Files, namedFile{f.Path, len(f.Data), digest(f.Data)})
	}
	hashes, err := json.Marshal(p.programming, json.Deterministic(true), jsontext.WithIndent("  "))
	return append(files, outFile{"hashes.json", append(hashes, '\n')}), err
}

// sheet is what stands beside a device while it is programmed.
func (p *programmed) sheet(v *election.Valid, device string) string {
	e := v.Election()
	return fmt.Sprintf(`DEVICE %s

Election     %s, %s
             %s
Definition   SHA-256 %s
Ballot hash  %s  (%s)
Styles       %s

The device shows the ballot hash above after it was programmed:   yes / no
The device shows zero ballots in every contest:                   yes / no

Programmed by ______________________  Date and time ______________________

Witnessed by  ______________________  Seal numbers  ______________________
`, device, printable(e.Name.String()), e.StartDate, printable(e.ExternalIDs[0].Value), p.SHA256, p.BallotHashCode, p.BallotHash, printable(strings.Join(styleCodes(v), " ")))
}

func (p *programmed) readme(v *election.Valid) string {
	e := v.Election()
	state := "It has been signed off after a test of logic and accuracy."
	if !p.Tested {
		state = "It has NOT been signed off after a test of logic and accuracy."
	}
	return fmt.Sprintf(`PROGRAMMING OF VOTING DEVICES
%s, %s (%s)

definition.json  the ballot definition, NIST SP 1500-20; this is what counts
definition.xml   the same as XML
styles.csv       ballot styles: code, precincts, contests, hash
matrix.*         which contests voters get in each precinct
proofs/          each ballot style to be proofed; begin with index.html
devices/         a sheet for each device, where devices were named
hashes.json      SHA-256 of every file here, the ballot hash, and that of each style

Definition   SHA-256 %s
Ballot hash  %s  (%s)
%s

Take this folder from a sealed package alone. Before use compare the SHA-256 of
definition.json and the ballot hash with those that the desk made known, and the
hash of each ballot style with the one on its proof.
`, printable(e.Name.String()), e.StartDate, printable(e.ExternalIDs[0].Value), p.SHA256, p.BallotHashCode, p.BallotHash, state)
}
