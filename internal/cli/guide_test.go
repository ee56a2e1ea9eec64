package cli

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"

	"sallyport/internal/station"
)

// guides are the texts from which people type commands.
var guides = []string{"../../README.md", "../trust/CEREMONY.md"}

// commandLines returns the lines of the fenced blocks of a text, without the
// blocks of forms, comments and what continues a line.
func commandLines(t *testing.T, file string) (lines []string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	in, form := false, false
	for line := range strings.Lines(strings.ReplaceAll(string(text), "\\\n", " ")) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "```") {
			in, form = !in, line == "```text"
			continue
		}
		line, _, _ = strings.Cut(line, " # ")
		if in && !form && line != "" && !strings.HasPrefix(line, "#") {
			lines = append(lines, strings.TrimSpace(line))
		}
	}
	if in {
		t.Fatalf("%s ends inside a block", file)
	}
	return lines
}

// words splits a line as a shell does, of which the guides use little.
func words(t *testing.T, line string) (list []string) {
	t.Helper()
	for _, w := range regexp.MustCompile(`(?:'[^']*'|"[^"]*"|[^\s'"])+`).FindAllString(line, -1) {
		if strings.ContainsAny(w, "$`|;&><") && !strings.ContainsAny(w, `'"`) {
			t.Errorf("%q: a shell would do more with %q than this test knows", line, w)
		}
		list = append(list, strings.NewReplacer("'", "", `"`, "").Replace(w))
	}
	return list
}

// Every command in the guides is one that the command line knows, with flags that
// it has and all arguments that it needs. Nothing is run: some erase disks.
func TestGuidesNameCommandsThatExist(t *testing.T) {
	others := []string{"make", "lsblk", "dd", "sha256sum", "sallyport-verify"}
	for _, file := range guides {
		n := 0
		for _, line := range commandLines(t, file) {
			line = strings.TrimSuffix(line, " &")
			args := words(t, line)
			switch program := filepath.Base(args[0]); {
			case program == "sallyport":
				n++
			case slices.Contains(others, program), program == "sallyportd" && len(args) == 1:
				continue
			default:
				t.Errorf("%s: what is %q?", file, line)
				continue
			}
			parser, err := kong.New(&commands{}, kong.Vars{"kinds": station.KindNames(), "config": defaultConfig, "eventlog": eventLogPath},
				kong.Exit(func(int) { t.Errorf("%s: %q ends with a help text", file, line) }))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := parser.Parse(args[1:]); err != nil {
				t.Errorf("%s: %q: %v", file, line, err)
			}
		}
		if n < 10 {
			t.Errorf("%s: %d commands found", file, n)
		}
	}
}

// What the table of failed checks quotes is what the programs say.
func TestGuideQuotesMessagesThatExist(t *testing.T) {
	text, err := os.ReadFile("../trust/CEREMONY.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(text), "## When a check fails")
	table, _, ok := strings.Cut(table, "\n## ")
	if !ok {
		t.Fatal("the table is not there")
	}
	var source strings.Builder
	err = filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		b, err := os.ReadFile(path)
		source.Write(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	all, quoted := source.String(), 0
	for row := range strings.Lines(table) {
		cells := strings.Split(row, "|")
		if len(cells) < 4 {
			continue
		}
		for _, span := range regexp.MustCompile("`[^`]+`").FindAllString(cells[1], -1) {
			span = regexp.MustCompile(`[0-9]+ (of|must)`).ReplaceAllString(strings.Trim(span, "`"), "%d $1")
			for piece := range strings.SplitSeq(strings.ReplaceAll(span, ": ", "…"), "…") {
				quoted++
				if piece = strings.Trim(piece, " ,"); piece != "" && !strings.Contains(all, piece) {
					t.Errorf("nothing says %q: %s", piece, row)
				}
			}
		}
	}
	if quoted < 25 {
		t.Errorf("%d quotations", quoted)
	}
}
