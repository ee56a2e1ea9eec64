package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"

	"sallyport/internal/ems"
	"sallyport/internal/testelection"
	"sallyport/internal/testoffice"
)

// checkTally compares the tally with the generator's own count, which shares no
// code with the EMS core.
func checkTally(o *testoffice.Office) error {
	out, err := o.EMS.Sallyport("--json", "ems", "tally")
	if err != nil {
		return err
	}
	var got ems.Tally
	if err := json.Unmarshal([]byte(out), &got); err != nil {
		return err
	}
	expected, err := os.ReadFile(o.Small("expected-tally.json"))
	if err != nil {
		return err
	}
	return compareTally(&got, expected)
}

// compareTally says where a tally differs from the generator's own count.
func compareTally(got *ems.Tally, expected []byte) error {
	var want testelection.Expected
	if err := json.Unmarshal(expected, &want); err != nil {
		return err
	}
	if got.ElectionID != want.ElectionID || got.Ballots != want.Ballots || len(got.Contests) != len(want.Contests) {
		return fmt.Errorf("the tally is of %d ballots and %d contests of %s, expected are %d and %d of %s",
			got.Ballots, len(got.Contests), got.ElectionID, want.Ballots, len(want.Contests), want.ElectionID)
	}
	contests := map[string]testelection.ExpectedResult{}
	for _, c := range want.Contests {
		contests[c.ID] = c
	}
	for _, c := range got.Contests {
		w := contests[c.ID]
		votes := map[string]int64{}
		for i, o := range c.Options {
			votes[o.ID] = c.Total.Votes[i]
		}
		if !maps.Equal(votes, w.Total.Votes) || c.Total.Ballots != w.Total.Ballots || c.Total.Overvotes != w.Total.Overvotes ||
			c.Total.Undervotes != w.Total.Undervotes || c.Total.WriteIns != w.Total.WriteIns {
			return fmt.Errorf("the tally of contest %s is %+v, expected is %+v", c.ID, c.Total, w.Total)
		}
	}
	return nil
}
