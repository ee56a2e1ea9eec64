package cli

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"sallyport/internal/control"
	"sallyport/internal/fat32"
	"sallyport/internal/manifest"
	"sallyport/internal/station"
	"sallyport/internal/verdict"
)

// destination says where a package goes.
type destination struct {
	Out    string `help:"Folder to write the package to, such as the root of an empty mounted medium." placeholder:"DIR"`
	Image  string `help:"New image file to write the package to, with one partition (FAT32)." placeholder:"FILE"`
	Size   string `help:"Size of the image, such as 512M or 8G; default: as small as it can be." placeholder:"BYTES"`
	Device string `help:"Whole disk to write the package to, such as /dev/sdb, with one partition (FAT32)." placeholder:"DEVICE"`
	Erase  bool   `help:"Erase the disk that --device names; without it, what would be lost is shown."`
}

// named says whether there is a destination, and refuses more than one.
func (d *destination) named() (bool, error) {
	n := 0
	for _, name := range []string{d.Out, d.Image, d.Device} {
		if name != "" {
			n++
		}
	}
	switch {
	case n > 1:
		return true, control.Failf(control.CodeUsage, "a package goes to one place: give only one of --out, --image and --device")
	case d.Size != "" && d.Image == "":
		return true, control.Failf(control.CodeUsage, "--size is the size of the image that --image makes")
	case d.Erase && d.Device == "":
		return true, control.Failf(control.CodeUsage, "--erase is for the disk that --device names")
	}
	return n == 1, nil
}

// place is where a package is written to: first its files, and after the
// signature its manifest.
type place interface {
	// write copies the files there, has them read back from the medium, and returns
	// what was copied.
	write(a *app) ([]manifest.File, error)
	// finish adds the manifest, reads it back as well, and returns when the package
	// is whole.
	finish(a *app, sealed *station.Sealed) error
	// undo takes back what was written, after err, and returns the error that tells
	// of both.
	undo(err error) error
	// close is called at the end.
	close() error
}

// place finds out whether the package can be written, before anything is.
func (d *destination) place(a *app, id string, inputs []input) (place, error) {
	if d.Out != "" {
		root := filepath.Join(d.Out, "SALLYPORT")
		return &folder{inputs: inputs, root: root, path: filepath.Join(root, id)}, nil
	}
	m := &wholeMedium{inputs: inputs, id: id, image: d.Image}
	options := fat32.Options{Sector: 512, Time: time.Now()}
	serial, err := strconv.ParseUint(id[:8], 16, 32)
	if err != nil {
		return nil, control.Failf(control.CodeUsage, "%q is no package id", verdict.Escape(id))
	}
	options.Serial = uint32(serial)
	if d.Image != "" {
		if err := checkNew(d.Image); err != nil {
			return nil, err
		}
		if options.Bytes, err = parseSize(d.Size); err != nil {
			return nil, err
		}
		return m, m.plan(options)
	}
	if m.disk, err = findDisk(d.Device); err != nil {
		return nil, err
	}
	if !d.Erase {
		return nil, control.Failf(control.CodeUsage, "everything on %s would be lost: %s. Nothing was written. If this is the right disk, say --erase as well", verdict.Escape(d.Device), m.disk.about)
	}
	if m.t, err = m.disk.open(); err != nil {
		return nil, err
	}
	options.Sector, options.Bytes = m.t.sector, m.t.size
	if err := m.plan(options); err != nil {
		return nil, errors.Join(err, m.close())
	}
	if !a.cmd.JSON {
		fmt.Fprintf(a.err, "erasing %s: %s\n", verdict.Escape(d.Device), m.disk.about)
	}
	return m, nil
}

