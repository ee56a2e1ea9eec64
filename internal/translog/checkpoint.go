package translog

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/x509"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// Signer signs checkpoints: the station's TPM, or a software key in tests.
type Signer interface {
	// KeyID is the lower-case hex SHA-256 of the public key as SPKI DER.
	KeyID() string
	Public() *ecdsa.PublicKey
	// Sign returns an ASN.1 DER ECDSA signature over a SHA-256 digest.
	Sign(ctx context.Context, digest [32]byte) (der []byte, err error)
}

// Checkpoint is the content of a C2SP tlog-checkpoint without extensions.
type Checkpoint struct {
	Origin string
	Size   int64
	Root   tlog.Hash
}

// maxOrigin bounds the origin line in bytes.
const maxOrigin = 200

// CheckOrigin says whether s can be the origin of a log, which is also the
// name of its key in a signed note: 1 to 200 printable ASCII characters,
// neither space nor '+'. By convention a URL without scheme.
func CheckOrigin(s string) error {
	if s == "" || len(s) > maxOrigin {
		return fmt.Errorf("the log's origin has %d bytes, 1 to %d are allowed", len(s), maxOrigin)
	}
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' || s[i] == '+' {
			return fmt.Errorf("the log's origin %q holds a space, a plus or a character that is not printable ASCII", s)
		}
	}
	return nil
}

// Text is the text that is signed, three lines (C2SP tlog-checkpoint).
func (c Checkpoint) Text() string {
	return fmt.Sprintf("%s\n%d\n%s\n", c.Origin, c.Size, c.Root)
}

