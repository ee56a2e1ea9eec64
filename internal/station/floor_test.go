package station_test

import (
	"os"
	"path/filepath"
	"testing"

	"sallyport/internal/durable"
	"sallyport/internal/floor"
	"sallyport/internal/intake"
	"sallyport/internal/manifest"
	"sallyport/internal/station"
	"sallyport/internal/testmedia"
	"sallyport/internal/testtool"
	"sallyport/internal/verdict"
)

// busyStation is a station with a day's work, and the copy of its state folder
// from before: a package was taken and a bundle installed since.
func busyStation(t *testing.T) (o *office, before string) {
	t.Helper()
	o = newOffice(t)
	before = filepath.Join(memory(t), "before")
	testtool.Run(t, "cp", "-a", o.ems.cfg.StateDir, before)
	files := testmedia.Files{}
	o.source.with(func(s *station.Station) {
		contents := map[string][]byte{"note.txt": []byte("signed")}
		onMedium(files, asked[station.Sealed](t, s, station.OpSeal, request(t, manifest.MediaSet, contents)), contents)
	})
	o.ems.with(func(s *station.Station) {
		asked[station.Trust](t, s, station.OpTrustInstall, delivery(o.draft(t, station.DraftArgs{})))
		rep, err := insert(s, testmedia.FAT(t, testmedia.Options{Bits: 16, SizeMiB: 12}, files))
		o.ems.must(err)
		if rep.Verdict != verdict.Accepted || !rep.Sealed {
			t.Fatalf("%+v", rep)
		}
	})
	return o, before
}

// wentBack checks that the station does not start, and that it changes nothing.
func (n *node) wentBack(t *testing.T, says ...string) {
	t.Helper()
	tree := func() string {
		return string(testtool.Run(t, "find", n.cfg.StateDir, "-type", "f", "-printf", "%P %s %T@\n"))
	}
	was := tree()
	_, err := station.Open(t.Context(), n.cfg, options(durable.FS{}))
	wantError(t, err, floor.ErrWentBack, append(says, "put that back whole")...)
	if now := tree(); now != was {
		t.Errorf("a state that went back was changed:\n%s\nwas\n%s", now, was)
	}
}

func TestARestoredStateIsFound(t *testing.T) {
	o, before := busyStation(t)
	newest := filepath.Join(memory(t), "newest")
	testtool.Run(t, "cp", "-a", o.ems.cfg.StateDir, newest)
	back := func(part string) { // part of the state, or all of it, is put back
		t.Helper()
		o.ems.must(os.RemoveAll(o.ems.cfg.StateDir))
		testtool.Run(t, "cp", "-a", newest, o.ems.cfg.StateDir)
		o.ems.must(os.RemoveAll(filepath.Join(o.ems.cfg.StateDir, part)))
		testtool.Run(t, "cp", "-a", filepath.Join(before, part), filepath.Join(o.ems.cfg.StateDir, part))
	}
	for part, says := range map[string]string{
		"": "restored from an older copy", "floor.json": "restored from an older copy", "log": "the log has",
		"trust": "trust bundle 1 is installed, recorded is 2", "vault": "the store has 0 admitted packages, recorded are 1",
	} {
		t.Run("all of "+part, func(t *testing.T) {
			back(part)
			o.ems.wentBack(t, says)
		})
	}
	t.Run("the database of the EMS core", func(t *testing.T) {
		sc := newScene(t)
		old := filepath.Join(memory(t), "ems.db")
		testtool.Run(t, "cp", "-a", filepath.Join(sc.ems.cfg.StateDir, "ems.db"), old)
		sc.ems.with(func(s *station.Station) {
			_, err := insert(s, sc.image)
			sc.ems.must(err)
		})
		testtool.Run(t, "cp", "-a", old, filepath.Join(sc.ems.cfg.StateDir, "ems.db"))
		_, err := station.Open(t.Context(), sc.ems.cfg, options(durable.FS{}))
		wantError(t, err, intake.ErrCoreWentBack, sc.good, "put that back whole")
	})
	t.Run("without the record", func(t *testing.T) {
		back("")
		o.ems.must(os.Remove(filepath.Join(o.ems.cfg.StateDir, "floor.json")))
		o.ems.wentBack(t, "is missing")
	})
	t.Run("the newest", func(t *testing.T) {
		o.ems.must(os.RemoveAll(o.ems.cfg.StateDir))
		testtool.Run(t, "cp", "-a", newest, o.ems.cfg.StateDir)
		o.ems.with(func(*station.Station) {})
	})
}

// A TPM that somebody put back, or used for something else, is found as well.
func TestATPMThatWentBackIsFound(t *testing.T) {
	o := newOffice(t)
	tpm := filepath.Join(memory(t), "tpm")
	o.ems.swtpm.Save(tpm)
	for range 2 {
		o.ems.with(func(*station.Station) {})
	}
	o.ems.swtpm.Rewind(tpm)
	o.ems.wentBack(t, "the TPM counts only")
}
