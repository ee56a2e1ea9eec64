package control

import (
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestDenialsAreToldSeldomAndNeverLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var d denials
		var mu sync.Mutex // the pauses end in goroutines of their own
		var told []Peer
		tell := func(p Peer) {
			mu.Lock()
			defer mu.Unlock()
			told = append(told, p)
		}
		knock := func(uid uint32, times int) {
			for i := range times {
				d.add(Peer{UID: uid, PID: int32(i)}, tell)
			}
		}
		expect := func(when string, want ...Peer) {
			t.Helper()
			synctest.Wait()
			mu.Lock()
			defer mu.Unlock()
			if !slices.Equal(told, want) {
				t.Errorf("%s: told %+v, want %+v", when, told, want)
			}
			told = nil
		}
		knock(7, 1)
		expect("the first call", Peer{UID: 7, Denials: 1})
		knock(7, 1000)
		knock(8, 1)
		expect("the first call of another", Peer{UID: 8, Denials: 1})
		time.Sleep(deniedPause)
		expect("after the pause", Peer{UID: 7, PID: 999, Denials: 1000})
		knock(7, 1)
		expect("in the second pause")
		time.Sleep(deniedPause)
		expect("after the second pause", Peer{UID: 7, Denials: 1})
		time.Sleep(deniedPause)
		expect("after a pause without a call")
		knock(7, 3)
		expect("the first call after that", Peer{UID: 7, Denials: 1})
		d.flush(tell)
		expect("at the end", Peer{UID: 7, PID: 2, Denials: 2})
		time.Sleep(3 * deniedPause)
		expect("after the end")
	})
}

func TestDenialsOfVeryManyUsersAreToldTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var d denials
		reports, calls := 0, 0
		for uid := range uint32(70_000) {
			d.add(Peer{UID: uid}, func(p Peer) { reports++; calls += p.Denials })
		}
		d.flush(func(p Peer) { reports++; calls += p.Denials })
		if reports > deniedUsers+2 || calls != 70_000 {
			t.Errorf("%d reports of %d calls", reports, calls)
		}
	})
}
