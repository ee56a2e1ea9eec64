package page_test

import (
	"io"
	"testing"

	"sallyport/internal/ems/page"
)

// A statement of votes of a large county: 1,000 precincts, 30 contests of five
// columns each.
func BenchmarkStatementHTML(b *testing.B) {
	d := votes(1000, 30, 5)
	b.ReportAllocs()
	for b.Loop() {
		if err := d.WriteHTML(io.Discard); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkStatementPDF(b *testing.B) {
	d := votes(1000, 30, 5)
	b.ReportAllocs()
	for b.Loop() {
		if err := d.WritePDF(io.Discard, page.Fonts{}); err != nil {
			b.Fatal(err)
		}
	}
}
