// Package cli is the command line 'sallyport' for operators and
// administrators. Every command that concerns a station goes through the
// control socket; when no daemon runs, the command opens the station itself and
// speaks to it through the very same path. It decides nothing and shows foreign
// text only escaped.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/alecthomas/kong"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/rs/zerolog"

	"sallyport/internal/config"
	"sallyport/internal/control"
	"sallyport/internal/limit"
	"sallyport/internal/reader"
	"sallyport/internal/station"
	"sallyport/internal/verdict"
)

// Exit statuses of the command line.
const (
	ExitAccepted  = 0 // also: done
	ExitFailed    = 1 // the command itself failed
	ExitUsage     = 2
	ExitHeld      = 3
	ExitRefused   = 4
	ExitUnchecked = 5
)

// commands is the whole grammar; its tags are the help texts.
type commands struct {
	Config string `help:"The station's configuration file." default:"/etc/sallyport/sallyport.toml" env:"SALLYPORT_CONFIG" placeholder:"FILE" short:"c"`
	JSON   bool   `help:"Print one JSON document instead of text."`

	Init       initCmd       `cmd:"" help:"Make this machine a station: keys in the TPM, state folder, first log entries."`
	Status     statusCmd     `cmd:"" help:"Say who this station is and whether it can take media now."`
	Intake     intakeCmd     `cmd:"" help:"Take a medium (image file or block device): read it once, verify it, admit or hold it."`
	Inspect    inspectCmd    `cmd:"" help:"List any medium through the confined reader; needs no station, TPM or trust."`
	Seal       sealCmd       `cmd:"" help:"Seal files into a signed package folder, to be copied to a medium."`
	Quarantine quarantineCmd `cmd:"" help:"What is held, and why."`
	Log        logCmd        `cmd:"" help:"The audit log."`
	Trust      trustCmd      `cmd:"" help:"Who may sign what: the trust bundle of the election authority."`
	EMS        emsCmd        `cmd:"" name:"ems" help:"The election core: what was admitted, and its tally."`
	Version    versionCmd    `cmd:"" help:"Print the version."`
}

const epilogue = `Exit status: 0 accepted or done, 1 failed, 2 usage, 3 held (see 'sallyport quarantine list'), 4 refused without reading, 5 could not be checked.

A first walk: 'make demo' in the source tree makes three stations, seals packages and takes a dozen media, good and bad. Then look at 'sallyport inspect IMAGE'.`

// app is what every command works with.
type app struct {
	ctx      context.Context
	cmd      *commands
	out, err io.Writer
}

// exit is an error that carries an exit status and has been shown already.
type exit struct{ status int }

func (e exit) Error() string { return fmt.Sprintf("exit status %d", e.status) }

// Main runs one command and returns the exit status.
func Main(ctx context.Context, args []string, out, errOut io.Writer) int {
	cmd := &commands{}
	status := -1
	parser, err := kong.New(cmd, kong.Name("sallyport"), kong.Description("The controlled door of an election office.\n\n"+epilogue),
		kong.Vars{"kinds": station.KindNames()}, kong.Writers(out, errOut), kong.Exit(func(s int) {
			if status < 0 {
				status = s
			}
		}), kong.ConfigureHelp(kong.HelpOptions{Compact: true}))
	if err != nil {
		fmt.Fprintln(errOut, "sallyport:", err)
		return ExitFailed
	}
	parsed, err := parser.Parse(args)
	if status >= 0 { // --help
		return status
	}
	if err != nil {
		fmt.Fprintf(errOut, "sallyport: %v; 'sallyport --help' shows the commands\n", err)
		return ExitUsage
	}
	a := &app{ctx: ctx, cmd: cmd, out: out, err: errOut}
	return a.finish(parsed.Run(a))
}

// finish shows an error and maps it to an exit status.
func (a *app) finish(err error) int {
	var e exit
	var f *control.Failure
	switch {
	case err == nil:
		return ExitAccepted
	case errors.As(err, &e):
		return e.status
	case errors.As(err, &f):
		fmt.Fprintln(a.err, "sallyport:", f.Message)
		switch {
		case f.Code == control.CodeUsage || f.Code == control.CodeNotFound:
			return ExitUsage
		case verdict.Reason(f.Code).Family() == verdict.Unchecked || f.Code == control.CodeUnavailable:
			return ExitUnchecked
		}
		return ExitFailed
	}
	fmt.Fprintln(a.err, "sallyport:", err)
	if finding, ok := verdict.Find(err); ok {
		fmt.Fprintln(a.err, finding.Reason.NextStep())
		if finding.Reason.Family() == verdict.Unchecked {
			return ExitUnchecked
		}
	}
	return ExitFailed
}

// print shows a result: as JSON when asked for, else through text.
func (a *app) print(v any, text func(w io.Writer)) error {
	if !a.cmd.JSON {
		text(a.out)
		return nil
	}
	if err := json.MarshalWrite(a.out, v, json.Deterministic(true), jsontext.WithIndent("  ")); err != nil {
		return err
	}
	_, err := fmt.Fprintln(a.out)
	return err
}

func (a *app) config() (*config.Config, error) { return config.Load(a.cmd.Config) }

// do carries out one operation: through the daemon, or through the station
// opened here when no daemon runs.
func (a *app) do(op string, args any, medium *os.File, result any) error {
	cfg, err := a.config()
	if err != nil {
		return err
	}
	bar := newBar(a.err)
	defer bar.end()
	conn, err := control.Dial(cfg.Control.Socket)
	if err == nil {
		return control.Do(conn, op, args, medium, bar.show, result)
	}
	if !errors.Is(err, control.ErrNoDaemon) {
		return err
	}
	log := zerolog.New(zerolog.ConsoleWriter{Out: a.err, NoColor: true}).Level(zerolog.WarnLevel).With().Timestamp().Logger()
	st, err := station.Open(a.ctx, cfg, station.Options{Log: log})
	if err != nil {
		return err
	}
	server, client, err := control.Pair()
	if err != nil {
		return errors.Join(err, st.Close(a.ctx))
	}
	served := make(chan struct{})
	go func() {
		defer close(served)
		(&control.Server{Handler: st, Log: log}).ServeConn(a.ctx, server)
	}()
	err = control.Do(client, op, args, medium, bar.show, result)
	<-served
	return errors.Join(err, st.Close(context.WithoutCancel(a.ctx)))
}

// readerConfig is what 'inspect' needs of a configuration; it works without one.
func (a *app) readerConfig() (reader.Config, error) {
	cfg, err := a.config()
	if err == nil {
		return station.ReaderConfig(cfg, zerolog.Nop()), nil
	}
	if !errors.Is(err, os.ErrNotExist) {
		return reader.Config{}, err
	}
	exe, err := os.Executable()
	if err != nil {
		return reader.Config{}, err
	}
	return reader.Config{Binary: filepath.Join(filepath.Dir(exe), "sallyport-reader"), Limits: limit.Default(), Log: zerolog.Nop()}, nil
}

type versionCmd struct{}

func (versionCmd) Run(a *app) error {
	return a.print(map[string]string{"version": station.Version()}, func(w io.Writer) { fmt.Fprintln(w, "sallyport", station.Version()) })
}
