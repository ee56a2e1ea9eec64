package intake_test

import (
	"context"
	"encoding/hex"
	"io/fs"
	"slices"
	"testing"

	"sallyport/internal/durable"
	"sallyport/internal/manifest"
	"sallyport/internal/testmedia"
	"sallyport/internal/tpm/attest"
	"sallyport/internal/trust"
	"sallyport/internal/vault"
	"sallyport/internal/verdict"
)

// evidence is what the source's TPM says when it seals p with its counter at n.
func (r *rig) evidence(p *parcel, n int64) []byte {
	r.t.Helper()
	e := trust.Evidence{V: 1, PCRs: attest.PCRs{}}
	q := [32]byte(p.digest(r.t))
	e.Quote, e.QuoteSig = r.source.Attest(r.t, r.source.QuoteStatement(e.PCRs, q))
	e.Counter, e.CounterSig = r.source.Attest(r.t, r.source.CounterStatement(uint64(n), q))
	body, err := e.Encode()
	r.must(err)
	return body
}

// TestEvidenceIsAdmittedWithItsPackage: it is kept beside the manifest.
func TestEvidenceIsAdmittedWithItsPackage(t *testing.T) {
	r := newRig(t)
	p := r.set()
	evidence := r.evidence(p, p.Seq)
	rep := r.insert(r.medium(testmedia.Files{p.path("evidence.json"): evidence}, p))
	r.wants(rep, verdict.Accepted, 0)
	item, err := r.vault.Get(rep.Packages[0].Item)
	r.must(err)
	defer item.Close()
	files, err := item.FS()
	r.must(err)
	kept, err := fs.ReadFile(files, "evidence.json")
	r.must(err)
	if string(kept) != string(evidence) {
		t.Errorf("the vault keeps %q", kept)
	}
}

// TestReplacedPackages: a package takes the place of one that was lost; the lost
// one is superseded when it turns up, and what follows follows the new one. One
// that was accepted is not taken back by a medium.
func TestReplacedPackages(t *testing.T) {
	r := newRig(t)
	first := r.set()
	r.wants(r.insert(r.medium(nil, first)), verdict.Accepted, 0)
	lost := r.set().after(first, t)
	instead := r.set().after(first, t)
	instead.Supersedes = hex.EncodeToString(lost.digest(t))
	r.wants(r.insert(r.medium(nil, instead)), verdict.Accepted, 0)
	r.close()
	r.open(durable.FS{})
	r.wants(r.insert(r.medium(nil, lost)), verdict.Held, 3, verdict.Superseded)
	third := r.set().after(instead, t)
	r.wants(r.insert(r.medium(nil, third)), verdict.Accepted, 0)
	back := r.set().after(instead, t)
	back.Supersedes = hex.EncodeToString(third.digest(t))
	r.wants(r.insert(r.medium(nil, back)), verdict.Held, 3, verdict.ContentInvalid)
}

// TestTrustBundlesComeAsPackages: their content goes to whoever keeps trust, a
// missing one is no gap, an older one is a replay, and what the store refuses is
// held.
func TestTrustBundlesComeAsPackages(t *testing.T) {
	var got []string
	var refuse error
	r := newRig(t, func(r *rig) {
		r.cfg.Trust = func(_ context.Context, content fs.FS) error {
			body, err := fs.ReadFile(content, trust.BundleName)
			r.must(err)
			if refuse == nil {
				got = append(got, string(body))
			}
			return refuse
		}
	})
	bundle := func(text string) *parcel {
		p := r.parcel(manifest.TrustBundle, map[string][]byte{trust.BundleName: []byte(text)})
		p.signer = r.authority
		p.ElectionID, p.ElectionSHA256, p.Audience, p.TrustEpoch = "", "", manifest.AudienceAll, epoch+5
		p.Signer = manifest.Origin{StationID: "authority", KeyID: r.authority.KeyID(), Role: "authority"}
		return p
	}
	one, two, three := bundle("one"), bundle("two"), bundle("three")
	two.after(one, t)
	three.after(two, t)
	r.wants(r.insert(r.medium(nil, one)), verdict.Accepted, 0)
	r.wants(r.insert(r.medium(nil, three)), verdict.Accepted, 0) // two never came
	r.wants(r.insert(r.medium(nil, two)), verdict.Held, 3, verdict.Replayed)
	refuse = verdict.New(verdict.Fork, "trust bundle", "there are two")
	r.wants(r.insert(r.medium(nil, bundle("four").after(three, t))), verdict.Held, 3, verdict.Fork)
	if !slices.Equal(got, []string{"one", "three"}) {
		t.Errorf("taken were %q", got)
	}
	if n := len(r.items(vault.Admitted)); n != 2 {
		t.Errorf("%d packages are admitted, want 2", n)
	}
	// Whoever issues bundles sends nothing else.
	p := r.cvrs("1")
	p.signer = r.authority
	p.Signer = manifest.Origin{StationID: "authority", KeyID: r.authority.KeyID(), Role: "authority"}
	r.wants(r.insert(r.medium(nil, p)), verdict.Held, 3, verdict.SignerNotPermitted)
}
