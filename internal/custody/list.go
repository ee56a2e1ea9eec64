package custody

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	"golang.org/x/sys/unix"

	"sallyport/internal/strictjson"
)

// MaxList is the most bytes of a list of media.
const MaxList = 10 << 20

// columns of a list, as its first row names them.
var columns = []string{"label", "serial", "fs_id", "seal", "direction", "single_use", "note"}

// Row is one medium of a list.
type Row struct {
	Line int
	Description
}

// ParseList reads a list of media: RFC 4180, UTF-8, the header row that names the
// seven columns, one medium on each line after it. Every cell is text and stays
// what it is, also one that a spreadsheet would take for a formula. Its errors
// are of the kind [Refusal] and name the line.
func ParseList(data []byte) ([]Row, error) {
	if len(data) > MaxList {
		return nil, refusef("the list has %d bytes, at most %d are allowed", len(data), MaxList)
	}
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf")) // spreadsheets begin UTF-8 with it
	if !utf8.Valid(data) {
		return nil, refusef("line %d is not valid UTF-8: save the list as 'CSV UTF-8'", badLine(data))
	}
	table := csv.NewReader(bytes.NewReader(data))
	table.FieldsPerRecord, table.ReuseRecord = -1, true
	var rows []Row
	for line := 1; ; line++ {
		cells, err := table.Read()
		if errors.Is(err, io.EOF) && line == 1 {
			return nil, refusef("the list is empty; its first line has to be %s", strings.Join(columns, ","))
		}
		if errors.Is(err, io.EOF) {
			return rows, nil
		}
		var syntax *csv.ParseError
		if errors.As(err, &syntax) {
			return nil, refusef("line %d is no CSV: %v", syntax.Line, syntax.Err)
		}
		if err != nil {
			return nil, err
		}
		if at, _ := table.FieldPos(0); at != line {
			return nil, refusef("line %d is empty, or a cell before it has a line end", line)
		}
		if line == 1 {
			if !slices.Equal(cells, columns) {
				return nil, refusef("line 1 has to name the columns: %s", strings.Join(columns, ","))
			}
			continue
		}
		if len(rows) == MaxMedia {
			return nil, refusef("line %d is one too many: a register has at most %d media", line, MaxMedia)
		}
		row, err := parseRow(cells)
		if err != nil {
			return nil, refusef("line %d: %v", line, err)
		}
		row.Line = line
		rows = append(rows, row)
	}
}

// badLine is the number of the first line that is not valid UTF-8.
func badLine(data []byte) int {
	n := 1
	for line := range bytes.Lines(data) {
		if !utf8.Valid(line) {
			return n
		}
		n++
	}
	return n
}

func parseRow(cells []string) (Row, error) {
	if len(cells) != len(columns) {
		return Row{}, refusef("it has %d cells, and there are %d columns", len(cells), len(columns))
	}
	r := Row{Description: Description{Label: cells[0], FSID: cells[2], Seal: cells[3], Direction: Direction(cells[4]), Note: cells[6]}}
	r.Vendor, r.Product, r.Serial = SplitSerial(cells[1])
	switch cells[5] {
	case "yes":
		r.SingleUse = true
	case "no", "":
	default:
		return r, refusef("single_use is %q; use yes or no", cells[5])
	}
	return r, r.check()
}

// SplitSerial reads a serial number as people write it: alone, or behind vendor
// and product as "VENDOR:PRODUCT:SERIAL", as the rules of usb.allow have it.
func SplitSerial(s string) (vendor, product, serial string) {
	v, rest, _ := strings.Cut(s, ":")
	p, n, ok := strings.Cut(rest, ":")
	if ok && usbForm.MatchString(v) && usbForm.MatchString(p) && n != "" {
		return v, p, n
	}
	return "", "", s
}

// JoinSerial writes what [SplitSerial] reads.
func JoinSerial(vendor, product, serial string) string {
	if vendor == "" {
		return serial
	}
	return vendor + ":" + product + ":" + serial
}

// importFile is a list on its way into the register: with it all of the list
// counts, without it nothing. One that is left behind is finished at the next
// start.
const importFile = "import.json"

