package vault

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"

	"golang.org/x/sys/unix"

	"sallyport/internal/verdict"
)

// Item reads one item. Its methods may be called concurrently.
type Item struct {
	id   string
	head head

	mu       sync.Mutex
	dir      string
	decision *decision // nil while staged
	files    []Stored
	pack     *os.File
}

// loadItem reads and checks the small records; the entries of the index are
// read when they are asked for.
func loadItem(dir, id string, s State) (*Item, error) {
	it := &Item{id: id, dir: dir}
	f, err := it.open(indexFile)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b := make([]byte, headSize)
	n, err := io.ReadFull(f, b)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("cannot read the index of item %s: %w", id, err)
	}
	if it.head, err = decodeHead(b[:n]); err != nil {
		return nil, it.damaged(indexFile, err)
	}
	if it.head.id != id {
		return nil, it.damage(indexFile, 144, "it belongs to item %s", it.head.id)
	}
	if err := it.size(indexFile, headSize+it.head.entriesLen); err != nil {
		return nil, err
	}
	if err := it.size(packFile, it.head.pack); err != nil {
		return nil, err
	}
	if s == "" {
		return it, nil
	}
	return it, it.loadDecision(s)
}

func (it *Item) loadDecision(s State) error {
	b, err := it.read(decisionFile)
	if err != nil {
		return err
	}
	d, err := decodeDecision(b)
	if err != nil {
		return it.damaged(decisionFile, err)
	}
	if d.ID != it.id || d.Item != hex.EncodeToString(it.head.sum[:]) || d.State != s {
		return it.damage(decisionFile, 0, "it is the decision over another item or state (%s, %s)", d.ID, d.State)
	}
	it.decision = d
	return nil
}

func (it *Item) damage(file string, off int64, format string, args ...any) error {
	return &Damage{ID: it.id, File: file, Off: off, Problem: fmt.Sprintf(format, args...)}
}

func (it *Item) damaged(file string, err error) error {
	var at *offError
	if errors.As(err, &at) {
		return it.damage(file, at.off, "%s", at.problem)
	}
	return it.damage(file, 0, "%v", err)
}

// open opens a file of the item's folder. One that is missing is damage.
func (it *Item) open(file string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(it.dir, file), os.O_RDONLY|unix.O_NOFOLLOW, 0)
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, unix.ELOOP) {
		return nil, it.damage(file, 0, "the file is missing")
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read item %s: %w", it.id, err)
	}
	return f, nil
}

func (it *Item) size(file string, want int64) error {
	f, err := it.open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return fmt.Errorf("cannot read item %s: %w", it.id, err)
	}
	if !st.Mode().IsRegular() || st.Size() != want {
		return it.damage(file, min(st.Size(), want), "it has %d bytes, want %d", st.Size(), want)
	}
	return nil
}

// read returns a whole record of at most MaxRecord bytes.
func (it *Item) read(file string) ([]byte, error) {
	f, err := it.open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, MaxRecord+1))
	if err != nil {
		return nil, fmt.Errorf("cannot read %s of item %s: %w", file, it.id, err)
	}
	if len(b) > MaxRecord {
		return nil, it.damage(file, MaxRecord, "it is longer than %d bytes", MaxRecord)
	}
	return b, nil
}

func (it *Item) checked(file string, want [sha256.Size]byte) ([]byte, error) {
	it.mu.Lock()
	defer it.mu.Unlock()
	b, err := it.read(file)
	if err != nil {
		return nil, err
	}
	if sha256.Sum256(b) != want {
		return nil, it.damage(file, 0, "it does not match its SHA-256")
	}
	return b, nil
}

func (it *Item) moved(d *decision) {
	it.mu.Lock()
	defer it.mu.Unlock()
	it.decision = d
	it.dir = filepath.Join(filepath.Dir(filepath.Dir(it.dir)), string(d.State), it.id)
}

// ID returns the item's id.
func (it *Item) ID() string { return it.id }

// State returns Held, Admitted, or "" while the item is staged.
func (it *Item) State() State {
	if d := it.decided(); d != nil {
		return d.State
	}
	return ""
}

func (it *Item) decided() *decision {
	it.mu.Lock()
	defer it.mu.Unlock()
	return it.decision
}

// Reasons returns why the item is held.
func (it *Item) Reasons() []verdict.Finding {
	if d := it.decided(); d != nil {
		return d.Reasons
	}
	return nil
}

// Bytes returns how many bytes of content are stored.
func (it *Item) Bytes() int64 { return it.head.pack - blockSize }

