package reader

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"sallyport/internal/limit"
	"sallyport/internal/medium"
	"sallyport/internal/reader/wire"
	"sallyport/internal/sandbox"
	"sallyport/internal/verdict"
)

// script is what a child says, frame by frame.
type script struct{ bytes.Buffer }

func (s *script) frame(t wire.Type, payload []byte) *script {
	var h [wire.HeaderBytes]byte
	wire.PutHeader(h[:], t, len(payload))
	s.Write(h[:])
	s.Write(payload)
	return s
}

func (s *script) medium() *script {
	return s.frame(wire.TypeMedium, wire.AppendMedium(nil, wire.Medium{Size: testSize, Table: "none"}))
}

func (s *script) volume() *script {
	return s.frame(wire.TypeVolume, wire.AppendVolume(nil, wire.Volume{Size: testSize, FS: "fat32", Label: "L", ID: "I"}))
}

func (s *script) named(label, id string) *script {
	return s.frame(wire.TypeVolume, wire.AppendVolume(nil, wire.Volume{FS: "fat32", Label: label, ID: id}))
}

func (s *script) problem(r verdict.Reason) *script {
	return s.frame(wire.TypeProblem, wire.AppendFinding(nil, verdict.New(r, "w", "d")))
}

func (s *script) entries(list ...wire.Entry) *script {
	var b []byte
	for _, e := range list {
		b = wire.AppendEntry(b, e)
	}
	return s.frame(wire.TypeEntries, b)
}

func (s *script) listed() *script { return s.frame(wire.TypeListed, nil) }

// listing is a good listing: a folder, a file of 10 bytes, an empty file, and
// a file of 3 bytes that is known to be damaged.
func (s *script) listing() *script {
	return s.medium().volume().entries(
		wire.Entry{Path: "A", Type: medium.Folder},
		wire.Entry{Path: "A/ten", Size: 10, Modified: "2026-11-03T20:00:00"},
		wire.Entry{Path: "empty"},
		wire.Entry{Path: "bad", Size: 3, Problem: verdict.New(verdict.FilesystemInconsistent, "", "short chain")},
	).listed()
}

const (
	idFolder, idTen, idEmpty, idBad = 0, 1, 2, 3
	testSize                        = 1 << 20
)

func (s *script) file(id uint32) *script {
	var b [4]byte
	wire.PutID(b[:], id)
	return s.frame(wire.TypeFile, b[:])
}

func (s *script) chunk(off, n int) *script {
	var b [8]byte
	wire.PutChunk(b[:], wire.Chunk{Off: uint32(off), Len: uint32(n)})
	return s.frame(wire.TypeData, b[:])
}
func (s *script) data(n int) *script { return s.chunk(0, n) }
func (s *script) turn() *script      { return s.frame(wire.TypeTurn, nil) }
func (s *script) end() *script       { return s.frame(wire.TypeEnd, nil) }
func (s *script) done() *script      { return s.frame(wire.TypeDone, nil) }
func (s *script) fail(r verdict.Reason) *script {
	return s.frame(wire.TypeFail, wire.AppendFinding(nil, verdict.New(r, "byte 7", "bad")))
}

// testRing is only read.
var testRing = make([]byte, wire.RingBytes)

func testLimits() limit.Limits {
	l := limit.Default()
	l.Entries, l.Depth, l.NameBytes, l.PathBytes, l.FileBytes, l.Bytes, l.MetaBytes = 6, 2, 20, 60, 1000, 2000, 5000
	l.Stall, l.Total = 10*time.Second, time.Minute
	return l
}

func (s *script) talk() *talk {
	t := newTalk(struct {
		io.Reader
		io.Writer
	}{&s.Buffer, io.Discard}, &ring{mem: testRing}, testLimits(), testSize)
	return &t
}

// result is what a session gave for one file.
type result struct {
	n   int
	err error // nil at the file's good end
}

