package eventlog

import "fmt"

// Type is the type of an event (PFP section 10.4).
type Type uint32

const (
	postCode             Type = 0x01
	noAction             Type = 0x03
	separator            Type = 0x04
	action               Type = 0x05
	eventTag             Type = 0x06
	crtmContents         Type = 0x07
	crtmVersion          Type = 0x08
	ipl                  Type = 0x0D
	omitBootDeviceEvents Type = 0x12
	postCode2            Type = 0x13

	efiVariableDriverConfig Type = 0x80000001
	efiVariableBoot         Type = 0x80000002
	efiBootApplication      Type = 0x80000003
	efiBootDriver           Type = 0x80000004
	efiRuntimeDriver        Type = 0x80000005
	efiGPT                  Type = 0x80000006
	efiAction               Type = 0x80000007
	efiFirmwareBlob         Type = 0x80000008
	efiHandoffTables        Type = 0x80000009
	efiFirmwareBlob2        Type = 0x8000000A
	efiHandoffTables2       Type = 0x8000000B
	efiVariableBoot2        Type = 0x8000000C
	efiGPT2                 Type = 0x8000000D
	efiVariableAuthority    Type = 0x800000E0
)

// names is the whole table of the profile.
var names = map[Type]string{
	0x00: "EV_PREBOOT_CERT",
	0x01: "EV_POST_CODE",
	0x02: "EV_UNUSED",
	0x03: "EV_NO_ACTION",
	0x04: "EV_SEPARATOR",
	0x05: "EV_ACTION",
	0x06: "EV_EVENT_TAG",
	0x07: "EV_S_CRTM_CONTENTS",
	0x08: "EV_S_CRTM_VERSION",
	0x09: "EV_CPU_MICROCODE",
	0x0A: "EV_PLATFORM_CONFIG_FLAGS",
	0x0B: "EV_TABLE_OF_DEVICES",
	0x0C: "EV_COMPACT_HASH",
	0x0D: "EV_IPL",
	0x0E: "EV_IPL_PARTITION_DATA",
	0x0F: "EV_NONHOST_CODE",
	0x10: "EV_NONHOST_CONFIG",
	0x11: "EV_NONHOST_INFO",
	0x12: "EV_OMIT_BOOT_DEVICE_EVENTS",
	0x13: "EV_POST_CODE2",

	0x80000000: "EV_EFI_EVENT_BASE",
	0x80000001: "EV_EFI_VARIABLE_DRIVER_CONFIG",
	0x80000002: "EV_EFI_VARIABLE_BOOT",
	0x80000003: "EV_EFI_BOOT_SERVICES_APPLICATION",
	0x80000004: "EV_EFI_BOOT_SERVICES_DRIVER",
	0x80000005: "EV_EFI_RUNTIME_SERVICES_DRIVER",
	0x80000006: "EV_EFI_GPT_EVENT",
	0x80000007: "EV_EFI_ACTION",
	0x80000008: "EV_EFI_PLATFORM_FIRMWARE_BLOB",
	0x80000009: "EV_EFI_HANDOFF_TABLES",
	0x8000000A: "EV_EFI_PLATFORM_FIRMWARE_BLOB2",
	0x8000000B: "EV_EFI_HANDOFF_TABLES2",
	0x8000000C: "EV_EFI_VARIABLE_BOOT2",
	0x8000000D: "EV_EFI_GPT_EVENT2",
	0x80000010: "EV_EFI_HCRTM_EVENT",
	0x800000E0: "EV_EFI_VARIABLE_AUTHORITY",
	0x800000E1: "EV_EFI_SPDM_FIRMWARE_BLOB",
	0x800000E2: "EV_EFI_SPDM_FIRMWARE_CONFIG",
	0x800000E3: "EV_EFI_SPDM_DEVICE_POLICY",
	0x800000E4: "EV_EFI_SPDM_DEVICE_AUTHORITY",
}

// String is the name in the profile, or the number of a type that is not there.
func (t Type) String() string {
	if name, ok := names[t]; ok {
		return name
	}
	return fmt.Sprintf("type 0x%08x", uint32(t))
}
