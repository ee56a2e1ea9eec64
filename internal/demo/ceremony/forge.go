package main

import (
	"crypto/ecdsa"
	"crypto/x509"
	"os"
	"testing"

	"sallyport/internal/testmedia"
	"sallyport/internal/tpm/attest"
	"sallyport/internal/tpm/tpmtest"
	"sallyport/internal/trust"
)

// onStick reads a document from the root of a stick.
func (c *ceremony) onStick(image, name string) []byte {
	t := testing.TB(c.office.TB)
	e := testmedia.Find(t, image, name)
	var body []byte
	for _, x := range e.Extents {
		body = append(body, testmedia.Bytes(t, image, x.Off, int(x.Len))...)
	}
	return body[:e.Size]
}

// forged writes a stick with a document that no Sallyport wrote.
func (c *ceremony) forged(name, file string, body []byte) (image string) {
	made := testmedia.FAT(c.office.TB, testmedia.Options{Bits: 32, SizeMiB: 64}, testmedia.Files{file: body})
	image = c.stick(name)
	if err := os.Rename(made, image); err != nil {
		c.office.TB.Fatal(err)
	}
	return image
}

// request is an enrolment request of keys that lie in a file, which says of
// itself what like says. ek is the endorsement key that it claims, nil for one of
// its own; the maker's certificate is that of like in either case.
func (c *ceremony) request(like []byte, ek bool) []byte {
	t := c.office.TB
	must := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	genuine, err := trust.DecodeRequest(like)
	must(err)
	body, err := os.ReadFile(c.root)
	must(err)
	root, err := trust.ParseRoot(body)
	must(err)
	boot, err := root.BootPublic()
	must(err)
	soft := tpmtest.NewSoft(t)
	soft.Boot = &ecdsa.PrivateKey{PublicKey: *boot}
	soft.Identity.BootKey, err = x509.MarshalPKIXPublicKey(boot)
	must(err)
	soft.Identity.SigningPublic = tpmtest.Area(t, soft.SigningTemplate(t), &soft.Key.PublicKey)
	if ek {
		soft.Identity.EKPublic = genuine.TPM.EKPublic
	}
	soft.Certify(t)
	r := *genuine
	r.TPM, r.MLDSA, r.MLDSASig = soft.Identity, nil, nil
	quoted, err := r.Quoted()
	must(err)
	r.PCRs = attest.PCRs{}
	r.Quote, r.QuoteSig = soft.Attest(t, soft.QuoteStatement(r.PCRs, quoted))
	out, err := r.Encode()
	must(err)
	return out
}

// invented answers a challenge without having read it.
func invented(challenge []byte) ([]byte, error) {
	c, err := trust.DecodeChallenge(challenge)
	if err != nil {
		return nil, err
	}
	return (&trust.Answer{V: 1, StationID: c.StationID, Request: c.Request, Secret: make([]byte, 32)}).Encode()
}
