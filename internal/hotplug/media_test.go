package hotplug

import (
	"context"
	"errors"
	"io"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"sallyport/internal/intake"
	"sallyport/internal/testtool"
	"sallyport/internal/usb"
	"sallyport/internal/usb/link"
	"sallyport/internal/verdict"
)

func TestAMediumIsTaken(t *testing.T) {
	r := newRig(t)
	g := r.ready()
	g.say(stick(4, "1-1", "10"))
	v := r.visitor()
	if v.Name != "Ultra at port 1-1" || v.Own < 1500*time.Microsecond || v.Device.Insertion != "1-1#10" {
		t.Errorf("the medium is %+v", v.Medium)
	}
	if p := r.port("1-1", intake.Opening); p.Removable || p.Verdict != "" {
		t.Errorf("%+v", p)
	}
	o := g.open(v, 4, "what is on it")
	if o.err != nil || o.Disk != "sda" || o.DiskSeq != 17 || o.Bytes != 1<<30 || o.SectorBytes != 512 || o.Own != 250*time.Microsecond || o.Kernel != 7*time.Millisecond {
		t.Fatalf("%+v", o)
	}
	if text, err := io.ReadAll(o.File); err != nil || string(text) != "what is on it" {
		t.Errorf("it holds %q, %v", text, err)
	}
	v.Progress(intake.Reading, 512, 1024)
	if p := r.port("1-1", intake.Reading); p.Done != 512 || p.Total != 1024 {
		t.Errorf("%+v", p)
	}
	if err := g.check(v, 4, false, nil); err != nil {
		t.Error(err)
	}
	if err := g.release(v, 4, nil); err != nil {
		t.Error(err)
	}
	v.Device.Disk, v.Device.Bytes = "sda", 1<<30 // the run completes the facts
	bad := verdict.Finding{Reason: verdict.FileExtra, Where: "b.txt"}
	held := verdict.Finding{Reason: verdict.SignerUnknown}
	v.ends <- outcome{report: &intake.Report{
		Medium: intake.Facts{ID: "cafe", Device: v.Device}, Verdict: verdict.Held, Findings: []verdict.Finding{bad}, Sealed: true, Removable: true,
		Packages: []intake.PackageReport{
			{Package: "p1", Verdict: verdict.Accepted}, {Package: "p2", Verdict: verdict.Held, Findings: []verdict.Finding{bad, held, held}}, {Verdict: verdict.Held},
		},
	}}
	p := r.port("1-1", Decided)
	if p.Medium != "cafe" || p.Verdict != verdict.Held || !p.Sealed || !p.Removable || p.Packages != 2 || p.Accepted != 1 || p.Device.Disk != "sda" || p.Before != nil {
		t.Errorf("%+v", p)
	}
	if !slices.Equal(p.Findings, []verdict.Finding{bad, held}) {
		t.Errorf("the findings are %v", p.Findings)
	}
	g.say(gone(4))
	if p := r.port("1-1", Empty); p.Verdict != verdict.Held || p.Removable || len(p.Findings) != 2 {
		t.Errorf("the last verdict is not shown: %+v", p)
	}
}

func TestAMediumWithoutAName(t *testing.T) {
	r := newRig(t)
	m := stick(1, "1-1", "10")
	m.Device.Name = ""
	r.ready().say(m)
	if v := r.visitor(); v.Name != "0781:5581 at port 1-1" {
		t.Errorf("it is called %q", v.Name)
	}
}

func TestMediaAreTakenInTheOrderOfTheirComing(t *testing.T) {
	r := newRig(t)
	g := r.ready()
	for i, place := range []string{"1-6", "1-1", "1-8", "1-7"} {
		g.say(stick(int64(i+1), place, "10"))
	}
	r.port("1-7", Waiting)
	g.say(gone(3)) // pulled while it waited
	r.see("that it was pulled", func(v View) bool {
		return !slices.ContainsFunc(v.Ports, func(p Port) bool { return p.Path == "1-8" })
	})
	for _, insertion := range []string{"1-6#10", "1-1#10", "1-7#10"} {
		v := r.visitor()
		if v.Device.Insertion != insertion {
			t.Errorf("%s is taken, it is the turn of %s", v.Device.Insertion, insertion)
		}
		v.finish(verdict.Accepted)
		r.port(v.Device.Port, Decided)
	}
	if runs := r.done("run"); len(runs) != 3 || len(r.done("removed 1-8#10")) != 1 {
		t.Errorf("recorded are %q", r.done(""))
	}
}

