package e2e

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"sallyport/internal/audit"
	"sallyport/internal/hotplug"
	"sallyport/internal/intake"
	"sallyport/internal/testmedia"
	"sallyport/internal/verdict"
)

// TestStation is the whole station, in one guest. Those scenarios whose names
// begin with "smoke" are the ones that every change must pass: SALLYPORT_E2E=smoke
// runs them alone.
func TestStation(t *testing.T) {
	s := bootStation(t)
	s.scenario("smoke: a good stick", goodStick)
	s.scenario("smoke: an unsigned stick", unsignedStick)
	s.scenario("smoke: storage and keyboard in one device", compositeDevice)
	s.scenario("smoke: pulled in the middle", pulledInTheMiddle)
	if os.Getenv("SALLYPORT_E2E") == "smoke" {
		s.scenario("smoke: the log is whole", logIsWhole)
		return
	}
	s.scenario("a keyboard alone", keyboardAlone)
	s.scenario("ports for a security key and for outgoing media", otherRoles)
	s.scenario("a stick that becomes a keyboard", becomesAnother)
	s.scenario("what the policy of devices refuses", devicePolicy)
	s.scenario("two sticks at once", twoAtOnce)
	s.scenario("pulled before its files are listed", pulledBeforeListing)
	s.scenario("pulled at the end", pulledAtTheEnd)
	s.scenario("pulled and replaced at once", replacedAtOnce)
	s.scenario("USB attached SCSI, and hubs", otherTransports)
	s.scenario("a stick while it is read", whileReading)
	s.scenario("a stick that lies at the second read", liesAtTheSecondRead)
	s.scenario("twenty sticks one after the other", manyCycles)
	s.scenario("the daemon is killed while reading", daemonKilled)
	s.scenario("the guard is killed while reading", guardKilled)
	s.scenario("firmware-config is in force", firmwareConfig)
	s.scenario("at rest", atRest)
	s.scenario("speed", speed)
	s.scenario("units", units)
	s.scenario("the TPM has gone", tpmGone)
	s.scenario("inserted before the machine was switched on", insertedBeforeBoot)
	s.scenario("the log is whole", logIsWhole)
}

func goodStick(s *ems) {
	from := s.status().LogEntries
	name := s.name("good")
	s.plug(name, s.sealed(name, 1), socketA, DriveOptions{})
	p := s.decided(name)
	expect(s.t, p, verdict.Accepted)
	if !p.Removable || !p.Sealed || p.Accepted != 1 {
		s.t.Errorf("the port shows %s", text(p))
	}
	log := s.entries(from)
	s.logged(log, audit.DeviceAttached, audit.Success, map[string]string{"port": p.Path, "serial": name, "role": "in", "sha256": "", "shape": "storage 08/06/50"})
	s.logged(log, audit.DeviceAuthorise, audit.Success, map[string]string{"disk": "sda", "diskseq": ""})
	s.logged(log, audit.MediumVerdict, audit.Accepted, nil)
	s.logged(log, audit.DeviceRelease, audit.Success, nil)
	// It is denied again while it is still plugged in.
	if got := s.authorised(p.Path); got != "0" {
		s.t.Errorf("after the verdict the device is authorised: %s", got)
	}
	s.noDisk()
	s.pull(name)
	s.logged(s.entries(from), audit.DeviceRemoved, "", map[string]string{"port": p.Path})
}

func unsignedStick(s *ems) {
	name := s.name("unsigned")
	s.plug(name, s.unsigned(), socketB, DriveOptions{})
	p := s.decided(name)
	expect(s.t, p, verdict.Held, verdict.NoManifest)
	if !p.Removable {
		s.t.Errorf("the port shows %s", text(p))
	}
	// What was on it is in quarantine, with the facts of the device.
	out, err := s.Shell(s.t.Context(), "sallyport quarantine show --verify "+p.Medium)
	ok(s.t, err)
	for _, words := range []string{"RESULTS.TXT", "stored bytes intact: yes", "serial number " + name, "port " + p.Path} {
		if !strings.Contains(out, words) {
			s.t.Errorf("the quarantine does not say %q:\n%s", words, out)
		}
	}
	s.pull(name)
	if last := s.port(of(name, hotplug.Empty)); last == nil || last.Verdict != verdict.Held {
		s.t.Errorf("after it was pulled the port shows %s", text(last))
	}
}

// refusedAt waits until a device at a place is refused and checks that nothing
// in the kernel has it.
func (s *ems) refusedAt(place string, reason verdict.Reason) {
	s.t.Helper()
	p := s.waitFor("the refusal at "+place, func(p hotplug.Port) bool { return p.Path == place && p.Phase == hotplug.Refused })
	expect(s.t, p, verdict.Refused, reason)
	if got := s.authorised(place); got != "0" {
		s.t.Errorf("the refused device at %s is authorised: %s", place, got)
	}
	s.noDisk()
}

// inputs are the keyboards and mice that the kernel has.
func (s *ems) inputs() string {
	s.t.Helper()
	out, err := s.Shell(s.t.Context(), "ls /dev/input/event* 2>/dev/null || true")
	ok(s.t, err)
	return out
}

