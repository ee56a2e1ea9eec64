package testmedia_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"sallyport/internal/testmedia"
)

// TestDevice: the device is what it claims to be: it answers as the plan says,
// whatever the kernel has read before, and counts every sector.
func TestDevice(t *testing.T) {
	img := filepath.Join(t.TempDir(), "image")
	data := make([]byte, 1<<20)
	for i := range data {
		data[i] = byte(i>>9) | 1
	}
	if err := os.WriteFile(img, data, 0o600); err != nil {
		t.Fatal(err)
	}
	d := testmedia.NewDevice(t, img, testmedia.DeviceOptions{Size: 2 << 20})
	fd, err := unix.Open(d.Path, unix.O_RDONLY|unix.O_DIRECT|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	p, err := unix.Mmap(-1, 0, 64<<10, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Munmap(p) }()
	read := func(off int64, n int) ([]byte, error) {
		got, err := unix.Pread(fd, p[:n], off)
		return p[:max(0, got)], err
	}
	zeros := make([]byte, 64<<10)
	for _, step := range []struct {
		name string
		plan testmedia.Plan
		off  int64
		n    int
		want []byte
		err  error
	}{
		{"the image", nil, 512, 8192, data[512:][:8192], nil},
		{"behind the image", nil, 1 << 20, 4096, zeros[:4096], nil},
		{"the end", nil, 2<<20 - 512, 4096, zeros[:512], nil},
		{"behind the end", nil, 2 << 20, 4096, nil, nil},
		{"before a bad place", testmedia.Bad(8192, 512, unix.EIO), 4096, 4096, data[4096:][:4096], nil},
		{"over it", testmedia.Bad(8192, 512, unix.EIO), 4096, 8192, nil, unix.EIO},
		{"on it", testmedia.Bad(8192, 512, unix.ENODEV), 8192, 512, nil, unix.ENODEV},
		{"short answers", testmedia.Short(1024), 0, 32 << 10, data[:32<<10], nil},
		{"an end that nobody knew", testmedia.Ends(8192), 8192, 4096, nil, unix.EIO},
		{"the beginning once more", testmedia.Alias(d, 64<<10), 65 << 10, 4096, data[1<<10:][:4096], nil},
	} {
		d.Set(step.plan)
		got, err := read(step.off, step.n)
		if err != step.err || !bytes.Equal(got, step.want) {
			t.Errorf("%s: %d bytes, %v; want %d, %v", step.name, len(got), err, len(step.want), step.err)
		}
	}
	d.Set(nil)
	d.Reads()
	for range 2 {
		if _, err := read(1024, 512); err != nil {
			t.Fatal(err)
		}
	}
	if reads := d.Reads(); reads[1] != 0 || reads[2] != 2 || reads[3] != 0 {
		t.Errorf("counted %v", reads[:4])
	}
	d.Shrink(t, 0)
	if got, err := read(0, 512); len(got) != 0 || err != nil {
		t.Errorf("a pulled medium gave %d bytes, %v", len(got), err)
	}
}
