// Package e2e boots a Debian guest with systemd, a software TPM and hot-plugged
// USB devices in an emulated machine, for the end-to-end tests. Test code only:
// nothing of it may be linked into a program. It trusts the guest as far as a
// test trusts what it tests: answers of the guest are bounded and waited for with
// an end, and nothing in them is a path or a command on the host.
//
// A test says Ring(t), makes an Image of the base and the installed product, and
// starts a Guest with Boot. Devices are plugged over QEMU, commands run through an
// agent in the guest. Everything ends with the test, also when it is killed.
package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"sallyport/internal/e2e/wire"
)

// Options say how a guest starts.
type Options struct {
	Image    *Image
	Append   []string // added to the kernel's command line, e.g. "usbcore.authorized_default=0"
	Memory   int      // MiB; 0 means 768
	QEMUArgs []string // added to QEMU's arguments

	// Disk keeps what the guest writes in this file, which is made when it is not
	// there; it belongs to one image. Empty: the guest's disk ends with Close.
	Disk string
	// TPMState is the folder with the TPM's state, made when it is not there.
	// Empty: a fresh TPM that ends with Close.
	TPMState string
}

// Guest is a machine. Off and on again it keeps disk and TPM until Close. Methods
// may be used at the same time, Kill during a Run for example; only those that
// switch it on and wait for its end may not meet each other.
type Guest struct {
	o    Options
	dir  string
	held *os.File // the lock of dir; nil after Close

	tpmMu sync.Mutex
	tpm   *process

	mu  sync.Mutex
	now *boot // nil while off
}

// boot is what lives from On until the machine is off.
type boot struct {
	qemu    *process
	control []net.Conn
	monitor *monitor
	caller  *caller
}

// errOff is the answer of a guest that is off.
var errOff = errors.New("the guest is off")

// Start boots a guest and returns when its agent answers; systemd may still be at
// work (WaitBooted). When it fails the guest is closed; its console is in the error.
func Start(ctx context.Context, o Options) (*Guest, error) {
	if o.Memory == 0 {
		o.Memory = 768
	}
	dir, held, err := newWork()
	if err != nil {
		return nil, err
	}
	g := &Guest{o: o, dir: dir, held: held}
	if g.o.Disk == "" {
		g.o.Disk = filepath.Join(dir, "disk.qcow2")
	}
	if g.o.TPMState == "" {
		g.o.TPMState = filepath.Join(dir, "tpm")
	}
	err = g.makeDisk(ctx)
	if err == nil {
		err = g.On(ctx)
	}
	if err != nil {
		g.Close()
		return nil, err
	}
	return g, nil
}

// makeDisk makes the overlay that takes what the guest writes.
func (g *Guest) makeDisk(ctx context.Context) error {
	if _, err := os.Stat(g.o.Disk); err == nil {
		return nil
	}
	_, err := run(ctx, "", "qemu-img", "create", "-q", "-f", "qcow2", "-b", g.o.Image.Path, "-F", "raw", g.o.Disk)
	return err
}

// On switches the guest on, with the disk and the TPM state that it had. USB
// devices and drives of before are gone.
func (g *Guest) On(ctx context.Context) error {
	ctx, cancel := bounded(ctx)
	defer cancel()
	if b, err := g.running(); err == nil && b.qemu.alive() {
		return errors.New("cannot switch the guest on: it runs")
	}
	g.Kill()
	if err := g.StartTPM(ctx); err != nil {
		return err
	}
	args, err := g.arguments()
	if err != nil {
		return err
	}
	for _, socket := range []string{"qmp", "agent"} {
		os.Remove(filepath.Join(g.dir, socket))
	}
	b := &boot{}
	if b.qemu, err = spawn(filepath.Join(g.dir, "qemu.log"), "qemu-system-x86_64", args...); err != nil {
		return err
	}
	if err := b.connect(ctx, g.dir); err != nil {
		b.end()
		return fmt.Errorf("cannot start the guest: %w\nconsole:\n%s", err, g.Console())
	}
	g.mu.Lock()
	g.now = b
	g.mu.Unlock()
	return nil
}

