package rla

import (
	"fmt"
	"io"
	"slices"
	"strconv"
)

// The words and headers that have a meaning of their own in the ES&S form.
var essWords = [...]string{"overvote", "undervote"}

var essHeads = [...]string{"Election ID", "Audit Number", "Tabulator CVR", "Cast Vote Record", "Batch", "Ballot Status", "Precinct", "Ballot Style", "Machine"}

// WriteESS writes records in the form of ES&S, which Arlo takes as two files in
// one zip file: the records with one column for each contest (it must be named
// "cvr.csv"), and the ballots with their batches. The form says one choice, an
// overvote or an undervote for each contest, and Arlo takes every contest as
// vote for one: a contest that allows more is refused. What was written before
// an error is worthless.
func WriteESS(cvr, ballots io.Writer, e Export, records CVRs) error {
	x, err := e.exporter()
	if err != nil {
		return err
	}
	if err := x.essCanSay(); err != nil {
		return err
	}
	votes, places := newLines(cvr), newLines(ballots)
	head := []string{"Cast Vote Record", "Precinct", "Ballot Style"}
	for _, c := range x.Contests {
		head = append(head, c.Name)
	}
	if err := votes.write(head...); err != nil {
		return err
	}
	if err := places.write("Cast Vote Record", "Batch", "Ballot Status", "Ballot Style", "Reporting Group", "Tabulator CVR", "Precinct", "Machine"); err != nil {
		return err
	}
	err = x.each(records, func(m marks) error {
		id, err := x.essID(m)
		if err != nil {
			return err
		}
		number := strconv.Itoa(m.number)
		if err := votes.write(append([]string{number, m.Precinct, m.Style}, x.essVotes(m)...)...); err != nil {
			return err
		}
		return places.write(number, m.Batch, "Not Reviewed", m.Style, m.Group, id, m.Precinct, m.Tabulator)
	})
	if err != nil {
		return err
	}
	if err := votes.end(); err != nil {
		return err
	}
	return places.end()
}

func (x *exporter) essCanSay() error {
	for _, c := range x.Contests {
		if c.VoteFor != 1 {
			return x.problem(RuleCVRForm, "the contest %s allows %d votes; in the ES&S form Arlo takes one", quote(c.Name), c.VoteFor)
		}
		if slices.Contains(essHeads[:], c.Name) {
			return x.problem(RuleCVRForm, "the contest %s has the name of a column of the ES&S form", quote(c.Name))
		}
		for _, ch := range c.Choices {
			if slices.Contains(essWords[:], ch.Name) {
				return x.problem(RuleCVRForm, "a choice of the contest %s is named as the ES&S form names an overvote or undervote", quote(c.Name))
			}
		}
	}
	return nil
}

// essVotes has one cell for each contest.
func (x *exporter) essVotes(m marks) []string {
	cells := make([]string, len(x.Contests))
	for i, c := range x.Contests {
		if m.chosen[i] == nil {
			continue
		}
		cells[i] = "undervote"
		for j, yes := range m.chosen[i] {
			switch {
			case yes && cells[i] == "undervote":
				cells[i] = c.Choices[j].Name
			case yes:
				cells[i] = "overvote"
			}
		}
	}
	return cells
}

// essID is the "Tabulator CVR": 16 hexadecimal digits that are printed on the
// sheet, or ten digits whose last six are the position.
func (x *exporter) essID(m marks) (string, error) {
	switch {
	case m.Imprinted == "" && m.position <= 999_999:
		return fmt.Sprintf("%010d", m.position), nil
	case m.Imprinted == "":
		return "", x.problem(RuleCVRForm, "the batch %s has more sheets than six digits can say", quote(m.Batch))
	case len(m.Imprinted) == 16 && isHex(m.Imprinted):
		return m.Imprinted, nil
	}
	return "", x.problem(RuleCVRForm, "the imprinted id of record %d is not 16 hexadecimal digits, as the ES&S form has them", m.number)
}

func isHex(s string) bool {
	for _, r := range s {
		if !('0' <= r && r <= '9' || 'a' <= r && r <= 'f' || 'A' <= r && r <= 'F') {
			return false
		}
	}
	return true
}
