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
	Kind       string   `required:"" help:"Kind of package: ${kinds}." placeholder:"KIND"`
	Audience   string   `required:"" help:"Station that the package is for, or * for every station of the jurisdiction." placeholder:"STATION"`
	Election   string   `help:"Election that the package belongs to." placeholder:"ID"`
	Definition string   `help:"Election definition that the package belongs to (its SHA-256 is signed). Not needed for an election-definition itself." placeholder:"FILE"`
	Stream     string   `help:"Order in which this package stands; default: one for each kind and audience." placeholder:"NAME"`
	Out        string   `help:"Folder to write the package to, such as the root of an empty mounted medium." placeholder:"DIR"`
	DryRun     bool     `help:"Show what would be signed, and sign and write nothing."`
	Files      []string `arg:"" help:"Files and folders to seal." placeholder:"FILE"`
}

// sealedReport is what 'seal' prints.
type sealedReport struct {
	PackageID string `json:"package_id"`
	Folder    string `json:"folder"`
	Digest    string `json:"digest"`
	Stream    string `json:"stream"`
	Seq       int64  `json:"seq"`
	Files     int    `json:"files"`
	Bytes     int64  `json:"bytes"`
	// Warnings say what makes it likely that a receiver will not take the package.
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
		fmt.Fprintf(w, "sealed package %s: %s, %s, stream %s, sequence %d\n  %s\n", report.PackageID, count(report.Files, "file"), size(report.Bytes), report.Stream, report.Seq, verdict.Escape(report.Folder))
		for _, warning := range report.Warnings {
			fmt.Fprintln(w, "WARNING:", warning)
		}
		fmt.Fprintln(w, "Copy the folder SALLYPORT to the root of an empty medium, and nothing else.")
	})
}

