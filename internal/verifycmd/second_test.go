package verifycmd_test

// A second implementation of the checker, from internal/translog/FORMAT.md and the
// counter's statement in internal/tpm/FORMAT.md alone: it shares no code with the
// first one. Where the two disagree about a log, one of them or FORMAT.md is wrong.

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// second checks a log with the station's TPM identity and returns how many entries
// are sealed; an error says why the log is not valid, with the rule's number.
func second(dir, identity string) (sealed int, err error) {
	var id struct {
		Log     []byte `json:"log_public"`
		AK      []byte `json:"ak_public"`
		Counter []byte `json:"counter_public"`
	}
	var meta struct{ Origin string }
	for file, v := range map[string]any{identity: &id, filepath.Join(dir, "log.json"): &meta} {
		b, err := os.ReadFile(file)
		if err == nil {
			err = json.Unmarshal(b, v)
		}
		if err != nil {
			return 0, err
		}
		if v == &meta && string(b) != `{"format":"sallyport.translog","v":1,"origin":"`+meta.Origin+`"}` {
			return 0, errors.New("rule 1: log.json is not canonical")
		}
	}
	leaves, err := secondEntries(dir, meta.Origin)
	if err != nil {
		return 0, err
	}
	notes, err := secondFile(dir, "checkpoints", "SPLOGCHK", meta.Origin)
	if err != nil {
		return 0, err
	}
	last := -1
	for i, note := range notes {
		n, root, err := secondNote(note, meta.Origin, pointOf(id.Log))
		switch {
		case err != nil:
			return 0, fmt.Errorf("rule 4: checkpoint %d: %w", i, err)
		case n <= last:
			return 0, fmt.Errorf("rule 5: checkpoint %d seals %d entries, the one before it %d", i, n, last)
		case n > len(leaves):
			return 0, fmt.Errorf("rule 7: checkpoint %d seals %d of %d entries", i, n, len(leaves))
		case treeHash(leaves[:n]) != root:
			return 0, fmt.Errorf("rule 6: the first %d entries have another root", n)
		}
		last = n
	}
	anchors, err := secondFile(dir, "anchors", "SPLOGANC", meta.Origin)
	if err != nil {
		return 0, err
	}
	if len(anchors) > len(notes) || len(anchors) < len(notes)-1 {
		return 0, fmt.Errorf("rule 9: %d anchors for %d checkpoints", len(anchors), len(notes))
	}
	var counter uint64
	for i, a := range anchors {
		n, err := secondAnchor(a, notes[i], pointOf(id.AK), id.Counter)
		if err == nil && n <= counter {
			err = fmt.Errorf("the counter stands at %d after %d", n, counter)
		}
		if err != nil {
			return 0, fmt.Errorf("rule 9: anchor %d: %w", i, err)
		}
		counter = n
	}
	return max(last, 0), nil
}

// secondEntries reads all segments and returns the leaf hashes (rules 2 and 3).
func secondEntries(dir, origin string) (leaves [][32]byte, err error) {
	names, err := filepath.Glob(filepath.Join(dir, "*.seg")) // sorted
	if err != nil || len(names) == 0 {
		return nil, errors.New("rule 2: there is no segment")
	}
	prev := 0
	for i, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		if filepath.Base(name) != fmt.Sprintf("%020d.seg", len(leaves)) || !bytes.HasPrefix(b, secondHeader("SPLOGSEG", len(leaves), prev, origin)) {
			return nil, fmt.Errorf("rule 2: %s is not the only possible one", filepath.Base(name))
		}
		data, torn, err := secondFrames(b[64:], len(leaves))
		if err == nil && torn && i < len(names)-1 {
			err = errors.New("it ends in a torn write and is not the last one")
		}
		if err != nil {
			return nil, fmt.Errorf("rule 3: %s: %w", filepath.Base(name), err)
		}
		for _, d := range data {
			leaves = append(leaves, sha256.Sum256(append([]byte{0}, d...)))
		}
		prev = len(b)
	}
	return leaves, nil
}

func secondHeader(magic string, first, prev int, origin string) []byte {
	b := binary.BigEndian.AppendUint32([]byte(magic), 1)
	b = binary.BigEndian.AppendUint64(b, uint64(first))
	b = binary.BigEndian.AppendUint64(b, uint64(prev))
	sum := sha256.Sum256([]byte(origin))
	b = append(b, sum[:]...)
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)))
}

func secondFile(dir, name, magic, origin string) ([][]byte, error) {
	b, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		return nil, err
	}
	if !bytes.HasPrefix(b, secondHeader(magic, 0, 0, origin)) {
		return nil, fmt.Errorf("rule 4 or 9: the header of %s is wrong", name)
	}
	all, _, err := secondFrames(b[64:], 0)
	if err != nil {
		err = fmt.Errorf("rule 4 or 9: %s: %w", name, err)
	}
	return all, err
}

// secondFrames reads frames from index first on. A frame that the file ends in, or
// that ends in zeros as the file does, is torn, unless an intact frame follows.
func secondFrames(b []byte, first int) (all [][]byte, torn bool, err error) {
	for len(b) > 0 {
		data, index, end := secondFrame(b)
		if data != nil && index == uint64(first+len(all)) {
			all, b = append(all, data), b[end:]
			continue
		}
		zeros := bytes.TrimRight(b, "\x00")
		ends := len(b) < 16 || len(zeros) == 0 || end > 16 && end <= 16+65536 && (end > len(b) || len(zeros) < end)
		for off := range b {
			if data, index, _ := secondFrame(b[off:]); data != nil && index >= uint64(first+len(all)) && index < 1<<53 {
				ends = false
			}
		}
		if !ends {
			return nil, false, fmt.Errorf("the bytes after frame %d are no frame", first+len(all)-1)
		}
		return all, true, nil
	}
	return all, false, nil
}

