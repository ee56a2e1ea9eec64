// Package daemon is the program sallyportd around package station: flags, the log
// of operation, systemd. It decides nothing and parses nothing but its
// configuration, which package config reads strictly. It stands apart from the
// command line so that nothing which only people at a terminal need, such as keys
// in files, is linked into the daemon.
package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"time"

	"github.com/alecthomas/kong"
	"github.com/rs/zerolog"

	"sallyport/internal/config"
	"sallyport/internal/service"
	"sallyport/internal/station"
	"sallyport/internal/verdict"
)

// Exit statuses, those of the command line.
const (
	exitDone      = 0
	exitFailed    = 1
	exitUsage     = 2
	exitUnchecked = 5 // the station is not ready
)

// heapGoal is where the daemon's garbage collector works harder, in bytes. With
// it a package of 100,000 files peaks at 110 MiB of resident memory instead of
// 170; packages of few files stay far below.
const heapGoal = 80 << 20

// Main is the program sallyportd. It returns the exit status.
func Main(ctx context.Context, args []string, out, errOut io.Writer) int {
	var flags struct {
		Config string `help:"The station's configuration file." default:"/etc/sallyport/sallyport.toml" env:"SALLYPORT_CONFIG" placeholder:"FILE" short:"c"`
	}
	status := -1
	parser, err := kong.New(&flags, kong.Name("sallyportd"), kong.Description("The daemon of a Sallyport station. It takes media from USB ports, with sallyport-usbd, and through its control socket; 'sallyport' speaks to it."),
		kong.Writers(out, errOut), kong.Exit(func(s int) {
			if status < 0 {
				status = s
			}
		}))
	if err != nil {
		fmt.Fprintln(errOut, "sallyportd:", err)
		return exitFailed
	}
	_, err = parser.Parse(args)
	if status >= 0 { // --help
		return status
	}
	if err != nil {
		fmt.Fprintf(errOut, "sallyportd: %v\n", err)
		return exitUsage
	}
	cfg, err := config.Load(flags.Config)
	if err != nil {
		fmt.Fprintf(errOut, "sallyportd: %v\n", err)
		return exitUsage
	}
	level, err := zerolog.ParseLevel(cfg.Log.Level)
	if err != nil {
		fmt.Fprintf(errOut, "sallyportd: %v\n", err)
		return exitUsage
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(heapGoal)
	}
	listener, err := service.Listener()
	if err != nil {
		fmt.Fprintf(errOut, "sallyportd: %v\n", err)
		return exitFailed
	}
	log := zerolog.New(errOut).Level(level).With().Timestamp().Logger()
	ready := func(does string) {
		if err := service.Ready(does); err != nil {
			log.Warn().Err(err).Msg("systemd does not hear")
		}
	}
	err = station.Run(ctx, cfg, station.Options{Log: log, Now: time.Now}, station.Host{Listener: listener, Ready: ready, Watch: service.Watch})
	if err == nil {
		return exitDone
	}
	log.Error().Err(err).Msg("stopped")
	if f, ok := verdict.Find(err); ok && f.Reason.Family() == verdict.Unchecked || errors.Is(err, station.ErrNotInitialised) {
		return exitUnchecked
	}
	return exitFailed
}
