package ems

import "time"

// SetClock makes a core believe that it is another time.
func (c *Core) SetClock(now func() time.Time) { c.now = now }
