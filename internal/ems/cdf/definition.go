package cdf

import (
	"bytes"
	"context"
	"fmt"
	"strconv"

	"github.com/go-json-experiment/json"

	"sallyport/internal/ems/model"
	"sallyport/internal/verdict"
)

// MaxDefinition is the most bytes of a ballot definition.
const MaxDefinition = 16 << 20

// text is an InternationalizedText.
type text struct {
	Text []struct {
		Content  string
		Language string
	}
}

// String returns the English text, or the first.
func (t text) String() string {
	for _, s := range t.Text {
		if s.Language == "en" || s.Language == "en-US" {
			return s.Content
		}
	}
	if len(t.Text) > 0 {
		return t.Text[0].Content
	}
	return ""
}

type externalID struct{ Type, Value string }

type bdReport struct {
	SequenceStart, SequenceEnd int64
	IsTest                     bool
	Election                   []bdElection
	GpUnit                     []bdUnit
}

type bdElection struct {
	Name               text
	StartDate          string
	ExternalIdentifier []externalID
	Contest            []bdContest
	Candidate          []struct {
		ID         string `json:"@id"`
		BallotName text
	}
	BallotStyle []bdStyle
}

type bdUnit struct {
	ID                 string `json:"@id"`
	Name               text
	ComposingGpUnitIds []string
}

type bdContest struct {
	Class         string `json:"@type"`
	ID            string `json:"@id"`
	Name          string
	BallotTitle   text
	VoteVariation string
	VotesAllowed  *int64
	ContestOption []struct {
		Class        string `json:"@type"`
		ID           string `json:"@id"`
		IsWriteIn    bool
		CandidateIds []string
		PartyIds     []string
		Selection    text
	}
}

type bdStyle struct {
	ExternalIdentifier []externalID
	GpUnitIds          []string
	OrderedContent     []bdContent
}

type bdContent struct {
	ContestID               string   `json:"ContestId"`
	OrderedContestOptionIDs []string `json:"OrderedContestOptionIds"`
	OrderedContent          []bdContent
}

// Definition reads a BallotDefinition document of one election, JSON or XML.
// Faults are findings: content-invalid, or over-limit.
func (r *Reader) Definition(file string, data []byte) (*model.Definition, error) {
	if len(data) > MaxDefinition {
		return nil, verdict.New(verdict.OverLimit, file, "a ballot definition may have %d MiB", MaxDefinition>>20)
	}
	doc, _, err := r.ReadDocument(context.Background(), file, bytes.NewReader(data), ReadOptions{Format: BD})
	if err != nil {
		return nil, err
	}
	var asJSON bytes.Buffer
	if err := doc.WriteJSON(&asJSON); err != nil {
		return nil, err
	}
	var rep bdReport
	if err := json.Unmarshal(asJSON.Bytes(), &rep); err != nil {
		return nil, fmt.Errorf("cannot use %q: %w", file, err)
	}
	d := definition{file: file, rep: &rep, contests: map[string]int{}, units: map[string]int{}, options: map[string]int{}, candidates: map[string]string{}}
	return d.build()
}

// definition turns a document whose shape was checked into the model.
type definition struct {
	file       string
	rep        *bdReport
	out        model.Definition
	contests   map[string]int // @id to number
	options    map[string]int // @id to the number of its contest
	units      map[string]int // @id to place in the document
	candidates map[string]string
	precincts  map[string]int // @id to number
}

func (d *definition) bad(pointer, rule, format string, args ...any) error {
	return broken(d.file, pointer, 0, rule, format, args...)
}

func (d *definition) build() (*model.Definition, error) {
	if d.rep.SequenceStart != 1 || d.rep.SequenceEnd != 1 {
		return nil, d.bad("/SequenceEnd", "definition-split", "the definition must be one document, not part of a sequence")
	}
	if len(d.rep.Election) != 1 {
		return nil, d.bad("/Election", "election-count", "the definition must hold exactly one election, found %d", len(d.rep.Election))
	}
	e := &d.rep.Election[0]
	d.out.Name, d.out.Date, d.out.Test = e.Name.String(), e.StartDate, d.rep.IsTest
	for i, id := range e.ExternalIdentifier {
		if id.Value == "" {
			return nil, d.bad(fmt.Sprintf("/Election/0/ExternalIdentifier/%d/Value", i), "id-empty", "an identifier must not be empty")
		}
		d.out.IDs = append(d.out.IDs, id.Value)
	}
	if len(d.out.IDs) == 0 {
		return nil, d.bad("/Election/0", "election-id", "the election must carry an ExternalIdentifier: cast vote records name it")
	}
	for _, c := range e.Candidate {
		d.candidates[c.ID] = c.BallotName.String()
	}
	if err := d.graph(); err != nil {
		return nil, err
	}
	for i := range e.Contest {
		if err := d.contest(&e.Contest[i], fmt.Sprintf("/Election/0/Contest/%d", i)); err != nil {
			return nil, err
		}
	}
	if len(d.out.Contests) == 0 {
		return nil, d.bad("/Election/0", "contest-none", "the election has no contest")
	}
	if err := d.styles(e.BallotStyle); err != nil {
		return nil, err
	}
	return &d.out, nil
}

