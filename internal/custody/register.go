package custody

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"

	"sallyport/internal/durable"
	"sallyport/internal/strictjson"
	"sallyport/internal/verdict"
)

// Bounds of a register.
const (
	MaxMedia = 100_000
	// maxSeals are the numbers of seals that were ever used: they are kept in
	// memory, since a number is used once.
	maxSeals = 1_000_000
)

const suffix = ".json" // of a record, behind the medium's id

// Register is the register of one station: a record for each medium in a folder,
// and an index of them in memory. It is safe for concurrent use in one process;
// one process at a time may use a folder.
type Register struct {
	dir string
	fs  durable.FS

	mu     sync.Mutex
	failed error // after it nothing is changed any more
	index
}

// index finds media.
type index struct {
	byID     map[string]*entry
	byLabel  map[string]*entry
	bySerial map[string][]*entry
	byFS     map[string][]*entry
	seals    map[string]*entry // every number that was ever used
}

func newIndex() index {
	return index{map[string]*entry{}, map[string]*entry{}, map[string][]*entry{}, map[string][]*entry{}, map[string]*entry{}}
}

// entry is what is kept in memory of a medium.
type entry struct {
	Summary
	since int64    // seq of its registration
	seals []string // that were ever put on it
}

// Summary is one line of a list of media.
type Summary struct {
	ID        string    `json:"id"`
	Label     string    `json:"label"`
	State     State     `json:"state"`
	Vendor    string    `json:"vendor,omitzero"`
	Product   string    `json:"product,omitzero"`
	Serial    string    `json:"serial,omitzero"`
	FSID      string    `json:"fs_id,omitzero"`
	Seal      string    `json:"seal,omitzero"`
	Direction Direction `json:"direction"`
	SingleUse bool      `json:"single_use"`
	Holders   []string  `json:"holders"`
	Broken    bool      `json:"broken,omitzero"`
	Readings  int64     `json:"readings,omitzero"`
	Since     string    `json:"since"` // when it came into its state
}

// Name is as [Medium.Name].
func (s *Summary) Name() string { return (&Medium{ID: s.ID, Label: s.Label}).Name() }

// Create makes the folder of an empty register.
func Create(dir string, fs durable.FS) error { return fs.Mkdir("custody.create", dir, 0o700) }

// Open reads all records, and finishes an import that was cut off. A record that
// is not well formed is an error: a medium that has dropped out of the register
// would be one that nobody knows.
func Open(dir string, fs durable.FS) (*Register, error) {
	r := &Register{dir: dir, fs: fs, index: newIndex()}
	if err := r.load(); err != nil {
		return nil, fmt.Errorf("cannot open the register of media %s: %w", dir, err)
	}
	return r, nil
}

func (r *Register) load() error {
	if err := r.fs.Sweep("custody.open", r.dir); err != nil {
		return err
	}
	if err := r.finishImport(); err != nil {
		return err
	}
	dir, err := os.ReadDir(r.dir)
	if err != nil {
		return err
	}
	if len(dir) > MaxMedia {
		return fmt.Errorf("it has %d records, at most %d are allowed", len(dir), MaxMedia)
	}
	// Reading is most of the time that a start takes, and needs no order.
	entries, errs := make([]*entry, len(dir)), make([]error, len(dir))
	var workers sync.WaitGroup
	n := runtime.GOMAXPROCS(0)
	for w := range n {
		workers.Go(func() {
			for i := w; i < len(dir); i += n {
				entries[i], errs[i] = r.loadEntry(dir[i].Name())
			}
		})
	}
	workers.Wait()
	for i, e := range entries {
		if errs[i] != nil {
			return errs[i]
		}
		if other, why := r.clash(&e.Summary, e.seals); other != nil {
			return fmt.Errorf("media %s and %s both have %s", other.Name(), e.Name(), why)
		}
		r.add(e)
	}
	return nil
}

func (r *Register) loadEntry(name string) (*entry, error) {
	id, ok := strings.CutSuffix(name, suffix)
	if !ok || !idForm.MatchString(id) {
		return nil, fmt.Errorf("the file %s does not belong there", verdict.Escape(name))
	}
	m, err := r.read(id)
	if err != nil {
		return nil, err
	}
	return newEntry(m), nil
}

