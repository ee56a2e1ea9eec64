package testmedia

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"

	"sallyport/internal/testtool"
)

// SectorBytes is the unit in which a [Device] counts what is read, and the
// smallest that fails.
const SectorBytes = 512

// Device is a real block device over an image, which fails as a [Plan] says: a
// loop device with direct I/O over the one file of a FUSE file system in this
// process. Whatever the kernel reads comes here as it was asked for.
type Device struct {
	Path string // /dev/loopN

	raw    fuse.RawFileSystem // answers what is not implemented here
	img    *os.File
	size   int64 // that the device claims
	backed int64 // of the image

	mu     sync.Mutex
	plan   Plan
	writes WritePlan
	reads  []uint16 // by sector

	gate    chan struct{} // closed when nothing is to be held up any more
	opened  sync.Once
	mnt     string
	program string // losetup
}

// Read is one request for bytes of a [Device].
type Read struct {
	Off  int64
	Nth  int             // how often the first sector was read before
	Gate <-chan struct{} // closed by [Device.Release] and at the end of the test
}

// Over says whether the read touches the n bytes at off.
func (r Read) Over(p []byte, off, n int64) bool { return r.Off < off+n && off < r.Off+int64(len(p)) }

// Plan decides the answer to one read. The bytes of p are those of the image,
// zeros behind its end; the plan may change them, wait, and give fewer. It
// returns how many bytes are given, or a [syscall.Errno].
type Plan func(r Read, p []byte) (int, error)

// Bad is a plan by which n bytes at off cannot be read.
func Bad(off, n int64, errno syscall.Errno) Plan {
	return func(r Read, p []byte) (int, error) {
		if r.Over(p, off, n) {
			return 0, errno
		}
		return len(p), nil
	}
}

// Dead is a plan by which nothing is ever answered, until the gate opens.
func Dead() Plan {
	return func(r Read, p []byte) (int, error) {
		<-r.Gate
		return 0, syscall.EIO
	}
}

// Slow is a plan by which each read takes so long.
func Slow(wait time.Duration) Plan {
	return func(r Read, p []byte) (int, error) {
		select {
		case <-time.After(wait):
		case <-r.Gate:
		}
		return len(p), nil
	}
}

// Short is a plan by which no read gives more than so many bytes.
func Short(most int) Plan {
	return func(_ Read, p []byte) (int, error) { return min(len(p), most), nil }
}

// Alias is a plan by which the device has only size bytes, a multiple of a
// sector, and gives those again and again, as some sticks of false capacity do.
func Alias(d *Device, size int64) Plan {
	return func(r Read, p []byte) (int, error) {
		for at := 0; at < len(p); at += SectorBytes {
			if _, err := d.img.ReadAt(p[at:min(len(p), at+SectorBytes)], (r.Off+int64(at))%size); err != nil {
				return 0, syscall.EREMOTEIO
			}
		}
		return len(p), nil
	}
}

// Ends is a plan by which the device has bytes only up to size, a multiple of a
// sector.
func Ends(size int64) Plan {
	return func(r Read, p []byte) (int, error) {
		return int(min(int64(len(p)), max(0, size-r.Off))), nil
	}
}

// WritePlan decides about one write. It may change the bytes of p before they
// are stored in the image; lost ones are not stored, although the device says
// so, and an error is a [syscall.Errno].
type WritePlan func(off int64, p []byte) (lost bool, err error)

// AliasWrites is the part of [Alias] that writes.
func AliasWrites(d *Device, size int64) WritePlan {
	return func(off int64, p []byte) (bool, error) {
		for at := 0; at < len(p); at += SectorBytes {
			if _, err := d.img.WriteAt(p[at:min(len(p), at+SectorBytes)], (off+int64(at))%size); err != nil {
				return true, syscall.EREMOTEIO
			}
		}
		return true, nil
	}
}

// DeviceOptions of [NewDevice].
type DeviceOptions struct {
	Writable    bool
	SectorBytes int   // logical; 512 when zero
	Size        int64 // that the device claims, in bytes; the image's when zero
}

// NewDevice makes a device over the image that answers well until [Device.Set]
// is called. Needs root, FUSE and a free loop device; it is gone at the end of
// the test.
func NewDevice(t testing.TB, img string, o DeviceOptions) *Device {
	t.Helper()
	testtool.Root(t)
	if _, err := os.Stat("/dev/fuse"); err != nil {
		testtool.Unmet(t, "this kernel has no FUSE")
	}
	mode, flags := os.O_RDONLY, []string{"--read-only"}
	if o.Writable {
		mode, flags = os.O_RDWR, nil
	}
	f, err := os.OpenFile(img, mode, 0)
	must(t, err)
	st, err := f.Stat()
	must(t, err)
	d := &Device{
		raw: fuse.NewDefaultRawFileSystem(), img: f, backed: st.Size(), size: o.Size,
		gate: make(chan struct{}), mnt: t.TempDir(), program: testtool.Need(t, "losetup"),
	}
	if d.size == 0 {
		d.size = d.backed
	}
	d.reads = make([]uint16, (d.size+SectorBytes-1)/SectorBytes)
	server, err := fuse.NewServer(&medium{d.raw, d}, d.mnt, &fuse.MountOptions{FsName: "failing", DirectMountStrict: true, MaxWrite: 1 << 20, DisableSplice: true})
	must(t, err)
	go server.Serve()
	must(t, server.WaitMount())
	if o.SectorBytes == 0 {
		o.SectorBytes = 512
	}
	out, err := exec.Command(d.program, append(flags, "--find", "--show", "--direct-io=on",
		"--sector-size", strconv.Itoa(o.SectorBytes), filepath.Join(d.mnt, mediumName))...).CombinedOutput()
	d.Path = strings.TrimSpace(string(out))
	t.Cleanup(func() {
		d.Release()
		if strings.HasPrefix(d.Path, "/dev/") {
			release(t, d.Path, filepath.Join(d.mnt, mediumName))
		}
		must(t, server.Unmount())
		must(t, f.Close())
	})
	if err != nil {
		t.Fatalf("losetup: %v\n%s", err, out)
	}
	d.Reads() // what losetup and the kernel looked at
	return d
}

