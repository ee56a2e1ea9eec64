package station_test

import (
	"testing"

	"golang.org/x/mod/sumdb/tlog"

	"sallyport/internal/station"
	"sallyport/internal/testmedia"
	"sallyport/internal/translog"
)

// A station proves each entry under the first checkpoint that seals it, to
// whoever has its log key and the entry.
func TestEntriesAreProven(t *testing.T) {
	o := newOffice(t)
	o.ems.with(func(s *station.Station) {
		rep, err := insert(s, testmedia.FAT(t, testmedia.Options{Bits: 16, SizeMiB: 12}, testmedia.Files{"a": []byte("b")}))
		o.ems.must(err)
		all := asked[station.Log](t, s, station.OpLogShow, station.LogArgs{Export: true})
		keys, err := translog.NewKeys("sallyport/"+o.ems.cfg.Station.Jurisdiction+"/"+o.ems.cfg.Station.ID, publicKeys(t, s, station.KeyForLog)...)
		o.ems.must(err)
		before := int64(0)
		for _, e := range all.Entries {
			p := asked[station.Proof](t, s, station.OpLogProve, station.ProveArgs{Entry: e.Seq})
			if p.Checkpoint == "" {
				t.Fatalf("entry %d of %d is not sealed", e.Seq, all.Size)
			}
			c, err := keys.Open([]byte(p.Checkpoint))
			o.ems.must(err)
			text, err := e.Encode()
			o.ems.must(err)
			var path tlog.RecordProof
			for _, h := range p.Hashes {
				path = append(path, tlog.Hash(h))
			}
			if err := tlog.CheckRecord(path, c.Size, c.Root, e.Seq, tlog.RecordHash(text)); err != nil || c.Size < before {
				t.Errorf("entry %d under the checkpoint over %d entries: %v", e.Seq, c.Size, err)
			}
			before = c.Size
		}
		if p := asked[station.Proof](t, s, station.OpLogProve, station.ProveArgs{Entry: rep.Entry}); p.Checkpoint != rep.Checkpoint {
			t.Errorf("the verdict is sealed by %q, its report carries %q", p.Checkpoint, rep.Checkpoint)
		}
		for _, entry := range []int64{-1, all.Size, 1 << 50} {
			if _, err := ask[station.Proof](s, station.OpLogProve, station.ProveArgs{Entry: entry}, nil); failure(t, err).Code != "not-found" {
				t.Errorf("entry %d: %v", entry, err)
			}
		}
	})
}
