package dialect

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// headLines is how many records of a CSV are looked at.
const headLines = 4

// Detect says which dialect an export is, and by what that was seen. It looks
// at names and headings alone: reading may still refuse the export. A finding
// says that no dialect, or more than one, was recognised.
func Detect(fsys fs.FS, p string) (Kind, string, error) {
	st, err := fs.Stat(fsys, p)
	if err != nil {
		return "", "", fmt.Errorf("cannot open %q: %w", p, err)
	}
	if st.IsDir() {
		return detectFolder(fsys, p)
	}
	if err := refuseSpreadsheet(p); err != nil {
		return "", "", err
	}
	if isWorkbook(p) {
		return detectCSV(fsys, p)
	}
	zip, err := startsWith(fsys, p, "PK")
	if err != nil {
		return "", "", err
	}
	if zip {
		return detectZip(fsys, p)
	}
	if strings.EqualFold(path.Ext(p), ".xml") {
		return "", "", broken(p, ruleDialect, "a single XML document is no export: Hart's is a zip or folder of them")
	}
	return detectCSV(fsys, p)
}

func startsWith(fsys fs.FS, p, magic string) (bool, error) {
	f, err := fsys.Open(p)
	if err != nil {
		return false, fmt.Errorf("cannot open %q: %w", p, err)
	}
	defer f.Close()
	head := make([]byte, len(magic))
	n, err := io.ReadFull(f, head)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return false, fmt.Errorf("cannot read %q: %w", p, err)
	}
	return string(head[:n]) == magic, nil
}

func detectFolder(fsys fs.FS, p string) (Kind, string, error) {
	entries, err := readDir(fsys, p)
	if err != nil {
		return "", "", err
	}
	files := map[string]int{}
	for _, d := range entries {
		switch {
		case d.IsDir() && isUUID(d.Name()):
			files["uuid"]++
		case d.IsDir():
		case d.Name() == contestManifest || d.Name() == vxMetadataFile:
			files[d.Name()]++
		default:
			files[strings.ToLower(path.Ext(d.Name()))]++
		}
	}
	switch {
	case files[vxMetadataFile] > 0 && files[contestManifest] == 0:
		return VotingWorks, fmt.Sprintf("%s and %d folders of records", vxMetadataFile, files["uuid"]), nil
	case files[contestManifest] > 0 && files[vxMetadataFile] == 0:
		return DominionJSON, contestManifest, nil
	case files[".csv"]+files[".xlsx"] > 0:
		return detectLists(fsys, p)
	case files[".xml"] > 0 || files[".zip"] > 0:
		return Hart, fmt.Sprintf("a folder of %d XML documents and %d zips", files[".xml"], files[".zip"]), nil
	}
	return "", "", broken(p, ruleDialect, "the folder is no export that is known here")
}

// detectLists looks at the tables of a folder: ES&S alone has several.
func detectLists(fsys fs.FS, p string) (Kind, string, error) {
	files, err := csvFiles(fsys, p, newNotes())
	if err != nil {
		return "", "", err
	}
	for _, f := range files {
		if list, err := isEssList(fsys, f); err != nil || list {
			if err != nil {
				return "", "", err
			}
			continue
		}
		k, why, err := detectCSV(fsys, f)
		if err != nil {
			return "", "", err
		}
		if k != ESS {
			return "", "", broken(f, ruleDialect, "this file of a folder is %s: give the file alone", k)
		}
		return k, path.Base(f) + ": " + why, nil
	}
	return "", "", broken(p, ruleDialect, "the folder has lists of ballots and no cast vote records")
}

func detectZip(fsys fs.FS, p string) (Kind, string, error) {
	b, err := openZip(fsys, p)
	if err != nil {
		return "", "", err
	}
	defer b.close()
	xml := slices.IndexFunc(b.names, func(n string) bool { return strings.EqualFold(path.Ext(n), ".xml") })
	switch {
	case b.find(contestManifest) != "":
		return DominionJSON, "a zip with " + contestManifest, nil
	case slices.Contains(b.names, "[Content_Types].xml"):
		return "", "", broken(p, ruleXLSX, "this is a spreadsheet: its name must end in .xlsx")
	case xml >= 0:
		return Hart, "a zip of XML documents", nil
	}
	return "", "", broken(p, ruleDialect, "the zip is no export that is known here")
}

func detectCSV(fsys fs.FS, p string) (Kind, string, error) {
	t, err := openTable(fsys, p, newNotes())
	if err != nil {
		return "", "", err
	}
	defer t.close()
	for line := 1; line <= headLines; line++ {
		cells, err := t.read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return "", "", err
		}
		if k, why := headings(cells, line); k != "" {
			return k, fmt.Sprintf("line %d: %s", t.line, why), nil
		}
	}
	return "", "", broken(p, ruleDialect, "no line of its first %d has headings of a dialect that is known here", headLines)
}

// headings recognises a dialect by one record.
func headings(cells []string, line int) (Kind, string) {
	has := func(name string) bool {
		return slices.ContainsFunc(cells, func(c string) bool { return strings.TrimSpace(c) == name })
	}
	switch {
	case line == headLines && has("TabulatorNum") && has("BatchId") && has("RecordId"):
		return DominionCSV, "columns TabulatorNum, BatchId and RecordId"
	case line == 1 && has("BallotID") && slices.ContainsFunc(cells, func(c string) bool { return strings.HasPrefix(c, "Choice_") }):
		return ClearBallot, "columns BallotID and Choice_…"
	case line == 1 && has(essRecord):
		return ESS, "column " + essRecord
	}
	return "", ""
}
