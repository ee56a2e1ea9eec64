package trust_test

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"sallyport/internal/dsse"
	"sallyport/internal/manifest"
	"sallyport/internal/tpm"
	"sallyport/internal/tpm/attest"
	"sallyport/internal/tpm/tpmtest"
	"sallyport/internal/trust"
	"sallyport/internal/verdict"

	"github.com/google/go-tpm/tpm2"
)

// Every element of a request is put in the place of another station's, one at a
// time. What an attacker can change without a key he changes and leaves the
// rest; then he signs again with each key that he may have.
func TestEveryElementSubstituted(t *testing.T) {
	other := tpmtest.NewBoundSoft(t)
	second, otherSecond := mldsa(t, 1), mldsa(t, 2)
	id := func(change func(id *attest.Identity)) func(*testing.T, *trust.Request) {
		return func(_ *testing.T, q *trust.Request) { change(&q.TPM) }
	}
	const (
		asItIs    = iota // nothing is signed again
		quoted           // by the station's attestation key
		certified        // and the identity too, with all its certificates
	)
	for name, c := range map[string]struct {
		change func(*testing.T, *trust.Request)
		again  int
		want   verdict.Reason
		says   string
	}{
		"endorsement key":         {id(func(id *attest.Identity) { id.EKPublic = other.Identity.EKPublic }), asItIs, verdict.ManifestMalformed, "signing_certify: the statement was made for something else"},
		"endorsement key, quoted": {id(func(id *attest.Identity) { id.EKPublic = other.Identity.EKPublic }), quoted, verdict.ManifestMalformed, "something else"},
		"attestation key":         {id(func(id *attest.Identity) { id.AKPublic = other.Identity.AKPublic }), asItIs, verdict.ManifestMalformed, "signature"},
		"attestation key, quoted": {id(func(id *attest.Identity) { id.AKPublic = other.Identity.AKPublic }), quoted, verdict.ManifestMalformed, "signature"},
		"signing key":             {id(func(id *attest.Identity) { id.SigningPublic = other.Identity.SigningPublic }), asItIs, verdict.ManifestMalformed, "the signing key does not have"},
		"signing key and boot key": {id(func(id *attest.Identity) {
			id.SigningPublic, id.BootKey = other.Identity.SigningPublic, other.Identity.BootKey
		}), asItIs, verdict.ManifestMalformed, "key_id"},
		"signing key, all of it": {id(func(id *attest.Identity) {
			id.SigningPublic, id.BootKey, id.KeyID = other.Identity.SigningPublic, other.Identity.BootKey, other.Identity.KeyID
		}), quoted, verdict.ManifestMalformed, "something else"},
		"boot key":     {id(func(id *attest.Identity) { id.BootKey = other.Identity.BootKey }), certified, verdict.ManifestMalformed, "the signing key does not have"},
		"key id":       {id(func(id *attest.Identity) { id.KeyID = other.Identity.KeyID }), certified, verdict.ManifestMalformed, "key_id"},
		"log key":      {id(func(id *attest.Identity) { id.LogPublic = other.Identity.LogPublic }), quoted, verdict.ManifestMalformed, "something else"},
		"storage root": {id(func(id *attest.Identity) { id.SRKPublic = other.Identity.SRKPublic }), quoted, verdict.ManifestMalformed, "something else"},
		"counter": {id(func(id *attest.Identity) {
			id.Counter++
			id.CounterPublic = tpm2.Marshal(attest.CounterTemplate(id.Counter, true))
		}), quoted, verdict.ManifestMalformed, "something else"},
		"counter's index":     {id(func(id *attest.Identity) { id.Counter++ }), certified, verdict.ManifestMalformed, "public area names"},
		"counter's beginning": {id(func(id *attest.Identity) { id.CounterStart = 1000 }), quoted, verdict.ManifestMalformed, "something else"},
		"creation data":       {id(func(id *attest.Identity) { id.SigningCreation = other.Identity.SigningCreation }), quoted, verdict.ManifestMalformed, "another creation"},
		"signing certificate": {id(func(id *attest.Identity) {
			id.SigningCertify, id.SigningCertifySig = other.Identity.SigningCertify, other.Identity.SigningCertifySig
		}), quoted, verdict.ManifestMalformed, "signing_certify"},
		"signing certificate's seal": {id(func(id *attest.Identity) { id.SigningCertifySig = other.Identity.SigningCertifySig }), quoted, verdict.ManifestMalformed, "signing_certify"},
		"log certificate": {id(func(id *attest.Identity) {
			id.LogCertify, id.LogCertifySig = other.Identity.LogCertify, other.Identity.LogCertifySig
		}), quoted, verdict.ManifestMalformed, "log_certify"},
		"the whole identity":         {id(func(id *attest.Identity) { *id = other.Identity }), asItIs, verdict.SignatureInvalid, "quote: cannot accept the attestation key's signature"},
		"the whole identity, quoted": {id(func(id *attest.Identity) { *id = other.Identity }), quoted, verdict.SignatureInvalid, "quote: cannot accept the attestation key's signature"},
		"id":                         {func(_ *testing.T, q *trust.Request) { q.ID = "source-2" }, asItIs, verdict.SignatureInvalid, "something else"},
		"name":                       {func(_ *testing.T, q *trust.Request) { q.Name = "Oak County" }, asItIs, verdict.SignatureInvalid, "something else"},
		"role":                       {func(_ *testing.T, q *trust.Request) { q.Role = trust.EMS }, asItIs, verdict.SignatureInvalid, "something else"},
		"jurisdiction":               {func(_ *testing.T, q *trust.Request) { q.Jurisdiction = state }, asItIs, verdict.SignatureInvalid, "something else"},
		"maker":                      {func(_ *testing.T, q *trust.Request) { q.Maker = "IFX" }, asItIs, verdict.SignatureInvalid, "something else"},
		"firmware":                   {func(_ *testing.T, q *trust.Request) { q.Firmware = "9.9.9.9" }, asItIs, verdict.SignatureInvalid, "something else"},
		"software TPM":               {func(_ *testing.T, q *trust.Request) { q.SoftwareTPM = false }, asItIs, verdict.SignatureInvalid, "something else"},
		"version":                    {func(_ *testing.T, q *trust.Request) { q.Version = "v9" }, asItIs, verdict.SignatureInvalid, "something else"},
		"endorsement certificate":    {func(_ *testing.T, q *trust.Request) { q.EKCertificate = []byte{0x30, 0} }, asItIs, verdict.SignatureInvalid, "something else"},
		"PCRs":                       {func(_ *testing.T, q *trust.Request) { q.PCRs[7] = booted(9)[7] }, asItIs, verdict.SignatureInvalid, "other PCR values"},
		"quote":                      {func(t *testing.T, q *trust.Request) { q.Quote, q.QuoteSig = quoteOf(t, other, [32]byte{1}) }, asItIs, verdict.SignatureInvalid, "attestation key's signature"},
		"quote's signature":          {func(t *testing.T, q *trust.Request) { _, q.QuoteSig = quoteOf(t, other, [32]byte{1}) }, asItIs, verdict.SignatureInvalid, "attestation key's signature"},
		"ML-DSA key":                 {func(_ *testing.T, q *trust.Request) { q.MLDSA = otherSecond.PublicKey().SPKI() }, quoted, verdict.SignatureInvalid, "ml_dsa_sig"},
		"ML-DSA signature":           {func(t *testing.T, q *trust.Request) { q.MLDSASig = q.MLDSASig[:len(q.MLDSASig)-1] }, quoted, verdict.SignatureInvalid, "ml_dsa_sig"},
		"ML-DSA key and signature":   {func(t *testing.T, q *trust.Request) { possession(t, q, otherSecond) }, asItIs, verdict.SignatureInvalid, "something else"},
		"ML-DSA signature of another": {func(t *testing.T, q *trust.Request) {
			p := *q
			p.TPM = other.Identity
			possession(t, &p, second)
			q.MLDSASig = p.MLDSASig
		}, quoted, verdict.SignatureInvalid, "ml_dsa_sig"},
		"ML-DSA key taken away":        {func(_ *testing.T, q *trust.Request) { q.MLDSA, q.MLDSASig = nil, nil }, asItIs, verdict.SignatureInvalid, "something else"},
		"format":                       {func(_ *testing.T, q *trust.Request) { q.V = 3 }, quoted, verdict.ManifestMalformed, "reads only 2"},
		"format of the identity":       {id(func(id *attest.Identity) { id.V = 1 }), certified, verdict.ManifestMalformed, "version 1"},
		"nothing, but everything anew": {func(*testing.T, *trust.Request) {}, certified, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			soft := tpmtest.NewSoft(t)
			q := request(t, trust.Source, soft, second)
			if _, err := trust.DecodeRequest(mustEncode(t, q)); err != nil {
				t.Fatal(err)
			}
			c.change(t, q)
			if c.again >= certified {
				soft.Identity = q.TPM
				soft.Certify(t)
				q.TPM = soft.Identity
				if _, err := q.TPM.Check(); err == nil {
					possession(t, q, second)
				}
			}
			if c.again >= quoted {
				quote(t, q, soft)
			}
			body := mustJSON(t, q)
			_, err := trust.DecodeRequest(body)
			if c.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			wantFinding(t, err, c.want, c.says)
			// Nothing goes on with it.
			if _, _, err := trust.NewChallenge(body, trust.EK{SHA256: trust.EKSHA256(q.TPM.EKPublic)}); err == nil {
				t.Error("it was challenged")
			}
			if _, err := q.Encode(); err == nil {
				t.Error("it was encoded")
			}
		})
	}
}

