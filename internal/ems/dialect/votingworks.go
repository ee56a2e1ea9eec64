package dialect

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"
	"time"

	"sallyport/internal/verdict"
)

// The files of a VotingWorks export.
const (
	vxMetadataFile = "metadata.json"
	vxReportFile   = "cast-vote-record-report.json"
)

// vxExport is one export: its metadata are in memory.
type vxExport struct {
	fsys     fs.FS
	path     string
	notes    *notes
	records  []string // names of folders, sorted
	meta     *vxMetadata
	verified *Verified // nil when nothing was verified
}

// vxMetadata is metadata.json.
type vxMetadata struct {
	closed    bool
	root      string
	generated time.Time
	lists     *cdfLists
	batches   []vxBatch
}

type vxBatch struct {
	id, scanner string
	sheets      int
}

func openVotingWorks(fsys fs.FS, dir string, n *notes, v *Verified) (reader, error) {
	if v != nil {
		return &vxExport{fsys: fsys, path: dir, notes: n, records: v.records, meta: v.meta, verified: v}, nil
	}
	records, err := vxRecords(fsys, dir)
	if err != nil {
		return nil, err
	}
	data, err := readFile(fsys, path.Join(dir, vxMetadataFile), maxManifest)
	if err != nil {
		return nil, err
	}
	meta, err := readVxMetadata(path.Join(dir, vxMetadataFile), data, n)
	if err != nil {
		return nil, err
	}
	return &vxExport{fsys: fsys, path: dir, notes: n, records: records, meta: meta}, nil
}

func (x *vxExport) close() error { return nil }

func (x *vxExport) catalogue(context.Context) (*Catalogue, error) { return x.meta.lists.catalogue() }

func readFile(fsys fs.FS, name string, most int) ([]byte, error) {
	f, err := fsys.Open(name)
	if err != nil {
		return nil, fmt.Errorf("cannot open %q: %w", name, err)
	}
	defer f.Close()
	return readSmall(f, name, most)
}

// vxRecords returns the folders of records. Nothing else may stand in an
// export: the root hash would not cover it.
func vxRecords(fsys fs.FS, dir string) ([]string, error) {
	entries, err := readDir(fsys, dir)
	if err != nil {
		return nil, err
	}
	var out []string
	meta := false
	for _, d := range entries {
		switch {
		case d.IsDir() && isUUID(d.Name()):
			out = append(out, d.Name())
		case !d.IsDir() && d.Name() == vxMetadataFile:
			meta = true
		default:
			return nil, verdict.New(verdict.FileExtra, path.Join(dir, d.Name()),
				"this file or folder does not belong to an export: the signature does not cover it (rule %s)", ruleUnsigned)
		}
	}
	if !meta {
		return nil, verdict.New(verdict.FileMissing, path.Join(dir, vxMetadataFile), "the export has no metadata (rule %s)", ruleFileMissing)
	}
	return out, nil
}

// isUUID accepts the lower-case form.
func isUUID(s string) bool {
	if len(s) != 36 {
		return false
	}
	for i := range len(s) {
		dash := i == 8 || i == 13 || i == 18 || i == 23
		if dash != (s[i] == '-') || !dash && !strings.Contains("0123456789abcdef", s[i:i+1]) {
			return false
		}
	}
	return true
}

func readVxMetadata(file string, data []byte, n *notes) (*vxMetadata, error) {
	d, err := newDocument(bytes.NewReader(data), file, n)
	if err != nil {
		return nil, err
	}
	m := &vxMetadata{}
	var generated string
	err = d.object(func(member string) error {
		switch member {
		case "arePollsClosed":
			return d.boolean(&m.closed)
		case "castVoteRecordRootHash":
			return d.text(&m.root)
		case "castVoteRecordReportMetadata":
			r := &cdfReport{doc: d, lists: newCDFLists()}
			err := r.read()
			m.lists, generated = r.lists, r.generated
			return err
		case "batchManifest":
			return d.list(func() error { return m.batch(d) })
		}
		return d.ignore()
	})
	if err == nil {
		err = d.end()
	}
	if err != nil {
		return nil, err
	}
	if m.lists == nil || m.root == "" {
		return nil, broken(file, ruleMemberMissing, "the metadata must have castVoteRecordReportMetadata and castVoteRecordRootHash")
	}
	m.lists.file = file
	if m.generated, err = time.Parse(time.RFC3339, generated); err != nil {
		return nil, broken(file, ruleType, "GeneratedDate must be a date and time with zone")
	}
	return m, nil
}

