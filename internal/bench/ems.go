package main

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"sallyport/internal/ems"
	"sallyport/internal/ems/report"
	"sallyport/internal/ems/results"
	"sallyport/internal/testcounty"
)

// countyOrder makes this program measure one part of the election core, in a
// process of its own so that its memory is known: the part's name.
const countyOrder = "SALLYPORT_BENCH_COUNTY"

const (
	countyContests  = 30
	countyPrecincts = 1000
	// peerPart is how much of the county the peer gets, one row for each mark.
	peerPart = 10

	wantedImport   = 0.4 // of a bare walk over the tokens
	wantedTotals   = 2 * time.Second
	wantedRecount  = 4 * time.Second
	wantedReport   = 2 * time.Second
	wantedBallot   = 250       // bytes of the database
	wantedCountyRS = 256 << 20 // bytes of memory
)

// countyFiles are the files of the synthetic county.
type countyFiles struct {
	testcounty.County
	Dir               string
	Definition, Votes [32]byte
	Size              int64 // of the records
}

// countyResult is what one part reports.
type countyResult struct {
	Spent  time.Duration `json:"spent"`
	Memory int64         `json:"-"` // highest resident memory, bytes
}

// county measures the election core on a county of n ballots.
func (b *bench) county(n int) (err error) {
	dir, err := os.MkdirTemp("", "sallyport-bench-county-*")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	c := countyFiles{County: testcounty.County{Ballots: n, Contests: countyContests, Precincts: countyPrecincts, Batches: max(n/100, 1)}, Dir: dir}
	fmt.Printf("making a county of %d ballots, %d contests on each, %d precincts\n", n, countyContests, countyPrecincts)
	if err := c.write(); err != nil {
		return err
	}
	peer, err := c.peer()
	if err != nil {
		return err
	}
	measured := map[string]countyResult{}
	for _, part := range []string{"walk", "import", "totals", "recount", "report"} {
		r, err := c.measure(part)
		if err != nil {
			return fmt.Errorf("election core, %s: %w", part, err)
		}
		fmt.Printf("election core, %s: %.2f s, peak resident memory %d MiB\n", part, r.Spent.Seconds(), r.Memory>>20)
		measured[part] = r
	}
	db, err := os.Stat(filepath.Join(dir, "ems.db"))
	if err != nil {
		return err
	}
	const sqlite = "sqlite3, one row a mark, group by"
	mb, million := float64(c.Size)/1e6, float64(n)/1e6
	b.rows = append(b.rows,
		row{what: fmt.Sprintf("import of %d cast vote records (%.0f MB)", n, mb), ours: measured["import"].Spent, peer: "bare walk over the tokens", theirs: measured["walk"].Spent, amount: mb, unit: "MB/s", wantedAt: wantedImport},
		row{what: "tally from subtotals, all contests by precinct and method", ours: measured["totals"].Spent, peer: sqlite, theirs: peer, amount: million, unit: "M ballots/s", wantedRate: million / wantedTotals.Seconds()},
		row{what: "full recount with all checks", ours: measured["recount"].Spent, peer: sqlite, theirs: peer, amount: million, unit: "M ballots/s", wantedRate: million / wantedRecount.Seconds()})
	b.rows = append(b.rows, row{what: fmt.Sprintf("summary, statement of votes and NIST report of %d precincts", countyPrecincts), ours: measured["report"].Spent, peer: sqlite, theirs: peer, amount: 1, unit: "reports/s", wantedRate: 1 / wantedReport.Seconds()})
	b.notes = append(b.notes,
		fmt.Sprintf("election core: %d bytes of database a ballot (≤ %d wanted), peak resident memory of the import %d MiB (≤ %d wanted)",
			db.Size()/int64(n), wantedBallot, measured["import"].Memory>>20, wantedCountyRS>>20),
		fmt.Sprintf("election core: the peer has %d ballots, its time is taken %d times", n/peerPart, peerPart))
	return nil
}

// write makes the county's files, and their digests.
func (c *countyFiles) write() error {
	def, err := c.County.Definition()
	if err != nil {
		return err
	}
	c.Definition = sha256.Sum256(def)
	if err := os.WriteFile(filepath.Join(c.Dir, "definition.json"), def, 0o600); err != nil {
		return err
	}
	f, err := os.Create(filepath.Join(c.Dir, "records.json"))
	if err != nil {
		return err
	}
	h := sha256.New()
	if err := errors.Join(c.WriteRecords(io.MultiWriter(f, h)), f.Close()); err != nil {
		return err
	}
	c.Votes = [32]byte(h.Sum(nil))
	st, err := os.Stat(f.Name())
	if err == nil {
		c.Size = st.Size()
	}
	return err
}

// measure runs one part in a process of its own.
func (c *countyFiles) measure(part string) (r countyResult, err error) {
	order, err := json.Marshal(c)
	if err != nil {
		return r, err
	}
	self, err := os.Executable()
	if err != nil {
		return r, err
	}
	cmd := exec.Command(self, string(order))
	cmd.Env = append(os.Environ(), countyOrder+"="+part)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return r, err
	}
	if usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
		r.Memory = usage.Maxrss << 10
	}
	return r, json.Unmarshal(out, &r)
}

// countyPart is the process that measures one part.
func countyPart(part string) error {
	if len(os.Args) != 2 {
		return errors.New("no county was given")
	}
	var c countyFiles
	if err := json.Unmarshal([]byte(os.Args[1]), &c); err != nil {
		return err
	}
	do := map[string]func() (time.Duration, error){"walk": spentOn(c.walk), "import": spentOn(c.imports), "totals": spentOn(c.totals), "recount": spentOn(c.recount), "report": c.report}[part]
	if do == nil {
		return fmt.Errorf("no part %q", part)
	}
	spent, err := do()
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(countyResult{Spent: spent})
}

