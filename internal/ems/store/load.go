package store

import (
	"bufio"
	"bytes"
	"container/heap"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// runBytes is how much of a load is held in memory before it is sorted and
// moved to a temporary file. A load keeps its last run in memory.
const runBytes = 16 << 20

// loadPrefix begins the names of temporary files, for as long as they have one.
const loadPrefix = ".ems-load-"

// sweep removes a temporary file whose name a crash kept from being removed.
func sweep(dir string) error {
	list, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("cannot look for temporary files: %w", err)
	}
	for _, f := range list {
		if strings.HasPrefix(f.Name(), loadPrefix) {
			if err := os.Remove(filepath.Join(dir, f.Name())); err != nil && !errors.Is(err, os.ErrNotExist) {
				return fmt.Errorf("cannot remove a temporary file: %w", err)
			}
		}
	}
	return nil
}

// Load collects the ballots of one package and gives them back sorted by
// identifier, whatever their number: sorted runs go to temporary files without
// a name, which are merged at the end. The database sees nothing of a package
// before it was checked to its end, and nothing of its order ever.
type Load struct {
	dir     string
	limit   int
	data    []byte
	entries []entry
	runs    []*os.File
	count   int64
	batches []Batch
	numbers map[Batch]int64
}

// Batch is a batch as the records name it, and how its ballots were cast.
type Batch struct{ Device, ID, Method string }

// Row is one ballot: its identifier, the number of its batch within the load,
// and its packed content. Method is how it was cast, in rows that were read.
type Row struct {
	ID      []byte
	Batch   int64
	Content []byte
	Method  string
}

// entry is where a row is in the data of a run.
type entry struct{ off, id, end int }

// NewLoad starts a load. It must be closed.
func (s *Store) NewLoad() *Load {
	return &Load{dir: s.dir, limit: runBytes, numbers: map[Batch]int64{}}
}

// Count returns the number of ballots added.
func (l *Load) Count() int64 { return l.count }

// Batch returns the number of a batch within this load, beginning at 0.
func (l *Load) Batch(b Batch) int64 {
	n, ok := l.numbers[b]
	if !ok {
		n = int64(len(l.batches))
		l.numbers[b] = n
		l.batches = append(l.batches, b)
	}
	return n
}

// Named returns the batch of a number that [Load.Batch] gave.
func (l *Load) Named(n int64) Batch { return l.batches[n] }

// Add adds one ballot; its bytes are copied.
func (l *Load) Add(r Row) error {
	off := len(l.data)
	l.data = append(l.data, r.ID...)
	mid := len(l.data)
	l.data = binary.AppendUvarint(l.data, uint64(r.Batch))
	l.data = append(l.data, r.Content...)
	l.entries = append(l.entries, entry{off, mid, len(l.data)})
	l.count++
	if len(l.data) < l.limit {
		return nil
	}
	return l.spill()
}

func (l *Load) sort() {
	slices.SortFunc(l.entries, func(a, b entry) int {
		return bytes.Compare(l.data[a.off:a.id], l.data[b.off:b.id])
	})
}

// spill writes the run in memory to a file that has no name from the start.
func (l *Load) spill() error {
	l.sort()
	f, err := os.CreateTemp(l.dir, loadPrefix+"*")
	if err != nil {
		return fmt.Errorf("cannot sort the ballots: %w", err)
	}
	l.runs = append(l.runs, f)
	if err := os.Remove(f.Name()); err != nil {
		return fmt.Errorf("cannot sort the ballots: %w", err)
	}
	w := bufio.NewWriterSize(f, 256<<10)
	var head []byte
	for _, e := range l.entries {
		head = binary.AppendUvarint(head[:0], uint64(e.id-e.off))
		head = binary.AppendUvarint(head, uint64(e.end-e.id))
		w.Write(head)                // a bufio.Writer keeps its first error
		w.Write(l.data[e.off:e.end]) // until Flush
	}
	if err := w.Flush(); err != nil {
		return fmt.Errorf("cannot sort the ballots: %w", full(err))
	}
	l.data, l.entries = l.data[:0], l.entries[:0]
	return nil
}

// Close frees the load's memory and files.
func (l *Load) Close() error {
	var errs []error
	for _, f := range l.runs {
		errs = append(errs, f.Close())
	}
	l.runs, l.data, l.entries = nil, nil, nil
	return errors.Join(errs...)
}

// sorted calls each for every row in the order of the identifiers; the row is
// valid during the call.
func (l *Load) sorted(each func(Row) error) error {
	l.sort()
	m := merge{&run{load: l}}
	for _, f := range l.runs {
		if _, err := f.Seek(0, io.SeekStart); err != nil {
			return fmt.Errorf("cannot sort the ballots: %w", err)
		}
		m = append(m, &run{r: bufio.NewReaderSize(f, 64<<10)})
	}
	live := m[:0]
	for _, r := range m {
		switch err := r.next(); err {
		case nil:
			live = append(live, r)
		case io.EOF:
		default:
			return fmt.Errorf("cannot sort the ballots: %w", err)
		}
	}
	m = live
	heap.Init(&m)
	for len(m) > 0 {
		if err := each(m[0].row); err != nil {
			return err
		}
		switch err := m[0].next(); err {
		case nil:
			heap.Fix(&m, 0)
		case io.EOF:
			heap.Pop(&m)
		default:
			return fmt.Errorf("cannot sort the ballots: %w", err)
		}
	}
	return nil
}

// run is one sorted run: the one in memory (load set) or one in a file.
type run struct {
	load *Load
	at   int
	r    *bufio.Reader
	buf  []byte
	row  Row
}

func (r *run) next() error {
	var id, rest []byte
	if r.load != nil {
		if r.at == len(r.load.entries) {
			return io.EOF
		}
		e := r.load.entries[r.at]
		r.at++
		id, rest = r.load.data[e.off:e.id], r.load.data[e.id:e.end]
	} else {
		n, err := binary.ReadUvarint(r.r)
		if err != nil {
			return err
		}
		m, err := binary.ReadUvarint(r.r)
		if err != nil {
			return noEOF(err)
		}
		r.buf = slices.Grow(r.buf[:0], int(n+m))[:n+m]
		if _, err := io.ReadFull(r.r, r.buf); err != nil {
			return noEOF(err)
		}
		id, rest = r.buf[:n], r.buf[n:]
	}
	batch, n := binary.Uvarint(rest)
	r.row = Row{ID: id, Batch: int64(batch), Content: rest[n:]}
	return nil
}

func noEOF(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// merge is a heap of runs by their next identifier.
type merge []*run

func (m merge) Len() int           { return len(m) }
func (m merge) Less(i, j int) bool { return bytes.Compare(m[i].row.ID, m[j].row.ID) < 0 }
func (m merge) Swap(i, j int)      { m[i], m[j] = m[j], m[i] }
func (m *merge) Push(x any)        { *m = append(*m, x.(*run)) }
func (m *merge) Pop() any {
	old := *m
	x := old[len(old)-1]
	*m = old[:len(old)-1]
	return x
}
