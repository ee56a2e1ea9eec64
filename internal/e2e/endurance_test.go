package e2e

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"sallyport/internal/audit"
	"sallyport/internal/hotplug"
	"sallyport/internal/intake"
	"sallyport/internal/testmedia"
	"sallyport/internal/verdict"
)

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
