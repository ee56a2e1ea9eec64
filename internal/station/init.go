package station

import (
	"context"
	"crypto/ecdsa"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"sallyport/internal/audit"
	"sallyport/internal/authority"
	"sallyport/internal/config"
	"sallyport/internal/custody"
	"sallyport/internal/dsse"
	"sallyport/internal/durable"
	"sallyport/internal/ems"
	"sallyport/internal/floor"
	"sallyport/internal/gossip"
	"sallyport/internal/strictjson"
	"sallyport/internal/tpm"
	"sallyport/internal/translog"
	"sallyport/internal/trust"
	"sallyport/internal/vault"
)

// Init makes a new station: keys and counter in the TPM, and the state folder.
// root is the authority's root document, which the station trusts from here on;
// an authority passes nil and gets its root at its desk. Init never touches a station that
// exists, neither in the folder nor in the TPM. One that was cut off (a power
// failure) is undone by the next call.
//
//	[TPM: vacant?] mkdir(state) lock write(init.unfinished) [TPM: keys, counter]
//	vault media ems trust log write(station.json) remove(init.unfinished)
func Init(ctx context.Context, cfg *config.Config, opt Options, root []byte) (tpm.Identity, error) {
	id, err := initialise(ctx, cfg, opt, root)
	if err != nil {
		return tpm.Identity{}, fmt.Errorf("cannot initialise station %s: %w", cfg.Station.ID, err)
	}
	return id, nil
}

func initialise(ctx context.Context, cfg *config.Config, opt Options, root []byte) (tpm.Identity, error) {
	var none tpm.Identity
	if (root == nil) != (cfg.Station.Role == string(trust.Authority)) {
		return none, errors.New("an authority makes its root later ('sallyport authority init'); every other station needs the root document of its authority (--root FILE)")
	}
	boot, err := bootKey(root)
	if err != nil {
		return none, err
	}
	dir := cfg.StateDir
	if _, err := os.Stat(filepath.Join(dir, identityFile)); err == nil {
		return none, fmt.Errorf("%s holds a station already", dir)
	}
	t, err := openTPM(ctx, cfg)
	if err != nil {
		return none, err
	}
	defer t.Close()
	if err := clearUnfinished(ctx, dir, t); err != nil {
		return none, err
	}
	// The marker gives the next Init the right to clear the TPM, so it must not
	// be there when the TPM belongs to a station whose state is elsewhere.
	if err := t.Vacant(ctx); err != nil {
		return none, err
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return none, err
	}
	if err := opt.FS.Mkdir("station.init.state", dir, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return none, err
	}
	if err := os.Chmod(dir, 0o700); err != nil { // one that was there already
		return none, err
	}
	lock, err := durable.LockDir(dir)
	if err != nil {
		return none, err
	}
	defer lock.Close()
	if err := opt.FS.CreateFile("station.init.begin", filepath.Join(dir, unfinished), nil, 0o600); err != nil {
		return none, err
	}
	id, err := t.CreateIdentity(ctx, boot)
	if err != nil {
		return none, err
	}
	if err := fillState(ctx, cfg, opt, t, id, root); err != nil {
		return none, err
	}
	return id, opt.FS.RemoveAll("station.init.end", filepath.Join(dir, unfinished))
}

// bootKey is the key that approves boot states under a root; nil for none. An
// authority's own key is bound to nothing: nobody could approve its first state.
func bootKey(root []byte) (*ecdsa.PublicKey, error) {
	if root == nil {
		return nil, nil
	}
	r, err := trust.ParseRoot(root)
	if err != nil {
		return nil, err
	}
	return r.BootPublic()
}

