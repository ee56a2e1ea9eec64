package verifycmd

import (
	"bytes"
	"context"
	"fmt"
	"io"

	"sallyport/internal/audit"
	"sallyport/internal/strictjson"
	"sallyport/internal/translog"
)

type witnessCommand struct {
	File string `arg:"" help:"The checkpoint: a signed note, such as the text of a slip's QR code, or a document of Sallyport that carries one (a slip as text, HTML or JSON, the report of an intake, evidence.json of a sealed package, an attestation)." type:"existingfile"`
	Dir  string `help:"Folder of the log that must hold what the checkpoint seals." required:"" type:"path" placeholder:"DIR"`
	keys
	JSON bool `name:"json" help:"Print the result as one line of JSON."`
}

func (c *witnessCommand) run(ctx context.Context, stdout, stderr io.Writer) int {
	opt, _, err := c.options()
	var note []byte
	if err == nil {
		note, err = readNote(c.File)
	}
	if err != nil {
		fmt.Fprintln(stderr, "sallyport-verify:", err)
		return ExitUsage
	}
	opt.Witness = [][]byte{note}
	rep, err := audit.Verify(ctx, c.Dir, opt)
	res, code := judge(rep, err)
	return answer(stdout, stderr, c.JSON, res, code, func() {
		if rep != nil {
			printReport(stdout, rep)
		}
	})
}

// readNote reads a checkpoint from a file that carries one. A text that does not is
// returned as it is, and fails as a witness.
func readNote(name string) ([]byte, error) {
	b, err := readSmall(name)
	if err != nil {
		return nil, err
	}
	note, err := translog.FindNote(b)
	if err != nil && !bytes.HasPrefix(bytes.TrimSpace(b), []byte("{")) {
		return b, nil
	}
	if err != nil {
		return nil, fmt.Errorf("cannot use %s: %w", name, err)
	}
	return note, nil
}

// answer prints a result, as a line of JSON or for people.
func answer(stdout, stderr io.Writer, asJSON bool, res result, code int, show func()) int {
	if asJSON {
		b, err := strictjson.Encode(res)
		if err != nil {
			fmt.Fprintln(stderr, "sallyport-verify:", err)
			return ExitUnchecked
		}
		fmt.Fprintf(stdout, "%s\n", b)
		return code
	}
	show()
	fmt.Fprintf(stdout, "Result: %s\n", res.Why)
	return code
}

type attestCommand struct {
	File  string `arg:"" help:"The station's answer." type:"existingfile"`
	Nonce string `help:"The challenge: the hexadecimal digits that were given to 'sallyport log attest'." required:"" placeholder:"HEX"`
	Dir   string `help:"Folder of the log, or a copy that was taken after the answer." required:"" type:"path" placeholder:"DIR"`
	keys
	JSON bool `name:"json" help:"Print the result as one line of JSON."`
}

func (c *attestCommand) run(ctx context.Context, stdout, stderr io.Writer) int {
	opt, id, err := c.options()
	if err == nil && id == nil {
		err = fmt.Errorf("an attestation is checked with the station's TPM identity: name it with --identity")
	}
	var data []byte
	if err == nil {
		data, err = readSmall(c.File)
	}
	if err != nil {
		fmt.Fprintln(stderr, "sallyport-verify:", err)
		return ExitUsage
	}
	damaged := func(format string, args ...any) (result, int) {
		return result{"damaged", "DAMAGED: " + fmt.Sprintf(format, args...), nil}, ExitDamaged
	}
	var rep *audit.Report
	var res result
	code := ExitIntact
	a, counter, err := id.DecodeAttestation(data)
	switch {
	case err != nil:
		res, code = damaged("the answer is not this station's: %v", err)
	case a.Nonce != c.Nonce:
		res, code = damaged("the answer is to another challenge, %s", a.Nonce)
	default:
		opt.Witness = [][]byte{[]byte(a.Checkpoint)}
		rep, err = audit.Verify(ctx, c.Dir, opt)
		if res, code = judge(rep, err); code != ExitIntact {
			break
		}
		if rep.Counter < counter {
			res, code = damaged("the TPM's counter stood at %d when the station answered, the log's last anchor has %d: what was recorded in between is missing", counter, rep.Counter)
			break
		}
		res.Why = fmt.Sprintf("%s The station answered with its counter at %d, which the log accounts for.", res.Why, counter)
	}
	return answer(stdout, stderr, c.JSON, res, code, func() {
		if rep != nil {
			printReport(stdout, rep)
		}
	})
}
