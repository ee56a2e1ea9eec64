// Command bench measures Sallyport's main job against what people do today, in
// one run on one machine, and prints ratios: the figures of a shared machine
// drift, ratios much less. It drives the built programs from outside; for media of
// each file system it runs the confined reader by itself, as the daemon does.
package main

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"sallyport/internal/testmedia"
	"sallyport/internal/testoffice"
)

func main() {
	if dir := os.Getenv(openOrder); dir != "" {
		if err := openLog(dir); err != nil {
			fmt.Fprintln(os.Stderr, "bench:", err)
			os.Exit(1)
		}
		return
	}
	if part := os.Getenv(countyOrder); part != "" {
		if err := countyPart(part); err != nil {
			fmt.Fprintln(os.Stderr, "bench:", err)
			os.Exit(1)
		}
		return
	}
	bin := flag.String("bin", "bin", "folder of the built programs")
	mib := flag.Int("mib", 4096, "size of the large package in MiB; 0 leaves it out")
	small := flag.Int("files", 20_000, "number of small files; 0 leaves them out")
	mediaMiB := flag.Int("media-mib", 1024, "size of the file on media of each file system in MiB; 0 leaves them out")
	mediaFiles := flag.Int("media-files", 100_000, "number of files on media that are listed; 0 leaves them out")
	entries := flag.Int("log-entries", 1_000_000, "number of entries of the audit log that is checked and opened; 0 leaves the log out")
	ballots := flag.Int("ballots", 1_000_000, "number of ballots of the synthetic county; 0 leaves the election core out")
	rounds := flag.Int("rounds", 3, "how often each thing is measured (the slowest one time less); the median counts")
	flag.Parse()
	if err := run(*bin, sizes{*mib, *small, *mediaMiB, *mediaFiles, *entries, *ballots}, *rounds); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// sizes of what is measured; what is 0 is left out.
type sizes struct {
	mib, small           int
	mediaMiB, mediaFiles int
	entries, ballots     int
}

func run(bin string, of sizes, rounds int) (err error) {
	office, err := testoffice.Open(bin, "")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, office.Close()) }()
	b := &bench{office: office, rounds: rounds}
	if of.mib > 0 || of.small > 0 {
		if _, err := office.Found(); err != nil {
			return err
		}
	}
	if of.mib > 0 {
		if err := b.large(of.mib); err != nil {
			return err
		}
	}
	if of.small > 0 {
		if err := b.small(of.small); err != nil {
			return err
		}
	}
	if of.entries > 0 {
		if err := b.log(of.entries); err != nil {
			return err
		}
	}
	if of.ballots > 0 {
		if err := b.county(of.ballots); err != nil {
			return err
		}
	}
	err = b.media(of.mediaMiB, of.mediaFiles)
	b.print()
	return err
}

// bench is one run.
type bench struct {
	office          *testoffice.Office
	rounds          int
	sums            string // of the files of the image under test, for sha256sum -c
	rows            []row
	core            int64 // highest resident memory of sallyportd, bytes
	reader          int64 // of sallyport-reader
	notes           []string
	checker, opener int64 // of sallyport-verify over the large log, and of opening it
}

// row is one line of the table.
type row struct {
	what     string
	ours     time.Duration
	peer     string
	theirs   time.Duration
	amount   float64 // of unit
	unit     string
	wantedAt float64 // times as fast as the peer
	// wantedRate is wanted in place of that: units a second.
	wantedRate float64
}

// wanted says what is wanted of a row, and whether it is missed.
func (r row) wanted() (text string, below bool) {
	switch {
	case r.wantedRate > 0:
		return fmt.Sprintf("≥ %.4g %s", r.wantedRate, r.unit), r.amount/r.ours.Seconds() < r.wantedRate
	case r.wantedAt == 0:
		return "–", false
	}
	return fmt.Sprintf("≥ %.2f", r.wantedAt), r.theirs.Seconds()/r.ours.Seconds() < r.wantedAt
}

func (b *bench) print() {
	tw := tabwriter.NewWriter(os.Stdout, 0, 4, 2, ' ', 0)
	fmt.Fprintln(tw, "\nWHAT\tOURS\tPEER\tTHEIRS\tOURS/PEER\tWANTED")
	for _, r := range b.rows {
		rate := func(d time.Duration) string {
			if d == 0 {
				return "–"
			}
			return fmt.Sprintf("%.4g s = %.4g %s", d.Seconds(), r.amount/d.Seconds(), r.unit)
		}
		wanted, below := r.wanted()
		if below {
			wanted += "  BELOW"
		}
		ratio := "–"
		if r.theirs > 0 {
			ratio = fmt.Sprintf("%.2f", r.theirs.Seconds()/r.ours.Seconds())
		}
		fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%s\t%s\n", r.what, rate(r.ours), cmp.Or(r.peer, "–"), rate(r.theirs), ratio, wanted)
	}
	tw.Flush()
	for _, n := range b.notes {
		fmt.Println(n)
	}
	fmt.Printf("peak resident memory: sallyportd %d MiB (≤ 128 wanted), sallyport-reader %d MiB (≤ 64 wanted)\n", b.core>>20, b.reader>>20)
	if b.checker > 0 {
		fmt.Printf("peak resident memory over the large log: sallyport-verify %d MiB (≤ 200 wanted), opening it %d MiB\n", b.checker>>20, b.opener>>20)
	}
}

