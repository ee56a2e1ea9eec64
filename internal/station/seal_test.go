package station_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"

	"sallyport/internal/audit"
	"sallyport/internal/durable"
	"sallyport/internal/manifest"
	"sallyport/internal/station"
)

// payload is what an envelope signs, and its digest.
func payload(t *testing.T, envelope []byte) (p manifest.Payload, digest string) {
	t.Helper()
	e, err := manifest.ParseEnvelope(envelope)
	if err == nil {
		err = json.Unmarshal(e.Payload, &p)
	}
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(e.Payload)
	return p, hex.EncodeToString(sum[:])
}

func note(t *testing.T) station.SealArgs {
	return request(t, manifest.MediaSet, map[string][]byte{"note.txt": []byte("note")})
}

func TestSealedPackagesFollowEachOther(t *testing.T) {
	o := newOffice(t)
	lastDigest := map[string]string{}
	highest := int64(0)
	check := func(s *station.Station, a station.SealArgs, stream string) {
		t.Helper()
		sealed := asked[station.Sealed](t, s, station.OpSeal, a)
		p, digest := payload(t, sealed.Envelope)
		if p.Stream != stream || sealed.Stream != stream || p.Seq <= highest || sealed.Seq != p.Seq || p.PrevSHA256 != lastDigest[stream] || digest != sealed.Digest {
			t.Errorf("sealed %+v in stream %s, after sequence %d and package %q", p, sealed.Stream, highest, lastDigest[stream])
		}
		if p.Signer.StationID != "precinct-1" || p.TrustEpoch != 1 || p.Totals.Files != 1 || p.Totals.Bytes != 4 {
			t.Errorf("the payload says %+v", p)
		}
		highest, lastDigest[stream] = p.Seq, digest
		kept, err := os.ReadFile(filepath.Join(o.source.cfg.StateDir, "sealed", a.PackageID+".dsse.json"))
		if err != nil || string(kept) != string(sealed.Envelope) {
			t.Errorf("the station has not kept the envelope: %v", err)
		}
	}
	for range 2 { // over a restart
		o.source.with(func(s *station.Station) {
			own := note(t)
			own.Stream = "own"
			all := note(t)
			all.Audience = manifest.AudienceAll
			check(s, note(t), "media-set.ems-1")
			check(s, own, "own")
			check(s, all, "media-set.all")
			check(s, note(t), "media-set.ems-1")
		})
	}
}

// The same list for the same receivers is a new package all the same, and the
// station names the one before, also after a restart.
func TestSealingTheSameAgainIsTold(t *testing.T) {
	o := newOffice(t)
	seal := func(s *station.Station, change func(*station.SealArgs)) *station.Sealed {
		t.Helper()
		a := note(t)
		change(&a)
		sealed := asked[station.Sealed](t, s, station.OpSeal, a)
		return &sealed
	}
	same := func(*station.SealArgs) {}
	var first, second *station.Sealed
	o.source.with(func(s *station.Station) {
		first, second = seal(s, same), seal(s, same)
		if first.Before != nil {
			t.Errorf("the first package comes after %+v", first.Before)
		}
		if b := second.Before; b == nil || b.PackageID != first.PackageID || b.Seq != first.Seq || second.Seq <= first.Seq {
			t.Errorf("the second package, sequence %d, comes after %+v, want %s, sequence %d", second.Seq, b, first.PackageID, first.Seq)
		}
		for name, change := range map[string]func(*station.SealArgs){
			"a stream":      func(a *station.SealArgs) { a.Stream = "other" },
			"an audience":   func(a *station.SealArgs) { a.Audience = manifest.AudienceAll },
			"a file's name": func(a *station.SealArgs) { a.Files[0].Path = "other.txt" },
			"a file's hash": func(a *station.SealArgs) { a.Files[0].SHA256 = strings.Repeat("ab", 32) },
		} {
			if other := seal(s, change); other.Before != nil {
				t.Errorf("with %s of its own, a package comes after %+v", name, other.Before)
			}
		}
	})
	o.source.with(func(s *station.Station) {
		if b := seal(s, func(a *station.SealArgs) { a.Stream = "media-set.ems-1" }).Before; b == nil || b.PackageID != second.PackageID {
			t.Errorf("after a restart: %+v, want %s", b, second.PackageID)
		}
	})
	// A station of an earlier version has remembered nothing.
	file := filepath.Join(o.source.cfg.StateDir, "sealed", "streams.json")
	data, err := os.ReadFile(file)
	o.source.must(err)
	body, _, ok := strings.Cut(string(data), `,"held":`)
	if !ok {
		t.Fatalf("nothing is remembered in %s", data)
	}
	o.source.must(os.WriteFile(file, []byte(body+"}"), 0o600))
	o.source.with(func(s *station.Station) {
		if b := seal(s, same).Before; b != nil {
			t.Errorf("a package comes after %+v, which nobody remembers", b)
		}
	})
}

