package usbd

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"sallyport/internal/usb/link"
	"sallyport/internal/verdict"
)

// opened is a rig with a stick that sallyportd has open.
func opened(t *testing.T) (*rig, *client, int64) {
	t.Helper()
	r := start(t, stick("1-1", "sda"))
	c := r.call()
	id := c.hello(1)[0].ID
	c.open(id)
	return r, c, id
}

func TestCheck(t *testing.T) {
	r, c, id := opened(t)
	for range 3 {
		c.refused(link.Check, id, link.Checked, "")
	}
	r.mu.Lock()
	seq := r.seq
	r.mu.Unlock()
	for _, step := range []struct {
		name   string
		change func()
		want   verdict.Reason
	}{
		// The kernel's answer to BLKROSET shows there.
		{"it is read-only now", func() { r.change("1-1", "1-1:1.0/host3/target3:0:0/3:0:0:0/block/sda/ro", "1\n") }, ""},
		{"another number", func() { r.change("1-1", "1-1:1.0/host3/target3:0:0/3:0:0:0/block/sda/diskseq", "99\n") }, verdict.RemovedDuringRead},
		{"the number again", func() {
			r.change("1-1", "1-1:1.0/host3/target3:0:0/3:0:0:0/block/sda/diskseq", fmt.Sprintf("%d\n", seq))
		}, ""},
		{"another size", func() { r.change("1-1", "1-1:1.0/host3/target3:0:0/3:0:0:0/block/sda/size", "0\n") }, verdict.RemovedDuringRead},
	} {
		step.change()
		c.send(link.Check, id)
		if got := c.expect(link.Checked); reason(got.Finding) != step.want {
			t.Errorf("%s: %v, want %q", step.name, got.Finding, step.want)
		}
	}
	c.quiet()
}

func TestCheckFindsASecondDisk(t *testing.T) {
	r, c, id := opened(t)
	r.addUnit("1-1", 1, unit{name: "sdb", bytes: 1 << 30, sectors: 512})
	c.refused(link.Check, id, link.Checked, verdict.CompositeDevice)
}

// The kernel takes the disk of a pulled device away before the device itself.
func TestCheckWhileTheDeviceIsGoing(t *testing.T) {
	r, c, id := opened(t)
	r.removeUnits("1-1")
	c.refused(link.Check, id, link.Checked, verdict.RemovedDuringRead)
}

// What the kernel says of the open disk counts, whatever sysfs shows.
func TestCheckAsksTheDiskItself(t *testing.T) {
	for name, err := range map[string]error{"it has gone": unix.ENODEV, "it does not answer": unix.ENXIO, "it is another": errors.New("it is number 3, and was number 2")} {
		t.Run(name, func(t *testing.T) {
			r, c, id := opened(t)
			r.fail("same sda", err)
			c.refused(link.Check, id, link.Checked, verdict.RemovedDuringRead)
		})
	}
}

func TestCheckAfterItHasGone(t *testing.T) {
	r, c, id := opened(t)
	r.pull("1-1")
	c.expect(link.Detached)
	c.refused(link.Check, id, link.Checked, verdict.RemovedDuringRead)
	c.refused(link.Release, id, link.Released, "")
	until(t, "the disk is closed", func() bool { return r.openFiles() == 0 })
}

// The news that a device is gone may come after the errors of reading it.
func TestSuspectThatIsGoneAMomentLater(t *testing.T) {
	r, c, id := opened(t)
	if err := c.conn.Send(link.Order{Kind: link.Check, ID: id, Suspect: true}, nil); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	r.pull("1-1")
	c.expect(link.Detached)
	if got := c.expect(link.Checked); reason(got.Finding) != verdict.RemovedDuringRead {
		t.Errorf("%v", got.Finding)
	}
	if took := time.Since(began); took >= suspectWait {
		t.Errorf("it was waited for %v although the news was there", took)
	}
}

func TestSuspectThatStays(t *testing.T) {
	_, c, id := opened(t)
	began := time.Now()
	if err := c.conn.Send(link.Order{Kind: link.Check, ID: id, Suspect: true}, nil); err != nil {
		t.Fatal(err)
	}
	c.quiet() // nothing else waits for it
	if got := c.expect(link.Checked); got.Finding != nil {
		t.Errorf("%v", got.Finding)
	}
	if took := time.Since(began); took < suspectWait {
		t.Errorf("it was waited for %v only", took)
	}
}

func TestRelease(t *testing.T) {
	r, c, id := opened(t)
	c.refused(link.Release, id, link.Released, "")
	if r.isAuthorised("1-1") || r.openFiles() != 0 {
		t.Errorf("authorised %t, open %d", r.isAuthorised("1-1"), r.openFiles())
	}
	c.refused(link.Release, id, link.Released, "") // it is denied, which is what was asked for
	c.open(id)
	c.refused(link.Check, id, link.Checked, "")
	c.refused(link.Release, id, link.Released, "")
	c.quiet()
}

func TestPulledWhileItIsReleased(t *testing.T) {
	r, c, id := opened(t)
	r.before(func(step string) error {
		if step == "forbid 1-1" {
			r.pull("1-1")
			r.settle() // the loop knows
		}
		return nil
	})
	c.send(link.Release, id)
	c.expect(link.Detached)
	if got := c.expect(link.Released); got.Finding != nil || got.ID != id {
		t.Errorf("%+v, %v", got, got.Finding)
	}
	c.quiet()
}

// A device that was pulled in the middle of anything may be put in again, and
// is a new one.
func TestPutInAgain(t *testing.T) {
	r, c, id := opened(t)
	for range 5 {
		r.pull("1-1")
		c.expect(link.Detached)
		r.later()
		r.plug(stick("1-1", "sda"))
		got := c.expect(link.Attached)
		if got.ID <= id {
			t.Fatalf("it has the number %d after %d", got.ID, id)
		}
		id = got.ID
		c.open(id)
		c.refused(link.Check, id, link.Checked, "")
	}
	if n := r.openFiles(); n != 1 {
		t.Errorf("%d disks are open", n)
	}
}
