package station_test

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sallyport/internal/audit"
	"sallyport/internal/authority"
	"sallyport/internal/durable"
	"sallyport/internal/station"
	"sallyport/internal/tpm/tpmtest"
	"sallyport/internal/translog"
	"sallyport/internal/trust"
	"sallyport/internal/verdict"
)

// newDesk is an office with an authority that has enrolled nobody yet.
func newDesk(t testing.TB) *office {
	t.Helper()
	o := &office{authority: newNode(t, "authority", "authority")}
	o.found(t, station.FoundArgs{Threshold: 1})
	return o
}

// join makes one more station under the office's root.
func (o *office) join(t testing.TB, id, role string, elections ...string) *node {
	t.Helper()
	n := newNode(t, id, role, elections...)
	n.init(o.root)
	return n
}

// said are the outcomes of an event in the log, each with the field reason; an
// intent without an outcome is "open".
func said(t testing.TB, s *station.Station, event audit.EventID) (all []string) {
	t.Helper()
	for _, e := range entries(t, s, string(event)) {
		switch {
		case e.Phase == audit.PhaseIntent:
			all = append(all, "open")
		case len(all) == 0 || all[len(all)-1] != "open":
			t.Errorf("%s: an outcome without its intent", event)
		default:
			all[len(all)-1] = strings.TrimSpace(string(e.Outcome) + " " + e.Fields["reason"])
		}
	}
	return all
}

// wantSaid compares the outcomes of an event.
func wantSaid(t testing.TB, s *station.Station, event audit.EventID, want ...string) {
	t.Helper()
	if got := said(t, s, event); !slices.Equal(got, want) {
		t.Errorf("the log says of %s: %q, want %q", event, got, want)
	}
}

// enrolled finds a station in a bundle.
func enrolled(t testing.TB, b station.Trust, id string) trust.Station {
	t.Helper()
	i := slices.IndexFunc(b.Stations, func(s trust.Station) bool { return s.ID == id })
	if i < 0 {
		t.Fatalf("station %s is not in trust bundle %d", id, b.Version)
	}
	return b.Stations[i]
}

// TestEnrolment goes the whole way for a TPM whose maker vouches for it, one with
// an ECC certificate as well, and one that people know by its digest alone.
func TestEnrolment(t *testing.T) {
	maker := tpmtest.NewMaker(t)
	o := newDesk(t)
	var vendors [][]byte
	for _, c := range []struct {
		id    string
		tpm   *tpmtest.Process
		proof trust.Proof
	}{
		{"rsa", maker.NewTPM(), trust.ByCertificate},
		{"ecc", maker.NewECCTPM(), trust.ByCertificate},
		{"paper", tpmtest.New(t), trust.ByComparison},
	} {
		t.Run(c.id, func(t *testing.T) {
			n := newNodeOn(t, c.tpm, c.id, "source")
			n.init(o.root)
			req := n.request(t)
			args := station.ChallengeArgs{Request: req.Body}
			if req.EKCertificate != (c.proof == trust.ByCertificate) {
				t.Fatalf("the request says that the TPM holds a certificate: %v", req.EKCertificate)
			}
			for _, ca := range maker.Authorities() {
				args.Vendors = append(args.Vendors, ca.Raw)
			}
			vendors = args.Vendors
			if c.proof == trust.ByComparison {
				args.EKSHA256 = strings.ToUpper(req.EKSHA256[:8]) + " " + req.EKSHA256[8:] // as people type it
			}
			got := o.challenge(t, args)
			if got.StationID != c.id || got.KeyID != req.KeyID || got.EKSHA256 != req.EKSHA256 || got.Proof != string(c.proof) || !got.SoftwareTPM || got.Role != "source" {
				t.Errorf("the authority sees %+v, the station shows %+v", got, req)
			}
			bundle := o.draft(t, station.DraftArgs{Admit: []station.AdmitArgs{{Answer: n.activate(t, got.Body), Kinds: []string{"media-set"}}}})
			install(t, bundle, n)
			n.with(func(s *station.Station) {
				e := enrolled(t, asked[station.Trust](t, s, station.OpTrustShow, station.NoArgs{}), c.id)
				proven := 0
				for _, k := range e.Keys {
					if k.Beside == "" && k.ID == req.KeyID && k.Proof == c.proof && k.SoftwareTPM {
						proven++
					}
				}
				if proven != 1 || len(e.Keys) != 2 {
					t.Errorf("it is enrolled as %+v", e)
				}
				asked[station.Sealed](t, s, station.OpSeal, note(t))
				wantSaid(t, s, audit.EnrolRequest, "success")
				wantSaid(t, s, audit.EnrolActivate, "success")
			})
		})
	}
	o.authority.with(func(s *station.Station) {
		wantSaid(t, s, audit.AuthorityRoot, "success")
		wantSaid(t, s, audit.AuthorityChallenge, "success", "success", "success")
		wantSaid(t, s, audit.AuthorityDraft, "success", "success", "success")
		e := entries(t, s, string(audit.AuthorityChallenge))
		if last := e[len(e)-1].Fields; last["station_id"] != "paper" || last["proof"] != string(trust.ByComparison) || last["key_id"] == "" {
			t.Errorf("the log says of the last challenge: %v", last)
		}
		if st := asked[authority.Status](t, s, station.OpAuthorityStatus, station.NoArgs{}); st.Installed != 3 || len(st.Pending) != 0 || st.Draft != nil {
			t.Errorf("on the desk are %+v", st)
		}
	})
	t.Run("a maker that nobody trusts", func(t *testing.T) {
		n := newNodeOn(t, tpmtest.NewMaker(t).NewTPM(), "rogue", "source")
		n.init(o.root)
		o.authority.with(func(s *station.Station) {
			refuses(t, s, station.OpAuthorityChallenge, station.ChallengeArgs{Request: n.request(t).Body, Vendors: vendors}, "signer-unknown", "ek_certificate")
		})
	})
}

