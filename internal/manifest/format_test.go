package manifest_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"sallyport/internal/dsse"
	"sallyport/internal/manifest"
	"sallyport/internal/testtool"
	"sallyport/internal/tpm"
	"sallyport/internal/tpm/tpmtest"
)

// section returns the first fenced block with this opening line after a heading
// of FORMAT.md.
func section(t *testing.T, heading, fence string) string {
	t.Helper()
	doc, err := os.ReadFile("FORMAT.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(doc), "\n## "+heading+"\n")
	_, rest, ok2 := strings.Cut(rest, "\n"+fence+"\n")
	block, _, ok3 := strings.Cut(rest, "\n```")
	if !ok || !ok2 || !ok3 {
		t.Fatalf("FORMAT.md has no block %q below %q", fence, heading)
	}
	return block
}

func TestTheExampleInTheFormatIsTheCommonVector(t *testing.T) {
	example := strings.ReplaceAll(section(t, "Payload", "```"), "\n", "")
	if want := string(encode(t, base())); example != want {
		t.Fatalf("FORMAT.md shows\n%s\nthe vector is\n%s", example, want)
	}
}

// sealedFolder writes a sealed package with content as a folder, and the key.
func sealedFolder(t *testing.T) (folder, keyFile string, digest [32]byte) {
	t.Helper()
	folder, envelope := fillFolder(t, base(), key(keyWitness), key(keyPrecinct))
	v, err := manifest.Verify(envelope, packageID, newPolicy(t))
	if err != nil {
		t.Fatal(err)
	}
	keyFile = filepath.Join(filepath.Dir(folder), "precinct-1.pem")
	writeKey(t, keyFile, key(keyPrecinct).public())
	return folder, keyFile, v.Digest()
}

// fillFolder gives the payload's files content and seals it.
func fillFolder(t *testing.T, p *manifest.Payload, signers ...manifest.Signer) (folder string, envelope []byte) {
	t.Helper()
	folder = filepath.Join(t.TempDir(), packageID)
	p.Totals = manifest.Totals{}
	for i := range p.Files {
		f := &p.Files[i]
		content := bytes.Repeat([]byte(f.Path), i*100) // the first is empty
		sum := sha256.Sum256(content)
		f.Size, f.SHA256 = int64(len(content)), hex.EncodeToString(sum[:])
		p.Totals.Files++
		p.Totals.Bytes += f.Size
		write(t, filepath.Join(folder, "data", f.Path), content)
	}
	envelope, err := manifest.Seal(t.Context(), p, signers...)
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(folder, "manifest.dsse.json"), envelope)
	return folder, envelope
}

func write(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
}

func writeKey(t *testing.T, path string, pub dsse.PublicKey) {
	t.Helper()
	write(t, path, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: pub.SPKI()}))
}

// byHand runs the commands of FORMAT.md.
func byHand(t *testing.T, folder, keyFile string) (output string, err error) {
	t.Helper()
	return shell(t, folder, section(t, "Checking a package by hand", "```sh"), "KEY="+keyFile)
}

func shell(t *testing.T, folder, script string, env ...string) (output string, err error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "sh", "-e", "-x", "-c", script)
	cmd.Dir = folder
	cmd.Env = append(append(os.Environ(), env...), "TMPDIR="+t.TempDir())
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func TestAPackageVerifiesWithOpenSSLAlone(t *testing.T) {
	testtool.Need(t, "openssl")
	testtool.Need(t, "sha256sum")
	folder, keyFile, digest := sealedFolder(t)
	out, err := byHand(t, folder, keyFile)
	if err != nil || !strings.Contains(out, "Verified OK") || !strings.Contains(out, fmt.Sprintf("%x", digest)) {
		t.Fatalf("%v\n%s", err, out)
	}
}

// TestAHybridPackageVerifiesWithOpenSSLAlone is skipped where OpenSSL is older
// than 3.5, as in Debian 12, also in the ring where a missing tool is fatal:
// package dsse has a signature by a later OpenSSL to verify.
func TestAHybridPackageVerifiesWithOpenSSLAlone(t *testing.T) {
	testtool.Need(t, "sha256sum")
	if list := testtool.Run(t, testtool.Need(t, "openssl"), "list", "-signature-algorithms"); !bytes.Contains(list, []byte("ML-DSA-65")) {
		t.Skip("this OpenSSL does not know ML-DSA; 3.5 and later do")
	}
	dir := t.TempDir()
	writeKey(t, dir+"/ecdsa.pem", key(keyPrecinct).public())
	writeKey(t, dir+"/ml-dsa.pem", ml(mlPrecinct).public())
	writeKey(t, dir+"/other.pem", ml(mlWitness).public())
	folder, _ := fillFolder(t, base(), key(keyPrecinct), ml(mlPrecinct))
	script := section(t, "Checking a package by hand", "```sh") + "\n" + section(t, "Checking an ML-DSA-65 signature by hand", "```sh")
	out, err := shell(t, folder, script, "KEY="+dir+"/ecdsa.pem", "MLKEY="+dir+"/ml-dsa.pem")
	if err != nil || !strings.Contains(out, "Verified OK") || !strings.Contains(out, "Signature Verified Successfully") {
		t.Errorf("%v\n%s", err, out)
	}
	if out, err := shell(t, folder, script, "KEY="+dir+"/ecdsa.pem", "MLKEY="+dir+"/other.pem"); err == nil {
		t.Errorf("a key that did not sign was accepted:\n%s", out)
	}
}

