package signer

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"sallyport/internal/verdict"
)

// maxSpec is the longest spec in bytes.
const maxSpec = 8 << 10

// forms says how a spec is written.
const forms = "a key is written 'file:PATH' or 'pkcs11:module=FILE;token=LABEL;key=LABEL' ('id=HEX' instead of 'key=LABEL'; 'env=NAME,NAME' for variables that the module needs)"

// Spec says where a key is, in a form that fits a flag. It holds no secret.
type Spec struct {
	Custody Custody // [CustodyFile] or [CustodyPKCS11]
	Path    string  // of a key file
	Token   Config  // of a token's key, without the PIN
}

// Parse reads a spec (FORMAT.md). The parts of a pkcs11 spec come in any order,
// each once; there is no way to write a semicolon in one.
func Parse(spec string) (Spec, error) {
	s, err := parseSpec(spec)
	if err != nil {
		// The spec is not repeated: somebody may have written a PIN in it.
		return Spec{}, fmt.Errorf("cannot tell which key is meant: %w; %s", err, forms)
	}
	return s, nil
}

func parseSpec(spec string) (Spec, error) {
	if len(spec) > maxSpec {
		return Spec{}, fmt.Errorf("it has %d bytes, at most %d are allowed", len(spec), maxSpec)
	}
	custody, rest, ok := strings.Cut(spec, ":")
	switch {
	case !ok:
		return Spec{}, errors.New("it does not say what kind of key it is")
	case Custody(custody) == CustodyFile:
		if !isText(rest, 4096) {
			return Spec{}, errors.New("the path is empty, too long, or holds what cannot be seen")
		}
		return Spec{Custody: CustodyFile, Path: rest}, nil
	case Custody(custody) == CustodyPKCS11:
		cfg, err := parseConfig(rest)
		return Spec{Custody: CustodyPKCS11, Token: cfg}, err
	}
	return Spec{}, fmt.Errorf("%q is no kind of key", verdict.Escape(custody))
}

func parseConfig(parts string) (Config, error) {
	var c Config
	seen := map[string]bool{}
	for part := range strings.SplitSeq(parts, ";") {
		name, value, ok := strings.Cut(part, "=")
		shown := verdict.Escape(name)
		if !ok || value == "" {
			return c, fmt.Errorf("the part %q has no value", shown)
		}
		if seen[name] {
			return c, fmt.Errorf("%q is given twice", shown)
		}
		seen[name] = true
		switch name {
		case "module":
			c.Module = value
		case "token":
			c.Token = value
		case "key":
			c.Key = value
		case "id":
			c.ID = value
		case "env":
			c.Env = strings.Split(value, ",")
		case "pin":
			// It would be in the list of processes and in the shell's history.
			return c, errors.New("a PIN must not be written here: it is asked for")
		default:
			return c, fmt.Errorf("there is no part %q", shown)
		}
	}
	return c, c.check()
}

// String returns the spec in its usual order; [Parse] gives it back.
func (s Spec) String() string {
	if s.Custody == CustodyFile {
		return string(CustodyFile) + ":" + s.Path
	}
	out := string(s.Custody) + ":module=" + s.Token.Module + ";token=" + s.Token.Token
	if s.Token.Key != "" {
		out += ";key=" + s.Token.Key
	}
	if s.Token.ID != "" {
		out += ";id=" + s.Token.ID
	}
	if len(s.Token.Env) > 0 {
		out += ";env=" + strings.Join(s.Token.Env, ",")
	}
	return out
}

// Open opens the key. It looks for the file or the module first and then asks
// for the passphrase or the PIN, once; the question can be shown as it is. See
// [Open] and [OpenPKCS11].
func (s Spec) Open(ctx context.Context, secret func(question string) (string, error)) (Signer, error) {
	switch s.Custody {
	case CustodyFile:
		return s.openFile(ctx, secret)
	case CustodyPKCS11:
		return s.openToken(ctx, secret)
	}
	return nil, fmt.Errorf("cannot open a key of the kind %q: %s", verdict.Escape(string(s.Custody)), forms)
}

func (s Spec) openFile(ctx context.Context, secret func(string) (string, error)) (Signer, error) {
	name := verdict.Escape(s.Path)
	data, err := readKeyFile(s.Path)
	if err != nil {
		return nil, fmt.Errorf("cannot open the key file %s: %w", name, err)
	}
	passphrase, err := secret("Passphrase of the key file " + name)
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return nil, fmt.Errorf("cannot get the passphrase of the key file %s: %w", name, err)
	}
	k, err := decrypt(data, passphrase, maxWork)
	if err != nil {
		return nil, fmt.Errorf("cannot open the key file %s: %w", name, err)
	}
	return k, nil
}

func (s Spec) openToken(ctx context.Context, secret func(string) (string, error)) (Signer, error) {
	cfg := s.Token
	err := cfg.check()
	if err == nil {
		err = checkModule(cfg.Module)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot open %s: %w", cfg.name(), err)
	}
	if cfg.PIN, err = secret("PIN for " + cfg.name()); err != nil {
		return nil, fmt.Errorf("cannot get the PIN for %s: %w", cfg.name(), err)
	}
	k, err := OpenPKCS11(ctx, cfg)
	if err != nil {
		return nil, err // not a *TokenKey that is nil in an interface
	}
	return k, nil
}
