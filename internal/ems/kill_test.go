package ems_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"testing"
	"time"

	"sallyport/internal/ems"
	"sallyport/internal/testelection"
)

// killedDB names the database that a child process of the test below imports into.
const killedDB = "SALLYPORT_TEST_KILLED_DB"

const killedBallots = 800

func killedPackages(t testing.TB) []ems.Package {
	t.Helper()
	list := []ems.Package{definition(t)}
	for p := range 3 {
		var doc bytes.Buffer
		if _, err := testelection.WriteRecords(&doc, uint64(100+p), p, killedBallots); err != nil {
			t.Fatal(err)
		}
		list = append(list, records(t, testelection.File{Name: fmt.Sprintf("%d.json", p), Data: doc.Bytes()}))
	}
	return list
}

// A process that dies while it imports leaves each package whole or not there.
func TestAKilledImportIsWholeOrNotThere(t *testing.T) {
	if path := os.Getenv(killedDB); path != "" {
		c, err := ems.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		for i, p := range killedPackages(t) {
			fmt.Printf("importing %d\n", i)
			must(t, c, p)
		}
		return
	}
	packages := killedPackages(t)
	for round := range 6 {
		c, path := core(t)
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
		child := exec.Command(os.Args[0], "-test.run=^TestAKilledImportIsWholeOrNotThere$")
		child.Env = append(os.Environ(), killedDB+"="+path)
		out, err := child.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		for lines.Scan() && lines.Text() != fmt.Sprintf("importing %d", 1+round%3) {
		}
		// Any moment will do: the delay only spreads the rounds over the import.
		time.Sleep(time.Duration(round) * 4 * time.Millisecond)
		if err := child.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
			t.Fatal(err)
		}
		_ = child.Wait() // it was killed

		c, err = ems.Open(path)
		if err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		there := int64(0)
		for _, p := range packages[1:] {
			if r, ok, err := c.Receipt(p.Digest); err != nil {
				t.Fatal(err)
			} else if ok {
				there += r.Ballots
			}
		}
		if tl := count(t, c); tl.Ballots != there {
			t.Errorf("round %d: %d ballots are counted, the receipts say %d", round, tl.Ballots, there)
		}
		for _, p := range packages { // and what is missing can be brought again
			must(t, c, p)
		}
		if tl := count(t, c); tl.Ballots != 3*killedBallots {
			t.Errorf("round %d: %d ballots in the end", round, tl.Ballots)
		}
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
