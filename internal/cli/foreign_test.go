package cli_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"sallyport/internal/testoffice"
	"sallyport/internal/testtool"
)

// attestationKey writes the attestation key of an enrolled station into a PEM
// file, from what 'trust show' says at another station. The point stands in the
// last 68 bytes of the TPM's public area (internal/tpm/FORMAT.md).
func attestationKey(t *testing.T, shownAt *testoffice.Station, id string) (pem string) {
	t.Helper()
	var shown struct {
		Stations []struct {
			ID   string
			Keys []struct {
				TPM struct {
					AK []byte `json:"ak_public"`
				}
			}
		}
	}
	if err := json.Unmarshal([]byte(must(t, shownAt, "--json", "trust", "show")), &shown); err != nil {
		t.Fatal(err)
	}
	var ak []byte
	for _, s := range shown.Stations {
		for _, k := range s.Keys {
			if s.ID == id && len(k.TPM.AK) > 0 {
				ak = k.TPM.AK
			}
		}
	}
	if len(ak) < 68 {
		t.Fatalf("no attestation key of %s: %+v", id, shown)
	}
	point := ak[len(ak)-68:]
	der, err := hex.DecodeString("3059301306072a8648ce3d020106082a8648ce3d03010703420004") // a P-256 key, RFC 5480
	if err != nil {
		t.Fatal(err)
	}
	der = append(append(der, point[2:34]...), point[36:]...)
	dir := t.TempDir()
	pem = filepath.Join(dir, "ak.pem")
	testtool.Run(t, "openssl", "pkey", "-pubin", "-inform", "DER", "-in", write(t, filepath.Join(dir, "ak.der"), der), "-out", pem)
	return pem
}

// pcrFile writes register values as tpm2-tools keep them: the C structures
// TPML_PCR_SELECTION, a count, and that many TPML_DIGEST, little-endian.
func pcrFile(t *testing.T, values [][]byte) string {
	t.Helper()
	const digests, room = 8, 2 + 64
	selection := make([]byte, 4+16*8)
	copy(selection, []byte{1, 0, 0, 0, 0x0b, 0, 3, 0xff, 0x08, 0})
	out := binary.LittleEndian.AppendUint32(selection, 2)
	for _, part := range [][][]byte{values[:digests], values[digests:]} {
		list := make([]byte, 4+digests*room)
		list[0] = byte(len(part))
		for i, v := range part {
			list[4+i*room] = byte(len(v))
			copy(list[4+i*room+2:], v)
		}
		out = append(out, list...)
	}
	return write(t, filepath.Join(t.TempDir(), "pcrs"), out)
}

