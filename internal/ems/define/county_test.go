package define_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"sallyport/internal/ems/define"
	"sallyport/internal/ems/election"
)

// layout is a county as a test knows it: which districts each place lies in is
// written down and not worked out from a graph.
type layout struct {
	kind      string // of election
	preface   string // more lines of election.csv
	districts []string
	places    []place
	contests  []contest
}

// place is a precinct without splits, or a split.
type place struct {
	id, precinct string
	districts    []string
}

type contest struct {
	id, kind, district, party string
	candidates, writeIns      int
	rotation                  bool
}

const (
	closedPrimary   = "partisan-primary-closed"
	openPrimary     = "partisan-primary-open"
	generalElection = "general"
)

// county has 14 precincts, three of them split, and city, school and
// state-house districts that overlap.
func county(kind string) *layout {
	l := &layout{kind: kind, districts: []string{"house-1", "house-2", "house-3", "city-east", "city-west", "school-north", "school-south", "fire"}}
	add := func(precinct int, split string, districts ...string) {
		p := fmt.Sprintf("p%d", precinct)
		l.places = append(l.places, place{id: p + split, precinct: p, districts: districts})
	}
	add(1, "", "house-1", "city-east", "school-north")
	add(2, "", "house-1", "city-east", "school-north")
	add(3, "a", "house-1", "city-east", "school-north")
	add(3, "b", "house-2", "city-east", "school-south")
	add(4, "", "house-2", "city-east", "school-south")
	add(5, "", "house-2", "school-south", "fire")
	add(6, "", "house-2", "school-south", "fire")
	add(7, "a", "house-2", "city-west", "school-south")
	add(7, "b", "house-3", "city-west", "school-south")
	add(7, "c", "house-3", "school-south", "fire")
	add(8, "", "house-3", "city-west", "school-south")
	add(9, "", "house-3", "city-west")
	add(10, "", "house-3", "fire")
	add(11, "", "house-1", "fire")
	add(12, "a", "house-1", "school-north")
	add(12, "b", "house-1", "school-north", "fire")
	add(13, "", "house-1")
	add(14, "", "house-3", "city-west", "school-south", "fire")
	parties := []string{""}
	if kind != generalElection {
		parties = []string{"oak", "elm", "ash"}
	}
	for _, p := range parties {
		l.contests = append(l.contests, contest{id: "governor" + p, kind: "candidate", district: "state", party: p, candidates: 3, writeIns: 1, rotation: true})
		for _, h := range []string{"house-1", "house-2", "house-3"} {
			if p != "ash" {
				l.contests = append(l.contests, contest{id: h + "-seat" + p, kind: "candidate", district: h, party: p, candidates: 2})
			}
		}
	}
	l.contests = append(l.contests,
		contest{id: "sheriff", kind: "candidate", district: "county", candidates: 4, writeIns: 1, rotation: true},
		contest{id: "east", kind: "candidate", district: "city-east", candidates: 3, writeIns: 2, rotation: true},
		contest{id: "west", kind: "candidate", district: "city-west", candidates: 2},
		contest{id: "north", kind: "measure", district: "school-north"},
		contest{id: "south", kind: "measure", district: "school-south"},
		contest{id: "fire-levy", kind: "measure", district: "fire"})
	return l
}

