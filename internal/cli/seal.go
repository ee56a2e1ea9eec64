package cli

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"mime"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"sallyport/internal/control"
	"sallyport/internal/durable"
	"sallyport/internal/manifest"
	"sallyport/internal/naming"
	"sallyport/internal/station"
	"sallyport/internal/trust"
	"sallyport/internal/verdict"
)

type sealCmd struct {
	Kind       string `required:"" help:"Kind of package: ${kinds}." placeholder:"KIND"`
	Audience   string `required:"" help:"Station that the package is for, or * for every station of the jurisdiction." placeholder:"STATION"`
	Election   string `help:"Election that the package belongs to." placeholder:"ID"`
	Definition string `help:"Election definition that the package belongs to (its SHA-256 is signed). Not needed for an election-definition itself." placeholder:"FILE"`
	Stream     string `help:"Order in which this package stands; default: one for each kind and audience." placeholder:"NAME"`
	Supersedes string `help:"Take the place of this station's last package of the stream, which was lost on its way or must not be used." placeholder:"PACKAGE"`
	destination
	DryRun bool     `help:"Show what would be signed, and sign and write nothing."`
	Files  []string `arg:"" help:"Files and folders to seal." placeholder:"FILE"`
}

// sealedReport is what 'seal' prints.
type sealedReport struct {
	PackageID string `json:"package_id"`
	// Where the package is: one of the three.
	Folder string `json:"folder,omitzero"`
	Image  string `json:"image,omitzero"`
	Device string `json:"device,omitzero"`
	Digest string `json:"digest"`
	Stream string `json:"stream"`
	Seq    int64  `json:"seq"`
	Files  int    `json:"files"`
	Bytes  int64  `json:"bytes"`
	// Warnings say what makes it likely that a receiver will not take the package,
	// and that the same was sealed before.
	Warnings []string `json:"warnings"`
}

func (c *sealCmd) Run(a *app) (err error) {
	if err := c.check(); err != nil {
		return err
	}
	inputs, err := gather(c.Files)
	if err != nil {
		return err
	}
	s, err := a.connect()
	if err != nil {
		return err
	}
	if c.DryRun {
		plan, err := c.plan(a, s, inputs)
		if err = errors.Join(err, s.close()); err != nil {
			return err
		}
		return a.print(plan, func(w io.Writer) { plan.show(w) })
	}
	report, err := c.seal(a, s, inputs)
	if err = errors.Join(err, s.close()); err != nil {
		return err
	}
	return a.print(report, func(w io.Writer) {
		fmt.Fprintf(w, "sealed package %s: %s, %s, stream %s, sequence %d\n  %s\n", report.PackageID, count(report.Files, "file"), size(report.Bytes), report.Stream, report.Seq, verdict.Escape(report.Folder+report.Image+report.Device))
		for _, warning := range report.Warnings {
			fmt.Fprintln(w, "WARNING:", warning)
		}
		fmt.Fprintln(w, c.next())
	})
}

// next says what to do with what was written, which was read back and compared.
func (d *destination) next() string {
	switch {
	case d.Image != "":
		return "Everything was read back and is good. Write the image to a medium as it is."
	case d.Device != "":
		return "Everything was read back and is good. Take the medium out."
	}
	return "Copy the folder SALLYPORT to the root of an empty medium, and nothing else."
}

