// Package internal_test holds the architecture to its word: which package may
// import which, what the programs must not contain, and that each package says
// what it is.
package internal_test

import (
	"encoding/json"
	"go/parser"
	"go/token"
	"maps"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "sallyport/"

// rule says what a package may import of the project, and why no more.
type rule struct {
	may    string // packages below internal, separated by spaces
	reason string
}

// table is the whole house. A new package, and a new arrow between two, is a
// decision that is written down here.
var table = map[string]rule{
	"cmd/sallyport":        {"cli", "main only"},
	"cmd/sallyportd":       {"daemon", "main only"},
	"cmd/sallyport-usbd":   {"usbd", "main only; the privileged process"},
	"cmd/sallyport-reader": {"reader/child", "main only; the child's closure is what an attacker's file system meets"},
	"cmd/sallyport-verify": {"verifycmd", "main only; the checker must be buildable without a station"},

	"internal/verdict":    {"", "a leaf: the words everybody shares"},
	"internal/limit":      {"", "a leaf: budgets"},
	"internal/medium":     {"", "a leaf: the words of a listing, shared by both sides of the reader"},
	"internal/naming":     {"", "a leaf: the grammar of names"},
	"internal/durable":    {"", "a leaf: crash-safe files"},
	"internal/strictjson": {"", "a leaf: the strict codec"},
	"internal/service":    {"", "a leaf: systemd's sockets and words"},
	"internal/unixsock":   {"", "a leaf: what unix sockets carry besides bytes"},
	"internal/sandbox":    {"", "a leaf: it must be in force before anything else of ours runs"},
	"internal/fat32":      {"", "a leaf: makes file systems of our own files; it knows no package and no key, and reads no foreign medium"},

	"internal/dsse":       {"limit strictjson", "a format knows nothing of devices, keys' owners or stores"},
	"internal/manifest":   {"dsse limit naming strictjson verdict", "a format; who is trusted stands behind its Policy interface"},
	"internal/tpm/attest": {"dsse strictjson", "statements of TPMs are judged without a TPM"},
	"internal/trust":      {"dsse durable limit manifest naming strictjson tpm/attest translog verdict", "a format and its store; the TPM itself is not needed to judge others"},
	"internal/config":     {"naming usb", "a format; it shares the grammar of names and of USB rules"},
	"internal/eventlog":   {"", "a leaf: bytes to words; the TPM's own values are compared by whoever has them"},
	"internal/translog":   {"durable strictjson", "a format: the log knows bytes, not events"},
	"internal/audit":      {"strictjson translog verdict", "the catalogue of events over the log"},
	"internal/logexport":  {"audit strictjson translog verdict", "writes the log in others' formats; it needs no station to do so"},
	"internal/slip":       {"verdict", "a page for people; what stands on it comes from the log, through its caller"},
	"internal/evidence":   {"audit limit manifest strictjson tpm/attest translog trust verdict", "a format: it judges a file by the formats in it, and opens no store and no TPM"},
	"internal/verifycmd":  {"audit evidence strictjson tpm/attest translog trust verdict", "the independent checker imports only the formats"},

	"internal/tpm":    {"dsse tpm/attest verdict", "the only owner of the TPM"},
	"internal/signer": {"dsse durable verdict", "keys of authorities outside a TPM; who is trusted is not its business"},

	"internal/volume/layout":    {"limit medium verdict", "parsers take bytes and give shapes"},
	"internal/volume/parttable": {"limit verdict volume/layout", "as above"},
	"internal/volume/fat":       {"medium verdict volume/layout", "as above"},
	"internal/volume/exfat":     {"medium verdict volume/layout", "as above"},
	"internal/volume/ext":       {"medium verdict volume/layout", "as above"},
	"internal/volume/ntfs":      {"limit medium verdict volume/layout", "as above"},
	"internal/volume/iso9660":   {"medium verdict volume/layout", "as above"},
	"internal/volume/udf":       {"medium verdict volume/layout", "as above"},
	"internal/volume":           {"limit medium verdict volume/exfat volume/ext volume/fat volume/iso9660 volume/layout volume/ntfs volume/parttable volume/udf", "as above"},
	"internal/reader/wire":      {"limit medium sandbox verdict", "the protocol; shared by both sides, so it parses no media"},
	"internal/reader/child":     {"medium reader/wire sandbox verdict volume", "the confined side: all media parsers, nothing of the station"},
	"internal/reader":           {"limit medium reader/wire sandbox verdict", "the wary side: no media parser may come into the daemon"},

	"internal/usb":      {"verdict", "decides by what sysfs shows; it opens no device"},
	"internal/usb/link": {"strictjson unixsock usb verdict", "a format: what the two processes say to each other"},
	"internal/usbd":     {"config service uevent usb usb/link verdict", "the privileged side: devices, and nothing of media, keys or stores"},
	"internal/uevent":   {"", "hints of the kernel; what they mean is for whoever reads sysfs"},

	"internal/floor": {"durable strictjson", "what the TPM remembers of the state; it knows numbers, not what they count"},
	"internal/vault": {"durable strictjson verdict", "keeps bytes; decides nothing"},

	"internal/gossip":  {"durable strictjson translog verdict", "what other stations' logs showed; it trusts nobody, its callers verified the signatures"},
	"internal/custody": {"durable naming strictjson verdict", "the register of media; it reads no medium, and others write its log"},

	"internal/ems/model":    {"", "ems knows nothing of media, packages or trust"},
	"internal/ems/election": {"ems/model", "definitions as people work on them; knows no store and no ballots"},
	"internal/ems/results":  {"ems/model", "results as they are reported; knows no ballots and no files"},
	"internal/ems/vendor":   {"ems/dialect ems/election ems/model", "vendors' records in the core's terms; reads no files itself"},
	"internal/ems/define":   {"ems/election", "the desk at which definitions are made; it keeps none and counts nothing"},
	"internal/ems/proof":    {"ems/define ems/election ems/page", "lays out definitions as ballots to proof; knows no votes and no files"},
	"internal/ems/cdf":      {"ems/election ems/model verdict", "as above"},
	"internal/ems/deck":     {"ems/election ems/model strictjson verdict", "what test ballots must count to is worked out without the code that counts"},
	"internal/ems/tally":    {"ems/model verdict", "as above"},
	"internal/ems/store":    {"durable", "as above"},
	"internal/ems/audits":   {"ems ems/model ems/rla ems/tally", "what a core holds, as audits take it"},
	"internal/ems/rla":      {"verdict", "a leaf: inputs of audits from neutral values; ems knows nothing of Arlo, and this nothing of ems"},
	"internal/ems/rcv":      {"strictjson", "a pure library of ranked-choice rules; it reads no records and knows no elections"},
	"internal/ems":          {"ems/cdf ems/deck ems/dialect ems/election ems/model ems/rcv ems/results ems/store ems/tally ems/vendor verdict", "the core"},

	"internal/ems/clarity": {"verdict", "a leaf: reads others' published results into neutral values"},
	"internal/ems/dialect": {"verdict", "a leaf: foreign formats to a neutral stream; it knows no election definition and no store"},
	"internal/ems/report":  {"ems/cdf ems/clarity ems/election ems/model ems/page ems/results", "what is published of results; it knows no ballots and no store"},
	"internal/ems/page":    {"", "a leaf: prints documents; it knows nothing of votes, so it can reveal none it was not given"},

	"internal/intake":    {"audit durable ems limit manifest medium reader strictjson tpm translog vault verdict", "the only sequencer"},
	"internal/hotplug":   {"intake usb usb/link verdict", "the daemon's side of live USB; it decides nothing"},
	"internal/control":   {"strictjson unixsock", "carries answers; how they are made stands behind its Handler"},
	"internal/authority": {"dsse durable manifest strictjson tpm/attest trust verdict", "the desk; it opens no TPM and knows no media"},
	"internal/station":   {"audit authority config control custody dsse durable ems ems/results evidence floor gossip hotplug intake limit manifest reader strictjson tpm tpm/attest translog trust vault verdict", "the wiring"},
	"internal/daemon":    {"config service station verdict", "the program around the station; nothing of the command line"},
	"internal/cli":       {"audit authority config control custody durable ems ems/audits ems/cdf ems/clarity ems/deck ems/define ems/dialect ems/election ems/model ems/page ems/proof ems/report ems/results ems/rla ems/vendor eventlog evidence fat32 hotplug intake limit logexport manifest medium naming reader signer slip station strictjson translog trust verdict", "the command line, which opens the station itself when no daemon runs"},
}

// testOnly packages may be imported by tests and by each other alone.
var testOnly = []string{"internal/testtool", "internal/testcore", "internal/testmedia", "internal/testmedia/corpus", "internal/testelection", "internal/testcounty", "internal/testoffice", "internal/tpm/tpmtest", "internal/demo", "internal/demo/ceremony", "internal/bench", "internal/bench/fatimage", "internal/e2e", "internal/e2e/agent", "internal/e2e/wire"}

// closure says what must not be linked into a program, and why.
var closure = map[string]map[string]string{
	"cmd/sallyport-reader": {
		"net": "the reader has no business with addresses", "net/http": "no network", "os/exec": "the reader starts nothing",
		"database/sql": "the reader stores nothing", "github.com/google/go-tpm/tpm2": "the reader has no keys", "sallyport/internal/manifest": "the reader judges nothing",
	},
	"cmd/sallyport-usbd": {
		"net/http": "no network", "crypto/tls": "no network", "os/exec": "the privileged process starts nothing", "database/sql": "it keeps nothing",
		"runtime/cgo": "static programs", "github.com/google/go-tpm/tpm2": "it has no keys",
		"sallyport/internal/dsse": "it judges no media", "sallyport/internal/volume": "it reads no media", "sallyport/internal/reader": "it reads no media",
		"sallyport/internal/vault": "it keeps nothing", "sallyport/internal/audit": "the log is sallyportd's",
	},
	"cmd/sallyport-verify": {
		"net/http": "no network", "os/exec": "the checker starts nothing", "database/sql": "the checker needs files and keys alone",
		"sallyport/internal/tpm": "the checker needs no TPM", "sallyport/internal/volume": "the checker reads no media",
	},
	"cmd/sallyportd": {
		"net/http": "no network", "crypto/tls": "no network", "runtime/cgo": "static programs",
		"sallyport/internal/volume": "media are parsed in the confined reader alone", "sallyport/internal/reader/child": "as above",
		"sallyport/internal/signer": "the daemon signs with its TPM alone and starts nothing but the reader",
	},
	"cmd/sallyport": {
		"net/http": "no network", "crypto/tls": "no network", "runtime/cgo": "static programs",
		"sallyport/internal/volume": "media are parsed in the confined reader alone", "sallyport/internal/reader/child": "as above",
	},
}

// forbidden imports of our own packages, with the exceptions that are allowed.
var forbidden = map[string]struct {
	reason string
	but    []string
}{
	"net":           {"the only sockets are unix sockets, and only these packages open them", []string{"internal/control", "internal/reader", "internal/tpm", "internal/cli", "internal/unixsock", "internal/usb/link", "internal/service", "internal/usbd", "internal/station"}},
	"os/exec":       {"only the reader is started, and by the command line pkcs11-tool: static programs cannot load a PKCS#11 module", []string{"internal/reader", "internal/signer"}},
	"unsafe":        {"system calls without a wrapper in x/sys", []string{"internal/control", "internal/sandbox", "internal/vault", "internal/reader", "internal/reader/child"}},
	"encoding/json": {"it accepts duplicates, other case and bad UTF-8: use strictjson", nil},
	"math/rand":     {"identifiers come from crypto/rand", nil},
	"math/rand/v2":  {"as above", nil},
	"log":           {"zerolog is passed in", nil},
	"plugin":        {"static programs", nil},

	"github.com/hanwen/go-fuse/v2/fuse": {"devices that fail are for tests", nil},
}

type pkg struct {
	ImportPath string
	Dir        string
	GoFiles    []string
	Imports    []string
	Deps       []string
}

func list(t *testing.T) map[string]pkg {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Dir,GoFiles,Imports,Deps", "./...")
	cmd.Dir = ".."
	cmd.Env = append(cmd.Environ(), "CGO_ENABLED=0") // as the programs are built
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	all := map[string]pkg{}
	for d := json.NewDecoder(strings.NewReader(string(out))); d.More(); {
		var p pkg
		if err := d.Decode(&p); err != nil {
			t.Fatal(err)
		}
		if len(p.GoFiles) > 0 {
			all[strings.TrimPrefix(p.ImportPath, module)] = p
		}
	}
	return all
}

func TestImportsGoOneWay(t *testing.T) {
	all := list(t)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		p := all[name]
		if slices.Contains(testOnly, name) {
			continue
		}
		r, ok := table[name]
		if !ok {
			t.Errorf("%s is not in the table: say what it may import and why", name)
			continue
		}
		may := strings.Fields(r.may)
		for _, imp := range p.Imports {
			ours, ok := strings.CutPrefix(imp, module)
			if !ok {
				if f, bad := forbidden[imp]; bad && !slices.Contains(f.but, name) {
					t.Errorf("%s imports %s: %s", name, imp, f.reason)
				}
				continue
			}
			below := strings.TrimPrefix(ours, "internal/")
			if !slices.Contains(may, below) {
				t.Errorf("%s imports %s, which the table does not allow (%s)", name, ours, r.reason)
			}
			may = slices.DeleteFunc(may, func(s string) bool { return s == below })
		}
		if len(may) > 0 {
			t.Errorf("%s no longer imports %v: take it out of the table", name, may)
		}
	}
	for name := range table {
		if _, ok := all[name]; !ok {
			t.Errorf("the table names %s, which does not exist", name)
		}
	}
}

