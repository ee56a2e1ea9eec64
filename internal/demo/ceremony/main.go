// Command ceremony runs the life of an election authority's trust in front of a
// newcomer: it is founded by three holders of whom two must sign, stations with
// TPMs that their maker vouches for are enrolled, and everything that can go
// wrong goes wrong once. Every document travels as the image of a medium. It
// drives the built programs from outside and believes only what they print; its
// exit status is 1 when any step ends otherwise than expected. What it reads was
// written by itself and by those programs.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"golang.org/x/sys/unix"

	"sallyport/internal/testoffice"
	"sallyport/internal/tpm/tpmtest"
)

func main() {
	bin := flag.String("bin", "bin", "folder of the built programs")
	keep := flag.String("keep", "", "leave everything in this new folder instead of removing it")
	flag.Parse()
	// Nothing here is about durability, and a station syncs often.
	const shm, room = "/dev/shm", 512 << 20 // bytes; a station keeps 64 MiB free
	var fs unix.Statfs_t
	if err := unix.Statfs(shm, &fs); err == nil && int64(fs.Bavail)*fs.Bsize > room && os.Getenv("TMPDIR") == "" {
		os.Setenv("TMPDIR", shm)
	}
	if _, err := run(os.Stdout, *bin, *keep); err != nil {
		fmt.Fprintln(os.Stderr, "ceremony:", err)
		os.Exit(1)
	}
}

// ceremony is one run.
type ceremony struct {
	out    io.Writer
	office *testoffice.Office
	rows   []row
	sticks int        // media written so far
	ran    [][]string // every command

	// maker makes the TPMs that the authority trusts; makers is the folder with
	// its certificates.
	maker  *tpmtest.Maker
	makers string
	root   string // the root document that people compared
	// The machines. newSource follows source under its id, and replacement that.
	authority, source, newSource, replacement, ems *testoffice.Station
	clerk, board, deputy                           holder
	// oldTrust is the stick with the first bundle.
	oldTrust string
}

// row is one line of the table.
type row struct{ step, want, got string }

// run plays all and returns the commands that it ran.
func run(out io.Writer, bin, keep string) (ran [][]string, err error) {
	started := time.Now()
	office, err := testoffice.Open(bin, keep)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, office.Close()) }()
	c := &ceremony{out: out, office: office}
	if err := c.acts(); err != nil {
		return nil, err
	}
	wrong, err := c.table()
	if err != nil {
		return nil, err
	}
	if wrong > 0 {
		return nil, fmt.Errorf("%d of %d steps did not end as expected", wrong, len(c.rows))
	}
	fmt.Fprintf(out, "\nAll %d steps ended as expected (%.0f s). The guide for people is internal/trust/CEREMONY.md.\n", len(c.rows), time.Since(started).Seconds())
	if keep == "" {
		return c.ran, nil
	}
	fmt.Fprintf(out, `
The office stays in %s. To go on in it:
cd %[1]s
./start                                   # its TPMs, and sallyportd at the EMS station
export PATH=%s:$PATH
sallyport inspect sticks/12-trust.img
sallyport -c authority/sallyport.toml authority status
sallyport -c ems-1/sallyport.toml quarantine list
./stop
`, office.Dir, office.Bin)
	return c.ran, office.Keep()
}

// acts plays everything. What must succeed and does not ends it, by the fatal
// problem that [testoffice.TB.Catch] knows.
func (c *ceremony) acts() (err error) {
	defer c.office.TB.Catch(&err)
	for _, act := range []struct {
		title string
		play  func()
	}{
		{"1. The authority is founded: three holders, two of them must sign", c.found},
		{"2. Two stations are enrolled, each by the challenge of its TPM", c.enrol},
		{"3. The first trust bundle goes to the stations as a medium like any other", c.first},
		{"4. The source seals with evidence, the EMS station takes it", c.seal},
		{"5. Who is not who he says he is", c.impostors},
		{"6. The source is started with another system", c.bootState},
		{"7. Old and incomplete media", c.oldMedia},
		{"8. The authority demands a second kind of signature", c.hybrid},
		{"9. The source gets a new TPM", c.handOver},
		{"10. The new machine is stolen", c.lost},
		{"11. A holder retires: the root is rotated", c.rotate},
		{"12. What the EMS station has in the end", c.end},
	} {
		fmt.Fprintf(c.out, "\n== %s\n", act.title)
		act.play()
	}
	return nil
}

// table prints all steps once more and counts those that were not expected.
func (c *ceremony) table() (wrong int, err error) {
	fmt.Fprintf(c.out, "\n== All steps\n")
	tw := tabwriter.NewWriter(c.out, 0, 4, 2, ' ', 0)
	fmt.Fprintln(tw, "STEP\tEXPECTED\tGOT\t")
	for _, r := range c.rows {
		ok := "yes"
		if r.want != r.got {
			wrong++
			ok = "NO"
		}
		fmt.Fprintf(tw, "%s\t%s\t%s\t%s\n", r.step, r.want, r.got, ok)
	}
	return wrong, tw.Flush()
}

// expect adds a line to the table, and says it now.
func (c *ceremony) expect(step, want, got string) {
	c.rows = append(c.rows, row{step, want, got})
	if want != got {
		got += ", BUT EXPECTED: " + want
	}
	fmt.Fprintf(c.out, "  => %s: %s\n", step, got)
}

// width is how many characters a line has at most, but for long names of files.
const width = 96

// say explains, in lines that fit.
func (c *ceremony) say(text string) { c.wrapped("  ", text) }

func (c *ceremony) wrapped(indent, text string) {
	line := indent
	for _, word := range strings.Fields(text) {
		if len([]rune(line+word)) > width && line != indent {
			fmt.Fprintln(c.out, strings.TrimRight(line, " "))
			line = indent
		}
		line += word + " "
	}
	fmt.Fprintln(c.out, strings.TrimRight(line, " "))
}
