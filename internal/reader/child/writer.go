package child

import (
	"io"
	"time"

	"sallyport/internal/reader/wire"
)

// writer gathers frames in one buffer, so that many small files cost few
// system calls, and keeps the first error.
type writer struct {
	dst io.Writer
	buf []byte
	err error
	// told is when something was sent last.
	told time.Time
}

// bufferBytes holds a few full frames.
const bufferBytes = 4 * wire.MaxPayload

func newWriter(dst io.Writer) *writer {
	return &writer{dst: dst, buf: make([]byte, 0, bufferBytes)}
}

// flush sends what was gathered.
func (w *writer) flush() error {
	if w.err == nil && len(w.buf) > 0 {
		_, w.err = w.dst.Write(w.buf)
		w.told = time.Now()
	}
	w.buf = w.buf[:0]
	return w.err
}

// tell sends what was gathered when the parent has not heard anything for a
// while: it takes silence for a medium that does not answer.
func (w *writer) tell() {
	if time.Since(w.told) >= time.Second {
		_ = w.flush() // the error is kept
	}
}

// message adds a frame with a small payload.
func (w *writer) message(t wire.Type, payload []byte) {
	copy(w.frame(t, len(payload)), payload)
}

// frame adds a frame and returns the place of its payload, n bytes of at most
// [wire.MaxPayload], to be filled before any other call.
func (w *writer) frame(t wire.Type, n int) []byte {
	if cap(w.buf)-len(w.buf) < wire.HeaderBytes+n {
		_ = w.flush() // the error is kept
	}
	at := len(w.buf)
	w.buf = w.buf[:at+wire.HeaderBytes+n]
	wire.PutHeader(w.buf[at:], t, n)
	return w.buf[at+wire.HeaderBytes:]
}
