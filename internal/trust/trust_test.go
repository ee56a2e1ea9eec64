package trust_test

import (
	"context"
	"testing"
	"testing/fstest"

	"sallyport/internal/manifest"
	"sallyport/internal/tpm/tpmtest"
	"sallyport/internal/trust"
	"sallyport/internal/verdict"
)

func TestAuthoritiesSignOneAfterAnother(t *testing.T) {
	ctx := context.Background()
	o, stranger := newOffice(t, 3, 2), newOffice(t, 1, 1)
	one := o.signed(t, o.bundle, 1)
	draft, err := trust.OpenDraft(one, o.root)
	if err != nil || draft.Bundle.Version != 3 || len(draft.Signed) != 1 || draft.Signed[0] != o.authorities[0].KeyID() {
		t.Errorf("OpenDraft = %+v, %v", draft, err)
	}
	two, err := trust.AddSignature(ctx, one, o.root, o.authorities[2])
	if err != nil {
		t.Fatal(err)
	}
	tr, err := trust.Open(two, o.root)
	if err != nil || tr.Version() != 3 || tr.RootVersion() != 1 {
		t.Errorf("Open = %d, %v", tr.Version(), err)
	}
	for name, err := range map[string]error{
		"again":             errOf(trust.AddSignature(ctx, two, o.root, o.authorities[2])),
		"a stranger":        errOf(trust.AddSignature(ctx, one, o.root, stranger.authorities[0])),
		"a stranger's":      errOf(trust.AddSignature(ctx, stranger.signed(t, stranger.bundle, 1), o.root, o.authorities[1])),
		"nothing":           errOf(trust.AddSignature(ctx, nil, o.root, o.authorities[1])),
		"no root":           errOf(trust.AddSignature(ctx, one, nil, o.authorities[1])),
		"nobody issues":     errOf(trust.Issue(ctx, o.root, o.bundle)),
		"no root issues":    errOf(trust.Issue(ctx, nil, o.bundle, o.authorities[0])),
		"a stranger issues": errOf(trust.Issue(ctx, o.root, o.bundle, stranger.authorities[0])),
		"forbidden kind":    errOf(trust.Issue(ctx, o.root, o.with(trust.Kiosk, func(s *trust.Station) { s.Kinds = append(s.Kinds, manifest.CVRExport) }), o.authorities[0])),
		"no version":        errOf(trust.Issue(ctx, o.root, o.version(0), o.authorities[0])),
	} {
		if err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if _, err := trust.Open(two, nil); err == nil {
		t.Error("a bundle was opened without a root")
	}
	if _, err := trust.OpenDraft(stranger.signed(t, stranger.bundle, 1), o.root); err == nil {
		t.Error("a stranger's draft was opened")
	}
}

func errOf[T any](_ T, err error) error { return err }

func TestRootsChangeHandsOneAfterAnother(t *testing.T) {
	ctx := context.Background()
	o := newOffice(t, 3, 2)
	fresh := []*tpmtest.Soft{tpmtest.NewSoft(t), tpmtest.NewSoft(t)}
	next := trust.Root{Threshold: 2, Keys: rootKeys(t, fresh...)}
	env, err := trust.Rotate(ctx, o.root, next, o.authorities[0])
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []*tpmtest.Soft{fresh[1], o.authorities[2], fresh[0]} {
		_, err := trust.OpenRotation(env, o.root)
		wantFinding(t, err, verdict.SignerNotPermitted, "must")
		if env, err = trust.AddRotationSignature(ctx, env, o.root, s); err != nil {
			t.Fatal(err)
		}
	}
	r, err := trust.OpenRotation(env, o.root)
	if err != nil || r.Version != 2 || r.Threshold != 2 || len(r.Keys) != 2 {
		t.Errorf("OpenRotation = %+v, %v", r, err)
	}
	var eight []*tpmtest.Soft
	for range 8 {
		eight = append(eight, tpmtest.NewSoft(t))
	}
	for name, err := range map[string]error{
		"again":                  errOf(trust.AddRotationSignature(ctx, env, o.root, fresh[0])),
		"by a stranger":          errOf(trust.AddRotationSignature(ctx, env, o.root, tpmtest.NewSoft(t))),
		"by new keys alone":      errOf(trust.AddRotationSignature(ctx, enclose(t, mustJSON(t, newRoot(t, 2, 2, fresh...)), trust.RootType, fresh[0]), o.root, fresh[1])),
		"to no keys":             errOf(trust.Rotate(ctx, o.root, trust.Root{Threshold: 1}, o.authorities[0])),
		"by nobody":              errOf(trust.Rotate(ctx, o.root, next)),
		"from no root":           errOf(trust.Rotate(ctx, nil, next, o.authorities[0])),
		"opened without a root":  errOf(trust.OpenRotation(env, nil)),
		"signed without a root":  errOf(trust.AddRotationSignature(ctx, env, nil, o.authorities[1])),
		"more than an envelope":  errOf(trust.Rotate(ctx, newRoot(t, 1, 5, eight...), trust.Root{Threshold: 4, Keys: rootKeys(t, tpmtest.NewSoft(t), tpmtest.NewSoft(t), tpmtest.NewSoft(t), tpmtest.NewSoft(t))}, eight[0])),
		"a boot key nobody has":  errOf(trust.Rotate(ctx, o.root, trust.Root{Threshold: 1, BootKey: o.authorities[0].KeyID(), Keys: next.Keys}, o.authorities[0])),
		"one holder of two keys": errOf(trust.NewRoot(1, 1, "", append(rootKeys(t, fresh[0]), rootKeys(t, fresh[1])...)...)),
	} {
		if err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	// All eight of eight may stay: each signature counts for both.
	if _, err := trust.Rotate(ctx, newRoot(t, 1, 8, eight...), trust.Root{Threshold: 8, Keys: rootKeys(t, eight...)}, signers(eight)...); err != nil {
		t.Error(err)
	}
}

func TestFingerprintIsForPeople(t *testing.T) {
	o := newOffice(t, 2, 1)
	f, err := o.root.Fingerprint()
	if err != nil || len(f) != 64+15 {
		t.Errorf("Fingerprint = %q, %v", f, err)
	}
	if f != trust.Fingerprint(mustEncode(t, o.root)) {
		t.Error("the fingerprint is not that of the file")
	}
	if g, _ := o.newRoot(t, 2).Fingerprint(); g == f {
		t.Error("another threshold has the same fingerprint")
	}
	if _, err := (&trust.Root{}).Fingerprint(); err == nil {
		t.Error("an empty root has a fingerprint")
	}
}

func TestRootsKeys(t *testing.T) {
	o := newOffice(t, 2, 1)
	var none *trust.Root
	if _, ok := none.Key(o.authorities[0].KeyID()); ok {
		t.Error("no root has a key")
	}
	if k, err := none.BootPublic(); k != nil || err != nil {
		t.Errorf("BootPublic of no root = %v, %v", k, err)
	}
	if k, err := o.root.BootPublic(); k != nil || err != nil {
		t.Errorf("BootPublic = %v, %v; want none", k, err)
	}
	r, err := trust.NewRoot(1, 1, o.authorities[1].KeyID(), o.root.Keys...)
	if err != nil {
		t.Fatal(err)
	}
	if k, err := r.BootPublic(); err != nil || !k.Equal(&o.authorities[1].Key.PublicKey) {
		t.Errorf("BootPublic = %v, %v", k, err)
	}
}

// A package of the kind trust-bundle holds the bundle and rotations, and nothing else.
func TestDeliveries(t *testing.T) {
	file := func(text string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(text)} }
	d, err := trust.ReadDelivery(fstest.MapFS{"bundle.dsse.json": file("b"), "root-10.dsse.json": file("ten"), "root-2.dsse.json": file("two")})
	if err != nil || string(d.Bundle) != "b" || len(d.Rotations) != 2 || d.Rotations[0].Version != 2 || string(d.Rotations[1].Envelope) != "ten" {
		t.Errorf("ReadDelivery = %+v, %v", d, err)
	}
	many := fstest.MapFS{"bundle.dsse.json": file("b")}
	for n := range trust.MaxRotations + 1 {
		many[trust.RotationName(int64(n+2))] = file("r")
	}
	large := string(make([]byte, trust.MaxRotation+1))
	for name, c := range map[string]struct {
		content fstest.MapFS
		want    verdict.Reason
		says    string
	}{
		"no bundle":            {fstest.MapFS{"root-2.dsse.json": file("r")}, verdict.ContentInvalid, "missing"},
		"nothing":              {fstest.MapFS{}, verdict.ContentInvalid, "missing"},
		"another file":         {fstest.MapFS{"bundle.dsse.json": file("b"), "notes.txt": file("n")}, verdict.ContentInvalid, "nothing else"},
		"a folder":             {fstest.MapFS{"bundle.dsse.json": file("b"), "x/y": file("n")}, verdict.ContentInvalid, "nothing else"},
		"the first root":       {fstest.MapFS{"bundle.dsse.json": file("b"), "root-1.dsse.json": file("r")}, verdict.ContentInvalid, "nothing else"},
		"a padded version":     {fstest.MapFS{"bundle.dsse.json": file("b"), "root-02.dsse.json": file("r")}, verdict.ContentInvalid, "nothing else"},
		"a negative version":   {fstest.MapFS{"bundle.dsse.json": file("b"), "root--2.dsse.json": file("r")}, verdict.ContentInvalid, "nothing else"},
		"101 rotations":        {many, verdict.ContentInvalid, "at most 100"},
		"a rotation too large": {fstest.MapFS{"bundle.dsse.json": file("b"), "root-2.dsse.json": file(large)}, verdict.OverLimit, "more than"},
	} {
		_, err := trust.ReadDelivery(c.content)
		t.Run(name, func(t *testing.T) { wantFinding(t, err, c.want, c.says) })
	}
	for name, want := range map[string]int64{"root-2.dsse.json": 2, "root-9007199254740991.dsse.json": 1<<53 - 1, "root-9007199254740992.dsse.json": 0, "root-1.dsse.json": 0, "root-.dsse.json": 0, "bundle.dsse.json": 0, "root-+2.dsse.json": 0} {
		if n, ok := trust.RotationVersion(name); ok != (want > 0) || ok && n != want {
			t.Errorf("RotationVersion(%q) = %d, %v; want %d", name, n, ok, want)
		}
	}
}
