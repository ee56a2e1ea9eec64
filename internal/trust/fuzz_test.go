package trust_test

import (
	"bytes"
	"context"
	"testing"

	"sallyport/internal/dsse"
	"sallyport/internal/strictjson"
	"sallyport/internal/tpm/tpmtest"
	"sallyport/internal/trust"
)

// A bundle payload that is accepted has one encoding, and no two stations share
// a key. The authority signs whatever the fuzzer makes, so that the fuzzer gets
// past the signatures.
func FuzzBundle(f *testing.F) {
	authority := tpmtest.NewSoft(f)
	root, err := trust.NewRoot(1, 1, publics([]*tpmtest.Soft{authority})...)
	if err != nil {
		f.Fatal(err)
	}
	for _, v := range load(f) {
		if e, err := dsse.Parse(v.body, trust.PayloadType, trust.MaxEnvelope); v.format == "bundle" && err == nil {
			f.Add(e.Payload)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		e := &dsse.Envelope{Payload: data, PayloadType: trust.PayloadType}
		if err := e.Sign(context.Background(), authority); err != nil {
			t.Fatal(err)
		}
		tr, err := trust.Open(mustEncode(t, e), root)
		if err != nil {
			return
		}
		b := trust.Bundle{V: 1, Version: tr.Version(), RootVersion: 1, Issued: tr.Issued(), Stations: tr.Stations()}
		if again := mustJSON(t, &b); !bytes.Equal(again, data) {
			t.Fatalf("accepted, but encodes as %s", again)
		}
		seen := map[string]bool{}
		for _, s := range b.Stations {
			for _, k := range s.Keys {
				if seen[k.ID] {
					t.Fatalf("key %s stands twice", k.ID)
				}
				seen[k.ID] = true
			}
		}
	})
}

// Whole envelopes, as they come from a medium.
func FuzzEnvelope(f *testing.F) {
	var root *trust.Root
	for name, v := range load(f) {
		if v.format == "bundle" {
			f.Add(v.body)
		}
		if name == "bundle-two-of-three" {
			var err error
			if root, err = trust.ParseRoot([]byte(v.root)); err != nil {
				f.Fatal(err)
			}
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		tr, err := trust.Open(data, root)
		if (err == nil) != tr.Valid() {
			t.Fatalf("error %v with a bundle that is valid: %v", err, tr.Valid())
		}
	})
}

// A record that is accepted has one encoding.
func FuzzRecord(f *testing.F) {
	for _, v := range load(f) {
		if v.format == "record" {
			f.Add(v.body)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := trust.DecodeRecord(data)
		if err != nil {
			return
		}
		if again := mustEncode(t, r); !bytes.Equal(again, data) {
			t.Fatalf("accepted, but encodes as %s", again)
		}
	})
}

// A root that is accepted has one encoding.
func FuzzRoot(f *testing.F) {
	for _, v := range load(f) {
		if v.format == "root" {
			f.Add(v.body)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := trust.ParseRoot(data)
		if err != nil {
			return
		}
		again, err := strictjson.Encode(r)
		if err != nil || !bytes.Equal(again, data) {
			t.Fatalf("accepted, but encodes as %s (%v)", again, err)
		}
	})
}