// gone waits until a place is empty again.
func (s *ems) gone(place string) {
	s.t.Helper()
	s.until(place+" is empty", func() bool {
		return s.port(func(p hotplug.Port) bool { return p.Path == place && p.Phase != hotplug.Empty }) == nil
	})
}

func keyboardAlone(s *ems) {
	from := s.status().LogEntries
	before := s.inputs()
	name := s.name("keyboard")
	ok(s.t, s.PlugKeyboard(s.t.Context(), name, socketA))
	s.refusedAt("1-1", verdict.NotStorage)
	s.logged(s.entries(from), audit.DeviceRefused, audit.Refused, map[string]string{"port": "1-1", "reason": "not-storage", "shape": "keyboard, mouse or other input 03/01/01"})
	if now := s.inputs(); now != before {
		s.t.Errorf("the kernel has the input devices %q, before %q", now, before)
	}
	ok(s.t, s.Unplug(s.t.Context(), name))
	s.gone("1-1")

	// The same at its own port is of use.
	ok(s.t, s.PlugKeyboard(s.t.Context(), name, socketKeyboard))
	s.waitFor("the keyboard at its port", func(p hotplug.Port) bool { return p.Path == "1-4" && p.Phase == hotplug.InUse })
	if now := s.inputs(); now == before {
		s.t.Error("the keyboard at its own port does not work")
	}
	ok(s.t, s.Unplug(s.t.Context(), name))
	s.gone("1-4")
}

// A port for a security key takes one and nothing else; a stick in a port for
// outgoing media waits, denied, until somebody writes to it.
func otherRoles(s *ems) {
	token := s.name("token")
	ok(s.t, s.PlugDevice(s.t.Context(), "usb-ccid", token, socketToken, nil))
	s.waitFor("the smart card reader at its port", func(p hotplug.Port) bool { return p.Path == "1-5" && p.Phase == hotplug.InUse })
	if got := s.authorised("1-5"); got != "1" {
		s.t.Errorf("the smart card reader is authorised: %s", got)
	}
	ok(s.t, s.Unplug(s.t.Context(), token))
	s.gone("1-5")
	s.rest(3 * time.Second)
	ok(s.t, s.PlugKeyboard(s.t.Context(), token, socketToken))
	s.refusedAt("1-5", verdict.PortNotAllowed)
	ok(s.t, s.Unplug(s.t.Context(), token))
	s.gone("1-5")

	name := s.name("outgoing")
	s.plug(name, s.unsigned(), socketOut, DriveOptions{})
	p := s.waitFor("the stick in the port for outgoing media", of(name, hotplug.Idle))
	if got := s.authorised(p.Path); got != "0" || !p.Removable {
		s.t.Errorf("it is authorised: %s, %s", got, text(p))
	}
	s.noDisk()
	s.pull(name)
}

func compositeDevice(s *ems) {
	from := s.status().LogEntries
	before := s.inputs()
	ok(s.t, s.MakeDisk(s.t.Context(), "/root/gadget.img", 8))
	place, err := s.GadgetComposite(s.t.Context(), "composite", "/root/gadget.img")
	ok(s.t, err)
	s.refusedAt(place, verdict.CompositeDevice)
	s.logged(s.entries(from), audit.DeviceRefused, audit.Refused, map[string]string{"port": place, "reason": "composite-device", "serial": "4C530001"})
	if now := s.inputs(); now != before {
		s.t.Errorf("the kernel has the input devices %q, before %q", now, before)
	}
	ok(s.t, s.UnplugGadget(s.t.Context(), "composite"))
	s.gone(place)
}

// A stick that becomes a keyboard at the same port, as the best known attack does.
func becomesAnother(s *ems) {
	from := s.status().LogEntries
	before := s.inputs()
	ok(s.t, s.MakeDisk(s.t.Context(), "/root/gadget.img", 8))
	stick := Gadget{Name: "stick", Vendor: 0x0781, Product: 0x5581, Maker: "SanDisk", Model: "Ultra", Serial: "4C530002", Disk: "/root/gadget.img"}
	place, err := s.PlugGadget(s.t.Context(), stick)
	ok(s.t, err)
	s.waitFor("the verdict over the stick", func(p hotplug.Port) bool { return p.Path == place && p.Phase == hotplug.Decided })
	keyboard := stick
	keyboard.Name, keyboard.Disk, keyboard.Keyboard = "keyboard", "", true
	again, err := s.Reappear(s.t.Context(), "stick", keyboard)
	ok(s.t, err)
	if again != place {
		s.t.Errorf("the device came back at %s, it was at %s", again, place)
	}
	s.refusedAt(place, verdict.DeviceChanged)
	e := s.logged(s.entries(from), audit.DeviceChanged, audit.Refused, map[string]string{"port": place, "reason": "device-changed"})
	if d, _ := audit.Define(audit.DeviceChanged); e != nil && d.Severity != audit.Critical {
		s.t.Errorf("an incident has the severity %s", d.Severity)
	}
	if now := s.inputs(); now != before {
		s.t.Errorf("the kernel has the input devices %q, before %q", now, before)
	}
	ok(s.t, s.UnplugGadget(s.t.Context(), "keyboard"))
	s.gone(place)
}

