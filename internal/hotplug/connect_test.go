package hotplug

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"sallyport/internal/testtool"
	"sallyport/internal/usb/link"
)

func TestGuardThatComesLater(t *testing.T) {
	r := prepare(t)
	r.run()
	v := r.see("the problem", func(v View) bool { return len(v.Problems) > 0 })
	if v.Guarded || len(v.Problems) != 1 || !strings.Contains(v.Problems[0], "sallyport-usbd") || len(v.Ports) != 0 {
		t.Errorf("the view is %+v", v)
	}
	// It is tried again and again, and said once.
	time.Sleep(retryPause + retryPause/4)
	r.listen()
	g := r.ready()
	v, _ = r.m.View()
	var paths []string
	for _, p := range v.Ports {
		paths = append(paths, p.Path+" "+p.Role+" "+p.Phase)
	}
	if want := []string{"1-1 in empty", "1-3 keyboard empty", "1-5 out empty", "1-6 in empty"}; !slices.Equal(paths, want) || len(v.Problems) != 0 {
		t.Errorf("the view is %q, %q", paths, v.Problems)
	}
	g.say(link.Report{Kind: link.State, NotReady: []string{"USB is not denied by default at usb1"}})
	v = r.see("the problem", func(v View) bool { return !v.Guarded })
	if len(v.Problems) != 1 || !strings.Contains(v.Problems[0], "usb1") {
		t.Errorf("the view is %+v", v)
	}
	until(t, "it is recorded", func() bool { return len(r.done("guard")) == 3 })
	said := r.done("guard")
	if !strings.HasPrefix(said[0], "guard sallyport-usbd does not answer") || said[1] != "guard" || said[2] != "guard USB is not denied by default at usb1" {
		t.Errorf("recorded are %q", said)
	}
}

func TestGuardThatGoesAndComes(t *testing.T) {
	r := newRig(t)
	g := r.ready()
	g.say(stick(1, "1-1", "10"))
	r.visitor().finish("accepted")
	g.say(link.Report{Kind: link.Attached, ID: 2, Device: &link.Device{Place: "2-9", Insertion: "2-9#1", Role: "keyboard"}})
	r.port("1-1", Decided)
	r.port("2-9", InUse)
	g.conn.Close()
	v := r.see("the problem", func(v View) bool { return !v.Guarded })
	if len(v.Problems) != 1 || !strings.Contains(v.Problems[0], "sallyport-usbd") || len(v.Ports) != 4 {
		t.Errorf("the view is %+v", v)
	}
	for _, p := range v.Ports { // nobody knows what is plugged in
		if p.Phase != Empty || p.Device != nil || p.Role == "" {
			t.Errorf("%+v", p)
		}
	}
	r.hadVerdict("1-1#10", true)
	g = r.ready()
	again := stick(7, "1-1", "10")
	again.Device.Old = true
	g.say(again)
	if p := r.port("1-1", Earlier); !p.Removable || p.Device == nil {
		t.Errorf("%+v", p)
	}
}

func TestEndInOrder(t *testing.T) {
	t.Run("without a guard", func(t *testing.T) {
		r := prepare(t)
		r.run()
		r.see("the problem", func(v View) bool { return len(v.Problems) > 0 })
		if err := r.stop(); err != nil {
			t.Errorf("it ended with %v", err)
		}
	})
	t.Run("while nothing happens", func(t *testing.T) {
		r := newRig(t)
		g := r.ready()
		if err := r.stop(); err != nil {
			t.Errorf("it ended with %v", err)
		}
		g.hungUp()
	})
	t.Run("while a medium is read", func(t *testing.T) {
		r := newRig(t)
		g := r.ready()
		g.say(stick(1, "1-1", "10"))
		g.say(stick(2, "1-6", "11"))
		v := r.visitor()
		if o := g.open(v, 1, "x"); o.err != nil {
			t.Fatal(o.err)
		}
		r.cancel()
		soon(t, v.ctx.Done())
		if err := g.release(v, 1, nil); err != nil {
			t.Errorf("the medium could not be released: %v", err)
		}
		v.finish("held")
		if err := r.end(); err != nil {
			t.Errorf("it ended with %v", err)
		}
		g.hungUp()
		if runs := r.done("run"); len(runs) != 1 {
			t.Errorf("taken were %q", runs)
		}
	})
}

