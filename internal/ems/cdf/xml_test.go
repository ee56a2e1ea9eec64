package cdf

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sallyport/internal/ems/model"
	"sallyport/internal/testelection"
	"sallyport/internal/verdict"
)

const tinyXML = `<?xml version="1.0" encoding="UTF-8"?>
<!-- a comment -->
<BallotDefinition xmlns="http://itl.nist.gov/ns/voting/1500-20/v1" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:schemaLocation="a b">
  <Election>
    <ElectionScopeId> p </ElectionScopeId>
    <Name Label="x"><Text Language="en">n &amp; m</Text></Name>
    <StartDate>2026-01-01</StartDate><EndDate>2026-01-01</EndDate>
    <Type>general</Type>
  </Election>
  <GeneratedDate>2026-01-01T00:00:00Z</GeneratedDate>
  <GpUnit xsi:type="ReportingUnit" ObjectId="p"><ComposingGpUnitIds>q
     r</ComposingGpUnitIds><IsDistricted>1</IsDistricted><Type>precinct</Type></GpUnit>
  <GpUnit xsi:type="ReportingUnit" ObjectId="q"><Type>precinct</Type></GpUnit>
  <GpUnit xsi:type="ReportingUnit" ObjectId="r"><Type>precinct</Type></GpUnit>
  <Issuer>i</Issuer><IssuerAbbreviation>i</IssuerAbbreviation>
  <SequenceStart>+1</SequenceStart><SequenceEnd>01</SequenceEnd>
  <Shape ObjectId="s"><ShapeType>ellipse</ShapeType><StrokeWidth>+.50</StrokeWidth></Shape>
  <VendorApplicationId>v</VendorApplicationId>
  <Version>1.0.0</Version>
</BallotDefinition>
`

func readXML(t testing.TB, doc string, opt ReadOptions) (*Document, []Deviation, error) {
	t.Helper()
	return reader(t).ReadDocument(context.Background(), "d.xml", strings.NewReader(doc), opt)
}

func TestXMLIsReadAsTheSameValuesAsJSON(t *testing.T) {
	d, dev, err := readXML(t, tinyXML, ReadOptions{})
	if err != nil || len(dev) != 0 {
		t.Fatal(err, dev)
	}
	e := d.Root.List("Election")[0]
	unit := d.Index()["p"]
	districted, ok := unit.Bool("IsDistricted")
	n, _ := d.Root.Int("SequenceEnd")
	if e.Text("Name") != "n & m" || e.Object("Name").Str("Label") != "x" || e.Str("ElectionScopeId") != "p" || !districted || !ok || n != 1 ||
		!cmp.Equal(unit.Refs("ComposingGpUnitIds"), []string{"q", "r"}) || d.Root.List("Shape")[0].Str("StrokeWidth") != "0.50" {
		t.Errorf("%s", written(t, d, JSON))
	}
	if unit.Line() != 11 || unit.Pointer() != "/GpUnit/0" || e.Object("Name").Pointer() != "/Election/0/Name" {
		t.Errorf("line %d, %s", unit.Line(), unit.Pointer())
	}
	// With a prefix, a byte order mark and CDATA it is the same document.
	other := strings.NewReplacer(`xmlns="`, `xmlns:b="`, "</", "</b:", "<!--", "<!--", "<?", "<?", "<", "<b:", `xsi:type="`, `xsi:type="b:`,
		"n &amp; m", "<![CDATA[n & m]]>").Replace(tinyXML)
	d2, _, err := readXML(t, bom+other, ReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(written(t, d, JSON)), string(written(t, d2, JSON))); diff != "" {
		t.Error(diff)
	}
}

