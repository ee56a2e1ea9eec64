package e2e

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"sallyport/internal/e2e/wire"
)

// fromTPM asks the TPM of the guest for eight random bytes.
const fromTPM = `exec 3<>/dev/tpmrm0; printf '\x80\x01\0\0\0\x0c\0\0\x01\x7b\0\x08' >&3; head -c 20 <&3 | od -An -tx1`

// product is an overlay with one file of each kind that systemd has to take up.
func product(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"usr/lib/sysusers.d/x.conf":     "u harness - \"Harness\"\n",
		"usr/lib/tmpfiles.d/x.conf":     "d /var/lib/harness 0750 harness harness\n",
		"usr/lib/modules-load.d/x.conf": "sd_mod\n",
		"usr/lib/modprobe.d/x.conf":     "options loop max_loop=3\n",
		"usr/lib/sysctl.d/x.conf":       "kernel.panic = 7\n",
		// /lib is a link in the guest, and stays one.
		"lib/udev/rules.d/99-x.rules":  `KERNEL=="tpmrm0", OWNER="harness", MODE="0640"` + "\n",
		"lib/systemd/system/x.service": "[Service]\nType=oneshot\nRemainAfterExit=yes\nUser=harness\nExecStart=touch /var/lib/harness/ran\n[Install]\nWantedBy=multi-user.target\n",
		"etc/hostname":                 "harness\n",
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// shell runs a script in the guest and fails the test when that fails.
func shell(t *testing.T, g *Guest, script string) string {
	t.Helper()
	out, err := g.Shell(t.Context(), script)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestHarnessBootsAProduct(t *testing.T) {
	Ring(t)
	image := BuildImage(t, ImageOptions{Overlay: product(t), Enable: []string{"x.service"}})
	start := time.Now()
	kept := t.TempDir()
	o := Options{Image: image, Disk: filepath.Join(kept, "disk"), TPMState: filepath.Join(kept, "tpm")}
	g := Boot(t, o)
	t.Logf("the agent answered after %v", time.Since(start))
	failed, err := g.WaitBooted(t.Context())
	if err != nil || len(failed) > 0 {
		t.Fatalf("failed units: %q, %v", failed, err)
	}
	t.Logf("systemd was ready after %v", time.Since(start))
	for script, want := range map[string]string{
		"stat -c '%U %a' /dev/tpmrm0":                                                     "harness 640",
		"stat -c '%U %G %a' /var/lib/harness":                                             "harness harness 750",
		"stat -c %U /var/lib/harness/ran":                                                 "harness",
		"cat /proc/sys/kernel/panic":                                                      "7",
		"test -d /sys/module/sd_mod; uname -n":                                            "harness",
		"modprobe loop; ls -d /dev/loop* | wc -l":                                         "4", // with loop-control
		"stat -c %a /; readlink /lib":                                                     "755\nusr/lib",
		"systemctl is-active udisks2 || true; systemctl start udisks2; pgrep -xc udisksd": "inactive\n1",
	} {
		if got := shell(t, g, script); got != want {
			t.Errorf("%s: %q, want %q", script, got, want)
		}
	}
	t.Run("agent", func(t *testing.T) { testAgent(t, g) })
	t.Run("power", func(t *testing.T) { testPower(t, g) })
	ok(t, g.Close())
	g = Boot(t, o)
	if got := shell(t, g, "cat /root/a"); got != "synced" {
		t.Errorf("on the disk that was kept: %q", got)
	}
}

func testAgent(t *testing.T, g *Guest) {
	ctx := t.Context()
	r, err := g.Input(ctx, []byte("in"), "bash", "-c", "cat; echo err >&2; exit 3")
	if err != nil || r != (Result{Exit: 3, Stdout: "in", Stderr: "err\n"}) {
		t.Errorf("got %+v, %v", r, err)
	}
	if r, err := g.Run(ctx, "bash", "-c", "kill -TERM $$"); err != nil || r.Exit != 143 {
		t.Errorf("killed: %+v, %v", r, err)
	}
	if _, err := g.Run(ctx, "/nowhere"); err == nil {
		t.Error("a program that does not exist ran")
	}
	if r, err := g.Run(ctx, "head", "-c", "5000000", "/dev/zero"); err != nil || !r.Cut || len(r.Stdout) != 4<<20 {
		t.Errorf("much output: %d bytes, cut %v, %v", len(r.Stdout), r.Cut, err)
	}

	big := bytes.Repeat([]byte("0123456789abcde\n"), 1<<16)
	ok(t, g.WriteFile(ctx, "/root/big", big, 0o600))
	if got, err := g.ReadFile(ctx, "/root/big"); err != nil || !bytes.Equal(got, big) {
		t.Errorf("a file of 1 MiB came back with %d bytes, %v", len(got), err)
	}
	if _, err := g.ReadFile(ctx, "/root/none"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing file: %v", err)
	}
	entries, err := g.List(ctx, "/root")
	if err != nil || !slices.ContainsFunc(entries, func(e wire.Entry) bool { return e.Name == "big" && e.Size == 1<<20 && e.Mode == 0o600 }) {
		t.Errorf("list: %+v, %v", entries, err)
	}

	// A long command blocks no other one, and ends with its context.
	long, stop := context.WithCancel(ctx)
	ended := make(chan error)
	go func() { _, err := g.Run(long, "sleep", "1234"); ended <- err }()
	_, err = g.Until(ctx, "pgrep -x sleep")
	ok(t, err)
	stop()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled command: %v", err)
	}
	_, err = g.Until(ctx, "! pgrep -x sleep")
	ok(t, err)
	short, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	if r, err := g.Run(short, "bash", "-c", "echo begun; sleep 1234"); err != nil || !r.TimedOut || r.Stdout != "begun\n" {
		t.Errorf("a command without end: %+v, %v", r, err)
	}
}

// testPower switches off and on in every way.
func testPower(t *testing.T, g *Guest) {
	ctx := t.Context()
	shell(t, g, fromTPM)
	shell(t, g, "echo synced >/root/a; sync; echo -n unsynced >/root/b")
	start := time.Now()
	ok(t, g.Reboot(ctx))
	t.Logf("rebooted in %v", time.Since(start))
	if got := shell(t, g, "cat /root/a /root/b"); got != "synced\nunsynced" {
		t.Errorf("after a reboot: %q", got)
	}

	shell(t, g, "echo synced >/root/c; sync; echo unsynced >/root/d")
	g.Kill()
	if _, err := g.Run(ctx, "true"); err == nil {
		t.Error("a guest that is off answered")
	}
	ok(t, g.On(ctx))
	if got := shell(t, g, "cat /root/c; ls /root/d || true"); got != "synced" {
		t.Errorf("after a power cut: %q", got)
	}

	g.KillTPM()
	if out := shell(t, g, fromTPM); out != " 00 c4 00 00 00 0a 00 00 00 09" {
		t.Errorf("a killed TPM answered: %s", out)
	}
	running := make(chan error)
	go func() { _, err := g.Run(ctx, "sleep", "1234"); running <- err }()
	_, err := g.Until(ctx, "pgrep -x sleep")
	ok(t, err)
	g.Kill()
	if err := <-running; err == nil {
		t.Error("a command survived a power cut")
	}
	ok(t, g.On(ctx))
	if out := shell(t, g, fromTPM); !strings.HasPrefix(out, " 80 01 00 00 00 14 00 00 00 00") {
		t.Errorf("the TPM after a power cut: %s", out)
	}
	start = time.Now()
	ok(t, g.PowerOff(ctx))
	t.Logf("switched off in %v", time.Since(start))
}

// image file with text at its beginning and 16 MiB in all.
func stickFile(t *testing.T, g *Guest, name string) string {
	t.Helper()
	path := filepath.Join(g.Dir(), name+".img")
	data := make([]byte, 16<<20)
	copy(data, name)
	ok(t, os.WriteFile(path, data, 0o600))
	return path
}

// devices waits until exactly these USB devices are plugged.
func devices(t *testing.T, g *Guest, want ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	var got []string
	err := poll(ctx, func() (bool, error) {
		var err error
		got, err = g.USBDevices(ctx)
		return !slices.Equal(got, want), err
	})
	if err != nil || ctx.Err() != nil {
		t.Fatalf("plugged are %q, want %q: %v", got, want, err)
	}
}

func TestHarnessPlugsAndUnplugs(t *testing.T) {
	Ring(t)
	g := Boot(t, Options{Image: BuildImage(t, ImageOptions{})})
	_, err := g.WaitBooted(t.Context())
	ok(t, err)
	ctx := t.Context()
	for cycle := range 2 {
		start := time.Now()
		ok(t, g.AddDrive(ctx, "one", stickFile(t, g, "one"), DriveOptions{ReadOnly: true}))
		ok(t, g.PlugStorage(ctx, "one", "1", BulkOnly, "S1"))
		disks, err := g.BlockDevices(ctx, "2-1", 1)
		ok(t, err)
		t.Logf("cycle %d: usb-storage in port 1 is 2-1 with %v after %v", cycle, disks, time.Since(start))
		if got := shell(t, g, "cat /sys/block/"+disks[0]+"/ro /sys/bus/usb/devices/2-1/serial; head -c 3 /dev/"+disks[0]); got != "1\nS1\none" {
			t.Errorf("the stick: %q", got)
		}
		ok(t, g.Unplug(ctx, "one"))
		ok(t, g.DropDrive(ctx, "one"))
		devices(t, g)
		_, err = g.Until(ctx, "! test -e /sys/block/"+disks[0])
		ok(t, err)
	}

	ok(t, g.AddDrive(ctx, "uas", stickFile(t, g, "uas"), DriveOptions{BadSectors: []int64{4096}}))
	ok(t, g.PlugStorage(ctx, "uas", "2", UAS, "S2"))
	disks, err := g.BlockDevices(ctx, "2-2", 1)
	ok(t, err)
	if got := shell(t, g, "cat /sys/bus/usb/devices/2-2/2-2:1.0/uevent | grep -E '^(DRIVER|INTERFACE)'; ! dd if=/dev/"+disks[0]+" of=/dev/null bs=512 count=1 skip=4096 iflag=direct 2>/run/dd; grep -o 'Input/output error' /run/dd"); got != "DRIVER=uas\nINTERFACE=8/6/98\nInput/output error" {
		t.Errorf("usb-uas: %q", got)
	}

	ok(t, g.AddDrive(ctx, "disk", stickFile(t, g, "disk"), DriveOptions{Throttle: 4 << 20}))
	ok(t, g.AddDrive(ctx, "cd", stickFile(t, g, "cd"), DriveOptions{ReadOnly: true}))
	ok(t, g.PlugUnits(ctx, "combo", "3", MultiLUN, "S3", LUN{Drive: "disk"}, LUN{Drive: "cd", CD: true}))
	disks, err = g.BlockDevices(ctx, "2-3", 2)
	ok(t, err)
	start := time.Now()
	shell(t, g, "dd if=/dev/"+disks[0]+" of=/dev/null bs=64k count=128 iflag=direct")
	if d := time.Since(start); d < 1500*time.Millisecond || !strings.HasPrefix(disks[1], "sr") {
		t.Errorf("%q: 8 MiB in %v at 4 MiB a second", disks, d)
	}

	ok(t, g.PlugHub(ctx, "hub", "4"))
	ok(t, g.PlugKeyboard(ctx, "keyboard", "4.1"))
	ok(t, g.PlugKeyboard(ctx, "keyboard2", "5"))
	ok(t, g.AddDrive(ctx, "behind", stickFile(t, g, "behind"), DriveOptions{}))
	ok(t, g.PlugStorage(ctx, "behind", "4.2", BulkOnly, "S4"))
	devices(t, g, "1-4", "1-4.1", "1-4.2", "1-5", "2-2", "2-3")
	_, err = g.BlockDevices(ctx, "1-4.2", 1)
	ok(t, err)
	for _, name := range []string{"behind", "keyboard", "hub", "keyboard2", "uas", "combo"} {
		ok(t, g.Unplug(ctx, name))
	}
	for _, name := range []string{"behind", "uas", "disk", "cd"} {
		ok(t, g.DropDrive(ctx, name))
	}
	devices(t, g)
}

func TestHarnessDeniesByDefault(t *testing.T) {
	Ring(t)
	g := Boot(t, Options{Image: BuildImage(t, ImageOptions{}), Append: []string{"usbcore.authorized_default=0"}})
	_, err := g.WaitBooted(t.Context())
	ok(t, err)
	ctx := t.Context()
	ok(t, g.AddDrive(ctx, "one", stickFile(t, g, "one"), DriveOptions{}))
	ok(t, g.PlugStorage(ctx, "one", "1", BulkOnly, "S1"))
	ok(t, g.AddDrive(ctx, "two", stickFile(t, g, "two"), DriveOptions{}))
	ok(t, g.PlugStorage(ctx, "two", "2", UAS, "S2"))
	ok(t, g.PlugHub(ctx, "hub", "3"))
	devices(t, g, "1-3", "2-1", "2-2")

	ok(t, g.MakeDisk(ctx, "/var/stick", 8))
	composite, err := g.GadgetComposite(ctx, "evil", "/var/stick")
	ok(t, err)
	t.Logf("the gadget is %s", composite)
	shell(t, g, "udevadm settle")
	if got := shell(t, g, "cat /sys/bus/usb/devices/{1-3,2-1,2-2,"+composite+"}/authorized | tr -d '\\n'; ls -d /sys/block/s* 2>/dev/null || true; ls -d /dev/input/event* 2>/dev/null || true"); got != "0000" {
		t.Errorf("authorised, disks and keyboards: %q", got)
	}
	descriptors, err := g.ReadFile(ctx, "/sys/bus/usb/devices/"+composite+"/descriptors")
	ok(t, err)
	for name, class := range map[string]string{"storage": "09040000020806 50", "keyboard": "09040100020301 01"} {
		if want, _ := hex.DecodeString(strings.ReplaceAll(class, " ", "")); !bytes.Contains(descriptors, want) {
			t.Errorf("no interface of a %s in % x", name, descriptors)
		}
	}

	// Without a guard that refuses it, the keyboard types: the attack is real.
	shell(t, g, "echo 1 >/sys/bus/usb/devices/"+composite+"/authorized")
	event, err := g.Until(ctx, "ls /dev/input/by-id/usb-SanDisk_Ultra_*-event-kbd")
	ok(t, err)
	typed := make(chan string)
	go func() {
		out, err := g.Shell(ctx, "timeout 20 head -c 72 "+event+" | wc -c")
		typed <- out + errText(err)
	}()
	_, err = g.Until(ctx, "pgrep -x head")
	ok(t, err)
	ok(t, g.Type(ctx, 4))
	if got := <-typed; got != "72" {
		t.Errorf("from the keyboard came %s bytes of events", got)
	}
	again, err := g.Reappear(ctx, "evil", Gadget{Name: "other", Vendor: 0x1234, Product: 0x5678, Maker: "\x1b[31m", Model: "it's", Serial: "X", Disk: "/var/stick"})
	ok(t, err)
	if got := shell(t, g, "cd /sys/bus/usb/devices/"+again+"; cat idVendor product authorized"); again != composite || got != "1234\nit's\n0" {
		t.Errorf("the device came back as %s: %q", again, got)
	}
	ok(t, g.UnplugGadget(ctx, "other"))
	devices(t, g, "1-3", "2-1", "2-2")
}

func errText(err error) string {
	if err != nil {
		return err.Error()
	}
	return ""
}
