package intake_test

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"sallyport/internal/audit"
	"sallyport/internal/durable"
	"sallyport/internal/intake"
	"sallyport/internal/manifest"
	"sallyport/internal/testmedia"
	"sallyport/internal/vault"
	"sallyport/internal/verdict"
)

type contents = map[string][]byte

// held is what the pack of a held package must contain: its files under their
// names in the package folder.
func (p *parcel) held(t testing.TB, change contents) contents {
	out := contents{"manifest.dsse.json": p.seal(t)}
	for path, data := range p.contents {
		out["data/"+path] = data
	}
	for name, data := range change {
		out[name] = data
	}
	return out
}

func TestAGoodMediumIsAccepted(t *testing.T) {
	r := newRig(t)
	p := r.definition()
	rep := r.insert(r.medium(nil, p))
	r.wants(rep, verdict.Accepted, 0)
	if !rep.Sealed || len(r.items(vault.Held)) > 0 || len(r.items(vault.Admitted)) != 1 {
		t.Errorf("sealed %v, held %v, admitted %v", rep.Sealed, r.items(vault.Held), r.items(vault.Admitted))
	}
	r.holds(rep, p.held(t, nil))
	if got := rep.Packages[0]; got.Kind != "election-definition" || got.Signer != "precinct-1" || got.Receipt == nil || got.Receipt.ElectionID != election {
		t.Errorf("the report says %+v", got)
	}
	var line []string
	for _, e := range r.entries("") {
		line = append(line, string(e.Event)+":"+string(e.Phase)+":"+string(e.Outcome))
	}
	want := "log.opened:event: medium.inserted:event: medium.read:intent: package.verify:event:success package.stage:intent: package.stage:outcome:success " +
		"package.admit:intent: ems.import:intent: ems.import:outcome:success package.admit:outcome:accepted medium.verdict:event:accepted medium.read:outcome:success"
	if got := strings.Join(line, " "); got != want {
		t.Errorf("the log says\n%s\nwant\n%s", got, want)
	}
	item, err := r.vault.Get(rep.Packages[0].Item)
	r.must(err)
	digest := item.Digest()
	r.must(item.Close())
	for _, e := range r.entries("package.stage") {
		if e.Phase == audit.PhaseOutcome && e.Fields["digest"] != fmt.Sprintf("%x", digest) {
			t.Errorf("the log names the item's digest as %q, want %x", e.Fields["digest"], digest)
		}
	}
}

