package station_test

import (
	"context"
	"strings"
	"testing"

	"sallyport/internal/audit"
	"sallyport/internal/durable"
	"sallyport/internal/station"
)

// TestHandover: a station gets another TPM. Its old one seals its last package,
// the new one its first, and receivers take both in any order.
func TestHandover(t *testing.T) {
	o := newOffice(t)
	first, last := o.source.sealNote(t, "s"), o.source.sealNote(t, "s")
	next := o.join(t, "precinct-1", "source")
	req := next.request(t)
	var h station.HandedOver
	o.source.with(func(s *station.Station) {
		h = asked[station.HandedOver](t, s, station.OpEnrolHandover, station.HandoverArgs{Request: req.Body})
		refuses(t, s, station.OpSeal, note(t), "usage", "has handed over", "seals nothing any more")
	})
	if h.NewKey != req.KeyID || h.LastSeq < last.Seq {
		t.Errorf("handed over is %+v; the last package has sequence %d", h, last.Seq)
	}
	o.source.with(func(s *station.Station) { // after a restart, and asked once more
		refuses(t, s, station.OpSeal, note(t), "usage", "has handed over")
		if st := asked[station.Status](t, s, station.OpStatus, station.NoArgs{}); st.CanSeal || !strings.Contains(st.SealNote, "handed over") {
			t.Errorf("the status says: can seal %v (%s)", st.CanSeal, st.SealNote)
		}
		if again := asked[station.HandedOver](t, s, station.OpEnrolHandover, station.HandoverArgs{Request: req.Body}); again.LastSeq != h.LastSeq || again.NewKey != h.NewKey {
			t.Errorf("asked again, it hands over %+v, before it was %+v", again, h)
		}
		third := o.join(t, "precinct-1", "source")
		refuses(t, s, station.OpEnrolHandover, station.HandoverArgs{Request: third.request(t).Body}, "usage", "has handed over already")
		asked[station.Sealed](t, s, station.OpSealAgain, station.SealAgainArgs{PackageID: last.PackageID}) // what was sealed can be given out again
		wantSaid(t, s, audit.EnrolHandover, "success", "success", "refused")
	})
	admit := station.AdmitArgs{Answer: o.answerTo(t, next, req), Kinds: []string{"media-set"}, Elections: []string{election}, Handover: h.Body}
	install(t, o.draft(t, station.DraftArgs{Admit: []station.AdmitArgs{admit}}), next, o.ems)
	new1, new2 := next.sealNote(t, "s"), next.sealNote(t, "s")
	o.ems.with(func(s *station.Station) {
		takes(t, s, arrival{first, "accepted"}, arrival{new1, "accepted"}, arrival{last, "accepted"}, arrival{new2, "accepted"})
		keys := map[string]*int64{}
		for _, k := range enrolled(t, asked[station.Trust](t, s, station.OpTrustShow, station.NoArgs{}), "precinct-1").Keys {
			keys[k.ID] = k.RevokedAfterSeq
		}
		if r := keys[h.NewKey]; len(keys) != 4 || r != nil {
			t.Errorf("the keys are %+v", keys)
		}
	})
	o.source.checkOwnLog(t)
}

// answerTo takes a request through the authority's challenge.
func (o *office) answerTo(t testing.TB, n *node, req station.Requested) []byte {
	t.Helper()
	return n.activate(t, o.challenge(t, station.ChallengeArgs{Request: req.Body, EKSHA256: req.EKSHA256}).Body)
}

func TestHandoverRefuses(t *testing.T) {
	o := newOffice(t)
	other := o.join(t, "precinct-2", "source")
	own, foreign := o.source.request(t), other.request(t)
	o.source.with(func(s *station.Station) {
		refuses(t, s, station.OpEnrolHandover, station.HandoverArgs{Request: own.Body}, "usage", "another key of the same station")
		refuses(t, s, station.OpEnrolHandover, station.HandoverArgs{Request: foreign.Body}, "usage", "precinct-2", "another key of the same station")
		refuses(t, s, station.OpEnrolHandover, station.HandoverArgs{Request: []byte("{}")}, "manifest-malformed", "enrolment request")
		asked[station.Sealed](t, s, station.OpSeal, note(t))
	})
	// One for another request admits nobody.
	next, late := o.join(t, "precinct-1", "source"), o.join(t, "precinct-1", "source")
	var h station.HandedOver
	o.source.with(func(s *station.Station) {
		h = asked[station.HandedOver](t, s, station.OpEnrolHandover, station.HandoverArgs{Request: next.request(t).Body})
	})
	answer := o.answer(t, late)
	o.authority.with(func(s *station.Station) {
		for name, c := range map[string]struct {
			body       []byte
			code, says string
		}{
			"another request's": {h.Body, "signer-not-permitted", "not what was asked for"},
			"what is none":      {[]byte("{}"), "manifest-malformed", "hand-over"},
		} {
			t.Run(name, func(t *testing.T) {
				refuses(t, s, station.OpAuthorityDraft, station.DraftArgs{Admit: []station.AdmitArgs{{Answer: answer, Handover: c.body}}}, c.code, c.says)
			})
		}
	})
}

