package rla

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"io"
)

// written is the name that problems of our own output carry.
const written = "the written file"

// writeTable writes rows as CSV with the line ends of RFC 4180, and only what
// readBack says would be read again as what was meant: a value that a form
// cannot keep is an error and nothing is written.
func writeTable(w io.Writer, rows [][]string, readBack func(io.Reader) error) error {
	var b bytes.Buffer
	c := csv.NewWriter(&b)
	c.UseCRLF = true
	if err := c.WriteAll(rows); err != nil {
		return fmt.Errorf("cannot write the rows: %w", err)
	}
	if err := readBack(bytes.NewReader(b.Bytes())); err != nil {
		return fmt.Errorf("cannot write what would be refused: %w", err)
	}
	if _, err := w.Write(b.Bytes()); err != nil {
		return fmt.Errorf("cannot write the file: %w", err)
	}
	return nil
}

// notKept is the error of a value that reads back as another one.
func notKept(what string) error {
	return &Problem{File: written, Rule: RuleKeepsForm, Detail: what + " would be read back as something else"}
}

// yn is the cell of a yes-or-no column.
func yn(yes bool) string {
	if yes {
		return "Y"
	}
	return "N"
}
