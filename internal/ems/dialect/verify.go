package dialect

import (
	"bytes"
	"cmp"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/x509"
	"encoding/asn1"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"sallyport/internal/verdict"
)

// vxPrefix stands before the metadata in what is signed: format 1, and the
// kind of artifact.
const vxPrefix = "1//cast_vote_records//"

// vxEnterprise is the vendor's number below 1.3.6.1.4.1; fields of its
// certificates follow it.
const vxEnterprise = 59817

// Trust says whom to trust for VotingWorks exports, and at what time.
type Trust struct {
	// Roots are the vendor's, or the jurisdiction's, certificates.
	Roots *x509.CertPool
	// Now is the time at which certificates must be valid; it may not be zero.
	Now time.Time
	// AtExport judges the certificates at the time that the export states as its
	// own instead, for certificates that have expired since. The signature covers
	// that time, but whoever holds an expired key can choose it.
	AtExport bool
}

// Machine is what the signing machine's certificate says.
type Machine struct {
	// Component is scan or central-scan.
	Component string
	// Jurisdiction and ID are empty where the certificate does not say.
	Jurisdiction string
	ID           string
	NotAfter     time.Time
	// Fingerprint is the SHA-256 of the certificate, hexadecimal.
	Fingerprint string
}

// Verified is an export whose signature, certificate and files were verified.
// Only [VerifyVotingWorks] makes one.
type Verified struct {
	fsys    fs.FS
	dir     string
	machine Machine
	meta    *vxMetadata
	records []string
	reports map[string][32]byte // SHA-256 of each record's report
}

// Machine returns who signed.
func (v *Verified) Machine() Machine { return v.machine }

// Generated returns when the export says that it was made.
func (v *Verified) Generated() time.Time { return v.meta.generated }

// PollsClosed says whether the export was finished.
func (v *Verified) PollsClosed() bool { return v.meta.closed }

// Root returns the root hash, hexadecimal.
func (v *Verified) Root() string { return v.meta.root }

// Records returns the number of records.
func (v *Verified) Records() int { return len(v.records) }

// Open reads the export. Each file is compared with what was verified, so a
// change after [VerifyVotingWorks] is refused as well.
func (v *Verified) Open() (*Source, error) {
	if v == nil || v.meta == nil {
		return nil, errors.New("cannot read an export that was not verified")
	}
	n := newNotes()
	r, err := openVotingWorks(v.fsys, v.dir, n, v)
	if err != nil {
		return nil, err
	}
	return &Source{kind: VotingWorks, path: v.dir, r: r, notes: n}, nil
}

// VerifyVotingWorks verifies the export in a folder against its detached
// signature, the content of the file <folder>.vxsig:
//
//  1. nothing but metadata.json and folders of records stands in the folder;
//  2. the signing certificate chains to trust.Roots at trust's time, and is a
//     scanner's;
//  3. the signature is over the prefix and the bytes of metadata.json;
//  4. the root hash, recomputed from every file of every record, is the one in
//     metadata.json;
//  5. the batches in metadata.json are of the machine in the certificate, where
//     that names one.
//
// A finding signature-invalid, signer-unknown, file-altered, file-missing or
// file-extra says what failed. Which of the records' files was changed cannot
// be told: the signature covers the root hash alone.
func VerifyVotingWorks(ctx context.Context, fsys fs.FS, dir string, sig []byte, trust Trust) (*Verified, error) {
	if trust.Roots == nil || trust.Now.IsZero() {
		return nil, errors.New("cannot verify without trusted certificates and a time")
	}
	v := &Verified{fsys: fsys, dir: dir, reports: map[string][32]byte{}}
	var err error
	if v.records, err = vxRecords(fsys, dir); err != nil {
		return nil, err
	}
	file := path.Join(dir, vxMetadataFile)
	data, err := readFile(fsys, file, maxManifest)
	if err != nil {
		return nil, err
	}
	cert, err := checkSignature(dir+".vxsig", sig, data)
	if err != nil {
		return nil, err
	}
	if v.meta, err = readVxMetadata(file, data, newNotes()); err != nil {
		return nil, err
	}
	if trust.AtExport {
		trust.Now = v.meta.generated
	}
	if v.machine, err = checkCertificate(dir+".vxsig", cert, trust); err != nil {
		return nil, err
	}
	if err := v.checkRoot(ctx); err != nil {
		return nil, err
	}
	if err := v.checkScanner(); err != nil {
		return nil, err
	}
	return v, nil
}

// checkSignature reads the signature file, a byte with the signature's length,
// the signature, and the certificate as PEM, and returns the certificate, which
// nobody vouches for yet.
func checkSignature(where string, sig, signed []byte) (*x509.Certificate, error) {
	refuse := func(detail string) error {
		return verdict.New(verdict.SignatureInvalid, where, "%s (rule %s)", detail, ruleSignature)
	}
	if len(sig) > 64<<10 || len(sig) < 2 || len(sig) < 1+int(sig[0]) {
		return nil, refuse("this is not a signature file: it is too short or too long")
	}
	der, rest := sig[1:1+int(sig[0])], sig[1+int(sig[0]):]
	block, after := pem.Decode(rest)
	if block == nil || block.Type != "CERTIFICATE" || len(after) > 0 || !bytes.Equal(pem.EncodeToMemory(block), rest) {
		return nil, refuse("the signature is not followed by exactly one certificate as PEM")
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, refuse("the certificate cannot be read")
	}
	key, ok := cert.PublicKey.(*ecdsa.PublicKey)
	if !ok || key.Curve != elliptic.P256() {
		return nil, refuse("the certificate's key is not ECDSA P-256")
	}
	h := sha256.New()
	h.Write([]byte(vxPrefix))
	h.Write(signed)
	if !ecdsa.VerifyASN1(key, h.Sum(nil), der) {
		return nil, refuse("the signature is not over this " + vxMetadataFile + ": one of the two was changed")
	}
	return cert, nil
}