func TestEveryFaultOfXMLIsRefused(t *testing.T) {
	for _, c := range []change{
		{"document type", "<BallotDefinition ", "<!DOCTYPE x [<!ENTITY a \"b\">]><BallotDefinition ", "xml", ""},
		{"entity", "n &amp; m", "n &a; m", "xml", "/Election/0/Name/Text/0"},
		{"processing instruction", "<!-- a comment -->", "<?go now?>", "xml", ""},
		{"another encoding", `encoding="UTF-8"`, `encoding="ISO-8859-1"`, "xml", ""},
		{"invalid UTF-8", "n &amp;", "n \xff", "xml", ""},
		{"cut short", "</BallotDefinition>", "", "xml", ""},
		{"more after the end", "</BallotDefinition>", "</BallotDefinition><a/>", "trailing", ""},
		{"text after the end", "</BallotDefinition>", "</BallotDefinition>a", "trailing", ""},
		{"another root", "<BallotDefinition xm", "<Ballot xm", "", ""},
		{"another namespace", "1500-20/v1", "1500-20/v2", "namespace", ""},
		{"no namespace", `xmlns="http://itl.nist.gov/ns/voting/1500-20/v1"`, "", "namespace", ""},
		{"element of another namespace", "<StartDate>", `<StartDate xmlns="urn:x">`, "member-unknown", "/Election/0#"},
		{"unknown element", "<Issuer>i</Issuer>", "<Publisher>i</Publisher>", "member-unknown", ""},
		{"unknown attribute", `Label="x"`, `Lable="x"`, "member-unknown", "/Election/0/Name"},
		{"attribute on text", "<Issuer>", `<Issuer lang="x">`, "member-unknown", "/Issuer"},
		{"attribute twice", `Label="x"`, `Label="x" Label="x"`, "xml", "/Election/0/Name"},
		{"member as element that is an attribute", `<Name Label="x">`, `<Name><Label>x</Label>`, "member-unknown", "/Election/0/Name"},
		{"elements in another order", "<StartDate>2026-01-01</StartDate><EndDate>2026-01-01</EndDate>", "<EndDate>2026-01-01</EndDate><StartDate>2026-01-01</StartDate>", "member-order", "/Election/0"},
		{"element twice", "<Issuer>i</Issuer>", "<Issuer>i</Issuer><Issuer>i</Issuer>", "member-repeated", ""},
		{"required element missing", "<Issuer>i</Issuer>", "", "member-missing", ""},
		{"required attribute missing", ` ObjectId="p"`, "", "member-missing", "/GpUnit/0"},
		{"class missing", ` xsi:type="ReportingUnit" ObjectId="p"`, ` ObjectId="p"`, "type", "/GpUnit/0"},
		{"class of no meaning", `xsi:type="ReportingUnit"`, `xsi:type="Unit"`, "type", "/GpUnit/0"},
		{"class of another namespace", `xsi:type="ReportingUnit"`, `xsi:type="xsi:ReportingUnit"`, "type", "/GpUnit/0"},
		{"text between elements", "<GeneratedDate>", "a<GeneratedDate>", "xml", ""},
		{"element in text", "<Issuer>i</Issuer>", "<Issuer><b/></Issuer>", "xml", "/Issuer"},
		{"bad boolean", "<IsDistricted>1<", "<IsDistricted>yes<", "value", "/GpUnit/0/IsDistricted"},
		{"bad number", "+.50", "INF", "value", "/Shape/0/StrokeWidth"},
		{"two signs", "+.50", "+-1", "value", "/Shape/0/StrokeWidth"},
		{"white space in an enumeration", "<Type>general", "<Type> general", "value", "/Election/0/Type"},
		{"date with zone", "<StartDate>2026-01-01<", "<StartDate>2026-01-01Z<", "value", "/Election/0/StartDate"},
		{"bad language", `Language="en"`, `Language="e n"`, "value", "/Election/0/Name/Text/0/Language"},
		{"identifier that is no name", `ObjectId="q"`, `ObjectId="1q"`, "value", "/GpUnit/1/@id"},
		{"empty identifier", `ObjectId="q"`, `ObjectId=""`, "value", "/GpUnit/1/@id"},
		{"empty list of references", "q\n     r", " ", "list-empty", "/GpUnit/0/ComposingGpUnitIds"},
		{"dangling reference", "q\n     r", "q x", "reference", "/GpUnit/0/ComposingGpUnitIds/1"},
		{"repeated identifier", `ObjectId="q"`, `ObjectId="p"`, "id-repeated", "/GpUnit/1/@id"},
		{"unit of itself", `ObjectId="q"><Type>`, `ObjectId="q"><ComposingGpUnitIds>p</ComposingGpUnitIds><Type>`, "unit-cycle", "/GpUnit/1/ComposingGpUnitIds"},
	} {
		t.Run(c.name, func(t *testing.T) {
			doc := string(apply(t, []byte(tinyXML), c))
			if strings.HasPrefix(c.new, "<Ballot xm") {
				doc = strings.ReplaceAll(doc, "</BallotDefinition", "</Ballot")
			}
			for _, lenient := range []bool{false, true} {
				if lenient && c.name == "class missing" {
					continue // the one dialect here
				}
				_, _, err := readXML(t, doc, ReadOptions{Lenient: lenient})
				wantFinding(t, err, verdict.ContentInvalid, "d.xml#", "rule "+c.rule, strings.TrimSuffix(c.where, "#"))
			}
			_, _, err := readXML(t, doc, ReadOptions{})
			if c.rule != "format" && !strings.Contains(err.Error(), "line ") && c.rule != "" && c.rule != "xml" {
				t.Errorf("no line: %v", err)
			}
		})
	}
	nested := strings.Replace(tinyXML, "<SequenceStart>", "<OfficeGroup>"+strings.Repeat("<Name>x</Name><SubOfficeGroup>", 5000), 1)
	_, _, err := readXML(t, nested, ReadOptions{})
	wantFinding(t, err, verdict.ContentInvalid, "rule depth")
}

