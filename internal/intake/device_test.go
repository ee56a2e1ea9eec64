package intake_test

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"sallyport/internal/audit"
	"sallyport/internal/intake"
	"sallyport/internal/testmedia"
	"sallyport/internal/vault"
	"sallyport/internal/verdict"
)

// stick is a device behind a door that a test steers. It objects to being used
// out of turn, or before the log says so.
type stick struct {
	r       *rig
	image   string
	device  *intake.Device
	open    error // instead of opening
	check   error // what every check says
	release error

	file     *os.File
	checks   int
	suspect  bool
	released bool
}

func (r *rig) stick(image string) *stick {
	return &stick{r: r, image: image, device: &intake.Device{
		Port: "1-1", Insertion: "1-1#4711", Vendor: "0781", Product: "5581", Serial: "4C53", Name: "Ultra", Shape: "storage 08/06/50", SHA256: strings.Repeat("ab", 32),
	}}
}

// last says whether the log's last entry is the intent of an action.
func (s *stick) last(event audit.EventID) bool {
	e := s.r.entries("")
	return e[len(e)-1].Event == event && e[len(e)-1].Phase == audit.PhaseIntent
}

func (s *stick) Open(context.Context) (intake.Opened, error) {
	if !s.last(audit.DeviceAuthorise) {
		s.r.t.Error("a device is authorised without an intent in the log")
	}
	o := intake.Opened{Disk: "sda", DiskSeq: 9, Bytes: 1 << 20, SectorBytes: 512}
	if s.open != nil {
		return o, s.open
	}
	var err error
	s.file, err = os.Open(s.image)
	s.r.must(err)
	o.File = s.file
	return o, nil
}

func (s *stick) Check(_ context.Context, suspect bool) error {
	if s.file == nil || s.released {
		s.r.t.Error("a device is checked that is not open")
	}
	s.checks++
	s.suspect = s.suspect || suspect
	return s.check
}

func (s *stick) Release(context.Context) error {
	if _, err := s.file.Stat(); !errors.Is(err, os.ErrClosed) {
		s.r.t.Error("a device is denied while its disk is still open here")
	}
	if !s.last(audit.DeviceRelease) {
		s.r.t.Error("a device is released without an intent in the log")
	}
	s.released = true
	return s.release
}

func (s *stick) insert() *intake.Report {
	s.r.t.Helper()
	rep, err := s.r.intake.Run(s.r.t.Context(), intake.Medium{Source: "usb", Name: "Ultra at port 1-1", Caller: intake.Nobody, Device: s.device, Door: s})
	s.r.must(err)
	return rep
}

// outcome is how the only action of a kind ended.
func (r *rig) outcome(event audit.EventID) (audit.Outcome, map[string]string) {
	r.t.Helper()
	for _, e := range r.entries(string(event)) {
		if e.Phase == audit.PhaseOutcome {
			return e.Outcome, e.Fields
		}
	}
	return "", nil
}

func TestAMediumBehindADoor(t *testing.T) {
	r := newRig(t)
	s := r.stick(r.medium(nil, r.set()))
	rep := s.insert()
	r.wants(rep, verdict.Accepted, 0)
	if !rep.Removable || !s.released || s.checks != 1 || s.suspect {
		t.Errorf("removable %t, released %t, %d checks, suspect %t", rep.Removable, s.released, s.checks, s.suspect)
	}
	if d := rep.Medium.Device; d == nil || d.Disk != "sda" || d.DiskSeq != 9 || rep.Medium.Caller != intake.Nobody {
		t.Errorf("the report says of the device %+v", rep.Medium)
	}
	var order []string
	for _, e := range r.entries("") {
		if strings.HasPrefix(string(e.Event), "device.") || strings.HasPrefix(string(e.Event), "medium.") {
			order = append(order, string(e.Event)+" "+string(e.Phase))
		}
		if e.Event == audit.MediumInserted && (e.Fields["insertion"] != "1-1#4711" || e.Subject.Person != "") {
			t.Errorf("the log says of the insertion %+v", e)
		}
	}
	want := []string{"medium.inserted event", "device.authorise intent", "device.authorise outcome", "medium.read intent", "medium.verdict event", "medium.read outcome", "device.release intent", "device.release outcome"}
	if !slices.Equal(order, want) {
		t.Errorf("the log has %q, want %q", order, want)
	}
}

