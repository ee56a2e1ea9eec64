package trust

import (
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"sallyport/internal/dsse"
	"sallyport/internal/manifest"
	"sallyport/internal/strictjson"
)

// MaxRoot is the most bytes of an encoded root.
const MaxRoot = 16 << 10

// Root holds the authority's keys and how many of them must sign. A station
// pins it when it is initialised, from a file whose fingerprint people compare:
// nothing vouches for a root but them. Use [NewRoot] or [ParseRoot]; the zero
// value is refused wherever a root is asked for.
type Root struct {
	V         int       `json:"v"`
	Version   int64     `json:"version"`
	Threshold int       `json:"threshold"` // signatures that a bundle needs
	Keys      []RootKey `json:"keys"`      // sorted by id
}

// RootKey is one key of the authority.
type RootKey struct {
	ID     string `json:"id"`
	Alg    string `json:"alg"`
	Public []byte `json:"public"` // SubjectPublicKeyInfo, DER
}

// NewRoot makes a root.
func NewRoot(version int64, threshold int, keys ...*ecdsa.PublicKey) (*Root, error) {
	r := &Root{V: 1, Version: version, Threshold: threshold}
	for _, k := range keys {
		id, err := dsse.KeyID(k)
		if err != nil {
			return nil, fmt.Errorf("cannot make a root: %w", err)
		}
		der, err := x509.MarshalPKIXPublicKey(k)
		if err != nil {
			return nil, fmt.Errorf("cannot make a root: %w", err)
		}
		r.Keys = append(r.Keys, RootKey{ID: id, Alg: manifest.AlgP256, Public: der})
	}
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
	sum := sha256.Sum256(data)
	var groups []string
	for group := range slices.Chunk([]byte(hex.EncodeToString(sum[:])), 4) {
		groups = append(groups, string(group))
	}
	return strings.Join(groups, " "), nil
}

// keys checks the root and returns its keys by id.
func (r *Root) keys() (map[string]*ecdsa.PublicKey, error) {
	if r == nil || r.V != 1 {
		return nil, malformed("trust root: v", "this version of Sallyport reads only 1")
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
	keys := make(map[string]*ecdsa.PublicKey, len(r.Keys))
	for i, k := range r.Keys {
		if i > 0 && k.ID <= r.Keys[i-1].ID {
			return nil, malformed("trust root: keys", "must be sorted by id and hold none twice")
		}
		pub, err := parseKey("trust root: key "+strconv.Itoa(i+1), k.ID, k.Alg, k.Public)
		if err != nil {
			return nil, err
		}
		keys[k.ID] = pub
	}
	return keys, nil
}
