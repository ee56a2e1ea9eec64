package deck

import (
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"sallyport/internal/ems/election"
	"sallyport/internal/ems/model"
	"sallyport/internal/strictjson"
	"sallyport/internal/verdict"
)

// Errors of a sign-off.
var (
	// ErrNotPassed means that the test found differences or was incomplete.
	ErrNotPassed = errors.New("the logic and accuracy test was not passed")
	// ErrPeople means that the two people are not two, or not named.
	ErrPeople = errors.New("a sign-off needs two different people, each with a name and a role")
	// ErrVoid means that the sign-off is not for the definition in force.
	ErrVoid = errors.New("the sign-off is void: the definition has changed since; test it again")
	// ErrSignOff means that a document is no sign-off.
	ErrSignOff = errors.New("not a sign-off of a logic and accuracy test")
)

// Findings are the results of one whole test. Only [Test] makes them; the zero
// value has passed nothing.
type Findings struct {
	definition, deck string
	coverage         *Coverage
	report           *Report
	ballots          *BallotReport // nil when there were no identifiers to compare by
	// Decided once, by Test: what a caller does to the reports changes nothing.
	document []byte
	failure  error
}

// Coverage says what the deck exercised.
func (f *Findings) Coverage() *Coverage { return f.coverage }

// Report is the comparison of the totals.
func (f *Findings) Report() *Report { return f.report }

// Ballots is the comparison of the records, or nil.
func (f *Findings) Ballots() *BallotReport { return f.ballots }

// Test runs the whole logic and accuracy test of a deck: coverage, the totals
// against what is expected, and, unless records is nil, each record against its
// sheet.
func Test(v *election.Valid, d *Deck, got Counts, records iter.Seq2[*model.Ballot, error]) (*Findings, error) {
	f := &Findings{definition: d.DefinitionSHA256}
	if !isDigest(f.definition) {
		return nil, fmt.Errorf("%w: it does not name its definition", ErrDeck)
	}
	want, err := Expect(v, d)
	if err != nil {
		return nil, err
	}
	f.report = Compare(want, got)
	if f.coverage, err = Cover(v, d); err != nil {
		return nil, err
	}
	if records != nil {
		if f.ballots, err = CompareBallots(v, d, records); err != nil {
			return nil, err
		}
	}
	if f.deck, err = d.SHA256(); err != nil {
		return nil, err
	}
	f.failure = f.judge()
	f.document, err = strictjson.Encode(findingsDocument{"sallyport-la-findings-v1", f.definition, f.deck, f.coverage, f.report, f.ballots})
	return f, err
}

// Passed is nil, or says why the test was not passed (wraps [ErrNotPassed]).
func (f *Findings) Passed() error {
	if f.document == nil {
		return fmt.Errorf("%w: there was no test", ErrNotPassed)
	}
	return f.failure
}

func (f *Findings) judge() error {
	switch {
	case !f.coverage.Complete():
		return f.coverage.Err()
	case !f.report.Same():
		return fmt.Errorf("%w: %d differences between what was expected and what was counted", ErrNotPassed, len(f.report.Differences))
	case f.ballots != nil && !f.ballots.Same():
		return fmt.Errorf("%w: %d differences between the deck and the records", ErrNotPassed, len(f.ballots.Differences))
	}
	return nil
}

// findingsDocument is the canonical form of [Findings].
type findingsDocument struct {
	Type             string        `json:"type"`
	DefinitionSHA256 string        `json:"definition_sha256"`
	DeckSHA256       string        `json:"deck_sha256"`
	Coverage         *Coverage     `json:"coverage"`
	Totals           *Report       `json:"totals"`
	Records          *BallotReport `json:"records,omitzero"`
}

// JSON is the canonical document of the findings: totals of test ballots alone.
func (f *Findings) JSON() ([]byte, error) {
	if f.document == nil {
		return nil, fmt.Errorf("%w: there was no test", ErrNotPassed)
	}
	return slices.Clone(f.document), nil
}

// Signer is a person who answers for a test.
type Signer struct {
	Name string `json:"name"`
	Role string `json:"role"`
}

