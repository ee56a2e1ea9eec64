// Package verifycmd is the body of the program sallyport-verify: its command
// line, what it prints and its exit codes. It checks nothing itself (package
// audit does) and imports only the formats, so that it can be built and run
// where nothing of a station is. Everything it is pointed at is untrusted but
// the public keys that its user names.
package verifycmd

import (
	"context"
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/alecthomas/kong"

	"sallyport/internal/audit"
	"sallyport/internal/tpm/attest"
	"sallyport/internal/translog"
	"sallyport/internal/verdict"
)

// The exit codes.
const (
	ExitIntact    = 0 // everything sealed is intact
	ExitUsage     = 2 // the command line or a key file is wrong
	ExitDamaged   = 3 // damage or tampering was found
	ExitUnchecked = 5 // the log could not be checked to the end, or nothing in it is sealed
)

type commandLine struct {
	Log     logCommand     `cmd:"" help:"Check an audit log: every entry, every checkpoint and its anchor, and that nothing was changed, cut out, inserted or swapped."`
	Witness witnessCommand `cmd:"" help:"Check a checkpoint that was kept elsewhere (a receipt, a slip, evidence) against a log."`
	Bundle  bundleCommand  `cmd:"" help:"Check the evidence about one medium ('sallyport log bundle')."`
	Attest  attestCommand  `cmd:"" help:"Check a station's answer to a live challenge ('sallyport log attest')."`
}

// keys say whose log it is.
type keys struct {
	Key      []string `help:"Public log key of the station in PEM (SPKI, ECDSA P-256), as 'sallyport trust key' writes it. Repeat it for a station that changed its key." type:"existingfile" placeholder:"FILE.pem"`
	Identity string   `help:"TPM identity of the station, as 'sallyport trust identity' writes it: its log key, and what the anchors are checked with." type:"existingfile" placeholder:"FILE"`
}

type logCommand struct {
	Dir string `arg:"" help:"Folder of the log (it holds log.json), or a copy of it." type:"path"`
	keys
	Origin  string   `help:"Origin line that the log must have." placeholder:"NAME"`
	Witness []string `help:"Checkpoint of this log kept elsewhere (a receipt, an export). It shows that a log was cut back together with its checkpoints and anchors." type:"existingfile" placeholder:"FILE"`
	JSON    bool     `name:"json" help:"Print the result as one line of JSON."`
}

const description = `Independent checker of Sallyport's logs and evidence. It needs the files and public keys, no station, TPM or network.

Exit codes: 0 intact, 2 wrong command line or key file, 3 damaged or tampered with, 5 could not be checked.`

// result is what --json prints.
type result struct {
	Result string        `json:"result"` // intact, damaged, unchecked
	Why    string        `json:"why,omitzero"`
	Report *audit.Report `json:"report,omitempty"`
}

// exit carries an exit code out of kong's --help.
type exit int

// Main runs the program and returns its exit code.
func Main(ctx context.Context, args []string, stdout, stderr io.Writer) (code int) {
	var cl commandLine
	parser, err := kong.New(&cl, kong.Name("sallyport-verify"), kong.Description(description),
		kong.Writers(stdout, stderr), kong.Exit(func(c int) { panic(exit(c)) }))
	if err != nil {
		fmt.Fprintln(stderr, "sallyport-verify:", err)
		return ExitUsage
	}
	defer func() {
		if e := recover(); e != nil {
			c, ok := e.(exit)
			if !ok {
				panic(e)
			}
			code = int(c)
		}
	}()
	parsed, err := parser.Parse(args)
	if err != nil {
		fmt.Fprintf(stderr, "sallyport-verify: %v\nTry: sallyport-verify log --help\n", err)
		return ExitUsage
	}
	switch command, _, _ := strings.Cut(parsed.Command(), " "); command {
	case "witness":
		return cl.Witness.run(ctx, stdout, stderr)
	case "bundle":
		return cl.Bundle.run(stdout, stderr)
	case "attest":
		return cl.Attest.run(ctx, stdout, stderr)
	}
	return cl.Log.run(ctx, stdout, stderr)
}

func (c *logCommand) run(ctx context.Context, stdout, stderr io.Writer) int {
	opt, _, err := c.options()
	if err != nil {
		fmt.Fprintln(stderr, "sallyport-verify:", err)
		return ExitUsage
	}
	opt.Origin = c.Origin
	for _, name := range c.Witness {
		b, err := readNote(name)
		if err != nil {
			fmt.Fprintln(stderr, "sallyport-verify:", err)
			return ExitUsage
		}
		opt.Witness = append(opt.Witness, b)
	}
	rep, err := audit.Verify(ctx, c.Dir, opt)
	res, code := judge(rep, err)
	return answer(stdout, stderr, c.JSON, res, code, func() {
		if rep != nil {
			printReport(stdout, rep)
		}
	})
}

// options are what a log is checked with; the identity is nil when none was given.
func (k *keys) options() (opt translog.VerifyOptions, id *attest.Identity, err error) {
	for _, name := range k.Key {
		pubs, err := readKeys(name)
		if err != nil {
			return opt, nil, err
		}
		opt.Keys = append(opt.Keys, pubs...)
	}
	if k.Identity != "" {
		b, err := readSmall(k.Identity)
		if err == nil {
			id, err = attest.DecodeIdentity(b)
		}
		if err != nil {
			return opt, nil, fmt.Errorf("cannot use the TPM identity %s: %w", k.Identity, err)
		}
		pub, err := id.LogKey()
		if err != nil {
			return opt, nil, err
		}
		opt.Keys, opt.Anchor = append(opt.Keys, pub), id.CheckAnchor
	}
	if len(opt.Keys) == 0 {
		return opt, nil, errors.New("name the station's log key (--key) or its TPM identity (--identity)")
	}
	return opt, id, nil
}

