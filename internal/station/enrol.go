package station

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"sallyport/internal/audit"
	"sallyport/internal/control"
	"sallyport/internal/strictjson"
	"sallyport/internal/tpm"
	"sallyport/internal/tpm/attest"
	"sallyport/internal/trust"
	"sallyport/internal/verdict"
)

// retiredFile says to which request this station has handed over; it seals
// nothing while the file is there.
const retiredFile = "retired.json"

// retired is retired.json.
type retired struct {
	V       int    `json:"v"`
	Request string `json:"request_sha256"`
	NewKey  string `json:"new_key"`
	LastSeq int64  `json:"last_seq"`
}

// request is what this station gives to the authority to be enrolled.
func (s *Station) request(ctx context.Context) (any, error) {
	return s.action(ctx, audit.Event{ID: audit.EnrolRequest}, func() (any, map[string]string, error) {
		info := s.tpm.Info()
		cert, err := s.tpm.EKCertificate(ctx)
		if err != nil {
			return nil, nil, err
		}
		r := &trust.Request{V: 2, ID: s.identity.ID, Name: s.cfg.Station.Name, Role: trust.Role(s.identity.Role), Jurisdiction: s.identity.Jurisdiction,
			Maker: orUnknown(info.Manufacturer), Firmware: orUnknown(info.Firmware), SoftwareTPM: info.Software, Version: Version(),
			EKCertificate: cert, TPM: s.identity.TPM, MLDSA: s.identity.MLDSA.Public, MLDSASig: s.identity.MLDSA.Possession}
		quoted, err := r.Quoted()
		if err != nil {
			return nil, nil, err
		}
		if r.Quote, r.QuoteSig, r.PCRs, err = s.tpm.Quote(ctx, quoted); err != nil {
			return nil, nil, err
		}
		body, err := r.Encode()
		if f, ok := verdict.Find(err); ok { // the configuration allows names that no trust bundle holds
			return nil, nil, control.Failf(control.CodeUsage, "this station cannot be enrolled as it is configured: %s: %s", f.Where, f.Detail)
		}
		return Requested{Document: Document{Body: body}, KeyID: r.TPM.KeyID, EKSHA256: trust.EKSHA256(r.TPM.EKPublic), EKCertificate: len(cert) > 0},
			map[string]string{"sha256": hexSum(body)}, err
	})
}

func orUnknown(s string) string {
	if s == "" {
		return "unknown"
	}
	return s
}

// activate answers the authority's challenge.
func (s *Station) activate(ctx context.Context, a ActivateArgs) (any, error) {
	c, err := trust.DecodeChallenge(a.Challenge)
	if err != nil {
		return nil, refused(err)
	}
	if c.StationID != s.identity.ID {
		return nil, control.Failf(control.CodeUsage, "the challenge is for station %s, this is %s", c.StationID, s.identity.ID)
	}
	return s.action(ctx, audit.Event{ID: audit.EnrolActivate, Fields: map[string]string{"request": c.Request}}, func() (any, map[string]string, error) {
		secret, err := s.tpm.ActivateCredential(ctx, c.Credential, c.Secret)
		if errors.Is(err, tpm.ErrCredential) {
			return nil, nil, control.Failf(control.CodeUsage, "this TPM cannot open the challenge, which was not made for this station's TPM and its present keys: is it the answer to this machine's own request? Take a new one to the authority ('sallyport station request'), and tell it of this")
		}
		if err != nil {
			return nil, nil, err
		}
		body, err := (&trust.Answer{V: 1, StationID: c.StationID, Request: c.Request, Secret: secret}).Encode()
		return Document{Body: body}, nil, err
	})
}