// A challenge is refused for a TPM that is not known, and says what is missing.
func TestChallengeRefuses(t *testing.T) {
	o := newDesk(t)
	n := o.join(t, "precinct-1", "source")
	elsewhere := newDesk(t)
	foreign := elsewhere.join(t, "precinct-2", "source")
	unbound := &office{authority: newNode(t, "authority", "authority")}
	unbound.found(t, station.FoundArgs{Threshold: 1, BootHolder: station.NoBootKey})
	loose := unbound.join(t, "precinct-3", "source")
	req, other := n.request(t), foreign.request(t)
	free := loose.request(t)
	o.authority.with(func(s *station.Station) {
		for name, c := range map[string]struct {
			args station.ChallengeArgs
			code string
			says []string
		}{
			"no certificate":         {station.ChallengeArgs{Request: req.Body, Vendors: [][]byte{}}, "signer-unknown", []string{"--ek-sha256", req.EKSHA256}},
			"another digest":         {station.ChallengeArgs{Request: req.Body, EKSHA256: other.EKSHA256}, "signer-unknown", []string{req.EKSHA256, other.EKSHA256}},
			"no certificate at all":  {station.ChallengeArgs{Request: req.Body, Vendors: [][]byte{[]byte("x")}}, "usage", []string{"cannot be read"}},
			"what is no request":     {station.ChallengeArgs{Request: []byte("{}"), EKSHA256: req.EKSHA256}, "manifest-malformed", []string{"enrolment request"}},
			"another authority's":    {station.ChallengeArgs{Request: other.Body, EKSHA256: other.EKSHA256}, "signer-not-permitted", []string{"another boot key", "initialise"}},
			"bound to no boot state": {station.ChallengeArgs{Request: free.Body, EKSHA256: free.EKSHA256}, "signer-not-permitted", []string{"boot key"}},
		} {
			t.Run(name, func(t *testing.T) {
				refuses(t, s, station.OpAuthorityChallenge, c.args, c.code, c.says...)
			})
		}
		if st := asked[authority.Status](t, s, station.OpAuthorityStatus, station.NoArgs{}); len(st.Pending) != 0 {
			t.Errorf("the authority waits for %+v", st.Pending)
		}
		for _, got := range said(t, s, audit.AuthorityChallenge) {
			if !strings.HasPrefix(got, "refused") {
				t.Errorf("the log says %q", got)
			}
		}
	})
}