// everything lists, asks for ids and reads all, and returns what came and the
// error that ended the session, nil for a good one.
func everything(t *talk, ids ...uint32) (*Listing, map[uint32]result, error) {
	list, err := t.list()
	if err != nil {
		return nil, nil, err
	}
	st, err := t.read(ids)
	if err != nil {
		return list, nil, err
	}
	got := map[uint32]result{}
	p := make([]byte, 7)
	for {
		id, _, err := st.Next()
		if err == io.EOF {
			return list, got, nil
		}
		if err != nil {
			return list, got, err
		}
		r := result{}
		for r.err == nil {
			var n int
			n, r.err = st.Read(p)
			r.n += n
		}
		if t.err != nil {
			return list, got, t.err
		}
		if r.err == io.EOF {
			r.err = nil
		}
		got[id] = r
	}
}

func TestHonestChild(t *testing.T) {
	s := new(script)
	s.frame(wire.TypeProgress, wire.AppendNumber(nil, 17)).frame(wire.TypeProgress, wire.AppendNumber(nil, 5000))
	s.listing()
	s.file(idEmpty).end().file(idTen).data(4).turn().chunk(wire.SlotBytes-6, 6).turn().end().file(idBad).data(1).fail(verdict.FilesystemInconsistent).done()
	list, got, err := everything(s.talk(), idTen, idBad, idEmpty)
	if err != nil {
		t.Fatal(err)
	}
	if e := list.Entries[idTen]; len(list.Entries) != 4 || e.ID != idTen || e.Path != "A/ten" || e.Size != 10 || e.Modified != "2026-11-03T20:00:00" || list.Size != testSize || list.Volumes[0].FS != "fat32" {
		t.Errorf("listing %+v", list)
	}
	if len(got) != 3 || got[idTen] != (result{10, nil}) || got[idEmpty] != (result{0, nil}) {
		t.Errorf("files %v", got)
	}
	if f, ok := verdict.Find(got[idBad].err); !ok || f.Reason != verdict.FilesystemInconsistent || got[idBad].n != 1 {
		t.Errorf("the damaged file gave %v", got[idBad])
	}
}

func TestStreamSkipsWhatIsNotRead(t *testing.T) {
	s := new(script)
	s.listing().file(idTen).data(10).end().file(idBad).data(3).fail(verdict.Unreadable).done()
	tk := s.talk()
	if _, err := tk.list(); err != nil {
		t.Fatal(err)
	}
	st, err := tk.read([]uint32{idBad, idTen})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []uint32{idTen, idBad} {
		if id, _, err := st.Next(); id != want || err != nil {
			t.Fatalf("Next = %d, %v, want %d", id, err, want)
		}
	}
	if _, _, err := st.Next(); err != io.EOF {
		t.Fatalf("after the last file: %v", err)
	}
}

