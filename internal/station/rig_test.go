package station_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"sallyport/internal/audit"
	"sallyport/internal/config"
	"sallyport/internal/control"
	"sallyport/internal/durable"
	"sallyport/internal/manifest"
	"sallyport/internal/station"
	"sallyport/internal/testmedia"
	"sallyport/internal/tpm/tpmtest"
	"sallyport/internal/translog"
	"sallyport/internal/trust"
	"sallyport/internal/verdict"
)

const (
	county   = "us/maple-county"
	election = "maple-county-general-2026-11-03"
)

// readerBinary is built once by TestMain, or taken from SALLYPORT_BIN.
var readerBinary string

func TestMain(m *testing.M) {
	if order := os.Getenv(crashOrder); order != "" {
		os.Exit(crash(order))
	}
	code, err := withReader(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func withReader(m *testing.M) (int, error) {
	if dir := os.Getenv("SALLYPORT_BIN"); dir != "" {
		readerBinary = filepath.Join(dir, "sallyport-reader")
		return m.Run(), nil
	}
	dir, err := os.MkdirTemp("", "reader")
	if err != nil {
		return 1, err
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o755); err != nil { // the reader runs as nobody
		return 1, err
	}
	readerBinary = filepath.Join(dir, "sallyport-reader")
	cmd := exec.Command("go", "build", "-o", readerBinary, "sallyport/cmd/sallyport-reader")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return 1, fmt.Errorf("cannot build the reader: %w\n%s", err, out)
	}
	return m.Run(), nil
}

// memory is a temporary folder in memory where there is one: these tests make
// thousands of writes durable, and what a disk adds to that is only time.
func memory(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "station")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// node is one station with a TPM of its own.
type node struct {
	t     testing.TB
	cfg   *config.Config
	swtpm *tpmtest.Process
}

func newNode(t testing.TB, id, role string, elections ...string) *node {
	t.Helper()
	return newNodeOn(t, tpmtest.New(t), id, role, elections...)
}

func newNodeOn(t testing.TB, tpm *tpmtest.Process, id, role string, elections ...string) *node {
	t.Helper()
	dir := memory(t)
	n := &node{t: t, swtpm: tpm}
	n.cfg = &config.Config{
		Station:  config.Station{ID: id, Name: "Station " + id, Role: role, Jurisdiction: county, Elections: elections},
		StateDir: filepath.Join(dir, "state"), TPM: n.swtpm.Addr, Reader: readerBinary,
		Control: config.Control{Socket: filepath.Join(dir, "control.sock")},
		Limits:  config.Limits{QuarantineMaxBytes: 1 << 30, ReserveBytes: 1 << 20, Stall: 10 * time.Second, Total: time.Hour},
		File:    filepath.Join(dir, "sallyport.toml"),
	}
	return n
}

func (n *node) must(err error) {
	n.t.Helper()
	if err != nil {
		n.t.Fatal(err)
	}
}

func options(fs durable.FS) station.Options {
	return station.Options{FS: fs, Log: zerolog.Nop()}
}

func (n *node) init(root []byte) {
	n.t.Helper()
	_, err := station.Init(context.Background(), n.cfg, options(durable.FS{}), root)
	n.must(err)
}

func (n *node) open(fs durable.FS) *station.Station {
	n.t.Helper()
	s, err := station.Open(context.Background(), n.cfg, options(fs))
	n.must(err)
	return s
}

// with opens the station for one piece of work.
func (n *node) with(do func(*station.Station)) {
	n.t.Helper()
	s := n.open(durable.FS{})
	do(s)
	n.must(s.Close(context.Background()))
}

// ask carries out one operation through the control protocol.
func ask[R any](s *station.Station, op string, args any, medium *os.File) (R, error) {
	var result R
	ours, theirs, err := control.Pair()
	if err != nil {
		return result, err
	}
	server := &control.Server{Handler: s, Log: zerolog.Nop()}
	done := make(chan struct{})
	go func() {
		defer close(done)
		server.ServeConn(context.Background(), ours)
	}()
	err = control.Do(theirs, op, args, medium, nil, &result)
	<-done
	return result, err
}

// asked is ask that must not fail.
func asked[R any](t testing.TB, s *station.Station, op string, args any) R {
	t.Helper()
	r, err := ask[R](s, op, args, nil)
	if err != nil {
		t.Fatalf("%s: %v", op, err)
	}
	return r
}

// office is an authority, a source and an EMS station that know each other.
type office struct {
	authority, source, ems *node
	root                   []byte
	bundle                 []byte
}

func newOffice(t testing.TB) *office {
	t.Helper()
	return newOfficeUnder(t, station.FoundArgs{Threshold: 1})
}

// newOfficeUnder is an office whose root one holder can use alone.
func newOfficeUnder(t testing.TB, root station.FoundArgs) *office {
	t.Helper()
	o := &office{authority: newNode(t, "authority", "authority"), source: newNode(t, "precinct-1", "source"), ems: newNode(t, "ems-1", "ems", election)}
	o.found(t, root)
	var list []station.AdmitArgs
	for _, n := range []*node{o.source, o.ems} {
		n.init(o.root)
		kinds := []string{"election-definition", "cvr-export", "media-set"}
		if n == o.ems {
			kinds = []string{"results-report"}
		}
		list = append(list, station.AdmitArgs{Answer: o.answer(t, n), Kinds: kinds, Elections: []string{election}})
	}
	o.bundle = o.draft(t, station.DraftArgs{Admit: list})
	install(t, o.bundle, o.source, o.ems)
	return o
}

// found initialises the authority and makes its root.
func (o *office) found(t testing.TB, root station.FoundArgs) {
	t.Helper()
	o.authority.init(nil)
	o.authority.with(func(s *station.Station) {
		o.root = asked[station.Document](t, s, station.OpAuthorityFound, root).Body
	})
}

// answer takes a station through the authority's challenge.
func (o *office) answer(t testing.TB, n *node) []byte {
	t.Helper()
	req := n.request(t)
	return n.activate(t, o.challenge(t, station.ChallengeArgs{Request: req.Body, EKSHA256: req.EKSHA256}).Body)
}

func (n *node) request(t testing.TB) (req station.Requested) {
	t.Helper()
	n.with(func(s *station.Station) {
		req = asked[station.Requested](t, s, station.OpEnrolRequest, station.NoArgs{})
	})
	return req
}

func (o *office) challenge(t testing.TB, a station.ChallengeArgs) (c station.Challenged) {
	t.Helper()
	o.authority.with(func(s *station.Station) {
		c = asked[station.Challenged](t, s, station.OpAuthorityChallenge, a)
	})
	return c
}

func (n *node) activate(t testing.TB, challenge []byte) (answer []byte) {
	t.Helper()
	n.with(func(s *station.Station) {
		answer = asked[station.Document](t, s, station.OpEnrolActivate, station.ActivateArgs{Challenge: challenge}).Body
	})
	return answer
}

// install gives a bundle to stations.
func install(t testing.TB, bundle []byte, nodes ...*node) {
	t.Helper()
	for _, n := range nodes {
		n.with(func(s *station.Station) {
			asked[station.Trust](t, s, station.OpTrustInstall, delivery(bundle))
		})
	}
}

// refuses asks for what the station must refuse, with a code and words for
// people.
func refuses(t testing.TB, s *station.Station, op string, args any, code string, says ...string) {
	t.Helper()
	_, err := ask[map[string]any](s, op, args, nil)
	if err == nil {
		t.Errorf("%s was done, want %s: %q", op, code, says)
		return
	}
	f := failure(t, err)
	if f.Code != code {
		t.Errorf("%s: %s: %s, want %s", op, f.Code, f.Message, code)
	}
	for _, words := range says {
		if !strings.Contains(f.Message, words) {
			t.Errorf("%s: %q does not say %q", op, f.Message, words)
		}
	}
}

// parcel is a sealed package with what belongs into it.
type parcel struct {
	station.Sealed
	contents map[string][]byte
}

func sealed(t testing.TB, s *station.Station, a station.SealArgs, contents map[string][]byte) parcel {
	t.Helper()
	return parcel{asked[station.Sealed](t, s, station.OpSeal, a), contents}
}

// sealNote has the station seal a small text in a stream.
func (n *node) sealNote(t testing.TB, stream string) (p parcel) {
	t.Helper()
	contents := map[string][]byte{"note.txt": []byte("note")}
	a := request(t, manifest.MediaSet, contents)
	a.Stream = stream
	n.with(func(s *station.Station) { p = sealed(t, s, a, contents) })
	return p
}

// medium is the image of a medium with whole packages, as 'sallyport seal'
// makes it.
func medium(t testing.TB, parcels ...parcel) string {
	t.Helper()
	files := testmedia.Files{}
	for _, p := range parcels {
		onMedium(files, p.Sealed, p.contents)
		if p.Evidence != nil {
			files["SALLYPORT/"+p.PackageID+"/evidence.json"] = p.Evidence
		}
	}
	return testmedia.FAT(t, testmedia.Options{Bits: 16, SizeMiB: 12}, files)
}

// arrival is a package on a medium of its own, and what becomes of it: the
// reasons why it is held, or "accepted".
type arrival struct {
	parcel
	want string
}

func takes(t testing.TB, s *station.Station, arrivals ...arrival) {
	t.Helper()
	for i, a := range arrivals {
		rep, err := insert(s, medium(t, a.parcel))
		if err != nil {
			t.Fatal(err)
		}
		var reasons []string
		for _, p := range rep.Packages {
			for _, f := range p.Findings {
				reasons = append(reasons, string(f.Reason))
			}
		}
		if rep.Verdict == verdict.Accepted {
			reasons = append(reasons, string(rep.Verdict))
		}
		if got := strings.Join(reasons, " "); got != a.want {
			t.Errorf("medium %d, sequence %d: %s, want %s: %+v", i+1, a.Seq, got, a.want, rep.Packages)
		}
		if !rep.Sealed {
			t.Errorf("medium %d: no checkpoint covers its verdict", i+1)
		}
	}
}

// draft makes the authority's next bundle, which needs no other signature.
func (o *office) draft(t testing.TB, a station.DraftArgs) (bundle []byte) {
	t.Helper()
	o.authority.with(func(s *station.Station) {
		d := asked[station.Draft](t, s, station.OpAuthorityDraft, a)
		if !d.Complete {
			t.Fatal("the draft needs more signatures")
		}
		bundle = d.Body
	})
	return bundle
}

func delivery(bundle []byte) trust.Delivery {
	return trust.Delivery{Rotations: []trust.Rotation{}, Bundle: bundle}
}

// request asks for a seal over some contents.
func request(t testing.TB, kind manifest.Kind, contents map[string][]byte) station.SealArgs {
	t.Helper()
	id := make([]byte, 16)
	rand.Read(id)
	definition := sha256.Sum256(small(t, "definition.json"))
	a := station.SealArgs{PackageID: hex.EncodeToString(id), Kind: kind, ElectionID: election, ElectionSHA256: hex.EncodeToString(definition[:]), Audience: "ems-1"}
	for _, path := range slices.Sorted(maps.Keys(contents)) { // the order of a manifest
		data := contents[path]
		sum := sha256.Sum256(data)
		a.Files = append(a.Files, manifest.File{Path: path, Size: int64(len(data)), SHA256: hex.EncodeToString(sum[:]), MediaType: "application/json"})
	}
	return a
}

// onMedium puts a sealed package among the files of a medium.
func onMedium(files testmedia.Files, sealed station.Sealed, contents map[string][]byte) {
	files["SALLYPORT/"+sealed.PackageID+"/manifest.dsse.json"] = sealed.Envelope
	if sealed.Evidence != nil {
		files["SALLYPORT/"+sealed.PackageID+"/evidence.json"] = sealed.Evidence
	}
	for path, data := range contents {
		files["SALLYPORT/"+sealed.PackageID+"/data/"+path] = data
	}
}

func small(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("..", "..", "testdata", "elections", "small", name))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// entries returns the log's entries of one event or family.
func entries(t testing.TB, s *station.Station, event string) []audit.Entry {
	t.Helper()
	return asked[station.Log](t, s, station.OpLogShow, audit.Filter{Event: event}).Entries
}

// publicKeys is one of the station's keys as it gives it to sallyport-verify.
func publicKeys(t testing.TB, s *station.Station, what string) []*ecdsa.PublicKey {
	t.Helper()
	block, _ := pem.Decode(asked[station.Document](t, s, station.OpTrustKey, station.KeyArgs{For: what}).Body)
	key, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return []*ecdsa.PublicKey{key.(*ecdsa.PublicKey)}
}

// checkLog verifies the log of a closed station with its public key alone.
func (n *node) checkLog(keys translog.VerifyOptions) {
	n.t.Helper()
	rep, err := audit.Verify(context.Background(), filepath.Join(n.cfg.StateDir, "log"), keys)
	n.must(err)
	if !rep.OK() || len(rep.Open) > 0 || len(rep.Torn) > 0 || rep.Unsealed > 0 {
		n.t.Errorf("log: damage %v, open intents %v, torn %v, %d entries unsealed", rep.Damage, rep.Open, rep.Torn, rep.Unsealed)
	}
}

func failure(t testing.TB, err error) *control.Failure {
	t.Helper()
	var f *control.Failure
	if !errors.As(err, &f) {
		t.Fatalf("error %v, want a refusal that the caller understands", err)
	}
	return f
}
