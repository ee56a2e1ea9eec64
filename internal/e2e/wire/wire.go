// Package wire is what the end-to-end harness and its agent inside the guest say
// to each other: one JSON document a line over a virtio-serial port. Test code
// only. Both sides are ours and built together, so nothing here is checked as
// foreign input would be.
package wire

import "io/fs"

// Port is the name of the virtio-serial port.
const Port = "agent.0"

// Bounds of one message. What a command prints beyond MaxOutput is read and
// thrown away, so that the command does not block; a file beyond MaxFile is an
// error.
const (
	MaxOutput = 4 << 20
	MaxFile   = 16 << 20
	MaxLine   = 24 << 20
)

// Op names what the agent shall do.
type Op string

// The operations.
const (
	Run    Op = "run"    // Argv, Stdin, TimeoutMS -> Exit, Stdout, Stderr
	Cancel Op = "cancel" // Target: kills the command of that request
	Read   Op = "read"   // Path, Last -> Data
	Write  Op = "write"  // Path, Data, Mode
	List   Op = "list"   // Path -> Entries
)

// Request is one line to the agent. Requests are worked on at the same time;
// answers come in any order.
type Request struct {
	ID        uint64   `json:"id"`
	Op        Op       `json:"op"`
	Argv      []string `json:"argv,omitempty"`
	Stdin     []byte   `json:"stdin,omitempty"`
	TimeoutMS int64    `json:"timeout_ms,omitempty"`
	Target    uint64   `json:"target,omitempty"`
	Path      string   `json:"path,omitempty"`
	Last      int64    `json:"last,omitempty"` // only so many bytes, from the end; 0 for all
	Data      []byte   `json:"data,omitempty"`
	Mode      uint32   `json:"mode,omitempty"`
}

// Answer is one line from the agent. The one with ID 0 says that an agent has
// started and knows nothing of earlier requests.
type Answer struct {
	ID       uint64  `json:"id"`
	Error    string  `json:"error,omitempty"`
	NotExist bool    `json:"not_exist,omitempty"` // Error is that of a missing file
	Exit     int     `json:"exit,omitempty"`      // 128 + signal for a killed command, as a shell says it
	TimedOut bool    `json:"timed_out,omitempty"`
	Cut      bool    `json:"cut,omitempty"` // the command printed more than MaxOutput
	Stdout   []byte  `json:"stdout,omitempty"`
	Stderr   []byte  `json:"stderr,omitempty"`
	Data     []byte  `json:"data,omitempty"`
	Entries  []Entry `json:"entries,omitempty"`
}

// Entry is one entry of a folder in the guest.
type Entry struct {
	Name   string      `json:"name"`
	Mode   fs.FileMode `json:"mode"`
	Size   int64       `json:"size"`
	Target string      `json:"target,omitempty"` // of a symbolic link
}