// read reads a record from the disk.
func (r *Register) read(id string) (*Medium, error) {
	m, err := readRecord(r.path(id))
	if err == nil && m.ID != id {
		err = fmt.Errorf("it is the record of medium %s", m.ID)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read the record of medium %s, keep it as it is and put a good copy in its place: %w", id, err)
	}
	return m, nil
}

func readRecord(path string) (*Medium, error) {
	data, err := readFile(path, maxFile)
	if err != nil {
		return nil, err
	}
	return parse(data)
}

// readFile reads a file of at most most bytes.
func readFile(path string, most int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if st.Size() > most || !st.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is no plain file of at most %d bytes", path, most)
	}
	data := make([]byte, st.Size())
	if _, err := io.ReadFull(f, data); err != nil {
		return nil, err
	}
	return data, nil
}

func (r *Register) path(id string) string { return filepath.Join(r.dir, id+suffix) }

func newEntry(m *Medium) *entry {
	last := &m.History[len(m.History)-1]
	e := &entry{since: m.History[0].Seq, Summary: Summary{
		ID: m.ID, Label: m.Label, State: m.State, Vendor: m.Vendor, Product: m.Product, Serial: m.Serial, FSID: m.FSID, Seal: m.Seal,
		Direction: m.Direction, SingleUse: m.SingleUse, Holders: m.Holders, Broken: m.Broken, Readings: m.Readings, Since: last.At,
	}}
	for _, s := range m.History {
		if s.SealDone == SealOn {
			e.seals = append(e.seals, fold(s.Seal))
		}
	}
	return e
}

// clash finds a medium beside which another one cannot stand, and says why: one
// label, one serial number, one seal, or one file-system id and no serial number
// to tell them apart. The medium itself, by its id, is none of the others.
func (x *index) clash(s *Summary, seals []string) (e *entry, why string) {
	other := func(found *entry) bool {
		if found != nil && found.ID != s.ID {
			e = found
		}
		return e != nil
	}
	if other(x.byLabel[fold(s.Label)]) {
		return e, fmt.Sprintf("the label %q", s.Label)
	}
	for _, n := range seals {
		if other(x.seals[n]) {
			return e, "the seal " + n
		}
	}
	for _, have := range x.bySerial[s.Serial] {
		if s.Serial != "" && (s.Vendor == "" || have.Vendor == "" || s.Vendor == have.Vendor && s.Product == have.Product) && other(have) {
			return e, "the serial number " + s.Serial
		}
	}
	for _, have := range x.byFS[fold(s.FSID)] {
		if s.FSID != "" && (s.Serial == "" || have.Serial == "") && other(have) {
			return e, "the file-system id " + s.FSID
		}
	}
	return nil, ""
}

func (x *index) add(e *entry) {
	x.byID[e.ID], x.byLabel[fold(e.Label)] = e, e
	if e.Serial != "" {
		x.bySerial[e.Serial] = append(x.bySerial[e.Serial], e)
	}
	if e.FSID != "" {
		x.byFS[fold(e.FSID)] = append(x.byFS[fold(e.FSID)], e)
	}
	for _, n := range e.seals {
		x.seals[n] = e
	}
}

func (x *index) forget(e *entry) {
	without := func(index map[string][]*entry, key string) {
		if index[key] = slices.DeleteFunc(index[key], func(have *entry) bool { return have == e }); len(index[key]) == 0 {
			delete(index, key)
		}
	}
	without(x.bySerial, e.Serial)
	without(x.byFS, fold(e.FSID))
}

// Len is the number of media.
func (r *Register) Len() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.byID)
}

// List returns the media that match, by label, and no more than most.
func (r *Register) List(match func(*Summary) bool, most int) []Summary {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := []Summary{}
	for _, e := range r.byID {
		if match(&e.Summary) {
			out = append(out, e.Summary)
		}
	}
	slices.SortFunc(out, func(a, b Summary) int { return strings.Compare(fold(a.Label), fold(b.Label)) })
	return out[:min(len(out), most)]
}

// After says whether a label comes behind another one in the order of a list.
func After(label, other string) bool { return fold(label) > fold(other) }