func TestAPackageSealedByATPMVerifiesWithOpenSSLAlone(t *testing.T) {
	testtool.Need(t, "openssl")
	testtool.Need(t, "sha256sum")
	addr, _ := tpmtest.Start(t)
	device, err := tpm.Open(t.Context(), addr)
	if err != nil {
		t.Fatal(err)
	}
	defer device.Close()
	id, err := device.CreateIdentity(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := device.LoadIdentity(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	folder, _ := fillFolder(t, base(func(p *manifest.Payload) { p.Signer.KeyID = device.KeyID() }), device)
	keyFile := filepath.Join(t.TempDir(), "key.pem")
	pub, err := dsse.NewP256Key(device.Public())
	if err != nil {
		t.Fatal(err)
	}
	writeKey(t, keyFile, pub)
	if out, err := byHand(t, folder, keyFile); err != nil || !strings.Contains(out, "Verified OK") {
		t.Fatalf("%v\n%s", err, out)
	}
}

func TestTheCommandsFindWhatIsWrong(t *testing.T) {
	testtool.Need(t, "openssl")
	testtool.Need(t, "sha256sum")
	edit := func(t *testing.T, path string, change func([]byte) []byte) {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		write(t, path, change(data))
	}
	for name, c := range map[string]struct {
		says   string // at the end of the output; "+" is the trace of the command that failed
		damage func(t *testing.T, folder, keyFile string)
	}{
		"payload altered": {"erification failure", func(t *testing.T, folder, _ string) {
			edit(t, folder+"/manifest.dsse.json", func(b []byte) []byte {
				e, err := manifest.ParseEnvelope(b)
				if err != nil {
					t.Fatal(err)
				}
				e.Payload = replace(t, e.Payload, `"seq":7`, `"seq":8`)
				b, err = e.Encode()
				if err != nil {
					t.Fatal(err)
				}
				return b
			})
		}},
		"line end after the envelope": {"+ test 1 -eq 0", func(t *testing.T, folder, _ string) {
			edit(t, folder+"/manifest.dsse.json", func(b []byte) []byte { return append(b, '\n') })
		}},
		"second payload": {`{0,7}\]\} manifest.dsse.json`, func(t *testing.T, folder, _ string) {
			edit(t, folder+"/manifest.dsse.json", func(b []byte) []byte {
				return replace(t, b, `","payloadType"`, `","payload":"e30=","payloadType"`)
			})
		}},
		"signed by another key": {"+ grep -q", func(t *testing.T, _, keyFile string) { writeKey(t, keyFile, key(keyUnknown).public()) }},
		"key of the other signer": {`key_id":"` + key(keyWitness).KeyID(), func(t *testing.T, _, keyFile string) {
			writeKey(t, keyFile, key(keyWitness).public()) // its signature is good, but the package is not its own
		}},
		"file altered": {"FAILED", func(t *testing.T, folder, _ string) {
			edit(t, folder+"/data/batch-2/cvr.json", func(b []byte) []byte { b[50] ^= 1; return b })
		}},
		"file longer": {" -eq 3200", func(t *testing.T, folder, _ string) {
			edit(t, folder+"/data/batch-2/cvr.json", func(b []byte) []byte { return append(b, 0) })
		}},
		"file missing": {"batch-1/readme.txt", func(t *testing.T, folder, _ string) {
			if err := os.Remove(folder + "/data/batch-1/readme.txt"); err != nil {
				t.Fatal(err)
			}
		}},
		"file extra": {"differ", func(t *testing.T, folder, _ string) { write(t, folder+"/data/batch-1/more", nil) }},
	} {
		t.Run(name, func(t *testing.T) {
			folder, keyFile, _ := sealedFolder(t)
			c.damage(t, folder, keyFile)
			out, err := byHand(t, folder, keyFile)
			if end := out[max(0, len(out)-400):]; err == nil || !strings.Contains(end, c.says) {
				t.Fatalf("error %v, the output should end in %q:\n%s", err, c.says, out)
			}
		})
	}
	t.Run("folder renamed", func(t *testing.T) {
		folder, keyFile, _ := sealedFolder(t)
		other := filepath.Dir(folder) + "/ffffffffffffffffffffffffffffffff"
		if err := os.Rename(folder, other); err != nil {
			t.Fatal(err)
		}
		if out, err := byHand(t, other, keyFile); err == nil {
			t.Fatalf("accepted:\n%s", out)
		}
	})
}
