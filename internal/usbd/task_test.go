package usbd

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"sallyport/internal/usb"
	"sallyport/internal/verdict"
)

// These tests have a clock of their own (package synctest): waiting takes no
// time, and what takes time besides waiting is none of usbd's.

// taskOn is the work on one stick whose bus is denied.
func taskOn(t *testing.T, p *plug) (*machine, *task, chan struct{}) {
	t.Helper()
	m := newMachine(t, "usb1")
	if err := m.deny("usb1"); err != nil {
		t.Fatal(err)
	}
	m.insert(p)
	f, odd, err := m.sys.Facts(p.place)
	if err != nil || odd != nil {
		t.Fatal(err, odd)
	}
	gone := make(chan struct{})
	return m, &task{sys: m.sys, kernel: m, policy: m.policy, facts: f, role: usb.In, kick: make(chan struct{}), gone: gone}, gone
}

func slow(place string) *plug {
	p := stick(place, "sda")
	p.slow = true
	return p
}

func TestDiskThatNeverAppears(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, task, _ := taskOn(t, slow("1-1"))
		began := time.Now()
		r := task.timed(func() result { return task.open(t.Context()) })
		if r.finding == nil || r.finding.Reason != verdict.Unreadable || !strings.Contains(r.finding.Detail, "no disk appeared within 30s") || r.file != nil {
			t.Errorf("%v", r.finding)
		}
		if took := time.Since(began); took != diskWait || r.kernel != diskWait || r.own != 0 {
			t.Errorf("it took %v, %v of the kernel and %v of its own", took, r.kernel, r.own)
		}
		if m.isAuthorised("1-1") {
			t.Error("it is still authorised")
		}
	})
}

// Half of a disk is no disk, and no reason to give up.
func TestDiskOfWhichHalfAppears(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := slow("1-1")
		m, task, _ := taskOn(t, p)
		go func() {
			time.Sleep(5 * time.Second)
			m.mu.Lock()
			m.put(m.dir("1-1"), "1-1:1.0/host3/target3:0:0/3:0:0:0/block/sda/size", "2048\n")
			m.mu.Unlock()
		}()
		r := task.timed(func() result { return task.open(t.Context()) })
		if r.finding == nil || r.finding.Reason != verdict.Unreadable || m.isAuthorised("1-1") {
			t.Errorf("%v", r.finding)
		}
	})
}

// No event is needed: a disk is found although its news was lost.
func TestDiskWithoutNews(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := slow("1-1")
		m, task, _ := taskOn(t, p)
		const after = 29 * time.Second // it had to spin up
		go func() {
			time.Sleep(after)
			m.mu.Lock()
			m.unit(p, 0, p.disks[0])
			m.mu.Unlock()
		}()
		began := time.Now()
		r := task.timed(func() result { return task.open(t.Context()) })
		if r.finding != nil || r.file == nil || r.disk.Name != "sda" {
			t.Fatalf("%+v, %v", r, r.finding)
		}
		r.file.Close()
		if took := time.Since(began); took < after || took > after+look || r.kernel != took {
			t.Errorf("it took %v, %v of the kernel", took, r.kernel)
		}
	})
}

func TestWaitingEndsAtOnce(t *testing.T) {
	for name, end := range map[string]func(m *machine, gone chan struct{}, cancel func()){
		"when it is pulled":     func(m *machine, gone chan struct{}, _ func()) { m.withdraw("1-1"); close(gone) },
		"when nobody wants it":  func(_ *machine, _ chan struct{}, cancel func()) { cancel() },
		"when it is replaced":   func(m *machine, gone chan struct{}, _ func()) { m.withdraw("1-1"); m.insert(slow("1-1")); close(gone) },
		"when both come to one": func(m *machine, gone chan struct{}, cancel func()) { m.withdraw("1-1"); close(gone); cancel() },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m, task, gone := taskOn(t, slow("1-1"))
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				go func() {
					time.Sleep(7 * time.Second)
					end(m, gone, cancel)
				}()
				began := time.Now()
				r := task.open(ctx)
				if r.finding == nil || r.file != nil || m.isAuthorised("1-1") {
					t.Errorf("%+v, %v", r, r.finding)
				}
				if m.plugs["1-1"] == nil && ctx.Err() == nil && reason(r.finding) != verdict.RemovedDuringRead {
					t.Errorf("%v", r.finding)
				}
				if took := time.Since(began); took > 7*time.Second+look {
					t.Errorf("it took %v", took)
				}
			})
		})
	}
}

func TestSuspectIsGivenTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, task, gone := taskOn(t, stick("1-1", "sda"))
		r := task.open(t.Context())
		if r.finding != nil {
			t.Fatal(r.finding)
		}
		defer r.file.Close()
		task.disk, task.file = r.disk, r.file
		check := func(suspect bool, after time.Duration, want verdict.Reason) {
			t.Helper()
			began := time.Now()
			if got := task.check(t.Context(), suspect); reason(got.finding) != want || time.Since(began) != after {
				t.Errorf("%v after %v, want %q after %v", got.finding, time.Since(began), want, after)
			}
		}
		check(false, 0, "")
		check(true, suspectWait, "")
		go func() {
			time.Sleep(time.Second)
			m.withdraw("1-1")
			close(gone)
		}()
		check(true, time.Second, verdict.RemovedDuringRead)
		check(false, 0, verdict.RemovedDuringRead)
	})
}

// A device that holds the kernel up does not hold up the end.
func TestEndWithADeviceThatDoesNotAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMachine(t, "usb1")
		m.insert(stick("1-1", "sda")) // in use: its bus is not denied yet
		gate := make(chan struct{})
		m.before(func(step string) error {
			if step == "forbid 1-1" {
				<-gate
			}
			return nil
		})
		d := &Daemon{sys: m.sys, kernel: m, policy: m.policy, events: m.events, log: zerolog.New(io.Discard), now: time.Now, status: func(string) {}}
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		began := time.Now()
		err := d.run(ctx)
		if took := time.Since(began); err == nil || !strings.Contains(err.Error(), "1 devices do not answer") || took != time.Second+endTime {
			t.Errorf("after %v: %v", took, err)
		}
		close(gate)
		(<-d.done)()
	})
}

// The kernel's own words for an error reach the finding, and a finding stays
// what it is.
func TestWhatWentWrongIsSaid(t *testing.T) {
	_, task, _ := taskOn(t, stick("1-1", "sda"))
	own := verdict.New(verdict.CompositeDevice, "port 1-1", "it is two")
	if f := task.failed(errors.Join(errors.New("first"), own)); f != own {
		t.Errorf("%v", f)
	}
	if f := task.failed(errors.New("protocol error")); f.Reason != verdict.Unreadable || !strings.Contains(f.Error(), "protocol error") {
		t.Errorf("%v", f)
	}
	task.facts.Insertion = "1-1#0" // it is another one that is there now
	if f := task.failed(errors.New("protocol error")); f.Reason != verdict.RemovedDuringRead {
		t.Errorf("%v", f)
	}
}
