package layout

import (
	"strings"
	"time"

	"sallyport/internal/limit"
	"sallyport/internal/medium"
	"sallyport/internal/verdict"
)

const (
	// Costs in bytes. An Entry has 80; append grows by a quarter, and the time
	// of each may be another text.
	entryCost   = 120
	folderCost  = 64
	findingCost = 96 // without its texts
	extentCost  = 16
)

// Budget is what is left for one medium; its volumes share it.
type Budget struct {
	limits  limit.Limits
	entries *limit.Budget
	bytes   *limit.Budget
	memory  *limit.Budget
}

// NewBudget returns the budget of one medium.
func NewBudget(l limit.Limits) *Budget {
	return &Budget{
		limits:  l,
		entries: limit.NewBudget("files and folders on a medium", l.Entries),
		bytes:   limit.NewBudget("bytes of files on a medium", l.Bytes),
		memory:  limit.NewBudget("bytes of memory for the listing of a medium", limit.ListingBytes),
	}
}

// Walker collects what one volume holds. A method that returns an error has
// met a limit or a device error: the walk of the volume ends there, and the
// error, always a [*verdict.Finding], becomes the volume's last problem.
type Walker struct {
	Dev    *Device
	Vol    *Volume
	Claims Claims
	Names  Names
	Recs   Records
	// Seen, if not nil, is told of each entry that is added, with the extents
	// that the parser gave, of hard links as well; they are valid until it returns.
	Seen   func(e Entry)
	budget *Budget

	text    strings.Builder // paths and times; replaced by an empty one when full
	extents []Extent        // room for extents to keep
	times   [64]struct {
		key  uint64
		text string
	}
}

// NewWalker returns a Walker that fills vol.
func NewWalker(dev *Device, vol *Volume, budget *Budget) *Walker {
	return &Walker{Dev: dev, Vol: vol, budget: budget}
}

// NewClaims makes a further map, for instance of inodes that were listed.
func (w *Walker) NewClaims(what string, n uint32) (*Claims, error) {
	c := new(Claims)
	if err := c.Init(w.budget.memory, n); err != nil {
		return nil, overLimit(what, err)
	}
	return c, nil
}

// Memory takes n bytes for what a parser keeps while it walks, named what.
func (w *Walker) Memory(what string, n int64) error {
	if err := w.budget.memory.Take(n); err != nil {
		return overLimit(what, err)
	}
	return nil
}

// Clusters makes room for the claims of n clusters.
func (w *Walker) Clusters(n uint32) error {
	if err := w.Claims.Init(w.budget.memory, n); err != nil {
		return overLimit("the map of clusters", err)
	}
	return nil
}

// Claim takes cluster i, counted from 0, and says whether it was free.
func (w *Walker) Claim(i uint32) (bool, error) {
	fresh, err := w.Claims.Claim(i)
	if err != nil {
		return false, overLimit("the map of clusters", err)
	}
	return fresh, nil
}

// Problem writes down that the volume cannot be relied on.
func (w *Walker) Problem(f *verdict.Finding) error {
	if len(w.Vol.Problems) >= limit.Problems {
		return verdict.New(verdict.OverLimit, "the volume", "it has more than %d problems; the rest was not examined", limit.Problems)
	}
	w.Vol.Problems = append(w.Vol.Problems, *f)
	return nil
}

// Inconsistent is Problem with the reason filesystem-inconsistent.
func (w *Walker) Inconsistent(where, detail string, args ...any) error {
	return w.Problem(verdict.New(verdict.FilesystemInconsistent, where, detail, args...))
}

// Folder names the folder path in a finding.
func Folder(path string) string {
	if path == "" {
		return "root folder"
	}
	return "folder " + path
}

// Add appends an entry of the folder parent. The caller may use name and
// e.Extents again; Add copies them, and it cuts the extents of a file off
// where the medium ends. It returns the path.
func (w *Walker) Add(parent string, name []byte, e Entry) (string, error) {
	b := w.budget
	n := len(name)
	if parent != "" {
		n += len(parent) + 1
	}
	for _, c := range []struct {
		what        string
		asked, most int64
	}{
		{"bytes of a name", int64(len(name)), int64(b.limits.NameBytes)},
		{"bytes of a path", int64(n), int64(b.limits.PathBytes)},
		{"folders below each other", depth(parent), int64(b.limits.Depth)},
	} {
		if err := limit.Check(c.what, c.asked, c.most); err != nil {
			return "", overLimit(Folder(parent), err)
		}
	}
	if err := b.entries.Take(1); err != nil {
		return "", overLimit(Folder(parent), err)
	}
	given := e
	if e.Type != medium.File {
		e.Extents = nil
	} else if err := limit.Check("bytes of a file", e.Size, b.limits.FileBytes); err != nil {
		if e.Extents = nil; e.Problem == nil {
			e.Problem = overLimit("the file", err)
		}
	} else if err := b.bytes.Take(e.Size); err != nil {
		return "", overLimit(Folder(parent), err)
	}
	w.cut(&e)
	cost := entryCost + int64(n) + int64(len(e.Extents))*extentCost
	if e.Type == medium.Folder {
		cost += folderCost
	}
	if e.Problem != nil {
		cost += findingCost + int64(len(e.Problem.Where)+len(e.Problem.Detail))
	}
	if err := b.memory.Take(cost); err != nil {
		return "", overLimit(Folder(parent), err)
	}
	e.Path = w.path(parent, name, n)
	e.Extents = w.keep(e.Extents)
	w.Vol.Entries = append(w.Vol.Entries, e)
	if w.Seen != nil {
		given.Path = e.Path
		w.Seen(given)
	}
	return e.Path, nil
}

