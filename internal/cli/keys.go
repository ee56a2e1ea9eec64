package cli

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/term"

	"sallyport/internal/authority"
	"sallyport/internal/naming"
	"sallyport/internal/signer"
	"sallyport/internal/station"
	"sallyport/internal/trust"
	"sallyport/internal/verdict"
)

// holderKey is the key of a holder without a TPM. Commands that take one need no
// station: a holder's machine has nothing but the key.
type holderKey struct {
	Key        string `help:"Sign with this key instead of this station's: file:PATH, or pkcs11:module=PATH;token=LABEL;key=LABEL." placeholder:"KEY"`
	SecretFile string `help:"File whose first line is the passphrase or PIN, instead of asking for it." placeholder:"FILE"`
}

// open opens the key, nil when the station's own is meant.
func (k *holderKey) open(a *app) (signer.Signer, error) {
	if k.Key == "" {
		return nil, nil
	}
	spec, err := signer.Parse(k.Key)
	if err != nil {
		return nil, usage("%v", err)
	}
	s, err := spec.Open(a.ctx, func(question string) (string, error) { return k.secret(a, question) })
	if err != nil {
		return nil, usage("%v", err)
	}
	return s, nil
}

// secret asks for a passphrase or a PIN on the terminal, or reads it from the file.
func (k *holderKey) secret(a *app, question string) (string, error) {
	if k.SecretFile != "" {
		body, err := readDocument("passphrase", k.SecretFile)
		if err != nil {
			return "", err
		}
		line, _, _ := strings.Cut(string(body), "\n")
		return strings.TrimSuffix(line, "\r"), nil
	}
	return ask(a, question)
}

// ask asks on the terminal, without showing what is typed.
func ask(a *app, question string) (string, error) {
	tty, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
	if err != nil {
		return "", usage("there is no terminal to ask for the %s: give it with --secret-file", question)
	}
	defer tty.Close()
	fmt.Fprintf(a.err, "%s: ", question)
	line, err := term.ReadPassword(int(tty.Fd()))
	fmt.Fprintln(a.err)
	return string(line), err
}

type authorityNewKeyCmd struct {
	Out        string `required:"" help:"File to write; it must not exist." placeholder:"FILE"`
	SecretFile string `help:"File whose first line is the passphrase, instead of asking for it." placeholder:"FILE"`
}

func (c *authorityNewKeyCmd) Run(a *app) error {
	if err := checkNew(c.Out); err != nil {
		return err
	}
	passphrase, err := (&holderKey{SecretFile: c.SecretFile}).secret(a, "new passphrase")
	if err != nil {
		return err
	}
	if c.SecretFile == "" {
		again, err := ask(a, "the same passphrase again")
		if err != nil {
			return err
		}
		if again != passphrase {
			return usage("the two passphrases differ; nothing was made")
		}
	}
	k, err := signer.Create(c.Out, passphrase)
	if err != nil {
		return usage("%v", err)
	}
	return a.print(struct {
		File  string `json:"file"`
		KeyID string `json:"key_id"`
	}{c.Out, k.KeyID()}, func(w io.Writer) {
		fmt.Fprintf(w, "wrote %s\nkey  %s\n", verdict.Escape(c.Out), k.KeyID())
		fmt.Fprintln(w, "Whoever has this file and the passphrase can sign; a key in a TPM cannot be copied. Next: 'sallyport authority key --key file:… --holder NAME'.")
	})
}

type authorityKeyCmd struct {
	Holder string `help:"With --key: the name of whoever holds it." placeholder:"NAME"`
	holderKey
	output
}