// check refuses what no manifest may say, before any file is read.
func (c *sealCmd) check() error {
	kind := manifest.Kind(c.Kind)
	needs := []manifest.Kind{manifest.ElectionDefinition, manifest.BallotPackage, manifest.CVRExport, manifest.ResultsReport, manifest.UOCAVAExport}
	named, err := c.named()
	switch {
	case err != nil:
		return err
	case !named && !c.DryRun:
		return control.Failf(control.CodeUsage, "say where the package goes: --out DIR, --image FILE or --device DEVICE, or --dry-run to see what would be signed")
	case !slices.Contains(manifest.Kinds(), kind):
		return control.Failf(control.CodeUsage, "%q is no kind of package; there are %s", verdict.Escape(c.Kind), station.KindNames())
	case c.Election == "" && slices.Contains(needs, kind):
		return control.Failf(control.CodeUsage, "a package of the kind %s belongs to an election: name it with --election ID", kind)
	case c.Election == "" && c.Definition != "":
		return control.Failf(control.CodeUsage, "--definition says which version of an election's definition the package belongs to; name the election with --election ID")
	case c.Election != "" && !naming.IsScope(c.Election):
		return control.Failf(control.CodeUsage, "%q cannot be an election's id: it has 1 to 128 letters, digits and . _ ~ : / -", verdict.Escape(c.Election))
	case c.Election != "" && c.Definition == "" && kind != manifest.ElectionDefinition:
		return control.Failf(control.CodeUsage, "a package of the election %s must say which definition it belongs to: --definition FILE", c.Election)
	case c.Audience != manifest.AudienceAll && !naming.IsName(c.Audience):
		return control.Failf(control.CodeUsage, "%q cannot be a station's id: give the receiving station's id, or '*' for all", verdict.Escape(c.Audience))
	case c.Stream != "" && !naming.IsName(c.Stream):
		return control.Failf(control.CodeUsage, "%q cannot name a stream: it has 1 to 64 letters, digits and . _ -", verdict.Escape(c.Stream))
	}
	return nil
}

// permitted asks this station's own trust bundle whether receivers will take
// the package: the polling place must hear of a mistake at the polling place.
// What every receiver with this bundle refuses is refused here; what only makes
// refusal likely is a warning.
func (c *sealCmd) permitted(s *session) (t station.Trust, warnings []string, err error) {
	if err := s.do(station.OpTrustShow, station.NoArgs{}, nil, &t); err != nil {
		return t, nil, err
	}
	kind, own := manifest.Kind(c.Kind), s.cfg.Station
	at := slices.IndexFunc(t.Stations, func(st trust.Station) bool { return st.ID == own.ID })
	deny := func(format string, args ...any) error {
		return control.Failf(string(verdict.SignerNotPermitted), "cannot seal the package: "+format+", so every receiver would hold it; ask the election authority, then run 'sallyport trust install' with its new bundle", args...)
	}
	if kind == manifest.TrustBundle && t.Root != nil && slices.ContainsFunc(t.Root.Keys, func(k trust.RootKey) bool { return k.Holder == own.ID && k.Custody == trust.InTPM }) {
		return t, []string{}, nil
	}
	switch {
	case at < 0:
		return t, nil, deny("this station (%s) is not enrolled in trust bundle %d", own.ID, t.Version)
	case !trust.Allowed(t.Stations[at].Role, kind):
		return t, nil, control.Failf(string(verdict.SignerNotPermitted), "cannot seal the package: a station of the role %s never seals the kind %s", t.Stations[at].Role, kind)
	case !slices.Contains(t.Stations[at].Kinds, kind):
		return t, nil, deny("trust bundle %d does not allow this station (%s) to seal the kind %s", t.Version, own.ID, kind)
	case c.Election != "" && !slices.Contains(t.Stations[at].Elections, c.Election):
		return t, nil, deny("trust bundle %d does not allow this station (%s) to seal for the election %s", t.Version, own.ID, c.Election)
	}
	warnings = []string{}
	if c.Audience != manifest.AudienceAll && !slices.ContainsFunc(t.Stations, func(st trust.Station) bool { return st.ID == c.Audience }) {
		warnings = append(warnings, fmt.Sprintf("trust bundle %d knows no station %s: only a station of that very id will take this package", t.Version, c.Audience))
	}
	return t, warnings, nil
}

