package eventlog

import (
	"bytes"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var le = binary.LittleEndian

// entry is an event to write.
type entry struct {
	pcr    uint32
	typ    Type
	data   string
	digest *[sha256.Size]byte // nil: that of the data
}

// zeros is the digest of events that are not measured.
var zeros [sha256.Size]byte

// startup is the event that says where the TPM was started from.
func startup(locality byte) entry {
	return entry{0, noAction, "StartupLocality\x00" + string(locality), &zeros}
}

// header writes the first event; algorithms are pairs of number and size.
func header(algorithms ...uint16) []byte {
	spec := []byte("Spec ID Event03\x00\x00\x00\x00\x00\x00\x02\x69\x02")
	spec = le.AppendUint32(spec, uint32(len(algorithms)/2))
	for _, x := range algorithms {
		spec = le.AppendUint16(spec, x)
	}
	return oldEvent(0, noAction, [20]byte{}, string(spec)+"\x00")
}

func oldEvent(pcr uint32, typ Type, digest [20]byte, data string) []byte {
	b := le.AppendUint32(nil, pcr)
	b = le.AppendUint32(b, uint32(typ))
	b = append(b, digest[:]...)
	b = le.AppendUint32(b, uint32(len(data)))
	return append(b, data...)
}

func (e entry) sum() [sha256.Size]byte {
	if e.digest != nil {
		return *e.digest
	}
	return sha256.Sum256([]byte(e.data))
}

// event writes an event with the digests of SHA-1 and SHA-256.
func (e entry) event() []byte {
	b := le.AppendUint32(nil, e.pcr)
	b = le.AppendUint32(b, uint32(e.typ))
	b = le.AppendUint32(b, 2)
	one, sum := sha1.Sum([]byte(e.data)), e.sum()
	b = append(le.AppendUint16(b, 0x0004), one[:]...)
	b = append(le.AppendUint16(b, 0x000B), sum[:]...)
	b = le.AppendUint32(b, uint32(len(e.data)))
	return append(b, e.data...)
}

// write makes a log.
func write(entries ...entry) []byte {
	b := header(0x0004, 20, 0x000B, 32)
	for _, e := range entries {
		b = append(b, e.event()...)
	}
	return b
}

func mustParse(t *testing.T, data []byte) *Log {
	t.Helper()
	log, err := Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	return log
}

// realLog returns a captured log and the TPM's PCRs of that very start.
func realLog(t testing.TB, name string) (data []byte, tpm [16][sha256.Size]byte) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name+".bin"))
	if err != nil {
		t.Fatal(err)
	}
	values, err := os.ReadFile(filepath.Join("testdata", name+".pcrs"))
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(values)), "\n")
	if len(lines) != len(tpm) {
		t.Fatalf("%s.pcrs has %d lines", name, len(lines))
	}
	for i, line := range lines {
		value, found := strings.CutPrefix(line, fmt.Sprintf("%d ", i))
		b, err := hex.DecodeString(value)
		if !found || err != nil || len(b) != sha256.Size {
			t.Fatalf("%s.pcrs: %q", name, line)
		}
		tpm[i] = [sha256.Size]byte(b)
	}
	return data, tpm
}

// realNames are the captured logs.
func realNames() []string { return []string{"secure", "grub", "seabios"} }

func TestARealLogReplaysToTheTPM(t *testing.T) {
	for _, name := range realNames() {
		data, tpm := realLog(t, name)
		values := mustParse(t, data).Replay()
		for pcr, want := range tpm {
			if pcr == 10 {
				continue // IMA measures without the firmware's log
			}
			// A PCR that the log does not touch is zero.
			if values[pcr] != want {
				t.Errorf("%s: PCR %d replays to %x, the TPM has %x", name, pcr, values[pcr], want)
			}
		}
	}
}

// A log that somebody has changed no longer replays, wherever it was changed.
func TestAChangedDigestDoesNotReplay(t *testing.T) {
	data, tpm := realLog(t, "secure")
	log := mustParse(t, data)
	for i, e := range log.Events {
		forged := bytes.Clone(data)
		at := bytes.Index(forged[e.Offset:], e.Digest[:])
		forged[e.Offset+at] ^= 1
		if v := mustParse(t, forged).Replay()[e.PCR]; v == tpm[e.PCR] {
			t.Errorf("event %d changed, and PCR %d still replays", i, e.PCR)
		}
	}
}