// TestLiesCostTheMedium: whatever a child says that its parent cannot have
// asked for ends the session in sandbox-unavailable, and stays so.
func TestLiesCostTheMedium(t *testing.T) {
	entry := func(e wire.Entry) func(*script) {
		return func(s *script) { s.medium().volume().entries(e).listed() }
	}
	after := func(f func(*script)) func(*script) { return func(s *script) { f(s.listing()) } }
	number := func(n int64) []byte { return wire.AppendNumber(nil, n) }
	for name, say := range map[string]func(*script){
		"nothing at all":           func(*script) {},
		"a type that is not known": func(s *script) { s.frame(99, nil) },
		"a request":                func(s *script) { s.frame(wire.TypeList, nil) },
		"a second hello":           func(s *script) { s.frame(wire.TypeHello, nil) },
		"a huge frame":             func(s *script) { s.Write([]byte{0xff, 0xff, 0xff, 0xff, 7, 0, 0, 0}) },
		"a frame over 64 KiB":      func(s *script) { s.frame(wire.TypeEntries, make([]byte, wire.MaxPayload+1)) },
		"a header with rubbish":    func(s *script) { s.Write([]byte{0, 0, 0, 0, 4, 0, 0, 1}) },
		"half a header":            func(s *script) { s.Write([]byte{1, 0, 0}) },
		"half a message":           func(s *script) { s.Write([]byte{9, 0, 0, 0, byte(wire.TypeMedium), 0, 0, 0, 1}) },
		"content before a listing": func(s *script) { s.data(5) },
		"entries first":            func(s *script) { s.entries(wire.Entry{Path: "a"}) },
		"an end first":             func(s *script) { s.listed() },
		"another size": func(s *script) {
			s.frame(wire.TypeMedium, wire.AppendMedium(nil, wire.Medium{Size: testSize + 1, Table: "none"}))
		},
		"a made-up table": func(s *script) {
			s.frame(wire.TypeMedium, wire.AppendMedium(nil, wire.Medium{Size: testSize, Table: "apple"}))
		},
		"two media":                    func(s *script) { s.medium().medium() },
		"a made-up file system":        func(s *script) { s.medium().frame(wire.TypeVolume, wire.AppendVolume(nil, wire.Volume{FS: "zfs"})) },
		"entries without volume":       func(s *script) { s.medium().entries(wire.Entry{Path: "a"}) },
		"an empty frame of entries":    func(s *script) { s.medium().volume().frame(wire.TypeEntries, nil) },
		"bytes behind a listing's end": func(s *script) { s.medium().frame(wire.TypeListed, []byte{0}) },
		"refusal inside a listing": func(s *script) {
			s.medium().frame(wire.TypeRefuse, wire.AppendFinding(nil, verdict.New(verdict.Unreadable, "", "")))
		},
		"refusal without a reader's reason": func(s *script) {
			s.frame(wire.TypeRefuse, wire.AppendFinding(nil, verdict.New(verdict.SignatureInvalid, "", "")))
		},
		"a problem without a reader's reason":  func(s *script) { s.medium().problem(verdict.MalwareFound) },
		"a problem with a made-up reason":      func(s *script) { s.medium().problem("fine") },
		"a problem with the store":             func(s *script) { s.medium().problem(verdict.StoreFull) },
		"progress backwards":                   func(s *script) { s.frame(wire.TypeProgress, number(5)).frame(wire.TypeProgress, number(5)) },
		"progress over what may be read":       func(s *script) { s.frame(wire.TypeProgress, number(1<<62)) },
		"more entries than allowed":            func(s *script) { s.medium().volume().entries(make7()...).listed() },
		"too many problems":                    func(s *script) { s.medium(); many(s, maxProblems+1) },
		"too many volumes":                     func(s *script) { s.medium(); volumes(s, limit.Volumes+1) },
		"a volume with a long label":           func(s *script) { s.medium().named(strings.Repeat("l", limit.LabelBytes+1), "") },
		"a volume with a long id":              func(s *script) { s.medium().named("", strings.Repeat("i", limit.LabelBytes+1)) },
		"a finding with a long text":           func(s *script) { s.medium().frame(wire.TypeProblem, longFinding()) },
		"an empty path":                        entry(wire.Entry{}),
		"an absolute path":                     entry(wire.Entry{Path: "/etc/passwd"}),
		"a path with ..":                       entry(wire.Entry{Path: "a/../b"}),
		"a path with .":                        entry(wire.Entry{Path: "./b"}),
		"a path with a folder's slash":         entry(wire.Entry{Path: "a/", Type: medium.Folder}),
		"a path with NUL":                      entry(wire.Entry{Path: "a\x00b"}),
		"a long name":                          entry(wire.Entry{Path: strings.Repeat("n", 21)}),
		"a long path":                          entry(wire.Entry{Path: strings.Repeat("abcdefghijklmno/", 2) + strings.Repeat("n", 40)}),
		"a deep path":                          entry(wire.Entry{Path: "a/b/c/d"}),
		"a file over the limit":                entry(wire.Entry{Path: "a", Size: 1001}),
		"a folder with a size":                 entry(wire.Entry{Path: "a", Type: medium.Folder, Size: 1}),
		"a time with control characters":       entry(wire.Entry{Path: "a", Modified: "2026\x1b[2J"}),
		"an entry's reason":                    entry(wire.Entry{Path: "a", Problem: verdict.New(verdict.SignerUnknown, "", "")}),
		"no content":                           after(func(*script) {}),
		"content without a file":               after(func(s *script) { s.data(10) }),
		"a file that was not asked for":        after(func(s *script) { s.file(idBad) }),
		"a file that does not exist":           after(func(s *script) { s.file(4_000_000_000) }),
		"a folder as a file":                   after(func(s *script) { s.file(idFolder) }),
		"two numbers in a file frame":          after(func(s *script) { s.frame(wire.TypeFile, make([]byte, 8)) }),
		"the same file twice":                  after(func(s *script) { s.file(idTen).data(10).end().file(idTen) }),
		"one byte too many":                    after(func(s *script) { s.file(idTen).data(11) }),
		"one byte too many, later":             after(func(s *script) { s.file(idTen).data(10).data(1) }),
		"one byte too few":                     after(func(s *script) { s.file(idTen).data(9).end() }),
		"an empty chunk":                       after(func(s *script) { s.file(idTen).data(0) }),
		"a chunk over the slot's end":          after(func(s *script) { s.file(idTen).chunk(wire.SlotBytes-9, 10) }),
		"a chunk far outside":                  after(func(s *script) { s.file(idTen).chunk(1<<32-5, 10) }),
		"half a chunk":                         after(func(s *script) { s.file(idTen).frame(wire.TypeData, make([]byte, 4)) }),
		"a turn without data":                  after(func(s *script) { s.file(idEmpty).end().turn() }),
		"turns for ever":                       after(func(s *script) { s.file(idTen).data(1).turn().turn() }),
		"a turn with rubbish":                  after(func(s *script) { s.file(idTen).data(1).frame(wire.TypeTurn, []byte{1}) }),
		"a file inside a file":                 after(func(s *script) { s.file(idTen).file(idEmpty) }),
		"a stream that ends inside a file":     after(func(s *script) { s.file(idTen).data(5).done() }),
		"a stream that ends too early":         after(func(s *script) { s.file(idTen).data(10).end().done() }),
		"a connection that ends in a file":     after(func(s *script) { s.file(idTen).data(5) }),
		"a failure for another's reason":       after(func(s *script) { s.file(idTen).fail(verdict.FileAltered) }),
		"a failure with rubbish":               after(func(s *script) { s.file(idTen).frame(wire.TypeFail, []byte{255}) }),
		"a failure between files":              after(func(s *script) { s.fail(verdict.Unreadable) }),
		"an end with rubbish":                  after(func(s *script) { s.file(idTen).data(10).frame(wire.TypeEnd, []byte{1}) }),
		"a listing instead of content":         after(func(s *script) { s.listing() }),
		"a progress report instead of content": after(func(s *script) { s.file(idTen).frame(wire.TypeProgress, number(1)) }),
	} {
		t.Run(name, func(t *testing.T) {
			s := new(script)
			say(s)
			tk := s.talk()
			_, _, err := everything(tk, idTen, idEmpty)
			f, ok := verdict.Find(err)
			if !ok || f.Reason != verdict.SandboxUnavailable {
				t.Fatalf("the session ended with %v", err)
			}
			if _, _, again := everything(tk); again == nil {
				t.Error("the session goes on after a lie")
			}
		})
	}
}

