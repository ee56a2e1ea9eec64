package volume_test

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"sallyport/internal/bench/fatimage"
	"sallyport/internal/limit"
	"sallyport/internal/volume"
)

// manyFiles is a FAT32 with folders of 20,000 files each.
func manyFiles(folders int) *padded {
	root := make([]node, folders)
	for d := range root {
		root[d] = node{short: fmt.Sprintf("DIR%05d   ", d), kids: make([]node, 20_000)}
		for i := range root[d].kids {
			root[d].kids[i] = node{short: fmt.Sprintf("B%07dJSO", i), long: fmt.Sprintf("ballot-%02d-%06d.json", d, i), size: 1 + i%2000}
		}
	}
	img, size := buildFAT(32, 3800*folders+100, 70_000, root)
	return &padded{data: img, size: size}
}

func live() uint64 {
	runtime.GC()
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	return s.HeapAlloc
}

// The largest listing has to leave room in a reader of 64 MiB.
func TestTheLargestListingFitsTheReader(t *testing.T) {
	dev := manyFiles(10)
	limits := limit.Default()
	limits.Entries += 10
	before := live()
	m, err := volume.Open(dev, dev.size, volume.Options{Limits: limits})
	if err != nil {
		t.Fatal(err)
	}
	used := int64(live() - before)
	mustBeClean(t, m)
	if n := len(m.Volumes[0].Entries); n != 200_010 {
		t.Errorf("%d entries", n)
	}
	if used > 40<<20 {
		t.Errorf("the listing keeps %d MiB", used>>20)
	}
	t.Logf("200,010 entries keep %.1f MiB; %.1f MiB of structures were read", float64(used)/(1<<20), float64(dev.read)/(1<<20))
	runtime.KeepAlive(dev)
	runtime.KeepAlive(m)
}

func TestLimitsAreNeverSilent(t *testing.T) {
	dev := manyFiles(1)
	for _, c := range []struct {
		want   string
		change func(l *limit.Limits)
	}{
		{"files and folders on a medium", func(l *limit.Limits) { l.Entries = 15_000 }},
		{"bytes of files on a medium", func(l *limit.Limits) { l.Bytes = 100_000 }},
		{"bytes of a name", func(l *limit.Limits) { l.NameBytes = 10 }},
		{"bytes of a path", func(l *limit.Limits) { l.PathBytes = 20 }},
		{"folders below each other", func(l *limit.Limits) { l.Depth = 0 }},
		{"bytes of file-system structures", func(l *limit.Limits) { l.MetaBytes = 1_200_000 }},
	} {
		limits := limit.Default()
		c.change(&limits)
		m, err := volume.Open(dev, dev.size, volume.Options{Limits: limits})
		if err != nil {
			t.Fatal(err)
		}
		_, vols, _ := problems(m)
		if len(vols) != 1 || !strings.Contains(vols[0], "over-limit") || !strings.Contains(vols[0], c.want) {
			t.Errorf("%s: %q", c.want, vols)
		}
	}
	limits := limit.Default()
	limits.FileBytes = 1500
	m, err := volume.Open(dev, dev.size, volume.Options{Limits: limits})
	if err != nil {
		t.Fatal(err)
	}
	if _, vols, files := problems(m); len(vols) != 0 || len(files) != 5000 || !strings.Contains(files[0], "bytes of a file") {
		t.Errorf("volume %q, %d files", vols, len(files))
	}
}

// BenchmarkList100k lists 100,000 files in folders of a thousand.
func BenchmarkList100k(b *testing.B) {
	m := fatimage.Image{Cluster: 4096}
	for d := range 100 {
		f := fatimage.Folder{Name: fmt.Sprintf("batch-%03d", d)}
		for i := range 1000 {
			f.Files = append(f.Files, fatimage.File{Name: fmt.Sprintf("ballot-%03d-%06d.json", d, i), Size: int64(i)})
		}
		m.Folders = append(m.Folders, f)
	}
	for name, write := range map[string]func(string) error{"fat32": m.WriteFAT32, "exfat": m.WriteExFAT} {
		img := filepath.Join(b.TempDir(), name)
		if err := write(img); err != nil {
			b.Fatal(err)
		}
		f, err := os.Open(img)
		if err != nil {
			b.Fatal(err)
		}
		defer f.Close()
		st, err := f.Stat()
		if err != nil {
			b.Fatal(err)
		}
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				m, err := volume.Open(f, st.Size(), options)
				if err != nil || len(m.Volumes[0].Entries) != 100_100 {
					b.Fatal(err)
				}
			}
			b.ReportMetric(100_100*float64(b.N)/b.Elapsed().Seconds(), "entries/s")
		})
	}
}
