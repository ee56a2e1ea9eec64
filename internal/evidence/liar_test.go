package evidence_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"sallyport/internal/audit"
	"sallyport/internal/evidence"
	"sallyport/internal/manifest"
	"sallyport/internal/strictjson"
	"sallyport/internal/tpm/attest"
	"sallyport/internal/tpm/tpmtest"
	"sallyport/internal/translog"
	"sallyport/internal/trust"
	"sallyport/internal/verdict"
)

const (
	county   = "us/maple-county"
	election = "maple-2026"
	mediumID = "7c2e2bfb0936"
)

// liar is a station whose TPM signs whatever the test writes into its log: what no
// check of signatures can find.
type liar struct {
	t                                *testing.T
	authority, source, stranger, ems *tpmtest.Soft
	root                             *trust.Root
	delivery                         trust.Delivery
	log                              *translog.Log
	rec                              *audit.Recorder
	items                            []evidence.Item
	subject                          audit.Subject
	trust                            string
}

// logKey signs checkpoints as the station's TPM would.
type logKey struct{ s *tpmtest.Soft }

func (k logKey) KeyID() string            { return "" }
func (k logKey) Public() *ecdsa.PublicKey { return &k.s.Log.PublicKey }
func (k logKey) Sign(_ context.Context, digest [32]byte) ([]byte, error) {
	return k.s.Log.Sign(rand.Reader, digest[:], crypto.SHA256)
}

// newLiar is a station that has started; its next entry is the one about a medium.
func newLiar(t *testing.T) *liar {
	t.Helper()
	l := &liar{t: t, authority: tpmtest.NewSoft(t), source: tpmtest.NewSoft(t), stranger: tpmtest.NewSoft(t), ems: tpmtest.NewSoft(t), trust: "1"}
	key, err := trust.TPMRootKey("authority", l.authority.Identity)
	must(t, err)
	l.root, err = trust.NewRoot(1, 1, "", key)
	must(t, err)
	station := func(id string, role trust.Role, s *tpmtest.Soft, kinds ...manifest.Kind) trust.Station {
		pub, err := s.Identity.Check()
		must(t, err)
		k, err := trust.SoftRootKey(id, trust.InFile, pub) // the same encoding of a key
		must(t, err)
		return trust.Station{ID: id, Name: id, Role: role, Jurisdiction: county, Kinds: kinds, Elections: []string{election},
			Keys: []trust.Key{{ID: k.ID, Alg: k.Alg, Public: k.Public, TPM: s.Identity}}}
	}
	b, err := trust.Issue(t.Context(), l.root, trust.Bundle{Version: 1, Issued: "2026-09-01T12:00:00Z", Stations: []trust.Station{
		station("source-1", trust.Source, l.source, manifest.MediaSet, manifest.CVRExport), station("ems-1", trust.EMS, l.ems),
	}}, l.authority)
	must(t, err)
	l.delivery = trust.Delivery{Rotations: []trust.Rotation{}, Bundle: b}
	dir := filepath.Join(t.TempDir(), "log")
	must(t, translog.Create(dir, "sallyport/"+county+"/ems-1", translog.Options{}))
	l.log, err = translog.Open(dir, translog.Options{Anchor: l})
	must(t, err)
	t.Cleanup(func() { l.log.Close() })
	l.start()
	l.subject = audit.Subject{Medium: mediumID, Person: "uid 0"}
	return l
}

// start is the station's start, the first or a later one.
func (l *liar) start() {
	var err error
	l.rec, err = audit.Open(l.t.Context(), l.log, logKey{l.ems}, audit.Options{})
	must(l.t, err)
	l.event(audit.StationStart, audit.Subject{}, "", "station_id", "ems-1", "role", "ems", "jurisdiction", county, "key_id", l.ems.KeyID(), "version", "v1")
}

// Anchor implements translog.Anchorer: the counter is the number of entries.
func (l *liar) Anchor(_ context.Context, note [32]byte) ([]byte, error) {
	statement, sig := l.ems.Attest(l.t, l.ems.CounterStatement(uint64(l.log.Size()), note))
	return (&attest.Anchor{V: 1, Counter: statement, CounterSig: sig}).Encode()
}

