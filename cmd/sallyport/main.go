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
	// A verdict's exit status must not depend on who reads the output to its end:
	// writing to a closed pipe is an error that package cli knows, not a signal.
	signal.Ignore(syscall.SIGPIPE)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // the second signal ends the process at once
	os.Exit(cli.Main(ctx, os.Args[1:], os.Stdout, os.Stderr))
}
