// Package floor keeps a station's state from going back. What must not be lost
// (how far the log has come, which trust bundle is installed, how many packages
// were admitted) is written into one small file together with a number, and the
// counter in the station's TPM, which never goes back, says which number is the
// last. A state folder that was restored from a backup, as a whole or in part,
// is found at the next start.
//
// The file is the station's own and has no signature: whoever can write it can
// write the log as well. What he cannot do is make the TPM count back. Format
// and recovery are described in FORMAT.md.
package floor

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"sync"

	"sallyport/internal/durable"
	"sallyport/internal/strictjson"
)

// Heights are what must never be less than it was.
type Heights struct {
	LogSize  int64  `json:"log_size"`      // entries under the last checkpoint
	LogRoot  string `json:"log_root"`      // its tree hash in hex (RFC 6962)
	Root     int64  `json:"root_version"`  // of the trust root in force
	Trust    int64  `json:"trust_version"` // of the installed bundle
	Admitted int64  `json:"admitted"`      // packages in the store
}

// over returns the higher of each: two who raise at the same time may have looked
// in another order than they come.
func (h Heights) over(was Heights) Heights {
	if was.LogSize > h.LogSize {
		h.LogSize, h.LogRoot = was.LogSize, was.LogRoot
	}
	h.Root, h.Trust, h.Admitted = max(h.Root, was.Root), max(h.Trust, was.Trust), max(h.Admitted, was.Admitted)
	return h
}

// record is the file.
type record struct {
	V int   `json:"v"`
	N int64 `json:"n"` // of the counter, once it has been raised
	Heights
}

// Counter is the counter of the station's TPM.
type Counter interface {
	CounterRead(ctx context.Context) (uint64, error)
	// CounterIncrement returns the new value. After an error the counter may have
	// been incremented all the same.
	CounterIncrement(ctx context.Context) (uint64, error)
}

// ErrWentBack means that the state is older than the TPM remembers, or in part
// older than its own record.
var ErrWentBack = errors.New("the station's state went back")

// maxFile bounds the file in bytes, maxNumber the numbers in it.
const (
	maxFile   = 4 << 10
	maxNumber = 1<<53 - 1
)

// Floor is the open record. It is safe for concurrent use.
type Floor struct {
	path    string
	fs      durable.FS
	counter Counter

	mu   sync.Mutex
	last record
}

// Create writes the first record of a station, whose counter has the value n.
func Create(path string, fs durable.FS, n int64, h Heights) error {
	body, err := encode(record{V: 1, N: n, Heights: h})
	if err != nil {
		return err
	}
	return fs.CreateFile("floor.create", path, body, 0o600)
}

// Open reads the record and holds it against the counter. A raise that was cut
// off between its two steps is completed.
func Open(ctx context.Context, path string, fs durable.FS, counter Counter) (*Floor, error) {
	body, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("%w: its record %s is missing", ErrWentBack, path)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read the record of the station's state: %w", err)
	}
	f := &Floor{path: path, fs: fs, counter: counter}
	if err := strictjson.DecodeCanonical(body, &f.last, maxFile); err != nil {
		return nil, fmt.Errorf("cannot read the record of the station's state: %w", err)
	}
	if err := f.last.check(); err != nil {
		return nil, fmt.Errorf("cannot read the record of the station's state: %w", err)
	}
	n, err := f.read(ctx)
	if err != nil {
		return nil, err
	}
	switch {
	case n == f.last.N:
		return f, nil
	case n == f.last.N-1: // stored, and not counted yet
		_, err := counter.CounterIncrement(ctx)
		return f, err
	case n > f.last.N:
		return nil, fmt.Errorf("%w: its record is number %d and the TPM counts %d, so it was restored from an older copy", ErrWentBack, f.last.N, n)
	}
	return nil, fmt.Errorf("%w: its record is number %d and the TPM counts only %d, so the TPM is not the one it was, or was put back", ErrWentBack, f.last.N, n)
}

// Heights returns what was recorded last.
func (f *Floor) Heights() Heights {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.last.Heights
}

// Check holds the state against the record. rootAt returns the log's tree hash
// in hex at an earlier size; LogSize is the size of the whole log.
func (f *Floor) Check(now Heights, rootAt func(size int64) (string, error)) error {
	was := f.Heights()
	switch {
	case now.LogSize < was.LogSize:
		return fmt.Errorf("%w: the log has %d entries, recorded are %d", ErrWentBack, now.LogSize, was.LogSize)
	case now.Root < was.Root:
		return fmt.Errorf("%w: trust root %d is in force, recorded is %d", ErrWentBack, now.Root, was.Root)
	case now.Trust < was.Trust:
		return fmt.Errorf("%w: trust bundle %d is installed, recorded is %d", ErrWentBack, now.Trust, was.Trust)
	case now.Admitted < was.Admitted:
		return fmt.Errorf("%w: the store has %d admitted packages, recorded are %d", ErrWentBack, now.Admitted, was.Admitted)
	}
	root, err := rootAt(was.LogSize)
	if err != nil {
		return err
	}
	if root != was.LogRoot {
		return fmt.Errorf("%w: the first %d entries of the log are other ones than recorded", ErrWentBack, was.LogSize)
	}
	return nil
}

// Raise records the heights and counts the TPM's counter up, in this order, and
// returns the counter's new value, which no other call ever returned or will
// return. When it fails between the two, the next [Open] or Raise goes on.
func (f *Floor) Raise(ctx context.Context, h Heights) (uint64, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n, err := f.read(ctx)
	if err != nil {
		return 0, err
	}
	if n != f.last.N && n != f.last.N-1 {
		return 0, fmt.Errorf("%w: its record is number %d and the TPM counts %d: somebody else used the counter", ErrWentBack, f.last.N, n)
	}
	next := record{V: 1, N: n + 1, Heights: h.over(f.last.Heights)}
	body, err := encode(next)
	if err != nil {
		return 0, err
	}
	if err := f.fs.WriteFile("floor.raise", f.path, body, 0o600); err != nil {
		return 0, fmt.Errorf("cannot record the station's state: %w", err)
	}
	f.last = next
	got, err := f.counter.CounterIncrement(ctx)
	if err != nil {
		return 0, err
	}
	if got != uint64(next.N) {
		return 0, fmt.Errorf("%w: the TPM counted to %d instead of %d: somebody else used the counter", ErrWentBack, got, next.N)
	}
	return got, nil
}

func (f *Floor) read(ctx context.Context) (int64, error) {
	n, err := f.counter.CounterRead(ctx)
	if err == nil && n > maxNumber {
		err = fmt.Errorf("cannot use the counter: it has come to %d", n)
	}
	return int64(n), err
}

func encode(r record) ([]byte, error) {
	if err := r.check(); err != nil {
		return nil, fmt.Errorf("cannot record the station's state: %w", err)
	}
	return strictjson.Encode(r)
}

func (r *record) check() error {
	for _, n := range []int64{r.N, r.LogSize, r.Root, r.Trust, r.Admitted} {
		if n < 0 || n > maxNumber {
			return fmt.Errorf("%d is out of range", n)
		}
	}
	if root, err := hex.DecodeString(r.LogRoot); r.V != 1 || err != nil || len(root) != 32 || hex.EncodeToString(root) != r.LogRoot {
		return fmt.Errorf("version %d with the log's hash %.80q is not readable", r.V, r.LogRoot)
	}
	return nil
}