func make7() []wire.Entry {
	list := make([]wire.Entry, 7)
	for i := range list {
		list[i].Path = string(rune('a' + i))
	}
	return list
}

// longFinding is a finding with one byte more than its place may have.
func longFinding() []byte {
	b := wire.AppendFinding(nil, verdict.New(verdict.Unreadable, strings.Repeat("w", wire.MaxFinding), ""))
	at := 1 + len(verdict.Unreadable)
	b = slices.Insert(b, at+2, 'w')
	binary.LittleEndian.PutUint16(b[at:], wire.MaxFinding+1)
	return b
}

// endless says the same frame for ever, after a beginning.
type endless struct {
	first *bytes.Buffer
	frame []byte
	said  int64
}

func (e *endless) Read(p []byte) (int, error) {
	if e.first.Len() > 0 {
		return e.first.Read(p)
	}
	n := copy(p, e.frame[e.said%int64(len(e.frame)):])
	e.said += int64(n)
	return n, nil
}

// TestTextsOfAListingAreBounded: a child that was taken over may say as many
// entries and problems as are allowed, each with the longest texts. The memory
// of the station does not depend on its good will.
func TestTextsOfAListingAreBounded(t *testing.T) {
	limits := limit.Default()
	limits.Stall, limits.Total = time.Minute, time.Minute
	text := strings.Repeat(strings.Repeat("p", 999)+"/", 4)[:3999]
	var e []byte
	for range 10 {
		e = wire.AppendEntry(e, wire.Entry{Path: text, Problem: verdict.New(verdict.Unreadable, text, "%s", text)})
	}
	begin := new(script).medium().volume()
	say := &endless{first: &begin.Buffer, frame: new(script).frame(wire.TypeEntries, e).Bytes()}
	tk := newTalk(struct {
		io.Reader
		io.Writer
	}{say, io.Discard}, &ring{mem: testRing}, limits, testSize)
	_, err := tk.list()
	if f, ok := verdict.Find(err); !ok || f.Reason != verdict.OverLimit {
		t.Errorf("the listing ended with %v", err)
	}
	if most := int64(limit.ListingBytes + 1<<20); say.said > most {
		t.Errorf("%d bytes were taken, at most %d should be", say.said, most)
	}
}