// TestPowerCutsWhileHandingOver: before the marker nothing has happened; behind
// it nothing is sealed any more, and asking again gives the same number.
func TestPowerCutsWhileHandingOver(t *testing.T) {
	o := newOffice(t)
	next := o.join(t, "precinct-1", "source")
	req := next.request(t)
	last := o.source.sealNote(t, "s")
	handOver := func(s *station.Station) error {
		_, err := ask[station.HandedOver](s, station.OpEnrolHandover, station.HandoverArgs{Request: req.Body}, nil)
		return err
	}
	retired, free := 0, 0
	atEachStep(t, o.source, 8, handOver, func(t *testing.T, s *station.Station) {
		highest := last.Seq
		if _, err := ask[station.Sealed](s, station.OpSeal, note(t), nil); err != nil {
			retired++
			refuses(t, s, station.OpSeal, note(t), "usage", "has handed over")
		} else {
			free++
			highest = asked[station.Sealed](t, s, station.OpSeal, note(t)).Seq
		}
		h := asked[station.HandedOver](t, s, station.OpEnrolHandover, station.HandoverArgs{Request: req.Body})
		if again := asked[station.HandedOver](t, s, station.OpEnrolHandover, station.HandoverArgs{Request: req.Body}); again.LastSeq != h.LastSeq || h.LastSeq < highest {
			t.Errorf("handed over after %d, then after %d; the last package has sequence %d", h.LastSeq, again.LastSeq, highest)
		}
		refuses(t, s, station.OpSeal, note(t), "usage", "has handed over")
	})
	if retired < 4 || free < 4 {
		t.Errorf("%d cuts left a station that had handed over, %d one that had not", retired, free)
	}
}

// Where the signing key cannot be used nothing is handed over, and the station is
// not retired either.
func TestHandoverInAnUnapprovedState(t *testing.T) {
	o := newOffice(t)
	next := o.join(t, "precinct-1", "source")
	req := next.request(t)
	o.source.swtpm.Extend(11)
	o.source.with(func(s *station.Station) {
		refuses(t, s, station.OpEnrolHandover, station.HandoverArgs{Request: req.Body}, "boot-state-mismatch", "not approved")
		wantSaid(t, s, audit.EnrolHandover, "refused boot-state-mismatch")
		cannotSeal(t, s)
	})
	o.source.swtpm.Restart()
	o.source.sealNote(t, "s")
	never := o.join(t, "precinct-1", "source") // enrolled by nobody, it has nothing to hand over
	never.with(func(s *station.Station) {
		refuses(t, s, station.OpEnrolHandover, station.HandoverArgs{Request: req.Body}, "trust-missing")
	})
}

// While a package is sealed the hand-over waits, and the other way round.
func TestHandoverAndSealAtOnce(t *testing.T) {
	o := newOffice(t)
	next := o.join(t, "precinct-1", "source")
	req := next.request(t)
	s := o.source.open(durable.FS{})
	type sealedOne struct {
		seq int64
		err error
	}
	done := make(chan sealedOne)
	for range 4 {
		a := note(t)
		go func() {
			p, err := ask[station.Sealed](s, station.OpSeal, a, nil)
			done <- sealedOne{p.Seq, err}
		}()
	}
	h := asked[station.HandedOver](t, s, station.OpEnrolHandover, station.HandoverArgs{Request: req.Body})
	for range 4 {
		if one := <-done; one.err == nil && one.seq > h.LastSeq {
			t.Errorf("sequence %d was sealed although %d was to be the last", one.seq, h.LastSeq)
		}
	}
	o.source.must(s.Close(context.Background()))
}