// The configuration takes any printable name for people, a bundle plain ASCII
// alone: the station hears of it when it asks, and can be named anew.
func TestANameThatNoBundleHolds(t *testing.T) {
	o := newDesk(t)
	n := o.join(t, "precinct-1", "source")
	n.cfg.Station.Name = "Rathaus, großer Saal"
	n.with(func(s *station.Station) {
		refuses(t, s, station.OpEnrolRequest, station.NoArgs{}, "usage", "as it is configured", "plain ASCII")
		wantSaid(t, s, audit.EnrolRequest, "refused")
	})
	n.cfg.Station.Name = "Rathaus, grosser Saal"
	o.answer(t, n)
}

// TestAnswersThatProveNothing: whatever comes back instead of the right answer
// enrols nobody, and changes nothing at the authority.
func TestAnswersThatProveNothing(t *testing.T) {
	o := newDesk(t)
	one, two := o.join(t, "precinct-1", "source"), o.join(t, "precinct-2", "source")
	first, second := one.request(t), two.request(t)
	toOne := o.challenge(t, station.ChallengeArgs{Request: first.Body, EKSHA256: first.EKSHA256})
	toTwo := o.challenge(t, station.ChallengeArgs{Request: second.Body, EKSHA256: second.EKSHA256})
	answer := one.activate(t, toOne.Body)
	with := func(change func(*trust.Answer)) []byte {
		a, err := trust.DecodeAnswer(answer)
		if err != nil {
			t.Fatal(err)
		}
		change(a)
		body, err := a.Encode()
		if err != nil {
			t.Fatal(err)
		}
		return body
	}
	admit := func(answer []byte) station.DraftArgs {
		return station.DraftArgs{Admit: []station.AdmitArgs{{Answer: answer, Kinds: []string{"media-set"}}}}
	}
	challenge2, err := trust.DecodeChallenge(toTwo.Body)
	if err != nil {
		t.Fatal(err)
	}
	o.authority.with(func(s *station.Station) {
		for name, c := range map[string]struct {
			answer []byte
			code   string
			says   string
		}{
			"another secret":               {with(func(a *trust.Answer) { a.Secret[0] ^= 1 }), "signature-invalid", "the TPM that answered is not the one of the request"},
			"another station's challenge":  {with(func(a *trust.Answer) { a.StationID, a.Request = "precinct-2", challenge2.Request }), "signature-invalid", "the TPM that answered is not the one of the request"},
			"in another station's name":    {with(func(a *trust.Answer) { a.StationID = "precinct-2" }), "signer-unknown", "precinct-2"},
			"to what was never challenged": {with(func(a *trust.Answer) { a.Request = strings.Repeat("ab", 32) }), "signer-unknown", "has given out no challenge"},
			"what is no answer":            {[]byte("{}"), "manifest-malformed", "enrolment answer"},
		} {
			t.Run(name, func(t *testing.T) {
				refuses(t, s, station.OpAuthorityDraft, admit(c.answer), c.code, c.says)
			})
		}
		refuses(t, s, station.OpTrustShow, station.NoArgs{}, "trust-missing")
		if st := asked[authority.Status](t, s, station.OpAuthorityStatus, station.NoArgs{}); len(st.Pending) != 2 || st.Draft != nil || st.Installed != 0 {
			t.Errorf("on the desk are %+v", st)
		}
	})
	// Only the TPM of the request opens a challenge, whatever its envelope says.
	t.Run("a challenge for another station", func(t *testing.T) {
		two.with(func(s *station.Station) {
			refuses(t, s, station.OpEnrolActivate, station.ActivateArgs{Challenge: toOne.Body}, "usage", "for station precinct-1, this is precinct-2")
			challenge2.StationID = "precinct-1" // whose secret is for the second station's TPM
		})
		body, err := challenge2.Encode()
		if err != nil {
			t.Fatal(err)
		}
		one.with(func(s *station.Station) {
			refuses(t, s, station.OpEnrolActivate, station.ActivateArgs{Challenge: body}, "usage", "not made for this station's TPM", "sallyport station request")
			refuses(t, s, station.OpEnrolActivate, station.ActivateArgs{Challenge: []byte("{}")}, "manifest-malformed", "enrolment challenge")
			wantSaid(t, s, audit.EnrolActivate, "success", "refused")
		})
	})
	t.Run("used twice", func(t *testing.T) {
		o.draft(t, admit(answer))
		o.authority.with(func(s *station.Station) {
			refuses(t, s, station.OpAuthorityDraft, admit(answer), "signer-unknown", "or has admitted it already")
			if b := asked[station.Trust](t, s, station.OpTrustShow, station.NoArgs{}); b.Version != 1 || len(b.Stations) != 1 {
				t.Errorf("installed is %+v", b)
			}
		})
	})
}

