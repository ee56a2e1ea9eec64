// Command sallyport-reader is the confined reader of one medium. sallyportd
// starts it with a socket as descriptor 3, over which the device comes before the
// lockdown; it takes no arguments and is of no use otherwise. Everything that it
// does after its lockdown is done with foreign bytes.
package main

import (
	"os"

	"sallyport/internal/reader/child"
)

func main() { os.Exit(child.Main()) }