// What leaves the building with a package can be judged without anything of
// ours: the quote with tpm2-tools and openssl, the counter's statement with
// openssl, both for the very payload that the manifest signs.
func TestEvidenceVerifiesWithOtherTools(t *testing.T) {
	for _, tool := range []string{"openssl", "tpm2_checkquote"} {
		testtool.Need(t, tool)
	}
	o := office(t)
	p, err := o.Source.Seal("--kind", "media-set", "--stream", "evidence", o.Small("definition.json"))
	if err != nil {
		t.Fatal(err)
	}
	at := filepath.Join(p.Dir, "SALLYPORT", p.PackageID)
	var evidence struct {
		PCRs       [][]byte `json:"pcrs"`
		Quote      []byte   `json:"quote"`
		QuoteSig   []byte   `json:"quote_sig"`
		Counter    []byte   `json:"counter"`
		CounterSig []byte   `json:"counter_sig"`
		Checkpoint string   `json:"checkpoint"`
	}
	var envelope struct {
		Payload []byte `json:"payload"`
	}
	for name, v := range map[string]any{"evidence.json": &evidence, "manifest.dsse.json": &envelope} {
		body, err := os.ReadFile(filepath.Join(at, name))
		if err == nil {
			err = json.Unmarshal(body, v)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	ak, dir := attestationKey(t, o.EMS, o.Source.ID), t.TempDir()
	for name, s := range map[string][2][]byte{"quote": {evidence.Quote, evidence.QuoteSig}, "counter": {evidence.Counter, evidence.CounterSig}} {
		message, sig := write(t, filepath.Join(dir, name), s[0]), write(t, filepath.Join(dir, name+".sig"), s[1])
		testtool.Run(t, "openssl", "dgst", "-sha256", "-verify", ak, "-signature", sig, message)
		changed := bytes.Clone(s[0])
		changed[len(changed)-1] ^= 1
		if r := tool(t, "openssl", "dgst", "-sha256", "-verify", ak, "-signature", sig, write(t, filepath.Join(dir, name+".changed"), changed)); r.status == 0 {
			t.Errorf("openssl takes a changed %s: %s", name, r.out)
		}
	}
	digest := sha256.Sum256(envelope.Payload)
	quote := func(pcrs [][]byte, qualifying string) result {
		return tool(t, "tpm2_checkquote", "-u", ak, "-m", filepath.Join(dir, "quote"), "-s", filepath.Join(dir, "quote.sig"), "-g", "sha256", "-f", pcrFile(t, pcrs), "-q", qualifying)
	}
	if r := quote(evidence.PCRs, hex.EncodeToString(digest[:])); r.status != 0 {
		t.Errorf("tpm2_checkquote refuses the quote: %s%s", r.out, r.err)
	}
	if r := quote(evidence.PCRs, strings.Repeat("00", 32)); r.status == 0 {
		t.Error("tpm2_checkquote takes the quote for another payload")
	}
	other := slices.Clone(evidence.PCRs)
	other[8] = make([]byte, 32) // PCR 11
	other[8][0] = ^evidence.PCRs[8][0]
	if r := quote(other, hex.EncodeToString(digest[:])); r.status == 0 {
		t.Error("tpm2_checkquote takes other registers")
	}
	if !strings.HasPrefix(evidence.Checkpoint, "sallyport/") {
		t.Fatalf("the evidence has no checkpoint of the sender's log: %q", evidence.Checkpoint)
	}
	counted(t, evidence.Counter, sha256.Sum256(slices.Concat([]byte("sallyport evidence v1\x00"), digest[:], []byte(evidence.Checkpoint))), p.PackageID, envelope.Payload)
}

// counted reads the counter's statement (TPM 2.0 Library Part 2, 10.12.8 and
// 10.12.12): magic, type, signer's name, extra data, clock (17 bytes) and firmware
// (8 bytes), then the index's name, an offset and its 8 bytes.
func counted(t *testing.T, statement []byte, digest [32]byte, id string, manifest []byte) {
	t.Helper()
	field := func(from []byte) (value, rest []byte) {
		if len(from) < 2 || len(from)-2 < int(binary.BigEndian.Uint16(from)) {
			t.Fatalf("the counter's statement is too short: %x", statement)
		}
		n := 2 + int(binary.BigEndian.Uint16(from))
		return from[2:n], from[n:]
	}
	if !bytes.HasPrefix(statement, []byte{0xff, 'T', 'C', 'G', 0x80, 0x14}) { // TPM_GENERATED, TPM_ST_ATTEST_NV
		t.Fatalf("no statement of a counter: %x", statement)
	}
	_, rest := field(statement[6:])
	extra, rest := field(rest)
	if !bytes.Equal(extra, digest[:]) {
		t.Errorf("the counter's statement is for %x, payload and checkpoint have %x", extra, digest)
	}
	_, rest = field(rest[17+8:])
	value, _ := field(rest[2:])
	var said struct {
		PackageID string `json:"package_id"`
		Seq       uint64 `json:"seq"`
	}
	if err := json.Unmarshal(manifest, &said); err != nil {
		t.Fatal(err)
	}
	if len(value) != 8 || said.PackageID != id || binary.BigEndian.Uint64(value) < said.Seq {
		t.Errorf("the counter stands at %x, the package %s has the sequence %d", value, said.PackageID, said.Seq)
	}
}

// The last checkpoint of a station's log verifies by the shell lines of
// internal/translog/FORMAT.md with the key that 'trust key' gives out.
func TestCheckpointOfAStationVerifiesWithOpenSSL(t *testing.T) {
	testtool.Need(t, "openssl")
	o := office(t)
	file, err := os.ReadFile(o.Source.File("state/log/checkpoints"))
	if err != nil {
		t.Fatal(err)
	}
	const fileHeader, frameHeader = 64, 16
	var note []byte
	for rest := file[fileHeader:]; len(rest) > frameHeader; {
		n := int(binary.BigEndian.Uint32(rest))
		note, rest = rest[frameHeader:frameHeader+n], rest[frameHeader+n:]
	}
	format, err := os.ReadFile(filepath.Join(o.Checkout, "internal", "translog", "FORMAT.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, script, _ := strings.Cut(string(format), "```sh\n")
	script, _, ok := strings.Cut(script, "```")
	if !ok {
		t.Fatal("FORMAT.md has no steps")
	}
	dir := t.TempDir()
	must(t, o.Source, "trust", "key", "--out", filepath.Join(dir, "key.pem"))
	check := func(note []byte) result {
		write(t, filepath.Join(dir, "note"), note)
		cmd := command()
		cmd.Path, cmd.Args, cmd.Dir = testtool.Need(t, "sh"), []string{"sh", "-ec", script}, dir
		return finish(t, cmd)
	}
	if r := check(note); r.status != 0 || !strings.Contains(r.out, "Verified OK") {
		t.Errorf("exit status %d\n%s%s\n%s", r.status, r.out, r.err, note)
	}
	size := regexp.MustCompile(`(?m)^[0-9]+$`)
	if r := check(size.ReplaceAll(note, []byte("1"))); r.status == 0 {
		t.Errorf("openssl takes a checkpoint of another size:\n%s", r.out)
	}
	if out, err := o.Source.CheckLog(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// tool runs somebody else's program.
func tool(t *testing.T, name string, args ...string) result {
	t.Helper()
	cmd := command(args...)
	cmd.Path, cmd.Args = testtool.Need(t, name), append([]string{name}, args...)
	return finish(t, cmd)
}
