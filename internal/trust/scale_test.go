package trust_test

import (
	"bytes"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"sallyport/internal/manifest"
	"sallyport/internal/tpm/tpmtest"
	"sallyport/internal/trust"
	"sallyport/internal/verdict"

	"github.com/google/go-tpm/tpm2"
)

// fullStation is a station as large ones are: an RSA endorsement key, a bound
// ECDSA key and an ML-DSA key beside it, two approved boot states of all
// registers, names and lists of a busy county.
func fullStation(t testing.TB) trust.Station {
	t.Helper()
	soft := tpmtest.NewBoundSoft(t)
	ek := tpm2.RSAEKTemplate
	ek.Unique = tpm2.NewTPMUPublicID(tpm2.TPMAlgRSA, &tpm2.TPM2BPublicKeyRSA{Buffer: bytes.Repeat([]byte{0xff}, 256)})
	soft.Identity.EKPublic = tpm2.Marshal(ek)
	soft.Certify(t)
	q := request(t, trust.Source, soft, mldsa(t, 200))
	q.ID, q.Name, q.Jurisdiction = strings.Repeat("a", 32), strings.Repeat("b", 60), strings.Repeat("c", 64)
	s, err := q.Station(manifest.Kinds()[:5], []string{strings.Repeat("d", 40), strings.Repeat("e", 40)}, trust.ByCertificate)
	if err != nil {
		t.Fatal(err)
	}
	s.Attested, s.Boot = true, []trust.BootState{approved(t, "Sallyport v1.0.0", 1, soft), approved(t, "Sallyport v1.1.0", 2, soft)}
	for i := range s.Keys {
		s.Keys[i].ValidFromSeq, s.Keys[i].RevokedAfterSeq = 1<<40, at(1<<40)
	}
	return s
}

// The limits fit together: the most stations fit in the largest envelope, and so
// does the largest root.
func TestLimitsFitTogether(t *testing.T) {
	size := int64(len(mustJSON(t, fullStation(t)))) + 1 // and a comma
	const head = 16 << 10                               // the rest of the bundle, and eight signatures
	if need := size*trust.MaxStations*4/3 + head; need > trust.MaxEnvelope {
		t.Errorf("a station takes %d bytes: %d of them need %d, %d are allowed", size, trust.MaxStations, need, trust.MaxEnvelope)
	}
	var list []*tpmtest.Soft
	for range 8 {
		list = append(list, tpmtest.NewSoft(t))
	}
	root := mustEncode(t, newRoot(t, 1, 8, list...))
	if len(root) > trust.MaxRoot {
		t.Errorf("a root of eight TPMs has %d bytes, %d are allowed", len(root), trust.MaxRoot)
	}
	if n := len(enclose(t, root, trust.RootType, signers(list)...)); n > trust.MaxRotation {
		t.Errorf("its rotation has %d bytes, %d are allowed", n, trust.MaxRotation)
	}
	q := request(t, trust.Source, tpmtest.NewSoft(t), mldsa(t, 1))
	if n := len(mustEncode(t, q)) + 4096*4/3; n > trust.MaxRequest { // with the largest certificate
		t.Errorf("a request has %d bytes, %d are allowed", n, trust.MaxRequest)
	}
}

// What is beyond the limits is refused before it is looked at.
func TestBundlesAreBounded(t *testing.T) {
	o := newOffice(t, 1, 1)
	b := trust.Bundle{V: 2, Version: 3, RootVersion: 1, Issued: "2026-09-01T12:00:00Z", Stations: make([]trust.Station, trust.MaxStations+1)}
	_, err := trust.Open(enclose(t, mustJSON(t, &b), trust.PayloadType, o.authorities[0]), o.root)
	wantFinding(t, err, verdict.ManifestMalformed, "lists 2001 stations, must list 1 to 2000")
	_, err = trust.Open(bytes.Repeat([]byte(" "), trust.MaxEnvelope+1), o.root)
	wantFinding(t, err, verdict.OverLimit, "has 25165825 bytes, at most 25165824")
}

