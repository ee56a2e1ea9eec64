package usbd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/user"
	"strconv"
	"time"

	"github.com/alecthomas/kong"
	"github.com/rs/zerolog"
	"golang.org/x/sys/unix"

	"sallyport/internal/config"
	"sallyport/internal/service"
	"sallyport/internal/uevent"
	"sallyport/internal/usb"
	"sallyport/internal/usb/link"
)

// Exit statuses.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2
)

// Main is the program sallyport-usbd. It returns the exit status.
func Main(ctx context.Context, args []string, out, errOut io.Writer) int {
	var flags struct {
		Config string `help:"The station's configuration file." default:"/etc/sallyport/sallyport.toml" env:"SALLYPORT_CONFIG" placeholder:"FILE" short:"c"`
	}
	status := -1
	parser, err := kong.New(&flags, kong.Name("sallyport-usbd"), kong.Description("Denies USB devices by default and gives allowed media to sallyportd. Needs root."),
		kong.Writers(out, errOut), kong.Exit(func(s int) {
			if status < 0 {
				status = s
			}
		}))
	if err == nil {
		_, err = parser.Parse(args)
	}
	if status >= 0 { // --help
		return status
	}
	if err != nil {
		fmt.Fprintf(errOut, "sallyport-usbd: %v\n", err)
		return exitUsage
	}
	cfg, err := config.Load(flags.Config)
	if err != nil {
		fmt.Fprintf(errOut, "sallyport-usbd: %v\n", err)
		return exitUsage
	}
	level, err := zerolog.ParseLevel(cfg.Log.Level)
	if err != nil {
		fmt.Fprintf(errOut, "sallyport-usbd: %v\n", err)
		return exitUsage
	}
	log := zerolog.New(errOut).Level(level).With().Timestamp().Logger()
	if err := serve(ctx, cfg, log); err != nil {
		log.Error().Err(err).Msg("stopped")
		return exitFailed
	}
	return exitDone
}

// serve opens everything and runs the daemon: the subscription first, so that
// nothing comes unseen between the first look and the first event.
func serve(ctx context.Context, cfg *config.Config, log zerolog.Logger) (err error) {
	events, err := uevent.Listen()
	if err != nil {
		return err
	}
	defer events.Close()
	sys, err := usb.OpenSysfs("/sys")
	if err != nil {
		return err
	}
	defer sys.Close()
	k, err := openKernel("/sys", "/dev")
	if err != nil {
		return err
	}
	uid, err := userID(cfg.USB.User)
	if err != nil {
		return err
	}
	l, err := listen(cfg.USB.Socket, uid)
	if err != nil {
		return err
	}
	defer l.Close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	context.AfterFunc(ctx, func() { l.Close() })
	interval, err := service.Interval()
	if err != nil {
		return err
	}
	told := func(what string, err error) {
		if err != nil {
			log.Warn().Err(err).Msg(what)
		}
	}
	d := &Daemon{
		sys: sys, kernel: k, policy: cfg.USB.Policy(), events: events, calls: accept(ctx, l, uid, log), log: log, now: time.Now,
		interval: interval, alive: func() { told("watchdog", service.Alive()) },
		status: func(s string) { told("status", service.Ready(s)) },
	}
	if len(cfg.USB.Keyboard) == 0 {
		log.Warn().Msg("no port is configured for a keyboard: none will work")
	}
	err = d.run(ctx)
	told("stopping", service.Stopping())
	return err
}

// userID finds the user of sallyportd.
func userID(name string) (uint32, error) {
	u, err := user.Lookup(name)
	if err != nil {
		return 0, fmt.Errorf("cannot find the user of sallyportd (usb.user in the configuration): %w", err)
	}
	id, err := strconv.ParseUint(u.Uid, 10, 32)
	return uint32(id), err
}

// listen returns systemd's socket, or makes one that only the user may use.
func listen(path string, uid uint32) (*net.UnixListener, error) {
	l, err := service.Listener()
	if l != nil || err != nil {
		return l, err
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("cannot make the socket: %w", err)
	}
	old := unix.Umask(0o177)
	l, err = net.ListenUnix("unixpacket", &net.UnixAddr{Name: path, Net: "unixpacket"})
	unix.Umask(old)
	if err != nil {
		return nil, fmt.Errorf("cannot make the socket: %w", err)
	}
	if err := os.Chown(path, int(uid), -1); err != nil {
		return nil, errors.Join(fmt.Errorf("cannot give the socket to its user: %w", err), l.Close())
	}
	return l, nil
}

// accept passes on callers of the one user, and root.
func accept(ctx context.Context, l *net.UnixListener, uid uint32, log zerolog.Logger) <-chan *link.Conn {
	calls := make(chan *link.Conn)
	go func() {
		for {
			c, err := l.AcceptUnix()
			if ctx.Err() != nil {
				if err == nil {
					c.Close()
				}
				return
			}
			if err != nil {
				log.Warn().Err(err).Msg("accept failed")
				select { // too many open files and the like
				case <-time.After(100 * time.Millisecond):
				case <-ctx.Done():
				}
				continue
			}
			conn := link.New(c)
			who, err := conn.PeerUID()
			if err != nil || who != uid && who != 0 {
				log.Warn().Err(err).Uint32("uid", who).Msg("a caller was sent away")
				conn.Close()
				continue
			}
			select {
			case calls <- conn:
			case <-ctx.Done():
				conn.Close()
			}
		}
	}()
	return calls
}
