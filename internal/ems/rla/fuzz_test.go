package rla

import (
	"bytes"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sallyport/internal/verdict"
)

// refused says that an error is a problem with rule and advice, and a finding.
func refused(t *testing.T, err error) {
	t.Helper()
	var p *Problem
	if _, ok := verdict.Find(err); !errors.As(err, &p) || p.Rule == "" || p.ToDo() == "" || !ok {
		t.Fatalf("%v is not a problem with rule and advice", err)
	}
}

// Whatever the bytes are, a manifest is refused with a problem, or it is written
// and read back as the same.
func FuzzManifest(f *testing.F) {
	f.Add("ballot-polling", []byte("Batch Name,Number of Ballots\r\n1,117\r\n2,269"))
	f.Add("ballot-comparison", []byte("\xef\xbb\xbfContainer,Tabulator,Batch Name,Number of Ballots\r\nBox 1,1,1,3\r\nBox 1,2,1,2\r\n"))
	f.Add("hybrid", []byte("Container,Tabulator,Batch Name,Number of Ballots,CVR,,\n\"a \"\"b\"\"\",1,\"1,2\",3,Y,,\n,,,,,,\n"))
	f.Add("batch-comparison", []byte("Batch Name,Number of Ballots\n1,2\n2,3\nall,5\n"))
	f.Add("batch-comparison", []byte("Batch Name,Number of Ballots\n\"1\n2\",\"1,000\"\n"))
	f.Fuzz(func(t *testing.T, audit string, doc []byte) {
		m, err := ReadManifest("m.csv", bytes.NewReader(doc), Audit(audit))
		if err != nil {
			refused(t, err)
			return
		}
		var b bytes.Buffer
		if err := WriteManifest(&b, m); err != nil {
			t.Fatal(err)
		}
		back, err := ReadManifest("b", &b, m.Audit)
		if err != nil {
			t.Fatal(err)
		}
		back.SHA256 = m.SHA256
		if d := cmp.Diff(m, back); d != "" {
			t.Error(d)
		}
	})
}

// As for manifests.
func FuzzBatchTotals(f *testing.F) {
	f.Add([]byte("\xef\xbb\xbfBatch Name,a,b,Write-in\r\n1,45,125,0\r\n2,3,3,0\r\n"))
	f.Add([]byte("a,BATCH NAME,X - b\n1,one,2\n"))
	f.Add([]byte("Batch Name,a\n1,1\n2,2\nx,3\n"))
	f.Fuzz(func(t *testing.T, doc []byte) {
		totals, err := ReadBatchTotals("t.csv", bytes.NewReader(doc))
		if err != nil {
			refused(t, err)
			return
		}
		var b bytes.Buffer
		if err := WriteBatchTotals(&b, totals); err != nil {
			t.Fatal(err)
		}
		back, err := ReadBatchTotals("b", &b)
		if d := cmp.Diff(totals, back); err != nil || d != "" {
			t.Error(err, d)
		}
	})
}

// As for manifests; a name from which one "(Vote For=N)" was taken and another
// is left cannot be written, and that is refused too.
func FuzzStandardContests(f *testing.F) {
	f.Add([]byte("Contest Name,Jurisdictions\r\nPresident,all\r\nDistrict 2,\"Adams County, Denver County\"\r\n"))
	f.Add([]byte("Contest Name,Jurisdictions,Choice Names\n\"Mayor\nof X (Vote For=2)\",ALL,a; b\n"))
	f.Add([]byte("Contest Name,Jurisdictions\nc (Vote For=1) (Vote For=2),x\n"))
	f.Fuzz(func(t *testing.T, doc []byte) {
		all, err := ReadStandardContests("c.csv", bytes.NewReader(doc))
		if err != nil {
			refused(t, err)
			return
		}
		var b bytes.Buffer
		if err := WriteStandardContests(&b, all); err != nil {
			refused(t, err)
			return
		}
		back, err := ReadStandardContests("b", &b)
		if d := cmp.Diff(all, back); err != nil || d != "" {
			t.Error(err, d)
		}
	})
}

// As for manifests.
func FuzzJurisdictions(f *testing.F) {
	f.Add([]byte("\"Jurisdiction\",\"Admin Email\"\n\"Hoth\",\"admin@example.org\"\n"))
	f.Add([]byte("Jurisdiction,Admin Email,Expected Number of Ballots\na,a@b.c,5\nb,a@b.c,\n"))
	f.Fuzz(func(t *testing.T, doc []byte) {
		all, err := ReadJurisdictions("j.csv", bytes.NewReader(doc))
		if err != nil {
			refused(t, err)
			return
		}
		var b bytes.Buffer
		if err := WriteJurisdictions(&b, all); err != nil {
			t.Fatal(err)
		}
		back, err := ReadJurisdictions("b", &b)
		if d := cmp.Diff(all, back); err != nil || d != "" {
			t.Error(err, d)
		}
	})
}
