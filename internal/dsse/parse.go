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
// would hold it three times over to prove that it is canonical, the cursor holds
// the payload once. A fuzz target compares it with strictjson.
type cursor struct {
	data []byte
	at   int
}

// errNotCanonical is replaced by [diagnose] with what a JSON decoder finds.
var errNotCanonical = errors.New("not canonical")

func (c *cursor) envelope() (*Envelope, error) {
	e := &Envelope{}
	if !c.literal(`{"payload":"`) {
		return nil, errNotCanonical
	}
	var err error
	if e.Payload, err = c.base64("payload"); err != nil {
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
	if s.Sig, err = c.base64(where + "/sig"); err != nil {
		return s, err
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

func (c *cursor) base64(where string) ([]byte, error) {
	start := c.at
	t, ok := c.text(len(c.data))
	if !ok {
		return nil, errNotCanonical
	}
	// The decoder skips line ends by itself, and only Strict refuses stray bits.
	for _, end := range []byte("\r\n") {
		if i := bytes.IndexByte(t, end); i >= 0 {
			return nil, &Error{where, fmt.Sprintf("a line end at byte %d, inside base64", start+i)}
		}
	}
	out := make([]byte, base64.StdEncoding.DecodedLen(len(t)))
	n, err := base64.StdEncoding.Strict().Decode(out, t)
	if err != nil {
		var at base64.CorruptInputError
		errors.As(err, &at)
		return nil, &Error{where, fmt.Sprintf("not standard base64 with padding at byte %d", start+int(at))}
	}
	return out[:n], nil
}

// diagnose names what a strict JSON decoder finds wrong with data that the
// cursor refused. It never accepts anything.
func diagnose(data []byte, err error) error {
	if !errors.Is(err, errNotCanonical) {
		return err
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
