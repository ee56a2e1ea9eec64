package verifycmd_test

import (
	"slices"
	"strings"
	"testing"
)

// tampering is one edit of a log, and what must come of it.
type tampering struct {
	name string
	// do tampers, and returns all lines that sallyport-verify must call damage by
	// their beginnings: the place (entry, file, byte), and what is wrong there.
	do func(p *tape) []string
	// start is what the station's start must say: nothing where FORMAT.md leaves it
	// to the checker, or the same place, or these words.
	start string
}

const (
	same      = "same"  // the start names the first of the lines
	more      = "more"  // in the place of a last line: others may follow
	unchecked = "never" // in the place of a first line: the log cannot be checked; the next are its words
)

// tamperings is how many there are: none may be lost by mistake.
const tamperings = 103

func TestEveryTamperingIsNamedAndLocated(t *testing.T) {
	const origin = "sallyport/us/maple-county/ems-1"
	tpm := newSoftTPM(t)
	p := record(t, tpm, origin, "s-1")
	p.twin = record(t, tpm, origin, "t-1")
	p.foreign = record(t, newSoftTPM(t), origin, "f-1")
	p.stranger = record(t, newSoftTPM(t), "sallyport/us/maple-county/ems-9", "g-1")
	all := slices.Concat(bitTampering(), changedTampering(), orderTampering(), cutTampering(), segmentTampering(),
		checkpointTampering(), checkpointsTampering(), forgedTampering(), anchorTampering())
	if len(all) != tamperings {
		t.Errorf("%d tamperings, want %d", len(all), tamperings)
	}
	intact := tampering{"nothing", func(*tape) []string { return nil }, ""}
	names := map[string]bool{}
	for _, c := range append(all, intact) {
		if names[c.name] {
			t.Errorf("%q is there twice", c.name)
		}
		names[c.name] = true
		t.Run(c.name, func(t *testing.T) {
			p := p.copyTo(t)
			c.check(t, p, c.do(p))
		})
	}
}

func (c tampering) check(t *testing.T, p *tape, want []string) {
	code, stdout, stderr := run(t, "log", p.dir, "--identity", p.id)
	got := damageLines(stdout)
	switch {
	case len(want) == 0:
		if code != 0 || len(got) > 0 || !strings.Contains(stdout, "INTACT: all 38 sealed entries") || !strings.Contains(stdout, "4 checkpoint(s), the TPM's counter at 11") {
			t.Fatalf("an honest log: exit code %d\n%s%s", code, stdout, stderr)
		}
	case want[0] == unchecked:
		if code != 5 || !strings.Contains(stdout, "NOT CHECKED") || !strings.Contains(stdout, want[1]) {
			t.Errorf("exit code %d, want 5 with %q\n%s%s", code, want[1], stdout, stderr)
		}
	default:
		if code != 3 || !strings.Contains(stdout, "DAMAGED: ") {
			t.Errorf("exit code %d, want 3\n%s%s", code, stdout, stderr)
		}
		open := want[len(want)-1] == more
		if open {
			want = want[:len(want)-1]
		}
		for i, w := range want {
			if i >= len(got) || !strings.HasPrefix(got[i], w) {
				t.Errorf("line %d does not say %q", i+1, w)
			}
		}
		if len(got) != len(want) && !open {
			t.Errorf("%d lines, want %d", len(got), len(want))
		}
		if t.Failed() {
			t.Logf("%s", strings.Join(got, "\n"))
		}
	}
	if sealed, err := second(p.dir, p.id); (err == nil) != (len(want) == 0) || err == nil && sealed != tapeSealed {
		t.Errorf("the second implementation says %d sealed, %v", sealed, err)
	}
	says := p.start()
	start := c.start
	if start == same {
		start, _, _ = strings.Cut(want[0], ": ")
	}
	if (start == "") != (says == "") || !strings.Contains(says, start) {
		t.Errorf("the start says %q, want %q", says, start)
	}
}
