package trust_test

import (
	"bytes"
	"context"
	"testing"

	"sallyport/internal/dsse"
	"sallyport/internal/manifest"
	"sallyport/internal/strictjson"
	"sallyport/internal/tpm/tpmtest"
	"sallyport/internal/trust"
)

// Where a document is signed, its fuzzer signs whatever it makes, so that it gets
// past the signatures; FuzzEnvelope is for the envelopes themselves.

// seeds adds the vectors of a format: their bytes, or what stands in their
// envelopes when there is a payload type.
func seeds(f *testing.F, format, kind string) {
	f.Helper()
	n := 0
	for _, v := range load(f) {
		if v.format != format || v.spaces != "" {
			continue
		}
		data := v.body
		if kind != "" {
			e, err := dsse.Parse(v.body, kind, trust.MaxEnvelope)
			if err != nil {
				continue
			}
			data = e.Payload
		}
		f.Add(data)
		n++
	}
	if n < 2 {
		f.Fatalf("there are %d seeds of the format %s", n, format)
	}
}

// same checks that an accepted document has one encoding.
func same(t *testing.T, v any, data []byte) {
	t.Helper()
	again, err := strictjson.Encode(v)
	if err != nil || !bytes.Equal(again, data) {
		t.Fatalf("accepted, but encodes as %s (%v)", again, err)
	}
}

// sealedBy is a document that these keys sign.
func sealedBy(t *testing.T, p []byte, kind string, by ...manifest.Signer) []byte {
	t.Helper()
	e := &dsse.Envelope{Payload: p, PayloadType: kind}
	if err := e.Sign(context.Background(), by...); err != nil {
		t.Fatal(err)
	}
	return mustEncode(t, e)
}

// A bundle payload that is accepted has one encoding, and no two stations share
// a key.
func FuzzBundle(f *testing.F) {
	authority := tpmtest.NewSoft(f)
	root := newRoot(f, 1, 1, authority)
	seeds(f, "bundle", trust.PayloadType)
	f.Fuzz(func(t *testing.T, data []byte) {
		tr, err := trust.Open(sealedBy(t, data, trust.PayloadType, authority), root)
		if err != nil {
			return
		}
		b := tr.Bundle()
		same(t, &b, data)
		seen := map[string]bool{}
		for _, s := range b.Stations {
			for _, k := range s.Keys {
				if seen[k.ID] {
					t.Fatalf("key %s stands twice", k.ID)
				}
				seen[k.ID] = true
				if n := len(tr.Approvals(k.ID)); n > len(s.Boot) {
					t.Fatalf("%d approvals in %d states", n, len(s.Boot))
				}
			}
		}
	})
}

// Whole envelopes, as they come from a medium, of each document that has one.
func FuzzEnvelope(f *testing.F) {
	var root *trust.Root
	for name, v := range load(f) {
		switch v.format {
		case "bundle", "rotation", "signer", "handover":
			f.Add(v.body)
		}
		if name == "bundle-two-of-three" {
			root = v.openRoot(f)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		tr, err := trust.Open(data, root)
		if (err == nil) != tr.Valid() {
			t.Fatalf("error %v with a bundle that is valid: %v", err, tr.Valid())
		}
		if d, err := trust.OpenDraft(data, root); err == nil && (d.Bundle.Version < 1 || len(d.Signed) == 0) {
			t.Fatalf("a draft of version %d with %d signatures", d.Bundle.Version, len(d.Signed))
		}
		if r, err := trust.OpenRotation(data, root); err == nil && r.Version != root.Version+1 {
			t.Fatalf("a rotation from version %d to %d", root.Version, r.Version)
		}
		if k, err := trust.DecodeSignerRecord(data); err == nil && k.ID == "" {
			t.Fatal("a signer without an id")
		}
	})
}

// A root that is accepted has one encoding.
func FuzzRoot(f *testing.F) {
	seeds(f, "root", "")
	f.Fuzz(func(t *testing.T, data []byte) {
		if r, err := trust.ParseRoot(data); err == nil {
			same(t, r, data)
		}
	})
}

// A root that follows another is the next version, and both have signed.
func FuzzRotation(f *testing.F) {
	old, next := tpmtest.NewSoft(f), tpmtest.NewSoft(f)
	root := newRoot(f, 1, 1, old)
	seeds(f, "rotation", trust.RootType)
	f.Add(mustJSON(f, newRoot(f, 2, 1, next)))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := trust.OpenRotation(sealedBy(t, data, trust.RootType, old, next), root)
		if err != nil {
			return
		}
		same(t, r, data)
		if _, ok := r.Key(next.KeyID()); !ok || r.Version != 2 || r.Threshold > 2 {
			t.Fatalf("version %d with the threshold %d was accepted", r.Version, r.Threshold)
		}
	})
}