// check refuses what no manifest may say, before any file is read.
func (c *sealCmd) check() error {
	kind := manifest.Kind(c.Kind)
	needs := []manifest.Kind{manifest.ElectionDefinition, manifest.BallotPackage, manifest.CVRExport, manifest.ResultsReport, manifest.UOCAVAExport}
	switch {
	case c.Out == "" && !c.DryRun:
		return control.Failf(control.CodeUsage, "say where the package goes: --out DIR, or --dry-run to see what would be signed")
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
func (c *sealCmd) permitted(s *session) (warnings []string, err error) {
	var t station.Trust
	if err := s.do(station.OpTrustShow, station.NoArgs{}, nil, &t); err != nil {
		return nil, err
	}
	kind, own := manifest.Kind(c.Kind), s.cfg.Station
	at := slices.IndexFunc(t.Stations, func(st trust.Station) bool { return st.ID == own.ID })
	deny := func(format string, args ...any) error {
		return control.Failf(string(verdict.SignerNotPermitted), "cannot seal the package: "+format+", so every receiver would hold it; ask the election authority, then run 'sallyport trust install' with its new bundle", args...)
	}
	switch {
	case at < 0:
		return nil, deny("this station (%s) is not enrolled in trust bundle %d", own.ID, t.Version)
	case !trust.Allowed(t.Stations[at].Role, kind):
		return nil, control.Failf(string(verdict.SignerNotPermitted), "cannot seal the package: a station of the role %s never seals the kind %s", t.Stations[at].Role, kind)
	case !slices.Contains(t.Stations[at].Kinds, kind):
		return nil, deny("trust bundle %d does not allow this station (%s) to seal the kind %s", t.Version, own.ID, kind)
	case c.Election != "" && !slices.Contains(t.Stations[at].Elections, c.Election):
		return nil, deny("trust bundle %d does not allow this station (%s) to seal for the election %s", t.Version, own.ID, c.Election)
	}
	warnings = []string{}
	if c.Audience != manifest.AudienceAll && !slices.ContainsFunc(t.Stations, func(st trust.Station) bool { return st.ID == c.Audience }) {
		warnings = append(warnings, fmt.Sprintf("trust bundle %d knows no station %s: only a station of that very id will take this package", t.Version, c.Audience))
	}
	return warnings, nil
}

// seal copies, has the station sign and writes the manifest last. On any error
// nothing of the package stays behind.
func (c *sealCmd) seal(a *app, s *session, inputs []input) (r *sealedReport, err error) {
	id := make([]byte, 16)
	rand.Read(id) // never fails (crypto/rand)
	args := station.SealArgs{PackageID: hex.EncodeToString(id), Kind: manifest.Kind(c.Kind), ElectionID: c.Election, Audience: c.Audience, Stream: c.Stream}
	root := filepath.Join(c.Out, "SALLYPORT")
	folder := filepath.Join(root, args.PackageID)
	r = &sealedReport{PackageID: args.PackageID, Folder: folder}
	if r.Warnings, err = c.permitted(s); err != nil {
		return nil, err
	}
	if c.Definition != "" {
		if args.ElectionSHA256, err = hashFile(c.Definition); err != nil {
			return nil, err
		}
	}
	if err := os.MkdirAll(filepath.Join(folder, "data"), 0o755); err != nil {
		return nil, control.Failf(control.CodeUsage, "cannot write the package: %v", err)
	}
	signed := false
	defer func() {
		if err != nil && !signed {
			err = errors.Join(err, os.RemoveAll(folder))
			_ = os.Remove(root) // only when it is empty: others may have put packages there
		}
	}()
	if args.Files, r.Bytes, err = copyAll(a, inputs, filepath.Join(folder, "data")); err != nil {
		return nil, err
	}
	if err := syncFolder(folder); err != nil {
		return nil, err
	}
	// Before anything is signed, the medium must show that it kept what was written.
	if err := readBack(filepath.Join(folder, "data"), args.Files); err != nil {
		return nil, err
	}
	if err := c.ownDefinition(&args); err != nil {
		return nil, err
	}
	var sealed station.Sealed
	if err := s.do(station.OpSeal, args, nil, &sealed); err != nil {
		return nil, err
	}
	signed = true
	r.Digest, r.Stream, r.Seq, r.Files = sealed.Digest, sealed.Stream, sealed.Seq, len(args.Files)
	// Not CreateFile: the folder is new and ours alone, and file systems of media
	// mounted through FUSE do not know how to rename without replacing.
	return r, writeManifest(r.Folder, &sealed)
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

// writeManifest puts a signed envelope beside its files. From the signature on
// the receiver waits for this very package, so a failure says how to go on.
func writeManifest(folder string, sealed *station.Sealed) error {
	err := (durable.FS{}).WriteFile("cli.seal", filepath.Join(folder, "manifest.dsse.json"), sealed.Envelope, 0o644)
	if err != nil {
		return fmt.Errorf("package %s is signed, but its manifest could not be written: %w; make room, or copy its folder to another medium, and run 'sallyport seal-again %s --out DIR'", sealed.PackageID, err, sealed.PackageID)
	}
	sum := sha256.Sum256(sealed.Envelope)
	if err := readBack(folder, []manifest.File{{Path: "manifest.dsse.json", Size: int64(len(sealed.Envelope)), SHA256: hex.EncodeToString(sum[:])}}); err != nil {
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
func copyAll(a *app, inputs []input, dir string) (files []manifest.File, total int64, err error) {
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
			return nil, 0, a.interrupted("nothing was sealed and nothing of the package was left behind")
		}
		if err != nil {
			return nil, 0, control.Failf(codeFailed, "cannot seal %s: %v", verdict.Escape(in.source), err)
		}
		files = append(files, f)
		total += f.Size
	}
	return files, total, nil
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
	Out     string `required:"" help:"Folder that holds SALLYPORT/<package id>/data with the package's files." placeholder:"DIR"`
}

func (c *sealAgainCmd) Run(a *app) error {
	folder := filepath.Join(c.Out, "SALLYPORT", c.Package)
	if st, err := os.Stat(filepath.Join(folder, "data")); err != nil || !st.IsDir() {
		return control.Failf(control.CodeUsage, "%s has no folder data: copy the package's files there first", verdict.Escape(folder))
	}
	var sealed station.Sealed
	if err := a.do(station.OpSealAgain, station.SealAgainArgs{PackageID: c.Package}, nil, &sealed); err != nil {
		return err
	}
	if err := writeManifest(folder, &sealed); err != nil {
		return err
	}
	return a.print(sealed, func(w io.Writer) {
		fmt.Fprintf(w, "wrote the manifest of package %s: stream %s, sequence %d\n  %s\n", sealed.PackageID, sealed.Stream, sealed.Seq, verdict.Escape(folder))
	})
}