func checkCertificate(where string, cert *x509.Certificate, trust Trust) (Machine, error) {
	refuse := func(r verdict.Reason, detail string) (Machine, error) {
		return Machine{}, verdict.New(r, where, "%s (rule %s)", detail, ruleCertificate)
	}
	_, err := cert.Verify(x509.VerifyOptions{Roots: trust.Roots, CurrentTime: trust.Now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
	if err != nil {
		return refuse(verdict.SignerUnknown, "the signing machine's certificate is not vouched for by a trusted one at "+trust.Now.UTC().Format(time.RFC3339)+": "+err.Error())
	}
	sum := sha256.Sum256(cert.Raw)
	m := Machine{NotAfter: cert.NotAfter, Fingerprint: hex.EncodeToString(sum[:])}
	for _, a := range cert.Subject.Names {
		text, _ := a.Value.(string)
		switch {
		case a.Type.Equal(vxField(1)):
			m.Component = text
		case a.Type.Equal(vxField(2)):
			m.Jurisdiction = text
		case a.Type.Equal(vxField(6)):
			m.ID = text
		}
	}
	if m.Component != "scan" && m.Component != "central-scan" {
		return refuse(verdict.SignerNotPermitted, "the certificate is not one of a scanner")
	}
	return m, nil
}

func vxField(n int) asn1.ObjectIdentifier {
	return asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, vxEnterprise, n}
}

// leaf is the hash of one node of the tree, and what it is sorted by.
type leaf struct{ key, hash string }

// checkRoot recomputes the root hash from the files.
func (v *Verified) checkRoot(ctx context.Context) error {
	leaves := make([]leaf, 0, len(v.records))
	for _, id := range v.records {
		if err := ctx.Err(); err != nil {
			return err
		}
		l, err := v.hashRecord(id)
		if err != nil {
			return err
		}
		leaves = append(leaves, l)
	}
	root := combine(group(group(leaves, 2), 1))
	if subtle.ConstantTimeCompare([]byte(root), []byte(v.meta.root)) == 1 {
		return nil
	}
	where := path.Join(v.dir, vxMetadataFile) + "#/castVoteRecordRootHash"
	if n, said := v.meta.sheets(); said && n > len(v.records) {
		return verdict.New(verdict.FileMissing, where, "the metadata state %d sheets, and there are %d records (rule %s)", n, len(v.records), ruleRootHash)
	} else if said && n < len(v.records) {
		return verdict.New(verdict.FileExtra, where, "the metadata state %d sheets, and there are %d records (rule %s)", n, len(v.records), ruleRootHash)
	}
	return altered(where, "the files of the records do not have this hash: one of them was changed, added, renamed or removed")
}

func altered(where, detail string) error {
	return verdict.New(verdict.FileAltered, where, "%s (rule %s)", detail, ruleRootHash)
}

// hashRecord hashes one record's folder: a line for each file, sorted by name,
// as sha256sum prints it.
func (v *Verified) hashRecord(id string) (leaf, error) {
	dir := path.Join(v.dir, id)
	entries, err := readDir(v.fsys, dir)
	if err != nil {
		return leaf{}, err
	}
	var lines strings.Builder
	for _, d := range entries {
		name := path.Join(dir, d.Name())
		// In these characters the vendor's order of names, which depends on a
		// language, is that of bytes.
		if d.IsDir() || strings.Trim(d.Name(), "abcdefghijklmnopqrstuvwxyz0123456789.-") != "" {
			return leaf{}, verdict.New(verdict.FileExtra, name, "a record's folder may hold only files, with names of small letters, digits, dots and hyphens (rule %s)", ruleUnsigned)
		}
		sum, err := hashFile(v.fsys, name)
		if err != nil {
			return leaf{}, err
		}
		if d.Name() == vxReportFile {
			v.reports[id] = sum
		}
		lines.WriteString(hex.EncodeToString(sum[:]) + "  " + id + "/" + d.Name() + "\n")
	}
	if _, ok := v.reports[id]; !ok {
		return leaf{}, verdict.New(verdict.FileMissing, path.Join(dir, vxReportFile), "the record's folder has no report (rule %s)", ruleFileMissing)
	}
	return leaf{id, hexHash(lines.String())}, nil
}

// group makes one node of the nodes whose keys begin with the same n characters.
func group(nodes []leaf, n int) []leaf {
	slices.SortFunc(nodes, func(a, b leaf) int { return cmp.Compare(a.key, b.key) })
	var out []leaf
	for i := 0; i < len(nodes); {
		j := i
		for j < len(nodes) && nodes[j].key[:n] == nodes[i].key[:n] {
			j++
		}
		out = append(out, leaf{nodes[i].key[:n], combine(nodes[i:j])})
		i = j
	}
	return out
}

func combine(nodes []leaf) string {
	var b strings.Builder
	for _, l := range nodes {
		b.WriteString(l.hash)
	}
	return hexHash(b.String())
}

// checkScanner compares the machine in the certificate with the batches'.
func (v *Verified) checkScanner() error {
	for _, b := range v.meta.batches {
		if v.machine.ID != "" && b.scanner != v.machine.ID {
			return verdict.New(verdict.SignerNotPermitted, path.Join(v.dir, vxMetadataFile)+"#/batchManifest",
				"a batch is of another scanner than the one that signed (rule %s)", ruleCertificate)
		}
	}
	return nil
}
