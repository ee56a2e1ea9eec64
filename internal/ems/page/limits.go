package page

// Budgets. What goes beyond one is refused before memory is spent on it.
const (
	MaxBlocks  = 100_000   // blocks of a document
	MaxCells   = 2_000_000 // cells of all tables of a document, and lines of all other blocks
	MaxColumns = 4096      // columns of a table
	MaxText    = 64 << 10  // bytes of one text
	MaxTotal   = 256 << 20 // bytes of all texts
	MaxPages   = 20_000    // pages of a PDF
	MaxFonts   = 32        // fallback fonts
	MaxFont    = 64 << 20  // bytes of a font
	MaxSeries  = 8         // series of a chart: more colours are not told apart
	MaxQR      = 512       // bytes of a QR code's content
	maxFooter  = 6         // lines of a footer
)
