package cdf

import "errors"

// Parsing a report takes one core; what is then done with its records takes
// nearly as long. A pipe lets the parser run ahead in a goroutine of its own, by
// a bounded number of records, while the caller's goroutine checks and passes on
// those before, in order. A fault of a record comes before a fault that the
// parser found further on.

const (
	pipeRecords = 32        // in one load
	pipeLoads   = 4         // on the way
	pipeBytes   = 256 << 10 // of the document, in one load that is not a single record
	pipeKeep    = 64 << 10  // of the document: a larger record's memory is not used again
)

// load is a number of records with the memory for all of them.
type load struct {
	records [pipeRecords]record
	sizes   [pipeRecords]int64 // in the document
	n       int
	bytes   int64
}

// pipe is the way from the parser to the checks.
type pipe struct {
	full, free chan *load
	quit       chan struct{}
	now        *load
	w          *walker
	from       int64 // where the record that is being read begins
}

var errQuit = errors.New("the records are not wanted any more")

// put takes the record that was read to its end, and gives s the next one's place.
func (p *pipe) put(s *records) error {
	to := p.w.dec.InputOffset()
	l := p.now
	l.sizes[l.n] = to - p.from
	l.bytes += to - p.from
	p.from = to
	if l.n++; l.n == pipeRecords || l.bytes >= pipeBytes {
		select {
		case p.full <- l:
		case <-p.quit:
			return errQuit
		}
		select {
		case p.now = <-p.free:
		case <-p.quit:
			return errQuit
		}
		p.now.n, p.now.bytes = 0, 0
	}
	s.in = &p.now.records[p.now.n]
	return nil
}

// piped reads the document of w, whose records s checks.
func (s *records) piped(w *walker) error {
	p := &pipe{full: make(chan *load, pipeLoads), free: make(chan *load, pipeLoads), quit: make(chan struct{}), w: w, now: &load{}}
	for range pipeLoads - 1 {
		p.free <- &load{}
	}
	s.pipe, s.in = p, &p.now.records[0]
	var failed error // of the parser; written before full is closed
	go func() {
		defer close(p.full)
		failed = w.document()
		if p.now.n > 0 {
			select {
			case p.full <- p.now:
			case <-p.quit:
			}
		}
	}()
	err := s.unload(p)
	close(p.quit)
	for range p.full { // the goroutine has ended when this has
	}
	if err == nil {
		err = failed
	}
	return err
}

// unload checks what comes through the pipe.
func (s *records) unload(p *pipe) error {
	for l := range p.full {
		for i := range l.n {
			s.rec = &l.records[i]
			if err := s.record(); err != nil {
				return err
			}
			s.count++
			if l.sizes[i] > pipeKeep {
				l.records[i] = record{}
			}
		}
		select {
		case p.free <- l:
		default: // the last load needs no place
		}
	}
	return nil
}