// seal copies, has the station sign and writes the manifest last. On any error
// before the signature nothing of the package stays behind.
func (c *sealCmd) seal(a *app, s *session, inputs []input) (r *sealedReport, err error) {
	id := make([]byte, 16)
	rand.Read(id) // never fails (crypto/rand)
	args := station.SealArgs{PackageID: hex.EncodeToString(id), Kind: manifest.Kind(c.Kind), ElectionID: c.Election, Audience: c.Audience, Stream: c.Stream, Supersedes: c.Supersedes}
	r = &sealedReport{PackageID: args.PackageID, Image: c.Image, Device: c.Device}
	if _, r.Warnings, err = c.permitted(s); err != nil {
		return nil, err
	}
	if c.Definition != "" {
		if args.ElectionSHA256, err = hashFile(c.Definition); err != nil {
			return nil, err
		}
	}
	to, err := c.place(a, args.PackageID, inputs)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, to.close()) }()
	var sealed station.Sealed
	args.Files, err = to.write(a)
	if err == nil {
		err = c.ownDefinition(&args)
	}
	if err == nil {
		err = s.do(station.OpSeal, args, nil, &sealed)
	}
	if err != nil {
		return nil, to.undo(err)
	}
	if f, ok := to.(*folder); ok {
		r.Folder = f.path
	}
	r.Digest, r.Stream, r.Seq, r.Files = sealed.Digest, sealed.Stream, sealed.Seq, len(args.Files)
	for _, f := range args.Files {
		r.Bytes += f.Size
	}
	if b := sealed.Before; b != nil {
		r.Warnings = append(r.Warnings, fmt.Sprintf("the same files were sealed before as package %s, sequence %d; this is a new package with sequence %d. To write the first one once more, use 'sallyport seal-again %s'", b.PackageID, b.Seq, sealed.Seq, b.PackageID))
	}
	return r, to.finish(a, &sealed)
}

// ownDefinition: a package that is an election definition belongs to itself.
func (c *sealCmd) ownDefinition(args *station.SealArgs) error {
	if args.Kind != manifest.ElectionDefinition || args.ElectionSHA256 != "" {
		return nil
	}
	if len(args.Files) != 1 {
		return control.Failf(control.CodeUsage, "name the file that is the election definition with --definition FILE: there are %d files", len(args.Files))
	}
	args.ElectionSHA256 = args.Files[0].SHA256
	return nil
}

// writeManifest puts a signed envelope and its evidence beside its files. From the signature on
// the receiver waits for this very package, so a failure says how to go on.
func writeManifest(folder string, sealed *station.Sealed) error {
	var files []manifest.File
	for _, f := range []struct {
		name string
		body []byte
	}{{evidenceName, sealed.Evidence}, {manifestName, sealed.Envelope}} { // the manifest last
		if err := (durable.FS{}).WriteFile("cli.seal", filepath.Join(folder, f.name), f.body, 0o644); err != nil {
			return fmt.Errorf("package %s is signed, but its %s could not be written: %w; make room, or copy its folder to another medium, and run 'sallyport seal-again %s --out DIR'", sealed.PackageID, f.name, err, sealed.PackageID)
		}
		sum := sha256.Sum256(f.body)
		files = append(files, manifest.File{Path: f.name, Size: int64(len(f.body)), SHA256: hex.EncodeToString(sum[:])})
	}
	if err := readBack(folder, files); err != nil {
		return fmt.Errorf("package %s is signed: %w; copy its folder data to another medium and run 'sallyport seal-again %s --out DIR' there", sealed.PackageID, err, sealed.PackageID)
	}
	return nil
}

// input is one file to be sealed under a path.
type input struct {
	source, path string
	size         int64
}

