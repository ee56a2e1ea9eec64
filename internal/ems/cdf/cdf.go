// Package cdf reads the common data formats of NIST: ballot definitions (SP
// 1500-20) and cast vote records (SP 1500-103), JSON, version 1.0.0. It is the
// strict reader: a document must follow the standard's schema member for
// member, every reference must lead to an object of the right class, and what
// the schema cannot say is checked as well (FORMAT.md of internal/ems lists the
// profile and the rules). Nothing is repaired or guessed, and there is no
// reader for dialects here. All input is foreign: memory is bounded, and each
// fault is a content-invalid finding with file, JSON pointer and rule; findings
// never quote votes.
package cdf

import "fmt"

// Reader reads documents. It is safe for concurrent use.
type Reader struct {
	bd, cvr *schema
}

// New returns a reader.
func New() (*Reader, error) {
	bd, err := parseSchema(bdClasses, "BallotDefinition.", "BallotDefinition")
	if err != nil {
		return nil, fmt.Errorf("cannot use the classes of SP 1500-20: %w", err)
	}
	cvr, err := parseSchema(cvrClasses, "CVR.", "CastVoteRecordReport")
	if err != nil {
		return nil, fmt.Errorf("cannot use the classes of SP 1500-103: %w", err)
	}
	for path, at := range cvrSlots() {
		if err := cvr.want(path, at); err != nil {
			return nil, err
		}
	}
	return &Reader{bd: bd, cvr: cvr}, nil
}