func TestProgramsDoNotHoldWhatTheyMustNot(t *testing.T) {
	all := list(t)
	for program, banned := range closure {
		p, ok := all[program]
		if !ok {
			t.Fatalf("%s does not exist", program)
		}
		for _, dep := range p.Deps {
			if reason, bad := banned[dep]; bad {
				t.Errorf("%s links %s: %s", program, dep, reason)
			}
			if slices.Contains(testOnly, strings.TrimPrefix(dep, module)) || dep == "testing" || strings.HasPrefix(dep, "github.com/hanwen/go-fuse/") {
				t.Errorf("%s links %s, which is for tests alone", program, dep)
			}
		}
	}
}

func TestEveryPackageSaysWhatItIs(t *testing.T) {
	for name, p := range list(t) {
		var comments []string
		for _, file := range p.GoFiles {
			f, err := parser.ParseFile(token.NewFileSet(), filepath.Join(p.Dir, file), nil, parser.ParseComments|parser.PackageClauseOnly)
			if err != nil {
				t.Fatal(err)
			}
			if f.Doc != nil {
				comments = append(comments, f.Doc.Text())
			}
		}
		if len(comments) != 1 || len(strings.Fields(comments[0])) < 10 {
			t.Errorf("%s has %d package comments, want one that says what it is and how far its inputs are trusted", name, len(comments))
		}
	}
}
