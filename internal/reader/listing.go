package reader

import (
	"errors"
	"slices"
	"strings"

	"sallyport/internal/limit"
	"sallyport/internal/medium"
	"sallyport/internal/reader/wire"
	"sallyport/internal/verdict"
)

// maxProblems of the medium and its volumes together: those that are written
// down, and for each the one that ends its walk.
const maxProblems = (limit.Volumes + 1) * (limit.Problems + 1)

// Listing is everything on a medium, as the reader found it. It is foreign:
// checked against the limits and for form, never trusted for its content.
type Listing struct {
	Size     int64  // bytes of the device
	Table    string // a word of package medium
	Volumes  []VolumeInfo
	Problems []verdict.Finding // of the medium as a whole
	Entries  []Entry           // an entry's ID is its place in this list
}

// VolumeInfo is one volume of a medium.
type VolumeInfo struct {
	Index        int
	Offset, Size int64    // bytes, as the partition table claims
	FS           string   // a word of package medium, or "" when it could not be read
	Label, ID    string   // as recorded
	Deleted      int64    // deleted entries that its folders still show
	DeletedNames []string // the paths of some of them, of the form of Entry.Path
	Problems     []verdict.Finding
}

// Entry is what has a name on the medium. Only a medium.File has content to read.
type Entry struct {
	ID       uint32
	Volume   int    // place in Listing.Volumes
	Path     string // '/'-separated, valid UTF-8, relative, no empty, "." or ".." segment
	Type     medium.Type
	Traits   medium.Traits
	Size     int64            // bytes, as recorded; of files, streams and hard links
	Modified string           // RFC 3339 without zone, as recorded, or ""
	Problem  *verdict.Finding // why it cannot be read whole, or nil
}

// About puts the entry's path in front of the place of a finding about it.
func (e *Entry) About(f verdict.Finding) verdict.Finding {
	if f.Where == "" {
		f.Where = e.Path
	} else {
		f.Where = e.Path + ": " + f.Where
	}
	return f
}

// List returns everything on the medium. It can be called once, before Read.
// The error is the finding about a medium of which nothing can be said, or
// about the reader. The listing is the caller's.
func (s *Session) List() (*Listing, error) { return s.talk.list() }

func (t *talk) list() (*Listing, error) {
	if t.err != nil {
		return nil, t.err
	}
	if t.listed {
		return nil, errors.New("cannot list the medium: it was listed before")
	}
	t.listed = true
	if err := t.send(wire.TypeList, wire.AppendList(nil, wire.Request{Size: t.size, Align: t.align, Limits: t.limits})); err != nil {
		return nil, t.stop(err)
	}
	b := listingBuilder{
		talk:    t,
		entries: limit.NewBudget("entries of a medium", t.limits.Entries),
		kept:    limit.NewBudget("bytes of texts in the listing of a medium", limit.ListingBytes),
	}
	for !b.done {
		typ, payload, err := t.in.Next()
		if err == nil {
			err = b.add(typ, payload)
		}
		if err != nil {
			return nil, t.stop(err)
		}
	}
	t.sizes = make([]int64, len(b.list.Entries))
	t.states = make([]state, len(b.list.Entries))
	for i := range b.list.Entries {
		e := &b.list.Entries[i]
		t.sizes[i] = e.Size
		if e.Type != medium.File {
			t.states[i] = folder
		}
	}
	return b.list, nil
}

// listingBuilder puts a listing together from the child's frames.
type listingBuilder struct {
	*talk
	list     *Listing // nil before the medium frame
	entries  *limit.Budget
	kept     *limit.Budget
	progress int64
	problems int
	done     bool
}

func (b *listingBuilder) add(typ wire.Type, payload []byte) error {
	if b.list == nil && typ != wire.TypeProgress && typ != wire.TypeRefuse && typ != wire.TypeMedium {
		return lie("a listing that begins with %s", typ)
	}
	switch typ {
	case wire.TypeProgress:
		n, err := wire.ParseNumber(payload)
		if err != nil {
			return err
		}
		// Progress that could go on for ever would hide a hanging child.
		if n <= b.progress || n > b.limits.MetaBytes {
			return lie("it claims %d bytes of progress after %d, of at most %d", n, b.progress, b.limits.MetaBytes)
		}
		b.pace.add(n - b.progress)
		b.progress = n
		return nil
	case wire.TypeRefuse:
		if b.list != nil {
			return lie("a refusal inside a listing")
		}
		return b.refusal(payload)
	case wire.TypeMedium:
		return b.medium(payload)
	case wire.TypeVolume, wire.TypeProblem, wire.TypeDeleted, wire.TypeEntries:
		return b.keep(typ, payload)
	case wire.TypeListed:
		b.done = true
		return wire.ParseEmpty(payload)
	}
	return lie("%s inside a listing", typ)
}

