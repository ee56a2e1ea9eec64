package page_test

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"sallyport/internal/ems/page"
)

// pdf prints a document, which must succeed.
func pdf(t testing.TB, d *page.Document, f page.Fonts) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := d.WritePDF(&b, f); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// html prints a document, which must succeed.
func html(t testing.TB, d *page.Document) string {
	t.Helper()
	var b bytes.Buffer
	if err := d.WriteHTML(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// summary is a report of results with one of every kind of block.
func summary() *page.Document {
	results := &page.Table{
		Caption: "Governor, vote for 1", HeaderColumns: 1,
		Columns: []page.Column{{Header: "Candidate"}, {Header: "Party"}, {Header: "Election day", Align: page.Right}, {Header: "By mail", Align: page.Right}, {Header: "Total", Align: page.Right}, {Header: "Share", Align: page.Right}},
		Rows: []page.Row{
			{Cells: []string{"María José Núñez-Ōkawa", "Party of the Northern Lakes", "1,204", "803", "2,007", "52.1 %"}},
			{Cells: []string{"Seán O'Neill & Sons <Independent>", "None", "951", "894", "1,845", "47.9 %"}},
			{Cells: []string{"Votes counted", "", "2,155", "1,697", "3,852", "100.0 %"}, Total: true},
		},
	}
	return &page.Document{
		Title: "Summary of results, General Election 2026", Lang: "en-US", Author: "Lake County",
		Date: time.Date(2026, 11, 3, 22, 15, 0, 0, time.UTC), Notice: "UNOFFICIAL — TEST, NOT RESULTS",
		Footer: []string{"Election definition 5f2c91…, log checkpoint 8841"},
		Blocks: []page.Block{
			page.KeyValues{Pairs: []page.Pair{{"Jurisdiction", "Lake County"}, {"Precincts counted", "12 of 12"}, {"Printed", "3 November 2026, 22:15 UTC"}}},
			page.Heading{Level: 1, Text: "Contests"},
			page.Heading{Level: 2, Text: "Governor"},
			page.Paragraph{Text: "Overvotes and undervotes are counted as votes of the contest (VVSG 2.0, 1.1.9)."},
			results,
			page.BarChart{Caption: "Governor: votes", Bars: []page.Bar{
				{Label: "María José Núñez-Ōkawa", Value: 2007, Shown: "2,007 (52.1 %)"}, {Label: "Seán O'Neill & Sons <Independent>", Value: 1845, Shown: "1,845 (47.9 %)"}, {Label: "Write-ins", Value: 3, Shown: "3 (0.1 %)"},
			}},
			page.StackedBars{Caption: "Ballots by voting method", Series: []string{"Election day", "By mail"}, Bars: []page.StackedBar{
				{Label: "Precinct 1", Parts: []page.Part{{1100, "1,100"}, {700, "700"}}}, {Label: "Precinct 2", Parts: []page.Part{{1055, "1,055"}, {997, "997"}}},
			}},
			page.Heading{Level: 1, Text: "Notes"},
			page.List{Items: []page.Line{{Text: "The canvass ends on 24 November."}, {Lang: "es", Text: "El escrutinio termina el 24 de noviembre."}}},
			page.List{Ordered: true, Items: []page.Line{{Text: "First"}, {Text: "Second"}}},
			page.PageBreak{},
			page.Paragraph{Text: "Signed by the board:\n\nA. Member", Strong: true},
			page.Paragraph{Text: "A small remark.", Small: true},
		},
	}
}

// proof is a ballot style in English and Spanish.
func proof() *page.Document {
	b := &page.BallotPage{
		Title: []page.Line{{Text: "Official ballot, General Election"}, {Lang: "es", Text: "Boleta oficial, elección general"}},
		About: []page.Line{{Text: "Lake County, 3 November 2026"}, {Text: "Precinct 4-2, all parties"}},
		Code:  "Style 0042-EN-ES", QR: "sallyport:style:0042-EN-ES", Columns: 3,
		Instructions: []page.Line{{Text: "Fill in the oval completely, with black ink. If you make a mistake, ask for a new ballot."}, {Lang: "es", Text: "Rellene el óvalo por completo con tinta negra. Si se equivoca, pida otra boleta."}},
	}
	for i, n := range []int{3, 5, 2, 9, 2, 4} {
		c := page.BallotContest{
			Title:        []page.Line{{Text: fmt.Sprintf("Member of the board, seat %d", i+1)}, {Lang: "es", Text: fmt.Sprintf("Miembro de la junta, puesto %d", i+1)}},
			Instructions: []page.Line{{Text: "Vote for 1"}, {Lang: "es", Text: "Vote por 1"}}, VoteFor: 1,
		}
		for j := range n {
			c.Options = append(c.Options, page.BallotOption{Name: []page.Line{{Text: fmt.Sprintf("Candidate Number %d-%d", i+1, j+1)}},
				Detail: []page.Line{{Text: "Party of the Lakes"}, {Lang: "es", Text: "Partido de los Lagos"}}})
		}
		c.Options = append(c.Options, page.BallotOption{WriteIn: true})
		b.Contests = append(b.Contests, c)
	}
	b.Contests[2].Instructions = nil
	return &page.Document{Title: "Ballot proof, style 0042", Lang: "en-US", Notice: "PROOF — NOT A BALLOT", Blocks: []page.Block{b}}
}

// votes is a statement of votes.
func votes(precincts, contests, options int) *page.Document {
	t := &page.Table{Caption: "Statement of votes cast", HeaderColumns: 1, Landscape: true,
		Columns: []page.Column{{Header: "Precinct"}}, Groups: []page.Group{{Columns: 1}}}
	for c := range contests {
		t.Groups = append(t.Groups, page.Group{Title: fmt.Sprintf("Contest %d, member of the board", c+1), Columns: options})
		for o := range options {
			t.Columns = append(t.Columns, page.Column{Header: fmt.Sprintf("Candidate %c", 'A'+o), Align: page.Right})
		}
	}
	for p := range precincts {
		cells := []string{fmt.Sprintf("Precinct %04d", p+1)}
		for i := range contests * options {
			cells = append(cells, fmt.Sprint((p*7919+i*104729)%1500))
		}
		t.Rows = append(t.Rows, page.Row{Cells: cells})
	}
	return &page.Document{Title: "Statement of votes", Lang: "en-US", Footer: []string{"Log checkpoint 8841"}, Blocks: []page.Block{t}}
}