// judge turns a report into the result and the exit code.
func judge(rep *audit.Report, err error) (result, int) {
	switch {
	case err != nil:
		return result{"unchecked", "NOT CHECKED: " + err.Error(), nil}, ExitUnchecked
	case len(rep.Damage) > 0:
		return result{"damaged", fmt.Sprintf("DAMAGED: %d place(s) of the log are not what was recorded. Keep this copy and report it.", int64(len(rep.Damage))+rep.MoreDamage), rep}, ExitDamaged
	case !rep.OK():
		return result{"unchecked", "NOT CHECKED: no checkpoint seals any entry, so nothing can be proven.", rep}, ExitUnchecked
	}
	return result{"intact", fmt.Sprintf("INTACT: all %d sealed entries are what this station recorded.", rep.Sealed), rep}, ExitIntact
}

func printReport(w io.Writer, r *audit.Report) {
	row := func(name, format string, args ...any) {
		fmt.Fprintf(w, "%-15s %s\n", name, verdict.Escape(fmt.Sprintf(format, args...)))
	}
	row("Log", "%s", r.Origin)
	row("Entries", "%d in %d segment(s), %d bytes", r.Entries, r.Segments, r.Bytes)
	if r.First != "" {
		row("Time", "%s to %s", r.First, r.Last)
		row("Boots", "%d, with %d untrusted time(s)", r.Boots, r.Untrusted)
	}
	row("Sealed", "%d by %d checkpoint(s)", r.Sealed, r.Checkpoints)
	if r.Root != "" {
		row("Root", "%s", r.Root)
	}
	row("Not yet sealed", "%d", r.Unsealed)
	if r.Counter > 0 {
		row("Anchored", "%d checkpoint(s), the TPM's counter at %d", r.Anchored, r.Counter)
	}
	if r.Recovered > 0 {
		row("Recovered", "%d interrupted write(s), cut off and recorded by the station", r.Recovered)
	}
	for i, in := range r.Open {
		if i == 20 {
			row("Warning", "%d more intents without outcome", len(r.Open)-i)
			break
		}
		row("Warning", "entry %d: %s has no outcome %s", in.Seq, in.Event, subject(in.Subject))
	}
	for _, c := range r.Torn {
		row("Warning", "unfinished write at the end of %s (byte %d, %d bytes): %s", c.File, c.Offset, c.Bytes, c.Detail)
	}
	for _, n := range r.Notes {
		row("Note", "%s", n)
	}
	for _, d := range r.Damage {
		row("DAMAGE", "%s", strings.TrimPrefix(d.Error(), translog.ErrTampered.Error()+": "))
	}
	if r.MoreDamage > 0 {
		row("DAMAGE", "and %d more", r.MoreDamage)
	}
}

func subject(s audit.Subject) string {
	var parts []string
	for _, p := range [][2]string{{"medium", s.Medium}, {"package", s.Package}, {"manifest", s.Manifest}, {"station", s.Station}, {"person", s.Person}} {
		if p[1] != "" {
			parts = append(parts, p[0]+" "+p[1])
		}
	}
	if len(parts) == 0 {
		return ""
	}
	return "(" + strings.Join(parts, ", ") + ")"
}

// readSmall reads a file of at most 64 KiB.
func readSmall(name string) ([]byte, error) { return readFile(name, 64<<10) }

// readFile reads a file of at most so many bytes.
func readFile(name string, most int64) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("cannot read %s: %w", name, err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, most+1))
	if err == nil && int64(len(b)) > most {
		err = fmt.Errorf("more than %d bytes", most)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read %s: %w", name, err)
	}
	return b, nil
}

// readKeys reads every public key of a PEM file.
func readKeys(name string) ([]*ecdsa.PublicKey, error) {
	b, err := readSmall(name)
	if err != nil {
		return nil, err
	}
	var pubs []*ecdsa.PublicKey
	for {
		block, rest := pem.Decode(b)
		if block == nil {
			break
		}
		b = rest
		pub, err := parseKey(block)
		if err != nil {
			return nil, fmt.Errorf("cannot use the key file %s: %w", name, err)
		}
		pubs = append(pubs, pub)
	}
	if len(pubs) == 0 {
		return nil, fmt.Errorf("cannot use the key file %s: it holds no PEM block \"PUBLIC KEY\"", name)
	}
	return pubs, nil
}

func parseKey(block *pem.Block) (*ecdsa.PublicKey, error) {
	if block.Type != "PUBLIC KEY" {
		return nil, fmt.Errorf("it holds a PEM block %q, only \"PUBLIC KEY\" is read", block.Type)
	}
	key, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil, err
	}
	pub, ok := key.(*ecdsa.PublicKey)
	if !ok {
		return nil, errors.New("not an ECDSA key")
	}
	if _, err := translog.KeyHash(pub); err != nil {
		return nil, err
	}
	return pub, nil
}
