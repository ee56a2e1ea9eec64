// Package cdf reads and writes the common data formats of NIST, as JSON and as
// XML: ballot definitions (SP 1500-20 version 1), election results reports (SP
// 1500-100 version 2) and cast vote records (SP 1500-103 version 1). Any of
// them is read whole as a [Document], a tree that follows the standard's
// classes; reports of cast vote records, which may be of any length, are read
// and written as a stream of ballots ([Reader.Records], [Reader.WriteRecords]).
//
// A document must follow the standard's schema member for member, every
// reference must lead to an object of the right class, and what the schema
// cannot say is checked as well (FORMAT.md of internal/ems lists the profile
// and the rules). Nothing is repaired or guessed, except the deviations of real
// systems on one closed list, when the caller asks for them; each that was met
// is handed back. All input is foreign: memory is bounded, and each fault is a
// content-invalid finding with file, JSON pointer and rule; findings never
// quote votes. It does not interpret a document: tallying belongs to others.
package cdf

import "fmt"

// Reader reads and makes documents. It is safe for concurrent use.
type Reader struct {
	schemas map[Format]*schema
	bd, cvr *schema
}

// New returns a reader.
func New() (*Reader, error) {
	r := &Reader{schemas: map[Format]*schema{}}
	for f, std := range standards() {
		s, err := parseSchema(f, std)
		if err != nil {
			return nil, fmt.Errorf("cannot use the classes of %s: %w", f, err)
		}
		r.schemas[f] = s
	}
	r.bd, r.cvr = r.schemas[BD], r.schemas[CVR]
	for path, at := range cvrSlots() {
		if err := r.cvr.want(path, at); err != nil {
			return nil, err
		}
	}
	return r, nil
}
