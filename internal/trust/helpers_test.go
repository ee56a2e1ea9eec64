package trust_test

import (
	"context"
	"crypto/x509"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sallyport/internal/manifest"
	"sallyport/internal/tpm/tpmtest"
	"sallyport/internal/trust"
	"sallyport/internal/verdict"
)

const (
	county   = "ocd-division/country:us/state:xx/county:elm"
	state    = "ocd-division/country:us/state:xx"
	election = "2026-11-03-general"
)

// office is an authority with its root, and one station of each role.
type office struct {
	authorities []*tpmtest.Soft
	root        *trust.Root
	stations    map[trust.Role]*tpmtest.Soft
	bundle      trust.Bundle
}

func newOffice(t testing.TB, keys, threshold int) *office {
	t.Helper()
	o := &office{stations: map[trust.Role]*tpmtest.Soft{}}
	for range keys {
		o.authorities = append(o.authorities, tpmtest.NewSoft(t))
	}
	o.root = o.newRoot(t, threshold)
	o.bundle = trust.Bundle{Version: 3, Issued: "2026-09-01T12:00:00Z"}
	for _, r := range trust.Roles() {
		o.stations[r] = tpmtest.NewSoft(t)
		var kinds []manifest.Kind
		for _, k := range manifest.Kinds() {
			if trust.Allowed(r, k) {
				kinds = append(kinds, k)
			}
		}
		s, err := record(r, o.stations[r]).Station(kinds, []string{election})
		if err != nil {
			t.Fatal(err)
		}
		o.bundle.Stations = append(o.bundle.Stations, s)
	}
	return o
}

func (o *office) newRoot(t testing.TB, threshold int) *trust.Root {
	t.Helper()
	var pubs = make([]*tpmtest.Soft, len(o.authorities))
	copy(pubs, o.authorities)
	r, err := trust.NewRoot(1, threshold, publics(pubs)...)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func record(r trust.Role, s *tpmtest.Soft) *trust.StationRecord {
	return &trust.StationRecord{V: 1, ID: string(r) + "-1", Name: "Elm County " + string(r), Role: r, Jurisdiction: county, SoftwareTPM: true, TPM: s.Identity}
}

// signed issues b with the first n authorities.
func (o *office) signed(t testing.TB, b trust.Bundle, n int) []byte {
	t.Helper()
	env, err := trust.Issue(context.Background(), o.root, b, signers(o.authorities[:n])...)
	if err != nil {
		t.Fatal(err)
	}
	return env
}

func signers(list []*tpmtest.Soft) []manifest.Signer {
	var out []manifest.Signer
	for _, s := range list {
		out = append(out, s)
	}
	return out
}

// with returns the bundle with one station changed.
func (o *office) with(r trust.Role, change func(*trust.Station)) trust.Bundle {
	b := o.bundle
	b.Stations = slices.Clone(b.Stations)
	for i := range b.Stations {
		if b.Stations[i].Role == r {
			b.Stations[i].Keys = slices.Clone(b.Stations[i].Keys)
			change(&b.Stations[i])
		}
	}
	return b
}

func wantFinding(t *testing.T, err error, want verdict.Reason, says string) {
	t.Helper()
	f, ok := verdict.Find(err)
	if !ok || f.Reason != want || !strings.Contains(err.Error(), says) {
		t.Errorf("error %v, want %s with %q", err, want, says)
	}
}

func spki(t testing.TB, s *tpmtest.Soft) []byte {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(&s.Key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func storeDir(t *testing.T) string { return filepath.Join(t.TempDir(), "trust") }