// clearUnfinished undoes an Init that did not come to its end. The marker file
// says that nothing but Init ever wrote to the folder and to the TPM's handles.
func clearUnfinished(ctx context.Context, dir string, t *tpm.TPM) error {
	if _, err := os.Stat(dir); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	left, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	foreign, begun := false, false
	for _, e := range left {
		switch e.Name() {
		case unfinished:
			begun = true
		case unfinished + ".tmp", ".lock": // all that stands here before the marker
		default:
			foreign = true
		}
	}
	if foreign && !begun {
		return fmt.Errorf("%s is not empty and no station stands in it: choose another state_dir or empty it", dir)
	}
	lock, err := durable.LockDir(dir) // another Init may be at work
	if err != nil {
		return err
	}
	defer lock.Close()
	if begun {
		if err := t.RemoveIdentity(ctx); err != nil {
			return err
		}
	}
	// The folder itself may be the administrator's, in one that is not ours to
	// write. Its marker goes last.
	names := []string{}
	for _, e := range left {
		if e.Name() != unfinished && e.Name() != ".lock" {
			names = append(names, e.Name())
		}
	}
	for _, name := range append(names, unfinished, ".lock") {
		if err := os.RemoveAll(filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	return nil
}

func fillState(ctx context.Context, cfg *config.Config, opt Options, t *tpm.TPM, id tpm.Identity, root []byte) error {
	dir := cfg.StateDir
	if err := opt.FS.Mkdir("station.init.sealed", filepath.Join(dir, sealedDir), 0o700); err != nil {
		return err
	}
	if err := vault.Create(filepath.Join(dir, vaultDir), opt.FS); err != nil {
		return err
	}
	if err := custody.Create(filepath.Join(dir, mediaDir), opt.FS); err != nil {
		return err
	}
	if err := ems.Create(filepath.Join(dir, emsFile)); err != nil {
		return err
	}
	if err := t.LoadIdentity(ctx, id); err != nil {
		return err
	}
	if err := trust.CreateStore(filepath.Join(dir, trustDir), root, opt.FS); err != nil {
		return err
	}
	if cfg.Station.Role == string(trust.Authority) {
		if err := authority.Create(filepath.Join(dir, deskDir), opt.FS); err != nil {
			return err
		}
	}
	if err := gossip.Create(filepath.Join(dir, peersDir), opt.FS); err != nil {
		return err
	}
	second, err := newSecondKey(ctx, t, id)
	if err != nil {
		return err
	}
	if err := firstEntries(ctx, cfg, opt, t, id); err != nil {
		return err
	}
	body, err := strictjson.Encode(identity{V: 2, ID: cfg.Station.ID, Role: cfg.Station.Role, Jurisdiction: cfg.Station.Jurisdiction, TPM: id, MLDSA: second})
	if err != nil {
		return err
	}
	return opt.FS.CreateFile("station.init.identity", filepath.Join(dir, identityFile), body, 0o600)
}

// newSecondKey makes the station's ML-DSA-65 key. Its seed is sealed to the TPM
// in the boot states in which the signing key can be used; the TPM cannot sign
// with it, so while a package is sealed it stands in the daemon's memory.
func newSecondKey(ctx context.Context, t *tpm.TPM, id tpm.Identity) (k secondKey, err error) {
	var seed [32]byte
	rand.Read(seed[:]) // never fails (crypto/rand)
	signer, err := dsse.NewMLDSASigner(seed[:])
	if err != nil {
		return k, err
	}
	if k.Sealed, err = t.SealSecret(ctx, seed); err != nil {
		return k, err
	}
	k.Public = signer.PublicKey().SPKI()
	said, err := trust.Possession(id)
	if err != nil {
		return k, err
	}
	if err := said.Sign(ctx, signer); err != nil {
		return k, err
	}
	k.Possession = said.Signatures[0].Sig
	return k, nil
}

// firstEntries makes the audit log and writes how the station came to be.
func firstEntries(ctx context.Context, cfg *config.Config, opt Options, t *tpm.TPM, id tpm.Identity) error {
	path := filepath.Join(cfg.StateDir, logDir)
	origin := trust.LogOrigin(cfg.Station.Jurisdiction, cfg.Station.ID)
	if err := translog.Create(path, origin, translog.Options{FS: opt.FS}); err != nil {
		return err
	}
	journal, err := translog.Open(path, translog.Options{FS: opt.FS, Anchor: firstAnchors{t}})
	if err != nil {
		return err
	}
	defer journal.Close()
	rec, err := audit.Open(ctx, journal, t.LogSigner(), audit.Options{})
	if err != nil {
		return err
	}
	if err := rec.Event(ctx, audit.Event{ID: audit.StationInit, Fields: map[string]string{
		"station_id": cfg.Station.ID, "name": cfg.Station.Name, "role": cfg.Station.Role, "jurisdiction": cfg.Station.Jurisdiction,
		"key_id": id.KeyID, "counter": "0x" + strconv.FormatUint(uint64(id.Counter), 16), "origin": origin,
		"software_tpm": strconv.FormatBool(t.Info().Software), "version": Version(),
	}}); err != nil {
		return err
	}
	if err := rec.Checkpoint(ctx); err != nil {
		return err
	}
	c, _, _ := journal.LastCheckpoint()
	n, err := t.CounterRead(ctx)
	if err != nil {
		return err
	}
	return floor.Create(filepath.Join(cfg.StateDir, floorFile), opt.FS, int64(n), floor.Heights{LogSize: c.Size, LogRoot: hex.EncodeToString(c.Root[:])})
}

// firstAnchors anchor the log before there is a floor to raise.
type firstAnchors struct{ t *tpm.TPM }

// Anchor implements translog.Anchorer.
func (a firstAnchors) Anchor(ctx context.Context, note [32]byte) ([]byte, error) {
	if _, err := a.t.CounterIncrement(ctx); err != nil {
		return nil, err
	}
	return certifiedAnchor(ctx, a.t, note)
}
