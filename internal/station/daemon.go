package station

import (
	"context"
	"errors"
	"os"
	"strconv"
	"time"

	"sallyport/internal/audit"
	"sallyport/internal/config"
	"sallyport/internal/control"
)

// deviceMode is the file mode type of a block device.
const deviceMode = os.ModeDevice

// stopTime bounds the orderly end of a station, in which the TPM signs once more.
const stopTime = 15 * time.Second

// Run is sallyportd: it opens the station, answers on the control socket until
// ctx ends, and closes the station. ready is called when callers can connect.
// It returns an error when the station must not go on.
func Run(ctx context.Context, cfg *config.Config, opt Options, ready func()) error {
	opt.Daemon = true
	s, err := Open(ctx, cfg, opt)
	if err != nil {
		return err
	}
	listener, err := control.Listen(cfg.Control.Socket)
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
	server := &control.Server{Handler: s, Access: control.Access{UIDs: cfg.Control.OperatorUIDs, GIDs: cfg.Control.OperatorGIDs}, Denied: s.denied, Log: opt.Log}
	opt.Log.Info().Str("station", cfg.Station.ID).Str("socket", cfg.Control.Socket).Msg("ready")
	ready()
	err = server.Serve(serving, listener)
	if cause := context.Cause(serving); cause != nil && ctx.Err() == nil {
		err = errors.Join(err, cause)
	}
	return errors.Join(err, s.stop())
}

func (s *Station) stop() error {
	ctx, cancel := context.WithTimeout(context.Background(), stopTime)
	defer cancel()
	return s.Close(ctx)
}

// denied records a caller that the socket turned away.
func (s *Station) denied(p control.Peer) {
	if err := s.audit.Event(context.Background(), audit.Event{ID: audit.ControlDenied, Outcome: audit.Refused, Fields: map[string]string{
		"uid": strconv.FormatUint(uint64(p.UID), 10), "gid": strconv.FormatUint(uint64(p.GID), 10), "pid": strconv.Itoa(int(p.PID)), "count": strconv.FormatInt(int64(p.Denials), 10),
	}}); err != nil {
		_ = s.die(err)
	}
}
