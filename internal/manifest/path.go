package manifest

import (
	"fmt"
	"strings"

	"sallyport/internal/verdict"
)

// Limits of a path.
const (
	maxPath    = 200 // bytes, the folder data/ not counted
	maxDepth   = 6   // segments
	maxSegment = 64  // bytes
)

// CheckPath refuses what is not a path of a manifest: segments of
// [A-Za-z0-9][A-Za-z0-9._-]{0,63} joined by '/', at most 6 segments and 200
// bytes, no segment that ends in a dot and none that is the name of a DOS
// device. Such a path means the same file on every file system and system, is
// never absolute, never leaves its folder and can be put on a screen. Nothing
// is repaired. The error is a manifest-malformed finding.
func CheckPath(path string) error {
	if problem := pathProblem(path); problem != "" {
		return verdict.New(verdict.ManifestMalformed, path, "%s", problem)
	}
	return nil
}

func pathProblem(path string) string {
	if path == "" {
		return "the path is empty"
	}
	if len(path) > maxPath {
		return fmt.Sprintf("the path has %d bytes, at most %d are allowed", len(path), maxPath)
	}
	depth := 0
	for rest, more := path, true; more; depth++ {
		var segment string
		segment, rest, more = strings.Cut(rest, "/")
		if problem := segmentProblem(segment); problem != "" {
			return problem
		}
	}
	if depth > maxDepth {
		return fmt.Sprintf("the path has %d segments, at most %d are allowed", depth, maxDepth)
	}
	return ""
}

func segmentProblem(s string) string {
	switch s {
	case "":
		return "a name in the path is empty"
	case ".", "..":
		return fmt.Sprintf("%q is not allowed in a path", s)
	}
	if len(s) > maxSegment {
		return fmt.Sprintf("a name in the path has %d bytes, at most %d are allowed", len(s), maxSegment)
	}
	for i := range len(s) {
		if c := s[i]; !alphanumeric(c) && (i == 0 || c != '.' && c != '_' && c != '-') {
			return fmt.Sprintf("the byte 0x%02x is not allowed at this place of a name (letters A-Z a-z, digits, and after the first character . _ -)", c)
		}
	}
	if s[len(s)-1] == '.' {
		return "a name in the path ends in a dot"
	}
	if base, _, _ := strings.Cut(s, "."); dosDevice(base) {
		return fmt.Sprintf("%q is the name of a DOS device", base)
	}
	return ""
}

func alphanumeric(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c >= 'A' && c <= 'Z'
}

// dosDevice says whether Windows would open a device instead of a file of this
// name, whatever its extension ("Naming Files, Paths, and Namespaces").
func dosDevice(base string) bool {
	switch len(base) {
	case 3:
		switch strings.ToUpper(base) {
		case "CON", "PRN", "AUX", "NUL":
			return true
		}
	case 4:
		switch strings.ToUpper(base[:3]) {
		case "COM", "LPT":
			return base[3] >= '0' && base[3] <= '9'
		}
	}
	return false
}

// tree finds paths that cannot stand beside each other on a file system that
// ignores case: equal files, a file where another path has a folder, and one
// folder in two spellings.
type tree struct {
	names map[string]string // folded path -> path as written; folders end in '/'
	last  string            // folder of the path before, with '/'
}

func newTree(files int) *tree { return &tree{names: make(map[string]string, files+files/8)} }

// add takes a path that [CheckPath] accepts and returns what it collides with.
func (t *tree) add(path string) (problem string) {
	folded := strings.ToLower(path)
	if other, ok := t.names[folded]; ok {
		return "differs from " + other + " by nothing but case"
	}
	if _, ok := t.names[folded+"/"]; ok {
		return "is a file, and a folder of other files"
	}
	t.names[folded] = path
	folder := path[:strings.LastIndexByte(path, '/')+1]
	if folder == t.last {
		return ""
	}
	t.last = folder
	for i := 0; i < len(folder); i++ {
		if folder[i] != '/' {
			continue
		}
		if _, ok := t.names[folded[:i]]; ok {
			return "has a folder that is a file of the package too: " + path[:i]
		}
		if other, ok := t.names[folded[:i+1]]; ok && other != path[:i+1] {
			return "spells a folder in another case than " + other
		}
		t.names[folded[:i+1]] = path[:i+1]
	}
	return ""
}