func fields(pairs []string) map[string]string {
	out := map[string]string{}
	for i := 0; i+1 < len(pairs); i += 2 {
		out[pairs[i]] = pairs[i+1]
	}
	return out
}

func (l *liar) event(id audit.EventID, s audit.Subject, o audit.Outcome, pairs ...string) {
	l.t.Helper()
	must(l.t, l.rec.Event(l.t.Context(), audit.Event{ID: id, Subject: s, Outcome: o, Fields: fields(pairs)}))
}

func (l *liar) intent(id audit.EventID, s audit.Subject, pairs ...string) audit.Intent {
	l.t.Helper()
	in, err := l.rec.Intent(l.t.Context(), audit.Event{ID: id, Subject: s, Fields: fields(pairs)})
	must(l.t, err)
	return in
}

func (l *liar) outcome(in audit.Intent, o audit.Outcome, pairs ...string) {
	l.t.Helper()
	must(l.t, in.Outcome(l.t.Context(), o, fields(pairs)))
}

// insert is the insertion and the begin of the reading.
func (l *liar) insert() audit.Intent {
	l.event(audit.MediumInserted, l.subject, "", "source", "image", "path", "stick.img", "size", "100")
	return l.intent(audit.MediumRead, l.subject)
}

// conclude is the verdict and the end of the reading.
func (l *liar) conclude(read audit.Intent, v verdict.Verdict, reasons ...string) {
	l.event(audit.MediumVerdict, l.subject, audit.Outcome(v), "reasons", strings.Join(reasons, ","), "packages", "1")
	l.outcome(read, audit.Success, "size", "100", "filesystems", "fat32", "table", "none")
}

// pack is a package on its way.
type pack struct {
	subject  audit.Subject
	item     string
	envelope []byte
	payload  *manifest.Payload
	keys     string
}

// seal seals a package of one file.
func (l *liar) seal(by *tpmtest.Soft, change func(*manifest.Payload)) *pack {
	l.t.Helper()
	sum := sha256.Sum256([]byte("hello"))
	id := hex.EncodeToString(sum[:16])
	p := &manifest.Payload{V: manifest.Version, PackageID: id, Kind: manifest.MediaSet, Jurisdiction: county, Audience: "ems-1", Stream: "s", Seq: 7,
		Created: manifest.Created{RTC: "2026-11-03T20:00:00Z", Safe: true}, TrustEpoch: 1,
		Signer: manifest.Origin{StationID: "source-1", KeyID: by.KeyID(), Role: "source"}, Totals: manifest.Totals{Files: 1, Bytes: 5},
		Files: []manifest.File{{Path: "hello.txt", Size: 5, SHA256: hex.EncodeToString(sum[:]), MediaType: "text/plain"}}}
	if change != nil {
		change(p)
	}
	envelope, err := manifest.Seal(l.t.Context(), p, by)
	must(l.t, err)
	e, err := manifest.ParseEnvelope(envelope)
	must(l.t, err)
	digest := sha256.Sum256(e.Payload)
	s := l.subject
	s.Package, s.Manifest, s.Station = id, hex.EncodeToString(digest[:]), "source-1"
	return &pack{subject: s, item: mediumID + "-" + strconv.Itoa(len(l.items)+1), envelope: envelope, payload: p, keys: by.KeyID()}
}

// verify logs how the manifest was judged: refused for reasons, or not.
func (l *liar) verify(p *pack, reasons ...string) {
	l.t.Helper()
	list := []string{"trust_version", l.trust}
	if p.subject.Manifest != "" {
		list = append(list, "kind", string(p.payload.Kind), "audience", p.payload.Audience, "election_id", p.payload.ElectionID,
			"stream", p.payload.Stream, "package_seq", strconv.FormatInt(p.payload.Seq, 10), "key_ids", p.keys)
	}
	o := audit.Success
	if len(reasons) > 0 {
		o, list = audit.Failure, append(list, "reason", strings.Join(reasons, ","))
	}
	l.event(audit.PackageVerify, p.subject, o, list...)
}

// store logs that the package was stored, with the files that the store has.
func (l *liar) store(p *pack, change func(*evidence.Listing)) {
	l.t.Helper()
	in := l.intent(audit.PackageStage, p.subject, "item", p.item)
	l.outcome(in, audit.Success, "item", p.item, "digest", l.keep(p, change))
}

