// Package eventlog reads the log that a machine's firmware keeps of what it
// measured into the TPM while it started (TCG PC Client Platform Firmware
// Profile 1.06, section 10: the crypto-agile format), replays it for the
// SHA-256 bank, and says in plain words what each PCR holds and what changed.
//
// The log is only a claim. It lies in ordinary memory, and whoever controls
// the machine can write what he likes into it; what counts is the TPM's PCR,
// which can be extended but not set. A log that replays to the PCR of the TPM
// lists the digests that were measured, in their order. A log that does not
// explains nothing, and neither does one that was cut between two events
// until its replay is compared. Even then the words beside a digest are the
// log's own, unless [Event.Covered] says that they are what was measured.
//
// It opens nothing, talks to no TPM and decides nothing: every byte it is
// given is foreign, the results are for people to read. A log of the old
// format, which knows SHA-1 alone, is recognised and not read.
package eventlog

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
)

const (
	// MaxBytes is the longest log that is read. Firmware sets 64 KiB aside for
	// it, rarely more.
	MaxBytes = 16 << 20
	// maxEvents bounds the memory; real logs have 20 to 200 events.
	maxEvents = 100_000
	// maxAlgorithms is more than there are hashes in the TCG's registry.
	maxAlgorithms = 16
	// pcrs is how many PCRs a TPM of a PC has.
	pcrs = 24

	// sha256ID is TPM_ALG_SHA256 of the TCG's Algorithm Registry.
	sha256ID = 0x000B
	// specSignature begins the first event of a crypto-agile log, and
	// localitySignature the event that says from where the TPM was started (PFP
	// section 10.4.5).
	specSignature     = "Spec ID Event03\x00"
	localitySignature = "StartupLocality\x00"
)

// ErrNoSHA256 is in the error of a log that holds no SHA-256 digests: one of
// the old format, or of a TPM whose SHA-256 bank is switched off.
var ErrNoSHA256 = errors.New("no SHA-256 log")

// Log is a log that was read. It is not verified in any way: compare [Log.Replay]
// with the TPM.
type Log struct {
	// Events are in the order of the log, without the header.
	Events []Event
	// locality is where the TPM was started from, which is PCR 0's first value.
	locality byte
}

// Event is one entry (TCG_PCR_EVENT2, PFP section 10.2).
type Event struct {
	Offset int // of its first byte in the log
	// PCR is 0 to 23. Only an event of the type EV_NO_ACTION, which is not
	// measured, may have another number.
	PCR    int
	Type   Type // the log's word: it is in no digest
	Digest [sha256.Size]byte
	// Summary is one line of printable ASCII of at most [MaxSummary] bytes,
	// made of the event's data. What is foreign in it is escaped.
	Summary string
	// Covered says that the digest is that of the event's data, so that Summary
	// tells what was measured (of an EV_EFI_VARIABLE_BOOT its value, of an
	// EV_EVENT_TAG its text, not their names and numbers). Without it the digest
	// is of something else, such as a program or a file, and Summary is what the
	// log says about that.
	Covered bool

	starts bool // it says where the TPM was started from
}

// reader takes what it needs from the log, and nothing beyond its end.
type reader struct {
	data []byte
	at   int
}

func (r *reader) take(n uint32, what string) ([]byte, error) {
	if left := len(r.data) - r.at; uint64(n) > uint64(left) {
		return nil, fmt.Errorf("%s at offset %d has %d bytes, but only %d are left", what, r.at, n, left)
	}
	b := r.data[r.at : r.at+int(n)]
	r.at += int(n)
	return b, nil
}

func (r *reader) u32(what string) (uint32, error) {
	b, err := r.take(4, what)
	if err != nil {
		return 0, err
	}
	return binary.LittleEndian.Uint32(b), nil
}

func (r *reader) u16(what string) (uint16, error) {
	b, err := r.take(2, what)
	if err != nil {
		return 0, err
	}
	return binary.LittleEndian.Uint16(b), nil
}

// Parse reads a whole log, as the kernel shows it in
// /sys/kernel/security/tpm0/binary_bios_measurements. Its errors say the
// offset; [ErrNoSHA256] is in the chain of one that cannot be used at all.
func Parse(data []byte) (*Log, error) {
	log, err := parse(data)
	if err != nil {
		return nil, fmt.Errorf("cannot read the firmware's event log: %w", err)
	}
	return log, nil
}