// many is a signed bundle of n stations with two keys each.
func many(t testing.TB, o *office, n int) []byte {
	t.Helper()
	b := o.bundle
	b.Stations = nil
	for i := range n {
		soft := tpmtest.NewSoft(t)
		q := request(t, trust.Source, soft, nil)
		q.ID = fmt.Sprintf("source-%05d", i)
		s, err := q.Station([]manifest.Kind{manifest.CVRExport}, []string{election}, trust.ByComparison)
		if err != nil {
			t.Fatal(err)
		}
		s.Boot = []trust.BootState{approved(t, "one", 1, soft)}
		b.Stations = append(b.Stations, s)
	}
	return o.signed(t, b, 1)
}

// Ten times the stations cost ten times the work: neither opening a bundle nor
// asking one of many keys grows faster than the list.
func TestOpeningIsLinear(t *testing.T) {
	o := newOffice(t, 1, 1)
	cost := func(n int) (allocs, size float64) {
		env := many(t, o, n)
		open := func() {
			if _, err := trust.Open(env, o.root); err != nil {
				t.Fatal(err)
			}
		}
		open()
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		open()
		runtime.ReadMemStats(&after)
		return float64(after.Mallocs - before.Mallocs), float64(after.TotalAlloc - before.TotalAlloc)
	}
	const few, times = 20, 10
	a1, s1 := cost(few)
	a2, s2 := cost(few * times)
	t.Logf("%d stations: %.0f allocations, %.0f bytes; %d: %.0f, %.0f", few, a1, s1, few*times, a2, s2)
	if a2 > 1.2*times*a1 || s2 > 1.5*times*s1 {
		t.Errorf("%d times the stations take %.1f times the allocations and %.1f times the bytes", times, a2/a1, s2/s1)
	}
	// One package's trust does not depend on how many others are enrolled.
	ask := func(n int) float64 {
		tr, err := trust.Open(many(t, o, n), o.root)
		if err != nil {
			t.Fatal(err)
		}
		pol, key := tr.Policy(o.root, ems()), tr.Stations()[n/2].Keys[0].ID
		return testing.AllocsPerRun(10, func() {
			if _, err := pol.Key(key); err != nil {
				t.Fatal(err)
			}
		})
	}
	if one, all := ask(few), ask(few*times); one != all {
		t.Errorf("a key costs %.0f allocations among few and %.0f among many", one, all)
	}
}

// BenchmarkVerify is what one package's trust costs, without input or output:
// the envelope, the policy and the evidence.
func BenchmarkVerify(b *testing.B) {
	o := newOffice(b, 1, 1)
	soft := o.stations[trust.Source]
	for name, more := range map[string][]manifest.Signer{"ecdsa": nil, "hybrid": {o.second[trust.Source]}} {
		bundle := o.with(trust.Source, func(s *trust.Station) {
			s.Attested, s.Boot = true, []trust.BootState{approved(b, "one", 1, soft), approved(b, "two", 2, soft)}
		})
		if more != nil {
			bundle.Hybrid = []manifest.Kind{manifest.CVRExport}
		}
		pol := o.opened(b, bundle).Policy(o.root, ems())
		pkg := sealed(b, o, trust.Source, func(*manifest.Payload) {}, more...)
		evidence := mustEncode(b, evident(b, soft, booted(2), 100, digestOf(b, pkg)))
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				v, err := manifest.Verify(pkg, folder, pol)
				if err == nil {
					err = judged(pol, v, evidence)
				}
				if err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/1000, "ms/package")
		})
	}
}

// BenchmarkOpen is what a bundle costs at a station's start.
func BenchmarkOpen(b *testing.B) {
	o := newOffice(b, 1, 1)
	for _, n := range []int{10, 100, 1000} {
		env := many(b, o, n)
		b.Run(fmt.Sprintf("stations=%d", n), func(b *testing.B) {
			for b.Loop() {
				if _, err := trust.Open(env, o.root); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/float64(n), "µs/station")
		})
	}
}
