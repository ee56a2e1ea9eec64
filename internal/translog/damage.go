package translog

import (
	"errors"
	"fmt"
)

// ErrTampered is in the chain of every error that says: bytes which a
// checkpoint sealed, or which no interrupted write can have harmed, are not
// what they were. [Damage] has the place.
var ErrTampered = errors.New("the log was damaged or tampered with")

// Damage is one damaged place of a log.
type Damage struct {
	// File is the name of the file inside the log's folder.
	File string `json:"file"`
	// Offset is the byte in File where the damage was found.
	Offset int64 `json:"offset"`
	// Entry and Until are the entries concerned, Entry ≤ index < Until; equal
	// when foreign bytes stand before Entry. Both are -1 where no entry can be
	// named (a checkpoint, the folder itself).
	Entry int64 `json:"entry"`
	Until int64 `json:"until"`
	// Detail says what was expected and what was found.
	Detail string `json:"detail"`
}

func (d *Damage) Error() string {
	where := fmt.Sprintf("%s, byte %d", d.File, d.Offset)
	switch {
	case d.Entry >= 0 && d.Until == d.Entry+1:
		where = fmt.Sprintf("entry %d (%s)", d.Entry, where)
	case d.Entry >= 0 && d.Until <= d.Entry:
		where = fmt.Sprintf("before entry %d (%s)", d.Entry, where)
	case d.Entry >= 0:
		where = fmt.Sprintf("one or more of the entries %d to %d (from %s)", d.Entry, d.Until-1, where)
	}
	return fmt.Sprintf("%v: %s: %s", ErrTampered, where, d.Detail)
}

// Unwrap makes errors.Is(err, ErrTampered) true.
func (d *Damage) Unwrap() error { return ErrTampered }

// Cut is one torn tail: what an interrupted write left behind the last intact
// frame of a file.
type Cut struct {
	File   string `json:"file"`
	Offset int64  `json:"offset"` // the file was cut to this length
	Bytes  int64  `json:"bytes"`  // bytes after Offset
	Entry  int64  `json:"entry"`  // index that the torn entry would have had
	// Intact counts the whole frames found after the torn place. An
	// interrupted write of one entry leaves 0.
	Intact int64  `json:"intact"`
	Detail string `json:"detail"`
	// Kept is the file in the log's folder that holds the bytes cut off;
	// empty as long as nothing was cut (read-only, verifier).
	Kept string `json:"kept,omitzero"`
}
