package attacks

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"sallyport/internal/config"
	"sallyport/internal/durable"
	"sallyport/internal/floor"
	"sallyport/internal/station"
	"sallyport/internal/testtool"
	"sallyport/internal/tpm"
	"sallyport/internal/tpm/attest"
	"sallyport/internal/tpm/tpmtest"
	"sallyport/internal/trust"
	"sallyport/internal/verdict"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport/linuxudstpm"
)

// recipes is the closed list of what is made with real TPMs, or cannot be a file.
// Each does first what must work, so that it cannot fail for another fault.
func recipes() map[string]func(t *testing.T) error {
	return map[string]func(t *testing.T) error{
		"maker-unknown":          makerUnknown,
		"certificate-of-another": certificateOfAnother,
		"credential-elsewhere":   credentialElsewhere,
		"credential-stolen":      credentialStolen,
		"credential-altered":     credentialAltered,
		"boot-changed":           bootChanged,
		"boot-approved-by-other": bootApprovedByOther,
		"secret-elsewhere":       secretElsewhere,
		"disk-restored":          diskRestored,
		"floor-removed":          floorRemoved,
		"tpm-put-back":           tpmPutBack,
		"tpm-cleared":            tpmCleared,
		"tpm-replaced":           tpmReplaced,
		"tpm-of-another":         tpmOfAnother,
		"bundle-put-back":        bundlePutBack,
		"root-put-back":          rootPutBack,
	}
}

// recipes adds their cases.
func (m *maker) recipes() {
	add := func(via, recipe, comment, expect, says string) {
		m.add(via+"-"+recipe, attack{comment: comment, via: via, expect: expect, says: says, recipe: recipe})
	}
	add("request", "maker-unknown", "a TPM whose maker the office does not know", string(verdict.SignerUnknown), "no known TPM maker vouches for it")
	add("request", "certificate-of-another", "a TPM with the certificate of another of the same maker", string(verdict.SignerUnknown), "another endorsement key than this TPM's")
	add("challenge", "credential-elsewhere", "the challenge of one TPM, brought to another", tpmRefuses, "was not made for this station's TPM")
	add("challenge", "credential-stolen", "a challenge for a key that claims to be in this TPM and is not", tpmRefuses, "was not made for this station's TPM")
	add("challenge", "credential-altered", "a challenge with one bit changed", tpmRefuses, "was not made for this station's TPM")
	add("station", "boot-changed", "a changed system asks its TPM for a signature", string(verdict.BootStateMismatch), "boot state is not approved")
	add("station", "boot-approved-by-other", "a changed system brings an approval by another key", tpmRefuses, "not signed by this station's boot key")
	add("station", "secret-elsewhere", "the sealed seed of the second key, in another TPM", tpmRefuses, "was not made by this station's TPM")
	add("station", "disk-restored", "the state folder from yesterday's backup", doesNotStart, "restored from an older copy")
	add("station", "floor-removed", "the record of the state was taken away", doesNotStart, "is missing")
	add("station", "tpm-put-back", "the TPM's counter was put back, as only a software TPM allows", doesNotStart, "the TPM counts only")
	add("station", "tpm-cleared", "the TPM was cleared in the firmware's setup", doesNotStart, "holds no Sallyport identity")
	add("station", "tpm-replaced", "a fresh TPM in the place of the station's", doesNotStart, "holds no Sallyport identity")
	add("station", "tpm-of-another", "another station's TPM in the place of this one's", doesNotStart, "does not hold the identity of this station")
	add("station", "bundle-put-back", "yesterday's bundle in the trust store", string(verdict.Superseded), "had version 6 already")
	add("station", "root-put-back", "the root from before its rotation in the trust store", string(verdict.Superseded), "had version 2 already")
}

