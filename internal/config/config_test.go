package config

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sallyport/internal/usb"
)

const example = "../../systemd/sallyport.toml"

// least is the shortest valid file.
const least = `[station]
id = "precinct-12"
name = "Precinct 12, Rathaus – großer Saal"
role = "source"
jurisdiction = "ocd-division/country:us/state:xx"
`

func load(t *testing.T, content string) (*Config, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "sallyport.toml")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return Load(path)
}

func TestTheShippedExampleIsValidAndNamesEveryKeyAndDefault(t *testing.T) {
	got, err := Load(example)
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(example)
	if err != nil {
		t.Fatal(err)
	}
	c := newChecker(example, data)
	c.walk()
	if d := cmp.Diff(slices.Sorted(maps.Keys(keys)), slices.Sorted(maps.Keys(c.lines))); d != "" {
		t.Errorf("the keys of the example are not those of the program:\n%s", d)
	}
	// What the example calls a default is one: without those lines the same comes out.
	var short []string
	for line := range strings.Lines(string(data)) {
		name, _, _ := strings.Cut(line, " = ")
		switch name {
		case "id", "name", "role", "jurisdiction", "reader", "[station]\n":
			short = append(short, line)
		}
	}
	bare, err := load(t, strings.Join(short, ""))
	if err != nil {
		t.Fatal(err)
	}
	got.File, bare.File, got.SHA256, bare.SHA256 = "", "", [32]byte{}, [32]byte{}
	lists := []*[]string{&got.Station.Elections, &got.USB.In, &got.USB.Out, &got.USB.Keyboard, &got.USB.SecurityKey, &got.USB.Allow}
	for i, list := range lists {
		if *list == nil || len(*list) > 0 {
			t.Errorf("list %d of the example must be there and empty", i)
		}
		*list = nil
	}
	if len(got.Control.OperatorUIDs)+len(got.Control.OperatorGIDs) > 0 || got.USB.Live() {
		t.Error("the example must let nobody and nothing in")
	}
	if !slices.Equal(got.Control.OperatorGroups, []string{"sallyport-operators"}) {
		t.Errorf("the example's groups are %q; systemd/sallyport.sysusers makes sallyport-operators", got.Control.OperatorGroups)
	}
	got.Control.OperatorUIDs, got.Control.OperatorGIDs, got.Control.OperatorGroups = nil, nil, nil
	if d := cmp.Diff(bare, got); d != "" {
		t.Errorf("a value of the example is not the default:\n%s", d)
	}
}