func devicePolicy(s *ems) {
	// A socket that is none of the station's.
	name := s.name("elsewhere")
	image := s.unsigned()
	s.plug(name, image, socketOther, DriveOptions{})
	s.refusedAt("2-7", verdict.PortNotAllowed)
	s.pull(name)

	// A stick that is larger than allowed: its driver has to say so, so it is denied again.
	name = s.name("large")
	s.plug(name, testmedia.Blank(s.t, "large", 200<<20), socketA, DriveOptions{})
	expect(s.t, s.decided(name), verdict.Refused, verdict.CapacityOutOfRange)
	s.noDisk()
	s.pull(name)

	// A disk with a CD in one device, as modems with their drivers have it.
	s.rest(3 * time.Second)
	name = s.name("units")
	cd := name + "-cd"
	ok(s.t, s.AddDrive(s.t.Context(), name, image, DriveOptions{}))
	ok(s.t, s.AddDrive(s.t.Context(), cd, s.unsigned(), DriveOptions{ReadOnly: true}))
	ok(s.t, s.PlugUnits(s.t.Context(), name, socketA, MultiLUN, name, LUN{Drive: name}, LUN{Drive: cd, CD: true}))
	expect(s.t, s.decided(name), verdict.Refused, verdict.CompositeDevice)
	s.noDisk()
	ok(s.t, s.Unplug(s.t.Context(), name))
	ok(s.t, s.DropDrive(s.t.Context(), name))
	ok(s.t, s.DropDrive(s.t.Context(), cd))
	s.gone("2-1")
	s.rest(3 * time.Second)
}

func twoAtOnce(s *ems) {
	from := s.status().LogEntries
	a, b := s.name("twin"), s.name("twin")
	// One of them has partitions, of which the kernel makes events as well.
	images := map[string]string{a: s.sealed(a, 2), b: testmedia.Partitioned(s.t, "gpt", s.sealed(b, 2))}
	s.plug(a, images[a], socketA, DriveOptions{})
	s.plug(b, images[b], socketB, DriveOptions{})
	expect(s.t, s.decided(a), verdict.Accepted)
	expect(s.t, s.decided(b), verdict.Accepted)
	if n := len(slices.DeleteFunc(s.entries(from), func(e audit.Entry) bool { return e.Event != audit.MediumInserted })); n != 2 {
		s.t.Errorf("two sticks were %d media", n)
	}
	s.pull(a)
	s.pull(b)
}

// pulledWhileReading pulls a slow stick at a moment that the screen shows.
func pulledWhileReading(what string, rate int64, moment func(p hotplug.Port) bool) func(s *ems) {
	return func(s *ems) {
		from := s.status().LogEntries
		name := s.name("pulled")
		s.plug(name, s.sealed(name, 8), socketA, DriveOptions{Throttle: rate})
		p := s.waitFor(what, func(p hotplug.Port) bool { return p.Device != nil && p.Device.Serial == name && moment(p) })
		if p.Phase == hotplug.Decided {
			s.t.Fatalf("the moment has passed: %s", text(p))
		}
		s.pull(name)
		p = s.waitFor("the verdict", func(p hotplug.Port) bool { return p.Device != nil && p.Device.Serial == name && p.Verdict != "" })
		expect(s.t, p, verdict.Held, verdict.RemovedDuringRead)
		if p.Removable {
			s.t.Error("an empty port says that it is safe to remove something")
		}
		s.logged(s.entries(from), audit.MediumVerdict, audit.Held, map[string]string{"reasons": "removed-during-read"})
		s.noDisk()
	}
}

var pulledBeforeListing = pulledWhileReading("the file system is read", 24<<10, func(p hotplug.Port) bool { return p.Phase == intake.Listing })

var pulledInTheMiddle = pulledWhileReading("a third is read", 1<<20, func(p hotplug.Port) bool {
	return p.Phase == intake.Reading && p.Done > p.Total/3
})

var pulledAtTheEnd = pulledWhileReading("nearly all is read", 1<<20, func(p hotplug.Port) bool {
	return p.Phase == intake.Reading && p.Done > p.Total*9/10
})

// Pulled while it was read, and another stick in the same port within a second.
func replacedAtOnce(s *ems) {
	slow, next := s.name("slow"), s.name("next")
	image := s.sealed(next, 1)
	ok(s.t, s.AddDrive(s.t.Context(), next, image, DriveOptions{}))
	s.plug(slow, s.sealed(slow, 8), socketA, DriveOptions{Throttle: 1 << 20})
	s.waitFor("some of it is read", func(p hotplug.Port) bool {
		return p.Device != nil && p.Device.Serial == slow && p.Phase == intake.Reading && p.Done > 1<<20
	})
	ok(s.t, s.Unplug(s.t.Context(), slow))
	delete(s.left, slow)
	began := time.Now()
	ok(s.t, s.PlugStorage(s.t.Context(), next, socketA, BulkOnly, next))
	if took := time.Since(began); took > time.Second {
		s.t.Errorf("the other stick came only after %s", took)
	}
	p := s.decided(next)
	expect(s.t, p, verdict.Accepted)
	if p.Before == nil || p.Before.Verdict != verdict.Held || len(p.Before.Findings) != 1 || p.Before.Findings[0].Reason != verdict.RemovedDuringRead {
		s.t.Errorf("the port says of the stick before: %s", text(p.Before))
	}
	ok(s.t, s.DropDrive(s.t.Context(), slow))
	s.pull(next)
}

