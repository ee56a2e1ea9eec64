package custody_test

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"sallyport/internal/custody"
	"sallyport/internal/durable"
)

const header = "label,serial,fs_id,seal,direction,single_use,note\n"

func TestAListArrivesAsItIsWritten(t *testing.T) {
	d := newDesk(t)
	rows, err := custody.ParseList([]byte("\xef\xbb\xbf" + strings.ReplaceAll(header, "\n", "\r\n") +
		"P-12,0781:5581:4C53:1,1A2B-3C4D,004711,in,yes,\"from precinct 12, \"\"Rathaus\"\"\"\r\n" +
		"=HYPERLINK(1),+4C54,,,both,,-2+3\r\n" +
		"@SUM,,5E6F-7A8B,,out,no,=cmd|' /C calc'!A0"))
	d.must(err)
	d.must(d.r.Import(rows, d.by()))
	d.open(durable.FS{})
	list := d.r.List(func(*custody.Summary) bool { return true }, 10)
	if len(list) != 3 || list[0].Label != "=HYPERLINK(1)" || list[0].Serial != "+4C54" || list[0].State != custody.Registered || list[1].Label != "@SUM" || list[1].FSID != "5E6F-7A8B" {
		t.Fatalf("%+v", list)
	}
	m := d.get(list[2].ID)
	if m.Vendor != "0781" || m.Product != "5581" || m.Serial != "4C53:1" || m.Note != `from precinct 12, "Rathaus"` || !m.SingleUse || m.Direction != custody.In {
		t.Errorf("%+v", m)
	}
	// A medium with a seal is on its way here, under that seal.
	if m.State != custody.Sealed || m.Seal != "004711" || len(m.History) != 2 || m.History[1].Seq != m.History[0].Seq {
		t.Errorf("%+v", m)
	}
	d.do(m.ID, custody.Change{Act: custody.Receive, From: ann, To: bob, Seal: "004711"})
	if m := d.get(list[0].ID); m.Note != "-2+3" {
		t.Errorf("a formula became %q", m.Note)
	}
}

func TestListsThatAreRefused(t *testing.T) {
	for _, c := range []struct{ name, list, says string }{
		{"empty", "", "is empty"},
		{"no header", "A,4C53,,,in,,\n", "line 1 has to name the columns"},
		{"columns in another order", "serial,label,fs_id,seal,direction,single_use,note\n", "line 1 has to name"},
		{"a column too few", header + "A,4C53,,,in,\n", "line 2: it has 6 cells"},
		{"a column too many", header + "A,4C53,,,in,,,\n", "line 2: it has 8 cells"},
		{"an empty line", header + "A,4C53,,,in,,\n\nB,4C54,,,in,,\n", "line 3 is empty"},
		{"a line end in a cell", header + "A,4C53,,,in,,\"a\nb\"\n", "line 2: the note"},
		{"a quote in a cell", header + "A,4C53,,,in,,\nB\",4C54,,,in,,\n", "line 3 is no CSV"},
		{"a quote without an end", header + "\"A,4C53,,,in,,\n", "is no CSV"},
		{"not UTF-8", header + "A,4C53,,,in,,\nB\xe4,4C54,,,in,,\n", "line 3 is not valid UTF-8"},
		{"no label", header + ",4C53,,,in,,\n", "line 2: the label is missing"},
		{"no direction", header + "A,4C53,,,,,\n", "line 2: the direction"},
		{"another direction", header + "A,4C53,,,up,,\n", "line 2: the direction"},
		{"another word for yes", header + "A,4C53,,,in,TRUE,\n", "line 2: single_use"},
		{"nothing that tells it", header + "A,,,4711,in,,\n", "line 2: nothing would tell"},
		{"a space at the end", header + "A,4C53 ,,,in,,\n", "line 2: the serial number"},
		{"a control character", header + "A\x1b[31m,4C53,,,in,,\n", "U+001B"},
		{"too large", header + strings.Repeat("A", custody.MaxList), "at most"},
	} {
		rows, err := custody.ParseList([]byte(c.list))
		if rows != nil {
			t.Errorf("%s: rows came", c.name)
		}
		refuses(t, err, c.says)
	}
}

