package eventlog

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"
)

// GUIDs of the vendors whose variables matter, as guid writes them.
const (
	globalGUID   = "8be4df61-93ca-11d2-aa0d-00e098032b8c" // UEFI specification, section 3.3
	securityGUID = "d719b2cb-3d3a-4596-a3bc-dad00e67656f" // section 32.6.1: db, dbx, dbt
	shimGUID     = "605dab50-e046-4300-abb6-3dd810dd8b23"
)

// variable is UEFI_VARIABLE_DATA (PFP section 10.2).
type variable struct {
	vendor, name string // name is foreign
	data         []byte
}

func parseVariable(b []byte) (v variable, ok bool) {
	if len(b) < 32 {
		return v, false
	}
	chars, size, rest := binary.LittleEndian.Uint64(b[16:]), binary.LittleEndian.Uint64(b[24:]), b[32:]
	if chars > uint64(len(rest)/2) || size != uint64(len(rest))-2*chars {
		return v, false
	}
	return variable{guid(b), wide(rest[:2*chars]), rest[2*chars:]}, true
}

// title names a variable so that one of a foreign vendor cannot be taken for
// the firmware's own.
func (v variable) title() string {
	switch v.vendor {
	case globalGUID, securityGUID:
		return "UEFI variable " + escape(v.name)
	case shimGUID:
		return "shim's variable " + escape(v.name)
	}
	return "variable " + escape(v.name) + " of " + v.vendor
}

func variableText(t Type, b []byte) (string, bool) {
	v, ok := parseVariable(b)
	if !ok {
		return "", false
	}
	if t == efiVariableAuthority {
		return authorityText(v), true
	}
	what := byteCount(v.data)
	switch {
	case len(v.data) == 0:
		what = "not set"
	case v.vendor == globalGUID && (v.name == "SecureBoot" || v.name == "SetupMode" || v.name == "AuditMode" || v.name == "DeployedMode"):
		switch {
		case bytes.Equal(v.data, []byte{0}):
			what = "0 (off)"
		case bytes.Equal(v.data, []byte{1}):
			what = "1 (on)"
		}
	case v.vendor == globalGUID && (v.name == "PK" || v.name == "KEK"), v.vendor == securityGUID:
		if n, ok := signatures(v.data); ok {
			what += ", " + count(n, "entry", "entries")
		}
	case v.vendor == globalGUID && v.name == "BootOrder" && len(v.data)%2 == 0:
		var order []string
		for i := 0; i < len(v.data) && i < MaxSummary; i += 2 {
			order = append(order, fmt.Sprintf("%04X", binary.LittleEndian.Uint16(v.data[i:])))
		}
		what = strings.Join(order, " ")
	case v.vendor == globalGUID && strings.HasPrefix(v.name, "Boot") && len(v.name) == len("Boot0000"):
		if s, ok := loadOption(v.data); ok {
			what = s
		}
	}
	return v.title() + ": " + what, true
}

// authorityText: the event says which entry of which variable vouched for what
// was started next. Shim uses it for its own state too.
func authorityText(v variable) string {
	if v.vendor == securityGUID && len(v.data) > 16 {
		return fmt.Sprintf("%s vouched for a program: entry of %s, owner %s", v.title(), byteCount(v.data[16:]), guid(v.data))
	}
	if s, ok := text(v.data); ok && v.vendor == shimGUID {
		return v.title() + ": " + escape(s)
	}
	return v.title() + ": " + byteCount(v.data)
}

// signatures counts the entries of a chain of EFI_SIGNATURE_LIST (UEFI
// specification, section 32.4.1).
func signatures(b []byte) (n uint64, ok bool) {
	const header = 28
	for len(b) > 0 {
		if len(b) < header {
			return 0, false
		}
		list, skip, size := uint64(binary.LittleEndian.Uint32(b[16:])), uint64(binary.LittleEndian.Uint32(b[20:])), uint64(binary.LittleEndian.Uint32(b[24:]))
		if list > uint64(len(b)) || header+skip > list || size <= 16 || (list-header-skip)%size != 0 {
			return 0, false
		}
		n += (list - header - skip) / size
		b = b[list:]
	}
	return n, true
}

