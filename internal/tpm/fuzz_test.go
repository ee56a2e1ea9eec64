package tpm

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"encoding/binary"
	"testing"
	"time"

	"sallyport/internal/tpm/attest"
	"sallyport/internal/tpm/tpmtest"

	"github.com/google/go-tpm/tpm2"
)

// Nothing that a TPM answers makes a call panic, hang or return something
// unverified.
func FuzzAnswer(f *testing.F) {
	head := func(body ...byte) []byte {
		return append(binary.BigEndian.AppendUint32([]byte{0x80, 0x02}, uint32(10+len(body))), append([]byte{0, 0, 0, 0}, body...)...)
	}
	f.Add(head())
	f.Add(head(0, 0, 0, 4, 0xff, 0xff, 0xff, 0xff, 0, 0, 0))
	f.Add(head(0xff, 0xff, 0xff, 0xff))
	f.Add([]byte{0x80, 0x01, 0, 0, 0, 10, 0, 0, 1, 0x8b})
	f.Add(head(0, 0, 0, 1, 0, 0, 0, 1, 0, 0x0b, 3, 0xff, 0x08, 0, 0, 0, 0, 0)) // PCRs without values
	soft, boot := tpmtest.FixedSoft(f, false), tpmtest.FixedKey(f, 50)
	f.Fuzz(func(t *testing.T, answer []byte) {
		tp := start("test", canned(answer))
		defer tp.Close()
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		for _, key := range []*ecdsa.PublicKey{nil, &boot.PublicKey} {
			if _, err := tp.CreateIdentity(ctx, key); err == nil {
				t.Fatal("one answer made an identity")
			}
		}
		call(ctx, tp, "info", readInfo)
		tp.Clock(ctx)
		for _, id := range []*loaded{{Identity: soft.Identity}, {Identity: soft.Identity, boot: &boot.PublicKey}} {
			tp.identity.Store(id)
			if _, err := tp.Sign(ctx, [32]byte{}); err == nil {
				t.Fatal("an unverified signature was returned")
			}
			if _, err := tp.LogSigner().Sign(ctx, [32]byte{}); err == nil {
				t.Fatal("an unverified signature was returned")
			}
			if _, err := tp.UnsealSecret(ctx, answer); err == nil {
				t.Fatal("a secret came out of nothing")
			}
		}
		if _, _, _, err := tp.Quote(ctx, [32]byte{}); err == nil {
			t.Fatal("an unverified quote was returned")
		}
		if _, err := tp.ActivateCredential(ctx, nil, nil); err == nil {
			t.Fatal("one answer opened a credential")
		}
		tp.EKCertificate(ctx)
		tp.PCRs(ctx)
		tp.AllPCRs(ctx)
		if _, _, err := tp.CounterCertify(ctx, [32]byte{}); err == nil {
			t.Fatal("an unverified statement was returned")
		}
		tp.CounterRead(ctx)
	})
}

// canned answers every command alike; a busy code would only be asked again.
type canned []byte

func (c canned) Send(context.Context, []byte) ([]byte, error) {
	if len(c) >= headerLen && c[8] == 0x09 {
		return nil, errFault
	}
	return bytes.Clone(c), nil
}
func (canned) Close() error { return nil }

// The blob of a sealed secret lies on the disk. What is accepted has one
// encoding, and the public part of a secret that is bound as the station is.
func FuzzSealed(f *testing.F) {
	boot := tpmtest.FixedKey(f, 50)
	for _, key := range []*ecdsa.PublicKey{nil, &boot.PublicKey} {
		template, err := attest.SecretTemplate(key)
		if err != nil {
			f.Fatal(err)
		}
		template.Unique = tpm2.NewTPMUPublicID(tpm2.TPMAlgKeyedHash, &tpm2.TPM2BDigest{Buffer: make([]byte, 32)})
		blob := append(tpm2.Marshal(tpm2.New2B(template)), tpm2.Marshal(tpm2.TPM2BPrivate{Buffer: make([]byte, 120)})...)
		if _, _, err := parseSealed(blob, key); err != nil {
			f.Fatal(err)
		}
		f.Add(blob)
		f.Add(blob[:len(blob)-1])
		f.Add(append(blob, 0))
	}
	f.Add([]byte{0, 4, 0, 8, 0, 11, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, blob []byte) {
		for _, key := range []*ecdsa.PublicKey{nil, &boot.PublicKey} {
			public, private, err := parseSealed(blob, key)
			if err != nil {
				continue
			}
			again := append(tpm2.Marshal(tpm2.BytesAs2B[tpm2.TPMTPublic](public)), tpm2.Marshal(tpm2.TPM2BPrivate{Buffer: private})...)
			if !bytes.Equal(again, blob) {
				t.Fatalf("%x was accepted, but encodes as %x", blob, again)
			}
			read, err := tpm2.Unmarshal[tpm2.TPMTPublic](public)
			if err != nil || read.ObjectAttributes.UserWithAuth != (key == nil) || (len(read.AuthPolicy.Buffer) > 0) != (key != nil) {
				t.Fatalf("a secret was accepted that is bound otherwise: %+v, %v", read, err)
			}
		}
	})
}

// What an NV index holds is the TPM maker's, with padding of all kinds.
func FuzzCutDER(f *testing.F) {
	f.Add([]byte{0x30, 3, 2, 1, 5, 0, 0, 0})
	f.Add([]byte{0x30, 0x82, 0xff, 0xff})
	f.Add([]byte{0x30, 0x80, 0, 0})
	f.Add(bytes.Repeat([]byte{0xff}, 100))
	f.Fuzz(func(t *testing.T, data []byte) {
		cut := cutDER(data)
		if cut == nil {
			return
		}
		if !bytes.HasPrefix(data, cut) || !bytes.Equal(cutDER(cut), cut) {
			t.Fatalf("%x was cut to %x", data, cut)
		}
	})
}
