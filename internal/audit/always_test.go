package audit_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"sallyport/internal/config"
	"sallyport/internal/control"
	"sallyport/internal/custody"
	"sallyport/internal/daemon"
	"sallyport/internal/durable"
	"sallyport/internal/ems"
	"sallyport/internal/manifest"
	wiring "sallyport/internal/station"
	"sallyport/internal/testtool"
	"sallyport/internal/tpm/tpmtest"
	"sallyport/internal/trust"
)

// TestNoSettingTurnsTheLogOff tries what an administrator might write to be rid of
// the audit log.
func TestNoSettingTurnsTheLogOff(t *testing.T) {
	const station = "[station]\nid = \"a\"\nname = \"A\"\nrole = \"source\"\njurisdiction = \"us/maple-county\"\n"
	load := func(text string) error {
		file := filepath.Join(t.TempDir(), "sallyport.toml")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := config.Load(file)
		return err
	}
	if err := load(station + "[log]\nlevel = \"error\"\n"); err != nil {
		t.Fatal(err)
	}
	for _, more := range []string{
		"[audit]\nenabled = false\n", "[audit]\n", "[log]\naudit = false\n", "[log]\nenabled = false\n", "[log]\nfile = \"/dev/null\"\n",
		"[log]\nlevel = \"off\"\n", "[log]\nlevel = \"none\"\n", "[log]\nlevel = \"disabled\"\n", "[log]\nlevel = \"\"\n", "[log]\nlevel = false\n",
		"[log]\nseal = false\n", "[log]\nanchor = false\n", "[limits]\nlog_bytes = 0\n",
	} {
		if err := load(station + more); err == nil {
			t.Errorf("the station takes %q", more)
		}
	}
	// The shipped file names every key (package config sees to that): the only ones
	// that speak of a log are those of the administrators' log.
	example, err := os.ReadFile("../../systemd/sallyport.toml")
	if err != nil {
		t.Fatal(err)
	}
	var about []string
	for _, line := range regexp.MustCompile(`(?m)^#? ?(\[?[a-z_.]+)(\]| =)`).FindAllStringSubmatch(string(example), -1) {
		if strings.Contains(line[1], "log") || strings.Contains(line[1], "audit") {
			about = append(about, line[1])
		}
	}
	if !slices.Equal(about, []string{"[log"}) {
		t.Errorf("the configuration has the keys %q about a log", about)
	}
	var out bytes.Buffer
	daemon.Main(t.Context(), []string{"--help"}, &out, &out)
	if flags := regexp.MustCompile(`--[a-z-]+`).FindAllString(out.String(), -1); !slices.Equal(slices.Compact(flags), []string{"--help", "--config"}) {
		t.Errorf("the daemon has the flags %q", flags)
	}
}

// office is a station with a real swtpm.
type office struct {
	t   *testing.T
	cfg *config.Config
}

func newOffice(t *testing.T, role string, root []byte) *office {
	t.Helper()
	addr, _ := tpmtest.Start(t)
	dir := t.TempDir()
	o := &office{t, &config.Config{
		Station:  config.Station{ID: role, Name: "Station", Role: role, Jurisdiction: "us/maple-county"},
		StateDir: filepath.Join(dir, "state"), TPM: addr, Reader: "/usr/lib/sallyport/sallyport-reader",
		Control: config.Control{Socket: filepath.Join(dir, "control.sock")},
		Limits:  config.Limits{QuarantineMaxBytes: 1 << 30, ReserveBytes: 1 << 20, Stall: 10 * time.Second, Total: time.Hour},
		File:    filepath.Join(dir, "sallyport.toml"),
	}}
	_, err := wiring.Init(t.Context(), o.cfg, wiring.Options{Log: zerolog.Nop()}, root)
	o.must(err)
	return o
}

func (o *office) must(err error) {
	o.t.Helper()
	if err != nil {
		o.t.Fatal(err)
	}
}

func (o *office) open(fs durable.FS) *wiring.Station {
	o.t.Helper()
	s, err := wiring.Open(o.t.Context(), o.cfg, wiring.Options{FS: fs, Log: zerolog.Nop()})
	o.must(err)
	return s
}

// asked opens the station for one operation, which must not fail.
func asked[R any](o *office, op string, args any) R {
	o.t.Helper()
	s := o.open(durable.FS{})
	r, err := o.ask(s, op, args)
	o.must(err)
	o.must(s.Close(context.Background()))
	return r.(R)
}

