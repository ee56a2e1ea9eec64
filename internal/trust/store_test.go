package trust_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sallyport/internal/durable"
	"sallyport/internal/manifest"
	"sallyport/internal/testtool"
	"sallyport/internal/tpm/tpmtest"
	"sallyport/internal/trust"
	"sallyport/internal/verdict"
)

func newStore(t testing.TB, o *office) (*trust.Store, string) {
	t.Helper()
	dir := storeDir(t)
	if err := trust.CreateStore(dir, mustEncode(t, o.root), durable.FS{}); err != nil {
		t.Fatal(err)
	}
	return openStore(t, dir), dir
}

func openStore(t testing.TB, dir string) *trust.Store {
	t.Helper()
	s, err := trust.OpenStore(dir, durable.FS{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// installs is an installation that must succeed.
func installs(t testing.TB, s *trust.Store, d trust.Delivery) {
	t.Helper()
	if _, err := s.Install(d); err != nil {
		t.Fatal(err)
	}
}

// refuses is an installation that must not, and leaves the store as it was.
func refuses(t testing.TB, s *trust.Store, d trust.Delivery, want verdict.Reason, says string) {
	t.Helper()
	version, root := have(s)
	_, err := s.Install(d)
	wantFinding(t, err, want, says)
	if v, r := have(s); v != version || r != root {
		t.Errorf("a refused delivery changed bundle %d under root %d to %d under %d", version, root, v, r)
	}
}

// have returns the versions of the installed bundle and of the root.
func have(s *trust.Store) (bundle, root int64) {
	tr, _ := s.Current()
	if r := s.Root(); r != nil {
		root = r.Version
	}
	return tr.Version(), root
}

func wantVersions(t testing.TB, s *trust.Store, bundle, root int64) {
	t.Helper()
	if b, r := have(s); b != bundle || r != root {
		t.Errorf("installed is bundle %d under root %d, want %d under %d", b, r, bundle, root)
	}
	tr, err := s.Current()
	if bundle == 0 {
		wantFinding(t, err, verdict.TrustMissing, "")
	} else if err != nil || !tr.Valid() {
		t.Errorf("Current: %v", err)
	}
}

func just(env []byte) trust.Delivery { return trust.Delivery{Bundle: env} }

// rotated is the office after its root's rotation to fresh keys.
func (o *office) rotated(t testing.TB) (*office, trust.Rotation) {
	t.Helper()
	next := *o
	next.authorities = nil
	for range o.authorities {
		next.authorities = append(next.authorities, tpmtest.NewSoft(t))
	}
	next.root = newRoot(t, o.root.Version+1, o.root.Threshold, next.authorities...)
	by := append(slices.Clone(o.authorities[:o.root.Threshold]), next.authorities[:o.root.Threshold]...)
	env, err := trust.Rotate(t.Context(), o.root, trust.Root{Threshold: next.root.Threshold, Keys: next.root.Keys}, signers(by)...)
	if err != nil {
		t.Fatal(err)
	}
	return &next, trust.Rotation{Version: next.root.Version, Envelope: env}
}

func TestStoreNeverGoesBack(t *testing.T) {
	o := newOffice(t, 2, 1)
	s, dir := newStore(t, o)
	wantVersions(t, s, 0, 1)
	other3 := o.bundle
	other3.Issued = "2026-09-02T12:00:00Z"
	other4 := o.version(4)
	other4.Issued = other3.Issued
	three, four := just(o.signed(t, o.bundle, 1)), just(o.signed(t, o.version(4), 1))
	for range 2 { // the second time on what was read from disk
		installs(t, s, three)
		refuses(t, s, just(o.signed(t, o.version(2), 1)), verdict.Superseded, "version 3 already")
		refuses(t, s, just(o.signed(t, other3, 1)), verdict.Fork, "two different bundles of version 3")
		// The same bundle with more signatures is the same bundle.
		installs(t, s, just(o.signed(t, o.bundle, 2)))
		wantVersions(t, s, 3, 1)
		s = openStore(t, dir)
	}
	installs(t, s, four)
	refuses(t, s, three, verdict.Superseded, "version 4 already")
	wantVersions(t, openStore(t, dir), 4, 1)

	// Removing the bundle from disk does not lower the floor.
	file := filepath.Join(dir, "installed.json")
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	s = openStore(t, dir)
	_, err := s.Current()
	wantFinding(t, err, verdict.TrustMissing, "version 4 or later")
	refuses(t, s, three, verdict.Superseded, "version 4 already")
	installs(t, s, four)
	// Putting an old one, or another one, in its place is noticed.
	for name, d := range map[string]trust.Delivery{"an older bundle": three, "another bundle": just(o.signed(t, other4, 1))} {
		elsewhere, dir2 := newStore(t, o)
		installs(t, elsewhere, d)
		data, err := os.ReadFile(filepath.Join(dir2, "installed.json"))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, data, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := trust.OpenStore(dir, durable.FS{}); err == nil {
			t.Errorf("%s was opened", name)
		}
	}
}

func TestStoreRefusesWhatIsNotSigned(t *testing.T) {
	o, stranger := newOffice(t, 2, 2), newOffice(t, 2, 2)
	s, dir := newStore(t, o)
	refuses(t, s, just(stranger.signed(t, stranger.bundle, 2)), verdict.SignerUnknown, "")
	refuses(t, s, just(o.signed(t, o.bundle, 1)), verdict.SignerNotPermitted, "1 of the authority's keys signed, 2 must")
	refuses(t, s, just([]byte{}), verdict.ManifestMalformed, "")
	wantVersions(t, openStore(t, dir), 0, 1)
	if err := trust.CreateStore(dir, mustEncode(t, stranger.root), durable.FS{}); !errors.Is(err, os.ErrExist) {
		t.Errorf("a second root: %v", err)
	}
	if err := trust.CreateStore(storeDir(t), []byte(`{"v":1}`), durable.FS{}); err == nil {
		t.Error("a root without keys was pinned")
	}
	if err := s.Pin(mustEncode(t, stranger.root)); err == nil || !strings.Contains(err.Error(), "only a rotation follows") {
		t.Errorf("a second root: %v", err)
	}
}

// An authority's store begins without a root and gets one, once.
func TestARootIsPinnedOnce(t *testing.T) {
	o := newOffice(t, 1, 1)
	dir := storeDir(t)
	if err := trust.CreateStore(dir, nil, durable.FS{}); err != nil {
		t.Fatal(err)
	}
	s := openStore(t, dir)
	wantVersions(t, s, 0, 0)
	refuses(t, s, just(o.signed(t, o.bundle, 1)), verdict.TrustMissing, "no root yet")
	_, err := s.Policy(ems()).Key(o.authorities[0].KeyID())
	wantFinding(t, err, verdict.TrustMissing, "")
	if err := s.Pin([]byte("{}")); err == nil {
		t.Error("an empty root was pinned")
	}
	if err := s.Pin(mustEncode(t, o.root)); err != nil {
		t.Fatal(err)
	}
	if err := s.Pin(mustEncode(t, newOffice(t, 1, 1).root)); err == nil {
		t.Error("a second root was pinned")
	}
	s = openStore(t, dir)
	wantVersions(t, s, 0, 1)
	installs(t, s, just(o.signed(t, o.bundle, 1)))
	// Without its root a store that had a bundle does not open.
	if err := os.Remove(filepath.Join(dir, "root.json")); err != nil {
		t.Fatal(err)
	}
	if _, err := trust.OpenStore(dir, durable.FS{}); err == nil {
		t.Error("a store without its root was opened")
	}
}

// The root changes hands, with a bundle and without, and never goes back.
func TestRotationsAreFollowed(t *testing.T) {
	one := newOffice(t, 2, 1)
	two, to2 := one.rotated(t)
	three, to3 := two.rotated(t)
	s, dir := newStore(t, one)
	installs(t, s, just(one.signed(t, one.bundle, 1)))

	// A rotation alone: the installed bundle stays until the next one.
	installs(t, s, trust.Delivery{Rotations: []trust.Rotation{to2}})
	for range 2 {
		wantVersions(t, s, 3, 2)
		refuses(t, s, just(one.signed(t, one.version(4), 1)), verdict.SignerUnknown, "none of the authority's keys")
		refuses(t, s, trust.Delivery{Rotations: []trust.Rotation{to2}, Bundle: one.signed(t, one.version(4), 1)}, verdict.SignerUnknown, "none of the authority's keys")
		installs(t, s, trust.Delivery{Rotations: []trust.Rotation{to2}}) // once more changes nothing
		if got := s.Rotations(); len(got) != 1 || got[0].Version != 2 {
			t.Errorf("%d rotations", len(got))
		}
		// What is installed is still trusted.
		if _, err := manifest.Verify(sealed(t, one, trust.Source, func(*manifest.Payload) {}), folder, s.Policy(ems())); err != nil {
			t.Error(err)
		}
		s = openStore(t, dir)
	}
	installs(t, s, just(two.signed(t, two.version(4), 1)))
	wantVersions(t, openStore(t, dir), 4, 2)

	// Versions are followed one by one.
	refuses(t, s, trust.Delivery{Rotations: []trust.Rotation{{Version: 3, Envelope: to2.Envelope}}}, verdict.SignerUnknown, "none of the authority's keys")
	late, dirLate := newStore(t, one)
	refuses(t, late, trust.Delivery{Rotations: []trust.Rotation{to3}, Bundle: three.signed(t, three.version(5), 1)}, verdict.SignerNotPermitted, "0 keys of root version 1")
	all := trust.Delivery{Rotations: []trust.Rotation{to2, to3}, Bundle: three.signed(t, three.version(5), 1)}
	for dir, s := range map[string]*trust.Store{dir: s, dirLate: late} {
		installs(t, s, all)
		wantVersions(t, s, 5, 3)
		s = openStore(t, dir)
		wantVersions(t, s, 5, 3)
		// It can be handed on, whole.
		given, err := s.Installed()
		if err != nil {
			t.Fatal(err)
		}
		fresh, _ := newStore(t, one)
		installs(t, fresh, given)
		wantVersions(t, fresh, 5, 3)
		installs(t, s, trust.Delivery{Rotations: []trust.Rotation{to2}, Bundle: all.Bundle}) // as an older medium has it
		wantVersions(t, s, 5, 3)
	}
}

// Whoever brings another root finds out which.
func TestRotationsThatDoNotFit(t *testing.T) {
	one := newOffice(t, 2, 1)
	two, to2 := one.rotated(t)
	_, other2 := one.rotated(t)
	three, to3 := two.rotated(t)
	s, dir := newStore(t, one)
	installs(t, s, trust.Delivery{Rotations: []trust.Rotation{to2}, Bundle: two.signed(t, two.bundle, 1)})
	only := func(list ...trust.Rotation) trust.Delivery { return trust.Delivery{Rotations: list} }
	for range 2 {
		refuses(t, s, only(other2), verdict.Fork, "another root of version 2")
		refuses(t, s, trust.Delivery{Rotations: []trust.Rotation{other2, to3}, Bundle: three.signed(t, three.version(4), 1)}, verdict.Fork, "another root of version 2")
		refuses(t, s, only(trust.Rotation{Version: 2, Envelope: []byte("{}")}), verdict.Fork, "another root of version 2")
		refuses(t, s, only(to2, trust.Rotation{Version: 9, Envelope: to3.Envelope}), verdict.ManifestMalformed, "given as version 9")
		gap := enclose(t, mustJSON(t, newRoot(t, 4, 1, three.authorities...)), trust.RootType, two.authorities[0], three.authorities[0])
		refuses(t, s, only(trust.Rotation{Version: 4, Envelope: gap}), verdict.SequenceGap, "version 3 must come first")
		again := enclose(t, mustJSON(t, newRoot(t, 2, 1, three.authorities...)), trust.RootType, two.authorities[0], three.authorities[0])
		refuses(t, s, only(trust.Rotation{Version: 3, Envelope: again}), verdict.Superseded, "version 2 already")
		refuses(t, s, only(to3, trust.Rotation{Version: 3, Envelope: to2.Envelope}), verdict.Fork, "another root of version 3")
		// Versions before the pinned one are somebody else's history.
		installs(t, s, only(trust.Rotation{Version: 1, Envelope: []byte("x")}, trust.Rotation{Version: -5}))
		wantVersions(t, s, 3, 2)
		s = openStore(t, dir)
	}
	// More signatures under the same root are the same root.
	more, err := trust.AddRotationSignature(t.Context(), to2.Envelope, one.root, one.authorities[1])
	if err != nil {
		t.Fatal(err)
	}
	installs(t, s, only(trust.Rotation{Version: 2, Envelope: more}))
}

// A root that was left behind does not come back with a file from a backup, nor
// by removing the file.
func TestARestoredRootIsFound(t *testing.T) {
	one := newOffice(t, 1, 1)
	two, to2 := one.rotated(t)
	s, dir := newStore(t, one)
	file := filepath.Join(dir, "installed.json")
	installs(t, s, just(one.signed(t, one.bundle, 1)))
	old, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	installs(t, s, trust.Delivery{Rotations: []trust.Rotation{to2}})
	if err := os.WriteFile(file, old, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = trust.OpenStore(dir, durable.FS{})
	wantFinding(t, err, verdict.Superseded, "had version 2 already")
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	s = openStore(t, dir)
	refuses(t, s, just(one.signed(t, one.version(9), 1)), verdict.Superseded, "had version 2 already")
	installs(t, s, trust.Delivery{Rotations: []trust.Rotation{to2}, Bundle: two.signed(t, two.version(9), 1)})
	wantVersions(t, openStore(t, dir), 9, 2)
}

// However they come, no more rotations are followed than the store can read again.
func TestRotationsAreBounded(t *testing.T) {
	o := newOffice(t, 1, 1)
	s, dir := newStore(t, o)
	var chain []trust.Rotation
	root := o.root
	for range trust.MaxRotations + 1 {
		env, err := trust.Rotate(t.Context(), root, trust.Root{Threshold: 1, Keys: o.root.Keys}, o.authorities[0])
		if err != nil {
			t.Fatal(err)
		}
		if root, err = trust.OpenRotation(env, root); err != nil {
			t.Fatal(err)
		}
		chain = append(chain, trust.Rotation{Version: root.Version, Envelope: env})
	}
	refuses(t, s, trust.Delivery{Rotations: chain}, verdict.OverLimit, "more than 100 rotations")
	installs(t, s, trust.Delivery{Rotations: chain[:60]})
	installs(t, s, trust.Delivery{Rotations: chain[60:trust.MaxRotations]})
	refuses(t, s, trust.Delivery{Rotations: chain[trust.MaxRotations:]}, verdict.OverLimit, "more than 100 rotations")
	if r := openStore(t, dir).Root(); r.Version != trust.MaxRotations+1 {
		t.Errorf("root version %d", r.Version)
	}
}

// Each durable step of an installation fails, once without effect and once
// after it took effect: the store opens with the old trust or with the new one,
// root and bundle together, never lets the floor fall, and takes the new one at
// the next try.
func TestInstallCrashTable(t *testing.T) {
	one := newOffice(t, 1, 1)
	two, to2 := one.rotated(t)
	old := just(one.signed(t, one.bundle, 1))
	for name, c := range map[string]struct {
		next         trust.Delivery
		bundle, root int64
		steps        int
	}{
		"a bundle":            {just(one.signed(t, one.version(4), 1)), 4, 1, 9},
		"a rotation":          {trust.Delivery{Rotations: []trust.Rotation{to2}}, 3, 2, 6},
		"a rotation's bundle": {trust.Delivery{Rotations: []trust.Rotation{to2}, Bundle: two.signed(t, two.version(4), 1)}, 4, 2, 9},
	} {
		t.Run(name, func(t *testing.T) {
			steps := 0
			for at := 0; ; at++ {
				for _, tookEffect := range []bool{false, true} {
					s, dir := newStore(t, one)
					installs(t, s, old)
					crash := &testtool.Crash{At: at, TookEffect: tookEffect}
					hooked, err := trust.OpenStore(dir, crash.FS())
					if err != nil {
						t.Fatal(err)
					}
					crash.Arm()
					_, err = hooked.Install(c.next)
					if steps = max(steps, crash.Steps); crash.Steps <= at {
						if err != nil {
							t.Fatal(err)
						}
						if steps != c.steps {
							t.Fatalf("an installation has %d durable steps, want %d", steps, c.steps)
						}
						return
					}
					if !errors.Is(err, testtool.ErrCrash) {
						t.Fatalf("step %d: %v", at, err)
					}
					again := openStore(t, dir)
					b, r := have(again)
					if (b != 3 || r != 1) && (b != c.bundle || r != c.root) {
						t.Fatalf("step %d, took effect %v: bundle %d under root %d", at, tookEffect, b, r)
					}
					if b == 4 {
						wantBack(t, again, old)
						wantPast(t, again, 3, old.Bundle)
					}
					installs(t, again, c.next)
					wantVersions(t, openStore(t, dir), c.bundle, c.root)
					if c.bundle == 4 {
						wantPast(t, again, 3, old.Bundle)
					}
				}
			}
		})
	}
}

// wantPast asks for a bundle that was replaced.
func wantPast(t testing.TB, s *trust.Store, version int64, bundle []byte) {
	t.Helper()
	if d, err := s.Past(version); err != nil || !bytes.Equal(d.Bundle, bundle) {
		t.Errorf("the bundle of version %d from before: %v", version, err)
	}
}

// Bundles that were replaced are kept, also over rotations, and verified again
// when somebody asks for them.
func TestPastBundles(t *testing.T) {
	one := newOffice(t, 1, 1)
	two, to2 := one.rotated(t)
	s, dir := newStore(t, one)
	third, fourth := one.signed(t, one.bundle, 1), one.signed(t, one.version(4), 1)
	installs(t, s, just(third))
	installs(t, s, just(fourth))
	installs(t, s, trust.Delivery{Rotations: []trust.Rotation{to2}, Bundle: two.signed(t, two.version(5), 1)})
	s = openStore(t, dir)
	wantPast(t, s, 3, third)
	wantPast(t, s, 4, fourth)
	for _, version := range []int64{2, 5, 6} {
		if _, err := s.Past(version); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("version %d: %v", version, err)
		}
	}
	name := func(version int) string { return filepath.Join(dir, fmt.Sprintf("bundle-%d.dsse.json", version)) }
	if err := os.Rename(name(4), name(3)); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name(4), third[:len(third)-9], 0o600); err != nil {
		t.Fatal(err)
	}
	for _, version := range []int64{3, 4} {
		if _, err := s.Past(version); err == nil || errors.Is(err, os.ErrNotExist) {
			t.Errorf("version %d is another one, or damaged: %v", version, err)
		}
	}
}

// wantBack tries to install an older delivery again.
func wantBack(t testing.TB, s *trust.Store, old trust.Delivery) {
	t.Helper()
	_, err := s.Install(old)
	f, ok := verdict.Find(err)
	if !ok || f.Reason != verdict.Superseded && f.Reason != verdict.SignerUnknown {
		t.Errorf("the old bundle after the new one: %v", err)
	}
}