// TestInitialisedAnewBeforeTheChallenge: the keys of the request are gone, and
// the same TPM, with the same endorsement key, does not answer for them.
func TestInitialisedAnewBeforeTheChallenge(t *testing.T) {
	o := newDesk(t)
	n := o.join(t, "precinct-1", "source")
	req := n.request(t)
	c := o.challenge(t, station.ChallengeArgs{Request: req.Body, EKSHA256: req.EKSHA256})
	emptyTPM(t, n.cfg.TPM)
	n.cfg.StateDir = filepath.Join(memory(t), "state")
	n.init(o.root)
	n.with(func(s *station.Station) {
		refuses(t, s, station.OpEnrolActivate, station.ActivateArgs{Challenge: c.Body}, "usage", "not made for this station's TPM", "sallyport station request")
		wantSaid(t, s, audit.EnrolActivate, "refused")
	})
	again := n.request(t)
	if again.EKSHA256 != req.EKSHA256 || again.KeyID == req.KeyID {
		t.Errorf("the second request is %+v, the first was %+v", again, req)
	}
	install(t, o.draft(t, station.DraftArgs{Admit: []station.AdmitArgs{{Answer: o.answer(t, n), Kinds: []string{"media-set"}}}}), n)
	n.sealNote(t, "s")
	n.with(func(s *station.Station) {
		keys := publicKeys(t, s, station.KeyForLog)
		t.Cleanup(func() { n.checkLog(translog.VerifyOptions{Keys: keys, Origin: "sallyport/" + county + "/precinct-1"}) })
	})
}

// One answer may come to the desk after the next request: a second challenge for
// a request replaces the first, and does not hinder another one.
func TestASecondChallengeReplacesTheFirst(t *testing.T) {
	o := newDesk(t)
	n := o.join(t, "precinct-1", "source")
	req := n.request(t)
	args := station.ChallengeArgs{Request: req.Body, EKSHA256: req.EKSHA256}
	first, second := o.challenge(t, args), o.challenge(t, args)
	late, right := n.activate(t, first.Body), n.activate(t, second.Body)
	o.authority.with(func(s *station.Station) {
		refuses(t, s, station.OpAuthorityDraft, station.DraftArgs{Admit: []station.AdmitArgs{{Answer: late}}}, "signature-invalid")
	})
	o.draft(t, station.DraftArgs{Admit: []station.AdmitArgs{{Answer: right}}})
}