// handOver retires this station's key in favour of another one of the same
// station. From the first durable step on nothing is sealed here any more, so
// that the last sequence number stays the last.
//
//	intent, create(retired.json), sign, outcome
func (s *Station) handOver(ctx context.Context, a HandoverArgs) (any, error) {
	s.sealing.Lock()
	defer s.sealing.Unlock()
	r, err := trust.DecodeRequest(a.Request)
	if err != nil {
		return nil, refused(err)
	}
	if r.ID != s.identity.ID || r.TPM.KeyID == s.tpm.KeyID() {
		return nil, control.Failf(control.CodeUsage, "the request is of station %s with the key %.16s…; this station (%s, %.16s…) hands over to another key of the same station", r.ID, r.TPM.KeyID, s.identity.ID, s.tpm.KeyID())
	}
	digest := hexSum(a.Request)
	return s.action(ctx, audit.Event{ID: audit.EnrolHandover, Fields: map[string]string{"request": digest, "new_key": r.TPM.KeyID}}, func() (any, map[string]string, error) {
		old, err := s.retired()
		if err != nil {
			return nil, nil, err
		}
		if old == nil {
			t, err := s.trust.Current()
			if err == nil { // who could not sign would be retired without a word for it
				err = s.released(ctx, t)
			}
			if err != nil {
				return nil, nil, err
			}
			n, err := s.tpm.CounterRead(ctx)
			if err != nil {
				return nil, nil, err
			}
			old = &retired{V: 1, Request: digest, NewKey: r.TPM.KeyID, LastSeq: int64(n)}
			body, err := strictjson.Encode(old)
			if err != nil {
				return nil, nil, err
			}
			if err := s.opt.FS.CreateFile("station.handover", filepath.Join(s.cfg.StateDir, retiredFile), body, 0o400); err != nil {
				return nil, nil, err
			}
		}
		if old.Request != digest {
			return nil, nil, control.Failf(control.CodeUsage, "this station has handed over already, to the key %.16s… (request %.16s…)", old.NewKey, old.Request)
		}
		body, err := trust.NewHandover(ctx, a.Request, old.LastSeq, s.identity.ID, s.tpm)
		return HandedOver{Document: Document{Body: body}, LastSeq: old.LastSeq, NewKey: old.NewKey},
			map[string]string{"last_seq": strconv.FormatInt(old.LastSeq, 10)}, err
	})
}

// retired returns to whom this station has handed over, nil when it has not.
func (s *Station) retired() (*retired, error) {
	var r retired
	data, err := os.ReadFile(filepath.Join(s.cfg.StateDir, retiredFile))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err == nil {
		err = strictjson.DecodeCanonical(data, &r, maxIdentity)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read %s: %w", retiredFile, err)
	}
	return &r, nil
}

// measure has the TPM sign the state in which this station was started.
func (s *Station) measure(ctx context.Context) (any, error) {
	return s.action(ctx, audit.Event{ID: audit.BootMeasure}, func() (any, map[string]string, error) {
		m := &trust.Measurement{V: 1, StationID: s.identity.ID, KeyID: s.tpm.KeyID(), Version: Version()}
		quoted, err := m.Quoted()
		if err != nil {
			return nil, nil, err
		}
		if m.Quote, m.QuoteSig, m.PCRs, err = s.tpm.Quote(ctx, quoted); err != nil {
			return nil, nil, err
		}
		body, err := m.Encode()
		if err != nil {
			return nil, nil, err
		}
		policy := attest.PCRPolicy(m.PCRs)
		out := Measured{Document: Document{Body: body}, Policy: hex.EncodeToString(policy[:]), Bound: len(s.identity.TPM.BootKey) > 0, Approved: []string{}}
		for i, n := range attest.Numbers() {
			out.PCRs = append(out.PCRs, trust.PCR{PCR: int(n), SHA256: hex.EncodeToString(m.PCRs[i][:])})
		}
		if t, err := s.trust.Current(); err == nil {
			out.Approved = append(out.Approved, t.Matching(s.identity.ID, m.PCRs)...)
		}
		return out, map[string]string{"policy": out.Policy}, nil
	})
}
