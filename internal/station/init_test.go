package station_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sallyport/internal/audit"
	"sallyport/internal/control"
	"sallyport/internal/durable"
	"sallyport/internal/station"
	"sallyport/internal/testmedia"
	"sallyport/internal/testtool"
	"sallyport/internal/tpm"
	"sallyport/internal/translog"
)

// sameTPM is another station that would use the TPM of n.
func (n *node) sameTPM(t *testing.T, id string) *node {
	other := *n
	cfg := *n.cfg
	cfg.Station.ID, cfg.StateDir = id, filepath.Join(memory(t), "state")
	other.cfg = &cfg
	return &other
}

func wantError(t *testing.T, err error, is error, says ...string) {
	t.Helper()
	if err == nil || (is != nil && !errors.Is(err, is)) {
		t.Fatalf("error %v, want %v", err, is)
	}
	for _, s := range says {
		if !strings.Contains(err.Error(), s) {
			t.Errorf("error %q does not say %q", err, s)
		}
	}
}

func TestInitRefuses(t *testing.T) {
	n := newNode(t, "authority", "authority")
	n.init(nil)
	try := func(n *node, root []byte) error {
		_, err := station.Init(t.Context(), n.cfg, options(durable.FS{}), root)
		return err
	}
	t.Run("a station that exists", func(t *testing.T) {
		wantError(t, try(n, nil), nil, "holds a station already")
	})
	t.Run("a TPM that another station uses", func(t *testing.T) {
		other := n.sameTPM(t, "second")
		for range 2 { // the first try must not give the second one any right
			wantError(t, try(other, nil), tpm.ErrExists)
			if _, err := os.Stat(other.cfg.StateDir); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("a state folder was left: %v", err)
			}
		}
	})
	t.Run("while another init is at work", func(t *testing.T) {
		other := n.sameTPM(t, "second")
		n.must(os.MkdirAll(other.cfg.StateDir, 0o700))
		n.must(os.WriteFile(filepath.Join(other.cfg.StateDir, "init.unfinished"), nil, 0o600))
		lock, err := durable.LockDir(other.cfg.StateDir)
		n.must(err)
		defer lock.Close()
		wantError(t, try(other, nil), durable.ErrLocked)
	})
	t.Run("a folder with something else", func(t *testing.T) {
		other := n.sameTPM(t, "second")
		n.must(os.MkdirAll(other.cfg.StateDir, 0o700))
		n.must(os.WriteFile(filepath.Join(other.cfg.StateDir, "thesis.doc"), []byte("x"), 0o600))
		wantError(t, try(other, nil), nil, "not empty")
		if _, err := os.Stat(filepath.Join(other.cfg.StateDir, "thesis.doc")); err != nil {
			t.Error(err)
		}
	})
	t.Run("a source without the authority's root", func(t *testing.T) {
		other := n.sameTPM(t, "second")
		other.cfg.Station.Role = "source"
		wantError(t, try(other, nil), nil, "--root")
	})
	t.Run("a software TPM in production", func(t *testing.T) {
		other := n.sameTPM(t, "second")
		other.cfg.Production = true
		wantError(t, try(other, nil), nil, "software TPM", "production")
	})
	// After all of that the first station is as it was.
	n.with(func(*station.Station) {})
}

// TestInitCutOffAnywhere fails each durable step of an init, before and after
// its effect; the next init must need no help.
func TestInitCutOffAnywhere(t *testing.T) {
	n := newNode(t, "authority", "authority")
	sab := &saboteur{armed: true}
	run := func(sab *saboteur) error {
		_, err := station.Init(t.Context(), n.cfg, options(durable.FS{Hook: sab.hook}), nil)
		return err
	}
	n.must(run(sab))
	if len(sab.steps) < 40 {
		t.Fatalf("an init has only %d durable steps: %v", len(sab.steps), sab.steps)
	}
	// Every second step, for time: what "fails in effect" leaves of one is what
	// "fails" leaves of the next.
	for i := 0; i < len(sab.steps); i += 2 {
		step := sab.steps[i]
		for _, after := range []bool{false, true} {
			emptyTPM(t, n.cfg.TPM)
			n.cfg.StateDir = filepath.Join(memory(t), "state")
			if err := run(&saboteur{armed: true, at: i + 1, after: after, do: func() error { return errDisk }}); !errors.Is(err, errDisk) {
				t.Fatalf("%s: %v", step, err)
			}
			if _, err := os.Stat(filepath.Join(n.cfg.StateDir, "station.json")); err == nil {
				wantError(t, run(&saboteur{}), nil, "holds a station already") // it had come to its end
			} else if err := run(&saboteur{}); err != nil {
				t.Fatalf("%s (after its effect: %v): the next init says %v", step, after, err)
			}
			n.with(func(*station.Station) {})
			if _, err := os.Stat(filepath.Join(n.cfg.StateDir, "init.unfinished")); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("%s: the marker is still there: %v", step, err)
			}
		}
	}
}

