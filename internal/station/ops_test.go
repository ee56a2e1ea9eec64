package station_test

import (
	"crypto/ecdsa"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sallyport/internal/audit"
	"sallyport/internal/dsse"
	"sallyport/internal/durable"
	"sallyport/internal/manifest"
	"sallyport/internal/station"
	"sallyport/internal/testmedia"
	"sallyport/internal/translog"
	"sallyport/internal/verdict"
)

func TestTrustInstall(t *testing.T) {
	o := newOffice(t) // version 1 is installed
	second := o.draft(t, station.DraftArgs{})
	foreign := newOffice(t).bundle
	o.ems.with(func(s *station.Station) {
		install := func(bundle []byte) (station.Trust, error) {
			return ask[station.Trust](s, station.OpTrustInstall, delivery(bundle), nil)
		}
		got, err := install(second)
		if err != nil || got.Version != 2 || len(got.Stations) != 2 {
			t.Fatalf("version 2: %+v, %v", got, err)
		}
		refusals := []struct {
			name   string
			bundle []byte
			reason verdict.Reason
		}{
			{"an older one", o.bundle, verdict.Superseded},
			{"one of another authority", foreign, verdict.SignerUnknown},
			{"what is no bundle", []byte("{}"), verdict.ManifestMalformed},
		}
		for _, c := range refusals {
			_, err := install(c.bundle)
			if f := failure(t, err); f.Code != string(c.reason) || !strings.Contains(f.Message, "was not installed") || !strings.Contains(f.Message, "ask the election authority") {
				t.Errorf("%s: %+v, want %s with the next step", c.name, f, c.reason)
			}
		}
		if _, err := install(second); err != nil {
			t.Errorf("the same one again: %v", err)
		}
		var outcomes []string
		for _, e := range entries(t, s, string(audit.TrustInstall)) {
			if e.Phase == audit.PhaseOutcome {
				outcomes = append(outcomes, strings.Join([]string{string(e.Outcome), e.Fields["version"], e.Fields["reason"]}, " "))
			}
		}
		want := "success 1 |success 2 |refused  superseded|refused  signer-unknown|refused  manifest-malformed|success 2 "
		if got := strings.Join(outcomes, "|"); got != want {
			t.Errorf("the log says %q, want %q", got, want)
		}
	})
	o.ems.with(func(s *station.Station) {
		if got := asked[station.Trust](t, s, station.OpTrustShow, station.NoArgs{}); got.Version != 2 {
			t.Errorf("after a restart the version is %d", got.Version)
		}
	})
}

func TestAForkOfTheTrustBundleIsRefused(t *testing.T) {
	o := newOffice(t)
	// The state of the authority is restored between two issues, and its software
	// TPM with it: nothing else would let it work on.
	before, tpm := memory(t)+"/state", memory(t)+"/tpm"
	o.ems.must(os.CopyFS(before, os.DirFS(o.authority.cfg.StateDir)))
	o.authority.swtpm.Save(tpm)
	one := o.draft(t, station.DraftArgs{})
	o.authority.cfg.StateDir = before
	o.authority.swtpm.Rewind(tpm)
	two := o.draft(t, station.DraftArgs{Alter: []station.AlterArgs{{Station: "precinct-1", Kinds: &[]string{"media-set"}}}})
	o.ems.with(func(s *station.Station) {
		asked[station.Trust](t, s, station.OpTrustInstall, delivery(one))
		_, err := ask[station.Trust](s, station.OpTrustInstall, delivery(two), nil)
		if f := failure(t, err); f.Code != string(verdict.Fork) {
			t.Errorf("%+v, want fork", f)
		}
		list := entries(t, s, string(audit.TrustInstall))
		if last := list[len(list)-1]; last.Outcome != audit.Refused || last.Fields["reason"] != string(verdict.Fork) {
			t.Errorf("the log says %+v", last)
		}
	})
}

// The log is sealed by a key of its own: the key that signs packages verifies
// no log, and the log key no package.
func TestPackagesAndLogHaveTwoKeys(t *testing.T) {
	n := newNode(t, "authority", "authority")
	n.init(nil)
	var log, packages []*ecdsa.PublicKey
	n.with(func(s *station.Station) {
		log = publicKeys(t, s, station.KeyForLog)
		packages = publicKeys(t, s, station.KeyForPackages)
		id, err := dsse.KeyID(packages[0])
		if shown := asked[station.Status](t, s, station.OpStatus, station.NoArgs{}).KeyID; err != nil || shown != id {
			t.Errorf("the status shows the key %s, packages are signed by %s, %v", shown, id, err)
		}
	})
	n.checkLog(translog.VerifyOptions{Keys: log})
	rep, err := audit.Verify(t.Context(), filepath.Join(n.cfg.StateDir, "log"), translog.VerifyOptions{Keys: packages})
	if err != nil || rep.OK() {
		t.Errorf("the log verifies with the key that signs packages: %+v, %v", rep, err)
	}
}

func TestOnlyAnAuthorityIssues(t *testing.T) {
	o := newOffice(t)
	o.source.with(func(s *station.Station) {
		_, err := ask[station.Draft](s, station.OpAuthorityDraft, station.DraftArgs{}, nil)
		if f := failure(t, err); f.Code != "usage" || !strings.Contains(f.Message, "only an authority") {
			t.Errorf("%+v", f)
		}
	})
}