func otherTransports(s *ems) {
	name := s.name("uas")
	ok(s.t, s.AddDrive(s.t.Context(), name, s.sealed(name, 1), DriveOptions{}))
	s.rest(3 * time.Second) // another kind of device at once would be an incident
	ok(s.t, s.PlugStorage(s.t.Context(), name, socketB, UAS, name))
	p := s.decided(name)
	expect(s.t, p, verdict.Accepted)
	if !strings.Contains(p.Device.Shape, "08/06/62") {
		s.t.Errorf("the device is %s", p.Device.Shape)
	}
	ok(s.t, s.Unplug(s.t.Context(), name))
	ok(s.t, s.DropDrive(s.t.Context(), name))
	s.gone("2-2")
	s.rest(3 * time.Second)

	// Sectors of 4 KiB are allowed, of 2 KiB not.
	for sector, want := range map[int]verdict.Verdict{4096: verdict.Accepted, 2048: verdict.Refused} {
		name := s.name("sectors")
		image := testmedia.FATFrom(s.t, testmedia.Options{Bits: 16, SizeMiB: 64, SectorBytes: sector}, s.packageOf(name, 1).Dir)
		ok(s.t, s.AddDrive(s.t.Context(), name, image, DriveOptions{}))
		ok(s.t, s.PlugUnits(s.t.Context(), name, socketB, UAS, name, LUN{Drive: name, SectorBytes: sector}))
		p := s.decided(name)
		if want == verdict.Accepted {
			expect(s.t, p, want)
			if p.Device.SectorBytes != int64(sector) {
				s.t.Errorf("the disk has sectors of %d bytes", p.Device.SectorBytes)
			}
		} else {
			expect(s.t, p, want, verdict.CapacityOutOfRange)
		}
		ok(s.t, s.Unplug(s.t.Context(), name))
		ok(s.t, s.DropDrive(s.t.Context(), name))
		s.gone("2-2")
	}
	s.rest(3 * time.Second)

	// Behind a hub, at the one place of it that is configured.
	hub := s.name("hub")
	name = s.name("behind")
	ok(s.t, s.PlugHub(s.t.Context(), hub, socketHub))
	_, err := s.Until(s.t.Context(), "[ $(cat /sys/bus/usb/devices/1-3/authorized) = 1 ]")
	ok(s.t, err)
	s.plug(name, s.sealed(name, 1), socketHub+".1", DriveOptions{})
	expect(s.t, s.decided(name), verdict.Accepted)
	s.pull(name)
	wrong := s.name("wrong")
	s.plug(wrong, s.unsigned(), socketHub+".2", DriveOptions{})
	s.refusedAt("1-3.2", verdict.PortNotAllowed)
	s.pull(wrong)
	ok(s.t, s.Unplug(s.t.Context(), hub))
	// A hub at a port behind which nothing is configured.
	ok(s.t, s.PlugHub(s.t.Context(), hub, socketOther))
	s.refusedAt("1-7", verdict.PortNotAllowed)
	ok(s.t, s.Unplug(s.t.Context(), hub))
	s.gone("1-7")
}

// While it is read, a stick belongs to the station alone and cannot be written.
func whileReading(s *ems) {
	name := s.name("mine")
	s.plug(name, s.sealed(name, 8), socketA, DriveOptions{Throttle: 1 << 20})
	s.waitFor("some of it is read", func(p hotplug.Port) bool {
		return p.Device != nil && p.Device.Serial == name && p.Phase == intake.Reading && p.Done > 1<<20
	})
	out, err := s.Shell(s.t.Context(), `
		echo "ro $(cat /sys/block/sda/ro)"
		read -r _ _ _ _ writes _ </sys/block/sda/stat; echo "writes $writes"
		echo "node $(stat -c '%U:%G:%a' /dev/sda)"
		echo "probed $(udevadm info --query=property --name=sda | grep -c ID_FS_ || true)"
		echo "ignored $(udevadm info --query=property --name=sda | grep -cE '^(UDISKS_IGNORE=1|SYSTEMD_READY=0)$')"
		systemctl start udisks2; udisksctl info -b /dev/sda >/dev/null 2>&1 && udisksctl mount --no-user-interaction -b /dev/sda 2>&1 || true
		echo "mounts $(grep -c sda /proc/mounts || true)"
		echo "links $(find -L /dev/disk -samefile /dev/sda 2>/dev/null | wc -l)"
		mount -t vfat -o ro /dev/sda /mnt 2>&1 || true
		dd if=/dev/zero of=/dev/sda bs=512 count=1 2>&1 || true`)
	ok(s.t, err)
	for _, words := range []string{"ro 1", "writes 0", "node root:root:600", "probed 0", "ignored 2", "mounts 0", "links 0", "busy", "dd: "} {
		if !strings.Contains(out, words) {
			s.t.Errorf("while the stick is read the guest does not say %q:\n%s", words, out)
		}
	}
	expect(s.t, s.decided(name), verdict.Accepted)
	s.pull(name)
}

