package station

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"time"

	"sallyport/internal/audit"
	"sallyport/internal/control"
	"sallyport/internal/dsse"
	"sallyport/internal/manifest"
	"sallyport/internal/strictjson"
	"sallyport/internal/trust"
	"sallyport/internal/verdict"
)

// streamsFile keeps, for each stream this station seals, the digest of its last
// package, and what the latest packages held; sealedDir keeps every envelope it
// signed.
const streamsFile = "streams.json"

// streams is streams.json.
type streams struct {
	V    int               `json:"v"`
	Last map[string]string `json:"last"`           // stream to SHA-256 of the last payload
	Held []heldContent     `json:"held,omitempty"` // at most maxHeld, the latest last
}

// heldContent is what one package held, so that who seals the same once more is
// told so.
type heldContent struct {
	SHA256 string       `json:"sha256"` // see contentDigest
	Before SealedBefore `json:"package"`
}

const (
	maxStreams = 4 << 20
	maxHeld    = 1000
)

// seal signs a list of files. The caller has read and hashed them from this
// machine; nothing that was read back from a medium is ever signed. The
// sequence number is taken from the TPM's counter first, so that a failure
// afterwards wastes a number and never gives one out twice.
//
//	intent, NV_Increment, sign, quote, write(sealed/ID.evidence), write(sealed/ID),
//	write(streams.json), outcome
func (s *Station) seal(ctx context.Context, a SealArgs) (*Sealed, error) {
	s.sealing.Lock()
	defer s.sealing.Unlock()
	trusted, err := s.trust.Current()
	if err != nil {
		return nil, err
	}
	if r, err := s.retired(); err != nil {
		return nil, err
	} else if r != nil {
		return nil, control.Failf(control.CodeUsage, "this station has handed over to the key %.16s… and seals nothing any more", r.NewKey)
	}
	if err := s.revoked(ctx, trusted); err != nil {
		return nil, err
	}
	if a.Stream == "" {
		a.Stream = DefaultStream(a.Kind, a.Audience)
	}
	last, err := s.readStreams()
	if err != nil {
		return nil, err
	}
	subject := audit.Subject{Package: a.PackageID, Station: s.identity.ID}
	intent, err := s.audit.Intent(ctx, audit.Event{ID: audit.PackageSeal, Subject: subject, Fields: map[string]string{
		"kind": string(a.Kind), "election_id": a.ElectionID, "audience": a.Audience, "stream": a.Stream, "files": strconv.Itoa(len(a.Files)),
	}})
	if err != nil {
		return nil, s.die(err)
	}
	sealed, err := s.signPackage(ctx, a, last, trusted)
	if err != nil {
		if lerr := intent.Outcome(ctx, audit.Failure, map[string]string{"detail": err.Error()}); lerr != nil {
			return nil, s.die(errors.Join(lerr, err))
		}
		return nil, err
	}
	if err := intent.Outcome(ctx, audit.Success, map[string]string{"package_seq": strconv.FormatInt(sealed.Seq, 10), "manifest_sha256": sealed.Digest}); err != nil {
		return nil, s.die(err)
	}
	return sealed, s.sealLog(ctx)
}

// revoked is a finding when the trust bundle refuses all that this station would
// still seal: it must hear of that before its receivers do.
func (s *Station) revoked(ctx context.Context, t *trust.Trusted) error {
	for _, st := range t.Stations() {
		for _, k := range st.Keys {
			if k.ID != s.tpm.KeyID() || k.RevokedAfterSeq == nil {
				continue
			}
			n, err := s.tpm.CounterRead(ctx)
			if err != nil {
				return err
			}
			if n >= uint64(*k.RevokedAfterSeq) {
				return verdict.New(verdict.SignerRevoked, "", "trust bundle %d revokes this station's key after sequence number %d, so every receiver would hold the package", t.Version(), *k.RevokedAfterSeq)
			}
		}
	}
	return nil
}

// DefaultStream names the order in which one receiver gets one kind of package.
func DefaultStream(kind manifest.Kind, audience string) string {
	if audience == manifest.AudienceAll {
		audience = "all"
	}
	return string(kind) + "." + audience
}

// contentDigest is the same for two packages that say the same: all that the
// caller gives but for the package's id.
func contentDigest(a SealArgs) (string, error) {
	a.PackageID = ""
	body, err := strictjson.Encode(&a)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(body)
	return hex.EncodeToString(sum[:]), nil
}

