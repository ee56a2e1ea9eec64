package child

import (
	"io"

	"sallyport/internal/reader/wire"
)

// writer gathers frames in one buffer, so that many small files cost few
// system calls, and keeps the first error.
type writer struct {
	dst io.Writer
	buf []byte
	err error
}

// bufferBytes holds one full data frame and a few messages around it.
const bufferBytes = wire.MaxData + 64<<10

func newWriter(dst io.Writer) *writer {
	return &writer{dst: dst, buf: make([]byte, 0, bufferBytes)}
}

// room returns how many bytes of payload fit without a flush.
func (w *writer) room() int { return cap(w.buf) - len(w.buf) - wire.HeaderBytes }

// flush sends what was gathered.
func (w *writer) flush() error {
	if w.err == nil && len(w.buf) > 0 {
		_, w.err = w.dst.Write(w.buf)
	}
	w.buf = w.buf[:0]
	return w.err
}

// message adds a frame with a small payload.
func (w *writer) message(t wire.Type, payload []byte) {
	copy(w.frame(t, len(payload)), payload)
}

// frame adds a frame and returns the place of its payload, n bytes of at most
// [wire.MaxData], to be filled before any other call.
func (w *writer) frame(t wire.Type, n int) []byte {
	if w.room() < n {
		_ = w.flush() // the error is kept
	}
	at := len(w.buf)
	w.buf = w.buf[:at+wire.HeaderBytes+n]
	wire.PutHeader(w.buf[at:], t, n)
	return w.buf[at+wire.HeaderBytes:]
}

// shorten cuts the last frame, a data frame of n bytes, to its first m, or
// takes it back when m is 0.
func (w *writer) shorten(n, m int) {
	at := len(w.buf) - n - wire.HeaderBytes
	if m == 0 {
		w.buf = w.buf[:at]
		return
	}
	w.buf = w.buf[:at+wire.HeaderBytes+m]
	wire.PutHeader(w.buf[at:], wire.TypeData, m)
}
