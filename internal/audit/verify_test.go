package audit_test

import (
	"bytes"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"sallyport/internal/audit"
	"sallyport/internal/strictjson"
	"sallyport/internal/translog"
)

func (s *station) verify() *audit.Report {
	s.t.Helper()
	r, err := audit.Verify(s.t.Context(), s.dir, translog.VerifyOptions{Keys: keysOf(s.key), Origin: origin})
	if err != nil {
		s.t.Fatal(err)
	}
	return r
}

// day is what a station may go through: two runs with a crash in between.
func day(t *testing.T) *station {
	s := newStation(t)
	s.event(audit.StationStart)
	done := s.intent(audit.PackageStage, "a")
	if err := done.Outcome(t.Context(), audit.Success, map[string]string{"files": "3"}); err != nil {
		t.Fatal(err)
	}
	s.intent(audit.PackageAdmit, "a")
	s.restart()
	s.event(audit.StationStart)
	return s
}

func TestVerifyReportsWhatIsOpenAndUnsealed(t *testing.T) {
	s := day(t)
	s.boot = bootB
	s.restart()
	s.event(audit.StationStop)
	r := s.verify()
	if !r.OK() || len(r.Damage) > 0 || r.Boots != 2 || r.Unsealed != 1 || len(r.Open) != 1 || r.Open[0].Event != audit.PackageAdmit || r.Open[0].Subject.Package != "a" {
		t.Errorf("%+v", r)
	}
	if r.First == "" || r.Last <= r.First || r.Untrusted != 0 {
		t.Errorf("times %q to %q, %d untrusted", r.First, r.Last, r.Untrusted)
	}
}

