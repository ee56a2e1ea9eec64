package cdf

import (
	"bytes"
	"context"
	"errors"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sallyport/internal/ems/model"
	"sallyport/internal/testelection"
	"sallyport/internal/verdict"
)

func header(t testing.TB) RecordsHeader {
	t.Helper()
	d, _, err := reader(t).ReadDocument(context.Background(), "definition.json", bytes.NewReader(small(t).Definition.Data), ReadOptions{Format: BD})
	if err != nil {
		t.Fatal(err)
	}
	return RecordsHeader{Source: d, Definition: smallDefinition(t), Generated: time.Date(2026, 11, 4, 6, 0, 0, 0, time.UTC), DeviceID: "ems", Application: "test", Types: []string{"aggregated"}}
}

// exported writes the records of packed ballots, which stand by identifier.
func exported(t testing.TB, enc Encoding, h RecordsHeader, packed map[string]*model.Ballot) ([]byte, error) {
	t.Helper()
	var out bytes.Buffer
	err := reader(t).WriteRecords(context.Background(), &out, enc, h, func(yield func(*model.Ballot) error) error {
		for _, id := range slices.Sorted(maps.Keys(packed)) {
			if err := yield(packed[id]); err != nil {
				return err
			}
		}
		return nil
	})
	return out.Bytes(), err
}

