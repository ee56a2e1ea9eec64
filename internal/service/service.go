// Package service is the conversation of a program with systemd: the listening
// socket that it is handed (sd_listen_fds(3)), and what it says of itself
// (sd_notify(3)). Without systemd there is no socket and nobody to tell, and
// all of it does nothing. What systemd puts into the environment is trusted.
package service

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"golang.org/x/sys/unix"
)

// firstFile is the descriptor of the first socket that systemd passes.
const firstFile = 3

// Listener returns the listening unix socket that systemd passed, nil when it
// passed none. More than one is an error. Call it once, before anything is
// started: the socket does not reach children.
func Listener() (*net.UnixListener, error) {
	pid, files := os.Getenv("LISTEN_PID"), os.Getenv("LISTEN_FDS")
	for _, name := range []string{"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"} {
		if err := os.Unsetenv(name); err != nil {
			return nil, err
		}
	}
	if pid != strconv.Itoa(os.Getpid()) || files == "" {
		return nil, nil
	}
	if files != "1" {
		return nil, fmt.Errorf("cannot take %s sockets from systemd: this program has one", files)
	}
	unix.CloseOnExec(firstFile)
	f := os.NewFile(firstFile, "socket of systemd")
	l, err := net.FileListener(f) // with a descriptor of its own
	if err := errors.Join(err, f.Close()); err != nil {
		return nil, fmt.Errorf("cannot take the socket of systemd: %w", err)
	}
	u, ok := l.(*net.UnixListener)
	if !ok {
		l.Close()
		return nil, errors.New("cannot take the socket of systemd: it is not a unix socket")
	}
	return u, nil
}

// Ready tells systemd that the program serves; status is for people who run
// 'systemctl status'.
func Ready(status string) error { return tell(daemon.SdNotifyReady + "\nSTATUS=" + status) }

// Status replaces the text for people.
func Status(status string) error { return tell("STATUS=" + status) }

// Stopping tells systemd that the program has begun to end.
func Stopping() error { return tell(daemon.SdNotifyStopping) }

func tell(what string) error {
	if _, err := daemon.SdNotify(false, what); err != nil {
		return fmt.Errorf("cannot tell systemd: %w", err)
	}
	return nil
}

// Interval is how often systemd's watchdog has to hear from the program, zero
// when it does not watch: half of the time after which it would end it.
func Interval() (time.Duration, error) {
	d, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		return 0, fmt.Errorf("cannot understand systemd's watchdog: %w", err)
	}
	return d / 2, nil
}

// Alive tells systemd's watchdog that the program is well.
func Alive() error { return tell(daemon.SdNotifyWatchdog) }

// Watch tells systemd's watchdog that the program is well as long as well
// returns in time without an error, until ctx ends. A program that does not
// answer for itself is ended by systemd, and started again.
func Watch(ctx context.Context, well func(context.Context) error) error {
	every, err := Interval()
	if err != nil || every == 0 {
		return err
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if well(ctx) == nil {
			if err := Alive(); err != nil {
				return err
			}
		}
	}
}
