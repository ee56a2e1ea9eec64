// Command sallyportd is the daemon of a station; see packages daemon and station.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"sallyport/internal/daemon"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // the second signal ends the process at once
	os.Exit(daemon.Main(ctx, os.Args[1:], os.Stdout, os.Stderr))
}