// all reads the records of the small election.
func all(t testing.TB) map[string]*model.Ballot {
	t.Helper()
	out := map[string]*model.Ballot{}
	d := smallDefinition(t)
	for _, f := range small(t).Records {
		err := reader(t).Records(context.Background(), f.Name, bytes.NewReader(f.Data), Want{Definition: d, ElectionID: testelection.ID}, func(b *model.Ballot) error {
			c := &model.Ballot{ID: b.ID, Device: b.Device, Batch: b.Batch}
			id, device, batch := b.ID, b.Device, b.Batch
			if err := d.Unpack(c, b.Pack(nil)); err != nil {
				return err
			}
			c.ID, c.Device, c.Batch = id, device, batch
			out[id] = c
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return out
}

func TestWrittenRecordsAreTheSameBallotsInBothEncodings(t *testing.T) {
	h, want := header(t), all(t)
	for _, enc := range []Encoding{JSON, XML} {
		doc, err := exported(t, enc, h, want)
		if err != nil {
			t.Fatal(err)
		}
		judge(t, "records", CVR, enc, doc)
		last := ""
		got := map[string][]byte{}
		err = reader(t).Records(context.Background(), "out", bytes.NewReader(doc), Want{Definition: h.Definition, ElectionID: testelection.ID}, func(b *model.Ballot) error {
			w := want[b.ID]
			if b.ID <= last || w == nil || w.Device != b.Device || w.Batch != b.Batch {
				t.Errorf("%q follows %q: %+v", b.ID, last, b)
			}
			last = b.ID
			got[b.ID] = b.Pack(nil)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		for id, b := range want {
			if !bytes.Equal(got[id], b.Pack(nil)) {
				t.Errorf("%s: %s differs", enc, id)
			}
		}
		if len(got) != len(want) || len(got) < 200 {
			t.Errorf("%d ballots, want %d", len(got), len(want))
		}
		// It is a document like any other.
		d, _, err := reader(t).ReadDocument(context.Background(), "out", bytes.NewReader(doc), ReadOptions{})
		if err != nil || len(d.Root.List("CVR")) != len(want) || d.Root.List("Election")[0].List("Code")[0].Str("Value") == "" {
			t.Error(err)
		}
	}
}

func TestRecordsAreWrittenOnlyInOrderOfIdentifiers(t *testing.T) {
	h := header(t)
	one := func(id string) *model.Ballot {
		return &model.Ballot{ID: id, Snapshots: []model.Snapshot{{}}}
	}
	write := func(list ...*model.Ballot) error {
		return reader(t).WriteRecords(context.Background(), io.Discard, JSON, h, func(yield func(*model.Ballot) error) error {
			for _, b := range list {
				if err := yield(b); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := write(one("a"), one("b")); err != nil {
		t.Error(err)
	}
	for name, list := range map[string][]*model.Ballot{
		"descending": {one("b"), one("a")}, "repeated": {one("a"), one("a")}, "without": {one("")},
		"another definition":      {{ID: "a", Style: 9, Snapshots: []model.Snapshot{{}}}},
		"another contest":         {{ID: "a", Snapshots: []model.Snapshot{{Contests: []model.Marks{{Contest: 99}}}}}},
		"a device of that name":   {{ID: "a", Device: "contest-clerk", Snapshots: []model.Snapshot{{}}}},
		"no snapshot":             {{ID: "a"}},
		"text that XML cannot be": {{ID: "a\x01", Snapshots: []model.Snapshot{{}}}},
	} {
		if err := write(list...); err == nil {
			t.Errorf("%s: written", name)
		}
	}
	h.DeviceID = ""
	if err := write(); err == nil {
		t.Error("a report of no device was written")
	}
	h = header(t)
	h.Source = tinyCVR(t)
	if err := write(); err == nil {
		t.Error("a report of no definition was written")
	}
	mine := errors.New("no room")
	err := reader(t).WriteRecords(context.Background(), full{mine}, XML, header(t), func(yield func(*model.Ballot) error) error { return yield(one("a")) })
	if !errors.Is(err, mine) {
		t.Error(err)
	}
}

type full struct{ err error }

func (f full) Write([]byte) (int, error) { return 0, f.err }

// Records of systems that leave out what only a dialect lets them leave out.
func TestLenientRecords(t *testing.T) {
	strip := strings.NewReplacer(`"UniqueId":"one",`, ``).Replace(cvrOne)
	_, _, err := ballots(t, report(strip), ReadOptions{})
	wantFinding(t, err, verdict.ContentInvalid, "rule record-id")
	for name, c := range map[string]struct{ doc, id, consequence string }{
		"audit":       {strings.Replace(strip, `"BatchId"`, `"BallotAuditId":"A7","BallotPrePrintedId":"9","BatchId"`, 1), "A7", "BallotAuditId stands for it"},
		"pre-printed": {strings.Replace(strip, `"BatchId"`, `"BallotPrePrintedId":"9","BatchId"`, 1), "9", "BallotPrePrintedId stands for it"},
		"random":      {strip, "", "a random UUID"},
		// One number for all sheets of a ballot would be the same record.
		"sheet": {strings.Replace(strip, `"BatchId"`, `"BallotPrePrintedId":"9","BallotSheetId":"2","BatchId"`, 1), "", "a random UUID"},
	} {
		seen := map[string]bool{}
		for range 2 {
			got, dev, err := ballots(t, report(c.doc), ReadOptions{Lenient: true})
			if err != nil || len(got) != 1 || !cmp.Equal(rulesOf(dev), []string{"unique-id-missing /CVR/0 ×1"}) || !strings.HasPrefix(dev[0].Consequence, c.consequence) {
				t.Errorf("%s: %v %v %v", name, got, dev, err)
				continue
			}
			id, _, _ := strings.Cut(got[0], " ")
			seen[id] = true
			if c.id != "" && id != c.id || c.id == "" && (len(id) != 36 || id[14] != '4') {
				t.Errorf("%s: the identifier is %q", name, id)
			}
		}
		if c.id == "" && len(seen) != 2 {
			t.Errorf("%s: the identifier follows from the record", name)
		}
	}
	// Style and unit are never guessed among several.
	noStyle := strings.Replace(cvrOne, `"BallotStyleId":"style-county",`, ``, 1)
	_, _, err = ballots(t, report(noStyle), ReadOptions{Lenient: true})
	wantFinding(t, err, verdict.ContentInvalid, "rule record-style")
	_, _, err = ballots(t, report(strings.Replace(cvrOne, `,"BallotStyleUnitId":"precinct-1"`, ``, 1)), ReadOptions{Lenient: true})
	wantFinding(t, err, verdict.ContentInvalid, "rule record-unit")
}

// What a lenient document says, its records say: the voting app's reports of
// the Jetsons name neither record, style nor unit, and candidates for options.
func TestRecordsOfTheJetsons(t *testing.T) {
	def := &model.Definition{
		Contests: []model.Contest{
			{ID: "contest-orbit-city-mayor", VotesAllowed: 1, Options: []model.Option{{ID: "selection_spacely"}, {ID: "selection_cogswell"}, {ID: "selection_writein_1", WriteIn: true}}},
			{ID: "ballotmeasure-1", VotesAllowed: 1, Options: []model.Option{{ID: "ballotmeasure-1_yes"}, {ID: "ballotmeasure-1_no"}}},
		},
		Styles:    []model.Style{{IDs: []string{"s"}, Contests: []int{0, 1}, Precincts: []int{0}}},
		Precincts: []model.Precinct{{ID: "precinct_1_downtown"}},
	}
	for _, ext := range []string{"json", "xml"} {
		d, _ := sample(t, true, "jetsons", "cvrr_jetsons_precinct_1."+ext)
		var got []string
		dev, err := reader(t).ReadRecords(context.Background(), "c", bytes.NewReader(written(t, d, XML)), Want{Definition: def, ElectionID: "gadget-county-2021-06"}, ReadOptions{Lenient: true}, func(b *model.Ballot) error {
			for _, m := range b.Snapshots[b.Current].Contests {
				for _, p := range m.Positions {
					got = append(got, def.Contests[m.Contest].Options[p.Option].ID)
				}
			}
			return nil
		})
		if err != nil || !cmp.Equal(got, []string{"selection_cogswell", "ballotmeasure-1_yes"}) {
			t.Errorf("%v %v", got, err)
		}
		if diff := cmp.Diff([]string{"unique-id-missing /CVR/0 ×1", "style-missing /CVR/0 ×1", "unit-missing /CVR/0 ×1"}, rulesOf(dev)); diff != "" {
			t.Error(diff)
		}
	}
}

func TestSharedIdentifiersInRecords(t *testing.T) {
	// A candidate and an option of one contest are called the same.
	doc := strings.Replace(string(report(cvrOne)), `"ElectionScopeId":"precinct-1",`, `"ElectionScopeId":"precinct-1","Candidate":[{"@type":"CVR.Candidate","@id":"option-commissioner-1"}],`, 1)
	doc = strings.Replace(doc, `{"@type":"CVR.CandidateSelection","@id":"option-commissioner-1"}`, `{"@type":"CVR.CandidateSelection","@id":"option-commissioner-1","CandidateIds":["option-commissioner-1"]}`, 1)
	_, _, err := ballots(t, []byte(doc), ReadOptions{})
	wantFinding(t, err, verdict.ContentInvalid, "rule id-repeated")
	got, dev, err := ballots(t, []byte(doc), ReadOptions{Lenient: true})
	if err != nil || len(got) != 1 || !cmp.Equal(rulesOf(dev), []string{"id-shared /Election/0/Contest/0/ContestSelection/0/@id ×1"}) {
		t.Error(got, dev, err)
	}
	// A party and a device never share one.
	_, _, err = ballots(t, bytes.Replace(report(cvrOne), []byte(`"@id":"party-oak"`), []byte(`"@id":"scanner"`), 1), ReadOptions{Lenient: true})
	wantFinding(t, err, verdict.ContentInvalid, "rule id-repeated")
}