// An error of the intake ends the manager, and is what it ends with.
func TestErrorsOfTheIntakeAreFatal(t *testing.T) {
	bad := errors.New("the log cannot be written")
	for what, do := range map[string]func(r *rig){
		"guard": func(r *rig) { r.accept().say(link.Report{Kind: link.State}) },
		"attached": func(r *rig) {
			r.ready().say(stick(1, "1-1", "10"))
		},
		"refused": func(r *rig) {
			g := r.ready()
			refused := stick(1, "1-1", "10")
			refused.Device.Role, refused.Device.Refusal = "", refusal
			g.say(refused)
		},
		"removed": func(r *rig) {
			g := r.ready()
			g.say(link.Report{Kind: link.Attached, ID: 3, Device: &link.Device{Place: "1-3", Insertion: "1-3#1", Role: "keyboard"}})
			g.say(gone(3))
		},
		"decided": func(r *rig) {
			g := r.ready()
			old := stick(1, "1-1", "10")
			old.Device.Old = true
			g.say(old)
		},
		"run": func(r *rig) { r.ready().say(stick(1, "1-1", "10")) },
	} {
		t.Run(what, func(t *testing.T) {
			r := newRig(t)
			r.failing(what, bad)
			do(r)
			if err := r.end(); !errors.Is(err, bad) {
				t.Errorf("it ended with %v", err)
			}
		})
	}
	t.Run("guard, without one", func(t *testing.T) {
		r := prepare(t)
		r.failing("guard", bad)
		r.run()
		if err := r.end(); !errors.Is(err, bad) {
			t.Errorf("it ended with %v", err)
		}
	})
	t.Run("attached, while a medium is read", func(t *testing.T) {
		r := newRig(t)
		g := r.ready()
		g.say(stick(1, "1-1", "10"))
		v := r.visitor()
		r.failing("attached 1-6", bad)
		g.say(stick(2, "1-6", "11"))
		soon(t, v.ctx.Done())
		v.finish("held")
		if err := r.end(); !errors.Is(err, bad) {
			t.Errorf("it ended with %v", err)
		}
	})
}

// asNobody runs do in a thread of its own whose user is another one.
func asNobody(t *testing.T, do func() error) {
	t.Helper()
	testtool.Root(t)
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // for ever: the thread ends with this goroutine
		const keep = ^uintptr(0)
		if _, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, keep, 65534, keep); errno != 0 {
			done <- errno
			return
		}
		done <- do()
	}()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// systemd holds the socket also while nobody serves it: that is not ready.
func TestGuardThatDoesNotSpeak(t *testing.T) {
	r := newRig(t)
	v := r.see("the manager", func(v View) bool { return len(v.Problems) > 0 })
	if v.Guarded || v.Problems[0] != "sallyport-usbd has not answered yet" {
		t.Errorf("the view is %+v", v)
	}
}

// Whoever made the socket decides who answers there; only root, or the user of
// the daemon itself, is believed.
func TestSocketOfAnotherUser(t *testing.T) {
	r := prepare(t)
	if err := os.Chmod(filepath.Dir(r.path), 0o777); err != nil {
		t.Fatal(err)
	}
	asNobody(t, func() (err error) {
		r.l, err = net.ListenUnix("unixpacket", &net.UnixAddr{Name: r.path, Net: "unixpacket"})
		return err
	})
	t.Cleanup(func() { r.l.Close() })
	r.run()
	r.see("the problem", func(v View) bool { return len(v.Problems) > 0 && strings.Contains(v.Problems[0], "uid 65534") })
	r.accept().hungUp()
}

// Many conversations leave nothing behind. The manager pauses before each call,
// so it is stopped and started for the next.
func TestNothingIsLeftOfManyConversations(t *testing.T) {
	r := prepare(t)
	r.listen()
	goroutines, open := 0, 0
	for i := range 50 {
		r.run()
		g := r.ready()
		g.say(stick(1, "1-1", "10"))
		v := r.visitor()
		switch i % 5 {
		case 0: // in order
			o := g.open(v, 1, "x")
			o.File.Close()
			v.finish("accepted")
			r.port("1-1", Decided)
		case 1: // an answer that nobody waits for any more
			o := g.open(v, 1, "x")
			o.File.Close()
			f := testtool.File(t, "y")
			if err := g.conn.Send(link.Report{Kind: link.Opened, ID: 1}, f); err != nil {
				t.Fatal(err)
			}
			f.Close()
			g.say(stick(2, "1-6", "11")) // after which that has arrived
			r.port("1-6", Waiting)
			v.finish("accepted")
			r.visitor().finish("accepted")
		case 2: // usbd goes
			g.conn.Close()
			soon(t, v.ctx.Done())
			v.finish("held")
		case 3: // the device goes
			g.say(gone(1))
			r.port("1-1", Empty)
			v.finish("held")
		case 4: // usbd says nonsense
			g.say(link.Report{Kind: "nonsense"})
			soon(t, v.ctx.Done())
			v.finish("held")
		}
		if err := r.stop(); err != nil {
			t.Fatal(err)
		}
		g.conn.Close()
		r.m = &Manager{Socket: r.path, Intake: r.desk, Log: r.m.Log}
		if i == 9 {
			until(t, "the conversation ends", func() bool { return len(g.ended) == 1 })
			goroutines, open = runtime.NumGoroutine(), testtool.Descriptors(t)
		}
	}
	until(t, "all goroutines and descriptors are gone", func() bool { return runtime.NumGoroutine() <= goroutines && testtool.Descriptors(t) <= open })
}
