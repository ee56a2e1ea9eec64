// Command demo runs Sallyport's main job in front of a newcomer: three stations
// with a software TPM each, sealed packages on real file systems, a dozen media
// good and bad inserted into a running daemon, and an independent check of the
// log. It drives the built programs from outside and believes only what they
// print; its exit status is 1 when any verdict differs from what is expected.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"sallyport/internal/intake"
	"sallyport/internal/testoffice"
	"sallyport/internal/verdict"
)

func main() {
	bin := flag.String("bin", "bin", "folder of the built programs")
	keep := flag.String("keep", "", "leave everything in this new folder instead of removing it")
	flag.Parse()
	if err := run(*bin, *keep); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

func run(bin, keep string) (err error) {
	started := time.Now()
	office, err := testoffice.Open(bin, keep)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, office.Close()) }()
	step("Three stations and a stranger, each with its own TPM (swtpm)")
	trust, err := office.Found()
	if err != nil {
		return err
	}
	fmt.Print(trust)
	step("The source seals an election definition and cast vote records")
	media, err := makeMedia(office)
	if err != nil {
		return err
	}
	step("sallyportd runs on the EMS station; %d media are inserted", len(media))
	if err := office.EMS.StartDaemon(); err != nil {
		return err
	}
	wrong, err := insertAll(office, media)
	if err != nil {
		return err
	}
	for _, show := range [][]string{{"ems", "tally"}, {"quarantine", "list"}, {"status"}} {
		step("sallyport %s", strings.Join(show, " "))
		out, err := office.EMS.Sallyport(show...)
		if err != nil {
			return err
		}
		fmt.Print(out)
	}
	step("sallyport-verify log: the log, checked by a program that has only the public key")
	checked, err := office.EMS.CheckLog()
	fmt.Print(checked)
	if err != nil {
		return err
	}
	if err := checkTally(office); err != nil {
		return err
	}
	if wrong > 0 {
		return fmt.Errorf("%d of %d verdicts are not what was expected", wrong, len(media))
	}
	fmt.Printf("\nAll %d verdicts are as expected, the tally equals the generator's own count, and the log is intact (%.0f s).\n", len(media), time.Since(started).Seconds())
	return nil
}

func step(format string, args ...any) {
	fmt.Printf("\n== %s\n", fmt.Sprintf(format, args...))
}

// medium is one row of the table.
type medium struct {
	name  string
	image string
	want  verdict.Verdict
	// reason must be among the reasons; empty for accepted media.
	reason verdict.Reason
	exit   int
}

// insertAll inserts the media one by one and prints the table; it returns how
// many verdicts differ from what is expected.
func insertAll(o *testoffice.Office, media []medium) (wrong int, err error) {
	tw := tabwriter.NewWriter(os.Stdout, 0, 4, 2, ' ', 0)
	fmt.Fprintln(tw, "MEDIUM\tVERDICT\tREASONS\tEXIT\tAS EXPECTED")
	for _, m := range media {
		image, err := label(o, m)
		if err != nil {
			return wrong, err
		}
		report, exit, err := o.EMS.Intake(image)
		if err != nil {
			return wrong, fmt.Errorf("%s: %w", m.name, err)
		}
		ok := "yes"
		if !m.matches(report, exit) {
			wrong++
			ok = fmt.Sprintf("NO: want %s %s, exit %d", m.want, m.reason, m.exit)
		}
		fmt.Fprintf(tw, "%s\t%s\t%s\t%d\t%s\n", m.name, report.Verdict, strings.Join(reasons(report), ", "), exit, ok)
	}
	return wrong, tw.Flush()
}

// label gives the image a name by which the quarantine list shows it.
func label(o *testoffice.Office, m medium) (string, error) {
	name := strings.Map(func(r rune) rune {
		if r == ' ' || r == '-' || (r >= '0' && r <= '9') || (r >= 'A' && r <= 'Z') || (r >= 'a' && r <= 'z') {
			return r
		}
		return -1
	}, m.name)
	path := filepath.Join(o.TB.TempDir(), strings.ReplaceAll(name, " ", "-")+".img")
	return path, os.Rename(m.image, path)
}

func (m *medium) matches(r *intake.Report, exit int) bool {
	list := reasons(r)
	if m.reason == "" {
		return r.Verdict == m.want && exit == m.exit && len(list) == 0 && r.Sealed
	}
	return r.Verdict == m.want && exit == m.exit && len(list) == 1 && list[0] == string(m.reason) && r.Sealed
}

// reasons lists each reason once.
func reasons(r *intake.Report) []string {
	var out []string
	seen := map[verdict.Reason]bool{}
	add := func(list []verdict.Finding) {
		for _, f := range list {
			if !seen[f.Reason] {
				seen[f.Reason] = true
				out = append(out, string(f.Reason))
			}
		}
	}
	add(r.Findings)
	for _, p := range r.Packages {
		add(p.Findings)
	}
	return out
}
