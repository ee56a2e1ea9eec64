package testelection

import (
	"bufio"
	"encoding/hex"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// want is what one voter did in one contest: the options marked, and how the
// scanner and the election workers left it.
type want struct {
	contest contest
	marked  []option
	// pending: written-in names still wait for a decision.
	pending bool
	// stray: the first reading took a smudge for a mark; a second snapshot
	// without it counts.
	stray *option
}

func (w *want) over() bool { return len(w.marked) > w.contest.allowed }

// decide makes up one voter's wishes in one contest.
func (g *generator) decide(c contest) want {
	w := want{contest: c}
	n := c.allowed
	switch roll := g.rng.IntN(100); {
	case roll < 7:
		n = 0
	case roll < 11:
		n = c.allowed + 1
	case roll < 11+12*(c.allowed-1):
		n = c.allowed - 1
	}
	left := slices.Clone(c.options)
	for len(w.marked) < n && len(left) > 0 {
		i := g.pick(left)
		w.marked = append(w.marked, left[i])
		left = slices.Delete(left, i, i+1)
	}
	slices.SortFunc(w.marked, func(a, b option) int {
		at := func(o option) int {
			return slices.IndexFunc(c.options, func(x option) bool { return x.id == o.id })
		}
		return at(a) - at(b)
	})
	if slices.ContainsFunc(w.marked, func(o option) bool { return o.writeIn }) {
		w.pending = g.rng.IntN(2) == 0
	}
	if !w.over() && len(left) > 0 && g.rng.IntN(40) == 0 {
		if o := left[g.pick(left)]; !o.writeIn {
			w.stray = &o
		}
	}
	return w
}

func (g *generator) pick(from []option) int {
	sum := 0
	for _, o := range from {
		sum += o.weight
	}
	roll := g.rng.IntN(sum)
	for i, o := range from {
		if roll -= o.weight; roll < 0 {
			return i
		}
	}
	return len(from) - 1
}

// account adds one voter's wishes to the expected result.
func (g *generator) account(precinct int, w *want) {
	for i := range g.results {
		r := &g.results[i]
		if r.ID != w.contest.id {
			continue
		}
		for _, n := range []*ExpectedCounts{&r.Total, r.Precincts[unitID(precinct)]} {
			n.Ballots++
			for _, o := range w.marked {
				if o.writeIn && w.pending {
					n.Unresolved++
				}
			}
			if w.over() {
				n.Overvotes += int64(w.contest.allowed)
				continue
			}
			n.Undervotes += int64(w.contest.allowed - len(w.marked))
			for _, o := range w.marked {
				n.Votes[o.id]++
				if o.writeIn {
					n.WriteIns++
				}
			}
		}
	}
}

// report writes the records of one precinct, sorted by identifier as
// VVSG 2.0, 10.2.2 asks for.
func (g *generator) report(w io.Writer, precinct, n int, indent bool) error {
	ids := make([]string, n)
	for i := range ids {
		ids[i] = g.uuid()
	}
	slices.Sort(ids)
	out := bufio.NewWriterSize(w, 1<<20)
	opts := []json.Options{json.Deterministic(true)}
	if indent {
		opts = append(opts, jsontext.WithIndent(" "))
	}
	enc := jsontext.NewEncoder(out, opts...)
	head := g.header(precinct)
	names := []string{"@type", "Version", "GeneratedDate", "ReportType", "ReportGeneratingDeviceIds", "ReportingDevice", "GpUnit", "Party", "Election"}
	err := enc.WriteToken(jsontext.BeginObject)
	for _, name := range names {
		err = first(err, enc.WriteToken(jsontext.String(name)), json.MarshalEncode(enc, head[name], opts...))
	}
	err = first(err, enc.WriteToken(jsontext.String("CVR")), enc.WriteToken(jsontext.BeginArray))
	for i, id := range ids {
		if err != nil {
			break
		}
		err = json.MarshalEncode(enc, g.record(precinct, id, i*2/n), opts...)
	}
	err = first(err, enc.WriteToken(jsontext.EndArray), enc.WriteToken(jsontext.EndObject), out.Flush())
	if err != nil {
		return fmt.Errorf("cannot write the test election: %w", err)
	}
	return nil
}

func first(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// uuid is a version 4 UUID of the seeded generator.
func (g *generator) uuid() string {
	var b [16]byte
	for i := range b {
		b[i] = byte(g.rng.UintN(256))
	}
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	h := hex.EncodeToString(b[:])
	return strings.Join([]string{h[:8], h[8:12], h[12:16], h[16:20], h[20:]}, "-")
}

func cvrType(class string) string { return "CVR." + class }

func (g *generator) header(precinct int) object {
	device := fmt.Sprintf("scanner-%d", precinct+1)
	var list, candidates []object
	for _, c := range contests() {
		if !slices.Contains(styleOf(precinct).contests, c.id) {
			continue
		}
		var options []object
		for _, o := range c.options {
			x := object{"@id": o.id}
			switch {
			case c.measure:
				x["@type"], x["Selection"] = cvrType("BallotMeasureSelection"), o.label
			case o.writeIn:
				x["@type"], x["IsWriteIn"] = cvrType("CandidateSelection"), true
			default:
				id := "candidate-" + o.id
				x["@type"], x["CandidateIds"] = cvrType("CandidateSelection"), []string{id}
				candidates = append(candidates, object{"@type": cvrType("Candidate"), "@id": id, "Name": o.label})
			}
			options = append(options, x)
		}
		x := object{"@id": c.id, "Name": c.title, "ContestSelection": options}
		if c.measure {
			x["@type"] = cvrType("BallotMeasureContest")
		} else {
			x["@type"], x["VotesAllowed"] = cvrType("CandidateContest"), c.allowed
		}
		list = append(list, x)
	}
	return object{
		"@type": cvrType("CastVoteRecordReport"), "Version": "1.0.0", "GeneratedDate": "2026-11-03T20:30:00Z",
		"ReportType":                []string{"originating-device-export"},
		"ReportGeneratingDeviceIds": []string{device},
		"ReportingDevice":           []object{{"@type": cvrType("ReportingDevice"), "@id": device, "SerialNumber": fmt.Sprintf("SN-%04d", precinct+1)}},
		"GpUnit": []object{{"@type": cvrType("GpUnit"), "@id": unitID(precinct), "Type": "precinct", "Name": unitName(precinct)},
			{"@type": cvrType("GpUnit"), "@id": "county-maple", "Type": "other", "OtherType": "county", "Name": "Maple County"}},
		"Party": []object{{"@type": cvrType("Party"), "@id": "party-oak", "Name": "Oak Party"}, {"@type": cvrType("Party"), "@id": "party-elm", "Name": "Elm Party"}},
		"Election": []object{{"@type": cvrType("Election"), "@id": "election", "Name": "Maple County General Election",
			"Code":            []object{{"@type": cvrType("Code"), "Type": "local-level", "Value": ID}},
			"ElectionScopeId": "county-maple", "Candidate": candidates, "Contest": list}},
	}
}

// record decides one ballot and writes it down.
func (g *generator) record(precinct int, id string, batch int) object {
	g.cast[precinct]++
	s := styleOf(precinct)
	blank := g.rng.IntN(25) == 0
	// Some scanners list every contest, some only those with marks.
	all := g.rng.IntN(2) == 0
	var wants []want
	second := false
	for _, cid := range s.contests {
		for _, c := range contests() {
			if c.id != cid {
				continue
			}
			w := g.decide(c)
			if blank {
				w = want{contest: c}
			}
			g.account(precinct, &w)
			second = second || w.stray != nil
			wants = append(wants, w)
		}
	}
	snaps := []object{snapshot(id, "original", wants, all, second)}
	current := id + "-original"
	if second {
		snaps = append(snaps, snapshot(id, "modified", wants, all, false))
		current = id + "-modified"
	}
	return object{"@type": cvrType("CVR"), "UniqueId": id, "ElectionId": "election", "BallotStyleId": s.id,
		"BallotStyleUnitId": unitID(precinct), "CreatingDeviceId": fmt.Sprintf("scanner-%d", precinct+1),
		"BatchId": fmt.Sprintf("batch-%d-%d", precinct+1, batch+1), "CurrentSnapshotId": current, "CVRSnapshot": snaps}
}

// snapshot writes one version of the marks; with strays, the first reading.
func snapshot(id, kind string, wants []want, all, strays bool) object {
	list := []object{}
	for i := range wants {
		w := wants[i]
		if strays && w.stray != nil {
			w.marked = append(slices.Clone(w.marked), *w.stray)
		}
		if len(w.marked) > 0 || all {
			list = append(list, contestMarks(&w, all))
		}
	}
	return object{"@type": cvrType("CVRSnapshot"), "@id": id + "-" + kind, "Type": kind, "CVRContest": list}
}

// contestMarks writes one contest. With counts, the scanner also states its own
// sums and already takes overvoted marks out of the count.
func contestMarks(w *want, counts bool) object {
	var list []object
	writeIns := 0
	for _, o := range w.marked {
		p := object{"@type": cvrType("SelectionPosition"), "HasIndication": "yes", "NumberVotes": 1}
		if counts {
			p["IsAllocable"] = "yes"
			if w.over() {
				p["IsAllocable"] = "no"
			}
		}
		if o.writeIn {
			writeIns++
			p["CVRWriteIn"] = object{"@type": cvrType("CVRWriteIn"), "Text": "written name"}
			if w.pending {
				p["IsAllocable"] = "unknown"
			}
		}
		list = append(list, object{"@type": cvrType("CVRContestSelection"), "ContestSelectionId": o.id, "SelectionPosition": []object{p}})
	}
	out := object{"@type": cvrType("CVRContest"), "ContestId": w.contest.id}
	if len(list) > 0 {
		out["CVRContestSelection"] = list
	}
	if counts {
		over, under := 0, w.contest.allowed-len(w.marked)
		if w.over() {
			over, under, writeIns = w.contest.allowed, 0, 0
			out["Status"] = []string{"overvoted"}
		}
		out["Overvotes"], out["Undervotes"], out["WriteIns"] = over, under, writeIns
	}
	return out
}
