package cli

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

// heapGoal is where the daemon's garbage collector works harder, in bytes. With
// it a package of 100,000 files peaks at 110 MiB of resident memory instead of
// 170; packages of few files stay far below.
const heapGoal = 80 << 20

// Daemon is the program sallyportd: flags, log of operation, station.Run. It
// returns the exit status.
func Daemon(ctx context.Context, args []string, out, errOut io.Writer) int {
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
		return ExitFailed
	}
	_, err = parser.Parse(args)
	if status >= 0 { // --help
		return status
	}
	if err != nil {
		fmt.Fprintf(errOut, "sallyportd: %v\n", err)
		return ExitUsage
	}
	cfg, err := config.Load(flags.Config)
	if err != nil {
		fmt.Fprintf(errOut, "sallyportd: %v\n", err)
		return ExitUsage
	}
	level, err := zerolog.ParseLevel(cfg.Log.Level)
	if err != nil {
		fmt.Fprintf(errOut, "sallyportd: %v\n", err)
		return ExitUsage
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(heapGoal)
	}
	listener, err := service.Listener()
	if err != nil {
		fmt.Fprintf(errOut, "sallyportd: %v\n", err)
		return ExitFailed
	}
	log := zerolog.New(errOut).Level(level).With().Timestamp().Logger()
	ready := func() {
		if err := service.Ready("station " + cfg.Station.ID + " takes media"); err != nil {
			log.Warn().Err(err).Msg("systemd does not hear")
		}
	}
	err = station.Run(ctx, cfg, station.Options{Log: log, Now: time.Now}, station.Host{Listener: listener, Ready: ready, Watch: service.Watch})
	if err == nil {
		return ExitAccepted
	}
	log.Error().Err(err).Msg("stopped")
	if f, ok := verdict.Find(err); ok && f.Reason.Family() == verdict.Unchecked || errors.Is(err, station.ErrNotInitialised) {
		return ExitUnchecked
	}
	return ExitFailed
}
