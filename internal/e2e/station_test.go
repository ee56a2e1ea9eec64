package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"sallyport/internal/audit"
	"sallyport/internal/hotplug"
	"sallyport/internal/station"
	"sallyport/internal/testmedia"
	"sallyport/internal/testoffice"
	"sallyport/internal/verdict"
)

// The sockets of the guest's only controller, and of the gadgets that it plugs
// into itself. Port N of QEMU is 1-N for a device of USB 2 and 2-N for one of
// USB 3.
const (
	socketA        = "1"
	socketB        = "2"
	socketHub      = "3"
	socketKeyboard = "4"
	socketToken    = "5"
	socketOut      = "6"
	socketOther    = "7" // no port of the station
)

// configuration is the station's. A software TPM is not for production.
const configuration = `production = false
tpm = "device:/dev/tpmrm0"
reader = "/usr/lib/sallyport/sallyport-reader"
log.level = "debug"

[station]
id = "ems-1"
name = "County EMS workstation"
role = "ems"
jurisdiction = "%s"
elections = ["%s"]

[control]
operator_groups = ["sallyport-operators"]

[usb]
in = ["1-1", "2-1", "1-2", "2-2", "1-3.1", "3-1", "4-1", "5-1", "6-1"]
out = ["1-6", "2-6"]
keyboard = ["1-4", "2-4"]
security_key = ["1-5"]
max_bytes = 134217728

[limits]
reserve_bytes = 67108864
`

// ems is the EMS station in the guest, with the office that sends it media.
type ems struct {
	*Guest
	t      *testing.T
	office *testoffice.Office
	media  int
	left   map[string]bool // sticks that are plugged in
}

// programs returns the folder of the built programs; 'make e2e' names it.
func programs(t *testing.T) string {
	t.Helper()
	bin := os.Getenv("SALLYPORT_BIN")
	if bin == "" {
		t.Fatal("SALLYPORT_BIN does not name the built programs: run 'make e2e'")
	}
	return bin
}

// installed is what 'make install DESTDIR=…' leaves.
func installed(t *testing.T) string {
	t.Helper()
	checkout, err := testoffice.Checkout()
	ok(t, err)
	if want := filepath.Join(checkout, "bin"); programs(t) != want {
		t.Fatalf("SALLYPORT_BIN is %s, but what is installed is built in %s", programs(t), want)
	}
	dir := t.TempDir()
	out, err := exec.Command(filepath.Join(checkout, "testdata/scripts/install"), dir).CombinedOutput()
	if err != nil {
		t.Fatalf("cannot install: %v\n%s", err, out)
	}
	return dir
}

// bootStation starts the guest with the installed product and makes it a station of an
// office.
func bootStation(t *testing.T, more ...string) *ems {
	t.Helper()
	Ring(t)
	overlay := installed(t)
	words, err := os.ReadFile(filepath.Join(overlay, "usr/lib/sallyport/cmdline"))
	ok(t, err)
	image := BuildImage(t, ImageOptions{Overlay: overlay, Enable: []string{"sallyport-usbd.service", "sallyportd.socket", "sallyportd.service"}})
	s := &ems{t: t, left: map[string]bool{}}
	s.office, err = testoffice.Open(programs(t), "")
	ok(t, err)
	t.Cleanup(func() { ok(t, s.office.Close()) })
	s.Guest = Boot(t, Options{Image: image, Append: strings.Fields(string(words)), QEMUArgs: more})
	failed, err := s.WaitBooted(t.Context())
	if err != nil || len(failed) > 0 {
		t.Fatalf("units failed at the first boot: %q, %v", failed, err)
	}
	s.enrol()
	return s
}

