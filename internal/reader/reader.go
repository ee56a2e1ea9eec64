// Package reader runs the confined child that reads one medium, one child per
// medium, and is its wary parent side: it gives out the listing and the
// content of files, and nothing else of the child's. The child is taken to be
// hostile from its first byte after the lockdown: every length, number, text
// and reason is checked, against the limits and against what it said before.
// What it says about the medium is never more than a claim; whoever uses the
// content hashes it. A child that hangs, dies or lies costs its medium: the
// session ends in a finding, and [Session.Close] leaves nothing behind.
//
// The protocol is described in FORMAT.md.
package reader

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/rs/zerolog"

	"sallyport/internal/limit"
	"sallyport/internal/reader/wire"
	"sallyport/internal/sandbox"
	"sallyport/internal/verdict"
)

// Config says how the confined child is run.
type Config struct {
	// Binary is the path of sallyport-reader. As root, the child runs as
	// nobody where that user can reach the file.
	Binary string
	// Limits that hold for the medium. Stall is the longest wait for the next
	// byte from the child, Total the longest life of a session; MinRate is
	// measured over the time that the parent waits for the child.
	Limits limit.Limits
	Log    zerolog.Logger
}

// Session is one confined child that reads one medium. List, Read and the
// stream are for one goroutine; Close may be called from any.
type Session struct {
	talk   talk
	child  *process
	proof  sandbox.Proof
	cancel func() bool // detaches from the context
}

// Waiting is a child that was started and has no medium yet. It has read nothing.
type Waiting struct {
	cfg        Config
	child      *process
	namespaces []string
}

// Prepare starts a child, so that it is there when the medium is: starting takes
// as long as many a device does. A child that cannot be started is a
// sandbox-unavailable finding. [Waiting.Start] or [Waiting.Close] ends the waiting.
func Prepare(ctx context.Context, cfg Config) (*Waiting, error) {
	if cfg.Limits.PathBytes > wire.MaxText {
		return nil, fmt.Errorf("cannot read media with paths of %d bytes: the limit must be at most %d", cfg.Limits.PathBytes, wire.MaxText)
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("cannot start the reader: %w", err)
	}
	child, namespaces, err := spawn(cfg.Binary, cfg.Log)
	if err != nil {
		return nil, verdict.New(verdict.SandboxUnavailable, "start of the reader", "%s", err.Error())
	}
	return &Waiting{cfg, child, namespaces}, nil
}

// Close ends a child that got no medium.
func (w *Waiting) Close() { w.child.end() }

// Start gives dev to the child, which locks itself down before it reads anything,
// and returns when the lockdown is proven: by its own account and by what the
// kernel shows of it. Anything less is a sandbox-unavailable finding. dev must be
// open for reading only and be a block device or a regular file. The session
// ends, at the latest, with ctx. dev stays the caller's, who keeps it open until
// the session is closed; a block device is read past the page cache from now on
// (O_DIRECT). After an error the child is gone.
func (w *Waiting) Start(ctx context.Context, dev *os.File) (*Session, error) {
	src, err := newSource(dev, w.cfg.Log)
	if err == nil {
		err = ctx.Err()
	}
	if err == nil {
		if gerr := w.child.give(dev); gerr != nil {
			err = verdict.New(verdict.SandboxUnavailable, "start of the reader", "it does not take the medium: %s", gerr.Error())
		}
	}
	if err != nil {
		w.child.end()
		return nil, fmt.Errorf("cannot start the reader: %w", err)
	}
	cfg, child := w.cfg, w.child
	pace := newPace(cfg.Limits)
	line := &deadlined{conn: child.conn, stall: cfg.Limits.Stall, end: time.Now().Add(cfg.Limits.Total), pace: pace, pulled: src.pulled, child: child, ctx: ctx}
	s := &Session{
		talk:   newTalk(line, child.ring, cfg.Limits, src.size),
		child:  child,
		cancel: context.AfterFunc(ctx, line.stop),
	}
	s.talk.align, s.talk.pulled, s.talk.pace = src.align, src.pulled, pace
	if err := s.checkLockdown(); err != nil {
		s.Close()
		return nil, err
	}
	s.proof.Namespaces = w.namespaces
	cfg.Log.Debug().Int("pid", child.pid()).Int("landlock", s.proof.Landlock).
		Strs("namespaces", w.namespaces).Msg("reader confined")
	return s, nil
}

// Start is [Prepare] and [Waiting.Start] in one.
func Start(ctx context.Context, cfg Config, dev *os.File) (*Session, error) {
	w, err := Prepare(ctx, cfg)
	if err != nil {
		return nil, err
	}
	return w.Start(ctx, dev)
}

// Try starts a child over no medium and ends it: an error says why media cannot
// be read here.
func Try(ctx context.Context, cfg Config) error {
	none, err := os.Open(cfg.Binary) // any file of ours; nothing of it is read
	if err != nil {
		return verdict.New(verdict.SandboxUnavailable, "start of the reader", "%s", err.Error())
	}
	defer none.Close()
	s, err := Start(ctx, cfg, none)
	if err != nil {
		return err
	}
	return s.Close()
}

// checkLockdown waits for the hello and compares it with the kernel's view.
func (s *Session) checkLockdown() error {
	proof, err := s.talk.hello()
	if err != nil {
		return err
	}
	if err := proof.Complete(); err != nil {
		return verdict.New(verdict.SandboxUnavailable, "lockdown of the reader", "%s", err.Error())
	}
	if err := sandbox.Check(s.child.pid()); err != nil {
		return verdict.New(verdict.SandboxUnavailable, "lockdown of the reader", "%s", err.Error())
	}
	s.proof = proof
	return nil
}

// Proof returns which measures hold in the child.
func (s *Session) Proof() sandbox.Proof { return s.proof }

// Close ends the child, waits until it is gone, and frees everything. A
// stream that is being read ends with an error. Closing again does nothing.
// A child that the kernel holds for a device that does not answer is waited
// for some seconds and then left to end by itself; the log says so.
func (s *Session) Close() error {
	s.cancel()
	s.child.end()
	return nil
}