func (m *vxMetadata) batch(d *document) error {
	b := vxBatch{}
	if len(m.batches) == maxLabels {
		return over(d.where(), "more than %d batches", maxLabels)
	}
	err := d.object(func(member string) error {
		switch member {
		case "id":
			return d.text(&b.id)
		case "scannerId":
			return d.text(&b.scanner)
		case "sheetCount":
			return d.integer(&b.sheets)
		case "label", "batchNumber", "startTime", "endTime":
			return d.skip()
		}
		return d.ignore()
	})
	m.batches = append(m.batches, b)
	return err
}

// sheets is the number of sheets that the metadata state, and whether they do.
func (m *vxMetadata) sheets() (n int, said bool) {
	for _, b := range m.batches {
		n += b.sheets
	}
	return n, len(m.batches) > 0
}

func (x *vxExport) ballots(ctx context.Context, emit func(*Ballot) error) error {
	if n, said := x.meta.sheets(); said && n != len(x.records) {
		x.notes.add(path.Join(x.path, vxMetadataFile)+"#/batchManifest", SheetCount)
	}
	for _, id := range x.records {
		if err := ctx.Err(); err != nil {
			return err
		}
		b, err := x.record(id)
		if err != nil {
			return err
		}
		if err := emit(b); err != nil {
			return err
		}
	}
	return nil
}

// record reads one record, and refuses what is not what was verified.
func (x *vxExport) record(id string) (*Ballot, error) {
	file := path.Join(x.path, id, vxReportFile)
	data, err := readFile(x.fsys, file, maxSession)
	if err != nil {
		return nil, err
	}
	if x.verified != nil && sha256.Sum256(data) != x.verified.reports[id] {
		return nil, altered(file, "the file is not what was verified: it was changed since")
	}
	d, err := newDocument(bytes.NewReader(data), file, x.notes)
	if err != nil {
		return nil, err
	}
	r := &cdfReport{doc: d, lists: newCDFLists(), against: x.meta.lists}
	if err := r.read(); err != nil {
		return nil, err
	}
	if err := d.end(); err != nil {
		return nil, err
	}
	if len(r.ballots) != 1 {
		return nil, broken(file+"#/CVR", ruleRecordID, "the file has %d records, and it must be one", len(r.ballots))
	}
	b := r.ballots[0]
	if b.ID != id {
		return nil, broken(file+"#/CVR/0/UniqueId", ruleRecordID, "UniqueId is not the name of the folder")
	}
	if b.Method == (Label{}) {
		x.notes.add(file, MethodMissing)
	}
	return b, nil
}

// hashFile is the SHA-256 of a file in hexadecimal.
func hashFile(fsys fs.FS, name string) ([32]byte, error) {
	f, err := fsys.Open(name)
	if err != nil {
		return [32]byte{}, fmt.Errorf("cannot open %q: %w", name, err)
	}
	defer f.Close()
	h := sha256.New()
	n, err := io.Copy(h, io.LimitReader(f, maxFile+1))
	if err != nil {
		return [32]byte{}, fmt.Errorf("cannot read %q: %w", name, err)
	}
	if n > maxFile {
		return [32]byte{}, over(name, "the file has more than %d MiB", maxFile>>20)
	}
	return [32]byte(h.Sum(nil)), nil
}

func hexHash(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}
