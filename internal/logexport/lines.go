package logexport

import (
	"bufio"

	"sallyport/internal/strictjson"
	"sallyport/internal/translog"
)

// lines writes JSON lines: each entry byte for byte as it was logged, which
// begins with its seq, and a damaged place as an object with the one member
// "damaged".
type lines struct{}

func (lines) begin(*bufio.Writer, *About) error { return nil }
func (lines) end(*bufio.Writer) error           { return nil }

func (lines) entry(w *bufio.Writer, in *input) error {
	w.Write(in.logged)
	return w.WriteByte('\n')
}

func (lines) damage(w *bufio.Writer, d *translog.Damage) error {
	b, err := strictjson.Encode(damaged{d})
	if err != nil {
		return err
	}
	w.Write(b)
	return w.WriteByte('\n')
}
