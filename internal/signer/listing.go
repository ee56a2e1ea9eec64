package signer

import (
	"bytes"
	"fmt"
	"strings"

	"sallyport/internal/verdict"
)

// listed is one public key in the tool's list.
type listed struct {
	label string
	id    string // lower-case hexadecimal; empty when there is none, or none that [isID] takes
	kind  string // in the tool's words, such as "EC  EC_POINT 256 bits"
}

// parseListing reads what 'pkcs11-tool --list-objects' prints of public keys,
// which is made for people: as version 0.23 does, and as the coming one does
// (ids of up to four bytes as "772 (0x0304)", longer ones with colons and over
// several lines). What it takes wrongly is another key of the token, or none:
// the public key that is then read by its id decides.
func parseListing(out []byte) []listed {
	var all []listed
	var now *listed // the key whose lines are read
	field := ""     // the field whose value a deeper line goes on with
	for line := range bytes.Lines(out) {
		text := strings.TrimRight(string(line), "\r\n")
		if !strings.HasPrefix(text, " ") { // a new object
			now, field = nil, ""
			if kind, ok := strings.CutPrefix(text, "Public Key Object;"); ok {
				all = append(all, listed{kind: strings.TrimSpace(kind)})
				now = &all[len(all)-1]
			}
			continue
		}
		value := text
		if !strings.HasPrefix(text, "   ") {
			field, value, _ = strings.Cut(text, ":")
		}
		switch {
		case now == nil:
		case field == "  label":
			now.label += strings.TrimSpace(value)
		case field == "  ID":
			now.id += strings.TrimSpace(value)
		}
	}
	for i := range all {
		all[i].id = plainID(all[i].id)
	}
	return all
}

// plainID returns an id as [Config] has it, or "".
func plainID(printed string) string {
	if _, hex, ok := strings.Cut(printed, "(0x"); ok {
		printed = strings.TrimSuffix(hex, ")")
	}
	id := strings.ToLower(strings.ReplaceAll(printed, ":", ""))
	if !isID(id) {
		return ""
	}
	return id
}

// choose returns the one key that is meant.
func choose(all []listed, cfg *Config) (listed, error) {
	var found []listed
	for _, k := range all {
		if cfg.ID != "" && k.id == cfg.ID || cfg.Key != "" && k.label == cfg.Key {
			found = append(found, k)
		}
	}
	if len(found) == 0 {
		return listed{}, fmt.Errorf("the token shows no such public key; %s", inventory(all))
	}
	if len(found) > 1 {
		return listed{}, fmt.Errorf("the token shows %d such public keys: name the key by an id that is its own; %s", len(found), inventory(all))
	}
	k := found[0]
	if k.id == "" {
		return listed{}, fmt.Errorf("the key has no id of 1 to %d bytes, by which alone pkcs11-tool finds a key to sign with: give it one ('pkcs11-tool --set-id')", maxID)
	}
	for _, other := range all {
		if other != k && other.id == k.id {
			return listed{}, fmt.Errorf("the id %s belongs to several keys of the token: give the key one that is its own ('pkcs11-tool --set-id')", k.id)
		}
	}
	return k, nil
}

// inventory says in a few words which keys there are.
func inventory(all []listed) string {
	const most = 8
	if len(all) == 0 {
		return "it shows none at all"
	}
	var names []string
	for i, k := range all {
		if i == most {
			names = append(names, fmt.Sprintf("and %d more", len(all)-most))
			break
		}
		label, id := k.label, "id "+k.id
		if len(label) > 64 {
			label = label[:64] + "…"
		}
		if k.id == "" {
			id = "no id"
		}
		names = append(names, fmt.Sprintf("%q (%s)", verdict.Escape(label), id))
	}
	return "it shows " + strings.Join(names, ", ")
}