func spentOn(do func() error) func() (time.Duration, error) {
	return func() (time.Duration, error) {
		started := time.Now()
		err := do()
		return time.Since(started), err
	}
}

// report times the summary, the statement of votes cast and the NIST report of
// results that were counted before.
func (c *countyFiles) report() (spent time.Duration, err error) {
	core, err := ems.Open(filepath.Join(c.Dir, "ems.db"))
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, core.Close()) }()
	ctx := context.Background()
	if _, err := core.SetStatus(ctx, testcounty.ID, results.UnofficialComplete, ems.By{Who: "bench", Why: "bench"}, ""); err != nil {
		return 0, err
	}
	r, err := core.Results(ctx, testcounty.ID)
	if err != nil {
		return 0, err
	}
	started := time.Now()
	for _, form := range []func(*results.Results, report.Options) (*report.Report, error){report.Summary, report.StatementOfVotes} {
		p, err := form(r, report.Options{})
		if err != nil {
			return 0, err
		}
		if err := p.WriteHTML(io.Discard); err != nil {
			return 0, err
		}
	}
	doc, err := report.ERR(r, report.Options{})
	if err == nil {
		err = doc.WriteJSON(io.Discard)
	}
	return time.Since(started), err
}

// walk reads the tokens of the records and nothing else.
func (c *countyFiles) walk() error {
	f, err := os.Open(filepath.Join(c.Dir, "records.json"))
	if err != nil {
		return err
	}
	defer f.Close()
	d := jsontext.NewDecoder(bufio.NewReaderSize(f, 256<<10))
	for {
		if _, err := d.ReadToken(); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
	}
}

func (c *countyFiles) file(name string, size int64, sum [32]byte) []ems.File {
	return []ems.File{{Path: name, Size: size, SHA256: hex.EncodeToString(sum[:]), MediaType: "application/json"}}
}

// imports makes a core and imports definition and records.
func (c *countyFiles) imports() (err error) {
	path := filepath.Join(c.Dir, "ems.db")
	if err := ems.Create(path); err != nil {
		return err
	}
	core, err := ems.Open(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, core.Close()) }()
	st, err := os.Stat(filepath.Join(c.Dir, "definition.json"))
	if err != nil {
		return err
	}
	for _, p := range []ems.Package{
		{Digest: c.Definition, ID: "definition", Kind: ems.KindDefinition, Files: c.file("definition.json", st.Size(), c.Definition)},
		{Digest: c.Votes, ID: "records", Kind: ems.KindCVRs, ElectionSHA256: hex.EncodeToString(c.Definition[:]), Files: c.file("records.json", c.Size, c.Votes)},
	} {
		p.ElectionID, p.FS = testcounty.ID, os.DirFS(c.Dir)
		if _, err := core.Import(context.Background(), p); err != nil {
			return err
		}
	}
	return nil
}

func (c *countyFiles) totals() error  { return c.tally((*ems.Core).Totals) }
func (c *countyFiles) recount() error { return c.tally((*ems.Core).Tally) }

func (c *countyFiles) tally(count func(*ems.Core, context.Context, string) (*ems.Tally, error)) (err error) {
	core, err := ems.Open(filepath.Join(c.Dir, "ems.db"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, core.Close()) }()
	t, err := count(core, context.Background(), testcounty.ID)
	if err != nil {
		return err
	}
	if t.Ballots != int64(c.Ballots) || len(t.Contests) != c.Contests || len(t.Methods) != 3 {
		return fmt.Errorf("the tally is of %d ballots, %d contests and %d methods", t.Ballots, len(t.Contests), len(t.Methods))
	}
	return nil
}

// peer times sqlite3 counting a table with one row for each mark, made from a
// part of the county, and returns the time for the whole of it.
func (c *countyFiles) peer() (time.Duration, error) {
	part := c.County
	part.Ballots = max(part.Ballots/peerPart, 1)
	csv := filepath.Join(c.Dir, "marks.csv")
	f, err := os.Create(csv)
	if err != nil {
		return 0, err
	}
	w := bufio.NewWriter(f)
	var line []byte
	err = part.Marks(func(ballot, precinct, method, contest, option int) error {
		line = line[:0]
		for i, n := range [...]int{ballot, precinct, method, contest, option} {
			if i > 0 {
				line = append(line, ',')
			}
			line = strconv.AppendInt(line, int64(n), 10)
		}
		_, err := w.Write(append(line, '\n'))
		return err
	})
	if err := errors.Join(err, w.Flush(), f.Close()); err != nil {
		return 0, err
	}
	defer os.Remove(csv)
	db := filepath.Join(c.Dir, "marks.db")
	load := "CREATE TABLE mark (ballot INTEGER, precinct INTEGER, method INTEGER, contest INTEGER, option INTEGER);\n.mode csv\n.import " + csv + " mark\n"
	if out, err := sqlite(db, load); err != nil {
		return 0, fmt.Errorf("%w: %s", err, out)
	}
	started := time.Now()
	out, err := sqlite(db, "SELECT contest, precinct, method, option, count(*) FROM mark GROUP BY contest, precinct, method, option;\n")
	if err != nil || !strings.Contains(out, "|") {
		return 0, fmt.Errorf("%w: %.200s", err, out)
	}
	return time.Since(started) * peerPart, nil
}

func sqlite(db, script string) (string, error) {
	cmd := exec.Command("sqlite3", db)
	cmd.Stdin = strings.NewReader(script)
	out, err := cmd.CombinedOutput()
	return string(out), err
}
