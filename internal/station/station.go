// Package station wires one station together: it owns the state folder and
// everything in it, opens the TPM, the floor, the vault, the trust store, the
// audit log and the EMS core in the order in which they depend on each other,
// answers the operations of the control socket, and runs the live USB side
// (package hotplug). It decides about no medium (that is package intake) and
// parses nothing foreign but the documents that an administrator hands to
// 'trust', which package trust decodes strictly.
package station

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"sallyport/internal/audit"
	"sallyport/internal/authority"
	"sallyport/internal/config"
	"sallyport/internal/durable"
	"sallyport/internal/ems"
	"sallyport/internal/floor"
	"sallyport/internal/gossip"
	"sallyport/internal/hotplug"
	"sallyport/internal/intake"
	"sallyport/internal/limit"
	"sallyport/internal/reader"
	"sallyport/internal/strictjson"
	"sallyport/internal/tpm"
	"sallyport/internal/tpm/attest"
	"sallyport/internal/translog"
	"sallyport/internal/trust"
	"sallyport/internal/vault"
	"sallyport/internal/verdict"
)

// Names in the state folder.
const (
	identityFile = "station.json" // written last by Init: with it the station exists
	unfinished   = "init.unfinished"
	logDir       = "log"
	vaultDir     = "vault"
	trustDir     = "trust"
	deskDir      = "authority"
	peersDir     = "peers"
	mediaDir     = "media"
	sealedDir    = "sealed"
	emsFile      = "ems.db"
	floorFile    = "floor.json"
)

// maxIdentity bounds station.json, in bytes.
const maxIdentity = 64 << 10

// identity is station.json: who this station is and which keys are its own.
type identity struct {
	V            int          `json:"v"`
	ID           string       `json:"id"`
	Role         string       `json:"role"`
	Jurisdiction string       `json:"jurisdiction"`
	TPM          tpm.Identity `json:"tpm"`
	MLDSA        secondKey    `json:"ml_dsa"`
}

// secondKey is the station's ML-DSA-65 key, which signs beside the TPM's where
// the trust bundle demands it.
type secondKey struct {
	Public     []byte `json:"public"`     // SubjectPublicKeyInfo, DER
	Sealed     []byte `json:"sealed"`     // its seed, sealed to the TPM
	Possession []byte `json:"possession"` // its signature over the TPM identity
}

// Options of [Open].
type Options struct {
	FS     durable.FS
	Log    zerolog.Logger
	Daemon bool // sallyportd, not the command line
	Now    func() time.Time
}

// Station is an open station. It is safe for concurrent use.
type Station struct {
	cfg      *config.Config
	opt      Options
	lock     *durable.Lock
	identity identity
	tpm      *tpm.TPM
	floor    *floor.Floor
	journal  *translog.Log
	audit    *audit.Recorder
	vault    *vault.Vault
	core     *ems.Core
	trust    *trust.Store
	desk     *authority.Desk // of an authority alone
	peers    *gossip.Book
	media    *mediaDesk
	// elections is what people decide about the elections in core.
	elections *electionDesk
	intake    *intake.Intake
	usb       *hotplug.Manager // runs in a daemon with live USB alone
	sealing   sync.Mutex       // one package or trust bundle at a time
	sandbox   error            // why media cannot be read here; nil after a trial
	started   time.Time
	// locked is why the station takes and seals nothing: its log is damaged, and is
	// never built upon. What there is can be read and exported.
	locked error

	// fatal receives the error that makes the daemon stop.
	fatal chan error
}

// ErrNotInitialised means that the state folder holds no station.
var ErrNotInitialised = errors.New("this station is not initialised: run 'sallyport init'")

// Open opens an initialised station, alone, and finishes what a stop left open.
func Open(ctx context.Context, cfg *config.Config, opt Options) (*Station, error) {
	if opt.Now == nil {
		opt.Now = time.Now
	}
	s := &Station{cfg: cfg, opt: opt, fatal: make(chan error, 1), started: opt.Now()}
	if err := s.open(ctx); err != nil {
		s.close()
		return nil, fmt.Errorf("cannot open station %s: %w", cfg.Station.ID, err)
	}
	return s, nil
}

