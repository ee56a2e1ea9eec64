package translog_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"sallyport/internal/testtool"
	"sallyport/internal/translog"
)

// TestCheckpointVerifiesWithOpenSSL runs the script that stands in FORMAT.md.
func TestCheckpointVerifiesWithOpenSSL(t *testing.T) {
	testtool.Need(t, "openssl")
	key := newSoftKey(t)
	l := mustOpen(t, mustCreate(t, translog.Options{}), translog.Options{})
	mustAppend(t, l, 7)
	signed, err := l.Checkpoint(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	_, sigs, ok := strings.Cut(string(signed), "\n\n")
	fields := strings.Fields(sigs)
	if !ok || len(fields) != 3 || fields[0] != "—" || fields[1] != origin {
		t.Fatalf("not a note with one signature: %q", signed)
	}
	blob, err := base64.StdEncoding.DecodeString(fields[2])
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(dir, "note"), signed)
	writeFile(t, filepath.Join(dir, "key.pem"), pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	_, script, ok := strings.Cut(string(readFile(t, "FORMAT.md")), "```sh\n")
	script, _, ok2 := strings.Cut(script, "```")
	if !ok || !ok2 {
		t.Fatal("FORMAT.md has no script")
	}
	run := func() (string, error) {
		cmd := exec.Command("sh", "-ec", script)
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	if out, err := run(); err != nil || !strings.Contains(out, "Verified OK") {
		t.Errorf("openssl says %q, %v", out, err)
	}
	writeFile(t, filepath.Join(dir, "note"), []byte(strings.Replace(string(signed), "\n7\n", "\n8\n", 1)))
	if out, err := run(); err == nil {
		t.Errorf("openssl takes a changed checkpoint: %q", out)
	}
	// The key id of the note is the start of SHA-256 over the SPKI.
	if id := key.KeyID(); !strings.HasPrefix(id, hex.EncodeToString(blob[:4])) {
		t.Errorf("note key id %x, key id %s", blob[:4], id)
	}
}

// badSigner answers with what a faulty TPM might.
type badSigner struct {
	softKey
	sig []byte
	err error
}

func (b badSigner) Sign(context.Context, [32]byte) ([]byte, error) { return b.sig, b.err }

func TestAFaultySignerSealsNothing(t *testing.T) {
	key := newSoftKey(t)
	dir := mustCreate(t, translog.Options{})
	l := mustOpen(t, dir, translog.Options{})
	mustAppend(t, l, 3)
	before := readFile(t, filepath.Join(dir, "checkpoints"))
	for name, s := range map[string]badSigner{
		"fails":             {key, nil, errInjected},
		"signs nonsense":    {key, []byte("not a signature"), nil},
		"signs something":   {key, mustSign(t, key, [32]byte{1}), nil},
		"returns nothing":   {key, nil, nil},
		"another key signs": {key, mustSign(t, newSoftKey(t), [32]byte{}), nil},
	} {
		if _, err := l.Checkpoint(t.Context(), s); err == nil {
			t.Errorf("%s: sealed", name)
		} else if s.err != nil && !errors.Is(err, s.err) {
			t.Errorf("%s: the cause is lost: %v", name, err)
		}
	}
	if string(readFile(t, filepath.Join(dir, "checkpoints"))) != string(before) {
		t.Error("a refused checkpoint left bytes")
	}
	// A signer that failed costs the checkpoint, not the log.
	mustAppend(t, l, 1)
	first, err := l.Checkpoint(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	again, err := l.Checkpoint(t.Context(), key)
	if err != nil || string(again) != string(first) {
		t.Errorf("nothing new was sealed anew: %v", err)
	}
}

func mustSign(t *testing.T, k softKey, digest [32]byte) []byte {
	t.Helper()
	sig, err := k.Sign(t.Context(), digest)
	if err != nil {
		t.Fatal(err)
	}
	return sig
}

func TestSeveralKeysAndForeignSignatures(t *testing.T) {
	a, b, stranger := newSoftKey(t), newSoftKey(t), newSoftKey(t)
	dir := mustCreate(t, translog.Options{})
	l := mustOpen(t, dir, translog.Options{})
	mustAppend(t, l, 2)
	first, err := l.Checkpoint(t.Context(), a)
	if err != nil {
		t.Fatal(err)
	}
	mustAppend(t, l, 2)
	if _, err := l.Checkpoint(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	check := func(want int, keys ...softKey) {
		t.Helper()
		var pubs []*ecdsa.PublicKey
		for _, k := range keys {
			pubs = append(pubs, k.Public())
		}
		r, err := translog.Verify(t.Context(), dir, translog.VerifyOptions{Keys: pubs})
		if err != nil || len(r.Damage) != want {
			t.Errorf("%d keys: %+v, %v; want %d damaged places", len(keys), r, err, want)
		}
	}
	check(0, a, b)
	check(1, a)
	check(1, b)
	check(2, stranger)
	if _, err := translog.Verify(t.Context(), dir, translog.VerifyOptions{}); err == nil {
		t.Error("verified without any key")
	}
	keys, err := translog.NewKeys(origin, a.Public())
	if err != nil {
		t.Fatal(err)
	}
	// Another party's signature on the same note is ignored.
	text, _, _ := strings.Cut(string(first), "\n\n")
	blob := append([]byte{1, 2, 3, 4}, mustSign(t, stranger, [32]byte{})...)
	witnessed := string(first) + "— witness.example/w " + base64.StdEncoding.EncodeToString(blob) + "\n"
	if c, err := keys.Open([]byte(witnessed)); err != nil || c.Text() != text+"\n" {
		t.Errorf("a note with a witness's signature: %v", err)
	}
}

func TestCheckpointTextIsCanonical(t *testing.T) {
	root := "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
	good := origin + "\n7\n" + root + "\n"
	if c, err := translog.ParseText(good); err != nil || c.Size != 7 || c.Text() != good {
		t.Fatalf("%+v, %v", c, err)
	}
	for name, bad := range map[string]string{
		"no origin":       "\n7\n" + root + "\n",
		"no last newline": strings.TrimSuffix(good, "\n"),
		"extension line":  good + "more\n",
		"leading zero":    origin + "\n07\n" + root + "\n",
		"plus":            origin + "\n+7\n" + root + "\n",
		"negative":        origin + "\n-7\n" + root + "\n",
		"over 2^53-1":     origin + "\n9007199254740992\n" + root + "\n",
		"short root":      origin + "\n7\nAAAA\n",
		"loose base64":    origin + "\n7\n" + strings.Replace(root, "A=", "B=", 1) + "\n",
		"carriage return": strings.ReplaceAll(good, "\n", "\r\n"),
		"empty":           "",
	} {
		if c, err := translog.ParseText(bad); err == nil {
			t.Errorf("%s: accepted as %+v", name, c)
		}
	}
}

func TestMissingFolderIsNoDamage(t *testing.T) {
	_, err := translog.Verify(t.Context(), filepath.Join(t.TempDir(), "none"), translog.VerifyOptions{Keys: []*ecdsa.PublicKey{newSoftKey(t).Public()}})
	if !errors.Is(err, os.ErrNotExist) || errors.Is(err, translog.ErrTampered) {
		t.Errorf("verify of nothing: %v", err)
	}
}
