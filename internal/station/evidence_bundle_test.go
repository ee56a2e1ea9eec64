package station_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/rs/zerolog"

	"sallyport/internal/control"
	"sallyport/internal/durable"
	"sallyport/internal/evidence"
	"sallyport/internal/intake"
	"sallyport/internal/manifest"
	"sallyport/internal/station"
	"sallyport/internal/testmedia"
	"sallyport/internal/trust"
)

// bundle asks for the evidence about a medium.
func bundle(t *testing.T, s *station.Station, medium string) (file []byte, end *station.BundleEnd, err error) {
	t.Helper()
	ours, theirs, err := control.Pair()
	if err != nil {
		t.Fatal(err)
	}
	var served sync.WaitGroup
	served.Go(func() { (&control.Server{Handler: s, Log: zerolog.Nop()}).ServeConn(context.Background(), ours) })
	var part station.BundlePart
	err = control.Follow(theirs, station.OpLogBundle, station.BundleArgs{Medium: medium}, &part, func() error {
		file, end = append(file, part.Data...), part.End
		part = station.BundlePart{}
		return nil
	})
	served.Wait()
	return file, end, err
}

// Evidence is made of what the station has, seals the log, and holds while others
// use the station.
func TestEvidenceIsHandedOut(t *testing.T) {
	o := newOffice(t)
	files := testmedia.Files{}
	contents := map[string][]byte{"definition.json": small(t, "definition.json")}
	o.source.with(func(s *station.Station) {
		onMedium(files, asked[station.Sealed](t, s, station.OpSeal, request(t, manifest.ElectionDefinition, contents)), contents)
	})
	root, err := trust.ParseRoot(o.root)
	o.ems.must(err)
	o.ems.with(func(s *station.Station) {
		rep, err := insert(s, testmedia.FAT(t, testmedia.Options{}, files))
		o.ems.must(err)
		var busy sync.WaitGroup
		stop := make(chan struct{})
		busy.Go(func() { // seals of other work come in between
			for {
				select {
				case <-stop:
					return
				default:
					asked[station.Trust](t, s, station.OpTrustInstall, delivery(o.bundle))
				}
			}
		})
		for range 5 {
			file, end, err := bundle(t, s, rep.Medium.ID)
			if err != nil {
				t.Fatal(err)
			}
			sum := sha256.Sum256(file)
			if end.Bytes != int64(len(file)) || end.SHA256 != hex.EncodeToString(sum[:]) || end.Report.Result != evidence.Intact {
				t.Errorf("%d bytes, said is %+v", len(file), end)
			}
			if got := evidence.Check(file, evidence.Options{Root: root}); got.Result != evidence.Intact || got.Medium != rep.Medium.ID {
				t.Errorf("%s: %s", got.Result, got.Why)
			}
		}
		close(stop)
		busy.Wait()
		// Nothing new was recorded, so the same comes out.
		one, _, err := bundle(t, s, rep.Medium.ID[:6])
		if err != nil {
			t.Fatal(err)
		}
		two, _, err := bundle(t, s, rep.Packages[0].Item)
		if err != nil || !bytes.Equal(one, two) {
			t.Errorf("%d bytes, then %d (%v)", len(one), len(two), err)
		}
		if n := len(entries(t, s, "package.verify")); n != 1 || entries(t, s, "package.verify")[0].Fields["trust_version"] != "1" {
			t.Errorf("the log does not name the trust bundle that was asked: %+v", entries(t, s, "package.verify"))
		}
		for _, none := range []string{"", "zz", rep.Medium.ID + "0", "zz-1", "0123456789ab", "0123456789ab-1"} {
			if _, _, err := bundle(t, s, none); failure(t, err).Code != control.CodeNotFound {
				t.Errorf("%q: %v", none, err)
			}
		}
	})
}

// A station that cannot prove what it knows says so, and hands out nothing.
func TestNoEvidenceOfADamagedStore(t *testing.T) {
	o := newOffice(t)
	var rep *intake.Report
	o.ems.with(func(s *station.Station) {
		var err error
		rep, err = insert(s, testmedia.FAT(t, testmedia.Options{}, testmedia.Files{"notes.txt": []byte("x")}))
		o.ems.must(err)
	})
	facts := o.ems.cfg.StateDir + "/vault/held/" + rep.Packages[0].Item + "/facts.json"
	good, err := os.ReadFile(facts)
	o.ems.must(err)
	s := o.ems.open(durable.FS{})
	for name, data := range map[string][]byte{"changed": bytes.Replace(good, []byte("fat32"), []byte("fat33"), 1), "gone": nil} {
		o.ems.must(os.Remove(facts))
		if data != nil {
			o.ems.must(os.WriteFile(facts, data, 0o600))
		}
		file, _, err := bundle(t, s, rep.Medium.ID)
		if f := failure(t, err); len(file) > 0 || f.Code != control.CodeUnavailable || !strings.Contains(f.Message, "quarantine show --verify") {
			t.Errorf("%s: %d bytes, %v", name, len(file), f)
		}
		o.ems.must(os.WriteFile(facts, good, 0o600))
	}
	if _, end, err := bundle(t, s, rep.Medium.ID); err != nil || end.Report.Result != evidence.Intact {
		t.Errorf("%v, %+v", err, end)
	}
	o.ems.must(s.Close(context.Background()))
}

// provable checks that there is evidence about every medium in the log, and that it
// holds: whatever stopped the station in between.
func provable(t *testing.T, s *station.Station) {
	t.Helper()
	media := entries(t, s, "medium.inserted")
	for _, e := range media {
		_, end, err := bundle(t, s, e.Subject.Medium)
		if err != nil || end.Report.Result != evidence.Intact {
			t.Errorf("medium %s: %v, %+v", e.Subject.Medium, err, end)
		}
	}
	if len(media) < 3 {
		t.Errorf("the log knows %d media", len(media))
	}
}