func parse(data []byte) (*Log, error) {
	if len(data) == 0 {
		return nil, errors.New("it is empty")
	}
	if len(data) > MaxBytes {
		return nil, fmt.Errorf("it has %d bytes, more than %d", len(data), MaxBytes)
	}
	r := &reader{data: data}
	sizes, err := r.header()
	if err != nil {
		return nil, err
	}
	log := &Log{}
	for started, extended := false, false; r.at < len(data); {
		if len(log.Events) == maxEvents {
			return nil, fmt.Errorf("it has more than %d events at offset %d", maxEvents, r.at)
		}
		at := r.at
		e, body, err := r.event(sizes)
		if err == nil && e.starts {
			if started || extended {
				err = errors.New("where the TPM was started from is said twice, or after PCR 0 was extended")
			} else {
				log.locality, err = locality(body)
			}
		}
		if err != nil {
			return nil, fmt.Errorf("event %d, which begins at offset %d: %w", len(log.Events)+1, at, err)
		}
		started = started || e.starts
		extended = extended || e.PCR == 0 && e.Type != noAction
		log.Events = append(log.Events, e)
	}
	return log, nil
}

// header reads the first event, which has the old format (TCG_PCR_EVENT, PFP
// section 10.2.1) and lists the hashes of all others (section 10.4.5.1). It
// returns the size of a digest by algorithm.
func (r *reader) header() (map[uint16]uint32, error) {
	const fixed = 8 + 20
	head, err := r.take(fixed, "the head of the first event")
	if err != nil {
		return nil, err
	}
	pcr, typ := binary.LittleEndian.Uint32(head), Type(binary.LittleEndian.Uint32(head[4:]))
	n, err := r.u32("the length of the first event")
	if err != nil {
		return nil, err
	}
	body, err := r.take(n, "the data of the first event")
	if err != nil {
		return nil, err
	}
	if len(body) < len(specSignature) || string(body[:len(specSignature)]) != specSignature {
		if _, known := names[typ]; pcr >= pcrs || !known {
			return nil, errors.New("it does not begin with an event")
		}
		return nil, fmt.Errorf("it is of the old format, for SHA-1: %w", ErrNoSHA256)
	}
	if pcr != 0 || typ != noAction || [20]byte(head[8:]) != [20]byte{} {
		return nil, fmt.Errorf("its header is an event of type %s for PCR %d, want EV_NO_ACTION for PCR 0 with a digest of zeros", typ, pcr)
	}
	s := &reader{data: r.data[:r.at], at: r.at - len(body) + len(specSignature)}
	sizes, err := s.specID()
	if err != nil {
		return nil, fmt.Errorf("its header: %w", err)
	}
	if _, ok := sizes[sha256ID]; !ok {
		return nil, fmt.Errorf("its header does not list SHA-256: %w", ErrNoSHA256)
	}
	return sizes, nil
}

// specID reads what follows the signature in TCG_EfiSpecIDEvent.
func (s *reader) specID() (map[uint16]uint32, error) {
	b, err := s.take(8, "its fixed part")
	if err != nil {
		return nil, err
	}
	// After the class of the platform: minor and major version, erratum, and the
	// size of a machine word in units of 32 bits.
	if b[5] != 2 || b[4] != 0 || b[7] != 1 && b[7] != 2 {
		return nil, fmt.Errorf("version %d.%d with words of %d units, want 2.0 with 1 or 2", b[5], b[4], b[7])
	}
	count, err := s.u32("the number of hashes")
	if err != nil {
		return nil, err
	}
	if count == 0 || count > maxAlgorithms {
		return nil, fmt.Errorf("%d hashes, want 1 to %d", count, maxAlgorithms)
	}
	sizes := make(map[uint16]uint32, count)
	for range count {
		b, err := s.take(4, "a hash")
		if err != nil {
			return nil, err
		}
		id, size := binary.LittleEndian.Uint16(b), binary.LittleEndian.Uint16(b[2:])
		if _, twice := sizes[id]; twice {
			return nil, fmt.Errorf("the hash %#04x is listed twice", id)
		}
		if want := digestSize(id); size == 0 || size > 128 || want != 0 && size != want {
			return nil, fmt.Errorf("digests of the hash %#04x have %d bytes", id, size)
		}
		sizes[id] = uint32(size)
	}
	n, err := s.take(1, "the length of the vendor's part")
	if err != nil {
		return nil, err
	}
	if _, err := s.take(uint32(n[0]), "the vendor's part"); err != nil {
		return nil, err
	}
	if left := len(s.data) - s.at; left != 0 {
		return nil, fmt.Errorf("%d bytes follow its end at offset %d", left, s.at)
	}
	return sizes, nil
}

