package vault

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Leftover is an item in staged/ that no Stage or Staged of this process owns:
// its Commit failed, or the process that staged it stopped before the decision.
type Leftover struct {
	ID       string
	Complete bool  // Commit had finished, and no write had failed before it
	Bytes    int64 // content bytes in the pack
	Damage   error // why an index that is there does not count; nil without one
}

// Leftovers lists them by id. No leftover is ever removed: each can be
// recovered and held.
func (v *Vault) Leftovers() ([]Leftover, error) {
	ids, err := v.ids(stagedDir)
	if err != nil {
		return nil, err
	}
	var all []Leftover
	for _, id := range ids {
		v.mu.Lock()
		owned := v.owned[id]
		v.mu.Unlock()
		if owned {
			continue
		}
		l := Leftover{ID: id}
		if st, err := os.Lstat(filepath.Join(v.dir, stagedDir, id, packFile)); err == nil {
			l.Bytes = max(0, st.Size()-blockSize)
		}
		st, err := v.complete(id)
		switch {
		case err != nil && !isDamage(err):
			return nil, err
		case err != nil:
			l.Damage = err
		case st != nil:
			l.Complete = !st.head.cut
		}
		all = append(all, l)
	}
	return all, nil
}

func isDamage(err error) bool {
	var d *Damage
	return errors.As(err, &d)
}

// complete loads the item when it has an index; nil without one, a *Damage
// when the index, facts or record are not as they were written.
func (v *Vault) complete(id string) (*Item, error) {
	dir := filepath.Join(v.dir, stagedDir, id)
	if _, err := os.Lstat(filepath.Join(dir, indexFile)); errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	it, err := loadItem(dir, id, "")
	if err != nil {
		return nil, err
	}
	if _, err := it.Files(); err != nil {
		return nil, err
	}
	if _, err := it.Facts(); err != nil {
		return nil, err
	}
	_, err = it.Record()
	return it, err
}

// Recover makes a leftover decidable. One that was committed comes back as it
// is, and rec is not used. Of any other, all bytes in its pack become one
// nameless partial file, rec becomes its record, and it can only be held; a
// damaged index is kept as index.damaged.
//
// The bytes are the contents in the order of AddFile as far as they were
// written, perhaps with up to 4095 zero bytes at the end.
func (v *Vault) Recover(id string, rec Record) (*Staged, error) {
	if err := CheckID(id); err != nil {
		return nil, err
	}
	if len(rec.Data) > MaxRecord {
		return nil, fmt.Errorf("cannot recover item %s: %w", id, tooLong("a record", len(rec.Data)))
	}
	if err := v.claim(id); err != nil {
		return nil, fmt.Errorf("cannot recover item %s: %w", id, err)
	}
	st, err := v.recover(id, rec)
	if err != nil {
		v.disown(id)
		return nil, fmt.Errorf("cannot recover item %s: %w", id, full(err))
	}
	return st, nil
}

// claim makes this process's one owner of a folder in staged/.
func (v *Vault) claim(id string) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.closed {
		return os.ErrClosed
	}
	if v.owned[id] {
		return errors.New("it is in use")
	}
	v.owned[id] = true
	return nil
}

func (v *Vault) disown(id string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	delete(v.owned, id)
}

func (v *Vault) recover(id string, rec Record) (*Staged, error) {
	dir := filepath.Join(v.dir, stagedDir, id)
	if _, err := os.Lstat(dir); errors.Is(err, os.ErrNotExist) {
		return nil, ErrNotFound
	}
	if err := v.fs.Sweep("vault.recover.sweep", dir); err != nil {
		return nil, err
	}
	it, err := v.complete(id)
	if err != nil {
		if !isDamage(err) {
			return nil, err
		}
		if err := v.setAside(dir); err != nil {
			return nil, err
		}
		it = nil
	}
	if it != nil {
		st := &Staged{Item: it, v: v}
		if it.head.cut {
			st.problem = fmt.Errorf("%w: its stage was cut off", ErrPartial)
		}
		return st, nil
	}
	h := head{id: id, cut: true}
	if h.facts, err = v.refact(dir); err != nil {
		return nil, err
	}
	files, err := v.repack(dir, id)
	if err != nil {
		return nil, err
	}
	if err := writeIndex(v.fs, dir, &h, files, rec); err != nil {
		return nil, err
	}
	return &Staged{Item: &Item{id: id, dir: dir, head: h, files: files}, v: v, problem: fmt.Errorf("%w: its stage was cut off", ErrPartial)}, nil
}

// setAside keeps the first damaged index; a later one is of Recover's making.
func (v *Vault) setAside(dir string) error {
	aside := filepath.Join(dir, indexFile+".damaged")
	if _, err := os.Lstat(aside); err == nil {
		return nil
	}
	return v.fs.Rename("vault.recover.aside", filepath.Join(dir, indexFile), aside)
}

// refact hashes the facts as they are now. They were durable before the first
// content byte, so they are missing only through damage; then they are empty.
func (v *Vault) refact(dir string) (sum [sha256.Size]byte, err error) {
	path := filepath.Join(dir, factsFile)
	st, err := os.Lstat(path)
	if errors.Is(err, os.ErrNotExist) {
		return sha256.Sum256(nil), v.fs.CreateFile("vault.facts", path, nil, 0o600)
	}
	if err != nil {
		return sum, err
	}
	return hashFile(path, 0, st.Size())
}

// repack writes the pack's head anew and gives it one entry over the rest.
func (v *Vault) repack(dir, id string) ([]Stored, error) {
	path := filepath.Join(dir, packFile)
	if err := os.Chmod(path, 0o600); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, err
	}
	p := &pack{f: f, fs: v.fs}
	if err := p.write(packHead(id), blockSize); err != nil {
		return nil, errors.Join(err, p.close())
	}
	st, err := f.Stat()
	if err != nil {
		return nil, errors.Join(err, p.close())
	}
	if err := p.seal(st.Size()); err != nil {
		return nil, err
	}
	size := st.Size() - blockSize
	sum, err := hashFile(path, blockSize, size)
	if err != nil {
		return nil, err
	}
	return []Stored{{Off: blockSize, Size: size, SHA256: sum, Partial: true}}, nil
}