func TestEveryKeyArrives(t *testing.T) {
	content := `state_dir = "state"
tpm = "swtpm:tpm/sock"
production = false
reader = "../bin/sallyport-reader"
control = { socket = "/run/x.sock", operator_uids = [1000, 4294967294], operator_gids = [0], operator_groups = ["staff"] }
log.level = "debug"

[limits]
quarantine_max_bytes = 5_000_000
reserve_bytes = 0x100000
stall = "1m30s"
total = "1h"

[media]
register = "required"
single_use = true
two_custodians = true

[usb]
socket = "usb.sock"
user = "ems"
in = ["1-1", "2-1.4"]
out = ["1-2"]
keyboard = ["1-3"]
security_key = ["1-4"]
allow = ["0781:*", "0781:5581:4C 53:x"]
min_bytes = 512
max_bytes = 1024
sector_bytes = [2048]

` + least + `elections = ["2026-11-03-general", "2027-05-04/primary"]
`
	got, err := load(t, content)
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Dir(got.File)
	want := &Config{
		Station: Station{
			ID: "precinct-12", Name: "Precinct 12, Rathaus – großer Saal", Role: "source", Jurisdiction: "ocd-division/country:us/state:xx",
			Elections: []string{"2026-11-03-general", "2027-05-04/primary"},
		},
		StateDir: dir + "/state",
		TPM:      "swtpm:" + dir + "/tpm/sock",
		Reader:   filepath.Dir(dir) + "/bin/sallyport-reader",
		Control:  Control{Socket: "/run/x.sock", OperatorUIDs: []uint32{1000, 1<<32 - 2}, OperatorGIDs: []uint32{0}, OperatorGroups: []string{"staff"}},
		USB: USB{
			Socket: dir + "/usb.sock", User: "ems", In: []string{"1-1", "2-1.4"}, Out: []string{"1-2"}, Keyboard: []string{"1-3"}, SecurityKey: []string{"1-4"},
			Allow: []string{"0781:*", "0781:5581:4C 53:x"}, MinBytes: 512, MaxBytes: 1024, SectorBytes: []int64{2048},
		},
		Media:  Media{Register: "required", SingleUse: true, TwoCustodians: true},
		Limits: Limits{QuarantineMaxBytes: 5_000_000, ReserveBytes: 1 << 20, Stall: 90 * time.Second, Total: time.Hour},
		Log:    Log{Level: "debug"},
		File:   dir + "/sallyport.toml", SHA256: sha256.Sum256([]byte(content)),
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	policy := &usb.Policy{
		Ports:    []usb.Port{{Path: "1-1", Role: usb.In}, {Path: "2-1.4", Role: usb.In}, {Path: "1-2", Role: usb.Out}, {Path: "1-3", Role: usb.Keyboard}, {Path: "1-4", Role: usb.SecurityKey}},
		Rules:    []usb.Rule{{Vendor: "0781"}, {Vendor: "0781", Product: "5581", Serial: "4C 53:x"}},
		MinBytes: 512, MaxBytes: 1024, SectorBytes: []int64{2048},
	}
	if d := cmp.Diff(policy, got.USB.Policy()); d != "" || !got.USB.Live() {
		t.Error(d)
	}
}

func TestDefaults(t *testing.T) {
	got, err := load(t, least)
	if err != nil {
		t.Fatal(err)
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if !got.Production || got.TPM != "device:/dev/tpmrm0" {
		t.Error("a file that does not say otherwise must demand a hardware TPM")
	}
	if got.Reader != filepath.Join(filepath.Dir(exe), "sallyport-reader") {
		t.Errorf("the reader is %s, want it beside the running program", got.Reader)
	}
	if len(got.Control.OperatorUIDs)+len(got.Control.OperatorGIDs)+len(got.Station.Elections) != 0 {
		t.Error("something is allowed that the file does not name")
	}
}

func TestRelativePathsStartAtTheFileWhereverTheProgramStarts(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "a.toml"), []byte(`state_dir = "state"`+"\n"+least), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Chdir(filepath.Dir(dir))
	got, err := Load(filepath.Join(filepath.Base(dir), "a.toml"))
	if err != nil || got.StateDir != filepath.Join(dir, "state") {
		t.Fatalf("state_dir is %+v (%v), want it below %s", got, err, dir)
	}
}

func TestMistakesAreNamedWithLineAndKey(t *testing.T) {
	for _, c := range []struct{ name, in, want string }{
		{"unknown key", least + "rol = \"ems\"\n", ":6: station.rol: unknown key; [station] may hold elections, id, jurisdiction, name, role"},
		{"unknown key at the top", "stat_dir = \"x\"\n" + least, ":1: stat_dir: unknown key; the file may hold production, reader, state_dir, tpm, [control], [limits], [log], [media], [station]"},
		{"unknown table", least + "[network]\nlisten = \"0.0.0.0\"\n", ":6: network: unknown table"},
		{"unknown inner table", least + "[station.keys]\nx = 1\n", ":6: station.keys: unknown table"},
		{"another case", "State_Dir = \"x\"\n" + least, ":1: State_Dir: unknown key"},
		{"one key in two cases", strings.Replace(least, "role =", "Role = \"ems\"\nrole =", 1), ":4: station.Role: unknown key"},
		{"table in another case", strings.Replace(least, "[station]", "[Station]", 1), ":1: Station: unknown table"},
		{"table twice", least + "[station]\n", ":6: "},
		{"key twice", least + "id = \"x\"\n", ":6: station.id: stands in line 2 already"},
		{"key twice, dotted", "station.id = \"a\"\n" + least, ":3: station.id: stands in line 1 already"},
		{"array of tables", least + "[[log]]\nlevel = \"info\"\n", ":6: log: write [log] once"},
		{"text for a number", least + "[limits]\nreserve_bytes = \"1 GiB\"\n", ":7: limits.reserve_bytes: must be a whole number"},
		{"fraction", least + "[limits]\nreserve_bytes = 1e9\n", ":7: limits.reserve_bytes: must be a whole number"},
		{"number for a text", "state_dir = 1\n" + least, ":1: state_dir: must be a text"},
		{"text for a list", least + "elections = \"a\"\n", ":6: station.elections: must be a list of texts"},
		{"list of numbers", least + "elections = [1]\n", ":6: station.elections: must be a list of texts"},
		{"table for a text", "tpm = { address = \"x\" }\n" + least, ":1: tpm: must be a text"},
		{"text for a table", "log = \"debug\"\n" + least, ":1: log: unknown key"},
		{"text for a flag", "production = \"no\"\n" + least, ":1: production: must be true or false"},
		{"no TOML", least + "what now?\n", ":6: not valid TOML"},
		{"not ended", least + "elections = [\"a\"", ":6: not valid TOML"},
		{"invalid UTF-8", "tpm = \"\xff\"\n" + least, ":1: "},
		{"uid below zero", least + "[control]\noperator_uids = [-1]\n", ":7: control.operator_uids: "},
		{"uid over 32 bits", least + "[control]\noperator_uids = [4294967296]\n", ":7: control.operator_uids: "},
		{"uid of nobody at all", least + "[control]\noperator_uids = [4294967295]\n", ":7: control.operator_uids: 4294967295 means no user"},
		{"too many users", least + "[control]\noperator_uids = [" + strings.Repeat("1,", 1000) + "]\n", ":7: control.operator_uids: has 1000 entries"},
		{"too many elections", least + "elections = [" + strings.Repeat("\"x\",", 300) + "]\n", ":6: station.elections: has 300 entries"},
		{"uid twice", least + "[control]\noperator_gids = [5, 5]\n", ":7: control.operator_gids: 5 stands there twice"},
		{"no id", strings.Replace(least, "id = \"precinct-12\"\n", "", 1), `.toml: station.id: is missing; add id = "precinct-12" below [station]`},
		{"bad id", strings.Replace(least, "precinct-12", "../x", 1), `:2: station.id: is "../x"; use`},
		{"empty name", strings.Replace(least, "Precinct 12, Rathaus – großer Saal", "", 1), ":3: station.name: must have"},
		{"name with a line end", strings.Replace(least, "Rathaus", `\n`, 1), ":3: station.name: must have"},
		{"bad role", strings.Replace(least, `"source"`, `"admin"`, 1), `:4: station.role: is "admin"; use one of source, ems, kiosk, authority`},
		{"bad jurisdiction", strings.Replace(least, "ocd-division", "*", 1), ":5: station.jurisdiction: is"},
		{"all elections", least + "elections = [\"*\"]\n", ":6: station.elections: \"*\" is not the id"},
		{"election twice", least + "elections = [\"a\", \"b\", \"a\"]\n", ":6: station.elections: \"a\" stands there twice"},
		{"software TPM in production", "tpm = \"swtpm:/x\"\n" + least, ":1: tpm: names a software TPM"},
		{"TPM without scheme", "tpm = \"/dev/tpmrm0\"\n" + least, `:1: tpm: is "/dev/tpmrm0"; use "device:`},
		{"TPM device relative", "tpm = \"device:tpmrm0\"\n" + least, ":1: tpm: is"},
		{"empty path", "state_dir = \"\"\n" + least, ":1: state_dir: is \"\""},
		{"empty reader", "reader = \"\"\n" + least, ":1: reader: is \"\""},
		{"path with a zero", "state_dir = \"a\\u0000b\"\n" + least, ":1: state_dir: is"},
		{"socket path too long", least + "[control]\nsocket = \"/" + strings.Repeat("a", 107) + "\"\n", ":7: control.socket: has 108 bytes"},
		{"no reserve", least + "[limits]\nreserve_bytes = 0\n", ":7: limits.reserve_bytes: is 0"},
		{"negative quarantine", least + "[limits]\nquarantine_max_bytes = -1\n", ":7: limits.quarantine_max_bytes: is -1"},
		{"no time", least + "[limits]\nstall = \"soon\"\n", `:7: limits.stall: is "soon"; use a time such as`},
		{"time without unit", least + "[limits]\ntotal = \"30\"\n", ":7: limits.total: is"},
		{"endless", least + "[limits]\ntotal = \"100000h\"\n", ":7: limits.total: is"},
		{"a group's number", least + "[control]\noperator_groups = [\"100\", \"a b\"]\n", `:7: control.operator_groups: "a b" is not the name`},
		{"no socket of USB", least + "[usb]\nin = [\"usb1\"]\n", `:7: usb.in: "usb1" is not the place of a USB socket; use its name in`},
		{"two roles", least + "[usb]\nin = [\"1-1\"]\nkeyboard = [\"1-1\"]\n", `:8: usb.keyboard: "1-1" stands in usb.in already`},
		{"no rule", least + "[usb]\nallow = [\"0781\"]\n", `:7: usb.allow: "0781" is no rule for devices; use`},
		{"rule in capitals", least + "[usb]\nallow = [\"0781:55AA\"]\n", `:7: usb.allow: "0781:55AA" is no rule`},
		{"half a fingerprint", least + "[usb]\nallow = [\"sha256:00\"]\n", `:7: usb.allow: "sha256:00" is no rule`},
		{"no range", least + "[usb]\nmin_bytes = 10\nmax_bytes = 9\n", `:8: usb.max_bytes: from 10 to 9 bytes is no range`},
		{"odd sectors", least + "[usb]\nsector_bytes = [520]\n", `:7: usb.sector_bytes: 520 is no size`},
		{"no sectors", least + "[usb]\nsector_bytes = []\n", `:7: usb.sector_bytes: is empty`},
		{"a user with a space", least + "[usb]\nuser = \"a b\"\n", `:7: usb.user: is "a b"`},
		{"no mode of the register", least + "[media]\nregister = \"on\"\n", `:7: media.register: is "on"; use one of`},
		{"single use without a register", least + "[media]\nsingle_use = true\n", `:7: media.single_use: is true while media.register is "off"`},
		{"bad level", "log.level = \"trace\"\n" + least, ":1: log.level: is \"trace\"; use one of"},
	} {
		got, err := load(t, c.in)
		if err == nil || got != nil {
			t.Errorf("%s: accepted", c.name)
		} else if !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: the error is\n%v\nand does not say\n%s", c.name, err, c.want)
		}
	}
}