// TestVerifyHoldsEntriesAgainstEachOther forges entries that a compromised
// station might seal: each frame, hash and signature is right, the story is not.
func TestVerifyHoldsEntriesAgainstEachOther(t *testing.T) {
	type edit func(e *audit.Entry)
	forge := func(seq int, do edit) func(all []audit.Entry) []audit.Entry {
		return func(all []audit.Entry) []audit.Entry { do(&all[seq]); return all }
	}
	// 0 log.opened, 1 start, 2 intent, 3 outcome, 4 open intent, 5 log.opened, 6 start
	for name, c := range map[string]struct {
		do   func(all []audit.Entry) []audit.Entry
		at   int64
		says string
	}{
		"nothing":                    {do: func(all []audit.Entry) []audit.Entry { return all }, at: -1},
		"seq repeated":               {do: forge(6, func(e *audit.Entry) { e.Seq = 5 }), at: 6, says: "calls itself"},
		"outcome of no intent":       {do: forge(3, func(e *audit.Entry) { e.Ref = 1 }), at: 3, says: "no open intent"},
		"outcome of another subject": {do: forge(3, func(e *audit.Entry) { e.Subject.Package = "b" }), at: 3, says: "differs"},
		"outcome of another action":  {do: forge(3, func(e *audit.Entry) { e.Event = audit.PackageHold }), at: 3, says: "differs"},
		"mono goes back":             {do: forge(6, func(e *audit.Entry) { e.MonoUS = 1 }), at: 6, says: "mono_us"},
		"trusted time goes back":     {do: forge(6, func(e *audit.Entry) { e.Wall = "2026-01-01T00:00:00.000000Z" }), at: 6, says: "trusted"},
		"open intent forgotten":      {do: forge(5, func(e *audit.Entry) { e.Fields["open_intents"] = "none" }), at: 5, says: "open intents"},
		"entries miscounted":         {do: forge(5, func(e *audit.Entry) { e.Fields["entries"] = "4" }), at: 5, says: "counts"},
		"first entry taken away": {do: func(all []audit.Entry) []audit.Entry {
			all = all[1:2]
			all[0].Seq = 0
			return all
		}, at: 0, says: "begins with"},
	} {
		t.Run(name, func(t *testing.T) {
			s := day(t)
			forged := c.do(s.entries())
			s.log.Close()
			if err := os.RemoveAll(s.dir); err != nil {
				t.Fatal(err)
			}
			if err := translog.Create(s.dir, origin, translog.Options{}); err != nil {
				t.Fatal(err)
			}
			l, err := translog.Open(s.dir, translog.Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			for i := range forged {
				b, err := forged[i].Encode()
				if err != nil {
					t.Fatal(err)
				}
				if _, err := l.Append(b); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := l.Checkpoint(t.Context(), s.key); err != nil {
				t.Fatal(err)
			}
			r := s.verify()
			if c.at < 0 {
				if len(r.Damage) > 0 {
					t.Fatalf("an honest log is damaged: %+v", r.Damage)
				}
				return
			}
			if len(r.Damage) == 0 || r.Damage[0].Entry != c.at || !strings.Contains(r.Damage[0].Detail, c.says) {
				t.Errorf("damage %+v, want entry %d: …%s…", r.Damage, c.at, c.says)
			}
		})
	}
}

func TestEntriesOutsideTheSchemaAreRefused(t *testing.T) {
	s := day(t)
	all := s.entries()
	good, err := all[3].Encode()
	if err != nil {
		t.Fatal(err)
	}
	if e, err := audit.Parse(good); err != nil || e.Event != audit.PackageStage {
		t.Fatalf("%+v, %v", e, err)
	}
	leap := bytes.Replace(good, []byte("2026-11-03"), []byte("2024-02-29"), 1)
	if e, err := audit.Parse(leap); err != nil || e.Time().Day() != 29 {
		t.Errorf("29 February 2024: %v, %v", e, err)
	}
	for name, r := range map[string][2]string{
		"white space":          {`{"seq"`, `{ "seq"`},
		"unknown member":       {`{"seq"`, `{"x":1,"seq"`},
		"duplicate":            {`{"seq":3`, `{"seq":3,"seq":3`},
		"unknown event":        {`package.stage`, `package.stale`},
		"undeclared field":     {`"files":"3"`, `"votes":"3"`},
		"unknown phase":        {`"outcome","ref"`, `"done","ref"`},
		"unknown outcome":      {`"success"`, `"fine"`},
		"no outcome":           {`"outcome":"success",`, ``},
		"outcome before":       {`"ref":2`, `"ref":3`},
		"no reference":         {`"ref":2,`, ``},
		"negative":             {`"seq":3`, `"seq":-3`},
		"boot id":              {bootA, strings.ToUpper("aaaa") + bootA[4:]},
		"local time":           {`.000000Z`, `.000000+01:00`},
		"thirteenth month":     {`2026-11`, `2026-13`},
		"month zero":           {`2026-11`, `2026-00`},
		"30 February":          {`2026-11-03`, `2026-02-30`},
		"29 February":          {`2026-11-03`, `2026-02-29`},
		"day zero":             {`2026-11-03`, `2026-11-00`},
		"hour 24":              {`T07:`, `T24:`},
		"minute 60":            {`T07:00:`, `T07:60:`},
		"second 60":            {`T07:00:0`, `T07:00:6`},
		"comma in the time":    {`.000000Z`, `,000000Z`},
		"letter in the time":   {`2026-11`, `2o26-11`},
		"unprintable text":     {`"files":"3"`, "\"files\":\"\u202e\""},
		"text over the limit":  {`"files":"3"`, `"files":"` + strings.Repeat("3", 2101) + `"`},
		"empty fields":         {`"fields":{"files":"3"}`, `"fields":{}`},
		"fields out of order":  {`{"files":"3"}`, `{"files":"3","bytes":"1"}`},
		"number for a text":    {`"files":"3"`, `"files":3`},
		"null for the subject": {`"subject":{"package":"a"}`, `"subject":null`},
	} {
		bad := bytes.Replace(good, []byte(r[0]), []byte(r[1]), 1)
		if bytes.Equal(bad, good) {
			t.Fatalf("%s: %q is not in %s", name, r[0], good)
		}
		if e, err := audit.Parse(bad); err == nil {
			t.Errorf("%s: accepted as %+v", name, e)
		}
	}
}

// TestTornTailIsRecordedOnce cuts the last entry and starts the station, with
// a crash between the cut and its entry, too.
func TestTornTailIsRecordedOnce(t *testing.T) {
	s := day(t)
	s.event(audit.StationStop)
	size := s.log.Size()
	s.log.Close()
	seg := filepath.Join(s.dir, "00000000000000000000.seg")
	st, err := os.Stat(seg)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(seg, st.Size()-5); err != nil {
		t.Fatal(err)
	}
	if r := s.verify(); !r.OK() || len(r.Torn) != 1 {
		t.Errorf("verify before the start: %+v", r)
	}
	// The log is opened and cut, and the station stops before it can say so.
	l, err := translog.Open(s.dir, translog.Options{})
	if err != nil || l.Size() != size-1 {
		t.Fatalf("%v", err)
	}
	l.Close()
	s.open()
	s.restart()
	var found []audit.Entry
	for e, err := range audit.Query(s.log, audit.Filter{Event: string(audit.LogRecovered)}) {
		if err != nil {
			t.Fatal(err)
		}
		found = append(found, e)
	}
	if len(found) != 1 || found[0].Fields["entry"] != "7" || found[0].Fields["file"] != filepath.Base(seg) || found[0].Fields["kept"] == "" {
		t.Fatalf("log.recovered: %+v", found)
	}
	if _, err := os.Stat(filepath.Join(s.dir, found[0].Fields["kept"])); err != nil {
		t.Error(err)
	}
	if r := s.verify(); !r.OK() || r.Recovered != 1 || r.Unsealed != 0 {
		t.Errorf("verify after the start: %+v", r)
	}
}

func TestQuery(t *testing.T) {
	s := day(t)
	all := s.entries()
	for name, c := range map[string]struct {
		f    audit.Filter
		want []int64
	}{
		"all":            {audit.Filter{}, []int64{0, 1, 2, 3, 4, 5, 6}},
		"event":          {audit.Filter{Event: "station.start"}, []int64{1, 6}},
		"family":         {audit.Filter{Event: "package"}, []int64{2, 3, 4}},
		"part of a word": {audit.Filter{Event: "pack"}, nil},
		"subject":        {audit.Filter{About: "a"}, []int64{2, 3, 4}},
		"other subject":  {audit.Filter{About: "b"}, nil},
		"member":         {audit.Filter{Subject: audit.Subject{Package: "a"}}, []int64{2, 3, 4}},
		"other member":   {audit.Filter{Subject: audit.Subject{Medium: "a"}}, nil},
		"two members":    {audit.Filter{Subject: audit.Subject{Package: "a", Person: "a"}}, nil},
		"outcome":        {audit.Filter{Outcome: audit.Success}, []int64{3}},
		"from":           {audit.Filter{From: 5}, []int64{5, 6}},
		"since":          {audit.Filter{Since: all[4].Time()}, []int64{4, 5, 6}},
		"to":             {audit.Filter{To: 2}, []int64{0, 1}},
		"from and to":    {audit.Filter{From: 3, To: 4}, []int64{3}},
		"nothing left":   {audit.Filter{From: 4, To: 4}, nil},
		"to past it":     {audit.Filter{From: 6, To: 99}, []int64{6}},
		"until":          {audit.Filter{Until: all[2].Time()}, []int64{0, 1}},
		"since, until":   {audit.Filter{Since: all[2].Time(), Until: all[4].Time()}, []int64{2, 3}},
		"after the end":  {audit.Filter{From: 99}, nil},
		"both":           {audit.Filter{Event: "package", From: 3}, []int64{3, 4}},
	} {
		var got []int64
		for e, err := range audit.Query(s.log, c.f) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, e.Seq)
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

func TestEveryOutcomeHasADispositionOfSP1500_101(t *testing.T) {
	words := map[string]bool{}
	for _, o := range append(audit.Outcomes(), "") {
		words[o.Disposition()] = true
	}
	if got := slices.Sorted(maps.Keys(words)); !slices.Equal(got, []string{"failure", "na", "other", "success"}) {
		t.Errorf("dispositions %v", got)
	}
}

// FuzzParse feeds any bytes to the entry parser. Properties: what it accepts the
// strict codec accepts as well, with the same result, and encodes to the same
// bytes; it holds no unprintable text.
func FuzzParse(f *testing.F) {
	seed := audit.Entry{Seq: 9, Boot: bootA, MonoUS: 5, Wall: "2026-11-03T07:00:00.000000Z", WallTrusted: true, Event: audit.PackageStage, Phase: audit.PhaseOutcome,
		Ref: 4, Subject: audit.Subject{Package: "p"}, Outcome: audit.Held, Fields: map[string]string{"files": "3", "detail": "x"}}
	b, err := seed.Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte(`{"seq":0,"boot":"` + bootA + `","mono_us":0,"wall":"2026-11-03T07:00:00.000000Z","wall_trusted":false,"event":"log.opened","phase":"event"}`))
	f.Add([]byte(`{}`))
	for _, edit := range [][2]string{ // what the quick way of the parser must leave to the codec, or refuse
		{`"detail":"x"`, `"detail":"a \"quoted\" \\ word"`}, {`"detail":"x"`, `"detail":"Maß"`}, {`"detail":"x"`, `"detail":""`}, {`"detail":"x"`, `"detail":"\u0041"`},
		{`"detail":"x","files":"3"`, `"files":"3","detail":"x"`}, {`"detail":"x"`, `"files":"3"`}, {`"fields":{"detail":"x","files":"3"}`, `"fields":{}`},
		{`"seq":9`, `"seq":09`}, {`"seq":9`, `"seq":9007199254740991`}, {`"seq":9`, `"seq":9007199254740992`}, {`"seq":9`, `"seq":999999999999999`}, {`"seq":9`, `"seq":-9`}, {`"seq":9`, `"seq":`},
		{`"ref":4`, `"ref":0`}, {`"subject":{"package":"p"}`, `"subject":{}`}, {`"subject":{"package":"p"}`, `"subject":{"package":""}`},
		{`"subject":{"package":"p"}`, `"subject":{"medium":"m","package":"p","manifest":"f","station":"s","person":"q"}`}, {`"subject":{"package":"p"}`, `"subject":{"package":"p","medium":"m"}`},
		{`"subject":{"package":"p"}`, `"subject":{"package":"p",}`}, {`"subject":{"package":"p"}`, `"subject":{"package":"p","package":"p"}`}, {`"outcome":"held"`, `"outcome":""`},
		{`true`, `false`}, {`true`, `null`}, {`}}`, `}} `}, {`}}`, `}`}, {`"detail":"x",`, `"detail":"x"`},
	} {
		in := bytes.Replace(b, []byte(edit[0]), []byte(edit[1]), 1)
		if bytes.Equal(in, b) {
			f.Fatalf("%s is not in %s", edit[0], b)
		}
		f.Add(in)
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		e, err := audit.Parse(in)
		if err != nil {
			return
		}
		var strict audit.Entry
		if err := strictjson.DecodeCanonical(in, &strict, translog.MaxEntry); err != nil || !reflect.DeepEqual(&strict, e) {
			t.Fatalf("%q is %+v, and for the codec %+v, %v", in, e, strict, err)
		}
		out, err := e.Encode()
		if err != nil || !bytes.Equal(in, out) {
			t.Fatalf("%q encodes as %q, %v", in, out, err)
		}
		if e.Time().IsZero() && !strings.HasPrefix(e.Wall, "0001-01-01") {
			t.Fatalf("no time in %q", e.Wall)
		}
	})
}
