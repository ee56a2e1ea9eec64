package ems_test

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"sallyport/internal/testelection"
)

// Batches say how their ballots were cast, or do not; results have a line for
// each way of voting, and those that say none are with the others.
func TestResultsByVotingMethod(t *testing.T) {
	ctx := context.Background()
	c, _ := core(t)
	must(t, c, definition(t))
	methods := []string{"absentee-mail", "election-day", "other", ""}
	n := 0
	for p := range 3 {
		doc := read(t, "cvr-precinct-"+string(rune('1'+p))+".json").Data
		for { // give each current snapshot a method in turn
			i := bytes.Index(doc[:], []byte(`"Type": "original"`))
			if i < 0 {
				break
			}
			with := `"Type": "interpreted"`
			if m := methods[n%len(methods)]; m != "" {
				with += `, "Status": ["other"], "OtherStatus": "voting-method:` + m + `"`
			}
			doc = append(append(append([]byte{}, doc[:i]...), with...), doc[i+len(`"Type": "original"`):]...)
			n++
		}
		must(t, c, records(t, testelection.File{Name: "cvr.json", Data: doc}))
	}
	tl := count(t, c)
	if len(tl.Methods) != len(methods) {
		t.Fatalf("%q", tl.Methods)
	}
	r, err := c.Results(ctx, testelection.ID)
	if err != nil {
		t.Fatal(err)
	}
	kinds := map[string]int64{}
	for _, l := range r.Contests[1].Lines {
		kinds[l.Type] += l.Ballots
	}
	if len(kinds) != 3 || kinds["other"] == 0 {
		t.Errorf("%v", kinds)
	}
	var sum int64
	for _, n := range kinds {
		sum += n
	}
	if sum != tl.Contests[1].Total.Ballots {
		t.Errorf("%d ballots by method, %d counted", sum, tl.Contests[1].Total.Ballots)
	}
	groups, err := c.Breakdown(ctx, testelection.ID, "method")
	if err != nil || len(groups) != 4 {
		t.Errorf("%d groups, %v", len(groups), err)
	}
	if _, err := c.Breakdown(ctx, testelection.ID, strings.ToUpper("method")); err == nil {
		t.Error("METHOD is a way to break a tally down")
	}
}