// SignOff says that a definition passed its logic and accuracy test. It is
// void as soon as the definition is another one. It holds no votes and no
// secrets; whoever keeps it protects it from change (it carries no signature).
type SignOff struct {
	Type             string    `json:"type"`
	DefinitionSHA256 string    `json:"definition_sha256"`
	BallotHash       string    `json:"ballot_hash"` // of the ballots as laid out, 64 hex digits
	DeckSHA256       string    `json:"deck_sha256"`
	ReportSHA256     string    `json:"report_sha256"` // of [Findings.JSON]
	By               [2]Signer `json:"by"`
	At               string    `json:"at"`     // RFC 3339, UTC
	Result           string    `json:"result"` // always "passed"
}

const (
	signOffType = "sallyport-la-signoff-v1"
	passed      = "passed"
	// MaxSignOff is the most bytes of a sign-off.
	MaxSignOff = 8 << 10
)

// SignOff makes the sign-off of a test that was passed, by two different
// people; otherwise it fails with [ErrNotPassed], [ErrPeople] or [ErrSignOff].
func (f *Findings) SignOff(ballotHash string, by [2]Signer, at time.Time) (*SignOff, error) {
	if err := f.Passed(); err != nil {
		return nil, err
	}
	report, err := f.JSON()
	if err != nil {
		return nil, err
	}
	s := &SignOff{Type: signOffType, DefinitionSHA256: f.definition, BallotHash: ballotHash, DeckSHA256: f.deck,
		ReportSHA256: digestOf(report), By: by, At: at.UTC().Format(time.RFC3339), Result: passed}
	if err := s.check(); err != nil {
		return nil, err
	}
	return s, nil
}

// check says whether every field is what it can be.
func (s *SignOff) check() error {
	if s.Type != signOffType || s.Result != passed {
		return fmt.Errorf("%w: the type must be %q and the result %q", ErrSignOff, signOffType, passed)
	}
	for name, value := range map[string]string{"definition_sha256": s.DefinitionSHA256, "ballot_hash": s.BallotHash, "deck_sha256": s.DeckSHA256, "report_sha256": s.ReportSHA256} {
		if !isDigest(value) {
			return fmt.Errorf("%w: %s must be 64 hex digits in lower case", ErrSignOff, name)
		}
	}
	if at, err := time.Parse(time.RFC3339, s.At); err != nil || at.UTC().Format(time.RFC3339) != s.At {
		return fmt.Errorf("%w: at must be a time in UTC such as 2026-10-01T09:30:00Z", ErrSignOff)
	}
	for _, p := range s.By {
		if !isName(p.Name) || !isName(p.Role) {
			return fmt.Errorf("%w (at most 200 bytes each, without characters that cannot be seen)", ErrPeople)
		}
	}
	if same(s.By[0].Name, s.By[1].Name) {
		return ErrPeople
	}
	return nil
}

// isName wants something that can be seen as what it is.
func isName(s string) bool {
	return strings.TrimSpace(s) != "" && len(s) <= 200 && verdict.Escape(s) == s
}

// same takes no difference of case or spaces for another person.
func same(a, b string) bool {
	fold := func(s string) string { return strings.Join(strings.Fields(s), " ") }
	return strings.EqualFold(fold(a), fold(b))
}

// Valid is nil when the sign-off is whole and for the definition of that
// digest; otherwise [ErrVoid], or why it is none.
func (s *SignOff) Valid(definitionSHA256 string) error {
	if err := s.check(); err != nil {
		return err
	}
	if s.DefinitionSHA256 != definitionSHA256 {
		return ErrVoid
	}
	return nil
}

// JSON is the canonical form.
func (s *SignOff) JSON() ([]byte, error) { return strictjson.Encode(s) }

// ReadSignOff reads the canonical form, and no other.
func ReadSignOff(data []byte) (*SignOff, error) {
	var s SignOff
	if err := strictjson.DecodeCanonical(data, &s, MaxSignOff); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSignOff, err)
	}
	if err := s.check(); err != nil {
		return nil, err
	}
	return &s, nil
}