func emptyTPM(t *testing.T, addr string) {
	t.Helper()
	tp, err := tpm.Open(t.Context(), addr)
	if err == nil {
		err = errors.Join(tp.RemoveIdentity(t.Context()), tp.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestOpenRefuses(t *testing.T) {
	n := newNode(t, "authority", "authority")
	try := func() error {
		s, err := station.Open(t.Context(), n.cfg, options(durable.FS{}))
		if err == nil {
			s.Close(context.Background())
		}
		return err
	}
	wantError(t, try(), station.ErrNotInitialised)
	n.init(nil)
	for name, change := range map[string]func(){
		"id":           func() { n.cfg.Station.ID = "authority-2" },
		"role":         func() { n.cfg.Station.Role = "source" },
		"jurisdiction": func() { n.cfg.Station.Jurisdiction = "us/oak-county" },
	} {
		t.Run("another "+name, func(t *testing.T) {
			was := n.cfg.Station
			defer func() { n.cfg.Station = was }()
			change()
			wantError(t, try(), nil, "correct [station] in the configuration")
		})
	}
	t.Run("a software TPM in production", func(t *testing.T) {
		n.cfg.Production = true
		defer func() { n.cfg.Production = false }()
		wantError(t, try(), nil, "software TPM")
	})
	t.Run("two at once", func(t *testing.T) {
		n.with(func(s *station.Station) {
			wantError(t, try(), durable.ErrLocked)
			asked[station.Status](t, s, station.OpStatus, station.NoArgs{}) // the first works on
		})
	})
	t.Run("another TPM", func(t *testing.T) {
		other := newNode(t, "authority", "authority")
		other.init(nil)
		was := n.cfg.TPM
		defer func() { n.cfg.TPM = was }()
		n.cfg.TPM = other.cfg.TPM
		wantError(t, try(), tpm.ErrChanged)
	})
	t.Run("a damaged log", func(t *testing.T) {
		n.with(func(*station.Station) {})
		log := filepath.Join(n.cfg.StateDir, "log")
		segments, err := filepath.Glob(filepath.Join(log, "*"))
		n.must(err)
		for _, path := range segments {
			st, err := os.Stat(path)
			n.must(err)
			data, err := os.ReadFile(path)
			n.must(err)
			if i := strings.Index(string(data), "station.init"); i >= 0 && st.Mode().IsRegular() {
				data[i] ^= 1
				n.must(os.WriteFile(path, data, 0o600))
			}
		}
		lockedStation(t, n)
		// What is intact can be read without the station as well.
		journal, err := translog.Open(log, translog.Options{ReadOnly: true})
		if journal == nil {
			t.Fatalf("the log cannot be read: %v", err)
		}
		defer journal.Close()
		found := false
		for e, err := range audit.Query(journal, audit.Filter{Event: string(audit.StationStop)}) {
			found = found || err == nil && e.Event == audit.StationStop
		}
		if !found {
			t.Error("the entries behind the damage cannot be read")
		}
	})
}

func TestTheStartIsLogged(t *testing.T) {
	o := newOffice(t)
	o.ems.cfg.SHA256 = [32]byte{0xab}
	o.ems.with(func(s *station.Station) {
		start := entries(t, s, string(audit.StationStart))
		if last := start[len(start)-1]; last.Fields["trust_version"] != "1" || last.Fields["station_id"] != "ems-1" {
			t.Errorf("station.start says %v", last.Fields)
		}
		loaded := entries(t, s, string(audit.ConfigLoaded))
		last := loaded[len(loaded)-1]
		if last.Fields["path"] != o.ems.cfg.File || !strings.HasPrefix(last.Fields["sha256"], "ab00") || last.Fields["production"] != "false" {
			t.Errorf("config.loaded says %v", last.Fields)
		}
	})
}

// lockedStation checks a station whose log is damaged: it says why, is read and
// changes nothing.
func lockedStation(t *testing.T, n *node) {
	t.Helper()
	tree := func() string {
		return string(testtool.Run(t, "find", n.cfg.StateDir, "-type", "f", "-printf", "%P %s %T@\n"))
	}
	was := tree()
	n.with(func(s *station.Station) {
		st := asked[station.Status](t, s, station.OpStatus, station.NoArgs{})
		if st.CanSeal || len(st.NotReady) == 0 || !strings.Contains(strings.Join(st.NotReady, " "), "the station is locked") || !strings.Contains(strings.Join(st.NotReady, " "), "sallyport-verify log") {
			t.Errorf("the status says %+v", st)
		}
		asked[station.Quarantine](t, s, station.OpQuarantineList, station.NoArgs{})
		asked[station.Document](t, s, station.OpTrustIdentity, station.NoArgs{})
		asked[station.Log](t, s, station.OpLogShow, station.LogArgs{Export: true})
		if _, err := ask[station.Proof](s, station.OpLogProve, station.ProveArgs{}, nil); err != nil && !strings.Contains(failure(t, err).Message, "cannot prove entry 0") {
			t.Errorf("a proof: %v", err)
		}
		for op, args := range map[string]any{
			station.OpSeal: note(t), station.OpTrustInstall: delivery(nil), station.OpAuthorityDraft: station.DraftArgs{}, station.OpLogAttest: station.AttestArgs{Nonce: strings.Repeat("00", 16)},
			station.OpEnrolRequest: station.NoArgs{}, station.OpTally: station.TallyArgs{},
		} {
			_, err := ask[map[string]any](s, op, args, nil)
			if f := failure(t, err); f.Code != control.CodeUnavailable || !strings.Contains(f.Message, "the station is locked") {
				t.Errorf("%s: %+v", op, f)
			}
		}
		_, err := insert(s, testmedia.FAT(t, testmedia.Options{Bits: 16, SizeMiB: 12}, testmedia.Files{"a": []byte("b")}))
		if f := failure(t, err); f.Code != control.CodeUnavailable {
			t.Errorf("intake: %+v", f)
		}
	})
	if now := tree(); now != was {
		t.Errorf("the state folder changed:\n%s\n%s", was, now)
	}
}