// What usbd says of the device reaches the intake as it is.
func TestTheDoorPassesFindingsOn(t *testing.T) {
	r := newRig(t)
	g := r.ready()
	g.say(stick(1, "1-1", "10"))
	v := r.visitor()
	f := verdict.New(verdict.CapacityOutOfRange, "port 1-1", "it has 3 bytes")
	o := asked(g, func() opening { o, err := v.Door.Open(v.ctx); return opening{o, err} }, link.Open, 1, func() {
		g.say(link.Report{Kind: link.Failed, ID: 1, Finding: f, Disk: &usb.Disk{Name: "sda", Seq: 17, Bytes: 3}, OwnMicros: 5})
	})
	if got, ok := verdict.Find(o.err); !ok || *got != *f || o.File != nil || o.Disk != "sda" || o.Bytes != 3 || o.Own != 5*time.Microsecond {
		t.Errorf("%+v", o)
	}
	f = verdict.New(verdict.CompositeDevice, "port 1-1", "it has 2 logical units by now")
	if got, ok := verdict.Find(g.check(v, 1, false, f)); !ok || *got != *f {
		t.Errorf("%v", got)
	}
	f = verdict.New(verdict.Unreadable, "port 1-1", "it could not be denied again")
	if got, ok := verdict.Find(g.release(v, 1, f)); !ok || *got != *f {
		t.Errorf("%v", got)
	}
	if o := asked(g, func() error { return v.Door.Check(v.ctx, true) }, link.Check, 1, func() { g.say(link.Report{Kind: link.Checked, ID: 1}) }); o != nil {
		t.Error(o)
	}
}

func TestSuspicionIsPassedOn(t *testing.T) {
	r := newRig(t)
	g := r.ready()
	g.say(stick(1, "1-1", "10"))
	v := r.visitor()
	for _, suspect := range []bool{true, false} {
		got := make(chan error, 1)
		go func() { got <- v.Door.Check(v.ctx, suspect) }()
		if o := g.order(link.Check, 1); o.Suspect != suspect {
			t.Errorf("%+v was asked for", o)
		}
		g.say(link.Report{Kind: link.Checked, ID: 1})
		if err := soon(t, got); err != nil {
			t.Error(err)
		}
	}
}

func TestPulledWhileItIsRead(t *testing.T) {
	r := newRig(t)
	g := r.ready()
	g.say(stick(1, "1-1", "10"))
	v := r.visitor()
	g.open(v, 1, "x")
	// The order to check is on its way when the news comes; the answer is late.
	got := make(chan error, 1)
	go func() { got <- v.Door.Check(v.ctx, true) }()
	g.order(link.Check, 1)
	g.say(gone(1))
	if p := r.port("1-1", Empty); p.Device == nil || p.Removable {
		t.Errorf("%+v", p)
	}
	g.say(link.Report{Kind: link.Checked, ID: 1, Finding: verdict.New(verdict.RemovedDuringRead, "", "the device has gone")})
	if f, ok := verdict.Find(soon(t, got)); !ok || f.Reason != verdict.RemovedDuringRead {
		t.Errorf("%v", f)
	}
	// From now on nobody has to be asked.
	if f, ok := verdict.Find(v.Door.Check(v.ctx, false)); !ok || f.Reason != verdict.RemovedDuringRead || !strings.Contains(f.Where, "1-1") {
		t.Errorf("%v", f)
	}
	if err := g.release(v, 1, nil); err != nil {
		t.Error(err)
	}
	v.Progress(intake.Releasing, 1, 1) // the port stays empty
	v.finish(verdict.Held, verdict.Finding{Reason: verdict.RemovedDuringRead})
	r.see("the verdict", func(v View) bool { return len(v.Ports) > 0 && v.Ports[0].Verdict == verdict.Held })
	if p := r.port("1-1", Empty); p.Removable || p.Medium != "m-1-1#10" || p.Before != nil || len(p.Findings) != 1 {
		t.Errorf("%+v", p)
	}
	g.say(stick(2, "1-1", "11"))
	if v := r.visitor(); v.Device.Insertion != "1-1#11" {
		t.Errorf("%s is taken", v.Device.Insertion)
	}
	// Whoever pulled it may not have seen the verdict yet.
	if p := r.port("1-1", intake.Opening); p.Verdict != "" || p.Before == nil || p.Before.Medium != "m-1-1#10" || p.Before.Verdict != verdict.Held {
		t.Errorf("%+v, before %+v", p, p.Before)
	}
}