func TestSealRefuses(t *testing.T) {
	o := newOffice(t)
	o.source.with(func(s *station.Station) {
		good := note(t)
		asked[station.Sealed](t, s, station.OpSeal, good)
		for name, c := range map[string]struct {
			change func(*station.SealArgs)
			says   string
		}{
			"a path with ..":     {func(a *station.SealArgs) { a.Files[0].Path = "../x" }, "cannot seal the package"},
			"an id that is none": {func(a *station.SealArgs) { a.PackageID = "../../etc/passwd" }, "cannot seal the package"},
			"an unknown kind":    {func(a *station.SealArgs) { a.Kind = "everything" }, "cannot seal the package"},
		} {
			a := note(t)
			c.change(&a)
			_, err := ask[station.Sealed](s, station.OpSeal, a, nil)
			if f := failure(t, err); !strings.Contains(f.Message, c.says) {
				t.Errorf("%s: %s: %s", name, f.Code, f.Message)
			}
		}
		if _, err := ask[station.Sealed](s, station.OpSeal, good, nil); err == nil {
			t.Error("one package id was sealed twice")
		}
		failed := 0
		for _, e := range entries(t, s, string(audit.PackageSeal)) {
			if e.Outcome == audit.Failure {
				failed++
			}
		}
		if failed != 4 {
			t.Errorf("the log has %d failed seals, want 4", failed)
		}
		select {
		case err := <-s.Fatal():
			t.Errorf("a bad request stops the station: %v", err)
		default:
		}
	})
	stranger := newNode(t, "precinct-2", "source")
	stranger.init(o.root)
	stranger.with(func(s *station.Station) {
		_, err := ask[station.Sealed](s, station.OpSeal, note(t), nil)
		if f := failure(t, err); f.Code != "trust-missing" {
			t.Errorf("a station without trust bundle seals: %+v", f)
		}
	})
}

// TestASequenceNumberIsNeverGivenTwice fails each durable step of a seal,
// before and after its effect, and seals again after a restart.
func TestASequenceNumberIsNeverGivenTwice(t *testing.T) {
	o := newOffice(t)
	envelopes := map[int64]string{} // by sequence number
	digests := map[string]bool{"": true}
	remember := func(envelope []byte) {
		t.Helper()
		p, digest := payload(t, envelope)
		if had, ok := envelopes[p.Seq]; ok && had != digest {
			t.Errorf("sequence %d was given to the packages %s and %s", p.Seq, had, digest)
		}
		envelopes[p.Seq] = digest
		digests[digest] = true
	}
	seal := func(sab *saboteur) error {
		s := o.source.open(durable.FS{Hook: sab.hook})
		sab.arm(true)
		sealed, err := ask[station.Sealed](s, station.OpSeal, note(t), nil)
		sab.arm(false)
		if err == nil {
			p, _ := payload(t, sealed.Envelope)
			if !digests[p.PrevSHA256] {
				t.Errorf("sequence %d follows a package that nobody sealed: %s", p.Seq, p.PrevSHA256)
			}
			remember(sealed.Envelope)
		}
		_ = s.Close(context.Background()) // after a failure it may not be able to log its end
		kept, gerr := filepath.Glob(filepath.Join(o.source.cfg.StateDir, "sealed", "*.dsse.json"))
		o.source.must(gerr)
		for _, path := range kept {
			data, rerr := os.ReadFile(path)
			o.source.must(rerr)
			remember(data)
		}
		return err
	}
	sab := &saboteur{}
	o.source.must(seal(sab))
	if len(sab.steps) < 12 {
		t.Fatalf("a seal has only %d durable steps: %v", len(sab.steps), sab.steps)
	}
	for i, step := range sab.steps {
		for _, after := range []bool{false, true} {
			if err := seal(&saboteur{at: i + 1, after: after, do: func() error { return errDisk }}); err == nil && !strings.HasPrefix(step, "translog.checkpoint") {
				t.Errorf("%s (after its effect: %v): the seal succeeded", step, after)
			}
			if err := seal(&saboteur{}); err != nil {
				t.Fatalf("%s (after its effect: %v): the next seal: %v", step, after, err)
			}
		}
	}
	o.source.with(func(s *station.Station) {
		if open := entries(t, s, string(audit.PackageSeal)); len(open)%2 != 0 {
			t.Errorf("%d entries of seals: an intent has no outcome", len(open))
		}
	})
}
