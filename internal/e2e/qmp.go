package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"sync"
)

// monitor speaks QMP, QEMU's control protocol.
type monitor struct {
	conn net.Conn

	mu      sync.Mutex
	last    int
	waiting map[int]chan qmpMessage
	events  []Event
	changed chan struct{} // closed and made anew with each event
	end     error         // why there is nothing more to come
}

// Event is something that QEMU reported.
type Event struct {
	Name string
	Data map[string]any
}

type qmpMessage struct {
	Return json.RawMessage `json:"return"`
	Error  *qmpError       `json:"error"`
	Event  string          `json:"event"`
	Data   map[string]any  `json:"data"`
	ID     int             `json:"id"`
}

type qmpError struct {
	Class string `json:"class"`
	Desc  string `json:"desc"`
}

func (e *qmpError) Error() string { return e.Desc }

// newMonitor takes a fresh connection to QEMU.
func newMonitor(ctx context.Context, conn net.Conn) (*monitor, error) {
	m := &monitor{conn: conn, waiting: map[int]chan qmpMessage{}, changed: make(chan struct{})}
	go m.read()
	if _, err := m.do(ctx, "qmp_capabilities", nil); err != nil {
		return nil, err
	}
	return m, nil
}

func (m *monitor) read() {
	d := json.NewDecoder(m.conn)
	for {
		var q qmpMessage
		err := d.Decode(&q)
		m.mu.Lock()
		switch {
		case err != nil:
			m.end = fmt.Errorf("cannot reach QEMU: %w", err)
			for _, c := range m.waiting {
				close(c)
			}
			close(m.changed)
			m.mu.Unlock()
			return
		case q.Event != "":
			m.events = append(m.events, Event{Name: q.Event, Data: q.Data})
			close(m.changed)
			m.changed = make(chan struct{})
		case q.ID != 0:
			if c := m.waiting[q.ID]; c != nil {
				c <- q
				delete(m.waiting, q.ID)
			}
		}
		m.mu.Unlock()
	}
}

// do runs a command and waits for its answer.
func (m *monitor) do(ctx context.Context, command string, args any) (json.RawMessage, error) {
	m.mu.Lock()
	if m.end != nil {
		m.mu.Unlock()
		return nil, m.end
	}
	m.last++
	id, answer := m.last, make(chan qmpMessage, 1)
	m.waiting[id] = answer
	line, err := json.Marshal(struct {
		Execute   string `json:"execute"`
		Arguments any    `json:"arguments,omitempty"`
		ID        int    `json:"id"`
	}{command, args, id})
	if err == nil {
		_, err = m.conn.Write(append(line, '\n'))
	}
	m.mu.Unlock()
	if err != nil {
		return nil, fmt.Errorf("cannot ask QEMU for %s: %w", command, err)
	}
	select {
	case q, ok := <-answer:
		if !ok {
			return nil, fmt.Errorf("cannot run %s: %w", command, m.end)
		}
		if q.Error != nil {
			return nil, fmt.Errorf("cannot run %s: %w", command, q.Error)
		}
		return q.Return, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("cannot run %s: %w", command, ctx.Err())
	}
}

// mark is the place in the list of events after which wait looks.
func (m *monitor) mark() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.events)
}

// wait waits for an event that came after a mark.
func (m *monitor) wait(ctx context.Context, after int, is func(Event) bool) (Event, error) {
	for {
		m.mu.Lock()
		events, changed, end := m.events[after:], m.changed, m.end
		m.mu.Unlock()
		for _, e := range events {
			if is(e) {
				return e, nil
			}
		}
		after += len(events)
		if end != nil {
			return Event{}, end
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return Event{}, fmt.Errorf("the event did not come: %w", ctx.Err())
		}
	}
}

// isQMP says whether QEMU refused a command, rather than being gone.
func isQMP(err error) bool {
	var q *qmpError
	return errors.As(err, &q)
}
