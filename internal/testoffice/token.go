package testoffice

import (
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"sallyport/internal/tpm/tpmtest"
)

// ErrNoToken says that SoftHSM2 or pkcs11-tool is not installed.
var ErrNoToken = errors.New("SoftHSM2 or pkcs11-tool is not installed; 'make deps' installs them")

// NewToken makes a PKCS#11 token in software (SoftHSM2) with one key, and returns
// how the key is written after --key. There is one folder of tokens in an office.
func (o *Office) NewToken(label, pin string) (key string, err error) {
	util, err := exec.LookPath("softhsm2-util")
	if err != nil {
		return "", ErrNoToken
	}
	tool, err := exec.LookPath("pkcs11-tool")
	if err != nil {
		return "", ErrNoToken
	}
	var module string
	for _, pattern := range []string{"/usr/lib/softhsm/libsofthsm2.so", "/usr/lib/*/softhsm/libsofthsm2.so"} {
		if found, _ := filepath.Glob(pattern); len(found) > 0 {
			module = found[0]
		}
	}
	if module == "" {
		return "", ErrNoToken
	}
	dir, conf := filepath.Join(o.Dir, "tokens"), filepath.Join(o.Dir, "softhsm2.conf")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	if err := os.WriteFile(conf, []byte("directories.tokendir = "+dir+"\nlog.level = ERROR\n"), 0o600); err != nil {
		return "", err
	}
	o.env = append(o.env, "SOFTHSM2_CONF="+conf)
	for _, args := range [][]string{
		{util, "--init-token", "--free", "--label", label, "--so-pin", "12345678", "--pin", pin},
		{tool, "--module", module, "--token-label", label, "--login", "--pin", pin, "--keypairgen", "--key-type", "EC:prime256v1", "--label=sallyport", "--id", "01"},
	} {
		cmd := exec.Command(args[0], args[1:]...)
		cmd.Env = append(os.Environ(), o.env...)
		if out, err := cmd.CombinedOutput(); err != nil {
			return "", fmt.Errorf("cannot make a token: %w\n%s", err, out)
		}
	}
	return "pkcs11:module=" + module + ";token=" + label + ";key=sallyport;env=SOFTHSM2_CONF", nil
}

// WriteMakers writes the certificates of makers of TPMs into a new folder of the
// office, as an authority keeps them.
func (o *Office) WriteMakers(name string, makers ...*tpmtest.Maker) (dir string, err error) {
	defer o.TB.Catch(&err)
	dir = filepath.Join(o.Dir, name)
	if err := os.Mkdir(dir, 0o755); err != nil {
		return "", err
	}
	for i, m := range makers {
		for j, c := range m.Authorities() {
			data := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})
			if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("maker-%d-%d.pem", i+1, j+1)), data, 0o644); err != nil {
				return "", err
			}
		}
	}
	return dir, nil
}
