package define_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base32"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"sallyport/internal/ems/define"
	"sallyport/internal/ems/election"
)

type object = map[string]any

// reference is a second implementation of FORMAT.md, section 6, written from
// its steps on a document that is nothing but JSON.
type reference struct {
	doc                                 object
	units, parties, candidates, headers map[string]bool
}

func referenceHash(t testing.TB, v *election.Valid) string {
	t.Helper()
	data, err := v.Definition().JSON()
	if err != nil {
		t.Fatal(err)
	}
	r := &reference{units: map[string]bool{}, parties: map[string]bool{}, candidates: map[string]bool{}, headers: map[string]bool{}}
	if err := json.Unmarshal(data, &r.doc); err != nil {
		t.Fatal(err)
	}
	r.reduce()
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	if err := e.Encode(r.doc); err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(append([]byte("sallyport ballot v1\n"), bytes.TrimSuffix(out.Bytes(), []byte("\n"))...))
	return fmt.Sprintf("%x", sum)
}

func (r *reference) reduce() {
	e := list(r.doc, "Election")[0]
	for _, c := range list(e, "Contest") { // step 2
		drop(c, "HasRotation", "SequenceOrder", "TotalSubUnits", "ExternalIdentifier", "InfoUri", "OfficeIds", "OfficeId")
		sortStrings(c, "ControlledContestIds")
		sortStrings(c, "PrimaryPartyIds")
		r.name(r.units, c["ElectionDistrictId"])
		r.name(r.candidates, c["CandidateId"])
		r.name(r.parties, c["PrimaryPartyIds"])
		for _, o := range list(c, "ContestOption") {
			drop(o, "SequenceOrder", "ExternalIdentifier")
			r.name(r.candidates, o["CandidateIds"])
			r.name(r.parties, o["EndorsementPartyIds"])
			r.name(r.parties, o["PartyIds"])
		}
	}
	for _, s := range list(e, "BallotStyle") { // step 3
		drop(s, "ImageUri")
		sortStrings(s, "GpUnitIds")
		sortStrings(s, "PartyIds")
		r.name(r.units, s["GpUnitIds"])
		r.name(r.parties, s["PartyIds"])
		r.content(e, s)
	}
	for _, p := range list(r.doc, "Party") {
		r.name(r.parties, p["PartyIds"])
	}
	for _, c := range list(e, "Candidate") {
		if r.candidates[c["@id"].(string)] {
			r.name(r.parties, c["PartyId"])
		}
	}
	filter(e, "Candidate", r.candidates, "BallotName", "ReadName", "PartyId", "IsIncumbent", "IsTopTicket", "CampaignSlogan") // step 4
	filter(r.doc, "GpUnit", r.units, "Type", "OtherType", "Name", "Number")
	filter(r.doc, "Party", r.parties, "Name", "Abbreviation", "Slogan", "PartyIds")
	filter(r.doc, "Header", r.headers, "Name", "HeaderedContent")
	for _, p := range list(r.doc, "Party") {
		sortStrings(p, "PartyIds")
	}
	drop(e, "ContactInformation") // step 5
	e["ElectionScopeId"] = ""
	drop(r.doc, "TestType", "Notes", "Person", "Office", "OfficeGroup", "ExternalIdentifier")
	for _, name := range []string{"GeneratedDate", "Issuer", "IssuerAbbreviation", "VendorApplicationId"} {
		r.doc[name] = ""
	}
	r.doc["SequenceStart"], r.doc["SequenceEnd"] = 0, 0
	texts(r.doc) // step 6
	for _, name := range []string{"GpUnit", "Party", "Header", "BallotFormat", "Shape"} {
		sortObjects(r.doc, name, "@id")
	}
	sortObjects(e, "Candidate", "@id")
	sortObjects(e, "Contest", "@id")
	sortObjects(e, "ExternalIdentifier", "Type", "Value")
	slices.SortFunc(e["BallotStyle"].([]any), func(a, b any) int { return strings.Compare(code(a), code(b)) })
}

