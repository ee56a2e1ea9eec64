package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"sallyport/internal/intake"
	"sallyport/internal/testoffice"
	"sallyport/internal/verdict"
)

// holder is a person with a key of the authority, on a machine of his own that
// is no station.
type holder struct {
	name   string
	key    string // as it stands after --key
	secret string // file with its passphrase or PIN
}

// signs are the flags by which a command uses the holder's key.
func (h holder) signs() []string { return []string{"--key", h.key, "--secret-file", h.secret} }

// machine is where commands are run.
type machine interface {
	Run(args ...string) (out, errOut string, status int, err error)
}

// stick returns the path of a new medium's image.
func (c *ceremony) stick(name string) string {
	c.sticks++
	dir := filepath.Join(c.office.Dir, "sticks")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		c.office.TB.Fatal(err)
	}
	return filepath.Join(dir, fmt.Sprintf("%02d-%s.img", c.sticks, name))
}

// none is where a command would write that is expected to write nothing.
func (c *ceremony) none() string { return filepath.Join(c.office.Dir, "sticks", "none.img") }

// show prints a command as a person at that machine would type it.
func (c *ceremony) show(who string, args []string) {
	c.ran = append(c.ran, args)
	line := "  " + who + "$ sallyport"
	for _, a := range args {
		if a == "--json" {
			continue
		}
		a = strings.ReplaceAll(a, c.office.Dir+"/", "")
		a = strings.ReplaceAll(a, c.office.Checkout+"/testdata/elections/small/", "")
		if a == c.board.key && strings.HasPrefix(a, "pkcs11:") { // shown once in full
			a = `"$BOARD"`
		} else if strings.ContainsAny(a, " ;*") {
			a = "'" + a + "'"
		}
		if len([]rune(line))+len(a) > width-3 {
			fmt.Fprintln(c.out, line+` \`)
			line = "     "
		}
		line += " " + a
	}
	fmt.Fprintln(c.out, line)
}

// tries runs a command and returns what it printed and its exit status.
func (c *ceremony) tries(who string, m machine, args ...string) (out, errOut string, status int) {
	c.show(who, args)
	out, errOut, status, err := m.Run(args...)
	if err != nil {
		c.office.TB.Fatal(err)
	}
	return out, errOut, status
}

// does runs a command that must succeed.
func (c *ceremony) does(who string, m machine, args ...string) string {
	out, errOut, status := c.tries(who, m, args...)
	if status != 0 {
		c.office.TB.Fatalf("%s: sallyport %s: exit status %d\n%s%s", who, strings.Join(args, " "), status, out, errOut)
	}
	return out
}

// at runs a command at a station, which must succeed.
func (c *ceremony) at(s *testoffice.Station, args ...string) string {
	return c.does(filepath.Base(s.Dir), s, args...)
}

// refuses runs a command that must fail. why is the reason that it gives, or
// words in which it says it.
func (c *ceremony) refuses(step, why string, who string, m machine, args ...string) {
	c.show(who, args)
	out, errOut, status, err := m.Run(append([]string{"--json"}, args...)...)
	if err != nil {
		c.office.TB.Fatal(err)
	}
	var said struct {
		Error struct{ Code, Message string }
	}
	got := "done"
	if status != 0 {
		if err := json.Unmarshal([]byte(out), &said); err != nil {
			c.office.TB.Fatalf("%s: exit status %d and no JSON document (%v): %s%s", who, status, err, out, errOut)
		}
		got = "refused: " + said.Error.Code
		if strings.Contains(said.Error.Message, why) {
			got = "refused: " + why
		}
		c.wrapped("    ", strings.ReplaceAll(said.Error.Message, c.office.Dir+"/", ""))
	}
	c.expect(step, "refused: "+why, got)
}

// refusesAt is refuses at a station.
func (c *ceremony) refusesAt(step, why string, s *testoffice.Station, args ...string) {
	c.refuses(step, why, filepath.Base(s.Dir), s, args...)
}

// takes inserts a medium at a station. want is "accepted", or the reason for
// which it is held.
func (c *ceremony) takes(step string, s *testoffice.Station, image, want string) {
	c.show(filepath.Base(s.Dir), []string{"intake", image})
	report, _, err := s.Intake(image)
	if err != nil {
		c.office.TB.Fatal(err)
	}
	got := string(report.Verdict)
	if why := findings(report); len(why) > 0 {
		got += ": " + reasons(why)
		c.wrapped("    ", why[0].Error())
	}
	if want != string(verdict.Accepted) {
		want = string(verdict.Held) + ": " + want
	}
	if !report.Sealed {
		got += ", NOT SEALED by the TPM"
	}
	c.expect(step, want, got)
}

func findings(r *intake.Report) []verdict.Finding {
	list := r.Findings
	for _, p := range r.Packages {
		list = append(list, p.Findings...)
	}
	return list
}

// reasons lists each reason once.
func reasons(list []verdict.Finding) string {
	var out []string
	seen := map[verdict.Reason]bool{}
	for _, f := range list {
		if !seen[f.Reason] {
			seen[f.Reason] = true
			out = append(out, string(f.Reason))
		}
	}
	return strings.Join(out, ", ")
}

// sealed is what 'seal' says of a package.
type sealed struct {
	PackageID string `json:"package_id"`
	Seq       int64  `json:"seq"`
	image     string
}

// seals seals files onto a new stick for the EMS station.
func (c *ceremony) seals(s *testoffice.Station, name string, args ...string) sealed {
	p := sealed{image: c.stick(name)}
	out := c.at(s, append([]string{"--json", "seal", "--audience", c.ems.ID, "--image", p.image}, args...)...)
	if err := json.Unmarshal([]byte(out), &p); err != nil {
		c.office.TB.Fatalf("seal --json: %v: %s", err, out)
	}
	return p
}

// line finds the rest of a line of what a command printed, after a word.
func line(out, word string) string {
	for l := range strings.Lines(out) {
		if rest, ok := strings.CutPrefix(strings.TrimSpace(l), word); ok {
			return strings.TrimSpace(rest)
		}
	}
	return ""
}

// newFile writes a file that must not exist.
func (c *ceremony) newFile(path string, data []byte) string {
	_, err := os.Stat(path)
	if err == nil {
		err = os.ErrExist
	} else if errors.Is(err, os.ErrNotExist) {
		err = os.WriteFile(path, data, 0o600)
	}
	if err != nil {
		c.office.TB.Fatal(err)
	}
	return path
}
