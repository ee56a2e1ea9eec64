package station_test

import (
	"maps"
	"path/filepath"
	"testing"

	"sallyport/internal/audit"
	"sallyport/internal/manifest"
	"sallyport/internal/station"
	"sallyport/internal/testmedia"
	"sallyport/internal/testtool"
	"sallyport/internal/verdict"
)

// A source whose machine and software TPM were put back, which nothing on it can
// notice, seals on. Its log is shorter than the one that it showed before, or
// another one, and the receiver finds that out.
func TestASenderWhoseLogWasPutBackIsFoundByTheReceiver(t *testing.T) {
	o, dir := newOffice(t), memory(t)
	seal := func(text string) testmedia.Files {
		files, contents := testmedia.Files{}, map[string][]byte{"note.txt": []byte(text)}
		o.source.with(func(s *station.Station) {
			a := request(t, manifest.MediaSet, contents)
			a.Stream = text // each its own, so that order is no reason
			onMedium(files, asked[station.Sealed](t, s, station.OpSeal, a), contents)
		})
		return files
	}
	before, tpm := filepath.Join(dir, "state"), filepath.Join(dir, "tpm")
	testtool.Run(t, "cp", "-a", o.source.cfg.StateDir, before)
	o.source.swtpm.Save(tpm)
	genuine := seal("one")
	maps.Copy(genuine, seal("two"))
	o.source.cfg.StateDir = before
	o.source.swtpm.Rewind(tpm)
	seal("three") // as long as the log was when it had sealed one package
	again := seal("four")
	o.ems.with(func(s *station.Station) {
		take := func(files testmedia.Files) verdict.Verdict {
			rep, err := insert(s, testmedia.FAT(t, testmedia.Options{Bits: 16, SizeMiB: 12}, files))
			o.ems.must(err)
			for _, p := range rep.Packages {
				for _, f := range p.Findings {
					if f.Reason != verdict.Fork {
						t.Errorf("a finding besides the log's: %v", f)
					}
				}
			}
			return rep.Verdict
		}
		if v := take(genuine); v != verdict.Accepted {
			t.Fatalf("the genuine packages are %s", v)
		}
		peers := asked[station.Peers](t, s, station.OpLogPeers, station.NoArgs{}).Peers
		if len(peers) != 1 || peers[0].Origin != "sallyport/"+county+"/precinct-1" || peers[0].Size == 0 {
			t.Fatalf("kept is %+v", peers)
		}
		if v := take(again); v != verdict.Held {
			t.Errorf("the package of the machine that was put back is %s", v)
		}
		if now := asked[station.Peers](t, s, station.OpLogPeers, station.NoArgs{}).Peers; now[0] != peers[0] {
			t.Errorf("kept is %+v now", now)
		}
		if list := entries(t, s, string(audit.LogPeer)); len(list) != 1 || list[0].Fields["kept_root"] != peers[0].Root {
			t.Errorf("the log says %+v", list)
		}
	})
}