func limited(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// identity is a TPM with a loaded identity; boot may be nil.
func identity(t *testing.T, p *tpmtest.Process, boot *ecdsa.PublicKey) (*tpm.TPM, tpm.Identity) {
	t.Helper()
	ctx := limited(t)
	tp, err := tpm.Open(ctx, p.Addr)
	must(t, err)
	t.Cleanup(func() { tp.Close() })
	id, err := tp.CreateIdentity(ctx, boot)
	must(t, err)
	must(t, tp.LoadIdentity(ctx, id))
	return tp, id
}

// asks is the request of a TPM with this certificate, nil for none.
func asks(t *testing.T, tp *tpm.TPM, id tpm.Identity, certificate []byte) []byte {
	t.Helper()
	q := &trust.Request{V: 2, ID: "precinct-1", Name: "Maple County precinct 1", Role: trust.Source, Jurisdiction: county,
		Maker: tp.Info().Manufacturer, Firmware: tp.Info().Firmware, SoftwareTPM: tp.Info().Software, Version: "v1.0.0", EKCertificate: certificate, TPM: id}
	quoted, err := q.Quoted()
	must(t, err)
	q.Quote, q.QuoteSig, q.PCRs, err = tp.Quote(limited(t), quoted)
	must(t, err)
	body, err := q.Encode()
	must(t, err)
	return body
}

// made is a TPM of a maker, with its request.
func made(t *testing.T, maker *tpmtest.Maker) (id tpm.Identity, certificate, request []byte, tp *tpm.TPM) {
	t.Helper()
	tp, id = identity(t, maker.NewECCTPM(), nil)
	certificate, err := tp.EKCertificate(limited(t))
	must(t, err)
	request = asks(t, tp, id, certificate)
	if _, p, err := trust.NewChallenge(request, trust.EK{Vendors: maker.Authorities()}); err != nil || p.Proof != trust.ByCertificate {
		t.Fatalf("a genuine TPM was refused: %v", err)
	}
	return id, certificate, request, tp
}

func makerUnknown(t *testing.T) error {
	known, unknown := tpmtest.NewMaker(t), tpmtest.NewMaker(t)
	made(t, known)
	_, _, request, _ := made(t, unknown)
	_, _, err := trust.NewChallenge(request, trust.EK{Vendors: known.Authorities()})
	return err
}

func certificateOfAnother(t *testing.T) error {
	maker := tpmtest.NewMaker(t)
	_, certificate, _, _ := made(t, maker)
	id, _, _, tp := made(t, maker)
	_, _, err := trust.NewChallenge(asks(t, tp, id, certificate), trust.EK{Vendors: maker.Authorities()})
	return err
}

// challenged is a TPM with a challenge for it, which it opens.
func challenged(t *testing.T) (*tpm.TPM, tpm.Identity, *trust.Challenge) {
	t.Helper()
	tp, id := identity(t, tpmtest.New(t), nil)
	c, _, err := trust.NewChallenge(asks(t, tp, id, nil), trust.EK{SHA256: trust.EKSHA256(id.EKPublic)})
	must(t, err)
	_, err = tp.ActivateCredential(limited(t), c.Credential, c.Secret)
	must(t, err)
	return tp, id, c
}

// byTPM says that the TPM itself refused.
func byTPM(err error) error {
	if errors.Is(err, tpm.ErrCredential) || errors.Is(err, tpm.ErrSecret) {
		return &refusal{tpmRefuses, err}
	}
	return err
}

func credentialElsewhere(t *testing.T) error {
	_, _, c := challenged(t)
	other, _, _ := challenged(t)
	_, err := other.ActivateCredential(limited(t), c.Credential, c.Secret)
	return byTPM(err)
}

// credentialStolen: the thief's attestation key, in memory, vouches for an
// identity with the endorsement key of a real TPM.
func credentialStolen(t *testing.T) error {
	robbed, id, _ := challenged(t)
	thief := tpmtest.NewSoft(t)
	thief.Identity.EKPublic = id.EKPublic
	thief.Certify(t)
	q := &trust.Request{V: 2, ID: "precinct-1", Name: "Maple County precinct 1", Role: trust.Source, Jurisdiction: county,
		Maker: "IBM", Firmware: "1.2.3.4", SoftwareTPM: true, Version: "v1.0.0", TPM: thief.Identity}
	quoted, err := q.Quoted()
	must(t, err)
	q.PCRs = booted(1)
	q.Quote, q.QuoteSig = thief.Attest(t, thief.QuoteStatement(q.PCRs, quoted))
	body, err := q.Encode()
	must(t, err)
	c, _, err := trust.NewChallenge(body, trust.EK{SHA256: trust.EKSHA256(id.EKPublic)})
	must(t, err)
	if _, err := thief.Activate(c.Credential, c.Secret); err == nil {
		t.Fatal("the thief opened the challenge without the TPM")
	}
	_, err = robbed.ActivateCredential(limited(t), c.Credential, c.Secret)
	return byTPM(err)
}

func credentialAltered(t *testing.T) error {
	tp, _, c := challenged(t)
	c.Credential = bytes.Clone(c.Credential)
	c.Credential[len(c.Credential)-1] ^= 1
	_, err := tp.ActivateCredential(limited(t), c.Credential, c.Secret)
	return byTPM(err)
}

// bound is a TPM whose signing key signs in its present boot state.
func bound(t *testing.T) (*tpmtest.Process, *tpm.TPM, attest.PCRs) {
	t.Helper()
	p, boot := tpmtest.New(t), tpmtest.NewKey(t)
	tp, _ := identity(t, p, &boot.PublicKey)
	pcrs, err := tp.PCRs(limited(t))
	must(t, err)
	must(t, tp.Approve([]attest.Approval{tpmtest.Approve(t, boot, pcrs)}))
	_, err = tp.Sign(limited(t), [32]byte{1})
	must(t, err)
	return p, tp, pcrs
}

func bootChanged(t *testing.T) error {
	p, tp, _ := bound(t)
	p.Extend(11)
	_, err := tp.Sign(limited(t), [32]byte{1})
	return err
}

func bootApprovedByOther(t *testing.T) error {
	p, tp, _ := bound(t)
	p.Extend(11)
	pcrs, err := tp.PCRs(limited(t))
	must(t, err)
	if err := tp.Approve([]attest.Approval{tpmtest.Approve(t, tpmtest.NewKey(t), pcrs)}); err != nil {
		return &refusal{tpmRefuses, err}
	}
	return nil
}

func secretElsewhere(t *testing.T) error {
	one, _ := identity(t, tpmtest.New(t), nil)
	two, _ := identity(t, tpmtest.New(t), nil)
	blob, err := one.SealSecret(limited(t), [32]byte{7})
	must(t, err)
	if got, err := one.UnsealSecret(limited(t), blob); err != nil || got != [32]byte{7} {
		t.Fatal(err)
	}
	_, err = two.UnsealSecret(limited(t), blob)
	return byTPM(err)
}

// place is an initialised station that has started and stopped.
type place struct {
	t     *testing.T
	cfg   *config.Config
	swtpm *tpmtest.Process
}

func newPlace(t *testing.T, id string) *place {
	t.Helper()
	dir := memory(t)
	p := &place{t: t, swtpm: tpmtest.New(t)}
	p.cfg = &config.Config{
		Station:  config.Station{ID: id, Name: "Station " + id, Role: "ems", Jurisdiction: county, Elections: []string{election}},
		StateDir: filepath.Join(dir, "state"), TPM: p.swtpm.Addr, Reader: readerBinary,
		Control: config.Control{Socket: filepath.Join(dir, "control.sock")},
		Limits:  config.Limits{QuarantineMaxBytes: 1 << 30, ReserveBytes: 1 << 20, Stall: 10 * time.Second, Total: time.Hour},
		File:    filepath.Join(dir, "sallyport.toml"),
	}
	_, err := station.Init(limited(t), p.cfg, p.options(), document(t, rootDocument))
	must(t, err)
	must(t, p.starts())
	return p
}

func (p *place) options() station.Options { return station.Options{Log: zerolog.Nop()} }

// starts starts the station and stops it in order.
func (p *place) starts() error {
	p.t.Helper()
	s, err := station.Open(limited(p.t), p.cfg, p.options())
	if err != nil {
		for _, why := range []error{floor.ErrWentBack, tpm.ErrChanged, tpm.ErrNotInitialised} {
			if errors.Is(err, why) {
				return &refusal{doesNotStart, err}
			}
		}
		return err
	}
	return s.Close(limited(p.t))
}

// copied copies a folder.
func copied(t *testing.T, from string) string {
	t.Helper()
	to := filepath.Join(memory(t), "copy")
	testtool.Run(t, "cp", "-a", from, to)
	return to
}

func diskRestored(t *testing.T) error {
	p := newPlace(t, "ems-1")
	yesterday := copied(t, p.cfg.StateDir)
	must(t, p.starts())
	must(t, os.RemoveAll(p.cfg.StateDir))
	testtool.Run(t, "cp", "-a", yesterday, p.cfg.StateDir)
	return p.starts()
}

func floorRemoved(t *testing.T) error {
	p := newPlace(t, "ems-1")
	must(t, os.Remove(filepath.Join(p.cfg.StateDir, "floor.json")))
	return p.starts()
}

func tpmPutBack(t *testing.T) error {
	p := newPlace(t, "ems-1")
	yesterday := filepath.Join(memory(t), "tpm")
	p.swtpm.Save(yesterday)
	for range 2 { // one count less is a start that was cut off
		must(t, p.starts())
	}
	p.swtpm.Rewind(yesterday)
	return p.starts()
}

func tpmCleared(t *testing.T) error {
	p := newPlace(t, "ems-1")
	tr, err := linuxudstpm.Open(p.swtpm.Socket)
	must(t, err)
	if _, err := (tpm2.Clear{AuthHandle: tpm2.AuthHandle{Handle: tpm2.TPMRHPlatform, Auth: tpm2.PasswordAuth(nil)}}).Execute(tr); err != nil {
		t.Fatal(err)
	}
	must(t, tr.Close())
	return p.starts()
}

func tpmReplaced(t *testing.T) error {
	p := newPlace(t, "ems-1")
	p.cfg.TPM = tpmtest.New(t).Addr
	return p.starts()
}

func tpmOfAnother(t *testing.T) error {
	p, other := newPlace(t, "ems-1"), newPlace(t, "ems-2")
	p.cfg.TPM = other.cfg.TPM
	return p.starts()
}

// trustStore is a store that has installed one delivery after another, and what
// its file held before the last.
func trustStore(t *testing.T, deliveries ...trust.Delivery) (dir string, before []byte) {
	t.Helper()
	dir = filepath.Join(memory(t), "trust")
	must(t, trust.CreateStore(dir, document(t, rootDocument), durable.FS{}))
	s, err := trust.OpenStore(dir, durable.FS{})
	must(t, err)
	for i, d := range deliveries {
		if i > 0 {
			before, err = os.ReadFile(filepath.Join(dir, "installed.json"))
			must(t, err)
		}
		_, err = s.Install(d)
		must(t, err)
	}
	_, err = trust.OpenStore(dir, durable.FS{})
	must(t, err)
	return dir, before
}

// putBack puts the file back and opens the store.
func putBack(t *testing.T, dir string, before []byte) error {
	t.Helper()
	must(t, os.WriteFile(filepath.Join(dir, "installed.json"), before, 0o600))
	_, err := trust.OpenStore(dir, durable.FS{})
	return err
}

func bundlePutBack(t *testing.T) error {
	dir, before := trustStore(t, trust.Delivery{Bundle: document(t, bundleDocument)}, trust.Delivery{Bundle: document(t, "bundle-6-hybrid.dsse.json")})
	return putBack(t, dir, before)
}

func rootPutBack(t *testing.T) error {
	dir, before := trustStore(t, trust.Delivery{Bundle: document(t, bundleDocument)}, delivery(t, "root-2.dsse.json"))
	return putBack(t, dir, before)
}