// gather lists the files, sorted by their path in the package. A folder's files
// keep their paths below it. Links are not followed: what they point at is not
// what the user sees in the folder.
func gather(names []string) ([]input, error) {
	var out []input
	for _, name := range names {
		st, err := os.Lstat(name)
		if err != nil {
			return nil, control.Failf(control.CodeUsage, "cannot seal: %v", err)
		}
		err = filepath.WalkDir(name, func(p string, d fs.DirEntry, err error) error {
			if err != nil {
				return control.Failf(control.CodeUsage, "cannot seal: %v", err)
			}
			if d.IsDir() {
				return nil
			}
			return add(&out, name, p, d, st.IsDir())
		})
		if err != nil {
			return nil, err
		}
	}
	slices.SortFunc(out, func(a, b input) int { return strings.Compare(a.path, b.path) })
	folded := map[string]string{}
	for _, in := range out {
		if err := manifest.CheckPath(in.path); err != nil {
			f, _ := verdict.Find(err)
			return nil, control.Failf(control.CodeUsage, "cannot seal %s: %s; rename it", verdict.Escape(in.source), verdict.Escape(f.Detail))
		}
		key := strings.ToLower(in.path) // many file systems of media do not tell the cases apart
		if first, twice := folded[key]; twice {
			return nil, control.Failf(control.CodeUsage, "cannot seal %s and %s: both would be %s; rename one", verdict.Escape(first), verdict.Escape(in.source), in.path)
		}
		folded[key] = in.source
	}
	if len(out) == 0 {
		return nil, control.Failf(control.CodeUsage, "cannot seal: there is no file")
	}
	return out, nil
}

// add takes one directory entry at p, found below the argument name.
func add(out *[]input, name, p string, d fs.DirEntry, below bool) error {
	info, err := d.Info()
	if err != nil {
		return control.Failf(control.CodeUsage, "cannot seal: %v", err)
	}
	switch {
	case info.Mode().Type() == fs.ModeSymlink:
		return control.Failf(control.CodeUsage, "cannot seal %s: it is a link; name the file itself", verdict.Escape(p))
	case !info.Mode().IsRegular():
		return control.Failf(control.CodeUsage, "cannot seal %s: it is neither a file nor a folder", verdict.Escape(p))
	}
	rel := filepath.Base(p)
	if below {
		if rel, err = filepath.Rel(name, p); err != nil {
			return err
		}
	}
	*out = append(*out, input{p, filepath.ToSlash(rel), info.Size()})
	return nil
}

// syncFolder makes everything on the folder's file system durable: one call,
// however many files were written.
func syncFolder(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	if err := unix.Syncfs(int(f.Fd())); err != nil {
		err = fmt.Errorf("cannot make the package durable: %w", err)
		return errors.Join(err, f.Close())
	}
	return f.Close()
}

// copyAll copies every input into dir and returns what was written.
func copyAll(a *app, inputs []input, dir string) (files []manifest.File, err error) {
	bar := newBar(a.err)
	defer bar.end()
	progress := control.Progress{Phase: "copying"}
	for _, in := range inputs {
		progress.Total += in.size
	}
	buf := make([]byte, 1<<20)
	for _, in := range inputs {
		f, err := in.copyTo(dir, buf, func(n int) error {
			progress.Done += int64(n)
			bar.show(progress)
			return a.ctx.Err()
		})
		if errors.Is(err, context.Canceled) {
			return nil, a.interrupted("nothing was sealed and nothing of the package was left behind")
		}
		if err != nil {
			return nil, control.Failf(codeFailed, "cannot seal %s: %v", verdict.Escape(in.source), err)
		}
		files = append(files, f)
	}
	return files, nil
}

// copyTo copies the file through buf and hashes what it writes; step is told
// of every piece and may end the copying.
func (in input) copyTo(dir string, buf []byte, step func(int) error) (f manifest.File, err error) {
	src, _, err := openPlain(in.source, unix.O_NOFOLLOW)
	if err != nil {
		return f, err
	}
	defer src.Close()
	target := filepath.Join(dir, filepath.FromSlash(in.path))
	if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
		return f, err
	}
	dst, err := os.OpenFile(target, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return f, err
	}
	defer func() { err = errors.Join(err, dst.Close()) }()
	f = manifest.File{Path: in.path, MediaType: mediaType(in.path)}
	sum := sha256.New()
	for {
		n, err := src.Read(buf)
		sum.Write(buf[:n])
		if _, werr := dst.Write(buf[:n]); werr != nil {
			return f, werr
		}
		f.Size += int64(n)
		if stop := step(n); stop != nil {
			return f, stop
		}
		if errors.Is(err, io.EOF) {
			f.SHA256 = hex.EncodeToString(sum.Sum(nil))
			return f, nil
		}
		if err != nil {
			return f, err
		}
	}
}

