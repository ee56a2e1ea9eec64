package trust

import (
	"crypto/ecdsa"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"sallyport/internal/dsse"
	"sallyport/internal/naming"
	"sallyport/internal/strictjson"
	"sallyport/internal/tpm/attest"
)

// MaxRoot is the most bytes of an encoded root.
const MaxRoot = 64 << 10

// Root holds the authority's keys and how many of them must sign. A station
// pins one when it is initialised, from a file whose fingerprint people compare:
// nothing vouches for it but them. Later roots are [Rotate]d in: each is signed
// by enough keys of the one before and of itself. The zero value is refused
// wherever a root is asked for.
type Root struct {
	V         int   `json:"v"`
	Version   int64 `json:"version"`
	Threshold int   `json:"threshold"` // signatures that a bundle needs
	// BootKey is the id of the key that approves boot states of stations; without
	// one, no station's signing key is bound to a boot state.
	BootKey string    `json:"boot_key,omitzero"`
	Keys    []RootKey `json:"keys"` // sorted by id
}

// Custody says where a key of the authority lies. The bundle's readers see it,
// because the weakest of the keys that may sign together says what they are worth.
type Custody string

// The closed list of custodies.
const (
	InTPM    Custody = "tpm"    // of a station of the role authority; it never leaves
	InPKCS11 Custody = "pkcs11" // a token, by its holder's account
	InFile   Custody = "file"   // a file encrypted with a passphrase, by its holder's account
)

// RootKey is one key of the authority.
type RootKey struct {
	ID      string  `json:"id"`
	Alg     string  `json:"alg"`
	Public  []byte  `json:"public"` // SubjectPublicKeyInfo, DER
	Holder  string  `json:"holder"` // station id, or a name for whoever holds it
	Custody Custody `json:"custody"`
	// TPM proves the custody tpm and is left out for all others.
	TPM attest.Identity `json:"tpm,omitzero"`
}

// TPMRootKey is the root key of a station of the role authority.
func TPMRootKey(stationID string, id attest.Identity) (RootKey, error) {
	pub, err := id.Check()
	if err != nil {
		return RootKey{}, fmt.Errorf("cannot use the station's key for a root: %w", err)
	}
	k, err := newRootKey(stationID, InTPM, pub)
	k.TPM = id
	return k, err
}

// SoftRootKey is the root key of a holder without a TPM.
func SoftRootKey(holder string, custody Custody, pub *ecdsa.PublicKey) (RootKey, error) {
	return newRootKey(holder, custody, pub)
}

func newRootKey(holder string, custody Custody, pub *ecdsa.PublicKey) (RootKey, error) {
	k, err := dsse.NewP256Key(pub)
	if err != nil {
		return RootKey{}, fmt.Errorf("cannot use the key of %s for a root: %w", holder, err)
	}
	return RootKey{ID: k.KeyID(), Alg: k.Alg(), Public: k.SPKI(), Holder: holder, Custody: custody}, nil
}

// NewRoot makes a root; bootKey is the id of one of the keys, or "".
func NewRoot(version int64, threshold int, bootKey string, keys ...RootKey) (*Root, error) {
	r := &Root{V: 2, Version: version, Threshold: threshold, BootKey: bootKey, Keys: slices.Clone(keys)}
	slices.SortFunc(r.Keys, func(a, b RootKey) int { return strings.Compare(a.ID, b.ID) })
	if _, err := r.keys(); err != nil {
		return nil, fmt.Errorf("cannot make a root: %w", err)
	}
	return r, nil
}

// ParseRoot reads the one encoding of a root. Errors are findings.
func ParseRoot(data []byte) (*Root, error) {
	var r Root
	if err := strictjson.DecodeCanonical(data, &r, MaxRoot); err != nil {
		return nil, malformed("trust root", "%v", err)
	}
	if _, err := r.keys(); err != nil {
		return nil, err
	}
	return &r, nil
}

// Encode returns the one encoding of a root.
func (r *Root) Encode() ([]byte, error) {
	if _, err := r.keys(); err != nil {
		return nil, fmt.Errorf("cannot encode the root: %w", err)
	}
	return strictjson.Encode(r)
}