func TestDraftNamespaceAndMissingClassAreDeviations(t *testing.T) {
	doc := strings.Replace(string(written(t, tinyCVR(t), XML)), "http://itl.nist.gov/ns/voting/1500-103/v1", "NIST_V0_cast_vote_records.xsd", 1)
	_, _, err := readXML(t, doc, ReadOptions{})
	wantFinding(t, err, verdict.ContentInvalid, "rule namespace")
	d, dev, err := readXML(t, doc, ReadOptions{Lenient: true})
	if err != nil || !cmp.Equal(rulesOf(dev), []string{"namespace-draft  ×1"}) {
		t.Fatal(err, dev)
	}
	if diff := cmp.Diff(string(written(t, tinyCVR(t), JSON)), string(written(t, d, JSON))); diff != "" {
		t.Error(diff)
	}
	_, dev, err = readXML(t, strings.Replace(tinyXML, ` xsi:type="ReportingUnit" ObjectId="p"`, ` ObjectId="p"`, 1), ReadOptions{Lenient: true})
	if err != nil || !cmp.Equal(rulesOf(dev), []string{"type-missing /GpUnit/0 ×1"}) {
		t.Error(err, dev)
	}
}

func tinyCVR(t testing.TB) *Document {
	t.Helper()
	d, _, err := reader(t).ReadDocument(context.Background(), "c.json", strings.NewReader(tinyReport), ReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// ballots reads a report and returns each record in its packed form.
func ballots(t testing.TB, doc []byte, opt ReadOptions) ([]string, []Deviation, error) {
	var out []string
	dev, err := reader(t).ReadRecords(context.Background(), "c", bytes.NewReader(doc), Want{Definition: smallDefinition(t), ElectionID: testelection.ID}, opt, func(b *model.Ballot) error {
		out = append(out, fmt.Sprintf("%s %s %s %x", b.ID, b.Device, b.Batch, b.Pack(nil)))
		return nil
	})
	return out, dev, err
}

func TestRecordsInXMLAreTheSameBallots(t *testing.T) {
	for _, f := range small(t).Records {
		want, _, err := ballots(t, f.Data, ReadOptions{})
		if err != nil {
			t.Fatal(err)
		}
		d, _, err := reader(t).ReadDocument(context.Background(), "c", bytes.NewReader(f.Data), ReadOptions{})
		if err != nil {
			t.Fatal(err)
		}
		got, _, err := ballots(t, written(t, d, XML), ReadOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" || len(got) < 50 {
			t.Errorf("%d ballots: %s", len(got), diff)
		}
	}
}

// What is wrong with a record is found in XML as in JSON, with the line.
func TestFaultsOfRecordsInXMLHavePointerAndLine(t *testing.T) {
	d, _, err := reader(t).ReadDocument(context.Background(), "c", bytes.NewReader(report(cvrOne)), ReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	good := written(t, d, XML)
	if got, _, err := ballots(t, good, ReadOptions{}); err != nil || len(got) != 1 {
		t.Fatal(got, err)
	}
	for _, c := range []change{
		{"no identifier", "<UniqueId>one</UniqueId>", "", "record-id", "#/CVR/0"},
		{"unknown style", "style-county", "style-x", "record-style", "#/CVR/0/BallotStyleId"},
		{"unknown option", "<ContestSelectionId>option-commissioner-1<", "<ContestSelectionId>x<", "record-option", "#/CVR/0/CVRSnapshot/1/CVRContest/0/CVRContestSelection/0"},
		{"fraction", "<NumberVotes>1", "<NumberVotes>1.0", "value", "/SelectionPosition/0/NumberVotes"},
		{"out of order", "<UniqueId>one</UniqueId>", "<BatchId>b</BatchId>", "member-order", "#/CVR/0"},
		{"no such precinct listed", `ObjectId="precinct-3"`, `ObjectId="precinct-1"`, "id-repeated", "#/GpUnit/1/@id"},
	} {
		_, _, err := ballots(t, apply(t, good, c), ReadOptions{})
		wantFinding(t, err, verdict.ContentInvalid, "c#", "rule "+c.rule, c.where, "line ")
	}
	big := bytes.Replace(good, []byte("<UniqueId>one<"), []byte("<UniqueId>"+strings.Repeat("x", 8<<20)+"<"), 1)
	_, _, err = ballots(t, big, ReadOptions{})
	wantFinding(t, err, verdict.OverLimit, "4 MiB")
	// As many records as one likes may be large in all.
	image := "<BallotImage><Image>" + strings.Repeat("AAAA", 1<<18) + "</Image></BallotImage><BallotStyleId>"
	one := good[bytes.Index(good, []byte("<CVR>")) : bytes.Index(good, []byte("</CVR>"))+6]
	one = bytes.Replace(one, []byte("<BallotStyleId>"), []byte(image), 1)
	var many bytes.Buffer
	many.Write(good[:bytes.Index(good, []byte("<CVR>"))])
	for i := range 30 {
		r := bytes.ReplaceAll(one, []byte(">one<"), []byte(fmt.Sprintf(">r%d<", i)))
		many.Write(bytes.ReplaceAll(r, []byte(`ObjectId="s`), []byte(fmt.Sprintf(`ObjectId="r%ds`, i))))
	}
	doc := many.Bytes()
	for i := range 30 { // the pointer to the current snapshot
		doc = bytes.Replace(doc, []byte("<CurrentSnapshotId>s2<"), []byte(fmt.Sprintf("<CurrentSnapshotId>r%ds2<", i)), 1)
	}
	doc = append(doc, good[bytes.Index(good, []byte("</CVR>"))+6:]...)
	if got, _, err := ballots(t, doc, ReadOptions{}); err != nil || len(got) != 30 {
		t.Errorf("%d, %v", len(got), err)
	}
}
