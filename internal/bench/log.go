package main

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"sallyport/internal/audit"
	"sallyport/internal/tpm/attest"
	"sallyport/internal/tpm/tpmtest"
	"sallyport/internal/translog"
)

const (
	logOrigin = "sallyport/us/maple-county/bench"
	// sealedEvery is how many entries there are for each checkpoint.
	sealedEvery = 1000
	// logWrites is how often a single entry is made durable.
	logWrites = 1000

	wantedAppend  = 1 / 1.5 // of a bare loop of write and fdatasync
	wantedBatched = 2000    // entries a second
	wantedVerify  = 3 * time.Second
	wantedOpen    = 100 * time.Millisecond
)

// log measures the audit log: writing against a bare loop of write and fdatasync,
// and checking and opening a log of n entries.
func (b *bench) log(n int) (err error) {
	defer b.office.TB.Catch(&err)
	dir := b.office.TB.TempDir()
	defer os.RemoveAll(dir)
	if err := b.appends(dir); err != nil {
		return err
	}
	fmt.Printf("making a log of %d entries\n", n)
	id := filepath.Join(dir, "identity.json")
	sealed, unsealed := filepath.Join(dir, "sealed"), filepath.Join(dir, "unsealed")
	k := newKeys(b.office.TB)
	body, err := k.soft.Identity.Encode()
	if err == nil {
		err = os.WriteFile(id, body, 0o600)
	}
	if err == nil {
		err = makeLog(sealed, n, k, k)
	}
	if err == nil {
		err = makeLog(unsealed, n, nil, nil)
	}
	if err != nil {
		return err
	}
	return errors.Join(b.verifies(sealed, id, n), b.opens("open a log of %d entries", sealed, n, wantedOpen), b.opens("open a log of %d entries that are not sealed", unsealed, n, 0))
}

// appends makes single entries durable, beside a bare loop, and then batches.
func (b *bench) appends(dir string) error {
	l, err := newLog(filepath.Join(dir, "appends"), nil)
	if err != nil {
		return err
	}
	defer l.Close()
	f, err := os.Create(filepath.Join(dir, "bare"))
	if err != nil {
		return err
	}
	defer f.Close()
	var ours, theirs []time.Duration
	for i := range logWrites { // in turn: what else the disk does meets both
		entry, err := logEntry(int64(i))
		if err != nil {
			return err
		}
		started := time.Now()
		if _, err := l.Append(entry); err != nil {
			return err
		}
		ours = append(ours, time.Since(started))
		started = time.Now()
		if _, err = f.Write(entry); err == nil {
			err = unix.Fdatasync(int(f.Fd()))
		}
		if err != nil {
			return err
		}
		theirs = append(theirs, time.Since(started))
	}
	b.rows = append(b.rows, row{what: "append an entry, durably, p50", ours: median(ours), peer: "write + fdatasync", theirs: median(theirs), amount: 1, unit: "entries/s", wantedAt: wantedAppend})
	const batches, size = 50, 100
	x, y, err := b.both("append in batches", b.rounds, func() (time.Duration, error) {
		return batched(batches, size, l.Size, func(batch [][]byte) error {
			_, err := l.Append(batch...)
			return err
		})
	}, func() (time.Duration, error) {
		return batched(batches, size, l.Size, func(batch [][]byte) error {
			if _, err := f.Write(slices.Concat(batch...)); err != nil {
				return err
			}
			return unix.Fdatasync(int(f.Fd()))
		})
	})
	if err != nil {
		return err
	}
	b.rows = append(b.rows, row{what: fmt.Sprintf("append in batches of %d, durably", size), ours: x, peer: "write + fdatasync", theirs: y, amount: batches * size, unit: "entries/s", wantedRate: wantedBatched})
	return nil
}

// batched hands out batches of entries that follow what is there.
func batched(batches, size int, next func() int64, write func([][]byte) error) (spent time.Duration, err error) {
	for range batches {
		batch := make([][]byte, size)
		for i := range batch {
			if batch[i], err = logEntry(next() + int64(i)); err != nil {
				return 0, err
			}
		}
		started := time.Now()
		if err := write(batch); err != nil {
			return 0, err
		}
		spent += time.Since(started)
	}
	return spent, nil
}

// verifies runs the independent checker over a log.
func (b *bench) verifies(dir, identity string, n int) error {
	ours, theirs, err := b.both(fmt.Sprintf("verify %d entries", n), b.rounds, func() (time.Duration, error) {
		cmd := exec.Command(filepath.Join(b.office.Bin, "sallyport-verify"), "log", dir, "--identity", identity)
		started := time.Now()
		out, err := cmd.CombinedOutput()
		spent := time.Since(started)
		if err != nil || !strings.Contains(string(out), fmt.Sprintf("all %d sealed entries", n)) {
			return 0, fmt.Errorf("%w: %.500s", err, out)
		}
		b.checker = max(b.checker, peakOfEnded(cmd))
		return spent, nil
	}, func() (time.Duration, error) {
		started := time.Now()
		out, err := exec.Command("bash", "-c", `sha256sum "$1"/*`, "peer", dir).CombinedOutput()
		if err != nil {
			return 0, fmt.Errorf("%w: %.500s", err, out)
		}
		return time.Since(started), nil
	})
	if err != nil {
		return err
	}
	b.rows = append(b.rows, row{what: fmt.Sprintf("verify a log of %d entries", n), ours: ours, peer: "sha256sum of its files", theirs: theirs, amount: float64(n), unit: "entries/s", wantedRate: 1e6 / wantedVerify.Seconds()})
	return nil
}