// badMedia are media that are held whole, one line of the issue each. build
// returns the image and what the vault must keep of it.
var badMedia = []struct {
	name    string
	reasons []verdict.Reason
	exit    int
	build   func(r *rig) (img string, holds contents)
}{
	{"one byte altered", []verdict.Reason{verdict.FileAltered}, 3, func(r *rig) (string, contents) {
		p := r.definition()
		img := r.medium(nil, p)
		testmedia.Alter(r.t, img, p.path("data/definition.json"), 1000)
		data := bytes.Clone(p.contents["definition.json"])
		data[1000] ^= 1
		return img, p.held(r.t, contents{"data/definition.json": data})
	}},
	{"another size than signed", []verdict.Reason{verdict.FileAltered}, 3, func(r *rig) (string, contents) {
		p := r.definition()
		data := append(bytes.Clone(p.contents["definition.json"]), '\n')
		return r.medium(testmedia.Files{p.path("data/definition.json"): data}, p), p.held(r.t, contents{"data/definition.json": data})
	}},
	{"a file is missing", []verdict.Reason{verdict.FileMissing}, 3, func(r *rig) (string, contents) {
		p := r.set()
		holds := p.held(r.t, nil)
		delete(holds, "data/a.bin")
		return r.medium(testmedia.Files{p.path("data/a.bin"): nil}, p), holds
	}},
	{"an extra file in the package", []verdict.Reason{verdict.FileExtra}, 3, func(r *rig) (string, contents) {
		p := r.definition()
		return r.medium(testmedia.Files{p.path("data/notes.txt"): []byte("hello")}, p), p.held(r.t, contents{"data/notes.txt": []byte("hello")})
	}},
	{"an extra file beside the manifest", []verdict.Reason{verdict.FileExtra}, 3, func(r *rig) (string, contents) {
		p := r.definition()
		return r.medium(testmedia.Files{p.path("setup.exe"): []byte("MZ")}, p), p.held(r.t, contents{"setup.exe": []byte("MZ")})
	}},
	{"an extra file outside", []verdict.Reason{verdict.FileExtra}, 3, func(r *rig) (string, contents) {
		p := r.definition()
		return r.medium(testmedia.Files{"notes.txt": []byte("hello")}, p), p.held(r.t, contents{"volume0/notes.txt": []byte("hello")})
	}},
	{"an empty extra folder outside", []verdict.Reason{verdict.FileExtra}, 3, func(r *rig) (string, contents) {
		p := r.definition()
		return r.medium(testmedia.Files{"empty/": nil}, p), p.held(r.t, nil)
	}},
	{"an empty extra folder in the package", []verdict.Reason{verdict.FileExtra}, 3, func(r *rig) (string, contents) {
		p := r.definition()
		return r.medium(testmedia.Files{p.path("data/empty/"): nil}, p), p.held(r.t, nil)
	}},
	{"no manifest at all", []verdict.Reason{verdict.NoManifest}, 3, func(r *rig) (string, contents) {
		return r.medium(testmedia.Files{"RESULTS/results.csv": []byte("a,b")}), contents{"volume0/RESULTS/results.csv": []byte("a,b")}
	}},
	{"a package without manifest", []verdict.Reason{verdict.NoManifest}, 3, func(r *rig) (string, contents) {
		p := r.definition()
		return r.medium(testmedia.Files{p.path("manifest.dsse.json"): nil}, p), contents{"data/definition.json": p.contents["definition.json"]}
	}},
	{"signed by a key that is not enrolled", []verdict.Reason{verdict.SignerUnknown}, 3, func(r *rig) (string, contents) {
		p := r.definition()
		p.signer, p.Signer.KeyID = r.stranger, r.stranger.KeyID()
		return r.medium(nil, p), p.held(r.t, nil)
	}},
	{"signature of another package", []verdict.Reason{verdict.SignatureInvalid}, 3, func(r *rig) (string, contents) {
		p, q := r.definition(), r.set()
		a, err := manifest.ParseEnvelope(p.seal(r.t))
		r.must(err)
		b, err := manifest.ParseEnvelope(q.seal(r.t))
		r.must(err)
		a.Signatures = b.Signatures
		p.envelope, err = a.Encode()
		r.must(err)
		return r.medium(nil, p), p.held(r.t, nil)
	}},
	{"kind that the signer is not enrolled for", []verdict.Reason{verdict.SignerNotPermitted}, 3, func(r *rig) (string, contents) {
		p := r.definition()
		p.Kind = manifest.BallotPackage
		return r.medium(nil, p), p.held(r.t, nil)
	}},
	{"another election", []verdict.Reason{verdict.WrongElection}, 3, func(r *rig) (string, contents) {
		p := r.definition()
		p.ElectionID = other
		return r.medium(nil, p), p.held(r.t, nil)
	}},
	{"for another station", []verdict.Reason{verdict.WrongAudience}, 3, func(r *rig) (string, contents) {
		p := r.definition()
		p.Audience = "ems-2"
		return r.medium(nil, p), p.held(r.t, nil)
	}},
	{"of another jurisdiction", []verdict.Reason{verdict.WrongJurisdiction}, 3, func(r *rig) (string, contents) {
		p := r.definition()
		p.Jurisdiction = "us/oak-county"
		return r.medium(nil, p), p.held(r.t, nil)
	}},
	{"sealed under a newer trust bundle", []verdict.Reason{verdict.TrustOutdated}, 3, func(r *rig) (string, contents) {
		p := r.definition()
		p.TrustEpoch = epoch + 1
		return r.medium(nil, p), p.held(r.t, nil)
	}},
	{"in another folder than its id", []verdict.Reason{verdict.ManifestMalformed}, 3, func(r *rig) (string, contents) {
		p := r.definition()
		holds := p.held(r.t, nil)
		p.PackageID = strings.Repeat("ab", 16)
		return r.medium(nil, p), holds
	}},
	{"envelope cut short", []verdict.Reason{verdict.ManifestMalformed}, 3, func(r *rig) (string, contents) {
		p := r.definition()
		p.envelope = p.seal(r.t)[:300]
		return r.medium(nil, p), p.held(r.t, nil)
	}},
	{"envelope over its size", []verdict.Reason{verdict.OverLimit}, 5, func(r *rig) (string, contents) {
		p := r.definition()
		p.envelope = make([]byte, manifest.MaxEnvelope+1)
		return r.medium(nil, p), p.held(r.t, nil)
	}},
	{"evidence over its size", []verdict.Reason{verdict.OverLimit}, 5, func(r *rig) (string, contents) {
		p := r.definition()
		evidence := make([]byte, 1<<20+1)
		return r.medium(testmedia.Files{p.path("evidence.json"): evidence}, p), p.held(r.t, contents{"evidence.json": evidence})
	}},
	{"duplicate keys", []verdict.Reason{verdict.ManifestMalformed}, 3, replaced(`{"v":1,`, `{"v":1,"v":1,`)},
	{"unknown fields", []verdict.Reason{verdict.ManifestMalformed}, 3, replaced(`{"v":1,`, `{"v":1,"note":"x",`)},
	{"null for a value", []verdict.Reason{verdict.ManifestMalformed}, 3, replaced(`"clock":1`, `"clock":null`)},
	{"a path with ..", []verdict.Reason{verdict.ManifestMalformed}, 3, replaced(`"path":"definition.json"`, `"path":"../definition.json"`)},
	{"a DOS device name", []verdict.Reason{verdict.ManifestMalformed}, 3, replaced(`"path":"definition.json"`, `"path":"con.json"`)},
	{"another payload type", []verdict.Reason{verdict.ManifestMalformed}, 3, func(r *rig) (string, contents) {
		p := r.definition().sign(r.t, "application/json", bytes.Clone)
		return r.medium(nil, p), p.held(r.t, nil)
	}},
	{"two paths equal but for case", []verdict.Reason{verdict.ManifestMalformed}, 3, func(r *rig) (string, contents) {
		p := r.set()
		p.Files[0].Path, p.Files[1].Path = "A.bin", "a.bin"
		p.sign(r.t, manifest.PayloadType, bytes.Clone)
		return r.medium(nil, p), p.held(r.t, nil)
	}},
	{"a file over its limit", []verdict.Reason{verdict.OverLimit}, 5, func(r *rig) (string, contents) {
		p := r.definition()
		p.Files[0].Size, p.Totals.Bytes = 64<<30+1, 64<<30+1
		p.sign(r.t, manifest.PayloadType, bytes.Clone)
		return r.medium(nil, p), p.held(r.t, nil)
	}},
	{"100,001 files", []verdict.Reason{verdict.OverLimit}, 5, func(r *rig) (string, contents) {
		p := r.definition()
		one := p.Files[0]
		p.Files = nil
		for i := range manifest.MaxFiles + 1 {
			one.Path = fmt.Sprintf("f%06d", i)
			p.Files = append(p.Files, one)
		}
		p.Totals = manifest.Totals{Files: int64(len(p.Files)), Bytes: int64(len(p.Files)) * one.Size}
		p.sign(r.t, manifest.PayloadType, bytes.Clone)
		return r.medium(nil, p), p.held(r.t, nil)
	}},
	{"evidence that is none", []verdict.Reason{verdict.ManifestMalformed}, 3, func(r *rig) (string, contents) {
		p := r.definition()
		evidence := []byte("{}")
		return r.medium(testmedia.Files{p.path("evidence.json"): evidence}, p), p.held(r.t, contents{"evidence.json": evidence})
	}},
	{"evidence of another package", []verdict.Reason{verdict.SignatureInvalid}, 3, func(r *rig) (string, contents) {
		p := r.definition()
		evidence := r.evidence(r.cvrs("1"), 100)
		return r.medium(testmedia.Files{p.path("evidence.json"): evidence}, p), p.held(r.t, contents{"evidence.json": evidence})
	}},
	{"evidence of a counter that never came so far", []verdict.Reason{verdict.SignerNotPermitted}, 3, func(r *rig) (string, contents) {
		p := r.definition()
		evidence := r.evidence(p, p.Seq-1)
		return r.medium(testmedia.Files{p.path("evidence.json"): evidence}, p), p.held(r.t, contents{"evidence.json": evidence})
	}},
	{"part of a set", []verdict.Reason{verdict.ContentInvalid}, 3, func(r *rig) (string, contents) {
		p := r.definition()
		p.Set = manifest.Set{ID: strings.Repeat("cd", 16), Part: 1, Parts: 2, Root: strings.Repeat("ab", 32)}
		return r.medium(nil, p), p.held(r.t, nil)
	}},
	{"a FAT chain with a loop", []verdict.Reason{verdict.FilesystemInconsistent}, 3, func(r *rig) (string, contents) {
		p := r.set()
		img := r.medium(nil, p)
		testmedia.LoopChain(r.t, img, p.path("data/a.bin"))
		return img, p.held(r.t, contents{"data/a.bin": nil})
	}},
	{"cross-linked files", []verdict.Reason{verdict.FilesystemInconsistent}, 3, func(r *rig) (string, contents) {
		p := r.set()
		img := r.medium(nil, p)
		testmedia.CrossLink(r.t, img, p.path("data/a.bin"), p.path("data/b/b.bin"))
		return img, p.held(r.t, contents{"data/a.bin": nil, "data/b/b.bin": nil})
	}},
	{"a chain shorter than the size", []verdict.Reason{verdict.FilesystemInconsistent}, 3, func(r *rig) (string, contents) {
		p := r.set()
		img := r.medium(nil, p)
		testmedia.ShortenChain(r.t, img, p.path("data/a.bin"))
		return img, p.held(r.t, contents{"data/a.bin": nil})
	}},
	{"two FATs that differ", []verdict.Reason{verdict.FilesystemInconsistent}, 3, func(r *rig) (string, contents) {
		p := r.set()
		img := r.medium(nil, p)
		testmedia.DifferFATs(r.t, img, p.path("data/a.bin"))
		return img, p.held(r.t, nil)
	}},
	{"an exFAT entry set with a bad checksum", []verdict.Reason{verdict.FilesystemInconsistent, verdict.FileMissing}, 3, func(r *rig) (string, contents) {
		p := r.set()
		img := testmedia.ExFAT(r.t, testmedia.Options{SizeMiB: 16}, p.files(r.t))
		testmedia.BreakEntrySet(r.t, img, p.path("data/a.bin"))
		holds := p.held(r.t, nil)
		delete(holds, "data/a.bin") // an entry that cannot be believed gives no bytes
		return img, holds
	}},
	{"image cut in the middle of a file", []verdict.Reason{verdict.Truncated}, 3, func(r *rig) (string, contents) {
		p := r.set()
		img := r.medium(nil, p)
		testmedia.CutInside(r.t, img, p.path("data/a.bin"))
		return img, p.held(r.t, contents{"data/a.bin": nil, "data/b/b.bin": nil})
	}},
	{"image cut in the middle of the evidence", []verdict.Reason{verdict.Truncated}, 3, func(r *rig) (string, contents) {
		p := r.set()
		evidence := make([]byte, 300_000)
		img := r.medium(testmedia.Files{p.path("evidence.json"): evidence}, p)
		testmedia.CutInside(r.t, img, p.path("evidence.json"))
		return img, p.held(r.t, contents{"evidence.json": nil, "data/a.bin": nil, "data/b/b.bin": nil})
	}},
	{"an image of zero bytes", []verdict.Reason{verdict.Truncated}, 3, func(r *rig) (string, contents) {
		img := r.path("zero.img")
		r.must(os.WriteFile(img, nil, 0o600))
		return img, contents{}
	}},
	{"a package twice", []verdict.Reason{verdict.FileExtra}, 3, func(r *rig) (string, contents) {
		p := r.definition()
		img := r.medium(nil, p)
		return testmedia.Partitioned(r.t, "mbr", img, img), p.held(r.t, nil)
	}},
}

