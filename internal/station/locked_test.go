package station_test

import (
	"encoding/binary"
	"hash/crc32"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sallyport/internal/control"
	"sallyport/internal/durable"
	"sallyport/internal/station"
)

// A daemon reads its whole log before it takes anything: damage that the quick
// look at the start of every command does not reach locks it.
func TestADaemonWithAnOldDamageIsLocked(t *testing.T) {
	n := newNode(t, "authority", "authority")
	n.init(nil)
	n.with(func(*station.Station) {})
	path := filepath.Join(n.cfg.StateDir, "log", "anchors")
	anchors, err := os.ReadFile(path)
	n.must(err)
	// The first anchor is another one, with a right checksum.
	frame := anchors[64:]
	frame = frame[:16+binary.BigEndian.Uint32(frame)]
	at := strings.Index(string(frame), `"counter_sig":"`) + len(`"counter_sig":"MEU`)
	frame[at] ^= 1
	table := crc32.MakeTable(crc32.Castagnoli)
	binary.BigEndian.PutUint32(frame[4:], crc32.Update(crc32.Checksum(frame[:4], table), table, frame[8:]))
	n.must(os.WriteFile(path, anchors, 0o600))

	n.with(func(s *station.Station) { // a single command does not read so far back
		if st := asked[station.Status](t, s, station.OpStatus, station.NoArgs{}); strings.Contains(strings.Join(st.NotReady, " "), "locked") {
			t.Fatalf("the quick look found it: %v", st.NotReady)
		}
	})
	stop, _ := n.daemon(durable.FS{})
	st, err := call[station.Status](n, station.OpStatus, station.NoArgs{}, nil, nil)
	n.must(err)
	if all := strings.Join(st.NotReady, " "); st.CanSeal || !strings.Contains(all, "the station is locked") || !strings.Contains(all, "anchor 0") {
		t.Errorf("the status says %+v", st)
	}
	_, err = call[station.Document](n, station.OpEnrolRequest, station.NoArgs{}, nil, nil)
	if f := failure(t, err); f.Code != control.CodeUnavailable || !strings.Contains(f.Message, "the station is locked") {
		t.Errorf("%+v", f)
	}
	if _, err := call[station.Log](n, station.OpLogShow, station.LogArgs{}, nil, nil); err != nil {
		t.Errorf("the log cannot be read: %v", err)
	}
	n.must(stop())
}