// parseSize reads a number of bytes, with a binary unit or without; nothing is 0.
func parseSize(s string) (int64, error) {
	digits := strings.TrimRight(s, "KMGT")
	unit := s[len(digits):]
	shift := 0
	if unit != "" {
		shift = 10 * (strings.Index("KMGT", unit) + 1)
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	switch {
	case s == "":
		return 0, nil
	case err != nil || n < 1 || len(unit) > 1 || n > (1<<50)>>shift || n<<shift%512 != 0:
		return 0, control.Failf(control.CodeUsage, "%q is no size of an image: give bytes, a multiple of 512, or a number with K, M, G or T, such as 512M", verdict.Escape(s))
	}
	return n << shift, nil
}

// wholeMedium is a medium that is written from its first sector on: an image or
// a disk.
type wholeMedium struct {
	inputs []input
	id     string
	image  string // the new file, or
	disk   *disk

	layout *fat32.Layout
	t      *target // of an image: nil until it is made
	w      *fat32.Writer
	signed bool
	bar    *bar
	done   control.Progress
}

func (m *wholeMedium) packagePath(name string) string { return "SALLYPORT/" + m.id + "/" + name }

// Files of a package beside its folder data.
const (
	manifestName = "manifest.dsse.json"
	evidenceName = "evidence.json"
)

// evidenceRoom is more bytes than the evidence of any TPM has: two statements,
// two signatures and nine registers.
const evidenceRoom = 8 << 10

// manifestRoom is the most that the signed manifest of these files can have: its
// payload in base64, and the envelope around it.
func manifestRoom(inputs []input) int64 {
	const head, file, envelope = 8 << 10, 160, 4 << 10 // without what differs
	n := int64(head)
	for _, in := range inputs {
		n += file + int64(len(in.path)+len(mediaType(in.path)))
	}
	return min(n*4/3+envelope, manifest.MaxEnvelope)
}

func (m *wholeMedium) plan(o fat32.Options) error {
	var files []fat32.File
	for _, in := range m.inputs {
		files = append(files, fat32.File{Path: m.packagePath("data/" + in.path), Size: in.size})
	}
	files = append(files, fat32.File{Path: m.packagePath(evidenceName), Size: evidenceRoom, Late: true},
		fat32.File{Path: m.packagePath(manifestName), Size: manifestRoom(m.inputs), Late: true})
	var err error
	m.layout, err = fat32.Plan(o, files)
	switch {
	case errors.Is(err, fat32.ErrCannotHold):
		return control.Failf(control.CodeUsage, "cannot seal to a FAT32: %v. Format a medium with exFAT, mount it, and seal to its root with --out", err)
	case errors.Is(err, fat32.ErrNoRoom) && m.disk != nil:
		return control.Failf(control.CodeUsage, "cannot seal to %s: %v; use a larger one", verdict.Escape(m.disk.path), err)
	case errors.Is(err, fat32.ErrNoRoom):
		return control.Failf(control.CodeUsage, "cannot make the image: %v; give a larger --size, or none", err)
	case err != nil:
		return control.Failf(control.CodeUsage, "cannot seal to a FAT32: %v", err)
	}
	return nil
}

// phase begins a part of the work that everybody can follow.
func (m *wholeMedium) phase(name string, total int64) {
	m.done = control.Progress{Phase: name, Total: total}
}

func (m *wholeMedium) write(a *app) ([]manifest.File, error) {
	if m.t == nil {
		var err error
		if m.t, err = createImage(m.image, m.layout.Bytes()); err != nil {
			m.image = "" // not ours
			return nil, err
		}
		if err := m.layout.Rest(m.t.keep); err != nil {
			return nil, control.Failf(codeFailed, "cannot write the image: %v", err)
		}
	}
	m.bar = newBar(a.err)
	defer m.bar.end()
	m.w = fat32.NewWriter(m.layout, m.t, func(n int) error {
		m.done.Done += int64(n)
		m.bar.show(m.done)
		return a.ctx.Err()
	})
	erase, size, _ := m.layout.Work()
	if m.disk != nil { // a new image is empty
		m.phase("erasing", erase)
		if err := m.w.Erase(); err != nil {
			return nil, m.failed(a, "cannot erase the medium", err)
		}
	}
	m.phase("copying", size)
	var files []manifest.File
	for _, in := range m.inputs {
		f, err := m.copy(in)
		if err != nil {
			return nil, m.failed(a, "cannot seal "+verdict.Escape(in.source), err)
		}
		files = append(files, f)
	}
	m.phase("flushing", 0)
	m.bar.show(m.done)
	if err := m.w.Flush(); err != nil {
		return nil, m.failed(a, "cannot write the package", err)
	}
	m.phase("reading back", erase+size)
	if err := m.w.Check(); err != nil {
		return nil, m.failed(a, "cannot seal to this medium", err)
	}
	return files, nil
}

func (m *wholeMedium) copy(in input) (f manifest.File, err error) {
	src, _, err := openPlain(in.source, unix.O_NOFOLLOW)
	if err != nil {
		return f, err
	}
	defer src.Close()
	sum, err := m.w.Copy(src)
	return manifest.File{Path: in.path, Size: in.size, SHA256: hex.EncodeToString(sum[:]), MediaType: mediaType(in.path)}, err
}

// failed words an error of the writing, with what to do when it is the medium's.
func (m *wholeMedium) failed(a *app, what string, err error) error {
	var bad mediumError
	switch {
	case a.ctx.Err() != nil && m.signed:
		return a.interrupted(what)
	case a.ctx.Err() != nil:
		return a.interrupted("nothing was signed")
	case errors.Is(err, fat32.ErrDiffers):
		return control.Failf(codeFailed, "%s: %v; use another medium, and throw this one away", what, err)
	case errors.As(err, &bad) && m.disk != nil:
		return control.Failf(codeFailed, "%s: %v; use another medium", what, err)
	}
	return control.Failf(codeFailed, "%s: %v", what, err)
}

func (m *wholeMedium) finish(a *app, sealed *station.Sealed) error {
	m.signed = true
	m.bar = newBar(a.err)
	defer m.bar.end()
	err := m.w.Late(m.packagePath(evidenceName), sealed.Evidence)
	if err == nil {
		err = m.w.Late(m.packagePath(manifestName), sealed.Envelope)
	}
	erase, files, rest := m.layout.Work()
	if err == nil {
		m.phase("finishing", rest)
		err = m.w.Finish()
	}
	if err == nil {
		m.phase("reading back", erase+files+rest)
		err = m.w.CheckAll()
	}
	if err == nil && m.disk == nil {
		err = settle(m.image)
	}
	if err == nil {
		return nil
	}
	how := "--image FILE"
	if m.disk != nil {
		how = "--device DEVICE --erase"
	}
	p := explain(m.undo(m.failed(a, "package "+m.id+" is signed, but it is not on a good medium", err)))
	return control.Failf(p.Code, "%s. Receivers wait for this package: write it once more with 'sallyport seal-again %s %s FILE...' and the same files", p.Message, m.id, how)
}

func (m *wholeMedium) undo(err error) error {
	p := explain(err)
	var left string
	switch {
	case m.disk == nil && m.image == "":
		return err
	case m.disk == nil:
		left = "the image was removed"
		if rerr := os.Remove(m.image); rerr != nil && !errors.Is(rerr, os.ErrNotExist) {
			left = fmt.Sprintf("the image could not be removed: %v", rerr)
		}
	case m.w == nil:
		left = "nothing was written"
	default:
		left = verdict.Escape(m.disk.path) + " is left without a file system"
		if serr := m.w.Spoil(); serr != nil {
			left = fmt.Sprintf("what is on %s now is not known (%v): do not use it", verdict.Escape(m.disk.path), serr)
		}
	}
	return control.Failf(p.Code, "%s; %s", strings.TrimSuffix(p.Message+" "+p.Next, " "), left)
}

func (m *wholeMedium) close() error {
	if m.t == nil {
		return nil
	}
	return m.t.close()
}

// folder is the folder of a package below one that the user named.
type folder struct {
	inputs     []input
	root, path string
}

func (f *folder) write(a *app) ([]manifest.File, error) {
	data := filepath.Join(f.path, "data")
	if err := os.MkdirAll(data, 0o755); err != nil {
		return nil, control.Failf(control.CodeUsage, "cannot write the package: %v", err)
	}
	files, err := copyAll(a, f.inputs, data)
	if err != nil {
		return nil, err
	}
	if err := syncFolder(f.path); err != nil {
		return nil, err
	}
	// Before anything is signed, the medium must show that it kept what was written.
	return files, readBack(data, files)
}

// finish writes the manifest. Not with CreateFile: the folder is new and ours
// alone, and file systems of media mounted through FUSE do not know how to rename
// without replacing.
func (f *folder) finish(_ *app, sealed *station.Sealed) error { return writeManifest(f.path, sealed) }

func (f *folder) undo(err error) error {
	err = errors.Join(err, os.RemoveAll(f.path))
	_ = os.Remove(f.root) // only when it is empty: others may have put packages there
	return err
}

func (f *folder) close() error { return nil }

// sameFiles compares what was copied with what was signed.
func sameFiles(id string, copied, signed []manifest.File) error {
	for i, f := range copied {
		if f.SHA256 != signed[i].SHA256 {
			return control.Failf(codeFailed, "%s is not the file of package %s: it has the SHA-256 %s, signed was %s", verdict.Escape(f.Path), id, f.SHA256, signed[i].SHA256)
		}
	}
	return nil
}

// sameNames compares the files that the user names with those that were signed.
func sameNames(id string, inputs []input, signed []manifest.File) error {
	have := map[string]int64{}
	for _, in := range inputs {
		have[in.path] = in.size
	}
	for _, f := range signed {
		bytes, ok := have[f.Path]
		if !ok {
			return control.Failf(control.CodeUsage, "package %s has a file %s, which is not among these: name all of its files, and folders as they were named then", id, verdict.Escape(f.Path))
		}
		if bytes != f.Size {
			return control.Failf(control.CodeUsage, "%s is not the file of package %s: it has %d bytes, signed were %d", verdict.Escape(f.Path), id, bytes, f.Size)
		}
		delete(have, f.Path)
	}
	for path := range have {
		return control.Failf(control.CodeUsage, "package %s has no file %s", id, verdict.Escape(path))
	}
	return nil
}

// recall reads the list that an envelope of this station signs.
func recall(sealed *station.Sealed) ([]manifest.File, error) {
	var digest [sha256.Size]byte
	if _, err := hex.Decode(digest[:], []byte(sealed.Digest)); err != nil {
		return nil, fmt.Errorf("cannot read the manifest of package %s: %w", sealed.PackageID, err)
	}
	p, err := manifest.Recall(sealed.Envelope, digest)
	if err != nil {
		return nil, fmt.Errorf("cannot read the manifest of package %s: %w", sealed.PackageID, err)
	}
	return p.Files, nil
}
