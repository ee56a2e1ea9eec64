package eventlog

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
)

// Data of events is never refused: what does not have the form of the profile
// is shown as text, or by its length.

// summary makes the line of an event.
func summary(t Type, b []byte) string {
	s, ok := "", false
	switch t {
	case noAction:
		s, ok = noActionText(b)
	case separator:
		s, ok = separatorText(b)
	case crtmVersion:
		s, ok = versionText(b)
	case postCode, crtmContents, efiFirmwareBlob:
		s, ok = blobText(b)
	case postCode2, efiFirmwareBlob2:
		s, ok = namedBlobText(b)
	case efiVariableDriverConfig, efiVariableBoot, efiVariableBoot2, efiVariableAuthority:
		s, ok = variableText(t, b)
	case efiBootApplication, efiBootDriver, efiRuntimeDriver:
		s, ok = imageText(b)
	case efiGPT, efiGPT2:
		s, ok = gptText(b)
	case eventTag:
		s, ok = tagText(b)
	case efiHandoffTables:
		s, ok = tablesText(b)
	case efiHandoffTables2:
		s, ok = namedTablesText(b)
	}
	if !ok {
		s = anyText(b)
	}
	return line(s)
}

// anyText is for the types whose data is a text (EV_IPL, EV_ACTION,
// EV_EFI_ACTION, EV_COMPACT_HASH, EV_EFI_HCRTM_EVENT) and for whatever has no
// form of its own.
func anyText(b []byte) string {
	if s, ok := text(b); ok {
		return escape(s)
	}
	return byteCount(b) + " of data"
}

func noActionText(b []byte) (string, bool) {
	if len(b) == len(localitySignature)+1 && string(b[:len(localitySignature)]) == localitySignature {
		return fmt.Sprintf("TPM started from locality %d", b[len(localitySignature)]), true
	}
	// Others begin with a signature of 16 bytes and go on in their own form.
	if len(b) > 16 {
		if s, ok := text(b[:16]); ok {
			return fmt.Sprintf("not measured: %s, %s", escape(s), byteCount(b)), true
		}
	}
	return "", false
}

// separatorText: PFP section 10.4, EV_SEPARATOR.
func separatorText(b []byte) (string, bool) {
	if len(b) != 4 {
		return "", false
	}
	switch binary.LittleEndian.Uint32(b) {
	case 0, 0xFFFFFFFF:
		return "end of the firmware's part", true
	case 1:
		return "ERROR: the firmware could not measure something", true
	}
	return "", false
}

func versionText(b []byte) (string, bool) {
	if s, ok := text(b); ok {
		return "firmware version " + escape(s), true
	}
	if len(b) == 16 {
		return "firmware version " + guid(b), true
	}
	if len(bytes.Trim(b, "\x00")) == 0 {
		return "firmware version (empty)", true
	}
	return "", false
}

// blobText reads UEFI_PLATFORM_FIRMWARE_BLOB, or the text that may stand in its
// place.
func blobText(b []byte) (string, bool) {
	if s, ok := text(b); ok {
		return escape(s), true
	}
	if len(b) != 16 {
		return "", false
	}
	return fmt.Sprintf("%s at address 0x%x", count(binary.LittleEndian.Uint64(b[8:]), "byte", "bytes"), binary.LittleEndian.Uint64(b)), true
}

// named splits the description off that begins the newer forms.
func named(b []byte) (name string, rest []byte, ok bool) {
	if len(b) == 0 || int(b[0]) > len(b)-1 {
		return "", nil, false
	}
	n := int(b[0])
	name, _ = text(b[1 : 1+n])
	return escape(name), b[1+n:], true
}

// namedBlobText reads UEFI_PLATFORM_FIRMWARE_BLOB2.
func namedBlobText(b []byte) (string, bool) {
	name, rest, ok := named(b)
	if !ok || len(rest) != 16 {
		return "", false
	}
	s, ok := blobText(rest)
	return name + ": " + s, ok
}

// tablesText reads UEFI_HANDOFF_TABLE_POINTERS: a count, then a GUID and an
// address for each.
func tablesText(b []byte) (string, bool) {
	if len(b) < 8 {
		return "", false
	}
	n := binary.LittleEndian.Uint64(b)
	if n != uint64(len(b)-8)/24 || (len(b)-8)%24 != 0 {
		return "", false
	}
	return count(n, "table", "tables"), true
}

// namedTablesText reads UEFI_HANDOFF_TABLE_POINTERS2.
func namedTablesText(b []byte) (string, bool) {
	name, rest, ok := named(b)
	if !ok {
		return "", false
	}
	s, ok := tablesText(rest)
	return name + ": " + s, ok
}

// tagged splits TCG_PCClientTaggedEvent.
func tagged(b []byte) (id uint32, data []byte, ok bool) {
	if len(b) < 8 || uint64(binary.LittleEndian.Uint32(b[4:])) != uint64(len(b)-8) {
		return 0, nil, false
	}
	return binary.LittleEndian.Uint32(b), b[8:], true
}

func tagText(b []byte) (string, bool) {
	id, data, ok := tagged(b)
	if !ok {
		return "", false
	}
	return fmt.Sprintf("tag 0x%08x: %s", id, anyText(data)), true
}

// gptText reads UEFI_GPT_DATA: the header of the partition table (UEFI
// specification, section 5.3.2), a count, and the entries in use.
func gptText(b []byte) (string, bool) {
	const header = 92
	if len(b) < header+8 {
		return "", false
	}
	size, n := uint64(binary.LittleEndian.Uint32(b[84:])), binary.LittleEndian.Uint64(b[header:])
	entries := b[header+8:]
	if size < 128 || n > uint64(len(entries))/size || n*size != uint64(len(entries)) {
		return "", false
	}
	s := fmt.Sprintf("disk %s, %s", guid(b[56:]), count(n, "partition", "partitions"))
	for i := uint64(0); i < n && len(s) < MaxSummary; i++ {
		entry := entries[i*size:]
		s += fmt.Sprintf(`, "%s"`, escape(wide(entry[56:128])))
	}
	return s, true
}

// covered says whether the digest is that of the data, or of the part of it
// that the types differ in.
func covered(t Type, digest [sha256.Size]byte, b []byte) bool {
	if t == noAction {
		return false
	}
	if sha256.Sum256(b) == digest {
		return true
	}
	switch t {
	case efiVariableBoot:
		// The value alone, as the profile has it for this type.
		v, ok := parseVariable(b)
		return ok && sha256.Sum256(v.data) == digest
	case eventTag:
		_, data, ok := tagged(b)
		return ok && sha256.Sum256(data) == digest
	case ipl:
		return coveredText(digest, b)
	}
	return false
}

// coveredText knows what GRUB and systemd hash of a text that they log: GRUB
// the text after its own prefix without the NUL, systemd the name of a part of
// its image in ASCII with the NUL.
func coveredText(digest [sha256.Size]byte, b []byte) bool {
	plain := bytes.TrimRight(b, "\x00")
	for _, prefix := range []string{"grub_cmd: ", "kernel_cmdline: ", "module_cmdline: "} {
		if rest, ok := bytes.CutPrefix(plain, []byte(prefix)); ok {
			return sha256.Sum256(rest) == digest
		}
	}
	s, ok := text(b)
	return ok && len(b) <= maxText && (sha256.Sum256([]byte(s)) == digest || sha256.Sum256([]byte(s+"\x00")) == digest)
}