// Deleted counts a deleted entry of the folder parent and keeps its name while
// there is room and it is within the limits; a name that cannot be told is "".
func (w *Walker) Deleted(parent string, name []byte) error {
	w.Vol.Deleted++
	n, l := len(parent)+1+len(name), &w.budget.limits
	if len(name) == 0 || len(w.Vol.DeletedNames) >= limit.DeletedNames ||
		n > l.PathBytes || len(name) > l.NameBytes || depth(parent) > int64(l.Depth) {
		return nil
	}
	if err := w.budget.memory.Take(int64(n) + extentCost); err != nil {
		return overLimit(Folder(parent), err)
	}
	if parent == "" {
		n = len(name)
	}
	w.Vol.DeletedNames = append(w.Vol.DeletedNames, w.path(parent, name, n))
	return nil
}

func overLimit(where string, err error) *verdict.Finding {
	return verdict.New(verdict.OverLimit, where, "%s", err.Error())
}

// depth returns how many folders an entry of the folder parent is below the root.
func depth(parent string) int64 {
	if parent == "" {
		return 0
	}
	return int64(strings.Count(parent, "/")) + 1
}

// cut leaves of e's extents what is on the medium.
func (w *Walker) cut(e *Entry) {
	for i, x := range e.Extents {
		if x.Off == Zeros || x.Off+x.Len <= w.Dev.Size() {
			continue
		}
		if e.Problem == nil {
			e.Problem = verdict.New(verdict.Truncated, At("content of the file", max(x.Off, w.Dev.Size())),
				"the medium ends at byte %d, inside or before the file", w.Dev.Size())
		}
		if e.Extents = e.Extents[:i]; x.Off < w.Dev.Size() {
			e.Extents = append(e.Extents, Extent{x.Off, w.Dev.Size() - x.Off})
		}
		return
	}
}

// room makes sure that n bytes fit into w.text without moving it, so that the
// strings handed out share its memory.
func (w *Walker) room(n int) {
	if w.text.Cap()-w.text.Len() < n {
		w.text = strings.Builder{}
		w.text.Grow(max(n, 64<<10))
	}
}

func (w *Walker) path(parent string, name []byte, n int) string {
	w.room(n)
	start := w.text.Len()
	if parent != "" {
		w.text.WriteString(parent)
		w.text.WriteByte('/')
	}
	w.text.Write(name)
	return w.text.String()[start:]
}

func (w *Walker) keep(list []Extent) []Extent {
	if len(list) == 0 {
		return nil
	}
	if len(list) > 512 {
		return append(make([]Extent, 0, len(list)), list...)
	}
	if cap(w.extents)-len(w.extents) < len(list) {
		w.extents = make([]Extent, 0, 4096)
	}
	start := len(w.extents)
	w.extents = append(w.extents, list...)
	return w.extents[start:len(w.extents):len(w.extents)]
}

// DOSTime renders a DOS date and time (FAT specification section 6.3) with
// extra seconds, or "" when they are not a time.
func (w *Walker) DOSTime(date, clock uint16, extra int) string {
	key := uint64(date)<<24 | uint64(clock)<<8 | uint64(extra)
	slot := &w.times[key*0x9E3779B97F4A7C15>>58]
	if slot.text != "" && slot.key == key {
		return slot.text
	}
	y, m, d := int(date>>9)+1980, time.Month(date>>5&15), int(date&31)
	hh, mm, ss := int(clock>>11), int(clock>>5&63), int(clock&31)*2+extra
	t := time.Date(y, m, d, hh, mm, ss, 0, time.UTC)
	if t.Month() != m || t.Day() != d || t.Hour() != hh || t.Minute() != mm || t.Second() != ss {
		return ""
	}
	const form = "2006-01-02T15:04:05"
	w.room(len(form))
	start := w.text.Len()
	var buf [len(form)]byte
	w.text.Write(t.AppendFormat(buf[:0], form))
	slot.key, slot.text = key, w.text.String()[start:]
	return slot.text
}
