package testtool

import (
	"errors"

	"sallyport/internal/durable"
)

// ErrCrash is what a [Crash] fails with.
var ErrCrash = errors.New("crash")

// Crash fails one durable step, before or after its effect, as a power failure
// there would.
type Crash struct {
	At         int // the step, counted from 0 since Arm
	TookEffect bool
	Steps      int // that began since Arm
	armed      bool
}

// Arm begins to count.
func (c *Crash) Arm() { c.Steps, c.armed = 0, true }

// FS is the file system that fails.
func (c *Crash) FS() durable.FS {
	return durable.FS{Hook: func(_ string, done bool) error {
		if !c.armed || done != c.TookEffect {
			return nil
		}
		c.Steps++
		if c.Steps-1 == c.At {
			return ErrCrash
		}
		return nil
	}}
}
