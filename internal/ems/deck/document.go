package deck

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"

	"sallyport/internal/strictjson"
)

const (
	deckType = "sallyport-test-deck-v1"
	maxLine  = 8 << 20 // bytes of one sheet in a deck's document
)

// header is the first line of a deck's document.
type header struct {
	Type             string `json:"type"`
	Test             bool   `json:"test"`
	DefinitionSHA256 string `json:"definition_sha256"`
	Seed             string `json:"seed"`
	Size             Size   `json:"size"`
	Sheets           int    `json:"sheets"`
}

// WriteJSON writes the deck as lines of canonical JSON: a header, then one line
// for each sheet. FORMAT.md describes it.
func (d *Deck) WriteJSON(w io.Writer) error {
	out := bufio.NewWriter(w)
	line := func(v any) error {
		b, err := strictjson.Encode(v)
		if err == nil {
			_, err = out.Write(append(b, '\n'))
		}
		return err
	}
	err := line(header{deckType, true, d.DefinitionSHA256, d.Seed, d.Size, len(d.Sheets)})
	for i := 0; i < len(d.Sheets) && err == nil; i++ {
		err = line(&d.Sheets[i])
	}
	if err == nil {
		err = out.Flush()
	}
	if err != nil {
		return fmt.Errorf("cannot write the test deck: %w", err)
	}
	return nil
}

// ReadDeck reads what [Deck.WriteJSON] writes, and nothing else: a deck that was
// marked on paper stays the same when a later version would build another one.
// Whether it fits a definition is judged where it is used. Errors wrap
// [ErrDeck] or [ErrBudget] and name the line.
func ReadDeck(r io.Reader) (*Deck, error) {
	in := bufio.NewScanner(r)
	in.Buffer(nil, maxLine)
	in.Split(wholeLines)
	line := 0
	next := func(v any) error {
		line++
		if !in.Scan() {
			if err := in.Err(); err != nil {
				return fmt.Errorf("%w: line %d: %w", ErrDeck, line, err)
			}
			return fmt.Errorf("%w: line %d is missing", ErrDeck, line)
		}
		if err := strictjson.DecodeCanonical(in.Bytes(), v, maxLine); err != nil {
			return fmt.Errorf("%w: line %d: %w", ErrDeck, line, err)
		}
		return nil
	}
	var h header
	if err := next(&h); err != nil {
		return nil, err
	}
	if err := h.check(); err != nil {
		return nil, err
	}
	d := &Deck{DefinitionSHA256: h.DefinitionSHA256, Seed: h.Seed, Size: h.Size}
	marks := 0
	for len(d.Sheets) < h.Sheets {
		var s Sheet
		if err := next(&s); err != nil {
			return nil, err
		}
		if s.Number != len(d.Sheets)+1 {
			return nil, fmt.Errorf("%w: line %d: sheet %d stands at place %d", ErrDeck, line, s.Number, len(d.Sheets)+1)
		}
		for _, list := range s.Marks {
			marks += len(list)
		}
		if marks > MostMarks {
			return nil, fmt.Errorf("%w: line %d: more than %d marks", ErrBudget, line, MostMarks)
		}
		d.Sheets = append(d.Sheets, s)
	}
	if in.Scan() {
		return nil, fmt.Errorf("%w: there is more after the %d sheets that line 1 announces", ErrDeck, h.Sheets)
	}
	if err := in.Err(); err != nil {
		return nil, fmt.Errorf("%w: after line %d: %w", ErrDeck, line, err)
	}
	return d, nil
}

func (h *header) check() error {
	if h.Type != deckType || !h.Test {
		return fmt.Errorf("%w: line 1: the type must be %q, and test must be true", ErrDeck, deckType)
	}
	if h.Sheets > MostSheets {
		return fmt.Errorf("%w: line 1: more than %d sheets", ErrBudget, MostSheets)
	}
	o := Options{DefinitionSHA256: h.DefinitionSHA256, Seed: h.Seed, Size: h.Size}
	if _, err := o.complete(); err != nil || h.Size == "" || h.Sheets < 0 {
		return fmt.Errorf("%w: line 1: definition_sha256, seed, size or sheets is not what it can be", ErrDeck)
	}
	return nil
}

var errCut = errors.New("the last line does not end")

// wholeLines splits at "\n", which the last line needs as well.
func wholeLines(data []byte, end bool) (int, []byte, error) {
	if i := bytes.IndexByte(data, '\n'); i >= 0 {
		return i + 1, data[:i], nil
	}
	if end && len(data) > 0 {
		return 0, nil, errCut
	}
	return 0, nil, nil
}