// replaced signs a definition's payload after one piece of its text was replaced.
func replaced(old, new string) func(*rig) (string, contents) {
	return func(r *rig) (string, contents) {
		p := r.definition().sign(r.t, manifest.PayloadType, func(body []byte) []byte {
			if !bytes.Contains(body, []byte(old)) {
				r.t.Fatalf("the payload has no %s: %s", old, body)
			}
			return bytes.Replace(body, []byte(old), []byte(new), 1)
		})
		return r.medium(nil, p), p.held(r.t, nil)
	}
}

func TestBadMediaAreHeldWithTheirBytes(t *testing.T) {
	for _, c := range badMedia {
		t.Run(strings.ReplaceAll(c.name, " ", "-"), func(t *testing.T) {
			r := newRig(t)
			img, holds := c.build(r)
			rep := r.insert(img)
			r.wants(rep, verdict.Held, c.exit, c.reasons...)
			r.nothingAdmitted()
			if holds != nil {
				r.holds(rep, holds)
			}
			for _, p := range rep.Packages {
				if p.Verdict != verdict.Held || p.Item == "" {
					t.Errorf("package %+v, want it held", p)
				}
			}
			if got := len(r.items(vault.Held)); got != len(rep.Packages) || got == 0 {
				t.Errorf("%d items are held, the report has %d packages", got, len(rep.Packages))
			}
			r.paired(rep, audit.PackageHold, audit.Held)
			// The station works on: the next good medium is accepted.
			r.seq += 10
			r.wants(r.insert(r.medium(nil, r.definition())), verdict.Accepted, 0)
		})
	}
}

