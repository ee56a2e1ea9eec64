package cdf

import (
	"encoding/xml"
	"os"
	"slices"
	"strings"
	"testing"

	"sallyport/internal/testtool"
)

// xsdType is a complex type of a published XSD.
type xsdType struct {
	Name      string `xml:"name,attr"`
	Abstract  bool   `xml:"abstract,attr"`
	Extension *struct {
		Base string `xml:"base,attr"`
		xsdContent
	} `xml:"complexContent>extension"`
	Simple *struct {
		Base string `xml:"base,attr"`
		xsdContent
	} `xml:"simpleContent>extension"`
	xsdContent
}

type xsdContent struct {
	Elements   []xsdPart `xml:"sequence>element"`
	Attributes []xsdPart `xml:"attribute"`
}

type xsdPart struct {
	Name string `xml:"name,attr"`
	Type string `xml:"type,attr"`
	Min  string `xml:"minOccurs,attr"`
	Max  string `xml:"maxOccurs,attr"`
	Use  string `xml:"use,attr"`
}

// contents returns the parts of a type, those of its bases first.
func contents(types map[string]*xsdType, name string) (c xsdContent, text string) {
	x := types[name]
	own := x.xsdContent
	if x.Extension != nil {
		c, text = contents(types, x.Extension.Base)
		own = x.Extension.xsdContent
	}
	if x.Simple != nil {
		own, text = x.Simple.xsdContent, x.Simple.Base
	}
	return xsdContent{append(c.Elements, own.Elements...), append(c.Attributes, own.Attributes...)}, text
}

func TestClassTablesAreThePublishedXSDs(t *testing.T) {
	r := reader(t)
	for f, path := range xsdFiles() {
		data, err := os.ReadFile(testtool.Shared(t, path...))
		if err != nil {
			t.Fatal(err)
		}
		var doc struct {
			Target string    `xml:"targetNamespace,attr"`
			Types  []xsdType `xml:"complexType"`
		}
		if err := xml.Unmarshal(data, &doc); err != nil {
			t.Fatal(err)
		}
		types := map[string]*xsdType{}
		for i := range doc.Types {
			types[doc.Types[i].Name] = &doc.Types[i]
		}
		s := r.schemas[f]
		if doc.Target != s.namespace || len(types) < 20 {
			t.Errorf("%s: namespace %q, %d types", f, doc.Target, len(types))
		}
		for name, x := range types {
			if s.classes[name] != nil {
				compareXSD(t, s, s.classes[name], types)
			} else if !x.Abstract {
				t.Errorf("%s: the class %s is not in the table", f, name)
			}
		}
		for name := range s.classes {
			if types[name] == nil {
				t.Errorf("%s: the class %s is not in the XSD", f, name)
			}
		}
	}
}

func xsdFiles() map[Format][]string {
	return map[Format][]string{
		BD:  {"nist", "1500-20", "NIST_V1_ballot_definition.xsd"},
		ERR: {"nist", "1500-100-v2", "NIST_V2_election_results_reporting.xsd"},
		CVR: {"nist", "1500-103", "NIST_V0_cast_vote_records.xsd"},
	}
}

func compareXSD(t *testing.T, s *schema, c *class, types map[string]*xsdType) {
	t.Helper()
	want, text := contents(types, c.name)
	if c.abstract != types[c.name].Abstract || (c.text != nil) != (text != "") {
		t.Errorf("%s %s: abstract or text differ", s.format, c.name)
	}
	var elements, attributes []*member
	for _, m := range c.order[1:] {
		switch {
		case m.attribute:
			attributes = append(attributes, m)
		case m != c.text:
			elements = append(elements, m)
		}
	}
	if len(elements) != len(want.Elements) || len(attributes) != len(want.Attributes) {
		t.Fatalf("%s %s: %d elements and %d attributes, want %d and %d", s.format, c.name, len(elements), len(attributes), len(want.Elements), len(want.Attributes))
	}
	for _, m := range attributes {
		name := m.name
		if name == "@id" {
			name = "ObjectId"
		}
		i := slices.IndexFunc(want.Attributes, func(p xsdPart) bool { return p.Name == name })
		if i < 0 || (want.Attributes[i].Use == "required") != (c.required&m.bit != 0) {
			t.Errorf("%s %s: attribute %s differs", s.format, c.name, name)
		}
	}
	for i, m := range elements {
		compareElement(t, s, c, m, want.Elements[i], types)
	}
}

func compareElement(t *testing.T, s *schema, c *class, m *member, p xsdPart, types map[string]*xsdType) {
	t.Helper()
	where := strings.Join([]string{s.format.String(), c.name, m.name}, " ")
	if p.Name != m.name {
		t.Fatalf("%s: the XSD has %s at this place", where, p.Name)
	}
	if optional := p.Min == "0"; optional == ((c.required|c.xmlNeeded)&m.bit != 0) {
		t.Errorf("%s: required differs", where)
	}
	if m.kind == kindRef {
		if want := map[bool]string{true: "xsd:IDREFS", false: "xsd:IDREF"}[m.list]; p.Type != want || p.Max != "" {
			t.Errorf("%s: %s %s, want %s", where, p.Type, p.Max, want)
		}
		return
	}
	if (p.Max == "unbounded") != m.list || p.Max != "" && p.Max != "unbounded" {
		t.Errorf("%s: occurrence differs", where)
	}
	if m.kind == kindObject {
		if m.base != p.Type || types[p.Type] == nil {
			t.Errorf("%s: the type is %s, want %s", where, m.base, p.Type)
		}
		return
	}
	simple := map[string][]kind{"xsd:string": {kindString}, "xsd:boolean": {kindBoolean}, "xsd:integer": {kindInteger}, "xsd:double": {kindNumber},
		"xsd:float": {kindNumber}, "xsd:date": {kindDate}, "xsd:dateTime": {kindDateTime}, "xsd:anyURI": {kindURI}, "xsd:language": {kindLanguage},
		"DateTimeWithZone": {kindSecond}, "TimeWithZone": {kindTime}, "HtmlColorString": {kindColor}, "FractionalNumber": {kindFraction}, "ShortString": {kindShort}}
	if kinds, ok := simple[p.Type]; ok != slices.Contains(kinds, m.kind) || !ok && m.kind != kindEnum {
		t.Errorf("%s: kind %d for %s", where, m.kind, p.Type)
	}
}