// Cut says that the stage ended before its sources did: ErrPartial.
func (it *Item) Cut() bool { return it.head.cut }

// Count returns how many files are stored.
func (it *Item) Count() int { return int(it.head.count) }

// Digest returns the SHA-256 that fixes id, facts, record, and name, size and
// content of every file.
func (it *Item) Digest() [sha256.Size]byte { return it.head.sum }

// Facts returns what was given to Stage.
func (it *Item) Facts() ([]byte, error) { return it.checked(factsFile, it.head.facts) }

// Record returns what was given to Commit or Recover.
func (it *Item) Record() ([]byte, error) { return it.checked(recordFile, it.head.record) }

// Outcome returns what was given to Admit or Hold; nil while staged.
func (it *Item) Outcome() ([]byte, error) {
	d := it.decided()
	if d == nil {
		return nil, nil
	}
	var sum [sha256.Size]byte
	if n, err := hex.Decode(sum[:], []byte(d.Outcome)); err != nil || n != len(sum) {
		return nil, it.damage(decisionFile, 0, "outcome_sha256 is not a SHA-256")
	}
	return it.checked(outcomeFile, sum)
}

// Files returns the index in the order of AddFile; the caller must not change it.
func (it *Item) Files() ([]Stored, error) {
	it.mu.Lock()
	defer it.mu.Unlock()
	if it.files == nil && it.head.count > 0 {
		f, err := it.open(indexFile)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		files, err := decodeEntries(it.head, io.NewSectionReader(f, headSize, 1<<62))
		if err != nil {
			return nil, it.damaged(indexFile, err)
		}
		it.files = files
	}
	return it.files, nil
}

// content returns the pack opened for reading.
func (it *Item) content() (*os.File, error) {
	it.mu.Lock()
	defer it.mu.Unlock()
	if it.pack == nil {
		f, err := it.open(packFile)
		if err != nil {
			return nil, err
		}
		it.pack = f
	}
	return it.pack, nil
}

// Close closes the pack. Files opened from the item fail afterwards.
func (it *Item) Close() error {
	it.mu.Lock()
	defer it.mu.Unlock()
	if it.pack == nil {
		return nil
	}
	f := it.pack
	it.pack = nil
	return f.Close()
}

// Verify reads everything again, from the disk rather than from the page cache
// where the kernel allows, and returns a *Damage for the first record or file
// that is not what was stored.
func (it *Item) Verify() error {
	it.mu.Lock()
	dir := it.dir
	it.mu.Unlock()
	again, err := loadItem(dir, it.id, it.State())
	if err != nil {
		return err
	}
	if again.head.sum != it.head.sum {
		return it.damage(indexFile, 0, "the index is another one than before")
	}
	for _, record := range []func() ([]byte, error){again.Facts, again.Record, again.Outcome} {
		if _, err := record(); err != nil {
			return err
		}
	}
	files, err := again.Files()
	if err != nil {
		return err
	}
	f, err := again.open(packFile)
	if err != nil {
		return err
	}
	defer f.Close()
	// Advice may be ignored; the check is then only as good as the cache.
	_ = unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED)
	_ = unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_SEQUENTIAL)
	return it.verifyPack(f, files)
}

func (it *Item) verifyPack(r io.Reader, files []Stored) error {
	buf := make([]byte, 1<<20)
	if n, err := io.ReadFull(r, buf[:blockSize]); err != nil {
		return it.damage(packFile, int64(n), "it cannot be read: %v", err)
	}
	if string(buf[:blockSize]) != string(packHead(it.id)) {
		return it.damage(packFile, 0, "the head is not that of this item's pack")
	}
	h := sha256.New()
	for i := range files {
		f := &files[i]
		h.Reset()
		n, err := io.CopyBuffer(onlyWriter{h}, io.LimitReader(r, f.Size), buf)
		if err == nil && n < f.Size {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return &Damage{ID: it.id, File: packFile, Entry: f.Name, Off: f.Off + n, Problem: fmt.Sprintf("it cannot be read: %v", err)}
		}
		if [sha256.Size]byte(h.Sum(nil)) != f.SHA256 {
			return &Damage{ID: it.id, File: packFile, Entry: f.Name, Off: f.Off, Problem: fmt.Sprintf("file %d of %d bytes does not match its SHA-256", i, f.Size)}
		}
	}
	return nil
}

// onlyWriter hides what would keep io.CopyBuffer from using its buffer.
type onlyWriter struct{ io.Writer }