// TestTheLargestListingPasses: as package volume makes it at most.
func TestTheLargestListingPasses(t *testing.T) {
	limits := limit.Default()
	s := new(script)
	s.medium()
	for range limit.Volumes {
		s.named(strings.Repeat("\uFFFD", 11), "1234-5678")
	}
	for left := limits.Entries; left > 0; left -= 500 {
		list := make([]wire.Entry, 500)
		for i := range list {
			list[i] = wire.Entry{Path: fmt.Sprintf("%070d", left-int64(i)), Modified: "2026-11-03T20:00:00"}
		}
		s.entries(list...)
	}
	s.listed()
	tk := newTalk(struct {
		io.Reader
		io.Writer
	}{&s.Buffer, io.Discard}, &ring{mem: testRing}, limits, testSize)
	list, err := tk.list()
	if err != nil {
		t.Fatal(err)
	}
	if int64(len(list.Entries)) != limits.Entries || len(list.Volumes) != limit.Volumes {
		t.Errorf("%d entries, %d volumes", len(list.Entries), len(list.Volumes))
	}
}

func many(s *script, n int) {
	for range n {
		s.problem(verdict.Unreadable)
	}
}

func volumes(s *script, n int) {
	for range n {
		s.volume()
	}
}

func TestRefusalIsTheMediumsFinding(t *testing.T) {
	s := new(script)
	s.frame(wire.TypeRefuse, wire.AppendFinding(nil, verdict.New(verdict.Truncated, "byte 0", "the medium holds no bytes")))
	_, err := s.talk().list()
	if f, ok := verdict.Find(err); !ok || f.Reason != verdict.Truncated || f.Where != "byte 0" {
		t.Errorf("got %v", err)
	}
}