func TestReplacedWhileItIsRead(t *testing.T) {
	r := newRig(t)
	g := r.ready()
	g.say(stick(1, "1-1", "10"))
	v := r.visitor()
	g.open(v, 1, "x")
	g.say(gone(1))
	g.say(stick(2, "1-1", "11"))
	if p := r.port("1-1", Waiting); p.Device.Insertion != "1-1#11" {
		t.Errorf("%+v", p)
	}
	if f, ok := verdict.Find(v.Door.Check(v.ctx, false)); !ok || f.Reason != verdict.RemovedDuringRead {
		t.Errorf("%v", f)
	}
	v.Progress(intake.Deciding, 7, 7) // of the first, which the port no longer shows
	if p := r.port("1-1", Waiting); p.Done != 0 || p.Total != 0 {
		t.Errorf("%+v", p)
	}
	if err := g.release(v, 1, nil); err != nil {
		t.Error(err)
	}
	why := verdict.Finding{Reason: verdict.RemovedDuringRead}
	v.finish(verdict.Held, why)
	second := r.visitor()
	if second.Device.Insertion != "1-1#11" {
		t.Errorf("%s is taken", second.Device.Insertion)
	}
	p := r.port("1-1", intake.Opening)
	if p.Verdict != "" || p.Medium != "" || p.Before == nil || p.Before.Medium != "m-1-1#10" || p.Before.Verdict != verdict.Held || !slices.Equal(p.Before.Findings, []verdict.Finding{why}) {
		t.Errorf("%+v, before %+v", p, p.Before)
	}
	second.finish(verdict.Accepted)
	if p := r.port("1-1", Decided); p.Verdict != verdict.Accepted || p.Before == nil {
		t.Errorf("%+v", p)
	}
}

// A question that was given up may be answered later, when another is open.
func TestLateAnswersDoNoHarm(t *testing.T) {
	r := newRig(t)
	g := r.ready()
	g.say(stick(1, "1-1", "10"))
	v := r.visitor()
	before := testtool.Descriptors(t)
	ctx, cancel := context.WithCancelCause(v.ctx)
	mine := errors.New("given up")
	got := make(chan opening, 1)
	go func() { o, err := v.Door.Open(ctx); got <- opening{o, err} }()
	g.order(link.Open, 1)
	cancel(mine)
	if o := soon(t, got); !errors.Is(o.err, mine) || o.File != nil {
		t.Errorf("%+v", o)
	}
	err := asked(g, func() error { return v.Door.Release(v.ctx) }, link.Release, 1, func() {
		f := testtool.File(t, "x")
		defer f.Close()
		if err := g.conn.Send(link.Report{Kind: link.Opened, ID: 1, Disk: &usb.Disk{Name: "sda"}}, f); err != nil {
			t.Fatal(err)
		}
		g.say(link.Report{Kind: link.Checked, ID: 1, Finding: verdict.New(verdict.Unreadable, "", "")})
		g.say(link.Report{Kind: link.Released, ID: 1})
	})
	if err != nil {
		t.Errorf("the answer to another question was taken: %v", err)
	}
	until(t, "the disk that came late is closed", func() bool { return testtool.Descriptors(t) == before })
	if err := g.check(v, 1, false, nil); err != nil {
		t.Error(err)
	}
}