// Set makes the device answer by the plan from now on; nil is a good device.
func (d *Device) Set(p Plan) {
	d.mu.Lock()
	d.plan = p
	d.mu.Unlock()
}

// SetWrites makes the device take writes by the plan from now on; nil is a good
// device.
func (d *Device) SetWrites(p WritePlan) {
	d.mu.Lock()
	d.writes = p
	d.mu.Unlock()
}

// Reads returns how often each sector of [SectorBytes] was read since the last
// call.
func (d *Device) Reads() []uint16 {
	d.mu.Lock()
	defer d.mu.Unlock()
	was := d.reads
	d.reads = make([]uint16, len(was))
	return was
}

// Release lets every read go on that a plan holds up.
func (d *Device) Release() { d.opened.Do(func() { close(d.gate) }) }

// Shrink ends the device at size bytes for the kernel, as it sees a medium that
// was pulled: with none.
func (d *Device) Shrink(t testing.TB, size int64) {
	t.Helper()
	d.mu.Lock()
	d.size = size
	d.mu.Unlock()
	if out, err := exec.Command(d.program, "--set-capacity", d.Path).CombinedOutput(); err != nil {
		t.Fatalf("losetup: %v\n%s", err, out)
	}
}

// answer reads from the image, and then does what the plan says.
func (d *Device) answer(p []byte, off int64) (int, error) {
	d.mu.Lock()
	plan, size := d.plan, d.size
	r := Read{Off: off, Gate: d.gate}
	for i := off / SectorBytes; i < (off+int64(len(p)))/SectorBytes && i < int64(len(d.reads)); i++ {
		if i == off/SectorBytes {
			r.Nth = int(d.reads[i])
		}
		d.reads[i]++
	}
	d.mu.Unlock()
	p = p[:max(0, min(int64(len(p)), size-off))]
	n, err := d.img.ReadAt(p, off)
	if err != nil && err != io.EOF {
		return 0, syscall.EREMOTEIO // of the test, not of the plan
	}
	clear(p[n:])
	if plan == nil {
		return len(p), nil
	}
	return plan(r, p)
}

// take does what the plan says, and writes to the image.
func (d *Device) take(p []byte, off int64) error {
	d.mu.Lock()
	plan := d.writes
	d.mu.Unlock()
	if plan != nil {
		p = bytes.Clone(p)
		if lost, err := plan(off, p); lost || err != nil {
			return err
		}
	}
	if _, err := d.img.WriteAt(p, off); err != nil {
		return syscall.EREMOTEIO // of the test, not of the plan
	}
	return nil
}

const (
	mediumName = "medium"
	mediumNode = 2
)

// medium is the FUSE file system with one file.
type medium struct {
	fuse.RawFileSystem
	d *Device
}

func (m *medium) attr(node uint64, a *fuse.Attr) {
	a.Ino, a.Mode, a.Nlink = node, fuse.S_IFDIR|0o755, 2
	if node == mediumNode {
		m.d.mu.Lock()
		a.Mode, a.Nlink, a.Size = fuse.S_IFREG|0o644, 1, uint64(m.d.size)
		m.d.mu.Unlock()
	}
}

func (m *medium) Lookup(_ <-chan struct{}, h *fuse.InHeader, name string, out *fuse.EntryOut) fuse.Status {
	if h.NodeId != fuse.FUSE_ROOT_ID || name != mediumName {
		return fuse.ENOENT
	}
	out.NodeId = mediumNode
	m.attr(mediumNode, &out.Attr)
	return fuse.OK
}

func (m *medium) GetAttr(_ <-chan struct{}, in *fuse.GetAttrIn, out *fuse.AttrOut) fuse.Status {
	m.attr(in.NodeId, &out.Attr)
	return fuse.OK
}

func (m *medium) Open(_ <-chan struct{}, _ *fuse.OpenIn, out *fuse.OpenOut) fuse.Status {
	out.OpenFlags = fuse.FOPEN_DIRECT_IO
	return fuse.OK
}

func (m *medium) Read(_ <-chan struct{}, in *fuse.ReadIn, buf []byte) (fuse.ReadResult, fuse.Status) {
	n, err := m.d.answer(buf[:in.Size], int64(in.Offset))
	if err != nil {
		return nil, fuse.ToStatus(err)
	}
	return fuse.ReadResultData(buf[:n]), fuse.OK
}

func (m *medium) Write(_ <-chan struct{}, in *fuse.WriteIn, data []byte) (uint32, fuse.Status) {
	if err := m.d.take(data, int64(in.Offset)); err != nil {
		return 0, fuse.ToStatus(err)
	}
	return uint32(len(data)), fuse.OK
}

func (m *medium) Fsync(<-chan struct{}, *fuse.FsyncIn) fuse.Status { return fuse.OK }

// String names the file system in messages of the FUSE library.
func (m *medium) String() string { return fmt.Sprintf("failing medium at %s", m.d.mnt) }