// paired checks that each package of the report has an intent and an outcome.
func (r *rig) paired(rep *intake.Report, id audit.EventID, outcome audit.Outcome) {
	r.t.Helper()
	phases := map[audit.Phase]int{}
	for _, e := range r.entries(string(id)) {
		if e.Subject.Medium != rep.Medium.ID {
			continue
		}
		phases[e.Phase]++
		if e.Phase == audit.PhaseOutcome && e.Outcome != outcome {
			r.t.Errorf("%s ended as %s, want %s", id, e.Outcome, outcome)
		}
	}
	if n := len(rep.Packages); phases[audit.PhaseIntent] != n || phases[audit.PhaseOutcome] != n {
		r.t.Errorf("%s has %v for %d packages", id, phases, n)
	}
}

func TestOrderOfPackages(t *testing.T) {
	r := newRig(t)
	first := r.definition()
	img := r.medium(nil, first)
	second := r.set()
	second.Stream = first.Stream
	second.after(first, t)
	third := r.set()
	third.Stream = first.Stream
	third.after(second, t)
	fork := r.set()
	fork.Stream = first.Stream
	fork.after(first, t)
	for _, step := range []struct {
		name string
		p    *parcel
		want verdict.Verdict
		why  []verdict.Reason
	}{
		{"third before first", third, verdict.Held, []verdict.Reason{verdict.SequenceGap}},
		{"first", first, verdict.Accepted, nil},
		{"first again", first, verdict.Held, []verdict.Reason{verdict.Replayed}},
		{"third before second", third, verdict.Held, []verdict.Reason{verdict.SequenceGap}},
		{"second", second, verdict.Accepted, nil},
		{"another second", fork, verdict.Held, []verdict.Reason{verdict.Fork}},
		{"third", third, verdict.Accepted, nil},
		{"second again", second, verdict.Held, []verdict.Reason{verdict.Replayed}},
	} {
		image := img
		if step.p != first {
			image = r.medium(nil, step.p)
		}
		exit := 0
		if step.want == verdict.Held {
			exit = 3
		}
		t.Log(step.name)
		r.wants(r.insert(image), step.want, exit, step.why...)
	}
	// The order outlives a restart: it is read from the admitted items.
	r.close()
	r.open(durable.FS{})
	r.wants(r.insert(img), verdict.Held, 3, verdict.Replayed)
}

