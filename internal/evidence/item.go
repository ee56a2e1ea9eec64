package evidence

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"

	"github.com/go-json-experiment/json"

	"sallyport/internal/strictjson"
)

// Listing is files.json: what the station stored of one package, in the order in
// which it was read. With facts.json it makes up the digest that stands in the log.
type Listing struct {
	V int `json:"v"` // Version
	// Cut says that the storing ended before the medium did.
	Cut bool `json:"cut"`
	// Record is SHA-256 of what else the store keeps with the item.
	Record string   `json:"record_sha256"`
	Files  []Stored `json:"files"`
}

// Stored is one stored file. Its name is what the medium called it.
type Stored struct {
	Name    string `json:"name"`
	Size    int64  `json:"size"`
	SHA256  string `json:"sha256"`
	Partial bool   `json:"partial,omitzero"` // these are its first Size bytes
}

func decodeListing(data []byte) (*Listing, error) {
	var l Listing
	if err := strictjson.DecodeCanonical(data, &l, maxListing); err != nil {
		return nil, err
	}
	switch {
	case l.V != Version:
		return nil, fmt.Errorf("the listing has version %d, this program knows %d", l.V, Version)
	case len(l.Files) > maxListed:
		return nil, fmt.Errorf("the listing has %d files, at most %d are allowed", len(l.Files), maxListed)
	}
	return &l, nil
}

// bytes is the size of all files.
func (l *Listing) bytes() (n int64) {
	for i := range l.Files {
		n += l.Files[i].Size
	}
	return n
}

// find returns the first file of the name that was stored whole and has at most
// so many bytes, or nil. The station stores manifest and evidence before all else.
func (l *Listing) find(name string, most int64) *Stored {
	for i := range l.Files {
		if f := &l.Files[i]; f.Name == name {
			if f.Partial || f.Size > most {
				return nil
			}
			return f
		}
	}
	return nil
}

// The store's index of an item (package vault, FORMAT.md, Index). It is written
// out once more here: whoever checks should not need the store.
const (
	indexMagic   = "sallyport-index\n"
	indexVersion = 1
	packHead     = 4096 // bytes before the first content
	idField      = 128
	maxStored    = 1 << 52
	maxFileName  = 4096 + 64
)

// digest is the item's digest: SHA-256 of the head of its index, which covers the
// id, the facts and each file's name, size and SHA-256.
func (l *Listing) digest(item string, facts []byte) (string, error) {
	le := binary.LittleEndian
	entries, length := sha256.New(), 0
	pack := int64(packHead)
	var b []byte
	for i := range l.Files {
		f := &l.Files[i]
		sum, err := hash(f.SHA256)
		if err != nil {
			return "", fmt.Errorf("file %d: %w", i+1, err)
		}
		if len(f.Name) > maxFileName || f.Size < 0 || f.Size > maxStored-pack {
			return "", fmt.Errorf("file %d has a name of %d bytes and a size of %d", i+1, len(f.Name), f.Size)
		}
		b = le.AppendUint64(b[:0], uint64(f.Size))
		b = append(b, bit(f.Partial))
		b = append(b, sum[:]...)
		b = le.AppendUint16(b, uint16(len(f.Name)))
		b = append(b, f.Name...)
		entries.Write(b)
		length += len(b)
		pack += f.Size
	}
	record, err := hash(l.Record)
	if err != nil {
		return "", fmt.Errorf("record_sha256: %w", err)
	}
	b = append(b[:0], indexMagic...)
	b = le.AppendUint32(b, indexVersion)
	b = le.AppendUint32(b, uint32(bit(l.Cut)))
	b = le.AppendUint64(b, uint64(pack))
	b = le.AppendUint64(b, uint64(len(l.Files)))
	b = le.AppendUint64(b, uint64(length))
	b = entries.Sum(b)
	sum := sha256.Sum256(facts)
	b = append(b, sum[:]...)
	b = append(b, record[:]...)
	b = append(b, item...)
	b = append(b, make([]byte, idField-len(item))...)
	sum = sha256.Sum256(b)
	return hex.EncodeToString(sum[:]), nil
}

func bit(b bool) byte {
	if b {
		return 1
	}
	return 0
}

// hash reads a SHA-256 in its one form.
func hash(s string) (sum [sha256.Size]byte, err error) {
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != len(sum) || hex.EncodeToString(b) != s {
		return sum, fmt.Errorf("%.80q is no SHA-256 in lower-case hexadecimal digits", s)
	}
	return [sha256.Size]byte(b), nil
}

func hashOf(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// facts is the part of facts.json that is held against the log, or shown. The
// station decides what else stands there; the digest covers all of it.
type facts struct {
	Medium struct {
		ID      string       `json:"id"`
		Volumes []volumeFact `json:"volumes"`
	} `json:"medium"`
	Package string `json:"package"`
	Digest  string `json:"digest"`
}

type volumeFact struct {
	FS    string `json:"fs"`
	Label string `json:"label"`
	ID    string `json:"id"`
	Size  int64  `json:"size"`
}

func decodeFacts(data []byte) (*facts, error) {
	var f facts
	if len(data) > maxFacts {
		return nil, fmt.Errorf("the facts have %d bytes, at most %d are allowed", len(data), maxFacts)
	}
	if err := json.Unmarshal(data, &f); err != nil {
		return nil, fmt.Errorf("cannot read the facts: %w", err)
	}
	return &f, nil
}
