package eventlog

import "crypto/sha256"

// Explain says in one sentence what a PCR holds and what usually changes it
// (PFP section 3.3.4 for 0 to 7, UAPI.7 Linux TPM PCR Registry for 8 to 15).
func Explain(pcr int) string {
	switch pcr {
	case 0:
		return "The firmware's own code and version; changes with a firmware update."
	case 1:
		return "The firmware's settings, the order of boot devices and the list of hardware; changes with a setting, the boot order, a processor update, or hardware that is added or removed."
	case 2:
		return "Code of plug-in cards and of drivers outside the firmware; changes when a card is added, removed or gets new firmware."
	case 3:
		return "Settings and data of plug-in cards and of drivers outside the firmware; changes when a card is added, removed or set up anew."
	case 4:
		return "The boot programs that the firmware started: boot manager, boot loader, or a kernel image that starts by itself; changes when one of them is updated, and when the machine was started from something else."
	case 5:
		return "The partition table of the boot disk and the settings of the boot loader; changes when the disk is partitioned or replaced, or the boot menu is set up anew."
	case 6:
		return "What the maker of the machine put there; rarely changes, and the maker's documents say why."
	case 7:
		return "Whether Secure Boot is on, its keys (PK, KEK, db, dbx), and which key vouched for what was started; changes when Secure Boot keys or its state change, also with an update of the list of revoked programs (dbx), and when a boot program comes from another signer."
	case 8:
		return "GRUB's commands and the kernel's command line; changes with GRUB's configuration."
	case 9:
		return "The files that GRUB read, such as kernel and initrd, and the initrd and options that the kernel was started with; changes with each kernel or initrd, and with the command line."
	case 10:
		return "The files that the running kernel measured (IMA); grows while the machine runs, so it has no fixed value."
	case 11:
		return "The unified kernel image: kernel, initrd and built-in command line; changes with each kernel image, and is extended at each phase of the start."
	case 12:
		return "What a unified kernel image was given from outside: command line, credentials, add-ons; changes with those."
	case 13:
		return "Extensions of the system that were given to the initrd; changes when one is added, removed or updated."
	case 14:
		return "Shim's own keys and switches (MOK); changes when such a key is enrolled or removed, or shim's checks are switched."
	case 15:
		return "The identity of this system, such as its machine ID and root file system; differs on each machine and changes when it is installed anew."
	case 16, 23:
		return "Free for tests and applications; says nothing about the start of the machine."
	case 17, 18, 19, 20, 21, 22:
		return "Used by a trusted start after the firmware (Intel TXT, AMD SKINIT) alone; otherwise it has no meaning."
	}
	return "There is no such PCR."
}

// Phases says which phases of the start systemd has measured into PCR 11 since
// the log ended: start is the value of [Log.Replay], now is the TPM's. A
// system without systemd in its initrd measures no phases of that. None and
// true means that the PCR still is as the firmware left it; false, that it was
// extended by something else (systemd-pcrphase.service(8)).
func Phases(start, now [sha256.Size]byte) (phases []string, known bool) {
	system := []string{"sysinit", "ready", "shutdown", "final"}
	for _, path := range [][]string{append([]string{"enter-initrd", "leave-initrd"}, system...), system} {
		value := start
		for i := 0; ; i++ {
			if value == now {
				return path[:i:i], true
			}
			if i == len(path) {
				break
			}
			value = extend(value, sha256.Sum256([]byte(path[i])))
		}
	}
	return nil, false
}