func TestMediaThatAreNotRead(t *testing.T) {
	for _, c := range []struct {
		name   string
		reason verdict.Reason
		change func(*rig)
	}{
		{"no trust bundle", verdict.TrustMissing, func(r *rig) {
			r.cfg.Policy = func() (intake.Policy, error) { return nil, verdict.New(verdict.TrustMissing, "", "") }
		}},
		{"clock before 2025", verdict.ClockUnusable, func(r *rig) {
			r.cfg.Now = func() time.Time { return time.Date(2024, 12, 31, 23, 59, 59, 0, time.UTC) }
		}},
		{"store full", verdict.StoreFull, func(r *rig) { r.cfg.Reserve = 1 << 60 }},
		{"TPM does not answer", verdict.TPMUnavailable, func(r *rig) {
			r.tpm.(*softTPM).dead = verdict.New(verdict.TPMUnavailable, "", "test")
		}},
		{"no reader", verdict.SandboxUnavailable, func(r *rig) { r.cfg.Reader.Binary = "/nonexistent" }},
	} {
		t.Run(strings.ReplaceAll(c.name, " ", "-"), func(t *testing.T) {
			r := newRig(t, c.change)
			rep := r.insert(r.medium(nil, r.definition()))
			r.wants(rep, verdict.Refused, 5, c.reason)
			r.nothingAdmitted()
			if len(r.items(vault.Held)) > 0 || len(rep.Packages) > 0 {
				t.Errorf("held are %v, packages %v", r.items(vault.Held), rep.Packages)
			}
		})
	}
}

