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
	"io"
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
	if err := run(os.Stdout, *bin, *keep, filepath.Join(*bin, "demo-results")); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

// demo is one run.
type demo struct {
	out    io.Writer
	office *testoffice.Office
}

// run runs the demo; results is the folder in which the results page is left.
func run(out io.Writer, bin, keep, results string) (err error) {
	started := time.Now()
	office, err := testoffice.Open(bin, keep)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, office.Close()) }()
	d := &demo{out, office}
	d.step("An office: authority, source, EMS station and a stranger, each with its own TPM (swtpm)")
	trust, err := office.Found()
	if err != nil {
		return err
	}
	fmt.Fprint(out, trust)
	d.step("The source seals an election definition and cast vote records")
	media, err := d.makeMedia()
	if err != nil {
		return err
	}
	d.step("sallyportd runs on the EMS station; %d media are inserted", len(media))
	if err := office.EMS.StartDaemon(); err != nil {
		return err
	}
	wrong, err := d.insertAll(media)
	if err != nil {
		return err
	}
	if err := d.showStation(); err != nil {
		return err
	}
	if wrong > 0 {
		return fmt.Errorf("%d of %d verdicts are not what was expected", wrong, len(media))
	}
	if err := d.giveOut(results); err != nil {
		return err
	}
	fmt.Fprintf(out, "\nAll %d verdicts are as expected, the tally equals the generator's own count,\nand the log is intact (%.0f s).\n", len(media), time.Since(started).Seconds())
	if keep != "" {
		return d.sayNext()
	}
	return nil
}

// showStation prints what the EMS station has to show, and checks its tally
// and its log.
func (d *demo) showStation() error {
	for _, show := range [][]string{{"ems", "tally"}, {"quarantine", "list"}, {"status"}} {
		d.step("sallyport %s", strings.Join(show, " "))
		out, err := d.office.EMS.Sallyport(show...)
		if err != nil {
			return err
		}
		fmt.Fprint(d.out, out)
	}
	d.step("sallyport-verify log: the log, checked by a program that has only the public key")
	checked, err := d.office.EMS.CheckLog()
	fmt.Fprint(d.out, checked)
	if err != nil {
		return err
	}
	return checkTally(d.office)
}

// sayNext prints what to try in the office that stays.
func (d *demo) sayNext() error {
	if err := d.office.Keep(); err != nil {
		return err
	}
	d.step("The office stays in %s. To go on in it:", d.office.Dir)
	fmt.Fprintf(d.out, `cd %s
./start                                   # its TPMs, and sallyportd at the EMS station
export PATH=%s:$PATH SALLYPORT_CONFIG=$PWD/ems-1/sallyport.toml
sallyport quarantine list
sallyport quarantine show --verify ITEM   # any id of the list
sallyport inspect --hash images/altered.img
sallyport intake images/altered.img; echo $?
sallyport log show --event medium.verdict
sallyport -c polling-place-7/sallyport.toml seal --kind media-set --audience ems-1 \
    --out new root.json
./stop
`, d.office.Dir, d.office.Bin)
	return nil
}

func (d *demo) step(format string, args ...any) {
	fmt.Fprintf(d.out, "\n== %s\n", fmt.Sprintf(format, args...))
}

// medium is one row of the table.
type medium struct {
	name  string
	file  string // name of its image file, without .img
	image string
	want  verdict.Verdict
	// reason must be among the reasons; empty for accepted media.
	reason verdict.Reason
	exit   int
}

// insertAll inserts the media one by one and prints the table; it returns how
// many verdicts differ from what is expected.
func (d *demo) insertAll(media []medium) (wrong int, err error) {
	images := filepath.Join(d.office.Dir, "images")
	if err := os.Mkdir(images, 0o755); err != nil {
		return 0, err
	}
	tw := tabwriter.NewWriter(d.out, 0, 4, 2, ' ', 0)
	fmt.Fprintln(tw, "MEDIUM\tVERDICT\tREASON\tEXIT\tEXPECTED")
	for _, m := range media {
		image := filepath.Join(images, m.file+".img")
		if err := os.Rename(m.image, image); err != nil {
			return wrong, err
		}
		report, exit, err := d.office.EMS.Intake(image)
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