// remember notes what a package held and returns the latest one that held the same.
func (s *streams) remember(content string, now SealedBefore) (before *SealedBefore) {
	for i := len(s.Held) - 1; i >= 0 && before == nil; i-- {
		if s.Held[i].SHA256 == content {
			before = &s.Held[i].Before
		}
	}
	s.Held = append(s.Held, heldContent{content, now})
	s.Held = s.Held[max(0, len(s.Held)-maxHeld):]
	return before
}

func (s *Station) signPackage(ctx context.Context, a SealArgs, last *streams, trusted *trust.Trusted) (*Sealed, error) {
	prev, supersedes, err := s.place(a, last)
	if err != nil {
		return nil, err
	}
	// Before a number is taken: a system that may not sign learns it here.
	if err := s.released(ctx, trusted); err != nil {
		return nil, err
	}
	signers, err := s.signers(ctx, a.Kind, trusted)
	if err != nil {
		return nil, err
	}
	clock, err := s.tpm.Clock(ctx)
	if err != nil {
		return nil, err
	}
	seq, err := s.raise(ctx)
	if err != nil {
		return nil, err
	}
	p := &manifest.Payload{
		V: manifest.Version, PackageID: a.PackageID, Kind: a.Kind, Jurisdiction: s.identity.Jurisdiction,
		ElectionID: a.ElectionID, ElectionSHA256: a.ElectionSHA256, Audience: a.Audience,
		Stream: a.Stream, Seq: int64(seq), PrevSHA256: prev, Supersedes: supersedes,
		Created: manifest.Created{RTC: s.opt.Now().UTC().Format(time.RFC3339), Clock: int64(clock.Milliseconds),
			Reset: int64(clock.ResetCount), Restart: int64(clock.RestartCount), Safe: clock.Safe},
		TrustEpoch: trusted.Version(),
		Signer:     manifest.Origin{StationID: s.identity.ID, KeyID: s.tpm.KeyID(), Role: s.identity.Role},
		Files:      a.Files,
	}
	for _, f := range a.Files {
		p.Totals.Files++
		p.Totals.Bytes += f.Size
	}
	envelope, err := manifest.Seal(ctx, p, signers...)
	if err != nil {
		return nil, err
	}
	// What receivers will compute from the envelope, not from our own struct.
	e, err := manifest.ParseEnvelope(envelope)
	if err != nil {
		return nil, err
	}
	digest := sha256.Sum256(e.Payload)
	out := &Sealed{PackageID: a.PackageID, Envelope: envelope, Digest: hex.EncodeToString(digest[:]), Stream: a.Stream, Seq: p.Seq}
	if out.Evidence, err = s.evidence(ctx, digest); err != nil {
		return nil, err
	}
	// The envelope comes last: where it is, its evidence is.
	if err := s.opt.FS.CreateFile("station.seal.evidence", s.sealedPath(a.PackageID, evidenceSuffix), out.Evidence, 0o400); err != nil {
		return nil, err
	}
	if err := s.opt.FS.CreateFile("station.seal.envelope", s.sealedPath(a.PackageID, envelopeSuffix), envelope, 0o400); err != nil {
		return nil, err
	}
	last.Last[a.Stream] = out.Digest
	content, err := contentDigest(a)
	if err != nil {
		return nil, err
	}
	out.Before = last.remember(content, SealedBefore{PackageID: a.PackageID, Seq: p.Seq})
	body, err := strictjson.Encode(last)
	if err != nil {
		return nil, err
	}
	return out, s.opt.FS.WriteFile("station.seal.streams", filepath.Join(s.cfg.StateDir, sealedDir, streamsFile), body, 0o600)
}

// What is kept of a sealed package: its id and these.
const (
	envelopeSuffix = ".dsse.json"
	evidenceSuffix = ".evidence.json"
)

func (s *Station) sealedPath(id, suffix string) string {
	return filepath.Join(s.cfg.StateDir, sealedDir, id+suffix)
}

// place is the package's place in its stream: behind the last one, or, when it
// supersedes that one, in its place.
func (s *Station) place(a SealArgs, last *streams) (prev, supersedes string, err error) {
	if a.Supersedes == "" {
		return last.Last[a.Stream], "", nil
	}
	old, digest, err := s.recall(a.Supersedes)
	if err != nil {
		return "", "", err
	}
	if old.Stream != a.Stream || old.Kind != a.Kind || old.Audience != a.Audience || old.ElectionID != a.ElectionID {
		return "", "", control.Failf(control.CodeUsage, "package %s is of the kind %s for %s in the stream %s: a package that supersedes it must be for the same", a.Supersedes, old.Kind, old.Audience, old.Stream)
	}
	if last.Last[a.Stream] != digest {
		return "", "", control.Failf(control.CodeUsage, "package %s is not the last one of the stream %s: only the last one can be superseded", a.Supersedes, a.Stream)
	}
	return old.PrevSHA256, digest, nil
}

