package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// initrdAt is where the initramfs is put into memory. QEMU 7.2 overwrites the ACPI
// tables when it places one for a PVH kernel itself, and with them TPM and
// power-off; so a loader device puts it there and the kernel is told to leave that
// memory alone.
const initrdAt = 0x18000000

// arguments are QEMU's. One emulated processor in one thread is the fastest that
// there is without hardware help; -cpu max has RDRAND, without which the guest
// waits a minute for entropy; the ELF kernel started by PVH saves unpacking.
func (g *Guest) arguments() ([]string, error) {
	base := g.o.Image.Base.Dir
	initrd := filepath.Join(base, "initrd.cpio")
	st, err := os.Stat(initrd)
	if err != nil {
		return nil, fmt.Errorf("cannot find the initramfs: %w", err)
	}
	mib := (st.Size() + 1<<20 - 1) >> 20
	if int64(g.o.Memory)<<20 < initrdAt+mib<<20 {
		return nil, fmt.Errorf("a guest of %d MiB has no room for the initramfs", g.o.Memory)
	}
	kernel := append([]string{
		"console=ttyS0", "quiet", "panic=-1", "mitigations=off", "nokaslr", "init_on_alloc=0",
		"cryptomgr.notests", "no_timer_check", "tsc=reliable", "rcupdate.rcu_expedited=1",
		fmt.Sprintf("memmap=%dM$%#x", mib, initrdAt), fmt.Sprintf("initrdmem=%#x,%d", initrdAt, st.Size()),
		"usb_storage.delay_use=0",
	}, g.o.Append...)
	file := func(name string) string { return filepath.Join(g.dir, name) }
	args := []string{
		"-M", "q35,i8042=off", "-accel", "tcg,thread=single,tb-size=256", "-cpu", "max", "-smp", "1", "-m", strconv.Itoa(g.o.Memory),
		"-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-nic", "none",
		"-chardev", "file,id=console,append=on,path=" + file("console.log"), "-serial", "chardev:console",
		"-qmp", "unix:" + file("qmp") + ",server=on,wait=off",
		"-device", "virtio-serial-pci",
		"-chardev", "socket,id=agent,server=on,wait=off,path=" + file("agent"), "-device", "virtserialport,chardev=agent,name=agent.0",
		"-device", "qemu-xhci,id=xhci,p2=8,p3=8",
		"-chardev", "socket,id=tpm,path=" + file("swtpm"), "-tpmdev", "emulator,id=tpm,chardev=tpm", "-device", "tpm-tis,tpmdev=tpm",
		// What the guest syncs reaches the host's page cache, which outlives a
		// killed QEMU; it need not reach the host's disk.
		"-drive", "if=none,id=root,format=qcow2,cache=unsafe,file=" + strings.ReplaceAll(g.o.Disk, ",", ",,"), "-device", "virtio-blk-pci,drive=root",
		"-kernel", filepath.Join(base, "vmlinux"),
		"-device", fmt.Sprintf("loader,force-raw=on,addr=%#x,file=%s", initrdAt, strings.ReplaceAll(initrd, ",", ",,")),
		"-append", strings.Join(kernel, " "),
	}
	return slices.Concat(args, g.o.QEMUArgs), nil
}
