package sandbox

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Check asks the kernel, through proc(5), whether every thread of the process
// pid has a seccomp filter, no_new_privs and no capability. It is the parent's
// own look, whatever the child says of itself; threads that start later
// inherit all of it.
func Check(pid int) error {
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", pid))
	if err != nil {
		return err
	}
	seen := 0
	for _, t := range tasks {
		b, err := os.ReadFile(t)
		if errors.Is(err, fs.ErrNotExist) {
			continue // this thread has ended
		}
		if err != nil {
			return fmt.Errorf("cannot check the confined process: %w", err)
		}
		if err := checkStatus(string(b)); err != nil {
			return err
		}
		seen++
	}
	if seen == 0 {
		return fmt.Errorf("cannot check the confined process: /proc shows no thread of process %d", pid)
	}
	return nil
}

// checkStatus checks one status file.
func checkStatus(status string) error {
	want := map[string]string{
		"Seccomp":    "2",
		"NoNewPrivs": "1",
		"CapInh":     "0000000000000000",
		"CapPrm":     "0000000000000000",
		"CapEff":     "0000000000000000",
		"CapAmb":     "0000000000000000",
	}
	for line := range strings.Lines(status) {
		key, value, _ := strings.Cut(line, ":")
		value = strings.TrimSpace(value)
		if w, ok := want[key]; ok {
			if value != w {
				return fmt.Errorf("the kernel shows %s: %s for the confined process, %s is required", key, value, w)
			}
			delete(want, key)
		}
	}
	if len(want) > 0 {
		return errors.New("the kernel does not show the state of the confined process")
	}
	return nil
}
