package reader

import (
	"errors"
	"io"

	"sallyport/internal/limit"
	"sallyport/internal/reader/wire"
	"sallyport/internal/sandbox"
	"sallyport/internal/verdict"
)

// talk is the parent's side of the protocol over any connection; the process
// behind it is no concern of this type, so that it can be fuzzed.
type talk struct {
	conn   io.ReadWriter
	in     *wire.Reader
	ring   *ring
	limits limit.Limits
	size   int64 // of the device
	align  int64 // of what is read from it
	err    error // the first error that ends the session; stays
	pace   *pace
	// pulled says whether the device is gone.
	pulled func() bool

	listed bool
	sizes  []int64 // by entry
	states []state // by entry
	bytes  *limit.Budget
	stream *Stream // the last one
	slot   int     // of the ring, the current one
	turned bool    // no data of the current slot yet
}

// state of an entry as far as its content is concerned.
type state uint8

const (
	idle   state = iota // a file that was not asked for yet
	asked               // in the running stream, to come
	spent               // begun or done
	folder              // has no content
)

func newTalk(conn io.ReadWriter, ring *ring, limits limit.Limits, size int64) talk {
	return talk{
		conn: conn, in: wire.NewReader(conn), ring: ring, limits: limits, size: size, align: 1, turned: true,
		pace: newPace(limits), pulled: func() bool { return false },
		bytes: limit.NewBudget("bytes read from one medium", limits.Bytes),
	}
}

// lie returns the finding about a child that broke the protocol.
func lie(format string, args ...any) error {
	return verdict.New(verdict.SandboxUnavailable, "the reader broke the protocol", format, args...)
}

// stop keeps the first error that ends the session and returns it. Errors that
// carry no finding come from the form of the protocol, or from a closed session.
func (t *talk) stop(err error) error {
	if t.err == nil {
		var bad *wire.Malformed
		if errors.As(err, &bad) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.ErrNoProgress) || errors.Is(err, io.EOF) {
			err = lie("%s", err.Error())
		}
		t.err = err
	}
	return t.err
}

// hello waits for the proof of the lockdown.
func (t *talk) hello() (sandbox.Proof, error) {
	typ, payload, err := t.in.Next()
	if err == nil && typ == wire.TypeRefuse {
		err = t.refusal(payload)
	}
	if err == nil && typ != wire.TypeHello {
		err = lie("it began with %s", typ)
	}
	if err != nil {
		return sandbox.Proof{}, t.stop(err)
	}
	proof, err := wire.ParseHello(payload)
	if err != nil {
		return sandbox.Proof{}, t.stop(err)
	}
	return proof, nil
}

// refusal returns the child's finding about the medium as an error.
func (t *talk) refusal(payload []byte) error {
	f, err := t.finding(payload)
	if err != nil {
		return err
	}
	return f
}

// finding decodes and checks a finding of the child's. What the child cannot
// know is said here: that the medium does not answer because it is gone.
func (t *talk) finding(payload []byte) (*verdict.Finding, error) {
	f, err := wire.ParseFinding(payload)
	if err != nil {
		return nil, err
	}
	if err := mayReport(f); err != nil {
		return nil, err
	}
	if (f.Reason == verdict.Unreadable || f.Reason == verdict.Truncated) && t.pulled() {
		f = verdict.New(verdict.RemovedDuringRead, f.Where, "the device is gone (%s)", f.Detail)
	}
	return f, nil
}

// mayReport checks that a reason is one that a reader can know.
func mayReport(f *verdict.Finding) error {
	switch f.Reason {
	case verdict.Unreadable, verdict.Truncated, verdict.FilesystemInconsistent, verdict.RemovedDuringRead,
		verdict.FilesystemUnsupported, verdict.OverLimit, verdict.SandboxUnavailable:
		return nil
	}
	return lie("the reason %q is not for a reader to give", f.Reason)
}

// send writes one request.
func (t *talk) send(typ wire.Type, payload []byte) error {
	b := make([]byte, wire.HeaderBytes, wire.HeaderBytes+len(payload))
	wire.PutHeader(b, typ, len(payload))
	_, err := t.conn.Write(append(b, payload...))
	return err
}
