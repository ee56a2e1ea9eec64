package station_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"sallyport/internal/station"
)

// A clock that goes back warns, and changes nothing else: the station opens,
// says so, and is right again when the clock is.
func TestAClockThatGoesBackWarns(t *testing.T) {
	n := newNode(t, "authority", "authority")
	n.init(nil)
	for _, c := range []struct {
		offset time.Duration
		warns  bool
	}{{0, false}, {-time.Hour, true}, {time.Hour, false}} {
		var log bytes.Buffer
		s, err := station.Open(t.Context(), n.cfg, station.Options{Log: zerolog.New(&log), Now: func() time.Time { return time.Now().Add(c.offset) }})
		n.must(err)
		note := asked[station.Status](t, s, station.OpStatus, station.NoArgs{}).ClockNote
		n.must(s.Close(t.Context()))
		if (note != "") != c.warns || strings.Contains(log.String(), "the clock went back") != c.warns {
			t.Errorf("offset %v: the status says %q, the log of operation %q", c.offset, note, log.String())
		}
	}
}
