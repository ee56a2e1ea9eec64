package main

import (
	"fmt"
	"os"
	"path/filepath"

	"sallyport/internal/testelection"
)

// giveOut closes the polls, sets the status and gives out the results: the page
// that an office would show on election night is left in a folder. What was
// there of an earlier run goes.
func (d *demo) giveOut(results string) error {
	results, err := filepath.Abs(results)
	if err != nil {
		return err
	}
	if err := os.RemoveAll(results); err != nil {
		return err
	}
	for _, step := range [][]string{
		{"ems", "close-polls", testelection.ID, "--who", "county clerk", "--why", "all precincts are closed"},
		{"ems", "set-status", testelection.ID, "unofficial-complete", "--who", "county clerk", "--why", "all ballots are in"},
		{"ems", "report", testelection.ID, "--out", results},
	} {
		d.step("sallyport %s %s", step[0], step[1])
		out, err := d.office.EMS.Sallyport(step...)
		if err != nil {
			return err
		}
		fmt.Fprint(d.out, out)
	}
	page := filepath.Join(results, "index.html")
	if _, err := os.Stat(page); err != nil {
		return err
	}
	fmt.Fprintf(d.out, "\nThe results page: file://%s\n", page)
	return nil
}
