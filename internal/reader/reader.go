// Package reader runs the confined child that reads one medium, and is its
// wary parent side.
package reader

import (
	"context"
	"errors"
	"os"

	"github.com/rs/zerolog"

	"sallyport/internal/limit"
	"sallyport/internal/sandbox"
)

// Config says how the confined child is run.
type Config struct {
	Binary string // path of sallyport-reader
	Limits limit.Limits
	Log    zerolog.Logger
}

// Session is one confined child reading one medium.
type Session struct{ proof sandbox.Proof }

// Stream gives the content of the files that were asked for, one after another.
type Stream struct{}

// Start runs the child and returns when its lockdown is proven.
func Start(ctx context.Context, cfg Config, dev *os.File) (*Session, error) {
	return nil, errors.ErrUnsupported
}

// Proof returns what holds in the child.
func (s *Session) Proof() sandbox.Proof { return s.proof }

// List returns everything on the medium. Call it once, before Read.
func (s *Session) List() (*Listing, error) { return nil, errors.ErrUnsupported }

// Read asks for files, each at most once in a session.
func (s *Session) Read(ids []uint32) (*Stream, error) { return nil, errors.ErrUnsupported }

// Close kills and reaps the child.
func (s *Session) Close() error { return nil }

// Next goes on to the next file; io.EOF at the end.
func (st *Stream) Next() (id uint32, size int64, err error) { return 0, 0, errors.ErrUnsupported }

// Read reads the content of the current file into p.
func (st *Stream) Read(p []byte) (int, error) { return 0, errors.ErrUnsupported }