// keep takes a frame whose texts stay in memory: each of them is a part of the
// frame's one copy. A medium can have this much to say, so that it is over a
// limit and no lie.
func (b *listingBuilder) keep(typ wire.Type, payload []byte) error {
	b.pace.add(int64(len(payload)))
	if err := b.kept.Take(int64(len(payload))); err != nil {
		return verdict.New(verdict.OverLimit, "listing of the medium", "%s", err.Error())
	}
	switch typ {
	case wire.TypeVolume:
		return b.volume(payload)
	case wire.TypeProblem:
		return b.problem(payload)
	case wire.TypeDeleted:
		return b.deleted(payload)
	}
	return wire.ParseEntries(payload, b.entry)
}

func (b *listingBuilder) medium(payload []byte) error {
	m, err := wire.ParseMedium(payload)
	if err != nil {
		return err
	}
	if b.list != nil {
		return lie("two media in a listing")
	}
	if m.Size != b.size {
		return lie("it claims a medium of %d bytes, it was given one of %d", m.Size, b.size)
	}
	if !medium.KnownTable(m.Table) {
		return lie("a partition table %q", m.Table)
	}
	b.list = &Listing{Size: m.Size, Table: m.Table}
	return nil
}

func (b *listingBuilder) volume(payload []byte) error {
	v, err := wire.ParseVolume(payload)
	if err != nil {
		return err
	}
	if len(b.list.Volumes) >= limit.Volumes {
		return lie("more than %d volumes", limit.Volumes)
	}
	if len(v.Label) > limit.LabelBytes || len(v.ID) > limit.LabelBytes {
		return lie("a volume with a label of %d and an id of %d bytes, at most %d", len(v.Label), len(v.ID), limit.LabelBytes)
	}
	if v.FS != "" && !medium.KnownFileSystem(v.FS) {
		return lie("a file system %q", v.FS)
	}
	b.list.Volumes = append(b.list.Volumes, VolumeInfo{
		Index: int(v.Index), Offset: v.Offset, Size: v.Size, FS: v.FS, Label: v.Label, ID: v.ID, Deleted: v.Deleted,
	})
	return nil
}

func (b *listingBuilder) problem(payload []byte) error {
	f, err := b.finding(payload)
	if err != nil {
		return err
	}
	if b.problems++; b.problems > maxProblems {
		return lie("more than %d problems", maxProblems)
	}
	if n := len(b.list.Volumes); n > 0 {
		b.list.Volumes[n-1].Problems = append(b.list.Volumes[n-1].Problems, *f)
	} else {
		b.list.Problems = append(b.list.Problems, *f)
	}
	return nil
}

func (b *listingBuilder) deleted(payload []byte) error {
	path, err := wire.ParseDeleted(payload)
	if err != nil {
		return err
	}
	if len(b.list.Volumes) == 0 {
		return lie("a deleted entry before the first volume")
	}
	v := &b.list.Volumes[len(b.list.Volumes)-1]
	if len(v.DeletedNames) >= limit.DeletedNames || int64(len(v.DeletedNames)) >= v.Deleted {
		return lie("more names of deleted entries than there are")
	}
	if err := checkPath(path, b.limits); err != nil {
		return err
	}
	v.DeletedNames = append(v.DeletedNames, path)
	return nil
}

func (b *listingBuilder) entry(e wire.Entry) error {
	if len(b.list.Volumes) == 0 {
		return lie("entries before the first volume")
	}
	if err := b.entries.Take(1); err != nil {
		return lie("%s", err.Error())
	}
	if err := checkPath(e.Path, b.limits); err != nil {
		return err
	}
	sized := e.Type == medium.File || e.Type == medium.Stream || e.Type == medium.HardLink
	if !sized && e.Size != 0 || e.Type == medium.File && e.Size > b.limits.FileBytes && e.Problem == nil {
		return lie("the entry %s claims %d bytes", verdict.Escape(e.Path), e.Size)
	}
	for i := range len(e.Modified) {
		if c := e.Modified[i]; c <= ' ' || c > '~' || i >= 32 {
			return lie("a time that is none: %q", e.Modified)
		}
	}
	if e.Problem != nil {
		if err := mayReport(e.Problem); err != nil {
			return err
		}
	}
	if n := len(b.list.Entries); n == cap(b.list.Entries) { // append would move them three times as often
		b.list.Entries = slices.Grow(b.list.Entries, max(1024, n))
	}
	b.list.Entries = append(b.list.Entries, Entry{
		ID: uint32(len(b.list.Entries)), Volume: len(b.list.Volumes) - 1,
		Path: e.Path, Type: e.Type, Traits: e.Traits, Size: e.Size, Modified: e.Modified, Problem: e.Problem,
	})
	return nil
}

// checkPath checks the form and the sizes of a path from the child.
func checkPath(path string, l limit.Limits) error {
	bad := len(path) > l.PathBytes
	depth := -1
	for seg := range strings.SplitSeq(path, "/") {
		depth++
		bad = bad || seg == "" || seg == "." || seg == ".." || len(seg) > l.NameBytes || strings.IndexByte(seg, 0) >= 0
	}
	if bad || depth > l.Depth {
		return lie("it lists the path %s", verdict.Escape(path))
	}
	return nil
}
