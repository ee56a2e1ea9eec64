// Package testcounty makes a synthetic county of any size: a ballot definition
// and its cast vote records as NIST documents, streamed. It is for measuring;
// small elections with every case are package testelection's. The same county
// always gives the same bytes. It does not use the code it measures, but for the
// types of a definition.
package testcounty

import (
	"bufio"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"math/rand/v2"
	"strconv"

	"sallyport/internal/ems/election"
)

// ID is the election's identifier.
const ID = "synthetic-county-general"

// County is how large it is.
type County struct {
	Ballots   int
	Contests  int // on every ballot
	Precincts int
	Batches   int // of the county's central count and its precincts
}

// methods are the voting methods of the three scanners; a batch is of one.
var methods = [...]string{"election-day", "absentee-mail", "early"}

// options is how many options contest n has, the last of them a write-in.
func options(contest int) int { return 3 + contest%4 }

func contestID(n int) string { return fmt.Sprintf("contest-%02d", n) }

func optionID(contest, n int) string { return fmt.Sprintf("contest-%02d-%d", contest, n) }

func precinctID(n int) string { return fmt.Sprintf("precinct-%04d", n) }

// Definition returns the county's ballot definition.
func (c County) Definition() ([]byte, error) {
	county := election.Unit{ID: "county", Type: election.County, Name: election.English("Synthetic County")}
	style := election.Style{ExternalIDs: []election.ExternalID{{Type: "local-level", Value: "1"}}}
	d := &election.Definition{Version: "1.0.0", GeneratedDate: "2026-09-01T12:00:00Z", Issuer: "Synthetic County", IssuerAbbreviation: "SC",
		VendorApplicationID: "sallyport-testcounty", SequenceStart: 1, SequenceEnd: 1}
	for p := range c.Precincts {
		county.Composing = append(county.Composing, precinctID(p))
		style.Units = append(style.Units, precinctID(p))
	}
	d.Units = append(d.Units, county)
	for p := range c.Precincts {
		registered := int64(c.Ballots/c.Precincts*3/2 + 1)
		d.Units = append(d.Units, election.Unit{ID: precinctID(p), Type: election.Precinct, Name: election.English(fmt.Sprintf("Precinct %d", p)), VotersRegistered: &registered})
	}
	e := election.Election{Name: election.English("Synthetic General Election"), Type: election.General, StartDate: "2026-11-03", EndDate: "2026-11-03",
		ScopeID: "county", ExternalIDs: []election.ExternalID{{Type: "local-level", Value: ID}}}
	for n := range c.Contests {
		x := &election.CandidateContest{VotesAllowed: 1, ContestBase: election.ContestBase{ID: contestID(n), Name: fmt.Sprintf("Office %d", n+1), DistrictID: "county", VoteVariation: election.Plurality}}
		for o := range options(n) {
			option := &election.CandidateOption{OptionBase: election.OptionBase{ID: optionID(n, o)}, WriteIn: o == options(n)-1}
			if !option.WriteIn {
				id := "candidate-" + optionID(n, o)
				e.Candidates = append(e.Candidates, election.Candidate{ID: id, BallotName: election.English(fmt.Sprintf("Candidate %d-%d", n+1, o+1))})
				option.Candidates = []election.ID{id}
			}
			x.Options = append(x.Options, option)
		}
		e.Contests = append(e.Contests, x)
		style.Content = append(style.Content, &election.OrderedContest{Contest: contestID(n)})
	}
	e.Styles = []election.Style{style}
	d.Elections = []election.Election{e}
	return d.JSON()
}

// WriteRecords writes the report of all cast vote records.
func (c County) WriteRecords(w io.Writer) error {
	b := bufio.NewWriterSize(w, 1<<20)
	g := newGenerator(c)
	if _, err := b.WriteString(g.head()); err != nil {
		return err
	}
	buf := make([]byte, 0, 64<<10)
	for i := range c.Ballots {
		buf = buf[:0]
		if i > 0 {
			buf = append(buf, ',')
		}
		if _, err := b.Write(g.record(buf, i)); err != nil {
			return err
		}
	}
	if _, err := b.WriteString("]}\n"); err != nil {
		return err
	}
	return b.Flush()
}

