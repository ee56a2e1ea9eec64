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
	"slices"

	"github.com/alecthomas/kong"
	"github.com/rs/zerolog"

	"sallyport/internal/config"
	"sallyport/internal/control"
	"sallyport/internal/limit"
	"sallyport/internal/reader"
	"sallyport/internal/station"
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

// defaultConfig is where an installed station has its configuration.
const defaultConfig = "/etc/sallyport/sallyport.toml"

// commands is the whole grammar; its tags are the help texts.
type commands struct {
	Config string `help:"The station's configuration file." default:"${config}" env:"SALLYPORT_CONFIG" placeholder:"FILE" short:"c"`
	JSON   bool   `help:"Print one JSON document instead of text."`

	Init       initCmd       `cmd:"" help:"Make this machine a station: keys in the TPM, state folder, first log entries."`
	Status     statusCmd     `cmd:"" help:"Say who this station is and whether it can take media now."`
	Watch      watchCmd      `cmd:"" help:"Show the USB ports live: what is inserted, how far it is, the verdict, and when to take it out."`
	Intake     intakeCmd     `cmd:"" help:"Take a medium: read it once, verify it, admit or hold it."`
	Inspect    inspectCmd    `cmd:"" help:"List any medium through the confined reader; needs no station, TPM or trust."`
	Seal       sealCmd       `cmd:"" help:"Seal files into a signed package: a folder, an image or a whole medium."`
	SealAgain  sealAgainCmd  `cmd:"" help:"Write a sealed package once more, when its first copy was lost."`
	Media      mediaCmd      `cmd:"" help:"The register of media: who has which medium, under which seal."`
	Slip       slipCmd       `cmd:"" help:"Print what became of a medium, with a checkpoint of the audit log as a QR code."`
	Quarantine quarantineCmd `cmd:"" help:"What is held, and why."`
	Log        logCmd        `cmd:"" help:"The audit log."`
	Trust      trustCmd      `cmd:"" help:"Who may sign what: the trust bundle of the election authority."`
	Station    stationCmd    `cmd:"" help:"This station's enrolment and its boot state."`
	Authority  authorityCmd  `cmd:"" help:"The desk of the election authority."`
	EMS        emsCmd        `cmd:"" name:"ems" help:"The election core: elections, their tally, and what people decide about results."`
	Version    versionCmd    `cmd:"" help:"Print the version."`
}

// exits is the part of every help that carries the exit statuses.
const exits = `Exit status: 0 accepted or done, 1 failed, 2 usage (also: no such item), 3 held, 4 refused by device policy, 5 could not be checked (also: the station is not ready).`

const epilogue = exits + `

With --json a command prints exactly one JSON document on its standard output, also when it fails: {"error":{"code":"usage","message":"…"}}. The code is usage, not-found, denied, unavailable, internal, interrupted, failed, a reason of a verdict, or one of polls-open, transition, two-people and stale (of the election core).

Ctrl-C ends the command and never the daemon: a medium that sallyportd reads gets its verdict all the same. Without a daemon the command opens the station itself, and Ctrl-C ends the reading in order: the medium is held as interrupted.

A first walk: 'make demo' in the source tree makes an office of stations, seals packages and takes a dozen media, good and bad. Then look at 'sallyport inspect IMAGE'.`

// app is what every command works with.
type app struct {
	ctx      context.Context
	cmd      *commands
	out, err io.Writer
}

// Main runs one command and returns the exit status.
func Main(ctx context.Context, args []string, out, errOut io.Writer) int {
	cmd := &commands{}
	status := -1
	parser, err := kong.New(cmd, kong.Name("sallyport"), kong.Description("The controlled door of an election office.\n\n"+epilogue),
		kong.Vars{"kinds": station.KindNames(), "config": defaultConfig, "eventlog": eventLogPath}, kong.Writers(out, errOut), kong.Exit(func(s int) {
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
	a := &app{ctx: ctx, cmd: cmd, out: out, err: errOut}
	if err != nil {
		cmd.JSON = cmd.JSON || slices.Contains(args, "--json") // the flag may stand behind the mistake
		return a.finish(misused(err))
	}
	return a.finish(parsed.Run(a))
}

// misused says what is wrong with a command line and which help tells more.
func misused(err error) error {
	help := "sallyport"
	var p *kong.ParseError
	if errors.As(err, &p) && p.Context.Selected() != nil {
		help = p.Context.Selected().FullPath()
	}
	return control.Failf(control.CodeUsage, "%s; see '%s --help'", err, help)
}

// readerConfig is what 'inspect' needs of a configuration; it works without one.
func (a *app) readerConfig() (reader.Config, error) {
	cfg, err := config.Load(a.cmd.Config)
	if err == nil {
		return station.ReaderConfig(cfg, zerolog.Nop()), nil
	}
	absent := errors.Is(err, os.ErrNotExist) || errors.Is(err, os.ErrPermission)
	if a.cmd.Config != defaultConfig || !absent {
		_, err := a.config()
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
