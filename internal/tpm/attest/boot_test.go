package attest_test

import (
	"strings"
	"testing"

	"sallyport/internal/tpm/attest"
	"sallyport/internal/tpm/tpmtest"

	"github.com/google/go-tpm/tpm2"
)

func someBoot() (p attest.PCRs) {
	for i := range p {
		p[i][0] = byte(i + 1)
	}
	return p
}

func TestQuotes(t *testing.T) {
	s := tpmtest.NewSoft(t)
	pcrs, q := someBoot(), [32]byte{1, 2, 3}
	check := func(a tpm2.TPMSAttest, p attest.PCRs) error {
		st, sig := s.Attest(t, a)
		return attest.CheckQuote(s.Identity.AKPublic, st, sig, p, q)
	}
	if err := check(s.QuoteStatement(pcrs, q), pcrs); err != nil {
		t.Fatal(err)
	}
	for i := range pcrs {
		lie := pcrs
		lie[i][31] ^= 1
		if err := check(s.QuoteStatement(pcrs, q), lie); err == nil || !strings.Contains(err.Error(), "other PCR values") {
			t.Errorf("another value at place %d: %v", i, err)
		}
	}
	digest := attest.QuoteDigest(pcrs)
	info := func(selection tpm2.TPMLPCRSelection, digest []byte) func(*tpm2.TPMSAttest) {
		return func(a *tpm2.TPMSAttest) {
			a.Attested = tpm2.NewTPMUAttest(tpm2.TPMSTAttestQuote, &tpm2.TPMSQuoteInfo{PCRSelect: selection, PCRDigest: tpm2.TPM2BDigest{Buffer: digest}})
		}
	}
	sha1 := attest.Selection(attest.Numbers()...)
	sha1.PCRSelections[0].Hash = tpm2.TPMAlgSHA1
	twice := attest.Selection(attest.Numbers()...)
	twice.PCRSelections = append(twice.PCRSelections, twice.PCRSelections[0])
	for name, c := range map[string]struct {
		change func(*tpm2.TPMSAttest)
		want   string
	}{
		"not made by a TPM": {func(a *tpm2.TPMSAttest) { a.Magic = 1 }, "not made by a TPM"},
		"other purpose":     {func(a *tpm2.TPMSAttest) { a.ExtraData.Buffer = []byte("x") }, "something else"},
		"a counter":         {func(a *tpm2.TPMSAttest) { *a = s.CounterStatement(1, q) }, "of type"},
		"fewer PCRs":        {info(attest.Selection(0, 1, 2, 3, 4, 5, 6, 7), digest[:]), "the quote is of the PCRs"},
		"other PCRs":        {info(attest.Selection(16, 17, 18, 19, 20, 21, 22, 23, 8), digest[:]), "the quote is of the PCRs"},
		"no PCRs":           {info(tpm2.TPMLPCRSelection{}, digest[:]), "the quote is of the PCRs"},
		"another bank":      {info(sha1, digest[:]), "the quote is of the PCRs"},
		"two banks":         {info(twice, digest[:]), "the quote is of the PCRs"},
		"no digest":         {info(attest.Selection(attest.Numbers()...), nil), "other PCR values"},
	} {
		a := s.QuoteStatement(pcrs, q)
		c.change(&a)
		if err := check(a, pcrs); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want an error with %q", name, err, c.want)
		}
	}
	st, _ := s.Attest(t, s.QuoteStatement(pcrs, q))
	_, sig := tpmtest.NewSoft(t).Attest(t, s.QuoteStatement(pcrs, q))
	if err := attest.CheckQuote(s.Identity.AKPublic, st, sig, pcrs, q); err == nil {
		t.Error("another attestation key's quote was accepted")
	}
}

// Which boot states are alike is decided by the PCRs 7 and 11 alone.
func TestPolicyFollowsTwoPCRs(t *testing.T) {
	policy := attest.PCRPolicy(someBoot())
	for i, n := range attest.Numbers() {
		other := someBoot()
		other[i][5] ^= 1
		if same := attest.PCRPolicy(other) == policy; same == (n == 7 || n == 11) {
			t.Errorf("PCR %d changed, and the policy stayed: %v", n, same)
		}
	}
}

func TestApprovals(t *testing.T) {
	boot, other := tpmtest.NewKey(t), tpmtest.NewKey(t)
	good := tpmtest.Approve(t, boot, someBoot())
	if err := attest.CheckApproval(&boot.PublicKey, good); err != nil {
		t.Fatal(err)
	}
	elsewhere := someBoot()
	elsewhere[7][0]++
	for name, a := range map[string]attest.Approval{
		"by another key":        tpmtest.Approve(t, other, someBoot()),
		"of another boot state": {Policy: attest.PCRPolicy(elsewhere), Sig: good.Sig},
		"without signature":     {Policy: good.Policy},
		"with bytes behind":     {Policy: good.Policy, Sig: append(good.Sig[:len(good.Sig):len(good.Sig)], 0)},
	} {
		if err := attest.CheckApproval(&boot.PublicKey, a); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if attest.CheckApproval(nil, good) == nil {
		t.Error("accepted without a boot key")
	}
	if _, err := attest.BootPolicy(nil); err == nil {
		t.Error("a policy without a boot key")
	}
}
