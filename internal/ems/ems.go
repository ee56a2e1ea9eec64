// Package ems is the core of an election management system as a library: it
// takes packages of election data (NIST SP 1500-20 ballot definitions, NIST SP
// 1500-103 cast vote records), keeps them in one database with what people
// decide about them, tallies them, and gives out results when the polls are
// closed. A desk's core takes files that are given by hand as well, and its
// results say so.
// It is not a judge of where a package came from: signatures, trust, freshness
// and media are the caller's business, and the caller hands over only what was
// verified. The content of a package is foreign all the same: everything in it
// is checked here before anything is stored, and a package is taken whole or
// not at all.
package ems

import (
	"errors"
	"io/fs"

	"sallyport/internal/ems/tally"
)

// The kinds of package that the core imports.
const (
	KindDefinition = "election-definition"
	KindCVRs       = "cvr-export"
)

// ErrNotForCore is returned by [Core.Import] for a kind of package that the
// core does not import. Such a package is not wrong: it simply stays where it is.
var ErrNotForCore = errors.New("this kind of package is not imported into the election core")

// ErrNoElection means that the core holds no election of that identifier.
var ErrNoElection = errors.New("the core holds no such election")

// Package is one verified package, as the caller hands it over.
type Package struct {
	Digest         [32]byte // SHA-256 of the manifest's payload: the key of idempotency
	ID             string   // the package's own identifier, for messages
	Kind           string
	ElectionID     string
	ElectionSHA256 string // lower-case hex; the definition that the package belongs to; may be empty for a definition
	Files          []File
	FS             fs.FS // opened by File.Path
}

// File is one file of a package as its manifest lists it. The core hashes what
// it reads and compares it with SHA256, so that it imports nothing else.
type File struct {
	Path      string
	Size      int64
	SHA256    string // lower-case hex
	MediaType string
}

// Receipt is what the core gives back for an imported package. The receipt of
// one package never changes: a second import returns the first one's.
type Receipt struct {
	Digest     string `json:"digest"` // lower-case hex of Package.Digest
	Kind       string `json:"kind"`
	ElectionID string `json:"election_id"`
	// Contests counts the contests of the election's definition.
	Contests int64 `json:"contests"`
	// Ballots counts the cast vote records in the package.
	Ballots int64 `json:"ballots"`
	// Known counts those of Ballots that an earlier package had brought with
	// the same content; they were not counted again.
	Known int64 `json:"known"`
	// StateDigest is the digest of the core's whole content after this import
	// (lower-case hex SHA-256; FORMAT.md says over what).
	StateDigest string `json:"state_digest"`
}

// Election describes one election that the core holds.
type Election struct {
	ID               string `json:"id"`
	Name             string `json:"name"`
	Date             string `json:"date"` // YYYY-MM-DD
	Test             bool   `json:"test"`
	DefinitionSHA256 string `json:"definition_sha256"`
	Contests         int    `json:"contests"`
	Precincts        int    `json:"precincts"`
	Packages         int64  `json:"packages"`
	Ballots          int64  `json:"ballots"` // cast vote records held, each once
}

// Tally is the result of [Core.Tally].
type Tally = tally.Tally