func quoteOf(t testing.TB, s *tpmtest.Soft, about [32]byte) (statement, sig []byte) {
	t.Helper()
	return s.Attest(t, s.QuoteStatement(booted(1), about))
}

// The endorsement key is known by a certificate or by comparison, never by the
// request's own word.
func TestWhereTheEndorsementKeyComesFrom(t *testing.T) {
	soft := tpmtest.NewSoft(t)
	body := mustEncode(t, request(t, trust.Source, soft, nil))
	want := trust.EKSHA256(soft.Identity.EKPublic)
	c, p, err := trust.NewChallenge(body, trust.EK{SHA256: strings.ToUpper(want[:30]) + " " + want[30:] + "\n"})
	if err != nil || p.Proof != trust.ByComparison || c.StationID != "source-1" {
		t.Errorf("challenge %+v, proof %v, %v", c, p, err)
	}
	_, _, err = trust.NewChallenge(body, trust.EK{})
	wantFinding(t, err, verdict.SignerUnknown, "the TPM holds none")
	_, _, err = trust.NewChallenge(body, trust.EK{SHA256: trust.EKSHA256(tpmtest.NewSoft(t).Identity.EKPublic)})
	wantFinding(t, err, verdict.SignerUnknown, "the machine's was given as")
	q := request(t, trust.Source, soft, nil)
	q.EKCertificate = []byte{0x30, 0}
	quote(t, q, soft)
	_, _, err = trust.NewChallenge(mustEncode(t, q), trust.EK{})
	wantFinding(t, err, verdict.SignerUnknown, "ek_certificate")
}

