// Package deck is logic and accuracy testing (VVSG 2.0, 1.1.2-B to J): it makes
// decks of marked test ballots for an election definition, says what they must
// count to, compares that with what was counted, proves what was exercised, and
// writes the sign-off. It reads the definition anew and applies the vote rule in
// another way than the counting code, which it does not import: an error shared
// by both would be no test. It counts no cast ballot, stores nothing and knows no
// keys. Definitions are checked ones ([election.Valid]); what is compared, and a
// sign-off that is read back, is judged as foreign.
package deck

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"iter"
	"strconv"

	"sallyport/internal/ems/election"
)

// Size says how much of the pattern each precinct gets.
type Size string

// The values of [Size].
const (
	// Minimal gives the whole pattern to one precinct of each ballot style, and
	// to the others every option once.
	Minimal Size = "minimal"
	// Complete gives the whole pattern to every precinct of every ballot style.
	Complete Size = "complete"
)

// Budgets of a deck.
const (
	// DefaultSheets is the most sheets where [Options] names no other number.
	DefaultSheets = 20_000
	// MostSheets is the most that [Options] can ask for.
	MostSheets = 250_000
	// MostMarks is the most marks on all sheets together.
	MostMarks = 4_000_000
)

// Run is how many options of a contest, one after another, get different
// totals. The number of ballots grows with its square.
const Run = 32

// Errors of [Build].
var (
	// ErrOptions means that what was asked for cannot be meant.
	ErrOptions = errors.New("the options of the test deck are wrong")
	// ErrBudget means that the deck would need more sheets or marks than allowed.
	ErrBudget = errors.New("the test deck is over its budget")
)

// ErrDeck means that a deck does not belong to the definition.
var ErrDeck = errors.New("the test deck does not fit the definition")

// Options say which deck to build. The same definition and options give the
// same deck, byte for byte.
type Options struct {
	// DefinitionSHA256 is the digest of the definition's document, 64 hex digits.
	DefinitionSHA256 string
	// Seed makes the ballots' identifiers: decks that must not be taken for each
	// other have different ones. Not a secret.
	Seed string
	// Size is Minimal unless set.
	Size Size
	// PerUnit is the least number of ballots for each style and precinct; the
	// pattern may need more. 0 is as few as the pattern needs.
	PerUnit int
	// MaxSheets is the budget; 0 is DefaultSheets.
	MaxSheets int
}

// complete fills in what was left open.
func (o Options) complete() (Options, error) {
	if o.Size == "" {
		o.Size = Minimal
	}
	if o.MaxSheets == 0 {
		o.MaxSheets = DefaultSheets
	}
	switch {
	case !isDigest(o.DefinitionSHA256):
		return o, fmt.Errorf("%w: DefinitionSHA256 must be 64 hex digits in lower case", ErrOptions)
	case len(o.Seed) > 256:
		return o, fmt.Errorf("%w: the seed must have at most 256 bytes", ErrOptions)
	case o.Size != Minimal && o.Size != Complete:
		return o, fmt.Errorf("%w: the size must be %q or %q", ErrOptions, Minimal, Complete)
	case o.MaxSheets < 1 || o.MaxSheets > MostSheets:
		return o, fmt.Errorf("%w: MaxSheets must be between 1 and %d", ErrOptions, MostSheets)
	case o.PerUnit < 0 || o.PerUnit > o.MaxSheets:
		return o, fmt.Errorf("%w: PerUnit must be between 0 and MaxSheets, %d", ErrOptions, o.MaxSheets)
	}
	return o, nil
}

func isDigest(s string) bool {
	b, err := hex.DecodeString(s)
	return err == nil && len(b) == sha256.Size && hex.EncodeToString(b) == s
}

// Deck is a test deck. Every ballot in it is a test ballot.
type Deck struct {
	DefinitionSHA256 string
	Seed             string
	Size             Size
	Sheets           []Sheet
}

// Sheet is one test ballot: a whole one, with all contests of its style.
type Sheet struct {
	Number   int      `json:"number"`   // from 1
	Style    string   `json:"style"`    // the first external identifier of the ballot style
	Precinct string   `json:"precinct"` // @id of the reporting unit
	Party    []string `json:"party"`    // @ids of the style's parties; none unless it is a party's ballot
	Purpose  string   `json:"purpose"`  // what it was made to test, for people
	// Marks are the marks in each contest, by its @id, in the order of the
	// options on this style; contests left blank are not in it.
	Marks map[string][]Mark `json:"marks"`
}

// Mark is one marked position.
type Mark struct {
	Option   string `json:"option"`   // @id
	Position int    `json:"position"` // place among the contest's options on this style, from 1
	Rank     int    `json:"rank"`     // in a ranked contest, from 1; otherwise 0
	Votes    int    `json:"votes"`    // 1, or more in a cumulative contest
	WriteIn  string `json:"write_in"` // the name to write; "" where none is written
}

// SHA256 is the digest of what [Deck.WriteJSON] writes, in hex.
func (d *Deck) SHA256() (string, error) { return digest(d.WriteJSON) }

func digest(write func(io.Writer) error) (string, error) {
	h := sha256.New()
	if err := write(h); err != nil {
		return "", err
	}
	return sum(h), nil
}

func sum(h hash.Hash) string { return hex.EncodeToString(h.Sum(nil)) }

// ID is the identifier of a ballot: a UUID of version 8 (RFC 9562, 5.8) made
// from the definition, the seed and the number by SHA-256.
func (d *Deck) ID(number int) string {
	h := sha256.New()
	for _, part := range []string{"sallyport test ballot v1", d.DefinitionSHA256, d.Seed, strconv.Itoa(number)} {
		h.Write(strconv.AppendInt(nil, int64(len(part)), 10))
		h.Write([]byte{':'})
		h.Write([]byte(part))
	}
	b := h.Sum(nil)[:16]
	b[6], b[8] = b[6]&0x0f|0x80, b[8]&0x3f|0x80
	s := hex.EncodeToString(b)
	return s[:8] + "-" + s[8:12] + "-" + s[12:16] + "-" + s[16:20] + "-" + s[20:]
}

// read returns the definition as this package reads it, and the pages of the
// sheets one after another; a sheet that does not fit ends it with ErrDeck.
func (d *Deck) read(v *election.Valid) (*book, iter.Seq2[*page, *Sheet], error) {
	b := readBook(v)
	for i := range d.Sheets {
		if err := b.fits(&d.Sheets[i]); err != nil {
			return nil, nil, fmt.Errorf("%w: sheet %d: %w", ErrDeck, d.Sheets[i].Number, err)
		}
	}
	return b, func(yield func(*page, *Sheet) bool) {
		for i := range d.Sheets {
			if !yield(b.byCode[d.Sheets[i].Style], &d.Sheets[i]) {
				return
			}
		}
	}, nil
}

func digestOf(data []byte) string {
	h := sha256.Sum256(data)
	return hex.EncodeToString(h[:])
}
