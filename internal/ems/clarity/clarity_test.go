package clarity

import (
	"bytes"
	"encoding/xml"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sallyport/internal/testtool"
	"sallyport/internal/verdict"
)

// plain is the file as encoding/xml sees it without our reader.
type plain struct {
	Turnout struct {
		Total int    `xml:"totalVoters,attr"`
		Cast  int    `xml:"ballotsCast,attr"`
		Units []unit `xml:"Counties>County"`
	} `xml:"ElectionVoterTurnout"`
	Contest []struct {
		Choice []struct {
			Text  string `xml:"text,attr"`
			Total int    `xml:"totalVotes,attr"`
			Type  []struct {
				Name  string `xml:"name,attr"`
				Votes int    `xml:"votes,attr"`
				Units []unit `xml:"County"`
			} `xml:"VoteType"`
		}
	}
}

type unit struct {
	Name       string `xml:"name,attr"`
	Votes      int    `xml:"votes,attr"`
	Registered int    `xml:"totalVoters,attr"`
	Cast       int    `xml:"ballotsCast,attr"`
}

func sample(t testing.TB) []byte {
	t.Helper()
	raw, err := os.ReadFile(testtool.Shared(t, "clarity", "county.xml"))
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// The sample of a state: each number is that of the file, and the one sum that
// the published file itself gets wrong is named.
func TestStateByCounty(t *testing.T) {
	raw := sample(t)
	var want plain
	if err := xml.Unmarshal(raw, &want); err != nil {
		t.Fatal(err)
	}
	got, problems, err := ReadWithProblems("county.xml", bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	if got.Name != "2014 General Election" || got.Date != "11/4/2014" || got.Region != "AR" || got.Level != "County" || got.Timestamp != "11/13/2014 2:58:41 PM CST" {
		t.Errorf("%q %q %q %q %q", got.Name, got.Date, got.Region, got.Level, got.Timestamp)
	}
	if got.Turnout != (Turnout{1690577, 850615}) || len(got.Units) != 75 || len(got.Contests) != 1 {
		t.Fatalf("%+v, %d units, %d contests", got.Turnout, len(got.Units), len(got.Contests))
	}
	for i, u := range want.Turnout.Units {
		if got.Units[i] != (Unit{u.Name, Turnout{u.Registered, u.Cast}}) {
			t.Errorf("%+v, want %+v", got.Units[i], u)
		}
	}
	c := got.Contests[0]
	if c.Key != "100" || c.Text != "U.S. Senate" || c.VoteFor != 1 || c.IsQuestion || c.Choices[0].Party != "REP" || c.Choices[0].Total != 477734 {
		t.Errorf("%q %q %d %v", c.Key, c.Text, c.VoteFor, c.IsQuestion)
	}
	sum := 0
	for i, v := range want.Contest[0].Choice[0].Type {
		g := c.Choices[0].VoteTypes[i]
		sum += g.Votes
		if g.Name != v.Name || g.Votes != v.Votes || len(g.Counts) != len(v.Units) {
			t.Errorf("%s: %d votes, %d units", g.Name, g.Votes, len(g.Counts))
		}
		for j, u := range v.Units {
			if got.Units[g.Counts[j].Unit].Name != u.Name || g.Counts[j].Votes != u.Votes {
				t.Errorf("%s, %s: %+v", g.Name, u.Name, g.Counts[j])
			}
		}
	}
	if len(problems) != 1 || problems[0].Rule != RuleChoiceSum || problems[0].Path != "/ElectionResult/Contest[100]/Choice[001]" || sum != 462123 {
		t.Errorf("%d, %v", sum, problems)
	}
	if r, err := Read("county.xml", bytes.NewReader(raw)); r != nil || !strings.Contains(err.Error(), "477734 votes in total, the vote types have 462123") {
		t.Errorf("the file that does not add up was read: %v", err)
	}
}

// With the total that its vote types have, the sample reads without fault.
func TestStateThatAddsUp(t *testing.T) {
	raw := bytes.Replace(sample(t), []byte(`totalVotes="477734"`), []byte(`totalVotes="462123"`), 1)
	r, err := Read("county.xml", bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := r.Contests[0].Overvotes(); ok {
		t.Error("overvotes that the file does not have")
	}
}

const precincts = `<?xml version="1.0"?>
<!-- a county -->
<ElectionResult>
 <Timestamp>5/20/2014 8:19:21 PM EDT</Timestamp><ElectionName>Primary</ElectionName><ElectionDate>5/20/2014</ElectionDate><Region>Somewhere</Region>
 <VoterTurnout totalVoters="90" ballotsCast="12" voterTurnout="13.33"><Precincts>
  <Precinct name="A" totalVoters="0" ballotsCast="7" voterTurnout="0.00" percentReporting="4" /><Precinct name="B &amp; C" totalVoters="0" ballotsCast="5" />
 </Precincts></VoterTurnout>
 <Contest key="4" text="Council" voteFor="2" isQuestion="true" precinctsReporting="2" precinctsReported="2">
  <VoteType name="Undervotes" votes="3"><Precinct name="A" votes="1"/><Precinct name="B &amp; C" votes="2"/></VoteType>
  <VoteType name="Overvotes" votes="2"><Precinct name="A" votes="2"/></VoteType>
  <Choice key="1" text="One" totalVotes="9"><VoteType name="Election" votes="6"><Precinct name="B &amp; C" votes="1"/><Precinct name="A" votes="5"/></VoteType>
   <VoteType name="Absentee" votes="3"/></Choice>
  <Choice key="2" text="Two" party="X" totalVotes="4"></Choice>
 </Contest>
</ElectionResult>
`

func TestCountyByPrecinct(t *testing.T) {
	got, err := Read("detail.xml", strings.NewReader("\ufeff"+precincts))
	want := &Report{
		Timestamp: "5/20/2014 8:19:21 PM EDT", Name: "Primary", Date: "5/20/2014", Region: "Somewhere", Level: "Precinct",
		Turnout: Turnout{90, 12}, Units: []Unit{{"A", Turnout{0, 7}}, {"B & C", Turnout{0, 5}}},
		Contests: []Contest{{
			Key: "4", Text: "Council", VoteFor: 2, IsQuestion: true,
			Other: []VoteType{{"Undervotes", 3, []Count{{0, 1}, {1, 2}}}, {"Overvotes", 2, []Count{{0, 2}}}},
			Choices: []Choice{
				{Key: "1", Text: "One", Total: 9, VoteTypes: []VoteType{{"Election", 6, []Count{{1, 1}, {0, 5}}}, {"Absentee", 3, nil}}},
				{Key: "2", Text: "Two", Party: "X", Total: 4},
			},
		}},
	}
	if d := cmp.Diff(want, got); err != nil || d != "" {
		t.Fatal(err, d)
	}
	over, a := got.Contests[0].Overvotes()
	under, b := got.Contests[0].Undervotes()
	if over != 2 || under != 3 || !a || !b {
		t.Error(over, under, a, b)
	}
}

func TestFilesThatAreRefused(t *testing.T) {
	for name, c := range map[string]struct {
		old, new string
		rule     Rule
		path     string
	}{
		"choice sum":           {`totalVotes="9"`, `totalVotes="10"`, RuleChoiceSum, "/ElectionResult/Contest[4]/Choice[1]"},
		"vote type sum":        {`votes="6"`, `votes="7"`, RuleVoteType, "/ElectionResult/Contest[4]/Choice[1]/VoteType[Election]"},
		"overvote sum":         {`name="Overvotes" votes="2"`, `name="Overvotes" votes="1"`, RuleVoteType, "/ElectionResult/Contest[4]/VoteType[Overvotes]"},
		"ballots":              {`ballotsCast="12"`, `ballotsCast="13"`, RuleTurnout, "/ElectionResult/VoterTurnout"},
		"registered":           {`name="A" totalVoters="0"`, `name="A" totalVoters="89"`, RuleTurnout, "/ElectionResult/VoterTurnout"},
		"negative":             {`votes="5"`, `votes="-5"`, RuleNumber, ""},
		"fraction":             {`votes="5"`, `votes="5.0"`, RuleNumber, ""},
		"plus":                 {`votes="5"`, `votes="+5"`, RuleNumber, ""},
		"separator":            {`totalVotes="9"`, `totalVotes="1,009"`, RuleNumber, ""},
		"huge":                 {`votes="5"`, `votes="99999999999999999999"`, RuleNumber, ""},
		"no count":             {`votes="5"`, ``, RuleMissing, ""},
		"unknown unit":         {`<Precinct name="A" votes="5"/>`, `<Precinct name="Z" votes="5"/>`, RuleUnit, ""},
		"other level":          {`<Precinct name="A" votes="5"/>`, `<County name="A" votes="5"/>`, RuleParticular, ""},
		"unit twice":           {`<Precinct name="A" votes="5"/>`, `<Precinct name="B &amp; C" votes="5"/>`, RuleUnique, ""},
		"choice twice":         {`key="2"`, `key="1"`, RuleUnique, ""},
		"vote type twice":      {`name="Absentee"`, `name="Election"`, RuleUnique, ""},
		"unknown attribute":    {`votes="5"`, `votes="5" weight="2"`, RuleElement, ""},
		"attribute twice":      {`votes="5"`, `votes="5" votes="6"`, RuleXML, ""},
		"unknown element":      {`<Choice key="2"`, `<Note/><Choice key="2"`, RuleElement, ""},
		"namespace":            {`<ElectionResult>`, `<ElectionResult xmlns="x">`, RuleElement, ""},
		"text":                 {`<Choice key="2"`, `x<Choice key="2"`, RuleElement, ""},
		"document type":        {`<ElectionResult>`, `<!DOCTYPE x [<!ENTITY a "b">]><ElectionResult>`, RuleXML, ""},
		"instruction":          {`<Choice key="2"`, `<?x y?><Choice key="2"`, RuleXML, ""},
		"entity":               {`text="One"`, `text="&One;"`, RuleXML, ""},
		"bad UTF-8":            {`text="One"`, "text=\"\xff\"", RuleXML, ""},
		"other encoding":       {`<?xml version="1.0"?>`, `<?xml version="1.0" encoding="latin1"?>`, RuleXML, ""},
		"wrong end":            {`</Choice>`, `</Contest>`, RuleXML, ""},
		"cut off":              {"</Contest>\n</ElectionResult>\n", "</Contest>", RuleXML, ""},
		"second root":          {"</ElectionResult>\n", "</ElectionResult><ElectionResult/>", RuleXML, ""},
		"invisible":            {`text="One"`, "text=\"O\u200bne\"", RuleText, ""},
		"empty name":           {`text="One"`, `text=""`, RuleText, ""},
		"name twice":           {`<Region>`, `<ElectionName>x</ElectionName><Region>`, RuleMissing, ""},
		"no name":              {`<ElectionName>Primary</ElectionName>`, ``, RuleMissing, ""},
		"neither true nor not": {`isQuestion="true"`, `isQuestion="1"`, RuleNumber, ""},
		"long tag":             {`text="One"`, `text="` + strings.Repeat("x", maxToken+8192) + `"`, RuleLimit, ""},
		"long name":            {`text="One"`, `text="` + strings.Repeat("x", maxText+1) + `"`, RuleLimit, ""},
	} {
		t.Run(name, func(t *testing.T) {
			doc := strings.Replace(precincts, c.old, c.new, 1)
			if doc == precincts {
				t.Fatal("the case changes nothing")
			}
			r, err := Read("detail.xml", strings.NewReader(doc))
			var p *Problem
			if !errors.As(err, &p) || p.Rule != c.rule || r != nil || c.path != "" && p.Path != c.path {
				t.Fatalf("%v, want the rule %s at %s", err, c.rule, c.path)
			}
			if f, ok := verdict.Find(err); !ok || (f.Reason == verdict.OverLimit) != (c.rule == RuleLimit) {
				t.Errorf("finding %v", f)
			}
		})
	}
	for _, doc := range []string{"", "x", "<ElectionResult/>", "<?xml version=\"1.0\"?>"} {
		if _, err := Read("d", strings.NewReader(doc)); err == nil {
			t.Errorf("%q was read", doc)
		}
	}
	failed := errors.New("disk")
	if _, err := Read("d", failing{failed}); !errors.Is(err, failed) {
		t.Error(err)
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// Whatever the bytes are, a file is refused with a problem, or all its sums
// hold except those that are named.
func FuzzRead(f *testing.F) {
	f.Add([]byte(precincts))
	f.Add([]byte(strings.Replace(precincts, `votes="5"`, `votes="4"`, 1)))
	f.Add([]byte(`<ElectionResult><ElectionName>a</ElectionName><ElectionDate>b</ElectionDate><ElectionVoterTurnout totalVoters="1" ballotsCast="1"><Counties><County name="x" totalVoters="1" ballotsCast="1"/></Counties></ElectionVoterTurnout><Contest key="1" text="t" voteFor="1"><ParticipatingCounties><County name="x"/></ParticipatingCounties><Choice key="1" text="c" totalVotes="0"/></Contest></ElectionResult>`))
	f.Add([]byte("<ElectionResult><Timestamp>"))
	f.Fuzz(func(t *testing.T, doc []byte) {
		r, problems, err := ReadWithProblems("d.xml", bytes.NewReader(doc))
		var p *Problem
		if err != nil {
			if !errors.As(err, &p) || p.Rule == "" {
				t.Fatalf("%v is no problem", err)
			}
			return
		}
		wrong := 0
		for _, c := range r.Contests {
			wrong += wrongTypes(c.Other, len(r.Units), t)
			for _, ch := range c.Choices {
				wrong += wrongTypes(ch.VoteTypes, len(r.Units), t)
				sum := 0
				for _, v := range ch.VoteTypes {
					sum += v.Votes
				}
				if len(ch.VoteTypes) > 0 && sum != ch.Total {
					wrong++
				}
			}
		}
		for _, p := range problems {
			if p.Rule != RuleTurnout {
				wrong--
			}
		}
		if wrong != 0 {
			t.Errorf("%d sums are wrong and not named: %v", wrong, problems)
		}
	})
}

func wrongTypes(all []VoteType, units int, t *testing.T) int {
	wrong := 0
	for _, v := range all {
		sum := 0
		for _, c := range v.Counts {
			sum += c.Votes
			if c.Unit < 0 || c.Unit >= units {
				t.Errorf("unit %d of %d", c.Unit, units)
			}
		}
		if len(v.Counts) > 0 && sum != v.Votes {
			wrong++
		}
	}
	return wrong
}

// Each rule is in FORMAT.md.
func TestRulesAreDocumented(t *testing.T) {
	format, err := os.ReadFile("FORMAT.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range []Rule{RuleXML, RuleLimit, RuleElement, RuleMissing, RuleNumber, RuleText, RuleUnique, RuleUnit, RuleTurnout, RuleChoiceSum, RuleVoteType, RuleParticular} {
		if !bytes.Contains(format, []byte("`"+string(r)+"`")) {
			t.Errorf("%s is not in FORMAT.md", r)
		}
	}
}
