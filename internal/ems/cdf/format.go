package cdf

import "fmt"

// Format is one of the common data formats.
type Format uint8

// The formats.
const (
	BD  Format = iota + 1 // Ballot Definition, NIST SP 1500-20 version 1
	ERR                   // Election Results Reporting, NIST SP 1500-100 version 2
	CVR                   // Cast Vote Records, NIST SP 1500-103 version 1
)

// Encoding is how a document is written.
type Encoding uint8

// The encodings.
const (
	JSON Encoding = iota + 1
	XML
)

// String returns the number of the standard.
func (f Format) String() string {
	if s, ok := standards()[f]; ok {
		return s.name
	}
	return fmt.Sprintf("Format(%d)", uint8(f))
}

// String returns "JSON" or "XML".
func (e Encoding) String() string {
	switch e {
	case JSON:
		return "JSON"
	case XML:
		return "XML"
	}
	return fmt.Sprintf("Encoding(%d)", uint8(e))
}

// standard is what is particular to one format.
type standard struct {
	name      string
	table     string
	prefix    string // of the values of "@type"
	root      string
	namespace string
	drafts    []string // namespaces that real files carry instead
}

func standards() map[Format]standard {
	return map[Format]standard{
		BD: {name: "SP 1500-20", table: bdClasses, prefix: "BallotDefinition.", root: "BallotDefinition",
			namespace: "http://itl.nist.gov/ns/voting/1500-20/v1"},
		ERR: {name: "SP 1500-100", table: errClasses, prefix: "ElectionResults.", root: "ElectionReport",
			namespace: "http://itl.nist.gov/ns/voting/1500-100/v2"},
		CVR: {name: "SP 1500-103", table: cvrClasses, prefix: "CVR.", root: "CastVoteRecordReport",
			namespace: "http://itl.nist.gov/ns/voting/1500-103/v1", drafts: []string{"NIST_V0_cast_vote_records.xsd"}},
	}
}
