package rla

import (
	"encoding/csv"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// retrieval is one row of a retrieval list: a ballot or a batch with all draws
// that want it.
type retrieval struct {
	draw    Draw
	tickets []string
}

// WriteRetrievalList writes the ballots, or batches, that a jurisdiction has to
// fetch, as CSV: container, tabulator, batch, ballot number, ticket numbers,
// and whether an earlier round has had it. Each stands once, in the order in
// which a person walks along the shelves: names are compared as people do, so
// that "Batch 10" comes after "Batch 9".
func (s *Sample) WriteRetrievalList(w io.Writer, jurisdiction string) error {
	list, err := s.retrievals(jurisdiction)
	if err != nil {
		return fmt.Errorf("cannot write the retrieval list: %w", err)
	}
	ballots := s.Algorithm != ErrorBound
	head := s.columns.place(Batch{Container: headContainer, Tabulator: headTabulator, Name: headBatch})
	if ballots {
		head = append(head, "Ballot Number")
	}
	rows := [][]string{append(head, "Ticket Numbers", "Already Audited")}
	for _, r := range list {
		cells := s.columns.place(r.draw.Batch)
		if ballots {
			cells = append(cells, strconv.Itoa(r.draw.Position))
		}
		rows = append(rows, append(cells, strings.Join(r.tickets, ","), yn(r.draw.Before)))
	}
	return writeRows(w, rows)
}

func writeRows(w io.Writer, rows [][]string) error {
	c := csv.NewWriter(w)
	c.UseCRLF = true
	if err := c.WriteAll(rows); err != nil {
		return fmt.Errorf("cannot write the rows: %w", err)
	}
	return nil
}

// retrievals gathers the draws of one jurisdiction.
func (s *Sample) retrievals(jurisdiction string) ([]retrieval, error) {
	if !slices.ContainsFunc(s.Manifests, func(m Source) bool { return m.Jurisdiction == jurisdiction }) {
		return nil, fmt.Errorf("the sample was not drawn from %s", quote(jurisdiction))
	}
	type place struct {
		batch    Batch
		position int
	}
	at := map[place]*retrieval{}
	for _, d := range s.Draws {
		if d.Jurisdiction != jurisdiction {
			continue
		}
		p := place{d.Batch, d.Position}
		if at[p] == nil {
			at[p] = &retrieval{draw: d}
		}
		at[p].tickets = append(at[p].tickets, d.Ticket)
	}
	var list []retrieval
	for r := range maps.Values(at) {
		list = append(list, *r)
	}
	slices.SortFunc(list, retrieval.compare)
	return list, nil
}

func (r retrieval) compare(o retrieval) int {
	a, b := r.draw, o.draw
	for _, c := range []int{natural(a.Batch.Container, b.Batch.Container), natural(a.Batch.Tabulator, b.Batch.Tabulator), natural(a.Batch.Name, b.Batch.Name)} {
		if c != 0 {
			return c
		}
	}
	return a.Position - b.Position
}

// natural compares names as people do: runs of digits by their value.
func natural(a, b string) int {
	x, y := a, b
	for x != "" && y != "" {
		var c int
		if isDigit(x[0]) && isDigit(y[0]) {
			var m, n string
			m, x = cutDigits(x)
			n, y = cutDigits(y)
			c = compareDigits(m, n)
		} else {
			c = strings.Compare(x[:1], y[:1])
			x, y = x[1:], y[1:]
		}
		if c != 0 {
			return c
		}
	}
	if c := len(x) - len(y); c != 0 {
		return c
	}
	return strings.Compare(a, b)
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func cutDigits(s string) (digits, rest string) {
	rest = strings.TrimLeft(s, "0123456789")
	return s[:len(s)-len(rest)], rest
}

func compareDigits(a, b string) int {
	a, b = strings.TrimLeft(a, "0"), strings.TrimLeft(b, "0")
	if c := len(a) - len(b); c != 0 {
		return c
	}
	return strings.Compare(a, b)
}

// WriteRecord writes the sample for whoever wants to draw it again, as CSV: the
// algorithm, the seed, the manifests with what their files hash to, an empty
// row, and all draws in their order.
func (s *Sample) WriteRecord(w io.Writer) error {
	rows := [][]string{
		{"Algorithm", string(s.Algorithm)},
		{"Seed", s.Seed.text},
		{"With Replacement", yn(s.Replacement)},
		{"Stratum", s.Stratum.String()},
		{"Population", strconv.Itoa(s.Population)},
		{"Draws Before", strconv.Itoa(s.Drop)},
	}
	for _, m := range s.Manifests {
		rows = append(rows, []string{"Manifest SHA-256", m.SHA256, m.Jurisdiction})
	}
	rows = append(rows, []string{""}, []string{"Draw", "Ticket Number", "Jurisdiction", headContainer, headTabulator, headBatch, "Ballot Number", "Times Drawn"})
	for _, d := range s.Draws {
		position := ""
		if d.Position > 0 {
			position = strconv.Itoa(d.Position)
		}
		rows = append(rows, []string{strconv.Itoa(d.Number), d.Ticket, d.Jurisdiction, d.Batch.Container, d.Batch.Tabulator, d.Batch.Name, position, strconv.Itoa(d.Times)})
	}
	return writeRows(w, rows)
}

func (s Stratum) String() string {
	switch s {
	case WithCVRs:
		return "batches with CVRs"
	case WithoutCVRs:
		return "batches without CVRs"
	}
	return "all batches"
}
