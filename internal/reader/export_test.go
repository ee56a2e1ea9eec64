package reader

import "time"

// PID returns the process number of the session's child.
func PID(s *Session) int { return s.child.pid() }

// Hurry shortens the wait for a killed child.
func Hurry(s *Session, d time.Duration) { s.child.patience = d }
