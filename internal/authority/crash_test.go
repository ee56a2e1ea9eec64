package authority_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sallyport/internal/authority"
	"sallyport/internal/durable"
	"sallyport/internal/testtool"
	"sallyport/internal/trust"
	"sallyport/internal/verdict"
)

// Nobody fills the desk with requests.
func TestEnrolmentsUnderWayAreBounded(t *testing.T) {
	d := alone(t, false)
	s, late := newStation(t, "source-1", trust.Source), newStation(t, "source-2", trust.Source)
	request := s.request()
	must(t, second(d.Challenge(request, s.ek())))
	for i := range 999 {
		must(t, os.WriteFile(filepath.Join(d.path("desk/pending"), fmt.Sprintf("%064d.json", i)), []byte("{}"), 0o600))
	}
	_, _, err := d.Challenge(late.request(), late.ek())
	wantRefusal(t, err, "1000 enrolments are under way already")
	must(t, second(d.Challenge(request, s.ek()))) // which takes no more room
	st, err := d.Status()
	must(t, err)
	if len(st.Pending) != 1000 || st.Pending[0].Problem == "" {
		t.Errorf("%d under way, the first is %+v", len(st.Pending), st.Pending[0])
	}
	at := slices.IndexFunc(st.Pending, func(p authority.PendingStatus) bool { return p.Problem == "" })
	if p := st.Pending[at]; p.StationID != "source-1" || p.Role != trust.Source {
		t.Errorf("%+v", p)
	}
	// The authority's own files are checked too.
	a := &trust.Answer{V: 1, StationID: "source-1", Request: fmt.Sprintf("%064d", 1), Secret: make([]byte, 32)}
	body, err := a.Encode()
	must(t, err)
	if err := d.refuses(admits(admit(body))); !strings.Contains(err.Error(), "cannot read a pending enrolment") {
		t.Error(err)
	}
}

// Each durable step of a challenge and of a draft fails, once without effect and
// once after it took effect: the desk opens, nothing is lost, and the next try
// brings the station in once.
func TestCrashTable(t *testing.T) {
	ctx := context.Background()
	for what, steps := range map[string]int{"challenge": 3, "draft": 5} {
		t.Run(what, func(t *testing.T) {
			for at := 0; ; at++ {
				for _, tookEffect := range []bool{false, true} {
					d := alone(t, false)
					first, s := newStation(t, "source-1", trust.Source), newStation(t, "source-2", trust.Source)
					d.drafts(admits(admit(first.asks(d))))
					request := s.request()
					var answer []byte
					if what == "draft" {
						answer = s.answers(d, request)
					}
					crash := &testtool.Crash{At: at, TookEffect: tookEffect}
					d.open(crash.FS())
					crash.Arm()
					var err error
					if what == "draft" {
						_, _, err = d.Draft(ctx, admits(admit(answer)))
					} else {
						_, _, err = d.Challenge(request, s.ek())
					}
					if crash.Steps <= at {
						must(t, err)
						if at != steps {
							t.Fatalf("a %s has %d durable steps, want %d", what, at, steps)
						}
						return
					}
					if !errors.Is(err, testtool.ErrCrash) {
						t.Fatalf("step %d: %v", at, err)
					}
					d.open(durable.FS{})
					st, err := d.Status()
					must(t, err)
					for _, p := range st.Pending {
						if p.Problem != "" {
							t.Errorf("step %d, took effect %v: %s", at, tookEffect, p.Problem)
						}
					}
					// The operator begins again where he was.
					if _, _, err := d.Draft(ctx, admits(admit(answer))); answer == nil || err != nil {
						if answer != nil && !isReason(err, verdict.SignerUnknown) { // admitted already
							t.Errorf("step %d, took effect %v: %v", at, tookEffect, err)
						}
						answer = s.answers(d, request)
					} else {
						answer = nil
					}
					c := authority.Changes{}
					if answer != nil {
						c = admits(admit(answer))
					}
					tr := d.drafts(c)
					if n := len(tr.Stations()); n != 2 || tr.Version() < 2 {
						t.Errorf("step %d, took effect %v: %d stations in version %d", at, tookEffect, n, tr.Version())
					}
					must(t, s.seals(tr, 1))
				}
			}
		})
	}
}

func isReason(err error, r verdict.Reason) bool {
	f, ok := verdict.Find(err)
	return ok && f.Reason == r
}