func TestHelloIsRequiredFirst(t *testing.T) {
	good := sandbox.Proof{Landlock: 3, Seccomp: true, NoNewPrivs: true, Denied: []string{"openat"}}
	s := new(script)
	s.frame(wire.TypeHello, wire.AppendHello(nil, good))
	if p, err := s.talk().hello(); err != nil || p.Landlock != 3 || !p.Seccomp || !p.NoNewPrivs || len(p.Denied) != 1 {
		t.Errorf("a good hello: %+v, %v", p, err)
	}
	for name, say := range map[string]func(*script){
		"nothing":         func(*script) {},
		"a listing":       func(s *script) { s.medium() },
		"content":         func(s *script) { s.data(3) },
		"another version": func(s *script) { s.frame(wire.TypeHello, []byte{9, 3, 3, 0}) },
		"unknown flags":   func(s *script) { s.frame(wire.TypeHello, []byte{wire.Version, 3, 7, 0}) },
		"a refusal": func(s *script) {
			s.frame(wire.TypeRefuse, wire.AppendFinding(nil, verdict.New(verdict.SandboxUnavailable, "", "no Landlock")))
		},
	} {
		s := new(script)
		say(s)
		if _, err := s.talk().hello(); err == nil {
			t.Errorf("%s passed for a hello", name)
		} else if f, ok := verdict.Find(err); !ok || f.Reason != verdict.SandboxUnavailable {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestCallersMistakesChangeNothing(t *testing.T) {
	s := new(script)
	s.listing().file(idTen).data(10).end().done().file(idEmpty).end().done()
	tk := s.talk()
	if _, err := tk.list(); err != nil {
		t.Fatal(err)
	}
	if _, err := tk.list(); err == nil {
		t.Error("the medium was listed twice")
	}
	for name, ids := range map[string][]uint32{
		"a folder": {idTen, idFolder}, "a number out of range": {idTen, 4}, "a file twice": {idTen, idTen},
	} {
		if _, err := tk.read(ids); err == nil {
			t.Errorf("%s was asked for", name)
		}
	}
	st, err := tk.read([]uint32{idTen})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tk.read([]uint32{idEmpty}); err == nil {
		t.Error("a second stream began inside the first")
	}
	if id, size, err := st.Next(); id != idTen || size != 10 || err != nil {
		t.Fatal(id, size, err)
	}
	if _, _, err := st.Next(); err != io.EOF {
		t.Fatal(err)
	}
	if _, err := tk.read([]uint32{idTen}); err == nil {
		t.Error("a file was asked for again")
	}
	empty, err := tk.read(nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := empty.Next(); err != io.EOF {
		t.Error(err)
	}
	st, err = tk.read([]uint32{idEmpty})
	if err != nil {
		t.Fatal(err)
	}
	if id, _, err := st.Next(); id != idEmpty || err != nil {
		t.Error(id, err)
	}
}

func TestMoreBytesThanTheLimitAreNotAskedFor(t *testing.T) {
	s := new(script)
	s.medium().volume().entries(wire.Entry{Path: "a", Size: 1000}, wire.Entry{Path: "b", Size: 1000}, wire.Entry{Path: "c", Size: 1}).listed()
	tk := s.talk()
	if _, err := tk.list(); err != nil {
		t.Fatal(err)
	}
	_, err := tk.read([]uint32{0, 1, 2})
	if f, ok := verdict.Find(err); !ok || f.Reason != verdict.OverLimit {
		t.Errorf("got %v", err)
	}
	if _, err := tk.read([]uint32{0, 1}); err != nil {
		t.Errorf("what fits was refused: %v", err)
	}
}

// FuzzParent feeds the parent whatever a child may say. It must end, keep its
// promises about sizes, and blame the child with one of a reader's reasons.
func FuzzParent(f *testing.F) {
	good := new(script)
	good.listing().file(idTen).data(4).turn().data(6).end().file(idEmpty).end().file(idBad).data(1).fail(verdict.Truncated).done()
	f.Add(good.Bytes())
	f.Add(good.Bytes()[:len(good.Bytes())-20])
	lie := new(script)
	f.Add(lie.listing().file(idTen).data(11).Bytes())
	prog := new(script)
	f.Add(prog.frame(wire.TypeProgress, wire.AppendNumber(nil, 1)).frame(wire.TypeRefuse, wire.AppendFinding(nil, verdict.New(verdict.Unreadable, "a", "b"))).Bytes())
	f.Fuzz(func(t *testing.T, said []byte) {
		s := new(script)
		s.Write(said)
		tk := s.talk()
		list, err := tk.list()
		if err != nil {
			mustBlame(t, err)
			return
		}
		if int64(len(list.Entries)) > testLimits().Entries {
			t.Fatalf("%d entries", len(list.Entries))
		}
		var ids []uint32
		for _, e := range list.Entries {
			if e.Type == medium.File && e.Size <= 300 {
				ids = append(ids, e.ID)
			}
		}
		st, err := tk.read(ids)
		if err != nil {
			t.Fatal(err)
		}
		for {
			id, size, err := st.Next()
			if err == io.EOF {
				return
			}
			if err != nil {
				mustBlame(t, err)
				return
			}
			n, err := io.Copy(io.Discard, struct{ io.Reader }{st})
			if err == nil && n != size || n > size || size != list.Entries[id].Size {
				t.Fatalf("file %d: %d bytes of %d with %v", id, n, size, err)
			}
			if err != nil {
				mustBlame(t, err)
			}
		}
	})
}

func mustBlame(t *testing.T, err error) {
	t.Helper()
	f, ok := verdict.Find(err)
	if !ok {
		t.Fatalf("no finding: %v", err)
	}
	if mayReport(f) != nil || errors.Is(err, io.EOF) {
		t.Fatalf("a finding that no reader gives: %v", err)
	}
}