// recall reads what this station has sealed as a package.
func (s *Station) recall(id string) (p *manifest.Payload, digest string, err error) {
	envelope, err := s.sealedEnvelope(id)
	if err != nil {
		return nil, "", err
	}
	e, err := manifest.ParseEnvelope(envelope)
	if err != nil {
		return nil, "", err
	}
	sum := sha256.Sum256(e.Payload)
	p, err = manifest.Recall(envelope, sum)
	return p, hex.EncodeToString(sum[:]), err
}

func (s *Station) sealedEnvelope(id string) ([]byte, error) {
	if !sealedID.MatchString(id) {
		return nil, control.Failf(control.CodeUsage, "%q is no package id: it has 32 hexadecimal digits", verdict.Escape(id))
	}
	envelope, err := os.ReadFile(s.sealedPath(id, envelopeSuffix))
	if errors.Is(err, os.ErrNotExist) {
		return nil, control.Failf(control.CodeNotFound, "this station has sealed no package %s", id)
	}
	return envelope, err
}

// signers are the keys that sign a package: the TPM's, and, where the trust
// bundle demands it, the one that stands beside it.
func (s *Station) signers(ctx context.Context, kind manifest.Kind, trusted *trust.Trusted) ([]manifest.Signer, error) {
	if !slices.Contains(trusted.Hybrid(), kind) {
		return []manifest.Signer{s.tpm}, nil
	}
	seed, err := s.tpm.UnsealSecret(ctx, s.identity.MLDSA.Sealed)
	if err != nil {
		return nil, err
	}
	second, err := dsse.NewMLDSASigner(seed[:])
	if err != nil {
		return nil, err
	}
	return []manifest.Signer{s.tpm, second}, nil
}

// evidence is what the TPM says of itself for the package of this digest.
func (s *Station) evidence(ctx context.Context, digest [32]byte) ([]byte, error) {
	e := &trust.Evidence{V: 1, Checkpoint: string(s.audit.LastCheckpoint())}
	var err error
	if e.Quote, e.QuoteSig, e.PCRs, err = s.tpm.Quote(ctx, digest); err != nil {
		return nil, err
	}
	if e.Counter, e.CounterSig, err = s.tpm.CounterCertify(ctx, e.ForCounter(digest)); err != nil {
		return nil, err
	}
	return e.Encode()
}

func (s *Station) readStreams() (*streams, error) {
	st := &streams{V: 1, Last: map[string]string{}}
	data, err := os.ReadFile(filepath.Join(s.cfg.StateDir, sealedDir, streamsFile))
	if errors.Is(err, os.ErrNotExist) {
		return st, nil
	}
	if err == nil {
		err = strictjson.DecodeCanonical(data, st, maxStreams)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read %s: %w", streamsFile, err)
	}
	return st, nil
}

// opSeal turns what is wrong with a request into a sentence for its caller.
func (s *Station) opSeal(ctx context.Context, a SealArgs) (any, error) {
	sealed, err := s.seal(ctx, a)
	if f, ok := verdict.Find(err); ok {
		return nil, control.Failf(string(f.Reason), "cannot seal the package: %v", f)
	}
	return sealed, err
}

var sealedID = regexp.MustCompile(`^[0-9a-f]{32}$`)

// opSealAgain gives out an envelope once more whose first copy was lost, such as
// when the medium was full: the receiver would wait for it for ever.
func (s *Station) opSealAgain(a SealAgainArgs) (any, error) {
	p, digest, err := s.recall(a.PackageID)
	if err != nil {
		return nil, err
	}
	envelope, err := s.sealedEnvelope(a.PackageID)
	if err != nil {
		return nil, err
	}
	evidence, err := os.ReadFile(s.sealedPath(a.PackageID, evidenceSuffix))
	if err != nil {
		return nil, fmt.Errorf("cannot read the evidence of package %s: %w", a.PackageID, err)
	}
	return &Sealed{PackageID: a.PackageID, Envelope: envelope, Evidence: evidence, Digest: digest, Stream: p.Stream, Seq: p.Seq}, nil
}
