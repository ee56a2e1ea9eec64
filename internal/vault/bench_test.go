package vault_test

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"sallyport/internal/durable"
	"sallyport/internal/vault"
)

const stream = 2 << 30

// endless repeats a block, as fast as memory can be copied: a source that is
// never what is waited for.
type endless struct {
	block []byte
	pos   int
}

func (e *endless) Read(p []byte) (int, error) {
	n := copy(p, e.block[e.pos:])
	e.pos = (e.pos + n) % len(e.block)
	return n, nil
}

func source(n int64) io.Reader { return io.LimitReader(&endless{block: random(9, 4<<20)}, n) }

// BenchmarkStream2GiB: one large file, durable and decided. The others are what
// it is measured against in the same run.
func BenchmarkStream2GiB(b *testing.B) {
	b.Run("vault", func(b *testing.B) {
		b.SetBytes(stream)
		v := open(b, vault.Options{})
		for i := 0; b.Loop(); i++ {
			once(b, v, fmt.Sprintf("s%d", i), stream, func(s *vault.Stage) error {
				_, err := s.AddFile("f", source(stream))
				return err
			})
		}
	})
	b.Run("sha256-only", func(b *testing.B) {
		b.SetBytes(stream)
		buf := make([]byte, 2<<20)
		for b.Loop() {
			if _, err := io.CopyBuffer(struct{ io.Writer }{sha256.New()}, source(stream), buf); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("plain-sha256-write-fsync", func(b *testing.B) {
		b.SetBytes(stream)
		path := filepath.Join(b.TempDir(), "f")
		buf := make([]byte, 2<<20)
		for b.Loop() {
			f, err := os.Create(path)
			if err != nil {
				b.Fatal(err)
			}
			if _, err := io.CopyBuffer(io.MultiWriter(f, sha256.New()), source(stream), buf); err != nil {
				b.Fatal(err)
			}
			if err := f.Sync(); err != nil {
				b.Fatal(err)
			}
			f.Close()
			os.Remove(path)
		}
	})
}

// once stages, commits and admits, and removes the item outside of the clock.
func once(b *testing.B, v *vault.Vault, id string, declared int64, add func(*vault.Stage) error) {
	s, err := v.Stage(id, declared, []byte(facts))
	if err != nil {
		b.Fatal(err)
	}
	if err := add(s); err != nil {
		b.Fatal(err)
	}
	st, err := s.Commit(vault.Record{})
	if err != nil {
		b.Fatal(err)
	}
	if _, err := v.Admit(st, nil); err != nil {
		b.Fatal(err)
	}
	b.StopTimer()
	if err := (durable.FS{}).RemoveAll("bench", filepath.Join(v.Dir(), "admitted", id)); err != nil {
		b.Fatal(err)
	}
	b.StartTimer()
}

// BenchmarkSmallFiles: 20,000 files of 4 KiB, durable and decided.
func BenchmarkSmallFiles(b *testing.B) {
	const n, size = 20_000, 4096
	data := random(3, size)
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("data/precinct-%03d/file-%05d.json", i%100, i)
	}
	perSecond := func(b *testing.B) {
		b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "files/s")
	}
	b.Run("vault", func(b *testing.B) {
		v := open(b, vault.Options{})
		r := bytes.NewReader(data)
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			once(b, v, fmt.Sprintf("s%d", i), n*size, func(s *vault.Stage) error {
				for _, name := range names {
					r.Reset(data)
					if _, err := s.AddFile(name, r); err != nil {
						return err
					}
				}
				return nil
			})
		}
		perSecond(b)
	})
	b.Run("sha256-only", func(b *testing.B) {
		for b.Loop() {
			for range names {
				sha256.Sum256(data)
			}
		}
		perSecond(b)
	})
	b.Run("plain-sha256-write-syncfs", func(b *testing.B) {
		for b.Loop() {
			dir := b.TempDir()
			for i := range names {
				sum := sha256.Sum256(data)
				if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%05d-%x", i, sum[:2])), data, 0o600); err != nil {
					b.Fatal(err)
				}
			}
			if err := (durable.FS{}).SyncDir("bench", dir); err != nil {
				b.Fatal(err)
			}
			syncFS(b, dir)
			b.StopTimer()
			os.RemoveAll(dir)
			b.StartTimer()
		}
		perSecond(b)
	})
}

func syncFS(b *testing.B, dir string) {
	d, err := os.Open(dir)
	if err != nil {
		b.Fatal(err)
	}
	defer d.Close()
	if err := unix.Syncfs(int(d.Fd())); err != nil {
		b.Fatal(err)
	}
}