// A stick that gives other bytes when its content is read a second time: it is
// read once.
func liesAtTheSecondRead(s *ems) {
	name := s.name("liar")
	image := s.sealed(name, 2)
	p := testmedia.Find(s.t, image, sealedFile(s.t, image))
	d := testmedia.NewDevice(s.t, image, testmedia.DeviceOptions{})
	// The inside of the file: its edges may come along with structures beside it,
	// and are not used then.
	const edge = 64 << 10
	from := testmedia.Where(s.t, image, p.Path, edge)
	size := p.Size/testmedia.SectorBytes*testmedia.SectorBytes - 2*edge
	var reads sync.Map // sectors of the inside that were read before
	d.Set(func(r testmedia.Read, b []byte) (int, error) {
		for at := max(r.Off, from); at < min(r.Off+int64(len(b)), from+size); at += testmedia.SectorBytes {
			if _, again := reads.LoadOrStore(at, true); again {
				clear(b[at-r.Off:][:testmedia.SectorBytes])
			}
		}
		return len(b), nil
	})
	ok(s.t, s.AddDrive(s.t.Context(), name, d.Path, DriveOptions{ReadOnly: true, Device: true}))
	ok(s.t, s.PlugStorage(s.t.Context(), name, socketA, BulkOnly, name))
	expect(s.t, s.decided(name), verdict.Accepted)
	s.pull(name)
	read := d.Reads()[from/testmedia.SectorBytes:][:size/testmedia.SectorBytes]
	if len(read) < 3000 || slices.Min(read) != 1 || slices.Max(read) != 1 {
		s.t.Errorf("of %d sectors of content each was read %d to %d times, not once", len(read), slices.Min(read), slices.Max(read))
	}
}

// sealedFile is the path of the data of the only package on an image.
func sealedFile(t *testing.T, image string) string {
	t.Helper()
	for line := range strings.Lines(string(testmedia.Mtool(t, "mdir", "-/", "-b", "-i", image, "::/"))) {
		if path := strings.TrimPrefix(strings.TrimSpace(line), "::/"); strings.HasSuffix(path, "/data/results.bin") {
			return path
		}
	}
	t.Fatal("the image has no package")
	return ""
}

// A station that takes sticks all day does not grow.
func manyCycles(s *ems) {
	image := s.unsigned()
	cycle := func() {
		name := s.name("day")
		s.plug(name, image, socketA, DriveOptions{})
		expect(s.t, s.decided(name), verdict.Held, verdict.NoManifest)
		s.pull(name)
	}
	for range 3 { // what is made once is made now
		cycle()
	}
	before := s.usage()
	const cycles = 20
	for range cycles {
		cycle()
	}
	after := s.usage()
	s.t.Logf("before %s\nafter %d cycles %s", before, cycles, after)
	if after.files > before.files || after.goroutines > before.goroutines || after.usbdFiles > before.usbdFiles || after.usbdThreads > before.usbdThreads+2 {
		s.t.Errorf("the station has grown: before %s, after %s", before, after)
	}
	// A kilobyte a cycle would be seen in a year; what is allowed is the runtime's slack.
	if grown := after.resident + after.usbdResident - before.resident - before.usbdResident; grown > 8<<20 {
		s.t.Errorf("the memory has grown by %d bytes", grown)
	}
}

// usage is what both daemons use.
type usage struct {
	files, goroutines, usbdFiles, usbdThreads int
	resident, usbdResident                    int64
}

func (u usage) String() string {
	return fmt.Sprintf("sallyportd: %d files, %d goroutines, %d KiB; sallyport-usbd: %d files, %d threads, %d KiB",
		u.files, u.goroutines, u.resident>>10, u.usbdFiles, u.usbdThreads, u.usbdResident>>10)
}

func (s *ems) usage() (u usage) {
	s.t.Helper()
	p := s.status().Process
	u.files, u.goroutines, u.resident = p.Files, p.Goroutines, p.Resident
	out, err := s.Shell(s.t.Context(), `pid=$(systemctl show -P MainPID sallyport-usbd)
		echo $(ls /proc/$pid/fd | wc -l) $(ls /proc/$pid/task | wc -l) $(grep VmRSS /proc/$pid/status | tr -dc 0-9)`)
	ok(s.t, err)
	if _, err := fmt.Sscan(out, &u.usbdFiles, &u.usbdThreads, &u.usbdResident); err != nil {
		s.t.Fatalf("%q: %v", out, err)
	}
	u.usbdResident <<= 10
	return u
}