// maxImport is the most bytes of importFile: what the longest list makes.
const maxImport = 256 << 20

// imported is importFile.
type imported struct {
	V     int      `json:"v"`
	Seq   int64    `json:"seq"`
	Media []Medium `json:"media"`
}

// Import registers all media of a list, or none. Names of the list that stand in
// the way of each other, or of the register, are refused with their lines.
//
//	create(import.json) { write(ID.json) }… syncfs remove(import.json)
func (r *Register) Import(rows []Row, by By) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.failed != nil {
		return fmt.Errorf("cannot change the register of media after an earlier failure: %w", r.failed)
	}
	if len(rows) == 0 {
		return refusef("the list has no medium")
	}
	if len(r.byID)+len(rows) > MaxMedia || len(r.seals)+len(rows) > maxSeals {
		return refusef("the register has %d media and %d numbers of seals: it has no room for %d more media", len(r.byID), len(r.seals), len(rows))
	}
	in, entries, err := r.plan(rows, by)
	if err != nil {
		return err
	}
	data, err := strictjson.Encode(in)
	if err != nil {
		return err
	}
	err = r.fs.CreateFile("custody.import", filepath.Join(r.dir, importFile), data, 0o600)
	if err == nil {
		err = r.putImport(in)
	}
	if err != nil {
		r.failed = err
		return fmt.Errorf("cannot write the register of media: %w", err)
	}
	for _, e := range entries {
		r.add(e)
	}
	return nil
}

// plan makes the records of a list, and holds them against the register and
// against each other.
func (r *Register) plan(rows []Row, by By) (*imported, []*entry, error) {
	in := &imported{V: version, Seq: by.Seq, Media: make([]Medium, 0, len(rows))}
	entries := make([]*entry, 0, len(rows))
	list, lines := newIndex(), map[*entry]int{}
	for _, row := range rows {
		m, err := newRecord(NewID(), &row.Description, by)
		if err != nil {
			return nil, nil, refusef("line %d: %v", row.Line, err)
		}
		e := newEntry(m)
		if other, why := list.clash(&e.Summary, e.seals); other != nil {
			return nil, nil, refusef("line %d: %s stands in line %d already", row.Line, why, lines[other])
		}
		if other, why := r.clash(&e.Summary, e.seals); other != nil {
			return nil, nil, refusef("line %d: %v", row.Line, taken(other, why))
		}
		list.add(e)
		lines[e] = row.Line
		entries, in.Media = append(entries, e), append(in.Media, *m)
	}
	return in, entries, nil
}

// putImport writes the records of a list. What a stop cuts off is written again
// as a whole, since nothing can have changed in between.
func (r *Register) putImport(in *imported) error {
	for i := range in.Media {
		data, err := strictjson.Encode(&in.Media[i])
		if err != nil {
			return err
		}
		if err := r.fs.Step("custody.import.record", func() error { return writeRecord(r.path(in.Media[i].ID), data) }); err != nil {
			return err
		}
	}
	if err := r.fs.Step("custody.import.syncfs", func() error { return syncFS(r.dir) }); err != nil {
		return err
	}
	return r.fs.RemoveAll("custody.import.end", filepath.Join(r.dir, importFile))
}

func writeRecord(path string, data []byte) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Close())
}

// syncFS makes all that was written to the file system of a folder durable: a
// hundred thousand small files one by one would take minutes.
func syncFS(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(unix.Syncfs(int(d.Fd())), d.Close())
}

// finishImport ends an import that a stop cut off.
func (r *Register) finishImport() error {
	data, err := readFile(filepath.Join(r.dir, importFile), maxImport)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	in := &imported{}
	if err := strictjson.DecodeCanonical(data, in, maxImport); err != nil {
		return fmt.Errorf("cannot read %s: %w", importFile, err)
	}
	if in.V != version || len(in.Media) > MaxMedia {
		return fmt.Errorf("cannot use %s: it has the version %d and %d media", importFile, in.V, len(in.Media))
	}
	for i := range in.Media { // their ids become names of files
		if !idForm.MatchString(in.Media[i].ID) {
			return fmt.Errorf("cannot use %s: a medium has no id", importFile)
		}
	}
	return r.putImport(in)
}
