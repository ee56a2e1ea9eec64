package cli_test

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"sallyport/internal/testoffice"
)

// withoutTime removes what differs from call to call of any command.
func withoutTime(doc map[string]any) map[string]any {
	for _, volatile := range []string{"daemon", "log_entries", "free_bytes", "package_id", "folder", "image", "digest", "seq", "file", "checkpoint", "sealed"} {
		delete(doc, volatile)
	}
	return doc
}

// Every command prints one JSON document with --json, and the same one whether
// a daemon answers or the command opens the station itself.
func TestJSONWithAndWithoutDaemon(t *testing.T) {
	o := office(t)
	s, err := o.Join("json", "ems", testoffice.ElectionID)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := o.EMS.Sallyport("version"); err != nil {
		t.Fatal(err)
	}
	p, err := o.Source.Seal("--audience", "*", "--stream", "json", "--kind", "election-definition", "--election", testoffice.ElectionID, o.Small("definition.json"))
	if err != nil {
		t.Fatal(err)
	}
	img := fatOf(t, p)
	if r := at(t, s, "--json", "intake", img); r.status != 0 || r.err != "" || document(t, r.out)["verdict"] != "accepted" {
		t.Fatalf("intake: exit status %d\n%s%s", r.status, r.out, r.err)
	}
	held := document(t, at(t, s, "--json", "intake", unknown(t)).out)
	item := held["packages"].([]any)[0].(map[string]any)["item"].(string)
	n := 0
	out := func(kind string) string {
		n++
		return filepath.Join(t.TempDir(), kind)
	}
	commands := map[string]struct {
		station *testoffice.Station
		args    func() []string
		status  int
	}{
		"version":         {s, func() []string { return []string{"version"} }, 0},
		"status":          {s, func() []string { return []string{"status"} }, 0},
		"inspect":         {s, func() []string { return []string{"inspect", "--hash", img} }, 0},
		"quarantine list": {s, func() []string { return []string{"quarantine", "list"} }, 0},
		"quarantine show": {s, func() []string { return []string{"quarantine", "show", "--verify", item} }, 0},
		"media list":      {s, func() []string { return []string{"media", "list"} }, 0},
		"no medium":       {s, func() []string { return []string{"media", "show", "nothing"} }, 2},
		"no item":         {s, func() []string { return []string{"quarantine", "show", "nothing"} }, 2},
		"log show":        {s, func() []string { return []string{"log", "show", "--event", "medium.verdict"} }, 0},
		"log explain":     {s, func() []string { return []string{"log", "explain", "1"} }, 0},
		"no entry":        {s, func() []string { return []string{"log", "explain", "999999"} }, 2},
		"slip":            {s, func() []string { return []string{"slip", item} }, 0},
		"slip as a page":  {s, func() []string { return []string{"slip", item, "--html", out("slip")} }, 0},
		"slip of nothing": {s, func() []string { return []string{"slip", "nothing"} }, 2},
		"trust show":      {s, func() []string { return []string{"trust", "show"} }, 0},
		"station request": {s, func() []string { return []string{"station", "request", "--out", out("request")} }, 0},
		"station measure": {o.Source, func() []string { return []string{"station", "measure", "--out", out("measurement")} }, 0},
		"trust root":      {s, func() []string { return []string{"trust", "root", "--out", out("root")} }, 0},
		"trust key":       {s, func() []string { return []string{"trust", "key", "--out", out("key")} }, 0},
		"trust install":   {s, func() []string { return []string{"trust", "install", o.Small("definition.json")} }, 1},
		"ems elections":   {s, func() []string { return []string{"ems", "elections"} }, 0},
		"ems tally":       {s, func() []string { return []string{"ems", "tally"} }, 0},
		"ems tally quick": {s, func() []string { return []string{"ems", "tally", "--quick"} }, 0},
		"ems status":      {s, func() []string { return []string{"ems", "status"} }, 0},
		"ems write-ins":   {s, func() []string { return []string{"ems", "write-ins", testoffice.ElectionID} }, 0},
		"ems create":      {s, func() []string { return []string{"ems", "create", out("desk.db")} }, 0},
		"no one's step": {s, func() []string {
			return []string{"ems", "set-status", testoffice.ElectionID, "certified", "--who", "county clerk", "--why", "canvass"}
		}, 1},
		"no election":      {s, func() []string { return []string{"ems", "tally", "nowhere"} }, 2},
		"intake, no image": {s, func() []string { return []string{"intake", "/none"} }, 2},
		"replay":           {s, func() []string { return []string{"intake", img} }, 3},
		"not permitted": {s, func() []string {
			return []string{"seal", "--kind", "media-set", "--audience", "*", "--out", out("p"), img}
		}, 1},
		"no authority": {s, func() []string {
			return []string{"authority", "reissue", "--out", out("b")}
		}, 2},
		"no command": {s, func() []string { return []string{"frobnicate"} }, 2},
		"init again": {s, func() []string { return []string{"init", "--root", o.Dir + "/root.json"} }, 1},
		"seal": {o.Source, func() []string {
			return []string{"seal", "--kind", "media-set", "--audience", s.ID, "--out", out("p"), write(t, out("a.bin"), noise(n, 100))}
		}, 0},
		"seal to an image": {o.Source, func() []string {
			return []string{"seal", "--kind", "media-set", "--audience", s.ID, "--image", out("p"), write(t, out("a.bin"), noise(n, 100))}
		}, 0},
		"authority revoke": {o.Authority, func() []string {
			return []string{"authority", "revoke", "nobody", "--after", "0", "--out", out("b")}
		}, 2},
		"authority status": {o.Authority, func() []string { return []string{"authority", "status"} }, 0},
		"authority key":    {o.Authority, func() []string { return []string{"authority", "key", "--out", out("signer")} }, 0},
	}
	run := func() map[string]map[string]any {
		got := map[string]map[string]any{}
		for name, c := range commands {
			r := at(t, c.station, append([]string{"--json"}, c.args()...)...)
			if r.status != c.status || r.err != "" {
				t.Errorf("%s: exit status %d, want %d, and on the standard error %q\n%s", name, r.status, c.status, r.err, r.out)
			}
			doc := withoutTime(document(t, r.out))
			if failed := doc["error"] != nil; failed != (c.status == 1 || c.status == 2) {
				t.Errorf("%s: %s", name, r.out)
			} else if failed {
				e := doc["error"].(map[string]any)
				if e["code"] == "" || e["message"] == "" || strings.HasPrefix(e["message"].(string), "sallyport:") {
					t.Errorf("%s: %s", name, r.out)
				}
			}
			got[name] = doc
		}
		return got
	}
	alone := run()
	for _, st := range []*testoffice.Station{s, o.Source, o.Authority} {
		daemon(t, st)
	}
	served := run()
	for name := range commands {
		switch name {
		case "replay", "log show", "no entry", "quarantine list", "status": // each run adds to them
			continue
		}
		if !reflect.DeepEqual(alone[name], served[name]) {
			t.Errorf("%s: alone %v\nwith a daemon %v", name, alone[name], served[name])
		}
	}
	if n < 10 {
		t.Errorf("only %d files asked for", n)
	}
}

