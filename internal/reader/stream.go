package reader

import (
	"errors"
	"fmt"
	"io"

	"sallyport/internal/reader/wire"
	"sallyport/internal/verdict"
)

// Stream gives the content of the files that were asked for, one after
// another, in the order in which they lie on the medium. It is used like a
// tar.Reader.
type Stream struct {
	t       *talk
	pending int        // files that have not begun
	open    bool       // a file has begun and not ended
	left    int64      // bytes of the file that the child has not told of
	chunk   wire.Chunk // what is unread in the current slot
	end     error      // how the file ended: io.EOF or a finding
	over    bool
}

// Read asks for the content of files, by the numbers of the listing. A file
// can be asked for once in a session; a folder cannot. The stream before must
// have been read to its end. More bytes than the limits allow are an
// over-limit finding, and nothing is asked for.
func (s *Session) Read(ids []uint32) (*Stream, error) { return s.talk.read(ids) }

func (t *talk) read(ids []uint32) (*Stream, error) {
	if t.err != nil {
		return nil, t.err
	}
	if t.stream != nil && !t.stream.over {
		return nil, errors.New("cannot ask for files: the stream before was not read to its end")
	}
	if err := t.claim(ids); err != nil {
		return nil, err
	}
	st := &Stream{t: t, pending: len(ids), over: len(ids) == 0}
	t.stream = st
	if st.over {
		return st, nil
	}
	var payload [wire.MaxPayload]byte
	for len(ids) > 0 {
		n := min(len(ids), len(payload)/4)
		for i, id := range ids[:n] {
			wire.PutID(payload[4*i:], id)
		}
		if err := t.send(wire.TypeAsk, payload[:4*n]); err != nil {
			return nil, t.stop(err)
		}
		ids = ids[n:]
	}
	if err := t.send(wire.TypeSend, nil); err != nil {
		return nil, t.stop(err)
	}
	return st, nil
}

// claim marks the files as asked for, all or none.
func (t *talk) claim(ids []uint32) error {
	var total int64
	for i, id := range ids {
		err := t.askable(id)
		if err == nil {
			if total += t.sizes[id]; total > t.bytes.Left() || total < 0 {
				err = verdict.New(verdict.OverLimit, "the files asked for", "they have more bytes than the limit of %d for one medium allows", t.limits.Bytes)
			}
		}
		if err != nil {
			for _, undo := range ids[:i] {
				t.states[undo] = idle
			}
			return err
		}
		t.states[id] = asked
	}
	return t.bytes.Take(total)
}

func (t *talk) askable(id uint32) error {
	if int64(id) >= int64(len(t.states)) {
		return fmt.Errorf("cannot ask for file %d: the listing has %d entries", id, len(t.states))
	}
	switch t.states[id] {
	case folder:
		return fmt.Errorf("cannot ask for entry %d: it is a folder", id)
	case asked, spent:
		return fmt.Errorf("cannot ask for file %d: it was asked for before", id)
	}
	return nil
}

// Next goes on to the next file, over what is unread of the current one, and
// returns its number and its listed size in bytes. The error is io.EOF when
// all files have been given, or what ended the session.
func (st *Stream) Next() (id uint32, size int64, err error) {
	if st.open {
		if err := st.skip(); err != nil {
			return 0, 0, err
		}
	}
	t := st.t
	if t.err != nil {
		return 0, 0, t.err
	}
	if st.over {
		return 0, 0, io.EOF
	}
	for {
		typ, payload, err := t.in.Next()
		if err != nil {
			return 0, 0, t.stop(err)
		}
		switch typ {
		case wire.TypeTurn:
			if err := t.turn(payload); err != nil {
				return 0, 0, t.stop(err)
			}
		case wire.TypeFile:
			id, err := st.begin(payload)
			return id, st.left, err
		case wire.TypeDone:
			if len(payload) != 0 || st.pending > 0 {
				return 0, 0, t.stop(lie("it ends the stream with %d files to come", st.pending))
			}
			st.over = true
			return 0, 0, io.EOF
		default:
			return 0, 0, t.stop(lie("%s between files", typ))
		}
	}
}

// begin opens the file that the child names.
func (st *Stream) begin(payload []byte) (uint32, error) {
	t := st.t
	var id uint32
	err := wire.ParseIDs(payload, func(n uint32) error { id = n; return nil })
	if err != nil || len(payload) != 4 {
		return 0, t.stop(lie("a file frame of %d bytes", len(payload)))
	}
	if int64(id) >= int64(len(t.states)) || t.states[id] != asked {
		return 0, t.stop(lie("it sends file %d, which was not asked for", id))
	}
	t.states[id] = spent
	st.pending--
	t.pace.add(fileWorth)
	st.open, st.left, st.chunk, st.end = true, t.sizes[id], wire.Chunk{}, nil
	return id, nil
}

// turn goes on to the next slot and gives the one before back to the child.
func (t *talk) turn(payload []byte) error {
	if err := wire.ParseEmpty(payload); err != nil {
		return err
	}
	if t.turned {
		return lie("a turn without data")
	}
	t.turned = true
	t.slot = (t.slot + 1) % wire.Slots
	return t.send(wire.TypeFree, nil)
}

// Read copies content of the current file to p. At the file's end the error is
// io.EOF, when every listed byte was given, or the finding that says why the
// file cannot be had whole; the stream goes on after either. An error that
// [Stream.Next] returns as well has ended the session.
func (st *Stream) Read(p []byte) (int, error) {
	t := st.t
	for {
		switch {
		case t.err != nil:
			return 0, t.err
		case st.chunk.Len > 0:
			n, err := t.ring.copy(p, t.slot, st.chunk)
			st.chunk.Off += uint32(n)
			st.chunk.Len -= uint32(n)
			if err != nil {
				return 0, t.stop(err)
			}
			return n, nil
		case st.end != nil:
			return 0, st.end
		case !st.open:
			return 0, io.EOF
		case len(p) == 0:
			return 0, nil
		}
		if err := st.advance(); err != nil {
			return 0, t.stop(err)
		}
	}
}

// advance takes the next frame of the current file.
func (st *Stream) advance() error {
	t := st.t
	typ, payload, err := t.in.Next()
	if err != nil {
		return err
	}
	switch typ {
	case wire.TypeData:
		c, err := wire.ParseChunk(payload)
		if err != nil {
			return err
		}
		if int64(c.Len) > st.left {
			return lie("%d bytes of content where %d are to come", c.Len, st.left)
		}
		st.chunk, t.turned = c, false
		st.left -= int64(c.Len)
		t.pace.add(int64(c.Len))
	case wire.TypeTurn:
		return t.turn(payload)
	case wire.TypeEnd:
		if len(payload) != 0 || st.left > 0 {
			return lie("it ends a file with %d bytes to come", st.left)
		}
		st.end = io.EOF
	case wire.TypeFail:
		f, err := t.finding(payload)
		if err != nil {
			return err
		}
		st.end = f
	default:
		return lie("%s inside a file", typ)
	}
	return nil
}

// skip passes over the rest of the current file without copying it.
func (st *Stream) skip() error {
	for st.end == nil {
		if err := st.advance(); err != nil {
			return st.t.stop(err)
		}
	}
	st.open, st.chunk = false, wire.Chunk{}
	return nil
}
