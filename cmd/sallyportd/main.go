// Command sallyportd is the daemon of a station; see package station.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"sallyport/internal/cli"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // the second signal ends the process at once
	os.Exit(cli.Daemon(ctx, os.Args[1:], os.Stdout, os.Stderr))
}
