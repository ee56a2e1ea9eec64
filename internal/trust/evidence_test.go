package trust_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/rand"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sallyport/internal/manifest"
	"sallyport/internal/tpm/tpmtest"
	"sallyport/internal/translog"
	"sallyport/internal/trust"
	"sallyport/internal/verdict"
)

// Each rule of the evidence, at a station that must bring some and at one that
// need not: what is there is judged in any case.
func TestEvidence(t *testing.T) {
	o := newOffice(t, 1, 1)
	soft := o.stations[trust.Source]
	states := []trust.BootState{
		trust.NewBootState("old", booted(1)), // PCRs 7 and 11 alone
		approved(t, "new", 2, soft),
	}
	half := booted(1)
	half[0] = booted(9)[0] // another firmware under the same system
	other := booted(2)
	other[3] = booted(9)[3]
	pkg := sealed(t, o, trust.Source, func(*manifest.Payload) {})
	digest := digestOf(t, pkg)
	encoded := func(e *trust.Evidence) []byte { return mustEncode(t, e) }
	for _, attested := range []bool{false, true} {
		b := o.with(trust.Source, func(s *trust.Station) { s.Boot, s.Attested = states, attested })
		pol := o.opened(t, b).Policy(nil, ems())
		v, err := manifest.Verify(pkg, folder, pol)
		if err != nil {
			t.Fatal(err)
		}
		for name, c := range map[string]struct {
			data     []byte
			want     verdict.Reason // whether attested or not
			says     string
			attested verdict.Reason // only there
		}{
			"none":                           {nil, "", "is missing", verdict.BootStateMismatch},
			"of an approved state":           {encoded(evident(t, soft, booted(2), 100, digest)), "", "", ""},
			"of a state known by two values": {encoded(evident(t, soft, half, 100, digest)), "", "", ""},
			"of another state":               {encoded(evident(t, soft, booted(3), 100, digest)), "", "old has another PCR 7; new has another PCR 0", verdict.BootStateMismatch},
			"of a state with one other PCR":  {encoded(evident(t, soft, other, 100, digest)), "", "new has another PCR 3", verdict.BootStateMismatch},
			"of a counter behind":            {encoded(evident(t, soft, booted(2), 99, digest)), verdict.SignerNotPermitted, "stands at 99", ""},
			"of another TPM":                 {encoded(evident(t, o.stations[trust.EMS], booted(2), 100, digest)), verdict.SignatureInvalid, "quote", ""},
			"of another package":             {encoded(evident(t, soft, booted(2), 100, [32]byte{1})), verdict.SignatureInvalid, "something else", ""},
			"no JSON":                        {[]byte("evidence"), verdict.ManifestMalformed, "evidence.json", ""},
			"empty":                          {[]byte{}, verdict.ManifestMalformed, "evidence.json", ""},
		} {
			want, says := c.want, c.says
			if attested && c.attested != "" {
				want = c.attested
			}
			err := judged(pol, v, c.data)
			if want == "" {
				if err != nil {
					t.Errorf("%s, attested %v: %v", name, attested, err)
				}
				continue
			}
			t.Run(name, func(t *testing.T) { wantFinding(t, err, want, says) })
		}
	}
}

// The checkpoint of the sender's log is verified and given on; nobody takes it
// away, or puts another one in its place.
func TestEvidenceCarriesACheckpoint(t *testing.T) {
	o := newOffice(t, 1, 1)
	soft := o.stations[trust.Source]
	pkg := sealed(t, o, trust.Source, func(*manifest.Payload) {})
	pol := o.opened(t, o.bundle).Policy(nil, ems())
	v, err := manifest.Verify(pkg, folder, pol)
	if err != nil {
		t.Fatal(err)
	}
	origin := trust.LogOrigin(county, "source-1")
	with := func(note string) *trust.Evidence {
		e := evident(t, soft, booted(1), 100, v.Digest())
		e.Checkpoint = note
		e.Counter, e.CounterSig = soft.Attest(t, soft.CounterStatement(100, e.ForCounter(v.Digest())))
		return e
	}
	good := checkpoint(t, soft.Log, origin, 42)
	seen, err := pol.Evidence(v, mustEncode(t, with(good)))
	if err != nil || seen == nil || seen.Size != 42 || seen.Origin != origin || string(seen.Note) != good {
		t.Fatalf("%+v, %v", seen, err)
	}
	if seen, err := pol.Evidence(v, mustEncode(t, evident(t, soft, booted(1), 100, v.Digest()))); err != nil || seen != nil {
		t.Errorf("without one: %+v, %v", seen, err)
	}
	taken, swapped := with(good), with(good)
	taken.Checkpoint, swapped.Checkpoint = "", checkpoint(t, soft.Log, origin, 7)
	for name, c := range map[string]struct {
		e    *trust.Evidence
		says string
	}{
		"taken away":                   {taken, "something else"},
		"another of the same log":      {swapped, "something else"},
		"by the signing key":           {with(checkpoint(t, soft.Key, origin, 42)), "not by a key that was given"},
		"of another station's log":     {with(checkpoint(t, soft.Log, trust.LogOrigin(county, "source-2"), 42)), "checkpoint"},
		"by another station's log key": {with(checkpoint(t, o.stations[trust.EMS].Log, origin, 42)), "not by a key that was given"},
		"no note":                      {with("42 entries"), "not a signed note"},
		"longer than any":              {with(strings.Repeat("x", trust.MaxCheckpoint+1)), "at most"},
	} {
		_, err := pol.Evidence(v, mustEncode(t, c.e))
		t.Run(name, func(t *testing.T) { wantFinding(t, err, verdict.SignatureInvalid, c.says) })
	}
}

