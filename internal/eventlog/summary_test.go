package eventlog

import (
	"crypto/sha256"
	"strings"
	"testing"
	"unicode/utf16"
)

// utf writes UTF-16LE with a NUL at its end.
func utf(s string) string {
	var b []byte
	for _, u := range utf16.Encode([]rune(s + "\x00")) {
		b = le.AppendUint16(b, u)
	}
	return string(b)
}

func u64(values ...uint64) string {
	var b []byte
	for _, v := range values {
		b = le.AppendUint64(b, v)
	}
	return string(b)
}

func u32(v uint32) string { return string(le.AppendUint32(nil, v)) }

// The GUIDs as UEFI stores them.
const (
	globalBytes   = "\x61\xdf\xe4\x8b\xca\x93\xd2\x11\xaa\x0d\x00\xe0\x98\x03\x2b\x8c"
	securityBytes = "\xcb\xb2\x19\xd7\x3a\x3d\x96\x45\xa3\xbc\xda\xd0\x0e\x67\x65\x6f"
	foreignBytes  = "\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f\x10"
)

func variableData(vendor, name, data string) string {
	n := strings.TrimSuffix(utf(name), "\x00\x00")
	return vendor + u64(uint64(len(n)/2), uint64(len(data))) + n + data
}

// The captured start with Secure Boot, boot manager and unified kernel image,
// told to a reader.
func TestSummariesOfARealStart(t *testing.T) {
	type told struct {
		pcr     int
		typ     string
		covered bool
		summary string
	}
	for name, want := range map[string][]told{
		"secure": {
			{7, "EV_EFI_VARIABLE_DRIVER_CONFIG", true, "UEFI variable SecureBoot: 1 (on)"},
			{7, "EV_EFI_VARIABLE_DRIVER_CONFIG", true, "UEFI variable PK: 935 bytes, 1 entry"},
			{7, "EV_EFI_VARIABLE_DRIVER_CONFIG", true, "UEFI variable dbx: 76 bytes, 1 entry"},
			{7, "EV_EFI_VARIABLE_AUTHORITY", true, "UEFI variable db vouched for a program: entry of 891 bytes, owner a0baa8a3-041d-48a8-bc87-c36d121b5e3d"},
			{1, "EV_EFI_VARIABLE_BOOT", true, "UEFI variable BootOrder: 0001 0000 0002"},
			{1, "EV_EFI_VARIABLE_BOOT", true, `UEFI variable Boot0001: "UEFI Misc Device" at PciRoot(0)/Pci(1,0)`},
			{0, "EV_S_CRTM_VERSION", true, "firmware version (empty)"},
			{0, "EV_EFI_PLATFORM_FIRMWARE_BLOB", false, "12582912 bytes at address 0x900000"},
			{3, "EV_SEPARATOR", true, "end of the firmware's part"},
			{5, "EV_EFI_GPT_EVENT", true, `disk 11111111-2222-3333-4444-555555555555, 1 partition, "esp"`},
			{4, "EV_EFI_BOOT_SERVICES_APPLICATION", false, "program of 9088016 bytes from PciRoot(0)/Pci(1,0)/HD(1,66666666-7777-8888-9999-aaaaaaaaaaaa)/EFI/Linux/example.efi"},
			{12, "EV_IPL", true, "console=ttyS0 quiet panic=-1"},
			{11, "EV_IPL", true, ".linux"},
			{11, "EV_IPL", false, ".linux"},
			{9, "EV_EVENT_TAG", false, "tag 0x8f3b22ec: Linux initrd"},
			{5, "EV_EFI_ACTION", true, "Exit Boot Services Returned with Success"},
		},
		"grub": {
			{7, "EV_EFI_VARIABLE_DRIVER_CONFIG", true, "UEFI variable SecureBoot: 0 (off)"},
			{7, "EV_EFI_VARIABLE_DRIVER_CONFIG", true, "UEFI variable PK: not set"},
			{8, "EV_IPL", true, "kernel_cmdline: (hd0,gpt1)/vmlinuz console=ttyS0 quiet panic=-1"},
			{9, "EV_IPL", false, "(hd0,gpt1)/initrd.img"},
		},
		"seabios": {
			{4, "EV_ACTION", true, "Calling INT 19h"},
		},
	} {
		data, _ := realLog(t, name)
		have := map[told]bool{}
		for _, e := range mustParse(t, data).Events {
			have[told{e.PCR, e.Type.String(), e.Covered, e.Summary}] = true
		}
		for _, w := range want {
			if !have[w] {
				t.Errorf("%s: no event is told as %+v", name, w)
			}
		}
	}
}

