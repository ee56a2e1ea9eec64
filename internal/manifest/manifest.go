// Package manifest is the signed list of a sealed package: its payload, its
// path grammar, its limits, and the one verifier whose result, [Verified], says
// that enrolled keys signed it and a policy permits it. FORMAT.md beside this
// file is the specification. The package reads no medium and no file: it works
// on envelope bytes, which are hostile until [Verify] returns, and it does not
// compare files with the list; that is the part of whoever receives them.
package manifest

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"sallyport/internal/dsse"
	"sallyport/internal/limit"
	"sallyport/internal/strictjson"
	"sallyport/internal/verdict"
)

// PayloadType is the payload type of the envelope.
const PayloadType = "application/vnd.sallyport.manifest.v1+json"

// Version is the only payload version.
const Version = 1

// Limits of a manifest. Each is the highest value allowed.
const (
	MaxEnvelope  = limit.EnvelopeBytes
	MaxFiles     = limit.PackageFiles
	MaxFileBytes = 64 << 30
	MaxBytes     = 256 << 30 // all files together
	MaxParts     = 1000      // media of one set
)

// AudienceAll is the audience of a package for every station of the
// jurisdiction that may receive its kind.
const AudienceAll = "*"

// Kind says what a package is for.
type Kind string

// The closed list of kinds.
const (
	ElectionDefinition Kind = "election-definition"
	BallotPackage      Kind = "ballot-package"
	CVRExport          Kind = "cvr-export"
	ResultsReport      Kind = "results-report"
	UOCAVAExport       Kind = "uocava-export"
	TrustBundle        Kind = "trust-bundle"
	LogExport          Kind = "log-export"
	MediaSet           Kind = "media-set"
)

// Kinds returns the closed list of kinds.
func Kinds() []Kind {
	return []Kind{ElectionDefinition, BallotPackage, CVRExport, ResultsReport, UOCAVAExport, TrustBundle, LogExport, MediaSet}
}

// Election says how packages of the kind belong to an election: those of an
// election must name it and the definition, a trust bundle must not.
func (k Kind) Election() (must, may bool) {
	switch k {
	case ElectionDefinition, BallotPackage, CVRExport, ResultsReport, UOCAVAExport:
		return true, true
	case LogExport, MediaSet:
		return false, true
	}
	return false, false
}

// Payload is what is signed. Its members stand in this order in the one
// canonical encoding; FORMAT.md says what each may hold.
type Payload struct {
	V              int     `json:"v"`
	PackageID      string  `json:"package_id"`
	Kind           Kind    `json:"kind"`
	Jurisdiction   string  `json:"jurisdiction"`
	ElectionID     string  `json:"election_id,omitzero"`
	ElectionSHA256 string  `json:"election_sha256,omitzero"`
	Audience       string  `json:"audience"`
	Stream         string  `json:"stream"`
	Seq            int64   `json:"seq"`
	PrevSHA256     string  `json:"prev_sha256,omitzero"`
	Supersedes     string  `json:"supersedes,omitzero"`
	Set            Set     `json:"set,omitzero"`
	Created        Created `json:"created"`
	TrustEpoch     int64   `json:"trust_epoch"`
	Signer         Origin  `json:"signer"`
	Totals         Totals  `json:"totals"`
	Files          []File  `json:"files"`
}

// Set places a package in a delivery of several media. The zero value means
// that the package is whole by itself.
type Set struct {
	ID    string `json:"id"`
	Part  int    `json:"part"` // from 1
	Parts int    `json:"parts"`
	Root  string `json:"root"`
}

// Created is when the package was sealed. It is shown and logged; counters and
// epochs decide about freshness, never a clock.
type Created struct {
	RTC     string `json:"rtc"`   // the station's clock, RFC 3339, UTC, whole seconds
	Clock   int64  `json:"clock"` // TPM clock, milliseconds
	Reset   int64  `json:"reset"`
	Restart int64  `json:"restart"`
	Safe    bool   `json:"safe"`
}

// Origin is the station that sealed the package.
type Origin struct {
	StationID string `json:"station_id"`
	KeyID     string `json:"key_id"`
	Role      string `json:"role"`
}

// Totals repeat what the files add up to.
type Totals struct {
	Files int64 `json:"files"`
	Bytes int64 `json:"bytes"`
}

// File is one file below the folder data/ of the package.
type File struct {
	Path      string `json:"path"` // see [CheckPath]
	Size      int64  `json:"size"` // bytes
	SHA256    string `json:"sha256"`
	MediaType string `json:"media_type"`
}

// The envelope's types, under the names by which the users of manifests know
// them.
type (
	Envelope  = dsse.Envelope
	Signature = dsse.Signature
	Signer    = dsse.Signer
)

// Seal checks a payload as [Verify] will, signs it with each signer and returns
// the envelope. One of the signers must be the payload's own signer key, which is
// one of ECDSA. Errors about the payload carry a finding.
func Seal(ctx context.Context, p *Payload, signers ...Signer) ([]byte, error) {
	if err := p.check(); err != nil {
		return nil, fmt.Errorf("cannot seal the package: %w", err)
	}
	own := func(s Signer) bool {
		_, p256 := s.(dsse.DigestSigner)
		return p256 && s.KeyID() == p.Signer.KeyID
	}
	if !slices.ContainsFunc(signers, own) {
		return nil, errors.New("cannot seal the package: the key that signer.key_id names is no ECDSA key among the signers")
	}
	payload, err := strictjson.Encode(p)
	if err != nil {
		return nil, fmt.Errorf("cannot seal the package: %w", err)
	}
	e := &Envelope{Payload: payload, PayloadType: PayloadType}
	if err := e.Sign(ctx, signers...); err != nil {
		return nil, fmt.Errorf("cannot seal the package: %w", err)
	}
	data, err := e.Encode()
	if err != nil {
		return nil, fmt.Errorf("cannot seal the package: %w", err)
	}
	if len(data) > MaxEnvelope {
		return nil, fmt.Errorf("cannot seal the package: %w", overEnvelope(int64(len(data))))
	}
	return data, nil
}

func overEnvelope(size int64) error {
	return verdict.New(verdict.OverLimit, "manifest.dsse.json", "has %d bytes, at most %d are allowed", size, MaxEnvelope)
}