func (c *authorityKeyCmd) Run(a *app) error {
	if err := c.as("HOLDER" + signerSuffix); err != nil {
		return err
	}
	if c.Key != "" && !naming.IsName(c.Holder) { // before anybody types a passphrase
		return usage("say who holds the key: --holder NAME, with 1 to 64 letters, digits or . _ -")
	}
	key, err := c.open(a)
	if err != nil {
		return err
	}
	if key == nil {
		var d station.Document
		if err := a.do(station.OpAuthorityKey, station.NoArgs{}, nil, &d); err != nil {
			return err
		}
		k, err := trust.DecodeSignerRecord(d.Body)
		if err != nil {
			return err
		}
		c.name = k.Holder + signerSuffix // so that the records of several holders can stand side by side
		return c.write(a, d, nil, nil)
	}
	k, err := trust.SoftRootKey(c.Holder, trust.Custody(key.Custody()), key.Public())
	if err != nil {
		return err
	}
	body, err := trust.NewSignerRecord(a.ctx, k, key)
	if err != nil {
		return err
	}
	c.name = c.Holder + signerSuffix
	return c.write(a, station.Document{Body: body, Fingerprint: k.ID}, nil, nil)
}

type authorityShowCmd struct {
	Draft string `arg:"" help:"The draft of a trust bundle or of a root."`
	Root  string `help:"The authority's present root document, on a machine without a station." placeholder:"FILE"`
	source
}

func (c *authorityShowCmd) Run(a *app) error {
	draft, err := c.read(a, "draft", c.Draft)
	if err != nil {
		return err
	}
	root, err := presentRoot(a, c.Root)
	if err != nil {
		return err
	}
	shown, err := authority.Show(draft, root)
	if err != nil {
		return aboutDocument(err)
	}
	return a.print(shown, func(w io.Writer) {
		if b := shown.Bundle; b != nil {
			showTrust(w, &station.Trust{Version: b.Version, Hybrid: b.Hybrid, Stations: b.Stations})
		} else {
			showRoot(w, shown.Root)
		}
		fmt.Fprintf(w, "signed by %s; %s missing\n", strings.Join(shown.Signed, ", "), count(shown.Missing, "signature"))
		fmt.Fprintf(w, "fingerprint of what is signed, to be compared by the holders: %s\n", shown.Fingerprint)
	})
}

// presentRoot is the root of a file, or this station's.
func presentRoot(a *app, file string) (*trust.Root, error) {
	if file == "" {
		var d station.Document
		if err := a.do(station.OpTrustRoot, station.NoArgs{}, nil, &d); err != nil {
			return nil, err
		}
		return trust.ParseRoot(d.Body)
	}
	body, err := readDocument("root document", file)
	if err != nil {
		return nil, err
	}
	root, err := trust.ParseRoot(body)
	return root, aboutDocument(err)
}

// isRotation says whether a file is called like the draft of a root.
func isRotation(name string) bool {
	_, ok := trust.RotationVersion(name)
	return ok
}

type authoritySignCmd struct {
	Draft string `arg:"" help:"The draft of a trust bundle or of a root."`
	Root  string `help:"With --key, or at an authority station without a root: the authority's present root document." placeholder:"FILE"`
	holderKey
	source
	output
}

func (c *authoritySignCmd) Run(a *app) error {
	name := draftName
	if base := filepath.Base(c.Draft); isRotation(base) {
		name = base // 'trust install' knows a root by its name
	}
	if err := c.as(name); err != nil {
		return err
	}
	draft, err := c.read(a, "draft", c.Draft)
	if err != nil {
		return err
	}
	var present []byte
	if c.Root != "" {
		if present, err = readDocument("root document", c.Root); err != nil {
			return err
		}
	}
	if c.Key == "" {
		var d station.Draft
		if err := a.do(station.OpAuthoritySign, station.SignArgs{Draft: draft, Root: present}, nil, &d); err != nil {
			return err
		}
		return writeDraft(a, &c.output, d)
	}
	if present == nil {
		return usage("give the authority's present root document with --root FILE ('sallyport trust root' writes it)")
	}
	root, err := trust.ParseRoot(present)
	if err != nil {
		return aboutDocument(err)
	}
	key, err := c.open(a)
	if err != nil {
		return err
	}
	signed, complete, err := authority.Sign(a.ctx, draft, root, key)
	if err != nil {
		return aboutDocument(err)
	}
	return writeDraft(a, &c.output, station.Draft{Document: station.Document{Body: signed}, Complete: complete})
}