func TestSummaries(t *testing.T) {
	file := "\x04\x04" + "\x1e\x00" + utf(`\EFI\A B.EFI`)
	file = file[:2] + string(le.AppendUint16(nil, uint16(len(file)))) + file[4:]
	end := "\x7f\xff\x04\x00"
	image := func(path string) string { return u64(0x1000, 77, 0, uint64(len(path))) + path }
	for _, c := range []struct {
		typ        Type
		data, want string
	}{
		{crtmVersion, utf("F.21"), "firmware version F.21"},
		{crtmVersion, foreignBytes, "firmware version 04030201-0605-0807-090a-0b0c0d0e0f10"},
		{separator, "\xff\xff\xff\xff", "end of the firmware's part"},
		{separator, "\x01\x00\x00\x00", "ERROR: the firmware could not measure something"},
		{separator, "\x02\x00\x00\x00", "4 bytes of data"},
		{separator, "", "0 bytes of data"},
		{postCode, "ACPI DATA", "ACPI DATA"},
		{postCode, u64(0xFF000000, 1), "1 byte at address 0xff000000"},
		{postCode2, "\x03DXE" + u64(16, 32), "DXE: 32 bytes at address 0x10"},
		{efiFirmwareBlob2, "\xffDXE", `\xffDXE`},
		{efiHandoffTables, u64(1) + foreignBytes + u64(9), "1 table"},
		{efiHandoffTables, u64(1 << 60), "8 bytes of data"},
		{efiHandoffTables2, "\x06SMBIOS" + u64(0), "SMBIOS: 0 tables"},
		{eventTag, u32(7) + u32(2) + "ok", "tag 0x00000007: ok"},
		{eventTag, u32(7) + u32(3) + "ok", "10 bytes of data"},
		{noAction, "SP800-155 Event\x00" + foreignBytes, "not measured: SP800-155 Event, 32 bytes"},
		{efiVariableDriverConfig, variableData(globalBytes, "SecureBoot", "\x01"), "UEFI variable SecureBoot: 1 (on)"},
		{efiVariableDriverConfig, variableData(globalBytes, "SecureBoot", "\x02"), "UEFI variable SecureBoot: 1 byte"},
		{efiVariableDriverConfig, variableData(securityBytes, "dbx", "x"), "UEFI variable dbx: 1 byte"},
		{efiVariableDriverConfig, variableData(securityBytes, "dbx", foreignBytes+u32(28+3*48)+u32(0)+u32(48)+strings.Repeat("x", 3*48)), "UEFI variable dbx: 172 bytes, 3 entries"},
		// Not the firmware's own, whatever it calls itself.
		{efiVariableDriverConfig, variableData(foreignBytes, "SecureBoot", "\x01"), "variable SecureBoot of 04030201-0605-0807-090a-0b0c0d0e0f10: 1 byte"},
		{efiVariableDriverConfig, globalBytes + u64(1<<63, 1), "32 bytes of data"},
		{efiVariableBoot, variableData(globalBytes, "Boot00AF", u32(1)+"\x04\x00"+utf("Disk")+end), `UEFI variable Boot00AF: "Disk"`},
		{efiVariableBoot, variableData(globalBytes, "Boot00AF", u32(1)+"\xff\xff"+utf("Disk")), "UEFI variable Boot00AF: 16 bytes"},
		{efiBootApplication, image(file + end), "program of 77 bytes from EFI/A B.EFI"},
		{efiBootApplication, image("\x03\x7e\x04\x00" + file + end), "program of 77 bytes from Path(3,126)/EFI/A B.EFI"},
		{efiBootApplication, image(file), "program of 77 bytes, device path of 30 bytes"},
		{efiBootApplication, image("\x04\x04\x00\x00" + end), "program of 77 bytes, device path of 8 bytes"},
		{efiBootApplication, u64(0, 1, 2), "24 bytes of data"},
		{efiGPT, strings.Repeat("\x00", 92) + u64(1<<60), "100 bytes of data"},
		{ipl, utf("root=/dev/sda1 é"), `root=/dev/sda1 \u00e9`},
		{ipl, "initrd=/x\x00", "initrd=/x"},
		{ipl, "\xde\xad\xbe\xef", "4 bytes of data"},
		{ipl, utf("選挙事務所"), "12 bytes of data"},
		{0x44, "odd\x1b[31m\r\n name", `odd\x1b[31m\r\n name`},
		{0x44, "abcdefgh\u202e\"\\", `abcdefgh\u202e"\\`},
	} {
		if got := summary(c.typ, []byte(c.data)); got != c.want {
			t.Errorf("%s of %q:\n got %q\nwant %q", c.typ, c.data, got, c.want)
		}
	}
	if s := summary(ipl, []byte(strings.Repeat("a", 1<<20))); len(s) != MaxSummary || !strings.HasSuffix(s, "...") {
		t.Errorf("a long text becomes %d bytes: %q", len(s), s)
	}
	if s := Type(0x12345678).String(); s != "type 0x12345678" {
		t.Errorf("a foreign type is called %q", s)
	}
}

const shimBytes = "\x50\xab\x5d\x60\x46\xe0\x00\x43\xab\xb6\x3d\xd8\x10\xdd\x8b\x23"

