package cli

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"

	"sallyport/internal/control"
	"sallyport/internal/durable"
	"sallyport/internal/station"
	"sallyport/internal/trust"
	"sallyport/internal/verdict"
)

// maxDocument bounds the documents that a command reads, in bytes: the largest is
// a trust bundle.
const maxDocument = trust.MaxEnvelope

// openMedium opens an image file or a block device for reading only. A device
// that is mounted is refused (O_EXCL): its content would change under the reader,
// which is also why nobody can mount it meanwhile. Package reader turns the page
// cache off for a device.
func openMedium(path string) (*os.File, error) {
	name := verdict.Escape(path)
	st, err := os.Stat(path)
	if err != nil {
		return nil, control.Failf(control.CodeUsage, "cannot open the medium: %v", err)
	}
	flags := os.O_RDONLY | unix.O_NONBLOCK
	switch {
	case st.IsDir():
		return nil, control.Failf(control.CodeUsage, "%s is a folder: a medium is an image file or a block device such as /dev/sdb ('sallyport seal' seals folders)", name)
	case st.Mode().Type() == os.ModeDevice:
		flags |= os.O_EXCL
	case !st.Mode().IsRegular():
		return nil, control.Failf(control.CodeUsage, "%s is neither an image file nor a block device", name)
	}
	f, err := os.OpenFile(path, flags, 0)
	if errors.Is(err, unix.EBUSY) {
		return nil, control.Failf(control.CodeUsage, "%s is in use: unmount it first", name)
	}
	if errors.Is(err, unix.ENOMEDIUM) || errors.Is(err, unix.ENXIO) {
		return nil, control.Failf(control.CodeUsage, "there is no medium in %s: insert it, and try again", name)
	}
	if err != nil {
		return nil, control.Failf(control.CodeUsage, "cannot open the medium: %v", err)
	}
	// What was opened counts, not what stood there before.
	if now, err := f.Stat(); err != nil || now.Mode().Type() != st.Mode().Type() {
		f.Close()
		return nil, control.Failf(control.CodeUsage, "%s changed while it was opened", name)
	}
	return f, nil
}

// openPlain opens a plain file for reading; a pipe or a device would block or
// never end.
func openPlain(path string, flags int) (*os.File, fs.FileInfo, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK|flags, 0)
	if err != nil {
		return nil, nil, err
	}
	st, err := f.Stat()
	if err == nil && !st.Mode().IsRegular() {
		err = &fs.PathError{Op: "read", Path: path, Err: errors.New("not a plain file")}
	}
	if err != nil {
		f.Close()
		return nil, nil, err
	}
	return f, st, nil
}

// readDocument reads a document that the user names; what says which.
func readDocument(what, path string) ([]byte, error) {
	f, _, err := openPlain(path, 0)
	if err != nil {
		return nil, control.Failf(control.CodeUsage, "cannot read the %s: %v", what, err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxDocument+1))
	if err != nil {
		return nil, control.Failf(codeFailed, "cannot read the %s: %v", what, err)
	}
	if len(b) > maxDocument {
		return nil, control.Failf(control.CodeUsage, "%s is no %s: it has more than %d bytes", verdict.Escape(path), what, maxDocument)
	}
	return b, nil
}

// checkNew says early that a file cannot be made: before an operation whose
// result would be lost.
func checkNew(path string) error {
	if _, err := os.Lstat(path); err == nil {
		return control.Failf(control.CodeUsage, "%s exists already, and nothing is overwritten: choose another name", verdict.Escape(path))
	}
	dir := filepath.Dir(path)
	if st, err := os.Stat(dir); err != nil || !st.IsDir() {
		return control.Failf(control.CodeUsage, "cannot write %s: there is no folder %s", verdict.Escape(path), verdict.Escape(dir))
	}
	if err := unix.Access(dir, unix.W_OK); err != nil {
		return control.Failf(control.CodeUsage, "cannot write to the folder %s: %v", verdict.Escape(dir), err)
	}
	return nil
}

// writtenFile is what commands print that write a file.
type writtenFile struct {
	File        string `json:"file"`
	Fingerprint string `json:"fingerprint,omitzero"`
}

// writeNew writes a document to a new file and says so.
func (a *app) writeNew(path string, d station.Document) error {
	if err := writeFile(path, d.Body); err != nil {
		return err
	}
	return a.print(writtenFile{path, d.Fingerprint}, func(w io.Writer) {
		fmt.Fprintf(w, "wrote %s\n", verdict.Escape(path))
		if d.Fingerprint != "" {
			fmt.Fprintf(w, "fingerprint, to be compared by people: %s\n", d.Fingerprint)
		}
	})
}

// writeFile writes a file that must not exist. It may stand on any file system,
// such as that of a mounted medium, where renaming without replacing is not
// known; so it is made in its place, and removed on error.
//
//	openat(path, O_CREAT|O_EXCL) write fsync close open(dir) fsync(dir)
func writeFile(path string, body []byte) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return control.Failf(codeFailed, "cannot write %s: %v", verdict.Escape(path), err)
	}
	_, err = f.Write(body)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = (durable.FS{}).SyncDir("cli.write", filepath.Dir(path))
	}
	if err != nil {
		return errors.Join(control.Failf(codeFailed, "cannot write %s: %v", verdict.Escape(path), err), os.Remove(path))
	}
	return nil
}

// newFolder makes a new folder with all the files that fill creates, durable, or
// nothing: it is put together beside its place and then gets its name. Paths
// have slashes.
func newFolder(dir string, fill func(create func(path string) (io.WriteCloser, error)) error) (err error) {
	if err := checkNew(dir); err != nil {
		return err
	}
	parent := filepath.Dir(filepath.Clean(dir))
	tmp, err := os.MkdirTemp(parent, ".sallyport-")
	if err != nil {
		return control.Failf(codeFailed, "cannot write %s: %v", verdict.Escape(dir), err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(tmp))
		}
	}()
	if err := os.Chmod(tmp, 0o755); err != nil {
		return control.Failf(codeFailed, "cannot write %s: %v", verdict.Escape(dir), err)
	}
	folders := []string{tmp}
	err = fill(func(path string) (io.WriteCloser, error) {
		name := filepath.Join(tmp, filepath.FromSlash(path))
		if d := filepath.Dir(name); !slices.Contains(folders, d) {
			folders = append(folders, d)
			if err := os.MkdirAll(d, 0o755); err != nil {
				return nil, err
			}
		}
		f, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
		if err != nil {
			return nil, err
		}
		return syncedFile{f}, nil
	})
	if err != nil {
		return fmt.Errorf("cannot write %s: %w", verdict.Escape(dir), err)
	}
	for _, d := range folders {
		if err := (durable.FS{}).SyncDir("cli.write", d); err != nil {
			return err
		}
	}
	if err := os.Rename(tmp, dir); err != nil {
		return control.Failf(codeFailed, "cannot write %s: %v", verdict.Escape(dir), err)
	}
	return (durable.FS{}).SyncDir("cli.write", parent)
}

// syncedFile is durable when it is closed.
type syncedFile struct{ *os.File }

// Close makes the file durable and closes it.
func (f syncedFile) Close() error { return errors.Join(f.File.Sync(), f.File.Close()) }