// Marks calls each with every mark of the county, for peers that keep one row a
// mark: ballot, precinct, method, contest and option are numbers.
func (c County) Marks(each func(ballot, precinct, method, contest, option int) error) error {
	g := newGenerator(c)
	for i := range c.Ballots {
		p, m := g.begin(i)
		for n := range c.Contests {
			if o := g.choice(n); o >= 0 {
				if err := each(i, p, m, n, o); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// Batch returns the batch of a ballot; ballots of one batch come together and
// have one precinct and one voting method.
func (c County) batch(ballot int) int { return ballot * c.Batches / c.Ballots }

// generator makes one record after another.
type generator struct {
	County
	rng       *rand.Rand
	fragments [][]string // by contest and option
	blank     []string   // by contest: listed without a mark
}

func newGenerator(c County) *generator {
	g := &generator{County: c, rng: rand.New(rand.NewPCG(uint64(c.Ballots), 2026))}
	for n := range c.Contests {
		open := `{"@type":"CVR.CVRContest","ContestId":"` + contestID(n) + `","CVRContestSelection":[`
		var list []string
		for o := range options(n) {
			list = append(list, open+`{"@type":"CVR.CVRContestSelection","ContestSelectionId":"`+optionID(n, o)+
				`","SelectionPosition":[{"@type":"CVR.SelectionPosition","HasIndication":"yes","IsAllocable":"yes","NumberVotes":1}]}]}`)
		}
		g.fragments = append(g.fragments, list)
		g.blank = append(g.blank, open[:len(open)-len(`,"CVRContestSelection":[`)]+`}`)
	}
	return g
}

// begin starts a ballot and returns its precinct and voting method.
func (g *generator) begin(ballot int) (precinct, method int) {
	b := g.batch(ballot)
	return b % g.Precincts, (b + b/g.Precincts) % len(methods)
}

// choice returns the option that the ballot marks in a contest, or -1: one
// contest in sixteen is left out, and few names are written.
func (g *generator) choice(contest int) int {
	r := g.rng.Uint32()
	if r&15 == 0 {
		return -1
	}
	o := int(r>>4) % (options(contest) * 16)
	if o == 0 {
		return options(contest) - 1
	}
	return o % (options(contest) - 1)
}

// record appends one record.
func (g *generator) record(buf []byte, ballot int) []byte {
	p, m := g.begin(ballot)
	id := g.uuid(ballot)
	buf = append(buf, `{"@type":"CVR.CVR","ElectionId":"`+ID+`","CreatingDeviceId":"scanner-`...)
	buf = append(buf, methods[m]...)
	buf = append(buf, `","BatchId":"batch-`...)
	buf = strconv.AppendInt(buf, int64(g.batch(ballot)), 10)
	buf = append(buf, `","BallotStyleId":"1","BallotStyleUnitId":"`...)
	buf = append(buf, precinctID(p)...)
	buf = append(buf, `","UniqueId":"`...)
	buf = append(buf, id[:]...)
	buf = append(buf, `","CurrentSnapshotId":"s-`...)
	buf = append(buf, id[:]...)
	buf = append(buf, `","CVRSnapshot":[{"@type":"CVR.CVRSnapshot","@id":"s-`...)
	buf = append(buf, id[:]...)
	buf = append(buf, `","Type":"original","Status":["other"],"OtherStatus":"voting-method:`...)
	buf = append(buf, methods[m]...)
	buf = append(buf, `","CVRContest":[`...)
	for n := range g.Contests {
		if n > 0 {
			buf = append(buf, ',')
		}
		if o := g.choice(n); o >= 0 {
			buf = append(buf, g.fragments[n][o]...)
		} else {
			buf = append(buf, g.blank[n]...)
		}
	}
	return append(buf, `]}]}`...)
}

// uuid spreads the ballot's number over a UUID (version 4): the identifiers are
// all different and in no order.
func (g *generator) uuid(ballot int) (out [36]byte) {
	var u [16]byte
	x := uint64(ballot)*0x9e3779b97f4a7c15 + 1
	binary.BigEndian.PutUint64(u[:8], x)
	x = (x ^ x>>29) * 0xbf58476d1ce4e5b9
	binary.BigEndian.PutUint64(u[8:], x^x>>32)
	u[6], u[8] = u[6]&0x0f|0x40, u[8]&0x3f|0x80
	for i, at := range [...]int{0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34} {
		hex.Encode(out[at:at+2], u[i:i+1])
	}
	out[8], out[13], out[18], out[23] = '-', '-', '-', '-'
	return out
}

// head is the report up to its first record.
func (g *generator) head() string {
	s := `{"@type":"CVR.CastVoteRecordReport","Version":"1.0.0","GeneratedDate":"2026-11-03T20:00:00Z","ReportType":["aggregated"],"ReportGeneratingDeviceIds":["scanner-` + methods[0] + `"],"ReportingDevice":[`
	for i, m := range methods {
		if i > 0 {
			s += ","
		}
		s += `{"@type":"CVR.ReportingDevice","@id":"scanner-` + m + `"}`
	}
	s += `],"GpUnit":[{"@type":"CVR.GpUnit","@id":"county","Type":"other","OtherType":"county","ReportingDeviceIds":["scanner-` + methods[0] + `"]}`
	for p := range g.Precincts {
		s += `,{"@type":"CVR.GpUnit","@id":"` + precinctID(p) + `","Type":"precinct"}`
	}
	s += `],"Election":[{"@type":"CVR.Election","@id":"` + ID + `","ElectionScopeId":"county","Contest":[`
	for n := range g.Contests {
		if n > 0 {
			s += ","
		}
		s += `{"@type":"CVR.CandidateContest","@id":"` + contestID(n) + `","VotesAllowed":1,"ContestSelection":[`
		for o := range options(n) {
			if o > 0 {
				s += ","
			}
			s += `{"@type":"CVR.CandidateSelection","@id":"` + optionID(n, o) + `"`
			if o == options(n)-1 {
				s += `,"IsWriteIn":true`
			}
			s += `}`
		}
		s += `]}`
	}
	return s + `]}],"CVR":[`
}