// An answer counts for one request and one challenge.
func TestAnswers(t *testing.T) {
	soft, other := tpmtest.NewSoft(t), tpmtest.NewSoft(t)
	body := mustEncode(t, request(t, trust.Source, soft, nil))
	ek := trust.EK{SHA256: trust.EKSHA256(soft.Identity.EKPublic)}
	c, p, err := trust.NewChallenge(body, ek)
	if err != nil {
		t.Fatal(err)
	}
	opened, err := soft.Activate(c.Credential, c.Secret)
	if err != nil {
		t.Fatal(err)
	}
	good := trust.Answer{V: 1, StationID: "source-1", Request: sum(body), Secret: opened}
	kept, err := trust.DecodePending(mustEncode(t, p))
	if err != nil {
		t.Fatal(err)
	}
	if r, err := kept.Admit(&good); err != nil || r.TPM.KeyID != soft.KeyID() {
		t.Errorf("Admit = %v, %v", r, err)
	}
	for name, x := range map[string]struct {
		change func(*trust.Answer)
		want   verdict.Reason
		says   string
	}{
		"another secret":  {func(a *trust.Answer) { a.Secret = make([]byte, 32) }, verdict.SignatureInvalid, "does not hold the secret"},
		"no secret":       {func(a *trust.Answer) { a.Secret = nil }, verdict.SignatureInvalid, "does not hold the secret"},
		"another request": {func(a *trust.Answer) { a.Request = strings.Repeat("0", 64) }, verdict.SignerUnknown, "it answers for"},
		"another station": {func(a *trust.Answer) { a.StationID = "source-2" }, verdict.SignerUnknown, "it answers for"},
	} {
		a := good
		x.change(&a)
		_, err := kept.Admit(&a)
		t.Run(name, func(t *testing.T) { wantFinding(t, err, x.want, x.says) })
	}
	// Each challenge has a secret of its own.
	c2, p2, err := trust.NewChallenge(body, ek)
	if err != nil || bytes.Equal(c2.Credential, c.Credential) || p2.SecretSHA256 == p.SecretSHA256 {
		t.Errorf("two challenges are alike, %v", err)
	}
	_, err = p2.Admit(&good)
	wantFinding(t, err, verdict.SignatureInvalid, "does not hold the secret")
	// What was kept is checked again: a request that somebody changed on disk.
	bad := *p
	bad.Request = replace(t, body, `"role":"source"`, `"role":"ems"`)
	_, err = bad.Admit(&good)
	wantFinding(t, err, verdict.SignatureInvalid, "something else")
	// An attestation key that claims another TPM's endorsement key gets a challenge
	// that neither can read: not its own TPM, nor the one that it claims.
	thief := tpmtest.NewSoft(t)
	thief.Identity.EKPublic = soft.Identity.EKPublic
	thief.Certify(t)
	c3, _, err := trust.NewChallenge(mustEncode(t, request(t, trust.Source, thief, nil)), ek)
	if err != nil {
		t.Fatal(err)
	}
	for name, s := range map[string]*tpmtest.Soft{"the thief": thief, "whom he robbed": soft} {
		if _, err := s.Activate(c3.Credential, c3.Secret); err == nil {
			t.Errorf("%s opened the challenge", name)
		}
	}
	// Another TPM's endorsement key cannot read it.
	if _, err := other.Activate(c.Credential, c.Secret); err == nil {
		t.Error("another endorsement key read the secret")
	}
}