// The daemon is killed in the middle: what it had read is held, the device is
// denied, and when it is there again the stick is read anew.
func daemonKilled(s *ems) {
	from := s.status().LogEntries
	name := s.name("cut")
	s.plug(name, s.sealed(name, 8), socketA, DriveOptions{Throttle: 2 << 20})
	s.waitFor("some of it is read", of(name, intake.Reading))
	_, err := s.Shell(s.t.Context(), `systemctl kill --signal=KILL --kill-whom=main sallyportd
		for i in $(seq 100); do [ "$(cat /sys/bus/usb/devices/2-1/authorized)" = 0 ] && exit 0; sleep 0.05; done; exit 1`)
	if err != nil {
		s.t.Errorf("the device was not denied when the daemon had gone: %v", err)
	}
	s.noDisk()
	expect(s.t, s.decided(name), verdict.Accepted)
	log := s.entries(from)
	s.logged(log, audit.PackageRecovered, "", nil)
	s.logged(log, audit.MediumVerdict, audit.Held, map[string]string{"reasons": "interrupted"})
	s.logged(log, audit.MediumVerdict, audit.Accepted, nil)
	// Once more, now after the verdict: it is not read again.
	_, err = s.Shell(s.t.Context(), "systemctl kill --signal=KILL --kill-whom=main sallyportd")
	ok(s.t, err)
	s.waitFor("the daemon knows the stick", of(name, hotplug.Earlier))
	s.pull(name)
}

// The guard is killed in the middle: nobody could say any more that the stick is
// the same, so the medium is interrupted, and read anew under the new guard.
func guardKilled(s *ems) {
	from := s.status().LogEntries
	name := s.name("unguarded")
	s.plug(name, s.sealed(name, 8), socketA, DriveOptions{Throttle: 2 << 20})
	s.waitFor("some of it is read", of(name, intake.Reading))
	_, err := s.Shell(s.t.Context(), "systemctl kill --signal=KILL --kill-whom=main sallyport-usbd")
	ok(s.t, err)
	s.until("the medium is interrupted", func() bool {
		for _, e := range s.entries(from) {
			if e.Event == audit.MediumVerdict && e.Outcome == audit.Held && e.Fields["reasons"] == "interrupted" {
				return true
			}
		}
		return false
	})
	s.until("the stick is accepted", func() bool {
		p := s.port(of(name, hotplug.Decided))
		return p != nil && p.Verdict == verdict.Accepted
	})
	log := s.entries(from)
	s.logged(log, audit.USBGuard, audit.Failure, nil)
	s.logged(log, audit.USBGuard, audit.Success, nil)
	s.pull(name)
}

// The units: scores, order, restart, and an end to a crash loop.
func units(s *ems) {
	t := s.t
	for unit, most := range map[string]float64{"sallyportd": 1.5, "sallyport-usbd": 1.5} {
		out, err := s.Shell(t.Context(), "systemd-analyze security --no-pager "+unit+".service | tail -n 1")
		ok(t, err)
		fields := strings.Fields(out[strings.Index(out, ":")+1:])
		score, err := strconv.ParseFloat(fields[0], 64)
		if err != nil || score > most {
			t.Errorf("systemd-analyze security gives %s %q, at most %.1f is allowed", unit, out, most)
		}
		t.Logf("%s: %s", unit, out)
	}
	from := s.status().LogEntries
	_, err := s.Shell(t.Context(), "systemctl restart sallyportd; systemctl stop sallyportd; systemctl start sallyportd; systemctl restart sallyport-usbd")
	ok(t, err)
	s.until("the station is ready again", func() bool { st := s.status(); return st.USB.Guarded && len(st.NotReady) == 0 })
	stops, starts := 0, 0
	for _, e := range s.entries(from) {
		switch e.Event {
		case audit.StationStop:
			stops++
		case audit.StationStart:
			starts++
		}
	}
	if stops != 2 || starts != 2 {
		t.Errorf("the log has %d orderly stops and %d starts, want 2 and 2", stops, starts)
	}
	// A program that hangs is ended and started anew.
	out, err := s.Shell(t.Context(), `mkdir -p /run/systemd/system/sallyportd.service.d
		printf '[Service]\nWatchdogSec=4\n' >/run/systemd/system/sallyportd.service.d/short.conf
		systemctl daemon-reload; systemctl restart sallyportd
		was=$(systemctl show -P MainPID sallyportd); sleep 6
		[ "$(systemctl show -P MainPID sallyportd)" = $was ] || { echo a daemon that is well was ended; exit 1; }
		kill -STOP $was
		for i in $(seq 300); do now=$(systemctl show -P MainPID sallyportd); [ "$now" != $was ] && [ "$now" != 0 ] && break; sleep 0.1; done
		echo "again $([ "$now" != $was ] && echo yes)"
		rm -r /run/systemd/system/sallyportd.service.d; systemctl daemon-reload`)
	if err != nil || !strings.Contains(out, "again yes") {
		t.Errorf("the watchdog: %s, %v", out, err)
	}
	// A configuration that cannot be read ends in a failed unit, not in a loop, and
	// nothing is authorised meanwhile.
	name := s.name("nobody")
	_, err = s.Shell(t.Context(), `cp -p /etc/sallyport/sallyport.toml /root/good.toml; echo nonsense >>/etc/sallyport/sallyport.toml
		systemctl restart sallyport-usbd || true
		for i in $(seq 300); do [ "$(systemctl is-failed sallyport-usbd)" = failed ] && break; sleep 0.1; done
		systemctl is-failed sallyport-usbd`)
	ok(t, err)
	s.plug(name, s.unsigned(), socketA, DriveOptions{})
	_, err = s.Until(t.Context(), "[ -e /sys/bus/usb/devices/2-1 ]")
	ok(t, err)
	if got := s.authorised("2-1"); got != "0" {
		t.Errorf("without its guard the device is authorised: %s", got)
	}
	_, err = s.Shell(t.Context(), `cp -p /root/good.toml /etc/sallyport/sallyport.toml
		systemctl reset-failed sallyport-usbd.socket sallyport-usbd; systemctl start sallyport-usbd.socket sallyport-usbd`)
	ok(t, err)
	expect(t, s.decided(name), verdict.Held, verdict.NoManifest)
	s.pull(name)
}

