package verifycmd

import (
	"fmt"
	"io"
	"strings"

	"sallyport/internal/evidence"
	"sallyport/internal/strictjson"
	"sallyport/internal/tpm/attest"
	"sallyport/internal/trust"
	"sallyport/internal/verdict"
)

type bundleCommand struct {
	File     string `arg:"" help:"The evidence, as 'sallyport log bundle' wrote it." type:"existingfile"`
	Root     string `help:"Root document of the election authority, whose fingerprint you have compared." required:"" type:"existingfile" placeholder:"FILE"`
	Identity string `help:"TPM identity of the station, for one that the authority has not enrolled." type:"existingfile" placeholder:"FILE"`
	JSON     bool   `name:"json" help:"Print the result as one line of JSON."`
}

// Help implements kong.HelpProvider.
func (bundleCommand) Help() string {
	return `Judges the evidence about one medium: that nothing in the file was changed, that its entries are in the log which the station's TPM has sealed, that none is left out from the insertion to the end, that the authority of the root knows the station and the senders, and that the manifests are judged as the station did. README.html in the file may be believed when this says INTACT. It needs no station, TPM or network.

    sallyport-verify bundle evidence.zip --root root.json
    sallyport-verify bundle evidence.zip --root root.json --identity ems-1.identity

Exit status: 0 intact, 2 usage, 3 changed, forged or under another root, 5 not all could be checked.`
}

func (c *bundleCommand) run(stdout, stderr io.Writer) int {
	opt, err := c.options()
	var data []byte
	if err == nil {
		data, err = readFile(c.File, evidence.MaxFile)
	}
	if err != nil {
		fmt.Fprintln(stderr, "sallyport-verify:", err)
		return ExitUsage
	}
	rep := evidence.Check(data, opt)
	if c.JSON {
		b, err := strictjson.Encode(rep)
		if err != nil {
			fmt.Fprintln(stderr, "sallyport-verify:", err)
			return ExitUnchecked
		}
		fmt.Fprintf(stdout, "%s\n", b)
	} else {
		printEvidence(stdout, rep)
	}
	switch rep.Result {
	case evidence.Intact:
		return ExitIntact
	case evidence.Damaged:
		return ExitDamaged
	}
	return ExitUnchecked
}

// options are whom the user believes.
func (c *bundleCommand) options() (opt evidence.Options, err error) {
	b, err := readSmall(c.Root)
	if err == nil {
		opt.Root, err = trust.ParseRoot(b)
	}
	if err != nil {
		return opt, fmt.Errorf("cannot use the root document %s: %w", c.Root, err)
	}
	if c.Identity == "" {
		return opt, nil
	}
	if b, err = readSmall(c.Identity); err == nil {
		opt.Identity, err = attest.DecodeIdentity(b)
	}
	if err != nil {
		return opt, fmt.Errorf("cannot use the TPM identity %s: %w", c.Identity, err)
	}
	return opt, nil
}

func printEvidence(w io.Writer, r *evidence.Report) {
	row := func(name, format string, args ...any) {
		fmt.Fprintf(w, "%-15s %s\n", name, fmt.Sprintf(format, args...))
	}
	if r.Medium != "" {
		row("Medium", "%s at station %s", r.Medium, r.Station)
		row("Verdict", "%s%s", r.Verdict, because(r.Reasons))
		for _, p := range r.Packages {
			name := "package " + p.Package
			if p.Package == "" {
				name = "files of no package"
			}
			if p.Kind != "" {
				name += " (" + p.Kind + " from " + p.Sender + ")"
			}
			row("", "%s: %s%s, %d files, %d bytes", verdict.Escape(name), p.Verdict, because(p.Reasons), p.Files, p.Bytes)
		}
	}
	for i, s := range r.Steps {
		mark := "ok"
		switch s.Result {
		case evidence.Damaged:
			mark = "WRONG"
		case evidence.Unchecked:
			mark = "not checked"
		}
		row(fmt.Sprintf("%2d %s", i+1, s.Name), "%s: %s", mark, s.Says)
	}
	for _, n := range r.Notes {
		row("Note", "%s", n)
	}
	words := map[evidence.Result]string{evidence.Intact: "INTACT", evidence.Damaged: "DAMAGED", evidence.Unchecked: "NOT CHECKED"}
	fmt.Fprintf(w, "Result: %s: %s\n", words[r.Result], r.Why)
}

func because(reasons []verdict.Reason) string {
	if len(reasons) == 0 {
		return ""
	}
	words := make([]string, len(reasons))
	for i, r := range reasons {
		words[i] = string(r)
	}
	return " (" + strings.Join(words, ", ") + ")"
}