// Find returns the id of the medium that people call by its id, by an unambiguous
// beginning of it, or by its label.
func (r *Register) Find(name string) (id string, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if e := r.byID[name]; e != nil {
		return e.ID, nil
	}
	found := r.byLabel[fold(name)]
	for _, e := range r.byID {
		if name == "" || !strings.HasPrefix(e.ID, name) || e == found {
			continue
		}
		if found != nil {
			return "", refusef("%q may be medium %s or %s: give more of the id", verdict.Escape(name), found.Name(), e.Name())
		}
		found = e
	}
	if found == nil {
		return "", ErrUnknown
	}
	return found.ID, nil
}

// ErrUnknown means that there is no such medium.
var ErrUnknown = errors.New("the register of media does not have it")

// Get returns the record of a medium.
func (r *Register) Get(id string) (*Medium, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.get(id)
}

func (r *Register) get(id string) (*Medium, error) {
	if r.byID[id] == nil {
		return nil, ErrUnknown
	}
	return r.read(id)
}

// Add registers a medium under an id of [NewID].
//
//	create(ID.json)
func (r *Register) Add(id string, d Description, by By) (*Medium, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	m, err := newRecord(id, &d, by)
	if err != nil {
		return nil, err
	}
	return m, r.store(m)
}

// Change does something with a medium.
//
//	write(ID.json)
func (r *Register) Change(id string, c Change, by By, p Policy) (*Medium, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	m, err := r.get(id)
	if err != nil {
		return nil, err
	}
	if err := m.do(c, by, p); err != nil {
		return nil, err
	}
	return m, r.store(m)
}

// Use records that a medium was read to the end.
//
//	write(ID.json)
func (r *Register) Use(id string, reading Reading, by By) (*Medium, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	m, err := r.get(id)
	if err != nil {
		return nil, err
	}
	if err := m.use(reading, by); err != nil {
		return nil, err
	}
	return m, r.store(m)
}

// store writes a record and puts it into the index. A record that could not be
// written may stand on the disk all the same: nothing is changed any more.
func (r *Register) store(m *Medium) error {
	if r.failed != nil {
		return fmt.Errorf("cannot change the register of media after an earlier failure: %w", r.failed)
	}
	e, old := newEntry(m), r.byID[m.ID]
	fresh := e.seals
	if old != nil {
		fresh = e.seals[len(old.seals):]
		for _, n := range fresh {
			if on := r.seals[n]; on != nil { // also one that was on this very medium
				return taken(on, "the seal "+n)
			}
		}
	} else if len(r.byID) >= MaxMedia {
		return refusef("the register has %d media, and no room for more", len(r.byID))
	}
	if other, why := r.clash(&e.Summary, fresh); other != nil {
		return taken(other, why)
	}
	if len(r.seals)+len(fresh) > maxSeals {
		return refusef("the register has %d numbers of seals, and no room for more", len(r.seals))
	}
	data, err := strictjson.Encode(m)
	if err != nil {
		return err
	}
	if old == nil {
		err = r.fs.CreateFile("custody.add", r.path(m.ID), data, 0o600)
	} else {
		err = r.fs.WriteFile("custody.change", r.path(m.ID), data, 0o600)
	}
	if err != nil {
		r.failed = err
		return fmt.Errorf("cannot write the register of media: %w", err)
	}
	if old != nil {
		r.forget(old)
	}
	r.add(e)
	return nil
}

// taken refuses what a medium has, or had, already.
func taken(e *entry, why string) error {
	hint := ""
	switch {
	case strings.HasPrefix(why, "the seal"):
		hint = "; a number is used once"
	case strings.HasPrefix(why, "the serial"):
		hint = "; when both devices really show it, register them by their file-system ids alone"
	case strings.HasPrefix(why, "the file-system"):
		hint = "; without serial numbers nothing tells the two apart"
	}
	return refusef("%s belongs to medium %s already%s", why, e.Name(), hint)
}

// Holds says whether the register has the change of a medium that the intent seq
// of the audit log announced.
func (r *Register) Holds(id string, seq int64) (bool, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	m, err := r.get(id)
	if errors.Is(err, ErrUnknown) {
		return false, nil
	}
	return err == nil && m.holds(seq), err
}

// HoldsImport is [Register.Holds] for a list that was imported.
func (r *Register) HoldsImport(seq int64) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range r.byID {
		if e.since == seq {
			return true
		}
	}
	return false
}
