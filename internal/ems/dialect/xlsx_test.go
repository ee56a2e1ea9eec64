package dialect_test

import (
	"archive/zip"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"sallyport/internal/ems/dialect"
	"sallyport/internal/testtool"
	"sallyport/internal/verdict"
)

const spreadsheetML = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"

// workbook writes a CSV as the parts of a workbook: numbers as such, every
// other text shared or inline, empty cells left out.
func workbook(table string) map[string]string {
	rows, err := csv.NewReader(strings.NewReader(table)).ReadAll()
	if err != nil {
		panic(err)
	}
	var sheet, texts strings.Builder
	n := 0
	for r, row := range rows {
		fmt.Fprintf(&sheet, `<row r="%d" spans="1:9">`, r+1)
		for c, cell := range row {
			place := fmt.Sprintf("%c%d", 'A'+c, r+1)
			switch {
			case cell == "":
			case strings.Trim(cell, "0123456789") == "":
				fmt.Fprintf(&sheet, `<c r="%s" s="1"><v>%s</v></c>`, place, cell)
			case (r+c)%2 == 0:
				fmt.Fprintf(&sheet, `<c r="%s" t="inlineStr"><is><t>%s</t></is></c>`, place, escape(cell))
			default:
				fmt.Fprintf(&sheet, `<c r="%s" t="s"><v>%d</v></c>`, place, n)
				fmt.Fprintf(&texts, `<si><r><t xml:space="preserve">%s</t></r><r><rPr/><t>%s</t></r><rPh><t>hint</t></rPh></si>`, escape(cell[:1]), escape(cell[1:]))
				n++
			}
		}
		sheet.WriteString("</row>")
	}
	return map[string]string{
		"[Content_Types].xml":      "<Types/>",
		"xl/workbook.xml":          "<workbook/>",
		"xl/sharedStrings.xml":     `<?xml version="1.0"?><sst xmlns="` + spreadsheetML + `">` + texts.String() + `</sst>`,
		"xl/worksheets/sheet1.xml": `<?xml version="1.0"?><worksheet xmlns="` + spreadsheetML + `"><dimension ref="A1"/><sheetData>` + sheet.String() + `</sheetData><pageMargins/></worksheet>`,
	}
}

func synWorkbook() fstest.MapFS {
	files := synESS()
	files["x/records.xlsx"] = &fstest.MapFile{Data: zipped(workbook(string(files["x/records.csv"].Data)))}
	delete(files, "x/records.csv")
	return files
}

func TestWorkbooksAreRefusedByName(t *testing.T) {
	const sheet = "xl/worksheets/sheet1.xml"
	for name, c := range map[string]struct {
		part, from, to string
		rule           string
		where          string
	}{
		"formula":       {sheet, "<v>100</v>", "<f>A1</f><v>100</v>", "xlsx", "!xl/worksheets/sheet1.xml line 1 column"},
		"error":         {sheet, `s="1"><v>100</v>`, `t="e"><v>#REF!</v>`, "xlsx", "x.xlsx line 2 column 1"},
		"truth value":   {sheet, `s="1"><v>100</v>`, `t="b"><v>1</v>`, "xlsx", "x.xlsx line 2 column 1"},
		"no such text":  {sheet, `t="s"><v>0<`, `t="s"><v>9999<`, "xlsx", "x.xlsx line 1 column 2"},
		"column again":  {sheet, `r="C2"`, `r="B2"`, "xlsx", "x.xlsx line 2 column"},
		"row again":     {sheet, `<row r="3"`, `<row r="2"`, "xlsx", "sheet1.xml line 1"},
		"cut off":       {sheet, `</sheetData><pageMargins/></worksheet>`, ``, "xml", "sheet1.xml line 1"},
		"document type": {sheet, `<worksheet`, `<!DOCTYPE a><worksheet`, "xml", "sheet1.xml line 1"},
		"no data":       {sheet, `<sheetData>`, `<data>`, "xml", "sheet1.xml"},
		"second sheet":  {"xl/worksheets/sheet2.xml", "", "<worksheet/>", "xlsx", "x.xlsx"},
		"short texts":   {"xl/sharedStrings.xml", `</si>`, ``, "xml", "sharedStrings.xml"},
		"ranks":         {sheet, `<is><t>Contest 2: a colon`, `<is><t>Contest 2nd choice`, "ranked", "x.xlsx line 1 column"},
	} {
		t.Run(name, func(t *testing.T) {
			parts := workbook(string(synESS()["x/records.csv"].Data))
			if !strings.Contains(parts[c.part], c.from) {
				t.Fatalf("%s has no %q", c.part, c.from)
			}
			parts[c.part] = strings.Replace(parts[c.part], c.from, c.to, 1)
			_, err := all(dialect.ESS, fstest.MapFS{"x.xlsx": {Data: zipped(parts)}}, "x.xlsx")
			refused(t, err, verdict.ContentInvalid, c.rule, c.where)
		})
	}
}

