package vault

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"unicode/utf8"

	"golang.org/x/sys/unix"

	"sallyport/internal/durable"
	"sallyport/internal/verdict"
)

// Files of an item's folder beside the pack.
const (
	factsFile    = "facts.json"
	recordFile   = "record.json"
	indexFile    = "index"
	outcomeFile  = "outcome.json"
	decisionFile = "decision.json"

	// MaxRecord is the most bytes of facts, of a record and of an outcome.
	MaxRecord = 32 << 20
)

// Record is what the caller wants kept with the contents at Commit. The vault
// does not look into Data.
type Record struct{ Data []byte }

// Stage is a pack being written, by one goroutine. It holds 16 MiB of memory
// and two goroutines until Commit or Abandon.
type Stage struct {
	v        *Vault
	id, dir  string
	declared int64
	facts    [sha256.Size]byte
	pack     *pack
	arena    []byte
	pipe     *pipeline

	cur      *buffer
	from     int   // where the current file begins in cur
	used     int64 // content bytes taken from sources
	files    []Stored
	indexLen int64
	probe    [1]byte
	done     bool
}

// Stage opens a pack for at most declared bytes of content and keeps facts
// durable beside it. A store-full Finding means that this does not fit beside
// the reserve and what other stages still need; ErrExists that id is taken.
//
//	mkdir(staged/.new-ID) create(facts.json) create(pack) fallocate
//	rename(staged/.new-ID, staged/ID), each durable before the next
func (v *Vault) Stage(id string, declared int64, facts []byte) (*Stage, error) {
	if err := CheckID(id); err != nil {
		return nil, err
	}
	if declared < 0 || declared > maxPack-blockSize {
		return nil, fmt.Errorf("cannot stage %s: %d bytes are declared", id, declared)
	}
	if len(facts) > MaxRecord {
		return nil, fmt.Errorf("cannot stage %s: %w", id, tooLong("facts", len(facts)))
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.closed {
		return nil, fmt.Errorf("cannot stage %s: %w", id, os.ErrClosed)
	}
	if err := v.taken(id); err != nil {
		return nil, fmt.Errorf("cannot stage %s: %w", id, err)
	}
	size := (blockSize+declared+blockSize-1)&^(blockSize-1) + min(slackBase+declared/64, slackMax)
	if err := v.room(size); err != nil {
		return nil, fmt.Errorf("cannot stage %s: %w", id, err)
	}
	s := &Stage{v: v, id: id, declared: declared, facts: sha256.Sum256(facts), dir: filepath.Join(v.dir, stagedDir, id)}
	fresh := filepath.Join(v.dir, stagedDir, newPrefix+id)
	err := s.open(fresh, size, facts)
	if err != nil {
		// Open sweeps what this cannot remove.
		return nil, fmt.Errorf("cannot stage %s: %w", id, errors.Join(full(err), v.fs.RemoveAll("vault.stage.undo", fresh)))
	}
	v.owned[id] = true
	v.stages[s] = true
	return s, nil
}

func (s *Stage) open(fresh string, size int64, facts []byte) (err error) {
	fs := s.v.fs
	if s.arena, err = s.v.mem.get(); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.v.mem.put(s.arena))
		}
	}()
	if err := fs.Mkdir("vault.stage", fresh, 0o700); err != nil {
		return err
	}
	if err := fs.CreateFile("vault.facts", filepath.Join(fresh, factsFile), facts, 0o600); err != nil {
		return err
	}
	if s.pack, err = createPack(fs, fresh, size); err != nil {
		return err
	}
	if err := fs.Rename("vault.stage", fresh, s.dir); err != nil {
		return errors.Join(err, s.pack.close())
	}
	s.pipe = newPipeline(s.pack, s.arena)
	s.cur = <-s.pipe.free
	s.cur.n = copy(s.cur.mem, packHead(s.id))
	s.from = s.cur.n
	return nil
}

// room checks that n more bytes fit. The caller holds v.mu.
func (v *Vault) room(n int64) error {
	free, err := durable.Free(v.dir)
	if err != nil {
		return err
	}
	for s := range v.stages {
		if !s.pack.allocated { // else Free knows
			free -= max(0, blockSize+s.declared-s.pack.written.Load())
		}
	}
	if free-v.reserve < n {
		return verdict.New(verdict.StoreFull, "", "%d bytes are needed; the store has %d and keeps %d of them in reserve", n, max(0, free), v.reserve)
	}
	return nil
}