// What firmware-config asks for is in force on the running machine.
func firmwareConfig(s *ems) {
	out, err := s.Shell(s.t.Context(), `
		for word in $(cat /usr/lib/sallyport/cmdline); do grep -qw -- "$word" /proc/cmdline && echo "cmdline ok" || echo "cmdline lacks $word"; done
		echo "default $(cat /sys/module/usbcore/parameters/authorized_default)"
		echo "delay $(cat /sys/module/usb_storage/parameters/delay_use)"
		grep -vE '^ *(#|$)' /usr/lib/modules-load.d/sallyport.conf | while read -r m; do [ -d /sys/module/$m ] && echo "loaded ok" || echo "loaded lacks $m"; done
		for bus in /sys/bus/usb/devices/usb*; do echo "bus $(cat $bus/authorized_default)$(cat $bus/interface_authorized_default)"; done
		grep -oE '^install [^ ]+ /bin/false' /usr/lib/modprobe.d/sallyport.conf | cut -d ' ' -f 2 | while read -r m; do
			modprobe --show-depends "$m" 2>/dev/null | grep -q 'install /bin/false' && echo "module ok" || { modprobe -n "$m" 2>/dev/null && echo "module $m can be loaded" || echo "module ok"; }; done
		sysctl --system >/dev/null 2>&1 || true
		grep -vE '^ *(#|$)' /usr/lib/sysctl.d/99-sallyport.conf | while IFS='=' read -r key value; do
			key=$(echo $key | tr -d ' -'); value=$(echo $value); now=$(sysctl -n "$key" 2>/dev/null) || { echo "sysctl absent"; continue; }
			[ "$(echo $now)" = "$value" ] && echo "sysctl ok" || echo "sysctl $key is $now, not $value"; done
		echo "tpm $(stat -c '%U:%G:%a' /dev/tpmrm0) $(stat -c '%U:%G:%a' /dev/tpm0)"
		echo "state $(stat -c '%U:%G:%a' /var/lib/sallyport)"
		echo "socket $(stat -c '%U:%G:%a' /run/sallyport/control.sock) $(stat -c '%U:%G:%a' /run/sallyport-usbd/usbd.sock)"`)
	ok(s.t, err)
	want := map[string]string{"default": "0", "delay": "0", "loaded": "ok", "bus": "00", "module": "ok", "cmdline": "ok", "tpm": "root:sallyport:660 root:root:600",
		"state": "sallyport:sallyport:700", "socket": "sallyport:sallyport-operators:660 sallyport:root:600"}
	seen := map[string]int{}
	for line := range strings.Lines(out) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		seen[key]++
		if w, known := want[key]; known && value != w || key == "sysctl" && value != "ok" && value != "absent" {
			s.t.Errorf("in the guest: %s", line)
		}
	}
	if seen["module"] < 20 || seen["sysctl"] < 10 || seen["cmdline"] < 5 || seen["bus"] < 2 || seen["loaded"] < 4 {
		s.t.Errorf("too little was looked at: %v", seen)
	}
	// An operator reaches the station, another user does not.
	out, err = s.Shell(s.t.Context(), `useradd -M -G sallyport-operators clerk 2>/dev/null || true; useradd -M visitor 2>/dev/null || true
		cd /; runuser -u clerk -- sallyport status | head -1
		runuser -u visitor -- sallyport status 2>&1 | head -1 || true`)
	ok(s.t, err)
	if lines := strings.Split(out, "\n"); len(lines) != 2 || !strings.Contains(lines[0], "ems-1") || strings.Contains(lines[1], "ems-1") {
		s.t.Errorf("operator and visitor see:\n%s", out)
	}
}

// atRest measures a station that has nothing to do.
func atRest(s *ems) {
	const seconds = 125 // in which the runtime looks after its memory once
	ctx, cancel := context.WithTimeout(s.t.Context(), 2*seconds*time.Second)
	defer cancel()
	out, err := s.Shell(ctx, fmt.Sprintf(`systemctl stop watching; sleep 2
		pids="$(systemctl show -P MainPID sallyportd) $(systemctl show -P MainPID sallyport-usbd)"
		ran() { for p in $pids; do cat /proc/$p/task/*/schedstat; done | { sum=0; while read -r ns _; do sum=$((sum+ns)); done; echo $sum; }; }
		before=$(ran); sleep %d; after=$(ran)
		kb=0; for p in $pids; do kb=$((kb+$(grep VmRSS /proc/$p/status | tr -dc 0-9))); done
		echo $((after-before)) $kb`, seconds))
	ok(s.t, err)
	s.watching()
	var ns, kb int64
	if _, err := fmt.Sscan(out, &ns, &kb); err != nil {
		s.t.Fatalf("%q: %v", out, err)
	}
	share := float64(ns) / (seconds * 1e9) * 100
	s.t.Logf("at rest: %.4f %% of an emulated processor (0.1 %% is allowed), %d KiB resident in both daemons together", share, kb)
	if kb > 80<<10 {
		s.t.Errorf("at rest the station has %d KiB resident, at most 80 MiB are allowed", kb)
	}
}