// set writes the county as a clerk would.
func (l *layout) set() fstest.MapFS {
	var units, contests, candidates strings.Builder
	units.WriteString("id,type,name,number,part_of\nstate,state,State,,\ncounty,county,County,,state\n")
	for _, d := range l.districts {
		kind, _, _ := strings.Cut(d, "-")
		kind = map[string]string{"house": "state-house", "fire": "special"}[kind] + map[string]string{"city": "city", "school": "school"}[kind]
		fmt.Fprintf(&units, "%s,%s,District %s,,state\n", d, kind, d)
	}
	written := map[string]bool{}
	for i, p := range l.places {
		number := strings.TrimPrefix(p.precinct, "p")
		if p.id != p.precinct && !written[p.precinct] {
			fmt.Fprintf(&units, "%s,precinct,Precinct %s,%s,county\n", p.precinct, number, number)
			written[p.precinct] = true
		}
		if p.id == p.precinct {
			fmt.Fprintf(&units, "%s,precinct,Precinct %s,%s,%s\n", p.id, number, number, strings.Join(append([]string{"county"}, p.districts...), " "))
			continue
		}
		fmt.Fprintf(&units, "%s,split-precinct,Split %d,%s,%s\n", p.id, i, strings.TrimPrefix(p.id, "p"), strings.Join(append([]string{p.precinct}, p.districts...), " "))
	}
	contests.WriteString("id,type,title,district,primary_party,rotation,write_ins,controls\n")
	candidates.WriteString("id,contest,name,party\n")
	for _, c := range l.contests {
		rotation, writeIns := "", ""
		if c.rotation {
			rotation = "yes"
		}
		if c.writeIns > 0 {
			writeIns = strconv.Itoa(c.writeIns)
		}
		fmt.Fprintf(&contests, "%s,%s,Contest %s,%s,%s,%s,%s,%s\n", c.id, c.kind, c.id, c.district, c.party, rotation, writeIns, l.controls(c))
		for n := range c.candidates {
			fmt.Fprintf(&candidates, "%s-%d,%s,Candidate %s %d,%s\n", c.id, n+1, c.id, c.id, n+1, c.party)
		}
	}
	file := func(s string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(s)} }
	return fstest.MapFS{
		"election.csv": file("key,value\nname,County Election\ntype," + l.kind + "\ndate,2026-11-03\njurisdiction,county\nissuer,Office\nlocal_id,e1\n" + l.preface),
		"units.csv":    file(units.String()), "contests.csv": file(contests.String()), "candidates.csv": file(candidates.String()),
		"parties.csv": file("id,name,abbreviation\noak,Oak Party,Oak\nelm,Elm Party,Elm\nash,Ash Party,Ash\n"),
	}
}

// controls names what a straight-party or party-preference contest controls.
func (l *layout) controls(c contest) string {
	var out []string
	for _, x := range l.contests {
		if c.kind == "straight-party" && x.kind == "candidate" || c.kind == "party-preference" && x.party != "" {
			out = append(out, x.id)
		}
	}
	return strings.Join(out, " ")
}

// wants says which contests a voter gets at a place: all, or those that a party
// ("" for none) may vote on.
func (l *layout) wants(p place, party string, all bool) (out []string) {
	for _, c := range l.contests {
		in := c.district == "state" || c.district == "county" || slices.Contains(p.districts, c.district)
		if in && (all || c.party == "" || c.party == party) {
			out = append(out, c.id)
		}
	}
	slices.Sort(out)
	return out
}

