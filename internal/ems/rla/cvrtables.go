package rla

import (
	"encoding/csv"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// lines writes rows of comma separated values one by one.
type lines struct{ csv *csv.Writer }

func newLines(w io.Writer) lines {
	c := csv.NewWriter(w)
	c.UseCRLF = true
	return lines{c}
}

func (l lines) write(cells ...string) error {
	if err := l.csv.Write(cells); err != nil {
		return fmt.Errorf("cannot write a row: %w", err)
	}
	return nil
}

func (l lines) end() error {
	l.csv.Flush()
	if err := l.csv.Error(); err != nil {
		return fmt.Errorf("cannot write the rows: %w", err)
	}
	return nil
}

// dominion writes four rows of headers (election and version; contest with
// votes allowed; choice; names of the columns and parties) and one row for each
// record.
func (x *exporter) dominion(w io.Writer, records CVRs) error {
	l := newLines(w)
	columns := []string{"CvrNumber", "TabulatorNum", "BatchId", "RecordId", "ImprintedId", "CountingGroup", "PrecinctPortion", "BallotType"}
	heads := [4][]string{{x.Election, "sallyport"}, nil, nil, columns}
	for i := range heads {
		heads[i] = append(heads[i], make([]string, len(columns)-len(heads[i]))...)
	}
	for _, c := range x.Contests {
		for _, ch := range c.Choices {
			heads[0] = append(heads[0], "")
			heads[1] = append(heads[1], fmt.Sprintf("%s (Vote For=%d)", c.Name, c.VoteFor))
			heads[2] = append(heads[2], ch.Name)
			heads[3] = append(heads[3], ch.Party)
		}
	}
	for _, h := range heads {
		if err := l.write(h...); err != nil {
			return err
		}
	}
	err := x.each(records, func(m marks) error {
		row := []string{strconv.Itoa(m.number), m.Tabulator, m.Batch, strconv.Itoa(m.position), m.imprinted(), m.Group, m.Precinct, m.Style}
		return l.write(append(row, m.cells(x.Contests)...)...)
	})
	if err != nil {
		return err
	}
	return l.end()
}

// clearBallot writes one row of headers, "Choice_C_N:contest:Vote For
// N:choice:party" for each choice, and one row for each record.
func (x *exporter) clearBallot(w io.Writer, records CVRs) error {
	head := []string{"RowNumber", "BoxID", "BoxPosition", "BallotID", "PrecinctID", "BallotStyleID", "PrecinctStyleName", "ScanComputerName", "Status", "Remade"}
	for _, c := range x.Contests {
		for _, ch := range c.Choices {
			party := ch.Party
			if party == "" {
				party = "Non-Partisan"
			}
			if strings.Contains(c.Name+ch.Name+party, ":") {
				return x.problem(RuleCVRForm, "a name in the contest %s has a colon, which separates the parts of a ClearBallot header", quote(c.Name))
			}
			head = append(head, fmt.Sprintf("Choice_%d_1:%s:Vote For %d:%s:%s", len(head)-9, c.Name, c.VoteFor, ch.Name, party))
		}
	}
	l := newLines(w)
	if err := l.write(head...); err != nil {
		return err
	}
	err := x.each(records, func(m marks) error {
		row := []string{strconv.Itoa(m.number), m.Batch, strconv.Itoa(m.position), m.imprinted(), m.Precinct, m.Style, m.Style, m.Tabulator, "Complete", "0"}
		return l.write(append(row, m.cells(x.Contests)...)...)
	})
	if err != nil {
		return err
	}
	return l.end()
}
