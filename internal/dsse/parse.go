package dsse

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"

	"sallyport/internal/strictjson"
)

// cursor reads the one encoding of an envelope from left to right. An envelope
// is mostly one base64 string of up to tens of megabytes: a general JSON decoder
// would hold it three times over to prove that it is canonical, the cursor
// copies nothing of it. A fuzz target compares it with strictjson.
type cursor struct {
	data []byte
	at   int
}

// maxDiagnosed is the size in bytes of an envelope that is worth a JSON decoder
// to say what is wrong with it; most are below it.
const maxDiagnosed = 1 << 20

// errNotCanonical is replaced by diagnose with what a JSON decoder finds.
var errNotCanonical = errors.New("not canonical")

func (c *cursor) envelope() (*Sealed, error) {
	e := &Sealed{}
	if !c.literal(`{"payload":"`) {
		return nil, errNotCanonical
	}
	var err error
	if e.payload, err = c.base64("payload", len(c.data)); err != nil {
		return nil, err
	}
	if !c.literal(`,"payloadType":"`) {
		return nil, errNotCanonical
	}
	t, ok := c.text(maxType)
	if !ok || !c.literal(`,"signatures":[`) {
		return nil, errNotCanonical
	}
	e.PayloadType = string(t)
	for more := !c.literal(`]`); more; more = !c.literal(`]`) {
		if len(e.Signatures) == MaxSignatures {
			return nil, &Error{"signatures", fmt.Sprintf("holds more than %d signatures", MaxSignatures)}
		}
		if len(e.Signatures) > 0 && !c.literal(`,`) {
			return nil, errNotCanonical
		}
		s, err := c.signature("/signatures/" + strconv.Itoa(len(e.Signatures)))
		if err != nil {
			return nil, err
		}
		e.Signatures = append(e.Signatures, s)
	}
	if !c.literal(`}`) || c.at != len(c.data) {
		return nil, errNotCanonical
	}
	return e, nil
}

func (c *cursor) signature(where string) (s Signature, err error) {
	if !c.literal(`{"keyid":"`) {
		return s, errNotCanonical
	}
	id, ok := c.text(KeyIDLen)
	if !ok || !c.literal(`,"sig":"`) {
		return s, errNotCanonical
	}
	s.KeyID = string(id)
	// Longer ones than are allowed can be read, so that the error names the length.
	sig, err := c.base64(where+"/sig", base64.StdEncoding.EncodedLen(2*MaxSignatureBytes))
	if err != nil {
		return s, err
	}
	if s.Sig, err = base64.StdEncoding.DecodeString(string(sig)); err != nil {
		return s, &Error{where + "/sig", err.Error()}
	}
	if !c.literal(`}`) {
		return s, errNotCanonical
	}
	return s, nil
}

func (c *cursor) literal(s string) bool {
	if !bytes.HasPrefix(c.data[c.at:], []byte(s)) {
		return false
	}
	c.at += len(s)
	return true
}

// text returns the bytes up to the closing quote, which it passes. A backslash
// or a longer text is not what the one encoding of a valid envelope holds.
func (c *cursor) text(most int) ([]byte, bool) {
	n := bytes.IndexByte(c.data[c.at:], '"')
	if n < 0 || n > most || bytes.IndexByte(c.data[c.at:c.at+n], '\\') >= 0 {
		return nil, false
	}
	t := c.data[c.at : c.at+n]
	c.at += n + 1
	return t, true
}

// base64 returns a text that is standard base64 with padding, not decoded.
func (c *cursor) base64(where string, most int) ([]byte, error) {
	start := c.at
	t, ok := c.text(most)
	if !ok {
		return nil, errNotCanonical
	}
	at := fault(t)
	switch {
	case at < 0:
		return t, nil
	case at < len(t) && (t[at] == '\r' || t[at] == '\n'):
		return nil, &Error{where, fmt.Sprintf("a line end at byte %d, inside base64", start+at)}
	}
	return nil, &Error{where, fmt.Sprintf("not standard base64 with padding at byte %d", start+at)}
}

// fault returns the place of the first byte that t, as base64 with padding and
// unused bits of zero, must not have there; -1 when there is none.
func fault(t []byte) int {
	for i, b := range t {
		switch {
		case b >= 'A' && b <= 'Z', b >= 'a' && b <= 'z', b >= '0' && b <= '9', b == '+', b == '/':
		case b == '=' && i >= len(t)-2:
		default:
			return i
		}
	}
	if len(t)%4 != 0 {
		return len(t)
	}
	if len(t) == 0 {
		return -1
	}
	// Padding and unused bits are in the last four characters.
	var out [3]byte
	if _, err := base64.StdEncoding.Strict().Decode(out[:], t[len(t)-4:]); err != nil {
		var at base64.CorruptInputError
		errors.As(err, &at)
		return len(t) - 4 + min(int(at), 3)
	}
	return -1
}

// diagnose names what a strict JSON decoder finds wrong with data that the
// cursor refused. It never accepts anything. A large document would cost the
// decoder several times its size: of one it says only where the cursor stopped.
func (c *cursor) diagnose(err error) error {
	data := c.data
	if !errors.Is(err, errNotCanonical) {
		return err
	}
	if len(data) > maxDiagnosed {
		return &Error{"byte " + strconv.Itoa(c.at), "not the canonical encoding of an envelope from here on"}
	}
	var w struct {
		Payload     string `json:"payload"`
		PayloadType string `json:"payloadType"`
		Signatures  []struct {
			KeyID string `json:"keyid"`
			Sig   string `json:"sig"`
		} `json:"signatures"`
	}
	switch err := strictjson.DecodeCanonical(data, &w, int64(len(data))); {
	case err != nil:
		var j *strictjson.Error
		if errors.As(err, &j) && j.Pointer != "" {
			return &Error{fmt.Sprintf("byte %d (%s)", j.Offset, j.Pointer), j.Problem}
		} else if errors.As(err, &j) {
			return &Error{"byte " + strconv.FormatInt(j.Offset, 10), j.Problem}
		}
		return &Error{"the document", err.Error()}
	case len(w.PayloadType) > maxType:
		return &Error{"payloadType", fmt.Sprintf("has %d characters, at most %d are allowed", len(w.PayloadType), maxType)}
	}
	return &Error{"the document", "a text is too long or holds an escape (payloadType, keyid and base64 never need one)"}
}