// mediaType goes by the name alone: it is a hint for people, checked by nobody.
func mediaType(name string) string {
	t, _, err := mime.ParseMediaType(mime.TypeByExtension(path.Ext(name)))
	if err != nil {
		return "application/octet-stream"
	}
	return t
}

func hashFile(name string) (string, error) {
	f, _, err := openPlain(name, 0)
	if err != nil {
		return "", control.Failf(control.CodeUsage, "cannot read the election definition: %v", err)
	}
	defer f.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, f); err != nil {
		return "", fmt.Errorf("cannot read the election definition: %w", err)
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

type sealAgainCmd struct {
	Package string `arg:"" help:"The package's id, as 'seal' printed it or as its folder is called."`
	destination
	Files []string `arg:"" optional:"" help:"With --image or --device: the files and folders that were sealed, as they were named then." placeholder:"FILE"`
}

func (c *sealAgainCmd) Run(a *app) error {
	named, err := c.named()
	switch {
	case err != nil:
		return err
	case !named:
		return control.Failf(control.CodeUsage, "say where the package is, with --out DIR, or where it goes, with --image FILE or --device DEVICE and its files")
	case c.Out == "" && len(c.Files) == 0:
		return control.Failf(control.CodeUsage, "name the files that were sealed: they are copied once more")
	case c.Out != "" && len(c.Files) > 0:
		return control.Failf(control.CodeUsage, "with --out the files are already in DIR/SALLYPORT/<package id>/data: name none")
	}
	at := filepath.Join(c.Out, "SALLYPORT", c.Package)
	if c.Out != "" {
		if st, err := os.Stat(filepath.Join(at, "data")); err != nil || !st.IsDir() {
			return control.Failf(control.CodeUsage, "%s has no folder data: copy the package's files there first", verdict.Escape(at))
		}
	}
	var sealed station.Sealed
	if err := a.do(station.OpSealAgain, station.SealAgainArgs{PackageID: c.Package}, nil, &sealed); err != nil {
		return err
	}
	if c.Out == "" {
		if err := c.write(a, &sealed); err != nil {
			return err
		}
		return a.print(sealed, func(w io.Writer) {
			fmt.Fprintf(w, "wrote package %s once more: stream %s, sequence %d\n  %s\n%s\n", sealed.PackageID, sealed.Stream, sealed.Seq, verdict.Escape(c.Image+c.Device), c.next())
		})
	}
	if err := writeManifest(at, &sealed); err != nil {
		return err
	}
	return a.print(sealed, func(w io.Writer) {
		fmt.Fprintf(w, "wrote the manifest of package %s: stream %s, sequence %d\n  %s\n", sealed.PackageID, sealed.Stream, sealed.Seq, verdict.Escape(at))
	})
}

// write writes a package that was signed before to a medium of its own: its
// files have to be those that the manifest lists.
func (c *sealAgainCmd) write(a *app, sealed *station.Sealed) (err error) {
	signed, err := recall(sealed)
	if err != nil {
		return err
	}
	inputs, err := gather(c.Files)
	if err != nil {
		return err
	}
	if err := sameNames(sealed.PackageID, inputs, signed); err != nil {
		return err
	}
	to, err := c.place(a, sealed.PackageID, inputs)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, to.close()) }()
	files, err := to.write(a)
	if err == nil {
		err = sameFiles(sealed.PackageID, files, signed)
	}
	if err != nil {
		return to.undo(err)
	}
	return to.finish(a, sealed)
}
