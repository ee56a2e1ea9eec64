// Command sallyport-verify checks exported logs with nothing but public keys.
// It shares only the formats with the station whose log it checks.
package main

import (
	"context"
	"os"

	"sallyport/internal/verifycmd"
)

func main() {
	os.Exit(verifycmd.Main(context.Background(), os.Args[1:], os.Stdout, os.Stderr))
}
