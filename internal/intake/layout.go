package intake

import (
	"regexp"
	"slices"
	"strings"

	"sallyport/internal/limit"
	"sallyport/internal/manifest"
	"sallyport/internal/medium"
	"sallyport/internal/reader"
	"sallyport/internal/verdict"
)

// Names of a sealed package on a medium (design section 4).
const (
	rootFolder   = "SALLYPORT"
	envelopeName = "manifest.dsse.json"
	evidenceName = "evidence.json"
	dataFolder   = "data/"
)

var packageID = regexp.MustCompile(`^[0-9a-f]{32}$`)

// litter is the closed list of what operating systems leave at the root of a
// medium. It is logged and never read; everything else outside the packages
// makes the medium file-extra.
var litter = []string{
	"System Volume Information", "$RECYCLE.BIN", "RECYCLER", "desktop.ini", "Thumbs.db", "autorun.inf.disabled",
	".Spotlight-V100", ".Trashes", ".fseventsd", ".TemporaryItems", ".DS_Store", ".apdisk", "._.Trashes", "._.TemporaryItems",
	".Trash-0", ".Trash-1000", "lost+found",
}

// folder is one package folder as the reader listed it. A listing may have
// hundreds of thousands of entries, so nothing of it is copied here: entries are
// numbers into the listing and names are parts of its paths.
type folder struct {
	id       string
	listing  *reader.Listing
	prefix   int      // bytes of a path before the name in the package
	entries  []uint32 // everything below the folder, sorted by name
	envelope *reader.Entry
	evidence *reader.Entry
	findings findings
}

// name is an entry's path below the package folder.
func (f *folder) name(e *reader.Entry) string { return e.Path[f.prefix:] }

// layout is a listing sorted into packages, litter and everything else.
type layout struct {
	listing  *reader.Listing
	packages []*folder
	stray    []uint32 // files that belong to no package
	outside  []uint32 // files and folders that belong to no package
	litter   []string
	findings findings // of the medium as a whole
}

// sortListing sorts a listing. It believes nothing: what does not fit is
// stray or extra.
func sortListing(l *reader.Listing) *layout {
	out := &layout{listing: l}
	out.findings.add(l.Problems...)
	for _, v := range l.Volumes {
		out.findings.add(v.Problems...)
	}
	type place struct {
		volume int
		id     string
	}
	folders := map[place]*folder{}
	for i := range l.Entries {
		e := &l.Entries[i]
		top, below, deeper := strings.Cut(e.Path, "/")
		if slices.Contains(litter, top) {
			if !deeper {
				out.litter = append(out.litter, e.Path)
			}
			continue
		}
		if top == rootFolder && !deeper && e.Type == medium.Folder {
			if e.Problem != nil {
				out.findings.add(e.About(*e.Problem))
			}
			continue
		}
		id, _, inside := strings.Cut(below, "/")
		if top != rootFolder || !packageID.MatchString(id) || (!inside && e.Type != medium.Folder) {
			out.addStray(e)
			continue
		}
		f := folders[place{e.Volume, id}]
		if f == nil {
			f = &folder{id: id, listing: l, prefix: len(rootFolder) + 1 + len(id) + 1}
			folders[place{e.Volume, id}] = f
			out.packages = append(out.packages, f)
		}
		if inside {
			f.entries = append(f.entries, e.ID)
		} else if e.Problem != nil {
			f.findings.add(e.About(*e.Problem))
		}
	}
	for _, f := range out.packages {
		f.sort()
	}
	out.crossCheck()
	return out
}

func (l *layout) addStray(e *reader.Entry) {
	l.outside = append(l.outside, e.ID)
	if e.Type == medium.File {
		l.stray = append(l.stray, e.ID)
	}
	if e.Problem != nil {
		l.findings.add(e.About(*e.Problem))
	}
}

// crossCheck finds packages that stand on the medium twice, and media without any.
func (l *layout) crossCheck() {
	seen := map[string]*folder{}
	for _, f := range l.packages {
		if first := seen[f.id]; first != nil {
			for _, twin := range []*folder{first, f} {
				twin.findings.add(*verdict.New(verdict.FileExtra, f.id, "the package stands on this medium twice"))
			}
		}
		seen[f.id] = f
	}
	if len(l.packages) == 0 {
		if !l.findings.none() { // what cannot be read may well hold a package
			return
		}
		l.findings.add(*verdict.New(verdict.NoManifest, "", "there is no folder %s with a sealed package on the medium", rootFolder))
		return
	}
	for _, id := range l.outside { // beside packages, anything else is an intrusion
		l.findings.add(*verdict.New(verdict.FileExtra, l.listing.Entries[id].Path, "%s outside the sealed packages", l.listing.Entries[id].Type))
	}
}

