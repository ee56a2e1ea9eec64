package intake

import (
	"fmt"
	"slices"
	"sync"

	"sallyport/internal/manifest"
	"sallyport/internal/verdict"
)

// ledger is what this station has admitted: which packages, and how far each
// signer's streams have come. It is rebuilt at start from the admitted items
// themselves and only an admission moves it.
type ledger struct {
	mu       sync.Mutex
	packages map[string]string // package id to digest
	streams  map[string]*streamState
	replaced map[string]string // digest to that of the admitted package that replaces it
}

// streamState is one signer's stream in the order of admission.
type streamState struct {
	seq     int64    // of the last admitted package: the floor
	digests []string // of all admitted packages, oldest first
}

func newLedger() *ledger {
	return &ledger{packages: map[string]string{}, streams: map[string]*streamState{}, replaced: map[string]string{}}
}

// streamKey: sequence numbers come from a counter in the same TPM as the key, so
// a station with a new key begins its streams anew.
func streamKey(station, keyID, stream string) string {
	return station + "\x00" + keyID + "\x00" + stream
}

// check says why a package may not follow what was admitted before, or nil.
//
//  1. A package or digest that was admitted: replayed.
//  2. A package that an admitted one replaced: superseded.
//  3. A package that replaces an admitted one: content-invalid, since what the
//     core has taken is not taken back by a medium.
//  4. A sequence number at or below the floor: replayed; but when another
//     package was admitted under this very predecessor: fork.
//  5. A predecessor other than the last admitted package: fork when it is an
//     older one that already has a successor, sequence-gap when it is unknown.
//
// A trust bundle holds all that was in those before it, and its version goes
// back in no station: a missing one is no gap.
func (l *ledger) check(p *manifest.Payload, digest string) *verdict.Finding {
	l.mu.Lock()
	defer l.mu.Unlock()
	where := fmt.Sprintf("stream %s of station %s, sequence %d", p.Stream, p.Signer.StationID, p.Seq)
	switch known, ok := l.packages[p.PackageID]; {
	case ok && known == digest:
		return verdict.New(verdict.Replayed, where, "this package was accepted before")
	case ok:
		return verdict.New(verdict.Fork, where, "another package of the same id was accepted before")
	}
	if later, ok := l.replaced[digest]; ok {
		return verdict.New(verdict.Superseded, where, "package %.16s…, which was accepted, replaces it", later)
	}
	s := l.streams[streamKey(p.Signer.StationID, p.Signer.KeyID, p.Stream)]
	if s != nil && p.Supersedes != "" && slices.Contains(s.digests, p.Supersedes) {
		return verdict.New(verdict.ContentInvalid, where, "it replaces package %.16s…, which was accepted and cannot be taken back by a medium", p.Supersedes)
	}
	if p.Kind == manifest.TrustBundle {
		if s != nil && p.Seq <= s.seq {
			return verdict.New(verdict.Replayed, where, "sequence %d was already accepted", s.seq)
		}
		return nil
	}
	if s == nil {
		if p.PrevSHA256 != "" {
			return verdict.New(verdict.SequenceGap, where, "it follows package %.16s…, which has not come to this station", p.PrevSHA256)
		}
		return nil
	}
	last := len(s.digests) - 1
	at := slices.Index(s.digests, p.PrevSHA256)
	switch {
	case p.PrevSHA256 == s.digests[last] && p.Seq > s.seq:
		return nil
	case p.PrevSHA256 == "" || (at >= 0 && at < last):
		return verdict.New(verdict.Fork, where, "another package was accepted in its place before")
	case p.Seq <= s.seq:
		return verdict.New(verdict.Replayed, where, "sequence %d was already accepted", s.seq)
	}
	return verdict.New(verdict.SequenceGap, where, "it follows package %.16s…, the last one accepted here is %.16s… (sequence %d)", p.PrevSHA256, s.digests[last], s.seq)
}

// advance records an admission.
func (l *ledger) advance(o Outcome) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.packages[o.PackageID] = o.Digest
	if o.Supersedes != "" {
		l.replaced[o.Supersedes] = o.Digest
	}
	key := streamKey(o.Station, o.KeyID, o.Stream)
	s := l.streams[key]
	if s == nil {
		s = &streamState{}
		l.streams[key] = s
	}
	s.seq = o.Seq
	s.digests = append(s.digests, o.Digest)
}
