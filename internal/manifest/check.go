package manifest

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"sallyport/internal/naming"
	"sallyport/internal/verdict"
)

// check refuses a payload that FORMAT.md does not allow. Errors are findings:
// over-limit for the limits of files and bytes, manifest-malformed for all else.
func (p *Payload) check() error {
	if err := p.checkFields(); err != nil {
		return err
	}
	return p.checkFiles()
}

func malformed(where, detail string, args ...any) error {
	return verdict.New(verdict.ManifestMalformed, where, detail, args...)
}

// field is one member with the rule it must keep.
type field struct {
	name, value, rule string
	ok                func(string) bool
	optional          bool // the empty string, that is a missing member, is allowed
}

const (
	ruleHex32 = "must be 32 lower-case hexadecimal digits"
	ruleHex64 = "must be 64 lower-case hexadecimal digits"
	ruleName  = "must have 1 to 64 characters, a letter or digit first, then letters, digits or . _ -"
	ruleScope = "must have 1 to 128 characters, a letter or digit first, then letters, digits or . _ ~ : / -"
)

func (p *Payload) checkFields() error {
	if p.V != Version {
		return malformed("v", "is %d, this version of Sallyport reads only %d", p.V, Version)
	}
	for _, f := range []field{
		{"package_id", p.PackageID, ruleHex32, hex32, false},
		{"kind", string(p.Kind), fmt.Sprintf("must be one of %v", Kinds()), func(s string) bool { return slices.Contains(Kinds(), Kind(s)) }, false},
		{"jurisdiction", p.Jurisdiction, ruleScope, naming.IsScope, false},
		{"election_id", p.ElectionID, ruleScope, naming.IsScope, true},
		{"election_sha256", p.ElectionSHA256, ruleHex64, hex64, true},
		{"audience", p.Audience, "must be a station id or *", func(s string) bool { return s == AudienceAll || naming.IsName(s) }, false},
		{"stream", p.Stream, ruleName, naming.IsName, false},
		{"prev_sha256", p.PrevSHA256, ruleHex64, hex64, true},
		{"supersedes", p.Supersedes, ruleHex64, hex64, true},
		{"created.rtc", p.Created.RTC, "must be a time in UTC and whole seconds such as 2026-11-03T20:15:00Z", utcSeconds, false},
		{"signer.station_id", p.Signer.StationID, ruleName, naming.IsName, false},
		{"signer.key_id", p.Signer.KeyID, ruleHex64, hex64, false},
		{"signer.role", p.Signer.Role, ruleName, naming.IsName, false},
	} {
		if f.optional && f.value == "" {
			continue
		}
		if !f.ok(f.value) {
			return malformed(f.name, "is %.140q; it %s", f.value, f.rule)
		}
	}
	for _, n := range []struct {
		name               string
		value, least, most int64
	}{
		{"seq", p.Seq, 1, 1<<53 - 1},
		{"created.clock", p.Created.Clock, 0, 1<<53 - 1},
		{"created.reset", p.Created.Reset, 0, 1<<32 - 1},
		{"created.restart", p.Created.Restart, 0, 1<<32 - 1},
		{"trust_epoch", p.TrustEpoch, 1, 1<<53 - 1},
	} {
		if n.value < n.least || n.value > n.most {
			return malformed(n.name, "is %d, must be %d to %d", n.value, n.least, n.most)
		}
	}
	if err := p.checkElection(); err != nil {
		return err
	}
	return p.Set.check()
}

func (p *Payload) checkElection() error {
	must, may := p.Kind.Election()
	switch named := p.ElectionID != ""; {
	case named != (p.ElectionSHA256 != ""):
		return malformed("election_sha256", "election_id and election_sha256 must stand together")
	case must && !named:
		return malformed("election_id", "is missing; a package of the kind %s belongs to an election", p.Kind)
	case named && !may:
		return malformed("election_id", "is not allowed in a package of the kind %s", p.Kind)
	case p.Kind == ElectionDefinition && !slices.ContainsFunc(p.Files, func(f File) bool { return f.SHA256 == p.ElectionSHA256 }):
		return malformed("election_sha256", "must be the SHA-256 of the definition, which is one of the files")
	}
	return nil
}

