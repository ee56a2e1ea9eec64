package station

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"sallyport/internal/audit"
	"sallyport/internal/config"
	"sallyport/internal/durable"
	"sallyport/internal/ems"
	"sallyport/internal/floor"
	"sallyport/internal/strictjson"
	"sallyport/internal/tpm"
	"sallyport/internal/translog"
	"sallyport/internal/trust"
	"sallyport/internal/vault"
)

// Init makes a new station: keys and counter in the TPM, and the state folder.
// root is the authority's root document, which the station trusts from here on;
// an authority makes its own and passes nil. Init never touches a station that
// exists, neither in the folder nor in the TPM. One that was cut off (a power
// failure) is undone by the next call.
//
//	[TPM: vacant?] mkdir(state) lock write(init.unfinished) [TPM: keys, counter]
//	vault ems trust log write(station.json) remove(init.unfinished)
func Init(ctx context.Context, cfg *config.Config, opt Options, root []byte) (tpm.Identity, error) {
	id, err := initialise(ctx, cfg, opt, root)
	if err != nil {
		return tpm.Identity{}, fmt.Errorf("cannot initialise station %s: %w", cfg.Station.ID, err)
	}
	return id, nil
}

func initialise(ctx context.Context, cfg *config.Config, opt Options, root []byte) (tpm.Identity, error) {
	var none tpm.Identity
	if (root == nil) != (cfg.Station.Role == "authority") {
		return none, errors.New("an authority makes its own root; every other station needs the root document of its authority (--root FILE)")
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
	id, err := t.CreateIdentity(ctx)
	if err != nil {
		return none, err
	}
	if err := fillState(ctx, cfg, opt, t, id, root); err != nil {
		return none, err
	}
	return id, opt.FS.RemoveAll("station.init.end", filepath.Join(dir, unfinished))
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
	if err := ems.Create(filepath.Join(dir, emsFile)); err != nil {
		return err
	}
	if err := t.LoadIdentity(ctx, id); err != nil {
		return err
	}
	if root == nil {
		own, err := ownRoot(t)
		if err != nil {
			return err
		}
		root = own
	}
	if err := trust.CreateStore(filepath.Join(dir, trustDir), root, opt.FS); err != nil {
		return err
	}
	if err := firstEntries(ctx, cfg, opt, t, id); err != nil {
		return err
	}
	body, err := strictjson.Encode(identity{V: 1, ID: cfg.Station.ID, Role: cfg.Station.Role, Jurisdiction: cfg.Station.Jurisdiction, TPM: id})
	if err != nil {
		return err
	}
	return opt.FS.CreateFile("station.init.identity", filepath.Join(dir, identityFile), body, 0o600)
}

// firstEntries makes the audit log and writes how the station came to be.
func firstEntries(ctx context.Context, cfg *config.Config, opt Options, t *tpm.TPM, id tpm.Identity) error {
	path := filepath.Join(cfg.StateDir, logDir)
	origin := "sallyport/" + cfg.Station.Jurisdiction + "/" + cfg.Station.ID
	if err := translog.Create(path, origin, translog.Options{FS: opt.FS}); err != nil {
		return err
	}
	journal, err := translog.Open(path, translog.Options{FS: opt.FS})
	if err != nil {
		return err
	}
	defer journal.Close()
	rec, err := audit.Open(ctx, journal, t, audit.Options{})
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
	return floor.Create(filepath.Join(cfg.StateDir, floorFile), opt.FS, id.CounterStart, floor.Heights{LogSize: c.Size, LogRoot: hex.EncodeToString(c.Root[:])})
}