// enrol makes the authority and the source on the host, the station in the guest,
// and the trust between them, by files carried as people carry them.
func (s *ems) enrol() {
	t, o := s.t, s.office
	t.Helper()
	must := func(out string, err error) string {
		t.Helper()
		ok(t, err)
		return out
	}
	var err error
	for _, st := range []struct {
		to       **testoffice.Station
		id, role string
	}{{&o.Authority, "authority", "authority"}, {&o.Source, "polling-place-7", "source"}, {&o.EMS, "ems-1", "ems"}} {
		*st.to, err = o.NewStation(st.id, st.role, "")
		ok(t, err)
	}
	root := filepath.Join(o.Dir, "root.json")
	must(o.Authority.Sallyport("init"))
	must(o.Authority.Sallyport("authority", "init", "--out", root))
	must(o.Source.Sallyport("init", "--root", root))
	source, err := o.Answer(o.Authority, o.Source)
	ok(t, err)

	doc, err := os.ReadFile(root)
	ok(t, err)
	ok(t, s.WriteFile(t.Context(), "/tmp/root.json", doc, 0o644))
	ok(t, s.WriteFile(t.Context(), "/etc/sallyport/sallyport.toml", fmt.Appendf(nil, configuration, testoffice.Jurisdiction, testoffice.ElectionID), 0))
	// The base was unpacked without Debian's scripts, which write these files.
	must(s.Shell(t.Context(), `for part in auth account session password; do echo "$part required pam_permit.so" >/etc/pam.d/common-$part; done`))
	shown := must(s.Shell(t.Context(), `cd /; runuser -u sallyport -- sallyport init --root /tmp/root.json >&2
		runuser -u sallyport -- sallyport station request --out /tmp/request.json`))
	fetch := func(name string) string {
		t.Helper()
		doc, err := s.ReadFile(t.Context(), "/tmp/"+name)
		ok(t, err)
		ok(t, os.WriteFile(o.EMS.File(name), doc, 0o644))
		return o.EMS.File(name)
	}
	challenge := o.EMS.File("challenge.json")
	must(o.Authority.Sallyport("authority", "challenge", fetch("request.json"), "--ek-sha256", testoffice.EndorsementKey(shown), "--out", challenge))
	doc, err = os.ReadFile(challenge)
	ok(t, err)
	ok(t, s.WriteFile(t.Context(), "/tmp/challenge.json", doc, 0o644))
	must(s.Shell(t.Context(), `cd /; runuser -u sallyport -- sallyport station activate /tmp/challenge.json --out /tmp/answer.json`))
	bundle := filepath.Join(o.Dir, "trust.dsse.json")
	must(o.Authority.Sallyport("authority", "admit", "--out", bundle, "--elections", testoffice.ElectionID,
		source+"=election-definition,cvr-export,media-set", fetch("answer.json")+"=results-report"))
	must(o.Source.Sallyport("trust", "install", bundle))
	doc, err = os.ReadFile(bundle)
	ok(t, err)
	ok(t, s.WriteFile(t.Context(), "/tmp/trust.dsse.json", doc, 0o644))
	must(s.Shell(t.Context(), `cd /; runuser -u sallyport -- sallyport trust install /tmp/trust.dsse.json
		systemctl restart sallyport-usbd; systemctl start sallyportd.socket sallyportd`))
	s.until("the station is ready", func() bool { return s.status().USB.Guarded })
	s.watching()
}

// sallyport runs the command line in the guest and decodes its JSON.
func (s *ems) sallyport(to any, args ...string) {
	s.t.Helper()
	r, err := s.Run(s.t.Context(), append([]string{"sallyport", "--json"}, args...)...)
	ok(s.t, err)
	if err := json.Unmarshal([]byte(r.Stdout), to); err != nil {
		s.t.Fatalf("sallyport %v: exit status %d, %v: %s%s", args, r.Exit, err, r.Stdout, r.Stderr)
	}
}

func (s *ems) status() (st station.Status) {
	s.t.Helper()
	s.sallyport(&st, "status")
	if st.USB == nil {
		st.USB = &hotplug.View{}
	}
	return st
}

// entries returns the audit log from an entry on.
func (s *ems) entries(from int64) []audit.Entry {
	s.t.Helper()
	var l station.Log
	s.sallyport(&l, "log", "show", "--from", fmt.Sprint(from))
	return l.Entries
}