// logSigner signs checkpoints with a key in memory.
type logSigner struct{ key *ecdsa.PrivateKey }

func (s logSigner) Public() *ecdsa.PublicKey { return &s.key.PublicKey }

func (s logSigner) KeyID() string {
	id, err := translog.KeyID(&s.key.PublicKey)
	if err != nil {
		panic(err)
	}
	return id
}

func (s logSigner) Sign(_ context.Context, digest [32]byte) ([]byte, error) {
	return ecdsa.SignASN1(rand.Reader, s.key, digest[:])
}

// checkpoint is that of a log with this many entries.
func checkpoint(t *testing.T, key *ecdsa.PrivateKey, origin string, entries int) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "log")
	if err := translog.Create(dir, origin, translog.Options{}); err != nil {
		t.Fatal(err)
	}
	l, err := translog.Open(dir, translog.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if _, err := l.Append(slices.Repeat([][]byte{[]byte("entry")}, entries)...); err != nil {
		t.Fatal(err)
	}
	note, err := l.Checkpoint(t.Context(), logSigner{key})
	if err != nil {
		t.Fatal(err)
	}
	return string(note)
}

// A key outside a TPM has nobody to speak for it.
func TestEvidenceOfNoTPM(t *testing.T) {
	o := newOffice(t, 1, 1)
	soft := o.stations[trust.Source]
	pkg := sealed(t, o, trust.Source, func(*manifest.Payload) {})
	pol := o.opened(t, o.with(trust.Source, func(s *trust.Station) { *s = changeKey(t, *s, soft) })).Policy(nil, ems())
	v, err := manifest.Verify(pkg, folder, pol)
	if err != nil {
		t.Fatal(err)
	}
	if err := judged(pol, v, nil); err != nil {
		t.Error(err)
	}
	wantFinding(t, judged(pol, v, mustEncode(t, evident(t, soft, booted(1), 100, digestOf(t, pkg)))), verdict.SignatureInvalid, "not in a TPM")
}

// Bundles that a root key sends carry its own TPM's evidence, if any.
func TestEvidenceOfARootKey(t *testing.T) {
	o := newOffice(t, 1, 1)
	soft := o.authorities[0]
	p := common(o, trust.Source)
	noElection(manifest.TrustBundle)(p)
	p.Signer = manifest.Origin{StationID: "authority-1", KeyID: soft.KeyID(), Role: "authority"}
	pkg, err := manifest.Seal(context.Background(), p, soft)
	if err != nil {
		t.Fatal(err)
	}
	var none *trust.Trusted
	pol := none.Policy(o.root, ems())
	v, err := manifest.Verify(pkg, folder, pol)
	if err != nil {
		t.Fatal(err)
	}
	for _, data := range [][]byte{nil, mustEncode(t, evident(t, soft, booted(7), 100, v.Digest()))} {
		if err := judged(pol, v, data); err != nil {
			t.Error(err)
		}
	}
	wantFinding(t, judged(pol, v, mustEncode(t, evident(t, o.stations[trust.EMS], booted(7), 100, v.Digest()))), verdict.SignatureInvalid, "quote")
	wantFinding(t, judged(pol, v, mustEncode(t, evident(t, soft, booted(7), 99, v.Digest()))), verdict.SignerNotPermitted, "stands at 99")
}

// A boot state is approved for what its numbers say, and what was approved is
// given to the station's TPM.
func TestBootStates(t *testing.T) {
	o := newOffice(t, 1, 1)
	soft := tpmtest.NewBoundSoft(t)
	s, err := request(t, trust.Source, soft, nil).Station([]manifest.Kind{manifest.CVRExport}, []string{election}, "")
	if err != nil {
		t.Fatal(err)
	}
	if got := s.BootKeys(); len(got) != 1 || got[0] != bootKeyID(t, soft) {
		t.Errorf("BootKeys = %v", got)
	}
	s.Boot = []trust.BootState{approved(t, "one", 1, soft), approved(t, "two", 2, soft), trust.NewBootState("not approved", booted(3))}
	tr := o.opened(t, o.with(trust.Source, func(old *trust.Station) { *old = s }))
	got := tr.Approvals(soft.KeyID())
	if len(got) != 2 || got[0].Policy == got[1].Policy {
		t.Errorf("%d approvals, want two", len(got))
	}
	if tr.Approvals("nobody") != nil || tr.Approvals(o.stations[trust.EMS].KeyID()) != nil {
		t.Error("approvals of a key that needs none")
	}
	for n, want := range map[byte]string{1: "one", 2: "two", 3: "not approved", 4: ""} {
		labels := tr.Matching(s.ID, booted(n))
		if want == "" && labels != nil || want != "" && (len(labels) != 1 || labels[0] != want) {
			t.Errorf("state %d is called %v, want %q", n, labels, want)
		}
	}
	if tr.Matching("ems-1", booted(1)) != nil {
		t.Error("another station's state matches")
	}
	b := trust.NewBootState("x", booted(1), 0, 2, 7)
	var numbers []int
	for _, p := range b.PCRs {
		numbers = append(numbers, p.PCR)
	}
	if len(numbers) != 4 || numbers[0] != 0 || numbers[1] != 2 || numbers[2] != 7 || numbers[3] != 11 {
		t.Errorf("PCRs %v, want those asked for and 7 and 11", numbers)
	}
}

// judged is the error of a package's evidence.
func judged(pol trust.Policy, v *manifest.Verified, evidence []byte) error {
	_, err := pol.Evidence(v, evidence)
	return err
}