// keep puts the package into the store and returns its digest.
func (l *liar) keep(p *pack, change func(*evidence.Listing)) string {
	l.t.Helper()
	record := sha256.Sum256([]byte("{}"))
	sum := sha256.Sum256(p.envelope)
	list := evidence.Listing{V: 1, Record: hex.EncodeToString(record[:]), Files: []evidence.Stored{{Name: "manifest.dsse.json", Size: int64(len(p.envelope)), SHA256: hex.EncodeToString(sum[:])}}}
	for _, f := range p.payload.Files {
		list.Files = append(list.Files, evidence.Stored{Name: "data/" + f.Path, Size: f.Size, SHA256: f.SHA256})
	}
	if change != nil {
		change(&list)
	}
	facts, err := strictjson.Encode(map[string]any{"medium": map[string]string{"id": mediumID}, "package": p.subject.Package, "digest": p.subject.Manifest})
	must(l.t, err)
	digest, err := list.Digest(p.item, facts)
	must(l.t, err)
	l.items = append(l.items, evidence.Item{ID: p.item, Facts: facts, Listing: list, Manifest: p.envelope})
	return digest
}

func (l *liar) admit(p *pack) {
	l.outcome(l.intent(audit.PackageAdmit, p.subject, "item", p.item), audit.Accepted, "item", p.item)
}

func (l *liar) hold(p *pack, reasons ...verdict.Reason) {
	var findings []verdict.Finding
	var words []string
	for _, r := range reasons {
		findings, words = append(findings, verdict.Finding{Reason: r, Where: "there"}), append(words, string(r))
	}
	l.items[len(l.items)-1].Findings = findings
	l.outcome(l.intent(audit.PackageHold, p.subject, "item", p.item, "reasons", strings.Join(words, ","), "detail", findings[0].Error()), audit.Held, "item", p.item)
}

// make makes the evidence as a station would.
func (l *liar) make() ([]byte, error) {
	l.t.Helper()
	must(l.t, l.rec.Checkpoint(l.t.Context()))
	c, note, _ := l.log.LastCheckpoint()
	anchor, _, err := l.log.LastAnchor()
	must(l.t, err)
	sel := evidence.NewSelector(mediumID)
	for e, err := range audit.Query(l.log, audit.Filter{}) {
		must(l.t, err)
		must(l.t, sel.Take(&e))
	}
	picked, err := sel.Picked()
	if err != nil {
		return nil, err
	}
	root, err := l.root.Encode()
	must(l.t, err)
	id, err := l.ems.Identity.Encode()
	must(l.t, err)
	src := &evidence.Source{Medium: mediumID, Root: root, Delivery: l.delivery, Identity: id, Checkpoint: note, Anchor: anchor, Items: l.items}
	for _, i := range picked {
		raw, err := l.log.Entry(i)
		must(l.t, err)
		proof, err := l.log.ProveEntry(c.Size, i)
		must(l.t, err)
		e := evidence.Entry{Index: i, Entry: bytes.Clone(raw.Data), Proof: []byte{}}
		for _, h := range proof {
			e.Proof = append(e.Proof, h[:]...)
		}
		src.Entries = append(src.Entries, e)
	}
	return evidence.Make(src)
}

// check makes the evidence and judges it.
func (l *liar) check() *evidence.Report {
	l.t.Helper()
	data, err := l.make()
	must(l.t, err)
	return evidence.Check(data, evidence.Options{Root: l.root})
}

func wants(t *testing.T, rep *evidence.Report, result evidence.Result, step, says string) {
	t.Helper()
	if last := rep.Steps[len(rep.Steps)-1]; rep.Result != result || step != "" && last.Name != step || !strings.Contains(rep.Why, says) {
		t.Errorf("%s in the step %s: %s\nwant %s in %q with %q", rep.Result, last.Name, rep.Why, result, step, says)
	}
}

// honest is a medium with one good package.
func honest(l *liar) *pack {
	read := l.insert()
	p := l.seal(l.source, nil)
	l.verify(p)
	l.store(p, nil)
	l.admit(p)
	l.conclude(read, verdict.Accepted)
	return p
}

func hashOf(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}