func (s *Station) open(ctx context.Context) (err error) {
	dir := s.cfg.StateDir
	if s.identity, err = readIdentity(dir); err != nil {
		return err
	}
	if s.identity.ID != s.cfg.Station.ID || s.identity.Role != s.cfg.Station.Role || s.identity.Jurisdiction != s.cfg.Station.Jurisdiction {
		return fmt.Errorf("the configuration says station %s (%s, %s), the state folder belongs to station %s (%s, %s): correct [station] in the configuration",
			s.cfg.Station.ID, s.cfg.Station.Role, s.cfg.Station.Jurisdiction, s.identity.ID, s.identity.Role, s.identity.Jurisdiction)
	}
	if s.lock, err = durable.LockDir(dir); err != nil {
		return err
	}
	if s.tpm, err = openTPM(ctx, s.cfg); err != nil {
		return err
	}
	if err := s.tpm.LoadIdentity(ctx, s.identity.TPM); err != nil {
		return err
	}
	if s.floor, err = floor.Open(ctx, filepath.Join(dir, floorFile), s.opt.FS, s.tpm); err != nil {
		return s.wentBack(err)
	}
	if s.vault, err = vault.Open(filepath.Join(dir, vaultDir), vault.Options{FS: s.opt.FS, Reserve: s.cfg.Limits.ReserveBytes}); err != nil {
		return err
	}
	if s.trust, err = trust.OpenStore(filepath.Join(dir, trustDir), s.opt.FS); err != nil {
		return err
	}
	if s.peers, err = gossip.Open(filepath.Join(dir, peersDir), s.opt.FS); err != nil {
		return err
	}
	if err := s.approve(); err != nil {
		return err
	}
	if s.identity.Role == string(trust.Authority) {
		if s.desk, err = authority.Open(filepath.Join(dir, deskDir), s.opt.FS, s.trust, s.tpm, s.opt.Now); err != nil {
			return err
		}
	}
	if err := s.openLog(ctx); err != nil {
		if s.journal == nil || !errors.Is(err, translog.ErrTampered) {
			return err
		}
		s.locked = err
		s.opt.Log.Error().Err(err).Msg("the station is locked")
		return nil
	}
	if s.media, err = s.openMedia(ctx); err != nil {
		return err
	}
	if s.core, err = ems.Open(filepath.Join(dir, emsFile)); err != nil {
		return err
	}
	if s.elections, err = s.openElections(ctx); err != nil {
		return err
	}
	// A cut between the last two steps of Init leaves the marker behind, and with
	// it the right to destroy what is a station by now.
	if err := s.opt.FS.RemoveAll("station.open.marker", filepath.Join(dir, unfinished)); err != nil {
		return err
	}
	// station.start comes last: intake takes it as the sign that all before it is
	// settled.
	if s.intake, err = intake.New(ctx, s.intakeConfig()); err != nil {
		return s.wentBack(err)
	}
	if note := s.clockNote(); note != "" {
		s.opt.Log.Warn().Msg(note)
	}
	s.usb = &hotplug.Manager{Socket: s.cfg.USB.Socket, Intake: s.intake, Log: s.opt.Log}
	return s.logStart(ctx)
}

// wentBack says what to do about a state that is older than it was.
func (s *Station) wentBack(err error) error {
	if errors.Is(err, floor.ErrWentBack) || errors.Is(err, intake.ErrCoreWentBack) {
		return fmt.Errorf("the station must not work on: keep %s as it is; if a newer copy of it exists, put that back whole, else set the station up anew (internal/floor/FORMAT.md, Recovery): %w", s.cfg.StateDir, err)
	}
	return err
}

// heights are how far the station has come.
func (s *Station) heights() (floor.Heights, error) {
	c, _, ok := s.journal.LastCheckpoint()
	if !ok {
		return floor.Heights{}, errors.New("the audit log has no checkpoint")
	}
	admitted, err := s.vault.List(vault.Admitted)
	if err != nil {
		return floor.Heights{}, err
	}
	return floor.Heights{LogSize: c.Size, LogRoot: hex.EncodeToString(c.Root[:]), Root: s.rootVersion(), Trust: s.trustVersion(), Admitted: int64(len(admitted))}, nil
}

// raise records how far the station has come, and returns the counter's new value.
func (s *Station) raise(ctx context.Context) (uint64, error) {
	h, err := s.heights()
	if err != nil {
		return 0, err
	}
	return s.floor.Raise(ctx, h)
}

// checkpoint has the TPM sign the log; the checkpoint's anchor remembers how far
// the station has come.
func (s *Station) checkpoint(ctx context.Context) error { return s.audit.Checkpoint(ctx) }

// Anchor implements translog.Anchorer: the floor is raised to the checkpoint,
// which counts the TPM's counter up, and the TPM certifies the counter for it.
//
//	write(floor.json) NV_Increment NV_Certify
func (s *Station) Anchor(ctx context.Context, note [32]byte) ([]byte, error) {
	if _, err := s.raise(ctx); err != nil {
		return nil, err
	}
	return certifiedAnchor(ctx, s.tpm, note)
}