func TestOperationsRefuseWhatIsNoRequest(t *testing.T) {
	n := newNode(t, "authority", "authority")
	n.init(nil)
	file := memory(t) + "/image"
	n.must(os.WriteFile(file, make([]byte, 4096), 0o600))
	writable, err := os.OpenFile(file, os.O_RDWR, 0)
	n.must(err)
	defer writable.Close()
	folder, err := os.Open(memory(t))
	n.must(err)
	defer folder.Close()
	n.with(func(s *station.Station) {
		for _, c := range []struct {
			op, code string
			args     any
			medium   *os.File
		}{
			{"destroy", "usage", station.NoArgs{}, nil},
			{station.OpIntake, "usage", station.IntakeArgs{Name: "x"}, nil},
			{station.OpIntake, "usage", station.IntakeArgs{Name: "x"}, writable},
			{station.OpIntake, "usage", station.IntakeArgs{Name: "x"}, folder},
			{station.OpIntake, "usage", map[string]any{"name": "x", "force": true}, nil},
			{station.OpQuarantineShow, "not-found", station.ItemArgs{Item: "abc"}, nil},
			{station.OpQuarantineShow, "not-found", station.ItemArgs{Item: ""}, nil},
			{station.OpTrustShow, "trust-missing", station.NoArgs{}, nil},
			{station.OpAuthorityDraft, "usage", station.DraftArgs{Admit: []station.AdmitArgs{{Answer: []byte("{}")}}}, nil},
			{station.OpAuthorityDraft, "usage", station.DraftArgs{Admit: []station.AdmitArgs{{Kinds: []string{"everything"}}}}, nil},
			{station.OpTrustKey, "usage", station.NoArgs{}, nil},
			{station.OpTrustKey, "usage", station.KeyArgs{For: "everything"}, nil},
			{station.OpTally, "usage", station.TallyArgs{}, nil},
			{station.OpTally, "not-found", station.TallyArgs{ElectionArgs: station.ElectionArgs{ElectionID: "none"}}, nil},
		} {
			_, err := ask[map[string]any](s, c.op, c.args, c.medium)
			if f := failure(t, err); f.Code != c.code {
				t.Errorf("%s %+v: %s: %s, want %s", c.op, c.args, f.Code, f.Message, c.code)
			}
		}
		if e := entries(t, s, "medium"); len(e) > 0 {
			t.Errorf("the log has media: %+v", e)
		}
	})
}

func TestQuarantineIsShown(t *testing.T) {
	o := newOffice(t)
	files := testmedia.Files{}
	contents := map[string][]byte{"note.txt": []byte("signed")}
	o.source.with(func(s *station.Station) {
		onMedium(files, asked[station.Sealed](t, s, station.OpSeal, request(t, manifest.MediaSet, contents)), contents)
	})
	for name := range files {
		if strings.HasSuffix(name, "note.txt") {
			files[name] = []byte("CHANGE")
		}
	}
	image := testmedia.FAT(t, testmedia.Options{Bits: 16, SizeMiB: 12}, files)
	o.ems.with(func(s *station.Station) {
		rep, err := insert(s, image)
		o.ems.must(err)
		list := asked[station.Quarantine](t, s, station.OpQuarantineList, station.NoArgs{}).Items
		if len(list) != 1 || list[0].Item != rep.Packages[0].Item || list[0].Package != rep.Packages[0].Package || strings.Join(list[0].Reasons, " ") != "file-altered" || list[0].Problem != "" || list[0].Medium != "fat16.img" {
			t.Fatalf("the quarantine lists %+v", list)
		}
		show := func() station.Held {
			return asked[station.Held](t, s, station.OpQuarantineShow, station.ItemArgs{Item: list[0].Item[:4], Verify: true})
		}
		got := show()
		if got.Item != list[0].Item || got.Intact != "yes" || len(got.Files) != 3 || got.Files[0].Name != "manifest.dsse.json" || len(got.Findings) != 1 {
			t.Errorf("the item is shown as %+v", got)
		}
		pack := o.ems.cfg.StateDir + "/vault/held/" + got.Item + "/pack"
		data, err := os.ReadFile(pack)
		o.ems.must(err)
		data[len(data)-1] ^= 1
		o.ems.must(os.Chmod(pack, 0o600))
		o.ems.must(os.WriteFile(pack, data, 0o600))
		if got := show(); got.Intact == "yes" || !strings.Contains(got.Intact, "SHA-256") {
			t.Errorf("a damaged item is called intact: %q", got.Intact)
		}
	})
}

func TestStatusSaysWhyAStationIsNotReady(t *testing.T) {
	n := newNode(t, "authority", "authority")
	n.init(nil)
	s := n.open(durable.FS{})
	st := asked[station.Status](t, s, station.OpStatus, station.NoArgs{})
	if !st.TPMReady || !st.SoftwareTPM || st.TrustVersion != 0 || len(st.NotReady) != 1 || !strings.HasPrefix(st.NotReady[0], "trust-missing") || st.LogEntries == 0 {
		t.Errorf("status %+v", st)
	}
	n.swtpm.Kill()
	st = asked[station.Status](t, s, station.OpStatus, station.NoArgs{})
	if st.TPMReady || st.CanSeal || len(st.NotReady) != 2 || !strings.HasPrefix(st.NotReady[0], "tpm-unavailable") {
		t.Errorf("without TPM: status %+v", st)
	}
	n.swtpm.Restart()
	n.must(s.Close(t.Context()))
}
