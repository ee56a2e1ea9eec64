package corpus

import (
	"crypto/sha256"
	"maps"
	"strings"
	"testing"

	"sallyport/internal/medium"
	"sallyport/internal/reader"
	"sallyport/internal/testmedia"
	"sallyport/internal/verdict"
)

// A judgement that lets something pass would make each recipe worth less, so
// every way in which an answer can be wrong has to be a complaint.
func TestNothingPassesTheJudgement(t *testing.T) {
	base := Base{Volumes: []testmedia.Files{{"A": []byte("a"), "B": []byte("bb"), "EMPTY/": nil}}}
	// good is the answer about a medium that has what the base has.
	good := func() answer {
		return answer{
			list: &reader.Listing{
				Volumes: make([]reader.VolumeInfo, 1),
				Entries: []reader.Entry{{Path: "A", Size: 1}, {Path: "EMPTY", Type: medium.Folder}, {Path: "B", Size: 2}},
			},
			files: []content{{true, sha256.Sum256([]byte("a")), 1, nil}, {}, {true, sha256.Sum256([]byte("bb")), 2, nil}},
		}
	}
	bad := verdict.New(verdict.FilesystemInconsistent, "there", "it is bad")
	cut := verdict.New(verdict.Truncated, "there", "it is cut")
	volumeBad := func(a *answer) { a.list.Volumes[0].Problems = []verdict.Finding{*bad} }
	fileBad := func(a *answer) { a.list.Entries[2].Problem, a.files[2].failed = bad, bad }
	for name, c := range map[string]struct {
		expect string // lines, separated by ';'
		change func(a *answer)
		want   string // a complaint, or "" for none
	}{
		"all is well":            {"clean; holds file 2; holds folder 1; deleted 0", func(*answer) {}, ""},
		"a volume as stated":     {"volume filesystem-inconsistent \"it is bad\"", volumeBad, ""},
		"a file as stated":       {"file B filesystem-inconsistent \"it is bad\"", fileBad, ""},
		"any file as stated":     {"file * filesystem-inconsistent \"it is bad\"", fileBad, ""},
		"refused as stated":      {"refused truncated \"it is cut\"", func(a *answer) { *a = answer{refused: cut} }, ""},
		"a place as stated":      {"volume 0 filesystem-inconsistent \"there: it\"", volumeBad, ""},
		"altered as stated":      {"altered A", func(a *answer) { a.files[0].sum[0]++ }, ""},
		"missing as stated":      {"missing B", func(a *answer) { a.list.Entries, a.files = a.list.Entries[:2], a.files[:2] }, ""},
		"refused":                {"clean", func(a *answer) { *a = answer{refused: cut} }, "levels and reasons"},
		"a volume":               {"clean", volumeBad, "levels and reasons"},
		"a medium":               {"clean", func(a *answer) { a.list.Problems = []verdict.Finding{*bad} }, "levels and reasons"},
		"a file":                 {"clean", fileBad, "levels and reasons"},
		"nothing":                {"volume filesystem-inconsistent \"it is bad\"", func(*answer) {}, "levels and reasons"},
		"another text":           {"volume filesystem-inconsistent \"it is good\"", volumeBad, "nothing fits"},
		"another reason":         {"volume truncated \"it is bad\"", volumeBad, "nothing fits"},
		"another volume":         {"volume 1 filesystem-inconsistent \"it is bad\"", volumeBad, "nothing fits"},
		"another level":          {"medium filesystem-inconsistent \"it is bad\"", volumeBad, "nothing fits"},
		"another file":           {"file A filesystem-inconsistent \"it is bad\"", fileBad, "nobody expected"},
		"one reason too many":    {"volume filesystem-inconsistent \"it is bad\"", func(a *answer) { volumeBad(a); a.list.Problems = []verdict.Finding{*cut} }, "levels and reasons"},
		"a failure while read":   {"clean", func(a *answer) { a.files[0].failed = cut }, "levels and reasons"},
		"another content":        {"clean", func(a *answer) { a.files[0].sum[0]++ }, "another content"},
		"another size":           {"clean", func(a *answer) { a.files[0].size++ }, "bytes were read"},
		"a file less":            {"clean", func(a *answer) { a.list.Entries, a.files = a.list.Entries[:2], a.files[:2] }, "B is missing"},
		"a file more":            {"clean", func(a *answer) { a.list.Entries[1].Type = medium.Symlink }, "nobody put"},
		"a volume more":          {"clean", func(a *answer) { a.list.Volumes = append(a.list.Volumes, reader.VolumeInfo{}) }, "which nobody made"},
		"not read":               {"clean", func(a *answer) { a.files[0] = content{} }, "was not read"},
		"read in spite of it":    {"file B filesystem-inconsistent \"bad\"", func(a *answer) { a.list.Entries[2].Problem = bad }, "was read without one"},
		"another number":         {"holds symlink 1", func(*answer) {}, "holds 0 of type symlink"},
		"another number deleted": {"deleted 2", func(a *answer) { a.list.Volumes[0].Deleted = 1 }, "1 deleted entries"},
	} {
		text := "case x\n  make zeros\n  expect " + strings.Join(strings.Split(c.expect, "; "), "\n  expect ") + "\n"
		list, err := Parse(partitionFamily(), "x", text)
		if err != nil {
			t.Fatal(err)
		}
		a := good()
		c.change(&a)
		j := judgement{Case: &list[0], answer: a, all: a.said()}
		got := strings.Join(j.complaints(Base{Volumes: []testmedia.Files{maps.Clone(base.Volumes[0])}}), "\n")
		if c.want == "" && got != "" || !strings.Contains(got, c.want) {
			t.Errorf("%s: %q", name, got)
		}
	}
}