func certifiedAnchor(ctx context.Context, t *tpm.TPM, note [32]byte) ([]byte, error) {
	statement, sig, err := t.CounterCertify(ctx, note)
	if err != nil {
		return nil, err
	}
	return (&attest.Anchor{V: 1, Counter: statement, CounterSig: sig}).Encode()
}

// openLog opens the audit log for writing. A damaged one is never built upon,
// and nothing is recorded in a state that went back.
func (s *Station) openLog(ctx context.Context) (err error) {
	dir := filepath.Join(s.cfg.StateDir, logDir)
	if s.journal, err = translog.Open(dir, translog.Options{FS: s.opt.FS, Anchor: s}); err == nil {
		if err := s.checkFloor(); err != nil {
			return s.wentBack(err)
		}
		s.audit, err = audit.Open(ctx, s.journal, s.tpm.LogSigner(), audit.Options{})
	}
	if errors.Is(err, translog.ErrTampered) {
		return lockedBy(dir, err)
	}
	return err
}

// lockedBy says why a station is locked, and what to do.
func lockedBy(dir string, why error) error {
	return fmt.Errorf("the audit log is damaged, so the station is locked: it takes no medium and seals nothing; what it holds can be read. Keep the folder %s as it is and run 'sallyport-verify log' on it with this station's TPM identity: %w", dir, why)
}

// checkFloor holds log, trust bundle and store against what was recorded last.
func (s *Station) checkFloor() error {
	now, err := s.heights()
	if err != nil {
		return err
	}
	now.LogSize = s.journal.Size()
	return s.floor.Check(now, func(size int64) (string, error) {
		root, err := s.journal.RootAt(size)
		return hex.EncodeToString(root[:]), err
	})
}

// rootVersion is that of the trust root in force, 0 without one.
func (s *Station) rootVersion() int64 {
	if r := s.trust.Root(); r != nil {
		return r.Version
	}
	return 0
}

// trustVersion is that of the installed bundle, 0 without one.
func (s *Station) trustVersion() int64 {
	if t, err := s.trust.Current(); err == nil {
		return t.Version()
	}
	return 0
}

// approve lets the TPM use the signing key in the boot states that the installed
// bundle approves for it.
func (s *Station) approve() error {
	t, err := s.trust.Current()
	if err != nil || !s.tpm.Bound() {
		return nil // nothing to approve with, or nothing that needs it
	}
	return s.tpm.Approve(t.Approvals(s.tpm.KeyID()))
}

func (s *Station) intakeConfig() intake.Config {
	return intake.Config{
		Reader: ReaderConfig(s.cfg, s.opt.Log),
		Policy: s.policy, Trust: s.takeTrust, Peers: s.see,
		TPM: s.tpm, Audit: s.audit, Journal: s.journal, Vault: s.vault, Core: s.core,
		Seal: s.checkpoint, Register: s.media.forIntake(),
		QuarantineMax: s.cfg.Limits.QuarantineMaxBytes,
		Store:         filepath.Join(s.cfg.StateDir, vaultDir), Reserve: s.cfg.Limits.ReserveBytes,
		Now: s.opt.Now, Log: s.opt.Log,
	}
}

// ReaderConfig is how a station runs the confined reader.
func ReaderConfig(cfg *config.Config, log zerolog.Logger) reader.Config {
	limits := limit.Default()
	limits.Stall, limits.Total = cfg.Limits.Stall, cfg.Limits.Total
	return reader.Config{Binary: cfg.Reader, Limits: limits, Log: log}
}

// policy is what this station trusts at this moment.
func (s *Station) policy() (intake.Policy, error) {
	if s.trust.Root() == nil {
		return nil, verdict.New(verdict.TrustMissing, "", "this authority has no root yet")
	}
	return s.trust.Policy(trust.Self{StationID: s.identity.ID, Jurisdiction: s.identity.Jurisdiction, Elections: s.cfg.Station.Elections}), nil
}