// speed reports our own time from the guest. The figures are those of an emulated
// processor, many times slower than a real one.
func speed(s *ems) {
	bad := s.sealed(s.name("forged"), 1)
	manifest := strings.TrimSuffix(sealedFile(s.t, bad), "data/results.bin") + "manifest.dsse.json"
	e := testmedia.Find(s.t, bad, manifest)
	envelope := testmedia.Bytes(s.t, bad, testmedia.Where(s.t, bad, manifest, 0), int(e.Size))
	sig := strings.Index(string(envelope), `"sig":"`)
	testmedia.Poke(s.t, bad, testmedia.Where(s.t, bad, manifest, int64(sig+20)), envelope[sig+20]^1)
	var own, kernel, after []int64
	for range 7 {
		from := s.status().LogEntries
		name := s.name("timed")
		s.plug(name, bad, socketA, DriveOptions{})
		s.rest(3 * time.Second) // so that nobody asks while it is measured
		expect(s.t, s.decided(name), verdict.Held, verdict.SignatureInvalid)
		s.pull(name)
		for _, e := range s.entries(from) {
			note := func(to *[]int64, field string) {
				if v := e.Fields[field]; v != "" {
					n, err := strconv.ParseInt(v, 10, 64)
					ok(s.t, err)
					*to = append(*to, n)
				}
			}
			switch e.Event {
			case audit.MediumRead:
				note(&own, "own_ms")
			case audit.DeviceAuthorise:
				note(&kernel, "kernel_ms")
			case audit.PackageVerify:
				note(&after, "after_ms")
			}
		}
	}
	if len(own) != 7 || len(after) != 7 || len(kernel) != 7 {
		s.t.Fatalf("not every stick was measured: %v %v %v", own, kernel, after)
	}
	for what, list := range map[string][]int64{
		"from the kernel's announcement to reading, our own time (300 ms are allowed)": own,
		"the kernel's and the device's time before reading":                            kernel,
		"from the first read to the refusal of a bad manifest (200 ms are allowed)":    after,
	} {
		slices.Sort(list)
		s.t.Logf("%s: %d to %d ms, median %d ms", what, list[0], list[6], list[3])
	}
}

// The TPM goes away: nothing is authorised, and the refusal says why.
func tpmGone(s *ems) {
	from := s.status().LogEntries
	s.KillTPM()
	name := s.name("keyless")
	s.plug(name, s.sealed(name, 1), socketA, DriveOptions{})
	p := s.decided(name)
	expect(s.t, p, verdict.Refused, verdict.TPMUnavailable)
	if p.Sealed || !p.Removable {
		s.t.Errorf("the port shows %s", text(p))
	}
	if got := s.authorised("2-1"); got != "0" {
		s.t.Errorf("without the TPM the device is authorised: %s", got)
	}
	for _, e := range s.entries(from) {
		if e.Event == audit.DeviceAuthorise {
			s.t.Error("without the TPM a device was authorised")
		}
	}
	if st := s.status(); st.TPMReady || len(st.NotReady) == 0 {
		s.t.Errorf("the status says %s", text(st))
	}
	s.pull(name)
}

// A medium and the keyboard are plugged in when the machine is switched on.
func insertedBeforeBoot(s *ems) {
	name := s.name("early")
	image := s.sealed(name, 1)
	s.o.QEMUArgs = []string{
		"-blockdev", "driver=raw,node-name=" + name + ",file.driver=file,file.filename=" + image,
		"-device", "usb-storage,id=" + name + ",drive=" + name + ",bus=xhci.0,port=" + socketB + ",serial=" + name + ",removable=on",
		"-device", "usb-kbd,id=keys,bus=xhci.0,port=" + socketKeyboard,
	}
	ok(s.t, s.Reboot(s.t.Context()))
	failed, err := s.WaitBooted(s.t.Context())
	if err != nil || len(failed) > 0 {
		s.t.Fatalf("units failed: %q, %v", failed, err)
	}
	s.watching()
	s.until("the station is ready", func() bool { return s.status().USB.Guarded })
	expect(s.t, s.decided(name), verdict.Accepted)
	s.waitFor("the keyboard at its port", func(p hotplug.Port) bool { return p.Path == "1-4" && p.Phase == hotplug.InUse })
	if s.inputs() == "" {
		s.t.Error("the keyboard that was there at the start does not work: who stands before the machine is locked out")
	}
	s.pull(name)
}

// The whole log of the day, checked with the public key alone.
func logIsWhole(s *ems) {
	out, err := s.Shell(s.t.Context(), `sallyport trust key --out /tmp/key.pem >/dev/null
		sallyport status | head -1; sallyport-verify log /var/lib/sallyport/log --key /tmp/key.pem`)
	if err != nil {
		s.t.Errorf("the log: %v", err)
	}
	s.t.Log(out)
}