func TestADeviceThatIsNotOpened(t *testing.T) {
	for name, c := range map[string]struct {
		err    error
		reason verdict.Reason
		exit   int
	}{
		"another kind of device": {verdict.New(verdict.CompositeDevice, "port 1-1", "two units"), verdict.CompositeDevice, 4},
		"pulled meanwhile":       {verdict.New(verdict.RemovedDuringRead, "port 1-1", "gone"), verdict.RemovedDuringRead, 3},
		"nobody guards it":       {errors.New("connection refused"), verdict.Interrupted, 5},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			s := r.stick("")
			s.open = c.err
			rep := s.insert()
			r.wants(rep, verdict.Refused, c.exit, c.reason)
			if o, f := r.outcome(audit.DeviceAuthorise); o != audit.Failure || f["reason"] != string(c.reason) {
				t.Errorf("the outcome in the log is %s %v", o, f)
			}
			if !rep.Removable || s.released || len(r.entries("medium.read")) > 0 || len(r.items(vault.Held)) > 0 {
				t.Errorf("removable %t, released %t, %d readings, held %v", rep.Removable, s.released, len(r.entries("medium.read")), r.items(vault.Held))
			}
		})
	}
}

// A station that is not ready authorises nothing.
func TestNotReadyOpensNoDoor(t *testing.T) {
	for name, change := range map[string]func(*rig){
		"no TPM":    func(r *rig) { r.tpm.(*softTPM).dead = verdict.New(verdict.TPMUnavailable, "", "test") },
		"no reader": func(r *rig) { r.cfg.Reader.Binary = "/nonexistent" },
		"no room":   func(r *rig) { r.cfg.Reserve = 1 << 60 },
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, change)
			s := r.stick("")
			s.open = errors.New("must not be asked")
			if rep := s.insert(); rep.Verdict != verdict.Refused || rep.ExitCode() != 5 || !rep.Removable {
				t.Errorf("%+v", rep)
			}
			if len(r.entries("device")) > 0 {
				t.Error("a device was authorised")
			}
		})
	}
}

// Before anything is decided the device has to be the one that was opened.
func TestADeviceThatIsNoLongerTheSame(t *testing.T) {
	gone := verdict.New(verdict.RemovedDuringRead, "port 1-1", "the device has gone")
	for name, c := range map[string]struct {
		check  error
		damage func(t *testing.T, img string, p *parcel)
		want   []verdict.Reason
		exit   int
		held   bool
	}{
		"gone after the last byte":        {check: gone, want: []verdict.Reason{verdict.RemovedDuringRead}, exit: 3},
		"a second unit appeared":          {check: verdict.New(verdict.CompositeDevice, "port 1-1", "2 units"), want: []verdict.Reason{verdict.CompositeDevice}, exit: 4},
		"the guard went away":             {check: errors.New("broken pipe"), want: []verdict.Reason{verdict.Interrupted}, exit: 5},
		"gone, which looked like damage":  {check: gone, damage: cutImage, want: []verdict.Reason{verdict.RemovedDuringRead}, exit: 3},
		"still there, so it is damaged":   {damage: cutImage, want: []verdict.Reason{verdict.Truncated}, exit: 3},
		"gone, and not trusted before it": {check: gone, damage: alterFile, want: []verdict.Reason{verdict.RemovedDuringRead}, exit: 3},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			p := r.set()
			img := r.medium(nil, p)
			if c.damage != nil {
				c.damage(t, img, p)
			}
			s := r.stick(img)
			s.check = c.check
			rep := s.insert()
			got := slices.DeleteFunc(reasons(rep), func(v verdict.Reason) bool {
				return v == verdict.FileAltered && name == "gone, and not trusted before it"
			})
			if rep.Verdict != verdict.Held || rep.ExitCode() != c.exit || !slices.Equal(got, c.want) {
				t.Errorf("%s, exit %d, %v; want held, %d, %v", rep.Verdict, rep.ExitCode(), reasons(rep), c.exit, c.want)
			}
			if len(rep.Packages) == 0 || rep.Packages[0].Item == "" || !s.released {
				t.Errorf("what was read is not kept, or the device not released: %+v", rep)
			}
			if s.suspect != (c.damage != nil && name != "gone, and not trusted before it") {
				t.Errorf("the device is suspect: %t", s.suspect)
			}
			r.nothingAdmitted()
			item, err := r.vault.Get(rep.Packages[0].Item)
			r.must(err)
			defer item.Close()
			if f, err := intake.ReadFacts(item); err != nil || f.Medium.Device == nil || f.Medium.Device.Serial != "4C53" {
				t.Errorf("the held item says of its device %+v, %v", f.Medium.Device, err)
			}
		})
	}
}