// scenario runs one scenario and prints the audit entries that it made.
func (s *ems) scenario(name string, do func(s *ems)) {
	s.t.Run(name, func(t *testing.T) {
		here := *s
		here.t = t
		from := here.status().LogEntries
		began := time.Now()
		defer func() {
			if t.Failed() || t.Context().Err() != nil {
				journal, err := s.Shell(context.Background(), "journalctl --boot --no-hostname --output=short-monotonic --lines=60 -u sallyportd -u sallyport-usbd")
				t.Logf("journal (%v):\n%s", err, indent(journal))
			}
		}()
		defer func() {
			s.media = here.media
			for name := range here.left { // of a scenario that failed: the next one finds its sockets empty
				ctx := context.Background()
				t.Logf("%s is pulled: %v, %v", name, here.Unplug(ctx, name), here.DropDrive(ctx, name))
			}
			clear(here.left)
		}()
		do(&here)
		var lines []string
		for _, e := range here.entries(from) {
			lines = append(lines, line(&e))
		}
		t.Logf("%s: %.1f s, audit entries:\n%s", name, time.Since(began).Seconds(), strings.Join(lines, "\n"))
	})
}

// line is an audit entry for people who read the test's output.
func line(e *audit.Entry) string {
	text := fmt.Sprintf("  %d %.3f %s %s %s", e.Seq, float64(e.MonoUS)/1e6, e.Event, e.Phase, e.Outcome)
	for _, k := range []string{"port", "reason", "reasons", "disk", "own_ms", "kernel_ms", "after_ms", "detail"} {
		if v := e.Fields[k]; v != "" {
			text += fmt.Sprintf(" %s=%s", k, v)
		}
	}
	return text
}

// patience is the longest wait for anything.
const patience = 2 * time.Minute

// until asks again and again until done.
func (s *ems) until(what string, done func() bool) {
	s.t.Helper()
	for end := time.Now().Add(patience); !done(); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(end) {
			s.t.Fatalf("this did not come: %s; the ports are %s", what, text(s.ports()))
		}
	}
}

func text(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(b)
}

// watching starts 'sallyport watch' in the guest, whose last line is what a
// person sees: asking again and again with new processes would slow down what is
// measured.
func (s *ems) watching() {
	s.t.Helper()
	_, err := s.Shell(s.t.Context(), `systemctl reset-failed watching 2>/dev/null || true
		systemd-run --quiet --unit=watching -p Restart=always -p RestartSec=200ms -p StartLimitIntervalSec=0 -p StandardOutput=append:/run/watching sallyport --json watch`)
	ok(s.t, err)
}

// ports is what a person who watches sees.
func (s *ems) ports() []hotplug.Port {
	s.t.Helper()
	const most = 32 << 10 // more than one line
	end, err := s.ReadEnd(s.t.Context(), "/run/watching", most)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	ok(s.t, err)
	// The last whole line; behind it one may just be written.
	end = end[:bytes.LastIndexByte(end, '\n')+1]
	if len(end) == 0 {
		return nil
	}
	last := end[bytes.LastIndexByte(end[:len(end)-1], '\n')+1:]
	var w station.Watch
	if err := json.Unmarshal(last, &w); err != nil {
		s.t.Fatalf("a line of 'sallyport watch': %v: %s", err, last)
	}
	return w.Ports
}

// port returns the port at one of the places that a socket has.
func (s *ems) port(match func(hotplug.Port) bool) *hotplug.Port {
	s.t.Helper()
	ports := s.ports()
	if i := slices.IndexFunc(ports, match); i >= 0 {
		return &ports[i]
	}
	return nil
}

// waitFor waits until a port matches and returns it.
func (s *ems) waitFor(what string, match func(hotplug.Port) bool) (p hotplug.Port) {
	s.t.Helper()
	s.until(what, func() bool {
		got := s.port(match)
		if got != nil {
			p = *got
		}
		return got != nil
	})
	return p
}

// of matches a device by its serial number.
func of(serial string, phases ...string) func(hotplug.Port) bool {
	return func(p hotplug.Port) bool {
		return p.Device != nil && p.Device.Serial == serial && slices.Contains(phases, p.Phase)
	}
}

// decided waits for the verdict over a stick.
func (s *ems) decided(serial string) hotplug.Port {
	s.t.Helper()
	return s.waitFor("the verdict over "+serial, of(serial, hotplug.Decided))
}

