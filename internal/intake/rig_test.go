package intake_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"sallyport/internal/audit"
	"sallyport/internal/dsse"
	"sallyport/internal/durable"
	"sallyport/internal/ems"
	"sallyport/internal/intake"
	"sallyport/internal/limit"
	"sallyport/internal/manifest"
	"sallyport/internal/reader"
	"sallyport/internal/strictjson"
	"sallyport/internal/testmedia"
	"sallyport/internal/tpm"
	"sallyport/internal/tpm/tpmtest"
	"sallyport/internal/translog"
	"sallyport/internal/trust"
	"sallyport/internal/vault"
	"sallyport/internal/verdict"
)

const (
	county   = "us/maple-county"
	election = "maple-county-general-2026-11-03"
	other    = "maple-county-municipal-2025-11-04"
	origin   = "sallyport/us/maple-county/ems-1"
	epoch    = 3
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

// softTPM is what intake and the audit log need of a TPM.
type softTPM struct {
	*tpmtest.Soft
	dead error
}

func (s *softTPM) Public() *ecdsa.PublicKey { return &s.Key.PublicKey }
func (s *softTPM) Clock(context.Context) (tpm.Clock, error) {
	return tpm.Clock{Milliseconds: 1, Safe: true}, s.dead
}

// stationTPM is the TPM of the station under test, soft or real.
type stationTPM interface {
	translog.Signer
	intake.TPM
}

// rig is one EMS station around an Intake, with the keys of its neighbours.
type rig struct {
	t         testing.TB
	dir       string
	tpm       stationTPM
	authority *tpmtest.Soft
	source    *tpmtest.Soft
	stranger  *tpmtest.Soft // not in the trust bundle
	journal   *translog.Log
	core      *ems.Core
	vault     *vault.Vault
	cfg       intake.Config
	intake    *intake.Intake
	progress  func()
	seq       int64
}

// memory is a temporary folder in memory where there is one: what a disk adds
// to these tests is only time.
func memory(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "intake")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// newRig makes a station; change may alter its configuration before it starts.
func newRig(t testing.TB, change ...func(*rig)) *rig {
	t.Helper()
	r := &rig{t: t, dir: memory(t), tpm: &softTPM{Soft: tpmtest.NewSoft(t)}, authority: tpmtest.NewSoft(t), source: tpmtest.NewSoft(t), stranger: tpmtest.NewSoft(t)}
	limits := limit.Default()
	r.cfg = intake.Config{
		Reader: reader.Config{Binary: readerBinary, Limits: limits, Log: zerolog.Nop()},
		Policy: r.policy, QuarantineMax: 1 << 30, Reserve: 1 << 20, Now: time.Now, Log: zerolog.Nop(),
	}
	for _, c := range change {
		c(r)
	}
	r.must(translog.Create(r.path("log"), origin, translog.Options{}))
	r.must(ems.Create(r.path("ems.db")))
	if r.cfg.Store == "" {
		r.cfg.Store = r.path("vault")
	}
	r.must(vault.Create(r.cfg.Store, durable.FS{}))
	r.open(durable.FS{})
	t.Cleanup(r.finish)
	return r
}

func (r *rig) path(name string) string { return filepath.Join(r.dir, name) }

func (r *rig) must(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) open(fs durable.FS) {
	r.t.Helper()
	var err error
	r.journal, err = translog.Open(r.path("log"), translog.Options{})
	r.must(err)
	r.cfg.Journal = r.journal
	r.cfg.Audit, err = audit.Open(context.Background(), r.journal, r.tpm, audit.Options{})
	r.must(err)
	r.vault, err = vault.Open(r.cfg.Store, vault.Options{Reserve: r.cfg.Reserve, FS: fs})
	r.must(err)
	r.core, err = ems.Open(r.path("ems.db"))
	r.must(err)
	r.cfg.TPM, r.cfg.Vault, r.cfg.Core, r.cfg.Seal = r.tpm, r.vault, r.core, r.cfg.Audit.Checkpoint
	r.intake, err = intake.New(context.Background(), r.cfg)
	r.must(err)
}

func (r *rig) close() {
	r.t.Helper()
	r.must(errors.Join(r.core.Close(), r.vault.Close(), r.journal.Close()))
}

// finish checks what must hold whatever came in: an intact log in which every
// action has its outcome and every medium its verdict, and whole items.
func (r *rig) finish() {
	r.t.Helper()
	for _, s := range []vault.State{vault.Held, vault.Admitted} {
		for _, id := range r.items(s) {
			item, err := r.vault.Get(id)
			r.must(err)
			r.must(item.Verify())
			r.must(item.Close())
		}
	}
	inserted, verdicts := map[string]int{}, map[string]int{}
	for _, e := range r.entries("medium") {
		switch e.Event {
		case audit.MediumInserted:
			inserted[e.Subject.Medium]++
		case audit.MediumVerdict:
			verdicts[e.Subject.Medium]++
		}
	}
	for id, n := range inserted {
		if n != 1 || verdicts[id] != 1 {
			r.t.Errorf("medium %s was inserted %d times and has %d verdicts", id, n, verdicts[id])
		}
	}
	r.close()
	rep, err := audit.Verify(context.Background(), r.path("log"), translog.VerifyOptions{Keys: []*ecdsa.PublicKey{r.tpm.Public()}, Origin: origin})
	r.must(err)
	if !rep.OK() || len(rep.Open) > 0 || len(rep.Torn) > 0 {
		r.t.Errorf("log: damage %v, open intents %v, torn %v", rep.Damage, rep.Open, rep.Torn)
	}
}

func (r *rig) items(s vault.State) []string {
	r.t.Helper()
	ids, err := r.vault.List(s)
	r.must(err)
	return ids
}

// entries returns the log's entries of one event or family.
func (r *rig) entries(event string) (all []audit.Entry) {
	r.t.Helper()
	for e, err := range audit.Query(r.journal, audit.Filter{Event: event}) {
		r.must(err)
		all = append(all, e)
	}
	return all
}

// policy is the real one, of a bundle that the authority signed.
func (r *rig) policy() (intake.Policy, error) {
	holder, err := trust.TPMRootKey("authority", r.authority.Identity)
	if err != nil {
		return nil, err
	}
	root, err := trust.NewRoot(1, 1, "", holder)
	if err != nil {
		return nil, err
	}
	req := &trust.Request{V: 2, ID: "precinct-1", Name: "Precinct 1", Role: trust.Source, Jurisdiction: "us", SoftwareTPM: true, TPM: r.source.Identity}
	st, err := req.Station([]manifest.Kind{manifest.ElectionDefinition, manifest.CVRExport, manifest.MediaSet}, []string{election, other}, "")
	if err != nil {
		return nil, err
	}
	env, err := trust.Issue(context.Background(), root, trust.Bundle{Version: epoch, Issued: "2026-09-01T12:00:00Z", Stations: []trust.Station{st}}, r.authority)
	if err != nil {
		return nil, err
	}
	trusted, err := trust.Open(env, root)
	if err != nil {
		return nil, err
	}
	return trusted.Policy(root, trust.Self{StationID: "ems-1", Jurisdiction: county, Elections: []string{election}}), nil
}

// parcel is a package that is not sealed yet.
type parcel struct {
	manifest.Payload
	contents map[string][]byte // by path below data/
	signer   *tpmtest.Soft
	envelope []byte // set by seal
}

func small(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("..", "..", "testdata", "elections", "small", name))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// parcel makes the next package of the source's stream, in its order.
func (r *rig) parcel(kind manifest.Kind, contents map[string][]byte) *parcel {
	id := make([]byte, 16)
	rand.Read(id)
	r.seq++
	p := &parcel{contents: contents, signer: r.source, Payload: manifest.Payload{
		V: manifest.Version, PackageID: hex.EncodeToString(id), Kind: kind, Jurisdiction: county, ElectionID: election,
		Audience: "ems-1", Stream: string(kind) + ".ems-1", Seq: r.seq, TrustEpoch: epoch,
		Created: manifest.Created{RTC: "2026-11-03T20:15:00Z", Clock: 1, Safe: true},
		Signer:  manifest.Origin{StationID: "precinct-1", KeyID: r.source.KeyID(), Role: "source"},
	}}
	for path, data := range contents {
		sum := sha256.Sum256(data)
		p.Files = append(p.Files, manifest.File{Path: path, Size: int64(len(data)), SHA256: hex.EncodeToString(sum[:]), MediaType: "application/json"})
		p.Totals.Files++
		p.Totals.Bytes += int64(len(data))
	}
	slices.SortFunc(p.Files, func(a, b manifest.File) int { return strings.Compare(a.Path, b.Path) })
	definition := sha256.Sum256(small(r.t, "definition.json"))
	p.ElectionSHA256 = hex.EncodeToString(definition[:])
	return p
}

func (r *rig) definition() *parcel {
	return r.parcel(manifest.ElectionDefinition, map[string][]byte{"definition.json": small(r.t, "definition.json")})
}

func (r *rig) cvrs(precincts ...string) *parcel {
	contents := map[string][]byte{}
	for _, n := range precincts {
		contents["cvr-precinct-"+n+".json"] = small(r.t, "cvr-precinct-"+n+".json")
	}
	return r.parcel(manifest.CVRExport, contents)
}

// set is a package of two general files of several clusters each.
func (r *rig) set() *parcel {
	a, b := make([]byte, 100_000), make([]byte, 90_000)
	rand.Read(a)
	rand.Read(b)
	return r.parcel(manifest.MediaSet, map[string][]byte{"a.bin": a, "b/b.bin": b})
}

// after puts the package behind another one in its stream.
func (p *parcel) after(prev *parcel, t testing.TB) *parcel {
	p.PrevSHA256 = hex.EncodeToString(prev.digest(t))
	return p
}

func (p *parcel) digest(t testing.TB) []byte {
	t.Helper()
	e, err := manifest.ParseEnvelope(p.seal(t))
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(e.Payload)
	return sum[:]
}

// seal signs the payload, once; one that breaks the rules has to be given to sign.
func (p *parcel) seal(t testing.TB) []byte {
	t.Helper()
	if p.envelope == nil {
		env, err := manifest.Seal(context.Background(), &p.Payload, p.signer)
		if err != nil {
			t.Fatal(err)
		}
		p.envelope = env
	}
	return p.envelope
}

// sign seals the payload after a change of its bytes, whatever they are then.
func (p *parcel) sign(t testing.TB, payloadType string, change func([]byte) []byte) *parcel {
	t.Helper()
	body, err := strictjson.Encode(&p.Payload)
	if err != nil {
		t.Fatal(err)
	}
	e := dsse.Envelope{Payload: change(body), PayloadType: payloadType}
	if err := e.Sign(context.Background(), p.signer); err != nil {
		t.Fatal(err)
	}
	if p.envelope, err = e.Encode(); err != nil {
		t.Fatal(err)
	}
	return p
}

func (p *parcel) path(name string) string { return "SALLYPORT/" + p.PackageID + "/" + name }

// files is the package as it lies on a medium.
func (p *parcel) files(t testing.TB) testmedia.Files {
	t.Helper()
	out := testmedia.Files{p.path("manifest.dsse.json"): p.seal(t)}
	for path, data := range p.contents {
		out[p.path("data/"+path)] = data
	}
	return out
}

// medium writes packages and further files to a FAT image.
func (r *rig) medium(more testmedia.Files, parcels ...*parcel) string {
	r.t.Helper()
	all := testmedia.Files{}
	for _, p := range parcels {
		for name, data := range p.files(r.t) {
			all[name] = data
		}
	}
	for name, data := range more {
		if data == nil && !strings.HasSuffix(name, "/") {
			delete(all, name)
			continue
		}
		all[name] = data
	}
	size := 8
	for _, data := range all {
		size += len(data) >> 20
	}
	return testmedia.FAT(r.t, testmedia.Options{Bits: 16, SizeMiB: size * 5 / 4, Label: "BALLOTS"}, all)
}

// insert runs one image through the intake; an error is fatal.
func (r *rig) insert(img string) *intake.Report {
	r.t.Helper()
	rep, err := r.tryInsert(context.Background(), img)
	r.must(err)
	return rep
}

func (r *rig) tryInsert(ctx context.Context, img string) (*intake.Report, error) {
	r.t.Helper()
	f, err := os.Open(img)
	r.must(err)
	defer f.Close()
	return r.intake.Run(ctx, intake.Medium{File: f, Source: "image", Name: filepath.Base(img), Caller: 1000, Progress: func(phase string, _, _ int64) {
		if r.progress != nil && phase == intake.Reading {
			r.progress()
		}
	}})
}

// reasons lists the reasons of a report, each once, sorted.
func reasons(rep *intake.Report) []verdict.Reason {
	var out []verdict.Reason
	add := func(list []verdict.Finding) {
		for _, f := range list {
			if !slices.Contains(out, f.Reason) {
				out = append(out, f.Reason)
			}
		}
	}
	add(rep.Findings)
	for _, p := range rep.Packages {
		add(p.Findings)
	}
	slices.Sort(out)
	return out
}

// wants compares verdict, exit status and the exact reasons.
func (r *rig) wants(rep *intake.Report, v verdict.Verdict, exit int, want ...verdict.Reason) {
	r.t.Helper()
	slices.Sort(want)
	if rep.Verdict != v || rep.ExitCode() != exit || !slices.Equal(reasons(rep), want) {
		r.t.Errorf("verdict %s, exit %d, reasons %v; want %s, %d, %v\n%+v", rep.Verdict, rep.ExitCode(), reasons(rep), v, exit, want, rep)
	}
	e := r.entries("medium.verdict")
	if last := e[len(e)-1]; last.Outcome != audit.Outcome(v) || last.Seq != rep.Entry {
		r.t.Errorf("the log's last verdict is %s (entry %d), the report says entry %d", last.Outcome, last.Seq, rep.Entry)
	}
	// A report is a witness of the log just when it says that it is sealed.
	if !rep.Sealed {
		if rep.Checkpoint != "" {
			r.t.Errorf("a verdict that is not sealed carries the checkpoint %q", rep.Checkpoint)
		}
		return
	}
	keys, err := translog.NewKeys(origin, r.tpm.Public())
	r.must(err)
	if c, err := keys.Open([]byte(rep.Checkpoint)); err != nil || c.Size <= rep.Entry {
		r.t.Errorf("the checkpoint over %d entries does not seal entry %d: %v", c.Size, rep.Entry, err)
	}
}

// nothingAdmitted checks that store and EMS core are as before.
func (r *rig) nothingAdmitted() {
	r.t.Helper()
	if ids := r.items(vault.Admitted); len(ids) > 0 {
		r.t.Errorf("admitted are %v", ids)
	}
	list, err := r.core.Elections(context.Background())
	r.must(err)
	if len(list) > 0 {
		r.t.Errorf("the EMS core has %+v", list)
	}
}

// stored returns the contents of one item by name, read from the pack itself.
func (r *rig) stored(id string) map[string][]byte {
	r.t.Helper()
	item, err := r.vault.Get(id)
	r.must(err)
	defer item.Close()
	files, err := item.Files()
	r.must(err)
	pack, err := os.ReadFile(filepath.Join(r.cfg.Store, string(item.State()), id, "pack"))
	r.must(err)
	out := map[string][]byte{}
	for _, f := range files {
		out[f.Name] = pack[f.Off : f.Off+f.Size]
	}
	return out
}

// holds checks that the items of the report hold exactly these contents. A nil
// content stands for a file of which any beginning may be there.
func (r *rig) holds(rep *intake.Report, want map[string][]byte) {
	r.t.Helper()
	got := map[string][]byte{}
	for _, p := range rep.Packages {
		if p.Item != "" {
			maps.Copy(got, r.stored(p.Item))
		}
	}
	for name, data := range want {
		have, ok := got[name]
		if !ok || (data != nil && !bytes.Equal(have, data)) {
			r.t.Errorf("held %q: %d bytes, there: %v, want the %d bytes of the medium", name, len(have), ok, len(data))
		}
		delete(got, name)
	}
	for name := range got {
		r.t.Errorf("%q is held and was not expected", name)
	}
}
