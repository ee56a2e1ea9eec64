package child

import (
	"errors"
	"fmt"
	"io"

	"sallyport/internal/medium"
	"sallyport/internal/reader/wire"
	"sallyport/internal/sandbox"
	"sallyport/internal/verdict"
	"sallyport/internal/volume"
)

// Serve says hello with the proof of the lockdown, then answers the parent's
// requests in the order of FORMAT.md until it closes the connection. An error
// is the parent's departure from the protocol, or the loss of the connection;
// what is wrong with the medium is told to the parent, never an error here.
//
// ring is the memory of [wire.RingBytes] bytes that the parent maps as well; it
// begins with a page.
func Serve(conn io.ReadWriter, dev io.ReaderAt, ring []byte, proof sandbox.Proof) error {
	s := &server{in: wire.NewReader(conn), out: newWriter(conn), dev: blocks{dev: dev}}
	s.ring = ringWriter{server: s, mem: ring, free: wire.Slots - 1}
	s.out.message(wire.TypeHello, wire.AppendHello(nil, proof))
	if err := s.out.flush(); err != nil {
		return fmt.Errorf("cannot say hello: %w", err)
	}
	for {
		t, payload, err := s.in.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("cannot read a request: %w", err)
		}
		if err := s.answer(t, payload); err != nil {
			return fmt.Errorf("cannot answer the request (%s): %w", t, err)
		}
	}
}

// server is the state of one connection.
type server struct {
	in     *wire.Reader
	out    *writer
	dev    blocks
	medium *volume.Medium
	total  uint32   // entries of all volumes
	asked  []uint32 // since the last send
	ring   ringWriter
}

var errOrder = errors.New("it is not allowed now")

func (s *server) answer(t wire.Type, payload []byte) error {
	switch t {
	case wire.TypeList:
		q, err := wire.ParseList(payload)
		if err != nil {
			return err
		}
		if s.medium != nil {
			return errOrder
		}
		if err := s.list(q); err != nil {
			return err
		}
	case wire.TypeAsk:
		if s.medium == nil {
			return errOrder
		}
		return wire.ParseIDs(payload, s.ask)
	case wire.TypeSend:
		if err := wire.ParseEmpty(payload); err != nil {
			return err
		}
		if s.medium == nil {
			return errOrder
		}
		s.send()
	case wire.TypeFree:
		return s.ring.freed(payload)
	default:
		return errors.New("it is not a request")
	}
	return s.out.flush()
}

func (s *server) ask(id uint32) error {
	if id >= s.total {
		return fmt.Errorf("there is no entry %d", id)
	}
	if e := s.entry(id); e.Type != medium.File {
		return fmt.Errorf("entry %d is %s", id, e.Type)
	}
	if len(s.asked) >= int(s.total) {
		return errors.New("more files than the medium has")
	}
	s.asked = append(s.asked, id)
	return nil
}

// list walks the medium and sends what it holds. The texts of the listing are
// dropped afterwards; what remains is where the content of each file lies. The
// error is one of this process.
func (s *server) list(q wire.Request) error {
	s.medium = &volume.Medium{}
	s.dev.size, s.dev.align = q.Size, q.Align
	from, err := newStructures(s.dev, s.out)
	if err != nil {
		return err
	}
	m, err := volume.Open(from, q.Size, volume.Options{Limits: q.Limits})
	from.close()
	if err != nil {
		f, ok := verdict.Find(err)
		if !ok {
			f = verdict.New(verdict.Unreadable, "the medium", "%s", err.Error())
		}
		s.out.message(wire.TypeRefuse, wire.AppendFinding(nil, f))
		return nil
	}
	s.medium = m
	s.out.message(wire.TypeMedium, wire.AppendMedium(nil, wire.Medium{Size: m.Size, Table: m.Table}))
	s.problems(m.Problems)
	for i := range m.Volumes {
		v := &m.Volumes[i]
		s.out.message(wire.TypeVolume, wire.AppendVolume(nil, wire.Volume{
			Index: uint32(v.Index), Offset: v.Offset, Size: v.Size, FS: v.FS, Label: v.Label, ID: v.ID, Deleted: v.Deleted,
		}))
		for _, path := range v.DeletedNames {
			s.out.message(wire.TypeDeleted, wire.AppendDeleted(nil, path))
		}
		s.problems(v.Problems)
		s.entries(v.Entries)
		s.total += uint32(len(v.Entries))
	}
	s.out.message(wire.TypeListed, nil)
	return nil
}

func (s *server) problems(list []verdict.Finding) {
	for i := range list {
		s.out.message(wire.TypeProblem, wire.AppendFinding(nil, &list[i]))
	}
}

// entries sends entries in full frames and forgets their texts.
func (s *server) entries(list []volume.Entry) {
	var frame, one []byte
	for i := range list {
		e := &list[i]
		one = wire.AppendEntry(one[:0], wire.Entry{Path: e.Path, Type: e.Type, Traits: e.Traits, Size: e.Size, Modified: e.Modified, Problem: e.Problem})
		if len(frame)+len(one) > wire.MaxPayload {
			s.out.message(wire.TypeEntries, frame)
			frame = frame[:0]
		}
		frame = append(frame, one...)
		e.Path, e.Modified = "", ""
	}
	if len(frame) > 0 {
		s.out.message(wire.TypeEntries, frame)
	}
}

// entry returns the entry with the number id, which is its place in the listing.
func (s *server) entry(id uint32) *volume.Entry {
	for i := range s.medium.Volumes {
		list := s.medium.Volumes[i].Entries
		if id < uint32(len(list)) {
			return &list[id]
		}
		id -= uint32(len(list))
	}
	panic("an entry that is not in the listing")
}
