// Package strictjson decodes JSON that is signed or foreign, and encodes the
// one canonical form of it. It refuses what general decoders let pass:
// duplicate and unknown members, wrong case, null, fractions and exponents,
// integers beyond 2^53-1 (RFC 7493), invalid UTF-8, trailing bytes, and
// documents over a stated size and depth. It holds no format of its own and
// is not for the NIST formats, which allow fractions.
package strictjson

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// MaxDepth is the deepest nesting of objects and arrays in any document.
const MaxDepth = 16

const maxInt = 1<<53 - 1

// Error says what is wrong with a document and where.
type Error struct {
	Offset  int64  // byte offset
	Pointer string // JSON pointer (RFC 6901), may be empty
	Problem string
}

func (e *Error) Error() string {
	if e.Pointer == "" {
		return fmt.Sprintf("invalid JSON at byte %d: %s", e.Offset, e.Problem)
	}
	return fmt.Sprintf("invalid JSON at byte %d (%s): %s", e.Offset, e.Pointer, e.Problem)
}

// Decode decodes the one JSON value in data into v, which must be a pointer to
// a type made of structs, slices, strings, integers and booleans. A document of
// more than maxBytes bytes is refused before it is looked at.
func Decode(data []byte, v any, maxBytes int64) error {
	if int64(len(data)) > maxBytes {
		return &Error{Offset: maxBytes, Problem: fmt.Sprintf("the document has %d bytes, at most %d are allowed", len(data), maxBytes)}
	}
	if err := check(data); err != nil {
		return err
	}
	if err := json.Unmarshal(data, v, json.RejectUnknownMembers(true)); err != nil {
		return located(err)
	}
	return nil
}

// DecodeCanonical is [Decode] for documents that have only one encoding: it
// also refuses data that is not byte for byte what [Encode] makes of v. This
// covers missing members, their order and white space.
func DecodeCanonical(data []byte, v any, maxBytes int64) error {
	if err := Decode(data, v, maxBytes); err != nil {
		return err
	}
	again, err := Encode(v)
	if err != nil {
		return err
	}
	if !bytes.Equal(again, data) {
		n := 0
		for n < len(again) && n < len(data) && again[n] == data[n] {
			n++
		}
		return &Error{Offset: int64(n), Problem: "not the canonical encoding (a missing member, another order, white space or an escape that is not needed)"}
	}
	return nil
}

// Encode returns the canonical encoding of v: members in the order of the
// struct's fields, map keys sorted, no white space, no needless escapes, no
// newline at the end.
func Encode(v any) ([]byte, error) {
	b, err := json.Marshal(v, json.Deterministic(true))
	if err != nil {
		return nil, fmt.Errorf("cannot encode JSON: %w", err)
	}
	return b, nil
}

// check walks the tokens once; the decoder itself refuses duplicate names,
// invalid UTF-8 and bad syntax.
func check(data []byte) error {
	d := jsontext.NewDecoder(bytes.NewReader(data))
	bad := func(format string, args ...any) error {
		return &Error{Offset: d.InputOffset(), Pointer: string(d.StackPointer()), Problem: fmt.Sprintf(format, args...)}
	}
	for {
		tok, err := d.ReadToken()
		if err != nil {
			if errors.Is(err, io.EOF) {
				return bad("the document is empty")
			}
			return located(err)
		}
		switch tok.Kind() {
		case 'n':
			return bad("null is not allowed")
		case '0':
			if n, err := strconv.ParseInt(tok.String(), 10, 64); err != nil || n > maxInt || n < -maxInt || tok.String() == "-0" {
				return bad("the number %.40s is not an integer within ±(2^53-1)", tok.String())
			}
		}
		if d.StackDepth() > MaxDepth {
			return bad("nested deeper than %d", MaxDepth)
		}
		if d.StackDepth() == 0 {
			break
		}
	}
	if _, err := d.ReadToken(); !errors.Is(err, io.EOF) {
		return bad("bytes after the end of the document")
	}
	return nil
}

func located(err error) error {
	var syn *jsontext.SyntacticError
	if errors.As(err, &syn) {
		return &Error{Offset: syn.ByteOffset, Pointer: string(syn.JSONPointer), Problem: syn.Err.Error()}
	}
	var sem *json.SemanticError
	if errors.As(err, &sem) {
		problem := "a value of the wrong type"
		switch {
		case errors.Is(err, json.ErrUnknownName):
			problem = "unknown member"
		case sem.Err != nil:
			problem = sem.Err.Error()
		case sem.GoType != nil:
			problem = fmt.Sprintf("want %v, found %v", sem.GoType.Kind(), sem.JSONKind)
		}
		return &Error{Offset: sem.ByteOffset, Pointer: string(sem.JSONPointer), Problem: problem}
	}
	return fmt.Errorf("cannot decode JSON: %w", err)
}
