package attest

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"slices"
	"time"
)

// MaxEKCertificate is the most bytes of an endorsement certificate. Those of
// today's makers have 700 to 1,600.
const MaxEKCertificate = 4096

// CheckEK verifies that a TPM maker vouches for the endorsement key ekPublic
// (TPMT_PUBLIC): cert, DER, is an endorsement certificate of exactly this key
// (TCG EK Credential Profile 2.5, 3.2) with a chain to one of the maker's self-
// signed certificates among authorities. What of authorities is not self-signed
// serves as a link. Who puts a certificate among authorities decides whose TPMs
// are genuine.
//
// Times are not judged: the authority is offline, its clock decides nothing, a
// TPM outlives the dates that its maker once wrote, and the key cannot leave
// the chip. Nor is revocation: makers publish it, if at all, on networks. A
// maker whose key was stolen must be taken out of authorities.
func CheckEK(cert, ekPublic []byte, authorities []*x509.Certificate) error {
	if err := checkEK(cert, ekPublic, authorities); err != nil {
		return fmt.Errorf("cannot accept the endorsement certificate: %w", err)
	}
	return nil
}

func checkEK(der, ekPublic []byte, authorities []*x509.Certificate) error {
	key, err := endorsementKey(ekPublic)
	if err != nil {
		return err
	}
	if len(der) == 0 || len(der) > MaxEKCertificate {
		return fmt.Errorf("it has %d bytes, want 1 to %d", len(der), MaxEKCertificate)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return fmt.Errorf("it cannot be read: %w", err)
	}
	if err := sameKey(cert, key); err != nil {
		return err
	}
	if cert.IsCA {
		return errors.New("it is the certificate of an authority (basicConstraints), which a TPM is not")
	}
	if !slices.ContainsFunc(cert.UnknownExtKeyUsage, asn1.ObjectIdentifier{2, 23, 133, 8, 1}.Equal) {
		return errors.New("it is not for an endorsement key (extended key usage 2.23.133.8.1 is missing)")
	}
	if err := checkSAN(cert); err != nil {
		return err
	}
	return checkChain(cert, authorities)
}

// checkChain leaves signatures, names, path lengths and usages to crypto/x509.
func checkChain(cert *x509.Certificate, authorities []*x509.Certificate) error {
	opt := x509.VerifyOptions{
		Roots: x509.NewCertPool(), Intermediates: x509.NewCertPool(),
		// checkEK looks for the one usage that matters, which crypto/x509 does
		// not know.
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	}
	now := time.Unix(0, 0)
	opt.CurrentTime = now
	timeless := func(c *x509.Certificate) *x509.Certificate {
		copied := *c
		copied.NotBefore, copied.NotAfter = now, now
		return &copied
	}
	roots := 0
	for _, c := range authorities {
		if c == nil {
			continue
		}
		if bytes.Equal(c.RawSubject, c.RawIssuer) && c.CheckSignatureFrom(c) == nil {
			opt.Roots.AddCert(timeless(c))
			roots++
		} else {
			opt.Intermediates.AddCert(timeless(c))
		}
	}
	if roots == 0 {
		return errors.New("no self-signed certificate of a TPM maker was given to check it with")
	}
	leaf := timeless(cert)
	// Read by checkSAN, which crypto/x509 cannot.
	leaf.UnhandledCriticalExtensions = slices.DeleteFunc(slices.Clone(leaf.UnhandledCriticalExtensions), sanOID().Equal)
	if _, err := leaf.Verify(opt); err != nil {
		return fmt.Errorf("no known TPM maker vouches for it: %w", err)
	}
	return nil
}

func sanOID() asn1.ObjectIdentifier { return asn1.ObjectIdentifier{2, 5, 29, 17} }

// checkSAN reads the subject's alternative name, which must name the TPM's
// maker, model and version (profile, 3.1.2): a directory name among the
// general names of RFC 5280, 4.2.1.6.
func checkSAN(cert *x509.Certificate) error {
	at := slices.IndexFunc(cert.Extensions, func(e pkix.Extension) bool { return e.Id.Equal(sanOID()) })
	if at < 0 {
		return errors.New("it does not name a TPM (no subject alternative name)")
	}
	var names []asn1.RawValue
	if rest, err := asn1.Unmarshal(cert.Extensions[at].Value, &names); err != nil || len(rest) > 0 {
		return errors.New("its subject alternative name cannot be read")
	}
	found := 0
	for _, n := range names {
		const directoryName = 4
		if n.Class != asn1.ClassContextSpecific || n.Tag != directoryName {
			continue
		}
		var name pkix.RDNSequence
		if rest, err := asn1.Unmarshal(n.Bytes, &name); err != nil || len(rest) > 0 {
			return errors.New("the directory name in its subject alternative name cannot be read")
		}
		for _, set := range name {
			for _, a := range set {
				for last := 1; last <= 3; last++ { // maker, model, version
					if a.Type.Equal(asn1.ObjectIdentifier{2, 23, 133, 2, last}) {
						found |= 1 << last
					}
				}
			}
		}
	}
	if found != 1<<1|1<<2|1<<3 {
		return errors.New("its subject alternative name does not name the TPM's maker, model and version")
	}
	return nil
}

// sameKey compares the certificate's key, bit for bit, with the endorsement
// key. Go knows no key under the algorithm RSAES-OAEP, by which some makers
// say that theirs only decrypts (RFC 4055, 4).
func sameKey(cert *x509.Certificate, key any) error {
	var spki struct {
		Algorithm pkix.AlgorithmIdentifier
		Key       asn1.BitString
	}
	if rest, err := asn1.Unmarshal(cert.RawSubjectPublicKeyInfo, &spki); err != nil || len(rest) > 0 {
		return errors.New("its public key cannot be read")
	}
	other := errors.New("it is of another endorsement key than this TPM's")
	switch key := key.(type) {
	case *rsa.PublicKey:
		rsaEncryption, oaep := asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 1}, asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 7}
		if a := spki.Algorithm.Algorithm; !a.Equal(rsaEncryption) && !a.Equal(oaep) {
			return fmt.Errorf("%w: the certificate's is not an RSA key", other)
		}
		if !bytes.Equal(spki.Key.RightAlign(), x509.MarshalPKCS1PublicKey(key)) {
			return other
		}
	case *ecdsa.PublicKey:
		if c, ok := cert.PublicKey.(*ecdsa.PublicKey); !ok || !c.Equal(key) {
			return other
		}
	default:
		return other
	}
	return nil
}