func (r *reference) content(e, in object) {
	for _, item := range list(in, "OrderedContent") {
		if item["HeaderId"] != nil {
			r.name(r.headers, item["HeaderId"])
			r.content(e, item)
			continue
		}
		if item["OrderedContestOptionIds"] == nil {
			for _, c := range list(e, "Contest") {
				if c["@id"] == item["ContestId"] {
					var ids []any
					for _, o := range list(c, "ContestOption") {
						ids = append(ids, o["@id"])
					}
					item["OrderedContestOptionIds"] = ids
				}
			}
		}
	}
}

func (r *reference) name(set map[string]bool, ids any) {
	switch ids := ids.(type) {
	case string:
		set[ids] = true
	case []any:
		for _, id := range ids {
			set[id.(string)] = true
		}
	}
}

func code(s any) string { return list(s.(object), "ExternalIdentifier")[0]["Value"].(string) }

func list(o object, name string) (out []object) {
	all, _ := o[name].([]any)
	for _, x := range all {
		out = append(out, x.(object))
	}
	return out
}

func drop(o object, names ...string) {
	for _, n := range names {
		delete(o, n)
	}
}

func filter(o object, name string, named map[string]bool, keep ...string) {
	var out []any
	for _, x := range list(o, name) {
		if named[x["@id"].(string)] {
			maps.DeleteFunc(x, func(k string, _ any) bool { return k != "@id" && k != "@type" && !slices.Contains(keep, k) })
			out = append(out, x)
		}
	}
	delete(o, name)
	if len(out) > 0 {
		o[name] = out
	}
}

func sortStrings(o object, name string) {
	if l, ok := o[name].([]any); ok {
		slices.SortFunc(l, func(a, b any) int { return strings.Compare(a.(string), b.(string)) })
	}
}

func sortObjects(o object, name string, by ...string) {
	l, _ := o[name].([]any)
	slices.SortFunc(l, func(a, b any) int {
		for _, m := range by {
			if c := strings.Compare(a.(object)[m].(string), b.(object)[m].(string)); c != 0 {
				return c
			}
		}
		return 0
	})
}

func texts(x any) {
	switch x := x.(type) {
	case []any:
		for _, y := range x {
			texts(y)
		}
	case object:
		if x["@type"] == "BallotDefinition.InternationalizedText" {
			delete(x, "Label")
			sortObjects(x, "Text", "Language")
		}
		for _, y := range x {
			texts(y)
		}
	}
}