// Two real TPMs ask; each opens its own challenge and neither the other's. Then
// the one seals what the other accepts.
func TestEnrolmentOfRealTPMs(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	type station struct {
		tp   *tpm.TPM
		id   tpm.Identity
		body []byte
		c    *trust.Challenge
		p    *trust.Pending
	}
	asks := func(role trust.Role) *station {
		tp, id := realTPM(ctx, t)
		r := &trust.Request{V: 2, ID: string(role) + "-1", Name: "Elm County", Role: role, Jurisdiction: county, Maker: tp.Info().Manufacturer,
			Firmware: tp.Info().Firmware, SoftwareTPM: tp.Info().Software, Version: "v1.0.0", TPM: id}
		possession(t, r, mldsa(t, role[0]))
		quoted, err := r.Quoted()
		if err != nil {
			t.Fatal(err)
		}
		if r.Quote, r.QuoteSig, r.PCRs, err = tp.Quote(ctx, quoted); err != nil {
			t.Fatal(err)
		}
		s := &station{tp: tp, id: id, body: mustEncode(t, r)}
		if s.c, s.p, err = trust.NewChallenge(s.body, trust.EK{SHA256: trust.EKSHA256(id.EKPublic)}); err != nil {
			t.Fatal(err)
		}
		return s
	}
	authority, authorityID := realTPM(ctx, t)
	source, ems1 := asks(trust.Source), asks(trust.EMS)
	var entries []trust.Station
	for _, x := range []struct {
		own, other *station
		kinds      []manifest.Kind
	}{{source, ems1, []manifest.Kind{manifest.CVRExport}}, {ems1, source, nil}} {
		sent, err := trust.DecodeChallenge(mustEncode(t, x.own.c))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := x.other.tp.ActivateCredential(ctx, sent.Credential, sent.Secret); !errors.Is(err, tpm.ErrCredential) {
			t.Errorf("another TPM opened the challenge: %v", err)
		}
		secret, err := x.own.tp.ActivateCredential(ctx, sent.Credential, sent.Secret)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := trust.DecodeAnswer(mustEncode(t, &trust.Answer{V: 1, StationID: sent.StationID, Request: sent.Request, Secret: secret}))
		if err != nil {
			t.Fatal(err)
		}
		_, err = x.other.p.Admit(answer)
		wantFinding(t, err, verdict.SignerUnknown, "it answers for")
		r, err := x.own.p.Admit(answer)
		if err != nil {
			t.Fatal(err)
		}
		entry, err := r.Station(x.kinds, []string{election}, x.own.p.Proof)
		if err != nil {
			t.Fatal(err)
		}
		entry.Attested, entry.Boot = true, []trust.BootState{trust.NewBootState("as enrolled", r.PCRs)}
		entries = append(entries, entry)
	}
	key, err := trust.TPMRootKey("authority-1", authorityID)
	if err != nil {
		t.Fatal(err)
	}
	root, err := trust.NewRoot(1, 1, "", key)
	if err != nil {
		t.Fatal(err)
	}
	env, err := trust.Issue(ctx, root, trust.Bundle{Version: 3, Issued: "2026-09-01T12:00:00Z", Hybrid: []manifest.Kind{manifest.CVRExport}, Stations: entries}, authority)
	if err != nil {
		t.Fatal(err)
	}
	trusted, err := trust.Open(env, root)
	if err != nil {
		t.Fatal(err)
	}
	seq, err := source.tp.CounterIncrement(ctx)
	if err != nil {
		t.Fatal(err)
	}
	p := common(&office{stations: map[trust.Role]*tpmtest.Soft{trust.Source: {Identity: source.id}}}, trust.Source)
	p.Seq = int64(seq)
	pkg, err := manifest.Seal(ctx, p, source.tp, mldsa(t, trust.Source[0]))
	if err != nil {
		t.Fatal(err)
	}
	pol := trusted.Policy(root, ems())
	v, err := manifest.Verify(pkg, folder, pol)
	if err != nil {
		t.Fatal(err)
	}
	ev := &trust.Evidence{V: 1}
	if ev.Quote, ev.QuoteSig, ev.PCRs, err = source.tp.Quote(ctx, v.Digest()); err != nil {
		t.Fatal(err)
	}
	if ev.Counter, ev.CounterSig, err = source.tp.CounterCertify(ctx, v.Digest()); err != nil {
		t.Fatal(err)
	}
	if err := judged(pol, v, mustEncode(t, ev)); err != nil {
		t.Error(err)
	}
	// The other TPM can quote the very same state, and is not this one.
	if ev.Quote, ev.QuoteSig, ev.PCRs, err = ems1.tp.Quote(ctx, v.Digest()); err != nil {
		t.Fatal(err)
	}
	wantFinding(t, judged(pol, v, mustEncode(t, ev)), verdict.SignatureInvalid, "quote")
}

