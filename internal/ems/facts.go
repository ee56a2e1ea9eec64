package ems

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"sallyport/internal/ems/store"
)

// The kinds of fact that the core keeps of an election.
const (
	factPolls  = "polls"     // document: empty; the polls are closed
	factStatus = "status"    // key: empty; document: a [Status]
	factBallot = "ballot"    // key: the ballot; document: its packed form with one more snapshot
	factManual = "manual"    // key: the tally's name; document: a [ManualTally]
	factRules  = "rcv-rules" // key: the contest; document: its rules
	factDraft  = "draft"     // key: empty; document: a ballot definition
	factSign   = "sign-off"  // key: the definition's SHA-256; document: a sign-off of logic and accuracy
)

// By is who decides something, and why. Both are needed.
type By struct {
	Who string
	Why string
}

// ErrBy means that nobody answers for a decision.
var ErrBy = errors.New("say who decides this and why")

// ErrChanged means that what a decision was made on has changed since.
var ErrChanged = store.ErrStale

const maxReason = 4096 // bytes

func (b By) check() error {
	if strings.TrimSpace(b.Who) == "" || strings.TrimSpace(b.Why) == "" {
		return ErrBy
	}
	if len(b.Who) > maxReason || len(b.Why) > maxReason {
		return fmt.Errorf("%w, each in at most %d bytes", ErrBy, maxReason)
	}
	return nil
}

func (c *Core) fact(electionID, kind, key string, document []byte, by By) store.Fact {
	return store.Fact{Election: electionID, Kind: kind, Key: key, Document: document, Who: by.Who, Why: by.Why,
		At: c.now().UTC().Format(time.RFC3339)}
}

// newest returns the newest fact of a kind and key; ok is false when there is none.
func (c *Core) newest(ctx context.Context, electionID, kind, key string) (f store.Fact, ok bool, err error) {
	err = c.store.Facts(ctx, electionID, kind, func(x store.Fact) error {
		if x.Key == key {
			f, ok = x, true
		}
		return nil
	})
	return f, ok, err
}
