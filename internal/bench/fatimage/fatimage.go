// Package fatimage writes FAT32 and exFAT images with very many files, or with
// files in very many pieces, in the time that writing them takes: mtools needs
// minutes for a folder of thousands. Test code only. The images keep to the
// specifications of both file systems; its test has the checkers of Linux look
// at them.
package fatimage

import (
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"unicode/utf16"
)

var le = binary.LittleEndian

// File of an image.
type File struct {
	Name string
	Size int64 // bytes; below 4 GiB on FAT32
}

// Folder of an image's root.
type Folder struct {
	Name  string
	Files []File
}

// Image is what is to be written.
type Image struct {
	Cluster int64 // bytes; 512 to 32768, a power of two
	Folders []Folder
	Files   []File // in the root
	// Interleaved files of the root take one cluster each in turn.
	Interleaved bool
	// Content of all files, one after another as their clusters lie; nil leaves holes.
	Content io.Reader
}

const (
	sector      = 512
	record      = 32
	first       = 2
	dosDate     = 46<<9 | 11<<5 | 3 // 2026-11-03
	leastFAT32  = 65_525
	reservedFAT = 32 // sectors
)

// run is where something lies: n clusters, each the given step behind the one before.
type run struct {
	at, n, step uint32
}

func (r run) end() uint32 { return r.at + (r.n-1)*r.step }

// plan is an image with places.
type plan struct {
	*Image
	next    uint32 // free cluster
	root    run
	folders []run   // of Folders
	files   [][]run // of Folders, and at last of Files
}

func (p *plan) alloc(bytes int64) run {
	n := uint32((bytes + p.Cluster - 1) / p.Cluster)
	if n == 0 {
		return run{}
	}
	r := run{p.next, n, 1}
	p.next += n
	return r
}

// place gives everything its clusters. size returns the bytes of the records
// of a folder, which come on top of what the file system puts there itself.
func (p *plan) place(rootOwn, folderOwn int64, size func(name string) int64) {
	total := func(own int64, files []File) int64 {
		for _, f := range files {
			own += size(f.Name)
		}
		return own
	}
	rootBytes := total(rootOwn, p.Files)
	for _, d := range p.Folders {
		rootBytes += size(d.Name)
	}
	p.root = p.alloc(rootBytes)
	for _, d := range p.Folders {
		p.folders = append(p.folders, p.alloc(total(folderOwn, d.Files)))
	}
	for _, d := range p.Folders {
		var list []run
		for _, f := range d.Files {
			list = append(list, p.alloc(f.Size))
		}
		p.files = append(p.files, list)
	}
	var list []run
	start, most := p.next, uint32(0)
	for i, f := range p.Files {
		r := p.alloc(f.Size)
		if p.Interleaved && r.n > 0 {
			r = run{start + uint32(i), r.n, uint32(len(p.Files))}
			most = max(most, r.end()+1)
		}
		list = append(list, r)
	}
	p.next = max(p.next, most)
	p.files = append(p.files, list)
}

// chains writes the links of everything into a table of 32-bit entries.
func (p *plan) chains(table []byte, plain bool) {
	link := func(r run) {
		for i := range r.n {
			v := r.at + (i+1)*r.step
			if i+1 == r.n {
				v = 0xFFFFFFFF
			}
			le.PutUint32(table[4*(r.at+i*r.step):], v)
		}
	}
	link(p.root)
	for _, r := range p.folders {
		link(r)
	}
	for _, list := range p.files {
		for _, r := range list {
			if r.step > 1 || !plain {
				link(r)
			}
		}
	}
}

// content fills the clusters of all files.
func (p *plan) content(w io.WriterAt, heapOff int64) error {
	if p.Content == nil {
		return nil
	}
	low, high := p.next, uint32(0)
	for _, list := range p.files {
		for _, r := range list {
			if r.n > 0 {
				low, high = min(low, r.at), max(high, r.end()+1)
			}
		}
	}
	if high == 0 {
		return nil
	}
	_, err := io.CopyN(io.NewOffsetWriter(w, heapOff+int64(low-first)*p.Cluster), p.Content, int64(high-low)*p.Cluster)
	return err
}

// writer keeps the first error.
type writer struct {
	f   *os.File
	err error
}

func (w *writer) at(off int64, p []byte) {
	if w.err == nil {
		_, w.err = w.f.WriteAt(p, off)
	}
}

func create(path string, size int64) (*writer, error) {
	f, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	if err := f.Truncate(size); err != nil {
		f.Close()
		return nil, err
	}
	return &writer{f: f}, nil
}

func (w *writer) close() error {
	if err := w.f.Close(); w.err == nil {
		w.err = err
	}
	if w.err != nil {
		return fmt.Errorf("cannot write the image: %w", w.err)
	}
	return nil
}

func units(name string) []uint16 { return utf16.Encode([]rune(name)) }

func roundUp(n, to int64) int64 { return (n + to - 1) / to * to }
