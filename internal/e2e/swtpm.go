package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
)

// StartTPM starts the software TPM, if it does not run, with the state it had.
// On does that too. QEMU keeps to the TPM it started with: after KillTPM the guest
// has a TPM that fails until it is switched off and on.
func (g *Guest) StartTPM(ctx context.Context) error {
	g.tpmMu.Lock()
	defer g.tpmMu.Unlock()
	if g.tpm.alive() {
		return nil
	}
	if err := os.MkdirAll(g.o.TPMState, 0o700); err != nil {
		return fmt.Errorf("cannot make the folder of the TPM: %w", err)
	}
	socket := filepath.Join(g.dir, "swtpm")
	os.Remove(socket)
	var err error
	g.tpm, err = spawn(filepath.Join(g.dir, "swtpm.log"), "swtpm", "socket", "--tpm2",
		"--tpmstate", "dir="+g.o.TPMState, "--ctrl", "type=unixio,path="+socket, "--flags", "startup-clear")
	if err != nil {
		return err
	}
	// QEMU must be its first client, so the socket is looked for and not tried.
	ctx, cancel := bounded(ctx)
	defer cancel()
	err = poll(ctx, func() (again bool, err error) {
		if !g.tpm.alive() {
			return false, fmt.Errorf("swtpm has ended: %s", tail(g.tpm.log, 4<<10))
		}
		_, err = os.Stat(socket)
		return err != nil, err
	})
	if err != nil {
		return fmt.Errorf("cannot start the TPM: %w", err)
	}
	return nil
}

// KillTPM ends the software TPM at once, under a running guest too: each command of
// the guest then gets QEMU's answer of ten bytes with the tag of TPM 1.2, 00c4, and
// code 9. There is no way to let the TPM hang: the emulated machine would hang too.
func (g *Guest) KillTPM() {
	g.tpmMu.Lock()
	defer g.tpmMu.Unlock()
	g.tpm.kill()
	g.tpm = nil
}
