package attacks

import (
	"context"
	"crypto/ecdsa"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"sallyport/internal/audit"
	"sallyport/internal/durable"
	"sallyport/internal/intake"
	"sallyport/internal/limit"
	"sallyport/internal/manifest"
	"sallyport/internal/reader"
	"sallyport/internal/testmedia"
	"sallyport/internal/tpm"
	"sallyport/internal/tpm/tpmtest"
	"sallyport/internal/translog"
	"sallyport/internal/trust"
	"sallyport/internal/vault"
	"sallyport/internal/verdict"
)

// readerBinary is built once by TestMain, or taken from SALLYPORT_BIN.
var readerBinary string

func TestMain(m *testing.M) {
	code, err := withReader(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func withReader(m *testing.M) (int, error) {
	if dir := os.Getenv("SALLYPORT_BIN"); dir != "" {
		readerBinary = filepath.Join(dir, "sallyport-reader")
		return m.Run(), nil
	}
	dir, err := os.MkdirTemp("", "reader")
	if err != nil {
		return 1, err
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o755); err != nil { // the reader runs as nobody
		return 1, err
	}
	readerBinary = filepath.Join(dir, "sallyport-reader")
	cmd := exec.Command("go", "build", "-o", readerBinary, "sallyport/cmd/sallyport-reader")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return 1, fmt.Errorf("cannot build the reader: %w\n%s", err, out)
	}
	return m.Run(), nil
}

// memory is a temporary folder in memory where there is one.
func memory(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "attacks")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// softTPM is what an intake and an audit log need of a TPM.
type softTPM struct{ *tpmtest.Soft }

func (s softTPM) Public() *ecdsa.PublicKey { return &s.Key.PublicKey }

func (s softTPM) Clock(context.Context) (tpm.Clock, error) {
	return tpm.Clock{Milliseconds: 1, Safe: true}, nil
}

// taker is a receiving station without an EMS core.
type taker struct {
	t      *testing.T
	intake *intake.Intake
	close  func() error
}

// newTaker makes the station ems-1, which has the office's bundle.
func newTaker(t *testing.T) *taker {
	t.Helper()
	dir, soft, trusts := memory(t), softTPM{tpmtest.NewSoft(t)}, store(t, "", bundleDocument)
	self := (&attack{}).self(t)
	must(t, translog.Create(filepath.Join(dir, "log"), "sallyport/"+county+"/ems-1", translog.Options{}))
	must(t, vault.Create(filepath.Join(dir, "vault"), durable.FS{}))
	journal, err := translog.Open(filepath.Join(dir, "log"), translog.Options{})
	must(t, err)
	rec, err := audit.Open(t.Context(), journal, soft, audit.Options{})
	must(t, err)
	const reserve = 1 << 20
	v, err := vault.Open(filepath.Join(dir, "vault"), vault.Options{Reserve: reserve})
	must(t, err)
	in, err := intake.New(t.Context(), intake.Config{
		Reader: reader.Config{Binary: readerBinary, Limits: limit.Default(), Log: zerolog.Nop()},
		Policy: func() (intake.Policy, error) { return trusts.Policy(self), nil },
		Trust: func(_ context.Context, content fs.FS) error {
			d, err := trust.ReadDelivery(content)
			if err == nil {
				_, err = trusts.Install(d)
			}
			return err
		},
		TPM: soft, Audit: rec, Journal: journal, Vault: v, Seal: rec.Checkpoint,
		QuarantineMax: 1 << 30, Store: filepath.Join(dir, "vault"), Reserve: reserve, Now: time.Now, Log: zerolog.Nop(),
	})
	must(t, err)
	return &taker{t, in, func() error { return errors.Join(v.Close(), journal.Close()) }}
}

// insert takes one medium, a folder of the suite, from a FAT image.
func (k *taker) insert(medium string) *intake.Report {
	k.t.Helper()
	img := testmedia.FATFrom(k.t, testmedia.Options{Bits: 16, SizeMiB: 12, Label: "BALLOTS"}, filepath.Join(mediaDir, medium))
	f, err := os.Open(img)
	must(k.t, err)
	defer f.Close()
	rep, err := k.intake.Run(k.t.Context(), intake.Medium{File: f, Source: "image", Name: medium, Caller: 1000})
	must(k.t, err)
	return rep
}

// judgeIntake inserts media one after another. All but the last are accepted.
func judgeIntake(t *testing.T, a *attack) error {
	k := newTaker(t)
	defer func() { must(t, k.close()) }()
	media := strings.Split(a.insert, " | ")
	for _, name := range media[:len(media)-1] {
		if rep := k.insert(name); rep.Verdict != verdict.Accepted {
			t.Fatalf("the medium %s, which comes first, is %s: %+v", name, rep.Verdict, rep)
		}
	}
	rep := k.insert(media[len(media)-1])
	if rep.Verdict == verdict.Accepted {
		return nil
	}
	all := slices.Clone(rep.Findings)
	for _, p := range rep.Packages {
		all = append(all, p.Findings...)
	}
	for _, f := range all {
		if f.Reason != all[0].Reason {
			t.Errorf("several reasons: %+v", all)
		}
	}
	if rep.Verdict != verdict.Held || len(all) == 0 {
		t.Fatalf("the verdict is %s with %d reasons", rep.Verdict, len(all))
	}
	texts := make([]string, len(all))
	for i, f := range all {
		texts[i] = f.Error()
	}
	return fmt.Errorf("%w (%s)", &all[0], strings.Join(texts, "; "))
}

// medium adds a medium with one package, and other files.
func (m *maker) medium(name string, p *manifest.Payload, k manifest.Signer, contents, more map[string][]byte) (digest string) {
	m.t.Helper()
	p.Files, p.Totals = nil, manifest.Totals{}
	for path, data := range contents {
		p.Files = append(p.Files, manifest.File{Path: path, Size: int64(len(data)), SHA256: sum(data), MediaType: "application/octet-stream"})
		p.Totals.Files++
		p.Totals.Bytes += int64(len(data))
	}
	slices.SortFunc(p.Files, func(a, b manifest.File) int { return strings.Compare(a.Path, b.Path) })
	env := m.sealed(p, k)
	below := "SALLYPORT/" + p.PackageID + "/"
	all := map[string][]byte{below + "manifest.dsse.json": env}
	for path, data := range contents {
		all[below+"data/"+path] = data
	}
	for path, data := range more {
		path = strings.Replace(path, "PACKAGE/", below, 1)
		if all[path] = data; data == nil {
			delete(all, path)
		}
	}
	for path, data := range all {
		m.out["media/"+name+"/"+path] = data
	}
	return hexDigest(digestOf(m.t, env))
}

func hexDigest(d [sha256.Size]byte) string { return hex.EncodeToString(d[:]) }

// media are whole sticks as they come to the counter.
func (m *maker) media() {
	note := map[string][]byte{"note.txt": []byte("signed")}
	// set is the n-th package of general files of the kiosk.
	set := func(n byte, prev string, changes ...func(*manifest.Payload)) *manifest.Payload {
		return m.payload(append([]func(*manifest.Payload){by("kiosk-1", trust.Kiosk, m.kiosk), general(manifest.MediaSet), func(p *manifest.Payload) {
			p.PackageID, p.Stream, p.Seq, p.PrevSHA256 = strings.Repeat(fmt.Sprintf("%02x", n), 16), "media-set.ems-1", int64(n), prev
		}}, changes...)...)
	}
	one := m.medium("set-1", set(1, ""), m.kiosk, note, nil)
	two := m.medium("set-2", set(2, one), m.kiosk, note, nil)
	m.good("intake", attack{comment: "one package after another", via: "intake", insert: "set-1 | set-2"})
	bad := func(name, comment string, want verdict.Reason, says, insert string) {
		m.add("intake-"+name, attack{comment: comment, via: "intake", expect: string(want), says: says, like: "good-intake", insert: insert})
	}
	bad("replayed", "a medium for the second time", verdict.Replayed, "accepted before", "set-1 | set-1")
	bad("replayed-later", "a medium that was accepted long ago", verdict.Replayed, "accepted before", "set-1 | set-2 | set-1")
	bad("gap", "the medium between was kept back", verdict.SequenceGap, "has not come to this station", "set-2")
	m.medium("set-3-gap", set(3, strings.Repeat("ab", 32)), m.kiosk, note, nil)
	bad("gap-later", "a package after one that never was", verdict.SequenceGap, "the last one accepted here", "set-1 | set-3-gap")
	m.medium("set-2-fork", set(2, one, func(p *manifest.Payload) { p.PackageID = strings.Repeat("f2", 16) }), m.kiosk, map[string][]byte{"note.txt": []byte("forged")}, nil)
	bad("fork", "two packages in one place: the signer was copied or put back", verdict.Fork, "in its place", "set-1 | set-2 | set-2-fork")
	m.medium("set-1-again", set(1, ""), m.kiosk, map[string][]byte{"note.txt": []byte("other")}, nil)
	bad("same-id", "another package of the same id", verdict.Fork, "same id", "set-1 | set-1-again")
	m.medium("set-2-low", set(3, two, func(p *manifest.Payload) { p.Seq = 2 }), m.kiosk, note, nil)
	bad("number-again", "a number that was given out before: the signer's counter was put back", verdict.Replayed, "sequence 2 was already accepted", "set-1 | set-2 | set-2-low")
	m.medium("set-3-replaces", set(3, two, func(p *manifest.Payload) { p.Supersedes = one }), m.kiosk, note, nil)
	bad("takes-back", "a package that takes back what was accepted", verdict.ContentInvalid, "cannot be taken back", "set-1 | set-2 | set-3-replaces")

	m.medium("altered", set(1, ""), m.kiosk, note, map[string][]byte{"PACKAGE/data/note.txt": []byte("forged")})
	bad("file-altered", "a file of the same length", verdict.FileAltered, "signed was", "altered")
	m.medium("missing", set(1, ""), m.kiosk, map[string][]byte{"a": []byte("a"), "b": []byte("b")}, map[string][]byte{"PACKAGE/data/b": nil})
	bad("file-missing", "a file was taken away", verdict.FileMissing, "data/b", "missing")
	m.medium("extra", set(1, ""), m.kiosk, note, map[string][]byte{"PACKAGE/data/more.txt": []byte("x")})
	bad("file-extra", "a file more beside the signed ones", verdict.FileExtra, "data/more.txt", "extra")
	m.medium("extra-beside", set(1, ""), m.kiosk, note, map[string][]byte{"PACKAGE/run.sh": []byte("x")})
	bad("file-beside", "a file more beside the manifest", verdict.FileExtra, "run.sh", "extra-beside")
	m.medium("extra-outside", set(1, ""), m.kiosk, note, map[string][]byte{"autorun.inf": []byte("[autorun]")})
	bad("file-outside", "a file that is to run by itself", verdict.FileExtra, "autorun.inf", "extra-outside")
	m.medium("no-manifest", set(1, ""), m.kiosk, note, map[string][]byte{"PACKAGE/manifest.dsse.json": nil})
	bad("no-manifest", "files without a manifest", verdict.NoManifest, "no manifest", "no-manifest")
	m.medium("moved", set(1, ""), m.kiosk, note, nil)
	for name, data := range m.out {
		if rest, ok := strings.CutPrefix(name, "media/moved/SALLYPORT/"+strings.Repeat("01", 16)); ok {
			delete(m.out, name)
			m.out["media/moved/SALLYPORT/"+strings.Repeat("0a", 16)+rest] = data
		}
	}
	bad("renamed", "a package in another's folder", verdict.ManifestMalformed, "lies in the folder", "moved")
	part := func(n int) func(*manifest.Payload) {
		return func(p *manifest.Payload) {
			p.Set = manifest.Set{ID: strings.Repeat("5e", 16), Part: n, Parts: 2, Root: strings.Repeat("ab", 32)}
		}
	}
	m.medium("part-1", set(1, "", part(1)), m.kiosk, note, nil)
	bad("part", "one medium of a set of two: without the other nobody knows what is missing", verdict.ContentInvalid, "part 1 of 2", "part-1")
	other := set(2, "", part(2))
	other.Set.ID = strings.Repeat("0e", 16)
	m.medium("parts-mixed", set(1, "", part(1)), m.kiosk, note, nil)
	m.medium("parts-mixed", other, m.kiosk, note, nil)
	bad("parts-mixed", "the halves of two sets on one medium", verdict.ContentInvalid, "only whole packages", "parts-mixed")
	m.attestedMedia(bad)
	m.bundleMedia(bad)
}

type badMedium func(name, comment string, want verdict.Reason, says, insert string)

// attestedMedia come from a station that must bring evidence.
func (m *maker) attestedMedia(bad badMedium) {
	set := func() *manifest.Payload {
		return m.payload(general(manifest.MediaSet), func(p *manifest.Payload) { p.Stream = "media-set.ems-1" })
	}
	note := map[string][]byte{"note.txt": []byte("votes")}
	// with gives the medium evidence of a package.
	with := func(name string, evidence func(env []byte) []byte) {
		m.medium(name, set(), m.precinct.key, note, nil)
		env := m.out["media/"+name+"/SALLYPORT/"+packageID+"/manifest.dsse.json"]
		if data := evidence(env); data != nil {
			m.out["media/"+name+"/SALLYPORT/"+packageID+"/evidence.json"] = data
		}
	}
	with("attested", func(env []byte) []byte { return m.evidence(m.precinct, booted(1), 100, env) })
	m.good("intake-attested", attack{comment: "a package with its evidence", via: "intake", insert: "attested"})
	with("evidence-missing", func([]byte) []byte { return nil })
	bad("evidence-missing", "the evidence was taken off the medium", verdict.BootStateMismatch, "is missing", "evidence-missing")
	with("evidence-mixed", func([]byte) []byte { return m.out["office/evidence.json"] })
	bad("evidence-mixed", "the evidence of another package of the same station", verdict.SignatureInvalid, "something else", "evidence-mixed")
	with("evidence-state", func(env []byte) []byte { return m.evidence(m.precinct, booted(2), 100, env) })
	bad("evidence-state", "a changed system", verdict.BootStateMismatch, "another PCR 0", "evidence-state")
}

// bundleMedia carry trust bundles, which a root key sends.
func (m *maker) bundleMedia(bad badMedium) {
	sent := func(k *chip, holder string) *manifest.Payload {
		return m.payload(by(holder, trust.Authority, k.key), general(manifest.TrustBundle), func(p *manifest.Payload) {
			p.Jurisdiction, p.Audience, p.Stream, p.TrustEpoch = "us", manifest.AudienceAll, "trust", 6
		})
	}
	bundle := func(name string, contents, more map[string][]byte) {
		m.medium(name, sent(m.authority1, "authority-1"), m.authority1.key, contents, more)
	}
	six := m.issued(version(6))
	bundle("bundle", map[string][]byte{"bundle.dsse.json": six}, nil)
	under2 := m.issuedBy(m.nextRoot(2), version(6), m.authority2.key, m.dora())
	bundle("bundle-rotated", map[string][]byte{"bundle.dsse.json": under2, "root-2.dsse.json": m.out["office/root-2.dsse.json"]}, nil)
	m.good("intake-bundle", attack{comment: "a trust bundle from the state for its counties", via: "intake", insert: "bundle"})
	m.good("intake-bundle-rotated", attack{comment: "a trust bundle under the next root, with the rotation to it", via: "intake", insert: "bundle-rotated"})
	bundle("bundle-stale", map[string][]byte{"bundle.dsse.json": m.issued(version(4))}, nil)
	bad("bundle-stale", "a bundle from before a revocation", verdict.Superseded, "had version 5 already", "bundle-stale")
	bundle("bundle-one-short", map[string][]byte{"bundle.dsse.json": m.issuedBy(m.root, version(6), m.authority1.key)}, nil)
	bad("bundle-one-short", "one holder sends what he signed alone", verdict.SignerNotPermitted, "1 of the authority's keys signed, 2 must", "bundle-one-short")
	bundle("bundle-without-root", map[string][]byte{"bundle.dsse.json": under2}, nil)
	bad("bundle-without-root", "a bundle of a root that is not here", verdict.SignerUnknown, "none of the authority's keys", "bundle-without-root")
	bundle("bundle-stray", map[string][]byte{"bundle.dsse.json": six, "notes.txt": []byte("x")}, nil)
	bad("bundle-stray", "a signed file that does not belong there", verdict.ContentInvalid, "and nothing else", "bundle-stray")
	bundle("bundle-none", map[string][]byte{"root-2.dsse.json": m.out["office/root-2.dsse.json"]}, nil)
	bad("bundle-none", "a new root without a bundle", verdict.ContentInvalid, "is missing", "bundle-none")
	bundle("bundle-swapped", map[string][]byte{"bundle.dsse.json": six}, map[string][]byte{"PACKAGE/data/bundle.dsse.json": m.issued(version(9))})
	bad("bundle-swapped", "another bundle than the one that was sent", verdict.FileAltered, "bundle.dsse.json", "bundle-swapped")
}