// ask carries out one operation.
func (o *office) ask(s *wiring.Station, op string, args any) (any, error) {
	o.t.Helper()
	b, err := json.Marshal(args)
	o.must(err)
	c := &control.Call{Op: op, Args: b, Progress: func(control.Progress) {}}
	if op == wiring.OpIntake {
		name := filepath.Join(o.t.TempDir(), "medium")
		o.must(os.WriteFile(name, make([]byte, 1<<20), 0o600))
		if c.Medium, err = os.Open(name); err != nil {
			o.t.Fatal(err)
		}
		defer c.Medium.Close()
	}
	return s.Handle(o.t.Context(), c)
}

// state is what stands in the state folder, but for the log.
func (o *office) state() string {
	o.t.Helper()
	return string(testtool.Run(o.t, "find", o.cfg.StateDir, "-path", filepath.Join(o.cfg.StateDir, logDir), "-prune", "-o", "-type", "f", "-printf", "%P %s %T@\n"))
}

const logDir = "log"

// operations returns the operations of the control socket, as they are declared.
func operations(t *testing.T) (ops []string) {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), "../station/api.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(f, func(n ast.Node) bool {
		if v, ok := n.(*ast.ValueSpec); ok && strings.HasPrefix(v.Names[0].Name, "Op") && len(v.Values) == 1 {
			name, err := strconv.Unquote(v.Values[0].(*ast.BasicLit).Value)
			if err != nil {
				t.Fatal(err)
			}
			ops = append(ops, name)
		}
		return true
	})
	return ops
}

