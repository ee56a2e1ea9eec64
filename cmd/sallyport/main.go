// Command sallyport is the command line for operators and administrators of a
// station; see package cli.
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
	defer stop()
	os.Exit(cli.Main(ctx, os.Args[1:], os.Stdout, os.Stderr))
}