func (s *Station) logStart(ctx context.Context) error {
	info := s.tpm.Info()
	clock, err := s.tpm.Clock(ctx)
	if err != nil {
		return err
	}
	counter, err := s.tpm.CounterRead(ctx)
	if err != nil {
		return err
	}
	start := map[string]string{
		"station_id": s.identity.ID, "role": s.identity.Role, "jurisdiction": s.identity.Jurisdiction, "key_id": s.tpm.KeyID(),
		"version": Version(), "production": strconv.FormatBool(s.cfg.Production), "pid": strconv.Itoa(os.Getpid()),
		"trust_version": strconv.FormatInt(s.trustVersion(), 10), "root_version": strconv.FormatInt(s.rootVersion(), 10),
	}
	if s.opt.Daemon { // not for each command, whose program is tens of megabytes too
		if start["program_sha256"], err = programSHA256(); err != nil {
			return err
		}
	}
	if err := s.audit.Event(ctx, audit.Event{ID: audit.StationStart, Fields: start}); err != nil {
		return err
	}
	if err := s.audit.Event(ctx, audit.Event{ID: audit.ConfigLoaded, Fields: map[string]string{
		"path": s.cfg.File, "sha256": hex.EncodeToString(s.cfg.SHA256[:]), "production": strconv.FormatBool(s.cfg.Production),
	}}); err != nil {
		return err
	}
	return s.audit.Event(ctx, audit.Event{ID: audit.TPMReady, Fields: map[string]string{
		"manufacturer": info.Manufacturer, "vendor": info.Vendor, "firmware": info.Firmware, "software": strconv.FormatBool(info.Software),
		"counter_value": strconv.FormatUint(counter, 10), "clock": strconv.FormatUint(clock.Milliseconds, 10),
		"resets": strconv.FormatUint(uint64(clock.ResetCount), 10), "restarts": strconv.FormatUint(uint64(clock.RestartCount), 10), "safe": strconv.FormatBool(clock.Safe),
	}})
}

// Close logs the stop, seals the log and releases everything.
func (s *Station) Close(ctx context.Context) error {
	if s.locked != nil {
		return s.close()
	}
	err := s.audit.Event(ctx, audit.Event{ID: audit.StationStop, Fields: map[string]string{
		"uptime_s": strconv.FormatInt(int64(s.opt.Now().Sub(s.started).Seconds()), 10),
	}})
	if err == nil {
		err = s.checkpoint(ctx)
	}
	return errors.Join(err, s.close())
}

// close releases what is open, in the reverse order of opening.
func (s *Station) close() error {
	var errs []error
	if s.core != nil {
		errs = append(errs, s.core.Close())
	}
	if s.vault != nil {
		errs = append(errs, s.vault.Close())
	}
	if s.journal != nil {
		errs = append(errs, s.journal.Close())
	}
	if s.tpm != nil {
		errs = append(errs, s.tpm.Close())
	}
	if s.lock != nil {
		errs = append(errs, s.lock.Close())
	}
	return errors.Join(errs...)
}

// Fatal delivers the error after which the station must stop.
func (s *Station) Fatal() <-chan error { return s.fatal }

// sealLog has the TPM sign a checkpoint after an operation that took effect.
// Without the TPM the entries are durable all the same and the next checkpoint
// covers them: the caller must learn of what was done, not of that.
func (s *Station) sealLog(ctx context.Context) error {
	err := s.checkpoint(context.WithoutCancel(ctx))
	if f, ok := verdict.Find(err); ok && f.Reason == verdict.TPMUnavailable {
		s.opt.Log.Error().Err(err).Msg("log not sealed")
		return nil
	}
	if err != nil {
		return s.die(err)
	}
	return nil
}

// die makes the error known to whoever runs the station, once, and logs it when
// the log still works.
func (s *Station) die(err error) error {
	_ = s.audit.Event(context.Background(), audit.Event{ID: audit.ErrorFatal, Fields: map[string]string{"error": err.Error()}})
	select {
	case s.fatal <- err:
	default:
	}
	return err
}

func openTPM(ctx context.Context, cfg *config.Config) (*tpm.TPM, error) {
	t, err := tpm.Open(ctx, cfg.TPM)
	if err != nil {
		return nil, err
	}
	if cfg.Production && t.Info().Software {
		t.Close()
		return nil, fmt.Errorf("the TPM at %s is a software TPM (%s), which can be copied and rolled back: production = true forbids it", cfg.TPM, t.Info().Manufacturer)
	}
	return t, nil
}

func readIdentity(dir string) (identity, error) {
	var id identity
	data, err := os.ReadFile(filepath.Join(dir, identityFile))
	if errors.Is(err, os.ErrNotExist) {
		return id, ErrNotInitialised
	}
	if err == nil {
		err = strictjson.DecodeCanonical(data, &id, maxIdentity)
	}
	if err != nil {
		return id, fmt.Errorf("cannot read %s: %w", identityFile, err)
	}
	return id, nil
}

// programSHA256 is that of the program that runs: which software it was, for
// whoever reads the log (VVSG 2.0, 15.1).
func programSHA256() (string, error) {
	f, err := os.Open("/proc/self/exe")
	if err != nil {
		return "", fmt.Errorf("cannot read the running program: %w", err)
	}
	defer f.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, f); err != nil {
		return "", fmt.Errorf("cannot read the running program: %w", err)
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

// Version is the program's version from its build information.
func Version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" {
		return "unknown"
	}
	return info.Main.Version
}