// The text answers are the same too.
func TestTextWithAndWithoutDaemon(t *testing.T) {
	o := office(t)
	shows := [][]string{{"quarantine", "list"}, {"trust", "show"}, {"ems", "elections"}, {"log", "show", "--event", "station.init"}, {"log", "explain", "1"}, {"version"}}
	var alone []string
	for _, args := range shows {
		alone = append(alone, must(t, o.EMS, args...))
	}
	daemon(t, o.EMS)
	for i, args := range shows {
		if got := must(t, o.EMS, args...); got != alone[i] || got == "" {
			t.Errorf("%v: alone\n%s\nwith a daemon\n%s", args, alone[i], got)
		}
	}
	if out := must(t, o.EMS, "status"); !strings.Contains(out, "sallyportd answers") {
		t.Error(out)
	}
}

// A station that another process has open says so.
func TestBusyStation(t *testing.T) {
	o := office(t)
	daemon(t, o.EMS)
	// The daemon runs and holds the state, but its socket is gone.
	if err := os.Rename(o.EMS.File("control.sock"), o.EMS.File("away.sock")); err != nil {
		t.Fatal(err)
	}
	r := at(t, o.EMS, "status")
	if err := os.Rename(o.EMS.File("away.sock"), o.EMS.File("control.sock")); err != nil {
		t.Fatal(err)
	}
	if r.status != 5 || !strings.Contains(r.err, "in use by another process") || !strings.Contains(r.err, "try again") {
		t.Errorf("exit status %d: %s", r.status, r.err)
	}
}

func TestEveryHelpTeaches(t *testing.T) {
	top := call(t, "--help")
	for _, words := range []string{"Exit status: 0 accepted", "3 held", "4 refused", "5 could not", "--json", "Ctrl-C", "make demo"} {
		if !strings.Contains(strings.Join(strings.Fields(top.out), " "), words) {
			t.Errorf("sallyport --help does not say %q", words)
		}
	}
	commands := []string{"init", "status", "watch", "intake", "inspect", "seal", "seal-again", "slip", "quarantine list", "quarantine show", "log show", "log explain", "log export", "log seal", "log bundle", "log events", "log peers", "log attest",
		"trust show", "trust identity",
		"media list", "media show", "media register", "media prepare", "media seal", "media handover", "media receive", "media sanitise", "media retire", "media import",
		"trust root", "trust key", "trust install", "station request", "station activate", "station handover", "station measure",
		"authority init", "authority adopt", "authority key", "authority new-key", "authority challenge", "authority admit", "authority revoke", "authority change",
		"authority approve", "authority hybrid", "authority reissue", "authority rotate", "authority show", "authority sign", "authority discard", "authority status", "authority publish",
		"ems elections", "ems status", "ems tally", "ems close-polls", "ems set-status", "ems write-ins", "ems adjudicate", "ems manual", "ems rules", "ems create",
		"ems new", "ems edit", "ems set", "ems drafts", "ems diff", "ems check", "ems styles", "ems proof", "ems definition", "ems programming",
		"ems deck make", "ems deck run", "ems deck compare", "ems deck sign", "ems deck status", "ems zero",
		"ems import", "ems export", "ems sample", "ems report", "ems rollup", "version"}
	listed := strings.Count(top.out[strings.Index(top.out, "Commands:"):], "\n  ") - strings.Count(top.out[strings.Index(top.out, "Commands:"):], "\n   ")
	if listed != len(commands) {
		t.Errorf("%d commands are listed, %d are known here", listed, len(commands))
	}
	for _, c := range commands {
		r := call(t, append(strings.Fields(c), "--help")...)
		if r.status != 0 || !strings.Contains(r.out, "Exit status: 0") || !strings.Contains(r.out, "sallyport "+c) {
			t.Errorf("sallyport %s --help, exit status %d:\n%s", c, r.status, r.out)
		}
		for line := range strings.Lines(r.out) {
			if len([]rune(line)) > 101 {
				t.Errorf("%s: a line of %d characters: %s", c, len([]rune(line)), line)
			}
		}
	}
}