// atEachStep lets each durable step of an operation fail, before and after its
// effect, always in the station as it was, and has then look at what is left after
// the station was opened anew. The steps are those whose names begin with one of
// only, or all.
func atEachStep(t *testing.T, n *node, fewest int, do func(*station.Station) error, then func(t *testing.T, s *station.Station), only ...string) {
	t.Helper()
	state, tpm := filepath.Join(memory(t), "state"), filepath.Join(memory(t), "tpm")
	n.must(os.CopyFS(state, os.DirFS(n.cfg.StateDir)))
	n.swtpm.Save(tpm)
	run := func(sab *saboteur) error {
		n.swtpm.Rewind(tpm)
		n.must(os.RemoveAll(n.cfg.StateDir))
		n.must(os.CopyFS(n.cfg.StateDir, os.DirFS(state)))
		s := n.open(durable.FS{Hook: sab.hook})
		sab.arm(true)
		err := do(s)
		sab.arm(false)
		_ = s.Close(context.Background()) // after a failure it may not be able to log its end
		return err
	}
	whole := &saboteur{}
	n.must(run(whole))
	if len(whole.steps) < fewest {
		t.Fatalf("there are only %d durable steps: %v", len(whole.steps), whole.steps)
	}
	for i, step := range whole.steps {
		if i != slices.Index(whole.steps, step) && slices.Contains(whole.steps[i+1:], step) {
			continue // the first and the last of each name, as in the table of an intake
		}
		if len(only) > 0 && !slices.ContainsFunc(only, func(start string) bool { return strings.HasPrefix(step, start) }) {
			continue
		}
		for _, after := range []bool{false, true} {
			t.Run(step+map[bool]string{false: "-fails", true: "-fails-in-effect"}[after], func(t *testing.T) {
				err := run(&saboteur{at: i + 1, after: after, do: func() error { return errDisk }})
				if err == nil && !strings.HasPrefix(step, "translog.checkpoint") && !strings.HasPrefix(step, "floor.") {
					t.Error("it succeeded")
				}
				n.with(func(s *station.Station) { then(t, s) })
			})
		}
	}
}

func TestPowerCutsAtTheDesk(t *testing.T) {
	t.Run("found", func(t *testing.T) {
		n := newNode(t, "authority", "authority")
		n.init(nil)
		found := func(s *station.Station) error {
			_, err := ask[station.Document](s, station.OpAuthorityFound, station.FoundArgs{Threshold: 1}, nil)
			return err
		}
		atEachStep(t, n, 8, found, func(t *testing.T, s *station.Station) {
			st := asked[authority.Status](t, s, station.OpAuthorityStatus, station.NoArgs{})
			if st.Root == nil { // nothing was done: it can be done now
				n.must(found(s))
			}
			asked[station.Document](t, s, station.OpTrustRoot, station.NoArgs{})
			refuses(t, s, station.OpAuthorityFound, station.FoundArgs{Threshold: 1}, "usage", "this station has one")
		})
	})
	t.Run("challenge", func(t *testing.T) {
		o := newDesk(t)
		n := o.join(t, "precinct-1", "source")
		req := n.request(t)
		challenge := func(s *station.Station) error {
			_, err := ask[station.Challenged](s, station.OpAuthorityChallenge, station.ChallengeArgs{Request: req.Body, EKSHA256: req.EKSHA256}, nil)
			return err
		}
		atEachStep(t, o.authority, 8, challenge, func(t *testing.T, s *station.Station) {
			c := asked[station.Challenged](t, s, station.OpAuthorityChallenge, station.ChallengeArgs{Request: req.Body, EKSHA256: req.EKSHA256})
			a := station.AdmitArgs{Answer: n.activate(t, c.Body), Kinds: []string{"media-set"}}
			if d := asked[station.Draft](t, s, station.OpAuthorityDraft, station.DraftArgs{Admit: []station.AdmitArgs{a}}); !d.Complete {
				t.Error("the draft is not complete")
			}
		})
	})
	// The draft with its admission, and the bundle that it makes at once: what was
	// admitted is never lost, and never half there.
	t.Run("draft", func(t *testing.T) {
		o := newDesk(t)
		a := station.DraftArgs{Admit: []station.AdmitArgs{{Answer: o.answer(t, o.join(t, "precinct-1", "source")), Kinds: []string{"media-set"}}}}
		draft := func(s *station.Station) error {
			_, err := ask[station.Draft](s, station.OpAuthorityDraft, a, nil)
			return err
		}
		atEachStep(t, o.authority, 16, draft, func(t *testing.T, s *station.Station) {
			st := asked[authority.Status](t, s, station.OpAuthorityStatus, station.NoArgs{})
			if st.Draft == nil && st.Installed == 0 {
				if len(st.Pending) != 1 {
					t.Errorf("neither drafted nor waited for: %+v", st)
				}
				n := len(said(t, s, audit.AuthorityDraft))
				o.authority.must(draft(s))
				if got := said(t, s, audit.AuthorityDraft); len(got) != n+1 || got[n] != "success" {
					t.Errorf("the log says %q", got)
				}
			} else { // the next draft stands upon the one that was lost on its way to the caller
				asked[station.Draft](t, s, station.OpAuthorityDraft, station.DraftArgs{})
			}
			b := asked[station.Trust](t, s, station.OpTrustShow, station.NoArgs{})
			if e := enrolled(t, b, "precinct-1"); len(b.Stations) != 1 || len(e.Boot) != 1 || len(e.Kinds) != 1 {
				t.Errorf("the bundle says %+v", b.Stations)
			}
		})
	})
}

