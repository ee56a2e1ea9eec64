package election

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sallyport/internal/testtool"
)

// classes maps the standard's classes that have a type here to that type.
var classes = map[string]any{
	"BallotDefinition": Definition{}, "Election": Election{}, "ReportingUnit": Unit{}, "PartyRegistration": PartyRegistration{},
	"Party": Party{}, "Coalition": Party{}, "Person": Person{}, "Office": Office{}, "Term": Term{}, "OfficeGroup": OfficeGroup{},
	"Candidate": Candidate{}, "Header": Header{}, "ExternalIdentifier": ExternalID{}, "InternationalizedText": Text{},
	"LanguageString": LanguageString{}, "AnnotatedString": AnnotatedString{}, "AnnotatedUri": AnnotatedURI{},
	"ContactInformation": ContactInformation{}, "LatLng": LatLng{}, "Schedule": Schedule{}, "Hours": Hours{},
	"ElectionAdministration": ElectionAdministration{}, "SpatialDimension": SpatialDimension{}, "SpatialExtent": SpatialExtent{},
	"BallotStyle": Style{}, "OrderedContest": OrderedContest{}, "OrderedHeader": OrderedHeader{}, "BallotFormat": BallotFormat{}, "Shape": Shape{},
	"CandidateContest": CandidateContest{}, "BallotMeasureContest": BallotMeasureContest{}, "RetentionContest": RetentionContest{},
	"PartyContest": PartyContest{}, "StraightPartyContest": StraightPartyContest{}, "PartyPreferenceContest": PartyPreferenceContest{},
	"ActivationContest": ActivationContest{}, "CandidateOption": CandidateOption{}, "BallotMeasureOption": BallotMeasureOption{},
	"PartyOption": PartyOption{}, "ActivationOption": ActivationOption{},
}

// kept are the classes whose objects are kept as they stand.
var kept = []string{"BoundedObject", "FiducialMark", "OptionPosition", "PhysicalContest", "PhysicalContestOption", "WriteInPosition", "mCDFArea"}

// Every member of the standard has its field: nothing is lost when a document
// is read and written.
func TestTheTypesHaveEveryMemberOfTheStandard(t *testing.T) {
	table, err := os.ReadFile("../cdf/bd.classes")
	if err != nil {
		t.Fatal(err)
	}
	var class string
	seen := 0
	for _, line := range strings.Split(string(table), "\n") {
		f := strings.Fields(line)
		switch {
		case len(f) == 0 || f[0] == "#" || strings.HasPrefix(f[0], "#"):
		case f[0] == "class" || f[0] == "enum":
			class = ""
			if f[0] == "class" && !slices.Contains(kept, f[1]) {
				class = f[1]
				seen++
			}
			if _, ok := classes[class]; class != "" && !ok {
				t.Errorf("the class %s has no type", class)
				class = ""
			}
		case class != "":
			if !slices.Contains(members(reflect.TypeOf(classes[class])), f[0]) {
				t.Errorf("%s has no member %s", class, f[0])
			}
		}
	}
	if seen != len(classes) {
		t.Errorf("%d classes in the table, %d types", seen, len(classes))
	}
}

func members(t reflect.Type) (out []string) {
	for i := range t.NumField() {
		f := t.Field(i)
		if f.Anonymous {
			out = append(out, members(f.Type)...)
			continue
		}
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "" {
			name = f.Name
		}
		out = append(out, name)
	}
	return out
}

// The samples of NIST say the same after they were read and written.
func TestSamplesSurvive(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(testtool.Shared(t, "nist", "1500-20", "samples"), "*.json"))
	if err != nil || len(files) < 5 {
		t.Fatal(files, err)
	}
	for _, f := range files {
		t.Run(filepath.Base(f), func(t *testing.T) {
			data, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			d, err := Read(data)
			if err != nil {
				t.Fatal(err)
			}
			again, err := d.JSON()
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(generic(t, data), generic(t, again)); diff != "" {
				t.Error(diff)
			}
			copied, err := d.Clone()
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(d, copied); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func generic(t *testing.T, data []byte) (v any) {
	t.Helper()
	if err := json.Unmarshal(data, &v); err != nil {
		t.Fatal(err)
	}
	return v
}
