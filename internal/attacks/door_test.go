package attacks

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"sallyport/internal/durable"
	"sallyport/internal/manifest"
	"sallyport/internal/strictjson"
	"sallyport/internal/trust"
)

// Documents of the office that a case means when it names none.
const (
	rootDocument   = "root.json"
	bundleDocument = "bundle-5.dsse.json"
)

func or(name, otherwise string) string {
	if name == "" {
		return otherwise
	}
	return name
}

// self is the receiver: "id jurisdiction election,election", ems-1 when none is named.
func (a *attack) self(t testing.TB) trust.Self {
	t.Helper()
	parts := strings.Fields(or(a.receiver, "ems-1 "+county+" "+election))
	if len(parts) != 3 {
		t.Fatalf("the receiver %q is not an id, a jurisdiction and a list of elections", a.receiver)
	}
	return trust.Self{StationID: parts[0], Jurisdiction: parts[1], Elections: strings.Split(parts[2], ",")}
}

// store is a station's trust store that has pinned the root and then taken the
// bundle and the rotations that are named.
func store(t *testing.T, rotations, bundle string) *trust.Store {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "attacks")
	if err != nil {
		dir = t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	dir = filepath.Join(dir, "trust")
	must(t, trust.CreateStore(dir, document(t, rootDocument), durable.FS{}))
	s, err := trust.OpenStore(dir, durable.FS{})
	must(t, err)
	if bundle != "" {
		if _, err := s.Install(trust.Delivery{Bundle: document(t, bundle)}); err != nil {
			t.Fatalf("the office's own bundle: %v", err)
		}
	}
	if _, err := s.Install(delivery(t, rotations)); err != nil {
		t.Fatalf("the office's own rotations: %v", err)
	}
	return s
}

// delivery holds the rotations of these documents, whose names say their version.
func delivery(t testing.TB, names string) trust.Delivery {
	t.Helper()
	d := trust.Delivery{Rotations: []trust.Rotation{}}
	for _, name := range strings.Fields(names) {
		version, ok := trust.RotationVersion(name)
		if !ok {
			t.Fatalf("%q is not the name of a rotation", name)
		}
		d.Rotations = append(d.Rotations, trust.Rotation{Version: version, Envelope: document(t, name)})
	}
	return d
}

func judgePackage(t *testing.T, a *attack) error {
	pol := store(t, "", or(a.bundle, bundleDocument)).Policy(a.self(t))
	body := a.body
	if a.recipe != "" {
		body = spaces(t, a.recipe)
	}
	v, err := manifest.Verify(body, or(a.folder, packageID), pol)
	if err != nil {
		return err
	}
	var evidence []byte
	if a.evidence != "" {
		evidence = document(t, a.evidence)
	}
	return judgedEvidence(pol, v, evidence)
}

// spaces makes the recipe "spaces N".
func spaces(t testing.TB, recipe string) []byte {
	t.Helper()
	word, number, _ := strings.Cut(recipe, " ")
	n, err := strconv.Atoi(number)
	if word != "spaces" || err != nil || n < 1 || n > 1<<28 {
		t.Fatalf("unknown recipe %q", recipe)
	}
	return []byte(strings.Repeat(" ", n))
}

func judgeEvidence(t *testing.T, a *attack) error {
	pol := store(t, "", or(a.bundle, bundleDocument)).Policy(a.self(t))
	v, err := manifest.Verify(document(t, or(a.pkg, "package.dsse.json")), packageID, pol)
	if err != nil {
		t.Fatalf("the office's own package: %v", err)
	}
	body := a.body
	if a.recipe != "" {
		body = spaces(t, a.recipe)
	}
	return judgedEvidence(pol, v, body)
}

func judgeBundle(t *testing.T, a *attack) error {
	s := store(t, a.rotations, a.installed)
	d := delivery(t, a.rotations)
	d.Bundle = a.body
	_, err := s.Install(d)
	return err
}

func judgeRotation(t *testing.T, a *attack) error {
	version, err := strconv.ParseInt(or(a.version, "2"), 10, 64)
	must(t, err)
	_, err = store(t, a.rotations, bundleDocument).Install(trust.Delivery{Rotations: []trust.Rotation{{Version: version, Envelope: a.body}}})
	return err
}

func judgeRoot(_ *testing.T, a *attack) error {
	_, err := trust.ParseRoot(a.body)
	return err
}

func judgeSigner(_ *testing.T, a *attack) error {
	_, err := trust.DecodeSignerRecord(a.body)
	return err
}

// judgeRequest knows the endorsement key's digest, as people who stood before the
// machine do; "none" is nobody who did.
func judgeRequest(t *testing.T, a *attack) error {
	ek := trust.EK{SHA256: a.ek}
	switch a.ek {
	case "":
		var q trust.Request
		if strictjson.Decode(document(t, "request.json"), &q, trust.MaxRequest) != nil {
			t.Fatal("the office's own request")
		}
		ek.SHA256 = trust.EKSHA256(q.TPM.EKPublic)
	case "none":
		ek.SHA256 = ""
	}
	_, _, err := trust.NewChallenge(a.body, ek)
	return err
}

func judgeAnswer(t *testing.T, a *attack) error {
	answer, err := trust.DecodeAnswer(a.body)
	if err != nil {
		return err
	}
	p, err := trust.DecodePending(document(t, or(a.pending, "pending.json")))
	must(t, err)
	_, err = p.Admit(answer)
	return err
}

// entry is a station's entry in a bundle of the office.
func (a *attack) entry(t *testing.T) trust.Station {
	t.Helper()
	root, err := trust.ParseRoot(document(t, rootDocument))
	must(t, err)
	tr, err := trust.Open(document(t, or(a.bundle, bundleDocument)), root)
	must(t, err)
	list := tr.Stations()
	at := slices.IndexFunc(list, func(s trust.Station) bool { return s.ID == or(a.station, "precinct-1") })
	if at < 0 {
		t.Fatalf("the bundle has no station %s", a.station)
	}
	return list[at]
}

func judgeHandover(t *testing.T, a *attack) error {
	r, err := trust.DecodeRequest(document(t, or(a.request, "request-new.json")))
	must(t, err)
	next, err := r.Station(nil, nil, trust.ByComparison)
	must(t, err)
	_, err = a.entry(t).Accept(a.body, r, next.Keys)
	return err
}

func judgeMeasurement(t *testing.T, a *attack) error {
	s := a.entry(t)
	m, err := s.Measured(a.body)
	if err == nil && m.StationID != s.ID {
		return fmt.Errorf("the measurement of %s was taken for that of %s", m.StationID, s.ID)
	}
	return err
}

// judgedEvidence is the error of a package's evidence.
func judgedEvidence(pol trust.Policy, v *manifest.Verified, evidence []byte) error {
	_, err := pol.Evidence(v, evidence)
	return err
}
