package station

import (
	"context"
	"crypto/ecdsa"
	"errors"
	"fmt"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"time"

	"sallyport/internal/audit"
	"sallyport/internal/config"
	"sallyport/internal/control"
	"sallyport/internal/durable"
	"sallyport/internal/reader"
	"sallyport/internal/translog"
)

// deviceMode is the file mode type of a block device.
const deviceMode = os.ModeDevice

// stopTime bounds the orderly end of a station, in which the TPM signs once more.
const stopTime = 15 * time.Second

// Host is what a daemon gets from whoever started it.
type Host struct {
	// Listener is the control socket, when it is there already; else the daemon
	// makes its own.
	Listener *net.UnixListener
	// Ready is called when callers can connect, with what the station does then.
	Ready func(does string)
	// Watch is called to answer, again and again until its context ends, for the
	// daemon being well: it calls its argument for that.
	Watch func(context.Context, func(context.Context) error) error
}

// Run is sallyportd: it opens the station, answers on the control socket and
// takes inserted media until ctx ends, and closes the station. It returns an
// error when the station must not go on.
func Run(ctx context.Context, cfg *config.Config, opt Options, host Host) error {
	opt.Daemon = true
	s, err := Open(ctx, cfg, opt)
	if err != nil {
		return err
	}
	// The intake asks again for each medium; this tells people before they insert one.
	if s.sandbox = reader.Try(ctx, ReaderConfig(cfg, opt.Log)); s.sandbox != nil {
		opt.Log.Error().Err(s.sandbox).Msg("the confined reader does not start")
	}
	if err := s.checkLog(ctx); err != nil {
		return errors.Join(err, s.stop())
	}
	access, err := access(&cfg.Control)
	listener := host.Listener
	if err == nil && listener == nil {
		listener, err = control.Listen(cfg.Control.Socket)
	}
	if err != nil {
		return errors.Join(err, s.stop())
	}
	serving, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	go func() {
		select {
		case err := <-s.Fatal():
			stop(err)
		case <-serving.Done():
		}
	}()
	var others sync.WaitGroup
	if cfg.USB.Live() && s.locked == nil {
		others.Go(func() {
			if err := s.usb.Run(serving); err != nil {
				_ = s.die(err)
			}
		})
	}
	others.Go(func() {
		if err := host.Watch(serving, s.well); err != nil {
			opt.Log.Warn().Err(err).Msg("nobody watches this daemon")
		}
	})
	server := &control.Server{Handler: s, Access: access, Denied: s.denied, Log: opt.Log}
	opt.Log.Info().Str("station", cfg.Station.ID).Str("socket", cfg.Control.Socket).Msg("ready")
	if s.locked != nil {
		host.Ready("station " + cfg.Station.ID + " is LOCKED: its audit log is damaged")
	} else {
		host.Ready("station " + cfg.Station.ID + " takes media")
	}
	err = server.Serve(serving, listener)
	cause := context.Cause(serving)
	stop(nil)
	others.Wait()
	if cause != nil && ctx.Err() == nil {
		err = errors.Join(err, cause)
	}
	return errors.Join(err, s.stop())
}

// checkLog reads the whole log as sallyport-verify does, which takes some three
// seconds for a million entries, and locks the station when a place of it, however
// old, is not what was recorded or cannot be read.
func (s *Station) checkLog(ctx context.Context) error {
	if s.locked != nil {
		return nil
	}
	dir := filepath.Join(s.cfg.StateDir, logDir)
	rep, err := audit.Verify(ctx, dir, translog.VerifyOptions{
		Keys: []*ecdsa.PublicKey{s.tpm.LogSigner().Public()}, Origin: s.journal.Origin(), Anchor: s.identity.TPM.CheckAnchor,
	})
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err == nil && rep.OK():
		return nil
	case err == nil && len(rep.Damage) > 0:
		err = &rep.Damage[0]
	case err == nil:
		err = errors.New("no checkpoint speaks for it")
	}
	s.locked = lockedBy(dir, err)
	s.opt.Log.Error().Err(err).Msg("the station is locked")
	return nil
}

// access says who may call. Groups that the system does not know are an error:
// somebody would wait in vain for being let in.
func access(c *config.Control) (control.Access, error) {
	a := control.Access{UIDs: c.OperatorUIDs, GIDs: slices.Clone(c.OperatorGIDs)}
	for _, name := range c.OperatorGroups {
		g, err := user.LookupGroup(name)
		if err != nil {
			return a, fmt.Errorf("cannot find a group of operators (control.operator_groups in the configuration): %w", err)
		}
		gid, err := strconv.ParseUint(g.Gid, 10, 32)
		if err != nil {
			return a, fmt.Errorf("cannot understand the number of the group %s: %w", name, err)
		}
		a.GIDs = append(a.GIDs, uint32(gid))
	}
	return a, nil
}

// well says whether the station can still write its log and answers: what waits
// for a lock that is never given back ends here, and the daemon is started anew.
func (s *Station) well(context.Context) error {
	s.journal.Size()
	if s.usb != nil {
		s.usb.View()
	}
	_, err := durable.Free(s.cfg.StateDir)
	return err
}

func (s *Station) stop() error {
	ctx, cancel := context.WithTimeout(context.Background(), stopTime)
	defer cancel()
	return s.Close(ctx)
}

// denied records a caller that the socket turned away.
func (s *Station) denied(p control.Peer) {
	if s.locked != nil {
		s.opt.Log.Warn().Uint32("uid", p.UID).Msg("a caller was denied, which the locked log cannot take")
		return
	}
	if err := s.audit.Event(context.Background(), audit.Event{ID: audit.ControlDenied, Outcome: audit.Refused, Fields: map[string]string{
		"uid": strconv.FormatUint(uint64(p.UID), 10), "gid": strconv.FormatUint(uint64(p.GID), 10), "pid": strconv.Itoa(int(p.PID)), "count": strconv.FormatInt(int64(p.Denials), 10),
	}}); err != nil {
		_ = s.die(err)
	}
}