// graph checks that the reporting units make one graph: one root, no cycles.
func (d *definition) graph() error {
	units := d.rep.GpUnit
	parents := make([]int, len(units))
	for i := range units {
		d.units[units[i].ID] = i
	}
	for i := range units {
		for _, child := range units[i].ComposingGpUnitIds {
			parents[d.units[child]]++
		}
	}
	var ready []int
	for i, n := range parents {
		if n == 0 {
			ready = append(ready, i)
		}
	}
	if len(ready) != 1 {
		return d.bad("/GpUnit", "unit-root", "exactly one reporting unit must stand above all others, found %d without one above", len(ready))
	}
	done := 0
	for len(ready) > 0 {
		i := ready[len(ready)-1]
		ready = ready[:len(ready)-1]
		done++
		for _, child := range units[i].ComposingGpUnitIds {
			n := d.units[child]
			if parents[n]--; parents[n] == 0 {
				ready = append(ready, n)
			}
		}
	}
	if done != len(units) {
		return d.bad("/GpUnit", "unit-cycle", "a reporting unit is composed of itself")
	}
	return nil
}

// contest takes over one contest, if it is one that can be tallied.
func (d *definition) contest(c *bdContest, at string) error {
	out := model.Contest{ID: c.ID, Name: c.Name, VotesAllowed: 1}
	if t := c.BallotTitle.String(); t != "" {
		out.Name = t
	}
	switch c.Class {
	case "BallotDefinition.CandidateContest":
		if *c.VotesAllowed < 1 || *c.VotesAllowed > model.MaxVotes {
			return d.bad(at+"/VotesAllowed", "votes-allowed", "must be between 1 and %d", model.MaxVotes)
		}
		out.VotesAllowed = int(*c.VotesAllowed)
	case "BallotDefinition.BallotMeasureContest", "BallotDefinition.RetentionContest", "BallotDefinition.PartyContest":
	default:
		return d.bad(at+"/@type", "contest-unsupported", "contests that control other contests cannot be tallied here")
	}
	switch c.VoteVariation {
	case "", "plurality", "majority", "super-majority", "n-of-m":
	case "cumulative":
		out.Cumulative = true
	default:
		return d.bad(at+"/VoteVariation", "variation-unsupported", "this way of voting cannot be tallied here")
	}
	if len(c.ContestOption) == 0 {
		return d.bad(at, "option-none", "the contest has no option")
	}
	writeIns := 0
	for j, o := range c.ContestOption {
		name := o.Selection.String()
		for _, id := range o.CandidateIds {
			if name != "" {
				name += " / "
			}
			name += d.candidates[id]
		}
		switch {
		case o.IsWriteIn && len(o.CandidateIds) == 0:
			writeIns++
			if name == "" {
				name = fmt.Sprintf("Write-in %d", writeIns)
			}
		case name == "" && len(o.PartyIds) == 0:
			return d.bad(at+"/ContestOption/"+strconv.Itoa(j), "option-empty", "the option is neither a candidate, a text, a party nor a write-in")
		case name == "":
			name = o.ID
		}
		d.options[o.ID] = len(d.out.Contests)
		out.Options = append(out.Options, model.Option{ID: o.ID, Name: name, WriteIn: o.IsWriteIn})
	}
	if writeIns == 1 {
		for j := range out.Options {
			if out.Options[j].Name == "Write-in 1" {
				out.Options[j].Name = "Write-in"
			}
		}
	}
	d.contests[c.ID] = len(d.out.Contests)
	d.out.Contests = append(d.out.Contests, out)
	return nil
}

func (d *definition) styles(styles []bdStyle) error {
	if len(styles) == 0 {
		return d.bad("/Election/0", "style-none", "the election has no ballot style")
	}
	d.precincts = map[string]int{}
	used := map[string]bool{}
	for i := range styles {
		at := fmt.Sprintf("/Election/0/BallotStyle/%d", i)
		s := &styles[i]
		var out model.Style
		for _, id := range s.ExternalIdentifier {
			if id.Value == "" || used[id.Value] {
				return d.bad(at+"/ExternalIdentifier", "style-id", "the identifier of a ballot style must not be empty and must stand for one style only")
			}
			used[id.Value] = true
			out.IDs = append(out.IDs, id.Value)
		}
		if len(out.IDs) == 0 {
			return d.bad(at, "style-id", "the ballot style must carry an ExternalIdentifier: cast vote records name it")
		}
		for _, id := range s.GpUnitIds {
			out.Precincts = append(out.Precincts, d.precinct(id))
		}
		seen := map[int]bool{}
		if err := d.content(&out, seen, s.OrderedContent, at+"/OrderedContent"); err != nil {
			return err
		}
		if len(out.Contests) == 0 {
			return d.bad(at, "style-empty", "the ballot style has no contest")
		}
		d.out.Styles = append(d.out.Styles, out)
	}
	return nil
}

// precinct numbers the reporting units in which ballots are cast.
func (d *definition) precinct(id string) int {
	n, ok := d.precincts[id]
	if !ok {
		n = len(d.out.Precincts)
		d.precincts[id] = n
		name := d.rep.GpUnit[d.units[id]].Name.String()
		if name == "" {
			name = id
		}
		d.out.Precincts = append(d.out.Precincts, model.Precinct{ID: id, Name: name})
	}
	return n
}

// content collects the contests of a ballot style, below its headers too.
func (d *definition) content(out *model.Style, seen map[int]bool, list []bdContent, at string) error {
	for i := range list {
		here := at + "/" + strconv.Itoa(i)
		if list[i].ContestID == "" {
			if err := d.content(out, seen, list[i].OrderedContent, here+"/OrderedContent"); err != nil {
				return err
			}
			continue
		}
		n := d.contests[list[i].ContestID]
		if seen[n] {
			return d.bad(here+"/ContestId", "style-contest-repeated", "the contest stands on this ballot style already")
		}
		seen[n] = true
		out.Contests = append(out.Contests, n)
		for j, id := range list[i].OrderedContestOptionIDs {
			if d.options[id] != n {
				return d.bad(fmt.Sprintf("%s/OrderedContestOptionIds/%d", here, j), "style-option", "this is an option of another contest")
			}
		}
	}
	return nil
}