func TestAllMistakesAreToldAtOnceInTheOrderOfLines(t *testing.T) {
	_, err := load(t, "log.level = \"loud\"\n[station]\nname = \"\"\nrole = \"x\"\njurisdiction = \"a\"\n[limits]\nstall = \"\"\n")
	var got []string
	for _, err := range err.(interface{ Unwrap() []error }).Unwrap() {
		var e *Error
		if !errors.As(err, &e) {
			t.Fatalf("not an *Error: %v", err)
		}
		got = append(got, fmt.Sprintf("%d %s", e.Line, e.Key))
	}
	want := []string{"0 station.id", "1 log.level", "3 station.name", "4 station.role", "7 limits.stall"}
	if !slices.Equal(got, want) {
		t.Fatalf("got %q, want %q", got, want)
	}
}

func TestAFileFullOfMistakesCostsNoMoreThanItsSize(t *testing.T) {
	for name, in := range map[string]string{
		"unknown keys": strings.Repeat("a=1\n", maxFile/4),
		"inline":       "x={" + strings.Repeat("a=1,", maxFile/4-2) + "b=1}",
		"nesting":      "station.elections=" + strings.Repeat("[", maxFile-20),
		"many ids":     "control.operator_uids=[" + strings.Repeat("1,", maxFile/2-20) + "1]",
	} {
		_, err := parse("f", []byte(in), "/", "/")
		if err == nil || strings.Count(err.Error(), "\n") >= maxProblems {
			t.Errorf("%s: %d bytes of error", name, len(err.Error()))
		}
	}
}

