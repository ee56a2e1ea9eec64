package authority_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"sallyport/internal/authority"
	"sallyport/internal/dsse"
	"sallyport/internal/durable"
	"sallyport/internal/manifest"
	"sallyport/internal/tpm/attest"
	"sallyport/internal/tpm/tpmtest"
	"sallyport/internal/trust"
	"sallyport/internal/verdict"
)

const (
	county   = "us/maple-county"
	election = "maple-county-general-2026-11-03"
)

// desk is a desk with its store and its station's TPM.
type desk struct {
	*authority.Desk
	t     *testing.T
	dir   string
	soft  *tpmtest.Soft
	store *trust.Store
}

func clock() time.Time { return time.Date(2026, 9, 1, 12, 0, 0, 0, time.UTC) }

// memory is a temporary folder in memory where there is one.
func memory(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "desk")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func newDesk(t *testing.T) *desk {
	t.Helper()
	d := &desk{t: t, dir: memory(t), soft: tpmtest.NewSoft(t)}
	must(t, trust.CreateStore(d.path("trust"), nil, durable.FS{}))
	must(t, authority.Create(d.path("desk"), durable.FS{}))
	d.open(durable.FS{})
	return d
}

func (d *desk) path(name string) string { return filepath.Join(d.dir, name) }

// open opens the desk, as every start of the station does.
func (d *desk) open(fs durable.FS) {
	d.t.Helper()
	var err error
	d.store, err = trust.OpenStore(d.path("trust"), durable.FS{})
	must(d.t, err)
	d.Desk, err = authority.Open(d.path("desk"), fs, d.store, d.soft, clock)
	must(d.t, err)
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantFinding(t testing.TB, err error, want verdict.Reason, says string) {
	t.Helper()
	f, ok := verdict.Find(err)
	if !ok || f.Reason != want || !strings.Contains(err.Error(), says) {
		t.Errorf("error %v, want %s with %q", err, want, says)
	}
}

// wantRefusal wants an error that people can put right.
func wantRefusal(t testing.TB, err error, says string) {
	t.Helper()
	var r *authority.Refusal
	if !errors.As(err, &r) || !strings.Contains(err.Error(), says) {
		t.Errorf("error %v, want a refusal with %q", err, says)
	}
}

// key is the root key of a desk's station.
func (d *desk) key(name string) trust.RootKey {
	d.t.Helper()
	k, err := trust.TPMRootKey(name, d.soft.Identity)
	must(d.t, err)
	return k
}

// alone founds an authority of one desk, whose key approves boot states or not.
func alone(t *testing.T, boot bool) *desk {
	t.Helper()
	d := newDesk(t)
	id := ""
	if boot {
		id = d.soft.KeyID()
	}
	_, err := d.Found(1, id, []trust.RootKey{d.key("authority-1")})
	must(t, err)
	return d
}

// drafts makes a draft that must be complete, and installs it.
func (d *desk) drafts(c authority.Changes) *trust.Trusted {
	d.t.Helper()
	env, complete, err := d.Draft(context.Background(), c)
	must(d.t, err)
	if !complete {
		d.t.Fatal("the draft is not complete")
	}
	tr, err := d.store.Install(trust.Delivery{Bundle: env})
	must(d.t, err)
	return tr
}

// refuses makes a draft that must fail, and leaves the last one as it was.
func (d *desk) refuses(c authority.Changes) error {
	d.t.Helper()
	was, _ := os.ReadFile(d.path("desk/draft.dsse.json"))
	_, _, err := d.Draft(context.Background(), c)
	if err == nil {
		d.t.Error("a draft was made")
	}
	if now, _ := os.ReadFile(d.path("desk/draft.dsse.json")); !bytes.Equal(now, was) {
		d.t.Error("a draft that was not made replaced the last one")
	}
	return err
}

// station is a station that asks to be enrolled.
type station struct {
	t      *testing.T
	id     string
	role   trust.Role
	soft   *tpmtest.Soft
	second *dsse.MLDSASigner
	state  byte // of its boot
}

func newStation(t *testing.T, id string, role trust.Role) *station {
	t.Helper()
	return &station{t: t, id: id, role: role, soft: tpmtest.NewSoft(t), state: 1}
}

// boundTo binds the station's signing key to a desk's boot key.
func (s *station) boundTo(d *desk) *station {
	s.t.Helper()
	s.soft.Boot = d.soft.Key
	var err error
	s.soft.Identity.BootKey, err = x509.MarshalPKIXPublicKey(&d.soft.Key.PublicKey)
	must(s.t, err)
	s.soft.Identity.SigningPublic = tpmtest.Area(s.t, s.soft.SigningTemplate(s.t), &s.soft.Key.PublicKey)
	s.soft.Certify(s.t)
	return s
}

// hybrid gives the station an ML-DSA key.
func (s *station) hybrid(n byte) *station {
	s.t.Helper()
	var err error
	s.second, err = dsse.NewMLDSASigner(bytes.Repeat([]byte{n}, 32))
	must(s.t, err)
	return s
}

func booted(n byte) (pcrs attest.PCRs) {
	for i := range pcrs {
		pcrs[i] = sha256.Sum256([]byte{n, byte(i)})
	}
	return pcrs
}

// request is what the station asks with.
func (s *station) request(change ...func(*trust.Request)) []byte {
	s.t.Helper()
	q := &trust.Request{V: 2, ID: s.id, Name: "Maple County " + s.id, Role: s.role, Jurisdiction: county,
		Maker: "IBM", Firmware: "1.2.3.4", SoftwareTPM: true, Version: "v1.0.0", TPM: s.soft.Identity}
	for _, c := range change {
		c(q)
	}
	if s.second != nil {
		said, err := trust.Possession(q.TPM)
		must(s.t, err)
		must(s.t, said.Sign(context.Background(), s.second))
		q.MLDSA, q.MLDSASig = s.second.PublicKey().SPKI(), said.Signatures[0].Sig
	}
	quoted, err := q.Quoted()
	must(s.t, err)
	q.PCRs = booted(s.state)
	q.Quote, q.QuoteSig = s.soft.Attest(s.t, s.soft.QuoteStatement(q.PCRs, quoted))
	body, err := q.Encode()
	must(s.t, err)
	return body
}

func (s *station) ek() trust.EK {
	return trust.EK{SHA256: trust.EKSHA256(s.soft.Identity.EKPublic)}
}

// asks goes from the request to the answer.
func (s *station) asks(d *desk, change ...func(*trust.Request)) []byte {
	s.t.Helper()
	return s.answers(d, s.request(change...))
}

func (s *station) answers(d *desk, request []byte) []byte {
	s.t.Helper()
	c, r, err := d.Challenge(request, s.ek())
	must(s.t, err)
	if r.ID != s.id || c.StationID != s.id {
		s.t.Errorf("the challenge is for %s and %s, not for %s", r.ID, c.StationID, s.id)
	}
	return s.answer(c)
}

func (s *station) answer(c *trust.Challenge) []byte {
	s.t.Helper()
	secret, err := s.soft.Activate(c.Credential, c.Secret)
	must(s.t, err)
	body, err := (&trust.Answer{V: 1, StationID: c.StationID, Request: c.Request, Secret: secret}).Encode()
	must(s.t, err)
	return body
}

// measures is the station's present boot state, signed by its TPM.
func (s *station) measures() []byte {
	s.t.Helper()
	m := &trust.Measurement{V: 1, StationID: s.id, KeyID: s.soft.KeyID(), Version: "v1.1.0"}
	quoted, err := m.Quoted()
	must(s.t, err)
	m.PCRs = booted(s.state)
	m.Quote, m.QuoteSig = s.soft.Attest(s.t, s.soft.QuoteStatement(m.PCRs, quoted))
	body, err := m.Encode()
	must(s.t, err)
	return body
}

// admit is the admission of the answer as an ordinary source.
func admit(answer []byte) authority.Admission {
	return authority.Admission{Answer: answer, Kinds: []manifest.Kind{manifest.CVRExport}, Elections: []string{election}}
}

func admits(list ...authority.Admission) authority.Changes { return authority.Changes{Admit: list} }

// seals judges a package of the station, with this number, under a bundle.
func (s *station) seals(tr *trust.Trusted, seq int64) error {
	s.t.Helper()
	const id = "00112233445566778899aabbccddeeff"
	digest := hex.EncodeToString(bytes.Repeat([]byte{0xab}, 32))
	p := &manifest.Payload{V: 1, PackageID: id, Kind: manifest.CVRExport, Jurisdiction: county, ElectionID: election, ElectionSHA256: digest,
		Audience: "ems-1", Stream: "cvr", Seq: seq, Created: manifest.Created{RTC: "2026-11-03T20:15:00Z"}, TrustEpoch: 1,
		Signer: manifest.Origin{StationID: s.id, KeyID: s.soft.KeyID(), Role: string(s.role)},
		Totals: manifest.Totals{Files: 1, Bytes: 5}, Files: []manifest.File{{Path: "a.json", Size: 5, SHA256: digest, MediaType: "application/json"}}}
	by := []manifest.Signer{s.soft}
	if s.second != nil {
		by = append(by, s.second)
	}
	env, err := manifest.Seal(context.Background(), p, by...)
	must(s.t, err)
	_, err = manifest.Verify(env, id, tr.Policy(nil, trust.Self{StationID: "ems-1", Jurisdiction: county, Elections: []string{election}}))
	return err
}

// entry is a station's entry in a bundle.
func entry(t testing.TB, tr *trust.Trusted, id string) trust.Station {
	t.Helper()
	list := tr.Stations()
	at := slices.IndexFunc(list, func(s trust.Station) bool { return s.ID == id })
	if at < 0 {
		t.Fatalf("station %s is not in bundle %d", id, tr.Version())
	}
	return list[at]
}

func keyOf(t testing.TB, s trust.Station, id string) trust.Key {
	t.Helper()
	at := slices.IndexFunc(s.Keys, func(k trust.Key) bool { return k.ID == id })
	if at < 0 {
		t.Fatalf("station %s has no key %.16s", s.ID, id)
	}
	return s.Keys[at]
}