func tooLong(what string, n int) error {
	return fmt.Errorf("%s of %d bytes, at most %d are kept", what, n, MaxRecord)
}

// AddFile stores what r gives until io.EOF and returns how many bytes that
// were. Hashing and writing may still go on when it returns: Staged.Files has
// the hashes. Names are any UTF-8 of 1 to MaxName bytes and need not be unique.
//
// When r fails, its error is returned (wrapped), the bytes so far are kept as
// a partial file, and the stage takes further files. More bytes than were
// declared for the stage, more than MaxFiles files or too long names are
// over-limit Findings. A store-full Finding or another error of the store ends
// the stage: no more files, but Commit still keeps what is there.
func (s *Stage) AddFile(name string, r io.Reader) (size int64, err error) {
	if s.done {
		return 0, fmt.Errorf("cannot add to item %s: the stage is closed", s.id)
	}
	if name == "" || !utf8.ValidString(name) {
		return 0, fmt.Errorf("cannot add to item %s: %.100q is not a name", s.id, name)
	}
	if len(name) > MaxName {
		return 0, verdict.New(verdict.OverLimit, name, "a name of %d bytes, at most %d are allowed", len(name), MaxName)
	}
	indexLen := s.indexLen + int64(entryFixed+len(name))
	if len(s.files) == MaxFiles || indexLen > maxEntries {
		return 0, verdict.New(verdict.OverLimit, name, "an item has at most %d files and %d bytes of index", MaxFiles, maxEntries)
	}
	if err := s.pipe.err(); err != nil {
		return 0, fmt.Errorf("cannot add to item %s: %w", s.id, err)
	}
	s.indexLen = indexLen
	size, err = s.fill(r)
	s.endPart(true)
	s.files = append(s.files, Stored{Name: name, Size: size, Partial: err != nil})
	if err != nil {
		return size, fmt.Errorf("cannot store %q whole: %w", verdict.Escape(name), err)
	}
	return size, nil
}

// fill reads r into the buffers, at the place where the bytes stay until they
// are on the disk.
func (s *Stage) fill(r io.Reader) (size int64, err error) {
	for idle := 0; ; {
		if s.cur.n == bufferSize {
			s.endPart(false)
			s.pipe.send(s.cur)
			s.cur, s.from = <-s.pipe.free, 0
			if err := s.pipe.err(); err != nil {
				return size, err
			}
		}
		into := s.cur.mem[s.cur.n:]
		left := s.declared - s.used
		if left == 0 {
			into = s.probe[:] // only an end may come now
		} else if int64(len(into)) > left {
			into = into[:left]
		}
		n, err := r.Read(into)
		if n < 0 || n > len(into) {
			return size, fmt.Errorf("the source claims %d of %d bytes", n, len(into))
		}
		if left == 0 && n > 0 {
			return size, verdict.New(verdict.OverLimit, "", "more content than the %d bytes that were declared", s.declared)
		}
		s.cur.n += n
		s.used += int64(n)
		size += int64(n)
		if err == io.EOF {
			return size, nil
		}
		if err != nil {
			return size, err
		}
		if idle++; n > 0 {
			idle = 0
		} else if idle == 100 {
			return size, errNoProgress
		}
	}
}

func (s *Stage) endPart(last bool) {
	if last || s.cur.n > s.from {
		s.cur.parts = append(s.cur.parts, part{int32(s.from), int32(s.cur.n), last})
	}
	s.from = s.cur.n
}

// finish lets the workers end after all that was taken from sources.
func (s *Stage) finish() {
	s.done = true
	s.pipe.send(s.cur)
	s.cur = nil
	s.pipe.wait()
}

// release gives memory and pack back.
func (s *Stage) release() error {
	err := errors.Join(s.pack.close(), s.v.mem.put(s.arena))
	s.arena = nil
	s.v.mu.Lock()
	defer s.v.mu.Unlock()
	delete(s.v.stages, s)
	return err
}