func TestFilesThatAreNotReadable(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a.toml")
	if _, err := Load(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a missing file gives %v", err)
	}
	if _, err := Load(dir); err == nil || !strings.Contains(err.Error(), "not a plain file") {
		t.Errorf("a folder gives %v", err)
	}
	if err := os.WriteFile(path, []byte(least), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o666); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(path); err == nil || !strings.Contains(err.Error(), "chmod o-w") {
		t.Errorf("a file that everybody may write gives %v", err)
	}
	if _, err := load(t, least+strings.Repeat("#", maxFile)); err == nil || !strings.Contains(err.Error(), "more than") {
		t.Errorf("a giant file gives %v", err)
	}
}

// FuzzParse: any file gives a configuration that keeps its rules, or errors that
// lie within the file.
func FuzzParse(f *testing.F) {
	shipped, err := os.ReadFile(example)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(shipped)
	f.Add([]byte(least))
	f.Add([]byte(least + "[limits]\nstall = \"1h\"\n[limits.x]\n"))
	f.Add([]byte("station = { id = \"a\", name = 'b', role = \"\"\"ems\"\"\", jurisdiction = \"x\" }\nlog.level = 'warn'\n"))
	f.Add([]byte("\"state_dir\" = \"\\u0000\"\n[[a]]\n[ station ] # x\nelections = [ [], {}, 1979-05-27 ]\n"))
	f.Fuzz(func(t *testing.T, in []byte) {
		if len(in) > maxFile {
			return
		}
		c, err := parse("f", in, "/etc/sallyport", "/usr/bin")
		if err != nil {
			joined, ok := err.(interface{ Unwrap() []error })
			if !ok || c != nil {
				t.Fatalf("got %v and the error %v (%T)", c, err, err)
			}
			for _, err := range joined.Unwrap() {
				var e *Error
				if !errors.As(err, &e) || e.Line < 0 || e.Line > strings.Count(string(in), "\n")+1 || e.Problem == "" {
					t.Fatalf("bad error %#v", err)
				}
			}
			return
		}
		_, tpm, _ := strings.Cut(c.TPM, ":")
		for _, p := range []string{c.StateDir, c.Reader, c.Control.Socket, tpm} {
			if !filepath.IsAbs(p) || filepath.Clean(p) != p {
				t.Fatalf("the path %q in %+v", p, c)
			}
		}
		if c.Production && !strings.HasPrefix(c.TPM, "device:") {
			t.Fatalf("a software TPM in production: %+v", c)
		}
		if c.Limits.ReserveBytes < 1<<20 || c.Limits.Stall < time.Second || c.Limits.Total < time.Minute || c.Station.ID == "" || c.Station.Role == "" {
			t.Fatalf("accepted %+v", c)
		}
	})
}
