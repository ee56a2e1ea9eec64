package intake

import (
	"regexp"
	"slices"
	"strings"

	"sallyport/internal/manifest"
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

// maxEvidence bounds evidence.json, in bytes: a quote and a certificate chain.
const maxEvidence = 1 << 20

var packageID = regexp.MustCompile(`^[0-9a-f]{32}$`)

// litter is the closed list of what operating systems leave at the root of a
// medium. It is logged and never read; everything else outside the packages
// makes the medium file-extra.
var litter = []string{
	"System Volume Information", "$RECYCLE.BIN", "RECYCLER", "desktop.ini", "Thumbs.db", "autorun.inf.disabled",
	".Spotlight-V100", ".Trashes", ".fseventsd", ".TemporaryItems", ".DS_Store", ".apdisk", "._.Trashes", "._.TemporaryItems",
	".Trash-0", ".Trash-1000", "lost+found",
}

// folder is one package folder as the reader listed it.
type folder struct {
	id       string
	volume   int
	envelope *reader.Entry
	evidence *reader.Entry
	data     map[string]reader.Entry // by path below data/
	all      []reader.Entry          // every file below the folder
	names    map[uint32]string       // path below the package folder, by entry id
	findings findings
}

// layout is a listing sorted into packages, litter and everything else.
type layout struct {
	packages []*folder
	stray    []reader.Entry // files that belong to no package
	outside  []string       // paths of files and folders that belong to no package
	litter   []string
	findings findings // of the medium as a whole
}

// sortListing sorts a listing. It believes nothing: what does not fit is
// stray or extra.
func sortListing(l *reader.Listing) *layout {
	out := &layout{}
	out.findings.add(l.Problems...)
	for _, v := range l.Volumes {
		out.findings.add(v.Problems...)
	}
	byPlace := map[[2]any]*folder{}
	for _, e := range l.Entries {
		segs := strings.Split(e.Path, "/")
		if slices.Contains(litter, segs[0]) {
			if len(segs) == 1 {
				out.litter = append(out.litter, e.Path)
			}
			continue
		}
		if segs[0] != rootFolder || (len(segs) == 1 && !e.Dir) {
			out.addStray(e)
			continue
		}
		if len(segs) == 1 {
			continue
		}
		if !packageID.MatchString(segs[1]) || (len(segs) == 2 && !e.Dir) {
			out.addStray(e)
			continue
		}
		place := [2]any{e.Volume, segs[1]}
		f := byPlace[place]
		if f == nil {
			f = &folder{id: segs[1], volume: e.Volume, data: map[string]reader.Entry{}, names: map[uint32]string{}}
			byPlace[place] = f
			out.packages = append(out.packages, f)
		}
		if len(segs) > 2 {
			f.add(strings.Join(segs[2:], "/"), e)
		}
	}
	for _, f := range out.packages {
		f.finish()
	}
	out.crossCheck()
	return out
}

func (l *layout) addStray(e reader.Entry) {
	l.outside = append(l.outside, e.Path)
	if !e.Dir {
		l.stray = append(l.stray, e)
	}
	if e.Problem != nil {
		l.findings.add(*e.Problem)
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
		l.findings.add(*verdict.New(verdict.NoManifest, "", "there is no folder %s with a sealed package on the medium", rootFolder))
		return
	}
	for _, path := range l.outside { // beside packages, anything else is an intrusion
		l.findings.add(*verdict.New(verdict.FileExtra, path, "it stands outside the sealed packages"))
	}
}

// add takes one entry below the package folder; name is its path there.
func (f *folder) add(name string, e reader.Entry) {
	if !e.Dir {
		f.all = append(f.all, e)
		f.names[e.ID] = name
	}
	if e.Problem != nil {
		f.findings.add(*e.Problem)
	}
	switch below, inData := strings.CutPrefix(name, dataFolder); {
	case name == envelopeName && !e.Dir && f.envelope == nil:
		f.envelope = &e
	case name == evidenceName && !e.Dir && f.evidence == nil:
		f.evidence = &e
	case name == "data" && e.Dir:
	case inData && e.Dir:
		f.data[below+"/"] = e // checked against the listed files' folders
	case inData:
		if _, twice := f.data[below]; twice {
			f.findings.add(*verdict.New(verdict.FileExtra, e.Path, "two files of this name stand in one folder"))
		}
		f.data[below] = e
	default:
		f.findings.add(*verdict.New(verdict.FileExtra, e.Path, "only %s, %s and the folder data belong into a package", envelopeName, evidenceName))
	}
}

func (f *folder) finish() {
	switch {
	case f.envelope == nil:
		f.findings.add(*verdict.New(verdict.NoManifest, f.where(envelopeName), "the package has no manifest"))
	case f.envelope.Size > manifest.MaxEnvelope:
		f.findings.add(*verdict.New(verdict.OverLimit, f.where(envelopeName), "the manifest has %d bytes, at most %d are allowed", f.envelope.Size, int64(manifest.MaxEnvelope)))
	}
	if f.evidence != nil && f.evidence.Size > maxEvidence {
		f.findings.add(*verdict.New(verdict.OverLimit, f.where(evidenceName), "the evidence has %d bytes, at most %d are allowed", f.evidence.Size, maxEvidence))
	}
}

func (f *folder) where(name string) string { return rootFolder + "/" + f.id + "/" + name }

// compare holds the listing against a verified manifest: every difference is a
// finding; sizes are compared here, contents after they are stored.
func (f *folder) compare(p *manifest.Payload) {
	folders := map[string]bool{}
	listed := make(map[string]bool, len(p.Files))
	for _, want := range p.Files {
		listed[want.Path] = true
		for i := range want.Path {
			if want.Path[i] == '/' {
				folders[want.Path[:i+1]] = true
			}
		}
		switch have, ok := f.data[want.Path]; {
		case !ok:
			f.findings.add(*verdict.New(verdict.FileMissing, f.where(dataFolder+want.Path), "the manifest lists it with %d bytes", want.Size))
		case have.Size != want.Size && have.Problem == nil:
			f.findings.add(*verdict.New(verdict.FileAltered, have.Path, "it has %d bytes, signed were %d", have.Size, want.Size))
		}
	}
	for name, e := range f.data {
		if (e.Dir && !folders[name]) || (!e.Dir && !listed[name]) {
			f.findings.add(*verdict.New(verdict.FileExtra, e.Path, "the manifest does not list it"))
		}
	}
	f.findings.sort()
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