func hash(t testing.TB, v *election.Valid) define.Hash {
	t.Helper()
	h, err := define.BallotHash(v)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// The values are kept: a change of the form is a new version of it.
func TestBallotHashesAreThoseOfTheFormat(t *testing.T) {
	for name, want := range map[string]string{general: "4YUUR-ZEFRZ", primary: "DUEOU-JYLCZ"} {
		v := read(t, sample(t, name))
		h := hash(t, v)
		if second := referenceHash(t, v); h.String() != second {
			t.Errorf("%s: %s, a second implementation has %s", name, h, second)
		}
		if h.Code() != want {
			t.Errorf("%s: code %s, want %s", name, h.Code(), want)
		}
		if s := base32.StdEncoding.EncodeToString(h[:])[:10]; h.Code() != s[:5]+"-"+s[5:] {
			t.Errorf("%s is the code of %s", h.Code(), h)
		}
	}
	for _, kind := range []string{closedPrimary, generalElection} {
		v := read(t, county(kind).set())
		if h, second := hash(t, v).String(), referenceHash(t, v); h != second {
			t.Errorf("%s: %s, a second implementation has %s", kind, h, second)
		}
	}
}

// What no voter sees and nobody counts by leaves the hash as it is.
func TestWhatDoesNotMatterDoesNotChangeTheHash(t *testing.T) {
	v := read(t, sample(t, general))
	want := hash(t, v)
	for name, change := range map[string]func(d *election.Definition){
		"date of the document": func(d *election.Definition) {
			d.GeneratedDate = "2027-01-01T00:00:00Z"
			d.Issuer = "Another"
			d.Notes = "note"
		},
		"order of units":      func(d *election.Definition) { slices.Reverse(d.Units) },
		"order of parties":    func(d *election.Definition) { slices.Reverse(d.Parties) },
		"order of contests":   func(d *election.Definition) { slices.Reverse(d.Elections[0].Contests) },
		"order of candidates": func(d *election.Definition) { slices.Reverse(d.Elections[0].Candidates) },
		"order of styles":     func(d *election.Definition) { slices.Reverse(d.Elections[0].Styles) },
		"order of languages":  func(d *election.Definition) { slices.Reverse(d.Elections[0].Contests[1].Base().BallotTitle.Text[1:]) },
		"voters":              func(d *election.Definition) { *d.Units[7].VotersRegistered = 1 },
		"address":             func(d *election.Definition) { d.Units[1].Contact = &election.ContactInformation{Name: "x"} },
		"a drop box": func(d *election.Definition) {
			d.Units[1].Composing = append(d.Units[1].Composing, "box")
			d.Units = append(d.Units, election.Unit{ID: "box", Type: "drop-box"})
		},
		"an office": func(d *election.Definition) { d.Offices[0].Name = election.English("Another") },
		"the order, written out": func(d *election.Definition) {
			s := d.Elections[0].Styles[0].Content[0].(*election.OrderedContest)
			s.Options = nil
		},
	} {
		d, err := v.Definition().Clone()
		if err != nil {
			t.Fatal(err)
		}
		change(d)
		if got := hash(t, valid(t, d)); got != want {
			t.Errorf("%s changes the hash", name)
		}
	}
}

// What a voter sees or a tabulator counts by changes the hash of the whole,
// and of the ballot styles on which it stands, and of no other.
func TestWhatMattersChangesTheHash(t *testing.T) {
	v := read(t, sample(t, general))
	styles := func(v *election.Valid) map[string]define.Hash {
		list, err := define.StyleHashes(v)
		if err != nil {
			t.Fatal(err)
		}
		out := map[string]define.Hash{}
		for _, s := range list {
			out[s.Style] = s.Hash
		}
		return out
	}
	before := styles(v)
	if len(before) != 5 {
		t.Fatal(before)
	}
	for edit, want := range map[string]string{
		"contest|set|mayor|title=Mayor":                        "1 2 3",
		"contest|set|measure-a|threshold=2/3":                  "1 4",
		"contest|set|measure-a|text=Another question":          "1 4",
		"contest|set|house-2-seat|votes_allowed=2":             "4 5",
		"candidate|set|candidate-5|name=Candidate 50":          "1 2 3",
		"candidate|set|candidate-15|party=oak":                 "1 4",
		"translation|set|measure-a-yes|text|es|Sí, de acuerdo": "1 4",
		"party|set|oak|name=Ash Party":                         "1 2 3 4 5",
		"contest|order|school-board|option-candidate-15":       "",
		"contest|set|straight-party|ruleset=inclusive":         "1 2 3 4 5",
		"unit|set|school|name=Another":                         "1 4",
		"election|set|date=2026-11-02":                         "1 2 3 4 5",
		"election|set|test=yes":                                "1 2 3 4 5",
	} {
		d, err := define.Apply(v.Definition(), edits(t, edit)...)
		if err != nil {
			t.Fatal(err)
		}
		after := valid(t, d)
		var got []string
		for _, s := range []string{"1", "2", "3", "4", "5"} {
			if styles(after)[s] != before[s] {
				got = append(got, s)
			}
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s changes the styles %v, want %s", edit, got, want)
		}
		if (hash(t, after) != hash(t, v)) != (want != "") {
			t.Errorf("%s: the hash of the whole changed: %v", edit, want == "")
		}
	}
}
