package limit_test

import (
	"flag"
	"os"
	"strings"
	"testing"
	"time"

	"sallyport/internal/limit"
)

var update = flag.Bool("update", false, "write LIMITS.md anew")

const limitsHead = `# Limits

Under these a medium is read. Each is checked before memory is taken, a loop is begun or a folder is entered, and each has its own words in the finding, so that the operator learns which one it was. The values are those of a new station; the configuration can change the two times (` + "`[limits] stall` and `total`" + `).

`

// TestTheTableIsDocumented: LIMITS.md is what Table says. Write it anew with
// 'go test ./internal/limit -run Documented -update'.
func TestTheTableIsDocumented(t *testing.T) {
	want := limitsHead + limit.Markdown(limit.Default().Table())
	if *update {
		if err := os.WriteFile("LIMITS.md", []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile("LIMITS.md")
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("LIMITS.md is not the table; it should be\n%s", want)
	}
}

func TestTimesAreWritten(t *testing.T) {
	for d, want := range map[time.Duration]string{30 * time.Second: "30s", 10 * time.Minute: "10m", 6 * time.Hour: "6h", 90 * time.Minute: "1h30m", time.Hour + 10*time.Second: "1h0m10s"} {
		l := limit.Default()
		l.Total = d
		rows := l.Table()
		if got := rows[len(rows)-1].Most; got != want {
			t.Errorf("%v is written %q, want %q", d, got, want)
		}
	}
}

func TestEachLimitHasItsOwnWords(t *testing.T) {
	seen := map[string]bool{}
	for _, r := range limit.Default().Table() {
		if r.What == "" || r.Most == "" || r.Over == "" || seen[r.What] || strings.HasPrefix(r.Most, "0") {
			t.Errorf("row %+v", r)
		}
		seen[r.What] = true
	}
}
