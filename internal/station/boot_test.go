package station_test

import (
	"slices"
	"testing"

	"sallyport/internal/audit"
	"sallyport/internal/durable"
	"sallyport/internal/station"
	"sallyport/internal/translog"
)

func (n *node) measure(t testing.TB) (m station.Measured) {
	t.Helper()
	n.with(func(s *station.Station) {
		m = asked[station.Measured](t, s, station.OpBootMeasure, station.NoArgs{})
	})
	return m
}

// checkOwnLog verifies the log of a closed station with the key that it shows.
func (n *node) checkOwnLog(t testing.TB) {
	t.Helper()
	var opt translog.VerifyOptions
	n.with(func(s *station.Station) { opt.Keys = publicKeys(t, s, station.KeyForLog) })
	n.checkLog(opt)
}

// cannotSeal checks that a station seals nothing, and says why.
func cannotSeal(t *testing.T, s *station.Station) {
	t.Helper()
	refuses(t, s, station.OpSeal, note(t), "boot-state-mismatch", "not approved", "sallyport station measure")
	if st := asked[station.Status](t, s, station.OpStatus, station.NoArgs{}); st.CanSeal || st.SealNote == "" || len(st.NotReady) != 0 {
		t.Errorf("the status says: can seal %v (%s), not ready %q", st.CanSeal, st.SealNote, st.NotReady)
	}
}

// TestABoundKeySealsInApprovedStatesAlone: a changed boot takes the signing key
// away, and nothing else, until the authority has approved the new state.
func TestABoundKeySealsInApprovedStatesAlone(t *testing.T) {
	for _, pcr := range []uint{7, 11} {
		t.Run(map[uint]string{7: "Secure Boot", 11: "the kernel image"}[pcr], func(t *testing.T) {
			o := newOffice(t)
			o.source.sealNote(t, "s")
			first := o.source.measure(t)
			if !first.Bound || len(first.Approved) != 1 {
				t.Fatalf("measured is %+v", first)
			}
			o.source.swtpm.Extend(pcr)
			o.source.with(func(s *station.Station) {
				cannotSeal(t, s)
				e := entries(t, s, string(audit.PackageSeal))
				if last := e[len(e)-1]; last.Outcome != audit.Failure || last.Fields["detail"] == "" {
					t.Errorf("the log says %+v", last)
				}
			})
			o.source.checkOwnLog(t) // with a checkpoint over all of that
			second := o.source.measure(t)
			if len(second.Approved) != 0 || second.Policy == first.Policy {
				t.Errorf("measured is %+v", second)
			}
			label := first.Approved[0]
			install(t, o.draft(t, station.DraftArgs{Approve: []station.ApproveArgs{{Measurement: second.Body, Label: "release 2"}}}), o.source)
			o.source.sealNote(t, "s")
			if m := o.source.measure(t); !slices.Equal(m.Approved, []string{"release 2"}) {
				t.Errorf("approved as %q", m.Approved)
			}
			o.source.swtpm.Restart() // into the first state
			o.source.sealNote(t, "s")
			install(t, o.draft(t, station.DraftArgs{Approve: []station.ApproveArgs{{Measurement: second.Body, Label: "release 2", Drop: []string{label}}}}), o.source)
			for range 2 { // also after a restart of the station
				o.source.with(func(s *station.Station) { cannotSeal(t, s) })
			}
			o.source.swtpm.Restart()
			o.source.swtpm.Extend(pcr)
			o.source.sealNote(t, "s")
		})
	}
}

// A running station notices that the state changed under it, and that the
// bundle which came by medium approves it.
func TestABoundKeyOfARunningStation(t *testing.T) {
	o := newOffice(t)
	s := o.source.open(durable.FS{})
	asked[station.Sealed](t, s, station.OpSeal, note(t))
	o.source.swtpm.Extend(11)
	cannotSeal(t, s)
	m := asked[station.Measured](t, s, station.OpBootMeasure, station.NoArgs{})
	bundle := o.draft(t, station.DraftArgs{Approve: []station.ApproveArgs{{Measurement: m.Body, Label: "two"}}})
	asked[station.Trust](t, s, station.OpTrustInstall, delivery(bundle))
	asked[station.Sealed](t, s, station.OpSeal, note(t))
	if st := asked[station.Status](t, s, station.OpStatus, station.NoArgs{}); !st.CanSeal || st.SealNote != "" {
		t.Errorf("the status says: can seal %v (%s)", st.CanSeal, st.SealNote)
	}
	o.source.must(s.Close(t.Context()))
}

