package limit

import (
	"fmt"
	"strings"
	"time"
)

// Ceilings that no configuration moves: the sizes of what is kept in memory,
// and of what a package is made of.
const (
	// ListingBytes is the memory that the listing of one medium may take, on
	// either side of the reader's protocol, so that a reader with a ceiling of
	// 64 MiB holds any listing there is: 200,000 entries with paths of 70 bytes
	// and one extent each.
	ListingBytes = 40 << 20
	// Volumes of one medium. Writers of GPT reserve 128 entries; nobody needs
	// more on a data medium.
	Volumes = 128
	// Problems of one volume that are written down; with one more its walk ends.
	Problems = 64
	// DeletedNames of one volume that are kept; the others are counted.
	DeletedNames = 64
	// Pieces of one file on FAT or exFAT, and of one folder: 16 MiB of memory. A
	// file of 4 GiB whose clusters of 4 KiB all lie apart has as many.
	Pieces = 1 << 20
	// LabelBytes of a volume's label, and of its identifier. The longest label is
	// that of UDF, 126 characters of which each may take two bytes.
	LabelBytes = 252

	// PackageFiles that one manifest may list.
	PackageFiles = 100_000
	// EnvelopeBytes of a signed manifest. A file takes about 165 bytes of JSON and
	// base64 adds a third, so that 8 MiB would hold no more than about 38,000
	// files; the manifest's FORMAT.md has the arithmetic.
	EnvelopeBytes = 40 << 20
	// EvidenceBytes of evidence.json: a quote and a certificate chain.
	EvidenceBytes = 1 << 20
)

// Row is one limit as people read it.
type Row struct {
	What string // what is counted, in the words of the finding
	Most string // the highest value that is allowed
	Over string // what happens beyond it
}

// Table lists all limits under which a medium is read, so that there is one
// place to look them up; LIMITS.md is this table.
func (l Limits) Table() []Row {
	const (
		volume = "over-limit: the listing of the volume ends there and nothing of the medium is accepted"
		file   = "over-limit: the file is listed and not read"
		pack   = "over-limit: the package is held"
	)
	return []Row{
		{"files and folders on a medium", count(l.Entries), volume},
		{"folders below each other", count(int64(l.Depth)), volume},
		{"bytes of a name", size(int64(l.NameBytes)) + " of UTF-8", volume},
		{"bytes of a path", size(int64(l.PathBytes)) + " of UTF-8", volume},
		{"bytes of a file", size(l.FileBytes), file},
		{"bytes of files on a medium", size(l.Bytes), volume},
		{"bytes of file-system structures", size(l.MetaBytes), volume},
		{"bytes of memory for the listing of a medium", size(ListingBytes), volume},
		{"pieces of a file", count(Pieces) + " on FAT and exFAT", volume},
		{"volumes of a medium", count(Volumes), "over-limit: the others are not looked at and nothing of the medium is accepted"},
		{"problems of a volume", count(Problems), volume},
		{"names of deleted entries of a volume", count(DeletedNames), "the others are counted and not named"},
		{"files of a package", count(PackageFiles), pack},
		{"bytes of a manifest", size(EnvelopeBytes), pack},
		{"bytes of the evidence", size(EvidenceBytes), pack},
		{"time without a byte from the medium", duration(l.Stall), "unreadable: the medium is given up"},
		{"bytes a second, over each minute of waiting", size(l.MinRate) + " at least", "unreadable: the medium is given up"},
		{"time for a medium in all", duration(l.Total), "over-limit: the medium is given up"},
	}
}

// count groups the digits of n in threes.
func count(n int64) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// size writes whole powers of 1024 with their unit.
func size(n int64) string {
	for _, u := range []struct {
		shift uint
		name  string
	}{{40, "TiB"}, {30, "GiB"}, {20, "MiB"}, {10, "KiB"}} {
		if n >= 1<<u.shift && n%(1<<u.shift) == 0 {
			return fmt.Sprintf("%d %s", n>>u.shift, u.name)
		}
	}
	return count(n) + " bytes"
}

// duration leaves out the zeros that time.Duration writes behind hours and minutes.
func duration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// Markdown renders the table.
func Markdown(rows []Row) string {
	var b strings.Builder
	b.WriteString("| Limit | At most | Beyond it |\n|---|---|---|\n")
	for _, r := range rows {
		fmt.Fprintf(&b, "| %s | %s | %s |\n", r.What, r.Most, r.Over)
	}
	return b.String()
}