// checkBallots compares each ballot of each place with what its voters must get.
func (l *layout) checkBallots(t *testing.T, v *election.Valid) {
	t.Helper()
	byParty := l.kind != generalElection && !slices.ContainsFunc(l.contests, func(c contest) bool { return c.kind == "party-preference" })
	for _, p := range l.places {
		got := map[string][]string{}
		for i := range v.Election().Styles {
			s := &v.Election().Styles[i]
			if !slices.Contains(s.Units, p.id) {
				continue
			}
			party := strings.Join(s.Parties, "+")
			if _, twice := got[party]; twice {
				t.Errorf("%s has two ballots for the party %q", p.id, party)
			}
			s.Contests(func(o *election.OrderedContest, _ string) { got[party] = append(got[party], o.Contest) })
			slices.Sort(got[party])
		}
		want := map[string][]string{}
		for _, party := range []string{"", "oak", "elm", "ash"} {
			list := l.wants(p, party, !byParty)
			own := slices.ContainsFunc(l.contests, func(c contest) bool { return c.party == party && slices.Contains(list, c.id) })
			if len(list) > 0 && (party == "" || byParty && own) {
				want[party] = list
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", p.id, diff)
		}
	}
	for _, p := range define.Review(v) {
		if p.Severity == define.Error {
			t.Error(p)
		}
	}
}

func TestEveryPlaceOfACountyGetsItsBallots(t *testing.T) {
	for _, kind := range []string{closedPrimary, openPrimary, generalElection} {
		for _, rotation := range []string{"", "rotation_rule,by-style\n", "rotation_rule,by-precinct\n"} {
			t.Run(kind+rotation, func(t *testing.T) {
				l := county(kind)
				l.preface = rotation + "languages,en es zh-Hans\n"
				if kind == generalElection {
					l.contests = append(l.contests, contest{id: "straight", kind: "straight-party", district: "county"})
				}
				v := read(t, l.set())
				l.checkBallots(t, v)
				if kind == generalElection {
					for i := range v.Election().Styles {
						if c := v.Election().Styles[i].Content[0].(*election.OrderedContest); c.Contest != "straight" {
							t.Errorf("style %s begins with %s", v.Election().Styles[i].Code(), c.Contest)
						}
					}
				}
			})
		}
	}
}

func TestAPartyPreferencePrimaryHasOneBallotForAll(t *testing.T) {
	l := county(openPrimary)
	l.contests = append(l.contests, contest{id: "preference", kind: "party-preference", district: "county"})
	v := read(t, l.set())
	l.checkBallots(t, v)
	for i := range v.Election().Styles {
		if c := v.Election().Styles[i].Content[0].(*election.OrderedContest); c.Contest != "preference" {
			t.Errorf("style %s begins with %s", v.Election().Styles[i].Code(), c.Contest)
		}
	}
}

// Without rotation, places with the same contests share a style: there is no
// smaller number of styles.
func TestStylesAreAsFewAsCanBe(t *testing.T) {
	for _, kind := range []string{closedPrimary, generalElection} {
		l := county(kind)
		v := read(t, l.set())
		different := map[string]bool{}
		for _, p := range l.places {
			for _, party := range []string{"", "oak", "elm", "ash"} {
				if kind == generalElection && party != "" {
					continue
				}
				different[party+" "+strings.Join(l.wants(p, party, kind == generalElection), " ")] = true
			}
		}
		if got := len(v.Election().Styles); got != len(different) {
			t.Errorf("%s: %d styles, %d different ballots", kind, got, len(different))
		}
		again := read(t, l.set())
		same(t, kind, v, again)
	}
}

// Random counties: every place gets the contests of its districts, through
// styles of which no two are the same.
func TestRandomCountiesGetTheirContests(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 60 {
		l := random(r)
		d, bad := define.ReadSet(l.set())
		if len(bad) > 0 {
			t.Fatal(bad)
		}
		v := valid(t, d)
		l.checkBallots(t, v)
		set, err := written(v)
		if err != nil {
			t.Fatal(err)
		}
		same(t, "random", v, read(t, set))
		if t.Failed() {
			t.Fatalf("%+v", l)
		}
	}
}

func random(r *rand.Rand) *layout {
	l := &layout{kind: []string{closedPrimary, openPrimary, generalElection}[r.IntN(3)]}
	for i := range 1 + r.IntN(6) {
		l.districts = append(l.districts, []string{"city-", "school-", "house-"}[r.IntN(3)]+strconv.Itoa(i))
	}
	for i := range 1 + r.IntN(12) {
		precinct := "p" + strconv.Itoa(i+1)
		splits := max(1, r.IntN(4))
		for s := range splits {
			p := place{id: precinct, precinct: precinct}
			if splits > 1 {
				p.id += string(rune('a' + s))
			}
			for _, d := range l.districts {
				if r.IntN(2) == 0 {
					p.districts = append(p.districts, d)
				}
			}
			l.places = append(l.places, p)
		}
	}
	p := &l.places[0] // each district has a place
	p.districts = slices.Clone(l.districts)
	for i, d := range append([]string{"state"}, l.districts...) {
		party := ""
		if l.kind != generalElection {
			party = []string{"", "oak", "elm", "ash"}[r.IntN(4)]
		}
		l.contests = append(l.contests, contest{id: "c" + strconv.Itoa(i), kind: "candidate", district: d, party: party,
			candidates: 1 + r.IntN(4), writeIns: r.IntN(3), rotation: r.IntN(2) == 0})
	}
	l.contests = append(l.contests, contest{id: "measure", kind: "measure", district: "county"})
	l.preface = []string{"", "rotation_rule,by-style\n", "rotation_rule,by-precinct\n"}[r.IntN(3)]
	return l
}

// Each candidate is first about as often as any other, and write-ins are last.
func TestRotationsAreBalanced(t *testing.T) {
	for _, kind := range []string{closedPrimary, generalElection} {
		for rule, by := range map[string]func(styles, precincts int) int{
			"by-style":    func(styles, _ int) int { return styles },
			"by-precinct": func(_, precincts int) int { return precincts },
		} {
			l := county(kind)
			l.preface = "rotation_rule," + rule + "\n"
			v := read(t, l.set())
			reports := define.Rotations(v)
			wanted := 0
			for _, c := range l.contests {
				if c.rotation {
					wanted++
				}
			}
			if len(reports) != wanted {
				t.Errorf("%s: %d contests rotate, want %d", rule, len(reports), wanted)
			}
			for _, x := range reports {
				if n := by(x.Spread()); n > 1 {
					t.Errorf("%s %s: first by %d more: %v %v", rule, x.Contest, n, x.ByStyle, x.ByPrecinct)
				}
			}
			writeInsLast(t, v)
		}
	}
}

func writeInsLast(t *testing.T, v *election.Valid) {
	t.Helper()
	for i := range v.Election().Styles {
		v.Election().Styles[i].Contests(func(o *election.OrderedContest, _ string) {
			first := slices.IndexFunc(o.Options, func(id string) bool { return strings.Contains(id, "-write-in-") })
			if first >= 0 && slices.ContainsFunc(o.Options[first:], func(id string) bool { return !strings.Contains(id, "-write-in-") }) {
				t.Errorf("style %s: %v", v.Election().Styles[i].Code(), o.Options)
			}
		})
	}
}

// The rotation by precinct, worked out by hand: the three candidates of the
// city move up by one from each of the five precincts of the city to the next.
func TestRotationByPrecinctByHand(t *testing.T) {
	l := county(generalElection)
	l.preface = "rotation_rule,by-precinct\n"
	v := read(t, l.set())
	got := map[string]string{}
	for i := range v.Election().Styles {
		s := &v.Election().Styles[i]
		s.Contests(func(o *election.OrderedContest, _ string) {
			if o.Contest == "east" {
				for _, u := range s.Units {
					got[u] = strings.ReplaceAll(strings.Join(o.Options[:3], " "), "option-east-", "")
				}
			}
		})
	}
	want := map[string]string{"p1": "1 2 3", "p2": "2 3 1", "p3a": "3 1 2", "p3b": "3 1 2", "p4": "1 2 3"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// A drawn alphabet sorts by last name, letter by letter.
func TestAlphabetByHand(t *testing.T) {
	l := &layout{kind: generalElection, preface: "alphabet,\"R, W, Q, O, J, M, V, A, H, B, S, G, Z, X, N, T, C, I, E, K, U, P, D, Y, F, L\"\n",
		places:   []place{{id: "p1", precinct: "p1"}},
		contests: []contest{{id: "c", kind: "candidate", district: "county", writeIns: 1, candidates: 1}}}
	set := l.set()
	set["candidates.csv"] = &fstest.MapFile{Data: []byte("id,contest,name\n1,c,Jo Adler\n2,c,Bo Weber\n3,c,Al Weaver\n4,c,Cy Roth\n5,c,Ann Øst\n6,c,Ed Weber Jr.\n7,c,Ty Web\n")}
	v := read(t, set)
	got := v.Election().Styles[0].Content[0].(*election.OrderedContest).Options
	// Roth; W before A; after We: A before B; Web before Weber; the two Weber by the
	// whole name: B before E; a letter outside of A to Z last.
	if diff := cmp.Diff("option-4 option-3 option-7 option-2 option-6 option-1 option-5 c-write-in-1", strings.Join(got, " ")); diff != "" {
		t.Error(diff)
	}
}

// Units that lie in each other in millions of ways are refused, not walked.
func TestALadderOfUnitsIsRefused(t *testing.T) {
	set := sample(t, general)
	var b strings.Builder
	b.WriteString("id,type,part_of\nu0,state,\n")
	last := "u0"
	for i := range 40 {
		fmt.Fprintf(&b, "a%d,other,%s\nb%d,other,%s\n", i, last, i, last)
		last = fmt.Sprintf("a%d b%d", i, i)
	}
	fmt.Fprintf(&b, "p,precinct,%s\n", last)
	set["units.csv"] = &fstest.MapFile{Data: []byte(b.String())}
	set["election.csv"] = &fstest.MapFile{Data: []byte("key,value\nname,E\ntype,general\ndate,2026-11-03\njurisdiction,u0\nissuer,I\nlocal_id,e\n")}
	set["contests.csv"] = &fstest.MapFile{Data: []byte("id,type,district,title\nm,measure,u0,Q\n")}
	for _, name := range []string{"candidates.csv", "offices.csv", "options.csv", "translations.csv"} {
		delete(set, name)
	}
	_, bad := define.ReadSet(set)
	if len(bad) != 1 || bad[0].Rule != "over-limit" || bad[0].File != "units.csv" {
		t.Errorf("%v", bad)
	}
}