// realTPM is a fresh swtpm with a loaded identity.
func realTPM(ctx context.Context, t testing.TB) (*tpm.TPM, tpm.Identity) {
	t.Helper()
	addr, _ := tpmtest.Start(t)
	tp, err := tpm.Open(ctx, addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tp.Close() })
	id, err := tp.CreateIdentity(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := tp.LoadIdentity(ctx, id); err != nil {
		t.Fatal(err)
	}
	return tp, id
}

// A hand-over names two keys of one station, and is not made otherwise.
func TestHandover(t *testing.T) {
	o := newOffice(t, 1, 1)
	old, next := o.stations[trust.Source], tpmtest.NewSoft(t)
	q := request(t, trust.Source, next, o.second[trust.Kiosk])
	body := mustEncode(t, q)
	entry := o.bundle.Stations[slices.IndexFunc(o.bundle.Stations, func(s trust.Station) bool { return s.Role == trust.Source })]
	added, err := q.Station(nil, nil, trust.ByComparison)
	if err != nil {
		t.Fatal(err)
	}
	env, err := trust.NewHandover(t.Context(), body, 100, "source-1", old)
	if err != nil {
		t.Fatal(err)
	}
	after, err := entry.Accept(env, q, added.Keys)
	if err != nil {
		t.Fatal(err)
	}
	if first(&entry).RevokedAfterSeq != nil || len(entry.Keys) != 2 {
		t.Error("the station that was is not as it was")
	}
	b := o.bundle
	b.Stations = []trust.Station{after}
	tr := o.opened(t, b)
	for _, s := range tr.Stations() {
		if len(s.Keys) != 4 {
			t.Errorf("%d keys, want two old and two new", len(s.Keys))
		}
	}
	pol := tr.Policy(nil, ems())
	judge := func(seq int64, by *tpmtest.Soft, second *dsse.MLDSASigner) error {
		p := common(o, trust.Source)
		p.Seq, p.Signer.KeyID = seq, by.KeyID()
		pkg, err := manifest.Seal(t.Context(), p, by, second)
		if err != nil {
			t.Fatal(err)
		}
		_, err = manifest.Verify(pkg, folder, pol)
		return err
	}
	// What was sealed up to the end stays good; the new key begins anew.
	for seq, want := range map[int64]verdict.Reason{1: "", 100: "", 101: verdict.SignerRevoked} {
		if err := judge(seq, old, o.second[trust.Source]); want == "" && err != nil {
			t.Errorf("%d by the old key: %v", seq, err)
		} else if want != "" {
			wantFinding(t, err, want, "revoked after 100")
		}
	}
	if err := judge(1, next, o.second[trust.Kiosk]); err != nil {
		t.Errorf("by the new key: %v", err)
	}
	for name, make := range map[string]func() ([]byte, error){
		"to itself":          func() ([]byte, error) { return trust.NewHandover(t.Context(), body, 100, "source-1", next) },
		"to another station": func() ([]byte, error) { return trust.NewHandover(t.Context(), body, 100, "ems-1", old) },
		"to no request":      func() ([]byte, error) { return trust.NewHandover(t.Context(), []byte("{}"), 100, "source-1", old) },
		"without an end":     func() ([]byte, error) { return trust.NewHandover(t.Context(), body, -1, "source-1", old) },
	} {
		if _, err := make(); err == nil {
			t.Errorf("a hand-over %s was made", name)
		}
	}
}

// Whose key it is, its holder says himself; the root takes no key twice.
func TestSignerRecords(t *testing.T) {
	soft := tpmtest.NewSoft(t)
	k, err := trust.TPMRootKey("authority-1", soft.Identity)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := trust.NewSignerRecord(t.Context(), k, tpmtest.NewSoft(t)); err == nil {
		t.Error("a record by another key was made")
	}
	if _, err := trust.NewSignerRecord(t.Context(), trust.RootKey{}, soft); err == nil {
		t.Error("a record of no key was made")
	}
	k.Holder = "authority 1"
	if _, err := trust.NewSignerRecord(t.Context(), k, soft); err == nil {
		t.Error("a record of a holder without a name was made")
	}
	lie := soft.Identity
	lie.CounterStart++
	if _, err := trust.TPMRootKey("authority-1", lie); err == nil {
		t.Error("an identity that does not verify became a root key")
	}
	if _, err := trust.SoftRootKey("bob", trust.InFile, nil); err == nil {
		t.Error("no key became a root key")
	}
}