func (s Set) check() error {
	switch {
	case s == Set{}:
		return nil
	case !hex32(s.ID):
		return malformed("set.id", "%s", ruleHex32)
	case !hex64(s.Root):
		return malformed("set.root", "%s", ruleHex64)
	case s.Parts < 1 || s.Parts > MaxParts:
		return malformed("set.parts", "is %d, must be 1 to %d", s.Parts, MaxParts)
	case s.Part < 1 || s.Part > s.Parts:
		return malformed("set.part", "is %d, must be 1 to %d", s.Part, s.Parts)
	}
	return nil
}

func (p *Payload) checkFiles() error {
	if len(p.Files) == 0 {
		return malformed("files", "is empty; a package holds at least one file")
	}
	if err := checkCount(len(p.Files)); err != nil {
		return err
	}
	var total int64
	paths := newTree(len(p.Files))
	for i, f := range p.Files {
		where := func() string { return "files/" + strconv.Itoa(i) + " (" + f.Path + ")" }
		if problem := pathProblem(f.Path); problem != "" {
			return malformed(where(), "%s", problem)
		}
		if i > 0 && f.Path <= p.Files[i-1].Path {
			return malformed(where(), "must come before %s, and once: files are sorted by the bytes of their paths", p.Files[i-1].Path)
		}
		if problem := paths.add(f.Path); problem != "" {
			return malformed(where(), "%s", problem)
		}
		if !hex64(f.SHA256) {
			return malformed(where(), "sha256 %s", ruleHex64)
		}
		if !mediaType(f.MediaType) {
			return malformed(where(), "media_type must be a type such as application/json in lower case, without parameters, of at most 100 characters")
		}
		if f.Size < 0 {
			return malformed(where(), "the size is %d", f.Size)
		}
		if f.Size > MaxFileBytes {
			return verdict.New(verdict.OverLimit, where(), "the size is %d bytes, at most %d are allowed for a file", f.Size, int64(MaxFileBytes))
		}
		if total += f.Size; total > MaxBytes {
			return verdict.New(verdict.OverLimit, where(), "up to here the files have %d bytes together, at most %d are allowed", total, int64(MaxBytes))
		}
	}
	if p.Totals.Files != int64(len(p.Files)) {
		return malformed("totals.files", "says %d, the list holds %d", p.Totals.Files, len(p.Files))
	}
	if p.Totals.Bytes != total {
		return malformed("totals.bytes", "says %d, the listed sizes add up to %d", p.Totals.Bytes, total)
	}
	return nil
}

func checkCount(files int) error {
	if files > MaxFiles {
		return verdict.New(verdict.OverLimit, "files", "lists %d files, at most %d are allowed in a package", files, MaxFiles)
	}
	return nil
}

func hex32(s string) bool { return len(s) == 32 && lowerHex(s) }
func hex64(s string) bool { return len(s) == 64 && lowerHex(s) }

func lowerHex(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

// mediaType accepts a restricted-name pair of RFC 6838 section 4.2 in lower case.
func mediaType(s string) bool {
	if len(s) > 100 {
		return false
	}
	slash := 0
	for i := range len(s) {
		switch c := s[i]; {
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9':
		case c == '/' && i > 0 && i < len(s)-1 && slash == 0:
			slash = i
		case i > 0 && i != slash+1 && (c == '.' || c == '+' || c == '-' || c == '_'):
		default:
			return false
		}
	}
	return slash > 0
}

func utcSeconds(s string) bool {
	const layout = "2006-01-02T15:04:05Z"
	t, err := time.Parse(layout, s)
	return err == nil && t.Format(layout) == s
}
