package tpmtest

import (
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"sallyport/internal/testtool"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"
	"github.com/google/go-tpm/tpm2/transport/linuxudstpm"
)

// Maker makes TPMs: an authority of swtpm_localca's, which vouches for
// endorsement keys as the maker of a chip does.
type Maker struct {
	t     testing.TB
	dir   string
	setup string // configuration of swtpm_setup
}

// NewMaker returns a maker with fresh keys.
func NewMaker(t testing.TB) *Maker {
	t.Helper()
	m := &Maker{t: t, dir: t.TempDir()}
	m.setup = filepath.Join(m.dir, "setup.conf")
	for name, text := range map[string]string{
		"localca.conf": fmt.Sprintf("statedir = %[1]s\nsigningkey = %[1]s/signkey.pem\nissuercert = %[1]s/issuer.pem\ncertserial = %[1]s/serial\n", m.dir),
		"options":      "--platform-manufacturer Sallyport\n--platform-version 1\n--platform-model test\n",
		"setup.conf": fmt.Sprintf("create_certs_tool = %s\ncreate_certs_tool_config = %[2]s/localca.conf\ncreate_certs_tool_options = %[2]s/options\nactive_pcr_banks = sha256\n",
			testtool.Need(t, "swtpm_localca"), m.dir),
	} {
		if err := os.WriteFile(filepath.Join(m.dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return m
}

// Authorities returns the maker's certificates: its root and its issuer. There
// are none before the first TPM is made.
func (m *Maker) Authorities() []*x509.Certificate {
	m.t.Helper()
	var all []*x509.Certificate
	for _, name := range []string{"swtpm-localca-rootca-cert.pem", "issuer.pem"} {
		data, err := os.ReadFile(filepath.Join(m.dir, name))
		if err != nil {
			m.t.Fatal(err)
		}
		block, _ := pem.Decode(data)
		if block == nil {
			m.t.Fatalf("%s is no PEM file", name)
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			m.t.Fatal(err)
		}
		all = append(all, cert)
	}
	return all
}

// NewTPM makes a TPM with a certificate for its RSA-2048 endorsement key, and
// starts it.
func (m *Maker) NewTPM() *Process {
	m.t.Helper()
	p := newProcess(m.t)
	m.Manufacture(p.dir)
	p.Restart()
	return p
}

// Manufacture puts the state of a new TPM, as [Maker.NewTPM] makes it, into a
// folder that is empty.
func (m *Maker) Manufacture(dir string) {
	m.t.Helper()
	testtool.Run(m.t, "swtpm_setup", "--tpm2", "--tpmstate", dir, "--create-ek-cert", "--config", m.setup,
		"--logfile", filepath.Join(m.dir, "setup.log"), "--runas", fmt.Sprint(os.Geteuid()))
}

// NewECCTPM is NewTPM with a certificate for the ECC P-256 endorsement key as
// well, where swtpm_setup makes one for P-384 alone.
func (m *Maker) NewECCTPM() *Process {
	m.t.Helper()
	p := m.NewTPM()
	tr, err := linuxudstpm.Open(p.Socket)
	if err != nil {
		m.t.Fatal(err)
	}
	defer tr.Close()
	m.provision(tr, m.certify(tr))
	return p
}

// certify issues a certificate for the TPM's ECC P-256 endorsement key.
func (m *Maker) certify(tr transport.TPM) (der []byte) {
	m.t.Helper()
	ek, err := tpm2.CreatePrimary{PrimaryHandle: tpm2.TPMRHEndorsement, InPublic: tpm2.New2B(tpm2.ECCEKTemplate)}.Execute(tr)
	if err != nil {
		m.t.Fatal(err)
	}
	if _, err := (tpm2.FlushContext{FlushHandle: ek.ObjectHandle}).Execute(tr); err != nil {
		m.t.Fatal(err)
	}
	public, err := ek.OutPublic.Contents()
	if err != nil {
		m.t.Fatal(err)
	}
	point, err := public.Unique.ECC()
	if err != nil {
		m.t.Fatal(err)
	}
	out := m.t.TempDir()
	testtool.Run(m.t, "swtpm_localca", "--type", "ek", "--tpm2", "--dir", out,
		"--ek", "x="+hex.EncodeToString(point.X.Buffer)+",y="+hex.EncodeToString(point.Y.Buffer)+",id=secp256r1",
		"--tpm-spec-family", "2.0", "--tpm-spec-level", "0", "--tpm-spec-revision", "164",
		"--tpm-manufacturer", "id:00001014", "--tpm-model", "swtpm", "--tpm-version", "id:20191023",
		"--configfile", filepath.Join(m.dir, "localca.conf"), "--optsfile", filepath.Join(m.dir, "options"),
		"--logfile", filepath.Join(m.dir, "localca.log"))
	der, err = os.ReadFile(filepath.Join(out, "ek.cert"))
	if err != nil {
		m.t.Fatal(err)
	}
	return der
}

// provision puts a certificate, with some padding behind it, where the ECC
// P-256 one belongs. Unlike that of swtpm_setup, it can be read by the owner
// alone.
func (m *Maker) provision(tr transport.TPM, cert []byte) {
	m.t.Helper()
	const index, chunk = 0x01c0000a, 512
	data := append(cert[:len(cert):len(cert)], make([]byte, 100)...)
	public := tpm2.TPMSNVPublic{
		NVIndex: index, NameAlg: tpm2.TPMAlgSHA256, DataSize: uint16(len(data)),
		Attributes: tpm2.TPMANV{OwnerWrite: true, OwnerRead: true, NoDA: true, NT: tpm2.TPMNTOrdinary},
	}
	if _, err := (tpm2.NVDefineSpace{AuthHandle: tpm2.TPMRHOwner, PublicInfo: tpm2.New2B(public)}).Execute(tr); err != nil {
		m.t.Fatal(err)
	}
	for at := 0; at < len(data); at += chunk {
		now, err := tpm2.NVReadPublic{NVIndex: tpm2.TPMHandle(index)}.Execute(tr)
		if err != nil {
			m.t.Fatal(err)
		}
		if _, err := (tpm2.NVWrite{
			AuthHandle: tpm2.TPMRHOwner,
			NVIndex:    tpm2.NamedHandle{Handle: index, Name: now.NVName},
			Data:       tpm2.TPM2BMaxNVBuffer{Buffer: data[at:min(at+chunk, len(data))]},
			Offset:     uint16(at),
		}).Execute(tr); err != nil {
			m.t.Fatal(err)
		}
	}
}

// Extend extends one PCR of the SHA-256 bank, as a changed boot would.
func (p *Process) Extend(pcr uint) {
	p.t.Helper()
	Extend(p.t, p.Socket, pcr)
}

// Extend is [Process.Extend] of the TPM behind a socket.
func Extend(t testing.TB, socket string, pcr uint) {
	t.Helper()
	tr, err := linuxudstpm.Open(socket)
	if err != nil {
		t.Fatal(err)
	}
	defer tr.Close()
	if _, err := (tpm2.PCRExtend{
		PCRHandle: tpm2.AuthHandle{Handle: tpm2.TPMHandle(pcr), Auth: tpm2.PasswordAuth(nil)},
		Digests:   tpm2.TPMLDigestValues{Digests: []tpm2.TPMTHA{{HashAlg: tpm2.TPMAlgSHA256, Digest: make([]byte, 32)}}},
	}).Execute(tr); err != nil {
		t.Fatal(err)
	}
}