// Commit makes contents, record and index durable, in this order: an index
// that is there means that everything is. It succeeds after a store-full
// Finding or a failed write too, with the files cut where the pack ends; see
// Staged.Problem. When it fails, the item is a leftover: see Recover.
//
//	pwrite… ftruncate fchmod fsync(pack) write(record.json) write(index)
func (s *Stage) Commit(rec Record) (*Staged, error) {
	if s.done {
		return nil, fmt.Errorf("cannot commit item %s: the stage is closed", s.id)
	}
	if len(rec.Data) > MaxRecord {
		return nil, fmt.Errorf("cannot commit item %s: %w", s.id, tooLong("a record", len(rec.Data)))
	}
	s.finish()
	h, err := s.seal(rec)
	if err = errors.Join(full(err), s.release()); err != nil {
		s.v.disown(s.id)
		return nil, fmt.Errorf("cannot commit item %s: %w", s.id, err)
	}
	return &Staged{Item: &Item{id: s.id, dir: s.dir, head: h, files: s.files}, v: s.v, problem: s.pipe.err()}, nil
}

func (s *Stage) seal(rec Record) (head, error) {
	h := head{id: s.id, facts: s.facts, cut: s.pipe.err() != nil}
	if s.pack.written.Load() < blockSize {
		// Not even the head could be written; without it there is no item.
		s.pack.written.Store(0)
		copy(s.arena, packHead(s.id))
		if err := s.pack.write(s.arena[:blockSize], blockSize); err != nil {
			return h, err
		}
	}
	length, err := s.place()
	if err != nil {
		return h, err
	}
	if err := s.pack.seal(length); err != nil {
		return h, err
	}
	return h, writeIndex(s.v.fs, s.dir, &h, s.files, rec)
}

// place gives each file its offset and hash, and cuts what is past the end of
// the last good write. It returns the length of the pack.
func (s *Stage) place() (int64, error) {
	end, off := s.pack.written.Load(), int64(blockSize)
	for i := range s.files {
		f := &s.files[i]
		f.Off, f.SHA256 = off, s.pipe.sums[i]
		if stored := max(0, min(f.Size, end-off)); stored < f.Size {
			// The hasher went on over bytes that are not in the pack.
			f.Size, f.Partial = stored, true
			sum, err := hashFile(filepath.Join(s.dir, packFile), off, stored)
			if err != nil {
				return 0, err
			}
			f.SHA256 = sum
		}
		off += f.Size
	}
	return off, nil
}

// writeIndex makes the record and then the index durable.
func writeIndex(fs durable.FS, dir string, h *head, files []Stored, rec Record) error {
	if err := fs.WriteFile("vault.record", filepath.Join(dir, recordFile), rec.Data, 0o600); err != nil {
		return err
	}
	h.record = sha256.Sum256(rec.Data)
	return fs.WriteFile("vault.index", filepath.Join(dir, indexFile), encodeIndex(h, files), 0o600)
}

// hashFile hashes n bytes of a file from off.
func hashFile(path string, off, n int64) (sum [sha256.Size]byte, err error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return sum, err
	}
	defer f.Close()
	h := sha256.New()
	if m, err := io.Copy(h, io.NewSectionReader(f, off, n)); err != nil || m != n {
		return sum, fmt.Errorf("cannot read %d bytes of %s back: %d came: %w", n, path, m, err)
	}
	h.Sum(sum[:0])
	return sum, nil
}

// Abandon removes the stage with all its bytes.
//
//	rename(staged/ID, staged/.gone-ID), durable, then remove
func (s *Stage) Abandon() error {
	if s.done {
		return fmt.Errorf("cannot abandon item %s: the stage is closed", s.id)
	}
	s.done = true
	s.pipe.drop(errAbandoned)
	s.pipe.wait()
	gone := filepath.Join(s.v.dir, stagedDir, gonePrefix+s.id)
	err := s.v.fs.Rename("vault.abandon", s.dir, gone)
	if err == nil {
		err = s.v.fs.RemoveAll("vault.abandon", gone)
	}
	err = errors.Join(err, s.release())
	s.v.disown(s.id)
	if err != nil {
		return fmt.Errorf("cannot abandon item %s: %w", s.id, full(err))
	}
	return nil
}
