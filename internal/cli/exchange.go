package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"sallyport/internal/control"
	"sallyport/internal/durable"
	"sallyport/internal/fat32"
	"sallyport/internal/medium"
	"sallyport/internal/reader"
	"sallyport/internal/station"
	"sallyport/internal/verdict"
)

// The documents of trust (requests, challenges, drafts) travel between machines
// that never meet. Each command takes them as plain files, or from a medium
// that only the confined reader looks at, and writes a file or a whole medium.

// source is where a command finds the documents that it is given by name.
type source struct {
	Medium []string `help:"Read the named documents from the root of this medium, through the confined reader; once more for documents on several media." sep:"none" placeholder:"IMAGE"`
}

// read reads one document. Of several media, one must hold it and no more.
func (s *source) read(a *app, what, name string) ([]byte, error) {
	if len(s.Medium) == 0 {
		return readDocument(what, name)
	}
	var body []byte
	var nowhere error
	for _, path := range s.Medium {
		b, err := a.readFromMedium(path, what, name)
		var missing *control.Failure
		switch {
		case errors.As(err, &missing) && missing.Code == control.CodeNotFound:
			nowhere = err
		case err != nil:
			return nil, err
		case body != nil:
			return nil, control.Failf(control.CodeUsage, "more than one of the media holds a file %s: take the one away that you do not mean", verdict.Escape(name))
		default:
			body = b
		}
	}
	if body == nil {
		return nil, nowhere
	}
	return body, nil
}

// aboutDocument words a finding about a document of trust that was judged on this
// side of the control socket; the reasons' own words speak of sealed media.
func aboutDocument(err error) error {
	if f, ok := verdict.Find(err); ok {
		return control.Failf(string(f.Reason), "%s: %s (%s)", verdict.Escape(f.Where), verdict.Escape(f.Detail), f.Reason)
	}
	return err
}

// readFromMedium reads one file from the root of a medium. A medium with
// anything wrong on it is refused: its sender writes a fresh one.
func (a *app) readFromMedium(path, what, name string) (body []byte, err error) {
	cfg, err := a.readerConfig()
	if err != nil {
		return nil, err
	}
	f, err := openMedium(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	session, err := reader.Start(a.ctx, cfg, f)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, session.Close()) }()
	listing, err := session.List()
	if err != nil {
		return nil, err
	}
	damaged := func(f *verdict.Finding) error {
		return control.Failf(string(f.Reason), "cannot read the %s from the medium: %v: %s", what, f, f.Reason.NextStep())
	}
	for i := range listing.Problems {
		return nil, damaged(&listing.Problems[i])
	}
	var found *reader.Entry
	for i := range listing.Entries {
		e := &listing.Entries[i]
		switch {
		case e.Path != name || e.Type != medium.File:
		case e.Problem != nil:
			return nil, damaged(e.Problem)
		case found != nil:
			return nil, control.Failf(control.CodeUsage, "the medium holds two files %s", verdict.Escape(name))
		default:
			found = e
		}
	}
	for _, v := range listing.Volumes {
		for i := range v.Problems {
			return nil, damaged(&v.Problems[i])
		}
	}
	switch {
	case found == nil:
		return nil, control.Failf(control.CodeNotFound, "there is no file %s on the medium; 'sallyport inspect' lists what is", verdict.Escape(name))
	case found.Size > maxDocument:
		return nil, control.Failf(control.CodeUsage, "%s is no %s: it has more than %d bytes", verdict.Escape(name), what, maxDocument)
	}
	stream, err := session.Read([]uint32{found.ID})
	if err != nil {
		return nil, err
	}
	if _, _, err := stream.Next(); err != nil {
		return nil, err
	}
	if body, err = io.ReadAll(io.LimitReader(stream, maxDocument+1)); err != nil {
		return nil, err
	}
	if int64(len(body)) != found.Size {
		return nil, control.Failf(string(verdict.Truncated), "the medium gave %d of the %d bytes of %s", len(body), found.Size, verdict.Escape(name))
	}
	return body, nil
}

// output is where a command writes its document.
type output struct {
	Out   string `help:"File to write; it must not exist." placeholder:"FILE"`
	Image string `help:"Write the document to this new image of a medium instead, ready for a stick." placeholder:"IMAGE"`
	name  string // of the document on a medium
}

// as gives the document its name and says early what is wrong with the target.
func (t *output) as(name string) error {
	t.name = name
	switch {
	case (t.Out == "") == (t.Image == ""):
		return control.Failf(control.CodeUsage, "say where the document goes: --out FILE, or --image IMAGE for a medium with the file %s", name)
	case t.Image != "":
		return checkNew(t.Image)
	}
	return checkNew(t.Out)
}

// put writes the document.
func (t *output) put(body []byte) (path string, err error) {
	if t.Image != "" {
		return t.Image, writeImage(t.Image, t.name, body)
	}
	return t.Out, writeFile(t.Out, body)
}

// write writes the document and shows more about it.
func (t *output) write(a *app, d station.Document, result any, more func(io.Writer)) error {
	path, err := t.put(d.Body)
	if err != nil {
		return err
	}
	if result == nil {
		result = writtenFile{path, d.Fingerprint}
	}
	return a.print(result, func(w io.Writer) {
		if t.Image != "" {
			fmt.Fprintf(w, "wrote %s, a medium with the file %s\n", verdict.Escape(path), t.name)
		} else {
			fmt.Fprintf(w, "wrote %s\n", verdict.Escape(path))
		}
		if d.Fingerprint != "" {
			fmt.Fprintf(w, "fingerprint, to be compared by people: %s\n", d.Fingerprint)
		}
		if more != nil {
			more(w)
		}
	})
}

// writeImage makes the image of a medium with one file in its root, reads it
// back and compares.
func writeImage(path, name string, body []byte) (err error) {
	layout, err := fat32.Plan(fat32.Options{Sector: 512, Time: time.Now()}, []fat32.File{{Path: name, Size: int64(len(body))}})
	if err != nil {
		return err
	}
	t, err := createImage(path, layout.Bytes())
	if err != nil {
		return err
	}
	defer func() {
		if err = errors.Join(err, t.close()); err != nil {
			err = errors.Join(control.Failf(codeFailed, "cannot write the image %s: %v", verdict.Escape(path), err), os.Remove(path))
		}
	}()
	if err := layout.Rest(t.keep); err != nil {
		return err
	}
	w := fat32.NewWriter(layout, t, func(int) error { return nil }) // a new image is empty: nothing is erased
	if _, err := w.Copy(bytes.NewReader(body)); err != nil {
		return err
	}
	for _, step := range []func() error{w.Flush, w.Check, w.Finish, w.CheckAll} {
		if err := step(); err != nil {
			return err
		}
	}
	return (durable.FS{}).SyncDir("cli.write", filepath.Dir(path))
}