// Nobody could say any more that the medium is still the same.
func TestGuardThatGoesWhileAMediumIsRead(t *testing.T) {
	for name, leave := range map[string]func(g *guard, v *visit){
		"in order": func(g *guard, _ *visit) { g.conn.Close() },
		"with an order that it has not read": func(g *guard, v *visit) {
			// The reading goroutine of the test is stopped first, so that the order lies there.
			g.raw.SetReadDeadline(time.Now())
			<-g.ended
			go v.Door.Check(v.ctx, false)
			g.raw.SetReadDeadline(time.Time{})
			time.Sleep(50 * time.Millisecond) // it is on its way; if not, this is the case above
			g.conn.Close()
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			g := r.ready()
			g.say(stick(1, "1-1", "10"))
			v := r.visitor()
			g.open(v, 1, "x")
			leave(g, v)
			soon(t, v.ctx.Done())
			cause := context.Cause(v.ctx)
			if !errors.Is(cause, errGuard) || !strings.Contains(cause.Error(), "sallyport-usbd") {
				t.Errorf("the cause is %v", cause)
			}
			for what, err := range map[string]error{"check": v.Door.Check(v.ctx, false), "release": v.Door.Release(context.WithoutCancel(v.ctx))} {
				if _, ok := verdict.Find(err); err == nil || ok {
					t.Errorf("%s: %v", what, err)
				}
			}
			v.finish(verdict.Held)
			next := r.ready() // it is called again
			next.say(stick(1, "1-1", "10"))
			if v := r.visitor(); v.ctx.Err() != nil {
				t.Error("the next one is interrupted too")
			}
		})
	}
}

// A usbd that neither answers nor goes is waited for, but not for ever.
func TestGuardThatDoesNotAnswer(t *testing.T) {
	r := prepare(t)
	r.listen()
	conn, err := link.Dial(r.path)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	synctest.Test(t, func(t *testing.T) { // whose waiting takes no time
		s := &session{Manager: &Manager{Log: zerolog.Nop()}, conn: conn, devices: map[int64]*device{}, ended: make(chan struct{})}
		d := &device{session: s, id: 1, facts: &intake.Device{Port: "1-1"}, answers: make(chan answer, maxAnswers), gone: make(chan struct{})}
		began := time.Now()
		if o, err := d.Open(t.Context()); !errors.Is(err, errGuard) || o.File != nil {
			t.Errorf("%+v, %v", o, err)
		}
		if took := time.Since(began); took != answerTime {
			t.Errorf("it was waited for %v", took)
		}
		close(s.ended)
		if err := d.Check(t.Context(), false); !errors.Is(err, errGuard) || time.Since(began) != answerTime {
			t.Errorf("after %v: %v", time.Since(began), err)
		}
	})
}

// The news that a medium is gone may come at the very moment in which its turn
// comes. Whichever is first, the conversation goes on.
func TestPulledInTheMomentOfItsTurn(t *testing.T) {
	r := newRig(t)
	g := r.ready()
	go func() { // an intake that finds nobody at home
		for {
			select {
			case v := <-r.runs:
				if o, err := v.Door.Open(v.ctx); err == nil {
					t.Errorf("%+v was opened", o)
				}
				v.finish(verdict.Refused)
			case <-r.over:
				return
			}
		}
	}()
	say := func(m link.Report) {
		t.Helper()
		if g.conn.Send(m, nil) != nil {
			v := r.see("the problem", func(v View) bool { return !v.Guarded })
			t.Fatalf("the conversation ended: %q", v.Problems)
		}
	}
	answer := func() { // as usbd does when the device has gone
		for {
			select {
			case o := <-g.orders:
				say(link.Report{Kind: link.Failed, ID: o.ID, Finding: verdict.New(verdict.RemovedDuringRead, "", "the device has gone")})
			default:
				return
			}
		}
	}
	const many = 3000
	for i := range int64(many) {
		say(stick(i+1, "1-1", strconv.FormatInt(i, 10)))
		say(gone(i + 1))
		answer()
	}
	until(t, "all have gone", func() bool { answer(); return len(r.done("removed")) == many })
}