// Fingerprint returns SHA-256 of the encoded root in groups of four hexadecimal
// digits, for people to compare before a station pins it.
func (r *Root) Fingerprint() (string, error) {
	data, err := r.Encode()
	if err != nil {
		return "", err
	}
	return Fingerprint(data), nil
}

// Fingerprint returns SHA-256 of a document in groups of four hexadecimal digits.
func Fingerprint(document []byte) string {
	sum := sha256.Sum256(document)
	var groups []string
	for group := range slices.Chunk([]byte(hex.EncodeToString(sum[:])), 4) {
		groups = append(groups, string(group))
	}
	return strings.Join(groups, " ")
}

// Key returns the root's key of this id.
func (r *Root) Key(id string) (RootKey, bool) {
	if r == nil {
		return RootKey{}, false
	}
	i := slices.IndexFunc(r.Keys, func(k RootKey) bool { return k.ID == id })
	if i < 0 {
		return RootKey{}, false
	}
	return r.Keys[i], true
}

// BootPublic returns the key that approves boot states, nil when there is none.
func (r *Root) BootPublic() (*ecdsa.PublicKey, error) {
	if r == nil || r.BootKey == "" {
		return nil, nil
	}
	keys, err := r.keys()
	if err != nil {
		return nil, err
	}
	pub, _ := keys[r.BootKey].ECDSA()
	return pub, nil
}

// keys checks the root and returns its keys by id.
func (r *Root) keys() (map[string]dsse.PublicKey, error) {
	if r == nil || r.V != 2 {
		return nil, malformed("trust root: v", "this version of Sallyport reads only 2")
	}
	if r.Version < 1 || r.Version > maxNumber {
		return nil, malformed("trust root: version", "is %d, must be 1 to 2^53-1", r.Version)
	}
	if n := len(r.Keys); n < 1 || n > dsse.MaxSignatures {
		return nil, malformed("trust root: keys", "holds %d keys, must hold 1 to %d", n, dsse.MaxSignatures)
	}
	if r.Threshold < 1 || r.Threshold > len(r.Keys) {
		return nil, malformed("trust root: threshold", "is %d, must be 1 to %d, the number of keys", r.Threshold, len(r.Keys))
	}
	keys := make(map[string]dsse.PublicKey, len(r.Keys))
	holders := map[string]bool{}
	for i := range r.Keys {
		k := &r.Keys[i]
		if i > 0 && k.ID <= r.Keys[i-1].ID {
			return nil, malformed("trust root: keys", "must be sorted by id and hold none twice")
		}
		pub, err := k.check("trust root: key " + strconv.Itoa(i+1))
		if err != nil {
			return nil, err
		}
		if holders[k.Holder] { // one person's two keys are not two people
			return nil, malformed("trust root: keys", "%s holds two of them", k.Holder)
		}
		holders[k.Holder] = true
		keys[k.ID] = pub
	}
	if r.BootKey != "" && !keys[r.BootKey].Valid() {
		return nil, malformed("trust root: boot_key", "names none of the keys")
	}
	return keys, nil
}

// check verifies all that a root key says of itself.
func (k *RootKey) check(where string) (dsse.PublicKey, error) {
	pub, err := parseKey(where, k.ID, k.Alg, k.Public)
	if err != nil {
		return pub, err
	}
	own, ok := pub.ECDSA()
	if !ok {
		return pub, malformed(where+": alg", "is %s; the authority signs with %s", k.Alg, dsse.AlgP256)
	}
	if !naming.IsName(k.Holder) {
		return pub, malformed(where+": holder", "is %.100q; it must have 1 to 64 letters, digits or . _ -", k.Holder)
	}
	switch k.Custody {
	case InTPM:
		said, err := k.TPM.Check()
		if err != nil {
			return pub, malformed(where+": tpm", "%v", err)
		}
		if !said.Equal(own) {
			return pub, malformed(where+": tpm", "speaks of the key %s", k.TPM.KeyID)
		}
	case InPKCS11, InFile:
		if !reflect.ValueOf(k.TPM).IsZero() {
			return pub, malformed(where+": tpm", "stands at a key whose custody is %s", k.Custody)
		}
	default:
		return pub, malformed(where+": custody", "is %.40q, must be %s, %s or %s", k.Custody, InTPM, InPKCS11, InFile)
	}
	return pub, nil
}