// sort brings the entries into the order of a manifest and finds what may not
// stand in a package folder at all.
func (f *folder) sort() {
	entry := func(id uint32) *reader.Entry { return &f.listing.Entries[id] }
	slices.SortFunc(f.entries, func(a, b uint32) int { return strings.Compare(f.name(entry(a)), f.name(entry(b))) })
	for i, id := range f.entries {
		e := entry(id)
		name := f.name(e)
		if e.Problem != nil {
			f.findings.add(e.About(*e.Problem))
		}
		twice := i > 0 && name == f.name(entry(f.entries[i-1]))
		switch {
		case twice:
			f.findings.add(*verdict.New(verdict.FileExtra, e.Path, "two entries of this name stand in one folder"))
		case name == envelopeName && e.Type == medium.File:
			f.envelope = e
		case name == evidenceName && e.Type == medium.File:
			f.evidence = e
		case name == strings.TrimSuffix(dataFolder, "/") && e.Type == medium.Folder:
		case strings.HasPrefix(name, dataFolder): // compared with the manifest
		default:
			f.findings.add(*verdict.New(verdict.FileExtra, e.Path, "only %s, %s and the folder data belong into a package", envelopeName, evidenceName))
		}
	}
	switch {
	case f.envelope == nil:
		f.findings.add(*verdict.New(verdict.NoManifest, f.where(envelopeName), "the package has no manifest"))
	case f.envelope.Size > manifest.MaxEnvelope:
		f.findings.add(*verdict.New(verdict.OverLimit, f.where(envelopeName), "the manifest has %d bytes, at most %d are allowed", f.envelope.Size, int64(manifest.MaxEnvelope)))
	}
	if f.evidence != nil && f.evidence.Size > limit.EvidenceBytes {
		f.findings.add(*verdict.New(verdict.OverLimit, f.where(evidenceName), "the evidence has %d bytes, at most %d are allowed", f.evidence.Size, limit.EvidenceBytes))
	}
}

func (f *folder) where(name string) string { return rootFolder + "/" + f.id + "/" + name }

// compare holds the listing against a verified manifest, both sorted by path:
// every difference is a finding; sizes are compared here, contents after they
// are stored.
func (f *folder) compare(p *manifest.Payload) {
	missing := func(want manifest.File) {
		f.findings.add(*verdict.New(verdict.FileMissing, f.where(dataFolder+want.Path), "the manifest lists it with %d bytes", want.Size))
	}
	next := 0
	for _, id := range f.entries {
		e := &f.listing.Entries[id]
		path, ok := strings.CutPrefix(f.name(e), dataFolder)
		if !ok {
			continue
		}
		if e.Type != medium.File && e.Type != medium.Folder {
			f.findings.add(*verdict.New(verdict.FileExtra, e.Path, "it is %s; a sealed package has files and folders alone", e.Type))
			continue
		}
		if e.Type == medium.Folder {
			if !hasFolder(p.Files, path+"/") {
				f.findings.add(*verdict.New(verdict.FileExtra, e.Path, "no listed file stands in this folder"))
			}
			continue
		}
		for ; next < len(p.Files) && p.Files[next].Path < path; next++ {
			missing(p.Files[next])
		}
		if next == len(p.Files) || p.Files[next].Path != path {
			f.findings.add(*verdict.New(verdict.FileExtra, e.Path, "the manifest does not list it"))
			continue
		}
		if want := p.Files[next]; e.Size != want.Size && e.Problem == nil {
			f.findings.add(*verdict.New(verdict.FileAltered, e.Path, "it has %d bytes, signed were %d", e.Size, want.Size))
		}
		next++
	}
	for ; next < len(p.Files); next++ {
		missing(p.Files[next])
	}
	f.findings.sort()
}

// hasFolder says whether a listed file stands below the folder, which ends in '/'.
func hasFolder(files []manifest.File, folder string) bool {
	i, _ := slices.BinarySearchFunc(files, folder, func(f manifest.File, folder string) int { return strings.Compare(f.Path, folder) })
	return i < len(files) && strings.HasPrefix(files[i].Path, folder)
}

// findings collects reasons, the first few of each kind in full: a medium with
// a hundred thousand extra files needs one line, not as many.
type findings struct {
	list []verdict.Finding
	more map[verdict.Reason]int64
}

// most is how many findings of one reason are kept.
const most = 8

func (fs *findings) add(more ...verdict.Finding) {
	for _, f := range more {
		if !f.Reason.Valid() { // cannot come from our own packages; never let it pass
			f.Reason = verdict.SandboxUnavailable
		}
		if slices.Contains(fs.list, f) {
			continue
		}
		n := 0
		for _, have := range fs.list {
			if have.Reason == f.Reason {
				n++
			}
		}
		if n < most {
			fs.list = append(fs.list, f)
			continue
		}
		if fs.more == nil {
			fs.more = map[verdict.Reason]int64{}
		}
		fs.more[f.Reason]++
	}
}

// merge adds what other collected, and what it left out.
func (fs *findings) merge(other *findings) {
	fs.add(other.list...)
	for r, n := range other.more {
		if fs.more == nil {
			fs.more = map[verdict.Reason]int64{}
		}
		fs.more[r] += n
	}
}

// forget drops the findings that match.
func (fs *findings) forget(match func(verdict.Finding) bool) {
	fs.list = without(fs.list, match)
	for r := range fs.more {
		if match(verdict.Finding{Reason: r}) {
			delete(fs.more, r)
		}
	}
}

func without(list []verdict.Finding, match func(verdict.Finding) bool) []verdict.Finding {
	return slices.DeleteFunc(slices.Clone(list), match)
}

// suspect says whether a device that has gone would explain a finding.
func (fs *findings) suspect() bool { return slices.ContainsFunc(fs.list, consequence) }

func (fs *findings) none() bool { return len(fs.list) == 0 }

func (fs *findings) sort() {
	slices.SortStableFunc(fs.list, func(a, b verdict.Finding) int {
		if c := strings.Compare(string(a.Reason), string(b.Reason)); c != 0 {
			return c
		}
		return strings.Compare(a.Where, b.Where)
	})
}

// all returns the findings, with one line for those left out.
func (fs *findings) all() []verdict.Finding {
	out := slices.Clone(fs.list)
	for _, r := range verdict.All() {
		if n := fs.more[r]; n > 0 {
			out = append(out, *verdict.New(r, "", "and %d more", n))
		}
	}
	return out
}