// renamed is a real workbook with headings that are those of ES&S and name no
// ranks.
func renamed(t *testing.T, name string) []byte {
	t.Helper()
	r, err := zip.OpenReader(name)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	parts := map[string]string{}
	for _, f := range r.File {
		in, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(in)
		if err != nil {
			t.Fatal(err)
		}
		parts[f.Name] = strings.NewReplacer("Ballot #", "Cast Vote Record", "1st Choice", "1", "2nd Choice", "2", "3rd Choice", "3", "4th Choice", "4").Replace(string(data))
	}
	return zipped(parts)
}

// rankedRecords are the records of the same ballots in the NIST format, as
// "ballot rank choice"; a rank with several choices is "overvote".
func rankedRecords(t *testing.T, name string) map[string]bool {
	t.Helper()
	var report struct {
		CVR []struct {
			BallotPrePrintedId string
			CVRSnapshot        []struct {
				CVRContest []struct {
					CVRContestSelection []struct {
						ContestSelectionId string
						SelectionPosition  []struct{ Rank int }
					}
				}
			}
		}
	}
	if err := json.Unmarshal(read(t, name), &report); err != nil {
		t.Fatal(err)
	}
	at := map[string]string{}
	for _, r := range report.CVR {
		for _, s := range r.CVRSnapshot[0].CVRContest[0].CVRContestSelection {
			for _, p := range s.SelectionPosition {
				place := fmt.Sprint(r.BallotPrePrintedId, " ", p.Rank)
				choice := strings.ToUpper(s.ContestSelectionId[len("cs-"):])
				if at[place] != "" {
					choice = "overvote"
				}
				at[place] = choice
			}
		}
	}
	out := map[string]bool{}
	for place, choice := range at {
		out[place+" "+choice] = true
	}
	return out
}

// Workbooks that a spreadsheet program wrote hold what the same ballots are in
// the NIST format.
func TestRealWorkbooks(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(testtool.Shared(t, "rctab"), "*", "*_cvr.xlsx"))
	if err != nil || len(files) < 6 {
		t.Fatalf("%d workbooks, %v", len(files), err)
	}
	for _, name := range files {
		t.Run(filepath.Base(name), func(t *testing.T) {
			src, err := dialect.Open(dialect.ESS, fstest.MapFS{"x.xlsx": {Data: renamed(t, name)}}, "x.xlsx")
			if err != nil {
				t.Fatal(err)
			}
			cat, ballots := drain(t, src)
			got := map[string]bool{}
			for _, b := range ballots {
				for _, m := range current(b).Contests {
					rank := cat.Contests[m.Contest].Name
					if m.Overvoted {
						got[b.ID+" "+rank+" overvote"] = true
					}
					for _, k := range m.Marks {
						got[b.ID+" "+rank+" "+cat.Contests[m.Contest].Choices[k.Choice].Name] = true
					}
				}
			}
			if diff := cmp.Diff(rankedRecords(t, strings.TrimSuffix(name, ".xlsx")+".json"), got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func FuzzWorkbook(f *testing.F) {
	parts := workbook(tinyESS)
	f.Add([]byte(parts["xl/worksheets/sheet1.xml"]), []byte(parts["xl/sharedStrings.xml"]))
	f.Add([]byte(`<worksheet><sheetData><row><c t="s"><v>0</v></c></row></sheetData></worksheet>`), []byte(`<sst><si><t>Cast Vote Record</t></si></sst>`))
	f.Fuzz(func(t *testing.T, sheet, texts []byte) {
		data := zipped(map[string]string{"xl/worksheets/sheet1.xml": string(sheet), "xl/sharedStrings.xml": string(texts)})
		holds(t, dialect.ESS, fstest.MapFS{"x.xlsx": {Data: data}}, "x.xlsx")
	})
}
