package main

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"sallyport/internal/testmedia"
	"sallyport/internal/testoffice"
	"sallyport/internal/verdict"
)

// makeMedia seals what is needed, writes it to real file systems and damages
// copies, each in one way.
func (d *demo) makeMedia() (media []medium, err error) {
	o := d.office
	defer o.TB.Catch(&err)
	files := func(names ...string) (out []string) {
		for _, n := range names {
			out = append(out, o.Small(n))
		}
		return out
	}
	definition := files("definition.json")[0]
	cvrs := []string{"--kind", "cvr-export", "--election", testoffice.ElectionID, "--definition", definition}
	def, err := d.seal(o.Source, append([]string{"--kind", "election-definition", "--election", testoffice.ElectionID}, definition)...)
	if err != nil {
		return nil, err
	}
	first, err := d.seal(o.Source, append(cvrs, files("cvr-precinct-1.json", "cvr-precinct-2.json")...)...)
	if err != nil {
		return nil, err
	}
	second, err := d.seal(o.Source, append(cvrs, files("cvr-precinct-3.json")...)...)
	if err != nil {
		return nil, err
	}
	foreign, err := d.seal(o.Stranger, append(cvrs, files("cvr-precinct-3.json")...)...)
	if err != nil {
		return nil, err
	}
	other, err := d.seal(o.Source, append([]string{"--kind", "cvr-export", "--election", testoffice.OtherElection, "--definition", definition, "--stream", "other"}, files("cvr-precinct-3.json")...)...)
	if err != nil {
		return nil, err
	}

	t := testing.TB(o.TB)
	fat := testmedia.Options{Bits: 32, SizeMiB: 64, Label: "BALLOTS"}
	stick := func(p testoffice.Sealed, change func(img string)) string {
		img := testmedia.FATFrom(t, fat, p.Dir)
		if change != nil {
			change(img)
		}
		return img
	}
	data := func(p testoffice.Sealed, name string) string { return "SALLYPORT/" + p.PackageID + "/" + name }
	cvr := data(second, "data/cvr-precinct-3.json")
	held := func(name, file, img string, r verdict.Reason) medium {
		return medium{name, file, img, verdict.Held, r, 3}
	}
	noManifest := testmedia.FAT(t, fat, testmedia.Files{"RESULTS/cvr-precinct-3.json": []byte(`{"CVR":[]}`)})
	return []medium{
		{"good: election definition, FAT32", "definition", stick(def, nil), verdict.Accepted, "", 0},
		{"good: CVRs of precincts 1 and 2, exFAT", "cvr-1-2", testmedia.ExFATFrom(t, testmedia.Options{SizeMiB: 64, Label: "BALLOTS"}, first.Dir), verdict.Accepted, "", 0},
		held("one byte of a file altered", "altered", stick(second, func(img string) { testmedia.Alter(t, img, cvr, 1000) }), verdict.FileAltered),
		held("a listed file is missing, in a GPT partition", "missing", testmedia.Partitioned(t, "gpt", testmedia.FATFrom(t, fat,
			edited(o, second, func(dir string) error { return os.Remove(filepath.Join(dir, cvr)) }))), verdict.FileMissing),
		held("an extra file in the package", "extra", testmedia.FATFrom(t, fat, edited(o, second, func(dir string) error {
			return os.WriteFile(filepath.Join(dir, data(second, "data/notes.txt")), []byte("hello\n"), 0o644)
		})), verdict.FileExtra),
		held("a symbolic link in the package, ext4", "link", testmedia.ExtFrom(t, testmedia.ExtOptions{}, edited(o, second, func(dir string) error {
			return os.Symlink("/etc/shadow", filepath.Join(dir, data(second, "data/notes.txt")))
		})), verdict.FileExtra),
		{"no manifest at all", "no-manifest", noManifest, verdict.Held, verdict.NoManifest, 3},
		held("signed by a TPM that is not enrolled", "stranger", stick(foreign, nil), verdict.SignerUnknown),
		held("belongs to another election", "other-election", stick(other, nil), verdict.WrongElection),
		held("replay of the first medium", "replay", stick(def, nil), verdict.Replayed),
		held("envelope cut short", "envelope-cut", testmedia.FATFrom(t, fat, edited(o, second, func(dir string) error {
			env := filepath.Join(dir, data(second, "manifest.dsse.json"))
			st, err := os.Stat(env)
			if err != nil {
				return err
			}
			return os.Truncate(env, st.Size()/2)
		})), verdict.ManifestMalformed),
		held("image cut short in the middle of a file", "image-cut", stick(second, func(img string) { testmedia.CutInside(t, img, cvr) }), verdict.Truncated),
		held("the two FATs of the file system differ", "fats-differ", stick(second, func(img string) { testmedia.DifferFATs(t, img, cvr) }), verdict.FilesystemInconsistent),
		{"good: CVRs of precinct 3, a disc (ISO 9660)", "cvr-3-disc", testmedia.Genisoimage(t, second.Dir, "-R", "-J"), verdict.Accepted, "", 0},
	}, nil
}

// edited returns the folder of a changed copy of a sealed package.
func edited(o *testoffice.Office, p testoffice.Sealed, change func(dir string) error) string {
	dir := o.TB.TempDir()
	if err := os.CopyFS(dir, os.DirFS(p.Dir)); err != nil {
		o.TB.Fatal(err)
	}
	if err := change(dir); err != nil {
		o.TB.Fatal(err)
	}
	return dir
}

// seal seals one package and says so.
func (d *demo) seal(s *testoffice.Station, args ...string) (testoffice.Sealed, error) {
	p, err := s.Seal(args...)
	if err == nil {
		fmt.Fprintf(d.out, "%s sealed package %s\n", s.ID, p.PackageID)
	}
	return p, err
}