func cutImage(t *testing.T, img string, p *parcel) {
	testmedia.CutInside(t, img, p.path("data/a.bin"))
}

func alterFile(t *testing.T, img string, p *parcel) {
	testmedia.Alter(t, img, p.path("data/a.bin"), 5000)
}

func TestADeviceThatCannotBeReleased(t *testing.T) {
	r := newRig(t)
	s := r.stick(r.medium(nil, r.set()))
	s.release = verdict.New(verdict.Unreadable, "port 1-1", "it could not be denied again")
	rep := s.insert()
	r.wants(rep, verdict.Accepted, 0)
	if rep.Removable {
		t.Error("a device that is still authorised may be removed")
	}
	if o, f := r.outcome(audit.DeviceRelease); o != audit.Failure || !strings.Contains(f["detail"], "denied again") {
		t.Errorf("the outcome in the log is %s %v", o, f)
	}
}

// A daemon that starts again must not read once more what had its verdict, and
// must read what was interrupted.
func TestWhichInsertionsAreDecided(t *testing.T) {
	r := newRig(t)
	decided := func(insertion string, want bool) {
		t.Helper()
		if got, err := r.intake.Decided(insertion); err != nil || got != want {
			t.Errorf("%s: %t, %v; want %t", insertion, got, err, want)
		}
	}
	decided("1-1#4711", false)
	s := r.stick(r.medium(nil, r.set()))
	s.insert()
	decided("1-1#4711", true)
	decided("1-1#4712", false)
	again := r.stick(r.medium(nil, r.set()))
	again.device.Insertion, again.check = "1-2#1", errors.New("the guard has gone")
	again.insert()
	decided("1-2#1", false)
	refused := r.stick("")
	refused.device.Insertion, refused.open = "1-3#1", verdict.New(verdict.CapacityOutOfRange, "", "")
	refused.insert()
	decided("1-3#1", true)
	decided("1-1#4711", true)
}

func TestDevicesInTheLog(t *testing.T) {
	r := newRig(t)
	d := r.stick("").device
	d.Name = "A\x1b[31m"
	ctx := t.Context()
	r.must(r.intake.Attached(ctx, d, "in", nil))
	r.must(r.intake.Attached(ctx, d, "", verdict.New(verdict.NotStorage, "port 1-1", "a keyboard")))
	r.must(r.intake.Attached(ctx, d, "", verdict.New(verdict.DeviceChanged, "port 1-1", "another")))
	r.must(r.intake.Removed(ctx, d))
	r.must(r.intake.Guard(ctx, nil))
	r.must(r.intake.Guard(ctx, []string{"usb1 is open", "usb2 is open"}))
	var got []string
	for _, e := range r.entries("") {
		if !strings.HasPrefix(string(e.Event), "device.") && e.Event != audit.USBGuard {
			continue
		}
		got = append(got, strings.TrimSpace(string(e.Event)+" "+string(e.Outcome)+" "+e.Fields["role"]+e.Fields["reason"]+e.Fields["detail"]))
		if e.Event == audit.DeviceAttached && (e.Fields["name"] != `A\x1b[31m` || e.Fields["serial"] != "4C53" || e.Fields["sha256"] == "") {
			t.Errorf("the facts of the device are %v", e.Fields)
		}
	}
	want := []string{
		"device.attached success in",
		"device.refused refused not-storagenot-storage: the device is not plain storage: port 1-1: a keyboard",
		"device.changed refused device-changeddevice-changed: the device came back as another one: port 1-1: another",
		"device.removed", "usb.guard success", "usb.guard failure usb1 is open; usb2 is open",
	}
	if !slices.Equal(got, want) {
		t.Errorf("the log has\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