// loadOption reads EFI_LOAD_OPTION (UEFI specification, section 3.1.3).
func loadOption(b []byte) (string, bool) {
	if len(b) < 6 {
		return "", false
	}
	size, rest := int(binary.LittleEndian.Uint16(b[4:])), b[6:]
	end := 0
	for ; end+2 <= len(rest) && (rest[end] != 0 || rest[end+1] != 0); end += 2 {
	}
	if end+2 > len(rest) || size > len(rest)-end-2 {
		return "", false
	}
	s := fmt.Sprintf(`"%s"`, escape(wide(rest[:end])))
	if path, ok := devicePath(rest[end+2:][:size]); ok {
		s += " at " + path
	}
	return s, true
}

// imageText reads UEFI_IMAGE_LOAD_EVENT (PFP section 10.2): addresses, then
// where the program came from.
func imageText(b []byte) (string, bool) {
	const fixed = 32
	if len(b) < fixed || binary.LittleEndian.Uint64(b[24:]) != uint64(len(b)-fixed) {
		return "", false
	}
	size := count(binary.LittleEndian.Uint64(b[8:]), "byte", "bytes")
	if path, ok := devicePath(b[fixed:]); ok {
		return "program of " + size + " from " + path, true
	}
	return fmt.Sprintf("program of %s, device path of %s", size, byteCount(b[fixed:])), true
}

// devicePath writes a device path as text (UEFI specification, section 10.6),
// the nodes that are common on PCs by their names and the rest by their
// numbers.
func devicePath(b []byte) (string, bool) {
	const (
		maxNodes = 32
		endType  = 0x7F
	)
	var nodes []string
	for len(b) >= 4 {
		n := int(binary.LittleEndian.Uint16(b[2:]))
		if n < 4 || n > len(b) {
			return "", false
		}
		if b[0] == endType {
			return strings.Join(nodes, "/"), len(nodes) > 0 && len(b) == n
		}
		if len(nodes) == maxNodes {
			return "", false
		}
		nodes = append(nodes, pathNode(b[0], b[1], b[4:n]))
		b = b[n:]
	}
	return "", false
}

func pathNode(typ, sub byte, b []byte) string {
	le := binary.LittleEndian
	switch kind := uint16(typ)<<8 | uint16(sub); {
	case kind == 0x0101 && len(b) == 2:
		return fmt.Sprintf("Pci(%d,%d)", b[1], b[0])
	case kind == 0x0201 && len(b) == 8 && le.Uint32(b) == 0x0A0341D0:
		return fmt.Sprintf("PciRoot(%d)", le.Uint32(b[4:]))
	case kind == 0x0302 && len(b) == 4:
		return fmt.Sprintf("Scsi(%d,%d)", le.Uint16(b), le.Uint16(b[2:]))
	case kind == 0x0305 && len(b) == 2:
		return fmt.Sprintf("USB(%d,%d)", b[0], b[1])
	case kind == 0x030B && len(b) == 33:
		return fmt.Sprintf("MAC(%x)", b[:6])
	case kind == 0x0312 && len(b) == 6:
		return fmt.Sprintf("Sata(%d)", le.Uint16(b))
	case kind == 0x0317 && len(b) == 12:
		return fmt.Sprintf("NVMe(%d)", le.Uint32(b))
	case kind == 0x0318:
		return "Uri(" + escape(string(b[:min(len(b), maxText)])) + ")"
	case kind == 0x0401 && len(b) == 38:
		if b[37] == 2 { // its signature is a GUID
			return fmt.Sprintf("HD(%d,%s)", le.Uint32(b), guid(b[20:]))
		}
		return fmt.Sprintf("HD(%d)", le.Uint32(b))
	case kind == 0x0403 && len(b) == 16:
		return "Vendor(" + guid(b) + ")"
	case kind == 0x0404:
		return strings.TrimPrefix(escape(strings.ReplaceAll(wide(b), `\`, "/")), "/")
	case kind == 0x0406 && len(b) == 16:
		return "FvFile(" + guid(b) + ")"
	case kind == 0x0407 && len(b) == 16:
		return "Fv(" + guid(b) + ")"
	case kind == 0x0408 && len(b) == 20:
		return fmt.Sprintf("Offset(0x%x,0x%x)", le.Uint64(b[4:]), le.Uint64(b[12:]))
	}
	return fmt.Sprintf("Path(%d,%d)", typ, sub)
}