// digestSize is the size that the TCG's registry gives a hash, 0 for one that
// is not known here.
func digestSize(id uint16) uint16 {
	switch id {
	case 0x0004: // SHA-1
		return 20
	case sha256ID, 0x0012, 0x0027: // also SM3-256 and SHA3-256
		return 32
	case 0x000C, 0x0028: // SHA-384, SHA3-384
		return 48
	case 0x000D, 0x0029: // SHA-512, SHA3-512
		return 64
	}
	return 0
}

// event reads one event and returns its data too.
func (r *reader) event(sizes map[uint16]uint32) (e Event, body []byte, err error) {
	e.Offset = r.at
	head, err := r.take(12, "its head")
	if err != nil {
		return e, nil, err
	}
	pcr, count := binary.LittleEndian.Uint32(head), binary.LittleEndian.Uint32(head[8:])
	e.PCR, e.Type = int(pcr), Type(binary.LittleEndian.Uint32(head[4:]))
	if pcr >= pcrs && e.Type != noAction {
		return e, nil, fmt.Errorf("there is no PCR %d", pcr)
	}
	if count == 0 || int64(count) > int64(len(sizes)) {
		return e, nil, fmt.Errorf("%d digests, want 1 to %d", count, len(sizes))
	}
	seen := make([]uint16, 0, maxAlgorithms)
	for range count {
		if seen, err = r.digest(&e, sizes, seen); err != nil {
			return e, nil, err
		}
	}
	// Without its digest the bank cannot be replayed past this event.
	if !slices.Contains(seen, sha256ID) {
		return e, nil, errors.New("it has no SHA-256 digest")
	}
	n, err := r.u32("the length of its data")
	if err != nil {
		return e, nil, err
	}
	if body, err = r.take(n, "its data"); err != nil {
		return e, nil, err
	}
	e.starts = e.Type == noAction && pcr == 0 && len(body) >= len(localitySignature) && string(body[:len(localitySignature)]) == localitySignature
	e.Summary = summary(e.Type, body)
	e.Covered = covered(e.Type, e.Digest, body)
	return e, body, nil
}

// digest reads one digest and keeps it if it is the SHA-256 one.
func (r *reader) digest(e *Event, sizes map[uint16]uint32, seen []uint16) ([]uint16, error) {
	at := r.at
	id, err := r.u16("the hash of a digest")
	if err != nil {
		return seen, err
	}
	size, ok := sizes[id]
	if !ok || slices.Contains(seen, id) {
		return seen, fmt.Errorf("the hash %#04x at offset %d is not in the header, or comes twice", id, at)
	}
	b, err := r.take(size, "a digest")
	if err != nil {
		return seen, err
	}
	if id == sha256ID {
		e.Digest = [sha256.Size]byte(b)
	}
	return append(seen, id), nil
}

// locality reads where the TPM was started from (TCG_EfiStartupLocalityEvent, PFP section
// 10.4.5.3): 0, 3 for a protected start, 4 for a hardware root of trust.
func locality(body []byte) (byte, error) {
	if len(body) != len(localitySignature)+1 {
		return 0, fmt.Errorf("the startup locality has %d bytes, want %d", len(body), len(localitySignature)+1)
	}
	switch l := body[len(localitySignature)]; l {
	case 0, 3, 4:
		return l, nil
	default:
		return 0, fmt.Errorf("the startup locality is %d, want 0, 3 or 4", l)
	}
}

// Replay returns the values that the SHA-256 PCRs have if the log is true and
// nothing was measured after its end. A PCR that is not in the map was not
// touched: it is all zeros in the TPM, or the log does not explain it.
//
// The log ends when the operating system starts. PCR 10 grows with each file
// that IMA measures; PCR 11 grows with each phase of the start, see [Phases];
// systemd also measures into PCR 15, and may into 9 and 12.
func (l *Log) Replay() map[int][sha256.Size]byte {
	values := map[int][sha256.Size]byte{}
	if l.locality != 0 {
		values[0] = [sha256.Size]byte{sha256.Size - 1: l.locality}
	}
	for _, e := range l.Events {
		if e.Type == noAction {
			continue // PFP section 10.4.5: never extended
		}
		values[e.PCR] = extend(values[e.PCR], e.Digest)
	}
	return values
}

// extend is what a TPM does to a PCR (TPM 2.0 Library part 1, section 17.3).
func extend(value, digest [sha256.Size]byte) [sha256.Size]byte {
	var both [2 * sha256.Size]byte
	copy(both[:], value[:])
	copy(both[sha256.Size:], digest[:])
	return sha256.Sum256(both[:])
}