// TestNothingIsDoneWithoutTheLog lets the audit log refuse, and asks an authority
// and a source for everything that changes something: none of it happens, and the
// station stops.
func TestNothingIsDoneWithoutTheLog(t *testing.T) {
	authority, some := newOffice(t, "authority", nil), []byte("{}")
	tried := map[string]bool{}
	refuse := func(o *office, ops map[string]any) {
		for op, args := range ops {
			tried[op] = true
			t.Run(o.cfg.Station.Role+" "+op, func(t *testing.T) {
				o := &office{t, o.cfg}
				o.refuses(op, args)
			})
		}
	}
	found := wiring.FoundArgs{Threshold: 1, Signers: [][]byte{}}
	refuse(authority, map[string]any{wiring.OpAuthorityFound: found, wiring.OpAuthorityAdopt: wiring.AdoptArgs{Root: some}})
	root := asked[wiring.Document](authority, wiring.OpAuthorityFound, found).Body

	source := newOffice(t, "source", root)
	r := asked[wiring.Requested](source, wiring.OpEnrolRequest, wiring.NoArgs{})
	c := asked[wiring.Challenged](authority, wiring.OpAuthorityChallenge, wiring.ChallengeArgs{Request: r.Body, Vendors: [][]byte{}, EKSHA256: r.EKSHA256})
	refuse(source, map[string]any{wiring.OpEnrolActivate: wiring.ActivateArgs{Challenge: c.Body}})
	answer := asked[wiring.Document](source, wiring.OpEnrolActivate, wiring.ActivateArgs{Challenge: c.Body}).Body
	draft := wiring.DraftArgs{Admit: []wiring.AdmitArgs{{Answer: answer, Kinds: []string{"media-set"}, Elections: []string{}}},
		Revoke: []wiring.RevokeArgs{}, Alter: []wiring.AlterArgs{}, Approve: []wiring.ApproveArgs{}}
	refuse(authority, map[string]any{wiring.OpAuthorityDraft: draft})
	bundle := asked[wiring.Draft](authority, wiring.OpAuthorityDraft, draft).Body
	refuse(authority, map[string]any{wiring.OpAuthorityDiscard: wiring.NoArgs{},
		wiring.OpAuthorityChallenge: wiring.ChallengeArgs{Request: r.Body, Vendors: [][]byte{}, EKSHA256: r.EKSHA256},
		wiring.OpAuthorityRotate:    found, wiring.OpAuthoritySign: wiring.SignArgs{Draft: some},
	})
	delivery := trust.Delivery{Rotations: []trust.Rotation{}, Bundle: bundle}
	refuse(source, map[string]any{wiring.OpTrustInstall: delivery})
	asked[wiring.Trust](source, wiring.OpTrustInstall, delivery)
	refuse(source, map[string]any{
		wiring.OpSeal: wiring.SealArgs{PackageID: strings.Repeat("0", 32), Kind: manifest.MediaSet, Audience: "source",
			Files: []manifest.File{{Path: "a", SHA256: strings.Repeat("0", 64), MediaType: "text/plain"}}},
		wiring.OpEnrolRequest: wiring.NoArgs{}, wiring.OpBootMeasure: wiring.NoArgs{}, wiring.OpIntake: wiring.IntakeArgs{Name: "medium"},
		wiring.OpLogAttest: wiring.AttestArgs{Nonce: strings.Repeat("5a", 16)}, wiring.OpEnrolHandover: wiring.HandoverArgs{Request: some},
	})
	stick := custody.Description{Label: "M1", FSID: "0F1E-2D3C", Direction: custody.In}
	refuse(source, map[string]any{wiring.OpMediaRegister: stick, wiring.OpLogExported: wiring.ExportedArgs{Format: "csv"},
		wiring.OpMediaImport: wiring.MediaImportArgs{List: []byte("label,serial,fs_id,seal,direction,single_use,note\nL1,LIST-1,,S1,in,,\n")}})
	asked[*custody.Medium](source, wiring.OpMediaRegister, stick)
	refuse(source, map[string]any{wiring.OpMediaChange: wiring.MediaChangeArgs{MediumArgs: wiring.MediumArgs{Medium: "M1"}, Change: custody.Change{Act: custody.Retire, Note: "worn"}}})
	decides := wiring.Decides{ElectionID: "county-2026", Who: "canvass board", Why: "canvass"}
	refuse(source, map[string]any{wiring.OpClosePolls: decides, wiring.OpSetStatus: wiring.SetStatusArgs{Decides: decides, Status: "unofficial-partial"},
		wiring.OpAdjudicate:  wiring.AdjudicateArgs{Decides: decides, Decisions: []ems.Decision{{Ballot: "b", Contest: "c", Reject: true}}},
		wiring.OpManualTally: wiring.ManualArgs{Decides: decides, Tally: ems.ManualTally{Name: "hand count", Contests: []ems.ManualContest{}}},
		wiring.OpSetRules:    wiring.RulesArgs{Decides: decides, Contest: "c", Config: some},
		wiring.OpResults:     wiring.ResultsArgs{ElectionArgs: wiring.ElectionArgs{ElectionID: decides.ElectionID}, Form: "html"}})
	for _, op := range []string{wiring.OpLogProve, wiring.OpLogPeers, wiring.OpLogBundle, wiring.OpMediaList, wiring.OpMediaShow, wiring.OpStatus, wiring.OpWatch, wiring.OpSealAgain, wiring.OpQuarantineList, wiring.OpQuarantineShow, wiring.OpLogShow,
		wiring.OpTrustShow, wiring.OpTrustDelivery, wiring.OpTrustRoot, wiring.OpTrustIdentity, wiring.OpTrustKey, wiring.OpAuthorityKey,
		wiring.OpAuthorityStatus, wiring.OpElections, wiring.OpTally, wiring.OpBreakdown, wiring.OpEMSStatus, wiring.OpWriteIns} {
		tried[op] = true // these only read
	}
	for _, op := range operations(t) {
		if !tried[op] {
			t.Errorf("the operation %s is new: try it here, or say that it only reads", op)
		}
	}
	for _, o := range []*office{authority, source} { // after all of that
		asked[wiring.Document](o, wiring.OpTrustIdentity, wiring.NoArgs{})
	}
}

var errLog = errors.New("the log refuses")

// refuses asks for an operation while every change of the log fails.
func (o *office) refuses(op string, args any) {
	o.t.Helper()
	armed := false
	s := o.open(durable.FS{Hook: func(step string, _ bool) error {
		if armed && strings.HasPrefix(step, "translog.") {
			return fmt.Errorf("%s: %w", step, errLog)
		}
		return nil
	}})
	before := o.state()
	armed = true
	answer, err := o.ask(s, op, args)
	// A hand-over looks at the request first, and this is none.
	early := op == wiring.OpEnrolHandover
	if err == nil || !early && !errors.Is(err, errLog) {
		o.t.Errorf("the station answered %v, %v", answer, err)
	}
	if after := o.state(); after != before {
		o.t.Errorf("it changed something:\n%s\nwas\n%s", after, before)
	}
	select {
	case err := <-s.Fatal():
		if !errors.Is(err, errLog) {
			o.t.Errorf("the station stops because of %v", err)
		}
	default:
		if !early && op != wiring.OpLogAttest { // which only asks for a seal
			o.t.Error("the station works on")
		}
	}
	if err := s.Close(context.Background()); err == nil {
		o.t.Error("the station closed in order, without an entry of it")
	}
}