func TestAuthorities(t *testing.T) {
	for _, c := range []struct{ vendor, name, data, want string }{
		{securityBytes, "db", foreignBytes + "certificate", "UEFI variable db vouched for a program: entry of 11 bytes, owner 04030201-0605-0807-090a-0b0c0d0e0f10"},
		{shimBytes, "SbatLevel", "sbat,1,2021030218\n", `shim's variable SbatLevel: sbat,1,2021030218\n`},
		{shimBytes, "MokListRT", foreignBytes, "shim's variable MokListRT: 16 bytes"},
		{foreignBytes, "db", foreignBytes + "certificate", "variable db of 04030201-0605-0807-090a-0b0c0d0e0f10: 27 bytes"},
	} {
		if got := summary(efiVariableAuthority, []byte(variableData(c.vendor, c.name, c.data))); got != c.want {
			t.Errorf("%s:\n got %q\nwant %q", c.name, got, c.want)
		}
	}
}

// The texts are those of UEFI's own shell, as far as it has them.
func TestDevicePaths(t *testing.T) {
	node := func(typ, sub byte, data string) string {
		return string([]byte{typ, sub, byte(4 + len(data)), 0}) + data
	}
	pad := func(n int) string { return strings.Repeat("\x00", n) }
	for _, c := range []struct{ path, want string }{
		{node(2, 1, "\xd0\x41\x03\x0a\x02\x00\x00\x00") + node(1, 1, "\x01\x1f"), "PciRoot(2)/Pci(31,1)"},
		{node(3, 2, "\x01\x00\x02\x00"), "Scsi(1,2)"},
		{node(3, 5, "\x07\x01"), "USB(7,1)"},
		{node(3, 11, "\x52\x54\x00\x12\x34\x56"+pad(27)), "MAC(525400123456)"},
		{node(3, 18, "\x01\x00\xff\xff\x00\x00"), "Sata(1)"},
		{node(3, 23, "\x01\x00\x00\x00"+pad(8)), "NVMe(1)"},
		{node(3, 24, "http://x/\x1b"), `Uri(http://x/\x1b)`},
		{node(4, 1, "\x02\x00\x00\x00"+pad(16)+foreignBytes+"\x02\x02"), "HD(2,04030201-0605-0807-090a-0b0c0d0e0f10)"},
		{node(4, 1, "\x02\x00\x00\x00"+pad(34)), "HD(2)"},
		{node(4, 3, foreignBytes), "Vendor(04030201-0605-0807-090a-0b0c0d0e0f10)"},
		{node(4, 4, utf("\\a\u202e")), `a\u202e`},
		{node(4, 6, foreignBytes), "FvFile(04030201-0605-0807-090a-0b0c0d0e0f10)"},
		{node(4, 8, pad(4)+u64(0x10, 0x20)), "Offset(0x10,0x20)"},
		{node(4, 8, ""), "Path(4,8)"},
	} {
		got, ok := devicePath([]byte(c.path + "\x7f\xff\x04\x00"))
		if !ok || got != c.want {
			t.Errorf("%q, %v, want %q", got, ok, c.want)
		}
	}
	for name, path := range map[string]string{
		"nothing": "", "without an end": node(3, 5, "\x07\x01"), "with more after its end": node(3, 5, "\x07\x01") + "\x7f\xff\x04\x00x",
		"very long": strings.Repeat(node(3, 5, "\x07\x01"), 40) + "\x7f\xff\x04\x00",
	} {
		if got, ok := devicePath([]byte(path)); ok {
			t.Errorf("a path %s is %q", name, got)
		}
	}
}

// Whoever writes the log may say anything of a program, but not of what was
// measured itself.
func TestCoveredIsWhatWasMeasured(t *testing.T) {
	sum := func(s string) *[sha256.Size]byte { d := sha256.Sum256([]byte(s)); return &d }
	on, off := variableData(globalBytes, "SecureBoot", "\x01"), variableData(globalBytes, "SecureBoot", "\x00")
	for _, c := range []struct {
		e    entry
		want bool
	}{
		{entry{7, efiVariableDriverConfig, on, nil}, true},
		{entry{7, efiVariableDriverConfig, on, sum(off)}, false},
		{entry{7, efiVariableDriverConfig, on, sum("\x01")}, false}, // the name must be covered too
		{entry{1, efiVariableBoot, variableData(globalBytes, "BootOrder", "\x01\x00"), sum("\x01\x00")}, true},
		{entry{4, efiBootApplication, u64(0, 1, 0, 0), sum("the program")}, false},
		{entry{8, ipl, "grub_cmd: set x=1\x00", sum("set x=1")}, true},
		{entry{8, ipl, "grub_cmd: set x=1\x00", sum("set x=2")}, false},
		{entry{8, ipl, "grub_cmd: " + strings.Repeat("menuentry ", 1000) + "\x00", sum(strings.Repeat("menuentry ", 1000))}, true},
		{entry{11, ipl, utf(".linux"), sum(".linux\x00")}, true},
		{entry{11, ipl, utf(".linux"), sum("the kernel")}, false},
		{entry{9, eventTag, u32(1) + u32(2) + "ok", sum("ok")}, true},
		{entry{0, noAction, "x", sum("x")}, false},
	} {
		if got := mustParse(t, write(c.e)).Events[0].Covered; got != c.want {
			t.Errorf("%s %q: covered %v, want %v", c.e.typ, c.e.data, got, c.want)
		}
	}
}