// What stands in a list twice, or in the register already, is named with its
// lines, and then nothing of the list is entered.
func TestTwiceInAList(t *testing.T) {
	d := newDesk(t)
	d.do(d.add(custody.Description{Label: "old", Serial: "OLD1", FSID: "0001-0001", Direction: custody.In}), custody.Change{Act: custody.Seal, Seal: "S-OLD"})
	for _, c := range []struct{ name, list, says string }{
		{"label", "A,4C53,,,in,,\nB,4C54,,,in,,\na,4C55,,,in,,\n", `line 4: the label "a" stands in line 2 already`},
		{"serial", "A,4C53,,,in,,\nB,4C53,,,in,,\n", "line 3: the serial number 4C53 stands in line 2 already"},
		{"serial, with and without a maker", "A,0781:5581:4C53,,,in,,\nB,4C53,,,in,,\n", "line 3: the serial number 4C53 stands in line 2 already"},
		{"seal", "A,4C53,,s1,in,,\nB,4C54,,S1,in,,\n", "line 3: the seal S1 stands in line 2 already"},
		{"file system without serials", "A,,AAAA-0001,,in,,\nB,,aaaa-0001,,in,,\n", "line 3: the file-system id aaaa-0001 stands in line 2 already"},
		{"file system with one serial", "A,4C53,AAAA-0001,,in,,\nB,,AAAA-0001,,in,,\n", "stands in line 2 already"},
		{"a label of the register", "A,4C53,,,in,,\nOLD,4C54,,,in,,\n", "line 3: the label"},
		{"a serial of the register", "A,OLD1,,,in,,\n", "line 2: the serial number OLD1 belongs to medium"},
		{"a seal of the register", "A,4C53,,s-old,in,,\n", "line 2: the seal S-OLD belongs to medium"},
		{"a file system of the register", "A,,0001-0001,,in,,\n", "line 2: the file-system id"},
		{"nothing", "", "no medium"},
	} {
		before := d.content()
		rows, err := custody.ParseList([]byte(header + c.list))
		d.must(err)
		err = d.r.Import(rows, d.by())
		refuses(t, err, c.says)
		if after := d.content(); d.r.Len() != 1 || len(after) != len(before) {
			t.Errorf("%s: something was entered", c.name)
		}
	}
}

// FuzzParseList: a list that is taken is what it says when it is written again;
// one that is not is refused with a line that it has.
func FuzzParseList(f *testing.F) {
	for _, s := range []string{
		header, header + "A,4C53,,,in,,\n", header + "A,0781:5581:4C53,1A2B-3C4D,4711,both,yes,\"a \"\"b\"\"\"\r\n", header + "=1+1,,X1,,out,no,@x",
		header + "\n", header + "A\n", header + "\"A\nB\",4C53,,,in,,\n", "\xef\xbb\xbf" + header, "label;serial\n", "\"", header + "A,4C53,,,in,,\r\r\n", header + "ä,4C53,,,in,,\n\xff",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		rows, err := custody.ParseList(data)
		if err != nil {
			var no *custody.Refusal
			if !errors.As(err, &no) || rows != nil {
				t.Fatalf("%v with %d rows", err, len(rows))
			}
			var line int
			if n, _ := fmt.Sscanf(no.Error(), "line %d", &line); n == 1 && (line < 1 || line > bytes.Count(data, []byte("\n"))+bytes.Count(data, []byte("\r"))+2) {
				t.Fatalf("%d lines, and %v", bytes.Count(data, []byte("\n")), no)
			}
			return
		}
		var out bytes.Buffer
		w := csv.NewWriter(&out)
		_ = w.Write(strings.Split(strings.TrimSpace(header), ","))
		for _, r := range rows {
			once := map[bool]string{true: "yes", false: "no"}[r.SingleUse]
			_ = w.Write([]string{r.Label, custody.JoinSerial(r.Vendor, r.Product, r.Serial), r.FSID, r.Seal, string(r.Direction), once, r.Note})
		}
		w.Flush()
		again, err := custody.ParseList(out.Bytes())
		if err != nil || !slices.Equal(rows, again) {
			t.Fatalf("%q was taken as %+v, written again it is %+v, %v", data, rows, again, err)
		}
	})
}