// connect connects to QEMU and to the agent and waits until that answers.
func (b *boot) connect(ctx context.Context, dir string) error {
	for _, socket := range []string{"qmp", "agent"} {
		c, err := b.qemu.dial(ctx, filepath.Join(dir, socket))
		if err != nil {
			return err
		}
		b.control = append(b.control, c)
	}
	var err error
	if b.monitor, err = newMonitor(ctx, b.control[0]); err != nil {
		return err
	}
	b.caller = newCaller(b.control[1])
	select {
	case <-b.caller.ready:
		return nil
	case <-b.qemu.exited:
		return fmt.Errorf("QEMU has ended: %s", tail(b.qemu.log, 4<<10))
	case <-ctx.Done():
		return fmt.Errorf("the agent did not answer: %w", ctx.Err())
	}
}

// end ends QEMU at once.
func (b *boot) end() {
	b.qemu.kill()
	for _, c := range b.control {
		c.Close()
	}
}

func (g *Guest) running() (*boot, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.now == nil {
		return nil, errOff
	}
	return g.now, nil
}

func (g *Guest) call(ctx context.Context, r wire.Request) (wire.Answer, error) {
	b, err := g.running()
	if err != nil {
		return wire.Answer{}, err
	}
	return b.caller.do(ctx, r)
}

// QMP runs a command of QEMU's control protocol.
func (g *Guest) QMP(ctx context.Context, command string, args any) (json.RawMessage, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	b, err := g.running()
	if err != nil {
		return nil, err
	}
	return b.monitor.do(ctx, command, args)
}

// PowerOff shuts the guest down in order and waits until it is off.
func (g *Guest) PowerOff(ctx context.Context) error {
	ctx, cancel := bounded(ctx)
	defer cancel()
	if _, err := g.Shell(ctx, "systemctl --no-block poweroff"); err != nil {
		return err
	}
	return g.WaitOff(ctx)
}

// WaitOff waits until the guest has switched itself off; a reboot from inside is
// that too.
func (g *Guest) WaitOff(ctx context.Context) error {
	ctx, cancel := bounded(ctx)
	defer cancel()
	b, err := g.running()
	if err != nil {
		return nil
	}
	select {
	case <-b.qemu.exited:
		g.Kill()
		return nil
	case <-ctx.Done():
		return fmt.Errorf("the guest did not switch itself off: %w\nconsole:\n%s", ctx.Err(), g.Console())
	}
}

// Reboot is PowerOff and On.
func (g *Guest) Reboot(ctx context.Context) error {
	if err := g.PowerOff(ctx); err != nil {
		return err
	}
	return g.On(ctx)
}

// Kill is a power cut, for the TPM too: of what the guest has written, only what
// it has synced is sure to be there after On. It does nothing when the guest is off.
func (g *Guest) Kill() {
	g.mu.Lock()
	b := g.now
	g.now = nil
	g.mu.Unlock()
	if b != nil {
		b.end()
	}
	g.KillTPM()
}

// Close ends the guest and removes its folder. A second one does nothing.
func (g *Guest) Close() error {
	if g.held == nil {
		return nil
	}
	g.Kill()
	err := os.RemoveAll(g.dir)
	err = errors.Join(err, g.held.Close())
	g.held = nil
	return err
}

// Dir is the guest's folder on the host: console.log, qemu.log, swtpm.log. A test
// may put image files there that shall end with the guest.
func (g *Guest) Dir() string { return g.dir }

// Console returns the end of what the kernel and systemd printed, over all boots.
func (g *Guest) Console() string {
	return tail(filepath.Join(g.dir, "console.log"), 32<<10)
}

// poll tries something every few milliseconds until it needs no retry.
func poll(ctx context.Context, try func() (again bool, err error)) error {
	for {
		again, err := try()
		if !again {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w (%w)", err, ctx.Err())
		case <-time.After(10 * time.Millisecond):
		}
	}
}
