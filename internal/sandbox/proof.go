// Package sandbox locks a process down and proves it.
package sandbox

// Proof says which measures hold in a locked-down process. The child fills it
// in after it has tried, on every thread, what must fail; the parent adds the
// namespaces, which it knows from the kernel's answer to its own clone call.
type Proof struct {
	Landlock   int      // ABI version whose file-system rules are in force, at least 1
	Seccomp    bool     // the filter is in force on every thread
	NoNewPrivs bool     // on every thread
	NoCaps     bool     // every capability set is empty
	Denied     []string // system calls that were tried and failed as they must
	Namespaces []string // "user", "net", "pid", "mount", "ipc", "uts": those obtained
}
