package intake

import (
	"strings"
	"testing"

	"sallyport/internal/manifest"
	"sallyport/internal/medium"
	"sallyport/internal/reader"
	"sallyport/internal/verdict"
)

const layoutID = "0123456789abcdef0123456789abcdef"

// listed is a medium with one well-formed package of one file, and more.
func listed(more ...reader.Entry) *reader.Listing {
	l := &reader.Listing{Table: "none", Volumes: []reader.VolumeInfo{{FS: "ext4"}}}
	in := rootFolder + "/" + layoutID + "/"
	l.Entries = append([]reader.Entry{
		{Path: rootFolder, Type: medium.Folder}, {Path: strings.TrimSuffix(in, "/"), Type: medium.Folder},
		{Path: in + envelopeName, Size: 100}, {Path: in + "data", Type: medium.Folder}, {Path: in + "data/a.json", Size: 5},
	}, more...)
	for i := range l.Entries {
		l.Entries[i].ID = uint32(i)
	}
	return l
}

// TestWhatIsNotPlainIsExtra: a link, a device or a stream is never a part of a
// package, wherever it stands and whatever it is called.
func TestWhatIsNotPlainIsExtra(t *testing.T) {
	in := rootFolder + "/" + layoutID + "/"
	signed := &manifest.Payload{Files: []manifest.File{{Path: "a.json", Size: 5}, {Path: "b.json", Size: 7}}}
	plain := reader.Entry{Path: in + "data/b.json", Size: 7}
	for typ := medium.Symlink; typ.Valid(); typ++ {
		for _, path := range []string{"other", in + "data/c.json", in + "data/a.json:stream", in + "stray"} {
			l := sortListing(listed(plain, reader.Entry{Path: path, Type: typ}))
			f := l.packages[0]
			f.compare(signed)
			f.findings.merge(&l.findings)
			if got := reasonsOf(f.findings.all()); got != string(verdict.FileExtra) {
				t.Errorf("%s at %s: %q", typ, path, got)
			}
		}
		// In the place of a listed file it does not become that file.
		l := sortListing(listed(reader.Entry{Path: in + "data/b.json", Type: typ, Size: 7}))
		f := l.packages[0]
		f.compare(signed)
		if got := reasonsOf(f.findings.all()); !strings.Contains(got, string(verdict.FileExtra)) || !strings.Contains(got, string(verdict.FileMissing)) {
			t.Errorf("%s in the place of a file: %q", typ, got)
		}
		// As the manifest, it is no manifest.
		l = sortListing(&reader.Listing{Volumes: []reader.VolumeInfo{{FS: "ext4"}}, Entries: []reader.Entry{{Path: in + envelopeName, Type: typ}}})
		if got := reasonsOf(l.packages[0].findings.all()); !strings.Contains(got, string(verdict.NoManifest)) {
			t.Errorf("%s as the manifest: %q", typ, got)
		}
	}
	l := sortListing(listed(plain))
	l.packages[0].compare(signed)
	if !l.packages[0].findings.none() || !l.findings.none() {
		t.Errorf("a plain package has findings: %v, %v", l.packages[0].findings.list, l.findings.list)
	}
}

// TestFactsCountAndName: what is not plain is counted and named in the facts.
func TestFactsCountAndName(t *testing.T) {
	l := listed(
		reader.Entry{Path: "link\x1b[31m", Type: medium.Symlink}, reader.Entry{Path: "holes", Traits: medium.Sparse, Size: 1 << 20},
		reader.Entry{Path: "dev", Type: medium.CharDevice}, reader.Entry{Path: "dev2", Type: medium.CharDevice})
	l.Volumes[0].Deleted, l.Volumes[0].DeletedNames = 70, []string{"old.txt"}
	v := volumeFacts(l)[0]
	for word, want := range map[string]int64{"file": 3, "folder": 3, "symlink": 1, "chardevice": 2, "sparse": 1, "fifo": 0} {
		if v.Holds[word] != want {
			t.Errorf("%d %s, want %d", v.Holds[word], word, want)
		}
	}
	want := []Notable{{"symlink", `link\x1b[31m`}, {"sparse", "holes"}, {"chardevice", "dev"}, {"chardevice", "dev2"}, {"deleted", "old.txt"}}
	if v.Deleted != 70 || len(v.Notable) != len(want) {
		t.Fatalf("%d deleted, notable %v", v.Deleted, v.Notable)
	}
	for i := range want {
		if v.Notable[i] != want[i] {
			t.Errorf("notable %d is %v, want %v", i, v.Notable[i], want[i])
		}
	}
	many := listed()
	for range 1000 {
		many.Entries = append(many.Entries, reader.Entry{Path: "x", Type: medium.FIFO})
	}
	if v := volumeFacts(many)[0]; v.Holds["fifo"] != 1000 || len(v.Notable) != maxNotable {
		t.Errorf("%d FIFOs, %d notable", v.Holds["fifo"], len(v.Notable))
	}
}