func TestATornLogIsRefusedWithItsPlace(t *testing.T) {
	for _, name := range []string{"grub", "seabios"} { // at each of their bytes
		data, _ := realLog(t, name)
		whole := map[int]int{len(data): -1}
		log := mustParse(t, data)
		for i, e := range log.Events {
			whole[e.Offset] = i
		}
		last := 0 // the event that is torn
		for n := range len(data) {
			cut, err := Parse(data[:n:n])
			if i, ok := whole[n]; ok {
				// Nothing in the log says where it ends: only the PCRs do.
				if err != nil || len(cut.Events) != i {
					t.Errorf("%s cut at %d, between two events: %v", name, n, err)
				}
				last = n
				continue
			}
			if err == nil {
				t.Fatalf("%s cut at %d was accepted", name, n)
			}
			if want := fmt.Sprintf("offset %d", last); last > 0 && !strings.Contains(err.Error(), want) {
				t.Fatalf("%s cut at %d: %v, want %q", name, n, err, want)
			}
		}
	}
}

func TestLogsWithoutSHA256AreRecognised(t *testing.T) {
	old := slices.Concat(
		oldEvent(0, noAction, [20]byte{}, "Spec ID Event00\x00\x00\x00\x00\x00\x02\x01\x00\x00"),
		oldEvent(0, crtmVersion, sha1.Sum([]byte("1")), "1"))
	for name, data := range map[string][]byte{
		"old with its header":    old,
		"old without a header":   oldEvent(0, crtmVersion, sha1.Sum([]byte("1")), "1"),
		"SHA-1 and SHA-384 bank": header(0x0004, 20, 0x000C, 48),
	} {
		if _, err := Parse(data); !errors.Is(err, ErrNoSHA256) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, data := range map[string][]byte{
		"nothing": nil,
		"zeros":   make([]byte, 31),
		"text":    []byte(strings.Repeat("this is no event log at all ", 9)),
	} {
		if _, err := Parse(data); err == nil || errors.Is(err, ErrNoSHA256) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestWhatBreaksTheFormIsRefused(t *testing.T) {
	good := entry{4, efiAction, "Calling EFI Application from Boot Option", nil}
	edit := func(at int, b ...byte) []byte {
		data := write(good)
		copy(data[at:], b)
		return data
	}
	h := len(write()) // the header's length, where the first event begins
	const spec = 32   // where the data of the header begins
	event := func(b []byte) []byte { return append(write(), b...) }
	none := append(le.AppendUint32(le.AppendUint32(le.AppendUint32(nil, 1), 5), 0), 0, 0, 0, 0)
	onlySHA1 := le.AppendUint32(le.AppendUint32(le.AppendUint32(nil, 1), 5), 1)
	onlySHA1 = append(le.AppendUint16(onlySHA1, 4), make([]byte, 24)...)
	for name, c := range map[string]struct {
		data []byte
		want string
	}{
		"header for PCR 1":             {edit(0, 1), "want EV_NO_ACTION for PCR 0"},
		"header of another type":       {edit(4, 4), "want EV_NO_ACTION for PCR 0"},
		"header with a digest":         {edit(8, 1), "digest of zeros"},
		"header of version 3":          {edit(spec+21, 3), "version 3.0"},
		"header with no words":         {edit(spec+23, 0), "words of 0 units"},
		"header with no hash":          {edit(spec+24, 0), "0 hashes"},
		"header with many hashes":      {edit(spec+24, 0xFF, 0xFF, 0xFF, 0xFF), "hashes, want 1 to"},
		"header with more than it has": {edit(spec+24, 3), "but only 1 are left"},
		"header with a hash twice":     {header(0x000B, 32, 0x000B, 32), "listed twice"},
		"header with a short hash":     {header(0x000B, 20), "20 bytes"},
		"header with an empty hash":    {header(0x000B, 32, 0x7777, 0), "0 bytes"},
		"header with a vendor's part":  {edit(h-1, 9), "has 9 bytes, but only 0 are left"},
		"header too long":              {slices.Concat(edit(28, byte(h-spec+1))[:h], []byte{0}), "follow its end"},
		"header without an end":        {edit(28, 0xFF, 0xFF, 0xFF, 0xFF), "4294967295 bytes"},
		"PCR 24":                       {edit(h, 24), "no PCR 24"},
		"PCR -1":                       {edit(h, 0xFF, 0xFF, 0xFF, 0xFF), "no PCR 4294967295"},
		"digests without end":          {edit(h+8, 0xFF, 0xFF, 0xFF, 0xFF), "4294967295 digests"},
		"more digests than hashes":     {edit(h+8, 3), "3 digests"},
		"no digest":                    {event(none), "0 digests"},
		"no SHA-256 digest":            {event(onlySHA1), "no SHA-256 digest"},
		"a digest that is not listed":  {edit(h+12, 0x0C), "0x000c"},
		"a digest twice":               {edit(h+12+22, 0x04), "comes twice"},
		"data without end":             {edit(h+12+22+34, 0xFF, 0xFF, 0xFF, 0xFF), "4294967295 bytes"},
		"bytes after the end":          {append(write(good), 0), "offset " + fmt.Sprint(len(write(good)))},
	} {
		_, err := Parse(c.data)
		if err == nil || errors.Is(err, ErrNoSHA256) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
	// What the profile allows besides.
	mustParse(t, append(header(0x000B, 32, 0x7777, 7), append(le.AppendUint32(le.AppendUint32(le.AppendUint32(nil, 1), 5), 1),
		append(le.AppendUint16(nil, 0x000B), make([]byte, 36)...)...)...))
	log := mustParse(t, write(entry{0xFFFFFFFF, noAction, "NvIndexInstance\x00\x00", &zeros}))
	if v := log.Replay(); len(v) != 0 {
		t.Errorf("what is not measured was replayed: %v", v)
	}
}

func TestLimits(t *testing.T) {
	if _, err := Parse(make([]byte, MaxBytes+1)); err == nil || !strings.Contains(err.Error(), "more than") {
		t.Errorf("too long: %v", err)
	}
	many := slices.Concat(write(), bytes.Repeat(entry{4, action, "", nil}.event(), maxEvents))
	if log, err := Parse(many); err != nil || len(log.Events) != maxEvents {
		t.Fatalf("the most events: %v", err)
	}
	many = append(many, entry{4, action, "", nil}.event()...)
	if _, err := Parse(many); err == nil || !strings.Contains(err.Error(), "more than") {
		t.Errorf("too many events: %v", err)
	}
}

func TestStartupLocality(t *testing.T) {
	version := entry{0, crtmVersion, "1.0", nil}
	for _, l := range []byte{0, 3, 4} {
		log := mustParse(t, write(startup(l), version))
		want := extend([sha256.Size]byte{31: l}, sha256.Sum256([]byte("1.0")))
		if v := log.Replay(); v[0] != want || len(v) != 1 {
			t.Errorf("locality %d: %x", l, v)
		}
		if s := log.Events[0].Summary; s != fmt.Sprintf("TPM started from locality %d", l) {
			t.Errorf("locality %d: %q", l, s)
		}
	}
	long := startup(3)
	long.data += "\x00"
	for name, entries := range map[string][]entry{
		"a locality that cannot start a TPM": {startup(1), version},
		"after PCR 0 was extended":           {version, startup(3)},
		"twice":                              {startup(3), startup(3), version},
		"too long":                           {long, version},
	} {
		if _, err := Parse(write(entries...)); err == nil || !strings.Contains(err.Error(), "offset") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestDiffSaysWhatChanged(t *testing.T) {
	secure, _ := realLog(t, "secure")
	grub, _ := realLog(t, "grub")
	old, now := mustParse(t, secure), mustParse(t, grub)
	if c := Diff(old, old); len(c) != 0 {
		t.Errorf("a log differs from itself: %v", c)
	}
	was, is := old.Replay(), now.Replay()
	changes := Diff(old, now)
	for pcr := range pcrs {
		i := slices.IndexFunc(changes, func(c Change) bool { return c.PCR == pcr })
		if (i >= 0) != (was[pcr] != is[pcr]) {
			t.Errorf("PCR %d: changed %v, but listed %v", pcr, was[pcr] != is[pcr], i >= 0)
		}
		if pcr != 7 || i < 0 {
			continue
		}
		if !lists(changes[i].Gone, "UEFI variable SecureBoot: 1 (on)") || !lists(changes[i].New, "UEFI variable SecureBoot: 0 (off)") {
			t.Errorf("PCR 7: %+v", changes[i])
		}
		if lists(changes[i].Gone, "end of the firmware's part") {
			t.Error("an event that both have is listed")
		}
	}

	a, b := entry{4, action, "a", nil}, entry{4, action, "b", nil}
	of := func(entries ...entry) *Log { return mustParse(t, write(entries...)) }
	if c := Diff(of(a, b), of(b, a)); len(c) != 1 || !c[0].Moved || c[0].PCR != 4 {
		t.Errorf("another order: %+v", c)
	}
	if c := Diff(of(a), of(a, a)); len(c) != 1 || len(c[0].New) != 1 || len(c[0].Gone) != 0 {
		t.Errorf("once more: %+v", c)
	}
	if c := Diff(of(startup(0), a), of(startup(3), a)); len(c) != 1 || !lists(c[0].New, "TPM started from locality 3") {
		t.Errorf("another start: %+v", c)
	}
}

func lists(events []Event, summary string) bool {
	return slices.ContainsFunc(events, func(e Event) bool { return e.Summary == summary })
}

// The values are those that systemd-measure 252 computes for the image of the
// log "secure" with --phase=….
func TestPhases(t *testing.T) {
	_, tpm := realLog(t, "secure")
	for value, want := range map[string][]string{
		"56c6aac0c131615083532f4113855998b5cb68cd1d10dd295c83bddb04587a7e": nil,
		"b86889628359d9d8de1569b796ce2b55d67dd37f060b6d0e6ee698c612eaf798": {"enter-initrd"},
		"d0b1be703d5b135987c0434161b13a76e143d54ee51a9450f405349627ef5580": {"enter-initrd", "leave-initrd", "sysinit"},
		"5c10a0d42410ce84530c5f36cee6a68f68b20cbd404214c79f29e0e62e2abead": {"enter-initrd", "leave-initrd", "sysinit", "ready"},
		"f92977bd84d7d71040d5d3013b492702d4cf81217b5caacc8b4f0cc8a1dd08f2": {"sysinit"},
		"77801538b2165869a3f5079eb295527e2fbc91732adfa80d97d115da8f3655de": {"sysinit", "ready"},
	} {
		b, err := hex.DecodeString(value)
		if err != nil {
			t.Fatal(err)
		}
		if got, known := Phases(tpm[11], [sha256.Size]byte(b)); !known || !slices.Equal(got, want) {
			t.Errorf("%s: %q, %v, want %q", value, got, known, want)
		}
	}
	if got, known := Phases(tpm[11], tpm[7]); known {
		t.Errorf("a foreign value is said to be after %q", got)
	}
}

func TestExplainIsOneSentenceForEachPCR(t *testing.T) {
	seen := map[string]int{}
	for pcr := -1; pcr <= pcrs; pcr++ {
		s := Explain(pcr)
		foreign := strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r > '~' })
		if s == "" || s[len(s)-1] != '.' || strings.Contains(s, ". ") || foreign {
			t.Errorf("PCR %d: %q", pcr, s)
		}
		seen[s]++
		if pcr >= 0 && pcr < 15 && seen[s] > 1 {
			t.Errorf("PCR %d is explained as another one", pcr)
		}
	}
	for pcr, words := range map[int]string{0: "firmware update", 7: "Secure Boot keys or its state change", 11: "each kernel image"} {
		if s := Explain(pcr); !strings.Contains(s, words) {
			t.Errorf("PCR %d: %q, want %q", pcr, s, words)
		}
	}
}
