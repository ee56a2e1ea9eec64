package control

import (
	"sync"
	"time"
)

const (
	// deniedPause is the least time between two reports about one user.
	deniedPause = time.Minute
	// deniedUsers are told apart at a time; further ones are reported together,
	// because one person can have many uids (subuid(5)).
	deniedUsers = 64
	// otherUsers is no uid: -1 means "unchanged" in the calls that set one.
	otherUsers = ^uint32(0)
)

// denials tells of callers that were turned away: of a user's first call at
// once, of later ones at most once in [deniedPause] with their number. Each
// report costs a durable entry in the log of events, which no stranger may fill
// at will. The zero value is ready.
type denials struct {
	mu    sync.Mutex
	users map[uint32]*denial
}

// denial is one user whose pause runs.
type denial struct {
	untold Peer // the last caller, with the number of calls not told of yet
	timer  *time.Timer
}

func (d *denials) add(p Peer, tell func(Peer)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	uid := p.UID
	if d.users[uid] == nil && len(d.users) >= deniedUsers {
		uid = otherUsers
	}
	if k := d.users[uid]; k != nil {
		p.Denials = k.untold.Denials + 1
		k.untold = p
		return
	}
	p.Denials = 1
	tell(p)
	if d.users == nil {
		d.users = map[uint32]*denial{}
	}
	d.users[uid] = &denial{timer: time.AfterFunc(deniedPause, func() { d.pass(uid, tell) })}
}

// pass ends a pause: the next begins when there was something to tell.
func (d *denials) pass(uid uint32, tell func(Peer)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	k := d.users[uid]
	if k == nil {
		return // flushed
	}
	if k.untold.Denials == 0 {
		delete(d.users, uid)
		return
	}
	tell(k.untold)
	k.untold = Peer{}
	k.timer.Reset(deniedPause)
}

// flush tells what was not told and forgets everything.
func (d *denials) flush(tell func(Peer)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, k := range d.users {
		k.timer.Stop()
		if k.untold.Denials > 0 {
			tell(k.untold)
		}
	}
	clear(d.users)
}
