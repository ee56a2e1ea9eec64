package cli

import (
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
	"sallyport/internal/station"
)

type sealCmd struct {
	Kind       string   `required:"" help:"Kind of package: ${kinds}." placeholder:"KIND"`
	Audience   string   `required:"" help:"Station that the package is for, or * for every station of the jurisdiction." placeholder:"STATION"`
	Election   string   `help:"Election that the package belongs to." placeholder:"ID"`
	Definition string   `help:"Election definition that the package belongs to (its SHA-256 is signed). Not needed for an election-definition itself." placeholder:"FILE"`
	Stream     string   `help:"Order in which this package stands; default: one for each kind and audience." placeholder:"NAME"`
	Out        string   `required:"" help:"Folder to write the package to, such as the root of an empty mounted medium." placeholder:"DIR"`
	Files      []string `arg:"" help:"Files and folders to seal." placeholder:"FILE"`
}

func (sealCmd) Help() string {
	return `The files are read once: what is hashed is what is written to DIR/SALLYPORT/<package id>/data.
Then the station's TPM signs the list, and only then the manifest is written: a package without one is never accepted.`
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
}

func (c *sealCmd) Run(a *app) error {
	id := make([]byte, 16)
	rand.Read(id) // never fails (crypto/rand)
	args := station.SealArgs{PackageID: hex.EncodeToString(id), Kind: manifest.Kind(c.Kind), ElectionID: c.Election, Audience: c.Audience, Stream: c.Stream}
	inputs, err := gather(c.Files)
	if err != nil {
		return err
	}
	if c.Definition != "" {
		if args.ElectionSHA256, err = hashFile(c.Definition); err != nil {
			return err
		}
	}
	folder := filepath.Join(c.Out, "SALLYPORT", args.PackageID)
	if err := os.MkdirAll(filepath.Join(folder, "data"), 0o755); err != nil {
		return err
	}
	report := sealedReport{PackageID: args.PackageID, Folder: folder}
	for _, in := range inputs {
		f, err := in.copyTo(filepath.Join(folder, "data"))
		if err != nil {
			return errors.Join(err, os.RemoveAll(folder))
		}
		args.Files = append(args.Files, f)
		report.Files++
		report.Bytes += f.Size
	}
	if err := syncFolder(folder); err != nil {
		return errors.Join(err, os.RemoveAll(folder))
	}
	if args.Kind == manifest.ElectionDefinition && args.ElectionSHA256 == "" && len(args.Files) == 1 {
		args.ElectionSHA256 = args.Files[0].SHA256
	}
	var sealed station.Sealed
	if err := a.do(station.OpSeal, args, nil, &sealed); err != nil {
		return errors.Join(err, os.RemoveAll(folder))
	}
	if err := (durable.FS{}).CreateFile("cli.seal", filepath.Join(folder, "manifest.dsse.json"), sealed.Envelope, 0o644); err != nil {
		return err
	}
	report.Digest, report.Stream, report.Seq = sealed.Digest, sealed.Stream, sealed.Seq
	return a.print(report, func(w io.Writer) {
		fmt.Fprintf(w, "sealed package %s: %d files, %s, stream %s, sequence %d\n  %s\n", report.PackageID, report.Files, size(report.Bytes), report.Stream, report.Seq, report.Folder)
		fmt.Fprintln(w, "Copy the folder SALLYPORT to the root of an empty medium, and nothing else.")
	})
}

// input is one file to be sealed under a path.
type input struct{ source, path string }

// gather lists the files, sorted by their path in the package. A folder's files
// keep their paths below it.
func gather(names []string) ([]input, error) {
	var out []input
	for _, name := range names {
		st, err := os.Stat(name)
		if err != nil {
			return nil, control.Failf(control.CodeUsage, "cannot seal: %v", err)
		}
		if st.Mode().IsRegular() {
			out = append(out, input{name, filepath.Base(name)})
			continue
		}
		err = filepath.WalkDir(name, func(p string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			if !d.Type().IsRegular() {
				return control.Failf(control.CodeUsage, "cannot seal %s: it is neither a file nor a folder", p)
			}
			rel, err := filepath.Rel(name, p)
			out = append(out, input{p, filepath.ToSlash(rel)})
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	slices.SortFunc(out, func(a, b input) int { return strings.Compare(a.path, b.path) })
	for i, in := range out {
		if err := manifest.CheckPath(in.path); err != nil {
			return nil, control.Failf(control.CodeUsage, "cannot seal %s: %v; rename the file", in.source, err)
		}
		if i > 0 && out[i-1].path == in.path {
			return nil, control.Failf(control.CodeUsage, "cannot seal %s and %s: both would be %s", out[i-1].source, in.source, in.path)
		}
	}
	if len(out) == 0 {
		return nil, control.Failf(control.CodeUsage, "cannot seal: there is no file")
	}
	return out, nil
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

// copyTo copies the file and hashes what it writes.
func (in input) copyTo(dir string) (f manifest.File, err error) {
	src, err := os.Open(in.source)
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
	sum := sha256.New()
	n, err := io.CopyBuffer(io.MultiWriter(dst, sum), struct{ io.Reader }{src}, make([]byte, 1<<20))
	if err = errors.Join(err, dst.Close()); err != nil {
		return f, fmt.Errorf("cannot copy %s: %w", in.source, err)
	}
	return manifest.File{Path: in.path, Size: n, SHA256: hex.EncodeToString(sum.Sum(nil)), MediaType: mediaType(in.path)}, nil
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
	f, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}
