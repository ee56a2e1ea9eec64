package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"sync"
	"time"

	"sallyport/internal/e2e/wire"
)

// defaultBound is how long a call takes at most when its context has no end.
const defaultBound = 2 * time.Minute

// caller speaks to the agent in the guest.
type caller struct {
	conn  net.Conn
	ready chan struct{} // closed when the agent has said that it is there

	mu      sync.Mutex
	last    uint64
	waiting map[uint64]chan wire.Answer
	end     error
}

// errAgentGone ends calls whose agent was started anew, or whose guest ended.
var errAgentGone = errors.New("the agent in the guest has ended")

func newCaller(conn net.Conn) *caller {
	c := &caller{conn: conn, ready: make(chan struct{}), waiting: map[uint64]chan wire.Answer{}}
	go c.read()
	return c
}

func (c *caller) read() {
	lines := bufio.NewScanner(c.conn)
	lines.Buffer(nil, wire.MaxLine)
	started := false
	for lines.Scan() {
		var a wire.Answer
		if err := json.Unmarshal(lines.Bytes(), &a); err != nil {
			continue // the rest of a line that an agent died over
		}
		if a.ID == 0 {
			c.drop(nil)
			if !started {
				close(c.ready)
				started = true
			}
			continue
		}
		c.mu.Lock()
		if w := c.waiting[a.ID]; w != nil {
			w <- a
			delete(c.waiting, a.ID)
		}
		c.mu.Unlock()
	}
	c.drop(errAgentGone)
}

// drop ends all calls that wait. end, if not nil, also ends those to come.
func (c *caller) drop(end error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for id, w := range c.waiting {
		close(w)
		delete(c.waiting, id)
	}
	c.end = end
}

func (c *caller) send(r wire.Request) (id uint64, answer chan wire.Answer, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.end != nil {
		return 0, nil, c.end
	}
	c.last++
	r.ID = c.last
	line, err := json.Marshal(r)
	if err != nil {
		return 0, nil, err
	}
	answer = make(chan wire.Answer, 1)
	c.waiting[r.ID] = answer
	if _, err := c.conn.Write(append(line, '\n')); err != nil {
		return 0, nil, fmt.Errorf("cannot reach the agent: %w", err)
	}
	return r.ID, answer, nil
}

// do asks the agent and waits for the answer. A call that is given up kills its
// command in the guest.
func (c *caller) do(ctx context.Context, r wire.Request) (wire.Answer, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	id, answer, err := c.send(r)
	if err != nil {
		return wire.Answer{}, err
	}
	select {
	case a, ok := <-answer:
		if !ok {
			return a, errAgentGone
		}
		if a.NotExist {
			return a, fmt.Errorf("%s: %w", a.Error, fs.ErrNotExist)
		}
		if a.Error != "" {
			return a, errors.New(a.Error)
		}
		return a, nil
	case <-ctx.Done():
		if r.Op == wire.Run {
			c.send(wire.Request{Op: wire.Cancel, Target: id})
		}
		return wire.Answer{}, fmt.Errorf("no answer from the guest: %w", ctx.Err())
	}
}

// bounded gives a context an end if it has none.
func bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, defaultBound)
}
