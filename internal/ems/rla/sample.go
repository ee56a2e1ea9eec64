package rla

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"sort"
	"strconv"
)

// Algorithm names a way of drawing. FORMAT.md has the steps of each.
type Algorithm string

// The ways of drawing.
const (
	// ConsistentSampler draws ballots as Arlo does: Rivest's consistent sampler.
	ConsistentSampler Algorithm = "consistent-sampler"
	// SeedAndNumber draws ballots by SHA-256 of "seed,number" (Rivest 2011,
	// Stark's tools for audits), with replacement.
	SeedAndNumber Algorithm = "sha256-seed-number"
	// ErrorBound draws batches in proportion to how wrong they could be, as
	// Arlo does for batch comparison (MACRO).
	ErrorBound Algorithm = "ppeb-pcg64"
)

// Stratum is the part of hybrid manifests that is drawn from.
type Stratum int

// The strata.
const (
	AllBatches  Stratum = iota
	WithCVRs            // the batches that have cast vote records
	WithoutCVRs         // the others
)

func (s Stratum) has(b Batch) bool {
	return s == AllBatches || (s == WithCVRs) == b.CVR
}

// Pool is the manifest of one jurisdiction that takes part.
type Pool struct {
	Jurisdiction string
	Manifest     *Manifest
}

// BallotRequest says which ballots to draw.
type BallotRequest struct {
	Algorithm Algorithm // ConsistentSampler or SeedAndNumber
	Seed      Seed
	Pools     []Pool
	Stratum   Stratum
	// Take is how many draws to make after the Drop draws of earlier rounds.
	Take, Drop int
	// WithoutReplacement draws no ballot twice: for the ballots without cast
	// vote records of a hybrid audit, with ConsistentSampler alone.
	WithoutReplacement bool
}

// Sample is what was drawn, with all that is needed to draw it again.
type Sample struct {
	Algorithm   Algorithm
	Seed        Seed
	Manifests   []Source // of the pools, in their order
	Stratum     Stratum
	Replacement bool
	Drop        int
	Population  int // ballots, or batches, that could be drawn
	Draws       []Draw
	columns     Manifest // which columns a list of the draws has
}

// Source names a manifest that was drawn from.
type Source struct {
	Jurisdiction, SHA256 string
}

// Draw is one draw, in order. One ballot may be drawn several times.
type Draw struct {
	Number int // from 1 on, the draws of earlier rounds included
	// Ticket is the ticket number ("0.…", shortened as Arlo does), or for
	// SeedAndNumber the SHA-256 in hexadecimal.
	Ticket       string
	Jurisdiction string
	Batch        Batch
	Position     int // of the ballot in its batch, from 1 on; 0 for a batch
	Times        int // how often it has been drawn, this draw included
	// Before says that an earlier round has drawn it.
	Before bool
}

// DrawBallots draws ballots. The same request gives the same sample; a longer
// one begins with the shorter one. The manifests must have been read from their
// files, because the sample names what the files hash to.
func DrawBallots(ctx context.Context, q BallotRequest) (*Sample, error) {
	s, err := q.sample()
	if err != nil {
		return nil, fmt.Errorf("cannot draw ballots: %w", err)
	}
	var all []drawn
	switch q.Algorithm {
	case ConsistentSampler:
		all, err = q.consistent(ctx)
	case SeedAndNumber:
		all = q.byNumber(s.Population)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot draw ballots: %w", err)
	}
	q.tell(s, all)
	return s, nil
}

// sample checks the request and makes the sample without its draws.
func (q BallotRequest) sample() (*Sample, error) {
	s := &Sample{Algorithm: q.Algorithm, Seed: q.Seed, Stratum: q.Stratum, Replacement: !q.WithoutReplacement, Drop: q.Drop}
	if err := drawable(q.Seed, q.Take, q.Drop); err != nil {
		return nil, err
	}
	if q.Algorithm != ConsistentSampler && (q.Algorithm != SeedAndNumber || q.WithoutReplacement) {
		return nil, fmt.Errorf("%q draws no ballots, or not without replacement", q.Algorithm)
	}
	for i, p := range q.Pools {
		if err := p.check(q.Pools[:i], q.Stratum); err != nil {
			return nil, err
		}
		s.Manifests = append(s.Manifests, Source{p.Jurisdiction, p.Manifest.SHA256})
		s.columns.Containers = s.columns.Containers || p.Manifest.Containers
		s.columns.Tabulators = s.columns.Tabulators || p.Manifest.Tabulators
		for _, b := range p.Manifest.Batches {
			if q.Stratum.has(b) {
				s.Population += b.Ballots
			}
		}
	}
	switch {
	case s.Population == 0:
		return nil, errors.New("there are no ballots to draw from")
	case s.Population > maxBallots:
		return nil, fmt.Errorf("%d ballots, the limit is %d", s.Population, maxBallots)
	case q.WithoutReplacement && q.Take+q.Drop > s.Population:
		return nil, fmt.Errorf("%d draws without replacement from %d ballots", q.Take+q.Drop, s.Population)
	}
	return s, nil
}

