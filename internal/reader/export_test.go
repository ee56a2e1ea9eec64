package reader

// PID returns the process number of the session's child.
func PID(s *Session) int { return s.child.pid() }