func TestEachPackageOfAMediumIsJudgedAlone(t *testing.T) {
	r := newRig(t)
	good, bad := r.definition(), r.set()
	img := r.medium(nil, good, bad)
	testmedia.Alter(t, img, bad.path("data/a.bin"), 5)
	rep := r.insert(img)
	r.wants(rep, verdict.Held, 3, verdict.FileAltered)
	for _, p := range rep.Packages {
		want := verdict.Held
		if p.Package == good.PackageID {
			want = verdict.Accepted
		}
		if p.Verdict != want {
			t.Errorf("package %s is %s, want %s", p.Package, p.Verdict, want)
		}
	}
	if len(rep.Packages) != 2 || len(r.items(vault.Admitted)) != 1 || len(r.items(vault.Held)) != 1 {
		t.Errorf("%d packages, admitted %v, held %v", len(rep.Packages), r.items(vault.Admitted), r.items(vault.Held))
	}
}

func TestTwoVolumes(t *testing.T) {
	r := newRig(t)
	rep := r.insert(testmedia.Partitioned(t, "gpt", r.medium(nil, r.definition()), r.medium(nil, r.set())))
	r.wants(rep, verdict.Accepted, 0)
	if len(rep.Packages) != 2 || len(rep.Medium.Volumes) != 2 || rep.Medium.Table != "gpt" {
		t.Errorf("the report says %+v", rep)
	}
}

func TestLitterIsLoggedAndNeverRead(t *testing.T) {
	r := newRig(t)
	p := r.definition()
	rep := r.insert(r.medium(testmedia.Files{"System Volume Information/WPSettings.dat": []byte("x"), ".DS_Store": []byte("y")}, p))
	r.wants(rep, verdict.Accepted, 0)
	r.holds(rep, p.held(t, nil))
	if len(rep.Litter) != 2 {
		t.Errorf("litter is %q", rep.Litter)
	}
	detail := ""
	for _, e := range r.entries("medium.read") {
		detail += e.Fields["detail"]
	}
	for _, name := range []string{"System Volume Information", ".DS_Store"} {
		if !strings.Contains(detail, name) {
			t.Errorf("the log does not name %s: %q", name, detail)
		}
	}
}

func TestContentThatTheCoreRefusesChangesNothing(t *testing.T) {
	r := newRig(t)
	r.wants(r.insert(r.medium(nil, r.definition())), verdict.Accepted, 0)
	before, err := r.core.Elections(t.Context())
	r.must(err)
	bad := r.parcel(manifest.CVRExport, contents{"cvr.json": []byte(`{"CVR":[]}`)})
	rep := r.insert(r.medium(nil, bad))
	r.wants(rep, verdict.Held, 3, verdict.ContentInvalid)
	r.holds(rep, bad.held(t, nil))
	after, err := r.core.Elections(t.Context())
	r.must(err)
	if len(after) != 1 || after[0].Packages != before[0].Packages || after[0].Ballots != 0 {
		t.Errorf("the core had %+v and has %+v", before, after)
	}
	// The refused package has not taken the place of a good one in its stream.
	r.wants(r.insert(r.medium(nil, r.cvrs("1"))), verdict.Accepted, 0)
}

func TestQuarantineLimit(t *testing.T) {
	r := newRig(t, func(r *rig) { r.cfg.QuarantineMax = 250_000 })
	broken := func() (*parcel, string) {
		p := r.set()
		p.Audience = "ems-2"
		return p, r.medium(nil, p)
	}
	p, img := broken()
	rep := r.insert(img)
	r.wants(rep, verdict.Held, 3, verdict.WrongAudience)
	r.holds(rep, p.held(t, nil))
	for range 2 { // the second time after a restart
		p, img = broken()
		rep = r.insert(img)
		r.wants(rep, verdict.Held, 3, verdict.WrongAudience, verdict.OverLimit)
		r.holds(rep, contents{"manifest.dsse.json": p.seal(t)})
		r.close()
		r.open(durable.FS{})
	}
}