func drawable(seed Seed, take, drop int) error {
	switch {
	case seed.text == "":
		return errors.New("there is no seed")
	case take < 1 || drop < 0 || take > maxDraws || drop > maxDraws-take:
		return fmt.Errorf("%d draws after %d: one to %d are possible", take, drop, maxDraws)
	}
	return nil
}

func (p Pool) check(others []Pool, s Stratum) error {
	rule, detail := badText(p.Jurisdiction, maxCell)
	switch {
	case rule != "":
		return fmt.Errorf("the name of a jurisdiction: %s", detail)
	case slices.ContainsFunc(others, func(o Pool) bool { return o.Jurisdiction == p.Jurisdiction }):
		return fmt.Errorf("the jurisdiction %s has two manifests", quote(p.Jurisdiction))
	case p.Manifest == nil || p.Manifest.SHA256 == "":
		return fmt.Errorf("the manifest of %s was not read from a file", quote(p.Jurisdiction))
	case s != AllBatches && p.Manifest.Audit != Hybrid:
		return fmt.Errorf("the manifest of %s does not say which batches have cast vote records", quote(p.Jurisdiction))
	}
	return nil
}

// consistent draws by ticket number, and keeps no more tickets in memory than
// are drawn.
func (q BallotRequest) consistent(ctx context.Context) ([]drawn, error) {
	t, n := newTickets(q.Seed.text), q.Drop+q.Take
	best := &smallest{n: n}
	for i, p := range q.Pools {
		for j, b := range p.Manifest.Batches {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			if !q.Stratum.has(b) {
				continue
			}
			prefix := ballotPrefix(p.Jurisdiction, p.Manifest, b)
			for k := 1; k <= b.Ballots; k++ {
				best.offer(drawn{t.first(prefix + strconv.Itoa(k) + ")"), item{i, j, k}, 1})
			}
		}
	}
	all := basket(best.held)
	return all.take(n, !q.WithoutReplacement), nil
}

// byNumber draws the ballots 1 + SHA-256("seed,number") mod population.
func (q BallotRequest) byNumber(population int) []drawn {
	ends, items := q.ends()
	var all []drawn
	times := map[item]int{}
	for number := 1; number <= q.Drop+q.Take; number++ {
		k, hash := pick(q.Seed, number, population)
		i := sort.SearchInts(ends, k)
		it := items[i]
		it.position = k
		if i > 0 {
			it.position -= ends[i-1]
		}
		times[it]++
		all = append(all, drawn{hash, it, times[it]})
	}
	return all
}

// ends numbers all ballots in the order of the pools and their manifests, and
// returns the number of the last ballot of each batch.
func (q BallotRequest) ends() ([]int, []item) {
	var ends []int
	var items []item
	last := 0
	for i, p := range q.Pools {
		for j, b := range p.Manifest.Batches {
			if q.Stratum.has(b) {
				last += b.Ballots
				ends, items = append(ends, last), append(items, item{pool: i, batch: j})
			}
		}
	}
	return ends, items
}

// pick returns a number from 1 to n and the hash it comes from.
func pick(seed Seed, number, n int) (int, string) {
	sum := sha256.Sum256([]byte(seed.text + "," + strconv.Itoa(number)))
	k := new(big.Int).SetBytes(sum[:])
	return 1 + int(k.Mod(k, big.NewInt(int64(n))).Int64()), hex.EncodeToString(sum[:])
}

// tell writes the draws of this round into the sample.
func (q BallotRequest) tell(s *Sample, all []drawn) {
	before := map[item]bool{}
	for i, d := range all {
		if i < q.Drop {
			before[d.item] = true
			continue
		}
		p := q.Pools[d.item.pool]
		ticket := d.ticket
		if q.Algorithm == ConsistentSampler {
			ticket = trim(ticket, shownDigits)
		}
		s.Draws = append(s.Draws, Draw{
			Number: i + 1, Ticket: ticket, Jurisdiction: p.Jurisdiction, Batch: p.Manifest.Batches[d.item.batch],
			Position: d.item.position, Times: d.generation, Before: before[d.item],
		})
	}
}
