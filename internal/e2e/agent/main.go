// Command agent runs inside the guest of the end-to-end tests as root and does
// what the harness asks over a virtio-serial port: run a command, read, write and
// list files. Test code only: it obeys whoever is at the other end of the port,
// and it is part of no product.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"sallyport/internal/e2e/wire"
)

func main() {
	// The port ends only with the machine, so each end is an error.
	fmt.Fprintln(os.Stderr, "agent:", serve())
	os.Exit(1)
}

// serve answers requests until the port fails.
func serve() error {
	port, err := open(30 * time.Second)
	if err != nil {
		return err
	}
	a := &agent{out: json.NewEncoder(port), running: map[uint64]func(){}}
	if err := a.answer(wire.Answer{}); err != nil {
		return err
	}
	lines := bufio.NewScanner(port)
	lines.Buffer(nil, wire.MaxLine)
	for lines.Scan() {
		var r wire.Request
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			return fmt.Errorf("cannot understand a request: %w", err)
		}
		go a.do(r)
	}
	return fmt.Errorf("the port has ended: %w", lines.Err())
}

// open finds the port by its name in sysfs and not by udev's link, so that the
// agent also answers in a guest whose udev does not work.
func open(bound time.Duration) (*os.File, error) {
	deadline := time.Now().Add(bound)
	for {
		names, err := filepath.Glob("/sys/class/virtio-ports/*/name")
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			text, err := os.ReadFile(name)
			if err != nil || strings.TrimSpace(string(text)) != wire.Port {
				continue
			}
			return os.OpenFile(filepath.Join("/dev", filepath.Base(filepath.Dir(name))), os.O_RDWR, 0)
		}
		if time.Now().After(deadline) {
			return nil, fmt.Errorf("no virtio-serial port %s after %v", wire.Port, bound)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// agent is the state that requests share.
type agent struct {
	mu      sync.Mutex
	out     *json.Encoder
	running map[uint64]func() // by request: kills its command
}

func (a *agent) answer(w wire.Answer) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.out.Encode(w)
}

// do works on one request and answers it.
func (a *agent) do(r wire.Request) {
	var w wire.Answer
	var err error
	switch r.Op {
	case wire.Run:
		w, err = a.run(r)
	case wire.Cancel:
		a.cancel(r.Target)
	case wire.Read:
		w.Data, err = read(r.Path, r.Last)
	case wire.Write:
		err = write(r.Path, r.Data, os.FileMode(r.Mode))
	case wire.List:
		w.Entries, err = list(r.Path)
	default:
		err = fmt.Errorf("unknown operation %q", r.Op)
	}
	w.ID = r.ID
	if err != nil {
		w.Error, w.NotExist = err.Error(), os.IsNotExist(err)
	}
	if err := a.answer(w); err != nil {
		fmt.Fprintln(os.Stderr, "agent: cannot answer:", err)
		os.Exit(1)
	}
}