func secondFrame(b []byte) (data []byte, index uint64, end int) {
	if len(b) < 16 {
		return nil, 0, 0
	}
	end = 16 + int(binary.BigEndian.Uint32(b))
	if end <= 16 || end > 16+65536 || end > len(b) {
		return nil, 0, end
	}
	sum := crc32.Checksum(bytes.Join([][]byte{b[:4], b[8:end]}, nil), crc32.MakeTable(crc32.Castagnoli))
	if sum != binary.BigEndian.Uint32(b[4:]) {
		return nil, 0, end
	}
	return b[16:end], binary.BigEndian.Uint64(b[8:]), end
}

// secondNote checks a signed note and returns what its checkpoint says.
func secondNote(note []byte, origin string, key *ecdsa.PublicKey) (size int, root [32]byte, err error) {
	text, sigs, ok := strings.Cut(string(note), "\n\n")
	lines := strings.Split(text, "\n")
	if !ok || len(lines) != 3 || lines[0] != origin {
		return 0, root, errors.New("no checkpoint of this log")
	}
	size, err = strconv.Atoi(lines[1])
	b, berr := base64.StdEncoding.DecodeString(lines[2])
	if err != nil || berr != nil || strconv.Itoa(size) != lines[1] || size < 0 || len(b) != 32 {
		return 0, root, errors.New("no checkpoint")
	}
	spki, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return 0, root, err
	}
	id, sum, good := sha256.Sum256(spki), sha256.Sum256([]byte(text+"\n")), false
	for _, line := range strings.Split(strings.TrimSuffix(sigs, "\n"), "\n") {
		f := strings.Split(line, " ")
		if len(f) != 3 || f[0] != "—" {
			return 0, root, errors.New("a line that is no signature")
		}
		sig, err := base64.StdEncoding.DecodeString(f[2])
		if err != nil || len(sig) < 5 {
			return 0, root, errors.New("a signature that is no base64")
		}
		if f[1] == origin && bytes.Equal(sig[:4], id[:4]) {
			if !ecdsa.VerifyASN1(key, sum[:], sig[4:]) {
				return 0, root, errors.New("a wrong signature")
			}
			good = true
		}
	}
	if !good {
		return 0, root, errors.New("no signature by the station's key")
	}
	return size, [32]byte(b), nil
}

// secondAnchor checks TPM2_NV_Certify over a note (TPM 2.0 Library, Part 2, 10.12).
func secondAnchor(anchor, note []byte, ak *ecdsa.PublicKey, counter []byte) (uint64, error) {
	var a struct {
		Counter, Sig []byte
	}
	fields := strings.Split(string(anchor), `"`)
	if len(fields) != 11 || fields[0]+fields[1]+fields[2]+fields[3]+fields[4]+fields[7]+fields[10] != "{v:1,counter:counter_sig}" {
		return 0, errors.New("not canonical JSON")
	}
	var err, serr error
	a.Counter, err = base64.StdEncoding.Strict().DecodeString(fields[5])
	a.Sig, serr = base64.StdEncoding.Strict().DecodeString(fields[9])
	if sum := sha256.Sum256(a.Counter); err != nil || serr != nil || !ecdsa.VerifyASN1(ak, sum[:], a.Sig) {
		return 0, errors.New("not signed by the attestation key")
	}
	// magic, type | signer | extra data | clock, firmware | name | offset, contents
	noteSum, area := sha256.Sum256(note), sha256.Sum256(counter)
	rest, ok := bytes.CutPrefix(a.Counter, []byte{0xff, 'T', 'C', 'G', 0x80, 0x14})
	if !ok || len(rest) < 2 || len(rest) < 2+int(binary.BigEndian.Uint16(rest)) {
		return 0, errors.New("no statement about an NV index")
	}
	rest, ok = bytes.CutPrefix(rest[2+binary.BigEndian.Uint16(rest):], append([]byte{0, 32}, noteSum[:]...))
	if !ok || len(rest) != 25+2+34+2+2+8 {
		return 0, errors.New("made for something else")
	}
	rest, ok = bytes.CutPrefix(rest[25:], append([]byte{0, 34, 0, 11}, area[:]...))
	if !ok || !bytes.HasPrefix(rest, []byte{0, 0, 0, 8}) {
		return 0, errors.New("of another counter")
	}
	return binary.BigEndian.Uint64(rest[4:]), nil
}

// pointOf is the key at the end of a public area.
func pointOf(area []byte) *ecdsa.PublicKey {
	xy := area[len(area)-68:]
	key, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), bytes.Join([][]byte{{4}, xy[2:34], xy[36:]}, nil))
	if err != nil {
		panic(err)
	}
	return key
}

// treeHash is RFC 6962, section 2.1.
func treeHash(leaves [][32]byte) [32]byte {
	switch len(leaves) {
	case 0:
		return sha256.Sum256(nil)
	case 1:
		return leaves[0]
	}
	k := 1
	for 2*k < len(leaves) {
		k *= 2
	}
	left, right := treeHash(leaves[:k]), treeHash(leaves[k:])
	return sha256.Sum256(bytes.Join([][]byte{{1}, left[:], right[:]}, nil))
}
