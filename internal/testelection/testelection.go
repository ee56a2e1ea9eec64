// Package testelection makes elections that do not exist: a ballot definition
// (NIST SP 1500-20), cast vote records (SP 1500-103) and the result that they
// must give. It is for tests, benchmarks and the demonstration, and never part
// of a program that counts. The same seed gives the same bytes.
//
// The expected result does not come from the records: the generator first
// decides what each voter wanted, adds that up, and only then writes it down as
// marks, in the different ways in which scanners do. It shares no code with the
// counting it tests.
package testelection

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// ID is the identifier of the small election, as manifests name it.
const ID = "maple-county-general-2026-11-03"

// File is one generated document.
type File struct {
	Name string
	Data []byte
}

// SHA256 returns the digest of the document in lower-case hex.
func (f File) SHA256() string {
	sum := sha256.Sum256(f.Data)
	return hex.EncodeToString(sum[:])
}

// Election is a generated election with its expected result.
type Election struct {
	ID         string
	Definition File
	Records    []File // one for each precinct
	Expected   Expected
}

// Expected is the result that the records must give.
type Expected struct {
	ElectionID string           `json:"election_id"`
	Ballots    int64            `json:"ballots"`
	Precincts  map[string]int64 `json:"precincts"`
	Contests   []ExpectedResult `json:"contests"`
}

// ExpectedResult is the result of one contest, in all and for each precinct.
type ExpectedResult struct {
	ID           string                     `json:"id"`
	VotesAllowed int64                      `json:"votes_allowed"`
	Total        ExpectedCounts             `json:"total"`
	Precincts    map[string]*ExpectedCounts `json:"precincts"`
}

// ExpectedCounts is one line of a result.
type ExpectedCounts struct {
	Ballots    int64            `json:"ballots"`
	Votes      map[string]int64 `json:"votes"`
	WriteIns   int64            `json:"write_ins"`
	Overvotes  int64            `json:"overvotes"`
	Undervotes int64            `json:"undervotes"`
	Unresolved int64            `json:"unresolved"`
}

// Ballots of the small election, by precinct.
var smallTurnout = [3]int{121, 94, 105}

const smallSeed = 20261103

// Small generates the small election: three precincts, two ballot styles, 320
// ballots.
func Small() (*Election, error) {
	e := &Election{ID: ID}
	def, err := encode(definition())
	if err != nil {
		return nil, err
	}
	e.Definition = File{"definition.json", def}
	g := newGenerator(smallSeed)
	for p, n := range smallTurnout {
		var b bytes.Buffer
		if err := g.report(&b, p, n, true); err != nil {
			return nil, err
		}
		e.Records = append(e.Records, File{fmt.Sprintf("cvr-precinct-%d.json", p+1), b.Bytes()})
	}
	e.Expected = g.expected()
	return e, nil
}

// WriteRecords writes a report of n cast vote records of one precinct (0, 1 or
// 2) of the small election's definition, of about 1.8 KB each: the stuff of
// benchmarks. Memory grows by little with n.
func WriteRecords(w io.Writer, seed uint64, precinct, n int) (Expected, error) {
	g := newGenerator(seed)
	if err := g.report(w, precinct, n, false); err != nil {
		return Expected{}, err
	}
	return g.expected(), nil
}

// Files returns everything that is committed below testdata/elections/small.
func (e *Election) Files() ([]File, error) {
	want, err := encode(e.Expected)
	if err != nil {
		return nil, err
	}
	return append(slices.Concat([]File{e.Definition}, e.Records), File{"expected-tally.json", want}), nil
}

// object is a JSON object; it is written with sorted member names.
type object map[string]any

func encode(v any) ([]byte, error) {
	b, err := json.Marshal(v, json.Deterministic(true), jsontext.WithIndent(" "))
	if err != nil {
		return nil, fmt.Errorf("cannot write the test election: %w", err)
	}
	return append(b, '\n'), nil
}

// generator decides and writes ballots and keeps the account.
type generator struct {
	rng     *rand.Rand
	cast    [3]int64
	results []ExpectedResult
}

func newGenerator(seed uint64) *generator {
	g := &generator{rng: rand.New(rand.NewPCG(seed, 0x53616c6c79))}
	for _, c := range contests() {
		r := ExpectedResult{ID: c.id, VotesAllowed: int64(c.allowed), Total: newCounts(c), Precincts: map[string]*ExpectedCounts{}}
		for p := range smallTurnout {
			if slices.Contains(styleOf(p).contests, c.id) {
				n := newCounts(c)
				r.Precincts[unitID(p)] = &n
			}
		}
		g.results = append(g.results, r)
	}
	return g
}

func newCounts(c contest) ExpectedCounts {
	n := ExpectedCounts{Votes: map[string]int64{}}
	for _, o := range c.options {
		n.Votes[o.id] = 0
	}
	return n
}

func (g *generator) expected() Expected {
	e := Expected{ElectionID: ID, Precincts: map[string]int64{}, Contests: g.results}
	for p, n := range g.cast {
		e.Ballots += n
		e.Precincts[unitID(p)] = n
	}
	return e
}