// A signer record that is accepted is signed by the key in it.
func FuzzSigner(f *testing.F) {
	soft := tpmtest.NewSoft(f)
	seeds(f, "signer", trust.SignerType)
	f.Add(mustJSON(f, &rootKeys(f, soft)[0]))
	f.Fuzz(func(t *testing.T, data []byte) {
		k, err := trust.DecodeSignerRecord(sealedBy(t, data, trust.SignerType, soft))
		if err != nil {
			return
		}
		same(t, &k, data)
		if k.ID != soft.KeyID() {
			t.Fatalf("the key %s was claimed", k.ID)
		}
	})
}

// A request that is accepted has one encoding and makes a station of a bundle.
func FuzzRequest(f *testing.F) {
	seeds(f, "request", "")
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := trust.DecodeRequest(data)
		if err != nil {
			return
		}
		same(t, r, data)
		if _, err := r.Station(nil, nil, trust.ByComparison); err != nil {
			t.Fatal(err)
		}
	})
}

// Challenges and answers that are accepted have one encoding.
func FuzzChallenge(f *testing.F) {
	seeds(f, "challenge", "")
	f.Fuzz(func(t *testing.T, data []byte) {
		if c, err := trust.DecodeChallenge(data); err == nil {
			same(t, c, data)
		}
	})
}

func FuzzAnswer(f *testing.F) {
	seeds(f, "answer", "")
	f.Fuzz(func(t *testing.T, data []byte) {
		if a, err := trust.DecodeAnswer(data); err == nil {
			same(t, a, data)
		}
	})
}

// What the authority kept admits nobody whom the request does not name.
func FuzzPending(f *testing.F) {
	for _, v := range load(f) {
		if v.format == "pending" {
			f.Add(v.body)
			f.Add(v.body[:len(v.body)-1])
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := trust.DecodePending(data)
		if err != nil {
			return
		}
		same(t, p, data)
		if _, err := p.Admit(&trust.Answer{V: 1, StationID: "x", Request: sum(p.Request), Secret: []byte("guess")}); err == nil {
			t.Fatal("admitted without the secret")
		}
	})
}

// A hand-over that is accepted ends the old key, and only that.
func FuzzHandover(f *testing.F) {
	old, next := tpmtest.NewSoft(f), tpmtest.NewSoft(f)
	q := request(f, trust.Source, next, nil)
	entry, err := request(f, trust.Source, old, nil).Station(nil, nil, "")
	if err != nil {
		f.Fatal(err)
	}
	seeds(f, "handover", trust.HandoverType)
	good, err := trust.NewHandover(f.Context(), mustEncode(f, q), 7, "source-1", old)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(payload(f, good, trust.HandoverType))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := entry.Accept(sealedBy(t, data, trust.HandoverType, old), q, nil)
		if err != nil {
			return
		}
		if r := s.Keys[0].RevokedAfterSeq; len(s.Keys) != 1 || r == nil || *r < 0 || s.ID != entry.ID || s.Role != entry.Role {
			t.Fatalf("accepted as %+v", s)
		}
	})
}

// A measurement that is accepted has one encoding; nobody but the TPM makes one.
func FuzzMeasurement(f *testing.F) {
	seeds(f, "measurement", "")
	var entry trust.Station
	for name, v := range load(f) {
		if name == "measurement-good" {
			entry = v.entry(f)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		id, err := trust.StationOf(data)
		m, merr := entry.Measured(data)
		if merr != nil {
			return
		}
		same(t, m, data)
		if err != nil || id != entry.ID {
			t.Fatalf("the measurement of %s says that it is of %q (%v)", entry.ID, id, err)
		}
	})
}

// Evidence that is accepted has one encoding, and the state is an approved one.
func FuzzEvidence(f *testing.F) {
	seeds(f, "evidence", "")
	var good *vector
	for name, v := range load(f) {
		if name == "evidence-good" {
			good = v
		}
	}
	pol, v := good.verified(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		if judged(pol, v, data) != nil {
			return
		}
		var e trust.Evidence
		if err := strictjson.DecodeCanonical(data, &e, 1<<20); err != nil {
			t.Fatalf("accepted, but %v", err)
		}
		if e.PCRs != booted(1) {
			t.Fatal("accepted in a state that nobody approved")
		}
	})
}