// ParseText is the inverse of [Checkpoint.Text]: what it accepts, Text gives
// back byte for byte. Extension lines are not part of this format.
func ParseText(text string) (Checkpoint, error) {
	lines := strings.Split(text, "\n")
	if len(lines) != 4 || lines[3] != "" {
		return Checkpoint{}, errors.New("a checkpoint has exactly three lines: origin, size, root")
	}
	if err := CheckOrigin(lines[0]); err != nil {
		return Checkpoint{}, err
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil || size < 0 || size > 1<<53-1 {
		return Checkpoint{}, fmt.Errorf("the checkpoint's size %.40q is not a number within 0 and 2^53-1", lines[1])
	}
	root, err := tlog.ParseHash(lines[2])
	if err != nil {
		return Checkpoint{}, fmt.Errorf("the checkpoint's root %.60q is not a SHA-256 hash in base64", lines[2])
	}
	c := Checkpoint{Origin: lines[0], Size: size, Root: root}
	if c.Text() != text {
		return Checkpoint{}, errors.New("the checkpoint is not in its one canonical form")
	}
	return c, nil
}

// KeyHash is the key ID of an ECDSA key in a signed note (C2SP signed-note,
// signature type 0x02): the first four bytes of SHA-256 over the SPKI DER.
func KeyHash(pub *ecdsa.PublicKey) (uint32, error) {
	sum, err := spkiSum(pub)
	return binary.BigEndian.Uint32(sum[:]), err
}

// KeyID is the lower-case hex SHA-256 of the SPKI DER.
func KeyID(pub *ecdsa.PublicKey) (string, error) {
	sum, err := spkiSum(pub)
	return hex.EncodeToString(sum[:]), err
}

func spkiSum(pub *ecdsa.PublicKey) ([32]byte, error) {
	if pub == nil || pub.Curve != elliptic.P256() {
		return [32]byte{}, errors.New("not an ECDSA key on the curve P-256")
	}
	der, err := x509.MarshalPKIXPublicKey(pub)
	if err != nil {
		return [32]byte{}, fmt.Errorf("cannot encode the public key: %w", err)
	}
	return sha256.Sum256(der), nil
}

// Keys are the public keys a reader accepts for one origin.
type Keys struct {
	origin string
	list   note.Verifiers
	hashes []string
}

// NewKeys makes the key list for a log; every key must be ECDSA P-256.
func NewKeys(origin string, pubs ...*ecdsa.PublicKey) (*Keys, error) {
	k := &Keys{origin: origin}
	var vs []note.Verifier
	for _, p := range pubs {
		h, err := KeyHash(p)
		if err != nil {
			return nil, err
		}
		vs = append(vs, ecdsaVerifier{origin, h, p})
		k.hashes = append(k.hashes, fmt.Sprintf("%08x", h))
	}
	k.list = note.VerifierList(vs...)
	return k, nil
}

type ecdsaVerifier struct {
	name string
	hash uint32
	pub  *ecdsa.PublicKey
}

func (v ecdsaVerifier) Name() string    { return v.name }
func (v ecdsaVerifier) KeyHash() uint32 { return v.hash }
func (v ecdsaVerifier) Verify(msg, sig []byte) bool {
	sum := sha256.Sum256(msg)
	return ecdsa.VerifyASN1(v.pub, sum[:], sig)
}

// Open verifies a signed note and returns the checkpoint in it. At least one
// signature must be by a key of k, and none by a key of k may be wrong;
// signatures of others (witnesses) are ignored (C2SP signed-note).
func (k *Keys) Open(signed []byte) (Checkpoint, error) {
	n, err := note.Open(signed, k.list)
	if err != nil {
		var unverified *note.UnverifiedNoteError
		if errors.As(err, &unverified) {
			var by []string
			for _, s := range unverified.Note.UnverifiedSigs {
				by = append(by, fmt.Sprintf("%08x", s.Hash))
			}
			return Checkpoint{}, fmt.Errorf("the checkpoint is signed by key %s of %q, not by a key that was given (%s of %q)",
				strings.Join(by, ", "), unverified.Note.UnverifiedSigs[0].Name, strings.Join(k.hashes, ", "), k.origin)
		}
		var invalid *note.InvalidSignatureError
		if errors.As(err, &invalid) {
			return Checkpoint{}, fmt.Errorf("the signature of key %08x does not match the checkpoint", invalid.Hash)
		}
		return Checkpoint{}, errors.New("not a signed note")
	}
	return k.parse(n.Text)
}

func (k *Keys) parse(text string) (Checkpoint, error) {
	c, err := ParseText(text)
	if err == nil && c.Origin != k.origin {
		err = fmt.Errorf("the checkpoint is of the log %q, not of %q", c.Origin, k.origin)
	}
	return c, err
}

// peek reads a note's checkpoint without looking at its signatures.
func peek(signed []byte) (Checkpoint, error) {
	_, err := note.Open(signed, nil)
	var unverified *note.UnverifiedNoteError
	if !errors.As(err, &unverified) {
		return Checkpoint{}, errors.New("not a signed note")
	}
	return ParseText(unverified.Note.Text)
}

// seal signs a checkpoint and checks the signature before it is believed: a
// TPM that gives a wrong one must not end up in the log.
func seal(ctx context.Context, c Checkpoint, s Signer) ([]byte, error) {
	hash, err := KeyHash(s.Public())
	if err != nil {
		return nil, fmt.Errorf("cannot use the signing key: %w", err)
	}
	v := ecdsaVerifier{c.Origin, hash, s.Public()}
	signed, err := note.Sign(&note.Note{Text: c.Text()}, &noteSigner{ctx, s, v})
	if err != nil {
		return nil, fmt.Errorf("cannot sign the checkpoint: %w", err)
	}
	return signed, nil
}

type noteSigner struct {
	ctx context.Context
	s   Signer
	v   ecdsaVerifier
}

func (n *noteSigner) Name() string    { return n.v.name }
func (n *noteSigner) KeyHash() uint32 { return n.v.hash }
func (n *noteSigner) Sign(msg []byte) ([]byte, error) {
	der, err := n.s.Sign(n.ctx, sha256.Sum256(msg))
	if err != nil {
		return nil, err
	}
	if !n.v.Verify(msg, der) {
		return nil, errors.New("the signer returned a signature that does not verify")
	}
	return der, nil
}

// Sighting is a checkpoint of another's log whose signature was verified.
type Sighting struct {
	Checkpoint
	KeyID string // of the log key; see [KeyID]
	Note  []byte
}

// See verifies a checkpoint of the log of this origin.
func See(origin string, pub *ecdsa.PublicKey, note []byte) (*Sighting, error) {
	keys, err := NewKeys(origin, pub)
	if err != nil {
		return nil, err
	}
	c, err := keys.Open(note)
	if err != nil {
		return nil, err
	}
	id, err := KeyID(pub)
	return &Sighting{c, id, note}, err
}