// TestMediaAreTakenInAnyBootState: what receives needs no signing key.
func TestMediaAreTakenInAnyBootState(t *testing.T) {
	o := newOffice(t)
	p := o.source.sealNote(t, "s")
	o.ems.swtpm.Extend(7)
	o.ems.with(func(s *station.Station) {
		cannotSeal(t, s)
		takes(t, s, arrival{p, "accepted"})
	})
	o.ems.checkOwnLog(t)
}

func TestApproveRefuses(t *testing.T) {
	o := newOffice(t)
	m, other := o.source.measure(t), newOffice(t).source.measure(t)
	o.source.swtpm.Extend(11)
	changed := o.source.measure(t)
	o.authority.with(func(s *station.Station) {
		for name, c := range map[string]struct {
			args station.ApproveArgs
			code string
			says string
		}{
			"another TPM's":             {station.ApproveArgs{Measurement: other.Body}, "signer-unknown", "not enrolled for station precinct-1"},
			"no state of that label":    {station.ApproveArgs{Measurement: m.Body, Drop: []string{"nothing"}}, "usage", `none that is called "nothing"`},
			"another state's label":     {station.ApproveArgs{Measurement: changed.Body, Label: m.Approved[0]}, "usage", "another label"},
			"of a station not enrolled": {station.ApproveArgs{Measurement: o.authority.measureOf(t, s)}, "usage", "is not enrolled"},
		} {
			t.Run(name, func(t *testing.T) {
				refuses(t, s, station.OpAuthorityDraft, station.DraftArgs{Approve: []station.ApproveArgs{c.args}}, c.code, c.says)
			})
		}
	})
}

// measureOf is measure of a station that is open.
func (n *node) measureOf(t testing.TB, s *station.Station) []byte {
	t.Helper()
	return asked[station.Measured](t, s, station.OpBootMeasure, station.NoArgs{}).Body
}

// TestEvidence: packages show in which state they were sealed, and a receiver
// takes those of an attested station in an approved state alone.
func TestEvidence(t *testing.T) {
	for name, root := range map[string]station.FoundArgs{
		"bound":     {Threshold: 1},
		"not bound": {Threshold: 1, BootHolder: station.NoBootKey},
	} {
		t.Run(name, func(t *testing.T) {
			o := newOfficeUnder(t, root)
			// The receiver demands more than the TPM itself does: PCR 4 as well.
			m := o.source.measure(t)
			if m.Bound != (name == "bound") {
				t.Fatalf("measured is %+v", m)
			}
			yes, before := true, o.source.sealNote(t, "plain")
			install(t, o.draft(t, station.DraftArgs{
				Approve: []station.ApproveArgs{{Measurement: m.Body, Label: "release 1", PCRs: []uint{4}, Drop: m.Approved}},
				Alter:   []station.AlterArgs{{Station: "precinct-1", Attested: &yes}},
			}), o.source, o.ems)
			good, without, torn := o.source.sealNote(t, "good"), o.source.sealNote(t, "without"), o.source.sealNote(t, "torn")
			without.Evidence = nil
			torn.Evidence = torn.Evidence[:len(torn.Evidence)-1]
			o.source.swtpm.Extend(4)
			elsewhere := o.source.sealNote(t, "elsewhere") // the TPM does not mind
			o.ems.with(func(s *station.Station) {
				takes(t, s, arrival{good, "accepted"}, arrival{before, "accepted"}, arrival{without, "boot-state-mismatch"},
					arrival{torn, "manifest-malformed"}, arrival{elsewhere, "boot-state-mismatch"})
			})
			if name == "bound" {
				return
			}
			o.source.swtpm.Restart()
			o.source.swtpm.Extend(11)
			late := o.source.sealNote(t, "late")
			o.ems.with(func(s *station.Station) { takes(t, s, arrival{late, "boot-state-mismatch"}) })
		})
	}
}

// Attested is asked for with no approved state: the bundle would refuse all
// packages of the station, so it is not made.
func TestAttestedNeedsAnApprovedState(t *testing.T) {
	o := newOfficeUnder(t, station.FoundArgs{Threshold: 1, BootHolder: station.NoBootKey})
	yes := true
	o.authority.with(func(s *station.Station) {
		refuses(t, s, station.OpAuthorityDraft, station.DraftArgs{Alter: []station.AlterArgs{{Station: "precinct-1", Attested: &yes}}}, "usage", "precinct-1", "none is approved")
	})
	n := o.join(t, "precinct-2", "source")
	install(t, o.draft(t, station.DraftArgs{Admit: []station.AdmitArgs{{Answer: o.answer(t, n), Kinds: []string{"media-set"}, Elections: []string{election}, Attested: true}}}), n, o.ems)
	p := n.sealNote(t, "s")
	o.ems.with(func(s *station.Station) { takes(t, s, arrival{p, "accepted"}) })
}
