package reader_test

import (
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/rs/zerolog"
	"golang.org/x/sys/unix"

	"sallyport/internal/medium"
	"sallyport/internal/reader"
	"sallyport/internal/testmedia"
	"sallyport/internal/testtool"
)

const benchBytes = 1 << 30

// largeImage is a FAT32 image with one file of 1 GiB, in page cache.
func largeImage(b *testing.B) string {
	b.Helper()
	dir := b.TempDir()
	f, err := os.Create(filepath.Join(dir, "large"))
	if err != nil {
		b.Fatal(err)
	}
	block := pattern(5, 1<<20)
	for range benchBytes >> 20 {
		if _, err := f.Write(block); err != nil {
			b.Fatal(err)
		}
	}
	f.Close()
	img := testmedia.EmptyFAT(b, testmedia.Options{Bits: 32, SizeMiB: benchBytes>>20 + 64})
	testmedia.PopulateFAT(b, img, dir)
	return img
}

// smallImage is a FAT32 image with n files of 4 KiB in folders of a thousand.
func smallImage(b *testing.B, n int) string {
	b.Helper()
	dir := b.TempDir()
	for i := range n {
		d := filepath.Join(dir, strconv.Itoa(i/1000))
		if i%1000 == 0 {
			if err := os.Mkdir(d, 0o755); err != nil {
				b.Fatal(err)
			}
		}
		if err := os.WriteFile(filepath.Join(d, fmt.Sprintf("F%d.BIN", i)), pattern(i, 4096), 0o644); err != nil {
			b.Fatal(err)
		}
	}
	img := testmedia.EmptyFAT(b, testmedia.Options{Bits: 32, SizeMiB: n*4/1000 + 100})
	testmedia.PopulateFAT(b, img, dir)
	return img
}

// status returns a field of the child's /proc status in kB.
func status(b *testing.B, pid int, field string) float64 {
	b.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		b.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, field+":"); ok {
			n, err := strconv.ParseFloat(strings.Fields(rest)[0], 64)
			if err != nil {
				b.Fatal(err)
			}
			return n
		}
	}
	b.Fatalf("no %s", field)
	return 0
}

// through reads everything by a session, one pass an iteration, into sink.
func through(b *testing.B, img string, sink io.Writer) {
	cfg := config(b, "sallyport-reader")
	cfg.Log = zerolog.Nop()
	p := make([]byte, 1<<20)
	var peak float64
	files := 0
	for b.Loop() {
		s := start(b, cfg, img)
		list, err := s.List()
		if err != nil {
			b.Fatal(err)
		}
		var ids []uint32
		for _, e := range list.Entries {
			if e.Type == medium.File {
				ids = append(ids, e.ID)
			}
		}
		st, err := s.Read(ids)
		if err != nil {
			b.Fatal(err)
		}
		for {
			if _, _, err := st.Next(); err == io.EOF {
				break
			} else if err != nil {
				b.Fatal(err)
			}
			for {
				n, err := st.Read(p)
				if _, err := sink.Write(p[:n]); err != nil {
					b.Fatal(err)
				}
				if err == io.EOF {
					break
				} else if err != nil {
					b.Fatal(err)
				}
			}
			files++
		}
		peak = max(peak, status(b, reader.PID(s), "VmHWM"))
		s.Close()
	}
	b.ReportMetric(peak/1024, "peak-MiB")
	if len := float64(files); len > float64(b.N) {
		b.ReportMetric(len/b.Elapsed().Seconds(), "files/s")
	}
}

func BenchmarkLargeFile(b *testing.B) {
	img := largeImage(b)
	b.Run("pread", func(b *testing.B) { preadAll(b, img, io.Discard) })
	b.Run("session", func(b *testing.B) {
		b.SetBytes(benchBytes)
		through(b, img, io.Discard)
	})
	b.Run("pread+sha256", func(b *testing.B) { preadAll(b, img, sha256.New()) })
	b.Run("session+sha256", func(b *testing.B) {
		b.SetBytes(benchBytes)
		through(b, img, sha256.New())
	})
}

// BenchmarkDirect reads the same from a block device past the page cache.
func BenchmarkDirect(b *testing.B) {
	testtool.Root(b)
	img := largeImage(b)
	loop := strings.TrimSpace(string(testtool.Run(b, "losetup", "--find", "--show", "--read-only", "--direct-io=on", img)))
	defer testtool.Run(b, "losetup", "--detach", loop)
	b.Run("pread", func(b *testing.B) {
		fd, err := unix.Open(loop, unix.O_RDONLY|unix.O_DIRECT|unix.O_CLOEXEC, 0)
		if err != nil {
			b.Fatal(err)
		}
		defer unix.Close(fd)
		p, err := unix.Mmap(-1, 0, 1<<20, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
		if err != nil {
			b.Fatal(err)
		}
		defer func() { _ = unix.Munmap(p) }()
		b.SetBytes(benchBytes)
		for b.Loop() {
			for off := int64(0); off < benchBytes; off += int64(len(p)) {
				if n, err := unix.Pread(fd, p, off); n < len(p) {
					b.Fatal(n, err)
				}
			}
		}
	})
	b.Run("session", func(b *testing.B) {
		b.SetBytes(benchBytes)
		through(b, loop, io.Discard)
	})
	b.Run("session+sha256", func(b *testing.B) {
		b.SetBytes(benchBytes)
		through(b, loop, sha256.New())
	})
}

// preadAll is what the session is measured against.
func preadAll(b *testing.B, img string, sink io.Writer) {
	f := device(b, img)
	p := make([]byte, 1<<20)
	b.SetBytes(benchBytes)
	for b.Loop() {
		for off := int64(0); off < benchBytes; off += int64(len(p)) {
			n, err := unix.Pread(int(f.Fd()), p, off)
			if n < len(p) {
				b.Fatal(n, err)
			}
			if _, err := sink.Write(p); err != nil {
				b.Fatal(err)
			}
		}
	}
}

func BenchmarkSmallFiles(b *testing.B) {
	testtool.Need(b, "mcopy")
	for _, n := range []int{20_000, 100_000} {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			img := smallImage(b, n)
			b.Run("session", func(b *testing.B) { through(b, img, io.Discard) })
		})
	}
}

func BenchmarkStart(b *testing.B) {
	img := testmedia.EmptyFAT(b, testmedia.Options{Bits: 12, SizeMiB: 2})
	cfg := config(b, "sallyport-reader")
	cfg.Log = zerolog.Nop()
	for b.Loop() {
		start(b, cfg, img).Close()
	}
}