// plug makes the image a stick in a socket; its serial number is its name.
func (s *ems) plug(name, image, socket string, o DriveOptions) {
	s.t.Helper()
	ok(s.t, s.AddDrive(s.t.Context(), name, image, o))
	ok(s.t, s.PlugStorage(s.t.Context(), name, socket, BulkOnly, name))
	s.left[name] = true
}

// pull takes the stick out and waits until the station has seen it.
func (s *ems) pull(name string) {
	s.t.Helper()
	ok(s.t, s.Unplug(s.t.Context(), name))
	delete(s.left, name)
	ok(s.t, s.DropDrive(s.t.Context(), name))
	s.until(name+" is gone", func() bool {
		return s.port(func(p hotplug.Port) bool {
			return p.Phase != hotplug.Empty && p.Device != nil && p.Device.Serial == name
		}) == nil
	})
}

// rest leaves the sockets alone as long as a person is told to: it is part of the
// scenario, not a wait for something.
func (s *ems) rest(d time.Duration) { time.Sleep(d) }

// name makes a new name for a stick.
func (s *ems) name(what string) string {
	s.media++
	return fmt.Sprintf("%s-%d", what, s.media)
}

// sealed is an image with a sealed package of the source: a file of so many MiB
// in a stream of its own.
func (s *ems) sealed(stream string, mib int) string {
	s.t.Helper()
	p := s.packageOf(stream, mib)
	return testmedia.FATFrom(s.t, testmedia.Options{Bits: 32, SizeMiB: 40 + mib, Label: "BALLOTS"}, p.Dir)
}

func (s *ems) packageOf(stream string, mib int) testoffice.Sealed {
	s.t.Helper()
	file := filepath.Join(s.t.TempDir(), "results.bin")
	content := make([]byte, mib<<20+4321)
	for i := range content {
		content[i] = byte(i * 7 >> 3)
	}
	ok(s.t, os.WriteFile(file, content, 0o644))
	p, err := s.office.Source.Seal("--kind", "media-set", "--stream", stream, file)
	ok(s.t, err)
	return p
}

// unsigned is an image with a file and no package.
func (s *ems) unsigned() string {
	return testmedia.FAT(s.t, testmedia.Options{Bits: 16, SizeMiB: 16, Label: "HELLO"}, testmedia.Files{"RESULTS.TXT": []byte("42 votes for everybody\n")})
}

// expect holds a port's verdict against what it has to be.
func expect(t *testing.T, p hotplug.Port, want verdict.Verdict, reasons ...verdict.Reason) {
	t.Helper()
	var got []verdict.Reason
	for _, f := range p.Findings {
		if !slices.Contains(got, f.Reason) {
			got = append(got, f.Reason)
		}
	}
	slices.Sort(got)
	slices.Sort(reasons)
	if p.Verdict != want || !slices.Equal(got, reasons) {
		t.Errorf("the verdict is %s for %v, want %s for %v: %s", p.Verdict, got, want, reasons, text(p))
	}
}

// logged checks that the log has an entry with these fields; the empty value
// stands for any.
func (s *ems) logged(entries []audit.Entry, event audit.EventID, outcome audit.Outcome, fields map[string]string) *audit.Entry {
	s.t.Helper()
	for i := range entries {
		e := &entries[i]
		match := e.Event == event && (outcome == "" || e.Outcome == outcome)
		for k, v := range fields {
			match = match && (v == "" && e.Fields[k] != "" || v != "" && e.Fields[k] == v)
		}
		if match {
			return e
		}
	}
	s.t.Errorf("the log has no %s %s with %v", event, outcome, fields)
	return nil
}

// noDisk checks that the kernel has no disk behind USB and uses no device there
// but hubs and what is allowed.
func (s *ems) noDisk() {
	s.t.Helper()
	if out, err := s.Shell(s.t.Context(), "ls -d /sys/block/sd* 2>/dev/null || true"); err != nil || out != "" {
		s.t.Errorf("the kernel still has disks: %s %v", out, err)
	}
}

// authorised returns whether the kernel may use the device at a place.
func (s *ems) authorised(place string) string {
	s.t.Helper()
	b, err := s.ReadFile(s.t.Context(), "/sys/bus/usb/devices/"+place+"/authorized")
	ok(s.t, err)
	return strings.TrimSpace(string(b))
}
