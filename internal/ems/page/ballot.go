package page

// BallotPage is one ballot style, laid out in columns on as many pages as it
// takes: a proof for people, without timing marks, so no scanner reads it. Texts
// in several languages stand below each other, and the first is set in bold.
// It always begins a page.
type BallotPage struct {
	Title []Line // the election; required
	About []Line // jurisdiction, date, precinct, party: one line each
	// Code identifies the ballot style; it stands on every page.
	Code         string
	QR           string // content of a QR code, which stands beside the title; may be empty
	Instructions []Line
	Columns      int // 1 to 4
	Contests     []BallotContest
}

// BallotContest is a contest, which is kept in one column unless it is longer
// than a column.
type BallotContest struct {
	Title        []Line // required
	Instructions []Line
	Options      []BallotOption
	// VoteFor is how many options may be marked; it is printed when there are no
	// instructions.
	VoteFor int
}

// BallotOption is an oval with what it stands for. Detail is what stands below
// the name, such as the party. A write-in has a line to write on, and may go
// without a name.
type BallotOption struct {
	Name    []Line
	Detail  []Line
	WriteIn bool
}