// opens opens a log in a process of its own, whose memory is its alone.
func (b *bench) opens(what, dir string, n int, wanted time.Duration) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	var all []time.Duration
	for range b.rounds {
		cmd := exec.Command(self)
		cmd.Env = append(os.Environ(), openOrder+"="+dir)
		out, err := cmd.CombinedOutput()
		spent, perr := time.ParseDuration(strings.TrimSpace(string(out)))
		if err != nil || perr != nil {
			return fmt.Errorf("cannot open the log: %w: %.500s", errors.Join(err, perr), out)
		}
		all = append(all, spent)
		b.opener = max(b.opener, peakOfEnded(cmd))
	}
	r := row{what: fmt.Sprintf(what, n), ours: median(all), amount: float64(n), unit: "entries/s"}
	if wanted > 0 {
		r.wantedRate = 1e6 / wanted.Seconds()
	}
	b.rows = append(b.rows, r)
	return nil
}

// openOrder is the environment variable that makes this program open the log in a
// folder, for reading and for writing, and print the time that the latter took.
const openOrder = "SALLYPORT_BENCH_OPEN"

func openLog(dir string) error {
	l, err := translog.Open(dir, translog.Options{ReadOnly: true})
	if err == nil {
		err = l.Close()
	}
	if err != nil {
		return err
	}
	started := time.Now()
	if l, err = translog.Open(dir, translog.Options{}); err != nil {
		return err
	}
	fmt.Println(time.Since(started))
	return l.Close()
}

// peakOfEnded is the highest resident memory of a program that has ended, in bytes.
func peakOfEnded(cmd *exec.Cmd) int64 {
	if u, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
		return u.Maxrss << 10
	}
	return 0
}

func newLog(dir string, anchor translog.Anchorer) (*translog.Log, error) {
	if err := translog.Create(dir, logOrigin, translog.Options{}); err != nil {
		return nil, err
	}
	return translog.Open(dir, translog.Options{Anchor: anchor})
}

// makeLog makes a log of n entries, sealed and anchored unless k is nil.
func makeLog(dir string, n int, k *keys, anchor translog.Anchorer) error {
	if k == nil {
		anchor = nil
	}
	l, err := newLog(dir, anchor)
	if err != nil {
		return err
	}
	defer l.Close()
	for int(l.Size()) < n {
		batch := make([][]byte, min(sealedEvery, n-int(l.Size())))
		for i := range batch {
			if batch[i], err = logEntry(l.Size() + int64(i)); err != nil {
				return err
			}
		}
		if _, err := l.Append(batch...); err != nil {
			return err
		}
		if k == nil {
			continue
		}
		if _, err := l.Checkpoint(context.Background(), k); err != nil {
			return err
		}
	}
	return nil
}

// logEntry is entry i of a log in which packages are verified and staged.
func logEntry(i int64) ([]byte, error) {
	e := audit.Entry{Seq: i, Boot: "11111111-2222-3333-4444-555555555555", MonoUS: i * 1000,
		Wall: time.UnixMicro(1_793_000_000_000_000 + i*1000).UTC().Format("2006-01-02T15:04:05.000000Z"), WallTrusted: true,
		Subject: audit.Subject{Medium: fmt.Sprintf("%016x", i/4), Package: fmt.Sprintf("%032x", i/4)}}
	switch {
	case i == 0:
		e.Event, e.Phase, e.Subject = audit.LogOpened, audit.PhaseEvent, audit.Subject{}
		e.Fields = map[string]string{"entries": "0", "sealed": "0", "open_intents": "none", "wall_floor": "none"}
	case i%4 == 1:
		e.Event, e.Phase, e.Outcome = audit.PackageVerify, audit.PhaseEvent, audit.Success
		e.Fields = map[string]string{"kind": "cvr-export", "files": "3", "bytes": "123456", "trust_version": "7", "stream": "cvr-export/ems-1"}
	case i%4 == 2:
		e.Event, e.Phase = audit.PackageStage, audit.PhaseIntent
	case i%4 == 3:
		e.Event, e.Phase, e.Ref, e.Outcome = audit.PackageStage, audit.PhaseOutcome, i-1, audit.Success
		e.Fields = map[string]string{"files": "3", "bytes": "123456", "digest": fmt.Sprintf("%064x", i), "duration_ms": "1234"}
	default:
		e.Event, e.Phase, e.Outcome = audit.MediumVerdict, audit.PhaseEvent, audit.Accepted
		e.Fields = map[string]string{"packages": "1", "accepted": "1", "held": "0"}
	}
	return e.Encode()
}

// keys are those of a TPM, in memory: what a TPM takes for a signature is
// measured where one signs.
type keys struct {
	tb      testing.TB
	soft    *tpmtest.Soft
	counter uint64
}

func newKeys(tb testing.TB) *keys { return &keys{tb: tb, soft: tpmtest.NewSoft(tb), counter: 1} }

// KeyID implements translog.Signer, as do Public and Sign.
func (k *keys) KeyID() string { return "" }

// Public is the log key.
func (k *keys) Public() *ecdsa.PublicKey { return &k.soft.Log.PublicKey }

// Sign signs a checkpoint.
func (k *keys) Sign(_ context.Context, digest [32]byte) ([]byte, error) {
	return k.soft.Log.Sign(nil, digest[:], crypto.SHA256)
}

// Anchor implements translog.Anchorer.
func (k *keys) Anchor(_ context.Context, note [32]byte) ([]byte, error) {
	k.counter++
	a := attest.Anchor{V: 1}
	a.Counter, a.CounterSig = k.soft.Attest(k.tb, k.soft.CounterStatement(k.counter, note))
	return a.Encode()
}
