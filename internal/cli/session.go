package cli

import (
	"context"
	"errors"
	"net"
	"os"
	"time"

	"github.com/rs/zerolog"

	"sallyport/internal/config"
	"sallyport/internal/control"
	"sallyport/internal/station"
)

// session reaches one station for as many operations as a command needs:
// through the daemon, or through the station opened here when no daemon runs.
type session struct {
	app *app
	cfg *config.Config
	own *station.Station // nil when a daemon answers
	log zerolog.Logger
}

// connect finds the daemon or opens the station.
func (a *app) connect() (*session, error) {
	cfg, err := a.config()
	if err != nil {
		return nil, err
	}
	s := &session{app: a, cfg: cfg}
	conn, err := control.Dial(cfg.Control.Socket)
	switch {
	case err == nil:
		return s, conn.Close()
	case errors.Is(err, os.ErrPermission):
		return nil, control.Failf(control.CodeDenied, "your user (uid %d) may not use the control socket %s; ask the administrator to add you to control.operator_uids or operator_gids and to the socket's group", os.Getuid(), cfg.Control.Socket)
	case !errors.Is(err, control.ErrNoDaemon):
		return nil, control.Failf(control.CodeUnavailable, "%v", err)
	}
	s.log = zerolog.New(zerolog.ConsoleWriter{Out: a.err, NoColor: true}).Level(zerolog.WarnLevel).With().Timestamp().Logger()
	if s.own, err = station.Open(a.ctx, cfg, station.Options{Log: s.log, Now: time.Now}); errors.Is(err, os.ErrPermission) {
		return nil, control.Failf(control.CodeDenied, "no sallyportd answers on %s, and your user (uid %d) may not open the station itself: start sallyportd, or run this command as its user or as root (%v)", cfg.Control.Socket, os.Getuid(), err)
	}
	if err != nil {
		return nil, err
	}
	return s, nil
}

// close closes a station that was opened here.
func (s *session) close() error {
	if s.own == nil {
		return nil
	}
	return s.own.Close(context.WithoutCancel(s.app.ctx))
}

// do carries out one operation. An error of the way to the daemon, other than
// its own answer, is "unavailable".
func (s *session) do(op string, args any, medium *os.File, result any) error {
	bar := newBar(s.app.err)
	defer bar.end()
	if s.own != nil {
		return s.doHere(op, args, medium, bar, result)
	}
	conn, err := control.Dial(s.cfg.Control.Socket)
	if err != nil {
		return control.Failf(control.CodeUnavailable, "%v", err)
	}
	stop := context.AfterFunc(s.app.ctx, func() { conn.Close() })
	defer stop()
	err = control.Do(conn, op, args, medium, bar.show, result)
	var f *control.Failure
	switch {
	case err == nil || errors.As(err, &f):
		return err
	case s.app.ctx.Err() != nil:
		return s.app.interrupted("sallyportd goes on with what it was asked for; 'sallyport log show' tells how it ends.")
	}
	return control.Failf(control.CodeUnavailable, "%v", err)
}

// doHere is do through the station that was opened here. It waits for the
// station also when the command is interrupted: the station ends the operation
// in order, and its answer says how.
func (s *session) doHere(op string, args any, medium *os.File, bar *bar, result any) error {
	var server, client *net.UnixConn
	server, client, err := control.Pair()
	if err != nil {
		return err
	}
	served := make(chan struct{})
	go func() {
		defer close(served)
		(&control.Server{Handler: s.own, Log: s.log}).ServeConn(s.app.ctx, server)
	}()
	err = control.Do(client, op, args, medium, bar.show, result)
	<-served
	return err
}

// do is connect, one operation, close.
func (a *app) do(op string, args any, medium *os.File, result any) error {
	s, err := a.connect()
	if err != nil {
		return err
	}
	return errors.Join(s.do(op, args, medium, result), s.close())
}

// interrupted is the error of a command that was told to stop.
func (a *app) interrupted(what string) error {
	return control.Failf(codeInterrupted, "interrupted; %s", what)
}

// config loads the station's configuration.
func (a *app) config() (*config.Config, error) {
	cfg, err := config.Load(a.cmd.Config)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil, control.Failf(control.CodeUsage, "there is no configuration %s: name the station's with --config FILE or SALLYPORT_CONFIG; systemd/sallyport.toml in the source tree is an example", a.cmd.Config)
	case errors.Is(err, os.ErrPermission):
		return nil, control.Failf(control.CodeDenied, "%v: ask the administrator to let you read it", err)
	case err != nil:
		var c *config.Error
		if errors.As(err, &c) {
			return nil, err
		}
		return nil, control.Failf(control.CodeUsage, "%v", err)
	}
	return cfg, nil
}
