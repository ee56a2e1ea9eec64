package e2e

import (
	"os"
	"slices"
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