func median(d []time.Duration) time.Duration {
	slices.Sort(d)
	return (d[(len(d)-1)/2] + d[len(d)/2]) / 2
}

// both measures ours and theirs in turn and returns the medians.
func (b *bench) both(what string, rounds int, ours, theirs func() (time.Duration, error)) (x, y time.Duration, err error) {
	var xs, ys []time.Duration
	for i := range rounds {
		x, err := ours()
		if err != nil {
			return 0, 0, fmt.Errorf("%s: %w", what, err)
		}
		y, err := theirs()
		if err != nil {
			return 0, 0, fmt.Errorf("%s, peer: %w", what, err)
		}
		fmt.Printf("%s, round %d: %.2f s, peer %.2f s\n", what, i+1, x.Seconds(), y.Seconds())
		xs, ys = append(xs, x), append(ys, y)
	}
	return median(xs), median(ys), nil
}

// large: a package of several files on FAT32, image in page cache.
func (b *bench) large(mib int) error {
	fmt.Printf("making a package of %d MiB on FAT32\n", mib)
	const parts = 4 // FAT32 has no files of 4 GiB
	image, err := b.image(mib+mib/32+64, func(dir string) error {
		for i := range parts {
			if err := randomFile(filepath.Join(dir, fmt.Sprintf("part-%d.bin", i)), int64(mib)<<20/parts); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	defer os.Remove(image)
	amount := float64(mib) * 1.048576e-3
	ours, theirs, err := b.both(fmt.Sprintf("durable intake, %d MiB", mib), max(1, b.rounds-1), func() (time.Duration, error) { return b.intake(image) }, func() (time.Duration, error) { return b.mcopy(image) })
	if err != nil {
		return err
	}
	b.rows = append(b.rows, row{what: fmt.Sprintf("durable intake, %d MiB on FAT32", mib), ours: ours, peer: "mcopy -s + sha256sum -c + sync", theirs: theirs, amount: amount, unit: "GB/s", wantedAt: 3})
	ours, theirs, err = b.both("read and hash", b.rounds, func() (time.Duration, error) { return b.inspect(image) }, func() (time.Duration, error) { return rawHash(image) })
	if err != nil {
		return err
	}
	b.rows = append(b.rows, row{what: "confined read + SHA-256", ours: ours, peer: "raw read ‖ SHA-256, two cores", theirs: theirs, amount: amount, unit: "GB/s", wantedAt: 0.8})
	return nil
}

// small: many small files.
func (b *bench) small(n int) error {
	fmt.Printf("making a package of %d files of 4 KiB on FAT32\n", n)
	image, err := b.image(n*4/1024*3/2+64, func(dir string) error {
		for i := range n {
			sub := filepath.Join(dir, fmt.Sprintf("d%03d", i/1000))
			if err := os.MkdirAll(sub, 0o755); err != nil {
				return err
			}
			if err := randomFile(filepath.Join(sub, fmt.Sprintf("f%05d.bin", i)), 4096); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	defer os.Remove(image)
	ours, theirs, err := b.both(fmt.Sprintf("durable intake, %d files", n), b.rounds, func() (time.Duration, error) { return b.intake(image) }, func() (time.Duration, error) { return b.mcopy(image) })
	if err != nil {
		return err
	}
	b.rows = append(b.rows, row{what: fmt.Sprintf("durable intake, %d files of 4 KiB", n), ours: ours, peer: "mcopy -s + sha256sum -c + sync", theirs: theirs, amount: float64(n), unit: "files/s", wantedAt: 10})
	return nil
}

// image seals what fill makes and writes it to a FAT32 image, which is in the
// page cache afterwards.
func (b *bench) image(mib int, fill func(dir string) error) (image string, err error) {
	defer b.office.TB.Catch(&err)
	source := b.office.TB.TempDir()
	defer os.RemoveAll(source)
	if err := fill(source); err != nil {
		return "", err
	}
	p, err := b.office.Source.Seal("--kind", "media-set", "--stream", fmt.Sprintf("bench-%d", mib), source)
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(p.Dir)
	os.RemoveAll(source) // early: the disk is small
	if b.sums, err = writeSums(b.office.TB.TempDir(), filepath.Join(p.Dir, "SALLYPORT", p.PackageID)); err != nil {
		return "", err
	}
	image = testmedia.FATFrom(b.office.TB, testmedia.Options{Bits: 32, SizeMiB: mib}, p.Dir)
	_, err = rawHash(image) // warms the cache
	return image, err
}

// mcopy is the peer: copy out, check the sums, make durable.
func (b *bench) mcopy(image string) (time.Duration, error) {
	out := b.office.TB.TempDir()
	defer os.RemoveAll(out)
	exec.Command("sync").Run() // ours leaves nothing dirty; let the peer start so too
	started := time.Now()
	script := `set -e; mcopy -s -n -i "$1" ::SALLYPORT "$2"; cd "$2"/SALLYPORT/*; sha256sum --quiet -c "$3"; sync`
	if said, err := exec.Command("bash", "-c", script, "peer", image, out, b.sums).CombinedOutput(); err != nil {
		return 0, fmt.Errorf("%w: %s", err, strings.TrimSpace(string(said)))
	}
	return time.Since(started), nil
}
