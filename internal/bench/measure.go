package main

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"sallyport/internal/verdict"
)

// intake measures 'sallyport intake' of an image by a fresh EMS station with a
// running daemon, from the command's start to its end.
func (b *bench) intake(image string) (spent time.Duration, err error) {
	s, err := b.office.Join("ems-1", "ems", "")
	if err != nil {
		return 0, err
	}
	if err := s.StartDaemon(); err != nil {
		return 0, err
	}
	exec.Command("sync").Run() // what was written before is not ours to wait for
	stop := b.watch(s.DaemonPID())
	started := time.Now()
	report, status, err := s.Intake(image)
	spent = time.Since(started)
	stop()
	if err != nil {
		return 0, err
	}
	if report.Verdict != verdict.Accepted || status != 0 {
		return 0, fmt.Errorf("the verdict is %s, exit status %d: %v", report.Verdict, status, report.Packages)
	}
	err = s.StopDaemon()
	s.KillTPM()
	return spent, errors.Join(err, os.RemoveAll(s.File("state")))
}

// inspect measures 'sallyport inspect --hash': confined read and SHA-256.
func (b *bench) inspect(image string) (time.Duration, error) {
	started := time.Now()
	out, err := exec.Command(filepath.Join(b.office.Bin, "sallyport"), "inspect", "--hash", image).CombinedOutput()
	spent := time.Since(started)
	if err != nil {
		return 0, fmt.Errorf("%w: %.500s", err, out)
	}
	return spent, nil
}

// rawHash reads a file in one goroutine and hashes it in another: what two
// cores can do at best without a file system and a sandbox.
func rawHash(path string) (time.Duration, error) {
	started := time.Now()
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	free, full := make(chan []byte, 8), make(chan []byte, 8)
	for range 8 {
		free <- make([]byte, 1<<20)
	}
	failed := make(chan error, 1)
	go func() {
		defer close(full)
		for {
			buf := <-free
			n, err := f.Read(buf[:cap(buf)])
			if n > 0 {
				full <- buf[:n]
			}
			if err != nil {
				if !errors.Is(err, io.EOF) {
					failed <- err
				}
				return
			}
		}
	}()
	sum := sha256.New()
	for buf := range full {
		sum.Write(buf)
		free <- buf
	}
	select {
	case err := <-failed:
		return 0, err
	default:
		return time.Since(started), nil
	}
}

// watch notes the highest resident memory of the daemon and of its readers
// until the returned function is called.
func (b *bench) watch(pid int) (stop func()) {
	end, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for {
			b.core = max(b.core, peakOf(pid))
			b.noteReaders(pid)
			select {
			case <-end:
				return
			case <-tick.C:
			}
		}
	}()
	return func() { close(end); <-ended }
}

// noteReaders notes the highest resident memory of the readers that a process
// has now.
func (b *bench) noteReaders(pid int) {
	children, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, c := range children {
		list, _ := os.ReadFile(c)
		for _, child := range strings.Fields(string(list)) {
			if n, err := strconv.Atoi(child); err == nil {
				b.reader = max(b.reader, peakOf(n))
			}
		}
	}
}

// peakOf returns VmHWM of a process in bytes; 0 when it has gone. A child that
// has not executed its program yet still is its parent and does not count.
func peakOf(pid int) int64 {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil || !strings.HasPrefix(string(status), "Name:\tsallyport") {
		return 0
	}
	for line := range strings.Lines(string(status)) {
		if kb, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			n, _ := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(kb), " kB"), 10, 64)
			return n << 10
		}
	}
	return 0
}

// randomFile writes size bytes that no file system can compress.
func randomFile(path string, size int64) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	var seed [32]byte
	copy(seed[:], filepath.Base(path))
	_, err = io.CopyN(f, rand.NewChaCha8(seed), size)
	return errors.Join(err, f.Close())
}

// writeSums writes the SHA256SUMS of a sealed package's data into dir.
func writeSums(dir, folder string) (string, error) {
	name := filepath.Join(dir, "SHA256SUMS")
	out, err := os.Create(name)
	if err != nil {
		return "", err
	}
	w := bufio.NewWriter(out)
	sum := sha256.New()
	err = filepath.WalkDir(filepath.Join(folder, "data"), func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		f, err := os.Open(p)
		if err != nil {
			return err
		}
		defer f.Close()
		sum.Reset()
		if _, err := io.Copy(sum, f); err != nil {
			return err
		}
		rel, err := filepath.Rel(folder, p)
		fmt.Fprintf(w, "%s  %s\n", hex.EncodeToString(sum.Sum(nil)), rel)
		return err
	})
	return name, errors.Join(err, w.Flush(), out.Close())
}