// TestPowerCutsWhileTrustIsInstalled: the old bundle or the new one, and then the
// new one.
func TestPowerCutsWhileTrustIsInstalled(t *testing.T) {
	o := newOffice(t)
	second := o.draft(t, station.DraftArgs{})
	give := func(s *station.Station) error {
		_, err := ask[station.Trust](s, station.OpTrustInstall, delivery(second), nil)
		return err
	}
	atEachStep(t, o.source, 8, give, func(t *testing.T, s *station.Station) {
		was := asked[station.Trust](t, s, station.OpTrustShow, station.NoArgs{}).Version
		if was != 1 && was != 2 {
			t.Fatalf("version %d is installed", was)
		}
		o.source.must(give(s))
		asked[station.Sealed](t, s, station.OpSeal, note(t))
		if was == 2 {
			refuses(t, s, station.OpTrustInstall, delivery(o.bundle), "superseded")
		}
	})
}

// A medium brings the bundle: whatever was cut off, it is installed in the end, and
// its package is admitted once.
func TestPowerCutsWhileAMediumBringsTrust(t *testing.T) {
	o := newOffice(t)
	o.draft(t, station.DraftArgs{})
	image := medium(t, o.publish(t, nil))
	take := func(s *station.Station) error {
		_, err := insert(s, image)
		return err
	}
	atEachStep(t, o.source, 30, take, func(t *testing.T, s *station.Station) {
		rep, err := insert(s, image)
		if err != nil {
			t.Fatal(err)
		}
		if got := rep.Packages[0]; got.Verdict != verdict.Accepted && got.Findings[0].Reason != verdict.Replayed {
			t.Errorf("inserted again: %+v", got)
		}
		if got := trustOf(t, s); got.Version != 2 {
			t.Errorf("version %d is installed", got.Version)
		}
		if st := asked[station.Status](t, s, station.OpStatus, station.NoArgs{}); st.Admitted != 1 {
			t.Errorf("%d packages are admitted", st.Admitted)
		}
		asked[station.Sealed](t, s, station.OpSeal, note(t))
	}, "trust.", "vault.admit", "vault.stage.commit", "floor.")
}

// What is left half-way on the desk is shown, and hinders nothing.
func TestADamagedPendingEnrolmentIsShown(t *testing.T) {
	o := newDesk(t)
	n := o.join(t, "precinct-1", "source")
	answer := o.answer(t, n)
	pending, err := filepath.Glob(filepath.Join(o.authority.cfg.StateDir, "authority", "pending", "*.json"))
	if err != nil || len(pending) != 1 {
		t.Fatalf("pending are %v, %v", pending, err)
	}
	o.authority.must(os.WriteFile(pending[0], []byte("{"), 0o600))
	o.authority.with(func(s *station.Station) {
		st := asked[authority.Status](t, s, station.OpAuthorityStatus, station.NoArgs{})
		if len(st.Pending) != 1 || st.Pending[0].Problem == "" {
			t.Errorf("on the desk are %+v", st.Pending)
		}
		if _, err := ask[station.Draft](s, station.OpAuthorityDraft, station.DraftArgs{Admit: []station.AdmitArgs{{Answer: answer}}}, nil); err == nil {
			t.Error("a station was admitted on the word of a damaged file")
		}
		wantSaid(t, s, audit.AuthorityDraft, "failure")
	})
	install(t, o.draft(t, station.DraftArgs{Admit: []station.AdmitArgs{{Answer: o.answer(t, n)}}}), n)
}
