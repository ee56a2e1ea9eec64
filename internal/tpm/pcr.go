package tpm

import (
	"context"
	"errors"
	"fmt"

	"sallyport/internal/tpm/attest"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"
)

// PCRs reads the boot state: the SHA-256 bank's PCRs 0 to 7 and 11.
func (t *TPM) PCRs(ctx context.Context) (attest.PCRs, error) {
	return call(ctx, t, "read the PCRs", bootState)
}

// AllPCRs reads the whole SHA-256 bank, for display.
func (t *TPM) AllPCRs(ctx context.Context) ([24][32]byte, error) {
	return call(ctx, t, "read the PCRs", func(tr transport.TPM) (all [24][32]byte, err error) {
		numbers := make([]uint, len(all))
		for i := range numbers {
			numbers[i] = uint(i)
		}
		got, err := readPCRs(tr, numbers)
		copy(all[:], got)
		return all, err
	})
}

func bootState(tr transport.TPM) (pcrs attest.PCRs, err error) {
	got, err := readPCRs(tr, attest.Numbers())
	copy(pcrs[:], got)
	return pcrs, err
}

// pcrAttempts bounds how often a reading is begun again because a PCR was
// extended meanwhile, which ends when the boot does.
const pcrAttempts = 10

// readPCRs returns the values of the SHA-256 PCRs with these numbers, all of
// one moment. The TPM gives some, usually eight, at a time.
func readPCRs(tr transport.TPM, numbers []uint) ([][32]byte, error) {
	for range pcrAttempts {
		values := map[uint][32]byte{}
		var counter uint32
		changed := false
		for len(values) < len(numbers) && !changed {
			var missing []uint
			for _, n := range numbers {
				if _, ok := values[n]; !ok {
					missing = append(missing, n)
				}
			}
			first := len(values) == 0
			rsp, err := tpm2.PCRRead{PCRSelectionIn: attest.Selection(missing...)}.Execute(tr)
			if err != nil {
				return nil, err
			}
			changed = !first && rsp.PCRUpdateCounter != counter
			counter = rsp.PCRUpdateCounter
			if err := takePCRs(values, missing, rsp); err != nil {
				return nil, err
			}
		}
		if changed {
			continue
		}
		out := make([][32]byte, len(numbers))
		for i, n := range numbers {
			out[i] = values[n]
		}
		return out, nil
	}
	return nil, errors.New("the PCRs keep changing")
}

// takePCRs puts what one answer holds into values: some of what is missing.
func takePCRs(values map[uint][32]byte, missing []uint, rsp *tpm2.PCRReadResponse) error {
	var got []uint
	for _, s := range rsp.PCRSelectionOut.PCRSelections {
		for i, b := range s.PCRSelect {
			for bit := range 8 {
				if b&(1<<bit) == 0 {
					continue
				}
				if s.Hash != tpm2.TPMAlgSHA256 {
					return fmt.Errorf("the TPM answered with PCRs of hash %#04x, want SHA-256", uint16(s.Hash))
				}
				got = append(got, uint(8*i+bit))
			}
		}
	}
	if len(got) == 0 {
		return errors.New("the TPM keeps no PCRs for SHA-256: enable that bank in the firmware's setup")
	}
	if len(got) != len(rsp.PCRValues.Digests) || len(got) > len(missing) {
		return fmt.Errorf("the TPM named %d PCRs and gave %d values, of %d asked for", len(got), len(rsp.PCRValues.Digests), len(missing))
	}
	wanted := map[uint]bool{}
	for _, n := range missing {
		wanted[n] = true
	}
	for i, n := range got {
		v := rsp.PCRValues.Digests[i].Buffer
		if !wanted[n] || len(v) != 32 {
			return fmt.Errorf("the TPM gave PCR %d with %d bytes, which was not asked for", n, len(v))
		}
		delete(wanted, n)
		values[n] = [32]byte(v)
	}
	return nil
}

// Quote lets the attestation key vouch for the boot state ([attest.PCRs])
// together with qualifying (usually a challenge, or the hash of what was sealed
// in it). The statement is a TPMS_ATTEST, the signature ASN.1 DER; both were
// verified against the values. [attest.CheckQuote] reads them.
func (t *TPM) Quote(ctx context.Context, qualifying [32]byte) (statement, sig []byte, pcrs attest.PCRs, err error) {
	type quote struct {
		statement, sig []byte
		pcrs           attest.PCRs
	}
	q, err := with(ctx, t, "quote the boot state", func(tr transport.TPM, id *loaded) (quote, error) {
		var err error
		for range pcrAttempts {
			var q quote
			if q.pcrs, err = bootState(tr); err != nil {
				return quote{}, err
			}
			var rsp *tpm2.QuoteResponse
			rsp, err = tpm2.Quote{
				SignHandle:     at(HandleAK, id.AKPublic),
				QualifyingData: tpm2.TPM2BData{Buffer: qualifying[:]},
				InScheme:       noScheme(),
				PCRSelect:      attest.Selection(attest.Numbers()...),
			}.Execute(tr)
			if err != nil {
				return quote{}, err
			}
			q.statement = rsp.Quoted.Bytes()
			if q.sig, err = attest.DER(rsp.Signature); err != nil {
				return quote{}, err
			}
			// A PCR may have been extended between the two commands.
			if err = attest.CheckQuote(id.AKPublic, q.statement, q.sig, q.pcrs, qualifying); err == nil {
				return q, nil
			}
		}
		return quote{}, err
	})
	return q.statement, q.sig, q.pcrs, err
}
