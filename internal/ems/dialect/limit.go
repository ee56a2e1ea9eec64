package dialect

// The budgets. None depends on how long an export is.
const (
	maxRow       = 1 << 20   // bytes of one CSV record, quotes and line breaks included
	maxColumns   = 16 << 10  // cells of one CSV record
	maxName      = 4 << 10   // bytes of a name that is kept
	maxID        = 256       // bytes of an identifier that is kept
	maxContests  = 4 << 10   // contests of one export
	maxChoices   = 64 << 10  // choices of all contests of one export
	maxVotes     = 1000      // votes allowed, votes of one mark, and ranks
	maxMarks     = 64 << 10  // marks of one record, in all its versions
	maxLabels    = 100_000   // different precincts, styles, methods, parties, batches, devices: each
	maxListed    = 2_000_000 // ballots in ES&S lists of ballots
	maxBallots   = 16 << 20  // records of one export
	maxEntries   = 250_000   // files of one folder, entries of one zip
	maxDirectory = 32 << 20  // bytes of a zip's directory
	maxInflated  = 64 << 30  // bytes that one reading of a zip may give
	maxXML       = 1 << 20   // bytes of one Hart sheet
	maxStrings   = 64 << 20  // bytes of a workbook's shared texts, which are kept
	maxXMLDepth  = 16
	maxManifest  = 16 << 20 // bytes of a JSON document that is not streamed
	maxSession   = 4 << 20  // bytes of one record in a streamed JSON document
	maxFile      = 64 << 20 // bytes of one file in a VotingWorks record's folder
)
