// Command sallyport-usbd is the privileged process of a station: it denies USB
// devices by default and gives allowed media to sallyportd; see package usbd.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"sallyport/internal/usbd"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // the second signal ends the process at once
	os.Exit(usbd.Main(ctx, os.Args[1:], os.Stdout, os.Stderr))
}
