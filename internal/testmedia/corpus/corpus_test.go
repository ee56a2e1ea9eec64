package corpus

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"sallyport/internal/limit"
	"sallyport/internal/medium"
	"sallyport/internal/reader"
	"sallyport/internal/verdict"
)

// counts is the number of recipes of each family. Who adds or removes one says
// so here, so that none gets lost unseen.
var counts = map[string]int{
	"partition": 147,
	"fat":       254,
	"exfat":     236,
	"ext":       229,
	"iso9660":   254,
	"ntfs":      376,
	"udf":       266,
}

const (
	recipes = "../../../testdata/media"
	// most is the peak memory of the confined reader in bytes.
	most = 64 << 20
)

func load(t *testing.T, f *Family) []Case {
	t.Helper()
	file := filepath.Join(recipes, f.Name+".recipes")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	list, err := Parse(f, filepath.Base(file), string(text))
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func TestEveryRecipeIsCounted(t *testing.T) {
	all, total, want := map[string][]Case{}, 0, 0
	for _, f := range families() {
		name, list := f.Name, load(t, f)
		all[name] = list
		if n, ok := counts[name]; !ok || len(list) != n {
			t.Errorf("%s has %d recipes, the table says %d", name, len(list), n)
		}
		total += len(list)
	}
	for _, n := range counts {
		want += n
	}
	if total != want || len(all) != len(counts) {
		t.Errorf("%d recipes of %d families, the table says %d of %d", total, len(all), want, len(counts))
	}
	files, err := filepath.Glob(filepath.Join(recipes, "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		name, ok := strings.CutSuffix(filepath.Base(file), ".recipes")
		if _, known := all[name]; !(ok && known) && name != "README.md" {
			t.Errorf("%s belongs to no family", file)
		}
	}
}

// TestCorpus hands every image to the real reader.
func TestCorpus(t *testing.T) {
	binary := buildReader(t)
	slots := make(chan struct{}, 2)
	for _, f := range families() {
		t.Run(f.Name, func(t *testing.T) {
			t.Parallel()
			groups := map[string][]Case{}
			for _, c := range load(t, f) {
				groups[c.Make] = append(groups[c.Make], c)
			}
			for line, cases := range groups {
				t.Run(strings.ReplaceAll(line, " ", ","), func(t *testing.T) {
					t.Parallel()
					base := func() Base {
						slots <- struct{}{}
						defer func() { <-slots }()
						return makeBase(t, line)
					}()
					for _, c := range cases {
						t.Run(c.Name, func(t *testing.T) {
							t.Parallel()
							slots <- struct{}{}
							defer func() { <-slots }()
							c.judge(t, base, ask(t, binary, c.Build(t, base)))
						})
					}
				})
			}
		})
	}
}

// buildReader builds the program that reads media, where every user can reach it.
func buildReader(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "corpus-test")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "sallyport-reader")
	cmd := exec.Command("go", "build", "-o", path, "sallyport/cmd/sallyport-reader")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return path
}

// answer is what the reader said of a medium.
type answer struct {
	refused *verdict.Finding
	list    *reader.Listing
	files   []content // by the number of the entry
}

// content is what came of a file: a sum and a size, or the finding that
// stopped it.
type content struct {
	read   bool
	sum    [sha256.Size]byte
	size   int64
	failed *verdict.Finding
}

// ask reads everything that can be read of an image. A reader that dies, lies
// or takes too much memory fails the test.
func ask(t *testing.T, binary, image string) answer {
	t.Helper()
	f, err := os.Open(image)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	limits := limit.Default()
	limits.Stall = 20 * time.Second
	var log bytes.Buffer
	s, err := reader.Start(context.Background(), reader.Config{Binary: binary, Limits: limits, Log: zerolog.New(&log)}, f)
	if err != nil {
		t.Fatal(err)
	}
	pid := childOf(t, &log)
	var a answer
	a.list, err = s.List()
	if err != nil {
		a.refused = finding(t, err)
	} else {
		a.read(t, s)
	}
	peak, known := peakOf(pid)
	s.Close()
	if !known && a.refused == nil {
		t.Error("the reader's memory cannot be told")
	}
	if peak >= most {
		t.Errorf("the reader took %d MiB", peak>>20)
	}
	if bytes.Contains(log.Bytes(), []byte("standard error")) {
		t.Errorf("the reader had something to say: %s", log.Bytes())
	}
	return a
}

func finding(t *testing.T, err error) *verdict.Finding {
	t.Helper()
	f, ok := verdict.Find(err)
	if !ok || f.Reason == verdict.SandboxUnavailable {
		t.Fatalf("the reader did not do its work: %v", err)
	}
	return f
}

// childOf finds the number of the child in what the session logged.
func childOf(t *testing.T, log io.Reader) int {
	t.Helper()
	for lines := bufio.NewScanner(log); lines.Scan(); {
		var entry struct{ PID int }
		if json.Unmarshal(lines.Bytes(), &entry) == nil && entry.PID != 0 {
			return entry.PID
		}
	}
	t.Fatal("the session did not log its child")
	return 0
}

// peakOf returns the peak memory of a process that still runs, in bytes.
func peakOf(pid int) (int64, bool) {
	status, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		return 0, false
	}
	for line := range strings.Lines(string(status)) {
		if kb, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			n, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(kb), " kB"), 10, 64)
			return n << 10, err == nil
		}
	}
	return 0, false
}

// read asks for every file; one with a problem only when it is small, since
// its size may be anything.
func (a *answer) read(t *testing.T, s *reader.Session) {
	t.Helper()
	a.files = make([]content, len(a.list.Entries))
	var ids []uint32
	for _, e := range a.list.Entries {
		if e.Type == medium.File && (e.Problem == nil || e.Size < 1<<30) {
			ids = append(ids, e.ID)
		}
	}
	st, err := s.Read(ids)
	for err == nil {
		var id uint32
		if id, _, err = st.Next(); err != nil {
			break
		}
		c, sum := &a.files[id], sha256.New()
		var failed error
		c.read = true
		if c.size, failed = io.Copy(sum, struct{ io.Reader }{st}); failed != nil {
			c.failed = finding(t, failed)
		}
		c.sum = [sha256.Size]byte(sum.Sum(nil))
	}
	if !errors.Is(err, io.EOF) {
		t.Fatalf("the reader did not do its work: %v", err)
	}
}
